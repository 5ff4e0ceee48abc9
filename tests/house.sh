#!/usr/bin/env bash
# Who may include whom (docs/architecture.md): fails with the offending lines.
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

forbid '#include [<"](vulkan|vk_)' 'Vulkan headers belong to gpu/' base scene diffusion encoders mesh pipelines cli include
forbid '#include [<"]lib(av|sw)' 'libav headers belong to encoders/' base gpu scene diffusion mesh pipelines cli include
forbid '#include "(gpu|scene|diffusion|encoders|mesh|pipelines|cli)/' 'base/ includes no module' base
forbid '#include "(scene|diffusion|encoders|mesh|pipelines|cli)/' 'gpu/ includes only base/' gpu
forbid '#include "(diffusion|encoders|mesh|pipelines|cli)/' 'scene/ includes only gpu/ and base/' scene
forbid '#include "(scene|encoders|mesh|pipelines|cli)/' 'diffusion/ includes only gpu/ and base/' diffusion
forbid '#include "(scene|diffusion|mesh|pipelines|cli)/' 'encoders/ includes only gpu/ and base/' encoders
forbid '#include "(scene|diffusion|encoders|pipelines|cli)/' 'mesh/ includes only gpu/ and base/' mesh
forbid '#include "cli/' 'pipelines/ does not include cli/' pipelines
forbid '\b(getenv|secure_getenv)\(' 'only cli/ reads the environment' base scene diffusion encoders mesh pipelines
# gpu/wide.c sets the driver's vector width and cache folder, which exist only as environment variables (docs/gpu.md).
forbid '\b(getenv|secure_getenv)\(' 'only cli/ reads the environment' $(ls gpu/*.[ch] | grep -v gpu/wide.c)
forbid '\b(exit|abort)\(' 'a library never ends the process' base gpu scene diffusion encoders mesh pipelines
exit $status
