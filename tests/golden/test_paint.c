/* Whole pictures by kn_paint with a tiny Stable Diffusion model, against diffusers' pipelines
 * (training/golden_paint.py). */
#include "diffusion/text/prompt.h"
#include "kinora/paint.h"
#include "tests/golden/golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 40, HEIGHT = 24, AREA = WIDTH * HEIGHT, FLOATS = 3 * AREA };

typedef struct scene {
    golden g;
    kn_model *model;
    kn_paint_params params;
    float *init, *mask, *edges, *depth, rgb[2 * FLOATS];
} scene;

static void scene_open(scene *s, const char *folder) {
    memset(s, 0, sizeof *s);
    golden_init(&s->g, "paint");
    REQUIRE(&s->g, kn_model_load(&s->model, s->g.gpu, folder, NULL, &s->g.error));
    s->init = golden_floats(&s->g, "init");
    s->mask = golden_floats(&s->g, "mask");
    s->edges = golden_floats(&s->g, "edges");
    s->depth = golden_floats(&s->g, "depth");
    s->params = KN_PAINT_PARAMS_DEFAULT;
    s->params.width = WIDTH, s->params.height = HEIGHT;
    s->params.guidance = 2;
}

static void scene_close(scene *s) {
    kn_free(s->init);
    kn_free(s->mask);
    kn_free(s->edges);
    kn_free(s->depth);
    kn_model_destroy(&s->model);
    golden_finish(&s->g);
}

static void paint(scene *s) { REQUIRE(&s->g, kn_paint(s->model, &s->params, s->rgb, &s->g.error)); }

static void expect(scene *s, const char *name) {
    paint(s);
    float *expected = golden_floats(&s->g, name);
    golden_compare(s->rgb, expected, (size_t)s->params.batch * FLOATS, name, 2e-4);
    kn_free(expected);
}

#define SD FOLDER "paint/sd"

/* A prompt, a negative prompt and seeds are all that diffusers was given. */
Test(paint, same_seed_same_picture) {
    scene s;
    scene_open(&s, SD);
    s.params.prompt = "a red car in the rain, at night", s.params.negative = "fog";
    s.params.guidance = 3, s.params.method = KN_METHOD_EULER, s.params.steps = 4, s.params.seed = 7, s.params.batch = 2;
    expect(&s, "seeds");
    scene_close(&s);
}

/* Weighted prompt, guidance, a batch in one pass; and the same noise for picture 1 alone. */
Test(paint, weights_and_batch) {
    scene s;
    scene_open(&s, SD);
    s.params.prompt = "a (red car:1.3) in the ((rain)) [town]", s.params.negative = "fog";
    s.params.guidance = 3, s.params.method = KN_METHOD_EULER, s.params.steps = 4, s.params.seed = 7, s.params.batch = 2;
    expect(&s, "weights");
    float second[FLOATS];
    memcpy(second, s.rgb + FLOATS, sizeof second);
    s.params.seed = 8, s.params.batch = 1;
    paint(&s);
    golden_compare(s.rgb, second, FLOATS, "alone", 1e-5);
    s.params.emphasis = KN_EMPHASIS_COMFY;
    paint(&s);
    float comfy[FLOATS], difference = 0;
    memcpy(comfy, s.rgb, sizeof comfy);
    for (int i = 0; i < FLOATS; i++) difference = fmaxf(difference, fabsf(comfy[i] - second[i]));
    cr_assert_gt(difference, 1e-3f);
    scene_close(&s);
}

Test(paint, fresh_noise_of_every_picture) {
    scene s;
    scene_open(&s, SD);
    s.params.prompt = "a wet road", s.params.guidance = 1, s.params.method = KN_METHOD_EULER_ANCESTRAL,
    s.params.steps = 4, s.params.seed = 3, s.params.batch = 2;
    expect(&s, "ancestral");
    s.params.cuda_noise = true;
    float first[2 * FLOATS];
    memcpy(first, s.rgb, sizeof first);
    paint(&s);
    cr_assert(memcmp(first, s.rgb, sizeof first) != 0, "both generators give the same noise");
    scene_close(&s);
}

/* Three chunks against two: both are repeated to six, which attention does not see. */
Test(paint, chunks) {
    scene s;
    scene_open(&s, SD);
    s.params.prompt = "a car BREAK three lanes in fog BREAK (the town:1.2)", s.params.negative = "a bus BREAK night";
    s.params.guidance = 2.5f, s.params.method = KN_METHOD_DPM_SOLVER_2M, s.params.steps = 5, s.params.seed = 11;
    expect(&s, "chunks");
    scene_close(&s);
}

Test(paint, image_to_image) {
    scene s;
    scene_open(&s, SD);
    s.params.prompt = "the street", s.params.method = KN_METHOD_DDIM, s.params.steps = 6, s.params.seed = 5,
    s.params.init = s.init, s.params.strength = 0.5f;
    expect(&s, "image");
    s.params.strength = 0;
    expect(&s, "through");
    scene_close(&s);
}

Test(paint, mask) {
    scene s;
    scene_open(&s, SD);
    s.params.prompt = "a truck", s.params.method = KN_METHOD_DDIM, s.params.steps = 5, s.params.seed = 6,
    s.params.init = s.init, s.params.mask = s.mask, s.params.strength = 1;
    expect(&s, "masked");
    /* a black mask keeps every latent: the picture through the autoencoder */
    memset(s.mask, 0, AREA * sizeof *s.mask);
    expect(&s, "through");
    scene_close(&s);
}

/* The tiny model with the inpainting UNet in place of its own; `folder` is a mkdtemp template. */
static void make_inpainting(char *folder) {
    static const char *const parts[][2] = {{"unet", "-inpaint/unet"},
                                           {"controlnet-canny", "/controlnet-canny"},
                                           {"text_encoder", "/text_encoder"},
                                           {"tokenizer", "/tokenizer"},
                                           {"vae", "/vae"},
                                           {"scheduler", "/scheduler"}};
    char *here = realpath(SD, NULL);
    cr_assert(here && mkdtemp(folder));
    for (size_t i = 0; i < KN_COUNT(parts); i++) {
        kn_name link = kn_name_of("%s/%s", folder, parts[i][0]);
        char *target = kn_format(NULL, "%s%s", here, parts[i][1]);
        cr_assert_eq(symlink(target, link.text), 0);
        kn_free(target);
    }
    free(here);
}

static void remove_links(const char *folder) {
    static const char *const parts[] = {"unet", "controlnet-canny", "text_encoder", "tokenizer", "vae", "scheduler"};
    for (size_t i = 0; i < KN_COUNT(parts); i++) {
        kn_name link = kn_name_of("%s/%s", folder, parts[i]);
        unlink(link.text);
    }
    rmdir(folder);
}

Test(paint, inpainting_model) {
    char folder[] = "/tmp/kinora-paint-XXXXXX";
    make_inpainting(folder);
    scene s;
    scene_open(&s, folder);
    cr_assert(kn_model_get_info(s.model)->inpaints);
    s.params.prompt = "a truck", s.params.method = KN_METHOD_EULER, s.params.steps = 4, s.params.seed = 8,
    s.params.init = s.init, s.params.mask = s.mask, s.params.strength = 1;
    expect(&s, "inpainted");
    s.params.controls[0] =
        (kn_paint_control){"canny", s.edges, 0.8f, 0, 0.5f}; /* the branch sees the latent without the mask */
    s.params.control_count = 1;
    expect(&s, "inpainted_control");
    scene_close(&s);
    remove_links(folder);
}

Test(paint, two_controls) {
    scene s;
    scene_open(&s, SD);
    s.params.prompt = "houses", s.params.method = KN_METHOD_UNIPC, s.params.steps = 6, s.params.seed = 9;
    s.params.controls[0] = (kn_paint_control){"canny", s.edges, 1, 0, 1};
    s.params.controls[1] = (kn_paint_control){"depth", s.depth, 0.6f, 0.5f, 1};
    s.params.control_count = 2;
    expect(&s, "controls");
    scene_close(&s);
}

Test(paint, clip_skip) {
    scene s;
    scene_open(&s, SD);
    s.params.prompt = "houses", s.params.guidance = 0, s.params.method = KN_METHOD_HEUN, s.params.steps = 2,
    s.params.seed = 12, s.params.clip_skip = 2;
    expect(&s, "skip");
    scene_close(&s);
}

static void refuse(scene *s, const kn_paint_params *params, const char *expected) {
    cr_assert_not(kn_paint(s->model, params, s->rgb, &s->g.error), "accepted: %s", expected);
    cr_assert(strstr(s->g.error.message, expected), "'%s' lacks '%s'", s->g.error.message, expected);
}

#define REFUSE(change, expected)           \
    do {                                   \
        kn_paint_params params = s.params; \
        change;                            \
        refuse(&s, &params, expected);     \
    } while (0)

static bool stop(void *user, const char *stage, uint64_t done, uint64_t total) { return done < 2; }

Test(paint, refuses_wrong_use) {
    scene s;
    scene_open(&s, SD);
    s.params.steps = 3;
    REFUSE(params.width = 50, "50 x 24 pixels");
    REFUSE(params.batch = 0, "a batch of 0");
    REFUSE(params.batch = 65, "a batch of 65");
    REFUSE(params.guidance = NAN, "guidance nan");
    REFUSE(params.strength = 1.5f, "strength 1.5");
    REFUSE(params.eta = 2, "eta 2");
    REFUSE(params.mask = s.mask, "a mask needs");
    REFUSE(params.steps = 1001, "1001 denoising steps");
    REFUSE(params.clip_skip = 4, "clip skip 4: expected 1 to 3");
    REFUSE(params.prompt = "(a:1.2.3)", "'1.2.3' is no weight");
    REFUSE(params.method = KN_METHOD_FLOW_EULER, "does not fit");
    REFUSE(params.control_count = 1, "has no ControlNet called ''");
    REFUSE((params.control_count = 1, params.controls[0] = (kn_paint_control){"canny", NULL, 1, 0, 1}),
           "'canny' has no picture");
    REFUSE((params.control_count = 1, params.controls[0] = (kn_paint_control){"canny", s.edges, 1, 0.6f, 0.5f}),
           "start <= end");
    REFUSE(params.progress = stop, "cancelled after 2 of 3");
    char *lengthy = kn_alloc(KN_PROMPT_LIMIT + 2, 1, &s.g.error);
    memset(lengthy, 'a', KN_PROMPT_LIMIT + 1);
    REFUSE(params.prompt = lengthy, "longer than 4096");
    kn_free(lengthy);
    scene_close(&s);
}

Test(paint, failing_allocations) {
    scene s;
    scene_open(&s, SD);
    s.params.prompt = "(a:1.1)", s.params.steps = 1, s.params.init = s.init, s.params.mask = s.mask,
    s.params.width = s.params.height = 8;
    bool done = false;
    for (uint64_t n = 1; !done && n < 100000; n += n < 30 ? 1 : n / 6) {
        kn_alloc_fail_after(n);
        bool ok = kn_paint(s.model, &s.params, s.rgb, &s.g.error);
        done = kn_alloc_fail_after(0) > 0;
        cr_assert(ok || (!done && s.g.error.kind == KN_ERROR_MEMORY), "allocation %d: %s", (int)n, s.g.error.message);
    }
    cr_assert(done);
    scene_close(&s);
}

/* --- prompts ---------------------------------------------------------------------------------- */

/* The weights of the tokens of a prompt, one letter each, as "1.1 1.21 | 0.9": | ends a chunk. */
static void expect_weights(const kn_tokenizer *tokenizer, const char *text, const char *expected) {
    kn_error error = {0};
    kn_prompt prompt;
    char made[400] = "";
    cr_assert(kn_prompt_init(&prompt, tokenizer, text, true, 77, &error), "%s: %s", text, error.message);
    int end = prompt.ids[76];
    for (int chunk = 0; chunk < prompt.chunks; chunk++)
        for (int i = 1; i < 77; i++) {
            size_t length = strlen(made);
            if (prompt.ids[chunk * 77 + i] == end) {
                snprintf(made + length, sizeof made - length, "%s", chunk + 1 < prompt.chunks ? "| " : "");
                break;
            }
            snprintf(made + length, sizeof made - length, "%.4g ", (double)prompt.weights[chunk * 77 + i]);
        }
    cr_assert_str_eq(made, expected, "%s: %s, expected %s", text, made, expected);
    kn_prompt_finish(&prompt);
}

Test(prompt, weights) {
    kn_error error;
    kn_tokenizer *tokenizer;
    cr_assert(kn_tokenizer_load(&tokenizer, SD "/tokenizer", &error), "%s", error.message);
    static const char *const cases[][2] = {{"", ""},
                                           {"a", "1 "},
                                           {"(a)", "1.1 "},
                                           {"((a))", "1.21 "},
                                           {"[a]", "0.9091 "},
                                           {"(a:1.5) b", "1.5 1 "},
                                           {"(a:  .5 ) b", "0.5 1 "},
                                           {"(a:-1)", "-1 "},
                                           {"a (b [c] d:2) e", "1 2 1.818 2 1 "},
                                           {"\\(a\\)", "1 1 1 "},
                                           {"(a", "1.1 "},
                                           {"a)", "1 1 "},
                                           {"a:1.2)", "1 1 1 1 1 1 "},
                                           {"[a:1.2 b]", "0.9091 0.9091 0.9091 0.9091 0.9091 0.9091 "},
                                           {"((a:1.2) b)", "1.32 1.1 "},
                                           {"a BREAK b", "1 | 1 "},
                                           {"(a BREAK b:1.2)", "1.2 | 1.2 "},
                                           {"BREAK a", "| 1 "},
                                           {"a BREAK BREAK b", "1 | | 1 "},
                                           {"a BREAK", "1 "},
                                           {"aBREAK", "1 1 1 1 1 1 "},
                                           {"a \\", "1 "},
                                           {"()", ""}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) expect_weights(tokenizer, cases[i][0], cases[i][1]);
    kn_prompt prompt;
    cr_assert_not(kn_prompt_init(&prompt, tokenizer, "(a:101)", true, 77, &error));
    kn_prompt_finish(&prompt);
    cr_assert(kn_prompt_init(&prompt, tokenizer, "(a:1.5)", false, 77, &error) && !prompt.weighted);
    kn_prompt_finish(&prompt);
    kn_tokenizer_destroy(&tokenizer);
}

/* 75 tokens fit; the 76th opens a chunk; after a comma among the last 20 the words stay together. */
Test(prompt, long_ones_are_cut) {
    kn_error error;
    kn_tokenizer *tokenizer;
    cr_assert(kn_tokenizer_load(&tokenizer, SD "/tokenizer", &error), "%s", error.message);
    static const struct {
        int letters, comma_after, chunks, in_first;
    } cases[] = {{75, 0, 1, 75},  {76, 0, 2, 75},  {151, 0, 3, 75}, {80, 10, 2, 75}, {80, 60, 2, 61},
                 {80, 54, 2, 75}, {80, 55, 2, 56}, {75, 74, 2, 75}, {80, 75, 2, 75}};
    for (size_t i = 0; i < KN_COUNT(cases); i++) {
        char text[400] = "";
        kn_prompt prompt;
        for (int j = 1; j <= cases[i].letters; j++) strcat(text, j == cases[i].comma_after ? "a, " : "a ");
        cr_assert(kn_prompt_init(&prompt, tokenizer, text, true, 77, &error), "%s", error.message);
        int used = 1;
        while (used < 77 && prompt.ids[used] != prompt.ids[76]) used++;
        cr_expect(prompt.chunks == cases[i].chunks && used - 1 == cases[i].in_first,
                  "case %zu: %d chunks, %d tokens in the first", i, prompt.chunks, used - 1);
        kn_prompt_finish(&prompt);
    }
    kn_tokenizer_destroy(&tokenizer);
}
