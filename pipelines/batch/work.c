#include "pipelines/batch/work.h"

#include "pipelines/batch/fingerprint.h"
#include "pipelines/batch/sheet.h"
#include "pipelines/common/journal.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef struct work {
    const kn_batch_item *item;
    const kn_work_params *params;
    json_t *refused; /* what earlier attempts missed: an array of {seed, missed, metrics} */
    json_t *metrics; /* of the present attempt; NULL when nothing is measured */
    double seconds;  /* of the verb, all attempts of this process */
} work;

bool kn_batch_is_permanent(kn_error_kind kind) {
    return kind == KN_ERROR_INPUT || kind == KN_ERROR_UNSUPPORTED || kind == KN_ERROR_INTERNAL;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- small files
 * -------------------------------------------------------------------------------------------------------- */

static bool write_json(const char *path, const json_t *root, kn_error *error) {
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    bool ok = text ? kn_file_write(path, text, strlen(text), error)
                   : kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path);
    free(text);
    return ok;
}

/* The attempts that were refused before a kill. */
static json_t *read_refused(const work *w) {
    char *path = kn_path_join(w->params->folder, "attempts.json", NULL);
    json_t *list = path ? json_load_file(path, 0, NULL) : NULL;
    kn_free(path);
    if (json_is_array(list)) return list;
    json_decref(list);
    return json_array();
}

static bool write_refused(const work *w, kn_error *error) {
    char *path = kn_path_join(w->params->folder, "attempts.json", error);
    bool ok = path && write_json(path, w->refused, error);
    kn_free(path);
    return ok;
}

/* A further seed begins with an empty folder; only the list of attempts stays. */
static bool clear_folder(const work *w, kn_error *error) {
    DIR *dir = opendir(w->params->folder);
    bool ok = dir || kn_fail(error, KN_ERROR_IO, "%s: cannot open: %s", w->params->folder, strerror(errno));
    for (struct dirent *entry; dir && ok && (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || !strcmp(entry->d_name, "attempts.json"))
            continue;
        char *path = kn_path_join(w->params->folder, entry->d_name, error);
        ok = path && kn_remove_tree(path, error);
        kn_free(path);
    }
    if (dir) closedir(dir);
    return ok;
}

/* --- the gate
 * ------------------------------------------------------------------------------------------------------------ */

static bool run_verb(work *w, int attempt, kn_error *error) {
    size_t count;
    char **arguments = kn_batch_arguments(w->item, w->params->folder, attempt, &count, error);
    if (!arguments) return false;
    double begin = now();
    bool ok = w->params->run(w->params->user, count, arguments, error);
    w->seconds += now() - begin;
    kn_free(arguments);
    return ok;
}

static bool measure(work *w, kn_error *error) {
    char *path = kn_path_join(w->params->folder, "eval.json", error), *folder = kn_strdup(w->params->folder, error);
    bool ok = path && folder;
    if (ok) {
        char *arguments[] = {"eval", folder, "--json", path, "--no-renderer", NULL};
        ok = w->params->run(w->params->user, 5, arguments, error);
    }
    json_t *report = ok ? json_load_file(path, 0, NULL) : NULL;
    w->metrics = json_incref(json_object_get(report, "clip"));
    if (ok && !w->metrics) ok = kn_fail(error, KN_ERROR_INTERNAL, "%s: not a report of eval", path);
    json_decref(report);
    kn_free(path);
    kn_free(folder);
    return ok;
}

/* Which bounds the present attempt misses; an empty array when it is kept. What could not be measured is missed. */
static json_t *missed_bounds(const work *w) {
    json_t *missed = json_array();
    for (size_t i = 0; i < w->item->gate->count; i++) {
        const kn_batch_bound *b = &w->item->gate->bounds[i];
        json_t *value = json_object_get(w->metrics, b->metric);
        double number = json_is_number(value) ? json_number_value(value) : NAN;
        if (b->at_least ? number >= b->value : number <= b->value) continue;
        char text[160];
        if (isnan(number)) snprintf(text, sizeof text, "%s was not measured", b->name);
        else
            snprintf(text, sizeof text, "%s %.4g, expected %s %.4g", b->name, number,
                     b->at_least ? "at least" : "at most", b->value);
        json_array_append_new(missed, json_string(text));
    }
    return missed;
}

/* Runs attempts until one is kept or none is left. */
static bool run_attempts(work *w, bool *kept, kn_error *error) {
    int last = w->item->gate ? w->item->gate->resample : 0;
    *kept = false;
    for (int attempt = (int)json_array_size(w->refused); attempt <= last && !*kept; attempt++) {
        json_decref(w->metrics);
        w->metrics = NULL;
        if (!run_verb(w, attempt, error)) return false;
        if (!w->item->gate) {
            *kept = true;
            return true;
        }
        if (!measure(w, error)) return false;
        json_t *missed = missed_bounds(w);
        *kept = json_array_size(missed) == 0;
        if (*kept) {
            json_decref(missed);
            break;
        }
        json_array_append_new(w->refused, json_pack("{sI so sO}", "seed", (json_int_t)kn_batch_seed(w->item, attempt),
                                                    "missed", missed, "metrics", w->metrics));
        if (!write_refused(w, error) || (attempt < last && !clear_folder(w, error))) return false;
    }
    return true;
}

/* --- the record
 * --------------------------------------------------------------------------------------------------------- */

static bool add_entry(json_t *list, const char *folder, const char *name, kn_error *error) {
    char *path = kn_path_join(folder, name, error);
    struct stat info;
    kn_tree tree;
    bool ok = path && (stat(path, &info) == 0 || kn_fail(error, KN_ERROR_IO, "%s: %s", path, strerror(errno))) &&
              kn_tree_hash(path, &tree, error);
    kn_free(path);
    if (!ok) return false;
    json_t *entry = json_pack("{ss sI ss}", "path", name, "bytes", (json_int_t)tree.bytes, "sha256", tree.hash);
    if (S_ISDIR(info.st_mode)) json_object_set_new(entry, "files", json_integer((json_int_t)tree.files));
    json_array_append_new(list, entry);
    return true;
}

static int compare_names(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Every file with its hash; a folder counts as one entry, its hash over all that is in it. */
static bool list_files(const char *folder, json_t *list, kn_error *error) {
    struct dirent **names;
    int count = scandir(folder, &names, NULL, compare_names);
    bool ok = count >= 0 || kn_fail(error, KN_ERROR_IO, "%s: cannot open: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        if (ok && *name != '.' && strcmp(name, "item.json") != 0) ok = add_entry(list, folder, name, error);
        free(names[i]);
    }
    if (count >= 0) free(names);
    return ok;
}

/* The most memory that this process had resident since the last call, bytes; 0 where the system does not tell. */
static uint64_t peak_memory(void) {
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %llu kB", &kib) == 1) break;
    if (file) fclose(file);
    file = fopen("/proc/self/clear_refs", "w");
    if (file) {
        fputs("5", file);
        fclose(file);
    }
    return kib * 1024;
}

static json_t *options_record(const kn_batch_item *item) {
    json_t *record = json_object();
    for (size_t i = 0; i < item->option_count; i++)
        json_object_set_new(record, item->options[i].key, json_string(item->options[i].value));
    return record;
}

static bool write_record(work *w, bool kept, kn_error *error) {
    json_t *root = json_object(), *files = json_array();
    size_t refused = json_array_size(w->refused);
    int attempt = (int)refused - !kept;
    json_object_set_new(root, "name", json_string(w->item->name));
    json_object_set_new(root, "verb", json_string(w->item->verb->name));
    json_object_set_new(root, "status", json_string(kept ? "done" : "refused"));
    json_object_set_new(root, "fingerprint", json_string(w->params->fingerprint));
    json_object_set_new(root, "options", options_record(w->item));
    if (w->item->verb->has_seed)
        json_object_set_new(root, "seed", json_integer((json_int_t)kn_batch_seed(w->item, attempt)));
    json_object_set_new(root, "seconds", json_real(round(w->seconds * 1000) / 1000));
    json_object_set_new(root, "peak_memory", json_integer((json_int_t)peak_memory()));
    json_object_set_new(root, "host", json_string(w->params->host));
    json_object_set_new(root, "finished", json_integer((json_int_t)time(NULL)));
    if (w->metrics) json_object_set(root, "metrics", w->metrics);
    if (refused) json_object_set(root, "refused", w->refused);
    json_object_set_new(root, "files", files);
    char *path = kn_path_join(w->params->folder, "item.json", error);
    bool ok = path && list_files(w->params->folder, files, error) && write_json(path, root, error);
    kn_free(path);
    json_decref(root);
    return ok;
}

kn_work_status kn_batch_work(const kn_batch_item *item, const kn_work_params *params, kn_error *error) {
    work w = {.item = item, .params = params};
    bool kept = false;
    peak_memory();
    w.refused = read_refused(&w);
    bool ok = run_attempts(&w, &kept, error);
    char *attempts = kn_path_join(params->folder, "attempts.json", error);
    ok = ok && attempts && kn_remove_tree(attempts, error) && kn_sheet_make(params->folder, error) &&
         write_record(&w, kept, error);
    kn_free(attempts);
    json_decref(w.refused);
    json_decref(w.metrics);
    return !ok ? KN_WORK_FAILED : kept ? KN_WORK_DONE : KN_WORK_REFUSED;
}

/* --- orders
 * --------------------------------------------------------------------------------------------------------------- */

bool kn_batch_order_write(const kn_batch_item *item, const kn_work_params *params, const char *log, FILE *stream) {
    json_t *root = json_pack("{ss ss ss ss}", "work", params->folder, "fingerprint", params->fingerprint, "host",
                             params->host, "log", log);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    bool ok = text != NULL;
    if (ok) {
        fprintf(stream, "%s\t", text); /* a tab cannot stand in compact JSON */
        ok = kn_batch_item_write(item, stream) && fputc('\n', stream) != EOF;
    }
    free(text);
    json_decref(root);
    return ok;
}
