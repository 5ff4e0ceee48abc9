/* Pictures as cameras and painters leave them: turned by EXIF, in TIFF and WebP; and JPEG files with texts. */
#include "base/picture.h"
#include "pipelines/image/image_job.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];
static kn_error error;

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
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* A picture of 3 x 2 pixels whose grey values are 10 x + 100 y. */
static kn_image numbered(void) {
    kn_image image;
    cr_assert(kn_image_init(&image, 3, 2, 1, &error));
    for (int i = 0; i < 6; i++) image.data[i] = (uint8_t)(10 * (i % 3) + 100 * (i / 3));
    return image;
}

static void put(uint8_t *file, size_t *size, const char *bytes, size_t count) {
    memcpy(file + *size, bytes, count);
    *size += count;
}

#define TIFF_LITTLE "II*\0\10\0\0\0\2\0\0\1\3\0\1\0\0\0\7\0\0\0\22\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"

/* A file of `path` as the pipeline sees it: grey values of the first row, rounded. */
static void expect_row(const char *path, int width, int height, const int *row, int tolerance) {
    float *planar;
    int w, h;
    cr_assert(kn_image_size(path, &w, &h, &error), "%s", error.message);
    cr_assert(w == width && h == height, "%s: %d x %d", path, w, h);
    cr_assert(kn_image_load(&planar, path, 1, width, height, &error), "%s", error.message);
    for (int i = 0; i < width; i++)
        cr_expect(abs((int)lrintf(planar[i] * 255) - row[i]) <= tolerance, "%s: pixel %d is %g, expected %d", path, i,
                  (double)(planar[i] * 255), row[i]);
    kn_free(planar);
}

/* Left half dark, right half bright, 16 x 8; turned it is 8 x 16 with the dark half on top (orientation 6). */
Test(pictures, jpeg_is_turned_upright, .init = make_folder, .fini = remove_folder) {
    kn_image image;
    uint8_t *file, turned[8192] = {0xff, 0xd8};
    size_t size, used = 2;
    int dark[16], both[16];
    cr_assert(kn_image_init(&image, 16, 8, 3, &error));
    for (int i = 0; i < 16 * 8 * 3; i++) image.data[i] = i / 3 % 16 < 8 ? 20 : 230;
    cr_assert(kn_image_write_jpeg_text(&image, in_folder("a.jpg"), 95, NULL, 0, &error), "%s", error.message);
    kn_image_finish(&image);
    for (int i = 0; i < 16; i++) dark[i] = 20, both[i] = i < 8 ? 20 : 230;
    expect_row(in_folder("a.jpg"), 16, 8, both, 6);
    cr_assert(kn_file_read(in_folder("a.jpg"), 8000, &file, &size, &error));
    put(turned, &used,
        "\377\341\0\56"
        "Exif\0\0" TIFF_LITTLE,
        10 + sizeof TIFF_LITTLE - 1);
    turned[5] = 2 + 6 + sizeof TIFF_LITTLE - 1;
    put(turned, &used, (const char *)file + 2, size - 2);
    cr_assert(kn_file_write(in_folder("b.jpg"), turned, used, &error));
    kn_free(file);
    expect_row(in_folder("b.jpg"), 8, 16, dark, 6);
}

/* Written by Pillow 12: 5 x 3 pixels, grey 10 x + 100 y, without loss. */
Test(pictures, webp_and_tiff) {
    static const int row[] = {0, 10, 20, 30, 40};
    expect_row("tests/unit/data/grey.webp", 5, 3, row, 1);
    expect_row("tests/unit/data/grey.tiff", 5, 3, row, 1);
}

/* What A1111 and others look for in a JPEG: UserComment in UTF-16; and the mark of generated content. */
Test(pictures, jpeg_carries_texts, .init = make_folder, .fini = remove_folder) {
    static const char *const texts[][2] = {{"parameters", "a Straße\nSteps: 2"},
                                           {"AIGC", "{\"Label\":\"1\",\"a\":\"<&>\"}"}};
    kn_image image = numbered(), back;
    uint8_t *file;
    size_t size;
    cr_assert(kn_image_write_jpeg_text(&image, in_folder("a.jpg"), 90, texts, 2, &error), "%s", error.message);
    cr_assert(kn_image_read(&back, in_folder("a.jpg"), 1, &error), "%s", error.message);
    cr_assert(back.width == 3 && back.height == 2);
    cr_assert(kn_file_read(in_folder("a.jpg"), 8000, &file, &size, &error));
    bool comment = false, label = false;
    static const char wide[] = "UNICODE\0\0a\0 \0S\0t\0r\0a\0\337\0e\0\n\0S",
                      mark[] = "<TC260:AIGC>{\"Label\":\"1\",\"a\":\"&lt;&amp;>\"}</TC260:AIGC>";
    for (size_t i = 0; i + sizeof mark < size; i++) {
        comment = comment || memcmp(file + i, wide, sizeof wide - 1) == 0;
        label = label || memcmp(file + i, mark, sizeof mark - 1) == 0;
    }
    cr_assert(comment && label);
    kn_free(file);
    kn_image_finish(&image);
    kn_image_finish(&back);
}
