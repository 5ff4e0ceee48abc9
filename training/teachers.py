"""Small pretrained networks as teachers and losses (training only; nothing of them ships): the TAEF2 autoencoder
(madebyollin/taesd, MIT) and LPIPS (Zhang et al. 2018, arXiv 1801.03924) over SqueezeNet 1.1 (forresti/SqueezeNet, BSD-2).

`folder` holds taef2_encoder.pth, taef2_decoder.pth, squeezenet_v1.1.bin (ncnn, fp16) and lpips_v0.1_squeeze.pth.
"""
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def conv3(n_in, n_out, **options):
    return nn.Conv2d(n_in, n_out, 3, padding=1, **options)


class Block(nn.Module):
    """TAESD's residual block; `pooled` adds TAEF2's 1x1 branch with a group norm over the whole picture."""

    def __init__(self, channels, pooled=False):
        super().__init__()
        self.conv = nn.Sequential(conv3(channels, channels), nn.ReLU(), conv3(channels, channels), nn.ReLU(),
                                  conv3(channels, channels))
        if pooled:
            self.pool = nn.Sequential(nn.Conv2d(channels, 4 * channels, 1, bias=False), nn.GroupNorm(4, 4 * channels),
                                      nn.ReLU(), nn.Conv2d(4 * channels, channels, 1, bias=False))

    def forward(self, x):
        if hasattr(self, "pool"):
            x = x + self.pool(x)
        return F.relu(x + self.conv(x))


class Clamp(nn.Module):
    def forward(self, x):
        return torch.tanh(x / 3) * 3


def taef2_encoder(folder):
    """RGB 0..1 [N, 3, H, W] -> [N, 32, H / 8, W / 8]"""
    layers = [conv3(3, 64), Block(64)]
    for pooled in (False, False, True):
        layers += [conv3(64, 64, stride=2, bias=False)] + [Block(64, pooled) for _ in range(3)]
    return load(nn.Sequential(*layers, conv3(64, 32)), folder, "taef2_encoder.pth")


def taef2_decoder(folder):
    layers = [Clamp(), conv3(32, 64), nn.ReLU()]
    for pooled in (True, False, False):
        layers += [Block(64, pooled) for _ in range(3)] + [nn.Upsample(scale_factor=2), conv3(64, 64, bias=False)]
    return load(nn.Sequential(*layers, Block(64), conv3(64, 3)), folder, "taef2_decoder.pth")


def load(network, folder, name):
    network.load_state_dict(torch.load(os.path.join(folder, name), map_location="cpu", weights_only=True))
    return frozen(network.float())


def frozen(network):
    return network.eval().requires_grad_(False)


class NcnnReader:
    """Weights in the order of the layers: a tag and fp16 values, padded to 4 bytes; biases as fp32."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 0

    def take(self, dtype, count):
        values = np.frombuffer(self.data, dtype, count, self.at)
        self.at += (values.nbytes + 3) // 4 * 4
        return torch.from_numpy(values.astype(np.float32))

    def conv(self, layer):
        tag = int(np.frombuffer(self.data, "<u4", 1, self.at)[0])
        if tag != 0x01306B47:
            raise ValueError(f"ncnn weights: tag {tag:#x} at byte {self.at}, expected fp16 values")
        self.at += 4
        layer.weight.data = self.take("<f2", layer.weight.numel()).reshape(layer.weight.shape)
        layer.bias.data = self.take("<f4", layer.bias.numel())


class Fire(nn.Module):
    def __init__(self, n_in, squeeze, expand):
        super().__init__()
        self.squeeze, self.one, self.three = (nn.Conv2d(n_in, squeeze, 1), nn.Conv2d(squeeze, expand, 1),
                                              nn.Conv2d(squeeze, expand, 3, padding=1))

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


class Lpips(nn.Module):
    """The distance of two pictures RGB -1..1 [N, 3, H, W] -> [N]. The Caffe network takes BGR minus its mean, 0..255."""
    FIRES = [(64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128), (256, 48, 192), (384, 48, 192), (384, 64, 256),
             (512, 64, 256)]

    def __init__(self, folder):
        super().__init__()
        self.first = nn.Conv2d(3, 64, 3, stride=2)
        self.fires = nn.ModuleList(Fire(*shape) for shape in self.FIRES)
        reader = NcnnReader(os.path.join(folder, "squeezenet_v1.1.bin"))
        reader.conv(self.first)
        for fire in self.fires:
            for layer in (fire.squeeze, fire.one, fire.three):
                reader.conv(layer)
        heads = torch.load(os.path.join(folder, "lpips_v0.1_squeeze.pth"), map_location="cpu", weights_only=True)
        self.heads = nn.ParameterList([nn.Parameter(w.float()) for _, w in sorted(heads.items())])
        frozen(self)

    def features(self, x):
        mean = torch.tensor([104.0, 117.0, 123.0])[None, :, None, None]
        x = F.relu(self.first((x.flip(1) + 1) * 127.5 - mean))
        found = [x]
        for i, fire in enumerate(self.fires):
            if i in (0, 2, 4):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            x = fire(x)
            if i in (1, 3, 4, 5, 6, 7):
                found.append(x)
        return found

    def forward(self, a, b):
        total = 0
        for fa, fb, head in zip(self.features(a), self.features(b), self.heads):
            fa, fb = (f / (f.pow(2).sum(1, keepdim=True).sqrt() + 1e-8) for f in (fa, fb))
            total = total + ((fa - fb).pow(2) * head).sum(1).mean((1, 2))
        return total
