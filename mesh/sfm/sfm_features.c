/* SIFT features, by vlfeat. */
#include "mesh/sfm/sfm.h"

#include <stdlib.h>
#include <string.h>
#include <vl/sift.h>

#define SMALL 400 /* pixels up to which a picture is enlarged: its smallest blobs matter */

typedef struct raw_feature {
    float x, y, scale, angle;
    float descriptor[128];
} raw_feature;

typedef struct raw_list {
    raw_feature *items;
    size_t count, capacity;
} raw_list;

void kn_features_finish(kn_features *features) {
    kn_free(features->xy), kn_free(features->scale), kn_free(features->colors), kn_free(features->descriptors);
    *features = (kn_features){0};
}

static double grey_of(const kn_image *picture, int x, int y) {
    const uint8_t *p = picture->data + ((size_t)y * (size_t)picture->width + (size_t)x) * (size_t)picture->channels;
    double value = picture->channels < 3 ? p[0] : 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
    return picture->channels == 4 ? (value * p[3] + 128.0 * (255 - p[3])) / 255 : value;
}

/* Grey values 0..255 of the picture at width x height, each the mean of its area. */
static void reduce(const kn_image *picture, float *grey, int width, int height) {
    double sx = (double)picture->width / width, sy = (double)picture->height / height;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            double sum = 0, total = 0, x0 = x * sx, x1 = x0 + sx, y0 = y * sy, y1 = y0 + sy;
            for (int v = (int)y0; v < y1 && v < picture->height; v++)
                for (int u = (int)x0; u < x1 && u < picture->width; u++) {
                    double w = (fmin(u + 1, x1) - fmax(u, x0)) * (fmin(v + 1, y1) - fmax(v, y0));
                    sum += w * grey_of(picture, u, v), total += w;
                }
            grey[y * width + x] = (float)(total > 0 ? sum / total : 0);
        }
}

/* The picture at twice its size, bilinear. */
static void enlarge(const kn_image *picture, float *grey) {
    int w = picture->width, h = picture->height;
    for (int y = 0; y < 2 * h; y++)
        for (int x = 0; x < 2 * w; x++) {
            int u = x / 2, v = y / 2, u1 = x & 1 ? u + (u + 1 < w) : u - (u > 0),
                v1 = y & 1 ? v + (v + 1 < h) : v - (v > 0);
            double value = 9 * grey_of(picture, u, v) + 3 * grey_of(picture, u1, v) + 3 * grey_of(picture, u, v1) +
                           grey_of(picture, u1, v1);
            grey[y * 2 * w + x] = (float)(value / 16);
        }
}

static bool add_keypoint(VlSiftFilt *filter, const VlSiftKeypoint *key, raw_list *list, kn_error *error) {
    double angles[4];
    int count = vl_sift_calc_keypoint_orientations(filter, angles, key);
    for (int i = 0; i < count; i++) {
        if (!kn_grow(&list->items, &list->capacity, list->count + 1, sizeof *list->items, error)) return false;
        raw_feature *feature = &list->items[list->count++];
        *feature = (raw_feature){.x = key->x, .y = key->y, .scale = key->sigma, .angle = (float)angles[i]};
        vl_sift_calc_keypoint_descriptor(filter, feature->descriptor, key, angles[i]);
    }
    return true;
}

static bool detect(const float *grey, int width, int height, double peak, raw_list *list, kn_error *error) {
    VlSiftFilt *filter = vl_sift_new(width, height, -1, 3, -1);
    if (!filter)
        return kn_fail(error, KN_ERROR_MEMORY, "out of memory for features of a picture of %d x %d pixels", width,
                       height);
    vl_sift_set_peak_thresh(filter, peak);
    vl_sift_set_edge_thresh(filter, 10);
    bool ok = true;
    list->count = 0;
    for (int state = vl_sift_process_first_octave(filter, grey); ok && state == VL_ERR_OK;
         state = vl_sift_process_next_octave(filter)) {
        vl_sift_detect(filter);
        const VlSiftKeypoint *keys = vl_sift_get_keypoints(filter);
        int count = vl_sift_get_nkeypoints(filter);
        for (int i = 0; ok && i < count; i++) ok = add_keypoint(filter, &keys[i], list, error);
    }
    vl_sift_delete(filter);
    return ok;
}

/* Largest first; then by place, so that the order does not depend on the sort. */
static int by_scale(const void *a, const void *b) {
    const raw_feature *p = a, *q = b;
    if (p->scale != q->scale) return p->scale < q->scale ? 1 : -1;
    if (p->y != q->y) return p->y < q->y ? -1 : 1;
    if (p->x != q->x) return p->x < q->x ? -1 : 1;
    return (p->angle > q->angle) - (p->angle < q->angle);
}

static void fill(kn_features *features, const raw_list *list, const kn_image *picture, double scale) {
    for (size_t i = 0; i < features->count; i++) {
        const raw_feature *raw = &list->items[i];
        double x = (raw->x + 0.5) * scale, y = (raw->y + 0.5) * scale, sum = 1e-12;
        features->xy[2 * i] = (float)x, features->xy[2 * i + 1] = (float)y,
                         features->scale[i] = (float)(raw->scale * scale);
        int u = (int)fmin(fmax(x, 0), picture->width - 1), v = (int)fmin(fmax(y, 0), picture->height - 1);
        const uint8_t *p = picture->data + ((size_t)v * (size_t)picture->width + (size_t)u) * (size_t)picture->channels;
        for (int c = 0; c < 3; c++) features->colors[3 * i + (size_t)c] = p[picture->channels < 3 ? 0 : c];
        for (int k = 0; k < 128; k++) sum += raw->descriptor[k];
        for (int k = 0; k < 128; k++)
            features->descriptors[128 * i + (size_t)k] = (int16_t)lrint(255 * sqrt(raw->descriptor[k] / sum));
    }
}

bool kn_features_find(kn_features *features, const kn_image *picture, int size, size_t limit, kn_error *error) {
    *features = (kn_features){0};
    int longer = picture->width > picture->height ? picture->width : picture->height;
    double scale = longer > size ? (double)longer / size : longer <= SMALL ? 0.5 : 1;
    int width = (int)fmax(1, lrint(picture->width / scale)), height = (int)fmax(1, lrint(picture->height / scale));
    raw_list list = {0};
    float *grey = kn_alloc((size_t)width * (size_t)height, sizeof *grey, error);
    bool ok = grey != NULL;
    if (ok && scale < 1) enlarge(picture, grey);
    else if (ok) reduce(picture, grey, width, height);
    ok = ok && detect(grey, width, height, scale < 1 ? 0.5 : 1.7, &list, error);
    if (ok && scale >= 1 && list.count < limit / 4) ok = detect(grey, width, height, 0.5, &list, error);
    kn_free(grey);
    if (ok && list.count) qsort(list.items, list.count, sizeof *list.items, by_scale);
    features->count = kn_min_size(list.count, limit);
    size_t room = features->count + 1;
    ok = ok && (features->xy = kn_alloc(room, 2 * sizeof *features->xy, error)) &&
         (features->scale = kn_alloc(room, sizeof *features->scale, error)) &&
         (features->colors = kn_alloc(room, 3, error)) &&
         (features->descriptors = kn_alloc(room, 128 * sizeof *features->descriptors, error));
    if (ok) fill(features, &list, picture, (double)picture->width / width);
    kn_free(list.items);
    if (!ok) kn_features_finish(features);
    return ok;
}
