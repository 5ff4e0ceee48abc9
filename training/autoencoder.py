"""Trains Kinora's own autoencoder at 1/8, AutoencoderTiny in diffusers' layout with `patch_size` 2 (pictures are packed 2x2
into 12 channels first), distilled from TAEF2: the encoder learns its latents, the decoder draws the pictures that they
stand for (L1 and LPIPS). Both start from the teacher's own blocks (MIT) up to 1/2 of a picture's size; the ends at packed pixels
are new. The decoder sees latents with noise, too: those that a sampler gives are never exact.

    python3 training/autoencoder.py decoder --pictures DIR --teachers WEIGHTS --out RUN --minutes 30
    python3 training/autoencoder.py encoder ...

Pictures: every .jpg and .png below DIR, but those whose path has a word of HELD_OUT.
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

import teachers

LATENT_CHANNELS, WIDTH, PATCH = 32, 64, 2
ENCODER_BLOCKS, DECODER_BLOCKS = (3, 3, 3), (3, 3, 3)
ENDS_ALONE = 60  # steps in which only the new ends learn
NOISE = .3  # the most noise on the latents that the decoder learns from; half of them have none
# Latents of photographs have a standard deviation of about .86: the samplers see 1.
SCALING_FACTOR = 1.16
HELD_OUT = ("left_camera/", "back_camera", "comma10k", "parkour", "car-roundabout", "labels", "masks", "Annotations")
CONFIG = {"_class_name": "AutoencoderTiny", "in_channels": 3, "out_channels": 3, "patch_size": PATCH,
          "encoder_block_out_channels": [WIDTH] * 3, "decoder_block_out_channels": [WIDTH] * 3,
          "num_encoder_blocks": list(ENCODER_BLOCKS), "num_decoder_blocks": list(DECODER_BLOCKS), "latent_channels": LATENT_CHANNELS,
          "act_fn": "relu", "upsampling_scaling_factor": 2, "scaling_factor": SCALING_FACTOR, "latent_magnitude": 3,
          "latent_shift": .5}


class Encoder(nn.Module):
    """RGB -1..1 [N, 3, H, W] -> latents [N, 32, H / 8, W / 8]"""

    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(3 * PATCH * PATCH, WIDTH, 3, padding=1)]
        for stage, blocks in enumerate(ENCODER_BLOCKS):
            if stage > 0:
                layers.append(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, stride=2, bias=False))
            layers += [teachers.Block(WIDTH, pooled=stage == 2) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(WIDTH, LATENT_CHANNELS, 3, padding=1))

    def forward(self, x):
        return self.layers(F.pixel_unshuffle((x + 1) / 2, PATCH))


class Decoder(nn.Module):
    """latents -> RGB -1..1"""

    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(LATENT_CHANNELS, WIDTH, 3, padding=1), nn.ReLU()]
        for stage, blocks in enumerate(DECODER_BLOCKS):
            if stage > 0:
                layers += [nn.Upsample(scale_factor=2), nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)]
            layers += [teachers.Block(WIDTH, pooled=stage == 0) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(WIDTH, 3 * PATCH * PATCH, 3, padding=1))

    def forward(self, z):
        return F.pixel_shuffle(self.layers(torch.tanh(z / 3) * 3), PATCH) * 2 - 1


def start_from_teacher(network, folder):
    """Copies the teacher's layers that ours has, too: all but those at the size of the picture."""
    if isinstance(network, Decoder):
        teacher, ours, theirs = teachers.taef2_decoder(folder), range(15), range(1, 16)
    else:
        teacher, ours, theirs = teachers.taef2_encoder(folder), range(1, 13), range(3, 15)
    for mine, its in zip(ours, theirs):
        network.layers[mine].load_state_dict(teacher[its].state_dict())


class Pictures:
    """Random crops [N, 3, side, side], RGB -1..1, at random scales."""

    def __init__(self, folder, height=320):
        self.pictures = []
        for path in sorted(glob.glob(os.path.join(folder, "**", "*"), recursive=True)):
            if not path.endswith((".jpg", ".png")) or any(word in path for word in HELD_OUT):
                continue
            picture = Image.open(path).convert("RGB")
            scale = max(height / min(picture.size), .1)
            if scale < 1:
                picture = picture.resize([round(s * scale) for s in picture.size], Image.Resampling.BOX)
            self.pictures.append(np.asarray(picture))

    def crops(self, count, side):
        found = []
        while len(found) < count:
            picture = random.choice(self.pictures)
            h, w = picture.shape[:2]
            scale = min(1, max(random.uniform(.55, 1.15), (side + 1) / min(h, w)))
            size = int(side / scale)
            if size > min(h, w):
                continue
            y, x = random.randint(0, h - size), random.randint(0, w - size)
            crop = Image.fromarray(picture[y:y + size, x:x + size]).resize((side, side), Image.Resampling.BICUBIC)
            crop = np.asarray(crop)[:, ::random.choice((1, -1))]
            found.append(torch.from_numpy(crop.copy()).permute(2, 0, 1))
        return torch.stack(found).float() / 127.5 - 1


def loss_of(args, network, networks, x):
    teacher, lpips = networks
    with torch.no_grad():
        z = teacher((x + 1) / 2)
    if args.part == "encoder":
        error = F.mse_loss(network(x), z)
        return error, {"mse": error}
    strength = NOISE * (torch.rand(len(z), 1, 1, 1) * 2 - 1).clamp(min=0)
    made = network(z + strength * torch.randn_like(z))
    error, distance = (made - x).abs().mean(), lpips(made, x).mean()
    return error + .4 * distance, {"l1": error, "lpips": distance}


def diffusers_state(encoder, decoder):
    """The state_dict of diffusers' AutoencoderTiny: the layers' indices are those of its Sequentials."""
    return {f"{name}.{key}": value for name, network in (("encoder", encoder), ("decoder", decoder))
            for key, value in network.state_dict().items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["encoder", "decoder"])
    parser.add_argument("--pictures", required=True)
    parser.add_argument("--teachers", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--init", help="a checkpoint to start from, or \"teacher\"")
    args = parser.parse_args()
    torch.set_num_threads(1)
    random.seed(1)
    torch.manual_seed(1)
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, args.part + ".pt")
    network = Decoder() if args.part == "decoder" else Encoder()
    network = network.to(memory_format=torch.channels_last)
    networks = teachers.taef2_encoder(args.teachers).to(memory_format=torch.channels_last), teachers.Lpips(args.teachers)
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.lr, betas=(.9, .99), weight_decay=.01)
    state = {"step": 0, "seconds": 0}
    if os.path.exists(path):
        kept = torch.load(path, weights_only=True)
        network.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        state = kept["state"]
    elif args.init == "teacher":
        start_from_teacher(network, args.teachers)
    elif args.init:
        network.load_state_dict(torch.load(args.init, weights_only=True)["model"])
    pictures = Pictures(args.pictures)
    print(len(pictures.pictures), "pictures", flush=True)
    begun, saved, means = time.time() - state["seconds"], time.time(), {}
    while state["seconds"] < args.minutes * 60:
        progress = state["seconds"] / (args.minutes * 60)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1, (state["step"] + 1) / 50) * max(.02, 1 - progress) ** .8
        x = pictures.crops(args.batch, args.side).to(memory_format=torch.channels_last)
        loss, parts = loss_of(args, network, networks, x)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if args.init == "teacher" and state["step"] < ENDS_ALONE:
            for i, layer in enumerate(network.layers):
                if i != (0 if args.part == "encoder" else len(network.layers) - 1):
                    layer.zero_grad(set_to_none=True)
        optimizer.step()
        state["step"] += 1
        state["seconds"] = time.time() - begun
        for name, value in parts.items():
            means[name] = .97 * means.get(name, value.item()) + .03 * value.item()
        if state["step"] % 20 == 0:
            print(state["step"], round(state["seconds"]), {k: round(v, 4) for k, v in means.items()}, flush=True)
        if time.time() - saved > 120 or state["seconds"] >= args.minutes * 60:
            torch.save({"model": network.state_dict(), "optimizer": optimizer.state_dict(), "state": state}, path + ".part")
            os.replace(path + ".part", path)
            saved = time.time()


if __name__ == "__main__":
    main()
