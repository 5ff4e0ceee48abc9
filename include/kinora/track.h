/* A small detail followed through a film: by optical flow and by its appearance (normalised cross-correlation), checked
 * there and back, found again after it was hidden. On the host's processors. */
#ifndef KINORA_TRACK_H
#define KINORA_TRACK_H

#include "kinora/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kn_track_box {
    float x, y, width, height; /* left, top and size, pixels; pixel i covers i..i + 1 */
} kn_track_box;

typedef struct kn_track_place {
    kn_track_box box; /* where it is, or where it would be */
    float match;      /* correlation with what was marked or with how it looked since, -1..1 */
    float visible;    /* 0 hidden or not found .. 1 recognised and wholly in the frame */
} kn_track_place;

/* One detail, in frames that are given one after another, in either direction of time. Not thread-safe. */
typedef struct kn_track kn_track;

/* In frames of this size, 8..16384. */
bool kn_track_create(kn_track **track, int width, int height, kn_error *error);
void kn_track_destroy(kn_track **track);

/* Says where the detail is in this frame, at the beginning or at any later one:
 *   planes [3][height][width], R'G'B' in about 0..1; NaN counts as black
 *   mask   [height][width], 0..1, or NULL: all of the box
 * KN_ERROR_INPUT when the box is not within the frame or holds nothing but one flat colour. */
bool kn_track_mark(kn_track *track, const float *planes, kn_track_box box, const float *mask, kn_error *error);
/* Finds it in the next frame. It must have been marked before. */
bool kn_track_next(kn_track *track, const float *planes, kn_track_place *place, kn_error *error);
/* The next frame begins a new shot: it may be anywhere there, or nowhere. */
void kn_track_cut(kn_track *track);

#ifdef __cplusplus
}
#endif
#endif
