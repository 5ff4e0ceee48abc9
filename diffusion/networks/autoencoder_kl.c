/* AutoencoderKL (arXiv 2112.10752). */
#include "diffusion/networks/autoencoder.h"

#include <string.h>

#define MAX_LAYERS 8

typedef struct kl_attention {
    kn_norm norm;
    kn_attention attention;
} kl_attention;

typedef struct kl_mid {
    kn_resnet resnets[2];
    kl_attention attention; /* attention.attention.q NULL: none */
} kl_mid;

typedef struct kl_level {
    kn_resnet resnets[MAX_LAYERS + 1];
    int count;
    kn_weight *resample; /* NULL on the last level */
} kl_level;

typedef struct kl_half {
    kn_weight *conv_in, *conv_out;
    kl_level levels[KN_AUTOENCODER_LEVELS];
    kl_mid mid;
    kn_norm norm_out;
} kl_half;

struct kn_kl {
    int level_count, widths[KN_AUTOENCODER_LEVELS], layers, groups;
    kl_half encoder, decoder;
    kn_weight *to_latent, *from_latent; /* quant_conv's mean and post_quant_conv with scaling and shift, 1x1 */
};

static const double EPSILON = 1e-6;

/* --- loading ---------------------------------------------------------------------------------- */

static bool read_config(struct kn_kl *kl, kn_autoencoder *autoencoder, const kn_config *config, kn_error *error) {
    int in = 3, out = 3;
    kl->layers = 1, kl->groups = 32, kl->level_count = 1, kl->widths[0] = 64;
    autoencoder->latent_channels = 4;
    if (!kn_config_int(config, "in_channels", 3, 3, &in, error) ||
        !kn_config_int(config, "out_channels", 3, 3, &out, error) ||
        !kn_config_int(config, "latent_channels", 1, 256, &autoencoder->latent_channels, error) ||
        !kn_config_int(config, "layers_per_block", 1, MAX_LAYERS, &kl->layers, error) ||
        !kn_config_int(config, "norm_num_groups", 1, 1024, &kl->groups, error) ||
        !kn_config_ints(config, "block_out_channels", 4, 8192, kl->widths, KN_AUTOENCODER_LEVELS, &kl->level_count,
                        error) ||
        !kn_config_refuse(config, "act_fn", "silu", error))
        return false;
    for (int i = 0; i < kl->level_count; i++) {
        if (kl->widths[i] % kl->groups != 0 || kl->widths[i] % 4 != 0)
            return kn_fail(error, KN_ERROR_INPUT,
                           "%s: block_out_channels %d must be a multiple of 4 and of norm_num_groups %d", config->path,
                           kl->widths[i], kl->groups);
    }
    autoencoder->factor = 1 << (kl->level_count - 1);
    return true;
}

/* Newer files say to_q, older ones query. */
static bool load_attention(kn_layers *layers, kl_attention *attention, const char *prefix, int channels,
                           kn_error *error) {
    static const char *names[2][4] = {{".to_q", ".to_k", ".to_v", ".to_out.0"},
                                      {".query", ".key", ".value", ".proj_attn"}};
    kn_name old = kn_name_of("%s.query.weight", prefix), norm = kn_name_of("%s.group_norm.weight", prefix);
    const char **name = names[kn_weights_has(layers->source, old.text)];
    if (!kn_weights_has(layers->source, norm.text)) return true;
    attention->attention.heads = 1;
    return kn_load_norm(layers, &attention->norm, prefix, ".group_norm", channels, error) &&
           (attention->attention.q = kn_load_linear(layers, prefix, name[0], channels, channels, true, error)) &&
           (attention->attention.k = kn_load_linear(layers, prefix, name[1], channels, channels, true, error)) &&
           (attention->attention.v = kn_load_linear(layers, prefix, name[2], channels, channels, true, error)) &&
           (attention->attention.out = kn_load_linear(layers, prefix, name[3], channels, channels, true, error));
}

static bool load_mid(kn_layers *layers, kl_mid *mid, const char *side, int channels, int groups, kn_error *error) {
    kn_name attention = kn_name_of("%s.mid_block.attentions.0", side);
    for (int i = 0; i < 2; i++) {
        kn_name name = kn_name_of("%s.mid_block.resnets.%d", side, i);
        if (!kn_resnet_load(layers, &mid->resnets[i], name.text, channels, channels, 0, groups, EPSILON, error))
            return false;
    }
    return load_attention(layers, &mid->attention, attention.text, channels, error);
}

static bool load_level(kn_layers *layers, kl_level *level, const char *prefix, int in, int out, int count, int groups,
                       const char *resample, kn_error *error) {
    level->count = count;
    for (int j = 0; j < count; j++) {
        kn_name name = kn_name_of("%s.resnets.%d", prefix, j);
        if (!kn_resnet_load(layers, &level->resnets[j], name.text, j ? out : in, out, 0, groups, EPSILON, error))
            return false;
    }
    return !resample || (level->resample = kn_load_conv(layers, prefix, resample, out, out, 3, true, error));
}

static bool load_half(kn_layers *layers, const struct kn_kl *kl, kl_half *half, bool is_encoder, int in, int out,
                      kn_error *error) {
    const char *side = is_encoder ? "encoder" : "decoder";
    int last = kl->level_count - 1, inner = is_encoder ? 0 : last, deepest = kl->widths[last];
    if (!(half->conv_in = kn_load_conv(layers, side, ".conv_in", in, kl->widths[inner], 3, true, error))) return false;
    for (int i = 0; i <= last; i++) {
        int width = kl->widths[is_encoder ? i : last - i],
            before = i == 0 ? width : kl->widths[is_encoder ? i - 1 : last - i + 1];
        kn_name prefix = kn_name_of("%s.%s.%d", side, is_encoder ? "down_blocks" : "up_blocks", i);
        const char *resample = i == last ? NULL : is_encoder ? ".downsamplers.0.conv" : ".upsamplers.0.conv";
        if (!load_level(layers, &half->levels[i], prefix.text, before, width, kl->layers + !is_encoder, kl->groups,
                        resample, error))
            return false;
    }
    int outer = is_encoder ? deepest : kl->widths[0];
    return load_mid(layers, &half->mid, side, deepest, kl->groups, error) &&
           kn_load_norm(layers, &half->norm_out, side, ".conv_norm_out", outer, error) &&
           (half->conv_out = kn_load_conv(layers, side, ".conv_out", outer, out, 3, true, error));
}

/* A 1x1 convolution's matrix [out][in] and bias, or the identity when the file has none; in new arena memory. */
static bool latent_matrix(kn_layers *layers, const char *name, int size, float **matrix, float **bias,
                          kn_error *error) {
    kn_name weight_name = kn_name_of("%s.weight", name), bias_name = kn_name_of("%s.bias", name);
    if (kn_weights_has(layers->source, weight_name.text))
        return (*matrix = kn_load_host(layers, weight_name.text, 4, (int64_t[4]){size, size, 1, 1}, error)) &&
               (*bias = kn_load_host(layers, bias_name.text, 1, (int64_t[1]){size}, error));
    *matrix = kn_arena_alloc(&layers->arena, (size_t)size * (size_t)size, sizeof **matrix, error);
    *bias = *matrix ? kn_arena_alloc(&layers->arena, (size_t)size, sizeof **bias, error) : NULL;
    for (int i = 0; *bias && i < size; i++) (*matrix)[i * size + i] = 1;
    return *bias != NULL;
}

/* latent = (mean - shift) scaling, and back. Both ends are 1x1, so scaling and shift fold in exactly. */
static bool load_to_latent(struct kn_kl *kl, kn_autoencoder *autoencoder, kn_error *error) {
    int c = autoencoder->latent_channels;
    float *matrix, *bias, scaling = (float)autoencoder->scaling, shift = (float)autoencoder->shift;
    if (!latent_matrix(&autoencoder->layers, "quant_conv", 2 * c, &matrix, &bias, error)) return false;
    for (int i = 0; i < c; i++) {
        bias[i] = (bias[i] - shift) * scaling;
        for (int j = 0; j < 2 * c; j++) matrix[i * 2 * c + j] *= scaling;
    }
    return (kl->to_latent = kn_layers_weight(&autoencoder->layers, matrix, bias, c, 2 * c, 1, false, error)) != NULL;
}

static bool load_from_latent(struct kn_kl *kl, kn_autoencoder *autoencoder, kn_error *error) {
    int c = autoencoder->latent_channels;
    float *matrix, *bias, scaling = (float)autoencoder->scaling, shift = (float)autoencoder->shift;
    if (!latent_matrix(&autoencoder->layers, "post_quant_conv", c, &matrix, &bias, error)) return false;
    for (int i = 0; i < c; i++) {
        for (int j = 0; j < c; j++) {
            bias[i] += matrix[i * c + j] * shift;
            matrix[i * c + j] /= scaling;
        }
    }
    return (kl->from_latent = kn_layers_weight(&autoencoder->layers, matrix, bias, c, c, 1, false, error)) != NULL;
}

bool kn_kl_load(kn_autoencoder *autoencoder, const kn_config *config, kn_error *error) {
    kn_layers *layers = &autoencoder->layers;
    struct kn_kl *kl = kn_arena_alloc(&layers->arena, 1, sizeof *kl, error);
    autoencoder->kind = KN_AUTOENCODER_KL;
    autoencoder->kl = kl;
    autoencoder->has_encoder = kn_weights_has(layers->source, "encoder.conv_in.weight");
    if (!kl || !read_config(kl, autoencoder, config, error)) return false;
    int latent = autoencoder->latent_channels;
    if (autoencoder->has_encoder &&
        (!load_half(layers, kl, &kl->encoder, true, 3, 2 * latent, error) || !load_to_latent(kl, autoencoder, error)))
        return false;
    return load_half(layers, kl, &kl->decoder, false, latent, 3, error) && load_from_latent(kl, autoencoder, error);
}

/* --- forward ---------------------------------------------------------------------------------- */

static bool forward_resnet(kn_graph *graph, kn_tensor *x, const kn_resnet *resnet, kn_error *error) {
    kn_tensor next = {0};
    if (!kn_resnet_forward(graph, &next, resnet, x, NULL, error)) return false;
    kn_tensor_replace(graph, x, &next);
    return true;
}

static bool forward_attention(kn_graph *graph, kn_tensor *x, const kl_attention *part, int groups, kn_error *error) {
    const kn_attention *attention = &part->attention;
    kn_tensor normed = {0}, q = {0}, k = {0}, v = {0}, mixed = {0}, sum = {0};
    if (!kn_op_group_norm(graph, &normed, x, part->norm.gamma, part->norm.beta, groups, (float)EPSILON,
                          KN_ACTIVATION_NONE, error))
        return false;
    kn_tensor tokens = kn_tensor_view(&normed, x->n, 1, x->h * x->w),
              residual = kn_tensor_view(x, x->n, 1, x->h * x->w);
    if (!kn_op_linear(graph, &q, &tokens, attention->q, KN_ACTIVATION_NONE, NULL, error) ||
        !kn_op_linear(graph, &k, &tokens, attention->k, KN_ACTIVATION_NONE, NULL, error) ||
        !kn_op_linear(graph, &v, &tokens, attention->v, KN_ACTIVATION_NONE, NULL, error))
        return false;
    kn_graph_release(graph, &normed);
    kn_attention_params params = {.heads = 1};
    if (!kn_op_attention(graph, &mixed, &q, &k, &v, &params, error)) return false;
    kn_graph_release(graph, &q);
    kn_graph_release(graph, &k);
    kn_graph_release(graph, &v);
    if (!kn_op_linear(graph, &sum, &mixed, attention->out, KN_ACTIVATION_NONE, &residual, error)) return false;
    kn_graph_release(graph, &mixed);
    kn_tensor square = kn_tensor_view(&sum, x->n, x->h, x->w);
    kn_tensor_replace(graph, x, &square);
    return true;
}

static bool forward_mid(kn_graph *graph, kn_tensor *x, const kl_mid *mid, int groups, kn_error *error) {
    return forward_resnet(graph, x, &mid->resnets[0], error) &&
           (!mid->attention.attention.q || forward_attention(graph, x, &mid->attention, groups, error)) &&
           forward_resnet(graph, x, &mid->resnets[1], error);
}

static bool resample(kn_graph *graph, kn_tensor *x, const kn_weight *weight, bool down, kn_error *error) {
    kn_tensor next = {0};
    kn_conv_params params = {.stride = down ? 2 : 1, .pad = down ? 0 : 1, .pad_end = 1};
    if (!down) { /* nearest neighbours, taken by the convolution */
        params.view_h = 2 * x->h;
        params.view_w = 2 * x->w;
    }
    if (!kn_op_conv(graph, &next, x, weight, &params, error)) return false;
    kn_tensor_replace(graph, x, &next);
    return true;
}

static bool forward_levels(kn_graph *graph, kn_tensor *x, const struct kn_kl *kl, const kl_half *half, bool down,
                           kn_error *error) {
    for (int i = 0; i < kl->level_count; i++) {
        const kl_level *level = &half->levels[i];
        for (int j = 0; j < level->count; j++) {
            if (!forward_resnet(graph, x, &level->resnets[j], error)) return false;
        }
        if (level->resample && !resample(graph, x, level->resample, down, error)) return false;
    }
    return true;
}

static bool forward_head(kn_graph *graph, kn_tensor *out, const kl_half *half, kn_tensor *x, int groups,
                         kn_error *error) {
    kn_tensor normed = {0};
    if (!kn_op_group_norm(graph, &normed, x, half->norm_out.gamma, half->norm_out.beta, groups, (float)EPSILON,
                          KN_ACTIVATION_SILU, error))
        return false;
    kn_graph_release(graph, x);
    kn_conv_params params = {.stride = 1, .pad = 1, .pad_end = 1};
    if (!kn_op_conv(graph, out, &normed, half->conv_out, &params, error)) return false;
    kn_graph_release(graph, &normed);
    return true;
}

bool kn_kl_encode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder, const kn_tensor *pictures,
                  kn_error *error) {
    const struct kn_kl *kl = autoencoder->kl;
    kn_tensor x = {0}, moments = {0};
    kn_conv_params params = {.stride = 1, .pad = 1, .pad_end = 1};
    if (!kn_op_conv(graph, &x, pictures, kl->encoder.conv_in, &params, error) ||
        !forward_levels(graph, &x, kl, &kl->encoder, true, error) ||
        !forward_mid(graph, &x, &kl->encoder.mid, kl->groups, error) ||
        !forward_head(graph, &moments, &kl->encoder, &x, kl->groups, error) ||
        !kn_op_linear(graph, out, &moments, kl->to_latent, KN_ACTIVATION_NONE, NULL, error))
        return false;
    kn_graph_release(graph, &moments);
    return true;
}

bool kn_kl_decode(kn_graph *graph, kn_tensor *out, const kn_autoencoder *autoencoder, const kn_tensor *latents,
                  kn_error *error) {
    const struct kn_kl *kl = autoencoder->kl;
    kn_tensor raw = {0}, x = {0};
    kn_conv_params params = {.stride = 1, .pad = 1, .pad_end = 1};
    if (!kn_op_linear(graph, &raw, latents, kl->from_latent, KN_ACTIVATION_NONE, NULL, error) ||
        !kn_op_conv(graph, &x, &raw, kl->decoder.conv_in, &params, error))
        return false;
    kn_graph_release(graph, &raw);
    return forward_mid(graph, &x, &kl->decoder.mid, kl->groups, error) &&
           forward_levels(graph, &x, kl, &kl->decoder, false, error) &&
           forward_head(graph, out, &kl->decoder, &x, kl->groups, error);
}
