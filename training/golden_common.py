"""What the generators of golden tensors share: random weights, files, and the reference networks in double precision."""
import json
import os

import numpy as np
import torch
from torch import nn

import nets
import nets_text
import safetensors_io


def randomise(model, seed):
    """Gives every parameter, zero-initialised ones too, a value that matters, and rounds to fp16."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        with torch.no_grad():
            if p.dim() == 1:
                value = noise * .2 + (1 if "norm" in name and name.endswith("weight") else 0)
            else:
                value = noise / (p[0].numel() ** .5)
            p.copy_(value.half().float())
    for _, b in model.named_buffers():
        b.copy_(b.half().float())
    return model.double().eval()


def save_model(folder, model, config, stem="diffusion_pytorch_model"):
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/config.json", "w") as file:
        json.dump(config, file, indent=1)
        file.write("\n")
    state = {k: v.detach().float().numpy().astype(np.float16) for k, v in model.state_dict().items()}
    safetensors_io.write(f"{folder}/{stem}.safetensors", state)


def save(path, **arrays):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    safetensors_io.write(path, {k: np.asarray(v.detach().numpy() if torch.is_tensor(v) else v, np.float32) for k, v in arrays.items()})


def randn(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


# The timestep embedding computes in fp32 as in training; everything after it in fp64.
_embedding = nets.timestep_embedding
nets.timestep_embedding = lambda t, dim: _embedding(t, dim).double()


def group_norm(self, x, silu=False):
    y = nn.functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
    return nn.functional.silu(y) if silu else y


nets.GroupNorm.forward = group_norm
nets.LayerNorm.forward = nn.LayerNorm.forward


def attend(self, q, k, v):
    n, t, c = q.shape
    q, k, v = (x.reshape(n, x.shape[1], self.heads, c // self.heads).transpose(1, 2) for x in (q, k, v))
    return ((q @ k.transpose(2, 3) * (c // self.heads) ** -.5).softmax(-1) @ v).transpose(1, 2).reshape(n, t, c)


nets.Attention.attend = attend


def text_attention(self, x):
    n, t, c = x.shape
    q, k, v = (p(x).reshape(n, t, self.heads, c // self.heads).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
    mask = torch.full((t, t), float("-inf"), dtype=x.dtype).triu(1)
    score = q @ k.transpose(2, 3) * (c // self.heads) ** -.5 + mask
    return self.out_proj((score.softmax(-1) @ v).transpose(1, 2).reshape(n, t, c))


nets_text.CLIPAttention.forward = text_attention
