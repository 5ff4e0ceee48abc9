#include "base/warp.h"

#include <math.h>

static void cubic(float t, float w[4]) {
    w[0] = t * (-.5f + t * (1 - .5f * t));
    w[1] = 1 + t * t * (-2.5f + 1.5f * t);
    w[2] = t * (.5f + t * (2 - 1.5f * t));
    w[3] = t * t * (-.5f + .5f * t);
}

static int clamped(int i, int count) { return i < 0 ? 0 : i < count ? i : count - 1; }

void kn_warp(const float *in, int channels, int width, int height, const float *motion, float *out) {
    size_t pixels = (size_t)width * (size_t)height;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            size_t i = (size_t)y * (size_t)width + (size_t)x;
            float px = fminf(fmaxf((float)x + motion[i], 0), (float)(width - 1)),
                  py = fminf(fmaxf((float)y + motion[pixels + i], 0), (float)(height - 1)), wx[4], wy[4];
            int x0 = (int)px, y0 = (int)py, columns[4];
            cubic(px - (float)x0, wx);
            cubic(py - (float)y0, wy);
            for (int k = 0; k < 4; k++) columns[k] = clamped(x0 + k - 1, width);
            for (int c = 0; c < channels; c++) {
                const float *plane = in + (size_t)c * pixels;
                float sum = 0;
                for (int k = 0; k < 4; k++) {
                    const float *row = plane + (size_t)clamped(y0 + k - 1, height) * (size_t)width;
                    sum += wy[k] * (wx[0] * row[columns[0]] + wx[1] * row[columns[1]] + wx[2] * row[columns[2]] +
                                    wx[3] * row[columns[3]]);
                }
                out[(size_t)c * pixels + i] = sum;
            }
        }
}
