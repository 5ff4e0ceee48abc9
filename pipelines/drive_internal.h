/* What the files of the driving pipeline share. */
#ifndef KN_PIPELINES_DRIVE_INTERNAL_H
#define KN_PIPELINES_DRIVE_INTERNAL_H

#include "kinora/diffusion.h"
#include "kinora/drive.h"
#include "kinora/render.h"
#include "pipelines/facts.h"
#include "pipelines/journal.h"

#define KN_DRIVE_REACH 120.0 /* metres around the ego within which road users are labelled */

/* Buffers of one chunk: N = frames * cameras pictures, frame-major; every picture has `pixels` pixels of room. */
typedef struct kn_drive_chunk {
    size_t pixels;       /* of the largest camera */
    float *control;      /* [N][KN_CONTROL_CHANNELS][height][width] */
    float *noise;        /* [N][noise channels][...] */
    float *picture;      /* [3][height][width]: beauty pictures */
    float *depth;        /* [height][width] of one camera at a time, like the next two */
    uint8_t *semantic;
    uint16_t *instance, *label;
    uint8_t *planar;     /* [N][3][height][width] from the sampler */
    uint8_t *rgb;        /* [N][height][width][3] */
    kn_box_2d *boxes;
    size_t box_count, box_capacity;
} kn_drive_chunk;

typedef struct kn_drive_job {
    kn_drive_params params;
    kn_rig rig;
    int neighbours[KN_RIG_MAX_CAMERAS][2];
    char scene_name[80];           /* file name without folder and extension, safe for file names */
    char hash[65], scene_hash[65], model_hash[65];
    char *work;                    /* <output>/.work */
    kn_journal journal;
    kn_gpu *gpu;
    kn_scene *scene;
    kn_renderer *renderers[4];     /* [0] draws; further ones give more noise channels to latent models */
    kn_model *model;
    kn_sampler *sampler;
    int sampler_frames;            /* what the sampler was made for; 0: none yet */
    char prompt[1000];
    size_t frame_count, chunk_frames, chunk_count;
    kn_drive_chunk chunk;
    kn_frame_facts facts;
    double frames_before;          /* progress of what is finished, in frames */
    double frames_weight;          /* frames that the running stage is worth */
    const char *stage;
    double origin[2], map_size[2]; /* of the nuScenes map, metres */
    kn_drive_report report;
    double started;
} kn_drive_job;

/* Seconds of a clock that never goes back. */
double kn_now(void);

/* --- drive_plan.c --- */
/* Checks the parameters, reads the rig, fills names and hashes. */
bool kn_drive_plan(kn_drive_job *job, const kn_drive_params *params, kn_error *error);
/* SHA-256 over the scene file and the road network and catalogs that it names. */
bool kn_drive_hash_scene(const char *path, char hex[65], kn_error *error);
/* Is `output` free for this job? Sets report.already_complete when it holds this job's finished results. */
bool kn_drive_check_output(kn_drive_job *job, kn_error *error);

/* --- drive_chunk.c --- */
bool kn_drive_chunk_init(kn_drive_job *job, kn_error *error);
void kn_drive_chunk_finish(kn_drive_chunk *chunk);
/* Renders, samples and stores chunk `index`, and records it in the journal. */
bool kn_drive_chunk_run(kn_drive_job *job, size_t index, kn_error *error);
size_t kn_drive_chunk_length(const kn_drive_job *job, size_t index);
/* Names inside the work folder. */
void kn_drive_segment_name(const kn_drive_job *job, size_t chunk, int camera, char *name, size_t size);
void kn_drive_boxes_name(size_t chunk, char *name, size_t size);

/* --- drive_labels.c --- */
/* Writes the label images of one camera and frame into the work folder. */
bool kn_drive_write_labels(kn_drive_job *job, size_t frame, int camera, kn_error *error);
bool kn_drive_make_label_folders(kn_drive_job *job, kn_error *error);
/* labels/boxes_2d.json, one record at a time. */
typedef struct kn_boxes_file {
    kn_file_writer file;
    size_t count;
} kn_boxes_file;
bool kn_boxes_file_init(kn_boxes_file *file, const char *path, const kn_drive_job *job, kn_error *error);
void kn_boxes_file_add(kn_boxes_file *file, const kn_drive_job *job, const kn_box_2d *box);
bool kn_boxes_file_commit(kn_boxes_file *file, kn_error *error);

/* --- drive_finish.c --- */
/* Turns the segments into the outputs and puts them under their final names. */
bool kn_drive_finish(kn_drive_job *job, kn_error *error);

/* --- drive_record.c --- */
/* The names of the outputs in the output folder; returns how many there are (at most KN_RIG_MAX_CAMERAS + 4). */
int kn_drive_outputs(const kn_drive_job *job, char names[][96]);
bool kn_drive_write_record(kn_drive_job *job, kn_error *error);
/* Reads "job" and "outputs" of an earlier job.json; outputs that are no plain names are skipped. False when it cannot
 * be read. */
bool kn_drive_read_record(const char *path, char hash[65], char names[][96], int capacity, int *count);
/* The AIGC metadata of this job's videos. */
void kn_drive_aigc(const kn_drive_job *job, char *text, size_t size);

/* Reports progress of the running stage; false with KN_ERROR_CANCELLED when the caller wants to stop. */
bool kn_drive_progress(kn_drive_job *job, double share, kn_error *error);

#endif
