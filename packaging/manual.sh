#!/bin/sh
# manual.sh KINORA FOLDER: man pages and shell completion from the command's own help texts.
set -eu
kinora=$1 out=$2
mkdir -p "$out/man1"
version=$("$kinora" version | sed 's/.* //')
verbs=$("$kinora" help | sed -n 's/^  \([a-z][a-z]*\)  *.*/\1/p')

# The page of one verb from its help on standard input: usage lines, a description, a table of options.
page='
function plain(text) { gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text); if (text ~ /^[.\x27]/) text = "\\&" text; return text }
BEGIN { printf ".TH KINORA%s 1 \"\" \"kinora %s\"\n.SH NAME\nkinora%s \\- %s\n.SH SYNOPSIS\n.nf\n", \
        toupper(verb ? "-" verb : ""), version, verb ? "\\-" verb : "", plain(what) }
/^usage: / { print plain(substr($0, 8)); next }
part == "" && /^       / { print plain(substr($0, 8)); next }
/^  (-[a-z], )?--/ {
    if (part != "options") { if (part == "") print ".fi"; print ".SH OPTIONS"; part = "options" }
    name = substr($0, 3); help = ""
    at = match(name, /   *[^ ]/)
    if (at) { help = substr(name, at); sub(/^ +/, "", help); name = substr(name, 1, at - 1) }
    printf ".TP\n.B %s\n%s\n", plain(name), plain(help); next
}
/^$/ { if (part == "text") print ".PP"; next }
{ if (part != "text") { if (part == "") print ".fi"; print ".SH " (part == "options" ? "NOTES" : "DESCRIPTION"); part = "text" }
  if ($0 ~ /^  /) print ".br"; print plain($0) }
END { if (part == "") print ".fi"; print ".SH SEE ALSO"; print seen }'

what_of() { "$kinora" help | sed -n "s/^  $1  *//p"; }
options_of() { "$kinora" "$1" --help | sed -nE 's/^  (-[a-z], )?(--[a-z0-9-]+).*/\2/p' | tr '\n' ' '; }
# "--codec h264|hevc" of an option whose help ends in ": a|b|c"
choices_of() { "$kinora" "$1" --help | sed -nE 's/^  (-[a-z], )?(--[a-z0-9-]+) .*: ([^ :|]+(\|[^ |]+)+)$/\2 \3/p'; }

see=''
for verb in $verbs; do see="$see${see:+, }kinora\\-$verb(1)"; done
"$kinora" help | sed '1s/.*/usage: kinora VERB [OPTIONS]/' | awk -v verb= -v version="$version" -v seen="$see" \
    -v what='scene descriptions into controlled, consistent video' "$page" > "$out/man1/kinora.1"
for verb in $verbs; do
    "$kinora" "$verb" --help | awk -v verb="$verb" -v version="$version" -v seen='kinora(1)' -v what="$(what_of "$verb")" \
        "$page" > "$out/man1/kinora-$verb.1"
done

{
    echo "# bash completion of kinora"
    echo '_kinora() {'
    echo '    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} options='
    echo '    if ((COMP_CWORD == 1)); then'
    echo "        COMPREPLY=(\$(compgen -W '$(echo $verbs) help version' -- \"\$word\")); return"
    echo '    fi'
    echo '    case $verb$before in'
    for verb in $verbs; do
        choices_of "$verb" | while read -r option choices; do
            echo "    $verb$option) COMPREPLY=(\$(compgen -W '$(echo "$choices" | tr '|' ' ')' -- \"\$word\")); return ;;"
        done
    done
    echo '    esac'
    echo '    case $verb in'
    for verb in $verbs; do echo "    $verb) options='$(options_of "$verb")' ;;"; done
    echo "    help) options='$(echo $verbs)' ;;"
    echo '    esac'
    echo '    if [[ $word == -* || $verb == help ]]; then COMPREPLY=($(compgen -W "$options" -- "$word"))'
    echo '    else COMPREPLY=($(compgen -f -- "$word")); fi'
    echo '}'
    echo 'complete -o filenames -F _kinora kinora'
} > "$out/kinora.bash"

{
    echo '#compdef kinora'
    echo 'local -a verbs; verbs=('
    for verb in $verbs; do echo "  '$verb:$(what_of "$verb" | sed "s/'/'\\\\''/g; s/:/\\\\:/g")'"; done
    echo ')'
    echo 'if ((CURRENT == 2)); then _describe verb verbs; return; fi'
    echo 'case ${words[2]} in'
    for verb in $verbs; do
        printf '%s' "$verb) _arguments '*:file:_files'"
        for option in $(options_of "$verb"); do
            choices=$(choices_of "$verb" | sed -n "s/^$option //p" | head -1 | tr '|' ' ')
            if [ -n "$choices" ]; then printf " '%s:value:(%s)'" "$option" "$choices"; else printf " '%s'" "$option"; fi
        done
        echo ' ;;'
    done
    echo 'esac'
} > "$out/kinora.zsh"
