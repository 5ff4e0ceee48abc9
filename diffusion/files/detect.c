/* What a checkpoint is: configs from the shapes of its tensors, as diffusers would write them. */
#include "diffusion/files/checkpoint.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#define MAX_LEVELS 16

/* --- tensors by name -------------------------------------------------------------------------- */

static const kn_stored_tensor *find(const kn_checkpoint *checkpoint, kn_part part, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static const kn_stored_tensor *find(const kn_checkpoint *checkpoint, kn_part part, const char *format, ...) {
    char name[KN_TENSOR_NAME_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    return kn_checkpoint_find(checkpoint, part, name);
}

/* Dimension `axis` of a tensor; 0 when it has none or is absent. */
static int dimension(const kn_stored_tensor *tensor, int axis) {
    return tensor && axis < tensor->rank && tensor->shape[axis] <= 1 << 20 ? (int)tensor->shape[axis] : 0;
}

static json_t *list_of(const int *values, int count) {
    json_t *list = json_array();
    for (int i = 0; list && i < count; i++) json_array_append_new(list, json_integer(values[i]));
    return list;
}

static json_t *names_of(const bool *attention, int count, const char *with, const char *without) {
    json_t *list = json_array();
    for (int i = 0; list && i < count; i++) json_array_append_new(list, json_string(attention[i] ? with : without));
    return list;
}

/* A required tensor is not there. */
static json_t *lacks(const kn_checkpoint *checkpoint, const char *name, kn_error *error) {
    kn_fail(error, KN_ERROR_INPUT, "%s: tensor '%s' is missing or has the wrong number of dimensions", checkpoint->path,
            name);
    return NULL;
}

/* --- UNet and ControlNet ---------------------------------------------------------------------- */

typedef struct unet_shape {
    int levels, channels[MAX_LEVELS], layers[MAX_LEVELS], heads[MAX_LEVELS], depth[MAX_LEVELS], context;
    bool down[MAX_LEVELS], up[MAX_LEVELS], linear;
} unet_shape;

static int count_depth(const kn_checkpoint *checkpoint, kn_part part, const char *side, int level) {
    int depth = 0;
    while (depth < 64 &&
           find(checkpoint, part, "%s.%d.attentions.0.transformer_blocks.%d.norm1.weight", side, level, depth))
        depth++;
    return depth;
}

static void read_level(const kn_checkpoint *checkpoint, kn_part part, unet_shape *shape, int level) {
    shape->channels[level] = dimension(find(checkpoint, part, "down_blocks.%d.resnets.0.conv1.weight", level), 0);
    while (shape->layers[level] < 15 &&
           find(checkpoint, part, "down_blocks.%d.resnets.%d.conv1.weight", level, shape->layers[level]))
        shape->layers[level]++;
    shape->depth[level] = count_depth(checkpoint, part, "down_blocks", level);
    shape->down[level] = shape->depth[level] > 0;
    if (shape->depth[level] == 0) shape->depth[level] = 1;
    const kn_stored_tensor *key =
        find(checkpoint, part, "down_blocks.%d.attentions.0.transformer_blocks.0.attn2.to_k.weight", level);
    const kn_stored_tensor *projection = find(checkpoint, part, "down_blocks.%d.attentions.0.proj_in.weight", level);
    if (key) shape->context = dimension(key, 1);
    if (projection) shape->linear = projection->rank == 2;
}

/* SD1.x has 8 heads at every level; SD2.x, known by linear projections or its text encoder's width, heads of 64
 * channels. */
static void read_unet(const kn_checkpoint *checkpoint, kn_part part, unet_shape *shape) {
    *shape = (unet_shape){0};
    while (shape->levels < 8 && find(checkpoint, part, "down_blocks.%d.resnets.0.conv1.weight", shape->levels))
        read_level(checkpoint, part, shape, shape->levels++);
    for (int i = 0; i < shape->levels; i++) {
        shape->up[i] = count_depth(checkpoint, part, "up_blocks", i) > 0;
        bool wide = shape->linear || shape->context == 1024;
        shape->heads[i] = !wide ? 8 : shape->channels[i] >= 64 ? shape->channels[i] / 64 : 1;
    }
}

static const char *middle_of(const kn_checkpoint *checkpoint, kn_part part) {
    if (find(checkpoint, part, "mid_block.attentions.0.proj_in.weight")) return "UNetMidBlock2DCrossAttn";
    return find(checkpoint, part, "mid_block.resnets.0.conv1.weight") ? "UNetMidBlock2D" : NULL;
}

static json_t *unet_config(const kn_checkpoint *checkpoint, kn_part part, kn_error *error) {
    unet_shape shape;
    const kn_stored_tensor *in = find(checkpoint, part, "conv_in.weight"),
                           *out = find(checkpoint, part, "conv_out.weight");
    read_unet(checkpoint, part, &shape);
    if (dimension(in, 1) == 0) return lacks(checkpoint, "conv_in.weight", error);
    if (shape.levels == 0) return lacks(checkpoint, "down_blocks.0.resnets.0.conv1.weight", error);
    if (part == KN_PART_UNET && dimension(out, 0) == 0) return lacks(checkpoint, "conv_out.weight", error);
    json_t *middle = middle_of(checkpoint, part) ? json_string(middle_of(checkpoint, part)) : json_null();
    json_t *root =
        json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:i, s:i, s:b, s:i}", "_class_name",
                  part == KN_PART_UNET ? "UNet2DConditionModel" : "ControlNetModel", "in_channels", dimension(in, 1),
                  "block_out_channels", list_of(shape.channels, shape.levels), "layers_per_block",
                  list_of(shape.layers, shape.levels), "attention_head_dim", list_of(shape.heads, shape.levels),
                  "transformer_layers_per_block", list_of(shape.depth, shape.levels), "down_block_types",
                  names_of(shape.down, shape.levels, "CrossAttnDownBlock2D", "DownBlock2D"), "mid_block_type", middle,
                  "use_linear_projection", shape.linear, "cross_attention_dim", shape.context ? shape.context : 768,
                  "norm_num_groups", 32, "flip_sin_to_cos", 1, "freq_shift", 0);
    if (root && part == KN_PART_UNET) {
        json_object_set_new(root, "out_channels", json_integer(dimension(out, 0)));
        json_object_set_new(root, "up_block_types",
                            names_of(shape.up, shape.levels, "CrossAttnUpBlock2D", "UpBlock2D"));
    }
    return root;
}

static json_t *controlnet_config(const kn_checkpoint *checkpoint, kn_error *error) {
    int widths[MAX_LEVELS], count = 0;
    const kn_stored_tensor *in = find(checkpoint, KN_PART_CONTROLNET, "controlnet_cond_embedding.conv_in.weight");
    json_t *root = unet_config(checkpoint, KN_PART_CONTROLNET, error);
    if (!root || dimension(in, 1) == 0) {
        json_decref(root);
        return root ? lacks(checkpoint, "controlnet_cond_embedding.conv_in.weight", error) : NULL;
    }
    widths[count++] = dimension(in, 0);
    for (const kn_stored_tensor *next;
         count < 8 &&
         (next = find(checkpoint, KN_PART_CONTROLNET, "controlnet_cond_embedding.blocks.%d.weight", 2 * count - 1));
         count++)
        widths[count] = dimension(next, 0);
    json_object_set_new(root, "conditioning_channels", json_integer(dimension(in, 1)));
    json_object_set_new(root, "conditioning_embedding_out_channels", list_of(widths, count));
    return root;
}

/* --- autoencoders ----------------------------------------------------------------------------- */

/* From the decoder, which every file has; its blocks lie from coarse to fine, the config's widths from fine to coarse.
 */
static json_t *autoencoder_config(const kn_checkpoint *checkpoint, kn_error *error) {
    int widths[MAX_LEVELS], count = 0, layers = 0;
    const kn_stored_tensor *in = find(checkpoint, KN_PART_AUTOENCODER, "decoder.conv_in.weight");
    if (dimension(in, 1) == 0) return lacks(checkpoint, "decoder.conv_in.weight", error);
    while (count < 8 && find(checkpoint, KN_PART_AUTOENCODER, "decoder.up_blocks.%d.resnets.0.conv1.weight", count))
        count++;
    if (count == 0) return lacks(checkpoint, "decoder.up_blocks.0.resnets.0.conv1.weight", error);
    for (int i = 0; i < count; i++)
        widths[count - 1 - i] =
            dimension(find(checkpoint, KN_PART_AUTOENCODER, "decoder.up_blocks.%d.resnets.0.conv1.weight", i), 0);
    while (layers < 8 &&
           find(checkpoint, KN_PART_AUTOENCODER, "decoder.up_blocks.0.resnets.%d.conv1.weight", layers + 1))
        layers++;
    return json_pack("{s:s, s:i, s:i, s:i, s:o, s:i, s:i, s:f}", "_class_name", "AutoencoderKL", "in_channels", 3,
                     "out_channels", 3, "latent_channels", dimension(in, 1), "block_out_channels",
                     list_of(widths, count), "layers_per_block", layers, "norm_num_groups", 32, "scaling_factor",
                     0.18215);
}

/* TAESD's levels: in the encoder a convolution opens a level, in the decoder it closes it. */
static int count_blocks(const kn_checkpoint *checkpoint, const char *side, int *index) {
    int count = 0;
    while (count < 16 && find(checkpoint, KN_PART_TINY, "%s.layers.%d.conv.0.weight", side, *index)) {
        (*index)++;
        count++;
    }
    return count;
}

typedef struct tiny_levels {
    int widths[MAX_LEVELS], blocks[MAX_LEVELS], count;
} tiny_levels;

static int tiny_width(const kn_checkpoint *checkpoint, const char *side, int index, int axis) {
    return dimension(find(checkpoint, KN_PART_TINY, "%s.layers.%d.weight", side, index), axis);
}

/* Every convolution but the last opens a level. */
static void read_tiny_encoder(const kn_checkpoint *checkpoint, tiny_levels *levels) {
    *levels = (tiny_levels){0};
    for (int index = 0; levels->count < 8;) {
        int width = tiny_width(checkpoint, "encoder", index++, 0);
        bool last = !find(checkpoint, KN_PART_TINY, "encoder.layers.%d.conv.0.weight", index) &&
                    !find(checkpoint, KN_PART_TINY, "encoder.layers.%d.weight", index);
        if (width == 0 || last) return;
        levels->widths[levels->count] = width;
        levels->blocks[levels->count++] = count_blocks(checkpoint, "encoder", &index);
    }
}

/* A level ends with a convolution; an upsampling with a number of its own comes before each but the last. */
static void read_tiny_decoder(const kn_checkpoint *checkpoint, tiny_levels *levels) {
    int index = 2, width = tiny_width(checkpoint, "decoder", 0, 0);
    *levels = (tiny_levels){0};
    while (width && levels->count < 8) {
        levels->widths[levels->count] = width;
        levels->blocks[levels->count++] = count_blocks(checkpoint, "decoder", &index);
        width = tiny_width(checkpoint, "decoder", index + 1, 0); /* 0: no upsampling, the end */
        index += 2;
    }
}

static json_t *tiny_config(const kn_checkpoint *checkpoint, kn_error *error) {
    tiny_levels encoder, decoder;
    int latent = tiny_width(checkpoint, "decoder", 0, 1);
    if (latent == 0) return lacks(checkpoint, "decoder.layers.0.weight", error);
    read_tiny_encoder(checkpoint, &encoder);
    read_tiny_decoder(checkpoint, &decoder);
    if (encoder.count == 0) encoder = decoder; /* the decoder alone */
    return json_pack("{s:s, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:f}", "_class_name", "AutoencoderTiny", "in_channels",
                     3, "out_channels", 3, "latent_channels", latent, "encoder_block_out_channels",
                     list_of(encoder.widths, encoder.count), "decoder_block_out_channels",
                     list_of(decoder.widths, decoder.count), "num_encoder_blocks",
                     list_of(encoder.blocks, encoder.count), "num_decoder_blocks",
                     list_of(decoder.blocks, decoder.count), "scaling_factor", 1.0);
}

/* --- text encoder ----------------------------------------------------------------------------- */

static json_t *text_config(const kn_checkpoint *checkpoint, kn_error *error) {
    const kn_stored_tensor *tokens = find(checkpoint, KN_PART_TEXT, "text_model.embeddings.token_embedding.weight");
    const kn_stored_tensor *positions =
        find(checkpoint, KN_PART_TEXT, "text_model.embeddings.position_embedding.weight");
    const kn_stored_tensor *inner = find(checkpoint, KN_PART_TEXT, "text_model.encoder.layers.0.mlp.fc1.weight");
    int layers = 0, width = dimension(tokens, 1);
    if (width == 0) return lacks(checkpoint, "text_model.embeddings.token_embedding.weight", error);
    if (dimension(positions, 0) == 0)
        return lacks(checkpoint, "text_model.embeddings.position_embedding.weight", error);
    if (dimension(inner, 0) == 0) return lacks(checkpoint, "text_model.encoder.layers.0.mlp.fc1.weight", error);
    while (layers < 256 && find(checkpoint, KN_PART_TEXT, "text_model.encoder.layers.%d.layer_norm1.weight", layers))
        layers++;
    bool openclip = checkpoint->parts[KN_PART_TEXT].naming == KN_NAMING_OPENCLIP || width >= 1024;
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:f}", "_class_name", "CLIPTextModel", "vocab_size",
                     dimension(tokens, 0), "hidden_size", width, "intermediate_size", dimension(inner, 0),
                     "num_hidden_layers", layers, "num_attention_heads", width >= 64 ? width / 64 : 1,
                     "max_position_embeddings", dimension(positions, 0), "hidden_act", openclip ? "gelu" : "quick_gelu",
                     "layer_norm_eps", 1e-5);
}

/* --- schedule --------------------------------------------------------------------------------- */

/* In UNets of SD2.x that were trained for v this bias spreads more widely: its standard deviation is .11 and above, in
 * those for epsilon it is below .07 (an observation that other tools use too). */
bool kn_checkpoint_predicts_v(const kn_checkpoint *checkpoint) {
    const kn_stored_tensor *bias =
        find(checkpoint, KN_PART_UNET, "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias");
    const kn_stored_tensor *key =
        find(checkpoint, KN_PART_UNET, "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight");
    float values[4096];
    if (checkpoint->prediction != KN_PREDICT_AUTO) return checkpoint->prediction == KN_PREDICT_V;
    if (!bias || bias->count < 2 || bias->count > KN_COUNT(values) || dimension(key, 1) != 1024) return false;
    kn_stored_tensor_to_float(bias, values);
    double sum = 0, squares = 0, n = (double)bias->count;
    for (size_t i = 0; i < bias->count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    return sqrt(fmax((squares - sum * sum / n) / (n - 1), 0)) > 0.09;
}

static bool wrap(json_t *root, const kn_checkpoint *checkpoint, const char *what, kn_config *config, kn_error *error) {
    config->root = root;
    config->path = root ? kn_format(error, "%s (%s)", checkpoint->path, what) : NULL;
    if (config->path) return true;
    kn_config_finish(config);
    return false;
}

bool kn_checkpoint_schedule(const kn_checkpoint *checkpoint, kn_config *config, kn_error *error) {
    json_t *root = json_pack(
        "{s:s, s:s, s:f, s:f, s:i, s:s, s:b, s:b, s:i, s:s, s:b, s:i}", "_class_name", "DDIMScheduler", "beta_schedule",
        "scaled_linear", "beta_start", 0.00085, "beta_end", 0.012, "num_train_timesteps", 1000, "prediction_type",
        kn_checkpoint_predicts_v(checkpoint) ? "v_prediction" : "epsilon", "clip_sample", 0, "set_alpha_to_one", 0,
        "steps_offset", 1, "timestep_spacing", checkpoint->zero_terminal_snr ? "trailing" : "leading",
        "rescale_betas_zero_snr", checkpoint->zero_terminal_snr, "num_inference_steps", 20);
    *config = (kn_config){0};
    if (!root) return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", checkpoint->path);
    return wrap(root, checkpoint, "schedule", config, error);
}

bool kn_checkpoint_config(const kn_checkpoint *checkpoint, kn_part part, kn_config *config, kn_error *error) {
    static const char *const names[KN_PART_COUNT] = {"UNet", "autoencoder", "autoencoder", "text encoder",
                                                     "ControlNet"};
    kn_error reason = {0};
    *config = (kn_config){0};
    json_t *root = part == KN_PART_UNET         ? unet_config(checkpoint, part, &reason)
                   : part == KN_PART_CONTROLNET ? controlnet_config(checkpoint, &reason)
                   : part == KN_PART_TEXT       ? text_config(checkpoint, &reason)
                   : part == KN_PART_TINY       ? tiny_config(checkpoint, &reason)
                                                : autoencoder_config(checkpoint, &reason);
    if (!root && !reason.kind) return kn_fail(error, KN_ERROR_MEMORY, "%s: out of memory", checkpoint->path);
    return root ? wrap(root, checkpoint, names[part], config, error)
                : kn_fail(error, reason.kind, "%s", reason.message);
}

/* --- for people ------------------------------------------------------------------------------- */

void kn_checkpoint_describe(const kn_checkpoint *checkpoint, char *text, size_t size) {
    static const char *const names[KN_PART_COUNT] = {"UNet", "autoencoder", "TAESD", "text encoder", "ControlNet"};
    unet_shape shape;
    kn_part trunk = kn_checkpoint_has(checkpoint, KN_PART_CONTROLNET) ? KN_PART_CONTROLNET : KN_PART_UNET;
    read_unet(checkpoint, trunk, &shape);
    const char *family = shape.levels == 0                       ? ""
                         : shape.linear || shape.context == 1024 ? "Stable Diffusion 2.x, "
                                                                 : "Stable Diffusion 1.x, ";
    int used = snprintf(text, size, "%s", family);
    for (int part = 0, count = 0; part < KN_PART_COUNT && used >= 0 && (size_t)used < size; part++) {
        if (kn_checkpoint_has(checkpoint, (kn_part)part))
            used += snprintf(text + used, size - (size_t)used, "%s%s", count++ ? " + " : "", names[part]);
    }
    const kn_stored_tensor *latent = find(checkpoint, KN_PART_TINY, "decoder.layers.0.weight");
    latent = latent ? latent : find(checkpoint, KN_PART_AUTOENCODER, "decoder.conv_in.weight");
    if (latent && used >= 0 && (size_t)used < size)
        used += snprintf(text + used, size - (size_t)used, ", %d latent channels", dimension(latent, 1));
    if (kn_checkpoint_predicts_v(checkpoint) && used >= 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, ", predicts v");
}
