/* Normals of the fine surface: for vertices, and as a texture. */
#include "mesh/views/mesh.h"

#include <string.h>

typedef struct normal_bake {
    kn_surface *surface;
    const kn_tris *work;
    const kn_grid *grid;
    const float *field;
} normal_bake;

/* The field's direction of growth at a point, unit length; false when it is flat there or the surface is far. */
static bool gradient(const kn_grid *grid, const float *field, const double p[3], double out[3]) {
    double length = 0, step = grid->step;
    if (fabs(kn_grid_sample(grid, field, p)) > 1.5 * step) return false;
    for (int i = 0; i < 3; i++) {
        double a[3] = {p[0], p[1], p[2]}, b[3] = {p[0], p[1], p[2]};
        a[i] -= step, b[i] += step;
        out[i] = kn_grid_sample(grid, field, b) - kn_grid_sample(grid, field, a);
        length += out[i] * out[i];
    }
    length = sqrt(length);
    for (int i = 0; i < 3; i++) out[i] /= fmax(length, 1e-12);
    return length > 0.2 * step;
}

float *kn_field_normals(const kn_tris *mesh, const kn_grid *grid, const float *field, kn_error *error) {
    float *normals = kn_tris_normals(mesh, error);
    for (size_t v = 0; normals && v < mesh->vertex_count; v++) {
        float *n = normals + 3 * v;
        double p[3] = {mesh->positions[3 * v], mesh->positions[3 * v + 1], mesh->positions[3 * v + 2]}, fine[3];
        if (!gradient(grid, field, p, fine) || fine[0] * n[0] + fine[1] * n[1] + fine[2] * n[2] < 0.3) continue;
        for (int i = 0; i < 3; i++) n[i] = (float)fine[i];
    }
    return normals;
}

void kn_surface_tangent(const kn_surface *surface, uint32_t vertex, uint32_t chart, float tangent[4]) {
    const float *n = surface->normals + 3 * (size_t)vertex, *axis = surface->chart_axes + 4 * (size_t)chart;
    float along = n[0] * axis[0] + n[1] * axis[1] + n[2] * axis[2], length = 0;
    for (int i = 0; i < 3; i++) tangent[i] = axis[i] - along * n[i], length += tangent[i] * tangent[i];
    if (length < 1e-6f) { /* the normal runs along u: any direction across it */
        int least = fabsf(n[0]) < fabsf(n[1]) ? (fabsf(n[0]) < fabsf(n[2]) ? 0 : 2) : fabsf(n[1]) < fabsf(n[2]) ? 1 : 2;
        length = 0;
        for (int i = 0; i < 3; i++) tangent[i] = (i == least) - n[least] * n[i], length += tangent[i] * tangent[i];
    }
    for (int i = 0; i < 3; i++) tangent[i] /= sqrtf(length);
    tangent[3] = axis[3];
}

static void paint_texel(void *user, size_t t, double w1, double w2, size_t texel) {
    normal_bake *b = user;
    const kn_surface *s = b->surface;
    double weights[3] = {1 - w1 - w2, w1, w2}, p[3] = {0}, n[3] = {0}, u[3] = {0}, fine[3], length = 0, hand = 1;
    for (size_t k = 0; k < 3; k++) {
        uint32_t v = s->triangles[3 * t + k];
        float tangent[4];
        kn_surface_tangent(s, v, s->charts[t], tangent);
        hand = tangent[3];
        for (size_t i = 0; i < 3; i++) {
            p[i] += weights[k] * b->work->positions[3 * (size_t)v + i];
            n[i] += weights[k] * s->normals[3 * (size_t)v + i], u[i] += weights[k] * tangent[i];
        }
    }
    length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (int i = 0; i < 3; i++) n[i] /= fmax(length, 1e-9);
    double out[3] = {0, 0, 1};
    if (gradient(b->grid, b->field, p, fine) && fine[0] * n[0] + fine[1] * n[1] + fine[2] * n[2] > 0.2) {
        double v[3] = {hand * (n[1] * u[2] - n[2] * u[1]), hand * (n[2] * u[0] - n[0] * u[2]),
                       hand * (n[0] * u[1] - n[1] * u[0])};
        out[2] = 0;
        for (int i = 0; i < 3; i++) out[0] += fine[i] * u[i], out[1] += fine[i] * v[i], out[2] += fine[i] * n[i];
    }
    for (size_t i = 0; i < 3; i++)
        s->normal_map.data[3 * texel + i] = (uint8_t)lround(fmin(fmax(127.5 + 127.5 * out[i], 0), 255));
}

bool kn_bake_normals(kn_surface *surface, const kn_tris *work, const kn_grid *grid, const float *field, int texture,
                     kn_error *error) {
    normal_bake b = {surface, work, grid, field};
    uint8_t *done = kn_alloc((size_t)texture * (size_t)texture, 1, error);
    bool ok = done && kn_image_init(&surface->normal_map, texture, texture, 3, error);
    if (ok) kn_texels_visit(surface, texture, done, paint_texel, &b), kn_texels_pad(&surface->normal_map, done);
    kn_free(done);
    return ok;
}
