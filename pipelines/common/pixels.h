/* Renderer's colours to bytes. Internal to pipelines/. */
#ifndef KN_PIPELINES_PIXELS_H
#define KN_PIPELINES_PIXELS_H

#include "base/base.h"

/* planar [3][pixels], 0..1 and clipped -> rgb [pixels][3]. False when a value is not finite: no number may become a
 * colour in silence. */
bool kn_pixels_interleave(const float *planar, size_t pixels, uint8_t *rgb);

#endif
