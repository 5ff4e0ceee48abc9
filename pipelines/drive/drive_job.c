/* What every part of a job uses: the clock, progress, the names of the pieces of work. */
#include "pipelines/drive/drive_internal.h"

#include <math.h>
#include <string.h>
#include <time.h>

double kn_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The stage that progress names. */
static const char *stage_name(const kn_drive_job *job) {
    double all = (double)job->frame_count, first = (double)kn_min_size(job->chunk_frames, job->frame_count);
    bool sampled = job->params.source == KN_DRIVE_SAMPLER;
    size_t resumed = job->report.resumed_frames;
    if (job->done[KN_STAGE_RENDER] <= (double)resumed) return "prepare"; /* the world, the model */
    if (job->done[KN_STAGE_RENDER] < (sampled ? fmin((double)resumed + first, all) : all)) return "render";
    if (sampled && job->done[KN_STAGE_SAMPLE] <= (double)resumed) return "compile"; /* kernels, with the first step */
    return sampled && job->done[KN_STAGE_SAMPLE] < all ? "sample" : "encode";
}

bool kn_drive_progress(kn_drive_job *job, kn_drive_stage stage, double frames, kn_error *error) {
    /* Shares of the time on two cores (docs/benchmarks.md). */
    static const double weights[2][KN_STAGE_COUNT] = {{.8, 0, .08, .12}, {.2, .72, .02, .06}};
    if (!job->params.progress) return true;
    pthread_mutex_lock(&job->progress_lock);
    double sum = 0;
    job->done[stage] = frames;
    for (int i = 0; i < KN_STAGE_COUNT; i++) sum += weights[job->params.source == KN_DRIVE_SAMPLER][i] * job->done[i];
    uint64_t total = (uint64_t)job->frame_count * 1000, done = (uint64_t)(sum * 1000 + .5);
    if (!job->cancelled)
        job->cancelled =
            !job->params.progress(job->params.progress_user, stage_name(job), done < total ? done : total, total);
    bool cancelled = job->cancelled;
    pthread_mutex_unlock(&job->progress_lock);
    return !cancelled || kn_fail(error, KN_ERROR_CANCELLED, "stopped; start it again with the same command to go on");
}

/* A kn_log_callback: warnings are written down for job.json before they are handed on. */
static void note_line(void *user, kn_log_level level, const char *line) {
    kn_drive_job *job = user;
    if (level <= KN_LOG_WARNING) {
        pthread_mutex_lock(&job->log_lock);
        bool known = false, full = job->warning_count == KN_COUNT(job->warnings);
        for (size_t i = 0; i < job->warning_count; i++) known = known || strcmp(job->warnings[i], line) == 0;
        job->warnings_left_out += !known && full;
        if (!known && !full && (job->warnings[job->warning_count] = kn_strdup(line, NULL))) job->warning_count++;
        pthread_mutex_unlock(&job->log_lock);
    }
    if (job->log.callback && level <= job->log.level) job->log.callback(job->log.user, level, line);
}

void kn_drive_note_warnings(kn_drive_job *job) {
    job->log = job->params.log;
    kn_log_level level = job->log.callback && job->log.level > KN_LOG_WARNING ? job->log.level : KN_LOG_WARNING;
    job->params.log = (kn_log){note_line, job, level};
}

size_t kn_drive_chunk_first(const kn_drive_job *job, size_t index) {
    size_t first = index * (job->chunk_frames - job->carried) + (index > 0 ? job->carried : 0);
    return kn_min_size(first, job->frame_count);
}

size_t kn_drive_chunk_length(const kn_drive_job *job, size_t index) {
    return kn_drive_chunk_first(job, index + 1) - kn_drive_chunk_first(job, index);
}

size_t kn_drive_chunks(const kn_drive_job *job) {
    size_t own = job->chunk_frames - job->carried;
    return job->frame_count <= job->carried ? 1 : (job->frame_count - job->carried + own - 1) / own;
}

void kn_drive_segment_name(const kn_drive_job *job, size_t chunk, int camera, char *name, size_t size) {
    snprintf(name, size, "chunk_%06zu_%s.mkv", chunk, job->rig.cameras[camera].name);
}

void kn_drive_boxes_name(size_t chunk, char *name, size_t size) {
    snprintf(name, size, "chunk_%06zu_boxes.bin", chunk);
}
