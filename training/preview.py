"""A contact sheet of held-out samples: control colour, generated, beauty, side by side.

    python3 training/preview.py RUN/last.pt CLIPS sheet.png [--steps 4] [--count 8]
"""
import argparse
import random

import torch
from PIL import Image
from torch.nn import functional as F

import nano
from clips import Clips, control16
from tokenizer import Tokenizer
from train import Nano


def generate(model, tokenizer, control, captions, steps, seed=0):
    """Euler flow matching with x-prediction relative to the control colours: -> [N, 3, H, W] in -1..1."""
    tokens = torch.tensor([tokenizer.encode(c, nano.TEXT_LENGTH) for c in captions])
    n, _, h, w = control.shape
    noise = torch.randn(n, 3, h, w, generator=torch.Generator().manual_seed(seed))
    x = F.pixel_unshuffle(nano.SAMPLING_NOISE * noise, 4)
    times = torch.linspace(1, 0, steps + 1)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for t, following in zip(times, times[1:]):
            x0 = model(x.to(memory_format=torch.channels_last), t.expand(n), tokens, control).float()
            x = x0 + (x - x0) * (following / t)
    return nano.base_of(control) + F.pixel_shuffle(x, 4)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("clips")
    parser.add_argument("out")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    kept = torch.load(args.run)
    tokenizer = Tokenizer(kept["merges"])
    model = Nano(len(tokenizer.vocab)).to(memory_format=torch.channels_last)
    model.load_state_dict(kept["ema"])
    clips = Clips(args.clips)
    ids = random.Random(args.seed).sample(clips.index, args.count)
    conditions, target, captions = clips.get(ids)
    control = control16(conditions)
    made = generate(model, tokenizer, control.to(memory_format=torch.channels_last), captions, args.steps)
    error = (made.clamp(-1, 1) - target).div(2).pow(2).mean((1, 2, 3))
    base = (control[:, :3] * 2 - 1 - target).div(2).pow(2).mean((1, 2, 3))
    print("PSNR generated", (-10 * error.log10()).mean().item(), "control colour", (-10 * base.log10()).mean().item())
    rows = [torch.cat([control[i, :3], made[i].clamp(-1, 1) / 2 + .5, target[i] / 2 + .5], 2) for i in range(args.count)]
    sheet = (torch.cat(rows, 1).permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(sheet).save(args.out)


if __name__ == "__main__":
    main()
