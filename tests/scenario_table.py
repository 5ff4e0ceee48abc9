#!/usr/bin/env python3
"""Writes docs/scenarios.md: what Kinora makes of folders of scenarios.

    tests/scenario_table.py KINORA "TITLE=FOLDER" ... [--cases FOLDER] > docs/scenarios.md

Of every .xosc, .xodr and scene .json below a folder: accepted, accepted with findings, or refused, and why. A road network is
driven by a car on its first driving lane; of a parameter value distribution the first, middle and last variation are checked.
--cases: the inputs that went wrong once, and the rigs among them."""
import collections
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

# Findings that follow from what Kinora is, not from the file: its own driver, its own end of a scene that has none.
MILD = ("which the scenario watches for", "Kinora's own driver", "the scenario never stops by itself", "the end is taken", "drives on past the end of its road")


def run(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", "kinora: no answer within 300 s")


def check(kinora, path, *options):
    """('refused', why) or ('accepted', findings)."""
    done = run(kinora, "check", path, "--json", *options)
    try:
        return "accepted", json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().split("\n")
        return "refused", lines[-1].removeprefix("kinora: ") if done.returncode in (2, 124) else f"exit {done.returncode}: {lines[-1]}"


def matters(finding):
    return finding["severity"] == "error" or not any(m in finding["message"] for m in MILD)


def shorten(text, folder):
    text = re.sub(r"\S*/(?=[^/\s]+\.(?:xosc|xodr|json))", "", text.replace(folder + "/", "")).replace("|", "/")
    return text if len(text) <= 160 else text[:157] + "..."


def describe(findings):
    """Verdict and text of a list of findings."""
    heavy = [f for f in findings if matters(f)]
    counts = collections.Counter("error" if f["severity"] == "error" else "unsupported" for f in heavy)
    mild = len(findings) - len(heavy)
    if not heavy:
        return "accepted", f"{mild} of Kinora's own ways" if mild else ""
    text = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
    return "findings", text + ": " + "; ".join(dict.fromkeys(f["message"] for f in heavy[:3]))


def root_of(path):
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, ValueError):
        return None


def check_distribution(kinora, path):
    kind, why = check(kinora, path, "--variation", "1000000000")
    count = re.search(r"there are (\d+) variations", why if kind == "refused" else "")
    if not count:
        return "refused", why
    last = int(count.group(1)) - 1
    results = [check(kinora, path, "--variation", str(k)) for k in sorted({0, last // 2, last})]
    for kind, what in results:
        if kind == "refused":
            return kind, what
    verdict, text = describe([f for _, found in results for f in found])
    return verdict, f"{last + 1} variations" + (f"; {text}" if text else "")


def check_roads(kinora, path):
    """A car on the first lane for driving, from the road's start."""
    root = root_of(path)
    for road in root.iter("road") if root is not None else ():
        for lane in road.iter("lane"):
            number = int(lane.get("id", "0"))
            if lane.get("type") == "driving" and number and road.get("junction", "-1") == "-1":
                length = float(road.get("length"))
                ego = {"road": road.get("id"), "lane": number, "s": min(5, length / 2) if number < 0 else max(length - 5, length / 2),
                       "speed": 5}
                with tempfile.TemporaryDirectory() as folder:
                    os.symlink(os.path.abspath(path), os.path.join(folder, "roads.xodr"))
                    scene = os.path.join(folder, "scene.json")
                    with open(scene, "w", encoding="utf-8") as f:
                        json.dump({"network": "roads.xodr", "ego": ego, "duration": 5}, f)
                    return check(kinora, scene)
    return "refused", "no road with a lane of type driving"


def result(kinora, path):
    root = root_of(path) if path.endswith(".xosc") else None
    if root is not None and root.find("Catalog") is not None:
        return "catalog", ""
    if root is not None and root.find("ParameterValueDistribution") is not None:
        return check_distribution(kinora, path)
    kind, what = check_roads(kinora, path) if path.endswith(".xodr") else check(kinora, path)
    return (kind, what) if kind == "refused" else describe(what)


def check_rig(kinora, path):
    scene = os.path.join(os.path.dirname(path), "utmoffset", "scene.json")
    with tempfile.TemporaryDirectory() as folder:
        done = run(kinora, "drive", scene, "--rig", path, "--source", "control", "--frames", "1", "--no-surroundings", "--codec", "png",
                   "--progress", "off", "-o", os.path.join(folder, "out"))
    lines = done.stderr.strip().split("\n")
    if done.returncode == 0:
        return "accepted", ""
    return "refused", (f"exit {done.returncode}: " if done.returncode != 2 else "") + lines[-1].removeprefix("kinora: ")


def files(folder, endings):
    for base, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(base, n) for n in sorted(names) if n.endswith(endings))


def table(title, folder, rows):
    rows = [row for row in rows if row[1] != "catalog"]
    counts = collections.Counter(row[1] for row in rows)
    print(f"\n## {title}\n\n{len(rows)} files: {counts['accepted']} accepted, {counts['findings']} with findings, {counts['refused']} refused.\n")
    print("| file | result | why |\n|---|---|---|")
    for path, verdict, why in rows:
        print(f"| `{os.path.relpath(path, folder)}` | {verdict} | {shorten(why, folder)} |", flush=True)


def main():
    kinora, folders, cases = sys.argv[1], sys.argv[2:], None
    if "--cases" in folders:
        at = folders.index("--cases")
        cases, folders = folders[at + 1], folders[:at] + folders[at + 2:]
    print("# Public scenarios, tried\n\nMade by `tests/scenario_table.py`, which runs `kinora check` on every file: *accepted*; *findings*: plays, and `check` names an error"
          " or something\nthat has no effect; *refused*. Not counted as findings: that Kinora's own driver stands in for a controller, a crash that a condition of the scenario watches for, that a scenario without an end"
          " is cut, that somebody drives\noff the end of the roads. Catalogs are left out. Of a parameter value distribution the first, the middle and the last variation are played.")
    for entry in folders:
        title, folder = entry.split("=", 1)
        table(title, folder, [(p, *result(kinora, p)) for p in files(folder, (".xosc", ".xodr"))])
    if cases:
        rows = [(p, *result(kinora, p)) for p in files(cases, (".xosc", ".json")) if not os.path.basename(p).startswith("rig-")]
        rows += [(p, *check_rig(kinora, p)) for p in files(cases, (".json",)) if os.path.basename(p).startswith("rig-")]
        table("Inputs that went wrong once", cases, rows)


if __name__ == "__main__":
    main()
