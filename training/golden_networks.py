"""Golden tensors of every network that Kinora shares with the field: UNet, ControlNet, CLIP, autoencoders, motion modules."""
import torch
from torch import nn

import field
from field import randn, save, save_model

BASE = {"in_channels": 4, "block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": 12, "attention_head_dim": 2,
        "use_linear_projection": True, "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "mid_block_type": "UNetMidBlock2DCrossAttn"}
UP = {"out_channels": 4, "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"]}
LEVELS = {"layers_per_block": 2, "norm_num_groups": 4, "cross_attention_dim": 12, "in_channels": 4, "out_channels": 4,
          "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3}
SD1 = dict(LEVELS, block_out_channels=[8, 8, 16, 8], attention_head_dim=2)
SD2 = dict(LEVELS, block_out_channels=[4, 8, 12, 12], attention_head_dim=[1, 2, 3, 3], use_linear_projection=True)
SMALL = dict(LEVELS, block_out_channels=[8, 8], attention_head_dim=2, layers_per_block=1, down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
             up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"])
LCM = dict(SMALL, time_cond_proj_dim=16)
STABLE = dict(BASE, use_linear_projection=False, block_out_channels=[8, 16, 24], layers_per_block=2, attention_head_dim=[2, 2, 6], in_channels=5, out_channels=3,
              down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"])
DEEP = dict(BASE, **UP, layers_per_block=[1, 2], transformer_layers_per_block=[1, 2], norm_eps=1e-4, flip_sin_to_cos=False, freq_shift=1)
TEXT = {"vocab_size": 50, "hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 3, "num_hidden_layers": 2, "max_position_embeddings": 13,
        "bos_token_id": 48, "eos_token_id": 49}
IDS = torch.randint(0, 50, (3, 13), generator=torch.Generator().manual_seed(21))


def unet(out, name, config, seed, shape, tokens, t):
    model = field.make("UNet2DConditionModel", config, seed)
    x, context, time = randn(seed + 1, *shape), randn(seed + 2, shape[0], tokens, 12), torch.full((shape[0],), float(t))
    save_model(f"{out}/{name}", model)
    save(f"{out}/{name}/tensors.safetensors", x=x, context=context, t=time[:1], out=field.run_unet(model, x, time, context))


def unets(out):
    unet(out, "unet_stable", STABLE, 1, (3, 5, 13, 11), 7, 741)
    unet(out, "unet_no_mid", dict(BASE, **UP, mid_block_type=None), 4, (2, 4, 6, 5), 3, 17)
    unet(out, "unet_plain_mid", dict(BASE, **UP, mid_block_type="UNetMidBlock2D"), 4, (2, 4, 6, 5), 3, 17)
    unet(out, "unet_deep", DEEP, 6, (2, 4, 7, 6), 3, 603)
    unet(out, "unet_sd1", SD1, 80, (2, 4, 9, 16), 77, 421)
    unet(out, "unet_sd2", SD2, 81, (2, 4, 9, 16), 77, 421)
    lcm(out)


def lcm(out):
    """A UNet that is told the guidance scale, embedded by diffusers' own pipeline."""
    model = field.make("UNet2DConditionModel", LCM, 86)
    x, context, t, guidance = randn(87, 2, 4, 6, 5), randn(88, 2, 5, 12), torch.full((2,), 259.), 7.5
    told = field.diffusers.StableDiffusionPipeline.get_guidance_scale_embedding(None, torch.full((2,), guidance - 1), 16, torch.float64)
    save_model(f"{out}/unet_lcm", model)
    save(f"{out}/unet_lcm/tensors.safetensors", x=x, context=context, t=t[:1], guidance=torch.tensor([guidance]), out=field.run_unet(model, x, t, context, timestep_cond=told))


def control(out):
    """A UNet with two branches at scales 1 and 0.5; the conditions are 4 times as large as the latent."""
    model = field.make("UNet2DConditionModel", dict(BASE, **UP), 10)
    x, context, t = randn(11, 2, 4, 5, 6), randn(12, 2, 3, 12), torch.full((2,), 999.)
    save_model(f"{out}/control/unet", model)
    arrays, total = {}, None
    shared = dict(BASE, conditioning_embedding_out_channels=[4, 8, 12])
    for i, (channels, scale) in enumerate(((16, 1.), (3, .5))):
        branch = field.make("ControlNetModel", dict(shared, conditioning_channels=channels), 13 + i)
        condition = randn(15 + i, 2, channels, 20, 24)
        own = field.run_control(branch, x, t, context, condition, scale)
        total = own if total is None else field.add_residuals(total, own)
        save_model(f"{out}/control/branch{i}", branch)
        arrays[f"condition{i}"], arrays[f"embedding{i}"] = condition, branch.controlnet_cond_embedding(condition)
        if i == 0:
            arrays["one"] = field.run_unet(model, x, t, context, *own)
    # what the branch adds is its mean over the picture (the shuffle ControlNet); pictures come with blue first
    pooled = field.make("ControlNetModel", dict(shared, conditioning_channels=3, global_pool_conditions=True, controlnet_conditioning_channel_order="bgr"), 17)
    condition = randn(18, 2, 3, 20, 24)
    save_model(f"{out}/control/branch2", pooled)
    arrays.update(condition2=condition, embedding2=pooled.controlnet_cond_embedding(condition.flip(1)),
                  pooled=field.run_unet(model, x, t, context, *field.run_control(pooled, x, t, context, condition)))
    save(f"{out}/control/tensors.safetensors", x=x, context=context, t=t[:1], both=field.run_unet(model, x, t, context, *total), **arrays)


def text(out):
    for name, activation in (("text_quick", "quick_gelu"), ("text_gelu", "gelu")):
        model = field.make_text(dict(TEXT, hidden_act=activation), 20)
        save_model(f"{out}/{name}", model)
        save(f"{out}/{name}/tensors.safetensors", ids=IDS, out=model(IDS).last_hidden_state)
    # OpenCLIP's penultimate layer as diffusers' pipelines read it: hidden_states[-2] through the final norm
    model = field.make_text(dict(TEXT, hidden_act="gelu", num_hidden_layers=4), 90)
    save_model(f"{out}/text_penultimate", model)
    run, norm = model(IDS, output_hidden_states=True), getattr(model, "text_model", model).final_layer_norm
    save(f"{out}/text_penultimate/tensors.safetensors", ids=IDS, last=run.last_hidden_state, out=norm(run.hidden_states[-2]))


def kl(out, name, config, seed, picture, latent):
    model = field.make("AutoencoderKL", config, seed)
    x, z, scaling, shift = randn(seed + 1, *picture), randn(seed + 2, *latent), config["scaling_factor"], config.get("shift_factor", 0.)
    save_model(f"{out}/{name}", model)
    save(f"{out}/{name}/tensors.safetensors", x=x, z=z, encoded=(model.encode(x).latent_dist.mode() - shift) * scaling, decoded=model.decode(z / scaling + shift).sample)


def kls(out):
    shared = {"in_channels": 3, "out_channels": 3, "norm_num_groups": 4}
    blocks = lambda n: {"down_block_types": ["DownEncoderBlock2D"] * n, "up_block_types": ["UpDecoderBlock2D"] * n}
    kl(out, "kl", dict(shared, **blocks(3), latent_channels=5, block_out_channels=[8, 12, 16], layers_per_block=1, scaling_factor=.7, shift_factor=.3), 30, (2, 3, 20, 12), (2, 5, 3, 5))
    kl(out, "kl_sd", dict(shared, **blocks(4), latent_channels=4, block_out_channels=[4, 8, 8, 8], layers_per_block=2, scaling_factor=.18215), 92, (1, 3, 24, 40), (2, 4, 3, 2))
    # as SD3 and Flux have it: nothing between the encoder and the latent, no attention in the middle
    kl(out, "kl_bare", dict(shared, **blocks(2), latent_channels=8, block_out_channels=[8, 8], layers_per_block=1, scaling_factor=1.5, shift_factor=.06, use_quant_conv=False,
                            use_post_quant_conv=False, mid_block_add_attention=False), 38, (2, 3, 10, 6), (2, 8, 3, 5))


def tiny(out, name, config, seed, picture, latent):
    model = field.make("AutoencoderTiny", config, seed)
    x, z = randn(seed + 1, *picture).clamp(-1, 1), randn(seed + 2, *latent) * 2
    scaling, shift = config.get("scaling_factor", 1.), config.get("shift_factor", 0.)
    save_model(f"{out}/{name}", model)
    save(f"{out}/{name}/tensors.safetensors", x=x, z=z, encoded=(model.encode(x).latents - shift) * scaling, decoded=model.decode(z / scaling + shift).sample)


def tinies(out):
    tiny(out, "tiny", {"latent_channels": 6, "encoder_block_out_channels": [8] * 3, "decoder_block_out_channels": [8] * 3, "num_encoder_blocks": [1, 2, 1],
                       "num_decoder_blocks": [2, 1, 1], "scaling_factor": 1.5}, 33, (2, 3, 20, 12), (2, 6, 3, 5))
    tiny(out, "tiny_16", {"latent_channels": 16, "encoder_block_out_channels": [8] * 4, "decoder_block_out_channels": [8] * 4}, 111, (2, 3, 16, 24), (1, 16, 3, 5))
    # the form of an f8 autoencoder of 32 channels whose decoder is narrower and shallower than its encoder
    tiny(out, "tiny_32", {"latent_channels": 32, "encoder_block_out_channels": [12] * 4, "decoder_block_out_channels": [8] * 4, "num_encoder_blocks": [1, 2, 3, 3],
                          "num_decoder_blocks": [3, 2, 1, 1], "scaling_factor": .45, "shift_factor": -.2}, 127, (3, 3, 16, 24), (2, 32, 3, 5))


# --- TAESD's own structure: what diffusers' AutoencoderTiny does not have ----------------------------------------------------------

class PooledBlock(nn.Module):
    """TAEF2's block in its own names: before the convolutions a branch of 1x1 convolutions around a group norm of four groups."""

    def __init__(self, width, pooled):
        super().__init__()
        conv = lambda: nn.Conv2d(width, width, 3, padding=1)
        self.conv = nn.Sequential(conv(), nn.ReLU(), conv(), nn.ReLU(), conv())
        if pooled:
            self.pool = nn.Sequential(nn.Conv2d(width, 4 * width, 1, bias=False), nn.GroupNorm(4, 4 * width), nn.ReLU(), nn.Conv2d(4 * width, width, 1, bias=False))

    def forward(self, x):
        x = x + self.pool(x) if hasattr(self, "pool") else x
        return torch.relu(self.conv(x) + x)


def taef2(out):
    """Two files of torch.nn.Sequential, with the pools next to the latent; the decoder's levels become narrower as in taesd.py's F32Decoder."""
    block = lambda width, count, pooled=False: [PooledBlock(width, pooled) for _ in range(count)]
    down = lambda a, b: [nn.Conv2d(a, b, 3, padding=1, stride=2, bias=False)]
    up = lambda a, b: [nn.Upsample(scale_factor=2), nn.Conv2d(a, b, 3, padding=1, bias=False)]
    encoder = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *block(8, 1), *down(8, 8), *block(8, 2), *down(8, 12), *block(12, 2, True), nn.Conv2d(12, 32, 3, padding=1))
    decoder = nn.Sequential(nn.Identity(), nn.Conv2d(32, 12, 3, padding=1), nn.ReLU(), *block(12, 2, True), *up(12, 8), *block(8, 1), *up(8, 4), *block(4, 1), nn.Conv2d(4, 3, 3, padding=1))
    x, z = randn(140, 2, 3, 20, 12).clamp(0, 1), randn(141, 2, 32, 3, 5) * 2
    for i, (name, half) in enumerate((("encoder", encoder), ("decoder", decoder))):
        field.randomise(half, 142 + i)
        save(f"{out}/taef2/taef2_{name}.safetensors", **half.state_dict())
    save(f"{out}/taef2/tensors.safetensors", x=2 * x - 1, z=z, encoded=encoder(x), decoded=decoder(torch.tanh(z / 3) * 3) * 2 - 1)


# --- motion ----------------------------------------------------------------------------------------------------------------------------

class FrameNorm(nn.Module):
    """AnimateDiff's own code norms each frame alone; diffusers' norm sees all frames at once. Kinora follows the former."""

    def __init__(self, norm):
        super().__init__()
        self.inner = norm

    def forward(self, x):
        b, c, f, h, w = x.shape
        return self.inner(x.transpose(1, 2).reshape(b * f, c, h, w)).reshape(b, f, c, h, w).transpose(1, 2)


def motion(out):
    """A UNet and a MotionAdapter; 2 clips of 4 frames."""
    plain = field.make("UNet2DConditionModel", SMALL, 150)
    adapter = field.make("MotionAdapter", {"block_out_channels": SMALL["block_out_channels"], "motion_layers_per_block": 1, "motion_num_attention_heads": 1,
                                           "motion_norm_num_groups": 4, "motion_max_seq_length": 6}, 151)
    save_model(f"{out}/motion/unet", plain)
    save_model(f"{out}/motion/motion", adapter)
    model = field.diffusers.UNetMotionModel.from_unet2d(plain, adapter).double().eval()
    for module in model.modules():
        if type(module).__name__ == "AnimateDiffTransformer3D":
            module.norm = FrameNorm(module.norm)
    x, context, t = randn(152, 2, 4, 4, 9, 6), randn(153, 2, 5, 12), torch.full((2,), 333.)  # [clip][frame][channel]
    clips = model(x.transpose(1, 2), t, context.repeat_interleave(4, 0)).sample.transpose(1, 2)
    frame_major = lambda v: v.transpose(0, 1).reshape(8, *v.shape[2:])  # Kinora's views are the clips
    save(f"{out}/motion/tensors.safetensors", x=frame_major(x), context=context.repeat(4, 1, 1), t=t[:1], out=frame_major(clips))


def write(out):
    with torch.no_grad():
        unets(out)
        control(out)
        text(out)
        kls(out)
        tinies(out)
        taef2(out)
        motion(out)
