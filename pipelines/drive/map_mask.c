#include "pipelines/drive/map_mask.h"

#include "base/base.h"

#include <math.h>

#define BAND 4.2 /* metres of lane along each mark when there are no surfaces */

typedef struct map_mask {
    uint8_t *pixels;
    int width, height;
    const double *origin;
    double resolution; /* metres per pixel */
} map_mask;

/* Metres to pixels of the mask, y down. */
static void to_mask(const map_mask *m, const double point[2], double out[2]) {
    out[0] = (point[0] - m->origin[0]) / m->resolution;
    out[1] = m->height - (point[1] - m->origin[1]) / m->resolution;
}

/* Clips [low, high] to whole pixels of 0..size-1; false when nothing is left (or a number is not finite). */
static bool clip(double low, double high, int size, int *first, int *last) {
    if (!(low < size) || !(high >= 0)) return false;
    *first = low > 0 ? (int)low : 0;
    *last = high < size - 1 ? (int)high : size - 1;
    return *first <= *last;
}

static void fill_band(map_mask *m, const double a[2], const double b[2], double reach) {
    int left, right, top, bottom;
    if (!clip(fmin(a[0], b[0]) - reach, fmax(a[0], b[0]) + reach, m->width, &left, &right)) return;
    if (!clip(fmin(a[1], b[1]) - reach, fmax(a[1], b[1]) + reach, m->height, &top, &bottom)) return;
    double dx = b[0] - a[0], dy = b[1] - a[1], square = dx * dx + dy * dy;
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            double px = x + .5 - a[0], py = y + .5 - a[1],
                   t = square > 0 ? fmin(fmax((px * dx + py * dy) / square, 0), 1) : 0;
            if (hypot(px - t * dx, py - t * dy) <= reach) m->pixels[(size_t)y * (size_t)m->width + (size_t)x] = 255;
        }
}

static double side(const double a[2], const double b[2], double x, double y) {
    return (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]);
}

static void fill_triangle(map_mask *m, const double a[2], const double b[2], const double c[2]) {
    int left, right, top, bottom;
    if (!clip(fmin(a[0], fmin(b[0], c[0])), fmax(a[0], fmax(b[0], c[0])), m->width, &left, &right)) return;
    if (!clip(fmin(a[1], fmin(b[1], c[1])), fmax(a[1], fmax(b[1], c[1])), m->height, &top, &bottom)) return;
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            double s0 = side(a, b, x + .5, y + .5), s1 = side(b, c, x + .5, y + .5), s2 = side(c, a, x + .5, y + .5);
            if ((s0 >= 0 && s1 >= 0 && s2 >= 0) || (s0 <= 0 && s1 <= 0 && s2 <= 0))
                m->pixels[(size_t)y * (size_t)m->width + (size_t)x] = 255;
        }
}

static void fill_surface(map_mask *m, const kn_map_line *line) {
    size_t n = line->point_count / 2;
    for (size_t k = 0; k + 1 < n; k++) {
        double quad[4][2];
        const size_t corners[4] = {k, k + 1, n + k + 1, n + k};
        for (int c = 0; c < 4; c++) to_mask(m, line->points[corners[c]], quad[c]);
        fill_triangle(m, quad[0], quad[1], quad[2]);
        fill_triangle(m, quad[0], quad[2], quad[3]);
    }
}

static void fill_mark(map_mask *m, const kn_map_line *line) {
    for (size_t k = 0; k + 1 < line->point_count; k++) {
        double a[2], b[2];
        to_mask(m, line->points[k], a);
        to_mask(m, line->points[k + 1], b);
        fill_band(m, a, b, BAND / 2 / m->resolution);
    }
}

double kn_map_mask_resolution(const double size[2]) {
    double resolution = KN_MAP_MASK_RESOLUTION;
    while (size[0] / resolution > 16384 || size[1] / resolution > 16384 ||
           size[0] / resolution * (size[1] / resolution) > 64e6)
        resolution *= 2;
    return resolution;
}

bool kn_map_mask(const kn_map_line *lines, size_t line_count, const double origin[2], const double size[2],
                 double resolution, uint8_t **mask, int *width, int *height, kn_error *error) {
    map_mask m = {.width = (int)ceil(size[0] / resolution),
                  .height = (int)ceil(size[1] / resolution),
                  .origin = origin,
                  .resolution = resolution};
    m.pixels = kn_alloc((size_t)m.width * (size_t)m.height, 1, error);
    if (!m.pixels) return false;
    bool surfaces = false;
    for (size_t i = 0; i < line_count; i++) surfaces = surfaces || lines[i].kind == 3;
    for (size_t i = 0; i < line_count; i++) {
        if (lines[i].kind == 3) fill_surface(&m, &lines[i]);
        else if (lines[i].kind == 1 && !surfaces) fill_mark(&m, &lines[i]);
    }
    *mask = m.pixels;
    *width = m.width;
    *height = m.height;
    return true;
}
