/* The stages of the search for cameras on synthetic points: exact, with noise, and with 40 % of the matches wrong. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/random.h"
#include "mesh/sfm/sfm.h"

enum { VIEWS = 20, POINTS = 240 };

static uint64_t state;
static double wobble = 0.3; /* of the cameras' height */

static double uniform(double low, double high) {
    state++;
    return low + (high - low) * (double)(kn_hash64(state) >> 11) / 9007199254740992.0;
}

static double normal(double sigma) {
    double sum = 0;
    for (int i = 0; i < 12; i++) sum += uniform(-0.5, 0.5);
    return sigma * sum;
}

typedef struct world {
    kn_lens lens;
    kn_sfm_pose poses[VIEWS];
    double points[POINTS][3];
} world;

/* Cameras on `turn` of a circle of radius 3 around points in a cube, looking at its middle. */
static void make_world(world *w, uint64_t seed, double turn) {
    state = seed * 1000003;
    w->lens = (kn_lens){.f = 700, .cx = 400, .cy = 300, .d = {0.05, -0.02, 0, 0}};
    for (int v = 0; v < VIEWS; v++) {
        double azimuth = turn * v / VIEWS, height = 0.8 + wobble * sin(3 * azimuth);
        kn_vec3 center = {3 * cos(azimuth), 3 * sin(azimuth), height},
                forward = kn_vec3_normalize(kn_vec3_scale(center, -1));
        kn_vec3 right = kn_vec3_normalize(kn_vec3_cross(forward, (kn_vec3){0, 0, 1})),
                down = kn_vec3_cross(forward, right), rows[3] = {right, down, forward};
        for (int i = 0; i < 3; i++) {
            double *r = w->poses[v].r[i];
            r[0] = rows[i].x, r[1] = rows[i].y, r[2] = rows[i].z;
            w->poses[v].t[i] = -kn_vec3_dot(rows[i], center);
        }
    }
    for (int p = 0; p < POINTS; p++)
        for (int k = 0; k < 3; k++) w->points[p][k] = uniform(-0.8, 0.8);
}

static double turn_between(const double a[3][3], const double b[3][3]) {
    double d[3][3], v[3];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) d[i][j] = a[i][0] * b[j][0] + a[i][1] * b[j][1] + a[i][2] * b[j][2];
    kn_rotation_log((const double(*)[3])d, v);
    return sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
}

/* b relative to a. */
static void relative(const kn_sfm_pose *a, const kn_sfm_pose *b, double r[3][3], double t[3]) {
    double moved[3], length = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            r[i][j] = b->r[i][0] * a->r[j][0] + b->r[i][1] * a->r[j][1] + b->r[i][2] * a->r[j][2];
    kn_mul3((const double(*)[3])r, a->t, moved);
    for (int i = 0; i < 3; i++) t[i] = b->t[i] - moved[i], length += t[i] * t[i];
    for (int i = 0; i < 3; i++) t[i] /= sqrt(length);
}

static void normal_of(const world *w, int view, int point, double sigma, double out[2]) {
    double pixel[2];
    cr_assert(kn_sfm_project(&w->lens, &w->poses[view], w->points[point], pixel));
    pixel[0] += normal(sigma), pixel[1] += normal(sigma);
    kn_lens_undistort(&w->lens, pixel, out);
}

Test(mesh_sfm, real_roots_of_polynomials) {
    const double c[] = {-6, 11, -6, 1}, none[] = {1, 0, 1}, tenth[] = {-1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    double roots[10];
    cr_assert_eq(kn_real_roots(c, 3, roots), 3);
    for (int i = 0; i < 3; i++) cr_assert_float_eq(roots[i], i + 1, 1e-9);
    cr_assert_eq(kn_real_roots(none, 2, roots), 0);
    cr_assert_eq(kn_real_roots(tenth, 10, roots), 2);
    cr_assert_float_eq(roots[0], -1, 1e-9);
    cr_assert_float_eq(roots[1], 1, 1e-9);
}

Test(mesh_sfm, similarity_is_recovered) {
    double from[30], to[30], r[3][3], t[3], scale, found[3][3];
    state = 5;
    kn_rotation_exp((const double[]){0.3, -1.2, 2}, r);
    for (int i = 0; i < 10; i++) {
        for (int k = 0; k < 3; k++) from[3 * i + k] = uniform(-1, 1);
        kn_mul3((const double(*)[3])r, from + 3 * i, to + 3 * i);
        for (int k = 0; k < 3; k++) to[3 * i + k] = 2.5 * to[3 * i + k] + k;
    }
    cr_assert(kn_similarity(from, to, 10, &scale, found, t));
    cr_assert_float_eq(scale, 2.5, 1e-9);
    cr_assert_lt(turn_between((const double(*)[3])found, (const double(*)[3])r), 1e-7);
    for (int k = 0; k < 3; k++) cr_assert_float_eq(t[k], k, 1e-9);
    memset(from, 0, sizeof from);
    cr_assert(!kn_similarity(from, to, 10, &scale, found, t));
}

Test(mesh_sfm, distortion_is_undone) {
    kn_lens lens = {.f = 500, .cx = 320, .cy = 240, .d = {-0.2, 0.05, 0.001, -0.002}};
    for (double x = -0.6; x < 0.65; x += 0.2)
        for (double y = -0.5; y < 0.55; y += 0.25) {
            double pixel[2], back[2];
            kn_lens_distort(&lens, (const double[]){x, y}, pixel);
            kn_lens_undistort(&lens, pixel, back);
            cr_assert_float_eq(back[0], x, 1e-5);
            cr_assert_float_eq(back[1], y, 1e-5);
        }
}

Test(mesh_sfm, five_points_give_the_essential_matrix) {
    for (uint64_t seed = 1; seed <= 20; seed++) {
        world w;
        double a[5][2], b[5][2], e[10][3][3], r[3][3], t[3], least = 1;
        make_world(&w, seed, 2 * M_PI);
        for (int i = 0; i < 5; i++) normal_of(&w, 0, i, 0, a[i]), normal_of(&w, 2, i, 0, b[i]);
        relative(&w.poses[0], &w.poses[2], r, t);
        const double cross[3][3] = {{0, -t[2], t[1]}, {t[2], 0, -t[0]}, {-t[1], t[0], 0}};
        double truth[3][3];
        kn_mul33(cross, (const double(*)[3])r, truth);
        int count = kn_essential_five((const double(*)[2])a, (const double(*)[2])b, e);
        for (int s = 0; s < count; s++) {
            double dot = 0, norm = 0, other = 0;
            for (int i = 0; i < 9; i++)
                dot += e[s][i / 3][i % 3] * truth[i / 3][i % 3], norm += e[s][i / 3][i % 3] * e[s][i / 3][i % 3],
                    other += truth[i / 3][i % 3] * truth[i / 3][i % 3];
            least = fmin(least, 1 - fabs(dot) / sqrt(norm * other));
        }
        cr_assert_lt(least, 1e-8, "seed %d: %g", (int)seed, least);
    }
}

Test(mesh_sfm, relative_pose_among_outliers) {
    static const double shares[] = {0, 0, 0.4};
    static const double sigmas[] = {0, 0.7, 0.7}, limits[] = {1e-6, 0.012, 0.012};
    for (int c = 0; c < 3; c++) {
        world w;
        double a[POINTS][2], b[POINTS][2], r[3][3], t[3], dot = 0;
        bool inlier[POINTS];
        kn_two_view found;
        kn_error error = {0};
        make_world(&w, 40 + (uint64_t)c, 2 * M_PI);
        for (int i = 0; i < POINTS; i++) {
            normal_of(&w, 3, i, sigmas[c], a[i]), normal_of(&w, 5, i, sigmas[c], b[i]);
            if (i < shares[c] * POINTS) b[i][0] = uniform(-0.5, 0.5), b[i][1] = uniform(-0.4, 0.4);
        }
        cr_assert(kn_two_view_find(&found, (const double(*)[2])a, (const double(*)[2])b, POINTS, 2.0 / 700, 1, inlier,
                                   &error));
        relative(&w.poses[3], &w.poses[5], r, t);
        for (int k = 0; k < 3; k++) dot += t[k] * found.t[k];
        cr_assert_lt(turn_between((const double(*)[3])found.r, (const double(*)[3])r), limits[c]);
        cr_assert_gt(dot, cos(3 * limits[c]) - 1e-9);
        cr_assert_geq(found.inliers, (size_t)(0.97 * (1 - shares[c]) * POINTS));
        cr_assert_leq(found.inliers, (size_t)((1.02 - 0.95 * shares[c]) * POINTS));
        cr_assert_lt(found.rotation_only, 0.2);
        cr_assert_float_eq(found.angle, 2 * 2 * M_PI / VIEWS, 0.15);
    }
}

Test(mesh_sfm, a_turn_on_the_spot_is_seen) {
    world w;
    double a[POINTS][2], b[POINTS][2], turn[3][3];
    bool inlier[POINTS];
    kn_two_view found;
    kn_error error = {0};
    make_world(&w, 3, 2 * M_PI);
    kn_rotation_exp((const double[]){0, 0.1, 0.02}, turn);
    w.poses[1] = w.poses[0];
    kn_mul33((const double(*)[3])turn, (const double(*)[3])w.poses[0].r, w.poses[1].r);
    kn_mul3((const double(*)[3])turn, w.poses[0].t, w.poses[1].t);
    for (int i = 0; i < POINTS; i++) normal_of(&w, 0, i, 0.5, a[i]), normal_of(&w, 1, i, 0.5, b[i]);
    if (kn_two_view_find(&found, (const double(*)[2])a, (const double(*)[2])b, POINTS, 2.0 / 700, 1, inlier, &error))
        cr_assert_gt(found.rotation_only, 0.9);
}

Test(mesh_sfm, three_points_give_the_pose) {
    for (uint64_t seed = 1; seed <= 20; seed++) {
        world w;
        double n[3][2], least = 1;
        kn_sfm_pose poses[4];
        make_world(&w, seed, 2 * M_PI);
        for (int i = 0; i < 3; i++) normal_of(&w, 7, i, 0, n[i]);
        int count = kn_p3p((const double(*)[3])w.points, (const double(*)[2])n, poses);
        for (int k = 0; k < count; k++)
            least = fmin(least, turn_between((const double(*)[3])poses[k].r, (const double(*)[3])w.poses[7].r));
        cr_assert_lt(least, 1e-5, "seed %d: %g", (int)seed, least);
    }
}

Test(mesh_sfm, resection_among_outliers) {
    world w;
    double pixels[POINTS][2];
    bool inlier[POINTS];
    make_world(&w, 9, 2 * M_PI);
    for (int i = 0; i < POINTS; i++) {
        cr_assert(kn_sfm_project(&w.lens, &w.poses[4], w.points[i], pixels[i]));
        pixels[i][0] += normal(0.7), pixels[i][1] += normal(0.7);
        if (i < 0.4 * POINTS) pixels[i][0] = uniform(0, 800), pixels[i][1] = uniform(0, 600);
    }
    kn_sfm_pose pose;
    size_t count =
        kn_resect(&pose, &w.lens, (const double(*)[3])w.points, (const double(*)[2])pixels, POINTS, 4, 1, inlier);
    cr_assert_geq(count, (size_t)(0.59 * POINTS));
    cr_assert_lt(turn_between((const double(*)[3])pose.r, (const double(*)[3])w.poses[4].r), 1e-3);
    for (int k = 0; k < 3; k++) cr_assert_float_eq(pose.t[k], w.poses[4].t[k], 3e-3);
    for (int i = 0; i < POINTS; i++) pixels[i][0] = uniform(0, 800), pixels[i][1] = uniform(0, 600);
    cr_assert_lt(
        kn_resect(&pose, &w.lens, (const double(*)[3])w.points, (const double(*)[2])pixels, POINTS, 4, 1, inlier),
        POINTS / 10u);
}

Test(mesh_sfm, rays_meet_in_points) {
    world w;
    make_world(&w, 2, 2 * M_PI);
    const kn_sfm_pose *poses[4];
    double n[4][2], point[3];
    for (int k = 0; k < 4; k++) poses[k] = &w.poses[2 * k], normal_of(&w, 2 * k, 11, 0, n[k]);
    cr_assert(kn_triangulate(point, poses, (const double(*)[2])n, 4, 0.02));
    for (int k = 0; k < 3; k++) cr_assert_float_eq(point[k], w.points[11][k], 1e-6);
    poses[1] = poses[0], memcpy(n[1], n[0], sizeof n[0]);
    cr_assert(!kn_triangulate(point, poses, (const double(*)[2])n, 2, 0.02), "one ray twice meets nowhere");
}

/* Largest distance between centres after a similarity, over the orbit's radius. */
static double center_error(const kn_sfm_pose *found, const kn_sfm_pose *truth, const bool *known) {
    double a[3 * VIEWS], b[3 * VIEWS], r[3][3], t[3], scale, largest = 0;
    size_t count = 0;
    for (int v = 0; v < VIEWS; v++)
        if (!known || known[v])
            kn_sfm_center(&found[v], a + 3 * count), kn_sfm_center(&truth[v], b + 3 * count), count++;
    if (!kn_similarity(a, b, count, &scale, r, t)) return 1;
    for (size_t v = 0; v < count; v++) {
        double m[3], d = 0;
        kn_mul3((const double(*)[3])r, a + 3 * v, m);
        for (size_t k = 0; k < 3; k++) d += (scale * m[k] + t[k] - b[3 * v + k]) * (scale * m[k] + t[k] - b[3 * v + k]);
        largest = fmax(largest, sqrt(d) / 3);
    }
    return largest;
}

Test(mesh_sfm, bundle_adjustment_finds_back) {
    static const double sigmas[] = {0, 0.5}, limits[] = {1e-5, 2e-3};
    for (int c = 0; c < 2; c++) {
        world w, start;
        static kn_observation o[VIEWS * POINTS];
        size_t count = 0;
        kn_error error = {0};
        make_world(&w, 12, 2 * M_PI);
        for (uint32_t p = 0; p < POINTS; p++)
            for (uint32_t v = 0; v < VIEWS; v++) {
                if (kn_hash64(p * VIEWS + v) % 3) continue;
                o[count].view = v, o[count].point = p;
                cr_assert(kn_sfm_project(&w.lens, &w.poses[v], w.points[p], o[count].pixel));
                for (int k = 0; k < 2; k++) o[count].pixel[k] += normal(sigmas[c]);
                if (c && count % 20 == 0) o[count].pixel[0] += uniform(-60, 60); /* the loss must cope */
                count++;
            }
        start = w;
        for (int v = 0; v < VIEWS; v++) {
            double turn[3][3];
            kn_rotation_exp((const double[]){normal(0.02), normal(0.02), normal(0.02)}, turn);
            kn_mul33((const double(*)[3])turn, (const double(*)[3])start.poses[v].r, start.poses[v].r);
            for (int k = 0; k < 3; k++) start.poses[v].t[k] += normal(0.03);
        }
        for (int p = 0; p < POINTS; p++)
            for (int k = 0; k < 3; k++) start.points[p][k] += normal(0.05);
        start.lens = (kn_lens){.f = 640, .cx = 400, .cy = 300};
        kn_bundle b = {.lens = &start.lens,
                       .poses = start.poses,
                       .view_count = VIEWS,
                       .points = start.points,
                       .point_count = POINTS,
                       .observations = o,
                       .count = count,
                       .free = KN_FREE_FOCAL | KN_FREE_K1 | KN_FREE_K2,
                       .loss = c ? 1 : 100,
                       .iterations = 60};
        double cost;
        cr_assert(kn_bundle_run(&b, &cost, &error), "%s", error.message);
        cr_assert_lt(center_error(start.poses, w.poses, NULL), limits[c]);
        cr_assert_float_eq(start.lens.f, 700, c ? 4 : 0.01);
        cr_assert_float_eq(start.lens.d[0], 0.05, c ? 0.02 : 1e-3);
    }
}

Test(mesh_sfm, bundle_adjustment_follows_priors) {
    world w;
    kn_error error = {0};
    make_world(&w, 6, 2 * M_PI);
    kn_center_prior priors[VIEWS] = {{{0}, 0}};
    for (int v = 0; v < VIEWS; v++)
        kn_sfm_center(&w.poses[v], priors[v].center), priors[v].weight = 100, w.poses[v].t[v % 3] += 0.1;
    kn_bundle b = {.lens = &w.lens,
                   .poses = w.poses,
                   .view_count = VIEWS,
                   .points = w.points,
                   .priors = priors,
                   .loss = 1,
                   .iterations = 50};
    cr_assert(kn_bundle_run(&b, NULL, &error), "%s", error.message);
    for (int v = 0; v < VIEWS; v++) {
        double c[3];
        kn_sfm_center(&w.poses[v], c);
        for (int k = 0; k < 3; k++) cr_assert_float_eq(c[k], priors[v].center[k], 1e-3);
    }
}

/* A whole reconstruction from matches, a share of which is wrong. */
static size_t reconstruct(uint64_t seed, double turn, double sigma, double wrong, double focal, kn_sfm *sfm, world *w) {
    kn_error error = {0};
    make_world(w, seed, turn);
    *sfm = (kn_sfm){
        .view_count = VIEWS, .width = 800, .height = 600, .unit = 1, .lens = {.f = focal, .cx = 400, .cy = 300}};
    static const kn_find_params params;
    sfm->params = &params;
    sfm->features = kn_alloc(VIEWS, sizeof *sfm->features, &error),
    sfm->poses = kn_alloc(VIEWS, sizeof *sfm->poses, &error);
    sfm->known = kn_alloc(VIEWS, sizeof *sfm->known, &error);
    for (size_t v = 0; v < VIEWS; v++) {
        sfm->features[v] = (kn_features){.count = POINTS, .xy = kn_alloc(POINTS, 2 * sizeof(float), &error)};
        for (size_t p = 0; p < POINTS; p++) {
            double pixel[2];
            cr_assert(kn_sfm_project(&w->lens, &w->poses[v], w->points[p], pixel));
            for (size_t k = 0; k < 2; k++) sfm->features[v].xy[2 * p + k] = (float)(pixel[k] + normal(sigma));
        }
    }
    for (uint32_t a = 0; a < VIEWS; a++)
        for (uint32_t b = a + 1; b < VIEWS && b < a + 4; b++) {
            kn_pair pair = {.a = a, .b = b, .matches = kn_alloc(POINTS, sizeof(kn_match), &error)};
            for (uint32_t p = 0; p < POINTS; p++) {
                if ((p * 7 + a) % 3 == 0) continue; /* not every point is seen everywhere */
                pair.matches[pair.count++] = (kn_match){p, uniform(0, 1) < wrong ? (uint32_t)uniform(0, POINTS) : p};
            }
            cr_assert(kn_grow(&sfm->pairs, &sfm->pair_capacity, sfm->pair_count + 1, sizeof *sfm->pairs, &error));
            sfm->pairs[sfm->pair_count++] = pair;
        }
    cr_assert(kn_sfm_verify(sfm, &error) && kn_sfm_tracks(sfm, &error) && kn_sfm_grow(sfm, &error), "%s",
              error.message);
    return kn_sfm_known(sfm);
}

static void drop(kn_sfm *sfm) {
    kn_sfm_tracks_finish(sfm);
    for (size_t v = 0; v < sfm->view_count; v++) kn_features_finish(&sfm->features[v]);
    for (size_t i = 0; i < sfm->pair_count; i++) kn_free(sfm->pairs[i].matches);
    kn_free(sfm->features), kn_free(sfm->pairs), kn_free(sfm->poses), kn_free(sfm->known);
}

Test(mesh_sfm, growth_from_exact_matches) {
    world w;
    kn_sfm sfm;
    cr_assert_eq(reconstruct(1, 2 * M_PI, 0, 0, 700, &sfm, &w), VIEWS);
    size_t count;
    cr_assert_lt(kn_sfm_error(&sfm, &count), 0.02);
    cr_assert_lt(center_error(sfm.poses, w.poses, sfm.known), 1e-3);
    drop(&sfm);
}

Test(mesh_sfm, growth_among_noise_and_outliers) {
    world w;
    kn_sfm sfm;
    cr_assert_eq(reconstruct(2, 2 * M_PI, 0.5, 0.4, 850, &sfm, &w),
                 VIEWS); /* a focal length that is wrong by a fifth */
    size_t count;
    cr_assert_lt(kn_sfm_error(&sfm, &count), 1);
    cr_assert_lt(center_error(sfm.poses, w.poses, sfm.known), 0.01);
    cr_assert_float_eq(sfm.lens.f, 700, 10);
    drop(&sfm);
}

Test(mesh_sfm, an_even_orbit_places_the_next_cameras) {
    world w;
    kn_sfm sfm = {.view_count = VIEWS, .unit = 1};
    kn_pair pair = {.a = 9, .b = 10};
    bool known[VIEWS] = {false};
    kn_error error = {0};
    size_t placed;
    wobble = 0;
    make_world(&w, 4, 2 * M_PI);
    kn_sfm_pose truth = w.poses[10];
    relative(&w.poses[9], &w.poses[10], pair.geometry.r, pair.geometry.t);
    for (int v = 0; v < 10; v++) known[v] = true;
    w.poses[10] = w.poses[11] = (kn_sfm_pose){.r = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
    sfm.poses = w.poses, sfm.known = known, sfm.pairs = &pair, sfm.pair_count = 1;
    cr_assert(kn_sfm_place_by_orbit(&sfm, &placed, &error), "%s", error.message);
    cr_assert_eq(placed, 1, "a camera without a pair that agrees stays unknown");
    cr_assert(known[10] && !known[11]);
    cr_assert_lt(turn_between((const double(*)[3])w.poses[10].r, (const double(*)[3])truth.r), 1e-6);
    for (int k = 0; k < 3; k++) cr_assert_float_eq(w.poses[10].t[k], truth.t[k], 1e-6);
    cr_assert_gt(sfm.priors[10].weight, 0);
    kn_free(sfm.priors);
    sfm.priors = NULL, known[10] = false;
    kn_rotation_exp((const double[]){0, 0, 1}, pair.geometry.r); /* a pair that disagrees */
    cr_assert(kn_sfm_place_by_orbit(&sfm, &placed, &error));
    cr_assert_eq(placed, 0);
    kn_free(sfm.priors);
}

Test(mesh_sfm, features_and_matches_of_moved_pictures) {
    kn_image a, b;
    kn_error error = {0};
    kn_features fa, fb;
    kn_match *matches;
    size_t count, right = 0;
    cr_assert(kn_image_init(&a, 97, 83, 3, &error) && kn_image_init(&b, 97, 83, 3, &error));
    for (int y = 0; y < 83; y++)
        for (int x = 0; x < 97; x++)
            for (int c = 0; c < 3; c++) {
                int cell = (int)(kn_hash64((uint64_t)((y / 6) * 50 + x / 6)) % 200),
                    moved = (int)(kn_hash64((uint64_t)(((y + 6) / 6) * 50 + (x + 12) / 6)) % 200);
                a.data[(y * 97 + x) * 3 + c] = (uint8_t)cell, b.data[(y * 97 + x) * 3 + c] = (uint8_t)moved;
            }
    cr_assert(kn_features_find(&fa, &a, 1000, 500, &error) && kn_features_find(&fb, &b, 1000, 500, &error));
    cr_assert_gt(fa.count, 40);
    cr_assert(kn_features_match(&fa, &fb, SIZE_MAX, 0.8, &matches, &count, &error));
    for (size_t i = 0; i < count; i++) {
        const float *p = fa.xy + 2 * matches[i].a, *q = fb.xy + 2 * matches[i].b;
        right += fabs(p[0] - q[0] - 12) < 1 && fabs(p[1] - q[1] - 6) < 1;
    }
    cr_assert_gt(count, 20, "%zu of %zu and %zu", count, fa.count, fb.count);
    cr_assert_gt(right, count * 9 / 10);
    kn_free(matches), kn_features_finish(&fa), kn_features_finish(&fb), kn_image_finish(&a), kn_image_finish(&b);
}
