"""Photographs as training samples: the conditions that `inverse.py`'s network finds in them, PandaSet's boxes as instances,
flat colours as means of segments.

    python3 training/photos.py --real REAL --inverse RUN.pt --teachers WEIGHTS --out CLIPS

Cameras and folders that are held out (sim2real.py) are left out. What a photograph cannot tell (lamps, wetness, windows,
shaded colours) stays 0, as dropout makes legal.
"""
import argparse
import glob
import json
import os

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

import autoencoder
import inverse
import latents
import nano
import safetensors_io
import sim2real
import teachers

CAR, TRUCK, PERSON, TWO_WHEELER, SKY = 8, 9, 10, 11, 12
KINDS = {"Car": CAR, "Pickup Truck": CAR, "Medium-sized Truck": TRUCK, "Semi-truck": TRUCK, "Bus": TRUCK, "Pedestrian": PERSON,
         "Pedestrian with Object": PERSON, "Motorcycle": TWO_WHEELER, "Bicycle": TWO_WHEELER}


def rotation(q):
    w, x, y, z = (q[k] for k in "wxyz")
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                     [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                     [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])


class Boxes:
    """PandaSet's tracked boxes as rectangles in the pictures of one camera: (x0, y0, x1, y1, metres, kind), near ones last."""

    def __init__(self, folder, camera, width):
        path = os.path.join(folder, camera)
        self.poses = json.load(open(os.path.join(path, "poses.json")))
        intrinsics = json.load(open(os.path.join(path, "intrinsics.json")))
        self.k = {name: value * width / 1920 for name, value in intrinsics.items()}
        self.rows = {}
        lines = open(os.path.join(folder, "cuboids.tsv")).read().splitlines()
        names = lines[0].split("\t")
        for line in lines[1:]:
            row = dict(zip(names, line.split("\t")))
            if row["label"] in KINDS:
                self.rows.setdefault(int(row["frame"]), []).append(row)

    def at(self, frame):
        pose, found = self.poses[frame], []
        turn, origin = rotation(pose["heading"]), np.array([pose["position"][a] for a in "xyz"])
        for row in self.rows.get(frame, []):
            center = np.array([float(row["position." + a]) for a in "xyz"])
            size = np.array([float(row["dimensions." + a]) for a in "xyz"])
            c, s = np.cos(float(row["yaw"])), np.sin(float(row["yaw"]))
            corners = np.array([[x, y, z] for x in (-.5, .5) for y in (-.5, .5) for z in (-.5, .5)]) * size
            corners = corners @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T + center
            p = (corners - origin) @ turn
            if p[:, 2].min() > .5:
                u, v = self.k["fx"] * p[:, 0] / p[:, 2] + self.k["cx"], self.k["fy"] * p[:, 1] / p[:, 2] + self.k["cy"]
                found.append((u.min(), v.min(), u.max(), v.max(), p[:, 2].mean(), KINDS[row["label"]]))
        return sorted(found, key=lambda box: -box[4])


def segments(picture, kind, instance, side=56):
    """Superpixels: k-means over colour and place within each class and instance (SLIC, Achanta et al. 2012) -> ids [H, W]"""
    h, w = kind.shape
    rows, columns = np.mgrid[0:h, 0:w]
    ids = (rows // side) * ((w + side - 1) // side) + columns // side
    feature = np.concatenate([picture / 255 * 4, rows[..., None] / side, columns[..., None] / side], 2).astype(np.float32)
    region = kind.astype(np.int64) * 1000 + instance
    count = ids.max() + 1
    for _ in range(4):
        _, key = np.unique(region * count + ids, return_inverse=True)
        key = key.reshape(h, w)
        centers = np.stack([ndimage.mean(feature[..., c], key, np.arange(key.max() + 1)) for c in range(5)], 1)
        best, ids = np.full((h, w), np.inf), key
        for dy in (-side // 2, 0, side // 2):
            for dx in (-side // 2, 0, side // 2):
                other = np.roll(key, (dy, dx), (0, 1))
                distance = ((feature - centers[other]) ** 2).sum(2)
                distance[np.roll(region, (dy, dx), (0, 1)) != region] = np.inf
                better = distance < best
                best[better] = distance[better]
                ids = np.where(better, other, ids)
        count = ids.max() + 1
    return region * count + ids


def conditions_of(network, picture, boxes):
    """picture uint8 [H, W, 3] -> conditions uint8 [30, H, W] (normals as value * .5 + .5)"""
    h, w = picture.shape[:2]
    with torch.no_grad():
        logits, depth, normal = network(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255)
    soft = (logits * 1.5).softmax(1)[0].numpy()
    instance = np.zeros((h, w), int)
    kind = soft.argmax(0)
    for i, (x0, y0, x1, y1, _, label) in enumerate(boxes):
        ys, xs = slice(max(int(y0), 0), max(int(y1) + 1, 0)), slice(max(int(x0), 0), max(int(x1) + 1, 0))
        inside = np.isin(kind[ys, xs], (CAR, TRUCK) if label in (CAR, TRUCK) else (PERSON, TWO_WHEELER))
        instance[ys, xs][inside] = i + 1
        total = soft[CAR:SKY, ys, xs].sum(0)
        for member in range(CAR, SKY):
            soft[member, ys, xs] = np.where(inside, total * (member == label), soft[member, ys, xs])
    kind = soft.argmax(0)
    large = np.isin(kind, (5, 6, 4, 3, 7, 13, 2))
    ids = np.where(large, segments(picture, kind, instance), kind.astype(np.int64) * 1000 + instance)
    _, ids = np.unique(ids, return_inverse=True)
    ids = ids.reshape(h, w)
    means = np.stack([ndimage.mean(picture[..., c], ids, np.arange(ids.max() + 1)) for c in range(3)], 1)
    flat = means[ids] * (kind != SKY)[..., None]
    surface = kind * 1000 + instance
    edge = np.zeros((h, w), bool)
    edge[:, :-1] |= surface[:, :-1] != surface[:, 1:]
    edge[:-1] |= surface[:-1] != surface[1:]
    seen = 1 - soft[SKY]
    out = np.zeros((nano.CONDITION_CHANNELS, h, w), np.float32)
    out[0:3] = flat.transpose(2, 0, 1) / 255
    out[3] = depth[0, 0].numpy() * seen
    out[4:7] = normal[0].numpy() * seen * .5 + .5
    out[7] = edge
    out[8:22] = soft
    out[26] = 1
    return (out * 255).round().clip(0, 255).astype(np.uint8)


def fitted(path):
    """The picture at 400 x 224: the largest crop of that shape, reduced."""
    image = Image.open(path).convert("RGB")
    scale = max(sim2real.WIDTH / image.width, sim2real.HEIGHT / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX)
    x, y = (image.width - sim2real.WIDTH) // 2, (image.height - sim2real.HEIGHT) // 2
    return np.asarray(image.crop((x, y, x + sim2real.WIDTH, y + sim2real.HEIGHT)))


def sources(real):
    """(name, caption, [(path, boxes)])"""
    pandaset = os.path.join(real, "driving-pandaset-002")
    for camera in sim2real.TRAINING_CAMERAS:
        boxes = Boxes(pandaset, camera, sim2real.WIDTH)
        paths = sorted(glob.glob(os.path.join(pandaset, camera, "*.jpg")))
        yield "pandaset-" + camera, "a driving scene in a town, clear, day, many cars", [(p, boxes.at(i)) for i, p in enumerate(paths)]
    yield "udacity", "a driving scene on a motorway, clear, day, some cars", [(p, []) for p in sorted(glob.glob(os.path.join(real, "driving-udacity", "*.jpg")))]
    yield "coco", "a street, clear, day", [(p, []) for p in sorted(glob.glob(os.path.join(real, "stills-coco-ccby", "*.jpg")))]
    for name in ("bus", "car-shadow", "drift-straight", "scooter-black"):
        paths = [p for p in sorted(glob.glob(os.path.join(real, "motion-davis", name, "**", "*.jpg"), recursive=True)) if "mask" not in p]
        yield "davis-" + name, "a street, clear, day", [(p, []) for p in paths[::3]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", required=True)
    parser.add_argument("--inverse", required=True)
    parser.add_argument("--teachers", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.makedirs(args.out, exist_ok=True)
    network = inverse.Inverse()
    network.load_state_dict(torch.load(args.inverse, weights_only=True))
    network.eval()
    encoder = teachers.taef2_encoder(args.teachers).to(memory_format=torch.channels_last)
    for name, caption, frames in sources(args.real):
        for mirrored in (False, True):
            target = os.path.join(args.out, name + ("-mirrored" if mirrored else ""))
            if os.path.exists(target + ".latents") or not frames:
                continue
            maps, pictures = [], []
            for path, boxes in frames:
                picture = fitted(path)
                if mirrored:
                    picture = picture[:, ::-1]
                    boxes = [(sim2real.WIDTH - x1, y0, sim2real.WIDTH - x0, y1, away, kind) for x0, y0, x1, y1, away, kind in boxes]
                maps.append(conditions_of(network, picture, boxes))
                pictures.append(picture.transpose(2, 0, 1))
            safetensors_io.write(target + ".safetensors", {"conditions": np.stack(maps), "beauty": np.stack(pictures)},
                                 {"caption": caption, "look": "photo"})
            safetensors_io.write(target + ".latents", {"latents": latents.encode(encoder, pictures)})
            print(target, len(frames), flush=True)


if __name__ == "__main__":
    main()
