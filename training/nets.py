"""PyTorch reference of Kinora's networks, in diffusers' state_dict naming and config keys.

Written from the published layouts: Stable Diffusion's UNet (arXiv 2112.10752), ControlNet (2302.05543), AnimateDiff's motion
modules (2307.04725) and MagicDrive's cross-view attention (2310.02601). Training uses these classes and exports their
state_dict; the C networks are tested against them.

Shapes: images and latents [N, C, H, W]; tokens [N, T, C]. With frames F and views V, N = F * V in frame-major order.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F


def timestep_embedding(t, dim):
    """Sinusoids with flip_sin_to_cos = True, downscale_freq_shift = 0: [N] -> [N, dim]."""
    half = dim // 2
    frequency = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angle = t.float()[:, None] * frequency[None]
    return torch.cat([angle.cos(), angle.sin()], 1)


class TimestepEmbedding(nn.Module):
    """`cond`: channels of a further vector that is added to the sinusoids (`time_cond_proj_dim`)."""

    def __init__(self, channels, dim, cond=None):
        super().__init__()
        self.linear_1 = nn.Linear(channels, dim)
        self.linear_2 = nn.Linear(dim, dim)
        if cond:
            self.cond_proj = nn.Linear(cond, channels, bias=False)

    def forward(self, x, cond=None):
        if cond is not None:
            x = x + self.cond_proj(cond)
        return self.linear_2(F.silu(self.linear_1(x)))


class GroupNorm(nn.GroupNorm):
    """Computes in float32; under bf16 autocast on a CPU by the fused kernel of fused.c, which also applies SiLU."""

    def forward(self, x, silu=False):
        if torch.is_autocast_cpu_enabled():
            from fused import group_norm_silu
            return group_norm_silu(x, self, silu)
        y = super().forward(x.float()).to(x.dtype)
        return F.silu(y) if silu else y


class LayerNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.float()).to(x.dtype)


class ResnetBlock2D(nn.Module):
    def __init__(self, cin, cout, temb, groups, eps=1e-5):
        super().__init__()
        self.norm1 = GroupNorm(groups, cin, eps)
        self.conv1 = nn.Conv2d(cin, cout, 3, padding=1)
        if temb:
            self.time_emb_proj = nn.Linear(temb, cout)
        self.norm2 = GroupNorm(groups, cout, eps)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(cin, cout, 1) if cin != cout else None

    def forward(self, x, temb=None):
        h = self.conv1(self.norm1(x, silu=True))
        if temb is not None:
            h = h + self.time_emb_proj(F.silu(temb))[:, :, None, None]
        h = self.conv2(self.norm2(h, silu=True))
        return (x if self.conv_shortcut is None else self.conv_shortcut(x)) + h


class Attention(nn.Module):
    def __init__(self, dim, context_dim, heads, bias=False):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim, bias=bias)
        self.to_k = nn.Linear(context_dim, dim, bias=bias)
        self.to_v = nn.Linear(context_dim, dim, bias=bias)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])

    def attend(self, q, k, v):
        """[N, T, C] each, already projected."""
        n, t, c = q.shape
        d = c // self.heads
        q, k, v = (x.reshape(n, x.shape[1], self.heads, d).transpose(1, 2) for x in (q, k, v))
        score = (q @ k.transpose(2, 3)).float() * d ** -.5
        return (score.softmax(-1).to(v.dtype) @ v).transpose(1, 2).reshape(n, t, c)

    def forward(self, x, context=None):
        context = x if context is None else context
        return self.to_out[0](self.attend(self.to_q(x), self.to_k(context), self.to_v(context)))


class GEGLU(nn.Module):
    def __init__(self, dim, inner):
        super().__init__()
        self.proj = nn.Linear(dim, inner * 2)

    def forward(self, x):
        a, gate = self.proj(x).chunk(2, -1)
        return a * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, dim, factor=4):
        super().__init__()
        self.net = nn.ModuleList([GEGLU(dim, dim * factor), nn.Identity(), nn.Linear(dim * factor, dim)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


class BasicTransformerBlock(nn.Module):
    """attn1 (self), attn2 (text), attn4 (neighbouring views; optional), feed-forward."""

    def __init__(self, dim, context_dim, heads, multi_view):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = LayerNorm(dim), LayerNorm(dim), LayerNorm(dim)
        self.attn1 = Attention(dim, dim, heads)
        self.attn2 = Attention(dim, context_dim, heads)
        self.ff = FeedForward(dim)
        if multi_view:
            self.norm4 = LayerNorm(dim)
            self.attn4 = Attention(dim, dim, heads)
            self.connector = nn.Linear(dim, dim)
            nn.init.zeros_(self.connector.weight)
            nn.init.zeros_(self.connector.bias)

    def cross_view(self, x, neighbours):
        """neighbours: [V][k] view indices or -1; one softmax per neighbour, outputs summed."""
        views = len(neighbours)
        h = self.norm4(x).reshape(-1, views, *x.shape[1:])
        q, k, v = self.attn4.to_q(h), self.attn4.to_k(h), self.attn4.to_v(h)
        out = torch.zeros_like(q)
        for view, ids in enumerate(neighbours):
            for other in ids:
                if other >= 0:
                    out[:, view] = out[:, view] + self.attn4.to_out[0](self.attn4.attend(q[:, view], k[:, other], v[:, other]))
        return self.connector(out.reshape(x.shape))

    def forward(self, x, context, neighbours=None):
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        if neighbours is not None and hasattr(self, "attn4"):
            x = x + self.cross_view(x, neighbours)
        return x + self.ff(self.norm3(x))


class Transformer2DModel(nn.Module):
    def __init__(self, channels, context_dim, heads, groups, linear, multi_view):
        super().__init__()
        self.linear = linear
        self.norm = GroupNorm(groups, channels, 1e-6)
        make = (lambda: nn.Linear(channels, channels)) if linear else (lambda: nn.Conv2d(channels, channels, 1))
        self.proj_in = make()
        self.transformer_blocks = nn.ModuleList([BasicTransformerBlock(channels, context_dim, heads, multi_view)])
        self.proj_out = make()

    def forward(self, x, context, neighbours=None):
        n, c, h, w = x.shape
        y = self.norm(x)
        if not self.linear:
            y = self.proj_in(y)
        y = y.permute(0, 2, 3, 1).reshape(n, h * w, c)
        if self.linear:
            y = self.proj_in(y)
        y = self.transformer_blocks[0](y, context, neighbours)
        if self.linear:
            y = self.proj_out(y)
        y = y.reshape(n, h, w, c).permute(0, 3, 1, 2)
        return x + (y if self.linear else self.proj_out(y))


class PositionalEncoding(nn.Module):
    def __init__(self, dim, length):
        super().__init__()
        position = torch.arange(length).float()[:, None]
        div = torch.exp(torch.arange(0, dim, 2).float() * (-math.log(10000.0) / dim))
        pe = torch.zeros(1, length, dim)
        pe[0, :, 0::2] = torch.sin(position * div)
        pe[0, :, 1::2] = torch.cos(position * div)
        self.register_buffer("pe", pe)

    def forward(self, x):
        return x + self.pe[:, :x.shape[1]].to(x.dtype)


class TemporalAttention(Attention):
    def __init__(self, dim, heads, length):
        super().__init__(dim, dim, heads)
        self.pos_encoder = PositionalEncoding(dim, length)

    def forward(self, x, context=None):
        return super().forward(self.pos_encoder(x))


class TemporalBlock(nn.Module):
    def __init__(self, dim, heads, length):
        super().__init__()
        self.attention_blocks = nn.ModuleList([TemporalAttention(dim, heads, length) for _ in range(2)])
        self.norms = nn.ModuleList([LayerNorm(dim) for _ in range(2)])
        self.ff = FeedForward(dim)
        self.ff_norm = LayerNorm(dim)

    def forward(self, x):
        for attention, norm in zip(self.attention_blocks, self.norms):
            x = x + attention(norm(x))
        return x + self.ff(self.ff_norm(x))


class TemporalTransformer(nn.Module):
    def __init__(self, channels, heads, groups, length):
        super().__init__()
        self.norm = GroupNorm(groups, channels, 1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(channels, heads, length)])
        self.proj_out = nn.Linear(channels, channels)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, x, frames):
        n, c, h, w = x.shape
        views = n // frames
        y = self.norm(x).reshape(frames, views, c, h * w).permute(1, 3, 0, 2).reshape(views * h * w, frames, c)
        y = self.proj_out(self.transformer_blocks[0](self.proj_in(y)))
        return x + y.reshape(views, h * w, frames, c).permute(2, 0, 3, 1).reshape(n, c, h, w)


class MotionModule(nn.Module):
    def __init__(self, channels, heads, groups, length):
        super().__init__()
        self.temporal_transformer = TemporalTransformer(channels, heads, groups, length)

    def forward(self, x, frames):
        return self.temporal_transformer(x, frames)


class Resample(nn.Module):
    """downsamplers.0 / upsamplers.0"""

    def __init__(self, channels, stride):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=stride, padding=1)


class Block(nn.Module):
    """A down, middle or up block: resnets, optional attentions, optional motion modules, optional resampling."""

    def __init__(self, config, cins, cout, attention, heads, motion, resample):
        super().__init__()
        groups, temb = config["norm_num_groups"], config["block_out_channels"][0] * 4
        self.resnets = nn.ModuleList([ResnetBlock2D(c, cout, temb, groups) for c in cins])
        self.is_mid = resample == "mid"
        count = len(cins) - 1 if self.is_mid else len(cins)
        if attention:
            self.attentions = nn.ModuleList([Transformer2DModel(
                cout, config["cross_attention_dim"], heads, groups, config.get("use_linear_projection", False),
                config.get("multi_view", False)) for _ in range(count)])
        if motion:
            self.motion_modules = nn.ModuleList([
                MotionModule(cout, heads, groups, config.get("motion_max_seq_length", 32)) for _ in range(count)])
        if resample == "down":
            self.downsamplers = nn.ModuleList([Resample(cout, 2)])
        if resample == "up":
            self.upsamplers = nn.ModuleList([Resample(cout, 1)])

    def after(self, j, x, state):
        if hasattr(self, "attentions"):
            x = self.attentions[j](x, state["context"], state.get("neighbours"))
        if hasattr(self, "motion_modules") and state.get("frames", 1) > 1:
            x = self.motion_modules[j](x, state["frames"])
        return x

    def down(self, x, temb, state, skips):
        for j, resnet in enumerate(self.resnets):
            x = self.after(j, resnet(x, temb), state)
            skips.append(x)
        if hasattr(self, "downsamplers"):
            x = self.downsamplers[0].conv(x)
            skips.append(x)
        return x

    def mid(self, x, temb, state):
        x = self.resnets[0](x, temb)
        return self.resnets[1](self.after(0, x, state), temb)

    def up(self, x, temb, state, skips):
        for j, resnet in enumerate(self.resnets):
            x = self.after(j, resnet(torch.cat([x, skips.pop()], 1), temb), state)
        if hasattr(self, "upsamplers"):
            x = F.interpolate(x, size=skips[-1].shape[2:], mode="nearest")
            x = self.upsamplers[0].conv(x)
        return x


def head_count(config, level):
    heads = config["attention_head_dim"]
    return heads[level] if isinstance(heads, (list, tuple)) else heads


def make_down(config):
    """down_blocks and mid_block, shared by the UNet and the ControlNet; also the channels of the skips."""
    channels, layers = config["block_out_channels"], config["layers_per_block"]
    blocks, skips, current = nn.ModuleList(), [channels[0]], channels[0]
    motion = config.get("motion_levels", [])
    for i, kind in enumerate(config["down_block_types"]):
        last = i == len(channels) - 1
        cins = [current if j == 0 else channels[i] for j in range(layers)]
        blocks.append(Block(config, cins, channels[i], kind == "CrossAttnDownBlock2D", head_count(config, i), i in motion,
                            None if last else "down"))
        skips += [channels[i]] * (layers + (0 if last else 1))
        current = channels[i]
    mid = Block(config, [current, current], current, config.get("mid_block_type") == "UNetMidBlock2DCrossAttn",
                head_count(config, len(channels) - 1), (len(channels) - 1) in motion, "mid")
    return blocks, mid, skips


class UNet2DConditionModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        channels, groups = config["block_out_channels"], config["norm_num_groups"]
        self.conv_in = nn.Conv2d(config["in_channels"], channels[0], 3, padding=1)
        self.time_embedding = TimestepEmbedding(channels[0], channels[0] * 4, config.get("time_cond_proj_dim"))
        self.down_blocks, self.mid_block, skips = make_down(config)
        self.up_blocks = nn.ModuleList()
        current, levels = channels[-1], len(channels)
        for i, kind in enumerate(config["up_block_types"]):
            level = levels - 1 - i
            cins = []
            for _ in range(config["layers_per_block"] + 1):
                cins.append(current + skips.pop())
                current = channels[level]
            self.up_blocks.append(Block(config, cins, current, kind == "CrossAttnUpBlock2D", head_count(config, level),
                                        level in config.get("motion_levels", []), None if level == 0 else "up"))
        self.conv_norm_out = GroupNorm(groups, channels[0], 1e-5)
        self.conv_out = nn.Conv2d(channels[0], config["out_channels"], 3, padding=1)

    def forward(self, x, t, context, down_residuals=None, mid_residual=None, frames=1, neighbours=None, timestep_cond=None, dropped_levels=0):
        """x [N, Cin, H, W]; t [N]; context [N, T, cross_attention_dim]; residuals from ControlNets; timestep_cond [N, time_cond_proj_dim].
        dropped_levels (training): the skips of so many of the finest levels are zeroed, so that the coarser ones learn."""
        state = {"context": context, "frames": frames, "neighbours": neighbours}
        temb = self.time_embedding(timestep_embedding(t, self.config["block_out_channels"][0]), timestep_cond)
        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            x = block.down(x, temb, state, skips)
        x = self.mid_block.mid(x, temb, state)
        if down_residuals is not None:
            skips = [a + b for a, b in zip(skips, down_residuals)]
            x = x + mid_residual
        for i in range(dropped_levels * (self.config["layers_per_block"] + 1)):
            skips[i] = skips[i] * 0
        for block in self.up_blocks:
            x = block.up(x, temb, state, skips)
        return self.conv_out(self.conv_norm_out(x, silu=True))


class ControlNetConditioningEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        widths = config["conditioning_embedding_out_channels"]
        self.conv_in = nn.Conv2d(config["conditioning_channels"], widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for a, b in zip(widths, widths[1:]):
            self.blocks.append(nn.Conv2d(a, a, 3, padding=1))
            self.blocks.append(nn.Conv2d(a, b, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(widths[-1], config["block_out_channels"][0], 3, padding=1)

    def forward(self, x):
        x = F.silu(self.conv_in(x))
        for block in self.blocks:
            x = F.silu(block(x))
        return self.conv_out(x)


class ControlNetModel(nn.Module):
    """conditioning [N, conditioning_channels, H * f, W * f], f = 2 ** (len(conditioning_embedding_out_channels) - 1)."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        channels = config["block_out_channels"]
        self.conv_in = nn.Conv2d(config["in_channels"], channels[0], 3, padding=1)
        self.time_embedding = TimestepEmbedding(channels[0], channels[0] * 4)
        self.controlnet_cond_embedding = ControlNetConditioningEmbedding(config)
        self.down_blocks, self.mid_block, skips = make_down(dict(config, multi_view=False, motion_levels=[]))
        self.controlnet_down_blocks = nn.ModuleList([nn.Conv2d(c, c, 1) for c in skips])
        self.controlnet_mid_block = nn.Conv2d(channels[-1], channels[-1], 1)

    def forward(self, x, t, context, conditioning, scale=1.0):
        state = {"context": context}
        temb = self.time_embedding(timestep_embedding(t, self.config["block_out_channels"][0]))
        x = self.conv_in(x) + self.controlnet_cond_embedding(conditioning)
        skips = [x]
        for block in self.down_blocks:
            x = block.down(x, temb, state, skips)
        x = self.mid_block.mid(x, temb, state)
        return ([conv(s) * scale for conv, s in zip(self.controlnet_down_blocks, skips)],
                self.controlnet_mid_block(x) * scale)
