/* Repainting film: the loop over a frame's evaluations, with the parts of kn_paint. */
#include "diffusion/sampling/clip.h"
#include "diffusion/sampling/structure.h"

#include <math.h>
#include <string.h>

/* --- create ----------------------------------------------------------------------------------- */

static bool check(const kn_model *model, const kn_clip_params *p, kn_error *error) {
    int factor = model->info.latent_factor;
    if (model->info.field)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: has no autoencoder: it makes fields, it restyles no film",
                       model->info.folder);
    if (p->width < factor || p->height < factor || p->width > 8192 || p->height > 8192 || p->width % factor ||
        p->height % factor)
        return kn_fail(error, KN_ERROR_INPUT, "%d x %d pixels: expected multiples of %d up to 8192", p->width,
                       p->height, factor);
    if (!(p->guidance >= 0 && p->guidance <= 1000))
        return kn_fail(error, KN_ERROR_INPUT, "guidance %g: expected 0 to 1000", (double)p->guidance);
    if (!(p->strength > 0 && p->strength <= 1))
        return kn_fail(error, KN_ERROR_INPUT, "strength %g: expected more than 0, up to 1", (double)p->strength);
    if (!(p->grain >= 0 && p->grain <= 1))
        return kn_fail(error, KN_ERROR_INPUT, "grain %g: expected 0 to 1", (double)p->grain);
    if (!(p->lock >= 0 && p->lock <= 1))
        return kn_fail(error, KN_ERROR_INPUT, "lock %g: expected 0 to 1", (double)p->lock);
    if (p->steps < 0 || p->steps > KN_MAX_STEPS / 2)
        return kn_fail(error, KN_ERROR_INPUT, "%d steps: expected 1 to %d", p->steps, KN_MAX_STEPS / 2);
    if (p->control_count < 0 || p->control_count > KN_MAX_CONTROLS)
        return kn_fail(error, KN_ERROR_INPUT, "%d controls: expected 0 to %d", p->control_count, KN_MAX_CONTROLS);
    if (model->schedule.residual_control[0] || model->condition_means[0])
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: this model makes clips from scenes, it restyles no film",
                       model->info.folder);
    if (model->info.inpaints)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: an inpainting model restyles no film", model->info.folder);
    return true;
}

/* The parameters of kn_paint that its parts read. */
static bool fill_paint(kn_clip *clip, const kn_clip_params *p, kn_error *error) {
    clip->params = *p;
    clip->paint = KN_PAINT_PARAMS_DEFAULT;
    kn_paint_params *paint = &clip->paint;
    paint->prompt = kn_strdup(p->prompt ? p->prompt : "", error);
    paint->negative = kn_strdup(p->negative ? p->negative : "", error);
    paint->width = p->width, paint->height = p->height;
    paint->guidance = p->guidance;
    paint->control_count = p->control_count;
    memcpy(paint->controls, p->controls, sizeof paint->controls);
    clip->params.prompt = paint->prompt, clip->params.negative = paint->negative;
    for (int i = 0; i < p->control_count; i++) { /* names live as long as the model's */
        for (int j = 0; j < clip->model->info.control_count; j++)
            if (p->controls[i].name && strcmp(p->controls[i].name, clip->model->info.control_names[j]) == 0)
                paint->controls[i].name = clip->model->info.control_names[j];
        const kn_controlnet *found;
        kn_paint_control control = p->controls[i];
        control.picture = (const float[]){0};
        if (!kn_paint_find_control(&found, clip->model, &control, error)) return false;
    }
    return paint->prompt && paint->negative;
}

/* Less than full strength starts later on a finer schedule, so that as many steps are run. */
static bool make_solver(kn_clip *clip, kn_error *error) {
    const kn_clip_params *p = &clip->params;
    int steps = p->steps ? p->steps : clip->model->info.default_steps;
    double all = ceil(steps / (double)p->strength - 1e-6);
    kn_solver_params solver = {.method = p->method,
                               .spacing = p->spacing,
                               .steps = all < KN_MAX_STEPS ? (int)all : KN_MAX_STEPS,
                               .eta = -1,
                               .strength = p->strength < 1 ? steps / all : 1};
    if (!kn_solver_create(&clip->solver, &clip->model->schedule, &solver, clip->floats, error)) return false;
    clip->evaluations = 2 * steps; /* Heun's second ones included */
    return true;
}

static bool allocate(kn_clip *clip, kn_error *error) {
    const kn_model *model = clip->model;
    const kn_clip_params *p = &clip->params;
    size_t f = clip->floats, in = (size_t)model->unet.trunk.config.in_channels * clip->cells;
    bool packed = model->info.pixel_noise;
    if ((model->info.structure &&
         !(clip->extra = kn_alloc((size_t)kn_structure_channels(clip->factor) * clip->cells, sizeof(float), error))) ||
        (p->strength < 1 && !(clip->clean = kn_alloc(f, sizeof(float), error))))
        return false;
    return kn_flow_noise_init(&clip->noise, packed ? 3 : model->info.latent_channels,
                              packed ? p->width : p->width / clip->factor,
                              packed ? p->height : p->height / clip->factor, p->seed, error) &&
           (clip->memory = kn_alloc((size_t)clip->evaluations * f, sizeof(float), error)) &&
           (clip->input = kn_alloc((size_t)clip->halves * in, sizeof(float), error)) &&
           (clip->output = kn_alloc((size_t)clip->halves * f, sizeof(float), error)) &&
           (clip->estimate = kn_alloc(f, sizeof(float), error)) && (clip->spare = kn_alloc(f, sizeof(float), error)) &&
           (clip->warped = kn_alloc(f, sizeof(float), error)) &&
           (clip->motion = kn_alloc(2 * clip->cells, sizeof(float), error)) &&
           (clip->confident = kn_alloc(clip->cells, sizeof(float), error));
}

static bool plan(kn_clip *clip, kn_error *error) {
    const kn_model *model = clip->model;
    int tokens;
    kn_paint_params paint = clip->paint;
    for (int i = 0; i < paint.control_count; i++)
        paint.controls[i].picture = clip->estimate; /* only whether it is there */
    paint.init = clip->params.strength < 1 ? clip->estimate : NULL;
    if (!kn_paint_prompt_tokens(clip->model, &paint, clip->halves, &tokens, error) ||
        !kn_paint_plan_make(&clip->plan, model, &paint, clip->halves, tokens, error))
        return false;
    if (model->info.pixel_noise) return true;
    return kn_tiler_create(&clip->decode, &model->autoencoder, model->gpu, &clip->plan.decode, error) &&
           (!paint.init || kn_tiler_create(&clip->encode, &model->autoencoder, model->gpu, &clip->plan.encode, error));
}

/* The context's last token, which has read all others. */
static bool find_look(kn_clip *clip, kn_error *error) {
    float *context;
    int tokens;
    size_t channels = (size_t)clip->model->unet.trunk.config.context_channels;
    if (!clip->model->unet.time_takes_text) return true;
    if (!(clip->look = kn_alloc(channels, sizeof(float), error)) ||
        !kn_paint_prompts(clip->model, &clip->paint, 1, &context, &tokens, error))
        return false;
    for (size_t i = 0; i < channels; i++) clip->look[i] = context[(i + 1) * (size_t)tokens - 1];
    kn_free(context);
    return true;
}

bool kn_clip_create(kn_clip **out, kn_model *model, const kn_clip_params *params, kn_error *error) {
    *out = NULL;
    if (!check(model, params, error)) return false;
    kn_clip *clip = kn_alloc(1, sizeof *clip, error);
    if (!clip) return false;
    clip->model = model;
    clip->factor = model->info.latent_factor;
    clip->halves = params->guidance > 1 && !model->unet.time_condition ? 2 : 1;
    clip->cells = (size_t)(params->width / clip->factor) * (size_t)(params->height / clip->factor);
    clip->floats = clip->cells * (size_t)model->info.latent_channels;
    clip->pixels = (size_t)params->width * (size_t)params->height;
    if (fill_paint(clip, params, error) && make_solver(clip, error) && allocate(clip, error) && plan(clip, error) &&
        find_look(clip, error)) {
        *out = clip;
        return true;
    }
    kn_clip_destroy(&clip);
    return false;
}

void kn_clip_destroy(kn_clip **out) {
    kn_clip *clip = out ? *out : NULL;
    if (!clip) return;
    if (clip->open) kn_paint_network_finish(&clip->network);
    kn_tiler_destroy(&clip->encode);
    kn_tiler_destroy(&clip->decode);
    kn_solver_destroy(&clip->solver);
    kn_flow_noise_finish(&clip->noise);
    kn_free((char *)(uintptr_t)clip->paint.prompt);
    kn_free((char *)(uintptr_t)clip->paint.negative);
    float *buffers[] = {clip->look,     clip->extra, clip->clean,  clip->memory, clip->input,    clip->output,
                        clip->estimate, clip->spare, clip->warped, clip->motion, clip->confident};
    for (size_t i = 0; i < KN_COUNT(buffers); i++) kn_free(buffers[i]);
    kn_free(clip);
    *out = NULL;
}

/* --- a frame ---------------------------------------------------------------------------------- */

static bool encode(kn_clip *clip, const float *picture, kn_error *error) {
    bool half_range = kn_autoencoder_zero_to_one(&clip->model->autoencoder), packed = clip->model->info.pixel_noise;
    float *scaled = kn_alloc(3 * clip->pixels, sizeof *scaled, error);
    for (size_t i = 0; scaled && i < 3 * clip->pixels; i++)
        scaled[i] = half_range && !packed ? picture[i] : 2 * picture[i] - 1;
    if (scaled && packed) kn_clip_pack(scaled, clip->params.width, clip->params.height, clip->factor, clip->clean);
    bool ok = scaled && (packed || kn_tiler_run(clip->encode, scaled, clip->clean, error));
    kn_free(scaled);
    return ok;
}

static bool decode(kn_clip *clip, float *rgb, kn_error *error) {
    const float *x = kn_solver_sample(clip->solver);
    bool finite = true;
    if (clip->model->info.pixel_noise) kn_clip_unpack(x, clip->params.width, clip->params.height, clip->factor, rgb);
    else if (!kn_tiler_run(clip->decode, x, rgb, error)) return false;
    for (size_t i = 0; i < 3 * clip->pixels; i++) {
        finite = finite && isfinite(rgb[i]);
        rgb[i] = fminf(fmaxf(0.5f * rgb[i] + 0.5f, 0), 1);
    }
    return finite || kn_fail(error, KN_ERROR_INTERNAL, "the network gave numbers that are not finite");
}

/* The network for the first frame, and for the others its controls' pictures. */
static bool set_controls(kn_clip *clip, const kn_clip_frame *frame, kn_error *error) {
    for (int i = 0; i < clip->paint.control_count; i++) {
        if (!frame->controls[i]) return kn_fail(error, KN_ERROR_INPUT, "control %d has no picture", i);
        clip->paint.controls[i].picture = frame->controls[i];
    }
    if (!clip->open) {
        clip->open = true;
        return kn_paint_network_init(&clip->network, clip->model, &clip->paint, &clip->plan, clip->halves, error);
    }
    for (int i = 0; i < clip->paint.control_count; i++)
        if (!kn_paint_network_set_control(&clip->network, i, error)) return false;
    return true;
}

static unsigned active_controls(const kn_clip *clip) {
    unsigned bits = 0;
    int first = kn_solver_first_step(clip->solver), count = kn_solver_steps(clip->solver) - first,
        i = kn_solver_step(clip->solver) - first;
    for (int c = 0; c < clip->paint.control_count; c++) {
        const kn_paint_control *control = &clip->paint.controls[c];
        bool on = (float)i / (float)count >= control->start && (float)(i + 1) / (float)count <= control->end;
        if (on && control->strength != 0) bits |= 1u << c;
    }
    return bits;
}

static bool draw(void *user, float *noise, kn_error *error) {
    (void)error;
    kn_clip *clip = user; /* the same for stochastic samplers' later draws: it travels with the picture */
    if (clip->model->info.pixel_noise)
        kn_clip_pack(clip->noise.values, clip->params.width, clip->params.height, clip->factor, noise);
    else memcpy(noise, clip->noise.values, clip->floats * sizeof *noise);
    return true;
}

static bool evaluate(kn_clip *clip, const kn_clip_frame *frame, int evaluation, kn_error *error) {
    size_t in = (size_t)clip->model->unet.trunk.config.in_channels * clip->cells, extra = in - clip->floats;
    kn_solver_input(clip->solver, clip->input);
    if (extra) memcpy(clip->input + clip->floats, clip->extra, extra * sizeof *clip->input);
    for (int half = 1; half < clip->halves; half++) memcpy(clip->input + in, clip->input, in * sizeof *clip->input);
    if (!kn_paint_network_run(&clip->network, clip->input, kn_solver_timestep(clip->solver), active_controls(clip),
                              clip->output, error))
        return false;
    for (size_t i = 0; clip->halves == 2 && i < clip->floats; i++)
        clip->output[i] += clip->params.guidance * (clip->output[clip->floats + i] - clip->output[i]);
    if (clip->params.lock > 0) {
        kn_solver_clean(clip->solver, clip->output, clip->estimate);
        kn_clip_lock(clip, frame, evaluation);
        kn_solver_output(clip->solver, clip->estimate, clip->output);
    }
    return kn_solver_advance(clip->solver, clip->output, draw, clip, error);
}

static void next_noise(kn_clip *clip, const kn_clip_frame *frame) {
    bool packed = clip->model->info.pixel_noise, still = clip->params.fixed_noise,
         travels = frame->motion && !clip->params.fresh_noise && !still;
    if (still) clip->noise.frame = 0;
    kn_flow_noise_next(&clip->noise,
                       !travels ? NULL
                       : packed ? frame->motion
                                : clip->motion,
                       packed ? frame->confident : clip->confident);
}

bool kn_clip_next(kn_clip *clip, const kn_clip_frame *frame, float *rgb, kn_error *error) {
    const kn_clip_params *p = &clip->params;
    if (frame->motion) kn_clip_cells(clip, frame);
    if ((clip->extra && !kn_structure(frame->picture, p->width, p->height, clip->factor, clip->extra, error)) ||
        (clip->clean && !encode(clip, frame->picture, error)) || !set_controls(clip, frame, error))
        return false;
    clip->network.look = clip->look;
    next_noise(clip, frame);
    draw(clip, clip->estimate, error);
    for (size_t i = 0; i < clip->floats; i++) clip->estimate[i] *= p->grain;
    kn_solver_start(clip->solver, clip->clean, clip->estimate);
    for (int i = 0; !kn_solver_done(clip->solver); i++)
        if (!evaluate(clip, frame, i, error)) return false;
    clip->remembers = true;
    return decode(clip, rgb, error);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* In order: frame count (low and high 24 bits), whether there are estimates, noise, its offsets, estimates. */
enum { HEAD = 3 };

static size_t noise_floats(const kn_clip *clip) {
    return (size_t)(clip->noise.channels + 2) * (size_t)clip->noise.width * (size_t)clip->noise.height;
}

size_t kn_clip_memory_floats(const kn_clip *clip) {
    return HEAD + noise_floats(clip) + (size_t)clip->evaluations * clip->floats;
}

void kn_clip_memory_read(const kn_clip *clip, float *memory) {
    size_t places = (size_t)clip->noise.width * (size_t)clip->noise.height,
           values = (size_t)clip->noise.channels * places;
    memory[0] = (float)(clip->noise.frame & 0xffffff), memory[1] = (float)(clip->noise.frame >> 24);
    memory[2] = clip->remembers;
    memcpy(memory + HEAD, clip->noise.values, values * sizeof *memory);
    memcpy(memory + HEAD + values, clip->noise.offsets, 2 * places * sizeof *memory);
    memcpy(memory + HEAD + noise_floats(clip), clip->memory, (size_t)clip->evaluations * clip->floats * sizeof *memory);
}

void kn_clip_memory_write(kn_clip *clip, const float *memory) {
    size_t places = (size_t)clip->noise.width * (size_t)clip->noise.height,
           values = (size_t)clip->noise.channels * places;
    clip->noise.frame = (uint64_t)memory[0] | (uint64_t)memory[1] << 24;
    clip->remembers = memory[2] > 0;
    memcpy(clip->noise.values, memory + HEAD, values * sizeof *memory);
    memcpy(clip->noise.offsets, memory + HEAD + values, 2 * places * sizeof *memory);
    memcpy(clip->memory, memory + HEAD + noise_floats(clip), (size_t)clip->evaluations * clip->floats * sizeof *memory);
}
