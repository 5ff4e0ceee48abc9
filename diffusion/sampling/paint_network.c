/* The networks of kn_paint: recorded once, run once for every evaluation. */
#include "diffusion/sampling/paint.h"

#include <math.h>
#include <string.h>

/* --- members ---------------------------------------------------------------------------------- */

static kn_tensor member(const kn_tensor *tensor, int index) {
    kn_tensor one = kn_tensor_view(tensor, 1, tensor->h, tensor->w);
    one.memory.size = (size_t)tensor->h * (size_t)tensor->w * (size_t)tensor->stride * sizeof(float);
    one.memory.offset += (size_t)index * one.memory.size;
    return one;
}

/* --- controls --------------------------------------------------------------------------------- */

bool kn_paint_find_control(const kn_controlnet **found, const kn_model *model, const kn_paint_control *control,
                           kn_error *error) {
    const char *name = control->name ? control->name : "";
    *found = NULL;
    for (int j = 0; j < model->info.control_count; j++)
        if (strcmp(model->info.control_names[j], name) == 0) *found = &model->controlnets[j];
    if (!*found)
        return kn_fail(error, KN_ERROR_INPUT, "%s: has no ControlNet called '%.60s'", model->info.folder, name);
    if (!control->picture) return kn_fail(error, KN_ERROR_INPUT, "control '%.60s' has no picture", name);
    if (!isfinite(control->strength) || !(control->start >= 0 && control->start <= control->end && control->end <= 1))
        return kn_fail(error, KN_ERROR_INPUT, "control '%.60s': expected a finite strength, and 0 <= start <= end <= 1",
                       name);
    return true;
}

/* Embeds the control's picture once and gives it to every member of the batch. */
bool kn_paint_network_set_control(kn_paint_network *network, int index, kn_error *error) {
    const kn_paint_params *params = network->params;
    const kn_controlnet *controlnet = network->controlnets[index];
    kn_tensor *condition = &network->conditions[index], in = {0}, out = {0};
    kn_graph *graph = NULL;
    float *values = NULL;
    bool ok = kn_graph_create(&graph, network->model->gpu, 0, error) &&
              kn_graph_tensor(graph, &in, 1, params->height, params->width, controlnet->condition_channels, error) &&
              kn_controlnet_embed(graph, &out, controlnet, &in, error) &&
              kn_tensor_upload(&in, params->controls[index].picture, error) && kn_graph_run(graph, error) &&
              (values = kn_alloc((size_t)out.c * (size_t)out.h * (size_t)out.w, sizeof *values, error)) &&
              kn_tensor_download(&out, values, error) &&
              (condition->n || kn_graph_tensor(network->state, condition, network->batch, out.h, out.w, out.c, error));
    for (int i = 0; ok && i < network->batch; i++) {
        kn_tensor one = member(condition, i);
        ok = kn_tensor_upload(&one, values, error);
    }
    kn_free(values);
    kn_graph_destroy(&graph);
    return ok;
}

/* --- set up ----------------------------------------------------------------------------------- */

static bool set_context(kn_paint_network *network, kn_error *error) {
    float *values = NULL;
    int tokens;
    bool ok = kn_paint_prompts(network->model, network->params, network->halves, &values, &tokens, error) &&
              kn_graph_tensor(network->state, &network->context, network->halves, 1, tokens,
                              network->model->unet.trunk.config.context_channels, error) &&
              kn_tensor_upload(&network->context, values, error);
    kn_free(values);
    for (int i = 0; ok && i < network->batch; i++) network->context_index[i] = i / network->pictures;
    return ok;
}

bool kn_paint_network_init(kn_paint_network *network, kn_model *model, const kn_paint_params *params,
                           const kn_paint_plan *plan, int halves, kn_error *error) {
    const kn_unet_config *unet = &model->unet.trunk.config;
    int factor = model->info.latent_factor, batch = halves * params->batch;
    *network = (kn_paint_network){.model = model,
                                  .params = params,
                                  .plan = *plan,
                                  .streamer = {.window = plan->window, .stay = plan->stay},
                                  .halves = halves,
                                  .pictures = params->batch,
                                  .batch = batch,
                                  .width = params->width / factor,
                                  .height = params->height / factor};
    if (!(network->context_index = kn_alloc((size_t)batch, sizeof *network->context_index, error)) ||
        !(network->time = kn_alloc((size_t)batch * (size_t)unet->channels[0], sizeof *network->time, error)) ||
        !kn_graph_create(&network->state, model->gpu, plan->state, error) || !set_context(network, error))
        return false;
    for (int i = 0; i < params->control_count; i++)
        if (!kn_paint_find_control(&network->controlnets[i], model, &params->controls[i], error) ||
            !kn_paint_network_set_control(network, i, error))
            return false;
    if ((model->info.inpaints || model->info.structure) && params->control_count &&
        !kn_graph_tensor(network->state, &network->sample, batch, network->height, network->width,
                         model->info.latent_channels, error))
        return false;
    if (model->unet.time_condition &&
        !kn_graph_tensor(network->state, &network->plain_sinusoids, batch, 1, 1, unet->channels[0], error))
        return false;
    return kn_graph_tensor(network->state, &network->input, batch, network->height, network->width, unet->in_channels,
                           error) &&
           kn_graph_tensor(network->state, &network->sinusoids, batch, 1, 1, unet->channels[0], error);
}

static void leave_all(const kn_paint_network *network) {
    kn_model *model = network->model;
    kn_model_leave(model, &model->unet.layers);
    for (int i = 0; i < model->info.control_count; i++) kn_model_leave(model, &model->controlnets[i].layers);
}

void kn_paint_network_finish(kn_paint_network *network) {
    kn_graph_destroy(&network->step);
    kn_graph_destroy(&network->state);
    kn_streamer_finish(&network->streamer);
    if (network->model) leave_all(network);
    kn_free(network->context_index);
    kn_free(network->time);
    *network = (kn_paint_network){0};
}

/* --- run -------------------------------------------------------------------------------------- */

static bool record(kn_paint_network *network, unsigned controls, kn_error *error) {
    const kn_paint_params *params = network->params;
    kn_control_use uses[KN_MAX_CONTROLS];
    int count = 0;
    if (!network->plan.streams) kn_graph_destroy(&network->step);
    if (network->step ? !kn_graph_restart(network->step, error)
                      : !kn_graph_create(&network->step, network->model->gpu, network->plan.activations, error))
        return false;
    if (network->plan.streams) kn_graph_set_streamer(network->step, &network->streamer);
    for (int i = 0; i < params->control_count; i++)
        if (controls & 1u << i)
            uses[count++] = (kn_control_use){.controlnet = network->controlnets[i],
                                             .condition = &network->conditions[i],
                                             .in = network->sample.n ? &network->sample : NULL,
                                             .sinusoids = network->plain_sinusoids.n ? &network->plain_sinusoids : NULL,
                                             .scale = params->controls[i].strength};
    kn_pass pass = {.context = &network->context,
                    .context_index = network->context_index,
                    .halves = network->halves,
                    .frames = 1,
                    .views = network->pictures};
    network->recorded = controls;
    return kn_unet_forward(network->step, &network->output, &network->model->unet, &network->input, &network->sinusoids,
                           &pass, uses, count, error);
}

/* When memory runs out although the plan said that it suffices, weights pass through from here on. */
static bool record_or_stream(kn_paint_network *network, unsigned controls, kn_error *error) {
    kn_error own = {0};
    if (record(network, controls, &own)) return true;
    bool retry = own.kind == KN_ERROR_MEMORY && !network->plan.streams &&
                 network->model->params.residency == KN_RESIDENCY_ONE && network->step;
    if (!retry) return kn_fail(error, own.kind, "%s", own.message);
    kn_log_line(&network->model->params.log, KN_LOG_WARNING,
                "%s: weights pass through the device from here on, which is slower", own.message);
    uint64_t fetched = kn_graph_fetched_bytes(network->step);
    kn_graph_destroy(&network->step);
    leave_all(network);
    network->plan.streams = true;
    network->streamer = (kn_streamer){.window = fetched / 4, .stay = fetched / 4};
    return record(network, controls, error);
}

/* The first channels of an inpainting UNet's input. */
static bool upload_sample(kn_paint_network *network, const float *input, kn_error *error) {
    size_t area = (size_t)network->height * (size_t)network->width, own = (size_t)network->sample.c * area,
           all = (size_t)network->input.c * area;
    if (!network->sample.n) return true;
    float *values = kn_alloc((size_t)network->batch * own, sizeof *values, error);
    for (size_t i = 0; values && i < (size_t)network->batch; i++)
        memcpy(values + i * own, input + i * all, own * sizeof *values);
    bool ok = values && kn_tensor_upload(&network->sample, values, error);
    kn_free(values);
    return ok;
}

bool kn_paint_network_run(kn_paint_network *network, const float *input, double timestep, unsigned controls,
                          float *output, kn_error *error) {
    const kn_unet *unet = &network->model->unet;
    size_t channels = (size_t)unet->trunk.config.channels[0];
    for (int i = 0; i < network->batch; i++)
        kn_timestep_embedding(&unet->trunk.config, timestep, network->time + (size_t)i * channels);
    if (network->plain_sinusoids.n && !kn_tensor_upload(&network->plain_sinusoids, network->time, error)) return false;
    for (int i = 0; i < network->batch; i++)
        kn_unet_add_guidance(unet, (double)network->params->guidance, network->time + (size_t)i * channels);
    for (int i = 0; network->look && i < network->batch; i++)
        kn_unet_add_text(unet, network->look, network->time + (size_t)i * channels);
    if (!kn_tensor_upload(&network->sinusoids, network->time, error) ||
        !kn_tensor_upload(&network->input, input, error) || !upload_sample(network, input, error))
        return false;
    if ((network->plan.streams || !network->step || network->recorded != controls) &&
        !record_or_stream(network, controls, error)) {
        kn_graph_destroy(&network->step);
        return false;
    }
    return kn_graph_run(network->step, error) && kn_tensor_download(&network->output, output, error);
}

/* --- autoencoder ------------------------------------------------------------------------------ */

/* The autoencoder for a tiling, or for smaller tiles when memory runs out although the plan said that it suffices. */
static bool open_tiler(kn_tiler **tiler, kn_model *model, const kn_tiling *planned, kn_error *error) {
    kn_tiling tiling = *planned;
    for (;;) {
        kn_error own = {0};
        if (kn_tiler_create(tiler, &model->autoencoder, model->gpu, &tiling, &own)) return true;
        kn_model_leave(model, &model->autoencoder.layers);
        if (own.kind != KN_ERROR_MEMORY || !kn_tiling_shrink(&tiling))
            return kn_fail(error, own.kind, "%s", own.message);
        kn_log_line(&model->params.log, KN_LOG_WARNING,
                    "%s: the autoencoder goes over the picture in tiles of %d x %d cells", own.message,
                    tiling.tile_width, tiling.tile_height);
    }
}

bool kn_paint_encode(kn_model *model, const kn_paint_params *params, const kn_tiling *tiling, const float *picture,
                     float *latent, kn_error *error) {
    size_t floats = 3 * (size_t)params->width * (size_t)params->height;
    bool half_range = kn_autoencoder_zero_to_one(&model->autoencoder);
    kn_tiler *tiler = NULL;
    float *scaled = kn_alloc(floats, sizeof *scaled, error);
    for (size_t i = 0; scaled && i < floats; i++) scaled[i] = half_range ? picture[i] : 2 * picture[i] - 1;
    bool ok = scaled && open_tiler(&tiler, model, tiling, error) && kn_tiler_run(tiler, scaled, latent, error);
    kn_free(scaled);
    kn_tiler_destroy(&tiler);
    kn_model_leave(model, &model->autoencoder.layers);
    return ok;
}

/* Brings [-1, 1] to [0, 1]; false when a number is not finite. */
static bool finish_picture(float *picture, size_t floats) {
    bool finite = true;
    for (size_t i = 0; i < floats; i++) {
        finite = finite && isfinite(picture[i]);
        picture[i] = fminf(fmaxf(0.5f * picture[i] + 0.5f, 0), 1);
    }
    return finite;
}

bool kn_paint_decode(kn_model *model, const kn_paint_params *params, const kn_tiling *tiling, const float *latents,
                     float *pictures, kn_error *error) {
    int factor = model->info.latent_factor, w = params->width / factor, h = params->height / factor;
    size_t latent = (size_t)model->info.latent_channels * (size_t)w * (size_t)h,
           floats = 3 * (size_t)params->width * (size_t)params->height;
    kn_tiler *tiler = NULL;
    bool ok = open_tiler(&tiler, model, tiling, error);
    for (int i = 0; ok && i < params->batch; i++) {
        float *picture = pictures + (size_t)i * floats;
        ok = kn_tiler_run(tiler, latents + (size_t)i * latent, picture, error);
        if (ok && !finish_picture(picture, floats))
            ok = kn_fail(error, KN_ERROR_INTERNAL, "picture %d: the network gave numbers that are not finite", i);
        if (ok && params->progress &&
            !params->progress(params->progress_user, "decode", (uint64_t)i + 1, (uint64_t)params->batch))
            ok = kn_fail(error, KN_ERROR_CANCELLED, "cancelled after %d of %d pictures", i + 1, params->batch);
    }
    kn_tiler_destroy(&tiler);
    kn_model_leave(model, &model->autoencoder.layers);
    return ok;
}
