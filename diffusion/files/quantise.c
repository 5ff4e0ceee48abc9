#include "diffusion/files/quantise.h"

#include <math.h>
#include <string.h>

static float get_half(const uint8_t *at) {
    uint16_t half;
    memcpy(&half, at, 2);
    return kn_half_to_float(half);
}

/* Stores a scale and returns what a reader will see. */
static float put_half(uint8_t *at, float value) {
    uint16_t half = kn_float_to_half(fminf(value, 65504));
    if (value < -65504) half = kn_float_to_half(-65504);
    memcpy(at, &half, 2);
    return kn_half_to_float(half);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void read_q8_0(const uint8_t *block, float *out) {
    float d = get_half(block);
    for (int i = 0; i < 32; i++) out[i] = d * (float)(int8_t)block[2 + i];
}

static void read_q4_0(const uint8_t *block, float *out) {
    float d = get_half(block);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((block[2 + i] & 15) - 8);
        out[i + 16] = d * (float)((block[2 + i] >> 4) - 8);
    }
}

/* The six-bit scale and minimum of group i of 8: the first four lie in the low 6 bits of bytes 0-3 and 4-7; of the
 * others bytes 8-11 hold the low 4 bits, and the top 2 bits of bytes 0-7 the high ones. */
static void get_scale(const uint8_t *packed, int i, int *scale, int *minimum) {
    if (i < 4) {
        *scale = packed[i] & 63;
        *minimum = packed[i + 4] & 63;
    } else {
        *scale = (packed[i + 4] & 15) | packed[i - 4] >> 6 << 4;
        *minimum = packed[i + 4] >> 4 | packed[i] >> 6 << 4;
    }
}

static void put_scale(uint8_t *packed, int i, int scale, int minimum) {
    if (i < 4) {
        packed[i] |= (uint8_t)scale;
        packed[i + 4] |= (uint8_t)minimum;
    } else {
        packed[i + 4] = (uint8_t)((scale & 15) | (minimum & 15) << 4);
        packed[i - 4] |= (uint8_t)(scale >> 4 << 6);
        packed[i] |= (uint8_t)(minimum >> 4 << 6);
    }
}

/* Groups 2 j and 2 j + 1 share 32 bytes of low bits: low and high halves; `high` (Q5_K) has bit `group` of every
 * element. */
static void read_k(const uint8_t *block, const uint8_t *high, const uint8_t *low, float *out) {
    float d = get_half(block), m = get_half(block + 2);
    for (int group = 0; group < 8; group++) {
        int scale, minimum;
        get_scale(block + 4, group, &scale, &minimum);
        float step = d * (float)scale, offset = m * (float)minimum;
        for (int i = 0; i < 32; i++) {
            int q = low[group / 2 * 32 + i] >> (group % 2 * 4) & 15;
            if (high) q |= (high[i] >> group & 1) << 4;
            out[group * 32 + i] = step * (float)q - offset;
        }
    }
}

/* Two halves of 128 elements; in each, quarter k of 32 has its low bits in bytes (k % 2) * 32... , half k / 2. */
static void read_q6_k(const uint8_t *block, float *out) {
    const uint8_t *low = block, *high = block + 128;
    const int8_t *scales = (const int8_t *)block + 192;
    float d = get_half(block + 208);
    for (int i = 0; i < 256; i++) {
        int half = i / 128, quarter = i / 32 % 4, place = i % 32;
        int q = (low[half * 64 + quarter % 2 * 32 + place] >> (quarter / 2 * 4) & 15) |
                (high[half * 32 + place] >> (2 * quarter) & 3) << 4;
        out[i] = d * (float)scales[i / 16] * (float)(q - 32);
    }
}

static void read_q4_1(const uint8_t *block, float *out) {
    float d = get_half(block), m = get_half(block + 2);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)(block[4 + i] & 15) + m;
        out[i + 16] = d * (float)(block[4 + i] >> 4) + m;
    }
}

/* `q`: 4 bytes with the fifth bit of every element, then 16 with the others as in Q4_0; x = d q + offset. */
static void read_q5(const uint8_t *q, float d, float offset, float *out) {
    for (int i = 0; i < 32; i++) {
        int low = q[4 + i % 16] >> (i / 16 * 4) & 15, high = q[i / 8] >> (i % 8) & 1;
        out[i] = d * (float)(low | high << 4) + offset;
    }
}

/* Two halves of 128 elements, each in quarters of 32: quarter k of a half has bits 2 k and 2 k + 1 of its 32 bytes. */
static int two_bits(const uint8_t *q, int i) { return q[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3; }

/* 16 groups, each with a 4-bit scale and minimum. */
static void read_q2_k(const uint8_t *block, float *out) {
    float d = get_half(block + 80), m = get_half(block + 82);
    for (int i = 0; i < 256; i++) {
        int scales = block[i / 16];
        out[i] = d * (float)(scales & 15) * (float)two_bits(block + 16, i) - m * (float)(scales >> 4);
    }
}

/* 16 groups with 6-bit scales: low halves in the nibbles of 8 bytes, high bits in pairs in 4 more. Elements have a
 * third bit in the first 32 bytes. */
static void read_q3_k(const uint8_t *block, float *out) {
    const uint8_t *packed = block + 96;
    float d = get_half(block + 108);
    for (int i = 0; i < 256; i++) {
        int group = i / 16, low = packed[group % 8] >> (group / 8 * 4) & 15,
            high = packed[8 + group % 4] >> (group / 4 * 2) & 3;
        int q = two_bits(block + 32, i) | (block[i % 32] >> (i / 32) & 1) << 2;
        out[i] = d * (float)((low | high << 4) - 32) * (float)(q - 4);
    }
}

void kn_dequantise(kn_dtype dtype, const uint8_t *blocks, size_t count, float *out) {
    size_t block = kn_dtype_block(dtype), size = kn_dtype_size(dtype);
    for (size_t i = 0; i < count / block; i++, blocks += size, out += block) {
        switch (dtype) {
        case KN_DTYPE_Q8_0: read_q8_0(blocks, out); break;
        case KN_DTYPE_Q4_0: read_q4_0(blocks, out); break;
        case KN_DTYPE_Q4_1: read_q4_1(blocks, out); break;
        case KN_DTYPE_Q5_0: read_q5(blocks + 2, get_half(blocks), -16 * get_half(blocks), out); break;
        case KN_DTYPE_Q5_1: read_q5(blocks + 4, get_half(blocks), get_half(blocks + 2), out); break;
        case KN_DTYPE_Q2_K: read_q2_k(blocks, out); break;
        case KN_DTYPE_Q3_K: read_q3_k(blocks, out); break;
        case KN_DTYPE_Q4_K: read_k(blocks, NULL, blocks + 16, out); break;
        case KN_DTYPE_Q5_K: read_k(blocks, blocks + 16, blocks + 48, out); break;
        default: read_q6_k(blocks, out); break;
        }
    }
}

/* --- writing ---------------------------------------------------------------------------------- */

static int round_to(float value, int low, int high) {
    float rounded = nearbyintf(value);
    return rounded <= (float)low ? low : rounded >= (float)high ? high : (int)rounded;
}

/* The element of largest magnitude, with its sign. */
static float extreme(const float *x, int count) {
    float best = 0;
    for (int i = 0; i < count; i++) {
        if (fabsf(x[i]) > fabsf(best)) best = x[i];
    }
    return best;
}

static void write_q8_0(const float *x, uint8_t *block) {
    float d = put_half(block, fabsf(extreme(x, 32)) / 127), inverse = d ? 1 / d : 0;
    for (int i = 0; i < 32; i++) block[2 + i] = (uint8_t)(int8_t)round_to(x[i] * inverse, -127, 127);
}

/* The extreme becomes -8, the value that has no opposite. */
static void write_q4_0(const float *x, uint8_t *block) {
    float d = put_half(block, extreme(x, 32) / -8), inverse = d ? 1 / d : 0;
    for (int i = 0; i < 16; i++)
        block[2 + i] = (uint8_t)(round_to(x[i] * inverse + 8, 0, 15) | round_to(x[i + 16] * inverse + 8, 0, 15) << 4);
}

/* A step and an offset of 0 or more with x about step q - offset, q in 0..top: from the range, then twice by least
 * squares. */
static void fit(const float *x, int top, float *step, float *offset) {
    float low = 0, high = x[0];
    for (int i = 0; i < 32; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    *step = (high - low) / (float)top, *offset = -low;
    for (int round = 0; round < 2 && *step > 0; round++) {
        double n = 32, sq = 0, sqq = 0, sx = 0, sqx = 0;
        for (int i = 0; i < 32; i++) {
            double q = round_to((x[i] + *offset) / *step, 0, top);
            sq += q, sqq += q * q, sx += (double)x[i], sqx += q * (double)x[i];
        }
        double determinant = n * sqq - sq * sq;
        if (determinant <= 0) return;
        double slope = (n * sqx - sq * sx) / determinant, base = (sx - slope * sq) / n;
        if (base > 0) { /* the format has no positive base */
            base = 0;
            slope = sqx / sqq;
        }
        if (!(slope > 0)) return;
        *step = (float)slope, *offset = (float)-base;
    }
}

static void write_k(const float *x, uint8_t *block, uint8_t *high, uint8_t *low) {
    int top = high ? 31 : 15;
    float steps[8], offsets[8], largest_step = 0, largest_offset = 0;
    for (int group = 0; group < 8; group++) {
        fit(x + 32 * group, top, &steps[group], &offsets[group]);
        largest_step = fmaxf(largest_step, steps[group]);
        largest_offset = fmaxf(largest_offset, offsets[group]);
    }
    float d = put_half(block, largest_step / 63), m = put_half(block + 2, largest_offset / 63);
    for (int group = 0; group < 8; group++) {
        int scale = d > 0 ? round_to(steps[group] / d, 0, 63) : 0,
            minimum = m > 0 ? round_to(offsets[group] / m, 0, 63) : 0;
        put_scale(block + 4, group, scale, minimum);
        float step = d * (float)scale, inverse = step > 0 ? 1 / step : 0, offset = m * (float)minimum;
        for (int i = 0; i < 32; i++) {
            int q = round_to((x[32 * group + i] + offset) * inverse, 0, top);
            low[group / 2 * 32 + i] |= (uint8_t)((q & 15) << (group % 2 * 4));
            if (high) high[i] |= (uint8_t)((q >> 4) << group);
        }
    }
}

static void write_q6_k(const float *x, uint8_t *block) {
    float steps[16];
    for (int i = 0; i < 16; i++) steps[i] = extreme(x + 16 * i, 16) / -32;
    float d = put_half(block + 208, fabsf(extreme(steps, 16)) / 127);
    for (int i = 0; i < 256; i++) {
        int scale = d > 0 ? round_to(steps[i / 16] / d, -127, 127) : 0, half = i / 128, quarter = i / 32 % 4,
            place = i % 32;
        float step = d * (float)scale;
        int q = step != 0 ? round_to(x[i] / step + 32, 0, 63) : 32;
        block[192 + i / 16] = (uint8_t)(int8_t)scale;
        block[half * 64 + quarter % 2 * 32 + place] |= (uint8_t)((q & 15) << (quarter / 2 * 4));
        block[128 + half * 32 + place] |= (uint8_t)(q >> 4 << (2 * quarter));
    }
}

bool kn_can_quantise(kn_dtype dtype) {
    return dtype == KN_DTYPE_Q8_0 || dtype == KN_DTYPE_Q4_0 || dtype == KN_DTYPE_Q4_K || dtype == KN_DTYPE_Q5_K ||
           dtype == KN_DTYPE_Q6_K;
}

void kn_quantise(kn_dtype dtype, const float *values, size_t count, uint8_t *out) {
    size_t block = kn_dtype_block(dtype), size = kn_dtype_size(dtype);
    memset(out, 0, count / block * size);
    for (size_t i = 0; i < count / block; i++, values += block, out += size) {
        float x[256];
        for (size_t j = 0; j < block; j++) x[j] = isfinite(values[j]) ? values[j] : 0;
        switch (dtype) {
        case KN_DTYPE_Q8_0: write_q8_0(x, out); break;
        case KN_DTYPE_Q4_0: write_q4_0(x, out); break;
        case KN_DTYPE_Q4_K: write_k(x, out, NULL, out + 16); break;
        case KN_DTYPE_Q5_K: write_k(x, out, out + 16, out + 48); break;
        default: write_q6_k(x, out); break;
        }
    }
}

void kn_floats_to(kn_dtype dtype, const float *values, size_t count, uint8_t *out) {
    if (dtype >= KN_DTYPE_PLAIN_COUNT) {
        kn_quantise(dtype, values, count, out);
        return;
    }
    if (dtype == KN_DTYPE_F32) {
        memcpy(out, values, count * 4);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        double wide = (double)values[i];
        uint16_t half = dtype == KN_DTYPE_BF16 ? kn_float_to_bfloat(values[i]) : kn_float_to_half(values[i]);
        if (dtype == KN_DTYPE_F64) memcpy(out + 8 * i, &wide, 8);
        else memcpy(out + 2 * i, &half, 2);
    }
}
