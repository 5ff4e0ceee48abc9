#include "gpu/vk.h"

#include <string.h>

static VkFormat vk_format(kn_gpu_format format) {
    switch (format) {
    case KN_GPU_FORMAT_RGBA32F: return VK_FORMAT_R32G32B32A32_SFLOAT;
    case KN_GPU_FORMAT_RGBA16F: return VK_FORMAT_R16G16B16A16_SFLOAT;
    case KN_GPU_FORMAT_R32F: return VK_FORMAT_R32_SFLOAT;
    case KN_GPU_FORMAT_RGBA32U: return VK_FORMAT_R32G32B32A32_UINT;
    case KN_GPU_FORMAT_R32U: return VK_FORMAT_R32_UINT;
    case KN_GPU_FORMAT_RGBA8: return VK_FORMAT_R8G8B8A8_UNORM;
    default: return VK_FORMAT_UNDEFINED;
    }
}

uint32_t kn_vk_format_size(kn_gpu_format format) {
    switch (format) {
    case KN_GPU_FORMAT_RGBA32F:
    case KN_GPU_FORMAT_RGBA32U: return 16;
    case KN_GPU_FORMAT_RGBA16F: return 8;
    case KN_GPU_FORMAT_R32F:
    case KN_GPU_FORMAT_R32U:
    case KN_GPU_FORMAT_RGBA8: return 4;
    default: return 0;
    }
}

/* --- lifetime --------------------------------------------------------------------------------- */

void kn_vk_buffer_reference(kn_gpu_buffer *buffer) { buffer->references++; }

void kn_vk_buffer_release(kn_gpu_buffer *buffer) {
    if (--buffer->references == 0) kn_free(buffer);
}

/* Frees what the device holds; the struct stays while recorders list it. */
static void free_handles(kn_gpu_buffer *buffer) {
    kn_gpu *gpu = buffer->gpu;
    for (size_t i = 0; i < buffer->view_capacity; i++)
        if (buffer->views[i].handle) vkDestroyBufferView(gpu->device, buffer->views[i].handle, NULL);
    kn_free(buffer->views);
    buffer->views = NULL;
    buffer->view_capacity = buffer->view_count = 0;
    vkDestroyBuffer(gpu->device, buffer->handle, NULL);
    buffer->handle = VK_NULL_HANDLE;
    kn_vk_memory_finish(&buffer->memory, gpu);
}

void kn_vk_buffer_collect(kn_gpu *gpu) {
    if (!gpu->dead) return;
    uint64_t completed = kn_vk_completed(gpu);
    for (kn_gpu_buffer **link = &gpu->dead; *link;) {
        kn_gpu_buffer *buffer = *link;
        if (buffer->last_use <= completed) {
            *link = buffer->next_dead;
            free_handles(buffer);
            kn_vk_buffer_release(buffer);
        } else {
            link = &buffer->next_dead;
        }
    }
}

static bool make_handles(kn_gpu_buffer *buffer, kn_gpu_memory memory, kn_error *error) {
    kn_gpu *gpu = buffer->gpu;
    VkBufferCreateInfo create = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                 .size = buffer->padded,
                                 .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                          VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                          VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    VkResult result = vkCreateBuffer(gpu->device, &create, NULL, &buffer->handle);
    if (result != VK_SUCCESS) return kn_vk_fail(gpu, result, "creating a buffer", error);
    return kn_vk_memory_init(&buffer->memory, gpu, buffer->handle, memory, error);
}

bool kn_gpu_buffer_create_raw(kn_gpu_buffer **buffer, kn_gpu *gpu, size_t size, kn_gpu_memory memory, kn_error *error) {
    *buffer = NULL;
    if (!kn_vk_alive(gpu, error)) return false;
    if (size == 0) return kn_fail(error, KN_ERROR_INTERNAL, "a buffer of 0 bytes was asked for");
    if (size > gpu->max_allocation)
        return kn_fail(error, KN_ERROR_MEMORY, "%s: a buffer of %zu MiB is larger than the device allows",
                       gpu->info.name, size >> 20);
    kn_vk_buffer_collect(gpu);
    kn_gpu_buffer *made = kn_alloc(1, sizeof(*made), error);
    if (!made) return false;
    made->gpu = gpu;
    made->size = size;
    made->padded = (size + KN_GPU_ALIGN - 1) / KN_GPU_ALIGN * KN_GPU_ALIGN;
    made->references = 1;
    if (!make_handles(made, memory, error)) {
        kn_gpu_buffer_destroy(&made);
        return false;
    }
    *buffer = made;
    return true;
}

void kn_gpu_buffer_destroy(kn_gpu_buffer **pointer) {
    if (!pointer || !*pointer) return;
    kn_gpu_buffer *buffer = *pointer;
    kn_gpu *gpu = buffer->gpu;
    *pointer = NULL;
    buffer->destroyed = true;
    if (buffer->last_use <= kn_vk_completed(gpu)) {
        free_handles(buffer);
        kn_vk_buffer_release(buffer);
    } else {
        buffer->next_dead = gpu->dead;
        gpu->dead = buffer;
    }
}

size_t kn_gpu_buffer_size(const kn_gpu_buffer *buffer) { return buffer->size; }

void *kn_gpu_buffer_map(kn_gpu_buffer *buffer) { return buffer->memory.mapped; }

/* --- slices and views ------------------------------------------------------------------------- */

bool kn_vk_slice(const kn_gpu_slice *slice, VkDeviceSize *offset, VkDeviceSize *size, kn_error *error) {
    const kn_gpu_buffer *buffer = slice->buffer;
    if (buffer->destroyed) return kn_fail(error, KN_ERROR_INTERNAL, "the buffer was destroyed");
    size_t limit = slice->size == buffer->padded ? buffer->padded : buffer->size;
    if (slice->offset >= buffer->size || slice->size > limit - slice->offset)
        return kn_fail(error, KN_ERROR_INTERNAL, "bytes %zu to %zu lie outside a buffer of %zu bytes", slice->offset,
                       slice->offset + slice->size, buffer->size);
    *offset = slice->offset;
    *size = slice->size ? slice->size : buffer->size - slice->offset;
    return true;
}

static size_t view_slot(const kn_vk_view *views, size_t capacity, kn_gpu_format format, VkDeviceSize offset,
                        VkDeviceSize size) {
    size_t at = kn_hash64(offset ^ kn_hash64(size + (uint64_t)format)) & (capacity - 1);
    while (views[at].handle && (views[at].format != format || views[at].offset != offset || views[at].size != size))
        at = (at + 1) & (capacity - 1);
    return at;
}

/* Keeps the table at most three quarters full. */
static bool grow_views(kn_gpu_buffer *buffer, kn_error *error) {
    if (4 * (buffer->view_count + 1) <= 3 * buffer->view_capacity) return true;
    size_t capacity = buffer->view_capacity ? 2 * buffer->view_capacity : 4;
    kn_vk_view *views = kn_alloc(capacity, sizeof(*views), error);
    if (!views) return false;
    for (size_t i = 0; i < buffer->view_capacity; i++) {
        const kn_vk_view *v = &buffer->views[i];
        if (v->handle) views[view_slot(views, capacity, v->format, v->offset, v->size)] = *v;
    }
    kn_free(buffer->views);
    buffer->views = views;
    buffer->view_capacity = capacity;
    return true;
}

bool kn_vk_view_get(kn_gpu_buffer *buffer, kn_gpu_format format, VkDeviceSize offset, VkDeviceSize size,
                    VkBufferView *view, kn_error *error) {
    kn_gpu *gpu = buffer->gpu;
    uint32_t texel = kn_vk_format_size(format);
    if (texel == 0) return kn_fail(error, KN_ERROR_INTERNAL, "a texel binding needs a format");
    size = (size + texel - 1) / texel * texel; /* stays inside the padding */
    if (size / texel > gpu->limits.maxTexelBufferElements)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%llu texels are more than the device's limit of %u",
                       (unsigned long long)(size / texel), gpu->limits.maxTexelBufferElements);
    if (!grow_views(buffer, error)) return false;
    kn_vk_view *slot = &buffer->views[view_slot(buffer->views, buffer->view_capacity, format, offset, size)];
    if (!slot->handle) {
        VkBufferViewCreateInfo create = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                         .buffer = buffer->handle,
                                         .format = vk_format(format),
                                         .offset = offset,
                                         .range = size};
        VkBufferView handle;
        VkResult result = vkCreateBufferView(gpu->device, &create, NULL, &handle);
        if (result != VK_SUCCESS) return kn_vk_fail(gpu, result, "creating a texel view", error);
        *slot = (kn_vk_view){.handle = handle, .offset = offset, .size = size, .format = format};
        buffer->view_count++;
    }
    *view = slot->handle;
    return true;
}
