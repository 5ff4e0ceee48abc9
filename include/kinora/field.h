/* Sampling fields on a grid with a diffusion model: samples whose channels are no picture, under condition channels
 * that lie cell for cell behind them. For folders in the diffusers layout without an autoencoder (docs/formats.md).
 *
 *     kn_field_sampler_create(&sampler, model, &(kn_field_params){.width = 64, .height = 32, .prompt = "sedan"},
 * &error); kn_field_sample(sampler, &(kn_field_input){.condition = c, .seed = 7}, field, &error);
 *     kn_field_sampler_destroy(&sampler);
 */
#ifndef KINORA_FIELD_H
#define KINORA_FIELD_H

#include "kinora/diffusion.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kn_field_params {
    int width, height;  /* cells, 1..1024 */
    const char *prompt; /* UTF-8; NULL: "" */
} kn_field_params;

/* Where a step of the sampler stands when its objective is asked. */
typedef struct kn_field_step {
    int index, count; /* of the evaluations of this run */
    float noise;      /* share of noise in the sample that the estimate was made from: 1 at first, towards 0 */
} kn_field_step;

/* An objective: changes the clean estimate clean[channels][height][width] in place before the sample moves towards it.
 * False ends the sampling with `error`. */
typedef bool (*kn_field_objective)(void *user, const kn_field_step *step, float *clean, kn_error *error);

typedef struct kn_field_input {
    const float *condition; /* [condition channels][height][width] */
    const float *noise;     /* unit Gaussian [channels][height][width]; NULL: that of `seed` (kn_noise_fill) */
    uint64_t seed;
    int steps;                    /* evaluations of the network, 1..500; 0: the model's default */
    bool one;                     /* only the first step of them: the clean estimate from noise alone */
    kn_field_objective objective; /* NULL: none */
    void *user;
    kn_progress_callback progress; /* stage "shape" after each evaluation; NULL: none */
    void *progress_user;
} kn_field_input;

/* Device memory and recorded work for one size and prompt. The model outlives it. Not thread-safe. */
typedef struct kn_field_sampler kn_field_sampler;

/* Fails with KN_ERROR_INPUT for a size, KN_ERROR_UNSUPPORTED for a model that makes pictures, KN_ERROR_MEMORY. */
bool kn_field_sampler_create(kn_field_sampler **sampler, kn_model *model, const kn_field_params *params,
                             kn_error *error);
void kn_field_sampler_destroy(kn_field_sampler **sampler);

/* Channels of the model's sample and of the condition behind it; 0 for models that make pictures. */
int kn_field_channels(const kn_model *model);
int kn_field_condition_channels(const kn_model *model);

/* Samples field[channels][height][width]. The same input on the same device gives the same bytes. Fails with
 * KN_ERROR_INTERNAL when the network gave numbers that are not finite, KN_ERROR_CANCELLED. */
bool kn_field_sample(kn_field_sampler *sampler, const kn_field_input *input, float *field, kn_error *error);

#ifdef __cplusplus
}
#endif
#endif
