/* Paper: its own brightness is estimated on a coarse lattice and divided out, so that what stays is ink. */
#include "mesh/drawing/drawing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LATTICE = 40, MOST = 512 };

typedef struct lattice {
    int w, h, step;  /* squares, pixels each */
    float *raw, *at; /* [h][w][3]: the paper's colour 0..1 as measured, and without ink */
} lattice;

/* Value that `share` of a square's pixels do not reach. */
static float percentile(const kn_image *image, int x0, int y0, int step, int channel, double share) {
    int histogram[256] = {0}, total = 0, x1 = x0 + step < image->width ? x0 + step : image->width,
        y1 = y0 + step < image->height ? y0 + step : image->height, seen = 0, v = 0;
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++, total++)
            histogram[image->data[((size_t)y * (size_t)image->width + (size_t)x) * 3 + (size_t)channel]]++;
    for (; v < 255; v++)
        if ((seen += histogram[v]) > share * total) break;
    return (float)v / 255;
}

/* Squares full of ink take the brightest neighbour's paper; the mean of 3 x 3 makes it smooth. */
static void clear_ink(lattice *l, float *scratch) {
    for (int pass = 0; pass < 3; pass++) { /* brightest twice, then the mean */
        const float *from = pass == 0 ? l->raw : l->at;
        for (int y = 0; y < l->h; y++)
            for (int x = 0; x < l->w; x++)
                for (int c = 0; c < 3; c++) {
                    float best = 0, sum = 0, count = 0;
                    for (int dy = -1; dy <= 1; dy++)
                        for (int dx = -1; dx <= 1; dx++) {
                            if (x + dx < 0 || y + dy < 0 || x + dx >= l->w || y + dy >= l->h) continue;
                            float v = from[3 * ((y + dy) * l->w + x + dx) + c];
                            best = fmaxf(best, v), sum += v, count++;
                        }
                    scratch[3 * (y * l->w + x) + c] = pass < 2 ? best : sum / count;
                }
        memcpy(l->at, scratch, (size_t)(3 * l->w * l->h) * sizeof(float));
    }
}

static bool lattice_init(lattice *l, const kn_image *image, kn_error *error) {
    int longer = image->width > image->height ? image->width : image->height;
    l->step = longer / LATTICE > 8 ? longer / LATTICE : 8;
    l->w = (image->width + l->step - 1) / l->step, l->h = (image->height + l->step - 1) / l->step;
    size_t count = 3 * (size_t)l->w * (size_t)l->h;
    float *scratch = kn_alloc(count, sizeof *scratch, error);
    bool ok =
        scratch && (l->raw = kn_alloc(count, sizeof(float), error)) && (l->at = kn_alloc(count, sizeof(float), error));
    for (int i = 0; ok && i < l->w * l->h; i++)
        for (int c = 0; c < 3; c++)
            l->raw[3 * i + c] = percentile(image, i % l->w * l->step, i / l->w * l->step, l->step, c, 0.8);
    if (ok) clear_ink(l, scratch);
    kn_free(scratch);
    return ok;
}

static float paper_at(const lattice *l, double x, double y, int channel) {
    double u = fmin(fmax(x / l->step - 0.5, 0), l->w - 1), v = fmin(fmax(y / l->step - 0.5, 0), l->h - 1);
    int x0 = (int)u, y0 = (int)v, x1 = x0 + 1 < l->w ? x0 + 1 : x0, y1 = y0 + 1 < l->h ? y0 + 1 : y0;
    float s = (float)(u - x0), t = (float)(v - y0);
    const float *p = l->at + channel;
    return (1 - t) * ((1 - s) * p[3 * (y0 * l->w + x0)] + s * p[3 * (y0 * l->w + x1)]) +
           t * ((1 - s) * p[3 * (y1 * l->w + x0)] + s * p[3 * (y1 * l->w + x1)]);
}

/* Share of neighbouring squares whose brightness jumps: paper under a lamp is smooth, a photograph is not. */
static double jumps(const lattice *l) {
    int pairs = 0, jumping = 0;
    for (int i = 0; i < l->w * l->h; i++)
        for (int way = 0; way < 2; way++) {
            if (way == 0 ? i % l->w + 1 >= l->w : i / l->w + 1 >= l->h) continue;
            const float *a = l->raw + 3 * i, *b = l->raw + 3 * (way ? i + l->w : i + 1);
            float p = a[0] + a[1] + a[2] + 0.05f, q = b[0] + b[1] + b[2] + 0.05f;
            pairs++, jumping += fmaxf(p / q, q / p) > 1.2f;
        }
    return pairs ? (double)jumping / pairs : 0;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* How dark each pixel is against its paper, brought to the page's size as the root of the mean square, which keeps thin
 * lines. Coloured lines count by their darkest channel. */
static void measure(kn_page *page, const kn_image *image, const lattice *l) {
    for (int y = 0; y < page->height; y++)
        for (int x = 0; x < page->width; x++) {
            int x0 = (int)((int64_t)x * image->width / page->width),
                x1 = (int)((int64_t)(x + 1) * image->width / page->width),
                y0 = (int)((int64_t)y * image->height / page->height),
                y1 = (int)((int64_t)(y + 1) * image->height / page->height);
            float paper[3], sum = 0;
            for (int c = 0; c < 3; c++) paper[c] = fmaxf(paper_at(l, (x0 + x1) * 0.5, (y0 + y1) * 0.5, c), 0.02f);
            int count = 0;
            for (int v = y0; v < (y1 > y0 ? y1 : y0 + 1); v++)
                for (int u = x0; u < (x1 > x0 ? x1 : x0 + 1); u++, count++) {
                    const uint8_t *p = image->data + 3 * ((size_t)v * (size_t)image->width + (size_t)u);
                    float least = 1;
                    for (int c = 0; c < 3; c++) least = fminf(least, (float)p[c] / 255 / paper[c]);
                    sum += (1 - least) * (1 - least);
                }
            page->lines[y * page->width + x] = sqrtf(sum / (float)count);
        }
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* From the grain of the paper to the darkest lines becomes 0..1. */
static bool stretch(kn_page *page, const lattice *l, const char *name, kn_error *error) {
    size_t count = (size_t)page->width * (size_t)page->height;
    float *sorted = kn_alloc(count, sizeof *sorted, error);
    if (!sorted) return false;
    memcpy(sorted, page->lines, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, ascending);
    float median = sorted[count / 2], grain = median - sorted[count / 20],
          low = fmaxf(median + 2.5f * grain, median + 0.04f), high = sorted[count - 1 - count / 500];
    kn_free(sorted);
    double rough = jumps(l);
    if (median > 0.15f || rough > 0.28) /* half a drawing's page is paper */
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: looks like a photograph or a painted picture (%.0f %% of its squares jump in brightness): "
                       "expected a line drawing on plain paper",
                       name, 100 * rough);
    if (high - low < 0.06f)
        return kn_fail(error, KN_ERROR_INPUT, "%s: the page is empty: expected a drawing in dark lines on light paper",
                       name);
    for (size_t i = 0; i < count; i++) page->lines[i] = fminf(fmaxf((page->lines[i] - low) / (high - low), 0), 1);
    return true;
}

static bool check_ink(const kn_page *page, kn_drawing *drawing, const lattice *l, const char *name, kn_error *error) {
    size_t count = (size_t)page->width * (size_t)page->height, dark = 0;
    float low = 1, high = 0;
    for (size_t i = 0; i < count; i++) dark += page->lines[i] > 0.35f;
    for (int i = 0; i < 3 * l->w * l->h; i++) low = fminf(low, l->at[i]), high = fmaxf(high, l->at[i]);
    drawing->ink = (float)dark / (float)count;
    drawing->evened = high > 0 ? 1 - low / high : 0;
    if (drawing->ink > 0.45f)
        return kn_fail(error, KN_ERROR_INPUT, "%s: %.0f %% of it is dark: expected a line drawing on light paper", name,
                       100 * (double)drawing->ink);
    return true;
}

bool kn_page_init(kn_page *page, kn_drawing *drawing, const kn_image *image, const char *name, kn_error *error) {
    *page = (kn_page){0};
    if (image->channels != 3 || image->width < 16 || image->height < 16)
        return kn_fail(error, KN_ERROR_INPUT, "%s: %d x %d pixels of %d channels: expected at least 16 x 16 RGB", name,
                       image->width, image->height, image->channels);
    int longer = image->width > image->height ? image->width : image->height;
    double scale = longer > MOST ? (double)MOST / longer : 1;
    page->width = (int)fmax(lround(image->width * scale), 4),
    page->height = (int)fmax(lround(image->height * scale), 4);
    size_t count = (size_t)page->width * (size_t)page->height;
    lattice l = {0};
    bool ok = (page->lines = kn_alloc(count, sizeof(float), error)) && (page->silhouette = kn_alloc(count, 1, error)) &&
              lattice_init(&l, image, error);
    if (ok) measure(page, image, &l);
    ok = ok && stretch(page, &l, name, error) && check_ink(page, drawing, &l, name, error);
    kn_free(l.raw), kn_free(l.at);
    return ok;
}

void kn_page_finish(kn_page *page) {
    kn_free(page->lines), kn_free(page->silhouette);
    *page = (kn_page){0};
}
