/* The visual hull on a grid that fits it. */
#include "mesh/surface/device.h"

#include <string.h>

typedef struct hull_push {
    float origin[4];
    int32_t size[4], image[2], needed, padding;
} hull_push;

bool kn_device_eyes(kn_gpu_buffer **buffer, kn_gpu *gpu, const kn_eyes *eyes, kn_error *error) {
    float *rows = kn_alloc(eyes->count, 16 * sizeof *rows, error);
    if (!rows) return false;
    for (size_t e = 0; e < eyes->count; e++) {
        const kn_eye *eye = &eyes->items[e];
        for (size_t i = 0; i < 3; i++) {
            for (size_t j = 0; j < 3; j++) rows[16 * e + 4 * i + j] = (float)eye->r[i][j];
            rows[16 * e + 4 * i + 3] = (float)eye->t[i];
        }
        float *k = rows + 16 * e + 12;
        k[0] = (float)eye->fx, k[1] = (float)eye->fy, k[2] = (float)eye->cx, k[3] = (float)eye->cy;
    }
    bool ok = kn_device_upload(buffer, gpu, rows, eyes->count * 16 * sizeof *rows, error);
    kn_free(rows);
    return ok;
}

bool kn_device_upload(kn_gpu_buffer **buffer, kn_gpu *gpu, const void *data, size_t size, kn_error *error) {
    *buffer = NULL;
    if (!kn_gpu_buffer_create(buffer, gpu, size, KN_GPU_MEMORY_DEVICE, error)) return false;
    if (!data || kn_gpu_upload(*buffer, 0, data, size, error)) return true;
    kn_gpu_buffer_destroy(buffer);
    return false;
}

bool kn_device_run(kn_gpu *gpu, const kn_gpu_dispatch *dispatch, kn_error *error) {
    kn_gpu_recorder *recorder = NULL;
    bool ok = kn_gpu_recorder_create(&recorder, gpu, error) && kn_gpu_record(recorder, dispatch, error) &&
              kn_gpu_submit(recorder, error) && kn_gpu_wait(recorder, error);
    kn_gpu_recorder_destroy(&recorder);
    return ok;
}

/* The silhouettes' distances of all eyes in one buffer. */
static bool upload_edges(kn_gpu_buffer **buffer, kn_gpu *gpu, const kn_eyes *eyes, kn_error *error) {
    size_t one = (size_t)eyes->items[0].width * (size_t)eyes->items[0].height * sizeof(float);
    bool ok = kn_device_upload(buffer, gpu, NULL, one * eyes->count, error);
    for (size_t e = 0; ok && e < eyes->count; e++)
        ok = kn_gpu_upload(*buffer, one * e, eyes->items[e].edge, one, error);
    return ok;
}

static bool carve(kn_gpu *gpu, const kn_eyes *eyes, kn_gpu_buffer *edges, const kn_grid *grid, float *values,
                  kn_error *error) {
    size_t count = kn_grid_count(grid);
    kn_gpu_buffer *cameras = NULL, *out = NULL;
    hull_push push = {
        .origin = {(float)grid->origin[0], (float)grid->origin[1], (float)grid->origin[2], (float)grid->step},
        .size = {grid->size[0], grid->size[1], grid->size[2], (int32_t)eyes->count},
        .image = {eyes->items[0].width, eyes->items[0].height},
        .needed = eyes->count > 7 ? (int32_t)(eyes->count * 2 / 5) : 2};
    bool ok =
        kn_device_eyes(&cameras, gpu, eyes, error) && kn_device_upload(&out, gpu, NULL, count * sizeof(float), error);
    ok = ok && kn_device_run(
                   gpu,
                   &(kn_gpu_dispatch){.kernel = KN_KERNEL_MESH_HULL,
                                      .groups = KN_GROUPS(count),
                                      .slices = (kn_gpu_slice[]){{.buffer = cameras, .format = KN_GPU_FORMAT_RGBA32F},
                                                                 {.buffer = edges, .format = KN_GPU_FORMAT_R32F},
                                                                 {.buffer = out}},
                                      .slice_count = 3,
                                      .constants = (uint32_t[]){KN_LANES},
                                      .constant_count = 1,
                                      .push = &push,
                                      .push_size = sizeof push},
                   error);
    ok = ok && kn_gpu_download(out, 0, values, count * sizeof(float), error);
    kn_gpu_buffer_destroy(&cameras), kn_gpu_buffer_destroy(&out);
    return ok;
}

/* Box around the voxels below `limit`; false when there are none. */
static bool bounds_of(const kn_grid *grid, const float *values, double limit, double low[3], double high[3]) {
    bool any = false;
    for (int i = 0; i < 3; i++) low[i] = 1e30, high[i] = -1e30;
    for (size_t i = 0; i < kn_grid_count(grid); i++) {
        if (!(values[i] < limit)) continue;
        size_t w = (size_t)grid->size[0], h = (size_t)grid->size[1], at[3] = {i % w, i / w % h, i / (w * h)};
        for (int a = 0; a < 3; a++) {
            double p = grid->origin[a] + grid->step * (double)at[a];
            low[a] = fmin(low[a], p), high[a] = fmax(high[a], p);
        }
        any = true;
    }
    return any;
}

/* A first coarse hull gives the box of the object; the work frame is moved so that its diagonal is 1. */
static bool fit(kn_gpu *gpu, kn_eyes *eyes, kn_gpu_buffer *edges, double extent[3], kn_error *error) {
    double half = 0.9, low[3], high[3];
    for (int pass = 0; pass < 2; pass++) {
        kn_grid grid = {.size = {64, 64, 64}, .step = 2 * half / 63, .origin = {-half, -half, -half}};
        float *values = kn_alloc(kn_grid_count(&grid), sizeof *values, error);
        bool ok = values && carve(gpu, eyes, edges, &grid, values, error);
        if (eyes->no_mask) /* a scene: a ball around what all look at */
            for (size_t i = 0; ok && i < kn_grid_count(&grid); i++) {
                double p[3] = {(double)(i % 64) - 31.5, (double)(i / 64 % 64) - 31.5, (double)(i / 4096) - 31.5};
                values[i] = (float)(sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]) / 25 - 1);
            }
        bool any = ok && bounds_of(&grid, values, pass ? grid.step / 2 : grid.step, low, high);
        kn_free(values);
        if (!ok) return false;
        if (!any)
            return kn_fail(
                error, KN_ERROR_INPUT,
                "the masks never overlap: no point lies inside all of them; do the cameras belong to these pictures?");
        double middle[3], side = 0, diagonal = 0;
        for (int i = 0; i < 3; i++) {
            middle[i] = (low[i] + high[i]) / 2, extent[i] = high[i] - low[i] + (pass ? 1 : 2) * grid.step;
            side = fmax(side, extent[i]), diagonal += extent[i] * extent[i];
        }
        double scale = pass ? 1 / sqrt(diagonal) : 1;
        kn_eyes_move(eyes, middle, scale);
        for (int i = 0; i < 3; i++) extent[i] *= scale;
        half = side / 2 * 1.05;
        if (eyes->no_mask) pass++;
    }
    return true;
}

/* Voxels along the longest side so that a voxel is about a pixel. */
static int choose_resolution(const kn_eyes *eyes, const double extent[3], int wanted) {
    if (wanted) return wanted;
    double pixels = 0, longest = fmax(extent[0], fmax(extent[1], extent[2]));
    for (size_t e = 0; e < eyes->count; e++) {
        const double *c = eyes->items[e].center;
        pixels += eyes->items[e].fx * longest / sqrt(c[0] * c[0] + c[1] * c[1] + c[2] * c[2]) / (double)eyes->count;
    }
    return (int)fmin(fmax(pixels * 0.9, 64), 288);
}

bool kn_hull_carve(kn_grid *grid, float **values, kn_gpu *gpu, kn_eyes *eyes, int resolution, kn_error *error) {
    kn_gpu_buffer *edges = NULL;
    double extent[3];
    *values = NULL;
    bool ok = upload_edges(&edges, gpu, eyes, error) && fit(gpu, eyes, edges, extent, error);
    if (ok) {
        double longest = fmax(extent[0], fmax(extent[1], extent[2]));
        grid->step = longest / choose_resolution(eyes, extent, resolution);
        for (int i = 0; i < 3; i++) {
            grid->size[i] = (int)ceil(extent[i] / grid->step) + 8;
            grid->origin[i] = -grid->step * (grid->size[i] - 1) / 2.0;
        }
        *values = kn_alloc(kn_grid_count(grid), sizeof **values, error);
        ok = *values && carve(gpu, eyes, edges, grid, *values, error);
    }
    kn_gpu_buffer_destroy(&edges);
    if (!ok) kn_free(*values), *values = NULL;
    return ok;
}
