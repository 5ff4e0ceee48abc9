/* Group and layer normalisation. */
#include "diffusion/ops/ops_internal.h"

/* Push blocks of nn/group_norm_*.comp (each kernel declares a prefix) and nn/layer_norm.comp. */
typedef struct group_push {
    int32_t columns, pixels, pixels_per_group, parts, step, members, groups, group_channels;
    float epsilon;
} group_push;

typedef struct apply_push {
    int32_t columns, rows, rows_per_group, digits[8];
} apply_push;

typedef struct row_push {
    int32_t rows, columns, channels;
    float epsilon;
} row_push;

enum { STATS_CHUNK = 256, STATS_CHUNKS = 128 };

static kn_gpu_slice vector_slice(kn_gpu_buffer *buffer) {
    return (kn_gpu_slice){buffer, 0, kn_gpu_buffer_size(buffer), KN_GPU_FORMAT_RGBA32F};
}

/* Stats and merge of members [first, first + count): fills `factors` [count][columns][2] vec4. */
static bool record_stats(kn_graph *graph, const kn_tensor *in, int first, group_push *push, kn_tensor *partials,
                         kn_tensor *factors, kn_gpu_buffer *gamma, kn_gpu_buffer *beta, kn_error *error) {
    kn_launch stats = {.kernel = KN_KERNEL_NN_GROUP_NORM_STATS,
                       .label = "group norm stats",
                       .push = push,
                       .push_size = 4 * sizeof(int32_t)};
    kn_launch_walk(graph, &stats, push->pixels, push->columns, push->members);
    stats.groups[0] = (uint32_t)((push->pixels + push->pixels_per_group - 1) / push->pixels_per_group);
    kn_launch_input(graph, &stats, 0, kn_tensor_members(in, first, push->members));
    kn_launch_output(&stats, 1, partials->memory);

    kn_launch merge = {.kernel = KN_KERNEL_NN_GROUP_NORM_MERGE,
                       .label = "group norm merge",
                       .push = push,
                       .push_size = sizeof *push,
                       .local_size = kn_graph_local_size(graph)};
    merge.groups[0] = ((uint32_t)(push->members * push->groups) + merge.local_size - 1) / merge.local_size;
    merge.groups[1] = merge.groups[2] = 1;
    kn_gpu_slice slices[] = {partials->memory, vector_slice(gamma), vector_slice(beta), factors->memory};
    for (int i = 0; i < 4; i++) merge.slices[i] = slices[i];
    return kn_launch_record(graph, &stats, error) && kn_launch_record(graph, &merge, error);
}

/* Applies the factors to `pixels` pixels of every member of the slices. */
static bool record_apply(kn_graph *graph, kn_gpu_slice out, kn_gpu_slice in, const group_push *push, int pixels,
                         const kn_tensor *factors, kn_activation activation, kn_error *error) {
    apply_push p = {push->columns, pixels, 0, KN_DIGITS};
    kn_launch apply = {
        .kernel = KN_KERNEL_NN_GROUP_NORM_APPLY, .label = "group norm", .push = &p, .push_size = sizeof p};
    p.rows_per_group = kn_launch_walk_shared(graph, &apply, pixels, p.columns, push->members);
    apply.constants[4] = activation;
    kn_launch_input(graph, &apply, 0, in);
    kn_launch_input(graph, &apply, 1, factors->memory);
    kn_launch_output(&apply, 2, out);
    return kn_launch_record(graph, &apply, error);
}

/* One member that is larger than a storage binding, in parts of whole aligned pixels. */
static bool record_apply_large(kn_graph *graph, const kn_tensor *out, const kn_tensor *in, int member,
                               const group_push *push, const kn_tensor *factors, kn_activation activation,
                               kn_error *error) {
    size_t pixel = (size_t)in->stride * sizeof(float),
           most = kn_graph_binding_limit(graph) / pixel / KN_GPU_ALIGN * KN_GPU_ALIGN;
    kn_gpu_slice whole_in = kn_tensor_members(in, member, 1), whole_out = kn_tensor_members(out, member, 1);
    for (size_t first = 0; first < (size_t)push->pixels; first += most) {
        size_t count = kn_min_size((size_t)push->pixels - first, most);
        kn_gpu_slice from = whole_in, to = whole_out;
        from.offset += first * pixel, to.offset += first * pixel;
        from.size = to.size = count * pixel;
        if (!record_apply(graph, to, from, push, (int)count, factors, activation, error)) return false;
    }
    return true;
}

/* Whether a member is too large for a storage binding, but can be read as texels and written in parts. */
static bool is_large(const kn_graph *graph, const kn_tensor *in) {
    uint64_t bytes = kn_tensor_member_bytes(in), limit = kn_graph_binding_limit(graph);
    return bytes > limit && !kn_graph_storage_inputs(graph) &&
           bytes / 16 <= kn_gpu_get_info(kn_graph_gpu(graph))->max_texel_elements && bytes % KN_GPU_ALIGN == 0 &&
           limit / ((uint64_t)in->stride * sizeof(float)) >= KN_GPU_ALIGN;
}

static bool group_norm_part(kn_graph *graph, const kn_tensor *out, const kn_tensor *in, int first, group_push *push,
                            kn_gpu_buffer *gamma, kn_gpu_buffer *beta, kn_activation activation, kn_error *error) {
    kn_tensor partials = {0}, factors = {0};
    bool ok = kn_graph_tensor(graph, &partials, push->members, push->columns, push->parts, 8, error) &&
              kn_graph_tensor(graph, &factors, push->members, push->columns, 1, 8, error) &&
              record_stats(graph, in, first, push, &partials, &factors, gamma, beta, error) &&
              (is_large(graph, in) ? record_apply_large(graph, out, in, first, push, &factors, activation, error)
                                   : record_apply(graph, kn_tensor_members(out, first, push->members),
                                                  kn_tensor_members(in, first, push->members), push, push->pixels,
                                                  &factors, activation, error));
    kn_graph_release(graph, &partials);
    kn_graph_release(graph, &factors);
    return ok;
}

bool kn_op_group_norm(kn_graph *graph, kn_tensor *out, const kn_tensor *in, kn_gpu_buffer *gamma, kn_gpu_buffer *beta,
                      int groups, float epsilon, kn_activation activation, kn_error *error) {
    *out = (kn_tensor){0};
    if (!kn_op_check(groups > 0 && in->c % groups == 0, error, "group norm", "channels that the groups divide") ||
        !kn_op_check(kn_gpu_buffer_size(gamma) >= in->c * sizeof(float) &&
                         kn_gpu_buffer_size(beta) >= in->c * sizeof(float),
                     error, "group norm", "a gamma and a beta for every channel") ||
        !kn_graph_tensor(graph, out, in->n, in->h, in->w, in->c, error))
        return false;
    int columns = in->stride / 4, pixels = in->h * in->w, lanes = (int)kn_graph_local_size(graph), chunk;
    int per_group = pixels / STATS_CHUNKS > STATS_CHUNK ? (pixels + STATS_CHUNKS - 1) / STATS_CHUNKS : STATS_CHUNK;
    int step = columns < lanes ? lanes / columns : 1;
    group_push push = {.columns = columns,
                       .pixels = pixels,
                       .pixels_per_group = per_group,
                       .step = step,
                       .groups = groups,
                       .parts = (pixels + per_group - 1) / per_group * step,
                       .group_channels = in->c / groups,
                       .epsilon = epsilon};
    const kn_tensor *tensors[] = {in, out};
    bool large = is_large(graph, in), ok = large || kn_graph_chunk(graph, tensors, 2, KN_MAX_GROUPS, &chunk, error);
    if (large) chunk = 1;
    for (int first = 0; ok && first < in->n; first += chunk) {
        push.members = in->n - first < chunk ? in->n - first : chunk;
        ok = group_norm_part(graph, out, in, first, &push, gamma, beta, activation, error);
    }
    if (!ok) kn_graph_release(graph, out);
    return ok;
}

bool kn_op_layer_norm(kn_graph *graph, kn_tensor *out, const kn_tensor *in, kn_gpu_buffer *gamma, kn_gpu_buffer *beta,
                      float epsilon, kn_error *error) {
    *out = (kn_tensor){0};
    size_t bytes = (size_t)in->stride * sizeof(float);
    if (!kn_op_check(kn_gpu_buffer_size(gamma) >= bytes && kn_gpu_buffer_size(beta) >= bytes, error, "layer norm",
                     "gamma and beta from kn_vector_create for every channel") ||
        !kn_graph_tensor(graph, out, in->n, in->h, in->w, in->c, error))
        return false;
    uint32_t lanes = kn_graph_local_size(graph);
    int pixels = in->h * in->w, chunk;
    const kn_tensor *tensors[] = {in, out};
    bool ok = kn_graph_chunk(graph, tensors, 2, (int)((int64_t)KN_MAX_GROUPS * lanes / pixels), &chunk, error);
    for (int first = 0; ok && first < in->n; first += chunk) {
        int count = in->n - first < chunk ? in->n - first : chunk;
        row_push push = {.rows = count * pixels, .columns = in->stride / 4, .channels = in->c, .epsilon = epsilon};
        kn_launch launch = {.kernel = KN_KERNEL_NN_LAYER_NORM,
                            .label = "layer norm",
                            .push = &push,
                            .push_size = sizeof push,
                            .local_size = lanes,
                            .groups = {((uint32_t)push.rows + lanes - 1) / lanes, 1, 1}};
        kn_launch_input(graph, &launch, 0, kn_tensor_members(in, first, count));
        kn_launch_input(graph, &launch, 1, vector_slice(gamma));
        kn_launch_input(graph, &launch, 2, vector_slice(beta));
        kn_launch_output(&launch, 3, kn_tensor_members(out, first, count));
        ok = kn_launch_record(graph, &launch, error);
    }
    if (!ok) kn_graph_release(graph, out);
    return ok;
}
