"""The shape of kinora-nano: configs in diffusers' keys, and the export of its folder."""
import json
import os

import numpy as np

import safetensors_io

CONTROL_CHANNELS = 16
# Channel groups of the control maps that are dropped together in training (include/kinora/render.h).
CONTROL_GROUPS = [(0, 3), (3, 4), (4, 7), (7, 8), (8, 12), (12, 15), (15, 16)]
TEXT_LENGTH = 77
# What is generated is the difference between the picture and the control colours, from noise of this standard deviation
# (flow matching with a data-dependent coupling, arXiv 2310.03725, in coordinates relative to the control picture).
RESIDUAL_NOISE = .05
# Sampling starts with less: what is left of the grain goes, at no loss (25.18 dB instead of 25.08 on held-out worlds).
SAMPLING_NOISE = .015
NEIGHBOURS = [[5, 1], [0, 2], [1, 3], [2, 4], [3, 5], [4, 0]]

BASE = {
    "in_channels": 48, "block_out_channels": [64, 128, 160], "layers_per_block": 1, "norm_num_groups": 16,
    "cross_attention_dim": 128, "attention_head_dim": 4, "use_linear_projection": True, "act_fn": "silu",
    "flip_sin_to_cos": True, "freq_shift": 0, "norm_eps": 1e-5,
    "down_block_types": ["DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"],
    "mid_block_type": "UNetMidBlock2DCrossAttn",
}
UNET = dict(BASE, _class_name="UNet2DConditionModel", out_channels=48, sample_size=[56, 100], multi_view=True,
            up_block_types=["CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"], motion_levels=[2], motion_max_seq_length=32)
CONTROLNET = dict(BASE, _class_name="ControlNetModel", conditioning_channels=CONTROL_CHANNELS,
                  conditioning_embedding_out_channels=[16, 32, 96])
TEXT = {"_class_name": "CLIPTextModel", "architectures": ["CLIPTextModel"], "hidden_size": 128, "intermediate_size": 512,
        "num_attention_heads": 4, "num_hidden_layers": 2, "max_position_embeddings": TEXT_LENGTH, "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5}
VAE = {"_class_name": "PixelPacking", "block_size": 4, "latent_channels": 48, "scaling_factor": 1.0}
SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "prediction_type": "sample",
             "shift": 1.0, "timestep_spacing": "trailing", "num_inference_steps": 2,
             "residual_control": "drive", "residual_noise": SAMPLING_NOISE}
INDEX = {"_class_name": "KinoraPipeline", "unet": ["diffusers", "UNet2DConditionModel"],
         "controlnet-drive": ["diffusers", "ControlNetModel"], "text_encoder": ["transformers", "CLIPTextModel"],
         "tokenizer": ["transformers", "CLIPTokenizer"], "vae": ["kinora", "PixelPacking"],
         "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"]}


def base_of(control):
    """The colours of the control map [N, 16, H, W] -> [N, 3, H, W] in -1..1."""
    return control[:, :3] * 2 - 1


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def write_weights(path, state):
    safetensors_io.write(path, {name: tensor.detach().float().numpy().astype(np.float16) for name, tensor in state.items()},
                         {"format": "pt"})


def is_consistency(name):
    """Multi-view and temporal modules, which are trained after the rest."""
    return any(part in name for part in ("motion_modules", "attn4", "norm4", "connector"))


def export(folder, unet, controlnet, text, tokenizer, consistency):
    """Writes the diffusers folder with fp16 weights; without multi-view and temporal modules unless they are trained."""
    write_json(f"{folder}/model_index.json", INDEX)
    write_json(f"{folder}/unet/config.json", UNET if consistency else dict(UNET, multi_view=False, motion_levels=[]))
    write_json(f"{folder}/controlnet-drive/config.json", CONTROLNET)
    write_json(f"{folder}/text_encoder/config.json", dict(TEXT, vocab_size=len(tokenizer.vocab)))
    write_json(f"{folder}/vae/config.json", VAE)
    write_json(f"{folder}/scheduler/scheduler_config.json", SCHEDULER)
    tokenizer.save(f"{folder}/tokenizer", TEXT_LENGTH)
    write_weights(f"{folder}/unet/diffusion_pytorch_model.safetensors",
                  {n: t for n, t in unet.state_dict().items() if consistency or not is_consistency(n)})
    write_weights(f"{folder}/controlnet-drive/diffusion_pytorch_model.safetensors", controlnet.state_dict())
    write_weights(f"{folder}/text_encoder/model.safetensors", text.state_dict())
