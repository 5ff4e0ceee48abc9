/* Agreement of the clean estimates along the motion. */
#include "base/warp.h"
#include "diffusion/sampling/clip.h"

#include <math.h>
#include <string.h>

static size_t packed_index(int c, int x, int y, int width, int height, int block) {
    int w = width / block, h = height / block, channel = (c * block + y % block) * block + x % block;
    return ((size_t)channel * (size_t)h + (size_t)(y / block)) * (size_t)w + (size_t)(x / block);
}

void kn_clip_pack(const float *planes, int width, int height, int block, float *packed) {
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) packed[packed_index(c, x, y, width, height, block)] = *planes++;
}

void kn_clip_unpack(const float *packed, int width, int height, int block, float *planes) {
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) *planes++ = packed[packed_index(c, x, y, width, height, block)];
}

void kn_clip_cells(kn_clip *clip, const kn_clip_frame *frame) {
    int factor = clip->factor, w = clip->params.width / factor;
    float share = 1 / (float)(factor * factor);
    for (size_t i = 0; i < clip->cells; i++) {
        size_t x0 = i % (size_t)w * (size_t)factor, y0 = i / (size_t)w * (size_t)factor;
        float u = 0, v = 0, trust = 0;
        for (size_t y = y0; y < y0 + (size_t)factor; y++)
            for (size_t x = x0; x < x0 + (size_t)factor; x++) {
                size_t at = y * (size_t)clip->params.width + x;
                u += frame->motion[at];
                v += frame->motion[clip->pixels + at];
                trust += frame->confident[at];
            }
        clip->motion[i] = u * share / (float)factor;
        clip->motion[clip->cells + i] = v * share / (float)factor;
        clip->confident[i] = trust * share;
    }
}

/* x += lock trust (before - x), in `channels` planes. */
static void blend(float *x, const float *before, const float *trust, size_t places, int channels, float lock) {
    for (size_t c = 0; c < (size_t)channels; c++)
        for (size_t i = 0; i < places; i++) {
            float *at = &x[c * places + i];
            *at += lock * trust[i] * (before[c * places + i] - *at);
        }
}

void kn_clip_lock(kn_clip *clip, const kn_clip_frame *frame, int evaluation) {
    const kn_clip_params *params = &clip->params;
    float *memory = clip->memory + (size_t)evaluation * clip->floats;
    bool packed = clip->model->info.pixel_noise;
    if (packed) kn_clip_unpack(clip->estimate, params->width, params->height, clip->factor, clip->spare);
    else memcpy(clip->spare, clip->estimate, clip->floats * sizeof *clip->spare);
    if (frame->motion && clip->remembers) {
        int channels = packed ? 3 : clip->model->info.latent_channels, w = params->width, h = params->height;
        if (!packed) w /= clip->factor, h /= clip->factor;
        kn_warp(memory, channels, w, h, packed ? frame->motion : clip->motion, clip->warped);
        blend(clip->spare, clip->warped, packed ? frame->confident : clip->confident, (size_t)w * (size_t)h, channels,
              params->lock);
        if (packed) kn_clip_pack(clip->spare, params->width, params->height, clip->factor, clip->estimate);
        else memcpy(clip->estimate, clip->spare, clip->floats * sizeof *clip->spare);
    }
    memcpy(memory, clip->spare, clip->floats * sizeof *memory);
}
