/* Networks that come and go: the same pictures whatever the budget, and every allocation of device memory failing in
 * turn. */
#include "diffusion/sampling/paint.h"
#include "tests/golden/golden.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 40, HEIGHT = 24, FLOATS = 3 * WIDTH * HEIGHT, RESERVE = 16 << 20 };

#define SD FOLDER "paint/sd"

typedef struct scene {
    golden g;
    kn_paint_params params;
    float *init, *edges, expected[FLOATS], rgb[FLOATS];
} scene;

static kn_model_params params_of(kn_residency residency) {
    kn_model_params params = KN_MODEL_PARAMS_DEFAULT;
    params.residency = residency;
    return params;
}

/* Loads the model and paints; everything is gone again after. */
static bool run(scene *s, kn_residency residency, kn_error *error) {
    kn_model *model = NULL;
    kn_model_params params = params_of(residency);
    bool ok = kn_model_load(&model, s->g.gpu, SD, &params, error) && kn_paint(model, &s->params, s->rgb, error);
    kn_model_destroy(&model);
    return ok;
}

/* A picture from a picture, steered by a ControlNet, with guidance: every network takes part. */
static void scene_open(scene *s, bool validation) {
    memset(s, 0, sizeof *s);
    golden_init(&s->g, "paint");
    if (!validation) { /* for tests that run hundreds of times what others run with it */
        kn_graph_destroy(&s->g.graph);
        kn_gpu_destroy(&s->g.gpu);
        REQUIRE(&s->g, kn_gpu_create(&s->g.gpu, &KN_GPU_PARAMS_DEFAULT, &s->g.error));
    }
    s->init = golden_floats(&s->g, "init");
    s->edges = golden_floats(&s->g, "edges");
    s->params = KN_PAINT_PARAMS_DEFAULT;
    s->params.width = WIDTH, s->params.height = HEIGHT, s->params.steps = 2, s->params.guidance = 2,
    s->params.prompt = "a red car";
    s->params.init = s->init, s->params.strength = 1;
    s->params.controls[0] =
        (kn_paint_control){"canny", s->edges, 1, 0, 0.5f}; /* the second step is recorded without it */
    s->params.control_count = 1;
    REQUIRE(&s->g, run(s, KN_RESIDENCY_ALL, &s->g.error));
    memcpy(s->expected, s->rgb, sizeof s->expected);
}

static void scene_close(scene *s) {
    kn_free(s->init);
    kn_free(s->edges);
    golden_finish(&s->g);
}

static uint64_t in_use(const golden *g) {
    uint64_t now, peak;
    kn_gpu_memory_use(g->gpu, &now, &peak);
    return now;
}

Test(memory, one_network_at_a_time) {
    scene s;
    scene_open(&s, true);
    kn_model *one;
    kn_model_params params = params_of(KN_RESIDENCY_ONE);
    REQUIRE(&s.g, kn_model_load(&one, s.g.gpu, SD, &params, &s.g.error));
    uint64_t loaded = in_use(&s.g);
    for (int i = 0; i < 2; i++) { /* the networks come again for the next picture */
        memset(s.rgb, 0, sizeof s.rgb);
        REQUIRE(&s.g, kn_paint(one, &s.params, s.rgb, &s.g.error));
        cr_assert_arr_eq(s.rgb, s.expected, sizeof s.expected);
        cr_assert_eq(in_use(&s.g), loaded);
        cr_assert_gt(kn_layers_missing_bytes(&one->unet.layers), 100000);
        cr_assert_gt(kn_layers_missing_bytes(&one->text_encoder.layers), 10000);
        cr_assert_gt(kn_layers_missing_bytes(&one->autoencoder.layers), 10000);
    }
    kn_model_destroy(&one);
    scene_close(&s);
}

/* The plan for what `s` paints. */
static kn_paint_plan plan_of(scene *s, kn_model *model) {
    kn_paint_plan plan;
    int tokens;
    REQUIRE(&s->g, kn_paint_prompt_tokens(model, &s->params, 2, &tokens, &s->g.error));
    REQUIRE(&s->g, kn_paint_plan_make(&plan, model, &s->params, 2, tokens, &s->g.error));
    return plan;
}

static void paint_within(scene *s, kn_model *model, uint64_t max_memory, bool streams) {
    s->params.max_memory = max_memory;
    kn_paint_plan plan = plan_of(s, model);
    cr_assert_eq(plan.streams, streams);
    cr_assert_leq(plan.peak, plan.free);
    memset(s->rgb, 0, sizeof s->rgb);
    REQUIRE(&s->g, kn_paint(model, &s->params, s->rgb, &s->g.error));
    cr_assert_arr_eq(s->rgb, s->expected, sizeof s->expected, "budget %llu", (unsigned long long)max_memory);
}

/* Weights that stay and weights that pass through, in every proportion: the same bytes. */
Test(memory, weights_pass_through) {
    scene s;
    scene_open(&s, true);
    kn_model *model;
    kn_model_params params = params_of(KN_RESIDENCY_ONE);
    REQUIRE(&s.g, kn_model_load(&model, s.g.gpu, SD, &params, &s.g.error));
    kn_paint_plan plan = plan_of(&s, model);
    uint64_t beside = in_use(&s.g) + plan.state + plan.activations + RESERVE;
    cr_assert(!plan.streams && plan.weights > 0 && plan.encodes && plan.text > 0);
    paint_within(&s, model, beside + plan.weights, false);
    paint_within(&s, model, beside + plan.weights - 1, true);
    paint_within(&s, model, beside + plan.weights / 2, true);
    paint_within(&s, model, beside + plan.weights / 3, true);
    s.params.max_memory = beside;
    cr_assert_not(kn_paint(model, &s.params, s.rgb, &s.g.error));
    cr_assert_eq(s.g.error.kind, KN_ERROR_MEMORY);
    cr_assert_not_null(strstr(s.g.error.message, "MiB of device memory"), "%s", s.g.error.message);
    kn_model_destroy(&model);
    scene_close(&s);
}

Test(memory, streamer_runs_in_pieces) {
    scene s;
    scene_open(&s, true);
    kn_model *model;
    kn_model_params params = params_of(KN_RESIDENCY_ONE);
    REQUIRE(&s.g, kn_model_load(&model, s.g.gpu, SD, &params, &s.g.error));
    kn_paint_plan plan = plan_of(&s, model);
    kn_paint_network network;
    plan.streams = true, plan.stay = plan.weights / 4, plan.window = 1; /* every other weight alone */
    REQUIRE(&s.g, kn_paint_network_init(&network, model, &s.params, &plan, 2, &s.g.error));
    uint64_t before = in_use(&s.g);
    size_t in = (size_t)network.batch * network.input.c * network.height * network.width,
           out = (size_t)network.batch * model->info.latent_channels * network.height * network.width;
    float *input = kn_alloc(in, sizeof *input, NULL), *outputs[3];
    for (size_t i = 0; i < in; i++) input[i] = sinf((float)i);
    for (int i = 0; i < 3; i++) {
        outputs[i] = kn_alloc(out, sizeof **outputs, NULL);
        REQUIRE(&s.g, kn_paint_network_run(&network, input, 500, 1, outputs[i], &s.g.error));
        cr_assert_arr_eq(outputs[i], outputs[0], out * sizeof **outputs);
    }
    cr_assert_gt(network.streamer.flushes, 100);
    cr_assert_lt(in_use(&s.g) - before, plan.activations + plan.weights);
    for (int i = 0; i < 3; i++) kn_free(outputs[i]);
    kn_free(input);
    kn_paint_network_finish(&network);
    kn_model_destroy(&model);
    scene_close(&s);
}

/* --- running out ------------------------------------------------------------------------------ */

static double difference(const scene *s) {
    double sum = 0, all = 0;
    for (int i = 0; i < FLOATS; i++) {
        sum += pow((double)s->rgb[i] - (double)s->expected[i], 2);
        all += pow((double)s->expected[i] - 0.5, 2);
    }
    return sqrt(sum / all);
}

/* Each allocation of device memory fails once while the model is loaded, a picture encoded, denoised and decoded: that
 * is an error of one line with nothing left behind, or a smaller plan that gives the picture (in tiles: nearly). */
static void fail_each(kn_residency residency) {
    scene s;
    scene_open(&s, false);
    uint64_t before = in_use(&s.g);
    int failures = 0, survived = 0;
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        kn_error error = {0};
        memset(s.rgb, 0, sizeof s.rgb);
        kn_gpu_alloc_fail_after(s.g.gpu, n);
        bool ok = run(&s, residency, &error);
        done = kn_gpu_alloc_fail_after(s.g.gpu, 0) > 0;
        cr_assert_eq(in_use(&s.g), before, "allocation %d leaves something behind", (int)n);
        if (ok) {
            cr_assert_lt(difference(&s), done ? 1e-9 : 0.3, "allocation %d: another picture", (int)n);
            survived += !done;
            continue;
        }
        failures++;
        cr_assert_eq(error.kind, KN_ERROR_MEMORY, "allocation %d: %s", (int)n, error.message);
        cr_assert(strstr(error.message, "memory ran out") && !strchr(error.message, '\n'), "allocation %d: %s", (int)n,
                  error.message);
    }
    cr_assert_gt(failures, 100);
    cr_assert(residency == KN_RESIDENCY_ALL || survived > 50);
    scene_close(&s);
}

Test(memory, each_device_allocation_fails) { fail_each(KN_RESIDENCY_ALL); }

Test(memory, each_device_allocation_fails_with_one_network) { fail_each(KN_RESIDENCY_ONE); }

/* Memory of the host: a sample of the thousands of allocations. */
Test(memory, host_allocations_fail_with_one_network) {
    scene s;
    scene_open(&s, false);
    uint64_t before = in_use(&s.g);
    bool done = false;
    for (uint64_t n = 1; !done; n += n < 20 ? 1 : n / 9) {
        kn_error error = {0};
        memset(s.rgb, 0, sizeof s.rgb);
        kn_alloc_fail_after(n);
        bool ok = run(&s, KN_RESIDENCY_ONE, &error);
        done = kn_alloc_fail_after(0) > 0;
        cr_assert_eq(in_use(&s.g), before, "allocation %d leaves something behind", (int)n);
        cr_assert(ok ? difference(&s) < (done ? 1e-9 : 0.3)
                     : error.kind == KN_ERROR_MEMORY && !strchr(error.message, '\n'),
                  "allocation %d: %s", (int)n, error.message);
    }
    scene_close(&s);
}

/* The same while weights pass through. */
Test(memory, each_device_allocation_fails_while_streaming) {
    scene s;
    scene_open(&s, false);
    kn_model *model;
    kn_model_params params = params_of(KN_RESIDENCY_ONE);
    REQUIRE(&s.g, kn_model_load(&model, s.g.gpu, SD, &params, &s.g.error));
    kn_paint_plan plan = plan_of(&s, model);
    s.params.max_memory = in_use(&s.g) + plan.state + plan.activations + RESERVE + plan.weights / 3;
    uint64_t before = in_use(&s.g);
    bool done = false;
    for (uint64_t n = 1; !done; n += 7) {
        kn_error error = {0};
        kn_gpu_alloc_fail_after(s.g.gpu, n);
        bool ok = kn_paint(model, &s.params, s.rgb, &error);
        done = kn_gpu_alloc_fail_after(s.g.gpu, 0) > 0;
        cr_assert_eq(in_use(&s.g), before, "allocation %d leaves something behind", (int)n);
        cr_assert(ok ? difference(&s) < 0.3 : error.kind == KN_ERROR_MEMORY, "allocation %d: %s", (int)n,
                  error.message);
    }
    cr_assert_lt(difference(&s), 1e-9);
    kn_model_destroy(&model);
    scene_close(&s);
}
