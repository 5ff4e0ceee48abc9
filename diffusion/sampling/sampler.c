/* Building and running the denoising of one clip. */
#include "diffusion/sampling/sampler.h"

#include "base/random.h"

#include <math.h>
#include <string.h>

/* --- checks ----------------------------------------------------------------------------------- */

static bool check_params(const kn_model *model, const kn_sampler_params *params, kn_error *error) {
    int factor = model->info.latent_factor;
    if (params->frames < 1 || params->frames > 4096 || params->views < 1 || params->views > KN_MAX_VIEWS)
        return kn_fail(error, KN_ERROR_INPUT, "%d frames of %d views: expected 1 to 4096 frames and 1 to %d views",
                       params->frames, params->views, KN_MAX_VIEWS);
    if (params->width < factor || params->height < factor || params->width > 16384 || params->height > 16384 ||
        params->width % factor || params->height % factor)
        return kn_fail(error, KN_ERROR_INPUT, "%d x %d pixels: expected multiples of %d up to 16384", params->width,
                       params->height, factor);
    if (!(params->guidance >= 0 && params->guidance <= 1000))
        return kn_fail(error, KN_ERROR_INPUT, "guidance %g: expected 0 to 1000", (double)params->guidance);
    if (!(params->lock.first >= 0 && params->lock.first <= 1 && params->lock.last >= 0 && params->lock.last <= 1))
        return kn_fail(error, KN_ERROR_INPUT, "locked sampling with strengths %g to %g: expected 0 to 1",
                       (double)params->lock.first, (double)params->lock.last);
    if (!(params->strength > 0 && params->strength <= 1))
        return kn_fail(error, KN_ERROR_INPUT, "strength %g: expected above 0 and at most 1", (double)params->strength);
    if (params->control_count < 0 || params->control_count > KN_MAX_CONTROLS)
        return kn_fail(error, KN_ERROR_INPUT, "%d controls: expected 0 to %d", params->control_count, KN_MAX_CONTROLS);
    for (int v = 0; v < params->views; v++) {
        for (int side = 0; side < 2; side++) {
            if (params->neighbours[v][side] < -1 || params->neighbours[v][side] >= params->views)
                return kn_fail(error, KN_ERROR_INPUT, "view %d has neighbour %d: expected -1 to %d", v,
                               params->neighbours[v][side], params->views - 1);
        }
    }
    if (params->temporal && model->info.temporal && params->frames > model->info.max_frames)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%d frames at once, but the model's temporal attention has positions for %d", params->frames,
                       model->info.max_frames);
    return true;
}

static bool find_controls(kn_sampler *sampler, kn_error *error) {
    const kn_model *model = sampler->model;
    for (int i = 0; i < sampler->params.control_count; i++) {
        const kn_control_params *control = &sampler->params.controls[i];
        const char *name = control->name ? control->name : "";
        if (!isfinite(control->scale))
            return kn_fail(error, KN_ERROR_INPUT, "control '%.60s': its scale is not a finite number", name);
        for (int j = 0; j < model->info.control_count; j++) {
            if (strcmp(model->info.control_names[j], name) == 0) sampler->controlnets[i] = &model->controlnets[j];
        }
        if (!sampler->controlnets[i])
            return kn_fail(error, KN_ERROR_INPUT, "%s: has no ControlNet called '%.60s'", model->info.folder, name);
        sampler->params.controls[i].name = NULL; /* lives only until create returns */
    }
    return true;
}

/* --- create ----------------------------------------------------------------------------------- */

static bool build_neighbours(kn_sampler *sampler, kn_error *error) {
    const kn_sampler_params *params = &sampler->params;
    if (!params->multi_view || !sampler->model->info.multi_view) return true;
    for (int side = 0; side < 2; side++) {
        int *index = sampler->neighbours[side] = kn_alloc((size_t)sampler->batch, sizeof *index, error);
        if (!index) return false;
        for (int i = 0; i < sampler->batch; i++) {
            int view = i % params->views, other = params->neighbours[view][side];
            index[i] = other < 0 ? -1 : i - view + other;
        }
    }
    return true;
}

static bool needs_previous(const kn_sampler *sampler) {
    for (int i = 0; i < sampler->params.steps; i++) {
        if (sampler->steps[i].x_p != 0) return true;
    }
    return false;
}

static bool needs_input(const kn_sampler *sampler) {
    for (int i = 0; i < sampler->params.steps; i++) {
        if (sampler->steps[i].input_scale != 1) return true;
    }
    return sampler->halves == 2;
}

static bool build_state(kn_sampler *sampler, kn_error *error) {
    const kn_unet_config *unet = &sampler->model->unet.trunk.config;
    int n = sampler->pictures, h = sampler->latent_height, w = sampler->latent_width,
        c = sampler->model->info.latent_channels;
    kn_sampler_tensors *tensors = &sampler->tensors;
    if (!kn_sampler_make_graph(sampler, &sampler->state, sampler->arenas.state, error) ||
        !kn_graph_tensor(sampler->state, &tensors->x, n, h, w, c, error) ||
        !kn_graph_tensor(sampler->state, &sampler->sinusoids, sampler->batch, 1, 1, unet->channels[0], error) ||
        (sampler->model->unet.time_condition &&
         !kn_graph_tensor(sampler->state, &sampler->plain_sinusoids, sampler->batch, 1, 1, unet->channels[0], error)) ||
        !kn_gpu_buffer_create(&tensors->coefficients, sampler->model->gpu, KN_GPU_ALIGN, KN_GPU_MEMORY_HOST, error))
        return false;
    if (!kn_sampler_lock_build(sampler, error)) return false;
    if (needs_previous(sampler) && !kn_graph_tensor(sampler->state, &tensors->previous, n, h, w, c, error))
        return false;
    if (needs_input(sampler) && !kn_graph_tensor(sampler->state, &tensors->input, sampler->batch, h, w, c, error))
        return false;
    if (sampler->model->condition_means[0] &&
        !kn_graph_tensor(sampler->state, &sampler->means, sampler->batch, h, w, unet->in_channels - c, error))
        return false;
    for (int i = 0; i < sampler->params.control_count; i++) {
        if (sampler->params.controls[i].scale != 0 &&
            !kn_graph_tensor(sampler->state, &sampler->conditions[i], sampler->batch, h, w, unet->channels[0], error))
            return false;
    }
    return true;
}

static bool build_stages(kn_sampler *sampler, kn_error *error) {
    const kn_sampler_params *params = &sampler->params;
    for (int i = 0; i < params->control_count; i++) {
        kn_stage *embed = &sampler->embed[i];
        if (params->controls[i].scale == 0) continue;
        if (!kn_sampler_make_graph(sampler, &embed->graph, sampler->arenas.embed[i], error) ||
            !kn_graph_tensor(embed->graph, &embed->in, 1, params->height, params->width,
                             sampler->controlnets[i]->condition_channels, error) ||
            !kn_controlnet_embed(embed->graph, &embed->out, sampler->controlnets[i], &embed->in, error))
            return false;
    }
    kn_stage *decode = &sampler->decode;
    return kn_sampler_init_build(sampler, error) &&
           kn_sampler_make_graph(sampler, &decode->graph, sampler->arenas.decode, error) &&
           kn_graph_tensor(decode->graph, &decode->in, 1, sampler->latent_height, sampler->latent_width,
                           sampler->model->info.latent_channels, error) &&
           kn_autoencoder_decode(decode->graph, &decode->out, &sampler->model->autoencoder, &decode->in, error);
}

/* The place of a control of this name among those used; -1: none. */
static int control_named(const kn_sampler *sampler, const char *name) {
    const kn_model *model = sampler->model;
    for (int i = 0; i < sampler->params.control_count; i++)
        if (strcmp(model->info.control_names[sampler->controlnets[i] - model->controlnets], name) == 0) return i;
    return -1;
}

/* The control that the model generates the difference to; -1 when it generates whole pictures or the control is not
 * used. */
static int residual_control(const kn_sampler *sampler) {
    return control_named(sampler, sampler->model->schedule.residual_control);
}

/* The control whose means the UNet takes; -1: none. */
static int means_control(const kn_sampler *sampler) { return control_named(sampler, sampler->model->condition_means); }

/* A UNet that takes a control's means cannot run without it. */
static bool check_means(const kn_sampler *sampler, kn_error *error) {
    const char *name = sampler->model->condition_means;
    int control = means_control(sampler);
    return !*name || (control >= 0 && sampler->params.controls[control].scale != 0) ||
           kn_fail(error, KN_ERROR_INPUT, "%s: this model takes control '%s', which is missing",
                   sampler->model->info.folder, name);
}

/* A model that generates the difference to a control picture cannot run without that control. */
static bool check_residual(const kn_sampler *sampler, kn_error *error) {
    const char *name = sampler->model->schedule.residual_control;
    int control = residual_control(sampler);
    if (control >= 0 && sampler->controlnets[control]->condition_channels >= 3) return true;
    return !*name || kn_fail(error, KN_ERROR_INPUT,
                             "%s: this model generates the difference to the picture of control '%s', which is missing",
                             sampler->model->info.folder, name);
}

static bool build(kn_sampler *sampler, kn_error *error) {
    const kn_sampler_params *params = &sampler->params;
    const kn_schedule *schedule = &sampler->model->schedule;
    if (sampler->model->info.inpaints)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: an inpainting model paints pictures, not clips",
                       sampler->model->info.folder);
    if (sampler->model->info.field)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: has no autoencoder: it makes fields, no clips of scenes",
                       sampler->model->info.folder);
    if (sampler->model->info.structure)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: this model restyles film, it makes no clips of scenes",
                       sampler->model->info.folder);
    if (!sampler->dry && params->method == KN_METHOD_CONFIG && schedule->is_substitute)
        kn_log_line(&sampler->model->params.log, KN_LOG_WARNING, "%s: sampling with DPM-Solver++ 2M in place of %s",
                    sampler->model->info.folder, schedule->class_name);
    if (!check_params(sampler->model, params, error) || !find_controls(sampler, error) ||
        !check_residual(sampler, error) || !check_means(sampler, error) ||
        !kn_schedule_steps(&sampler->model->schedule, params->method, params->steps, sampler->steps,
                           &sampler->noise_scale, error) ||
        !kn_sampler_init_steps(sampler, error))
        return false;
    sampler->pictures = params->frames * params->views;
    sampler->halves = params->guidance == 1 ? 1 : 2;
    sampler->batch = sampler->pictures * sampler->halves;
    sampler->latent_width = params->width / sampler->model->info.latent_factor;
    sampler->latent_height = params->height / sampler->model->info.latent_factor;
    sampler->tokens =
        sampler->model->info.text ? (int)kn_min_size(77, (size_t)sampler->model->text_encoder.max_tokens) : 1;
    sampler->context_index = kn_alloc((size_t)sampler->batch, sizeof *sampler->context_index, error);
    return sampler->context_index && build_neighbours(sampler, error) && build_state(sampler, error) &&
           build_stages(sampler, error);
}

bool kn_sampler_create(kn_sampler **out, kn_model *model, const kn_sampler_params *params, kn_error *error) {
    *out = NULL;
    kn_sampler *sampler = kn_alloc(1, sizeof *sampler, error);
    if (!sampler) return false;
    sampler->model = model;
    sampler->params = *params;
    if (!kn_sampler_measure(model, params, &sampler->arenas, error) || !build(sampler, error)) {
        kn_sampler_destroy(&sampler);
        return false;
    }
    *out = sampler;
    return true;
}

void kn_sampler_destroy(kn_sampler **out) {
    if (!out || !*out) return;
    kn_sampler *sampler = *out;
    kn_graph_destroy(&sampler->step);
    kn_graph_destroy(&sampler->prompts);
    for (int i = 0; i < KN_MAX_CONTROLS; i++) kn_graph_destroy(&sampler->embed[i].graph);
    kn_graph_destroy(&sampler->decode.graph);
    kn_graph_destroy(&sampler->encode.graph);
    kn_graph_destroy(&sampler->state);
    kn_sampler_lock_finish(sampler);
    kn_gpu_buffer_destroy(&sampler->tensors.coefficients);
    kn_free(sampler->neighbours[0]);
    kn_free(sampler->neighbours[1]);
    kn_free(sampler->context_index);
    kn_sampler_forget_texts(sampler);
    kn_free(sampler);
    *out = NULL;
}

/* Adds what a dry graph would fetch, and returns its arena. */
static uint64_t dry_bytes(const kn_graph *graph, kn_sampler_arenas *arenas) {
    arenas->weights += graph ? kn_graph_fetched_bytes(graph) : 0;
    return graph ? kn_graph_block_bytes(graph) : 0;
}

bool kn_sampler_measure(kn_model *model, const kn_sampler_params *params, kn_sampler_arenas *arenas, kn_error *error) {
    *arenas = (kn_sampler_arenas){0};
    kn_sampler *dry = kn_alloc(1, sizeof *dry, error);
    if (!dry) return false;
    dry->dry = true;
    dry->model = model;
    dry->params = *params;
    bool ok = build(dry, error) && kn_sampler_make_graph(dry, &dry->prompts, 0, error) &&
              kn_graph_tensor(dry->prompts, &dry->context, dry->halves, 1, dry->tokens,
                              model->unet.trunk.config.context_channels, error) &&
              kn_sampler_record_step(dry, error);
    if (ok) {
        arenas->state = dry_bytes(dry->state, arenas);
        arenas->prompts = dry_bytes(dry->prompts, arenas);
        arenas->lock = kn_sampler_lock_bytes(dry);
        arenas->decode = dry_bytes(dry->decode.graph, arenas);
        arenas->encode = dry_bytes(dry->encode.graph, arenas);
        arenas->step = dry_bytes(dry->step, arenas);
        for (int i = 0; i < KN_MAX_CONTROLS; i++) arenas->embed[i] = dry_bytes(dry->embed[i].graph, arenas);
    }
    kn_sampler_destroy(&dry);
    return ok;
}

bool kn_sampler_bytes(kn_model *model, const kn_sampler_params *params, uint64_t *bytes, kn_error *error) {
    kn_sampler_arenas arenas;
    *bytes = 0;
    if (!kn_sampler_measure(model, params, &arenas, error)) return false;
    *bytes = arenas.state + arenas.prompts + arenas.decode + arenas.encode + arenas.step + arenas.weights;
    for (int i = 0; i < KN_MAX_CONTROLS; i++) *bytes += arenas.embed[i];
    *bytes += arenas.lock;
    return true;
}

/* --- inputs ----------------------------------------------------------------------------------- */

/* PyTorch's pixel_unshuffle of [3][height][width], times `scale`. */
static void pack_pixels(const float *pixels, int width, int height, int block, float scale, float *packed) {
    int w = width / block, h = height / block;
    for (int c = 0; c < 3 * block * block; c++) {
        int plane = c / (block * block), dy = c / block % block, dx = c % block;
        for (int y = 0; y < h; y++) {
            for (int x = 0; x < w; x++)
                packed[((size_t)c * (size_t)h + (size_t)y) * (size_t)w + (size_t)x] =
                    scale * pixels[((size_t)plane * (size_t)height + (size_t)(y * block + dy)) * (size_t)width +
                                   (size_t)(x * block + dx)];
        }
    }
}

static bool upload_noise(kn_sampler *sampler, const kn_sample_input *given, kn_error *error) {
    const float *noise = given->noise;
    const kn_sampler_params *params = &sampler->params;
    const kn_schedule *schedule = &sampler->model->schedule;
    float scale = (float)(sampler->noise_scale * (schedule->residual_control[0] ? schedule->residual_noise : 1));
    size_t floats = kn_sampler_floats(sampler);
    float *values = kn_alloc(floats, sizeof *values, error);
    bool ok = values != NULL;
    for (int i = 0; ok && i < sampler->pictures; i++) {
        if (sampler->model->info.pixel_noise)
            pack_pixels(noise + (size_t)i * floats, params->width, params->height, sampler->model->info.latent_factor,
                        scale, values);
        for (size_t j = 0; !sampler->model->info.pixel_noise && j < floats; j++)
            values[j] = noise[(size_t)i * floats + j] * scale;
        kn_tensor x = kn_sampler_member(&sampler->tensors.x, i);
        ok = kn_sampler_init_add(sampler, given, i, values, error) && kn_tensor_upload(&x, values, error);
        for (size_t j = 0; j < floats; j++) values[j] *= (float)sampler->steps[0].input_scale;
        for (int half = 0; ok && sampler->tensors.input.n && half < sampler->halves; half++) {
            kn_tensor input = kn_sampler_member(&sampler->tensors.input, half * sampler->pictures + i);
            ok = kn_tensor_upload(&input, values, error);
        }
    }
    kn_free(values);
    return ok;
}

/* Means of a condition picture [channels][height][width] over the latent's cells, for both halves. */
static bool upload_means(kn_sampler *sampler, int index, const float *picture, kn_error *error) {
    const kn_tensor *means = &sampler->means;
    int factor = sampler->model->info.latent_factor;
    size_t width = (size_t)sampler->params.width;
    float *values = kn_alloc((size_t)means->c * (size_t)means->h * (size_t)means->w, sizeof *values, error);
    bool ok = values != NULL;
    for (int row = 0; ok && row < means->c * means->h; row++) /* all channels' rows lie one behind the other */
        for (int x = 0; x < means->w; x++) {
            const float *cell = picture + (size_t)row * (size_t)factor * width + (size_t)x * (size_t)factor;
            double sum = 0;
            for (int i = 0; i < factor * factor; i++) sum += cell[(size_t)(i / factor) * width + (size_t)(i % factor)];
            values[(size_t)row * (size_t)means->w + (size_t)x] = (float)(sum / (factor * factor));
        }
    for (int half = 0; ok && half < sampler->halves; half++) {
        kn_tensor target = kn_sampler_member(means, half * sampler->pictures + index);
        ok = kn_tensor_upload(&target, values, error);
    }
    kn_free(values);
    return ok;
}

/* Embeds the condition pictures of one control, one at a time, for both halves. */
static bool embed_control(kn_sampler *sampler, int index, const float *pictures, kn_error *error) {
    const kn_stage *stage = &sampler->embed[index];
    size_t in_floats = (size_t)stage->in.c * (size_t)stage->in.h * (size_t)stage->in.w;
    float *values = kn_alloc((size_t)stage->out.c * (size_t)stage->out.h * (size_t)stage->out.w, sizeof *values, error);
    bool ok = values != NULL, means = index == means_control(sampler);
    for (int i = 0; ok && i < sampler->pictures; i++) {
        if (means && !(ok = upload_means(sampler, i, pictures + (size_t)i * in_floats, error))) break;
        ok = kn_tensor_upload(&stage->in, pictures + (size_t)i * in_floats, error) &&
             kn_graph_run(stage->graph, error) && kn_tensor_download(&stage->out, values, error);
        for (int half = 0; ok && half < sampler->halves; half++) {
            kn_tensor condition = kn_sampler_member(&sampler->conditions[index], half * sampler->pictures + i);
            ok = kn_tensor_upload(&condition, values, error);
        }
    }
    kn_free(values);
    return ok;
}

static bool embed_controls(kn_sampler *sampler, const kn_sample_input *input, kn_error *error) {
    for (int i = 0; i < sampler->params.control_count; i++) {
        if (sampler->params.controls[i].scale == 0) continue;
        if (!input->controls[i]) return kn_fail(error, KN_ERROR_INPUT, "control %d has no pictures", i);
        if (!embed_control(sampler, i, input->controls[i], error)) return false;
    }
    return true;
}

/* --- run -------------------------------------------------------------------------------------- */

static bool set_timestep(const kn_sampler *sampler, int index, kn_error *error) {
    const kn_unet *unet = &sampler->model->unet;
    const kn_unet_config *config = &unet->trunk.config;
    size_t channels = (size_t)config->channels[0];
    float *values = kn_alloc((size_t)sampler->batch * channels, sizeof *values, error);
    if (!values) return false;
    kn_timestep_embedding(config, sampler->steps[index].timestep, values);
    for (int i = 1; i < sampler->batch; i++) memcpy(values + (size_t)i * channels, values, channels * sizeof *values);
    bool ok = !sampler->plain_sinusoids.n || kn_tensor_upload(&sampler->plain_sinusoids, values, error);
    for (int i = 0; i < sampler->batch; i++) {
        size_t text = (size_t)sampler->context_index[i] * (size_t)config->context_channels;
        kn_unet_add_guidance(unet, (double)sampler->params.guidance, values + (size_t)i * channels);
        kn_unet_add_text(unet, sampler->end_states + text, values + (size_t)i * channels);
    }
    ok = ok && kn_tensor_upload(&sampler->sinusoids, values, error);
    kn_free(values);
    return ok;
}

static bool denoise(kn_sampler *sampler, const kn_sample_input *input, kn_error *error) {
    int count = sampler->params.steps;
    for (int i = 0; i < count; i++) {
        double next_scale = i + 1 < count ? sampler->steps[i + 1].input_scale : 1;
        if (!set_timestep(sampler, i, error)) return false;
        if (kn_sampler_locks(sampler)) {
            if (!kn_sampler_lock_step(sampler, input, i, next_scale, error)) return false;
        } else if (!kn_sampler_step_set(&sampler->tensors, &sampler->steps[i], next_scale,
                                        (double)sampler->params.guidance, error) ||
                   !kn_graph_run(sampler->step, error)) {
            return false;
        }
        if (input->progress && !input->progress(input->progress_user, "denoise", (uint64_t)i + 1, (uint64_t)count))
            return kn_fail(error, KN_ERROR_CANCELLED, "cancelled after %d of %d denoising steps", i + 1, count);
    }
    return true;
}

/* The colours [3][height][width] in 0..1 that picture `index` is the difference to; NULL when it is whole. */
static const float *residual_base(const kn_sampler *sampler, const kn_sample_input *input, int index) {
    int control = residual_control(sampler);
    if (control < 0) return NULL;
    size_t floats = (size_t)sampler->controlnets[control]->condition_channels * (size_t)sampler->params.width *
                    (size_t)sampler->params.height;
    return input->controls[control] + (size_t)index * floats;
}

/* One picture, 0..1. */
static bool decode_picture(const kn_sampler *sampler, int index, const float *base, float *latent, float *rgb,
                           kn_error *error) {
    kn_tensor x = kn_sampler_member(&sampler->tensors.x, index);
    size_t floats = 3 * (size_t)sampler->params.width * (size_t)sampler->params.height;
    if (!kn_tensor_download(&x, latent, error) || !kn_tensor_upload(&sampler->decode.in, latent, error) ||
        !kn_graph_run(sampler->decode.graph, error) || !kn_tensor_download(&sampler->decode.out, rgb, error))
        return false;
    bool finite = true;
    for (size_t i = 0; i < floats; i++) {
        finite = finite && isfinite(rgb[i]);
        rgb[i] = fminf(fmaxf(0.5f * rgb[i] + (base ? base[i] : 0.5f), 0), 1);
    }
    return finite ||
           kn_fail(error, KN_ERROR_INTERNAL, "frame %d, view %d: the network gave numbers that are not finite",
                   index / sampler->params.views, index % sampler->params.views);
}

static bool read_latents(const kn_sampler *sampler, float *latents, kn_error *error) {
    for (int i = 0; latents && i < sampler->pictures; i++) {
        kn_tensor x = kn_sampler_member(&sampler->tensors.x, i);
        if (!kn_tensor_download(&x, latents + (size_t)i * kn_sampler_floats(sampler), error)) return false;
    }
    return true;
}

/* Runs the clip; each finished picture goes to one of the two outputs. */
static bool sample(kn_sampler *sampler, const kn_sample_input *input, float *rgb, uint8_t *rgb8, kn_error *error) {
    if (!input->noise) return kn_fail(error, KN_ERROR_INPUT, "no noise was given (kn_noise_fill makes some)");
    if (input->known_count < 0 || input->known_count > sampler->pictures ||
        (input->known_count > 0 && (!input->known || !kn_sampler_locks(sampler))))
        return kn_fail(error, KN_ERROR_INPUT, "%d known pictures of %d: expected their latents and a lock",
                       input->known_count, sampler->pictures);
    if (residual_control(sampler) >= 0 && !input->controls[residual_control(sampler)])
        return kn_fail(error, KN_ERROR_INPUT, "no pictures were given for control '%s', which this model starts from",
                       sampler->model->schedule.residual_control);
    if (!kn_sampler_set_prompts(sampler, input, error) || !embed_controls(sampler, input, error) ||
        !upload_noise(sampler, input, error) || !kn_sampler_lock_start(sampler, input->lock, error) ||
        !denoise(sampler, input, error))
        return false;
    kn_sampler_lock_end(sampler);
    size_t floats = 3 * (size_t)sampler->params.width * (size_t)sampler->params.height;
    float *latent = kn_alloc(kn_sampler_floats(sampler), sizeof *latent, error);
    float *picture = rgb ? NULL : kn_alloc(floats, sizeof *picture, error);
    bool ok = latent && (rgb || picture) && read_latents(sampler, input->latents, error);
    for (int i = input->known_count; ok && i < sampler->pictures; i++) {
        float *target = rgb ? rgb + (size_t)i * floats : picture;
        ok = decode_picture(sampler, i, residual_base(sampler, input, i), latent, target, error);
        for (size_t j = 0; ok && rgb8 && j < floats; j++)
            rgb8[(size_t)i * floats + j] = (uint8_t)lrintf(target[j] * 255);
    }
    kn_free(latent);
    kn_free(picture);
    return ok;
}

bool kn_sample(kn_sampler *sampler, const kn_sample_input *input, float *rgb, kn_error *error) {
    return sample(sampler, input, rgb, NULL, error);
}

bool kn_sample_u8(kn_sampler *sampler, const kn_sample_input *input, uint8_t *rgb, kn_error *error) {
    return sample(sampler, input, NULL, rgb, error);
}

void kn_noise_fill(float *noise, size_t count, uint64_t seed, bool cuda) {
    if (cuda) {
        kn_randn_torch_cuda(seed, 0, noise, count);
        return;
    }
    kn_mt19937 rng;
    kn_mt19937_init(&rng, seed);
    kn_randn_torch_cpu(&rng, noise, count);
}
