/* Measured fidelity of generated clips, beside two controls: the same frames shuffled, and the renderer's own
 * pictures. */
#ifndef KINORA_EVAL_H
#define KINORA_EVAL_H

#include "kinora/gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Pictures are taken as sRGB values 0..1. Every measure can be had cheaply by a clip that is bad in another one (a blur
 * wins on warp error): read them together. NAN: nothing to measure. */
typedef struct kn_drive_score {
    double warp_error; /* mean squared difference of a picture and the one before, moved along the known motion, where
                          the same surface shows in both; lower is steadier */
    double warp_share; /* share of the pixels that this covers */
    double overlap_correlation; /* of the brightness of the same surface points in neighbouring cameras; 1 is best */
    double overlap_error;       /* root mean square difference there after a gain per pair and channel */
    size_t overlap_points;
    double colour_drift; /* root mean square distance (CIELAB) of an instance's mean colour from its own mean over the
                            clip, per instance and camera, weighted by frames; lower is steadier */
    size_t drift_tracks;
    double sampson; /* median Sampson error, pixels, of points matched between neighbouring cameras under the rig */
    double sampson_share; /* share of the matches below 3 pixels */
    size_t matches;
    double mean_iou;   /* of what a segmenter that sees only the pictures finds, with the scene's labels; 1 is best */
    double last_drift; /* root mean square distance (CIELAB) of the same surface points at the first and last frame */
    double variety;    /* root mean square difference, 0..1, from the other clip over buildings, vegetation and sky */
    double detail;     /* mean absolute Laplacian of the brightness: what a blur loses */
} kn_drive_score;

typedef struct kn_drive_eval_params {
    const char *folder;    /* the output of a finished drive job */
    const char *scene;     /* NULL: the path that its job.json names */
    const char *segmenter; /* folder of its weights; NULL: mean_iou is not measured */
    const char *against;   /* another appearance of the same scene, for variety; NULL: variety is not measured */
    bool no_beauty;        /* leave out the renderer's own pictures */
    kn_gpu_params gpu;
    kn_log log;
    kn_progress_callback progress; /* stage "measure", in frames; NULL: none */
    void *progress_user;
} kn_drive_eval_params;

typedef struct kn_drive_eval_report {
    size_t frames, cameras;
    bool has_beauty;
    kn_drive_score clip, shuffled, beauty;
} kn_drive_eval_report;

/* Renders the depth, motion and instances of the job's scene again and measures its videos with them. The scene must be
 * unchanged (its hash is in job.json). Memory for pictures does not
 * grow with the number of frames; what the scene says about each (states of its road users, about 100 bytes a frame and
 * road user) does. */
bool kn_drive_eval(const kn_drive_eval_params *params, kn_drive_eval_report *report, kn_error *error);

/* --- film in another look --------------------------------------------------------------------- */

/* Of one film against the source that it was made from. Pictures are taken as sRGB values 0..1 at no more than 480
 * pixels of height; motion is the optical flow of the source, cuts are the source's. */
typedef struct kn_film_score {
    double warp_error; /* mean squared difference of a frame and the one before, moved along the motion, where that can
                          be trusted; lower is steadier */
    double flicker; /* the same of what is finer than about 3 pixels, over the variance of that in the frames: 0 moves
                       with the picture, 2 is new in each frame */
    double edge_recall;  /* share of the source's edges (Canny) with one of the film's within 2 pixels */
    double colour_drift; /* the furthest that a frame's mean colour moved from its shot's first, beyond the source's own
                            change; CIELAB dE */
    double style_distance; /* mean distance of colours to the source's, CIELAB dE: that the look did change */
    double detail;         /* mean absolute Laplacian of the brightness: what a blur loses */
} kn_film_score;

typedef struct kn_film_eval_params {
    const char *film, *source; /* as kn_film_reader_create takes them; equally many frames */
    kn_log log;
    kn_progress_callback progress; /* stage "measure", in frames; NULL: none */
    void *progress_user;
} kn_film_eval_params;

typedef struct kn_film_eval_report {
    int64_t frames, shots;
    double covered;          /* share of pixels whose motion is trusted */
    kn_film_score film;      /* what is asked about */
    kn_film_score source;    /* the source itself: no style distance, its own noise and errors of the motion */
    kn_film_score per_pixel; /* a look without memory or noise: the source's colours in four steps each */
} kn_film_eval_report;

/* Measures a restyled film, in the order of its frames; memory does not grow with their number. KN_ERROR_INPUT when
 * sizes or numbers of frames differ. */
bool kn_film_eval(const kn_film_eval_params *params, kn_film_eval_report *report, kn_error *error);

#ifdef __cplusplus
}
#endif
#endif
