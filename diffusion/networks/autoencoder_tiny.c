/* AutoencoderTiny: TAESD's layout (https://github.com/madebyollin/taesd) as diffusers names it. */
#include "diffusion/networks/autoencoder.h"

#include <string.h>

#define MAX_BLOCKS 16

typedef struct tiny_block {
    kn_weight *conv[3];
} tiny_block;

/* A level of the encoder (convolution, then blocks) or of the decoder (blocks, then convolution). */
typedef struct tiny_level {
    kn_weight *conv;
    tiny_block blocks[MAX_BLOCKS];
    int count, width;
} tiny_level;

typedef struct tiny_half {
    tiny_level levels[KN_AUTOENCODER_LEVELS];
    int level_count;
    kn_weight *latent_conv; /* the encoder's last, the decoder's first */
} tiny_half;

struct kn_tiny {
    tiny_half encoder, decoder;
    int patch; /* pictures are packed patch x patch into channels first (config key `patch_size`, as in LTX's
                  autoencoder) */
};

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
        if (widths[i] != widths[0])
            return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: '%s' with different widths is not supported", config->path,
                           widths_key);
        half->levels[i].count = counts[i];
        half->levels[i].width = widths[i];
    }
    return true;
}

static bool load_blocks(kn_layers *layers, tiny_level *level, const char *side, int *index, kn_error *error) {
    for (int i = 0; i < level->count; i++) {
        for (int j = 0; j < 3; j++) {
            kn_name name = kn_name_of("%s.layers.%d.conv.%d", side, *index, 2 * j);
            if (!(level->blocks[i].conv[j] =
                      kn_load_conv(layers, name.text, "", level->width, level->width, 3, true, error)))
                return false;
        }
        (*index)++;
    }
    return true;
}

static bool load_encoder(kn_layers *layers, tiny_half *half, int channels, int latent_channels, kn_error *error) {
    int index = 0;
    for (int i = 0; i < half->level_count; i++) {
        tiny_level *level = &half->levels[i];
        kn_name name = kn_name_of("encoder.layers.%d", index++);
        if (!(level->conv =
                  kn_load_conv(layers, name.text, "", i ? level->width : channels, level->width, 3, i == 0, error)) ||
            !load_blocks(layers, level, "encoder", &index, error))
            return false;
    }
    kn_name name = kn_name_of("encoder.layers.%d", index);
    half->latent_conv = kn_load_conv(layers, name.text, "", half->levels[0].width, latent_channels, 3, true, error);
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

static bool load_decoder(kn_layers *layers, tiny_half *half, int channels, int latent_channels, kn_error *error) {
    int index = 2; /* after the first convolution and its ReLU */
    if (!(half->latent_conv =
              kn_load_conv(layers, "decoder.layers.0", "", latent_channels, half->levels[0].width, 3, true, error)))
        return false;
    for (int i = 0; i < half->level_count; i++) {
        tiny_level *level = &half->levels[i];
        bool last = i == half->level_count - 1;
        if (!load_blocks(layers, level, "decoder", &index, error)) return false;
        index += !last; /* the upsampling has a number, but no weights */
        kn_name name = kn_name_of("decoder.layers.%d", index++);
        level->conv = last ? load_last(layers, name.text, level->width, channels, error)
                           : kn_load_conv(layers, name.text, "", level->width, level->width, 3, false, error);
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
        !kn_config_int(config, "latent_channels", 1, 256, &autoencoder->latent_channels, error) ||
        !read_half(&tiny->encoder, config, "encoder_block_out_channels", "num_encoder_blocks", (int[4]){1, 3, 3, 3},
                   error) ||
        !read_half(&tiny->decoder, config, "decoder_block_out_channels", "num_decoder_blocks", (int[4]){3, 3, 3, 1},
                   error))
        return false;
    if (tiny->encoder.level_count != tiny->decoder.level_count)
        return kn_fail(error, KN_ERROR_INPUT, "%s: encoder and decoder must have the same number of levels",
                       config->path);
    autoencoder->factor = tiny->patch << (tiny->encoder.level_count - 1);
    int channels = 3 * tiny->patch * tiny->patch;
    return load_encoder(&autoencoder->layers, &tiny->encoder, channels, autoencoder->latent_channels, error) &&
           load_decoder(&autoencoder->layers, &tiny->decoder, channels, autoencoder->latent_channels, error);
}

/* --- forward ---------------------------------------------------------------------------------- */

static bool convolve(kn_graph *graph, kn_tensor *out, const kn_tensor *in, const kn_weight *weight, int stride,
                     kn_activation activation, const kn_tensor *residual, kn_error *error) {
    kn_conv_params params = {.stride = stride, .pad = 1, .pad_end = 1, .activation = activation, .residual = residual};
    return kn_op_conv(graph, out, in, weight, &params, error);
}

/* relu(x + conv(relu(conv(relu(conv(x)))))) */
static bool forward_block(kn_graph *graph, kn_tensor *x, const tiny_block *block, kn_error *error) {
    kn_tensor a = {0}, b = {0}, sum = {0}, out = {0};
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
    for (int i = 0; i < level->count; i++) {
        if (!forward_block(graph, x, &level->blocks[i], error)) return false;
    }
    return true;
}

static bool scale(kn_graph *graph, kn_tensor *out, const kn_tensor *in, double factor, kn_error *error) {
    return kn_op_add(graph, out, in, in, (float)factor, 0, error);
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
    if (!convolve(graph, &next, &x, half->latent_conv, 1, KN_ACTIVATION_NONE, NULL, error)) return false;
    kn_graph_release(graph, &x);
    if (autoencoder->scaling == 1) {
        *out = next;
        return true;
    }
    if (!scale(graph, out, &next, autoencoder->scaling, error)) return false;
    kn_graph_release(graph, &next);
    return true;
}

/* 3 tanh(z / 3) keeps wild latents in range. */
static bool squash(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder, const kn_tensor *latents,
                   kn_error *error) {
    kn_tensor a = {0}, b = {0};
    if (!scale(graph, &a, latents, 1 / (3 * autoencoder->scaling), error) ||
        !kn_op_activation(graph, &b, &a, KN_ACTIVATION_TANH, error))
        return false;
    kn_graph_release(graph, &a);
    if (!scale(graph, out, &b, 3, error)) return false;
    kn_graph_release(graph, &b);
    return true;
}

bool kn_tiny_decode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder, const kn_tensor *latents,
                    kn_error *error) {
    const tiny_half *half = &autoencoder->tiny->decoder;
    kn_tensor x = {0}, next = {0};
    if (!squash(graph, &x, autoencoder, latents, error) ||
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
