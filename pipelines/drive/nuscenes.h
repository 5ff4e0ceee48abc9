/* Writes a clip in nuScenes' table layout (nuScenes 1.0 schema, docs/schema_nuscenes.md of nuscenes-devkit), streaming:
 * memory does not grow with the clip. Internal to pipelines/.
 *
 * Key frames stand every half second, the other frames are sweeps. Coordinates are the scenario's minus `origin`, so
 * that the map mask (0.1 m per pixel, its lower left corner at (0, 0)) covers the ego's way as nuscenes-devkit expects.
 * num_lidar_pts counts the points of a virtual LIDAR_TOP (drive_lidar.c), whose sweeps are there when asked for;
 * num_radar_pts is 0. */
#ifndef KN_PIPELINES_NUSCENES_H
#define KN_PIPELINES_NUSCENES_H

#include "pipelines/drive/facts.h"

#define KN_NUSCENES_VERSION "v1.0-kinora"
#define KN_NUSCENES_TIME_ORIGIN 1700000000000000ll /* microseconds of frame 0: clips have no date of their own */

typedef struct kn_nuscenes_params {
    const char *folder;     /* existing; version and map folders are made in it */
    const char *job;        /* any text that names the job: tokens are hashes of it */
    const char *scene_name; /* "scene-cut-in" */
    const char *description;
    const kn_rig *rig;
    kn_rational rate;
    size_t frame_count;
    double origin[2]; /* subtracted from world x and y, metres */
    double reach;     /* boxes farther than this from the ego are left out, metres */
    bool lidar;       /* with LIDAR_TOP's sweeps */
} kn_nuscenes_params;

typedef struct kn_nuscenes kn_nuscenes;

bool kn_nuscenes_create(kn_nuscenes **writer, const kn_nuscenes_params *params, kn_error *error);

/* Frames in order, each once. `boxes_2d` are those of the same frame in all cameras; they give the visibility.
 * lidar_points[facts->box_count], read at key frames; NULL: none. */
bool kn_nuscenes_add(kn_nuscenes *writer, const kn_frame_facts *facts, const kn_box_2d *boxes_2d, size_t box_2d_count,
                     const uint32_t *lidar_points, kn_error *error);

/* Ends and renames the tables. All frames must have been added. */
bool kn_nuscenes_commit(kn_nuscenes *writer, kn_error *error);
void kn_nuscenes_destroy(kn_nuscenes **writer);

/* Is this frame a key frame, and which file does a camera's picture go to, relative to the folder? */
bool kn_nuscenes_is_key(kn_rational rate, size_t frame);
void kn_nuscenes_file_name(const kn_nuscenes_params *params, size_t frame, int camera, char *name, size_t size);

/* The same for LIDAR_TOP's sweep (float32 x, y, z, intensity, ring) and the classes of a key frame's points. */
void kn_nuscenes_lidar_name(const kn_nuscenes_params *params, size_t frame, char *name, size_t size);
void kn_nuscenes_lidarseg_name(const kn_nuscenes_params *params, size_t frame, char *name, size_t size);
/* Of a category as lidarseg numbers them; 0 (noise) when there is no such category. */
int kn_nuscenes_category_index(const char *name);

/* Where LIDAR_TOP sits on the ego (rotation: sensor to ego). */
typedef struct kn_nuscenes_mount {
    double translation[3], rotation[3][3];
} kn_nuscenes_mount;
extern const kn_nuscenes_mount kn_nuscenes_lidar_mount;

/* "maps/<token>.png" of the mask that the map table names. */
void kn_nuscenes_map_name(const kn_nuscenes_params *params, char *name, size_t size);

#endif
