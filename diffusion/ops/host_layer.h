/* Linear layers and convolutions on the processors themselves: what a software device gets in place of the kernels of
 * shaders/nn. Its compiler knows no fused multiply-add, reads vectors lane by lane and needs a second for each variant
 * of a kernel; this needs none of that and is three to five times as fast. Internal to diffusion/ops. */
#ifndef KN_DIFFUSION_HOST_LAYER_H
#define KN_DIFFUSION_HOST_LAYER_H

#include <stdbool.h>
#include <stddef.h>

/* One layer. `in` [n][in_h][in_w][in_stride], `out` [n][out_h][out_w][out_stride] with rows = n * out_h * out_w,
 * weights as in kn_weight (ops.h), fp16 when `half`; bias [panels * width]; residual shaped like out, broadcast
 * [n][out_stride]: NULL without. gated: out = (panel p) * gelu(panel p + panels / 2). Pointers must stay valid while
 * tasks run. */
typedef struct kn_host_layer {
    const float *in, *bias, *residual, *broadcast;
    const void *weights;
    float *out;
    int rows, out_h, out_w, in_h, in_w, view_h, view_w, in_stride, out_stride, taps_y, taps_x, stride, pad;
    int panels, width, activation; /* width: channels of a panel; activation: kn_activation */
    bool half, gated;
} kn_host_layer;

/* Tasks that the layer falls into, in any order and at the same time on any number of threads; results do not depend on
 * that. */
int kn_host_layer_tasks(const kn_host_layer *layer);
/* Bytes that a thread needs for its tasks, aligned to 64. */
size_t kn_host_layer_scratch(const kn_host_layer *layer);
void kn_host_layer_run(const void *layer, int task, void *scratch);

#endif
