/* Naive C versions of the network operations, in double precision: what the kernels are compared with. All tensors are
 * fp32 [n][c][h][w] (tokens: h = 1), contiguous. Outputs are caller-owned. */
#ifndef KN_TESTS_NN_ORACLE_H
#define KN_TESTS_NN_ORACLE_H

#include "diffusion/ops/ops.h"

typedef struct oracle_conv {
    int n, in, h, w, out, kernel_h, kernel_w, stride, pad, pad_end, view_h,
        view_w; /* view: size after nearest resize */
    kn_activation activation;
} oracle_conv;

/* A layer with a square kernel: members, input channels, height, width, output channels, kernel, stride, and more. */
#define LAYER(members, inputs, high, wide, outputs, size, step, ...)                                          \
    (oracle_conv) {                                                                                           \
        .n = members, .in = inputs, .h = high, .w = wide, .out = outputs, .kernel_h = size, .kernel_w = size, \
        .stride = step, __VA_ARGS__                                                                           \
    }
#define SAME .pad = 1, .pad_end = 1

int oracle_conv_h(const oracle_conv *s);
int oracle_conv_w(const oracle_conv *s);
double oracle_activate(double x, kn_activation activation);
/* weight [out][in][kernel_h][kernel_w]; bias [out]; broadcast [n][out]; residual like the output; the last three may be
 * NULL. */
void oracle_conv_run(const oracle_conv *s, const float *x, const float *weight, const float *bias,
                     const float *broadcast, const float *residual, float *y);
void oracle_group_norm(const float *x, const float *gamma, const float *beta, int n, int c, int pixels, int groups,
                       double epsilon, kn_activation activation, float *y);
void oracle_layer_norm(const float *x, const float *gamma, const float *beta, int n, int c, int pixels, double epsilon,
                       float *y);
/* q [n][heads*d][tq], k and v [kn][heads*d][tk]; kv_index may be NULL; scale 0: 1 / sqrt(d). Adds to y when
 * `accumulate`. */
typedef struct oracle_attention {
    int n, tq, tk, heads, d;
    bool causal, accumulate;
    const int *kv_index;
    double scale;
} oracle_attention;
void oracle_attention_run(const oracle_attention *s, const float *q, const float *k, const float *v, float *y);

/* Uniform in [-1, 1), from a seed. */
void oracle_fill(float *data, size_t count, uint64_t seed);
/* sqrt(sum (a - b)^2 / sum b^2), and infinity when any value is not finite. */
double oracle_error(const float *a, const float *b, size_t count);

#endif
