/* Moving bytes between the host and buffers; memory that is not mapped goes through a staging buffer. */
#include "gpu/vk.h"

#include <string.h>

#define STAGING ((size_t)16 << 20) /* bytes that one copy to or from unmapped memory moves */

static bool zero(kn_gpu_buffer *buffer, kn_error *error) {
    if (buffer->memory.mapped) {
        memset(buffer->memory.mapped, 0, buffer->padded);
        return true;
    }
    kn_gpu *gpu = buffer->gpu;
    return (gpu->transfer || kn_gpu_recorder_create(&gpu->transfer, gpu, error)) &&
           kn_gpu_recorder_reset(gpu->transfer, error) &&
           kn_gpu_record_fill(gpu->transfer, (kn_gpu_slice){.buffer = buffer, .size = buffer->padded}, 0, error) &&
           kn_gpu_submit(gpu->transfer, error) && kn_gpu_wait(gpu->transfer, error);
}

bool kn_gpu_buffer_create(kn_gpu_buffer **buffer, kn_gpu *gpu, size_t size, kn_gpu_memory memory, kn_error *error) {
    if (!kn_gpu_buffer_create_raw(buffer, gpu, size, memory, error)) return false;
    if (zero(*buffer, error)) return true;
    kn_gpu_buffer_destroy(buffer);
    return false;
}

/* Moves one piece of at most STAGING bytes through the staging buffer; `up`: towards the device. */
static bool copy_piece(kn_gpu_buffer *buffer, size_t offset, void *data, size_t size, bool up, kn_error *error) {
    kn_gpu *gpu = buffer->gpu;
    if (!gpu->staging && !kn_gpu_buffer_create(&gpu->staging, gpu, STAGING, KN_GPU_MEMORY_HOST, error)) return false;
    kn_gpu_slice near = {.buffer = gpu->staging, .size = size},
                 far = {.buffer = buffer, .offset = offset, .size = size};
    if (up) memcpy(gpu->staging->memory.mapped, data, size);
    bool good = (gpu->transfer || kn_gpu_recorder_create(&gpu->transfer, gpu, error)) &&
                kn_gpu_recorder_reset(gpu->transfer, error) &&
                kn_gpu_record_copy(gpu->transfer, up ? near : far, up ? far : near, size, error) &&
                kn_gpu_submit(gpu->transfer, error) && kn_gpu_wait(gpu->transfer, error);
    if (good && !up) memcpy(data, gpu->staging->memory.mapped, size);
    return good;
}

static bool copy(kn_gpu_buffer *buffer, size_t offset, void *data, size_t size, bool up, kn_error *error) {
    if (offset > buffer->size || size > buffer->size - offset)
        return kn_fail(error, KN_ERROR_INTERNAL, "%s of %zu bytes at %zu goes beyond a buffer of %zu bytes",
                       up ? "an upload" : "a download", size, offset, buffer->size);
    if (!kn_vk_wait_value(buffer->gpu, buffer->last_use, error)) return false;
    if (buffer->memory.mapped) {
        if (up && size) memcpy(buffer->memory.mapped + offset, data, size);
        else if (size) memcpy(data, buffer->memory.mapped + offset, size);
        return true;
    }
    for (size_t done = 0; done < size;) {
        size_t piece = kn_min_size(size - done, STAGING);
        if (!copy_piece(buffer, offset + done, (uint8_t *)data + done, piece, up, error)) return false;
        done += piece;
    }
    return true;
}

bool kn_gpu_upload(kn_gpu_buffer *buffer, size_t offset, const void *data, size_t size, kn_error *error) {
    return copy(buffer, offset, (void *)data, size, true, error);
}

bool kn_gpu_download(kn_gpu_buffer *buffer, size_t offset, void *data, size_t size, kn_error *error) {
    return copy(buffer, offset, data, size, false, error);
}
