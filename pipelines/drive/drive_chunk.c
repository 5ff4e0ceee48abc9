#include "pipelines/drive/drive_internal.h"

#include "base/random.h"
#include "diffusion/sampling/plan.h"
#include "pipelines/common/pixels.h"

#include <math.h>
#include <string.h>

static bool init_chunk(const kn_drive_job *job, kn_drive_chunk *c, kn_error *error) {
    size_t pictures = job->chunk_frames * (size_t)job->rig.camera_count;
    bool sampled = job->params.source == KN_DRIVE_SAMPLER;
    if (!(c->rgb = kn_alloc(pictures * 3, job->pixels, error))) return false;
    if (job->params.source == KN_DRIVE_BEAUTY) return true;
    if (!sampled) return true;
    if (!(c->control = kn_alloc(pictures * (size_t)job->control_channels * job->pixels, sizeof *c->control, error)))
        return false;
    return (c->noise = kn_alloc(pictures * kn_drive_latent_floats(job), sizeof *c->noise, error)) &&
           kn_drive_lock_init_chunk(job, c, error);
}

static bool init_buffers(kn_drive_job *job, size_t first, kn_error *error) {
    kn_drive_scratch *s = &job->scratch;
    size_t pictures = job->chunk_frames * (size_t)job->rig.camera_count;
    job->pixels = 0;
    for (int i = 0; i < job->rig.camera_count; i++)
        job->pixels = kn_max_size(job->pixels, (size_t)job->rig.cameras[i].width * (size_t)job->rig.cameras[i].height);
    for (size_t i = first; i < job->chunk_count && i < first + 2; i++)
        if (!init_chunk(job, &job->chunks[i % 2], error)) return false;
    if (!(job->stored.rgb = kn_alloc(pictures * 3, job->pixels, error))) return false;
    if (!(s->depth = kn_alloc(job->pixels, sizeof *s->depth, error)) ||
        !(s->semantic = kn_alloc(job->pixels, 1, error)) ||
        !(s->instance = kn_alloc(job->pixels, sizeof *s->instance, error)) ||
        !(s->label = kn_alloc(job->pixels, sizeof *s->label, error)))
        return false;
    if (job->params.source == KN_DRIVE_BEAUTY)
        return (s->picture = kn_alloc(3 * job->pixels, sizeof *s->picture, error)) != NULL;
    if (!(s->conditions = kn_alloc(KN_CONDITION_CHANNELS * job->pixels, sizeof *s->conditions, error))) return false;
    return job->params.source != KN_DRIVE_SAMPLER ||
           ((s->planar = kn_alloc(pictures * 3, job->pixels, error)) && kn_drive_lock_init(job, first, error));
}

static void finish_chunk(kn_drive_chunk *c) {
    kn_free(c->control);
    kn_free(c->noise);
    kn_free(c->rgb);
    kn_free(c->boxes);
    *c = (kn_drive_chunk){0};
}

void kn_drive_chunks_finish(kn_drive_job *job) {
    kn_drive_scratch *s = &job->scratch;
    kn_task_wait(&job->render_task, NULL);
    kn_task_wait(&job->store_task, NULL);
    kn_drive_lock_finish(job);
    kn_drive_lidar_finish(job);
    for (int i = 0; i < 2; i++) finish_chunk(&job->chunks[i]);
    finish_chunk(&job->stored);
    kn_free(s->picture);
    kn_free(s->conditions);
    kn_free(s->depth);
    kn_free(s->semantic);
    kn_free(s->instance);
    kn_free(s->label);
    kn_free(s->planar);
    *s = (kn_drive_scratch){0};
}

/* --- rendering -------------------------------------------------------------------------------- */

/* The same view at one pixel per latent cell. */
static kn_camera latent_camera(const kn_camera *camera, int factor) {
    kn_camera small = *camera;
    small.width = camera->width / factor;
    small.height = camera->height / factor;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++) small.k[i][j] /= factor;
    return small;
}

static uint64_t noise_seed(const kn_drive_job *job) {
    uint64_t own = job->params.seed, other = job->params.appearance;
    return other ? kn_hash64(own * 0x9e3779b97f4a7c15u ^ kn_hash64(other)) : own;
}

/* Anchored noise of a latent. */
static bool latent_noise(kn_drive_job *job, const kn_camera *camera, size_t frame, float *noise, kn_error *error) {
    const kn_model_info *info = kn_model_get_info(job->model);
    kn_camera small = latent_camera(camera, info->latent_factor);
    kn_render_target target = {.noise = noise, .noise_channels = info->latent_channels, .noise_seed = noise_seed(job)};
    return kn_render(job->renderer, &small, frame, &target, error);
}

static bool render_picture(kn_drive_job *job, kn_drive_chunk *c, size_t frame, size_t picture, int camera,
                           kn_error *error) {
    const kn_drive_scratch *s = &job->scratch;
    const kn_camera *view = &job->rig.cameras[camera];
    size_t pixels = (size_t)view->width * (size_t)view->height;
    bool sampled = job->params.source == KN_DRIVE_SAMPLER, anchored = sampled && !job->params.no_anchored_noise;
    bool pixel_noise = anchored && kn_model_get_info(job->model)->pixel_noise;
    /* Weights of 16 channels get them from the conditions; others take these as they are. */
    bool reduced = job->control_channels == KN_CONTROL_CHANNELS;
    bool public = job->params.control_count > 0;
    float *control = sampled ? c->control + picture * (size_t)job->control_channels * job->pixels : NULL;
    float *conditions = sampled && !reduced && !public ? control : s->conditions;
    float *noise = anchored ? c->noise + picture * kn_drive_latent_floats(job) : NULL;
    kn_render_target target = {.conditions = conditions,
                               .shaded =
                                   !sampled || reduced || job->params.strength < 1 || kn_drive_controls_shaded(job),
                               .noise = pixel_noise ? noise : NULL,
                               .noise_seed = noise_seed(job),
                               .beauty = s->picture,
                               .depth = s->depth,
                               .semantic = s->semantic,
                               .instance = s->instance};
    if (!kn_render(job->renderer, view, frame, &target, error)) return false;
    if (anchored && !pixel_noise && !latent_noise(job, view, frame, noise, error)) return false;
    if (sampled && !kn_drive_lock_add(job, c, frame, picture, camera, conditions, error)) return false;
    if (sampled && reduced) kn_control_from_conditions(conditions, pixels, control);
    if (sampled && public && !kn_drive_controls_draw(job, c, picture, view, conditions, error)) return false;
    const float *drawn = s->picture ? s->picture : conditions + KN_CONDITION_SHADED * pixels;
    if (!sampled && !kn_pixels_interleave(drawn, pixels, c->rgb + picture * 3 * job->pixels))
        return kn_fail(error, KN_ERROR_INTERNAL, "frame %zu, camera %s: the renderer drew a value that is no number",
                       frame, view->name);
    if (picture < c->carried * (size_t)job->rig.camera_count) return true; /* labelled with its own chunk */
    if (!kn_drive_write_labels(job, frame, camera, error)) return false;
    return kn_boxes_2d_append(&c->boxes, &c->box_count, &c->box_capacity, &job->facts, view, camera, s->depth,
                              s->instance, error);
}

/* A chunk in a thread's hands. */
typedef struct chunk_work {
    kn_drive_job *job;
    kn_drive_chunk *chunk;
} chunk_work;

static bool render_chunk(void *user, kn_error *error) {
    chunk_work *work = user;
    kn_drive_job *job = work->job;
    double started = kn_now();
    size_t cameras = (size_t)job->rig.camera_count, first = kn_drive_chunk_first(job, work->chunk->index);
    work->chunk->box_count = 0;
    first -= work->chunk->carried;
    for (size_t f = 0; f < work->chunk->carried + work->chunk->frames; f++) {
        if (!kn_frame_facts_read(&job->facts, job->scene, first + f, error)) return false;
        for (size_t v = 0; v < cameras; v++) {
            if (!render_picture(job, work->chunk, first + f, f * cameras + v, (int)v, error)) return false;
            if (!kn_drive_progress(job, KN_STAGE_RENDER, (double)(first + f) + (double)(v + 1) / (double)cameras,
                                   error))
                return false;
        }
        if (f >= work->chunk->carried && !kn_drive_lidar_cast(job, first + f, error)) return false;
        bool sampled = job->params.source == KN_DRIVE_SAMPLER;
        if (sampled && first + f == 0 && !kn_drive_preview_control(job, work->chunk->control, error)) return false;
    }
    job->report.render += kn_now() - started;
    return true;
}

/* --- sampling --------------------------------------------------------------------------------- */

static kn_sampler_params sampler_params(const kn_drive_job *job, int frames) {
    kn_sampler_params params = KN_SAMPLER_PARAMS_DEFAULT;
    params.frames = frames;
    params.views = job->rig.camera_count;
    params.width = job->rig.cameras[0].width;
    params.height = job->rig.cameras[0].height;
    params.steps = job->params.steps > 0 ? job->params.steps : kn_model_get_info(job->model)->default_steps;
    if (job->params.guidance >= 0) params.guidance = (float)job->params.guidance;
    kn_drive_controls_sampler(job, &params);
    params.multi_view = !job->params.no_multi_view;
    params.temporal = !job->params.no_temporal;
    params.lock = kn_drive_lock_params(job);
    params.strength = (float)job->params.strength;
    for (int i = 0; i < KN_MAX_VIEWS; i++)
        for (int side = 0; side < 2; side++)
            params.neighbours[i][side] = i < job->rig.camera_count ? job->neighbours[i][side] : -1;
    return params;
}

bool kn_drive_check_memory(kn_drive_job *job, kn_error *error) {
    const uint64_t reserve = 24 << 20; /* prompts, staging, small buffers */
    uint64_t bytes = 0, first = 0, free_bytes = kn_plan_free_bytes(job->sampler_gpu, job->params.gpu.memory_limit);
    int wanted = (int)job->chunk_frames;
    for (int frames = wanted; frames > 0; frames--) {
        kn_sampler_params params = sampler_params(job, frames);
        if (!kn_sampler_bytes(job->model, &params, &bytes, error)) return false;
        if (frames == wanted) first = bytes;
        if (bytes + reserve > free_bytes) continue;
        if (frames < wanted)
            return kn_fail(error, KN_ERROR_MEMORY,
                           "sampling %d frames of %d cameras together needs %llu MiB of device memory, but %llu MiB "
                           "are free: --chunk %d fits (in another rhythm, so with other pictures)",
                           wanted, params.views, (unsigned long long)((first + reserve) >> 20),
                           (unsigned long long)(free_bytes >> 20), frames);
        kn_log_line(&job->params.log, KN_LOG_INFO,
                    "plan: sampling %d frames of %d cameras takes %llu MiB beside the model, %llu MiB are free", frames,
                    params.views, (unsigned long long)(bytes >> 20), (unsigned long long)(free_bytes >> 20));
        return true;
    }
    return kn_fail(error, KN_ERROR_MEMORY,
                   "sampling one frame of %d cameras needs %llu MiB of device memory, but %llu MiB are free: smaller "
                   "pictures or a rig of fewer cameras need less",
                   job->rig.camera_count, (unsigned long long)((bytes + reserve) >> 20),
                   (unsigned long long)(free_bytes >> 20));
}

static bool make_sampler(kn_drive_job *job, int frames, kn_error *error) {
    if (job->sampler && job->sampler_frames == frames) return true;
    kn_sampler_destroy(&job->sampler);
    kn_sampler_params params = sampler_params(job, frames);
    job->sampler_frames = frames;
    return kn_sampler_create(&job->sampler, job->model, &params, error);
}

static bool sample_progress(void *user, const char *stage, uint64_t done, uint64_t total) {
    (void)stage;
    const chunk_work *work = user;
    double share = total ? (double)done / (double)total : 1,
           before = (double)kn_drive_chunk_first(work->job, work->chunk->index);
    return kn_drive_progress(work->job, KN_STAGE_SAMPLE, before + share * (double)work->chunk->frames, NULL);
}

/* Samples a chunk with what it takes over from the one before. */
static bool sample_locked(kn_drive_job *job, kn_drive_chunk *c, kn_sample_input *input, kn_error *error) {
    kn_lock lock;
    return kn_drive_lock_before(job, c, &lock, input, error) &&
           kn_sample_u8(job->sampler, input, job->scratch.planar, error) && kn_drive_lock_after(job, c, error);
}

static bool sample_chunk(kn_drive_job *job, kn_drive_chunk *c, kn_error *error) {
    if (job->params.source != KN_DRIVE_SAMPLER) return true;
    double started = kn_now();
    uint8_t *planar = job->scratch.planar;
    size_t cameras = (size_t)job->rig.camera_count, known = c->carried * cameras,
           pictures = (c->carried + c->frames) * cameras;
    if (!make_sampler(job, (int)(c->carried + c->frames), error)) return false;
    if (job->params.no_anchored_noise)
        kn_noise_fill(c->noise, pictures * kn_drive_latent_floats(job),
                      kn_hash64(noise_seed(job) * 0x9e3779b97f4a7c15u + c->index), false);
    const char *prompt = job->prompt;
    chunk_work work = {job, c};
    kn_sample_input input = {.prompts = &prompt,
                             .prompt_count = 1,
                             .negative_prompt = job->params.negative,
                             .noise = c->noise,
                             .progress = sample_progress,
                             .progress_user = &work};
    kn_drive_controls_input(job, c, &input);
    if (job->params.strength < 1) {
        input.init = c->control + KN_CONDITION_SHADED * job->pixels;
        input.init_stride = KN_CONDITION_CHANNELS * job->pixels;
    }
    if (!sample_locked(job, c, &input, error)) return false;
    for (size_t n = known; n < pictures; n++)
        for (size_t channel = 0; channel < 3; channel++)
            for (size_t i = 0; i < job->pixels; i++)
                c->rgb[((n - known) * job->pixels + i) * 3 + channel] = planar[(n * 3 + channel) * job->pixels + i];
    job->report.sample += kn_now() - started;
    return true;
}

/* --- storing ---------------------------------------------------------------------------------- */

static bool write_segment(kn_drive_job *job, int camera, const char *name, kn_error *error) {
    const kn_camera *view = &job->rig.cameras[camera];
    kn_video_params params = {
        .width = view->width, .height = view->height, .rate = job->params.rate, .codec = KN_CODEC_FFV1};
    kn_video_writer *writer = NULL;
    char *path = kn_path_join(job->work, name, error);
    bool ok = path && kn_video_writer_create(&writer, path, &params, error);
    for (size_t f = 0; ok && f < job->stored.frames; f++)
        ok = kn_video_writer_add(
            writer, job->stored.rgb + (f * (size_t)job->rig.camera_count + (size_t)camera) * 3 * job->pixels, error);
    ok = ok && kn_video_writer_commit(writer, error);
    kn_video_writer_destroy(&writer);
    kn_free(path);
    return ok;
}

static bool write_segments(kn_drive_job *job, kn_error *error) {
    const kn_drive_chunk *c = &job->stored;
    char names[KN_RIG_MAX_CAMERAS + 1][128];
    const char *list[KN_RIG_MAX_CAMERAS + 1];
    int cameras = job->rig.camera_count;
    for (int v = 0; v < cameras; v++) {
        kn_drive_segment_name(job, c->index, v, names[v], sizeof names[v]);
        if (!write_segment(job, v, names[v], error)) return false;
        double done = (double)kn_drive_chunk_first(job, c->index) + (v + 1.0) / cameras * (double)c->frames;
        if (!kn_drive_progress(job, KN_STAGE_STORE, done, error)) return false;
    }
    kn_drive_boxes_name(c->index, names[cameras], sizeof names[cameras]);
    char *path = kn_path_join(job->work, names[cameras], error);
    bool ok = path && kn_file_write(path, c->boxes, c->box_count * sizeof *c->boxes, error);
    kn_free(path);
    for (int i = 0; i <= cameras; i++) list[i] = names[i];
    return ok && kn_journal_finish_chunk(&job->journal, list, (size_t)cameras + 1, error);
}

/* Keeps job->stored in the work folder, enters it in the journal and encodes it. */
static bool store_chunk(void *user, kn_error *error) {
    kn_drive_job *job = user;
    double started = kn_now();
    if (!write_segments(job, error)) return false;
    job->report.segments += kn_now() - started;
    return kn_finisher_encode(job->finisher, job->stored.index + 1, error);
}

/* --- the three stages ------------------------------------------------------------------------- */

static bool start_rendering(kn_drive_job *job, chunk_work *work, size_t index, kn_error *error) {
    *work = (chunk_work){job, &job->chunks[index % 2]};
    work->chunk->index = index;
    work->chunk->frames = kn_drive_chunk_length(job, index);
    work->chunk->carried = index > 0 ? job->carried : 0;
    return kn_task_start(&job->render_task, render_chunk, work, error);
}

/* Moves the pictures and boxes of a chunk to job->stored, whose own room it gets, and starts storing. */
static bool start_storing(kn_drive_job *job, kn_drive_chunk *chunk, kn_error *error) {
    if (!kn_task_wait(&job->store_task, error)) return false;
    kn_drive_chunk stored = *chunk, free_room = job->stored;
    stored.control = stored.noise = NULL;
    chunk->rgb = free_room.rgb;
    chunk->boxes = free_room.boxes;
    chunk->box_capacity = free_room.box_capacity;
    job->stored = stored;
    return kn_task_start(&job->store_task, store_chunk, job, error);
}

bool kn_drive_chunks_run(kn_drive_job *job, size_t first, kn_error *error) {
    chunk_work work[2];
    bool ok = init_buffers(job, first, error) && start_rendering(job, &work[first % 2], first, error);
    for (size_t i = first; ok && i < job->chunk_count; i++) {
        ok = kn_task_wait(&job->render_task, error) &&
             (i + 1 == job->chunk_count || start_rendering(job, &work[(i + 1) % 2], i + 1, error)) &&
             sample_chunk(job, &job->chunks[i % 2], error) && start_storing(job, &job->chunks[i % 2], error);
    }
    ok = ok && kn_task_wait(&job->store_task, error);
    /* An earlier failure stands; what still runs uses `work`. */
    if (!ok) {
        kn_task_wait(&job->render_task, NULL);
        kn_task_wait(&job->store_task, NULL);
    }
    return ok;
}
