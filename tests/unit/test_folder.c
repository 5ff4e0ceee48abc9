/* Names in natural order, and pictures that lie on their side. */
#include "base/base.h"
#include "base/folder.h"
#include "base/orient.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(folder, names_are_ordered_as_people_count) {
    static const char *const sorted[] = {"00001.png", "99999.png",  "100000.png",  "IMG_1.jpg", "IMG_01.jpg",
                                         "IMG_2.jpg", "IMG_10.jpg", "IMG_10a.jpg", "a",         "a0b",
                                         "a0c",       "a9",         "a10",         "b"};
    /* "IMG_01" and "IMG_1" are the same number; bytes decide. */
    for (size_t i = 0; i < KN_COUNT(sorted); i++)
        for (size_t j = 0; j < KN_COUNT(sorted); j++) {
            int got = kn_natural_compare(sorted[i], sorted[j]);
            bool tie = i != j && strstr(sorted[i], "1.jpg") && strstr(sorted[j], "1.jpg");
            if (tie) cr_assert_eq(got < 0, strcmp(sorted[i], sorted[j]) < 0);
            else cr_assert_eq((got > 0) - (got < 0), (i > j) - (i < j), "%s and %s", sorted[i], sorted[j]);
        }
    cr_assert_lt(kn_natural_compare("f18446744073709551616", "f18446744073709551617"), 0); /* longer than 64 bits */
}

Test(folder, a_folder_is_listed_in_order) {
    char folder[] = "/tmp/kinora-folder-XXXXXX", path[256], command[300];
    static const char *const made[] = {"x10.PNG", "x2.png", "x1.jpg", ".x0.png", "notes.txt", "x3"};
    static const char *const pictures[] = {".png", ".jpg", NULL};
    cr_assert_not_null(mkdtemp(folder));
    kn_error error = {0};
    for (size_t i = 0; i < KN_COUNT(made); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, made[i]);
        cr_assert(kn_file_write(path, "", 0, &error));
    }
    char **names;
    size_t count;
    cr_assert(kn_folder_list(folder, pictures, &names, &count, &error), "%s", error.message);
    cr_assert_eq(count, 3);
    cr_assert(strcmp(names[0], "x1.jpg") == 0 && strcmp(names[1], "x2.png") == 0 && strcmp(names[2], "x10.PNG") == 0);
    kn_names_free(names, count);
    cr_assert(kn_folder_list(folder, NULL, &names, &count, &error));
    cr_assert_eq(count, 5);
    kn_names_free(names, count);
    for (uint64_t n = 1; n < 40; n++) {
        kn_alloc_fail_after(n);
        bool ok = kn_folder_list(folder, NULL, &names, &count, &error);
        kn_alloc_fail_after(0);
        if (ok) break;
        cr_assert_eq(error.kind, KN_ERROR_MEMORY);
    }
    kn_names_free(names, count);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
    cr_assert_not(kn_folder_list(folder, NULL, &names, &count, &error));
    cr_assert_eq(error.kind, KN_ERROR_INPUT, "%s", error.message);
}

/* What a viewer shows at (x, y) of a picture stored with Exif orientation `value`, by the table of Exif 2.3. */
static int shown(int value, int x, int y, int width, int height) {
    int W = width, H = height, column[9] = {0, x, W - 1 - x, W - 1 - x, x, y, y, W - 1 - y, W - 1 - y};
    int row[9] = {0, y, y, H - 1 - y, H - 1 - y, x, H - 1 - x, H - 1 - x, x};
    return row[value] * W + column[value];
}

Test(folder, pictures_are_turned_upright) {
    enum { W = 5, H = 3 };
    uint16_t stored[W * H], upright[W * H], back[W * H];
    for (int i = 0; i < W * H; i++) stored[i] = (uint16_t)(i * 257);
    for (int value = 1; value <= 8; value++) {
        kn_orientation o = kn_orientation_of_exif(value);
        int width = kn_orientation_swaps(o) ? H : W, height = kn_orientation_swaps(o) ? W : H;
        cr_assert_eq(kn_orientation_swaps(o), value >= 5);
        kn_orient(upright, stored, W, H, 2, o);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                cr_assert_eq(upright[y * width + x], stored[shown(value, x, y, W, H)], "%d: %d %d", value, x, y);
        kn_orient(back, upright, width, height, 2, kn_orientation_inverse(o));
        cr_assert_eq(memcmp(back, stored, sizeof back), 0, "orientation %d", value);
    }
}

/* Puts `value` in the file's byte order at data + at. */
static void put(uint8_t *data, size_t at, size_t bytes, uint32_t value, bool big) {
    for (size_t i = 0; i < bytes; i++) data[at + i] = (uint8_t)(value >> 8 * (big ? bytes - 1 - i : i));
}

/* One entry of a directory: a SHORT (3) or a LONG (4). */
static void put_entry(uint8_t *data, size_t at, uint32_t tag, uint32_t type, uint32_t value, bool big) {
    put(data, at, 2, tag, big), put(data, at + 2, 2, type, big), put(data, at + 4, 4, 1, big);
    put(data, at + 8, type == 3 ? 2 : 4, value, big);
}

/* A JPEG's beginning with Exif's orientation and equivalent focal length, in either byte order. */
static size_t exif_jpeg(uint8_t out[128], bool big, uint32_t orientation, uint32_t focal) {
    enum { SIZE = 56 }; /* of the TIFF part: header 8, directory 2 + 2 * 12 + 4, directory 2 + 12 + 4 */
    static const uint8_t head[] = {0xFF, 0xD8, 0xFF, 0xE1, 0, SIZE + 8, 'E', 'x', 'i', 'f', 0, 0};
    memset(out, 0, 128);
    memcpy(out, head, sizeof head);
    uint8_t *t = out + sizeof head;
    t[0] = t[1] = big ? 'M' : 'I';
    put(t, 2, 2, 42, big), put(t, 4, 4, 8, big), put(t, 8, 2, 2, big), put(t, 38, 2, 1, big);
    put_entry(t, 10, 0x0112, 3, orientation, big);
    put_entry(t, 22, 0x8769, 4, 38, big);
    put_entry(t, 40, 0xA405, 3, focal, big);
    t[SIZE] = 0xFF, t[SIZE + 1] = 0xDA;
    return sizeof head + SIZE + 2;
}

Test(folder, exif_is_read_and_hostile_exif_is_not_believed) {
    uint8_t data[128];
    for (int i = 0; i < 16; i++) {
        size_t size = exif_jpeg(data, i & 1, (uint32_t)(i / 2 + 1), 28);
        kn_exif exif = kn_exif_read(data, size);
        cr_assert_eq(exif.orientation, i / 2 + 1);
        cr_assert_eq(exif.focal_35mm, 28);
        for (size_t cut = 0; cut < size; cut++) cr_assert(kn_exif_read(data, cut).orientation <= 8);
    }
    size_t size = exif_jpeg(data, false, 9, 28);
    cr_assert_eq(kn_exif_read(data, size).orientation, 1);
    for (size_t i = 0; i < size; i++)
        for (int flip = 1; flip < 256; flip += 37) {
            uint8_t broken[128];
            memcpy(broken, data, size);
            broken[i] ^= (uint8_t)flip;
            kn_exif exif = kn_exif_read(broken, size);
            cr_assert(exif.orientation >= 1 && exif.orientation <= 8);
        }
}
