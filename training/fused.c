/* Group normalisation followed by SiLU on bfloat16 channels-last tensors, forward and backward, for training on a CPU:
 * PyTorch 1.13 spends most of a small network's time on these. Built by fused.py; single-threaded. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline float load(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static inline uint16_t store(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

enum { MAX_CHANNELS = 2048 };

/* x, y: [n][pixels][c]; mean, rstd: [n][groups]; silu: 0 or 1 */
void group_norm_forward(const uint16_t *x, uint16_t *y, const float *gamma, const float *beta, float *mean, float *rstd,
                        int n, int pixels, int c, int groups, float eps, int silu) {
    int size = c / groups;
    for (int b = 0; b < n; b++) {
        const uint16_t *xb = x + (size_t)b * pixels * c;
        uint16_t *yb = y + (size_t)b * pixels * c;
        float sum[MAX_CHANNELS] = {0}, square[MAX_CHANNELS] = {0}, scale[MAX_CHANNELS], shift[MAX_CHANNELS];
        for (int p = 0; p < pixels; p++)
            for (int i = 0; i < c; i++) {
                float v = load(xb[(size_t)p * c + i]);
                sum[i] += v;
                square[i] += v * v;
            }
        for (int g = 0; g < groups; g++) {
            double s = 0, q = 0, count = (double)pixels * size;
            for (int i = g * size; i < (g + 1) * size; i++) s += sum[i], q += square[i];
            double m = s / count, variance = fmax(q / count - m * m, 0);
            mean[b * groups + g] = (float)m;
            rstd[b * groups + g] = (float)(1 / sqrt(variance + eps));
            for (int i = g * size; i < (g + 1) * size; i++) {
                scale[i] = gamma[i] * rstd[b * groups + g];
                shift[i] = beta[i] - (float)m * scale[i];
            }
        }
        for (int p = 0; p < pixels; p++)
            for (int i = 0; i < c; i++) {
                float h = load(xb[(size_t)p * c + i]) * scale[i] + shift[i];
                yb[(size_t)p * c + i] = store(silu ? h / (1 + expf(-h)) : h);
            }
    }
}

/* dgamma, dbeta: [c], accumulated into. scratch: [pixels][c] floats */
void group_norm_backward(const uint16_t *x, const uint16_t *dy, uint16_t *dx, const float *gamma, const float *beta,
                         const float *mean, const float *rstd, float *dgamma, float *dbeta, float *scratch, int n,
                         int pixels, int c, int groups, int silu) {
    int size = c / groups;
    for (int b = 0; b < n; b++) {
        const uint16_t *xb = x + (size_t)b * pixels * c, *db = dy + (size_t)b * pixels * c;
        uint16_t *out = dx + (size_t)b * pixels * c;
        float m[MAX_CHANNELS], r[MAX_CHANNELS], a[MAX_CHANNELS] = {0}, bb[MAX_CHANNELS] = {0}, c0[MAX_CHANNELS],
                                                c1[MAX_CHANNELS];
        for (int i = 0; i < c; i++) m[i] = mean[b * groups + i / size], r[i] = rstd[b * groups + i / size];
        for (int p = 0; p < pixels; p++)
            for (int i = 0; i < c; i++) {
                float hat = (load(xb[(size_t)p * c + i]) - m[i]) * r[i], dh = load(db[(size_t)p * c + i]);
                if (silu) {
                    float h = hat * gamma[i] + beta[i], s = 1 / (1 + expf(-h));
                    dh *= s * (1 + h * (1 - s));
                }
                scratch[(size_t)p * c + i] = dh;
                a[i] += dh;
                bb[i] += dh * hat;
            }
        for (int g = 0; g < groups; g++) {
            double s1 = 0, s2 = 0, count = (double)pixels * size;
            for (int i = g * size; i < (g + 1) * size; i++) s1 += gamma[i] * a[i], s2 += gamma[i] * bb[i];
            for (int i = g * size; i < (g + 1) * size; i++) c0[i] = (float)(s1 / count), c1[i] = (float)(s2 / count);
        }
        for (int i = 0; i < c; i++) dgamma[i] += bb[i], dbeta[i] += a[i];
        for (int p = 0; p < pixels; p++)
            for (int i = 0; i < c; i++) {
                float hat = (load(xb[(size_t)p * c + i]) - m[i]) * r[i];
                out[(size_t)p * c + i] = store(r[i] * (scratch[(size_t)p * c + i] * gamma[i] - c0[i] - hat * c1[i]));
            }
    }
}
