/* Marching tetrahedra over the Freudenthal subdivision of a grid: each cube is cut into six tetrahedra along its
 * diagonal, and neighbouring cubes cut their common face alike. A surface made so has neither holes nor edges with more
 * than two triangles. */
#include "mesh/views/mesh.h"

#include <string.h>

void kn_tris_finish(kn_tris *mesh) {
    kn_free(mesh->positions), kn_free(mesh->triangles);
    *mesh = (kn_tris){0};
}

float kn_grid_sample(const kn_grid *grid, const float *values, const double point[3]) {
    int base[3];
    double f[3], sum = 0;
    for (int i = 0; i < 3; i++) {
        double at = (point[i] - grid->origin[i]) / grid->step;
        at = fmin(fmax(at, 0), grid->size[i] - 1);
        base[i] = (int)at < grid->size[i] - 2 ? (int)at : grid->size[i] - 2;
        f[i] = at - base[i];
    }
    for (int c = 0; c < 8; c++) {
        double w = 1;
        size_t at[3];
        for (int i = 0; i < 3; i++) w *= c >> i & 1 ? f[i] : 1 - f[i], at[i] = (size_t)(base[i] + (c >> i & 1));
        sum += w * values[(at[2] * (size_t)grid->size[1] + at[1]) * (size_t)grid->size[0] + at[0]];
    }
    return (float)sum;
}

/* The seven directions of edges: bits x, y, z of the step. Edge (voxel, direction) has slot 7 * voxel + direction -
 * 1. */
typedef struct tets {
    kn_tris *mesh;
    const kn_grid *grid;
    const float *values;
    uint32_t *slots[2]; /* vertex + 1 of the edges that begin in the lower and the upper layer */
    int layer;          /* z of slots[0] */
    kn_error *error;
} tets;

static size_t index_of(const kn_grid *grid, const int p[3]) {
    return ((size_t)p[2] * (size_t)grid->size[1] + (size_t)p[1]) * (size_t)grid->size[0] + (size_t)p[0];
}

static bool add_vertex(tets *t, const int a[3], const int b[3], uint32_t *vertex) {
    kn_tris *mesh = t->mesh;
    if (mesh->vertex_count >= 0x7fffffff ||
        !kn_grow(&mesh->positions, &mesh->vertex_capacity, mesh->vertex_count + 1, 3 * sizeof(float), t->error))
        return false;
    double va = t->values[index_of(t->grid, a)], vb = t->values[index_of(t->grid, b)];
    double s = fmin(fmax(va / (va - vb), 0.04), 0.96); /* keeps vertices of different edges apart */
    for (int i = 0; i < 3; i++)
        mesh->positions[3 * mesh->vertex_count + (size_t)i] =
            (float)(t->grid->origin[i] + t->grid->step * (a[i] + s * (b[i] - a[i])));
    *vertex = (uint32_t)mesh->vertex_count++;
    return true;
}

/* The vertex on the edge between cube corners c and d (bits x, y, z); one is a subset of the other. */
static bool edge_vertex(tets *t, const int cube[3], int c, int d, uint32_t *vertex) {
    int low = c < d ? c : d, high = c < d ? d : c, a[3], b[3];
    for (int i = 0; i < 3; i++) a[i] = cube[i] + (low >> i & 1), b[i] = cube[i] + (high >> i & 1);
    const int in_layer[3] = {a[0], a[1], 0};
    uint32_t *slot = &t->slots[a[2] - t->layer][7 * index_of(t->grid, in_layer) + (size_t)((low ^ high) - 1)];
    if (*slot == 0) {
        if (!add_vertex(t, a, b, vertex)) return false;
        *slot = *vertex + 1;
    }
    *vertex = *slot - 1;
    return true;
}

static bool add_triangle(tets *t, uint32_t a, uint32_t b, uint32_t c, bool flip) {
    kn_tris *mesh = t->mesh;
    if (!kn_grow(&mesh->triangles, &mesh->triangle_capacity, mesh->triangle_count + 1, 3 * sizeof(uint32_t), t->error))
        return false;
    uint32_t *out = mesh->triangles + 3 * mesh->triangle_count++;
    out[0] = a, out[1] = flip ? c : b, out[2] = flip ? b : c;
    return true;
}

/* corners: a positively oriented tetrahedron of cube corners. */
static bool cut(tets *t, const int cube[3], const int corners[4], unsigned inside) {
    int in[4], out[4], n = 0, m = 0;
    for (int i = 0; i < 4; i++) {
        if (inside >> corners[i] & 1) in[n++] = i;
        else out[m++] = i;
    }
    if (n == 0 || n == 4) return true;
    /* The order in[] + out[] is a permutation of 0..3; its sign tells which way the triangle turns. */
    int order[4], swaps = 0;
    for (int i = 0; i < 4; i++) order[i] = i < n ? in[i] : out[i - n];
    for (int i = 0; i < 4; i++)
        for (int j = i + 1; j < 4; j++) swaps += order[i] > order[j];
    bool odd = swaps & 1;
    uint32_t v[4];
    if (n == 2) {
        static const int pairs[4][2] = {{0, 0}, {0, 1}, {1, 1}, {1, 0}};
        for (int i = 0; i < 4; i++)
            if (!edge_vertex(t, cube, corners[in[pairs[i][0]]], corners[out[pairs[i][1]]], &v[i])) return false;
        return add_triangle(t, v[0], v[1], v[2], odd) && add_triangle(t, v[0], v[2], v[3], odd);
    }
    for (int i = 0; i < 3; i++)
        if (!edge_vertex(t, cube, corners[n == 1 ? in[0] : in[i]], corners[n == 1 ? out[i] : out[0]], &v[i]))
            return false;
    return add_triangle(t, v[0], v[1], v[2], odd);
}

static bool cube_tets(tets *t, const int cube[3]) {
    static const int axes[6][3] = {{0, 1, 2}, {1, 2, 0}, {2, 0, 1},
                                   {0, 2, 1}, {2, 1, 0}, {1, 0, 2}}; /* even, then odd */
    unsigned inside = 0;
    for (int c = 0; c < 8; c++) {
        const int p[3] = {cube[0] + (c & 1), cube[1] + (c >> 1 & 1), cube[2] + (c >> 2 & 1)};
        inside |= (unsigned)(t->values[index_of(t->grid, p)] < 0) << c;
    }
    if (inside == 0 || inside == 255) return true;
    for (int k = 0; k < 6; k++) {
        int first = 1 << axes[k][0], second = first | 1 << axes[k][1];
        const int corners[4] = {0, k < 3 ? first : second, k < 3 ? second : first, 7};
        if (!cut(t, cube, corners, inside)) return false;
    }
    return true;
}

static void close_border(const kn_grid *grid, float *values) {
    for (int z = 0; z < grid->size[2]; z++)
        for (int y = 0; y < grid->size[1]; y++)
            for (int x = 0; x < grid->size[0]; x++) {
                bool border = x == 0 || y == 0 || z == 0 || x == grid->size[0] - 1 || y == grid->size[1] - 1 ||
                              z == grid->size[2] - 1;
                float *v = values + index_of(grid, (const int[3]){x, y, z});
                if (!(*v == *v) || (border && *v < (float)grid->step * 0.5f)) *v = (float)grid->step * 0.5f;
            }
}

bool kn_tets_extract(kn_tris *mesh, const kn_grid *grid, float *values, kn_error *error) {
    *mesh = (kn_tris){0};
    size_t layer = 7 * (size_t)grid->size[0] * (size_t)grid->size[1];
    tets t = {mesh, grid, values, {kn_alloc(layer, sizeof(uint32_t), error), kn_alloc(layer, sizeof(uint32_t), error)},
              0,    error};
    bool ok = t.slots[0] && t.slots[1];
    close_border(grid, values);
    for (int z = 0; ok && z + 1 < grid->size[2]; z++) {
        t.layer = z;
        for (int y = 0; ok && y + 1 < grid->size[1]; y++)
            for (int x = 0; ok && x + 1 < grid->size[0]; x++) ok = cube_tets(&t, (const int[3]){x, y, z});
        uint32_t *old = t.slots[0];
        t.slots[0] = t.slots[1], t.slots[1] = old;
        memset(old, 0, layer * sizeof *old);
    }
    kn_free(t.slots[0]), kn_free(t.slots[1]);
    if (!ok) kn_tris_finish(mesh);
    return ok;
}
