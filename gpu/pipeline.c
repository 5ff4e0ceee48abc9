#include "gpu/vk.h"

#include <string.h>

static VkDescriptorType descriptor_type(kn_binding_kind kind) {
    return kind == KN_BINDING_TEXEL ? VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
}

static VkResult make_set_layout(kn_gpu *gpu, const kn_kernel_info *info, VkDescriptorSetLayout *layout) {
    VkDescriptorSetLayoutBinding bindings[32];
    uint32_t count = 0;
    for (uint32_t i = 0; i < info->binding_count; i++)
        if (info->bindings[i].kind != KN_BINDING_NONE)
            bindings[count++] =
                (VkDescriptorSetLayoutBinding){.binding = i,
                                               .descriptorCount = 1,
                                               .descriptorType = descriptor_type(info->bindings[i].kind),
                                               .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    VkDescriptorSetLayoutCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                              .flags = VK_DESCRIPTOR_SET_LAYOUT_CREATE_PUSH_DESCRIPTOR_BIT_KHR,
                                              .bindingCount = count,
                                              .pBindings = bindings};
    return vkCreateDescriptorSetLayout(gpu->device, &create, NULL, layout);
}

/* Module and layouts of a kernel, made at first use; half-made ones are completed at the next. */
static bool prepare(kn_gpu *gpu, kn_kernel kernel, kn_error *error) {
    const kn_kernel_info *info = &kn_kernel_infos[kernel];
    kn_vk_kernel *k = &gpu->kernels[kernel];
    VkResult result = VK_SUCCESS;
    if (k->layout) return true;
    if (info->binding_count > 32 || info->binding_count > gpu->max_bindings)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "kernel %s: the device allows only %u bindings", info->name,
                       gpu->max_bindings);
    if (!k->module) {
        VkShaderModuleCreateInfo create = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                           .codeSize = (size_t)info->word_count * 4,
                                           .pCode = info->words};
        result = vkCreateShaderModule(gpu->device, &create, NULL, &k->module);
    }
    if (result == VK_SUCCESS && !k->set_layout) result = make_set_layout(gpu, info, &k->set_layout);
    if (result == VK_SUCCESS) {
        VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = info->push_size};
        VkPipelineLayoutCreateInfo create = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                             .setLayoutCount = 1,
                                             .pSetLayouts = &k->set_layout,
                                             .pushConstantRangeCount = info->push_size > 0,
                                             .pPushConstantRanges = &push};
        result = vkCreatePipelineLayout(gpu->device, &create, NULL, &k->layout);
    }
    return result == VK_SUCCESS || kn_vk_fail(gpu, result, "preparing a kernel", error);
}

static bool check_local_size(const kn_gpu *gpu, const kn_kernel_info *info, const kn_vk_pipeline *p, kn_error *error) {
    uint64_t product = 1;
    for (int i = 0; i < 3; i++) {
        int id = info->local_size_id[i];
        uint32_t size = id >= 0 && p->given >> id & 1 ? p->constants[id] : info->local_size[i];
        if (size == 0 || size > gpu->limits.maxComputeWorkGroupSize[i])
            return kn_fail(error, KN_ERROR_UNSUPPORTED,
                           "kernel %s: %u invocations along axis %d; the device allows 1 to %u", info->name, size, i,
                           gpu->limits.maxComputeWorkGroupSize[i]);
        product *= size;
    }
    return product <= gpu->limits.maxComputeWorkGroupInvocations ||
           kn_fail(error, KN_ERROR_UNSUPPORTED, "kernel %s: %llu invocations in a group; the device allows %u",
                   info->name, (unsigned long long)product, gpu->limits.maxComputeWorkGroupInvocations);
}

static bool compile(kn_gpu *gpu, kn_vk_pipeline *p, kn_error *error) {
    const kn_kernel_info *info = &kn_kernel_infos[p->kernel];
    kn_vk_kernel *k = &gpu->kernels[p->kernel];
    VkSpecializationMapEntry entries[64];
    uint32_t count = 0;
    for (uint32_t i = 0; i < 64; i++)
        if (p->given >> i & 1)
            entries[count++] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    VkSpecializationInfo constants = {
        .mapEntryCount = count, .pMapEntries = entries, .dataSize = sizeof(p->constants), .pData = p->constants};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT subgroup = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT,
        .requiredSubgroupSize = gpu->info.subgroup_size};
    VkComputePipelineCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .layout = k->layout,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .flags = info->matrices ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT : 0,
                  .pNext = gpu->required_subgroup_size ? &subgroup : NULL,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = k->module,
                  .pName = "main",
                  .pSpecializationInfo = &constants}};
    VkResult result = vkCreateComputePipelines(gpu->device, gpu->pipeline_cache, 1, &create, NULL, &p->handle);
    if (result == VK_SUCCESS) return true;
    kn_vk_fail(gpu, result, "compiling a kernel", error);
    return kn_fail_prefix(error, "kernel %s", info->name);
}

bool kn_vk_pipeline_get(kn_gpu *gpu, const kn_gpu_dispatch *dispatch, VkPipeline *pipeline, kn_error *error) {
    const kn_kernel_info *info = &kn_kernel_infos[dispatch->kernel];
    kn_vk_pipeline wanted = {.kernel = dispatch->kernel};
    for (uint32_t i = 0; i < dispatch->constant_count && i < 64; i++)
        if (info->constants >> i & 1) {
            wanted.given |= UINT64_C(1) << i;
            wanted.constants[i] = dispatch->constants[i];
        }
    if (!prepare(gpu, dispatch->kernel, error)) return false;
    kn_vk_kernel *k = &gpu->kernels[dispatch->kernel];
    for (kn_vk_pipeline *p = k->pipelines; p; p = p->next)
        if (p->given == wanted.given && memcmp(p->constants, wanted.constants, sizeof(wanted.constants)) == 0) {
            *pipeline = p->handle;
            return true;
        }
    if (!check_local_size(gpu, info, &wanted, error)) return false;
    kn_vk_pipeline *made = kn_alloc(1, sizeof(*made), error);
    if (!made) return false;
    *made = wanted;
    if (!compile(gpu, made, error)) {
        kn_free(made);
        return false;
    }
    made->next = k->pipelines;
    k->pipelines = made;
    *pipeline = made->handle;
    return true;
}

void kn_vk_pipelines_finish(kn_gpu *gpu) {
    for (int i = 0; i < KN_KERNEL_COUNT; i++) {
        kn_vk_kernel *k = &gpu->kernels[i];
        while (k->pipelines) {
            kn_vk_pipeline *p = k->pipelines;
            k->pipelines = p->next;
            vkDestroyPipeline(gpu->device, p->handle, NULL);
            kn_free(p);
        }
        vkDestroyPipelineLayout(gpu->device, k->layout, NULL);
        vkDestroyDescriptorSetLayout(gpu->device, k->set_layout, NULL);
        vkDestroyShaderModule(gpu->device, k->module, NULL);
        *k = (kn_vk_kernel){0};
    }
}
