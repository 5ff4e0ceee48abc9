#!/usr/bin/env bash
# usage: dataset.sh KINORA PYTHON: a small batch becomes one dataset that strict readers accept, and public loaders where they are installed.
set -u
kinora=$1 python=$2
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
fail() { echo "dataset.sh: $*" >&2; exit 1; }

cat > "$folder/sweep.yaml" <<EOF
set: {source: control, frames: 7, fps: 4, rig: $PWD/tests/pipeline/data/two.json}
sweep:
  scene: [$PWD/samples/drive/town.xosc, $PWD/samples/drive/cut-in.xosc, $PWD/samples/drive/junction.xosc]
  traffic: [4]
  weather: [rain]
EOF
"$kinora" batch "$folder/sweep.yaml" -o "$folder/a" --progress off || fail "the batch"
"$kinora" batch merge "$folder/a" --progress off || fail "merge"
check() { "$python" tests/nuscenes_check.py "$1/nuscenes" && "$python" tests/dataset_check.py "$1"; }
check "$folder/a/merged" || fail "the merged dataset"
"$python" tests/dataset_loaders.py "$folder/a/merged" || [ $? = 77 ] || fail "a public loader"
[ -s "$folder/a/merged/nuscenes/v1.0-kinora/splits.json" ] || fail "no splits"

# Three shards in three folders give the same bytes.
for i in 1 2 3; do "$kinora" batch "$folder/sweep.yaml" -o "$folder/b$i" --shard $i/3 --progress off || fail "shard $i"; done
"$kinora" batch merge "$folder/b2" "$folder/b1" "$folder/b3" -o "$folder/b" --progress off || fail "merge of shards"
diff -r "$folder/a/merged" "$folder/b" || fail "shards give another dataset"

# A second merge replaces the first; another folder's files are never touched.
"$kinora" batch merge "$folder/a" --formats coco --val 0 --progress off || fail "merge again"
[ -d "$folder/a/merged/coco" ] && [ ! -d "$folder/a/merged/kitti" ] || fail "an old merge was left over"
mkdir "$folder/mine" && echo keep > "$folder/mine/README.md"
# refuse WORD ARGUMENTS...: one line with the word, exit code 2.
refuse() {
    local word=$1; shift
    "$kinora" batch "$@" >"$folder/said" 2>&1
    [ $? = 2 ] || fail "$*: not refused with exit code 2: $(cat "$folder/said")"
    [ "$(wc -l <"$folder/said")" = 1 ] && grep -q "$word" "$folder/said" || fail "$*: says $(cat "$folder/said")"
}
refuse "is there already" merge "$folder/b1" -o "$folder/mine"
[ "$(cat "$folder/mine/README.md")" = keep ] || fail "a foreign file was replaced"
refuse "no finished items" merge "$folder/nowhere"
refuse "no finished items" merge "$folder/b1" "$folder/nowhere" -o "$folder/c"
refuse "choices\|expected" merge "$folder/b1" -o "$folder/c" --formats voc
for table in sample_data sample_annotation category; do
    cp -r "$folder/b1" "$folder/damaged"
    for file in "$folder"/damaged/items/*/nuscenes/v1.0-kinora/$table.json; do echo '[{"x": ' > "$file"; done
    refuse "$table" merge "$folder/damaged" -o "$folder/c"
    rm -r "$folder/damaged"
done
[ ! -e "$folder/c/nuscenes" ] && [ ! -e "$folder/c/README.md" ] || fail "something half-written was left"

# Status: what is done, what failed and why.
echo '{"scene": "missing.xosc", "frames": 2}' > "$folder/bad.jsonl"
"$kinora" batch "$folder/bad.jsonl" -o "$folder/bad" --progress off -q 2>/dev/null
[ $? = 65 ] || fail "a missing scene is bad input"
"$kinora" batch status "$folder/bad" > "$folder/said" || fail "status"
grep -q "failed .*missing.xosc" "$folder/said" && grep -q "1 items: 0 done, 0 set aside, 1 failed for good" "$folder/said" || fail "status says $(cat "$folder/said")"
"$kinora" batch status "$folder/a" --json > "$folder/said" || fail "status --json"
"$python" - "$folder/said" <<EOF || fail "status --json says $(cat "$folder/said")"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert [l["status"] for l in lines[:-1]] == ["done"] * 3 and lines[-1]["items"] == 3 and lines[-1]["done"] == 3, lines
EOF
refuse "jobs.jsonl" status "$folder/nowhere"

# Files for clusters (tests/pipeline/slurm.sh runs the real thing), and what a dry run foretells.
"$kinora" batch "$folder/sweep.yaml" -o "$folder/k" --kubernetes --image r/kinora:1 --volume "data:$folder" --shards 3 -q || fail "--kubernetes"
grep -q "completions: 3" "$folder/k/cluster/job.yaml" && grep -q "batch\", \"merge\", \"$folder/k\"" "$folder/k/cluster/merge.yaml" || fail "job.yaml"
"$kinora" batch "$folder/sweep.yaml" -o "$folder/k" --aws queue --image r/kinora:1 --volume "fs-1:$folder" --timeout 60 -q || fail "--aws"
"$python" - "$folder/k/cluster" <<EOF || fail "job-definition.json"
import json, sys
job = json.load(open(sys.argv[1] + "/job-definition.json"))
command = job["containerProperties"]["command"]
assert command[:2] == ["kinora", "batch"] and command[command.index("--shards") + 1] == "3" and command[command.index("--timeout") + 1] == "60", command
assert {"onExitCode": "75", "action": "RETRY"} in job["retryStrategy"]["evaluateOnExit"]
EOF
refuse "choose one" "$folder/sweep.yaml" -o "$folder/k" --slurm "" --kubernetes
refuse "does not lie on" "$folder/sweep.yaml" -o "$folder/k" --kubernetes --image a --volume data:/elsewhere
refuse "needs --volume" "$folder/sweep.yaml" -o "$folder/k" --aws q --image a
refuse "array-limit" "$folder/sweep.yaml" -o "$folder/k" --slurm "--array-limit none"
refuse "only 3 items" "$folder/sweep.yaml" -o "$folder/k" --slurm "" --shards 4
"$kinora" batch "$folder/sweep.yaml" --dry-run >"$folder/list" 2>"$folder/said" || fail "--dry-run"
[ "$(wc -l <"$folder/list")" = 3 ] && grep -q "3 items, 21 frames, 42 pictures, 0.1613 megapixels" "$folder/said" || fail "--dry-run says $(cat "$folder/said")"
"$kinora" batch "$folder/sweep.yaml" --dry-run -o "$folder/a" 2>&1 >/dev/null | grep -q "as the 3 clips took" || fail "--dry-run with finished items"
exit 0
