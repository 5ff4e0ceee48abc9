/* Runs the items of a plan into a folder. */
#ifndef KN_BATCH_RUN_H
#define KN_BATCH_RUN_H

#include "pipelines/batch/plan.h"

typedef struct kn_batch_run_params {
    const kn_batch_plan *plan;
    const char *folder;
    char *const *worker;  /* the command that starts a worker, NULL-terminated */
    size_t shard, shards; /* items shard, shard + shards, ...; 0 of 1: all */
    int jobs;             /* workers at a time; 1 */
    int retry;            /* further tries of an item that failed for the machine's reasons; 2 */
    size_t max_failures;  /* more failed items end the run; SIZE_MAX: never */
    double timeout;       /* seconds for an item; 0: any time */
    double stop_after;    /* seconds after which the run stops as if asked to; 0: never */
    double lease; /* seconds without a sign of life after which a process on another machine counts as dead; 120 */
    bool again;   /* run items that failed for good before, too */
    const char *weights;   /* the model of items that name none; NULL: unknown */
    const char *segmenter; /* of the gate; NULL: unknown */
    const char *device;    /* what results depend on beside inputs and options; NULL: nothing */
    kn_log log;
    kn_progress_callback progress; /* in thousandths of an item; false asks to stop */
    void *progress_user;
} kn_batch_run_params;

typedef struct kn_batch_report {
    size_t total; /* items of this shard */
    size_t found; /* that were finished before */
    size_t done, refused;
    size_t failed;    /* for good: wrong input, too slow */
    size_t temporary; /* for the machine's reasons: run it again */
    size_t left;      /* not tried, because the run was stopped */
    bool stopped;
    double seconds;
} kn_batch_report;

/* Runs, resumes, or helps other processes that fill the same folder; returns when every item of the shard is finished
 * or failed, whoever did it. Items that fail do not make it fail: see the report. The caller ignores SIGPIPE. */
bool kn_batch_run(const kn_batch_run_params *params, kn_batch_report *report, kn_error *error);

#endif
