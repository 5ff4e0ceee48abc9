"""The house rules (docs/architecture.md): who may include whom, no circles, sizes. Prints each offence; exit code 1.

The tables of modules and rooms are read from docs/architecture.md, so that the document is the rule."""
import fnmatch
import functools
import re
import subprocess
import sys

MODULES = "base gpu scene diffusion encoders mesh pipelines cli".split()
MOST_LINES, MOST_COLUMNS, MOST_FUNCTION = 600, 120, 60
offences = []


def offend(where, what):
    offences.append(f"{where}: {what}")


def files(*patterns):
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
                         capture_output=True, text=True, check=True).stdout
    return sorted(set(out.split("\n")) - {""})


def read(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError:  # deleted, not yet committed
        return ""


def tables():
    """What each module may include, and each module's rooms in order, as docs/architecture.md says."""
    allowed, rooms = {}, {}
    for line in read("docs/architecture.md").split("\n"):
        cells = [c.strip() for c in line.strip("|").split("|")]
        names = re.findall(r"`([a-z/]+?)/?`", cells[0])
        if not line.startswith("|") or len(names) != 1:
            continue
        name = names[0]
        if name in MODULES and len(cells) == 3:
            allowed[name] = {name} | set(re.findall(r"`([a-z]+)`", cells[2]))
        elif name.count("/") == 1 and name.split("/")[0] in MODULES:
            module, room = name.split("/")
            rooms.setdefault(module, []).append(room)
    return allowed, rooms


def code_only(text):
    """Without comments, strings and characters; lines stay where they are."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def room_of(path):
    parts = path.split("/")
    return (parts[0], parts[1]) if len(parts) == 3 else (parts[0], None)


@functools.cache
def internal_to(header):
    """The folder or the files that a header says it is internal to, "" when it says nothing."""
    match = re.search(r"\bInternal to\s(?:\s?\*\s)?([\w/*]+)", read(header)[:800])
    return match.group(1) if match and match.group(1) != "Kinora" else ""


def may_see(path, header):
    owner = internal_to(header)
    return not owner or path.startswith(owner) or fnmatch.fnmatch(path, owner + "*")


def check_includes(path, text, allowed, rooms):
    """The order of modules and of rooms."""
    module, room = room_of(path)
    if module in rooms and room not in rooms[module]:
        offend(path, f"lies in no room of {module}/ (docs/architecture.md)")
        return
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'#include "((\w+)/[\w/.]+)"', line)
        if not match or match.group(2) not in MODULES:
            continue
        target, (there, target_room) = match.group(1), room_of(match.group(1))
        if module not in ("tests", "tools", "samples") and there not in allowed[module]:
            offend(f"{path}:{number}", f"{module}/ may not include {there}/")
        elif there == module and module in rooms and rooms[module].index(target_room) > rooms[module].index(room):
            offend(f"{path}:{number}", f"{module}/{room} comes before {module}/{target_room} and may not include it")
        elif module != "tests" and not may_see(path, target):
            offend(f"{path}:{number}", f"{target} is internal to {internal_to(target)}")


def definitions(code):
    """Names of the functions and variables with external linkage that a C file defines."""
    names = set()
    for match in re.finditer(r"^(?!static|typedef|struct \w+ \{|enum|union|#|\}|extern)[A-Za-z_][^;{}#]*?"
                             r"\b(kn_\w+)(?=\((?:[^;{}]|\n)*?\)\s*\{|(?:\[[^\]\n]*\])* = )", code, flags=re.M):
        names.add(match.group(1))
    return names


def circles(edges):
    """Strongly connected components with more than one file (Tarjan 1972)."""
    index, low, stack, on, out = {}, {}, [], set(), []

    def visit(v):
        index[v] = low[v] = len(index)
        stack.append(v)
        on.add(v)
        for w in sorted(edges[v]):
            if w not in index:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in on:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            group = set()
            while v not in group:
                w = stack.pop()
                on.discard(w)
                group.add(w)
            if len(group) > 1:
                out.append(sorted(group))

    for v in sorted(edges):
        if v not in index:
            visit(v)
    return out


def check_circles(sources):
    """No two files need each other: a C file needs those that define what it names, any file those that it includes."""
    code = {path: code_only(read(path)) for path in sources}
    home = {name: path for path in sources if path.endswith(".c") for name in definitions(code[path])}
    edges = {}
    for path in sources:
        included = re.findall(r'^#include "([\w/.]+)"', read(path), flags=re.M)
        edges[path] = {target for target in included if target in code}
        if path.endswith(".c"):
            edges[path] |= {home[name] for name in set(re.findall(r"\bkn_\w+", code[path])) if name in home}
        edges[path].discard(path)
    for group in circles(edges):
        needs = [f"{a} -> {b}" for a in group for b in sorted(edges[a]) if b in group]
        offend(group[0], f"a circle of {len(group)} files: " + ", ".join(needs))


def check_sizes(path, text):
    if "Generated by" in text[:200]:
        return
    lines = text.split("\n")
    if len(lines) - 1 > MOST_LINES:
        offend(path, f"{len(lines) - 1} lines; {MOST_LINES} at most")
    for number, line in enumerate(lines, 1):
        if len(line) > MOST_COLUMNS:
            offend(f"{path}:{number}", f"{len(line)} columns; {MOST_COLUMNS} at most")


def check_functions(path, text):
    """A function begins with an indent of 0 and a parameter list, and ends with a brace in column 0."""
    start = None
    for number, line in enumerate(code_only(text).split("\n"), 1):
        if start is None and re.match(r"[A-Za-z_][\w *]*\(", line) and not line.rstrip().endswith(";"):
            start = number
        elif line.startswith("}"):
            if start and number - start + 1 > MOST_FUNCTION:
                offend(f"{path}:{start}", f"a function of {number - start + 1} lines; {MOST_FUNCTION} at most")
            start = None
        elif start and line.rstrip().endswith(";") and not line.startswith(" "):
            start = None


def main():
    allowed, rooms = tables()
    missing = set(MODULES) - set(allowed)
    if missing:
        sys.exit(f"house: docs/architecture.md has no row for {', '.join(sorted(missing))}")
    library = files(*(f"{m}/*.[ch]" for m in MODULES))
    everything = files("*.c", "*.h", "*.comp", "*.glsl", "*.cmake", "*CMakeLists.txt", "tests/house.*")
    for path in everything:
        text = read(path)
        check_sizes(path, text)
        if path.endswith((".c", ".h")):
            check_functions(path, text)
            if path.split("/")[0] in MODULES + ["tests", "tools", "samples"]:
                check_includes(path, text, allowed, rooms)
    check_circles(library)
    for line in offences:
        print(line)
    if offences:
        print(f"house: {len(offences)} offences", file=sys.stderr)
    return 1 if offences else 0


sys.exit(main())
