/* Loading a diffusers folder or a single file. */
#include "diffusion/sampling/model.h"
#include "diffusion/sampling/structure.h"

#include "base/folder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A network of the model's own, by its folder's name or its part of the single file. */
static bool open_own(kn_component *part, const kn_model *model, const char *name, kn_part own, kn_error *error) {
    if (model->checkpoint) return kn_component_open_part(part, model->checkpoint, own, error);
    char *folder = kn_path_join(model->info.folder, name, error);
    bool ok = folder && kn_component_open_folder(part, folder,
                                                 own == KN_PART_COUNT ? "scheduler_config.json" : "config.json", error);
    kn_free(folder);
    return ok;
}

/* The end of loading from a component: lazy models keep it. */
static void close_part(kn_model *model, kn_component *part) {
    if (model->lazy) model->parts[model->part_count++] = *part;
    else kn_component_finish(part);
}

static bool has_component(const kn_model *model, const char *name) {
    if (model->checkpoint)
        return strcmp(name, "text_encoder") == 0 && kn_checkpoint_has(model->checkpoint, KN_PART_TEXT);
    char *path = kn_path_join(model->info.folder, name, NULL);
    bool found = path && kn_file_exists(path);
    kn_free(path);
    return found;
}

/* The heads of a MotionAdapter's attention are told by its own config. */
static bool add_capability_config(kn_component *part, const char *folder, kn_error *error) {
    static const char key[] = "motion_num_attention_heads";
    kn_config config = {0};
    char *path = kn_path_join(folder, "config.json", error);
    bool ok = path && (!kn_file_exists(path) || kn_config_init(&config, path, error));
    json_t *heads = ok ? json_object_get(config.root, key) : NULL;
    if (heads && json_object_set(part->config.root, key, heads) != 0)
        ok = kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", path);
    kn_config_finish(&config);
    kn_free(path);
    return ok;
}

/* Adds the tensors of a capability folder beside the UNet, when it is there. */
static bool add_capability(const kn_model *model, kn_component *part, const char *name, kn_error *error) {
    if (!has_component(model, name)) return true;
    char *folder = kn_path_join(model->info.folder, name, error);
    bool ok =
        folder && add_capability_config(part, folder, error) && kn_weights_add_folder(part->weights, folder, error);
    kn_free(folder);
    return ok;
}

static bool read_condition_means(kn_model *model, const kn_config *config, kn_error *error) {
    const char *name = "";
    if (!kn_config_has(config, "condition_means")) return true;
    if (!kn_config_string(config, "condition_means", &name, error)) return false;
    if (!*name || strlen(name) >= sizeof model->condition_means)
        return kn_fail(error, KN_ERROR_INPUT, "%s: 'condition_means' is '%.80s', expected the name of a control",
                       config->path, name);
    memcpy(model->condition_means, name, strlen(name) + 1);
    return true;
}

/* unet/config.json: `structure`, Kinora's own. */
static bool read_structure(kn_model *model, const kn_config *config, kn_error *error) {
    const char *kind = "";
    if (!kn_config_has(config, "structure")) return true;
    if (!kn_config_string(config, "structure", &kind, error)) return false;
    model->info.structure = true;
    return strcmp(kind, "lines-colour") == 0 ||
           kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: 'structure' is '%.80s', expected 'lines-colour'", config->path,
                   kind);
}

static bool load_unet(kn_model *model, kn_error *error) {
    kn_component part;
    if (!open_own(&part, model, "unet", KN_PART_UNET, error)) return false;
    kn_weights_set_lazy(part.weights, model->lazy);
    kn_weights_set_loras(part.weights, model->loras, KN_LORA_UNET);
    bool ok = add_capability(model, &part, "multi_view", error) && add_capability(model, &part, "motion", error) &&
              read_condition_means(model, &part.config, error) && read_structure(model, &part.config, error) &&
              kn_unet_load(&model->unet, model->gpu, &part.config, part.weights, model->params.precision, error) &&
              kn_weights_check_used(part.weights, error);
    close_part(model, &part);
    model->info.multi_view = model->unet.has_multi_view;
    model->info.max_frames = model->unet.max_frames;
    model->info.temporal = model->unet.max_frames > 0;
    return ok;
}

/* The user's autoencoder (also out of a model's folder), or the model's. */
static bool open_autoencoder(kn_component *part, const kn_model *model, kn_error *error) {
    static const kn_part parts[] = {KN_PART_TINY, KN_PART_AUTOENCODER};
    const char *path = model->params.autoencoder;
    if (!path)
        return open_own(part, model, "vae",
                        model->checkpoint && kn_checkpoint_has(model->checkpoint, KN_PART_TINY) ? KN_PART_TINY
                                                                                                : KN_PART_AUTOENCODER,
                        error);
    char *inner = kn_path_join(path, "vae", error);
    bool ok = inner && kn_component_open_path(part, kn_is_folder(inner) ? inner : path, parts, 2, error);
    kn_free(inner);
    return ok;
}

/* A folder without an autoencoder whose UNet takes channels behind its sample makes fields (kinora/field.h). */
static bool is_field(const kn_model *model) {
    const kn_unet_config *unet = &model->unet.trunk.config;
    return !model->checkpoint && !model->params.autoencoder && !has_component(model, "vae") &&
           unet->in_channels > unet->out_channels && !model->condition_means[0] && !model->info.structure;
}

static bool load_autoencoder(kn_model *model, kn_error *error) {
    kn_component part;
    if (is_field(model)) {
        model->info.field = true;
        model->info.latent_channels = model->unet.trunk.config.out_channels;
        model->info.latent_factor = 1;
        return true;
    }
    if (!open_autoencoder(&part, model, error)) return false;
    kn_weights_set_lazy(part.weights, model->lazy);
    bool ok = kn_autoencoder_load(&model->autoencoder, model->gpu, &part.config, part.weights, model->params.precision,
                                  error) &&
              kn_weights_check_used(part.weights, error);
    const kn_unet_config *unet = &model->unet.trunk.config;
    const kn_autoencoder *autoencoder = &model->autoencoder;
    model->info.inpaints = unet->in_channels == 2 * autoencoder->latent_channels + 1;
    if (model->condition_means[0] || model->info.structure) model->info.inpaints = false;
    int lines = model->info.structure ? kn_structure_channels(autoencoder->factor) : 0;
    bool more = model->info.inpaints || model->condition_means[0] || lines; /* channels behind the latent's */
    if (ok && lines && unet->in_channels != autoencoder->latent_channels + lines)
        ok = kn_fail(error, KN_ERROR_INPUT,
                     "%s: the UNet takes %d channels, expected %d of the latent and %d of structure", part.config.path,
                     unet->in_channels, autoencoder->latent_channels, lines);
    if (ok && ((autoencoder->latent_channels != unet->in_channels && !more) ||
               autoencoder->latent_channels != unet->out_channels))
        ok = kn_fail(error, KN_ERROR_INPUT,
                     "%s: the autoencoder has %d latent channels, but the UNet takes %d and gives %d", part.config.path,
                     autoencoder->latent_channels, unet->in_channels, unet->out_channels);
    model->info.latent_channels = autoencoder->latent_channels;
    model->info.latent_factor = autoencoder->factor;
    model->info.pixel_noise = autoencoder->kind == KN_AUTOENCODER_PACKING;
    close_part(model, &part);
    return ok;
}

static bool load_schedule(kn_model *model, kn_error *error) {
    kn_component part;
    if (!open_own(&part, model, "scheduler", KN_PART_COUNT, error)) return false;
    bool ok = kn_schedule_read(&model->schedule, &part.config, error);
    model->info.default_steps = model->schedule.default_steps;
    if (ok && model->schedule.residual_control[0] && !model->info.pixel_noise)
        ok = kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: 'residual_control' needs a PixelPacking autoencoder",
                     part.config.path);
    kn_component_finish(&part);
    return ok;
}

/* A single file has no vocabulary: it lies beside it or is given. OpenCLIP pads with "!", whatever the vocabulary's own
 * settings. */
static bool load_tokenizer(kn_model *model, kn_error *error) {
    const char *given = model->params.tokenizer;
    char *folder = given               ? kn_strdup(given, error)
                   : model->checkpoint ? kn_path_beside(model->info.folder, "tokenizer", error)
                                       : kn_path_join(model->info.folder, "tokenizer", error);
    bool ok = folder != NULL;
    if (ok && !given && model->checkpoint && !kn_is_folder(folder))
        ok = kn_fail(error, KN_ERROR_INPUT,
                     "%s: a single file has no vocabulary: give --tokenizer DIR with CLIP's vocab.json and merges.txt, "
                     "or put them into %s/",
                     model->info.folder, folder);
    ok = ok && kn_tokenizer_load(&model->tokenizer, folder, error);
    if (ok && model->checkpoint)
        kn_tokenizer_set_pad(model->tokenizer, model->checkpoint->parts[KN_PART_TEXT].naming == KN_NAMING_OPENCLIP ||
                                                       model->text_encoder.channels >= 1024
                                                   ? "!"
                                                   : "<|endoftext|>");
    kn_free(folder);
    return ok;
}

static bool load_text(kn_model *model, kn_error *error) {
    if (!has_component(model, "text_encoder")) return true;
    kn_component part;
    if (!open_own(&part, model, "text_encoder", KN_PART_TEXT, error)) return false;
    kn_weights_set_lazy(part.weights, model->lazy);
    kn_weights_set_loras(part.weights, model->loras, KN_LORA_TEXT);
    bool ok = kn_text_encoder_load(&model->text_encoder, model->gpu, &part.config, part.weights,
                                   model->params.precision, error) &&
              kn_weights_check_used(part.weights, error) && load_tokenizer(model, error);
    if (ok && model->text_encoder.channels != model->unet.trunk.config.context_channels)
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: hidden_size is %d, but the UNet's cross_attention_dim is %d",
                     part.config.path, model->text_encoder.channels, model->unet.trunk.config.context_channels);
    model->info.text = ok;
    close_part(model, &part);
    return ok;
}

/* --- ControlNets ------------------------------------------------------------------------------ */

static bool check_controlnet(const kn_model *model, const kn_controlnet *controlnet, const char *path,
                             kn_error *error) {
    const kn_trunk *own = &controlnet->trunk, *unet = &model->unet.trunk;
    int seen = model->info.latent_channels; /* branches see the latent alone */
    bool same = own->skip_count == unet->skip_count && own->config.in_channels == seen && unet->config.mid &&
                own->config.context_channels == unet->config.context_channels &&
                controlnet->condition_levels == 1 + __builtin_ctz((unsigned)model->info.latent_factor);
    for (int i = 0; same && i < own->skip_count; i++) same = own->skip_channels[i] == unet->skip_channels[i];
    return same || kn_fail(error, KN_ERROR_INPUT,
                           "%s: the ControlNet's channels, layers, cross_attention_dim or conditioning levels do not "
                           "fit the UNet's",
                           path);
}

/* `name`: what the user calls it. */
static bool add_controlnet(kn_model *model, kn_component *part, const char *name, kn_error *error) {
    int index = model->info.control_count;
    if (index == KN_MAX_CONTROLS)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: more than %d ControlNets", model->info.folder,
                       KN_MAX_CONTROLS);
    kn_controlnet *controlnet = &model->controlnets[index];
    model->info.control_count++;
    kn_weights_set_lazy(part->weights, model->lazy);
    bool ok =
        kn_controlnet_load(controlnet, model->gpu, &part->config, part->weights, model->params.precision, error) &&
        kn_weights_check_used(part->weights, error) && check_controlnet(model, controlnet, part->config.path, error);
    snprintf(model->info.control_names[index], sizeof model->info.control_names[index], "%.63s", name);
    model->info.control_channels[index] = controlnet->condition_channels;
    return ok;
}

static bool load_controlnet(kn_model *model, const char *folder, kn_error *error) {
    kn_component part;
    if (!open_own(&part, model, folder, KN_PART_CONTROLNET, error)) return false;
    bool ok = add_controlnet(model, &part, strncmp(folder, "controlnet-", 11) == 0 ? folder + 11 : folder, error);
    close_part(model, &part);
    return ok;
}

/* The user's own, called by the path's last part without its ending. */
static bool load_given_controlnet(kn_model *model, const char *path, kn_error *error) {
    static const kn_part parts[] = {KN_PART_CONTROLNET};
    kn_component part;
    char name[64];
    if (!kn_component_open_path(&part, path, parts, 1, error)) return false;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    size_t start = length;
    while (start > 0 && path[start - 1] != '/') start--;
    snprintf(name, sizeof name, "%.*s", (int)kn_min_size(length - start, 63), path + start);
    char *point = kn_is_folder(path) ? NULL : strrchr(name, '.');
    if (point && point > name) *point = 0;
    bool ok = add_controlnet(model, &part, name, error);
    close_part(model, &part);
    return ok;
}

static bool is_controlnet(const char *name) {
    return strcmp(name, "controlnet") == 0 || strncmp(name, "controlnet-", 11) == 0;
}

/* Every controlnet folder of the model's. */
static bool load_own_controlnets(kn_model *model, kn_error *error) {
    char **names;
    size_t count;
    bool ok = kn_folder_list(model->info.folder, NULL, &names, &count, error);
    for (size_t i = 0; ok && i < count; i++)
        if (is_controlnet(names[i])) ok = load_controlnet(model, names[i], error);
    kn_names_free(names, count);
    return ok;
}

/* --- whole ------------------------------------------------------------------------------------ */

static bool load_controlnets(kn_model *model, kn_error *error) {
    bool ok = model->checkpoint ? !kn_checkpoint_has(model->checkpoint, KN_PART_CONTROLNET) ||
                                      load_controlnet(model, "controlnet", error)
                                : load_own_controlnets(model, error);
    for (int i = 0; ok && i < model->params.controlnet_count; i++)
        ok = load_given_controlnet(model, model->params.controlnets[i], error);
    if (!ok || !model->condition_means[0]) return ok;
    int extra = model->unet.trunk.config.in_channels - model->info.latent_channels;
    for (int i = 0; i < model->info.control_count; i++)
        if (strcmp(model->info.control_names[i], model->condition_means) == 0 &&
            model->info.control_channels[i] == extra)
            return true;
    return kn_fail(error, KN_ERROR_INPUT,
                   "%s: the UNet takes %d channels behind the latent's %d, but there is no ControlNet '%s' with as "
                   "many conditioning_channels",
                   model->info.folder, extra, model->info.latent_channels, model->condition_means);
}

/* Opens a single file and says what it is. */
static bool open_checkpoint(kn_model *model, kn_error *error) {
    const char *path = model->info.folder;
    char what[200];
    if (!kn_checkpoint_open(&model->checkpoint, path, error)) return false;
    kn_checkpoint *checkpoint = model->checkpoint;
    if (model->params.prediction != KN_PREDICT_AUTO) checkpoint->prediction = model->params.prediction;
    kn_checkpoint_describe(checkpoint, what, sizeof what);
    kn_log_line(&model->params.log, KN_LOG_INFO, "%s: %s", path, what);
    if (checkpoint->unknown)
        kn_log_line(&model->params.log, KN_LOG_WARNING,
                    "%s: %zu tensors belong to no network and are passed over: %s%s", path, checkpoint->unknown,
                    checkpoint->unknown_names, checkpoint->unknown > 3 ? ", ..." : "");
    if (!kn_checkpoint_has(checkpoint, KN_PART_UNET))
        return kn_fail(error, KN_ERROR_INPUT, "%s: holds %s, but no UNet", path, what);
    bool has_autoencoder = kn_checkpoint_has(checkpoint, KN_PART_AUTOENCODER) ||
                           kn_checkpoint_has(checkpoint, KN_PART_TINY) || model->params.autoencoder;
    if (!has_autoencoder)
        return kn_fail(error, KN_ERROR_INPUT, "%s: holds %s, but no autoencoder: give --vae FILE", path, what);
    return kn_checkpoint_has(checkpoint, KN_PART_TEXT) ||
           kn_fail(error, KN_ERROR_INPUT, "%s: holds %s, but no text encoder", path, what);
}

/* Calls `visit` for every network. */
static bool each_network(kn_model *model, bool (*visit)(kn_layers *layers, kn_error *error), kn_error *error) {
    bool ok = visit(&model->unet.layers, error) && visit(&model->autoencoder.layers, error) &&
              visit(&model->text_encoder.layers, error);
    for (int i = 0; ok && i < model->info.control_count; i++) ok = visit(&model->controlnets[i].layers, error);
    return ok;
}

static bool fetch_all(kn_model *model, kn_error *error) {
    return !model->lazy || model->params.residency == KN_RESIDENCY_ONE || each_network(model, kn_layers_fetch, error);
}

void kn_model_leave(const kn_model *model, kn_layers *layers) {
    if (model->params.residency != KN_RESIDENCY_ONE) return;
    kn_layers_evict(layers);
    if (kn_gpu_get_info(model->gpu)->kind == KN_GPU_SOFTWARE) kn_trim(); /* the device's memory is the process's */
}

bool kn_model_set_lora(kn_model *model, int index, float strength, kn_error *error) {
    if (index < 0 || index >= model->params.lora_count)
        return kn_fail(error, KN_ERROR_INPUT, "LoRA %d: the model was loaded with %d", index, model->params.lora_count);
    if (!isfinite(strength))
        return kn_fail(error, KN_ERROR_INPUT, "LoRA %d: its strength is not a finite number", index);
    if (model->params.loras[index].strength == strength) return true;
    model->params.loras[index].strength = strength;
    model->revision++;
    kn_lora_set_strength(model->loras, index, strength);
    return each_network(model, kn_layers_adapt, error);
}

static bool load(kn_model *model, kn_error *error) {
    const char *path = model->info.folder;
    const kn_model_params *params = &model->params;
    if (!kn_file_exists(path)) return kn_fail(error, KN_ERROR_IO, "%s: no such model folder or file", path);
    if (params->controlnet_count < 0 || params->controlnet_count > KN_MAX_CONTROLS)
        return kn_fail(error, KN_ERROR_INPUT, "%d ControlNets, expected at most %d", params->controlnet_count,
                       KN_MAX_CONTROLS);
    if ((params->lora_count && !kn_lora_set_create(&model->loras, params->loras, params->lora_count, error)) ||
        (!kn_is_folder(path) && !open_checkpoint(model, error)))
        return false;
    if (!load_unet(model, error) || !load_autoencoder(model, error) || !load_schedule(model, error) ||
        !load_text(model, error) || !load_controlnets(model, error) ||
        (model->loras && !kn_lora_check_used(model->loras, model->info.text, error)) || !fetch_all(model, error))
        return false;
    model->info.parameters =
        model->unet.layers.parameters + model->autoencoder.layers.parameters + model->text_encoder.layers.parameters;
    for (int i = 0; i < model->info.control_count; i++)
        model->info.parameters += model->controlnets[i].layers.parameters;
    return true;
}

static void close_sources(kn_model *model) {
    while (model->part_count > 0) kn_component_finish(&model->parts[--model->part_count]);
    kn_checkpoint_close(&model->checkpoint);
    kn_lora_set_destroy(&model->loras);
}

/* The caller's strings live only until kn_model_load returns. */
static void forget_strings(kn_model_params *params) {
    params->tokenizer = params->autoencoder = NULL;
    for (int i = 0; i < KN_MAX_CONTROLS; i++) params->controlnets[i] = NULL;
    for (int i = 0; i < KN_MAX_LORAS; i++) params->loras[i].path = NULL;
}

bool kn_model_load(kn_model **out, kn_gpu *gpu, const char *path, const kn_model_params *params, kn_error *error) {
    *out = NULL;
    kn_model *model = kn_alloc(1, sizeof *model, error);
    if (!model) return false;
    model->gpu = gpu;
    model->params = params ? *params : KN_MODEL_PARAMS_DEFAULT;
    int length = snprintf(model->info.folder, sizeof model->info.folder, "%s", path);
    bool fits = length >= 0 && (size_t)length < sizeof model->info.folder;
    if (!fits)
        kn_fail(error, KN_ERROR_INPUT, "the model's path is longer than %zu bytes", sizeof model->info.folder - 1);
    model->lazy = model->params.residency == KN_RESIDENCY_ONE || model->params.lora_count > 0;
    if (!fits || !load(model, error)) {
        kn_model_destroy(&model);
        return false;
    }
    forget_strings(&model->params);
    if (!model->lazy) close_sources(model);
    *out = model;
    return true;
}

void kn_model_destroy(kn_model **out) {
    if (!out || !*out) return;
    kn_model *model = *out;
    kn_unet_finish(&model->unet);
    kn_autoencoder_finish(&model->autoencoder);
    kn_schedule_finish(&model->schedule);
    kn_text_encoder_finish(&model->text_encoder);
    kn_tokenizer_destroy(&model->tokenizer);
    for (int i = 0; i < model->info.control_count; i++) kn_controlnet_finish(&model->controlnets[i]);
    close_sources(model);
    kn_free(model);
    *out = NULL;
}

const kn_model_info *kn_model_get_info(const kn_model *model) { return &model->info; }
