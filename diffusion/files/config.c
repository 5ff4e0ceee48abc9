#include "diffusion/files/config.h"

#include <string.h>

#define CONFIG_LIMIT (64u << 20)

bool kn_config_init(kn_config *config, const char *path, kn_error *error) {
    *config = (kn_config){0};
    uint8_t *data;
    size_t size;
    if (!kn_file_read(path, CONFIG_LIMIT, &data, &size, error)) return false;
    json_error_t json_error;
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &json_error);
    kn_free(data);
    if (!root) return kn_fail(error, KN_ERROR_INPUT, "%s:%d: %s", path, json_error.line, json_error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return kn_fail(error, KN_ERROR_INPUT, "%s: the top level must be a JSON object", path);
    }
    config->root = root;
    config->path = kn_strdup(path, error);
    if (config->path) return true;
    kn_config_finish(config);
    return false;
}

void kn_config_finish(kn_config *config) {
    json_decref(config->root);
    kn_free(config->path);
    *config = (kn_config){0};
}

static const json_t *lookup(const kn_config *config, const char *key) {
    const json_t *value = json_object_get(config->root, key);
    return json_is_null(value) ? NULL : value;
}

bool kn_config_has(const kn_config *config, const char *key) { return lookup(config, key) != NULL; }

static bool check_int(const kn_config *config, const char *key, const json_t *item, int low, int high, int *value,
                      kn_error *error) {
    json_int_t number = json_integer_value(item);
    if (!json_is_integer(item) || number < low || number > high)
        return kn_fail(error, KN_ERROR_INPUT, "%s: '%s' must be an integer from %d to %d", config->path, key, low,
                       high);
    *value = (int)number;
    return true;
}

bool kn_config_int(const kn_config *config, const char *key, int low, int high, int *value, kn_error *error) {
    const json_t *item = lookup(config, key);
    return !item || check_int(config, key, item, low, high, value, error);
}

bool kn_config_double(const kn_config *config, const char *key, double low, double high, double *value,
                      kn_error *error) {
    const json_t *item = lookup(config, key);
    if (!item) return true;
    double number = json_number_value(item);
    if (!json_is_number(item) || !(number >= low && number <= high))
        return kn_fail(error, KN_ERROR_INPUT, "%s: '%s' must be a number from %g to %g", config->path, key, low, high);
    *value = number;
    return true;
}

bool kn_config_bool(const kn_config *config, const char *key, bool *value, kn_error *error) {
    const json_t *item = lookup(config, key);
    if (!item) return true;
    if (!json_is_boolean(item))
        return kn_fail(error, KN_ERROR_INPUT, "%s: '%s' must be true or false", config->path, key);
    *value = json_is_true(item);
    return true;
}

bool kn_config_string(const kn_config *config, const char *key, const char **value, kn_error *error) {
    const json_t *item = lookup(config, key);
    if (!item) return true;
    if (!json_is_string(item)) return kn_fail(error, KN_ERROR_INPUT, "%s: '%s' must be a string", config->path, key);
    *value = json_string_value(item);
    return true;
}

bool kn_config_ints(const kn_config *config, const char *key, int low, int high, int *values, int capacity, int *count,
                    kn_error *error) {
    const json_t *list = lookup(config, key);
    if (!list) return true;
    if (json_is_integer(list)) {
        *count = 1;
        return check_int(config, key, list, low, high, values, error);
    }
    size_t size = json_array_size(list);
    if (!json_is_array(list) || size == 0 || size > (size_t)capacity)
        return kn_fail(error, KN_ERROR_INPUT, "%s: '%s' must be a list of 1 to %d integers", config->path, key,
                       capacity);
    for (size_t i = 0; i < size; i++) {
        if (!check_int(config, key, json_array_get(list, i), low, high, &values[i], error)) return false;
    }
    *count = (int)size;
    return true;
}

bool kn_config_strings(const kn_config *config, const char *key, const char **values, int capacity, int *count,
                       kn_error *error) {
    const json_t *list = lookup(config, key);
    if (!list) return true;
    size_t size = json_array_size(list);
    if (!json_is_array(list) || size == 0 || size > (size_t)capacity)
        return kn_fail(error, KN_ERROR_INPUT, "%s: '%s' must be a list of 1 to %d strings", config->path, key,
                       capacity);
    for (size_t i = 0; i < size; i++) {
        values[i] = json_string_value(json_array_get(list, i));
        if (!values[i]) return kn_fail(error, KN_ERROR_INPUT, "%s: '%s' must be a list of strings", config->path, key);
    }
    *count = (int)size;
    return true;
}

bool kn_config_refuse(const kn_config *config, const char *key, const char *neutral, kn_error *error) {
    const json_t *item = lookup(config, key);
    const char *text = json_string_value(item);
    if (!item || json_is_false(item) ||
        (text && (strcmp(text, "default") == 0 || (neutral && strcmp(text, neutral) == 0))))
        return true;
    return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: '%s' with a value other than its default is not supported",
                   config->path, key);
}

bool kn_config_fixed(const kn_config *config, const char *key, double neutral, kn_error *error) {
    double number = neutral;
    if (!kn_config_double(config, key, -1e9, 1e9, &number, error)) return false;
    return number == neutral || kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: '%s' is %g; only %g is supported",
                                        config->path, key, number, neutral);
}

bool kn_config_class(const kn_config *config, const char *const *names, kn_error *error) {
    const char *name = NULL;
    if (!kn_config_string(config, "_class_name", &name, error)) return false;
    for (int i = 0; name && names[i]; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return !name || kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: '_class_name' is '%.64s', expected %s", config->path,
                            name, names[0]);
}
