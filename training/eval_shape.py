"""Measures kinora-shape on shapes that it was not trained on:

    python3 training/eval_shape.py MODEL.pt HELD --train SHAPES [--views 1] [--sheet sheet.png] [--limit N]

One line a method: silhouette IoU over 36 views around (and in the drawing's own view), F-score at .05 of the diagonal. Beside the sampler
stand the class mean and the nearest training shape of the class (by the drawing's outline in the same view).
"""
import argparse
import glob
import random

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

import safetensors_io
import shape
import shapes
import sketches
from export_shape import load


def read(path):
    arrays, metadata = safetensors_io.read(path)
    arrays = {k: np.array(v) for k, v in arrays.items()}
    for key in ("masks", "lines"):
        arrays[key] = np.unpackbits(arrays[key], axis=1).astype(bool).reshape(-1, sketches.SIZE, sketches.SIZE)
    distance = (arrays["distance"].astype(np.float32) - 128) / 127 * 3
    return arrays, metadata["class"], distance


def sample(model, tokenizer, name, views, box, seed, steps=4):
    """-> distances in cells and materials [NZ][NY][NX], row 0 at the bottom"""
    symmetric = name in shapes.CARS
    condition = torch.from_numpy(sketches.condition_of(name, views, box, symmetric))[None]
    tokens = torch.tensor([tokenizer.encode(shapes.CLASSES[name][2][0], shape.TEXT_LENGTH)])
    x = torch.randn(1, shape.SAMPLE, shapes.NZ, shapes.NX, generator=torch.Generator().manual_seed(seed))
    times = torch.linspace(1, 0, steps + 1)
    with torch.no_grad():
        for a, b in zip(times, times[1:]):
            clean = model(x, a.expand(1), tokens, condition)
            x = clean + (x - clean) * (b / a)
    distance, material = shape.fields_of(x[0].numpy())
    if symmetric:
        distance = (distance + distance[:, ::-1]) / 2
    return np.ascontiguousarray(distance), np.ascontiguousarray(material)


def fine(distance):
    return ndimage.zoom(distance, 2, order=1, grid_mode=True, mode="nearest").astype(np.float32)


def silhouettes(name, distance, material, box):
    """36 views around, registered by the same box."""
    unit = fine(distance) * shapes.cell_size(name)
    kinds = material.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    masks = []
    for i in range(36):
        camera = sketches.camera_of(box, i * 10.0, (8.0, 20.0, 32.0)[i % 3], (8, 8, 152, 152))
        masks.append(sketches.trace(name, unit, kinds, camera)[0] > 0)
    return np.stack(masks)


def iou(a, b):
    return (a & b).sum() / max((a | b).sum(), 1)


def points_of(name, distance):
    """Surface points from sign changes along the axes."""
    frame = np.asarray(shapes.CLASSES[name][0])
    d, out = fine(distance), []
    for axis, f in zip((2, 1, 0), (0, 1, 2)):
        a, b = np.moveaxis(d, axis, 0)[:-1], np.moveaxis(d, axis, 0)[1:]
        at = np.argwhere((a < 0) != (b < 0))
        t = a[tuple(at.T)] / (a[tuple(at.T)] - b[tuple(at.T)])
        index = np.zeros((len(at), 3))
        rest = [k for k in (0, 1, 2) if k != axis]
        index[:, axis] = at[:, 0] + t
        index[:, rest[0]], index[:, rest[1]] = at[:, 1], at[:, 2]
        out.append(np.stack([((index[:, 2] + .5) / d.shape[2] - .5) * frame[0], ((index[:, 1] + .5) / d.shape[1] - .5) * frame[1],
                             ((index[:, 0] + .5) / d.shape[0] - .02) * frame[2]], 1))
    points = np.concatenate(out)
    return points[np.random.default_rng(0).permutation(len(points))[:4000]]


def f_score(name, truth, made, box):
    from scipy.spatial import cKDTree
    a, b = points_of(name, truth), points_of(name, made)
    if not len(b):
        return 0.0
    reach = .05 * np.linalg.norm(box)
    p, r = (cKDTree(a).query(b)[0] < reach).mean(), (cKDTree(b).query(a)[0] < reach).mean()
    return 2 * p * r / max(p + r, 1e-9)


def nearest(train, name, azimuth, elevation, mask):
    """The training shape of the class whose drawn outline from about this direction is most alike."""
    best, found = -1, None
    for path in train[name]:
        arrays, _, distance = path
        for m, (a, e) in zip(arrays["masks"], arrays["views"]):
            for flip in (1, -1):
                away = abs((flip * a - azimuth + 180) % 360 - 180) + abs(e - elevation)
                if away > 15:
                    continue
                score = iou(m[:, ::-1] if flip < 0 else m, mask)
                if score > best:
                    best, found = score, (distance[:, ::-1] if flip < 0 else distance, arrays["material"][:, ::-1] if flip < 0 else arrays["material"])
    return found


def picture(name, distance, material, box, azimuth, elevation):
    camera = sketches.camera_of(box, azimuth, elevation, (8, 8, 152, 152))
    unit, kinds = fine(distance) * shapes.cell_size(name), material.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    depth, normal, kind = sketches.trace(name, unit, kinds, camera)
    names = shapes.CAR if name in shapes.CARS else shapes.BUILDING
    palette = np.asarray([shape.COLORS[n] for n in names] + [[255, 0, 255]] * 8, float)
    shaded = palette[kind] * (.45 + .55 * np.clip(normal @ np.array([.4, .35, .85]), 0, 1))[..., None]
    shaded[depth == 0] = 255
    return shaded.clip(0, 255).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("held")
    parser.add_argument("--train")
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--sheet")
    parser.add_argument("--limit", type=int, default=1000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer, means = load(args.model)
    train = {name: [] for name in shapes.CLASSES}
    for path in sorted(glob.glob(f"{args.train}/*.safetensors"))[:900] if args.train else []:
        arrays, name, distance = read(path)
        train[name].append((arrays, name, distance))
    mean_shapes = {name: np.mean([t[2] for t in ts], 0) for name, ts in train.items() if ts}
    table, rows = {}, []
    for path in sorted(glob.glob(f"{args.held}/*.safetensors"))[:args.limit]:
        arrays, name, truth = read(path)
        box = tuple(arrays["box"])
        views = [(arrays["masks"][i], arrays["lines"][i], *map(float, arrays["views"][i])) for i in range(args.views)]
        made, material = sample(model, tokenizer, name, views, tuple(means[name]), 1)
        if min(sketches.box_of(name, made)) > .05:  # once more with the box that came out
            made, material = sample(model, tokenizer, name, views, sketches.box_of(name, made), 1)
        candidates = {"sampled": (made, material)}
        if name in mean_shapes:
            candidates["class mean"] = (mean_shapes[name].astype(np.float32), arrays["material"] * 0)
            candidates["nearest"] = nearest(train, name, views[0][2], views[0][3], views[0][0]) or candidates["class mean"]
        wanted = silhouettes(name, truth, arrays["material"], box)
        own = sketches.camera_of(box, views[0][2], views[0][3], (8, 8, 152, 152))
        own_truth = sketches.trace(name, fine(truth) * shapes.cell_size(name), np.zeros((64, 64, 128), np.uint8), own)[0] > 0
        for method, (d, m) in candidates.items():
            d = np.ascontiguousarray(d)
            masks = silhouettes(name, d, np.ascontiguousarray(m), box)
            own_mask = sketches.trace(name, fine(d) * shapes.cell_size(name), np.zeros((64, 64, 128), np.uint8), own)[0] > 0
            score = (np.mean([iou(a, b) for a, b in zip(wanted, masks)]), iou(own_truth, own_mask), f_score(name, truth, d, box))
            table.setdefault(method, []).append((name, *score))
        drawing = np.where(views[0][1], 0, 255).astype(np.uint8)[..., None].repeat(3, 2)
        az, el = views[0][2], views[0][3]
        rows.append(np.concatenate([drawing, picture(name, made, material, box, az, el), picture(name, made, material, box, az + 90, 15),
                                    picture(name, made, material, box, az + 200, 25), picture(name, truth, arrays["material"], box, az, el),
                                    picture(name, truth, arrays["material"], box, az + 200, 25)], 1))
    for method, scores in table.items():
        values = np.asarray([s[1:] for s in scores])
        print(f"{method:12} IoU {values[:, 0].mean():.3f}  own view {values[:, 1].mean():.3f}  F {values[:, 2].mean():.3f}  ({len(values)} shapes)")
    for name in shapes.CLASSES:
        values = np.asarray([s[1:] for s in table["sampled"] if s[0] == name])
        if len(values):
            print(f"  {name:16} {values[:, 0].mean():.3f} {values[:, 1].mean():.3f} {values[:, 2].mean():.3f}")
    if args.sheet:
        half = (len(rows) + 1) // 2
        rows += [rows[0] * 0 + 255] * (2 * half - len(rows))
        Image.fromarray(np.concatenate([np.concatenate(rows[:half]), np.concatenate(rows[half:])], 1)).save(args.sheet)


if __name__ == "__main__":
    main()
