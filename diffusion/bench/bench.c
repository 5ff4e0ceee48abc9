/* Times the operations of ops.h as networks call them. */
#include "diffusion/bench/bench.h"

#include "diffusion/bench/bench_case.h"

#include <string.h>
#include <time.h>

static const kn_bench_shape shapes[] = {
    {"gemm", "nano tokens 16800 x 160 -> 160", KN_SHAPE_LINEAR, 48, 1, 350, 160, 160, 1, 1},
    {"gemm", "nano GEGLU 16800 x 160 -> 640", KN_SHAPE_GEGLU, 48, 1, 350, 160, 1280, 1, 1},
    {"gemm", "nano context 3696 x 128 -> 160", KN_SHAPE_LINEAR, 48, 1, 77, 128, 160, 1, 1},
    {"gemm", "nano time 48 x 256 -> 256", KN_SHAPE_LINEAR, 48, 1, 1, 256, 256, 1, 1},
    {"gemm", "512 x 512 -> 512", KN_SHAPE_LINEAR, 1, 1, 512, 512, 512, 1, 1},
    {"gemm", "SD1.5 tokens 1024 x 640 -> 640", KN_SHAPE_LINEAR, 1, 1, 1024, 640, 640, 1, 1},
    {"conv", "nano 3x3, 6 x 56x100, 64 -> 64", KN_SHAPE_CONV, 6, 56, 100, 64, 64, 3, 1},
    {"conv", "nano 3x3, 6 x 28x50, 128 -> 128", KN_SHAPE_CONV, 6, 28, 50, 128, 128, 3, 1},
    {"conv", "nano 3x3, 6 x 14x25, 160 -> 160", KN_SHAPE_CONV, 6, 14, 25, 160, 160, 3, 1},
    {"conv", "nano 3x3 stride 2, 6 x 56x100, 64 -> 64", KN_SHAPE_CONV, 6, 56, 100, 64, 64, 3, 2},
    {"conv", "nano 1x1, 6 x 56x100, 192 -> 64", KN_SHAPE_CONV, 6, 56, 100, 192, 64, 1, 1},
    {"conv", "nano out 3x3, 6 x 56x100, 64 -> 48", KN_SHAPE_CONV, 6, 56, 100, 64, 48, 3, 1},
    {"conv", "VAE 3x3, 1 x 224x400, 32 -> 32", KN_SHAPE_CONV, 1, 224, 400, 32, 32, 3, 1},
    {"conv", "SD1.5 3x3, 1 x 32x32, 320 -> 320", KN_SHAPE_CONV, 1, 32, 32, 320, 320, 3, 1},
    {"conv", "SD1.5 3x3, 1 x 16x16, 1280 -> 1280", KN_SHAPE_CONV, 1, 16, 16, 1280, 1280, 3, 1},
    {"conv", "SD1.5 out 3x3, 2 x 64x64, 320 -> 4", KN_SHAPE_CONV, 2, 64, 64, 320, 4, 3, 1},
    {"conv", "KL decoder out 3x3, 1 x 512x512, 128 -> 3", KN_SHAPE_CONV, 1, 512, 512, 128, 3, 3, 1},
    {"attention", "nano 48 x 350 tokens, 4 heads x 40", KN_SHAPE_ATTENTION, 48, 350, 350, 40, 4, 0, 0},
    {"attention", "nano 48 x 350 x 77 text, 4 heads x 40", KN_SHAPE_ATTENTION, 48, 77, 350, 40, 4, 0, 0},
    {"attention", "nano motion, 2100 places x 8 frames, 4 heads x 40", KN_SHAPE_ATTENTION, 2100, 8, 8, 40, 4, 0, 0},
    {"attention", "SD1.5 2100 tokens, 8 heads x 40", KN_SHAPE_ATTENTION, 1, 2100, 2100, 40, 8, 0, 0},
    {"attention", "SD1.5 1024 tokens, 8 heads x 80", KN_SHAPE_ATTENTION, 1, 1024, 1024, 80, 8, 0, 0},
    {"attention", "SD1.5 256 tokens, 8 heads x 160", KN_SHAPE_ATTENTION, 2, 256, 256, 160, 8, 0, 0},
    {"norm", "group norm + SiLU, 6 x 56x100 x 64", KN_SHAPE_GROUP_NORM, 6, 56, 100, 64, 32, 0, 0},
    {"norm", "layer norm, 8400 x 128", KN_SHAPE_LAYER_NORM, 6, 28, 50, 128, 0, 0, 0},
    {"norm", "add, 6 x 56x100 x 64", KN_SHAPE_ADD, 6, 56, 100, 64, 0, 0, 0},
};

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Runs once to compile, then until about 0.2 s of processor time went by, at most 50 times. */
static bool measure(kn_bench_case *b, const kn_bench_shape *s, kn_bench_callback callback, void *user,
                    kn_error *error) {
    double start = seconds(CLOCK_MONOTONIC);
    if (!kn_graph_run(b->graph, error)) return false;
    double first = seconds(CLOCK_MONOTONIC) - start;
    int runs = 0;
    start = seconds(CLOCK_MONOTONIC);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), spent = 0;
    for (; runs < 50 && (runs < 2 || spent < 0.2); runs++) {
        if (!kn_graph_run(b->graph, error)) return false;
        spent = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    }
    double wall = (seconds(CLOCK_MONOTONIC) - start) / runs;
    kn_bench_result result = {.group = s->group,
                              .shape = s->name,
                              .flops = kn_bench_case_flops(b, s),
                              .wall = wall,
                              .cpu = spent / runs,
                              .bytes = 4.0 * ((double)b->in.n * b->in.h * b->in.w * b->in.stride +
                                              (double)b->out.n * b->out.h * b->out.w * b->out.stride),
                              .compile = first > wall ? first - wall : 0};
    callback(user, &result);
    return true;
}

static bool run_shape(kn_gpu *gpu, const kn_bench_shape *s, kn_bench_callback callback, void *user, kn_error *error) {
    kn_bench_case b;
    if (!kn_bench_case_init(&b, gpu, s, NULL, 0, error)) return false;
    bool ok = measure(&b, s, callback, user, error);
    kn_bench_case_finish(&b);
    return ok;
}

bool kn_bench_kernels(kn_gpu *gpu, const char *which, kn_bench_callback callback, void *user, kn_error *error) {
    bool known = false;
    for (size_t i = 0; i < KN_COUNT(shapes); i++) {
        if (which && strcmp(which, shapes[i].group) != 0) continue;
        known = true;
        if (!run_shape(gpu, &shapes[i], callback, user, error)) return false;
    }
    return known ||
           kn_fail(error, KN_ERROR_INPUT, "unknown benchmark \"%s\", expected gemm, conv, attention or norm", which);
}
