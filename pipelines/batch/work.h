/* One item from begin to end, in the process of a worker: the verb, the gate with its further seeds, the record. */
#ifndef KN_BATCH_WORK_H
#define KN_BATCH_WORK_H

#include "pipelines/batch/plan.h"

/* Runs a verb with its arguments (arguments[0] is the verb). Called for "drive ...", and for "eval FOLDER --json FILE".
 */
typedef bool (*kn_batch_run_verb)(void *user, size_t count, char **arguments, kn_error *error);

typedef struct kn_work_params {
    const char *folder; /* the claim's work folder; the verb's results go there */
    const char *fingerprint;
    const char *host;
    kn_batch_run_verb run;
    void *user;
} kn_work_params;

typedef enum kn_work_status { KN_WORK_DONE, KN_WORK_REFUSED, KN_WORK_FAILED } kn_work_status;

/* Runs the item and writes <folder>/item.json unless it failed. With KN_WORK_FAILED `error` says why; what is in the
 * folder then lets the item go on where it stood. */
kn_work_status kn_batch_work(const kn_batch_item *item, const kn_work_params *params, kn_error *error);

/* Would the same item fail again? Wrong input and what Kinora does not do: yes; the machine's troubles: no. */
bool kn_batch_is_permanent(kn_error_kind kind);

/* A message from the batch to a worker and back, one line of JSON each. */
bool kn_batch_order_write(const kn_batch_item *item, const kn_work_params *params, const char *log, FILE *stream);

#endif
