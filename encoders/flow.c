/* Pyramids, both directions, and what lies hidden. */
#include "encoders/flow.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

struct kn_flow {
    int width, height, levels;
    int frames; /* since the last cut */
    kn_flow_image pyramids[2][KN_FLOW_LEVELS];
    kn_flow_scratch scratch[2]; /* back, forth */
};

/* --- memory ----------------------------------------------------------------------------------- */

static bool image_init(kn_flow_image *image, int w, int h, kn_error *error) {
    size_t pixels = (size_t)w * (size_t)h;
    *image = (kn_flow_image){.w = w, .h = h};
    return (image->light = kn_alloc(3 * pixels, sizeof *image->light, error)) &&
           (image->dx = image->light + pixels, image->dy = image->dx + pixels, true);
}

static bool scratch_init(kn_flow_scratch *s, int w, int h, kn_error *error) {
    size_t pixels = (size_t)w * (size_t)h, patches = (size_t)w / KN_FLOW_STRIDE + 2;
    float **planes[] = {&s->u, &s->v, &s->coarse_u, &s->coarse_v, &s->weight};
    for (size_t i = 0; i < KN_COUNT(planes); i++)
        if (!(*planes[i] = kn_alloc(pixels, sizeof(float), error))) return false;
    for (size_t i = 0; i < KN_COUNT(s->planes); i++)
        if (!(s->planes[i] = kn_alloc(pixels, sizeof(float), error))) return false;
    return (s->patches = kn_alloc(2 * patches, sizeof *s->patches, error)) != NULL;
}

static void scratch_finish(kn_flow_scratch *s) {
    float *planes[] = {s->u, s->v, s->coarse_u, s->coarse_v, s->weight, s->patches};
    for (size_t i = 0; i < KN_COUNT(planes); i++) kn_free(planes[i]);
    for (size_t i = 0; i < KN_COUNT(s->planes); i++) kn_free(s->planes[i]);
}

bool kn_flow_create(kn_flow **out, int width, int height, kn_error *error) {
    *out = NULL;
    if (width < 1 || height < 1 || width > 16384 || height > 16384)
        return kn_fail(error, KN_ERROR_INPUT, "optical flow of %d x %d pixels: expected 1 to 16384", width, height);
    kn_flow *flow = kn_alloc(1, sizeof *flow, error);
    if (!flow) return false;
    flow->width = width, flow->height = height;
    int w = width > 320 ? (width + 1) / 2 : width, h = width > 320 ? (height + 1) / 2 : height;
    bool ok = scratch_init(&flow->scratch[0], w, h, error) && scratch_init(&flow->scratch[1], w, h, error);
    while (ok && flow->levels < KN_FLOW_LEVELS) {
        ok = image_init(&flow->pyramids[0][flow->levels], w, h, error) &&
             image_init(&flow->pyramids[1][flow->levels], w, h, error);
        flow->levels++;
        if (w < 24 || h < 24) break;
        w = (w + 1) / 2, h = (h + 1) / 2;
    }
    if (!ok) kn_flow_destroy(&flow);
    *out = flow;
    return ok;
}

void kn_flow_destroy(kn_flow **out) {
    kn_flow *flow = out ? *out : NULL;
    if (!flow) return;
    for (int i = 0; i < 2; i++) {
        for (int level = 0; level < KN_FLOW_LEVELS; level++) kn_free(flow->pyramids[i][level].light);
        scratch_finish(&flow->scratch[i]);
    }
    kn_free(flow);
    *out = NULL;
}

/* --- pyramid ---------------------------------------------------------------------------------- */

static float brightness(const float *planes, size_t pixels, size_t i) {
    float value = .299f * planes[i] + .587f * planes[pixels + i] + .114f * planes[2 * pixels + i];
    return value > 0 ? value < 4 ? 255 * value : 1020 : 0;
}

/* Half the size: means of four. */
static void halve(const float *in, int w, int h, float *out) {
    int hw = (w + 1) / 2, hh = (h + 1) / 2;
    for (int y = 0; y < hh; y++)
        for (int x = 0; x < hw; x++) {
            int x1 = 2 * x + 1 < w ? 2 * x + 1 : 2 * x, y1 = 2 * y + 1 < h ? 2 * y + 1 : 2 * y;
            const float *a = in + (size_t)(2 * y) * (size_t)w, *b = in + (size_t)y1 * (size_t)w;
            out[(size_t)y * (size_t)hw + (size_t)x] = .25f * (a[2 * x] + a[x1] + b[2 * x] + b[x1]);
        }
}

static void differentiate(kn_flow_image *image) {
    int w = image->w, h = image->h;
    for (int y = 0; y < h; y++) {
        const float *row = image->light + (size_t)y * (size_t)w;
        const float *up = y > 0 ? row - w : row, *down = y + 1 < h ? row + w : row;
        float *dx = image->dx + (size_t)y * (size_t)w, *dy = image->dy + (size_t)y * (size_t)w;
        for (int x = 0; x < w; x++) {
            dx[x] = .5f * (row[x + 1 < w ? x + 1 : x] - row[x > 0 ? x - 1 : x]);
            dy[x] = .5f * (down[x] - up[x]);
        }
    }
}

static bool build(kn_flow *flow, const float *planes, kn_error *error) {
    kn_flow_image *pyramid = flow->pyramids[flow->frames & 1];
    size_t pixels = (size_t)flow->width * (size_t)flow->height;
    if (pyramid->w == flow->width) {
        for (size_t i = 0; i < pixels; i++) pyramid->light[i] = brightness(planes, pixels, i);
    } else {
        float *full = kn_alloc(pixels, sizeof *full, error);
        if (!full) return false;
        for (size_t i = 0; i < pixels; i++) full[i] = brightness(planes, pixels, i);
        halve(full, flow->width, flow->height, pyramid->light);
        kn_free(full);
    }
    for (int level = 0; level < flow->levels; level++) {
        if (level) halve(pyramid[level - 1].light, pyramid[level - 1].w, pyramid[level - 1].h, pyramid[level].light);
        differentiate(&pyramid[level]);
    }
    return true;
}

/* --- both directions -------------------------------------------------------------------------- */

typedef struct direction {
    kn_flow *flow;
    int from; /* which pyramid */
    kn_flow_scratch *scratch;
} direction;

static void *go(void *user) {
    direction *d = user;
    kn_flow_search(d->flow->pyramids[d->from], d->flow->pyramids[!d->from], d->flow->levels, d->scratch);
    return NULL;
}

static void both(kn_flow *flow) {
    int now = flow->frames & 1;
    direction back = {flow, now, &flow->scratch[0]}, forth = {flow, !now, &flow->scratch[1]};
    pthread_t thread;
    bool two = pthread_create(&thread, NULL, go, &forth) == 0;
    go(&back);
    if (two) pthread_join(thread, NULL);
    else go(&forth);
}

/* 1 where the way back leads home, falling to 0 within a pixel or so beyond what small errors explain. */
static float trust(const kn_flow *flow, float x, float y, float u, float v) {
    const kn_flow_image *image = &flow->pyramids[0][0];
    int w = image->w, h = image->h;
    float tx = x + u, ty = y + v;
    if (tx < -.5f || ty < -.5f || tx > (float)w - .5f || ty > (float)h - .5f) return 0;
    float bu = kn_flow_at(flow->scratch[1].u, w, h, tx, ty), bv = kn_flow_at(flow->scratch[1].v, w, h, tx, ty);
    float error = (u + bu) * (u + bu) + (v + bv) * (v + bv),
          allowed = .01f * (u * u + v * v + bu * bu + bv * bv) + .25f;
    float excess = error / allowed;
    return excess < 1 ? 1 : excess < 2 ? 2 - excess : 0;
}

static void deliver(const kn_flow *flow, float *motion, float *confident) {
    const kn_flow_image *image = &flow->pyramids[0][0];
    size_t pixels = (size_t)flow->width * (size_t)flow->height;
    float scale = image->w == flow->width ? 1 : 2, shift = scale == 1 ? 0 : .25f;
    for (int y = 0; y < flow->height; y++)
        for (int x = 0; x < flow->width; x++) {
            size_t i = (size_t)y * (size_t)flow->width + (size_t)x;
            float sx = (float)x / scale - shift, sy = (float)y / scale - shift;
            float u = kn_flow_at(flow->scratch[0].u, image->w, image->h, sx, sy),
                  v = kn_flow_at(flow->scratch[0].v, image->w, image->h, sx, sy);
            motion[i] = scale * u;
            motion[pixels + i] = scale * v;
            confident[i] = trust(flow, sx, sy, u, v);
        }
}

bool kn_flow_next(kn_flow *flow, const float *planes, float *motion, float *confident, kn_error *error) {
    size_t pixels = (size_t)flow->width * (size_t)flow->height;
    if (!build(flow, planes, error)) return false;
    if (flow->frames > 0) {
        both(flow);
        deliver(flow, motion, confident);
    } else {
        memset(motion, 0, 2 * pixels * sizeof *motion);
        memset(confident, 0, pixels * sizeof *confident);
    }
    flow->frames = flow->frames == 0 ? 1 : 3 - flow->frames;
    return true;
}

void kn_flow_cut(kn_flow *flow) { flow->frames = 0; }
