/* Reading the JSON configs of a diffusers folder with errors that name file and key. Internal to diffusion/. */
#ifndef KN_DIFFUSION_CONFIG_H
#define KN_DIFFUSION_CONFIG_H

#include "base/base.h"

#include <jansson.h>

typedef struct kn_config {
    char *path;
    json_t *root; /* an object */
} kn_config;

/* Reads a JSON object of at most 64 MB; keys may not repeat. */
bool kn_config_init(kn_config *config, const char *path, kn_error *error);
void kn_config_finish(kn_config *config);

bool kn_config_has(const kn_config *config, const char *key); /* present and not null */

/* Each leaves *value as it was (the default) when the key is absent or null, and fails when it has another type or lies
 * outside [low, high]. */
bool kn_config_int(const kn_config *config, const char *key, int low, int high, int *value, kn_error *error);
bool kn_config_double(const kn_config *config, const char *key, double low, double high, double *value,
                      kn_error *error);
bool kn_config_bool(const kn_config *config, const char *key, bool *value, kn_error *error);
/* The string lives as long as the config. */
bool kn_config_string(const kn_config *config, const char *key, const char **value, kn_error *error);

/* A list of integers into values[capacity], *count of them; absent: unchanged. A single integer fills values[0] and
 * count 1. */
bool kn_config_ints(const kn_config *config, const char *key, int low, int high, int *values, int capacity, int *count,
                    kn_error *error);
/* A list of strings that live as long as the config; absent: unchanged. */
bool kn_config_strings(const kn_config *config, const char *key, const char **values, int capacity, int *count,
                       kn_error *error);
/* Fails with KN_ERROR_UNSUPPORTED when the key is present with any value but null, false, "default" or `neutral`. */
bool kn_config_refuse(const kn_config *config, const char *key, const char *neutral, kn_error *error);
/* Fails with KN_ERROR_UNSUPPORTED when the key is present with another number than `neutral`. */
bool kn_config_fixed(const kn_config *config, const char *key, double neutral, kn_error *error);
/* Fails with KN_ERROR_UNSUPPORTED when the config's "_class_name" is there and none of `names` (ends with NULL). */
bool kn_config_class(const kn_config *config, const char *const *names, kn_error *error);

#endif
