#include "diffusion/sampling/component.h"

#include "diffusion/networks/autoencoder.h"

#include <string.h>
#include <sys/stat.h>

bool kn_is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

void kn_component_finish(kn_component *component) {
    kn_weights_destroy(&component->weights);
    kn_config_finish(&component->config);
    kn_checkpoint_close(&component->file);
    kn_free(component->folder);
    *component = (kn_component){0};
}

static bool finish_if(kn_component *component, bool failed) {
    if (failed) kn_component_finish(component);
    return !failed;
}

bool kn_component_open_folder(kn_component *component, const char *folder, const char *config_name, kn_error *error) {
    *component = (kn_component){0};
    char *config_path = NULL;
    bool ok = (component->folder = kn_strdup(folder, error)) &&
              (config_path = kn_path_join(folder, config_name, error)) &&
              kn_config_init(&component->config, config_path, error) && kn_weights_create(&component->weights, error);
    bool has_tensors = ok && strcmp(config_name, "config.json") == 0 && kn_autoencoder_has_weights(&component->config);
    ok = ok && (!has_tensors || kn_weights_add_folder(component->weights, folder, error));
    kn_free(config_path);
    return finish_if(component, !ok);
}

static bool open_part(kn_component *component, const kn_checkpoint *checkpoint, kn_part part, kn_error *error) {
    if (!kn_weights_create(&component->weights, error)) return false;
    if (part == KN_PART_COUNT) return kn_checkpoint_schedule(checkpoint, &component->config, error);
    return kn_checkpoint_config(checkpoint, part, &component->config, error) &&
           kn_checkpoint_weights(checkpoint, part, component->weights, error);
}

bool kn_component_open_part(kn_component *component, const kn_checkpoint *checkpoint, kn_part part, kn_error *error) {
    *component = (kn_component){0};
    return finish_if(component, !open_part(component, checkpoint, part, error));
}

static bool open_file(kn_component *component, const char *path, const kn_part *parts, int part_count,
                      kn_error *error) {
    char what[200];
    if (!kn_checkpoint_open(&component->file, path, error)) return false;
    for (int i = 0; i < part_count; i++) {
        if (kn_checkpoint_has(component->file, parts[i])) return open_part(component, component->file, parts[i], error);
    }
    kn_checkpoint_describe(component->file, what, sizeof what);
    return kn_fail(error, KN_ERROR_INPUT, "%s: holds %s, not the network that is asked for", path, what);
}

bool kn_component_open_path(kn_component *component, const char *path, const kn_part *parts, int part_count,
                            kn_error *error) {
    if (kn_is_folder(path)) return kn_component_open_folder(component, path, "config.json", error);
    *component = (kn_component){0};
    return finish_if(component, !open_file(component, path, parts, part_count, error));
}
