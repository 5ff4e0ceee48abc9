#include "diffusion/files/tensors.h"

#include "diffusion/files/quantise.h"

#include <math.h>
#include <string.h>

static float float_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* Four bits of exponent, bias 7; only 0x7f and 0xff are no numbers. */
static float e4m3_to_float(uint8_t bits) {
    int exponent = bits >> 3 & 15, mantissa = bits & 7;
    float value = (bits & 0x7f) == 0x7f ? NAN
                  : exponent            ? ldexpf((float)(8 + mantissa), exponent - 10)
                                        : ldexpf((float)mantissa, -9);
    return bits & 0x80 ? -value : value;
}

static float element(const uint8_t *at, kn_dtype dtype) {
    int16_t i16;
    int32_t i32;
    int64_t i64;
    double f64;
    switch (dtype) {
    case KN_DTYPE_F64: memcpy(&f64, at, 8); return (float)f64;
    case KN_DTYPE_F8_E4M3: return e4m3_to_float(*at);
    case KN_DTYPE_F8_E5M2: return kn_half_to_float((uint16_t)(*at << 8));
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
    for (size_t i = 0; tensor->scale != 0 && i < tensor->count; i++) out[i] *= tensor->scale;
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
