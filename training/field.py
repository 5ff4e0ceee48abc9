"""The field's own networks, from which the golden tensors come: diffusers' and transformers' classes with small configs and random
weights, saved with their own save_pretrained. Nothing here computes anything itself.

Weights are rounded to fp16 before use and stored so; networks run in fp64."""
import copy
import json
import os

import diffusers
import torch
import transformers
from safetensors.torch import save_file

diffusers.utils.logging.set_verbosity_error()
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def randn(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


def randomise(model, seed):
    """Gives every parameter, zero-initialised ones too, a value that matters, and rounds to fp16."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            value = noise * .2 + (1 if "norm" in name and name.endswith("weight") else 0) if p.dim() == 1 else noise / (p[0].numel() ** .5)
            p.copy_(value.half().float())
        for _, b in model.named_buffers():
            if b.is_floating_point():
                b.copy_(b.half().float())
    return model.double().eval()


def make(kind, config, seed):
    """diffusers' class `kind` from the keys of a config.json."""
    return randomise(getattr(diffusers, kind)(**{k: v for k, v in config.items() if not k.startswith("_")}), seed)


def make_text(config, seed):
    """transformers' CLIPTextModel. Its attention masks must run in fp64 too, which its eager code does."""
    settings = transformers.CLIPTextConfig(**config)
    settings._attn_implementation = "eager"
    return randomise(transformers.CLIPTextModel(settings), seed)


def save_model(folder, model):
    """config.json and weights as the library itself writes them, in fp16."""
    copy.deepcopy(model).half().save_pretrained(folder)


def save(path, **arrays):
    """fp32 tensors by the reference safetensors package."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    save_file({k: torch.as_tensor(v).detach().float().contiguous() for k, v in arrays.items()}, path)


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


# --- calls with one signature ------------------------------------------------------------------------------------------------------

def run_unet(model, x, t, context, down=None, mid=None, **more):
    return model(x, t, context, down_block_additional_residuals=down, mid_block_additional_residual=mid, **more).sample


def run_control(model, x, t, context, condition, scale=1.):
    out = model(x, t, context, condition, conditioning_scale=scale)
    return out.down_block_res_samples, out.mid_block_res_sample


def add_residuals(a, b):
    return [p + q for p, q in zip(a[0], b[0])], a[1] + b[1]
