#!/usr/bin/env bash
# tools/style_sheet.sh KINORA OUT.jpg CLIP[@SECONDS] ...: one row for the sources and one for each look, three frames of each
# clip (the first, seventh and thirteenth from SECONDS on) side by side. What docs/pictures/style.jpg is made with.
set -eu
[ $# -ge 3 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
kinora=$1 out=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
looks=(source anime ink gouache pencil clay)
count=$#
for ((i = 0; i < count; i++)); do
    clip=$1
    shift
    seconds=0
    case $clip in *@*) seconds=${clip##*@} clip=${clip%@*} ;; esac
    ffmpeg -v error -ss "$seconds" -i "$clip" -frames:v 13 -an \
        -vf "scale=480:320:force_original_aspect_ratio=increase,crop=480:320,format=gbrp" -c:v ffv1 "$work/$i-source.mkv"
    for look in "${looks[@]:1}"; do
        "$kinora" style "$work/$i-source.mkv" --look "$look" -o "$work/$i-$look.mkv" -q
    done
done
inputs=() stacked="" rows=""
for ((r = 0; r < ${#looks[@]}; r++)); do
    for ((i = 0; i < count; i++)); do
        inputs+=(-i "$work/$i-${looks[r]}.mkv")
        n=$((r * count + i))
        stacked+="[$n]select='not(mod(n,6))',scale=216:144:flags=area,tile=3x1[c$n];"
    done
    for ((i = 0; i < count; i++)); do stacked+="[c$((r * count + i))]"; done
    stacked+="hstack=inputs=$count[r$r];"
    rows+="[r$r]"
done
ffmpeg -v error -y "${inputs[@]}" -filter_complex "${stacked}${rows}vstack=inputs=${#looks[@]}" -frames:v 1 -q:v 3 "$out"
