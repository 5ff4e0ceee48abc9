/* Scales that a LoRA's tensors do not tell: in the header's "lora_adapter_metadata" (diffusers) or in
 * adapter_config.json (PEFT). Both hold PEFT's LoraConfig: r, lora_alpha, use_rslora, and patterns of layers with their
 * own. */
#include "diffusion/files/config.h"
#include "diffusion/files/lora_internal.h"

#include "diffusion/files/names.h"

#include <math.h>
#include <regex.h>
#include <string.h>

/* The module's name, with points: of "unet.a.b.lora_A.weight" it is "a.b". */
static void module_name(const kn_adaptation *layer, char out[KN_LORA_KEY_SIZE]) {
    static const char *const starts[] = {"base_model.model.", "unet.", "text_encoder.", "transformer."};
    static const char *const ends[] = {".lora_", ".hada_", ".lokr_", ".oft_", ".lora."};
    const char *name = "";
    for (int role = 0; role < KN_LORA_ROLES; role++)
        if (layer->parts[role]) name = layer->parts[role]->name;
    for (size_t i = 0; i < KN_COUNT(starts); i++) name += kn_name_starts(name, starts[i]) ? strlen(starts[i]) : 0;
    snprintf(out, KN_LORA_KEY_SIZE, "%s", name);
    for (size_t i = 0; i < KN_COUNT(ends); i++) {
        char *end = strstr(out, ends[i]);
        if (end) *end = 0;
    }
}

/* PEFT: a pattern is a regular expression for the end of a module's name, from a point on. */
static bool matches(const char *pattern, const char *module) {
    char text[2 * KN_LORA_KEY_SIZE];
    regex_t expression;
    int length = snprintf(text, sizeof text, "^(.*[.])?(%s)$", pattern[0] == '^' ? pattern + 1 : pattern);
    if (length < 0 || (size_t)length >= sizeof text || regcomp(&expression, text, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool found = regexec(&expression, module, 0, NULL, 0) == 0;
    regfree(&expression);
    return found;
}

static double value_for(const json_t *root, const char *key, const char *pattern_key, const char *module,
                        double fallback) {
    const char *pattern;
    json_t *own;
    json_object_foreach((json_t *)(uintptr_t)json_object_get(root, pattern_key), pattern, own) {
        if (json_is_number(own) && matches(pattern, module)) return json_number_value(own);
    }
    const json_t *value = json_object_get(root, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

/* The settings of one network: all of `root`, or what begins with "unet." or "text_encoder.". */
static json_t *settings_of(const json_t *root, const char *prefix) {
    json_t *own = json_object(), *value;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)root, key, value) {
        if (own && kn_name_starts(key, prefix)) json_object_set(own, key + strlen(prefix), value);
    }
    return own;
}

static bool scale_layer(kn_adaptation *layer, const json_t *settings, kn_error *error) {
    char module[KN_LORA_KEY_SIZE];
    if (layer->parts[KN_LORA_ALPHA]) return true;
    module_name(layer, module);
    double rank = value_for(settings, "r", "rank_pattern", module, 0);
    const char *alpha_key = json_object_get(settings, "lora_alpha") ? "lora_alpha" : "alpha"; /* LoHa and LoKr */
    double alpha = value_for(settings, alpha_key, "alpha_pattern", module, NAN);
    if (isnan(alpha)) return true;
    if (!(rank >= 1 && rank <= 1 << 20) || !(fabs(alpha) <= 1e6))
        return kn_fail(error, KN_ERROR_INPUT, "%s: the rank and alpha of '%s' in its adapter config are %g and %g",
                       layer->file->path, module, rank, alpha);
    bool stabilised = json_is_true(json_object_get(settings, "use_rslora"));
    layer->given_scale = (float)(alpha / (stabilised ? sqrt(rank) : rank));
    layer->has_scale = true;
    return true;
}

static bool scale_all(kn_adaptation *layers, size_t count, const json_t *root, bool prefixed, kn_error *error) {
    json_t *unet = settings_of(root, prefixed ? "unet." : ""),
           *text = settings_of(root, prefixed ? "text_encoder." : "");
    bool ok = (unet && text) || kn_fail(error, KN_ERROR_MEMORY, "out of memory");
    for (size_t i = 0; ok && i < count; i++)
        ok = scale_layer(&layers[i], kn_name_starts(layers[i].key, "text ") ? text : unet, error);
    json_decref(unet);
    json_decref(text);
    return ok;
}

bool kn_lora_read_scales(kn_adaptation *layers, size_t count, const kn_archive *file, const char *config_path,
                         kn_error *error) {
    const char *text = kn_archive_metadata(file, "lora_adapter_metadata");
    if (config_path) {
        kn_config config;
        if (!kn_config_init(&config, config_path, error)) return false;
        bool ok = scale_all(layers, count, config.root, false, error);
        kn_config_finish(&config);
        return ok;
    }
    if (!text) return true;
    json_error_t json_error;
    json_t *root = json_loads(text, 0, &json_error);
    bool ok = json_is_object(root) ? scale_all(layers, count, root, true, error)
                                   : kn_fail(error, KN_ERROR_INPUT, "%s: lora_adapter_metadata: %s", file->path,
                                             root ? "expected an object" : json_error.text);
    json_decref(root);
    return ok;
}
