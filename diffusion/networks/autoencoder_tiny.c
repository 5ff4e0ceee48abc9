/* AutoencoderTiny: TAESD's layout (https://github.com/madebyollin/taesd) as diffusers names it, with what TAESD's own
 * files have beyond it: blocks with a pool branch (TAEF2), levels of different widths. */
#include "diffusion/networks/autoencoder.h"

#include <string.h>

#define MAX_BLOCKS 16

typedef struct tiny_block {
    kn_weight *conv[3];
    kn_weight *pool_in, *pool_out; /* 1x1 convolutions around pool_norm; NULL: a block without pool branch */
    kn_norm pool_norm;
} tiny_block;

enum { POOL_GROUPS = 4, POOL_FACTOR = 4 }; /* the branch is so many times as wide as the block */

/* A level of the encoder (convolution, then blocks) or of the decoder (blocks, then convolution). */
typedef struct tiny_level {
    kn_weight *conv;
    tiny_block blocks[MAX_BLOCKS];
    int count, width; /* width: channels of its blocks */
} tiny_level;

typedef struct tiny_half {
    tiny_level levels[KN_AUTOENCODER_LEVELS];
    int level_count;
    kn_weight *latent_conv; /* the encoder's last, the decoder's first */
} tiny_half;

struct kn_tiny {
    tiny_half encoder, decoder;
    int patch;         /* pictures are packed patch x patch into channels first (config key `patch_size`, as in LTX's
                          autoencoder) */
    kn_weight *squash; /* 1x1: the UNet's latent -> a third of the decoder's */
};

/* What the outermost convolutions see and give. */
static int picture_channels(const struct kn_tiny *tiny) { return 3 * tiny->patch * tiny->patch; }

/* --- loading ---------------------------------------------------------------------------------- */

static bool read_half(tiny_half *half, const kn_config *config, const char *widths_key, const char *counts_key,
                      const int *counts_default, kn_error *error) {
    int widths[KN_AUTOENCODER_LEVELS] = {64, 64, 64, 64}, counts[KN_AUTOENCODER_LEVELS], width_count = 4,
        count_count = 4;
    memcpy(counts, counts_default, 4 * sizeof *counts);
    if (!kn_config_ints(config, widths_key, 4, 8192, widths, KN_AUTOENCODER_LEVELS, &width_count, error) ||
        !kn_config_ints(config, counts_key, 0, MAX_BLOCKS, counts, KN_AUTOENCODER_LEVELS, &count_count, error))
        return false;
    if (width_count != count_count)
        return kn_fail(error, KN_ERROR_INPUT, "%s: '%s' and '%s' must have the same number of entries", config->path,
                       widths_key, counts_key);
    half->level_count = width_count;
    for (int i = 0; i < width_count; i++) {
        half->levels[i].count = counts[i];
        half->levels[i].width = widths[i];
    }
    return true;
}

/* The pool branch of a block, when the file has one. */
static bool load_pool(kn_layers *layers, tiny_block *block, const char *prefix, int width, kn_error *error) {
    kn_name probe = kn_name_of("%s.pool.0.weight", prefix);
    int inner = POOL_FACTOR * width;
    if (!kn_weights_has(layers->source, probe.text)) return true;
    return (block->pool_in = kn_load_conv(layers, prefix, ".pool.0", width, inner, 1, false, error)) &&
           kn_load_norm(layers, &block->pool_norm, prefix, ".pool.1", inner, error) &&
           (block->pool_out = kn_load_conv(layers, prefix, ".pool.3", inner, width, 1, false, error));
}

static bool load_blocks(kn_layers *layers, tiny_level *level, const char *side, int *index, kn_error *error) {
    for (int i = 0; i < level->count; i++, (*index)++) {
        kn_name prefix = kn_name_of("%s.layers.%d", side, *index);
        if (!load_pool(layers, &level->blocks[i], prefix.text, level->width, error)) return false;
        for (int j = 0; j < 3; j++) {
            kn_name name = kn_name_of("%s.conv.%d", prefix.text, 2 * j);
            if (!(level->blocks[i].conv[j] =
                      kn_load_conv(layers, name.text, "", level->width, level->width, 3, true, error)))
                return false;
        }
    }
    return true;
}

/* The latent for the UNet is (encoded - shift) * scaling: folded into the last convolution. */
static kn_weight *load_to_latent(kn_autoencoder *autoencoder, const char *name, int width, kn_error *error) {
    kn_layers *layers = &autoencoder->layers;
    int channels = autoencoder->latent_channels;
    float scaling = (float)autoencoder->scaling, shift = (float)autoencoder->shift;
    kn_name weight_name = kn_name_of("%s.weight", name), bias_name = kn_name_of("%s.bias", name);
    if (scaling == 1 && shift == 0) return kn_load_conv(layers, name, "", width, channels, 3, true, error);
    float *weight = kn_load_host(layers, weight_name.text, 4, (int64_t[4]){channels, width, 3, 3}, error);
    float *bias = weight ? kn_load_host(layers, bias_name.text, 1, (int64_t[1]){channels}, error) : NULL;
    if (!bias) return NULL;
    for (int i = 0; i < 9 * channels * width; i++) weight[i] *= scaling;
    for (int i = 0; i < channels; i++) bias[i] = (bias[i] - shift) * scaling;
    return kn_layers_weight(layers, weight, bias, channels, width, 3, layers->precision == KN_PRECISION_HALF, error);
}

static bool load_encoder(kn_autoencoder *autoencoder, kn_error *error) {
    kn_layers *layers = &autoencoder->layers;
    tiny_half *half = &autoencoder->tiny->encoder;
    int index = 0, width = picture_channels(autoencoder->tiny);
    for (int i = 0; i < half->level_count; i++) {
        tiny_level *level = &half->levels[i];
        kn_name name = kn_name_of("encoder.layers.%d", index++);
        level->conv = kn_load_conv(layers, name.text, "", width, level->width, 3, i == 0, error);
        if (!level->conv || !load_blocks(layers, level, "encoder", &index, error)) return false;
        width = level->width;
    }
    kn_name name = kn_name_of("encoder.layers.%d", index);
    half->latent_conv = load_to_latent(autoencoder, name.text, width, error);
    return half->latent_conv != NULL;
}

/* The last convolution gives 0..1; twice that minus one is folded into it. */
static kn_weight *load_last(kn_layers *layers, const char *name, int width, int channels, kn_error *error) {
    kn_name weight_name = kn_name_of("%s.weight", name), bias_name = kn_name_of("%s.bias", name);
    float *weight = kn_load_host(layers, weight_name.text, 4, (int64_t[4]){channels, width, 3, 3}, error);
    float *bias = weight ? kn_load_host(layers, bias_name.text, 1, (int64_t[1]){channels}, error) : NULL;
    if (!bias) return NULL;
    for (int i = 0; i < 9 * channels * width; i++) weight[i] *= 2;
    for (int i = 0; i < channels; i++) bias[i] = 2 * bias[i] - 1;
    return kn_layers_weight(layers, weight, bias, channels, width, 3, layers->precision == KN_PRECISION_HALF, error);
}

/* What 3 tanh(z / 3) takes the hyperbolic tangent of, z = latent / scaling + shift: a diagonal matrix and a bias. */
static kn_weight *make_squash(kn_autoencoder *autoencoder, kn_error *error) {
    kn_layers *layers = &autoencoder->layers;
    int c = autoencoder->latent_channels;
    float *matrix = kn_arena_alloc(&layers->arena, (size_t)c * (size_t)c, sizeof *matrix, error);
    float *bias = matrix ? kn_arena_alloc(&layers->arena, (size_t)c, sizeof *bias, error) : NULL;
    for (int i = 0; bias && i < c; i++) {
        matrix[i * c + i] = (float)(1 / (3 * autoencoder->scaling));
        bias[i] = (float)(autoencoder->shift / 3);
    }
    return bias ? kn_layers_weight(layers, matrix, bias, c, c, 1, false, error) : NULL;
}

/* The first convolution; the 3 of 3 tanh(z / 3) is folded into it. */
static kn_weight *load_from_latent(kn_autoencoder *autoencoder, int width, kn_error *error) {
    kn_layers *layers = &autoencoder->layers;
    int c = autoencoder->latent_channels;
    float *weight = kn_load_host(layers, "decoder.layers.0.weight", 4, (int64_t[4]){width, c, 3, 3}, error);
    float *bias = weight ? kn_load_host(layers, "decoder.layers.0.bias", 1, (int64_t[1]){width}, error) : NULL;
    for (int i = 0; bias && i < 9 * width * c; i++) weight[i] *= 3;
    return bias ? kn_layers_weight(layers, weight, bias, width, c, 3, layers->precision == KN_PRECISION_HALF, error)
                : NULL;
}

static bool load_decoder(kn_autoencoder *autoencoder, kn_error *error) {
    kn_layers *layers = &autoencoder->layers;
    tiny_half *half = &autoencoder->tiny->decoder;
    int index = 2; /* after the first convolution and its ReLU */
    if (!(autoencoder->tiny->squash = make_squash(autoencoder, error)) ||
        !(half->latent_conv = load_from_latent(autoencoder, half->levels[0].width, error)))
        return false;
    for (int i = 0; i < half->level_count; i++) {
        tiny_level *level = &half->levels[i];
        bool last = i == half->level_count - 1;
        if (!load_blocks(layers, level, "decoder", &index, error)) return false;
        index += !last; /* the upsampling has a number, but no weights */
        kn_name name = kn_name_of("decoder.layers.%d", index++);
        level->conv = last ? load_last(layers, name.text, level->width, picture_channels(autoencoder->tiny), error)
                           : kn_load_conv(layers, name.text, "", level->width, level[1].width, 3, false, error);
        if (!level->conv) return false;
    }
    return true;
}

bool kn_tiny_load(kn_autoencoder *autoencoder, const kn_config *config, kn_error *error) {
    struct kn_tiny *tiny = kn_arena_alloc(&autoencoder->layers.arena, 1, sizeof *tiny, error);
    int in = 3, out = 3, upsampling = 2;
    autoencoder->kind = KN_AUTOENCODER_TINY;
    autoencoder->tiny = tiny;
    autoencoder->latent_channels = 4;
    if (tiny) tiny->patch = 1;
    if (!tiny || !kn_config_int(config, "patch_size", 1, 16, &tiny->patch, error) ||
        !kn_config_int(config, "in_channels", 3, 3, &in, error) ||
        !kn_config_int(config, "out_channels", 3, 3, &out, error) ||
        !kn_config_int(config, "upsampling_scaling_factor", 2, 2, &upsampling, error) ||
        !kn_config_refuse(config, "act_fn", "relu", error) ||
        !kn_config_refuse(config, "upsample_fn", "nearest", error) ||
        !kn_config_int(config, "latent_channels", 1, 256, &autoencoder->latent_channels, error) ||
        !read_half(&tiny->encoder, config, "encoder_block_out_channels", "num_encoder_blocks", (int[4]){1, 3, 3, 3},
                   error) ||
        !read_half(&tiny->decoder, config, "decoder_block_out_channels", "num_decoder_blocks", (int[4]){3, 3, 3, 1},
                   error))
        return false;
    if (tiny->encoder.level_count != tiny->decoder.level_count)
        return kn_fail(error, KN_ERROR_INPUT, "%s: encoder and decoder must have the same number of levels",
                       config->path);
    autoencoder->factor = tiny->patch << (tiny->decoder.level_count - 1);
    autoencoder->has_encoder = kn_weights_has(autoencoder->layers.source, "encoder.layers.0.weight");
    return (!autoencoder->has_encoder || load_encoder(autoencoder, error)) && load_decoder(autoencoder, error);
}

/* --- forward ---------------------------------------------------------------------------------- */

static bool convolve(kn_graph *graph, kn_tensor *out, const kn_tensor *in, const kn_weight *weight, int stride,
                     kn_activation activation, const kn_tensor *residual, kn_error *error) {
    kn_conv_params params = {.stride = stride, .pad = 1, .pad_end = 1, .activation = activation, .residual = residual};
    return kn_op_conv(graph, out, in, weight, &params, error);
}

/* x += conv(relu(norm(conv(x)))) */
static bool forward_pool(kn_graph *graph, kn_tensor *x, const tiny_block *block, kn_error *error) {
    kn_conv_params params = {.stride = 1}, back = {.stride = 1, .residual = x};
    kn_tensor wide = {0}, normed = {0}, sum = {0};
    if (!kn_op_conv(graph, &wide, x, block->pool_in, &params, error) ||
        !kn_op_group_norm(graph, &normed, &wide, block->pool_norm.gamma, block->pool_norm.beta, POOL_GROUPS, 1e-5f,
                          KN_ACTIVATION_RELU, error))
        return false;
    kn_graph_release(graph, &wide);
    if (!kn_op_conv(graph, &sum, &normed, block->pool_out, &back, error)) return false;
    kn_graph_release(graph, &normed);
    kn_tensor_replace(graph, x, &sum);
    return true;
}

/* relu(x + conv(relu(conv(relu(conv(x)))))) */
static bool forward_block(kn_graph *graph, kn_tensor *x, const tiny_block *block, kn_error *error) {
    kn_tensor a = {0}, b = {0}, sum = {0}, out = {0};
    if (block->pool_in && !forward_pool(graph, x, block, error)) return false;
    if (!convolve(graph, &a, x, block->conv[0], 1, KN_ACTIVATION_RELU, NULL, error) ||
        !convolve(graph, &b, &a, block->conv[1], 1, KN_ACTIVATION_RELU, NULL, error))
        return false;
    kn_graph_release(graph, &a);
    if (!convolve(graph, &sum, &b, block->conv[2], 1, KN_ACTIVATION_NONE, x, error)) return false;
    kn_graph_release(graph, &b);
    if (!kn_op_activation(graph, &out, &sum, KN_ACTIVATION_RELU, error)) return false;
    kn_graph_release(graph, &sum);
    kn_tensor_replace(graph, x, &out);
    return true;
}

static bool forward_blocks(kn_graph *graph, kn_tensor *x, const tiny_level *level, kn_error *error) {
    for (int i = 0; i < level->count; i++)
        if (!forward_block(graph, x, &level->blocks[i], error)) return false;
    return true;
}

bool kn_tiny_encode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder, const kn_tensor *pictures,
                    kn_error *error) {
    const tiny_half *half = &autoencoder->tiny->encoder;
    kn_tensor x = {0}, next = {0};
    int patch = autoencoder->tiny->patch;
    if (patch > 1 && !kn_op_pixel_unshuffle(graph, &x, pictures, patch, error)) return false;
    for (int i = 0; i < half->level_count; i++) {
        bool own = i || patch > 1; /* the pictures are the caller's */
        if (!convolve(graph, &next, own ? &x : pictures, half->levels[i].conv, i ? 2 : 1, KN_ACTIVATION_NONE, NULL,
                      error))
            return false;
        if (own) kn_graph_release(graph, &x);
        x = next;
        next = (kn_tensor){0};
        if (!forward_blocks(graph, &x, &half->levels[i], error)) return false;
    }
    if (!convolve(graph, out, &x, half->latent_conv, 1, KN_ACTIVATION_NONE, NULL, error)) return false;
    kn_graph_release(graph, &x);
    return true;
}

bool kn_tiny_decode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder, const kn_tensor *latents,
                    kn_error *error) {
    const tiny_half *half = &autoencoder->tiny->decoder;
    kn_conv_params squash = {.stride = 1, .activation = KN_ACTIVATION_TANH};
    kn_tensor x = {0}, next = {0};
    if (!kn_op_conv(graph, &x, latents, autoencoder->tiny->squash, &squash, error) ||
        !convolve(graph, &next, &x, half->latent_conv, 1, KN_ACTIVATION_RELU, NULL, error))
        return false;
    kn_tensor_replace(graph, &x, &next);
    for (int i = 0; i < half->level_count; i++) {
        if (!forward_blocks(graph, &x, &half->levels[i], error)) return false;
        if (i < half->level_count - 1) {
            if (!kn_op_upsample_nearest(graph, &next, &x, 2 * x.h, 2 * x.w, error)) return false;
            kn_tensor_replace(graph, &x, &next);
        }
        if (!convolve(graph, &next, &x, half->levels[i].conv, 1, KN_ACTIVATION_NONE, NULL, error)) return false;
        kn_tensor_replace(graph, &x, &next);
    }
    if (autoencoder->tiny->patch > 1) {
        if (!kn_op_pixel_shuffle(graph, &next, &x, autoencoder->tiny->patch, error)) return false;
        kn_tensor_replace(graph, &x, &next);
    }
    *out = x;
    return true;
}
