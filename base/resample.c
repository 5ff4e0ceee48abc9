#include "base/resample.h"

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

bool kn_resample(const float *in, int from_w, int from_h, float *out, int to_w, int to_h, kn_error *error) {
    float *between = kn_alloc((size_t)from_h * (size_t)to_w, sizeof *between, error);
    for (int y = 0; between && y < from_h; y++)
        resample_line(in + (size_t)y * (size_t)from_w, 1, from_w, between + (size_t)y * (size_t)to_w, 1, to_w);
    for (int x = 0; between && x < to_w; x++)
        resample_line(between + x, (size_t)to_w, from_h, out + x, (size_t)to_w, to_h);
    kn_free(between);
    return between != NULL;
}
