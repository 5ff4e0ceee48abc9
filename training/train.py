"""Trains kinora-nano: foundation, drive control, text encoder, multi-view and temporal modules, all together, from unit noise.

    python3 training/train.py --data CLIPS ... --out RUN --minutes 60

Flow matching (arXiv 2210.02747) with x-prediction in the autoencoder's latents: x_t = (1 - t) x0 + t noise, loss
(|x0 - prediction|^2 + 4 |its means over 7 x 8 cells|^2) / max(t, .3)^2. AdamW, EMA. A step takes crops of single pictures, one camera over frames, or all
cameras of a frame. Checkpoints in RUN/last.pt, from which a run continues; RUN/log.csv has the loss curve.
"""
import argparse
import math
import os
import random
import time

import torch
from torch.nn import functional as F

import nano
from clips import Clips, drop_conditions
from nets import ControlNetModel, UNet2DConditionModel
from nets_text import CLIPTextModel
from tokenizer import Tokenizer

SECONDS_BETWEEN_CHECKPOINTS = 150
REGION, COARSE_WEIGHT = (7, 8), 4  # latent cells
WORDS = ("photo render golden evening morning low sun dry leaves on the road snow autumn winter spring summer storm sunset sunrise "
         "overcast cloudy misty neon lights wet asphalt blue hour night dusk dawn haze trees city village industrial").split()


class Nano(torch.nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.unet = UNet2DConditionModel(nano.UNET)
        self.controlnet = ControlNetModel(nano.CONTROLNET)
        self.text = CLIPTextModel(dict(nano.TEXT, vocab_size=vocab_size))
        for conv in list(self.controlnet.controlnet_down_blocks) + [self.controlnet.controlnet_mid_block]:
            torch.nn.init.normal_(conv.weight, std=.02)

    def forward(self, x, t, ids, conditions, frames=1, neighbours=None, dropped_levels=0):
        context = self.text(ids)
        down, mid = self.controlnet(x, t * 1000, context, conditions)
        means = F.avg_pool2d(conditions, nano.SCALE)
        return self.unet(torch.cat([x, means], 1), t * 1000, context, down, mid, frames, neighbours, ends_of(ids, context), dropped_levels)


def ends_of(ids, context):
    """The states at the first end token, which has the highest number: [N, C]."""
    return context[torch.arange(len(ids)), ids.argmax(1)]


def sample_times(n):
    """Often the start of the flow, where the network must go by the conditions alone; else uniform or logit-normal."""
    uniform, normal, kind = torch.rand(n), torch.sigmoid(torch.randn(n) * 1.2 + .4), torch.rand(n)
    return torch.where(kind < .25, torch.ones(n), torch.where(kind < .6, uniform, normal)).clamp(.02, 1)


def batch(args, clips):
    """-> conditions, latents, captions, arguments of the network, whether the noise is the same in all frames"""
    kind = random.random()
    if clips.sequences and kind < args.views:
        file, frames, _ = random.choice(clips.sequences)
        frame = random.randrange(frames)
        return *clips.get([(file, frame * 6 + i) for i in range(6)]), {"neighbours": nano.NEIGHBOURS}
    long = [s for s in clips.sequences if s[2] and s[1] >= 4]
    if long and kind < args.views + args.frames:
        file, frames, _ = random.choice(long)
        camera = random.randrange(6)
        count = min(frames, args.batch)
        return *clips.get([(file, f * 6 + camera) for f in range(count)], args.crop, together=True), {"frames": count}
    ids = [random.choice(clips.looks[random.choice(list(clips.looks))]) for _ in range(args.batch)]
    return *clips.get(ids, args.crop), {}


def loss_of(model, tokenizer, conditions, x0, captions, extra):
    n = x0.shape[0]
    t = sample_times(n) if not extra else sample_times(1).expand(n)
    noise = torch.randn_like(x0)
    kind = random.random()
    dropped_levels = 1 if kind < .16 else 2 if kind < .24 else 0
    if dropped_levels:
        t = .5 + t / 2
    if "frames" in extra and random.random() < .5:
        noise = noise[:1].expand_as(noise)
    captions = [c if random.random() > .1 else "" for c in captions]
    tokens = torch.tensor([tokenizer.encode(c, nano.TEXT_LENGTH) for c in captions])
    s = t[:, None, None, None]
    xt = ((1 - s) * x0 + s * noise).to(memory_format=torch.channels_last)
    predicted = model(xt, t, tokens, drop_conditions(conditions).to(memory_format=torch.channels_last), dropped_levels=dropped_levels, **extra)
    error = (predicted - x0).pow(2).mean((1, 2, 3))
    # Light and weather are means over large regions: errors of these count more, or only the finest level learns.
    coarse = F.avg_pool2d(predicted - x0, REGION, REGION, ceil_mode=True, count_include_pad=False).pow(2).mean((1, 2, 3))
    return ((error + COARSE_WEIGHT * coarse) / t.clamp(min=.3).pow(2)).mean(), error.detach()[t > .95] if not dropped_levels else error[:0]


def groups_of(model):
    """What carries the caption starts far behind what carries the picture, and learns faster."""
    words = [p for n, p in model.named_parameters() if n.startswith("text.") or "cond_proj" in n]
    known = {id(p) for p in words}
    return [{"params": [p for p in model.parameters() if id(p) not in known], "factor": 1}, {"params": words, "factor": 4}]


def save(path, model, ema, optimizer, state, tokenizer):
    torch.save({"model": model.state_dict(), "ema": ema, "optimizer": optimizer.state_dict(), "state": state,
                "merges": tokenizer.merges}, path + ".part")
    os.replace(path + ".part", path)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, nargs="+", help="folders of clips, FOLDER or FOLDER:LOOK")
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, nargs=2, default=[14, 24], help="height and width in latent cells")
    parser.add_argument("--views", type=float, default=.06, help="share of steps on all cameras of a frame")
    parser.add_argument("--frames", type=float, default=.14, help="share of steps on one camera over frames")
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--init", help="a checkpoint whose averaged weights to start from")
    parser.add_argument("--merges", type=int, default=400)
    return parser.parse_args()


def main():
    args = arguments()
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(args.threads)
    random.seed(args.seed)
    torch.manual_seed(args.seed)
    clips = Clips(args.data)
    path = os.path.join(args.out, "last.pt")
    resumed = os.path.exists(path)
    known = torch.load(path if resumed else args.init, weights_only=True) if resumed or args.init else None
    tokenizer = Tokenizer(known["merges"]) if known else Tokenizer.train(clips.captions() + [" ".join(WORDS)] * 3, args.merges)
    model = Nano(len(tokenizer.vocab)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(groups_of(model), lr=args.lr, betas=(.9, .99), weight_decay=.01)
    if known:
        model.load_state_dict(known["model" if resumed else "ema"])
    state, ema = {"step": 0, "seconds": 0}, {k: v.clone() for k, v in model.state_dict().items()}
    if resumed:
        optimizer.load_state_dict(known["optimizer"])
        state, ema = known["state"], known["ema"]
    train(args, clips, tokenizer, model, optimizer, state, ema, path)


def train(args, clips, tokenizer, model, optimizer, state, ema, path):
    log = open(os.path.join(args.out, "log.csv"), "a")
    print({k: len(v) for k, v in clips.looks.items()}, "samples,", sum(p.numel() for p in model.parameters()) / 1e6, "M parameters", flush=True)
    begun, saved, mean, start = time.time() - state["seconds"], time.time(), None, None
    while state["seconds"] < args.minutes * 60:
        progress = min(state["seconds"] / (args.minutes * 60), 1)
        for group in optimizer.param_groups:
            group["lr"] = group["factor"] * args.lr * (.02 + .98 * .5 * (1 + math.cos(math.pi * progress))) * min(1, (state["step"] + 1) / 100)
        loss, error = loss_of(model, tokenizer, *batch(args, clips))
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
            line = f"{state['step']},{state['seconds']:.0f},{mean:.5f},{start or 0:.5f}"
            print(line, flush=True)
            log.write(line + "\n")
            log.flush()
        if time.time() - saved > SECONDS_BETWEEN_CHECKPOINTS:
            save(path, model, ema, optimizer, state, tokenizer)
            saved = time.time()
            clips = Clips(args.data)  # more may have been rendered
    save(path, model, ema, optimizer, state, tokenizer)


if __name__ == "__main__":
    main()
