#include "base/resample.h"
#include "pipelines/style/style_internal.h"

#include <math.h>
#include <string.h>

static int multiple_of(double value, int multiple) {
    int times = (int)lround(value / multiple);
    return (times > 1 ? times : 1) * multiple;
}

static int up_to(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

kn_style_fit kn_style_fit_of(int width, int height, int short_side, int multiple) {
    int small = width < height ? width : height;
    kn_style_fit fit = {.width = width, .height = height, .scales = small > short_side};
    double scale = (double)short_side / small;
    fit.to_width = fit.scales ? multiple_of(width * scale, multiple) : up_to(width, multiple);
    fit.to_height = fit.scales ? multiple_of(height * scale, multiple) : up_to(height, multiple);
    return fit;
}

bool kn_style_fit_in(const kn_style_fit *fit, const float *planes, float *picture, kn_error *error) {
    size_t from = (size_t)fit->width * (size_t)fit->height, to = (size_t)fit->to_width * (size_t)fit->to_height;
    for (size_t c = 0; c < 3; c++) {
        const float *in = planes + c * from;
        float *out = picture + c * to;
        if (fit->scales && !kn_resample(in, fit->width, fit->height, out, fit->to_width, fit->to_height, error))
            return false;
        for (int y = 0; y < fit->to_height && !fit->scales; y++) {
            const float *row = in + (size_t)(y < fit->height ? y : fit->height - 1) * (size_t)fit->width;
            float *line = out + (size_t)y * (size_t)fit->to_width;
            memcpy(line, row, (size_t)fit->width * sizeof *line);
            for (int x = fit->width; x < fit->to_width; x++) line[x] = row[fit->width - 1];
        }
    }
    return true;
}

bool kn_style_fit_out(const kn_style_fit *fit, const float *picture, float *planes, kn_error *error) {
    size_t from = (size_t)fit->to_width * (size_t)fit->to_height, to = (size_t)fit->width * (size_t)fit->height;
    for (size_t c = 0; c < 3; c++) {
        const float *in = picture + c * from;
        float *out = planes + c * to;
        if (fit->scales && !kn_resample(in, fit->to_width, fit->to_height, out, fit->width, fit->height, error))
            return false;
        for (int y = 0; y < fit->height && !fit->scales; y++)
            memcpy(out + (size_t)y * (size_t)fit->width, in + (size_t)y * (size_t)fit->to_width,
                   (size_t)fit->width * sizeof *out);
    }
    return true;
}
