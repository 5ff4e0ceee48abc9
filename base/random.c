#include "base/random.h"

#include "base/base.h"
#include "base/vecmath.h"

void kn_mt19937_init(kn_mt19937 *rng, uint64_t seed) {
    rng->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < 624; i++) rng->state[i] = 1812433253u * (rng->state[i - 1] ^ rng->state[i - 1] >> 30) + i;
    rng->index = 624;
}

static void refill(kn_mt19937 *rng) {
    for (int i = 0; i < 624; i++) {
        uint32_t y = (rng->state[i] & 0x80000000u) | (rng->state[(i + 1) % 624] & 0x7fffffffu);
        rng->state[i] = rng->state[(i + 397) % 624] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    rng->index = 0;
}

uint32_t kn_mt19937_next(kn_mt19937 *rng) {
    if (rng->index >= 624) refill(rng);
    uint32_t y = rng->state[rng->index++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

/* 24 random bits as a float in [0, 1): what PyTorch's fp32 uniform uses. */
static float uniform24(kn_mt19937 *rng) { return (float)(kn_mt19937_next(rng) & 0xffffff) * 0x1p-24f; }

static double uniform53(kn_mt19937 *rng) {
    uint64_t high = kn_mt19937_next(rng), low = kn_mt19937_next(rng);
    return (double)((high << 32 | low) & 0x1fffffffffffffu) * 0x1p-53;
}

/* Sixteen uniforms become sixteen normals in place (Box-Muller on halves). */
static void box_muller_16(float *data) {
    for (int i = 0; i < 8; i++) {
        float u1 = 1 - data[i], u2 = data[i + 8];
        float radius = sqrtf(-2 * logf(u1)), theta = (float)(2 * M_PI) * u2;
        data[i] = radius * cosf(theta);
        data[i + 8] = radius * sinf(theta);
    }
}

void kn_randn_torch_cpu(kn_mt19937 *rng, float *out, size_t count) {
    if (count >= 16) {
        for (size_t i = 0; i < count; i++) out[i] = uniform24(rng);
        for (size_t i = 0; i + 16 <= count; i += 16) box_muller_16(out + i);
        if (count % 16) { /* the last sixteen are drawn again */
            for (size_t i = count - 16; i < count; i++) out[i] = uniform24(rng);
            box_muller_16(out + count - 16);
        }
        return;
    }
    double kept = 0;
    bool have = false;
    for (size_t i = 0; i < count; i++) {
        if (have) {
            out[i] = (float)kept;
            have = false;
            continue;
        }
        double u1 = uniform53(rng), u2 = uniform53(rng);
        double radius = sqrt(-2 * log1p(-u2)), theta = 2 * M_PI * u1;
        out[i] = (float)(radius * cos(theta));
        kept = radius * sin(theta);
        have = true;
    }
}

static void philox(uint32_t counter[4], uint64_t seed) {
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int i = 0; i < 10; i++) {
        uint64_t a = (uint64_t)0xd2511f53u * counter[0], b = (uint64_t)0xcd9e8d57u * counter[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ counter[1] ^ key[0], (uint32_t)b,
                            (uint32_t)(a >> 32) ^ counter[3] ^ key[1], (uint32_t)a};
        for (int k = 0; k < 4; k++) counter[k] = next[k];
        key[0] += 0x9e3779b9u;
        key[1] += 0xbb67ae85u;
    }
}

/* cuRAND's pair of uniforms to a pair of normals. */
static void cuda_box_muller(uint32_t x, uint32_t y, float out[2]) {
    float u = (float)x * 0x1p-32f + 0x1p-33f, v = (float)y * (0x1p-32f * 6.2831855f) + 0x1p-33f * 6.2831855f;
    float radius = sqrtf(-2 * logf(u));
    out[0] = radius * sinf(v);
    out[1] = radius * cosf(v);
}

void kn_randn_torch_cuda(uint64_t seed, uint64_t offset, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t counter[4] = {(uint32_t)offset, (uint32_t)(offset >> 32), (uint32_t)i, (uint32_t)((uint64_t)i >> 32)};
        float pair[2];
        philox(counter, seed);
        cuda_box_muller(counter[0], counter[1], pair);
        out[i] = pair[0];
    }
}

void kn_rng_init(kn_rng *rng, uint64_t seed) { rng->state = kn_hash64(seed); }

uint64_t kn_rng_next(kn_rng *rng) {
    rng->state += 0x9e3779b97f4a7c15u;
    return kn_hash64(rng->state);
}

double kn_rng_uniform(kn_rng *rng, double low, double high) {
    return low + (high - low) * ((double)(kn_rng_next(rng) >> 11) * 0x1p-53);
}

int kn_rng_int(kn_rng *rng, int low, int high) {
    return low + (int)(kn_rng_next(rng) % (uint64_t)((int64_t)high - low + 1));
}

double kn_rng_normal(kn_rng *rng) {
    double u = kn_rng_uniform(rng, 0, 1), v = kn_rng_uniform(rng, 0, 1);
    return sqrt(-2 * log1p(-u)) * cos(2 * M_PI * v);
}
