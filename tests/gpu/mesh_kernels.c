/* The kernels over voxels against plain C. */
#include "gpu_common.h"
#include "base/random.h"
#include "mesh/surface/device.h"
#include "tests/unit/mesh_shapes.h"

/* The hull's field as shaders/mesh/hull.comp says it. */
static float naive_hull(const kn_eyes *eyes, const double p[3]) {
    double value = -1e3;
    size_t seen = 0;
    for (size_t e = 0; e < eyes->count; e++) {
        const kn_eye *eye = &eyes->items[e];
        double pixel[2], depth, f[2];
        int at[2], size[2] = {eye->width, eye->height};
        if (!kn_eye_project(eye, p, pixel, &depth) || pixel[0] < 0 || pixel[1] < 0 || pixel[0] > eye->width ||
            pixel[1] > eye->height)
            continue;
        for (int i = 0; i < 2; i++) {
            at[i] = (int)fmin(fmax(floor(pixel[i] - 0.5), 0), size[i] - 2);
            f[i] = fmin(fmax(pixel[i] - 0.5 - at[i], 0), 1);
        }
        const float *d = eye->edge + at[1] * eye->width + at[0];
        double top = d[0] * (1 - f[0]) + d[1] * f[0], low = d[eye->width] * (1 - f[0]) + d[eye->width + 1] * f[0];
        value = fmax(value, (top * (1 - f[1]) + low * f[1]) * depth / eye->fx);
        seen++;
    }
    return (float)(seen >= 4 ? fmax(value, -1) : 1);
}

Test(mesh_kernels, hull_matches_plain_c) {
    enum { VIEWS = 10, SIZE = 65 };
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    kn_tris truth;
    kn_view_camera cameras[VIEWS];
    kn_surface_view views[VIEWS];
    shape_make(&truth, SHAPE_CAR);
    orbit_cameras(cameras, VIEWS, (const double[]){0, 35}, 2, SIZE);
    for (int i = 0; i < VIEWS; i++) {
        views[i] = (kn_surface_view){.camera = cameras[i]};
        shape_render(&views[i].picture, &truth, SHAPE_CAR, PAINT_FLAT, &cameras[i], 0);
    }
    kn_surface_params params = KN_SURFACE_PARAMS_DEFAULT;
    kn_eyes eyes;
    kn_grid grid;
    float *values;
    good(kn_eyes_init(&eyes, views, VIEWS, &params, &error));
    good(kn_hull_carve(&grid, &values, gpu, &eyes, 33, &error));
    size_t wrong = 0, inside = 0;
    for (size_t i = 0; i < kn_grid_count(&grid); i++) {
        double p[3];
        size_t at[3] = {i % (size_t)grid.size[0], i / (size_t)grid.size[0] % (size_t)grid.size[1],
                        i / (size_t)(grid.size[0] * grid.size[1])};
        for (int k = 0; k < 3; k++) p[k] = grid.origin[k] + grid.step * (double)at[k];
        wrong += fabsf(naive_hull(&eyes, p) - values[i]) > 1e-4f;
        inside += values[i] < 0;
    }
    cr_assert_leq(wrong, 2, "%zu voxels differ", wrong); /* a pixel on the picture's very border may round either way */
    cr_assert_gt(inside, 500);
    kn_free(values);
    kn_eyes_finish(&eyes);
    for (int i = 0; i < VIEWS; i++) kn_image_finish(&views[i].picture);
    kn_tris_finish(&truth);
    gpu_close(gpu);
}

Test(mesh_kernels, smoothing_matches_plain_c) {
    enum { W = 9, H = 7, D = 6, N = W * H * D };
    kn_error error = {0};
    kn_gpu *gpu = gpu_open(NULL);
    static float field[N], laplacian[N], weight[N], expected[N], out[N];
    kn_rng rng;
    kn_rng_init(&rng, 3);
    for (int i = 0; i < N; i++)
        field[i] = (float)kn_rng_uniform(&rng, -0.1, 0.1), weight[i] = (float)kn_rng_uniform(&rng, 0, 2);
    for (int stage = 0; stage < 2; stage++)
        for (int i = 0; i < N; i++) {
            int x = i % W, y = i / W % H, z = i / (W * H);
            bool far = x == 0 || y == 0 || z == 0 || x == W - 1 || y == H - 1 || z == D - 1 || fabsf(field[i]) > 0.08f;
            const float *f = stage ? laplacian : field;
            if (far) {
                stage ? (expected[i] = field[i]) : (laplacian[i] = 0);
                continue;
            }
            float change = (f[i - 1] + f[i + 1] + f[i - W] + f[i + W] + f[i - W * H] + f[i + W * H]) / 6 - f[i],
                  w = weight[i] + 0.03f;
            if (stage) expected[i] = field[i] - 0.25f * change / (w + 1);
            else laplacian[i] = change;
        }
    kn_gpu_buffer *values = gpu_buffer(gpu, sizeof field, field), *data = gpu_buffer(gpu, sizeof field, field),
                  *weights = gpu_buffer(gpu, sizeof weight, weight), *lap = gpu_buffer(gpu, sizeof field, NULL);
    struct {
        int32_t size[4];
        float band, strength;
    } push = {{W, H, D, 0}, 0.08f, 0.25f};
    for (uint32_t stage = 0; stage < 2; stage++)
        good(
            kn_device_run(gpu,
                          &(kn_gpu_dispatch){
                              .kernel = KN_KERNEL_MESH_SMOOTH,
                              .groups = KN_GROUPS(N),
                              .slices = (kn_gpu_slice[]){{.buffer = stage ? lap : values, .format = KN_GPU_FORMAT_R32F},
                                                         {.buffer = data, .format = KN_GPU_FORMAT_R32F},
                                                         {.buffer = weights, .format = KN_GPU_FORMAT_R32F},
                                                         {.buffer = values},
                                                         {.buffer = lap}},
                              .slice_count = 5,
                              .constants = (uint32_t[]){KN_LANES, stage},
                              .constant_count = 2,
                              .push = &push,
                              .push_size = sizeof push},
                          &error));
    good(kn_gpu_download(values, 0, out, sizeof out, &error));
    for (int i = 0; i < N; i++)
        cr_assert_float_eq(out[i], expected[i], 1e-5, "voxel %d: %g, expected %g", i, out[i], expected[i]);
    kn_gpu_buffer_destroy(&values), kn_gpu_buffer_destroy(&data), kn_gpu_buffer_destroy(&weights),
        kn_gpu_buffer_destroy(&lap);
    gpu_close(gpu);
}
