#include "diffusion/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT 100000000u

struct kn_safetensors {
    char *path;
    kn_file_map map; /* empty when the bytes are the caller's */
    kn_arena names;
    kn_stored_tensor *tensors;
    size_t count;
};

static const struct {
    const char *name;
    size_t size;
} dtypes[KN_DTYPE_COUNT] = {[KN_DTYPE_F64] = {"F64", 8}, [KN_DTYPE_F32] = {"F32", 4}, [KN_DTYPE_F16] = {"F16", 2}, [KN_DTYPE_BF16] = {"BF16", 2},
                            [KN_DTYPE_I64] = {"I64", 8}, [KN_DTYPE_I32] = {"I32", 4}, [KN_DTYPE_U8] = {"U8", 1}};

const char *kn_dtype_name(kn_dtype dtype) { return dtypes[dtype].name; }
size_t kn_dtype_size(kn_dtype dtype) { return dtypes[dtype].size; }

/* --- reading ----------------------------------------------------------------------------------------------------- */

static bool refuse(const kn_safetensors *file, const char *name, const char *reason, kn_error *error) {
    return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': %s", file->path, name, reason);
}

static bool read_dtype(const kn_safetensors *file, kn_stored_tensor *tensor, const json_t *value, kn_error *error) {
    const char *text = json_string_value(value);
    if (!text)
        return refuse(file, tensor->name, "'dtype' must be a string", error);
    for (int i = 0; i < KN_DTYPE_COUNT; i++) {
        if (strcmp(text, dtypes[i].name) == 0) {
            tensor->dtype = (kn_dtype)i;
            return true;
        }
    }
    return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': type '%.32s' is none of F64, F32, F16, BF16, I64, I32, U8", file->path,
                   tensor->name, text);
}

static bool read_shape(const kn_safetensors *file, kn_stored_tensor *tensor, const json_t *value, kn_error *error) {
    if (!json_is_array(value))
        return refuse(file, tensor->name, "'shape' must be an array", error);
    size_t rank = json_array_size(value);
    if (rank > KN_SAFETENSORS_MAX_RANK)
        return refuse(file, tensor->name, "more than 8 dimensions", error);
    tensor->rank = (int)rank;
    tensor->count = 1;
    for (size_t i = 0; i < rank; i++) {
        const json_t *item = json_array_get(value, i);
        json_int_t dimension = json_integer_value(item);
        if (!json_is_integer(item) || dimension < 0)
            return refuse(file, tensor->name, "dimensions must be integers of 0 or more", error);
        tensor->shape[i] = dimension;
        if (__builtin_mul_overflow(tensor->count, (size_t)dimension, &tensor->count))
            return refuse(file, tensor->name, "the product of the shape overflows", error);
    }
    return true;
}

static bool read_range(const kn_safetensors *file, kn_stored_tensor *tensor, const json_t *value, const uint8_t *data, size_t size, kn_error *error) {
    const json_t *first = json_array_get(value, 0), *second = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return refuse(file, tensor->name, "'data_offsets' must be two integers", error);
    json_int_t begin = json_integer_value(first), end = json_integer_value(second);
    if (begin < 0 || end < begin || (uint64_t)end > size)
        return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': bytes %lld to %lld lie outside the %zu bytes of data (truncated file?)",
                       file->path, tensor->name, (long long)begin, (long long)end, size);
    size_t bytes;
    if (__builtin_mul_overflow(tensor->count, kn_dtype_size(tensor->dtype), &bytes) || bytes != (uint64_t)(end - begin)) {
        char shape[200];
        kn_stored_tensor_shape(tensor, shape, sizeof shape);
        return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': shape %s of %s does not fit its %lld bytes", file->path, tensor->name,
                       shape, kn_dtype_name(tensor->dtype), (long long)(end - begin));
    }
    tensor->data = data + begin;
    return true;
}

static bool read_tensor(kn_safetensors *file, kn_stored_tensor *tensor, const char *name, json_t *entry, const uint8_t *data, size_t size, kn_error *error) {
    tensor->name = kn_arena_strdup(&file->names, name, error);
    if (!tensor->name)
        return false;
    tensor->path = file->path;
    if (!json_is_object(entry))
        return refuse(file, name, "its entry must be an object", error);
    return read_dtype(file, tensor, json_object_get(entry, "dtype"), error) && read_shape(file, tensor, json_object_get(entry, "shape"), error) &&
           read_range(file, tensor, json_object_get(entry, "data_offsets"), data, size, error);
}

static int compare_place(const void *a, const void *b) {
    const kn_stored_tensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return x->count < y->count ? -1 : x->count > y->count; /* empty tensors first */
}

static int compare_name(const void *a, const void *b) {
    return strcmp(((const kn_stored_tensor *)a)->name, ((const kn_stored_tensor *)b)->name);
}

/* The ranges must tile the data section exactly. */
static bool check_cover(kn_safetensors *file, const uint8_t *data, size_t size, kn_error *error) {
    qsort(file->tensors, file->count, sizeof *file->tensors, compare_place);
    size_t expected = 0;
    for (size_t i = 0; i < file->count; i++) {
        const kn_stored_tensor *tensor = &file->tensors[i];
        size_t begin = (size_t)(tensor->data - data);
        if (begin < expected)
            return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': its bytes overlap those of '%.200s'", file->path, tensor->name, file->tensors[i - 1].name);
        if (begin > expected)
            return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': a gap of %zu bytes lies before it", file->path, tensor->name, begin - expected);
        expected = begin + tensor->count * kn_dtype_size(tensor->dtype);
    }
    if (expected != size)
        return kn_fail(error, KN_ERROR_INPUT, "%s: %zu bytes after the last tensor belong to none", file->path, size - expected);
    qsort(file->tensors, file->count, sizeof *file->tensors, compare_name);
    return true;
}

static bool read_header(kn_safetensors *file, const json_t *header, const uint8_t *data, size_t size, kn_error *error) {
    file->tensors = kn_alloc(json_object_size(header), sizeof *file->tensors, error);
    if (!file->tensors)
        return false;
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)header, name, entry) {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        if (!read_tensor(file, &file->tensors[file->count], name, entry, data, size, error))
            return false;
        file->count++;
    }
    return check_cover(file, data, size, error);
}

static uint64_t read_u64(const uint8_t *bytes) {
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

static bool parse_bytes(kn_safetensors *file, const uint8_t *data, size_t size, kn_error *error) {
    if (size < 8)
        return kn_fail(error, KN_ERROR_INPUT, "%s: %zu bytes are too few for a safetensors file", file->path, size);
    uint64_t length = read_u64(data);
    if (length > HEADER_LIMIT)
        return kn_fail(error, KN_ERROR_INPUT, "%s: not a safetensors file (a header of %llu bytes; at most 100 MB are accepted)", file->path, (unsigned long long)length);
    if (length > size - 8)
        return kn_fail(error, KN_ERROR_INPUT, "%s: the header of %llu bytes is longer than the file (truncated file?)", file->path, (unsigned long long)length);
    if (length < 2 || data[8] != '{')
        return kn_fail(error, KN_ERROR_INPUT, "%s: not a safetensors file (the header must begin with '{')", file->path);
    json_error_t json_error;
    json_t *header = json_loadb((const char *)data + 8, (size_t)length, JSON_REJECT_DUPLICATES, &json_error);
    if (!header)
        return kn_fail(error, KN_ERROR_INPUT, "%s: header at byte %d: %s", file->path, json_error.position + 8, json_error.text);
    bool ok = read_header(file, header, data + 8 + length, size - 8 - (size_t)length, error);
    json_decref(header);
    return ok;
}

bool kn_safetensors_parse(kn_safetensors **out, const uint8_t *data, size_t size, const char *label, kn_error *error) {
    *out = NULL;
    kn_safetensors *file = kn_alloc(1, sizeof *file, error);
    if (!file)
        return false;
    file->path = kn_strdup(label, error);
    if (!file->path || !parse_bytes(file, data, size, error)) {
        kn_safetensors_close(&file);
        return false;
    }
    *out = file;
    return true;
}

bool kn_safetensors_open(kn_safetensors **out, const char *path, kn_error *error) {
    *out = NULL;
    kn_file_map map;
    if (!kn_file_map_init(&map, path, error))
        return false;
    if (!kn_safetensors_parse(out, map.data, map.size, path, error)) {
        kn_file_map_finish(&map);
        return false;
    }
    (*out)->map = map;
    return true;
}

void kn_safetensors_close(kn_safetensors **file) {
    if (!file || !*file)
        return;
    kn_file_map_finish(&(*file)->map);
    kn_arena_finish(&(*file)->names);
    kn_free((*file)->tensors);
    kn_free((*file)->path);
    kn_free(*file);
    *file = NULL;
}

const kn_stored_tensor *kn_safetensors_tensors(const kn_safetensors *file, size_t *count) {
    *count = file->count;
    return file->tensors;
}

const kn_stored_tensor *kn_safetensors_find(const kn_safetensors *file, const char *name) {
    kn_stored_tensor key = {.name = name};
    return bsearch(&key, file->tensors, file->count, sizeof *file->tensors, compare_name);
}

/* --- numbers ------------------------------------------------------------------------------------------------------- */

float kn_half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023, bits;
    if (exponent == 31) {
        bits = sign | 0x7f800000u | mantissa << 13;
    } else if (exponent > 0) {
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    } else {
        float value = (float)mantissa * 0x1p-24f;
        return sign ? -value : value;
    }
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

uint16_t kn_float_to_half(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u)
        return sign | 0x7e00;
    if (bits >= 0x47800000u)
        return sign | 0x7c00;
    if (bits < 0x38800000u) { /* subnormal: a multiple of 2^-24 */
        float magnitude;
        memcpy(&magnitude, &bits, 4);
        magnitude += 0.5f; /* 0.5 has an ulp of 2^-24: the addition rounds */
        memcpy(&bits, &magnitude, 4);
        return (uint16_t)(sign | (bits - 0x3f000000u));
    }
    uint32_t rounded = bits + 0xfffu + (bits >> 13 & 1);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

static float float_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static float element(const kn_stored_tensor *tensor, size_t i) {
    const uint8_t *at = tensor->data + i * kn_dtype_size(tensor->dtype);
    uint16_t u16;
    int32_t i32;
    int64_t i64;
    double f64;
    float f32;
    switch (tensor->dtype) {
    case KN_DTYPE_F64: memcpy(&f64, at, 8); return (float)f64;
    case KN_DTYPE_F16: memcpy(&u16, at, 2); return kn_half_to_float(u16);
    case KN_DTYPE_BF16: memcpy(&u16, at, 2); return float_from_bits((uint32_t)u16 << 16);
    case KN_DTYPE_I64: memcpy(&i64, at, 8); return (float)i64;
    case KN_DTYPE_I32: memcpy(&i32, at, 4); return (float)i32;
    case KN_DTYPE_U8: return (float)*at;
    default: memcpy(&f32, at, 4); return f32;
    }
}

void kn_stored_tensor_to_float(const kn_stored_tensor *tensor, float *out) {
    if (tensor->dtype == KN_DTYPE_F32 && tensor->count > 0) {
        memcpy(out, tensor->data, tensor->count * 4);
        return;
    }
    for (size_t i = 0; i < tensor->count; i++)
        out[i] = element(tensor, i);
}

void kn_stored_tensor_shape(const kn_stored_tensor *tensor, char *text, size_t size) {
    int used = snprintf(text, size, "[");
    for (int i = 0; i < tensor->rank && used >= 0 && (size_t)used < size; i++)
        used += snprintf(text + used, size - (size_t)used, "%s%lld", i ? ", " : "", (long long)tensor->shape[i]);
    if (used >= 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, "]");
}

/* --- writing ------------------------------------------------------------------------------------------------------- */

static bool tensor_bytes(const kn_stored_tensor *tensor, const char *path, size_t *bytes, kn_error *error) {
    *bytes = kn_dtype_size(tensor->dtype);
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] < 0 || __builtin_mul_overflow(*bytes, (size_t)tensor->shape[i], bytes))
            return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': the product of the shape overflows", path, tensor->name);
    }
    return true;
}

static bool add_entry(json_t *header, const kn_stored_tensor *tensor, size_t begin, size_t end, const char *path, kn_error *error) {
    if (json_object_get(header, tensor->name))
        return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': the name is used twice", path, tensor->name);
    json_t *shape = json_array();
    for (int i = 0; shape && i < tensor->rank; i++)
        json_array_append_new(shape, json_integer(tensor->shape[i]));
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", kn_dtype_name(tensor->dtype), "shape", shape, "data_offsets", (json_int_t)begin, (json_int_t)end);
    if (!entry || json_object_set_new(header, tensor->name, entry) != 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': the name is not UTF-8 or memory ran out", path, tensor->name);
    return true;
}

/* The header's text, padded with spaces to a multiple of 8 as the reference writer does; freed with free(). */
static char *build_header(const kn_stored_tensor *tensors, size_t count, const char *path, size_t *length, kn_error *error) {
    json_t *header = json_object();
    char *text = NULL, *padded = NULL;
    bool ok = header || kn_fail(error, KN_ERROR_MEMORY, "%s: memory ran out", path);
    size_t begin = 0, bytes;
    for (size_t i = 0; ok && i < count; i++) {
        ok = tensor_bytes(&tensors[i], path, &bytes, error) && add_entry(header, &tensors[i], begin, begin + bytes, path, error);
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

bool kn_safetensors_write(const char *path, const kn_stored_tensor *tensors, size_t count, kn_error *error) {
    size_t length;
    char *header = build_header(tensors, count, path, &length, error);
    if (!header)
        return false;
    kn_file_writer writer;
    if (!kn_file_writer_init(&writer, path, error)) {
        free(header);
        return false;
    }
    uint8_t prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (uint8_t)((uint64_t)length >> (8 * i));
    bool ok = fwrite(prefix, 1, 8, writer.stream) == 8 && fwrite(header, 1, length, writer.stream) == length;
    for (size_t i = 0; ok && i < count; i++) {
        size_t bytes = 0;
        ok = tensor_bytes(&tensors[i], path, &bytes, error) && (bytes == 0 || fwrite(tensors[i].data, 1, bytes, writer.stream) == bytes);
    }
    free(header);
    if (!ok) {
        kn_file_writer_finish(&writer);
        return kn_fail(error, KN_ERROR_IO, "%s: writing failed (disk full?)", path);
    }
    return kn_file_writer_commit(&writer, error);
}
