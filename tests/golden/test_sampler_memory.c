/* Memory of the clip sampler: told before it is made, and every allocation failing in turn. */
#include "tests/golden/golden.h"

#include <string.h>

enum {
    FRAMES = 3,
    VIEWS = 2,
    WIDTH = 20,
    HEIGHT = 12,
    N = FRAMES * VIEWS,
    FLOATS = N * 3 * WIDTH * HEIGHT,
    SLACK = 8 << 20
};

typedef struct clip {
    golden g;
    kn_model *model;
    float *noise, *control, expected[FLOATS], rgb[FLOATS];
} clip;

static const char *const prompt = "rain on the road!";

static kn_sampler_params params_of(int frames, int width, int height) {
    kn_sampler_params params = KN_SAMPLER_PARAMS_DEFAULT;
    params.frames = frames, params.views = VIEWS, params.width = width, params.height = height;
    params.steps = 2, params.guidance = 2;
    params.controls[0] = (kn_control_params){.name = "drive", .scale = 1};
    params.control_count = 1;
    params.neighbours[0][0] = params.neighbours[0][1] = 1;
    return params;
}

static uint64_t in_use(const clip *c) {
    uint64_t now, peak;
    kn_gpu_memory_use(c->g.gpu, &now, &peak);
    return now;
}

static bool run(clip *c, kn_error *error) {
    kn_sampler *sampler = NULL;
    kn_sampler_params params = params_of(FRAMES, WIDTH, HEIGHT);
    kn_sample_input input = {.prompts = &prompt, .prompt_count = 1, .controls = {c->control}, .noise = c->noise};
    bool ok = kn_sampler_create(&sampler, c->model, &params, error) && kn_sample(sampler, &input, c->rgb, error);
    kn_sampler_destroy(&sampler);
    return ok;
}

static void clip_open(clip *c) {
    memset(c, 0, sizeof *c);
    golden_init(&c->g, "model");
    kn_graph_destroy(&c->g.graph); /* without the validation layer: it runs hundreds of times */
    kn_gpu_destroy(&c->g.gpu);
    REQUIRE(&c->g, kn_gpu_create(&c->g.gpu, &KN_GPU_PARAMS_DEFAULT, &c->g.error));
    REQUIRE(&c->g, kn_model_load(&c->model, c->g.gpu, FOLDER "model", NULL, &c->g.error));
    c->noise = golden_floats(&c->g, "noise");
    c->control = golden_floats(&c->g, "control");
    REQUIRE(&c->g, run(c, &c->g.error));
    memcpy(c->expected, c->rgb, sizeof c->rgb);
}

static void clip_close(clip *c) {
    kn_free(c->noise);
    kn_free(c->control);
    kn_model_destroy(&c->model);
    golden_finish(&c->g);
}

/* Larger clips, so that blocks and not their rounding count. */
Test(sampler_memory, told_before) {
    clip c;
    clip_open(&c);
    uint64_t last = 0, before = in_use(&c);
    for (int frames = 1; frames <= 3; frames++) {
        uint64_t bytes = 0;
        kn_sampler_params params = params_of(frames, 160, 96);
        REQUIRE(&c.g, kn_sampler_bytes(c.model, &params, &bytes, &c.g.error));
        cr_assert_eq(in_use(&c), before, "measuring takes nothing");
        cr_assert_gt(bytes, last, "more frames take more");
        last = bytes;
        kn_sampler *sampler;
        size_t pictures = (size_t)frames * VIEWS;
        float *control = kn_alloc(pictures * 160 * 96 * 16, sizeof *control, NULL),
              *rgb = kn_alloc(pictures * 3 * 160 * 96, sizeof *rgb, NULL);
        kn_sample_input input = {.prompts = &prompt, .prompt_count = 1, .controls = {control}, .noise = control};
        REQUIRE(&c.g, kn_sampler_create(&sampler, c.model, &params, &c.g.error));
        REQUIRE(&c.g, kn_sample(sampler, &input, rgb, &c.g.error));
        uint64_t used = in_use(&c) - before;
        cr_assert(used <= bytes + SLACK && bytes <= used + SLACK, "%d frames: %llu bytes told, %llu taken", frames,
                  (unsigned long long)bytes, (unsigned long long)used);
        kn_sampler_destroy(&sampler);
        kn_free(control);
        kn_free(rgb);
    }
    clip_close(&c);
}

Test(sampler_memory, each_device_allocation_fails) {
    clip c;
    clip_open(&c);
    uint64_t before = in_use(&c);
    bool done = false;
    int failures = 0;
    for (uint64_t n = 1; !done; n++) {
        kn_error error = {0};
        kn_gpu_alloc_fail_after(c.g.gpu, n);
        bool ok = run(&c, &error);
        done = kn_gpu_alloc_fail_after(c.g.gpu, 0) > 0;
        failures += !ok;
        cr_assert_eq(in_use(&c), before, "allocation %d leaves something behind", (int)n);
        cr_assert(ok ? done : error.kind == KN_ERROR_MEMORY && !strchr(error.message, '\n'), "allocation %d: %s",
                  (int)n, error.message);
    }
    cr_assert_gt(failures, 8);
    cr_assert_arr_eq(c.rgb, c.expected, sizeof c.rgb);
    clip_close(&c);
}

Test(sampler_memory, host_allocations_fail) {
    clip c;
    clip_open(&c);
    uint64_t before = in_use(&c);
    bool done = false;
    for (uint64_t n = 1; !done; n += n < 20 ? 1 : n / 9) {
        kn_error error = {0};
        kn_alloc_fail_after(n);
        bool ok = run(&c, &error);
        done = kn_alloc_fail_after(0) > 0;
        cr_assert_eq(in_use(&c), before, "allocation %d leaves something behind", (int)n);
        cr_assert(ok ? memcmp(c.rgb, c.expected, sizeof c.rgb) == 0 : error.kind == KN_ERROR_MEMORY,
                  "allocation %d: %s", (int)n, error.message);
    }
    clip_close(&c);
}

/* Rigs of one, two and three cameras: some views have no neighbour on one side or on both. */
Test(sampler_memory, views_without_neighbours) {
    clip c;
    static const int patterns[][VIEWS][2] = {{{-1, -1}, {-1, -1}}, {{-1, 1}, {0, -1}}, {{1, -1}, {-1, -1}}};
    clip_open(&c);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        kn_sampler *sampler = NULL;
        kn_sampler_params params = params_of(FRAMES, WIDTH, HEIGHT);
        uint64_t bytes = 0;
        memcpy(params.neighbours, patterns[i], sizeof patterns[i]);
        kn_sample_input input = {.prompts = &prompt, .prompt_count = 1, .controls = {c.control}, .noise = c.noise};
        REQUIRE(&c.g, kn_sampler_bytes(c.model, &params, &bytes, &c.g.error));
        cr_assert_gt(bytes, 0);
        REQUIRE(&c.g, kn_sampler_create(&sampler, c.model, &params, &c.g.error));
        REQUIRE(&c.g, kn_sample(sampler, &input, c.rgb, &c.g.error));
        for (int k = 0; k < FLOATS; k++) cr_assert(c.rgb[k] >= 0 && c.rgb[k] <= 1);
        kn_sampler_destroy(&sampler);
    }
    clip_close(&c);
}
