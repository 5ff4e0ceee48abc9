"""Writes tests/golden/lora/: LoHa, LoKr, DoRA, OFT and GLoRA files and what the network of tests/golden/unet_stable gives with them.

    OMP_NUM_THREADS=1 python3 training/golden_lora.py tests/golden

The differences are written from their papers: LoHa (arXiv 2108.06098), LoKr (arXiv 2309.14859, section 3.2), DoRA (arXiv 2402.09353),
OFT (arXiv 2306.07280, equation 4 and section 3.3), GLoRA (arXiv 2306.07967, section 3.2 without its C, D and E), with the
tensors' names and shapes as LyCORIS, kohya and PEFT store them; at a strength other than 1 the weight moves that share of the way to the
adapted one.
"""
import os
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

import field
from field import run_unet, save
from golden_networks import STABLE

OUT = sys.argv[1] + "/lora"
LINEARS = ["down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", "down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k",
           "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj", "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0"]
CONVOLUTIONS = ["down_blocks.1.resnets.0.conv1", "up_blocks.0.resnets.1.conv_shortcut", "down_blocks.0.downsamplers.0.conv"]
generator = torch.Generator().manual_seed(5)


def fresh():
    return field.make("UNet2DConditionModel", STABLE, 1)


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


def oft(shape, blocks, constraint, rescaled, diagonal):
    """Orthogonal blocks by Cayley's transform turn the outputs: W' = diag(rescale) R^T W. The parts, and a function of the weight."""
    out, size = shape[0], shape[0] // blocks
    learned = random(blocks, size, size)
    skew = learned - learned.transpose(1, 2)
    norm = skew.norm()
    if constraint and norm > constraint * out:
        skew = skew * (constraint * out / norm)
    eye = torch.eye(size, dtype=torch.double)
    turn = (eye + skew) @ (eye - skew).inverse()
    parts = {"oft_blocks": learned, "alpha": torch.tensor(constraint)}
    if diagonal:
        turn = turn.half().double()  # kept as it is
        parts = {"oft_diag": turn}
    rescale = torch.ones(out, *[1] * (len(shape) - 1), dtype=torch.double)
    if rescaled:
        rescale = parts["rescale"] = (1 + .2 * torch.randn(rescale.shape, generator=generator)).half().double()
    return parts, lambda weight: rescale * (torch.block_diag(*turn).T @ weight.flatten(1)).reshape(shape) - weight


def glora(shape, rank, alpha, tucker, old):
    """W' = W + (W a1 a2 + b1 b2) alpha / rank, over the inputs. Until 2023 LyCORIS numbered the factors the other way."""
    out, inputs, *k = shape
    ones = [1] * len(k)
    a1, a2, b1 = random(inputs, rank, *ones), random(rank, inputs, *ones), random(out, rank, *ones)
    b2 = random(rank, inputs, *(ones if tucker else k))
    parts = {"alpha": torch.tensor(alpha), "a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2}
    if tucker:
        parts["bm.weight"] = random(rank, rank, *k)
        b = torch.einsum("oi,ijkl,jn->onkl", b1.flatten(1), parts["bm.weight"], b2.flatten(1))
    else:
        b = (b1.flatten(1) @ b2.flatten(1)).reshape(shape)
    if old:
        parts |= {"a1.weight": a2, "a2.weight": a1, "b1.weight": b2, "b2.weight": b1}
    a = a1.flatten(1) @ a2.flatten(1)
    return parts, lambda weight: (torch.einsum("oi...,ij->oj...", weight, a) + b) * alpha / rank


def build_late(model, case):
    """As build, of the kinds whose difference is a function of the weight."""
    layers = {}
    for i, path in enumerate(LINEARS + CONVOLUTIONS):
        shape = tuple(dict(model.named_parameters())[path + ".weight"].shape)
        conv = len(shape) == 4 and shape[2] == 3
        parts, difference = oft(shape, 1 + i % 2, (0., .02, 5.)[i % 3], i % 2 == 0, i == 3) if case == "oft" else glora(shape, 3, 1.5, conv and i % 2 == 0, i == 1)
        layers[path] = (parts, difference, None)
    return layers


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
    x, context, t = torch.randn(2, 5, 13, 11, generator=generator).double(), torch.randn(2, 7, 12, generator=generator).double(), torch.full((2,), 741.)
    cases |= {name: build_late(model, name) for name in ("oft", "glora")}
    for name, layers in cases.items():
        arrays = {}
        for path, (parts, _, _) in layers.items():
            key = "unet." + path if name == "peft" else ("oft_unet_" if name == "oft" else "lycoris_unet_") + path.replace(".", "_")
            for part, value in parts.items():
                arrays[f"{key}.{part}"] = value.numpy().astype(np.float32 if part == "alpha" else np.float16)
        save_file(arrays, f"{OUT}/{name}.safetensors")
    outputs = {"x": x, "context": context, "t": t[:1], "unet_plain": run_unet(fresh(), x, t, context)}
    runs = {"loha": [("loha", .8)], "lokr": [("lokr", 1.)], "dora": [("dora", 1.)], "dora_part": [("dora", .6)], "dora_peft": [("peft", 1.)], "three": [("loha", .5), ("lokr", -.4), ("dora", .7)],
            "oft": [("oft", 1.)], "glora": [("glora", .8)], "late": [("oft", .6), ("glora", -.5)]}
    for run, uses in runs.items():
        network = fresh()
        parameters = dict(network.named_parameters())
        for name, strength in uses:
            for path, (_, difference, lengths) in cases[name].items():
                weight = parameters[path + ".weight"]
                difference = difference(weight) if callable(difference) else difference.reshape(weight.shape)
                weight.copy_(moved(weight, difference, lengths, strength))
        outputs["unet_" + run] = run_unet(network, x, t, context)
    save(f"{OUT}/tensors.safetensors", **outputs)


with torch.no_grad():
    main()
