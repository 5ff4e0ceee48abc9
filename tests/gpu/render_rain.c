/* Falling rain and spray: repeatable, the same drops from camera to camera and in both pictures, nothing but colour,
 * nothing in dry air. Values are compared with the naive renderer in render_conditions.c. */
#include "gpu_common.h"
#include "render_scene.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { W = 181, H = 103, PIXELS = W * H };

static kn_gpu *gpu;
static void open_gpu(void) { gpu = gpu_open(NULL); }

static void close_gpu(void) { gpu_close(gpu); }

TestSuite(rain, .init = open_gpu, .fini = close_gpu);

typedef struct pictures {
    float conditions[KN_CONDITION_CHANNELS * PIXELS], beauty[3 * PIXELS], depth[PIXELS], motion[2 * PIXELS];
    uint8_t semantic[PIXELS];
    uint16_t instance[PIXELS];
} pictures;

static pictures a, b;

static const float *shaded_of(const pictures *p) { return p->conditions + KN_CONDITION_SHADED * PIXELS; }

/* The beauty picture is left out where a test can do without: it takes longest. */
static void draw_with(kn_renderer *renderer, const kn_camera *camera, size_t frame, bool beauty, pictures *p) {
    kn_error error;
    const kn_render_target target = {.conditions = p->conditions,
                                     .shaded = true,
                                     .beauty = beauty ? p->beauty : NULL,
                                     .depth = p->depth,
                                     .motion = p->motion,
                                     .semantic = p->semantic,
                                     .instance = p->instance};
    cr_assert(kn_render(renderer, camera, frame, &target, &error), "%s", error.message);
}

static void draw(const kn_scene *scene, double yaw, size_t frame, uint64_t seed, bool beauty, pictures *p) {
    kn_error error;
    kn_renderer *renderer;
    const kn_renderer_params params = {.rain_seed = seed, .beauty_samples = 1};
    const kn_camera camera = render_scene_camera(W, H, yaw);
    cr_assert(kn_renderer_create(&renderer, gpu, scene, &params, &error), "%s", error.message);
    draw_with(renderer, &camera, frame, beauty, p);
    kn_renderer_destroy(&renderer);
}

/* How much a pixel stands out from its surroundings, towards dark or bright. */
static float streak(const float *green, int x, int y) {
    const int away[4][2] = {{4, 0}, {-4, 0}, {0, 5}, {0, -5}};
    float around = 0;
    for (int i = 0; i < 4; i++) around += green[(y + away[i][1]) * W + x + away[i][0]] / 4;
    return fabsf(green[y * W + x] - around);
}

/* Share of the pixels at which a picture shows a streak that show one in another picture, within a pixel of where that
 * picture (turned left by `turn` more) has the same direction. */
static double shared(const float *green, const float *other, double turn, int *count) {
    double focal = .62 * W, found = 0;
    *count = 0;
    for (int y = 8; y < H - 8; y++)
        for (int x = 8; x < W - 8; x++) {
            double u = (x + .5 - .5 * W) / focal, v = (y + .5 - .45 * H) / focal;
            double ahead = cos(turn) - u * sin(turn), aside = u * cos(turn) + sin(turn);
            int there_x = (int)floor(aside / ahead * focal + .5 * W), there_y = (int)floor(v / ahead * focal + .45 * H);
            if (ahead < .2 || there_x < 8 || there_x >= W - 8 || there_y < 8 || there_y >= H - 8 ||
                streak(green, x, y) < .012f)
                continue;
            float most = 0;
            for (int i = 0; i < 9; i++) most = fmaxf(most, streak(other, there_x + i % 3 - 1, there_y + i / 3 - 1));
            *count += 1;
            found += most > .005f;
        }
    return found / fmax(*count, 1);
}

/* Only sky and drops: no triangles, and nobody drives. */
static void open_air(kn_scene *scene) {
    cr_assert(render_scene_init(scene, &render_scene_downpour, 0, 1, NULL));
    scene->timeline.weather.sun_elevation = -.5;
    for (size_t i = 0; i < RENDER_SCENE_FRAMES * scene->timeline.actor_count; i++) {
        scene->timeline.states[i].present = i % scene->timeline.actor_count == 0;
        scene->timeline.states[i].pose = scene->timeline.states[0].pose;
        scene->timeline.states[i].speed = 2;
    }
}

Test(rain, is_a_function_of_seed_and_time) {
    kn_scene scene;
    cr_assert(render_scene_init(&scene, &render_scene_downpour, -1, 0, NULL));
    draw(&scene, 0, 2, 3, true, &a);
    draw(&scene, 0, 2, 3, true, &b);
    cr_expect_eq(memcmp(a.conditions, b.conditions, sizeof a.conditions), 0);
    cr_expect_eq(memcmp(a.beauty, b.beauty, sizeof a.beauty), 0);
    draw(&scene, 0, 2, 4, false, &b);
    int changed = 0;
    for (int i = 0; i < PIXELS; i++) changed += fabsf(shaded_of(&a)[i] - shaded_of(&b)[i]) > .02f;
    cr_expect(changed > PIXELS / 100, "%d pixels changed with the seed", changed);
    render_scene_finish(&scene);
}

Test(rain, cameras_and_pictures_share_its_drops) {
    kn_scene scene;
    int count, late_count, painted;
    open_air(&scene);
    draw(&scene, 0, 1, 3, true, &a);
    draw(&scene, -.35, 1, 3, false, &b);
    double same = shared(shaded_of(&a) + PIXELS, shaded_of(&b) + PIXELS, -.35, &count);
    double both = shared(shaded_of(&a) + PIXELS, a.beauty + PIXELS, 0, &painted);
    draw(&scene, -.35, 3, 3, false, &b);
    double later = shared(shaded_of(&a) + PIXELS, shaded_of(&b) + PIXELS, -.35, &late_count);
    cr_expect(count > 60 && same > .9, "%g of %d pixels in the other camera", same, count);
    cr_expect(painted > 60 && both > .97, "%g of %d pixels in the beauty picture", both, painted);
    cr_expect_lt(later, .75 * same, "%g are still there two frames later", later);
    render_scene_finish(&scene);
}

Test(rain, colours_alone_change) {
    kn_scene wet, dry;
    cr_assert(render_scene_init(&wet, &render_scene_downpour, -1, 0, NULL));
    cr_assert(render_scene_init(&dry, &render_scene_downpour, -1, 0, NULL));
    dry.timeline.weather.rain = 0;
    draw(&wet, .1, 3, 3, false, &a);
    draw(&dry, .1, 3, 3, false, &b);
    cr_expect_neq(memcmp(shaded_of(&a), shaded_of(&b), 3 * PIXELS * sizeof(float)), 0);
    cr_expect_eq(memcmp(a.conditions, b.conditions, KN_CONDITION_VISIBILITY * PIXELS * sizeof(float)), 0,
                 "facts but visibility");
    cr_expect_eq(memcmp(a.depth, b.depth, sizeof a.depth), 0);
    cr_expect_eq(memcmp(a.motion, b.motion, sizeof a.motion), 0);
    cr_expect_eq(memcmp(a.semantic, b.semantic, sizeof a.semantic), 0);
    cr_expect_eq(memcmp(a.instance, b.instance, sizeof a.instance), 0);
    render_scene_finish(&wet);
    render_scene_finish(&dry);
}

/* A shower that comes and goes leaves the frames before and after it as they were. */
Test(rain, dry_frames_are_those_of_a_dry_scene) {
    kn_scene dry, shower;
    kn_error error;
    kn_renderer *renderer;
    kn_weather weathers[RENDER_SCENE_FRAMES];
    const kn_renderer_params params = {.rain_seed = 3, .beauty_samples = 1};
    const kn_camera camera = render_scene_camera(W, H, 0);
    cr_assert(render_scene_init(&dry, &render_scene_noon, -1, 0, NULL));
    cr_assert(render_scene_init(&shower, &render_scene_noon, -1, 0, NULL));
    for (int f = 0; f < RENDER_SCENE_FRAMES; f++) weathers[f] = f == 1 ? render_scene_downpour : render_scene_noon;
    shower.timeline.weathers = weathers;
    cr_assert(kn_renderer_create(&renderer, gpu, &shower, &params, &error), "%s", error.message);
    static const size_t frames[] = {0, 1, 2};
    for (size_t i = 0; i < KN_COUNT(frames); i++) {
        draw_with(renderer, &camera, frames[i], true, &a);
        draw(&dry, 0, frames[i], 3, true, &b);
        int same = memcmp(a.conditions, b.conditions, sizeof a.conditions) == 0 &&
                   memcmp(a.beauty, b.beauty, sizeof a.beauty) == 0;
        cr_expect_eq(same, frames[i] != 1, "frame %zu", frames[i]);
    }
    kn_renderer_destroy(&renderer);
    shower.timeline.weathers = NULL;
    render_scene_finish(&shower);
    render_scene_finish(&dry);
}

/* Below some 20 km/h there is none. */
Test(rain, spray_grows_with_speed) {
    double change[3];
    for (int k = 0; k < 3; k++) {
        kn_scene scene;
        cr_assert(render_scene_init(&scene, &render_scene_downpour, -1, 0, NULL));
        scene.timeline.states[1].speed = 0;
        draw(&scene, 0, 0, 3, false, &b);
        scene.timeline.states[1].speed = k == 0 ? 4 : k == 1 ? 12 : 26;
        draw(&scene, 0, 0, 3, false, &a);
        change[k] = 0;
        for (int i = 0; i < 3 * PIXELS; i++) change[k] += fabsf(shaded_of(&a)[i] - shaded_of(&b)[i]);
        render_scene_finish(&scene);
    }
    cr_expect_eq(change[0], 0);
    cr_expect(change[1] > 10 && change[2] > 1.3 * change[1], "changes %g, %g", change[1], change[2]);
}
