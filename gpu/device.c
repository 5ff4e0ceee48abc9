#include "gpu/budget.h"
#include "gpu/matrix.h"
#include "gpu/vk.h"

#include <string.h>

/* What the device can do and what we switch on of it. */
typedef struct features {
    VkPhysicalDeviceFeatures2 base;
    VkPhysicalDeviceVulkan11Features vulkan11;
    VkPhysicalDeviceVulkan12Features vulkan12;
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT subgroups;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrices;
} features;

/* Extensions that are used where they are there; `1 << OPTIONAL_...` in a mask. */
enum { NEEDED_PUSH, OPTIONAL_SUBGROUPS, OPTIONAL_MATRICES, OPTIONAL_BUDGET };

static void chain(features *f, uint32_t extensions) {
    f->base.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    f->base.pNext = &f->vulkan11;
    f->vulkan11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
    f->vulkan11.pNext = &f->vulkan12;
    f->vulkan12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
    void **next = &f->vulkan12.pNext;
    if (extensions >> OPTIONAL_SUBGROUPS & 1) {
        *next = &f->subgroups;
        next = &f->subgroups.pNext;
    }
    if (extensions >> OPTIONAL_MATRICES & 1) *next = &f->matrices;
    f->matrices.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR;
    f->subgroups.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT;
}

/* The features that kernels may use, where the device has them. */
static void select_features(const features *has, features *want, uint32_t extensions) {
    memset(want, 0, sizeof(*want));
    chain(want, extensions);
    want->base.features.robustBufferAccess = has->base.features.robustBufferAccess;
    want->base.features.shaderInt16 = has->base.features.shaderInt16;
    want->base.features.shaderInt64 = has->base.features.shaderInt64;
    want->base.features.shaderFloat64 = has->base.features.shaderFloat64;
    want->vulkan11.storageBuffer16BitAccess = has->vulkan11.storageBuffer16BitAccess;
    want->vulkan11.uniformAndStorageBuffer16BitAccess = has->vulkan11.uniformAndStorageBuffer16BitAccess;
    want->vulkan12.storageBuffer8BitAccess = has->vulkan12.storageBuffer8BitAccess;
    want->vulkan12.uniformAndStorageBuffer8BitAccess = has->vulkan12.uniformAndStorageBuffer8BitAccess;
    want->vulkan12.shaderFloat16 = has->vulkan12.shaderFloat16;
    want->vulkan12.shaderInt8 = has->vulkan12.shaderInt8;
    want->vulkan12.scalarBlockLayout = has->vulkan12.scalarBlockLayout;
    want->vulkan12.shaderSubgroupExtendedTypes = has->vulkan12.shaderSubgroupExtendedTypes;
    want->vulkan12.subgroupBroadcastDynamicId = has->vulkan12.subgroupBroadcastDynamicId;
    want->vulkan12.timelineSemaphore = has->vulkan12.timelineSemaphore;
    want->vulkan12.vulkanMemoryModel = has->vulkan12.vulkanMemoryModel;
    want->vulkan12.vulkanMemoryModelDeviceScope =
        has->vulkan12.vulkanMemoryModelDeviceScope; /* atomics of scene/edge.comp */
    want->subgroups.subgroupSizeControl = has->subgroups.subgroupSizeControl;
    want->subgroups.computeFullSubgroups = has->subgroups.computeFullSubgroups; /* kernels with matrices ask for them */
    want->matrices.cooperativeMatrix = has->matrices.cooperativeMatrix;
}

/* Which of `names` the device offers, as a bit mask. */
static bool find_extensions(VkPhysicalDevice device, const char *const *names, size_t count, uint32_t *mask,
                            kn_error *error) {
    uint32_t total = 0;
    *mask = 0;
    if (vkEnumerateDeviceExtensionProperties(device, NULL, &total, NULL) != VK_SUCCESS) total = 0;
    VkExtensionProperties *extensions = kn_alloc(total, sizeof(*extensions), error);
    if (!extensions) return false;
    if (total && vkEnumerateDeviceExtensionProperties(device, NULL, &total, extensions) < 0) total = 0;
    for (uint32_t i = 0; i < total; i++)
        for (size_t j = 0; j < count; j++)
            if (strcmp(extensions[i].extensionName, names[j]) == 0) *mask |= 1u << j;
    kn_free(extensions);
    return true;
}

/* A family for compute: one without graphics where there is one, so that a desktop stays responsive. */
static bool find_family(kn_gpu *gpu, kn_error *error) {
    VkQueueFamilyProperties families[32];
    uint32_t count = KN_COUNT(families);
    bool found = false;
    vkGetPhysicalDeviceQueueFamilyProperties(gpu->physical, &count, families);
    for (uint32_t i = 0; i < count; i++) {
        bool compute = families[i].queueFlags & VK_QUEUE_COMPUTE_BIT && families[i].queueCount > 0;
        bool graphics = families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT;
        if (compute && (!found || !graphics)) {
            gpu->family = i;
            gpu->timestamp_bits = families[i].timestampValidBits;
            found = true;
            if (!graphics) break;
        }
    }
    return found || kn_fail(error, KN_ERROR_DEVICE, "%s: the device has no compute queue", gpu->info.name);
}

static void read_limits(kn_gpu *gpu, bool subgroup_control) {
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT subgroups = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
    VkPhysicalDevicePushDescriptorPropertiesKHR push = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PUSH_DESCRIPTOR_PROPERTIES_KHR,
        .pNext = subgroup_control ? &subgroups : NULL};
    VkPhysicalDeviceVulkan11Properties vulkan11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES,
                                                   .pNext = &push};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &vulkan11};
    vkGetPhysicalDeviceProperties2(gpu->physical, &properties);
    vkGetPhysicalDeviceMemoryProperties(gpu->physical, &gpu->memory_types);
    gpu->limits = properties.properties.limits;
    gpu->max_allocation = vulkan11.maxMemoryAllocationSize;
    gpu->max_bindings = push.maxPushDescriptors;
    gpu->required_subgroup_size = subgroup_control && subgroups.minSubgroupSize != subgroups.maxSubgroupSize &&
                                  subgroups.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT;
}

static bool create_device(kn_gpu *gpu, kn_error *error) {
    static const char *const names[] = {[NEEDED_PUSH] = VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME,
                                        [OPTIONAL_SUBGROUPS] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME,
                                        [OPTIONAL_MATRICES] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME,
                                        [OPTIONAL_BUDGET] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME};
    const char *used[KN_COUNT(names)];
    uint32_t mask, used_count = 0;
    if (!find_extensions(gpu->physical, names, KN_COUNT(names), &mask, error)) return false;
    if (!(mask >> NEEDED_PUSH & 1))
        return kn_fail(error, KN_ERROR_DEVICE, "%s: the driver lacks %s", gpu->info.name, names[NEEDED_PUSH]);
    if (!gpu->info.cooperative_matrix) mask &= ~(1u << OPTIONAL_MATRICES);
    for (uint32_t i = 0; i < KN_COUNT(names); i++)
        if (mask >> i & 1) used[used_count++] = names[i];
    gpu->has_budget = mask >> OPTIONAL_BUDGET & 1;
    bool subgroup_control = mask >> OPTIONAL_SUBGROUPS & 1;
    features has = {0}, want;
    chain(&has, mask);
    vkGetPhysicalDeviceFeatures2(gpu->physical, &has.base);
    select_features(&has, &want, mask);
    if (!want.base.features.robustBufferAccess || !want.vulkan12.timelineSemaphore)
        return kn_fail(error, KN_ERROR_DEVICE, "%s: the driver lacks robust buffer access or timeline semaphores",
                       gpu->info.name);
    read_limits(gpu, subgroup_control && want.subgroups.subgroupSizeControl);

    float priority = 1;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = gpu->family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    VkDeviceCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                 .pNext = &want.base,
                                 .queueCreateInfoCount = 1,
                                 .pQueueCreateInfos = &queue,
                                 .enabledExtensionCount = used_count,
                                 .ppEnabledExtensionNames = used};
    VkResult result = vkCreateDevice(gpu->physical, &create, NULL, &gpu->device);
    if (result != VK_SUCCESS) return kn_vk_fail(gpu, result, "opening the device", error);
    vkGetDeviceQueue(gpu->device, gpu->family, 0, &gpu->queue);
    gpu->push_descriptors =
        (PFN_vkCmdPushDescriptorSetKHR)vkGetDeviceProcAddr(gpu->device, "vkCmdPushDescriptorSetKHR");
    return true;
}

bool kn_vk_device_init(kn_gpu *gpu, size_t index, kn_error *error) {
    gpu->physical = gpu->instance.devices[index].handle;
    gpu->info = gpu->instance.devices[index].info;
    if (!find_family(gpu, error) || !create_device(gpu, error)) return false;
    VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                      .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    VkSemaphoreCreateInfo semaphore = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
    VkResult result = vkCreateSemaphore(gpu->device, &semaphore, NULL, &gpu->timeline);
    if (result != VK_SUCCESS) return kn_vk_fail(gpu, result, "creating a semaphore", error);
    VkPipelineCacheCreateInfo cache = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    result = vkCreatePipelineCache(gpu->device, &cache, NULL, &gpu->pipeline_cache);
    return result == VK_SUCCESS || kn_vk_fail(gpu, result, "creating a pipeline cache", error);
}

uint64_t kn_gpu_memory_budget(const kn_gpu *gpu) {
    if (!gpu->has_budget) return 0;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
                                                    .pNext = &budget};
    vkGetPhysicalDeviceMemoryProperties2(gpu->physical, &properties);
    uint64_t most = 0;
    for (uint32_t i = 0; i < properties.memoryProperties.memoryHeapCount; i++)
        if (properties.memoryProperties.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT &&
            budget.heapBudget[i] > most)
            most = budget.heapBudget[i];
    return most;
}
