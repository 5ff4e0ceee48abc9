/* Pictures from text with Stable Diffusion models: text to image, image to image, inpainting, ControlNets.
 *
 *     kn_paint_params params = KN_PAINT_PARAMS_DEFAULT;
 *     params.prompt = "a rainy street at dusk", params.width = params.height = 512, params.seed = 42;
 *     kn_paint(model, &params, rgb,
 * &error); */
#ifndef KINORA_PAINT_H
#define KINORA_PAINT_H

#include "kinora/diffusion.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How the noise levels of the steps are spaced. */
typedef enum kn_noise_spacing {
    KN_SPACE_CONFIG,     /* what scheduler/scheduler_config.json says */
    KN_SPACE_UNIFORM,    /* equal steps of time from the last training step to the first (diffusers: linspace) */
    KN_SPACE_LEADING,    /* arXiv 2305.08891, table 2 */
    KN_SPACE_TRAILING,   /* the same: for few steps, and for models rescaled to a terminal SNR of zero */
    KN_SPACE_KARRAS,     /* arXiv 2206.00364, equation 5, rho 7 */
    KN_SPACE_EXPONENTIAL /* equal steps of log sigma */
} kn_noise_spacing;

/* What a weight such as (word:1.2) does to the embeddings. */
typedef enum kn_emphasis {
    KN_EMPHASIS_A1111, /* multiplies them, then restores the mean of the chunk */
    KN_EMPHASIS_COMFY, /* moves them away from those of the empty prompt */
    KN_EMPHASIS_NONE   /* nothing: the prompt is taken as it is written, brackets included */
} kn_emphasis;

/* A ControlNet of the model in use. */
typedef struct kn_paint_control {
    const char *name;     /* see kn_model_info.control_names */
    const float *picture; /* [control_channels][height][width], 0..1 */
    float strength;       /* multiplies the branch's residuals */
    float start, end;     /* used from this share of the steps to that one, 0..1 */
} kn_paint_control;

typedef struct kn_paint_params {
    const char *prompt, *negative; /* UTF-8, with weights and BREAK (docs/image.md); NULL: "" */
    kn_emphasis emphasis;
    int clip_skip;     /* 1: the text encoder's last layer; 2: the one before; ... */
    int width, height; /* pixels, multiples of the model's latent_factor */
    int batch;         /* pictures; number i has seed + i */
    int steps;         /* 0: the model's default */
    kn_method method;
    kn_noise_spacing spacing;
    double eta;             /* fresh noise of DDIM, Euler ancestral and DPM++ 2M SDE; < 0: 0, 1 and 1 */
    float guidance;         /* classifier-free guidance; up to 1: no unconditional half */
    float guidance_rescale; /* arXiv 2305.08891, section 3.4; 0: off */
    uint64_t seed;
    bool cuda_noise;   /* noise of PyTorch's CUDA generator instead of its CPU one */
    const float *init; /* [3][height][width], 0..1: the picture to start from; NULL: noise alone */
    float strength;    /* 0..1: how much of the schedule is run on `init`; 0 gives it back through the autoencoder */
    const float *mask; /* [height][width], 1 where to paint, 0 where `init` is kept; NULL: everywhere */
    int control_count;
    kn_paint_control controls[KN_MAX_CONTROLS];
    uint64_t max_memory; /* bytes of device memory in all, weights included; 0: what there is. Where the networks do not
                            fit, the autoencoder goes in tiles, and weights of models with KN_RESIDENCY_ONE pass through
                            while a step runs */
    kn_progress_callback progress; /* stage "denoise" after each step, then "decode" after each picture; may be NULL */
    void *progress_user;
} kn_paint_params;
#define KN_PAINT_PARAMS_DEFAULT \
    ((kn_paint_params){         \
        .clip_skip = 1, .width = 512, .height = 512, .batch = 1, .eta = -1, .guidance = 7.5f, .strength = 0.75f})

/* Paints `batch` pictures into rgb[batch][3][height][width], 0..1. The same parameters on the same device give the same
 * bytes. Fails with KN_ERROR_INPUT naming the parameter, KN_ERROR_MEMORY, KN_ERROR_CANCELLED when the callback asked to
 * stop, and KN_ERROR_INTERNAL when a network gave numbers that are not finite. */
bool kn_paint(kn_model *model, const kn_paint_params *params, float *rgb, kn_error *error);

/* The name of the sampler that KN_METHOD_CONFIG stands for in this model: "dpm++2m" and so on (docs/image.md). */
const char *kn_paint_method_name(const kn_model *model, kn_method method);

#ifdef __cplusplus
}
#endif
#endif
