/* Guidance: a clean estimate is pulled towards the drawings before the sample moves towards it. */
#include "mesh/shape/shape.h"

#include <math.h>
#include <string.h>

enum { SIZE = KN_DRAWING_SIZE, SIDE = KN_DRAWING_SIZE / 2 };

typedef struct pull {
    const kn_shape_class *kind;
    const int *size;
    float *slices; /* the estimate's distances */
    double unit, strength;
    kn_eye eye;
    float *edge; /* [SIZE][SIZE] pixels to the silhouette, negative inside */
    float *low, *points;
    float *need; /* by how much each cell is to sink */
} pull;

/* What the silhouette excludes is at least as far outside as the silhouette is away. */
static void carve(pull *p, double side) {
    for (int y = 0; y < p->size[1]; y++)
        for (int z = 0; z < p->size[2]; z++)
            for (int x = 0; x < p->size[0]; x++) {
                const double at[3] = {kn_shape_at(p->kind, p->size, 0, x), side * kn_shape_at(p->kind, p->size, 1, y),
                                      kn_shape_at(p->kind, p->size, 2, z)};
                double pixel[2], depth, off;
                if (!kn_eye_project(&p->eye, at, pixel, &depth)) continue;
                int u = (int)fmin(fmax(pixel[0], 0), SIZE - 1), v = (int)fmin(fmax(pixel[1], 0), SIZE - 1);
                off = (double)p->edge[v * SIZE + u] + fmax(fmax(-pixel[0], pixel[0] - SIZE), 0) +
                      fmax(fmax(-pixel[1], pixel[1] - SIZE), 0);
                float *d = p->slices + kn_shape_index(p->size, x, y, z);
                double least = fmin(off * depth / p->eye.fx / p->unit, 1);
                if (least > (double)*d) *d += (float)(p->strength * (least - (double)*d));
            }
}

/* Where a ray inside the silhouette passes the shape by, the surface around its nearest point moves out towards it. */
static void ask_at(pull *p, const float point[3], double side, double missing) {
    const double middle[3] = {(double)point[0], side * (double)point[1], (double)point[2]}, reach = 4, width = 2;
    int low[3], high[3];
    for (int i = 0; i < 3; i++) {
        double cell = kn_shape_cell(p->kind, p->size, i, middle[i]);
        low[i] = (int)fmax(ceil(cell - reach), 0), high[i] = (int)fmin(floor(cell + reach), p->size[i] - 1);
    }
    double cell = kn_shape_mean_cell(p->kind, p->size);
    for (int z = low[2]; z <= high[2]; z++)
        for (int y = low[1]; y <= high[1]; y++)
            for (int x = low[0]; x <= high[0]; x++) {
                double a = kn_shape_at(p->kind, p->size, 0, x) - middle[0],
                       b = kn_shape_at(p->kind, p->size, 1, y) - middle[1],
                       c = kn_shape_at(p->kind, p->size, 2, z) - middle[2],
                       r = (a * a + b * b + c * c) / (width * width * cell * cell);
                float *need = p->need + kn_shape_index(p->size, x, y, z);
                *need = fmaxf(*need, (float)(missing * exp(-r)));
            }
}

/* Rays that pass more than two cells away say too little about where the shape lacks something. */
static void fill(pull *p) {
    size_t cells = kn_shape_condition_floats(p->size) / 2;
    memset(p->need, 0, cells * sizeof *p->need);
    kn_shape_march(p->kind, p->size, p->slices, &p->eye, SIDE, p->low, p->points);
    for (int i = 0; i < SIDE * SIDE; i++) {
        float edge = p->edge[(i / SIDE * 2 + 1) * SIZE + i % SIDE * 2 + 1];
        double missing = (double)p->low[i] / p->unit;
        if (edge > -2 || missing < 0 || missing > 0.7) continue;
        ask_at(p, p->points + 3 * i, 1, missing + 0.05);
        if (p->kind->symmetric) ask_at(p, p->points + 3 * i, -1, missing + 0.05);
    }
    for (size_t i = 0; i < cells; i++) p->slices[i] -= (float)p->strength * p->need[i];
}

bool kn_shape_pull(float *sample, const kn_shape_class *kind, const int size[3], const kn_drawing_pose *drawings,
                   int count, double strength, kn_error *error) {
    pull p = {.kind = kind, .size = size, .slices = sample, .strength = strength};
    double lengths[3], box[6];
    p.unit = 3 * kn_shape_mean_cell(kind, size);
    p.edge = kn_alloc(SIZE * SIZE, sizeof(float), error), p.low = kn_alloc(SIDE * SIDE, sizeof(float), error);
    p.points = kn_alloc(3 * SIDE * SIDE, sizeof(float), error);
    p.need = kn_alloc(kn_shape_condition_floats(size) / 2, sizeof(float), error);
    bool ok = p.edge && p.low && p.points && p.need;
    for (int v = 0; ok && v < count && strength > 0; v++) {
        if (!kn_shape_box(sample, kind, size, lengths)) memcpy(lengths, kind->mean, sizeof lengths);
        kn_shape_mean_box(kind, lengths, box);
        kn_shape_eye(&p.eye, box, &drawings[v]);
        ok = kn_mask_distance(drawings[v].drawing->silhouette, SIZE, SIZE, p.edge, error);
        if (!ok) break;
        carve(&p, 1);
        if (kind->symmetric) carve(&p, -1);
        fill(&p);
    }
    kn_free(p.edge), kn_free(p.low), kn_free(p.points), kn_free(p.need);
    return ok;
}
