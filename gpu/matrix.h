/* VK_KHR_cooperative_matrix as far as Kinora needs it; Debian 12's headers are older. Only files of gpu/ include
 * this. */
#ifndef KN_GPU_MATRIX_H
#define KN_GPU_MATRIX_H

#include <vulkan/vulkan.h>

#include "kinora/gpu.h"

#ifndef VK_KHR_cooperative_matrix
#define VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME "VK_KHR_cooperative_matrix"

/* Values and members as in the Vulkan specification, "VkPhysicalDeviceCooperativeMatrixFeaturesKHR" and following. */
#define VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR ((VkStructureType)1000506000)
#define VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR ((VkStructureType)1000506001)
#define VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_PROPERTIES_KHR ((VkStructureType)1000506002)

typedef enum VkComponentTypeKHR {
    VK_COMPONENT_TYPE_FLOAT16_KHR = 0,
    VK_COMPONENT_TYPE_FLOAT32_KHR = 1
} VkComponentTypeKHR;
typedef enum VkScopeKHR { VK_SCOPE_SUBGROUP_KHR = 3 } VkScopeKHR;

typedef struct VkPhysicalDeviceCooperativeMatrixFeaturesKHR {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix;
    VkBool32 cooperativeMatrixRobustBufferAccess;
} VkPhysicalDeviceCooperativeMatrixFeaturesKHR;

typedef struct VkPhysicalDeviceCooperativeMatrixPropertiesKHR {
    VkStructureType sType;
    void *pNext;
    VkShaderStageFlags cooperativeMatrixSupportedStages;
} VkPhysicalDeviceCooperativeMatrixPropertiesKHR;

typedef struct VkCooperativeMatrixPropertiesKHR {
    VkStructureType sType;
    void *pNext;
    uint32_t MSize, NSize, KSize;
    VkComponentTypeKHR AType, BType, CType, ResultType;
    VkBool32 saturatingAccumulation;
    VkScopeKHR scope;
} VkCooperativeMatrixPropertiesKHR;

typedef VkResult(VKAPI_PTR *PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)(
    VkPhysicalDevice physicalDevice, uint32_t *pPropertyCount, VkCooperativeMatrixPropertiesKHR *pProperties);
#endif

/* Of the products that a device offers, the largest of fp16 matrices with fp32 sums by a subgroup: sets info->matrix_m,
 * _n and _k, or leaves them 0 when there is none. */
void kn_vk_matrix_choose(const VkCooperativeMatrixPropertiesKHR *offers, uint32_t count, kn_gpu_info *info);

/* Fills info->cooperative_matrix and the sizes; for a device that has the extension. Only host memory can make it
 * fail. */
bool kn_vk_matrix_describe(VkInstance instance, VkPhysicalDevice device, kn_gpu_info *info, kn_error *error);

#endif
