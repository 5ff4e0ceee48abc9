/* CLIP's text transformer (arXiv 2103.00020) in transformers' CLIPTextModel layout. Internal to diffusion/. */
#ifndef KN_DIFFUSION_TEXT_ENCODER_H
#define KN_DIFFUSION_TEXT_ENCODER_H

#include "diffusion/files/config.h"
#include "diffusion/networks/layers.h"

typedef struct kn_text_layer {
    kn_norm norm1, norm2;
    kn_attention attention;
    kn_weight *fc1, *fc2;
} kn_text_layer;

typedef struct kn_text_encoder {
    kn_layers layers;
    int vocabulary, channels, inner, layer_count, heads, max_tokens;
    int skip; /* layers left out at the end: 1 gives the penultimate layer ("clip skip 2"); 0 after loading */
    double epsilon;
    kn_activation activation;
    kn_stored_tensor token_embedding; /* [vocabulary][channels], on the host: read row by row */
    const float *position_embedding;  /* [max_tokens][channels] */
    kn_text_layer *blocks;
    kn_norm final_norm;
} kn_text_encoder;

/* Takes tensors from `weights`, with or without transformers' "text_model." in front. Finish also after failure. */
bool kn_text_encoder_load(kn_text_encoder *encoder, kn_gpu *gpu, const kn_config *config, kn_weights *weights,
                          kn_precision precision, kn_error *error);
void kn_text_encoder_finish(kn_text_encoder *encoder);
/* ids[n][tokens] -> embeddings [n][1][tokens][channels]: the input of the first layer. Fails on ids outside the
 * vocabulary. */
bool kn_text_encoder_input(kn_graph *graph, kn_tensor *out, const kn_text_encoder *encoder, const int *ids, int n,
                           int tokens, kn_error *error);
/* -> hidden state after layer_count - skip layers and the final norm. Releases nothing of its input. */
bool kn_text_encoder_forward(kn_graph *graph, kn_tensor *out, const kn_text_encoder *encoder, const kn_tensor *in,
                             kn_error *error);

#endif
