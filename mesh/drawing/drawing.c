/* From a page to the cut-out drawing. */
#include "mesh/drawing/drawing.h"
#include "mesh/views/mesh.h"

#include <math.h>
#include <string.h>

enum { PIECES = 64, SIZE = KN_DRAWING_SIZE };

/* Keeps the largest piece of the silhouette; fails when there are two. */
static bool keep_object(kn_page *page, const char *name, kn_error *error) {
    size_t count = (size_t)page->width * (size_t)page->height;
    int *labels = kn_alloc(count, sizeof *labels, error), *stack = kn_alloc(count, sizeof *stack, error);
    int areas[PIECES] = {0}, best = 0, large = 0;
    bool ok = labels && stack;
    int pieces = ok ? kn_page_pieces(page->silhouette, page->width, page->height, labels, areas, PIECES, stack) : 0;
    for (int i = 1; i < pieces && i < PIECES; i++)
        if (areas[i] > areas[best]) best = i;
    for (int i = 0; i < pieces && i < PIECES; i++) large += areas[i] > 0.2 * areas[best];
    for (size_t i = 0; ok && i < count; i++) page->silhouette[i] = pieces && labels[i] == best + 1 ? 255 : 0;
    kn_free(labels), kn_free(stack);
    if (ok && large > 1)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: shows %d separate objects: expected one; cut the page, and give several views as several "
                       "files",
                       name, large);
    return ok && (pieces > 0 ||
                  kn_fail(error, KN_ERROR_INPUT, "%s: no outline was found: expected the contour of one object", name));
}

/* Low x, y and high x, y (behind the last pixel) of a mask. */
static void box_of(const uint8_t *mask, int width, int height, double box[4]) {
    box[0] = width, box[1] = height, box[2] = box[3] = 0;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            if (mask[y * width + x] < 128) continue;
            box[0] = fmin(box[0], x), box[1] = fmin(box[1], y), box[2] = fmax(box[2], x + 1),
            box[3] = fmax(box[3], y + 1);
        }
}

/* Mean of what a pixel of the cut-out covers, by `taps` x `taps` bilinear samples. */
static float sample(const kn_page *page, bool silhouette, double x, double y, double step) {
    int taps = (int)fmin(fmax(ceil(step), 1), 8);
    double sum = 0;
    for (int k = 0; k < taps * taps; k++) {
        double u = x + step * ((k % taps + 0.5) / taps - 0.5) - 0.5,
               v = y + step * ((k / taps + 0.5) / taps - 0.5) - 0.5;
        int x0 = (int)floor(u), y0 = (int)floor(v);
        for (int c = 0; c < 4; c++) {
            int px = x0 + (c & 1), py = y0 + (c >> 1);
            if (px < 0 || py < 0 || px >= page->width || py >= page->height) continue;
            double w = (c & 1 ? u - x0 : 1 - u + x0) * (c >> 1 ? v - y0 : 1 - v + y0);
            sum += w * (silhouette ? page->silhouette[py * page->width + px] / 255.0
                                   : (double)page->lines[py * page->width + px]);
        }
    }
    return (float)(sum / (taps * taps));
}

static bool cut_out(kn_drawing *drawing, const kn_page *page, const double box[4], kn_error *error) {
    double step = fmax(box[2] - box[0], box[3] - box[1]) / KN_DRAWING_BOX, x = (box[0] + box[2]) / 2,
           y = (box[1] + box[3]) / 2;
    float darkest = 0;
    for (int i = 0; i < SIZE * SIZE; i++) {
        double u = x + (i % SIZE + 0.5 - SIZE / 2.0) * step, v = y + (i / SIZE + 0.5 - SIZE / 2.0) * step;
        drawing->silhouette[i] = sample(page, true, u, v, step) >= 0.5f ? 255 : 0;
        drawing->lines[i] = sample(page, false, u, v, step);
        darkest = fmaxf(darkest, drawing->lines[i]);
    }
    float *edge = kn_alloc(SIZE * SIZE, sizeof *edge, error);
    bool ok = edge && kn_mask_distance(drawing->silhouette, SIZE, SIZE, edge, error);
    for (int i = 0; ok && i < SIZE * SIZE; i++) /* notes and ground lines beside the object are no part of it */
        drawing->lines[i] = edge[i] > 3 || darkest <= 0 ? 0 : fminf(drawing->lines[i] / darkest, 1);
    kn_free(edge);
    box_of(drawing->silhouette, SIZE, SIZE, drawing->box);
    return ok;
}

bool kn_drawing_read(kn_drawing *drawing, const kn_image *image, const char *name, const kn_log *log, kn_error *error) {
    kn_page page;
    double box[4];
    *drawing = (kn_drawing){0};
    bool ok = kn_page_init(&page, drawing, image, name, error) && kn_page_outline(&page, error);
    if (ok && !page.closed) {
        drawing->open_outline = true;
        kn_log_line(log, KN_LOG_WARNING, "%s: the outline does not close: its convex hull is taken", name);
        ok = kn_page_hull(&page, error);
    }
    ok = ok && keep_object(&page, name, error);
    if (ok) {
        box_of(page.silhouette, page.width, page.height, box);
        drawing->cut_off = box[0] < 1 || box[1] < 1 || box[2] > page.width - 1 || box[3] > page.height - 1;
        if (drawing->cut_off)
            kn_log_line(log, KN_LOG_WARNING, "%s: the object touches the edge of the page: what is cut off is guessed",
                        name);
        if (drawing->evened > 0.25f)
            kn_log_line(log, KN_LOG_INFO, "%s: paper evened out, its darkest part was %.0f %% darker", name,
                        100 * (double)drawing->evened);
        ok = cut_out(drawing, &page, box, error);
    }
    kn_page_finish(&page);
    return ok;
}
