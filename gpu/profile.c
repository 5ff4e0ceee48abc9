#include "gpu/vk.h"

#include <stdlib.h>
#include <string.h>

bool kn_vk_sum_find(kn_gpu *gpu, kn_kernel kernel, const char *label, size_t *index, kn_error *error) {
    for (size_t i = 0; i < gpu->sum_count; i++) {
        const kn_gpu_timing *t = &gpu->sums[i];
        if (t->kernel == kernel && (t->label == label || (t->label && label && strcmp(t->label, label) == 0))) {
            *index = i;
            return true;
        }
    }
    char *copy = NULL;
    if (!kn_grow(&gpu->sums, &gpu->sum_capacity, gpu->sum_count + 1, sizeof(*gpu->sums), error) ||
        (label && !(copy = kn_strdup(label, error))))
        return false;
    gpu->sums[gpu->sum_count] = (kn_gpu_timing){.kernel = kernel, .label = copy};
    *index = gpu->sum_count++;
    return true;
}

bool kn_vk_timer_reserve(kn_vk_timer *timer, kn_gpu *gpu, VkCommandBuffer commands, const kn_gpu_dispatch *dispatch,
                         kn_error *error) {
    timer->reserved = false;
    if (!gpu->profile) return true;
    size_t pool = timer->count / KN_VK_TIMER_POOL;
    if (!kn_grow(&timer->sums, &timer->capacity, timer->count + 1, sizeof(*timer->sums), error) ||
        !kn_grow(&timer->pools, &timer->pool_capacity, pool + 1, sizeof(*timer->pools), error) ||
        !kn_vk_sum_find(gpu, dispatch->kernel, dispatch->label, &timer->sums[timer->count], error))
        return false;
    if (pool >= timer->pool_count) {
        VkQueryPoolCreateInfo create = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                        .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                        .queryCount = 2 * KN_VK_TIMER_POOL};
        VkResult result = vkCreateQueryPool(gpu->device, &create, NULL, &timer->pools[pool]);
        if (result != VK_SUCCESS) return kn_vk_fail(gpu, result, "creating a query pool", error);
        timer->pool_count = pool + 1;
    }
    if (timer->count % KN_VK_TIMER_POOL == 0)
        vkCmdResetQueryPool(commands, timer->pools[pool], 0, 2 * KN_VK_TIMER_POOL);
    timer->reserved = true;
    return true;
}

static void stamp(const kn_vk_timer *timer, VkCommandBuffer commands, VkPipelineStageFlagBits stage, uint32_t which) {
    vkCmdWriteTimestamp(commands, stage, timer->pools[timer->count / KN_VK_TIMER_POOL],
                        2 * (uint32_t)(timer->count % KN_VK_TIMER_POOL) + which);
}

void kn_vk_timer_begin(kn_vk_timer *timer, kn_gpu *gpu, VkCommandBuffer commands) {
    if (timer->reserved) stamp(timer, commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0);
}

void kn_vk_timer_end(kn_vk_timer *timer, kn_gpu *gpu, VkCommandBuffer commands) {
    if (!timer->reserved) return;
    stamp(timer, commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 1);
    timer->count++;
    timer->reserved = false;
}

void kn_vk_timer_collect(kn_vk_timer *timer, kn_gpu *gpu) {
    uint64_t mask = gpu->timestamp_bits >= 64 ? UINT64_MAX : (UINT64_C(1) << gpu->timestamp_bits) - 1;
    for (size_t i = 0; i < timer->count; i++) {
        uint64_t times[2];
        VkResult result =
            vkGetQueryPoolResults(gpu->device, timer->pools[i / KN_VK_TIMER_POOL], 2 * (uint32_t)(i % KN_VK_TIMER_POOL),
                                  2, sizeof(times), times, sizeof(times[0]), VK_QUERY_RESULT_64_BIT);
        if (result != VK_SUCCESS) continue;
        gpu->sums[timer->sums[i]].calls++;
        gpu->sums[timer->sums[i]].seconds +=
            (double)((times[1] - times[0]) & mask) * gpu->limits.timestampPeriod * 1e-9;
    }
}

void kn_vk_timer_clear(kn_vk_timer *timer) { timer->count = 0; }

void kn_vk_timer_finish(kn_vk_timer *timer, kn_gpu *gpu) {
    for (size_t i = 0; i < timer->pool_count; i++) vkDestroyQueryPool(gpu->device, timer->pools[i], NULL);
    kn_free(timer->pools);
    kn_free(timer->sums);
    *timer = (kn_vk_timer){0};
}

void kn_vk_sums_finish(kn_gpu *gpu) {
    for (size_t i = 0; i < gpu->sum_count; i++) kn_free((char *)gpu->sums[i].label);
    kn_free(gpu->sums);
    kn_free(gpu->report);
    gpu->sums = gpu->report = NULL;
    gpu->sum_count = 0;
}

static int slower_first(const void *left, const void *right) {
    double a = ((const kn_gpu_timing *)left)->seconds, b = ((const kn_gpu_timing *)right)->seconds;
    return (a < b) - (a > b);
}

const kn_gpu_timing *kn_gpu_profile(kn_gpu *gpu, size_t *count) {
    *count = 0;
    if (!kn_grow(&gpu->report, &gpu->report_capacity, gpu->sum_count, sizeof(*gpu->report), NULL)) return NULL;
    for (size_t i = 0; i < gpu->sum_count; i++)
        if (gpu->sums[i].calls) gpu->report[(*count)++] = gpu->sums[i];
    if (*count) qsort(gpu->report, *count, sizeof(*gpu->report), slower_first);
    return gpu->report;
}

void kn_gpu_profile_reset(kn_gpu *gpu) {
    for (size_t i = 0; i < gpu->sum_count; i++) {
        gpu->sums[i].calls = 0;
        gpu->sums[i].seconds = 0;
    }
}

void kn_gpu_profile_enable(kn_gpu *gpu, bool enabled) { gpu->profile = enabled && gpu->timestamp_bits > 0; }
