/* What painting takes on the device: every stage is gone through without running anything. */
#include "diffusion/sampling/paint.h"

#include <string.h>

/* RESERVE_BYTES: what small buffers share, and what the driver rounds up. */
enum { RESERVE_BYTES = 16 << 20, WINDOW_BYTES = 64 << 20 };

static unsigned long long mib(uint64_t bytes) { return (unsigned long long)((bytes + (1 << 20) - 1) >> 20); }

/* --- stages ----------------------------------------------------------------------------------- */

/* Chunks go through the text encoder together. */
static bool measure_text(kn_paint_plan *plan, const kn_model *model, int tokens, kn_error *error) {
    kn_graph *graph = NULL;
    kn_tensor in = {0}, out = {0};
    const kn_text_encoder *encoder = &model->text_encoder;
    int length = (int)kn_min_size(77, (size_t)encoder->max_tokens);
    if (!model->info.text) return true;
    bool ok = kn_graph_create_dry(&graph, model->gpu, error) &&
              kn_graph_tensor(graph, &in, tokens / length, 1, length, encoder->channels, error) &&
              kn_text_encoder_forward(graph, &out, encoder, &in, error);
    if (ok) plan->text = kn_graph_block_bytes(graph) + kn_graph_fetched_bytes(graph);
    kn_graph_destroy(&graph);
    return ok;
}

/* The ControlNets' part of the state, and how they take part in a step. */
static bool add_controls(kn_graph *state, kn_tensor *conditions, const kn_tensor *sample, kn_control_use *uses,
                         int *count, const kn_model *model, const kn_paint_params *params, int batch, kn_error *error) {
    int factor = model->info.latent_factor;
    *count = 0;
    for (int i = 0; i < params->control_count; i++) {
        const kn_controlnet *controlnet;
        if (!kn_paint_find_control(&controlnet, model, &params->controls[i], error) ||
            !kn_graph_tensor(state, &conditions[i], batch, params->height / factor, params->width / factor,
                             model->unet.trunk.config.channels[0], error))
            return false;
        if (params->controls[i].strength != 0)
            uses[(*count)++] = (kn_control_use){.controlnet = controlnet,
                                                .condition = &conditions[i],
                                                .in = sample->n ? sample : NULL,
                                                .scale = params->controls[i].strength};
    }
    return true;
}

static bool dry_step(kn_graph *state, kn_graph *step, const kn_model *model, const kn_paint_params *params, int halves,
                     int tokens, kn_error *error) {
    const kn_unet_config *unet = &model->unet.trunk.config;
    int factor = model->info.latent_factor, batch = halves * params->batch, count;
    int *index = kn_alloc((size_t)batch, sizeof *index, error);
    kn_tensor in = {0}, sample = {0}, sinusoids = {0}, context = {0}, conditions[KN_MAX_CONTROLS] = {0}, out = {0};
    kn_control_use uses[KN_MAX_CONTROLS];
    kn_pass pass = {.context = &context, .context_index = index, .halves = halves, .frames = 1, .views = params->batch};
    bool ok =
        index && kn_graph_tensor(state, &context, halves, 1, tokens, unet->context_channels, error) &&
        ((!model->info.inpaints && !model->info.structure) || !params->control_count ||
         kn_graph_tensor(state, &sample, batch, params->height / factor, params->width / factor,
                         model->info.latent_channels, error)) &&
        add_controls(state, conditions, &sample, uses, &count, model, params, batch, error) &&
        kn_graph_tensor(state, &in, batch, params->height / factor, params->width / factor, unet->in_channels, error) &&
        kn_graph_tensor(state, &sinusoids, batch, 1, 1, unet->channels[0], error) &&
        kn_unet_forward(step, &out, &model->unet, &in, &sinusoids, &pass, uses, count, error);
    kn_free(index);
    return ok;
}

static bool measure_step(kn_paint_plan *plan, const kn_model *model, const kn_paint_params *params, int halves,
                         int tokens, kn_error *error) {
    kn_graph *state = NULL, *step = NULL;
    bool ok = kn_graph_create_dry(&state, model->gpu, error) && kn_graph_create_dry(&step, model->gpu, error) &&
              dry_step(state, step, model, params, halves, tokens, error);
    if (ok) {
        plan->state = kn_graph_block_bytes(state);
        plan->activations = kn_graph_block_bytes(step);
        plan->weights = kn_graph_fetched_bytes(step);
    }
    kn_graph_destroy(&state);
    kn_graph_destroy(&step);
    return ok;
}

/* --- what fits -------------------------------------------------------------------------------- */

static uint64_t largest_weight(const kn_model *model) {
    uint64_t largest = 0;
    for (int i = -1; i < model->info.control_count; i++) {
        const kn_layers *layers = i < 0 ? &model->unet.layers : &model->controlnets[i].layers;
        for (size_t j = 0; j < layers->weight_count; j++)
            if (kn_weight_bytes(layers->weights[j]) > largest) largest = kn_weight_bytes(layers->weights[j]);
    }
    return largest;
}

static bool fit_step(kn_paint_plan *plan, const kn_model *model, kn_error *error) {
    uint64_t beside = plan->state + plan->activations + RESERVE_BYTES, least = beside + largest_weight(model),
             window = WINDOW_BYTES;
    if (beside + plan->weights <= plan->free) return true;
    if (plan->weights == 0 || least > plan->free)
        return kn_fail(
            error, KN_ERROR_MEMORY,
            "denoising needs %llu MiB of device memory%s, but %llu MiB are free: a smaller picture or batch needs less",
            mib(plan->weights ? least : beside), plan->weights ? " even when weights pass through" : "",
            mib(plan->free));
    if (window > (plan->free - beside) / 2) window = (plan->free - beside) / 2;
    if (window < least - beside) window = least - beside;
    plan->streams = true;
    plan->window = window;
    plan->stay = plan->free - beside - window;
    return true;
}

static void note_peak(kn_paint_plan *plan, uint64_t bytes) { plan->peak = bytes > plan->peak ? bytes : plan->peak; }

static bool plan_autoencoder(kn_paint_plan *plan, const kn_model *model, const kn_paint_params *params,
                             kn_error *error) {
    int factor = model->info.latent_factor, w = params->width / factor, h = params->height / factor;
    plan->encodes = params->init || model->info.inpaints;
    if ((plan->encodes &&
         !kn_plan_tiling(&plan->encode, &model->autoencoder, model->gpu, false, w, h, params->max_memory, error)) ||
        !kn_plan_tiling(&plan->decode, &model->autoencoder, model->gpu, true, w, h, params->max_memory, error))
        return false;
    note_peak(plan, plan->encodes ? plan->encode.bytes : 0);
    note_peak(plan, plan->decode.bytes);
    return true;
}

static void tell_tiling(const kn_model *model, const char *what, const kn_tiling *t) {
    kn_log_line(&model->params.log, KN_LOG_INFO, "plan: %s %llu MiB, in %d x %d tile%s", what, mib(t->bytes),
                t->columns, t->rows, t->columns * t->rows > 1 ? "s" : "");
}

static void tell(const kn_paint_plan *plan, const kn_model *model) {
    const kn_log *log = &model->params.log;
    if (model->info.text) kn_log_line(log, KN_LOG_INFO, "plan: text encoder %llu MiB", mib(plan->text));
    if (plan->encodes) tell_tiling(model, "encoding", &plan->encode);
    kn_log_line(log, KN_LOG_INFO, "plan: denoising %llu MiB of weights and %llu MiB of activations", mib(plan->weights),
                mib(plan->state + plan->activations));
    if (plan->streams)
        kn_log_line(log, KN_LOG_INFO,
                    "plan: %llu MiB of these weights stay on the device, the others pass through %llu MiB",
                    mib(plan->stay), mib(plan->window));
    tell_tiling(model, "decoding", &plan->decode);
    kn_log_line(log, KN_LOG_INFO, "plan: at most %llu MiB at a time beside what is loaded, %llu MiB are free",
                mib(plan->peak), mib(plan->free));
}

bool kn_paint_plan_make(kn_paint_plan *plan, const kn_model *model, const kn_paint_params *params, int halves,
                        int tokens, kn_error *error) {
    *plan = (kn_paint_plan){.free = kn_plan_free_bytes(model->gpu, params->max_memory)};
    if (!measure_text(plan, model, tokens, error) || !measure_step(plan, model, params, halves, tokens, error))
        return false;
    if (plan->text + RESERVE_BYTES > plan->free)
        return kn_fail(error, KN_ERROR_MEMORY,
                       "the text encoder needs %llu MiB of device memory, but %llu MiB are free",
                       mib(plan->text + RESERVE_BYTES), mib(plan->free));
    if (!fit_step(plan, model, error) || !plan_autoencoder(plan, model, params, error)) return false;
    note_peak(plan, plan->text);
    note_peak(plan, plan->state + plan->activations + (plan->streams ? plan->stay + plan->window : plan->weights));
    tell(plan, model);
    return true;
}
