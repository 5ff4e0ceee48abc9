/* A model that repaints film from its structure, against diffusers and transformers (training/golden_style.py). */
#include "diffusion/sampling/structure.h"
#include "kinora/clip.h"
#include "tests/golden/golden.h"

#include <string.h>

enum { WIDTH = 40, HEIGHT = 24, FLOATS = 3 * WIDTH * HEIGHT, BLOCK = 4, CELLS = WIDTH * HEIGHT / BLOCK / BLOCK };

Test(style, structure_of_a_picture) {
    golden g;
    golden_init(&g, "style");
    float *picture = golden_floats(&g, "picture"), *expected = golden_floats(&g, "structure"), found[35 * CELLS];
    REQUIRE(&g, kn_structure(picture, WIDTH, HEIGHT, BLOCK, found, &g.error));
    cr_assert_eq(kn_structure_channels(BLOCK), 35);
    golden_compare(found, expected, 35 * CELLS, "structure", 1e-5);
    kn_free(picture);
    kn_free(expected);
    golden_finish(&g);
}

Test(style, paints_a_frame) {
    golden g;
    kn_model *model;
    kn_clip *clip;
    float made[FLOATS];
    golden_init(&g, "style");
    REQUIRE(&g, kn_model_load(&model, g.gpu, FOLDER "style", NULL, &g.error));
    cr_assert(kn_model_get_info(model)->structure);
    kn_clip_params params = KN_CLIP_PARAMS_DEFAULT;
    params.width = WIDTH, params.height = HEIGHT, params.prompt = "ink and wash", params.seed = 7;
    REQUIRE(&g, kn_clip_create(&clip, model, &params, &g.error));
    float *picture = golden_floats(&g, "picture"), *expected = golden_floats(&g, "made");
    REQUIRE(&g, kn_clip_next(clip, &(kn_clip_frame){.picture = picture}, made, &g.error));
    golden_compare(made, expected, FLOATS, "made", 1e-4);
    kn_free(picture);
    kn_free(expected);
    kn_clip_destroy(&clip);
    kn_paint_params paint = KN_PAINT_PARAMS_DEFAULT;
    paint.width = WIDTH, paint.height = HEIGHT;
    cr_assert_not(kn_paint(model, &paint, made, &g.error));
    cr_assert(strstr(g.error.message, "restyles film"), "%s", g.error.message);
    kn_model_destroy(&model);
    golden_finish(&g);
}

/* A still picture with its motion known: the second frame is the first one again, and the memory brings a new clip to
 * the same third frame. */
Test(style, stays_and_goes_on) {
    golden g;
    kn_model *model;
    kn_clip *clips[2];
    float made[4][FLOATS], motion[2 * WIDTH * HEIGHT] = {0}, confident[WIDTH * HEIGHT];
    for (int i = 0; i < WIDTH * HEIGHT; i++) confident[i] = 1;
    golden_init(&g, "style");
    REQUIRE(&g, kn_model_load(&model, g.gpu, FOLDER "style", NULL, &g.error));
    kn_clip_params params = KN_CLIP_PARAMS_DEFAULT;
    params.width = WIDTH, params.height = HEIGHT, params.prompt = "clay", params.seed = 1;
    float *picture = golden_floats(&g, "picture");
    kn_clip_frame first = {.picture = picture}, next = {.picture = picture, .motion = motion, .confident = confident};
    for (int i = 0; i < 2; i++) REQUIRE(&g, kn_clip_create(&clips[i], model, &params, &g.error));
    REQUIRE(&g, kn_clip_next(clips[0], &first, made[0], &g.error));
    REQUIRE(&g, kn_clip_next(clips[0], &next, made[1], &g.error));
    golden_compare(made[1], made[0], FLOATS, "the second frame", 1e-5);
    float *memory = kn_alloc(kn_clip_memory_floats(clips[0]), sizeof *memory, &g.error);
    kn_clip_memory_read(clips[0], memory);
    kn_clip_memory_write(clips[1], memory);
    for (int i = 0; i < 2 * WIDTH * HEIGHT; i++) motion[i] = i < WIDTH * HEIGHT ? 1.25f : -.5f;
    for (int i = 0; i < 2; i++) REQUIRE(&g, kn_clip_next(clips[i], &next, made[2 + i], &g.error));
    cr_assert_eq(memcmp(made[2], made[3], sizeof made[2]), 0, "a clip goes on as it would have");
    cr_assert_neq(memcmp(made[2], made[1], sizeof made[2]), 0, "the motion matters");
    for (int i = 0; i < 2; i++) kn_clip_destroy(&clips[i]);
    kn_free(memory);
    kn_free(picture);
    kn_model_destroy(&model);
    golden_finish(&g);
}
