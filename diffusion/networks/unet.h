/* The denoising UNet and its ControlNet branches, built from their diffusers configs. Internal to diffusion/. */
#ifndef KN_DIFFUSION_UNET_H
#define KN_DIFFUSION_UNET_H

#include "diffusion/files/config.h"
#include "diffusion/networks/layers.h"

#define KN_MAX_LEVELS 8
#define KN_MAX_LAYERS 16
#define KN_MAX_SKIPS (1 + KN_MAX_LEVELS * (KN_MAX_LAYERS + 1))

/* What UNet2DConditionModel and ControlNetModel have in common. */
typedef struct kn_unet_config {
    int in_channels, out_channels;
    int levels, channels[KN_MAX_LEVELS], layers[KN_MAX_LEVELS], heads[KN_MAX_LEVELS], depth[KN_MAX_LEVELS],
        motion_heads[KN_MAX_LEVELS];                                 /* depth: transformer blocks */
    bool down_attention[KN_MAX_LEVELS], up_attention[KN_MAX_LEVELS]; /* up_attention[0] is the coarsest level */
    bool mid, mid_attention;
    int context_channels, groups;
    double epsilon, frequency_shift;
    bool flip_sin_to_cos;
} kn_unet_config;

/* Reads and checks a config; keys that change the network in ways that are not built are refused. */
bool kn_unet_config_read(kn_unet_config *unet, const kn_config *config, bool has_up, kn_error *error);

/* A down, middle or up block. */
typedef struct kn_block {
    kn_resnet *resnets;
    kn_transformer *attentions;    /* NULL: a block without attention */
    kn_motion **motions;           /* [attention_count], entries may be NULL */
    int resnet_count, place_count; /* places: after which attention and motion may follow */
    kn_weight *resample;           /* downsamplers.0 or upsamplers.0, NULL at the end */
} kn_block;

/* The parts that UNet and ControlNet share. */
typedef struct kn_trunk {
    kn_unet_config config;
    kn_weight *time1, *time2, *conv_in;
    kn_block down[KN_MAX_LEVELS], mid;
    int skip_channels[KN_MAX_SKIPS], skip_count;
} kn_trunk;

bool kn_trunk_load(kn_layers *layers, kn_trunk *trunk, bool motion, kn_error *error);
/* silu(time embedding) [n][1][1][4 * channels[0]] from sinusoids [n][1][1][channels[0]]. */
bool kn_trunk_time(kn_graph *graph, kn_tensor *out, const kn_trunk *trunk, const kn_tensor *sinusoids, kn_error *error);
/* Replaces *x (after conv_in) by the middle block's output and keeps every skip in skips[trunk->skip_count]; x itself
 * becomes skips[0]. */
bool kn_trunk_forward(kn_graph *graph, kn_tensor *x, kn_tensor *skips, const kn_trunk *trunk, const kn_pass *pass,
                      kn_error *error);

bool kn_block_load(kn_layers *layers, kn_block *block, const char *prefix, const kn_unet_config *config, const int *in,
                   int count, int out, int level, bool attention, bool is_mid, bool motion, kn_error *error);
/* Transformer and motion module number `place` of a block, in place. */
bool kn_block_after(kn_graph *graph, kn_tensor *x, const kn_block *block, int place, const kn_pass *pass,
                    kn_error *error);

/* Fills values[dim] with the sinusoids of a timestep (arXiv 1706.03762 as diffusers arranges them). */
void kn_timestep_embedding(const kn_unet_config *config, double timestep, float *values);

/* --- UNet2DConditionModel --------------------------------------------------------------------- */
typedef struct kn_unet {
    kn_layers layers;
    kn_trunk trunk;
    kn_block up[KN_MAX_LEVELS];
    kn_norm norm_out;
    kn_weight *conv_out;
    bool has_multi_view;
    int max_frames;        /* 0: no temporal attention */
    const float *time_condition; /* [channels[0]][time_condition_size], on the host: what a network adds to the
                                    sinusoids, from the guidance scale or the text; or NULL */
    int time_condition_size;
    bool time_takes_text;
} kn_unet;

/* One ControlNet branch in a forward pass. */
typedef struct kn_controlnet kn_controlnet;
typedef struct kn_control_use {
    const kn_controlnet *controlnet;
    const kn_tensor *condition; /* [N][h][w][channels[0]]: kn_controlnet_embed's output */
    /* What the branch sees in place of the UNet's input: inpainting UNets have more channels; NULL: the same. */
    const kn_tensor *in;
    const kn_tensor *sinusoids; /* without what the UNet adds to them; NULL: the UNet's */
    float scale;
} kn_control_use;

/* Takes tensors from `weights`; the caller checks that all were used. `unet` is finished by kn_unet_finish, also after
 * failure. */
bool kn_unet_load(kn_unet *unet, kn_gpu *gpu, const kn_config *config, kn_weights *weights, kn_precision precision,
                  kn_error *error);
void kn_unet_finish(kn_unet *unet);
/* Adds what a network distilled to take the guidance scale (arXiv 2310.04378) is told about it to the sinusoids of
 * kn_timestep_embedding; nothing for other networks. */
void kn_unet_add_guidance(const kn_unet *unet, double guidance, float *values);
/* Adds what a network is told about its text, state[context_channels] of the end token; nothing for other networks. */
void kn_unet_add_text(const kn_unet *unet, const float *state, float *values);
/* in [N][h][w][in_channels], sinusoids [N][1][1][channels[0]] -> out [N][h][w][out_channels]. `pass->time` is set
 * inside. */
bool kn_unet_forward(kn_graph *graph, kn_tensor *out, const kn_unet *unet, const kn_tensor *in,
                     const kn_tensor *sinusoids, const kn_pass *pass, const kn_control_use *controls, int control_count,
                     kn_error *error);

/* --- ControlNetModel (arXiv 2302.05543) ------------------------------------------------------- */
struct kn_controlnet {
    kn_layers layers;
    kn_trunk trunk;
    kn_weight *condition_in, *condition_out, *condition_blocks[2 * KN_MAX_LEVELS];
    int condition_channels, condition_levels; /* one block of two convolutions per step between levels */
    kn_weight *down_out[KN_MAX_SKIPS], *mid_out;
    bool pooled; /* global_pool_conditions: what the branch adds is its mean over the picture */
};

bool kn_controlnet_load(kn_controlnet *controlnet, kn_gpu *gpu, const kn_config *config, kn_weights *weights,
                        kn_precision precision, kn_error *error);
void kn_controlnet_finish(kn_controlnet *controlnet);
/* Condition pictures [n][H][W][condition_channels] -> [n][h][w][channels[0]], h = H / 2^(levels - 1). */
bool kn_controlnet_embed(kn_graph *graph, kn_tensor *out, const kn_controlnet *controlnet, const kn_tensor *pictures,
                         kn_error *error);
/* Adds the branch's residuals to skips[skip_count] and *mid, replacing them. */
bool kn_controlnet_forward(kn_graph *graph, const kn_control_use *use, const kn_tensor *in, const kn_tensor *sinusoids,
                           const kn_pass *pass, kn_tensor *skips, kn_tensor *mid, kn_error *error);

#endif
