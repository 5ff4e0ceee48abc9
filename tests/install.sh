#!/usr/bin/env bash
# install.sh BUILD: installs into a temporary folder, builds programs of samples/ against what was installed, in C and C++, and runs them.
set -eu
build=$1 root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
fail() { echo "install: $*"; exit 1; }
cmake --install "$build" --prefix "$root" >"$root/log" || fail "$(tail -3 "$root/log")"
pc=$(dirname "$(find "$root" -name kinora.pc)")
export PKG_CONFIG_PATH=$pc LD_LIBRARY_PATH=${pc%/pkgconfig}
sed -i "s|^prefix=.*|prefix=$root|" "$pc/kinora.pc"
"$root/bin/kinora" check "$root/share/kinora/samples/drive/empty.xosc" >/dev/null || fail "the installed command does not run"
# A man page for every verb with all its options, and completion that knows them.
for verb in $("$root/bin/kinora" help | sed -n 's/^  \([a-z][a-z]*\)  *.*/\1/p'); do
  page=$root/share/man/man1/kinora-$verb.1
  [ -s "$page" ] || fail "$verb has no man page"
  [ "$("$root/bin/kinora" help "$verb" | grep -cE '^  (-[a-z], )?--')" = "$(grep -c '^\.TP$' "$page")" ] || fail "$page lacks options"
done
completed=$(bash -c '. "$1"; COMP_WORDS=(kinora drive --ego-s); COMP_CWORD=2; _kinora; echo "${COMPREPLY[*]}"' - "$root/share/bash-completion/completions/kinora")
[ "$completed" = --ego-speed ] || fail "completion of drive --ego-s: $completed"
for program in drive mesh; do
  # shellcheck disable=SC2046
  ${CC:-cc} -Wall -Werror "samples/programs/$program.c" $(pkg-config --cflags --libs kinora) -o "$root/$program" || fail "$program.c does not build"
done
"$root/mesh" "$root/share/kinora/samples/mesh/transforms.json" | grep -q 'focal length' || fail "mesh does not run"
"$root/drive" "$root/share/kinora/samples/drive/empty.xosc" control "$root/out" 1 2>"$root/log" || fail "drive: $(tail -1 "$root/log")"
[ -s "$root/out/CAM_FRONT.mp4" ] || fail "drive made no video"
# Everything that is seen is declared in a header, and the other way round.
nm -D --defined-only "$LD_LIBRARY_PATH/libkinora.so" | awk '$2 == "T" || $2 == "D" || $2 == "R" || $2 == "B" {sub("@.*", "", $3); print $3}' | sort -u >"$root/seen"
cat "$root"/include/kinora/*.h >"$root/all.h"
while read -r name; do grep -q "\b$name(" "$root/all.h" || fail "$name is seen but not declared"; done <"$root/seen"
printf '#include "kinora/version.h"\n#include <stdio.h>\nint main() { puts(kn_version_text()); return !kn_version_serves(KN_VERSION_NUMBER); }\n' >"$root/t.cpp"
# shellcheck disable=SC2046
${CXX:-c++} "$root/t.cpp" $(pkg-config --cflags --libs kinora) -o "$root/t" && "$root/t" >/dev/null || fail "a C++ program does not run"
echo "install: $(wc -l <"$root/seen") functions"
