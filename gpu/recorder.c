#include "gpu/vk.h"

#include <string.h>
#include <time.h>

/* Use of a byte range since the last barrier. */
typedef struct access {
    const kn_gpu_buffer *buffer;
    VkDeviceSize begin, end;
    bool write;
} access_range;

/* A barrier is also put when this many ranges are remembered, so that looking through them stays cheap. */
#define ACCESS_LIMIT 128

/* A host call, and the commands that run before it. */
typedef struct host_step {
    VkCommandBuffer commands; /* VK_NULL_HANDLE: none since the call before */
    kn_gpu_host_call call;    /* with its own copy of the arguments */
    size_t sum;               /* entry of gpu->sums; SIZE_MAX: not timed */
} host_step;

struct kn_gpu_recorder {
    kn_gpu *gpu;
    VkCommandPool pool;
    VkCommandBuffer commands; /* being recorded; VK_NULL_HANDLE after a host call */
    host_step *steps;         /* run before `commands` */
    size_t step_count, step_capacity;
    enum { EMPTY, RECORDING, ENDED } state;
    uint64_t serial;
    uint64_t submitted; /* timeline value of the last submission, 0: none */
    bool pending;       /* submitted and not yet waited for */
    access_range accesses[ACCESS_LIMIT + 32];
    size_t access_count;
    kn_gpu_buffer **buffers; /* every buffer that the commands use, one reference each */
    size_t buffer_count, buffer_capacity;
    VkPipeline bound;
    kn_vk_timer timer;
};

/* --- lifetime --------------------------------------------------------------------------------- */

static VkResult make_commands(kn_gpu_recorder *recorder) {
    VkCommandBufferAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .commandPool = recorder->pool,
                                            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                            .commandBufferCount = 1};
    return vkAllocateCommandBuffers(recorder->gpu->device, &allocate, &recorder->commands);
}

bool kn_gpu_recorder_create(kn_gpu_recorder **recorder, kn_gpu *gpu, kn_error *error) {
    *recorder = NULL;
    if (!kn_vk_alive(gpu, error)) return false;
    kn_gpu_recorder *made = kn_alloc(1, sizeof(*made), error);
    if (!made) return false;
    made->gpu = gpu;
    made->serial = gpu->next_serial++;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = gpu->family};
    VkResult result = vkCreateCommandPool(gpu->device, &pool, NULL, &made->pool);
    if (result == VK_SUCCESS) result = make_commands(made);
    if (result != VK_SUCCESS) {
        kn_gpu_recorder_destroy(&made);
        return kn_vk_fail(gpu, result, "creating a recorder", error);
    }
    *recorder = made;
    return true;
}

static void release_buffers(kn_gpu_recorder *recorder) {
    for (size_t i = 0; i < recorder->buffer_count; i++) kn_vk_buffer_release(recorder->buffers[i]);
    recorder->buffer_count = 0;
}

static void forget_steps(kn_gpu_recorder *recorder) {
    for (size_t i = 0; i < recorder->step_count; i++) {
        host_step *step = &recorder->steps[i];
        if (step->commands) vkFreeCommandBuffers(recorder->gpu->device, recorder->pool, 1, &step->commands);
        kn_free((void *)step->call.arguments);
    }
    recorder->step_count = 0;
}

void kn_gpu_recorder_destroy(kn_gpu_recorder **pointer) {
    if (!pointer || !*pointer) return;
    kn_gpu_recorder *recorder = *pointer;
    kn_gpu *gpu = recorder->gpu;
    *pointer = NULL;
    kn_gpu_wait(recorder, NULL);
    forget_steps(recorder);
    kn_free(recorder->steps);
    vkDestroyCommandPool(gpu->device, recorder->pool, NULL);
    kn_vk_timer_finish(&recorder->timer, gpu);
    release_buffers(recorder);
    kn_free(recorder->buffers);
    kn_free(recorder);
    kn_vk_buffer_collect(gpu);
}

bool kn_gpu_recorder_reset(kn_gpu_recorder *recorder, kn_error *error) {
    kn_gpu *gpu = recorder->gpu;
    if (!kn_gpu_wait(recorder, error)) return false;
    VkResult result = vkResetCommandPool(gpu->device, recorder->pool, 0);
    if (result != VK_SUCCESS) return kn_vk_fail(gpu, result, "resetting a recorder", error);
    forget_steps(recorder);
    release_buffers(recorder);
    kn_vk_timer_clear(&recorder->timer);
    recorder->state = EMPTY;
    recorder->serial = gpu->next_serial++;
    recorder->access_count = 0;
    recorder->bound = VK_NULL_HANDLE;
    return true;
}

/* --- barriers --------------------------------------------------------------------------------- */

static void barrier(kn_gpu_recorder *recorder, VkPipelineStageFlags from, VkPipelineStageFlags to, VkAccessFlags read) {
    VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                              .dstAccessMask = read};
    vkCmdPipelineBarrier(recorder->commands, from, to, 0, 1, &memory, 0, NULL, 0, NULL);
    recorder->access_count = 0;
}

static void work_barrier(kn_gpu_recorder *recorder) {
    VkPipelineStageFlags work = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    barrier(recorder, work, work,
            VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT |
                VK_ACCESS_TRANSFER_WRITE_BIT);
}

static bool conflicts(const kn_gpu_recorder *recorder, const access_range *uses, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        for (size_t j = 0; j < recorder->access_count; j++) {
            const access_range *a = &uses[i], *b = &recorder->accesses[j];
            if ((a->write || b->write) && a->buffer == b->buffer && a->begin < b->end && b->begin < a->end) return true;
        }
    return false;
}

/* Puts a barrier before these uses if they conflict with what is remembered, and remembers them. */
static void order(kn_gpu_recorder *recorder, const access_range *uses, uint32_t count) {
    if (recorder->access_count &&
        (recorder->gpu->profile || recorder->access_count + count > ACCESS_LIMIT || conflicts(recorder, uses, count)))
        work_barrier(recorder);
    memcpy(recorder->accesses + recorder->access_count, uses, count * sizeof(*uses));
    recorder->access_count += count;
}

/* --- recording -------------------------------------------------------------------------------- */

static bool begin(kn_gpu_recorder *recorder, kn_error *error) {
    if (recorder->state == RECORDING) return true;
    if (recorder->state == ENDED)
        return kn_fail(error, KN_ERROR_INTERNAL, "a submitted recorder must be reset before more is recorded");
    VkResult made = recorder->commands ? VK_SUCCESS : make_commands(recorder);
    if (made != VK_SUCCESS) return kn_vk_fail(recorder->gpu, made, "recording", error);
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkResult result = vkBeginCommandBuffer(recorder->commands, &info);
    if (result != VK_SUCCESS) return kn_vk_fail(recorder->gpu, result, "recording", error);
    recorder->state = RECORDING;
    work_barrier(recorder); /* against earlier submissions */
    return true;
}

/* Room to list `count` more buffers, so that list() cannot fail. */
static bool reserve(kn_gpu_recorder *recorder, uint32_t count, kn_error *error) {
    return kn_grow(&recorder->buffers, &recorder->buffer_capacity, recorder->buffer_count + count,
                   sizeof(*recorder->buffers), error);
}

static void list(kn_gpu_recorder *recorder, const access_range *uses, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        kn_gpu_buffer *buffer = (kn_gpu_buffer *)uses[i].buffer;
        if (buffer->recorder == recorder->serial) continue;
        buffer->recorder =
            recorder->serial; /* two recorders filled in turns may list a buffer twice, which is harmless */
        kn_vk_buffer_reference(buffer);
        recorder->buffers[recorder->buffer_count++] = buffer;
    }
}

/* What one dispatch binds. */
typedef struct bindings {
    VkWriteDescriptorSet writes[32];
    VkDescriptorBufferInfo ranges[32];
    VkBufferView views[32];
    access_range uses[32];
    uint32_t count;
} bindings;

static bool resolve_one(kn_gpu *gpu, bindings *b, uint32_t index, kn_kernel_binding kind, const kn_gpu_slice *slice,
                        kn_error *error) {
    VkDeviceSize offset, size;
    if (slice->buffer->gpu != gpu)
        return kn_fail(error, KN_ERROR_INTERNAL, "the buffer belongs to another device context");
    if (slice->offset % KN_GPU_ALIGN)
        return kn_fail(error, KN_ERROR_INTERNAL, "offset %zu is not a multiple of %d", slice->offset, KN_GPU_ALIGN);
    if (!kn_vk_slice(slice, &offset, &size, error)) return false;
    VkWriteDescriptorSet write = {
        .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .dstBinding = index, .descriptorCount = 1};
    uint32_t at = b->count++;
    if (kind.kind == KN_BINDING_TEXEL) {
        write.descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
        write.pTexelBufferView = &b->views[at];
        if (!kn_vk_view_get(slice->buffer, slice->format, offset, size, &b->views[at], error)) return false;
    } else {
        size =
            (size + 15) / 16 * 16; /* a last element may be narrower than what the kernel loads; the padding is there */
        if (size > gpu->limits.maxStorageBufferRange)
            return kn_fail(error, KN_ERROR_UNSUPPORTED,
                           "%llu bytes are more than the device's limit of %u for one binding",
                           (unsigned long long)size, gpu->limits.maxStorageBufferRange);
        b->ranges[at] = (VkDescriptorBufferInfo){.buffer = slice->buffer->handle, .offset = offset, .range = size};
        write.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        write.pBufferInfo = &b->ranges[at];
    }
    b->writes[at] = write;
    b->uses[at] = (access_range){.buffer = slice->buffer, .begin = offset, .end = offset + size, .write = kind.writes};
    return true;
}

static bool resolve(kn_gpu *gpu, bindings *b, const kn_gpu_dispatch *dispatch, kn_error *error) {
    const kn_kernel_info *info = &kn_kernel_infos[dispatch->kernel];
    b->count = 0;
    for (uint32_t i = 0; i < info->binding_count; i++) {
        if (info->bindings[i].kind == KN_BINDING_NONE) continue;
        if (i >= dispatch->slice_count || !dispatch->slices[i].buffer)
            return kn_fail(error, KN_ERROR_INTERNAL, "kernel %s: binding %u has no buffer", info->name, i);
        if (!resolve_one(gpu, b, i, info->bindings[i], &dispatch->slices[i], error))
            return kn_fail_prefix(error, "kernel %s, binding %u", info->name, i);
    }
    return true;
}

static bool check_dispatch(const kn_gpu *gpu, const kn_gpu_dispatch *dispatch, kn_error *error) {
    if ((unsigned)dispatch->kernel >= KN_KERNEL_COUNT)
        return kn_fail(error, KN_ERROR_INTERNAL, "there is no kernel %d", (int)dispatch->kernel);
    const kn_kernel_info *info = &kn_kernel_infos[dispatch->kernel];
    for (int i = 0; i < 3; i++)
        if (dispatch->groups[i] == 0 || dispatch->groups[i] > gpu->limits.maxComputeWorkGroupCount[i])
            return kn_fail(error, KN_ERROR_UNSUPPORTED, "kernel %s: %u groups along axis %d; the device allows 1 to %u",
                           info->name, dispatch->groups[i], i, gpu->limits.maxComputeWorkGroupCount[i]);
    uint32_t most = (info->push_size + 15) / 16 * 16; /* a C struct may end in padding */
    if (dispatch->push_size < info->push_size || dispatch->push_size > most || dispatch->push_size > 128)
        return kn_fail(error, KN_ERROR_INTERNAL, "kernel %s: %u bytes of push constants, expected %u", info->name,
                       dispatch->push_size, info->push_size);
    return true;
}

bool kn_gpu_record(kn_gpu_recorder *recorder, const kn_gpu_dispatch *dispatch, kn_error *error) {
    kn_gpu *gpu = recorder->gpu;
    bindings b;
    VkPipeline pipeline;
    if (!kn_vk_alive(gpu, error) || !check_dispatch(gpu, dispatch, error) || !resolve(gpu, &b, dispatch, error) ||
        !kn_vk_pipeline_get(gpu, dispatch, &pipeline, error) || !reserve(recorder, b.count, error) ||
        !begin(recorder, error) || !kn_vk_timer_reserve(&recorder->timer, gpu, recorder->commands, dispatch, error))
        return false;
    order(recorder, b.uses, b.count);
    list(recorder, b.uses, b.count);
    const kn_kernel_info *info = &kn_kernel_infos[dispatch->kernel];
    VkPipelineLayout layout = gpu->kernels[dispatch->kernel].layout;
    if (recorder->bound != pipeline) vkCmdBindPipeline(recorder->commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    recorder->bound = pipeline;
    if (b.count)
        gpu->push_descriptors(recorder->commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, b.count, b.writes);
    if (info->push_size)
        vkCmdPushConstants(recorder->commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, info->push_size, dispatch->push);
    kn_vk_timer_begin(&recorder->timer, gpu, recorder->commands);
    vkCmdDispatch(recorder->commands, dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]);
    kn_vk_timer_end(&recorder->timer, gpu, recorder->commands);
    return true;
}

bool kn_gpu_record_copy(kn_gpu_recorder *recorder, kn_gpu_slice source, kn_gpu_slice target, size_t size,
                        kn_error *error) {
    VkDeviceSize from, to, from_size, to_size;
    if (!kn_vk_alive(recorder->gpu, error) || !kn_vk_slice(&source, &from, &from_size, error) ||
        !kn_vk_slice(&target, &to, &to_size, error))
        return false;
    if (size == 0) return true;
    if (size > from_size || size > to_size)
        return kn_fail(error, KN_ERROR_INTERNAL, "a copy of %zu bytes from a slice of %llu to a slice of %llu", size,
                       (unsigned long long)from_size, (unsigned long long)to_size);
    if (source.buffer == target.buffer && from < to + size && to < from + size)
        return kn_fail(error, KN_ERROR_INTERNAL, "a copy within a buffer whose ranges overlap");
    if (source.buffer->gpu != recorder->gpu || target.buffer->gpu != recorder->gpu)
        return kn_fail(error, KN_ERROR_INTERNAL, "a copy between device contexts");
    if (!reserve(recorder, 2, error) || !begin(recorder, error)) return false;
    access_range uses[] = {{source.buffer, from, from + size, false}, {target.buffer, to, to + size, true}};
    order(recorder, uses, 2);
    list(recorder, uses, 2);
    VkBufferCopy region = {.srcOffset = from, .dstOffset = to, .size = size};
    vkCmdCopyBuffer(recorder->commands, source.buffer->handle, target.buffer->handle, 1, &region);
    return true;
}

bool kn_gpu_record_fill(kn_gpu_recorder *recorder, kn_gpu_slice target, uint32_t value, kn_error *error) {
    VkDeviceSize offset, size;
    if (!kn_vk_alive(recorder->gpu, error) || !kn_vk_slice(&target, &offset, &size, error)) return false;
    if (offset % 4 || size % 4)
        return kn_fail(error, KN_ERROR_INTERNAL, "a fill of %llu bytes at %llu; both must be multiples of 4",
                       (unsigned long long)size, (unsigned long long)offset);
    if (target.buffer->gpu != recorder->gpu)
        return kn_fail(error, KN_ERROR_INTERNAL, "a fill in another device context");
    if (!reserve(recorder, 1, error) || !begin(recorder, error)) return false;
    access_range use = {target.buffer, offset, offset + size, true};
    order(recorder, &use, 1);
    list(recorder, &use, 1);
    vkCmdFillBuffer(recorder->commands, target.buffer->handle, offset, size, value);
    return true;
}

/* --- host calls ------------------------------------------------------------------------------- */

/* Ends the commands of `recorder`, whose results the host may then read. */
static bool end_commands(kn_gpu_recorder *recorder, kn_error *error) {
    barrier(recorder, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT,
            VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT);
    VkResult result = vkEndCommandBuffer(recorder->commands);
    return result == VK_SUCCESS || kn_vk_fail(recorder->gpu, result, "recording", error);
}

/* Lists the call's buffers, as kn_gpu_record does. */
static bool list_slices(kn_gpu_recorder *recorder, const kn_gpu_host_call *call, kn_error *error) {
    for (uint32_t i = 0; i < call->slice_count; i++) {
        const kn_gpu_slice *slice = &call->slices[i];
        if (!slice->buffer) continue;
        if (slice->buffer->gpu != recorder->gpu)
            return kn_fail(error, KN_ERROR_INTERNAL, "a host call's buffer belongs to another device context");
        access_range use = {slice->buffer, 0, 0, true};
        if (!reserve(recorder, 1, error)) return false;
        list(recorder, &use, 1);
    }
    return true;
}

bool kn_gpu_record_host(kn_gpu_recorder *recorder, const kn_gpu_host_call *call, kn_error *error) {
    kn_gpu *gpu = recorder->gpu;
    host_step step = {.call = *call, .sum = SIZE_MAX};
    if (!kn_vk_alive(gpu, error)) return false;
    if (!kn_gpu_runs_host_calls(gpu) || call->tasks < 1)
        return kn_fail(error, KN_ERROR_INTERNAL, "a host call of %d tasks on a device without such", call->tasks);
    if (recorder->state == ENDED)
        return kn_fail(error, KN_ERROR_INTERNAL, "a submitted recorder must be reset before more is recorded");
    if (!kn_vk_host_prepare(gpu, call->scratch_size, error) ||
        !kn_grow(&recorder->steps, &recorder->step_capacity, recorder->step_count + 1, sizeof(step), error) ||
        (gpu->profile && !kn_vk_sum_find(gpu, call->kernel, call->label, &step.sum, error)) ||
        !list_slices(recorder, call, error))
        return false;
    void *arguments = kn_alloc(1, call->argument_size, error);
    if (!arguments) return false;
    if (recorder->state == RECORDING) {
        if (!end_commands(recorder, error)) {
            kn_free(arguments);
            return false;
        }
        step.commands = recorder->commands;
        recorder->commands = VK_NULL_HANDLE;
        recorder->state = EMPTY;
        recorder->bound = VK_NULL_HANDLE;
    }
    memcpy(arguments, call->arguments, call->argument_size);
    step.call.arguments = arguments;
    step.call.slices = NULL;
    recorder->steps[recorder->step_count++] = step;
    return true;
}

/* --- running ---------------------------------------------------------------------------------- */

static bool end(kn_gpu_recorder *recorder, kn_error *error) {
    if (recorder->state == ENDED) return true;
    if (!begin(recorder, error) || !end_commands(recorder, error)) return false;
    recorder->state = ENDED;
    return true;
}

static bool submit_commands(kn_gpu *gpu, VkCommandBuffer commands, kn_error *error) {
    uint64_t value = gpu->submitted + 1;
    VkTimelineSemaphoreSubmitInfo timeline = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                              .signalSemaphoreValueCount = 1,
                                              .pSignalSemaphoreValues = &value};
    VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                           .pNext = &timeline,
                           .commandBufferCount = 1,
                           .pCommandBuffers = &commands,
                           .signalSemaphoreCount = 1,
                           .pSignalSemaphores = &gpu->timeline};
    VkResult result = vkQueueSubmit(gpu->queue, 1, &submit, VK_NULL_HANDLE);
    if (result != VK_SUCCESS) return kn_vk_fail(gpu, result, "submitting work", error);
    gpu->submitted = value;
    return true;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The host calls, each once the commands before it are done; the first waits for earlier submissions, too. */
static bool run_steps(kn_gpu_recorder *recorder, kn_error *error) {
    kn_gpu *gpu = recorder->gpu;
    for (size_t i = 0; i < recorder->step_count; i++) {
        const host_step *step = &recorder->steps[i];
        if (step->commands && !submit_commands(gpu, step->commands, error)) return false;
        if ((step->commands || i == 0) && !kn_vk_wait_value(gpu, gpu->submitted, error)) return false;
        double start = step->sum != SIZE_MAX ? now() : 0;
        kn_vk_host_run(gpu, &step->call);
        if (step->sum == SIZE_MAX) continue;
        gpu->sums[step->sum].calls++;
        gpu->sums[step->sum].seconds += now() - start;
    }
    return true;
}

bool kn_gpu_submit(kn_gpu_recorder *recorder, kn_error *error) {
    kn_gpu *gpu = recorder->gpu;
    if (!kn_vk_alive(gpu, error) || !kn_gpu_wait(recorder, error) || !end(recorder, error)) return false;
    for (size_t i = 0; i < recorder->buffer_count; i++)
        if (recorder->buffers[i]->destroyed)
            return kn_fail(error, KN_ERROR_INTERNAL, "a recorder was submitted after one of its buffers was destroyed");
    bool ok = run_steps(recorder, error) && submit_commands(gpu, recorder->commands, error);
    recorder->submitted = gpu->submitted;
    recorder->pending = ok || recorder->step_count > 0;
    for (size_t i = 0; i < recorder->buffer_count; i++) recorder->buffers[i]->last_use = gpu->submitted;
    return ok;
}

bool kn_gpu_wait(kn_gpu_recorder *recorder, kn_error *error) {
    if (!recorder->pending) return true;
    if (!kn_vk_wait_value(recorder->gpu, recorder->submitted, error)) return false;
    recorder->pending = false;
    kn_vk_timer_collect(&recorder->timer, recorder->gpu);
    kn_vk_buffer_collect(recorder->gpu);
    return true;
}
