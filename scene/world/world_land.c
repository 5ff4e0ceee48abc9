/* Distances to the nearest of marked cells, and the wide land's heights and distances. */
#include "scene/world/world_build.h"

#include <string.h>

/* Lower envelope of parabolas along one line of n samples: f in, squared distance and source out. */
static void envelope(const float *f, int n, float *d, int32_t *arg, int32_t *v, double *z) {
    int k = -1;
    for (int q = 0; q < n; q++) {
        if (f[q] >= 1e20f) continue;
        double s = -1e30;
        while (k >= 0) { /* whole numbers: the same wherever the line begins */
            double p = v[k];
            s = ((f[q] + (double)q * q) - (f[v[k]] + p * p)) / (2 * (q - p));
            if (s > z[k]) break;
            k--;
        }
        if (k < 0) s = -1e30;
        k++;
        v[k] = q;
        z[k] = s;
    }
    if (k < 0) {
        for (int q = 0; q < n; q++) d[q] = 1e20f, arg[q] = -1;
        return;
    }
    for (int q = 0, j = 0; q < n; q++) {
        while (j < k && z[j + 1] < q) j++;
        float delta = (float)(q - v[j]);
        d[q] = delta * delta + f[v[j]];
        arg[q] = v[j];
    }
}

bool kn_space_transform(const uint8_t *set, int nx, int ny, float *distance, int32_t *nearest, kn_error *error) {
    size_t n = (size_t)(nx > ny ? nx : ny) + 1;
    float *f = kn_alloc(n, sizeof *f, error), *d = f ? kn_alloc(n, sizeof *d, error) : NULL;
    double *z = d ? kn_alloc(n, sizeof *z, error) : NULL;
    int32_t *v = z ? kn_alloc(n, sizeof *v, error) : NULL, *arg = v ? kn_alloc(n, sizeof *arg, error) : NULL;
    int32_t *row = arg ? kn_alloc((size_t)nx * (size_t)ny, sizeof *row, error) : NULL;
    if (row) {
        for (int i = 0; i < nx; i++) { /* columns first: nearest set row of every cell */
            for (int j = 0; j < ny; j++) f[j] = set[(size_t)j * (size_t)nx + (size_t)i] ? 0 : 1e20f;
            envelope(f, ny, d, arg, v, z);
            for (int j = 0; j < ny; j++) {
                distance[(size_t)j * (size_t)nx + (size_t)i] = d[j];
                row[(size_t)j * (size_t)nx + (size_t)i] = arg[j];
            }
        }
        for (int j = 0; j < ny; j++) {
            size_t base = (size_t)j * (size_t)nx;
            memcpy(f, distance + base, (size_t)nx * sizeof *f);
            envelope(f, nx, d, arg, v, z);
            for (int i = 0; i < nx; i++) {
                distance[base + (size_t)i] = sqrtf(d[i]);
                if (nearest) nearest[base + (size_t)i] = arg[i] < 0 ? -1 : row[base + (size_t)arg[i]] * nx + arg[i];
            }
        }
    }
    bool ok = row != NULL;
    kn_free(f);
    kn_free(d);
    kn_free(z);
    kn_free(v);
    kn_free(arg);
    kn_free(row);
    return ok;
}

static double sample(const kn_far *far, const float *values, double x, double y) {
    if (far->nx < 2 || far->ny < 2) return 0;
    double u = kn_clamp((x - far->x0) / far->cell - .5, 0, far->nx - 1.001),
           v = kn_clamp((y - far->y0) / far->cell - .5, 0, far->ny - 1.001);
    size_t i = (size_t)u, j = (size_t)v, nx = (size_t)far->nx;
    const float *g = values + j * nx + i;
    u -= (double)i, v -= (double)j;
    return kn_mix(kn_mix(g[0], g[1], u), kn_mix(g[nx], g[nx + 1], u), v);
}

double kn_far_distance(const kn_far *far, double x, double y) {
    if (!far->distance) return 1e6;
    double cx = kn_clamp(x, far->x0, far->x0 + far->nx * far->cell),
           cy = kn_clamp(y, far->y0, far->y0 + far->ny * far->cell);
    return sample(far, far->distance, cx, cy) + hypot(x - cx, y - cy);
}

double kn_far_height(const kn_far *far, double x, double y) { return far->height ? sample(far, far->height, x, y) : 0; }
