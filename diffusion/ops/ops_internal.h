/* What the files of the operation layer share. Internal to diffusion/. */
#ifndef KN_DIFFUSION_OPS_INTERNAL_H
#define KN_DIFFUSION_OPS_INTERNAL_H

#include "diffusion/ops/ops.h"
#include "diffusion/ops/ops_variant.h"

enum {
    KN_LAUNCH_SLOTS = 16,
    KN_LAUNCH_CONSTANTS = 16,
    KN_STORAGE_SLOT = 8,   /* tensor.glsl: an input's storage binding lies this far behind its texel binding */
    KN_MAX_GROUPS = 65535, /* what every Vulkan device allows per dimension */
    KN_ELEMENT_LANES = 64, /* local size of element-wise kernels on hardware */
    KN_PLAIN_LANES = 16    /* vec4 lanes of a weight panel where the device has no better size */
};

/* Initialises `digits` of a push block (shaders/nn/store_shared.glsl). */
#define KN_DIGITS \
    { 0, 1, 2, 3, 4, 5, 6, 7 }

/* One kernel launch being put together. Zero-initialise; constants 0 and 3 are filled by kn_launch_record. */
typedef struct kn_launch {
    kn_kernel kernel;
    const char *label;
    uint32_t groups[3];
    uint32_t local_size;
    kn_gpu_slice slices[KN_LAUNCH_SLOTS];
    uint32_t constants[KN_LAUNCH_CONSTANTS];
    const void *push;
    uint32_t push_size;
    double flops; /* multiplications and additions of the operation as it is defined; 0: not counted */
} kn_launch;

/* What was recorded under one label. */
typedef struct kn_work {
    const char *label;
    uint64_t launches;
    double flops;
} kn_work;
enum { KN_WORK_LABELS = 32 };
/* One entry per label, in the order of first use; valid until the graph records again. */
const kn_work *kn_graph_work(const kn_graph *graph, size_t *count);
void kn_graph_count(kn_graph *graph, const char *label, double flops);

kn_gpu *kn_graph_gpu(const kn_graph *graph);
/* Puts a weight on the device when it is not there; dry graphs only count it. */
bool kn_graph_fetch(kn_graph *graph, const kn_weight *weight, kn_error *error);
/* Counts bytes that were asked for; true when the graph is dry, so that nothing comes. */
bool kn_graph_count_fetch(kn_graph *graph, size_t bytes);
struct kn_streamer *kn_graph_streamer(const kn_graph *graph);
bool kn_graph_is_dry(const kn_graph *graph);
/* Lanes of the subgroup kernels: 8 or 16, or 0 when this device needs the portable ones. */
int kn_graph_lanes(const kn_graph *graph);
/* Whether tensor inputs go through storage buffers since texel buffers are too small. */
bool kn_graph_storage_inputs(const kn_graph *graph);
/* Local size of kernels without subgroup operations. */
uint32_t kn_graph_local_size(const kn_graph *graph);
/* Tests only: use the portable kernels whatever the device is. */
void kn_graph_force_portable(kn_graph *graph);
/* Most bytes that a tensor's part may have in one launch. Tests lower it. */
uint64_t kn_graph_binding_limit(const kn_graph *graph);
void kn_graph_set_binding_limit(kn_graph *graph, uint64_t bytes);
/* Lanes of a weight panel on this device. */
int kn_panel_lanes(const kn_gpu *gpu);

/* A device buffer with this content that lives as long as the graph. NULL on failure. */
kn_gpu_buffer *kn_graph_constant(kn_graph *graph, const void *data, size_t size, kn_error *error);
/* 256 zero bytes: stands in for bindings that a kernel declares but does not read. */
kn_gpu_slice kn_graph_nothing(const kn_graph *graph, kn_gpu_format format);

/* Bytes of one batch member, and of members [first, first + count) as a slice. */
size_t kn_tensor_member_bytes(const kn_tensor *tensor);
kn_gpu_slice kn_tensor_members(const kn_tensor *tensor, int first, int count);
/* The same members as a tensor. */
kn_tensor kn_tensor_part(const kn_tensor *tensor, int first, int count);

/* Most members that one launch may cover so that every tensor's part stays bindable and starts at an aligned offset; at
 * most `cap`. Entries may be NULL. Fails when a single member is too large for the device. */
bool kn_graph_chunk(const kn_graph *graph, const kn_tensor *const *tensors, int count, int cap, int *members,
                    kn_error *error);

/* Binds a KN_INPUT of tensor.glsl, or a KN_OUTPUT. */
void kn_launch_input(const kn_graph *graph, kn_launch *launch, int binding, kn_gpu_slice slice);
void kn_launch_output(kn_launch *launch, int binding, kn_gpu_slice slice);
/* Sets the groups of a walk (tensor.glsl) over rows x columns for each of `members`; returns the rows of a group. */
int kn_launch_walk(const kn_graph *graph, kn_launch *launch, int rows, int columns, int members);
/* The same for kernels with KN_WALK of shaders/nn/walk_shared.glsl; sets constant 15. */
int kn_launch_walk_shared(const kn_graph *graph, kn_launch *launch, int rows, int columns, int members);
/* Records a call on the processors in the place of a launch; `flops` as in kn_launch. */
bool kn_launch_host(kn_graph *graph, const kn_gpu_host_call *call, double flops, kn_error *error);
bool kn_launch_record(kn_graph *graph, const kn_launch *launch, kn_error *error);

/* x = activation(x) [+ residual], in the tensor's own memory. */
bool kn_activation_in_place(kn_graph *graph, const kn_tensor *x, kn_activation activation, const kn_tensor *residual,
                            kn_error *error);

/* A 3x3 convolution with stride 1 and a padding of 1 in Winograd's form (ops_winograd.c); `out` exists. */
typedef struct kn_winograd {
    const kn_tensor *in, *out, *residual, *broadcast; /* the last two may be NULL */
    const kn_weight *weight;
    kn_activation activation;
    int view_h, view_w;
} kn_winograd;
/* Whether it can run so on this device and is expected to be faster. */
bool kn_winograd_pays(const kn_graph *graph, const kn_winograd *conv);
bool kn_winograd_record(kn_graph *graph, const kn_winograd *conv, kn_error *error);
/* Tests only: run so whatever it costs (1), or never (-1); 0: where it pays. */
void kn_graph_choose_winograd(kn_graph *graph, int choice);
int kn_graph_winograd(const kn_graph *graph);

/* `condition`, or an error "operation: expected what". */
bool kn_op_check(bool condition, kn_error *error, const char *operation, const char *what);

#endif
