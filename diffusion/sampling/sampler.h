/* What the files of the sampler share. Internal to diffusion/sampling/sampler*.c. */
#ifndef KN_DIFFUSION_SAMPLER_H
#define KN_DIFFUSION_SAMPLER_H

#include "diffusion/sampling/lock.h"
#include "diffusion/sampling/model.h"
#include "diffusion/sampling/sampler_step.h"

/* A small network that runs on one picture or prompt at a time. */
typedef struct kn_stage {
    kn_graph *graph;
    kn_tensor in, out;
} kn_stage;

/* Bytes of each graph's arena; `weights`: those that are not on the device yet. */
typedef struct kn_sampler_arenas {
    uint64_t state, prompts, embed[KN_MAX_CONTROLS], decode, encode, step, weights, lock;
} kn_sampler_arenas;

struct kn_sampler {
    kn_model *model;
    kn_sampler_params params;
    bool dry; /* only measures: kn_sampler_measure */
    kn_sampler_arenas arenas;
    int pictures, halves, batch; /* frames * views; 1 or 2; their product */
    int latent_width, latent_height, tokens;
    const kn_controlnet *controlnets[KN_MAX_CONTROLS];
    kn_step steps[KN_MAX_STEPS];
    double noise_scale;

    kn_graph *state;            /* owns the tensors that outlive a run */
    kn_sampler_tensors tensors; /* output belongs to `step` */
    kn_tensor sinusoids, context, conditions[KN_MAX_CONTROLS];
    kn_tensor plain_sinusoids; /* for ControlNets, when the UNet adds to its own */
    kn_tensor means;           /* [batch][h][w][channels]: means of a control's pictures, for UNets that take them */
    kn_stage embed[KN_MAX_CONTROLS], decode, encode; /* encode: only with strength below 1 */

    kn_graph *step;                    /* UNet, ControlNets and update: one recording, run once per step */
    kn_graph *prompts;                 /* owns `context` */
    int context_count, *context_index; /* distinct prompts that `step` was recorded for; [batch] */
    char **texts;                      /* [text_count] what `context` holds, in order */
    float *end_states;                 /* [text_count][context channels] of the end token */
    int text_count;
    unsigned text_revision; /* the model's, when they were encoded */
    int *neighbours[2];     /* [batch] */

    /* Locked sampling; unused when params.lock is off. `step` then ends with the clean estimate. */
    kn_tensor clean;                   /* shaped like x */
    kn_gpu_buffer *clean_coefficients; /* of the half step that makes `clean` */
    kn_graph *lock;                    /* fuses `clean` and updates x with it; recorded for each clip */
    kn_lock_work lock_work;
};

/* One member of a tensor. */
static inline kn_tensor kn_sampler_member(const kn_tensor *tensor, int index) {
    kn_tensor one = kn_tensor_view(tensor, 1, tensor->h, tensor->w);
    one.memory.size = (size_t)tensor->h * (size_t)tensor->w * (size_t)tensor->stride * sizeof(float);
    one.memory.offset += (size_t)index * one.memory.size;
    return one;
}

/* Values of a picture's latent. */
static inline size_t kn_sampler_floats(const kn_sampler *sampler) {
    return (size_t)sampler->latent_width * (size_t)sampler->latent_height *
           (size_t)sampler->model->info.latent_channels;
}

/* Fills `context`, unless it holds these texts already, and records `step` again when the number or place of distinct
 * prompts changed. */
bool kn_sampler_set_prompts(kn_sampler *sampler, const kn_sample_input *input, kn_error *error);
/* The next kn_sampler_set_prompts encodes all texts. */
void kn_sampler_forget_texts(kn_sampler *sampler);
/* Starting from pictures, when params.strength is below 1 (sampler_init.c): the steps; the encoder; its part of x. */
bool kn_sampler_starts_from_pictures(const kn_sampler *sampler);
bool kn_sampler_init_steps(kn_sampler *sampler, kn_error *error);
bool kn_sampler_init_build(kn_sampler *sampler, kn_error *error);
bool kn_sampler_init_add(kn_sampler *sampler, const kn_sample_input *input, int picture, float *x, kn_error *error);
bool kn_sampler_record_step(kn_sampler *sampler, kn_error *error);
/* A graph with this arena, or a dry one. */
bool kn_sampler_make_graph(const kn_sampler *sampler, kn_graph **graph, uint64_t arena, kn_error *error);
/* What a sampler of these params will take, by recording it without memory. */
bool kn_sampler_measure(kn_model *model, const kn_sampler_params *params, kn_sampler_arenas *arenas, kn_error *error);

/* --- sampler_lock.c --- */
bool kn_sampler_locks(const kn_sampler *sampler);
/* What it adds to the graph of the state, and to `step` in place of the update. */
bool kn_sampler_lock_build(kn_sampler *sampler, kn_error *error);
bool kn_sampler_lock_record_clean(kn_sampler *sampler, kn_error *error);
/* Around and after the networks of each step. `lock` NULL: nothing is fused in this clip. */
bool kn_sampler_lock_start(kn_sampler *sampler, const kn_lock *lock, kn_error *error);
bool kn_sampler_lock_step(kn_sampler *sampler, const kn_sample_input *input, int index, double next_input_scale,
                          kn_error *error);
/* Drops the links. */
void kn_sampler_lock_end(kn_sampler *sampler);
void kn_sampler_lock_finish(kn_sampler *sampler);
/* Device memory of a clip's links, bytes; 0 without a lock. */
uint64_t kn_sampler_lock_bytes(const kn_sampler *sampler);

#endif
