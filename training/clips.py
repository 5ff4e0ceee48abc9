"""Training samples: conditions, latents and captions of renders (kinora-render-clip, latents.py) and photographs
(photos.py), memory-mapped.

A file holds conditions uint8 [N, 30, H, W], latents fp16 [N, 32, H / 8, W / 8], and in its metadata the caption, the look,
and for sequences the cameras: samples lie frame by frame, cameras inside.
"""
import glob
import os
import random

import numpy as np
import torch

import nano
import safetensors_io
from nano import CONDITION_GROUPS, SCALE


class Clips:
    """`folders`: those of clips; FOLDER:LOOK for renders that stand for another look than "render"."""

    def __init__(self, folders):
        self.files = []
        for folder in folders:
            folder, _, look = folder.partition(":")
            for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
                latents = path[:-len(".safetensors")] + ".latents"
                if os.path.exists(latents):
                    arrays, metadata = safetensors_io.read(path)
                    self.files.append((arrays["conditions"], safetensors_io.read(latents)[0]["latents"],
                                       dict({"look": look or "render"}, **metadata)))
        self.looks = {}
        for f, (conditions, _, metadata) in enumerate(self.files):
            self.looks.setdefault(metadata["look"], []).extend((f, i) for i in range(conditions.shape[0]))
        self.sequences = []
        for f, (conditions, _, metadata) in enumerate(self.files):
            frames = [int(frame) for frame in metadata.get("frames", "0").split(",")]
            if len(metadata.get("cameras", "").split(",")) == 6:
                self.sequences.append((f, len(frames), frames == list(range(frames[0], frames[0] + len(frames)))))

    def captions(self):
        return [metadata["caption"] for _, _, metadata in self.files]

    def get(self, ids, crop=None, together=False):
        """ids: (file, sample) pairs; crop: height and width in latent cells; `together`: the same crop for all
        -> conditions [N, 30, 8h, 8w] in the ranges of the contract, latents [N, 32, h, w] of about unit variance, captions."""
        conditions, latents, captions = [], [], []
        for file, i in ids:
            maps, codes, metadata = self.files[file]
            height, width = codes.shape[2:]
            h, w = crop or (height, width)
            if not together or not latents:
                y, x = random.randint(0, height - h), random.randint(0, width - w)
            conditions.append(torch.from_numpy(np.array(maps[i, :, SCALE * y:SCALE * (y + h), SCALE * x:SCALE * (x + w)])))
            latents.append(torch.from_numpy(np.array(codes[i, :, y:y + h, x:x + w])))
            captions.append(nano.caption(metadata["look"], metadata["caption"]))
        conditions = torch.stack(conditions).float() / 255
        conditions[:, 4:7] = conditions[:, 4:7] * 2 - 1
        conditions[:, 4:7] *= (conditions[:, 4:7].abs().amax(1, keepdim=True) > .01)
        return conditions, torch.stack(latents).float(), captions


def drop_conditions(conditions):
    """Random dropout of channel groups, per sample, in place; windows become walls now and then, as photographs show them."""
    for sample in conditions:
        if random.random() < .4:
            sample[8 + 5] += sample[8 + 6]
            sample[8 + 6] = 0
        for first, last, share in CONDITION_GROUPS.values():
            if random.random() < share:
                sample[first:last] = 0
    return conditions
