#include "diffusion/files/gguf.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TENSORS = 1 << 20, MAX_METADATA = 1 << 20, MAX_NAME = 1024, MAX_DEPTH = 4, DEFAULT_ALIGNMENT = 32 };

/* ggml's numbers of the types that Kinora knows. */
static const int type_numbers[KN_DTYPE_COUNT] = {
    [KN_DTYPE_F32] = 0,      [KN_DTYPE_F16] = 1,     [KN_DTYPE_Q4_0] = 2,  [KN_DTYPE_Q4_1] = 3,  [KN_DTYPE_Q5_0] = 6,
    [KN_DTYPE_Q5_1] = 7,     [KN_DTYPE_Q8_0] = 8,    [KN_DTYPE_Q2_K] = 10, [KN_DTYPE_Q3_K] = 11, [KN_DTYPE_Q4_K] = 12,
    [KN_DTYPE_Q5_K] = 13,    [KN_DTYPE_Q6_K] = 14,   [KN_DTYPE_I8] = 24,   [KN_DTYPE_I16] = 25,  [KN_DTYPE_I32] = 26,
    [KN_DTYPE_I64] = 27,     [KN_DTYPE_F64] = 28,    [KN_DTYPE_BF16] = 30, [KN_DTYPE_U8] = -1,   [KN_DTYPE_BOOL] = -1,
    [KN_DTYPE_F8_E4M3] = -1, [KN_DTYPE_F8_E5M2] = -1};

/* A shape that ComfyUI's converter stored apart, since it folds what GGUF cannot hold. */
typedef struct own_shape {
    const char *name; /* of the tensor, inside the file */
    size_t name_length;
    int rank;
    int64_t shape[KN_TENSOR_MAX_RANK];
} own_shape;

typedef struct reader {
    const char *path;
    const uint8_t *data;
    size_t size, at;
    uint64_t alignment;
    own_shape *shapes;
    size_t shape_count, shape_capacity;
    kn_error *error;
} reader;

/* --- reading ---------------------------------------------------------------------------------- */

static bool take(reader *r, size_t bytes, const uint8_t **data, const char *what) {
    if (r->size - r->at < bytes)
        return kn_fail(r->error, KN_ERROR_INPUT, "%s: byte %zu: the file ends inside %s", r->path, r->at, what);
    *data = r->data + r->at;
    r->at += bytes;
    return true;
}

static bool take_number(reader *r, int bytes, uint64_t *value, const char *what) {
    const uint8_t *data = NULL;
    if (!take(r, (size_t)bytes, &data, what)) return false;
    *value = 0;
    for (int i = bytes - 1; i >= 0; i--) *value = *value << 8 | data[i];
    return true;
}

static bool take_string(reader *r, const char **text, size_t *length, const char *what) {
    uint64_t size;
    const uint8_t *data;
    if (!take_number(r, 8, &size, what)) return false;
    if (size > r->size - r->at)
        return kn_fail(r->error, KN_ERROR_INPUT, "%s: byte %zu: a text of %llu bytes in %s is longer than the file",
                       r->path, r->at, (unsigned long long)size, what);
    if (!take(r, (size_t)size, &data, what)) return false;
    *text = (const char *)data;
    *length = (size_t)size;
    return true;
}

/* Metadata values are stepped over; only general.alignment matters. */
static bool skip_value(reader *r, uint64_t type, int depth, uint64_t *number) {
    static const int sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    const char *text;
    size_t length;
    uint64_t inner, count;
    if (type >= KN_COUNT(sizes))
        return kn_fail(r->error, KN_ERROR_INPUT, "%s: byte %zu: metadata of unknown type %llu", r->path, r->at,
                       (unsigned long long)type);
    if (type == 8) return take_string(r, &text, &length, "the metadata");
    if (type != 9) return take_number(r, sizes[type], number, "the metadata");
    if (depth == MAX_DEPTH)
        return kn_fail(r->error, KN_ERROR_INPUT, "%s: byte %zu: lists in the metadata are nested too deeply", r->path,
                       r->at);
    if (!take_number(r, 4, &inner, "the metadata") || !take_number(r, 8, &count, "the metadata")) return false;
    if (count > r->size - r->at)
        return kn_fail(r->error, KN_ERROR_INPUT, "%s: byte %zu: a list of %llu entries is longer than the file",
                       r->path, r->at, (unsigned long long)count);
    for (uint64_t i = 0; i < count; i++) {
        if (!skip_value(r, inner, depth + 1, number)) return false;
    }
    return true;
}

static bool is_key(const char *key, size_t length, const char *wanted) {
    return length == strlen(wanted) && memcmp(key, wanted, length) == 0;
}

/* A list of integers, first dimension first. */
static bool read_own_shape(reader *r, const char *name, size_t name_length) {
    static const int sizes[] = {1, 1, 2, 2, 4, 4, 0, 0, 0, 0, 8, 8};
    uint64_t type, rank, dimension;
    own_shape shape = {.name = name, .name_length = name_length};
    if (!take_number(r, 4, &type, "the metadata") || !take_number(r, 8, &rank, "the metadata")) return false;
    if (type >= KN_COUNT(sizes) || !sizes[type] || rank > KN_TENSOR_MAX_RANK)
        return kn_fail(r->error, KN_ERROR_INPUT, "%s: tensor '%.*s': its original shape must be up to %d integers",
                       r->path, (int)kn_min_size(name_length, 200), name, KN_TENSOR_MAX_RANK);
    shape.rank = (int)rank;
    for (int i = 0; i < shape.rank; i++) {
        if (!take_number(r, sizes[type], &dimension, "the metadata")) return false;
        shape.shape[i] = (int64_t)(dimension & INT64_MAX);
    }
    if (!kn_grow(&r->shapes, &r->shape_capacity, r->shape_count + 1, sizeof *r->shapes, r->error)) return false;
    r->shapes[r->shape_count++] = shape;
    return true;
}

static bool read_metadata(reader *r, uint64_t count) {
    static const char original[] = "comfy.gguf.orig_shape.";
    for (uint64_t i = 0; i < count; i++) {
        const char *key;
        size_t length, prefix = sizeof original - 1;
        uint64_t type, number = 0;
        if (!take_string(r, &key, &length, "the metadata") || !take_number(r, 4, &type, "the metadata")) return false;
        if (type == 9 && length > prefix && memcmp(key, original, prefix) == 0) {
            if (!read_own_shape(r, key + prefix, length - prefix)) return false;
            continue;
        }
        if (!skip_value(r, type, 0, &number)) return false;
        if (!is_key(key, length, "general.alignment")) continue;
        if (type != 4 || number < 1 || number > 65536 || (number & (number - 1)))
            return kn_fail(r->error, KN_ERROR_INPUT, "%s: general.alignment must be a power of two up to 65536",
                           r->path);
        r->alignment = number;
    }
    return true;
}

static bool read_type(reader *r, const kn_archive *archive, kn_stored_tensor *tensor) {
    uint64_t type;
    if (!take_number(r, 4, &type, "the table of tensors")) return false;
    for (int i = 0; i < KN_DTYPE_COUNT; i++) {
        if (type_numbers[i] >= 0 && type == (uint64_t)type_numbers[i]) {
            tensor->dtype = (kn_dtype)i;
            return true;
        }
    }
    return kn_fail(r->error, KN_ERROR_UNSUPPORTED,
                   "%s: tensor '%.200s': ggml type %llu is none of F32, F16, BF16, F64, I8, I16, I32, I64, Q8_0, Q4_0, "
                   "Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K",
                   archive->path, tensor->name, (unsigned long long)type);
}

/* The file lists the fastest dimension first. */
static bool read_shape(reader *r, const kn_archive *archive, kn_stored_tensor *tensor) {
    uint64_t rank, dimension;
    if (!take_number(r, 4, &rank, "the table of tensors")) return false;
    if (rank > KN_TENSOR_MAX_RANK) return kn_archive_refuse(archive, tensor->name, "more than 8 dimensions", r->error);
    tensor->rank = (int)rank;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        if (!take_number(r, 8, &dimension, "the table of tensors")) return false;
        if (dimension > INT64_MAX) return kn_archive_refuse(archive, tensor->name, "a dimension overflows", r->error);
        tensor->shape[i] = (int64_t)dimension;
    }
    return kn_archive_count(archive, tensor, r->error);
}

/* `offset` counts from the start of the data section, which is not known yet: it is kept in tensor->data until then. */
static bool read_tensor(reader *r, kn_archive *archive) {
    const char *name;
    size_t length;
    uint64_t offset;
    if (!take_string(r, &name, &length, "the table of tensors")) return false;
    if (length == 0 || length > MAX_NAME || memchr(name, 0, length))
        return kn_fail(r->error, KN_ERROR_INPUT, "%s: byte %zu: a tensor's name must have 1 to %d bytes", r->path,
                       r->at, MAX_NAME);
    kn_stored_tensor *tensor = kn_archive_add(archive, name, length, r->error);
    if (!tensor || !read_shape(r, archive, tensor) || !read_type(r, archive, tensor) ||
        !take_number(r, 8, &offset, "the table of tensors"))
        return false;
    size_t block = kn_dtype_block(tensor->dtype), row = tensor->rank ? (size_t)tensor->shape[tensor->rank - 1] : 1;
    if (row % block != 0)
        return kn_fail(r->error, KN_ERROR_INPUT,
                       "%s: tensor '%.200s': rows of %zu elements are no multiple of %s's blocks of %zu", r->path,
                       tensor->name, row, kn_dtype_name(tensor->dtype), block);
    if (offset > r->size || offset % r->alignment != 0)
        return kn_fail(r->error, KN_ERROR_INPUT,
                       "%s: tensor '%.200s': its offset %llu lies outside the file or is no multiple of %llu", r->path,
                       tensor->name, (unsigned long long)offset, (unsigned long long)r->alignment);
    tensor->data = r->data + offset;
    return true;
}

/* Gives a tensor the shape that it had before it was folded. */
static bool unfold(reader *r, const kn_archive *archive, kn_stored_tensor *tensor) {
    size_t stored = tensor->count, length = strlen(tensor->name);
    for (size_t i = 0; i < r->shape_count; i++) {
        const own_shape *own = &r->shapes[i];
        if (own->name_length != length || memcmp(own->name, tensor->name, length) != 0) continue;
        tensor->rank = own->rank;
        memcpy(tensor->shape, own->shape, sizeof tensor->shape);
        if (!kn_archive_count(archive, tensor, r->error)) return false;
        return tensor->count == stored ||
               kn_archive_refuse(archive, tensor->name, "its original shape has another number of elements", r->error);
    }
    return true;
}

static int compare_places(const void *a, const void *b) {
    const kn_stored_tensor *x = a, *y = b;
    return x->data < y->data ? -1 : x->data > y->data;
}

/* No byte belongs to two tensors. */
static bool check_overlap(reader *r, kn_archive *archive) {
    if (archive->count) qsort(archive->tensors, archive->count, sizeof *archive->tensors, compare_places);
    const kn_stored_tensor *before = NULL;
    for (size_t i = 0; i < archive->count; i++) {
        const kn_stored_tensor *tensor = &archive->tensors[i];
        if (tensor->count == 0) continue;
        if (before && before->data + kn_stored_tensor_bytes(before) > tensor->data)
            return kn_fail(r->error, KN_ERROR_INPUT, "%s: tensor '%.200s': its bytes overlap those of '%.200s'",
                           r->path, tensor->name, before->name);
        before = tensor;
    }
    return true;
}

static bool place_tensors(reader *r, kn_archive *archive) {
    size_t start = (r->at + r->alignment - 1) / r->alignment * r->alignment,
           available = start < r->size ? r->size - start : 0;
    for (size_t i = 0; i < archive->count; i++) {
        kn_stored_tensor *tensor = &archive->tensors[i];
        size_t offset = (size_t)(tensor->data - r->data), blocks = tensor->count / kn_dtype_block(tensor->dtype), bytes;
        if (__builtin_mul_overflow(blocks, kn_dtype_size(tensor->dtype), &bytes) || offset > available ||
            bytes > available - offset) {
            char shape[200];
            kn_stored_tensor_shape(tensor, shape, sizeof shape);
            return kn_fail(r->error, KN_ERROR_INPUT,
                           "%s: tensor '%.200s': shape %s of %s at offset %zu does not fit the %zu bytes of data "
                           "(truncated file?)",
                           r->path, tensor->name, shape, kn_dtype_name(tensor->dtype), offset, available);
        }
        tensor->data = r->data + (bytes ? start + offset : 0);
        if (!unfold(r, archive, tensor)) return false;
    }
    return check_overlap(r, archive) && kn_archive_sort(archive, r->error);
}

static bool read_tensors(reader *r, kn_archive *archive, uint64_t tensors, uint64_t metadata) {
    if (!read_metadata(r, metadata)) return false;
    for (uint64_t i = 0; i < tensors; i++)
        if (!read_tensor(r, archive)) return false;
    return place_tensors(r, archive);
}

bool kn_gguf_read(kn_archive *archive, const uint8_t *data, size_t size, kn_error *error) {
    reader r = {
        .path = archive->path, .data = data, .size = size, .at = 4, .alignment = DEFAULT_ALIGNMENT, .error = error};
    uint64_t version, tensors, metadata;
    archive->format = KN_ARCHIVE_GGUF;
    if (size < 4 || memcmp(data, "GGUF", 4) != 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: not a GGUF file", archive->path);
    if (!take_number(&r, 4, &version, "the header")) return false;
    if (version != 2 && version != 3)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: GGUF version %llu; 2 and 3 (little-endian) are supported",
                       archive->path, (unsigned long long)version);
    if (!take_number(&r, 8, &tensors, "the header") || !take_number(&r, 8, &metadata, "the header")) return false;
    if (tensors > MAX_TENSORS || metadata > MAX_METADATA)
        return kn_fail(error, KN_ERROR_INPUT, "%s: %llu tensors and %llu metadata entries, expected at most %d of each",
                       archive->path, (unsigned long long)tensors, (unsigned long long)metadata, MAX_TENSORS);
    bool ok = read_tensors(&r, archive, tensors, metadata);
    kn_free(r.shapes);
    return ok;
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool put_number(FILE *stream, uint64_t value, int bytes) {
    uint8_t data[8];
    for (int i = 0; i < bytes; i++) data[i] = (uint8_t)(value >> (8 * i));
    return fwrite(data, 1, (size_t)bytes, stream) == (size_t)bytes;
}

static bool put_string(FILE *stream, const char *text) {
    size_t length = strlen(text);
    return put_number(stream, length, 8) && fwrite(text, 1, length, stream) == length;
}

static bool put_padding(FILE *stream, uint64_t written) {
    static const uint8_t zeros[DEFAULT_ALIGNMENT];
    size_t bytes = (size_t)(-written % DEFAULT_ALIGNMENT);
    return fwrite(zeros, 1, bytes, stream) == bytes;
}

static bool put_header(FILE *stream, const char *architecture, const kn_stored_tensor *tensors, size_t count) {
    uint64_t offset = 0;
    bool ok = fwrite("GGUF", 1, 4, stream) == 4 && put_number(stream, 3, 4) && put_number(stream, count, 8) &&
              put_number(stream, 2, 8) && put_string(stream, "general.architecture") && put_number(stream, 8, 4) &&
              put_string(stream, architecture) && put_string(stream, "general.alignment") && put_number(stream, 4, 4) &&
              put_number(stream, DEFAULT_ALIGNMENT, 4);
    for (size_t i = 0; ok && i < count; i++) {
        ok = put_string(stream, tensors[i].name) && put_number(stream, (uint64_t)tensors[i].rank, 4);
        for (int j = tensors[i].rank - 1; ok && j >= 0; j--) ok = put_number(stream, (uint64_t)tensors[i].shape[j], 8);
        ok = ok && put_number(stream, (uint64_t)type_numbers[tensors[i].dtype], 4) && put_number(stream, offset, 8);
        offset += (kn_stored_tensor_bytes(&tensors[i]) + DEFAULT_ALIGNMENT - 1) / DEFAULT_ALIGNMENT * DEFAULT_ALIGNMENT;
    }
    long end = ok ? ftell(stream) : -1;
    return end >= 0 && put_padding(stream, (uint64_t)end);
}

static bool put_tensors(FILE *stream, const char *path, const kn_stored_tensor *tensors, size_t count,
                        kn_tensor_source *source, void *user, kn_error *error) {
    for (size_t i = 0; i < count; i++) {
        size_t bytes = kn_stored_tensor_bytes(&tensors[i]);
        const uint8_t *data = bytes ? source(user, i, error) : NULL;
        if (bytes && !data) return false;
        if ((bytes && fwrite(data, 1, bytes, stream) != bytes) || !put_padding(stream, bytes))
            return kn_fail(error, KN_ERROR_IO, "%s: writing failed (disk full?)", path);
    }
    return true;
}

bool kn_gguf_write_from(const char *path, const char *architecture, const kn_stored_tensor *tensors, size_t count,
                        kn_tensor_source *source, void *user, kn_error *error) {
    kn_file_writer writer;
    for (size_t i = 0; i < count; i++) {
        if (type_numbers[tensors[i].dtype] < 0)
            return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: tensor '%.200s': GGUF files do not hold %s", path,
                           tensors[i].name, kn_dtype_name(tensors[i].dtype));
    }
    if (!kn_file_writer_init(&writer, path, error)) return false;
    bool ok = put_header(writer.stream, architecture, tensors, count) ||
              kn_fail(error, KN_ERROR_IO, "%s: writing failed (disk full?)", path);
    ok = ok && put_tensors(writer.stream, path, tensors, count, source, user, error);
    if (!ok) {
        kn_file_writer_finish(&writer);
        return false;
    }
    return kn_file_writer_commit(&writer, error);
}
