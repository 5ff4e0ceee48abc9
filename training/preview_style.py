"""A sheet of pictures in every look: python3 training/preview_style.py RUN/last.pt sheet.png PICTURE ... [--steps 2] [--height 360]"""
import argparse

import numpy as np
import torch
from PIL import Image

import style
from export_style import load


def sample(model, tokenizer, x, look, steps, generator):
    """x [3, H, W] in 0..1 -> the same in a look"""
    structure = style.structure(x)[None]
    ids = torch.tensor([tokenizer.encode(style.CAPTIONS[look][0], style.TEXT_LENGTH)])
    state = torch.randn(1, style.LATENT, *structure.shape[2:], generator=generator)
    for i in range(steps):
        t, after = 1 - i / steps, 1 - (i + 1) / steps
        clean = model(state, torch.tensor([t]), ids, structure)
        state = clean + after / t * (state - clean)
    return style.unpack(state[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--height", type=int, default=360)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model, tokenizer = load(args.checkpoint)
    rows = []
    for path in args.pictures:
        image = Image.open(path).convert("RGB")
        image = image.resize((round(image.width * args.height / image.height) // 8 * 8, args.height), Image.LANCZOS)
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        row = [x] + [sample(model, tokenizer, x, look, args.steps, torch.Generator().manual_seed(1)) for look in style.LOOKS]
        rows.append(torch.cat([torch.cat(row[:3], 2), torch.cat(row[3:], 2)], 1))
    width = min(row.shape[2] for row in rows)
    sheet = torch.cat([row[:, :, :width] for row in rows], 1)
    Image.fromarray((sheet.permute(1, 2, 0) * 255).round().byte().numpy()).save(args.out)


if __name__ == "__main__":
    main()
