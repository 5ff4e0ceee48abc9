"""Trains kinora-shape: drawings and a class in words -> signed distances and materials, from unit noise.

    python3 training/train_shape.py --data SHAPES --out RUN --minutes 60

Flow matching (arXiv 2210.02747) with x-prediction; materials as analog bits (arXiv 2208.04202). Checkpoints in RUN/last.pt, from which a run
continues; RUN/log.csv has the loss curve, with the distances' error at t = 1, where only drawing and words are known.
"""
import argparse
import glob
import math
import os
import random
import time

import numpy as np
import torch

import safetensors_io
import shape
import shapes
import sketches
from tokenizer import Tokenizer
from train_style import save

SECONDS_BETWEEN_CHECKPOINTS = 150
COLOURS = "red blue white black silver green olive yellow grey beige".split()
EXTRAS = ["", "", "", "compact", "long", "modern", "old", "large", "small", "a sketch of"]


def caption_of(name, rng):
    words = shapes.CLASSES[name][2]
    word = words[0] if rng.random() < .6 else rng.choice(words[:3] if name != "sedan" else words)
    if rng.random() < .4:
        return word
    parts = ["a", rng.choice(COLOURS + [""] * 8), rng.choice(EXTRAS), word]
    return " ".join(p for p in parts if p)


class Samples:
    def __init__(self, folders):
        self.files = [p for folder in folders for p in sorted(glob.glob(os.path.join(folder, "*.safetensors")))]
        self.kept = {}

    def read(self, path):
        if path not in self.kept:
            arrays, metadata = safetensors_io.read(path)
            arrays = {k: np.array(v) for k, v in arrays.items() if k != "fine"}
            size = (-1, sketches.SIZE, sketches.SIZE)
            for key in ("masks", "lines"):
                arrays[key] = np.unpackbits(arrays[key], axis=1).astype(bool).reshape(size)
            self.kept[path] = arrays, metadata["class"]
        return self.kept[path]

    def means(self):
        boxes = {name: [] for name in shapes.CLASSES}
        for path in self.files[:1500]:
            arrays, name = self.read(path)
            boxes[name].append(arrays["box"])
        return {name: np.mean(b, 0) for name, b in boxes.items()}

    def one(self, means, rng):
        arrays, name = self.read(random.choice(self.files))
        distance, material = (arrays["distance"].astype(np.float32) - 128) / 127, arrays["material"]
        flip = rng.random() < .5  # the mirror image in y, and its drawings' in x
        count = rng.choice([0, 1, 1, 1, 1, 1, 1, 2, 2, 3])
        box = means[name] if rng.random() < .5 else arrays["box"]
        box = box * np.exp(.04 * np.random.randn(3))
        views = []
        for i in np.random.permutation(len(arrays["masks"]))[:count]:
            mask, lines = arrays["masks"][i], arrays["lines"][i]
            azimuth, elevation = arrays["views"][i] + np.random.randn(2) * np.array([4, 2.5])
            if flip:
                mask, lines, azimuth = mask[:, ::-1], lines[:, ::-1], -azimuth
            mask, lines = sketches.hand(mask, lines, np.random)
            if mask.any():
                views.append((mask, lines, float(azimuth), float(min(elevation, 89.5))))
        if flip:
            distance, material = distance[:, ::-1], material[:, ::-1]
        condition = sketches.condition_of(name, views, box, name in shapes.CARS)
        return shape.target_of(distance, material), condition, "" if rng.random() < .1 else caption_of(name, rng)

    def get(self, count, means):
        rng = random
        items = [self.one(means, rng) for _ in range(count)]
        return torch.from_numpy(np.stack([i[0] for i in items])), torch.from_numpy(np.stack([i[1] for i in items])), [i[2] for i in items]


def sample_times(n):
    """Mostly the levels at which four steps of sampling ask."""
    return torch.where(torch.rand(n) < .4, torch.ones(n), torch.rand(n) * .8 + .15).clamp(.02, 1)


def loss_of(model, tokenizer, x0, condition, captions):
    t, noise = sample_times(x0.shape[0]), torch.randn_like(x0)
    tokens = torch.tensor([tokenizer.encode(c, shape.TEXT_LENGTH) for c in captions])
    s = t[:, None, None, None]
    xt = (1 - s) * x0 + s * noise
    predicted = model(xt.to(memory_format=torch.channels_last), t, tokens, condition.to(memory_format=torch.channels_last))
    error = (predicted - x0).pow(2)
    d, bits = error[:, :shapes.NY], error[:, shapes.NY:].unflatten(1, (shape.BITS, shapes.NY))
    near = 1 + 4 * (x0[:, :shapes.NY].abs() < .99)  # close to the surface counts
    surface = (x0[:, :shapes.NY].abs() < .6).float()[:, None]
    loss = (d * near).mean((1, 2, 3)) + .6 * (bits * (.1 + surface)).mean((1, 2, 3, 4))
    return (loss / t.clamp(min=.3)).mean(), d.mean((1, 2, 3)).detach()[t > .99]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    path = os.path.join(args.out, "last.pt")
    known = torch.load(path, weights_only=True) if os.path.exists(path) else None
    rng = random.Random(1)
    words = [caption_of(name, rng) for name in shapes.CLASSES for _ in range(40)]
    tokenizer = Tokenizer(known["merges"]) if known else Tokenizer.train(words, 200)
    model = shape.Shape(len(tokenizer.vocab)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(.9, .98), weight_decay=.01, fused=True)
    state, ema = {"step": 0, "seconds": 0}, {k: v.clone() for k, v in model.state_dict().items()}
    if known:
        model.load_state_dict(known["model"])
        optimizer.load_state_dict(known["optimizer"])
        state, ema = known["state"], known["ema"]
    train(args, tokenizer, model, optimizer, state, ema, path)


def train(args, tokenizer, model, optimizer, state, ema, path):
    samples, log = Samples(args.data), open(os.path.join(args.out, "log.csv"), "a")
    means = {k: np.asarray(v, np.float32) for k, v in state["means"].items()} if "means" in state else samples.means()
    state["means"] = {k: [float(x) for x in v] for k, v in means.items()}
    print(len(samples.files), "shapes,", sum(p.numel() for p in model.parameters()) / 1e6, "M parameters", flush=True)
    begun, saved, mean, start = time.time() - state["seconds"], time.time(), None, None
    while state["seconds"] < args.minutes * 60:
        progress = min(state["seconds"] / (args.minutes * 60), 1)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * (.02 + .98 * .5 * (1 + math.cos(math.pi * progress))) * min(1, (state["step"] + 1) / 60)
        loss, error = loss_of(model, tokenizer, *samples.get(args.batch, means))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if math.isfinite(loss.item()) and math.isfinite(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()):
            optimizer.step()
        state["step"] += 1
        state["seconds"] = time.time() - begun
        decay = min(.99, 1 - 1 / (state["step"] + 1) ** .75)
        with torch.no_grad():
            for name, value in model.state_dict().items():
                ema[name].lerp_(value, 1 - decay)
        mean = loss.item() if mean is None else .96 * mean + .04 * loss.item()
        if len(error):
            start = error.mean().item() if start is None else .95 * start + .05 * error.mean().item()
        if state["step"] % 20 == 0:
            line = f"{state['step']},{state['seconds']:.0f},{mean:.5f},{start or 0:.5f},{len(samples.files)}"
            print(line, flush=True)
            log.write(line + "\n")
            log.flush()
        if time.time() - saved > SECONDS_BETWEEN_CHECKPOINTS:
            save(path, model, ema, optimizer, state, tokenizer)
            saved, kept = time.time(), samples.kept
            samples = Samples(args.data)  # more may have been made
            samples.kept = kept
    save(path, model, ema, optimizer, state, tokenizer)


if __name__ == "__main__":
    main()
