/* shape.json: the classes that a shape model knows. */
#include "mesh/shape/shape.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool wrong(const char *path, const char *kind, const char *key, const char *expected, kn_error *error) {
    return kn_fail(error, KN_ERROR_INPUT, "%s: class '%.30s', '%s': expected %s", path, kind, key, expected);
}

static bool read_numbers(const json_t *entry, const char *key, double out[3]) {
    json_t *list = json_object_get(entry, key);
    for (size_t i = 0; i < 3; i++) {
        json_t *number = json_array_get(list, i);
        if (json_array_size(list) != 3 || !json_is_number(number)) return false;
        out[i] = json_number_value(number);
        if (!(out[i] > 0.01 && out[i] < 100)) return false;
    }
    return true;
}

/* "#rrggbb" or three numbers 0..1 or 0..255. */
static bool read_color(const json_t *value, uint8_t rgb[3]) {
    const char *text = json_string_value(value);
    if (text) return text[0] == '#' && strlen(text) == 7 && kn_shape_paint(text, rgb);
    if (json_array_size(value) != 3) return false;
    bool whole = true;
    for (size_t i = 0; i < 3; i++) whole = whole && json_is_integer(json_array_get(value, i));
    for (size_t i = 0; i < 3; i++) {
        double v = json_number_value(json_array_get(value, i)) * (whole ? 1 : 255);
        if (!(v >= 0 && v <= 255)) return false;
        rgb[i] = (uint8_t)lround(v);
    }
    return true;
}

/* A list of {"name", "color"}, or of ["name", color]. */
static bool read_materials(kn_shape_class *kind, const json_t *entry) {
    size_t i;
    json_t *item, *list = json_object_get(entry, "materials");
    if (json_array_size(list) < 1 || json_array_size(list) > KN_SHAPE_MATERIALS) return false;
    json_array_foreach(list, i, item) {
        const char *name =
            json_string_value(json_is_array(item) ? json_array_get(item, 0) : json_object_get(item, "name"));
        const json_t *color = json_is_array(item) ? json_array_get(item, 1) : json_object_get(item, "color");
        kn_shape_material *material = &kind->materials[kind->material_count];
        if (!name || strlen(name) >= sizeof material->name || !read_color(color, material->color)) return false;
        memcpy(material->name, name, strlen(name) + 1);
        kind->material_count++;
    }
    return true;
}

static bool read_words(kn_shape_class *kind, const json_t *entry) {
    size_t i, used = 0;
    json_t *word, *list = json_object_get(entry, "words");
    used = (size_t)snprintf(kind->words, sizeof kind->words, "%s", kind->name);
    json_array_foreach(list, i, word) {
        const char *text = json_string_value(word);
        if (!text || used + strlen(text) + 2 > sizeof kind->words) return false;
        used += (size_t)snprintf(kind->words + used, sizeof kind->words - used, "|%s", text);
    }
    const char *first = json_string_value(json_array_get(list, 0));
    int length = snprintf(kind->word, sizeof kind->word, "%s", first ? first : kind->name);
    return (!list || json_is_array(list)) && length > 0 && (size_t)length < sizeof kind->word;
}

static bool read_class(kn_shape_class *kind, const json_t *entry, const char *path, kn_error *error) {
    const char *name = json_string_value(json_object_get(entry, "name"));
    if (!name || !*name || strlen(name) >= sizeof kind->name) return wrong(path, "", "name", "1 to 31 letters", error);
    memcpy(kind->name, name, strlen(name) + 1);
    json_t *metres = json_object_get(entry, "metres"), *principal = json_object_get(entry, "principal");
    kind->metres = json_number_value(metres);
    kind->symmetric = json_is_true(json_object_get(entry, "symmetric"));
    const char *axis = json_string_value(principal);
    kind->tall = axis ? strcmp(axis, "z") == 0 : strcmp(name, "tower") == 0;
    if (!read_numbers(entry, "frame", kind->frame)) return wrong(path, name, "frame", "three positive numbers", error);
    if (!read_numbers(entry, "mean", kind->mean)) return wrong(path, name, "mean", "three positive numbers", error);
    if (!(kind->metres > 0 && kind->metres < 1e4)) return wrong(path, name, "metres", "a positive number", error);
    if (!read_words(kind, entry)) return wrong(path, name, "words", "a list of up to 400 letters in all", error);
    return read_materials(kind, entry) ||
           wrong(path, name, "materials", "1 to 8 of {\"name\", \"color\": \"#rrggbb\"}", error);
}

static bool read_all(kn_shape_classes *classes, const json_t *root, const char *path, kn_error *error) {
    json_t *list = json_object_get(root, "classes"), *size = json_object_get(root, "grid"), *entry;
    for (size_t i = 0; i < 3; i++) {
        static const int usual[3] = {64, 32, 32};
        json_int_t n = size ? json_integer_value(json_array_get(size, i)) : usual[i];
        if (n < 4 || n > 256) return kn_fail(error, KN_ERROR_INPUT, "%s: 'grid': expected three of 4 to 256", path);
        classes->size[i] = (int)n;
    }
    if (!json_is_array(list) || json_array_size(list) < 1 || json_array_size(list) > 256)
        return kn_fail(error, KN_ERROR_INPUT, "%s: 'classes': expected a list of 1 to 256", path);
    classes->items = kn_alloc(json_array_size(list), sizeof *classes->items, error);
    size_t i;
    json_array_foreach(list, i, entry) {
        if (!classes->items || !read_class(&classes->items[i], entry, path, error)) return false;
        classes->count++;
    }
    return true;
}

bool kn_shape_classes_read(kn_shape_classes *classes, const char *path, kn_error *error) {
    json_error_t at;
    uint8_t *text = NULL;
    size_t size;
    *classes = (kn_shape_classes){0};
    if (!kn_file_read(path, 1 << 20, &text, &size, error)) return false;
    json_t *root = json_loadb((const char *)text, size, 0, &at);
    bool ok = root ? read_all(classes, root, path, error)
                   : kn_fail(error, KN_ERROR_INPUT, "%s:%d: %s", path, at.line, at.text);
    json_decref(root);
    kn_free(text);
    if (!ok) kn_shape_classes_finish(classes);
    return ok;
}

void kn_shape_classes_finish(kn_shape_classes *classes) {
    kn_free(classes->items);
    *classes = (kn_shape_classes){0};
}

/* --- finding ---------------------------------------------------------------------------------- */

/* Calls the words of a class one after the other; NULL at the end. */
static const char *next_word(const char **at, size_t *length) {
    const char *word = *at;
    if (!*word) return NULL;
    *length = strcspn(word, "|");
    *at = word + *length + (word[*length] == '|');
    return word;
}

static bool same(const char *text, const char *word, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (tolower((unsigned char)text[i]) != tolower((unsigned char)word[i])) return false;
    return true;
}

const kn_shape_class *kn_shape_class_named(const kn_shape_classes *classes, const char *name) {
    for (int all = 0; all < 2; all++) /* a name goes before another class's synonym */
        for (size_t i = 0; i < classes->count; i++) {
            const char *at = all ? classes->items[i].words : classes->items[i].name, *word;
            size_t length;
            while ((word = next_word(&at, &length)))
                if (strlen(name) == length && same(name, word, length)) return &classes->items[i];
        }
    return NULL;
}

const kn_shape_class *kn_shape_class_in(const kn_shape_classes *classes, const char *text) {
    const kn_shape_class *found = NULL;
    size_t best = 0;
    for (const char *p = text; *p && !found; p++) {
        if (p > text && isalnum((unsigned char)p[-1])) continue;
        for (size_t i = 0; i < classes->count; i++) {
            const char *at = classes->items[i].words, *word;
            size_t length, left = strlen(p);
            while ((word = next_word(&at, &length))) {
                bool plural = left > length && p[length] == 's' && !isalnum((unsigned char)p[length + 1]);
                if (length <= best || length > left || !same(p, word, length)) continue;
                if (isalnum((unsigned char)p[length]) && !plural) continue;
                best = length, found = &classes->items[i];
            }
        }
    }
    return found;
}
