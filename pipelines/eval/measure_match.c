/* Sampson error of matched points between neighbouring cameras: what two pictures show of the same thing must lie on
 * the epipolar lines of the rig. Only pictures are matched; of the rig no more than the rotation between the cameras is
 * used to find matches (patches are compared as the other camera would see them at infinity), so that the translation
 * tests them. */
#include "pipelines/eval/measure.h"

#include "base/base.h"

#include <math.h>
#include <stdlib.h>

#define CORNERS 300  /* strongest of a picture's part that the other one sees */
#define RADIUS 5     /* patches are 11 x 11 */
#define SPACING 4    /* pixels between corners */
#define WINDOW .10   /* of the width: how far from its place at infinity a match may lie */
#define ALIKE .85    /* correlation that a match needs */
#define DISTINCT .06 /* by which it must be better than any other place */

typedef struct grey {
    int width, height;
    float *value; /* 0..1 */
} grey;

typedef struct corner {
    float response;
    int x, y;
} corner;

typedef struct matcher {
    const kn_view_facts *a, *b;
    grey image[2];
    corner corners[2][CORNERS];
    int count[2];
} matcher;

static bool make_grey(grey *g, const kn_camera *camera, const uint8_t *rgb, kn_error *error) {
    size_t count = (size_t)camera->width * (size_t)camera->height;
    *g = (grey){camera->width, camera->height, kn_alloc(count, sizeof *g->value, error)};
    for (size_t i = 0; g->value && i < count; i++)
        g->value[i] = (.2126f * rgb[3 * i] + .7152f * rgb[3 * i + 1] + .0722f * rgb[3 * i + 2]) / 255;
    return g->value != NULL;
}

/* --- geometry; pixel centres are at + 0.5 ----------------------------------------------------- */

static kn_vec3 ray(const kn_camera *c, double x, double y) {
    double v = (y - c->k[1][2]) / c->k[1][1];
    return (kn_vec3){(x - c->k[0][2] - c->k[0][1] * v) / c->k[0][0], v, 1};
}

static bool to_pixel(const kn_camera *c, kn_vec3 p, double *x, double *y) {
    if (p.z < .1 * kn_vec3_length(p)) return false;
    *y = c->k[1][1] * p.y / p.z + c->k[1][2];
    *x = (c->k[0][0] * p.x + c->k[0][1] * p.y) / p.z + c->k[0][2];
    return true;
}

static bool inside(const grey *g, double x, double y) {
    return x >= RADIUS + 2 && y >= RADIUS + 2 && x <= g->width - RADIUS - 2 && y <= g->height - RADIUS - 2;
}

double kn_sampson(const kn_camera *a, const kn_camera *b, const kn_pose *a_to_b, double ax, double ay, double bx,
                  double by) {
    kn_vec3 p = ray(a, ax, ay), q = ray(b, bx, by), t = a_to_b->translation;
    kn_pose turn = *a_to_b;
    turn.translation = (kn_vec3){0, 0, 0};
    kn_pose back = kn_pose_inverse(&turn);
    kn_vec3 line_b = kn_vec3_cross(t, kn_pose_point(&turn, p));                    /* E p */
    kn_vec3 line_a = kn_pose_point(&back, kn_vec3_scale(kn_vec3_cross(t, q), -1)); /* E^T q */
    double residual = kn_vec3_dot(q, line_b);
    /* The first two entries of F x = K_b^-T E p and F^T x'. */
    double bx0 = line_b.x / b->k[0][0], bx1 = (line_b.y - b->k[0][1] * bx0) / b->k[1][1];
    double ax0 = line_a.x / a->k[0][0], ax1 = (line_a.y - a->k[0][1] * ax0) / a->k[1][1];
    double slope = bx0 * bx0 + bx1 * bx1 + ax0 * ax0 + ax1 * ax1;
    return slope > 0 ? fabs(residual) / sqrt(slope) : INFINITY;
}

/* Where a pixel of a lies in b when it is infinitely far; false when b does not see it. */
static bool far_place(const matcher *m, const kn_pose *turn, double x, double y, double *bx, double *by) {
    return to_pixel(m->b->camera, kn_pose_point(turn, ray(m->a->camera, x, y)), bx, by);
}

/* --- corners (Shi & Tomasi 1994) -------------------------------------------------------------- */

static float corner_response(const grey *g, int x, int y) {
    float xx = 0, yy = 0, xy = 0;
    for (int j = y - 2; j <= y + 2; j++)
        for (int i = x - 2; i <= x + 2; i++) {
            const float *p = g->value + (size_t)j * (size_t)g->width + (size_t)i;
            float dx = p[1] - p[-1], dy = p[g->width] - p[-g->width];
            xx += dx * dx;
            yy += dy * dy;
            xy += dx * dy;
        }
    return .5f * (xx + yy - sqrtf((xx - yy) * (xx - yy) + 4 * xy * xy));
}

static int by_response(const void *a, const void *b) {
    const corner *p = a, *q = b;
    if (p->response != q->response) return p->response < q->response ? 1 : -1;
    return p->y != q->y ? p->y - q->y : p->x - q->x;
}

/* The strongest corners among the pixels that the other camera sees. */
static bool find_corners(matcher *m, int side, const kn_pose *turn, const grey *other, kn_error *error) {
    const grey *g = &m->image[side];
    const kn_camera *here = side ? m->b->camera : m->a->camera, *there = side ? m->a->camera : m->b->camera;
    corner *all = NULL;
    size_t count = 0, capacity = 0;
    bool ok = true;
    double margin = WINDOW * other->width;
    for (int y = RADIUS + 2; ok && y < g->height - RADIUS - 2; y++)
        for (int x = RADIUS + 2; ok && x < g->width - RADIUS - 2; x++) {
            double u, v;
            if (!to_pixel(there, kn_pose_point(turn, ray(here, x + .5, y + .5)), &u, &v)) continue;
            if (u < -margin || v < -margin || u > other->width + margin || v > other->height + margin) continue;
            float response = corner_response(g, x, y);
            if (response < 2e-3f) continue;
            ok = kn_grow(&all, &capacity, count + 1, sizeof *all, error);
            if (ok) all[count++] = (corner){response, x, y};
        }
    if (count) qsort(all, count, sizeof *all, by_response);
    m->count[side] = 0;
    for (size_t i = 0; ok && i < count && m->count[side] < CORNERS; i++) {
        bool near = false;
        for (int k = 0; k < m->count[side] && !near; k++)
            near = abs(m->corners[side][k].x - all[i].x) < SPACING && abs(m->corners[side][k].y - all[i].y) < SPACING;
        if (!near) m->corners[side][m->count[side]++] = all[i];
    }
    kn_free(all);
    return ok;
}

/* --- patches ---------------------------------------------------------------------------------- */

enum { PATCH = (2 * RADIUS + 1) * (2 * RADIUS + 1) };

static bool normalise(float patch[PATCH]) {
    float mean = 0, square = 0;
    for (int i = 0; i < PATCH; i++) mean += patch[i] / PATCH;
    for (int i = 0; i < PATCH; i++) square += (patch[i] - mean) * (patch[i] - mean);
    if (square < PATCH * 1e-4f) return false;
    for (int i = 0; i < PATCH; i++) patch[i] = (patch[i] - mean) / sqrtf(square);
    return true;
}

static bool take(const grey *g, double x, double y, float *value) {
    double fx = x - .5, fy = y - .5;
    if (!(fx >= 0 && fy >= 0 && fx < g->width - 1 && fy < g->height - 1)) return false;
    size_t x0 = (size_t)fx, y0 = (size_t)fy, w = (size_t)g->width;
    float u = (float)(fx - (double)x0), v = (float)(fy - (double)y0);
    const float *p = g->value + y0 * w + x0;
    *value = (p[0] * (1 - u) + p[1] * u) * (1 - v) + (p[w] * (1 - u) + p[w + 1] * u) * v;
    return true;
}

static void plain_patch(const grey *g, const corner *c, float patch[PATCH]) {
    for (int j = -RADIUS, n = 0; j <= RADIUS; j++)
        for (int i = -RADIUS; i <= RADIUS; i++)
            patch[n++] = g->value[(size_t)(c->y + j) * (size_t)g->width + (size_t)(c->x + i)];
}

/* How pixel steps in a look in b, around the corner; false when they shrink to nothing. */
typedef struct steps {
    double x, y, dxx, dyx, dxy, dyy;
} steps;

static bool find_steps(const matcher *m, const kn_pose *turn, const corner *c, steps *s) {
    double x = c->x + .5, y = c->y + .5, x1, y1, x2, y2;
    if (!far_place(m, turn, x, y, &s->x, &s->y) || !far_place(m, turn, x + 1, y, &x1, &y1) ||
        !far_place(m, turn, x, y + 1, &x2, &y2))
        return false;
    *s = (steps){s->x, s->y, x1 - s->x, y1 - s->y, x2 - s->x, y2 - s->y};
    return fabs(s->dxx * s->dyy - s->dxy * s->dyx) > .2;
}

/* Correlation of a's patch with the place (x, y) of b; -1 where b has no picture. */
static float alike(const matcher *m, const float patch[PATCH], const steps *s, double x, double y) {
    float other[PATCH], sum = 0;
    for (int j = -RADIUS, n = 0; j <= RADIUS; j++)
        for (int i = -RADIUS; i <= RADIUS; i++, n++)
            if (!take(&m->image[1], x + i * s->dxx + j * s->dxy, y + i * s->dyx + j * s->dyy, &other[n])) return -1;
    if (!normalise(other)) return -1;
    for (int n = 0; n < PATCH; n++) sum += patch[n] * other[n];
    return sum;
}

/* The best place of a corner of a among b's corners, to half a pixel; false when none is good and clear. */
static bool find_match(const matcher *m, const kn_pose *turn, const corner *c, double *x, double *y) {
    float patch[PATCH], best = -1, second = -1;
    steps s;
    plain_patch(&m->image[0], c, patch);
    if (!normalise(patch) || !find_steps(m, turn, c, &s)) return false;
    double window = WINDOW * m->image[1].width;
    for (int k = 0; k < m->count[1]; k++) {
        double qx = m->corners[1][k].x + .5, qy = m->corners[1][k].y + .5;
        if (!inside(&m->image[1], qx, qy) || fabs(qx - s.x) > window || fabs(qy - s.y) > window) continue;
        double lx = qx, ly = qy;
        float local = alike(m, patch, &s, qx, qy);
        if (local < .4f || local < best - .3f) continue; /* half a pixel makes no match of it */
        for (int j = -2; j <= 2; j++)
            for (int i = -2; i <= 2; i++) {
                float value = i || j ? alike(m, patch, &s, qx + .5 * i, qy + .5 * j) : -1;
                if (value > local) local = value, lx = qx + .5 * i, ly = qy + .5 * j;
            }
        if (local > best) {
            if (hypot(lx - *x, ly - *y) > 3) second = best;
            best = local;
            *x = lx;
            *y = ly;
        } else if (local > second && hypot(lx - *x, ly - *y) > 3) {
            second = local;
        }
    }
    return best >= ALIKE && best - second >= DISTINCT;
}

bool kn_measure_epipolar(kn_measure *m, const kn_view_facts *a, const kn_view_facts *b, const uint8_t *rgb_a,
                         const uint8_t *rgb_b, kn_error *error) {
    matcher *match = kn_alloc(1, sizeof *match, error);
    if (!match) return false;
    kn_pose world_to_b = kn_pose_inverse(&b->pose), a_to_b = kn_pose_multiply(&world_to_b, &a->pose), turn = a_to_b;
    turn.translation = (kn_vec3){0, 0, 0};
    kn_pose back = kn_pose_inverse(&turn);
    match->a = a;
    match->b = b;
    bool ok = make_grey(&match->image[0], a->camera, rgb_a, error) &&
              make_grey(&match->image[1], b->camera, rgb_b, error) &&
              find_corners(match, 0, &turn, &match->image[1], error) &&
              find_corners(match, 1, &back, &match->image[0], error);
    for (int i = 0; ok && i < match->count[0]; i++) {
        const corner *c = &match->corners[0][i];
        double x = -100, y = -100;
        m->corners++;
        if (!find_match(match, &turn, c, &x, &y)) continue;
        double error_pixels = kn_sampson(a->camera, b->camera, &a_to_b, c->x + .5, c->y + .5, x, y);
        double bin = error_pixels / KN_SAMPSON_BIN;
        m->sampson[bin < KN_SAMPSON_BINS - 1 ? (int)bin : KN_SAMPSON_BINS - 1]++;
        m->matches++;
    }
    kn_free(match->image[0].value);
    kn_free(match->image[1].value);
    kn_free(match);
    return ok;
}
