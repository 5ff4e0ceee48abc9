/* A small rasteriser: for every pixel the triangle that the eye sees and where on it. */
#include "mesh/views/mesh.h"

#include <string.h>

bool kn_raster_init(kn_raster *raster, int width, int height, kn_error *error) {
    size_t count = (size_t)width * (size_t)height;
    *raster = (kn_raster){width, height, kn_alloc(count, sizeof(float), error), NULL, NULL};
    if (raster->depth) raster->triangle = kn_alloc(count, sizeof(uint32_t), error);
    if (raster->triangle) raster->weights = kn_alloc(count, 2 * sizeof(float), error);
    if (!raster->weights) kn_raster_finish(raster);
    return raster->weights != NULL;
}

void kn_raster_finish(kn_raster *raster) {
    kn_free(raster->depth), kn_free(raster->triangle), kn_free(raster->weights);
    *raster = (kn_raster){0};
}

/* p: x, y in pixels and 1 / z of the three vertices. */
static void draw_one(kn_raster *raster, const double p[3][3], uint32_t id, bool farthest) {
    double area = (p[1][0] - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (p[1][1] - p[0][1]);
    if (fabs(area) < 1e-12) return;
    double low[2], high[2];
    for (int i = 0; i < 2; i++)
        low[i] = fmin(p[0][i], fmin(p[1][i], p[2][i])), high[i] = fmax(p[0][i], fmax(p[1][i], p[2][i]));
    if (high[0] < 0 || high[1] < 0 || low[0] > raster->width || low[1] > raster->height) return;
    int x0 = (int)fmax(0, ceil(low[0] - 0.5)), x1 = (int)fmin(raster->width - 1, floor(high[0] - 0.5));
    int y0 = (int)fmax(0, ceil(low[1] - 0.5)), y1 = (int)fmin(raster->height - 1, floor(high[1] - 0.5));
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            double px = x + 0.5, py = y + 0.5;
            double b1 = ((px - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (py - p[0][1])) / area;
            double b2 = ((p[1][0] - p[0][0]) * (py - p[0][1]) - (px - p[0][0]) * (p[1][1] - p[0][1])) / area;
            if (b1 < 0 || b2 < 0 || b1 + b2 > 1) continue;
            double inverse = (1 - b1 - b2) * p[0][2] + b1 * p[1][2] + b2 * p[2][2];
            float z = (float)(1 / inverse);
            size_t at = (size_t)y * (size_t)raster->width + (size_t)x;
            if (raster->depth[at] > 0 && (farthest ? z <= raster->depth[at] : z >= raster->depth[at])) continue;
            raster->depth[at] = z, raster->triangle[at] = id + 1;
            raster->weights[2 * at] = (float)(b1 * p[1][2] / inverse),
                                raster->weights[2 * at + 1] = (float)(b2 * p[2][2] / inverse);
        }
}

void kn_raster_draw(kn_raster *raster, const kn_eye *eye, const kn_tris *mesh, bool farthest) {
    size_t count = (size_t)raster->width * (size_t)raster->height;
    memset(raster->depth, 0, count * sizeof(float));
    memset(raster->triangle, 0, count * sizeof(uint32_t));
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        double p[3][3];
        bool seen = true;
        for (int i = 0; i < 3 && seen; i++) {
            const float *v = mesh->positions + 3 * (size_t)mesh->triangles[3 * t + (size_t)i];
            double depth, point[3] = {v[0], v[1], v[2]};
            seen = kn_eye_project(eye, point, p[i], &depth) && depth > 1e-4;
            p[i][2] = seen ? 1 / depth : 0;
        }
        if (seen) draw_one(raster, (const double(*)[3])p, (uint32_t)t, farthest);
    }
}
