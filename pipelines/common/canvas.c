#include "pipelines/common/canvas.h"

#include <math.h>
#include <stdlib.h>

static void blend(kn_image *image, int x, int y, kn_canvas_color color, double coverage) {
    if (coverage <= 0) return;
    double a = color.alpha * (coverage < 1 ? coverage : 1);
    uint8_t *p = image->data + 3 * ((size_t)y * (size_t)image->width + (size_t)x);
    p[0] = (uint8_t)lround(p[0] + a * (color.r - p[0]));
    p[1] = (uint8_t)lround(p[1] + a * (color.g - p[1]));
    p[2] = (uint8_t)lround(p[2] + a * (color.b - p[2]));
}

/* Whole pixels that touch [low, high], inside [0, size). Returns false when there are none. */
static bool clip_range(double low, double high, int size, int *first, int *last) {
    if (!(low < size) || !(high > 0)) return false; /* NaN too */
    *first = low > 0 ? (int)low : 0;
    *last = high < size - 1 ? (int)high : size - 1;
    return *first <= *last;
}

void kn_canvas_clear(kn_image *image, kn_canvas_color color) {
    for (size_t i = 0; i < (size_t)image->width * (size_t)image->height; i++) {
        image->data[3 * i] = color.r;
        image->data[3 * i + 1] = color.g;
        image->data[3 * i + 2] = color.b;
    }
}

void kn_canvas_line(kn_image *image, double x0, double y0, double x1, double y1, double width, kn_canvas_color color) {
    double half = width / 2, reach = half + 1;
    int left, right, top, bottom;
    if (!clip_range(fmin(x0, x1) - reach, fmax(x0, x1) + reach, image->width, &left, &right)) return;
    if (!clip_range(fmin(y0, y1) - reach, fmax(y0, y1) + reach, image->height, &top, &bottom)) return;
    double dx = x1 - x0, dy = y1 - y0, square = dx * dx + dy * dy;
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            double px = x + .5 - x0, py = y + .5 - y0;
            double t = square > 0 ? fmin(fmax((px * dx + py * dy) / square, 0), 1) : 0;
            blend(image, x, y, color, half + .5 - hypot(px - t * dx, py - t * dy));
        }
}

void kn_canvas_disc(kn_image *image, double x, double y, double radius, kn_canvas_color color) {
    kn_canvas_line(image, x, y, x, y, 2 * radius, color);
}

void kn_canvas_polygon(kn_image *image, const double (*points)[2], int count, kn_canvas_color color) {
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY}, area = 0;
    for (int i = 0; i < count; i++) {
        const double *a = points[i], *b = points[(i + 1) % count];
        area += a[0] * b[1] - a[1] * b[0];
        for (int d = 0; d < 2; d++) {
            low[d] = fmin(low[d], a[d] - 1);
            high[d] = fmax(high[d], a[d] + 1);
        }
    }
    int left, right, top, bottom;
    if (count < 3 || !clip_range(low[0], high[0], image->width, &left, &right) ||
        !clip_range(low[1], high[1], image->height, &top, &bottom))
        return;
    double sign = area < 0 ? -1 : 1;
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            double inside = INFINITY; /* signed distance to the nearest edge line, positive inside */
            for (int i = 0; i < count && inside > -.5; i++) {
                const double *a = points[i], *b = points[(i + 1) % count];
                double dx = b[0] - a[0], dy = b[1] - a[1], length = hypot(dx, dy);
                if (length > 0) inside = fmin(inside, sign * (dx * (y + .5 - a[1]) - dy * (x + .5 - a[0])) / length);
            }
            blend(image, x, y, color, inside + .5);
        }
}

int kn_canvas_text(kn_image *image, int x, int y, int scale, const char *text, kn_canvas_color color) {
    int size = abs(scale), pen = 0;
    for (; *text; text++, pen += 6 * size) {
        const uint8_t *glyph = scale > 0 ? kn_font_glyph(*text) : NULL;
        for (int row = 0; glyph && row < 7 * size; row++)
            for (int column = 0; column < 5 * size; column++) {
                int px = x + pen + column, py = y + row;
                if (!(glyph[row / size] >> (4 - column / size) & 1)) continue;
                if (px >= 0 && py >= 0 && px < image->width && py < image->height) blend(image, px, py, color, 1);
            }
    }
    return pen > 0 ? pen - size : 0;
}
