#include "diffusion/sampling/flow_noise.h"

#include "base/random.h"

#include <math.h>
#include <string.h>

bool kn_flow_noise_init(kn_flow_noise *noise, int channels, int width, int height, uint64_t seed, kn_error *error) {
    size_t places = (size_t)width * (size_t)height, floats = (size_t)channels * places;
    *noise = (kn_flow_noise){.channels = channels, .width = width, .height = height, .seed = seed};
    return (noise->values = kn_alloc(floats, sizeof(float), error)) &&
           (noise->fresh = kn_alloc(floats, sizeof(float), error)) &&
           (noise->before = kn_alloc(floats, sizeof(float), error)) &&
           (noise->offsets = kn_alloc(2 * places, sizeof(float), error)) &&
           (noise->before_offsets = kn_alloc(2 * places, sizeof(float), error)) &&
           (noise->taken = kn_alloc(places, sizeof(bool), error));
}

void kn_flow_noise_finish(kn_flow_noise *noise) {
    float *buffers[] = {noise->values, noise->fresh, noise->before, noise->offsets, noise->before_offsets};
    for (size_t i = 0; i < KN_COUNT(buffers); i++) kn_free(buffers[i]);
    kn_free(noise->taken);
    *noise = (kn_flow_noise){0};
}

/* The free sample nearest to (x, y) of the frame before, within a place's distance; SIZE_MAX: none. */
static size_t nearest(const kn_flow_noise *n, float x, float y) {
    int cx = (int)lrintf(x), cy = (int)lrintf(y);
    size_t places = (size_t)n->width * (size_t)n->height, found = SIZE_MAX;
    float best = 1;
    for (int j = cy - 1; j <= cy + 1; j++)
        for (int i = cx - 1; i <= cx + 1; i++) {
            if (i < 0 || j < 0 || i >= n->width || j >= n->height) continue;
            size_t at = (size_t)j * (size_t)n->width + (size_t)i;
            if (n->taken[at]) continue;
            float dx = (float)i + n->before_offsets[at] - x, dy = (float)j + n->before_offsets[places + at] - y,
                  distance = dx * dx + dy * dy;
            if (distance < best) best = distance, found = at;
        }
    return found;
}

/* The sample at `from` of the frame before, or a fresh one, for place `to`; (x, y): where that place was. */
static void take(kn_flow_noise *n, size_t from, size_t to, float x, float y) {
    size_t places = (size_t)n->width * (size_t)n->height;
    bool fresh = from == SIZE_MAX;
    const float *source = fresh ? n->fresh + to : n->before + from;
    for (size_t c = 0; c < (size_t)n->channels; c++) n->values[c * places + to] = source[c * places];
    n->offsets[to] = n->offsets[places + to] = 0;
    if (fresh) return;
    n->taken[from] = true;
    n->offsets[to] = (float)(from % (size_t)n->width) + n->before_offsets[from] - x;
    n->offsets[places + to] = (float)(from / (size_t)n->width) + n->before_offsets[places + from] - y;
}

void kn_flow_noise_next(kn_flow_noise *n, const float *motion, const float *confident) {
    size_t places = (size_t)n->width * (size_t)n->height, floats = (size_t)n->channels * places;
    kn_mt19937 rng;
    float *values = n->before, *offsets = n->before_offsets;
    n->before = n->values, n->before_offsets = n->offsets;
    n->values = values, n->offsets = offsets;
    memset(n->taken, 0, places * sizeof *n->taken);
    kn_mt19937_init(&rng, kn_hash64(n->seed ^ kn_hash64(n->frame)));
    kn_randn_torch_cpu(&rng, n->fresh, floats);
    n->frame++;
    for (size_t i = 0; i < places; i++) {
        bool known = motion && confident[i] >= .5f;
        float x = known ? (float)(i % (size_t)n->width) + motion[i] : 0,
              y = known ? (float)(i / (size_t)n->width) + motion[places + i] : 0;
        known = known && x > -1 && y > -1 && x < (float)n->width && y < (float)n->height;
        take(n, known ? nearest(n, x, y) : SIZE_MAX, i, x, y);
    }
}
