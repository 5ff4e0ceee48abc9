/* Layers with weights on the device, loaded by name from kn_weights, and the blocks that networks are made of.
 *
 * A kn_layers owns every weight and struct of one network, so that half-built networks are released in one place.
 * Load functions return NULL or false with the error set. Forward functions create *out, never release their inputs,
 * and on failure leave tensors to the graph, which frees them with its arena. Internal to diffusion/. */
#ifndef KN_DIFFUSION_LAYERS_H
#define KN_DIFFUSION_LAYERS_H

#include "diffusion/ops/ops.h"
#include "diffusion/files/weights.h"
#include "kinora/diffusion.h"

typedef struct kn_layers {
    kn_gpu *gpu;
    kn_weights *source; /* while loading */
    kn_precision precision;
    kn_arena arena;
    kn_weight **weights;
    size_t weight_count, weight_capacity;
    kn_gpu_buffer **buffers;
    size_t buffer_count, buffer_capacity;
    struct kn_adapted *adapted; /* of lazy weights: vectors and host tensors that a LoRA changes */
    size_t adapted_count, adapted_capacity;
    uint64_t parameters;
} kn_layers;

void kn_layers_init(kn_layers *layers, kn_gpu *gpu, kn_weights *source, kn_precision precision);
void kn_layers_finish(kn_layers *layers);

/* For networks loaded from lazy weights; nothing for others. */
bool kn_layers_fetch(kn_layers *layers, kn_error *error); /* puts every weight on the device */
void kn_layers_evict(kn_layers *layers); /* takes every matrix off it: recorded work cannot be submitted any more */
/* The strength of a LoRA changed: what it changes on the device or the host is made anew, in place. */
bool kn_layers_adapt(kn_layers *layers, kn_error *error);
/* Bytes of the device that fetching would take. */
uint64_t kn_layers_missing_bytes(const kn_layers *layers);

/* A tensor name or prefix built with printf; fails loading (a missing tensor) when it would exceed the buffer. */
typedef struct kn_name {
    char text[192];
} kn_name;
kn_name kn_name_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* gamma and beta of a group or layer norm, [channels]. */
typedef struct kn_norm {
    kn_gpu_buffer *gamma, *beta;
} kn_norm;

/* Tensors are called "<prefix><suffix>.weight" and ".bias". */
kn_weight *kn_load_linear(kn_layers *layers, const char *prefix, const char *suffix, int in, int out, bool bias,
                          kn_error *error);
kn_weight *kn_load_conv(kn_layers *layers, const char *prefix, const char *suffix, int in, int out, int kernel,
                        bool bias, kn_error *error);
bool kn_load_norm(kn_layers *layers, kn_norm *norm, const char *prefix, const char *suffix, int channels,
                  kn_error *error);
/* A tensor as fp32 on the host, in the layers' arena. */
float *kn_load_host(kn_layers *layers, const char *name, int rank, const int64_t *shape, kn_error *error);
/* A tensor [rows][columns] whose rows are read one by one (kn_stored_tensor_row), as it lies in the file: in the file
 * itself when the weights are lazy, else in the layers' arena. */
bool kn_load_table(kn_layers *layers, kn_stored_tensor *table, const char *name, int rows, int columns,
                   kn_error *error);
/* Registers a weight made from host data. */
kn_weight *kn_layers_weight(kn_layers *layers, const float *data, const float *bias, int out, int in, int kernel,
                            bool half, kn_error *error);

/* Releases *tensor and moves *next into it. */
void kn_tensor_replace(kn_graph *graph, kn_tensor *tensor, kn_tensor *next);

/* --- residual block (diffusers' ResnetBlock2D) ------------------------------------------------ */
typedef struct kn_resnet {
    kn_norm norm1, norm2;
    kn_weight *conv1, *conv2, *time, *shortcut; /* time, shortcut: NULL when absent */
    int groups;
    float epsilon;
} kn_resnet;

/* `time_channels` 0: no time embedding. */
bool kn_resnet_load(kn_layers *layers, kn_resnet *resnet, const char *prefix, int in, int out, int time_channels,
                    int groups, double epsilon, kn_error *error);
/* `time`: silu(time embedding) [n][1][1][time_channels], or NULL. */
bool kn_resnet_forward(kn_graph *graph, kn_tensor *out, const kn_resnet *resnet, const kn_tensor *in,
                       const kn_tensor *time, kn_error *error);

/* --- attention -------------------------------------------------------------------------------- */
typedef struct kn_attention {
    kn_weight *q, *k, *v, *out;
    int heads;
} kn_attention;

/* What the blocks of one forward pass share. N = halves * frames * views, in that order. */
typedef struct kn_pass {
    const kn_tensor *time;    /* silu(time embedding) [N][1][1][time channels] */
    const kn_tensor *context; /* [M][1][tokens][cross_attention_dim] */
    const int *context_index; /* [N]: which of the M each picture attends to */
    int halves, frames, views;
    const int *neighbours[2]; /* [N] each: the picture attended to, -1: none; NULL: multi-view attention is off */
    bool temporal;            /* use temporal attention (when frames > 1) */
} kn_pass;

typedef struct kn_transformer_block {
    kn_norm norm1, norm2, norm3, norm4;
    kn_attention self, cross, view; /* view.q is NULL without multi-view tensors; view.out carries no bias */
    const float *view_bias;         /* [channels]: to_out's bias, added once per neighbour */
    kn_weight *connector, *ff_in, *ff_out;
} kn_transformer_block;

typedef struct kn_transformer {
    kn_norm norm;
    kn_weight *proj_in, *proj_out;
    kn_transformer_block *blocks;
    int block_count, groups;
} kn_transformer;

bool kn_transformer_load(kn_layers *layers, kn_transformer *transformer, const char *prefix, int channels,
                         int context_channels, int heads, int block_count, int groups, kn_error *error);
bool kn_transformer_forward(kn_graph *graph, kn_tensor *out, const kn_transformer *transformer, const kn_tensor *in,
                            const kn_pass *pass, kn_error *error);
/* x += out(attention(q(query), k(context), v(context))); context NULL: query itself. Releases `query`. context_index:
 * see kn_attention_params.kv_index. */
bool kn_attend(kn_graph *graph, kn_tensor *x, kn_tensor *query, const kn_attention *attention, const kn_tensor *context,
               const int *context_index, kn_error *error);
/* x += ff(norm(x)) with a GEGLU feed-forward. */
bool kn_feed_forward(kn_graph *graph, kn_tensor *x, const kn_norm *norm, const kn_weight *in, const kn_weight *out,
                     kn_error *error);

/* --- temporal attention (AnimateDiff's motion module) ----------------------------------------- */
typedef struct kn_motion_attention {
    kn_norm norm;
    kn_attention attention;
    const float *position; /* [max_frames][channels]: added to the tokens before q, k and v */
} kn_motion_attention;

typedef struct kn_motion {
    kn_norm norm, ff_norm;
    kn_weight *proj_in, *proj_out, *ff_in, *ff_out;
    kn_motion_attention attentions[2];
    int groups, max_frames;
} kn_motion;

/* Loads "<prefix>.temporal_transformer..." (AnimateDiff's files) or "<prefix>...." (diffusers' MotionAdapter); *motion
 * stays NULL when the tensors are not there. */
bool kn_motion_load(kn_layers *layers, kn_motion **motion, const char *prefix, int channels, int heads, int groups,
                    kn_error *error);
bool kn_motion_forward(kn_graph *graph, kn_tensor *out, const kn_motion *motion, const kn_tensor *in,
                       const kn_pass *pass, kn_error *error);

#endif
