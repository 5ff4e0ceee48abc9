/* What the files of kn_paint share, and those of kn_clip with them. Internal to diffusion/. */
#ifndef KN_DIFFUSION_PAINT_H
#define KN_DIFFUSION_PAINT_H

#include "base/random.h"
#include "diffusion/sampling/model.h"
#include "diffusion/sampling/plan.h"
#include "diffusion/sampling/solver.h"
#include "diffusion/ops/stream.h"
#include "kinora/paint.h"

/* What painting will take on the device, found before anything is run, and how it is done so that it fits. Bytes. */
typedef struct kn_paint_plan {
    uint64_t free;               /* what may be allocated beside what is there already */
    uint64_t text;               /* the text encoder: weights that are not there yet, and activations */
    uint64_t state, activations; /* of a denoising step: inputs that stay, and what lives in between */
    uint64_t weights;            /* of UNet and ControlNets: what is not there yet */
    bool streams;                /* these weights do not fit: `stay` of them do, the others pass through `window` */
    uint64_t stay, window;
    bool encodes;
    kn_tiling encode, decode; /* the autoencoder, with its weights */
    uint64_t peak;            /* the most that any stage takes */
} kn_paint_plan;

/* Plans for a model of which everything that can be off the device is off it. `tokens`: of the context. Fails with
 * KN_ERROR_MEMORY, naming the stage, what it would take and what is free, when there is no plan that fits. */
bool kn_paint_plan_make(kn_paint_plan *plan, const kn_model *model, const kn_paint_params *params, int halves,
                        int tokens, kn_error *error);

/* The UNet with its ControlNets for one batch: conditional and unconditional halves and all pictures in one pass. */
typedef struct kn_paint_network {
    kn_model *model;
    const kn_paint_params *params;
    kn_paint_plan plan;          /* changes when memory runs out on the way */
    int halves, pictures, batch; /* 1 or 2; their product is the batch, unconditional half first */
    int width, height;           /* of the latent */
    const kn_controlnet *controlnets[KN_MAX_CONTROLS];
    kn_graph *state; /* owns the tensors below */
    kn_tensor input, sinusoids, context, conditions[KN_MAX_CONTROLS];
    kn_tensor plain_sinusoids; /* for ControlNets, when the UNet adds to its own */
    kn_tensor sample;   /* the input without mask and masked picture, for ControlNets beside an inpainting UNet */
    int *context_index; /* [batch] */
    kn_graph *step;     /* recorded for the controls in `recorded` */
    kn_tensor output;
    const float *look;    /* [context_channels]: the text, for UNets whose time takes it; NULL; the caller's */
    unsigned recorded;    /* bits of controls */
    kn_streamer streamer; /* with plan->streams: the step is recorded anew each time, and runs in pieces */
    float *time;          /* [batch][channels]: scratch */
} kn_paint_network;

/* The ControlNet that a control names; also checks the control's numbers. */
bool kn_paint_find_control(const kn_controlnet **found, const kn_model *model, const kn_paint_control *control,
                           kn_error *error);

/* `halves` 2: with an unconditional half. Finish also after failure. */
bool kn_paint_network_init(kn_paint_network *network, kn_model *model, const kn_paint_params *params,
                           const kn_paint_plan *plan, int halves, kn_error *error);
void kn_paint_network_finish(kn_paint_network *network);
/* The picture of params->controls[index] has changed. */
bool kn_paint_network_set_control(kn_paint_network *network, int index, kn_error *error);
/* input [batch][unet in_channels][height][width] -> output [batch][latent_channels][height][width], with the
 * ControlNets whose bits are set in `controls`. */
bool kn_paint_network_run(kn_paint_network *network, const float *input, double timestep, unsigned controls,
                          float *output, kn_error *error);

/* The prompts as the UNet reads them: *context [halves][channels][tokens] on the host, to be freed with kn_free;
 * *tokens. A prompt of fewer chunks than the other is repeated, which leaves attention as it is. */
bool kn_paint_prompts(kn_model *model, const kn_paint_params *params, int halves, float **context, int *tokens,
                      kn_error *error);
/* Only the number of tokens. */
bool kn_paint_prompt_tokens(kn_model *model, const kn_paint_params *params, int halves, int *tokens, kn_error *error);

/* One picture [3][height][width] in 0..1 -> its latent [latent_channels][h][w], and back. Sizes are those of
 * `params`. */
bool kn_paint_encode(kn_model *model, const kn_paint_params *params, const kn_tiling *tiling, const float *picture,
                     float *latent, kn_error *error);
bool kn_paint_decode(kn_model *model, const kn_paint_params *params, const kn_tiling *tiling, const float *latents,
                     float *pictures, kn_error *error);

#endif
