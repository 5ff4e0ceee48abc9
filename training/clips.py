"""Training clips: the safetensors files of kinora-render-clip, memory-mapped."""
import glob
import os
import random

import numpy as np
import torch

import safetensors_io
from nano import CONTROL_GROUPS


def around(place, size, whole, generator):
    """Where a crop begins, a multiple of 8: anywhere, or so that `place` lies in it."""
    first, last = (0, whole - size) if place is None else (max(0, place - size + 1), min(place, whole - size))
    return generator.randint(-(-first // 8), last // 8) * 8


class Clips:
    """Every sample of every file in a folder: conditions uint8 [30, H, W] (docs/formats.md), beauty uint8 [3, H, W], caption."""

    def __init__(self, folder, every=1, offset=0):
        self.files = []
        for path in sorted(glob.glob(os.path.join(folder, "*.safetensors")))[offset::every]:
            arrays, metadata = safetensors_io.read(path)
            cameras = int(metadata.get("camera_count", 6))
            self.files.append((arrays, metadata, cameras))
        self.index = [(f, i) for f, (arrays, _, _) in enumerate(self.files) for i in range(arrays["beauty"].shape[0])]

    def captions(self):
        return [metadata["caption"] for _, metadata, _ in self.files]

    def lamps(self, each=6):
        """Places of lit lamps of road users: two lists of (file, sample, row, column), white lamps and all others."""
        white, others = [], []
        for f, (arrays, _, _) in enumerate(self.files):
            for i, conditions in enumerate(arrays["conditions"]):
                lit = (conditions[22:25].max(0) > 100) & (conditions[16:20].max(0) > 127)
                pale = lit & (conditions[22:25].min(0) > 120)
                for places, mask in ((white, pale), (others, lit & ~pale)):
                    rows, columns = np.nonzero(mask)
                    for k in random.sample(range(len(rows)), min(each, len(rows))):
                        places.append((f, i, int(rows[k]), int(columns[k])))
        return white, others

    def get(self, ids, crop=None, generator=random, together=False):
        """ids: (file, sample) pairs, or (file, sample, row, column): a crop around that place; `together`: the same crop
        for all -> conditions [N, 30, h, w] in the ranges of the contract, target [N, 3, h, w] in -1..1, captions."""
        stack, targets, captions = [], [], []
        for file, i, *place in ids:
            arrays, metadata, _ = self.files[file]
            height, width = arrays["beauty"].shape[2:]
            h, w = crop or (height, width)
            if not together or not stack:
                y, x = (around(at, size, whole, generator) for at, size, whole in zip(place or (None, None), (h, w), (height, width)))
            stack.append(torch.from_numpy(np.array(arrays["conditions"][i, :, y:y + h, x:x + w])))
            targets.append(torch.from_numpy(np.array(arrays["beauty"][i, :, y:y + h, x:x + w])))
            captions.append(metadata["caption"])
        conditions = torch.stack(stack).float() / 255
        conditions[:, 4:7] = conditions[:, 4:7] * 2 - 1
        return conditions, torch.stack(targets).float() / 127.5 - 1, captions


def control16(conditions):
    """The 16 channels of weights with `conditioning_channels` 16 (kn_control_from_conditions): [N, 30, H, W] -> [N, 16, H, W]."""
    kinds = conditions[:, 8:22]
    sums = [kinds[:, some].sum(1, keepdim=True) for some in ([0, 1], [3, 4], [8, 9, 10, 11], [2, 5, 6, 7, 13])]
    return torch.cat([conditions[:, 27:30], conditions[:, 3:8], *sums, conditions[:, 22:26]], 1)


def drop_control(control, generator=random, whole=.08, group=.06):
    """Random dropout of the whole control and of channel groups, per sample, in place."""
    for sample in control:
        if generator.random() < whole:
            sample.zero_()
        for a, b in CONTROL_GROUPS:
            if generator.random() < group:
                sample[a:b] = 0
    return control
