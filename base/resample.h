/* Pictures in another size. */
#ifndef KN_BASE_RESAMPLE_H
#define KN_BASE_RESAMPLE_H

#include "base/base.h"

/* One plane [from_h][from_w] to [to_h][to_w] by Lanczos' kernel of 3 lobes, widened when it shrinks, as Pillow does;
 * results are limited to 0..1. */
bool kn_resample(const float *in, int from_w, int from_h, float *out, int to_w, int to_h, kn_error *error);

#endif
