/* Silhouettes out of lines. */
#include "mesh/drawing/drawing.h"
#include "mesh/views/mesh.h"

#include <stdlib.h>
#include <string.h>

int kn_page_pieces(const uint8_t *mask, int width, int height, int *labels, int *areas, int capacity, int *stack) {
    int count = 0;
    memset(labels, 0, (size_t)width * (size_t)height * sizeof *labels);
    for (int start = 0; start < width * height; start++) {
        if (mask[start] < 128 || labels[start]) continue;
        int top = 0, area = 0;
        stack[top++] = start, labels[start] = ++count;
        while (top > 0) {
            int at = stack[--top], x = at % width, y = at / width;
            area++;
            for (int k = 0; k < 9; k++) {
                int u = x + k % 3 - 1, v = y + k / 3 - 1, next = v * width + u;
                if (u < 0 || v < 0 || u >= width || v >= height || mask[next] < 128 || labels[next]) continue;
                labels[next] = count, stack[top++] = next;
            }
        }
        if (count <= capacity) areas[count - 1] = area;
    }
    return count;
}

typedef struct outline {
    const kn_page *page;
    int w, h, pad; /* of the padded masks */
    uint8_t *ink, *grown, *filled;
    float *distance;
    int *stack;
} outline;

/* Everything that the border cannot reach without crossing grown lines. */
static void flood(outline *o) {
    int top = 0, count = o->w * o->h;
    memset(o->filled, 255, (size_t)count);
    o->stack[top++] = 0, o->filled[0] = 0;
    while (top > 0) {
        int at = o->stack[--top], x = at % o->w, y = at / o->w;
        for (int k = 0; k < 4; k++) {
            int u = x + (k == 0) - (k == 1), v = y + (k == 2) - (k == 3), next = v * o->w + u;
            if (u < 0 || v < 0 || u >= o->w || v >= o->h || o->grown[next] || !o->filled[next]) continue;
            o->filled[next] = 0, o->stack[top++] = next;
        }
    }
}

/* mask = distance to its border at most `by` pixels outside (by > 0), or deeper than -by inside. */
static bool grow(const outline *o, const uint8_t *from, double by, uint8_t *to, kn_error *error) {
    if (!kn_mask_distance(from, o->w, o->h, o->distance, error)) return false;
    for (int i = 0; i < o->w * o->h; i++) to[i] = (double)o->distance[i] <= by ? 255 : 0;
    return true;
}

/* One radius; *closed: what it encloses is much of the box of the ink. */
static bool try_radius(outline *o, int radius, bool *closed, kn_error *error) {
    int low[2] = {o->w, o->h}, high[2] = {-1, -1}, area = 0;
    if (!grow(o, o->ink, radius, o->grown, error)) return false;
    flood(o);
    if (!grow(o, o->filled, -radius - 2, o->grown, error) || !grow(o, o->grown, 2, o->filled, error)) return false;
    for (int i = 0; i < o->w * o->h; i++) {
        area += o->filled[i] != 0;
        if (!o->ink[i]) continue;
        int at[2] = {i % o->w, i / o->w};
        for (int k = 0; k < 2; k++)
            low[k] = at[k] < low[k] ? at[k] : low[k], high[k] = at[k] > high[k] ? at[k] : high[k];
    }
    *closed = area > 0.3 * (high[0] - low[0] + 1) * (high[1] - low[1] + 1);
    return true;
}

bool kn_page_outline(kn_page *page, kn_error *error) {
    int pad = 40;
    outline o = {.page = page, .w = page->width + 2 * pad, .h = page->height + 2 * pad, .pad = pad};
    size_t count = (size_t)o.w * (size_t)o.h;
    o.ink = kn_alloc(count, 1, error), o.grown = kn_alloc(count, 1, error), o.filled = kn_alloc(count, 1, error);
    o.distance = kn_alloc(count, sizeof(float), error), o.stack = kn_alloc(count, sizeof(int), error);
    bool ok = o.ink && o.grown && o.filled && o.distance && o.stack;
    for (int y = 0; ok && y < page->height; y++)
        for (int x = 0; x < page->width; x++)
            o.ink[(y + pad) * o.w + x + pad] = page->lines[y * page->width + x] > 0.3f ? 255 : 0;
    page->closed = false;
    for (int radius = 1; ok && !page->closed && radius <= 24; radius += 1 + radius / 3)
        ok = try_radius(&o, radius, &page->closed, error);
    for (int y = 0; ok && y < page->height; y++)
        memcpy(page->silhouette + (size_t)y * (size_t)page->width, o.filled + (size_t)(y + pad) * (size_t)o.w + pad,
               (size_t)page->width);
    kn_free(o.ink), kn_free(o.grown), kn_free(o.filled), kn_free(o.distance), kn_free(o.stack);
    return ok;
}

/* --- convex hull (Andrew's monotone chain) ---------------------------------------------------- */

typedef struct spot {
    int x, y;
} spot;

static int64_t turn(spot a, spot b, spot c) {
    return (int64_t)(b.x - a.x) * (c.y - a.y) - (int64_t)(b.y - a.y) * (c.x - a.x);
}

/* Spots come by columns, then rows; hull[2 count + 1] gets corners counter to the sun in a y-up world. */
static int chain(const spot *spots, int count, spot *hull) {
    int n = 0;
    for (int i = 0; i < count; i++) {
        while (n >= 2 && turn(hull[n - 2], hull[n - 1], spots[i]) <= 0) n--;
        hull[n++] = spots[i];
    }
    for (int i = count - 2, least = n + 1; i >= 0; i--) {
        while (n >= least && turn(hull[n - 2], hull[n - 1], spots[i]) <= 0) n--;
        hull[n++] = spots[i];
    }
    return n - 1;
}

bool kn_page_hull(kn_page *page, kn_error *error) {
    size_t pixels = (size_t)page->width * (size_t)page->height;
    spot *spots = kn_alloc(pixels, sizeof *spots, error), *hull = kn_alloc(2 * pixels + 1, sizeof *hull, error);
    bool ok = spots && hull;
    int count = 0;
    for (int x = 0; ok && x < page->width; x++)
        for (int y = 0; y < page->height; y++)
            if (page->lines[y * page->width + x] > 0.3f) spots[count++] = (spot){x, y};
    int corners = ok && count > 2 ? chain(spots, count, hull) : 0;
    for (int i = 0; ok && i < (int)pixels; i++) {
        spot at = {i % page->width, i / page->width};
        bool inside = corners > 2;
        for (int k = 0; inside && k < corners; k++) inside = turn(hull[k], hull[(k + 1) % corners], at) >= 0;
        page->silhouette[i] = inside ? 255 : 0;
    }
    kn_free(spots), kn_free(hull);
    return ok;
}
