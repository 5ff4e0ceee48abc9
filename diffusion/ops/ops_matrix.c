/* Linear layers and convolutions: dispatch of the nn/conv kernels. */
#include "diffusion/ops/host_layer.h"
#include "diffusion/ops/ops_internal.h"

#include <string.h>

/* The push block of shaders/nn/conv_push.glsl. */
typedef struct conv_push {
    int32_t rows, out_h, out_w, in_h, in_w, view_h, view_w, in_vectors, out_vectors, taps_y, taps_x, stride, pad;
    int32_t first_member, gate_panels, flags, digits[8];
} conv_push;

enum { FLAG_BROADCAST = 1, FLAG_RESIDUAL = 2, PLAIN_TILE_ROWS = 8, FEW_ROWS = 4, LOOP_LIMIT = 60000 };

/* --- dispatch --------------------------------------------------------------------------------- */

/* One layer on its way to the kernels. */
typedef struct layer {
    const kn_tensor *in, *out, *residual, *broadcast;
    const kn_weight *weight;
    conv_push push;
    kn_activation activation; /* fused */
    bool gated;
    const char *label;
} layer;

static kn_gpu_slice whole(kn_gpu_buffer *buffer, kn_gpu_format format) {
    return (kn_gpu_slice){buffer, 0, buffer ? kn_gpu_buffer_size(buffer) : 0, format};
}

static void bind(const kn_graph *graph, kn_launch *launch, const layer *l, int first, int count) {
    kn_gpu_slice nothing = kn_graph_nothing(graph, KN_GPU_FORMAT_RGBA32F);
    launch->slices[0] = kn_tensor_members(l->in, first, count);
    launch->slices[1] = whole(l->weight->buffer, l->weight->half ? KN_GPU_FORMAT_RGBA16F : KN_GPU_FORMAT_RGBA32F);
    launch->slices[2] = kn_tensor_members(l->out, first, count);
    launch->slices[3] = whole(l->weight->bias, KN_GPU_FORMAT_RGBA32F);
    launch->slices[4] = l->residual ? kn_tensor_members(l->residual, first, count) : nothing;
    launch->slices[5] = l->broadcast ? kn_tensor_members(l->broadcast, 0, l->broadcast->n) : nothing;
}

static bool is_resized(const conv_push *p) { return p->view_h != p->in_h || p->view_w != p->in_w; }

/* Where the end of a tile takes a good part of its time. */
static bool stores_shared(const kn_graph *graph, const conv_push *p) {
    return p->taps_x * p->taps_y * p->in_vectors <= kn_graph_tuning(graph)->conv_shared;
}

/* The subgroup kernel: tiles of row_blocks x lanes rows and one panel of channels, or a panel and its gate. */
static void shape_fast(const kn_graph *graph, kn_launch *launch, const layer *l, int lanes, int row_blocks) {
    const conv_push *p = &l->push;
    int panels = l->gated ? 2 : 1;
    bool pointwise = p->taps_x == 1 && p->taps_y == 1 && p->stride == 1 && p->pad == 0 && !is_resized(p);
    launch->kernel = KN_KERNEL_NN_CONV;
    launch->local_size = (uint32_t)lanes;
    launch->constants[4] = (uint32_t)row_blocks;
    launch->constants[5] = (uint32_t)panels;
    launch->constants[6] = l->activation;
    launch->constants[7] = l->broadcast != NULL;
    launch->constants[8] = l->residual != NULL;
    launch->constants[9] = l->gated;
    launch->constants[10] = pointwise;
    launch->constants[11] = is_resized(p);
    launch->constants[12] = stores_shared(graph, p);
    launch->groups[0] = (uint32_t)((p->rows + row_blocks * lanes - 1) / (row_blocks * lanes));
    launch->groups[1] = (uint32_t)(l->weight->panels / panels);
    launch->groups[2] = 1;
}

/* Few output channels: one workgroup takes them all, row_blocks x lanes rows at a time. */
static void shape_narrow(kn_launch *launch, const layer *l, int lanes, int row_blocks) {
    launch->kernel = KN_KERNEL_NN_CONV_NARROW;
    launch->local_size = (uint32_t)lanes;
    launch->constants[4] = (uint32_t)row_blocks;
    launch->constants[5] = (uint32_t)l->push.out_vectors;
    launch->constants[6] = l->activation;
    launch->constants[7] = l->broadcast != NULL;
    launch->constants[8] = l->residual != NULL;
    launch->constants[11] = is_resized(&l->push);
    launch->groups[0] = (uint32_t)((l->push.rows + row_blocks * lanes - 1) / (row_blocks * lanes));
    launch->groups[1] = launch->groups[2] = 1;
}

/* Last layers of networks: 3x3 to at most four channels. nn/conv_few needs a lane for each tap. */
static bool is_few(const layer *l, int lanes) {
    const conv_push *p = &l->push;
    int64_t pixels = (int64_t)p->out_w * ((p->out_h + FEW_ROWS - 1) / FEW_ROWS), tile = lanes - 2;
    return lanes > 9 && !l->gated && !l->residual && !l->broadcast && p->out_vectors == 1 && p->taps_y == 3 &&
           p->taps_x == 3 && p->stride == 1 && p->pad == 1 && p->out_h == p->in_h && p->out_w == p->in_w &&
           !is_resized(p) && (pixels + tile - 1) / tile <= KN_MAX_GROUPS;
}

static void shape_few(kn_launch *launch, const layer *l, int lanes, int members) {
    int pixels = l->push.out_w * ((l->push.out_h + FEW_ROWS - 1) / FEW_ROWS), tile = lanes - 2;
    launch->kernel = KN_KERNEL_NN_CONV_FEW;
    launch->local_size = (uint32_t)lanes;
    launch->constants[4] = FEW_ROWS;
    launch->constants[6] = l->activation;
    launch->groups[0] = (uint32_t)((pixels + tile - 1) / tile);
    launch->groups[1] = 1;
    launch->groups[2] = (uint32_t)members;
}

static void shape_plain(kn_launch *launch, const layer *l, uint32_t local_size) {
    launch->kernel = KN_KERNEL_NN_CONV_PLAIN;
    launch->local_size = local_size;
    launch->constants[4] = PLAIN_TILE_ROWS;
    launch->constants[5] = (uint32_t)l->weight->lanes;
    launch->constants[6] = l->activation;
    launch->constants[7] = l->weight->half;
    launch->groups[0] = (uint32_t)((l->push.rows + PLAIN_TILE_ROWS - 1) / PLAIN_TILE_ROWS);
    launch->groups[1] = ((uint32_t)l->push.out_vectors + local_size - 1) / local_size;
    launch->groups[2] = 1;
}

/* The kernels of GPUs, by a plan of ops_variant.h. */
static void shape_planned(const kn_graph *graph, kn_launch *launch, const layer *l, const kn_conv_plan *plan) {
    const kn_gpu_info *info = kn_gpu_get_info(kn_graph_gpu(graph));
    bool cooperative = plan->variant == KN_VARIANT_COOPERATIVE;
    launch->kernel = cooperative ? KN_KERNEL_NN_CONV_COOP : KN_KERNEL_NN_CONV_TILED;
    launch->local_size = (uint32_t)plan->threads;
    launch->constants[4] = (uint32_t)plan->tile_rows;
    launch->constants[5] = (uint32_t)l->weight->lanes;
    launch->constants[6] = l->activation;
    launch->constants[7] = cooperative ? info->subgroup_size : l->weight->half;
    launch->constants[8] = (uint32_t)plan->panels;
    launch->constants[9] = l->gated;
    launch->constants[10] = (uint32_t)plan->depth;
    launch->constants[11] = is_resized(&l->push);
    launch->constants[12] = info->matrix_m;
    launch->constants[13] = info->matrix_n;
    launch->constants[14] = info->matrix_k;
    launch->constants[15] = (uint32_t)plan->row_groups;
    launch->groups[0] = (uint32_t)((l->push.rows + plan->tile_rows - 1) / plan->tile_rows);
    launch->groups[1] = (uint32_t)(l->weight->panels / plan->panels);
    launch->groups[2] = 1;
}

static bool fast_fits(const kn_graph *graph, const layer *l) {
    const kn_gpu_info *info = kn_gpu_get_info(kn_graph_gpu(graph));
    size_t vectors = kn_weight_matrix_bytes(l->weight) / (l->weight->half ? 8 : 16);
    return kn_graph_lanes(graph) && l->weight->lanes == kn_graph_lanes(graph) && vectors <= info->max_texel_elements;
}

/* Inputs of the subgroup kernels are texel buffers, which may be larger than storage bindings. */
static bool binds_whole(const kn_graph *graph, const layer *l) {
    uint64_t texels = kn_gpu_get_info(kn_graph_gpu(graph))->max_texel_elements, members = (uint64_t)l->out->n;
    return members * kn_tensor_member_bytes(l->out) <= kn_graph_binding_limit(graph) &&
           members * kn_tensor_member_bytes(l->in) / 16 <= texels;
}

/* Subgroups of rows in a tile: few where there are few rows, and where registers or code are needed for more than
 * products. */
static int row_blocks_of(const kn_graph *graph, const layer *l, int lanes, int64_t rows) {
    int most = kn_graph_tuning(graph)->conv_blocks;
    if (rows <= 8 * lanes) return 1;
    return most > 2 && (l->gated || stores_shared(graph, &l->push)) ? 2 : most;
}

/* First byte of a tensor that is mapped; NULL for none. */
static void *mapped(const kn_tensor *t) {
    return t ? (uint8_t *)kn_gpu_buffer_map(t->memory.buffer) + t->memory.offset : NULL;
}

/* The layer on the processors. */
static bool dispatch_host(kn_graph *graph, const layer *l, kn_error *error) {
    const kn_weight *w = l->weight;
    const conv_push *p = &l->push;
    kn_host_layer h = {.rows = l->out->n * l->out->h * l->out->w,
                       .out_h = p->out_h,
                       .out_w = p->out_w,
                       .in_h = p->in_h,
                       .in_w = p->in_w,
                       .view_h = p->view_h,
                       .view_w = p->view_w,
                       .in_stride = l->in->stride,
                       .out_stride = l->out->stride,
                       .taps_y = p->taps_y,
                       .taps_x = p->taps_x,
                       .stride = p->stride,
                       .pad = p->pad,
                       .panels = w->panels,
                       .width = 4 * w->lanes,
                       .activation = l->activation,
                       .half = w->half,
                       .gated = l->gated};
    kn_gpu_slice slices[] = {l->in->memory,
                             l->out->memory,
                             {.buffer = w->buffer},
                             {.buffer = w->bias},
                             l->residual ? l->residual->memory : (kn_gpu_slice){0},
                             l->broadcast ? l->broadcast->memory : (kn_gpu_slice){0}};
    if (!kn_graph_is_dry(graph)) {
        h.in = mapped(l->in);
        h.out = mapped(l->out);
        h.weights = kn_gpu_buffer_map(w->buffer);
        h.bias = kn_gpu_buffer_map(w->bias);
        h.residual = mapped(l->residual);
        h.broadcast = mapped(l->broadcast);
    }
    kn_gpu_host_call call = {.run = kn_host_layer_run,
                             .arguments = &h,
                             .argument_size = sizeof h,
                             .scratch_size = kn_host_layer_scratch(&h),
                             .tasks = kn_host_layer_tasks(&h),
                             .slices = slices,
                             .slice_count = KN_COUNT(slices),
                             .kernel = KN_KERNEL_NN_CONV,
                             .label = l->label};
    if (w->half) kn_graph_note_half(graph);
    return kn_launch_host(graph, &call, 2.0 * h.rows * w->out * w->in * w->kernel_h * w->kernel_w, error);
}

static bool dispatch(kn_graph *graph, layer *l, kn_error *error) {
    if (kn_graph_variant(graph) == KN_VARIANT_HOST) return dispatch_host(graph, l, error);
    int lanes = kn_graph_lanes(graph), pixels = l->out->h * l->out->w, chunk;
    bool fast = fast_fits(graph, l);
    int row_blocks = row_blocks_of(graph, l, lanes, (int64_t)l->out->n * pixels);
    kn_conv_plan plan = kn_plan_conv(kn_gpu_get_info(kn_graph_gpu(graph)), kn_graph_tuning(graph),
                                     kn_graph_variant(graph), l->weight, (int64_t)l->out->n * pixels, l->gated);
    int tile_rows = fast ? row_blocks * lanes : plan.tile_rows;
    if (l->weight->half) kn_graph_note_half(graph);
    const kn_tensor *tensors[] = {l->in, l->out, l->residual};
    int cap = (int)((int64_t)KN_MAX_GROUPS * tile_rows / pixels);
    if (fast && l->out->n <= cap && binds_whole(graph, l)) chunk = l->out->n;
    else if (!kn_graph_chunk(graph, tensors, 3, cap, &chunk, error)) return false;
    for (int first = 0; first < l->out->n; first += chunk) {
        int count = l->out->n - first < chunk ? l->out->n - first : chunk;
        kn_launch launch = {.label = l->label};
        l->push.rows = count * pixels;
        l->push.first_member = first;
        bind(graph, &launch, l, first, count);
        if (fast && is_few(l, lanes)) shape_few(&launch, l, lanes, count);
        else if (fast && !l->gated && l->push.out_vectors <= lanes / 2) shape_narrow(&launch, l, lanes, row_blocks);
        else if (fast) shape_fast(graph, &launch, l, lanes, row_blocks);
        else if (plan.variant != KN_VARIANT_PLAIN) shape_planned(graph, &launch, l, &plan);
        else shape_plain(&launch, l, kn_graph_local_size(graph));
        launch.push = &l->push;
        launch.push_size = sizeof l->push;
        launch.flops = 2.0 * l->push.rows * l->weight->out * l->weight->in * l->weight->kernel_h * l->weight->kernel_w;
        if (!kn_launch_record(graph, &launch, error)) return false;
    }
    return true;
}

static bool same_shape(const kn_tensor *a, int n, int h, int w, int c) {
    return a->n == n && a->h == h && a->w == w && a->c == c;
}

/* Activations whose code would be repeated for every row of a tile run as a pass of their own. */
static bool fuses(const kn_graph *graph, kn_activation activation) {
    return kn_graph_variant(graph) == KN_VARIANT_HOST || !kn_graph_lanes(graph) || activation == KN_ACTIVATION_NONE ||
           activation == KN_ACTIVATION_SILU || activation == KN_ACTIVATION_RELU;
}

static bool run_layer(kn_graph *graph, kn_tensor *out, const kn_tensor *in, const kn_weight *weight,
                      const kn_conv_params *params, bool gated, const char *label, kn_error *error) {
    int view_h = params->view_h ? params->view_h : in->h, view_w = params->view_w ? params->view_w : in->w;
    int span_h = view_h + params->pad + params->pad_end - weight->kernel_h;
    int span_w = view_w + params->pad + params->pad_end - weight->kernel_w;
    int out_c = gated ? weight->out / 2 : weight->out;
    *out = (kn_tensor){0};
    if (params->stride < 1 || params->pad < 0 || params->pad_end < 0 || view_h < 1 || view_w < 1 || span_h < 0 ||
        span_w < 0)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: kernel %d x %d does not fit an input of %d x %d", label,
                       weight->kernel_h, weight->kernel_w, view_h, view_w);
    if (in->c != weight->in)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: input has %d channels, the weight expects %d", label, in->c,
                       weight->in);
    if ((int64_t)weight->kernel_h * weight->kernel_w * (in->stride / 4) > LOOP_LIMIT)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: %d x %d x %d weights an output are too many", label,
                       weight->kernel_h, weight->kernel_w, weight->in);
    int out_h = span_h / params->stride + 1, out_w = span_w / params->stride + 1;
    if ((params->residual && !same_shape(params->residual, in->n, out_h, out_w, out_c)) ||
        (params->broadcast && !same_shape(params->broadcast, in->n, 1, 1, out_c)))
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: residual or broadcast differs from the output's shape", label);
    if (!kn_graph_fetch(graph, weight, error) || !kn_graph_tensor(graph, out, in->n, out_h, out_w, out_c, error))
        return false;

    bool fused = fuses(graph, params->activation);
    layer l = {
        .in = in,
        .out = out,
        .weight = weight,
        .broadcast = params->broadcast,
        .gated = gated,
        .label = label,
        .residual = fused ? params->residual : NULL,
        .activation = fused ? params->activation : KN_ACTIVATION_NONE,
        .push = {.out_h = out_h,
                 .out_w = out_w,
                 .in_h = in->h,
                 .in_w = in->w,
                 .view_h = view_h,
                 .view_w = view_w,
                 .in_vectors = in->stride / 4,
                 .out_vectors = out->stride / 4,
                 .taps_y = weight->kernel_h,
                 .taps_x = weight->kernel_w,
                 .stride = params->stride,
                 .pad = params->pad,
                 .gate_panels = weight->panels / 2,
                 .flags = (params->broadcast ? FLAG_BROADCAST : 0) | (params->residual ? FLAG_RESIDUAL : 0),
                 .digits = KN_DIGITS},
    };
    const kn_winograd winograd = {in, out, l.residual, l.broadcast, weight, l.activation, view_h, view_w};
    bool square = weight->kernel_h == 3 && weight->kernel_w == 3 && params->stride == 1 && params->pad == 1 &&
                  params->pad_end == 1 && !gated;
    bool recorded = square && kn_winograd_pays(graph, &winograd) ? kn_winograd_record(graph, &winograd, error)
                                                                 : dispatch(graph, &l, error);
    if (recorded && (fused || kn_activation_in_place(graph, out, params->activation, params->residual, error)))
        return true;
    kn_graph_release(graph, out);
    return false;
}

bool kn_op_conv(kn_graph *graph, kn_tensor *out, const kn_tensor *in, const kn_weight *weight,
                const kn_conv_params *params, kn_error *error) {
    return run_layer(graph, out, in, weight, params, false,
                     weight->kernel_h == 1 && weight->kernel_w == 1 ? "conv 1x1" : "conv", error);
}

bool kn_op_linear(kn_graph *graph, kn_tensor *out, const kn_tensor *in, const kn_weight *weight,
                  kn_activation activation, const kn_tensor *residual, kn_error *error) {
    if (!kn_op_check(weight->kernel_h == 1 && weight->kernel_w == 1, error, "linear", "a 1 x 1 weight")) return false;
    kn_conv_params params = {.stride = 1, .activation = activation, .residual = residual};
    return run_layer(graph, out, in, weight, &params, false, "linear", error);
}

bool kn_op_linear_geglu(kn_graph *graph, kn_tensor *out, const kn_tensor *in, const kn_weight *weight,
                        kn_error *error) {
    if (!kn_op_check(weight->kernel_h == 1 && weight->kernel_w == 1 && weight->out % 2 == 0, error, "geglu",
                     "a 1 x 1 weight with an even output"))
        return false;
    kn_conv_params params = {.stride = 1};
    layer probe = {.weight = weight};
    if ((fast_fits(graph, &probe) && weight->out % (8 * weight->lanes) == 0) ||
        kn_plan_gates(kn_gpu_get_info(kn_graph_gpu(graph)), kn_graph_tuning(graph), kn_graph_variant(graph), weight))
        return run_layer(graph, out, in, weight, &params, true, "linear geglu", error);
    kn_tensor both;
    *out = (kn_tensor){0};
    if (!run_layer(graph, &both, in, weight, &params, false, "linear", error)) return false;
    bool ok = kn_op_geglu(graph, out, &both, error);
    kn_graph_release(graph, &both);
    return ok;
}
