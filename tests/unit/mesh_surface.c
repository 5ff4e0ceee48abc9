/* Extraction, topology, simplification, charts, masks: without a device. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "mesh_shapes.h"

/* A field of random numbers, smoothed a little: every awkward configuration of signs occurs. */
static float *random_field(const kn_grid *grid, uint64_t seed, bool smooth) {
    size_t n = kn_grid_count(grid), w = (size_t)grid->size[0], s = w * (size_t)grid->size[1];
    float *v = kn_alloc(n, 4, NULL), *out = kn_alloc(n, 4, NULL);
    kn_rng rng;
    kn_rng_init(&rng, seed);
    for (size_t i = 0; i < n; i++) v[i] = (float)kn_rng_uniform(&rng, -1, 1);
    for (size_t i = 0; i < n; i++)
        out[i] = smooth && i >= s && i + s < n ? v[i] + v[i - 1] + v[i + 1] + v[i - w] + v[i + w] + v[i - s] + v[i + s]
                                               : v[i];
    kn_free(v);
    return out;
}

static kn_topology check(const kn_tris *mesh) {
    kn_topology t;
    cr_assert(kn_topology_check(mesh, &t, NULL));
    return t;
}

Test(mesh_surface, random_fields_give_closed_manifold_surfaces) {
    for (uint64_t seed = 0; seed < 6; seed++) {
        kn_grid grid = {.size = {13, 11, 12}, .step = 0.1};
        float *field = random_field(&grid, seed, seed & 1);
        kn_tris mesh;
        cr_assert(kn_tets_extract(&mesh, &grid, field, NULL));
        kn_topology t = check(&mesh);
        cr_assert_gt(mesh.triangle_count, 100);
        cr_assert_eq(t.open_edges, 0);
        cr_assert_eq(t.bad_vertices, 0);
        cr_assert_eq(t.degenerate, 0);
        kn_tris_finish(&mesh);
        kn_free(field);
    }
}

/* A sphere of radius 0.4. */
static kn_tris sphere(int n) {
    kn_grid grid = {.size = {n, n, n}, .origin = {-0.5, -0.5, -0.5}, .step = 1.0 / (n - 1)};
    float *field = kn_alloc(kn_grid_count(&grid), 4, NULL);
    for (int i = 0; i < n * n * n; i++) {
        double x = grid.step * (i % n) - 0.5, y = grid.step * (i / n % n) - 0.5, z = grid.step * (i / n / n) - 0.5;
        field[i] = (float)(sqrt(x * x + y * y + z * z) - 0.4);
    }
    kn_tris mesh;
    cr_assert(kn_tets_extract(&mesh, &grid, field, NULL));
    kn_free(field);
    return mesh;
}

Test(mesh_surface, a_sphere_has_its_volume_and_area_and_faces_outward) {
    kn_tris mesh = sphere(33);
    kn_topology t = check(&mesh);
    cr_assert_eq(t.components, 1);
    cr_assert(t.outward);
    cr_assert_float_eq(t.volume, 4.0 / 3 * M_PI * 0.064, 0.002);
    cr_assert_float_eq(t.area, 4 * M_PI * 0.16, 0.02);
    kn_tris_finish(&mesh);
}

Test(mesh_surface, the_check_sees_holes_turned_triangles_and_pinches) {
    kn_tris mesh = sphere(12);
    uint32_t *last = mesh.triangles + 3 * (mesh.triangle_count - 1), kept = last[1];
    last[1] = last[2], last[2] = kept;
    cr_assert_gt(check(&mesh).open_edges, 0);
    last[2] = last[1], last[1] = kept;
    cr_assert_eq(check(&mesh).open_edges, 0);
    mesh.triangle_count--;
    cr_assert_eq(check(&mesh).open_edges, 3);
    kn_tris_finish(&mesh);
    /* two tetrahedra that share a vertex */
    float p[7][3] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {-1, 0, 0}, {0, -1, 0}, {0, 0, -1}};
    uint32_t t[8][3] = {{0, 2, 1}, {0, 1, 3}, {0, 3, 2}, {1, 2, 3}, {0, 4, 5}, {0, 6, 4}, {0, 5, 6}, {4, 6, 5}};
    kn_topology pinched =
        check(&(kn_tris){.positions = p[0], .triangles = t[0], .vertex_count = 7, .triangle_count = 8});
    cr_assert_eq(pinched.open_edges, 0);
    cr_assert_eq(pinched.bad_vertices, 1);
}

Test(mesh_surface, inside_out_is_seen) {
    kn_tris mesh = sphere(10);
    for (size_t i = 0; i < mesh.triangle_count; i++) {
        uint32_t kept = mesh.triangles[3 * i];
        mesh.triangles[3 * i] = mesh.triangles[3 * i + 1], mesh.triangles[3 * i + 1] = kept;
    }
    cr_assert(!check(&mesh).outward);
    kn_tris_finish(&mesh);
}

Test(mesh_surface, only_large_components_stay) {
    kn_grid grid = {.size = {24, 12, 12}, .step = 1};
    float *field = kn_alloc(kn_grid_count(&grid), 4, NULL);
    for (int i = 0; i < 24 * 144; i++) {
        double x = i % 24, y = i / 24 % 12 - 5.5, z = i / 288 - 5.5;
        field[i] =
            (float)fmin(sqrt((x - 6) * (x - 6) + y * y + z * z) - 4, sqrt((x - 18) * (x - 18) + y * y + z * z) - 1.6);
    }
    kn_tris mesh;
    cr_assert(kn_tets_extract(&mesh, &grid, field, NULL));
    cr_assert_eq(check(&mesh).components, 2);
    cr_assert(kn_topology_keep_large(&mesh, 0.02, NULL));
    cr_assert_eq(check(&mesh).components, 2);
    cr_assert(kn_topology_keep_large(&mesh, 0.5, NULL));
    kn_topology t = check(&mesh);
    cr_assert_eq(t.components, 1);
    cr_assert_eq(t.open_edges, 0);
    kn_tris_finish(&mesh);
    kn_free(field);
}

Test(mesh_surface, simplifying_keeps_surfaces_closed) {
    for (int kind = 0; kind < 4; kind++) {
        kn_grid grid = {.size = {19, 18, 17}, .step = 0.05};
        float *field = kind ? random_field(&grid, (uint64_t)kind, true) : NULL;
        kn_tris mesh = kind ? (kn_tris){0} : sphere(25);
        if (kind) cr_assert(kn_tets_extract(&mesh, &grid, field, NULL));
        size_t before = mesh.triangle_count;
        double volume = check(&mesh).volume;
        cr_assert(kind == 1 ? kn_simplify(&mesh, before / 8, NULL) : kn_collapse(&mesh, before / 8, NULL));
        kn_topology t = check(&mesh);
        cr_assert_lt(mesh.triangle_count, before / 2);
        cr_assert_eq(t.open_edges, 0);
        cr_assert_eq(t.bad_vertices, 0);
        if (kind == 0) cr_assert_leq(mesh.triangle_count, before / 8 + 1);
        if (kind == 0) cr_assert_float_eq(t.volume, volume, 0.01 * volume);
        kn_tris_finish(&mesh);
        kn_free(field);
    }
}

Test(mesh_surface, charts_lie_in_the_texture_and_do_not_overlap) {
    enum { SIZE = 256 };
    kn_tris mesh = sphere(17);
    kn_surface surface = {.vertex_count = mesh.vertex_count,
                          .triangle_count = mesh.triangle_count,
                          .positions = mesh.positions,
                          .triangles = mesh.triangles};
    surface.normals = kn_tris_normals(&mesh, NULL);
    cr_assert(kn_atlas(&surface, SIZE, NULL));
    cr_assert_geq(surface.chart_count, 6);
    static uint32_t owner[SIZE][SIZE];
    size_t clashes = 0, covered = 0;
    for (size_t t = 0; t < mesh.triangle_count; t++) {
        double p[3][2];
        for (int i = 0; i < 6; i++) {
            p[i / 2][i % 2] = surface.corners[6 * t + (size_t)i] * SIZE;
            cr_assert(p[i / 2][i % 2] >= 1 && p[i / 2][i % 2] <= SIZE - 1);
        }
        double area = (p[1][0] - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (p[1][1] - p[0][1]);
        for (int y = 0; y < SIZE && fabs(area) > 1e-9; y++) /* those seen edge-on cover nothing */
            for (int x = 0; x < SIZE; x++) {
                double b = ((x + .5 - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (y + .5 - p[0][1])) / area;
                double c = ((p[1][0] - p[0][0]) * (y + .5 - p[0][1]) - (x + .5 - p[0][0]) * (p[1][1] - p[0][1])) / area;
                if (b < 1e-3 || c < 1e-3 || b + c > 0.999) continue;
                clashes += owner[y][x] != 0, covered++;
                owner[y][x] = surface.charts[t] + 1;
            }
    }
    cr_assert_eq(clashes, 0, "%zu of %zu cells, %u charts", clashes, covered, surface.chart_count);
    cr_assert_gt(covered, 1000);
    kn_free(surface.normals), kn_free(surface.corners), kn_free(surface.charts), kn_free(surface.chart_axes);
    kn_tris_finish(&mesh);
}

Test(mesh_surface, masks_from_plain_backgrounds) {
    kn_view_camera camera;
    kn_tris mesh;
    kn_image picture, alpha;
    shape_make(&mesh, SHAPE_CAR);
    orbit_cameras(&camera, 1, (const double[]){20}, 1, 97);
    shape_render(&picture, &mesh, SHAPE_CAR, PAINT_FLAT, &camera, 205);
    shape_render(&alpha, &mesh, SHAPE_CAR, PAINT_FLAT, &camera, 0);
    static uint8_t found[97 * 97], truth[97 * 97];
    cr_assert(kn_mask_plain(&picture, found, NULL));
    cr_assert(kn_mask_alpha(&alpha, truth));
    size_t both = 0, either = 0;
    for (int i = 0; i < 97 * 97; i++) both += found[i] && truth[i], either += found[i] || truth[i];
    cr_assert_gt((double)both, 0.94 * (double)either);
    kn_rng rng;
    kn_rng_init(&rng, 1);
    for (int i = 0; i < 97 * 97 * 4; i++) picture.data[i] = (uint8_t)kn_rng_int(&rng, 0, 255);
    cr_assert(!kn_mask_plain(&picture, found, NULL), "noise is no plain background");
    kn_image_finish(&picture), kn_image_finish(&alpha), kn_tris_finish(&mesh);
}

Test(mesh_surface, distances_match_a_naive_search) {
    enum { W = 23, H = 17 };
    uint8_t mask[W * H] = {0};
    float fast[W * H];
    for (int i = 0; i < W * H; i++) mask[i] = (i % W - 9) * (i % W - 9) + (i / W - 8) * (i / W - 8) < 30 ? 255 : 0;
    cr_assert(kn_mask_distance(mask, W, H, fast, NULL));
    for (int i = 0; i < W * H; i++) {
        double best = 1e9;
        for (int j = 0; j < W * H; j++)
            if (mask[i] != mask[j]) best = fmin(best, hypot(i % W - j % W, i / W - j / W));
        cr_assert_float_eq(fast[i], mask[i] ? -(best - 0.5) : best - 0.5, 1e-4);
    }
}

Test(mesh_surface, the_score_of_a_surface_with_itself_is_one) {
    kn_view_camera cameras[6];
    kn_tris mesh;
    shape_make(&mesh, SHAPE_BUILDING);
    orbit_cameras(cameras, 6, (const double[]){20}, 1, 64);
    shape_score s = shape_compare(&mesh, &mesh, cameras, 6, 0.01, 500);
    cr_assert_float_eq(s.f, 1, 1e-9);
    cr_assert_lt(s.chamfer, 1e-5);
    kn_tris_finish(&mesh);
}
