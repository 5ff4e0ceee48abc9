"""Autoencoders in diffusers' naming: AutoencoderKL (arXiv 2112.10752), AutoencoderTiny (TAESD's layout) and Kinora's PixelPacking."""
import torch
from torch import nn
from torch.nn import functional as F

from nets import GroupNorm, ResnetBlock2D


class PixelPacking:
    """No weights: [N, 3, H, W] in -1..1 <-> [N, 3 b^2, H / b, W / b]."""

    def __init__(self, config):
        self.block = config["block_size"]

    def encode(self, x):
        return F.pixel_unshuffle(x, self.block)

    def decode(self, z):
        return F.pixel_shuffle(z, self.block)


class VAEAttention(nn.Module):
    def __init__(self, channels, groups):
        super().__init__()
        self.group_norm = GroupNorm(groups, channels, 1e-6)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x):
        n, c, h, w = x.shape
        y = self.group_norm(x).reshape(n, c, h * w).transpose(1, 2)
        score = (self.to_q(y) @ self.to_k(y).transpose(1, 2)) * c ** -.5
        y = self.to_out[0](score.softmax(-1) @ self.to_v(y))
        return x + y.transpose(1, 2).reshape(n, c, h, w)


class VAEMid(nn.Module):
    def __init__(self, channels, groups):
        super().__init__()
        self.resnets = nn.ModuleList([ResnetBlock2D(channels, channels, 0, groups, 1e-6) for _ in range(2)])
        self.attentions = nn.ModuleList([VAEAttention(channels, groups)])

    def forward(self, x):
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class VAEBlock(nn.Module):
    def __init__(self, cin, cout, layers, groups, resample):
        super().__init__()
        self.resnets = nn.ModuleList([ResnetBlock2D(cin if j == 0 else cout, cout, 0, groups, 1e-6) for j in range(layers)])
        conv = nn.Module()
        if resample:
            conv.conv = nn.Conv2d(cout, cout, 3, stride=2 if resample == "down" else 1, padding=0 if resample == "down" else 1)
            setattr(self, resample + "samplers", nn.ModuleList([conv]))

    def forward(self, x):
        for resnet in self.resnets:
            x = resnet(x)
        if hasattr(self, "downsamplers"):
            x = self.downsamplers[0].conv(F.pad(x, (0, 1, 0, 1)))
        if hasattr(self, "upsamplers"):
            x = self.upsamplers[0].conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        widths, groups = config["block_out_channels"], config["norm_num_groups"]
        self.conv_in = nn.Conv2d(config["in_channels"], widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList([
            VAEBlock(widths[max(i - 1, 0)], w, config["layers_per_block"], groups, "down" if i < len(widths) - 1 else None)
            for i, w in enumerate(widths)])
        self.mid_block = VAEMid(widths[-1], groups)
        self.conv_norm_out = GroupNorm(groups, widths[-1], 1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config["latent_channels"], 3, padding=1)

    def forward(self, x):
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(self.conv_norm_out(self.mid_block(x), silu=True))


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        widths, groups = list(reversed(config["block_out_channels"])), config["norm_num_groups"]
        self.conv_in = nn.Conv2d(config["latent_channels"], widths[0], 3, padding=1)
        self.mid_block = VAEMid(widths[0], groups)
        self.up_blocks = nn.ModuleList([
            VAEBlock(widths[max(i - 1, 0)], w, config["layers_per_block"] + 1, groups, "up" if i < len(widths) - 1 else None)
            for i, w in enumerate(widths)])
        self.conv_norm_out = GroupNorm(groups, widths[-1], 1e-6)
        self.conv_out = nn.Conv2d(widths[-1], config["out_channels"], 3, padding=1)

    def forward(self, z):
        x = self.mid_block(self.conv_in(z))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(self.conv_norm_out(x, silu=True))


class AutoencoderKL(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        c = config["latent_channels"]
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(2 * c, 2 * c, 1), nn.Conv2d(c, c, 1)

    def encode(self, x):
        """-> mean and log-variance, [N, 2 * latent_channels, h, w], unscaled."""
        return self.quant_conv(self.encoder(x))

    def decode(self, z):
        return self.decoder(self.post_quant_conv(z))


class TinyBlock(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.ReLU(), nn.Conv2d(cout, cout, 3, padding=1), nn.ReLU(),
                                  nn.Conv2d(cout, cout, 3, padding=1))
        self.skip = nn.Conv2d(cin, cout, 1, bias=False) if cin != cout else nn.Identity()

    def forward(self, x):
        return F.relu(self.conv(x) + self.skip(x))


class AutoencoderTiny(nn.Module):
    """TAESD's layout as diffusers names it: encoder.layers.N and decoder.layers.N."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        e, d, c = config["encoder_block_out_channels"], config["decoder_block_out_channels"], config["latent_channels"]
        layers = []
        for i, (blocks, w) in enumerate(zip(config["num_encoder_blocks"], e)):
            layers.append(nn.Conv2d(config["in_channels"], w, 3, padding=1) if i == 0 else
                          nn.Conv2d(w, w, 3, padding=1, stride=2, bias=False))
            layers += [TinyBlock(w, w) for _ in range(blocks)]
        layers.append(nn.Conv2d(e[-1], c, 3, padding=1))
        self.encoder = nn.Module()
        self.encoder.layers = nn.Sequential(*layers)
        layers = [nn.Conv2d(c, d[0], 3, padding=1), nn.ReLU()]
        for i, (blocks, w) in enumerate(zip(config["num_decoder_blocks"], d)):
            last = i == len(d) - 1
            layers += [TinyBlock(w, w) for _ in range(blocks)]
            if not last:
                layers.append(nn.Upsample(scale_factor=2))
            layers.append(nn.Conv2d(w, config["out_channels"] if last else w, 3, padding=1, bias=last))
        self.decoder = nn.Module()
        self.decoder.layers = nn.Sequential(*layers)

    def encode(self, x):
        return self.encoder.layers((x + 1) / 2)

    def decode(self, z):
        return self.decoder.layers(torch.tanh(z / 3) * 3) * 2 - 1
