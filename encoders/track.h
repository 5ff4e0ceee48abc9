/* What the files of the tracker share. Internal to encoders/. */
#ifndef KN_ENCODERS_TRACK_H
#define KN_ENCODERS_TRACK_H

#include "base/base.h"
#include "kinora/track.h"

/* A picture or a window of one: pixel (0, 0) of `planes` [3][height][width] is pixel (left, top) of the film. */
typedef struct kn_track_view {
    const float *planes;
    int width, height;
    double left, top;
} kn_track_view;

/* What is looked for, on a grid of samples. */
typedef struct kn_track_patch {
    int width, height;
    float *values;        /* [3][height][width], less their weighted means */
    float *weights;       /* [height][width] */
    double total, energy; /* of the weights; of the weighted squares of the values */
    double mean[3];
} kn_track_patch;

typedef struct kn_track_peak {
    double x, y;   /* of the centre, pixels of the film */
    double match;  /* -1..1 */
    double second; /* the best match farther away than the patch is large */
} kn_track_peak;

/* Where and how widely a patch is looked for: its samples lie `step` pixels apart. */
typedef struct kn_track_search {
    double x, y, step;
    double radius_x, radius_y; /* pixels */
    double pull;               /* what a match loses at the radius' end */
    int stride;                /* samples between the places that are tried first */
} kn_track_search;

bool kn_track_patch_init(kn_track_patch *patch, int width, int height, kn_error *error);
void kn_track_patch_finish(kn_track_patch *patch);
/* Takes the values around (x, y); the weights are set. */
void kn_track_patch_take(kn_track_patch *patch, const kn_track_view *view, double x, double y, double step);
/* The same patch as a camera sees it that moves by (u, v) samples while the shutter is open. */
void kn_track_patch_blur(const kn_track_patch *patch, double u, double v, kn_track_patch *out);
/* Finds means and energy after values and weights changed. */
void kn_track_patch_settle(kn_track_patch *patch);
/* out[3][height][width]: samples around (x, y), the border's pixels beyond it. */
void kn_track_sample(const kn_track_view *view, double x, double y, double step, int width, int height, float *out);
bool kn_track_find(const kn_track_patch *patch, const kn_track_view *view, const kn_track_search *search,
                   kn_track_peak *peak, kn_error *error);

#endif
