#include "diffusion/files/safetensors.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A file of this header and `bytes` zero bytes of data. */
static size_t build(uint8_t *out, const char *header, size_t bytes) {
    size_t length = strlen(header);
    for (int i = 0; i < 8; i++) out[i] = (uint8_t)((uint64_t)length >> (8 * i));
    memcpy(out + 8, header, length);
    memset(out + 8 + length, 0, bytes);
    return 8 + length + bytes;
}

static void refuse_bytes(const uint8_t *data, size_t size, const char *expected) {
    kn_error error = {0};
    kn_safetensors *file;
    cr_expect_not(kn_safetensors_parse(&file, data, size, "here.safetensors", &error), "accepted: %s", expected);
    cr_expect_null(file);
    cr_expect(strstr(error.message, expected) && strncmp(error.message, "here.safetensors: ", 18) == 0,
              "'%s' lacks '%s'", error.message, expected);
}

static void refuse(const char *header, size_t bytes, const char *expected) {
    uint8_t data[4096];
    refuse_bytes(data, build(data, header, bytes), expected);
}

#define T(dtype, shape, begin, end) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

Test(safetensors, refuses_broken_headers) {
    uint8_t data[64] = {0};
    refuse_bytes(data, 0, "0 bytes are too few");
    refuse_bytes(data, 7, "7 bytes are too few");
    refuse_bytes(data, 16, "must begin with '{'");
    memset(data, 0xff, 8);
    refuse_bytes(data, 64, "not a safetensors file (a header of 18446744073709551615");
    memset(data, 0, 8);
    data[0] = 57;
    refuse_bytes(data, 64, "longer than the file");
    refuse("{", 0, "must begin");
    refuse("{]", 0, "header at byte");
    refuse("[]", 0, "must begin with '{'");
    refuse("{\"a\":1}x", 0, "header at byte");
}

Test(safetensors, refuses_broken_entries) {
    refuse("{\"a\":1}", 0, "tensor 'a': its entry must be an object");
    refuse("{\"a\":{}}", 0, "tensor 'a': 'dtype' must be a string");
    refuse("{\"a\":" T("F8", "[1]", "0", "1") "}", 1, "tensor 'a': type 'F8' is none of");
    refuse("{\"a\":" T("U8", "1", "0", "1") "}", 1, "tensor 'a': 'shape' must be an array");
    refuse("{\"a\":" T("U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1, "more than 8 dimensions");
    refuse("{\"a\":" T("U8", "[-1]", "0", "1") "}", 1, "integers of 0 or more");
    refuse("{\"a\":" T("U8", "[1.5]", "0", "1") "}", 1, "integers of 0 or more");
    refuse("{\"a\":" T("U8", "[4294967296,4294967296]", "0", "0") "}", 0, "overflows");
    refuse("{\"a\":" T("F64", "[2305843009213693952]", "0", "0") "}", 0, "does not fit its 0 bytes");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "'data_offsets' must be two integers");
    refuse("{\"a\":" T("U8", "[1]", "0", "1.0") "}", 1, "'data_offsets' must be two integers");
    refuse("{\"a\":" T("U8", "[2]", "-1", "1") "}", 1, "lie outside");
    refuse("{\"a\":" T("U8", "[1]", "1", "0") "}", 1, "lie outside");
    refuse("{\"a\":" T("U8", "[2]", "0", "2") "}", 1, "lie outside the 1 bytes of data");
    refuse("{\"a\":" T("F32", "[3]", "0", "8") "}", 8, "shape [3] of F32 does not fit its 8 bytes");
    refuse("{\"a\":" T("U8", "[1]", "0", "1") ",\"a\":" T("U8", "[1]", "1", "2") "}", 2, "duplicate");
}

Test(safetensors, refuses_overlaps_and_gaps) {
    refuse("{\"a\":" T("U8", "[4]", "0", "4") ",\"b\":" T("U8", "[4]", "2", "6") "}", 6,
           "tensor 'b': its bytes overlap those of 'a'");
    refuse("{\"a\":" T("U8", "[2]", "0", "2") ",\"b\":" T("U8", "[2]", "3", "5") "}", 5,
           "tensor 'b': a gap of 1 bytes");
    refuse("{\"a\":" T("U8", "[2]", "1", "3") "}", 3, "tensor 'a': a gap of 1 bytes");
    refuse("{\"a\":" T("U8", "[2]", "0", "2") "}", 3, "1 bytes after the last tensor belong to none");
    refuse("{}", 1, "1 bytes after the last tensor");
}

Test(safetensors, accepts_the_odd) {
    uint8_t data[4096];
    kn_error error = {0};
    kn_safetensors *file;
    size_t size = build(data,
                        "{\"__metadata__\":{\"x\":\"y\"},\"scalar\":" T("F32", "[]", "0", "4") ",\"empty\":" T(
                            "F16", "[0,7]", "4", "4") ",\"a\":" T("U8", "[1,2]", "4", "6") "}  ",
                        6);
    cr_assert(kn_safetensors_parse(&file, data, size, "here", &error), "%s", error.message);
    size_t count;
    kn_safetensors_tensors(file, &count);
    cr_assert_eq(count, 3);
    cr_assert_eq(kn_safetensors_find(file, "scalar")->count, 1);
    cr_assert_eq(kn_safetensors_find(file, "empty")->count, 0);
    cr_assert_eq(kn_safetensors_find(file, "a")->rank, 2);
    cr_assert_null(kn_safetensors_find(file, "b"));
    kn_safetensors_close(&file);
    cr_assert_null(file);
    kn_safetensors_close(&file);
    size = build(data, "{}", 0);
    cr_assert(kn_safetensors_parse(&file, data, size, "here", &error), "%s", error.message);
    cr_assert_null(kn_safetensors_find(file, "a"));
    kn_safetensors_close(&file);
}

Test(safetensors, absent_file) {
    kn_error error = {0};
    kn_safetensors *file;
    cr_assert_not(kn_safetensors_open(&file, "/nonexistent/x.safetensors", &error));
    cr_assert(strstr(error.message, "/nonexistent/x.safetensors"), "%s", error.message);
}

static char *temporary(char *path) {
    strcpy(path, "/tmp/kinora-test-XXXXXX");
    int descriptor = mkstemp(path);
    cr_assert(descriptor >= 0);
    close(descriptor);
    return path;
}

Test(safetensors, writes_what_it_reads) {
    char path[64];
    float floats[6] = {1, -2, 3.5f, 0, 1e-30f, INFINITY};
    uint16_t halves[3] = {0x3c00, 0xc000, 0x0001}, bfloats[2] = {0x3f80, 0xc000};
    int64_t integers[2] = {-3, 1ll << 40};
    int32_t small[1] = {-7};
    double doubles[1] = {0.1};
    uint8_t bytes[3] = {1, 2, 255};
    const kn_stored_tensor tensors[] = {
        {.name = "f32", .dtype = KN_DTYPE_F32, .rank = 2, .shape = {2, 3}, .data = (uint8_t *)floats},
        {.name = "bytes \"quoted\" ü", .dtype = KN_DTYPE_U8, .rank = 1, .shape = {3}, .data = bytes},
        {.name = "f16", .dtype = KN_DTYPE_F16, .rank = 1, .shape = {3}, .data = (uint8_t *)halves},
        {.name = "bf16", .dtype = KN_DTYPE_BF16, .rank = 1, .shape = {2}, .data = (uint8_t *)bfloats},
        {.name = "i64", .dtype = KN_DTYPE_I64, .rank = 1, .shape = {2}, .data = (uint8_t *)integers},
        {.name = "i32", .dtype = KN_DTYPE_I32, .rank = 0, .data = (uint8_t *)small},
        {.name = "f64", .dtype = KN_DTYPE_F64, .rank = 1, .shape = {1}, .data = (uint8_t *)doubles},
        {.name = "none", .dtype = KN_DTYPE_F32, .rank = 2, .shape = {0, 4}},
    };
    kn_error error = {0};
    kn_safetensors *file;
    cr_assert(kn_safetensors_write(temporary(path), tensors, KN_COUNT(tensors), &error), "%s", error.message);
    cr_assert(kn_safetensors_open(&file, path, &error), "%s", error.message);
    size_t count;
    kn_safetensors_tensors(file, &count);
    cr_assert_eq(count, KN_COUNT(tensors));
    float out[6];
    for (size_t i = 0; i < KN_COUNT(tensors); i++) {
        const kn_stored_tensor *found = kn_safetensors_find(file, tensors[i].name);
        cr_assert(found && found->dtype == tensors[i].dtype && found->rank == tensors[i].rank);
        cr_assert_arr_eq(found->shape, tensors[i].shape, sizeof found->shape);
        cr_assert(found->count == 0 ||
                  memcmp(found->data, tensors[i].data, found->count * kn_dtype_size(found->dtype)) == 0);
    }
    kn_stored_tensor_to_float(kn_safetensors_find(file, "f16"), out);
    cr_assert(out[0] == 1 && out[1] == -2 && out[2] == 0x1p-24f);
    kn_stored_tensor_to_float(kn_safetensors_find(file, "bf16"), out);
    cr_assert(out[0] == 1 && out[1] == -2);
    kn_stored_tensor_to_float(kn_safetensors_find(file, "i64"), out);
    cr_assert(out[0] == -3 && out[1] == 0x1p40f);
    kn_stored_tensor_to_float(kn_safetensors_find(file, "i32"), out);
    cr_assert(out[0] == -7);
    kn_stored_tensor_to_float(kn_safetensors_find(file, "f64"), out);
    cr_assert(out[0] == 0.1f);
    kn_stored_tensor_to_float(kn_safetensors_find(file, "bytes \"quoted\" ü"), out);
    cr_assert(out[2] == 255);
    kn_safetensors_close(&file);
    /* cut short anywhere, the file is refused */
    for (int length = 0; length < 40; length++) {
        uint8_t *data;
        size_t size;
        cr_assert(kn_file_read(path, 1 << 20, &data, &size, &error));
        cr_assert_not(kn_safetensors_parse(&file, data, size - 1 - (size_t)length * (size / 41), "cut", &error));
        kn_free(data);
    }
    unlink(path);
}

Test(safetensors, writer_refuses) {
    char path[64];
    kn_error error = {0};
    kn_stored_tensor tensors[2] = {{.name = "a", .dtype = KN_DTYPE_U8, .rank = 1, .shape = {0}},
                                   {.name = "a", .dtype = KN_DTYPE_U8, .rank = 1, .shape = {0}}};
    temporary(path);
    cr_assert_not(kn_safetensors_write(path, tensors, 2, &error));
    cr_assert(strstr(error.message, "used twice"), "%s", error.message);
    tensors[0].shape[0] = -1;
    cr_assert_not(kn_safetensors_write(path, tensors, 1, &error));
    cr_assert_not(kn_safetensors_write("/nonexistent/x", tensors, 0, &error));
    cr_assert(strstr(error.message, "/nonexistent/x"), "%s", error.message);
    unlink(path);
}

Test(safetensors, full_disk_leaves_nothing) {
    char path[64];
    static uint8_t bytes[100000];
    kn_error error = {0};
    kn_stored_tensor one = {.name = "a", .dtype = KN_DTYPE_U8, .rank = 1, .shape = {sizeof bytes}, .data = bytes};
    unlink(temporary(path));
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){5000, 5000});
    cr_assert_not(kn_safetensors_write(path, &one, 1, &error));
    cr_assert_eq(error.kind, KN_ERROR_IO, "%s", error.message);
    cr_assert_not(kn_file_exists(path));
    strcat(path, ".part");
    cr_assert_not(kn_file_exists(path));
}

Test(safetensors, half_floats) {
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        float value = kn_half_to_float((uint16_t)bits);
        if (isnan(value))
            cr_assert((kn_float_to_half(value) & 0x7c00) == 0x7c00 && (kn_float_to_half(value) & 0x3ff) != 0);
        else cr_assert_eq(kn_float_to_half(value), bits, "%#x", bits);
    }
    cr_assert_eq(kn_half_to_float(0x3555), 0.333251953125f);
    cr_assert_eq(kn_float_to_half(65519.0f), 0x7bff);
    cr_assert_eq(kn_float_to_half(65520.0f), 0x7c00);
    cr_assert_eq(kn_float_to_half(-1e10f), 0xfc00);
    cr_assert_eq(kn_float_to_half(1 + 0x1p-11f), 0x3c00); /* to even */
    cr_assert_eq(kn_float_to_half(1 + 3 * 0x1p-11f), 0x3c02);
    cr_assert_eq(kn_float_to_half(0x1p-25f), 0);
    cr_assert_eq(kn_float_to_half(0x1.8p-25f), 1);
}

Test(safetensors, failing_allocations) {
    uint8_t data[512];
    size_t size = build(data, "{\"a\":" T("U8", "[1]", "0", "1") ",\"b\":" T("U8", "[1]", "1", "2") "}", 2);
    bool ok = false;
    for (uint64_t n = 1; !ok && n < 100; n++) {
        kn_error error = {0};
        kn_safetensors *file;
        kn_alloc_fail_after(n);
        ok = kn_safetensors_parse(&file, data, size, "here", &error);
        kn_alloc_fail_after(0);
        cr_assert(ok || error.kind == KN_ERROR_MEMORY, "%s", error.message);
        kn_safetensors_close(&file);
    }
    cr_assert(ok);
}
