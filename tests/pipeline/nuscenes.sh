#!/usr/bin/env bash
# usage: nuscenes.sh KINORA PYTHON: the tables of small jobs pass tests/nuscenes_check.py, and damaged ones do not.
set -u
kinora=$1 python=$2
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
fail() { echo "nuscenes.sh: $*" >&2; exit 1; }
check() { "$python" tests/nuscenes_check.py "$1/nuscenes"; }

"$kinora" drive samples/drive/town.xosc -o "$folder/a" --source control --size 64x40 --frames 20 --traffic 5 --progress off || fail "town"
"$kinora" drive tests/pipeline/data/follow.xosc -o "$folder/b" --source control --size 33x31 --frames 31 --fps 30000/1001 --progress off || fail "follow"
"$kinora" drive samples/drive/town.xosc -o "$folder/c" --source control --size 16x16 --frames 8 --traffic 12 --lidar --progress off || fail "lidar"
check "$folder/a" && check "$folder/b" && check "$folder/c" || fail "tables of finished jobs"

# damage TABLE SED-SCRIPT: the checker must see it.
damage() {
    local clip=${3:-a} table
    table=$folder/$clip/nuscenes/v1.0-kinora/$1.json
    cp "$table" "$folder/kept"
    sed -i "$2" "$table"
    cmp -s "$table" "$folder/kept" && fail "$1: $2 changed nothing"
    check "$folder/$clip" >/dev/null && fail "$1: $2 was not seen"
    cp "$folder/kept" "$table"
}
damage sample_data '2s/"next": "[0-9a-f]*"/"next": ""/'
damage sample_data '0,/"is_key_frame": true/s//"is_key_frame": false/'
damage sample_data '2s/"ego_pose_token": "./"ego_pose_token": "x/'
damage ego_pose '2s/"rotation": \[[-0-9.e]*/"rotation": [0.5/'
damage sample '2s/"timestamp": 17/"timestamp": 18/'
damage sample_annotation '2s/"num_lidar_pts": /"num_lidar_pts": -/'
damage sample_annotation '2s/"size": \[[-0-9.e]*/"size": [-1/'
damage instance '2s/"nbr_annotations": [0-9]*/"nbr_annotations": 99/'
damage scene 's/"nbr_samples": [0-9]*/"nbr_samples": 99/'
damage visibility 's/v0-40/v0-30/'
rm "$(find "$folder/a/nuscenes/sweeps" -name '*.jpg' | head -n 1)"
check "$folder/a" >/dev/null && fail "a missing picture was not seen"
# Sweeps: boxes that have points at all, and every number of points is that of the sweep.
grep -qE '"num_lidar_pts": [1-9][0-9]' "$folder/a/nuscenes/v1.0-kinora/sample_annotation.json" || fail "no box has ten points"
damage sample_annotation '2,$s/"num_lidar_pts": [0-9]*/"num_lidar_pts": 2222/' c
damage sample_annotation '2,$s/"num_lidar_pts": [1-9][0-9][0-9]*/"num_lidar_pts": 0/' c
damage lidarseg '2s/"sample_data_token": "./"sample_data_token": "x/' c
damage calibrated_sensor 's/"camera_intrinsic": \[\]/"camera_intrinsic": [1]/' c
sweep=$(find "$folder/c/nuscenes/sweeps/LIDAR_TOP" -name '*.pcd.bin' | head -n 1)
[ "$(find "$folder/c/nuscenes/sweeps/LIDAR_TOP" "$folder/c/nuscenes/samples/LIDAR_TOP" -name '*.pcd.bin' | wc -l)" = 8 ] || fail "not a sweep for each frame"
printf x >> "$sweep"
check "$folder/c" >/dev/null && fail "a broken sweep was not seen"
exit 0
