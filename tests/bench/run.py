"""make bench: prints a table; exits with 1 if a delivery was wrong. Times do not affect the status.

usage: run.py --build DIRECTORY [quick] [FIGURE…]    figures by a part of their names
"""

import argparse
import os
import platform
import resource
import signal
import sys
import tempfile
import time

import figures
import noise
import report
import rig

SPARE_FILES = 500


class Bench:
    """The sizes of a mode, and the rounds of its runs."""

    def __init__(self, the_rig, quick):
        self.rig = the_rig
        self.noise = noise.Noise(patience_s=5 if quick else 180)
        self.repeats = 1 if quick else 3
        self.fronts = (None, "nginx") if quick else (None, "nginx", "lighttpd")
        self.live_s = 1 if quick else 5
        self.worst_s = 0.7 if quick else 3
        self.shared_s = 3 if quick else 30
        self.opens = 100 if quick else 500
        self.lone_rate = 50 if quick else 40
        self.idle_s = 3 if quick else 16
        self.stalled_mib = 16 if quick else 64
        self.replay_rows = 100000
        self.fit(quick)

    def fit(self, quick):
        """How many streams the open-files limit allows: a web server needs two files for each."""
        room = self.rig.files - SPARE_FILES
        self.many = min(10000, room)
        self.fronted = min(1000, room // 2)
        self.crowd = min(1000, room)
        self.stalled = min(500, room)
        self.storms = [(self.crowd, None), (self.fronted, "nginx"), (self.many, None)]
        if quick:
            self.storms.pop()

    def stack(self, *arguments, **options):
        """A fresh responder; see rig.Stack."""
        return rig.Stack(self.rig, *arguments, **options)

    def rounds(self, plans):
        """Runs each plan in turn, as often as the mode says; {name: [result, …]}."""
        results = {name: [] for name in plans}
        for _ in range(self.repeats):
            for name, run in plans.items():
                self.noise.wait_quiet()
                with noise.Watch() as watch:
                    results[name].append(run())
                self.noise.add(watch)
        return results


def raise_file_limit():
    """Raises the open-files limit as far as the system allows; the children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def processor():
    """What /proc/cpuinfo calls the processor."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        return next(names, "unknown processor")


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("words", nargs="*", help="quick; parts of names of figures")
    arguments = parser.parse_args()
    quick = "quick" in arguments.words
    wanted = [word for word in arguments.words if word != "quick"]
    chosen = [
        function
        for function in figures.FIGURES
        if not wanted or any(word.replace("-", "_") in function.__name__ for word in wanted)
    ]
    return arguments.build, quick, chosen


def main():
    """Measures, and prints the circumstances."""
    build, quick, chosen = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends everything on the way out
    sys.stdout.reconfigure(line_buffering=True)
    files = raise_file_limit()
    the_rig = rig.Rig(build, files)
    bench = Bench(the_rig, quick)
    began = time.monotonic()
    print(
        f"{processor()}, {os.cpu_count()} processors, Linux {platform.release()}.\n"
        f"{files:,} open files a process: up to {bench.many:,} streams direct, "
        f"{bench.fronted:,} through a web server.\n"
        f"Rows of {rig.ROW_LENGTH} bytes; medians of {bench.repeats}, ranges in brackets."
    )
    with tempfile.TemporaryDirectory(prefix="rowtail-bench.") as directory:
        os.chmod(directory, 0o755)
        the_rig.use_directory(directory)
        try:
            figures.checks(bench)
            report.heading()
            for function in chosen:
                function(bench)
        except rig.Failure as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return 1
    print(f"\n{bench.noise.sentence()}; {time.monotonic() - began:.0f} s in all.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
