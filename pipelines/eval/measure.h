/* The measures of `eval` on single pictures and pairs; accumulated over a clip. No device. Internal to pipelines/. */
#ifndef KN_PIPELINES_MEASURE_H
#define KN_PIPELINES_MEASURE_H

#include "base/vecmath.h"
#include "kinora/camera.h"
#include "kinora/eval.h"
#include "kinora/scene.h"
#include "kinora/segmenter.h"

/* One camera at one frame: what is known, and a picture rgb [height][width][3]. */
typedef struct kn_view_facts {
    const kn_camera *camera;
    kn_pose pose;       /* camera to world */
    const float *depth; /* metres along the view axis, INFINITY for sky */
    const uint16_t *instance;
    const float *motion;     /* [2][height][width], since the frame before */
    const uint8_t *semantic; /* kn_semantic */
} kn_view_facts;

/* Colour of one instance in one camera over the clip. */
typedef struct kn_colour_track {
    int camera, instance;
    size_t frames;
    double sum[3], square; /* of CIELAB means, and of their squared lengths */
} kn_colour_track;

#define KN_SAMPSON_BINS 1000
#define KN_SAMPSON_BIN .02 /* pixels */

/* Sums of one clip. Zero it to begin; free tracks with kn_free. */
typedef struct kn_measure {
    double warp_sum, detail_sum, overlap_correlation_sum, overlap_square_sum, last_sum, variety_sum;
    uint64_t warp_pixels, seen_pixels, detail_pixels, overlap_points, overlap_pairs, last_points, variety_pixels;
    kn_colour_track *tracks;
    size_t track_count, track_capacity;
    uint64_t corners, matches, sampson[KN_SAMPSON_BINS]; /* errors of the matches; the last bin holds all larger ones */
    uint64_t confusion[KN_SEGMENT_COUNT][KN_SEGMENT_COUNT]; /* [true class][class found] in pixels */
} kn_measure;

/* Compares a picture with the one of the frame before along the motion. A point counts when the pixel it came from
 * shows the same instance, at the depth that it must have had if it belongs to the world, or at a similar one. */
void kn_measure_warp(kn_measure *m, const kn_view_facts *now, const kn_view_facts *before, const uint8_t *rgb_now,
                     const uint8_t *rgb_before);

/* Compares what two cameras see of the same surface at one frame. */
void kn_measure_overlap(kn_measure *m, const kn_view_facts *a, const kn_view_facts *b, const uint8_t *rgb_a,
                        const uint8_t *rgb_b);

/* Compares the colours of the same surface at the first and the last frame, as two cameras see them. */
void kn_measure_last(kn_measure *m, const kn_view_facts *first, const kn_view_facts *last, const uint8_t *rgb_first,
                     const uint8_t *rgb_last);
/* Compares two appearances of one view, where buildings, vegetation and sky are. */
void kn_measure_variety(kn_measure *m, const kn_view_facts *view, const uint8_t *rgb, const uint8_t *other);

/* Adds the mean colours of all instances with at least 60 pixels. */
bool kn_measure_colours(kn_measure *m, const kn_view_facts *view, int camera, const uint8_t *rgb, kn_error *error);

/* Matches points of a with points of b and adds the Sampson error of each match. */
bool kn_measure_epipolar(kn_measure *m, const kn_view_facts *a, const kn_view_facts *b, const uint8_t *rgb_a,
                         const uint8_t *rgb_b, kn_error *error);
/* Sampson error in pixels of one match (Hartley & Zisserman, 11.4.3): first-order distance of the pair from epipolar
 * geometry. a_to_b turns camera a's axes into b's. */
double kn_sampson(const kn_camera *a, const kn_camera *b, const kn_pose *a_to_b, double ax, double ay, double bx,
                  double by);

/* Compares the class found at each pixel, kn_segment, with the scene's. */
void kn_measure_classes(kn_measure *m, const kn_view_facts *view, const uint8_t *found);
/* The class of the segmenter that a semantic label belongs to. */
kn_segment kn_segment_of(kn_semantic semantic);

void kn_measure_detail(kn_measure *m, const kn_camera *camera, const uint8_t *rgb);

kn_drive_score kn_measure_score(const kn_measure *m);

#endif
