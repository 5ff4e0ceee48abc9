/* The parts of the driving pipeline that need no device: journal, mosaic, drawing, 2D boxes, map mask. */
#include "pipelines/drive/bev.h"
#include "pipelines/common/canvas.h"
#include "pipelines/drive/facts.h"
#include "pipelines/common/journal.h"
#include "pipelines/drive/map_mask.h"
#include "pipelines/common/mosaic.h"
#include "pipelines/common/pixels.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static const char *const job_a = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                         *const job_b = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-pipelines-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static void remove_folder(void) { cr_assert(kn_remove_tree(folder, NULL)); }

static void put(const char *name, const char *text) {
    char *path = kn_path_join(folder, name, NULL);
    cr_assert(kn_file_write(path, text, strlen(text), NULL));
    kn_free(path);
}

/* --- journal ---------------------------------------------------------------------------------- */

TestSuite(journal, .init = make_folder, .fini = remove_folder);

static void write_chunks(size_t count) {
    kn_journal journal;
    kn_error error = {0};
    cr_assert(kn_journal_init(&journal, folder, job_a, false, &error), "%s", error.message);
    for (size_t i = journal.chunks_done; i < count; i++) {
        char name[2][32];
        snprintf(name[0], 32, "a%zu", i);
        snprintf(name[1], 32, "b %zu", i); /* a blank in a name */
        put(name[0], name[0]);
        put(name[1], name[1]);
        cr_assert(kn_journal_finish_chunk(&journal, (const char *[]){name[0], name[1]}, 2, &error), "%s",
                  error.message);
    }
    kn_journal_finish(&journal);
}

static size_t chunks_done(void) {
    kn_journal journal;
    kn_error error = {0};
    cr_assert(kn_journal_init(&journal, folder, job_a, false, &error), "%s", error.message);
    size_t done = journal.chunks_done;
    kn_journal_finish(&journal);
    return done;
}

Test(journal, goes_on_after_the_last_good_chunk) {
    write_chunks(3);
    cr_assert_eq(chunks_done(), 3u);
    write_chunks(5);
    cr_assert_eq(chunks_done(), 5u);
    put("b 3", "changed");
    cr_assert_eq(chunks_done(), 3u);
    write_chunks(5); /* chunk 3 and what follows is made again */
    cr_assert_eq(chunks_done(), 5u);
    char *path = kn_path_join(folder, "a4", NULL);
    cr_assert_eq(unlink(path), 0);
    kn_free(path);
    cr_assert_eq(chunks_done(), 4u);
}

Test(journal, survives_a_cut_at_any_byte) {
    write_chunks(3);
    char *path = kn_path_join(folder, "journal", NULL);
    uint8_t *data;
    size_t size, before = 3;
    cr_assert(kn_file_read(path, 1 << 20, &data, &size, NULL));
    for (size_t cut = size; cut > 83; cut--) { /* 83 bytes: the first line, which is written by renaming */
        cr_assert(kn_file_write(path, data, cut, NULL));
        size_t done = chunks_done();
        cr_assert_leq(done, before);
        before = done;
    }
    cr_assert_eq(before, 0u);
    kn_free(data);
    kn_free(path);
}

Test(journal, refuses_another_job_and_another_process) {
    write_chunks(2);
    kn_journal journal, second;
    kn_error error = {0};
    cr_assert_not(kn_journal_init(&journal, folder, job_b, false, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
    cr_assert_not_null(strstr(error.message, "--overwrite"));
    cr_assert(kn_journal_init(&journal, folder, job_a, false, &error));
    cr_assert_not(kn_journal_init(&second, folder, job_a, false, &error));
    cr_assert_eq(error.kind, KN_ERROR_IO);
    cr_assert_not_null(strstr(error.message, "another process"));
    kn_journal_finish(&journal);
    put("journal", "nonsense\n");
    cr_assert_not(kn_journal_init(&journal, folder, job_a, false, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
}

Test(journal, overwriting_and_removing_take_the_lock_first) {
    kn_error error = {0};
    kn_journal journal;
    write_chunks(2);
    put("leftover", "x");
    cr_assert(kn_journal_init(&journal, folder, job_a, false, &error), "%s", error.message);
    cr_assert_not(kn_journal_remove(folder, &error)); /* somebody works there */
    cr_assert_eq(error.kind, KN_ERROR_IO, "%s", error.message);
    kn_journal second;
    cr_assert_not(kn_journal_init(&second, folder, job_b, true, &error));
    cr_assert_eq(error.kind, KN_ERROR_IO, "%s", error.message);
    kn_journal_finish(&journal);
    cr_assert_eq(chunks_done(), 2);
    cr_assert(kn_journal_init(&journal, folder, job_b, true, &error), "%s", error.message);
    cr_assert_eq(journal.chunks_done, 0);
    char *path = kn_path_join(folder, "leftover", NULL);
    cr_assert_not(kn_file_exists(path));
    kn_free(path);
    kn_journal_finish(&journal);
    cr_assert(kn_journal_remove(folder, &error), "%s", error.message);
    cr_assert_not(kn_file_exists(folder));
    cr_assert(kn_journal_remove(folder, &error));
    cr_assert_eq(mkdir(folder, 0777), 0);
}

Test(journal, failing_allocations) {
    write_chunks(2);
    for (uint64_t n = 1; n < 50; n++) {
        kn_journal journal;
        kn_error error = {0};
        kn_alloc_fail_after(n);
        bool ok = kn_journal_init(&journal, folder, job_a, false, &error) &&
                  kn_journal_finish_chunk(&journal, (const char *[]){"a0"}, 1, &error);
        kn_alloc_fail_after(0);
        if (journal.folder) kn_journal_finish(&journal);
        if (ok) return;
        cr_assert(error.kind == KN_ERROR_MEMORY, "%s", error.message);
    }
    cr_assert_fail("never succeeded");
}

Test(journal, removing_does_not_follow_links) {
    char outside[] = "/tmp/kinora-outside-XXXXXX", *link = kn_path_join(folder, "link", NULL),
         *inside = kn_path_join(folder, "d/e", NULL);
    cr_assert(mkdtemp(outside) != NULL);
    char *kept = kn_path_join(outside, "kept", NULL);
    cr_assert(kn_file_write(kept, "x", 1, NULL) && kn_make_directories(inside, NULL) && symlink(outside, link) == 0);
    cr_assert(kn_remove_tree(folder, NULL));
    cr_assert_not(kn_file_exists(folder));
    cr_assert(kn_file_exists(kept));
    cr_assert(kn_remove_tree(folder, NULL)); /* absent: fine */
    cr_assert(kn_remove_tree(outside, NULL));
    kn_free(link);
    kn_free(inside);
    kn_free(kept);
}

/* --- mosaic ----------------------------------------------------------------------------------- */

static kn_rig named_rig(const char *const *names, int count, int width, int height) {
    kn_rig rig = {.camera_count = count};
    for (int i = 0; i < count; i++) {
        snprintf(rig.cameras[i].name, sizeof rig.cameras[i].name, "%s", names[i]);
        rig.cameras[i].width = width;
        rig.cameras[i].height = height;
    }
    return rig;
}

Test(mosaic, surround_layout) {
    static const char *const names[] = {"CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT",
                                        "CAM_BACK_RIGHT", "CAM_BACK",  "CAM_BACK_LEFT"};
    static const int cells[][2] = {{0, 0}, {1, 0}, {2, 0}, {2, 1}, {1, 1}, {0, 1}};
    kn_rig rig = named_rig(names, 6, 40, 22);
    kn_mosaic mosaic;
    kn_mosaic_init(&mosaic, &rig);
    cr_assert(mosaic.width == 120 && mosaic.height == 44);
    for (int i = 0; i < 6; i++)
        cr_assert(mosaic.left[i] == 40 * cells[i][0] && mosaic.top[i] == 22 * cells[i][1], "%s", names[i]);
    kn_image image;
    cr_assert(kn_image_init(&image, 120, 44, 3, NULL));
    uint8_t rgb[40 * 22 * 3];
    for (int i = 0; i < 6; i++) {
        memset(rgb, i + 1, sizeof rgb);
        kn_mosaic_place(&mosaic, &image, &rig, i, rgb);
    }
    cr_assert_eq(image.data[0], 1);
    cr_assert_eq(image.data[3 * (120 * 43)], 6);
    cr_assert_eq(image.data[3 * (120 * 44 - 1)], 4);
    kn_image_finish(&image);
}

Test(mosaic, other_rigs) {
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    kn_rig rig = named_rig(names, 5, 33, 21);
    rig.cameras[1].width = 11;
    rig.cameras[1].height = 11;
    kn_mosaic mosaic;
    kn_mosaic_init(&mosaic, &rig);
    cr_assert(mosaic.width == 100 && mosaic.height == 42); /* 3 x 2 cells, made even */
    cr_assert(mosaic.left[1] == 33 + 11 && mosaic.top[1] == 5);
    rig.camera_count = 1;
    kn_mosaic_init(&mosaic, &rig);
    cr_assert(mosaic.width == 34 && mosaic.height == 22);
}

/* --- drawing ---------------------------------------------------------------------------------- */

static double sum(const kn_image *image) {
    double total = 0;
    for (size_t i = 0; i < (size_t)image->width * (size_t)image->height; i++) total += image->data[3 * i] / 255.0;
    return total;
}

Test(canvas, areas_are_right) {
    kn_image image;
    const kn_canvas_color white = {255, 255, 255, 1}, black = {0, 0, 0, 1};
    cr_assert(kn_image_init(&image, 101, 77, 3, NULL));
    kn_canvas_polygon(&image, (const double[4][2]){{10.3, 10.2}, {50.8, 20.7}, {47.1, 60.2}, {8.4, 40.9}}, 4, white);
    double area = 0, p[4][2] = {{10.3, 10.2}, {50.8, 20.7}, {47.1, 60.2}, {8.4, 40.9}};
    for (int i = 0; i < 4; i++) area += .5 * (p[i][0] * p[(i + 1) % 4][1] - p[i][1] * p[(i + 1) % 4][0]);
    cr_assert_float_eq(sum(&image), area, area * .01);
    kn_canvas_clear(&image, black);
    kn_canvas_line(&image, 20, 20, 80, 60, 4, white);
    double length = hypot(60, 40);
    cr_assert_float_eq(sum(&image), 4 * length + M_PI * 4, 6);
    kn_canvas_clear(&image, black);
    kn_canvas_disc(&image, 50, 40, 15, white);
    cr_assert_float_eq(sum(&image), M_PI * 225, 10);
    /* Wholly or partly outside, and not finite: nothing breaks. */
    kn_canvas_line(&image, -1e9, -5, 1e9, 300, 3, white);
    kn_canvas_line(&image, NAN, 0, 3, 3, 3, white);
    kn_canvas_polygon(&image, (const double[3][2]){{-10, -10}, {1e12, 5}, {5, 1e12}}, 3, white);
    kn_canvas_text(&image, -7, 70, 3, "kinora 0.1 %!", white);
    kn_image_finish(&image);
}

Test(canvas, every_letter_has_a_glyph) {
    for (const char *c = "ABCXYZabcxyz0123456789.:/-_%(),+"; *c; c++) cr_assert_not_null(kn_font_glyph(*c), "%c", *c);
    cr_assert_null(kn_font_glyph(' '));
    cr_assert_eq(kn_canvas_text(NULL, 0, 0, -2, "AB", (kn_canvas_color){0}), 22);
}

/* --- 2D boxes --------------------------------------------------------------------------------- */

enum { W = 80, H = 60 };

static kn_camera forward_camera(void) {
    kn_camera c = {.name = "c", .width = W, .height = H, .k = {{40, 0, 40}, {0, 40, 30}, {0, 0, 1}}};
    const double r[3][3] = {
        {0, 0, 1}, {-1, 0, 0}, {0, -1, 0}}; /* z forward is x of the ego, x right is -y, y down is -z */
    memcpy(c.rotation, r, sizeof r);
    return c;
}

Test(boxes, a_box_ahead_is_projected_and_half_covered) {
    kn_camera camera = forward_camera();
    kn_box box = {
        .instance = 7, .kind = KN_ACTOR_CAR, .translation = {10, 0, 0}, .rotation = {1, 0, 0, 0}, .size = {4, 2, 3}};
    kn_frame_facts facts = {
        .frame = 3, .ego_rotation = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, .boxes = &box, .box_count = 1};
    float depth[W * H];
    uint16_t instance[W * H];
    for (int i = 0; i < W * H; i++) {
        bool left = i % W < 40;
        depth[i] = left ? 5 : 9;
        instance[i] = left ? 9 : 0;
    }
    /* The near face, 4 x 3 m at 9 m: 17.8 x 13.3 pixels around the middle. Its right half shows. */
    for (int y = 24; y < 36; y++)
        for (int x = 40; x < 48; x++) instance[y * W + x] = 7;
    kn_box_2d *list = NULL;
    size_t count = 0, capacity = 0;
    cr_assert(kn_boxes_2d_append(&list, &count, &capacity, &facts, &camera, 2, depth, instance, NULL));
    cr_assert_eq(count, 1u);
    cr_assert(list[0].frame == 3 && list[0].camera == 2 && list[0].instance == 7);
    const float expected[4] = {40 - 80.f / 9, 30 - 60.f / 9, 40 + 80.f / 9, 30 + 60.f / 9};
    for (int i = 0; i < 4; i++) cr_assert_float_eq(list[0].amodal[i], expected[i], 1e-3);
    cr_assert(list[0].visible[0] == 40 && list[0].visible[1] == 24 && list[0].visible[2] == 48 &&
              list[0].visible[3] == 36);
    cr_assert_eq(list[0].visible_pixels, 96u);
    double covered = (double)list[0].occluded_pixels / list[0].box_pixels;
    cr_assert_float_eq(covered, .5, .03, "%g", covered);
    kn_free(list);
}

Test(boxes, behind_beside_and_around_the_camera) {
    kn_camera camera = forward_camera();
    kn_box boxes[3] = {{.instance = 1, .translation = {-10, 0, 0}, .rotation = {1, 0, 0, 0}, .size = {2, 4, 2}},
                       {.instance = 2, .translation = {5, 50, 0}, .rotation = {1, 0, 0, 0}, .size = {2, 4, 2}},
                       {.instance = 3,
                        .translation = {0, 3, 0},
                        .rotation = {1, 0, 0, 0},
                        .size = {2, 12, 2}}}; /* reaches past the camera */
    kn_frame_facts facts = {.ego_rotation = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, .boxes = boxes, .box_count = 3};
    float *depth = kn_alloc(W * H, sizeof *depth, NULL);
    uint16_t *instance = kn_alloc(W * H, sizeof *instance, NULL);
    for (int i = 0; i < W * H; i++) depth[i] = INFINITY;
    kn_box_2d *list = NULL;
    size_t count = 0, capacity = 0;
    cr_assert(kn_boxes_2d_append(&list, &count, &capacity, &facts, &camera, 0, depth, instance, NULL));
    cr_assert_eq(count, 1u);
    cr_assert_eq(list[0].instance, 3);
    cr_assert_eq(list[0].amodal[0], 0);
    cr_assert_float_eq(list[0].amodal[2], 40 - 40 * 2 / 6., 1e-3); /* its right side ends 6 m ahead, 2 m to the left */
    cr_assert_eq(list[0].occluded_pixels, 0u);
    kn_free(list);
    kn_free(depth);
    kn_free(instance);
}

/* --- map -------------------------------------------------------------------------------------- */

Test(map, mask_of_a_lane_surface) {
    static const double points[][2] = {{100, 50}, {120, 50}, {100, 53}, {120, 53}};
    const kn_map_line line = {points, 4, 3};
    uint8_t *mask;
    int width, height;
    cr_assert(
        kn_map_mask(&line, 1, (const double[2]){90, 40}, (const double[2]){40, 30}, .1, &mask, &width, &height, NULL));
    cr_assert(width == 400 && height == 300);
    size_t count = 0;
    for (int i = 0; i < width * height; i++) count += mask[i] == 255;
    cr_assert_float_eq((double)count * .01, 60, .5);
    cr_assert_eq(mask[(300 - 115) * 400 + 150], 255); /* (105, 51.5) */
    cr_assert_eq(mask[(300 - 95) * 400 + 150], 0);    /* (105, 49.5) */
    kn_free(mask);
}

Test(map, long_drives_keep_their_whole_map) {
    static const double points[][2] = {{5880, 50}, {5900, 50}, {5880, 53}, {5900, 53}};
    const kn_map_line line = {points, 4, 3};
    const double size[2] = {6000, 4000};
    cr_assert_eq(kn_map_mask_resolution((const double[2]){400, 300}), KN_MAP_MASK_RESOLUTION);
    double resolution = kn_map_mask_resolution(size);
    cr_assert_float_eq(resolution, .8, 1e-9);
    uint8_t *mask;
    int width, height;
    cr_assert(kn_map_mask(&line, 1, (const double[2]){0, 0}, size, resolution, &mask, &width, &height, NULL));
    cr_assert(width == 7500 && height == 5000);
    cr_assert_eq(mask[(size_t)(5000 - 64) * 7500 + 7363], 255); /* (5890.8, 51.6), far beyond 1600 m */
    kn_free(mask);
}

Test(pixels, no_nan_becomes_a_colour) {
    float planar[6] = {0, 1, .5f, 2, -1, .25f};
    uint8_t rgb[6];
    cr_assert(kn_pixels_interleave(planar, 2, rgb));
    const uint8_t want[6] = {0, 128, 0, 255, 255, 64};
    cr_assert_eq(memcmp(rgb, want, 6), 0);
    planar[3] = NAN;
    cr_assert_not(kn_pixels_interleave(planar, 2, rgb));
    planar[3] = INFINITY;
    cr_assert_not(kn_pixels_interleave(planar, 2, rgb));
}

Test(map, top_view_draws_and_allocates_carefully) {
    static const double points[][2] = {{-50, 2}, {100, 2}};
    const kn_map_line line = {points, 2, 1};
    kn_box box = {.instance = 4,
                  .translation = {20, 0, 0},
                  .rotation = {1, 0, 0, 0},
                  .size = {2, 4, 2},
                  .velocity = {10, 0, 0},
                  .is_moving = true};
    kn_frame_facts facts = {.ego_rotation = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, .boxes = &box, .box_count = 1};
    kn_image image;
    cr_assert(kn_image_init(&image, KN_BEV_SIZE, KN_BEV_SIZE, 3, NULL));
    for (uint64_t n = 1;; n++) {
        kn_bev *bev = NULL;
        kn_error error = {0};
        kn_alloc_fail_after(n);
        bool ok = kn_bev_create(&bev, &line, 1, "title", (kn_rational){12, 1}, &error) &&
                  kn_bev_draw(bev, &image, &facts, &error);
        kn_alloc_fail_after(0);
        kn_bev_destroy(&bev);
        if (ok) break;
        cr_assert_eq(error.kind, KN_ERROR_MEMORY);
        cr_assert_lt(n, 20u);
    }
    const uint8_t *car = image.data + 3 * ((500 - 144) * KN_BEV_SIZE + 360); /* 20 m ahead */
    cr_assert(car[0] > 200 && car[2] < 120, "%d %d %d", car[0], car[1], car[2]);
    kn_image_finish(&image);
}
