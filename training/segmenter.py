"""Trains the segmenter that `kinora eval` measures semantic agreement with, on the renderer's beauty pictures.

    python3 training/segmenter.py train --data CLIPS --out RUN --minutes 15
    python3 training/segmenter.py export models/kinora-segmenter --data CLIPS --out RUN
    python3 training/segmenter.py golden tests/golden/segmenter

Five classes, sums of the conditions' classes: sky, road, nature, road users, built. A U-Net of 3x3 convolutions on
2x2-packed pixels; batch norm is folded into the convolutions when it is exported. Every tenth clip is held out.
"""
import argparse
import json
import os
import random
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import safetensors_io
from clips import Clips, control16

CLASSES = ["sky", "road", "nature", "road users", "built"]
CONFIG = {"_class_name": "KinoraSegmenter", "classes": CLASSES, "block_size": 2, "widths": [24, 48, 96, 128]}


class Layer(nn.Sequential):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Segmenter(nn.Module):
    """[N, 3, H, W] in -1..1 -> logits [N, classes, H, W]; H and W even. `norm` False: as exported."""

    def __init__(self, config=CONFIG, norm=True):
        super().__init__()
        self.block, widths, classes = config["block_size"], config["widths"], len(config["classes"])
        layer = Layer if norm else self.plain
        self.down = nn.ModuleList()
        before = 3 * self.block ** 2
        for level, width in enumerate(widths):
            self.down.append(nn.ModuleList([layer(before, width, 2 if level else 1), layer(width, width)]))
            before = width
        self.up = nn.ModuleList(layer(widths[i + 1] + widths[i], widths[i]) for i in range(len(widths) - 1))
        self.out = nn.Conv2d(widths[0], classes * self.block ** 2, 3, 1, 1)

    @staticmethod
    def plain(inputs, outputs, stride=1):
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU(inplace=True))

    def forward(self, x):
        x, skips = F.pixel_unshuffle(x, self.block), []
        for first, second in self.down:
            x = second(first(x))
            skips.append(x)
        for layer, skip in list(zip(self.up, skips))[::-1]:
            x = layer(torch.cat([F.interpolate(x, size=skip.shape[2:], mode="nearest"), skip], 1))
        return F.pixel_shuffle(self.out(x), self.block)


def folded(model):
    """The same network without batch norm: state of Segmenter(norm=False) with names down.L.K, up.L and out."""
    state = {}

    def fold(name, layer):
        conv, norm = layer[0], layer[1]
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        state[f"{name}.weight"] = conv.weight * gain[:, None, None, None]
        state[f"{name}.bias"] = norm.bias - norm.running_mean * gain

    for level, pair in enumerate(model.down):
        for k, layer in enumerate(pair):
            fold(f"down.{level}.{k}", layer)
    for level, layer in enumerate(model.up):
        fold(f"up.{level}", layer)
    state["out.weight"], state["out.bias"] = model.out.weight, model.out.bias
    return {k: v.detach() for k, v in state.items()}


def load_plain(state, config=CONFIG):
    """Segmenter(norm=False) with an exported state."""
    model = Segmenter(config, norm=False)
    names = {k.replace(".0.weight", ".weight").replace(".0.bias", ".bias") if not k.startswith("out") else k: k for k in model.state_dict()}
    model.load_state_dict({names[k]: v for k, v in state.items()})
    return model.eval()


def labels_of(conditions):
    """Conditions [N, 30, H, W] in 0..1 -> class index [N, H, W]: the largest share of the pixel."""
    code = control16(conditions)[:, 8:12]
    return torch.cat([1 - code.sum(1, keepdim=True), code], 1).argmax(1)


def augmented(picture):
    """Mirrored, with another brightness, contrast, colour and a little noise or blur."""
    n = picture.shape[0]
    gain, shift = 1 + .25 * torch.randn(n, 1, 1, 1).clamp(-2, 2), .08 * torch.randn(n, 1, 1, 1)
    tint = 1 + .05 * torch.randn(n, 3, 1, 1)
    picture = picture * gain * tint + shift
    if random.random() < .3:
        picture = .5 * picture + .5 * F.avg_pool2d(picture, 3, 1, 1, count_include_pad=False)
    return (picture + random.random() * .04 * torch.randn_like(picture)).clamp(-1, 1)


def mean_iou(matrix):
    hit = matrix.diagonal().double()
    union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
    seen = matrix.sum(1) > 0
    return (hit / union.clamp(min=1))[seen], (hit / union.clamp(min=1))[seen].mean().item()


@torch.no_grad()
def test(model, clips, count=60):
    matrix = torch.zeros(len(CLASSES), len(CLASSES), dtype=torch.long)
    for i in range(count):
        control, picture, _ = clips.get([clips.index[i * len(clips.index) // count]])
        predicted, truth = model(picture).argmax(1), labels_of(control)
        matrix += torch.bincount((truth * len(CLASSES) + predicted).flatten(), minlength=len(CLASSES) ** 2).view_as(matrix)
    return mean_iou(matrix)


def split(data):
    held, kept = Clips(data, 10), Clips(data)
    names = {id(f) for f in kept.files[::10]}
    kept.index = [(f, i) for f, i in kept.index if id(kept.files[f]) not in names]
    return kept, held


def train(args):
    torch.manual_seed(0)
    random.seed(0)
    torch.set_num_threads(1)
    kept, held = split(args.data)
    model = Segmenter().to(memory_format=torch.channels_last)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {len(kept.index)} pictures, {len(held.index)} held out", flush=True)
    if args.init:
        model.load_state_dict(torch.load(args.init))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    weight = torch.tensor([1, 1, 1, 3, 1.])
    begun, step, mean = time.process_time(), 0, None
    while (used := (time.process_time() - begun) / (60 * args.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50) * (1 - used) ** .9
        control, picture, _ = kept.get(random.sample(kept.index, 8), (112, 200))
        if random.random() < .5:
            control, picture = control.flip(3), picture.flip(3)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(augmented(picture).to(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), labels_of(control), weight)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        step += 1
        mean = loss.item() if mean is None else .98 * mean + .02 * loss.item()
        if step % 500 == 0:
            torch.save(model.state_dict(), f"{args.out}/segmenter.pt")
        if step % 50 == 0:
            print(f"{step} {used * args.minutes:.1f} min loss {mean:.4f}", flush=True)
    torch.save(model.state_dict(), f"{args.out}/segmenter.pt")
    print(*test(model.eval(), held))


def export(args):
    model = Segmenter()
    model.load_state_dict(torch.load(f"{args.out}/segmenter.pt"))
    state = {k: v.half() for k, v in folded(model.eval()).items()}
    _, held = split(args.data)
    print(*test(load_plain({k: v.float() for k, v in state.items()}), held))
    write(args.folder, CONFIG, state)


def write(folder, config, state):
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/config.json", "w") as file:
        json.dump(config, file, indent=1)
        file.write("\n")
    safetensors_io.write(f"{folder}/diffusion_pytorch_model.safetensors", {k: v.numpy() for k, v in state.items()}, {"format": "pt"})


def golden(args):
    """A small segmenter with random weights, two pictures of odd proportions, and its logits."""
    config = dict(CONFIG, widths=[8, 12, 20])
    generator = torch.Generator().manual_seed(3)
    model = Segmenter(config, norm=False)
    names = {k: k.replace(".0.weight", ".weight").replace(".0.bias", ".bias") if not k.startswith("out") else k for k in model.state_dict()}
    state = {}
    for key, value in model.state_dict().items():
        scale = .1 if value.dim() == 1 else (2 / value[0].numel()) ** .5
        state[names[key]] = (torch.randn(value.shape, generator=generator) * scale).half()
    model = load_plain({k: v.float() for k, v in state.items()}, config).double()
    x = torch.rand(2, 3, 38, 54, generator=generator).mul(255).floor() / 127.5 - 1
    write(args.out, config, state)
    with torch.no_grad():
        out = model(x.double())
    safetensors_io.write(f"{args.out}/tensors.safetensors", {"x": x.numpy().astype(np.float32), "out": out.numpy().astype(np.float32)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["train", "export", "golden"])
    parser.add_argument("--data")
    parser.add_argument("--out")
    parser.add_argument("--minutes", type=float, default=15, help="of processor time")
    parser.add_argument("--init", help="a checkpoint to start from")
    parser.add_argument("folder", nargs="?")
    args = parser.parse_args()
    if args.stage == "golden":
        args.out = args.out or args.folder
    os.makedirs(args.out, exist_ok=True)
    {"train": train, "export": export, "golden": golden}[args.stage](args)


if __name__ == "__main__":
    main()
