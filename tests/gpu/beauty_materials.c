/* Material packs and photographed skies: the facts stay, the mean stays, bad files are told. */
#include "base/tree.h"
#include "gpu_common.h"
#include "render_scene.h"
#include "scene/render/render_internal.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { W = 96, H = 60, PIXELS = W * H, SKY_WIDE = 32, SKY_HIGH = 16 };

static kn_gpu *gpu;
static char folder[64], path[128];
static float plain[KN_CONDITION_CHANNELS * PIXELS], photo[KN_CONDITION_CHANNELS * PIXELS];

static void open_gpu(void) {
    gpu = gpu_open(NULL);
    strcpy(folder, "/tmp/kinora-pack-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void close_gpu(void) {
    kn_error error;
    kn_remove_tree(folder, &error);
    gpu_close(gpu);
}

TestSuite(materials, .init = open_gpu, .fini = close_gpu);

static const char *in_folder(const char *name) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_text(const char *name, const char *text) {
    kn_error error;
    cr_assert(kn_file_write(in_folder(name), text, strlen(text), &error), "%s", error.message);
}

/* Stripes of 1/16 of its width. */
static void write_picture(const char *name, int size) {
    kn_image image;
    kn_error error;
    cr_assert(kn_image_init(&image, size, size, 3, &error));
    for (int i = 0; i < size * size * 3; i++) image.data[i] = (uint8_t)(i / 3 % size * 16 / size % 2 ? 200 : 90);
    cr_assert(kn_image_write_png(&image, in_folder(name), &error), "%s", error.message);
    kn_image_finish(&image);
}

/* A sky of one grey with a sun in one pixel of row 4. */
static size_t make_sky(uint8_t *out) {
    size_t at = (size_t)sprintf((char *)out, "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n", SKY_HIGH, SKY_WIDE);
    for (int y = 0; y < SKY_HIGH; y++) {
        const uint8_t head[4] = {2, 2, 0, SKY_WIDE};
        memcpy(out + at, head, 4);
        at += 4;
        for (int k = 0; k < 4; k++) {
            int sun = y == 4 && k == 3;
            out[at++] = 128 + 20;
            out[at++] = k == 3 ? 128 : 127;
            out[at++] = 1; /* a run of one as a literal */
            out[at++] = (uint8_t)(sun ? 140 : k == 3 ? 128 : 127);
            out[at++] = 128 + SKY_WIDE - 21;
            out[at++] = k == 3 ? 128 : 127;
        }
    }
    return at;
}

static kn_scene scene;

static bool draw(const kn_renderer_params *params, float *out, kn_error *error) {
    kn_renderer *renderer;
    kn_camera camera = render_scene_camera(W, H, 0);
    if (!kn_renderer_create(&renderer, gpu, &scene, params, error)) {
        cr_expect_null(renderer);
        return false;
    }
    bool good = kn_render(renderer, &camera, 0, &(kn_render_target){.conditions = out, .shaded = true}, error);
    kn_renderer_destroy(&renderer);
    return good;
}

static double shaded_mean(const float *conditions, int class, double *deviation) {
    double sum = 0, square = 0;
    int count = 0;
    for (int i = 0; i < PIXELS; i++)
        if (conditions[(KN_CONDITION_CLASS + class) * PIXELS + i] == 1) {
            double x = conditions[(KN_CONDITION_SHADED + 1) * PIXELS + i];
            sum += x, square += x * x, count++;
        }
    cr_assert_gt(count, 50);
    *deviation = sqrt(fmax(square / count - sum * sum / count / count, 0));
    return sum / count;
}

Test(materials, photographs_change_the_grain_and_nothing_else) {
    kn_error error = {0};
    cr_assert(render_scene_init(&scene, &render_scene_noon, -1, 0, NULL));
    for (size_t i = 0; i < scene.world.material_count; i++)
        if (scene.world.materials[i].semantic == KN_SEMANTIC_BUILDING)
            scene.world.materials[i].texture = KN_TEXTURE_BRICK, scene.world.materials[i].wettable = 0;
    write_picture("stripes.png", 320);
    write_text("materials.json",
               "{\"pictures\": [{\"file\": \"stripes.png\", \"texture\": \"brick\", \"metres\": 16}]}");
    cr_assert(draw(NULL, plain, &error), "%s", error.message);
    cr_assert(draw(&(kn_renderer_params){.materials = folder}, photo, &error), "%s", error.message);
    cr_expect_eq(memcmp(plain, photo, KN_CONDITION_SHADED * PIXELS * sizeof(float)), 0, "facts");
    double flat_spread, spread, before = shaded_mean(plain, KN_CLASS_BUILDING, &flat_spread);
    double after = shaded_mean(photo, KN_CLASS_BUILDING, &spread);
    cr_expect_float_eq(after, before, .05, "mean %g, with a photograph %g", before, after);
    cr_expect_gt(spread, 1.2 * flat_spread, "spread %g, with a photograph %g", flat_spread, spread);
    double road = shaded_mean(plain, KN_CLASS_ROAD, &spread);
    cr_expect_float_eq(road, shaded_mean(photo, KN_CLASS_ROAD, &spread), .003, "other surfaces stay");
    render_scene_finish(&scene);
}

Test(materials, bad_packs_are_told) {
    static const char *const lists[][2] = {
        {"{\"pictures\": [}", "not valid JSON"},
        {"{}", "expected \"pictures\""},
        {"{\"pictures\": [{\"file\": \"small.png\", \"texture\": \"brick\"}]}", "\"metres\""},
        {"{\"pictures\": [{\"file\": \"small.png\", \"texture\": \"cheese\", \"metres\": 2}]}", "cheese"},
        {"{\"pictures\": [{\"file\": \"small.png\", \"texture\": \"brick\", \"metres\": 2}]}", "at least 256x256"},
        {"{\"pictures\": [{\"file\": \"none.png\", \"texture\": \"brick\", \"metres\": 2}]}", "none.png"}};
    kn_error error = {0};
    cr_assert(render_scene_init(&scene, &render_scene_noon, 5, 1, NULL));
    write_picture("small.png", 100);
    for (size_t i = 0; i < KN_COUNT(lists); i++) {
        write_text("materials.json", lists[i][0]);
        cr_assert(!draw(&(kn_renderer_params){.materials = folder}, plain, &error), "%zu", i);
        cr_expect(error.kind == KN_ERROR_INPUT || error.kind == KN_ERROR_IO);
        cr_expect(strstr(error.message, lists[i][1]), "%s", error.message);
    }
    render_scene_finish(&scene);
}

Test(materials, a_photographed_sky_is_seen_and_gives_its_light) {
    static uint8_t sky[4096];
    kn_error error = {0};
    kn_renderer *renderer;
    size_t size = make_sky(sky);
    cr_assert(render_scene_init(&scene, &render_scene_noon, -1, 0, NULL));
    cr_assert(kn_file_write(in_folder("sky.hdr"), sky, size, &error));
    const kn_renderer_params params = {.sky = path};
    cr_assert(kn_renderer_create(&renderer, gpu, &scene, &params, &error), "%s", error.message);
    cr_expect_float_eq(renderer->sky.brightest, 20.5 / 32, 1e-6);
    cr_expect_float_eq(renderer->sky.horizon[1], 127.5 / 256, 1e-4);
    kn_renderer_destroy(&renderer);
    cr_assert(draw(NULL, plain, &error) && draw(&params, photo, &error), "%s", error.message);
    cr_expect_eq(memcmp(plain, photo, KN_CONDITION_SHADED * PIXELS * sizeof(float)), 0, "facts");
    double colored = 0, grey = 0, spread, before, after;
    int count = 0;
    for (int i = 0; i < PIXELS; i++) {
        if (photo[(KN_CONDITION_CLASS + KN_CLASS_SKY) * PIXELS + i] != 1) continue;
        colored += plain[(KN_CONDITION_SHADED + 2) * PIXELS + i] - plain[KN_CONDITION_SHADED * PIXELS + i];
        grey += fabs(photo[(KN_CONDITION_SHADED + 2) * PIXELS + i] - photo[KN_CONDITION_SHADED * PIXELS + i]);
        count++;
    }
    cr_assert_gt(count, 100);
    cr_expect(colored / count > .05 && grey < .6 * colored, "blue %g, with the grey picture %g", colored / count,
              grey / count);
    before = shaded_mean(plain, KN_CLASS_ROAD, &spread), after = shaded_mean(photo, KN_CLASS_ROAD, &spread);
    cr_expect_float_eq(after, before, .06, "the road is as bright: %g, %g", before, after);
    render_scene_finish(&scene);
}

Test(materials, damaged_skies_are_told) {
    static uint8_t sky[4096];
    kn_error error = {0};
    kn_render_sky read;
    size_t size = make_sky(sky);
    for (size_t cut = 0; cut < size; cut += 7) {
        cr_assert(kn_file_write(in_folder("sky.hdr"), sky, cut, &error));
        cr_assert(!kn_render_sky_read(&read, path, 0, &error), "cut at %zu", cut);
        cr_expect_eq(error.kind, KN_ERROR_INPUT);
        cr_expect_null(read.texels);
    }
    for (size_t i = 0; i < size; i++) { /* any byte may be wrong: an error or a picture, nothing else */
        uint8_t kept = sky[i];
        sky[i] = (uint8_t)(kept ^ 0x55);
        cr_assert(kn_file_write(in_folder("sky.hdr"), sky, size, &error));
        if (kn_render_sky_read(&read, path, 0, &error)) kn_render_sky_finish(&read);
        sky[i] = kept;
    }
}
