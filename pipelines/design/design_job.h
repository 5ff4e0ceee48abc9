/* The design pipeline: drawings in, a shape's files, a sheet and a report out. */
#ifndef KN_PIPELINES_DESIGN_JOB_H
#define KN_PIPELINES_DESIGN_JOB_H

#include "kinora/design.h"
#include "kinora/field.h"
#include "pipelines/design/orbit.h"

#define KN_DESIGN_MAX_OUTPUTS 16

typedef struct kn_design_job {
    const char *drawings[KN_SHAPE_MAX_VIEWS];   /* pictures: PNG, JPEG, BMP, TGA */
    const char *views[KN_SHAPE_MAX_VIEWS];      /* names of kn_drawing_views; NULL: estimated */
    int drawing_count;                          /* 1.. */
    const char *kind;                           /* a class's name; NULL: a word of the prompt says it */
    const char *prompt;                         /* UTF-8: class, colour, other words; NULL: "" */
    const char *model;                          /* folder of a shape model, with shape.json */
    const char *outputs[KN_DESIGN_MAX_OUTPUTS]; /* .glb .obj .ply .stl .3mf .usdz */
    int output_count;                           /* 1..; with an orbit also 0 */
    const char *report;                         /* report.json; NULL: beside the first output */
    const char *sheet;                          /* sheet.png; NULL: beside the first output */
    uint64_t seed;
    int steps;             /* evaluations of the network; 0: the model's */
    double pull;           /* 0..1: how far the outlines pull the sample; 0: off */
    int pull_until;        /* percent of the steps in which they do; 100: all */
    kn_shape_params shape; /* paint: from the prompt when NULL; flat: set for classes without symmetry */
    kn_orbit_params orbit; /* folder NULL: no orbit; its progress is the job's */
    kn_gpu_params gpu;
    kn_log log;
    kn_progress_callback progress; /* stages "view", "shape" and "orbit" */
    void *progress_user;
} kn_design_job;

typedef struct kn_design_result {
    char kind[32];
    kn_drawing_view views[KN_SHAPE_MAX_VIEWS];
    bool view_given[KN_SHAPE_MAX_VIEWS];
    double
        agreement[KN_SHAPE_MAX_VIEWS]; /* intersection over union of the surface's silhouette in the drawing's view */
    kn_surface_facts facts;
    double seconds; /* wall time of reading, sampling and meshing */
} kn_design_result;

/* Runs a job. Every output appears under its name only when it is complete; nothing is written when the input is
 * bad. */
bool kn_design_run(const kn_design_job *job, kn_design_result *result, kn_error *error);

#endif
