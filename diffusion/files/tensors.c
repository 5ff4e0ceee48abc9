#include "diffusion/files/tensors.h"

#include "diffusion/files/quantise.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    size_t block, size;
} dtypes[KN_DTYPE_COUNT] = {
    [KN_DTYPE_F64] = {"F64", 1, 8},       [KN_DTYPE_F32] = {"F32", 1, 4},       [KN_DTYPE_F16] = {"F16", 1, 2},
    [KN_DTYPE_BF16] = {"BF16", 1, 2},     [KN_DTYPE_I64] = {"I64", 1, 8},       [KN_DTYPE_I32] = {"I32", 1, 4},
    [KN_DTYPE_I16] = {"I16", 1, 2},       [KN_DTYPE_I8] = {"I8", 1, 1},         [KN_DTYPE_U8] = {"U8", 1, 1},
    [KN_DTYPE_BOOL] = {"BOOL", 1, 1},     [KN_DTYPE_Q8_0] = {"Q8_0", 32, 34},   [KN_DTYPE_Q4_0] = {"Q4_0", 32, 18},
    [KN_DTYPE_Q4_K] = {"Q4_K", 256, 144}, [KN_DTYPE_Q5_K] = {"Q5_K", 256, 176}, [KN_DTYPE_Q6_K] = {"Q6_K", 256, 210}};

const char *kn_dtype_name(kn_dtype dtype) { return dtypes[dtype].name; }
size_t kn_dtype_block(kn_dtype dtype) { return dtypes[dtype].block; }
size_t kn_dtype_size(kn_dtype dtype) { return dtypes[dtype].size; }
bool kn_dtype_is_float(kn_dtype dtype) { return dtype <= KN_DTYPE_BF16 || dtype >= KN_DTYPE_PLAIN_COUNT; }

kn_dtype kn_dtype_from_name(const char *name) {
    int i = 0;
    while (i < KN_DTYPE_COUNT && strcasecmp(dtypes[i].name, name) != 0) i++;
    return (kn_dtype)i;
}

/* --- numbers ---------------------------------------------------------------------------------- */

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
    if (bits > 0x7f800000u) return sign | 0x7e00;
    if (bits >= 0x47800000u) return sign | 0x7c00;
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

uint16_t kn_float_to_bfloat(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40); /* stays a NaN */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static float float_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static float element(const uint8_t *at, kn_dtype dtype) {
    int16_t i16;
    int32_t i32;
    int64_t i64;
    double f64;
    switch (dtype) {
    case KN_DTYPE_F64: memcpy(&f64, at, 8); return (float)f64;
    case KN_DTYPE_I64: memcpy(&i64, at, 8); return (float)i64;
    case KN_DTYPE_I32: memcpy(&i32, at, 4); return (float)i32;
    case KN_DTYPE_I16: memcpy(&i16, at, 2); return (float)i16;
    case KN_DTYPE_I8: return (float)(int8_t)*at;
    default: return (float)*at; /* U8, BOOL */
    }
}

static void halves_to_float(const uint8_t *data, size_t count, float *out) {
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, data + 2 * i, 2);
        out[i] = kn_half_to_float(half);
    }
}

static void bfloats_to_float(const uint8_t *data, size_t count, float *out) {
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, data + 2 * i, 2);
        out[i] = float_from_bits((uint32_t)bits << 16);
    }
}

size_t kn_stored_tensor_bytes(const kn_stored_tensor *tensor) {
    return tensor->count / kn_dtype_block(tensor->dtype) * kn_dtype_size(tensor->dtype);
}

void kn_stored_tensor_to_float(const kn_stored_tensor *tensor, float *out) {
    size_t size = kn_dtype_size(tensor->dtype);
    if (tensor->count == 0) return;
    if (tensor->dtype == KN_DTYPE_F32) memcpy(out, tensor->data, tensor->count * 4);
    else if (tensor->dtype == KN_DTYPE_F16) halves_to_float(tensor->data, tensor->count, out);
    else if (tensor->dtype == KN_DTYPE_BF16) bfloats_to_float(tensor->data, tensor->count, out);
    else if (tensor->dtype >= KN_DTYPE_PLAIN_COUNT) kn_dequantise(tensor->dtype, tensor->data, tensor->count, out);
    else
        for (size_t i = 0; i < tensor->count; i++) out[i] = element(tensor->data + i * size, tensor->dtype);
}

void kn_stored_tensor_row(const kn_stored_tensor *tensor, size_t row, float *out) {
    kn_stored_tensor one = *tensor;
    one.count = tensor->count / (size_t)tensor->shape[0];
    one.data = tensor->data + row * kn_stored_tensor_bytes(&one);
    kn_stored_tensor_to_float(&one, out);
}

void kn_stored_tensor_shape(const kn_stored_tensor *tensor, char *text, size_t size) {
    int used = snprintf(text, size, "[");
    for (int i = 0; i < tensor->rank && used >= 0 && (size_t)used < size; i++)
        used += snprintf(text + used, size - (size_t)used, "%s%lld", i ? ", " : "", (long long)tensor->shape[i]);
    if (used >= 0 && (size_t)used < size) snprintf(text + used, size - (size_t)used, "]");
}

/* --- archives --------------------------------------------------------------------------------- */

static bool read_any(kn_archive *archive, const uint8_t *data, size_t size, kn_error *error) {
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) return kn_gguf_read(archive, data, size, error);
    if (size >= 4 && memcmp(data, "PK\3\4", 4) == 0) return kn_torch_read(archive, data, size, error);
    if (size >= 2 && data[0] == 0x80 && data[1] <= 5)
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "%s: a pickle without a zip archive around it (PyTorch before 1.6): save it again with a newer "
                       "torch.save, or convert it to safetensors",
                       archive->path);
    return kn_safetensors_read(archive, data, size, error);
}

static bool archive_init(kn_archive **out, const char *label, kn_error *error) {
    *out = NULL;
    kn_archive *archive = kn_alloc(1, sizeof *archive, error);
    if (!archive) return false;
    archive->path = kn_strdup(label, error);
    *out = archive;
    if (!archive->path) kn_archive_close(out);
    return *out != NULL;
}

bool kn_archive_parse_as(kn_archive **out, const uint8_t *data, size_t size, const char *label,
                         kn_archive_reader *reader, kn_error *error) {
    if (!archive_init(out, label, error)) return false;
    if (!reader(*out, data, size, error)) kn_archive_close(out);
    return *out != NULL;
}

bool kn_archive_open_as(kn_archive **out, const char *path, kn_archive_reader *reader, kn_error *error) {
    if (!archive_init(out, path, error)) return false;
    kn_archive *archive = *out;
    if (!kn_file_map_init(&archive->map, path, error) || !reader(archive, archive->map.data, archive->map.size, error))
        kn_archive_close(out);
    return *out != NULL;
}

bool kn_archive_open(kn_archive **archive, const char *path, kn_error *error) {
    return kn_archive_open_as(archive, path, read_any, error);
}

bool kn_archive_parse(kn_archive **archive, const uint8_t *data, size_t size, const char *label, kn_error *error) {
    return kn_archive_parse_as(archive, data, size, label, read_any, error);
}

void kn_archive_close(kn_archive **out) {
    if (!out || !*out) return;
    kn_archive *archive = *out;
    kn_file_map_finish(&archive->map);
    kn_arena_finish(&archive->arena);
    kn_free(archive->tensors);
    kn_free(archive->path);
    kn_free(archive);
    *out = NULL;
}

static int compare_name(const void *a, const void *b) {
    return strcmp(((const kn_stored_tensor *)a)->name, ((const kn_stored_tensor *)b)->name);
}

const kn_stored_tensor *kn_archive_find(const kn_archive *archive, const char *name) {
    kn_stored_tensor key = {.name = name};
    return archive->count ? bsearch(&key, archive->tensors, archive->count, sizeof *archive->tensors, compare_name)
                          : NULL;
}

kn_stored_tensor *kn_archive_add(kn_archive *archive, const char *name, size_t length, kn_error *error) {
    if (!kn_grow(&archive->tensors, &archive->capacity, archive->count + 1, sizeof *archive->tensors, error))
        return NULL;
    char *copy = kn_arena_alloc(&archive->arena, length + 1, 1, error);
    if (!copy) return NULL;
    memcpy(copy, name, length);
    kn_stored_tensor *tensor = &archive->tensors[archive->count++];
    *tensor = (kn_stored_tensor){.name = copy, .path = archive->path};
    return tensor;
}

bool kn_archive_refuse(const kn_archive *archive, const char *name, const char *reason, kn_error *error) {
    return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%.200s': %s", archive->path, name, reason);
}

bool kn_archive_count(const kn_archive *archive, kn_stored_tensor *tensor, kn_error *error) {
    tensor->count = 1;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] < 0)
            return kn_archive_refuse(archive, tensor->name, "dimensions must be integers of 0 or more", error);
        if (__builtin_mul_overflow(tensor->count, (size_t)tensor->shape[i], &tensor->count))
            return kn_archive_refuse(archive, tensor->name, "the product of the shape overflows", error);
    }
    return true;
}

bool kn_archive_sort(kn_archive *archive, kn_error *error) {
    if (archive->count) qsort(archive->tensors, archive->count, sizeof *archive->tensors, compare_name);
    for (size_t i = 1; i < archive->count; i++) {
        if (strcmp(archive->tensors[i - 1].name, archive->tensors[i].name) == 0)
            return kn_archive_refuse(archive, archive->tensors[i].name, "the name is used twice", error);
    }
    return true;
}
