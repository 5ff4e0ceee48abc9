/* Stages of a scene's reconstruction without a device: sparse points, the region, repairs of depth maps, filling of
 * what is unknown. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "mesh/surface/scene.h"
#include "tests/unit/mesh_still_life.h"

static const kn_log quiet = {0};

static double random01(uint64_t *state) { return (double)(kn_hash64((*state)++) >> 11) * 0x1p-53; }

/* A ring of eyes that look at the origin from `height`. */
static kn_eyes ring(size_t count, double height) {
    kn_eyes eyes = {.items = kn_alloc(count, sizeof(kn_eye), NULL),
                    .count = count,
                    .from_input = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}},
                    .no_mask = true};
    for (size_t i = 0; i < count; i++)
        eyes.items[i] = still_life_eye(2 * M_PI * (double)i / (double)count, height, 160, 120);
    return eyes;
}

/* Points on a table, on a box that stands on it, on a far wall and false ones. */
static kn_cloud make_cloud(double tilt, bool table) {
    enum { COUNT = 1200 };
    kn_cloud cloud = {.points = kn_alloc(COUNT, sizeof *cloud.points, NULL)};
    uint64_t state = 7;
    for (int i = 0; i < COUNT; i++) {
        double u = random01(&state), v = random01(&state), w = random01(&state),
               p[3] = {0.6 * u - 0.3, 0.4 * v - 0.2, 0.5};
        if (i % 3 == 1) p[i & 4 ? 0 : 1] = (i & 4 ? 0.3 : 0.2) * (i & 8 ? 1 : -1), p[2] = 0.5 * w;
        if (i % 3 == 2 && table) p[0] = 2.4 * u - 1.2, p[1] = 2.4 * v - 1.2, p[2] = 0.004 * (w - 0.5);
        if (i % 9 == 4 && table) p[0] = 0.9 + 0.1 * u, p[1] = 0.8 + 0.1 * v, p[2] = 0.2 * w; /* something else on it */
        if (i % 20 == 5) p[0] = 8 * u - 4, p[1] = 6 + w, p[2] = 3 * v;
        if (i % 50 == 11) p[0] = 3 * u - 1.5, p[1] = 3 * v - 1.5, p[2] = 3 * w - 1.5;
        const double turned[3] = {p[0], cos(tilt) * p[1] - sin(tilt) * (p[2] - 0.2),
                                  sin(tilt) * p[1] + cos(tilt) * (p[2] - 0.2)};
        memcpy(cloud.points[cloud.count++], turned, sizeof turned);
    }
    return cloud;
}

Test(mesh_scene, the_region_holds_what_stands_on_the_table_and_little_else) {
    kn_eyes eyes = ring(12, 1.2);
    for (int k = 0; k < 2; k++) {
        double tilt = 0.25 * k;
        kn_cloud cloud = make_cloud(tilt, true);
        kn_region region;
        cr_assert(kn_region_find(&region, &cloud, &eyes, &quiet, NULL));
        cr_assert(region.has_ground);
        const double up[3] = {0, -sin(tilt), cos(tilt)};
        cr_assert_gt(region.ground[0] * up[0] + region.ground[1] * up[1] + region.ground[2] * up[2], cos(0.02),
                     "the table's normal");
        for (int c = 0; c < 8; c++) { /* the box's corners, a little above the table */
            const double q[3] = {c & 1 ? 0.3 : -0.3, c & 2 ? 0.2 : -0.2, (c & 4 ? 0.5 : 0.02) - 0.2};
            const double p[3] = {q[0], cos(tilt) * q[1] - sin(tilt) * q[2], sin(tilt) * q[1] + cos(tilt) * q[2]};
            cr_assert_lt(kn_region_distance(&region, p), 0, "corner %d lies %.3f outside", c,
                         kn_region_distance(&region, p));
        }
        const double other[3] = {0.95, cos(tilt) * 0.85 + sin(tilt) * 0.1, sin(tilt) * 0.85 - cos(tilt) * 0.1};
        cr_assert_gt(kn_region_distance(&region, other), 0, "another thing on the table is in it");
        double low[3], high[3];
        kn_region_bounds(&region, low, high);
        cr_assert_lt(high[0] - low[0], 1.3);
        cr_assert_lt(high[2] - low[2], 1.3);
        cr_assert_gt(region.bottom, region.ground[3] - 0.1);
        cr_assert_lt(region.bottom, region.ground[3]);
        kn_cloud_finish(&cloud);
    }
    kn_eyes_finish(&eyes);
}

Test(mesh_scene, nothing_to_stand_on_is_no_plane) {
    kn_eyes eyes = ring(12, 0.4);
    kn_cloud cloud = make_cloud(0, false);
    uint64_t state = 99;
    for (size_t i = 0; i < cloud.count; i++) { /* a ball of points */
        double z = 2 * random01(&state) - 1, a = 2 * M_PI * random01(&state), r = 0.35 * cbrt(random01(&state));
        const double p[3] = {r * sqrt(1 - z * z) * cos(a), r * sqrt(1 - z * z) * sin(a), r * z};
        memcpy(cloud.points[i], p, sizeof p);
    }
    kn_region region;
    cr_assert(kn_region_find(&region, &cloud, &eyes, &quiet, NULL));
    cr_assert_not(region.has_ground);
    cr_assert_lt(kn_region_distance(&region, (const double[3]){0, 0, 0.3}), 0);
    cr_assert_lt(kn_region_distance(&region, (const double[3]){0.3, 0, 0}), 0);
    kn_cloud_finish(&cloud), kn_eyes_finish(&eyes);
}

Test(mesh_scene, a_region_follows_the_work_frame) {
    kn_eyes eyes = ring(5, 1);
    kn_cloud cloud = make_cloud(0.1, true);
    kn_region region, box;
    cr_assert(kn_region_find(&region, &cloud, &eyes, &quiet, NULL));
    const double wanted[6] = {-0.4, -0.3, -0.1, 0.5, 0.35, 0.6}, p[3] = {0.1, 0.2, 0.3}, center[3] = {0.3, -0.2, 0.5};
    const double turn[3][3] = {{0, -1, 0}, {0.6, 0, -0.8}, {0.8, 0, 0.6}};
    double before = kn_region_distance(&region, p), q[3], found[6];
    for (int i = 0; i < 3; i++) q[i] = turn[i][0] * p[0] + turn[i][1] * p[1] + turn[i][2] * p[2];
    for (int i = 0; i < 3; i++) q[i] = 2.5 * (q[i] - center[i]);
    kn_eyes_turn(&eyes, turn), kn_eyes_move(&eyes, center, 2.5);
    kn_region_turn(&region, turn), kn_region_move(&region, center, 2.5);
    cr_assert_float_eq(kn_region_distance(&region, q), 2.5 * before, 1e-9);
    box = region;
    kn_region_set_box(&box, wanted, &eyes);
    kn_region_get_box(&box, found, &eyes);
    for (int i = 0; i < 6; i++)
        cr_assert_float_eq(found[i], wanted[i], 1e-9, "side %d: %g, expected %g", i, found[i], wanted[i]);
    cr_assert_float_eq(kn_region_distance(&box, q), 2.5 * (p[1] - 0.35 > p[2] - 0.6 ? p[1] - 0.35 : p[2] - 0.6), 1e-9);
    kn_cloud_finish(&cloud), kn_eyes_finish(&eyes);
}

Test(mesh_scene, sparse_points_lie_on_the_surfaces) {
    kn_error error = {0};
    kn_eyes eyes = ring(9, 1.1);
    for (size_t e = 0; e < eyes.count; e++) {
        kn_eye *eye = &eyes.items[e];
        eye->rgb = kn_alloc((size_t)eye->width * (size_t)eye->height, 3, NULL);
        still_life_render(eye, eye->rgb, NULL);
    }
    kn_cloud cloud;
    cr_assert(kn_cloud_find(&cloud, &eyes, &quiet, &error), "%s", error.message);
    size_t good = 0;
    for (size_t i = 0; i < cloud.count; i++) {
        cr_assert_geq(cloud.first[i + 1] - cloud.first[i], 2);
        good += fabs(still_life_distance(cloud.points[i])) < 0.02;
    }
    cr_assert_geq(cloud.count, 100, "%zu points", cloud.count);
    cr_assert_gt((double)good, 0.9 * (double)cloud.count, "%zu of %zu points lie on a surface", good, cloud.count);
    kn_cloud_finish(&cloud), kn_eyes_finish(&eyes);
}

Test(mesh_scene, pictures_without_detail_are_refused) {
    kn_error error = {0};
    kn_eyes eyes = ring(4, 1.1);
    for (size_t e = 0; e < eyes.count; e++) {
        eyes.items[e].rgb = kn_alloc(160 * 120, 3, NULL);
        memset(eyes.items[e].rgb, 90, 160 * 120 * 3);
    }
    kn_cloud cloud;
    cr_assert_not(kn_cloud_find(&cloud, &eyes, &quiet, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
    cr_assert(strstr(error.message, "points of the scene"), "%s", error.message);
    kn_eyes_finish(&eyes);
}

Test(mesh_scene, speckles_go_and_holes_close) {
    enum { W = 61, H = 47 };
    kn_depth depth = {.planes = kn_alloc(W * H, 16, NULL)};
    for (int i = 0; i < W * H; i++) {
        float *p = depth.planes + 4 * i;
        int x = i % W, y = i / W;
        if (x < 40) p[2] = 2 + 0.01f * (float)x, p[3] = 0.8f; /* a wall */
        if (x < 28 && y < 14) p[3] = 0;                       /* a large part of it that nothing confirms */
        if (x >= 15 && x < 22 && y >= 20 && y < 27) p[3] = 0; /* a hole in it */
        if (x >= 30 && x < 34 && y >= 5 && y < 9) p[2] = 1;   /* a speckle before it */
        if (x >= 50 && x < 54 && y >= 30 && y < 34) p[2] = 3, p[3] = 0.5f; /* one beside it */
    }
    cr_assert(kn_scan_despeckle(&depth, W, H, 30, NULL));
    cr_assert_eq(depth.planes[4 * (7 * W + 32) + 3], 0);
    cr_assert_eq(depth.planes[4 * (32 * W + 52) + 3], 0);
    cr_assert_gt(depth.planes[4 * (40 * W + 5) + 3], 0.7f);
    cr_assert_float_eq(depth.planes[4 * (3 * W + 3) + 3], KN_WEAK, 1e-6f);
    cr_assert_eq(depth.planes[4 * (23 * W + 18) + 3], 0, "small patches need a witness");
    cr_assert(kn_scan_fill(&depth, W, H, NULL));
    const float *hole = depth.planes + 4 * (23 * W + 18);
    cr_assert_gt(hole[3], 0);
    cr_assert_lt(hole[3], 0.1f);
    cr_assert_float_eq(hole[2], 2.18f, 0.02f);
    cr_assert_eq(depth.planes[4 * (32 * W + 52) + 3], 0, "what is open to the side is no hole");
    kn_free(depth.planes);
}

Test(mesh_scene, what_is_unknown_closes_smoothly) {
    enum { N = 41 };
    float *field = kn_alloc(N * N * N, sizeof *field, NULL), *weight = kn_alloc(N * N * N, sizeof *weight, NULL);
    size_t wrong = 0;
    for (int i = 0; i < N * N * N;
         i++) { /* a ball that is measured near its surface but for a cap of it, and free space outside */
        double x = i % N - 20, y = i / N % N - 20, z = i / (N * N) - 20, d = sqrt(x * x + y * y + z * z) - 12;
        bool cap = z < -9 && hypot(x, y) < 9;
        field[i] = (float)fmin(fmax(d, -3), 3);
        weight[i] = cap ? 0 : d > -3 ? 1 : 0;
        if (!(weight[i] > 0)) field[i] = 1e3f; /* must not be read */
    }
    cr_assert(kn_field_fill(field, weight, (const int[]){N, N, N}, NULL));
    for (int i = 0; i < N * N * N; i++) {
        double x = i % N - 20, y = i / N % N - 20, z = i / (N * N) - 20, d = sqrt(x * x + y * y + z * z) - 12;
        cr_assert(isfinite(field[i]) && fabsf(field[i]) < 3.5f, "%g", (double)field[i]);
        wrong += fabs(d) > 4 && (field[i] < 0) != (d < 0);
    }
    cr_assert_lt(wrong, 60, "%zu voxels far from the surface have the wrong sign", wrong);
    kn_free(field), kn_free(weight);
}

Test(mesh_scene, different_exposures_become_one) {
    kn_eyes eyes = ring(4, 1.1);
    kn_depth depths[4] = {{0}};
    kn_scan_view views[4] = {{{0}, 0, 0, 0}};
    const double gains[4] = {1, 0.7, 1.25, 0.9};
    for (size_t e = 0; e < 4; e++) {
        kn_eye *eye = &eyes.items[e];
        size_t pixels = (size_t)eye->width * (size_t)eye->height;
        eye->rgb = kn_alloc(pixels, 3, NULL), depths[e].planes = kn_alloc(pixels, 16, NULL);
        still_life_render(eye, eye->rgb, depths[e].planes);
        for (size_t i = 0; i < 3 * pixels; i++)
            eye->rgb[i] = (uint8_t)lround(fmin(60 + 0.3 * eye->rgb[i], 190) * gains[e]);
        for (size_t o = 0; o < 4; o++)
            if (o != e) views[e].sources[views[e].count++] = (int32_t)o;
    }
    cr_assert(kn_scene_even_colors(&eyes, &eyes, views, depths, NULL));
    double mean[4] = {0};
    for (size_t e = 0; e < 4; e++)
        for (size_t i = 0; i < 160 * 120 * 3; i++) mean[e] += eyes.items[e].rgb[i] / (160.0 * 120 * 3);
    for (size_t e = 1; e < 4; e++)
        cr_assert_float_eq(mean[e] / mean[0], 1, 0.06, "picture %zu is %.3f times as bright as the first", e,
                           mean[e] / mean[0]);
    for (size_t e = 0; e < 4; e++) kn_free(depths[e].planes);
    kn_eyes_finish(&eyes);
}
