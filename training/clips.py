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
    """Every sample of every file in a folder: control uint8 [16, H, W], beauty uint8 [3, H, W], caption."""

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
            for i, control in enumerate(arrays["control"]):
                lit = (control[12:15].max(0) > 100) & (control[10] > 127)
                pale = lit & (control[12:15].min(0) > 120)
                for places, mask in ((white, pale), (others, lit & ~pale)):
                    rows, columns = np.nonzero(mask)
                    for k in random.sample(range(len(rows)), min(each, len(rows))):
                        places.append((f, i, int(rows[k]), int(columns[k])))
        return white, others

    def get(self, ids, crop=None, generator=random, together=False):
        """ids: (file, sample) pairs, or (file, sample, row, column): a crop around that place; `together`: the same crop for all -> control [N, 16, h, w] in the ranges of the contract, target [N, 3, h, w] in -1..1."""
        controls, targets, captions = [], [], []
        for file, i, *place in ids:
            arrays, metadata, _ = self.files[file]
            height, width = arrays["beauty"].shape[2:]
            h, w = crop or (height, width)
            if not together or not controls:
                y, x = (around(at, size, whole, generator) for at, size, whole in zip(place or (None, None), (h, w), (height, width)))
            controls.append(torch.from_numpy(np.array(arrays["control"][i, :, y:y + h, x:x + w])))
            targets.append(torch.from_numpy(np.array(arrays["beauty"][i, :, y:y + h, x:x + w])))
            captions.append(metadata["caption"])
        control = torch.stack(controls).float() / 255
        control[:, 4:7] = control[:, 4:7] * 2 - 1
        return control, torch.stack(targets).float() / 127.5 - 1, captions


def drop_control(control, generator=random, whole=.08, group=.06):
    """Random dropout of the whole control and of channel groups, per sample, in place."""
    for sample in control:
        if generator.random() < whole:
            sample.zero_()
        for a, b in CONTROL_GROUPS:
            if generator.random() < group:
                sample[a:b] = 0
    return control
