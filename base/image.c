#include "base/base.h"
#include "base/orient.h"

#include <string.h>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_NO_GIF
#define STBI_NO_PIC
#define STBI_NO_PNM
#define STBI_NO_PSD
#define STBI_MAX_DIMENSIONS 16384
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

bool kn_image_init(kn_image *image, int width, int height, int channels, kn_error *error) {
    *image = (kn_image){0};
    if (width < 1 || height < 1 || width > 16384 || height > 16384 || (channels != 1 && channels != 3 && channels != 4))
        return kn_fail(error, KN_ERROR_INPUT,
                       "image of %d x %d with %d channels, expected 1..16384 and 1, 3 or 4 channels", width, height,
                       channels);
    uint8_t *data = kn_alloc((size_t)width * (size_t)height, (size_t)channels, error);
    if (!data) return false;
    *image = (kn_image){width, height, channels, data};
    return true;
}

void kn_image_finish(kn_image *image) {
    kn_free(image->data);
    *image = (kn_image){0};
}

static bool read_image(kn_image *image, const char *path, int channels, bool upright, kn_error *error) {
    uint8_t *file;
    size_t size;
    *image = (kn_image){0};
    if (!kn_file_read(path, (size_t)1 << 30, &file, &size, error)) return false;
    int width = 0, height = 0, stored = 0;
    bool header = stbi_info_from_memory(file, (int)size, &width, &height, &stored);
    int wanted = channels ? channels : stored == 2 ? 4 : stored;
    kn_orientation turn = upright ? kn_orientation_of_exif(kn_exif_read(file, size).orientation) : (kn_orientation){0};
    stbi_uc *pixels = header ? stbi_load_from_memory(file, (int)size, &width, &height, &stored, wanted) : NULL;
    kn_free(file);
    if (!pixels)
        return kn_fail(error, KN_ERROR_INPUT, "%s: expected a PNG, JPEG, BMP or TGA picture: %s", path,
                       stbi_failure_reason());
    bool swaps = kn_orientation_swaps(turn);
    bool ok = kn_image_init(image, swaps ? height : width, swaps ? width : height, wanted, error);
    if (ok) kn_orient(image->data, pixels, width, height, (size_t)wanted, turn);
    stbi_image_free(pixels);
    return ok;
}

bool kn_image_read(kn_image *image, const char *path, int channels, kn_error *error) {
    return read_image(image, path, channels, true, error);
}

bool kn_image_read_stored(kn_image *image, const char *path, int channels, kn_error *error) {
    return read_image(image, path, channels, false, error);
}

/* What stb writes, with text chunks put between the header and the picture. */
typedef struct png_sink {
    FILE *stream;
    const char *const (*texts)[2];
    int count;
} png_sink;

/* CRC-32 of ISO 3309, as PNG has it. */
static uint32_t crc32_of(uint32_t crc, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return crc;
}

static void write_u32(FILE *stream, uint32_t value) {
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    fwrite(bytes, 1, 4, stream); /* a failure stays visible in ferror */
}

/* tEXt for ASCII, else iTXt, uncompressed and without language (PNG specification 11.3.3). */
static void write_text(FILE *stream, const char *keyword, const char *text) {
    size_t key = strlen(keyword) + 1, length = strlen(text), gap = 0;
    for (size_t i = 0; i < length; i++)
        if ((uint8_t)text[i] >= 0x80) gap = 4; /* no compression, its method, no language, no translated keyword */
    const char *type = gap ? "iTXt" : "tEXt", zeros[4] = {0};
    uint32_t crc = crc32_of(0xffffffffu, (const uint8_t *)type, 4);
    crc = crc32_of(crc, (const uint8_t *)keyword, key);
    crc = crc32_of(crc, (const uint8_t *)zeros, gap);
    crc = crc32_of(crc, (const uint8_t *)text, length);
    write_u32(stream, (uint32_t)(key + gap + length));
    fwrite(type, 1, 4, stream);
    fwrite(keyword, 1, key, stream);
    fwrite(zeros, 1, gap, stream);
    fwrite(text, 1, length, stream);
    write_u32(stream, ~crc);
}

static void write_png(void *user, void *data, int size) {
    enum { HEADER = 8 + 25 }; /* signature and IHDR */
    png_sink *sink = user;
    size_t head = sink->count && size > HEADER ? HEADER : 0;
    fwrite(data, 1, head, sink->stream);
    for (int i = 0; i < sink->count; i++) write_text(sink->stream, sink->texts[i][0], sink->texts[i][1]);
    sink->count = 0;
    fwrite((const uint8_t *)data + head, 1, (size_t)size - head, sink->stream);
}

bool kn_image_write_png(const kn_image *image, const char *path, kn_error *error) {
    return kn_image_write_png_text(image, path, NULL, 0, error);
}

bool kn_image_write_png_text(const kn_image *image, const char *path, const char *const (*texts)[2], int count,
                             kn_error *error) {
    kn_file_writer writer;
    if (!kn_file_writer_init(&writer, path, error)) return false;
    png_sink sink = {writer.stream, texts, count};
    if (stbi_write_png_to_func(write_png, &sink, image->width, image->height, image->channels, image->data,
                               image->width * image->channels))
        return kn_file_writer_commit(&writer, error);
    kn_file_writer_finish(&writer);
    return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory while writing the picture", path);
}
