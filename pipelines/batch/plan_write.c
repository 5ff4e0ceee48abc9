#include "pipelines/batch/plan.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* --- arguments ------------------------------------------------------------------------------------------------------
 */

/* Arguments grow as texts one after the other; the pointers are made at the end. */
typedef struct list {
    char *text;
    size_t length, capacity, count;
    kn_error *error;
} list;

static bool add(list *l, const char *prefix, const char *text) {
    size_t more = strlen(prefix) + strlen(text) + 1;
    if (!kn_grow(&l->text, &l->capacity, l->length + more, 1, l->error)) return false;
    snprintf(l->text + l->length, more, "%s%s", prefix, text);
    l->length += more;
    l->count++;
    return true;
}

static bool add_parameters(list *l, const kn_batch_item *item) {
    char *joined = kn_format(l->error, "%s", "");
    for (size_t i = 0; joined && i < item->option_count; i++) {
        const kn_batch_option *o = &item->options[i];
        if (*o->key != '$') continue;
        char *longer = kn_format(l->error, "%s%s%s=%s", joined, *joined ? "," : "", o->key + 1, o->raw);
        kn_free(joined);
        joined = longer;
    }
    bool ok = joined && (!*joined || (add(l, "", "--param") && add(l, "", joined)));
    kn_free(joined);
    return ok;
}

static bool add_outputs(list *l, const kn_batch_item *item, const char *folder) {
    const char *names = kn_batch_option_value(item, "output");
    if (!names) names = item->verb->outputs;
    if (!*names) return add(l, "", "-o") && add(l, "", folder);
    bool ok = true;
    for (const char *p = names; ok && *p;) {
        size_t length = strcspn(p, ",");
        char *path = kn_format(l->error, "%s/%.*s", folder, (int)length, p);
        ok = path && add(l, "", "-o") && add(l, "", path);
        kn_free(path);
        p += length + (p[length] == ',');
    }
    return ok;
}

static bool add_options(list *l, const kn_batch_item *item, int attempt) {
    const char *input = item->verb->input;
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)kn_batch_seed(item, attempt));
    for (size_t i = 0; i < item->option_count; i++) {
        const kn_batch_option *o = &item->options[i];
        if (*o->key == '$' || (input && strcmp(o->key, input) == 0) || strcmp(o->key, "output") == 0) continue;
        if (attempt > 0 && strcmp(o->key, "seed") == 0) continue;
        if (o->is_flag && strcmp(o->raw, "false") == 0) continue;
        if (!add(l, "--", o->key) || (!o->is_flag && !add(l, "", o->value))) return false;
    }
    if (attempt > 0 && (!add(l, "", "--seed") || !add(l, "", seed))) return false;
    if (item->verb->labels && !kn_batch_option_value(item, "labels") &&
        (!add(l, "", "--labels") || !add(l, "", item->verb->labels)))
        return false;
    return true;
}

char **kn_batch_arguments(const kn_batch_item *item, const char *folder, int attempt, size_t *count, kn_error *error) {
    list l = {.error = error};
    const char *input = item->verb->input ? kn_batch_option_value(item, item->verb->input) : NULL;
    bool ok = add(&l, "", item->verb->name) && (!input || add(&l, "", input)) && add_options(&l, item, attempt) &&
              add_parameters(&l, item) && add_outputs(&l, item, folder);
    char **pointers = ok ? kn_alloc((l.count + 1) * sizeof *pointers + l.length, 1, error) : NULL;
    if (pointers) {
        char *at = memcpy((char *)(pointers + l.count + 1), l.text, l.length);
        for (size_t i = 0; i < l.count; i++, at += strlen(at) + 1) pointers[i] = at;
        *count = l.count;
    }
    kn_free(l.text);
    return pointers;
}

/* --- one line of JSON ------------------------------------------------------------------------------------------------
 */

static json_t *gate_record(const kn_batch_gate *gate) {
    json_t *record = json_object();
    for (size_t i = 0; i < gate->count; i++)
        json_object_set_new(record, gate->bounds[i].name, json_real(gate->bounds[i].value));
    return record;
}

bool kn_batch_item_write(const kn_batch_item *item, FILE *stream) {
    json_t *root = json_object();
    json_object_set_new(root, "name", json_string(item->name));
    json_object_set_new(root, "verb", json_string(item->verb->name));
    for (size_t i = 0; i < item->option_count; i++) {
        const kn_batch_option *o = &item->options[i];
        json_object_set_new(root, o->key,
                            o->is_flag ? json_boolean(strcmp(o->raw, "true") == 0) : json_string(o->value));
    }
    if (item->gate) {
        json_object_set_new(root, "keep", gate_record(item->gate));
        json_object_set_new(root, "resample", json_integer(item->gate->resample));
    }
    if (item->timeout > 0) json_object_set_new(root, "timeout", json_real(item->timeout));
    bool ok = root && json_dumpf(root, stream, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12)) == 0;
    json_decref(root);
    return ok;
}
