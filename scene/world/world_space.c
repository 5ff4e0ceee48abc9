/* The ground as a raster: see world_build.h. */
#include "scene/world/world_build.h"

#include <string.h>

enum { MAX_CELLS = 6000000 };

bool kn_space_init(kn_space *space, double x0, double y0, double x1, double y1, kn_error *error) {
    memset(space, 0, sizeof *space);
    double cell = .5, width = fmax(x1 - x0, 8), height = fmax(y1 - y0, 8);
    if (!isfinite(width * height)) return kn_fail(error, KN_ERROR_INPUT, "the ego's way is not finite");
    while (width / cell * (height / cell) > MAX_CELLS) cell *= 1.25;
    space->x0 = x0;
    space->y0 = y0;
    space->cell = cell;
    space->nx = (int)ceil(width / cell);
    space->ny = (int)ceil(height / cell);
    size_t count = (size_t)space->nx * (size_t)space->ny;
    space->coarse = cell * 8;
    space->gx = (space->nx + 7) / 8 + 1;
    space->gy = (space->ny + 7) / 8 + 1;
    space->flags = kn_alloc(count, sizeof *space->flags, error);
    space->road = space->flags ? kn_alloc(count, sizeof *space->road, error) : NULL;
    space->height = space->road ? kn_alloc(count, sizeof *space->height, error) : NULL;
    space->distance = space->height ? kn_alloc(count, sizeof *space->distance, error) : NULL;
    space->ground =
        space->distance ? kn_alloc((size_t)space->gx * (size_t)space->gy, sizeof *space->ground, error) : NULL;
    if (space->ground) return true;
    kn_space_finish(space);
    return false;
}

void kn_space_finish(kn_space *space) {
    kn_free(space->flags);
    kn_free(space->road);
    kn_free(space->height);
    kn_free(space->distance);
    kn_free(space->ground);
    memset(space, 0, sizeof *space);
}

long kn_space_cell(const kn_space *space, double x, double y) {
    double i = floor((x - space->x0) / space->cell), j = floor((y - space->y0) / space->cell);
    if (!(i >= 0 && j >= 0 && i < space->nx && j < space->ny)) return -1;
    return (long)j * space->nx + (long)i;
}

/* Lower envelope of parabolas along one line of n samples: f in, squared distance and source out. */
static void envelope(const float *f, int n, float *d, int32_t *arg, int32_t *v, float *z) {
    int k = -1;
    for (int q = 0; q < n; q++) {
        if (f[q] >= 1e20f) continue;
        float s = -1e30f;
        while (k >= 0) {
            float p = (float)v[k];
            s = ((f[q] + (float)q * (float)q) - (f[v[k]] + p * p)) / (2 * ((float)q - p));
            if (s > z[k]) break;
            k--;
        }
        if (k < 0) s = -1e30f;
        k++;
        v[k] = q;
        z[k] = s;
    }
    if (k < 0) {
        for (int q = 0; q < n; q++) d[q] = 1e20f, arg[q] = -1;
        return;
    }
    for (int q = 0, j = 0; q < n; q++) {
        while (j < k && z[j + 1] < (float)q) j++;
        float delta = (float)(q - v[j]);
        d[q] = delta * delta + f[v[j]];
        arg[q] = v[j];
    }
}

bool kn_space_transform(const uint8_t *set, int nx, int ny, float *distance, int32_t *nearest, kn_error *error) {
    size_t n = (size_t)(nx > ny ? nx : ny) + 1;
    float *f = kn_alloc(n, sizeof *f, error), *d = f ? kn_alloc(n, sizeof *d, error) : NULL,
          *z = d ? kn_alloc(n, sizeof *z, error) : NULL;
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

/* Relaxes the coarse heights between the fixed ones of the roads (a few sweeps of Gauss-Seidel). */
static void relax(kn_space *space, const uint8_t *fixed) {
    int gx = space->gx, gy = space->gy;
    for (int sweep = 0; sweep < 30; sweep++) {
        for (int j = 0; j < gy; j++) {
            for (int i = 0; i < gx; i++) {
                if (fixed[j * gx + i]) continue;
                const float *g = space->ground + j * gx + i;
                float left = i > 0 ? g[-1] : g[0], right = i + 1 < gx ? g[1] : g[0], down = j > 0 ? g[-gx] : g[0],
                      up = j + 1 < gy ? g[gx] : g[0];
                space->ground[j * gx + i] = (left + right + down + up) / 4;
            }
        }
    }
}

bool kn_space_settle(kn_space *space, kn_error *error) {
    size_t count = (size_t)space->nx * (size_t)space->ny, coarse = (size_t)space->gx * (size_t)space->gy;
    uint8_t *set = kn_alloc(count, 1, error), *fixed = set ? kn_alloc(coarse, 1, error) : NULL;
    int32_t *nearest = fixed ? kn_alloc(count, sizeof *nearest, error) : NULL;
    bool ok = nearest != NULL;
    if (ok) {
        for (size_t i = 0; i < count; i++) set[i] = (space->flags[i] & (KN_SPACE_SURFACE | KN_SPACE_FILL)) != 0;
        ok = kn_space_transform(set, space->nx, space->ny, space->distance, nearest, error);
    }
    if (ok) {
        for (size_t i = 0; i < count; i++) space->distance[i] = fminf(space->distance[i] * (float)space->cell, 1e6f);
        for (int j = 0; j < space->gy; j++) {
            for (int i = 0; i < space->gx; i++) {
                int x = i * 8 < space->nx ? i * 8 : space->nx - 1, y = j * 8 < space->ny ? j * 8 : space->ny - 1;
                size_t c = (size_t)y * (size_t)space->nx + (size_t)x;
                space->ground[j * space->gx + i] = nearest[c] < 0 ? 0 : space->height[nearest[c]];
                fixed[j * space->gx + i] = space->distance[c] < 8;
            }
        }
        relax(space, fixed);
    }
    kn_free(set);
    kn_free(fixed);
    kn_free(nearest);
    return ok;
}

double kn_space_distance(const kn_space *space, double x, double y) {
    double cx = kn_clamp(x, space->x0 + .01, space->x0 + space->nx * space->cell - .01);
    double cy = kn_clamp(y, space->y0 + .01, space->y0 + space->ny * space->cell - .01);
    return space->distance[kn_space_cell(space, cx, cy)] + hypot(x - cx, y - cy);
}

double kn_space_ground(const kn_space *space, double x, double y) {
    double u = kn_clamp((x - space->x0) / space->coarse - .0625, 0, space->gx - 1.001),
           v = kn_clamp((y - space->y0) / space->coarse - .0625, 0, space->gy - 1.001);
    int i = (int)u, j = (int)v;
    const float *g = space->ground + (size_t)j * (size_t)space->gx + (size_t)i;
    return kn_mix(kn_mix(g[0], g[1], u - i), kn_mix(g[space->gx], g[space->gx + 1], u - i), v - j);
}

bool kn_space_driven(const kn_space *space, double x, double y, int road) {
    long c = kn_space_cell(space, x, y);
    if (c < 0) return false;
    if (space->flags[c] & KN_SPACE_FILL) return true;
    if (!(space->flags[c] & KN_SPACE_DRIVEN)) return false;
    return road < 0 || space->road[c] == 0xffff || space->road[c] != road + 1;
}

bool kn_space_free(const kn_space *space, double x, double y, double heading, double a, double b, double clearance) {
    double c = cos(heading), s = sin(heading);
    int na = (int)ceil(2 * a / space->cell) + 1, nb = (int)ceil(2 * b / space->cell) + 1;
    for (int i = 0; i <= na; i++) {
        for (int j = 0; j <= nb; j++) {
            double u = -a + 2 * a * i / na, v = -b + 2 * b * j / nb;
            long cell = kn_space_cell(space, x + c * u - s * v, y + s * u + c * v);
            if (cell < 0 || space->flags[cell] & (KN_SPACE_BUILT | KN_SPACE_WAY) || space->distance[cell] < clearance)
                return false;
        }
    }
    return true;
}

bool kn_space_has(const kn_space *space, double x, double y, double heading, double a, double b, uint8_t flags) {
    double c = cos(heading), s = sin(heading);
    int na = (int)ceil(2 * a / space->cell) + 1, nb = (int)ceil(2 * b / space->cell) + 1;
    for (int i = 0; i <= na; i++) {
        for (int j = 0; j <= nb; j++) {
            double u = -a + 2 * a * i / na, v = -b + 2 * b * j / nb;
            long cell = kn_space_cell(space, x + c * u - s * v, y + s * u + c * v);
            if (cell >= 0 && space->flags[cell] & flags) return true;
        }
    }
    return false;
}

void kn_space_mark(kn_space *space, double x, double y, double heading, double a, double b, uint8_t flag) {
    double c = cos(heading), s = sin(heading), step = space->cell * .7;
    for (double u = -a; u <= a; u += step) {
        for (double v = -b; v <= b; v += step) {
            long cell = kn_space_cell(space, x + c * u - s * v, y + s * u + c * v);
            if (cell >= 0) space->flags[cell] |= flag;
        }
    }
}

void kn_space_occupy(kn_space *space, double x, double y, double heading, double a, double b) {
    kn_space_mark(space, x, y, heading, a, b, KN_SPACE_BUILT);
}
