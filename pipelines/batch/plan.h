/* The items of a batch, from a manifest (JSON Lines, one job a line) or a sweep (YAML). The same file gives the same
 * items in the same order everywhere: random draws depend on the sweep's own text only. */
#ifndef KN_BATCH_PLAN_H
#define KN_BATCH_PLAN_H

#include "pipelines/batch/node.h"
#include "pipelines/batch/verbs.h"

typedef struct kn_batch_option {
    const char *key;   /* the verb's option without dashes, or "$Name" for a parameter of the scenario */
    const char *value; /* as written; paths already joined with the manifest's folder */
    const char *raw;   /* as written */
    bool is_flag;      /* an unquoted true or false: the option is given without a value, or left out */
    bool varies;       /* one of several values: part of the item's name */
    int line;
} kn_batch_option;

/* A bound of `keep`. */
typedef struct kn_batch_bound {
    const char *name;   /* as written: "miou" */
    const char *metric; /* the name in the report of `eval`: "mean_iou" */
    double value;
    bool at_least; /* else at most */
} kn_batch_bound;

typedef struct kn_batch_gate {
    kn_batch_bound *bounds;
    size_t count;
    int resample; /* how many further seeds may be tried */
} kn_batch_gate;

typedef struct kn_batch_item {
    const char *name; /* of the result's folder; unique */
    const kn_batch_verb *verb;
    kn_batch_option *options;
    size_t option_count;
    const kn_batch_gate *gate; /* NULL: every result is kept */
    double timeout;            /* seconds; 0: the run's */
    int line;                  /* in the manifest */
} kn_batch_item;

typedef struct kn_batch_plan {
    kn_arena arena;
    const char *path;   /* of the manifest */
    const char *folder; /* it lies in; "" for the current one */
    kn_batch_item *items;
    size_t count, capacity;
    size_t dropped; /* combinations that a constraint dropped */
} kn_batch_plan;

bool kn_batch_plan_init(kn_batch_plan *plan, const char *path, kn_error *error);
/* A plan of one item, from one line of JSON as kn_batch_item_write makes it. */
bool kn_batch_plan_read_line(kn_batch_plan *plan, const char *text, size_t length, kn_error *error);
void kn_batch_plan_finish(kn_batch_plan *plan);

/* The value of an option; NULL when the item does not give it. */
const char *kn_batch_option_value(const kn_batch_item *item, const char *key);
/* The seed that the item asks for (0 by default), and the one of its attempt 0, 1, ... A seed of a further attempt
 * stays away from those that a sweep counts up. */
uint64_t kn_batch_seed(const kn_batch_item *item, int attempt);

/* The verb's arguments: input, options, -o below `folder`, for an attempt. A NULL-terminated array in one block; free
 * with kn_free. *count gets the number. */
char **kn_batch_arguments(const kn_batch_item *item, const char *folder, int attempt, size_t *count, kn_error *error);

/* One line of JSON (without a newline) that kn_batch_plan_init reads back as the same item, and that "status" and
 * "merge" read. */
bool kn_batch_item_write(const kn_batch_item *item, FILE *stream);

/* --- plan_item.c, for the readers of manifests --- */

/* What an item has beside its options. */
typedef struct kn_batch_common {
    const kn_batch_verb *verb;
    const kn_batch_gate *gate;
    double timeout;
} kn_batch_common;

/* Reads verb, keep, resample and timeout of a map. */
bool kn_batch_read_common(kn_batch_plan *plan, const kn_node *map, kn_batch_common *common, kn_error *error);
/* Makes an option of a key and a scalar or a list of scalars (joined by commas). */
bool kn_batch_read_option(kn_batch_plan *plan, const kn_batch_verb *verb, const char *key, const kn_node *value,
                          kn_batch_option *option, kn_error *error);
/* Adds an item; the options are copied. `name` NULL: one is made of what varies and a hash of all options. */
bool kn_batch_add_item(kn_batch_plan *plan, const kn_batch_common *common, const kn_batch_option *options, size_t count,
                       const char *name, int line, kn_error *error);

/* --- sweep.c --- */
bool kn_batch_read_sweep(kn_batch_plan *plan, const kn_node *root, kn_error *error);

#endif
