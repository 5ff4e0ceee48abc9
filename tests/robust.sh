#!/usr/bin/env bash
# What takes too long for ./kinora test (docs/robustness.md):
#   tests/robust.sh sanitize     every test, a drive job and an eval with AddressSanitizer, UBSan and LeakSanitizer
#   tests/robust.sh validation   a drive job and an eval under the Vulkan validation layers
#   tests/robust.sh valgrind     the unit tests without a device and a tiny drive job under valgrind
# Exit code 0 when nothing was found. Builds into build-sanitize/ and build/; BUILD and SANITIZE name other folders.
set -u
cd "$(dirname "$0")/.." || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
build=${BUILD:-build} sanitize=${SANITIZE:-build-sanitize}
fail() { echo "robust.sh: $*" >&2; exit 1; }

# One camera of 48x32 pixels.
tiny_rig() {
    echo '{"cameras": [{"name": "only", "width": 48, "height": 32, "K": [[40, 0, 24], [0, 40, 16], [0, 0, 1]],
           "translation": [1, 0, 1.5], "rotation": [0.5, -0.5, 0.5, -0.5]}]}' >"$work/rig.json"
}

# silent FILE: nothing of a checker stands in the log.
silent() { ! grep -nE 'Sanitizer|runtime error|Validation|VUID|ERROR SUMMARY: [1-9]' "$1"; }

jobs() { # jobs PROGRAM OPTIONS...: a short job with all outputs, its measurement, and a resumed one
    local program=$1
    shift
    "$program" drive samples/drive/town.xosc -o "$work/a" --frames 2 --size 64x48 --model models/kinora-nano --labels depth,semantic,instance --progress off "$@" &&
        "$program" eval "$work/a" --progress off "$@" &&
        "$program" drive samples/drive/cut-in.xosc -o "$work/b" --frames 4 --size 64x48 --chunk 2 --model models/kinora-nano --weather rain --time dusk --progress off "$@"
}

case "${1:-}" in
sanitize)
    cmake -S . -B "$sanitize" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DKINORA_SANITIZE=ON >/dev/null && cmake --build "$sanitize" >"$work/log" || { tail -20 "$work/log"; fail "build"; }
    jobs "$sanitize/cli/kinora" >"$work/log" 2>&1 || { cat "$work/log"; fail "a job failed"; }
    silent "$work/log" || fail "findings in a drive job"
    ctest --test-dir "$sanitize" --output-on-failure || fail "findings in the tests"
    ;;
validation)
    jobs "$build/cli/kinora" --validation >"$work/log" 2>&1 || { cat "$work/log"; fail "a job failed"; }
    silent "$work/log" || fail "findings in a drive job"
    ;;
valgrind)
    # Criterion starts every test as a process of its own; KINORA_TEST_BRIEF: tests/unit/brief.h.
    for test in test_base unit_diffusion unit_formats test_options test_pipelines test_spirv_matrix test_scene test_junction test_world mesh_surface mesh_cameras test_encoders; do
        KINORA_TEST_BRIEF=1 valgrind --quiet --trace-children=yes --leak-check=full --errors-for-leak-kinds=definite --suppressions=tests/valgrind.supp \
            "$build/tests/unit/$test" -j1 >"$work/log" 2>&1 || { cat "$work/log"; fail "$test"; }
        ! grep -n '^==' "$work/log" || fail "findings in $test"
    done
    tiny_rig
    valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --suppressions=tests/valgrind.supp --keep-debuginfo=yes \
        "$build/cli/kinora" drive tests/pipeline/data/follow.xosc -o "$work/a" --rig "$work/rig.json" --frames 2 --model models/kinora-nano --no-surroundings --progress off \
        >"$work/log" 2>&1 || { cat "$work/log"; fail "valgrind"; }
    ;;
*)
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
    ;;
esac
echo "robust.sh $1: nothing found"
