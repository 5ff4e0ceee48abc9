#include "pipelines/style/style_internal.h"

bool kn_style_progress(const kn_style *style, const char *stage, int64_t frames, kn_error *error) {
    const kn_style_job *job = style->job;
    int64_t total = style->report.frames ? style->report.frames : style->info.frame_count;
    if (!job->progress ||
        job->progress(job->progress_user, stage, (uint64_t)frames, (uint64_t)(total > frames ? total : frames)))
        return true;
    return kn_fail(error, KN_ERROR_CANCELLED, "stopped after frame %lld; the same command goes on from there",
                   (long long)frames);
}
