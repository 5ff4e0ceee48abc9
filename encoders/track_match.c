/* Patches and where they match best: weighted normalised cross-correlation in colour. */
#include "encoders/track.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- samples ---------------------------------------------------------------------------------- */

static double pixel(const kn_track_view *view, int channel, int x, int y) {
    x = x < 0 ? 0 : x < view->width ? x : view->width - 1;
    y = y < 0 ? 0 : y < view->height ? y : view->height - 1;
    size_t pixels = (size_t)view->width * (size_t)view->height;
    float value = view->planes[(size_t)channel * pixels + (size_t)y * (size_t)view->width + (size_t)x];
    return isfinite(value) ? (double)value : 0;
}

static double between(const kn_track_view *view, int channel, double x, double y) {
    x -= view->left, y -= view->top;
    double left = floor(x), top = floor(y), fx = x - left, fy = y - top;
    int i = (int)fmin(fmax(left, -2), view->width), j = (int)fmin(fmax(top, -2), view->height);
    double a = pixel(view, channel, i, j), b = pixel(view, channel, i + 1, j), c = pixel(view, channel, i, j + 1),
           d = pixel(view, channel, i + 1, j + 1);
    return (a + (b - a) * fx) * (1 - fy) + (c + (d - c) * fx) * fy;
}

void kn_track_sample(const kn_track_view *view, double x, double y, double step, int width, int height, float *out) {
    int taps = step > 1.01 ? (int)ceil(step) : 1;
    double x0 = x - 0.5 * (width - 1) * step, y0 = y - 0.5 * (height - 1) * step;
    for (int c = 0; c < 3; c++)
        for (int j = 0; j < height; j++)
            for (int i = 0; i < width; i++) {
                double sum = 0;
                for (int t = 0; t < taps * taps; t++) {
                    double u = (t % taps + 0.5) / taps - 0.5, v = (t / taps + 0.5) / taps - 0.5; // NOLINT
                    sum += between(view, c, x0 + (i + u) * step - 0.5, y0 + (j + v) * step - 0.5);
                }
                *out++ = (float)(sum / (taps * taps));
            }
}

/* --- patches ---------------------------------------------------------------------------------- */

bool kn_track_patch_init(kn_track_patch *patch, int width, int height, kn_error *error) {
    size_t places = (size_t)width * (size_t)height;
    *patch = (kn_track_patch){.width = width, .height = height};
    return (patch->values = kn_alloc(3 * places, sizeof(float), error)) &&
           (patch->weights = kn_alloc(places, sizeof(float), error));
}

void kn_track_patch_finish(kn_track_patch *patch) {
    kn_free(patch->values);
    kn_free(patch->weights);
    *patch = (kn_track_patch){0};
}

void kn_track_patch_settle(kn_track_patch *patch) {
    size_t places = (size_t)patch->width * (size_t)patch->height;
    patch->total = patch->energy = 0;
    for (size_t i = 0; i < places; i++) patch->total += (double)patch->weights[i];
    for (size_t c = 0; c < 3; c++) {
        float *values = patch->values + c * places;
        double sum = 0;
        for (size_t i = 0; i < places; i++) sum += (double)(patch->weights[i] * values[i]);
        double mean = sum / fmax(patch->total, 1e-9);
        patch->mean[c] += mean;
        for (size_t i = 0; i < places; i++) {
            values[i] -= (float)mean;
            patch->energy += (double)(patch->weights[i] * values[i] * values[i]);
        }
    }
}

void kn_track_patch_take(kn_track_patch *patch, const kn_track_view *view, double x, double y, double step) {
    kn_track_sample(view, x, y, step, patch->width, patch->height, patch->values);
    memset(patch->mean, 0, sizeof patch->mean);
    kn_track_patch_settle(patch);
}

void kn_track_patch_blur(const kn_track_patch *patch, double u, double v, kn_track_patch *out) {
    int w = patch->width, h = patch->height, taps = (int)ceil(hypot(u, v)) + 1;
    size_t places = (size_t)w * (size_t)h;
    kn_track_view view = {patch->values, w, h, 0, 0};
    for (size_t i = 0; i < 3 * places; i++) {
        int c = (int)(i / places), x = (int)(i % (size_t)w), y = (int)(i % places / (size_t)w);
        double sum = 0;
        for (int t = 0; t < taps; t++) {
            double at = taps > 1 ? (double)t / (taps - 1) - 0.5 : 0;
            sum += between(&view, c, x + at * u, y + at * v);
        }
        out->values[i] = (float)(sum / taps);
    }
    memcpy(out->weights, patch->weights, places * sizeof *out->weights);
    memcpy(out->mean, patch->mean, sizeof out->mean);
    kn_track_patch_settle(out);
}

/* --- matches ---------------------------------------------------------------------------------- */

/* Samples of the film that a search may need. */
typedef struct field {
    const kn_track_patch *patch;
    float *samples; /* [3][height][width] */
    int width, height;
} field;

/* The correlation with the patch at this place of the field; another mean colour counts against it. */
static double match_at(const field *f, int left, int top) {
    const kn_track_patch *p = f->patch;
    size_t places = (size_t)p->width * (size_t)p->height, all = (size_t)f->width * (size_t)f->height;
    double product = 0, energy = 0, distance = 0;
    for (size_t c = 0; c < 3; c++) {
        float sum = 0, squares = 0, products = 0;
        for (size_t y = 0; y < (size_t)p->height; y++) {
            const float *row = f->samples + c * all + ((size_t)top + y) * (size_t)f->width + (size_t)left,
                        *value = p->values + c * places + y * (size_t)p->width,
                        *weight = p->weights + y * (size_t)p->width;
            for (int x = 0; x < p->width; x++) {
                float weighted = weight[x] * row[x];
                sum += weighted;
                squares += weighted * row[x];
                products += weighted * value[x];
            }
        }
        double mean = (double)sum / p->total, off = mean - p->mean[c];
        product += (double)products;
        energy += (double)squares - (double)sum * mean;
        distance += off * off;
    }
    return product / sqrt(fmax(energy, 1e-4 * p->total) * fmax(p->energy, 1e-9)) * exp(-distance / (2 * 0.3 * 0.3));
}

/* The top of a parabola through three values, from the middle one. */
static double vertex(double before, double at, double after) {
    double bend = before - 2 * at + after;
    return bend < -1e-9 ? fmin(fmax(0.5 * (before - after) / bend, -0.5), 0.5) : 0;
}

typedef struct best {
    int x, y;
    double score, match, second;
} best;

static double pulled(const kn_track_search *s, int rx, int ry, int x, int y, double match) {
    double dx = rx ? (double)(x - rx) / rx : 0, dy = ry ? (double)(y - ry) / ry : 0;
    return match - s->pull * fmin(hypot(dx, dy), 1);
}

static void try_place(const field *f, const kn_track_search *s, int rx, int ry, int x, int y, best *b) {
    if (x < 0 || y < 0 || x > 2 * rx || y > 2 * ry) return;
    double match = match_at(f, x, y), score = pulled(s, rx, ry, x, y, match);
    bool apart = abs(x - b->x) > f->patch->width / 2 || abs(y - b->y) > f->patch->height / 2;
    if (score > b->score) {
        if (apart && b->match > b->second) b->second = b->match;
        b->x = x, b->y = y, b->score = score, b->match = match;
    } else if (apart && match > b->second) b->second = match;
}

static void look(const field *f, const kn_track_search *s, int rx, int ry, kn_track_peak *peak) {
    best b = {.x = -10000, .y = -10000, .score = -9, .match = -1, .second = -1};
    int stride = s->stride > 1 ? s->stride : 1;
    for (int y = ry % stride; y <= 2 * ry; y += stride)
        for (int x = rx % stride; x <= 2 * rx; x += stride) try_place(f, s, rx, ry, x, y, &b);
    int x0 = b.x, y0 = b.y;
    for (int y = y0 - stride + 1; y < y0 + stride; y++)
        for (int x = x0 - stride + 1; x < x0 + stride; x++) try_place(f, s, rx, ry, x, y, &b);
    double dx = 0, dy = 0;
    if (b.x > 0 && b.x < 2 * rx) dx = vertex(match_at(f, b.x - 1, b.y), b.match, match_at(f, b.x + 1, b.y));
    if (b.y > 0 && b.y < 2 * ry) dy = vertex(match_at(f, b.x, b.y - 1), b.match, match_at(f, b.x, b.y + 1));
    *peak = (kn_track_peak){s->x + (b.x - rx + dx) * s->step, s->y + (b.y - ry + dy) * s->step, b.match, b.second};
}

bool kn_track_find(const kn_track_patch *patch, const kn_track_view *view, const kn_track_search *search,
                   kn_track_peak *peak, kn_error *error) {
    int rx = (int)ceil(search->radius_x / search->step), ry = (int)ceil(search->radius_y / search->step);
    field f = {.patch = patch, .width = patch->width + 2 * rx, .height = patch->height + 2 * ry};
    if (!(f.samples = kn_alloc(3 * (size_t)f.width * (size_t)f.height, sizeof(float), error))) return false;
    kn_track_sample(view, search->x, search->y, search->step, f.width, f.height, f.samples);
    look(&f, search, rx, ry, peak);
    kn_free(f.samples);
    return true;
}
