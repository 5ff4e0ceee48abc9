/* ControlNetModel (arXiv 2302.05543): a copy of the down path whose outputs are added to the UNet's skips. */
#include "diffusion/networks/unet.h"

#include "diffusion/ops/ops_internal.h"

#include <string.h>

/* --- loading ---------------------------------------------------------------------------------- */

/* The first convolution of the condition. A branch may want its pictures in the order blue, green, red. */
static bool load_condition_in(kn_controlnet *controlnet, const kn_config *config, int width, kn_error *error) {
    static const char prefix[] = "controlnet_cond_embedding", name[] = "controlnet_cond_embedding.conv_in.weight";
    kn_layers *layers = &controlnet->layers;
    const char *order = "rgb";
    int channels = controlnet->condition_channels;
    if (!kn_config_string(config, "controlnet_conditioning_channel_order", &order, error)) return false;
    if (strcmp(order, "bgr") != 0) {
        if (strcmp(order, "rgb") != 0)
            return kn_fail(error, KN_ERROR_INPUT,
                           "%s: 'controlnet_conditioning_channel_order' is '%.64s', expected rgb or bgr", config->path,
                           order);
        controlnet->condition_in = kn_load_conv(layers, prefix, ".conv_in", channels, width, 3, true, error);
        return controlnet->condition_in != NULL;
    }
    float *weight = kn_load_host(layers, name, 4, (int64_t[4]){width, channels, 3, 3}, error);
    float *bias = kn_load_host(layers, "controlnet_cond_embedding.conv_in.bias", 1, (int64_t[1]){width}, error);
    for (int i = 0; weight && i < width; i++) {
        for (int a = 0, b = channels - 1; a < b; a++, b--) {
            float kept[9], *first = weight + (i * channels + a) * 9, *second = weight + (i * channels + b) * 9;
            memcpy(kept, first, sizeof kept);
            memcpy(first, second, sizeof kept);
            memcpy(second, kept, sizeof kept);
        }
    }
    return weight && bias &&
           (controlnet->condition_in = kn_layers_weight(layers, weight, bias, width, channels, 3,
                                                        layers->precision == KN_PRECISION_HALF, error));
}

static bool load_condition(kn_controlnet *controlnet, const kn_config *config, kn_error *error) {
    static const char *prefix = "controlnet_cond_embedding";
    int widths[KN_MAX_LEVELS] = {16, 32, 96, 256}, count = 4;
    kn_layers *layers = &controlnet->layers;
    controlnet->condition_channels = 3;
    if (!kn_config_int(config, "conditioning_channels", 1, 4096, &controlnet->condition_channels, error) ||
        !kn_config_ints(config, "conditioning_embedding_out_channels", 1, 16384, widths, KN_MAX_LEVELS, &count,
                        error) ||
        !kn_config_bool(config, "global_pool_conditions", &controlnet->pooled, error))
        return false;
    controlnet->condition_levels = count;
    if (!load_condition_in(controlnet, config, widths[0], error)) return false;
    for (int i = 0; i < 2 * (count - 1); i++) {
        kn_name suffix = kn_name_of(".blocks.%d", i);
        controlnet->condition_blocks[i] =
            kn_load_conv(layers, prefix, suffix.text, widths[i / 2], widths[(i + 1) / 2], 3, true, error);
        if (!controlnet->condition_blocks[i]) return false;
    }
    controlnet->condition_out = kn_load_conv(layers, prefix, ".conv_out", widths[count - 1],
                                             controlnet->trunk.config.channels[0], 3, true, error);
    return controlnet->condition_out != NULL;
}

static bool load(kn_controlnet *controlnet, const kn_config *config, kn_error *error) {
    kn_trunk *trunk = &controlnet->trunk;
    kn_layers *layers = &controlnet->layers;
    static const char *const classes[] = {"ControlNetModel", NULL};
    if (!kn_config_class(config, classes, error) || !kn_unet_config_read(&trunk->config, config, false, error) ||
        !kn_config_refuse(config, "time_cond_proj_dim", NULL, error))
        return false;
    if (!trunk->config.mid)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: a ControlNet without a middle block is not supported",
                       config->path);
    if (!load_condition(controlnet, config, error) || !kn_trunk_load(layers, trunk, false, error)) return false;
    for (int i = 0; i < trunk->skip_count; i++) {
        kn_name name = kn_name_of("controlnet_down_blocks.%d", i);
        if (!(controlnet->down_out[i] =
                  kn_load_linear(layers, name.text, "", trunk->skip_channels[i], trunk->skip_channels[i], true, error)))
            return false;
    }
    int last = trunk->config.channels[trunk->config.levels - 1];
    return (controlnet->mid_out = kn_load_linear(layers, "controlnet_mid_block", "", last, last, true, error)) != NULL;
}

bool kn_controlnet_load(kn_controlnet *controlnet, kn_gpu *gpu, const kn_config *config, kn_weights *weights,
                        kn_precision precision, kn_error *error) {
    *controlnet = (kn_controlnet){0};
    kn_layers_init(&controlnet->layers, gpu, weights, precision);
    bool ok = load(controlnet, config, error);
    controlnet->layers.source = NULL;
    return ok;
}

void kn_controlnet_finish(kn_controlnet *controlnet) { kn_layers_finish(&controlnet->layers); }

/* --- forward ---------------------------------------------------------------------------------- */

bool kn_controlnet_embed(kn_graph *graph, kn_tensor *out, const kn_controlnet *controlnet, const kn_tensor *pictures,
                         kn_error *error) {
    kn_tensor x = {0}, next = {0};
    kn_conv_params params = {.stride = 1, .pad = 1, .pad_end = 1, .activation = KN_ACTIVATION_SILU};
    if (!kn_op_conv(graph, &x, pictures, controlnet->condition_in, &params, error)) return false;
    for (int i = 0; i < 2 * (controlnet->condition_levels - 1); i++) {
        params.stride = i % 2 ? 2 : 1;
        if (!kn_op_conv(graph, &next, &x, controlnet->condition_blocks[i], &params, error)) return false;
        kn_tensor_replace(graph, &x, &next);
    }
    params.stride = 1;
    params.activation = KN_ACTIVATION_NONE;
    if (!kn_op_conv(graph, out, &x, controlnet->condition_out, &params, error)) return false;
    kn_graph_release(graph, &x);
    return true;
}

/* The mean over the picture, [n][1][1][c]: attention of a query of zeros, for which all places weigh the same. */
static bool pool(kn_graph *graph, kn_tensor *x, kn_error *error) {
    int heads = 1;
    while (x->c / heads > 160 || x->c % heads != 0 || x->c / heads % 4 != 0)
        if (++heads > x->c) return kn_fail(error, KN_ERROR_UNSUPPORTED, "pooling %d channels", x->c);
    size_t bytes = (size_t)x->n * (size_t)x->stride * sizeof(float);
    float *zeros = kn_alloc((size_t)x->n * (size_t)x->stride, sizeof *zeros, error);
    kn_gpu_buffer *buffer = zeros ? kn_graph_constant(graph, zeros, bytes, error) : NULL;
    kn_free(zeros);
    if (!buffer) return false;
    kn_tensor query = {{buffer, 0, bytes, KN_GPU_FORMAT_RGBA32F}, x->n, 1, 1, x->c, x->stride}, mean = {0};
    kn_tensor tokens = kn_tensor_view(x, x->n, 1, x->h * x->w);
    kn_attention_params params = {.heads = heads};
    if (!kn_op_attention(graph, &mean, &query, &tokens, &tokens, &params, error)) return false;
    kn_tensor_replace(graph, x, &mean);
    return true;
}

/* *target += scale * (in W^T + b); in becomes free. */
static bool add_residual(kn_graph *graph, kn_tensor *target, kn_tensor *in, const kn_weight *weight, float scale,
                         bool pooled, kn_error *error) {
    kn_tensor sum = {0}, residual = {0};
    if (pooled && !pool(graph, in, error)) return false; /* the mean of a linear layer is that of its mean */
    if (scale == 1 && !pooled) {
        if (!kn_op_linear(graph, &sum, in, weight, KN_ACTIVATION_NONE, target, error)) return false;
    } else {
        if (!kn_op_linear(graph, &residual, in, weight, KN_ACTIVATION_NONE, NULL, error) ||
            !kn_op_add(graph, &sum, target, &residual, 1, scale, error))
            return false;
        kn_graph_release(graph, &residual);
    }
    kn_graph_release(graph, in);
    kn_tensor_replace(graph, target, &sum);
    return true;
}

bool kn_controlnet_forward(kn_graph *graph, const kn_control_use *use, const kn_tensor *in, const kn_tensor *sinusoids,
                           const kn_pass *shared, kn_tensor *skips, kn_tensor *mid, kn_error *error) {
    const kn_controlnet *controlnet = use->controlnet;
    kn_pass pass = *shared;
    kn_tensor time = {0}, x = {0}, own[KN_MAX_SKIPS] = {0};
    pass.time = &time;
    pass.neighbours[0] = pass.neighbours[1] = NULL;
    pass.temporal = false;
    kn_conv_params params = {.stride = 1, .pad = 1, .pad_end = 1, .residual = use->condition};
    if (!kn_trunk_time(graph, &time, &controlnet->trunk, use->sinusoids ? use->sinusoids : sinusoids, error) ||
        !kn_op_conv(graph, &x, use->in ? use->in : in, controlnet->trunk.conv_in, &params, error) ||
        !kn_trunk_forward(graph, &x, own, &controlnet->trunk, &pass, error))
        return false;
    kn_graph_release(graph, &time);
    for (int i = 0; i < controlnet->trunk.skip_count; i++) {
        if (!add_residual(graph, &skips[i], &own[i], controlnet->down_out[i], use->scale, controlnet->pooled, error))
            return false;
    }
    return add_residual(graph, mid, &x, controlnet->mid_out, use->scale, controlnet->pooled, error);
}
