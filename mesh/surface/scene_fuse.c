/* Depth maps of a scene into a closed surface's distance field. */
#include "mesh/surface/device.h"
#include "mesh/surface/scene.h"

#include <string.h>

#define STIFFNESS 0.02f /* of the membrane that fills what is unknown, against weights of about 1 */
#define SWEEPS 6

typedef struct votes_push {
    float origin[4];
    int32_t size[4], image[2];
    float reach, solid, thick, vague, padding[2], ground[4];
} votes_push;

/* --- filling ---------------------------------------------------------------------------------- */

typedef struct level {
    int size[3];
    float *data, *weight, *value;
    float stiffness;
} level;

static size_t count_of(const int size[3]) { return (size_t)size[0] * (size_t)size[1] * (size_t)size[2]; }

/* One relaxation sweep in place (Gauss-Seidel): minimises weight (value - data)^2 + stiffness |gradient|^2; free at the
 * border. */
static void relax(const level *l) {
    size_t row = (size_t)l->size[0], slice = row * (size_t)l->size[1];
    for (int z = 0; z < l->size[2]; z++)
        for (int y = 0; y < l->size[1]; y++) {
            size_t base = (size_t)z * slice + (size_t)y * row;
            for (int x = 0; x < l->size[0]; x++) {
                size_t i = base + (size_t)x;
                float sum = 0, n = 0, s = l->stiffness;
                if (x > 0) sum += l->value[i - 1], n++;
                if (x + 1 < l->size[0]) sum += l->value[i + 1], n++;
                if (y > 0) sum += l->value[i - row], n++;
                if (y + 1 < l->size[1]) sum += l->value[i + row], n++;
                if (z > 0) sum += l->value[i - slice], n++;
                if (z + 1 < l->size[2]) sum += l->value[i + slice], n++;
                l->value[i] = (l->weight[i] * l->data[i] + s * sum) / (l->weight[i] + s * n);
            }
        }
}

/* Sums of 2 x 2 x 2: weights, and the data by weight. */
static void pull(const level *fine, level *coarse) {
    memset(coarse->data, 0, count_of(coarse->size) * sizeof(float)),
        memset(coarse->weight, 0, count_of(coarse->size) * sizeof(float));
    for (int z = 0; z < fine->size[2]; z++)
        for (int y = 0; y < fine->size[1]; y++)
            for (int x = 0; x < fine->size[0]; x++) {
                size_t i = ((size_t)z * (size_t)fine->size[1] + (size_t)y) * (size_t)fine->size[0] + (size_t)x;
                size_t o = ((size_t)(z / 2) * (size_t)coarse->size[1] + (size_t)(y / 2)) * (size_t)coarse->size[0] +
                           (size_t)(x / 2);
                coarse->weight[o] += fine->weight[i], coarse->data[o] += fine->weight[i] * fine->data[i];
            }
    for (size_t i = 0; i < count_of(coarse->size); i++)
        coarse->data[i] /= coarse->weight[i] > 0 ? coarse->weight[i] : 1;
}

/* Trilinear values of the coarser level. */
static void push_down(const level *coarse, level *fine) {
    kn_grid grid = {.size = {coarse->size[0], coarse->size[1], coarse->size[2]}, .origin = {0.5, 0.5, 0.5}, .step = 2};
    for (int z = 0; z < fine->size[2]; z++)
        for (int y = 0; y < fine->size[1]; y++)
            for (int x = 0; x < fine->size[0]; x++)
                fine->value[((size_t)z * (size_t)fine->size[1] + (size_t)y) * (size_t)fine->size[0] + (size_t)x] =
                    kn_grid_sample(&grid, coarse->value, (const double[3]){x, y, z});
}

static bool solve(level *l, kn_error *error) {
    int smallest = l->size[0] < l->size[1] ? l->size[0] : l->size[1];
    smallest = smallest < l->size[2] ? smallest : l->size[2];
    l->value = kn_alloc(count_of(l->size), sizeof(float), error);
    if (!l->value) return false;
    bool ok = true;
    if (smallest >= 8) {
        level c = {.size = {(l->size[0] + 1) / 2, (l->size[1] + 1) / 2, (l->size[2] + 1) / 2},
                   .stiffness = 2 * l->stiffness};
        c.data = kn_alloc(count_of(c.size), sizeof(float), error),
        c.weight = kn_alloc(count_of(c.size), sizeof(float), error);
        ok = c.data && c.weight;
        if (ok) pull(l, &c);
        ok = ok && solve(&c, error);
        if (ok) push_down(&c, l);
        kn_free(c.data), kn_free(c.weight), kn_free(c.value);
    }
    for (int i = 0; ok && i < (smallest >= 8 ? SWEEPS : 200); i++) relax(l);
    return ok;
}

bool kn_field_fill(float *field, const float *weight, const int size[3], kn_error *error) {
    level top = {.size = {size[0], size[1], size[2]}, .data = field, .weight = (float *)weight, .stiffness = STIFFNESS};
    bool ok = solve(&top, error);
    if (ok) memcpy(field, top.value, count_of(size) * sizeof *field);
    kn_free(top.value);
    return ok;
}

/* --- votes ------------------------------------------------------------------------------------ */

static void voxel_at(const kn_grid *g, size_t i, double p[3]) {
    size_t w = (size_t)g->size[0], h = (size_t)g->size[1];
    p[0] = g->origin[0] + g->step * (double)(i % w), p[1] = g->origin[1] + g->step * (double)(i / w % h),
    p[2] = g->origin[2] + g->step * (double)(i / (w * h));
}

static bool vote(float *field, float *weight, const kn_grid *g, const kn_region *region, kn_gpu *gpu,
                 const kn_eyes *eyes, const kn_depth *depths, kn_error *error) {
    size_t count = kn_grid_count(g), one = (size_t)eyes->items[0].width * (size_t)eyes->items[0].height * 16;
    kn_gpu_buffer *cameras = NULL, *planes = NULL, *values = NULL, *weights = NULL, *border = NULL;
    votes_push push = {.origin = {(float)g->origin[0], (float)g->origin[1], (float)g->origin[2], (float)g->step},
                       .size = {g->size[0], g->size[1], g->size[2], (int32_t)eyes->count},
                       .image = {eyes->items[0].width, eyes->items[0].height},
                       .reach = 3 * (float)g->step,
                       .solid = 0.01f,
                       .thick = 0.05f,
                       .vague = 0.0015f};
    for (int i = 0; i < 4 && region->has_ground; i++) push.ground[i] = (float)region->ground[i];
    float *sides = kn_alloc(count, sizeof *sides, error);
    for (size_t i = 0; sides && i < count; i++) {
        double p[3];
        voxel_at(g, i, p);
        sides[i] = (float)kn_region_distance_sides(region, p);
    }
    bool ok = sides && kn_device_upload(&border, gpu, sides, count * sizeof(float), error) &&
              kn_device_eyes(&cameras, gpu, eyes, error) &&
              kn_device_upload(&planes, gpu, NULL, one * eyes->count, error) &&
              kn_device_upload(&values, gpu, NULL, count * sizeof(float), error) &&
              kn_device_upload(&weights, gpu, NULL, count * sizeof(float), error);
    for (size_t e = 0; ok && e < eyes->count; e++)
        if (depths[e].planes) ok = kn_gpu_upload(planes, one * e, depths[e].planes, one, error);
    ok = ok && kn_device_run(
                   gpu,
                   &(kn_gpu_dispatch){.kernel = KN_KERNEL_MESH_VOTES,
                                      .groups = KN_GROUPS(count),
                                      .slices = (kn_gpu_slice[]){{.buffer = cameras, .format = KN_GPU_FORMAT_RGBA32F},
                                                                 {.buffer = planes, .format = KN_GPU_FORMAT_RGBA32F},
                                                                 {.buffer = border, .format = KN_GPU_FORMAT_R32F},
                                                                 {.buffer = values},
                                                                 {.buffer = weights}},
                                      .slice_count = 5,
                                      .constants = (uint32_t[]){KN_LANES},
                                      .constant_count = 1,
                                      .push = &push,
                                      .push_size = sizeof push},
                   error);
    ok = ok && kn_gpu_download(values, 0, field, count * sizeof(float), error) &&
         kn_gpu_download(weights, 0, weight, count * sizeof(float), error);
    kn_gpu_buffer *all[] = {cameras, planes, values, weights, border};
    kn_free(sides);
    for (size_t i = 0; i < KN_COUNT(all); i++) kn_gpu_buffer_destroy(&all[i]);
    return ok;
}

bool kn_scene_fuse(float *field, float *weight, const kn_grid *grid, const kn_region *region, kn_gpu *gpu,
                   const kn_eyes *eyes, const kn_depth *depths, kn_error *error) {
    if (!vote(field, weight, grid, region, gpu, eyes, depths, error) ||
        !kn_field_fill(field, weight, grid->size, error))
        return false;
    for (size_t i = 0; i < kn_grid_count(grid); i++) {
        double p[3];
        voxel_at(grid, i, p);
        field[i] = fmaxf(field[i], (float)kn_region_distance(region, p));
    }
    return true;
}
