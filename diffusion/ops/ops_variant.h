/* Which kernels a device gets for matrix products, convolutions and attention, and with what tiles. Internal to
 * diffusion/.
 *
 * Software devices run layers on the processors where these have what host_layer.c needs, else the subgroup kernels of
 * ops_matrix.c, and attention with those of ops_attention.c. GPUs have shared-memory kernels in fp32 (nn/conv_tiled,
 * nn/attention_tiled) and, where the device multiplies fp16 matrices, cooperative ones (nn/conv_coop,
 * nn/attention_coop) for layers with fp16 weights. What fits none of them runs on the plain kernels. */
#ifndef KN_DIFFUSION_OPS_VARIANT_H
#define KN_DIFFUSION_OPS_VARIANT_H

#include "diffusion/ops/ops.h"
#include "gpu/tuning.h"

typedef enum kn_variant {
    KN_VARIANT_HOST,     /* software devices: layers and attention on the processors (host_*.h), the rest as SUBGROUP */
    KN_VARIANT_SUBGROUP, /* software devices with texel buffers */
    KN_VARIANT_PLAIN,    /* any device */
    KN_VARIANT_TILED,    /* GPUs */
    KN_VARIANT_COOPERATIVE /* GPUs with matrix units */
} kn_variant;

/* The choice, from what the device reports and its constants. */
kn_variant kn_variant_of(const kn_gpu_info *info, const kn_tuning *tuning);
/* Whether the device can run a variant at all. */
bool kn_variant_runs(const kn_gpu_info *info, kn_variant variant);
/* "host", "subgroup", "plain", "tiled", "cooperative". */
const char *kn_variant_name(kn_variant variant);

/* The graph's variant: its device's, unless a test or benchmark forced another that the device can run. */
kn_variant kn_graph_variant(const kn_graph *graph);
void kn_graph_force_variant(kn_graph *graph, kn_variant variant);
/* The constants by which it chooses: its device's, unless the tuner or a test tries others. Setting them forgets a
 * forced variant. */
const kn_tuning *kn_graph_tuning(const kn_graph *graph);
void kn_graph_set_tuning(kn_graph *graph, const kn_tuning *tuning);
/* Whether the graph has recorded a layer with fp16 weights: then its attention may compute in fp16, too. */
bool kn_graph_half(const kn_graph *graph);
void kn_graph_note_half(kn_graph *graph);

/* Tiles of a layer's launch. variant: KN_VARIANT_PLAIN (only tile_rows is set), TILED or COOPERATIVE. */
typedef struct kn_conv_plan {
    kn_variant variant;
    int tile_rows; /* output rows of a workgroup */
    int panels;    /* weight panels of a workgroup; 2 when gated */
    int threads;
    int depth;      /* vec4 of input channels a step */
    int row_groups; /* cooperative: subgroups along the rows */
} kn_conv_plan;

/* For `rows` output pixels. `variant` is what is wanted; the plan's may be a lesser one: fp32 weights are never
 * multiplied as fp16, and a tile must fit the device's shared memory. */
kn_conv_plan kn_plan_conv(const kn_gpu_info *info, const kn_tuning *tuning, kn_variant variant, const kn_weight *weight,
                          int64_t rows, bool gated);

enum { KN_PLAN_KEYS = 32 }; /* keys of a step of the planned attention kernels */

/* Tiles of an attention launch. */
typedef struct kn_attention_plan {
    kn_variant variant; /* PLAIN (nothing else is set), TILED or COOPERATIVE */
    int queries;        /* of a workgroup */
    int threads;
    int padded; /* cooperative: vec4 of a head as matrices need it */
} kn_attention_plan;

/* For heads of `head` channels and `queries` query tokens; `groups` is heads times batch members. `half` allows
 * fp16. */
kn_attention_plan kn_plan_attention(const kn_gpu_info *info, const kn_tuning *tuning, kn_variant variant, int head,
                                    int queries, int64_t groups, bool half);

/* Whether a gated layer of this weight (kn_op_linear_geglu) runs as one kernel of the planned variants. */
bool kn_plan_gates(const kn_gpu_info *info, const kn_tuning *tuning, kn_variant variant, const kn_weight *weight);

#endif
