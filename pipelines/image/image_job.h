/* The picture pipeline: prompt, pictures and weight files in, PNG files with their generation parameters out. Internal
 * to pipelines/ and cli/. */
#ifndef KN_PIPELINES_IMAGE_JOB_H
#define KN_PIPELINES_IMAGE_JOB_H

#include "base/base.h"
#include "kinora/paint.h"

/* A control picture and the ControlNet that reads it. */
typedef struct kn_image_control {
    const char *name;    /* as the user calls it; without `model` that of a ControlNet in the model's folder */
    const char *picture; /* file */
    const char *model;   /* folder or file of a ControlNet; NULL */
    double strength, start, end;
} kn_image_control;

typedef struct kn_image_job {
    const char *output; /* FILE.png; a batch makes FILE-0.png, FILE-1.png, ... */
    const char *model;
    kn_model_params load;  /* tokenizer, autoencoder, loras, precision, prediction; ControlNets come from `controls` */
    kn_paint_params paint; /* width 0: as `init` is, or 512 x 512 */
    const char *init, *mask; /* files; NULL */
    kn_image_control controls[KN_MAX_CONTROLS];
    int control_count;
    kn_gpu_params gpu;
} kn_image_job;

typedef struct kn_image_report {
    int pictures, width, height;
    double load, paint;   /* seconds */
    uint64_t device_peak; /* bytes */
    char device[256];
} kn_image_report;

/* Runs the job. Every picture is written beside its name and renamed; nothing is written when anything fails before.
 * The text chunk "parameters" holds prompt and settings as A1111 writes and reads them; "AIGC" says that the picture is
 * generated (GB 45438-2025). */
bool kn_image_run(const kn_image_job *job, kn_image_report *report, kn_error *error);

/* A picture file as planar [channels][height][width] in 0..1, resampled (Lanczos, 3 lobes, as Pillow does) when it has
 * another size; channels 1 or 3. Freed with kn_free. */
bool kn_image_load(float **planar, const char *path, int channels, int width, int height, kn_error *error);
/* Width and height of a picture file. */
bool kn_image_size(const char *path, int *width, int *height, kn_error *error);

#endif
