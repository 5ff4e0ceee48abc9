/* kinora design as its user meets it, with the tiny shape model of training/golden_shape.py. Its weights are random:
 * what gives its shapes a form is the pull of the outline. */
#include "tests/pipeline/folder.h"

#include "kinora/design.h"
#include "kinora/mesh.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define MODEL "tests/golden/shape"

TestSuite(design, .init = make_folder, .fini = remove_folder);

/* Runs a shell command in which every @ is the temporary folder; its exit code, and the beginning of what it said. */
static int shell(char *said, size_t size, const char *format, ...) {
    char raw[3000], command[6000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    size_t length = 0;
    for (const char *p = raw; *p; p++)
        length += (size_t)snprintf(command + length, sizeof command - length, *p == '@' ? "%s" : "%.1s",
                                   *p == '@' ? folder : p);
    FILE *pipe = popen(command, "r");
    size_t got = fread(said, 1, size - 1, pipe);
    said[got] = 0;
    int status = pclose(pipe);
    cr_assert(WIFEXITED(status), "%s", command);
    return WEXITSTATUS(status);
}

static int design(char *said, size_t size, const char *arguments) {
    return shell(said, size, "%s design --model %s %s --progress off 2>&1", KINORA_EXECUTABLE, MODEL, arguments);
}

/* --- drawings --------------------------------------------------------------------------------- */

static void line(kn_image *page, double x0, double y0, double x1, double y1) {
    for (int i = 0; i <= 2000; i++) {
        double x = x0 + (x1 - x0) * i / 2000, y = y0 + (y1 - y0) * i / 2000;
        for (int dy = -1; dy <= 1; dy++)
            for (int dx = -1; dx <= 1; dx++) {
                int u = (int)x + dx, v = (int)y + dy;
                if (u >= 0 && v >= 0 && u < page->width && v < page->height)
                    memset(page->data + 3 * (v * page->width + u), 40, 3);
            }
    }
}

/* A car from its left side, on paper that a lamp lights from one corner. */
static void draw_car(kn_image *page, double left, double scale) {
    static const double outline[][2] = {{0, 40},  {2, 60},   {8, 62},   {20, 64}, {34, 84}, {66, 85}, {82, 62},
                                        {98, 58}, {100, 40}, {100, 24}, {88, 24}, {84, 12}, {72, 12}, {68, 24},
                                        {32, 24}, {28, 12},  {16, 12},  {12, 24}, {0, 24},  {0, 40}};
    for (size_t i = 0; i + 1 < sizeof outline / sizeof outline[0]; i++)
        line(page, left + scale * outline[i][0], 40 + scale * (100 - outline[i][1]), left + scale * outline[i + 1][0],
             40 + scale * (100 - outline[i + 1][1]));
}

static void save_page(kn_image *page, const char *name) {
    kn_error error = {0};
    cr_assert(kn_image_write_png(page, at(name), &error), "%s", error.message);
    kn_image_finish(page);
}

static kn_image make_page(int width, int height) {
    kn_error error = {0};
    kn_image page;
    cr_assert(kn_image_init(&page, width, height, 3, &error));
    for (int i = 0; i < width * height; i++) {
        double light = 250 - 110.0 * (i % width) / width - 30.0 * (i / width) / height;
        for (int c = 0; c < 3; c++) page.data[3 * i + c] = (uint8_t)(light - 8 * c);
    }
    return page;
}

static void save_car(const char *name) {
    kn_image page = make_page(400, 300);
    draw_car(&page, 40, 2.6);
    save_page(&page, name);
}

static json_t *report(const char *name) {
    json_error_t where;
    json_t *root = json_load_file(at(name), 0, &where);
    cr_assert(root, "%s", where.text);
    return root;
}

/* --- shapes ----------------------------------------------------------------------------------- */

Test(design, makes_one_closed_shell_in_true_size) {
    char said[4000];
    save_car("car.png");
    cr_assert(kn_make_directories(at("a"), NULL));
    cr_assert_eq(design(said, sizeof said,
                        "@/car.png --view side --prompt 'a red car' --length 4.4 -o @/a/car.glb -o @/a/car.stl -o "
                        "@/a/car.3mf --triangles 4000"),
                 0, "%s", said);
    json_t *root = report("a/report.json"), *size = json_object_get(root, "size_m");
    cr_expect(json_is_true(json_object_get(root, "manifold")) && json_is_true(json_object_get(root, "watertight")));
    cr_expect_eq(json_integer_value(json_object_get(root, "components")), 1);
    cr_expect_float_eq(json_number_value(json_array_get(size, 0)), 4.4, 1e-3);
    cr_expect_str_eq(json_string_value(json_object_get(root, "class")), "sedan");
    json_t *drawing = json_array_get(json_object_get(root, "drawings"), 0);
    cr_expect_gt(json_number_value(json_object_get(drawing, "paper_evened")), 0.2);
    cr_expect_gt(json_number_value(json_object_get(drawing, "silhouette_iou")), 0.7);
    json_decref(root);
    cr_assert_eq(shell(said, sizeof said, "cd @/a && ls"), 0);
    cr_expect_str_eq(said, "car.3mf\ncar.glb\ncar.stl\nreport.json\nsheet.png\n");
}

Test(design, the_same_seed_gives_the_same_bytes) {
    char said[4000];
    save_car("car.png");
    for (int i = 0; i < 3; i++) {
        char arguments[300];
        snprintf(arguments, sizeof arguments, "@/car.png --view left --class sedan --seed %d --triangles 2000 -o @/%d/",
                 i == 2, i);
        cr_assert_eq(design(said, sizeof said, arguments), 0, "%s", said);
    }
    cr_expect_eq(shell(said, sizeof said, "cd @ && cmp 0/design.glb 1/design.glb && cmp 0/design.3mf 1/design.3mf"), 0);
    cr_expect_eq(shell(said, sizeof said, "cd @ && cmp -s 0/design.glb 2/design.glb"), 1,
                 "another seed, the same shape");
}

Test(design, outlines_pull_the_sample) {
    char said[4000];
    double iou[2];
    save_car("car.png");
    for (int i = 0; i < 2; i++) {
        char arguments[300];
        snprintf(arguments, sizeof arguments, "@/car.png --view left --class sedan --pull %d --triangles 4000 -o @/%d/",
                 i, i);
        if (design(said, sizeof said, arguments) != 0) { /* random weights alone may give nothing at all */
            cr_assert(i == 0 && strstr(said, "empty"), "%s", said);
            iou[i] = 0;
            continue;
        }
        char name[40];
        snprintf(name, sizeof name, "%d/report.json", i);
        json_t *root = report(name);
        iou[i] =
            json_number_value(json_object_get(json_array_get(json_object_get(root, "drawings"), 0), "silhouette_iou"));
        json_decref(root);
    }
    cr_expect_gt(iou[1], iou[0] + 0.05, "%g without, %g with", iou[0], iou[1]);
    cr_expect_gt(iou[1], 0.78, "%g", iou[1]);
}

/* --- bad input -------------------------------------------------------------------------------- */

/* Exit code 2, this message, and nothing written. */
static void refuse(const char *arguments, const char *expected) {
    char said[4000];
    int code = design(said, sizeof said, arguments);
    cr_expect_eq(code, 2, "%s: %d %s", arguments, code, said);
    cr_expect(strstr(said, expected), "%s: expected '%s', got %s", arguments, expected, said);
    cr_expect_eq(shell(said, sizeof said, "ls -d @/x* @/report.json @/sheet.png 2>/dev/null"), 2, "%s", said);
}

/* Pictures, masks and cameras of an orbit fit together: the mesh's middle lies in every mask. */
Test(design, orbits_in_pictures_that_mesh_can_read) {
    char said[4000];
    kn_image page = make_page(900, 700);
    draw_car(&page, 60, 7);
    save_page(&page, "car.png");
    int code = design(said, sizeof said,
                      "@/car.png --class sedan --view left --length 4 -o @/car.glb --orbit @/o --views 4 --size 96x80");
    cr_assert_eq(code, 0, "%s", said);
    kn_error error = {0};
    kn_view_list list;
    cr_assert(kn_view_list_read(&list, at("o/transforms.json"), &error), "%s", error.message);
    cr_assert_eq(list.count, 4);
    for (size_t i = 0; i < list.count; i++) {
        const kn_camera *c = &list.items[i].camera;
        char name[64];
        kn_image mask;
        double p[3];
        for (int k = 0; k < 3; k++) {
            p[k] = 0;
            for (int j = 0; j < 3; j++) p[k] += c->rotation[j][k] * ((j == 2 ? .4 : 0) - c->translation[j]);
        }
        int x = (int)(c->k[0][0] * p[0] / p[2] + c->k[0][2]), y = (int)(c->k[1][1] * p[1] / p[2] + c->k[1][2]);
        snprintf(name, sizeof name, "o/masks/%05zu.png", i);
        cr_assert(kn_image_read(&mask, at(name), 1, &error), "%s", error.message);
        cr_assert(x >= 0 && y >= 0 && x < mask.width && y < mask.height);
        cr_expect_eq(mask.data[y * mask.width + x], 255, "view %zu does not show the object in its middle", i);
        cr_expect_eq(mask.data[0], 0);
        kn_image_finish(&mask);
    }
    kn_view_list_finish(&list);
}

Test(design, bad_input_is_told_in_one_line) {
    kn_image page = make_page(400, 300);
    save_page(&page, "empty.png");
    page = make_page(900, 300);
    draw_car(&page, 40, 2.6);
    draw_car(&page, 500, 2.6);
    save_page(&page, "two.png");
    page = make_page(400, 300);
    for (int i = 0; i < 3 * 400 * 300; i++) page.data[i] = (uint8_t)(rand() >> 7);
    save_page(&page, "noise.png");
    save_car("car.png");
    refuse("@/empty.png --class sedan -o @/x.glb", "empty.png: the page is empty");
    refuse("@/two.png --class sedan -o @/x.glb", "two.png: shows 2 separate objects");
    refuse("@/noise.png --class sedan -o @/x.glb", "noise.png: looks like a photograph");
    refuse("@/car.png -o @/x.glb", "names no class");
    refuse("@/car.png --class boat -o @/x.glb", "--class boat: expected one of sedan, house");
    refuse("@/car.png --class sedan --view behind -o @/x.glb", "--view behind: expected front");
    refuse("@/car.png --class sedan --view side,front -o @/x.glb", "names 2 views, but there are 1 drawings");
    refuse("@/car.png --class sedan --length 4 --height 1 -o @/x.glb", "only one of");
    refuse("@/car.png --class sedan -o @/x.dwg", "expected a name ending in");
    refuse("@/absent.png --class sedan -o @/x.glb", "absent.png");
    refuse("@/empty.png --class sedan -o @/x/y/", "empty.png: the page is empty");
    refuse("--class sedan -o @/x.glb", "needs a drawing");
    char said[4000];
    cr_expect_eq(shell(said, sizeof said,
                       "%s design @/car.png --class sedan --model tests/golden/style -o @/x.glb 2>&1",
                       KINORA_EXECUTABLE),
                 2);
    cr_expect(strstr(said, "shape.json"), "%s", said);
}

/* --- names ------------------------------------------------------------------------------------ */

Test(design, words_name_classes_colours_and_views) {
    kn_error error = {0};
    kn_shape_classes classes;
    uint8_t rgb[3];
    kn_drawing_view views[KN_VIEW_CANDIDATES];
    cr_assert(kn_shape_classes_read(&classes, MODEL "/shape.json", &error), "%s", error.message);
    cr_expect_eq(kn_shape_class_in(&classes, "a small Cottage by the sea, red car outside"), &classes.items[1]);
    cr_expect_eq(kn_shape_class_in(&classes, "two cars"), &classes.items[0]);
    cr_expect_null(kn_shape_class_in(&classes, "a scarf and a carpet"));
    cr_expect_eq(kn_shape_class_named(&classes, "saloon"), &classes.items[0]);
    kn_shape_classes_finish(&classes);
    cr_assert(kn_shape_paint("painted #a03020 all over", rgb));
    cr_expect(rgb[0] == 0xa0 && rgb[1] == 0x30 && rgb[2] == 0x20);
    cr_assert(kn_shape_paint("a dark Blue van", rgb));
    cr_expect(rgb[2] > rgb[0] && rgb[2] < 110);
    cr_expect_not(kn_shape_paint("a predator, #12345", rgb));
    cr_expect_eq(kn_drawing_views("side", views), 2);
    cr_expect_eq(kn_drawing_views("90,12.5", views), 1);
    cr_expect_float_eq(views[0].elevation, 12.5 * M_PI / 180, 1e-9);
    cr_expect_eq(kn_drawing_views("90,12.5,3", views), 0);
    cr_expect_eq(kn_drawing_views("", views), 26);
}
