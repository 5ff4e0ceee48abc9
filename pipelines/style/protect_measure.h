/* How much of a detail's shape a picture keeps. Internal to pipelines/style. */
#ifndef KN_PIPELINES_STYLE_PROTECT_MEASURE_H
#define KN_PIPELINES_STYLE_PROTECT_MEASURE_H

#include "base/base.h"
#include "kinora/track.h"

/* 1 within the box and its close surroundings, falling to 0 over a third of its size; x, y in pixels. */
float kn_protect_soft(const kn_track_box *box, double x, double y);

typedef struct kn_protect_kept {
    double contrast; /* slope of the picture's detail on the source's: 1 all of it, 0 none, below: inverted */
    double edges;    /* the same of their gradients */
    bool measurable; /* the source has a detail there */
} kn_protect_kept;

/* Both pictures [3][height][width], 0..1. The source's detail is its colour along the direction in which it varies
 * most, less a plane; the picture's is its luma, or its colour along the same direction where that keeps more. */
bool kn_protect_measure(const float *source, const float *picture, int width, int height, const kn_track_box *box,
                        kn_protect_kept *kept, kn_error *error);

/* Adds as much of the source's detail to the picture's brightness as it takes to reach both; colours stay the
 * picture's. *blend: the share that was added. Fills *kept with what holds afterwards. */
bool kn_protect_restore(const float *source, float *picture, int width, int height, const kn_track_box *box,
                        float weight, double contrast, double edges, kn_protect_kept *kept, float *blend,
                        kn_error *error);

#endif
