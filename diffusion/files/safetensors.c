#include "diffusion/files/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT 100000000u

/* --- reading ---------------------------------------------------------------------------------- */

static bool read_dtype(const kn_archive *file, kn_stored_tensor *tensor, const json_t *value, kn_error *error) {
    const char *text = json_string_value(value);
    if (!text) return kn_archive_refuse(file, tensor->name, "'dtype' must be a string", error);
    tensor->dtype = kn_dtype_from_name(text);
    return tensor->dtype < KN_DTYPE_PLAIN_COUNT || kn_fail(error, KN_ERROR_INPUT,
                                                           "%s: tensor '%.200s': type '%.32s' is none of F64, F32, "
                                                           "F16, BF16, F8_E4M3, F8_E5M2, I64, I32, I16, I8, U8, BOOL",
                                                           file->path, tensor->name, text);
}

static bool read_shape(const kn_archive *file, kn_stored_tensor *tensor, const json_t *value, kn_error *error) {
    if (!json_is_array(value)) return kn_archive_refuse(file, tensor->name, "'shape' must be an array", error);
    size_t rank = json_array_size(value);
    if (rank > KN_TENSOR_MAX_RANK) return kn_archive_refuse(file, tensor->name, "more than 8 dimensions", error);
    tensor->rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        const json_t *item = json_array_get(value, i);
        json_int_t dimension = json_integer_value(item);
        if (!json_is_integer(item) || dimension < 0)
            return kn_archive_refuse(file, tensor->name, "dimensions must be integers of 0 or more", error);
        tensor->shape[i] = dimension;
    }
    return kn_archive_count(file, tensor, error);
}

static bool read_range(const kn_archive *file, kn_stored_tensor *tensor, const json_t *value, const uint8_t *data,
                       size_t size, kn_error *error) {
    const json_t *first = json_array_get(value, 0), *second = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return kn_archive_refuse(file, tensor->name, "'data_offsets' must be two integers", error);
    json_int_t begin = json_integer_value(first), end = json_integer_value(second);
    if (begin < 0 || end < begin || (uint64_t)end > size)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: tensor '%.200s': bytes %lld to %lld lie outside the %zu bytes of data (truncated file?)",
                       file->path, tensor->name, (long long)begin, (long long)end, size);
    size_t bytes;
    if (__builtin_mul_overflow(tensor->count, kn_dtype_size(tensor->dtype), &bytes) ||
        bytes != (uint64_t)(end - begin)) {
        char shape[200];
        kn_stored_tensor_shape(tensor, shape, sizeof shape);
        return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': shape %s of %s does not fit its %lld bytes",
                       file->path, tensor->name, shape, kn_dtype_name(tensor->dtype), (long long)(end - begin));
    }
    tensor->data = data + begin;
    return true;
}

static bool read_tensor(kn_archive *file, const char *name, json_t *entry, const uint8_t *data, size_t size,
                        kn_error *error) {
    kn_stored_tensor *tensor = kn_archive_add(file, name, strlen(name), error);
    if (!tensor) return false;
    if (!json_is_object(entry)) return kn_archive_refuse(file, name, "its entry must be an object", error);
    return read_dtype(file, tensor, json_object_get(entry, "dtype"), error) &&
           read_shape(file, tensor, json_object_get(entry, "shape"), error) &&
           read_range(file, tensor, json_object_get(entry, "data_offsets"), data, size, error);
}

static int compare_place(const void *a, const void *b) {
    const kn_stored_tensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->count < y->count ? -1 : x->count > y->count; /* empty tensors first */
}

/* The ranges must tile the data section exactly. */
static bool check_cover(kn_archive *file, const uint8_t *data, size_t size, kn_error *error) {
    if (file->count) qsort(file->tensors, file->count, sizeof *file->tensors, compare_place);
    size_t expected = 0;
    for (size_t i = 0; i < file->count; i++) {
        const kn_stored_tensor *tensor = &file->tensors[i];
        size_t begin = (size_t)(tensor->data - data);
        if (begin < expected)
            return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': its bytes overlap those of '%.200s'",
                           file->path, tensor->name, file->tensors[i - 1].name);
        if (begin > expected)
            return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': a gap of %zu bytes lies before it", file->path,
                           tensor->name, begin - expected);
        expected = begin + tensor->count * kn_dtype_size(tensor->dtype);
    }
    if (expected != size)
        return kn_fail(error, KN_ERROR_INPUT, "%s: %zu bytes after the last tensor belong to none", file->path,
                       size - expected);
    return kn_archive_sort(file, error);
}

/* Texts under texts; other values, which the format forbids, are passed over. */
static bool read_own_metadata(kn_archive *file, const json_t *entry, kn_error *error) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)entry, key, value) {
        if (json_is_string(value) && !kn_archive_add_metadata(file, key, json_string_value(value), error)) return false;
    }
    return true;
}

static bool read_header(kn_archive *file, const json_t *header, const uint8_t *data, size_t size, kn_error *error) {
    if (!kn_grow(&file->tensors, &file->capacity, json_object_size(header), sizeof *file->tensors, error)) return false;
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)header, name, entry) {
        if (strcmp(name, "__metadata__") == 0) {
            if (!read_own_metadata(file, entry, error)) return false;
            continue;
        }
        if (!read_tensor(file, name, entry, data, size, error)) return false;
    }
    return check_cover(file, data, size, error);
}

static uint64_t read_u64(const uint8_t *bytes) {
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | bytes[i];
    return value;
}

bool kn_safetensors_read(kn_archive *file, const uint8_t *data, size_t size, kn_error *error) {
    if (size < 8)
        return kn_fail(error, KN_ERROR_INPUT, "%s: %zu bytes are too few for a safetensors file", file->path, size);
    uint64_t length = read_u64(data);
    if (length > HEADER_LIMIT)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: not a safetensors file (a header of %llu bytes; at most 100 MB are accepted)", file->path,
                       (unsigned long long)length);
    if (length > size - 8)
        return kn_fail(error, KN_ERROR_INPUT, "%s: the header of %llu bytes is longer than the file (truncated file?)",
                       file->path, (unsigned long long)length);
    if (length < 2 || data[8] != '{')
        return kn_fail(error, KN_ERROR_INPUT, "%s: not a safetensors file (the header must begin with '{')",
                       file->path);
    json_error_t json_error;
    json_t *header = json_loadb((const char *)data + 8, (size_t)length, JSON_REJECT_DUPLICATES, &json_error);
    if (!header)
        return kn_fail(error, KN_ERROR_INPUT, "%s: header at byte %d: %s", file->path, json_error.position + 8,
                       json_error.text);
    bool ok = read_header(file, header, data + 8 + length, size - 8 - (size_t)length, error);
    json_decref(header);
    return ok;
}

bool kn_safetensors_parse(kn_safetensors **file, const uint8_t *data, size_t size, const char *label, kn_error *error) {
    return kn_archive_parse_as(file, data, size, label, kn_safetensors_read, error);
}

bool kn_safetensors_open(kn_safetensors **file, const char *path, kn_error *error) {
    return kn_archive_open_as(file, path, kn_safetensors_read, error);
}

void kn_safetensors_close(kn_safetensors **file) { kn_archive_close(file); }

const kn_stored_tensor *kn_safetensors_tensors(const kn_safetensors *file, size_t *count) {
    *count = file->count;
    return file->tensors;
}

const kn_stored_tensor *kn_safetensors_find(const kn_safetensors *file, const char *name) {
    return kn_archive_find(file, name);
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool tensor_bytes(const kn_stored_tensor *tensor, const char *path, size_t *bytes, kn_error *error) {
    *bytes = kn_dtype_size(tensor->dtype);
    if (tensor->dtype >= KN_DTYPE_PLAIN_COUNT)
        return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': safetensors files do not hold %s", path,
                       tensor->name, kn_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] < 0 || __builtin_mul_overflow(*bytes, (size_t)tensor->shape[i], bytes))
            return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': the product of the shape overflows", path,
                           tensor->name);
    }
    return true;
}

static bool add_entry(json_t *header, const kn_stored_tensor *tensor, size_t begin, size_t end, const char *path,
                      kn_error *error) {
    if (json_object_get(header, tensor->name))
        return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': the name is used twice", path, tensor->name);
    json_t *shape = json_array();
    for (int i = 0; shape && i < tensor->rank; i++) json_array_append_new(shape, json_integer(tensor->shape[i]));
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", kn_dtype_name(tensor->dtype), "shape", shape,
                              "data_offsets", (json_int_t)begin, (json_int_t)end);
    if (!entry || json_object_set_new(header, tensor->name, entry) != 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': the name is not UTF-8 or memory ran out", path,
                       tensor->name);
    return true;
}

/* The header's text, padded with spaces to a multiple of 8 as the reference writer does; freed with free(). */
static char *build_header(const kn_stored_tensor *tensors, size_t count, const char *path, size_t *length,
                          kn_error *error) {
    json_t *header = json_object();
    char *text = NULL, *padded = NULL;
    bool ok = header || kn_fail(error, KN_ERROR_MEMORY, "%s: memory ran out", path);
    size_t begin = 0, bytes;
    for (size_t i = 0; ok && i < count; i++) {
        ok = tensor_bytes(&tensors[i], path, &bytes, error) &&
             add_entry(header, &tensors[i], begin, begin + bytes, path, error);
        begin += ok ? bytes : 0;
    }
    if (ok) {
        text = json_dumps(header, JSON_COMPACT);
        size_t used = text ? strlen(text) : 0;
        *length = (used + 7) / 8 * 8;
        padded = text ? malloc(*length + 1) : NULL;
        if (padded) {
            memset(padded, ' ', *length);
            memcpy(padded, text, used);
        } else {
            kn_fail(error, KN_ERROR_MEMORY, "%s: memory ran out", path);
        }
    }
    free(text);
    json_decref(header);
    return padded;
}

static bool write_tensors(FILE *stream, const char *path, const kn_stored_tensor *tensors, size_t count,
                          kn_tensor_source *source, void *user, kn_error *error) {
    for (size_t i = 0; i < count; i++) {
        size_t bytes = 0;
        if (!tensor_bytes(&tensors[i], path, &bytes, error)) return false;
        const uint8_t *data = bytes ? source(user, i, error) : NULL;
        if (bytes && !data) return false;
        if (bytes && fwrite(data, 1, bytes, stream) != bytes)
            return kn_fail(error, KN_ERROR_IO, "%s: writing failed (disk full?)", path);
    }
    return true;
}

bool kn_safetensors_write_from(const char *path, const kn_stored_tensor *tensors, size_t count,
                               kn_tensor_source *source, void *user, kn_error *error) {
    size_t length;
    char *header = build_header(tensors, count, path, &length, error);
    if (!header) return false;
    kn_file_writer writer;
    if (!kn_file_writer_init(&writer, path, error)) {
        free(header);
        return false;
    }
    uint8_t prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (uint8_t)((uint64_t)length >> (8 * i));
    bool ok = fwrite(prefix, 1, 8, writer.stream) == 8 && fwrite(header, 1, length, writer.stream) == length;
    free(header);
    ok = ok ? write_tensors(writer.stream, path, tensors, count, source, user, error)
            : kn_fail(error, KN_ERROR_IO, "%s: writing failed (disk full?)", path);
    if (!ok) {
        kn_file_writer_finish(&writer);
        return false;
    }
    return kn_file_writer_commit(&writer, error);
}

static const uint8_t *own_data(void *user, size_t index, kn_error *error) {
    return ((const kn_stored_tensor *)user)[index].data;
}

bool kn_safetensors_write(const char *path, const kn_stored_tensor *tensors, size_t count, kn_error *error) {
    return kn_safetensors_write_from(path, tensors, count, own_data, (void *)(uintptr_t)tensors, error);
}
