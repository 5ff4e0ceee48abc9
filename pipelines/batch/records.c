#include "pipelines/batch/records.h"

#include "pipelines/batch/work.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

json_t *kn_record_read(const kn_store *store, const char *name) {
    static const char *const places[][2] = {
        {"items", "/item.json"}, {"set-aside", "/item.json"}, {"state/failed", ".json"}};
    json_t *record = NULL;
    for (size_t i = 0; i < KN_COUNT(places) && !record; i++) {
        char *path = kn_store_path(store, places[i][0], name, places[i][1], NULL);
        record = path ? json_load_file(path, 0, NULL) : NULL;
        kn_free(path);
    }
    return record;
}

kn_record_status kn_record_status_of(const json_t *record) {
    const char *status = json_string_value(json_object_get(record, "status"));
    if (!status) return KN_RECORD_NONE;
    if (strcmp(status, "done") == 0) return KN_RECORD_DONE;
    if (strcmp(status, "refused") == 0) return KN_RECORD_REFUSED;
    return json_is_true(json_object_get(record, "temporary")) ? KN_RECORD_TEMPORARY : KN_RECORD_FAILED;
}

bool kn_record_holds(const kn_store *store, const json_t *record, const char *fingerprint) {
    const char *found = json_string_value(json_object_get(record, "fingerprint")),
               *name = json_string_value(json_object_get(record, "name"));
    if (!found || !name || strcmp(found, fingerprint) != 0) return false;
    kn_record_status status = kn_record_status_of(record);
    if (status != KN_RECORD_DONE && status != KN_RECORD_REFUSED) return true;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(record, "files"), i, entry) {
        const char *file = json_string_value(json_object_get(entry, "path"));
        char *folder = kn_store_path(store, status == KN_RECORD_DONE ? "items" : "set-aside", name, "", NULL);
        char *path = folder && file ? kn_path_join(folder, file, NULL) : NULL;
        struct stat info;
        bool there = path && stat(path, &info) == 0;
        if (there && S_ISREG(info.st_mode)) there = info.st_size == json_integer_value(json_object_get(entry, "bytes"));
        kn_free(path);
        kn_free(folder);
        if (!there) return false;
    }
    return true;
}

bool kn_record_write_failure(const kn_store *store, const kn_batch_item *item, const char *fingerprint,
                             const kn_error *why, int tries, kn_error *error) {
    static const char *const kinds[] = {"none",   "input",       "io",        "memory",
                                        "device", "unsupported", "cancelled", "internal"};
    json_t *options = json_object();
    for (size_t i = 0; i < item->option_count; i++)
        json_object_set_new(options, item->options[i].key, json_string(item->options[i].value));
    json_t *root = json_pack("{ss ss ss ss so ss ss sb si ss sI}", "name", item->name, "verb", item->verb->name,
                             "status", "failed", "fingerprint", fingerprint, "options", options, "error", why->message,
                             "kind", kinds[why->kind], "temporary", !kn_batch_is_permanent(why->kind), "tries", tries,
                             "host", store->host, "finished", (json_int_t)time(NULL));
    char *path = kn_store_path(store, "state/failed", item->name, ".json", error),
         *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    bool ok = path && (text || kn_fail(error, KN_ERROR_INTERNAL, "%s: the error is no UTF-8", item->name)) &&
              kn_file_write(path, text, strlen(text), error);
    free(text);
    kn_free(path);
    json_decref(root);
    return ok;
}

void kn_record_drop_failure(const kn_store *store, const char *name) {
    char *path = kn_store_path(store, "state/failed", name, ".json", NULL);
    if (path) unlink(path);
    kn_free(path);
}

static char *read_line_of(const kn_store *store, const char *name) {
    json_t *record = kn_record_read(store, name);
    char *text = record ? json_dumps(record, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(record);
    return text;
}

static bool write_pass(const kn_store *store, const kn_batch_plan *plan, char **lines, size_t *count, kn_error *error) {
    kn_file_writer writer;
    char *name = kn_format(error, "%s/.results-%s", store->folder, store->token),
         *final = kn_path_join(store->folder, "results.jsonl", error);
    bool ok = name && final && kn_file_writer_init(&writer, name, error);
    *count = 0;
    if (ok) {
        for (size_t i = 0; i < plan->count; i++) {
            char *line = lines && lines[i] ? lines[i] : read_line_of(store, plan->items[i].name);
            if (line) fprintf(writer.stream, "%s\n", line), ++*count;
            if (lines && line && strstr(line, "\"status\":\"done\"")) lines[i] = line; /* the others may change yet */
            else free(line);
        }
        ok = kn_file_writer_commit(&writer, error);
    }
    if (ok && rename(name, final) != 0) ok = kn_fail(error, KN_ERROR_IO, "%s: cannot rename into place", final);
    kn_free(name);
    kn_free(final);
    return ok;
}

bool kn_records_write_results(const kn_store *store, const kn_batch_plan *plan, char **lines, size_t *count,
                              kn_error *error) {
    /* Another process may have written an older view after ours: whoever is last must have seen all, so look again. */
    for (int pass = 0; pass < 5; pass++) {
        size_t before = pass ? *count : SIZE_MAX;
        if (!write_pass(store, plan, lines, count, error)) return false;
        if (*count == plan->count || *count == before) return true;
    }
    return true;
}

bool kn_records_write_plan(const kn_store *store, const kn_batch_plan *plan, kn_error *error) {
    kn_file_writer writer;
    char *name = kn_format(error, "%s/.jobs-%s", store->folder, store->token),
         *final = kn_path_join(store->folder, "jobs.jsonl", error);
    bool ok = name && final && kn_file_writer_init(&writer, name, error);
    if (ok) {
        for (size_t i = 0; ok && i < plan->count; i++) {
            ok = kn_batch_item_write(&plan->items[i], writer.stream) ||
                 kn_fail(error, KN_ERROR_INPUT, "%s: a text that is no UTF-8", plan->items[i].name);
            fputc('\n', writer.stream);
        }
        if (ok) ok = kn_file_writer_commit(&writer, error);
        else kn_file_writer_finish(&writer);
    }
    if (ok && rename(name, final) != 0) ok = kn_fail(error, KN_ERROR_IO, "%s: cannot rename into place", final);
    kn_free(name);
    kn_free(final);
    return ok;
}
