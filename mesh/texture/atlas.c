/* Charts for the texture: triangles that face one of six directions, cut where they would overlap, packed with
 * padding. */
#include "mesh/views/mesh.h"

#include <stdlib.h>
#include <string.h>

#define STB_RECT_PACK_IMPLEMENTATION
#define STBRP_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#include <stb/stb_rect_pack.h>
#pragma GCC diagnostic pop

#define PADDING 3 /* texels around a chart */

typedef struct atlas {
    kn_surface *surface;
    uint32_t *neighbours; /* [triangles][3] across the edge after corner i */
    uint8_t *labels;      /* [triangles] direction 0..5 */
    uint8_t *ejected;     /* [triangles] rounds in which it overlapped others */
    uint32_t *stack;
    float *flat;  /* [triangles][3][2] corners on the chart's plane, metres */
    float *boxes; /* [charts][4] low and high of flat */
    stbrp_rect *rects;
    double *areas; /* [charts] */
    double axes[3][3];
} atlas;

typedef struct half_edge {
    uint64_t key;
    uint32_t at; /* 3 * triangle + corner */
} half_edge;

static int by_key(const void *a, const void *b) {
    const half_edge *p = a, *q = b;
    return p->key < q->key ? -1 : p->key > q->key ? 1 : p->at < q->at ? -1 : p->at > q->at;
}

static bool find_neighbours(atlas *a, kn_error *error) {
    size_t count = 3 * a->surface->triangle_count;
    half_edge *edges = kn_alloc(count, sizeof *edges, error);
    if (!edges) return false;
    for (size_t i = 0; i < count; i++) {
        uint64_t v = a->surface->triangles[i], w = a->surface->triangles[i % 3 == 2 ? i - 2 : i + 1];
        edges[i] = (half_edge){v < w ? v << 32 | w : w << 32 | v, (uint32_t)i};
        a->neighbours[i] = (uint32_t)(i / 3);
    }
    qsort(edges, count, sizeof *edges, by_key);
    for (size_t i = 0; i + 1 < count; i++)
        if (edges[i].key == edges[i + 1].key)
            a->neighbours[edges[i].at] = edges[i + 1].at / 3, a->neighbours[edges[i + 1].at] = edges[i].at / 3;
    kn_free(edges);
    return true;
}

/* The direction that each triangle faces most, with single triangles following their neighbours. */
static void label(atlas *a) {
    const kn_surface *s = a->surface;
    double sides[2], turn = kn_upright_box(s->positions, s->vertex_count, sides);
    double axes[3][3] = {{cos(turn), sin(turn), 0}, {-sin(turn), cos(turn), 0}, {0, 0, 1}};
    memcpy(a->axes, axes, sizeof axes);
    for (size_t t = 0; t < s->triangle_count; t++) {
        double n[3] = {0}, best = -1e30;
        for (size_t i = 0; i < 9; i++) n[i % 3] += s->normals[3 * s->triangles[3 * t + i / 3] + i % 3];
        for (int d = 0; d < 6; d++) {
            double dot = (axes[d / 2][0] * n[0] + axes[d / 2][1] * n[1] + axes[d / 2][2] * n[2]) * (d & 1 ? -1 : 1);
            if (dot > best) best = dot, a->labels[t] = (uint8_t)d;
        }
    }
    for (int pass = 0; pass < 4; pass++)
        for (size_t t = 0; t < s->triangle_count; t++) {
            const uint32_t *n = a->neighbours + 3 * t;
            uint8_t x = a->labels[n[0]], y = a->labels[n[1]], z = a->labels[n[2]];
            if ((x == y || x == z) && (x ^ 1) != a->labels[t]) a->labels[t] = x;
            else if (y == z && (y ^ 1) != a->labels[t]) a->labels[t] = y;
        }
}

/* Connected triangles with one label and one ejection count form a chart. */
static void number_charts(atlas *a) {
    kn_surface *s = a->surface;
    memset(s->charts, 0xff, s->triangle_count * sizeof *s->charts);
    s->chart_count = 0;
    for (size_t t = 0; t < s->triangle_count; t++) {
        if (s->charts[t] != UINT32_MAX) continue;
        size_t top = 0;
        a->stack[top++] = (uint32_t)t;
        s->charts[t] = s->chart_count;
        while (top) {
            uint32_t at = a->stack[--top];
            for (int i = 0; i < 3; i++) {
                uint32_t n = a->neighbours[3 * at + (uint32_t)i];
                if (s->charts[n] == UINT32_MAX && a->labels[n] == a->labels[at] && a->ejected[n] == a->ejected[at])
                    s->charts[n] = s->chart_count, a->stack[top++] = n;
            }
        }
        s->chart_count++;
    }
}

static bool flatten(atlas *a, kn_error *error) {
    const kn_surface *s = a->surface;
    kn_free(a->boxes);
    a->boxes = kn_alloc(s->chart_count, 4 * sizeof *a->boxes, error);
    if (!a->boxes) return false;
    for (size_t c = 0; c < s->chart_count; c++)
        a->boxes[4 * c] = a->boxes[4 * c + 1] = 1e30f, a->boxes[4 * c + 2] = a->boxes[4 * c + 3] = -1e30f;
    for (size_t i = 0; i < 3 * s->triangle_count; i++) {
        const float *p = s->positions + 3 * (size_t)s->triangles[i];
        int axis = a->labels[i / 3] / 2;
        bool back = a->labels[i / 3] & 1;
        const double *u = a->axes[axis == 0 ? 1 : 0], *v = a->axes[axis == 2 ? 1 : 2];
        float *out = a->flat + 2 * i, *box = a->boxes + 4 * (size_t)s->charts[i / 3];
        out[0] = (float)(u[0] * p[0] + u[1] * p[1] + u[2] * p[2]) * (back ? -1.0f : 1.0f) * (axis == 1 ? -1.0f : 1.0f);
        out[1] = -(float)(v[0] * p[0] + v[1] * p[1] + v[2] * p[2]);
        for (int k = 0; k < 2; k++) box[k] = fminf(box[k], out[k]), box[k + 2] = fmaxf(box[k + 2], out[k]);
    }
    return true;
}

/* Direction of u and the handedness of each chart. */
static void find_axes(atlas *a) {
    kn_surface *s = a->surface;
    double *areas = a->areas;
    for (size_t t = 0; t < s->triangle_count; t++) {
        const float *f = a->flat + 6 * t;
        uint32_t c = s->charts[t];
        int axis = a->labels[t] / 2;
        const double *u = a->axes[axis == 0 ? 1 : 0];
        double sign = (a->labels[t] & 1 ? -1 : 1) * (axis == 1 ? -1 : 1);
        for (size_t i = 0; i < 3; i++) s->chart_axes[4 * c + i] = (float)(sign * u[i]);
        areas[c] += (f[2] - f[0]) * (f[5] - f[1]) - (f[4] - f[0]) * (f[3] - f[1]);
    }
    for (uint32_t c = 0; c < s->chart_count; c++)
        s->chart_axes[4 * c + 3] = areas[c] > 0 ? -1.0f : 1.0f; /* v runs down: unmirrored is negative */
}

/* --- overlaps --------------------------------------------------------------------------------- */

/* Marks triangles that cover a cell of their chart which another one has. Returns how many. */
static size_t find_overlaps(atlas *a, double cell, uint32_t *owner, size_t capacity, const uint32_t *order) {
    const kn_surface *s = a->surface;
    size_t found = 0, begin = 0;
    while (begin < s->triangle_count) {
        uint32_t chart = s->charts[order[begin]];
        const float *box = a->boxes + 4 * (size_t)chart;
        size_t w = (size_t)((box[2] - box[0]) / cell) + 2, h = (size_t)((box[3] - box[1]) / cell) + 2, end = begin;
        while (end < s->triangle_count && s->charts[order[end]] == chart) end++;
        if (w * h <= capacity) memset(owner, 0, w * h * sizeof *owner);
        for (size_t k = begin; k < end && w * h <= capacity; k++) {
            uint32_t t = order[k];
            const float *f = a->flat + 6 * (size_t)t;
            double p[3][2];
            for (int i = 0; i < 6; i++) p[i / 2][i % 2] = (f[i] - box[i % 2]) / cell;
            double area = (p[1][0] - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (p[1][1] - p[0][1]);
            bool clash = area > 0 && a->ejected[t] == 0; /* turned over */
            if (fabs(area) > 1e-9)
                for (int y = (int)ceil(fmin(p[0][1], fmin(p[1][1], p[2][1])) - 0.5);
                     y + 0.5 <= fmax(p[0][1], fmax(p[1][1], p[2][1])); y++)
                    for (int x = (int)ceil(fmin(p[0][0], fmin(p[1][0], p[2][0])) - 0.5);
                         x + 0.5 <= fmax(p[0][0], fmax(p[1][0], p[2][0])); x++) {
                        double b =
                            ((x + 0.5 - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (y + 0.5 - p[0][1])) /
                            area;
                        double c =
                            ((p[1][0] - p[0][0]) * (y + 0.5 - p[0][1]) - (x + 0.5 - p[0][0]) * (p[1][1] - p[0][1])) /
                            area;
                        if (b < 1e-4 || c < 1e-4 || b + c > 1 - 1e-4) continue;
                        uint32_t *cell_owner = &owner[(size_t)y * w + (size_t)x];
                        clash = clash || *cell_owner;
                        if (!*cell_owner) *cell_owner = t + 1;
                    }
            if (clash && a->ejected[t] < 6) a->ejected[t]++, found++;
        }
        begin = end;
    }
    return found;
}

/* Triangles in the order of their charts (counting sort). */
static bool sort_by_chart(const kn_surface *s, uint32_t *order, kn_error *error) {
    size_t *starts = kn_alloc((size_t)s->chart_count + 1, sizeof *starts, error);
    if (!starts) return false;
    for (size_t t = 0; t < s->triangle_count; t++) starts[s->charts[t] + 1]++;
    for (size_t c = 0; c < s->chart_count; c++) starts[c + 1] += starts[c];
    for (size_t t = 0; t < s->triangle_count; t++) order[starts[s->charts[t]]++] = (uint32_t)t;
    kn_free(starts);
    return true;
}

static bool cut(atlas *a, int texture, kn_error *error) {
    const kn_surface *s = a->surface;
    double area = 0;
    size_t capacity = (size_t)4 << 20;
    uint32_t *owner = kn_alloc(capacity, sizeof *owner, error),
             *order = kn_alloc(s->triangle_count, sizeof *order, error);
    bool ok = owner && order;
    for (int pass = 0; ok && pass < 6; pass++) {
        number_charts(a);
        ok = flatten(a, error) && sort_by_chart(s, order, error);
        area = 0;
        for (size_t c = 0; ok && c < s->chart_count; c++)
            area += (a->boxes[4 * c + 2] - a->boxes[4 * c]) * (a->boxes[4 * c + 3] - a->boxes[4 * c + 1]);
        if (!ok || find_overlaps(a, sqrt(area) / texture, owner, capacity, order) == 0) break;
    }
    kn_free(owner), kn_free(order);
    return ok;
}

/* --- packing ---------------------------------------------------------------------------------- */

/* Whether all charts fit at `scale` texels a metre. */
static bool fits(atlas *a, double scale, int texture, stbrp_node *nodes) {
    stbrp_context context;
    stbrp_init_target(&context, texture, texture, nodes, texture);
    for (size_t c = 0; c < a->surface->chart_count; c++) {
        const float *box = a->boxes + 4 * c;
        double w = (box[2] - box[0]) * scale + 1 + 2 * PADDING, h = (box[3] - box[1]) * scale + 1 + 2 * PADDING;
        if (w > texture || h > texture) return false;
        a->rects[c] = (stbrp_rect){.id = (int)c, .w = (stbrp_coord)ceil(w), .h = (stbrp_coord)ceil(h)};
    }
    return stbrp_pack_rects(&context, a->rects, (int)a->surface->chart_count) == 1;
}

static bool pack(atlas *a, int texture, kn_error *error) {
    kn_surface *s = a->surface;
    double low = 0, high = 0;
    for (size_t c = 0; c < s->chart_count; c++)
        high += (a->boxes[4 * c + 2] - a->boxes[4 * c]) * (a->boxes[4 * c + 3] - a->boxes[4 * c + 1]);
    high = 1.5 * texture / sqrt(fmax(high, 1e-12));
    stbrp_node *nodes = kn_alloc((size_t)texture, sizeof *nodes, error);
    a->rects = kn_alloc(s->chart_count, sizeof *a->rects, error);
    bool ok = nodes && a->rects;
    for (int i = 0; ok && i < 14; i++) {
        double middle = (low + high) / 2;
        if (fits(a, middle, texture, nodes)) low = middle;
        else high = middle;
    }
    if (ok && (low <= 0 || !fits(a, low, texture, nodes)))
        ok = kn_fail(error, KN_ERROR_INPUT,
                     "%u charts do not fit a texture of %d pixels: take a larger texture or fewer triangles",
                     s->chart_count, texture);
    for (size_t i = 0; ok && i < 3 * s->triangle_count; i++) {
        uint32_t c = s->charts[i / 3];
        s->corners[2 * i] =
            (float)((a->rects[c].x + PADDING + 0.5 + (a->flat[2 * i] - a->boxes[4 * c]) * low) / texture);
        s->corners[2 * i + 1] =
            (float)((a->rects[c].y + PADDING + 0.5 + (a->flat[2 * i + 1] - a->boxes[4 * c + 1]) * low) / texture);
    }
    kn_free(nodes);
    return ok;
}

bool kn_atlas(kn_surface *surface, int texture, kn_error *error) {
    size_t n = surface->triangle_count;
    atlas a = {.surface = surface,
               .neighbours = kn_alloc(n, 12, error),
               .labels = kn_alloc(n, 1, error),
               .ejected = kn_alloc(n, 1, error),
               .stack = kn_alloc(n, 4, error),
               .flat = kn_alloc(n, 6 * sizeof(float), error)};
    surface->charts = kn_alloc(n, sizeof *surface->charts, error),
    surface->corners = kn_alloc(n, 6 * sizeof *surface->corners, error);
    bool ok = a.neighbours && a.labels && a.ejected && a.stack && a.flat && surface->charts && surface->corners &&
              find_neighbours(&a, error);
    if (ok) label(&a);
    ok = ok && cut(&a, texture, error) && pack(&a, texture, error);
    if (ok)
        surface->chart_axes = kn_alloc(surface->chart_count, 4 * sizeof *surface->chart_axes, error),
        a.areas = kn_alloc(surface->chart_count, sizeof *a.areas, error);
    ok = ok && surface->chart_axes && a.areas;
    if (ok) find_axes(&a);
    void *all[] = {a.neighbours, a.labels, a.ejected, a.stack, a.flat, a.boxes, a.rects, a.areas};
    for (size_t i = 0; i < KN_COUNT(all); i++) kn_free(all[i]);
    return ok;
}
