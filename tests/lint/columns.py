#!/usr/bin/env python3
"""Finds lines of C with more than 100 columns, for make lint: clang-format leaves comments alone.

usage: columns.py FILE...

What a test links is one line, since the Makefile reads it with sed. Exits with 1 if a line is too long.
"""

import re
import sys
from pathlib import Path

COLUMNS = 100
LINKED = re.compile(r"\b(links|libs):")


def too_long(path):
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        if len(line.expandtabs(8)) > COLUMNS and not LINKED.search(line):
            yield f"{path}:{number}: more than {COLUMNS} columns"


if __name__ == "__main__":
    wrong = [line for path in sys.argv[1:] for line in too_long(path)]
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)
