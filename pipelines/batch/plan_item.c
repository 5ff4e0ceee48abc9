#include "pipelines/batch/plan.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- bounds ---------------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name, *metric;
    bool at_least;
} metrics[] = {
    {"miou", "mean_iou", true},
    {"mean_iou", "mean_iou", true},
    {"warp", "warp_error", false},
    {"warp_error", "warp_error", false},
    {"overlap", "overlap_correlation", true},
    {"overlap_correlation", "overlap_correlation", true},
    {"overlap_error", "overlap_error", false},
    {"drift", "colour_drift", false},
    {"colour_drift", "colour_drift", false},
    {"sampson", "sampson", false},
    {"sampson_share", "sampson_share", true},
    {"detail", "detail", true},
    {"last_drift", "last_drift", false},
};

static bool read_bound(kn_batch_plan *plan, const kn_node *node, kn_batch_bound *bound, kn_error *error) {
    size_t m = 0;
    while (m < KN_COUNT(metrics) && strcmp(metrics[m].name, node->key) != 0) m++;
    if (m == KN_COUNT(metrics))
        return kn_node_fail(plan->path, node, error,
                            "keep: no measure is called %s; expected miou, warp, overlap, overlap_error, drift, "
                            "sampson, sampson_share, detail or last_drift",
                            node->key);
    *bound = (kn_batch_bound){.name = metrics[m].name, .metric = metrics[m].metric, .at_least = metrics[m].at_least};
    if (!kn_node_number(node, &bound->value))
        return kn_node_fail(plan->path, node, error, "keep: %s: expected a number", node->key);
    return true;
}

static bool read_gate(kn_batch_plan *plan, const kn_node *map, const kn_batch_gate **gate, kn_error *error) {
    const kn_node *keep = kn_node_get(map, "keep"), *resample = kn_node_get(map, "resample");
    double tries = 3;
    *gate = NULL;
    if (!keep && resample)
        return kn_node_fail(plan->path, resample, error, "resample without keep: no clip would ever be refused");
    if (!keep) return true;
    if (keep->kind != KN_NODE_MAP || keep->count == 0)
        return kn_node_fail(plan->path, keep, error, "keep: expected bounds such as {miou: 0.7, warp: 0.002}");
    if (resample && (!kn_node_number(resample, &tries) || tries < 0 || tries > 1000 || tries != floor(tries)))
        return kn_node_fail(plan->path, resample, error, "resample: expected a whole number from 0 to 1000");
    kn_batch_gate *made = kn_arena_alloc(&plan->arena, 1, sizeof *made, error);
    if (!made || !(made->bounds = kn_arena_alloc(&plan->arena, keep->count, sizeof *made->bounds, error))) return false;
    made->resample = (int)tries;
    for (const kn_node *child = keep->first; child; child = child->next)
        if (!read_bound(plan, child, &made->bounds[made->count++], error)) return false;
    *gate = made;
    return true;
}

bool kn_batch_read_common(kn_batch_plan *plan, const kn_node *map, kn_batch_common *common, kn_error *error) {
    const kn_node *verb = kn_node_get(map, "verb"), *timeout = kn_node_get(map, "timeout");
    *common = (kn_batch_common){0};
    if (verb && verb->kind != KN_NODE_TEXT) return kn_node_fail(plan->path, verb, error, "verb: expected a text");
    common->verb = kn_batch_find_verb(verb ? verb->text : "drive");
    if (!common->verb)
        return kn_node_fail(plan->path, verb, error, "verb: %s is none that a batch can run; expected %s", verb->text,
                            kn_batch_verb_names());
    if (timeout && (!kn_node_number(timeout, &common->timeout) || common->timeout <= 0))
        return kn_node_fail(plan->path, timeout, error, "timeout: expected a number of seconds above 0");
    if (!read_gate(plan, map, &common->gate, error)) return false;
    if (common->gate && strcmp(common->verb->name, "drive") != 0)
        return kn_node_fail(plan->path, kn_node_get(map, "keep"), error, "keep: eval measures drive clips only, not %s",
                            common->verb->name);
    return true;
}

/* --- options --------------------------------------------------------------------------------------------------------
 */

static bool good_key(const char *key) {
    size_t dollar = *key == '$';
    if (!isalpha((unsigned char)key[dollar])) return false;
    for (const char *c = key + dollar; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_') return false;
    return strlen(key) < 64;
}

/* What a batch decides itself. */
static bool taken_key(const char *key) {
    static const char *const keys[] = {"help", "progress", "quiet", "verbose", "overwrite", "report", "turntable"};
    for (size_t i = 0; i < KN_COUNT(keys); i++)
        if (strcmp(keys[i], key) == 0) return true;
    return false;
}

static bool join_list(kn_batch_plan *plan, const char *key, const kn_node *list, const char **joined, kn_error *error) {
    size_t length = 1;
    for (const kn_node *child = list->first; child; child = child->next) {
        if (child->kind != KN_NODE_TEXT)
            return kn_node_fail(plan->path, child, error, "%s: expected a value or a list of values", key);
        length += strlen(child->text) + 1;
    }
    char *text = kn_arena_alloc(&plan->arena, length, 1, error), *at = text;
    if (!text) return false;
    for (const kn_node *child = list->first; child; child = child->next)
        at += snprintf(at, length - (size_t)(at - text), "%s%s", child == list->first ? "" : ",", child->text);
    *joined = text;
    return true;
}

bool kn_batch_read_option(kn_batch_plan *plan, const kn_batch_verb *verb, const char *key, const kn_node *value,
                          kn_batch_option *option, kn_error *error) {
    *option = (kn_batch_option){.line = value->line};
    if (!good_key(key))
        return kn_node_fail(plan->path, value, error,
                            "%s: expected the name of an option, or $ and the name of a scenario parameter", key);
    if (taken_key(key)) return kn_node_fail(plan->path, value, error, "%s: a batch sets this option itself", key);
    if (!(option->key = kn_arena_strdup(&plan->arena, key, error))) return false;
    if (value->kind == KN_NODE_MAP)
        return kn_node_fail(plan->path, value, error, "%s: expected a value or a list of values", key);
    if (value->kind == KN_NODE_LIST && !join_list(plan, key, value, &option->raw, error)) return false;
    if (value->kind == KN_NODE_TEXT && !(option->raw = kn_arena_strdup(&plan->arena, value->text, error))) return false;
    if (!*option->raw) return kn_node_fail(plan->path, value, error, "%s: the value is missing", key);
    if (strcmp(key, "output") == 0 && (!*verb->outputs || strchr(option->raw, '/') || *option->raw == '.'))
        return kn_node_fail(plan->path, value, error,
                            *verb->outputs ? "output: %s: expected names of files without a folder"
                                           : "output: %s: a batch chooses the folder itself",
                            option->raw);
    if (*key == '$' && strpbrk(option->raw, ",="))
        return kn_node_fail(plan->path, value, error, "%s: a parameter's value with , or = in it", key);
    bool truth = strcmp(option->raw, "true") == 0 || strcmp(option->raw, "false") == 0;
    option->is_flag = truth && value->kind == KN_NODE_TEXT && !value->quoted && *key != '$';
    option->value = option->raw;
    if (kn_batch_is_path(verb, key) && option->raw[0] != '/' && *plan->folder) {
        char *path = kn_path_join(plan->folder, option->raw, error);
        option->value = path ? kn_arena_strdup(&plan->arena, path, error) : NULL;
        kn_free(path);
    }
    return option->value != NULL;
}

/* --- names ----------------------------------------------------------------------------------------------------------
 */

/* SHA-256 over everything that the item asks for, in the order of the keys. */
static bool hash_item(const kn_batch_common *common, const kn_batch_option *options, size_t count, char hex[65],
                      kn_error *error) {
    char *text = kn_format(error, "%s", common->verb->name);
    bool done[128] = {false};
    for (size_t n = 0; text && n < count; n++) {
        size_t least = SIZE_MAX;
        for (size_t i = 0; i < count; i++)
            if (!done[i] && (least == SIZE_MAX || strcmp(options[i].key, options[least].key) < 0)) least = i;
        done[least] = true;
        char *longer =
            kn_format(error, "%s\n%s=%zu:%s", text, options[least].key, strlen(options[least].raw), options[least].raw);
        kn_free(text);
        text = longer;
    }
    if (text) kn_sha256_hex(text, strlen(text), hex);
    kn_free(text);
    return text != NULL;
}

/* Appends what may stand in a file name of `text`, and a dash before it. */
static void append_name(char *name, size_t size, const char *text) {
    size_t used = strlen(name);
    if (used && used + 1 < size && name[used - 1] != '-') name[used++] = '-';
    for (; *text && used + 1 < size; text++) {
        char c = isalnum((unsigned char)*text) || *text == '.' ? *text : '-';
        if (c == '-' && (used == 0 || name[used - 1] == '-')) continue;
        if (c == '.' && used == 0) continue;
        name[used++] = c;
    }
    name[used] = 0;
}

static void append_stem(char *name, size_t size, const char *path) {
    char stem[80];
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    snprintf(stem, sizeof stem, "%.*s", (int)(dot && dot != base ? (size_t)(dot - base) : strlen(base)), base);
    append_name(name, size, stem);
}

static bool make_name(kn_batch_plan *plan, const kn_batch_common *common, const kn_batch_option *options, size_t count,
                      const char **name, kn_error *error) {
    char text[100] = "", hex[65], whole[120];
    if (!hash_item(common, options, count, hex, error)) return false;
    const char *input = common->verb->input;
    for (size_t i = 0; i < count && input; i++)
        if (strcmp(options[i].key, input) == 0) append_stem(text, sizeof text, options[i].raw);
    for (size_t i = 0; i < count; i++) {
        const kn_batch_option *o = &options[i];
        if (!o->varies || (input && strcmp(o->key, input) == 0)) continue;
        char part[80];
        bool number = strspn(o->raw, "0123456789.-") == strlen(o->raw) || o->is_flag;
        if (kn_batch_is_path(common->verb, o->key)) append_stem(text, sizeof text, o->raw);
        else if (number)
            snprintf(part, sizeof part, "%s%.40s", o->key + (*o->key == '$'), o->raw),
                append_name(text, sizeof text, part);
        else snprintf(part, sizeof part, "%.24s", o->raw), append_name(text, sizeof text, part);
    }
    snprintf(whole, sizeof whole, "%s%s%.6s", text[0] ? text : common->verb->name, "-", hex);
    return (*name = kn_arena_strdup(&plan->arena, whole, error)) != NULL;
}

static bool good_name(const char *name) {
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_' && *c != '.') return false;
    return *name && *name != '.' && strlen(name) <= 100;
}

bool kn_batch_add_item(kn_batch_plan *plan, const kn_batch_common *common, const kn_batch_option *options, size_t count,
                       const char *name, int line, kn_error *error) {
    kn_node place = {.line = line};
    kn_batch_item item = {
        .verb = common->verb, .gate = common->gate, .timeout = common->timeout, .line = line, .option_count = count};
    if (count > 128) return kn_node_fail(plan->path, &place, error, "more than 128 options");
    if (plan->count == 1000000) return kn_node_fail(plan->path, &place, error, "more than 1000000 jobs");
    const char *input = common->verb->input;
    bool given = !input;
    for (size_t i = 0; i < count; i++) given = given || strcmp(options[i].key, input) == 0;
    if (!given && strcmp(common->verb->name, "mesh") != 0)
        return kn_node_fail(plan->path, &place, error, "%s needs a %s", common->verb->name, input);
    if (name && !good_name(name))
        return kn_node_fail(plan->path, &place, error, "name: %s: expected up to 100 letters, digits and - _ .", name);
    if (name) item.name = kn_arena_strdup(&plan->arena, name, error);
    else if (!make_name(plan, common, options, count, &item.name, error)) return false;
    item.options = kn_arena_alloc(&plan->arena, count, sizeof *options, error);
    if (!item.name || !item.options || !kn_grow(&plan->items, &plan->capacity, plan->count + 1, sizeof item, error))
        return false;
    if (count) memcpy(item.options, options, count * sizeof *options);
    plan->items[plan->count++] = item;
    return true;
}

const char *kn_batch_option_value(const kn_batch_item *item, const char *key) {
    for (size_t i = 0; i < item->option_count; i++)
        if (strcmp(item->options[i].key, key) == 0) return item->options[i].value;
    return NULL;
}

uint64_t kn_batch_seed(const kn_batch_item *item, int attempt) {
    const char *text = kn_batch_option_value(item, "seed");
    /* A million apart: below 2^32, where PyTorch's generator stops to look, and away from seeds that are counted up. */
    return (text ? strtoull(text, NULL, 10) : 0) + (uint64_t)attempt * 1000000;
}
