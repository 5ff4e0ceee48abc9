/* What is known of items: item.json of finished ones, state/failed/<name>.json of failed ones; results.jsonl made of
 * them. */
#ifndef KN_BATCH_RECORDS_H
#define KN_BATCH_RECORDS_H

#include "pipelines/batch/plan.h"
#include "pipelines/batch/store.h"

#include <jansson.h>

typedef enum kn_record_status {
    KN_RECORD_NONE,
    KN_RECORD_DONE,
    KN_RECORD_REFUSED,
    KN_RECORD_FAILED,
    KN_RECORD_TEMPORARY
} kn_record_status;

/* The record of an item, NULL when there is none; the caller drops it with json_decref. */
json_t *kn_record_read(const kn_store *store, const char *name);
kn_record_status kn_record_status_of(const json_t *record);
/* Is it of these contents, and do its files stand where it says, with the sizes that it says? */
bool kn_record_holds(const kn_store *store, const json_t *record, const char *fingerprint);

/* Notes that an item failed. */
bool kn_record_write_failure(const kn_store *store, const kn_batch_item *item, const char *fingerprint,
                             const kn_error *why, int tries, kn_error *error);
/* Forgets that it failed. */
void kn_record_drop_failure(const kn_store *store, const char *name);

/* Writes <folder>/results.jsonl, a line for each item of the plan that has a record, in the plan's order. `lines` (one
 * for each item, NULL at first, freed with free; or NULL) keeps the lines of finished items from call to call. *count:
 * how many lines. */
bool kn_records_write_results(const kn_store *store, const kn_batch_plan *plan, char **lines, size_t *count,
                              kn_error *error);

/* <folder>/jobs.jsonl: the plan, for status and merge. */
bool kn_records_write_plan(const kn_store *store, const kn_batch_plan *plan, kn_error *error);

#endif
