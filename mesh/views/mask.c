/* Masks from alpha, from a plain background or from a background that does not move; distances to their border. */
#include "mesh/views/mesh.h"

#include <stdlib.h>
#include <string.h>

bool kn_mask_alpha(const kn_image *picture, uint8_t *mask) {
    if (picture->channels != 4) return false;
    size_t count = (size_t)picture->width * (size_t)picture->height, inside = 0;
    for (size_t i = 0; i < count; i++) {
        mask[i] = picture->data[4 * i + 3] >= 128 ? 255 : 0;
        inside += mask[i] != 0;
    }
    return inside > 0 && inside < count;
}

/* --- connected regions ------------------------------------------------------------------------ */

/* Labels the pixels equal to `value` that are 4-connected to pixel `start` with `label`; returns how many. */
static size_t flood(uint8_t *map, int width, int height, size_t start, uint8_t value, uint8_t label, uint32_t *stack) {
    size_t top = 0, filled = 1;
    stack[top++] = (uint32_t)start;
    map[start] = label;
    while (top) {
        int at = (int)stack[--top], x = at % width, y = at / width;
        int next[4] = {x > 0 ? at - 1 : -1, x + 1 < width ? at + 1 : -1, y > 0 ? at - width : -1,
                       y + 1 < height ? at + width : -1};
        for (int i = 0; i < 4; i++)
            if (next[i] >= 0 && map[next[i]] == value) map[next[i]] = label, stack[top++] = (uint32_t)next[i], filled++;
    }
    return filled;
}

/* map: 1 object, 0 background. Background that the border does not reach becomes object unless it is large (a real hole
 * shows the background); only objects of at least a fifth of the largest one's size stay. */
static bool tidy(uint8_t *map, const uint8_t *sure, int width, int height, kn_error *error) {
    size_t count = (size_t)width * (size_t)height, largest = 0;
    uint32_t *stack = kn_alloc(count, sizeof *stack, error), *sizes = kn_alloc(count, sizeof *sizes, error);
    bool ok = stack && sizes;
    for (size_t i = 0; ok && i < count; i++) /* 2: background seen from the border */
        if (map[i] == 0 && (i < (size_t)width || i >= count - (size_t)width || i % (size_t)width == 0 ||
                            i % (size_t)width == (size_t)width - 1))
            flood(map, width, height, i, 0, 2, stack);
    for (size_t i = 0; ok && i < count; i++)
        if (map[i] == 0) {
            size_t hole = flood(map, width, height, i, 0, 3, stack), certain = 0;
            for (size_t j = i; j < count; j++) certain += map[j] == 3 && sure[j];
            uint8_t becomes = certain * 10 > hole * 9 && hole * 2000 > count ? 2 : 1;
            for (size_t j = i; j < count; j++)
                if (map[j] == 3) map[j] = becomes;
        }
    for (size_t i = 0; ok && i < count; i++)
        if (map[i] == 1) {
            sizes[i] = (uint32_t)flood(map, width, height, i, 1, 4, stack);
            largest = kn_max_size(largest, sizes[i]);
        }
    for (size_t i = 0; ok && i < count; i++)
        if (sizes[i] && sizes[i] * 5 < largest) flood(map, width, height, i, 4, 2, stack);
    for (size_t i = 0; ok && i < count; i++) map[i] = map[i] == 4 ? 255 : 0;
    kn_free(stack), kn_free(sizes);
    return ok;
}

bool kn_mask_tidy(uint8_t *mask, int width, int height, kn_error *error) {
    uint8_t *sure = kn_alloc((size_t)width * (size_t)height, 1, error);
    bool ok = sure && tidy(mask, sure, width, height, error);
    kn_free(sure);
    return ok;
}

/* --- plain background ------------------------------------------------------------------------- */

static int median_of(const int histogram[256], int total) {
    int sum = 0, value = 0;
    while (value < 255 && (sum += histogram[value]) * 2 < total) value++;
    return value;
}

bool kn_mask_plain(const kn_image *picture, uint8_t *mask, kn_error *error) {
    int w = picture->width, h = picture->height, n = picture->channels, histogram[3][256] = {{0}}, total = 0, back[3];
    if (n < 3 || w < 8 || h < 8) return false;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x += (y < 2 || y >= h - 2) ? 1 : x == 1 ? w - 3 : 1) {
            const uint8_t *p = picture->data + ((size_t)y * (size_t)w + (size_t)x) * (size_t)n;
            for (int c = 0; c < 3; c++) histogram[c][p[c]]++;
            total++;
        }
    for (int c = 0; c < 3; c++) back[c] = median_of(histogram[c], total);
    int spread[256] = {0}, limit = 0;
    size_t count = (size_t)w * (size_t)h;
    uint8_t *sure = kn_alloc(count, 1, error);
    if (!sure) return false;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *p = picture->data + i * (size_t)n;
        int far = abs(p[0] - back[0]);
        for (int c = 1; c < 3; c++) far = abs(p[c] - back[c]) > far ? abs(p[c] - back[c]) : far;
        mask[i] = (uint8_t)far; /* the distance for now */
        int x = (int)(i % (size_t)w), y = (int)(i / (size_t)w);
        if (x < 2 || y < 2 || x >= w - 2 || y >= h - 2) spread[far]++;
    }
    for (int sum = 0; limit < 255 && (sum += spread[limit]) * 20 < total * 19; limit++) {
    }
    bool plain = limit <= 24;
    int threshold = limit + 10 > 16 ? limit + 10 : 16;
    size_t inside = 0;
    for (size_t i = 0; i < count; i++) {
        sure[i] = mask[i] < threshold / 2 + 1;
        mask[i] = mask[i] > threshold;
        inside += mask[i];
    }
    plain = plain && inside * 500 > count && tidy(mask, sure, w, h, error);
    kn_free(sure);
    return plain;
}

/* --- background that does not move ------------------------------------------------------------ */

bool kn_mask_static(const kn_image *const *pictures, uint8_t *const *masks, size_t count, kn_error *error) {
    int w = pictures[0]->width, h = pictures[0]->height, n = pictures[0]->channels;
    size_t pixels = (size_t)w * (size_t)h, still = 0, moving = 0;
    if (n < 3 || count < 8) return false;
    for (size_t i = 0; i < pixels; i++) {
        int back[3];
        for (int c = 0; c < 3; c++) {
            int histogram[256] = {0};
            for (size_t v = 0; v < count; v++) histogram[pictures[v]->data[i * (size_t)n + (size_t)c]]++;
            back[c] = median_of(histogram, (int)count);
        }
        for (size_t v = 0; v < count; v++) {
            const uint8_t *p = pictures[v]->data + i * (size_t)n;
            int far = abs(p[0] - back[0]) + abs(p[1] - back[1]) + abs(p[2] - back[2]);
            masks[v][i] = far > 40;
            far > 40 ? moving++ : still++;
        }
    }
    bool ok = still > 3 * moving &&
              moving * 200 > still; /* a moving camera changes nearly everything, a still one nearly nothing */
    for (size_t v = 0; ok && v < count; v++) ok = kn_mask_tidy(masks[v], w, h, error);
    return ok;
}

/* --- distance --------------------------------------------------------------------------------- */

/* One row of the squared distance transform: lower envelope of parabolas. f, d [n]; v [n], z [n + 1] are scratch. */
static void transform_row(const float *f, float *d, int n, int *v, float *z) {
    int k = 0;
    v[0] = 0, z[0] = -1e20f, z[1] = 1e20f;
    for (int q = 1; q < n; q++) {
        float s;
        do {
            int p = v[k];
            s = ((f[q] + (float)q * (float)q) - (f[p] + (float)p * (float)p)) / (float)(2 * q - 2 * p);
        } while (s <= z[k] && --k >= 0);
        k++;
        v[k] = q, z[k] = s, z[k + 1] = 1e20f;
    }
    k = 0;
    for (int q = 0; q < n; q++) {
        while (z[k + 1] < (float)q) k++;
        d[q] = (float)(q - v[k]) * (float)(q - v[k]) + f[v[k]];
    }
}

/* Distance of every pixel to the nearest one whose mask has the wanted side. */
static void transform(const uint8_t *mask, bool inside, int w, int h, float *out, float *line, float *result, int *v,
                      float *z) {
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) line[x] = (mask[y * w + x] >= 128) == inside ? 0 : 1e12f;
        transform_row(line, out + (size_t)y * (size_t)w, w, v, z);
    }
    for (int x = 0; x < w; x++) {
        for (int y = 0; y < h; y++) line[y] = out[y * w + x];
        transform_row(line, result, h, v, z);
        for (int y = 0; y < h; y++) out[y * w + x] = sqrtf(result[y]);
    }
}

bool kn_mask_distance(const uint8_t *mask, int width, int height, float *distance, kn_error *error) {
    size_t count = (size_t)width * (size_t)height, longest = (size_t)(width > height ? width : height) + 2;
    float *inner = kn_alloc(count, sizeof *inner, error), *scratch = kn_alloc(3 * longest, sizeof *scratch, error);
    int *places = kn_alloc(longest, sizeof *places, error);
    bool ok = inner && scratch && places;
    if (ok) {
        transform(mask, true, width, height, distance, scratch, scratch + longest, places, scratch + 2 * longest);
        transform(mask, false, width, height, inner, scratch, scratch + longest, places, scratch + 2 * longest);
        for (size_t i = 0; i < count; i++) {
            float outside = distance[i] > 0 ? distance[i] - 0.5f : 0, within = inner[i] > 0 ? inner[i] - 0.5f : 0;
            distance[i] = fminf(outside, 1e4f) - fminf(within, 1e4f);
        }
    }
    kn_free(inner), kn_free(scratch), kn_free(places);
    return ok;
}

bool kn_mask_soften(float *distance, int w, int h, kn_error *error) {
    float *line = kn_alloc((size_t)(w > h ? w : h), sizeof *line, error);
    for (int way = 0; line && way < 2; way++)
        for (int k = 0; k < (way ? w : h); k++) {
            int n = way ? h : w;
            size_t first = way ? (size_t)k : (size_t)k * (size_t)w, step = way ? (size_t)w : 1;
            for (int i = 0; i < n; i++) line[i] = distance[first + (size_t)i * step];
            for (int i = 2; i + 2 < n; i++)
                distance[first + (size_t)i * step] =
                    (line[i - 2] + line[i + 2] + 4 * (line[i - 1] + line[i + 1]) + 6 * line[i]) / 16;
        }
    kn_free(line);
    return line != NULL;
}
