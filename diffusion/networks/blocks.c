/* The config, the time embedding and the down and middle blocks that UNet and ControlNet share. */
#include "diffusion/networks/unet.h"

#include <math.h>
#include <string.h>

/* --- config ----------------------------------------------------------------------------------- */

/* "DownBlock2D", or "DownBlockMotion" in a UNet that was saved with its motion modules. */
static bool is_kind(const char *name, const char *stem) {
    size_t length = strlen(stem);
    return strncmp(name, stem, length) == 0 &&
           (strcmp(name + length, "2D") == 0 || strcmp(name + length, "Motion") == 0);
}

static bool read_kinds(const kn_config *config, const char *key, const char *plain, const char *attention, int levels,
                       bool *flags, kn_error *error) {
    const char *names[KN_MAX_LEVELS];
    int count = 0;
    if (!kn_config_strings(config, key, names, KN_MAX_LEVELS, &count, error)) return false;
    if (count != levels)
        return kn_fail(error, KN_ERROR_INPUT, "%s: '%s' must have one entry for each of the %d block_out_channels",
                       config->path, key, levels);
    for (int i = 0; i < levels; i++) {
        flags[i] = is_kind(names[i], attention);
        if (!flags[i] && !is_kind(names[i], plain))
            return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: '%s' has '%.64s'; %s2D and %s2D are supported",
                           config->path, key, names[i], plain, attention);
    }
    return true;
}

static bool read_mid(kn_unet_config *unet, const kn_config *config, kn_error *error) {
    const char *kind = "UNetMidBlock2DCrossAttn";
    if (json_is_null(json_object_get(config->root, "mid_block_type"))) kind = NULL;
    else if (!kn_config_string(config, "mid_block_type", &kind, error)) return false;
    unet->mid = kind != NULL;
    unet->mid_attention = kind && strcmp(kind, "UNetMidBlock2DCrossAttn") == 0;
    if (kind && !unet->mid_attention && strcmp(kind, "UNetMidBlock2D") != 0)
        return kn_fail(
            error, KN_ERROR_UNSUPPORTED,
            "%s: 'mid_block_type' is '%.64s'; UNetMidBlock2DCrossAttn, UNetMidBlock2D and null are supported",
            config->path, kind);
    return true;
}

/* One value for all levels, or one per level. */
static bool read_per_level(const kn_config *config, const char *key, int low, int high, int levels, int *values,
                           kn_error *error) {
    int count = 1;
    if (!kn_config_ints(config, key, low, high, values, KN_MAX_LEVELS, &count, error)) return false;
    if (count != 1 && count != levels)
        return kn_fail(error, KN_ERROR_INPUT, "%s: '%s' must have 1 or %d entries", config->path, key, levels);
    for (int i = 1; i < levels && count == 1; i++) values[i] = values[0];
    return true;
}

static bool refuse_variants(const kn_config *config, kn_error *error) {
    static const char *keys[] = {"class_embed_type",        "addition_embed_type",
                                 "encoder_hid_dim_type",    "dual_cross_attention",
                                 "only_cross_attention",    "center_input_sample",
                                 "num_class_embeds",        "timestep_post_act",
                                 "class_embeddings_concat", "encoder_hid_dim",
                                 "cross_attention_norm",    "mid_block_only_cross_attention",
                                 "resnet_skip_time_act",    "time_embedding_dim",
                                 "time_embedding_act_fn",   "reverse_transformer_layers_per_block"};
    for (size_t i = 0; i < KN_COUNT(keys); i++) {
        if (!kn_config_refuse(config, keys[i], NULL, error)) return false;
    }
    return kn_config_refuse(config, "act_fn", "silu", error) &&
           kn_config_refuse(config, "resnet_time_scale_shift", "default", error) &&
           kn_config_refuse(config, "time_embedding_type", "positional", error) &&
           kn_config_refuse(config, "attention_type", "default", error) &&
           kn_config_fixed(config, "conv_in_kernel", 3, error) &&
           kn_config_fixed(config, "conv_out_kernel", 3, error) &&
           kn_config_fixed(config, "downsample_padding", 1, error) &&
           kn_config_fixed(config, "mid_block_scale_factor", 1, error) &&
           kn_config_fixed(config, "resnet_out_scale_factor", 1, error);
}

/* Motion modules have the UNet's heads unless they say otherwise. */
static bool read_motion(kn_unet_config *unet, const kn_config *config, kn_error *error) {
    static const char key[] = "motion_num_attention_heads";
    memcpy(unet->motion_heads, unet->heads, sizeof unet->heads);
    return !kn_config_has(config, key) || read_per_level(config, key, 1, 1024, unet->levels, unet->motion_heads, error);
}

static bool check_groups(const kn_unet_config *unet, const kn_config *config, kn_error *error) {
    for (int i = 0; i < unet->levels; i++) {
        if (unet->channels[i] % unet->groups != 0 || unet->channels[i] % 4 != 0)
            return kn_fail(error, KN_ERROR_INPUT,
                           "%s: block_out_channels %d must be a multiple of 4 and of norm_num_groups %d", config->path,
                           unet->channels[i], unet->groups);
    }
    return true;
}

bool kn_unet_config_read(kn_unet_config *unet, const kn_config *config, bool has_up, kn_error *error) {
    *unet = (kn_unet_config){.in_channels = 4,
                             .out_channels = 4,
                             .context_channels = 1280,
                             .groups = 32,
                             .epsilon = 1e-5,
                             .flip_sin_to_cos = true};
    unet->heads[0] = 8, unet->layers[0] = 2, unet->depth[0] = 1;
    if (!refuse_variants(config, error) || !kn_config_int(config, "in_channels", 1, 4096, &unet->in_channels, error) ||
        !kn_config_int(config, "out_channels", 1, 4096, &unet->out_channels, error) ||
        !kn_config_ints(config, "block_out_channels", 4, 16384, unet->channels, KN_MAX_LEVELS, &unet->levels, error) ||
        !kn_config_int(config, "cross_attention_dim", 1, 65536, &unet->context_channels, error) ||
        !kn_config_int(config, "norm_num_groups", 1, 1024, &unet->groups, error) ||
        !kn_config_double(config, "norm_eps", 0, 1, &unet->epsilon, error) ||
        !kn_config_double(config, "freq_shift", -1, 1, &unet->frequency_shift, error) ||
        !kn_config_bool(config, "flip_sin_to_cos", &unet->flip_sin_to_cos, error))
        return false;
    if (unet->levels == 0) return kn_fail(error, KN_ERROR_INPUT, "%s: 'block_out_channels' is missing", config->path);
    /* diffusers calls the number of heads attention_head_dim; newer configs also have num_attention_heads */
    const char *heads = kn_config_has(config, "num_attention_heads") ? "num_attention_heads" : "attention_head_dim";
    return read_per_level(config, "layers_per_block", 1, KN_MAX_LAYERS - 1, unet->levels, unet->layers, error) &&
           read_per_level(config, heads, 1, 1024, unet->levels, unet->heads, error) &&
           read_per_level(config, "transformer_layers_per_block", 1, 64, unet->levels, unet->depth, error) &&
           read_motion(unet, config, error) &&
           read_kinds(config, "down_block_types", "DownBlock", "CrossAttnDownBlock", unet->levels, unet->down_attention,
                      error) &&
           (!has_up || read_kinds(config, "up_block_types", "UpBlock", "CrossAttnUpBlock", unet->levels,
                                  unet->up_attention, error)) &&
           read_mid(unet, config, error) && check_groups(unet, config, error);
}

/* --- time ------------------------------------------------------------------------------------- */

void kn_timestep_embedding(const kn_unet_config *config, double timestep, float *values) {
    int dim = config->channels[0], half = dim / 2;
    for (int i = 0; i < half; i++) { /* angles in fp32, as the trained networks have seen them */
        float angle = (float)timestep * expf((float)-log(10000.0) * (float)i / (float)(half - config->frequency_shift));
        values[i] = config->flip_sin_to_cos ? cosf(angle) : sinf(angle);
        values[half + i] = config->flip_sin_to_cos ? sinf(angle) : cosf(angle);
    }
    if (dim % 2) values[dim - 1] = 0;
}

bool kn_trunk_time(kn_graph *graph, kn_tensor *out, const kn_trunk *trunk, const kn_tensor *sinusoids,
                   kn_error *error) {
    kn_tensor hidden = {0};
    if (!kn_op_linear(graph, &hidden, sinusoids, trunk->time1, KN_ACTIVATION_SILU, NULL, error) ||
        !kn_op_linear(graph, out, &hidden, trunk->time2, KN_ACTIVATION_SILU, NULL, error))
        return false;
    kn_graph_release(graph, &hidden);
    return true;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static bool load_places(kn_layers *layers, kn_block *block, const char *prefix, const kn_unet_config *config,
                        int channels, int level, bool attention, bool motion, kn_error *error) {
    size_t count = (size_t)block->place_count;
    block->motions = kn_arena_alloc(&layers->arena, count, sizeof *block->motions, error);
    if (!block->motions ||
        (attention && !(block->attentions = kn_arena_alloc(&layers->arena, count, sizeof *block->attentions, error))))
        return false;
    for (int j = 0; j < block->place_count; j++) {
        kn_name name = kn_name_of("%s.attentions.%d", prefix, j),
                motion_name = kn_name_of("%s.motion_modules.%d", prefix, j);
        if (attention &&
            !kn_transformer_load(layers, &block->attentions[j], name.text, channels, config->context_channels,
                                 config->heads[level], config->depth[level], config->groups, error))
            return false;
        if (motion && !kn_motion_load(layers, &block->motions[j], motion_name.text, channels,
                                      config->motion_heads[level], config->groups, error))
            return false;
    }
    return true;
}

bool kn_block_load(kn_layers *layers, kn_block *block, const char *prefix, const kn_unet_config *config, const int *in,
                   int count, int out, int level, bool attention, bool is_mid, bool motion, kn_error *error) {
    block->resnet_count = count;
    block->place_count = is_mid ? 1 : count;
    block->resnets = kn_arena_alloc(&layers->arena, (size_t)count, sizeof *block->resnets, error);
    if (!block->resnets) return false;
    for (int j = 0; j < count; j++) {
        kn_name name = kn_name_of("%s.resnets.%d", prefix, j);
        if (!kn_resnet_load(layers, &block->resnets[j], name.text, in[j], out, 4 * config->channels[0], config->groups,
                            config->epsilon, error))
            return false;
    }
    return load_places(layers, block, prefix, config, out, level, attention, motion, error);
}

bool kn_block_after(kn_graph *graph, kn_tensor *x, const kn_block *block, int place, const kn_pass *pass,
                    kn_error *error) {
    kn_tensor next = {0};
    if (block->attentions) {
        if (!kn_transformer_forward(graph, &next, &block->attentions[place], x, pass, error)) return false;
        kn_tensor_replace(graph, x, &next);
    }
    if (block->motions[place] && pass->temporal && pass->frames > 1) {
        if (!kn_motion_forward(graph, &next, block->motions[place], x, pass, error)) return false;
        kn_tensor_replace(graph, x, &next);
    }
    return true;
}

/* --- trunk ------------------------------------------------------------------------------------ */

static bool load_down(kn_layers *layers, kn_trunk *trunk, int level, bool motion, kn_error *error) {
    const kn_unet_config *config = &trunk->config;
    int out = config->channels[level], first = level ? config->channels[level - 1] : config->channels[0],
        in[KN_MAX_LAYERS];
    for (int j = 0; j < config->layers[level]; j++) {
        in[j] = j == 0 ? first : out;
        trunk->skip_channels[trunk->skip_count++] = out;
    }
    kn_name prefix = kn_name_of("down_blocks.%d", level);
    kn_block *block = &trunk->down[level];
    if (!kn_block_load(layers, block, prefix.text, config, in, config->layers[level], out, level,
                       config->down_attention[level], false, motion, error))
        return false;
    if (level == config->levels - 1) return true;
    trunk->skip_channels[trunk->skip_count++] = out;
    block->resample = kn_load_conv(layers, prefix.text, ".downsamplers.0.conv", out, out, 3, true, error);
    return block->resample != NULL;
}

bool kn_trunk_load(kn_layers *layers, kn_trunk *trunk, bool motion, kn_error *error) {
    const kn_unet_config *config = &trunk->config;
    int first = config->channels[0], last = config->channels[config->levels - 1];
    if (!(trunk->conv_in = kn_load_conv(layers, "conv_in", "", config->in_channels, first, 3, true, error)) ||
        !(trunk->time1 = kn_load_linear(layers, "time_embedding", ".linear_1", first, 4 * first, true, error)) ||
        !(trunk->time2 = kn_load_linear(layers, "time_embedding", ".linear_2", 4 * first, 4 * first, true, error)))
        return false;
    trunk->skip_channels[trunk->skip_count++] = first;
    for (int level = 0; level < config->levels; level++) {
        if (!load_down(layers, trunk, level, motion, error)) return false;
    }
    if (!config->mid) return true;
    /* diffusers' UNetMidBlock2D without attention has one resnet; others have two */
    int count = config->mid_attention || kn_weights_has(layers->source, "mid_block.resnets.1.conv1.weight") ? 2 : 1;
    return kn_block_load(layers, &trunk->mid, "mid_block", config, (int[2]){last, last}, count, last,
                         config->levels - 1, config->mid_attention, true, motion, error);
}

static bool forward_resnet(kn_graph *graph, kn_tensor *x, const kn_resnet *resnet, const kn_pass *pass, bool keep,
                           kn_error *error) {
    kn_tensor next = {0};
    if (!kn_resnet_forward(graph, &next, resnet, x, pass->time, error)) return false;
    if (keep) *x = (kn_tensor){0};
    kn_tensor_replace(graph, x, &next);
    return true;
}

/* On entry and return *x is also the last skip, so it is never released here. */
static bool forward_down(kn_graph *graph, kn_tensor *x, kn_tensor *skips, int *count, const kn_block *block,
                         const kn_pass *pass, kn_error *error) {
    for (int j = 0; j < block->resnet_count; j++) {
        if (!forward_resnet(graph, x, &block->resnets[j], pass, true, error) ||
            !kn_block_after(graph, x, block, j, pass, error))
            return false;
        skips[(*count)++] = *x;
    }
    if (!block->resample) return true;
    kn_tensor next = {0};
    kn_conv_params params = {.stride = 2, .pad = 1, .pad_end = 1};
    if (!kn_op_conv(graph, &next, x, block->resample, &params, error)) return false;
    *x = next;
    skips[(*count)++] = next;
    return true;
}

static bool forward_mid(kn_graph *graph, kn_tensor *x, const kn_trunk *trunk, const kn_pass *pass, kn_error *error) {
    const kn_block *mid = &trunk->mid;
    if (!trunk->config.mid) { /* the last skip stays a skip: continue on a copy */
        kn_tensor copy = {0};
        if (!kn_op_add(graph, &copy, x, x, 1, 0, error)) return false;
        *x = copy;
        return true;
    }
    if (!forward_resnet(graph, x, &mid->resnets[0], pass, true, error) ||
        !kn_block_after(graph, x, mid, 0, pass, error))
        return false;
    return mid->resnet_count < 2 || forward_resnet(graph, x, &mid->resnets[1], pass, false, error);
}

bool kn_trunk_forward(kn_graph *graph, kn_tensor *x, kn_tensor *skips, const kn_trunk *trunk, const kn_pass *pass,
                      kn_error *error) {
    int count = 0;
    skips[count++] = *x;
    for (int level = 0; level < trunk->config.levels; level++) {
        if (!forward_down(graph, x, skips, &count, &trunk->down[level], pass, error)) return false;
    }
    return forward_mid(graph, x, trunk, pass, error);
}
