/* What nuscenes.c and nuscenes_tables.c share. */
#ifndef KN_PIPELINES_NUSCENES_INTERNAL_H
#define KN_PIPELINES_NUSCENES_INTERNAL_H

#include "pipelines/drive/nuscenes.h"

typedef enum kn_table {
    KN_TABLE_ATTRIBUTE,
    KN_TABLE_CALIBRATED_SENSOR,
    KN_TABLE_CATEGORY,
    KN_TABLE_EGO_POSE,
    KN_TABLE_INSTANCE,
    KN_TABLE_LOG,
    KN_TABLE_MAP,
    KN_TABLE_SAMPLE,
    KN_TABLE_SAMPLE_ANNOTATION,
    KN_TABLE_SAMPLE_DATA,
    KN_TABLE_SCENE,
    KN_TABLE_SENSOR,
    KN_TABLE_VISIBILITY,
    KN_TABLE_LIDARSEG, /* only where there are sweeps */
    KN_TABLE_COUNT
} kn_table;

typedef struct kn_token {
    char text[33];
} kn_token;

extern const char *const kn_table_names[KN_TABLE_COUNT];

/* The last annotation of an instance waits until it is known whether another one follows. */
typedef struct kn_nuscenes_track {
    int instance;
    kn_actor_class kind;
    size_t annotation_count, last_sample;
    kn_token first;
    kn_box box;     /* of the waiting annotation, already moved by the origin */
    int visibility; /* 1..4 */
    uint32_t lidar_points;
    kn_token previous; /* of the annotation before the waiting one; "" when there is none */
} kn_nuscenes_track;

struct kn_nuscenes {
    kn_nuscenes_params params;
    kn_file_writer tables[KN_TABLE_COUNT];
    bool begun[KN_TABLE_COUNT];
    size_t sample_count, frame_count; /* samples in all; frames added */
    kn_nuscenes_track *tracks;
    size_t track_count, track_capacity;
};

/* 32 hexadecimal digits from a hash of the job and what the token stands for. */
kn_token kn_nuscenes_token(const char *job, const char *kind, uint64_t a, uint64_t b);

/* The next record of a table: prints the separator and returns its stream. */
FILE *kn_nuscenes_record(kn_nuscenes *writer, kn_table table);

/* Writes a JSON string with its quotes; control characters and invalid UTF-8 are replaced. */
void kn_json_string(FILE *stream, const char *text);

/* Ends and renames the tables; those that must not be empty are left out when they are. */
bool kn_nuscenes_commit_tables(kn_file_writer tables[KN_TABLE_COUNT], const bool begun[KN_TABLE_COUNT],
                               kn_error *error);

/* The tables whose records do not depend on frames. */
void kn_nuscenes_fixed_tables(kn_nuscenes *writer, const kn_nuscenes_params *params, size_t sample_count);

/* Token of an attribute: of the box's kind and movement; false when the class has none. */
bool kn_nuscenes_attribute(const char *job, const kn_box *box, kn_token *token);

#endif
