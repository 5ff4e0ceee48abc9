"""Makes training shapes with drawings:

    python3 training/make_shapes.py OUT --first 0 --count 200 [--fine]

SEED-CLASS.safetensors: distance uint8 [NZ][NY][NX] (row 0 at the bottom; 128 + 127 is three cells), material, box, and drawings: mask and lines as
bits, view [n][2] degrees. --fine keeps the fine grid too, for evaluation.
"""
import argparse
import os
import zlib

import numpy as np

import safetensors_io
import shapes
import sketches


def coarse(distance, material):
    nz, ny, nx = (n // 2 for n in distance.shape)
    d = distance.reshape(nz, 2, ny, 2, nx, 2).mean((1, 3, 5))
    m = material.reshape(nz, 2, ny, 2, nx, 2).transpose(0, 2, 4, 1, 3, 5).reshape(nz, ny, nx, 8)
    best, count = m[..., 0].copy(), np.zeros(d.shape, np.uint8)
    for k in range(8):
        n = (m == k).sum(3).astype(np.uint8)
        best, count = np.where(n > count, k, best).astype(np.uint8), np.maximum(n, count)
    return d, best


def direction(rng):
    kind = rng.random()
    if kind < .62:
        return float(rng.choice([-1, 1]) * (rng.uniform(22, 65) if rng.random() < .65 else rng.uniform(115, 158))), float(rng.uniform(2, 32))
    if kind < .78:
        return float(rng.choice([-90, 90])), float(rng.uniform(0, 4))
    if kind < .88:
        return float(rng.choice([0, 180])), float(rng.uniform(0, 4))
    if kind < .93:
        return 90.0, 89.0
    return float(rng.uniform(-180, 180)), float(rng.uniform(0, 35))


def sample(name, distance, material, seed, fine, views=5):
    """distance in cells, twice as fine as the grid"""
    rng = np.random.default_rng(seed + 77)
    unit = distance * shapes.cell_size(name)
    box = sketches.box_of(name, unit)
    d, m = coarse(distance, material)
    arrays = {"distance": (np.round((d / 3).clip(-1, 1) * 127) + 128).astype(np.uint8), "material": m, "box": np.asarray(box, np.float32)}
    masks, lines, directions = [], [], []
    while len(masks) < views:
        azimuth, elevation = direction(rng) if masks else (float(rng.choice([-1, 1]) * rng.uniform(30, 55)), float(rng.uniform(8, 25)))
        drawing = sketches.draw(name, unit, material, box, azimuth, elevation, rng.uniform(15, 50))
        if drawing:
            masks.append(np.packbits(drawing[0]))
            lines.append(np.packbits(drawing[1]))
            directions.append((azimuth, elevation))
    arrays.update(masks=np.stack(masks), lines=np.stack(lines), views=np.asarray(directions, np.float32))
    if fine:
        arrays.update(fine=distance.astype(np.float16))
    return arrays


def write(folder, key, name, arrays):
    path = os.path.join(folder, f"{key}-{name}.safetensors")
    safetensors_io.write(path, arrays, {"class": name})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--fine", action="store_true")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    for seed in range(args.first, args.first + args.count):
        for name in shapes.CLASSES:
            distance, material = shapes.grid(shapes.make(name, seed * 1000 + zlib.crc32(name.encode()) % 1000), name)
            write(args.out, f"{seed:06d}", name, sample(name, distance, material, seed, args.fine))


if __name__ == "__main__":
    main()
