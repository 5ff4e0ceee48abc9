/* One denoising step on the device. Internal to diffusion/. */
#ifndef KN_DIFFUSION_SAMPLER_STEP_H
#define KN_DIFFUSION_SAMPLER_STEP_H

#include "diffusion/ops/ops.h"
#include "diffusion/sampling/schedule.h"

/* Tensors of a step; all have x's shape except where noted. */
typedef struct kn_sampler_tensors {
    kn_tensor x;
    kn_tensor previous;          /* the last x0; n 0 when no step needs it */
    kn_tensor input;             /* what the network sees; [2 n] when guided; n 0 when that is x itself */
    kn_tensor output;            /* of the network; [2 n] when guided: unconditional half first */
    kn_gpu_buffer *coefficients; /* KN_GPU_ALIGN bytes; kn_sampler_step_set fills it */
} kn_sampler_tensors;

/* Records the step: updates x, previous and input. The output of locked sampling's second half is x0 itself. */
bool kn_sampler_step_record(kn_graph *graph, const kn_sampler_tensors *tensors, kn_error *error);
/* Sets the coefficients for the next run. `next_input_scale`: input_scale of the step after. */
bool kn_sampler_step_set(const kn_sampler_tensors *tensors, const kn_step *step, double next_input_scale,
                         double guidance, kn_error *error);

#endif
