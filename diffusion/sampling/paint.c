/* Painting a batch of pictures. */
#include "diffusion/sampling/paint.h"

#include <math.h>
#include <string.h>

typedef struct noise_stream {
    kn_mt19937 cpu;
    uint64_t seed, drawn;
} noise_stream;

typedef struct painter {
    kn_model *model;
    const kn_paint_params *params;
    int steps, halves;
    size_t pixels, floats; /* of one latent: cells, and cells times channels */
    kn_solver *solver;
    kn_paint_plan plan;
    kn_paint_network network;
    noise_stream *streams; /* [batch] */
    float *noise;          /* [batch][floats]: the first draw */
    float *clean;          /* [batch][floats]: the latent of `init`; NULL without */
    float *mask;           /* [pixels]: 1 where to paint; NULL without */
    float *masked;         /* [floats]: the latent of the picture with a hole; inpainting models */
    float *x, *input, *output, *kept;
} painter;

/* --- checks ----------------------------------------------------------------------------------- */

static bool check_numbers(const kn_paint_params *params, kn_error *error) {
    if (params->batch < 1 || params->batch > 64)
        return kn_fail(error, KN_ERROR_INPUT, "a batch of %d: expected 1 to 64 pictures", params->batch);
    if (!(params->guidance >= 0 && params->guidance <= 1000))
        return kn_fail(error, KN_ERROR_INPUT, "guidance %g: expected 0 to 1000", (double)params->guidance);
    if (!(params->guidance_rescale >= 0 && params->guidance_rescale <= 1))
        return kn_fail(error, KN_ERROR_INPUT, "guidance rescale %g: expected 0 to 1", (double)params->guidance_rescale);
    if (!(params->strength >= 0 && params->strength <= 1))
        return kn_fail(error, KN_ERROR_INPUT, "strength %g: expected 0 to 1", (double)params->strength);
    if (isnan(params->eta) || params->eta > 1)
        return kn_fail(error, KN_ERROR_INPUT, "eta %g: expected 0 to 1", params->eta);
    if (params->control_count < 0 || params->control_count > KN_MAX_CONTROLS)
        return kn_fail(error, KN_ERROR_INPUT, "%d controls: expected 0 to %d", params->control_count, KN_MAX_CONTROLS);
    return true;
}

static bool check(const kn_model *model, const kn_paint_params *params, kn_error *error) {
    int factor = model->info.latent_factor, w = params->width, h = params->height;
    if (model->info.field)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: has no autoencoder: it makes fields, no pictures",
                       model->info.folder);
    if (w < factor || h < factor || w > 8192 || h > 8192 || w % factor || h % factor)
        return kn_fail(error, KN_ERROR_INPUT, "%d x %d pixels: expected multiples of %d up to 8192", w, h, factor);
    if (params->mask && !params->init)
        return kn_fail(error, KN_ERROR_INPUT, "a mask needs the picture that it belongs to");
    if (model->info.structure)
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "%s: this model restyles film (kinora style), it paints no pictures", model->info.folder);
    if (model->schedule.residual_control[0] || model->condition_means[0] || model->unet.time_takes_text)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: this model makes clips, not pictures", model->info.folder);
    return check_numbers(params, error);
}

/* --- noise ------------------------------------------------------------------------------------ */

static void start_streams(painter *p) {
    for (int i = 0; i < p->params->batch; i++) {
        p->streams[i].seed = p->params->seed + (uint64_t)i;
        kn_mt19937_init(&p->streams[i].cpu, p->streams[i].seed);
    }
}

/* The next draw of every picture's generator: torch.randn of one latent each. */
static bool draw(void *user, float *noise, kn_error *error) {
    painter *p = user;
    for (int i = 0; i < p->params->batch; i++) {
        noise_stream *stream = &p->streams[i];
        if (p->params->cuda_noise)
            kn_randn_torch_cuda(stream->seed, stream->drawn, noise + (size_t)i * p->floats, p->floats);
        else kn_randn_torch_cpu(&stream->cpu, noise + (size_t)i * p->floats, p->floats);
        stream->drawn++;
    }
    return true;
}

/* --- picture and mask ------------------------------------------------------------------------- */

/* The mask of the latent: as diffusers does, the pixel at the corner of every cell decides. */
static void shrink_mask(const painter *p) {
    int factor = p->model->info.latent_factor, w = p->params->width / factor;
    for (size_t i = 0; i < p->pixels; i++) {
        size_t x = i % (size_t)w * (size_t)factor, y = i / (size_t)w * (size_t)factor;
        p->mask[i] = p->params->mask[y * (size_t)p->params->width + x] >= 0.5f;
    }
}

/* The latent of the picture with grey where the mask is, for models that were trained on it. */
static bool encode_masked(painter *p, kn_error *error) {
    size_t area = (size_t)p->params->width * (size_t)p->params->height;
    float *picture = kn_alloc(3 * area, sizeof *picture, error);
    bool ok = picture && (p->masked = kn_alloc(p->floats, sizeof *p->masked, error));
    for (size_t i = 0; ok && i < 3 * area; i++) {
        bool hole = !p->params->mask || p->params->mask[i % area] >= 0.5f;
        picture[i] = hole || !p->params->init ? 0.5f : p->params->init[i];
    }
    ok = ok && kn_paint_encode(p->model, p->params, &p->plan.encode, picture, p->masked, error);
    kn_free(picture);
    return ok;
}

static bool encode_inputs(painter *p, kn_error *error) {
    size_t all = (size_t)p->params->batch * p->floats;
    if (p->model->info.inpaints && !encode_masked(p, error)) return false;
    if (p->params->mask || p->model->info.inpaints) {
        if (!(p->mask = kn_alloc(p->pixels, sizeof *p->mask, error))) return false;
        for (size_t i = 0; i < p->pixels; i++) p->mask[i] = 1;
        if (p->params->mask) shrink_mask(p);
    }
    if (!p->params->init) return true;
    if (!(p->clean = kn_alloc(all, sizeof *p->clean, error)) ||
        !kn_paint_encode(p->model, p->params, &p->plan.encode, p->params->init, p->clean, error))
        return false;
    for (size_t i = p->floats; i < all; i++) p->clean[i] = p->clean[i - p->floats];
    return true;
}

/* After each step the sample outside the mask is the picture at the same level of noise. */
static void keep_unmasked(painter *p) {
    if (!p->mask || !p->clean || p->model->info.inpaints) return;
    float *x = kn_solver_sample(p->solver);
    kn_solver_noised(p->solver, p->clean, p->noise, p->kept);
    for (size_t i = 0; i < (size_t)p->params->batch * p->floats; i++)
        if (p->mask[i % p->pixels] == 0) x[i] = p->kept[i];
}

/* --- evaluations ------------------------------------------------------------------------------ */

/* Both halves see the sample, and inpainting models also the mask and the masked picture. */
static void fill_input(painter *p) {
    size_t batch = (size_t)p->params->batch, in = (size_t)p->model->unet.trunk.config.in_channels * p->pixels;
    kn_solver_input(p->solver, p->x);
    for (size_t i = 0; i < (size_t)p->halves * batch; i++) {
        float *to = p->input + i * in;
        memcpy(to, p->x + i % batch * p->floats, p->floats * sizeof *to);
        if (!p->model->info.inpaints) continue;
        memcpy(to + p->floats, p->mask, p->pixels * sizeof *to);
        memcpy(to + p->floats + p->pixels, p->masked, p->floats * sizeof *to);
    }
}

static double deviation(const float *values, size_t count) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    return sqrt(fmax(squares - sum * sum / (double)count, 0) / (double)(count > 1 ? count - 1 : 1));
}

/* Joins the halves in place: what comes out lies in the first one. */
static void guide(const painter *p) {
    size_t batch = (size_t)p->params->batch;
    float scale = p->params->guidance, rescale = p->params->guidance_rescale;
    for (size_t i = 0; i < batch && p->halves == 2; i++) {
        float *u = p->output + i * p->floats;
        const float *c = p->output + (batch + i) * p->floats;
        double before = rescale > 0 ? deviation(c, p->floats) : 0;
        for (size_t j = 0; j < p->floats; j++) u[j] += scale * (c[j] - u[j]);
        double after = rescale > 0 ? deviation(u, p->floats) : 0;
        float factor = after > 0 ? (float)((double)rescale * before / after + 1 - (double)rescale) : 1;
        for (size_t j = 0; rescale > 0 && j < p->floats; j++) u[j] *= factor;
    }
}

/* Bits of the controls that take part in this step. */
static unsigned active_controls(const painter *p) {
    unsigned bits = 0;
    int steps = kn_solver_steps(p->solver), first = kn_solver_first_step(p->solver), count = steps - first,
        i = kn_solver_step(p->solver) - first;
    for (int c = 0; c < p->params->control_count; c++) {
        const kn_paint_control *control = &p->params->controls[c];
        bool on = (float)i / (float)count >= control->start && (float)(i + 1) / (float)count <= control->end;
        if (on && control->strength != 0) bits |= 1u << c;
    }
    return bits;
}

static bool denoise(painter *p, kn_error *error) {
    int first = kn_solver_first_step(p->solver), total = kn_solver_steps(p->solver) - first;
    while (!kn_solver_done(p->solver)) {
        int step = kn_solver_step(p->solver);
        fill_input(p);
        if (!kn_paint_network_run(&p->network, p->input, kn_solver_timestep(p->solver), active_controls(p), p->output,
                                  error))
            return false;
        guide(p);
        if (!kn_solver_advance(p->solver, p->output, draw, p, error)) return false;
        keep_unmasked(p);
        int done = kn_solver_step(p->solver) - first;
        if (kn_solver_step(p->solver) > step && p->params->progress &&
            !p->params->progress(p->params->progress_user, "denoise", (uint64_t)done, (uint64_t)total))
            return kn_fail(error, KN_ERROR_CANCELLED, "cancelled after %d of %d denoising steps", done, total);
    }
    return true;
}

/* --- whole ------------------------------------------------------------------------------------ */

static bool allocate(painter *p, kn_error *error) {
    size_t batch = (size_t)p->params->batch, all = batch * p->floats,
           in = (size_t)p->model->unet.trunk.config.in_channels * p->pixels;
    return (p->streams = kn_alloc(batch, sizeof *p->streams, error)) &&
           (p->noise = kn_alloc(all, sizeof *p->noise, error)) && (p->x = kn_alloc(all, sizeof *p->x, error)) &&
           (p->kept = kn_alloc(all, sizeof *p->kept, error)) &&
           (p->input = kn_alloc((size_t)p->halves * batch * in, sizeof *p->input, error)) &&
           (p->output = kn_alloc((size_t)p->halves * all, sizeof *p->output, error));
}

static bool set_up(painter *p, kn_error *error) {
    const kn_paint_params *params = p->params;
    const kn_model *model = p->model;
    int factor = model->info.latent_factor;
    p->steps = params->steps ? params->steps : model->info.default_steps;
    p->halves = params->guidance > 1 && !model->unet.time_condition ? 2 : 1;
    p->pixels = (size_t)(params->width / factor) * (size_t)(params->height / factor);
    p->floats = p->pixels * (size_t)model->info.latent_channels;
    kn_solver_params solver = {.method = params->method,
                               .spacing = params->spacing,
                               .steps = p->steps,
                               .eta = params->eta,
                               .strength = params->init ? (double)params->strength : 1};
    if (params->method == KN_METHOD_CONFIG && model->schedule.paint_is_substitute)
        kn_log_line(&model->params.log, KN_LOG_INFO, "%s: sampling with DPM-Solver++ 2M in place of %s",
                    model->info.folder, model->schedule.class_name);
    return kn_solver_create(&p->solver, &model->schedule, &solver, (size_t)params->batch * p->floats, error) &&
           allocate(p, error);
}

static bool paint(painter *p, float *rgb, kn_error *error) {
    bool fresh = !p->params->init || (p->params->strength >= 1 && (p->params->mask || p->model->info.inpaints));
    int tokens;
    if (!set_up(p, error) || !kn_paint_prompt_tokens(p->model, p->params, p->halves, &tokens, error) ||
        !kn_paint_plan_make(&p->plan, p->model, p->params, p->halves, tokens, error) || !encode_inputs(p, error))
        return false;
    start_streams(p);
    if (!draw(p, p->noise, error)) return false;
    kn_solver_start(p->solver, fresh ? NULL : p->clean, p->noise);
    if (!kn_solver_done(p->solver) &&
        (!kn_paint_network_init(&p->network, p->model, p->params, &p->plan, p->halves, error) || !denoise(p, error)))
        return false;
    kn_paint_network_finish(&p->network); /* its memory is the autoencoder's now */
    return kn_paint_decode(p->model, p->params, &p->plan.decode, kn_solver_sample(p->solver), rgb, error);
}

bool kn_paint(kn_model *model, const kn_paint_params *params, float *rgb, kn_error *error) {
    painter p = {.model = model, .params = params};
    bool ok = check(model, params, error) && paint(&p, rgb, error);
    float *buffers[] = {p.noise, p.clean, p.mask, p.masked, p.x, p.input, p.output, p.kept};
    kn_paint_network_finish(&p.network);
    kn_solver_destroy(&p.solver);
    for (size_t i = 0; i < KN_COUNT(buffers); i++) kn_free(buffers[i]);
    kn_free(p.streams);
    return ok;
}

const char *kn_paint_method_name(const kn_model *model, kn_method method) {
    static const char *const names[] = {"",        "flow", "ddim",        "dpm++2m", "euler",
                                        "euler-a", "heun", "dpm++2m-sde", "unipc",   "lcm"};
    return names[method == KN_METHOD_CONFIG ? model->schedule.paint_method : method];
}
