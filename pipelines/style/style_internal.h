/* What the files of a style job share. */
#ifndef KN_PIPELINES_STYLE_INTERNAL_H
#define KN_PIPELINES_STYLE_INTERNAL_H

#include "kinora/flow.h"
#include "pipelines/common/journal.h"
#include "pipelines/style/style_job.h"

enum { KN_STYLE_CHUNK = 16 }; /* frames in a file of the work folder */

/* How frames become pictures that are painted: brought to a smaller size, or continued at the right and the bottom up
 * to a multiple of what the model takes. */
typedef struct kn_style_fit {
    int width, height;       /* of the film */
    int to_width, to_height; /* of what is painted */
    bool scales;
} kn_style_fit;

typedef struct kn_style {
    const kn_style_job *job;
    kn_style_report report;
    kn_film_info info; /* of the input */
    kn_style_fit fit;
    char *prompt, *work;
    double grain; /* of the look; 1 */
    char hash[65];
    size_t work_existed;
    kn_journal journal;
    kn_gpu *gpu;
    kn_model *model;
    kn_clip *clip;
    kn_flow *flow;
    kn_shots *shots;
    float *planes;           /* [channels][height][width]: a frame of the film */
    float *seen;             /* [3][height][width] of it, in 0..1 */
    float *picture, *before; /* [3][to_height][to_width]: to paint, this one and the last */
    float *motion, *confident, *warped, *painted, *memory;
    float *controls[KN_MAX_CONTROLS];
    struct kn_reference *reference; /* reference.h; NULL: none */
    struct kn_protected *protected; /* protect_job.h; NULL: no detail is protected */
} kn_style;

/* --- style_fit.c --- */
kn_style_fit kn_style_fit_of(int width, int height, int short_side, int multiple);
bool kn_style_fit_in(const kn_style_fit *fit, const float *planes, float *picture, kn_error *error);
bool kn_style_fit_out(const kn_style_fit *fit, const float *picture, float *planes, kn_error *error);

/* --- style_clip.c --- */
/* The job's parameters for pictures of this size. */
bool kn_style_clip_params(const kn_style *style, int width, int height, kn_clip_params *clip, kn_error *error);
/* Pixels that look different from where they came from are not the same surface, whatever the motion says. */
void kn_style_doubt(const float *before, const float *now, int width, int height, const float *motion, float *warped,
                    float *confident);
/* A file of painted frames. */
char *kn_style_chunk_path(const kn_style *style, size_t chunk, kn_error *error);

/* --- style_look.c --- */
/* Finds the look's prompt; with a reference only it is left open, and found when the model is loaded. */
bool kn_style_find_look(kn_style *style, kn_error *error);
bool kn_style_nearest_look(kn_style *style, kn_error *error);

/* --- style_paint.c --- */
/* Loads the model and finds the look. */
bool kn_style_open(kn_style *style, kn_error *error);
/* Paints all frames that are not in the work folder. */
bool kn_style_paint(kn_style *style, kn_error *error);

/* --- style_write.c --- */
/* The parameters of the output; NULL-terminated strings belong to the style. */
bool kn_style_writer(kn_film_writer **writer, const kn_style *style, kn_error *error);
/* Reads the film again and writes it with the painted frames. */
bool kn_style_write(kn_style *style, kn_error *error);

/* --- style_progress.c --- */
/* Tells how far a stage is; fails when it was asked to stop. */
bool kn_style_progress(const kn_style *style, const char *stage, int64_t frames, kn_error *error);

#endif
