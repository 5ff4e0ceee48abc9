/* Tuning constants in files: one small JSON object a device, driver and subgroup size. */
#include "gpu/tuning.h"

#include "base/base.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

enum { VERSION = 1, FILE_LIMIT = 64 << 10, NAME_CHARACTERS = 40, DIGEST_CHARACTERS = 12 };

/* One constant: a double when `real`, else an int. `powers`: 1, 2, 4, ... only. */
static const struct constant {
    const char *name;
    size_t offset;
    double low, high;
    bool real, powers;
} constants[] = {
    {"winograd_store", offsetof(kn_tuning, winograd_store), 1, 1000, true, false},
    {"winograd_few", offsetof(kn_tuning, winograd_few), 0, 1000, true, false},
    {"conv_shared", offsetof(kn_tuning, conv_shared), 0, 4096, false, false},
    {"conv_blocks", offsetof(kn_tuning, conv_blocks), 1, 4, false, true},
    {"attention_shared", offsetof(kn_tuning, attention_shared), 0, 65536, false, false},
    {"attention_blocks", offsetof(kn_tuning, attention_blocks), 1, 4, false, true},
    {"busy_groups", offsetof(kn_tuning, busy_groups), 0, 4096, false, false},
    {"cooperative", offsetof(kn_tuning, cooperative), 0, 1, false, false},
};

static double get(const kn_tuning *tuning, const struct constant *c) {
    const char *at = (const char *)tuning + c->offset;
    return c->real ? *(const double *)at : *(const int *)at;
}

static void set(kn_tuning *tuning, const struct constant *c, double value) {
    char *at = (char *)tuning + c->offset;
    if (c->real) *(double *)at = value;
    else *(int *)at = (int)value;
}

bool kn_tuning_equal(const kn_tuning *a, const kn_tuning *b) {
    for (size_t i = 0; i < KN_COUNT(constants); i++)
        if (get(a, &constants[i]) != get(b, &constants[i])) return false;
    return true;
}

void kn_tuning_each(const kn_tuning *tuning, void (*visit)(void *user, const char *name, double value), void *user) {
    for (size_t i = 0; i < KN_COUNT(constants); i++) visit(user, constants[i].name, get(tuning, &constants[i]));
}

char *kn_tuning_path(const char *folder, const kn_gpu_info *info, kn_error *error) {
    char name[NAME_CHARACTERS + 1], digest[65];
    size_t length = 0;
    for (const char *c = info->name; *c && length < NAME_CHARACTERS; c++) {
        if (isalnum((unsigned char)*c)) name[length++] = (char)tolower((unsigned char)*c);
        else if (length && name[length - 1] != '-') name[length++] = '-';
    }
    name[length] = 0;
    char *identity = kn_format(error, "%s\n%s\n%u", info->name, info->driver, info->subgroup_size);
    if (!identity) return NULL;
    kn_sha256_hex(identity, strlen(identity), digest);
    kn_free(identity);
    return kn_format(error, "%s/%s-%.*s.json", folder, name, DIGEST_CHARACTERS, digest);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool same_text(const json_t *object, const char *key, const char *expected) {
    const char *text = json_string_value(json_object_get(object, key));
    return text && strcmp(text, expected) == 0;
}

static bool read_constants(kn_tuning *tuning, const json_t *object, const char *path, kn_error *error) {
    for (size_t i = 0; i < KN_COUNT(constants); i++) {
        const struct constant *c = &constants[i];
        const json_t *value = json_object_get(object, c->name);
        double number = json_number_value(value);
        bool whole = number == floor(number), power = number == 1 || number == 2 || number == 4;
        if (!json_is_number(value) || !(number >= c->low && number <= c->high) || (!c->real && !whole) ||
            (c->powers && !power))
            return kn_fail(error, KN_ERROR_INPUT, "%s: constant %s: expected %s from %g to %g", path, c->name,
                           c->real     ? "a number"
                           : c->powers ? "a power of two"
                                       : "a whole number",
                           c->low, c->high);
        set(tuning, c, number);
    }
    return true;
}

static bool parse(kn_tuning *tuning, const json_t *root, const char *path, const kn_gpu_info *info, kn_error *error) {
    if (!json_is_object(root) || json_integer_value(json_object_get(root, "kinora_tuning")) != VERSION)
        return kn_fail(error, KN_ERROR_INPUT, "%s: expected an object with \"kinora_tuning\": %d", path, VERSION);
    if (!same_text(root, "device", info->name) || !same_text(root, "driver", info->driver) ||
        json_integer_value(json_object_get(root, "subgroup_size")) != (json_int_t)info->subgroup_size)
        return kn_fail(error, KN_ERROR_INPUT, "%s: made for another device or driver than %s, %s", path, info->name,
                       info->driver);
    kn_tuning made = KN_TUNING_DEFAULT;
    if (!read_constants(&made, json_object_get(root, "constants"), path, error)) return false;
    *tuning = made;
    return true;
}

bool kn_tuning_read(kn_tuning *tuning, const char *path, const kn_gpu_info *info, kn_error *error) {
    uint8_t *data;
    size_t size;
    json_error_t place;
    if (!kn_file_read(path, FILE_LIMIT, &data, &size, error)) return false;
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &place);
    bool ok = root ? parse(tuning, root, path, info, error)
                   : kn_fail(error, KN_ERROR_INPUT, "%s:%d: %s", path, place.line, place.text);
    json_decref(root);
    kn_free(data);
    return ok;
}

/* --- writing ---------------------------------------------------------------------------------- */

bool kn_tuning_write(const kn_tuning *tuning, const char *path, const kn_gpu_info *info, kn_error *error) {
    json_t *values = json_object();
    bool ok = values != NULL;
    for (size_t i = 0; ok && i < KN_COUNT(constants); i++) {
        double value = get(tuning, &constants[i]);
        ok = json_object_set_new(values, constants[i].name,
                                 constants[i].real ? json_real(value) : json_integer((json_int_t)value)) == 0;
    }
    json_t *root = json_pack("{s:i, s:s, s:s, s:i, s:o}", "kinora_tuning", VERSION, "device", info->name, "driver",
                             info->driver, "subgroup_size", (int)info->subgroup_size, "constants", values);
    char *text = ok && root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    ok = text ? kn_file_write(path, text, strlen(text), error)
              : kn_fail(error, KN_ERROR_MEMORY, "%s: memory ran out while writing", path);
    free(text);
    json_decref(root);
    return ok;
}
