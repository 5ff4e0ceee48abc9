/* A finished driving clip as the writers of dataset formats need it: cameras, poses, boxes, files. */
#ifndef KN_DATASET_CLIP_H
#define KN_DATASET_CLIP_H

#include "base/vecmath.h"
#include "kinora/camera.h"

#include <jansson.h>

#define KN_CLIP_CATEGORIES 23
/* nuScenes' categories in its own order; their index + 1 is the id in COCO files. */
extern const char *const kn_clip_categories[KN_CLIP_CATEGORIES];
/* Its index, -1 for another name. */
int kn_clip_category(const char *name);

/* A road user at a key frame, in the tables' world. */
typedef struct kn_clip_annotation {
    size_t frame;
    int category, instance; /* instance: the id in the label images; -1 when it has no 2D box in any frame */
    kn_vec3 centre;
    kn_pose pose;    /* box to world */
    double size[3];  /* width, length, height, metres */
    double distance; /* from the ego on the ground, metres */
    double speed;    /* m/s; NAN at the last key frame it is seen in */
    int lidar_points, visibility;
} kn_clip_annotation;

/* A road user in one picture. */
typedef struct kn_clip_box {
    size_t frame;
    int camera, instance, category;
    double amodal[4], visible[4]; /* x0, y0, x1, y1, pixels */
    long visible_pixels;
    double occlusion;
} kn_clip_box;

typedef struct kn_clip {
    char *folder;     /* the item's */
    const char *name; /* of the item; not owned */
    json_t *job;      /* job.json */
    kn_rig rig;
    size_t frame_count;
    char **files;    /* [frame][camera], below <folder>/nuscenes/ */
    bool *is_key;    /* [frame] */
    kn_pose *ego;    /* [frame] ego to world */
    long long *time; /* [frame] microseconds */
    kn_clip_annotation *annotations;
    size_t annotation_count;
    kn_clip_box *boxes; /* in the order of frames */
    size_t box_count;
    double rate; /* frames/s */
} kn_clip;

/* Reads job.json, the nuScenes tables and boxes_2d.json of an item's folder. */
bool kn_clip_init(kn_clip *clip, const char *folder, const char *name, kn_error *error);
void kn_clip_finish(kn_clip *clip);

/* "<folder>/labels/<kind>/<camera>/NNNNN.png"; free with kn_free. */
char *kn_clip_label(const kn_clip *clip, const char *kind, size_t frame, int camera, kn_error *error);
/* Has the clip label images of this kind? */
bool kn_clip_has(const kn_clip *clip, const char *kind);
/* "<folder>/nuscenes/<file>" of a picture; free with kn_free. */
char *kn_clip_picture(const kn_clip *clip, size_t frame, int camera, kn_error *error);

#endif
