/* A model that makes clips in latents and whose UNet also takes the means of a control's pictures, against diffusers
 * (training/golden_latent.py). */
#include "diffusion/sampling/sampler.h"
#include "tests/golden/golden.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VIEWS = 2, WIDTH = 24, HEIGHT = 16, FLOATS = VIEWS * 3 * WIDTH * HEIGHT };

static kn_sampler_params params_of(float guidance) {
    kn_sampler_params params = KN_SAMPLER_PARAMS_DEFAULT;
    params.frames = 1, params.views = VIEWS, params.width = WIDTH, params.height = HEIGHT;
    params.steps = 3, params.guidance = guidance;
    params.controls[0] = (kn_control_params){.name = "drive", .scale = 1};
    params.control_count = 1;
    return params;
}

static void check_clip(float guidance, float strength, const char *name) {
    golden g;
    kn_model *model;
    kn_sampler *sampler;
    float made[FLOATS];
    golden_init(&g, "latent");
    REQUIRE(&g, kn_model_load(&model, g.gpu, FOLDER "latent", NULL, &g.error));
    kn_sampler_params params = params_of(guidance);
    params.strength = strength;
    REQUIRE(&g, kn_sampler_create(&sampler, model, &params, &g.error));
    float *noise = golden_floats(&g, "noise"), *condition = golden_floats(&g, "condition");
    float *expected = golden_floats(&g, name), *init = golden_floats(&g, "init");
    const char *prompts[] = {"a red car at night", "fog"};
    kn_sample_input input = {.prompts = prompts,
                             .prompt_count = VIEWS,
                             .controls = {condition},
                             .noise = noise,
                             .init = init,
                             .init_stride = 3 * WIDTH * HEIGHT};
    REQUIRE(&g, kn_sample(sampler, &input, made, &g.error));
    golden_compare(made, expected, FLOATS, name, 1e-4);
    kn_free(noise);
    kn_free(condition);
    kn_free(expected);
    kn_free(init);
    kn_sampler_destroy(&sampler);
    params.control_count = 0;
    cr_assert_not(kn_sampler_create(&sampler, model, &params, &g.error), "the control is missing");
    cr_assert(strstr(g.error.message, "control 'drive'"), "%s", g.error.message);
    kn_model_destroy(&model);
    golden_finish(&g);
}

Test(latent, samples_a_clip) { check_clip(1, 1, "made"); }
Test(latent, samples_with_guidance) { check_clip(2, 1, "guided"); }
Test(latent, repaints_pictures) { check_clip(1, .4f, "repainted"); }

/* A UNet that takes the means of a control that is not there is refused by name. */
Test(latent, refuses_a_missing_control) {
    static const char *const parts[] = {"unet", "scheduler", "vae", "text_encoder", "tokenizer"};
    char folder[] = "/tmp/kinora-latent-XXXXXX", from[4200], to[4200];
    char *here = realpath(FOLDER "latent", NULL);
    cr_assert(here && mkdtemp(folder));
    for (size_t i = 0; i < KN_COUNT(parts); i++) {
        snprintf(from, sizeof from, "%s/%s", here, parts[i]);
        snprintf(to, sizeof to, "%s/%s", folder, parts[i]);
        cr_assert_eq(symlink(from, to), 0);
    }
    golden g;
    kn_model *model;
    golden_init(&g, "latent");
    cr_assert_not(kn_model_load(&model, g.gpu, folder, NULL, &g.error));
    cr_assert(strstr(g.error.message, "no ControlNet 'drive'"), "%s", g.error.message);
    golden_finish(&g);
    free(here);
    snprintf(to, sizeof to, "rm -rf %s", folder);
    cr_assert_eq(system(to), 0);
}
