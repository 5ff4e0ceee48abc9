"""Training samples of the style network: crops of pictures, and the same crops in some looks.

    python3 training/make_looks.py OUT --real REAL [--renders CLIPS ...] --count 2000

A file holds source uint8 [N, 3, S, S], target uint8 [N, 3, S, S] and in its metadata the look of each. Held out: what
data/real's README names, the signers, and every fifth picture of the rest.
"""
import argparse
import glob
import os
import random

import numpy as np
import torch
from PIL import Image

import safetensors_io
from looks import LOOKS

HELD_OUT = ("parkour", "car-roundabout", "left_camera", "back_camera", "comma10k", "motion-people-asl/no_", "/mask/", "/masks/", "/labels/")
PER_FILE = 4


def pictures(real):
    """Paths by folder, so that folders of many pictures do not crowd out the others."""
    found = {}
    for path in sorted(glob.glob(os.path.join(real, "**", "*.jpg"), recursive=True)):
        if not any(part in path for part in HELD_OUT):
            found.setdefault(os.path.dirname(path), []).append(path)
    return found


def crop_of(path, size):
    """A square at a random scale: the picture's height becomes 270 to 620 pixels."""
    image = Image.open(path).convert("RGB")
    height = max(size, int(random.choice((300, 360, 360, 420, 540)) * random.uniform(.9, 1.15)))
    if min(image.size) < height:
        height = max(size, min(image.size))
    scale = height / image.height
    image = image.resize((max(size, round(image.width * scale)), height), Image.LANCZOS)
    x, y = random.randint(0, image.width - size), random.randint(0, image.height - size)
    return np.array(image.crop((x, y, x + size, y + size))).transpose(2, 0, 1)


def render_crop(path, size):
    """A crop of a render and its edges; the render is too small for large crops, so it is cut at 224."""
    arrays, _ = safetensors_io.read(path)
    i = random.randrange(arrays["beauty"].shape[0])
    x = random.randint(0, arrays["beauty"].shape[3] - size)
    return np.array(arrays["beauty"][i, :, :size, x:x + size]), np.array(arrays["conditions"][i, 7:8, :size, x:x + size])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--real", required=True)
    parser.add_argument("--renders", nargs="*", default=[])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    random.seed(args.seed)
    os.makedirs(args.out, exist_ok=True)
    folders = list(pictures(args.real).values())
    people = [f for f in folders if "davis" in f[0] or "people" in f[0] or "stills" in f[0]]
    renders = [p for folder in args.renders for p in sorted(glob.glob(os.path.join(folder, "*.safetensors")))]
    generator = torch.Generator().manual_seed(args.seed)
    order = []
    for number in range(args.count // (2 * PER_FILE)):
        sources, targets, looks = [], [], []
        for _ in range(PER_FILE):
            kind, edges = random.random(), None
            if renders and kind < .12:
                source, edges = render_crop(random.choice(renders), args.size)
                edges = torch.from_numpy(edges).float() / 255
            else:
                source = crop_of(random.choice(random.choice(people if kind < .7 else folders)), args.size)
            x = torch.from_numpy(source).float() / 255
            for _ in range(2):
                if not order:
                    order = random.sample(list(LOOKS), len(LOOKS))
                look = order.pop()
                target = LOOKS[look](x, generator, edges)
                sources.append(source)
                targets.append((target.clamp(0, 1) * 255).round().byte().numpy())
                looks.append(look)
        safetensors_io.write(os.path.join(args.out, f"{args.seed:03d}_{number:05d}.safetensors"),
                             {"source": np.stack(sources), "target": np.stack(targets)}, {"looks": ",".join(looks)})


if __name__ == "__main__":
    main()
