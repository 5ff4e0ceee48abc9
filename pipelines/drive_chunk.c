#include "pipelines/drive_internal.h"

#include "base/random.h"

#include <math.h>
#include <string.h>

size_t kn_drive_chunk_length(const kn_drive_job *job, size_t index) {
    return kn_min_size(job->chunk_frames, job->frame_count - index * job->chunk_frames);
}

void kn_drive_segment_name(const kn_drive_job *job, size_t chunk, int camera, char *name, size_t size) {
    snprintf(name, size, "chunk_%06zu_%s.mkv", chunk, job->rig.cameras[camera].name);
}

void kn_drive_boxes_name(size_t chunk, char *name, size_t size) { snprintf(name, size, "chunk_%06zu_boxes.bin", chunk); }

/* Noise values per picture: 3 per pixel, or the latent's channels per latent cell. */
static size_t noise_per_picture(const kn_drive_job *job) {
    const kn_model_info *info = kn_model_get_info(job->model);
    size_t width = (size_t)job->rig.cameras[0].width, height = (size_t)job->rig.cameras[0].height, factor = (size_t)info->latent_factor;
    return info->pixel_noise ? 3 * width * height : (size_t)info->latent_channels * (width / factor) * (height / factor);
}

bool kn_drive_chunk_init(kn_drive_job *job, kn_error *error) {
    kn_drive_chunk *c = &job->chunk;
    size_t pictures = job->chunk_frames * (size_t)job->rig.camera_count;
    for (int i = 0; i < job->rig.camera_count; i++)
        c->pixels = kn_max_size(c->pixels, (size_t)job->rig.cameras[i].width * (size_t)job->rig.cameras[i].height);
    bool sampled = job->params.source == KN_DRIVE_SAMPLER;
    if (!(c->rgb = kn_alloc(pictures * 3, c->pixels, error))) return false;
    if (!(c->depth = kn_alloc(c->pixels, sizeof *c->depth, error))) return false;
    if (!(c->semantic = kn_alloc(c->pixels, 1, error))) return false;
    if (!(c->instance = kn_alloc(c->pixels, sizeof *c->instance, error))) return false;
    if (!(c->label = kn_alloc(c->pixels, sizeof *c->label, error))) return false;
    if (job->params.source == KN_DRIVE_BEAUTY && !(c->picture = kn_alloc(3 * c->pixels, sizeof *c->picture, error))) return false;
    if (job->params.source == KN_DRIVE_BEAUTY) return true;
    size_t controls = sampled ? pictures : 1;
    if (!(c->control = kn_alloc(controls * KN_CONTROL_CHANNELS * c->pixels, sizeof *c->control, error))) return false;
    if (!sampled) return true;
    return (c->noise = kn_alloc(pictures * noise_per_picture(job), sizeof *c->noise, error)) && (c->planar = kn_alloc(pictures * 3, c->pixels, error));
}

void kn_drive_chunk_finish(kn_drive_chunk *c) {
    kn_free(c->control);
    kn_free(c->noise);
    kn_free(c->picture);
    kn_free(c->depth);
    kn_free(c->semantic);
    kn_free(c->instance);
    kn_free(c->label);
    kn_free(c->planar);
    kn_free(c->rgb);
    kn_free(c->boxes);
    *c = (kn_drive_chunk){0};
}

/* --- rendering ------------------------------------------------------------------------------------------------------ */

static void interleave(const float *planar, size_t pixels, uint8_t *rgb) {
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < pixels; i++) {
            float v = planar[c * pixels + i];
            rgb[3 * i + c] = (uint8_t)lrintf(255 * (v > 0 ? v < 1 ? v : 1 : 0)); /* NaN becomes 0 */
        }
}

/* The same view at one pixel per latent cell. */
static kn_camera latent_camera(const kn_camera *camera, int factor) {
    kn_camera small = *camera;
    small.width = camera->width / factor;
    small.height = camera->height / factor;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++) small.k[i][j] /= factor;
    return small;
}

/* Anchored noise of a latent with C channels: three from each renderer. */
static bool latent_noise(kn_drive_job *job, const kn_camera *camera, size_t frame, float *noise, kn_error *error) {
    const kn_model_info *info = kn_model_get_info(job->model);
    kn_camera small = latent_camera(camera, info->latent_factor);
    size_t cells = (size_t)small.width * (size_t)small.height;
    float *scratch = kn_alloc(3 * cells, sizeof *scratch, error);
    bool ok = scratch != NULL;
    for (int c = 0; ok && c < info->latent_channels; c += 3) {
        ok = kn_render(job->renderers[c / 3], &small, frame, &(kn_render_target){.noise = scratch}, error);
        size_t channels = kn_min_size(3, (size_t)(info->latent_channels - c));
        if (ok) memcpy(noise + (size_t)c * cells, scratch, channels * cells * sizeof *noise);
    }
    kn_free(scratch);
    return ok;
}

static bool render_picture(kn_drive_job *job, size_t frame, size_t picture, int camera, kn_error *error) {
    kn_drive_chunk *c = &job->chunk;
    const kn_camera *view = &job->rig.cameras[camera];
    size_t pixels = (size_t)view->width * (size_t)view->height;
    bool sampled = job->params.source == KN_DRIVE_SAMPLER, anchored = sampled && !job->params.no_anchored_noise;
    bool pixel_noise = anchored && kn_model_get_info(job->model)->pixel_noise;
    float *control = c->control ? c->control + (sampled ? picture * KN_CONTROL_CHANNELS * c->pixels : 0) : NULL;
    float *noise = anchored ? c->noise + picture * noise_per_picture(job) : NULL;
    kn_render_target target = {.control = control, .noise = pixel_noise ? noise : NULL, .beauty = c->picture,
                               .depth = c->depth, .semantic = c->semantic, .instance = c->instance};
    if (!kn_render(job->renderers[0], view, frame, &target, error)) return false;
    if (anchored && !pixel_noise && !latent_noise(job, view, frame, noise, error)) return false;
    if (!sampled) interleave(c->picture ? c->picture : control + KN_CONTROL_COLOR * pixels, pixels, c->rgb + picture * 3 * c->pixels);
    if (!kn_drive_write_labels(job, frame, camera, error)) return false;
    return kn_boxes_2d_append(&c->boxes, &c->box_count, &c->box_capacity, &job->facts, view, camera, c->depth, c->instance, error);
}

static bool render_chunk(kn_drive_job *job, size_t first, size_t frames, kn_error *error) {
    size_t cameras = (size_t)job->rig.camera_count;
    job->chunk.box_count = 0;
    for (size_t f = 0; f < frames; f++) {
        if (!kn_frame_facts_read(&job->facts, job->scene, first + f, error)) return false;
        for (size_t v = 0; v < cameras; v++) {
            if (!render_picture(job, first + f, f * cameras + v, (int)v, error)) return false;
            if (!kn_drive_progress(job, (double)(f * cameras + v + 1) / (double)(frames * cameras), error)) return false;
        }
    }
    return true;
}

/* --- sampling ------------------------------------------------------------------------------------------------------- */

static bool make_sampler(kn_drive_job *job, int frames, kn_error *error) {
    if (job->sampler && job->sampler_frames == frames) return true;
    kn_sampler_destroy(&job->sampler);
    kn_sampler_params params = KN_SAMPLER_PARAMS_DEFAULT;
    params.frames = frames;
    params.views = job->rig.camera_count;
    params.width = job->rig.cameras[0].width;
    params.height = job->rig.cameras[0].height;
    params.steps = job->params.steps > 0 ? job->params.steps : kn_model_get_info(job->model)->default_steps;
    if (job->params.guidance >= 0) params.guidance = (float)job->params.guidance;
    params.control_count = 1;
    params.controls[0] = (kn_control_params){.name = "drive", .scale = 1};
    params.multi_view = !job->params.no_multi_view;
    params.temporal = !job->params.no_temporal;
    for (int i = 0; i < KN_MAX_VIEWS; i++)
        for (int side = 0; side < 2; side++) params.neighbours[i][side] = i < job->rig.camera_count ? job->neighbours[i][side] : -1;
    job->sampler_frames = frames;
    return kn_sampler_create(&job->sampler, job->model, &params, error);
}

static bool sample_progress(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)stage;
    return kn_drive_progress(user, total ? (double)done / (double)total : 1, NULL);
}

static bool sample_chunk(kn_drive_job *job, size_t index, size_t frames, kn_error *error) {
    kn_drive_chunk *c = &job->chunk;
    size_t pictures = frames * (size_t)job->rig.camera_count;
    if (!make_sampler(job, (int)frames, error)) return false;
    if (job->params.no_anchored_noise) kn_noise_fill(c->noise, pictures * noise_per_picture(job), kn_hash64(job->params.seed * 0x9e3779b97f4a7c15u + index), false);
    const char *prompt = job->prompt;
    kn_sample_input input = {.prompts = &prompt, .prompt_count = 1, .controls = {c->control}, .noise = c->noise, .progress = sample_progress, .progress_user = job};
    if (!kn_sample_u8(job->sampler, &input, c->planar, error)) return false;
    for (size_t n = 0; n < pictures; n++)
        for (size_t channel = 0; channel < 3; channel++)
            for (size_t i = 0; i < c->pixels; i++) c->rgb[(n * c->pixels + i) * 3 + channel] = c->planar[(n * 3 + channel) * c->pixels + i];
    return true;
}

/* --- storing -------------------------------------------------------------------------------------------------------- */

static bool write_segment(kn_drive_job *job, size_t frames, int camera, const char *name, kn_error *error) {
    const kn_camera *view = &job->rig.cameras[camera];
    kn_video_params params = {.width = view->width, .height = view->height, .rate = job->params.rate, .codec = KN_CODEC_FFV1};
    kn_video_writer *writer = NULL;
    char *path = kn_path_join(job->work, name, error);
    bool ok = path && kn_video_writer_create(&writer, path, &params, error);
    for (size_t f = 0; ok && f < frames; f++)
        ok = kn_video_writer_add(writer, job->chunk.rgb + (f * (size_t)job->rig.camera_count + (size_t)camera) * 3 * job->chunk.pixels, error);
    ok = ok && kn_video_writer_commit(writer, error);
    kn_video_writer_destroy(&writer);
    kn_free(path);
    return ok;
}

static bool store_chunk(kn_drive_job *job, size_t index, size_t frames, kn_error *error) {
    char names[KN_RIG_MAX_CAMERAS + 1][128];
    const char *list[KN_RIG_MAX_CAMERAS + 1];
    int cameras = job->rig.camera_count;
    for (int v = 0; v < cameras; v++) {
        kn_drive_segment_name(job, index, v, names[v], sizeof names[v]);
        if (!write_segment(job, frames, v, names[v], error)) return false;
        if (!kn_drive_progress(job, (v + 1.0) / cameras, error)) return false;
    }
    kn_drive_boxes_name(index, names[cameras], sizeof names[cameras]);
    char *path = kn_path_join(job->work, names[cameras], error);
    bool ok = path && kn_file_write(path, job->chunk.boxes, job->chunk.box_count * sizeof *job->chunk.boxes, error);
    kn_free(path);
    for (int i = 0; i <= cameras; i++) list[i] = names[i];
    return ok && kn_journal_finish_chunk(&job->journal, list, (size_t)cameras + 1, error);
}

static void begin_stage(kn_drive_job *job, const char *stage, double frames) {
    job->frames_before += job->frames_weight;
    job->frames_weight = frames;
    job->stage = stage;
}

bool kn_drive_chunk_run(kn_drive_job *job, size_t index, kn_error *error) {
    size_t frames = kn_drive_chunk_length(job, index);
    bool sampled = job->params.source == KN_DRIVE_SAMPLER;
    double n = (double)frames, started = kn_now();
    begin_stage(job, "render", (sampled ? .1 : .8) * n);
    if (!render_chunk(job, index * job->chunk_frames, frames, error)) return false;
    double rendered = kn_now();
    begin_stage(job, "sample", (sampled ? .7 : 0) * n);
    if (sampled && !sample_chunk(job, index, frames, error)) return false;
    double done = kn_now();
    begin_stage(job, "store", .1 * n);
    if (!store_chunk(job, index, frames, error)) return false;
    job->report.render += rendered - started;
    job->report.sample += done - rendered;
    job->report.segments += kn_now() - done;
    return true;
}
