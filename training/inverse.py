"""Conditions from photographs: a network that finds, in a picture, what the renderer knows (soft classes, inverse depth,
normals), trained on the renderer's pictures, where all is known, together with PandaSet's sparse labels. Its answers let
the generator learn from real frames.

    python3 training/inverse.py --renders DIR --real REAL --out RUN.pt --steps 400

The network is sim2real.py's with other outputs: 14 classes (include/kinora/render.h), inverse depth, normal.
"""
import argparse
import glob
import os
import random
import time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import safetensors_io
import sim2real

CLASSES = ["road", "marking", "pavement", "terrain", "vegetation", "building", "window", "pole", "car", "truck", "person",
           "two-wheeler", "sky", "other"]
# kn_semantic -> CLASSES
FROM_KINORA = np.array([12, 0, 1, 2, 2, 3, 5, 5, 7, 7, 7, 7, 4, 8, 9, 9, 11, 11, 10, 13], np.uint8)
# The classes that each of PandaSet's merged classes (sim2real.CLASSES) may be.
OF_PANDASET = [[], [12], [0, 1], [2, 3], [3, 4], [5, 6], [8, 9], [10, 11], [7, 13]]
OUTPUTS = len(CLASSES) + 1 + 3


class Inverse(sim2real.Segmenter):
    """RGB 0..1 [N, 3, H, W] -> class logits [N, 14, H, W], inverse depth [N, 1, H, W] 0..1, normals [N, 3, H, W] (unit)"""

    def __init__(self):
        super().__init__()
        self.out = nn.Conv2d(96, OUTPUTS, 1)

    def forward(self, x):
        y = super().forward(x)
        return y[:, :14], torch.sigmoid(y[:, 14:15] - 2), F.normalize(y[:, 15:18] + 1e-6, dim=1)


def renders(folder):
    """uint8 arrays: picture [H, W, 3], class [H, W] (255: not known), inverse depth and normals [H, W, 4]"""
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        if os.path.getsize(path) < 1000:
            continue
        arrays, _ = safetensors_io.read(path)
        for picture, semantic, control in zip(arrays["beauty"], arrays["semantic"], arrays["control"]):
            yield np.array(picture).transpose(1, 2, 0), FROM_KINORA[np.array(semantic)], np.array(control[3:7]).transpose(1, 2, 0)


def augmented(image, maps):
    """The same crop, scale and mirror for a picture and its maps; mirrored normals turn their x."""
    scale = random.uniform(.8, 1.5)
    h, w = image.shape[:2]
    size = (max(sim2real.WIDTH, round(w * scale)), max(sim2real.HEIGHT, round(h * scale)))
    x, y = random.randint(0, size[0] - sim2real.WIDTH), random.randint(0, size[1] - sim2real.HEIGHT)
    mirror = random.random() < .5

    def cut(array, how):
        array = np.asarray(Image.fromarray(array).resize(size, how))[y:y + sim2real.HEIGHT, x:x + sim2real.WIDTH]
        return array[:, ::-1] if mirror else array

    picture = cut(image, Image.Resampling.BILINEAR).astype(np.float32) / 255
    picture = (picture * np.random.uniform(.7, 1.3, (1, 1, 3)) ** .5 * random.uniform(.7, 1.3)).clip(0, 1) ** random.uniform(.7, 1.4)
    if random.random() < .3:
        picture = (picture + np.random.normal(0, .03, picture.shape)).clip(0, 1)
    found = [torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)]
    for array in maps:
        found.append(torch.from_numpy(cut(array, Image.Resampling.NEAREST).copy()))
    if len(maps) > 1 and mirror:
        found[2][..., 1] = 255 - found[2][..., 1]
    return found


def loss_render(network, batch):
    pictures, classes, geometry = (torch.stack(x) for x in zip(*batch))
    logits, depth, normal = network(pictures)
    known = (classes != 12).float()
    geometry = geometry.permute(0, 3, 1, 2).float() / 255
    loss = F.cross_entropy(logits, classes.long())
    loss_depth = ((depth[:, 0] - geometry[:, 0]).abs() * known).mean()
    loss_normal = ((1 - (normal * (geometry[:, 1:] * 2 - 1)).sum(1)) * known).mean()
    return loss + 4 * loss_depth + .3 * loss_normal, (loss, loss_depth, loss_normal)


def loss_real(network, batch):
    pictures, labels = (torch.stack(x) for x in zip(*batch))
    probabilities = network(pictures)[0].softmax(1)
    total = 0
    for label, members in enumerate(OF_PANDASET):
        if members:
            mask = labels == label
            total = total - (probabilities[:, members].sum(1).clamp(min=1e-6).log() * mask).sum()
    return total / (labels > 0).sum().clamp(min=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", required=True)
    parser.add_argument("--real", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=400)
    args = parser.parse_args()
    torch.set_num_threads(1)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    network = Inverse().to(memory_format=torch.channels_last)
    photos, drawn = list(sim2real.real_frames(args.real, sim2real.TRAINING_CAMERAS)), list(renders(args.renders))
    print(len(photos), "photographs", len(drawn), "renders", flush=True)
    new = [p for n, p in network.named_parameters() if not n.startswith("body.")]
    body = [p for n, p in network.named_parameters() if n.startswith("body.")]
    optimizer = torch.optim.AdamW([{"params": new, "lr": 1e-3}, {"params": body, "lr": 2e-4}], weight_decay=.01)
    network.train()
    begun, means = time.process_time(), None
    for step in range(args.steps):
        for group, lr in zip(optimizer.param_groups, (1e-3, 2e-4)):
            group["lr"] = lr * min(1, (step + 1) / 30) * (1 - step / args.steps) ** .9
        loss, parts = loss_render(network, [augmented(p, (c, g)) for p, c, g in random.choices(drawn, k=3)])
        real = loss_real(network, [augmented(p, (c,)) for p, c in random.choices(photos, k=3)])
        optimizer.zero_grad(set_to_none=True)
        (loss + real).backward()
        optimizer.step()
        values = np.array([p.item() for p in parts] + [real.item()])
        means = values if means is None else .97 * means + .03 * values
        if step % 20 == 19:
            print(step + 1, "class, depth, normal, real", means.round(4), f"{time.process_time() - begun:.0f} CPU-s", flush=True)
        if step % 100 == 99 or step == args.steps - 1:
            torch.save(network.state_dict(), args.out)


if __name__ == "__main__":
    main()
