#include "diffusion/networks/text_encoder.h"

#include <string.h>

/* --- loading ---------------------------------------------------------------------------------- */

static bool read_config(kn_text_encoder *encoder, const kn_config *config, kn_error *error) {
    *encoder = (kn_text_encoder){.vocabulary = 49408,
                                 .channels = 512,
                                 .inner = 2048,
                                 .layer_count = 12,
                                 .heads = 8,
                                 .max_tokens = 77,
                                 .epsilon = 1e-5};
    const char *activation = "quick_gelu";
    if (!kn_config_int(config, "vocab_size", 1, 10000000, &encoder->vocabulary, error) ||
        !kn_config_int(config, "hidden_size", 4, 16384, &encoder->channels, error) ||
        !kn_config_int(config, "intermediate_size", 4, 65536, &encoder->inner, error) ||
        !kn_config_int(config, "num_hidden_layers", 1, 256, &encoder->layer_count, error) ||
        !kn_config_int(config, "num_attention_heads", 1, 1024, &encoder->heads, error) ||
        !kn_config_int(config, "max_position_embeddings", 2, 4096, &encoder->max_tokens, error) ||
        !kn_config_double(config, "layer_norm_eps", 0, 1, &encoder->epsilon, error) ||
        !kn_config_string(config, "hidden_act", &activation, error))
        return false;
    if (encoder->channels % encoder->heads != 0 || encoder->channels / encoder->heads % 4 != 0)
        return kn_fail(error, KN_ERROR_UNSUPPORTED,
                       "%s: hidden_size %d over %d heads: channels per head must be a multiple of 4", config->path,
                       encoder->channels, encoder->heads);
    encoder->activation = KN_ACTIVATION_QUICK_GELU;
    if (strcmp(activation, "gelu") == 0) encoder->activation = KN_ACTIVATION_GELU;
    else if (strcmp(activation, "quick_gelu") != 0)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: 'hidden_act' is '%.64s'; quick_gelu and gelu are supported",
                       config->path, activation);
    return true;
}

static bool load_layer(kn_text_encoder *encoder, int index, const char *root, kn_error *error) {
    kn_text_layer *layer = &encoder->blocks[index];
    kn_layers *layers = &encoder->layers;
    int channels = encoder->channels;
    kn_name name = kn_name_of("%sencoder.layers.%d", root, index);
    layer->attention.heads = encoder->heads;
    return kn_load_norm(layers, &layer->norm1, name.text, ".layer_norm1", channels, error) &&
           (layer->attention.q =
                kn_load_linear(layers, name.text, ".self_attn.q_proj", channels, channels, true, error)) &&
           (layer->attention.k =
                kn_load_linear(layers, name.text, ".self_attn.k_proj", channels, channels, true, error)) &&
           (layer->attention.v =
                kn_load_linear(layers, name.text, ".self_attn.v_proj", channels, channels, true, error)) &&
           (layer->attention.out =
                kn_load_linear(layers, name.text, ".self_attn.out_proj", channels, channels, true, error)) &&
           kn_load_norm(layers, &layer->norm2, name.text, ".layer_norm2", channels, error) &&
           (layer->fc1 = kn_load_linear(layers, name.text, ".mlp.fc1", channels, encoder->inner, true, error)) &&
           (layer->fc2 = kn_load_linear(layers, name.text, ".mlp.fc2", encoder->inner, channels, true, error));
}

static bool load(kn_text_encoder *encoder, kn_error *error) {
    kn_layers *layers = &encoder->layers;
    const char *root = kn_weights_has(layers->source, "text_model.final_layer_norm.weight") ? "text_model." : "";
    if (*root == 0 && !kn_weights_has(layers->source, "final_layer_norm.weight"))
        root = "text_model."; /* the usual name, for the message about what is missing */
    kn_name tokens = kn_name_of("%sembeddings.token_embedding.weight", root),
            positions = kn_name_of("%sembeddings.position_embedding.weight", root);
    if (!kn_load_table(layers, &encoder->token_embedding, tokens.text, encoder->vocabulary, encoder->channels, error) ||
        !(encoder->position_embedding =
              kn_load_host(layers, positions.text, 2, (int64_t[2]){encoder->max_tokens, encoder->channels}, error)) ||
        !(encoder->blocks =
              kn_arena_alloc(&layers->arena, (size_t)encoder->layer_count, sizeof *encoder->blocks, error)))
        return false;
    for (int i = 0; i < encoder->layer_count; i++) {
        if (!load_layer(encoder, i, root, error)) return false;
    }
    return kn_load_norm(layers, &encoder->final_norm, root, "final_layer_norm", encoder->channels, error);
}

bool kn_text_encoder_load(kn_text_encoder *encoder, kn_gpu *gpu, const kn_config *config, kn_weights *weights,
                          kn_precision precision, kn_error *error) {
    if (!read_config(encoder, config, error)) return false;
    kn_layers_init(&encoder->layers, gpu, weights, precision);
    bool ok = load(encoder, error);
    encoder->layers.source = NULL;
    return ok;
}

void kn_text_encoder_finish(kn_text_encoder *encoder) { kn_layers_finish(&encoder->layers); }

/* --- forward ---------------------------------------------------------------------------------- */

/* Fills planar [n][channels][1][tokens]; token[channels] is scratch. */
static bool gather(const kn_text_encoder *encoder, const int *ids, int n, int tokens, float *token, float *values,
                   kn_error *error) {
    size_t channels = (size_t)encoder->channels;
    for (int i = 0; i < n * tokens; i++) {
        if (ids[i] < 0 || ids[i] >= encoder->vocabulary)
            return kn_fail(error, KN_ERROR_INPUT, "token %d lies outside the text encoder's vocabulary of %d", ids[i],
                           encoder->vocabulary);
        kn_stored_tensor_row(&encoder->token_embedding, (size_t)ids[i], token);
        const float *position = encoder->position_embedding + (size_t)(i % tokens) * channels;
        float *out = values + (size_t)(i / tokens) * channels * (size_t)tokens + (size_t)(i % tokens);
        for (size_t c = 0; c < channels; c++) out[c * (size_t)tokens] = token[c] + position[c];
    }
    return true;
}

bool kn_text_encoder_input(kn_graph *graph, kn_tensor *out, const kn_text_encoder *encoder, const int *ids, int n,
                           int tokens, kn_error *error) {
    if (tokens > encoder->max_tokens)
        return kn_fail(error, KN_ERROR_INPUT, "%d tokens, but the text encoder has positions for %d", tokens,
                       encoder->max_tokens);
    float *values = kn_alloc((size_t)n * (size_t)tokens * (size_t)encoder->channels, sizeof *values, error);
    float *token = values ? kn_alloc((size_t)encoder->channels, sizeof *token, error) : NULL;
    bool ok = token && gather(encoder, ids, n, tokens, token, values, error) &&
              kn_graph_tensor(graph, out, n, 1, tokens, encoder->channels, error) &&
              kn_tensor_upload(out, values, error);
    kn_free(token);
    kn_free(values);
    return ok;
}

static bool forward_attention(kn_graph *graph, kn_tensor *out, const kn_text_encoder *encoder,
                              const kn_text_layer *layer, const kn_tensor *x, kn_error *error) {
    kn_tensor normed = {0}, q = {0}, k = {0}, v = {0}, mixed = {0};
    const kn_attention *attention = &layer->attention;
    if (!kn_op_layer_norm(graph, &normed, x, layer->norm1.gamma, layer->norm1.beta, (float)encoder->epsilon, error) ||
        !kn_op_linear(graph, &q, &normed, attention->q, KN_ACTIVATION_NONE, NULL, error) ||
        !kn_op_linear(graph, &k, &normed, attention->k, KN_ACTIVATION_NONE, NULL, error) ||
        !kn_op_linear(graph, &v, &normed, attention->v, KN_ACTIVATION_NONE, NULL, error))
        return false;
    kn_graph_release(graph, &normed);
    kn_attention_params params = {.heads = attention->heads, .causal = true};
    if (!kn_op_attention(graph, &mixed, &q, &k, &v, &params, error)) return false;
    kn_graph_release(graph, &q);
    kn_graph_release(graph, &k);
    kn_graph_release(graph, &v);
    if (!kn_op_linear(graph, out, &mixed, attention->out, KN_ACTIVATION_NONE, x, error)) return false;
    kn_graph_release(graph, &mixed);
    return true;
}

static bool forward_layer(kn_graph *graph, kn_tensor *out, const kn_text_encoder *encoder, const kn_text_layer *layer,
                          const kn_tensor *x, kn_error *error) {
    kn_tensor attended = {0}, normed = {0}, hidden = {0};
    if (!forward_attention(graph, &attended, encoder, layer, x, error) ||
        !kn_op_layer_norm(graph, &normed, &attended, layer->norm2.gamma, layer->norm2.beta, (float)encoder->epsilon,
                          error) ||
        !kn_op_linear(graph, &hidden, &normed, layer->fc1, encoder->activation, NULL, error) ||
        !kn_op_linear(graph, out, &hidden, layer->fc2, KN_ACTIVATION_NONE, &attended, error))
        return false;
    kn_graph_release(graph, &attended);
    kn_graph_release(graph, &normed);
    kn_graph_release(graph, &hidden);
    return true;
}

bool kn_text_encoder_forward(kn_graph *graph, kn_tensor *out, const kn_text_encoder *encoder, const kn_tensor *in,
                             kn_error *error) {
    kn_tensor x = {0}, next = {0};
    for (int i = 0; i < encoder->layer_count - encoder->skip; i++) {
        if (!forward_layer(graph, &next, encoder, &encoder->blocks[i], i ? &x : in, error)) return false;
        if (i) kn_graph_release(graph, &x);
        x = next;
        next = (kn_tensor){0};
    }
    if (!kn_op_layer_norm(graph, out, &x, encoder->final_norm.gamma, encoder->final_norm.beta, (float)encoder->epsilon,
                          error))
        return false;
    kn_graph_release(graph, &x);
    return true;
}
