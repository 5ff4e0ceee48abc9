"""Golden tensors of a model that makes clips in latents: diffusers' UNet, which also takes the means of a control's pictures,
ControlNet, AutoencoderTiny behind 2x2 packing, and flow matching with x-prediction by diffusers' scheduler.

    python3 training/golden_latent.py tests/golden

The state of transformers' text encoder at the end token goes into the UNet's timestep_cond, too.
"""
import json
import sys

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch.nn import functional as F

import field
import golden_tokenizer
from field import randn, save, save_model, write_json

CONDITIONS, LATENT, STEPS = 5, 4, 3
PROMPTS, GUIDANCE, STRENGTH = ["a red car at night", "fog"], 2, .4
BASE = {"block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": 12, "attention_head_dim": 2,
        "use_linear_projection": True, "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "mid_block_type": "UNetMidBlock2DCrossAttn"}
UNET = dict(BASE, in_channels=LATENT + CONDITIONS, out_channels=LATENT, up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"], time_cond_proj_dim=12)
CONTROLNET = dict(BASE, in_channels=LATENT, conditioning_channels=CONDITIONS, conditioning_embedding_out_channels=[4, 8, 12])
VAE = {"in_channels": 12, "out_channels": 12, "latent_channels": LATENT, "encoder_block_out_channels": [8] * 2, "decoder_block_out_channels": [8] * 2,
       "num_encoder_blocks": [1, 2], "num_decoder_blocks": [2, 1], "scaling_factor": 1.25}
SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "prediction_type": "sample", "shift": 1.0,
             "timestep_spacing": "trailing", "num_inference_steps": STEPS}


def with_keys(path, **keys):
    value = json.load(open(path))
    value.update(keys)
    write_json(path, value)


def make_text(folder):
    """-> texts [N] -> context [N, 77, 12], states at the end token [N, 12]"""
    tokenizer = golden_tokenizer.make(f"{folder}/tokenizer", 60)
    count = len(tokenizer.vocab)
    text = field.make_text({"vocab_size": count, "hidden_size": 12, "intermediate_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2,
                            "max_position_embeddings": 77, "hidden_act": "quick_gelu", "bos_token_id": count - 2, "eos_token_id": count - 1}, 207)
    save_model(f"{folder}/text_encoder", text)

    def encode(prompts):
        ids = torch.tensor([tokenizer.encode(p) for p in prompts])
        with torch.no_grad():
            states = text(ids)
            return states.last_hidden_state.double(), states.pooler_output.double()
    return encode


def sample(unet, branch, condition, noise, contexts, guidance, strength=1):
    """contexts: of the prompts and of no text; noise: what to start from at noise share `strength`"""
    means = F.avg_pool2d(condition, 4)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    sigmas = torch.linspace(strength, 0, STEPS + 1)[:-1].tolist()
    scheduler.set_timesteps(STEPS, sigmas=sigmas)
    x = noise
    for sigma, t in zip(sigmas, scheduler.timesteps):
        time, found = torch.full((2,), float(t)), []
        for context, end in contexts:
            down, mid = field.run_control(branch, x, time, context, condition)
            found.append(field.run_unet(unet, torch.cat([x, means], 1), time, context, down, mid, timestep_cond=end))
        x0 = found[1] + guidance * (found[0] - found[1])
        x = scheduler.step((x - x0) / sigma, t, x, return_dict=False)[0].double()
    return x


def main(out):
    folder = f"{out}/latent"
    unet, branch = field.make("UNet2DConditionModel", UNET, 201), field.make("ControlNetModel", CONTROLNET, 202)
    vae = field.make("AutoencoderTiny", VAE, 203)
    for name, model in (("unet", unet), ("controlnet-drive", branch), ("vae", vae)):
        save_model(f"{folder}/{name}", model)
    with_keys(f"{folder}/unet/config.json", condition_means="drive", timestep_cond="text")
    with_keys(f"{folder}/vae/config.json", in_channels=3, out_channels=3, patch_size=2)
    write_json(f"{folder}/scheduler/scheduler_config.json", SCHEDULER)

    picture, condition, noise = randn(204, 2, 3, 16, 24).clamp(-1, 1), randn(205, 2, CONDITIONS, 16, 24), randn(206, 2, LATENT, 4, 6)
    encode = make_text(folder)
    contexts = encode(PROMPTS), encode(["", ""])
    with torch.no_grad():
        latents = [sample(unet, branch, condition, noise, contexts, guidance) for guidance in (1, GUIDANCE)]
        made, guided = (F.pixel_shuffle(vae.decode(x / VAE["scaling_factor"]).sample, 2) for x in latents)
        x = latents[0]
        encoded = vae.encode(F.pixel_unshuffle(picture, 2)).latents * VAE["scaling_factor"]
    with torch.no_grad():
        repainted = sample(unet, branch, condition, (1 - STRENGTH) * encoded + STRENGTH * noise, contexts, 1, STRENGTH)
        repainted = F.pixel_shuffle(vae.decode(repainted / VAE["scaling_factor"]).sample, 2)
    save(f"{folder}/vae/tensors.safetensors", x=picture, z=x, encoded=encoded, decoded=made)
    save(f"{folder}/tensors.safetensors", condition=condition, noise=noise, made=(made / 2 + .5).clamp(0, 1),
         guided=(guided / 2 + .5).clamp(0, 1), init=picture / 2 + .5, repainted=(repainted / 2 + .5).clamp(0, 1))


main(sys.argv[1])
