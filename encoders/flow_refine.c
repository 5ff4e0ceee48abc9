/* Variational refinement: brightness and its gradients stay the same along the flow, and neighbours move alike, all
 * under robust penalties (Brox et al. 2004). A linear system around the flow at hand, solved by red-black
 * over-relaxation. */
#include "encoders/flow.h"

#include <math.h>
#include <string.h>

enum { OUTER = 2, INNER = 6 };
#define LIGHT_WEIGHT 1.0f
#define GRADIENT_WEIGHT 3.0f
#define SMOOTH_WEIGHT 0.9f
#define OVER 1.6f

static float robust(float square) { return .5f / sqrtf(square + 1e-4f); }

/* Normal equations of the data at each pixel: planes 0..4 hold xx, xy, yy, x, y for the increment. */
static void data(const kn_flow_image *a, const kn_flow_image *b, kn_flow_scratch *s) {
    int w = a->w, h = a->h;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            size_t i = (size_t)y * (size_t)w + (size_t)x;
            float px = (float)x + s->u[i], py = (float)y + s->v[i];
            float *out[5] = {s->planes[0] + i, s->planes[1] + i, s->planes[2] + i, s->planes[3] + i, s->planes[4] + i};
            if (px < 0 || py < 0 || px > (float)(w - 1) || py > (float)(h - 1)) { /* seen in one picture only */
                for (int k = 0; k < 5; k++) *out[k] = 0;
                continue;
            }
            float t = kn_flow_at(b->light, w, h, px, py) - a->light[i];
            float bx = kn_flow_at(b->dx, w, h, px, py), by = kn_flow_at(b->dy, w, h, px, py);
            float gx = .5f * (bx + a->dx[i]), gy = .5f * (by + a->dy[i]), tx = bx - a->dx[i], ty = by - a->dy[i];
            int xl = x > 0 ? -1 : 0, xr = x + 1 < w ? 1 : 0, yu = y > 0 ? -w : 0, yd = y + 1 < h ? w : 0;
            const float *dx = a->dx + i, *dy = a->dy + i;
            float xx = .5f * (dx[xr] - dx[xl]), xy = .5f * (dx[yd] - dx[yu]), yy = .5f * (dy[yd] - dy[yu]);
            float light = LIGHT_WEIGHT * robust(t * t) / (gx * gx + gy * gy + .01f);
            float gradient = GRADIENT_WEIGHT * robust(tx * tx + ty * ty) / (xx * xx + 2 * xy * xy + yy * yy + .01f);
            *out[0] = light * gx * gx + gradient * (xx * xx + xy * xy);
            *out[1] = light * gx * gy + gradient * (xx * xy + xy * yy);
            *out[2] = light * gy * gy + gradient * (xy * xy + yy * yy);
            *out[3] = light * gx * t + gradient * (xx * tx + xy * ty);
            *out[4] = light * gy * t + gradient * (xy * tx + yy * ty);
        }
}

/* Weight of the smoothness at each pixel, by how much the flow bends there: plane 7. */
static void smoothness(const kn_flow_image *a, kn_flow_scratch *s) {
    int w = a->w, h = a->h;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            size_t i = (size_t)y * (size_t)w + (size_t)x;
            int r = x + 1 < w ? 1 : 0, d = y + 1 < h ? w : 0;
            float ux = s->u[i + (size_t)r] - s->u[i], uy = s->u[i + (size_t)d] - s->u[i],
                  vx = s->v[i + (size_t)r] - s->v[i], vy = s->v[i + (size_t)d] - s->v[i];
            s->planes[7][i] = SMOOTH_WEIGHT * robust(ux * ux + uy * uy + vx * vx + vy * vy);
        }
}

/* One pixel of the relaxation: increments are planes 5 and 6. */
static void relax(const kn_flow_scratch *s, int w, int h, int x, int y) {
    size_t i = (size_t)y * (size_t)w + (size_t)x;
    const float *weight = s->planes[7];
    float *du = s->planes[5], *dv = s->planes[6], total = 0, su = 0, sv = 0;
    const int steps[4] = {x > 0 ? -1 : 0, x + 1 < w ? 1 : 0, y > 0 ? -w : 0, y + 1 < h ? w : 0};
    for (int k = 0; k < 4; k++) {
        if (!steps[k]) continue;
        size_t j = (size_t)((ptrdiff_t)i + steps[k]);
        float share = .5f * (weight[i] + weight[j]);
        total += share;
        su += share * (s->u[j] + du[j] - s->u[i]);
        sv += share * (s->v[j] + dv[j] - s->v[i]);
    }
    float xx = s->planes[0][i] + total, yy = s->planes[2][i] + total, xy = s->planes[1][i];
    if (xx > 0) du[i] += OVER * ((su - s->planes[3][i] - xy * dv[i]) / xx - du[i]);
    if (yy > 0) dv[i] += OVER * ((sv - s->planes[4][i] - xy * du[i]) / yy - dv[i]);
}

void kn_flow_refine(const kn_flow_image *from, const kn_flow_image *to, kn_flow_scratch *s) {
    int w = from->w, h = from->h;
    size_t pixels = (size_t)w * (size_t)h;
    for (int outer = 0; outer < OUTER; outer++) {
        data(from, to, s);
        smoothness(from, s);
        memset(s->planes[5], 0, pixels * sizeof(float));
        memset(s->planes[6], 0, pixels * sizeof(float));
        for (int i = 0; i < 2 * INNER; i++)
            for (int y = 0; y < h; y++)
                for (int x = (y + i) & 1; x < w; x += 2) relax(s, w, h, x, y);
        for (size_t i = 0; i < pixels; i++) {
            float du = s->planes[5][i], dv = s->planes[6][i];
            s->u[i] += du > -2 ? du < 2 ? du : 2 : -2;
            s->v[i] += dv > -2 ? dv < 2 ? dv : 2 : -2;
        }
    }
}
