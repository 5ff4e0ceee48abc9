/* What a manifest says, as a tree that remembers its lines: from YAML (libyaml) or from one line of JSON. */
#ifndef KN_BATCH_NODE_H
#define KN_BATCH_NODE_H

#include "base/base.h"

typedef enum kn_node_kind { KN_NODE_TEXT, KN_NODE_LIST, KN_NODE_MAP } kn_node_kind;

/* Owned by the arena that it was read into. */
typedef struct kn_node {
    kn_node_kind kind;
    const char *text; /* of KN_NODE_TEXT: the scalar as it was written; true and false are texts, too */
    bool quoted;      /* the scalar stood in quotes */
    const char *key;  /* inside a map; NULL elsewhere */
    int line;         /* 1-based */
    struct kn_node *first, *next;
    size_t count; /* of children */
} kn_node;

/* Reads the one document of a YAML file. Aliases, tags, several documents, a repeated key, more than 16 levels:
 * KN_ERROR_INPUT with "path:line". *root is NULL for an empty file. */
bool kn_node_read_yaml(const char *path, kn_arena *arena, kn_node **root, kn_error *error);

/* Reads text[0..length), which stands at line `line` of `path` and holds one JSON object. */
bool kn_node_read_json(const char *path, int line, const char *text, size_t length, kn_arena *arena, kn_node **root,
                       kn_error *error);

/* The child of a map; NULL when it has none of this key. */
const kn_node *kn_node_get(const kn_node *map, const char *key);

/* "path:line: message" as KN_ERROR_INPUT. Returns false. */
bool kn_node_fail(const char *path, const kn_node *node, kn_error *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A finite number that is all of the text. */
bool kn_node_number(const kn_node *node, double *value);

#endif
