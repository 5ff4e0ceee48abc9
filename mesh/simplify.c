/* Fewer triangles: meshoptimizer's edge collapse, and a check that what comes out is still closed and manifold. */
#include "mesh/mesh.h"

#include <meshoptimizer.h>
#include <string.h>

/* Replaces the mesh's triangles by a simplified set; vertices nothing uses are dropped. */
static bool collapse(kn_tris *out, const kn_tris *mesh, size_t target, kn_error *error) {
    *out = (kn_tris){0};
    out->triangles = kn_alloc(3 * mesh->triangle_count, sizeof(uint32_t), error);
    out->positions = kn_alloc(mesh->vertex_count, 3 * sizeof(float), error);
    if (!out->triangles || !out->positions) return kn_tris_finish(out), false;
    size_t indices = meshopt_simplify(out->triangles, mesh->triangles, 3 * mesh->triangle_count, mesh->positions, mesh->vertex_count, 3 * sizeof(float), 3 * target,
                                      0.02f, 0, NULL);
    out->triangle_count = out->triangle_capacity = indices / 3;
    out->vertex_count = meshopt_optimizeVertexFetch(out->positions, out->triangles, indices, mesh->positions, mesh->vertex_count, 3 * sizeof(float));
    out->vertex_capacity = mesh->vertex_count;
    return true;
}

bool kn_simplify(kn_tris *mesh, size_t target, kn_error *error) {
    if (target == 0 || mesh->triangle_count <= target) return true;
    for (int attempt = 0; attempt < 5 && target < mesh->triangle_count; attempt++, target += target / 7 + 1) {
        kn_tris fewer;
        kn_topology topology;
        if (!collapse(&fewer, mesh, target, error)) return false;
        bool checked = kn_topology_check(&fewer, &topology, error);
        if (checked && topology.open_edges == 0 && topology.bad_vertices == 0 && topology.outward && topology.degenerate == 0) {
            kn_tris_finish(mesh);
            *mesh = fewer;
            return true;
        }
        kn_tris_finish(&fewer);
        if (!checked) return false;
    }
    return true; /* keeps all triangles rather than a broken surface */
}
