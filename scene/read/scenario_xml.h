/* XML with parameters: the reading side of OpenSCENARIO and OpenDRIVE. Internal to scene/.
 *
 * Errors are sticky: the first problem sets `failed` and fills `error`; later getters return their defaults, so that
 * parsers read straight on and look at `failed` where it matters. */
#ifndef KN_SCENE_SCENARIO_XML_H
#define KN_SCENE_SCENARIO_XML_H

#include "base/base.h"
#include "scene/read/check.h"

#include <libxml/tree.h>

/* One declared parameter or variable. */
typedef struct kn_parameter {
    const char *name, *value; /* arena strings */
} kn_parameter;

/* Parameters visible at a place; looked up here, then in the parents. */
typedef struct kn_scope {
    const struct kn_scope *parent;
    kn_parameter *parameters;
    size_t count;
} kn_scope;

const char *kn_scope_find(const kn_scope *scope, const char *name);

/* Value of "text" after parameters and ${expressions} are put in (OpenSCENARIO 1.1+, section on expressions): the text
 * itself without '$', the parameter's value for "$name", the result of the expression for "${...}".
 * Strings go to `out`. False with one line in `message` on an unknown name or a syntax error. */
bool kn_expression_text(const kn_scope *scope, const char *text, char *out, size_t size, char message[200]);

typedef struct kn_xml {
    const char *file;      /* for messages */
    const kn_scope *scope; /* parameters in force; may be NULL */
    kn_arena *arena;
    kn_report *report; /* may be NULL */
    kn_error *error;
    bool failed;
} kn_xml;

/* Parses a file without network, DTD or entity expansion. The root element's name must be `root`.
 * The document is freed with xmlFreeDoc. */
bool kn_xml_parse(const char *path, const char *root, xmlDoc **doc, kn_report *report, kn_error *error);
/* The same from memory; `path` is for messages. */
bool kn_xml_parse_memory(const char *path, const void *data, size_t size, const char *root, xmlDoc **doc,
                         kn_error *error);

int kn_xml_line(const xmlNode *node);
bool kn_xml_is(const xmlNode *node, const char *name);
xmlNode *kn_xml_child(const xmlNode *node, const char *name); /* first of that name; any when NULL; node may be NULL */
xmlNode *kn_xml_next(const xmlNode *node, const char *name);  /* next sibling of that name */
size_t kn_xml_count(const xmlNode *node, const char *name);
xmlNode *kn_xml_require(kn_xml *xml, xmlNode *node, const char *name); /* first child; an error when absent */

/* Names every child element that is not in the space-separated list as unsupported. */
void kn_xml_known(kn_xml *xml, const xmlNode *node, const char *names);
/* Names this element itself (and why) as unsupported. */
void kn_xml_unsupported(kn_xml *xml, const xmlNode *node, const char *why);

bool kn_xml_has(const xmlNode *node, const char *attribute);
/* Attribute after parameter substitution; arena string. NULL when absent. */
const char *kn_xml_text(kn_xml *xml, const xmlNode *node, const char *attribute);
const char *kn_xml_need_text(kn_xml *xml, const xmlNode *node, const char *attribute);
/* A needed attribute as it stands, without parameter substitution. */
const char *kn_xml_literal(kn_xml *xml, const xmlNode *node, const char *attribute);
/* Copies the attribute, cut to fit; empty when absent. */
void kn_xml_copy(kn_xml *xml, const xmlNode *node, const char *attribute, char *out, size_t size);
double kn_xml_number(kn_xml *xml, const xmlNode *node, const char *attribute, double fallback);
double kn_xml_need_number(kn_xml *xml, const xmlNode *node, const char *attribute);
int kn_xml_integer(kn_xml *xml, const xmlNode *node, const char *attribute, int fallback);
bool kn_xml_bool(kn_xml *xml, const xmlNode *node, const char *attribute, bool fallback);
/* Index of the attribute's value in a space-separated list of words; -1 when absent; another value is an error. */
int kn_xml_choice(kn_xml *xml, const xmlNode *node, const char *attribute, const char *words);

/* Arena memory; NULL sets failed. */
void *kn_xml_alloc(kn_xml *xml, size_t count, size_t size);
/* Fills the error with "file:line: message" and sets failed. Returns false. */
bool kn_xml_fail(kn_xml *xml, const xmlNode *node, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
