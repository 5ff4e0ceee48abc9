/* Pictures of one scene that were exposed or lit differently get one brightness and tint, so that the texture has no
 * borders. */
#include "mesh/surface/scene.h"

#include <string.h>

#define ENOUGH 40 /* pixels that two eyes share */
#define HOLD 0.1  /* how much an eye's own colours count, against pairs that share many pixels */
#define MOST 0.7  /* largest change, of the logarithm */
#define SWEEPS 60

/* Sums over the pixels that eye a and eye b both show, by channel: differences of the logarithms of their colours. */
typedef struct shared {
    double sum[3], count;
} shared;

static bool logarithms(const kn_eye *eye, int x, int y, double out[3]) {
    const uint8_t *p = eye->rgb + 3 * ((size_t)y * (size_t)eye->width + (size_t)x);
    for (int c = 0; c < 3; c++) {
        if (p[c] < 8 || p[c] > 247) return false; /* cut off by the camera */
        out[c] = log(p[c]);
    }
    return true;
}

static void compare(shared *pairs, const kn_eyes *eyes, const kn_scan_view *views, const kn_depth *depths, size_t e) {
    const kn_eye *eye = &eyes->items[e];
    for (int y = 1; y < eye->height; y += 3)
        for (int x = 1; x < eye->width; x += 3) {
            const float *plane = depths[e].planes + 4 * ((size_t)y * (size_t)eye->width + (size_t)x);
            double mine[3], theirs[3], p[3], pixel[2], depth;
            if (plane[3] < 0.1f || !logarithms(eye, x, y, mine)) continue;
            const double c[3] = {(x + 0.5 - eye->cx) / eye->fx * plane[2] - eye->t[0],
                                 (y + 0.5 - eye->cy) / eye->fy * plane[2] - eye->t[1], plane[2] - eye->t[2]};
            for (int k = 0; k < 3; k++) p[k] = eye->r[0][k] * c[0] + eye->r[1][k] * c[1] + eye->r[2][k] * c[2];
            for (int i = 0; i < views[e].count; i++) {
                size_t o = (size_t)views[e].sources[i];
                const kn_eye *other = &eyes->items[o];
                if (!depths[o].planes || !kn_eye_project(other, p, pixel, &depth)) continue;
                if (!(pixel[0] >= 0 && pixel[1] >= 0 && pixel[0] < other->width && pixel[1] < other->height)) continue;
                int u = (int)pixel[0], v = (int)pixel[1];
                const float *there = depths[o].planes + 4 * ((size_t)v * (size_t)other->width + (size_t)u);
                if (there[3] < 0.1f || fabs(there[2] - depth) > 0.01 * depth || !logarithms(other, u, v, theirs))
                    continue;
                shared *s = &pairs[e * eyes->count + o];
                for (int k = 0; k < 3; k++) s->sum[k] += mine[k] - theirs[k];
                s->count++;
            }
        }
}

/* Gains of all eyes for one channel that make shared pixels alike, as logarithms. */
static void solve(double *gain, const shared *pairs, size_t n, int channel) {
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (size_t a = 0; a < n; a++) {
            double sum = 0, weight = HOLD;
            for (size_t b = 0; b < n; b++) {
                const shared *to = &pairs[a * n + b], *from = &pairs[b * n + a];
                double count = to->count + from->count;
                if (count < ENOUGH) continue;
                double off = (to->sum[channel] - from->sum[channel]) / count, w = fmin(count / 500, 1);
                sum += w * (gain[b] - off), weight += w;
            }
            gain[a] = fmin(fmax(sum / weight, -MOST), MOST);
        }
}

bool kn_scene_even_colors(kn_eyes *eyes, const kn_eyes *small, const kn_scan_view *views, const kn_depth *depths,
                          kn_error *error) {
    size_t n = eyes->count;
    shared *pairs = kn_alloc(n * n, sizeof *pairs, error);
    double *gains = kn_alloc(3 * n, sizeof *gains, error);
    bool ok = pairs && gains;
    for (size_t e = 0; ok && e < n; e++)
        if (depths[e].planes) compare(pairs, small, views, depths, e);
    for (int c = 0; ok && c < 3; c++) solve(gains + (size_t)c * n, pairs, n, c);
    for (size_t e = 0; ok && e < n; e++) {
        kn_eye *eye = &eyes->items[e];
        uint8_t table[3][256];
        for (int c = 0; c < 3; c++)
            for (int v = 0; v < 256; v++) table[c][v] = (uint8_t)lround(fmin(v * exp(gains[(size_t)c * n + e]), 255));
        for (size_t i = 0; i < 3 * (size_t)eye->width * (size_t)eye->height; i++)
            eye->rgb[i] = table[i % 3][eye->rgb[i]];
    }
    kn_free(pairs), kn_free(gains);
    return ok;
}
