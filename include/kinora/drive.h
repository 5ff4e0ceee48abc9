/* The driving pipeline: a scenario in, one video per camera, exact labels and a record of the job out. */
#ifndef KINORA_DRIVE_H
#define KINORA_DRIVE_H

#include "kinora/diffusion.h"
#include "kinora/encoders.h"
#include "kinora/gpu.h"
#include "kinora/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

/* kn_drive_params.labels */
enum {
    KN_LABEL_DEPTH = 1, /* 16-bit PNG, millimetres, up to 65.535 m */
    KN_LABEL_SEMANTIC = 2,
    KN_LABEL_INSTANCE = 4,
    KN_LABEL_DEPTH_EXR = 8 /* 32-bit float EXR, metres, without an end; sky is 0 */
};

/* Where the pictures come from. The two renderer sources are the controls that `eval` compares the sampler with. */
typedef enum kn_drive_source {
    KN_DRIVE_SAMPLER, /* the diffusion sampler */
    KN_DRIVE_BEAUTY,  /* the renderer's beauty pictures, what the shipped weights learn from */
    KN_DRIVE_CONTROL  /* the shaded colours among the conditions */
} kn_drive_source;

/* The look that models trained by `training/` paint in: the first word of their caption. */
typedef enum kn_drive_look {
    KN_LOOK_PHOTO, /* photographs */
    KN_LOOK_RENDER /* the renderer's beauty pictures */
} kn_drive_look;

/* A public ControlNet and what it is shown. */
typedef struct kn_drive_control {
    const char *kind;  /* depth, seg, normalbae, lineart, softedge, canny, scribble or tile (docs/formats.md) */
    const char *model; /* folder or file */
    double strength;   /* multiplies its residuals; 1 */
} kn_drive_control;

typedef struct kn_drive_params {
    const char *scene;                          /* .xosc or Kinora's .json */
    const char *output;                         /* folder; made when absent */
    const char *model;                          /* folder or file of the weights; needed by KN_DRIVE_SAMPLER only */
    kn_drive_control controls[KN_MAX_CONTROLS]; /* in place of the model's own driving capability */
    int control_count;
    kn_lora_use loras[KN_MAX_LORAS];
    int lora_count;
    const char *tokenizer, *autoencoder; /* as in kn_model_params; NULL: the model's own */
    const char *rig;                     /* rig file; NULL: nuScenes' six cameras */
    const char *prompt;   /* NULL: the scene's own caption; the look goes before it where the model knows looks */
    const char *negative; /* what guidance leads away from; NULL: no text */
    kn_drive_look look;
    double strength;   /* 1: pictures from noise; below: the renderer's own, with so much noise (flow matching only) */
    kn_rational rate;  /* frames/s */
    size_t frames;     /* 0: until the scenario stops */
    int width, height; /* pixels; 0: the rig file's, or 400 x 224 */
    uint64_t seed;     /* of surroundings, colours, traffic and noise */
    uint64_t appearance;       /* other noise for the same scene: another appearance; 0: the seed's own */
    int steps;                 /* of the sampler; 0: the model's default */
    double guidance;           /* classifier-free guidance; < 0: 1, with `controls` 7.5 */
    int chunk_frames;          /* frames sampled together; 8 */
    kn_scene_params overrides; /* weather, time, traffic and ego speed are read; the rest is set from the above */
    kn_codec codec;
    unsigned labels; /* KN_LABEL_* */
    bool lidar;      /* sweeps of a virtual lidar beside the pictures, nuScenes' LIDAR_TOP */
    kn_drive_source source;
    /* Switch off one of the means of consistency. */
    bool no_anchored_noise, no_locked_sampling, no_multi_view, no_temporal;
    bool overwrite;      /* replace another job's results in `output` */
    const char *command; /* how the job was started, for job.json; NULL: unknown */
    kn_gpu_params gpu; /* memory_limit: of sampling, and of rendering as much again; what does not fit is refused before
                          the first chunk, with the chunk that would */
    kn_log log;
    kn_progress_callback progress; /* done and total in thousandths of a frame over all stages; called from several
                                      threads, one at a time; NULL: none */
    void *progress_user;
} kn_drive_params;
#define KN_DRIVE_PARAMS_DEFAULT \
    ((kn_drive_params){         \
        .rate = {12, 1}, .guidance = -1, .strength = 1, .chunk_frames = 8, .overrides = KN_SCENE_PARAMS_DEFAULT})

/* What a job did and how long it took, seconds of wall time. Chunks are rendered, sampled, and stored and encoded
 * (finish) in three threads at a time, so that the stages add up to more than the total. */
typedef struct kn_drive_report {
    size_t frames, cameras, resumed_frames; /* resumed: found finished from an earlier run */
    bool already_complete;                  /* the folder held this job's finished results; nothing was done */
    double setup, render, sample, segments, finish, total;
    uint64_t device_peak; /* bytes of device memory */
    char device[256];
} kn_drive_report;

/* Runs a job. Writes into params->output:
 *   <CAMERA>.mp4 (or the codec's extension), surround.mp4, bev.mp4, job.json,
 *   nuscenes/v1.0-kinora/ *.json, nuscenes/samples, nuscenes/sweeps, nuscenes/maps,
 *   labels/boxes_2d.json, labels/<depth|semantic|instance>/<CAMERA>/NNNNN.png,
 *   labels/depth_exr/<CAMERA>/NNNNN.exr, preview.jpg (the newest frame of all cameras, while and after it runs).
 * Work in progress lies in <output>/.work with a journal: a job that was killed goes on from its last finished chunk
 * when it is started again with the same parameters, and ends with the same video content. Fails with KN_ERROR_INPUT
 * when the folder holds another job and `overwrite` is not set, and with KN_ERROR_CANCELLED when the progress callback
 * asked to stop (the finished chunks are kept). `report` may be NULL. Memory for pictures does not
 * grow with the number of frames; what the scene says about each (states of its road users, about 100 bytes a frame and
 * road user) does. */
bool kn_drive(const kn_drive_params *params, kn_drive_report *report, kn_error *error);

#ifdef __cplusplus
}
#endif
#endif
