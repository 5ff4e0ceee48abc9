/* What the files of the driving pipeline share. */
#ifndef KN_PIPELINES_DRIVE_INTERNAL_H
#define KN_PIPELINES_DRIVE_INTERNAL_H

#include "kinora/diffusion.h"
#include "kinora/drive.h"
#include "kinora/render.h"
#include "kinora/surfaces.h"
#include "pipelines/drive/facts.h"
#include "pipelines/common/journal.h"
#include "pipelines/common/task.h"

enum { KN_DRIVE_DEVICE_TEXT = 800, KN_DRIVE_MAX_OUTPUTS = KN_RIG_MAX_CAMERAS + 5 };

#define KN_DRIVE_REACH 120.0 /* metres around the ego within which road users are labelled */

/* One chunk on its way: N = (carried + frames) * cameras pictures, frame-major; every picture has job->pixels pixels of
 * room. */
typedef struct kn_drive_chunk {
    size_t index, frames;
    size_t carried; /* the last frames of the chunk before, which come first: sampled again as they are */
    float *control; /* [N][control_channels][height][width]; of public ControlNets [their count][N][3]... */
    float *noise;   /* [N][noise channels][...] */
    uint8_t *rgb;   /* [frames * cameras][height][width][3] */
    kn_surface_window *surfaces; /* what its pictures show; NULL without locked sampling */
    kn_box_2d *boxes;
    size_t box_count, box_capacity;
} kn_drive_chunk;

/* What rendering draws into, one camera at a time, and what the sampler gives. */
typedef struct kn_drive_scratch {
    float *picture;    /* [3][height][width]: beauty pictures */
    float *conditions; /* [KN_CONDITION_CHANNELS][height][width] where no chunk keeps them */
    float *depth;      /* [height][width], like the next two */
    uint8_t *semantic;
    uint16_t *instance, *label;
    float *matte;    /* [height][width]: kn_surface_picture */
    float *latents;  /* [N][values of a latent] */
    uint8_t *planar; /* [N][3][height][width] from the sampler */
} kn_drive_scratch;

/* A chunk goes through these; each is done in its own thread, so that three chunks are on their way at a time. */
typedef enum kn_drive_stage {
    KN_STAGE_RENDER,
    KN_STAGE_SAMPLE,
    KN_STAGE_STORE,
    KN_STAGE_ENCODE,
    KN_STAGE_COUNT
} kn_drive_stage;

typedef struct kn_finisher kn_finisher;
struct kn_nuscenes_params;

typedef struct kn_drive_job {
    kn_drive_params params;
    kn_rig rig;
    int neighbours[KN_RIG_MAX_CAMERAS][2];
    char scene_name[80]; /* file name without folder and extension, safe for file names */
    char hash[65], scene_hash[65], model_hash[65], tuning_hash[65];
    bool model_hash_partial; /* large weight files count by their size and ends only */
    char *work;              /* <output>/.work */
    size_t work_existed;     /* the leading part of `work` that was there before this job; SIZE_MAX: nothing was made */
    kn_journal journal;
    kn_gpu *gpu;         /* of the renderers */
    kn_gpu *sampler_gpu; /* the same device again, for another thread; NULL without a sampler */
    kn_scene *scene;
    kn_renderer *renderer;
    kn_model *model;
    kn_sampler *sampler;
    size_t carried;     /* frames that a chunk takes over from the one before; 0 without locked sampling */
    float *latents;     /* [carried * cameras][values of a latent]: of the last frames of the chunk before */
    int sampler_frames; /* what the sampler was made for; 0: none yet */
    char prompt[1000];
    char control_names[KN_MAX_CONTROLS][64]; /* of the public ControlNets in the model */
    size_t frame_count, chunk_frames, chunk_count;
    size_t pixels;            /* of the largest camera */
    int control_channels;     /* that the driving ControlNet takes: KN_CONDITION_CHANNELS or KN_CONTROL_CHANNELS; 3 of
                                 every public one */
    kn_drive_chunk chunks[2]; /* one is sampled while the other is rendered */
    kn_drive_chunk stored;    /* only rgb and boxes: what is being stored and encoded */
    kn_drive_scratch scratch;
    kn_frame_facts facts; /* of the frame that is being rendered */
    struct kn_drive_lidar *lidar;
    kn_finisher *finisher;
    kn_task render_task, store_task;
    pthread_mutex_t progress_lock; /* guards the next two */
    double done[KN_STAGE_COUNT];   /* frames */
    bool cancelled;
    double origin[2], map_size[2]; /* of the nuScenes map, metres */
    double map_resolution;         /* metres per pixel */
    kn_log log;                    /* the caller's; params.log writes down warnings, too */
    pthread_mutex_t log_lock;      /* guards the next two */
    char *warnings[100];
    size_t warning_count, warnings_left_out;
    kn_drive_report report;
    double started;
} kn_drive_job;

/* Seconds of a clock that never goes back. */
double kn_now(void);
/* From here on what is logged as a warning also goes into job.json. */
void kn_drive_note_warnings(kn_drive_job *job);

/* --- drive_plan.c ----------------------------------------------------------------------------- */
/* Checks the parameters, reads the rig, fills names and hashes. */
bool kn_drive_plan(kn_drive_job *job, const kn_drive_params *params, kn_error *error);
/* Is `output` free for this job? Sets report.already_complete when it holds this job's finished results. */
bool kn_drive_check_output(kn_drive_job *job, kn_error *error);

/* --- drive_hash.c ----------------------------------------------------------------------------- */
/* Fills scene_hash, model_hash and hash: what was asked for and made from. */
bool kn_drive_hash(kn_drive_job *job, kn_error *error);
/* Device, driver and tuning as one line, and a hash of the tuning: what last digits depend on besides. */
bool kn_drive_device_text(const kn_gpu *gpu, char text[KN_DRIVE_DEVICE_TEXT], char tuning[65], kn_error *error);
/* Are the chunks in the work folder of this device, driver and tuning? Writes down which they will be of. */
bool kn_drive_check_device(kn_drive_job *job, kn_error *error);

/* --- drive_chunk.c ---------------------------------------------------------------------------- */
/* Before the first chunk: whether sampling fits the device's free memory; says which --chunk would. */
bool kn_drive_check_memory(kn_drive_job *job, kn_error *error);
/* Renders, samples, stores and encodes all chunks from `first` on; each stage works on another chunk. */
bool kn_drive_chunks_run(kn_drive_job *job, size_t first, kn_error *error);
/* Frees what chunks need; waits for their threads. */
void kn_drive_chunks_finish(kn_drive_job *job);
/* The first of its own frames, how many they are, and how many chunks there are. */
size_t kn_drive_chunk_first(const kn_drive_job *job, size_t index);
size_t kn_drive_chunk_length(const kn_drive_job *job, size_t index);
size_t kn_drive_chunks(const kn_drive_job *job);
/* Names inside the work folder. */
void kn_drive_segment_name(const kn_drive_job *job, size_t chunk, int camera, char *name, size_t size);
void kn_drive_boxes_name(size_t chunk, char *name, size_t size);

/* --- drive_lock.c ----------------------------------------------------------------------------- */
/* Locked sampling (diffusion.h), unless it is switched off: a chunk's window, and what chunk `first` takes over. */
bool kn_drive_locks(const kn_drive_job *job);
kn_lock_params kn_drive_lock_params(const kn_drive_job *job);
bool kn_drive_lock_init(kn_drive_job *job, size_t first, kn_error *error);
bool kn_drive_lock_init_chunk(const kn_drive_job *job, kn_drive_chunk *chunk, kn_error *error);
void kn_drive_lock_finish(kn_drive_job *job);
/* Adds the picture that the scratch holds, conditions beside it, to the chunk's window. */
bool kn_drive_lock_add(kn_drive_job *job, kn_drive_chunk *chunk, size_t frame, size_t picture, int camera,
                       const float *conditions, kn_error *error);
/* Before and after a chunk is sampled: its links and what it takes over, and what the next one takes over. `lock` lives
 * as long as `input`. */
bool kn_drive_lock_before(kn_drive_job *job, kn_drive_chunk *chunk, kn_lock *lock, kn_sample_input *input,
                          kn_error *error);
bool kn_drive_lock_after(kn_drive_job *job, const kn_drive_chunk *chunk, kn_error *error);
/* Values of a picture's latent. */
size_t kn_drive_latent_floats(const kn_drive_job *job);

/* --- drive_controls.c ------------------------------------------------------------------------- */
/* Public ControlNets in place of the model's own: their kinds and strengths; what they make of the model. */
bool kn_drive_controls_check(const kn_drive_params *params, kn_error *error);
void kn_drive_controls_load_params(const kn_drive_job *job, kn_model_params *params);
bool kn_drive_controls_check_model(kn_drive_job *job, kn_error *error);
/* Which controls the sampler uses, and where their pictures lie in a chunk. */
void kn_drive_controls_sampler(const kn_drive_job *job, kn_sampler_params *params);
void kn_drive_controls_input(const kn_drive_job *job, const kn_drive_chunk *chunk, kn_sample_input *input);
bool kn_drive_controls_shaded(const kn_drive_job *job);
/* Draws what they are shown of a picture. */
bool kn_drive_controls_draw(const kn_drive_job *job, kn_drive_chunk *chunk, size_t picture, const kn_camera *view,
                            const float *conditions, kn_error *error);

/* --- drive_labels.c --------------------------------------------------------------------------- */
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

/* --- drive_lidar.c ---------------------------------------------------------------------------- */
bool kn_drive_lidar_init(kn_drive_job *job, kn_error *error);
void kn_drive_lidar_finish(kn_drive_job *job);
/* What the virtual lidar sees of the frame of job->facts, into the work folder: points of each box at key frames, and
 * sweeps when they are asked for. */
bool kn_drive_lidar_cast(kn_drive_job *job, size_t frame, kn_error *error);
/* Of a key frame: points on each of its boxes; the caller frees them. */
bool kn_drive_lidar_points(const kn_drive_job *job, const kn_frame_facts *facts, uint32_t **points, kn_error *error);
/* Puts a frame's sweep, if there is one, into the nuScenes folder. */
bool kn_drive_lidar_place(const kn_drive_job *job, const struct kn_nuscenes_params *params, size_t frame,
                          kn_error *error);

/* --- drive_preview.c -------------------------------------------------------------------------- */
/* Writes a picture of all cameras as <output>/preview.jpg. */
bool kn_drive_preview(const kn_drive_job *job, const kn_image *mosaic, kn_error *error);
/* The first preview, long before the first chunk is sampled: the control maps' colours of a frame, control as in
 * kn_drive_chunk. */
bool kn_drive_preview_control(const kn_drive_job *job, const float *control, kn_error *error);

/* --- drive_finish.c --------------------------------------------------------------------------- */
/* Begins the outputs in the work folder. The job's scene must be open. One thread at a time. */
bool kn_finisher_create(kn_finisher **finisher, kn_drive_job *job, kn_error *error);
/* Turns the segments of all chunks below `end` that were not yet into frames of the outputs. */
bool kn_finisher_encode(kn_finisher *finisher, size_t end, kn_error *error);
/* Completes the outputs and puts them under their final names. */
bool kn_finisher_commit(kn_finisher *finisher, kn_error *error);
void kn_finisher_destroy(kn_finisher **finisher);

/* --- drive_record.c --------------------------------------------------------------------------- */
/* The names of the outputs in the output folder; returns how many there are (at most KN_DRIVE_MAX_OUTPUTS). */
int kn_drive_outputs(const kn_drive_job *job, char names[][96]);
bool kn_drive_write_record(kn_drive_job *job, kn_error *error);
/* Reads "job" and "outputs" of an earlier job.json; outputs that are no plain names are skipped. False when it cannot
 * be read. */
bool kn_drive_read_record(const char *path, char hash[65], char names[][96], int capacity, int *count);

/* Reports how many frames a stage has finished, from any thread; false with KN_ERROR_CANCELLED when the caller wants to
 * stop. */
bool kn_drive_progress(kn_drive_job *job, kn_drive_stage stage, double frames, kn_error *error);

#endif
