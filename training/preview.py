"""A contact sheet of samples: classes | flat colours | generated with two seeds | the picture itself.

    python3 training/preview.py RUN/last.pt CLIPS sheet.png --teachers WEIGHTS [--decoder RUN/decoder.pt] [--look photo] [--steps 4]

Without --decoder the teacher's decoder draws the latents.
"""
import argparse
import random

import numpy as np
import torch
from PIL import Image

import autoencoder
import nano
import teachers
from clips import Clips
from tokenizer import Tokenizer
from train import Nano


def load(path):
    """-> model with averaged weights, tokenizer"""
    kept = torch.load(path, weights_only=True)
    tokenizer = Tokenizer(kept["merges"])
    model = Nano(len(tokenizer.vocab)).to(memory_format=torch.channels_last)
    model.load_state_dict(kept["ema"])
    return model.eval(), tokenizer


def generate(model, tokenizer, conditions, captions, steps, seed=0, **extra):
    """Euler flow matching with x-prediction from unit noise -> latents [N, 32, h, w]"""
    tokens = torch.tensor([tokenizer.encode(c, nano.TEXT_LENGTH) for c in captions])
    n, _, h, w = conditions.shape
    x = torch.randn(n, nano.LATENT, h // nano.SCALE, w // nano.SCALE, generator=torch.Generator().manual_seed(seed))
    times = torch.linspace(1, 0, steps + 1)
    with torch.no_grad():
        for t, following in zip(times, times[1:]):
            x0 = model(x.to(memory_format=torch.channels_last), t.expand(n), tokens, conditions, **extra)
            x = x0 + (x - x0) * (following / t)
    return x


def decoder_of(args):
    """latents of about unit variance -> RGB -1..1"""
    if args.decoder:
        network = autoencoder.Decoder()
        network.load_state_dict(torch.load(args.decoder, weights_only=True)["model"])
    else:
        teacher = teachers.taef2_decoder(args.teachers)
        network = lambda z: teacher(z) * 2 - 1
    return lambda z: network(z / autoencoder.SCALING_FACTOR)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("clips")
    parser.add_argument("out")
    parser.add_argument("--teachers", required=True)
    parser.add_argument("--decoder")
    parser.add_argument("--look", choices=nano.LOOKS, help="instead of the clip's own")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load(args.run)
    decode, clips = decoder_of(args), Clips([args.clips])
    palette = torch.tensor(np.random.RandomState(3).randint(40, 255, (14, 3)) / 255, dtype=torch.float32)
    rows = []
    for i in random.Random(args.seed).sample(sorted(sum(clips.looks.values(), [])), args.count):
        conditions, target, captions = clips.get([i])
        if args.look:
            captions = [nano.caption(args.look, c.split(", ", 1)[1]) for c in captions]
        made = [generate(model, tokenizer, conditions, captions, args.steps, seed) for seed in (1, 2)]
        with torch.no_grad():
            pictures = [decode(z)[0].clamp(-1, 1) / 2 + .5 for z in made + [target]]
        rows.append(torch.cat([torch.einsum("khw,kc->chw", conditions[0, 8:22], palette), conditions[0, :3]] + pictures, 2))
        print(captions[0], "seeds differ by RMS", (pictures[0] - pictures[1]).pow(2).mean().sqrt().item(), flush=True)
    sheet = (torch.cat(rows, 1).permute(1, 2, 0) * 255).round().clamp(0, 255).byte().numpy()
    Image.fromarray(sheet).save(args.out)


if __name__ == "__main__":
    main()
