/* Dense inverse search: each patch of one picture slides over the other by Gauss-Newton steps whose gradients are those
 * of the patch itself, so that they are made once; then the pixels' flow is the mean of their patches', weighted by how
 * well each explains the pixel (arXiv 1603.03590). */
#include "encoders/flow.h"

#include <math.h>
#include <string.h>

enum { ITERATIONS = 14, REACH = 6, AREA = KN_FLOW_PATCH * KN_FLOW_PATCH };
#define LONGER 8.0f /* squares of brightness per square pixel */

typedef struct patch {
    float light[AREA], dx[AREA], dy[AREA]; /* around the mean; gradients around theirs */
    float xx, xy, yy;                      /* inverse of the structure tensor */
    int x, y;
} patch;

static void cut(patch *p, const kn_flow_image *image, int x, int y) {
    float sum = 0, sx = 0, sy = 0, xx = 0, xy = 0, yy = 0;
    p->x = x, p->y = y;
    for (int j = 0; j < KN_FLOW_PATCH; j++)
        for (int i = 0; i < KN_FLOW_PATCH; i++) {
            size_t at = (size_t)(y + j) * (size_t)image->w + (size_t)(x + i), k = (size_t)(j * KN_FLOW_PATCH + i);
            sum += p->light[k] = image->light[at];
            sx += p->dx[k] = image->dx[at];
            sy += p->dy[k] = image->dy[at];
        }
    for (int k = 0; k < AREA; k++) {
        p->light[k] -= sum / AREA;
        p->dx[k] -= sx / AREA;
        p->dy[k] -= sy / AREA;
        xx += p->dx[k] * p->dx[k];
        xy += p->dx[k] * p->dy[k];
        yy += p->dy[k] * p->dy[k];
    }
    xx += 4, yy += 4; /* flat patches stay where they are */
    float det = xx * yy - xy * xy;
    p->xx = yy / det, p->xy = -xy / det, p->yy = xx / det;
}

/* The other picture under the patch, at one subpixel place for all its pixels, around its mean, minus the patch.
 * Returns the sum of squares; *gx, *gy: its products with the gradients. */
static float compare(const patch *p, const kn_flow_image *to, float u, float v, float *gx, float *gy) {
    float px = fminf(fmaxf((float)p->x + u, -KN_FLOW_PATCH), (float)to->w),
          py = fminf(fmaxf((float)p->y + v, -KN_FLOW_PATCH), (float)to->h), rows[KN_FLOW_PATCH + 1][KN_FLOW_PATCH + 1];
    float difference[AREA], sum = 0, square = 0, sx = 0, sy = 0;
    int x0 = (int)floorf(px), y0 = (int)floorf(py);
    float fx = px - (float)x0, fy = py - (float)y0;
    for (int j = 0; j <= KN_FLOW_PATCH; j++) {
        int y = y0 + j < 0 ? 0 : y0 + j < to->h ? y0 + j : to->h - 1;
        const float *row = to->light + (size_t)y * (size_t)to->w;
        if (x0 >= 0 && x0 + KN_FLOW_PATCH < to->w) {
            memcpy(rows[j], row + x0, sizeof rows[j]);
            continue;
        }
        for (int i = 0; i <= KN_FLOW_PATCH; i++) {
            int x = x0 + i < 0 ? 0 : x0 + i < to->w ? x0 + i : to->w - 1;
            rows[j][i] = row[x];
        }
    }
    float a = (1 - fx) * (1 - fy), b = fx * (1 - fy), c = (1 - fx) * fy, d = fx * fy;
    for (int j = 0; j < KN_FLOW_PATCH; j++)
        for (int i = 0; i < KN_FLOW_PATCH; i++) {
            float value = a * rows[j][i] + b * rows[j][i + 1] + c * rows[j + 1][i] + d * rows[j + 1][i + 1];
            difference[j * KN_FLOW_PATCH + i] = value;
            sum += value;
        }
    for (int k = 0; k < AREA; k++) {
        float value = difference[k] - sum / AREA - p->light[k];
        square += value * value;
        sx += value * p->dx[k];
        sy += value * p->dy[k];
    }
    *gx = sx, *gy = sy;
    return square;
}

/* The best of some beginnings, improved as long as it gets better. */
static void slide(const patch *p, const kn_flow_image *to, const float (*starts)[2], int count, float *u, float *v) {
    float best = INFINITY, gx = 0, gy = 0, x, y;
    for (int i = 0; i < count; i++) {
        float error = compare(p, to, starts[i][0], starts[i][1], &x, &y);
        if (error < best) best = error, *u = starts[i][0], *v = starts[i][1], gx = x, gy = y;
    }
    float begin_u = *u, begin_v = *v;
    for (int i = 0; i < ITERATIONS; i++) {
        float du = p->xx * gx + p->xy * gy, dv = p->xy * gx + p->yy * gy, nu = *u - du, nv = *v - dv;
        if (fabsf(nu - begin_u) > KN_FLOW_PATCH || fabsf(nv - begin_v) > KN_FLOW_PATCH) return;
        float error = compare(p, to, nu, nv, &x, &y);
        if (!(error < best)) return;
        best = error, *u = nu, *v = nv, gx = x, gy = y;
        if (du * du + dv * dv < 1e-4f) return;
    }
}

/* --- a level ---------------------------------------------------------------------------------- */

/* Adds a patch's motion to its pixels, by how well it explains each. */
static void spread(const patch *p, const kn_flow_image *to, float u, float v, int w, kn_flow_scratch *s) {
    float mean = 0, value[AREA];
    for (int k = 0; k < AREA; k++) {
        float x = (float)(p->x + k % KN_FLOW_PATCH) + u, y = (float)(p->y + k / KN_FLOW_PATCH) + v;
        mean += value[k] = kn_flow_at(to->light, to->w, to->h, x, y);
    }
    for (int k = 0; k < AREA; k++) {
        float difference = fabsf(value[k] - mean / AREA - p->light[k]), weight = 1 / (difference > 1 ? difference : 1);
        size_t at = (size_t)(p->y + k / KN_FLOW_PATCH) * (size_t)w + (size_t)(p->x + k % KN_FLOW_PATCH);
        s->u[at] += weight * u;
        s->v[at] += weight * v;
        s->weight[at] += weight;
    }
}

/* The places of patches along an axis: every KN_FLOW_STRIDE pixels, and the last one at the end. */
static int places(int length) { return (length - KN_FLOW_PATCH + KN_FLOW_STRIDE - 1) / KN_FLOW_STRIDE + 1; }
static int place(int i, int length) {
    int at = i * KN_FLOW_STRIDE;
    return at + KN_FLOW_PATCH <= length ? at : length - KN_FLOW_PATCH;
}

/* Where to begin: the flow of the coarser level here and around, what the patches before found, and rest. */
static int starts_of(const kn_flow_scratch *s, const kn_flow_image *coarse, int x, int y, float starts[8][2]) {
    static const int around[5][2] = {{0, 0}, {-1, 0}, {1, 0}, {0, -1}, {0, 1}};
    for (int i = 0; coarse && i < 5; i++) {
        float cx = .5f * (float)(x + KN_FLOW_PATCH / 2 + around[i][0] * KN_FLOW_PATCH),
              cy = .5f * (float)(y + KN_FLOW_PATCH / 2 + around[i][1] * KN_FLOW_PATCH);
        starts[i][0] = 2 * kn_flow_at(s->coarse_u, coarse->w, coarse->h, cx, cy);
        starts[i][1] = 2 * kn_flow_at(s->coarse_v, coarse->w, coarse->h, cx, cy);
    }
    int count = coarse ? 5 : 0;
    starts[count][0] = starts[count][1] = 0;
    return count + 1;
}

/* On the coarsest level: the best of all whole shifts within reach, a little less for longer ones. */
static void look_around(const patch *p, const kn_flow_image *to, float start[2]) {
    float best = INFINITY, gx, gy;
    for (int v = -REACH; v <= REACH; v++)
        for (int u = -REACH; u <= REACH; u++) {
            float error = compare(p, to, (float)u, (float)v, &gx, &gy) + LONGER * (float)(u * u + v * v);
            if (error < best) best = error, start[0] = (float)u, start[1] = (float)v;
        }
}

static void level(const kn_flow_image *from, const kn_flow_image *to, const kn_flow_image *coarse, kn_flow_scratch *s) {
    size_t pixels = (size_t)from->w * (size_t)from->h;
    float *planes[] = {s->u, s->v, s->weight};
    for (size_t i = 0; i < KN_COUNT(planes); i++) memset(planes[i], 0, pixels * sizeof(float));
    if (from->w < KN_FLOW_PATCH || from->h < KN_FLOW_PATCH) return;
    for (int j = 0; j < places(from->h); j++)
        for (int i = 0; i < places(from->w); i++) {
            patch p;
            float starts[8][2], u = 0, v = 0, *row = s->patches + 2 * (size_t)i;
            cut(&p, from, place(i, from->w), place(j, from->h));
            int count = starts_of(s, coarse, p.x, p.y, starts);
            if (i > 0) memcpy(starts[count++], row - 2, sizeof starts[0]);
            if (j > 0) memcpy(starts[count++], row, sizeof starts[0]);
            if (!coarse) look_around(&p, to, starts[count++]);
            slide(&p, to, starts, count, &u, &v);
            row[0] = u, row[1] = v;
            spread(&p, to, u, v, from->w, s);
        }
    for (size_t i = 0; i < pixels; i++) {
        s->u[i] /= s->weight[i];
        s->v[i] /= s->weight[i];
    }
}

void kn_flow_search(const kn_flow_image *from, const kn_flow_image *to, int levels, kn_flow_scratch *s) {
    for (int l = levels - 1; l >= 0; l--) {
        level(&from[l], &to[l], l + 1 < levels ? &from[l + 1] : NULL, s);
        kn_flow_refine(&from[l], &to[l], s);
        if (l == 0) return;
        float *u = s->u, *v = s->v;
        s->u = s->coarse_u, s->v = s->coarse_v;
        s->coarse_u = u, s->coarse_v = v;
    }
}
