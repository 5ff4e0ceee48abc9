"""Golden tensors of a model that repaints film from its structure: diffusers' UNet with `timestep_cond`, transformers' CLIPTextModel, flow
matching with x-prediction by diffusers' scheduler; the structure is training/style.py's.

    python3 training/golden_style.py tests/golden
"""
import json
import sys

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch.nn import functional as F

import field
import style
from field import save, save_model, write_json
from tokenizer import Tokenizer

STEPS, WIDTH, HEIGHT, SEED, TOKENS = 3, 40, 24, 7, 12
UNET = {"in_channels": style.LATENT + style.STRUCTURE, "out_channels": style.LATENT, "block_out_channels": [8, 16], "layers_per_block": 1,
        "norm_num_groups": 4, "cross_attention_dim": 12, "attention_head_dim": 2, "use_linear_projection": True, "time_cond_proj_dim": 12,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"]}
TEXT = {"hidden_size": 12, "intermediate_size": 24, "num_attention_heads": 3, "num_hidden_layers": 1, "max_position_embeddings": TOKENS,
        "hidden_act": "quick_gelu"}
PROMPT = "ink and wash"


def hash64(x):
    """kn_hash64: splitmix64's finaliser"""
    mask = (1 << 64) - 1
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def main(out):
    folder = f"{out}/style"
    tokenizer = Tokenizer.train([c for all in style.CAPTIONS.values() for c in all], 20)
    unet, text = field.make("UNet2DConditionModel", UNET, 301), field.make_text(dict(TEXT, vocab_size=len(tokenizer.vocab)), 302)
    save_model(f"{folder}/unet", unet)
    save_model(f"{folder}/text_encoder", text)
    tokenizer.save(f"{folder}/tokenizer", TOKENS)
    with open(f"{folder}/unet/config.json") as file:
        config = json.load(file)
    write_json(f"{folder}/unet/config.json", dict(config, structure="lines-colour", timestep_cond="text"))
    write_json(f"{folder}/vae/config.json", style.VAE)
    write_json(f"{folder}/scheduler/scheduler_config.json", dict(style.SCHEDULER, num_inference_steps=STEPS))
    write_json(f"{folder}/looks.json", {"looks": [{"name": "ink", "prompt": PROMPT}, {"name": "clay", "prompt": "clay"}]})

    picture = torch.rand((3, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(303))
    structure = style.structure(picture)
    noise = torch.randn(3 * HEIGHT * WIDTH, generator=torch.Generator().manual_seed(hash64(SEED ^ hash64(0)) & 0xFFFFFFFF))
    x = F.pixel_unshuffle(noise.reshape(1, 3, HEIGHT, WIDTH), style.BLOCK).double()
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    sigmas = torch.linspace(1, 0, STEPS + 1)[:-1].tolist()
    scheduler.set_timesteps(STEPS, sigmas=sigmas)
    with torch.no_grad():
        context = text(torch.tensor([tokenizer.encode(PROMPT, TOKENS)])).last_hidden_state
        for sigma, t in zip(sigmas, scheduler.timesteps):
            x0 = unet(torch.cat([x, structure[None].double()], 1), float(t), context, timestep_cond=context[:, -1]).sample
            x = scheduler.step((x - x0) / sigma, t, x, return_dict=False)[0].double()
    made = F.pixel_shuffle(x, style.BLOCK)
    save(f"{folder}/tensors.safetensors", picture=picture, structure=structure, made=(made / 2 + .5).clamp(0, 1))


if __name__ == "__main__":
    main(sys.argv[1])
