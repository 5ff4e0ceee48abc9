/* What the files of the sampler share. Internal to diffusion/sampler*.c. */
#ifndef KN_DIFFUSION_SAMPLER_H
#define KN_DIFFUSION_SAMPLER_H

#include "diffusion/model.h"
#include "diffusion/sampler_step.h"

/* A small network that runs on one picture or prompt at a time. */
typedef struct kn_stage {
    kn_graph *graph;
    kn_tensor in, out;
} kn_stage;

struct kn_sampler {
    kn_model *model;
    kn_sampler_params params;
    int pictures, halves, batch;         /* frames * views; 1 or 2; their product */
    int latent_width, latent_height, tokens;
    const kn_controlnet *controlnets[KN_MAX_CONTROLS];
    kn_step steps[KN_MAX_STEPS];
    double noise_scale;

    kn_graph *state;                     /* owns the tensors that outlive a run */
    kn_sampler_tensors tensors;          /* output belongs to `step` */
    kn_tensor sinusoids, context, conditions[KN_MAX_CONTROLS];
    kn_stage embed[KN_MAX_CONTROLS], decode;

    kn_graph *step;                      /* UNet, ControlNets and update: one recording, run once per step */
    kn_graph *prompts;                   /* owns `context` */
    int context_count, *context_index;   /* distinct prompts that `step` was recorded for; [batch] */
    int *neighbours[2];                  /* [batch] */
};

/* Fills `context` and records `step` again when the number or place of distinct prompts changed. */
bool kn_sampler_set_prompts(kn_sampler *sampler, const kn_sample_input *input, kn_error *error);
bool kn_sampler_record_step(kn_sampler *sampler, kn_error *error);

#endif
