/* Two equal halves: finds the upright mirror plane of a surface, and lets each side of a distance field learn from the
 * other. */
#include "mesh/views/mesh.h"

#include <string.h>

#define SAMPLES 3000

typedef struct mirror {
    double normal[2], offset; /* normal . (x, y) = offset */
} mirror;

static void reflect(const mirror *m, const double p[3], double out[3]) {
    double far = 2 * (m->normal[0] * p[0] + m->normal[1] * p[1] - m->offset);
    out[0] = p[0] - far * m->normal[0], out[1] = p[1] - far * m->normal[1], out[2] = p[2];
}

/* Mean distance of the reflected vertices to the surface, each cut at `cut`. */
static double rate(const mirror *m, const kn_tris *mesh, const kn_grid *grid, const float *field, double cut) {
    size_t stride = mesh->vertex_count / SAMPLES + 1, count = 0;
    double sum = 0;
    for (size_t v = 0; v < mesh->vertex_count; v += stride, count++) {
        double p[3] = {mesh->positions[3 * v], mesh->positions[3 * v + 1], mesh->positions[3 * v + 2]}, q[3];
        reflect(m, p, q);
        sum += fmin(fabs(kn_grid_sample(grid, field, q)), cut);
    }
    return sum / (double)(count ? count : 1);
}

static mirror at_angle(double angle, double offset) { return (mirror){{cos(angle), sin(angle)}, offset}; }

/* The best plane: all directions through the middle, then finer and finer steps of direction and offset. Returns its
 * rating. */
static double find(mirror *best, const kn_tris *mesh, const kn_grid *grid, const float *field) {
    double middle[2] = {0}, cut = 6 * grid->step, angle = 0, offset = 0, lowest = 1e30;
    for (size_t v = 0; v < 3 * mesh->vertex_count; v++)
        if (v % 3 < 2) middle[v % 3] += mesh->positions[v] / (double)mesh->vertex_count;
    for (int i = 0; i < 90; i++)
        for (int k = -3; k <= 3; k++) {
            double a = i * M_PI / 90, o = cos(a) * middle[0] + sin(a) * middle[1] + 0.012 * k;
            mirror m = at_angle(a, o);
            double r = rate(&m, mesh, grid, field, cut);
            if (r < lowest) lowest = r, angle = a, offset = o;
        }
    for (double step = 1; step > 0.02; step /= 2)
        for (int i = 0; i < 9; i++) {
            double a = angle + (i % 3 - 1) * step * 0.02, o = offset + (i / 3 - 1) * step * 0.008;
            mirror m = at_angle(a, o);
            double r = rate(&m, mesh, grid, field, cut);
            if (r < lowest) lowest = r, angle = a, offset = o;
        }
    *best = at_angle(angle, offset);
    return lowest;
}

bool kn_symmetrize(float *field, float *weight, const kn_grid *grid, const kn_tris *mesh, const kn_log *log,
                   kn_error *error) {
    mirror m;
    double off = find(&m, mesh, grid, field), unsure = 0.02;
    if (off > 3 * grid->step) {
        kn_log_line(log, KN_LOG_WARNING,
                    "no mirror plane: the halves differ by %.1f %% of the diagonal; symmetry is not used", 100 * off);
        return true;
    }
    float *old = kn_alloc(kn_grid_count(grid), sizeof *old, error);
    if (!old) return false;
    memcpy(old, field, kn_grid_count(grid) * sizeof *old);
    for (size_t i = 0; i < kn_grid_count(grid); i++) {
        size_t w = (size_t)grid->size[0], h = (size_t)grid->size[1], at[3] = {i % w, i / w % h, i / (w * h)};
        double p[3], q[3];
        for (int k = 0; k < 3; k++) p[k] = grid->origin[k] + grid->step * (double)at[k];
        reflect(&m, p, q);
        bool inside = true;
        for (int k = 0; k < 3; k++)
            inside = inside && q[k] >= grid->origin[k] && q[k] <= grid->origin[k] + grid->step * (grid->size[k] - 1);
        if (!inside || fabsf(old[i]) > 6 * grid->step) continue;
        double here = weight[i] + unsure, there = kn_grid_sample(grid, weight, q) + unsure;
        field[i] = (float)((here * old[i] + there * kn_grid_sample(grid, old, q)) / (here + there));
    }
    kn_free(old);
    return true;
}
