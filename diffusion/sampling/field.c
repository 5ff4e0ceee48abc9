/* Sampling fields: the loop over evaluations of a UNet that takes condition channels behind its sample. */
#include "kinora/field.h"
#include "diffusion/sampling/paint.h"

#include <math.h>
#include <string.h>

enum { MAX_STEPS = 500, MAX_SIZE = 1024 };

struct kn_field_sampler {
    kn_model *model;
    kn_paint_params paint; /* owns its prompt */
    kn_paint_plan plan;    /* zeros: everything fits */
    kn_paint_network network;
    size_t cells, floats, condition; /* of a channel, the sample, the condition */
    float *look;                     /* what the time embedding is told about the text; NULL */
    float *input, *output, *clean;
};

int kn_field_channels(const kn_model *model) { return model->info.field ? model->unet.trunk.config.out_channels : 0; }

int kn_field_condition_channels(const kn_model *model) {
    const kn_unet_config *config = &model->unet.trunk.config;
    return model->info.field ? config->in_channels - config->out_channels : 0;
}

/* The context's last token, which has read all others. */
static bool find_look(kn_field_sampler *sampler, kn_error *error) {
    float *context;
    int tokens;
    size_t channels = (size_t)sampler->model->unet.trunk.config.context_channels;
    if (!sampler->model->unet.time_takes_text) return true;
    if (!(sampler->look = kn_alloc(channels, sizeof(float), error)) ||
        !kn_paint_prompts(sampler->model, &sampler->paint, 1, &context, &tokens, error))
        return false;
    for (size_t i = 0; i < channels; i++) sampler->look[i] = context[(i + 1) * (size_t)tokens - 1];
    kn_free(context);
    return true;
}

static bool set_up(kn_field_sampler *sampler, const kn_field_params *params, kn_error *error) {
    kn_model *model = sampler->model;
    sampler->paint = KN_PAINT_PARAMS_DEFAULT;
    kn_paint_params *paint = &sampler->paint;
    paint->width = params->width, paint->height = params->height, paint->guidance = 1;
    paint->negative = "";
    paint->emphasis = KN_EMPHASIS_NONE;
    paint->prompt = kn_strdup(params->prompt && model->info.text ? params->prompt : "", error);
    sampler->cells = (size_t)params->width * (size_t)params->height;
    sampler->floats = (size_t)kn_field_channels(model) * sampler->cells;
    sampler->condition = (size_t)kn_field_condition_channels(model) * sampler->cells;
    return paint->prompt && find_look(sampler, error) &&
           (sampler->input = kn_alloc(sampler->floats + sampler->condition, sizeof(float), error)) &&
           (sampler->output = kn_alloc(sampler->floats, sizeof(float), error)) &&
           (sampler->clean = kn_alloc(sampler->floats, sizeof(float), error)) &&
           kn_paint_network_init(&sampler->network, model, paint, &sampler->plan, 1, error);
}

bool kn_field_sampler_create(kn_field_sampler **out, kn_model *model, const kn_field_params *params, kn_error *error) {
    *out = NULL;
    if (!model->info.field)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: this model makes pictures, no fields", model->info.folder);
    if (params->width < 1 || params->height < 1 || params->width > MAX_SIZE || params->height > MAX_SIZE)
        return kn_fail(error, KN_ERROR_INPUT, "a field of %d x %d cells: expected 1 to %d", params->width,
                       params->height, MAX_SIZE);
    kn_field_sampler *sampler = kn_alloc(1, sizeof *sampler, error);
    if (!sampler) return false;
    sampler->model = model;
    if (!set_up(sampler, params, error)) kn_field_sampler_destroy(&sampler);
    *out = sampler;
    return sampler != NULL;
}

void kn_field_sampler_destroy(kn_field_sampler **out) {
    kn_field_sampler *sampler = out ? *out : NULL;
    if (!sampler) return;
    kn_paint_network_finish(&sampler->network);
    kn_free((char *)(uintptr_t)sampler->paint.prompt);
    kn_free(sampler->look), kn_free(sampler->input), kn_free(sampler->output), kn_free(sampler->clean);
    kn_free(sampler);
    *out = NULL;
}

/* Fresh noise for stochastic samplers, which fields do not use. */
static bool no_noise(void *user, float *noise, kn_error *error) {
    (void)user, (void)noise;
    return kn_fail(error, KN_ERROR_UNSUPPORTED, "fields are sampled without fresh noise: another scheduler is needed");
}

static bool evaluate(kn_field_sampler *sampler, kn_solver *solver, const kn_field_input *input, int index,
                     kn_error *error) {
    kn_solver_input(solver, sampler->input);
    memcpy(sampler->input + sampler->floats, input->condition, sampler->condition * sizeof(float));
    sampler->network.look = sampler->look;
    if (!kn_paint_network_run(&sampler->network, sampler->input, kn_solver_timestep(solver), 0, sampler->output, error))
        return false;
    kn_solver_clean(solver, sampler->output, sampler->clean);
    for (size_t i = 0; i < sampler->floats; i++)
        if (!isfinite(sampler->clean[i]))
            return kn_fail(error, KN_ERROR_INTERNAL, "%s: the network gave numbers that are not finite",
                           sampler->model->info.folder);
    kn_field_step step = {index, kn_solver_steps(solver), (float)solver->times.sigmas[solver->step]};
    if (input->objective) {
        if (!input->objective(input->user, &step, sampler->clean, error)) return false;
        kn_solver_output(solver, sampler->clean, sampler->output);
    }
    if (input->progress &&
        !input->progress(input->progress_user, "shape", (uint64_t)index + 1, (uint64_t)(input->one ? 1 : step.count)))
        return kn_fail(error, KN_ERROR_CANCELLED, "stopped");
    return true;
}

bool kn_field_sample(kn_field_sampler *sampler, const kn_field_input *input, float *field, kn_error *error) {
    int steps = input->steps ? input->steps : sampler->model->info.default_steps;
    if (steps < 1 || steps > MAX_STEPS)
        return kn_fail(error, KN_ERROR_INPUT, "%d steps: expected 1 to %d", steps, MAX_STEPS);
    kn_solver_params params = {.steps = steps, .eta = 0, .strength = 1};
    kn_solver *solver = NULL;
    float *noise = kn_alloc(sampler->floats, sizeof *noise, error);
    bool ok = noise && kn_solver_create(&solver, &sampler->model->schedule, &params, sampler->floats, error);
    if (ok && input->noise) memcpy(noise, input->noise, sampler->floats * sizeof *noise);
    else if (ok) kn_noise_fill(noise, sampler->floats, input->seed, false);
    if (ok) kn_solver_start(solver, NULL, noise);
    for (int i = 0; ok && !kn_solver_done(solver); i++) {
        ok = evaluate(sampler, solver, input, i, error);
        if (!ok || input->one) break;
        ok = kn_solver_advance(solver, sampler->output, no_noise, NULL, error);
    }
    if (ok) memcpy(field, input->one ? sampler->clean : kn_solver_sample(solver), sampler->floats * sizeof *field);
    kn_solver_destroy(&solver);
    kn_free(noise);
    return ok;
}
