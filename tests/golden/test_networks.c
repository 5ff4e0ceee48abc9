/* Every network against diffusers' and transformers' own (training/golden_networks.py); multi-view attention, which
 * they do not have, against training/nets.py. */
#include "tests/golden/golden.h"

#include <string.h>

enum { FULL = 0, HALF = 1 };
static const double tolerances[] = {1e-4, 2e-3};
static const kn_precision precisions[] = {KN_PRECISION_FULL, KN_PRECISION_HALF};

/* --- UNet ------------------------------------------------------------------------------------- */

typedef struct unet_case {
    golden g;
    kn_unet unet;
    kn_tensor x, context, sinusoids;
    int *context_index;
} unet_case;

/* Loads the opened network and its golden inputs. */
static void unet_fill(unet_case *c, kn_precision precision) {
    REQUIRE(&c->g, kn_unet_load(&c->unet, c->g.gpu, &c->g.config, c->g.weights, precision, &c->g.error));
    golden_close(&c->g);
    c->x = golden_upload(&c->g, "x");
    c->context = golden_upload(&c->g, "context");
    float *t = golden_floats(&c->g, "t");
    int n = c->x.n, channels = c->unet.trunk.config.channels[0];
    float *values = kn_alloc((size_t)n * (size_t)channels, sizeof *values, NULL);
    c->context_index = kn_alloc((size_t)n, sizeof *c->context_index, NULL);
    for (int i = 0; i < n; i++) {
        kn_timestep_embedding(&c->unet.trunk.config, (double)t[0], values + i * channels);
        c->context_index[i] = i;
    }
    REQUIRE(&c->g, kn_graph_tensor(c->g.graph, &c->sinusoids, n, 1, 1, channels, &c->g.error));
    REQUIRE(&c->g, kn_tensor_upload(&c->sinusoids, values, &c->g.error));
    kn_free(values);
    kn_free(t);
}

static void unet_open(unet_case *c, const char *name, const char *part, kn_precision precision) {
    golden_init(&c->g, name);
    golden_open(&c->g, name, part);
    unet_fill(c, precision);
}

static void unet_close(unet_case *c) {
    kn_unet_finish(&c->unet);
    kn_free(c->context_index);
    golden_finish(&c->g);
}

static kn_tensor unet_run(unet_case *c, const kn_pass *pass, const kn_control_use *controls, int control_count) {
    kn_tensor out = {0};
    REQUIRE(&c->g, kn_unet_forward(c->g.graph, &out, &c->unet, &c->x, &c->sinusoids, pass, controls, control_count,
                                   &c->g.error));
    REQUIRE(&c->g, kn_graph_run(c->g.graph, &c->g.error));
    REQUIRE(&c->g, kn_graph_run(c->g.graph, &c->g.error)); /* a replay gives the same */
    return out;
}

static void check_unet(const char *name, int precision) {
    unet_case c;
    unet_open(&c, name, "", precisions[precision]);
    kn_pass pass = {.context = &c.context, .context_index = c.context_index, .halves = 1, .frames = 1, .views = c.x.n};
    kn_tensor out = unet_run(&c, &pass, NULL, 0);
    golden_expect(&c.g, &out, "out", tolerances[precision]);
    unet_close(&c);
}

Test(unet, stable_diffusion_form) { check_unet("unet_stable", FULL); }
Test(unet, stable_diffusion_form_half) { check_unet("unet_stable", HALF); }
Test(unet, sd1_structure) { check_unet("unet_sd1", FULL); }
Test(unet, sd1_structure_half) { check_unet("unet_sd1", HALF); }
Test(unet, sd2_structure) { check_unet("unet_sd2", FULL); }
Test(unet, sd2_structure_half) { check_unet("unet_sd2", HALF); }
Test(unet, depth_and_layers_by_level) { check_unet("unet_deep", FULL); }
Test(unet, without_middle) { check_unet("unet_no_mid", FULL); }
Test(unet, middle_without_attention) { check_unet("unet_plain_mid", FULL); }

/* A network that is told the guidance scale takes it with the time. */
Test(unet, lcm_guidance) {
    unet_case c;
    unet_open(&c, "unet_lcm", "", KN_PRECISION_FULL);
    float *guidance = golden_floats(&c.g, "guidance"), *t = golden_floats(&c.g, "t"), values[16];
    kn_timestep_embedding(&c.unet.trunk.config, (double)t[0], values);
    kn_unet_add_guidance(&c.unet, (double)guidance[0], values);
    memcpy(values + 8, values, 8 * sizeof *values);
    REQUIRE(&c.g, kn_tensor_upload(&c.sinusoids, values, &c.g.error));
    kn_pass pass = {.context = &c.context, .context_index = c.context_index, .halves = 1, .frames = 1, .views = c.x.n};
    kn_tensor out = unet_run(&c, &pass, NULL, 0);
    golden_expect(&c.g, &out, "out", 1e-4);
    kn_free(guidance);
    kn_free(t);
    unet_close(&c);
}

/* 4 frames of 3 views in frame-major order. */
static void check_clip(const char *expected, const int neighbours[3][2], bool temporal, int precision) {
    unet_case c;
    unet_open(&c, "unet_clip", "", precisions[precision]);
    cr_assert(c.unet.has_multi_view);
    cr_assert_eq(c.unet.max_frames, 8);
    int index[2][12];
    for (int i = 0; neighbours && i < 24; i++) {
        int picture = i % 12, other = neighbours[picture % 3][i / 12];
        index[i / 12][picture] = other < 0 ? -1 : picture - picture % 3 + other;
    }
    kn_pass pass = {.context = &c.context,
                    .context_index = c.context_index,
                    .halves = 1,
                    .frames = 4,
                    .views = 3,
                    .neighbours = {neighbours ? index[0] : NULL, neighbours ? index[1] : NULL},
                    .temporal = temporal};
    kn_tensor out = unet_run(&c, &pass, NULL, 0);
    golden_expect(&c.g, &out, expected, tolerances[precision]);
    unet_close(&c);
}

static const int ring[3][2] = {{2, 1}, {0, 2}, {1, 0}}, open_rig[3][2] = {{-1, 1}, {0, 2}, {1, -1}};

Test(unet, views_and_frames) { check_clip("ring", ring, true, FULL); }
Test(unet, views_and_frames_half) { check_clip("ring", ring, true, HALF); }
Test(unet, open_rig) { check_clip("open", open_rig, true, FULL); }
Test(unet, frames_only) { check_clip("no_view", NULL, true, FULL); }
Test(unet, views_only) { check_clip("no_time", ring, false, FULL); }
Test(unet, neither_views_nor_frames) { check_clip("neither", NULL, false, FULL); }

/* diffusers' MotionAdapter beside a UNet: 4 frames of 2 clips. */
Test(unet, motion_adapter) {
    unet_case c;
    golden_init(&c.g, "motion");
    golden_open(&c.g, "motion", "/unet");
    REQUIRE(&c.g, kn_weights_add_folder(c.g.weights, FOLDER "motion/motion", &c.g.error));
    json_object_set_new(c.g.config.root, "motion_num_attention_heads", json_integer(1));
    unet_fill(&c, KN_PRECISION_FULL);
    cr_assert_eq(c.unet.max_frames, 6);
    kn_pass pass = {.context = &c.context,
                    .context_index = c.context_index,
                    .halves = 1,
                    .frames = 4,
                    .views = 2,
                    .temporal = true};
    kn_tensor out = unet_run(&c, &pass, NULL, 0);
    golden_expect(&c.g, &out, "out", 1e-4);
    unet_close(&c);
}

Test(unet, too_many_frames_is_an_error) {
    unet_case c;
    unet_open(&c, "unet_clip", "", KN_PRECISION_FULL);
    kn_tensor out;
    kn_pass pass = {.context = &c.context,
                    .context_index = c.context_index,
                    .halves = 1,
                    .frames = 12,
                    .views = 1,
                    .temporal = true};
    cr_assert_not(kn_unet_forward(c.g.graph, &out, &c.unet, &c.x, &c.sinusoids, &pass, NULL, 0, &c.g.error));
    cr_assert(strstr(c.g.error.message, "12 frames"), "%s", c.g.error.message);
    unet_close(&c);
}

/* --- ControlNet ------------------------------------------------------------------------------- */

/* `count` branches from branch<first> on. */
static void check_control(const char *expected, int first, int count, int precision) {
    unet_case c;
    kn_controlnet branches[2];
    kn_tensor pictures[2], conditions[2];
    kn_control_use uses[2];
    unet_open(&c, "control", "/unet", precisions[precision]);
    for (int i = 0; i < count; i++) {
        kn_name part = kn_name_of("/branch%d", first + i), condition = kn_name_of("condition%d", first + i),
                embedding = kn_name_of("embedding%d", first + i);
        golden_open(&c.g, "control", part.text);
        REQUIRE(&c.g,
                kn_controlnet_load(&branches[i], c.g.gpu, &c.g.config, c.g.weights, precisions[precision], &c.g.error));
        golden_close(&c.g);
        pictures[i] = golden_upload(&c.g, condition.text);
        kn_graph *graph;
        REQUIRE(&c.g, kn_graph_create(&graph, c.g.gpu, 0, &c.g.error));
        REQUIRE(&c.g, kn_controlnet_embed(graph, &conditions[i], &branches[i], &pictures[i], &c.g.error));
        REQUIRE(&c.g, kn_graph_run(graph, &c.g.error));
        golden_expect(&c.g, &conditions[i], embedding.text, tolerances[precision]);
        float *values = golden_floats(&c.g, embedding.text);
        REQUIRE(&c.g, kn_graph_tensor(c.g.graph, &pictures[i], conditions[i].n, conditions[i].h, conditions[i].w,
                                      conditions[i].c, &c.g.error));
        REQUIRE(&c.g, kn_tensor_upload(&pictures[i], values, &c.g.error));
        kn_free(values);
        kn_graph_destroy(&graph);
        uses[i] =
            (kn_control_use){.controlnet = &branches[i], .condition = &pictures[i], .scale = i == 0 ? 1.0f : 0.5f};
    }
    kn_pass pass = {.context = &c.context, .context_index = c.context_index, .halves = 1, .frames = 1, .views = c.x.n};
    kn_tensor out = unet_run(&c, &pass, uses, count);
    golden_expect(&c.g, &out, expected, tolerances[precision]);
    for (int i = 0; i < count; i++) kn_controlnet_finish(&branches[i]);
    unet_close(&c);
}

Test(controlnet, one_branch) { check_control("one", 0, 1, FULL); }
Test(controlnet, two_branches_with_scales) { check_control("both", 0, 2, FULL); }
Test(controlnet, pooled_and_blue_first) { check_control("pooled", 2, 1, FULL); }
Test(controlnet, two_branches_half) { check_control("both", 0, 2, HALF); }

/* --- text ------------------------------------------------------------------------------------- */

static void check_text(const char *name, const char *expected, int skip, int precision) {
    golden g;
    kn_text_encoder encoder;
    kn_tensor in, out;
    golden_init(&g, name);
    golden_open(&g, name, "");
    REQUIRE(&g, kn_text_encoder_load(&encoder, g.gpu, &g.config, g.weights, precisions[precision], &g.error));
    golden_close(&g);
    const kn_stored_tensor *stored = golden_find(&g, "ids");
    float *values = golden_floats(&g, "ids");
    int ids[64], n = (int)stored->shape[0], tokens = (int)stored->shape[1];
    encoder.skip = skip;
    for (int i = 0; i < n * tokens; i++) ids[i] = (int)values[i];
    REQUIRE(&g, kn_text_encoder_input(g.graph, &in, &encoder, ids, n, tokens, &g.error));
    REQUIRE(&g, kn_text_encoder_forward(g.graph, &out, &encoder, &in, &g.error));
    REQUIRE(&g, kn_graph_run(g.graph, &g.error));
    golden_expect(&g, &out, expected, tolerances[precision]);
    ids[3] = 50;
    cr_assert_not(kn_text_encoder_input(g.graph, &in, &encoder, ids, n, tokens, &g.error));
    cr_assert(strstr(g.error.message, "token 50"), "%s", g.error.message);
    kn_free(values);
    kn_text_encoder_finish(&encoder);
    golden_finish(&g);
}

Test(text, quick_gelu) { check_text("text_quick", "out", 0, FULL); }
Test(text, gelu) { check_text("text_gelu", "out", 0, FULL); }
Test(text, quick_gelu_half) { check_text("text_quick", "out", 0, HALF); }
Test(text, last_layer) { check_text("text_penultimate", "last", 0, FULL); }
Test(text, penultimate_layer) { check_text("text_penultimate", "out", 1, FULL); }
Test(text, penultimate_layer_half) { check_text("text_penultimate", "out", 1, HALF); }

/* --- autoencoders ----------------------------------------------------------------------------- */

/* Encodes and decodes the golden x and z. */
static void run_autoencoder(golden *g, const kn_autoencoder *autoencoder, const char *latent, const char *picture,
                            double tolerance) {
    kn_tensor x = golden_upload(g, "x"), z = golden_upload(g, "z"), encoded, decoded;
    if (kn_autoencoder_zero_to_one(autoencoder)) {
        float *values = golden_floats(g, "x");
        for (size_t i = 0; i < golden_find(g, "x")->count; i++) values[i] = 0.5f * values[i] + 0.5f;
        REQUIRE(g, kn_tensor_upload(&x, values, &g->error));
        kn_free(values);
    }
    REQUIRE(g, kn_autoencoder_encode(g->graph, &encoded, autoencoder, &x, &g->error));
    REQUIRE(g, kn_autoencoder_decode(g->graph, &decoded, autoencoder, &z, &g->error));
    REQUIRE(g, kn_graph_run(g->graph, &g->error));
    golden_expect(g, &encoded, latent, tolerance);
    golden_expect(g, &decoded, picture, tolerance);
}

static void check_autoencoder(const char *name, const char *latent, const char *picture, int factor, int precision) {
    golden g;
    kn_autoencoder autoencoder;
    golden_init(&g, name);
    kn_name config = kn_name_of(FOLDER "%s/config.json", name), folder = kn_name_of(FOLDER "%s", name);
    REQUIRE(&g, kn_config_init(&g.config, config.text, &g.error));
    REQUIRE(&g, kn_weights_create(&g.weights, &g.error));
    if (kn_autoencoder_has_weights(&g.config)) REQUIRE(&g, kn_weights_add_folder(g.weights, folder.text, &g.error));
    REQUIRE(&g, kn_autoencoder_load(&autoencoder, g.gpu, &g.config, g.weights, precisions[precision], &g.error));
    golden_close(&g);
    run_autoencoder(&g, &autoencoder, latent, picture, tolerances[precision]);
    cr_assert_eq(autoencoder.factor, factor);
    kn_autoencoder_finish(&autoencoder);
    golden_finish(&g);
}

/* Two files in TAESD's own naming, with pool branches and levels of different widths. */
Test(autoencoder, tiny_of_two_files_with_pools) {
    static const kn_part parts[] = {KN_PART_TINY, KN_PART_AUTOENCODER};
    golden g;
    kn_component component;
    kn_autoencoder autoencoder;
    golden_init(&g, "taef2");
    REQUIRE(&g, kn_component_open_path(&component, FOLDER "taef2/taef2_decoder.safetensors", parts, 2, &g.error));
    REQUIRE(&g, kn_autoencoder_load(&autoencoder, g.gpu, &component.config, component.weights, KN_PRECISION_FULL,
                                    &g.error));
    REQUIRE(&g, kn_weights_check_used(component.weights, &g.error));
    cr_assert(autoencoder.factor == 4 && autoencoder.latent_channels == 32);
    run_autoencoder(&g, &autoencoder, "encoded", "decoded", 1e-4);
    kn_autoencoder_finish(&autoencoder);
    kn_component_finish(&component);
    golden_finish(&g);
}

/* A file with the decoder alone decodes, and says why it does not encode. */
static void check_decoder_alone(const char *name) {
    golden g;
    kn_archive *archive;
    kn_autoencoder autoencoder;
    golden_init(&g, name);
    kn_name path = kn_name_of(FOLDER "%s/diffusion_pytorch_model.safetensors", name),
            config_path = kn_name_of(FOLDER "%s/config.json", name);
    REQUIRE(&g, kn_archive_open(&archive, path.text, &g.error));
    REQUIRE(&g, kn_config_init(&g.config, config_path.text, &g.error));
    kn_stored_tensor *kept = kn_alloc(archive->count, sizeof *kept, &g.error);
    size_t count = 0;
    for (size_t i = 0; i < archive->count; i++)
        if (strncmp(archive->tensors[i].name, "encoder.", 8) != 0 &&
            strncmp(archive->tensors[i].name, "quant_", 6) != 0)
            kept[count++] = archive->tensors[i];
    REQUIRE(&g, kn_weights_create(&g.weights, &g.error));
    REQUIRE(&g, kn_weights_add_tensors(g.weights, kept, count, path.text, &archive->map, &g.error));
    REQUIRE(&g, kn_autoencoder_load(&autoencoder, g.gpu, &g.config, g.weights, KN_PRECISION_FULL, &g.error));
    golden_close(&g);
    kn_tensor x = golden_upload(&g, "x"), z = golden_upload(&g, "z"), out;
    cr_assert_not(kn_autoencoder_encode(g.graph, &out, &autoencoder, &x, &g.error));
    cr_assert(strstr(g.error.message, "decoder alone"), "%s", g.error.message);
    REQUIRE(&g, kn_autoencoder_decode(g.graph, &out, &autoencoder, &z, &g.error));
    REQUIRE(&g, kn_graph_run(g.graph, &g.error));
    golden_expect(&g, &out, "decoded", 1e-4);
    kn_autoencoder_finish(&autoencoder);
    kn_archive_close(&archive);
    kn_free(kept);
    golden_finish(&g);
}

Test(autoencoder, kl_decoder_alone) { check_decoder_alone("kl_sd"); }
Test(autoencoder, tiny_decoder_alone) { check_decoder_alone("tiny_32"); }
Test(autoencoder, kl_without_quant_conv) { check_autoencoder("kl_bare", "encoded", "decoded", 2, FULL); }
Test(autoencoder, kl) { check_autoencoder("kl", "encoded", "decoded", 4, FULL); }
Test(autoencoder, kl_half) { check_autoencoder("kl", "encoded", "decoded", 4, HALF); }
Test(autoencoder, tiny) { check_autoencoder("tiny", "encoded", "decoded", 4, FULL); }
Test(autoencoder, tiny_half) { check_autoencoder("tiny", "encoded", "decoded", 4, HALF); }
Test(autoencoder, tiny_of_packed_pictures) { check_autoencoder("latent/vae", "encoded", "decoded", 4, FULL); }
Test(autoencoder, tiny_of_packed_pictures_half) { check_autoencoder("latent/vae", "encoded", "decoded", 4, HALF); }
Test(autoencoder, pixel_packing) { check_autoencoder("packing", "z", "x", 4, FULL); }
Test(autoencoder, kl_of_stable_diffusion) { check_autoencoder("kl_sd", "encoded", "decoded", 8, FULL); }
Test(autoencoder, kl_of_stable_diffusion_half) { check_autoencoder("kl_sd", "encoded", "decoded", 8, HALF); }
Test(autoencoder, tiny_with_16_channels) { check_autoencoder("tiny_16", "encoded", "decoded", 8, FULL); }
Test(autoencoder, tiny_with_16_channels_half) { check_autoencoder("tiny_16", "encoded", "decoded", 8, HALF); }
Test(autoencoder, tiny_with_32_channels) { check_autoencoder("tiny_32", "encoded", "decoded", 8, FULL); }
Test(autoencoder, tiny_with_32_channels_half) { check_autoencoder("tiny_32", "encoded", "decoded", 8, HALF); }
