/* The ground as a raster: see world_build.h. */
#include "scene/world/world_build.h"

#include <string.h>

enum { MAX_CELLS = 24000000 };
static const double SEEN = 64; /* metres within which the nearest road counts */

bool kn_space_init(kn_space *space, double x0, double y0, double x1, double y1, const kn_far *far, kn_error *error) {
    memset(space, 0, sizeof *space);
    space->far = far;
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

/* Evens the coarse heights out between the fixed ones of the roads; a few sweeps, so that what lies beyond the raster
 * does not matter inside. */
static void relax(kn_space *space, const uint8_t *fixed, float *next) {
    enum { SWEEPS = 8 };
    int gx = space->gx, gy = space->gy;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        for (int j = 0; j < gy; j++) {
            for (int i = 0; i < gx; i++) {
                const float *g = space->ground + (size_t)j * (size_t)gx + (size_t)i;
                float left = i > 0 ? g[-1] : g[0], right = i + 1 < gx ? g[1] : g[0], down = j > 0 ? g[-gx] : g[0],
                      up = j + 1 < gy ? g[gx] : g[0];
                size_t c = (size_t)j * (size_t)gx + (size_t)i;
                next[c] = fixed[c] ? g[0] : (left + right + down + up) / 4;
            }
        }
        memcpy(space->ground, next, (size_t)gx * (size_t)gy * sizeof *next);
    }
}

/* First heights of the coarse cells: the nearest road's, the wide land's where none is near. */
static void first_heights(kn_space *space, const int32_t *nearest, uint8_t *fixed) {
    for (int j = 0; j < space->gy; j++) {
        for (int i = 0; i < space->gx; i++) {
            int x = i * 8 < space->nx ? i * 8 : space->nx - 1, y = j * 8 < space->ny ? j * 8 : space->ny - 1;
            size_t c = (size_t)y * (size_t)space->nx + (size_t)x, g = (size_t)j * (size_t)space->gx + (size_t)i;
            bool near = nearest[c] >= 0 && space->distance[c] < SEEN;
            double px = space->x0 + (i * 8 + .5) * space->cell, py = space->y0 + (j * 8 + .5) * space->cell;
            space->ground[g] = near ? space->height[nearest[c]] : (float)kn_far_height(space->far, px, py);
            fixed[g] = space->distance[c] < 8;
        }
    }
}

bool kn_space_settle(kn_space *space, kn_error *error) {
    size_t count = (size_t)space->nx * (size_t)space->ny, coarse = (size_t)space->gx * (size_t)space->gy;
    uint8_t *set = kn_alloc(count, 1, error), *fixed = set ? kn_alloc(coarse, 1, error) : NULL;
    int32_t *nearest = fixed ? kn_alloc(count, sizeof *nearest, error) : NULL;
    float *next = nearest ? kn_alloc(coarse, sizeof *next, error) : NULL;
    bool ok = next != NULL;
    if (ok) {
        for (size_t i = 0; i < count; i++) set[i] = (space->flags[i] & (KN_SPACE_SURFACE | KN_SPACE_FILL)) != 0;
        ok = kn_space_transform(set, space->nx, space->ny, space->distance, nearest, error);
    }
    if (ok) {
        for (size_t i = 0; i < count; i++)
            space->distance[i] = fminf(space->distance[i] * (float)space->cell, (float)SEEN);
        first_heights(space, nearest, fixed);
        relax(space, fixed, next);
    }
    kn_free(set);
    kn_free(fixed);
    kn_free(nearest);
    kn_free(next);
    return ok;
}

double kn_space_distance(const kn_space *space, double x, double y) {
    long c = kn_space_cell(space, x, y);
    double fine = c < 0 ? SEEN : space->distance[c];
    if (fine < 40) return fine;
    return kn_mix(fine, fmax(kn_far_distance(space->far, x, y), 40), kn_smooth(40, 60, fine));
}

double kn_space_ground(const kn_space *space, double x, double y) {
    long c = kn_space_cell(space, x, y);
    double wide = kn_smooth(20, 44, c < 0 ? SEEN : space->distance[c]);
    if (wide >= 1) return kn_far_height(space->far, x, y);
    double u = kn_clamp((x - space->x0) / space->coarse - .0625, 0, space->gx - 1.001),
           v = kn_clamp((y - space->y0) / space->coarse - .0625, 0, space->gy - 1.001);
    int i = (int)u, j = (int)v;
    const float *g = space->ground + (size_t)j * (size_t)space->gx + (size_t)i;
    double near = kn_mix(kn_mix(g[0], g[1], u - i), kn_mix(g[space->gx], g[space->gx + 1], u - i), v - j);
    return wide > 0 ? kn_mix(near, kn_far_height(space->far, x, y), wide) : near;
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
