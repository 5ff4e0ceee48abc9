/* What a model that repaints film is given of a frame (training/style.py). Internal to diffusion/. */
#ifndef KN_DIFFUSION_STRUCTURE_H
#define KN_DIFFUSION_STRUCTURE_H

#include "base/base.h"

enum { KN_STRUCTURE_PLANES = 2 };

/* Channels for cells of block x block pixels. */
static inline int kn_structure_channels(int block) { return KN_STRUCTURE_PLANES * block * block + 3; }

/* Gaussian blur of one plane, borders repeated; sigma up to 10 pixels. `out` may be `in`. */
bool kn_blur(const float *in, int width, int height, double sigma, float *out, kn_error *error);

/* picture [3][height][width] in 0..1 -> out[channels][height / block][width / block]: two planes of lines, packed in
 * the order of PyTorch's pixel_unshuffle, -1..1: differences of Gaussians of the luma, 6 (G .6 - G 1.5) and 3 (G 1.5 -
 * G 4); and the means over each cell of the colours under G 4, brought to -1..1. Borders are repeated. */
bool kn_structure(const float *picture, int width, int height, int block, float *out, kn_error *error);

#endif
