/* A whole model folder in kinora-nano's shape, through the public API, against training/golden.py. */
#include "diffusion/sampling/sampler.h"
#include "tests/golden/golden.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FRAMES = 3, VIEWS = 2, WIDTH = 20, HEIGHT = 12, N = FRAMES * VIEWS, FLOATS = N * 3 * WIDTH * HEIGHT };

typedef struct clip {
    golden g;
    kn_model *model;
    kn_sampler *sampler;
    float *noise, *control, rgb[FLOATS];
    kn_sample_input input;
} clip;

static const char *const prompts[N] = {"a car, at dusk",    "A car,  at dusk",   "rain on the road!",
                                       "rain on the road!", "rain on the road!", "rain on the road!"};

static kn_sampler_params params_of(float guidance) {
    kn_sampler_params params = KN_SAMPLER_PARAMS_DEFAULT;
    params.frames = FRAMES, params.views = VIEWS, params.width = WIDTH, params.height = HEIGHT;
    params.steps = 3, params.guidance = guidance;
    params.controls[0] = (kn_control_params){.name = "drive", .scale = 0.8f};
    params.control_count = 1;
    params.neighbours[0][0] = params.neighbours[0][1] = 1;
    return params;
}

static void clip_open(clip *c, float guidance) {
    memset(c, 0, sizeof *c);
    golden_init(&c->g, "model");
    REQUIRE(&c->g, kn_model_load(&c->model, c->g.gpu, FOLDER "model", NULL, &c->g.error));
    kn_sampler_params params = params_of(guidance);
    REQUIRE(&c->g, kn_sampler_create(&c->sampler, c->model, &params, &c->g.error));
    c->noise = golden_floats(&c->g, "noise");
    c->control = golden_floats(&c->g, "control");
    c->input = (kn_sample_input){.prompts = prompts, .prompt_count = N, .controls = {c->control}, .noise = c->noise};
}

static void clip_close(clip *c) {
    kn_free(c->noise);
    kn_free(c->control);
    kn_sampler_destroy(&c->sampler);
    kn_model_destroy(&c->model);
    golden_finish(&c->g);
}

static void expect_clip(clip *c, const char *name) {
    float *expected = golden_floats(&c->g, name);
    golden_compare(c->rgb, expected, FLOATS, name, 1e-4);
    kn_free(expected);
}

static bool count_steps(void *user, const char *stage, uint64_t done, uint64_t total) {
    cr_assert_str_eq(stage, "denoise");
    cr_assert_eq(total, 3);
    cr_assert_eq(done, (uint64_t)++ * (int *)user);
    return true;
}

Test(model, samples_a_clip) {
    clip c;
    int steps = 0;
    clip_open(&c, 1);
    c.input.progress = count_steps;
    c.input.progress_user = &steps;
    REQUIRE(&c.g, kn_sample(c.sampler, &c.input, c.rgb, &c.g.error));
    cr_assert_eq(steps, 3);
    expect_clip(&c, "plain");
    /* one prompt for all changes which context a picture reads; then back: nothing of the first clip is left */
    c.input.progress = NULL;
    c.input.prompt_count = 1;
    REQUIRE(&c.g, kn_sample(c.sampler, &c.input, c.rgb, &c.g.error));
    expect_clip(&c, "one");
    c.input.prompt_count = N;
    float first[FLOATS];
    REQUIRE(&c.g, kn_sample(c.sampler, &c.input, first, &c.g.error));
    REQUIRE(&c.g, kn_sample(c.sampler, &c.input, c.rgb, &c.g.error));
    expect_clip(&c, "plain");
    cr_assert_arr_eq(first, c.rgb, sizeof first, "the same clip twice differs");
    uint8_t bytes[FLOATS];
    REQUIRE(&c.g, kn_sample_u8(c.sampler, &c.input, bytes, &c.g.error));
    for (int i = 0; i < FLOATS; i++) cr_assert(abs((int)bytes[i] - (int)(c.rgb[i] * 255 + 0.5f)) <= 1);
    clip_close(&c);
}

/* Texts that the context holds are not encoded again: another context in their place stays, until a text or the weights
 * change. */
Test(model, encodes_a_text_once) {
    clip c;
    clip_open(&c, 1);
    REQUIRE(&c.g, kn_sample(c.sampler, &c.input, c.rgb, &c.g.error));
    kn_tensor *context = &c.sampler->context;
    size_t count = (size_t)context->n * context->w * context->c;
    float *zeros = calloc(count, sizeof *zeros), *now = calloc(count, sizeof *now), sum = 0;
    REQUIRE(&c.g, kn_tensor_upload(context, zeros, &c.g.error));
    REQUIRE(&c.g, kn_sampler_set_prompts(c.sampler, &c.input, &c.g.error));
    REQUIRE(&c.g, kn_tensor_download(context, now, &c.g.error));
    for (size_t i = 0; i < count; i++) sum += now[i] * now[i];
    cr_assert_eq(sum, 0, "encoded again");
    c.model->revision++;
    REQUIRE(&c.g, kn_sample(c.sampler, &c.input, c.rgb, &c.g.error));
    expect_clip(&c, "plain");
    free(zeros), free(now);
    clip_close(&c);
}

Test(model, samples_with_guidance) {
    clip c;
    clip_open(&c, 2.5f);
    c.input.negative_prompt = "a bus";
    REQUIRE(&c.g, kn_sample(c.sampler, &c.input, c.rgb, &c.g.error));
    expect_clip(&c, "guided");
    clip_close(&c);
}

Test(model, tells_what_it_is) {
    golden g;
    kn_model *model;
    golden_init(&g, "model");
    REQUIRE(&g, kn_model_load(&model, g.gpu, FOLDER "model", NULL, &g.error));
    const kn_model_info *info = kn_model_get_info(model);
    cr_assert(info->text && info->multi_view && info->temporal && info->pixel_noise);
    cr_assert_eq(info->max_frames, 4);
    cr_assert_eq(info->latent_factor, 2);
    cr_assert_eq(info->latent_channels, 12);
    cr_assert_eq(info->control_count, 1);
    cr_assert_str_eq(info->control_names[0], "drive");
    cr_assert_eq(info->control_channels[0], 5);
    cr_assert(info->parameters > 10000);
    kn_model_destroy(&model);
    golden_finish(&g);
}

static void refuse_sampler(clip *c, const kn_sampler_params *params, const char *expected) {
    kn_sampler *sampler;
    cr_assert_not(kn_sampler_create(&sampler, c->model, params, &c->g.error), "accepted: %s", expected);
    cr_assert_null(sampler);
    cr_assert(strstr(c->g.error.message, expected), "'%s' lacks '%s'", c->g.error.message, expected);
}

#define REFUSE(change, expected)                 \
    do {                                         \
        kn_sampler_params params = params_of(1); \
        change;                                  \
        refuse_sampler(&c, &params, expected);   \
    } while (0)

Test(model, refuses_wrong_use) {
    clip c;
    clip_open(&c, 1);
    REFUSE(params.frames = 0, "0 frames");
    REFUSE(params.frames = 5, "5 frames at once");
    REFUSE(params.views = 17, "17 views");
    REFUSE(params.width = 21, "21 x 12 pixels");
    REFUSE(params.steps = 0, "0 denoising steps");
    REFUSE(params.steps = 1001, "1001 denoising steps");
    REFUSE(params.guidance = -1, "guidance -1");
    REFUSE(params.controls[0].name = "style", "no ControlNet called 'style'");
    REFUSE(params.neighbours[1][1] = 2, "view 1 has neighbour 2");
    REFUSE(params.method = KN_METHOD_DDIM, "flow matching");
    c.input.prompt_count = 2;
    cr_assert_not(kn_sample(c.sampler, &c.input, c.rgb, &c.g.error));
    cr_assert(strstr(c.g.error.message, "2 prompts"), "%s", c.g.error.message);
    c.input.prompt_count = N;
    c.noise[100] = 1e38f * 10;
    cr_assert_not(kn_sample(c.sampler, &c.input, c.rgb, &c.g.error));
    cr_assert(strstr(c.g.error.message, "not finite"), "%s", c.g.error.message);
    c.noise[100] = 0;
    REQUIRE(&c.g, kn_sample(c.sampler, &c.input, c.rgb, &c.g.error));
    clip_close(&c);
}

Test(model, failing_allocations) {
    golden g;
    golden_init(&g, "model");
    bool loaded = false;
    for (uint64_t n = 1; !loaded && n < 100000; n += n < 10 ? 1 : n / 3) {
        kn_model *model;
        kn_alloc_fail_after(n);
        loaded = kn_model_load(&model, g.gpu, FOLDER "model", NULL, &g.error);
        kn_alloc_fail_after(0);
        cr_assert(loaded || model == NULL);
        if (!loaded) cr_assert_eq(g.error.kind, KN_ERROR_MEMORY, "allocation %d: %s", (int)n, g.error.message);
        kn_model_destroy(&model);
    }
    cr_assert(loaded);
    golden_finish(&g);
}

/* The golden model with another schedule in `folder` (made from a mkdtemp template). */
static void clone_with_schedule(char *folder, const char *schedule) {
    static const char *const parts[] = {"unet", "controlnet-drive", "text_encoder", "tokenizer", "vae"};
    char *here = realpath(FOLDER "model", NULL), from[4200], to[4200];
    cr_assert(here && mkdtemp(folder));
    for (size_t i = 0; i < KN_COUNT(parts); i++) {
        snprintf(from, sizeof from, "%s/%s", here, parts[i]);
        snprintf(to, sizeof to, "%s/%s", folder, parts[i]);
        cr_assert_eq(symlink(from, to), 0);
    }
    snprintf(to, sizeof to, "%s/scheduler", folder);
    cr_assert(kn_make_directories(to, NULL));
    snprintf(to, sizeof to, "%s/scheduler/scheduler_config.json", folder);
    cr_assert(kn_file_write(to, schedule, strlen(schedule), NULL));
    free(here);
}

/* A residual model's pictures are the control colours plus what the plain model makes of the scaled noise. */
Test(model, residuals_add_to_the_control_colours) {
    char folder[] = "/tmp/kinora-residual-XXXXXX";
    clone_with_schedule(
        folder, "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"num_train_timesteps\": 1000, \"shift\": 2.0,"
                "\"prediction_type\": \"sample\", \"timestep_spacing\": \"trailing\", \"num_inference_steps\": 5,"
                "\"residual_control\": \"drive\", \"residual_noise\": 0.25}");
    clip c;
    clip_open(&c, 1);
    for (int i = 0; i < FLOATS; i++) c.noise[i] *= 0.25f;
    REQUIRE(&c.g, kn_sample(c.sampler, &c.input, c.rgb, &c.g.error));
    kn_model *model;
    kn_sampler *sampler;
    kn_sampler_params params = params_of(1);
    REQUIRE(&c.g, kn_model_load(&model, c.g.gpu, folder, NULL, &c.g.error));
    cr_assert_eq(kn_model_get_info(model)->default_steps, 5);
    REQUIRE(&c.g, kn_sampler_create(&sampler, model, &params, &c.g.error));
    for (int i = 0; i < FLOATS; i++) c.noise[i] *= 4;
    float made[FLOATS];
    REQUIRE(&c.g, kn_sample(sampler, &c.input, made, &c.g.error));
    int compared = 0;
    for (int i = 0; i < FLOATS; i++) {
        int pixel = i % (WIDTH * HEIGHT), plane = i / (WIDTH * HEIGHT) % 3, picture = i / (3 * WIDTH * HEIGHT);
        float base = c.control[(picture * 5 + plane) * WIDTH * HEIGHT + pixel], expected = c.rgb[i] - 0.5f + base;
        if (c.rgb[i] <= 0 || c.rgb[i] >= 1 || expected <= 0 || expected >= 1) continue;
        cr_assert_float_eq(made[i], expected, 1e-4, "%d: %f, expected %f", i, (double)made[i], (double)expected);
        compared++;
    }
    cr_assert_gt(compared, FLOATS / 10);
    c.input.controls[0] = NULL;
    cr_assert_not(kn_sample(sampler, &c.input, made, &c.g.error));
    kn_sampler_destroy(&sampler);
    params.control_count = 0;
    cr_assert_not(kn_sampler_create(&sampler, model, &params, &c.g.error), "the control is missing");
    kn_model_destroy(&model);
    clip_close(&c);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}
