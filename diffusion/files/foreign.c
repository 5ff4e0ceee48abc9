/* Model families that Kinora does not paint with, told from their tensors so that a refusal can name them. */
#include "diffusion/files/checkpoint.h"

#include <string.h>

const char *kn_foreign_family(const kn_archive *archive) {
    static const struct {
        const char *tensor, *family;
    } markers[] = {
        {"model.diffusion_model.label_emb.0.0.weight", "this is a Stable Diffusion XL or class-conditional checkpoint"},
        {"label_emb.0.0.weight", "this is a UNet of Stable Diffusion XL or a class-conditional one"},
        {"add_embedding.linear_1.weight", "this is a UNet of Stable Diffusion XL"},
        {"unet.add_embedding.linear_1.weight", "this is a Stable Diffusion XL checkpoint"},
        {"control_model.label_emb.0.0.weight", "this is a ControlNet for Stable Diffusion XL"},
        {"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", "this is a Stable Diffusion 3 checkpoint"},
        {"joint_blocks.0.x_block.attn.qkv.weight", "this is a transformer of Stable Diffusion 3"},
        {"double_blocks.0.img_attn.qkv.weight", "this is a Flux transformer"},
        {"model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "this is a Flux checkpoint"}};
    for (size_t i = 0; i < KN_COUNT(markers); i++) {
        if (kn_archive_find(archive, markers[i].tensor)) return markers[i].family;
    }
    for (size_t i = 0; i < archive->count; i++) {
        if (strstr(archive->tensors[i].name, "lora_") || strstr(archive->tensors[i].name, ".lora."))
            return "this is a LoRA, which --lora takes beside a model";
    }
    return NULL;
}
