/* What the reconstruction knows beforehand: given depth, gloss, flat undersides, mirror planes and walls. No device. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "mesh_shapes.h"

enum { VIEWS = 12, SIZE = 80 };

static kn_eye items[VIEWS];
static kn_eyes eyes = {.items = items, .count = VIEWS};

/* Pictures of a shape as eyes whose work frame is centred on it. */
static void look(kn_tris *truth, shape_kind kind, shape_paint paint) {
    kn_view_camera cameras[VIEWS];
    shape_make(truth, kind);
    orbit_cameras(cameras, VIEWS, (const double[]){-10, 15, 45}, 3, SIZE);
    for (int e = 0; e < VIEWS; e++) {
        kn_image picture;
        shape_render(&picture, truth, kind, paint, &cameras[e], 0);
        items[e] = shape_eye(&cameras[e]);
        items[e].rgb = kn_alloc(SIZE * SIZE, 3, NULL), items[e].mask = kn_alloc(SIZE * SIZE, 1, NULL),
        items[e].edge = kn_alloc(SIZE * SIZE, 4, NULL);
        for (size_t i = 0; i < SIZE * SIZE; i++)
            memcpy(items[e].rgb + 3 * i, picture.data + 4 * i, 3),
                items[e].mask[i] = picture.data[4 * i + 3] >= 128 ? 255 : 0;
        cr_assert(kn_mask_distance(items[e].mask, SIZE, SIZE, items[e].edge, NULL));
        kn_image_finish(&picture);
    }
}

static void forget(kn_tris *truth) {
    for (int e = 0; e < VIEWS; e++) {
        kn_eye *eye = &items[e];
        kn_free(eye->rgb), kn_free(eye->mask), kn_free(eye->edge), kn_free(eye->depth), kn_free(eye->normals);
        *eye = (kn_eye){0};
    }
    kn_tris_finish(truth);
}

Test(mesh_priors, given_depths_find_their_unit_and_shift) {
    kn_tris truth, start;
    kn_rng rng;
    kn_raster raster;
    kn_depth depths[VIEWS] = {{0}};
    look(&truth, SHAPE_CAR, PAINT_FLAT);
    kn_rng_init(&rng, 5);
    cr_assert(kn_raster_init(&raster, SIZE, SIZE, NULL));
    start = truth, start.positions = kn_alloc(truth.vertex_count, 12, NULL);
    for (size_t i = 0; i < 3 * truth.vertex_count; i++)
        start.positions[i] = 1.04f * truth.positions[i] - (i % 3 == 2 ? 0.006f : 0); /* a hull is larger */
    for (int e = 0; e < VIEWS; e++) {
        double unit = kn_rng_uniform(&rng, 0.5, 2), shift = kn_rng_uniform(&rng, -0.3, 0.3);
        kn_raster_draw(&raster, &items[e], &truth, false);
        items[e].depth = kn_alloc(SIZE * SIZE, 4, NULL);
        for (size_t i = 0; i < SIZE * SIZE; i++)
            if (raster.depth[i] > 0)
                items[e].depth[i] = (float)(unit * (raster.depth[i] + 0.003 * kn_rng_normal(&rng)) + shift);
    }
    cr_assert(kn_given_depths(depths, &eyes, &start, NULL));
    double sum = 0, count = 0;
    for (int e = 0; e < VIEWS; e++) {
        kn_raster_draw(&raster, &items[e], &truth, false);
        for (size_t i = 0; i < SIZE * SIZE; i++)
            if (raster.depth[i] > 0 && items[e].edge[i] < -4 && depths[e].planes[4 * i + 3] > 0)
                sum += fabs(depths[e].planes[4 * i + 2] - raster.depth[i]), count++;
        kn_free(depths[e].planes);
    }
    cr_assert(count > 1000 && sum / count < 0.006, "mean error %g over %g pixels", sum / count, count);
    kn_free(start.positions);
    kn_raster_finish(&raster);
    forget(&truth);
}

static void print_log(void *user, kn_log_level level, const char *line) {
    (void)user, (void)level, cr_log_info("%s", line);
}

Test(mesh_priors, only_what_shines_is_glossy) {
    static const bool expected[] = {[PAINT_TEXTURED] = false, [PAINT_FLAT] = false, [PAINT_GLOSSY] = true};
    for (int paint = 0; paint < 3; paint++) {
        kn_tris truth;
        bool glossy;
        kn_log log = {.callback = print_log, .level = KN_LOG_DEBUG};
        look(&truth, SHAPE_CAR, (shape_paint)paint);
        cr_assert(kn_gloss_find(&glossy, &eyes, &truth, &log, NULL));
        cr_assert_eq(glossy, expected[paint], "paint %d", paint);
        forget(&truth);
    }
}

/* A box from -a to a, with a cone below it down to -a[2] - bulge. */
static float bulged_box(const double p[3], const double a[3], double bulge) {
    double low = -a[2] - bulge * fmax(0, 1 - 1.2 * fmax(fabs(p[0]) / a[0], fabs(p[1]) / a[1]));
    return (float)fmax(fmax(fabs(p[0]) - a[0], fabs(p[1]) - a[1]), fmax(p[2] - a[2], low - p[2]));
}

static kn_grid fill(float **field, const double a[3], double bulge) {
    kn_grid grid = {.size = {50, 40, 36}, .origin = {-0.49, -0.39, -0.35}, .step = 0.02};
    *field = kn_alloc(kn_grid_count(&grid), 4, NULL);
    for (size_t i = 0; i < kn_grid_count(&grid); i++) {
        double p[3] = {-0.49 + 0.02 * (double)(i % 50), -0.39 + 0.02 * (double)(i / 50 % 40),
                       -0.35 + 0.02 * (double)(i / 2000)};
        (*field)[i] = bulged_box(p, a, bulge);
    }
    return grid;
}

Test(mesh_priors, a_bulge_that_no_silhouette_shows_is_cut_off) {
    const double a[3] = {0.4, 0.3, 0.2};
    float *box, *field;
    kn_tris truth, hull;
    kn_view_camera cameras[VIEWS];
    kn_raster raster;
    double height;
    kn_grid grid = fill(&box, a, 0);
    cr_assert(kn_tets_extract(&truth, &grid, box, NULL) && kn_raster_init(&raster, SIZE, SIZE, NULL));
    orbit_cameras(cameras, VIEWS, (const double[]){-10, 15, 45}, 3, SIZE);
    for (int e = 0; e < VIEWS; e++) {
        items[e] = shape_eye(&cameras[e]);
        items[e].mask = kn_alloc(SIZE * SIZE, 1, NULL), items[e].edge = kn_alloc(SIZE * SIZE, 4, NULL);
        kn_raster_draw(&raster, &items[e], &truth, false);
        for (size_t i = 0; i < SIZE * SIZE; i++) items[e].mask[i] = raster.depth[i] > 0 ? 255 : 0;
        cr_assert(kn_mask_distance(items[e].mask, SIZE, SIZE, items[e].edge, NULL));
    }
    fill(&field, a, 0.05);
    cr_assert(kn_tets_extract(&hull, &grid, field, NULL));
    cr_assert(kn_ground_cut(field, &grid, &eyes, &hull, &height, NULL));
    cr_assert(height > -0.235 && height < -0.185, "cut at %g, the box ends at -0.2", height);
    const double below[3] = {0, 0, -0.24};
    cr_assert_gt(kn_grid_sample(&grid, field, below), 0);
    kn_free(box), kn_free(field), kn_tris_finish(&hull);
    kn_raster_finish(&raster);
    forget(&truth);
}

Test(mesh_priors, a_mirror_image_fills_what_was_not_measured) {
    const double a[3] = {0.4, 0.25, 0.2};
    float *field;
    kn_tris mesh;
    kn_log log = {0};
    kn_grid grid = fill(&field, a, 0);
    float *weight = kn_alloc(kn_grid_count(&grid), 4, NULL);
    for (size_t i = 0; i < kn_grid_count(&grid); i++) { /* a dent in the side at +y, where nothing was measured */
        double p[3] = {-0.49 + 0.02 * (double)(i % 50), -0.39 + 0.02 * (double)(i / 50 % 40),
                       -0.35 + 0.02 * (double)(i / 2000)};
        bool dent = p[1] > 0.1 && fabs(p[0]) < 0.15 && fabs(p[2]) < 0.1;
        field[i] = fmaxf(field[i], (float)(0.6 * p[0] + p[2] - 0.15)); /* a slope, so that front and back differ */
        weight[i] = dent ? 0 : 5;
        if (dent) field[i] += 0.05f;
    }
    cr_assert(kn_tets_extract(&mesh, &grid, field, NULL));
    const double in_dent[3] = {0, 0.23, 0}, elsewhere[3] = {0.38, 0, 0};
    float before = kn_grid_sample(&grid, field, elsewhere);
    cr_assert_gt(kn_grid_sample(&grid, field, in_dent), 0.01);
    cr_assert(kn_symmetrize(field, weight, &grid, &mesh, &log, NULL));
    cr_assert_lt(kn_grid_sample(&grid, field, in_dent), 0);
    cr_assert_float_eq(kn_grid_sample(&grid, field, elsewhere), before, 0.01);
    kn_free(field), kn_free(weight), kn_tris_finish(&mesh);
}

/* How far the surface's vertices near the wall at +x lie from it: standard deviation, and mean. */
static double wall(const kn_tris *mesh, double *mean) {
    double sum = 0, squares = 0, count = 0;
    for (size_t v = 0; v < mesh->vertex_count; v++) {
        const float *p = mesh->positions + 3 * v;
        if (fabsf(p[1]) > 0.24f || fabsf(p[2]) > 0.14f || p[0] < 0) continue; /* away from its edges */
        sum += p[0], squares += p[0] * p[0], count++;
    }
    cr_assert_gt(count, 100);
    *mean = sum / count;
    return sqrt(fmax(squares / count - *mean * *mean, 0));
}

Test(mesh_priors, walls_become_flat_and_keep_their_edges) {
    const double a[3] = {0.4, 0.3, 0.2};
    float *field, *hull;
    kn_tris rough, mesh;
    kn_rng rng;
    kn_topology topology;
    kn_log log = {0};
    kn_grid grid = fill(&field, a, 0);
    kn_rng_init(&rng, 9);
    size_t count = kn_grid_count(&grid);
    float *weight = kn_alloc(count, 4, NULL), *copy = kn_alloc(count, 4, NULL);
    fill(&hull, (const double[]){0.41, 0.31, 0.21}, 0);
    for (size_t i = 0; i < count; i++)
        field[i] += (float)(0.003 * kn_rng_normal(&rng)), copy[i] = field[i], weight[i] = 2;
    cr_assert(kn_tets_extract(&rough, &grid, copy, NULL) && kn_relief(field, weight, hull, &grid, false, &log, NULL));
    cr_assert(kn_tets_extract(&mesh, &grid, field, NULL) && kn_topology_keep_large(&mesh, 0.02, NULL) &&
              kn_topology_check(&mesh, &topology, NULL));
    cr_assert(topology.open_edges == 0 && topology.bad_vertices == 0 && topology.outward);
    double before, after, noise = wall(&rough, &before), left = wall(&mesh, &after), far = 0;
    cr_assert(noise > 0.0015 && left < 0.0002, "deviation %g, before %g", left, noise);
    cr_assert_float_eq(after, 0.4, 0.002);
    for (size_t v = 0; v < mesh.vertex_count; v++) far = fmax(far, mesh.positions[3 * v]);
    cr_assert_float_eq(far, 0.4, 0.003, "the box ends at %g", far);
    const double corner[3] = {0.385, 0.285, 0.185};
    cr_assert_lt(kn_grid_sample(&grid, field, corner), 0.002, "the corner is cut off");
    kn_free(field), kn_free(hull), kn_free(weight), kn_free(copy), kn_tris_finish(&mesh), kn_tris_finish(&rough);
}

Test(mesh_priors, a_ball_loses_its_waves_but_stays_round) {
    kn_grid grid = {.size = {60, 60, 60}, .origin = {-0.59, -0.59, -0.59}, .step = 0.02};
    size_t count = kn_grid_count(&grid);
    float *field = kn_alloc(count, 4, NULL), *hull = kn_alloc(count, 4, NULL), *weight = kn_alloc(count, 4, NULL);
    kn_log log = {0};
    for (size_t i = 0; i < count; i++) { /* a waffle of four voxels, where nothing was measured */
        double p[3] = {-0.59 + 0.02 * (double)(i % 60), -0.59 + 0.02 * (double)(i / 60 % 60),
                       -0.59 + 0.02 * (double)(i / 3600)};
        double r = sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]);
        hull[i] = (float)(r - 0.41);
        field[i] = (float)(r - 0.4 + 0.004 * sin(p[0] * 78) * sin(p[1] * 78) * sin(p[2] * 78));
    }
    cr_assert(kn_relief(field, weight, hull, &grid, false, &log, NULL));
    kn_tris mesh;
    cr_assert(kn_tets_extract(&mesh, &grid, field, NULL));
    double sum = 0, squares = 0;
    for (size_t v = 0; v < mesh.vertex_count; v++) {
        const float *p = mesh.positions + 3 * v;
        double r = sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]);
        sum += r, squares += r * r;
    }
    double mean = sum / (double)mesh.vertex_count,
           deviation = sqrt(fmax(squares / (double)mesh.vertex_count - mean * mean, 0));
    cr_assert_float_eq(mean, 0.4, 0.002, "%g", mean);
    cr_assert_lt(deviation, 0.0006, "%g", deviation);
    kn_free(field), kn_free(hull), kn_free(weight), kn_tris_finish(&mesh);
}
