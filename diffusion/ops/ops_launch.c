/* Launch helpers: splitting along n, binding tensors, walking rows. */
#include "diffusion/ops/ops_internal.h"

enum { UNROLLED_ROWS = 8 };

bool kn_op_check(bool condition, kn_error *error, const char *operation, const char *what) {
    return condition || kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: expected %s", operation, what);
}

static int greatest_common_divisor(size_t a, size_t b) {
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return (int)a;
}

bool kn_graph_chunk(const kn_graph *graph, const kn_tensor *const *tensors, int count, int cap, int *members,
                    kn_error *error) {
    uint64_t limit = kn_graph_binding_limit(graph);
    uint64_t most = (uint64_t)cap;
    int step = 1, total = 0; /* members between aligned offsets: powers of two, so the largest serves all */
    for (int i = 0; i < count; i++) {
        if (!tensors[i]) continue;
        size_t bytes = kn_tensor_member_bytes(tensors[i]);
        int own = KN_GPU_ALIGN / greatest_common_divisor(bytes, KN_GPU_ALIGN);
        if (own > step) step = own;
        if (limit / bytes < most) most = limit / bytes;
        if (tensors[i]->n > total) total = tensors[i]->n;
    }
    if ((uint64_t)total > most) most = most / (uint64_t)step * (uint64_t)step;
    if (most == 0)
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "a tensor is too large for this device, which binds at most %llu bytes",
                       (unsigned long long)limit);
    *members = most < (uint64_t)total ? (int)most : total;
    return true;
}

void kn_launch_input(const kn_graph *graph, kn_launch *launch, int binding, kn_gpu_slice slice) {
    bool storage = kn_graph_storage_inputs(graph);
    slice.format = KN_GPU_FORMAT_RGBA32F;
    launch->slices[storage ? binding + KN_STORAGE_SLOT : binding] = slice;
    launch->slices[storage ? binding : binding + KN_STORAGE_SLOT] = kn_graph_nothing(graph, KN_GPU_FORMAT_RGBA32F);
}

void kn_launch_output(kn_launch *launch, int binding, kn_gpu_slice slice) { launch->slices[binding] = slice; }

int kn_launch_walk(const kn_graph *graph, kn_launch *launch, int rows, int columns, int members) {
    int lanes = (int)kn_graph_local_size(graph), shared = columns < lanes ? lanes / columns : 1;
    int rows_per_group = 32 * shared, least = (rows + KN_MAX_GROUPS - 1) / KN_MAX_GROUPS;
    if (rows_per_group < least) rows_per_group = least;
    launch->local_size = (uint32_t)lanes;
    launch->groups[0] = (uint32_t)((rows + rows_per_group - 1) / rows_per_group);
    launch->groups[1] = columns < lanes ? 1 : (uint32_t)((columns + lanes - 1) / lanes);
    launch->groups[2] = (uint32_t)members;
    return rows_per_group;
}

int kn_launch_walk_shared(const kn_graph *graph, kn_launch *launch, int rows, int columns, int members) {
    int rows_per_group = kn_launch_walk(graph, launch, rows, columns, members), lanes = (int)launch->local_size;
    int shared = columns < lanes ? lanes / columns : 1, own = UNROLLED_ROWS * shared, groups = (rows + own - 1) / own;
    if (!kn_graph_lanes(graph) || groups > KN_MAX_GROUPS) return rows_per_group;
    launch->constants[15] = UNROLLED_ROWS;
    launch->groups[0] = (uint32_t)groups;
    return own;
}

bool kn_launch_record(kn_graph *graph, const kn_launch *launch, kn_error *error) {
    uint32_t constants[KN_LAUNCH_CONSTANTS];
    for (int i = 0; i < KN_LAUNCH_CONSTANTS; i++) constants[i] = launch->constants[i];
    constants[0] = launch->local_size;
    constants[1] = constants[2] = 1;
    constants[3] = kn_graph_storage_inputs(graph);
    kn_gpu_dispatch dispatch = {
        .kernel = launch->kernel,
        .groups = {launch->groups[0], launch->groups[1], launch->groups[2]},
        .slices = launch->slices,
        .slice_count = KN_LAUNCH_SLOTS,
        .constants = constants,
        .constant_count = KN_LAUNCH_CONSTANTS,
        .push = launch->push,
        .push_size = launch->push_size,
        .label = launch->label,
    };
    if (launch->label) kn_graph_count(graph, launch->label, launch->flops);
    return kn_graph_is_dry(graph) || kn_gpu_record(kn_graph_recorder(graph), &dispatch, error);
}

bool kn_launch_host(kn_graph *graph, const kn_gpu_host_call *call, double flops, kn_error *error) {
    if (call->label) kn_graph_count(graph, call->label, flops);
    return kn_graph_is_dry(graph) || kn_gpu_record_host(kn_graph_recorder(graph), call, error);
}
