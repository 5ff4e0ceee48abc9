"""The shape of kinora-shape: configs in diffusers' keys, tensors of a shape, and the export of its folder."""
import numpy as np
import torch
from torch import nn

import nano
import shapes
from nets_text import CLIPTextModel
from train_style import StyleUNet

BITS, TEXT_LENGTH = 3, 24
SAMPLE, CONDITION = (1 + BITS) * shapes.NY, 2 * shapes.NY
UNET = {
    "_class_name": "UNet2DConditionModel", "sample_size": [shapes.NZ, shapes.NX], "in_channels": SAMPLE + CONDITION, "out_channels": SAMPLE,
    "block_out_channels": [96, 128, 192], "layers_per_block": 1, "norm_num_groups": 16, "cross_attention_dim": 64, "attention_head_dim": 6,
    "use_linear_projection": True, "act_fn": "silu", "flip_sin_to_cos": True, "freq_shift": 0, "norm_eps": 1e-5,
    "time_cond_proj_dim": 64, "timestep_cond": "text",
    "down_block_types": ["DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"], "mid_block_type": "UNetMidBlock2DCrossAttn",
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"]}
TEXT = {"_class_name": "CLIPTextModel", "architectures": ["CLIPTextModel"], "hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 4,
        "num_hidden_layers": 1, "max_position_embeddings": TEXT_LENGTH, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "prediction_type": "sample", "shift": 1.0,
             "timestep_spacing": "trailing", "num_inference_steps": 4}
INDEX = {"_class_name": "KinoraShapePipeline", "unet": ["diffusers", "UNet2DConditionModel"], "text_encoder": ["transformers", "CLIPTextModel"],
         "tokenizer": ["transformers", "CLIPTokenizer"], "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"]}
COLORS = {"body": [176, 32, 36], "glass": [70, 92, 110], "wheel": [30, 30, 32], "lamp": [240, 238, 220], "trim": [48, 50, 54], "rear lamp": [170, 12, 16],
          "wall": [222, 214, 200], "window": [96, 122, 142], "roof": [122, 62, 50], "door": [96, 70, 48], "terrace": [176, 170, 160], "ground": [110, 116, 100]}


class Shape(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.unet = StyleUNet(UNET)
        self.text = CLIPTextModel(dict(TEXT, vocab_size=vocab_size))

    def forward(self, x, t, ids, condition):
        return self.unet(torch.cat([x, condition], 1), t * 1000, self.text(ids))


def target_of(distance, material):
    """Distances / 3 cells and materials [NZ][NY][NX], row 0 at the bottom -> [SAMPLE][NZ][NX], row 0 at the top."""
    bits = [np.where((material >> b) & 1, 1.0, -1.0) for b in range(BITS)]
    planes = np.stack([distance.clip(-1, 1), *bits]).astype(np.float32)  # [4][NZ][NY][NX]
    return planes[:, ::-1].transpose(0, 2, 1, 3).reshape(SAMPLE, shapes.NZ, shapes.NX).copy()


def fields_of(sample):
    """[SAMPLE][NZ][NX] -> distances in cells and materials [NZ][NY][NX], row 0 at the bottom."""
    planes = sample.reshape(1 + BITS, shapes.NY, shapes.NZ, shapes.NX).transpose(0, 2, 1, 3)[:, ::-1]
    material = sum((planes[1 + b] > 0).astype(np.uint8) << b for b in range(BITS))
    return planes[0] * 3, material


def description(means):
    """shape.json; means: mean box of each class"""
    classes = []
    for name, (frame, metres, words) in shapes.CLASSES.items():
        car = name in shapes.CARS
        classes.append({"name": name, "words": words, "frame": frame, "mean": [round(float(v), 4) for v in means[name]], "metres": metres,
                        "symmetric": car, "principal": "z" if name == "tower" else "x",
                        "materials": [{"name": n, "color": COLORS[n]} for n in (shapes.CAR if car else shapes.BUILDING)]})
    return {"grid": [shapes.NX, shapes.NY, shapes.NZ], "bits": BITS, "reach": 3, "sketch": {"size": 160, "fill": 144, "field_of_view": 30}, "classes": classes}


def export(folder, model, tokenizer, means):
    nano.write_json(f"{folder}/model_index.json", INDEX)
    nano.write_json(f"{folder}/unet/config.json", UNET)
    nano.write_json(f"{folder}/text_encoder/config.json", dict(TEXT, vocab_size=len(tokenizer.vocab)))
    nano.write_json(f"{folder}/scheduler/scheduler_config.json", SCHEDULER)
    nano.write_json(f"{folder}/shape.json", description(means))
    tokenizer.save(f"{folder}/tokenizer", TEXT_LENGTH)
    nano.write_weights(f"{folder}/unet/diffusion_pytorch_model.safetensors", model.unet.state_dict())
    nano.write_weights(f"{folder}/text_encoder/model.safetensors", model.text.state_dict())
