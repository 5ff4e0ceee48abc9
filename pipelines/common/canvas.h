/* Anti-aliased drawing on an RGB image: lines, convex polygons, discs and a 5 x 7 pixel font. Internal to
 * pipelines/. */
#ifndef KN_PIPELINES_CANVAS_H
#define KN_PIPELINES_CANVAS_H

#include "base/base.h"

typedef struct kn_canvas_color {
    uint8_t r, g, b;
    float alpha; /* 0..1 */
} kn_canvas_color;

/* All coordinates are pixels, y down, (0, 0) the upper left corner of the image; parts outside are clipped. The image
 * must have 3 channels. */
void kn_canvas_clear(kn_image *image, kn_canvas_color color);
void kn_canvas_line(kn_image *image, double x0, double y0, double x1, double y1, double width, kn_canvas_color color);
void kn_canvas_disc(kn_image *image, double x, double y, double radius, kn_canvas_color color);
/* A convex polygon of up to 16 corners in either orientation. */
void kn_canvas_polygon(kn_image *image, const double (*points)[2], int count, kn_canvas_color color);
/* Text with its upper left corner at (x, y), each font pixel `scale` pixels wide; letters are drawn as capitals.
 * Returns the width in pixels, also for scale < 0, which measures with -scale and draws nothing. */
int kn_canvas_text(kn_image *image, int x, int y, int scale, const char *text, kn_canvas_color color);

/* The 7 rows of a character, bit 4 the leftmost pixel; NULL for a character without a glyph. */
const uint8_t *kn_font_glyph(char character);

#endif
