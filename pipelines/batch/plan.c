#include "pipelines/batch/plan.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 1 << 20 };

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static bool is_common(const char *key) {
    static const char *const keys[] = {"verb", "name", "keep", "resample", "timeout"};
    for (size_t i = 0; i < KN_COUNT(keys); i++)
        if (strcmp(keys[i], key) == 0) return true;
    return false;
}

static bool read_item(kn_batch_plan *plan, const kn_node *root, kn_error *error) {
    kn_batch_common common;
    kn_batch_option options[128];
    size_t count = 0;
    const kn_node *name = kn_node_get(root, "name");
    if (!kn_batch_read_common(plan, root, &common, error)) return false;
    if (name && (name->kind != KN_NODE_TEXT || !*name->text))
        return kn_node_fail(plan->path, name, error, "name: expected a text");
    for (const kn_node *child = root->first; child; child = child->next) {
        if (is_common(child->key)) continue;
        if (count == KN_COUNT(options)) return kn_node_fail(plan->path, child, error, "more than 128 options");
        if (!kn_batch_read_option(plan, common.verb, child->key, child, &options[count++], error)) return false;
    }
    return kn_batch_add_item(plan, &common, options, count, name ? name->text : NULL, root->line, error);
}

static bool read_lines(kn_batch_plan *plan, const char *text, size_t size, kn_error *error) {
    int line = 0;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end ? (size_t)(end - text) - at : size - at;
        line++;
        if (length > MAX_LINE)
            return kn_fail(error, KN_ERROR_INPUT, "%s:%d: a line of more than 1 MiB", plan->path, line);
        size_t blank = strspn(text + at, " \t\r");
        if (blank < length && text[at + blank] != '#') {
            kn_node *root;
            kn_arena scratch = {0};
            bool ok = kn_node_read_json(plan->path, line, text + at, length, &scratch, &root, error) &&
                      read_item(plan, root, error);
            kn_arena_finish(&scratch);
            if (!ok) return false;
        }
        at += length + 1;
    }
    return plan->count > 0 ||
           kn_fail(error, KN_ERROR_INPUT, "%s:1: no job in it; expected one JSON object a line", plan->path);
}

static int compare_names(const void *a, const void *b) {
    const kn_batch_item *left = *(kn_batch_item *const *)a, *right = *(kn_batch_item *const *)b;
    int order = strcmp(left->name, right->name);
    return order ? order : (left->line > right->line) - (left->line < right->line);
}

/* Names are folders: each may come once. */
static bool check_names(const kn_batch_plan *plan, kn_error *error) {
    kn_batch_item **order = kn_alloc(plan->count, sizeof *order, error);
    if (!order) return false;
    bool ok = true;
    for (size_t i = 0; i < plan->count; i++) order[i] = &plan->items[i];
    qsort(order, plan->count, sizeof *order, compare_names);
    for (size_t i = 1; ok && i < plan->count; i++)
        if (strcmp(order[i - 1]->name, order[i]->name) == 0)
            ok = kn_fail(error, KN_ERROR_INPUT, "%s:%d: a second job %s; the first one is that of line %d", plan->path,
                         order[i]->line, order[i]->name, order[i - 1]->line);
    kn_free(order);
    return ok;
}

static bool read_plan(kn_batch_plan *plan, kn_error *error) {
    if (ends_with(plan->path, ".yaml") || ends_with(plan->path, ".yml")) {
        kn_arena tree = {0};
        kn_node *root;
        bool ok = kn_node_read_yaml(plan->path, &tree, &root, error) && kn_batch_read_sweep(plan, root, error);
        kn_arena_finish(&tree);
        return ok;
    }
    if (!ends_with(plan->path, ".jsonl") && !ends_with(plan->path, ".ndjson") && !ends_with(plan->path, ".json"))
        return kn_fail(error, KN_ERROR_INPUT, "%s: expected a sweep (.yaml) or a manifest with one job a line (.jsonl)",
                       plan->path);
    uint8_t *data = NULL;
    size_t size = 0;
    bool ok = kn_file_read(plan->path, (size_t)1 << 30, &data, &size, error) &&
              read_lines(plan, (const char *)data, size, error);
    kn_free(data);
    return ok;
}

bool kn_batch_plan_init(kn_batch_plan *plan, const char *path, kn_error *error) {
    *plan = (kn_batch_plan){0};
    const char *slash = strrchr(path, '/');
    plan->path = kn_arena_strdup(&plan->arena, path, error);
    char *folder = plan->path ? kn_format(error, "%.*s", slash ? (int)(slash - path) : 0, path) : NULL;
    plan->folder = folder ? kn_arena_strdup(&plan->arena, folder, error) : NULL;
    kn_free(folder);
    bool ok = plan->folder && read_plan(plan, error) && check_names(plan, error);
    if (!ok) kn_batch_plan_finish(plan);
    return ok;
}

bool kn_batch_plan_read_line(kn_batch_plan *plan, const char *text, size_t length, kn_error *error) {
    kn_arena scratch = {0};
    kn_node *root;
    *plan = (kn_batch_plan){.path = "order", .folder = ""};
    bool ok = kn_node_read_json(plan->path, 1, text, length, &scratch, &root, error) && read_item(plan, root, error);
    kn_arena_finish(&scratch);
    if (!ok) kn_batch_plan_finish(plan);
    return ok;
}

void kn_batch_plan_finish(kn_batch_plan *plan) {
    kn_free(plan->items);
    kn_arena_finish(&plan->arena);
    *plan = (kn_batch_plan){0};
}
