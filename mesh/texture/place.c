/* True scale and place of a surface, and what can be measured on it. */
#include "mesh/views/mesh.h"

#include <string.h>

double kn_upright_box(const float *positions, size_t count, double sides[2]) {
    double best = 1e300, turn = 0;
    sides[0] = sides[1] = 0;
    for (int step = 0; step < 180; step++) {
        double angle = step * M_PI / 360, c = cos(angle), s = sin(angle), low[2] = {1e300, 1e300},
               high[2] = {-1e300, -1e300};
        for (size_t v = 0; v < count; v++) {
            double x = positions[3 * v], y = positions[3 * v + 1], p[2] = {c * x + s * y, c * y - s * x};
            for (int i = 0; i < 2; i++) low[i] = fmin(low[i], p[i]), high[i] = fmax(high[i], p[i]);
        }
        double a = high[0] - low[0], b = high[1] - low[1];
        if (count && a * b < best * (1 - 1e-9))
            best = a * b, turn = angle, sides[0] = fmax(a, b), sides[1] = fmin(a, b);
    }
    return turn;
}

bool kn_place(kn_surface *surface, const kn_tris *work, float *normals, const kn_eyes *eyes,
              const kn_surface_params *params, kn_error *error) {
    double low[3] = {1e300, 1e300, 1e300}, high[3] = {-1e300, -1e300, -1e300}, sides[2], scale;
    for (size_t v = 0; v < 3 * work->vertex_count; v++)
        low[v % 3] = fmin(low[v % 3], work->positions[v]), high[v % 3] = fmax(high[v % 3], work->positions[v]);
    kn_upright_box(work->positions, work->vertex_count, sides);
    if (params->length > 0) scale = params->length / sides[0];
    else if (params->width > 0) scale = params->width / sides[1];
    else if (params->height > 0) scale = params->height / (high[2] - low[2]);
    else
        scale =
            1 / sqrt(eyes->from_input[0][0] * eyes->from_input[0][0] + eyes->from_input[0][1] * eyes->from_input[0][1] +
                     eyes->from_input[0][2] * eyes->from_input[0][2]);
    const double center[3] = {(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]};
    surface->positions = kn_alloc(work->vertex_count, 3 * sizeof(float), error);
    surface->triangles = kn_alloc(work->triangle_count, 3 * sizeof(uint32_t), error);
    surface->normals = normals;
    if (!surface->positions || !surface->triangles || !surface->normals) return false;
    surface->vertex_count = work->vertex_count, surface->triangle_count = work->triangle_count;
    memcpy(surface->triangles, work->triangles, work->triangle_count * 3 * sizeof(uint32_t));
    for (size_t v = 0; v < 3 * work->vertex_count; v++)
        surface->positions[v] = (float)(scale * (work->positions[v] - center[v % 3]));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            surface->from_input[i][j] = scale * (eyes->from_input[i][j] - (j == 3 ? center[i] : 0));
    return true;
}

/* Shares of the area that looks down, sideways and up which no picture saw. */
static void measure_unseen(const kn_surface *s, double shares[3]) {
    double all[3] = {0}, dark[3] = {0};
    for (size_t t = 0; t < s->triangle_count; t++) {
        const uint32_t *i = s->triangles + 3 * t;
        const float *a = s->positions + 3 * (size_t)i[0], *b = s->positions + 3 * (size_t)i[1],
                    *c = s->positions + 3 * (size_t)i[2];
        kn_vec3 n = kn_vec3_cross((kn_vec3){b[0] - a[0], b[1] - a[1], b[2] - a[2]},
                                  (kn_vec3){c[0] - a[0], c[1] - a[1], c[2] - a[2]});
        double area = kn_vec3_length(n), seen = 0;
        int side = n.z < -0.7 * area ? 0 : n.z > 0.7 * area ? 2 : 1;
        for (int k = 0; k < 3; k++) seen += s->confidence[i[k]] > 0;
        all[side] += area, dark[side] += area * (1 - seen / 3);
    }
    for (int k = 0; k < 3; k++) shares[k] = all[k] > 0 ? dark[k] / all[k] : 0;
}

bool kn_surface_measure(const kn_surface *surface, kn_surface_facts *facts, kn_error *error) {
    *facts = (kn_surface_facts){.triangles = surface->triangle_count, .vertices = surface->vertex_count};
    kn_tris mesh = {.positions = surface->positions,
                    .triangles = surface->triangles,
                    .vertex_count = surface->vertex_count,
                    .triangle_count = surface->triangle_count};
    kn_topology topology;
    if (!kn_topology_check(&mesh, &topology, error)) return false;
    facts->components = topology.components, facts->closed = topology.open_edges == 0 && topology.components > 0;
    facts->manifold = facts->closed && topology.bad_vertices == 0, facts->outward = topology.outward;
    facts->degenerate = topology.degenerate, facts->volume = topology.volume, facts->area = topology.area;
    double low[3] = {1e300, 1e300, 1e300}, high[3] = {-1e300, -1e300, -1e300}, sides[2], sum[3] = {0}, number[3] = {0},
           unseen = 0;
    for (size_t v = 0; v < 3 * mesh.vertex_count; v++)
        low[v % 3] = fmin(low[v % 3], mesh.positions[v]), high[v % 3] = fmax(high[v % 3], mesh.positions[v]);
    for (int i = 0; i < 3; i++) facts->size[i] = mesh.vertex_count ? high[i] - low[i] : 0;
    kn_upright_box(mesh.positions, mesh.vertex_count, sides);
    facts->length = sides[0], facts->width = sides[1];
    for (size_t v = 0; v < mesh.vertex_count && surface->confidence; v++) {
        int third = (int)fmin(2, 3 * (mesh.positions[3 * v + 2] - low[2]) / fmax(facts->size[2], 1e-12));
        sum[third] += surface->confidence[v], number[third]++;
        unseen += surface->confidence[v] <= 0;
    }
    for (int i = 0; i < 3; i++) facts->confidence[i] = number[i] > 0 ? sum[i] / number[i] : 0;
    if (surface->confidence) measure_unseen(surface, facts->unseen_sides);
    facts->unseen = mesh.vertex_count ? unseen / (double)mesh.vertex_count : 0;
    return true;
}
