/* What an item's result depends on, as one hash: verb, options, the contents of the files and folders that it reads,
 * and Kinora's version. Contents are hashed once a process. */
#ifndef KN_BATCH_FINGERPRINT_H
#define KN_BATCH_FINGERPRINT_H

#include "pipelines/batch/plan.h"

/* Hashes of paths that were asked for. Zero it to begin. One thread at a time. */
typedef struct kn_fingerprints {
    struct kn_hashed *entries;
    size_t count, capacity;
    const char
        *device; /* name and driver of the device, the tuning: anything else that results depend on; NULL: nothing */
    const char *weights;   /* of items that name no model; NULL: unknown */
    const char *segmenter; /* of items with bounds; NULL: unknown */
} kn_fingerprints;

void kn_fingerprints_finish(kn_fingerprints *cache);

/* An input that cannot be read is KN_ERROR_INPUT. */
bool kn_fingerprint(kn_fingerprints *cache, const kn_batch_item *item, char hex[65], kn_error *error);

/* Hash over all files of a folder, their names and sizes; the number of files and bytes in it. Contents of files above
 * 256 MiB count at both ends only. */
typedef struct kn_tree {
    char hash[65];
    size_t files;
    uint64_t bytes;
} kn_tree;
bool kn_tree_hash(const char *path, kn_tree *tree, kn_error *error);

#endif
