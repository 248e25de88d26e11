#!/usr/bin/env python3
"""Checks which files of fcgi/ include which, for make lint.

usage: floors.py [DIRECTORY]    fcgi by default

- A folder includes only from itself and from the folders before it in FLOORS, less its NEVER.
- X_impl.h belongs to the family X: only X.c and X_*.c include it, and its first comment names them.
- Modules of one folder include each other in one direction only. A module is the files X.c and X.h,
  or a family. Files of one family may call each other in circles.
- CONTRIBUTING.md's table of folders names each module with a header, and no others.

Prints a line with both names for each include that is wrong, and exits with 1 if there is one.
"""

import re
import sys
from pathlib import Path

FLOORS = ("base", "config", "log", "protocol", "stream", "request", "access", "track", "server", "check", "mirror", "publish", "doctor")
NEVER = {
    "protocol": {"config"},
    "stream": {"config"},
    "request": {"config", "protocol", "stream"},
    "access": {"protocol", "stream"},
    "track": {"protocol", "stream", "request", "access"},
    "check": {"stream", "request"},
    "mirror": {"stream", "access"},
    "publish": {"stream", "track", "check", "mirror"},
    "doctor": {"config", "log", "protocol", "stream", "request", "track", "server", "check", "mirror", "publish"},
}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]*)"', re.MULTILINE)
FIRST_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
IMPL = "_impl.h"
ROW = re.compile(r"^\| `(\w+)` \| (.*?) \|", re.MULTILINE)  # folder, what it owns
NAME = re.compile(r"`(\w+)`")


class Tree:
    """The files of fcgi/, by their relative names, and what each includes."""

    def __init__(self, root):
        self.root = root
        paths = sorted([*root.glob("*.[ch]"), *root.glob("*/*.[ch]")])
        self.text = {path.relative_to(root).as_posix(): path.read_text() for path in paths}
        self.includes = {name: INCLUDE.findall(text) for name, text in self.text.items()}

    def pairs(self):
        """(file, included file), for each include that is found."""
        for name, included in self.includes.items():
            yield from ((name, other) for other in included if other in self.text)

    def label(self, name):
        return f"{self.root.name}/{name}"


def folder(name):
    """"" for main.c, which may include everything."""
    return name.rpartition("/")[0]


def missing(tree):
    for name, included in tree.includes.items():
        for other in included:
            if other not in tree.text:
                yield f'{tree.label(name)} includes "{other}", which is not there: write "folder/file.h"'


def strangers(tree):
    for name in tree.text:
        if folder(name) and folder(name) not in FLOORS:
            yield f"{tree.label(name)} is in a folder that FLOORS of tests/lint/floors.py does not have"


def above(tree):
    for name, other in tree.pairs():
        here, there = folder(name), folder(other)
        if here not in FLOORS or there not in FLOORS:
            continue
        if FLOORS.index(there) > FLOORS.index(here):
            yield f'{tree.label(name)} includes "{other}", but {there}/ is above {here}/'
        elif there in NEVER.get(here, ()):
            yield f'{tree.label(name)} includes "{other}", but {here}/ knows nothing of {there}/'


def family(name):
    """The stem of the family that an _impl.h belongs to."""
    return name.removesuffix(IMPL)


def strays(tree):
    for name, other in tree.pairs():
        if not other.endswith(IMPL):
            continue
        stem = family(other)
        comment = FIRST_COMMENT.search(tree.text[other])
        if not re.fullmatch(re.escape(stem) + r"(_\w+)?\.[ch]", name):
            yield f'{tree.label(name)} includes "{other}", which is for {stem}.c and {stem}_*.c only'
        elif name.endswith(".c") and (not comment or Path(name).name not in comment.group()):
            yield f'{tree.label(name)} includes "{other}", whose first comment does not name it'


def modules(tree):
    """{file: its module}"""
    module = {name: name.rpartition(".")[0] for name in tree.text}
    for name, other in tree.pairs():
        if other.endswith(IMPL):
            module[name] = module[other] = family(other)
    return module


def circles(tree):
    module = modules(tree)
    edges = {}
    for name, other in tree.pairs():
        if module[name] != module[other]:
            edges.setdefault(module[name], {}).setdefault(module[other], (name, other))
    for start, onwards in edges.items():
        for following, (name, other) in onwards.items():
            way_back = path(edges, following, start)
            if way_back:
                back = ", ".join(f"{tree.label(a)} includes {b}" for a, b in way_back)
                yield f'{tree.label(name)} includes "{other}" in a circle: {back}'


def unmapped(tree):
    table = dict(ROW.findall((Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text()))
    for floor in FLOORS:
        named = set(NAME.findall(table.get(floor, "")))
        files = {Path(name).stem: name for name in sorted(tree.text) if folder(name) == floor}
        for stem, name in files.items():
            if name.endswith(".h") and not name.endswith(IMPL) and stem not in named:
                yield f"CONTRIBUTING.md does not name {stem} ({tree.label(name)}) in the row of {floor}"
        for stem in sorted(named - set(files)):
            yield f"CONTRIBUTING.md names {stem} in the row of {floor}, which has no such file"


def path(edges, start, goal):
    """The includes that lead from one module to another; empty if there is no path."""
    found = {start: []}
    waiting = [start]
    for at in waiting:
        for following, include in edges.get(at, {}).items():
            if following not in found:
                found[following] = [*found[at], include]
                waiting.append(following)
    return found.get(goal, [])


def main(root):
    tree = Tree(root)
    if not tree.text:
        sys.exit(f"floors.py: {root} holds no C files")
    checks = (missing, strangers, above, strays, circles, unmapped)
    wrong = [line for check in checks for line in check(tree)]
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "fcgi"))
