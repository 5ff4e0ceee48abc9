/* Element types and their numbers. */
#include "diffusion/files/tensors.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    size_t block, size;
} dtypes[KN_DTYPE_COUNT] = {[KN_DTYPE_F64] = {"F64", 1, 8},         [KN_DTYPE_F32] = {"F32", 1, 4},
                            [KN_DTYPE_F16] = {"F16", 1, 2},         [KN_DTYPE_BF16] = {"BF16", 1, 2},
                            [KN_DTYPE_I64] = {"I64", 1, 8},         [KN_DTYPE_I32] = {"I32", 1, 4},
                            [KN_DTYPE_I16] = {"I16", 1, 2},         [KN_DTYPE_I8] = {"I8", 1, 1},
                            [KN_DTYPE_U8] = {"U8", 1, 1},           [KN_DTYPE_F8_E4M3] = {"F8_E4M3", 1, 1},
                            [KN_DTYPE_F8_E5M2] = {"F8_E5M2", 1, 1}, [KN_DTYPE_Q4_1] = {"Q4_1", 32, 20},
                            [KN_DTYPE_Q5_0] = {"Q5_0", 32, 22},     [KN_DTYPE_Q5_1] = {"Q5_1", 32, 24},
                            [KN_DTYPE_Q2_K] = {"Q2_K", 256, 84},    [KN_DTYPE_Q3_K] = {"Q3_K", 256, 110},
                            [KN_DTYPE_BOOL] = {"BOOL", 1, 1},       [KN_DTYPE_Q8_0] = {"Q8_0", 32, 34},
                            [KN_DTYPE_Q4_0] = {"Q4_0", 32, 18},     [KN_DTYPE_Q4_K] = {"Q4_K", 256, 144},
                            [KN_DTYPE_Q5_K] = {"Q5_K", 256, 176},   [KN_DTYPE_Q6_K] = {"Q6_K", 256, 210}};

const char *kn_dtype_name(kn_dtype dtype) { return dtypes[dtype].name; }

size_t kn_dtype_block(kn_dtype dtype) { return dtypes[dtype].block; }

size_t kn_dtype_size(kn_dtype dtype) { return dtypes[dtype].size; }

bool kn_dtype_is_float(kn_dtype dtype) { return dtype <= KN_DTYPE_F8_E5M2 || dtype >= KN_DTYPE_PLAIN_COUNT; }

kn_dtype kn_dtype_from_name(const char *name) {
    int i = 0;
    while (i < KN_DTYPE_COUNT && strcasecmp(dtypes[i].name, name) != 0) i++;
    return (kn_dtype)i;
}

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
