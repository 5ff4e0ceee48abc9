/* Locked sampling as part of the sampler. A step then has two halves: the networks end with the clean estimate x0, and
 * after the fusion x' = x_x x + x_0 x0 + x_p previous x0 uses what has become of it. The noise that x holds beside the
 * fused estimate follows from x, as if the network had predicted that estimate. */
#include "diffusion/sampling/sampler.h"

#include <math.h>

bool kn_sampler_locks(const kn_sampler *sampler) {
    return sampler->params.lock.first > 0 || sampler->params.lock.last > 0;
}

static kn_lock_shape shape_of(const kn_sampler *sampler) {
    const kn_model_info *info = &sampler->model->info;
    return (kn_lock_shape){.n = sampler->pictures,
                           .h = sampler->latent_height,
                           .w = sampler->latent_width,
                           .stride = (info->latent_channels + 3) / 4 * 4,
                           .block = info->pixel_noise ? info->latent_factor : 1,
                           .channels = info->pixel_noise ? 3 : info->latent_channels};
}

uint64_t kn_sampler_lock_bytes(const kn_sampler *sampler) {
    kn_lock_shape shape = shape_of(sampler);
    int samples = sampler->params.lock.samples > 0 ? sampler->params.lock.samples : 1;
    return kn_sampler_locks(sampler) ? kn_lock_bytes(&shape, samples) : 0;
}

bool kn_sampler_lock_build(kn_sampler *sampler, kn_error *error) {
    if (!kn_sampler_locks(sampler)) return true;
    kn_lock_shape shape = shape_of(sampler);
    return kn_graph_tensor(sampler->state, &sampler->clean, shape.n, shape.h, shape.w,
                           sampler->model->info.latent_channels, error) &&
           kn_gpu_buffer_create(&sampler->clean_coefficients, sampler->model->gpu, KN_GPU_ALIGN, KN_GPU_MEMORY_HOST,
                                error);
}

/* The first half is a step that leaves x as it is and keeps x0 as if it were the previous one. */
static kn_sampler_tensors first_half(const kn_sampler *sampler) {
    kn_sampler_tensors tensors = sampler->tensors;
    tensors.previous = sampler->clean;
    tensors.input = (kn_tensor){0};
    tensors.coefficients = sampler->clean_coefficients;
    return tensors;
}

bool kn_sampler_lock_record_clean(kn_sampler *sampler, kn_error *error) {
    kn_sampler_tensors tensors = first_half(sampler);
    return kn_sampler_step_record(sampler->step, &tensors, error);
}

bool kn_sampler_lock_start(kn_sampler *sampler, const kn_lock *lock, kn_error *error) {
    if (!kn_sampler_locks(sampler)) return true;
    kn_lock_shape shape = shape_of(sampler);
    kn_sampler_tensors tensors = sampler->tensors;
    tensors.output = sampler->clean;
    kn_graph_destroy(&sampler->lock);
    kn_lock_work_finish(&sampler->lock_work);
    return (!lock || kn_lock_work_init(&sampler->lock_work, sampler->model->gpu, lock, &shape, error)) &&
           kn_graph_create(&sampler->lock, sampler->model->gpu, 4096, error) &&
           (!lock || kn_lock_record(sampler->lock, &sampler->lock_work, &sampler->clean, error)) &&
           kn_sampler_step_record(sampler->lock, &tensors, error);
}

/* x' by x and x0 alone: m = (x0 - x0_x x) / x0_m. */
static kn_step second_half(const kn_step *step) {
    kn_step half = {.x0_m = 1, .clip = 1e30, .x_p = step->x_p};
    half.x_x = step->x_x - step->x_m * step->x0_x / step->x0_m;
    half.x_0 = step->x_0 + step->x_m / step->x0_m;
    return half;
}

static float strength_at(const kn_sampler *sampler, int index) {
    const kn_lock_params *lock = &sampler->params.lock;
    float done = sampler->params.steps > 1 ? (float)index / (float)(sampler->params.steps - 1) : 0;
    return lock->first + done * (lock->last - lock->first);
}

/* What is known takes the place of its estimate, so that x goes from its noise to it. */
static bool set_known(const kn_sampler *sampler, const kn_sample_input *input, kn_error *error) {
    for (int i = 0; i < input->known_count; i++) {
        kn_tensor clean = kn_sampler_member(&sampler->clean, i);
        if (!kn_tensor_upload(&clean, input->known + (size_t)i * kn_sampler_floats(sampler), error)) return false;
    }
    return true;
}

bool kn_sampler_lock_step(kn_sampler *sampler, const kn_sample_input *input, int index, double next_input_scale,
                          kn_error *error) {
    const kn_step *step = &sampler->steps[index];
    const kn_step clean = {.x0_x = step->x0_x, .x0_m = step->x0_m, .clip = step->clip, .x_x = 1};
    if (step->x0_m == 0)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "locked sampling: step %d has no clean estimate", index);
    const kn_step rest = second_half(step);
    kn_sampler_tensors tensors = first_half(sampler);
    return kn_sampler_step_set(&tensors, &clean, 1, (double)sampler->params.guidance, error) &&
           kn_sampler_step_set(&sampler->tensors, &rest, next_input_scale, 1, error) &&
           (!sampler->lock_work.strength ||
            kn_lock_set_strength(&sampler->lock_work, strength_at(sampler, index), error)) &&
           kn_graph_run(sampler->step, error) && set_known(sampler, input, error) && kn_graph_run(sampler->lock, error);
}

void kn_sampler_lock_end(kn_sampler *sampler) {
    kn_graph_destroy(&sampler->lock);
    kn_lock_work_finish(&sampler->lock_work);
}

void kn_sampler_lock_finish(kn_sampler *sampler) {
    kn_sampler_lock_end(sampler);
    kn_gpu_buffer_destroy(&sampler->clean_coefficients);
}
