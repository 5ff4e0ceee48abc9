/* Single-file checkpoints in the original naming, LoRAs and block formats against training/golden_formats.py. */
#include "diffusion/files/gguf.h"
#include "diffusion/files/quantise.h"
#include "tests/golden/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORMATS FOLDER "formats/"

static char folder[64];

static void make_folder(void) {
    strcpy(folder, "/tmp/kinora-test-XXXXXX");
    cr_assert(mkdtemp(folder));
}

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

static kn_name in_folder(const char *name) { return kn_name_of("%s/%s", folder, name); }

/* --- checkpoints made from tables ------------------------------------------------------------- */

/* The same numbers as training/golden_formats.py's values(). */
static void fill(const char *name, size_t count, size_t rows, bool vector, uint16_t *out) {
    uint64_t key = 0xcbf29ce484222325u;
    for (const char *c = name; *c; c++) key = (key ^ (uint8_t)*c) * 0x100000001b3u;
    size_t length = strlen(name);
    float base = strstr(name, "norm") && length > 6 && strcmp(name + length - 6, "weight") == 0 ? 1.0f : 0.0f;
    float scale = vector ? 0.25f : (float)sqrt(3.0 / (double)(count / rows));
    for (size_t i = 0; i < count; i++) {
        uint64_t x = key + (i + 1) * 0x9e3779b97f4a7c15u;
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
        x = (x ^ x >> 27) * 0x94d049bb133111ebu;
        x ^= x >> 31;
        float unit = (float)(x >> 40) / 8388608.0f - 1.0f;
        float value = unit * scale + (vector ? base : 0.0f);
        out[i] = kn_float_to_half(value);
    }
}

typedef struct made {
    kn_arena arena;
    kn_stored_tensor tensors[2000];
    size_t count;
} made;

/* Reads "stored name <tab> diffusers names by | or - <tab> shape" and fills the tensors. */
static void make_tensors(made *m, const char *table, bool own_names) {
    uint8_t *text;
    size_t size;
    kn_error error;
    cr_assert(kn_file_read(table, 1 << 20, &text, &size, &error), "%s", error.message);
    for (char *line = strtok((char *)text, "\n"); line; line = strtok(NULL, "\n")) {
        char stored[256], names[512], shape[64] = "";
        cr_assert(sscanf(line, "%255s %511s %63s", stored, names, shape) >= 2);
        if (own_names && (strcmp(names, "-") == 0 || strchr(names, '|'))) continue;
        kn_stored_tensor *tensor = &m->tensors[m->count++];
        *tensor = (kn_stored_tensor){
            .name = kn_arena_strdup(&m->arena, own_names ? names : stored, NULL), .dtype = KN_DTYPE_F16, .count = 1};
        for (const char *at = shape; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ',')) {
            tensor->shape[tensor->rank] = atoi(at);
            tensor->count *= (size_t)tensor->shape[tensor->rank++];
        }
        uint16_t *data = kn_arena_alloc(&m->arena, tensor->count, 2, NULL);
        tensor->data = (const uint8_t *)data;
        size_t parts = strchr(names, '|') ? 3 : 1, part = 0, each = tensor->count / parts;
        for (char *rest = names, *name; strcmp(names, "-") != 0 && (name = strsep(&rest, "|")); part++)
            fill(name, each, tensor->rank ? (size_t)tensor->shape[0] / parts : 1, tensor->rank == 1,
                 data + part * each);
    }
    kn_free(text);
}

static void make_file(const char *table, const char *name) {
    kn_error error;
    made *m = kn_alloc(1, sizeof *m, NULL);
    make_tensors(m, table, false);
    cr_assert(kn_safetensors_write(in_folder(name).text, m->tensors, m->count, &error), "%s", error.message);
    kn_arena_finish(&m->arena);
    kn_free(m);
}

/* A graph is recorded once: the next case gets a fresh one. */
static void renew(golden *g) {
    kn_graph_destroy(&g->graph);
    REQUIRE(g, kn_graph_create(&g->graph, g->gpu, 0, &g->error));
}

/* --- running ---------------------------------------------------------------------------------- */

/* The UNet on the golden x, context, t; and one ControlNet when it is not NULL. */
static void expect_unet(golden *g, const kn_unet *unet, const kn_control_use *control, const char *expected,
                        double tolerance) {
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
    REQUIRE(g, kn_unet_forward(g->graph, &out, unet, &x, &sinusoids, &pass, control, control != NULL, &g->error));
    REQUIRE(g, kn_graph_run(g->graph, &g->error));
    golden_expect(g, &out, expected, tolerance);
    renew(g);
}

static void expect_text(golden *g, const kn_text_encoder *encoder, const char *expected, double tolerance) {
    kn_tensor in, out;
    const kn_stored_tensor *stored = golden_find(g, "ids");
    float *values = golden_floats(g, "ids");
    int ids[256], n = (int)stored->shape[0], tokens = (int)stored->shape[1];
    for (int i = 0; i < n * tokens; i++) ids[i] = (int)values[i];
    kn_free(values);
    REQUIRE(g, kn_text_encoder_input(g->graph, &in, encoder, ids, n, tokens, &g->error));
    REQUIRE(g, kn_text_encoder_forward(g->graph, &out, encoder, &in, &g->error));
    REQUIRE(g, kn_graph_run(g->graph, &g->error));
    golden_expect(g, &out, expected, tolerance);
    renew(g);
}

static void expect_autoencoder(golden *g, const kn_autoencoder *autoencoder) {
    kn_tensor pictures = golden_upload(g, "pictures"), z = golden_upload(g, "z"), encoded = {0}, decoded = {0};
    REQUIRE(g, kn_autoencoder_encode(g->graph, &encoded, autoencoder, &pictures, &g->error));
    REQUIRE(g, kn_autoencoder_decode(g->graph, &decoded, autoencoder, &z, &g->error));
    REQUIRE(g, kn_graph_run(g->graph, &g->error));
    golden_expect(g, &encoded, "encoded", 1e-4);
    golden_expect(g, &decoded, "decoded", 1e-4);
}

static kn_model *open_model(golden *g, const char *path, kn_model_params params) {
    kn_model *model = NULL;
    params.precision = KN_PRECISION_FULL;
    if (!params.tokenizer) params.tokenizer = FOLDER "model/tokenizer";
    REQUIRE(g, kn_model_load(&model, g->gpu, path, &params, &g->error));
    cr_assert(kn_model_get_info(model)->text);
    return model;
}

static void check_checkpoint(const char *name, const char *path, const kn_model_params *params, double tolerance) {
    golden g;
    kn_name part = kn_name_of("formats/%s", name);
    golden_init(&g, part.text);
    kn_model *model = open_model(&g, path, params ? *params : KN_MODEL_PARAMS_DEFAULT);
    expect_unet(&g, &model->unet, NULL, "out", tolerance);
    expect_text(&g, &model->text_encoder, "text", tolerance);
    if (kn_safetensors_find(g.file, "decoded")) expect_autoencoder(&g, &model->autoencoder);
    kn_model_destroy(&model);
    golden_finish(&g);
}

Test(checkpoint, stable_diffusion_1, .init = make_folder, .fini = remove_folder) {
    make_file(FORMATS "sd1.txt", "sd1.safetensors");
    check_checkpoint("sd1", in_folder("sd1.safetensors").text, NULL, 1e-4);
    kn_model_params one = {.residency = KN_RESIDENCY_ONE}; /* each weight comes when an operation needs it */
    check_checkpoint("sd1", in_folder("sd1.safetensors").text, &one, 1e-4);
}

Test(checkpoint, stable_diffusion_2, .init = make_folder, .fini = remove_folder) {
    make_file(FORMATS "sd2.txt", "sd2.safetensors");
    check_checkpoint("sd2", in_folder("sd2.safetensors").text, NULL, 1e-4);
}

/* The same tensors under diffusers' names with prefixes, as `kinora convert` writes them from a folder. */
Test(checkpoint, diffusers_names, .init = make_folder, .fini = remove_folder) {
    kn_error error;
    made *m = kn_alloc(1, sizeof *m, NULL);
    make_tensors(m, FORMATS "sd1.txt", true);
    for (size_t i = 0; i < m->count; i++) {
        const char *name = m->tensors[i].name;
        bool text = strncmp(name, "text_model.", 11) == 0,
             vae = strncmp(name, "encoder.", 8) == 0 || strncmp(name, "decoder.", 8) == 0 || strstr(name, "quant_conv");
        kn_name full = kn_name_of("%s.%s", text ? "text_encoder" : vae ? "vae" : "unet", name);
        m->tensors[i].name = kn_arena_strdup(&m->arena, full.text, NULL);
    }
    cr_assert(kn_safetensors_write(in_folder("a.safetensors").text, m->tensors, m->count, &error), "%s", error.message);
    check_checkpoint("sd1", in_folder("a.safetensors").text, NULL, 1e-4);
    kn_arena_finish(&m->arena);
    kn_free(m);
}

static const uint8_t *own_data(void *user, size_t index, kn_error *error) {
    return ((made *)user)->tensors[index].data;
}

Test(checkpoint, gguf, .init = make_folder, .fini = remove_folder) {
    kn_error error;
    made *m = kn_alloc(1, sizeof *m, NULL);
    make_tensors(m, FORMATS "sd2.txt", false);
    cr_assert(kn_gguf_write_from(in_folder("a.gguf").text, "sd2", m->tensors, m->count, own_data, m, &error), "%s",
              error.message);
    check_checkpoint("sd2", in_folder("a.gguf").text, NULL, 1e-4);
    kn_arena_finish(&m->arena);
    kn_free(m);
}

Test(checkpoint, control_network, .init = make_folder, .fini = remove_folder) {
    golden g;
    golden_init(&g, "formats/sd1");
    make_file(FORMATS "sd1.txt", "sd1.safetensors");
    make_file(FORMATS "control.txt", "edges.safetensors");
    kn_name path = in_folder("sd1.safetensors"), branch = in_folder("edges.safetensors");
    kn_model *model = open_model(&g, path.text, (kn_model_params){.controlnets = {branch.text}, .controlnet_count = 1});
    const kn_model_info *info = kn_model_get_info(model);
    cr_assert(info->control_count == 1 && strcmp(info->control_names[0], "edges") == 0 &&
              info->control_channels[0] == 3);
    kn_tensor pictures = golden_upload(&g, "condition"), condition = {0};
    REQUIRE(&g, kn_controlnet_embed(g.graph, &condition, &model->controlnets[0], &pictures, &g.error));
    REQUIRE(&g, kn_graph_run(g.graph, &g.error));
    golden_expect(&g, &condition, "embedding", 1e-4);
    renew(&g);
    condition = golden_upload(&g, "embedding");
    kn_control_use use = {.controlnet = &model->controlnets[0], .condition = &condition, .scale = 1};
    expect_unet(&g, &model->unet, &use, "controlled", 1e-4);
    kn_model_destroy(&model);
    golden_finish(&g);
}

#define EXPECT_REFUSAL(g, path, params, expected)                                                              \
    do {                                                                                                       \
        kn_model *refused;                                                                                     \
        cr_assert_not(kn_model_load(&refused, (g)->gpu, path, params, &(g)->error), "accepted: %s", expected); \
        cr_assert(strstr((g)->error.message, expected), "'%s' lacks '%s'", (g)->error.message, expected);      \
    } while (0)

Test(checkpoint, says_what_is_wrong, .init = make_folder, .fini = remove_folder) {
    golden g;
    kn_error error;
    golden_init(&g, "formats/sd1");
    made *m = kn_alloc(1, sizeof *m, NULL);
    make_tensors(m, FORMATS "sd1.txt", false);
    kn_name path = in_folder("a.safetensors");
    kn_model_params params = {.tokenizer = FOLDER "model/tokenizer"}, bare = {0};
    cr_assert(kn_safetensors_write(path.text, m->tensors, m->count, &error));
    EXPECT_REFUSAL(&g, path.text, &bare, "give --tokenizer DIR");
    /* one tensor missing, one too many, one misshaped, no autoencoder */
    kn_stored_tensor first = m->tensors[4];
    cr_assert(kn_safetensors_write(path.text, m->tensors + 1, m->count - 1, &error));
    EXPECT_REFUSAL(&g, path.text, &params,
                   "a.safetensors: tensor 'time_embedding.linear_1.weight' of shape [128, 32] is missing");
    m->tensors[4].name = "model.diffusion_model.input_blocks.1.0.in_layers.7.weight";
    cr_assert(kn_safetensors_write(path.text, m->tensors, m->count, &error));
    EXPECT_REFUSAL(&g, path.text, &params, "is missing");
    m->tensors[4] = first;
    m->tensors[m->count] = first;
    m->tensors[m->count].name = "model.diffusion_model.input_blocks.1.1.extra";
    cr_assert(kn_safetensors_write(path.text, m->tensors, m->count + 1, &error));
    EXPECT_REFUSAL(&g, path.text, &params,
                   "1 tensors have no place in the configured network: 'down_blocks.0.attentions.0.extra'");
    m->tensors[0].rank = 1;
    m->tensors[0].shape[0] = (int64_t)m->tensors[0].count;
    cr_assert(kn_safetensors_write(path.text, m->tensors, m->count, &error));
    EXPECT_REFUSAL(&g, path.text, &params, "has shape [4096], but the config asks for [128, 32]");
    size_t kept = 0;
    m->tensors[0].rank = 2, m->tensors[0].shape[0] = 128;
    for (size_t i = 0; i < m->count; i++) {
        if (strncmp(m->tensors[i].name, "first_stage_model.", 18) != 0) m->tensors[kept++] = m->tensors[i];
    }
    cr_assert(kn_safetensors_write(path.text, m->tensors, kept, &error));
    EXPECT_REFUSAL(&g, path.text, &params, "holds Stable Diffusion 1.x, UNet + text encoder, but no autoencoder");
    m->tensors[0].name = "model.diffusion_model.label_emb.0.0.weight";
    cr_assert(kn_safetensors_write(path.text, m->tensors, kept, &error));
    EXPECT_REFUSAL(&g, path.text, &params, "this is a Stable Diffusion XL model or a class-conditional one");
    EXPECT_REFUSAL(&g, FORMATS "lora/peft.safetensors", &params, "this is a LoRA, which --lora takes beside a model");
    EXPECT_REFUSAL(&g, FORMATS "torch/plain.pt", &params,
                   "none of its 10 tensors belongs to a network that Kinora knows: 'bfloat', 'double', 'empty'");
    kn_arena_finish(&m->arena);
    kn_free(m);
    golden_finish(&g);
}

/* Every allocation of opening a checkpoint fails in turn. */
Test(checkpoint, failing_allocations, .init = make_folder, .fini = remove_folder) {
    kn_error error;
    bool opened = false;
    make_file(FORMATS "control.txt", "a.safetensors");
    kn_name path = in_folder("a.safetensors");
    for (uint64_t n = 1; !opened && n < 2000; n++) {
        kn_checkpoint *checkpoint;
        kn_config config = {0};
        kn_alloc_fail_after(n);
        opened = kn_checkpoint_open(&checkpoint, path.text, &error) &&
                 kn_checkpoint_config(checkpoint, KN_PART_CONTROLNET, &config, &error);
        kn_alloc_fail_after(0);
        cr_assert(opened || error.kind == KN_ERROR_MEMORY, "allocation %d: %s", (int)n, error.message);
        kn_config_finish(&config);
        kn_checkpoint_close(&checkpoint);
    }
    cr_assert(opened);
}

/* --- LoRA ------------------------------------------------------------------------------------- */

static void open_with_loras(golden *g, const char *folder_name, kn_lora_set *set, kn_lora_target target,
                            kn_precision precision, kn_unet *unet, kn_text_encoder *encoder) {
    golden_open(g, folder_name, "");
    kn_weights_set_loras(g->weights, set, target);
    if (unet) REQUIRE(g, kn_unet_load(unet, g->gpu, &g->config, g->weights, precision, &g->error));
    else REQUIRE(g, kn_text_encoder_load(encoder, g->gpu, &g->config, g->weights, precision, &g->error));
    golden_close(g);
}

static void check_loras(const char *expected, const kn_lora_use *uses, int count, bool text, kn_precision precision,
                        double tolerance) {
    golden g;
    kn_unet unet;
    kn_text_encoder encoder;
    kn_lora_set *set;
    golden_init(&g, "formats/lora");
    REQUIRE(&g, kn_lora_set_create(&set, uses, count, &g.error));
    open_with_loras(&g, "unet_stable", set, KN_LORA_UNET, precision, &unet, NULL);
    expect_unet(&g, &unet, NULL, kn_name_of("unet_%s", expected).text, tolerance);
    kn_unet_finish(&unet);
    if (text) {
        cr_assert_not(kn_lora_check_used(set, true, &g.error));
        cr_assert(strstr(g.error.message, "2 layers of the LoRA have no place in the model: 'lora_te_") ||
                      strstr(g.error.message, "layers of the LoRA have no place"),
                  "%s", g.error.message);
        cr_assert(kn_lora_check_used(set, false, &g.error));
        open_with_loras(&g, "text_quick", set, KN_LORA_TEXT, precision, NULL, &encoder);
        expect_text(&g, &encoder, kn_name_of("text_%s", expected).text, tolerance);
        kn_text_encoder_finish(&encoder);
    }
    REQUIRE(&g, kn_lora_check_used(set, true, &g.error));
    kn_lora_set_destroy(&set);
    golden_finish(&g);
}

#define LORA(name, strength) \
    { FORMATS "lora/" name ".safetensors", strength }

Test(lora, kohya_with_convolutions) {
    check_loras("kohya", (kn_lora_use[]){LORA("kohya", .8f)}, 1, true, KN_PRECISION_FULL, 1e-4);
}
Test(lora, kohya_half) { check_loras("kohya", (kn_lora_use[]){LORA("kohya", .8f)}, 1, true, KN_PRECISION_HALF, 2e-3); }
Test(lora, peft_negative) {
    check_loras("peft", (kn_lora_use[]){LORA("peft", -.5f)}, 1, true, KN_PRECISION_FULL, 1e-4);
}
Test(lora, attention_processors) {
    check_loras("old", (kn_lora_use[]){LORA("old", 1)}, 1, false, KN_PRECISION_FULL, 1e-4);
}
Test(lora, original_names) { check_loras("ldm", (kn_lora_use[]){LORA("ldm", 1)}, 1, false, KN_PRECISION_FULL, 1e-4); }
Test(lora, two_at_once) {
    check_loras("both", (kn_lora_use[]){LORA("kohya", .8f), LORA("peft", .6f)}, 2, true, KN_PRECISION_FULL, 1e-4);
}

static void refuse_lora(const char *a, int64_t rows, const char *b, const char *expected) {
    static const uint8_t zeros[4096];
    kn_error error;
    kn_lora_set *set;
    kn_stored_tensor tensors[2] = {{.name = a, .dtype = KN_DTYPE_F32, .rank = 2, .shape = {rows, 8}, .data = zeros},
                                   {.name = b, .dtype = KN_DTYPE_F32, .rank = 2, .shape = {8, rows}, .data = zeros}};
    kn_name path = in_folder("lora.safetensors");
    cr_assert(kn_safetensors_write(path.text, tensors, b ? 2 : 1, &error));
    kn_lora_use use = {path.text, 1};
    bool ok = kn_lora_set_create(&set, &use, 1, &error);
    float values[64] = {0};
    kn_stored_tensor tensor = {.name = "a.b.weight", .rank = 2, .shape = {8, 8}, .count = 64};
    ok = ok && kn_lora_apply(set, KN_LORA_UNET, &tensor, values, &error) && kn_lora_check_used(set, true, &error);
    cr_assert_not(ok, "accepted: %s", expected);
    cr_assert(strstr(error.message, "lora.safetensors: ") && strstr(error.message, expected), "'%s' lacks '%s'",
              error.message, expected);
    kn_lora_set_destroy(&set);
}

Test(lora, says_what_is_wrong, .init = make_folder, .fini = remove_folder) {
    refuse_lora("lora_unet_a_b.oft_blocks", 2, NULL, "tensor 'lora_unet_a_b.oft_blocks' of shape [2, 8] does not fit");
    refuse_lora("lora_unet_a_b.ia3_weight", 2, NULL, "tensor 'lora_unet_a_b.ia3_weight': it is no part of a LoRA");
    refuse_lora("lora_unet_a_b.lora_down.weight", 2, NULL, "layer 'a_b' has no up matrix");
    refuse_lora("lora_unet_a_b.lora_up.weight", 8, NULL, "layer 'a_b' has no down matrix");
    refuse_lora("lora_unet_a_b.lora_down.weight", 2, "unet.a.b.lora_A.weight", "mean the same");
    refuse_lora("lora_unet_a_c.lora_down.weight", 2, "lora_unet_a_c.lora_up.weight",
                "1 layers of the LoRA have no place in the model: 'lora_unet_a_c.lora_down.weight'");
    refuse_lora("lora_unet_a_b.lora_up.weight", 2, "lora_unet_a_b.lora_down.weight",
                "does not fit 'a.b.weight' of shape [8, 8]");
}

/* --- block formats ---------------------------------------------------------------------------- */

Test(quantise, reads_the_documented_layouts) {
    static const kn_dtype types[] = {KN_DTYPE_Q8_0, KN_DTYPE_Q4_0, KN_DTYPE_Q4_1, KN_DTYPE_Q5_0, KN_DTYPE_Q5_1,
                                     KN_DTYPE_Q2_K, KN_DTYPE_Q3_K, KN_DTYPE_Q4_K, KN_DTYPE_Q5_K, KN_DTYPE_Q6_K};
    kn_error error;
    kn_safetensors *file;
    cr_assert(kn_safetensors_open(&file, FORMATS "blocks.safetensors", &error), "%s", error.message);
    for (size_t i = 0; i < KN_COUNT(types); i++) {
        kn_name blocks = kn_name_of("%s.blocks", kn_dtype_name(types[i])),
                values = kn_name_of("%s.values", kn_dtype_name(types[i]));
        const kn_stored_tensor *packed = kn_safetensors_find(file, blocks.text),
                               *expected = kn_safetensors_find(file, values.text);
        cr_assert(packed && expected);
        cr_assert_eq(packed->count, expected->count / kn_dtype_block(types[i]) * kn_dtype_size(types[i]));
        float out[6 * 256], wanted[6 * 256];
        kn_stored_tensor_to_float(expected, wanted);
        kn_dequantise(types[i], packed->data, expected->count, out);
        golden_compare(out, wanted, expected->count, kn_dtype_name(types[i]), 1e-6);
    }
    kn_safetensors_close(&file);
}

/* All 256 bytes of both 8-bit floating-point formats, by PyTorch. */
Test(quantise, reads_fp8) {
    static const kn_dtype types[] = {KN_DTYPE_F8_E4M3, KN_DTYPE_F8_E5M2};
    kn_error error;
    kn_safetensors *file;
    cr_assert(kn_safetensors_open(&file, FORMATS "blocks.safetensors", &error), "%s", error.message);
    for (size_t i = 0; i < KN_COUNT(types); i++) {
        kn_name blocks = kn_name_of("%s.blocks", kn_dtype_name(types[i])),
                values = kn_name_of("%s.values", kn_dtype_name(types[i]));
        kn_stored_tensor packed = *kn_safetensors_find(file, blocks.text);
        float out[256], wanted[256];
        packed.dtype = types[i];
        kn_stored_tensor_to_float(&packed, out);
        kn_stored_tensor_to_float(kn_safetensors_find(file, values.text), wanted);
        for (int j = 0; j < 256; j++)
            cr_assert(isnan(wanted[j]) ? isnan(out[j]) : out[j] == wanted[j], "%s %d: %g, expected %g",
                      kn_dtype_name(types[i]), j, (double)out[j], (double)wanted[j]);
    }
    kn_safetensors_close(&file);
}
