/* Temporal attention in AnimateDiff's layout (arXiv 2307.04725): every place in the picture attends over the frames of
 * its clip. Each frame is normed alone, as in AnimateDiff's code (diffusers' norm sees all frames at once). */
#include "diffusion/networks/layers.h"
#include "diffusion/ops/ops_internal.h"

/* --- loading ---------------------------------------------------------------------------------- */

/* How a block's tensors are called: by AnimateDiff's own files, and by diffusers' MotionAdapter, where both attentions
 * share one table of positions. */
typedef struct motion_names {
    const char *root, *attentions[2], *norms[2], *ff_norm, *positions[2];
} motion_names;

static const motion_names animatediff = {".temporal_transformer",
                                         {".attention_blocks.0", ".attention_blocks.1"},
                                         {".norms.0", ".norms.1"},
                                         ".ff_norm",
                                         {".attention_blocks.0.pos_encoder.pe", ".attention_blocks.1.pos_encoder.pe"}};
static const motion_names adapter = {
    "", {".attn1", ".attn2"}, {".norm1", ".norm2"}, ".norm3", {".pos_embed.pe", ".pos_embed.pe"}};

static bool load_attention(kn_layers *layers, kn_motion *motion, int index, const motion_names *names,
                           const char *block, int channels, int heads, kn_error *error) {
    kn_motion_attention *part = &motion->attentions[index];
    kn_name base = kn_name_of("%s%s", block, names->attentions[index]);
    kn_name position = kn_name_of("%s%s", block, names->positions[index]);
    const kn_stored_tensor *table = kn_weights_peek(layers->source, position.text);
    if (table && (table->rank != 3 || table->shape[1] < 1 || table->shape[1] > 4096))
        return kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%s' must have the shape [1, frames, %d], 1 to 4096 frames",
                       table->path, position.text, channels);
    int frames = table ? (int)table->shape[1] : 0;
    motion->max_frames = index == 0 || frames < motion->max_frames ? frames : motion->max_frames;
    part->attention.heads = heads;
    return kn_load_norm(layers, &part->norm, block, names->norms[index], channels, error) &&
           (part->attention.q = kn_load_linear(layers, base.text, ".to_q", channels, channels, false, error)) &&
           (part->attention.k = kn_load_linear(layers, base.text, ".to_k", channels, channels, false, error)) &&
           (part->attention.v = kn_load_linear(layers, base.text, ".to_v", channels, channels, false, error)) &&
           (part->attention.out = kn_load_linear(layers, base.text, ".to_out.0", channels, channels, true, error)) &&
           (part->position = kn_load_host(layers, position.text, 3, (int64_t[3]){1, frames, channels}, error));
}

static bool load_motion(kn_layers *layers, kn_motion *motion, const motion_names *names, const char *prefix,
                        int channels, int heads, int groups, kn_error *error) {
    kn_name block = kn_name_of("%s.transformer_blocks.0", prefix);
    motion->groups = groups;
    return kn_load_norm(layers, &motion->norm, prefix, ".norm", channels, error) &&
           (motion->proj_in = kn_load_linear(layers, prefix, ".proj_in", channels, channels, true, error)) &&
           load_attention(layers, motion, 0, names, block.text, channels, heads, error) &&
           load_attention(layers, motion, 1, names, block.text, channels, heads, error) &&
           kn_load_norm(layers, &motion->ff_norm, block.text, names->ff_norm, channels, error) &&
           (motion->ff_in =
                kn_load_linear(layers, block.text, ".ff.net.0.proj", channels, 8 * channels, true, error)) &&
           (motion->ff_out = kn_load_linear(layers, block.text, ".ff.net.2", 4 * channels, channels, true, error)) &&
           (motion->proj_out = kn_load_linear(layers, prefix, ".proj_out", channels, channels, true, error));
}

bool kn_motion_load(kn_layers *layers, kn_motion **motion, const char *prefix, int channels, int heads, int groups,
                    kn_error *error) {
    static const motion_names *const namings[] = {&animatediff, &adapter};
    *motion = NULL;
    for (size_t i = 0; i < KN_COUNT(namings) && !*motion; i++) {
        kn_name base = kn_name_of("%s%s", prefix, namings[i]->root), probe = kn_name_of("%s.proj_in.weight", base.text);
        if (!kn_weights_has(layers->source, probe.text)) continue;
        if (heads < 1 || channels % heads != 0 || channels / heads % 4 != 0)
            return kn_fail(error, KN_ERROR_UNSUPPORTED,
                           "%s: %d channels in %d heads: channels per head must be a multiple of 4", prefix, channels,
                           heads);
        if (!(*motion = kn_arena_alloc(&layers->arena, 1, sizeof **motion, error)) ||
            !load_motion(layers, *motion, namings[i], base.text, channels, heads, groups, error))
            return false;
    }
    return true;
}

/* --- forward ---------------------------------------------------------------------------------- */

/* The positions of the clip's frames, [1][1][frames][channels]. */
static bool positions(kn_graph *graph, kn_tensor *tensor, const float *position, int frames, int channels,
                      kn_error *error) {
    size_t bytes = (size_t)frames * (size_t)channels * sizeof *position;
    kn_gpu_buffer *buffer = kn_graph_constant(graph, position, bytes, error);
    *tensor = (kn_tensor){.memory = {buffer, 0, bytes, KN_GPU_FORMAT_RGBA32F},
                          .n = 1,
                          .h = 1,
                          .w = frames,
                          .c = channels,
                          .stride = channels};
    return buffer != NULL;
}

static bool linear(kn_graph *graph, kn_tensor *out, const kn_tensor *in, const kn_weight *weight,
                   const kn_tensor *residual, kn_error *error) {
    return kn_op_linear(graph, out, in, weight, KN_ACTIVATION_NONE, residual, error);
}

/* x += out(attention over frames of norm(x) + position), x [places][1][frames][channels] */
static bool attend_frames(kn_graph *graph, kn_tensor *x, const kn_motion_attention *part, kn_error *error) {
    kn_tensor normed = {0}, position = {0}, placed = {0};
    if (!positions(graph, &position, part->position, x->w, x->c, error) ||
        !kn_op_layer_norm(graph, &normed, x, part->norm.gamma, part->norm.beta, 1e-5f, error) ||
        !kn_op_add(graph, &placed, &normed, &position, 1, 1, error))
        return false;
    kn_graph_release(graph, &normed);
    return kn_attend(graph, x, &placed, &part->attention, NULL, NULL, error);
}

bool kn_motion_forward(kn_graph *graph, kn_tensor *out, const kn_motion *motion, const kn_tensor *in,
                       const kn_pass *pass, kn_error *error) {
    kn_tensor normed = {0}, x = {0}, projected = {0};
    if (pass->frames > motion->max_frames)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%d frames at once, but temporal attention has positions for %d",
                       pass->frames, motion->max_frames);
    if (!kn_op_group_norm(graph, &normed, in, motion->norm.gamma, motion->norm.beta, motion->groups, 1e-6f,
                          KN_ACTIVATION_NONE, error))
        return false;
    /* frame-major order: the views of a frame lie below each other, as if they were one tall picture */
    int n = pass->halves * pass->frames, h = pass->views * in->h;
    kn_tensor tall = kn_tensor_view(&normed, n, h, in->w), residual = kn_tensor_view(in, n, h, in->w), tokens = {0},
              back = {0};
    if (!linear(graph, &x, &tall, motion->proj_in, NULL, error)) return false;
    kn_graph_release(graph, &normed);
    if (!kn_op_frames_to_tokens(graph, &tokens, &x, pass->frames, error)) return false;
    kn_graph_release(graph, &x);
    if (!attend_frames(graph, &tokens, &motion->attentions[0], error) ||
        !attend_frames(graph, &tokens, &motion->attentions[1], error) ||
        !kn_feed_forward(graph, &tokens, &motion->ff_norm, motion->ff_in, motion->ff_out, error) ||
        !kn_op_tokens_to_frames(graph, &back, &tokens, pass->frames, h, in->w, error))
        return false;
    kn_graph_release(graph, &tokens);
    if (!linear(graph, &projected, &back, motion->proj_out, &residual, error)) return false;
    kn_graph_release(graph, &back);
    *out = kn_tensor_view(&projected, in->n, in->h, in->w);
    return true;
}
