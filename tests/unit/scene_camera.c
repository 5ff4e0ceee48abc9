/* Rigs. */
#include "kinora/camera.h"
#include "base/base.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Test(scene_camera, nuscenes) {
    kn_rig rig;
    kn_rig_init_nuscenes(&rig, 400, 224);
    cr_assert_eq(rig.camera_count, 6);
    static const double yaw[] = {55, 0, -55, -110, 180, 110};
    for (int i = 0; i < 6; i++) {
        const kn_camera *c = &rig.cameras[i];
        double view = atan2(c->rotation[1][2], c->rotation[0][2]) * 180 / 3.14159265358979,
               turn = remainder(view - yaw[i], 360);
        cr_assert_lt(fabs(turn), 3, "%s looks to %g degrees", c->name, view);
        cr_assert_lt(c->rotation[2][1], -0.99); /* down is down */
        cr_assert_eq(c->width, 400);
        cr_assert_eq(c->height, 224);
        cr_assert(c->k[1][2] > 60 && c->k[1][2] < 160); /* the horizon is in the picture */
        cr_assert_eq(c->k[2][2], 1);
    }
    cr_assert_str_eq(rig.cameras[1].name, "CAM_FRONT");
    cr_assert_float_eq(rig.cameras[1].k[0][0], 1266.4 / 4, 0.1);
    int neighbours[KN_RIG_MAX_CAMERAS][2];
    static const int expected[6][2] = {{5, 1}, {0, 2}, {1, 3}, {2, 4}, {3, 5}, {4, 0}};
    kn_rig_neighbours(&rig, neighbours);
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(neighbours[i][0], expected[i][0], "camera %d", i);
        cr_assert_eq(neighbours[i][1], expected[i][1], "camera %d", i);
    }
}

static bool read_text(kn_rig *rig, const char *text, int width, int height, kn_error *error) {
    char path[] = "/tmp/kinora-rig-XXXXXX";
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    cr_assert(kn_file_write(path, text, strlen(text), NULL));
    bool ok = kn_rig_read(rig, path, width, height, error);
    unlink(path);
    return ok;
}

#define CAMERA(k, rotation)                                                       \
    "{\"cameras\": [{\"name\": \"A\", \"width\": 640, \"height\": 480, \"K\": " k \
    ", \"translation\": [1, 0, 1.5], \"rotation\": " rotation "}]}"
#define GOOD_K "[[500, 0, 320], [0, 500, 240], [0, 0, 1]]"

Test(scene_camera, files) {
    kn_rig rig;
    kn_error error = {0};
    cr_assert(read_text(&rig, CAMERA(GOOD_K, "[0.5, -0.5, 0.5, -0.5]"), 320, 120, &error), "%s", error.message);
    cr_assert_eq(rig.camera_count, 1);
    cr_assert_float_eq(rig.cameras[0].k[0][0], 250, 1e-9); /* half the size in both axes, 240 rows cut to 120 */
    cr_assert_float_eq(rig.cameras[0].k[1][1], 250, 1e-9);
    cr_assert_float_eq(rig.cameras[0].k[0][2], 160, 1e-9);
    cr_assert_float_eq(rig.cameras[0].k[1][2], 60, 1e-9);
    cr_assert_float_eq(rig.cameras[0].rotation[0][2], 1, 1e-9); /* looks ahead */
    cr_assert(read_text(&rig, CAMERA(GOOD_K, "[[0, 0, 1], [-1, 0, 0], [0, -1, 0]]"), 0, 0, &error), "%s",
              error.message);
    static const struct {
        const char *text, *message;
    } bad[] = {{"{", "not valid JSON"},
               {"{}", "\"cameras\""},
               {"{\"cameras\": [1]}", "\"name\""},
               {CAMERA("[[500, 0, 320], [1000, 0, 640], [0, 0, 1]]", "[1, 0, 0, 0]"), "singular"},
               {CAMERA("[[0, 0, 0], [0, 0, 0], [0, 0, 0]]", "[1, 0, 0, 0]"), "singular"},
               {CAMERA("[[500, 0], [0, 500], [0, 0]]", "[1, 0, 0, 0]"), "3x3"},
               {CAMERA(GOOD_K, "[0, 0, 0, 0]"), "zero quaternion"},
               {CAMERA(GOOD_K, "[[1, 0, 0], [0, 1, 0], [0, 0, 2]]"), "not a rotation"},
               {CAMERA(GOOD_K, "[1]"), "quaternion"}};
    for (size_t i = 0; i < KN_COUNT(bad); i++) {
        cr_assert_not(read_text(&rig, bad[i].text, 0, 0, &error), "case %zu", i);
        cr_assert(strstr(error.message, bad[i].message), "case %zu: %s", i, error.message);
    }
}

#define WITH(members)                                                                  \
    "{\"cameras\": [{\"name\": \"A\", \"width\": 640, \"height\": 480, \"K\": " GOOD_K \
    ", \"translation\": [1, 0, 1.5], \"rotation\": [0.5, -0.5, 0.5, -0.5], " members "}]}"

/* What is not rendered is refused by name, never ignored. */
Test(scene_camera, lenses_and_members) {
    kn_rig rig;
    kn_error error = {0};
    static const char *const good[] = {WITH("\"D\": [0, 0, 0, 0, 0]"), WITH("\"D\": []"),
                                       WITH("\"model\": \"pinhole\", \"comment\": \"front\""),
                                       WITH("\"model\": \"plumb_bob\", \"D\": [0.0, 0]")};
    for (size_t i = 0; i < KN_COUNT(good); i++)
        cr_assert(read_text(&rig, good[i], 0, 0, &error), "case %zu: %s", i, error.message);
    static const struct {
        const char *text, *message;
    } bad[] = {{WITH("\"D\": [-0.3, 0.1, 0, 0], \"model\": \"fisheye\""), "\"model\" \"fisheye\""},
               {WITH("\"D\": [0, 0.1]"), "\"D\""},
               {WITH("\"D\": {\"k1\": 1}"), "\"D\""},
               {WITH("\"D\": [\"0\"]"), "\"D\""},
               {WITH("\"model\": 3"), "\"model\""},
               {WITH("\"model\": \"ftheta\""), "\"ftheta\""},
               {WITH("\"distortion\": [0.1]"), "\"distortion\""},
               {WITH("\"k1\": 0.1"), "\"k1\""}};
    for (size_t i = 0; i < KN_COUNT(bad); i++) {
        cr_assert_not(read_text(&rig, bad[i].text, 0, 0, &error), "case %zu", i);
        cr_assert(strstr(error.message, bad[i].message) && strstr(error.message, "camera 'A'"), "case %zu: %s", i,
                  error.message);
    }
}

/* A camera at the front axle, turned to the left by `yaw` degrees, with a horizontal field of `field` degrees. */
static kn_camera camera_at(double yaw, double field, double y) {
    double a = yaw * M_PI / 180, f = 200 / tan(field * M_PI / 360);
    return (kn_camera){.width = 400,
                       .height = 224,
                       .k = {{f, 0, 200}, {0, f, 112}, {0, 0, 1}},
                       .rotation = {{sin(a), 0, cos(a)}, {-cos(a), 0, sin(a)}, {0, -1, 0}},
                       .translation = {1.5, y, 1.5}};
}

static void expect_neighbours(const kn_rig *rig, const int expected[][2]) {
    int neighbours[KN_RIG_MAX_CAMERAS][2];
    kn_rig_neighbours(rig, neighbours);
    for (int i = 0; i < rig->camera_count; i++)
        for (int side = 0; side < 2; side++)
            cr_expect_eq(neighbours[i][side], expected[i][side], "%d cameras: camera %d side %d: %d", rig->camera_count,
                         i, side, neighbours[i][side]);
}

/* Who overlaps whom decides, not how many there are. */
Test(scene_camera, neighbours_of_any_rig) {
    kn_rig one = {1, {camera_at(0, 90, 0)}};
    expect_neighbours(&one, (const int[][2]){{-1, -1}});
    kn_rig front_back = {2, {camera_at(0, 90, 0), camera_at(180, 90, 0)}};
    expect_neighbours(&front_back, (const int[][2]){{-1, -1}, {-1, -1}});
    kn_rig stereo = {2, {camera_at(0, 60, .3), camera_at(0, 60, -.3)}};
    expect_neighbours(&stereo, (const int[][2]){{-1, 1}, {0, -1}});
    kn_rig trio = {3, {camera_at(50, 70, 0), camera_at(0, 70, 0), camera_at(-50, 70, 0)}};
    expect_neighbours(&trio, (const int[][2]){{-1, 1}, {0, 2}, {1, -1}});
    kn_rig four = {4, {camera_at(90, 110, 0), camera_at(0, 110, 0), camera_at(-90, 110, 0), camera_at(180, 110, 0)}};
    expect_neighbours(&four, (const int[][2]){{3, 1}, {0, 2}, {1, 3}, {2, 0}});
    kn_rig ring = {.camera_count = 12};
    int around[12][2];
    for (int i = 0; i < 12; i++) {
        ring.cameras[i] = camera_at(-30 * i, 50, 0);
        around[i][0] = (i + 11) % 12;
        around[i][1] = (i + 1) % 12;
    }
    expect_neighbours(&ring, (const int(*)[2])around);
}
