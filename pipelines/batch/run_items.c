#include "pipelines/batch/run_internal.h"

#include "pipelines/batch/work.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double kn_batch_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const kn_batch_item *item_of(const kn_batch_job *job, const kn_entry *entry) {
    return &job->params->plan->items[entry->item];
}

/* --- what is known before an item runs
 * --------------------------------------------------------------------------------- */

/* Hashes the item's inputs; an input that is not there makes the item fail at once. */
static bool fingerprint_item(kn_batch_job *job, kn_entry *entry, char hex[65], bool *usable, kn_error *error) {
    kn_error why = {0};
    const kn_batch_item *item = item_of(job, entry);
    *usable = kn_fingerprint(&job->fingerprints, item, hex, &why);
    if (*usable) return true;
    if (why.kind == KN_ERROR_MEMORY) {
        if (error) *error = why;
        return false;
    }
    entry->state = kn_batch_is_permanent(why.kind) ? KN_ENTRY_FAILED : KN_ENTRY_TEMPORARY;
    kn_log_line(&job->params->log, KN_LOG_ERROR, "%s: %s", item->name, why.message);
    job->changed = true;
    return kn_record_write_failure(&job->store, item, "", &why, ++entry->tries, error);
}

/* Is the item finished, or has it failed for good? Sets the entry's state if so. */
static void look_at_record(kn_batch_job *job, kn_entry *entry, const char *fingerprint) {
    json_t *record = kn_record_read(&job->store, item_of(job, entry)->name);
    if (record && kn_record_holds(&job->store, record, fingerprint)) {
        kn_record_status status = kn_record_status_of(record);
        if (status == KN_RECORD_DONE) entry->state = KN_ENTRY_DONE;
        else if (status == KN_RECORD_REFUSED) entry->state = KN_ENTRY_REFUSED;
        else if (status == KN_RECORD_FAILED && !job->params->again && entry->tries == 0) entry->state = KN_ENTRY_FAILED;
        entry->found = entry->state == KN_ENTRY_DONE || entry->state == KN_ENTRY_REFUSED;
        if (entry->state == KN_ENTRY_FAILED)
            kn_log_line(&job->params->log, KN_LOG_ERROR, "%s: failed before: %s", item_of(job, entry)->name,
                        json_string_value(json_object_get(record, "error")));
    }
    json_decref(record);
}

/* --- giving
 * ------------------------------------------------------------------------------------------------------------ */

static bool send_order(kn_batch_job *job, kn_slot *slot, kn_error *error) {
    const kn_batch_item *item = item_of(job, &job->entries[slot->entry]);
    kn_work_params order = {.folder = slot->claim.work, .fingerprint = slot->fingerprint, .host = job->store.host};
    char *text = NULL, *log = kn_store_path(&job->store, "state/logs", item->name, ".log", error);
    size_t length = 0;
    FILE *stream = log ? open_memstream(&text, &length) : NULL;
    bool ok = stream && kn_batch_order_write(item, &order, log, stream);
    if (stream) fclose(stream);
    if (log && !ok) kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", item->name);
    ok = ok && (slot->worker.pid > 0 || kn_worker_start(&slot->worker, job->params->worker, error)) &&
         kn_worker_send(&slot->worker, text, length, error);
    free(text);
    kn_free(log);
    return ok;
}

/* *given: the slot has it now. */
static bool try_entry(kn_batch_job *job, kn_slot *slot, kn_entry *entry, bool *given, kn_error *error) {
    char fingerprint[65];
    bool usable, taken;
    const kn_batch_item *item = item_of(job, entry);
    if (!fingerprint_item(job, entry, fingerprint, &usable, error) || !usable)
        return usable || entry->state != KN_ENTRY_PENDING;
    look_at_record(job, entry, fingerprint);
    if (entry->state != KN_ENTRY_PENDING) return true;
    if (!kn_store_claim(&job->store, item->name, &slot->claim, &taken, error)) return false;
    if (!taken) {
        entry->not_before = kn_batch_now() + 2; /* another process has it */
        return true;
    }
    look_at_record(job, entry, fingerprint); /* finished between our look and our claim? */
    if (entry->state != KN_ENTRY_PENDING) {
        kn_store_release(&job->store, item->name, &slot->claim, false);
        return true;
    }
    memcpy(slot->fingerprint, fingerprint, sizeof fingerprint);
    slot->entry = (size_t)(entry - job->entries);
    slot->timed_out = slot->lost = false;
    slot->share = 0;
    slot->started = kn_batch_now();
    slot->busy = *given = true;
    entry->state = KN_ENTRY_RUNNING;
    kn_error why = {0};
    if (send_order(job, slot, &why)) return true;
    kn_worker_end(&slot->worker, SIGKILL, true);
    return kn_batch_take_failure(job, slot, &why, true, error);
}

bool kn_batch_give(kn_batch_job *job, kn_slot *slot, bool *given, kn_error *error) {
    *given = job->more = false;
    double until = kn_batch_now() + .3; /* then the workers want to be heard again */
    for (size_t n = 0; n < job->count && !*given; n++) {
        kn_entry *entry = &job->entries[job->next];
        job->next = (job->next + 1) % job->count;
        if (entry->state != KN_ENTRY_PENDING || entry->not_before > kn_batch_now()) continue;
        if (!try_entry(job, slot, entry, given, error)) return false;
        if (kn_batch_now() > until) {
            job->more = !*given;
            return true;
        }
    }
    return true;
}

/* --- taking
 * ------------------------------------------------------------------------------------------------------------- */

static void free_slot(kn_batch_job *job, kn_slot *slot, bool keep_work) {
    const kn_batch_item *item = item_of(job, &job->entries[slot->entry]);
    kn_store_release(&job->store, item->name, &slot->claim, keep_work);
    slot->busy = false;
    slot->share = 0;
}

void kn_batch_give_back(kn_batch_job *job, kn_slot *slot) {
    job->entries[slot->entry].state = KN_ENTRY_PENDING;
    free_slot(job, slot, true);
}

bool kn_batch_take_failure(kn_batch_job *job, kn_slot *slot, const kn_error *why, bool may_retry, kn_error *error) {
    kn_entry *entry = &job->entries[slot->entry];
    const kn_batch_item *item = item_of(job, entry);
    bool permanent = kn_batch_is_permanent(why->kind),
         again = may_retry && entry->tries < job->params->retry && !job->stopping;
    kn_error note = {0};
    entry->tries++;
    kn_log_line(&job->params->log, again ? KN_LOG_WARNING : KN_LOG_ERROR, "%s: %s%s", item->name, why->message,
                again ? "; tried again" : "");
    if (again) {
        entry->not_before = kn_batch_now() + fmin(.5 * entry->tries * entry->tries, 30);
        entry->state = KN_ENTRY_PENDING;
        free_slot(job, slot, true);
        return true;
    }
    entry->state = permanent ? KN_ENTRY_FAILED : KN_ENTRY_TEMPORARY;
    if (!kn_record_write_failure(&job->store, item, slot->fingerprint, why, entry->tries, &note))
        kn_log_line(&job->params->log, KN_LOG_ERROR, "%s: %s", item->name,
                    note.message); /* a full disk: the batch goes on */
    job->changed = true;
    free_slot(job, slot, !permanent);
    (void)error;
    return true;
}

static kn_error_kind kind_of(const json_t *answer) {
    json_int_t kind = json_integer_value(json_object_get(answer, "kind"));
    return kind > KN_ERROR_NONE && kind <= KN_ERROR_INTERNAL ? (kn_error_kind)kind : KN_ERROR_INTERNAL;
}

bool kn_batch_take_answer(kn_batch_job *job, kn_slot *slot, const json_t *answer, kn_error *error) {
    kn_entry *entry = &job->entries[slot->entry];
    const kn_batch_item *item = item_of(job, entry);
    const char *status = json_string_value(json_object_get(answer, "status")),
               *message = json_string_value(json_object_get(answer, "error"));
    bool refused = status && strcmp(status, "refused") == 0, done = status && strcmp(status, "done") == 0, published;
    if (!done && !refused) {
        kn_error why = {.kind = kind_of(answer)};
        snprintf(why.message, sizeof why.message, "%s", message ? message : "no reason given");
        if (why.kind == KN_ERROR_CANCELLED) {
            kn_batch_give_back(job, slot);
            return true;
        }
        return kn_batch_take_failure(job, slot, &why, !kn_batch_is_permanent(why.kind), error);
    }
    kn_error why = {0};
    if (!kn_store_publish(&job->store, item->name, &slot->claim, refused ? "set-aside" : "items", &published, &why))
        return kn_batch_take_failure(job, slot, &why, true, error);
    kn_record_drop_failure(&job->store, item->name);
    job->changed = true;
    /* Not ours any more: another process took it over, and will publish it or has done so. */
    entry->state = !published ? KN_ENTRY_PENDING : refused ? KN_ENTRY_REFUSED : KN_ENTRY_DONE;
    free_slot(job, slot, false);
    return true;
}
