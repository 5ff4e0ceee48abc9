/* Kinds of adaptations against training/golden_lora.py, and strengths that change while a model is loaded. */
#include "diffusion/files/safetensors.h"
#include "kinora/paint.h"
#include "tests/golden/golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_OF(name) FOLDER "lora/" name ".safetensors"

/* --- kinds ------------------------------------------------------------------------------------ */

static void expect_unet(golden *g, const kn_unet *unet, const char *expected, double tolerance) {
    kn_tensor x = golden_upload(g, "x"), context = golden_upload(g, "context"), sinusoids = {0}, out = {0};
    float *t = golden_floats(g, "t"), values[4 * 128];
    int index[4], n = x.n, channels = unet->trunk.config.channels[0];
    for (int i = 0; i < n; i++) {
        kn_timestep_embedding(&unet->trunk.config, (double)t[0], values + i * channels);
        index[i] = i;
    }
    kn_free(t);
    REQUIRE(g, kn_graph_tensor(g->graph, &sinusoids, n, 1, 1, channels, &g->error));
    REQUIRE(g, kn_tensor_upload(&sinusoids, values, &g->error));
    kn_pass pass = {.context = &context, .context_index = index, .halves = 1, .frames = 1, .views = n};
    REQUIRE(g, kn_unet_forward(g->graph, &out, unet, &x, &sinusoids, &pass, NULL, 0, &g->error));
    REQUIRE(g, kn_graph_run(g->graph, &g->error));
    golden_expect(g, &out, expected, tolerance);
}

static void check_in(const char *folder, const char *expected, const kn_lora_use *uses, int count,
                     kn_precision precision, double tolerance) {
    golden g;
    kn_unet unet;
    kn_lora_set *set;
    golden_init(&g, folder);
    REQUIRE(&g, kn_lora_set_create(&set, uses, count, &g.error));
    golden_open(&g, "unet_stable", "");
    kn_weights_set_loras(g.weights, set, KN_LORA_UNET);
    REQUIRE(&g, kn_unet_load(&unet, g.gpu, &g.config, g.weights, precision, &g.error));
    golden_close(&g);
    expect_unet(&g, &unet, expected, tolerance);
    REQUIRE(&g, kn_lora_check_used(set, false, &g.error));
    kn_unet_finish(&unet);
    kn_lora_set_destroy(&set);
    golden_finish(&g);
}

static void check(const char *expected, const kn_lora_use *uses, int count, kn_precision precision, double tolerance) {
    check_in("lora", expected, uses, count, precision, tolerance);
}

/* What peft itself saved and computed (training/golden_peft.py); scales lie in adapter_config.json or in the header. */
static void check_peft(const char *name) {
    kn_name path = kn_name_of(FOLDER "peft/%s", name);
    check_in("peft", name, (kn_lora_use[]){{path.text, 1}}, 1, KN_PRECISION_FULL, 1e-4);
}

Test(peft, alpha_in_the_header) { check_peft("diffusers"); }
Test(peft, folder_with_rank_stabilised_scales) { check_peft("rslora"); }
Test(peft, folder_with_learned_lengths) { check_peft("dora"); }
Test(peft, folder_with_hadamard_products) { check_peft("loha"); }
Test(peft, folder_with_kronecker_products) { check_peft("lokr"); }

Test(peft, text_encoder_with_alpha_in_the_header) {
    golden g;
    kn_text_encoder encoder;
    kn_lora_set *set;
    kn_tensor in, out;
    golden_init(&g, "peft");
    kn_lora_use use = {FOLDER "peft/diffusers", 1};
    REQUIRE(&g, kn_lora_set_create(&set, &use, 1, &g.error));
    golden_open(&g, "text_quick", "");
    kn_weights_set_loras(g.weights, set, KN_LORA_TEXT);
    REQUIRE(&g, kn_text_encoder_load(&encoder, g.gpu, &g.config, g.weights, KN_PRECISION_FULL, &g.error));
    golden_close(&g);
    const kn_stored_tensor *stored = golden_find(&g, "ids");
    float *values = golden_floats(&g, "ids");
    int ids[64], n = (int)stored->shape[0], tokens = (int)stored->shape[1];
    for (int i = 0; i < n * tokens; i++) ids[i] = (int)values[i];
    kn_free(values);
    REQUIRE(&g, kn_text_encoder_input(g.graph, &in, &encoder, ids, n, tokens, &g.error));
    REQUIRE(&g, kn_text_encoder_forward(g.graph, &out, &encoder, &in, &g.error));
    REQUIRE(&g, kn_graph_run(g.graph, &g.error));
    golden_expect(&g, &out, "diffusers_text", 1e-4);
    kn_text_encoder_finish(&encoder);
    kn_lora_set_destroy(&set);
    golden_finish(&g);
}

Test(lora, none) { check("unet_plain", (kn_lora_use[]){{FILE_OF("loha"), 0}}, 1, KN_PRECISION_FULL, 1e-4); }
Test(lora, hadamard_products) {
    check("unet_loha", (kn_lora_use[]){{FILE_OF("loha"), .8f}}, 1, KN_PRECISION_FULL, 1e-4);
}
Test(lora, kronecker_products) {
    check("unet_lokr", (kn_lora_use[]){{FILE_OF("lokr"), 1}}, 1, KN_PRECISION_FULL, 1e-4);
}
Test(lora, learned_lengths) { check("unet_dora", (kn_lora_use[]){{FILE_OF("dora"), 1}}, 1, KN_PRECISION_FULL, 1e-4); }
Test(lora, learned_lengths_half) {
    check("unet_dora", (kn_lora_use[]){{FILE_OF("dora"), 1}}, 1, KN_PRECISION_HALF, 2e-3);
}
Test(lora, learned_lengths_in_part) {
    check("unet_dora_part", (kn_lora_use[]){{FILE_OF("dora"), .6f}}, 1, KN_PRECISION_FULL, 1e-4);
}
Test(lora, learned_lengths_of_peft) {
    check("unet_dora_peft", (kn_lora_use[]){{FILE_OF("peft"), 1}}, 1, KN_PRECISION_FULL, 1e-4);
}
Test(lora, orthogonal_blocks) { check("unet_oft", (kn_lora_use[]){{FILE_OF("oft"), 1}}, 1, KN_PRECISION_FULL, 1e-4); }
Test(lora, general_products) {
    check("unet_glora", (kn_lora_use[]){{FILE_OF("glora"), .8f}}, 1, KN_PRECISION_FULL, 1e-4);
}
Test(lora, differences_of_changed_weights) {
    check("unet_late", (kn_lora_use[]){{FILE_OF("oft"), .6f}, {FILE_OF("glora"), -.5f}}, 2, KN_PRECISION_FULL, 1e-4);
}
Test(lora, differences_of_changed_weights_half) {
    check("unet_late", (kn_lora_use[]){{FILE_OF("oft"), .6f}, {FILE_OF("glora"), -.5f}}, 2, KN_PRECISION_HALF, 2e-3);
}
Test(lora, three_at_once) {
    check("unet_three", (kn_lora_use[]){{FILE_OF("loha"), .5f}, {FILE_OF("lokr"), -.4f}, {FILE_OF("dora"), .7f}}, 3,
          KN_PRECISION_FULL, 1e-4);
}

/* --- wrong files ------------------------------------------------------------------------------ */

static char folder[] = "/tmp/kinora-lora-XXXXXX";

static void make_folder(void) { cr_assert(mkdtemp(folder)); }

static void remove_folder(void) {
    kn_name path = kn_name_of("%s/a.safetensors", folder);
    unlink(path.text);
    rmdir(folder);
}

typedef struct part {
    const char *name;
    int64_t rows, columns;
} part;

/* A file of those matrices is refused for the layer a.b of 8 x 8. */
static void refuse(const part *parts, size_t count, const char *expected) {
    static const uint8_t zeros[4096];
    kn_stored_tensor tensors[8];
    char names[8][64];
    kn_error error = {0};
    kn_lora_set *set;
    kn_name path = kn_name_of("%s/a.safetensors", folder);
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "lora_unet_a_b.%s", parts[i].name);
        tensors[i] = (kn_stored_tensor){.name = names[i],
                                        .dtype = KN_DTYPE_F32,
                                        .rank = 2,
                                        .shape = {parts[i].rows, parts[i].columns},
                                        .data = zeros};
    }
    cr_assert(kn_safetensors_write(path.text, tensors, count, &error), "%s", error.message);
    kn_lora_use use = {path.text, 1};
    float values[64] = {0};
    kn_stored_tensor tensor = {.name = "a.b.weight", .rank = 2, .shape = {8, 8}, .count = 64};
    bool ok = kn_lora_set_create(&set, &use, 1, &error) && kn_lora_apply(set, KN_LORA_UNET, &tensor, values, &error);
    cr_assert_not(ok, "accepted: %s", expected);
    cr_assert(strstr(error.message, "a.safetensors: ") && strstr(error.message, expected), "'%s' lacks '%s'",
              error.message, expected);
    cr_assert_eq(error.kind, KN_ERROR_INPUT);
    kn_lora_set_destroy(&set);
}

#define REFUSE(expected, ...) refuse((part[]){__VA_ARGS__}, sizeof((part[]){__VA_ARGS__}) / sizeof(part), expected)

Test(lora, says_what_is_missing, .init = make_folder, .fini = remove_folder) {
    REFUSE("lacks a part of its LoHa", {"hada_w1_a", 8, 2}, {"hada_w1_b", 2, 8});
    REFUSE("lacks a part of its LoHa", {"hada_w1_a", 2, 8}, {"hada_w1_b", 2, 8}, {"hada_w2_a", 2, 8},
           {"hada_w2_b", 2, 8}, {"hada_t1", 2, 2});
    REFUSE("lacks a part of its LoKr", {"lokr_w1", 2, 2}, {"lokr_w2_a", 4, 2});
    REFUSE("lacks a part of its LoKr", {"lokr_w1", 2, 2}, {"lokr_w1_a", 2, 2}, {"lokr_w1_b", 2, 2}, {"lokr_w2", 4, 4});
    REFUSE("parts of two kinds", {"lokr_w1", 2, 2}, {"lokr_w2", 4, 4}, {"lora_down.weight", 2, 8},
           {"lora_up.weight", 8, 2});
    REFUSE("has no matrices", {"dora_scale", 8, 1});
    REFUSE("lacks a part of its GLoRA", {"a1.weight", 8, 2}, {"a2.weight", 2, 8}, {"b1.weight", 8, 2});
    REFUSE("has a rescale, but no oft_blocks", {"rescale", 8, 1}, {"diff", 8, 8});
    REFUSE("parts of two kinds", {"oft_blocks", 2, 16}, {"oft_diag", 2, 16});
    REFUSE("parts of two kinds", {"oft_blocks", 2, 16}, {"lokr_w1", 2, 2}, {"lokr_w2", 4, 4});
    REFUSE("expected one number", {"lokr_w1", 2, 2}, {"lokr_w2", 4, 4}, {"alpha", 2, 1});
}

Test(lora, says_what_does_not_fit, .init = make_folder, .fini = remove_folder) {
    REFUSE("hada_w2_b' of shape [2, 7] does not fit 'a.b.weight' of shape [8, 8]", {"hada_w1_a", 8, 2},
           {"hada_w1_b", 2, 8}, {"hada_w2_a", 8, 2}, {"hada_w2_b", 2, 7});
    REFUSE("hada_w1_a' of shape [7, 2] does not fit", {"hada_w1_a", 7, 2}, {"hada_w1_b", 2, 8}, {"hada_w2_a", 8, 2},
           {"hada_w2_b", 2, 8});
    REFUSE("hada_w2_a' of shape [8, 3] does not fit", {"hada_w1_a", 8, 2}, {"hada_w1_b", 2, 8}, {"hada_w2_a", 8, 3},
           {"hada_w2_b", 2, 8});
    REFUSE("lokr_w1' of shape [3, 2] does not fit", {"lokr_w1", 3, 2}, {"lokr_w2", 4, 4});
    REFUSE("lokr_w2' of shape [4, 5] does not fit", {"lokr_w1", 2, 2}, {"lokr_w2", 4, 5});
    REFUSE("lokr_w2_b' of shape [2, 5] does not fit", {"lokr_w1", 2, 2}, {"lokr_w2_a", 4, 2}, {"lokr_w2_b", 2, 5});
    REFUSE("lokr_w1_a' of shape [0, 2] does not fit", {"lokr_w1_a", 0, 2}, {"lokr_w1_b", 2, 2}, {"lokr_w2", 4, 4});
    REFUSE("lora_down.weight' of shape [0, 8] does not fit", {"lora_down.weight", 0, 8}, {"lora_up.weight", 8, 0});
    REFUSE("dora_scale' of shape [7, 1] does not fit", {"lora_down.weight", 2, 8}, {"lora_up.weight", 8, 2},
           {"dora_scale", 7, 1});
    REFUSE("diff' of shape [8, 7] does not fit", {"diff", 8, 7});
    REFUSE("oft_blocks' of shape [8, 8] does not fit", {"oft_blocks", 8, 8}); /* no blocks */
    REFUSE("oft_diag' of shape [0, 8] does not fit", {"oft_diag", 0, 8});
    REFUSE("a1.weight' of shape [8, 3] does not fit", {"a1.weight", 8, 3}, {"a2.weight", 2, 8}, {"b1.weight", 8, 2},
           {"b2.weight", 2, 8});
    REFUSE("a2.weight' of shape [0, 8] does not fit", {"a1.weight", 8, 0}, {"a2.weight", 0, 8}, {"b1.weight", 8, 2},
           {"b2.weight", 2, 8});
    REFUSE("b2.weight' of shape [2, 7] does not fit", {"a1.weight", 8, 2}, {"a2.weight", 2, 8}, {"b1.weight", 8, 2},
           {"b2.weight", 2, 7});
}

Test(lora, failing_allocations) {
    static const uint8_t zeros[4096];
    kn_error error = {0};
    bool done = false;
    for (uint64_t n = 1; !done && n < 1000; n++) {
        const char *const names[] = {"lora_unet_a_b.dora_scale", "lora_unet_a_b.hada_w1_a", "lora_unet_a_b.hada_w1_b",
                                     "lora_unet_a_b.hada_w2_a",  "lora_unet_a_b.hada_w2_b", "lora_unet_a_c.lokr_w1_a",
                                     "lora_unet_a_c.lokr_w1_b",  "lora_unet_a_c.lokr_w2",   "lora_unet_a_d.oft_blocks",
                                     "lora_unet_a_d.rescale",    "lora_unet_a_e.a1.weight", "lora_unet_a_e.a2.weight",
                                     "lora_unet_a_e.b1.weight",  "lora_unet_a_e.b2.weight"};
        const int64_t shapes[][3] = {{8, 1}, {8, 2},    {2, 8}, {8, 2}, {2, 8}, {2, 2}, {2, 2},
                                     {4, 4}, {2, 4, 4}, {8, 1}, {8, 2}, {2, 8}, {8, 2}, {2, 8}};
        kn_stored_tensor tensors[KN_COUNT(names)];
        for (size_t i = 0; i < KN_COUNT(names); i++)
            tensors[i] = (kn_stored_tensor){.name = names[i],
                                            .dtype = KN_DTYPE_F32,
                                            .rank = shapes[i][2] ? 3 : 2,
                                            .shape = {shapes[i][0], shapes[i][1], shapes[i][2]},
                                            .data = zeros};
        char own[] = "/tmp/kinora-lora-XXXXXX";
        cr_assert(mkdtemp(own));
        kn_name path = kn_name_of("%s/a.safetensors", own);
        cr_assert(kn_safetensors_write(path.text, tensors, KN_COUNT(names), &error));
        float values[64] = {0};
        const char *const layers[] = {"a.b.weight", "a.c.weight", "a.d.weight", "a.e.weight"};
        kn_lora_use use = {path.text, 1};
        kn_lora_set *set = NULL;
        kn_alloc_fail_after(n);
        bool ok = kn_lora_set_create(&set, &use, 1, &error);
        for (size_t i = 0; ok && i < KN_COUNT(layers); i++) {
            kn_stored_tensor tensor = {.name = layers[i], .rank = 2, .shape = {8, 8}, .count = 64};
            ok = kn_lora_apply(set, KN_LORA_UNET, &tensor, values, &error);
        }
        done = kn_alloc_fail_after(0) > 0;
        cr_assert(ok ? done : error.kind == KN_ERROR_MEMORY, "allocation %d: %s", (int)n, error.message);
        kn_lora_set_destroy(&set);
        unlink(path.text);
        rmdir(own);
    }
    cr_assert(done);
}

/* --- strengths that change -------------------------------------------------------------------- */

enum { WIDTH = 40, HEIGHT = 24, FLOATS = 3 * WIDTH * HEIGHT };

/* Two LoRAs for the tiny model of tests/golden/paint: a matrix of the UNet, and one of the text encoder. */
static void write_loras(kn_name paths[2], char *own) {
    static const char *const layers[2] = {"lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q",
                                          "lora_te_text_model_encoder_layers_0_self_attn_q_proj"};
    kn_error error;
    kn_archive *file;
    kn_name sources[2] = {kn_name_of(FOLDER "paint/sd/unet/diffusion_pytorch_model.safetensors"),
                          kn_name_of(FOLDER "paint/sd/text_encoder/model.safetensors")};
    static const char *const tensors[2] = {"mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight",
                                           "encoder.layers.0.self_attn.q_proj.weight"};
    for (int i = 0; i < 2; i++) {
        cr_assert(kn_archive_open(&file, sources[i].text, &error), "%s", error.message);
        const kn_stored_tensor *tensor = kn_archive_find(file, tensors[i]);
        cr_assert(tensor, "no %s", tensors[i]);
        int64_t rows = tensor->shape[0], columns = tensor->shape[1];
        kn_archive_close(&file);
        float *values = kn_alloc((size_t)(2 * (rows + columns)), sizeof *values, NULL);
        for (int64_t j = 0; j < 2 * (rows + columns); j++) values[j] = sinf((float)(j * (i + 3)));
        kn_name down = kn_name_of("%s.lora_down.weight", layers[i]), up = kn_name_of("%s.lora_up.weight", layers[i]);
        kn_stored_tensor parts[2] = {{.name = down.text,
                                      .dtype = KN_DTYPE_F32,
                                      .rank = 2,
                                      .shape = {2, columns},
                                      .data = (const uint8_t *)values},
                                     {.name = up.text,
                                      .dtype = KN_DTYPE_F32,
                                      .rank = 2,
                                      .shape = {rows, 2},
                                      .data = (const uint8_t *)(values + 2 * columns)}};
        paths[i] = kn_name_of("%s/%d.safetensors", own, i);
        cr_assert(kn_safetensors_write(paths[i].text, parts, 2, &error), "%s", error.message);
        kn_free(values);
    }
}

static void paint(golden *g, kn_model *model, float rgb[FLOATS]) {
    kn_paint_params params = KN_PAINT_PARAMS_DEFAULT;
    params.width = WIDTH, params.height = HEIGHT, params.steps = 2, params.guidance = 2, params.prompt = "a red car";
    REQUIRE(g, kn_paint(model, &params, rgb, &g->error));
}

static kn_model *load(golden *g, const kn_name paths[2], float a, float b, kn_residency residency) {
    kn_model *model;
    kn_model_params params = KN_MODEL_PARAMS_DEFAULT;
    params.residency = residency;
    params.loras[0] = (kn_lora_use){paths[0].text, a}, params.loras[1] = (kn_lora_use){paths[1].text, b},
    params.lora_count = 2;
    REQUIRE(g, kn_model_load(&model, g->gpu, FOLDER "paint/sd", &params, &g->error));
    return model;
}

static float difference(const float *a, const float *b) {
    float most = 0;
    for (int i = 0; i < FLOATS; i++) most = fmaxf(most, fabsf(a[i] - b[i]));
    return most;
}

/* A changed strength gives the bytes of a model that was loaded with it; 0 those of one without LoRAs. */
static void change_strengths(kn_residency residency) {
    static const float strengths[][2] = {{1, 0}, {0, 1}, {-.5f, .5f}, {0, 0}, {1, 0}};
    static float rgb[FLOATS], expected[FLOATS], plain[FLOATS];
    golden g;
    char own[] = "/tmp/kinora-lora-XXXXXX";
    kn_name paths[2];
    kn_model *model;
    cr_assert(mkdtemp(own));
    golden_init(&g, "paint");
    write_loras(paths, own);
    REQUIRE(&g, kn_model_load(&model, g.gpu, FOLDER "paint/sd", NULL, &g.error));
    paint(&g, model, plain);
    kn_model_destroy(&model);
    model = load(&g, paths, .3f, .3f, residency);
    for (size_t i = 0; i < KN_COUNT(strengths); i++) {
        kn_model *other = load(&g, paths, strengths[i][0], strengths[i][1], KN_RESIDENCY_ALL);
        paint(&g, other, expected);
        kn_model_destroy(&other);
        REQUIRE(&g, kn_model_set_lora(model, 0, strengths[i][0], &g.error));
        REQUIRE(&g, kn_model_set_lora(model, 1, strengths[i][1], &g.error));
        paint(&g, model, rgb);
        cr_assert_arr_eq(rgb, expected, sizeof rgb, "strengths %g and %g", (double)strengths[i][0],
                         (double)strengths[i][1]);
        bool zero = strengths[i][0] == 0 && strengths[i][1] == 0;
        cr_assert(zero ? memcmp(rgb, plain, sizeof rgb) == 0 : difference(rgb, plain) > 1e-3f, "strengths %g and %g",
                  (double)strengths[i][0], (double)strengths[i][1]);
    }
    cr_assert_not(kn_model_set_lora(model, 2, 1, &g.error));
    cr_assert(strstr(g.error.message, "loaded with 2"), "%s", g.error.message);
    cr_assert_not(kn_model_set_lora(model, 0, NAN, &g.error));
    kn_model_destroy(&model);
    for (int i = 0; i < 2; i++) unlink(paths[i].text);
    rmdir(own);
    golden_finish(&g);
}

Test(lora, strengths_change) { change_strengths(KN_RESIDENCY_ALL); }
Test(lora, strengths_change_with_one_network) { change_strengths(KN_RESIDENCY_ONE); }
