/* Which matrix products a device offers. */
#include "gpu/matrix.h"

#include "base/base.h"

void kn_vk_matrix_choose(const VkCooperativeMatrixPropertiesKHR *offers, uint32_t count, kn_gpu_info *info) {
    uint64_t best = 0;
    for (uint32_t i = 0; i < count; i++) {
        const VkCooperativeMatrixPropertiesKHR *o = &offers[i];
        bool half = o->AType == VK_COMPONENT_TYPE_FLOAT16_KHR && o->BType == VK_COMPONENT_TYPE_FLOAT16_KHR;
        bool single = o->CType == VK_COMPONENT_TYPE_FLOAT32_KHR && o->ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR;
        uint64_t size = (uint64_t)o->MSize * o->NSize * o->KSize;
        if (!half || !single || o->scope != VK_SCOPE_SUBGROUP_KHR || o->saturatingAccumulation || size <= best)
            continue;
        best = size;
        info->matrix_m = o->MSize;
        info->matrix_n = o->NSize;
        info->matrix_k = o->KSize;
    }
}

/* The features that the kernels' SPIR-V declares, the stage they run in, and the subgroup operations they use. */
static bool is_usable(VkPhysicalDevice device) {
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT subgroups = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT, .pNext = &matrix};
    VkPhysicalDeviceVulkan12Features vulkan12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                                 .pNext = &subgroups};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &vulkan12};
    vkGetPhysicalDeviceFeatures2(device, &features);
    VkPhysicalDeviceCooperativeMatrixPropertiesKHR stages = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    VkPhysicalDeviceVulkan11Properties vulkan11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES,
                                                   .pNext = &stages};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &vulkan11};
    vkGetPhysicalDeviceProperties2(device, &properties);
    const VkSubgroupFeatureFlags needed = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    return matrix.cooperativeMatrix && subgroups.computeFullSubgroups && vulkan12.vulkanMemoryModel &&
           vulkan12.shaderFloat16 && stages.cooperativeMatrixSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT &&
           vulkan11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT &&
           (vulkan11.subgroupSupportedOperations & needed) == needed;
}

bool kn_vk_matrix_describe(VkInstance instance, VkPhysicalDevice device, kn_gpu_info *info, kn_error *error) {
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR list =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)vkGetInstanceProcAddr(
            instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    uint32_t count = 0;
    if (!list || !is_usable(device) || list(device, &count, NULL) != VK_SUCCESS) return true;
    VkCooperativeMatrixPropertiesKHR *offers = kn_alloc(count, sizeof(*offers), error);
    if (!offers) return false;
    for (uint32_t i = 0; i < count; i++) offers[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
    if (list(device, &count, offers) < 0) count = 0;
    kn_vk_matrix_choose(offers, count, info);
    info->cooperative_matrix = info->matrix_m > 0;
    kn_free(offers);
    return true;
}
