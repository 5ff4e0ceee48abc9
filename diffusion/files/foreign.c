/* Files that are not for Kinora, told by a tensor that only they have. */
#include "diffusion/files/checkpoint.h"

#include <string.h>

/* `tensor` may stand behind one of these. */
static const char *const wrappers[] = {"",       "model.diffusion_model.", "unet.", "transformer.",
                                       "model.", "control_model."};

static const struct {
    const char *tensor, *what;
} families[] = {
    {"lora_controlnet", "this is a Control-LoRA, which works with its base model's weights alone; Kinora takes whole "
                        "ControlNets"},
    {"input_blocks.1.0.time_mixer.mix_factor", "this is a Stable Video Diffusion model"},
    {"down_blocks.0.resnets.0.time_mixer.mix_factor", "this is a UNet of Stable Video Diffusion"},
    {"label_emb.0.0.weight", "this is a Stable Diffusion XL model or a class-conditional one"},
    {"add_embedding.linear_1.weight", "this is a Stable Diffusion XL model"},
    {"joint_blocks.0.x_block.attn.qkv.weight", "this is a Stable Diffusion 3 model"},
    {"joint_blocks.0.context_block.adaLN_modulation.1.bias", "this is a Stable Diffusion 3 model"},
    {"distilled_guidance_layer.in_proj.bias", "this is a Chroma model"},
    {"single_stream_modulation.lin.weight", "this is a Flux 2 model"},
    {"double_blocks.0.img_attn.qkv.weight", "this is a Flux model"},
    {"double_blocks.0.img_attn.norm.key_norm.scale", "this is a Flux model"},
    {"single_transformer_blocks.0.attn.norm_q.weight", "this is a Flux model"},
    {"txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias", "this is a HunyuanVideo model"},
    {"txt_in.individual_token_refiner.blocks.0.norm1.weight", "this is a HunyuanVideo model"},
    {"head.modulation", "this is a Wan video model"},
    {"blocks.0.cross_attn.norm_k.weight", "this is a Wan video model"},
    {"decoder.middle.0.residual.0.gamma", "this is the autoencoder of Wan or Qwen-Image"},
    {"patchify_proj.weight", "this is an LTX video model"},
    {"transformer_blocks.0.scale_shift_table", "this is an LTX video or PixArt model"},
    {"vae.decoder.last_scale_shift_table", "this is an LTX video model"},
    {"vae.per_channel_statistics.mean-of-means", "this is an LTX video model"},
    {"transformer_blocks.0.img_mod.1.weight", "this is a Qwen-Image model"},
    {"txt_in.text_norm.weight", "this is a Qwen-Image model"},
    {"double_layers.0.attn.w1q.weight", "this is an AuraFlow model"},
    {"blocks.0.attn.qkv_x.weight", "this is a Mochi model"},
    {"blocks.0.cross_attn.q_linear.weight", "this is a Sana or PixArt model"},
    {"cap_embedder.0.weight", "this is a Lumina 2 or Z-Image model"},
    {"layers.0.adaLN_modulation.0.weight", "this is a Z-Image model"},
    {"double_stream_blocks.0.block.adaLN_modulation.1.bias", "this is a HiDream model"},
    {"net.x_embedder.proj.1.weight", "this is a Cosmos model"},
    {"patch_embed.text_proj.weight", "this is a CogVideoX model"},
    {"clip_txt_mapper.weight", "this is a Stable Cascade model"},
    {"decoder.stages.1.op_list.0.main.conv.conv.bias", "this is a deep-compression autoencoder"},
    {"encoder.block.0.layer.0.SelfAttention.q.weight", "this is a T5 text encoder"},
    {"image_proj.proj.weight", "this is an IP-Adapter"},
    {"ip_adapter.1.to_k_ip.weight", "this is an IP-Adapter"},
    {"adapter.body.0.resnets.0.block1.weight", "this is a T2I-Adapter"},
    {"body.0.block1.weight", "this is a T2I-Adapter"},
    {"conv_first.weight", "this is a super-resolution network"},
    {"model.0.weight", "this is a super-resolution network"},
    {"string_to_param", "this is a textual inversion, which Kinora does not read"},
    {"emb_params", "this is a textual inversion, which Kinora does not read"},
    {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight",
     "this is an AnimateDiff motion module, which belongs into motion/ of a model's folder"},
    {"down_blocks.0.motion_modules.0.norm.weight",
     "this is a MotionAdapter, which belongs into motion/ of a model's folder"},
};

static bool has_any(const kn_archive *archive, const char *tensor) {
    char name[KN_TENSOR_NAME_SIZE];
    for (size_t i = 0; i < KN_COUNT(wrappers); i++) {
        snprintf(name, sizeof name, "%s%s", wrappers[i], tensor);
        if (kn_archive_find(archive, name)) return true;
    }
    return false;
}

/* A UNet with motion modules inside is one that Kinora runs. */
static bool has_unet(const kn_archive *archive) {
    return has_any(archive, "conv_in.weight") || has_any(archive, "input_blocks.0.0.weight");
}

const char *kn_foreign_family(const kn_archive *archive) {
    for (size_t i = 0; i < KN_COUNT(families); i++) {
        bool motion = strstr(families[i].tensor, "motion_modules") != NULL;
        if (has_any(archive, families[i].tensor) && !(motion && has_unet(archive))) return families[i].what;
    }
    for (size_t i = 0; i < archive->count; i++) {
        const char *name = archive->tensors[i].name;
        if (strstr(name, "lora_") || strstr(name, ".lora.") || strstr(name, "lokr_") || strstr(name, "hada_"))
            return "this is a LoRA, which --lora takes beside a model";
    }
    return NULL;
}
