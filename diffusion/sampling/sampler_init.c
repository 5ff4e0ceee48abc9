/* Starting from pictures: x = (1 - strength) latent + strength noise, then flow matching's Euler steps from there. */
#include "diffusion/sampling/sampler.h"

bool kn_sampler_starts_from_pictures(const kn_sampler *sampler) { return sampler->params.strength < 1; }

bool kn_sampler_init_steps(kn_sampler *sampler, kn_error *error) {
    const kn_schedule *schedule = &sampler->model->schedule;
    kn_method method = sampler->params.method;
    double strength = (double)sampler->params.strength;
    int count = sampler->params.steps;
    if (!kn_sampler_starts_from_pictures(sampler)) return true;
    if (!schedule->flow || (method != KN_METHOD_CONFIG && method != KN_METHOD_FLOW_EULER) ||
        schedule->residual_control[0])
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "%s: strength below 1 is for flow matching from unit noise; this model samples otherwise",
                       sampler->model->info.folder);
    if (!sampler->model->autoencoder.has_encoder)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: strength below 1 needs the encoder, which its weights lack",
                       sampler->model->info.folder);
    for (int i = 0; i < count; i++) {
        double sigma = strength * (count - i) / count, ratio = (count - i - 1.0) / (count - i);
        kn_step *step = &sampler->steps[i];
        *step = (kn_step){.timestep = sigma * schedule->train_steps, .input_scale = 1, .clip = 1e30};
        kn_schedule_predict(schedule, 1 - sigma, sigma, &step->x0_x, &step->x0_m);
        step->x_x = ratio;
        step->x_0 = 1 - ratio;
    }
    sampler->noise_scale = strength;
    return true;
}

bool kn_sampler_init_build(kn_sampler *sampler, kn_error *error) {
    kn_stage *encode = &sampler->encode;
    if (!kn_sampler_starts_from_pictures(sampler)) return true;
    return kn_sampler_make_graph(sampler, &encode->graph, sampler->arenas.encode, error) &&
           kn_graph_tensor(encode->graph, &encode->in, 1, sampler->params.height, sampler->params.width, 3, error) &&
           kn_autoencoder_encode(encode->graph, &encode->out, &sampler->model->autoencoder, &encode->in, error);
}

bool kn_sampler_init_add(kn_sampler *sampler, const kn_sample_input *input, int picture, float *x, kn_error *error) {
    size_t pixels = 3 * (size_t)sampler->params.width * (size_t)sampler->params.height;
    size_t latents =
        (size_t)sampler->latent_width * (size_t)sampler->latent_height * (size_t)sampler->model->info.latent_channels;
    const kn_stage *encode = &sampler->encode;
    if (!kn_sampler_starts_from_pictures(sampler)) return true;
    if (!input->init) return kn_fail(error, KN_ERROR_INPUT, "strength below 1, but no pictures to start from");
    const float *from = input->init + (size_t)picture * input->init_stride;
    bool unit = kn_autoencoder_zero_to_one(&sampler->model->autoencoder);
    float *values = kn_alloc(kn_max_size(pixels, latents), sizeof *values, error);
    for (size_t i = 0; values && i < pixels; i++) values[i] = unit ? from[i] : 2 * from[i] - 1;
    bool ok = values && kn_tensor_upload(&encode->in, values, error) && kn_graph_run(encode->graph, error) &&
              kn_tensor_download(&encode->out, values, error);
    for (size_t i = 0; ok && i < latents; i++) x[i] += (1 - sampler->params.strength) * values[i];
    kn_free(values);
    return ok;
}
