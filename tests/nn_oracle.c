#include "tests/nn_oracle.h"

#include "base/random.h"

#include <math.h>
#include <stdlib.h>

int oracle_conv_h(const oracle_conv *s) { return (s->view_h + s->pad + s->pad_end - s->kernel_h) / s->stride + 1; }
int oracle_conv_w(const oracle_conv *s) { return (s->view_w + s->pad + s->pad_end - s->kernel_w) / s->stride + 1; }

double oracle_activate(double x, kn_activation activation) {
    switch (activation) {
    case KN_ACTIVATION_SILU: return x / (1 + exp(-x));
    case KN_ACTIVATION_GELU: return 0.5 * x * (1 + erf(x / sqrt(2)));
    case KN_ACTIVATION_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case KN_ACTIVATION_RELU: return x > 0 ? x : 0;
    case KN_ACTIVATION_TANH: return tanh(x);
    default: return x;
    }
}

/* One output value before bias. */
static double conv_at(const oracle_conv *s, const float *x, const float *weight, int n, int o, int oy, int ox) {
    double sum = 0;
    for (int i = 0; i < s->in; i++)
        for (int ky = 0; ky < s->kernel_h; ky++)
            for (int kx = 0; kx < s->kernel_w; kx++) {
                int y = oy * s->stride - s->pad + ky, xx = ox * s->stride - s->pad + kx;
                if (y < 0 || y >= s->view_h || xx < 0 || xx >= s->view_w) continue;
                y = y * s->h / s->view_h;
                xx = xx * s->w / s->view_w;
                sum += (double)x[(((size_t)n * s->in + i) * s->h + y) * s->w + xx] *
                       weight[(((size_t)o * s->in + i) * s->kernel_h + ky) * s->kernel_w + kx];
            }
    return sum;
}

void oracle_conv_run(const oracle_conv *s, const float *x, const float *weight, const float *bias,
                     const float *broadcast, const float *residual, float *y) {
    int oh = oracle_conv_h(s), ow = oracle_conv_w(s);
    size_t at = 0;
    for (int n = 0; n < s->n; n++)
        for (int o = 0; o < s->out; o++)
            for (int oy = 0; oy < oh; oy++)
                for (int ox = 0; ox < ow; ox++, at++) {
                    double v = conv_at(s, x, weight, n, o, oy, ox) + (bias ? bias[o] : 0);
                    if (broadcast) v += broadcast[n * s->out + o];
                    v = oracle_activate(v, s->activation);
                    y[at] = (float)(v + (residual ? residual[at] : 0));
                }
}

void oracle_group_norm(const float *x, const float *gamma, const float *beta, int n, int c, int pixels, int groups,
                       double epsilon, kn_activation activation, float *y) {
    size_t count = (size_t)c / groups * pixels;
    for (int g = 0; g < n * groups; g++) {
        const float *from = x + g * count;
        double mean = 0, squares = 0;
        for (size_t i = 0; i < count; i++) mean += from[i];
        mean /= (double)count;
        for (size_t i = 0; i < count; i++) squares += (from[i] - mean) * (from[i] - mean);
        double scale = 1 / sqrt(squares / (double)count + epsilon);
        for (size_t i = 0; i < count; i++) {
            size_t channel = (size_t)(g % groups) * (c / groups) + i / pixels;
            y[g * count + i] =
                (float)oracle_activate((from[i] - mean) * scale * gamma[channel] + beta[channel], activation);
        }
    }
}

void oracle_layer_norm(const float *x, const float *gamma, const float *beta, int n, int c, int pixels, double epsilon,
                       float *y) {
    for (int i = 0; i < n * pixels; i++) {
        const float *from = x + (size_t)(i / pixels) * c * pixels + i % pixels;
        float *to = y + (from - x);
        double mean = 0, squares = 0;
        for (int k = 0; k < c; k++) mean += from[(size_t)k * pixels] / (double)c;
        for (int k = 0; k < c; k++) squares += (from[(size_t)k * pixels] - mean) * (from[(size_t)k * pixels] - mean);
        double scale = 1 / sqrt(squares / c + epsilon);
        for (int k = 0; k < c; k++)
            to[(size_t)k * pixels] = (float)((from[(size_t)k * pixels] - mean) * scale * gamma[k] + beta[k]);
    }
}

/* One query of one head; `scores` holds tk values. */
static void attend(const oracle_attention *s, const float *q, const float *k, const float *v, int query, double *scores,
                   float *y) {
    double scale = s->scale != 0 ? s->scale : 1 / sqrt(s->d), top = -INFINITY, sum = 0;
    int keys = s->causal && query + 1 < s->tk ? query + 1 : s->tk;
    for (int j = 0; j < keys; j++) {
        scores[j] = 0;
        for (int i = 0; i < s->d; i++)
            scores[j] += (double)q[(size_t)i * s->tq + query] * k[(size_t)i * s->tk + j] * scale;
        if (scores[j] > top) top = scores[j];
    }
    for (int j = 0; j < keys; j++) sum += scores[j] = exp(scores[j] - top);
    for (int i = 0; i < s->d; i++) {
        double value = 0;
        for (int j = 0; j < keys; j++) value += scores[j] * v[(size_t)i * s->tk + j];
        float *to = y + (size_t)i * s->tq + query;
        *to = (float)(value / sum + (s->accumulate ? *to : 0));
    }
}

void oracle_attention_run(const oracle_attention *s, const float *q, const float *k, const float *v, float *y) {
    double *scores = malloc((size_t)s->tk * sizeof *scores);
    for (int n = 0; scores && n < s->n; n++)
        for (int h = 0; h < s->heads; h++) {
            int member = s->kv_index ? s->kv_index[n] : n;
            size_t at = (size_t)(n * s->heads + h) * s->d * s->tq,
                   from = (size_t)(member * s->heads + h) * s->d * s->tk;
            for (int i = 0; i < s->tq; i++) attend(s, q + at, k + from, v + from, i, scores, y + at);
        }
    free(scores);
}

void oracle_fill(float *data, size_t count, uint64_t seed) {
    kn_rng rng;
    kn_rng_init(&rng, seed);
    for (size_t i = 0; i < count; i++) data[i] = (float)kn_rng_uniform(&rng, -1, 1);
}

double oracle_error(const float *a, const float *b, size_t count) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(a[i])) return INFINITY;
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return sqrt(difference / (norm > 0 ? norm : 1));
}
