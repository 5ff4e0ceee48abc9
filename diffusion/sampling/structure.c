#include "diffusion/sampling/structure.h"

#include <math.h>
#include <string.h>

enum { MOST_TAPS = 64 };

static int gaussian(double sigma, float *taps) {
    int radius = (int)fmax(1, ceil(3 * sigma));
    double sum = 0, values[MOST_TAPS];
    for (int i = -radius; i <= radius; i++) sum += values[i + radius] = exp(-.5 * (i / sigma) * (i / sigma));
    for (int i = 0; i <= 2 * radius; i++) taps[i] = (float)(values[i] / sum);
    return radius;
}

/* One row of the picture, or of its rows' sums: out[i] = sum over taps of in, borders repeated. `line` has room for the
 * row and its margins. */
static void blur_row(const float *in, int width, const float *taps, int radius, float *line, float *out) {
    for (int i = 0; i < radius; i++) line[i] = in[0], line[radius + width + i] = in[width - 1];
    memcpy(line + radius, in, (size_t)width * sizeof *line);
    for (int x = 0; x < width; x++) out[x] = taps[0] * line[x];
    for (int k = 1; k <= 2 * radius; k++)
        for (int x = 0; x < width; x++) out[x] += taps[k] * line[x + k];
}

/* Gaussian blur of one plane; `between` has its size, `line` a row and its margins. */
static void blur(const float *in, int width, int height, double sigma, float *between, float *line, float *out) {
    float taps[MOST_TAPS];
    int radius = gaussian(sigma, taps);
    for (int y = 0; y < height; y++) {
        size_t at = (size_t)y * (size_t)width;
        blur_row(in + at, width, taps, radius, line, between + at);
    }
    memset(out, 0, (size_t)width * (size_t)height * sizeof *out);
    for (int y = 0; y < height; y++)
        for (int k = -radius; k <= radius; k++) {
            int from = y + k < 0 ? 0 : y + k < height ? y + k : height - 1;
            const float *row = between + (size_t)from * (size_t)width;
            float *to = out + (size_t)y * (size_t)width, tap = taps[k + radius];
            for (int x = 0; x < width; x++) to[x] += tap * row[x];
        }
}

bool kn_blur(const float *in, int width, int height, double sigma, float *out, kn_error *error) {
    size_t pixels = (size_t)width * (size_t)height;
    float *memory = kn_alloc(pixels + (size_t)width + MOST_TAPS, sizeof *memory, error);
    if (memory) blur(in, width, height, sigma, memory, memory + pixels, out);
    kn_free(memory);
    return memory != NULL;
}

static float limited(float value) { return value > -1 ? value < 1 ? value : 1 : -1; }

/* Pixel (x, y) of a plane to channel (y % block) * block + x % block of its cell. */
static size_t packed(int x, int y, int width, int height, int block) {
    int w = width / block, h = height / block;
    size_t channel = (size_t)(y % block * block + x % block);
    return (channel * (size_t)h + (size_t)(y / block)) * (size_t)w + (size_t)(x / block);
}

static void put(const float *light[3], const float *low, int width, int height, int block, float *out) {
    size_t pixels = (size_t)width * (size_t)height, cells = pixels / (size_t)(block * block);
    float *colour = out + KN_STRUCTURE_PLANES * pixels, share = 2.0f / (float)(block * block);
    for (size_t i = 0; i < 3 * cells; i++) colour[i] = -1;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            size_t i = (size_t)y * (size_t)width + (size_t)x, to = packed(x, y, width, height, block),
                   cell = (size_t)(y / block) * (size_t)(width / block) + (size_t)(x / block);
            out[to] = limited(6 * (light[0][i] - light[1][i]));
            out[pixels + to] = limited(3 * (light[1][i] - light[2][i]));
            for (size_t c = 0; c < 3; c++) colour[c * cells + cell] += share * low[c * pixels + i];
        }
}

bool kn_structure(const float *picture, int width, int height, int block, float *out, kn_error *error) {
    size_t pixels = (size_t)width * (size_t)height;
    float *memory = kn_alloc(8 * pixels + (size_t)width + MOST_TAPS, sizeof *memory, error);
    if (!memory) return false;
    float *luma = memory, *between = memory + pixels, *fine = memory + 2 * pixels, *middle = memory + 3 * pixels,
          *low = memory + 4 * pixels, *broad = memory + 7 * pixels, *line = memory + 8 * pixels;
    for (size_t i = 0; i < pixels; i++)
        luma[i] = .299f * picture[i] + .587f * picture[pixels + i] + .114f * picture[2 * pixels + i];
    blur(luma, width, height, .6, between, line, fine);
    blur(luma, width, height, 1.5, between, line, middle);
    for (size_t c = 0; c < 3; c++) blur(picture + c * pixels, width, height, 4, between, line, low + c * pixels);
    for (size_t i = 0; i < pixels; i++)
        broad[i] = .299f * low[i] + .587f * low[pixels + i] + .114f * low[2 * pixels + i];
    put((const float *[3]){fine, middle, broad}, low, width, height, block, out);
    kn_free(memory);
    return true;
}
