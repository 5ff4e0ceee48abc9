/* Writers of one merged dataset, each fed with the same clips in the same order. All write below `root`, which exists.
 */
#ifndef KN_DATASET_FORMATS_H
#define KN_DATASET_FORMATS_H

#include "base/base.h"
#include "pipelines/dataset/clip.h"

/* A clip's part in the dataset: "train" or "val". */
typedef enum kn_split { KN_SPLIT_TRAIN, KN_SPLIT_VAL, KN_SPLIT_COUNT } kn_split;
extern const char *const kn_split_names[KN_SPLIT_COUNT];

/* Gives `to` the contents of `from`: by a hard link where the file system can, else by a copy. */
bool kn_dataset_link(const char *from, const char *to, kn_error *error);

/* --- tables.c: one nuScenes root --- */
/* <root>/nuscenes with v1.0-kinora/ *.json and splits.json, samples, sweeps, maps. Tokens of clips stay what they were
 * (they are hashes of the jobs); categories, attributes, visibilities and sensors are written once. */
typedef struct kn_tables kn_tables;
bool kn_tables_create(kn_tables **tables, const char *root, kn_error *error);
bool kn_tables_add(kn_tables *tables, const kn_clip *clip, kn_split split, kn_error *error);
bool kn_tables_commit(kn_tables *tables, kn_error *error);
void kn_tables_destroy(kn_tables **tables);
/* "samples/CAM_FRONT/<item>__CAM_FRONT__<time>.jpg": where a picture of a clip lies below <root>/nuscenes. */
void kn_tables_picture(const kn_clip *clip, size_t frame, int camera, char *name, size_t size);

/* --- coco.c: boxes and masks of every picture --- */
/* <root>/coco/instances_train.json and instances_val.json; pictures are named relative to <root>. Needs instance maps.
 */
typedef struct kn_coco kn_coco;
bool kn_coco_create(kn_coco **coco, const char *root, kn_error *error);
bool kn_coco_add(kn_coco *coco, const kn_clip *clip, kn_split split, kn_error *error);
bool kn_coco_commit(kn_coco *coco, kn_error *error);
void kn_coco_destroy(kn_coco **coco);

/* The pixels mask[i] == id as COCO's compressed run lengths (columns first), a new string. */
char *kn_coco_runs(const uint16_t *mask, int width, int height, uint16_t id, kn_error *error);

/* --- kitti.c: the first front camera at key frames --- */
/* <root>/kitti/training/{image_2,label_2,calib}/NNNNNN.{png,txt,txt}; ImageSets/{train,val}.txt say which belong to
 * which split, as usual with KITTI. *next counts the pictures. */
bool kn_kitti_create(const char *root, kn_error *error);
bool kn_kitti_add(const char *root, const kn_clip *clip, kn_split split, size_t *next, kn_error *error);

/* --- cityscapes.c: key frames of all cameras --- */
/* <root>/cityscapes/{leftImg8bit,gtFine,depth}/{train,val}/<city>/...: labelIds, instanceIds, color, and depth in
 * millimetres. A clip is a city, a camera a sequence. Needs semantic and instance maps; depth where there is depth. */
bool kn_cityscapes_add(const char *root, const kn_clip *clip, kn_split split, kn_error *error);

#endif
