/* One shape of one operation, recorded on inputs of its own, for benchmarks and the tuner. Internal to diffusion/. */
#ifndef KN_DIFFUSION_BENCH_CASE_H
#define KN_DIFFUSION_BENCH_CASE_H

#include "diffusion/ops/ops_internal.h"

typedef enum kn_shape_kind {
    KN_SHAPE_LINEAR,
    KN_SHAPE_GEGLU,
    KN_SHAPE_CONV,
    KN_SHAPE_ATTENTION,
    KN_SHAPE_GROUP_NORM,
    KN_SHAPE_LAYER_NORM,
    KN_SHAPE_ADD
} kn_shape_kind;

/* Linear: n x w rows, in -> out. Conv: n x h x w, in -> out, kernel, stride. Attention: n members, w queries, h keys,
 * `out` heads of `in` channels. Norms: n x h x w x in. */
typedef struct kn_bench_shape {
    const char *group, *name;
    kn_shape_kind kind;
    int n, h, w, in, out, kernel, stride;
} kn_bench_shape;

typedef struct kn_bench_case {
    kn_gpu *gpu;
    kn_graph *graph; /* kn_graph_run runs the operation once */
    kn_weight weight;
    kn_gpu_buffer *gamma;
    kn_tensor in, other, out;
} kn_bench_case;

/* `tuning` NULL: the device's. `winograd` as in kn_graph_choose_winograd. After a failure the case is empty. */
bool kn_bench_case_init(kn_bench_case *c, kn_gpu *gpu, const kn_bench_shape *shape, const kn_tuning *tuning,
                        int winograd, kn_error *error);
void kn_bench_case_finish(kn_bench_case *c); /* accepts a zeroed one */
/* Multiplications and additions of a run. */
double kn_bench_case_flops(const kn_bench_case *c, const kn_bench_shape *shape);

#endif
