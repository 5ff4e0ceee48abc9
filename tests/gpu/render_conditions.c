/* Conditions and labels against the naive renderer. */
#include "gpu_common.h"
#include "render_oracle.h"
#include "render_scene.h"

#include "scene/render/render_internal.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdlib.h>
#include <string.h>

enum { NOISE_SEED = 7 };

static kn_gpu *gpu;

static void open_gpu(void) { gpu = gpu_open(NULL); }

static void close_gpu(void) { gpu_close(gpu); }

TestSuite(conditions, .init = open_gpu, .fini = close_gpu);

/* All pictures of one camera and frame. */
typedef struct pictures {
    float *conditions, *depth, *motion, *noise;
    uint8_t *semantic;
    uint16_t *instance;
    size_t pixels;
    kn_vec3 origin; /* of the shaders' coordinates */
} pictures;

static pictures draw(const kn_scene *scene, const kn_camera *camera, size_t frame) {
    kn_error error;
    kn_renderer *renderer;
    size_t n = (size_t)camera->width * (size_t)camera->height;
    pictures p = {malloc(n * 4 * KN_CONDITION_CHANNELS),
                  malloc(n * 4),
                  malloc(n * 8),
                  malloc(n * 12),
                  malloc(n),
                  malloc(n * 2),
                  n,
                  {0, 0, 0}};
    kn_renderer_params params = {.rain_seed = NOISE_SEED};
    cr_assert(kn_renderer_create(&renderer, gpu, scene, &params, &error), "%s", error.message);
    kn_render_target target = {.conditions = p.conditions,
                               .shaded = true,
                               .depth = p.depth,
                               .motion = p.motion,
                               .noise = p.noise,
                               .noise_seed = NOISE_SEED,
                               .semantic = p.semantic,
                               .instance = p.instance};
    cr_assert(kn_render(renderer, camera, frame, &target, &error), "%s", error.message);
    p.origin = renderer->origin;
    kn_renderer_destroy(&renderer);
    cr_expect_null(renderer);
    return p;
}

static void drop(pictures *p) {
    void *all[] = {p->conditions, p->depth, p->motion, p->noise, p->semantic, p->instance};
    for (size_t i = 0; i < KN_COUNT(all); i++) free(all[i]);
}

/* Differences found in one picture, in pixels. */
typedef struct tally {
    int depth, label, normal, motion, fact, color, total;
    double off; /* mean distance from four rays a pixel that share nothing */
} tally;

static void compare_center(const oracle *o, const kn_camera *camera, const pictures *p, size_t at, double u, double v,
                           tally *bad) {
    kn_vec3 origin, ray;
    oracle_ray(o, camera, u, v, &origin, &ray);
    oracle_hit hit = oracle_trace(o, origin, ray, .02, 1e9);
    const kn_material *m = hit.triangle ? &o->scene->world.materials[hit.triangle->material] : NULL;
    const float *normal = p->conditions + KN_CONDITION_NORMAL * p->pixels;
    double clear = oracle_visibility(o, &hit, ray);
    bad->depth += fabs(p->conditions[KN_CONDITION_VISIBILITY * p->pixels + at] - clear) > 1e-3;
    if (!m) {
        bad->depth += !isinf(p->depth[at]) || p->conditions[KN_CONDITION_DEPTH * p->pixels + at] != 0;
        bad->label += p->semantic[at] != 0 || p->instance[at] != 0;
        bad->normal += normal[at] != 0 || p->conditions[KN_CONDITION_WET * p->pixels + at] != 0;
    } else {
        double wet = m->wettable * o->scene->timeline.weather.wetness;
        bad->depth += fabs(p->depth[at] - hit.t) > 2e-3 + 1e-4 * hit.t ||
                      fabs(p->conditions[KN_CONDITION_DEPTH * p->pixels + at] - 2 / (2 + hit.t)) > 1e-3;
        bad->label += p->semantic[at] != m->semantic || p->instance[at] != hit.triangle->instance ||
                      fabs(p->conditions[KN_CONDITION_WET * p->pixels + at] - wet) > 1e-4;
        kn_pose pose = {0};
        memcpy(pose.rotation, camera->rotation, sizeof pose.rotation);
        pose = kn_pose_multiply(&o->scene->timeline.states[o->frame * o->scene->timeline.actor_count].pose, &pose);
        pose = kn_pose_inverse(&pose);
        kn_vec3 n = kn_pose_direction(&pose, hit.normal);
        bad->normal +=
            fabs(normal[at] - n.x) + fabs(normal[at + p->pixels] - n.y) + fabs(normal[at + 2 * p->pixels] - n.z) > .02;
    }
    double motion[2] = {0, 0};
    if (o->frame > 0) oracle_motion(o, camera, u, v, &hit, ray, motion);
    bad->motion += fabs(p->motion[at] - motion[0]) > .02 + 2e-3 * fabs(motion[0]) ||
                   fabs(p->motion[at + p->pixels] - motion[1]) > .02 + 2e-3 * fabs(motion[1]);
}

/* Flat colour, classes and lamps: means over the four spots. */
static bool facts_differ(const oracle *o, const kn_camera *camera, const pictures *p, size_t at, int x, int y) {
    oracle_facts facts;
    double difference = 0;
    oracle_spot_facts(o, camera, x, y, &facts);
    for (size_t c = 0; c < 3; c++) {
        difference =
            fmax(difference, fabs(facts.flat_color[c] - p->conditions[(KN_CONDITION_FLAT + c) * p->pixels + at]));
        difference = fmax(difference, fabs(facts.lamps[c] - p->conditions[(KN_CONDITION_LAMP + c) * p->pixels + at]));
    }
    for (size_t c = 0; c < KN_CLASS_COUNT; c++)
        difference =
            fmax(difference, fabs(facts.classes[c] - p->conditions[(KN_CONDITION_CLASS + c) * p->pixels + at]));
    return difference > 2e-3;
}

static double distance_to(const pictures *p, size_t at, const double rgb[3]) {
    double difference = 0;
    for (int c = 0; c < 3; c++)
        difference = fmax(difference, fabs(rgb[c] - p->conditions[(size_t)(KN_CONDITION_SHADED + c) * p->pixels + at]));
    return difference;
}

/* What a pixel may be: of its four spots, or, when it is alike all over, its centre's ray alone. `off` is how far it is
 * from the mean over four rays that share nothing. */
static bool color_differs(const oracle *o, const kn_camera *camera, const pictures *p, size_t at, int x, int y,
                          double *off) {
    oracle_veil veil = {0};
    static const double grid[5][2] = {{.375, .125}, {.875, .375}, {.125, .625}, {.625, .875}, {.5, .5}};
    double mean[3] = {0}, one[3], spots[3];
    for (int s = 0; s < 5; s++) {
        kn_vec3 origin, ray;
        oracle_ray(o, camera, x + grid[s][0], y + grid[s][1], &origin, &ray);
        oracle_color(o, origin, ray, one);
        for (int c = 0; c < 3 && s < 4; c++) mean[c] += fmin(one[c], 24) / 4;
    }
    oracle_spots(o, camera, x, y, spots);
    oracle_film(o, spots);
    oracle_film(o, mean);
    oracle_film(o, one);
    if (o->scene->timeline.weather.rain > 0) {
        kn_vec3 origin, ray;
        oracle_ray(o, camera, x + .5, y + .5, &origin, &ray);
        veil = oracle_rain(o, camera, x + .5, y + .5, fmin(p->depth[at] * kn_vec3_length(ray), 4000), NOISE_SEED);
    }
    oracle_rain_over(&veil, spots);
    oracle_rain_over(&veil, mean);
    oracle_rain_over(&veil, one);
    *off = distance_to(p, at, mean);
    return !(distance_to(p, at, spots) < .01 || (distance_to(p, at, one) < .01 && *off < .15));
}

static tally compare(const kn_scene *scene, const kn_camera *camera, size_t frame) {
    oracle o;
    tally bad = {0};
    cr_assert(oracle_init(&o, scene, frame, NULL));
    pictures p = draw(scene, camera, frame);
    o.origin = p.origin;
    for (int y = 0; y < camera->height; y++)
        for (int x = 0; x < camera->width; x++, bad.total++) {
            size_t at = (size_t)y * (size_t)camera->width + (size_t)x;
            compare_center(&o, camera, &p, at, x + .5, y + .5, &bad);
            double off;
            bad.fact += facts_differ(&o, camera, &p, at, x, y);
            bad.color += color_differs(&o, camera, &p, at, x, y, &off);
            bad.off += off;
        }
    bad.off /= bad.total;
    drop(&p);
    oracle_finish(&o);
    return bad;
}

/* Rays that graze an edge may fall to either side in fp32. */
static void expect_same(const char *what, tally bad) {
    int allowed = 1 + bad.total / 150;
    cr_expect(bad.depth <= allowed && bad.label <= allowed && bad.normal <= allowed && bad.motion <= allowed &&
                  bad.fact <= 3 * allowed && bad.color <= 3 * allowed,
              "%s: of %d pixels differ: depth %d, labels %d, normals %d, motion %d, facts %d, colour %d", what,
              bad.total, bad.depth, bad.label, bad.normal, bad.motion, bad.fact, bad.color);
    cr_expect_lt(bad.off, .010, "%s: %g from four rays a pixel", what, bad.off);
}

Test(conditions, street_by_day_and_night) {
    static const struct {
        int width, height, frame;
        double yaw;
        const kn_weather *weather;
    } cases[] = {{61, 37, 0, 0, &render_scene_noon},    {45, 26, 3, .5, &render_scene_noon},
                 {33, 19, 5, -.7, &render_scene_noon},  {61, 37, 1, 0, &render_scene_night},
                 {39, 25, 6, 2.6, &render_scene_night}, {67, 41, 4, -.3, &render_scene_downpour}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        kn_scene scene;
        char name[40];
        cr_assert(render_scene_init(&scene, cases[i].weather, -1, 0, NULL));
        kn_camera camera = render_scene_camera(cases[i].width, cases[i].height, cases[i].yaw);
        snprintf(name, sizeof name, "case %zu", i);
        expect_same(name, compare(&scene, &camera, (size_t)cases[i].frame));
        render_scene_finish(&scene);
    }
}

Test(conditions, soups_of_triangles) {
    static const int counts[] = {0, 1, 2, 37, 900};
    for (size_t i = 0; i < KN_COUNT(counts); i++) {
        kn_scene scene;
        char name[40];
        cr_assert(render_scene_init(&scene, &render_scene_noon, counts[i], 11 + i, NULL));
        kn_camera camera = render_scene_camera(29, 17, .9 * (double)i);
        snprintf(name, sizeof name, "soup of %d", counts[i]);
        expect_same(name, compare(&scene, &camera, i));
        render_scene_finish(&scene);
    }
}

Test(conditions, edges_are_where_labels_change) {
    kn_scene scene;
    cr_assert(render_scene_init(&scene, &render_scene_noon, -1, 0, NULL));
    kn_camera camera = render_scene_camera(64, 40, 0);
    pictures p = draw(&scene, &camera, 0);
    int edges = 0, missed = 0;
    for (int y = 0; y < 40; y++)
        for (int x = 0; x < 64; x++) {
            size_t at = (size_t)(y * 64 + x);
            bool edge = p.conditions[KN_CONDITION_EDGE * p.pixels + at] == 1;
            edges += edge;
            bool right = x < 63 && (p.instance[at] != p.instance[at + 1] || p.semantic[at] != p.semantic[at + 1]);
            bool below = y < 39 && (p.instance[at] != p.instance[at + 64] || p.semantic[at] != p.semantic[at + 64]);
            missed += (right || below) && !edge;
        }
    cr_expect_eq(missed, 0);
    cr_expect(edges > 60 && edges < 64 * 40 / 3, "%d edge pixels", edges);
    drop(&p);
    render_scene_finish(&scene);
}

/* What weights of 16 channels take. */
Test(conditions, give_the_sixteen_channels) {
    enum { PIXELS = 3 };
    static float conditions[KN_CONDITION_CHANNELS * PIXELS], control[KN_CONTROL_CHANNELS * PIXELS];
    for (int i = 0; i < KN_CONDITION_CHANNELS * PIXELS; i++)
        conditions[i] = (float)(1 << i / PIXELS) * (1 + (float)(i % PIXELS) / 4); /* sums tell their parts */
    kn_control_from_conditions(conditions, PIXELS, control);
    static const unsigned parts[KN_CONTROL_CHANNELS] = {1u << 27, 1u << 28, 1u << 29,  1u << 3,
                                                        1u << 4,  1u << 5,  1u << 6,   1u << 7,
                                                        3u << 8,  3u << 11, 15u << 16, 1u << 10 | 7u << 13 | 1u << 21,
                                                        1u << 22, 1u << 23, 1u << 24,  1u << 25};
    for (int i = 0; i < KN_CONTROL_CHANNELS * PIXELS; i++)
        cr_expect_eq(control[i], (float)parts[i / PIXELS] * (1 + (float)(i % PIXELS) / 4), "%d: %g", i, control[i]);
}

Test(conditions, every_value_is_in_range) {
    kn_scene scene;
    cr_assert(render_scene_init(&scene, &render_scene_night, -1, 0, NULL));
    kn_camera camera = render_scene_camera(131, 77, -.2);
    pictures p = draw(&scene, &camera, 2);
    int wrong = 0, lamps = 0;
    for (size_t i = 0; i < p.pixels * KN_CONDITION_CHANNELS; i++) {
        bool normal = i / p.pixels >= KN_CONDITION_NORMAL && i / p.pixels < KN_CONDITION_EDGE;
        wrong += !(p.conditions[i] >= (normal ? -1.001f : 0) && p.conditions[i] <= 1.001f);
        lamps += i / p.pixels == KN_CONDITION_LAMP && p.conditions[i] > .5f;
    }
    int unequal = 0;
    for (size_t i = 0; i < p.pixels; i++) {
        float sum = 0;
        for (size_t c = 0; c < KN_CLASS_COUNT; c++) sum += p.conditions[(KN_CONDITION_CLASS + c) * p.pixels + i];
        unequal += sum != 1;
    }
    cr_expect_eq(unequal, 0, "classes sum to 1");
    cr_expect_eq(wrong, 0);
    cr_expect(lamps > 0, "tail lamps are on at night");
    drop(&p);
    render_scene_finish(&scene);
}

/* Facts do not depend on whether the shaded colours are drawn. */
Test(conditions, are_the_same_without_shaded_colours) {
    kn_scene scene;
    kn_renderer *renderer;
    enum { W = 71, H = 43, PIXELS = W * H };
    static float with[KN_CONDITION_CHANNELS * PIXELS], without[KN_CONDITION_CHANNELS * PIXELS],
        again[KN_CONDITION_CHANNELS * PIXELS];
    cr_assert(render_scene_init(&scene, &render_scene_downpour, -1, 0, NULL));
    kn_camera camera = render_scene_camera(W, H, .1);
    cr_assert(kn_renderer_create(&renderer, gpu, &scene, NULL, NULL));
    memset(without, 0xff, sizeof without);
    cr_assert(kn_render(renderer, &camera, 3, &(kn_render_target){.conditions = with, .shaded = true}, NULL));
    cr_assert(kn_render(renderer, &camera, 3, &(kn_render_target){.conditions = without}, NULL));
    cr_assert(kn_render(renderer, &camera, 3, &(kn_render_target){.conditions = again, .shaded = true}, NULL));
    cr_expect_eq(memcmp(with, without, KN_CONDITION_SHADED * PIXELS * sizeof(float)), 0);
    cr_expect_eq(memcmp(with, again, sizeof with), 0);
    float most = 0, least = 1;
    for (int i = KN_CONDITION_SHADED * PIXELS; i < KN_CONDITION_CHANNELS * PIXELS; i++) {
        most = fmaxf(most, fabsf(without[i]));
        least = fminf(least, with[i]);
    }
    cr_expect(most == 0 && least >= 0 && with[KN_CONDITION_SHADED * PIXELS] > 0, "%g, %g", most, least);
    kn_renderer_destroy(&renderer);
    render_scene_finish(&scene);
}

/* Means of the textures of `count` materials, seen over `footprint` metres: flat.comp on its own. */
static void texture_means(const kn_renderer *renderer, uint32_t count, float footprint, float (*means)[4]) {
    kn_gpu_buffer *out = gpu_buffer(gpu, count * sizeof *means, NULL);
    kn_gpu_recorder *recorder = gpu_recorder(gpu);
    uint32_t lanes = kn_gpu_get_info(gpu)->subgroup_size;
    const struct {
        uint32_t count;
        float footprint;
    } push = {count, footprint};
    kn_error error;
    kn_gpu_slice slices[6];
    kn_render_scene_slices(renderer, slices);
    slices[5] = (kn_gpu_slice){.buffer = out};
    const kn_gpu_dispatch dispatch = {.kernel = KN_KERNEL_SCENE_FLAT,
                                      .slices = slices,
                                      .slice_count = 6,
                                      .constants = &lanes,
                                      .constant_count = 1,
                                      .groups = {(count + lanes - 1) / lanes, 1, 1},
                                      .push = &push,
                                      .push_size = sizeof push};
    good(kn_gpu_record(recorder, &dispatch, &error));
    good(kn_gpu_submit(recorder, &error));
    good(kn_gpu_wait(recorder, &error));
    good(kn_gpu_download(out, 0, means, count * sizeof *means, &error));
    kn_gpu_recorder_destroy(&recorder);
    kn_gpu_buffer_destroy(&out);
}

/* Flat colours are what textures show from afar; that is the mean of what they show from nearby. */
Test(conditions, flat_colours_are_the_means_of_textures) {
    kn_scene scene;
    kn_renderer *renderer;
    static float near[KN_TEXTURE_COUNT][4], far[KN_TEXTURE_COUNT][4];
    cr_assert(render_scene_init(&scene, &render_scene_noon, 0, 0, NULL));
    kn_free(scene.world.materials);
    scene.world.materials = kn_alloc(KN_TEXTURE_COUNT, sizeof *scene.world.materials, NULL);
    scene.world.material_count = KN_TEXTURE_COUNT;
    scene.world.model_count = 0;
    for (int t = 0; t < KN_TEXTURE_COUNT; t++)
        scene.world.materials[t] = (kn_material){
            .color = {.3f, .2f, .1f}, .roughness = .8f, .texture = (kn_texture)t, .semantic = KN_SEMANTIC_OBJECT};
    cr_assert(kn_renderer_create(&renderer, gpu, &scene, NULL, NULL));
    texture_means(renderer, KN_TEXTURE_COUNT, .004f, near);
    texture_means(renderer, KN_TEXTURE_COUNT, 1000, far);
    for (int t = 0; t < KN_TEXTURE_COUNT; t++)
        for (int c = 0; c < 4; c++)
            cr_expect_float_eq(near[t][c], far[t][c], .025, "texture %d channel %d: %g from nearby, %g from afar", t, c,
                               near[t][c], far[t][c]);
    kn_renderer_destroy(&renderer);
    scene.world.model_count = 3;
    render_scene_finish(&scene);
}

Test(conditions, is_the_same_every_time_and_after_another_size) {
    kn_scene scene;
    kn_renderer *renderer;
    enum { W = 83, H = 45 };
    static float first[KN_CONDITION_CHANNELS * W * H], again[KN_CONDITION_CHANNELS * W * H],
        small[KN_CONDITION_CHANNELS * 9];
    cr_assert(render_scene_init(&scene, &render_scene_night, -1, 0, NULL));
    kn_camera camera = render_scene_camera(W, H, .1), other = render_scene_camera(3, 3, 1);
    cr_assert(kn_renderer_create(&renderer, gpu, &scene, NULL, NULL));
    cr_assert(kn_render(renderer, &camera, 4, &(kn_render_target){.conditions = first, .shaded = true}, NULL));
    cr_assert(kn_render(renderer, &other, 1, &(kn_render_target){.conditions = small, .shaded = true}, NULL));
    cr_assert(kn_render(renderer, &camera, 4, &(kn_render_target){.conditions = again, .shaded = true}, NULL));
    cr_expect_eq(memcmp(first, again, sizeof first), 0);
    kn_renderer_destroy(&renderer);
    render_scene_finish(&scene);
}

Test(conditions, a_bad_camera_or_frame_is_an_error) {
    kn_scene scene;
    kn_error error;
    kn_renderer *renderer;
    float depth[64];
    cr_assert(render_scene_init(&scene, &render_scene_noon, 5, 1, NULL));
    kn_camera camera = render_scene_camera(8, 8, 0);
    kn_render_target target = {.depth = depth};
    cr_assert(kn_renderer_create(&renderer, gpu, &scene, NULL, &error));
    cr_expect(!kn_render(renderer, &camera, RENDER_SCENE_FRAMES, &target, &error));
    cr_expect_eq(error.kind, KN_ERROR_INPUT);
    camera.k[0][0] = 0;
    cr_expect(!kn_render(renderer, &camera, 0, &target, &error));
    cr_expect(strstr(error.message, "singular"), "%s", error.message);
    camera = render_scene_camera(8, 0, 0);
    cr_expect(!kn_render(renderer, &camera, 0, &target, &error));
    camera = render_scene_camera(8, 8, 0);
    cr_expect(kn_render(renderer, &camera, 0, &target, &error), "%s", error.message);
    kn_renderer_destroy(&renderer);
    kn_renderer_destroy(&renderer);
    scene.world.mesh.triangle[2][1] = 1000000;
    cr_expect(!kn_renderer_create(&renderer, gpu, &scene, NULL, &error));
    cr_expect_null(renderer);
    render_scene_finish(&scene);
}

Test(conditions, every_failed_allocation_is_reported) {
    kn_scene scene;
    kn_error error;
    kn_renderer *renderer;
    cr_assert(render_scene_init(&scene, &render_scene_noon, 40, 1, NULL));
    uint64_t n = 1;
    for (; n < 500; n++) {
        kn_alloc_fail_after(n);
        bool good = kn_renderer_create(&renderer, gpu, &scene, NULL, &error);
        kn_alloc_fail_after(0);
        if (good) break;
        cr_expect_eq(error.kind, KN_ERROR_MEMORY);
        cr_expect_null(renderer);
    }
    cr_expect(n > 10 && n < 500);
    kn_renderer_destroy(&renderer);
    render_scene_finish(&scene);
}
