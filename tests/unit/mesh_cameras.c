/* Camera files: what they say, and how each way of being wrong is named. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mesh/views/mesh.h"

#define POSE "\"transform_matrix\": [[1,0,0,2],[0,1,0,3],[0,0,1,4],[0,0,0,1]]"

static bool parse(kn_view_list *list, const char *text, kn_error *error) {
    *error = (kn_error){0};
    return kn_view_list_parse_transforms(list, "t.json", text, strlen(text), error);
}

static void refused(const char *text, const char *part) {
    kn_view_list list;
    kn_error error;
    cr_assert(!parse(&list, text, &error), "should be refused: %s", text);
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
    cr_assert(strstr(error.message, part), "\"%s\" should say \"%s\"", error.message, part);
    cr_assert_null(list.items);
}

Test(mesh_cameras, transforms_turn_opengl_axes) {
    kn_view_list list;
    kn_error error;
    cr_assert(parse(&list,
                    "{\"w\": 200, \"h\": 100, \"fl_x\": 150, \"k1\": 0.1, \"frames\": [{\"file_path\": \"a.png\", " POSE
                    "}, {\"fl_x\": 99, " POSE "}]}",
                    &error),
              "%s", error.message);
    cr_assert_eq(list.count, 2);
    const kn_camera *c = &list.items[0].camera;
    cr_assert_str_eq(list.items[0].file, "a.png");
    cr_assert_float_eq(c->k[0][0], 150, 1e-9);
    cr_assert_float_eq(c->k[1][1], 150, 1e-9);
    cr_assert_float_eq(c->k[0][2], 100, 1e-9);
    cr_assert_float_eq(c->k[1][2], 50, 1e-9);
    cr_assert_float_eq(list.items[0].distortion[0], 0.1, 1e-12);
    cr_assert_float_eq(list.items[1].camera.k[0][0], 99, 1e-9);
    cr_assert_float_eq(c->rotation[0][0], 1, 1e-9);
    cr_assert_float_eq(c->rotation[1][1], -1, 1e-9);
    cr_assert_float_eq(c->rotation[2][2], -1, 1e-9);
    cr_assert_float_eq(c->translation[2], 4, 1e-9);
    kn_view_list_finish(&list);
}

Test(mesh_cameras, angle_gives_focal_length) {
    kn_view_list list;
    kn_error error;
    cr_assert(parse(&list, "{\"w\": 800, \"h\": 800, \"camera_angle_x\": 1.5707963267948966, \"frames\": [{" POSE "}]}",
                    &error));
    cr_assert_float_eq(list.items[0].camera.k[0][0], 400, 1e-6);
    kn_view_list_finish(&list);
}

Test(mesh_cameras, wrong_transforms_are_named) {
    refused("{", "t.json:1");
    refused("{}", "frames");
    refused("{\"fl_x\": 1, \"frames\": []}", "frames");
    refused("{\"fl_x\": 100, \"w\": 10, \"frames\": [{\"transform_matrix\": [[1,0,0,0]]}]}", "frame 0");
    refused("{\"fl_x\": 100, \"w\": 10, \"frames\": [{" POSE
            "}, {\"transform_matrix\": [[1,0,0,NaN],[0,1,0,0],[0,0,1,0],[0,0,0,1]]}]}",
            "frame 1");
    refused(
        "{\"fl_x\": 100, \"w\": 10, \"frames\": [{\"transform_matrix\": [[1,0,0,0],[1,0,0,0],[0,0,1,0],[0,0,0,1]]}]}",
        "rotation");
    refused(
        "{\"fl_x\": 100, \"w\": 10, \"frames\": [{\"transform_matrix\": [[-1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]}]}",
        "rotation");
    refused("{\"frames\": [{" POSE "}]}", "focal length");
    refused("{\"fl_x\": -3, \"w\": 10, \"frames\": [{" POSE "}]}", "focal length");
    refused("{\"fl_x\": 3, \"w\": 100000, \"frames\": [{" POSE "}]}", "16384");
}

#define INSIDE "\"width\": 64, \"height\": 48, \"K\": [[50,0,32],[0,51,24],[0,0,1]]"

Test(mesh_cameras, sidecars_are_read) {
    kn_view_list list;
    kn_error error;
    cr_assert(parse(&list,
                    "{\"cameras\": [{" INSIDE ", \"rotation\": [[0,0,1],[-1,0,0],[0,-1,0]], \"translation\": [1,2,3], "
                    "\"file\": \"a.png\", \"distortion\": [0.1,0,0,0.2]},"
                    "{" INSIDE ", \"rotation\": [1,0,0,0], \"translation\": [0,0,0]}]}",
                    &error),
              "%s", error.message);
    cr_assert_eq(list.count, 2);
    const kn_camera *c = &list.items[0].camera;
    cr_assert_float_eq(c->rotation[0][2], 1, 1e-9);
    cr_assert_float_eq(c->rotation[1][0], -1, 1e-9);
    cr_assert_float_eq(c->translation[1], 2, 1e-9);
    cr_assert_float_eq(c->k[1][1], 51, 1e-9);
    cr_assert_float_eq(list.items[0].distortion[3], 0.2, 1e-9);
    cr_assert_str_eq(list.items[0].file, "a.png");
    cr_assert_float_eq(list.items[1].camera.rotation[1][1], 1, 1e-9);
    kn_view_list_finish(&list);
}

Test(mesh_cameras, wrong_sidecars_are_named) {
    refused("{\"cameras\": []}", "cameras");
    refused("{\"cameras\": [{\"width\": 64, \"height\": 0}]}", "camera 0: expected width");
    refused("{\"cameras\": [{\"width\": 64, \"height\": 48, \"K\": [[0,0,1],[0,1,1],[0,0,1]]}]}",
            "camera 0: expected K");
    refused("{\"cameras\": [{" INSIDE ", \"rotation\": [[0,0,1],[-1,0,0],[0,1,0]], \"translation\": [1,2,3]}]}",
            "camera 0: rotation");
    refused("{\"cameras\": [{" INSIDE ", \"rotation\": [1,0,0,0], \"translation\": [NaN,2,3]}]}", "camera 0: rotation");
    refused("{\"cameras\": [{" INSIDE ", \"rotation\": [0,0,0,0], \"translation\": [1,2,3]}]}", "camera 0: rotation");
    refused("{\"cameras\": [{" INSIDE ", \"distortion\": [1]}]}", "distortion");
}

Test(mesh_cameras, focal_length_from_exif) {
    uint8_t jpeg[80] = {
        0xFF, 0xD8, 0xFF, 0xE1, 0, 72, 'E', 'x', 'i', 'f', 0, 0,  'M', 'M', 0, 42, 0, 0, 0, 8, /* directory at 8 */
        0,    1,    0x87, 0x69, 0, 4,  0,   0,   0,   1,   0, 0,  0,   26,  0, 0,  0, 0, /* Exif directory at 26 */
        0,    1,    0xA4, 0x05, 0, 3,  0,   0,   0,   1,   0, 26, 0,   0};
    cr_assert_float_eq(kn_exif_parse(jpeg, sizeof jpeg, 4000, 3000), 26 / 43.2666 * 5000, 0.01);
    for (size_t size = 0; size < 50; size++) cr_assert_eq(kn_exif_parse(jpeg, size, 4000, 3000), 0);
    jpeg[33] = 255; /* the directory lies outside */
    cr_assert_eq(kn_exif_parse(jpeg, sizeof jpeg, 4000, 3000), 0);
}

Test(mesh_cameras, writing_reads_back) {
    kn_view_list list, again;
    kn_error error;
    char path[64];
    snprintf(path, sizeof path, "/tmp/kinora-cameras-%d.json", getpid());
    cr_assert(parse(
        &list, "{\"w\": 200, \"h\": 100, \"fl_x\": 150, \"p2\": 0.01, \"frames\": [{\"file_path\": \"b\", " POSE "}]}",
        &error));
    snprintf(list.items[0].file, sizeof list.items[0].file, "a \"b\"\\c\nü.jpg");
    cr_assert(kn_view_list_write(&list, path, &error), "%s", error.message);
    cr_assert(kn_view_list_read(&again, path, &error), "%s", error.message);
    cr_assert_str_eq(again.items[0].file, list.items[0].file);
    for (int i = 0; i < 9; i++) {
        cr_assert_float_eq(again.items[0].camera.rotation[i / 3][i % 3], list.items[0].camera.rotation[i / 3][i % 3],
                           1e-9);
        cr_assert_float_eq(again.items[0].camera.k[i / 3][i % 3], list.items[0].camera.k[i / 3][i % 3], 1e-9);
    }
    cr_assert_float_eq(again.items[0].distortion[3], 0.01, 1e-12);
    unlink(path);
    kn_view_list_finish(&list), kn_view_list_finish(&again);
}

static const char cameras_txt[] =
    "# comment\n1 OPENCV 640 480 500 510 320 240 0.1 0.02 0.003 0.004\n2 SIMPLE_PINHOLE 640 480 400 320 240\n";

Test(mesh_cameras, colmap_text) {
    kn_view_list list;
    kn_error error = {0};
    /* half a turn around z: world to camera x' = -x, y' = -y */
    cr_assert(kn_view_list_parse_colmap(
                  &list, "m", cameras_txt,
                  "# c\n2 0 0 0 1 1 2 3 1 b.jpg\n1.0 2.0 -1\n1 1 0 0 0 0 0 5 2 a with space.jpg\n\n", &error),
              "%s", error.message);
    cr_assert_eq(list.count, 2);
    cr_assert_str_eq(list.items[0].file, "a with space.jpg");
    cr_assert_float_eq(list.items[0].camera.translation[2], -5, 1e-9);
    cr_assert_float_eq(list.items[1].camera.k[1][1], 510, 1e-9);
    cr_assert_float_eq(list.items[1].distortion[3], 0.004, 1e-12);
    cr_assert_float_eq(list.items[1].camera.rotation[0][0], -1, 1e-9);
    cr_assert_float_eq(list.items[1].camera.translation[0], 1, 1e-9);
    kn_view_list_finish(&list);
}

Test(mesh_cameras, wrong_colmap_is_named) {
    static const struct {
        const char *cameras, *images, *part;
    } cases[] = {
        {"", "", "cameras.txt: no cameras"},
        {"1 FISHEYE 1 1 1\n", "", "cameras.txt:1"},
        {"1 PINHOLE 640 480 500 510 320\n", "", "cameras.txt:1"},
        {"1 PINHOLE 640 480 nan 510 320 240\n", "", "cameras.txt:1"},
        {cameras_txt, "", "images.txt: no images"},
        {cameras_txt, "1 1 0 0 0 0 0 5 7 a.jpg\n", "images.txt:1"},
        {cameras_txt, "1 0 0 0 0 0 0 5 1 a.jpg\n", "images.txt:1"},
        {cameras_txt, "1 1 0 0 0 0 inf 5 1 a.jpg\n", "images.txt:1"},
    };
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        kn_view_list list;
        kn_error error = {0};
        cr_assert(!kn_view_list_parse_colmap(&list, "m", cases[i].cameras, cases[i].images, &error), "case %zu", i);
        cr_assert(strstr(error.message, cases[i].part), "%s", error.message);
    }
}

Test(mesh_cameras, allocation_failures_are_clean) {
    for (uint64_t n = 1; n < 4; n++) {
        kn_view_list list;
        kn_error error;
        kn_alloc_fail_after(n);
        bool ok = parse(&list, "{\"w\": 20, \"h\": 10, \"fl_x\": 15, \"frames\": [{" POSE "}]}", &error);
        kn_alloc_fail_after(0);
        cr_assert(ok || error.kind == KN_ERROR_MEMORY);
        kn_view_list_finish(&list);
    }
}
