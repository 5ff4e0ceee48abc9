/* Benchmarks of the network kernels on the shapes that Kinora's networks use. */
#ifndef KN_DIFFUSION_BENCH_H
#define KN_DIFFUSION_BENCH_H

#include "kinora/gpu.h"

/* One measured shape. `flops` counts multiplications and additions of one run; `wall` is the time of a run in seconds
 * and `cpu` the processor time that the process spent on it, over all threads: on software devices flops / (cpu / 2) is
 * what two free cores would give, whatever else the machine does. `compile` is the first run's extra time. */
typedef struct kn_bench_result {
    const char *group, *shape; /* valid during the callback */
    double flops, bytes, wall, cpu, compile;
} kn_bench_result;
typedef void (*kn_bench_callback)(void *user, const kn_bench_result *result);

/* Runs "gemm", "conv", "attention", "norm" or, with NULL, all of them; a few seconds each. An unknown name is
 * KN_ERROR_INPUT. */
bool kn_bench_kernels(kn_gpu *gpu, const char *which, kn_bench_callback callback, void *user, kn_error *error);

/* What one kind of kernel did in a run: label as in the profile; flops 0 for kernels that are bound by memory. */
typedef struct kn_bench_kind {
    char label[40];
    uint64_t launches;
    double flops, seconds;
} kn_bench_kind;

enum { KN_BENCH_KINDS = 32 };

typedef struct kn_bench_network_params {
    const char *network; /* "unet": one forward pass; "vae": decoding; "encode": encoding; "text": 77 tokens */
    const char *model;   /* folder or file */
    int width, height;   /* pixels, multiples of 8 */
    int batch;           /* pictures, or prompts; the UNet's guided step of one picture is 2 */
    int repeats;         /* timed runs, 1..100; the fastest counts */
} kn_bench_network_params;

typedef struct kn_bench_network {
    double load; /* seconds to read the model and bring the measured network to the device; with "unet" all of them, one
                    after the other */
    double first;           /* seconds of the first run, with compilation of kernels */
    double wall, cpu;       /* seconds of the fastest run; processor seconds of that run over all threads */
    double flops;           /* of one run, by definition of the network: what clever kernels save is not taken off */
    uint64_t arena, device; /* peak bytes of activations; of the device in all */
    size_t kind_count;
    /* From one more run with timestamps, slowest first; empty where there are none. */
    kn_bench_kind kinds[KN_BENCH_KINDS];
} kn_bench_network;

/* Loads the model and measures one of its networks on made-up inputs. The gpu must have been created without
 * profile. */
bool kn_bench_run_network(kn_gpu *gpu, const kn_bench_network_params *params, kn_bench_network *result,
                          kn_error *error);

#endif
