#include "pipelines/common/pixels.h"

#include <math.h>

bool kn_pixels_interleave(const float *planar, size_t pixels, uint8_t *rgb) {
    bool finite = true;
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < pixels; i++) {
            float v = planar[c * pixels + i];
            finite = finite && isfinite(v);
            rgb[3 * i + c] = (uint8_t)lrintf(255 * (v > 0 ? v < 1 ? v : 1 : 0));
        }
    return finite;
}
