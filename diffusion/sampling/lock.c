#include "diffusion/sampling/lock.h"

#include "diffusion/ops/ops_internal.h"

#include <math.h>
#include <string.h>

/* --- links, onto the device --------------------------------------------------------------------- */

size_t kn_lock_places(const kn_lock_shape *shape) {
    return (size_t)shape->n * (size_t)shape->h * (size_t)shape->w * (size_t)(shape->block * shape->block);
}

static size_t quads_of(const kn_lock_shape *shape) { return (size_t)(shape->channels + 3) / 4; }

static bool check(const kn_lock *lock, const kn_lock_shape *shape, kn_error *error) {
    size_t places = kn_lock_places(shape), count = places * (size_t)lock->samples;
    if (lock->samples < 1 || lock->samples > 64 || !lock->cells || !lock->weights || !lock->hold)
        return kn_fail(error, KN_ERROR_INPUT,
                       "lock: %d samples a place, expected 1 to 64, with cells, weights and hold", lock->samples);
    if (count > 0x3fffffff || lock->cell_count > 0x3fffffff / quads_of(shape) / 4)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "lock: %zu places of %zu cells are too many", places,
                       lock->cell_count);
    for (size_t i = 0; i < count; i++)
        if (lock->cells[i] != KN_LOCK_FREE && lock->cells[i] >= lock->cell_count)
            return kn_fail(error, KN_ERROR_INPUT, "lock: sample %zu lies on cell %u, expected less than %zu", i,
                           lock->cells[i], lock->cell_count);
    for (size_t i = 0; i < places; i++)
        if (!(lock->weights[i] > 0 && lock->weights[i] < 1e6f && lock->hold[i] >= 0 && lock->hold[i] <= 1))
            return kn_fail(error, KN_ERROR_INPUT,
                           "lock: place %zu has weight %g and hold %g, expected above 0 and 0..1", i,
                           (double)lock->weights[i], (double)lock->hold[i]);
    return true;
}

/* Where a place of the raster [n][h block][w block] lies in the tensor's order. */
static size_t packed_place(const kn_lock_shape *s, size_t raster) {
    size_t b = (size_t)s->block, wide = (size_t)s->w * b, high = (size_t)s->h * b;
    if (b == 1) return raster;
    size_t x = raster % wide, y = raster / wide % high, n = raster / (wide * high);
    return ((n * (size_t)s->h + y / b) * (size_t)s->w + x / b) * b * b + y % b * b + x % b;
}

static bool upload(kn_gpu_buffer **buffer, kn_gpu *gpu, const void *data, size_t bytes, kn_error *error) {
    size_t room = (bytes / KN_GPU_ALIGN + 1) * KN_GPU_ALIGN;
    return kn_gpu_buffer_create(buffer, gpu, room, KN_GPU_MEMORY_DEVICE, error) &&
           (bytes == 0 || kn_gpu_upload(*buffer, 0, data, bytes, error));
}

/* A list per group: members of group g are list[first[g]] .. list[first[g + 1] - 1], in the order of their numbers. */
typedef struct grouping {
    uint32_t *first, *list;
    size_t count;
} grouping;

static bool group(grouping *g, const uint32_t *groups, size_t items, size_t per_item, size_t group_count,
                  kn_error *error) {
    size_t all = items * per_item;
    g->first = kn_alloc(group_count + 2, sizeof *g->first, error);
    g->list = g->first ? kn_alloc(all + 1, sizeof *g->list, error) : NULL;
    if (!g->list) return false;
    uint32_t *at = g->first + 1; /* at[g]: where the next member of g goes; when all are in, where g ends */
    for (size_t i = 0; i < all; i++)
        if (groups[i] != KN_LOCK_FREE) at[groups[i] + 1]++;
    for (size_t i = 1; i <= group_count; i++) at[i] += at[i - 1];
    g->count = at[group_count];
    for (size_t i = 0; i < all; i++)
        if (groups[i] != KN_LOCK_FREE) g->list[at[groups[i]]++] = (uint32_t)(i / per_item);
    return true;
}

static void group_finish(grouping *g) {
    kn_free(g->first);
    kn_free(g->list);
    *g = (grouping){0};
}

static bool upload_groups(kn_gpu_buffer **first, kn_gpu_buffer **list, kn_gpu *gpu, const uint32_t *groups,
                          size_t items, size_t per_item, size_t count, kn_error *error) {
    grouping g = {0};
    bool ok = group(&g, groups, items, per_item, count, error) &&
              upload(first, gpu, g.first, (count + 1) * sizeof *g.first, error) &&
              upload(list, gpu, g.list, g.count * sizeof *g.list, error);
    group_finish(&g);
    return ok;
}

/* Room for rows of `channels` floats, padded to vec4s. */
static bool make_values(kn_gpu_buffer **buffer, kn_gpu *gpu, size_t rows, int channels, kn_error *error) {
    size_t bytes = rows * ((size_t)(channels + 3) / 4) * 16;
    return kn_gpu_buffer_create(buffer, gpu, (bytes / KN_GPU_ALIGN + 1) * KN_GPU_ALIGN, KN_GPU_MEMORY_DEVICE, error);
}

/* The patches of places in the tensor's order: ids[places][samples] goes from cells to patches. */
static uint32_t *find_patches(kn_lock_work *work, uint32_t *ids, kn_error *error) {
    size_t places = kn_lock_places(&work->shape), per_picture = places / (size_t)work->shape.n;
    size_t samples = (size_t)work->samples, room = 0;
    uint32_t *cell_of = NULL, *patch = kn_alloc(work->cell_count, sizeof *patch, error);
    size_t *seen = kn_alloc(work->cell_count, sizeof *seen, error); /* picture + 1 in which `patch` was met */
    bool ok = patch && seen;
    work->patch_count = 0;
    for (size_t i = 0; ok && i < places * samples; i++) {
        size_t picture = i / samples / per_picture + 1;
        uint32_t cell = ids[i];
        if (cell == KN_LOCK_FREE) continue;
        if (seen[cell] != picture) {
            if (!(ok = kn_grow(&cell_of, &room, work->patch_count + 1, sizeof *cell_of, error))) break;
            seen[cell] = picture;
            patch[cell] = (uint32_t)work->patch_count;
            cell_of[work->patch_count++] = cell;
        }
        ids[i] = patch[cell];
    }
    ok = ok && kn_grow(&cell_of, &room, 1, sizeof *cell_of, error);
    kn_free(patch);
    kn_free(seen);
    if (ok) return cell_of;
    kn_free(cell_of);
    return NULL;
}

static bool upload_patches(kn_lock_work *work, kn_gpu *gpu, uint32_t *ids, kn_error *error) {
    size_t places = kn_lock_places(&work->shape), samples = (size_t)work->samples;
    uint32_t *cell_of = find_patches(work, ids, error);
    size_t patches = work->patch_count;
    bool ok =
        cell_of && upload(&work->ids, gpu, ids, places * samples * sizeof *ids, error) &&
        upload(&work->cell_of, gpu, cell_of, patches * sizeof *cell_of, error) &&
        upload_groups(&work->patch_first, &work->members, gpu, ids, places, samples, patches, error) &&
        upload_groups(&work->cell_first, &work->patches, gpu, cell_of, patches, 1, work->cell_count, error) &&
        make_values(&work->own, gpu, patches, work->shape.channels, error) &&
        kn_gpu_buffer_create(&work->own_sums, gpu, (patches / 64 + 1) * KN_GPU_ALIGN, KN_GPU_MEMORY_DEVICE, error);
    kn_free(cell_of);
    return ok;
}

static bool upload_places(kn_lock_work *work, kn_gpu *gpu, const kn_lock *lock, kn_error *error) {
    size_t places = kn_lock_places(&work->shape), samples = (size_t)work->samples;
    uint32_t *ids = kn_alloc(places * samples, sizeof *ids, error);
    float *weights = kn_alloc(places, sizeof *weights, error), *hold = kn_alloc(places, sizeof *hold, error);
    bool ok = ids && weights && hold;
    for (size_t i = 0; ok && i < places; i++) {
        size_t to = packed_place(&work->shape, i);
        memcpy(ids + to * samples, lock->cells + i * samples, samples * sizeof *ids);
        weights[to] = lock->weights[i];
        hold[to] = lock->hold[i];
    }
    ok = ok && upload(&work->weights, gpu, weights, places * sizeof *weights, error) &&
         upload(&work->hold, gpu, hold, places * sizeof *hold, error) && upload_patches(work, gpu, ids, error);
    kn_free(ids);
    kn_free(weights);
    kn_free(hold);
    return ok;
}

static bool make_cells(kn_lock_work *work, kn_gpu *gpu, kn_error *error) {
    size_t cells = work->cell_count;
    return make_values(&work->values, gpu, cells, work->shape.channels, error) &&
           kn_gpu_buffer_create(&work->sums, gpu, (cells / 64 + 1) * KN_GPU_ALIGN, KN_GPU_MEMORY_DEVICE, error) &&
           kn_gpu_buffer_create(&work->strength, gpu, KN_GPU_ALIGN, KN_GPU_MEMORY_HOST, error);
}

bool kn_lock_work_init(kn_lock_work *work, kn_gpu *gpu, const kn_lock *lock, const kn_lock_shape *shape,
                       kn_error *error) {
    if (!check(lock, shape, error)) return false;
    work->shape = *shape;
    work->samples = lock->samples;
    work->cell_count = lock->cell_count;
    return upload_places(work, gpu, lock, error) && make_cells(work, gpu, error);
}

void kn_lock_work_finish(kn_lock_work *work) {
    kn_gpu_buffer **all[] = {&work->ids,     &work->hold, &work->weights,  &work->patch_first, &work->members,
                             &work->cell_of, &work->own,  &work->own_sums, &work->cell_first,  &work->patches,
                             &work->values,  &work->sums, &work->strength};
    for (size_t i = 0; i < KN_COUNT(all); i++) kn_gpu_buffer_destroy(all[i]);
    *work = (kn_lock_work){0};
}

uint64_t kn_lock_bytes(const kn_lock_shape *shape, int samples) {
    uint64_t places = kn_lock_places(shape), points = places * (uint64_t)samples, quads = quads_of(shape);
    return 8 * points + 8 * places + places * (16 + 48 * quads + 16) + 20 * KN_GPU_ALIGN;
}

/* --- kernels ------------------------------------------------------------------------------------ */

enum { ITEMS_PER_LANE = 16 };

typedef struct lock_push {
    int32_t count, count_per_group, extra;
} lock_push;

static void bind(const kn_graph *graph, kn_launch *launch, int binding, kn_gpu_buffer *buffer, kn_gpu_format format) {
    bool storage = kn_graph_storage_inputs(graph);
    kn_gpu_slice slice = {.buffer = buffer, .format = format};
    launch->slices[storage ? binding + KN_STORAGE_SLOT : binding] = slice;
    launch->slices[storage ? binding : binding + KN_STORAGE_SLOT] = kn_graph_nothing(graph, format);
}

/* A launch over `count` items; `extra` is the last push constant. */
static kn_launch launch_of(const kn_graph *graph, const kn_lock_work *work, kn_kernel kernel, size_t count,
                           lock_push *push) {
    kn_launch launch = {.kernel = kernel, .label = "lock", .local_size = kn_graph_local_size(graph)};
    size_t per_group = (size_t)launch.local_size * ITEMS_PER_LANE, needed = count / KN_MAX_GROUPS + 1;
    per_group = kn_max_size(per_group, needed);
    push->count = (int32_t)count;
    push->count_per_group = (int32_t)per_group;
    launch.groups[0] = (uint32_t)((count + per_group - 1) / per_group);
    launch.groups[1] = launch.groups[2] = 1;
    launch.constants[4] = (uint32_t)(work->shape.block * work->shape.block);
    launch.constants[5] = (uint32_t)work->shape.channels;
    launch.constants[6] = (uint32_t)work->samples;
    launch.constants[7] = (uint32_t)quads_of(&work->shape);
    launch.push = push;
    launch.push_size = sizeof *push;
    return launch;
}

/* Weighted means of groups of rows: values[count] from rows of x, which lie as `block_area` and `stride` say. */
typedef struct means {
    size_t count;
    kn_gpu_slice x;
    uint32_t block_area;
    int stride;
    kn_gpu_buffer *first, *members, *weights, *values, *sums;
} means;

static bool record_means(kn_graph *graph, const kn_lock_work *work, const means *m, kn_error *error) {
    bool storage = kn_graph_storage_inputs(graph);
    lock_push push = {.extra = m->stride};
    kn_launch launch = launch_of(graph, work, KN_KERNEL_NN_LOCK_CELLS, m->count * quads_of(&work->shape), &push);
    launch.constants[4] = m->block_area;
    launch.slices[storage ? KN_STORAGE_SLOT : 0] = m->x;
    launch.slices[storage ? 0 : KN_STORAGE_SLOT] = kn_graph_nothing(graph, KN_GPU_FORMAT_R32F);
    bind(graph, &launch, 1, m->first, KN_GPU_FORMAT_R32U);
    bind(graph, &launch, 2, m->members, KN_GPU_FORMAT_R32U);
    bind(graph, &launch, 3, m->weights, KN_GPU_FORMAT_R32F);
    kn_launch_output(&launch, 4, (kn_gpu_slice){.buffer = m->values});
    kn_launch_output(&launch, 5, (kn_gpu_slice){.buffer = m->sums});
    return kn_launch_record(graph, &launch, error);
}

static bool record_patches(kn_graph *graph, const kn_lock_work *work, const kn_tensor *x, kn_error *error) {
    means patches = {.count = work->patch_count,
                     .x = x->memory,
                     .block_area = (uint32_t)(work->shape.block * work->shape.block),
                     .stride = x->stride,
                     .first = work->patch_first,
                     .members = work->members,
                     .weights = work->weights,
                     .values = work->own,
                     .sums = work->own_sums};
    patches.x.format = KN_GPU_FORMAT_R32F;
    return record_means(graph, work, &patches, error);
}

static bool record_cells(kn_graph *graph, const kn_lock_work *work, kn_error *error) {
    means cells = {.count = work->cell_count,
                   .x = {.buffer = work->own, .format = KN_GPU_FORMAT_R32F},
                   .block_area = 1,
                   .stride = (int)(4 * quads_of(&work->shape)),
                   .first = work->cell_first,
                   .members = work->patches,
                   .weights = work->own_sums,
                   .values = work->values,
                   .sums = work->sums};
    return record_means(graph, work, &cells, error);
}

static bool record_places(kn_graph *graph, const kn_lock_work *work, const kn_tensor *x, kn_error *error) {
    size_t cells = (size_t)x->n * (size_t)x->h * (size_t)x->w;
    lock_push push = {.extra = x->stride / 4};
    kn_launch launch = launch_of(graph, work, KN_KERNEL_NN_LOCK_PLACES, cells * (size_t)(x->stride / 4), &push);
    bind(graph, &launch, 0, work->ids, KN_GPU_FORMAT_R32U);
    bind(graph, &launch, 1, work->hold, KN_GPU_FORMAT_R32F);
    bind(graph, &launch, 2, work->values, KN_GPU_FORMAT_R32F);
    bind(graph, &launch, 5, work->own, KN_GPU_FORMAT_R32F);
    bind(graph, &launch, 6, work->cell_of, KN_GPU_FORMAT_R32U);
    kn_launch_output(&launch, 3, (kn_gpu_slice){.buffer = work->strength});
    kn_launch_output(&launch, 4, x->memory);
    return kn_launch_record(graph, &launch, error);
}

bool kn_lock_record(kn_graph *graph, const kn_lock_work *work, const kn_tensor *x, kn_error *error) {
    const kn_lock_shape *s = &work->shape;
    if (!kn_op_check(x->n == s->n && x->h == s->h && x->w == s->w && x->stride == s->stride &&
                         s->channels * s->block * s->block <= x->stride,
                     error, "lock", "the tensor that its links were made for"))
        return false;
    uint64_t limit = kn_graph_binding_limit(graph);
    if (kn_gpu_buffer_size(work->ids) > limit || kn_gpu_buffer_size(work->own) > limit ||
        kn_tensor_member_bytes(x) * (size_t)x->n > limit)
        return kn_fail(
            error, KN_ERROR_UNSUPPORTED,
            "locked sampling of %d pictures at once is too large for this device: sample fewer frames together", x->n);
    return work->cell_count == 0 || work->patch_count == 0 ||
           (record_patches(graph, work, x, error) && record_cells(graph, work, error) &&
            record_places(graph, work, x, error));
}

bool kn_lock_set_strength(const kn_lock_work *work, float strength, kn_error *error) {
    return kn_gpu_upload(work->strength, 0, &strength, sizeof strength, error);
}
