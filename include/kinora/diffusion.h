/* Diffusion models of the Stable Diffusion family from folders and single files, and sampling of controlled, consistent
 * video frames with them.
 *
 *     kn_model *model;
 *     kn_model_load(&model, gpu, "models/kinora-nano", &KN_MODEL_PARAMS_DEFAULT, &error);
 *     kn_sampler_params params = KN_SAMPLER_PARAMS_DEFAULT;
 *     params.frames = 16, params.views = 6, params.width = 400, params.height = 224;
 *     params.controls[0] = (kn_control_params){.name = "drive", .scale = 1}, params.control_count = 1;
 *     kn_sampler_create(&sampler, model, &params, &error);
 *     kn_sample(sampler, &(kn_sample_input){...}, rgb,
 * &error); */
#ifndef KINORA_DIFFUSION_H
#define KINORA_DIFFUSION_H

#include "kinora/base.h"
#include "kinora/gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- models ----------------------------------------------------------------------------------- */

/* A foundation (UNet, autoencoder, text encoder, tokenizer, schedule) and the capabilities that attach to it, on one
 * device. The gpu outlives it. Not thread-safe. */
typedef struct kn_model kn_model;

typedef enum kn_precision {
    KN_PRECISION_FILE, /* weights stored as F16 stay F16, all others are F32 on the device */
    KN_PRECISION_HALF, /* all matrices F16 */
    KN_PRECISION_FULL  /* all matrices F32 */
} kn_precision;

#define KN_MAX_CONTROLS 8
#define KN_MAX_LORAS 16

/* A low-rank adaptation (arXiv 2106.09685) that is added to the weights while they are loaded. */
typedef struct kn_lora_use {
    const char *path; /* safetensors or a .pt/.ckpt archive, in kohya's, diffusers' or PEFT's naming */
    float strength;   /* multiplies the difference; 1: as trained, negative: away from it */
} kn_lora_use;

/* Which networks of a model are on the device. */
typedef enum kn_residency {
    KN_RESIDENCY_ALL, /* all of them, from loading on */
    KN_RESIDENCY_ONE  /* the one at work: kn_paint brings each when its turn comes and takes it off after. All names and
                         shapes are checked when the model is loaded, and its files stay mapped: they must not be
                         changed while the model lives. */
} kn_residency;

/* What a single file predicts; its tensors cannot tell in every case. Folders say it in scheduler_config.json. */
typedef enum kn_prediction_choice { KN_PREDICT_AUTO, KN_PREDICT_EPSILON, KN_PREDICT_V } kn_prediction_choice;

typedef struct kn_model_params {
    kn_precision precision;
    kn_log log;
    const char
        *tokenizer; /* folder of vocab.json and merges.txt; NULL: tokenizer/ in the model's folder or beside its file */
    const char *autoencoder; /* folder or file of a VAE or TAESD in place of the model's own; NULL: its own */
    const char
        *controlnets[KN_MAX_CONTROLS]; /* further ControlNets, folders or files, called by their names without ending */
    int controlnet_count;
    kn_lora_use loras[KN_MAX_LORAS];
    int lora_count;
    kn_prediction_choice prediction; /* for single files; AUTO: by the tensors */
    kn_residency residency;
} kn_model_params;
#define KN_MODEL_PARAMS_DEFAULT ((kn_model_params){0})

/* Loads a model from a path of any kind.
 *
 * A file: a checkpoint with UNet, autoencoder and text encoder as .safetensors (in the original "ldm" naming or in
 * diffusers' with unet., vae., text_encoder.), as .ckpt/.pth/.pt (zip archives of tensors; no code in them is run) or
 * as .gguf (as stable-diffusion.cpp writes them). The configs are derived from the tensors' shapes (docs/formats.md).
 *
 * A diffusers folder: unet/, vae/, scheduler/, text_encoder/ with tokenizer/ (both may be absent when the UNet takes no
 * text), every controlnet-NAME/ (and controlnet/, called "controlnet"), and, when there, multi_view/ and motion/ with
 * further tensors of the UNet. Fails with one line naming the file, the tensor or key, and what was expected. */
bool kn_model_load(kn_model **model, kn_gpu *gpu, const char *path, const kn_model_params *params, kn_error *error);
void kn_model_destroy(kn_model **model);

/* Another strength for params.loras[index], for what is painted or sampled from now on; the weights that the LoRA
 * changes are made anew, the others stay. Models with LoRAs keep their files mapped for it. When it fails with
 * KN_ERROR_MEMORY, the model is as after a loading with KN_RESIDENCY_ONE: weights that are missing come when they are
 * needed. */
bool kn_model_set_lora(kn_model *model, int index, float strength, kn_error *error);

typedef struct kn_model_info {
    char folder[512];
    uint64_t parameters;       /* of all networks together */
    int latent_channels;       /* what the UNet denoises */
    int latent_factor;         /* pixels per latent cell, along each axis */
    bool pixel_noise;          /* the latent is packed pixels: noise is given per pixel with 3 channels */
    bool text;                 /* takes prompts */
    bool inpaints;             /* the UNet also takes a mask and the masked picture's latent: for kn_paint only */
    bool structure;            /* the UNet also takes lines and colours of a frame: for kn_clip only */
    bool field;                /* no autoencoder: for kn_field_sample only */
    bool multi_view, temporal; /* has these attention blocks */
    int default_steps;         /* denoising steps that the model was made for */
    int max_frames;            /* the longest clip temporal attention has positions for; 0 without it */
    int control_count;
    char control_names[KN_MAX_CONTROLS][64];
    int control_channels[KN_MAX_CONTROLS];
} kn_model_info;

const kn_model_info *kn_model_get_info(const kn_model *model);

/* --- sampling --------------------------------------------------------------------------------- */

typedef enum kn_method {
    KN_METHOD_CONFIG,        /* what scheduler/scheduler_config.json names */
    KN_METHOD_FLOW_EULER,    /* Euler steps of flow matching (arXiv 2210.02747) */
    KN_METHOD_DDIM,          /* arXiv 2010.02502, eta 0 */
    KN_METHOD_DPM_SOLVER_2M, /* DPM-Solver++ second-order multistep (arXiv 2211.01095) */
    KN_METHOD_EULER,         /* Euler steps in sigma (arXiv 2206.00364) */
    /* for kn_paint only: */
    KN_METHOD_EULER_ANCESTRAL,   /* Euler steps with fresh noise (k-diffusion's) */
    KN_METHOD_HEUN,              /* arXiv 2206.00364, algorithm 1 */
    KN_METHOD_DPM_SOLVER_2M_SDE, /* the same solver for the diffusion SDE, with fresh noise */
    KN_METHOD_UNIPC,             /* second-order predictor and corrector (arXiv 2302.04867) */
    KN_METHOD_LCM                /* latent consistency (arXiv 2310.04378) */
} kn_method;

typedef struct kn_control_params {
    const char *name; /* "drive" for controlnet-drive/ */
    float scale;      /* multiplies the branch's residuals; 0 skips it */
} kn_control_params;

#define KN_MAX_VIEWS 16

/* Locked sampling: at every step the clean estimates of all places that show one surface are fused, with any model. */
typedef struct kn_lock_params {
    float first, last; /* strength 0..1 at the first and the last step, between them in a straight line; both 0: off */
    int samples;       /* of kn_lock, for planning memory */
} kn_lock_params;

#define KN_LOCK_FREE 0xffffffffu

/* Which places show which surface. A place is a pixel of pixel_noise models, else a latent cell; N pictures of
 * height x width places with S points each (include/kinora/surfaces.h makes all this from scenes). */
typedef struct kn_lock {
    int samples;           /* S, 1..64 */
    const uint32_t *cells; /* [N][height][width][S]: cell of each point, KN_LOCK_FREE: none */
    const float *weights;  /* [N][height][width]: how much a place tells about its cells; above 0 */
    const float *hold;     /* [N][height][width]: how far it lets itself be changed, 0..1 */
    size_t cell_count;
} kn_lock;

typedef struct kn_sampler_params {
    int frames, views; /* F, V: F * V pictures are made together */
    int width, height; /* pixels, multiples of latent_factor */
    int steps;         /* denoising steps, 1..1000 */
    float guidance;    /* classifier-free guidance scale; 1: no unconditional half */
    kn_method method;
    int control_count;
    kn_control_params controls[KN_MAX_CONTROLS];
    bool multi_view; /* use multi-view attention when the model has it */
    bool temporal;   /* use temporal attention when the model has it */
    float strength;  /* 1: pictures from noise alone; below: from kn_sample_input.init with this share of noise, by flow
                        matching only; above 0 */
    kn_lock_params lock;
    int neighbours[KN_MAX_VIEWS][2]; /* per view the two views it attends to, -1: none (kn_rig_neighbours fills this) */
} kn_sampler_params;
#define KN_SAMPLER_PARAMS_DEFAULT \
    ((kn_sampler_params){         \
        .frames = 1, .views = 1, .steps = 8, .guidance = 1, .strength = 1, .multi_view = true, .temporal = true})

/* Device memory and recorded work for clips of one shape. The model outlives it. Not thread-safe. */
typedef struct kn_sampler kn_sampler;

/* Device memory, bytes, that a sampler of these params will take beside the loaded model, up to a few MiB for prompts
 * and small buffers: known before it is made. Fails as kn_sampler_create does. */
bool kn_sampler_bytes(kn_model *model, const kn_sampler_params *params, uint64_t *bytes, kn_error *error);

bool kn_sampler_create(kn_sampler **sampler, kn_model *model, const kn_sampler_params *params, kn_error *error);
void kn_sampler_destroy(kn_sampler **sampler);

/* N = frames * views pictures, frame-major (picture f * views + v). */
typedef struct kn_sample_input {
    const char *const *prompts;             /* prompt_count strings, UTF-8; may be NULL when the model takes no text */
    int prompt_count;                       /* 1 (for all), or N */
    const char *negative_prompt;            /* for the unconditional half; NULL: "" */
    const float *controls[KN_MAX_CONTROLS]; /* per control of the params: [N][its channels][height][width] */
    const float *noise;                     /* unit Gaussian: [N][3][height][width] for pixel_noise models, else
                                               [N][latent_channels][height / factor][width / factor] */
    const float *init;   /* pictures to start from when strength is below 1: picture n is [3][height][width] in 0..1 at
                            init + n * init_stride */
    size_t init_stride;  /* floats */
    const kn_lock *lock; /* when the params ask for it; NULL: this clip goes without */
    const float *known;  /* latents of the first known_count pictures, which stay as they are while the others are made
                            to agree with them; only with a lock. They are not decoded. */
    int known_count;
    float *latents; /* [N][latent_channels][height / factor][width / factor]: of the pictures; may be NULL */
    kn_progress_callback progress; /* called with stage "denoise" after each step; may be NULL */
    void *progress_user;
} kn_sample_input;

/* Makes N pictures into rgb[N][3][height][width], sRGB-encoded, clamped to 0..1. A picture that comes out with a number
 * that is not finite is an error (KN_ERROR_INTERNAL), never silent. */
bool kn_sample(kn_sampler *sampler, const kn_sample_input *input, float *rgb, kn_error *error);
/* The same, rounded to 8 bits: rgb[N][3][height][width]. */
bool kn_sample_u8(kn_sampler *sampler, const kn_sample_input *input, uint8_t *rgb, kn_error *error);

/* Fills noise as PyTorch does: torch.randn(count, generator) on the CPU, or with CUDA's Philox generator at offset
 * 0. */
void kn_noise_fill(float *noise, size_t count, uint64_t seed, bool cuda);

#ifdef __cplusplus
}
#endif
#endif
