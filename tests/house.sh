#!/usr/bin/env bash
# Who may include whom (docs/architecture.md), circles and sizes: fails with the offending lines.
cd "$(dirname "$0")/.." || exit 1
status=0

# forbid PATTERN WHAT FOLDER...: no file of these folders has a line that matches.
forbid() {
    local pattern=$1 what=$2
    shift 2
    if grep -rnE --include='*.c' --include='*.h' "$pattern" "$@"; then
        echo "house: $what" >&2
        status=1
    fi
}

python3 tests/house.py || status=1
others='base scene diffusion encoders mesh pipelines cli include'
forbid '#include [<"](vulkan|vk_)' 'Vulkan headers belong to gpu/' $others
forbid '#include [<"]lib(av|sw)' 'libav headers belong to encoders/' gpu ${others/encoders /}
forbid '\b(getenv|secure_getenv)\(' 'only cli/ reads the environment' base scene diffusion encoders mesh pipelines
# gpu/wide.c sets the driver's vector width and cache folder, which exist only as environment variables (docs/gpu.md).
forbid '\b(getenv|secure_getenv)\(' 'only cli/ reads the environment' $(ls gpu/*.[ch] | grep -v gpu/wide.c)
forbid '\b(exit|abort)\(' 'a library never ends the process' base gpu scene diffusion encoders mesh pipelines
exit $status
