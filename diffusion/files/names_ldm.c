#include "diffusion/files/names.h"

#include <string.h>

typedef struct pair {
    const char *from, *to;
} pair;

bool kn_name_starts(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

bool kn_name_ends(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Steps over `word`; false, without a step, when something else is there. */
static bool take(const char **at, const char *word) {
    bool found = kn_name_starts(*at, word);
    *at += found ? strlen(word) : 0;
    return found;
}

/* Steps over "123.". */
static bool take_index(const char **at, int *index) {
    const char *p = *at;
    *index = 0;
    while (*p >= '0' && *p <= '9' && *index < 100000) *index = *index * 10 + *p++ - '0';
    if (p == *at || *p != '.') return false;
    *at = p + 1;
    return true;
}

static bool finish(int length) { return length > 0 && length < KN_TENSOR_NAME_SIZE; }

/* "<prefix><to><rest>" for the first pair whose `from` begins `rest`. */
static bool replace(const pair *pairs, size_t count, const char *prefix, const char *rest, char *out) {
    for (size_t i = 0; i < count; i++) {
        const char *at = rest;
        if (take(&at, pairs[i].from))
            return finish(snprintf(out, KN_TENSOR_NAME_SIZE, "%s%s%s", prefix, pairs[i].to, at));
    }
    return false;
}

/* --- UNet and ControlNet ---------------------------------------------------------------------- */

static bool resnet(const char *prefix, const char *rest, char *out) {
    static const pair pairs[] = {{"in_layers.0.", "norm1."},          {"in_layers.2.", "conv1."},
                                 {"emb_layers.1.", "time_emb_proj."}, {"out_layers.0.", "norm2."},
                                 {"out_layers.3.", "conv2."},         {"skip_connection.", "conv_shortcut."}};
    return replace(pairs, KN_COUNT(pairs), prefix, rest, out);
}

/* What lies in a block: a residual block at place 0, a transformer at place 1, a resampling convolution at any. */
static bool block_member(const char *block, int index, int place, const char *rest, char *out) {
    char prefix[96];
    if (take(&rest, "op.")) return finish(snprintf(out, KN_TENSOR_NAME_SIZE, "%s.downsamplers.0.conv.%s", block, rest));
    if (take(&rest, "conv.")) return finish(snprintf(out, KN_TENSOR_NAME_SIZE, "%s.upsamplers.0.conv.%s", block, rest));
    if (place == 0) {
        snprintf(prefix, sizeof prefix, "%s.resnets.%d.", block, index);
        return resnet(prefix, rest, out);
    }
    return place == 1 && finish(snprintf(out, KN_TENSOR_NAME_SIZE, "%s.attentions.%d.%s", block, index, rest));
}

/* input_blocks are one list: conv_in, then per level `layers` residual blocks and a downsampling convolution. */
static bool input_block(const kn_layout *layout, const char *rest, char *out) {
    int index, place;
    char block[64];
    if (!take_index(&rest, &index) || !take_index(&rest, &place)) return false;
    if (index == 0) return place == 0 && finish(snprintf(out, KN_TENSOR_NAME_SIZE, "conv_in.%s", rest));
    snprintf(block, sizeof block, "down_blocks.%d", (index - 1) / (layout->layers + 1));
    return block_member(block, (index - 1) % (layout->layers + 1), place, rest, out);
}

static bool output_block(const kn_layout *layout, const char *rest, char *out) {
    int index, place;
    char block[64];
    if (!take_index(&rest, &index) || !take_index(&rest, &place)) return false;
    snprintf(block, sizeof block, "up_blocks.%d", index / (layout->layers + 1));
    return block_member(block, index % (layout->layers + 1), place, rest, out);
}

static bool middle_block(const char *rest, char *out) {
    int place;
    if (!take_index(&rest, &place) || place > 2) return false;
    if (place == 1 && !kn_name_starts(rest, "in_layers") && !kn_name_starts(rest, "emb_layers") &&
        !kn_name_starts(rest, "out_layers"))
        return finish(snprintf(out, KN_TENSOR_NAME_SIZE, "mid_block.attentions.0.%s", rest));
    return resnet(place == 0 ? "mid_block.resnets.0." : "mid_block.resnets.1.", rest, out);
}

static bool unet(const kn_layout *layout, const char *name, char *out) {
    static const pair pairs[] = {{"time_embed.0.", "time_embedding.linear_1."},
                                 {"time_embed.2.", "time_embedding.linear_2."},
                                 {"out.0.", "conv_norm_out."},
                                 {"out.2.", "conv_out."}};
    if (take(&name, "input_blocks.")) return input_block(layout, name, out);
    if (take(&name, "output_blocks.")) return output_block(layout, name, out);
    if (take(&name, "middle_block.")) return middle_block(name, out);
    return replace(pairs, KN_COUNT(pairs), "", name, out);
}

/* The hint's convolutions have the even indices from 0 to last_hint. */
static bool controlnet(const kn_layout *layout, const char *name, char *out) {
    int index;
    const char *rest = name;
    if (take(&rest, "middle_block_out.0."))
        return finish(snprintf(out, KN_TENSOR_NAME_SIZE, "controlnet_mid_block.%s", rest));
    if (take(&rest, "zero_convs."))
        return take_index(&rest, &index) && take(&rest, "0.") &&
               finish(snprintf(out, KN_TENSOR_NAME_SIZE, "controlnet_down_blocks.%d.%s", index, rest));
    if (!take(&rest, "input_hint_block.")) return unet(layout, name, out);
    if (!take_index(&rest, &index) || index % 2) return false;
    if (index == 0 || index == layout->last_hint)
        return finish(snprintf(out, KN_TENSOR_NAME_SIZE, "controlnet_cond_embedding.%s.%s",
                               index ? "conv_out" : "conv_in", rest));
    return finish(snprintf(out, KN_TENSOR_NAME_SIZE, "controlnet_cond_embedding.blocks.%d.%s", index / 2 - 1, rest));
}

/* --- autoencoder ------------------------------------------------------------------------------ */

static bool autoencoder_resnet(const char *prefix, const char *rest, char *out) {
    static const pair pairs[] = {{"nin_shortcut.", "conv_shortcut."},
                                 {"norm1.", "norm1."},
                                 {"conv1.", "conv1."},
                                 {"norm2.", "norm2."},
                                 {"conv2.", "conv2."}};
    return replace(pairs, KN_COUNT(pairs), prefix, rest, out);
}

static bool autoencoder_middle(const char *side, const char *rest, char *out) {
    static const pair pairs[] = {
        {"norm.", "group_norm."}, {"q.", "to_q."}, {"k.", "to_k."}, {"v.", "to_v."}, {"proj_out.", "to_out.0."}};
    char prefix[64];
    bool second = kn_name_starts(rest, "block_2.");
    if (take(&rest, "attn_1.")) {
        snprintf(prefix, sizeof prefix, "%s.mid_block.attentions.0.", side);
        return replace(pairs, KN_COUNT(pairs), prefix, rest, out);
    }
    snprintf(prefix, sizeof prefix, "%s.mid_block.resnets.%d.", side, second);
    return (take(&rest, "block_1.") || take(&rest, "block_2.")) && autoencoder_resnet(prefix, rest, out);
}

/* "down" counts levels from the picture, "up" too, but diffusers counts the decoder's from the latent. */
static bool autoencoder_level(const kn_layout *layout, const char *side, bool up, const char *rest, char *out) {
    char prefix[96];
    int level, index;
    if (!take_index(&rest, &level) || level >= layout->levels) return false;
    const char *blocks = up ? "up_blocks" : "down_blocks", *sampler = up ? "upsamplers" : "downsamplers";
    int own = up ? layout->levels - 1 - level : level;
    if (take(&rest, up ? "upsample.conv." : "downsample.conv."))
        return finish(snprintf(out, KN_TENSOR_NAME_SIZE, "%s.%s.%d.%s.0.conv.%s", side, blocks, own, sampler, rest));
    if (!take(&rest, "block.") || !take_index(&rest, &index)) return false;
    snprintf(prefix, sizeof prefix, "%s.%s.%d.resnets.%d.", side, blocks, own, index);
    return autoencoder_resnet(prefix, rest, out);
}

static bool autoencoder(const kn_layout *layout, const char *name, char *out) {
    static const pair pairs[] = {{"conv_in.", "conv_in."}, {"conv_out.", "conv_out."}, {"norm_out.", "conv_norm_out."}};
    const char *rest = name, *side = kn_name_starts(name, "encoder.") ? "encoder" : "decoder";
    char prefix[32];
    if (kn_name_starts(name, "quant_conv.") || kn_name_starts(name, "post_quant_conv."))
        return finish(snprintf(out, KN_TENSOR_NAME_SIZE, "%s", name));
    if (!take(&rest, "encoder.") && !take(&rest, "decoder.")) return false;
    if (take(&rest, "mid.")) return autoencoder_middle(side, rest, out);
    bool up = kn_name_starts(rest, "up.");
    if (take(&rest, "down.") || take(&rest, "up.")) return autoencoder_level(layout, side, up, rest, out);
    snprintf(prefix, sizeof prefix, "%s.", side);
    return replace(pairs, KN_COUNT(pairs), prefix, rest, out);
}

/* --- text encoder ----------------------------------------------------------------------------- */

/* transformers' names with or without the leading "text_model.". */
static bool text(const char *name, char *out) {
    take(&name, "text_model.");
    return (kn_name_starts(name, "embeddings.") || kn_name_starts(name, "encoder.") ||
            kn_name_starts(name, "final_layer_norm.")) &&
           finish(snprintf(out, KN_TENSOR_NAME_SIZE, "text_model.%s", name));
}

static bool openclip(const char *name, char *out) {
    static const pair outer[] = {{"positional_embedding", "embeddings.position_embedding.weight"},
                                 {"token_embedding.", "embeddings.token_embedding."},
                                 {"ln_final.", "final_layer_norm."}};
    static const pair inner[] = {{"ln_1.", "layer_norm1."},
                                 {"ln_2.", "layer_norm2."},
                                 {"attn.in_proj", "self_attn.in_proj"},
                                 {"attn.out_proj.", "self_attn.out_proj."},
                                 {"mlp.c_fc.", "mlp.fc1."},
                                 {"mlp.c_proj.", "mlp.fc2."}};
    int index;
    char prefix[64];
    if (!take(&name, "transformer.resblocks.")) return replace(outer, KN_COUNT(outer), "text_model.", name, out);
    if (!take_index(&name, &index)) return false;
    snprintf(prefix, sizeof prefix, "text_model.encoder.layers.%d.", index);
    return replace(inner, KN_COUNT(inner), prefix, name, out);
}

/* --- all -------------------------------------------------------------------------------------- */

/* TAESD's decoder begins with a clamp that diffusers does not count. */
static bool taesd(bool decoder, const char *name, char *out) {
    int index;
    if (!take_index(&name, &index) || index < decoder) return false;
    return finish(
        snprintf(out, KN_TENSOR_NAME_SIZE, "%s.layers.%d.%s", decoder ? "decoder" : "encoder", index - decoder, name));
}

bool kn_name_translate(kn_part part, kn_naming naming, const kn_layout *layout, const char *name, char *out) {
    if (naming == KN_NAMING_TAESD_ENCODER || naming == KN_NAMING_TAESD_DECODER)
        return taesd(naming == KN_NAMING_TAESD_DECODER, name, out);
    if (naming == KN_NAMING_OPENCLIP) return openclip(name, out);
    if (part == KN_PART_TEXT) return text(name, out);
    if (naming == KN_NAMING_DIFFUSERS) return finish(snprintf(out, KN_TENSOR_NAME_SIZE, "%s", name));
    return part == KN_PART_UNET         ? unet(layout, name, out)
           : part == KN_PART_CONTROLNET ? controlnet(layout, name, out)
                                        : autoencoder(layout, name, out);
}
