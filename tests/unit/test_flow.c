/* Optical flow against motion that is known, and warping along it. */
#include "base/base.h"
#include "base/warp.h"
#include "kinora/flow.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* --- pictures that move ----------------------------------------------------------------------- */

static float hashed(int x, int y, int seed) {
    uint64_t h = kn_hash64((uint64_t)(uint32_t)x * 73856093u ^ (uint64_t)(uint32_t)y * 19349663u ^
                           (uint64_t)(uint32_t)seed * 83492791u);
    return (float)(h >> 40) / (float)(1 << 24);
}

/* Smooth noise of one scale at a real place. */
static float noise_at(double x, double y, double scale, int seed) {
    x /= scale, y /= scale;
    int x0 = (int)floor(x), y0 = (int)floor(y);
    float fx = (float)(x - x0), fy = (float)(y - y0);
    fx = fx * fx * (3 - 2 * fx), fy = fy * fy * (3 - 2 * fy);
    float a = hashed(x0, y0, seed), b = hashed(x0 + 1, y0, seed), c = hashed(x0, y0 + 1, seed),
          d = hashed(x0 + 1, y0 + 1, seed);
    return (a + (b - a) * fx) * (1 - fy) + (c + (d - c) * fx) * fy;
}

static float texture(double x, double y, int seed) {
    return .2f * noise_at(x, y, 3, seed) + .25f * noise_at(x, y, 9, seed + 1) + .25f * noise_at(x, y, 31, seed + 2) +
           .3f * noise_at(x, y, 90, seed + 3);
}

typedef struct shift {
    int width, height;
    double u, v; /* of the background, pixels */
    int box;     /* side of a square in front that moves the other way; 0: none */
} shift;

static bool in_box(const shift *s, int frame, int x, int y) {
    double bx = s->width / 2 - s->box / 2 - frame * s->u, by = s->height / 2 - s->box / 2 - frame * s->v;
    return s->box && x >= bx && y >= by && x < bx + s->box && y < by + s->box;
}

static void draw(const shift *s, int frame, float *planes) {
    size_t pixels = (size_t)s->width * (size_t)s->height;
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++) {
            bool box = in_box(s, frame, x, y);
            double sign = box ? 1 : -1;
            float value = texture(x + sign * frame * s->u + 500, y + sign * frame * s->v + 500, box ? 40 : 1);
            for (size_t c = 0; c < 3; c++)
                planes[c * pixels + (size_t)y * (size_t)s->width + (size_t)x] = value * (1 - .2f * (float)c);
        }
}

typedef struct outcome {
    double error;   /* mean end-point error, pixels, where the truth is visible in both */
    double share;   /* of such pixels that are trusted */
    double covered; /* share of hidden pixels that are not */
} outcome;

static outcome judge(const shift *s, const float *motion, const float *confident) {
    size_t pixels = (size_t)s->width * (size_t)s->height;
    double error = 0, seen = 0, trusted = 0, hidden = 0, found = 0;
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++) {
            size_t i = (size_t)y * (size_t)s->width + (size_t)x;
            bool box = in_box(s, 1, x, y);
            double u = box ? s->u : -s->u, v = box ? s->v : -s->v, px = x + u, py = y + v;
            bool outside = px < -1 || py < -1 || px > s->width || py > s->height;
            if (outside || in_box(s, 0, (int)lround(px), (int)lround(py)) != box) {
                hidden++;
                found += confident[i] < .5f;
            } else {
                seen++;
                error += hypot((double)motion[i] - u, (double)motion[pixels + i] - v);
                trusted += confident[i] > .5f;
            }
        }
    return (outcome){error / seen, trusted / seen, hidden > 0 ? found / hidden : 1};
}

static outcome measure(shift s) {
    size_t pixels = (size_t)s.width * (size_t)s.height;
    kn_error error = {0};
    kn_flow *flow;
    float *planes = kn_alloc(3 * pixels, sizeof(float), &error), *motion = kn_alloc(2 * pixels, sizeof(float), &error),
          *confident = kn_alloc(pixels, sizeof(float), &error);
    cr_assert(kn_flow_create(&flow, s.width, s.height, &error), "%s", error.message);
    for (int frame = 0; frame < 2; frame++) {
        draw(&s, frame, planes);
        cr_assert(kn_flow_next(flow, planes, motion, confident, &error));
    }
    outcome found = judge(&s, motion, confident);
    kn_flow_destroy(&flow);
    kn_free(planes), kn_free(motion), kn_free(confident);
    return found;
}

Test(flow, finds_shifts_of_3_30_and_60_pixels) {
    const shift shifts[] = {
        {480, 360, 3.3, -1.7, 0}, {480, 360, 29.6, 11.4, 0}, {481, 361, -58.4, 14.2, 0}, {240, 180, 2.5, .3, 0}};
    for (size_t i = 0; i < KN_COUNT(shifts); i++) {
        outcome o = measure(shifts[i]);
        cr_expect_lt(o.error, .3, "%g, %g: end-point error %.3f", shifts[i].u, shifts[i].v, o.error);
        cr_expect_gt(o.share, .93, "%g, %g: %.3f of the visible pixels are trusted", shifts[i].u, shifts[i].v, o.share);
        cr_expect_gt(o.covered, .8, "%g, %g: %.3f of what lies outside is not trusted", shifts[i].u, shifts[i].v,
                     o.covered);
    }
}

Test(flow, what_a_moving_square_uncovers_is_not_trusted) {
    outcome o = measure((shift){480, 360, 4.5, 1.5, 120});
    cr_expect_lt(o.error, .5, "end-point error %.3f", o.error);
    cr_expect_gt(o.covered, .6, "%.3f of what was hidden is not trusted", o.covered);
    cr_expect_gt(o.share, .9, "%.3f of what was visible is trusted", o.share);
}

Test(flow, first_frames_of_shots_have_none) {
    enum { W = 33, H = 17 };
    kn_error error = {0};
    kn_flow *flow;
    float planes[3 * W * H], motion[2 * W * H], confident[W * H];
    shift s = {W, H, 1, 0, 0};
    cr_assert(kn_flow_create(&flow, W, H, &error));
    for (int frame = 0; frame < 6; frame++) {
        draw(&s, frame, planes);
        if (frame == 4) kn_flow_cut(flow);
        cr_assert(kn_flow_next(flow, planes, motion, confident, &error));
        float most = 0;
        for (int i = 0; i < W * H; i++) most = fmaxf(most, confident[i]);
        cr_expect_eq(most, frame == 0 || frame == 4 ? 0 : 1, "frame %d", frame);
    }
    kn_flow_destroy(&flow);
}

Test(flow, any_size_and_any_values) {
    const int sizes[][2] = {{1, 1}, {2, 5}, {7, 7}, {8, 8}, {9, 31}, {321, 3}, {350, 9}};
    for (size_t i = 0; i < KN_COUNT(sizes); i++) {
        int w = sizes[i][0], h = sizes[i][1];
        size_t pixels = (size_t)w * (size_t)h;
        kn_error error = {0};
        kn_flow *flow;
        float *planes = kn_alloc(3 * pixels, 4, &error), *motion = kn_alloc(2 * pixels, 4, &error),
              *confident = kn_alloc(pixels, 4, &error);
        cr_assert(kn_flow_create(&flow, w, h, &error));
        for (int frame = 0; frame < 3; frame++) {
            for (size_t k = 0; k < 3 * pixels; k++) planes[k] = frame == 1 ? NAN : k % 3 ? 1e30f : -1e30f;
            cr_assert(kn_flow_next(flow, planes, motion, confident, &error));
            for (size_t k = 0; k < 2 * pixels; k++) cr_assert(isfinite(motion[k]));
        }
        kn_flow_destroy(&flow);
        kn_free(planes), kn_free(motion), kn_free(confident);
    }
    kn_error error = {0};
    kn_flow *flow;
    cr_expect_not(kn_flow_create(&flow, 0, 5, &error));
    cr_expect_eq(error.kind, KN_ERROR_INPUT);
}

Test(flow, warps_by_cubic_interpolation) {
    enum { W = 40, H = 30 };
    float in[W * H], motion[2 * W * H], out[W * H];
    for (int i = 0; i < W * H; i++) {
        int x = i % W, y = i / W;
        in[i] = .01f * (float)(x * x) - .02f * (float)(x * y) + (float)y; /* Catmull-Rom is exact for squares */
        motion[i] = 1.25f, motion[W * H + i] = -2.5f;
    }
    kn_warp(in, 1, W, H, motion, out);
    for (int y = 5; y < H - 2; y++)
        for (int x = 2; x < W - 4; x++) {
            double px = x + 1.25, py = y - 2.5;
            cr_assert_float_eq(out[y * W + x], .01 * px * px - .02 * px * py + py, 1e-4);
        }
}
