/* COCO's compressed run lengths against what pycocotools 2.0.11 (mask.encode) gives for the same pixels. */
#include "pipelines/dataset/formats.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect_runs(const uint16_t *mask, int width, int height, const char *expected) {
    kn_error error = {0};
    char *runs = kn_coco_runs(mask, width, height, 7, &error);
    cr_assert(runs != NULL, "%s", error.message);
    cr_assert_str_eq(runs, expected);
    kn_free(runs);
}

/* Rows from the top, '1' for the instance; every other pixel belongs to another one. */
static void expect_pattern(const char *pattern, int width, int height, const char *expected) {
    uint16_t mask[64];
    for (size_t i = 0; i < (size_t)width * (size_t)height; i++) mask[i] = pattern[i] == '1' ? 7 : (uint16_t)(i % 3);
    expect_runs(mask, width, height, expected);
}

Test(coco_runs, as_pycocotools) {
    expect_pattern("1", 1, 1, "01");
    expect_pattern("000000", 3, 2, "6");
    expect_pattern("010110101001011", 5, 3, "3331NM");
    expect_pattern("1011010000011001000010010001", 4, 7, "0120O0103010K100");
}

Test(coco_runs, long_runs) {
    static uint16_t mask[64 * 64];
    for (int y = 10; y < 30; y++)
        for (int x = 3; x < 31; x++) mask[y * 33 + x] = 7;
    expect_runs(mask, 33, 40, "R4d0d000000000000000000000000000000000000000000000000000000V2");
    for (int i = 0; i < 64 * 64; i++) mask[i] = i >= 60 * 64 && i % 64 >= 60 ? 0 : 7;
    expect_runs(mask, 64, 64, "0li34PXL00000");
}
