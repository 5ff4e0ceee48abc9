/* The segmenter's network, a U-Net (arXiv 1505.04597) of 3x3 convolutions with ReLU on packed pixels. Internal to
 * diffusion/. */
#ifndef KN_DIFFUSION_SEGMENTER_H
#define KN_DIFFUSION_SEGMENTER_H

#include "diffusion/files/config.h"
#include "diffusion/networks/layers.h"

#define KN_SEGMENTER_LEVELS 8

typedef struct kn_segmenter_net {
    kn_layers layers;
    int block, classes, level_count;
    int widths[KN_SEGMENTER_LEVELS];
    kn_weight *down[KN_SEGMENTER_LEVELS][2], *up[KN_SEGMENTER_LEVELS], *out;
} kn_segmenter_net;

/* Tensors "down.L.0", "down.L.1", "up.L" and "out" with .weight and .bias. */
bool kn_segmenter_net_load(kn_segmenter_net *net, kn_gpu *gpu, const kn_config *config, kn_weights *weights,
                           kn_precision precision, kn_error *error);
void kn_segmenter_net_finish(kn_segmenter_net *net); /* accepts a zeroed net */
/* pictures [n][h][w][3] in -1..1, h and w multiples of `block` -> logits [n][h][w][classes]. */
bool kn_segmenter_net_forward(kn_graph *graph, kn_tensor *out, const kn_segmenter_net *net, const kn_tensor *pictures,
                              kn_error *error);

#endif
