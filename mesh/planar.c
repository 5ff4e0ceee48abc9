/* Flattens what is nearly flat: the largest planes are found one after the other, and vertices that lie close and face alike move onto them. */
#include "mesh/mesh.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define MAX_PLANES 48
#define SEEDS 120

typedef struct flattener {
    kn_tris *mesh;
    float *normals;
    float *areas;            /* [vertex] a third of its triangles' */
    uint8_t *taken;          /* [vertex] */
    double near;             /* how far a vertex may lie from its plane */
} flattener;

typedef struct plane {
    double normal[3], offset;
} plane;

static bool belongs(const flattener *f, size_t v, const plane *p, double near) {
    const float *x = f->mesh->positions + 3 * v, *n = f->normals + 3 * v;
    return p->normal[0] * n[0] + p->normal[1] * n[1] + p->normal[2] * n[2] > 0.9 &&
           fabs(p->normal[0] * x[0] + p->normal[1] * x[1] + p->normal[2] * x[2] - p->offset) < near;
}

/* Area of the free vertices that belong; `stride` 1 looks at all. */
static double support(const flattener *f, const plane *p, size_t stride) {
    double sum = 0;
    for (size_t v = 0; v < f->mesh->vertex_count; v += stride)
        if (!f->taken[v] && belongs(f, v, p, f->near)) sum += f->areas[v];
    return sum * (double)stride;
}

/* Mean normal and offset of what belongs. */
static void refit(const flattener *f, plane *p) {
    double n[3] = {0}, x[3] = {0}, sum = 0;
    for (size_t v = 0; v < f->mesh->vertex_count; v++) {
        if (f->taken[v] || !belongs(f, v, p, f->near)) continue;
        for (size_t i = 0; i < 3; i++) n[i] += f->areas[v] * f->normals[3 * v + i], x[i] += f->areas[v] * f->mesh->positions[3 * v + i];
        sum += f->areas[v];
    }
    double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    if (!(sum > 0) || !(length > 0)) return;
    p->offset = 0;
    for (int i = 0; i < 3; i++) p->normal[i] = n[i] / length, p->offset += p->normal[i] * x[i] / sum;
}

/* The plane with the most support among random vertices' tangent planes. */
static double best_plane(const flattener *f, kn_rng *rng, plane *best) {
    double most = 0;
    size_t count = f->mesh->vertex_count, stride = count / 4000 + 1;
    for (int s = 0; s < SEEDS; s++) {
        size_t v = (size_t)kn_rng_uniform(rng, 0, (double)count);
        if (v >= count || f->taken[v]) continue;
        plane p = {.offset = 0};
        for (size_t i = 0; i < 3; i++) p.normal[i] = f->normals[3 * v + i], p.offset += p.normal[i] * f->mesh->positions[3 * v + i];
        double area = support(f, &p, stride);
        if (area > most) most = area, *best = p;
    }
    for (int i = 0; i < 4 && most > 0; i++) refit(f, best);
    return most > 0 ? support(f, best, 1) : 0;
}

static void move_onto(flattener *f, const plane *p) {
    for (size_t v = 0; v < f->mesh->vertex_count; v++) {
        float *x = f->mesh->positions + 3 * v;
        if (f->taken[v] || !belongs(f, v, p, 1.5 * f->near)) continue;
        double far = p->normal[0] * x[0] + p->normal[1] * x[1] + p->normal[2] * x[2] - p->offset;
        for (int i = 0; i < 3; i++) x[i] -= (float)(far * p->normal[i]);
        f->taken[v] = 1;
    }
}

bool kn_flatten(kn_tris *mesh, double step, kn_error *error) {
    flattener f = {.mesh = mesh, .normals = kn_tris_normals(mesh, error), .areas = kn_alloc(mesh->vertex_count, sizeof(float), error),
                   .taken = kn_alloc(mesh->vertex_count, 1, error), .near = step};
    bool ok = f.normals && f.areas && f.taken;
    double total = 0, share = 1;
    kn_rng rng;
    kn_rng_init(&rng, 3);
    for (size_t t = 0; ok && t < mesh->triangle_count; t++) {
        const uint32_t *i = mesh->triangles + 3 * t;
        const float *a = mesh->positions + 3 * (size_t)i[0], *b = mesh->positions + 3 * (size_t)i[1], *c = mesh->positions + 3 * (size_t)i[2];
        float area = (float)kn_vec3_length(kn_vec3_cross((kn_vec3){b[0] - a[0], b[1] - a[1], b[2] - a[2]}, (kn_vec3){c[0] - a[0], c[1] - a[1], c[2] - a[2]})) / 6;
        for (int k = 0; k < 3; k++) f.areas[i[k]] += area, total += area;
    }
    for (int k = 0; ok && k < MAX_PLANES && share > 0.006; k++) {
        plane p;
        share = best_plane(&f, &rng, &p) / total;
        if (share > 0.006) move_onto(&f, &p);
    }
    kn_free(f.normals), kn_free(f.areas), kn_free(f.taken);
    return ok;
}
