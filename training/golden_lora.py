"""Writes tests/golden/lora/: LoHa, LoKr and DoRA files and what the network of tests/golden/unet_stable gives with them.

    OMP_NUM_THREADS=1 python3 training/golden_lora.py tests/golden

The differences are written from their papers: LoHa (arXiv 2108.06098), LoKr (arXiv 2309.14859, section 3.2), DoRA (arXiv 2402.09353), with the
tensors' names and shapes as LyCORIS and PEFT store them; at a strength other than 1 the weight moves that share of the way to the
adapted one.
"""
import os
import sys

import numpy as np
import torch

import nets
import safetensors_io
from golden_common import randomise, save

OUT = sys.argv[1] + "/lora"
CONFIG = {"in_channels": 5, "out_channels": 3, "block_out_channels": [8, 16, 24], "layers_per_block": 2, "attention_head_dim": [2, 2, 6], "norm_num_groups": 4,
          "cross_attention_dim": 12, "use_linear_projection": False, "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
          "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"], "mid_block_type": "UNetMidBlock2DCrossAttn"}
LINEARS = ["down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", "down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k",
           "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj", "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0"]
CONVOLUTIONS = ["down_blocks.1.resnets.0.conv1", "up_blocks.0.resnets.1.conv_shortcut", "down_blocks.0.downsamplers.0.conv"]
generator = torch.Generator().manual_seed(5)


def fresh():
    return randomise(nets.UNet2DConditionModel(CONFIG), 1)


def random(*shape):
    return (torch.randn(shape, generator=generator) / shape[-1] ** .5).half().double()


def loha(shape, rank, alpha, tucker):
    out, inputs, *k = shape
    parts, factors = {}, []
    for i in (1, 2):
        if tucker:
            a, b, t = random(rank, out), random(rank, inputs), random(rank, rank, *k)
            parts[f"hada_t{i}"] = t
            factors.append(torch.einsum("ijkl,jr,ip->prkl", t, b, a))
        else:
            a, b = random(out, rank), random(rank, inputs * int(np.prod(k)))
            factors.append((a @ b).reshape(shape))
        parts[f"hada_w{i}_a"], parts[f"hada_w{i}_b"] = a, b
    parts["alpha"] = torch.tensor(alpha)
    return parts, factors[0] * factors[1] * alpha / rank


def lokr(shape, split, rank, alpha, first_whole, second_whole, tucker=False):
    out, inputs, *k = shape
    a, b = split
    c, d = out // a, inputs // b
    parts = {"alpha": torch.tensor(alpha)}
    if first_whole:
        w1 = parts["lokr_w1"] = random(a, b)
    else:
        parts["lokr_w1_a"], parts["lokr_w1_b"] = random(a, rank), random(rank, b)
        w1 = parts["lokr_w1_a"] @ parts["lokr_w1_b"]
    if second_whole:
        w2 = parts["lokr_w2"] = random(c, d, *k)
    elif tucker:
        parts["lokr_w2_a"], parts["lokr_w2_b"], parts["lokr_t2"] = random(rank, c), random(rank, d), random(rank, rank, *k)
        w2 = torch.einsum("ijkl,jr,ip->prkl", parts["lokr_t2"], parts["lokr_w2_b"], parts["lokr_w2_a"])
    else:
        parts["lokr_w2_a"], parts["lokr_w2_b"] = random(c, rank), random(rank, d * int(np.prod(k)))
        w2 = (parts["lokr_w2_a"] @ parts["lokr_w2_b"]).reshape(c, d, *k)
    scale = 1 if first_whole and second_whole else alpha / rank
    return parts, torch.kron(w1.reshape(a, b, *[1] * len(k)).contiguous(), w2.contiguous()) * scale


def lora(shape, rank, alpha):
    out, inputs, *k = shape
    down, up = random(rank, inputs, *k), random(out, rank, *[1] * len(k))
    return {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(alpha)}, (up.flatten(1) @ down.flatten(1)).reshape(shape) * alpha / rank


def magnitude(weight, by_output):
    """Learned lengths near those of the weight, of every output or of every input, with as many dimensions as the weight."""
    dims = [d for d in range(weight.dim()) if d != (0 if by_output else 1)]
    length = weight.square().sum(dims, keepdim=True).sqrt()
    return (length * (1 + .3 * torch.randn(length.shape, generator=generator))).half().double(), dims


def moved(weight, difference, lengths, strength):
    if lengths is None:
        return weight + strength * difference
    m, dims = lengths
    adapted = weight + difference
    return weight + strength * (m * adapted / adapted.square().sum(dims, keepdim=True).sqrt() - weight)


def build(model, case):
    """{path: (stored parts, difference, lengths or None)}, and the prefix and naming of the file."""
    shapes = {path: tuple(dict(model.named_parameters())[path + ".weight"].shape) for path in LINEARS + CONVOLUTIONS}
    weights = {path: dict(model.named_parameters())[path + ".weight"].detach() for path in shapes}
    layers = {}
    for i, path in enumerate(LINEARS + CONVOLUTIONS):
        shape, conv = shapes[path], path in CONVOLUTIONS and len(shapes[path]) == 4 and shapes[path][2] == 3
        split = (2, 4)
        lengths = None
        if case == "loha":
            parts, difference = loha(shape, 3, 1.5, conv and i % 2 == 0)
        elif case == "lokr":
            parts, difference = lokr(shape, split, 2, 1.0, i % 2 == 0, i % 3 == 0, conv and i % 3 != 0 and i % 2 == 0)
        else:
            kind = lora(shape, 3, 2.) if i % 3 != 2 else loha(shape, 2, 1., False) if i % 2 else lokr(shape, split, 2, 1., True, False)
            parts, difference = kind
            by_output = i % 2 == 0
            lengths = magnitude(weights[path], by_output)
            parts["dora_scale"] = lengths[0]
        layers[path] = (parts, difference, lengths)
    return layers


def build_peft(model):
    """DoRA as PEFT stores it: lengths of the outputs, [out] or for convolutions [1, out, 1, 1]."""
    layers = {}
    for path in LINEARS[:2] + CONVOLUTIONS[:1]:
        weight = dict(model.named_parameters())[path + ".weight"].detach()
        parts, difference = lora(tuple(weight.shape), 2, 2.)
        lengths = magnitude(weight, True)
        stored = {"lora_A.weight": parts["lora_down.weight"], "lora_B.weight": parts["lora_up.weight"],
                  "lora_magnitude_vector": lengths[0].flatten() if weight.dim() == 2 else lengths[0].transpose(0, 1)}
        layers[path] = (stored, difference, lengths)
    return layers


def main():
    model = fresh()
    cases = {name: build(model, name) for name in ("loha", "lokr", "dora")}
    cases["peft"] = build_peft(model)
    os.makedirs(OUT, exist_ok=True)
    for name, layers in cases.items():
        arrays = {}
        for path, (parts, _, _) in layers.items():
            key = "unet." + path if name == "peft" else "lycoris_unet_" + path.replace(".", "_")
            for part, value in parts.items():
                arrays[f"{key}.{part}"] = value.numpy().astype(np.float32 if part == "alpha" else np.float16)
        safetensors_io.write(f"{OUT}/{name}.safetensors", arrays)
    x, context, t = torch.randn(2, 5, 13, 11, generator=generator).double(), torch.randn(2, 7, 12, generator=generator).double(), torch.full((2,), 741.)
    outputs = {"x": x, "context": context, "t": t[:1], "unet_plain": fresh()(x, t, context)}
    runs = {"loha": [("loha", .8)], "lokr": [("lokr", 1.)], "dora": [("dora", 1.)], "dora_part": [("dora", .6)], "dora_peft": [("peft", 1.)], "three": [("loha", .5), ("lokr", -.4), ("dora", .7)]}
    for run, uses in runs.items():
        network = fresh()
        parameters = dict(network.named_parameters())
        for name, strength in uses:
            for path, (_, difference, lengths) in cases[name].items():
                weight = parameters[path + ".weight"]
                weight.copy_(moved(weight, difference.reshape(weight.shape), lengths, strength))
        outputs["unet_" + run] = network(x, t, context)
    save(f"{OUT}/tensors.safetensors", **outputs)


with torch.no_grad():
    main()
