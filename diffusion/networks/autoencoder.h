/* From pictures to latents and back: AutoencoderKL, AutoencoderTiny and Kinora's PixelPacking. Internal to
 * diffusion/. */
#ifndef KN_DIFFUSION_AUTOENCODER_H
#define KN_DIFFUSION_AUTOENCODER_H

#include "diffusion/files/config.h"
#include "diffusion/networks/layers.h"

#define KN_AUTOENCODER_LEVELS 8

typedef enum kn_autoencoder_kind { KN_AUTOENCODER_KL, KN_AUTOENCODER_TINY, KN_AUTOENCODER_PACKING } kn_autoencoder_kind;

typedef struct kn_autoencoder {
    kn_autoencoder_kind kind;
    kn_layers layers;
    int latent_channels, factor; /* pixels per latent cell along each axis */
    double scaling, shift;       /* latent for the UNet = (encoded - shift) * scaling */
    bool has_encoder;            /* false: a file with the decoder alone; encoding fails */
    struct kn_kl *kl;            /* by kind, in the layers' arena */
    struct kn_tiny *tiny;
} kn_autoencoder;

/* `weights` may be NULL for PixelPacking ({"_class_name": "PixelPacking", "block_size": b}). Finish also after
 * failure. */
bool kn_autoencoder_load(kn_autoencoder *autoencoder, kn_gpu *gpu, const kn_config *config, kn_weights *weights,
                         kn_precision precision, kn_error *error);
void kn_autoencoder_finish(kn_autoencoder *autoencoder);
/* Whether a config needs a weight file. */
bool kn_autoencoder_has_weights(const kn_config *config);

/* Pictures [n][h][w][3] -> the latent's mean [n][h / factor][w / factor][latent_channels], for the UNet. Pictures are
 * in -1..1, for AutoencoderTiny in 0..1 (kn_autoencoder_zero_to_one). */
bool kn_autoencoder_encode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder,
                           const kn_tensor *pictures, kn_error *error);
/* The UNet's latents -> pictures in -1..1. */
bool kn_autoencoder_decode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder, const kn_tensor *latents,
                           kn_error *error);
bool kn_autoencoder_zero_to_one(const kn_autoencoder *autoencoder);

/* By kind; scaling and shift are folded into their outermost layers. */
bool kn_kl_load(kn_autoencoder *autoencoder, const kn_config *config, kn_error *error);
bool kn_kl_encode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder, const kn_tensor *pictures,
                  kn_error *error);
bool kn_kl_decode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder, const kn_tensor *latents,
                  kn_error *error);
bool kn_tiny_load(kn_autoencoder *autoencoder, const kn_config *config, kn_error *error);
bool kn_tiny_encode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder, const kn_tensor *pictures,
                    kn_error *error);
bool kn_tiny_decode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder, const kn_tensor *latents,
                    kn_error *error);

#endif
