/* Measures of `kinora eval` on pictures whose answers are known. */
#include "pipelines/eval/measure.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { W = 40, H = 24 };
static kn_camera camera;
static float depth[W * H];
static uint16_t instance[W * H];
static uint8_t semantic[W * H], grey[W * H * 3], light[W * H * 3];

/* A wall 10 m ahead, seen by a camera that looks along z. */
static kn_view_facts wall(double aside) {
    camera = (kn_camera){.width = W, .height = H, .k = {{30, 0, W / 2.0}, {0, 30, H / 2.0}, {0, 0, 1}}};
    for (int i = 0; i < W * H; i++) depth[i] = 10, semantic[i] = KN_SEMANTIC_BUILDING;
    memset(grey, 119, sizeof grey);   /* L* = 50 */
    memset(light, 145, sizeof light); /* L* = 60 */
    kn_pose pose = {.rotation = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, .translation = {aside, 0, 0}};
    return (kn_view_facts){.camera = &camera, .pose = pose, .depth = depth, .instance = instance, .semantic = semantic};
}

Test(measure, first_to_last_is_a_distance_of_colours) {
    kn_measure m = {0};
    kn_view_facts first = wall(0), last = wall(1.5);
    kn_measure_last(&m, &first, &last, grey, grey);
    cr_assert_gt(m.last_points, 20);
    cr_assert_float_eq(kn_measure_score(&m).last_drift, 0, 1e-9);
    m = (kn_measure){0};
    kn_measure_last(&m, &first, &last, grey, light);
    cr_assert_float_eq(kn_measure_score(&m).last_drift, 10, .2, "%g", kn_measure_score(&m).last_drift);
}

Test(measure, what_is_hidden_at_the_end_does_not_count) {
    kn_measure m = {0};
    static float near[W * H];
    kn_view_facts first = wall(0), last = wall(0);
    for (int i = 0; i < W * H; i++) near[i] = 4;
    last.depth = near;
    kn_measure_last(&m, &first, &last, grey, light);
    cr_assert_eq(m.last_points, 0);
    cr_assert(isnan(kn_measure_score(&m).last_drift));
}

Test(measure, variety_is_of_what_a_seed_may_choose) {
    kn_measure m = {0};
    kn_view_facts view = wall(0);
    for (int i = 0; i < W * H / 2; i++) semantic[i] = KN_SEMANTIC_CAR;
    kn_measure_variety(&m, &view, grey, light);
    cr_assert_eq(m.variety_pixels, W * H / 2);
    cr_assert_float_eq(kn_measure_score(&m).variety, 26 / 255.0, 1e-9);
}
