"""Trains kinora-nano: foundation, drive control and text encoder together, then its temporal and multi-view modules.

    python3 training/train.py base --data CLIPS --out RUN --minutes 60
    python3 training/train.py consistency --data CLIPS --out RUN --minutes 15   (only motion modules and attn4)

Flow matching with x-prediction of the residual: x0 = picture - control colours, x_t = (1 - t) x0 + t sigma noise, loss
|x0 - prediction|^2 / max(t, .5)^2, counted more around lamps, whose glow covers few pixels. bf16 autocast, AdamW, EMA. Checkpoints every few minutes in RUN/last.pt, from which a run continues; RUN/log.csv has the loss curve.
"""
import argparse
import math
import os
import random
import time

import torch
from torch.nn import functional as F

import nano
from clips import Clips, control16, drop_control
from nets import ControlNetModel, UNet2DConditionModel
from nets_text import CLIPTextModel
from tokenizer import Tokenizer

LAMP_WEIGHT = 4


class Nano(torch.nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.unet = UNet2DConditionModel(nano.UNET)
        self.controlnet = ControlNetModel(nano.CONTROLNET)
        self.text = CLIPTextModel(dict(nano.TEXT, vocab_size=vocab_size))
        for conv in list(self.controlnet.controlnet_down_blocks) + [self.controlnet.controlnet_mid_block]:
            torch.nn.init.normal_(conv.weight, std=.02)

    def forward(self, x, t, ids, control, frames=1, neighbours=None):
        context = self.text(ids)
        down, mid = self.controlnet(x, t * 1000, context, control)
        return self.unet(x, t * 1000, context, down, mid, frames, neighbours)


def sample_times(n):
    """Often the start of the flow, where the network must go by the control alone; else uniform or logit-normal."""
    uniform, normal, kind = torch.rand(n), torch.sigmoid(torch.randn(n) * 1.2 + .4), torch.rand(n)
    return torch.where(kind < .4, torch.ones(n), torch.where(kind < .7, uniform, normal)).clamp(.02, 1)


def groups_of(clips, frames, views):
    """Start samples of windows of `frames` consecutive frames of all cameras."""
    starts = []
    for f, (arrays, _, cameras) in enumerate(clips.files):
        count = arrays["beauty"].shape[0] // cameras
        starts += [(f, k) for k in range(0, count - frames + 1)] if cameras == views else []
    return starts


def consistency_batch(args, clips, starts):
    """One camera over consecutive frames (for the motion modules), all cameras of one frame (for the attention between
    neighbours), or all cameras of two frames."""
    (file, start), camera, kind = random.choice(starts), random.randrange(6), random.random()
    if kind < .4:
        ids = [(file, (start + f) * 6 + camera) for f in range(args.frames)]
        return *clips.get(ids, args.crop, together=True), {"frames": args.frames}
    if kind < .6:
        return *clips.get([(file, start * 6 + i) for i in range(6)]), {"neighbours": nano.NEIGHBOURS}
    ids = [(file, start * 6 + i) for i in range(12)]
    return *clips.get(ids), {"frames": 2, "neighbours": nano.NEIGHBOURS}


def read_clips(args):
    clips = Clips(args.data)
    clips.lit = [places for places in clips.lamps() if places] if args.lamps and args.stage == "base" else []
    return clips


def batch(args, clips, tokenizer, starts):
    if args.stage == "base":
        # Sometimes as many pixels in larger crops. Not wider: oneDNN's bf16 weight gradient of the 16-channel
        # convolution is NaN from about 256 columns on (PyTorch 1.13 with AMX).
        large = random.random() < .25
        count = args.batch // 2 if large else args.batch
        ids = random.sample(clips.index, count)
        for k in range(count):
            if random.random() < args.lamps:
                ids[k] = random.choice(random.choice(clips.lit))
        control, target, captions = clips.get(ids, (2 * args.crop[0], args.crop[1]) if large else args.crop)
        extra = {}
    else:
        control, target, captions, extra = consistency_batch(args, clips, starts)
    if args.stage == "base":
        captions = [c if random.random() > .1 else "" for c in captions]
    tokens = torch.tensor([tokenizer.encode(c, nano.TEXT_LENGTH) for c in captions])
    return control16(control), F.pixel_unshuffle(target, 4), tokens, extra


def lamp_weights(control):
    """Weights of the squared error for pictures packed 4x4, [N, 1, H / 4, W / 4]: 1, and up to 1 + LAMP_WEIGHT within
    20 pixels of a lamp (channels 12 to 14)."""
    near = F.max_pool2d(F.max_pool2d(control[:, 12:15].amax(1, keepdim=True), 4), 11, stride=1, padding=5)
    return 1 + LAMP_WEIGHT * F.avg_pool2d(near, 5, stride=1, padding=2)


def loss_of(args, model, control, x0, tokens, extra):
    n = x0.shape[0]
    t = sample_times(n) if args.stage == "base" else sample_times(1).expand(n)
    noise = torch.randn(n, 3, *control.shape[2:])
    source = F.pixel_unshuffle(nano.RESIDUAL_NOISE * noise, 4)
    x0 = x0 - F.pixel_unshuffle(nano.base_of(control), 4)
    lamps = lamp_weights(control)
    if args.stage == "base":
        drop_control(control, whole=0)
    s = t[:, None, None, None]
    xt = ((1 - s) * x0 + s * source).to(memory_format=torch.channels_last)
    control = control.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predicted = model(xt, t, tokens, control, **extra)
    error = (lamps * (predicted.float() - x0).pow(2)).mean((1, 2, 3))
    return (error / t.clamp(min=.5).pow(2)).mean(), error.detach()


def save(path, model, ema, optimizer, state, tokenizer):
    torch.save({"model": model.state_dict(), "ema": ema, "optimizer": optimizer.state_dict(), "state": state,
                "merges": tokenizer.merges}, path + ".part")
    os.replace(path + ".part", path)


def restore(args, path, model, optimizer):
    kept = torch.load(path)
    model.load_state_dict(kept["model"])
    state = kept["state"]
    if state["stage"] == args.stage:
        optimizer.load_state_dict(kept["optimizer"])
    else:
        state = {"step": 0, "seconds": 0, "stage": args.stage}
        model.load_state_dict(kept["ema"])
    return state, kept["ema"]


def learning_rate(args, seconds):
    progress = min(seconds / (args.minutes * 60), 1)
    return args.lr * (.02 + .98 * .5 * (1 + math.cos(math.pi * progress)))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["base", "consistency"])
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, nargs=2, default=[112, 200], help="height and width in pixels")
    parser.add_argument("--frames", type=int, default=8, help="of a window for the motion modules")
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--init", help="a checkpoint whose averaged weights to start from, as far as names and shapes fit")
    parser.add_argument("--lamps", type=float, default=0, help="share of the crops that lie around a lit lamp of a road user, half of them white")
    parser.add_argument("--merges", type=int, default=400)
    return parser.parse_args()


def main():
    args = arguments()
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(args.threads)
    random.seed(args.seed)
    torch.manual_seed(args.seed)
    clips = read_clips(args)
    path = os.path.join(args.out, "last.pt")
    resumed = os.path.exists(path)
    known = path if resumed else args.init
    tokenizer = Tokenizer(torch.load(known)["merges"]) if known else Tokenizer.train(clips.captions(), args.merges)
    model = Nano(len(tokenizer.vocab)).to(memory_format=torch.channels_last)
    if args.init and not resumed:
        model.load_state_dict(torch.load(args.init)["ema"], strict=False)
    chosen = [p for n, p in model.named_parameters() if nano.is_consistency(n) == (args.stage == "consistency")]
    for p in model.parameters():
        p.requires_grad_(False)
    for p in chosen:
        p.requires_grad_(True)
    optimizer = torch.optim.AdamW(chosen, lr=args.lr, betas=(.9, .98), weight_decay=.01)
    state, ema = {"step": 0, "seconds": 0, "stage": args.stage}, {k: v.clone() for k, v in model.state_dict().items()}
    if resumed:
        state, ema = restore(args, path, model, optimizer)
    train(args, clips, tokenizer, model, chosen, optimizer, state, ema, path)


def train(args, clips, tokenizer, model, chosen, optimizer, state, ema, path):
    starts = groups_of(clips, args.frames, 6)
    log = open(os.path.join(args.out, "log.csv"), "a")
    print(f"{len(clips.index)} samples, {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    begun, saved, mean = time.time() - state["seconds"], time.time(), None
    while state["seconds"] < args.minutes * 60:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(args, state["seconds"]) * min(1, (state["step"] + 1) / 100)
        loss, error = loss_of(args, model, *batch(args, clips, tokenizer, starts))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if math.isfinite(loss.item()) and math.isfinite(torch.nn.utils.clip_grad_norm_(chosen, 1.0).item()):
            optimizer.step()
        state["step"] += 1
        state["seconds"] = time.time() - begun
        decay = min(.998, 1 - 1 / (state["step"] + 1) ** .75)
        with torch.no_grad():
            for name, value in model.state_dict().items():
                ema[name].lerp_(value, 1 - decay)
        mean = loss.item() if mean is None else .98 * mean + .02 * loss.item()
        if state["step"] % 20 == 0:
            line = f"{state['step']},{state['seconds']:.0f},{mean:.5f},{error.mean().item():.5f}"
            print(line, flush=True)
            log.write(line + "\n")
            log.flush()
        if time.time() - saved > 180:
            save(path, model, ema, optimizer, state, tokenizer)
            saved = time.time()
            clips = read_clips(args)  # rendering may still add to them
            starts = groups_of(clips, args.frames, 6)
    save(path, model, ema, optimizer, state, tokenizer)


if __name__ == "__main__":
    main()
