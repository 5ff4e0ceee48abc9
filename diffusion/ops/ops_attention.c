/* Attention: the one-pass kernel, its portable form, and attention along time. */
#include "diffusion/ops/host_attention.h"
#include "diffusion/ops/ops_internal.h"

#include <math.h>

/* The push block of shaders/nn/attention_push.glsl. */
typedef struct attention_push {
    int32_t query_tokens, key_tokens, row_vectors, out_row_vectors, first_member;
    float scale;
    int32_t digits[8];
} attention_push;

/* The push block of shaders/nn/attention_short.comp. */
typedef struct short_push {
    int32_t places, row_vectors;
    float scale;
} short_push;

enum {
    MAX_HEAD = 1024,
    FULL_HEAD = 160,
    WIDE_PART = 128,
    WIDE_BLOCKS = 2,
    MAX_SHORT = 16,
    MAX_KEYS = 500000,
    SHARED_CHANNELS = 160,
    PLAIN_LOCAL_SIZE = 32
};
static const float LOG2E = 1.44269504088896341f;

static float score_scale(float scale, int head) { return (scale != 0.0f ? scale : 1.0f / sqrtf((float)head)) * LOG2E; }

/* Heads too wide for the registers of a software device are made in parts. */
static bool is_wide(const kn_graph *graph, int head) { return kn_graph_lanes(graph) && head > FULL_HEAD; }

/* Channels of a wide head that one workgroup makes: at most WIDE_PART, dividing the head. */
static int wide_part(int head) {
    int part = WIDE_PART;
    while (head % part) part -= 4;
    return part;
}

static bool check(const kn_graph *graph, const kn_tensor *out, const kn_tensor *q, const kn_tensor *k,
                  const kn_tensor *v, const kn_attention_params *params, kn_error *error) {
    int heads = params->heads, head = heads > 0 ? q->c / heads : 0;
    const char *name = "attention";
    if (!kn_op_check(heads > 0 && q->c % heads == 0 && head % 4 == 0 && head <= MAX_HEAD, error, name,
                     "heads of a multiple of 4 channels, at most 1024") ||
        !kn_op_check(q->h == 1 && k->h == 1 && v->h == 1 && k->c == q->c && v->c == q->c && v->n == k->n &&
                         v->w == k->w,
                     error, name, "queries, keys and values as tokens of equal width") ||
        !kn_op_check(k->w <= MAX_KEYS, error, name, "at most 500000 keys") ||
        !kn_op_check(params->kv_index || k->n == q->n, error, name, "as many members of keys as of queries") ||
        !kn_op_check(!params->accumulate || (out->n == q->n && out->w * out->h == q->w && out->c == q->c), error, name,
                     "an accumulator shaped like the queries"))
        return false;
    if (is_wide(graph, head) &&
        !kn_op_check(!params->causal && !params->accumulate, error, name, "heads of at most 160 channels"))
        return false;
    for (int i = 0; params->kv_index && i < q->n; i++)
        if (params->kv_index[i] < 0 || params->kv_index[i] >= k->n)
            return kn_fail(error, KN_ERROR_INTERNAL, "attention: kv_index[%d] is %d, expected 0..%d", i,
                           params->kv_index[i], k->n - 1);
    return true;
}

/* Device array of the key member of each query member. */
static kn_gpu_buffer *member_table(kn_graph *graph, const int *kv_index, int count, kn_error *error) {
    uint32_t *table = kn_alloc((size_t)count, sizeof *table, error);
    if (!table) return NULL;
    for (int i = 0; i < count; i++) table[i] = (uint32_t)(kv_index ? kv_index[i] : i);
    kn_gpu_buffer *buffer = kn_graph_constant(graph, table, (size_t)count * sizeof *table, error);
    kn_free(table);
    return buffer;
}

/* Blocks of lanes of queries that a workgroup takes: enough to use each broadcast key often, few enough for
 * registers. */
static int query_blocks(const kn_graph *graph, int head, int query_tokens, int lanes) {
    int most = kn_graph_tuning(graph)->attention_blocks;
    if (head > 80 && most > 2) most = 2;
    while (most > 1 && query_tokens <= (most / 2) * lanes) most /= 2;
    return most;
}

/* The kernels of GPUs, by a plan of ops_variant.h; constants 6 and 7 are everyone's. */
static void shape_planned(const kn_gpu_info *info, kn_launch *launch, const kn_attention_plan *plan) {
    bool cooperative = plan->variant == KN_VARIANT_COOPERATIVE;
    launch->kernel = cooperative ? KN_KERNEL_NN_ATTENTION_COOP : KN_KERNEL_NN_ATTENTION_TILED;
    launch->local_size = (uint32_t)plan->threads;
    launch->constants[5] = info->subgroup_size;
    launch->constants[8] = KN_PLAN_KEYS;
    launch->constants[9] = (uint32_t)plan->padded;
    launch->constants[12] = info->matrix_m;
    launch->constants[13] = info->matrix_n;
    launch->constants[14] = info->matrix_k;
}

static bool record(kn_graph *graph, const kn_tensor *out, const kn_tensor *q, const kn_tensor *k, const kn_tensor *v,
                   kn_gpu_buffer *members, int first, int count, const kn_attention_params *params, kn_error *error) {
    int lanes = kn_graph_lanes(graph), head = q->c / params->heads;
    bool wide = is_wide(graph, head);
    int blocks = wide ? WIDE_BLOCKS : query_blocks(graph, head, q->w, lanes);
    attention_push push = {q->w,     k->w, q->stride / 4, out->stride / 4, first, score_scale(params->scale, head),
                           KN_DIGITS};
    kn_launch launch = {.kernel = wide    ? KN_KERNEL_NN_ATTENTION_WIDE
                                  : lanes ? KN_KERNEL_NN_ATTENTION
                                          : KN_KERNEL_NN_ATTENTION_PLAIN,
                        .label = "attention",
                        .push = &push,
                        .push_size = sizeof push};
    const kn_gpu_info *info = kn_gpu_get_info(kn_graph_gpu(graph));
    kn_attention_plan plan = kn_plan_attention(info, kn_graph_tuning(graph), kn_graph_variant(graph), head, q->w,
                                               (int64_t)params->heads * count, kn_graph_half(graph));
    bool planned = plan.variant != KN_VARIANT_PLAIN;
    launch.local_size = lanes ? (uint32_t)lanes : PLAIN_LOCAL_SIZE;
    int tile = planned ? plan.queries : lanes ? blocks * lanes : PLAIN_LOCAL_SIZE;
    launch.groups[0] = (uint32_t)((q->w + tile - 1) / tile);
    launch.groups[1] = (uint32_t)params->heads;
    launch.groups[2] = (uint32_t)count;
    launch.constants[4] = (uint32_t)head / 4;
    launch.constants[5] = (uint32_t)blocks;
    launch.constants[6] = params->causal;
    launch.constants[7] = params->accumulate;
    launch.constants[8] =
        !params->accumulate && blocks * head <= SHARED_CHANNELS && k->w <= kn_graph_tuning(graph)->attention_shared;
    if (wide) {
        launch.groups[1] = (uint32_t)(params->heads * head / wide_part(head));
        launch.constants[6] = (uint32_t)wide_part(head) / 4;
    }
    if (planned) shape_planned(info, &launch, &plan);
    launch.slices[0] = kn_tensor_members(q, first, count);
    launch.slices[1] = kn_tensor_members(k, 0, k->n);
    launch.slices[2] = kn_tensor_members(v, 0, v->n);
    launch.slices[3] = (kn_gpu_slice){members, 0, kn_gpu_buffer_size(members), KN_GPU_FORMAT_R32U};
    launch.slices[4] = kn_tensor_members(out, first, count);
    launch.flops = 4.0 * count * q->w * k->w * q->c;
    return kn_launch_record(graph, &launch, error);
}

/* Without kv_index keys are split with their queries: member i attends to member i of the same part. */
static bool record_parts(kn_graph *graph, const kn_tensor *out, const kn_tensor *q, const kn_tensor *k,
                         const kn_tensor *v, const kn_attention_params *params, kn_error *error) {
    int chunk;
    const kn_tensor *tensors[] = {q, out, params->kv_index ? NULL : k};
    if (!kn_graph_chunk(graph, tensors, 3, KN_MAX_GROUPS, &chunk, error)) return false;
    const kn_gpu_info *info = kn_gpu_get_info(kn_graph_gpu(graph));
    uint64_t limit = kn_graph_lanes(graph) ? info->max_texel_elements * 16 : info->max_buffer_range;
    if (params->kv_index && !kn_op_check((uint64_t)k->n * kn_tensor_member_bytes(k) <= limit, error, "attention",
                                         "keys that fit one binding of this device"))
        return false;
    kn_gpu_buffer *members = member_table(graph, params->kv_index, params->kv_index ? q->n : chunk, error);
    if (!members) return false;
    for (int first = 0; first < q->n; first += chunk) {
        int count = q->n - first < chunk ? q->n - first : chunk;
        if (params->kv_index) {
            if (!record(graph, out, q, k, v, members, first, count, params, error)) return false;
            continue;
        }
        kn_tensor parts[] = {kn_tensor_part(out, first, count), kn_tensor_part(q, first, count),
                             kn_tensor_part(k, first, count), kn_tensor_part(v, first, count)};
        if (!record(graph, &parts[0], &parts[1], &parts[2], &parts[3], members, 0, count, params, error)) return false;
    }
    return true;
}

/* Many members of a few tokens each: lanes along the members. */
static bool is_short(const kn_graph *graph, const kn_tensor *q, const kn_tensor *k, const kn_attention_params *params) {
    return q->w <= MAX_SHORT && q->c / params->heads <= FULL_HEAD && k->w == q->w &&
           q->n >= (int)kn_graph_local_size(graph) && !params->kv_index && !params->causal && !params->accumulate;
}

static bool record_short_part(kn_graph *graph, const kn_tensor *out, const kn_tensor *q, const kn_tensor *k,
                              const kn_tensor *v, const kn_attention_params *params, kn_error *error) {
    int head = q->c / params->heads;
    uint32_t lanes = kn_graph_local_size(graph);
    short_push push = {q->n, q->stride / 4, score_scale(params->scale, head)};
    kn_launch launch = {.kernel = KN_KERNEL_NN_ATTENTION_SHORT,
                        .label = "attention of short sequences",
                        .push = &push,
                        .push_size = sizeof push,
                        .local_size = lanes,
                        .groups = {(uint32_t)params->heads, ((uint32_t)q->n + lanes - 1) / lanes, 1}};
    launch.constants[4] = (uint32_t)head / 4;
    launch.constants[5] = (uint32_t)q->w;
    const kn_tensor *inputs[] = {q, k, v};
    for (int i = 0; i < 3; i++) kn_launch_input(graph, &launch, i, kn_tensor_members(inputs[i], 0, inputs[i]->n));
    kn_launch_output(&launch, 3, kn_tensor_members(out, 0, out->n));
    launch.flops = 4.0 * q->n * q->w * q->w * q->c;
    return kn_launch_record(graph, &launch, error);
}

static bool record_short(kn_graph *graph, const kn_tensor *out, const kn_tensor *q, const kn_tensor *k,
                         const kn_tensor *v, const kn_attention_params *params, kn_error *error) {
    int chunk, lanes = (int)kn_graph_local_size(graph);
    const kn_tensor *tensors[] = {q};
    if (!kn_graph_chunk(graph, tensors, 1, KN_MAX_GROUPS * lanes, &chunk, error)) return false;
    for (int first = 0; first < q->n; first += chunk) {
        int count = q->n - first < chunk ? q->n - first : chunk;
        kn_tensor parts[] = {kn_tensor_part(out, first, count), kn_tensor_part(q, first, count),
                             kn_tensor_part(k, first, count), kn_tensor_part(v, first, count)};
        if (!record_short_part(graph, &parts[0], &parts[1], &parts[2], &parts[3], params, error)) return false;
    }
    return true;
}

static void *mapped(const kn_tensor *t) { return (uint8_t *)kn_gpu_buffer_map(t->memory.buffer) + t->memory.offset; }

/* On the processors. */
static bool record_host(kn_graph *graph, const kn_tensor *out, const kn_tensor *q, const kn_tensor *k,
                        const kn_tensor *v, const kn_attention_params *params, kn_error *error) {
    int head = q->c / params->heads;
    kn_gpu_buffer *members = params->kv_index ? member_table(graph, params->kv_index, q->n, error) : NULL;
    if (params->kv_index && !members) return false;
    kn_host_attention a = {.n = q->n,
                           .tq = q->w,
                           .tk = k->w,
                           .heads = params->heads,
                           .d = head,
                           .stride = q->stride,
                           .scale = score_scale(params->scale, head),
                           .causal = params->causal,
                           .accumulate = params->accumulate};
    if (!kn_graph_is_dry(graph)) {
        a.q = mapped(q);
        a.k = mapped(k);
        a.v = mapped(v);
        a.out = mapped(out);
        a.members = members ? kn_gpu_buffer_map(members) : NULL;
    }
    kn_gpu_slice slices[] = {q->memory, k->memory, v->memory, out->memory, {.buffer = members}};
    kn_gpu_host_call call = {.run = kn_host_attention_run,
                             .arguments = &a,
                             .argument_size = sizeof a,
                             .scratch_size = kn_host_attention_scratch(&a),
                             .tasks = kn_host_attention_tasks(&a),
                             .slices = slices,
                             .slice_count = KN_COUNT(slices),
                             .kernel = KN_KERNEL_NN_ATTENTION,
                             .label = "attention"};
    return kn_launch_host(graph, &call, 4.0 * q->n * q->w * k->w * q->c, error);
}

bool kn_op_attention(kn_graph *graph, kn_tensor *out, const kn_tensor *q, const kn_tensor *k, const kn_tensor *v,
                     const kn_attention_params *params, kn_error *error) {
    if (!params->accumulate) *out = (kn_tensor){0};
    if (!check(graph, out, q, k, v, params, error) ||
        (!params->accumulate && !kn_graph_tensor(graph, out, q->n, 1, q->w, q->c, error)))
        return false;
    bool host = kn_graph_variant(graph) == KN_VARIANT_HOST;
    bool ok = host                            ? record_host(graph, out, q, k, v, params, error)
              : is_short(graph, q, k, params) ? record_short(graph, out, q, k, v, params, error)
                                              : record_parts(graph, out, q, k, v, params, error);
    if (ok) return true;
    if (!params->accumulate) kn_graph_release(graph, out);
    return false;
}
