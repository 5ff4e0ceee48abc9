#include "scene/read/scenario_xml.h"

#include <libxml/parser.h>
#include <libxml/xmlerror.h>

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 256 << 20 };

static void parser_begin(void) { xmlInitParser(); }

bool kn_xml_parse_memory(const char *path, const void *data, size_t size, const char *root, xmlDoc **doc,
                         kn_error *error) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, parser_begin);
    *doc = NULL;
    if (size > MAX_FILE) return kn_fail(error, KN_ERROR_INPUT, "%s: more than %d MiB of XML", path, MAX_FILE >> 20);
    xmlParserCtxt *parser = xmlNewParserCtxt();
    if (!parser) return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path);
    xmlDoc *parsed = xmlCtxtReadMemory(parser, data, (int)size, path, NULL,
                                       XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_BIG_LINES |
                                           XML_PARSE_COMPACT);
    bool ok = false;
    xmlNode *top = parsed ? xmlDocGetRootElement(parsed) : NULL;
    if (!parsed) {
        const xmlError *last = xmlCtxtGetLastError(parser);
        char message[200] = "broken";
        if (last && last->message) snprintf(message, sizeof message, "%s", last->message);
        message[strcspn(message, "\n")] = 0;
        kn_fail(error, KN_ERROR_INPUT, "%s:%d: not well-formed XML: %s", path, last ? last->line : 0, message);
    } else if (parsed->intSubset) {
        kn_fail(error, KN_ERROR_INPUT, "%s: document type declarations (DTD) are not accepted", path);
    } else if (!top || !kn_xml_is(top, root)) {
        kn_fail(error, KN_ERROR_INPUT, "%s:%d: root element is <%s>, expected <%s>", path, top ? kn_xml_line(top) : 0,
                top ? (const char *)top->name : "", root);
    } else {
        *doc = parsed;
        ok = true;
    }
    if (!ok && parsed) xmlFreeDoc(parsed);
    xmlFreeParserCtxt(parser);
    return ok;
}

bool kn_xml_parse(const char *path, const char *root, xmlDoc **doc, kn_report *report, kn_error *error) {
    uint8_t *data = NULL;
    size_t size = 0;
    if (!kn_file_read(path, MAX_FILE, &data, &size, error)) return false;
    bool ok = kn_report_file(report, data, size, error) && kn_xml_parse_memory(path, data, size, root, doc, error);
    kn_free(data);
    return ok;
}

int kn_xml_line(const xmlNode *node) { return (int)xmlGetLineNo(node); }

bool kn_xml_is(const xmlNode *node, const char *name) {
    return node->type == XML_ELEMENT_NODE && (!name || !strcmp((const char *)node->name, name));
}

xmlNode *kn_xml_child(const xmlNode *node, const char *name) {
    if (!node) return NULL;
    for (xmlNode *child = node->children; child; child = child->next)
        if (kn_xml_is(child, name)) return child;
    return NULL;
}

xmlNode *kn_xml_next(const xmlNode *node, const char *name) {
    for (xmlNode *other = node->next; other; other = other->next)
        if (kn_xml_is(other, name)) return other;
    return NULL;
}

size_t kn_xml_count(const xmlNode *node, const char *name) {
    size_t count = 0;
    for (const xmlNode *child = kn_xml_child(node, name); child; child = kn_xml_next(child, name)) count++;
    return count;
}

xmlNode *kn_xml_require(kn_xml *xml, xmlNode *node, const char *name) {
    xmlNode *child = kn_xml_child(node, name);
    if (!child && node)
        kn_xml_fail(xml, node, "<%s> needs a <%s> inside", (const char *)node->name, name ? name : "child");
    return child;
}

/* Index of `word` in a space-separated list, -1 when absent. */
static int word_index(const char *words, const char *word) {
    size_t length = strlen(word);
    int index = 0;
    for (const char *p = words; *p; index++) {
        size_t n = strcspn(p, " ");
        if (n == length && !memcmp(p, word, n)) return index;
        p += n + (p[n] == ' ');
    }
    return -1;
}

void kn_xml_known(kn_xml *xml, const xmlNode *node, const char *names) {
    for (const xmlNode *child = kn_xml_child(node, NULL); child; child = kn_xml_next(child, NULL))
        if (word_index(names, (const char *)child->name) < 0)
            kn_report_add(xml->report, false, xml->file, kn_xml_line(child),
                          "<%s> inside <%s> is not supported and has no effect", (const char *)child->name,
                          (const char *)node->name);
}

void kn_xml_unsupported(kn_xml *xml, const xmlNode *node, const char *why) {
    kn_report_add(xml->report, false, xml->file, kn_xml_line(node), "<%s> is not supported: %s",
                  (const char *)node->name, why);
}

static const xmlAttr *find_attribute(const xmlNode *node, const char *name) {
    for (const xmlAttr *attribute = node ? node->properties : NULL; attribute; attribute = attribute->next)
        if (!strcmp((const char *)attribute->name, name)) return attribute;
    return NULL;
}

bool kn_xml_has(const xmlNode *node, const char *attribute) { return find_attribute(node, attribute) != NULL; }

const char *kn_xml_text(kn_xml *xml, const xmlNode *node, const char *name) {
    const xmlAttr *attribute = find_attribute(node, name);
    if (!attribute) return NULL;
    xmlChar *raw = xmlNodeListGetString(node->doc, attribute->children, 1);
    const char *text = raw ? (const char *)raw : "";
    char *result = NULL;
    if (!strchr(text, '$')) {
        result = kn_arena_strdup(xml->arena, text, xml->error);
        xml->failed |= !result;
    } else {
        char value[1024], message[200];
        if (kn_expression_text(xml->scope, text, value, sizeof value, message)) {
            result = kn_arena_strdup(xml->arena, value, xml->error);
            xml->failed |= !result;
        } else {
            kn_xml_fail(xml, node, "<%s> attribute '%s': %s", (const char *)node->name, name, message);
        }
    }
    xmlFree(raw);
    return result;
}

const char *kn_xml_literal(kn_xml *xml, const xmlNode *node, const char *name) {
    const xmlAttr *attribute = find_attribute(node, name);
    if (!attribute) return kn_xml_fail(xml, node, "<%s> needs attribute '%s'", (const char *)node->name, name), "";
    xmlChar *raw = xmlNodeListGetString(node->doc, attribute->children, 1);
    char *result = kn_arena_strdup(xml->arena, raw ? (const char *)raw : "", xml->error);
    xmlFree(raw);
    xml->failed |= !result;
    return result ? result : "";
}

const char *kn_xml_need_text(kn_xml *xml, const xmlNode *node, const char *name) {
    if (node && !kn_xml_has(node, name))
        kn_xml_fail(xml, node, "<%s> needs attribute '%s'", (const char *)node->name, name);
    const char *text = node ? kn_xml_text(xml, node, name) : NULL;
    return text ? text : "";
}

void kn_xml_copy(kn_xml *xml, const xmlNode *node, const char *name, char *out, size_t size) {
    const char *text = kn_xml_text(xml, node, name);
    snprintf(out, size, "%s", text ? text : "");
}

double kn_xml_number(kn_xml *xml, const xmlNode *node, const char *name, double fallback) {
    const char *text = kn_xml_text(xml, node, name);
    if (!text || (!*text && !isnan(fallback))) return fallback;
    char *end;
    double value = strtod(text, &end);
    end += strspn(end, " \t\r\n");
    if (end == text || *end || isnan(value)) {
        kn_xml_fail(xml, node, "<%s> attribute '%s' is '%.60s', expected a number", (const char *)node->name, name,
                    text);
        return fallback;
    }
    return fmin(fmax(value, -1e15), 1e15); /* INF is legal for distances and speeds without a limit */
}

double kn_xml_need_number(kn_xml *xml, const xmlNode *node, const char *name) {
    if (!node) return 0;
    if (!kn_xml_has(node, name)) kn_xml_fail(xml, node, "<%s> needs attribute '%s'", (const char *)node->name, name);
    double value = kn_xml_number(xml, node, name, NAN);
    return isnan(value) ? 0 : value;
}

int kn_xml_integer(kn_xml *xml, const xmlNode *node, const char *name, int fallback) {
    double value = kn_xml_number(xml, node, name, fallback);
    if (fabs(value) < 1e9 && value == floor(value)) return (int)value;
    kn_xml_fail(xml, node, "<%s> attribute '%s' must be a whole number", (const char *)node->name, name);
    return fallback;
}

bool kn_xml_bool(kn_xml *xml, const xmlNode *node, const char *name, bool fallback) {
    const char *text = kn_xml_text(xml, node, name);
    if (!text) return fallback;
    if (!strcmp(text, "true") || !strcmp(text, "1") || !strcmp(text, "True")) return true;
    if (!strcmp(text, "false") || !strcmp(text, "0") || !strcmp(text, "False")) return false;
    kn_xml_fail(xml, node, "<%s> attribute '%s' is '%.60s', expected true or false", (const char *)node->name, name,
                text);
    return fallback;
}

int kn_xml_choice(kn_xml *xml, const xmlNode *node, const char *name, const char *words) {
    const char *text = kn_xml_text(xml, node, name);
    if (!text) return -1;
    int index = word_index(words, text);
    if (index < 0)
        kn_xml_fail(xml, node, "<%s> attribute '%s' is '%.60s', expected one of: %s", (const char *)node->name, name,
                    text, words);
    return index;
}

void *kn_xml_alloc(kn_xml *xml, size_t count, size_t size) {
    void *memory = kn_arena_alloc(xml->arena, count ? count : 1, size, xml->error);
    xml->failed |= !memory;
    return memory;
}

bool kn_xml_fail(kn_xml *xml, const xmlNode *node, const char *format, ...) {
    if (!xml->failed) {
        char message[700];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(message, sizeof message, format, arguments);
        va_end(arguments);
        kn_fail(xml->error, KN_ERROR_INPUT, "%s:%d: %s", xml->file, node ? kn_xml_line(node) : 0, message);
    }
    xml->failed = true;
    return false;
}
