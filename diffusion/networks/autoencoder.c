#include "diffusion/networks/autoencoder.h"

#include <string.h>

static const char *class_of(const kn_config *config) {
    const char *name = json_string_value(json_object_get(config->root, "_class_name"));
    return name ? name : "";
}

bool kn_autoencoder_has_weights(const kn_config *config) { return strcmp(class_of(config), "PixelPacking") != 0; }

static bool load_packing(kn_autoencoder *autoencoder, const kn_config *config, kn_error *error) {
    autoencoder->kind = KN_AUTOENCODER_PACKING;
    autoencoder->has_encoder = true;
    autoencoder->factor = 4;
    if (!kn_config_int(config, "block_size", 1, 32, &autoencoder->factor, error)) return false;
    autoencoder->latent_channels = 3 * autoencoder->factor * autoencoder->factor;
    return true;
}

static bool load(kn_autoencoder *autoencoder, const kn_config *config, kn_error *error) {
    const char *name = class_of(config);
    if (!kn_config_double(config, "scaling_factor", 1e-6, 1e6, &autoencoder->scaling, error) ||
        !kn_config_double(config, "shift_factor", -1e6, 1e6, &autoencoder->shift, error))
        return false;
    if (!kn_config_refuse(config, "latents_mean", NULL, error) || !kn_config_refuse(config, "latents_std", NULL, error))
        return false;
    if (strcmp(name, "PixelPacking") == 0) return load_packing(autoencoder, config, error);
    if (strcmp(name, "AutoencoderTiny") == 0) return kn_tiny_load(autoencoder, config, error);
    if (strcmp(name, "AutoencoderKL") == 0) return kn_kl_load(autoencoder, config, error);
    return kn_fail(error, KN_ERROR_UNSUPPORTED,
                   "%s: '_class_name' is '%.64s'; AutoencoderKL, AutoencoderTiny and PixelPacking are supported",
                   config->path, name);
}

bool kn_autoencoder_load(kn_autoencoder *autoencoder, kn_gpu *gpu, const kn_config *config, kn_weights *weights,
                         kn_precision precision, kn_error *error) {
    *autoencoder = (kn_autoencoder){.scaling = strcmp(class_of(config), "AutoencoderKL") == 0 ? 0.18215 : 1};
    kn_layers_init(&autoencoder->layers, gpu, weights, precision);
    bool ok = load(autoencoder, config, error);
    autoencoder->layers.source = NULL;
    return ok;
}

void kn_autoencoder_finish(kn_autoencoder *autoencoder) { kn_layers_finish(&autoencoder->layers); }

bool kn_autoencoder_zero_to_one(const kn_autoencoder *autoencoder) { return autoencoder->kind == KN_AUTOENCODER_TINY; }

bool kn_autoencoder_encode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder,
                           const kn_tensor *pictures, kn_error *error) {
    if (!autoencoder->has_encoder)
        return kn_fail(error, KN_ERROR_INPUT,
                       "the autoencoder's file holds its decoder alone: it cannot start from a "
                       "picture");
    if (autoencoder->kind == KN_AUTOENCODER_PACKING)
        return kn_op_pixel_unshuffle(graph, out, pictures, autoencoder->factor, error);
    if (autoencoder->kind == KN_AUTOENCODER_KL) return kn_kl_encode(graph, out, autoencoder, pictures, error);
    return kn_tiny_encode(graph, out, autoencoder, pictures, error);
}

bool kn_autoencoder_decode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder, const kn_tensor *latents,
                           kn_error *error) {
    if (autoencoder->kind == KN_AUTOENCODER_PACKING)
        return kn_op_pixel_shuffle(graph, out, latents, autoencoder->factor, error);
    if (autoencoder->kind == KN_AUTOENCODER_KL) return kn_kl_decode(graph, out, autoencoder, latents, error);
    return kn_tiny_decode(graph, out, autoencoder, latents, error);
}
