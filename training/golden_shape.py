"""Golden tensors of a shape model: diffusers' UNet with condition channels behind its sample, transformers' CLIPTextModel, flow matching with
x-prediction by diffusers' scheduler; and the condition channels of drawings, by NumPy and SciPy from their definition (docs/formats.md).

    python3 training/golden_shape.py tests/golden
"""
import json
import sys

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from scipy.ndimage import distance_transform_edt, map_coordinates

import field
import style
from field import save, save_model, write_json
from tokenizer import Tokenizer

STEPS, SEED, TOKENS, SIZE = 3, 7, 12, 160
NX, NY, NZ = 24, 16, 12
SAMPLE, CONDITION = 4 * NY, 2 * NY
UNET = {"in_channels": SAMPLE + CONDITION, "out_channels": SAMPLE, "block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4,
        "cross_attention_dim": 12, "attention_head_dim": 2, "use_linear_projection": True, "time_cond_proj_dim": 12,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"]}
TEXT = {"hidden_size": 12, "intermediate_size": 24, "num_attention_heads": 3, "num_hidden_layers": 1, "max_position_embeddings": TOKENS,
        "hidden_act": "quick_gelu"}
PROMPT = "sedan, red"
CAR = [["body", "#8a9098"], ["glass", "#2a3440"], ["wheel", "#1c1c1e"], ["lamp", "#e8e4d0"], ["trim", "#404448"]]
HOUSE = [["wall", "#d8ccb8"], ["window", "#39485a"], ["roof", "#8a4a3a"], ["door", "#5a4030"]]


def shape_class(name, words, frame, mean, metres, symmetric, materials):
    return {"name": name, "words": words, "frame": frame, "mean": mean, "metres": metres, "symmetric": symmetric,
            "materials": [{"name": n, "color": c} for n, c in materials]}


CLASSES = [shape_class("sedan", ["car", "saloon"], [1.2, .6, .5], [1, .4, .31], 4.6, True, CAR),
           shape_class("house", ["cottage"], [1.2, 1.2, 1.1], [1, .8, .8], 11, False, HOUSE)]


def camera(azimuth, elevation, box, target):
    """projects points [n, 3] to pixels: the box's corners get the geometric mean of sides and the middle of `target` (x0, y0, x1, y1)"""
    away = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0])
    down = np.array([np.sin(elevation) * np.cos(azimuth), np.sin(elevation) * np.sin(azimuth), -np.cos(elevation)])
    focal, middle = SIZE / 2 / np.tan(np.radians(15)), np.array([0, 0, box[2] / 2])
    corners = np.array([[x * box[0] / 2, y * box[1] / 2, z * box[2]] for x in (-1, 1) for y in (-1, 1) for z in (0, 1)])

    def project(points, distance):
        p = points - middle
        depth = distance - p @ away
        return np.stack([p @ right, p @ down], 1) / depth[:, None] * focal

    radius = np.linalg.norm(box) / 2
    low, high, wanted = 1.05 * radius, 200 * radius, np.sqrt((target[2] - target[0]) * (target[3] - target[1]))
    for _ in range(200):
        distance = (low + high) / 2
        seen = np.ptp(project(corners, distance), axis=0)
        low, high = (distance, high) if np.sqrt(seen[0] * seen[1]) > wanted else (low, distance)
    p = project(corners, distance)
    shift = np.array([target[0] + target[2], target[1] + target[3]]) / 2 - (p.min(0) + p.max(0)) / 2
    return lambda points: project(points, distance) + shift


def condition(cls, drawings, box):
    """drawings: (lines, silhouette, azimuth, elevation)"""
    frame = cls["frame"]
    x, y, z = ((np.arange(n) + .5) / n * f + low for n, f, low in zip((NX, NY, NZ), frame, (-frame[0] / 2, -frame[1] / 2, -.02 * frame[2])))
    cells = np.stack(np.meshgrid(y, z[::-1], x, indexing="ij"), -1)[..., [2, 0, 1]].reshape(-1, 3)
    near, far = np.full(len(cells), -1.), np.zeros(len(cells))
    for lines, inside, azimuth, elevation in drawings:
        ys, xs = np.nonzero(inside)
        project = camera(azimuth, elevation, box, (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
        edge = np.maximum(distance_transform_edt(~inside) - .5, 0) - np.maximum(distance_transform_edt(inside) - .5, 0)
        edge, line = np.clip(edge / 16, -1, 1), np.exp(-distance_transform_edt(lines <= .5) / 3)
        for side in (1, -1) if cls["symmetric"] else (1,):
            pixel = project(cells * [1, side, 1])
            at = np.clip(pixel[:, ::-1] - .5, 0, SIZE - 1).T
            near = np.maximum(near, map_coordinates(edge, at, order=1))
            far = np.maximum(far, map_coordinates(line, at, order=1))
    return np.concatenate([near, far]).reshape(CONDITION, NZ, NX).astype(np.float32)


def drawing(wide, high):
    """an outline with a step and a line across it"""
    inside, lines = np.zeros((SIZE, SIZE), bool), np.zeros((SIZE, SIZE), np.float32)
    inside[80 - high // 2:80 + high // 2, 80 - wide // 2:80 + wide // 2] = True
    inside[80 - high // 2:80, 80 - wide // 2:80 - wide // 4] = False
    lines[80, 80 - wide // 2:80 + wide // 2] = 1
    lines[80 - high // 2:80, 80] = .7
    return lines, inside


def main(out):
    folder = f"{out}/shape"
    tokenizer = Tokenizer.train([PROMPT, "house, white"], 20)
    unet, text = field.make("UNet2DConditionModel", UNET, 401), field.make_text(dict(TEXT, vocab_size=len(tokenizer.vocab)), 402)
    save_model(f"{folder}/unet", unet)
    save_model(f"{folder}/text_encoder", text)
    tokenizer.save(f"{folder}/tokenizer", TOKENS)
    with open(f"{folder}/unet/config.json") as file:
        config = json.load(file)
    write_json(f"{folder}/unet/config.json", dict(config, timestep_cond="text"))
    write_json(f"{folder}/scheduler/scheduler_config.json", dict(style.SCHEDULER, num_inference_steps=STEPS))
    write_json(f"{folder}/shape.json", {"grid": [NX, NY, NZ], "classes": CLASSES})

    first, second = drawing(144, 50), drawing(80, 144)
    box = np.array(CLASSES[0]["mean"])
    one = condition(CLASSES[0], [(*first, np.radians(40), np.radians(12))], box)
    two = condition(CLASSES[1], [(*first, np.radians(90), np.radians(3)), (*second, np.radians(200), np.radians(25))], np.array([.9, .7, .6]))
    x = torch.randn(SAMPLE * NZ * NX, generator=torch.Generator().manual_seed(SEED)).reshape(1, SAMPLE, NZ, NX).double()
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    sigmas = torch.linspace(1, 0, STEPS + 1)[:-1].tolist()
    scheduler.set_timesteps(STEPS, sigmas=sigmas)
    given, estimates = torch.from_numpy(one)[None].double(), []
    with torch.no_grad():
        context = text(torch.tensor([tokenizer.encode(PROMPT, TOKENS)])).last_hidden_state
        for sigma, t in zip(sigmas, scheduler.timesteps):
            estimates.append(unet(torch.cat([x, given], 1), float(t), context, timestep_cond=context[:, -1]).sample)
            x = scheduler.step((x - estimates[-1]) / sigma, t, x, return_dict=False)[0].double()
    drawings = {f"{name}{i}": torch.from_numpy(d[k].astype(np.float32)) for i, d in enumerate((first, second)) for k, name in enumerate(("lines", "inside"))}
    save(f"{folder}/tensors.safetensors", one=torch.from_numpy(one), two=torch.from_numpy(two), estimate=estimates[0], sampled=x, **drawings)


if __name__ == "__main__":
    main(sys.argv[1])
