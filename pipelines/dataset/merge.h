/* One dataset out of the finished items of batches. */
#ifndef KN_DATASET_MERGE_H
#define KN_DATASET_MERGE_H

#include "base/base.h"

enum { KN_MERGE_NUSCENES = 1, KN_MERGE_COCO = 2, KN_MERGE_KITTI = 4, KN_MERGE_CITYSCAPES = 8 };

typedef struct kn_merge_params {
    const char *const *folders; /* of batches; an item that is in several counts once */
    size_t folder_count;
    const char *output; /* the dataset's folder; what an earlier merge left there is replaced */
    unsigned formats;   /* KN_MERGE_*; 0: all */
    double val_share;   /* of the scenarios, 0..1 */
    kn_log log;
    kn_progress_callback progress; /* in clips; NULL: none */
    void *progress_user;
} kn_merge_params;

typedef struct kn_merge_report {
    size_t clips, train, val;
    size_t other_verbs;  /* items that are no driving clips: they stay where they are */
    size_t without_maps; /* clips without label images, which only nuScenes and KITTI hold */
} kn_merge_report;

/* Clips are taken in the order of their names; a scenario is wholly in train or wholly in val. Everything is written
 * beside `output` and renamed: a merge that was killed leaves the dataset that was there. */
bool kn_merge(const kn_merge_params *params, kn_merge_report *report, kn_error *error);

#endif
