"""Trains kinora-style: structure and a look in words -> the picture in that look, from unit noise.

    python3 training/train_style.py --data LOOKS --out RUN --minutes 60

Flow matching (arXiv 2210.02747) with x-prediction on packed pixels: x_t = (1 - t) x0 + t noise, loss
|x0 - prediction|^2 / max(t, .3)^2. AdamW, EMA. Checkpoints in RUN/last.pt, from which a run continues; RUN/log.csv has the
loss curve, with the error at t = 1, where only structure and look are known.
"""
import argparse
import glob
import math
import os
import random
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import safetensors_io
import style
from nets import UNet2DConditionModel, timestep_embedding
from nets_text import CLIPTextModel
from tokenizer import Tokenizer

SECONDS_BETWEEN_CHECKPOINTS = 150


class StyleUNet(UNet2DConditionModel):
    """With diffusers' `time_cond_proj_dim`: a vector beside the time, here the text encoder's last token."""

    def __init__(self, config):
        super().__init__(config)
        self.time_embedding.cond_proj = nn.Linear(config["time_cond_proj_dim"], config["block_out_channels"][0], bias=False)

    def forward(self, x, t, context):
        state = {"context": context}
        embedding = timestep_embedding(t, self.config["block_out_channels"][0]) + self.time_embedding.cond_proj(context[:, -1])
        temb = self.time_embedding(embedding)
        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            x = block.down(x, temb, state, skips)
        x = self.mid_block.mid(x, temb, state)
        for block in self.up_blocks:
            x = block.up(x, temb, state, skips)
        return self.conv_out(self.conv_norm_out(x, silu=True))


class Style(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.unet = StyleUNet(style.UNET)
        self.text = CLIPTextModel(dict(style.TEXT, vocab_size=vocab_size))

    def forward(self, x, t, ids, structure):
        return self.unet(torch.cat([x, structure], 1), t * 1000, self.text(ids))


class Samples:
    def __init__(self, folder):
        self.files, self.ids = [], []
        for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
            arrays, metadata = safetensors_io.read(path)
            looks = metadata["looks"].split(",")
            self.ids += [(len(self.files), i) for i in range(len(looks))]
            self.files.append((arrays["source"], arrays["target"], looks))

    def get(self, count, crop):
        structures, targets, captions = [], [], []
        for file, i in random.choices(self.ids, k=count):
            source, target, looks = self.files[file]
            size = source.shape[2]
            margin = 16  # structure is found on the whole sample: borders inside a picture are none
            y, x = (random.randint(0, (size - crop) // style.BLOCK) * style.BLOCK for _ in range(2))
            y0, x0 = max(y - margin, 0), max(x - margin, 0)
            wide = torch.from_numpy(np.array(source[i, :, y0:y + crop + margin, x0:x + crop + margin])).float() / 255
            cells, dy, dx = crop // style.BLOCK, (y - y0) // style.BLOCK, (x - x0) // style.BLOCK
            structures.append(style.structure(wide)[:, dy:dy + cells, dx:dx + cells])
            targets.append(style.pack(torch.from_numpy(np.array(target[i, :, y:y + crop, x:x + crop])).float() / 255))
            captions.append(random.choice(style.CAPTIONS[looks[i]]) if random.random() < .4 else style.CAPTIONS[looks[i]][0])
        return torch.stack(structures), torch.stack(targets), captions


def sample_times(n):
    """Around the levels at which the two steps of sampling ask."""
    return torch.where(torch.rand(n) < .55, torch.ones(n), .5 + .03 * torch.randn(n)).clamp(.02, 1)


def loss_of(model, tokenizer, structures, x0, captions):
    t, noise = sample_times(x0.shape[0]), torch.randn_like(x0)
    tokens = torch.tensor([tokenizer.encode(c, style.TEXT_LENGTH) for c in captions])
    s = t[:, None, None, None]
    xt = (1 - s) * x0 + s * noise
    predicted = model(xt.to(memory_format=torch.channels_last), t, tokens, structures.to(memory_format=torch.channels_last))
    error = (predicted - x0).pow(2).mean((1, 2, 3))
    return (error / t.clamp(min=.3).pow(2)).mean(), error.detach()[t > .99]


def save(path, model, ema, optimizer, state, tokenizer):
    torch.save({"model": model.state_dict(), "ema": ema, "optimizer": optimizer.state_dict(), "state": state, "merges": tokenizer.merges},
               path + ".part")
    os.replace(path + ".part", path)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=160, help="pixels")
    parser.add_argument("--lr", type=float, default=1.2e-3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main():
    args = arguments()
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(1)
    random.seed(args.seed)
    torch.manual_seed(args.seed)
    path = os.path.join(args.out, "last.pt")
    known = torch.load(path, weights_only=True) if os.path.exists(path) else None
    words = [c for all in style.CAPTIONS.values() for c in all]
    tokenizer = Tokenizer(known["merges"]) if known else Tokenizer.train(words * 4, 160)
    model = Style(len(tokenizer.vocab)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(.9, .98), weight_decay=.01, fused=True)
    state, ema = {"step": 0, "seconds": 0}, {k: v.clone() for k, v in model.state_dict().items()}
    if known:
        model.load_state_dict(known["model"])
        optimizer.load_state_dict(known["optimizer"])
        state, ema = known["state"], known["ema"]
    train(args, tokenizer, model, optimizer, state, ema, path)


def train(args, tokenizer, model, optimizer, state, ema, path):
    samples, log = Samples(args.data), open(os.path.join(args.out, "log.csv"), "a")
    print(len(samples.ids), "samples,", sum(p.numel() for p in model.parameters()) / 1e6, "M parameters", flush=True)
    begun, saved, mean, start = time.time() - state["seconds"], time.time(), None, None
    while state["seconds"] < args.minutes * 60:
        progress = min(state["seconds"] / (args.minutes * 60), 1)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * (.02 + .98 * .5 * (1 + math.cos(math.pi * progress))) * min(1, (state["step"] + 1) / 100)
        loss, error = loss_of(model, tokenizer, *samples.get(args.batch, args.crop))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if math.isfinite(loss.item()) and math.isfinite(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()):
            optimizer.step()
        state["step"] += 1
        state["seconds"] = time.time() - begun
        decay = min(.998, 1 - 1 / (state["step"] + 1) ** .75)
        with torch.no_grad():
            for name, value in model.state_dict().items():
                ema[name].lerp_(value, 1 - decay)
        mean = loss.item() if mean is None else .98 * mean + .02 * loss.item()
        if len(error):
            start = error.mean().item() if start is None else .95 * start + .05 * error.mean().item()
        if state["step"] % 20 == 0:
            line = f"{state['step']},{state['seconds']:.0f},{mean:.5f},{start or 0:.5f},{len(samples.ids)}"
            print(line, flush=True)
            log.write(line + "\n")
            log.flush()
        if time.time() - saved > SECONDS_BETWEEN_CHECKPOINTS:
            save(path, model, ema, optimizer, state, tokenizer)
            saved, samples = time.time(), Samples(args.data)  # more may have been made
    save(path, model, ema, optimizer, state, tokenizer)


if __name__ == "__main__":
    main()
