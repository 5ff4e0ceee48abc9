#!/usr/bin/env python3
"""Checks nuScenes tables strictly, as nuscenes-devkit reads them (its schema_nuscenes.md and nuscenes.py), with the standard
library only: python3 tests/nuscenes_check.py DATAROOT [VERSION]. Prints what is wrong, one line each; exit code 1 then."""
import json
import math
import os
import re
import struct
import sys

FIELDS = {  # name -> field -> type; "t:TABLE" is a token of that table, "?" allows ""
    "attribute": {"token": str, "name": str, "description": str},
    "calibrated_sensor": {"token": str, "sensor_token": "t:sensor", "translation": 3, "rotation": 4, "camera_intrinsic": list},
    "category": {"token": str, "name": str, "description": str},
    "ego_pose": {"token": str, "translation": 3, "rotation": 4, "timestamp": int},
    "instance": {"token": str, "category_token": "t:category", "nbr_annotations": int, "first_annotation_token": "t:sample_annotation",
                 "last_annotation_token": "t:sample_annotation"},
    "log": {"token": str, "logfile": str, "vehicle": str, "date_captured": str, "location": str},
    "map": {"token": str, "log_tokens": list, "category": str, "filename": str},
    "sample": {"token": str, "timestamp": int, "scene_token": "t:scene", "prev": "t:sample?", "next": "t:sample?"},
    "sample_annotation": {"token": str, "sample_token": "t:sample", "instance_token": "t:instance", "visibility_token": "t:visibility",
                          "attribute_tokens": list, "translation": 3, "size": 3, "rotation": 4, "num_lidar_pts": int, "num_radar_pts": int,
                          "prev": "t:sample_annotation?", "next": "t:sample_annotation?"},
    "sample_data": {"token": str, "sample_token": "t:sample", "ego_pose_token": "t:ego_pose", "calibrated_sensor_token": "t:calibrated_sensor",
                    "filename": str, "fileformat": str, "width": int, "height": int, "timestamp": int, "is_key_frame": bool,
                    "prev": "t:sample_data?", "next": "t:sample_data?"},
    "scene": {"token": str, "name": str, "description": str, "log_token": "t:log", "nbr_samples": int, "first_sample_token": "t:sample",
              "last_sample_token": "t:sample"},
    "sensor": {"token": str, "channel": str, "modality": str},
    "visibility": {"token": str, "level": str, "description": str},
}
CAMERAS = {"CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT"}
BEAMS = 32 * 1080  # of LIDAR_TOP
wrong = []


def expect(condition, text):
    if not condition and len(wrong) < 200:
        wrong.append(text)
    return condition


def numbers(value, count):
    return isinstance(value, list) and len(value) == count and all(type(v) in (int, float) and math.isfinite(v) for v in value)


def check_field(table, row, field, kind, index):
    place = f"{table} {row.get('token')}: {field}"
    if not expect(field in row, f"{place} is missing"):
        return
    value = row[field]
    if isinstance(kind, int):
        expect(numbers(value, kind), f"{place}: expected {kind} finite numbers")
    elif isinstance(kind, str):
        empty = kind.endswith("?") and value == ""
        expect(empty or value in index[kind[2:].rstrip("?")], f"{place}: {value!r} is no token of {kind[2:]}")
    else:
        expect(type(value) is kind, f"{place}: {value!r} is no {kind.__name__}")


def check_rows(tables, index):
    for table, fields in FIELDS.items():
        expect(len(index[table]) == len(tables[table]), f"{table}: a token stands twice")
        for row in tables[table]:
            for field, kind in fields.items():
                check_field(table, row, field, kind, index)
            if table != "visibility":
                expect(re.fullmatch("[0-9a-f]{32}", row["token"]), f"{table}: token {row['token']!r}")
            if "rotation" in fields:
                expect(abs(sum(v * v for v in row["rotation"]) - 1) < 1e-6, f"{table} {row['token']}: rotation is no unit quaternion")


def chain(table, rows, index, what):
    """The rows, which belong together, linked by prev and next from one end to the other, in the order of time."""
    first = [r for r in rows if r["prev"] == ""]
    if not expect(len(first) == 1, f"{table} of {what}: {len(first)} rows without prev, expected 1"):
        return []
    order, row = [], first[0]
    while row:
        order.append(row)
        if len(order) > len(rows):
            break
        following = index[table][row["next"]] if row["next"] else None
        expect(not following or following["prev"] == row["token"], f"{table} {row['token']}: its next does not point back")
        row = following
    expect(sorted(r["token"] for r in order) == sorted(r["token"] for r in rows), f"{table} of {what}: the chain has {len(order)} of {len(rows)} rows")
    return order


def image_size(path):
    """Width and height in the header of a JPEG or PNG."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return struct.unpack(">II", data[16:24])
    at = 2
    while data[:2] == b"\xff\xd8" and at + 9 < len(data):
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2:at + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return struct.unpack(">HH", data[at + 5:at + 9])[::-1]
        at += 2 + length
    return None


def check_samples(tables, index, root):
    for scene in tables["scene"]:
        samples = chain("sample", [s for s in tables["sample"] if s["scene_token"] == scene["token"]], index, scene["name"])
        if not samples:
            continue
        expect(scene["nbr_samples"] == len(samples), f"scene {scene['name']}: nbr_samples is {scene['nbr_samples']}, there are {len(samples)}")
        expect(scene["first_sample_token"] == samples[0]["token"] and scene["last_sample_token"] == samples[-1]["token"], f"scene {scene['name']}: ends")
        for a, b in zip(samples, samples[1:]):
            expect(abs(b["timestamp"] - a["timestamp"] - 500000) < 90000, f"sample {b['token']}: {b['timestamp'] - a['timestamp']} us after the one before, expected 2 Hz")
    channels = {row["token"]: index["sensor"][row["sensor_token"]]["channel"] for row in tables["calibrated_sensor"]}
    keys = {}
    groups = {}  # a chain for each scene and channel
    for row in tables["sample_data"]:
        place = index["sample"][row["sample_token"]]["scene_token"], channels[row["calibrated_sensor_token"]]
        groups.setdefault(place, []).append(row)
    for (scene, channel), rows in groups.items():
        order = chain("sample_data", rows, index, f"{channel} in {scene}")
        for a, b in zip(order, order[1:]):
            expect(a["timestamp"] < b["timestamp"], f"sample_data {b['token']}: is not later than the one before")
        for row in rows:
            check_data(row, channel, index, root, keys)
    for sample in tables["sample"]:
        missing = {channel for scene, channel in groups if scene == sample["scene_token"]} - keys.get(sample["token"], set())
        expect(not missing, f"sample {sample['token']}: no key frame of {sorted(missing)}")
    used = [d["ego_pose_token"] for d in tables["sample_data"]]
    expect(len(set(used)) == len(used) == len(tables["ego_pose"]), "ego_pose: expected one pose per sample_data")


def check_data(row, channel, index, root, keys):
    place = f"sample_data {row['token']}"
    sample, pose = index["sample"][row["sample_token"]], index["ego_pose"][row["ego_pose_token"]]
    folder = "samples" if row["is_key_frame"] else "sweeps"
    expect(row["filename"].startswith(f"{folder}/{channel}/"), f"{place}: {row['filename']} is not in {folder}/{channel}")
    expect(pose["timestamp"] == row["timestamp"], f"{place}: its ego_pose is of another time")
    if row["is_key_frame"]:
        expect(row["timestamp"] == sample["timestamp"], f"{place}: key frame of another time than its sample")
        expect(channel not in keys.setdefault(row["sample_token"], set()), f"{place}: second key frame of {channel}")
        keys[row["sample_token"]].add(channel)
    path = os.path.join(root, row["filename"])
    if channel == "LIDAR_TOP":
        expect(row["fileformat"] == "pcd" and row["width"] == row["height"] == 0, f"{place}: format of a sweep")
        check_sweep(path, place)
    elif expect(os.path.isfile(path), f"{place}: {row['filename']} is missing"):
        expect(image_size(path) == (row["width"], row["height"]), f"{place}: {row['filename']} is not {row['width']}x{row['height']}")


def read_sweep(path):
    """[(x, y, z, intensity, ring)], None when it is no such file."""
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        data = file.read()
    return None if len(data) % 20 or not data else list(struct.iter_unpack("<5f", data))


def check_sweep(path, place):
    points = read_sweep(path)
    if not expect(points, f"{place}: {path} is no sweep"):
        return
    expect(len(points) <= BEAMS, f"{place}: {len(points)} points")
    for x, y, z, intensity, ring in points:
        away = math.sqrt(x * x + y * y + z * z)
        fine = .99 < away < 100.1 and 0 <= intensity <= 255 and ring in range(32)
        if not expect(fine and abs(math.degrees(math.asin(z / away)) - (-30.67 + 1.3335 * ring)) < .01, f"{place}: point {x}, {y}, {z}, {intensity}, {ring}"):
            return


def turn(quaternion, v, back=False):
    """v turned by a rotation wxyz."""
    w, x, y, z = quaternion if not back else (quaternion[0], *(-q for q in quaternion[1:]))
    tx, ty, tz = 2 * (y * v[2] - z * v[1]), 2 * (z * v[0] - x * v[2]), 2 * (x * v[1] - y * v[0])
    return v[0] + w * tx + y * tz - z * ty, v[1] + w * ty + z * tx - x * tz, v[2] + w * tz + x * ty - y * tx


def inside(points, row, margin, lift):
    """How many points lie in a box that is made larger by a margin on all sides; its floor is lifted."""
    half = [row["size"][1] / 2 + margin, row["size"][0] / 2 + margin, row["size"][2] / 2 + margin]
    count = 0
    for p in points:
        d = [p[i] - row["translation"][i] for i in range(3)]
        if d[0] * d[0] + d[1] * d[1] > (half[0] + half[1]) ** 2:
            continue
        x, y, z = turn(row["rotation"], d, back=True)
        count += abs(x) <= half[0] and abs(y) <= half[1] and -half[2] + lift <= z <= half[2]
    return count


def check_lidar(tables, index, root, version):
    """Key frames of LIDAR_TOP: classes of their points, and the numbers of points in boxes."""
    segments = {row["sample_data_token"]: row for row in tables["lidarseg"]}
    channels = {row["token"]: index["sensor"][row["sensor_token"]]["channel"] for row in tables["calibrated_sensor"]}
    keys = [d for d in tables["sample_data"] if d["is_key_frame"] and channels[d["calibrated_sensor_token"]] == "LIDAR_TOP"]
    expect(set(segments) == {d["token"] for d in keys}, "lidarseg: expected one record for each key frame of LIDAR_TOP")
    for data in keys:
        points = read_sweep(os.path.join(root, data["filename"])) or []
        path = os.path.join(root, segments[data["token"]]["filename"]) if data["token"] in segments else ""
        expect(path.endswith(f"lidarseg/{version}/{data['token']}_lidarseg.bin") and os.path.isfile(path), f"lidarseg: {path or data['token']} is missing")
        if not os.path.isfile(path):
            continue
        with open(path, "rb") as file:
            labels = file.read()
        numbers = {row["index"] for row in tables["category"]}
        expect(len(labels) == len(points) and set(labels) <= numbers, f"{path}: {len(labels)} classes of {len(points)} points")
        sensor, pose = index["calibrated_sensor"][data["calibrated_sensor_token"]], index["ego_pose"][data["ego_pose_token"]]
        world = []
        for p in points:
            on_ego = [a + b for a, b in zip(turn(sensor["rotation"], p[:3]), sensor["translation"])]
            world.append([a + b for a, b in zip(turn(pose["rotation"], on_ego), pose["translation"])])
        for row in (a for a in tables["sample_annotation"] if a["sample_token"] == data["sample_token"]):
            number, least, most = row["num_lidar_pts"], inside(world, row, -.15, .2), inside(world, row, .3, 0)
            expect(.8 * least - 3 <= number <= most + 3, f"sample_annotation {row['token']}: {number} points, but {least} to {most} lie in its box")


def check_annotations(tables, index):
    seen = set()
    for row in tables["sample_annotation"]:
        place = f"sample_annotation {row['token']}"
        expect((row["sample_token"], row["instance_token"]) not in seen, f"{place}: second box of its instance in one sample")
        seen.add((row["sample_token"], row["instance_token"]))
        expect(all(0 < v < 60 for v in row["size"]), f"{place}: size {row['size']}")
        expect(0 <= row["num_lidar_pts"] <= BEAMS and row["num_radar_pts"] == 0, f"{place}: {row['num_lidar_pts']} and {row['num_radar_pts']} points")
        expect(len(row["attribute_tokens"]) <= 1 and all(t in index["attribute"] for t in row["attribute_tokens"]), f"{place}: attributes")
    for instance in tables["instance"]:
        rows = [r for r in tables["sample_annotation"] if r["instance_token"] == instance["token"]]
        order = chain("sample_annotation", rows, index, f"instance {instance['token']}")
        if not order:
            continue
        times = [index["sample"][r["sample_token"]]["timestamp"] for r in order]
        expect(times == sorted(times), f"instance {instance['token']}: boxes are not in the order of time")
        expect(instance["nbr_annotations"] == len(rows), f"instance {instance['token']}: nbr_annotations")
        expect(instance["first_annotation_token"] == order[0]["token"] and instance["last_annotation_token"] == order[-1]["token"], f"instance {instance['token']}: ends")
        expect(len({tuple(r["size"]) for r in rows}) == 1, f"instance {instance['token']}: its size changes")
        kind = index["category"][instance["category_token"]]["name"].split(".")[0]
        for row in rows:
            names = [index["attribute"][t]["name"].split(".")[0] for t in row["attribute_tokens"]]
            fits = {"vehicle": ("vehicle", "cycle"), "human": ("pedestrian",)}.get(kind, ())
            expect(all(n in fits for n in names), f"sample_annotation {row['token']}: attribute {names} of a {kind}")
        for a, b, t0, t1 in zip(order, order[1:], times, times[1:]):
            speed = math.dist(a["translation"], b["translation"]) / ((t1 - t0) * 1e-6)
            expect(speed < 90, f"instance {instance['token']}: moves at {speed:.0f} m/s")


def check_rest(tables, index, root):
    expect({(v["token"], v["level"]) for v in tables["visibility"]} == {("1", "v0-40"), ("2", "v40-60"), ("3", "v60-80"), ("4", "v80-100")}, "visibility: levels")
    logs = [t for m in tables["map"] for t in m["log_tokens"]]
    expect(sorted(logs) == sorted(index["log"]), "map: every log belongs to one map")
    for row in tables["map"]:
        path = os.path.join(root, row["filename"])
        expect(row["category"] == "semantic_prior" and os.path.isfile(path) and image_size(path), f"map {row['token']}: {row['filename']}")
    for row in tables["log"]:
        expect(re.fullmatch(r"\d{4}-\d\d-\d\d", row["date_captured"]), f"log {row['token']}: date_captured {row['date_captured']!r}")
    for row in tables["sensor"]:
        expect(row["modality"] in ("camera", "lidar", "radar"), f"sensor {row['token']}: modality")
    for row in tables["calibrated_sensor"]:
        k = row["camera_intrinsic"]
        if index["sensor"][row["sensor_token"]]["modality"] != "camera":
            expect(k == [], f"calibrated_sensor {row['token']}: camera_intrinsic of no camera")
            continue
        fine = len(k) == 3 and all(numbers(r, 3) for r in k) and k[0][0] > 0 and k[1][1] > 0 and k[1][0] == 0 and k[2] == [0, 0, 1]
        expect(fine, f"calibrated_sensor {row['token']}: camera_intrinsic")
        channel = index["sensor"][row["sensor_token"]]["channel"]
        if fine and channel in CAMERAS:  # a camera's z axis points where its name says
            w, x, y, z = row["rotation"]
            forward, left = 2 * (x * z + w * y), 2 * (y * z - w * x)
            yaw = math.degrees(math.atan2(left, forward))
            low, high = {"CAM_FRONT": (-20, 20), "CAM_FRONT_LEFT": (20, 90), "CAM_FRONT_RIGHT": (-90, -20), "CAM_BACK": (160, 200),
                         "CAM_BACK_LEFT": (90, 160), "CAM_BACK_RIGHT": (200, 270)}[channel]
            expect(low <= yaw <= high or low <= yaw + 360 <= high, f"calibrated_sensor of {channel}: looks to {yaw:.0f} degrees")


def main():
    root, version = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "v1.0-kinora"
    folder = os.path.join(root, version)
    tables, index = {}, {}
    for name in FIELDS:
        with open(os.path.join(folder, name + ".json"), encoding="utf-8") as file:
            tables[name] = json.load(file)
        index[name] = {row["token"]: row for row in tables[name]}
    path = os.path.join(folder, "lidarseg.json")
    tables["lidarseg"] = []
    if os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
            tables["lidarseg"] = json.load(file)
        expect(tables["lidarseg"], "lidarseg: empty")
    check_rows(tables, index)
    if not wrong:  # what follows goes along the tokens
        check_samples(tables, index, root)
        check_annotations(tables, index)
        check_lidar(tables, index, root, version)
        check_rest(tables, index, root)
    for line in wrong:
        print(line)
    print(f"{root}: {len(tables['sample'])} samples, {len(tables['sample_data'])} pictures, {len(tables['sample_annotation'])} boxes, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
