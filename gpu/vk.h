/* The inside of gpu/: what its files share. Only files of gpu/ include this. */
#ifndef KN_GPU_VK_H
#define KN_GPU_VK_H

#include "base/base.h"
#include "gpu/gpu.h"
#include "gpu/tuning.h"
#include "gpu/kernel_info.h"

#include <vulkan/vulkan.h>

/* --- instance.c ------------------------------------------------------------------------------- */

typedef struct kn_vk_device {
    VkPhysicalDevice handle;
    kn_gpu_info info;
} kn_vk_device;

typedef struct kn_vk_instance {
    VkInstance handle;
    VkDebugUtilsMessengerEXT messenger;
    kn_vk_device *devices; /* [device_count], best kind first */
    size_t device_count;
} kn_vk_instance;

/* `log` must outlive the instance. */
bool kn_vk_instance_init(kn_vk_instance *instance, bool validation, const kn_log *log, kn_error *error);
void kn_vk_instance_finish(kn_vk_instance *instance);
/* Finds the device that `name` (NULL, an index or part of a name) means. */
bool kn_vk_instance_choose(const kn_vk_instance *instance, const char *name, size_t *index, kn_error *error);

/* --- wide.c: 512-bit vectors of Mesa's software device ---------------------------------------- */

/* Before the first instance: asks Mesa for 512-bit vectors where the processor has them and the user has not chosen. */
void kn_vk_wide_request(void);
/* True when this context's device runs on vectors that we asked for and that this process has not checked yet. */
bool kn_vk_wide_needs_check(const kn_gpu *gpu);
bool kn_vk_wide_is_tried(const kn_gpu *gpu);
/* Runs the self-test on `gpu`; *good says whether results were right. False only when the test could not run. */
bool kn_vk_wide_check(kn_gpu *gpu, bool *good, kn_error *error);
/* After a failed check: later instances use 256-bit vectors. */
void kn_vk_wide_refuse(void);
/* Tests only: every later self-test of this process finds wrong results. */
void kn_vk_wide_fail_check(void);

/* --- the context ------------------------------------------------------------------------------ */

typedef struct kn_vk_block kn_vk_block;

/* Where a buffer lies: `memory` is its own or a block's. */
typedef struct kn_vk_memory kn_vk_memory;
struct kn_vk_memory {
    VkDeviceMemory memory;
    VkDeviceSize offset, size;
    uint32_t type;
    uint8_t *mapped;    /* first byte of the buffer, or NULL */
    kn_vk_block *block; /* NULL when the memory is the buffer's own */
    kn_vk_memory *next; /* in the block, by offset */
};

typedef struct kn_vk_view {
    VkBufferView handle;
    VkDeviceSize offset, size;
    kn_gpu_format format;
} kn_vk_view;

struct kn_gpu_buffer {
    kn_gpu *gpu;
    VkBuffer handle; /* VK_NULL_HANDLE once destroyed */
    kn_vk_memory memory;
    size_t size;       /* bytes that the caller asked for */
    size_t padded;     /* bytes of the VkBuffer, a multiple of KN_GPU_ALIGN */
    kn_vk_view *views; /* hash table with open addressing */
    size_t view_count, view_capacity;
    uint64_t last_use;   /* timeline value of the last submission that uses it */
    uint64_t recorder;   /* serial of the recorder that last listed it */
    uint32_t references; /* the caller (or the dead list) and every recorder that lists it */
    bool destroyed;      /* by the caller */
    kn_gpu_buffer *next_dead;
};

typedef struct kn_vk_pipeline {
    VkPipeline handle;
    kn_kernel kernel;
    uint32_t constants[64];      /* by id; those that were not given are 0 */
    uint64_t given;              /* bit i: the caller gave constant i and the kernel declares it */
    struct kn_vk_pipeline *next; /* in the list of its kernel */
} kn_vk_pipeline;

/* What all pipelines of one kernel share; made at first use. */
typedef struct kn_vk_kernel {
    VkShaderModule module;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    kn_vk_pipeline *pipelines;
} kn_vk_kernel;

struct kn_gpu {
    kn_log log;
    kn_gpu_info info;
    kn_tuning tuning;
    kn_vk_instance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    uint32_t family;
    VkPhysicalDeviceLimits limits;
    VkPhysicalDeviceMemoryProperties memory_types;
    VkDeviceSize max_allocation;
    uint32_t max_bindings;
    bool has_budget;             /* VK_EXT_memory_budget */
    bool required_subgroup_size; /* pipelines ask for info.subgroup_size */
    PFN_vkCmdPushDescriptorSetKHR push_descriptors;

    VkSemaphore timeline;
    uint64_t submitted; /* last value given to a submission */
    bool lost;

    VkPipelineCache pipeline_cache;
    kn_vk_kernel *kernels; /* [KN_KERNEL_COUNT] */

    kn_vk_block *blocks;
    uint64_t memory_limit, memory_now, memory_peak;
    uint64_t fail_after; /* tests only: kn_gpu_alloc_fail_after */
    uint32_t allocations;
    kn_gpu_buffer *dead; /* destroyed by the caller, still in use by the device */
    bool hide_mapping;   /* tests only: device memory behaves as on a discrete GPU */

    kn_gpu_recorder *transfer; /* for copies to and from memory that is not mapped */
    kn_gpu_buffer *staging;

    struct kn_vk_workers *workers; /* host.c; NULL until something runs on the host */

    uint64_t next_serial;
    bool profile;
    uint32_t timestamp_bits;
    kn_gpu_timing *sums; /* labels belong to the context */
    size_t sum_count, sum_capacity;
    kn_gpu_timing *report;
    size_t report_capacity;
};

/* --- status.c --------------------------------------------------------------------------------- */

/* Fails with what a VkResult means while doing `what`; remembers a lost device. Returns false. */
bool kn_vk_fail(kn_gpu *gpu, VkResult result, const char *what, kn_error *error);
/* True when the device is usable; otherwise fails. */
bool kn_vk_alive(kn_gpu *gpu, kn_error *error);
/* Waits until the timeline has reached `value`. */
bool kn_vk_wait_value(kn_gpu *gpu, uint64_t value, kn_error *error);
/* Timeline value that the device has completed; UINT64_MAX once the device is lost. */
uint64_t kn_vk_completed(kn_gpu *gpu);

/* --- device.c: the logical device ------------------------------------------------------------- */

/* Creates device, queue and limits of instance.devices[index]. */
bool kn_vk_device_init(kn_gpu *gpu, size_t index, kn_error *error);

/* --- memory.c --------------------------------------------------------------------------------- */

bool kn_vk_memory_init(kn_vk_memory *memory, kn_gpu *gpu, VkBuffer buffer, kn_gpu_memory kind, kn_error *error);
void kn_vk_memory_finish(kn_vk_memory *memory, kn_gpu *gpu);
void kn_vk_blocks_finish(kn_gpu *gpu);

/* --- buffer.c, transfer.c --------------------------------------------------------------------- */

/* Checked bounds of a slice: *offset and *size in bytes. */
bool kn_vk_slice(const kn_gpu_slice *slice, VkDeviceSize *offset, VkDeviceSize *size, kn_error *error);
/* The view for a uniform texel buffer binding, cached in the buffer. */
bool kn_vk_view_get(kn_gpu_buffer *buffer, kn_gpu_format format, VkDeviceSize offset, VkDeviceSize size,
                    VkBufferView *view, kn_error *error);
void kn_vk_buffer_reference(kn_gpu_buffer *buffer);
void kn_vk_buffer_release(kn_gpu_buffer *buffer);
/* Frees dead buffers whose work has completed. */
void kn_vk_buffer_collect(kn_gpu *gpu);
uint32_t kn_vk_format_size(kn_gpu_format format);

/* --- pipeline.c ------------------------------------------------------------------------------- */

/* The pipeline of a kernel with these constants, compiled at first use and owned by the context. */
bool kn_vk_pipeline_get(kn_gpu *gpu, const kn_gpu_dispatch *dispatch, VkPipeline *pipeline, kn_error *error);
void kn_vk_pipelines_finish(kn_gpu *gpu);

/* --- host.c ---------------------------------------------------------------------------------------------------------
 */

/* Threads, and scratch memory of this size for each; before a call that needs it is recorded. */
bool kn_vk_host_prepare(kn_gpu *gpu, size_t scratch_bytes, kn_error *error);
/* Runs all tasks on all processors and returns when they are done. */
void kn_vk_host_run(kn_gpu *gpu, const kn_gpu_host_call *call);
void kn_vk_host_finish(kn_gpu *gpu);

/* --- profile.c -------------------------------------------------------------------------------- */

typedef struct kn_vk_timer {
    VkQueryPool *pools; /* of KN_VK_TIMER_POOL dispatches each, two timestamps a dispatch */
    size_t pool_count, pool_capacity;
    size_t *sums; /* [count] which entry of gpu->sums a dispatch adds to */
    size_t count, capacity;
    bool reserved; /* sums[count] belongs to the dispatch being recorded */
} kn_vk_timer;
#define KN_VK_TIMER_POOL 512

/* All of these do nothing without params.profile. reserve comes before anything of a dispatch is recorded and may
 * fail. */
bool kn_vk_timer_reserve(kn_vk_timer *timer, kn_gpu *gpu, VkCommandBuffer commands, const kn_gpu_dispatch *dispatch,
                         kn_error *error);
void kn_vk_timer_begin(kn_vk_timer *timer, kn_gpu *gpu, VkCommandBuffer commands);
void kn_vk_timer_end(kn_vk_timer *timer, kn_gpu *gpu, VkCommandBuffer commands);
/* Adds the timestamps of completed work to the sums. */
void kn_vk_timer_collect(kn_vk_timer *timer, kn_gpu *gpu);
void kn_vk_timer_clear(kn_vk_timer *timer);
void kn_vk_timer_finish(kn_vk_timer *timer, kn_gpu *gpu);
void kn_vk_sums_finish(kn_gpu *gpu);
/* The entry of gpu->sums for a kernel and label; made at its first use. */
bool kn_vk_sum_find(kn_gpu *gpu, kn_kernel kernel, const char *label, size_t *index, kn_error *error);

#endif
