"""Writes a full-size Stable Diffusion 1.5 checkpoint with random weights as a diffusers folder, for benchmarks and memory tests:

    python3 training/make_sd15.py /tmp/sd15          686 UNet + 248 VAE + 196 text tensors, fp16, 2.0 GiB, about 10 s

The pictures mean nothing, but every tensor has its real name and shape and the activations stay of order one. The same seed
writes the same bytes."""
import argparse
import json
import os
import struct

import numpy as np

POOL = 1 << 24  # normal numbers that all tensors are cut from


class Tensors:
    """Names, shapes and standard deviations of one component, written in this order."""

    def __init__(self):
        self.entries = []

    def add(self, name, shape, deviation, mean=0.0):
        self.entries.append((name, tuple(shape), deviation, mean))

    def layer(self, name, out, inputs, kernel=None, gain=1.0, bias=True):
        shape = [out, inputs] + ([kernel, kernel] if kernel else [])
        self.add(name + ".weight", shape, gain / np.sqrt(inputs * (kernel or 1) ** 2))
        if bias:
            self.add(name + ".bias", [out], 0.02)

    def norm(self, name, channels):
        self.add(name + ".weight", [channels], 0.05, 1.0)
        self.add(name + ".bias", [channels], 0.05)

    def resnet(self, name, inputs, out, time):
        self.norm(name + ".norm1", inputs)
        self.layer(name + ".conv1", out, inputs, 3)
        if time:
            self.layer(name + ".time_emb_proj", out, time)
        self.norm(name + ".norm2", out)
        self.layer(name + ".conv2", out, out, 3, 0.5)
        if inputs != out:
            self.layer(name + ".conv_shortcut", out, inputs, 1)

    def write(self, path, pool):
        header, offset = {"__metadata__": {"format": "pt"}}, 0
        for name, shape, _, _ in self.entries:
            size = 2 * int(np.prod(shape))
            header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, offset + size]}
            offset += size
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        at = 0
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for _, shape, deviation, mean in self.entries:
                count, done = int(np.prod(shape)), 0
                while done < count:
                    part = pool[at:at + count - done]
                    file.write((part * np.float32(deviation) + np.float32(mean)).astype(np.float16).tobytes())
                    done += len(part)
                    at = (at + len(part)) % len(pool)
        return len(self.entries), os.path.getsize(path)


CHANNELS, TIME, CONTEXT = (320, 640, 1280, 1280), 1280, 768


def transformer(t, name, c):
    t.norm(name + ".norm", c)
    t.layer(name + ".proj_in", c, c, 1)
    block = name + ".transformer_blocks.0"
    for attention, inputs in ("attn1", c), ("attn2", CONTEXT):
        t.layer(f"{block}.{attention}.to_q", c, c, bias=False)
        t.layer(f"{block}.{attention}.to_k", c, inputs, bias=False)
        t.layer(f"{block}.{attention}.to_v", c, inputs, bias=False)
        t.layer(f"{block}.{attention}.to_out.0", c, c, gain=0.5)
    t.layer(block + ".ff.net.0.proj", 8 * c, c)
    t.layer(block + ".ff.net.2", c, 4 * c, gain=0.5)
    for i in 1, 2, 3:
        t.norm(f"{block}.norm{i}", c)
    t.layer(name + ".proj_out", c, c, 1, 0.5)


def unet():
    t, skips = Tensors(), [CHANNELS[0]]
    t.layer("time_embedding.linear_1", TIME, CHANNELS[0])
    t.layer("time_embedding.linear_2", TIME, TIME)
    t.layer("conv_in", CHANNELS[0], 4, 3)
    current = CHANNELS[0]
    for i, c in enumerate(CHANNELS):
        for j in range(2):
            t.resnet(f"down_blocks.{i}.resnets.{j}", current, c, TIME)
            if i < 3:
                transformer(t, f"down_blocks.{i}.attentions.{j}", c)
            current = c
            skips.append(c)
        if i < 3:
            t.layer(f"down_blocks.{i}.downsamplers.0.conv", c, c, 3)
            skips.append(c)
    t.resnet("mid_block.resnets.0", current, current, TIME)
    transformer(t, "mid_block.attentions.0", current)
    t.resnet("mid_block.resnets.1", current, current, TIME)
    for i, c in enumerate(reversed(CHANNELS)):
        for j in range(3):
            t.resnet(f"up_blocks.{i}.resnets.{j}", current + skips.pop(), c, TIME)
            if i > 0:
                transformer(t, f"up_blocks.{i}.attentions.{j}", c)
            current = c
        if i < 3:
            t.layer(f"up_blocks.{i}.upsamplers.0.conv", c, c, 3)
    t.norm("conv_norm_out", current)
    t.layer("conv_out", 4, current, 3)
    return t


def vae_mid(t, side, c):
    t.resnet(f"{side}.mid_block.resnets.0", c, c, 0)
    attention = f"{side}.mid_block.attentions.0"
    t.norm(attention + ".group_norm", c)
    for name in "to_q", "to_k", "to_v":
        t.layer(f"{attention}.{name}", c, c)
    t.layer(attention + ".to_out.0", c, c, gain=0.5)
    t.resnet(f"{side}.mid_block.resnets.1", c, c, 0)


def vae():
    t, widths = Tensors(), (128, 256, 512, 512)
    t.layer("encoder.conv_in", widths[0], 3, 3)
    current = widths[0]
    for i, c in enumerate(widths):
        for j in range(2):
            t.resnet(f"encoder.down_blocks.{i}.resnets.{j}", current, c, 0)
            current = c
        if i < 3:
            t.layer(f"encoder.down_blocks.{i}.downsamplers.0.conv", c, c, 3)
    vae_mid(t, "encoder", current)
    t.norm("encoder.conv_norm_out", current)
    t.layer("encoder.conv_out", 8, current, 3)
    t.layer("quant_conv", 8, 8, 1)
    t.layer("post_quant_conv", 4, 4, 1)
    t.layer("decoder.conv_in", current, 4, 3)
    vae_mid(t, "decoder", current)
    for i, c in enumerate(reversed(widths)):
        for j in range(3):
            t.resnet(f"decoder.up_blocks.{i}.resnets.{j}", current, c, 0)
            current = c
        if i < 3:
            t.layer(f"decoder.up_blocks.{i}.upsamplers.0.conv", c, c, 3)
    t.norm("decoder.conv_norm_out", current)
    t.layer("decoder.conv_out", 3, current, 3, 0.4)
    return t


def text():
    t, c, inner = Tensors(), 768, 3072
    t.add("text_model.embeddings.token_embedding.weight", [49408, c], 0.5)
    t.add("text_model.embeddings.position_embedding.weight", [77, c], 0.1)
    for i in range(12):
        layer = f"text_model.encoder.layers.{i}"
        for name in "q_proj", "k_proj", "v_proj":
            t.layer(f"{layer}.self_attn.{name}", c, c)
        t.layer(f"{layer}.self_attn.out_proj", c, c, gain=0.5)
        t.norm(layer + ".layer_norm1", c)
        t.layer(layer + ".mlp.fc1", inner, c)
        t.layer(layer + ".mlp.fc2", c, inner, gain=0.5)
        t.norm(layer + ".layer_norm2", c)
    t.norm("text_model.final_layer_norm", c)
    return t


def byte_symbols():
    """CLIP's printable stand-ins for the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(others))]


def tokenizer(folder):
    """Letters only: no merges, the two marks where CLIP has them."""
    symbols = byte_symbols()
    vocabulary = {s: i for i, s in enumerate(symbols + [s + "</w>" for s in symbols])}
    vocabulary.update({"<|startoftext|>": 49406, "<|endoftext|>": 49407})
    save(folder, "vocab.json", vocabulary)
    with open(os.path.join(folder, "merges.txt"), "w") as file:
        file.write("#version: 0.2\n")
    save(folder, "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "<|endoftext|>"})


def save(folder, name, value):
    with open(os.path.join(folder, name), "w") as file:
        json.dump(value, file, indent=2)


CONFIGS = {
    "unet": {"_class_name": "UNet2DConditionModel", "in_channels": 4, "out_channels": 4, "sample_size": 64, "block_out_channels": CHANNELS,
             "layers_per_block": 2, "attention_head_dim": 8, "cross_attention_dim": CONTEXT, "norm_num_groups": 32, "norm_eps": 1e-5,
             "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
             "act_fn": "silu", "center_input_sample": False, "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0},
    "vae": {"_class_name": "AutoencoderKL", "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [128, 256, 512, 512],
            "layers_per_block": 2, "norm_num_groups": 32, "act_fn": "silu", "sample_size": 512, "scaling_factor": 0.18215},
    "text_encoder": {"architectures": ["CLIPTextModel"], "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
                     "num_hidden_layers": 12, "max_position_embeddings": 77, "vocab_size": 49408, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5},
}
SCHEDULER = {"_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000,
             "prediction_type": "epsilon", "set_alpha_to_one": False, "steps_offset": 1, "clip_sample": False}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    pool = np.random.default_rng(options.seed).standard_normal(POOL, np.float32)
    for name, tensors in ("unet", unet()), ("vae", vae()), ("text_encoder", text()):
        folder = os.path.join(options.folder, name)
        os.makedirs(folder, exist_ok=True)
        save(folder, "config.json", CONFIGS[name])
        stem = "model" if name == "text_encoder" else "diffusion_pytorch_model"
        count, size = tensors.write(os.path.join(folder, stem + ".safetensors"), pool)
        print(f"{name:12} {count:4} tensors {size / 2**20:7.1f} MiB")
    for name in "tokenizer", "scheduler":
        os.makedirs(os.path.join(options.folder, name), exist_ok=True)
    tokenizer(os.path.join(options.folder, "tokenizer"))
    save(os.path.join(options.folder, "scheduler"), "scheduler_config.json", SCHEDULER)
    save(options.folder, "model_index.json", {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"],
                                              "vae": ["diffusers", "AutoencoderKL"], "text_encoder": ["transformers", "CLIPTextModel"],
                                              "tokenizer": ["transformers", "CLIPTokenizer"], "scheduler": ["diffusers", "DDIMScheduler"]})


if __name__ == "__main__":
    main()
