/* Squares around details, larger than life, and the way back. */
#include "pipelines/style/protect_job.h"

#include <math.h>

/* Three times the detail, at most four times as large as in the film. */
kn_protect_window kn_protect_window_of(const kn_track_box *box, int side) {
    double size = fmax(3 * fmax((double)box->width, (double)box->height), 0.25 * side);
    return (kn_protect_window){(double)(box->x + 0.5f * box->width) - 0.5 * size,
                               (double)(box->y + 0.5f * box->height) - 0.5 * size, size};
}

static float pixel(const float *plane, int width, int height, int x, int y) {
    x = x < 0 ? 0 : x < width ? x : width - 1;
    y = y < 0 ? 0 : y < height ? y : height - 1;
    return plane[(size_t)y * (size_t)width + (size_t)x];
}

/* Catmull and Rom's weights of four neighbours. */
static void cubic(float t, float weights[4]) {
    weights[0] = t * (-0.5f + t * (1 - 0.5f * t));
    weights[1] = 1 + t * t * (-2.5f + 1.5f * t);
    weights[2] = t * (0.5f + t * (2 - 1.5f * t));
    weights[3] = t * t * (-0.5f + 0.5f * t);
}

/* At (x, y), where pixel i reaches from i to i + 1. */
static float sample(const float *plane, int width, int height, double x, double y) {
    double left = floor(x - 0.5), top = floor(y - 0.5);
    float u[4], v[4], sum = 0;
    cubic((float)(x - 0.5 - left), u);
    cubic((float)(y - 0.5 - top), v);
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 4; i++)
            sum += u[i] * v[j] * pixel(plane, width, height, (int)left + i - 1, (int)top + j - 1);
    return sum;
}

/* The mean over a square of `step` pixels, which is no mean where it is smaller than one. */
static float average(const float *plane, int width, int height, double x, double y, double step) {
    int taps = step > 1.01 ? (int)ceil(step) : 1;
    float sum = 0;
    for (int j = 0; j < taps; j++)
        for (int i = 0; i < taps; i++)
            sum +=
                sample(plane, width, height, x + ((i + 0.5) / taps - 0.5) * step, y + ((j + 0.5) / taps - 0.5) * step);
    return fminf(fmaxf(sum / (float)(taps * taps), 0), 1);
}

void kn_protect_cut_out(const float *planes, int width, int height, const kn_protect_window *window, int side,
                        float *out) {
    size_t pixels = (size_t)width * (size_t)height;
    double step = window->side / side;
    for (size_t c = 0; c < 3; c++)
        for (int y = 0; y < side; y++)
            for (int x = 0; x < side; x++)
                *out++ = average(planes + c * pixels, width, height, window->left + (x + 0.5) * step,
                                 window->top + (y + 0.5) * step, step);
}

/* The pixels of a frame that a square covers, and the same pixels of the square. */
typedef struct patch {
    int left, top, width, height;
    float *values;  /* [3][height][width] */
    float *weights; /* [height][width] */
} patch;

static bool read_patch(patch *p, int width, int height, const kn_protect_window *window, const float *square, int side,
                       const kn_track_box *box, kn_error *error) {
    double step = side / window->side;
    int left = (int)fmax(floor(window->left), 0), top = (int)fmax(floor(window->top), 0),
        right = (int)fmin(ceil(window->left + window->side), width),
        bottom = (int)fmin(ceil(window->top + window->side), height);
    *p = (patch){.left = left, .top = top, .width = right > left ? right - left : 0};
    p->height = bottom > top ? bottom - top : 0;
    size_t n = (size_t)p->width * (size_t)p->height, all = (size_t)side * (size_t)side;
    if (!(p->values = kn_alloc(4 * n, sizeof(float), error))) return false;
    p->weights = p->values + 3 * n;
    for (size_t i = 0; i < n; i++) {
        double x = left + (double)(i % (size_t)p->width) + 0.5, y = top + (double)(i / (size_t)p->width) + 0.5;
        p->weights[i] = kn_protect_soft(box, x, y);
        for (size_t c = 0; c < 3 && p->weights[i] > 0; c++)
            p->values[c * n + i] =
                average(square + c * all, side, side, (x - window->left) * step, (y - window->top) * step, step);
    }
    return true;
}

static size_t place_of(const patch *p, size_t i, int width) {
    return ((size_t)p->top + i / (size_t)p->width) * (size_t)width + (size_t)p->left + i % (size_t)p->width;
}

bool kn_protect_put_back(float *planes, int width, int height, const kn_protect_window *window, const float *square,
                         int side, const kn_track_box *box, float weight, kn_error *error) {
    patch p;
    size_t pixels = (size_t)width * (size_t)height;
    if (!read_patch(&p, width, height, window, square, side, box, error)) return false;
    size_t n = (size_t)p.width * (size_t)p.height;
    for (size_t c = 0; c < 3; c++) {
        double off = 0, total = 1e-9;
        for (size_t i = 0; i < n; i++) { /* along the edge both shall have the same colour */
            double rim = (double)(p.weights[i] * (1 - p.weights[i]));
            off += rim * (double)(planes[c * pixels + place_of(&p, i, width)] - p.values[c * n + i]);
            total += rim;
        }
        for (size_t i = 0; i < n; i++) {
            float *at = &planes[c * pixels + place_of(&p, i, width)];
            float value = fminf(fmaxf(p.values[c * n + i] + (float)(off / total), 0), 1);
            *at += weight * p.weights[i] * (value - *at);
        }
    }
    kn_free(p.values);
    return true;
}
