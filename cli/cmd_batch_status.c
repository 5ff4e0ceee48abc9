#include "cli/batch_verbs.h"

#include "cli/commands.h"
#include "pipelines/batch/records.h"

#include <stdlib.h>
#include <string.h>

typedef struct summary {
    size_t done, refused, failed, temporary, running, waiting;
    double seconds;
    uint64_t bytes, memory;
    bool json;
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

/* A line of JSON; takes the record. */
static void print_json(json_t *record) {
    json_dumpf(record, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(record);
}

/* Why a set-aside item was refused: the bounds that its last seed missed. */
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

static void print_claim(const summary *s, const char *name, const kn_claim_info *claim) {
    if (s->json)
        print_json(json_pack("{ss ss ss sI sf}", "name", name, "status", claim->alive ? "running" : "waiting", "host",
                             claim->host, "pid", (json_int_t)claim->pid, "silent", claim->age));
    else if (claim->alive)
        printf("runs     %s: on %s, process %ld, last sign of life %.0f s ago\n", name, claim->host, claim->pid,
               claim->age);
    else printf("waits    %s: its process %ld on %s has died\n", name, claim->pid, claim->host);
}

static void print_record(const summary *s, const char *name, kn_record_status status, const json_t *record) {
    static const char *const names[] = {"waiting", "done", "refused", "failed", "temporary"};
    const char *why = json_string_value(json_object_get(record, "error"));
    if (s->json) {
        json_t *line = json_pack("{ss ss}", "name", name, "status", names[status]);
        static const char *const told[] = {"error", "seconds", "host", "seed", "metrics", "refused"};
        for (size_t i = 0; i < KN_COUNT(told); i++)
            if (json_object_get(record, told[i])) json_object_set(line, told[i], json_object_get(record, told[i]));
        print_json(line);
    } else if (status == KN_RECORD_REFUSED) {
        print_refused(name, record);
    } else if (status == KN_RECORD_FAILED || status == KN_RECORD_TEMPORARY) {
        printf("failed   %s: %s%s\n", name, why ? why : "",
               status == KN_RECORD_TEMPORARY ? " (will be tried again)" : "");
    }
}

static void look_at_item(summary *s, const kn_store *store, const kn_batch_item *item, const kn_claim_info *claim) {
    json_t *record = kn_record_read(store, item->name);
    kn_record_status status = kn_record_status_of(record);
    if (status == KN_RECORD_DONE || status == KN_RECORD_REFUSED) count_record(s, record);
    if (claim && (claim->alive || status == KN_RECORD_NONE)) {
        claim->alive ? s->running++ : s->waiting++;
        print_claim(s, item->name, claim);
    } else {
        size_t *const counts[] = {&s->waiting, &s->done, &s->refused, &s->failed, &s->temporary};
        ++*counts[status];
        print_record(s, item->name, status, record);
    }
    json_decref(record);
}

static void print_summary(const summary *s, size_t items) {
    size_t finished = s->done + s->refused;
    if (s->json) {
        print_json(json_pack("{sI sI sI sI sI sI sI sf sI sI}", "items", (json_int_t)items, "done", (json_int_t)s->done,
                             "refused", (json_int_t)s->refused, "failed", (json_int_t)s->failed, "temporary",
                             (json_int_t)s->temporary, "running", (json_int_t)s->running, "waiting",
                             (json_int_t)s->waiting, "seconds", s->seconds, "bytes", (json_int_t)s->bytes,
                             "peak_memory", (json_int_t)s->memory));
        return;
    }
    printf("%zu items: %zu done, %zu set aside, %zu failed for good, %zu failed this time, %zu running, %zu waiting\n",
           items, s->done, s->refused, s->failed, s->temporary, s->running, s->waiting);
    if (finished)
        printf("%.1f s per finished item, %.3f GB in all, at most %.0f MB of memory; set aside: %.1f %%\n",
               s->seconds / (double)finished, (double)s->bytes * 1e-9, (double)s->memory * 1e-6,
               100. * (double)s->refused / (double)finished);
}

static bool print_status(const char *folder, bool json, kn_error *error) {
    char *jobs = kn_path_join(folder, "jobs.jsonl", error);
    kn_batch_plan plan = {0};
    kn_store store = {0};
    kn_claim_info *claims = NULL;
    size_t claim_count = 0;
    bool ok = jobs && kn_batch_plan_init(&plan, jobs, error) && kn_store_view(&store, folder, 120, error) &&
              kn_store_list_claims(&store, &claims, &claim_count, error);
    if (ok) {
        summary s = {.json = json};
        if (claim_count) qsort(claims, claim_count, sizeof *claims, compare_claims);
        for (size_t i = 0; i < plan.count; i++)
            look_at_item(&s, &store, &plan.items[i], find_claim(claims, claim_count, plan.items[i].name));
        print_summary(&s, plan.count);
    }
    kn_free(claims);
    kn_store_finish(&store);
    kn_batch_plan_finish(&plan);
    kn_free(jobs);
    return ok;
}

int kn_batch_status_command(int argc, char **argv) {
    kn_error error = {0};
    const char *folder = NULL;
    int folders = 0;
    bool json = false, help = false;
    const kn_option table[] = {
        {"--json", KN_OPTION_FLAG, &json, 0, 0, NULL, NULL, "a line of JSON for each item, then one for all", 0},
        {"--help", KN_OPTION_FLAG, &help, 0, 0, NULL, NULL, "this text", 'h'},
    };
    if (!kn_options_parse(table, KN_COUNT(table), argc, argv, &folder, 1, &folders, &error)) return kn_cmd_fail(&error);
    if (help) {
        puts("usage: kinora batch status DIR [--json]\n"
             "What of a batch is done, what runs where, what failed and why. Changes nothing.\n");
        kn_options_print(table, KN_COUNT(table), stdout);
        return 0;
    }
    if (!folder)
        kn_fail(&error, KN_ERROR_INPUT, "batch status needs the folder of a batch; see kinora batch status --help");
    return folder && print_status(folder, json, &error) ? 0 : kn_cmd_fail(&error);
}
