/* Depth maps that came with the pictures: each in units and with a shift of its own, which are solved so that all views
 * agree. */
#include "mesh/views/mesh.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLES 600 /* pixels per eye that take part in the solution */
#define ROUNDS 14
#define WINDOW 3 /* planes are fitted to (2 WINDOW + 1)^2 pixels */

/* True depth = unit * given + shift. */
typedef struct affine {
    double unit, shift;
} affine;

typedef struct given {
    const kn_eyes *eyes;
    affine *maps;           /* [eye] */
    double *matrix, *right; /* normal equations of 2 * eyes unknowns */
    uint32_t *samples;      /* [eye][SAMPLES] pixels */
    size_t *sample_count;   /* [eye] */
} given;

static double given_at(const given *g, size_t e, size_t pixel) {
    float d = g->eyes->items[e].depth[pixel];
    return d > 0 ? g->maps[e].unit * d + g->maps[e].shift : 0;
}

static void ray_of(const kn_eye *eye, double x, double y, double ray[3]) {
    ray[0] = (x + 0.5 - eye->cx) / eye->fx, ray[1] = (y + 0.5 - eye->cy) / eye->fy, ray[2] = 1;
}

/* --- a first guess from the hull -------------------------------------------------------------- */

/* Line through the hull's front depths, most of all where they are nearest: a robust fit by reweighting. */
static bool guess(given *g, size_t e, const kn_raster *front) {
    const kn_eye *eye = &g->eyes->items[e];
    size_t pixels = (size_t)eye->width * (size_t)eye->height;
    affine *m = &g->maps[e];
    for (int pass = 0; pass < 12; pass++) {
        double scale = pass == 0 ? 1e3 : 0.06 / pass + 0.005, s[5] = {0};
        for (size_t i = 0; i < pixels; i++) {
            double d = eye->depth[i], h = front->depth[i];
            if (!(d > 0) || !(h > 0) || eye->edge[i] > -1.5f) continue;
            double r = (pass ? m->unit * d + m->shift - h : 0) / scale, w = 1 / (1 + r * r);
            s[0] += w, s[1] += w * d, s[2] += w * h, s[3] += w * d * d, s[4] += w * d * h;
        }
        double spread = s[3] * s[0] - s[1] * s[1];
        if (s[0] <= 0 || s[3] <= 0) return false;
        double unit = spread > 1e-9 * s[3] * s[0] ? (s[4] * s[0] - s[1] * s[2]) / spread : 0;
        if (!(unit > 0)) unit = s[2] / s[1]; /* no slope to be seen: proportional */
        m->unit = unit, m->shift = (s[2] - unit * s[1]) / s[0];
    }
    return true;
}

/* --- planes ----------------------------------------------------------------------------------- */

/* Gauss' elimination of a symmetric positive system [matrix | right]. */
static bool solve3(double a[3][4], double x[3]) {
    for (int i = 0; i < 3; i++) {
        if (!(fabs(a[i][i]) > 1e-12)) return false;
        for (int k = i + 1; k < 3; k++) {
            double f = a[k][i] / a[i][i];
            for (int j = i; j < 4; j++) a[k][j] -= f * a[i][j];
        }
    }
    for (int i = 2; i >= 0; i--) {
        x[i] = a[i][3];
        for (int k = i + 1; k < 3; k++) x[i] -= a[i][k] * x[k];
        x[i] /= a[i][i];
    }
    return true;
}

/* The plane around a pixel: its normal (in the camera, towards it) and depth. 1 / z is linear in the pixels of a plane,
 * so a robust linear fit to it; where normals are given their mean is the slope, and only the depth is fitted. False at
 * rims. */
static bool fit_plane(const given *g, size_t e, int x, int y, double normal[3], double *depth) {
    const kn_eye *eye = &g->eyes->items[e];
    size_t w = (size_t)eye->width, at = (size_t)y * w + (size_t)x;
    double z0 = given_at(g, e, at), ray[3], n[3] = {0}, near = 0.012 * z0;
    if (!(z0 > 0)) return false;
    ray_of(eye, x, y, ray);
    double fit[3] = {1 / z0, 0, 0};
    for (int pass = 0; pass < 3; pass++) {
        double a[3][4] = {{0}};
        for (int j = -WINDOW; j <= WINDOW; j++)
            for (int i = -WINDOW; i <= WINDOW; i++) {
                if (x + i < 0 || y + j < 0 || x + i >= eye->width || y + j >= eye->height) continue;
                size_t q = (size_t)(y + j) * w + (size_t)(x + i);
                double z = given_at(g, e, q), basis[3] = {1, i, j};
                if (!(z > 0)) continue;
                double predicted = pass ? fit[0] + fit[1] * i + fit[2] * j : fit[0],
                       r = (1 / z - predicted) * z0 * z0 / near;
                double weight = fabs(r) > (pass ? 1 : 3) ? 0 : 1 / (1 + 4 * r * r);
                for (int k = 0; k < 3 && pass == 0 && eye->normals; k++)
                    n[k] += weight * eye->normals[3 * q + (size_t)k];
                for (int k = 0; k < 3; k++) {
                    for (int l = 0; l < 3; l++) a[k][l] += weight * basis[k] * basis[l];
                    a[k][3] += weight * basis[k] / z;
                }
            }
        if (a[0][0] < 4) return false;
        double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]), along = n[0] * ray[0] + n[1] * ray[1] + n[2];
        if (length > 0 && along < -0.05 * length) { /* n.ray(x, y) / z is constant */
            fit[1] = fit[2] = 0;
            double gx = n[0] / eye->fx / along, gy = n[1] / eye->fy / along, sum = a[0][3],
                   slope = gx * a[0][1] + gy * a[0][2];
            fit[0] = sum / (a[0][0] + slope), fit[1] = gx * fit[0], fit[2] = gy * fit[0];
        } else {
            if (!solve3(a, fit)) return false;
        }
        if (!(fit[0] > 0)) return false;
    }
    *depth = 1 / fit[0];
    double c[3] = {fit[1] * eye->fx, fit[2] * eye->fy, fit[0] - fit[1] * eye->fx * ray[0] - fit[2] * eye->fy * ray[1]};
    double length = sqrt(c[0] * c[0] + c[1] * c[1] + c[2] * c[2]);
    double sign = c[0] * ray[0] + c[1] * ray[1] + c[2] > 0 ? -1 : 1;
    for (int k = 0; k < 3; k++) normal[k] = sign * c[k] / length;
    return true;
}

/* --- what all agree on ------------------------------------------------------------------------ */

/* Adds one pixel of e seen on o's plane there: the distance is linear in both units and shifts. */
static void add_pair(given *g, size_t e, size_t o, size_t pixel, double scale) {
    const kn_eye *a = &g->eyes->items[e], *b = &g->eyes->items[o];
    size_t n = 2 * g->eyes->count, w = (size_t)a->width;
    double ray[3], world[3], start[3], z = given_at(g, e, pixel), there[2], depth, normal[3], theirs;
    if (!(z > 0)) return;
    ray_of(a, (double)(pixel % w), (double)(pixel / w), ray);
    for (int i = 0; i < 3; i++) world[i] = a->center[i] + z * (a->r[0][i] * ray[0] + a->r[1][i] * ray[1] + a->r[2][i]);
    if (!kn_eye_project(b, world, there, &depth) || there[0] < 0 || there[1] < 0 || there[0] >= b->width ||
        there[1] >= b->height)
        return;
    int x = (int)there[0], y = (int)there[1];
    if (!fit_plane(g, o, x, y, normal, &theirs) || fabs(depth - theirs) > 8 * scale) return;
    double to[3], rows[3];
    ray_of(b, x, y, to);
    for (int i = 0; i < 3; i++) {
        rows[i] = 0, start[i] = b->t[i];
        for (int j = 0; j < 3; j++) {
            rows[i] += b->r[i][j] * (a->r[0][j] * ray[0] + a->r[1][j] * ray[1] + a->r[2][j]);
            start[i] += b->r[i][j] * a->center[j];
        }
    }
    double along = normal[0] * rows[0] + normal[1] * rows[1] + normal[2] * rows[2];
    double fixed = normal[0] * start[0] + normal[1] * start[1] + normal[2] * start[2],
           their_along = normal[0] * to[0] + normal[1] * to[1] + normal[2];
    if (along > -0.15) return; /* e does not see that side well */
    double given_here = (z - g->maps[e].shift) / g->maps[e].unit,
           given_there = (theirs - g->maps[o].shift) / g->maps[o].unit;
    double slopes[4] = {along * given_here, along, -their_along * given_there, -their_along},
           r = fixed + along * z - their_along * theirs;
    size_t unknowns[4] = {2 * e, 2 * e + 1, 2 * o, 2 * o + 1};
    double weight = 1 / pow(1 + r * r / (scale * scale), 2);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) g->matrix[unknowns[i] * n + unknowns[j]] += weight * slopes[i] * slopes[j];
        g->right[unknowns[i]] -= weight * slopes[i] * r;
    }
}

/* Cholesky's decomposition in place and the solution in right[]. */
static bool solve(double *matrix, double *right, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = matrix[i * n + j];
            for (size_t k = 0; k < j; k++) sum -= matrix[i * n + k] * matrix[j * n + k];
            if (i == j && !(sum > 0)) return false;
            matrix[i * n + j] = i == j ? sqrt(sum) : sum / matrix[j * n + j];
        }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) right[i] -= matrix[i * n + k] * right[k];
        right[i] /= matrix[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++) right[i] -= matrix[k * n + i] * right[k];
        right[i] /= matrix[i * n + i];
    }
    return true;
}

static void agree(given *g) {
    size_t count = g->eyes->count, n = 2 * count;
    for (int round = 0; round < ROUNDS; round++) {
        double scale = fmax(0.05 * pow(0.75, round), 0.005);
        memset(g->matrix, 0, n * n * sizeof *g->matrix), memset(g->right, 0, n * sizeof *g->right);
        for (size_t e = 0; e < count; e++) {
            int32_t others[KN_MAX_NEIGHBOURS];
            int found = kn_eyes_neighbours(g->eyes, e, others);
            for (size_t s = 0; s < g->sample_count[e]; s++)
                for (int o = (int)(s % 2); o < found; o += 2)
                    if (g->eyes->items[others[o]].depth)
                        add_pair(g, e, (size_t)others[o], g->samples[e * SAMPLES + s], scale);
        }
        for (size_t i = 0; i < n; i++) g->matrix[i * n + i] += 1e-3 * g->matrix[i * n + i] + 1e-6;
        if (!solve(g->matrix, g->right, n)) return;
        for (size_t e = 0; e < count; e++) g->maps[e].unit += g->right[2 * e], g->maps[e].shift += g->right[2 * e + 1];
    }
}

/* --- all -------------------------------------------------------------------------------------- */

static void choose_samples(given *g, size_t e) {
    const kn_eye *eye = &g->eyes->items[e];
    size_t pixels = (size_t)eye->width * (size_t)eye->height, inside = 0, seen = 0;
    for (size_t i = 0; i < pixels; i++) inside += eye->depth[i] > 0 && eye->edge[i] < -2;
    for (size_t i = 0; i < pixels; i++) {
        if (!(eye->depth[i] > 0) || !(eye->edge[i] < -2)) continue;
        if (seen * SAMPLES / inside != (seen + 1) * SAMPLES / inside && g->sample_count[e] < SAMPLES)
            g->samples[e * SAMPLES + g->sample_count[e]++] = (uint32_t)i;
        seen++;
    }
}

static void write_planes(const given *g, size_t e, float *planes) {
    const kn_eye *eye = &g->eyes->items[e];
    for (int y = 0; y < eye->height; y++)
        for (int x = 0; x < eye->width; x++) {
            size_t at = (size_t)y * (size_t)eye->width + (size_t)x;
            double normal[3], depth;
            if (!eye->mask[at] || !fit_plane(g, e, x, y, normal, &depth)) continue;
            planes[4 * at] = (float)normal[0], planes[4 * at + 1] = (float)normal[1], planes[4 * at + 2] = (float)depth,
                       planes[4 * at + 3] = 1;
        }
}

static bool prepare(given *g, const kn_tris *start, kn_error *error) {
    kn_raster front = {0};
    bool ok = kn_raster_init(&front, g->eyes->items[0].width, g->eyes->items[0].height, error);
    for (size_t e = 0; ok && e < g->eyes->count; e++) {
        if (!g->eyes->items[e].depth) continue;
        kn_raster_draw(&front, &g->eyes->items[e], start, false);
        if (!guess(g, e, &front))
            ok = kn_fail(error, KN_ERROR_INPUT, "depth %zu shows nothing where its picture shows the object", e);
        if (ok) choose_samples(g, e);
    }
    kn_raster_finish(&front);
    return ok;
}

bool kn_given_depths(kn_depth *depths, const kn_eyes *eyes, const kn_tris *start, kn_error *error) {
    size_t n = 2 * eyes->count, pixels = (size_t)eyes->items[0].width * (size_t)eyes->items[0].height;
    given g = {.eyes = eyes,
               .maps = kn_alloc(eyes->count, sizeof *g.maps, error),
               .matrix = kn_alloc(n * n, sizeof *g.matrix, error),
               .right = kn_alloc(n, sizeof *g.right, error),
               .samples = kn_alloc(eyes->count, SAMPLES * sizeof *g.samples, error),
               .sample_count = kn_alloc(eyes->count, sizeof *g.sample_count, error)};
    bool ok = g.maps && g.matrix && g.right && g.samples && g.sample_count && prepare(&g, start, error);
    if (ok) agree(&g);
    for (size_t e = 0; ok && e < eyes->count; e++) {
        if (!eyes->items[e].depth) continue;
        if (!depths[e].planes) depths[e].planes = kn_alloc(pixels, 16, error);
        ok = depths[e].planes != NULL;
        if (ok) write_planes(&g, e, depths[e].planes);
    }
    kn_free(g.maps), kn_free(g.matrix), kn_free(g.right), kn_free(g.samples), kn_free(g.sample_count);
    return ok;
}
