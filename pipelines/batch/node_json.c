#include "pipelines/batch/node.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

typedef struct reader {
    const char *path;
    int line;
    kn_arena *arena;
    kn_error *error;
} reader;

static const char *number_text(const reader *r, const json_t *value) {
    char text[40];
    if (json_is_integer(value)) {
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else {
        double number = json_real_value(value);
        for (int digits = 1; digits <= 17; digits++) { /* the shortest that reads back the same */
            snprintf(text, sizeof text, "%.*g", digits, number);
            if (strtod(text, NULL) == number) break;
        }
    }
    return kn_arena_strdup(r->arena, text, r->error);
}

static kn_node *convert(const reader *r, json_t *value, int depth);

static bool add_child(const reader *r, kn_node *parent, kn_node ***tail, const char *key, json_t *value, int depth) {
    kn_node *child = convert(r, value, depth + 1);
    if (!child || (key && !(child->key = kn_arena_strdup(r->arena, key, r->error)))) return false;
    **tail = child;
    *tail = &child->next;
    parent->count++;
    return true;
}

static bool convert_children(const reader *r, kn_node *node, json_t *value, int depth) {
    kn_node **tail = &node->first;
    const char *key;
    json_t *child;
    size_t i;
    if (depth > 16)
        return kn_fail(r->error, KN_ERROR_INPUT, "%s:%d: more than 16 levels inside each other", r->path, r->line);
    if (json_is_object(value)) {
        json_object_foreach(value, key, child) {
            if (!add_child(r, node, &tail, key, child, depth)) return false;
        }
    } else {
        json_array_foreach(value, i, child) {
            if (!add_child(r, node, &tail, NULL, child, depth)) return false;
        }
    }
    return true;
}

static kn_node *convert(const reader *r, json_t *value, int depth) {
    kn_node *node = kn_arena_alloc(r->arena, 1, sizeof *node, r->error);
    if (!node) return NULL;
    node->line = r->line;
    bool ok = true;
    if (json_is_object(value) || json_is_array(value)) {
        node->kind = json_is_object(value) ? KN_NODE_MAP : KN_NODE_LIST;
        ok = convert_children(r, node, value, depth);
    } else if (json_is_string(value)) {
        node->quoted = true;
        ok = (node->text = kn_arena_strdup(r->arena, json_string_value(value), r->error));
    } else if (json_is_number(value)) {
        ok = (node->text = number_text(r, value));
    } else if (json_is_boolean(value)) {
        node->text = json_is_true(value) ? "true" : "false";
    } else {
        ok = kn_fail(r->error, KN_ERROR_INPUT, "%s:%d: null; leave the key out instead", r->path, r->line);
    }
    return ok ? node : NULL;
}

bool kn_node_read_json(const char *path, int line, const char *text, size_t length, kn_arena *arena, kn_node **root,
                       kn_error *error) {
    json_error_t problem;
    reader r = {path, line, arena, error};
    *root = NULL;
    json_t *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (!value) return kn_fail(error, KN_ERROR_INPUT, "%s:%d: column %d: %s", path, line, problem.column, problem.text);
    if (json_is_object(value)) *root = convert(&r, value, 0);
    else kn_fail(error, KN_ERROR_INPUT, "%s:%d: expected an object in braces", path, line);
    json_decref(value);
    return *root != NULL;
}
