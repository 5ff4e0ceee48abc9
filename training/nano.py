"""The shape of kinora-nano: configs in diffusers' keys, and the export of its folder."""
import json
import os

import numpy as np

import autoencoder
import safetensors_io

CONDITION_CHANNELS = 30
# Channel groups of the conditions (include/kinora/render.h) that are dropped together in training, and how often.
CONDITION_GROUPS = {"flat colour": (0, 3, .08), "inverse depth": (3, 4, .25), "normals": (4, 7, .25), "edges": (7, 8, .1),
                    "classes": (8, 22, .04), "lamps": (22, 25, .1), "wetness": (25, 26, .1), "visibility": (26, 27, .1),
                    "shaded colours": (27, 30, .8)}
LOOKS = ("render", "photo")
TEXT_LENGTH = 77
NEIGHBOURS = [[5, 1], [0, 2], [1, 3], [2, 4], [3, 5], [4, 0]]
LATENT = autoencoder.LATENT_CHANNELS
SCALE = 8

BASE = {
    "in_channels": LATENT, "block_out_channels": [128, 144, 192], "layers_per_block": 1, "norm_num_groups": 16,
    "cross_attention_dim": 128, "attention_head_dim": 6, "use_linear_projection": True, "act_fn": "silu",
    "flip_sin_to_cos": True, "freq_shift": 0, "norm_eps": 1e-5,
    "down_block_types": ["DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"],
    "mid_block_type": "UNetMidBlock2DCrossAttn",
}
# The UNet reads the noisy latents and, as further channels (as inpainting networks do), the conditions' means over each cell; the
# text's state at its end joins the sinusoids of the time, so that every layer knows it.
UNET = dict(BASE, _class_name="UNet2DConditionModel", in_channels=LATENT + CONDITION_CHANNELS, condition_means="drive", out_channels=LATENT,
            sample_size=[28, 50], multi_view=True, time_cond_proj_dim=128, timestep_cond="text",
            up_block_types=["CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"], motion_levels=[2], motion_max_seq_length=32)
CONTROLNET = dict(BASE, _class_name="ControlNetModel", conditioning_channels=CONDITION_CHANNELS,
                  down_block_types=["DownBlock2D"] * 3,
                  conditioning_embedding_out_channels=[16, 32, 64, 128])
TEXT = {"_class_name": "CLIPTextModel", "architectures": ["CLIPTextModel"], "hidden_size": 128, "intermediate_size": 512,
        "num_attention_heads": 4, "num_hidden_layers": 2, "max_position_embeddings": TEXT_LENGTH, "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5}
SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "prediction_type": "sample",
             "shift": 1.0, "timestep_spacing": "trailing", "num_inference_steps": 4}
INDEX = {"_class_name": "KinoraPipeline", "unet": ["diffusers", "UNet2DConditionModel"],
         "controlnet-drive": ["diffusers", "ControlNetModel"], "text_encoder": ["transformers", "CLIPTextModel"],
         "tokenizer": ["transformers", "CLIPTokenizer"], "vae": ["diffusers", "AutoencoderTiny"],
         "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"]}


def caption(look, scene):
    """What the text encoder reads: the look, and the scene's words (kn_scene_caption)."""
    return f"{look}, {scene}"


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def write_weights(path, state):
    safetensors_io.write(path, {name: tensor.detach().float().numpy().astype(np.float16) for name, tensor in state.items()},
                         {"format": "pt"})


def export(folder, model, tokenizer, encoder, decoder):
    """Writes the diffusers folder with fp16 weights."""
    write_json(f"{folder}/model_index.json", INDEX)
    write_json(f"{folder}/unet/config.json", UNET)
    write_json(f"{folder}/controlnet-drive/config.json", CONTROLNET)
    write_json(f"{folder}/text_encoder/config.json", dict(TEXT, vocab_size=len(tokenizer.vocab)))
    write_json(f"{folder}/vae/config.json", autoencoder.CONFIG)
    write_json(f"{folder}/scheduler/scheduler_config.json", SCHEDULER)
    tokenizer.save(f"{folder}/tokenizer", TEXT_LENGTH)
    write_weights(f"{folder}/unet/diffusion_pytorch_model.safetensors", model.unet.state_dict())
    write_weights(f"{folder}/controlnet-drive/diffusion_pytorch_model.safetensors", model.controlnet.state_dict())
    write_weights(f"{folder}/text_encoder/model.safetensors", model.text.state_dict())
    write_weights(f"{folder}/vae/diffusion_pytorch_model.safetensors", autoencoder.diffusers_state(encoder, decoder))
