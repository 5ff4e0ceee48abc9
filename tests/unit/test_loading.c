/* What public weight files hold that no format asks for, and what tells other families apart. */
#include "diffusion/files/checkpoint.h"
#include "diffusion/files/weights.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static kn_error error;

/* A file of safetensors in memory: header and data as they are. */
typedef struct file {
    uint8_t bytes[1 << 16];
    size_t size;
} file;

static file make(const char *header, const void *data, size_t size) {
    static file f;
    size_t length = strlen(header);
    memset(&f, 0, sizeof f);
    f.bytes[0] = (uint8_t)length, f.bytes[1] = (uint8_t)(length >> 8);
    memcpy(f.bytes + 8, header, length);
    if (size) memcpy(f.bytes + 8 + length, data, size);
    f.size = 8 + length + size;
    return f;
}

static kn_archive *parse(const file *f) {
    kn_archive *archive;
    cr_assert(kn_archive_parse(&archive, f->bytes, f->size, "here", &error), "%s", error.message);
    return archive;
}

static float first(const kn_archive *archive, const char *name) {
    float values[64];
    const kn_stored_tensor *tensor = kn_archive_find(archive, name);
    cr_assert(tensor && tensor->count <= 64, "no %s", name);
    kn_stored_tensor_to_float(tensor, values);
    return values[0];
}

/* --- safetensors ------------------------------------------------------------------------------ */

/* A header of 0x280 bytes: as if a pickle of protocol 2 began. */
Test(loading, a_length_that_looks_like_a_pickle) {
    char header[0x281];
    float value = 3;
    int used = snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}");
    memset(header + used, ' ', sizeof header - (size_t)used);
    header[0x27f] = '}', header[0x280] = 0;
    file f = make(header, &value, 4);
    cr_assert(f.bytes[0] == 0x80 && f.bytes[1] == 2);
    kn_archive *archive = parse(&f);
    cr_assert_eq(first(archive, "a"), 3);
    kn_archive_close(&archive);
}

Test(loading, names_in_a_wrapper) {
    float values[2] = {1, 2};
    file f = make("{\"module.a.b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                  "\"module.c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
                  values, 8);
    kn_archive *archive = parse(&f);
    cr_assert(first(archive, "a.b") == 1 && first(archive, "c") == 2);
    kn_archive_close(&archive);
}

/* 1.5 in both formats, times the layer's scale; both spellings of the scale. */
Test(loading, scaled_fp8) {
    uint8_t data[16] = {0x3c, 0x3e};
    float scale = .25f, other = -4;
    memcpy(data + 4, &scale, 4);
    memcpy(data + 8, &other, 4);
    file f = make("{\"a.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]},"
                  "\"b.weight\":{\"dtype\":\"F8_E5M2\",\"shape\":[1],\"data_offsets\":[1,2]},"
                  "\"scaled_fp8\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[2,4]},"
                  "\"a.scale_weight\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[4,8]},"
                  "\"b.weight_scale\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]},"
                  "\"b.input_scale\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}",
                  data, 16);
    kn_archive *archive = parse(&f);
    cr_assert_eq(archive->count, 2);
    cr_assert(first(archive, "a.weight") == .375f && first(archive, "b.weight") == -6, "%g %g",
              (double)first(archive, "a.weight"), (double)first(archive, "b.weight"));
    kn_archive_close(&archive);
    f = make("{\"a.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]},"
             "\"a.scale_weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[2,10]}}",
             data, 10);
    cr_assert_not(kn_archive_parse(&archive, f.bytes, f.size, "here", &error));
    cr_assert(strstr(error.message, "here: tensor 'a.scale_weight': expected one number"), "%s", error.message);
}

Test(loading, metadata) {
    float value = 1;
    file f = make("{\"__metadata__\":{\"modelspec.prediction_type\":\"v\"},"
                  "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                  &value, 4);
    kn_archive *archive = parse(&f);
    cr_assert_str_eq(kn_archive_metadata(archive, "modelspec.prediction_type"), "v");
    cr_assert_null(kn_archive_metadata(archive, "format"));
    kn_archive_close(&archive);
}

Test(loading, integers_are_no_weights) {
    int32_t value = 1;
    int64_t shape = 1;
    file f = make("{\"a.weight\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]}}", &value, 4);
    kn_archive *archive = parse(&f);
    kn_weights *weights;
    cr_assert(kn_weights_create(&weights, &error));
    cr_assert(kn_weights_add_tensors(weights, archive->tensors, archive->count, "here", NULL, &error));
    cr_assert_null(kn_weights_take(weights, "a.weight", 1, &shape, &error));
    cr_assert(strstr(error.message, "here: tensor 'a.weight' holds I32, expected floating-point weights"), "%s",
              error.message);
    kn_weights_destroy(&weights);
    kn_archive_close(&archive);
}

/* --- GGUF ------------------------------------------------------------------------------------- */

typedef struct gguf {
    uint8_t bytes[4096];
    size_t size;
} gguf;

static void put(gguf *g, uint64_t value, int count) {
    for (int i = 0; i < count; i++) g->bytes[g->size++] = (uint8_t)(value >> (8 * i));
}

static void put_text(gguf *g, const char *text) {
    put(g, strlen(text), 8);
    memcpy(g->bytes + g->size, text, strlen(text));
    g->size += strlen(text);
}

static void put_tensor(gguf *g, const char *name, uint64_t count, uint64_t offset) {
    put_text(g, name);
    put(g, 1, 4), put(g, count, 8), put(g, 0, 4), put(g, offset, 8);
}

static gguf begin(int tensors, int metadata) {
    gguf g = {.bytes = "GGUF", .size = 4};
    put(&g, 3, 4), put(&g, (uint64_t)tensors, 8), put(&g, (uint64_t)metadata, 8);
    return g;
}

static void end(gguf *g, int floats) {
    g->size = (g->size + 31) / 32 * 32;
    for (int i = 0; i < floats; i++) {
        float value = (float)i;
        memcpy(g->bytes + g->size, &value, 4);
        g->size += 4;
    }
}

static void put_shape(gguf *g, const char *tensor, int rank, const uint64_t *shape) {
    char key[100];
    snprintf(key, sizeof key, "comfy.gguf.orig_shape.%s", tensor);
    put_text(g, key);
    put(g, 9, 4), put(g, 5, 4), put(g, (uint64_t)rank, 8);
    for (int i = 0; i < rank; i++) put(g, shape[i], 4);
}

Test(loading, shapes_that_a_converter_folded) {
    kn_archive *archive;
    gguf g = begin(2, 1);
    put_shape(&g, "a", 3, (uint64_t[]){4, 2, 1});
    put_tensor(&g, "a", 8, 0), put_tensor(&g, "b", 8, 32);
    end(&g, 16);
    cr_assert(kn_archive_parse(&archive, g.bytes, g.size, "here", &error), "%s", error.message);
    const kn_stored_tensor *a = kn_archive_find(archive, "a");
    cr_assert(a->rank == 3 && a->shape[0] == 4 && a->shape[1] == 2 && a->shape[2] == 1 && a->count == 8);
    cr_assert(kn_archive_find(archive, "b")->rank == 1 && first(archive, "b") == 8);
    kn_archive_close(&archive);
    g = begin(1, 1);
    put_shape(&g, "a", 2, (uint64_t[]){4, 3});
    put_tensor(&g, "a", 8, 0);
    end(&g, 8);
    cr_assert_not(kn_archive_parse(&archive, g.bytes, g.size, "here", &error));
    cr_assert(strstr(error.message, "tensor 'a': its original shape has another number"), "%s", error.message);
}

Test(loading, tensors_that_overlap) {
    kn_archive *archive;
    gguf g = begin(3, 0);
    put_tensor(&g, "c", 0, 32), put_tensor(&g, "b", 8, 32), put_tensor(&g, "a", 16, 0);
    end(&g, 16);
    cr_assert_not(kn_archive_parse(&archive, g.bytes, g.size, "here", &error));
    cr_assert(strstr(error.message, "here: tensor 'b': its bytes overlap those of 'a'"), "%s", error.message);
}

/* --- PyTorch ---------------------------------------------------------------------------------- */

/* Lightning's callbacks, numpy's scalars and arrays, argparse, sets: passed over. */
Test(loading, foreign_classes) {
    kn_archive *archive;
    cr_assert(kn_archive_open(&archive, "tests/golden/formats/torch/foreign.ckpt", &error), "%s", error.message);
    cr_assert_eq(archive->count, 1);
    const kn_stored_tensor *weight = kn_archive_find(archive, "weight");
    float values[24];
    cr_assert(weight && weight->rank == 2 && weight->shape[0] == 4 && weight->shape[1] == 6);
    kn_stored_tensor_to_float(weight, values);
    cr_assert(values[0] == 0 && values[23] == 23);
    kn_archive_close(&archive);
}

/* --- families --------------------------------------------------------------------------------- */

static const char *family_of(const char *tensor) {
    char header[400];
    float value = 1;
    snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", tensor);
    file f = make(header, &value, 4);
    kn_archive *archive = parse(&f);
    const char *family = kn_foreign_family(archive);
    kn_archive_close(&archive);
    return family ? family : "";
}

Test(loading, other_families_are_named) {
    static const char *const cases[][2] = {
        {"model.diffusion_model.input_blocks.1.0.time_mixer.mix_factor", "Stable Video Diffusion"},
        {"model.diffusion_model.label_emb.0.0.weight", "Stable Diffusion XL"},
        {"model.diffusion_model.blocks.0.cross_attn.norm_k.weight", "Wan video"},
        {"head.modulation", "Wan video"},
        {"patchify_proj.weight", "LTX"},
        {"transformer_blocks.0.img_mod.1.weight", "Qwen-Image"},
        {"model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "Flux"},
        {"single_stream_modulation.lin.weight", "Flux 2"},
        {"lora_controlnet", "Control-LoRA"},
        {"unet.a.lora_A.weight", "this is a LoRA"},
        {"lora_unet_a.lora_down.weight", "this is a LoRA"},
        {"emb_params", "textual inversion"},
        {"encoder.block.0.layer.0.SelfAttention.q.weight", "T5"},
        {"down_blocks.0.motion_modules.0.norm.weight", "MotionAdapter"}};
    for (size_t i = 0; i < KN_COUNT(cases); i++)
        cr_expect(strstr(family_of(cases[i][0]), cases[i][1]), "%s: '%s' lacks '%s'", cases[i][0],
                  family_of(cases[i][0]), cases[i][1]);
    cr_expect_str_eq(family_of("model.diffusion_model.input_blocks.0.0.weight"), "");
}
