#include "gpu/matrix.h"
#include "gpu/vk.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *user) {
    kn_log_line(user, KN_LOG_ERROR, "validation: %s", data->pMessage);
    return VK_FALSE;
}

static bool has_layer(const char *name) {
    uint32_t count = 0;
    if (vkEnumerateInstanceLayerProperties(&count, NULL) != VK_SUCCESS || count == 0) return false;
    VkLayerProperties *layers = kn_alloc(count, sizeof(*layers), NULL);
    bool found = false;
    if (layers && vkEnumerateInstanceLayerProperties(&count, layers) >= 0)
        for (uint32_t i = 0; i < count; i++) found |= strcmp(layers[i].layerName, name) == 0;
    kn_free(layers);
    return found;
}

static bool create_handle(kn_vk_instance *instance, bool validation, const kn_log *log, kn_error *error) {
    static const VkValidationFeatureEnableEXT extra[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    VkValidationFeaturesEXT checks = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                      .enabledValidationFeatureCount = 1,
                                      .pEnabledValidationFeatures = extra};
    VkDebugUtilsMessengerCreateInfoEXT messages = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
                                                   .pNext = &checks,
                                                   .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT |
                                                                      VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT,
                                                   .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
                                                   .pfnUserCallback = on_message,
                                                   .pUserData = (void *)log};
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                     .pApplicationName = "kinora",
                                     .pEngineName = "kinora",
                                     .apiVersion = VK_API_VERSION_1_2};
    const char *layer = VALIDATION_LAYER,
               *extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME};
    VkInstanceCreateInfo create = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
    if (validation) {
        create.pNext = &messages;
        create.enabledLayerCount = 1;
        create.ppEnabledLayerNames = &layer;
        create.enabledExtensionCount = 2;
        create.ppEnabledExtensionNames = extensions;
    }
    VkResult result = vkCreateInstance(&create, NULL, &instance->handle);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return kn_fail(error, KN_ERROR_DEVICE, "no Vulkan driver is installed (Debian: mesa-vulkan-drivers)");
    if (result != VK_SUCCESS)
        return kn_fail(error, KN_ERROR_DEVICE, "Vulkan cannot be started (VkResult %d)", (int)result);
    if (validation) {
        PFN_vkCreateDebugUtilsMessengerEXT create_messenger = (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
            instance->handle, "vkCreateDebugUtilsMessengerEXT");
        messages.pNext = NULL;
        if (create_messenger) create_messenger(instance->handle, &messages, NULL, &instance->messenger);
    }
    return true;
}

static kn_gpu_kind kind_of(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return KN_GPU_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return KN_GPU_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return KN_GPU_VIRTUAL;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return KN_GPU_SOFTWARE;
    default: return KN_GPU_OTHER;
    }
}

static bool has_extension(VkPhysicalDevice device, const char *name, bool *found, kn_error *error) {
    uint32_t count = 0;
    *found = false;
    if (vkEnumerateDeviceExtensionProperties(device, NULL, &count, NULL) != VK_SUCCESS) count = 0;
    VkExtensionProperties *extensions = kn_alloc(count, sizeof(*extensions), error);
    if (!extensions) return false;
    if (count && vkEnumerateDeviceExtensionProperties(device, NULL, &count, extensions) >= 0)
        for (uint32_t i = 0; i < count; i++) *found |= strcmp(extensions[i].extensionName, name) == 0;
    kn_free(extensions);
    return true;
}

static bool describe(VkInstance instance, kn_vk_device *device, kn_error *error) {
    VkPhysicalDeviceVulkan12Properties vulkan12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES};
    VkPhysicalDeviceVulkan11Properties vulkan11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES,
                                                   .pNext = &vulkan12};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &vulkan11};
    VkPhysicalDeviceVulkan12Features features12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkPhysicalDeviceVulkan11Features features11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
                                                   .pNext = &features12};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &features11};
    vkGetPhysicalDeviceProperties2(device->handle, &properties);
    vkGetPhysicalDeviceFeatures2(device->handle, &features);
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(device->handle, &memory);

    kn_gpu_info *info = &device->info;
    const VkPhysicalDeviceProperties *p = &properties.properties;
    snprintf(info->name, sizeof(info->name), "%s", p->deviceName);
    snprintf(info->driver, sizeof(info->driver), "%.100s %.100s", vulkan12.driverName, vulkan12.driverInfo);
    info->kind = kind_of(p->deviceType);
    for (uint32_t i = 0; i < memory.memoryHeapCount; i++)
        if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT && memory.memoryHeaps[i].size > info->memory)
            info->memory = memory.memoryHeaps[i].size;
    info->subgroup_size = vulkan11.subgroupSize;
    info->max_buffer_range = p->limits.maxStorageBufferRange;
    info->max_texel_elements = p->limits.maxTexelBufferElements;
    info->half_storage = features11.storageBuffer16BitAccess;
    info->half_arithmetic = features12.shaderFloat16;
    info->shared_memory = p->limits.maxComputeSharedMemorySize;
    bool has_matrices, has_control; /* of subgroups: full ones */
    return has_extension(device->handle, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME, &has_matrices, error) &&
           has_extension(device->handle, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME, &has_control, error) &&
           (!has_matrices || !has_control || kn_vk_matrix_describe(instance, device->handle, info, error));
}

static int rank(const void *pointer) { return (int)((const kn_vk_device *)pointer)->info.kind; }

/* Lists devices of Vulkan 1.2 or later, best kind first, otherwise in the loader's order. */
static bool list_devices(kn_vk_instance *instance, kn_error *error) {
    uint32_t count = 0;
    VkResult result = vkEnumeratePhysicalDevices(instance->handle, &count, NULL);
    if (result != VK_SUCCESS)
        return kn_fail(error, KN_ERROR_DEVICE, "Vulkan devices cannot be listed (VkResult %d)", (int)result);
    VkPhysicalDevice *handles = kn_alloc(count, sizeof(*handles), error);
    instance->devices = kn_alloc(count, sizeof(*instance->devices), error);
    bool good = handles && instance->devices;
    if (good && vkEnumeratePhysicalDevices(instance->handle, &count, handles) < 0)
        good = kn_fail(error, KN_ERROR_DEVICE, "Vulkan devices cannot be listed");
    for (uint32_t i = 0; i < count && good; i++) {
        VkPhysicalDeviceProperties properties;
        vkGetPhysicalDeviceProperties(handles[i], &properties);
        if (properties.apiVersion < VK_API_VERSION_1_2) continue;
        kn_vk_device device = {.handle = handles[i]};
        good = describe(instance->handle, &device, error);
        size_t at = instance->device_count++;
        for (; at > 0 && rank(&instance->devices[at - 1]) > rank(&device); at--)
            instance->devices[at] = instance->devices[at - 1];
        instance->devices[at] = device;
    }
    kn_free(handles);
    return good;
}

bool kn_vk_instance_init(kn_vk_instance *instance, bool validation, const kn_log *log, kn_error *error) {
    *instance = (kn_vk_instance){0};
    if (validation && !has_layer(VALIDATION_LAYER)) {
        kn_log_line(log, KN_LOG_WARNING, "%s is not installed; running without it", VALIDATION_LAYER);
        validation = false;
    }
    bool good = create_handle(instance, validation, log, error) && list_devices(instance, error);
    if (!good) kn_vk_instance_finish(instance);
    return good;
}

void kn_vk_instance_finish(kn_vk_instance *instance) {
    if (instance->messenger) {
        PFN_vkDestroyDebugUtilsMessengerEXT destroy = (PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
            instance->handle, "vkDestroyDebugUtilsMessengerEXT");
        destroy(instance->handle, instance->messenger, NULL);
    }
    if (instance->handle) vkDestroyInstance(instance->handle, NULL);
    kn_free(instance->devices);
    *instance = (kn_vk_instance){0};
}

static bool contains(const char *text, const char *part) {
    size_t size = strlen(part);
    for (; *text; text++)
        if (strncasecmp(text, part, size) == 0) return true;
    return size == 0;
}

bool kn_vk_instance_choose(const kn_vk_instance *instance, const char *name, size_t *index, kn_error *error) {
    if (instance->device_count == 0) return kn_fail(error, KN_ERROR_DEVICE, "no device with Vulkan 1.2 was found");
    *index = 0;
    if (!name) return true;
    char *end = NULL;
    unsigned long number = isdigit((unsigned char)name[0]) ? strtoul(name, &end, 10) : 0;
    if (end && *end == 0) {
        if (number >= instance->device_count)
            return kn_fail(error, KN_ERROR_INPUT, "device %s: there are only %zu devices, counted from 0", name,
                           instance->device_count);
        *index = number;
        return true;
    }
    for (size_t i = 0; i < instance->device_count; i++)
        if (contains(instance->devices[i].info.name, name)) {
            *index = i;
            return true;
        }
    return kn_fail(error, KN_ERROR_INPUT, "device \"%.100s\": no such device; the first of %zu is \"%s\"", name,
                   instance->device_count, instance->devices[0].info.name);
}

bool kn_gpu_list(kn_gpu_info *infos, size_t capacity, size_t *count, kn_error *error) {
    *count = 0;
    kn_log silent = {0};
    kn_vk_instance instance;
    kn_vk_wide_request();
    if (!kn_vk_instance_init(&instance, false, &silent, error)) return false;
    *count = instance.device_count;
    for (size_t i = 0; i < instance.device_count && i < capacity; i++) infos[i] = instance.devices[i].info;
    kn_vk_instance_finish(&instance);
    return true;
}
