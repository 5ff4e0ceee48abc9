/* What repainting film is made of besides networks: noise that travels, pictures for ControlNets. */
#include "diffusion/sampling/flow_noise.h"
#include "kinora/clip.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { W = 96, H = 64, PLACES = W * H, CHANNELS = 3 };

typedef struct field {
    kn_flow_noise noise;
    float motion[2 * PLACES], confident[PLACES];
} field;

static void begin(field *f) {
    kn_error error = {0};
    cr_assert(kn_flow_noise_init(&f->noise, CHANNELS, W, H, 11, &error), "%s", error.message);
    for (int i = 0; i < PLACES; i++) f->confident[i] = 1;
    kn_flow_noise_next(&f->noise, NULL, NULL);
}

static void move(field *f, float (*u)(int, int), float (*v)(int, int)) {
    for (int i = 0; i < PLACES; i++) f->motion[i] = u(i % W, i / W), f->motion[PLACES + i] = v(i % W, i / W);
    kn_flow_noise_next(&f->noise, f->motion, f->confident);
}

static float none(int x, int y) { return (void)x, (void)y, 0; }
static float three(int x, int y) { return (void)x, (void)y, 3; }
static float third(int x, int y) { return (void)x, (void)y, 1 / 3.0f; }
static float inwards_x(int x, int y) { return (void)y, .2f * (float)(x - W / 2); }
static float outwards_x(int x, int y) { return (void)y, -.2f * (float)(x - W / 2); }
static float outwards_y(int x, int y) { return (void)x, -.2f * (float)(y - H / 2); }

static void check_unit_gaussian(const field *f, const char *what) {
    double sum = 0, squares = 0, fourth = 0, right = 0, below = 0;
    for (int c = 0; c < CHANNELS; c++)
        for (int i = 0; i < PLACES; i++) {
            const float *v = f->noise.values + c * PLACES;
            double x = (double)v[i];
            sum += x, squares += x * x, fourth += x * x * x * x;
            right += x * (double)v[i % W + 1 < W ? i + 1 : i - W + 1];
            below += x * (double)v[(i + W) % PLACES];
        }
    double n = CHANNELS * PLACES, limit = 4 / sqrt(n);
    cr_expect_float_eq(sum / n, 0, limit, "%s: mean %g", what, sum / n);
    cr_expect_float_eq(squares / n, 1, 1.5 * limit, "%s: variance %g", what, squares / n);
    cr_expect_float_eq(fourth / n, 3, 10 * limit, "%s: fourth moment %g", what, fourth / n);
    cr_expect_float_eq(right / n, 0, limit, "%s: neighbours to the right %g", what, right / n);
    cr_expect_float_eq(below / n, 0, limit, "%s: neighbours below %g", what, below / n);
}

Test(flow_noise, stays_unit_gaussian_however_the_picture_moves) {
    static float (*const motions[])(int, int) = {three, third, inwards_x, outwards_x, outwards_y};
    for (size_t m = 0; m < KN_COUNT(motions); m++) {
        static field f;
        char what[40];
        begin(&f);
        for (int frame = 0; frame < 8; frame++) {
            move(&f, m == 4 ? none : motions[m], m == 4 ? motions[m] : none);
            snprintf(what, sizeof what, "motion %zu, frame %d", m, frame);
            check_unit_gaussian(&f, what);
        }
        for (int i = 0; i < PLACES; i++) /* no sample is in two places */
            for (int j = i + 1; j < i + 3 && j < PLACES; j++) cr_assert_neq(f.noise.values[i], f.noise.values[j]);
        kn_flow_noise_finish(&f.noise);
    }
}

/* How well the noise now agrees with that of the first frame moved by `dx` places. */
static double agreement(const field *f, const float *first, int dx) {
    double product = 0, count = 0;
    for (int i = 0; i < PLACES; i++)
        if (i % W >= 16 && i % W < W - 16) product += (double)f->noise.values[i] * (double)first[i + dx], count++;
    return product / count;
}

Test(flow_noise, goes_where_the_picture_goes) {
    static field f;
    static float first[PLACES];
    begin(&f);
    memcpy(first, f.noise.values, sizeof first);
    move(&f, three, none);
    cr_expect_eq(memcmp(&f.noise.values[5 * W], &first[5 * W + 3], (W - 3) * sizeof(float)), 0, "whole places");
    kn_flow_noise_finish(&f.noise);
    begin(&f);
    for (int frame = 0; frame < 12; frame++) move(&f, third, none);
    cr_expect_gt(agreement(&f, first, 4), .9, "thirds of a place add up: %g", agreement(&f, first, 4));
    for (int i = 0; i < PLACES; i++) f.confident[i] = 0;
    memcpy(first, f.noise.values, sizeof first);
    move(&f, none, none);
    cr_expect_lt(fabs(agreement(&f, first, 0)), .1, "what is not trusted is fresh");
    kn_flow_noise_finish(&f.noise);
}

Test(annotate, finds_the_borders_of_a_square) {
    static float picture[3 * PLACES], out[3 * PLACES];
    kn_error error = {0};
    for (int i = 0; i < 3 * PLACES; i++) {
        int x = i % W, y = i % PLACES / W;
        picture[i] = x >= 30 && x < 60 && y >= 20 && y < 44 ? .9f : .1f;
    }
    static const char *const kinds[] = {"lineart", "softedge", "canny", "scribble"};
    for (size_t k = 0; k < KN_COUNT(kinds); k++) {
        cr_assert(kn_annotate(kinds[k], picture, W, H, out, &error));
        float border = 0;
        for (int x = 27; x < 33; x++) border = fmaxf(border, out[32 * W + x]);
        cr_expect_gt(border, .5f, "%s", kinds[k]);
        cr_expect_lt(out[32 * W + 45], .05f, "%s: inside", kinds[k]);
        cr_expect_lt(out[5 * W + 80], .05f, "%s: outside", kinds[k]);
        cr_expect_eq(memcmp(out, out + PLACES, PLACES * sizeof *out), 0);
    }
    cr_assert(kn_annotate("canny", picture, W, H, out, &error));
    double thin = 0;
    for (int i = 0; i < PLACES; i++) thin += (double)out[i];
    cr_expect_float_eq(thin, 2 * 30 + 2 * 24, 12, "canny: a border one pixel wide has %g pixels", thin);
    cr_assert(kn_annotate("tile", picture, W, H, out, &error));
    cr_expect_eq(memcmp(picture, out, sizeof picture), 0);
    cr_expect_not(kn_annotate("depth", picture, W, H, out, &error));
    cr_expect_eq(error.kind, KN_ERROR_INPUT);
}
