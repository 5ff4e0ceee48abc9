/* Spatial transformers of the Stable Diffusion family (arXiv 2112.10752), with MagicDrive's cross-view attention
 * (arXiv 2310.02601): self-attention, text, neighbouring views, feed-forward. */
#include "diffusion/networks/layers.h"
#include "diffusion/ops/ops_internal.h"

#include <string.h>

/* --- loading ---------------------------------------------------------------------------------- */

static bool load_attention(kn_layers *layers, kn_attention *attention, const char *prefix, const char *name,
                           int channels, int context_channels, int heads, kn_error *error) {
    kn_name base = kn_name_of("%s%s", prefix, name);
    attention->heads = heads;
    return (attention->q = kn_load_linear(layers, base.text, ".to_q", channels, channels, false, error)) &&
           (attention->k = kn_load_linear(layers, base.text, ".to_k", context_channels, channels, false, error)) &&
           (attention->v = kn_load_linear(layers, base.text, ".to_v", context_channels, channels, false, error)) &&
           (attention->out = kn_load_linear(layers, base.text, ".to_out.0", channels, channels, true, error));
}

/* attn4's output bias is kept apart: it counts once per neighbour that is there. */
static bool load_view_attention(kn_layers *layers, kn_transformer_block *block, const char *prefix, int channels,
                                int heads, kn_error *error) {
    kn_name probe = kn_name_of("%s.attn4.to_q.weight", prefix), base = kn_name_of("%s.attn4", prefix),
            bias = kn_name_of("%s.attn4.to_out.0.bias", prefix);
    if (!kn_weights_has(layers->source, probe.text)) return true;
    kn_attention *view = &block->view;
    view->heads = heads;
    return kn_load_norm(layers, &block->norm4, prefix, ".norm4", channels, error) &&
           (view->q = kn_load_linear(layers, base.text, ".to_q", channels, channels, false, error)) &&
           (view->k = kn_load_linear(layers, base.text, ".to_k", channels, channels, false, error)) &&
           (view->v = kn_load_linear(layers, base.text, ".to_v", channels, channels, false, error)) &&
           (view->out = kn_load_conv(layers, base.text, ".to_out.0", channels, channels, 1, false, error)) &&
           (block->view_bias = kn_load_host(layers, bias.text, 1, (int64_t[1]){channels}, error)) &&
           (block->connector = kn_load_linear(layers, prefix, ".connector", channels, channels, true, error));
}

static bool load_block(kn_layers *layers, kn_transformer_block *block, const char *prefix, int channels,
                       int context_channels, int heads, kn_error *error) {
    return kn_load_norm(layers, &block->norm1, prefix, ".norm1", channels, error) &&
           load_attention(layers, &block->self, prefix, ".attn1", channels, channels, heads, error) &&
           kn_load_norm(layers, &block->norm2, prefix, ".norm2", channels, error) &&
           load_attention(layers, &block->cross, prefix, ".attn2", channels, context_channels, heads, error) &&
           load_view_attention(layers, block, prefix, channels, heads, error) &&
           kn_load_norm(layers, &block->norm3, prefix, ".norm3", channels, error) &&
           (block->ff_in = kn_load_linear(layers, prefix, ".ff.net.0.proj", channels, 8 * channels, true, error)) &&
           (block->ff_out = kn_load_linear(layers, prefix, ".ff.net.2", 4 * channels, channels, true, error));
}

bool kn_transformer_load(kn_layers *layers, kn_transformer *transformer, const char *prefix, int channels,
                         int context_channels, int heads, int block_count, int groups, kn_error *error) {
    if (heads < 1 || channels % heads != 0 || channels / heads % 4 != 0)
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "%s: %d channels in %d heads: channels per head must be a multiple of 4", prefix, channels,
                       heads);
    transformer->groups = groups;
    transformer->block_count = block_count;
    transformer->blocks = kn_arena_alloc(&layers->arena, (size_t)block_count, sizeof *transformer->blocks, error);
    if (!transformer->blocks || !kn_load_norm(layers, &transformer->norm, prefix, ".norm", channels, error) ||
        !(transformer->proj_in = kn_load_linear(layers, prefix, ".proj_in", channels, channels, true, error)))
        return false;
    for (int i = 0; i < block_count; i++) {
        kn_name name = kn_name_of("%s.transformer_blocks.%d", prefix, i);
        if (!load_block(layers, &transformer->blocks[i], name.text, channels, context_channels, heads, error))
            return false;
    }
    return (transformer->proj_out = kn_load_linear(layers, prefix, ".proj_out", channels, channels, true, error)) !=
           NULL;
}

/* --- forward ---------------------------------------------------------------------------------- */

static bool linear(kn_graph *graph, kn_tensor *out, const kn_tensor *in, const kn_weight *weight,
                   const kn_tensor *residual, kn_error *error) {
    return kn_op_linear(graph, out, in, weight, KN_ACTIVATION_NONE, residual, error);
}

bool kn_attend(kn_graph *graph, kn_tensor *x, kn_tensor *query, const kn_attention *attention, const kn_tensor *context,
               const int *context_index, kn_error *error) {
    kn_tensor q = {0}, k = {0}, v = {0}, mixed = {0}, sum = {0};
    const kn_tensor *source = context ? context : query;
    if (!linear(graph, &q, query, attention->q, NULL, error) || !linear(graph, &k, source, attention->k, NULL, error) ||
        !linear(graph, &v, source, attention->v, NULL, error))
        return false;
    kn_graph_release(graph, query);
    kn_attention_params params = {.heads = attention->heads, .kv_index = context ? context_index : NULL};
    if (!kn_op_attention(graph, &mixed, &q, &k, &v, &params, error)) return false;
    kn_graph_release(graph, &q);
    kn_graph_release(graph, &k);
    kn_graph_release(graph, &v);
    if (!linear(graph, &sum, &mixed, attention->out, x, error)) return false;
    kn_graph_release(graph, &mixed);
    kn_tensor_replace(graph, x, &sum);
    return true;
}

/* x += out(attention(q(norm(x)), k(context), v(context))); context NULL: norm(x) itself. */
static bool attend(kn_graph *graph, kn_tensor *x, const kn_norm *norm, const kn_attention *attention,
                   const kn_tensor *context, const int *context_index, kn_error *error) {
    kn_tensor normed = {0};
    return kn_op_layer_norm(graph, &normed, x, norm->gamma, norm->beta, 1e-5f, error) &&
           kn_attend(graph, x, &normed, attention, context, context_index, error);
}

bool kn_feed_forward(kn_graph *graph, kn_tensor *x, const kn_norm *norm, const kn_weight *in, const kn_weight *out,
                     kn_error *error) {
    kn_tensor normed = {0}, gated = {0}, sum = {0};
    if (!kn_op_layer_norm(graph, &normed, x, norm->gamma, norm->beta, 1e-5f, error) ||
        !kn_op_linear_geglu(graph, &gated, &normed, in, error))
        return false;
    kn_graph_release(graph, &normed);
    if (!linear(graph, &sum, &gated, out, x, error)) return false;
    kn_graph_release(graph, &gated);
    kn_tensor_replace(graph, x, &sum);
    return true;
}

/* The output bias times the number of neighbours of each picture, [N][1][1][channels]. */
static bool view_bias(kn_graph *graph, kn_tensor *bias, const kn_transformer_block *block, const kn_tensor *x,
                      const kn_pass *pass, kn_error *error) {
    size_t bytes = (size_t)x->n * (size_t)x->c * sizeof(float);
    float *values = kn_alloc((size_t)x->n * (size_t)x->c, sizeof *values, error);
    if (!values) return false;
    for (int i = 0; i < x->n; i++) {
        float neighbours = (float)((pass->neighbours[0][i] >= 0) + (pass->neighbours[1][i] >= 0));
        for (int c = 0; c < x->c; c++) values[(size_t)i * (size_t)x->c + (size_t)c] = neighbours * block->view_bias[c];
    }
    kn_gpu_buffer *buffer = kn_graph_constant(graph, values, bytes, error);
    kn_free(values);
    *bias = (kn_tensor){
        .memory = {buffer, 0, bytes, KN_GPU_FORMAT_RGBA32F}, .n = x->n, .h = 1, .w = 1, .c = x->c, .stride = x->c};
    return buffer != NULL;
}

/* How many of the pictures' 2 x count neighbours there are. */
static int neighbour_count(const kn_pass *pass, int count) {
    int found = 0;
    for (int i = 0; i < 2 * count; i++) found += pass->neighbours[i / count][i % count] >= 0;
    return found;
}

/* One softmax per neighbour, summed. */
static bool mix_views(kn_graph *graph, kn_tensor *mixed, kn_tensor *q, kn_tensor *k, kn_tensor *v, int heads,
                      const kn_pass *pass, kn_error *error) {
    /* a view without a neighbour attends to zeros */
    if (neighbour_count(pass, q->n) < 2 * q->n &&
        (!kn_op_append_zero(graph, k, error) || !kn_op_append_zero(graph, v, error)))
        return false;
    int *index = kn_alloc((size_t)q->n, sizeof *index, error);
    bool ok = index != NULL;
    for (int side = 0; ok && side < 2; side++) {
        for (int i = 0; i < q->n; i++) index[i] = pass->neighbours[side][i] >= 0 ? pass->neighbours[side][i] : q->n;
        kn_attention_params params = {.heads = heads, .kv_index = index, .accumulate = side == 1};
        ok = kn_op_attention(graph, mixed, q, k, v, &params, error);
    }
    kn_free(index);
    return ok;
}

/* x += connector(sum over neighbours of to_out(attention(norm4(x), norm4(neighbour)))) */
static bool attend_views(kn_graph *graph, kn_tensor *x, const kn_transformer_block *block, const kn_pass *pass,
                         kn_error *error) {
    kn_tensor normed = {0}, q = {0}, k = {0}, v = {0}, mixed = {0}, bias = {0}, projected = {0}, sum = {0};
    const kn_attention *view = &block->view;
    if (!kn_op_layer_norm(graph, &normed, x, block->norm4.gamma, block->norm4.beta, 1e-5f, error) ||
        !linear(graph, &q, &normed, view->q, NULL, error) || !linear(graph, &k, &normed, view->k, NULL, error) ||
        !linear(graph, &v, &normed, view->v, NULL, error))
        return false;
    kn_graph_release(graph, &normed);
    if (!mix_views(graph, &mixed, &q, &k, &v, view->heads, pass, error)) return false;
    kn_graph_release(graph, &q);
    kn_graph_release(graph, &k);
    kn_graph_release(graph, &v);
    kn_conv_params params = {.stride = 1, .broadcast = &bias};
    if (!view_bias(graph, &bias, block, x, pass, error) ||
        !kn_op_conv(graph, &projected, &mixed, view->out, &params, error))
        return false;
    kn_graph_release(graph, &mixed);
    if (!linear(graph, &sum, &projected, block->connector, x, error)) return false;
    kn_graph_release(graph, &projected);
    kn_tensor_replace(graph, x, &sum);
    return true;
}

static bool forward_block(kn_graph *graph, kn_tensor *x, const kn_transformer_block *block, const kn_pass *pass,
                          kn_error *error) {
    if (!attend(graph, x, &block->norm1, &block->self, NULL, NULL, error) ||
        !attend(graph, x, &block->norm2, &block->cross, pass->context, pass->context_index, error))
        return false;
    if (block->view.q && pass->neighbours[0] && !attend_views(graph, x, block, pass, error)) return false;
    return kn_feed_forward(graph, x, &block->norm3, block->ff_in, block->ff_out, error);
}

bool kn_transformer_forward(kn_graph *graph, kn_tensor *out, const kn_transformer *transformer, const kn_tensor *in,
                            const kn_pass *pass, kn_error *error) {
    kn_tensor normed = {0}, tokens = {0};
    if (!kn_op_group_norm(graph, &normed, in, transformer->norm.gamma, transformer->norm.beta, transformer->groups,
                          1e-6f, KN_ACTIVATION_NONE, error))
        return false;
    kn_tensor flat = kn_tensor_view(&normed, in->n, 1, in->h * in->w);
    if (!linear(graph, &tokens, &flat, transformer->proj_in, NULL, error)) return false;
    kn_graph_release(graph, &normed);
    for (int i = 0; i < transformer->block_count; i++) {
        if (!forward_block(graph, &tokens, &transformer->blocks[i], pass, error)) return false;
    }
    kn_tensor residual = kn_tensor_view(in, in->n, 1, in->h * in->w), projected = {0};
    if (!linear(graph, &projected, &tokens, transformer->proj_out, &residual, error)) return false;
    kn_graph_release(graph, &tokens);
    *out = kn_tensor_view(&projected, in->n, in->h, in->w);
    return true;
}
