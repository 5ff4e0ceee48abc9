/* Reads PFM (Debevec's portable float map) and 16-bit PNG. */
#include "pipelines/mesh/mesh_given.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 16384
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

static bool wrong_size(const char *path, int w, int h, int width, int height, kn_error *error) {
    return kn_fail(error, KN_ERROR_INPUT, "%s has %d x %d pixels, the pictures %d x %d: expected one size", path, w, h,
                   width, height);
}

/* The header is text: "Pf" or "PF", width, height, scale (negative: little endian), each followed by white space. */
static bool read_pfm(float *map, const char *path, const uint8_t *data, size_t size, int width, int height,
                     int channels, kn_error *error) {
    char header[128] = {0}, kind[3];
    int w, h, used = 0;
    double scale;
    memcpy(header, data, size < sizeof header - 1 ? size : sizeof header - 1);
    if (sscanf(header, "%2s %d %d %lf%n", kind, &w, &h, &scale, &used) != 4 ||
        strcmp(kind, channels == 3 ? "PF" : "Pf") != 0 || !isfinite(scale) || scale == 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: expected the header of a PFM with %d channel%s", path, channels,
                       channels == 1 ? "" : "s");
    if (w != width || h != height) return wrong_size(path, w, h, width, height, error);
    size_t row = (size_t)width * (size_t)channels, begin = (size_t)used + 1,
           need = row * (size_t)height * sizeof(float);
    if (begin > size || size - begin < need)
        return kn_fail(error, KN_ERROR_INPUT, "%s: cut off, expected %zu bytes of floats", path, need);
    const uint16_t probe = 1;
    bool little = *(const uint8_t *)&probe == 1, swap = (scale < 0) != little;
    for (size_t y = 0; y < (size_t)height; y++)
        for (size_t i = 0; i < row; i++) {
            const uint8_t *p = data + begin + (y * row + i) * 4;
            uint8_t bytes[4] = {p[0], p[1], p[2], p[3]};
            if (swap) bytes[0] = p[3], bytes[1] = p[2], bytes[2] = p[1], bytes[3] = p[0];
            memcpy(map + ((size_t)height - 1 - y) * row + i, bytes, 4);
        }
    return true;
}

static bool read_png(float *map, const char *path, const uint8_t *data, size_t size, int width, int height,
                     int channels, kn_error *error) {
    int w = 0, h = 0, stored;
    if (size > INT32_MAX || !stbi_info_from_memory(data, (int)size, &w, &h, &stored))
        return kn_fail(error, KN_ERROR_INPUT, "%s: expected a PFM or PNG map: %s", path, stbi_failure_reason());
    if (w != width || h != height) return wrong_size(path, w, h, width, height, error);
    stbi_us *pixels = stbi_load_16_from_memory(data, (int)size, &w, &h, &stored, channels);
    if (!pixels) return kn_fail(error, KN_ERROR_INPUT, "%s: %s", path, stbi_failure_reason());
    for (size_t i = 0; i < (size_t)width * (size_t)height * (size_t)channels; i++)
        map[i] = channels == 1 ? (float)pixels[i] : (float)pixels[i] / 32767.5f - 1;
    stbi_image_free(pixels);
    return true;
}

bool kn_given_map_read(float **map, const char *path, int width, int height, int channels, kn_error *error) {
    uint8_t *data;
    size_t size, count = (size_t)width * (size_t)height * (size_t)channels;
    *map = NULL;
    if (!kn_file_read(path, (size_t)1 << 30, &data, &size, error)) return false;
    *map = kn_alloc(count, sizeof **map, error);
    bool pfm = size > 2 && data[0] == 'P' && (data[1] == 'f' || data[1] == 'F');
    bool ok = *map && (pfm ? read_pfm : read_png)(*map, path, data, size, width, height, channels, error);
    for (size_t i = 0; ok && i < count; i++)
        if (!isfinite((*map)[i])) (*map)[i] = 0;
    kn_free(data);
    if (!ok) kn_free(*map), *map = NULL;
    return ok;
}
