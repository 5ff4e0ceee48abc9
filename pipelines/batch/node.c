#include "pipelines/batch/node.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const kn_node *kn_node_get(const kn_node *map, const char *key) {
    if (!map || map->kind != KN_NODE_MAP) return NULL;
    for (const kn_node *child = map->first; child; child = child->next)
        if (strcmp(child->key, key) == 0) return child;
    return NULL;
}

bool kn_node_fail(const char *path, const kn_node *node, kn_error *error, const char *format, ...) {
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ') *c = ' '; /* errors are one line, whatever the file holds */
    return kn_fail(error, KN_ERROR_INPUT, "%s:%d: %s", path, node ? node->line : 1, text);
}

bool kn_node_number(const kn_node *node, double *value) {
    if (!node || node->kind != KN_NODE_TEXT) return false;
    const char *text = node->text;
    char *end;
    if (!strchr("+-.0123456789", *text) || !*text || strpbrk(text, "xXpP"))
        return false; /* no hexadecimal, nan or inf */
    *value = strtod(text, &end);
    return *end == 0 && isfinite(*value);
}
