#include "base/orient.h"
#include "base/picture.h"

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

/* --- JPEG ------------------------------------------------------------------------------------- */

typedef struct jpeg_sink {
    FILE *stream;
    const char *const (*texts)[2];
    int count;
} jpeg_sink;

static void write_u16(FILE *stream, size_t value) {
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    fwrite(bytes, 1, 2, stream);
}

/* The next code point of valid UTF-8; bytes that are none stand for themselves. */
static uint32_t next_code(const uint8_t **at) {
    uint32_t first = *(*at)++, code;
    int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
    code = more ? first & (0x3fu >> more) : first;
    for (; more && (**at & 0xc0) == 0x80; more--) code = code << 6 | (*(*at)++ & 0x3fu);
    return code;
}

/* EXIF with one entry, UserComment in UTF-16; a segment holds 65,533 bytes, longer texts lose their end. */
static void write_comment(FILE *stream, const char *text) {
    static const uint8_t head[] = {'E', 'x', 'i',  'f',  0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, /* first directory at 8 */
                                   0,   1,   0x87, 0x69, 0, 4, 0,   0,   0, 1,  0, 0, 0, 26,
                                   0,   0,   0,    0, /* EXIF's at 26 */
                                   0,   1,   0x92, 0x86, 0, 7};
    enum { OFFSET = 44, MOST = 32000 };
    size_t units = 0;
    for (const uint8_t *at = (const uint8_t *)text; *at && units < MOST;) units += next_code(&at) >= 0x10000 ? 2 : 1;
    size_t bytes = 8 + 2 * units;
    fwrite("\xff\xe1", 1, 2, stream);
    write_u16(stream, 2 + sizeof head + 4 + 4 + 4 + bytes);
    fwrite(head, 1, sizeof head, stream);
    write_u32(stream, (uint32_t)bytes);
    write_u32(stream, OFFSET);
    write_u32(stream, 0); /* no further directory */
    fwrite("UNICODE\0", 1, 8, stream);
    for (const uint8_t *at = (const uint8_t *)text; units;) {
        uint32_t code = next_code(&at);
        if (code >= 0x10000) {
            write_u16(stream, 0xd800 + ((code - 0x10000) >> 10));
            units--;
        }
        write_u16(stream, code >= 0x10000 ? 0xdc00 + (code & 0x3ff) : code);
        units--;
    }
}

/* An XMP packet with one property of the TC260 namespace (GB 45438). */
static void write_property(FILE *stream, const char *keyword, const char *text) {
    static const char head[] =
        "http://ns.adobe.com/xap/1.0/\0"
        "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF "
        "xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><rdf:Description rdf:about=\"\" "
        "xmlns:TC260=\"http://www.tc260.org.cn/ns/AIGC/1.0/\"><TC260:";
    static const char tail[] = "></rdf:Description></rdf:RDF></x:xmpmeta>";
    size_t length = sizeof head - 1 + 2 * strlen(keyword) + 3 + sizeof tail - 1;
    for (const char *at = text; *at; at++) length += *at == '<' || *at == '&' ? 5 - (*at == '<') : 1;
    fwrite("\xff\xe1", 1, 2, stream);
    write_u16(stream, length + 2);
    fwrite(head, 1, sizeof head - 1, stream);
    fprintf(stream, "%s>", keyword);
    for (const char *at = text; *at; at++) {
        if (*at == '<') fputs("&lt;", stream);
        else if (*at == '&') fputs("&amp;", stream);
        else fputc(*at, stream);
    }
    fprintf(stream, "</TC260:%s", keyword);
    fwrite(tail, 1, sizeof tail - 1, stream);
}

static void write_jpeg(void *user, void *data, int size) {
    jpeg_sink *sink = user;
    size_t head = sink->count && size >= 2 ? 2 : 0; /* the marker of the start */
    fwrite(data, 1, head, sink->stream);
    for (int i = 0; i < sink->count; i++) {
        if (strcmp(sink->texts[i][0], "parameters") == 0) write_comment(sink->stream, sink->texts[i][1]);
        else write_property(sink->stream, sink->texts[i][0], sink->texts[i][1]);
    }
    sink->count = 0;
    fwrite((const uint8_t *)data + head, 1, (size_t)size - head, sink->stream);
}

bool kn_image_write_jpeg_text(const kn_image *image, const char *path, int quality, const char *const (*texts)[2],
                              int count, kn_error *error) {
    kn_file_writer writer;
    if (!kn_file_writer_init(&writer, path, error)) return false;
    jpeg_sink sink = {writer.stream, texts, count};
    if (stbi_write_jpg_to_func(write_jpeg, &sink, image->width, image->height, image->channels, image->data, quality))
        return kn_file_writer_commit(&writer, error);
    kn_file_writer_finish(&writer);
    return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory while writing the picture", path);
}
