#include "gpu/vk.h"

#include <string.h>

static void close_gpu(kn_gpu *gpu) {
    if (gpu->device) {
        vkDeviceWaitIdle(gpu->device);
        kn_vk_host_finish(gpu);
        kn_gpu_recorder_destroy(&gpu->transfer);
        kn_gpu_buffer_destroy(&gpu->staging);
        kn_vk_buffer_collect(gpu);
        kn_vk_pipelines_finish(gpu);
        kn_vk_blocks_finish(gpu);
        vkDestroyPipelineCache(gpu->device, gpu->pipeline_cache, NULL);
        vkDestroySemaphore(gpu->device, gpu->timeline, NULL);
        vkDestroyDevice(gpu->device, NULL);
    }
    kn_vk_sums_finish(gpu);
    kn_vk_instance_finish(&gpu->instance);
    kn_free(gpu->kernels);
}

/* Opens the device that params name. On failure everything is closed again and *gpu is zeroed. */
static bool open_gpu(kn_gpu *gpu, const kn_gpu_params *params, kn_error *error) {
    *gpu = (kn_gpu){
        .log = params->log, .memory_limit = params->memory_limit, .profile = params->profile, .next_serial = 1};
    size_t index = 0;
    bool good = (gpu->kernels = kn_alloc(KN_KERNEL_COUNT, sizeof(*gpu->kernels), error)) &&
                kn_vk_instance_init(&gpu->instance, params->validation, &gpu->log, error) &&
                kn_vk_instance_choose(&gpu->instance, params->device, &index, error) &&
                kn_vk_device_init(gpu, index, error);
    if (good && gpu->profile && gpu->timestamp_bits == 0) {
        kn_log_line(&gpu->log, KN_LOG_WARNING, "%s takes no timestamps; the profile stays empty", gpu->info.name);
        gpu->profile = false;
    }
    if (!good) {
        close_gpu(gpu);
        *gpu = (kn_gpu){0};
    }
    return good;
}

/* Opens, and opens again with narrower vectors when the self-test says that wide ones compute wrongly. */
static bool open_trusted(kn_gpu *gpu, const kn_gpu_params *params, kn_error *error) {
    kn_vk_wide_request();
    if (!open_gpu(gpu, params, error)) return false;
    for (int attempt = 0; kn_vk_wide_needs_check(gpu); attempt++) {
        bool right = false;
        bool tried = kn_vk_wide_is_tried(gpu);
        if (attempt == 0 && tried && !kn_vk_wide_check(gpu, &right, error)) {
            close_gpu(gpu);
            return false;
        }
        if (right) return true;
        if (attempt > 0) {
            close_gpu(gpu);
            return kn_fail(error, KN_ERROR_DEVICE,
                           "512-bit vectors compute wrongly with this driver and cannot be switched "
                           "off any more: set LP_NATIVE_VECTOR_WIDTH=256 before the start");
        }
        if (tried)
            kn_log_line(&params->log, KN_LOG_WARNING, "%s computes wrongly with 512-bit vectors; using 256",
                        gpu->info.name);
        close_gpu(gpu);
        kn_vk_wide_refuse();
        if (!open_gpu(gpu, params, error)) return false;
    }
    return true;
}

/* What was measured on this device, when there is a usable file of it. */
static void load_tuning(kn_gpu *gpu, const char *folder) {
    kn_error error = {0};
    gpu->tuning = KN_TUNING_DEFAULT;
    char *path = folder ? kn_tuning_path(folder, &gpu->info, NULL) : NULL;
    if (path && kn_file_exists(path) && !kn_tuning_read(&gpu->tuning, path, &gpu->info, &error))
        kn_log_line(&gpu->log, KN_LOG_INFO, "%s; using the built-in constants", error.message);
    kn_free(path);
}

const kn_tuning *kn_gpu_get_tuning(const kn_gpu *gpu) { return &gpu->tuning; }

bool kn_gpu_create(kn_gpu **gpu, const kn_gpu_params *params, kn_error *error) {
    *gpu = NULL;
    kn_gpu *made = kn_alloc(1, sizeof(*made), error);
    if (!made) return false;
    if (!open_trusted(made, params, error)) {
        kn_free(made);
        return false;
    }
    kn_log_line(&made->log, KN_LOG_INFO, "device: %s, %s, subgroups of %u", made->info.name, made->info.driver,
                made->info.subgroup_size);
    load_tuning(made, params->tuning_folder);
    *gpu = made;
    return true;
}

void kn_gpu_destroy(kn_gpu **gpu) {
    if (!gpu || !*gpu) return;
    close_gpu(*gpu);
    kn_free(*gpu);
    *gpu = NULL;
}

const kn_gpu_info *kn_gpu_get_info(const kn_gpu *gpu) { return &gpu->info; }

void kn_gpu_memory_use(const kn_gpu *gpu, uint64_t *now, uint64_t *peak) {
    *now = gpu->memory_now;
    *peak = gpu->memory_peak;
}

const char *kn_kernel_name(kn_kernel kernel) {
    return (unsigned)kernel < KN_KERNEL_COUNT ? kn_kernel_infos[kernel].name : "?";
}
