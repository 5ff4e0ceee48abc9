/* Benchmarks of the network kernels on the shapes that Kinora's networks use. */
#ifndef KN_DIFFUSION_BENCH_H
#define KN_DIFFUSION_BENCH_H

#include "kinora/gpu.h"

/* One measured shape. `flops` counts multiplications and additions of one run; `wall` is the time of a run in seconds and
 * `cpu` the processor time that the process spent on it, over all threads: on software devices flops / (cpu / 2) is what
 * two free cores would give, whatever else the machine does. `compile` is the first run's extra time. */
typedef struct kn_bench_result {
    const char *group, *shape; /* valid during the callback */
    double flops, bytes, wall, cpu, compile;
} kn_bench_result;
typedef void (*kn_bench_callback)(void *user, const kn_bench_result *result);

/* Runs "gemm", "conv", "attention", "norm" or, with NULL, all of them; a few seconds each. An unknown name is
 * KN_ERROR_INPUT. */
bool kn_bench_kernels(kn_gpu *gpu, const char *which, kn_bench_callback callback, void *user, kn_error *error);

#endif
