/* Passes: one picture kernel recorded with its output buffer. */
#include "scene/render/render_internal.h"

#include <math.h>
#include <string.h>

void kn_render_scene_slices(const kn_renderer *renderer, kn_gpu_slice slices[5]) {
    kn_gpu_buffer *buffers[5] = {renderer->nodes, renderer->triangles, renderer->attributes, renderer->materials,
                                 renderer->frame_data};
    for (int i = 0; i < 5; i++)
        slices[i] =
            (kn_gpu_slice){.buffer = buffers[i], .format = i == 0 ? KN_GPU_FORMAT_RGBA32U : KN_GPU_FORMAT_RGBA32F};
}

void kn_render_block(const kn_renderer *renderer, uint32_t *lanes, int *wide, int *high) {
    uint32_t size = kn_gpu_get_info(renderer->gpu)->subgroup_size;
    *lanes = size >= 64 ? 64 : size >= 32 ? 32 : size >= 16 ? 16 : size >= 8 ? 8 : 4;
    *wide = *lanes >= 32 ? 8 : 4;
    *high = (int)*lanes / *wide;
}

bool kn_render_pass_prepare(kn_renderer *renderer, kn_render_pass *pass, int width, int height, int planes, bool *fresh,
                            kn_error *error) {
    *fresh = !(pass->recorder && pass->width == width && pass->height == height && pass->planes == planes);
    if (!*fresh) return true;
    kn_render_pass_finish(pass);
    size_t bytes = (size_t)width * (size_t)height * (size_t)planes * sizeof(float);
    if (!kn_gpu_buffer_create(&pass->output, renderer->gpu, bytes, KN_GPU_MEMORY_HOST, error) ||
        !kn_gpu_recorder_create(&pass->recorder, renderer->gpu, error)) {
        kn_render_pass_finish(pass);
        return false;
    }
    pass->width = width;
    pass->height = height;
    pass->planes = planes;
    return true;
}

void kn_render_pass_finish(kn_render_pass *pass) {
    kn_gpu_recorder_destroy(&pass->recorder);
    kn_gpu_buffer_destroy(&pass->output);
    kn_gpu_buffer_destroy(&pass->list);
    kn_gpu_buffer_destroy(&pass->spots);
    *pass = (kn_render_pass){0};
}

bool kn_render_pass_record(kn_renderer *renderer, kn_render_pass *pass, kn_kernel kernel, bool in_a_row,
                           kn_error *error) {
    kn_gpu_slice slices[9];
    uint32_t lanes;
    int wide, high;
    kn_render_scene_slices(renderer, slices);
    kn_render_block(renderer, &lanes, &wide, &high);
    slices[5] = (kn_gpu_slice){.buffer = pass->output};
    slices[6] = (kn_gpu_slice){.buffer = pass->list};
    slices[7] = (kn_gpu_slice){.buffer = pass->spots};
    slices[8] = (kn_gpu_slice){.buffer = renderer->flats, .format = KN_GPU_FORMAT_RGBA32F};
    const uint32_t constants[3] = {lanes, (uint32_t)pass->planes, pass->shaded};
    uint32_t across = (uint32_t)((pass->width + wide - 1) / wide), down = (uint32_t)((pass->height + high - 1) / high);
    kn_gpu_dispatch dispatch = {.kernel = kernel,
                                .slices = slices,
                                .slice_count = pass->list ? 9 : 6,
                                .constants = constants,
                                .constant_count = 3,
                                .groups = {across, down, 1}};
    if (in_a_row) {
        const uint32_t row = 32768; /* devices allow 65535 along an axis */
        uint32_t count = ((uint32_t)pass->width * (uint32_t)pass->height + lanes - 1) / lanes;
        dispatch.groups[0] = count < row ? count : row;
        dispatch.groups[1] = (count + row - 1) / row;
    }
    return kn_gpu_record(pass->recorder, &dispatch, error);
}

bool kn_render_pass_drop(kn_render_pass *pass) {
    kn_render_pass_finish(pass);
    return false;
}

bool kn_render_pass_read(kn_render_pass *pass, int first, int count, float *out, kn_error *error) {
    size_t plane = (size_t)pass->width * (size_t)pass->height * sizeof(float);
    return kn_gpu_download(pass->output, (size_t)first * plane, out, (size_t)count * plane, error);
}
