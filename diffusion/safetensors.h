/* safetensors files: a little-endian 64-bit header length, a JSON header, then the tensors' bytes.
 * Format: https://huggingface.co/docs/safetensors. Internal to diffusion/. A kn_safetensors is immutable once open and may be
 * read from several threads. */
#ifndef KN_DIFFUSION_SAFETENSORS_H
#define KN_DIFFUSION_SAFETENSORS_H

#include "base/base.h"

typedef enum kn_dtype { KN_DTYPE_F64, KN_DTYPE_F32, KN_DTYPE_F16, KN_DTYPE_BF16, KN_DTYPE_I64, KN_DTYPE_I32, KN_DTYPE_U8, KN_DTYPE_COUNT } kn_dtype;

#define KN_SAFETENSORS_MAX_RANK 8

/* One tensor of a file, row-major. */
typedef struct kn_stored_tensor {
    const char *name;
    const char *path;                       /* the file that it came from, for messages */
    kn_dtype dtype;
    int rank;                               /* 0: a scalar */
    int64_t shape[KN_SAFETENSORS_MAX_RANK];
    const uint8_t *data;                    /* unaligned; lives as long as the file */
    size_t count;                           /* elements; size in bytes is count * kn_dtype_size(dtype) */
} kn_stored_tensor;

typedef struct kn_safetensors kn_safetensors;

const char *kn_dtype_name(kn_dtype dtype);
size_t kn_dtype_size(kn_dtype dtype);

/* Maps and checks a file: header within the file and at most 100 MB, known types, shapes whose product matches the byte
 * range, ranges inside the file that neither overlap nor leave gaps, no name twice. A refusal names file, tensor and reason. */
bool kn_safetensors_open(kn_safetensors **file, const char *path, kn_error *error);
/* The same for bytes in memory, which must outlive the handle; `label` stands for the path in messages. */
bool kn_safetensors_parse(kn_safetensors **file, const uint8_t *data, size_t size, const char *label, kn_error *error);
void kn_safetensors_close(kn_safetensors **file);

/* Tensors sorted by name. */
const kn_stored_tensor *kn_safetensors_tensors(const kn_safetensors *file, size_t *count);
const kn_stored_tensor *kn_safetensors_find(const kn_safetensors *file, const char *name); /* NULL when absent */

/* Converts all elements to fp32: out[tensor->count]. */
void kn_stored_tensor_to_float(const kn_stored_tensor *tensor, float *out);
/* Writes "[a, b, c]". */
void kn_stored_tensor_shape(const kn_stored_tensor *tensor, char *text, size_t size);

/* Writes tensors (name, dtype, rank, shape, data; count is derived from the shape) in the given order, beside `path`, and
 * renames the file into place. Names must be distinct. */
bool kn_safetensors_write(const char *path, const kn_stored_tensor *tensors, size_t count, kn_error *error);

float kn_half_to_float(uint16_t half);
uint16_t kn_float_to_half(float value); /* round to nearest even; overflow becomes infinity */

#endif
