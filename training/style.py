"""The shape of kinora-style: what the network is given of a picture, its configs in diffusers' keys, and the export of its folder."""
import json
import os

import numpy as np
import torch
from torch.nn import functional as F

import safetensors_io
from looks import LOOKS, blur, luma

BLOCK = 4                      # pixels are packed 4 x 4 into cells
LATENT = 3 * BLOCK * BLOCK
PLANES = 2                     # line planes, packed
STRUCTURE = PLANES * BLOCK * BLOCK + 3
TEXT_LENGTH = 16
UNET = {
    "_class_name": "UNet2DConditionModel", "structure": "lines-colour", "sample_size": [90, 160],
    "in_channels": LATENT + STRUCTURE, "out_channels": LATENT, "block_out_channels": [64, 96, 144], "layers_per_block": 1,
    "norm_num_groups": 16, "cross_attention_dim": 64, "attention_head_dim": 4, "use_linear_projection": True, "act_fn": "silu",
    "flip_sin_to_cos": True, "freq_shift": 0, "norm_eps": 1e-5, "time_cond_proj_dim": 64, "timestep_cond": "text",
    "down_block_types": ["DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"], "mid_block_type": "UNetMidBlock2DCrossAttn",
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
}
TEXT = {"_class_name": "CLIPTextModel", "architectures": ["CLIPTextModel"], "hidden_size": 64, "intermediate_size": 256,
        "num_attention_heads": 2, "num_hidden_layers": 1, "max_position_embeddings": TEXT_LENGTH, "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5}
SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "prediction_type": "sample",
             "shift": 1.0, "timestep_spacing": "trailing", "num_inference_steps": 2}
VAE = {"_class_name": "PixelPacking", "block_size": BLOCK}
INDEX = {"_class_name": "KinoraPipeline", "unet": ["diffusers", "UNet2DConditionModel"], "text_encoder": ["transformers", "CLIPTextModel"],
         "tokenizer": ["transformers", "CLIPTokenizer"], "vae": ["kinora", "PixelPacking"],
         "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"]}
# How much of the unit noise each look starts from.
GRAIN = {"anime": .5, "ink": .8, "gouache": .7, "pencil": 1, "clay": .7}
# What the text encoder reads for each look: the first is what `--look` says, the others are ways of saying it.
CAPTIONS = {
    "anime": ["anime", "cel animation", "anime, flat shadows and ink lines", "cartoon"],
    "ink": ["ink", "ink and wash", "sumi ink painting on paper", "black ink"],
    "gouache": ["gouache", "gouache painting", "opaque paint with bristle marks", "painted"],
    "pencil": ["pencil", "pencil drawing", "graphite hatching on paper", "sketch"],
    "clay": ["clay", "clay animation", "plasticine figures", "modelled in clay"],
}


def structure(x):
    """Pictures [3, H, W] in 0..1 -> [35, H / 4, W / 4]: two planes of lines, packed, and the low-frequency colour of each cell.

    The lines are differences of Gaussians of the luma at pixel scale and at stroke scale, both signs, limited to -1..1.
    Sizes are multiples of 4."""
    g = luma(x)
    fine, middle, low = blur(g, .6), blur(g, 1.5), blur(x, 4)
    lines = torch.cat([6 * (fine - middle), 3 * (middle - luma(low))]).clamp(-1, 1)
    return torch.cat([F.pixel_unshuffle(lines, BLOCK), F.avg_pool2d(low, BLOCK) * 2 - 1])


def pack(x):
    """[..., 3, H, W] in 0..1 -> [..., 48, H / 4, W / 4] in -1..1"""
    return F.pixel_unshuffle(x * 2 - 1, BLOCK)


def unpack(x):
    return (F.pixel_shuffle(x, BLOCK) * .5 + .5).clamp(0, 1)


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def write_weights(path, state):
    safetensors_io.write(path, {name: tensor.detach().float().numpy().astype(np.float16) for name, tensor in state.items()},
                         {"format": "pt"})


def export(folder, model, tokenizer):
    """Writes the diffusers folder with fp16 weights."""
    write_json(f"{folder}/model_index.json", INDEX)
    write_json(f"{folder}/unet/config.json", UNET)
    write_json(f"{folder}/text_encoder/config.json", dict(TEXT, vocab_size=len(tokenizer.vocab)))
    write_json(f"{folder}/vae/config.json", VAE)
    write_json(f"{folder}/scheduler/scheduler_config.json", SCHEDULER)
    write_json(f"{folder}/looks.json", {"looks": [{"name": name, "prompt": CAPTIONS[name][0], "grain": GRAIN[name]} for name in LOOKS]})
    tokenizer.save(f"{folder}/tokenizer", TEXT_LENGTH)
    write_weights(f"{folder}/unet/diffusion_pytorch_model.safetensors", model.unet.state_dict())
    write_weights(f"{folder}/text_encoder/model.safetensors", model.text.state_dict())
