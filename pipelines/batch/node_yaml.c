#include "pipelines/batch/node.h"

#include <string.h>
#include <yaml.h>

enum { MAX_DEPTH = 16, MAX_NODES = 4000000, MAX_KEYS = 1000 };

typedef struct reader {
    yaml_parser_t parser;
    const char *path;
    kn_arena *arena;
    size_t nodes;
    kn_error *error;
} reader;

static bool fail_at(reader *r, size_t line, const char *message) {
    return kn_fail(r->error, KN_ERROR_INPUT, "%s:%zu: %s", r->path, line + 1, message);
}

static bool next_event(reader *r, yaml_event_t *event) {
    if (yaml_parser_parse(&r->parser, event)) return true;
    if (r->parser.error == YAML_MEMORY_ERROR) return kn_fail(r->error, KN_ERROR_MEMORY, "%s: out of memory", r->path);
    return fail_at(r, r->parser.problem_mark.line, r->parser.problem ? r->parser.problem : "not YAML");
}

static kn_node *new_node(reader *r, kn_node_kind kind, const yaml_event_t *event) {
    if (r->nodes++ == MAX_NODES) {
        fail_at(r, event->start_mark.line, "more than 4000000 values");
        return NULL;
    }
    kn_node *node = kn_arena_alloc(r->arena, 1, sizeof *node, r->error);
    if (!node) return NULL;
    node->kind = kind;
    node->line = (int)event->start_mark.line + 1;
    return node;
}

static bool read_value(reader *r, const yaml_event_t *event, int depth, kn_node **node);

static bool read_scalar(reader *r, const yaml_event_t *event, kn_node **node) {
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length) return fail_at(r, event->start_mark.line, "a text with a zero byte");
    if (!(*node = new_node(r, KN_NODE_TEXT, event))) return false;
    (*node)->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return ((*node)->text = kn_arena_strdup(r->arena, text, r->error)) != NULL;
}

/* The key of the next entry of a map; *end at the map's end. */
static bool read_key(reader *r, kn_node *map, const char **key, bool *end) {
    yaml_event_t event;
    if (!next_event(r, &event)) return false;
    bool ok = true;
    *end = event.type == YAML_MAPPING_END_EVENT;
    if (!*end && event.type != YAML_SCALAR_EVENT) ok = fail_at(r, event.start_mark.line, "a key must be a text");
    if (ok && !*end) {
        const char *text = (const char *)event.data.scalar.value;
        if (map->count == MAX_KEYS) ok = fail_at(r, event.start_mark.line, "more than 1000 keys in one place");
        else if (!*text || strlen(text) != event.data.scalar.length)
            ok = fail_at(r, event.start_mark.line, "an empty key");
        else if (kn_node_get(map, text))
            ok = kn_fail(r->error, KN_ERROR_INPUT, "%s:%zu: %s stands here a second time", r->path,
                         event.start_mark.line + 1, text);
        else ok = (*key = kn_arena_strdup(r->arena, text, r->error)) != NULL;
    }
    yaml_event_delete(&event);
    return ok;
}

static bool read_children(reader *r, kn_node *parent, int depth) {
    kn_node **tail = &parent->first;
    for (;;) {
        yaml_event_t event;
        const char *key = NULL;
        bool end = false;
        if (parent->kind == KN_NODE_MAP && !read_key(r, parent, &key, &end)) return false;
        if (end) return true;
        if (!next_event(r, &event)) return false;
        end = event.type == YAML_SEQUENCE_END_EVENT;
        bool ok = end || read_value(r, &event, depth + 1, tail);
        yaml_event_delete(&event);
        if (!ok || end) return ok;
        (*tail)->key = key;
        tail = &(*tail)->next;
        parent->count++;
    }
}

static bool read_value(reader *r, const yaml_event_t *event, int depth, kn_node **node) {
    size_t line = event->start_mark.line;
    if (depth > MAX_DEPTH) return fail_at(r, line, "more than 16 levels inside each other");
    switch (event->type) {
    case YAML_SCALAR_EVENT: return read_scalar(r, event, node);
    case YAML_ALIAS_EVENT: return fail_at(r, line, "aliases (*name) are not supported; write the value out");
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        *node = new_node(r, event->type == YAML_MAPPING_START_EVENT ? KN_NODE_MAP : KN_NODE_LIST, event);
        return *node && read_children(r, *node, depth);
    default: return fail_at(r, line, "expected a value");
    }
}

static bool read_document(reader *r, kn_node **root) {
    bool begun = false;
    for (;;) {
        yaml_event_t event;
        if (!next_event(r, &event)) return false;
        yaml_event_type_t type = event.type;
        bool ok = true;
        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_END_EVENT || type == YAML_STREAM_END_EVENT) {
            /* nothing to read */
        } else if (type == YAML_DOCUMENT_START_EVENT) {
            if (begun) ok = fail_at(r, event.start_mark.line, "a second document; expected one");
            begun = true;
        } else {
            ok = read_value(r, &event, 0, root);
        }
        yaml_event_delete(&event);
        if (!ok || type == YAML_STREAM_END_EVENT) return ok;
    }
}

bool kn_node_read_yaml(const char *path, kn_arena *arena, kn_node **root, kn_error *error) {
    reader r = {.path = path, .arena = arena, .error = error};
    uint8_t *data = NULL;
    size_t size = 0;
    *root = NULL;
    if (!kn_file_read(path, (size_t)64 << 20, &data, &size, error)) return false;
    if (!yaml_parser_initialize(&r.parser)) {
        kn_free(data);
        return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path);
    }
    yaml_parser_set_input_string(&r.parser, data, size);
    bool ok = read_document(&r, root);
    yaml_parser_delete(&r.parser);
    kn_free(data);
    return ok;
}
