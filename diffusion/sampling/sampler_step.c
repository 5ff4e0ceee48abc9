#include "diffusion/sampling/sampler_step.h"

#include "diffusion/ops/ops_internal.h"

typedef struct step_push {
    int32_t count, count_per_group, second; /* vec4s; `second`: where the conditional half starts in its binding */
} step_push;

enum { VECTORS_PER_LANE = 16 };

static kn_gpu_slice part(const kn_tensor *tensor, size_t offset, size_t size) {
    return (kn_gpu_slice){tensor->memory.buffer, tensor->memory.offset + offset, size, KN_GPU_FORMAT_RGBA32F};
}

/* The same part of the second half: halves that do not start at an aligned offset are bound as a whole. */
static kn_gpu_slice second_part(const kn_tensor *tensor, size_t bytes, size_t offset, size_t size) {
    return bytes % KN_GPU_ALIGN == 0 ? part(tensor, bytes + offset, size) : part(tensor, 0, 2 * bytes);
}

static bool record_part(kn_graph *graph, const kn_sampler_tensors *tensors, size_t bytes, size_t offset, size_t size,
                        kn_error *error) {
    bool guided = tensors->output.n == 2 * tensors->x.n, keeps = tensors->previous.n > 0, writes = tensors->input.n > 0;
    bool both = tensors->input.n == 2 * tensors->x.n;
    kn_launch launch = {
        .kernel = KN_KERNEL_NN_SAMPLER_STEP, .label = "sampler step", .local_size = kn_graph_local_size(graph)};
    kn_gpu_slice nothing = kn_graph_nothing(graph, KN_GPU_FORMAT_NONE);
    step_push push = {.count = (int32_t)(size / 16), .count_per_group = (int32_t)launch.local_size * VECTORS_PER_LANE};
    int needed = (push.count + KN_MAX_GROUPS - 1) / KN_MAX_GROUPS;
    if (push.count_per_group < needed) push.count_per_group = needed;
    push.second = bytes % KN_GPU_ALIGN == 0 ? 0 : (int32_t)(bytes / 16);
    launch.groups[0] = (uint32_t)((push.count + push.count_per_group - 1) / push.count_per_group);
    launch.groups[1] = launch.groups[2] = 1;
    launch.constants[4] = guided;
    launch.constants[5] = keeps;
    launch.constants[6] = writes;
    launch.constants[7] = both;
    launch.push = &push;
    launch.push_size = sizeof push;
    kn_launch_input(graph, &launch, 0, part(&tensors->output, offset, size));
    kn_launch_input(graph, &launch, 1,
                    guided ? second_part(&tensors->output, bytes, offset, size)
                           : kn_graph_nothing(graph, KN_GPU_FORMAT_RGBA32F));
    kn_launch_output(&launch, 2, (kn_gpu_slice){tensors->coefficients, 0, KN_GPU_ALIGN, KN_GPU_FORMAT_NONE});
    kn_launch_output(&launch, 3, part(&tensors->x, offset, size));
    kn_launch_output(&launch, 4, keeps ? part(&tensors->previous, offset, size) : nothing);
    kn_launch_output(&launch, 5, writes ? part(&tensors->input, offset, size) : nothing);
    kn_launch_output(&launch, 6, both ? second_part(&tensors->input, bytes, offset, size) : nothing);
    return kn_launch_record(graph, &launch, error);
}

bool kn_sampler_step_record(kn_graph *graph, const kn_sampler_tensors *tensors, kn_error *error) {
    size_t bytes = kn_tensor_member_bytes(&tensors->x) * (size_t)tensors->x.n;
    size_t limit = (size_t)kn_graph_binding_limit(graph) / KN_GPU_ALIGN * KN_GPU_ALIGN;
    if (tensors->output.n != tensors->x.n && bytes % KN_GPU_ALIGN != 0 && 2 * bytes > limit)
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "guidance for %d pictures of this size at once is too large for this device", tensors->x.n);
    for (size_t offset = 0; offset < bytes; offset += limit) {
        if (!record_part(graph, tensors, bytes, offset, kn_min_size(limit, bytes - offset), error)) return false;
    }
    return true;
}

bool kn_sampler_step_set(const kn_sampler_tensors *tensors, const kn_step *step, double next_input_scale,
                         double guidance, kn_error *error) {
    float values[9] = {(float)step->x0_x, (float)step->x0_m,       (float)step->clip,
                       (float)step->x_x,  (float)step->x_m,        (float)step->x_0,
                       (float)step->x_p,  (float)next_input_scale, (float)guidance};
    return kn_gpu_upload(tensors->coefficients, 0, values, sizeof values, error);
}
