/* Loading a diffusers folder. */
#include "diffusion/model.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One component folder: its config and, with weights, its tensors. */
typedef struct component {
    char *folder;
    kn_config config;
    kn_weights *weights;
} component;

static void component_finish(component *part) {
    kn_weights_destroy(&part->weights);
    kn_config_finish(&part->config);
    kn_free(part->folder);
}

static bool component_init(component *part, const kn_model *model, const char *name, const char *config_name, kn_error *error) {
    *part = (component){0};
    char *config_path = NULL;
    bool ok = (part->folder = kn_path_join(model->info.folder, name, error)) && (config_path = kn_path_join(part->folder, config_name, error)) &&
              kn_config_init(&part->config, config_path, error) && kn_weights_create(&part->weights, error);
    kn_free(config_path);
    if (!ok)
        component_finish(part);
    return ok;
}

static bool has_component(const kn_model *model, const char *name) {
    char *path = kn_path_join(model->info.folder, name, NULL);
    bool found = path && kn_file_exists(path);
    kn_free(path);
    return found;
}

/* Adds the tensors of a capability folder beside the UNet, when it is there. */
static bool add_capability(const kn_model *model, component *part, const char *name, kn_error *error) {
    if (!has_component(model, name))
        return true;
    char *folder = kn_path_join(model->info.folder, name, error);
    bool ok = folder && kn_weights_add_folder(part->weights, folder, error);
    kn_free(folder);
    return ok;
}

static bool load_unet(kn_model *model, kn_error *error) {
    component part;
    if (!component_init(&part, model, "unet", "config.json", error))
        return false;
    bool ok = kn_weights_add_folder(part.weights, part.folder, error) && add_capability(model, &part, "multi_view", error) &&
              add_capability(model, &part, "motion", error) &&
              kn_unet_load(&model->unet, model->gpu, &part.config, part.weights, model->params.precision, error) && kn_weights_check_used(part.weights, error);
    component_finish(&part);
    model->info.multi_view = model->unet.has_multi_view;
    model->info.max_frames = model->unet.max_frames;
    model->info.temporal = model->unet.max_frames > 0;
    return ok;
}

static bool load_autoencoder(kn_model *model, kn_error *error) {
    component part;
    if (!component_init(&part, model, "vae", "config.json", error))
        return false;
    bool ok = (!kn_autoencoder_has_weights(&part.config) || kn_weights_add_folder(part.weights, part.folder, error)) &&
              kn_autoencoder_load(&model->autoencoder, model->gpu, &part.config, part.weights, model->params.precision, error) &&
              kn_weights_check_used(part.weights, error);
    const kn_unet_config *unet = &model->unet.trunk.config;
    const kn_autoencoder *autoencoder = &model->autoencoder;
    model->info.inpaints = unet->in_channels == 2 * autoencoder->latent_channels + 1;
    if (ok && ((autoencoder->latent_channels != unet->in_channels && !model->info.inpaints) || autoencoder->latent_channels != unet->out_channels))
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: the autoencoder has %d latent channels, but the UNet takes %d and gives %d", part.config.path,
                     autoencoder->latent_channels, unet->in_channels, unet->out_channels);
    model->info.latent_channels = autoencoder->latent_channels;
    model->info.latent_factor = autoencoder->factor;
    model->info.pixel_noise = autoencoder->kind == KN_AUTOENCODER_PACKING;
    component_finish(&part);
    return ok;
}

static bool load_schedule(kn_model *model, kn_error *error) {
    component part;
    if (!component_init(&part, model, "scheduler", "scheduler_config.json", error))
        return false;
    bool ok = kn_schedule_read(&model->schedule, &part.config, error);
    model->info.default_steps = model->schedule.default_steps;
    if (ok && model->schedule.residual_control[0] && !model->info.pixel_noise)
        ok = kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: 'residual_control' needs a PixelPacking autoencoder", part.config.path);
    component_finish(&part);
    return ok;
}

static bool load_text(kn_model *model, kn_error *error) {
    if (!has_component(model, "text_encoder"))
        return true;
    component part;
    if (!component_init(&part, model, "text_encoder", "config.json", error))
        return false;
    char *tokenizer = kn_path_join(model->info.folder, "tokenizer", error);
    bool ok = tokenizer && kn_weights_add_folder(part.weights, part.folder, error) &&
              kn_text_encoder_load(&model->text_encoder, model->gpu, &part.config, part.weights, model->params.precision, error) &&
              kn_weights_check_used(part.weights, error) && kn_tokenizer_load(&model->tokenizer, tokenizer, error);
    if (ok && model->text_encoder.channels != model->unet.trunk.config.context_channels)
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: hidden_size is %d, but the UNet's cross_attention_dim is %d", part.config.path, model->text_encoder.channels,
                     model->unet.trunk.config.context_channels);
    model->info.text = ok;
    kn_free(tokenizer);
    component_finish(&part);
    return ok;
}

/* --- ControlNets ------------------------------------------------------------------------------------------------------- */

static bool check_controlnet(const kn_model *model, const kn_controlnet *controlnet, const char *path, kn_error *error) {
    const kn_trunk *own = &controlnet->trunk, *unet = &model->unet.trunk;
    bool same = own->skip_count == unet->skip_count && own->config.in_channels == unet->config.in_channels && unet->config.mid &&
                own->config.context_channels == unet->config.context_channels && controlnet->condition_levels == 1 + __builtin_ctz((unsigned)model->info.latent_factor);
    for (int i = 0; same && i < own->skip_count; i++)
        same = own->skip_channels[i] == unet->skip_channels[i];
    return same || kn_fail(error, KN_ERROR_INPUT, "%s: the ControlNet's channels, layers, cross_attention_dim or conditioning levels do not fit the UNet's", path);
}

static bool load_controlnet(kn_model *model, const char *folder, kn_error *error) {
    int index = model->info.control_count;
    if (index == KN_MAX_CONTROLS)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: more than %d ControlNets", model->info.folder, KN_MAX_CONTROLS);
    component part;
    if (!component_init(&part, model, folder, "config.json", error))
        return false;
    kn_controlnet *controlnet = &model->controlnets[index];
    model->info.control_count++;
    bool ok = kn_weights_add_folder(part.weights, part.folder, error) &&
              kn_controlnet_load(controlnet, model->gpu, &part.config, part.weights, model->params.precision, error) &&
              kn_weights_check_used(part.weights, error) && check_controlnet(model, controlnet, part.config.path, error);
    const char *name = strncmp(folder, "controlnet-", 11) == 0 ? folder + 11 : folder;
    snprintf(model->info.control_names[index], sizeof model->info.control_names[index], "%.63s", name);
    model->info.control_channels[index] = controlnet->condition_channels;
    component_finish(&part);
    return ok;
}

static int compare_strings(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool is_controlnet(const char *name) { return strcmp(name, "controlnet") == 0 || strncmp(name, "controlnet-", 11) == 0; }

static bool load_controlnets(kn_model *model, kn_error *error) {
    DIR *directory = opendir(model->info.folder);
    if (!directory)
        return kn_fail(error, KN_ERROR_IO, "%s: %s", model->info.folder, strerror(errno));
    char **names = NULL;
    size_t count = 0, capacity = 0;
    bool ok = true;
    for (const struct dirent *entry; ok && (entry = readdir(directory));) {
        if (is_controlnet(entry->d_name))
            ok = kn_grow(&names, &capacity, count + 1, sizeof *names, error) && (names[count] = kn_strdup(entry->d_name, error)) && ++count;
    }
    closedir(directory);
    if (count)
        qsort(names, count, sizeof *names, compare_strings);
    for (size_t i = 0; i < count; i++) {
        ok = ok && load_controlnet(model, names[i], error);
        kn_free(names[i]);
    }
    kn_free(names);
    return ok;
}

/* --- whole -------------------------------------------------------------------------------------------------------------- */

static bool load(kn_model *model, kn_error *error) {
    if (!kn_file_exists(model->info.folder))
        return kn_fail(error, KN_ERROR_IO, "%s: no such model folder", model->info.folder);
    if (!load_unet(model, error) || !load_autoencoder(model, error) || !load_schedule(model, error) || !load_text(model, error) || !load_controlnets(model, error))
        return false;
    model->info.parameters = model->unet.layers.parameters + model->autoencoder.layers.parameters + model->text_encoder.layers.parameters;
    for (int i = 0; i < model->info.control_count; i++)
        model->info.parameters += model->controlnets[i].layers.parameters;
    return true;
}

bool kn_model_load(kn_model **out, kn_gpu *gpu, const char *folder, const kn_model_params *params, kn_error *error) {
    *out = NULL;
    kn_model *model = kn_alloc(1, sizeof *model, error);
    if (!model)
        return false;
    model->gpu = gpu;
    model->params = params ? *params : KN_MODEL_PARAMS_DEFAULT;
    int length = snprintf(model->info.folder, sizeof model->info.folder, "%s", folder);
    bool fits = length >= 0 && (size_t)length < sizeof model->info.folder;
    if (!fits)
        kn_fail(error, KN_ERROR_INPUT, "the model folder's path is longer than %zu bytes", sizeof model->info.folder - 1);
    if (!fits || !load(model, error)) {
        kn_model_destroy(&model);
        return false;
    }
    *out = model;
    return true;
}

void kn_model_destroy(kn_model **out) {
    if (!out || !*out)
        return;
    kn_model *model = *out;
    kn_unet_finish(&model->unet);
    kn_autoencoder_finish(&model->autoencoder);
    kn_schedule_finish(&model->schedule);
    kn_text_encoder_finish(&model->text_encoder);
    kn_tokenizer_destroy(&model->tokenizer);
    for (int i = 0; i < model->info.control_count; i++)
        kn_controlnet_finish(&model->controlnets[i]);
    kn_free(model);
    *out = NULL;
}

const kn_model_info *kn_model_get_info(const kn_model *model) { return &model->info; }
