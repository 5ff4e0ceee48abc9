/* A Vulkan device as Kinora's modules use it. No Vulkan type appears here. */
#ifndef KINORA_GPU_H
#define KINORA_GPU_H

#include "kinora/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One device with its queue, memory and pipelines. Several may live in one process. Not thread-safe: one thread at a
 * time per context; different contexts may run in different threads. */
typedef struct kn_gpu kn_gpu;

typedef struct kn_gpu_params {
    const char *device;        /* NULL: best (discrete, integrated, software); a list index "0", or part of a name */
    bool validation;           /* enable VK_LAYER_KHRONOS_validation; its messages go to the log as errors */
    bool profile;              /* take timestamps around every kernel */
    uint64_t memory_limit;     /* refuse to allocate more device memory than this, bytes; 0: no limit */
    const char *tuning_folder; /* where `kinora tune` keeps what it measured, one file a device and driver; NULL, or no
                                  usable file there: the built-in constants. It changes which kernels run, so results in
                                  the last digits */
    kn_log log;
} kn_gpu_params;
#define KN_GPU_PARAMS_DEFAULT ((kn_gpu_params){0})

typedef enum kn_gpu_kind {
    KN_GPU_DISCRETE,
    KN_GPU_INTEGRATED,
    KN_GPU_VIRTUAL,
    KN_GPU_SOFTWARE,
    KN_GPU_OTHER
} kn_gpu_kind;

typedef struct kn_gpu_info {
    char name[256], driver[256];
    kn_gpu_kind kind;
    uint64_t memory;           /* bytes of the largest device-local heap */
    uint32_t subgroup_size;    /* lanes */
    uint64_t max_buffer_range; /* bytes that one storage binding may cover */
    uint64_t max_texel_elements;
    uint32_t shared_memory;  /* bytes that a workgroup may share */
    bool cooperative_matrix; /* subgroups multiply fp16 matrices with fp32 sums (VK_KHR_cooperative_matrix) */
    uint32_t matrix_m, matrix_n, matrix_k; /* rows, columns and depth of such a product; 0 without */
    bool half_storage, half_arithmetic;
} kn_gpu_info;

bool kn_gpu_create(kn_gpu **gpu, const kn_gpu_params *params, kn_error *error);
void kn_gpu_destroy(kn_gpu **gpu);

const kn_gpu_info *kn_gpu_get_info(const kn_gpu *gpu);

/* Fills up to `capacity` entries in the order that `device` indices use; returns how many devices there are. */
bool kn_gpu_list(kn_gpu_info *infos, size_t capacity, size_t *count, kn_error *error);

/* Bytes of device memory allocated now and at the highest. */
void kn_gpu_memory_use(const kn_gpu *gpu, uint64_t *now, uint64_t *peak);

#ifdef __cplusplus
}
#endif
#endif
