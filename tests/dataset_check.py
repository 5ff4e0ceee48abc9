#!/usr/bin/env python3
"""Checks the COCO, KITTI and Cityscapes parts of a merged dataset with the standard library only: python3 tests/dataset_check.py ROOT
(tests/nuscenes_check.py checks its tables). Prints what is wrong, one line each; exit code 1 then."""
import glob
import json
import math
import os
import struct
import sys

wrong = []


def expect(condition, text):
    if not condition and len(wrong) < 200:
        wrong.append(text)
    return condition


def png_size(path):
    with open(path, "rb") as file:
        head = file.read(26)
    expect(head[:8] == b"\x89PNG\r\n\x1a\n", f"{path}: no PNG")
    return struct.unpack(">IIB", head[16:25])


def runs_of(text):
    """COCO's compressed counts, as its maskApi.c reads them."""
    runs, at = [], 0
    while at < len(text):
        value = shift = 0
        more = True
        while more:
            c = ord(text[at]) - 48
            value |= (c & 31) << shift
            more, shift, at = bool(c & 32), shift + 5, at + 1
            if not more and c & 16:
                value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return runs


def check_mask(a, height, width):
    runs, low, high, area, at = runs_of(a["segmentation"]["counts"]), [width, height], [-1, -1], 0, 0
    expect(sum(runs) == height * width and min(runs) >= 0, f"coco annotation {a['id']}: runs of {sum(runs)} pixels")
    for i, run in enumerate(runs):
        for p in range(at, at + run) if i % 2 else ():
            x, y = divmod(p, height)
            low, high, area = [min(low[0], x), min(low[1], y)], [max(high[0], x), max(high[1], y)], area + 1
        at += run
    box = [low[0], low[1], high[0] - low[0] + 1, high[1] - low[1] + 1]
    expect(area == a["area"] and box == a["bbox"], f"coco annotation {a['id']}: mask of {area} pixels in {box}, says {a['area']} in {a['bbox']}")


def check_coco(root):
    names, count = set(), 0
    for split in ("train", "val"):
        with open(os.path.join(root, "coco", f"instances_{split}.json"), encoding="utf-8") as file:
            data = json.load(file)
        images = {image["id"]: image for image in data["images"]}
        categories = {c["id"] for c in data["categories"]}
        expect(len(images) == len(data["images"]) and len({a["id"] for a in data["annotations"]}) == len(data["annotations"]), f"coco {split}: ids twice")
        for image in data["images"]:
            expect(os.path.isfile(os.path.join(root, image["file_name"])), f"coco: {image['file_name']} is missing")
            expect(image["file_name"] not in names, f"coco: {image['file_name']} twice")
            names.add(image["file_name"])
        for a in data["annotations"]:
            if expect(a["image_id"] in images and a["category_id"] in categories, f"coco annotation {a['id']}: dangling"):
                check_mask(a, images[a["image_id"]]["height"], images[a["image_id"]]["width"])
                count += 1
    return len(names), count


def project(label, p):
    """The rectangle of a KITTI box, clipped by nothing."""
    h, w, l, x, y, z, turn = label
    c, s, us, vs = math.cos(turn), math.sin(turn), [], []
    for dx in (-l / 2, l / 2):
        for dy in (-h, 0):
            for dz in (-w / 2, w / 2):
                at = (x + c * dx + s * dz, y + dy, z - s * dx + c * dz)
                depth = p[8] * at[0] + p[9] * at[1] + p[10] * at[2] + p[11]
                if depth < .1:
                    return None
                us.append((p[0] * at[0] + p[1] * at[1] + p[2] * at[2] + p[3]) / depth)
                vs.append((p[4] * at[0] + p[5] * at[1] + p[6] * at[2] + p[7]) / depth)
    return min(us), min(vs), max(us), max(vs)


def check_kitti_label(path, line, p, width, height):
    parts = line.split()
    values = [float(v) for v in parts[1:]]
    if not expect(len(parts) == 15, f"{path}: {len(parts)} columns"):
        return
    box, found = values[3:7], project(values[7:14], p)
    expect(parts[0] in ("Car", "Van", "Truck", "Pedestrian", "Cyclist", "Misc") and parts[1] and values[1] in (0, 1, 2), f"{path}: {line}")
    expect(0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height, f"{path}: box {box} in {width} x {height}")
    expect(abs(math.remainder(values[2] - values[13] + math.atan2(values[10], values[12]), math.tau)) < .03, f"{path}: alpha")
    if found:  # .05: two decimals of metres and radians near the camera
        clipped = (max(found[0], 0), max(found[1], 0), min(found[2], width), min(found[3], height))
        expect(max(abs(a - b) for a, b in zip(clipped, box)) < 1 + .05 * p[0] / values[12], f"{path}: the 3D box projects to {clipped}, not {box}")


def check_kitti(root):
    folder, seen, boxes = os.path.join(root, "kitti"), set(), 0
    for split in ("train", "val"):
        with open(os.path.join(folder, "ImageSets", f"{split}.txt"), encoding="utf-8") as file:
            for name in file.read().split():
                expect(name not in seen, f"kitti: {name} twice")
                seen.add(name)
    for name in seen:
        part = lambda kind, end: os.path.join(folder, "training", kind, f"{name}.{end}")
        width, height, _ = png_size(part("image_2", "png"))
        with open(part("calib", "txt"), encoding="utf-8") as file:
            calibration = {line.split(":")[0]: [float(v) for v in line.split(":")[1].split()] for line in file if line.strip()}
        counts = {"P0": 12, "P1": 12, "P2": 12, "P3": 12, "R0_rect": 9, "Tr_velo_to_cam": 12, "Tr_imu_to_velo": 12}
        expect({k: len(v) for k, v in calibration.items()} == counts, f"kitti: calibration of {name}")
        with open(part("label_2", "txt"), encoding="utf-8") as file:
            for line in file:
                check_kitti_label(part("label_2", "txt"), line, calibration["P2"], width, height)
                boxes += 1
    expect(len(glob.glob(os.path.join(folder, "training", "image_2", "*"))) == len(seen), "kitti: pictures in no split")
    return len(seen), boxes


def check_cityscapes(root):
    cities, count = {"train": set(), "val": set()}, 0
    for path in glob.glob(os.path.join(root, "cityscapes", "leftImg8bit", "*", "*", "*")):
        split, city, name = path.split(os.sep)[-3:]
        cities[split].add(city)
        parts = name.split("_")
        expect(len(parts) == 4 and parts[0] == city and parts[1].isdigit() and parts[2].isdigit() and parts[3] == "leftImg8bit.png", f"cityscapes: {name}")
        size = png_size(path)
        for kind, depth in (("labelIds", 8), ("instanceIds", 16), ("color", 8)):
            other = os.path.join(root, "cityscapes", "gtFine", split, city, name.replace("leftImg8bit", f"gtFine_{kind}"))
            expect(os.path.isfile(other) and png_size(other) == (size[0], size[1], depth), f"cityscapes: {other}")
        count += 1
    expect(not cities["train"] & cities["val"], "cityscapes: a city in both splits")
    return count


def main():
    root = sys.argv[1]
    with open(os.path.join(root, "statistics.json"), encoding="utf-8") as file:
        statistics = json.load(file)
    pictures, masks = check_coco(root)
    views, boxes = check_kitti(root)
    cities = check_cityscapes(root)
    expect(pictures == statistics["pictures"], f"statistics: {statistics['pictures']} pictures, coco has {pictures}")
    with open(os.path.join(root, "README.md"), encoding="utf-8") as file:
        sheet = file.read()
    for word in ("AIGC", "Licences", "| class |", "below 30 m"):
        expect(word in sheet, f"README.md: nothing of {word}")
    for line in wrong:
        print(line)
    print(f"{root}: coco {pictures} pictures, {masks} masks; kitti {views} pictures, {boxes} boxes; cityscapes {cities} pictures; {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
