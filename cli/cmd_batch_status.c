#include "cli/batch_verbs.h"

#include "cli/commands.h"
#include "pipelines/batch/records.h"

#include <stdlib.h>
#include <string.h>

typedef struct summary {
    size_t done, refused, failed, temporary, running, waiting;
    double seconds;
    uint64_t bytes, memory;
} summary;

static void count_record(summary *s, const json_t *record) {
    size_t i;
    json_t *file;
    s->seconds += json_number_value(json_object_get(record, "seconds"));
    uint64_t memory = (uint64_t)json_integer_value(json_object_get(record, "peak_memory"));
    if (memory > s->memory) s->memory = memory;
    json_array_foreach(json_object_get(record, "files"), i, file) s->bytes +=
        (uint64_t)json_integer_value(json_object_get(file, "bytes"));
}

static void print_refused(const char *name, const json_t *record) {
    const json_t *tries = json_object_get(record, "refused"), *last = json_array_get(tries, json_array_size(tries) - 1);
    const json_t *missed = json_object_get(last, "missed");
    printf("refused  %s: after %zu seeds:", name, json_array_size(tries));
    for (size_t i = 0; i < json_array_size(missed); i++)
        printf("%s %s", i ? ";" : "", json_string_value(json_array_get(missed, i)));
    printf("\n");
}

static int compare_claims(const void *a, const void *b) {
    return strcmp(((const kn_claim_info *)a)->name, ((const kn_claim_info *)b)->name);
}

static const kn_claim_info *find_claim(const kn_claim_info *claims, size_t count, const char *name) {
    kn_claim_info key;
    snprintf(key.name, sizeof key.name, "%.127s", name);
    return count ? bsearch(&key, claims, count, sizeof *claims, compare_claims) : NULL;
}

static void look_at_item(summary *s, const kn_store *store, const kn_batch_item *item, const kn_claim_info *claim) {
    json_t *record = kn_record_read(store, item->name);
    kn_record_status status = kn_record_status_of(record);
    if (claim && claim->alive) {
        s->running++;
        printf("runs     %s: on %s, process %ld, last sign of life %.0f s ago\n", item->name, claim->host, claim->pid,
               claim->age);
    } else if (status == KN_RECORD_DONE) {
        s->done++;
        count_record(s, record);
    } else if (status == KN_RECORD_REFUSED) {
        s->refused++;
        count_record(s, record);
        print_refused(item->name, record);
    } else if (status == KN_RECORD_NONE) {
        s->waiting++;
        if (claim) printf("waits    %s: its process %ld on %s has died\n", item->name, claim->pid, claim->host);
    } else {
        status == KN_RECORD_TEMPORARY ? s->temporary++ : s->failed++;
        const char *why = json_string_value(json_object_get(record, "error"));
        printf("failed   %s: %s%s\n", item->name, why ? why : "",
               status == KN_RECORD_TEMPORARY ? " (will be tried again)" : "");
    }
    json_decref(record);
}

int kn_batch_status_command(int argc, char **argv) {
    kn_error error = {0};
    if (argc != 1 || argv[0][0] == '-') {
        puts("usage: kinora batch status DIR\nWhat of a batch is done, what runs where, what failed and why.");
        return argc == 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) ? 0 : 2;
    }
    char *jobs = kn_path_join(argv[0], "jobs.jsonl", &error);
    kn_batch_plan plan;
    kn_store store;
    kn_claim_info *claims = NULL;
    size_t claim_count = 0;
    if (!jobs || !kn_batch_plan_init(&plan, jobs, &error)) {
        kn_free(jobs);
        return kn_cmd_fail(&error);
    }
    bool ok =
        kn_store_view(&store, argv[0], 120, &error) && kn_store_list_claims(&store, &claims, &claim_count, &error);
    if (ok) {
        summary s = {0};
        if (claim_count) qsort(claims, claim_count, sizeof *claims, compare_claims);
        for (size_t i = 0; i < plan.count; i++)
            look_at_item(&s, &store, &plan.items[i], find_claim(claims, claim_count, plan.items[i].name));
        printf(
            "%zu items: %zu done, %zu set aside, %zu failed for good, %zu failed this time, %zu running, %zu waiting\n",
            plan.count, s.done, s.refused, s.failed, s.temporary, s.running, s.waiting);
        if (s.done + s.refused)
            printf("%.1f s per finished item, %.3f GB in all, at most %.0f MB of memory; set aside: %.1f %%\n",
                   s.seconds / (double)(s.done + s.refused), (double)s.bytes * 1e-9, (double)s.memory * 1e-6,
                   100. * (double)s.refused / (double)(s.done + s.refused));
    }
    kn_free(claims);
    kn_store_finish(&store);
    kn_batch_plan_finish(&plan);
    kn_free(jobs);
    return ok ? 0 : kn_cmd_fail(&error);
}
