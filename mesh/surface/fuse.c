/* Depth maps into a distance field, smoothed where little was measured. */
#include "mesh/surface/device.h"

#define SMOOTHING_STEPS 40

typedef struct fuse_push {
    float origin[4];
    int32_t size[4], image[2];
    float reach, prior;
} fuse_push;

typedef struct smooth_push {
    int32_t size[4];
    float band, strength;
} smooth_push;

typedef struct fuse {
    kn_gpu *gpu;
    const kn_grid *grid;
    kn_gpu_buffer *eyes, *planes, *hull, *values, *weights, *data, *laplacian;
} fuse;

static bool upload_planes(fuse *f, const kn_eyes *eyes, const kn_depth *depths, kn_error *error) {
    size_t one = (size_t)eyes->items[0].width * (size_t)eyes->items[0].height * 4 * sizeof(float);
    bool ok = kn_device_upload(&f->planes, f->gpu, NULL, one * eyes->count, error);
    for (size_t e = 0; ok && e < eyes->count; e++)
        if (depths[e].planes) ok = kn_gpu_upload(f->planes, one * e, depths[e].planes, one, error);
    return ok;
}

static bool integrate(fuse *f, const kn_eyes *eyes, kn_error *error) {
    const kn_grid *g = f->grid;
    fuse_push push = {.origin = {(float)g->origin[0], (float)g->origin[1], (float)g->origin[2], (float)g->step},
                      .size = {g->size[0], g->size[1], g->size[2], (int32_t)eyes->count},
                      .image = {eyes->items[0].width, eyes->items[0].height},
                      .reach = 3 * (float)g->step,
                      .prior = 0.02f};
    return kn_device_run(
        f->gpu,
        &(kn_gpu_dispatch){.kernel = KN_KERNEL_MESH_FUSE,
                           .groups = KN_GROUPS(kn_grid_count(g)),
                           .slices = (kn_gpu_slice[]){{.buffer = f->eyes, .format = KN_GPU_FORMAT_RGBA32F},
                                                      {.buffer = f->planes, .format = KN_GPU_FORMAT_RGBA32F},
                                                      {.buffer = f->hull, .format = KN_GPU_FORMAT_R32F},
                                                      {.buffer = f->data},
                                                      {.buffer = f->weights}},
                           .slice_count = 5,
                           .constants = (uint32_t[]){KN_LANES},
                           .constant_count = 1,
                           .push = &push,
                           .push_size = sizeof push},
        error);
}

static bool record_smoothing(fuse *f, kn_gpu_recorder *recorder, int stage, kn_error *error) {
    const kn_grid *g = f->grid;
    smooth_push push = {{g->size[0], g->size[1], g->size[2], 0}, 2.5f * (float)g->step, 0.25f};
    kn_gpu_buffer *field = stage ? f->laplacian : f->values;
    return kn_gpu_record(
        recorder,
        &(kn_gpu_dispatch){.kernel = KN_KERNEL_MESH_SMOOTH,
                           .groups = KN_GROUPS(kn_grid_count(g)),
                           .slices = (kn_gpu_slice[]){{.buffer = field, .format = KN_GPU_FORMAT_R32F},
                                                      {.buffer = f->data, .format = KN_GPU_FORMAT_R32F},
                                                      {.buffer = f->weights, .format = KN_GPU_FORMAT_R32F},
                                                      {.buffer = f->values},
                                                      {.buffer = f->laplacian}},
                           .slice_count = 5,
                           .constants = (uint32_t[]){KN_LANES, (uint32_t)stage},
                           .constant_count = 2,
                           .push = &push,
                           .push_size = sizeof push},
        error);
}

static bool smooth(fuse *f, kn_error *error) {
    kn_gpu_recorder *recorder = NULL;
    size_t size = kn_grid_count(f->grid) * sizeof(float);
    bool ok = kn_gpu_recorder_create(&recorder, f->gpu, error) &&
              kn_gpu_record_copy(recorder, (kn_gpu_slice){.buffer = f->data}, (kn_gpu_slice){.buffer = f->values}, size,
                                 error);
    for (int i = 0; ok && i < SMOOTHING_STEPS; i++)
        ok = record_smoothing(f, recorder, 0, error) && record_smoothing(f, recorder, 1, error);
    ok = ok && kn_gpu_submit(recorder, error) && kn_gpu_wait(recorder, error);
    kn_gpu_recorder_destroy(&recorder);
    return ok;
}

bool kn_fuse(float *values, float *weight, const kn_grid *grid, const float *hull, kn_gpu *gpu, const kn_eyes *eyes,
             const kn_depth *depths, kn_error *error) {
    fuse f = {.gpu = gpu, .grid = grid};
    size_t size = kn_grid_count(grid) * sizeof(float);
    bool ok =
        kn_device_eyes(&f.eyes, gpu, eyes, error) && upload_planes(&f, eyes, depths, error) &&
        kn_device_upload(&f.hull, gpu, hull, size, error) && kn_device_upload(&f.values, gpu, NULL, size, error) &&
        kn_device_upload(&f.weights, gpu, NULL, size, error) && kn_device_upload(&f.data, gpu, NULL, size, error) &&
        kn_device_upload(&f.laplacian, gpu, NULL, size, error);
    ok = ok && integrate(&f, eyes, error) && smooth(&f, error) && kn_gpu_download(f.values, 0, values, size, error);
    if (ok && weight) ok = kn_gpu_download(f.weights, 0, weight, size, error);
    kn_gpu_buffer *all[] = {f.eyes, f.planes, f.hull, f.values, f.weights, f.data, f.laplacian};
    for (size_t i = 0; i < KN_COUNT(all); i++) kn_gpu_buffer_destroy(&all[i]);
    return ok;
}
