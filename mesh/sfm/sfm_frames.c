/* Which frames of a film are worth using. */
#include "mesh/sfm/sfm.h"

#include <string.h>

enum { SIDE = 16, WINDOWS = 8 };

static double grey_at(const kn_image *p, int x, int y) {
    const uint8_t *at = p->data + ((size_t)y * (size_t)p->width + (size_t)x) * (size_t)p->channels;
    return p->channels < 3 ? at[0] : 0.299 * at[0] + 0.587 * at[1] + 0.114 * at[2];
}

kn_frame_look kn_frame_look_at(const kn_image *p) {
    kn_frame_look out = {0};
    int step = p->width > 1280 || p->height > 1280 ? 2 : 1;
    double sum[WINDOWS][WINDOWS][2] = {{{0}}};
    size_t count[WINDOWS][WINDOWS] = {{0}};
    for (int y = step; y + step < p->height; y += step)
        for (int x = step; x + step < p->width; x += step) {
            double l = 4 * grey_at(p, x, y) - grey_at(p, x - step, y) - grey_at(p, x + step, y) -
                       grey_at(p, x, y - step) - grey_at(p, x, y + step);
            int u = x * WINDOWS / p->width, v = y * WINDOWS / p->height;
            sum[v][u][0] += l, sum[v][u][1] += l * l, count[v][u]++;
        }
    for (int i = 0; i < WINDOWS * WINDOWS; i++) {
        double n = (double)count[i / WINDOWS][i % WINDOWS], *s = sum[i / WINDOWS][i % WINDOWS];
        if (n > 0) out.sharpness += (s[1] / n - s[0] / n * s[0] / n) / (WINDOWS * WINDOWS);
    }
    for (int v = 0; v < SIDE; v++)
        for (int u = 0; u < SIDE; u++) {
            int x0 = u * p->width / SIDE, x1 = (u + 1) * p->width / SIDE, y0 = v * p->height / SIDE,
                y1 = (v + 1) * p->height / SIDE, n = 0;
            double total = 0;
            for (int y = y0; y < y1; y++)
                for (int x = x0; x < x1; x++) total += grey_at(p, x, y), n++;
            out.thumbnail[v * SIDE + u] = (uint8_t)lrint(n ? total / n : 0);
        }
    return out;
}

static double change(const kn_frame_look *a, const kn_frame_look *b) {
    double sum = 0;
    for (int i = 0; i < SIDE * SIDE; i++) sum += fabs((double)a->thumbnail[i] - b->thumbnail[i]);
    return sum / (SIDE * SIDE);
}

void kn_frames_choose(const kn_frame_look *looks, size_t count, size_t wanted, bool *chosen) {
    memset(chosen, 0, count * sizeof *chosen);
    if (count <= wanted) {
        for (size_t i = 0; i < count; i++) chosen[i] = true;
        return;
    }
    double total = 0, path = 0;
    for (size_t i = 1; i < count; i++) total += change(&looks[i - 1], &looks[i]);
    size_t stretch = 0, best = 0;
    bool any = false;
    for (size_t i = 0; i < count; i++) { /* time counts for a third, so that noise or a cut does not take all */
        if (i) path += change(&looks[i - 1], &looks[i]);
        double moved = total > 0 ? path / total : (double)i / (double)count,
               along = (2 * moved + (double)i / (double)count) / 3;
        size_t now = kn_min_size((size_t)(along * (double)wanted), wanted - 1);
        if (any && now != stretch) chosen[best] = true, any = false;
        if (!any || looks[i].sharpness > looks[best].sharpness) best = i;
        any = true, stretch = now;
    }
    if (any) chosen[best] = true;
}
