"""Renders training clips with kinora-render-clip: random worlds, weathers, times of day and traffic.

    python3 training/make_clips.py build/tools/kinora-render-clip CLIPS --scenes 200 [--frames 0,24] [--first 0]

Scene n is made from seed n alone, so that several processes can share a range (--first, --step).
"""
import argparse
import json
import os
import random
import subprocess
import tempfile

KINDS = ["town"] * 5 + ["junction"] * 3 + ["motorway"] * 3 + ["rural"] * 2
WEATHERS = ["clear"] * 4 + ["overcast"] * 2 + ["rain"] * 3 + ["fog"]
TIMES = ["day"] * 5 + ["dusk"] * 3 + ["night"] * 2


def street(seed):
    """A street with many people and two-wheelers near the ego, which generated worlds have few of."""
    choose = random.Random(seed * 31 + 7)
    side = choose.choice([[{"type": "parking", "width": 2.2}], [{"type": "biking", "width": 1.6}], []])
    half = [{"width": 3.2}] * choose.choice([1, 1, 2]) + side + [{"type": "sidewalk", "width": choose.uniform(2.2, 4)}]
    start, actors = choose.uniform(60, 120), []
    for _ in range(choose.randint(10, 22)):
        actors.append({"class": "pedestrian", "lane": choose.choice([-1, 1]) * len(half), "s": start + choose.uniform(-14, 45),
                       "offset": choose.uniform(-.7, .7), "speed": choose.uniform(0, 1.6), "against": choose.random() < .5})
    for _ in range(choose.randint(2, 5)):
        actors.append({"class": choose.choice(["bicycle", "bicycle", "motorbike"]), "lane": choose.choice([-1, -1, 1]),
                       "s": start + choose.uniform(8, 50) * choose.choice([-1, 1]), "offset": -.8, "speed": 4})
    for i in range(choose.randint(1, 3)):
        actors.append({"class": choose.choice(["car", "van", "truck", "bus"]), "lane": 1, "s": start + 30 + 25 * i, "speed": 9})
    pieces = [{"length": length, "curvature": choose.uniform(-.004, .004)} for length in (120, 200)]
    road = {"id": "street", "town": True, "center_mark": "broken", "segments": pieces, "left": half, "right": half}
    return {"network": {"roads": [road]}, "actors": actors,
            "ego": {"road": "street", "lane": -1, "s": start, "speed": 8, "driver": True}}


def scene(seed, people=0):
    """people: share of scenes that are streets with many of them -> (scene JSON, command-line options)"""
    choose = random.Random(seed * 7919 + 17)
    options = {"--weather": choose.choice(WEATHERS), "--time": choose.choice(TIMES),
               "--traffic": str(choose.choice([0, 3, 6, 9, 12, 16, 20, 24])), "--seed": str(seed)}
    generated = {"generate": {"kind": choose.choice(KINDS), "seed": seed}}
    if choose.random() >= people:
        return generated, options
    del options["--traffic"]
    return street(seed), options


# Photographed skies (.hdr) by weather and time of day, and where above their horizon they are free of trees and houses.
SKIES = {("clear", "day"): [("sky", 0), ("park", 12), (None, 0)], ("overcast", "day"): [("city", 45), (None, 0)],
         ("rain", "day"): [("city", 45), (None, 0)], ("clear", "dusk"): [("dawn", 8), ("sunset", 45), (None, 0)],
         ("overcast", "dusk"): [("city", 45), (None, 0)], ("clear", "night"): [("night", 20), (None, 0)]}


def photographic(seed, options, materials, skies):
    """Options of a scene that shall look like a camera's pictures; apart from scene(), whose choices stay."""
    choose = random.Random(seed * 6271 + 5)
    more = ["--materials", materials, "--camera-look", str(seed)] if materials else []
    name, lift = choose.choice(SKIES.get((options["--weather"], options["--time"]), [(None, 0)]))
    if skies and name:
        more += ["--sky", os.path.join(skies, name + ".hdr"), "--sky-lift", str(lift)]
    return more


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("out")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--people", type=float, default=0, help="share of scenes with many people and two-wheelers")
    parser.add_argument("--frames", default="0,30", help="frames at 12 per second, or a:b")
    parser.add_argument("--more", nargs="*", default=[], help="further options of kinora-render-clip without dashes: shaded, semantic, ...")
    parser.add_argument("--materials", help="a folder of photographed surfaces with materials.json; a camera's look, too")
    parser.add_argument("--skies", help="a folder of photographed skies (.hdr)")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    frames = args.frames
    if ":" in frames:
        frames = ",".join(str(i) for i in range(*map(int, frames.split(":"))))
    for seed in range(args.first, args.first + args.scenes, args.step):
        target = os.path.join(args.out, f"{seed:06d}.safetensors")
        if os.path.exists(target):
            continue
        description, options = scene(seed, args.people)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(description, file)
            file.flush()
            command = [args.program, file.name, "--frames", frames, "--raw", target]
            for name, value in options.items():
                command += [name, value]
            command += [f"--{name}" for name in args.more] + photographic(seed, options, args.materials, args.skies)
            result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            print(f"scene {seed}: {result.stderr.strip()}", flush=True)
        else:
            kind = description["generate"]["kind"] if "generate" in description else "people"
            print(f"scene {seed}: {kind} {' '.join(options.values())}", flush=True)


if __name__ == "__main__":
    main()
