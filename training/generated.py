"""Pictures that a trained generator draws for rendered conditions, for sim2real.py: python3 training/generated.py RUN/last.pt CLIPS OUT --teachers WEIGHTS [--decoder RUN/decoder.pt]

OUT gets one file per clip file: `generated` uint8 [N, 3, H, W] and the renderer's `semantic`.
"""
import argparse
import glob
import os

import numpy as np
import torch

import nano
import preview
import safetensors_io
from clips import Clips


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("clips")
    parser.add_argument("out")
    parser.add_argument("--teachers")
    parser.add_argument("--decoder")
    parser.add_argument("--look", choices=nano.LOOKS, default="photo")
    parser.add_argument("--steps", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.makedirs(args.out, exist_ok=True)
    model, tokenizer = preview.load(args.run)
    decode = preview.decoder_of(args)
    clips = Clips([args.clips])
    paths = [p for p in sorted(glob.glob(os.path.join(args.clips, "*.safetensors"))) if os.path.exists(p[:-12] + ".latents")]
    for f, path in enumerate(paths):
        target = os.path.join(args.out, os.path.basename(path))
        if os.path.exists(target):
            continue
        arrays, _ = safetensors_io.read(path)
        pictures = []
        for i in range(arrays["semantic"].shape[0]):
            conditions, _, captions = clips.get([(f, i)])
            caption = nano.caption(args.look, captions[0].split(", ", 1)[1])
            z = preview.generate(model, tokenizer, conditions, [caption], args.steps, seed=f * 1000 + i)
            with torch.no_grad():
                pictures.append((decode(z)[0].clamp(-1, 1) * 127.5 + 127.5).round().byte().numpy())
        safetensors_io.write(target, {"generated": np.stack(pictures), "semantic": np.array(arrays["semantic"])})
        print(target, flush=True)


if __name__ == "__main__":
    main()
