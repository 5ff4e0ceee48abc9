#include "pipelines/batch/run_internal.h"

#include "pipelines/batch/page.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { GRACE = 25 }; /* seconds that a worker has to save its state: Slurm and spot nodes give 30 */

/* --- one round
 * ------------------------------------------------------------------------------------------------------------ */

/* The worker of a slot is gone. */
static bool take_death(kn_batch_job *job, kn_slot *slot, kn_error *error) {
    int status = kn_worker_end(&slot->worker, 0, true);
    if (!slot->busy) return true;
    if (slot->lost || (job->stopping && !slot->timed_out)) {
        kn_batch_give_back(job, slot);
        return true;
    }
    kn_error why = {0};
    if (slot->timed_out) {
        kn_fail(&why, KN_ERROR_INPUT, "not finished after %.0f s (timeout)", kn_batch_now() - slot->started);
        return kn_batch_take_failure(job, slot, &why, false, error);
    }
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (number == SIGKILL) kn_fail(&why, KN_ERROR_MEMORY, "the worker was killed (out of memory?)");
    else if (number == SIGBUS)
        kn_fail(&why, KN_ERROR_IO, "the worker lost a file that it was reading (signal %d)", number);
    else if (number) kn_fail(&why, KN_ERROR_INTERNAL, "the worker crashed (signal %d, %s)", number, strsignal(number));
    else kn_fail(&why, KN_ERROR_INTERNAL, "the worker ended with code %d", WEXITSTATUS(status));
    return kn_batch_take_failure(job, slot, &why, true, error);
}

static bool hear(kn_batch_job *job, kn_slot *slot, kn_error *error) {
    for (;;) {
        json_t *message;
        bool ended = false, ok = true;
        if (!kn_worker_receive(&slot->worker, &message, &ended, error)) return false;
        if (!message) return !ended || take_death(job, slot, error);
        const json_t *share = json_object_get(message, "progress");
        if (json_is_number(share)) slot->share = fmin(fmax(json_number_value(share), 0), 1);
        else if (slot->busy && !slot->lost && !slot->timed_out && json_object_get(message, "status"))
            ok = kn_batch_take_answer(job, slot, message, error);
        json_decref(message);
        if (!ok) return false;
    }
}

/* Waits a little for what the workers say. */
static bool listen_to_workers(kn_batch_job *job, kn_error *error) {
    struct pollfd *ends = kn_alloc((size_t)job->params->jobs, sizeof *ends, error);
    if (!ends) return false;
    for (int i = 0; i < job->params->jobs; i++)
        ends[i] = (struct pollfd){.fd = job->slots[i].worker.pid > 0 ? job->slots[i].worker.out : -1, .events = POLLIN};
    bool ok = poll(ends, (nfds_t)job->params->jobs, job->more ? 0 : 200) >= 0 || errno == EINTR ||
              kn_fail(error, KN_ERROR_IO, "poll: %s", strerror(errno));
    for (int i = 0; ok && i < job->params->jobs; i++)
        if (ends[i].fd >= 0 && ends[i].revents) ok = hear(job, &job->slots[i], error);
    kn_free(ends);
    return ok;
}

/* Signs of life for our claims, and the end of items that take too long. */
static void look_after_items(kn_batch_job *job) {
    double now = kn_batch_now();
    bool renew = now - job->renewed > fmin(job->params->lease / 4, 30);
    if (renew) job->renewed = now;
    for (int i = 0; i < job->params->jobs; i++) {
        kn_slot *slot = &job->slots[i];
        if (!slot->busy) continue;
        double timeout = job->params->plan->items[job->entries[slot->entry].item].timeout;
        if (timeout <= 0) timeout = job->params->timeout;
        if (timeout > 0 && now - slot->started > timeout && !slot->timed_out && !job->stopping) {
            slot->timed_out = true;
            kill(slot->worker.pid, SIGKILL);
        }
        if (renew && !kn_store_renew(&job->store, &slot->claim) && !slot->lost && !slot->timed_out) {
            kn_log_line(&job->params->log, KN_LOG_WARNING, "%s: another process took this item over",
                        job->params->plan->items[job->entries[slot->entry].item].name);
            slot->lost = true;
            kill(slot->worker.pid, SIGKILL);
        }
    }
}

static void count_items(kn_batch_job *job) {
    kn_batch_report *r = &job->report;
    *r = (kn_batch_report){.total = job->count, .stopped = r->stopped, .seconds = kn_batch_now() - job->started};
    for (size_t i = 0; i < job->count; i++) {
        const kn_entry *e = &job->entries[i];
        r->found += e->found;
        r->done += e->state == KN_ENTRY_DONE;
        r->refused += e->state == KN_ENTRY_REFUSED;
        r->failed += e->state == KN_ENTRY_FAILED;
        r->temporary += e->state == KN_ENTRY_TEMPORARY;
        r->left += e->state == KN_ENTRY_PENDING || e->state == KN_ENTRY_RUNNING;
    }
}

static void ask_workers_to_stop(kn_batch_job *job) {
    job->stopping = true;
    job->stop_time = kn_batch_now();
    for (int i = 0; i < job->params->jobs; i++)
        if (job->slots[i].worker.pid > 0) kn_worker_end(&job->slots[i].worker, SIGTERM, false);
}

/* Reports, and finds out whether the run is to end before its items do. */
static void check_stop(kn_batch_job *job) {
    const kn_batch_run_params *p = job->params;
    double share = 0;
    count_items(job);
    for (int i = 0; i < p->jobs; i++) share += job->slots[i].busy ? job->slots[i].share : 0;
    size_t over = job->count - job->report.left;
    bool wanted = p->progress && !p->progress(p->progress_user, "batch", (uint64_t)(((double)over + share) * 1000),
                                              (uint64_t)job->count * 1000);
    bool late = p->stop_after > 0 && kn_batch_now() - job->started > p->stop_after;
    if (job->stopping) return;
    if (wanted || late) {
        job->report.stopped = true;
        ask_workers_to_stop(job);
    } else if (job->report.failed + job->report.temporary > p->max_failures) {
        kn_log_line(&p->log, KN_LOG_ERROR, "more than %zu failed items: the batch ends here", p->max_failures);
        ask_workers_to_stop(job);
    }
}

static bool write_results(kn_batch_job *job, kn_error *error) {
    size_t count;
    job->changed = false;
    job->written = kn_batch_now();
    return kn_records_write_results(&job->store, job->params->plan, job->lines, &count, error);
}

static bool any_busy(const kn_batch_job *job) {
    for (int i = 0; i < job->params->jobs; i++)
        if (job->slots[i].busy) return true;
    return false;
}

static bool give_items(kn_batch_job *job, bool *gave, kn_error *error) {
    *gave = false;
    for (int i = 0; i < job->params->jobs; i++) {
        bool given = false;
        if (job->slots[i].busy) continue;
        if (!kn_batch_give(job, &job->slots[i], &given, error)) return false;
        *gave = *gave || given;
        if (!given) return true; /* nothing for the others, either */
    }
    return true;
}

static bool run_rounds(kn_batch_job *job, kn_error *error) {
    for (;;) {
        bool gave = false;
        if (!job->stopping && !give_items(job, &gave, error)) return false;
        if (!listen_to_workers(job, error)) return false;
        look_after_items(job);
        check_stop(job);
        if (job->changed && kn_batch_now() - job->written > 60 && !write_results(job, error)) return false;
        if (job->stopping && kn_batch_now() - job->stop_time > GRACE)
            for (int i = 0; i < job->params->jobs; i++)
                if (job->slots[i].busy) kill(job->slots[i].worker.pid, SIGKILL);
        if (!any_busy(job) && (job->stopping || job->report.left == 0)) return true;
    }
}

/* --- begin and end
 * -------------------------------------------------------------------------------------------------------- */

static bool check_params(const kn_batch_run_params *p, kn_error *error) {
    if (p->shards < 1 || p->shard >= p->shards)
        return kn_fail(error, KN_ERROR_INPUT, "shard %zu of %zu", p->shard + 1, p->shards);
    if (p->jobs < 1 || p->jobs > 1024) return kn_fail(error, KN_ERROR_INPUT, "%d jobs, expected 1..1024", p->jobs);
    if (!(p->lease >= 1)) return kn_fail(error, KN_ERROR_INPUT, "a lease of %g s, expected 1 s or more", p->lease);
    return true;
}

static bool begin(kn_batch_job *job, kn_error *error) {
    const kn_batch_run_params *p = job->params;
    const kn_batch_plan *plan = p->plan;
    job->slots = kn_alloc((size_t)p->jobs, sizeof *job->slots, error);
    job->entries = kn_alloc(plan->count, sizeof *job->entries, error);
    job->lines = kn_alloc(plan->count, sizeof *job->lines, error);
    if (!job->slots || !job->entries || !job->lines) return false;
    for (size_t i = p->shard; i < plan->count; i += p->shards) job->entries[job->count++] = (kn_entry){.item = i};
    if (!kn_store_init(&job->store, p->folder, p->lease, error) || !kn_records_write_plan(&job->store, plan, error))
        return false;
    job->fingerprints = (kn_fingerprints){.device = p->device, .weights = p->weights, .segmenter = p->segmenter};
    return true;
}

/* Everything that was claimed is given back, whatever happened. */
static void end(kn_batch_job *job) {
    for (int i = 0; job->slots && i < job->params->jobs; i++) {
        kn_slot *slot = &job->slots[i];
        kn_worker_end(&slot->worker, slot->busy ? SIGKILL : 0, true);
        if (slot->busy) kn_batch_give_back(job, slot);
    }
    for (size_t i = 0; job->lines && i < job->params->plan->count; i++) free(job->lines[i]);
    kn_free(job->lines);
    kn_free(job->entries);
    kn_free(job->slots);
    kn_fingerprints_finish(&job->fingerprints);
    kn_store_finish(&job->store);
}

bool kn_batch_run(const kn_batch_run_params *params, kn_batch_report *report, kn_error *error) {
    kn_batch_job job = {.params = params, .store = {0}};
    job.started = job.renewed = job.written = kn_batch_now();
    bool ok = check_params(params, error) && begin(&job, error) && (job.count == 0 || run_rounds(&job, error));
    if (ok) {
        count_items(&job);
        ok = write_results(&job, error) && kn_page_write(&job.store, error);
    }
    end(&job);
    if (report) *report = job.report;
    return ok;
}
