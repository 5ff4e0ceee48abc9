"""Writes tests/golden/peft/: adapters of the network of tests/golden/unet_stable as peft and diffusers save them, and what the
network gives with them by peft's own code. Scales lie where these libraries put them: in the header's lora_adapter_metadata, in
adapter_config.json."""
import os
import shutil

import peft
import torch
from diffusers import StableDiffusionPipeline
from peft.utils import get_peft_model_state_dict

import field
from field import randn, run_unet, save
from golden_networks import STABLE, TEXT, IDS

LINEARS = ["down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", "down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k",
           "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj", "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0"]
CONVOLUTIONS = ["down_blocks.1.resnets.0.conv1", "up_blocks.0.resnets.1.conv_shortcut"]
LAYERS = LINEARS + CONVOLUTIONS
TEXT_LAYERS = ["encoder.layers.0.self_attn.q_proj", "encoder.layers.1.mlp.fc1"]


def adapters(model, seed):
    """Gives the adapters' parameters values that matter, rounded to fp16."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        if any(word in name for word in ("lora_", "hada_", "lokr_")):
            value = torch.randn(p.shape, generator=generator) / (p[0].numel() ** .5 if p.dim() > 1 else 1)
            value = 1 + .2 * value if "magnitude" in name else value
            p.copy_(value.half())
    return model.double().eval()


def as_folder(out, name, config, seed, inputs):
    """peft's own save_pretrained: adapter_model.safetensors beside adapter_config.json."""
    model = adapters(peft.get_peft_model(field.make("UNet2DConditionModel", STABLE, 1), config), seed)
    shutil.rmtree(f"{out}/{name}", ignore_errors=True)
    result = run_unet(model, *inputs)
    model.half().save_pretrained(f"{out}/{name}")
    for extra in ("README.md",):
        if os.path.exists(f"{out}/{name}/{extra}"):
            os.remove(f"{out}/{name}/{extra}")
    return result


def as_file(out, inputs):
    """diffusers' save_lora_weights: UNet and text encoder in one file, alpha in the header alone."""
    unet, text = field.make("UNet2DConditionModel", STABLE, 1), field.make_text(dict(TEXT, hidden_act="quick_gelu"), 20)
    unet_config = peft.LoraConfig(r=3, lora_alpha=12, target_modules=LAYERS, rank_pattern={LINEARS[1]: 2}, alpha_pattern={LINEARS[2]: 1.5})
    text_config = peft.LoraConfig(r=2, lora_alpha=5, target_modules=TEXT_LAYERS)
    unet.add_adapter(unet_config)
    peft.inject_adapter_in_model(text_config, text)
    adapters(unet, 201)
    adapters(text, 202)
    half = lambda model: {k: v.half() for k, v in get_peft_model_state_dict(model).items()}
    StableDiffusionPipeline.save_lora_weights(f"{out}/diffusers", half(unet), half(text), unet_lora_adapter_metadata=unet_config.to_dict(),
                                              text_encoder_lora_adapter_metadata=text_config.to_dict())
    return run_unet(unet, *inputs), text(IDS).last_hidden_state


def write(root):
    out = f"{root}/peft"
    inputs = randn(210, 2, 5, 13, 11), torch.full((2,), 741.), randn(211, 2, 7, 12)
    arrays = {"x": inputs[0], "context": inputs[2], "t": inputs[1][:1], "ids": IDS}
    with torch.no_grad():
        arrays["diffusers"], arrays["diffusers_text"] = as_file(out, inputs)
        arrays["rslora"] = as_folder(out, "rslora", peft.LoraConfig(r=4, lora_alpha=6, use_rslora=True, target_modules=LAYERS, alpha_pattern={"attn2.to_k": 3}), 203, inputs)
        arrays["dora"] = as_folder(out, "dora", peft.LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=LAYERS[:5]), 204, inputs)
        arrays["loha"] = as_folder(out, "loha", peft.LoHaConfig(r=2, alpha=5, target_modules=LAYERS, use_effective_conv2d=True), 205, inputs)
        arrays["lokr"] = as_folder(out, "lokr", peft.LoKrConfig(r=2, alpha=3, target_modules=LAYERS, use_effective_conv2d=True, decompose_both=True), 206, inputs)
    save(f"{out}/tensors.safetensors", **arrays)


if __name__ == "__main__":
    import sys
    write(sys.argv[1])
