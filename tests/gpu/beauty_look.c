/* The look of a camera: repeatable, one for all pictures of a clip, in range, and what its numbers say. */
#include "tools/camera_look.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { WIDTH = 64, HEIGHT = 40, PIXELS = WIDTH * HEIGHT };

static float a[3 * PIXELS], b[3 * PIXELS], motion[2 * PIXELS];

/* A grey board with a white bar that is 4 pixels wide. */
static void board(float *picture) {
    for (int i = 0; i < 3 * PIXELS; i++) picture[i] = i % WIDTH / 4 == 8 ? 1 : .5f;
}

static void apply(const kn_camera_look *look, float *picture, const float *moved, uint64_t shot) {
    kn_error error = {0};
    cr_assert(kn_camera_look_apply(look, picture, moved, WIDTH, HEIGHT, shot, &error), "%s", error.message);
}

/* Nothing at all. */
static kn_camera_look plain(void) { return (kn_camera_look){.gain = {1, 1, 1}, .saturation = 1, .contrast = 1}; }

static double mean_of(const float *picture, int channel) {
    double sum = 0;
    for (int i = 0; i < PIXELS; i++) sum += picture[channel * PIXELS + i];
    return sum / PIXELS;
}

Test(camera_look, plain_changes_nothing_below_its_shoulder) {
    kn_camera_look look = plain();
    for (int i = 0; i < 3 * PIXELS; i++) a[i] = .8f * (float)i / (3 * PIXELS);
    memcpy(b, a, sizeof a);
    apply(&look, a, NULL, 0);
    for (int i = 0; i < 3 * PIXELS; i++) cr_assert_float_eq(a[i], b[i], 1e-4, "value %d: %g is %g", i, b[i], a[i]);
}

Test(camera_look, is_one_for_a_clip_and_differs_between_clips) {
    double means[2][3];
    for (int shot = 0; shot < 2; shot++) {
        kn_camera_look look = kn_camera_look_draw(5);
        board(shot ? b : a);
        apply(&look, shot ? b : a, NULL, (uint64_t)shot);
        for (int c = 0; c < 3; c++) means[shot][c] = mean_of(shot ? b : a, c);
    }
    cr_expect_neq(memcmp(a, b, sizeof a), 0, "noise of two frames");
    for (int c = 0; c < 3; c++) cr_expect_float_eq(means[0][c], means[1][c], .002);
    kn_camera_look again = kn_camera_look_draw(5), other = kn_camera_look_draw(6);
    board(b);
    apply(&again, b, NULL, 0);
    cr_expect_eq(memcmp(a, b, sizeof a), 0, "the same seed and shot");
    cr_expect_neq(memcmp(&again, &other, sizeof other), 0);
}

Test(camera_look, hundred_looks_stay_in_range) {
    double least = 1, most = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        kn_camera_look look = kn_camera_look_draw(seed);
        board(a);
        a[7] = NAN;
        for (int i = 0; i < 2 * PIXELS; i++) motion[i] = i % 9 ? (float)(i % 60) - 30 : NAN;
        apply(&look, a, motion, seed);
        for (int i = 0; i < 3 * PIXELS; i++) cr_assert(a[i] >= 0 && a[i] <= 1, "seed %d value %d", (int)seed, i);
        least = fmin(least, mean_of(a, 1));
        most = fmax(most, mean_of(a, 1));
    }
    cr_expect(least > .2 && least < .45 && most > .6 && most < .9, "means %g to %g", least, most);
}

Test(camera_look, does_what_its_numbers_say) {
    kn_camera_look look = plain();
    look.vignette = .4f;
    for (int i = 0; i < 3 * PIXELS; i++) a[i] = .5f;
    apply(&look, a, NULL, 0);
    double corner = pow((a[0] + .055) / 1.055, 2.4), middle = pow((a[PIXELS / 2 + WIDTH / 2] + .055) / 1.055, 2.4);
    cr_expect_float_eq(corner / middle, .6, .03, "vignette: %g", corner / middle);
    look = plain();
    look.shot = 1e-4f;
    look.read = 1e-3f;
    for (int i = 0; i < 3 * PIXELS; i++) a[i] = .7353569f; /* .5 in linear light */
    apply(&look, a, NULL, 3);
    double square = 0;
    for (int i = 0; i < PIXELS; i++) square += pow(pow((a[i] + .055) / 1.055, 2.4) - .5, 2) / PIXELS;
    cr_expect_float_eq(sqrt(square), sqrt(1e-4 * .5 + 1e-6), 4e-4, "noise: %g", sqrt(square));
    look = plain();
    look.shutter = .5f;
    for (int i = 0; i < 2 * PIXELS; i++) motion[i] = i < PIXELS ? 8 : 0;
    board(a);
    apply(&look, a, motion, 0);
    cr_expect(a[20 * WIDTH + 34] > .8f && a[20 * WIDTH + 31] > .55f && a[20 * WIDTH + 31] < a[20 * WIDTH + 34]);
    cr_expect_float_eq(a[20 * WIDTH + 27], .5, 1e-3, "the blur is 4 pixels wide");
}
