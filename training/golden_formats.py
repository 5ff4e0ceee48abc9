"""Writes tests/golden/formats/: what single-file checkpoints, LoRAs and block formats are checked against.

    OMP_NUM_THREADS=1 python3 training/golden_formats.py tests/golden

The weights of the checkpoints are not stored: tables name every tensor in the original naming beside diffusers' name, and both
this script and tests/golden/test_formats.c make its values from a hash of the diffusers name. The tables follow the structure
of the original code bases (CompVis' latent-diffusion, OpenCLIP, ControlNet), built here block by block, and are checked with
diffusers' own conversion of such files. Block formats are read by the gguf package.
"""
import argparse
import collections
import os
import pathlib
import sys
import types
import zipfile

import gguf
import numpy as np
import torch
from diffusers.loaders import single_file_utils
from safetensors.numpy import save_file

import field
import golden_tokenizer
from field import randn, run_control, run_unet, save
from golden_networks import STABLE, TEXT

OUT = sys.argv[1] + "/formats"
MASK = (1 << 64) - 1


# --- values from names ---------------------------------------------------------------------------------------------------

def finalise(x):
    """splitmix64's finaliser on uint64 arrays."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        return x ^ (x >> np.uint64(31))


def values(name, shape):
    """fp16 numbers: uniform, scaled by the fan-in; gains of norms around 1."""
    key = 0xcbf29ce484222325
    for byte in name.encode():
        key = ((key ^ byte) * 0x100000001b3) & MASK
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        bits = finalise(np.uint64(key) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15))
    unit = (bits >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    if len(shape) == 1:
        out = unit * np.float32(.25) + np.float32(1 if "norm" in name and name.endswith("weight") else 0)
    else:
        out = unit * np.float32((3 / (count // shape[0])) ** .5)
    return out.astype(np.float16).reshape(shape)


def own_name(name):
    """The name in a table: transformers 5 has no "text_model." any more, all public files do."""
    return "text_model." + name if name.startswith(("embeddings.", "encoder.layers.", "final_layer_norm.")) else name


def fill(model):
    text = type(model).__name__ == "CLIPTextModel"
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.from_numpy(values(own_name(name) if text else name, tuple(p.shape)).astype(np.float32)))
    return model.double().eval()


# --- original names --------------------------------------------------------------------------------------------------------

class Table:
    """Rows: stored name, diffusers name(s) joined by '|' or '-', shape."""

    def __init__(self):
        self.rows = []

    def add(self, stored, name, shape):
        self.rows.append(f"{stored}\t{name}\t{','.join(map(str, shape))}")

    def layer(self, stored, name, *shape, bias=True):
        self.add(stored + ".weight", name + ".weight", shape)
        if bias:
            self.add(stored + ".bias", name + ".bias", shape[:1])

    def norm(self, stored, name, channels):
        self.layer(stored, name, channels)

    def stored(self):
        """The checkpoint that the C test makes from this table."""
        out = {}
        for row in self.rows:
            stored, names, shape = row.split("\t")
            shape, names = tuple(int(n) for n in shape.split(",") if n), names.split("|")
            part = (shape[0] // len(names),) + shape[1:] if len(names) > 1 else shape
            out[stored] = torch.zeros(shape) if names == ["-"] else torch.cat([torch.from_numpy(values(n, part)) for n in names])
        return out

    def write(self, path):
        with open(path, "w") as file:
            file.write("\n".join(self.rows) + "\n")


def resnet(t, stored, name, a, b, time):
    t.norm(f"{stored}.in_layers.0", f"{name}.norm1", a)
    t.layer(f"{stored}.in_layers.2", f"{name}.conv1", b, a, 3, 3)
    t.layer(f"{stored}.emb_layers.1", f"{name}.time_emb_proj", b, time)
    t.norm(f"{stored}.out_layers.0", f"{name}.norm2", b)
    t.layer(f"{stored}.out_layers.3", f"{name}.conv2", b, b, 3, 3)
    if a != b:
        t.layer(f"{stored}.skip_connection", f"{name}.conv_shortcut", b, a, 1, 1)


def transformer(t, stored, name, c, context, linear):
    tail = () if linear else (1, 1)
    t.norm(f"{stored}.norm", f"{name}.norm", c)
    t.layer(f"{stored}.proj_in", f"{name}.proj_in", c, c, *tail)
    block, own = f"{stored}.transformer_blocks.0", f"{name}.transformer_blocks.0"
    for attention, width in (("attn1", c), ("attn2", context)):
        for part, columns in (("to_q", c), ("to_k", width), ("to_v", width)):
            t.layer(f"{block}.{attention}.{part}", f"{own}.{attention}.{part}", c, columns, bias=False)
        t.layer(f"{block}.{attention}.to_out.0", f"{own}.{attention}.to_out.0", c, c)
    t.layer(f"{block}.ff.net.0.proj", f"{own}.ff.net.0.proj", 8 * c, c)
    t.layer(f"{block}.ff.net.2", f"{own}.ff.net.2", c, 4 * c)
    for i in (1, 2, 3):
        t.norm(f"{block}.norm{i}", f"{own}.norm{i}", c)
    t.layer(f"{stored}.proj_out", f"{name}.proj_out", c, c, *tail)


def unet_trunk(t, p, c):
    """openaimodel.py's input_blocks and middle_block; returns the channels of the skips."""
    widths, layers, context, linear = c["block_out_channels"], c["layers_per_block"], c["cross_attention_dim"], c["use_linear_projection"]
    time, index, current, skips = 4 * widths[0], 1, widths[0], [widths[0]]
    t.layer(f"{p}time_embed.0", "time_embedding.linear_1", time, widths[0])
    t.layer(f"{p}time_embed.2", "time_embedding.linear_2", time, time)
    t.layer(f"{p}input_blocks.0.0", "conv_in", widths[0], c["in_channels"], 3, 3)
    for level, width in enumerate(widths):
        for j in range(layers):
            resnet(t, f"{p}input_blocks.{index}.0", f"down_blocks.{level}.resnets.{j}", current, width, time)
            if c["down_block_types"][level] == "CrossAttnDownBlock2D":
                transformer(t, f"{p}input_blocks.{index}.1", f"down_blocks.{level}.attentions.{j}", width, context, linear)
            index, current = index + 1, width
            skips.append(width)
        if level < len(widths) - 1:
            t.layer(f"{p}input_blocks.{index}.0.op", f"down_blocks.{level}.downsamplers.0.conv", width, width, 3, 3)
            index += 1
            skips.append(width)
    resnet(t, f"{p}middle_block.0", "mid_block.resnets.0", current, current, time)
    transformer(t, f"{p}middle_block.1", "mid_block.attentions.0", current, context, linear)
    resnet(t, f"{p}middle_block.2", "mid_block.resnets.1", current, current, time)
    return skips


def unet(t, p, c):
    widths, layers = c["block_out_channels"], c["layers_per_block"]
    skips, current, index = unet_trunk(t, p, c), widths[-1], 0
    for i, kind in enumerate(c["up_block_types"]):
        level = len(widths) - 1 - i
        for j in range(layers + 1):
            resnet(t, f"{p}output_blocks.{index}.0", f"up_blocks.{i}.resnets.{j}", current + skips.pop(), widths[level], 4 * widths[0])
            current, place = widths[level], 1
            if kind == "CrossAttnUpBlock2D":
                transformer(t, f"{p}output_blocks.{index}.1", f"up_blocks.{i}.attentions.{j}", current, c["cross_attention_dim"], c["use_linear_projection"])
                place = 2
            if j == layers and level > 0:
                t.layer(f"{p}output_blocks.{index}.{place}.conv", f"up_blocks.{i}.upsamplers.0.conv", current, current, 3, 3)
            index += 1
    t.norm(f"{p}out.0", "conv_norm_out", widths[0])
    t.layer(f"{p}out.2", "conv_out", c["out_channels"], widths[0], 3, 3)


def controlnet(t, p, c):
    hint = c["conditioning_embedding_out_channels"]
    t.layer(f"{p}input_hint_block.0", "controlnet_cond_embedding.conv_in", hint[0], c["conditioning_channels"], 3, 3)
    index = 2
    for i in range(len(hint) - 1):
        for k, (a, b) in enumerate(((hint[i], hint[i]), (hint[i], hint[i + 1]))):
            t.layer(f"{p}input_hint_block.{index}", f"controlnet_cond_embedding.blocks.{2 * i + k}", b, a, 3, 3)
            index += 2
    t.layer(f"{p}input_hint_block.{index}", "controlnet_cond_embedding.conv_out", c["block_out_channels"][0], hint[-1], 3, 3)
    for i, width in enumerate(unet_trunk(t, p, c)):
        t.layer(f"{p}zero_convs.{i}.0", f"controlnet_down_blocks.{i}", width, width, 1, 1)
    last = c["block_out_channels"][-1]
    t.layer(f"{p}middle_block_out.0", "controlnet_mid_block", last, last, 1, 1)


def vae_resnet(t, stored, name, a, b):
    t.norm(f"{stored}.norm1", f"{name}.norm1", a)
    t.layer(f"{stored}.conv1", f"{name}.conv1", b, a, 3, 3)
    t.norm(f"{stored}.norm2", f"{name}.norm2", b)
    t.layer(f"{stored}.conv2", f"{name}.conv2", b, b, 3, 3)
    if a != b:
        t.layer(f"{stored}.nin_shortcut", f"{name}.conv_shortcut", b, a, 1, 1)


def vae_mid(t, stored, name, c):
    vae_resnet(t, f"{stored}.block_1", f"{name}.resnets.0", c, c)
    t.norm(f"{stored}.attn_1.norm", f"{name}.attentions.0.group_norm", c)
    for a, b in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
        t.layer(f"{stored}.attn_1.{a}", f"{name}.attentions.0.{b}", c, c, 1, 1)
    vae_resnet(t, f"{stored}.block_2", f"{name}.resnets.1", c, c)


def vae(t, p, c):
    """model.py's Encoder and Decoder; the decoder's "up" is a list from fine to coarse."""
    widths, latent, layers = c["block_out_channels"], c["latent_channels"], c["layers_per_block"]
    t.layer(f"{p}encoder.conv_in", "encoder.conv_in", widths[0], 3, 3, 3)
    current = widths[0]
    for i, width in enumerate(widths):
        for j in range(layers):
            vae_resnet(t, f"{p}encoder.down.{i}.block.{j}", f"encoder.down_blocks.{i}.resnets.{j}", current, width)
            current = width
        if i < len(widths) - 1:
            t.layer(f"{p}encoder.down.{i}.downsample.conv", f"encoder.down_blocks.{i}.downsamplers.0.conv", width, width, 3, 3)
    vae_mid(t, f"{p}encoder.mid", "encoder.mid_block", current)
    t.norm(f"{p}encoder.norm_out", "encoder.conv_norm_out", current)
    t.layer(f"{p}encoder.conv_out", "encoder.conv_out", 2 * latent, current, 3, 3)
    t.layer(f"{p}quant_conv", "quant_conv", 2 * latent, 2 * latent, 1, 1)
    t.layer(f"{p}post_quant_conv", "post_quant_conv", latent, latent, 1, 1)
    t.layer(f"{p}decoder.conv_in", "decoder.conv_in", current, latent, 3, 3)
    vae_mid(t, f"{p}decoder.mid", "decoder.mid_block", current)
    for i in reversed(range(len(widths))):
        own = len(widths) - 1 - i
        for j in range(layers + 1):
            vae_resnet(t, f"{p}decoder.up.{i}.block.{j}", f"decoder.up_blocks.{own}.resnets.{j}", current, widths[i])
            current = widths[i]
        if i > 0:
            t.layer(f"{p}decoder.up.{i}.upsample.conv", f"decoder.up_blocks.{own}.upsamplers.0.conv", current, current, 3, 3)
    t.norm(f"{p}decoder.norm_out", "decoder.conv_norm_out", current)
    t.layer(f"{p}decoder.conv_out", "decoder.conv_out", 3, current, 3, 3)


def text_clip(t, c):
    """SD1.x keeps transformers' names behind a prefix."""
    p, own, d = "cond_stage_model.transformer.text_model.", "text_model.", c["hidden_size"]
    t.add(p + "embeddings.position_ids", "-", (1, c["max_position_embeddings"]))
    t.layer(p + "embeddings.token_embedding", own + "embeddings.token_embedding", c["vocab_size"], d, bias=False)
    t.layer(p + "embeddings.position_embedding", own + "embeddings.position_embedding", c["max_position_embeddings"], d, bias=False)
    for i in range(c["num_hidden_layers"]):
        layer = f"encoder.layers.{i}."
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            t.layer(f"{p}{layer}self_attn.{name}", f"{own}{layer}self_attn.{name}", d, d)
        t.norm(f"{p}{layer}layer_norm1", f"{own}{layer}layer_norm1", d)
        t.layer(f"{p}{layer}mlp.fc1", f"{own}{layer}mlp.fc1", c["intermediate_size"], d)
        t.layer(f"{p}{layer}mlp.fc2", f"{own}{layer}mlp.fc2", d, c["intermediate_size"])
        t.norm(f"{p}{layer}layer_norm2", f"{own}{layer}layer_norm2", d)
    t.norm(p + "final_layer_norm", own + "final_layer_norm", d)


def text_openclip(t, c):
    """SD2.x: q, k and v in one matrix, one layer more than is used, the projection and the logits' scale."""
    p, own, d = "cond_stage_model.model.", "text_model.", c["hidden_size"]
    t.add(p + "positional_embedding", own + "embeddings.position_embedding.weight", (c["max_position_embeddings"], d))
    t.add(p + "text_projection", "-", (d, d))
    t.add(p + "logit_scale", "-", ())
    for i in range(c["num_hidden_layers"] + 1):
        used = i < c["num_hidden_layers"]
        block, layer = f"{p}transformer.resblocks.{i}.", f"{own}encoder.layers.{i}."
        names = {"ln_1": "layer_norm1", "attn.out_proj": "self_attn.out_proj", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
        shapes = {"ln_1": (d,), "attn.out_proj": (d, d), "ln_2": (d,), "mlp.c_fc": (c["intermediate_size"], d), "mlp.c_proj": (d, c["intermediate_size"])}
        for kind, shape in (("weight", (3 * d, d)), ("bias", (3 * d,))):
            t.add(f"{block}attn.in_proj_{kind}", "|".join(f"{layer}self_attn.{x}_proj.{kind}" for x in "qkv") if used else "-", shape)
        for stored, name in names.items():
            for kind, shape in (("weight", shapes[stored]), ("bias", shapes[stored][:1])):
                t.add(f"{block}{stored}.{kind}", layer + name + "." + kind if used else "-", shape)
    t.layer(p + "token_embedding", own + "embeddings.token_embedding", c["vocab_size"], d, bias=False)
    t.norm(p + "ln_final", own + "final_layer_norm", d)


# --- checkpoints -------------------------------------------------------------------------------------------------------------

VOCABULARY = len(golden_tokenizer.Tokenizer(60).vocab)
VAE = {"latent_channels": 4, "block_out_channels": [32, 64], "layers_per_block": 2, "norm_num_groups": 32, "in_channels": 3, "out_channels": 3,
       "down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}


def unet_settings(widths, heads, context, linear):
    n = len(widths)
    return {"in_channels": 4, "out_channels": 4, "block_out_channels": widths, "layers_per_block": 2, "norm_num_groups": 32, "cross_attention_dim": context,
            "attention_head_dim": heads, "use_linear_projection": linear, "down_block_types": ["CrossAttnDownBlock2D"] * (n - 1) + ["DownBlock2D"],
            "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * (n - 1), "mid_block_type": "UNetMidBlock2DCrossAttn"}


def text_settings(width, activation):
    return {"vocab_size": VOCABULARY, "hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": width // 64, "num_hidden_layers": 2,
            "max_position_embeddings": 77, "hidden_act": activation, "bos_token_id": VOCABULARY - 2, "eos_token_id": VOCABULARY - 1}


LEFT_OVER = ("betas", "alphas_cumprod", "model_ema.decay", "model_ema.num_updates")


def check_conversion(converted, model, what):
    """diffusers' reading of the original names gives the model that the table's own names gave."""
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("position_ids")}
    converted = {k.removeprefix("text_model."): v for k, v in converted.items()} if what == "text" else converted
    assert set(state) <= set(converted), (what, sorted(set(state) - set(converted))[:3])
    for name, value in state.items():
        assert torch.equal(converted[name].double().reshape(value.shape), value), (what, name)


def write_tables(name, unet_config, text_config, openclip, network, encoder, autoencoder):
    t = Table()
    unet(t, "model.diffusion_model.", unet_config)
    vae(t, "first_stage_model.", VAE)
    (text_openclip if openclip else text_clip)(t, text_config)
    for stored in LEFT_OVER:
        t.add(stored, "-", (5,))
    t.write(f"{OUT}/{name}.txt")
    checkpoint = t.stored()
    check_conversion(single_file_utils.convert_ldm_unet_checkpoint(dict(checkpoint), network.config), network, "unet")
    check_conversion(single_file_utils.convert_ldm_vae_checkpoint(dict(checkpoint), autoencoder.config), autoencoder, "vae")
    if not openclip:  # diffusers' reading of OpenCLIP needs its real width
        check_conversion(single_file_utils.convert_ldm_clip_checkpoint(dict(checkpoint)), encoder, "text")


def make_checkpoint(name, widths, heads, width, linear, openclip):
    unet_config = unet_settings(widths, heads, width, linear)
    text_config = text_settings(width, "gelu" if openclip else "quick_gelu")
    x, context, t = randn(1, 2, 4, 7, 6), randn(2, 2, 5, width), torch.full((2,), 321.)
    ids = torch.randint(0, VOCABULARY, (2, 77), generator=torch.Generator().manual_seed(3))
    network, encoder = fill(field.make("UNet2DConditionModel", unet_config, 0)), fill(field.make_text(text_config, 0))
    autoencoder, pictures, z = fill(field.make("AutoencoderKL", VAE, 0)), randn(4, 1, 3, 8, 12), randn(5, 2, 4, 3, 5)
    write_tables(name, unet_config, text_config, openclip, network, encoder, autoencoder)
    arrays = {"x": x, "context": context, "t": t[:1], "out": run_unet(network, x, t, context), "ids": ids, "text": encoder(ids).last_hidden_state}
    if not linear:
        arrays |= {"pictures": pictures, "z": z, "encoded": autoencoder.encode(pictures).latent_dist.mode() * .18215, "decoded": autoencoder.decode(z / .18215).sample}
        control = dict(unet_config, conditioning_channels=3, conditioning_embedding_out_channels=[8, 12])
        table = Table()
        controlnet(table, "control_model.", control)
        table.write(f"{OUT}/control.txt")
        branch = fill(field.make("ControlNetModel", {k: v for k, v in control.items() if k not in ("out_channels", "up_block_types")}, 0))
        # diffusers expects the hint's last convolution at the place that it has with the usual four widths
        usual = {k.replace("input_hint_block.6.", "input_hint_block.14."): v for k, v in table.stored().items()}
        check_conversion(single_file_utils.convert_controlnet_checkpoint(usual, branch.config), branch, "control")
        condition = randn(6, 2, 3, 14, 12)
        arrays |= {"condition": condition, "embedding": branch.controlnet_cond_embedding(condition), "controlled": run_unet(network, x, t, context, *run_control(branch, x, t, context, condition))}
    save(f"{OUT}/{name}/tensors.safetensors", **arrays)


# --- LoRA ------------------------------------------------------------------------------------------------------------------------

class Adapted(torch.nn.Module):
    """A layer and what a LoRA adds to its output at run time: scale * up(mid(down(x)))."""

    def __init__(self, inner, down, up, mid, scale):
        super().__init__()
        self.inner, self.down, self.up, self.mid, self.scale = inner, down, up, mid, scale

    def forward(self, x):
        f = torch.nn.functional
        if x.dim() == 4 and isinstance(self.inner, torch.nn.Conv2d):
            k, s, p = self.inner.kernel_size, self.inner.stride, self.inner.padding
            if self.mid is None:
                y = f.conv2d(x, self.down.reshape(self.down.shape[0], -1, *k), stride=s, padding=p)
            else:
                y = f.conv2d(f.conv2d(x, self.down), self.mid, stride=s, padding=p)
            y = f.conv2d(y, self.up.reshape(*self.up.shape[:2], 1, 1))
        else:
            y = x @ self.down.flatten(1).T @ self.up.flatten(1).T
        return self.inner(x) + self.scale * y


def adapt(model, path, down, up, mid, scale):
    parent = model
    *folders, last = path.split(".")
    for part in folders:
        parent = getattr(parent, part)
    if last.isdigit():
        parent[int(last)] = Adapted(parent[int(last)], down, up, mid, scale)
    else:
        setattr(parent, last, Adapted(getattr(parent, last), down, up, mid, scale))


def parameter(model, path):
    named = dict(model.named_parameters())
    return named[(path if path + ".weight" in named else path.removeprefix("text_model.")) + ".weight"]


def matrices(model, paths, rank, seed, tucker=()):
    out = {}
    for i, path in enumerate(paths):
        shape = parameter(model, path).shape
        k = tuple(shape[2:])
        down = torch.from_numpy(values(f"down{seed}{path}", (rank, shape[1]) + (tuple(1 for _ in k) if path in tucker else k)).astype(np.float64))
        up = torch.from_numpy(values(f"up{seed}{path}", (shape[0], rank) + tuple(1 for _ in k)).astype(np.float64))
        mid = torch.from_numpy(values(f"mid{seed}{path}", (rank, rank) + k).astype(np.float64)) if path in tucker else None
        out[path] = (down, up, mid)
    return out


UNET_PATHS = ["down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", "down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k",
              "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0", "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj",
              "up_blocks.2.attentions.0.proj_in"]
CONVOLUTIONS = ["down_blocks.1.resnets.0.conv1", "up_blocks.0.resnets.1.conv_shortcut", "down_blocks.0.downsamplers.0.conv", "mid_block.resnets.1.time_emb_proj"]
TEXT_PATHS = ["text_model.encoder.layers.0.self_attn.q_proj", "text_model.encoder.layers.1.mlp.fc1"]


def half(x):
    return np.asarray(x, np.float16)


def store_kohya(arrays, prefix, path, layer, alpha):
    down, up, mid = layer
    key = prefix + path.replace(".", "_")
    arrays[key + ".lora_down.weight"], arrays[key + ".lora_up.weight"] = half(down), half(up)
    if mid is not None:
        arrays[key + ".lora_mid.weight"] = half(mid)
    if alpha is not None:
        arrays[key + ".alpha"] = np.asarray(alpha, np.float32)


def make_lora():
    def fresh():  # the weights of tests/golden/unet_stable and text_quick
        return field.make("UNet2DConditionModel", STABLE, 1), field.make_text(dict(TEXT, hidden_act="quick_gelu"), 20)

    plain, _ = fresh()
    _, encoder = fresh()
    kohya = matrices(plain, UNET_PATHS + CONVOLUTIONS, 3, "k", tucker=CONVOLUTIONS[2:3])
    kohya_text = matrices(encoder, TEXT_PATHS, 2, "kt")
    peft, peft_text = matrices(plain, UNET_PATHS[:3], 4, "p"), matrices(encoder, TEXT_PATHS, 4, "pt")
    old = matrices(plain, UNET_PATHS[:3], 2, "o")
    files = {"kohya": {}, "peft": {}, "old": {}, "ldm": {}}
    for path, layer in kohya.items():
        store_kohya(files["kohya"], "lora_unet_", path, layer, 1.5)
    for path, layer in kohya_text.items():
        store_kohya(files["kohya"], "lora_te_", path, layer, None)
    original = {UNET_PATHS[0]: "input_blocks.1.1.transformer_blocks.0.attn1.to_q", CONVOLUTIONS[0]: "input_blocks.4.0.in_layers.2", CONVOLUTIONS[1]: "output_blocks.1.0.skip_connection",
                CONVOLUTIONS[2]: "input_blocks.3.0.op", CONVOLUTIONS[3]: "middle_block.2.emb_layers.1"}
    for path, stored in original.items():
        store_kohya(files["ldm"], "lora_unet_", stored, kohya[path], 1.5)
    for path, (down, up, _) in peft.items():
        files["peft"][f"unet.{path}.lora_A.weight"], files["peft"][f"unet.{path}.lora_B.weight"] = half(down), half(up)
    for path, (down, up, _) in peft_text.items():
        files["peft"][f"text_encoder.{path}.lora_linear_layer.down.weight"], files["peft"][f"text_encoder.{path}.lora_linear_layer.up.weight"] = half(down), half(up)
    for path, (down, up, _) in old.items():
        head, tail = path.split(".to_")
        key = f"{head}.processor.to_{tail.split('.')[0]}_lora"
        files["old"][key + ".down.weight"], files["old"][key + ".up.weight"] = half(down), half(up)
    os.makedirs(f"{OUT}/lora", exist_ok=True)
    for name, arrays in files.items():
        save_file(arrays, f"{OUT}/lora/{name}.safetensors")
    x, context, t = randn(2, 3, 5, 13, 11), randn(3, 3, 7, 12), torch.full((3,), 741.)
    ids = torch.randint(0, 50, (3, 13), generator=torch.Generator().manual_seed(21))
    outputs = {"x": x, "context": context, "t": t[:1], "ids": ids}
    cases = {"kohya": [(kohya, kohya_text, .8 * 1.5 / 3, .8)], "peft": [(peft, peft_text, -.5, -.5)], "old": [(old, {}, 1., 1.)],
             "ldm": [({p: kohya[p] for p in original}, {}, 1.5 / 3, 1.)], "both": [(kohya, kohya_text, .8 * 1.5 / 3, .8), (peft, peft_text, .6, .6)]}
    for name, parts in cases.items():
        network, encoder = fresh()
        for layers, text_layers, scale, text_scale in parts:
            for path, layer in layers.items():
                adapt(network, path, *layer, scale)
            for path, layer in text_layers.items():
                adapt(encoder, path if hasattr(encoder, "text_model") else path.removeprefix("text_model."), *layer, text_scale)
        outputs["unet_" + name] = run_unet(network, x, t, context)
        if name in ("kohya", "peft", "both"):
            outputs["text_" + name] = encoder(ids).last_hidden_state
    save(f"{OUT}/lora/tensors.safetensors", **outputs)


# --- block formats, by the gguf package ---------------------------------------------------------------------------------------------

# bytes of a block, and where its fp16 scales lie
BLOCKS = {"Q8_0": (34, [0]), "Q4_0": (18, [0]), "Q4_1": (20, [0, 2]), "Q5_0": (22, [0]), "Q5_1": (24, [0, 2]), "Q2_K": (84, [80, 82]), "Q3_K": (110, [108]),
          "Q4_K": (144, [0, 2]), "Q5_K": (176, [0, 2]), "Q6_K": (210, [208])}


def make_blocks():
    generator, arrays = np.random.default_rng(7), {}
    for kind, (size, scales) in BLOCKS.items():
        b = generator.integers(0, 256, (6, size), dtype=np.uint8)
        for at in scales:
            b[:, at:at + 2] = (generator.standard_normal((6, 1)) * .1).astype(np.float16).view(np.uint8)
        arrays[kind + ".blocks"], arrays[kind + ".values"] = b, gguf.quants.dequantize(b, gguf.GGMLQuantizationType[kind]).astype(np.float32)
    for kind, dtype in (("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2)):
        b = torch.arange(256, dtype=torch.uint8)
        arrays[kind + ".blocks"], arrays[kind + ".values"] = b.numpy(), b.view(dtype).float().numpy()
    save_file(arrays, f"{OUT}/blocks.safetensors")


# --- PyTorch archives --------------------------------------------------------------------------------------------------------------------

def deflate(path, out):
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), source.read(name), zipfile.ZIP_DEFLATED)


def foreign(module, name, **members):
    """A class of a library that need not be installed."""
    parts = module.split(".")
    for i in range(len(parts)):
        made = sys.modules.setdefault(".".join(parts[:i + 1]), types.ModuleType(".".join(parts[:i + 1])))
    kind = type(name, (), dict(members, __module__=module))
    setattr(made, name, kind)
    return kind


class Evil:
    def __reduce__(self):
        return os.system, ("echo a pickle ran this",)


def make_archives():
    folder = f"{OUT}/torch"
    os.makedirs(folder, exist_ok=True)
    base = torch.arange(24, dtype=torch.float32)
    state = {"plain": base.reshape(2, 3, 4), "half": base.half(), "bfloat": base.bfloat16(), "double": base.double(), "long": base.long(), "slice": base[5:11].reshape(2, 3),
             "turned": base.reshape(4, 6).t(), "scalar": torch.tensor(7.), "empty": torch.zeros(0, 3), "parameter": torch.nn.Parameter(base[:4].clone())}
    torch.save(state, f"{folder}/plain.pt")
    torch.save({"state_dict": torch.nn.Linear(3, 2).state_dict() | {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, "epoch": 3, "rate": .5, "hyper": {"a": [1, (2, 3)], "b": None, "c": True}},
               f"{folder}/nested.ckpt")
    deflate(f"{folder}/plain.pt", f"{folder}/deflated.pt")
    checkpoint = foreign("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")()
    checkpoint.best, checkpoint.seen = np.float64(.25), {np.int64(3), 4}
    torch.save({"state_dict": {"weight": base.reshape(4, 6)}, "callbacks": {type(checkpoint): checkpoint}, "hyper_parameters": argparse.Namespace(rate=np.float32(1e-4), sizes=np.arange(3)),
                "device": torch.device("cpu"), "dtype": torch.float16, "counts": collections.defaultdict(int, a=2), "where": pathlib.PurePosixPath("a/b"), "loops": {"set": frozenset({1, 2})}},
               f"{folder}/foreign.ckpt")
    torch.save({"a": torch.ones(2)}, f"{folder}/old.pt", _use_new_zipfile_serialization=False)
    torch.save({"a": torch.ones(2), "b": Evil()}, f"{folder}/evil.pt")
    torch.save({"a": torch.ones(1).expand(3, 4)}, f"{folder}/expanded.pt")


os.makedirs(OUT, exist_ok=True)
with torch.no_grad():
    make_checkpoint("sd1", [32, 64, 64], 8, 64, False, False)
    make_checkpoint("sd2", [64, 128], [1, 2], 64, True, True)
    make_lora()
    make_blocks()
    make_archives()
