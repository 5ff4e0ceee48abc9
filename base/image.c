#include "base/base.h"

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
        return kn_fail(error, KN_ERROR_INPUT, "image of %d x %d with %d channels, expected 1..16384 and 1, 3 or 4 channels", width, height, channels);
    uint8_t *data = kn_alloc((size_t)width * (size_t)height, (size_t)channels, error);
    if (!data) return false;
    *image = (kn_image){width, height, channels, data};
    return true;
}

void kn_image_finish(kn_image *image) {
    kn_free(image->data);
    *image = (kn_image){0};
}

bool kn_image_read(kn_image *image, const char *path, int channels, kn_error *error) {
    uint8_t *file;
    size_t size;
    *image = (kn_image){0};
    if (!kn_file_read(path, (size_t)1 << 30, &file, &size, error)) return false;
    int width = 0, height = 0, stored = 0;
    bool header = stbi_info_from_memory(file, (int)size, &width, &height, &stored);
    int wanted = channels ? channels : stored == 2 ? 4 : stored;
    stbi_uc *pixels = header ? stbi_load_from_memory(file, (int)size, &width, &height, &stored, wanted) : NULL;
    kn_free(file);
    if (!pixels) return kn_fail(error, KN_ERROR_INPUT, "%s: expected a PNG, JPEG, BMP or TGA picture: %s", path, stbi_failure_reason());
    bool ok = kn_image_init(image, width, height, wanted, error);
    if (ok) memcpy(image->data, pixels, (size_t)width * (size_t)height * (size_t)wanted);
    stbi_image_free(pixels);
    return ok;
}

static void write_chunk(void *user, void *data, int size) {
    FILE *stream = user;
    fwrite(data, 1, (size_t)size, stream); /* a failure stays visible in ferror */
}

bool kn_image_write_png(const kn_image *image, const char *path, kn_error *error) {
    kn_file_writer writer;
    if (!kn_file_writer_init(&writer, path, error)) return false;
    if (stbi_write_png_to_func(write_chunk, writer.stream, image->width, image->height, image->channels, image->data,
                               image->width * image->channels))
        return kn_file_writer_commit(&writer, error);
    kn_file_writer_finish(&writer);
    return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory while writing the picture", path);
}
