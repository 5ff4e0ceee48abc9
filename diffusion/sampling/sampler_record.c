/* Recording the networks of one denoising step. */
#include "diffusion/sampling/sampler.h"

bool kn_sampler_make_graph(const kn_sampler *sampler, kn_graph **graph, uint64_t arena, kn_error *error) {
    return sampler->dry ? kn_graph_create_dry(graph, sampler->model->gpu, error)
                        : kn_graph_create(graph, sampler->model->gpu, (size_t)arena, error);
}

/* The first `count` members of a tensor. */
static kn_tensor first_members(const kn_tensor *tensor, int count) {
    kn_tensor part = kn_tensor_view(tensor, count, tensor->h, tensor->w);
    part.memory.size = (size_t)count * (size_t)tensor->h * (size_t)tensor->w * (size_t)tensor->stride * sizeof(float);
    return part;
}

/* Records the networks for the first `frames` frames of the batch. */
static bool record_networks(const kn_sampler *sampler, kn_graph *graph, kn_tensor *output, int halves, int frames,
                            kn_error *error) {
    const kn_sampler_params *params = &sampler->params;
    int batch = halves * frames * params->views;
    kn_tensor conditions[KN_MAX_CONTROLS], sinusoids = first_members(&sampler->sinusoids, batch);
    kn_tensor plain = first_members(&sampler->plain_sinusoids, batch);
    kn_tensor input = first_members(sampler->tensors.input.n ? &sampler->tensors.input : &sampler->tensors.x, batch);
    kn_tensor joined = {0}, means = first_members(&sampler->means, batch);
    kn_control_use uses[KN_MAX_CONTROLS];
    if (sampler->means.n && !kn_op_concat(graph, &joined, &input, &means, error)) return false;
    for (int i = 0; i < params->control_count; i++) {
        conditions[i] = first_members(&sampler->conditions[i], batch);
        uses[i] = (kn_control_use){.controlnet = sampler->controlnets[i],
                                   .condition = &conditions[i],
                                   .in = &input,
                                   .sinusoids = sampler->plain_sinusoids.n ? &plain : NULL,
                                   .scale = params->controls[i].scale};
    }
    kn_pass pass = {.context = &sampler->context,
                    .context_index = sampler->context_index,
                    .halves = halves,
                    .frames = frames,
                    .views = params->views,
                    .neighbours = {sampler->neighbours[0], sampler->neighbours[1]},
                    .temporal = params->temporal};
    return kn_unet_forward(graph, output, &sampler->model->unet, joined.n ? &joined : &input, &sinusoids, &pass, uses,
                           params->control_count, error);
}

bool kn_sampler_record_step(kn_sampler *sampler, kn_error *error) {
    return kn_sampler_make_graph(sampler, &sampler->step, sampler->arenas.step, error) &&
           record_networks(sampler, sampler->step, &sampler->tensors.output, sampler->halves, sampler->params.frames,
                           error) &&
           (kn_sampler_locks(sampler) ? kn_sampler_lock_record_clean(sampler, error)
                                      : kn_sampler_step_record(sampler->step, &sampler->tensors, error));
}
