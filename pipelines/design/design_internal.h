/* What the files of a design job share. Internal to pipelines/design. */
#ifndef KN_PIPELINES_DESIGN_INTERNAL_H
#define KN_PIPELINES_DESIGN_INTERNAL_H

#include "base/base.h"
#include "pipelines/design/design_job.h"

enum { KN_DESIGN_WARNINGS = 16 };

typedef struct kn_design {
    const kn_design_job *job;
    kn_design_result *result;
    kn_shape_classes classes;
    const kn_shape_class *kind;
    kn_image pages[KN_SHAPE_MAX_VIEWS];
    kn_drawing *drawings; /* [drawing_count] */
    kn_drawing_pose poses[KN_SHAPE_MAX_VIEWS];
    uint8_t paint[3];
    kn_gpu *gpu;
    kn_model *model;
    kn_field_sampler *sampler;
    float *condition, *sample;
    kn_surface *surface;
    uint8_t *materials; /* of the surface's triangles */
    char *warnings[KN_DESIGN_WARNINGS];
    int warning_count;
    kn_log log; /* keeps warnings for the report, and passes all on */
} kn_design;

/* --- design_sheet.c --- */
/* The drawings and the surface from eight sides, `width` pixels wide. */
bool kn_design_sheet(const kn_design *design, const char *path, int width, kn_error *error);

/* --- design_write.c --- */
/* Every file must be possible before minutes are spent on it. */
bool kn_design_try(const kn_design_job *job, kn_error *error);
bool kn_design_write(const kn_design *design, kn_error *error);

#endif
