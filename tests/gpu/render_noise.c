/* Anchored noise: unit Gaussian, white, and attached to surfaces. */
#include "gpu_common.h"
#include "render_oracle.h"
#include "render_scene.h"

#include "scene/render/render_internal.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { W = 241, H = 135 };

static kn_gpu *gpu;
static kn_scene scene;

static void open_all(void) {
    kn_error error;
    gpu = gpu_open(NULL);
    cr_assert(render_scene_init(&scene, &render_scene_noon, -1, 0, &error));
}

static void close_all(void) {
    render_scene_finish(&scene);
    gpu_close(gpu);
}

TestSuite(noise, .init = open_all, .fini = close_all);

typedef struct view {
    float *noise, *motion, *depth;
    uint16_t *instance;
    kn_camera camera;
    size_t frame;
    int width, height, channels;
} view;

static view draw_size(int width, int height, int channels, double yaw, double shift, size_t frame, uint64_t seed) {
    kn_error error;
    kn_renderer *renderer;
    size_t n = (size_t)width * (size_t)height;
    view v = {.noise = malloc(n * 4 * (size_t)channels),
              .motion = malloc(n * 8),
              .depth = malloc(n * 4),
              .instance = malloc(n * 2),
              .camera = render_scene_camera(width, height, yaw),
              .frame = frame,
              .width = width,
              .height = height,
              .channels = channels};
    v.camera.translation[1] += shift;
    cr_assert(kn_renderer_create(&renderer, gpu, &scene, NULL, &error), "%s", error.message);
    kn_render_target target = {.noise = v.noise,
                               .noise_channels = channels,
                               .noise_seed = seed,
                               .motion = v.motion,
                               .depth = v.depth,
                               .instance = v.instance};
    cr_assert(kn_render(renderer, &v.camera, frame, &target, &error), "%s", error.message);
    kn_renderer_destroy(&renderer);
    return v;
}

static view draw(double yaw, double shift, size_t frame, uint64_t seed) {
    return draw_size(W, H, 3, yaw, shift, frame, seed);
}

static void drop(view *v) { free(v->noise), free(v->motion), free(v->depth), free(v->instance); }

/* Running sums for a correlation. */
typedef struct pairs {
    double n, x, y, xx, yy, xy;
} pairs;

static void put(pairs *p, double x, double y) {
    p->n++, p->x += x, p->y += y, p->xx += x * x, p->yy += y * y, p->xy += x * y;
}

static double correlation(const pairs *p) {
    double vx = p->xx / p->n - p->x * p->x / p->n / p->n, vy = p->yy / p->n - p->y * p->y / p->n / p->n;
    return (p->xy / p->n - p->x * p->y / p->n / p->n) / sqrt(vx * vy);
}

/* Correlation of channel a with channel b, (dx, dy) pixels away. */
static double within(const view *v, int a, int b, int dx, int dy) {
    pairs p = {0};
    int w = v->width, h = v->height;
    for (int y = 0; y + dy < h; y++)
        for (int x = 0; x + dx < w; x++)
            put(&p, v->noise[(a * h + y) * w + x], v->noise[(b * h + y + dy) * w + x + dx]);
    return correlation(&p);
}

Test(noise, is_unit_gaussian_and_white) {
    for (int i = 0; i < 3; i++) {
        view v = draw(.8 * i, 0, (size_t)i, 20 + (uint64_t)i);
        double n = 3.0 * W * H, mean = 0, square = 0, fourth = 0;
        for (int k = 0; k < 3 * W * H; k++) {
            double x = v.noise[k];
            mean += x, square += x * x, fourth += x * x * x * x;
        }
        mean /= n, square /= n, fourth /= n;
        cr_expect(fabs(mean) < .02, "mean %.4f", mean);
        cr_expect(fabs(square - 1) < .03, "variance %.4f", square);
        cr_expect(fabs(fourth / square / square - 3) < .1, "kurtosis %.3f", fourth / square / square);
        double right = within(&v, 0, 0, 1, 0), below = within(&v, 1, 1, 0, 1), across = within(&v, 2, 2, 1, 1);
        cr_expect(fabs(right) < .06 && fabs(below) < .06 && fabs(across) < .06, "neighbours %.3f %.3f %.3f", right,
                  below, across);
        cr_expect(fabs(within(&v, 0, 1, 0, 0)) < .02 && fabs(within(&v, 0, 2, 0, 0)) < .02 &&
                  fabs(within(&v, 1, 2, 0, 0)) < .02);
        printf("noise: mean %.4f variance %.4f kurtosis %.3f; neighbours right %.3f below %.3f diagonal %.3f\n", mean,
               square, fourth / square / square, right, below, across);
        drop(&v);
    }
}

/* How far noise follows the surfaces from view a into view b: pixels of a whose point lies within `near` pixels of a
 * pixel of b and is not hidden there. Wanted: instances from `low` to `high`. */
static double follow(const view *a, const view *b, double near, int low, int high, int *count) {
    oracle from, to;
    pairs p = {0};
    int w = a->width, h = a->height;
    cr_assert(oracle_init(&from, &scene, a->frame, NULL) && oracle_init(&to, &scene, b->frame, NULL));
    kn_vec3 eye, axis;
    oracle_ray(&to, &b->camera, b->camera.k[0][2], b->camera.k[1][2], &eye, &axis);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            kn_vec3 origin, ray, ex, ey, o2;
            int at = y * w + x;
            oracle_ray(&from, &a->camera, x + .5, y + .5, &origin, &ray);
            if (a->instance[at] < low || a->instance[at] > high || isinf(a->depth[at])) continue;
            kn_vec3 point = kn_vec3_add(origin, kn_vec3_scale(ray, a->depth[at]));
            if (a->instance[at] == 2) { /* the car in front carries its points along */
                kn_pose now = oracle_part_pose(&from, 1, -1, a->frame), then = oracle_part_pose(&to, 1, -1, b->frame),
                        back = kn_pose_inverse(&now);
                point = kn_pose_point(&back, point);
                point = kn_pose_point(&then, point);
            }
            kn_vec3 offset = kn_vec3_sub(point, eye);
            oracle_ray(&to, &b->camera, b->camera.k[0][2] + b->camera.k[0][0], b->camera.k[1][2], &o2, &ex);
            oracle_ray(&to, &b->camera, b->camera.k[0][2], b->camera.k[1][2] + b->camera.k[1][1], &o2, &ey);
            double z = kn_vec3_dot(offset, axis), u, v;
            u = b->camera.k[0][0] * kn_vec3_dot(offset, kn_vec3_sub(ex, axis)) / z + b->camera.k[0][2];
            v = b->camera.k[1][1] * kn_vec3_dot(offset, kn_vec3_sub(ey, axis)) / z + b->camera.k[1][2];
            if (!(z > 0 && u >= 0 && u < w && v >= 0 && v < h) || fabs(u - floor(u) - .5) > near ||
                fabs(v - floor(v) - .5) > near)
                continue;
            int other = (int)v * w + (int)u;
            if (fabs(b->depth[other] - z) > .02 * z || b->instance[other] != a->instance[at]) continue;
            for (int c = 0; c < a->channels; c++) put(&p, a->noise[c * w * h + at], b->noise[c * w * h + other]);
        }
    oracle_finish(&from);
    oracle_finish(&to);
    *count = (int)p.n / a->channels;
    return correlation(&p);
}

static void expect_follows(const char *what, const view *a, const view *b, double near, int low, int high,
                           double least) {
    int points, all;
    double exact = follow(a, b, near, low, high, &points), any = follow(a, b, .5, low, high, &all);
    printf("noise: %s: correlation %.3f at %d points within %.2f px of a pixel's middle, %.3f at all %d\n", what, exact,
           points, near, any, all);
    cr_expect(points > 40, "%s: only %d points", what, points);
    cr_expect(exact > least, "%s: correlation %.3f", what, exact);
    cr_expect(any > .55 * least, "%s: correlation %.3f at all points", what, any);
}

Test(noise, stays_on_surfaces) {
    view a = draw(0, 0, 1, 5), turned = draw(.35, 0, 1, 5), aside = draw(.1, .3, 1, 5), later = draw(0, 0, 2, 5),
         other = draw(.1, .3, 1, 6);
    int count;
    expect_follows("neighbouring camera, turned", &a, &turned, .15, 0, 65535, .72);
    expect_follows("neighbouring camera, 30 cm aside", &a, &aside, .15, 0, 65535, .6);
    expect_follows("a frame later, world", &a, &later, .15, 0, 0, .5);
    expect_follows("a frame later, houses", &a, &later, .15, 10, 12, .7);
    expect_follows("a frame later, driving car", &a, &later, .35, 2, 2, .6);
    double random = follow(&a, &other, .5, 0, 65535, &count);
    cr_expect(fabs(random) < .03, "another seed: %.3f", random);
    drop(&a), drop(&turned), drop(&aside), drop(&later), drop(&other);
}

Test(noise, is_the_same_every_time) {
    view a = draw(.3, 0, 3, 9), b = draw(.3, 0, 3, 9), c = draw(.3, 0, 3, 10);
    cr_expect_eq(memcmp(a.noise, b.noise, 12 * W * H), 0);
    cr_expect_neq(memcmp(a.noise, c.noise, 12 * W * H), 0);
    drop(&a), drop(&b), drop(&c);
}

Test(noise, matches_the_naive_renderer) {
    static const double yaws[] = {0, .9, -2.2};
    int wrong = 0, total = 0;
    for (size_t i = 0; i < KN_COUNT(yaws); i++) {
        enum { w = 47, h = 29, CHANNELS = 6 };
        oracle o;
        kn_renderer *renderer;
        float noise[CHANNELS * w * h];
        kn_camera camera = render_scene_camera(w, h, yaws[i]);
        kn_render_target target = {.noise = noise, .noise_channels = CHANNELS, .noise_seed = 77};
        cr_assert(oracle_init(&o, &scene, i + 1, NULL));
        cr_assert(kn_renderer_create(&renderer, gpu, &scene, NULL, NULL));
        cr_assert(kn_render(renderer, &camera, i + 1, &target, NULL));
        o.origin = renderer->origin;
        kn_renderer_destroy(&renderer);
        for (int k = 0; k < w * h; k++, total++) {
            double value[8], difference = 0;
            for (int g = 0; g < 2; g++) oracle_noise(&o, &camera, k % w + .5, k / w + .5, 77, g, value + 4 * g);
            for (int c = 0; c < CHANNELS; c++) difference = fmax(difference, fabs(value[c] - noise[c * w * h + k]));
            wrong += difference > .05;
        }
        oracle_finish(&o);
    }
    cr_expect(wrong < total / 50, "%d of %d pixels differ", wrong, total);
}

/* --- latents: one place is 8x8 pixels, many channels ---------------------------------------------------------------
 */

enum { LATENT_W = 50, LATENT_H = 28, LATENT_CHANNELS = 32, LATENT_PLACES = LATENT_W * LATENT_H };

static void moments(const float *values, size_t n, double *mean, double *variance) {
    *mean = *variance = 0;
    for (size_t i = 0; i < n; i++)
        *mean += values[i] / (double)n, *variance += (double)values[i] * values[i] / (double)n;
    *variance -= *mean * *mean;
}

/* 1400 places leave the mean of one channel a standard error of .027 and its variance one of .038. */
Test(noise, of_a_latent_is_unit_gaussian_in_every_channel) {
    double all_mean = 0, all_variance = 0, right = 0, below = 0, most = 0;
    enum { VIEWS = 3 };
    for (int i = 0; i < VIEWS; i++) {
        view v = draw_size(LATENT_W, LATENT_H, LATENT_CHANNELS, .9 * i, 0, (size_t)i, 40);
        for (int c = 0; c < LATENT_CHANNELS; c++) {
            double mean, variance;
            moments(v.noise + c * LATENT_PLACES, LATENT_PLACES, &mean, &variance);
            cr_expect(fabs(mean) < .15 && fabs(variance - 1) < .2, "channel %d: mean %.3f variance %.3f", c, mean,
                      variance);
            all_mean += mean / LATENT_CHANNELS / VIEWS;
            all_variance += (variance + mean * mean) / LATENT_CHANNELS / VIEWS;
            right += within(&v, c, c, 1, 0) / LATENT_CHANNELS / VIEWS;
            below += within(&v, c, c, 0, 1) / LATENT_CHANNELS / VIEWS;
            for (int other = 0; other < c; other++) most = fmax(most, fabs(within(&v, c, other, 0, 0)));
        }
        drop(&v);
    }
    printf("noise: latents: mean %.4f variance %.4f neighbours right %.3f below %.3f, channels at most %.3f\n",
           all_mean, all_variance, right, below, most);
    cr_expect(fabs(all_mean) < .012 && fabs(all_variance - 1) < .02);
    cr_expect(fabs(right) < .1 && fabs(below) < .1);
    cr_expect(most < .14, "two channels of one picture correlate: %.3f", most);
}

Test(noise, of_a_latent_stays_on_surfaces) {
    view a = draw_size(LATENT_W, LATENT_H, LATENT_CHANNELS, 0, 0, 1, 5);
    view turned = draw_size(LATENT_W, LATENT_H, LATENT_CHANNELS, .35, 0, 1, 5);
    view later = draw_size(LATENT_W, LATENT_H, LATENT_CHANNELS, 0, 0, 2, 5);
    expect_follows("latent, neighbouring camera", &a, &turned, .25, 0, 65535, .7);
    expect_follows("latent, a frame later", &a, &later, .25, 0, 65535, .5);
    drop(&a), drop(&turned), drop(&later);
}

/* No channel of one seed is a channel of another one (1400 places: standard error .027, 1024 pairs). */
Test(noise, of_neighbouring_seeds_shares_no_channel) {
    view a = draw_size(LATENT_W, LATENT_H, LATENT_CHANNELS, .3, 0, 1, 7);
    view b = draw_size(LATENT_W, LATENT_H, LATENT_CHANNELS, .3, 0, 1, 8);
    double most = 0;
    for (int c = 0; c < LATENT_CHANNELS; c++)
        for (int d = 0; d < LATENT_CHANNELS; d++) {
            pairs p = {0};
            for (int i = 0; i < LATENT_PLACES; i++)
                put(&p, a.noise[c * LATENT_PLACES + i], b.noise[d * LATENT_PLACES + i]);
            most = fmax(most, fabs(correlation(&p)));
        }
    cr_expect(most < .16, "channels of two seeds correlate: %.3f", most);
    drop(&a), drop(&b);
}

Test(noise, refuses_channels_beyond_its_limits) {
    kn_error error;
    kn_renderer *renderer;
    float noise[12];
    kn_camera camera = render_scene_camera(2, 2, 0);
    cr_assert(kn_renderer_create(&renderer, gpu, &scene, NULL, &error));
    for (int channels = -1; channels <= KN_NOISE_MAX_CHANNELS + 1; channels += KN_NOISE_MAX_CHANNELS + 2) {
        kn_render_target target = {.noise = noise, .noise_channels = channels};
        cr_expect_not(kn_render(renderer, &camera, 0, &target, &error));
        cr_expect_eq(error.kind, KN_ERROR_INPUT);
    }
    kn_renderer_destroy(&renderer);
}
