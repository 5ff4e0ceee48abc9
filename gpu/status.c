/* What became of the device, and how far its work is. */
#include "gpu/vk.h"

bool kn_vk_fail(kn_gpu *gpu, VkResult result, const char *what, kn_error *error) {
    switch (result) {
    case VK_ERROR_DEVICE_LOST:
        gpu->lost = true;
        return kn_fail(error, KN_ERROR_DEVICE, "%s: the device was lost while %s", gpu->info.name, what);
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return kn_fail(error, KN_ERROR_MEMORY, "%s: device memory ran out while %s", gpu->info.name, what);
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return kn_fail(error, KN_ERROR_MEMORY, "%s: host memory ran out while %s", gpu->info.name, what);
    default:
        return kn_fail(error, KN_ERROR_DEVICE, "%s: the driver failed while %s (VkResult %d)", gpu->info.name, what,
                       (int)result);
    }
}

bool kn_vk_alive(kn_gpu *gpu, kn_error *error) {
    return !gpu->lost || kn_fail(error, KN_ERROR_DEVICE, "%s: the device was lost", gpu->info.name);
}

bool kn_vk_wait_value(kn_gpu *gpu, uint64_t value, kn_error *error) {
    if (value == 0) return true;
    if (!kn_vk_alive(gpu, error)) return false;
    VkSemaphoreWaitInfo wait = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                .semaphoreCount = 1,
                                .pSemaphores = &gpu->timeline,
                                .pValues = &value};
    VkResult result = vkWaitSemaphores(gpu->device, &wait, UINT64_MAX);
    return result == VK_SUCCESS || kn_vk_fail(gpu, result, "waiting for work", error);
}

uint64_t kn_vk_completed(kn_gpu *gpu) {
    uint64_t value = 0;
    if (gpu->lost) return UINT64_MAX;
    VkResult result = vkGetSemaphoreCounterValue(gpu->device, gpu->timeline, &value);
    if (result == VK_ERROR_DEVICE_LOST) gpu->lost = true;
    return gpu->lost ? UINT64_MAX : value;
}
