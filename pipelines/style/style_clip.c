/* What several parts of a job need: parameters of painting, trust in motion, names of files. */
#include "base/warp.h"
#include "pipelines/style/style_internal.h"

#include <math.h>

bool kn_style_clip_params(const kn_style *style, int width, int height, kn_clip_params *clip, kn_error *error) {
    const kn_style_job *job = style->job;
    const kn_model_info *info = kn_model_get_info(style->model);
    *clip = job->clip;
    clip->prompt = style->prompt;
    clip->width = width, clip->height = height;
    clip->control_count = job->control_count;
    if (clip->grain < 0) clip->grain = (float)style->grain;
    if (job->no_flow) clip->fresh_noise = true, clip->lock = 0;
    for (int i = 0; i < job->control_count; i++) {
        int own = info->control_count - job->control_count + i; /* given ones come last */
        clip->controls[i] = (kn_paint_control){.name = info->control_names[own],
                                               .strength = (float)job->controls[i].strength,
                                               .start = (float)job->controls[i].start,
                                               .end = (float)job->controls[i].end};
        if (info->control_channels[own] != 3)
            return kn_fail(error, KN_ERROR_INPUT, "%s: takes pictures of %d channels, expected 3",
                           job->controls[i].model, info->control_channels[own]);
    }
    return true;
}

void kn_style_doubt(const float *before, const float *now, int width, int height, const float *motion, float *warped,
                    float *confident) {
    size_t pixels = (size_t)width * (size_t)height;
    kn_warp(before, 3, width, height, motion, warped);
    for (size_t i = 0; i < pixels; i++) {
        float square = 0;
        for (size_t c = 0; c < 3; c++) {
            float difference = warped[c * pixels + i] - now[c * pixels + i];
            square += difference * difference;
        }
        confident[i] *= expf(-square / (3 * 0.08f * 0.08f));
    }
}

char *kn_style_chunk_path(const kn_style *style, size_t chunk, kn_error *error) {
    return kn_format(error, "%s/frames-%06zu.mkv", style->work, chunk);
}
