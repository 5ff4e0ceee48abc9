#include "kinora/drive.h"

#include "pipelines/drive/drive_internal.h"

#include <errno.h>
#include <string.h>

/* Makes the work folder and opens its journal; with `overwrite`, another job's work is thrown away. */
static bool open_journal(kn_drive_job *job, kn_error *error) {
    job->work_existed = kn_path_existing(job->work);
    if (!kn_make_directories(job->work, error)) return false;
    return kn_journal_init(&job->journal, job->work, job->hash, job->params.overwrite, error);
}

static bool open_scene(kn_drive_job *job, kn_error *error) {
    const kn_drive_params *p = &job->params;
    kn_scene_params scene = p->overrides;
    scene.frame_rate = (double)p->rate.num / p->rate.den;
    scene.frame_count = p->frames;
    scene.seed = p->seed;
    if (!kn_scene_create(&job->scene, p->scene, &scene, &p->log, error)) return false;
    if (!p->rig) kn_scene_mount_rig(job->scene, &job->rig);
    job->frame_count = kn_scene_frame_count(job->scene);
    if (p->frames > 0 && job->frame_count > p->frames) job->frame_count = p->frames;
    if (job->frame_count == 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: the scenario ends before its first frame", p->scene);
    if (p->prompt) snprintf(job->prompt, sizeof job->prompt, "%s", p->prompt);
    else kn_scene_caption(job->scene, job->prompt, sizeof job->prompt);
    job->chunk_frames = kn_min_size(job->chunk_frames, job->frame_count);
    job->carried = kn_drive_locks(job) && job->chunk_frames > 1;
    job->chunk_count = kn_drive_chunks(job);
    return true;
}

/* The model must be able to make pictures of this size from our conditions. */
static bool check_model(kn_drive_job *job, kn_error *error) {
    const kn_model_info *info = kn_model_get_info(job->model);
    const kn_camera *view = &job->rig.cameras[0];
    if (!kn_drive_controls_check_model(job, error)) return false;
    if (view->width % info->latent_factor || view->height % info->latent_factor)
        return kn_fail(error, KN_ERROR_INPUT, "size %dx%d: this model needs multiples of %d", view->width, view->height,
                       info->latent_factor);
    if (info->latent_channels > KN_NOISE_MAX_CHANNELS)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: %d latent channels, expected at most %d", job->params.model,
                       info->latent_channels, KN_NOISE_MAX_CHANNELS);
    return true;
}

/* Models that take conditions were trained with the look as the first word. */
static void add_look(kn_drive_job *job) {
    char caption[sizeof job->prompt];
    if (job->control_channels != KN_CONDITION_CHANNELS || job->params.control_count > 0) return;
    memcpy(caption, job->prompt, sizeof caption);
    const char *look = job->params.look == KN_LOOK_PHOTO ? "photo" : "render";
    snprintf(job->prompt, sizeof job->prompt, "%s, %.*s", look, (int)sizeof job->prompt - 16, caption);
}

static bool open_model(kn_drive_job *job, kn_error *error) {
    if (job->params.source != KN_DRIVE_SAMPLER) return true;
    kn_model_params params = KN_MODEL_PARAMS_DEFAULT;
    kn_drive_controls_load_params(job, &params);
    if (!kn_gpu_create(&job->sampler_gpu, &job->params.gpu, error) ||
        !kn_model_load(&job->model, job->sampler_gpu, job->params.model, &params, error) || !check_model(job, error))
        return false;
    add_look(job);
    const kn_model_info *info = kn_model_get_info(job->model);
    if (!job->params.no_temporal && info->temporal && info->max_frames > 0 &&
        job->chunk_frames > (size_t)info->max_frames)
        return kn_fail(error, KN_ERROR_INPUT, "%zu frames per chunk: this model takes at most %d together",
                       job->chunk_frames, info->max_frames);
    return kn_drive_check_memory(job, error);
}

static bool open_renderer(kn_drive_job *job, kn_error *error) {
    kn_renderer_params params = {.rain_seed = job->params.seed, .beauty_samples = 4};
    return kn_renderer_create(&job->renderer, job->gpu, job->scene, &params, error);
}

static bool run_chunks(kn_drive_job *job, kn_error *error) {
    size_t done = kn_min_size(job->journal.chunks_done, job->chunk_count);
    job->report.resumed_frames = kn_drive_chunk_first(job, done);
    for (int stage = KN_STAGE_RENDER; stage <= KN_STAGE_STORE; stage++)
        job->done[stage] = (double)job->report.resumed_frames;
    if (done > 0)
        kn_log_line(&job->params.log, KN_LOG_INFO, "going on after frame %zu of %zu", job->report.resumed_frames,
                    job->frame_count);
    if (done == job->chunk_count) return kn_finisher_encode(job->finisher, done, error);
    if (!kn_drive_progress(job, KN_STAGE_RENDER, job->done[KN_STAGE_RENDER], error)) return false;
    bool ok = open_model(job, error) && open_renderer(job, error) && kn_drive_make_label_folders(job, error) &&
              kn_drive_lidar_init(job, error);
    job->report.setup = kn_now() - job->started;
    ok = ok && kn_drive_chunks_run(job, done, error);
    uint64_t now, sampler_peak = 0;
    kn_gpu_memory_use(job->gpu, &now, &job->report.device_peak);
    if (job->sampler_gpu) kn_gpu_memory_use(job->sampler_gpu, &now, &sampler_peak);
    job->report.device_peak += sampler_peak;
    return ok;
}

static bool run_job(kn_drive_job *job, const kn_drive_params *params, kn_error *error) {
    if (!kn_drive_plan(job, params, error)) return false;
    kn_drive_note_warnings(job);
    if (!kn_drive_check_output(job, error)) return false;
    if (job->report.already_complete) return true;
    if (!open_journal(job, error) || !kn_gpu_create(&job->gpu, &job->params.gpu, error)) return false;
    snprintf(job->report.device, sizeof job->report.device, "%s", kn_gpu_get_info(job->gpu)->name);
    if (!kn_drive_check_device(job, error)) return false;
    if (!open_scene(job, error) || !kn_finisher_create(&job->finisher, job, error) || !run_chunks(job, error))
        return false;
    if (!kn_finisher_commit(job->finisher, error)) return false;
    job->report.frames = job->frame_count;
    job->report.cameras = (size_t)job->rig.camera_count;
    return kn_drive_write_record(job, error) && kn_remove_tree(job->work, error);
}

/* A job that failed before its first chunk was finished leaves no folder behind: there is nothing to go on with. */
static void drop_empty_work(kn_drive_job *job) {
    if (job->journal.lock >= 0 && job->journal.chunks_done == 0) {
        char *preview = kn_path_join(job->params.output, "preview.jpg", NULL);
        char *record = kn_path_join(job->params.output, "job.json", NULL);
        if (preview && record && !kn_file_exists(record)) kn_remove_tree(preview, NULL);
        kn_free(record);
        kn_free(preview);
        kn_remove_tree(job->work, NULL);
    }
    kn_journal_finish(&job->journal);
    kn_remove_made_directories(job->work, job->work_existed);
}

bool kn_drive(const kn_drive_params *params, kn_drive_report *report, kn_error *error) {
    kn_drive_job *job = kn_alloc(1, sizeof *job, error);
    if (!job) return false;
    job->journal.lock = -1;
    job->work_existed = SIZE_MAX;
    job->started = kn_now();
    pthread_mutex_init(&job->progress_lock, NULL);
    pthread_mutex_init(&job->log_lock, NULL);
    bool ok = run_job(job, params, error);
    job->report.total = kn_now() - job->started;
    if (report) *report = job->report;
    kn_drive_chunks_finish(job);
    kn_finisher_destroy(&job->finisher);
    pthread_mutex_destroy(&job->progress_lock);
    pthread_mutex_destroy(&job->log_lock);
    for (size_t i = 0; i < job->warning_count; i++) kn_free(job->warnings[i]);
    kn_sampler_destroy(&job->sampler);
    kn_model_destroy(&job->model);
    kn_renderer_destroy(&job->renderer);
    kn_scene_destroy(&job->scene);
    kn_gpu_destroy(&job->sampler_gpu);
    kn_gpu_destroy(&job->gpu);
    kn_frame_facts_finish(&job->facts);
    if (!ok && job->work) drop_empty_work(job);
    kn_journal_finish(&job->journal);
    kn_free(job->work);
    kn_free(job);
    return ok;
}
