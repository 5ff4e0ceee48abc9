/* Protected details of a style job, from the marks to the report. Internal to pipelines/style. */
#ifndef KN_PIPELINES_STYLE_PROTECT_JOB_H
#define KN_PIPELINES_STYLE_PROTECT_JOB_H

#include "pipelines/style/protect.h"
#include "pipelines/style/protect_measure.h"
#include "pipelines/style/style_internal.h"

enum { KN_PROTECT_LEVELS = 3 /* strengths that are tried */, KN_PROTECT_WORST = 12, KN_PROTECT_CELL = 144 };

/* A detail in a frame, as it was followed. */
typedef struct kn_protect_row {
    kn_track_box box; /* pixels of the film */
    float match, visible;
    float weight; /* 0..1: how far it is protected there: also before and after it is seen, and in short gaps */
} kn_protect_row;

/* What became of it. */
typedef struct kn_protect_result {
    float contrast, edges; /* of the source's; NaN where the source has none */
    float blend;           /* share of the source's detail that was added */
    uint8_t sampled;       /* 0: with the frame only, 1..KN_PROTECT_LEVELS: in its own crop, with which strength */
} kn_protect_result;

typedef struct kn_protect_worst {
    float contrast;
    int64_t frame;
    size_t detail;
    uint8_t *pixels; /* [2 cells][cell][3]: the source above the film */
} kn_protect_worst;

struct kn_protected {
    kn_protect marks;
    int64_t frames;
    kn_protect_row *rows[KN_PROTECT_DETAILS];
    kn_protect_result *results[KN_PROTECT_DETAILS];
    size_t row_capacity[KN_PROTECT_DETAILS];
    bool *cuts;
    size_t cut_capacity;
    char *json_path, *strip_path;
    /* painting: every detail in a square of its own, one after another through the same clips */
    int side; /* of the squares, pixels; multiple of what the model takes */
    kn_clip *clips[KN_PROTECT_LEVELS];
    kn_flow *flows[KN_PROTECT_DETAILS];
    float *memories[KN_PROTECT_DETAILS], *before[KN_PROTECT_DETAILS];
    bool known[KN_PROTECT_DETAILS];
    int levels[KN_PROTECT_DETAILS];
    float *crop, *motion, *confident, *warped, *painted, *attempt, *strip;
    float *controls[KN_MAX_CONTROLS];
    uint8_t sampled[KN_STYLE_CHUNK * KN_PROTECT_DETAILS];
    kn_film_writer *writer;
    /* writing */
    kn_film_reader *reader;
    float *source;
    kn_protect_worst worst[KN_PROTECT_WORST];
};

/* --- protect_track.c --- */
/* Follows all details through the film, or takes what an earlier run found. */
bool kn_protect_track(kn_style *style, kn_error *error);

/* --- protect_rows.c --- */
bool kn_protect_rows_reserve(struct kn_protected *p, int64_t frames, kn_error *error);
/* Two ways of following one detail are made one. */
kn_protect_row kn_protect_row_join(const kn_protect_row *a, const kn_protect_row *b);
/* Short gaps are bridged, and protection begins before a detail is seen. */
void kn_protect_rows_finish(struct kn_protected *p);
bool kn_protect_rows_save(const struct kn_protected *p, const char *path, kn_error *error);
/* False, without an error, when there are none. */
bool kn_protect_rows_load(struct kn_protected *p, const char *path);

/* --- protect_paint.c --- */
bool kn_protect_open(kn_style *style, kn_error *error);
bool kn_protect_paint(kn_style *style, int64_t frame, bool cut, kn_error *error);

/* --- protect_chunk.c --- */
char *kn_protect_crops_path(const kn_style *style, size_t chunk, kn_error *error);
char *kn_protect_levels_path(const kn_style *style, size_t chunk, kn_error *error);
bool kn_protect_begin_chunk(kn_style *style, size_t chunk, kn_error *error);
bool kn_protect_end_chunk(kn_style *style, size_t chunk, kn_error *error);
bool kn_protect_save_memory(const kn_style *style, size_t chunk, kn_error *error);
bool kn_protect_load_memory(kn_style *style, size_t chunk, kn_error *error);

/* --- protect_crop.c --- */
/* Pixels of the film beside each other in a square, and its upper left corner. */
typedef struct kn_protect_window {
    double left, top, side; /* pixels of the film */
} kn_protect_window;
kn_protect_window kn_protect_window_of(const kn_track_box *box, int side);
/* out[3][side][side] from planes[3][height][width]. */
void kn_protect_cut_out(const float *planes, int width, int height, const kn_protect_window *window, int side,
                        float *out);
/* The way back, with soft edges; its colour is shifted to that of the frame around it. */
bool kn_protect_put_back(float *planes, int width, int height, const kn_protect_window *window, const float *square,
                         int side, const kn_track_box *box, float weight, kn_error *error);

/* --- protect_write.c --- */
bool kn_protect_begin_write(kn_style *style, kn_error *error);
/* style->seen holds the painted frame of the film's size, protected->source the source's. */
bool kn_protect_write_frame(kn_style *style, int64_t frame, kn_error *error);

/* --- protect_report.c --- */
bool kn_protect_name_outputs(kn_style *style, kn_error *error);
bool kn_protect_report(kn_style *style, kn_error *error);

/* --- protect_job.c --- */
bool kn_protect_create(kn_style *style, kn_error *error);
void kn_protect_destroy(struct kn_protected **protected);

#endif
