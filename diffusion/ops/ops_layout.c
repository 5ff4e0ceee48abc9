/* Element-wise operations and operations that only move data. */
#include "diffusion/ops/ops_internal.h"

/* Push block of the kernels that walk output rows; each kernel of nn/ declares the prefix that it uses. */
typedef struct walk_push {
    int32_t columns, rows, rows_per_group, extra[12];
} walk_push;

typedef struct add_push {
    int32_t columns, pixels, pixels_per_group, first_member, b_members, b_pixels;
    float scale_a, scale_b;
} add_push;

/* One walk over the output rows of every member, split along n. `rows` is per member. `a` may have another member
 * size. */
typedef struct walk {
    kn_kernel kernel;
    const char *label;
    const kn_tensor *out, *a, *b; /* b may be NULL */
    int extra_count;              /* entries of push.extra */
    walk_push push;
    uint32_t constant; /* specialization constant 4 */
    bool shared;       /* the kernel uses walk_shared.glsl */
} walk;

static bool run_walk(kn_graph *graph, walk *w, kn_error *error) {
    const kn_tensor *tensors[] = {w->out, w->a, w->b};
    int chunk, pixels = w->out->h * w->out->w, n = w->out->n;
    if (!kn_graph_chunk(graph, tensors, 3, INT32_MAX / pixels, &chunk, error)) return false;
    for (int first = 0; first < n; first += chunk) {
        int count = n - first < chunk ? n - first : chunk;
        kn_launch launch = {.kernel = w->kernel, .label = w->label};
        w->push.columns = w->out->stride / 4;
        w->push.rows = count * pixels;
        w->push.rows_per_group =
            (w->shared ? kn_launch_walk_shared : kn_launch_walk)(graph, &launch, w->push.rows, w->push.columns, 1);
        launch.push = &w->push;
        launch.push_size = (uint32_t)(3 + w->extra_count) * sizeof(int32_t);
        launch.constants[4] = w->constant;
        int slot = 0;
        kn_launch_input(graph, &launch, slot++, kn_tensor_members(w->a, first, count));
        if (w->b) kn_launch_input(graph, &launch, slot++, kn_tensor_members(w->b, first, count));
        kn_launch_output(&launch, slot, kn_tensor_members(w->out, first, count));
        if (!kn_launch_record(graph, &launch, error)) return false;
    }
    return true;
}

/* Creates the output and runs the walk; releases it on failure. */
static bool make(kn_graph *graph, kn_tensor *out, int n, int h, int width, int c, walk *w, kn_error *error) {
    if (!kn_graph_tensor(graph, out, n, h, width, c, error)) return false;
    w->out = out;
    if (run_walk(graph, w, error)) return true;
    kn_graph_release(graph, out);
    return false;
}

/* --- element by element ----------------------------------------------------------------------- */

static bool record_activation(kn_graph *graph, const kn_tensor *out, const kn_tensor *in, kn_activation activation,
                              const kn_tensor *residual, kn_error *error) {
    const kn_tensor *tensors[] = {in, out, residual};
    int chunk;
    if (!kn_graph_chunk(graph, tensors, 3, in->n, &chunk, error)) return false;
    for (int first = 0; first < in->n; first += chunk) {
        int count = in->n - first < chunk ? in->n - first : chunk;
        int32_t vectors = (int32_t)(kn_tensor_member_bytes(in) / 16 * (size_t)count);
        uint32_t lanes = kn_graph_local_size(graph), groups = ((uint32_t)vectors + 4 * lanes - 1) / (4 * lanes);
        kn_launch launch = {.kernel = KN_KERNEL_NN_ACTIVATION,
                            .label = "activation",
                            .push = &vectors,
                            .push_size = sizeof vectors,
                            .local_size = lanes,
                            .groups = {groups < 32768 ? groups : 32768, (groups + 32767) / 32768, 1}};
        launch.constants[4] = activation;
        launch.constants[5] = residual != NULL;
        kn_launch_input(graph, &launch, 0, kn_tensor_members(in, first, count));
        kn_launch_input(graph, &launch, 1,
                        residual ? kn_tensor_members(residual, first, count)
                                 : kn_graph_nothing(graph, KN_GPU_FORMAT_RGBA32F));
        kn_launch_output(&launch, 2, kn_tensor_members(out, first, count));
        if (!kn_launch_record(graph, &launch, error)) return false;
    }
    return true;
}

bool kn_activation_in_place(kn_graph *graph, const kn_tensor *x, kn_activation activation, const kn_tensor *residual,
                            kn_error *error) {
    return record_activation(graph, x, x, activation, residual, error);
}

bool kn_op_activation(kn_graph *graph, kn_tensor *out, const kn_tensor *in, kn_activation activation, kn_error *error) {
    if (!kn_graph_tensor(graph, out, in->n, in->h, in->w, in->c, error)) return false;
    if (record_activation(graph, out, in, activation, NULL, error)) return true;
    kn_graph_release(graph, out);
    return false;
}

static bool record_add(kn_graph *graph, const kn_tensor *out, const kn_tensor *a, const kn_tensor *b, float scale_a,
                       float scale_b, kn_error *error) {
    const kn_tensor *tensors[] = {a, out, b->n == a->n ? b : NULL};
    int chunk;
    if (!kn_graph_chunk(graph, tensors, 3, KN_MAX_GROUPS, &chunk, error)) return false;
    for (int first = 0; first < a->n; first += chunk) {
        int count = a->n - first < chunk ? a->n - first : chunk;
        bool paired = b->n == a->n,
             flat = paired && b->h * b->w == a->h * a->w; /* flat: no member needs to be told apart */
        int pixels = a->h * a->w * (flat ? count : 1), members = flat ? 1 : count;
        add_push push = {.columns = a->stride / 4,
                         .pixels = pixels,
                         .first_member = paired ? 0 : first,
                         .b_members = flat     ? 1
                                      : paired ? count
                                               : b->n,
                         .b_pixels = flat ? pixels : b->h * b->w,
                         .scale_a = scale_a,
                         .scale_b = scale_b};
        kn_launch launch = {.kernel = KN_KERNEL_NN_ADD, .label = "add", .push = &push, .push_size = sizeof push};
        push.pixels_per_group = kn_launch_walk(graph, &launch, pixels, push.columns, members);
        kn_launch_input(graph, &launch, 0, kn_tensor_members(a, first, count));
        kn_launch_input(graph, &launch, 1, paired ? kn_tensor_members(b, first, count) : kn_tensor_members(b, 0, b->n));
        kn_launch_output(&launch, 2, kn_tensor_members(out, first, count));
        if (!kn_launch_record(graph, &launch, error)) return false;
    }
    return true;
}

bool kn_op_add(kn_graph *graph, kn_tensor *out, const kn_tensor *a, const kn_tensor *b, float scale_a, float scale_b,
               kn_error *error) {
    *out = (kn_tensor){0};
    bool full = b->h == a->h && b->w == a->w && (b->n == a->n || b->n == 1);
    bool pixel = b->h == 1 && b->w == 1 && a->n % b->n == 0;
    if (!kn_op_check(a->c == b->c && (full || pixel), error, "add",
                     "operands of one shape, or a second one that repeats") ||
        !kn_graph_tensor(graph, out, a->n, a->h, a->w, a->c, error))
        return false;
    if (record_add(graph, out, a, b, scale_a, scale_b, error)) return true;
    kn_graph_release(graph, out);
    return false;
}

bool kn_op_geglu(kn_graph *graph, kn_tensor *out, const kn_tensor *in, kn_error *error) {
    *out = (kn_tensor){0};
    if (!kn_op_check(in->c % 8 == 0, error, "geglu", "channels that are a multiple of 8")) return false;
    walk w = {.kernel = KN_KERNEL_NN_GEGLU, .label = "geglu", .a = in};
    return make(graph, out, in->n, in->h, in->w, in->c / 2, &w, error);
}

/* --- moving data ------------------------------------------------------------------------------ */

bool kn_op_concat(kn_graph *graph, kn_tensor *out, const kn_tensor *a, const kn_tensor *b, kn_error *error) {
    *out = (kn_tensor){0};
    if (!kn_op_check(a->n == b->n && a->h == b->h && a->w == b->w, error, "concat", "inputs of one size")) return false;
    walk w = {.kernel = KN_KERNEL_NN_CONCAT,
              .label = "concat",
              .a = a,
              .b = b,
              .shared = true,
              .extra_count = 12,
              .push.extra = {a->c, b->c, a->stride / 4, b->stride / 4, /* digits */ 0, 1, 2, 3, 4, 5, 6, 7}};
    return make(graph, out, a->n, a->h, a->w, a->c + b->c, &w, error);
}

bool kn_op_upsample_nearest(kn_graph *graph, kn_tensor *out, const kn_tensor *in, int h, int width, kn_error *error) {
    walk w = {.kernel = KN_KERNEL_NN_UPSAMPLE,
              .label = "upsample",
              .a = in,
              .extra_count = 4,
              .push.extra = {in->h, in->w, h, width}};
    return make(graph, out, in->n, h, width, in->c, &w, error);
}

bool kn_op_frames_to_tokens(kn_graph *graph, kn_tensor *out, const kn_tensor *in, int frames, kn_error *error) {
    *out = (kn_tensor){0};
    if (!kn_op_check(frames > 0 && in->n % frames == 0, error, "frames to tokens", "a batch that the frames divide"))
        return false;
    int clips = in->n / frames, pixels = in->h * in->w;
    kn_tensor from = kn_tensor_view(in, clips, frames, pixels);
    walk w = {.kernel = KN_KERNEL_NN_PERMUTE,
              .label = "frames to tokens",
              .a = &from,
              .extra_count = 2,
              .push.extra = {frames, pixels}};
    if (!make(graph, out, clips, pixels, frames, in->c, &w, error)) return false;
    *out = kn_tensor_view(out, clips * pixels, 1, frames);
    return true;
}

bool kn_op_tokens_to_frames(kn_graph *graph, kn_tensor *out, const kn_tensor *in, int frames, int h, int width,
                            kn_error *error) {
    *out = (kn_tensor){0};
    if (!kn_op_check(h > 0 && width > 0 && in->h == 1 && in->w == frames && in->n % (h * width) == 0, error,
                     "tokens to frames", "one row of frames for each pixel"))
        return false;
    int clips = in->n / (h * width), pixels = h * width;
    kn_tensor from = kn_tensor_view(in, clips, pixels, frames);
    walk w = {.kernel = KN_KERNEL_NN_PERMUTE,
              .label = "tokens to frames",
              .a = &from,
              .extra_count = 2,
              .push.extra = {pixels, frames}};
    if (!make(graph, out, clips, frames, pixels, in->c, &w, error)) return false;
    *out = kn_tensor_view(out, clips * frames, h, width);
    return true;
}

bool kn_op_pixel_unshuffle(kn_graph *graph, kn_tensor *out, const kn_tensor *in, int block, kn_error *error) {
    *out = (kn_tensor){0};
    if (!kn_op_check(block > 0 && block <= 64 && in->h % block == 0 && in->w % block == 0, error, "pixel unshuffle",
                     "a size that the block divides"))
        return false;
    int h = in->h / block, width = in->w / block, c = in->c * block * block;
    walk w = {.kernel = KN_KERNEL_NN_PIXEL_SHUFFLE,
              .label = "pixel unshuffle",
              .a = in,
              .constant = 1,
              .extra_count = 5,
              .push.extra = {h, width, c, in->stride / 4, block}};
    return make(graph, out, in->n, h, width, c, &w, error);
}

bool kn_op_pixel_shuffle(kn_graph *graph, kn_tensor *out, const kn_tensor *in, int block, kn_error *error) {
    *out = (kn_tensor){0};
    if (!kn_op_check(block > 0 && block <= 64 && in->c % (block * block) == 0, error, "pixel shuffle",
                     "channels that the block's square divides"))
        return false;
    int h = in->h * block, width = in->w * block, c = in->c / (block * block);
    walk w = {.kernel = KN_KERNEL_NN_PIXEL_SHUFFLE,
              .label = "pixel shuffle",
              .a = in,
              .extra_count = 5,
              .push.extra = {h, width, c, in->stride / 4, block}};
    return make(graph, out, in->n, h, width, c, &w, error);
}
