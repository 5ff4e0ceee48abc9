/* Shared by run.c and run_items.c: the state of a running batch. Internal to pipelines/batch/ */
#ifndef KN_BATCH_RUN_INTERNAL_H
#define KN_BATCH_RUN_INTERNAL_H

#include "pipelines/batch/fingerprint.h"
#include "pipelines/batch/pool.h"
#include "pipelines/batch/records.h"
#include "pipelines/batch/run.h"

typedef enum kn_entry_state {
    KN_ENTRY_PENDING,
    KN_ENTRY_RUNNING,
    KN_ENTRY_DONE,
    KN_ENTRY_REFUSED,
    KN_ENTRY_FAILED,
    KN_ENTRY_TEMPORARY
} kn_entry_state;

/* An item of this shard. */
typedef struct kn_entry {
    size_t item; /* in the plan */
    kn_entry_state state;
    int tries;
    double not_before; /* seconds of the clock: another process has it, or it has just failed */
    bool found;        /* it was finished before */
    bool checked;      /* its record was looked at */
} kn_entry;

/* A worker and what it does. */
typedef struct kn_slot {
    kn_worker worker;
    bool busy, timed_out, lost;
    size_t entry;
    kn_claim claim;
    char fingerprint[65];
    double started, share; /* share: of the item, 0..1 */
} kn_slot;

typedef struct kn_batch_job {
    const kn_batch_run_params *params;
    kn_store store;
    kn_fingerprints fingerprints;
    kn_entry *entries;
    size_t count, next;
    kn_slot *slots;
    char **lines; /* of results.jsonl, per item of the plan */
    bool changed; /* since results.jsonl was written */
    double started, renewed, written, stop_time;
    bool more; /* kn_batch_give paused before it had looked at every item */
    bool stopping;
    kn_batch_report report;
} kn_batch_job;

/* --- run_items.c --- */
/* Seconds of a clock that never goes back. */
double kn_batch_now(void);
/* Finds the next item that can be run now, claims it and gives it to the slot's worker. *given false: there is none at
 * present. */
bool kn_batch_give(kn_batch_job *job, kn_slot *slot, bool *given, kn_error *error);
/* The worker has answered: publishes, notes the failure, or lets it be tried again. */
bool kn_batch_take_answer(kn_batch_job *job, kn_slot *slot, const json_t *answer, kn_error *error);
/* The item of a slot failed with this error. */
bool kn_batch_take_failure(kn_batch_job *job, kn_slot *slot, const kn_error *why, bool may_retry, kn_error *error);
/* Gives the slot's item back for whoever goes on with it. */
void kn_batch_give_back(kn_batch_job *job, kn_slot *slot);

#endif
