/* Masks by colour of an object in a room around which the camera goes. */
#include <criterion/criterion.h>

#include "base/random.h"
#include "mesh_shapes.h"

enum { VIEWS = 24, SIZE = 160 };

static kn_surface_view views[VIEWS];
static uint8_t *masks[VIEWS], *truths[VIEWS];

static double wave(double x, double y, double z) {
    return 0.5 + 0.25 * sin(9 * x + 3 * sin(5 * y)) * cos(8 * z + 2 * x) + 0.25 * sin(23 * y - 17 * x + 11 * z);
}

/* A room of 7 x 7 x 3: boards on the floor, papered walls, neither plain nor still in the pictures. `alike`: it has the
 * object's colours. */
static void room(const double eye[3], const double ray[3], bool alike, uint8_t rgb[3]) {
    double near = 1e30, p[3];
    int side = 0;
    for (int a = 0; a < 3; a++) {
        double wall = ray[a] > 0 ? (a == 2 ? 3 : 3.5) : a == 2 ? 0 : -3.5, t = (wall - eye[a]) / ray[a];
        if (t > 0 && t < near) near = t, side = a;
    }
    for (int a = 0; a < 3; a++) p[a] = eye[a] + near * ray[a];
    double w = wave(p[0], p[1], p[2]), line = fmod(fabs(p[side == 0 ? 1 : 0]) * 2.5, 1) < 0.1 ? 0.5 : 1;
    double floor[3] = {115 + 50 * w, 120 + 40 * w, 60 + 30 * w}, paper[3] = {60 + 60 * w, 95 + 70 * w, 120 + 80 * w},
           same[3] = {40 + 160 * w, 30 + 30 * w, 25 + 20 * w};
    for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)(line * (alike ? same : side == 2 ? floor : paper)[c]);
}

/* The room at pixel i of a camera. */
static void look_at_room(const kn_camera *k, int i, bool alike, uint8_t rgb[3]) {
    double c[3] = {(i % SIZE + 0.5 - k->k[0][2]) / k->k[0][0], (i / SIZE + 0.5 - k->k[1][2]) / k->k[1][1], 1},
           ray[3] = {0};
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) ray[a] += k->rotation[a][b] * c[b];
    room(k->translation, ray, alike, rgb);
}

static void film(shape_kind kind, shape_paint paint, bool alike) {
    kn_tris mesh;
    kn_view_camera cameras[VIEWS];
    shape_make(&mesh, kind);
    orbit_cameras(cameras, VIEWS, (const double[]){10, 28, 45}, 3, SIZE);
    for (int v = 0; v < VIEWS; v++) {
        kn_image picture;
        const kn_camera *k = &cameras[v].camera;
        shape_render(&picture, &mesh, kind, paint, &cameras[v], 0);
        truths[v] = kn_alloc(SIZE * SIZE, 1, NULL), masks[v] = kn_alloc(SIZE * SIZE, 1, NULL);
        views[v] = (kn_surface_view){.camera = cameras[v]};
        cr_assert(kn_image_init(&views[v].picture, SIZE, SIZE, 3, NULL));
        for (int i = 0; i < SIZE * SIZE; i++) {
            const uint8_t *p = picture.data + 4 * i;
            uint8_t back[3];
            look_at_room(k, i, alike, back);
            for (int n = 0; n < 3; n++)
                views[v].picture.data[3 * i + n] = (uint8_t)((p[n] * p[3] + back[n] * (255 - p[3])) / 255);
            truths[v][i] = p[3] >= 128;
        }
        kn_image_finish(&picture);
    }
    kn_tris_finish(&mesh);
}

/* Mean over the views of what mask and truth share to what either has. */
static double agreement(void) {
    double sum = 0;
    for (int v = 0; v < VIEWS; v++) {
        double both = 0, either = 0;
        for (int i = 0; i < SIZE * SIZE; i++)
            both += masks[v][i] && truths[v][i], either += masks[v][i] || truths[v][i];
        sum += both / either / VIEWS;
    }
    return sum;
}

static void forget(void) {
    for (int v = 0; v < VIEWS; v++) kn_image_finish(&views[v].picture), kn_free(masks[v]), kn_free(truths[v]);
}

static void print_log(void *user, kn_log_level level, const char *line) {
    (void)user, (void)level, cr_log_info("%s", line);
}
static const kn_log notes = {.callback = print_log, .level = KN_LOG_DEBUG};

Test(mesh_masks, an_object_in_a_room_is_found_by_its_colours) {
    static const struct {
        shape_kind kind;
        shape_paint paint;
        double least;
    } cases[] = {{SHAPE_CAR, PAINT_FLAT, 0.97},
                 {SHAPE_BUILDING, PAINT_FLAT, 0.97},
                 {SHAPE_CAR, PAINT_GLOSSY, 0.95},
                 {SHAPE_BUILDING, PAINT_TEXTURED, 0.9}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        bool found;
        kn_error error = {0};
        film(cases[i].kind, cases[i].paint, false);
        cr_assert(kn_mask_colors(views, masks, VIEWS, &notes, &found, &error), "%s", error.message);
        double iou = agreement();
        cr_log_info("case %zu: intersection over union %.4f", i, iou);
        cr_assert(found && iou > cases[i].least, "case %zu: %s, %g", i, found ? "found" : "not found", iou);
        forget();
    }
}

Test(mesh_masks, a_room_of_the_same_colours_costs_little) {
    bool found;
    kn_error error = {0};
    film(SHAPE_CAR, PAINT_FLAT, true);
    cr_assert(kn_mask_colors(views, masks, VIEWS, &notes, &found, &error), "%s", error.message);
    double iou = agreement();
    cr_assert(found && iou > 0.94, "%s, %g", found ? "found" : "not found", iou);
    forget();
}

Test(mesh_masks, a_room_with_nothing_in_it_is_refused) {
    for (int alike = 0; alike < 2; alike++) {
        bool found;
        kn_error error = {0};
        film(SHAPE_CAR, PAINT_FLAT, alike);
        for (int v = 0; v < VIEWS; v++) {
            const kn_camera *k = &views[v].camera.camera;
            for (int i = 0; i < SIZE * SIZE; i++) look_at_room(k, i, alike, views[v].picture.data + 3 * i);
        }
        cr_assert(kn_mask_colors(views, masks, VIEWS, &notes, &found, &error), "%s", error.message);
        cr_assert(!found);
        forget();
    }
}

Test(mesh_masks, few_views_say_nothing) {
    bool found;
    kn_error error = {0};
    film(SHAPE_CAR, PAINT_FLAT, false);
    cr_assert(kn_mask_colors(views, masks, 7, &notes, &found, &error) && !found);
    forget();
}
