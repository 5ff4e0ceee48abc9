/* Reading pictures for the sampler: planar, in 0..1, of the size that is painted. */
#include "base/resample.h"
#include "kinora/encoders.h"
#include "pipelines/image/image_job.h"

#include <math.h>
#include <string.h>

/* WebP and TIFF, which FFmpeg reads: the first frame, as colours. */
static bool read_by_ffmpeg(kn_image *image, const char *path, kn_error *error) {
    kn_video_reader *reader = NULL;
    bool end = false, ok = kn_video_reader_create(&reader, path, (kn_rational){0, 0}, error);
    const kn_video_info *info = ok ? kn_video_reader_info(reader) : NULL;
    ok = ok && kn_image_init(image, info->width, info->height, 3, error) &&
         kn_video_reader_next(reader, image->data, NULL, &end, error) &&
         (!end || kn_fail(error, KN_ERROR_INPUT, "%s: the file has no picture", path));
    kn_video_reader_destroy(&reader);
    return ok;
}

static bool is_ffmpegs(const uint8_t *file, size_t size) {
    return (size >= 12 && memcmp(file, "RIFF", 4) == 0 && memcmp(file + 8, "WEBP", 4) == 0) ||
           (size >= 4 && (memcmp(file, "II*\0", 4) == 0 || memcmp(file, "MM\0*", 4) == 0));
}

/* Any picture, upright, with `channels` 1 or 3, or 0: its own. */
static bool read_picture(kn_image *image, const char *path, int channels, kn_error *error) {
    uint8_t *file;
    size_t size;
    *image = (kn_image){0};
    if (!kn_file_read(path, (size_t)1 << 30, &file, &size, error)) return false;
    bool foreign = is_ffmpegs(file, size);
    kn_free(file);
    if (!foreign) return kn_image_read(image, path, channels, error);
    if (!read_by_ffmpeg(image, path, error)) {
        kn_image_finish(image);
        return false;
    }
    size_t pixels = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; channels == 1 && i < pixels; i++) { /* stb's weights */
        const uint8_t *p = image->data + 3 * i;
        image->data[i] = (uint8_t)((p[0] * 77 + p[1] * 150 + p[2] * 29) >> 8);
    }
    if (channels == 1) image->channels = 1;
    return true;
}

bool kn_image_load(float **planar, const char *path, int channels, int width, int height, kn_error *error) {
    kn_image image;
    *planar = NULL;
    if (!read_picture(&image, path, channels, error)) return false;
    size_t from = (size_t)image.width * (size_t)image.height, to = (size_t)width * (size_t)height;
    bool same = image.width == width && image.height == height, ok = true;
    float *plane = kn_alloc(from, sizeof *plane, error), *out = kn_alloc(to * (size_t)channels, sizeof *out, error);
    ok = plane && out;
    for (int c = 0; ok && c < channels; c++) {
        float *target = same ? out + (size_t)c * to : plane;
        for (size_t i = 0; i < from; i++) target[i] = (float)image.data[i * (size_t)channels + (size_t)c] / 255;
        ok = same || kn_resample(plane, image.width, image.height, out + (size_t)c * to, width, height, error);
    }
    kn_free(plane);
    kn_image_finish(&image);
    if (ok) *planar = out;
    else kn_free(out);
    return ok;
}

bool kn_image_size(const char *path, int *width, int *height, kn_error *error) {
    kn_image image;
    if (!read_picture(&image, path, 0, error)) return false;
    *width = image.width;
    *height = image.height;
    kn_image_finish(&image);
    return true;
}
