"""Compares `make help` with the targets that the Makefiles have, and the parts of make test with both.

A target is what stands in .PHONY. Those whose name has a hyphen behind another's (builds-musl) or a slash are parts of it.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import all as parts  # noqa: E402

PARTS_OF_ANOTHER = re.compile(r"/|^builds-")


def make(*words):
    done = subprocess.run(["make", "-C", ROOT, *words], capture_output=True, text=True, check=False)
    return done.stdout


def not_compiled_again():
    """The C files that `make` takes for current although their headers have changed. Needs what `make` has built."""
    headers = [str(file.relative_to(ROOT)) for file in ROOT.glob("fcgi/*/*.h")]
    commands = make("-n", *(word for header in headers for word in ("-W", header)), "all")
    programs = ("mirror", "doctor") if "rowtail-mirror" in commands and "rowtail-doctor" in commands else ()
    for file in sorted(ROOT.glob("fcgi/**/*.c")):
        name = str(file.relative_to(ROOT))
        if file.parent.name in ("mirror", "doctor") and file.parent.name not in programs:
            continue
        if '#include "' in file.read_text() and name not in commands:
            yield name


def main():
    told = set(re.findall(r"(?m)^make (\S+)", make("--no-print-directory", "help")))
    phony = re.search(r"(?m)^\.PHONY: (.*)$", make("-pnq", ".PHONY")).group(1).split()
    real = {name for name in phony if not PARTS_OF_ANOTHER.search(name)}
    run = {*sum(parts.LANES + parts.ALONE, []), *parts.MORE, *parts.MORE_TORTURE}
    wrong = [f"lint: make help does not list {name}" for name in sorted(real - told)]
    wrong += [f"lint: make help lists {name}, which is no target" for name in sorted(told - real)]
    wrong += [f"lint: tests/all.py runs {name}, which is no target" for name in sorted(run - real)]
    wrong += [f"lint: make does not compile {name} again when a header changes" for name in not_compiled_again()]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
