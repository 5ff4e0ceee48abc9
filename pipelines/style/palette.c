#include "pipelines/style/palette.h"

#include <math.h>
#include <string.h>

/* --- CIELAB (D65) ----------------------------------------------------------------------------- */

static double linear(double v) { return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4); }
static double encoded(double v) { return v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055; }
static double cube(double t) { return t > 216.0 / 24389 ? cbrt(t) : (24389.0 / 27 * t + 16) / 116; }
static double uncube(double t) { return t > 6.0 / 29 ? t * t * t : (116 * t - 16) * 27 / 24389; }

static void lab_of(const double rgb[3], double lab[3]) {
    double r = linear(rgb[0]), g = linear(rgb[1]), b = linear(rgb[2]);
    double x = cube((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505), y = cube(0.2126 * r + 0.7152 * g + 0.0722 * b),
           z = cube((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089);
    lab[0] = 116 * y - 16, lab[1] = 500 * (x - y), lab[2] = 200 * (y - z);
}

static void rgb_of(const double lab[3], double rgb[3]) {
    double fy = (lab[0] + 16) / 116, x = 0.9505 * uncube(fy + lab[1] / 500), y = uncube(fy),
           z = 1.089 * uncube(fy - lab[2] / 200);
    const double out[3] = {3.2406 * x - 1.5372 * y - 0.4986 * z, -0.9689 * x + 1.8758 * y + 0.0415 * z,
                           0.0557 * x - 0.2040 * y + 1.0570 * z};
    for (int c = 0; c < 3; c++) rgb[c] = fmin(fmax(encoded(fmax(out[c], 0)), 0), 1);
}

/* --- counting --------------------------------------------------------------------------------- */

void kn_tones_add(kn_tones *tones, const float *planes, size_t pixels) {
    for (size_t i = 0; i < pixels; i += 4) {
        const double rgb[3] = {(double)planes[i], (double)planes[pixels + i], (double)planes[2 * pixels + i]};
        double lab[3];
        lab_of(rgb, lab);
        int bin = (int)(lab[0] * KN_TONES / 100.0001);
        bin = bin > 0 ? bin < KN_TONES ? bin : KN_TONES - 1 : 0;
        tones->count[bin]++;
        tones->a[bin] += lab[1], tones->b[bin] += lab[2];
        tones->aa += lab[1] * lab[1], tones->ab += lab[1] * lab[2], tones->bb += lab[2] * lab[2];
    }
}

typedef struct colours {
    double total, a, b;                        /* mean */
    double root[3];                            /* square root of the covariance: aa, ab, bb */
    double quantile[KN_TONES + 1];             /* share of pixels that are darker than the step */
    double tone_a[KN_TONES], tone_b[KN_TONES]; /* mean of the tone and those around it, less the mean of all */
} colours;

/* The root of a symmetric positive 2x2 matrix. */
static void root_of(double aa, double ab, double bb, double root[3]) {
    double s = sqrt(fmax(aa * bb - ab * ab, 0)), t = sqrt(fmax(aa + bb + 2 * s, 1e-12));
    root[0] = (aa + s) / t, root[1] = ab / t, root[2] = (bb + s) / t;
}

/* Means of tones over a Gaussian of 6 steps of lightness, and where there is little of them those of all. */
static void find_tones(const kn_tones *t, colours *c) {
    for (int i = 0; i < KN_TONES; i++) {
        double weight = 0.02 * c->total, a = weight * c->a, b = weight * c->b;
        for (int j = 0; j < KN_TONES; j++) {
            double near = exp(-(i - j) * (i - j) / (2 * 6.0 * 6.0));
            weight += near * t->count[j], a += near * t->a[j], b += near * t->b[j];
        }
        c->tone_a[i] = a / weight - c->a, c->tone_b[i] = b / weight - c->b;
    }
}

static colours summarise(const kn_tones *t) {
    colours c = {.total = 1e-9};
    for (int i = 0; i < KN_TONES; i++) c.total += t->count[i], c.a += t->a[i], c.b += t->b[i];
    c.a /= c.total, c.b /= c.total;
    for (int i = 0; i < KN_TONES; i++) c.quantile[i + 1] = c.quantile[i] + t->count[i] / c.total;
    root_of(t->aa / c.total - c.a * c.a + 1, t->ab / c.total - c.a * c.b, t->bb / c.total - c.b * c.b + 1, c.root);
    find_tones(t, &c);
    return c;
}

/* --- the change ------------------------------------------------------------------------------- */

static double share_below(const colours *c, double lightness) {
    double at = fmin(fmax(lightness * KN_TONES / 100, 0), KN_TONES - 1e-9);
    int bin = (int)at;
    return c->quantile[bin] + (at - bin) * (c->quantile[bin + 1] - c->quantile[bin]);
}

static double lightness_of(const colours *c, double share) {
    int bin = 0;
    while (bin < KN_TONES - 1 && c->quantile[bin + 1] < share) bin++;
    double step = c->quantile[bin + 1] - c->quantile[bin],
           inside = step > 1e-9 ? fmin(fmax((share - c->quantile[bin]) / step, 0), 1) : 0.5;
    return (bin + inside) * 100 / KN_TONES;
}

/* Lightness by its distribution, no steeper than 1.6 and no flatter than 1/3: flat parts of the film get no steps. */
static void make_curve(const colours *from, const colours *to, double curve[101]) {
    double target[101];
    for (int i = 0; i <= 100; i++) target[i] = lightness_of(to, share_below(from, i));
    double median = lightness_of(from, 0.5);
    int middle = (int)median;
    curve[middle] = fmin(fmax(lightness_of(to, 0.5) - (median - middle), 0), 100);
    for (int i = middle + 1; i <= 100; i++)
        curve[i] = curve[i - 1] + fmin(fmax(target[i] - curve[i - 1], 1.0 / 3), 1.6);
    for (int i = middle - 1; i >= 0; i--) curve[i] = curve[i + 1] - fmin(fmax(curve[i + 1] - target[i], 1.0 / 3), 1.6);
    for (int i = 0; i <= 100; i++) curve[i] = fmin(fmax(curve[i], 0), 100);
}

static double at_tone(const double tones[KN_TONES], double lightness) {
    double at = fmin(fmax(lightness * KN_TONES / 100 - 0.5, 0), KN_TONES - 1.0001);
    int bin = (int)at;
    return tones[bin] + (at - bin) * (tones[bin + 1] - tones[bin]);
}

/* Monge and Kantorovich's linear map between two Gaussians: symmetric, of covariance C1 to C2. */
static void make_map(const colours *from, const colours *to, double map[3]) {
    const double *f = from->root, *t = to->root;
    double c2[3] = {t[0] * t[0] + t[1] * t[1], t[1] * (t[0] + t[2]), t[1] * t[1] + t[2] * t[2]};
    double m00 = f[0] * c2[0] + f[1] * c2[1], m01 = f[0] * c2[1] + f[1] * c2[2], m10 = f[1] * c2[0] + f[2] * c2[1],
           m11 = f[1] * c2[1] + f[2] * c2[2];
    double inner[3], det = fmax(f[0] * f[2] - f[1] * f[1], 1e-9);
    root_of(m00 * f[0] + m01 * f[1], m00 * f[1] + m01 * f[2], m10 * f[1] + m11 * f[2], inner);
    double i[3] = {f[2] / det, -f[1] / det, f[0] / det};
    double n00 = i[0] * inner[0] + i[1] * inner[1], n01 = i[0] * inner[1] + i[1] * inner[2],
           n10 = i[1] * inner[0] + i[2] * inner[1], n11 = i[1] * inner[1] + i[2] * inner[2];
    map[0] = n00 * i[0] + n01 * i[1], map[1] = n00 * i[1] + n01 * i[2], map[2] = n10 * i[1] + n11 * i[2];
    for (int k = 0; k < 3; k++) map[k] = fmin(fmax(map[k], -1.5), 1.5); /* or a grey film's noise becomes gaudy */
}

bool kn_palette_create(kn_palette **out, const kn_tones *from, const kn_tones *to, kn_error *error) {
    enum { N = KN_PALETTE_GRID };
    kn_palette *palette = *out = kn_alloc(1, sizeof *palette, error);
    if (!palette) return false;
    colours f = summarise(from), t = summarise(to);
    double curve[101], map[3];
    make_curve(&f, &t, curve);
    make_map(&f, &t, map);
    for (int i = 0; i < N * N * N; i++) {
        const double rgb[3] = {(double)(i / (N * N)) / (N - 1), (double)(i / N % N) / (N - 1), // NOLINT
                               (double)(i % N) / (N - 1)};
        double lab[3], made[3], shown[3];
        lab_of(rgb, lab);
        double l = fmin(fmax(lab[0], 0), 99.999), a = lab[1] - f.a - at_tone(f.tone_a, l),
               b = lab[2] - f.b - at_tone(f.tone_b, l);
        made[0] = curve[(int)l] + (l - (int)l) * (curve[(int)l + 1] - curve[(int)l]);
        made[1] = t.a + at_tone(t.tone_a, made[0]) + map[0] * a + map[1] * b;
        made[2] = t.b + at_tone(t.tone_b, made[0]) + map[1] * a + map[2] * b;
        rgb_of(made, shown);
        for (int c = 0; c < 3; c++) palette->table[i][c] = (float)shown[c];
    }
    return true;
}

/* Between the eight colours of the table around it. */
void kn_palette_apply(const kn_palette *palette, float *planes, size_t pixels) {
    enum { N = KN_PALETTE_GRID };
    static const size_t strides[3] = {(size_t)N * N, N, 1};
    for (size_t i = 0; i < pixels; i++) {
        size_t base = 0;
        float part[3], sum[3] = {0};
        for (size_t c = 0; c < 3; c++) {
            float at = fminf(fmaxf(planes[c * pixels + i], 0), 1) * (N - 1);
            size_t cell = at < N - 2 ? (size_t)at : N - 2;
            part[c] = at - (float)cell;
            base += cell * strides[c];
        }
        for (size_t corner = 0; corner < 8; corner++) {
            float weight = 1;
            size_t at = base;
            for (size_t c = 0; c < 3; c++) {
                bool far = corner >> c & 1;
                weight *= far ? part[c] : 1 - part[c];
                at += far ? strides[c] : 0;
            }
            for (size_t c = 0; c < 3; c++) sum[c] += weight * palette->table[at][c];
        }
        for (size_t c = 0; c < 3; c++) planes[c * pixels + i] = sum[c];
    }
}

/* --- manner ----------------------------------------------------------------------------------- */

enum { FEATURES = 6 };

static float luma(const float *planes, size_t pixels, size_t i) {
    return .299f * planes[i] + .587f * planes[pixels + i] + .114f * planes[2 * pixels + i];
}

/* Fine and broad contrast, how much of it is dark lines, how much is flat, how colourful it is. */
static void describe(const float *planes, int width, int height, double features[FEATURES]) {
    size_t w = (size_t)width, n = w * (size_t)height, count = 0;
    memset(features, 0, FEATURES * sizeof *features);
    for (size_t y = 4; y + 4 < (size_t)height; y++)
        for (size_t x = 4; x + 4 < w; x++, count++) {
            size_t i = y * w + x;
            double at = (double)luma(planes, n, i), near = 0, far = 0;
            for (size_t k = 0; k < 4; k++) {
                size_t step = k < 2 ? 1 : w;
                near += 0.25 * (double)luma(planes, n, k % 2 ? i + step : i - step);
                far += 0.25 * (double)luma(planes, n, k % 2 ? i + 4 * step : i - 4 * step);
            }
            double high = fmax(fmax((double)planes[i], (double)planes[n + i]), (double)planes[2 * n + i]),
                   low = fmin(fmin((double)planes[i], (double)planes[n + i]), (double)planes[2 * n + i]);
            features[0] += fabs(at - near);
            features[1] += fabs(at - far);
            features[2] += far - at > 0.1;
            features[3] += at - far > 0.1;
            features[4] += fabs(at - near) < 0.004;
            features[5] += high - low;
        }
    for (int f = 0; f < FEATURES; f++) features[f] /= fmax((double)count, 1);
}

double kn_manner_distance(const float *one, const float *other, int width, int height) {
    static const double usual[FEATURES] = {0.02, 0.05, 0.05, 0.05, 0.3, 0.2}; /* their usual sizes */
    double a[FEATURES], b[FEATURES], sum = 0;
    describe(one, width, height, a);
    describe(other, width, height, b);
    for (int f = 0; f < FEATURES; f++) {
        double ratio = log((a[f] + 0.25 * usual[f]) / (b[f] + 0.25 * usual[f]));
        sum += ratio * ratio;
    }
    return sqrt(sum / FEATURES);
}
