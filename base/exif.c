#include "base/orient.h"

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
static bool find_tag(const tiff *t, size_t directory, unsigned tag, uint32_t *value) {
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

static void read_tags(kn_exif *exif, const uint8_t *data, size_t size) {
    tiff t = {data, size, size > 0 && data[0] == 'M'};
    uint32_t value, inner;
    if (number(&t, 2, 2) != 42) return;
    size_t directory = number(&t, 4, 4);
    if (find_tag(&t, directory, 0x0112, &value) && value >= 1 && value <= 8) exif->orientation = (int)value;
    if (find_tag(&t, directory, 0x8769, &inner) && find_tag(&t, inner, 0xA405, &value) && value >= 5 && value <= 1000)
        exif->focal_35mm = (int)value;
}

static kn_exif read_jpeg(const uint8_t *data, size_t size) {
    kn_exif exif = {.orientation = 1};
    for (size_t at = 2; at + 4 <= size && data[at] == 0xFF && data[at + 1] != 0xDA;) {
        size_t length = (size_t)data[at + 2] << 8 | data[at + 3];
        if (length < 2 || length > size - at - 2) break;
        if (data[at + 1] == 0xE1 && length >= 16 && memcmp(data + at + 4, "Exif\0\0", 6) == 0) {
            read_tags(&exif, data + at + 10, length - 8);
            break;
        }
        at += 2 + length;
    }
    return exif;
}

static kn_exif read_png(const uint8_t *data, size_t size) {
    kn_exif exif = {.orientation = 1};
    for (size_t at = 8; at + 12 <= size;) {
        size_t length = (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 | (size_t)data[at + 2] << 8 | data[at + 3];
        if (length > size - at - 12) break;
        if (memcmp(data + at + 4, "eXIf", 4) == 0) {
            read_tags(&exif, data + at + 8, length);
            break;
        }
        at += 12 + length;
    }
    return exif;
}

kn_exif kn_exif_read(const uint8_t *data, size_t size) {
    if (size >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0) return read_png(data, size);
    if (size >= 4 && data[0] == 0xFF && data[1] == 0xD8) return read_jpeg(data, size);
    if (size >= 8 && (memcmp(data, "II*\0", 4) == 0 || memcmp(data, "MM\0*", 4) == 0)) { /* TIFF itself */
        kn_exif exif = {.orientation = 1};
        read_tags(&exif, data, size);
        return exif;
    }
    return (kn_exif){.orientation = 1};
}
