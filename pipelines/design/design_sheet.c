/* The contact sheet: the drawings above, the surface from eight sides below. */
#include "pipelines/design/design_internal.h"

#include <math.h>
#include <string.h>

/* Draws a picture into a square of the sheet, its mean where it shrinks, with a margin. */
static void put(kn_image *sheet, int left, int top, int side, const kn_image *page) {
    double scale = fmax(page->width, page->height) / (side - 16.0);
    int w = (int)(page->width / scale), h = (int)(page->height / scale), x0 = left + (side - w) / 2,
        y0 = top + (side - h) / 2;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int u0 = (int)(x * scale), u1 = (int)fmax((x + 1) * scale, u0 + 1), v0 = (int)(y * scale),
                v1 = (int)fmax((y + 1) * scale, v0 + 1);
            uint64_t sum[3] = {0}, count = 0;
            for (int v = v0; v < v1 && v < page->height; v++)
                for (int u = u0; u < u1 && u < page->width; u++, count++)
                    for (int c = 0; c < 3; c++)
                        sum[c] += page->data[3 * ((size_t)v * (size_t)page->width + (size_t)u) + (size_t)c];
            uint8_t *out = sheet->data + 3 * ((size_t)(y0 + y) * (size_t)sheet->width + (size_t)(x0 + x));
            for (int c = 0; c < 3 && count; c++) out[c] = (uint8_t)(sum[c] / count);
        }
}

bool kn_design_sheet(const kn_design *d, const char *path, int width, kn_error *error) {
    int side = width / 4;
    kn_image turn = {0}, sheet = {0};
    bool ok = kn_surface_draw_turntable(d->surface, &turn, width, error) &&
              kn_image_init(&sheet, turn.width, side + turn.height, 3, error);
    if (ok) {
        memset(sheet.data, 255, (size_t)sheet.width * (size_t)side * 3);
        memcpy(sheet.data + (size_t)sheet.width * (size_t)side * 3, turn.data,
               (size_t)turn.width * (size_t)turn.height * 3);
        for (int i = 0; i < d->job->drawing_count; i++) put(&sheet, i * side, 0, side, &d->pages[i]);
    }
    ok = ok && kn_image_write_png(&sheet, path, error);
    kn_image_finish(&turn), kn_image_finish(&sheet);
    return ok;
}
