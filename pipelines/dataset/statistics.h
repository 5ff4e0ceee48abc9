/* What a merged dataset holds, counted; statistics.json, plots (PNG and HTML) and the datasheet README.md. */
#ifndef KN_DATASET_STATISTICS_H
#define KN_DATASET_STATISTICS_H

#include "pipelines/dataset/formats.h"

/* Counts of named things, in the order of first appearance. */
typedef struct kn_counts {
    struct {
        char name[64];
        size_t count;
    } entries[64];
    size_t used;
} kn_counts;

enum {
    KN_DISTANCE_BINS = 12,
    KN_OCCLUSION_BINS = 10,
    KN_SPEED_BINS = 15
}; /* 10 m; a tenth; 3 m/s; the last bin takes the rest */

typedef struct kn_statistics {
    size_t clips[KN_SPLIT_COUNT], pictures, key_frames, annotations, boxes, lidar_points;
    double seconds;
    size_t by_distance[KN_CLIP_CATEGORIES][KN_DISTANCE_BINS], by_category[KN_CLIP_CATEGORIES];
    size_t by_occlusion[KN_OCCLUSION_BINS], by_speed[KN_SPEED_BINS], by_ego_speed[KN_SPEED_BINS];
    kn_counts weather, time, source, scenes, models;
} kn_statistics;

void kn_statistics_add(kn_statistics *s, const kn_clip *clip, kn_split split);

/* Writes <root>/statistics.json, statistics.html, plots/ *.png and README.md. `formats` says which formats are there
 * ("nuscenes, coco"), `version` which Kinora made it. */
bool kn_statistics_write(const kn_statistics *s, const char *root, const char *formats, const char *version,
                         kn_error *error);

#endif
