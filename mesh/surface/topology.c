/* Is a mesh closed, manifold and turned outward; its components. */
#include "mesh/views/mesh.h"

#include <stdlib.h>
#include <string.h>

static int by_edge(const void *a, const void *b) {
    const uint64_t *p = a, *q = b;
    return *p < *q ? -1 : *p > *q;
}

/* Edges that are not run through once in each direction. */
static bool count_open(const kn_tris *mesh, size_t *open, kn_error *error) {
    size_t count = 3 * mesh->triangle_count;
    uint64_t *edges = kn_alloc(count, sizeof *edges, error);
    if (!edges) return false;
    for (size_t i = 0; i < count; i++) {
        uint64_t a = mesh->triangles[i], b = mesh->triangles[i % 3 == 2 ? i - 2 : i + 1];
        edges[i] = a < b ? (a << 33 | b << 1) : (b << 33 | a << 1 | 1); /* the low bit: the direction */
    }
    qsort(edges, count, sizeof *edges, by_edge);
    for (size_t i = 0; i < count;) {
        size_t end = i, backward = 0;
        for (; end < count && edges[end] >> 1 == edges[i] >> 1; end++) backward += edges[end] & 1;
        bool loop = (edges[i] >> 33) == (edges[i] >> 1 & 0xffffffff);
        if (end - i != 2 || backward != 1 || loop) (*open)++;
        i = end;
    }
    kn_free(edges);
    return true;
}

/* Vertices whose triangles do not form one closed fan. */
static bool count_bad_vertices(const kn_tris *mesh, size_t *bad, kn_error *error) {
    size_t *starts = kn_alloc(mesh->vertex_count + 2, sizeof *starts, error);
    uint32_t *pairs = kn_alloc(6 * mesh->triangle_count, sizeof *pairs, error); /* the two other vertices, in order */
    bool ok = starts && pairs;
    for (size_t i = 0; ok && i < 3 * mesh->triangle_count; i++) starts[mesh->triangles[i] + 2]++;
    for (size_t v = 0; ok && v < mesh->vertex_count; v++) starts[v + 2] += starts[v + 1];
    for (size_t i = 0; ok && i < 3 * mesh->triangle_count; i++) {
        const uint32_t *t = mesh->triangles + 3 * (i / 3);
        size_t at = starts[t[i % 3] + 1]++;
        pairs[2 * at] = t[(i + 1) % 3], pairs[2 * at + 1] = t[(i + 2) % 3];
    }
    for (size_t v = 0; ok && v < mesh->vertex_count; v++) {
        size_t first = starts[v], degree = starts[v + 1] - first, steps = 0;
        if (degree == 0) continue;
        uint32_t begin = pairs[2 * first], at = begin;
        do {
            size_t k = 0;
            while (k < degree && pairs[2 * (first + k)] != at) k++;
            if (k == degree) break;
            at = pairs[2 * (first + k) + 1], steps++;
        } while (at != begin && steps <= degree);
        *bad += steps != degree || at != begin;
    }
    kn_free(starts), kn_free(pairs);
    return ok;
}

static uint32_t root_of(uint32_t *parent, uint32_t v) {
    while (parent[v] != v) v = parent[v] = parent[parent[v]];
    return v;
}

static uint32_t *join(const kn_tris *mesh, kn_error *error) {
    uint32_t *parent = kn_alloc(mesh->vertex_count, sizeof *parent, error);
    for (size_t v = 0; parent && v < mesh->vertex_count; v++) parent[v] = (uint32_t)v;
    for (size_t t = 0; parent && t < mesh->triangle_count; t++)
        for (size_t i = 1; i < 3; i++) {
            uint32_t a = root_of(parent, mesh->triangles[3 * t]), b = root_of(parent, mesh->triangles[3 * t + i]);
            parent[a > b ? a : b] = a < b ? a : b;
        }
    return parent;
}

static kn_vec3 vertex(const kn_tris *mesh, uint32_t v) {
    const float *p = mesh->positions + 3 * (size_t)v;
    return (kn_vec3){p[0], p[1], p[2]};
}

/* Six times the signed volume of the tetrahedron of triangle t and the point o. */
static double six_volumes(const kn_tris *mesh, size_t t, kn_vec3 o) {
    const uint32_t *i = mesh->triangles + 3 * t;
    kn_vec3 a = kn_vec3_sub(vertex(mesh, i[0]), o);
    return kn_vec3_dot(a, kn_vec3_cross(kn_vec3_sub(vertex(mesh, i[1]), o), kn_vec3_sub(vertex(mesh, i[2]), o)));
}

static double area_of(const kn_tris *mesh, size_t t) {
    const uint32_t *i = mesh->triangles + 3 * t;
    kn_vec3 a = vertex(mesh, i[0]);
    return kn_vec3_length(kn_vec3_cross(kn_vec3_sub(vertex(mesh, i[1]), a), kn_vec3_sub(vertex(mesh, i[2]), a))) / 2;
}

/* Enclosed volume of every component, at the index of its root vertex; NULL without memory. */
static double *volumes(const kn_tris *mesh, uint32_t *parent, kn_error *error) {
    double *volume = kn_alloc(mesh->vertex_count, sizeof *volume, error);
    for (size_t t = 0; volume && t < mesh->triangle_count; t++) {
        uint32_t root = root_of(parent, mesh->triangles[3 * t]);
        volume[root] += six_volumes(mesh, t, vertex(mesh, root)) / 6;
    }
    return volume;
}

bool kn_topology_check(const kn_tris *mesh, kn_topology *topology, kn_error *error) {
    *topology = (kn_topology){.outward = true};
    uint32_t *parent = join(mesh, error);
    double *volume = parent ? volumes(mesh, parent, error) : NULL;
    bool ok = volume && count_open(mesh, &topology->open_edges, error) &&
              count_bad_vertices(mesh, &topology->bad_vertices, error);
    for (size_t t = 0; ok && t < mesh->triangle_count; t++) {
        double area = area_of(mesh, t);
        topology->area += area;
        topology->degenerate += !(area > 0);
    }
    for (size_t v = 0; ok && v < mesh->vertex_count; v++)
        if (volume[v] != 0) {
            topology->components++;
            topology->volume += volume[v];
            topology->outward = topology->outward && volume[v] > 0;
        }
    kn_free(parent), kn_free(volume);
    return ok;
}

/* Drops triangles whose keep[] is 0 and vertices that nothing uses. */
static bool compact(kn_tris *mesh, const uint8_t *keep, kn_error *error) {
    uint32_t *renamed = kn_alloc(mesh->vertex_count, sizeof *renamed, error);
    if (!renamed) return false;
    size_t triangles = 0, vertices = 0;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        if (!keep[t]) continue;
        memmove(mesh->triangles + 3 * triangles++, mesh->triangles + 3 * t, 3 * sizeof(uint32_t));
    }
    for (size_t i = 0; i < 3 * triangles; i++) renamed[mesh->triangles[i]] = 1;
    for (size_t v = 0; v < mesh->vertex_count; v++) {
        if (!renamed[v]) continue;
        memmove(mesh->positions + 3 * vertices, mesh->positions + 3 * v, 3 * sizeof(float));
        renamed[v] = (uint32_t)vertices++;
    }
    for (size_t i = 0; i < 3 * triangles; i++) mesh->triangles[i] = renamed[mesh->triangles[i]];
    mesh->triangle_count = triangles, mesh->vertex_count = vertices;
    kn_free(renamed);
    return true;
}

bool kn_topology_keep_large(kn_tris *mesh, double share, kn_error *error) {
    uint32_t *parent = join(mesh, error);
    double *volume = parent ? volumes(mesh, parent, error) : NULL, largest = 0;
    uint8_t *keep = volume ? kn_alloc(mesh->triangle_count, 1, error) : NULL;
    for (size_t v = 0; keep && v < mesh->vertex_count; v++) largest = fmax(largest, volume[v]);
    for (size_t t = 0; keep && t < mesh->triangle_count; t++) { /* bubbles inside have negative volumes and go too */
        double v = volume[root_of(parent, mesh->triangles[3 * t])];
        keep[t] = v > 0 && v >= share * largest;
    }
    bool ok = keep && compact(mesh, keep, error);
    kn_free(parent), kn_free(volume), kn_free(keep);
    return ok;
}

float *kn_tris_normals(const kn_tris *mesh, kn_error *error) {
    float *normals = kn_alloc(mesh->vertex_count, 3 * sizeof *normals, error);
    for (size_t t = 0; normals && t < mesh->triangle_count; t++) {
        const uint32_t *i = mesh->triangles + 3 * t;
        kn_vec3 a = vertex(mesh, i[0]),
                n = kn_vec3_cross(kn_vec3_sub(vertex(mesh, i[1]), a), kn_vec3_sub(vertex(mesh, i[2]), a));
        for (int k = 0; k < 3; k++) {
            float *out = normals + 3 * (size_t)i[k];
            out[0] += (float)n.x, out[1] += (float)n.y, out[2] += (float)n.z;
        }
    }
    for (size_t v = 0; normals && v < mesh->vertex_count; v++) {
        float *n = normals + 3 * v;
        double length = sqrt((double)n[0] * n[0] + (double)n[1] * n[1] + (double)n[2] * n[2]);
        if (length > 1e-30)
            for (int k = 0; k < 3; k++) n[k] = (float)(n[k] / length);
        else n[0] = n[1] = 0, n[2] = 1;
    }
    return normals;
}
