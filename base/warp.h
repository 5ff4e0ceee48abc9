/* Moving pictures along a field of motion. */
#ifndef KN_BASE_WARP_H
#define KN_BASE_WARP_H

#include "base/base.h"

/* out[channels][height][width] = in where `motion` [2][height][width] points: pixel (x, y) of `out` is `in` at
 * (x + motion[0], y + motion[1]), by cubic (Catmull-Rom) interpolation; beyond the border the border's pixels. `in` and
 * `out` are different memory. */
void kn_warp(const float *in, int channels, int width, int height, const float *motion, float *out);

#endif
