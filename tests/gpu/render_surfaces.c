/* Correspondences of rendered pictures together with the kernels that fuse along them: two cameras, mirrors, road
 * users, windows, bounds. Pictures to fuse are made by chance, so that all agreement comes from the lock. */
#include "diffusion/ops/ops.h"
#include "diffusion/sampling/lock.h"
#include "gpu_common.h"
#include "render_scene.h"
#include "scene/render/surfaces.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { W = 240, H = 136, CHANNELS = 4 };

static kn_gpu *gpu;
static kn_scene scene;
static kn_renderer *renderer;
static kn_error error;

static void open_all(void) {
    gpu = gpu_open(NULL);
    cr_assert(render_scene_init(&scene, &render_scene_noon, -1, 0, &error));
    cr_assert(kn_renderer_create(&renderer, gpu, &scene, NULL, &error), "%s", error.message);
}

static void close_all(void) {
    kn_renderer_destroy(&renderer);
    render_scene_finish(&scene);
    gpu_close(gpu);
}

TestSuite(surfaces, .init = open_all, .fini = close_all);

/* --- pictures ----------------------------------------------------------------------------------- */

typedef struct view {
    float *conditions, *depth, *matte;
    uint16_t *instance;
    kn_camera camera;
    size_t frame;
    bool decided;
} view;

static view draw(double yaw, double aside, size_t frame) {
    view v = {malloc(W * H * 4 * KN_CONDITION_CHANNELS),
              malloc(W * H * 4),
              NULL,
              malloc(W * H * 2),
              render_scene_camera(W, H, yaw),
              frame,
              false};
    v.camera.translation[1] += aside;
    kn_render_target target = {.conditions = v.conditions, .depth = v.depth, .instance = v.instance};
    cr_assert(kn_render(renderer, &v.camera, frame, &target, &error), "%s", error.message);
    return v;
}

static void drop(view *views, int count) {
    for (int i = 0; i < count; i++)
        free(views[i].conditions), free(views[i].depth), free(views[i].matte), free(views[i].instance);
}

/* The links of these pictures; a place is `place` x `place` pixels. */
static kn_surface_window *link_views(const view *views, int count, int place, int samples) {
    kn_surface_window *window;
    size_t first = views[0].frame, last = first;
    for (int i = 0; i < count; i++) last = views[i].frame > last ? views[i].frame : last;
    kn_surface_params params = {.width = W / place,
                                .height = H / place,
                                .samples = samples,
                                .detail = 1,
                                .sky_angle = place / views[0].camera.k[0][0]};
    cr_assert(kn_surface_window_create(&window, &scene, &params, &error), "%s", error.message);
    cr_assert(kn_surface_window_begin(window, first, last - first + 1, &error), "%s", error.message);
    for (int i = 0; i < count; i++) {
        kn_surface_picture p = {
            &views[i].camera,  views[i].frame, views[i].depth,  views[i].conditions + KN_CONDITION_NORMAL * W * H,
            views[i].instance, views[i].matte, views[i].decided};
        cr_assert(kn_surface_window_add(window, (size_t)i, &p, &error), "%s", error.message);
    }
    return window;
}

/* Noise of some places' width, another one for every picture and channel. */
static float *random_fields(int count, int place, uint64_t seed) {
    int w = W / place, h = H / place;
    float *fields = calloc((size_t)(count * CHANNELS * w * h), 4), *white = malloc((size_t)(w * h) * 4);
    for (int n = 0; n < count * CHANNELS; n++) {
        for (int i = 0; i < w * h; i++)
            white[i] = (float)(kn_hash64(seed++ * 0x9e3779b97f4a7c15u) >> 11) / (float)(1ull << 53) - .5f;
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                for (int k = 0; k < 25; k++) {
                    int sx = (x + k % 5) % w, sy = (y + k / 5) % h;
                    fields[(n * h + y) * w + x] += white[sy * w + sx];
                }
    }
    free(white);
    return fields;
}

/* The lock at full strength on x [count][CHANNELS][h][w]. */
static void fuse(const kn_surface_window *window, float *x, int place) {
    const kn_surface_links *l = kn_surface_window_links(window);
    int n = (int)l->picture_count, w = W / place, h = H / place;
    kn_lock lock = {l->samples, l->cells, l->weights, l->hold, l->cell_count};
    kn_lock_shape shape = {n, h, w, CHANNELS, 1, CHANNELS};
    kn_lock_work work = {0};
    kn_graph *graph;
    kn_tensor tensor;
    cr_assert(kn_graph_create(&graph, gpu, 0, &error) && kn_graph_tensor(graph, &tensor, n, h, w, CHANNELS, &error));
    cr_assert(kn_tensor_upload(&tensor, x, &error) && kn_lock_work_init(&work, gpu, &lock, &shape, &error), "%s",
              error.message);
    cr_assert(kn_lock_set_strength(&work, 1, &error) && kn_lock_record(graph, &work, &tensor, &error));
    cr_assert(kn_graph_run(graph, &error) && kn_tensor_download(&tensor, x, &error));
    kn_graph_destroy(&graph);
    kn_lock_work_finish(&work);
}

/* --- an independent look at correspondences ------------------------------------------------------- */

static kn_pose pose_of(const view *v) {
    kn_pose ego, mount;
    double t[3];
    kn_scene_ego_pose(&scene, v->frame, t, ego.rotation, NULL);
    ego.translation = (kn_vec3){t[0], t[1], t[2]};
    memcpy(mount.rotation, v->camera.rotation, sizeof mount.rotation);
    mount.translation = (kn_vec3){v->camera.translation[0], v->camera.translation[1], v->camera.translation[2]};
    return kn_pose_multiply(&ego, &mount);
}

static bool instance_pose(int instance, size_t frame, kn_pose *pose) {
    kn_box boxes[64];
    size_t count = kn_scene_boxes(&scene, frame, boxes, 64);
    for (size_t i = 0; i < count; i++)
        if (boxes[i].instance == instance) {
            kn_vec3 at = {boxes[i].translation[0], boxes[i].translation[1], boxes[i].translation[2]};
            *pose = kn_pose_from_quaternion(at, boxes[i].rotation);
            return true;
        }
    return false;
}

/* Where the point that `a` shows at pixel (x, y) appears in b: false when it is hidden there or outside. */
static bool find(const view *a, const view *b, int x, int y, double *u, double *v) {
    kn_pose from = pose_of(a), to = pose_of(b), back = kn_pose_inverse(&to), then, now;
    float depth = a->depth[y * W + x];
    int instance = a->instance[y * W + x];
    if (!isfinite(depth)) return false;
    kn_vec3 ray = {(x + .5 - a->camera.k[0][2]) / a->camera.k[0][0], (y + .5 - a->camera.k[1][2]) / a->camera.k[1][1],
                   1};
    kn_vec3 point = kn_pose_point(&from, kn_vec3_scale(ray, depth));
    if (instance_pose(instance, a->frame, &then) && instance_pose(instance, b->frame, &now)) {
        kn_pose local = kn_pose_inverse(&then);
        point = kn_pose_point(&local, point);
        point = kn_pose_point(&now, point);
    }
    point = kn_pose_point(&back, point);
    *u = b->camera.k[0][0] * point.x / point.z + b->camera.k[0][2];
    *v = b->camera.k[1][1] * point.y / point.z + b->camera.k[1][2];
    if (!(point.z > .1 && *u >= 0 && *u < W && *v >= 0 && *v < H)) return false;
    int at = (int)*v * W + (int)*u;
    return fabs(b->depth[at] - point.z) < .02 * point.z && b->instance[at] == instance;
}

/* Correlation of the fields of two pictures along the correspondences of instances low..high. */
static double agreement(const view *a, const view *b, const float *fa, const float *fb, int place, int low, int high,
                        int *points) {
    int w = W / place, h = H / place;
    double n = 0, sx = 0, sy = 0, xx = 0, yy = 0, xy = 0;
    for (int y = place / 2; y < H; y += place)
        for (int x = place / 2; x < W; x += place) {
            double u, v;
            int instance = a->instance[y * W + x];
            if (instance < low || instance > high || !find(a, b, x, y, &u, &v)) continue;
            for (int c = 0; c < CHANNELS; c++) {
                double p = fa[(c * h + y / place) * w + x / place];
                double q = fb[(c * h + (int)v / place) * w + (int)u / place];
                n++, sx += p, sy += q, xx += p * p, yy += q * q, xy += p * q;
            }
        }
    *points = (int)n / CHANNELS;
    return (xy - sx * sy / n) / sqrt((xx - sx * sx / n) * (yy - sy * sy / n));
}

static void expect_agreement(const char *what, const view *views, int a, int b, float *fields, int place, int samples,
                             int low, int high, int count, double least) {
    size_t size = (size_t)(W / place) * (H / place) * CHANNELS;
    int points;
    double before = agreement(&views[a], &views[b], fields + (size_t)a * size, fields + (size_t)b * size, place, low,
                              high, &points);
    kn_surface_window *window = link_views(views, count, place, samples);
    fuse(window, fields, place);
    double after = agreement(&views[a], &views[b], fields + (size_t)a * size, fields + (size_t)b * size, place, low,
                             high, &points);
    printf("lock: %s: correlation %.3f before, %.3f after, at %d points\n", what, before, after, points);
    cr_expect(points > 25, "%s: only %d points", what, points);
    cr_expect(before < .5, "%s: agreed before: %.3f", what, before);
    cr_expect(after > least, "%s: correlation %.3f", what, after);
    kn_surface_window_destroy(&window);
}

/* --- tests -------------------------------------------------------------------------------------- */

Test(surfaces, two_cameras_end_with_the_same_wall) {
    view views[2] = {draw(0, 0, 1), draw(.35, .2, 1)};
    float *pixels = random_fields(2, 1, 3), *cells = random_fields(2, 8, 4);
    expect_agreement("a house, pixels", views, 0, 1, pixels, 1, 2, 10, 11, 2, .45);
    expect_agreement("all, latent cells", views, 0, 1, cells, 8, 4, 0, 65535, 2, .58);
    free(pixels), free(cells);
    drop(views, 2);
}

Test(surfaces, frames_agree) {
    view views[4] = {draw(0, 0, 1), draw(0, 0, 2), draw(0, 0, 3), draw(0, 0, 4)};
    float *pixels = random_fields(4, 1, 5), *cells = random_fields(4, 8, 6);
    expect_agreement("houses two frames later, pixels", views, 0, 2, pixels, 1, 2, 10, 12, 4, .42);
    expect_agreement("all two frames later, latent cells", views, 0, 2, cells, 8, 4, 0, 65535, 4, .28);
    free(pixels), free(cells);
    drop(views, 4);
}

/* The car in front drives: its places follow it, and share no cell with what it drives past. */
Test(surfaces, a_road_user_keeps_its_own) {
    view views[3] = {draw(0, 0, 1), draw(0, 0, 3), draw(0, 0, 5)};
    float *pixels = random_fields(3, 1, 8);
    expect_agreement("a driving car", views, 0, 2, pixels, 1, 2, 2, 2, 3, .12);
    kn_surface_window *window = link_views(views, 3, 1, 1);
    const kn_surface_links *l = kn_surface_window_links(window);
    int *owner = calloc(l->cell_count, sizeof *owner), mixed = 0;
    for (int n = 0; n < 3; n++)
        for (int i = 0; i < W * H; i++) {
            int *of = &owner[l->cells[n * W * H + i]],
                instance = isfinite(views[n].depth[i]) ? views[n].instance[i] : -2;
            mixed += *of != 0 && *of != instance + 3;
            *of = instance + 3;
        }
    cr_expect_eq(mixed, 0, "%d places share cells with another thing", mixed);
    free(owner), free(pixels);
    kn_surface_window_destroy(&window);
    drop(views, 3);
}

/* One house is glass. It keeps what each picture made of it, and does not tell the street what it shows. */
Test(surfaces, a_mirror_does_not_smear) {
    view views[2] = {draw(0, 0, 1), draw(.35, .2, 1)};
    enum { GLASS = 10, SIZE = W * H * CHANNELS };
    float *x = random_fields(2, 1, 9), *before = malloc(2 * SIZE * 4), *again = malloc(2 * SIZE * 4);
    memcpy(before, x, 2 * SIZE * 4);
    memcpy(again, x, 2 * SIZE * 4);
    for (int n = 0; n < 2; n++) {
        views[n].matte = malloc(W * H * 4);
        for (int i = 0; i < W * H; i++) views[n].matte[i] = views[n].instance[i] != GLASS;
    }
    kn_surface_window *window = link_views(views, 2, 1, 1);
    fuse(window, x, 1);
    double moved = 0, elsewhere = 0;
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < W * H; i++) {
            double step = fabsf(x[n * SIZE + i] - before[n * SIZE + i]);
            if (views[n].instance[i] == GLASS) moved = fmax(moved, step);
            else elsewhere = fmax(elsewhere, step);
        }
    cr_expect(moved < 1e-6, "glass changed by %g", moved);
    cr_expect(elsewhere > .1);
    /* What the glass showed reaches nothing else. */
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < SIZE; i++)
            if (views[n].instance[i % (W * H)] == GLASS) again[n * SIZE + i] += 5;
    fuse(window, again, 1);
    double leaked = 0;
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < SIZE; i++)
            if (views[n].instance[i % (W * H)] != GLASS)
                leaked = fmax(leaked, fabsf(again[n * SIZE + i] - x[n * SIZE + i]));
    cr_expect(leaked < 1e-6, "glass leaked %g", leaked);
    kn_surface_window_destroy(&window);
    free(x), free(before), free(again);
    drop(views, 2);
}

/* What a window takes over stands, and the others follow it. */
Test(surfaces, a_window_boundary_is_seamless) {
    for (int place = 1; place <= 8; place += 7) {
        view views[4] = {draw(0, 0, 2), draw(0, 0, 3), draw(0, 0, 4), draw(0, 0, 5)};
        size_t size = (size_t)(W / place) * (H / place) * CHANNELS;
        float *fields = random_fields(4, place, 12), *before = malloc(size * 4);
        int points, samples = place == 1 ? 2 : 4;
        double without = agreement(&views[0], &views[1], fields, fields + size, place, 0, 65535, &points);
        memcpy(before, fields, size * 4);
        views[0].decided = true;
        kn_surface_window *window = link_views(views, 4, place, samples);
        fuse(window, fields, place);
        cr_expect_eq(memcmp(before, fields, size * 4), 0, "what stood has changed");
        double with = agreement(&views[0], &views[1], fields, fields + size, place, 0, 65535, &points);
        printf("lock: after a window's end: correlation %.3f before, %.3f after, at %d points\n", without, with,
               points);
        cr_expect(without < .5 && with > .5, "place %d: %.3f before, %.3f after", place, without, with);
        kn_surface_window_destroy(&window);
        free(before), free(fields);
        drop(views, 4);
    }
}

Test(surfaces, links_repeat_exactly) {
    view views[2] = {draw(0, 0, 1), draw(.35, .2, 1)};
    kn_surface_window *a = link_views(views, 2, 4, 2), *b = link_views(views, 2, 4, 2);
    const kn_surface_links *la = kn_surface_window_links(a), *lb = kn_surface_window_links(b);
    cr_expect_eq(la->cell_count, lb->cell_count);
    cr_expect_eq(memcmp(la->cells, lb->cells, (size_t)(2 * W * H / 16) * 16), 0);
    kn_surface_window_destroy(&a);
    kn_surface_window_destroy(&b);
    drop(views, 2);
}
