"""Latents of pictures by the teacher's encoder, beside each clip file: python3 training/latents.py CLIPS TEACHERS

FILE.safetensors (`beauty` uint8 [N, 3, H, W]) -> FILE.latents (`latents` fp16 [N, 32, H / 8, W / 8], of about unit variance)."""
import glob
import os
import sys

import numpy as np
import torch

import autoencoder
import safetensors_io
import teachers


def encode(encoder, pictures):
    """uint8 [N, 3, H, W] -> fp16 [N, 32, H / 8, W / 8]"""
    found = []
    with torch.no_grad():
        for picture in pictures:
            x = torch.from_numpy(np.array(picture))[None].float() / 255
            found.append((encoder(x.to(memory_format=torch.channels_last))[0] * autoencoder.SCALING_FACTOR).numpy().astype(np.float16))
    return np.stack(found)


def main():
    torch.set_num_threads(1)
    encoder = teachers.taef2_encoder(sys.argv[2]).to(memory_format=torch.channels_last)
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.safetensors"))):
        target = path[:-len(".safetensors")] + ".latents"
        if not os.path.exists(target):
            arrays, _ = safetensors_io.read(path)
            safetensors_io.write(target + ".part", {"latents": encode(encoder, arrays["beauty"])})
            os.replace(target + ".part", target)
            print(target, flush=True)


if __name__ == "__main__":
    main()
