"""Writes the golden tensors of tests/golden/: small networks with random weights, their inputs and their outputs.

    OMP_NUM_THREADS=1 python3 training/golden.py tests/golden

Weights are rounded to fp16 and stored so; outputs are computed in fp64 from the rounded weights. Networks, samplers and pictures are
the field's own (golden_networks.py, golden_schedulers.py, golden_paint.py, golden_peft.py; requirements.txt names the packages). What only
Kinora has, multi-view attention and packed pixels, comes from nets.py. golden_formats.py and golden_lora.py are run by themselves.
"""
import json
import os
import sys

import torch

import golden_networks
import golden_paint
import golden_peft
import golden_samplers
import golden_solvers
import golden_tokenizer
import nets
import nets_text
from golden_common import randn, randomise, save, save_model

OUT = sys.argv[1]

BASE = {"in_channels": 4, "block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": 12,
        "attention_head_dim": 2, "use_linear_projection": True, "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "mid_block_type": "UNetMidBlock2DCrossAttn"}


def unet_config(**changes):
    return dict(BASE, _class_name="UNet2DConditionModel", out_channels=4, up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"], **changes)


RING, OPEN = [[2, 1], [0, 2], [1, 0]], [[-1, 1], [0, 2], [1, -1]]


def make_unet_clip():
    """Cross-view and temporal attention: 4 frames of 3 views, each switched on and off, a closed and an open rig."""
    config = unet_config(multi_view=True, motion_levels=[0, 1], motion_max_seq_length=8)
    model = randomise(nets.UNet2DConditionModel(config), 7)
    x, context, t = randn(8, 12, 4, 5, 7), randn(9, 12, 3, 12), torch.full((12,), 250.)
    outs = {name: model(x, t, context, frames=frames, neighbours=neighbours) for name, frames, neighbours in
            (("ring", 4, RING), ("open", 4, OPEN), ("no_view", 4, None), ("no_time", 1, RING), ("neither", 1, None))}
    save_model(f"{OUT}/unet_clip", model, config)
    save(f"{OUT}/unet_clip/tensors.safetensors", x=x, context=context, t=t[:1], **outs)


def make_packing():
    config = {"_class_name": "PixelPacking", "block_size": 4}
    os.makedirs(f"{OUT}/packing", exist_ok=True)
    with open(f"{OUT}/packing/config.json", "w") as file:
        json.dump(config, file)
    x = randn(36, 3, 3, 12, 20)
    save(f"{OUT}/packing/tensors.safetensors", x=x, z=torch.nn.functional.pixel_unshuffle(x, 4))


def make_model():
    """A whole folder in kinora-nano's shape and clips sampled with it."""
    folder = f"{OUT}/model"
    base = dict(BASE, in_channels=12)
    unet_settings = dict(base, _class_name="UNet2DConditionModel", out_channels=12, up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
                         multi_view=True, motion_levels=[1], motion_max_seq_length=4)
    branch_settings = dict(base, _class_name="ControlNetModel", conditioning_channels=5, conditioning_embedding_out_channels=[4, 8])
    tokenizer = golden_tokenizer.make(f"{folder}/tokenizer", 60)
    text_settings = {"vocab_size": len(tokenizer.vocab), "hidden_size": 12, "intermediate_size": 24, "num_attention_heads": 3,
                     "num_hidden_layers": 2, "max_position_embeddings": 77, "hidden_act": "quick_gelu"}
    unet, branch = randomise(nets.UNet2DConditionModel(unet_settings), 40), randomise(nets.ControlNetModel(branch_settings), 41)
    text = randomise(nets_text.CLIPTextModel(text_settings), 42)
    save_model(f"{folder}/unet", unet, unet_settings)
    save_model(f"{folder}/controlnet-drive", branch, branch_settings)
    save_model(f"{folder}/text_encoder", text, text_settings, "model")
    for name, value in (("vae/config.json", {"_class_name": "PixelPacking", "block_size": 2}),
                        ("scheduler/scheduler_config.json", {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000,
                                                             "shift": 2.0, "prediction_type": "sample", "timestep_spacing": "trailing"})):
        os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
        with open(f"{folder}/{name}", "w") as file:
            json.dump(value, file)
    frames, views, height, width, steps = 3, 2, 12, 20, 3
    n, neighbours = frames * views, [[1, 1], [0, 0]]
    pixels, control = randn(43, n, 3, height, width), randn(44, n, 5, height, width)
    prompts = ["a car, at dusk"] * 2 + ["rain on the road!"] * 4
    noise = torch.nn.functional.pixel_unshuffle(pixels, 2)

    def encode(texts):
        return text(torch.tensor([tokenizer.encode(p) for p in texts]))

    def predict(x, t, context):
        t = torch.full((n,), t * 1000.)
        down, mid = branch(x, t, context, control, .8)
        return unet(x, t, context, down, mid, frames, neighbours)

    def run(guidance, texts, negative):
        x, cond, uncond = noise, encode(texts), encode([negative] * n)
        sigmas = [2 * s / (1 + s) for s in (1, 2 / 3, 1 / 3)] + [0]
        for now, following in zip(sigmas, sigmas[1:]):
            x0 = predict(x, now, cond)
            if guidance != 1:
                other = predict(x, now, uncond)
                x0 = other + guidance * (x0 - other)
            x = x0 + (x - x0) * (following / now)
        return (torch.nn.functional.pixel_shuffle(x, 2) * .5 + .5).clamp(0, 1)

    save(f"{OUT}/model/tensors.safetensors", noise=pixels, control=control, plain=run(1, prompts, ""), one=run(1, prompts[:1] * n, ""),
         guided=run(2.5, prompts, "a bus"))


with torch.no_grad():
    make_unet_clip()
    make_packing()
    make_model()
golden_networks.write(OUT)
golden_paint.write(OUT)
golden_peft.write(OUT)
golden_samplers.write(f"{OUT}/samplers")
golden_solvers.write(f"{OUT}/solvers")
golden_tokenizer.write(f"{OUT}/tokenizer")
