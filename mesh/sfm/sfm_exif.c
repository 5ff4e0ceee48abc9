/* The focal length that a camera wrote into its JPEG (Exif 2.3 in APP1). */
#include "mesh/sfm/sfm.h"

#include <string.h>

typedef struct tiff {
    const uint8_t *data;
    size_t size;
    bool big;
} tiff;

/* 0 beyond the end. */
static uint32_t number(const tiff *t, size_t at, size_t bytes) {
    uint32_t value = 0;
    if (at > t->size || t->size - at < bytes) return 0;
    for (size_t i = 0; i < bytes; i++) value |= (uint32_t)t->data[at + i] << 8 * (t->big ? bytes - 1 - i : i);
    return value;
}

/* The value of a tag in a directory (of a SHORT or LONG, or the offset of what is longer); false when absent. */
static bool entry(const tiff *t, size_t directory, unsigned tag, uint32_t *value) {
    uint32_t count = number(t, directory, 2);
    for (size_t i = 0; i < count; i++) {
        size_t at = directory + 2 + 12 * i;
        if (at > t->size || t->size - at < 12) return false;
        if (number(t, at, 2) != tag) continue;
        *value = number(t, at + 8, number(t, at + 2, 2) == 3 ? 2 : 4);
        return true;
    }
    return false;
}

/* FocalLengthIn35mmFilm: a 36 mm wide picture; so the diagonal is 43.27 mm. */
static double focal(const tiff *t, int width, int height) {
    uint32_t exif, equivalent;
    if (number(t, 2, 2) != 42 || !entry(t, number(t, 4, 4), 0x8769, &exif) || !entry(t, exif, 0xA405, &equivalent))
        return 0;
    return equivalent >= 5 && equivalent <= 1000 ? equivalent / 43.2666 * hypot(width, height) : 0;
}

double kn_exif_parse(const uint8_t *data, size_t size, int width, int height) {
    if (size < 4 || data[0] != 0xFF || data[1] != 0xD8) return 0;
    for (size_t at = 2; at + 4 <= size && data[at] == 0xFF && data[at + 1] != 0xDA;) {
        size_t length = (size_t)data[at + 2] << 8 | data[at + 3];
        if (length < 2 || length > size - at - 2) return 0;
        if (data[at + 1] == 0xE1 && length >= 16 && memcmp(data + at + 4, "Exif\0\0", 6) == 0) {
            tiff t = {data + at + 10, length - 8, data[at + 10] == 'M'};
            return focal(&t, width, height);
        }
        at += 2 + length;
    }
    return 0;
}

double kn_exif_focal(const char *path, int width, int height) {
    uint8_t head[65536];
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    size_t size = fread(head, 1, sizeof head, file);
    fclose(file);
    return kn_exif_parse(head, size, width, height);
}
