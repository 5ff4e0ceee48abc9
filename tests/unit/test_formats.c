/* Hostile and odd weight files: GGUF, PyTorch's archives, safetensors; names, block formats, conversion. */
#include "diffusion/files/checkpoint.h"
#include "diffusion/files/gguf.h"
#include "diffusion/files/pickle.h"
#include "diffusion/files/quantise.h"
#include "diffusion/sampling/convert.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define TORCH "tests/golden/formats/torch/"

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

static const char *in_folder(const char *name) {
    static char path[4][160];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static void expect_refusal(bool ok, const kn_error *error, const char *expected) {
    cr_expect_not(ok, "accepted: %s", expected);
    cr_expect(strstr(error->message, expected) && strstr(error->message, "here"), "'%s' lacks '%s'", error->message,
              expected);
}

/* --- GGUF ------------------------------------------------------------------------------------- */

typedef struct bytes {
    uint8_t data[4096];
    size_t size;
} bytes;

static void put(bytes *b, uint64_t value, int count) {
    for (int i = 0; i < count; i++) b->data[b->size++] = (uint8_t)(value >> (8 * i));
}

static void put_text(bytes *b, const char *text) {
    put(b, strlen(text), 8);
    memcpy(b->data + b->size, text, strlen(text));
    b->size += strlen(text);
}

static bytes gguf(uint32_t version, uint64_t tensors, uint64_t metadata) {
    bytes b = {0};
    memcpy(b.data, "GGUF", b.size = 4);
    put(&b, version, 4), put(&b, tensors, 8), put(&b, metadata, 8);
    return b;
}

static void put_tensor(bytes *b, const char *name, int rank, const uint64_t *dims, uint32_t type, uint64_t offset) {
    put_text(b, name);
    put(b, (uint64_t)rank, 4);
    for (int i = 0; i < rank; i++) put(b, dims[i], 8);
    put(b, type, 4), put(b, offset, 8);
}

static void refuse_gguf(const bytes *b, const char *expected) {
    kn_error error = {0};
    kn_archive *archive;
    bool ok = kn_archive_parse(&archive, b->data, b->size, "here.gguf", &error);
    expect_refusal(ok, &error, expected);
    kn_archive_close(&archive);
}

static void refuse_tensor(int rank, const uint64_t *dims, uint32_t type, uint64_t offset, const char *expected) {
    bytes b = gguf(3, 1, 0);
    put_tensor(&b, "a", rank, dims, type, offset);
    b.size = (b.size + 31) / 32 * 32 + 64;
    refuse_gguf(&b, expected);
}

Test(gguf, refuses_broken_tensors) {
    refuse_tensor(1, (uint64_t[]){16}, 4, 0, "tensor 'a': ggml type 4 is none of");
    refuse_tensor(1, (uint64_t[]){16}, UINT32_MAX, 0, "ggml type 4294967295");
    refuse_tensor(1, (uint64_t[]){17}, 0, 0, "shape [17] of F32 at offset 0 does not fit the 64 bytes of data");
    refuse_tensor(1, (uint64_t[]){8}, 0, 64, "at offset 64 does not fit");
    refuse_tensor(1, (uint64_t[]){8}, 0, 8, "no multiple of 32");
    refuse_tensor(1, (uint64_t[]){8}, 0, UINT64_MAX - 31, "lies outside the file");
    refuse_tensor(2, (uint64_t[]){1u << 31, 1ull << 33}, 0, 0, "the product of the shape overflows");
    refuse_tensor(1, (uint64_t[]){1ull << 63}, 0, 0, "a dimension overflows");
    refuse_tensor(1, (uint64_t[]){1ull << 62}, 0, 0, "does not fit");
    refuse_tensor(9, (uint64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, "more than 8 dimensions");
    refuse_tensor(2, (uint64_t[]){16, 2}, 8, 0, "rows of 16 elements are no multiple of Q8_0's blocks of 32");
}

Test(gguf, refuses_broken_headers) {
    bytes b = gguf(1, 0, 0);
    refuse_gguf(&b, "GGUF version 1; 2 and 3");
    b = gguf(0x03000000, 0, 0);
    refuse_gguf(&b, "GGUF version 50331648");
    b = gguf(3, UINT64_MAX, 0);
    refuse_gguf(&b, "18446744073709551615 tensors");
    b = gguf(3, 0, UINT64_MAX);
    refuse_gguf(&b, "18446744073709551615 metadata entries");
    b = gguf(3, 1, 0);
    refuse_gguf(&b, "the file ends inside the table of tensors");
    b.size = 10;
    refuse_gguf(&b, "the file ends inside the header");
    b = gguf(3, 0, 1), put(&b, UINT64_MAX, 8);
    refuse_gguf(&b, "a text of 18446744073709551615 bytes in the metadata is longer than the file");
    b = gguf(3, 0, 1), put_text(&b, "k"), put(&b, 13, 4), put(&b, 0, 8);
    refuse_gguf(&b, "metadata of unknown type 13");
    b = gguf(3, 0, 1), put_text(&b, "k"), put(&b, 9, 4), put(&b, 0, 4), put(&b, UINT64_MAX, 8);
    refuse_gguf(&b, "a list of 18446744073709551615 entries");
    b = gguf(3, 0, 1), put_text(&b, "k"), put(&b, 9, 4);
    for (int i = 0; i < 9; i++) put(&b, 9, 4), put(&b, 1, 8);
    refuse_gguf(&b, "nested too deeply");
    b = gguf(3, 0, 1), put_text(&b, "general.alignment"), put(&b, 4, 4), put(&b, 48, 4);
    refuse_gguf(&b, "general.alignment must be a power of two");
    b = gguf(3, 2, 0);
    put_tensor(&b, "a", 1, (uint64_t[]){2}, 24, 0), put_tensor(&b, "a", 1, (uint64_t[]){2}, 24, 32);
    b.size += 128;
    refuse_gguf(&b, "tensor 'a': the name is used twice");
    b = gguf(3, 1, 0), put_tensor(&b, "", 1, (uint64_t[]){2}, 24, 0);
    refuse_gguf(&b, "a tensor's name must have 1 to");
}

/* --- PyTorch ---------------------------------------------------------------------------------- */

static const float *floats(const kn_archive *archive, const char *name, float *out) {
    const kn_stored_tensor *tensor = kn_archive_find(archive, name);
    cr_assert(tensor, "%s is missing", name);
    cr_assert(tensor->count <= 24);
    kn_stored_tensor_to_float(tensor, out);
    return out;
}

static void check_plain(const char *path) {
    kn_error error;
    kn_archive *archive;
    float v[24];
    cr_assert(kn_archive_open(&archive, path, &error), "%s", error.message);
    cr_assert_eq(archive->count, 10);
    static const char *const same[] = {"plain", "half", "bfloat", "double", "long"};
    for (size_t i = 0; i < KN_COUNT(same); i++) {
        floats(archive, same[i], v);
        for (int j = 0; j < 24; j++) cr_assert_eq(v[j], (float)j, "%s[%d] is %g", same[i], j, (double)v[j]);
    }
    const kn_stored_tensor *tensor = kn_archive_find(archive, "plain");
    cr_assert(tensor->rank == 3 && tensor->shape[0] == 2 && tensor->shape[2] == 4);
    cr_assert(floats(archive, "slice", v)[4] == 9 && v[0] == 5);
    tensor = kn_archive_find(archive, "turned");
    cr_assert(tensor->shape[0] == 6 && tensor->shape[1] == 4);
    cr_assert(floats(archive, "turned", v)[1] == 6 && v[4] == 1 && v[23] == 23);
    cr_assert(floats(archive, "scalar", v)[0] == 7 && kn_archive_find(archive, "scalar")->rank == 0);
    cr_assert_eq(kn_archive_find(archive, "empty")->count, 0);
    cr_assert(floats(archive, "parameter", v)[3] == 3);
    kn_archive_close(&archive);
}

Test(torch, reads_archives) {
    kn_error error;
    kn_archive *archive;
    float v[24];
    check_plain(TORCH "plain.pt");
    check_plain(TORCH "deflated.pt");
    cr_assert(kn_archive_open(&archive, TORCH "nested.ckpt", &error), "%s", error.message);
    cr_assert_eq(archive->count, 2);
    cr_assert(floats(archive, "weight", v)[5] == 1);
    kn_archive_close(&archive);
}

static void refuse_file(const char *path, const char *expected) {
    kn_error error = {0};
    kn_archive *archive;
    cr_expect_not(kn_archive_open(&archive, path, &error), "accepted: %s", expected);
    cr_expect(strstr(error.message, expected) && strstr(error.message, path), "'%s' lacks '%s'", error.message,
              expected);
    kn_archive_close(&archive);
}

Test(torch, refuses_code_and_old_files) {
    refuse_file(TORCH "evil.pt", "it asks for posix.system, which is no tensor and is never run");
    refuse_file(TORCH "old.pt", "a pickle without a zip archive");
    refuse_file(TORCH "expanded.pt", "tensor 'a': it repeats elements of its storage");
}

static void refuse_pickle(const char *data, size_t size, const char *expected) {
    kn_error error = {0};
    kn_pickle pickle;
    bool ok = kn_pickle_init(&pickle, (const uint8_t *)data, size, "here", &error);
    expect_refusal(ok, &error, expected);
    kn_pickle_finish(&pickle);
}

#define PICKLE(data, expected) refuse_pickle(data, sizeof data - 1, expected)
#define STORAGE "(U\7storagectorch\nFloatStorage\nU\0010U\3cpuK\4tQ"

Test(pickle, refuses_code) {
    PICKLE("cos\nsystem\n(U\2lstR.", "it asks for os.system");
    PICKLE("cbuiltins\neval\n(U\0011tR.", "it asks for builtins.eval");
    PICKLE("\200\4\214\10builtins\214\4exec\223.", "it asks for builtins.exec");
    PICKLE("ctorch\nload\n.", "it asks for torch.load");
    PICKLE("(ios\nsystem\n.", "opcode 0x69 is not needed for tensors and is refused");
    PICKLE("(cos\nsystem\no.", "it asks for os.system");
    PICKLE("\202\1.", "opcode 0x82");
    PICKLE("ctorch\nFloatStorage\n)R.", "it calls something that is no tensor");
    PICKLE("}}R.", "it calls something that is no tensor");
    PICKLE("ctorch\nFloatStorage\n)\201.", "it makes an object of something that is no class");
    PICKLE("]}b.", "it sets attributes of something that is no dictionary");
}

Test(pickle, refuses_broken_data) {
    PICKLE("", "the pickle ends in the middle");
    PICKLE("}", "the pickle ends in the middle");
    PICKLE(".", "too few values");
    PICKLE("(.", "too few values");
    PICKLE("t.", "a mark is missing");
    PICKLE("\207.", "too few values");
    PICKLE("K\1K\2\207.", "too few values");
    PICKLE("X\377\377\377\377a.", "a text is longer than the pickle");
    PICKLE("\215\377\377\377\377\377\377\377\377a.", "a text is longer than the pickle");
    PICKLE("}(U\1\0u.", "no dictionary to go to");
    PICKLE("\212\11\1\1\1\1\1\1\1\1\1.", "does not fit 64 bits");
    PICKLE("h\0.", "what was never remembered");
    PICKLE("}r\377\377\377\377.", "the memo's number is too large");
    PICKLE("q\0.", "nothing to remember");
    PICKLE("\200\11.", "unknown pickle protocol");
    PICKLE("K\1K\2s.", "no dictionary");
    PICKLE("]K\1K\2s.", "no dictionary");
    PICKLE("}(K\1u.", "no dictionary");
    PICKLE("}K\1a.", "no list");
    PICKLE("K\1Q.", "a storage must be given as");
    PICKLE("ctorch._utils\n_rebuild_tensor_v2\n)R.", "a tensor must be given as");
    PICKLE("ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K\0K\1\205K\1K\1\206tR.", "a tensor must be given as");
    PICKLE("ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K\0J\377\377\377\377\205K\1\205tR.",
           "integers of 0 or more");
    PICKLE("ctorch", "a name does not end");
    PICKLE("0.", "the stack is empty");
    PICKLE("(2.", "a mark cannot be copied");
}

Test(torch, truncated_archives_are_refused) {
    uint8_t *data;
    size_t size;
    kn_error error;
    cr_assert(kn_file_read(TORCH "plain.pt", 1 << 20, &data, &size, &error));
    for (size_t length = 0; length < size; length += 7) {
        kn_archive *archive;
        cr_assert_not(kn_archive_parse(&archive, data, length, "here", &error), "%zu of %zu bytes were accepted",
                      length, size);
    }
    kn_free(data);
}

Test(torch, failing_allocations) {
    bool opened = false;
    for (uint64_t n = 1; !opened && n < 3000; n++) {
        kn_error error = {0};
        kn_archive *archive;
        kn_alloc_fail_after(n);
        opened = kn_archive_open(&archive, TORCH "deflated.pt", &error);
        kn_alloc_fail_after(0);
        cr_assert(opened || error.kind == KN_ERROR_MEMORY, "allocation %d: %s", (int)n, error.message);
        kn_archive_close(&archive);
    }
    cr_assert(opened);
}

/* --- safetensors: what issue reports of other readers had ------------------------------------- */

static void refuse_header(const char *header, size_t data, const char *expected) {
    uint8_t file[1024] = {0};
    kn_error error = {0};
    kn_archive *archive;
    size_t length = strlen(header);
    file[0] = (uint8_t)length, file[1] = (uint8_t)(length >> 8);
    memcpy(file + 8, header, length);
    bool ok = kn_archive_parse(&archive, file, 8 + length + data, "here", &error);
    expect_refusal(ok, &error, expected);
}

Test(safetensors_hostile, strings_and_gaps) {
    refuse_header("\"text\"", 0, "must begin with '{'");
    refuse_header("{\"a\":[]}", 0, "tensor 'a': its entry must be an object");
    refuse_header("{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor 'a': 'dtype' must be a string");
    refuse_header("{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "'dtype' must be a string");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":\"[1]\",\"data_offsets\":[0,4]}}", 4,
                  "'shape' must be an array");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]}}", 4, "integers of 0 or more");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":\"04\"}}", 4,
                  "'data_offsets' must be two integers");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[\"0\",\"4\"]}}", 4,
                  "'data_offsets' must be two integers");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,3],\"data_offsets\":[0,4]}}", 4,
                  "overflows");
    refuse_header("{\"a\":{\"dtype\":\"Q4_0\",\"shape\":[32],\"data_offsets\":[0,18]}}", 18, "type 'Q4_0' is none of");
}

/* --- block formats ---------------------------------------------------------------------------- */

Test(quantise, round_trips) {
    static const struct {
        kn_dtype dtype;
        double worst; /* root mean square error of unit Gaussian numbers */
    } formats[] = {{KN_DTYPE_Q8_0, .008},
                   {KN_DTYPE_Q4_0, .11},
                   {KN_DTYPE_Q4_K, .085},
                   {KN_DTYPE_Q5_K, .042},
                   {KN_DTYPE_Q6_K, .028}};
    enum { COUNT = 64 * 256 };
    float *x = kn_alloc(COUNT, sizeof *x, NULL), *y = kn_alloc(COUNT, sizeof *y, NULL);
    uint8_t *packed = kn_alloc(COUNT, 2, NULL);
    uint64_t state = 1;
    for (int i = 0; i < COUNT; i++) {
        double sum = -6;
        for (int j = 0; j < 12; j++) sum += (double)(kn_hash64(++state) >> 11) * 0x1p-53;
        x[i] = (float)sum;
    }
    for (size_t f = 0; f < KN_COUNT(formats); f++) {
        double error = 0;
        kn_quantise(formats[f].dtype, x, COUNT, packed);
        kn_dequantise(formats[f].dtype, packed, COUNT, y);
        for (int i = 0; i < COUNT; i++) error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        error = sqrt(error / COUNT);
        cr_expect(error < formats[f].worst && error > formats[f].worst / 4, "%s: %g", kn_dtype_name(formats[f].dtype),
                  error);
        /* zeros, one outlier, numbers that fp16 scales cannot hold, and what is not a number */
        float odd[256] = {0}, out[256];
        kn_quantise(formats[f].dtype, odd, 256, packed);
        kn_dequantise(formats[f].dtype, packed, 256, out);
        for (int i = 0; i < 256; i++) cr_expect_eq(out[i], 0);
        odd[7] = -3;
        kn_quantise(formats[f].dtype, odd, 256, packed);
        kn_dequantise(formats[f].dtype, packed, 256, out);
        cr_expect(fabs((double)out[7] + 3) < .05 && fabs((double)out[8]) < .05, "%s: %g",
                  kn_dtype_name(formats[f].dtype), (double)out[7]);
        odd[8] = 1e30f, odd[9] = -1e30f, odd[10] = NAN, odd[11] = INFINITY;
        kn_quantise(formats[f].dtype, odd, 256, packed);
        kn_dequantise(formats[f].dtype, packed, 256, out);
        for (int i = 0; i < 256; i++) cr_expect(isfinite(out[i]));
    }
    kn_free(x), kn_free(y), kn_free(packed);
}

Test(quantise, bfloat_rounds_to_even) {
    cr_assert_eq(kn_float_to_bfloat(1), 0x3f80);
    cr_assert_eq(kn_float_to_bfloat(1 + 0x1p-8f), 0x3f80);
    cr_assert_eq(kn_float_to_bfloat(1 + 3 * 0x1p-8f), 0x3f82);
    cr_assert_eq(kn_float_to_bfloat(-INFINITY), 0xff80);
    cr_assert_eq(kn_float_to_bfloat(NAN) & 0x7fff, 0x7fc0);
}

/* --- TAESD's own naming ----------------------------------------------------------------------- */

/* Writes the tensors of tests/golden/tiny that begin with `side` under the names of torch.nn.Sequential. */
static void write_half(const char *side, int shift, const char *path) {
    kn_error error;
    kn_archive *archive;
    kn_stored_tensor tensors[100];
    char names[100][64];
    size_t count = 0, length = strlen(side);
    cr_assert(kn_archive_open(&archive, "tests/golden/tiny/diffusion_pytorch_model.safetensors", &error), "%s",
              error.message);
    for (size_t i = 0; i < archive->count; i++) {
        const kn_stored_tensor *tensor = &archive->tensors[i];
        if (strncmp(tensor->name, side, length) != 0) continue;
        int index = atoi(tensor->name + length + 8);
        snprintf(names[count], sizeof names[count], "%d%s", index + shift, strchr(tensor->name + length + 8, '.'));
        tensors[count] = *tensor;
        tensors[count].name = names[count];
        count++;
    }
    cr_assert(kn_safetensors_write(path, tensors, count, &error), "%s", error.message);
    kn_archive_close(&archive);
}

Test(taesd, two_files, .init = make_folder, .fini = remove_folder) {
    kn_error error;
    kn_checkpoint *checkpoint;
    kn_config config;
    int latent = 0, blocks[8], count = 0;
    char what[200];
    write_half("decoder", 1, in_folder("taesd_decoder.safetensors"));
    write_half("encoder", 0, in_folder("taesd_encoder.safetensors"));
    cr_assert(rename(in_folder("taesd_decoder.safetensors"), in_folder("away")) == 0);
    cr_assert_not(kn_checkpoint_open(&checkpoint, in_folder("taesd_encoder.safetensors"), &error));
    cr_assert(strstr(error.message, "a TAESD without its decoder"), "%s", error.message);
    cr_assert(rename(in_folder("away"), in_folder("taesd_decoder.safetensors")) == 0);
    for (int i = 0; i < 2; i++) {
        cr_assert(kn_checkpoint_open(&checkpoint,
                                     in_folder(i ? "taesd_encoder.safetensors" : "taesd_decoder.safetensors"), &error),
                  "%s", error.message);
        kn_checkpoint_describe(checkpoint, what, sizeof what);
        cr_assert_str_eq(what, "TAESD, 6 latent channels");
        cr_assert(kn_checkpoint_config(checkpoint, KN_PART_TINY, &config, &error), "%s", error.message);
        cr_assert(kn_config_int(&config, "latent_channels", 1, 99, &latent, &error) && latent == 6);
        cr_assert(kn_config_ints(&config, "num_encoder_blocks", 0, 9, blocks, 8, &count, &error) && count == 3 &&
                  blocks[0] == 1 && blocks[1] == 2 && blocks[2] == 1);
        cr_assert(kn_config_ints(&config, "num_decoder_blocks", 0, 9, blocks, 8, &count, &error) && count == 3 &&
                  blocks[0] == 2 && blocks[1] == 1 && blocks[2] == 1);
        kn_config_finish(&config);
        kn_checkpoint_close(&checkpoint);
    }
}

/* --- conversion ------------------------------------------------------------------------------- */

static kn_convert_facts convert(const char *input, const char *output, const char *type) {
    kn_error error;
    kn_convert_facts facts;
    cr_assert(kn_convert_run(&(kn_convert_job){.input = input, .output = output, .type = type}, &facts, &error), "%s",
              error.message);
    return facts;
}

Test(convert, keeps_names_and_values, .init = make_folder, .fini = remove_folder) {
    kn_error error;
    kn_archive *a, *b;
    const char *input = "tests/golden/kl/diffusion_pytorch_model.safetensors";
    char gguf_path[160], back[160];
    snprintf(gguf_path, sizeof gguf_path, "%s", in_folder("a.gguf"));
    snprintf(back, sizeof back, "%s", in_folder("b.safetensors"));
    convert(input, gguf_path, NULL);
    kn_convert_facts facts = convert(gguf_path, back, NULL);
    cr_assert_str_eq(facts.what, "autoencoder, 5 latent channels");
    cr_assert(kn_archive_open(&a, input, &error) && kn_archive_open(&b, back, &error), "%s", error.message);
    cr_assert_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        cr_assert_str_eq(a->tensors[i].name, b->tensors[i].name);
        cr_assert(a->tensors[i].dtype == b->tensors[i].dtype && a->tensors[i].rank == b->tensors[i].rank);
        cr_assert_arr_eq(a->tensors[i].shape, b->tensors[i].shape, sizeof a->tensors[i].shape);
        cr_assert_arr_eq(a->tensors[i].data, b->tensors[i].data, kn_stored_tensor_bytes(&a->tensors[i]));
    }
    kn_archive_close(&a), kn_archive_close(&b);
    convert(input, in_folder("vae/"), "f32");
    struct stat status;
    cr_assert(stat(in_folder("vae/config.json"), &status) == 0 &&
              stat(in_folder("vae/diffusion_pytorch_model.safetensors"), &status) == 0);
}

Test(convert, quantises_whole_rows, .init = make_folder, .fini = remove_folder) {
    kn_error error;
    kn_archive *archive;
    static float data[64 * 512];
    const uint8_t *raw = (const uint8_t *)data;
    kn_stored_tensor tensors[] = {
        {.name = "a.weight", .dtype = KN_DTYPE_F32, .rank = 2, .shape = {64, 512}, .data = raw},
        {.name = "b.weight", .dtype = KN_DTYPE_F32, .rank = 2, .shape = {64, 96}, .data = raw},
        {.name = "c.weight", .dtype = KN_DTYPE_F32, .rank = 4, .shape = {16, 16, 3, 3}, .data = raw},
        {.name = "d.bias", .dtype = KN_DTYPE_F32, .rank = 1, .shape = {512}, .data = raw},
        {.name = "model_ema.x", .dtype = KN_DTYPE_F32, .rank = 1, .shape = {1}, .data = raw},
        {.name = "token_embedding.weight", .dtype = KN_DTYPE_F32, .rank = 2, .shape = {64, 512}, .data = raw}};
    for (int i = 0; i < 64 * 512; i++) data[i] = sinf((float)i);
    char input[160];
    snprintf(input, sizeof input, "%s", in_folder("a.safetensors"));
    cr_assert(kn_safetensors_write(input, tensors, KN_COUNT(tensors), &error), "%s", error.message);
    kn_convert_facts facts = convert(input, in_folder("a.gguf"), "q4_k");
    cr_assert(facts.dropped == 1 && facts.tensors == 5);
    cr_assert(kn_archive_open(&archive, in_folder("a.gguf"), &error), "%s", error.message);
    cr_assert_eq(kn_archive_find(archive, "a.weight")->dtype, KN_DTYPE_Q4_K);
    cr_assert_eq(kn_archive_find(archive, "b.weight")->dtype, KN_DTYPE_Q8_0);
    cr_assert_eq(kn_archive_find(archive, "c.weight")->dtype, KN_DTYPE_F16);
    cr_assert_eq(kn_archive_find(archive, "d.bias")->dtype, KN_DTYPE_F32);
    cr_assert_eq(kn_archive_find(archive, "token_embedding.weight")->dtype, KN_DTYPE_F16);
    kn_archive_close(&archive);
}

static void refuse_conversion(const char *input, const char *output, const char *type, const char *expected) {
    kn_error error = {0};
    kn_convert_facts facts;
    cr_expect_not(kn_convert_run(&(kn_convert_job){.input = input, .output = output, .type = type}, &facts, &error),
                  "accepted: %s", expected);
    cr_expect(strstr(error.message, expected), "'%s' lacks '%s'", error.message, expected);
}

Test(convert, says_what_is_wrong, .init = make_folder, .fini = remove_folder) {
    const char *input = "tests/golden/kl/diffusion_pytorch_model.safetensors";
    refuse_conversion(input, in_folder("a.bin"), NULL, "must end with .safetensors, .gguf or");
    refuse_conversion(input, in_folder("a.safetensors"), "q4_0", "block formats need OUT.gguf");
    refuse_conversion(input, in_folder("a/"), "q4_0", "block formats need OUT.gguf");
    refuse_conversion(input, in_folder("a.gguf"), "q3_k", "--type q3_k: expected f32");
    refuse_conversion(input, in_folder("a.gguf"), "i64", "--type i64: expected f32");
    refuse_conversion("absent", in_folder("a.gguf"), NULL, "absent: no such file");
    refuse_conversion("tests/golden/model", in_folder("a.safetensors"), NULL, "a single file cannot hold this network");
    refuse_conversion(TORCH "evil.pt", in_folder("a.safetensors"), NULL, "it asks for posix.system");
    cr_assert_not(kn_file_exists(in_folder("a.safetensors")));
}

Test(convert, a_new_folder_is_whole_or_absent, .init = make_folder, .fini = remove_folder) {
    const char *input = "tests/golden/kl/diffusion_pytorch_model.safetensors";
    struct rlimit limit = {4096, 4096};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0); /* the disk is full */
    refuse_conversion(input, in_folder("new/vae/"), NULL, "vae.part");
    cr_expect_not(kn_file_exists(in_folder("new")));
}
