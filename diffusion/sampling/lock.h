/* Locked sampling on the device: what shows one surface gets one mean, while what each picture shows within a cell
 * stays. Internal to diffusion/. A patch is the part of a cell that one picture shows. With cells c, patches q, places
 * p, points of a place and estimates x:
 *   patch    u[q] = sum over its points of weight[p] x[p] / sum of weight[p]
 *   cell     v[c] = mean over its patches of u[q], weighted by their sums of weights
 *   place    x[p] += strength hold[p] (points with a cell / points) (mean over those of v[cell of q] - u[q])
 * Everything is gathered in a fixed order, so that results repeat bit for bit. */
#ifndef KN_DIFFUSION_LOCK_H
#define KN_DIFFUSION_LOCK_H

#include "diffusion/ops/ops.h"
#include "kinora/diffusion.h"

/* How a tensor holds places: [n][h][w][stride] with block x block places and `channels` vectors of them in each of its
 * cells, in PyTorch's pixel_unshuffle order. block 1: a place is a cell. */
typedef struct kn_lock_shape {
    int n, h, w, stride;
    int block, channels;
} kn_lock_shape;

size_t kn_lock_places(const kn_lock_shape *shape); /* of all n */

/* The links of one clip on the device. Zero-initialise. */
typedef struct kn_lock_work {
    kn_lock_shape shape;
    int samples;
    size_t cell_count, patch_count;
    kn_gpu_buffer *ids;         /* u32 [places][samples]: patch of each, KN_LOCK_FREE none; places as they lie in x */
    kn_gpu_buffer *hold;        /* f32 [places] */
    kn_gpu_buffer *weights;     /* f32 [places] */
    kn_gpu_buffer *patch_first; /* u32 [patch_count + 1]: a patch's part of members */
    kn_gpu_buffer *members;     /* u32: places */
    kn_gpu_buffer *cell_of;     /* u32 [patch_count] */
    kn_gpu_buffer *cell_first;  /* u32 [cell_count + 1]: a cell's part of patches */
    kn_gpu_buffer *patches;     /* u32 */
    kn_gpu_buffer *own;         /* f32 [patch_count][quads][4] */
    kn_gpu_buffer *own_sums;    /* f32 [patch_count]: of weights */
    kn_gpu_buffer *values;      /* f32 [cell_count][quads][4] */
    kn_gpu_buffer *sums;        /* f32 [cell_count]: of weights */
    kn_gpu_buffer *strength;    /* f32, host-visible */
} kn_lock_work;

/* Checks the links and brings them onto the device. Finish also after failure. */
bool kn_lock_work_init(kn_lock_work *work, kn_gpu *gpu, const kn_lock *lock, const kn_lock_shape *shape,
                       kn_error *error);
void kn_lock_work_finish(kn_lock_work *work);
/* Records the fusion of `x`, which has the shape's n, h, w and stride, in place. */
bool kn_lock_record(kn_graph *graph, const kn_lock_work *work, const kn_tensor *x, kn_error *error);
bool kn_lock_set_strength(const kn_lock_work *work, float strength, kn_error *error);
/* Device memory of such links, bytes, if there are as many cells as places. */
uint64_t kn_lock_bytes(const kn_lock_shape *shape, int samples);

#endif
