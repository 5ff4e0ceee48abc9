"""Small networks with the structure of the public Stable Diffusion checkpoints: UNets of SD1.x (one head count, convolutions around
attention), SD2.x (heads by level, linear layers) and LCM (told the guidance scale), the penultimate layer of OpenCLIP's text encoder,
the four-level KL autoencoder and TAESD with 16 and 32 latent channels."""
import math

import torch
from torch import nn

import nets
import nets_text
import nets_vae

LEVELS = {"layers_per_block": 2, "norm_num_groups": 4, "cross_attention_dim": 12, "in_channels": 4, "out_channels": 4, "_class_name": "UNet2DConditionModel",
          "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
          "mid_block_type": "UNetMidBlock2DCrossAttn"}
SD1 = dict(LEVELS, block_out_channels=[8, 8, 16, 8], attention_head_dim=2)
SD2 = dict(LEVELS, block_out_channels=[4, 8, 12, 12], attention_head_dim=[1, 2, 3, 3], use_linear_projection=True)
LCM = dict(LEVELS, block_out_channels=[8, 8], attention_head_dim=2, layers_per_block=1, time_cond_proj_dim=16, down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
           up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"])


def make(out, randomise, save_model, save, randn):
    for i, (name, config) in enumerate((("unet_sd1", SD1), ("unet_sd2", SD2))):
        model = randomise(nets.UNet2DConditionModel(config), 80 + i)
        x, context, t = randn(82 + i, 2, 4, 9, 16), randn(84 + i, 2, 77, 12), torch.full((2,), 421.)
        save_model(f"{out}/{name}", model, config)
        save(f"{out}/{name}/tensors.safetensors", x=x, context=context, t=t[:1], out=model(x, t, context))

    model = nets.UNet2DConditionModel(LCM)
    model.time_embedding.cond_proj = nn.Linear(16, 8, bias=False)
    randomise(model, 86)
    x, context, t, guidance = randn(87, 2, 4, 6, 5), randn(88, 2, 5, 12), torch.full((2,), 259.), 7.5
    angles = 1000 * (guidance - 1) * torch.exp(-math.log(10000) * torch.arange(8).double() / 7)
    told = model.time_embedding.cond_proj(torch.cat([angles.sin(), angles.cos()]))
    plain = nets.timestep_embedding
    nets.timestep_embedding = lambda t, dim: plain(t, dim) + told
    save_model(f"{out}/unet_lcm", model, LCM)
    save(f"{out}/unet_lcm/tensors.safetensors", x=x, context=context, t=t[:1], guidance=torch.tensor([guidance]), out=model(x, t, context))
    nets.timestep_embedding = plain

    config = {"vocab_size": 50, "hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 3, "num_hidden_layers": 4,
              "max_position_embeddings": 13, "hidden_act": "gelu", "layer_norm_eps": 1e-5}
    model = randomise(nets_text.CLIPTextModel(config), 90)
    ids = torch.randint(0, 50, (3, 13), generator=torch.Generator().manual_seed(91))
    save_model(f"{out}/text_penultimate", model, config, "model")
    last = model(ids)
    model.text_model.encoder.layers = model.text_model.encoder.layers[:-1]
    save(f"{out}/text_penultimate/tensors.safetensors", ids=ids, last=last, out=model(ids))

    config = {"_class_name": "AutoencoderKL", "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [4, 8, 8, 8],
              "layers_per_block": 2, "norm_num_groups": 4, "scaling_factor": .18215}
    model = randomise(nets_vae.AutoencoderKL(config), 92)
    x, z = randn(93, 1, 3, 24, 40), randn(94, 2, 4, 3, 2)
    save_model(f"{out}/kl_sd", model, config)
    save(f"{out}/kl_sd/tensors.safetensors", x=x, z=z, encoded=model.encode(x)[:, :4] * .18215, decoded=model.decode(z / .18215))

    for channels in (16, 32):
        config = {"_class_name": "AutoencoderTiny", "in_channels": 3, "out_channels": 3, "latent_channels": channels, "encoder_block_out_channels": [8] * 4,
                  "decoder_block_out_channels": [8] * 4, "num_encoder_blocks": [1, 3, 3, 3], "num_decoder_blocks": [3, 3, 3, 1], "scaling_factor": 1.}
        model = randomise(nets_vae.AutoencoderTiny(config), 95 + channels)
        x, z = randn(96, 2, 3, 16, 24).clamp(-1, 1), randn(97, 1, channels, 3, 5) * 2
        save_model(f"{out}/tiny_{channels}", model, config)
        save(f"{out}/tiny_{channels}/tensors.safetensors", x=x, z=z, encoded=model.encode(x), decoded=model.decode(z))
