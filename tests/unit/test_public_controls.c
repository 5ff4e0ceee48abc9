/* What public ControlNets are shown, of conditions whose answers are known. */
#include "kinora/render.h"
#include "pipelines/drive/public_controls.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { W = 12, H = 8, PIXELS = W * H };
static float conditions[KN_CONDITION_CHANNELS * PIXELS], out[3 * PIXELS];

static float *plane(int channel) { return conditions + channel * PIXELS; }

static void set(int channel, int pixel, float value) { plane(channel)[pixel] = value; }

static void sky(int i) { set(KN_CONDITION_CLASS + KN_CLASS_SKY, i, 1); }

static void surface(int i, int kind, float metres, float nx, float ny, float nz) {
    set(KN_CONDITION_CLASS + kind, i, 1);
    set(KN_CONDITION_DEPTH, i, 2 / (2 + metres));
    set(KN_CONDITION_NORMAL, i, nx);
    set(KN_CONDITION_NORMAL + 1, i, ny);
    set(KN_CONDITION_NORMAL + 2, i, nz);
}

/* Sky above, a wall that faces the camera, a road below; the last column is a wall that faces left. */
static void scene(void) {
    memset(conditions, 0, sizeof conditions);
    for (int i = 0; i < PIXELS; i++) {
        int x = i % W, y = i / W;
        if (y < 3) sky(i);
        else if (x == W - 1) surface(i, KN_CLASS_BUILDING, 20, -1, 0, 0);
        else if (y < 6) surface(i, KN_CLASS_BUILDING, 20, 0, 0, -1);
        else surface(i, KN_CLASS_ROAD, 8, 0, -1, 0);
        if (y == 2) set(KN_CONDITION_EDGE, i, 1);
    }
}

static void draw(const char *kind) {
    kn_error error = {0};
    memset(out, 0xff, sizeof out); /* NaN */
    cr_assert(kn_public_control(kind, conditions, W, H, out, &error), "%s", error.message);
    for (int i = 0; i < 3 * PIXELS; i++) cr_assert(out[i] >= 0 && out[i] <= 1, "%s: value %d is %g", kind, i, out[i]);
}

static void expect(int x, int y, double r, double g, double b) {
    const double want[3] = {r, g, b};
    for (int c = 0; c < 3; c++)
        cr_expect_float_eq(out[c * PIXELS + y * W + x], want[c], 1e-5, "(%d, %d) channel %d: %g, expected %g", x, y, c,
                           out[c * PIXELS + y * W + x], want[c]);
}

TestSuite(public_controls, .init = scene);

Test(public_controls, depth_is_inverse_with_one_scale) {
    surface(0, KN_CLASS_CAR, 1, 0, 0, -1);
    draw("depth");
    expect(0, 0, 1, 1, 1); /* nearer than 4 m */
    expect(5, 1, 0, 0, 0);
    expect(5, 4, .2, .2, .2);
    expect(5, 7, .5, .5, .5);
    /* What is elsewhere in the picture changes nothing: no scale of its own. */
    surface(1, KN_CLASS_CAR, .5f, 0, 0, -1);
    draw("depth");
    expect(5, 4, .2, .2, .2);
}

Test(public_controls, seg_is_ade20k) {
    set(KN_CONDITION_CLASS + KN_CLASS_ROAD, 7 * W, .4f);
    set(KN_CONDITION_CLASS + KN_CLASS_PERSON, 7 * W, .6f);
    draw("seg");
    expect(5, 1, 6 / 255., 230 / 255., 230 / 255.);
    expect(5, 4, 180 / 255., 120 / 255., 120 / 255.);
    expect(5, 7, 140 / 255., 140 / 255., 140 / 255.);
    expect(0, 7, 150 / 255., 5 / 255., 61 / 255.);
}

Test(public_controls, normals_are_red_left_green_up_blue_near) {
    draw("normalbae");
    expect(5, 1, .5, .5, 1);
    expect(5, 4, .5, .5, 1);
    expect(5, 7, .5, 1, .5);
    expect(W - 1, 4, 1, .5, .5);
}

Test(public_controls, lines_lie_on_borders_and_creases) {
    draw("canny");
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            bool border = y == 2, below = y == 5 && x<W - 1, beside = y> 2 && x == W - 2;
            double line = border || below || beside;
            expect(x, y, line, line, line);
        }
    draw("scribble");
    for (int y = 0; y < H; y++) {
        double line = (y >= 1 && y <= 6);
        expect(3, y, line, line, line); /* two lines, each three wide */
    }
    draw("lineart");
    expect(3, 2, .8, .8, .8); /* 1.6 times half */
    expect(3, 1, .4, .4, .4);
    expect(3, 0, 0, 0, 0);
    draw("softedge");
    cr_expect(out[2 * W + 3] > out[W + 3] && out[W + 3] > out[3] && out[3] > 0);
}

Test(public_controls, tile_is_flat_with_the_sky_that_is_shaded) {
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < PIXELS; i++) {
            set(KN_CONDITION_FLAT + c, i, i / W < 3 ? 0 : .1f * (float)(c + 1));
            set(KN_CONDITION_SHADED + c, i, .9f - .1f * (float)c);
        }
    draw("tile");
    expect(5, 1, .9, .8, .7);
    expect(5, 4, .1, .2, .3);
}

Test(public_controls, other_kinds_are_refused) {
    kn_error error = {0};
    cr_assert_not(kn_public_control("pose", conditions, W, H, out, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
    cr_assert(strstr(error.message, "pose") && strstr(error.message, "normalbae"));
}
