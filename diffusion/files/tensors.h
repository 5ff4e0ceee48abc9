/* Named tensors of a file, whatever its format: safetensors, GGUF or a zip archive of PyTorch's. Internal to
 * diffusion/. An archive is immutable once open and may be read from several threads. */
#ifndef KN_DIFFUSION_TENSORS_H
#define KN_DIFFUSION_TENSORS_H

#include "base/base.h"

/* Element types. Those from KN_DTYPE_Q8_0 on are ggml's block formats: kn_dtype_block() neighbouring elements of a row
 * share kn_dtype_size() bytes (quantise.h). */
typedef enum kn_dtype {
    KN_DTYPE_F64,
    KN_DTYPE_F32,
    KN_DTYPE_F16,
    KN_DTYPE_BF16,
    KN_DTYPE_F8_E4M3, /* without infinities (OCP 8-bit floating point, "e4m3fn" in PyTorch) */
    KN_DTYPE_F8_E5M2,
    KN_DTYPE_I64,
    KN_DTYPE_I32,
    KN_DTYPE_I16,
    KN_DTYPE_I8,
    KN_DTYPE_U8,
    KN_DTYPE_BOOL,
    KN_DTYPE_Q8_0,
    KN_DTYPE_Q4_0,
    KN_DTYPE_Q4_1,
    KN_DTYPE_Q5_0,
    KN_DTYPE_Q5_1,
    KN_DTYPE_Q2_K,
    KN_DTYPE_Q3_K,
    KN_DTYPE_Q4_K,
    KN_DTYPE_Q5_K,
    KN_DTYPE_Q6_K,
    KN_DTYPE_COUNT,
    KN_DTYPE_PLAIN_COUNT = KN_DTYPE_Q8_0
} kn_dtype;

const char *kn_dtype_name(kn_dtype dtype); /* as safetensors and GGUF write it: "F16", "Q4_K" */
size_t kn_dtype_block(kn_dtype dtype);     /* elements of a block; 1 for plain types */
size_t kn_dtype_size(kn_dtype dtype);      /* bytes of a block */
bool kn_dtype_is_float(kn_dtype dtype);    /* not an integer */
/* KN_DTYPE_COUNT when no type has that name; case does not matter. */
kn_dtype kn_dtype_from_name(const char *name);

#define KN_TENSOR_MAX_RANK 8

/* One tensor of a file, row-major. */
typedef struct kn_stored_tensor {
    const char *name;
    const char *path; /* the file that it came from, for messages */
    kn_dtype dtype;
    int rank; /* 0: a scalar */
    int64_t shape[KN_TENSOR_MAX_RANK];
    const uint8_t *data; /* unaligned; lives as long as the file */
    size_t count;        /* elements; of block formats a multiple of the block */
    float scale;         /* values are so many times what the bytes say; 0: once (fp8 with a scale of its own) */
} kn_stored_tensor;

size_t kn_stored_tensor_bytes(const kn_stored_tensor *tensor);
/* Converts all elements to fp32: out[tensor->count]. */
void kn_stored_tensor_to_float(const kn_stored_tensor *tensor, float *out);
/* The same for one of its `shape[0]` rows; of block formats rows must be whole blocks. */
void kn_stored_tensor_row(const kn_stored_tensor *tensor, size_t row, float *out);
/* Writes "[a, b, c]". */
void kn_stored_tensor_shape(const kn_stored_tensor *tensor, char *text, size_t size);

float kn_half_to_float(uint16_t half);
uint16_t kn_float_to_half(float value);   /* round to nearest even; overflow becomes infinity */
uint16_t kn_float_to_bfloat(float value); /* round to nearest even */

/* --- archives --------------------------------------------------------------------------------- */

typedef enum kn_archive_format { KN_ARCHIVE_SAFETENSORS, KN_ARCHIVE_GGUF, KN_ARCHIVE_TORCH } kn_archive_format;

/* A pair of texts of a file's header. */
typedef struct kn_metadata {
    const char *key, *value;
} kn_metadata;

typedef struct kn_archive {
    kn_archive_format format;
    char *path;
    kn_file_map map;           /* empty when the bytes are the caller's */
    kn_arena arena;            /* names, and tensors that had to be unpacked */
    kn_stored_tensor *tensors; /* sorted by name, distinct */
    size_t count, capacity;
    kn_metadata *metadata; /* what the file says about itself, in its order */
    size_t metadata_count, metadata_capacity;
} kn_archive;

/* Maps a file and reads its table of tensors; the format is told from the first bytes. A refusal names file, tensor and
 * reason. */
bool kn_archive_open(kn_archive **archive, const char *path, kn_error *error);
/* The same for bytes in memory, which must outlive the handle; `label` stands for the path in messages. */
bool kn_archive_parse(kn_archive **archive, const uint8_t *data, size_t size, const char *label, kn_error *error);
void kn_archive_close(kn_archive **archive);
const kn_stored_tensor *kn_archive_find(const kn_archive *archive, const char *name); /* NULL when absent */
/* The text of safetensors' __metadata__ under `key`; NULL when absent. */
const char *kn_archive_metadata(const kn_archive *archive, const char *key);

/* --- for the readers of the formats ----------------------------------------------------------- */

/* Fills archive->tensors from `size` bytes. */
typedef bool kn_archive_reader(kn_archive *archive, const uint8_t *data, size_t size, kn_error *error);
kn_archive_reader kn_safetensors_read, kn_gguf_read, kn_torch_read;

bool kn_archive_open_as(kn_archive **archive, const char *path, kn_archive_reader *reader, kn_error *error);
bool kn_archive_parse_as(kn_archive **archive, const uint8_t *data, size_t size, const char *label,
                         kn_archive_reader *reader, kn_error *error);
/* A new last tensor with a copy of the name; NULL when memory runs out. */
kn_stored_tensor *kn_archive_add(kn_archive *archive, const char *name, size_t length, kn_error *error);
/* Adds a pair of texts (copies). */
bool kn_archive_add_metadata(kn_archive *archive, const char *key, const char *value, kn_error *error);
/* Sets tensor->count from its shape; fails when the product overflows or a dimension is negative. */
bool kn_archive_count(const kn_archive *archive, kn_stored_tensor *tensor, kn_error *error);
/* "path: tensor 'name': reason" */
bool kn_archive_refuse(const kn_archive *archive, const char *name, const char *reason, kn_error *error);
/* Sorts by name and refuses a name that comes twice. */
bool kn_archive_sort(kn_archive *archive, kn_error *error);

#endif
