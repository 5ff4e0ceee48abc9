/* The graph: its recorder, the arena that tensors live in, and the launch helpers of the operations. */
#include "diffusion/ops/ops_internal.h"

#include <string.h>

enum {
    FIRST_BLOCK_BYTES = 2 << 20,
    BLOCK_BYTES = 32 << 20
};                                                  /* each block is twice as large as the one before, up to this */
static const size_t MOST_AT_ONCE = (size_t)1 << 30; /* what every Vulkan device allocates at once */
static const size_t DRY_BYTES = (size_t)1 << 46;    /* the one block of a dry graph */

/* A free or used range of a block; ranges of a block are kept in order and cover it. */
typedef struct range {
    size_t offset, size;
    bool used;
} range;

typedef struct block {
    kn_gpu_buffer *buffer;
    range *ranges;
    size_t count, capacity;
} block;

struct kn_graph {
    kn_gpu *gpu;
    kn_gpu_recorder *recorder;
    kn_gpu_buffer *nothing;
    block *blocks;
    size_t block_count, block_capacity;
    kn_gpu_buffer **constants;
    size_t constant_count, constant_capacity;
    size_t first_block_bytes;
    uint64_t live, peak, binding_limit, fetched;
    uint64_t extent; /* of a dry graph: end of the highest place that a tensor had */
    struct kn_streamer *streamer;
    kn_work work[KN_WORK_LABELS];
    size_t work_count;
    int lanes;
    bool storage_inputs, software, half;
    int winograd; /* kn_graph_choose_winograd */
    bool dry;     /* kn_graph_create_dry */
    kn_variant variant;
    kn_tuning tuning;
};

static size_t align_up(size_t size) { return (size + KN_GPU_ALIGN - 1) / KN_GPU_ALIGN * KN_GPU_ALIGN; }

/* --- life ------------------------------------------------------------------------------------- */

bool kn_graph_create(kn_graph **graph, kn_gpu *gpu, size_t arena_bytes, kn_error *error) {
    *graph = NULL;
    kn_graph *g = kn_alloc(1, sizeof *g, error);
    if (!g) return false;
    const kn_gpu_info *info = kn_gpu_get_info(gpu);
    g->gpu = gpu;
    g->first_block_bytes = kn_min_size(arena_bytes, MOST_AT_ONCE);
    g->software = info->kind == KN_GPU_SOFTWARE;
    g->storage_inputs = info->max_texel_elements < (8u << 20);
    g->binding_limit = info->max_buffer_range;
    if (!g->storage_inputs && info->max_texel_elements * 16 < g->binding_limit)
        g->binding_limit = info->max_texel_elements * 16;
    if (g->software && !g->storage_inputs && (info->subgroup_size == 8 || info->subgroup_size == 16))
        g->lanes = (int)info->subgroup_size;
    kn_graph_set_tuning(g, kn_gpu_get_tuning(gpu));
    if (!kn_gpu_recorder_create(&g->recorder, gpu, error) ||
        !kn_gpu_buffer_create(&g->nothing, gpu, KN_GPU_ALIGN, KN_GPU_MEMORY_DEVICE, error)) {
        kn_graph_destroy(&g);
        return false;
    }
    *graph = g;
    return true;
}

bool kn_graph_create_dry(kn_graph **graph, kn_gpu *gpu, kn_error *error) {
    if (!kn_graph_create(graph, gpu, 0, error)) return false;
    (*graph)->dry = true;
    (*graph)->first_block_bytes = DRY_BYTES;
    return true;
}

bool kn_graph_is_dry(const kn_graph *graph) { return graph->dry; }

uint64_t kn_graph_block_bytes(const kn_graph *graph) {
    uint64_t sum = 0;
    if (graph->dry) return graph->extent;
    for (size_t i = 0; i < graph->block_count; i++)
        for (size_t j = 0; j < graph->blocks[i].count; j++) sum += graph->blocks[i].ranges[j].size;
    return sum;
}

void kn_graph_destroy(kn_graph **graph) {
    kn_graph *g = *graph;
    if (!g) return;
    kn_gpu_recorder_destroy(&g->recorder);
    for (size_t i = 0; i < g->block_count; i++) {
        kn_gpu_buffer_destroy(&g->blocks[i].buffer);
        kn_free(g->blocks[i].ranges);
    }
    for (size_t i = 0; i < g->constant_count; i++) kn_gpu_buffer_destroy(&g->constants[i]);
    kn_gpu_buffer_destroy(&g->nothing);
    kn_free(g->blocks);
    kn_free(g->constants);
    kn_free(g);
    *graph = NULL;
}

kn_gpu_recorder *kn_graph_recorder(kn_graph *graph) { return graph->recorder; }
kn_gpu *kn_graph_gpu(const kn_graph *graph) { return graph->gpu; }
int kn_graph_lanes(const kn_graph *graph) { return graph->lanes; }
bool kn_graph_storage_inputs(const kn_graph *graph) { return graph->storage_inputs; }
uint64_t kn_graph_peak_bytes(const kn_graph *graph) { return graph->peak; }
uint64_t kn_graph_binding_limit(const kn_graph *graph) { return graph->binding_limit; }
void kn_graph_set_binding_limit(kn_graph *graph, uint64_t bytes) { graph->binding_limit = bytes; }

uint32_t kn_graph_local_size(const kn_graph *graph) {
    return graph->software ? kn_gpu_get_info(graph->gpu)->subgroup_size : KN_ELEMENT_LANES;
}

void kn_graph_choose_winograd(kn_graph *graph, int choice) { graph->winograd = choice; }
int kn_graph_winograd(const kn_graph *graph) { return graph->winograd; }

const kn_work *kn_graph_work(const kn_graph *graph, size_t *count) {
    *count = graph->work_count;
    return graph->work;
}

void kn_graph_count(kn_graph *graph, const char *label, double flops) {
    size_t i = 0;
    while (i < graph->work_count && strcmp(graph->work[i].label, label) != 0) i++;
    if (i == KN_WORK_LABELS) return;
    if (i == graph->work_count) graph->work[graph->work_count++] = (kn_work){.label = label};
    graph->work[i].launches++;
    graph->work[i].flops += flops;
}

void kn_graph_force_variant(kn_graph *graph, kn_variant variant) {
    graph->variant = variant;
    if (variant == KN_VARIANT_SUBGROUP || variant == KN_VARIANT_HOST) return;
    graph->lanes = 0;
    graph->storage_inputs = true;
}

const kn_tuning *kn_graph_tuning(const kn_graph *graph) { return &graph->tuning; }

void kn_graph_set_tuning(kn_graph *graph, const kn_tuning *tuning) {
    graph->tuning = *tuning;
    graph->variant = kn_variant_of(kn_gpu_get_info(graph->gpu), tuning);
    if (graph->variant == KN_VARIANT_HOST && !kn_gpu_runs_host_calls(graph->gpu)) graph->variant = KN_VARIANT_SUBGROUP;
}

void kn_graph_force_portable(kn_graph *graph) { kn_graph_force_variant(graph, KN_VARIANT_PLAIN); }
kn_variant kn_graph_variant(const kn_graph *graph) { return graph->variant; }
bool kn_graph_half(const kn_graph *graph) { return graph->half; }
void kn_graph_note_half(kn_graph *graph) { graph->half = true; }

bool kn_graph_run(kn_graph *graph, kn_error *error) {
    return kn_gpu_submit(graph->recorder, error) && kn_gpu_wait(graph->recorder, error);
}

bool kn_graph_flush(kn_graph *graph, kn_error *error) {
    return kn_graph_run(graph, error) && kn_gpu_recorder_reset(graph->recorder, error);
}

bool kn_graph_restart(kn_graph *graph, kn_error *error) {
    if (!kn_gpu_recorder_reset(graph->recorder, error)) return false;
    for (size_t i = 0; i < graph->constant_count; i++) kn_gpu_buffer_destroy(&graph->constants[i]);
    graph->constant_count = graph->work_count = 0;
    for (size_t i = 0; i < graph->block_count; i++) {
        block *b = &graph->blocks[i];
        for (size_t j = 1; j < b->count; j++) b->ranges[0].size += b->ranges[j].size;
        b->ranges[0].used = false;
        b->count = 1;
    }
    graph->live = 0;
    return true;
}

uint64_t kn_graph_fetched_bytes(const kn_graph *graph) { return graph->fetched; }
bool kn_graph_count_fetch(kn_graph *graph, size_t bytes) {
    graph->fetched += bytes;
    return graph->dry;
}
void kn_graph_set_streamer(kn_graph *graph, struct kn_streamer *streamer) { graph->streamer = streamer; }
struct kn_streamer *kn_graph_streamer(const kn_graph *graph) {
    return graph->streamer;
}

kn_gpu_buffer *kn_graph_constant(kn_graph *graph, const void *data, size_t size, kn_error *error) {
    kn_gpu_buffer *buffer = NULL;
    if (!kn_grow(&graph->constants, &graph->constant_capacity, graph->constant_count + 1, sizeof *graph->constants,
                 error) ||
        !kn_gpu_buffer_create(&buffer, graph->gpu, align_up(size), KN_GPU_MEMORY_DEVICE, error))
        return NULL;
    if (!kn_gpu_upload(buffer, 0, data, size, error)) {
        kn_gpu_buffer_destroy(&buffer);
        return NULL;
    }
    graph->constants[graph->constant_count++] = buffer;
    return buffer;
}

kn_gpu_slice kn_graph_nothing(const kn_graph *graph, kn_gpu_format format) {
    return (kn_gpu_slice){graph->nothing, 0, KN_GPU_ALIGN, format};
}

/* --- arena ------------------------------------------------------------------------------------ */

static bool block_add(kn_graph *graph, size_t needed, kn_error *error) {
    size_t grown = graph->block_count < 4 ? (size_t)FIRST_BLOCK_BYTES << graph->block_count : BLOCK_BYTES;
    size_t size = graph->block_count == 0 && graph->first_block_bytes ? align_up(graph->first_block_bytes) : grown;
    size = kn_max_size(size, needed);
    if (!kn_grow(&graph->blocks, &graph->block_capacity, graph->block_count + 1, sizeof *graph->blocks, error))
        return false;
    block b = {0};
    if (!kn_grow(&b.ranges, &b.capacity, 8, sizeof *b.ranges, error)) return false;
    if (!kn_gpu_buffer_create(&b.buffer, graph->gpu, graph->dry ? KN_GPU_ALIGN : size, KN_GPU_MEMORY_DEVICE, error)) {
        kn_free(b.ranges);
        return false;
    }
    b.ranges[b.count++] = (range){.size = size};
    graph->blocks[graph->block_count++] = b;
    return true;
}

/* The smallest free range that holds `size` bytes. The end of a block comes last, whatever its size: so places are the
 * same in an arena of any size that suffices. */
static bool find_range(const kn_graph *graph, size_t size, size_t *block_index, size_t *range_index) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < graph->block_count; i++)
        for (size_t j = 0; j < graph->blocks[i].count; j++) {
            const range *r = &graph->blocks[i].ranges[j];
            size_t cost = j + 1 == graph->blocks[i].count ? SIZE_MAX - 1 : r->size;
            if (!r->used && r->size >= size && cost < best) {
                best = cost;
                *block_index = i;
                *range_index = j;
            }
        }
    return best != SIZE_MAX;
}

static bool block_take(block *b, size_t index, size_t size, kn_error *error) {
    if (b->ranges[index].size > size) {
        if (!kn_grow(&b->ranges, &b->capacity, b->count + 1, sizeof *b->ranges, error)) return false;
        memmove(&b->ranges[index + 1], &b->ranges[index], (b->count - index) * sizeof *b->ranges);
        b->count++;
        b->ranges[index + 1].offset += size;
        b->ranges[index + 1].size -= size;
        b->ranges[index].size = size;
    }
    b->ranges[index].used = true;
    return true;
}

/* Joins a range with the one behind it when both are free. */
static void block_join(block *b, size_t index) {
    if (index + 1 >= b->count || b->ranges[index].used || b->ranges[index + 1].used) return;
    b->ranges[index].size += b->ranges[index + 1].size;
    memmove(&b->ranges[index + 1], &b->ranges[index + 2], (b->count - index - 2) * sizeof *b->ranges);
    b->count--;
}

bool kn_graph_tensor(kn_graph *graph, kn_tensor *tensor, int n, int h, int w, int c, kn_error *error) {
    *tensor = (kn_tensor){0};
    size_t stride = ((size_t)c + 3) / 4 * 4, bytes;
    if (n < 1 || h < 1 || w < 1 || c < 1 || __builtin_mul_overflow((size_t)n * h, (size_t)w, &bytes) ||
        __builtin_mul_overflow(bytes, stride * sizeof(float), &bytes) || bytes / 16 > INT32_MAX)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "tensor of %d x %d x %d x %d is empty or too large", n, h, w, c);
    size_t size = align_up(bytes), i, j;
    if (!find_range(graph, size, &i, &j) && (!block_add(graph, size, error) || !find_range(graph, size, &i, &j)))
        return false;
    if (!block_take(&graph->blocks[i], j, size, error)) return false;
    *tensor = (kn_tensor){
        .memory = {graph->blocks[i].buffer, graph->blocks[i].ranges[j].offset, bytes, KN_GPU_FORMAT_RGBA32F},
        .n = n,
        .h = h,
        .w = w,
        .c = c,
        .stride = (int)stride};
    graph->live += size;
    if (tensor->memory.offset + size > graph->extent) graph->extent = tensor->memory.offset + size;
    if (graph->live > graph->peak) graph->peak = graph->live;
    return true;
}

void kn_graph_release(kn_graph *graph, kn_tensor *tensor) {
    for (size_t i = 0; tensor->memory.buffer && i < graph->block_count; i++) {
        block *b = &graph->blocks[i];
        if (b->buffer != tensor->memory.buffer) continue;
        for (size_t j = 0; j < b->count; j++) {
            if (b->ranges[j].offset != tensor->memory.offset || !b->ranges[j].used) continue;
            b->ranges[j].used = false;
            graph->live -= b->ranges[j].size;
            block_join(b, j);
            if (j > 0) block_join(b, j - 1);
            break;
        }
    }
    *tensor = (kn_tensor){0};
}

/* --- tensors ---------------------------------------------------------------------------------- */

kn_tensor kn_tensor_view(const kn_tensor *tensor, int n, int h, int w) {
    kn_tensor view = *tensor;
    view.n = n;
    view.h = h;
    view.w = w;
    return view;
}

size_t kn_tensor_member_bytes(const kn_tensor *tensor) {
    return (size_t)tensor->h * tensor->w * tensor->stride * sizeof(float);
}

kn_gpu_slice kn_tensor_members(const kn_tensor *tensor, int first, int count) {
    size_t bytes = kn_tensor_member_bytes(tensor);
    return (kn_gpu_slice){tensor->memory.buffer, tensor->memory.offset + first * bytes, count * bytes,
                          KN_GPU_FORMAT_RGBA32F};
}

kn_tensor kn_tensor_part(const kn_tensor *tensor, int first, int count) {
    kn_tensor part = *tensor;
    part.memory = kn_tensor_members(tensor, first, count);
    part.n = count;
    return part;
}

static size_t tensor_floats(const kn_tensor *tensor) {
    return (size_t)tensor->n * tensor->h * tensor->w * tensor->stride;
}

bool kn_tensor_upload(const kn_tensor *tensor, const float *nchw, kn_error *error) {
    float *staged = kn_alloc(tensor_floats(tensor), sizeof *staged, error);
    if (!staged) return false;
    size_t pixels = (size_t)tensor->h * tensor->w;
    for (int n = 0; n < tensor->n; n++)
        for (int c = 0; c < tensor->c; c++) {
            const float *from = nchw + ((size_t)n * tensor->c + c) * pixels;
            float *to = staged + n * pixels * tensor->stride + c;
            for (size_t i = 0; i < pixels; i++) to[i * tensor->stride] = from[i];
        }
    bool ok = kn_gpu_upload(tensor->memory.buffer, tensor->memory.offset, staged,
                            tensor_floats(tensor) * sizeof *staged, error);
    kn_free(staged);
    return ok;
}

bool kn_tensor_download(const kn_tensor *tensor, float *nchw, kn_error *error) {
    float *staged = kn_alloc(tensor_floats(tensor), sizeof *staged, error);
    if (!staged) return false;
    bool ok = kn_gpu_download(tensor->memory.buffer, tensor->memory.offset, staged,
                              tensor_floats(tensor) * sizeof *staged, error);
    size_t pixels = (size_t)tensor->h * tensor->w;
    for (int n = 0; ok && n < tensor->n; n++)
        for (int c = 0; c < tensor->c; c++) {
            const float *from = staged + n * pixels * tensor->stride + c;
            float *to = nchw + ((size_t)n * tensor->c + c) * pixels;
            for (size_t i = 0; i < pixels; i++) to[i] = from[i * tensor->stride];
        }
    kn_free(staged);
    return ok;
}

bool kn_op_append_zero(kn_graph *graph, kn_tensor *tensor, kn_error *error) {
    kn_tensor longer = {0};
    if (!kn_graph_tensor(graph, &longer, tensor->n + 1, tensor->h, tensor->w, tensor->c, error)) return false;
    size_t picture = (size_t)tensor->h * (size_t)tensor->w * (size_t)tensor->stride * sizeof(float),
           bytes = picture * (size_t)tensor->n;
    kn_gpu_slice last = longer.memory;
    last.offset += bytes;
    last.size = picture;
    if (!graph->dry && (!kn_gpu_record_copy(graph->recorder, tensor->memory, longer.memory, bytes, error) ||
                        !kn_gpu_record_fill(graph->recorder, last, 0, error)))
        return false;
    kn_graph_release(graph, tensor);
    *tensor = longer;
    return true;
}
