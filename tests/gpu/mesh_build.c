/* Whole reconstructions of small synthetic orbits, and orbits that are none. */
#include "gpu_common.h"
#include "tests/unit/mesh_shapes.h"

enum { VIEWS = 15, SIZE = 97 };

static kn_view_camera cameras[VIEWS];
static kn_surface_view views[VIEWS];

static void render(shape_kind kind, shape_paint paint, kn_tris *truth, int plain) {
    shape_make(truth, kind);
    orbit_cameras(cameras, VIEWS, (const double[]){-10, 15, 45}, 3, SIZE);
    for (int i = 0; i < VIEWS; i++) {
        views[i] = (kn_surface_view){.camera = cameras[i]};
        shape_render(&views[i].picture, truth, kind, paint, &cameras[i], plain);
    }
}

static void forget(kn_tris *truth) {
    for (int i = 0; i < VIEWS; i++) kn_image_finish(&views[i].picture);
    kn_tris_finish(truth);
}

/* The surface's vertices in the cameras' world. */
static kn_tris back(const kn_surface *s) {
    const double(*m)[4] = s->from_input;
    double k = m[0][0] * m[0][0] + m[0][1] * m[0][1] + m[0][2] * m[0][2];
    kn_tris out = {.positions = kn_alloc(s->vertex_count, 12, NULL),
                   .triangles = s->triangles,
                   .vertex_count = s->vertex_count,
                   .triangle_count = s->triangle_count};
    for (size_t v = 0; v < s->vertex_count; v++)
        for (size_t i = 0; i < 3; i++)
            for (size_t j = 0; j < 3; j++)
                out.positions[3 * v + i] += (float)(m[j][i] * (s->positions[3 * v + j] - m[j][3]) / k);
    return out;
}

static void expect_sound(const kn_surface *s) {
    kn_surface_facts facts;
    cr_assert(kn_surface_measure(s, &facts, NULL));
    cr_assert(facts.closed && facts.manifold && facts.outward);
    cr_assert_eq(facts.degenerate, 0);
    cr_assert_eq(facts.components, 1);
}

/* Mean absolute difference between a picture and the surface seen from its camera, where both show the object. */
static double texture_error(const kn_surface *s, const kn_tris *mesh, int view) {
    kn_eye eye = shape_eye(&cameras[view]);
    kn_raster raster;
    double sum = 0, count = 0;
    cr_assert(kn_raster_init(&raster, SIZE, SIZE, NULL));
    kn_raster_draw(&raster, &eye, mesh, false);
    for (size_t i = 0; i < SIZE * SIZE; i++) {
        const uint8_t *p = views[view].picture.data + 4 * i;
        if (!raster.triangle[i] || p[3] < 255) continue;
        size_t t = raster.triangle[i] - 1;
        double b = raster.weights[2 * i], c = raster.weights[2 * i + 1], uv[2];
        for (size_t k = 0; k < 2; k++)
            uv[k] = (1 - b - c) * s->corners[6 * t + k] + b * s->corners[6 * t + 2 + k] + c * s->corners[6 * t + 4 + k];
        size_t w = (size_t)s->texture.width, at = (size_t)(uv[1] * (double)w) * w + (size_t)(uv[0] * (double)w);
        for (size_t k = 0; k < 3; k++) sum += fabs((double)s->texture.data[3 * at + k] - p[k]), count++;
    }
    kn_raster_finish(&raster);
    return sum / count;
}

Test(mesh_build, a_textured_building_is_found_closed_and_to_scale) {
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    kn_tris truth;
    kn_surface *s, *hull;
    kn_surface_params params = KN_SURFACE_PARAMS_DEFAULT;
    render(SHAPE_BUILDING, PAINT_TEXTURED, &truth, 0);
    params.texture = 256, params.triangles = 20000, params.rounds = 0;
    good(kn_surface_build(&hull, gpu, views, VIEWS, &params, &error));
    params.rounds = 1;
    good(kn_surface_build(&s, gpu, views, VIEWS, &params, &error));
    expect_sound(hull), expect_sound(s);
    kn_tris found = back(s), carved = back(hull);
    shape_score score = shape_compare(&truth, &found, cameras, VIEWS, 0.02, 3000),
                without = shape_compare(&truth, &carved, cameras, VIEWS, 0.02, 3000);
    cr_log_info("stereo: F %.3f, chamfer %.4f; hull: F %.3f", score.f, score.chamfer, without.f);
    cr_assert_gt(score.f, 0.9, "F %.3f", score.f);
    cr_assert_gt(score.f, without.f + 0.03, "stereo %.3f, hull %.3f", score.f, without.f);
    cr_assert_lt(score.chamfer, 0.01, "%.4f", score.chamfer);
    cr_assert_lt(texture_error(s, &found, 7), 22);
    kn_free(found.positions), kn_free(carved.positions);
    kn_surface_destroy(&s), kn_surface_destroy(&hull);
    forget(&truth);
    gpu_close(gpu);
}

Test(mesh_build, scale_follows_the_given_length) {
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    kn_tris truth;
    kn_surface *s;
    kn_surface_params params = KN_SURFACE_PARAMS_DEFAULT;
    render(SHAPE_CAR, PAINT_FLAT, &truth, 205); /* the masks come from the plain background */
    params.texture = 256, params.rounds = 0, params.length = 4.52;
    good(kn_surface_build(&s, gpu, views, VIEWS, &params, &error));
    kn_surface_facts facts;
    good(kn_surface_measure(s, &facts, &error));
    expect_sound(s);
    cr_assert_float_eq(facts.length, 4.52, 0.0045);
    kn_surface_destroy(&s);
    forget(&truth);
    gpu_close(gpu);
}

Test(mesh_build, what_is_no_orbit_is_named) {
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    kn_tris truth;
    kn_surface *s;
    kn_surface_params params = KN_SURFACE_PARAMS_DEFAULT;
    params.rounds = 0, params.texture = 64;
    render(SHAPE_CAR, PAINT_FLAT, &truth, 0);
    bad(KN_ERROR_INPUT, kn_surface_build(&s, gpu, views, 1, &params, &error));
    for (int i = 0; i < VIEWS; i++) views[i].camera = cameras[0];
    bad(KN_ERROR_INPUT, kn_surface_build(&s, gpu, views, VIEWS, &params, &error));
    cr_assert(strstr(error.message, "still"), "%s", error.message);
    for (int i = 0; i < VIEWS; i++) { /* each camera looks away from the object that its mask shows */
        views[i].camera = cameras[i];
        for (int r = 0; r < 3; r++)
            views[i].camera.camera.rotation[r][0] *= -1, views[i].camera.camera.rotation[r][2] *= -1;
    }
    bad(KN_ERROR_INPUT, kn_surface_build(&s, gpu, views, VIEWS, &params, &error));
    cr_assert(strstr(error.message, "never overlap"), "%s", error.message);
    for (int i = 0; i < VIEWS; i++) views[i].camera = cameras[i];
    views[3].camera.camera.translation[1] = NAN;
    bad(KN_ERROR_INPUT, kn_surface_build(&s, gpu, views, VIEWS, &params, &error));
    cr_assert(strstr(error.message, "camera 3"), "%s", error.message);
    views[3].camera = cameras[3];
    views[4].camera.camera.height = 2 * SIZE;
    bad(KN_ERROR_INPUT, kn_surface_build(&s, gpu, views, VIEWS, &params, &error));
    cr_assert(strstr(error.message, "camera 4"), "%s", error.message);
    cr_assert_null(s);
    forget(&truth);
    gpu_close(gpu);
}
