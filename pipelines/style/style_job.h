/* Film in another look: a video or pictures in, the same restyled out. Internal to Kinora. */
#ifndef KN_PIPELINES_STYLE_JOB_H
#define KN_PIPELINES_STYLE_JOB_H

#include "base/base.h"
#include "kinora/clip.h"
#include "kinora/film.h"

/* A ControlNet that reads the frames. */
typedef struct kn_style_control {
    const char *kind;  /* what it is shown: a name of kn_annotate */
    const char *model; /* folder or file of the ControlNet */
    double strength, start, end;
} kn_style_control;

typedef struct kn_style_job {
    const char *input, *output; /* as kn_film_reader_create and kn_film_writer_create take them */
    const char *model;          /* folder or file */
    const char *look;           /* of the model's looks.json; NULL: clip.prompt says it, or the reference */
    const char
        *reference; /* a picture whose colours the film gets, and without look and prompt the nearest look; NULL */
    kn_model_params load;
    kn_clip_params clip; /* sizes and controls are filled in by the job; grain < 0: the look's */
    kn_style_control controls[KN_MAX_CONTROLS];
    int control_count;
    const char *protect; /* file of details that must survive; NULL: none */
    kn_rational rate;    /* of pictures; {0, 0}: what they say */
    int height;       /* the short side at which the look is painted, pixels; larger film is brought to it and back */
    bool no_flow;     /* nothing is known about motion: neither travelling noise nor locking */
    int codec, depth; /* -1, 0: as the source and the output's name say */
    double quality;
    bool overwrite;
    kn_gpu_params gpu;
    kn_log log;
    kn_progress_callback progress; /* stages "follow" (details), "paint" and "write", in frames */
    void *progress_user;
} kn_style_job;

typedef struct kn_style_report {
    int64_t frames, resumed_frames, shots;
    int width, height, painted_width, painted_height;
    double load, paint, write; /* seconds */
    uint64_t device_peak;      /* bytes */
    char device[256];
    char look[64];                /* the name of the look that was painted; "" for a prompt */
    int details;                  /* protected ones */
    double least_kept, mean_kept; /* of their contrast, over the frames in which they are visible; NaN: in none */
    char worst_detail[64];
    int64_t worst_frame;
    double follow; /* seconds */
} kn_style_report;

/* Runs the job. The output appears under its name when it is whole. Frames that are painted are kept in
 * "<output>.work", so that a killed job goes on there and ends the same; it is removed at the end, and when the input
 * turns out to be broken. */
bool kn_style_run(const kn_style_job *job, kn_style_report *report, kn_error *error);

#endif
