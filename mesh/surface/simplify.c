/* Fewer triangles: meshoptimizer's edge collapse; where that leaves edges with more than two triangles, our own slower
 * one. */
#include "mesh/views/mesh.h"

#include <meshoptimizer.h>
#include <string.h>

/* Replaces the mesh's triangles by a simplified set; vertices nothing uses are dropped. */
static bool collapse(kn_tris *out, const kn_tris *mesh, size_t target, kn_error *error) {
    *out = (kn_tris){0};
    out->triangles = kn_alloc(3 * mesh->triangle_count, sizeof(uint32_t), error);
    out->positions = kn_alloc(mesh->vertex_count, 3 * sizeof(float), error);
    if (!out->triangles || !out->positions) return kn_tris_finish(out), false;
    size_t indices = meshopt_simplify(out->triangles, mesh->triangles, 3 * mesh->triangle_count, mesh->positions,
                                      mesh->vertex_count, 3 * sizeof(float), 3 * target, 0.02f, 0, NULL);
    out->triangle_count = out->triangle_capacity = indices / 3;
    out->vertex_count = meshopt_optimizeVertexFetch(out->positions, out->triangles, indices, mesh->positions,
                                                    mesh->vertex_count, 3 * sizeof(float));
    out->vertex_capacity = mesh->vertex_count;
    return true;
}

/* How well a mesh prints: closed, manifold, outward, every triangle with an area. */
static bool sound(const kn_tris *mesh, bool *is_sound, kn_error *error) {
    kn_topology t;
    if (!kn_topology_check(mesh, &t, error)) return false;
    *is_sound = t.open_edges == 0 && t.bad_vertices == 0 && t.outward && t.degenerate == 0;
    return true;
}

bool kn_simplify(kn_tris *mesh, size_t target, kn_error *error) {
    if (target == 0 || mesh->triangle_count <= target) return true;
    kn_tris fewer;
    bool fast, ok = collapse(&fewer, mesh, target, error);
    if (!ok) return false;
    ok = sound(&fewer, &fast, error);
    if (ok && fast) {
        kn_tris_finish(mesh);
        *mesh = fewer;
        return true;
    }
    kn_tris_finish(&fewer);
    return ok && kn_collapse(mesh, target, error);
}
