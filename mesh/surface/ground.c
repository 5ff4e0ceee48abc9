/* The flat underside of what stands on the ground. Silhouettes leave a bulge below an object, and cameras see an
 * underside at a grazing angle or not at all. Of all shapes with these silhouettes this takes the one that is cut off
 * flat, as high as the silhouettes allow. */
#include "mesh/views/mesh.h"

#include <string.h>

#define EYES 6
#define STEPS 9

typedef struct cutter {
    const kn_eyes *eyes;
    const kn_tris *hull;
    kn_tris cut; /* the hull's triangles; its vertices are lifted to the height tried */
    kn_raster raster;
    size_t chosen[EYES], count;
} cutter;

/* The lowest eyes, those that would see what a cut takes away. */
static void choose(cutter *c) {
    double heights[EYES];
    for (size_t e = 0; e < c->eyes->count; e++) {
        const double *p = c->eyes->items[e].center;
        double height = p[2] / sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]);
        size_t at = c->count < EYES ? c->count : EYES - 1;
        if (c->count == EYES && height >= heights[at]) continue;
        for (; at > 0 && heights[at - 1] > height; at--)
            heights[at] = heights[at - 1], c->chosen[at] = c->chosen[at - 1];
        heights[at] = height, c->chosen[at] = e;
        c->count += c->count < EYES;
    }
}

/* Pixels well inside the masks that the hull, cut at `height`, does not cover. */
static size_t uncovered(cutter *c, double height, size_t *inside) {
    size_t missing = 0;
    *inside = 0;
    for (size_t v = 0; v < c->hull->vertex_count; v++) {
        const float *p = c->hull->positions + 3 * v;
        memcpy(c->cut.positions + 3 * v, p, 3 * sizeof(float));
        if (p[2] < height) c->cut.positions[3 * v + 2] = (float)height;
    }
    for (size_t k = 0; k < c->count; k++) {
        const kn_eye *eye = &c->eyes->items[c->chosen[k]];
        kn_raster_draw(&c->raster, eye, &c->cut, false);
        for (size_t i = 0; i < (size_t)eye->width * (size_t)eye->height; i++) {
            *inside += eye->mask[i] != 0;
            missing += eye->mask[i] && eye->edge[i] < -1.0f && !(c->raster.depth[i] > 0);
        }
    }
    return missing;
}

bool kn_ground_cut(float *values, const kn_grid *grid, const kn_eyes *eyes, const kn_tris *hull, double *height,
                   kn_error *error) {
    cutter c = {.eyes = eyes,
                .hull = hull,
                .cut = {.positions = kn_alloc(hull->vertex_count, 3 * sizeof(float), error),
                        .triangles = hull->triangles,
                        .vertex_count = hull->vertex_count,
                        .triangle_count = hull->triangle_count}};
    bool ok = c.cut.positions && kn_raster_init(&c.raster, eyes->items[0].width, eyes->items[0].height, error);
    double low = 1e30, high = -1e30;
    size_t inside;
    if (ok) {
        for (size_t v = 0; v < hull->vertex_count; v++)
            low = fmin(low, hull->positions[3 * v + 2]), high = fmax(high, hull->positions[3 * v + 2]);
        choose(&c);
        size_t allowed = uncovered(&c, low, &inside);
        allowed += inside / 2500;
        high = (low + high) / 2;
        for (int i = 0; i < STEPS; i++) {
            double middle = (low + high) / 2;
            if (uncovered(&c, middle, &inside) <= allowed) low = middle;
            else high = middle;
        }
        const kn_eye *eye = &eyes->items[c.chosen[0]];
        double away =
            sqrt(eye->center[0] * eye->center[0] + eye->center[1] * eye->center[1] + eye->center[2] * eye->center[2]);
        *height = low - 0.8 * away / eye->fy; /* a pixel was allowed */
        for (size_t i = 0; i < kn_grid_count(grid); i++) {
            double z = grid->origin[2] + grid->step * (double)(i / ((size_t)grid->size[0] * (size_t)grid->size[1]));
            values[i] = fmaxf(values[i], (float)(*height - z));
        }
    }
    kn_raster_finish(&c.raster);
    kn_free(c.cut.positions);
    return ok;
}
