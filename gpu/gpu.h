/* Buffers, kernels and recorded command lists on a kn_gpu. Internal: what scene, diffusion, encoders and mesh use.
 * vulkan.h is included only inside gpu/. */
#ifndef KN_GPU_GPU_H
#define KN_GPU_GPU_H

#include "kinora/gpu.h"
#include "kernels.h" /* generated: enum kn_kernel { KN_KERNEL_<FOLDER>_<FILE>, ..., KN_KERNEL_COUNT } */

/* --- buffers ---------------------------------------------------------------------------------- */

typedef struct kn_gpu_buffer kn_gpu_buffer;

typedef enum kn_gpu_memory {
    KN_GPU_MEMORY_DEVICE, /* device-local; reached by upload, download and kernels */
    KN_GPU_MEMORY_HOST    /* host-visible and persistently mapped; on software devices every buffer is mapped */
} kn_gpu_memory;

/* Zero-filled buffer of `size` bytes (storage, uniform-texel and transfer use). */
bool kn_gpu_buffer_create(kn_gpu_buffer **buffer, kn_gpu *gpu, size_t size, kn_gpu_memory memory, kn_error *error);
/* The same with undefined content, for buffers that are written as a whole at once. */
bool kn_gpu_buffer_create_raw(kn_gpu_buffer **buffer, kn_gpu *gpu, size_t size, kn_gpu_memory memory, kn_error *error);
/* Frees at once when idle; a buffer that a submitted recorder still uses is freed when that work completes. */
void kn_gpu_buffer_destroy(kn_gpu_buffer **buffer);
size_t kn_gpu_buffer_size(const kn_gpu_buffer *buffer);
/* Tests only: the n-th allocation of device memory for a buffer from now fails (1 = the next one); 0 switches it off.
 * Returns how many were left to go: 0 when the failure has happened. */
uint64_t kn_gpu_alloc_fail_after(kn_gpu *gpu, uint64_t n);
void *kn_gpu_buffer_map(kn_gpu_buffer *buffer); /* NULL when the memory is not host-visible */

/* Synchronous copies; they wait for submitted work that uses the buffer. */
bool kn_gpu_upload(kn_gpu_buffer *buffer, size_t offset, const void *data, size_t size, kn_error *error);
bool kn_gpu_download(kn_gpu_buffer *buffer, size_t offset, void *data, size_t size, kn_error *error);

/* --- a part of a buffer as a kernel sees it --------------------------------------------------- */

/* How a uniform texel buffer binding reads memory; storage bindings ignore it. */
typedef enum kn_gpu_format {
    KN_GPU_FORMAT_NONE = 0,
    KN_GPU_FORMAT_RGBA32F, /* samplerBuffer: one vec4 per 16 bytes */
    KN_GPU_FORMAT_RGBA16F, /* samplerBuffer: one vec4 per 8 bytes */
    KN_GPU_FORMAT_R32F,
    KN_GPU_FORMAT_RGBA32U, /* usamplerBuffer */
    KN_GPU_FORMAT_R32U,
    KN_GPU_FORMAT_RGBA8 /* samplerBuffer, unorm */
} kn_gpu_format;

/* Offsets must be multiples of 256 bytes for both binding kinds. size 0: up to the end of the buffer. */
typedef struct kn_gpu_slice {
    kn_gpu_buffer *buffer;
    size_t offset, size; /* bytes */
    kn_gpu_format format;
} kn_gpu_slice;
#define KN_GPU_ALIGN 256

/* --- recording -------------------------------------------------------------------------------- */

/* A list of dispatches and copies that is recorded once and submitted any number of times. Barriers are derived from
 * use: the build reads from each kernel's SPIR-V which bindings it reads and writes. */
typedef struct kn_gpu_recorder kn_gpu_recorder;

bool kn_gpu_recorder_create(kn_gpu_recorder **recorder, kn_gpu *gpu, kn_error *error);
void kn_gpu_recorder_destroy(kn_gpu_recorder **recorder); /* waits for its submitted work */

/* One kernel launch. In the shader: `layout(set = 0, binding = i)` takes slices[i]; specialization constant id i takes
 * constants[i] (ids 0, 1, 2 are by convention local_size_x, _y, _z when the shader declares them so); push constants
 * (at most 128 bytes) are the block's bytes. Slots that the kernel does not declare may be {0}. */
typedef struct kn_gpu_dispatch {
    kn_kernel kernel;
    uint32_t groups[3];
    const kn_gpu_slice *slices;
    uint32_t slice_count;
    const uint32_t *constants;
    uint32_t constant_count;
    const void *push;
    uint32_t push_size;
    const char *label; /* optional, for the profile; must outlive the recorder */
} kn_gpu_dispatch;

bool kn_gpu_record(kn_gpu_recorder *recorder, const kn_gpu_dispatch *dispatch, kn_error *error);
bool kn_gpu_record_copy(kn_gpu_recorder *recorder, kn_gpu_slice source, kn_gpu_slice target, size_t size,
                        kn_error *error);
bool kn_gpu_record_fill(kn_gpu_recorder *recorder, kn_gpu_slice target, uint32_t value, kn_error *error);

/* A function that runs on the host's processors in the place of a kernel, in order with what is recorded before and
 * after it. Only where kn_gpu_runs_host_calls says so: on software devices, whose buffers are all mapped. A recorder
 * with such calls runs inside of kn_gpu_submit. */
typedef struct kn_gpu_host_call {
    /* Does part `task` of `tasks`; several threads at once call it. `scratch`: memory of the thread, aligned to 64
     * bytes. */
    void (*run)(const void *arguments, int task, void *scratch);
    const void *arguments; /* copied; pointers in it lead into mapped buffers */
    size_t argument_size, scratch_size;
    int tasks;
    const kn_gpu_slice *slices; /* the buffers that it reads or writes; those without one are skipped */
    uint32_t slice_count;
    kn_kernel kernel;  /* whose place it takes, for the profile */
    const char *label; /* as in kn_gpu_dispatch */
} kn_gpu_host_call;
bool kn_gpu_runs_host_calls(const kn_gpu *gpu);
bool kn_gpu_record_host(kn_gpu_recorder *recorder, const kn_gpu_host_call *call, kn_error *error);

/* Forgets what was recorded, so that the recorder can be filled again (waits for submitted work). */
bool kn_gpu_recorder_reset(kn_gpu_recorder *recorder, kn_error *error);

/* Ends recording at the first call, submits and returns. Pushes and slices are baked in; what changes between
 * submissions lives in buffers. */
bool kn_gpu_submit(kn_gpu_recorder *recorder, kn_error *error);
bool kn_gpu_wait(kn_gpu_recorder *recorder, kn_error *error);

/* --- profile ---------------------------------------------------------------------------------- */

typedef struct kn_gpu_timing {
    kn_kernel kernel;
    const char *label;
    uint64_t calls;
    double seconds;
} kn_gpu_timing;

/* Sums since the last reset, one entry per kernel and label, slowest first; valid until the next gpu call. */
const kn_gpu_timing *kn_gpu_profile(kn_gpu *gpu, size_t *count);
void kn_gpu_profile_reset(kn_gpu *gpu);
/* Whether what is recorded from now on takes timestamps (kn_gpu_params.profile is the start). */
void kn_gpu_profile_enable(kn_gpu *gpu, bool enabled);
const char *kn_kernel_name(kn_kernel kernel);

#endif
