#include "gpu/vk.h"

#include <string.h>
#include <sys/mman.h>

/* Buffers up to SMALL bytes share blocks of BLOCK bytes; larger ones get memory of their own. Drivers allow about 4096
 * allocations in all. */
#define SMALL ((VkDeviceSize)1 << 20)
#define BLOCK ((VkDeviceSize)4 << 20)

struct kn_vk_block {
    VkDeviceMemory memory;
    VkDeviceSize size;
    uint32_t type;
    uint8_t *mapped;
    kn_vk_memory *first; /* its parts in use, by offset */
    kn_vk_block *next;
};

static int score(VkMemoryPropertyFlags flags, bool host, bool unified) {
    bool local = flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, cached = flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    bool visible = (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) && (flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
    if (flags & (VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT)) return -1;
    if (host) return visible ? 1 + 2 * cached + (unified && local) : -1;
    return 1 + 8 * local + (visible == unified ? 4 : 0) + (unified && cached ? 2 : 0);
}

static bool choose_type(kn_gpu *gpu, uint32_t allowed, kn_gpu_memory kind, uint32_t *type, kn_error *error) {
    bool unified = gpu->info.kind == KN_GPU_SOFTWARE || gpu->info.kind == KN_GPU_INTEGRATED;
    int best = 0;
    for (uint32_t i = 0; i < gpu->memory_types.memoryTypeCount; i++) {
        int s = score(gpu->memory_types.memoryTypes[i].propertyFlags, kind == KN_GPU_MEMORY_HOST, unified);
        if (allowed >> i & 1 && s > best) {
            best = s;
            *type = i;
        }
    }
    return best > 0 || kn_fail(error, KN_ERROR_DEVICE, "%s: no suitable memory type", gpu->info.name);
}

static bool is_mapped(const kn_gpu *gpu, uint32_t type) {
    VkMemoryPropertyFlags both = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    return (gpu->memory_types.memoryTypes[type].propertyFlags & both) == both;
}

/* The memory of a software device is the process's own: large pages cost fewer faults while it is filled and fewer
 * misses when it is read. Only a hint. */
static void ask_for_large_pages(const kn_gpu *gpu, uint8_t *mapped, VkDeviceSize size) {
    uintptr_t large = (uintptr_t)2 << 20, begin = ((uintptr_t)mapped + 4095) & ~(uintptr_t)4095,
              end = ((uintptr_t)mapped + size) & ~(uintptr_t)4095;
    if (gpu->info.kind == KN_GPU_SOFTWARE && size >= 2 * large && begin < end)
        madvise((void *)begin, end - begin, MADV_HUGEPAGE);
}

/* One VkDeviceMemory within the limits, mapped where its type allows. */
static bool allocate(kn_gpu *gpu, VkDeviceSize size, uint32_t type, VkDeviceMemory *memory, uint8_t **mapped,
                     kn_error *error) {
    VkDeviceSize heap = gpu->memory_types.memoryHeaps[gpu->memory_types.memoryTypes[type].heapIndex].size;
    if (size > gpu->max_allocation || size > heap)
        return kn_fail(error, KN_ERROR_MEMORY, "%s: a buffer of %llu MiB is larger than the device allows",
                       gpu->info.name, (unsigned long long)(size >> 20));
    if (gpu->memory_limit && (size > gpu->memory_limit || gpu->memory_now > gpu->memory_limit - size))
        return kn_fail(error, KN_ERROR_MEMORY,
                       "%s: %llu KiB more device memory would pass the limit of %llu KiB (%llu in use)", gpu->info.name,
                       (unsigned long long)(size >> 10), (unsigned long long)(gpu->memory_limit >> 10),
                       (unsigned long long)(gpu->memory_now >> 10));
    if (gpu->allocations >= gpu->limits.maxMemoryAllocationCount)
        return kn_fail(error, KN_ERROR_MEMORY, "%s: more than %u allocations of device memory", gpu->info.name,
                       gpu->allocations);
    VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = size, .memoryTypeIndex = type};
    VkResult result = vkAllocateMemory(gpu->device, &info, NULL, memory);
    if (result != VK_SUCCESS) return kn_vk_fail(gpu, result, "allocating a buffer", error);
    *mapped = NULL;
    if (is_mapped(gpu, type)) {
        result = vkMapMemory(gpu->device, *memory, 0, VK_WHOLE_SIZE, 0, (void **)mapped);
        if (result != VK_SUCCESS) {
            vkFreeMemory(gpu->device, *memory, NULL);
            return kn_vk_fail(gpu, result, "mapping a buffer", error);
        }
        ask_for_large_pages(gpu, *mapped, size);
    }
    gpu->allocations++;
    gpu->memory_now += size;
    gpu->memory_peak = gpu->memory_now > gpu->memory_peak ? gpu->memory_now : gpu->memory_peak;
    return true;
}

static void release(kn_gpu *gpu, VkDeviceMemory memory, VkDeviceSize size) {
    vkFreeMemory(gpu->device, memory, NULL);
    gpu->allocations--;
    gpu->memory_now -= size;
}

/* First gap of a block that takes memory->size bytes. */
static bool place(kn_vk_block *block, kn_vk_memory *memory) {
    VkDeviceSize at = 0;
    kn_vk_memory **link = &block->first;
    while (*link && (*link)->offset - at < memory->size) {
        at = (*link)->offset + (*link)->size;
        link = &(*link)->next;
    }
    if (!*link && block->size - at < memory->size) return false;
    memory->next = *link;
    memory->offset = at;
    memory->memory = block->memory;
    memory->mapped = block->mapped ? block->mapped + at : NULL;
    memory->block = block;
    *link = memory;
    return true;
}

static bool place_small(kn_gpu *gpu, kn_vk_memory *memory, kn_error *error) {
    for (kn_vk_block *block = gpu->blocks; block; block = block->next)
        if (block->type == memory->type && place(block, memory)) return true;
    kn_vk_block *block = kn_alloc(1, sizeof(*block), error);
    if (!block) return false;
    *block = (kn_vk_block){.size = BLOCK, .type = memory->type, .next = gpu->blocks};
    if (!allocate(gpu, BLOCK, memory->type, &block->memory, &block->mapped, error)) {
        kn_free(block);
        return false;
    }
    gpu->blocks = block;
    return place(block, memory);
}

bool kn_vk_memory_init(kn_vk_memory *memory, kn_gpu *gpu, VkBuffer buffer, kn_gpu_memory kind, kn_error *error) {
    *memory = (kn_vk_memory){0};
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(gpu->device, buffer, &needs);
    if (!choose_type(gpu, needs.memoryTypeBits, kind, &memory->type, error)) return false;
    if (gpu->fail_after && --gpu->fail_after == 0)
        return kn_vk_fail(gpu, VK_ERROR_OUT_OF_DEVICE_MEMORY, "allocating a buffer", error);
    /* Every part of a block is a multiple of its alignment; a driver that wants more than 4 KiB gets memory of its
     * own. */
    VkDeviceSize alignment = needs.alignment > KN_GPU_ALIGN ? needs.alignment : KN_GPU_ALIGN;
    bool small = needs.size <= SMALL && alignment <= 4096;
    memory->size = small ? (needs.size + alignment - 1) / alignment * alignment : needs.size;
    bool limited = gpu->memory_limit && (gpu->memory_limit < BLOCK || gpu->memory_now > gpu->memory_limit - BLOCK);
    kn_error block_error;
    bool good = small && place_small(gpu, memory, limited ? &block_error : error);
    if (!good && (!small || limited))
        good = allocate(gpu, memory->size, memory->type, &memory->memory, &memory->mapped, error);
    if (!good) return false;
    if (gpu->hide_mapping && kind == KN_GPU_MEMORY_DEVICE) memory->mapped = NULL;
    VkResult result = vkBindBufferMemory(gpu->device, buffer, memory->memory, memory->offset);
    if (result != VK_SUCCESS) {
        kn_vk_memory_finish(memory, gpu);
        return kn_vk_fail(gpu, result, "binding a buffer's memory", error);
    }
    return true;
}

uint64_t kn_gpu_alloc_fail_after(kn_gpu *gpu, uint64_t n) {
    uint64_t left = gpu->fail_after;
    gpu->fail_after = n;
    return left;
}

static void free_block(kn_gpu *gpu, kn_vk_block *block) {
    for (kn_vk_block **link = &gpu->blocks; *link; link = &(*link)->next)
        if (*link == block) {
            *link = block->next;
            break;
        }
    release(gpu, block->memory, block->size);
    kn_free(block);
}

void kn_vk_memory_finish(kn_vk_memory *memory, kn_gpu *gpu) {
    if (memory->block) {
        for (kn_vk_memory **link = &memory->block->first; *link; link = &(*link)->next)
            if (*link == memory) {
                *link = memory->next;
                break;
            }
        if (!memory->block->first) free_block(gpu, memory->block);
    } else if (memory->memory) {
        release(gpu, memory->memory, memory->size);
    }
    *memory = (kn_vk_memory){0};
}

void kn_vk_blocks_finish(kn_gpu *gpu) {
    while (gpu->blocks) free_block(gpu, gpu->blocks);
}
