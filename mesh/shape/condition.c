/* What the sampler is told about drawings, and how well its sample agrees with them. */
#include "mesh/shape/shape.h"

#include <math.h>
#include <string.h>

enum { SIZE = KN_DRAWING_SIZE, SIDE = KN_DRAWING_SIZE / 2 };

size_t kn_shape_sample_floats(const int size[3]) {
    return (size_t)(1 + KN_SHAPE_BITS) * (size_t)size[0] * (size_t)size[1] * (size_t)size[2];
}

size_t kn_shape_condition_floats(const int size[3]) { return 2 * (size_t)size[0] * (size_t)size[1] * (size_t)size[2]; }

/* --- maps of a drawing ------------------------------------------------------------------------ */

typedef struct maps {
    float *edge, *near; /* [SIZE][SIZE]: S and L */
    kn_eye eye;
} maps;

static bool maps_init(maps *m, const kn_shape_class *kind, const kn_drawing_pose *pose, const double box[3],
                      kn_error *error) {
    uint8_t *dark = kn_alloc(SIZE * SIZE, 1, error);
    m->edge = kn_alloc(SIZE * SIZE, sizeof(float), error), m->near = kn_alloc(SIZE * SIZE, sizeof(float), error);
    bool ok = dark && m->edge && m->near;
    for (int i = 0; ok && i < SIZE * SIZE; i++) dark[i] = pose->drawing->lines[i] > 0.5f ? 255 : 0;
    ok = ok && kn_mask_distance(pose->drawing->silhouette, SIZE, SIZE, m->edge, error) &&
         kn_mask_distance(dark, SIZE, SIZE, m->near, error);
    for (int i = 0; ok && i < SIZE * SIZE; i++) {
        m->edge[i] = fminf(fmaxf(m->edge[i] / 16, -1), 1);
        m->near[i] = m->near[i] <= 0 ? 1 : expf(-(m->near[i] + 0.5f) / 3);
    }
    double whole[6];
    kn_shape_mean_box(kind, box, whole);
    kn_shape_eye(&m->eye, whole, pose);
    kn_free(dark);
    return ok;
}

static void maps_finish(maps *m) { kn_free(m->edge), kn_free(m->near); }

/* Bilinear, the border's beyond it. Pixel centres lie at .5. */
static double look_up(const float *map, const double pixel[2]) {
    double u = fmin(fmax(pixel[0] - 0.5, 0), SIZE - 1), v = fmin(fmax(pixel[1] - 0.5, 0), SIZE - 1);
    int x = (int)u < SIZE - 2 ? (int)u : SIZE - 2, y = (int)v < SIZE - 2 ? (int)v : SIZE - 2;
    double s = u - x, t = v - y;
    const float *p = map + y * SIZE + x;
    return (1 - t) * ((1 - s) * (double)p[0] + s * (double)p[1]) +
           t * ((1 - s) * (double)p[SIZE] + s * (double)p[SIZE + 1]);
}

static void add_view(float *condition, const kn_shape_class *kind, const int size[3], const maps *m, double side) {
    size_t half = kn_shape_condition_floats(size) / 2;
    for (int y = 0; y < size[1]; y++)
        for (int z = 0; z < size[2]; z++)
            for (int x = 0; x < size[0]; x++) {
                const double p[3] = {kn_shape_at(kind, size, 0, x), side * kn_shape_at(kind, size, 1, y),
                                     kn_shape_at(kind, size, 2, z)};
                double pixel[2], depth;
                if (!kn_eye_project(&m->eye, p, pixel, &depth)) continue; /* behind the eye: no class is so large */
                float *s = condition + kn_shape_index(size, x, y, z), *l = s + half;
                *s = fmaxf(*s, (float)look_up(m->edge, pixel)), *l = fmaxf(*l, (float)look_up(m->near, pixel));
            }
}

bool kn_shape_condition(float *condition, const kn_shape_class *kind, const int size[3],
                        const kn_drawing_pose *drawings, int count, const double box[3], kn_error *error) {
    size_t half = kn_shape_condition_floats(size) / 2;
    for (size_t i = 0; i < half; i++) condition[i] = count ? -1 : 1, condition[half + i] = 0;
    bool ok = true;
    for (int v = 0; ok && v < count; v++) {
        maps m = {0};
        ok = maps_init(&m, kind, &drawings[v], box, error);
        if (ok) add_view(condition, kind, size, &m, 1);
        if (ok && kind->symmetric) add_view(condition, kind, size, &m, -1);
        maps_finish(&m);
    }
    return ok;
}

/* --- agreement -------------------------------------------------------------------------------- */

/* Intersection over union of two masks of SIDE x SIDE and SIZE x SIZE pixels. */
static double overlap(const uint8_t *mine, const uint8_t *drawn, int side) {
    int scale = SIZE / side, both = 0, either = 0;
    for (int i = 0; i < side * side; i++) {
        int x = i % side * scale + scale / 2, y = i / side * scale + scale / 2;
        bool a = mine[i] != 0, b = drawn[y * SIZE + x] >= 128;
        both += a && b, either += a || b;
    }
    return either ? (double)both / either : 0;
}

bool kn_shape_box(const float *sample, const kn_shape_class *kind, const int size[3], double lengths[3]) {
    double box[6];
    if (!kn_shape_bounds(kind, size, sample, box)) return false;
    for (int i = 0; i < 3; i++) lengths[i] = box[3 + i] - (i == 2 ? 0 : box[i]);
    return true;
}

bool kn_shape_agreement(const float *sample, const kn_shape_class *kind, const int size[3],
                        const kn_drawing_pose *drawing, double *iou, kn_error *error) {
    double box[6];
    *iou = 0;
    if (!kn_shape_bounds(kind, size, sample, box)) return true;
    kn_eye eye;
    kn_shape_eye(&eye, box, drawing);
    float *low = kn_alloc(SIDE * SIDE, sizeof *low, error);
    uint8_t *mine = kn_alloc(SIDE * SIDE, 1, error);
    bool ok = low && mine;
    if (ok) kn_shape_march(kind, size, sample, &eye, SIDE, low, NULL);
    for (int i = 0; ok && i < SIDE * SIDE; i++) mine[i] = low[i] < 0;
    if (ok) *iou = overlap(mine, drawing->drawing->silhouette, SIDE);
    kn_free(low), kn_free(mine);
    return ok;
}

bool kn_surface_agreement(const kn_surface *surface, const kn_drawing_pose *drawing, double *iou, kn_error *error) {
    kn_tris mesh = {.positions = surface->positions,
                    .triangles = surface->triangles,
                    .vertex_count = surface->vertex_count,
                    .triangle_count = surface->triangle_count};
    double box[6] = {1e30, 1e30, 1e30, -1e30, -1e30, -1e30};
    for (size_t v = 0; v < 3 * mesh.vertex_count; v++)
        box[v % 3] = fmin(box[v % 3], (double)mesh.positions[v]),
                box[3 + v % 3] = fmax(box[3 + v % 3], (double)mesh.positions[v]);
    kn_eye eye;
    kn_shape_eye(&eye, box, drawing);
    kn_raster raster = {0};
    uint8_t *mine = kn_alloc(SIZE * SIZE, 1, error);
    bool ok = mine && kn_raster_init(&raster, SIZE, SIZE, error);
    if (ok) kn_raster_draw(&raster, &eye, &mesh, false);
    for (int i = 0; ok && i < SIZE * SIZE; i++) mine[i] = raster.triangle[i] != 0;
    *iou = ok ? overlap(mine, drawing->drawing->silhouette, SIZE) : 0;
    kn_raster_finish(&raster);
    kn_free(mine);
    return ok;
}
