/* Cameras from pictures alone: the sample's film, and what is refused. */
#include <criterion/criterion.h>
#include <string.h>

#include "kinora/encoders.h"
#include "mesh/sfm/sfm.h"

enum { MOST = 40 };

typedef struct album {
    kn_image pictures[MOST];
    const kn_image *pointers[MOST];
    size_t count;
    kn_view_list list;
    kn_find_facts facts;
    kn_error error;
} album;

static bool find(album *a) {
    kn_find_params params = {0};
    for (size_t i = 0; i < a->count; i++) a->pointers[i] = &a->pictures[i];
    a->error = (kn_error){0};
    return kn_cameras_find(&a->list, a->pointers, a->count, &params, &a->facts, &a->error);
}

static void drop(album *a) {
    for (size_t i = 0; i < a->count; i++) kn_image_finish(&a->pictures[i]);
    kn_view_list_finish(&a->list);
}

/* Mean distance of the found centres from the true ones after a similarity, in per cent of the distance to the
 * object. */
static double center_error(const album *a, const kn_view_camera *truth, double distance) {
    double from[3 * MOST], to[3 * MOST], r[3][3], t[3], scale, sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (!a->list.items[i].camera.width) continue;
        memcpy(from + 3 * count, a->list.items[i].camera.translation, 3 * sizeof *from);
        memcpy(to + 3 * count, truth[i].camera.translation, 3 * sizeof *to);
        count++;
    }
    if (!kn_similarity(from, to, count, &scale, r, t)) return 100;
    for (size_t i = 0; i < count; i++) {
        double m[3], d = 0;
        kn_mul3((const double(*)[3])r, from + 3 * i, m);
        for (size_t k = 0; k < 3; k++) d += pow(scale * m[k] + t[k] - to[3 * i + k], 2);
        sum += 100 * sqrt(d) / distance / (double)count;
    }
    return sum;
}

Test(mesh_find, the_film_of_the_sample) {
    static album a;
    kn_video_reader *reader = NULL;
    kn_view_list truth;
    cr_assert(kn_view_list_read(&truth, "samples/mesh/transforms.json", &a.error), "%s", a.error.message);
    cr_assert(kn_video_reader_create(&reader, "samples/mesh/orbit.mp4", (kn_rational){0, 0}, &a.error), "%s",
              a.error.message);
    cr_assert_leq(truth.count, MOST);
    bool end = false;
    for (a.count = 0; a.count < truth.count; a.count++) {
        cr_assert(kn_image_init(&a.pictures[a.count], 256, 256, 3, &a.error));
        cr_assert(kn_video_reader_next(reader, a.pictures[a.count].data, NULL, &end, &a.error) && !end, "%s",
                  a.error.message);
    }
    kn_video_reader_destroy(&reader);
    cr_assert(find(&a), "%s", a.error.message);
    cr_assert_geq(a.facts.used, 34, "%zu used", a.facts.used);
    cr_assert_lt(center_error(&a, truth.items, 1.9), 1);
    drop(&a);
    kn_view_list_finish(&truth);
}

/* --- refused ---------------------------------------------------------------------------------- */

enum { SIDE = 120 };

/* A patch of an endless picture of blocks, from (x, y) on. */
static void paint(kn_image *picture, int x0, int y0, uint64_t seed) {
    kn_error error;
    cr_assert(kn_image_init(picture, SIDE, SIDE, 3, &error));
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            uint64_t block = (uint64_t)((y + y0 + 1000) / 7) * 1009 + (uint64_t)((x + x0 + 1000) / 7);
            memset(picture->data + (y * SIDE + x) * 3, (int)(kn_hash64(block + seed) % 220), 3);
        }
}

static void refused(album *a, const char *part) {
    cr_assert(!find(a), "should be refused");
    cr_assert_eq(a->error.kind, KN_ERROR_INPUT);
    cr_assert(strstr(a->error.message, part), "\"%s\" should say \"%s\"", a->error.message, part);
    cr_assert_null(a->list.items);
    drop(a);
}

Test(mesh_find, one_picture_is_refused) {
    static album a = {.count = 1};
    paint(&a.pictures[0], 0, 0, 1);
    refused(&a, "1 pictures");
}

Test(mesh_find, a_still_camera_is_refused) {
    static album a = {.count = 5};
    for (size_t i = 0; i < a.count; i++) paint(&a.pictures[i], 0, 0, 1);
    refused(&a, "stands still");
}

Test(mesh_find, a_moving_object_before_a_still_camera_is_refused) {
    static album a = {.count = 5};
    for (size_t i = 0; i < a.count; i++) {
        kn_image object;
        paint(&a.pictures[i], 0, 0, 1), paint(&object, 0, 0, 9);
        for (int y = 40; y < 80; y++)
            memcpy(a.pictures[i].data + (y * SIDE + 10 + 8 * (int)i) * 3, object.data + y * SIDE * 3, 40 * 3);
        kn_image_finish(&object);
    }
    refused(&a, "stands still");
}

Test(mesh_find, a_turning_camera_is_refused) {
    static album a = {.count = 5};
    for (size_t i = 0; i < a.count; i++) paint(&a.pictures[i], 6 * (int)i, 2 * (int)i, 1);
    cr_assert(!find(&a));
    cr_assert_eq(a.error.kind, KN_ERROR_INPUT);
    drop(&a);
}

Test(mesh_find, unrelated_pictures_are_refused) {
    static album a = {.count = 5};
    for (size_t i = 0; i < a.count; i++) paint(&a.pictures[i], 0, 0, 100 + i);
    refused(&a, "expected an orbit");
}

Test(mesh_find, empty_pictures_are_refused) {
    static album a = {.count = 4};
    for (size_t i = 0; i < a.count; i++) {
        cr_assert(kn_image_init(&a.pictures[i], 64, 64, 3, &a.error));
        memset(a.pictures[i].data, 90, 64 * 64 * 3);
    }
    refused(&a, "too little detail");
}

Test(mesh_find, pictures_of_two_sizes_are_refused) {
    static album a = {.count = 3};
    for (size_t i = 0; i < a.count; i++) cr_assert(kn_image_init(&a.pictures[i], 64 + (int)i, 64, 3, &a.error));
    refused(&a, "one size");
}

Test(mesh_find, the_sharpest_of_each_stretch_is_chosen) {
    enum { COUNT = 30 };
    static kn_frame_look looks[COUNT];
    bool chosen[COUNT];
    size_t total = 0;
    for (int i = 0; i < COUNT; i++) {
        looks[i].sharpness = i % 5 == 3 ? 9 : 1 + i % 2;
        memset(looks[i].thumbnail, 4 * i, sizeof looks[i].thumbnail);
    }
    kn_frames_choose(looks, COUNT, 6, chosen);
    for (int i = 0; i < COUNT; i++) {
        total += chosen[i];
        if (chosen[i]) cr_assert_eq(i % 5, 3, "frame %d", i);
    }
    cr_assert_eq(total, 6);
    kn_frames_choose(looks, COUNT, COUNT, chosen);
    for (int i = 0; i < COUNT; i++) cr_assert(chosen[i]);
    for (int i = 0; i < COUNT; i++) looks[i] = (kn_frame_look){.sharpness = 1}; /* nothing changes: spread over time */
    kn_frames_choose(looks, COUNT, 4, chosen);
    total = 0;
    for (int i = 0; i < COUNT; i++) total += chosen[i];
    cr_assert_eq(total, 4);
}

Test(mesh_find, sharp_pictures_look_sharper) {
    kn_image sharp, soft;
    kn_error error;
    paint(&sharp, 0, 0, 1);
    cr_assert(kn_image_init(&soft, SIDE, SIDE, 3, &error));
    for (int y = 1; y < SIDE - 1; y++)
        for (int x = 1; x < SIDE - 1; x++) {
            int sum = 0;
            for (int k = 0; k < 9; k++) sum += sharp.data[((y + k / 3 - 1) * SIDE + x + k % 3 - 1) * 3];
            memset(soft.data + (y * SIDE + x) * 3, sum / 9, 3);
        }
    cr_assert_gt(kn_frame_look_at(&sharp).sharpness, 1.5 * kn_frame_look_at(&soft).sharpness);
    kn_image_finish(&sharp), kn_image_finish(&soft);
}
