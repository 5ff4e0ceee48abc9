/* UNet2DConditionModel (arXiv 2112.10752) for any config of down and up blocks with and without cross-attention. */
#include "diffusion/networks/unet.h"

#include <math.h>
#include <string.h>

/* --- loading ---------------------------------------------------------------------------------- */

/* Up blocks take their skips from the end of the down path. */
static bool load_up(kn_unet *unet, int index, int *current, int *skip, kn_error *error) {
    const kn_trunk *trunk = &unet->trunk;
    const kn_unet_config *config = &trunk->config;
    int level = config->levels - 1 - index, out = config->channels[level], count = config->layers[level] + 1,
        in[KN_MAX_LAYERS];
    for (int j = 0; j < count; j++) {
        in[j] = *current + trunk->skip_channels[--*skip];
        *current = out;
    }
    kn_name prefix = kn_name_of("up_blocks.%d", index);
    kn_block *block = &unet->up[index];
    if (!kn_block_load(&unet->layers, block, prefix.text, config, in, count, out, level, config->up_attention[index],
                       false, true, error))
        return false;
    if (level == 0) return true;
    block->resample = kn_load_conv(&unet->layers, prefix.text, ".upsamplers.0.conv", out, out, 3, true, error);
    return block->resample != NULL;
}

static void note_block(kn_unet *unet, const kn_block *block) {
    for (int j = 0; j < block->place_count; j++) {
        if (block->attentions && block->attentions[j].blocks[0].view.q) unet->has_multi_view = true;
        const kn_motion *motion = block->motions[j];
        if (motion && (unet->max_frames == 0 || motion->max_frames < unet->max_frames))
            unet->max_frames = motion->max_frames;
    }
}

/* `timestep_cond` (Kinora's own key) says what the vector of `time_cond_proj_dim` is: "text", or the guidance scale. */
static bool load_time_condition(kn_unet *unet, const kn_config *config, kn_error *error) {
    int64_t shape[2] = {unet->trunk.config.channels[0], 0};
    const char *source = "guidance";
    if (!kn_config_int(config, "time_cond_proj_dim", 4, 4096, &unet->time_condition_size, error) ||
        !kn_config_string(config, "timestep_cond", &source, error))
        return false;
    unet->time_takes_text = strcmp(source, "text") == 0;
    if (!unet->time_takes_text && strcmp(source, "guidance") != 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: 'timestep_cond' is '%.64s', expected 'text' or 'guidance'",
                       config->path, source);
    if (unet->time_takes_text && unet->time_condition_size != unet->trunk.config.context_channels)
        return kn_fail(error, KN_ERROR_INPUT, "%s: 'time_cond_proj_dim' is %d, expected cross_attention_dim %d",
                       config->path, unet->time_condition_size, unet->trunk.config.context_channels);
    shape[1] = unet->time_condition_size;
    return !unet->time_condition_size ||
           (unet->time_condition = kn_load_host(&unet->layers, "time_embedding.cond_proj.weight", 2, shape, error));
}

static bool load(kn_unet *unet, const kn_config *config, kn_error *error) {
    kn_trunk *trunk = &unet->trunk;
    static const char *const classes[] = {"UNet2DConditionModel", "UNetMotionModel", NULL};
    if (!kn_config_class(config, classes, error) || !kn_unet_config_read(&trunk->config, config, true, error) ||
        !load_time_condition(unet, config, error) || !kn_trunk_load(&unet->layers, trunk, true, error))
        return false;
    int current = trunk->config.channels[trunk->config.levels - 1], skip = trunk->skip_count,
        first = trunk->config.channels[0];
    for (int i = 0; i < trunk->config.levels; i++) {
        if (!load_up(unet, i, &current, &skip, error)) return false;
        note_block(unet, &trunk->down[i]);
        note_block(unet, &unet->up[i]);
    }
    if (trunk->config.mid) note_block(unet, &trunk->mid);
    return kn_load_norm(&unet->layers, &unet->norm_out, "conv_norm_out", "", first, error) &&
           (unet->conv_out =
                kn_load_conv(&unet->layers, "conv_out", "", first, trunk->config.out_channels, 3, true, error));
}

bool kn_unet_load(kn_unet *unet, kn_gpu *gpu, const kn_config *config, kn_weights *weights, kn_precision precision,
                  kn_error *error) {
    *unet = (kn_unet){0};
    kn_layers_init(&unet->layers, gpu, weights, precision);
    bool ok = load(unet, config, error);
    unet->layers.source = NULL;
    return ok;
}

void kn_unet_finish(kn_unet *unet) { kn_layers_finish(&unet->layers); }

void kn_unet_add_guidance(const kn_unet *unet, double guidance, float *values) {
    int half = unet->time_condition_size / 2, size = unet->time_condition_size;
    if (!unet->time_condition || unet->time_takes_text) return;
    for (int c = 0; c < unet->trunk.config.channels[0]; c++) {
        const float *row = unet->time_condition + (size_t)c * (size_t)size;
        for (int i = 0; i < half; i++) {
            double angle = 1000 * (guidance - 1) * exp(-log(10000.0) * i / (half > 1 ? half - 1 : 1));
            values[c] += row[i] * (float)sin(angle) + row[half + i] * (float)cos(angle);
        }
    }
}

void kn_unet_add_text(const kn_unet *unet, const float *state, float *values) {
    int size = unet->time_condition_size;
    if (!unet->time_takes_text) return;
    for (int c = 0; c < unet->trunk.config.channels[0]; c++) {
        const float *row = unet->time_condition + (size_t)c * (size_t)size;
        for (int i = 0; i < size; i++) values[c] += row[i] * state[i];
    }
}

/* --- forward ---------------------------------------------------------------------------------- */

/* Joins *x with the skip and runs resnet, attention and motion module number `place`. Releases both. */
static bool forward_up_layer(kn_graph *graph, kn_tensor *x, kn_tensor *skip, const kn_block *block, int place,
                             const kn_pass *pass, kn_error *error) {
    kn_tensor joined = {0}, next = {0};
    if (!kn_op_concat(graph, &joined, x, skip, error)) return false;
    kn_graph_release(graph, skip);
    kn_tensor_replace(graph, x, &joined);
    if (!kn_resnet_forward(graph, &next, &block->resnets[place], x, pass->time, error)) return false;
    kn_tensor_replace(graph, x, &next);
    return kn_block_after(graph, x, block, place, pass, error);
}

static bool forward_up(kn_graph *graph, kn_tensor *x, kn_tensor *skips, int *count, const kn_block *block,
                       const kn_pass *pass, kn_error *error) {
    for (int j = 0; j < block->resnet_count; j++) {
        if (!forward_up_layer(graph, x, &skips[--*count], block, j, pass, error)) return false;
    }
    if (!block->resample) return true;
    kn_tensor next = {0};
    const kn_tensor *size = &skips[*count - 1]; /* odd sizes: up to the skip, not by two */
    kn_conv_params params = {.stride = 1, .pad = 1, .pad_end = 1, .view_h = size->h, .view_w = size->w};
    if (!kn_op_conv(graph, &next, x, block->resample, &params, error)) return false;
    kn_tensor_replace(graph, x, &next);
    return true;
}

static bool forward_head(kn_graph *graph, kn_tensor *out, const kn_unet *unet, kn_tensor *x, kn_error *error) {
    kn_tensor normed = {0};
    const kn_unet_config *config = &unet->trunk.config;
    if (!kn_op_group_norm(graph, &normed, x, unet->norm_out.gamma, unet->norm_out.beta, config->groups,
                          (float)config->epsilon, KN_ACTIVATION_SILU, error))
        return false;
    kn_graph_release(graph, x);
    kn_conv_params params = {.stride = 1, .pad = 1, .pad_end = 1};
    if (!kn_op_conv(graph, out, &normed, unet->conv_out, &params, error)) return false;
    kn_graph_release(graph, &normed);
    return true;
}

bool kn_unet_forward(kn_graph *graph, kn_tensor *out, const kn_unet *unet, const kn_tensor *in,
                     const kn_tensor *sinusoids, const kn_pass *shared, const kn_control_use *controls,
                     int control_count, kn_error *error) {
    kn_pass pass = *shared;
    kn_tensor time = {0}, x = {0}, skips[KN_MAX_SKIPS] = {0};
    pass.time = &time;
    kn_conv_params params = {.stride = 1, .pad = 1, .pad_end = 1};
    if (!kn_trunk_time(graph, &time, &unet->trunk, sinusoids, error) ||
        !kn_op_conv(graph, &x, in, unet->trunk.conv_in, &params, error) ||
        !kn_trunk_forward(graph, &x, skips, &unet->trunk, &pass, error))
        return false;
    for (int i = 0; i < control_count; i++) {
        if (controls[i].scale != 0 &&
            !kn_controlnet_forward(graph, &controls[i], in, sinusoids, shared, skips, &x, error))
            return false;
    }
    int count = unet->trunk.skip_count;
    for (int i = 0; i < unet->trunk.config.levels; i++) {
        if (!forward_up(graph, &x, skips, &count, &unet->up[i], &pass, error)) return false;
    }
    kn_graph_release(graph, &time);
    return forward_head(graph, out, unet, &x, error);
}
