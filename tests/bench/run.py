"""make bench: prints a table; exits with 1 if a delivery was wrong. Times do not affect the status.

usage: run.py --build DIRECTORY [--rounds N] [quick] [FIGURE…]    figures by a part of their names
"""

import argparse
import os
import platform
import resource
import signal
import sys
import tempfile
import time

import figure
import figures_live
import figures_log  # noqa: F401 (adds its figures)
import figures_mirror  # noqa: F401
import figures_streams  # noqa: F401
import noise
import report
import rig

SPARE_FILES = 500


class Bench:
    """The sizes of a mode, and the rounds of its runs."""

    def __init__(self, the_rig, quick, named):
        self.rig = the_rig
        self.noise = noise.Noise(patience_s=5 if quick else 120)
        self.repeats = 1 if quick else 3
        self.slow_repeats = 1  # of figures that take long or vary little
        self.shared_repeats = 3 if named and not quick else 1
        self.live_s = 0.5 if quick else 2
        self.worst_s = 0.3 if quick else 1
        self.shared_s = 30 if named and not quick else 1 if quick else 6
        self.opens = 100 if quick else 500
        self.lone_rate = 50 if quick else 40
        self.settled_s = 1 if quick else 5
        self.idle_s = 1 if quick else 16
        self.recheck_s = 1 if quick else 6
        self.stalled_mib = 16 if quick else 64
        self.beside_rows = 20000 if quick else 100000
        self.rare_rows = 20000 if quick else 1000000
        self.rare_crowd = 20 if quick else 50
        self.paid_rows = 10000 if quick else 100000
        self.written = 1000 if quick else 5000
        self.long_named = 20 if quick else 100
        self.mirror_rows = 100 if quick else 600
        self.commits_s = 1 if quick else 2
        self.followed_rows = 10000 if quick else 100000
        self.initial_rows = 20000 if quick else 1000000
        self.mirror_counts = (1, 2) if quick else (1, 2, 8)
        self.fit(quick)

    def fit(self, quick):
        """How many streams the open-files limit allows: a web server needs two files for each."""
        room = self.rig.files - SPARE_FILES
        self.most = 2000 if quick else 100000
        self.sharing = 1 if self.most <= room else -(-self.most // (room * 2 // 3))  # processes, with room to spare
        self.many = min(2000 if quick else 10000, room)
        self.fronted = min(1000, room // 2)
        self.crowd = min(1000, room)
        self.stalled = min(500, room)
        self.fronts = (None, "http", "nginx") if quick else (None, "http", "nginx", "lighttpd")
        self.crowds = [(front, self.fronted) for front in self.fronts]
        self.storms = [(self.crowd, None), (self.crowd, "http"), (self.fronted, "nginx")]
        self.memories = [("http", self.many, None), ("nginx", self.fronted, 1)]
        self.fews = [10] if quick else [10, 100]
        long = 50000 if quick else 1000000
        self.replays = [(long, None, None), (long, "http", None), (long, "nginx", None)]
        if not quick:
            self.crowds += [(None, self.many), ("http", self.many)]
            self.storms += [(self.many, None)]
            self.memories += [(None, self.many, None), ("http", 1000, 1), ("http", 100, 1), ("nginx", 100, 1)]
            self.replays += [(n, front, 1) for n in (10000, 100000) for front in (None, "http", "nginx")]

    def stack(self, *arguments, **options):
        """A fresh responder; see rig.Stack."""
        return rig.Stack(self.rig, *arguments, **options)

    def rounds(self, plans, repeats=None):
        """Runs each plan in turn, as often as said, else as the mode says; {name: [result, …]}."""
        results = {name: [] for name in plans}
        for _ in range(repeats or self.repeats):
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


def machine():
    """What it runs on, in words."""
    return f"{processor()}, {os.cpu_count()} processors, Linux {platform.release()}"


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--rounds", type=int, help="of each figure; 3, quick 1")
    parser.add_argument("words", nargs="*", help="quick; parts of names of figures")
    arguments = parser.parse_args()
    quick = "quick" in arguments.words
    wanted = [word for word in arguments.words if word != "quick"]
    chosen = [
        function
        for function in figure.FIGURES
        if not wanted or any(word.replace("-", "_") in function.__name__ for word in wanted)
    ]
    return arguments, quick, wanted, chosen


def main():
    """Measures, and prints the circumstances."""
    arguments, quick, wanted, chosen = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends everything on the way out
    sys.stdout.reconfigure(line_buffering=True)
    files = raise_file_limit()
    the_rig = rig.Rig(arguments.build, files)
    bench = Bench(the_rig, quick, wanted)
    bench.repeats = arguments.rounds or bench.repeats
    began = time.monotonic()
    kept = the_rig.build / "bench" / ("quick.json" if quick else "bench.json")
    print(
        f"{machine()}.\n"
        f"{files:,} open files a process: up to {bench.many:,} streams direct, "
        f"{bench.fronted:,} through a web server.\n"
        f"Rows of {rig.ROW_LENGTH} bytes; medians of {bench.repeats}, ranges in brackets."
    )
    with tempfile.TemporaryDirectory(prefix="rowtail-bench.") as directory:
        os.chmod(directory, 0o755)
        the_rig.use_directory(directory)
        try:
            figures_live.checks(bench)
            report.heading()
            for function in chosen:
                report.begin(function.__name__)
                function(bench)
                report.save(kept, machine())
        except rig.Failure as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return 1
    print(f"\n{bench.noise.sentence()}; {time.monotonic() - began:.0f} s in all.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
