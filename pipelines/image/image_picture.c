/* Reading pictures for the sampler: planar, in 0..1, of the size that is painted. */
#include "pipelines/image/image_job.h"

#include <math.h>

static double lanczos(double x) {
    const double pi = 3.14159265358979323846;
    if (x == 0) return 1;
    return fabs(x) < 3 ? 3 * sin(pi * x) * sin(pi * x / 3) / (pi * pi * x * x) : 0;
}

/* Resamples lines of `from` values to `to` values; strides in floats. The kernel widens when the line shrinks. */
static void resample_line(const float *in, size_t in_stride, int from, float *out, size_t out_stride, int to) {
    double ratio = (double)from / to, scale = ratio > 1 ? ratio : 1;
    for (int i = 0; i < to; i++) {
        double center = (i + 0.5) * ratio, total = 0, sum = 0;
        int first = (int)fmax(floor(center - 3 * scale + 0.5), 0),
            end = (int)fmin(floor(center + 3 * scale + 0.5), from);
        for (int j = first; j < end; j++) {
            double weight = lanczos((j + 0.5 - center) / scale);
            total += weight;
            sum += weight * (double)in[(size_t)j * in_stride];
        }
        out[(size_t)i * out_stride] = (float)fmin(fmax(sum / total, 0), 1);
    }
}

/* One plane; `scratch` [from_h][to_w]. */
static void resample(const float *in, int from_w, int from_h, float *scratch, float *out, int to_w, int to_h) {
    for (int y = 0; y < from_h; y++)
        resample_line(in + (size_t)y * (size_t)from_w, 1, from_w, scratch + (size_t)y * (size_t)to_w, 1, to_w);
    for (int x = 0; x < to_w; x++) resample_line(scratch + x, (size_t)to_w, from_h, out + x, (size_t)to_w, to_h);
}

bool kn_image_load(float **planar, const char *path, int channels, int width, int height, kn_error *error) {
    kn_image image;
    *planar = NULL;
    if (!kn_image_read(&image, path, channels, error)) return false;
    size_t from = (size_t)image.width * (size_t)image.height, to = (size_t)width * (size_t)height;
    bool same = image.width == width && image.height == height, ok = true;
    float *plane = kn_alloc(from, sizeof *plane, error),
          *scratch = kn_alloc((size_t)image.height * (size_t)width, sizeof *scratch, error);
    float *out = kn_alloc(to * (size_t)channels, sizeof *out, error);
    ok = plane && scratch && out;
    for (int c = 0; ok && c < channels; c++) {
        float *target = same ? out + (size_t)c * to : plane;
        for (size_t i = 0; i < from; i++) target[i] = (float)image.data[i * (size_t)channels + (size_t)c] / 255;
        if (!same) resample(plane, image.width, image.height, scratch, out + (size_t)c * to, width, height);
    }
    kn_free(plane);
    kn_free(scratch);
    kn_image_finish(&image);
    if (ok) *planar = out;
    else kn_free(out);
    return ok;
}

bool kn_image_size(const char *path, int *width, int *height, kn_error *error) {
    kn_image image;
    if (!kn_image_read(&image, path, 0, error)) return false;
    *width = image.width;
    *height = image.height;
    kn_image_finish(&image);
    return true;
}
