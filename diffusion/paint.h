/* What the files of kn_paint share. Internal to diffusion/paint*.c. */
#ifndef KN_DIFFUSION_PAINT_H
#define KN_DIFFUSION_PAINT_H

#include "base/random.h"
#include "diffusion/model.h"
#include "diffusion/solver.h"
#include "kinora/paint.h"

/* The UNet with its ControlNets for one batch: conditional and unconditional halves and all pictures in one pass. */
typedef struct kn_paint_network {
    kn_model *model;
    const kn_paint_params *params;
    int halves, pictures, batch;  /* 1 or 2; their product is the batch, unconditional half first */
    int width, height;            /* of the latent */
    const kn_controlnet *controlnets[KN_MAX_CONTROLS];
    kn_graph *state;              /* owns the tensors below */
    kn_tensor input, sinusoids, context, conditions[KN_MAX_CONTROLS];
    int *context_index;           /* [batch] */
    kn_graph *step;               /* recorded for the controls in `recorded` */
    kn_tensor output;
    unsigned recorded;            /* bits of controls */
    float *time;                  /* [batch][channels]: scratch */
} kn_paint_network;

/* `halves` 2: with an unconditional half. Finish also after failure. */
bool kn_paint_network_init(kn_paint_network *network, kn_model *model, const kn_paint_params *params, int halves, kn_error *error);
void kn_paint_network_finish(kn_paint_network *network);
/* input [batch][unet in_channels][height][width] -> output [batch][latent_channels][height][width], with the ControlNets whose bits
 * are set in `controls`. */
bool kn_paint_network_run(kn_paint_network *network, const float *input, double timestep, unsigned controls, float *output, kn_error *error);

/* The prompts as the UNet reads them: *context [halves][channels][tokens] on the host, to be freed with kn_free; *tokens. A prompt of
 * fewer chunks than the other is repeated, which leaves attention as it is. */
bool kn_paint_prompts(kn_model *model, const kn_paint_params *params, int halves, float **context, int *tokens, kn_error *error);

/* One picture [3][height][width] in 0..1 -> its latent [latent_channels][h][w], and back. Sizes are those of `params`. */
bool kn_paint_encode(const kn_model *model, const kn_paint_params *params, const float *picture, float *latent, kn_error *error);
bool kn_paint_decode(const kn_model *model, const kn_paint_params *params, const float *latents, float *pictures, kn_error *error);

#endif
