"""make bench-peers: the same load on rowtail, on what a user would take instead, and on a bare writer (the floor).

usage: peers.py --build DIRECTORY [--rounds N] [quick] [N…] [catchup]    numbers of streams; catchup: one client over a long log

Each round starts every peer once, one after another, so that noise affects all alike. The table shows medians.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from typing import NamedTuple

import rig  # first: it makes tests/lib known
import noise
import peerstack
import report
import run as bench_run

SETTLE_S = 0.3
LATE_S = 1.5  # for the last row to reach everybody
OURS = ("floor", "rowtail")


class Peer(NamedTuple):
    title: str
    kind: str
    front: str = "http"
    files: int = 1  # open files for each stream in its busiest process
    most: int = 100000  # streams


PEERS = [
    Peer("a bare writer", "floor"),
    Peer("rowtail --http", "rowtail"),
    Peer("rowtail behind nginx", "rowtail", "nginx", files=2),
    Peer("nchan", "nchan"),
    Peer("better-sse, Node.js", "node"),
    Peer("Pushpin", "pushpin"),
    Peer("PHP-FPM loop", "php", files=2, most=1000),
]
COLUMNS = (
    ("p50", "p50 ms"), ("p99", "p99 ms"), ("cpu", "CPU us/delivery"), ("memory", "kB/stream"), ("wrong", "wrong"),
)  # fmt: skip


def live(the_rig, peer, streams, rate, rows):
    """Streams that follow rows at a steady rate: latency, CPU and memory, and how many deliveries were wrong."""
    options = {} if peer.kind in OURS else {"any-id": True}
    with peerstack.PeerStack(the_rig, peer.kind, peer.front, streams) as stack:
        with stack.load(rounds=5, **options) as load:  # what is made once is made
            load.wait_open()
            load.wait_done(check=False)
        time.sleep(SETTLE_S)
        before_kib = stack.idle_kib()
        with stack.load(streams=streams, hold=True, **options) as load:
            load.wait_open()
            time.sleep(SETTLE_S)
            used = stack.cpu_seconds()
            rig.published(stack.publish(rows, rate=rate))
            time.sleep(LATE_S if peer.kind == "php" or streams >= 5000 else SETTLE_S)
            used = stack.cpu_seconds() - used
            memory = stack.pss_kib() - before_kib
            load.order("stop")
            told = load.wait_done(check=False)
    wrong = sum(told[name] for name in load.wrong)
    return {
        "p50": told["delivery_us"]["p50"] / 1e3,
        "p99": told["delivery_us"]["p99"] / 1e3,
        "cpu": 1e6 * used / max(1, told["events"]),
        "memory": max(0.01, memory * 1.024 / streams),
        "wrong": wrong + max(0, rows * streams - told["events"]),
    }


def catch_up(the_rig, peer, rows):
    """Rows a second that one client gets which asks for everything."""
    options = {} if peer.kind in OURS else {"any-id": True}
    with peerstack.PeerStack(the_rig, peer.kind, peer.front, rows=rows) as stack:
        with stack.load(**{"from": 0}, until=rows, **options) as load:
            load.wait_open()
            told = load.wait_done(check=False)
    wrong = sum(told[name] for name in load.wrong)
    if not told["reach_us"]["max"]:
        raise rig.Failure(f"{peer.title} did not send all: {told}")
    return {"rate": 1e6 * rows / told["reach_us"]["max"], "wrong": wrong}


def rounds(repeats, peers, quiet, measure):
    """{peer: [what measure(peer) returned, …]}, interleaved."""
    told = {peer: [] for peer in peers}
    for _ in range(repeats):
        for peer in peers:
            quiet.wait_quiet()
            try:
                with noise.Watch() as watch:
                    told[peer].append(measure(peer))
                quiet.add(watch)
            except rig.Failure as failure:
                if peer.kind in OURS:
                    raise
                print(f"{peer.title} failed: {failure}")
    return {peer: runs for peer, runs in told.items() if runs}


def table(first, names, lines):
    """Prints one table; a line is a title and a cell for each name."""
    widths = [44, *(max(16, len(name)) for name in names)]
    for cells in ((first, *names), tuple("-" * width for width in widths), *lines):
        print(" ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip(), flush=True)
    print()


def show_live(the_rig, quiet, streams, quick, repeats):
    """The table of so many streams."""
    room = the_rig.files - bench_run.SPARE_FILES
    counts = {p: min(streams, room // p.files, p.most) for p in peers_here()}
    for peer in [peer for peer in counts if counts[peer] < 0.9 * streams]:
        print(f"{peer.title}: {counts.pop(peer):,} streams at most here")
    rate, rows = (20, 8 if quick else 60) if streams < 5000 else (2, 10)
    told = rounds(repeats, counts, quiet, lambda peer: live(the_rig, peer, counts[peer], rate, rows))
    lines = []
    for peer, runs in told.items():
        title = peer.title if counts[peer] == streams else f"{peer.title} (N={counts[peer]:,})"
        lines.append((title, *(report.spread([one[name] for one in runs]) for name, _ in COLUMNS)))
        report.begin(f"{streams}")
        for name, head in COLUMNS:
            report.keep(peer.title, head, [one[name] for one in runs])
        for plot, name in (("latency", "p50"), ("cpu", "cpu"), ("memory", "memory")):
            report.point(plot, peer.title, counts[peer], [one[name] for one in runs])
    table(f"N={streams:,}, {rate} rows/s of {rig.ROW_LENGTH} bytes", [head for _, head in COLUMNS], lines)


def show_catch_up(the_rig, quiet, rows, repeats):
    """The table of one client that catches up."""
    here = [peer for peer in peers_here() if peer.kind != "pushpin"]  # it keeps no history
    told = rounds(repeats, here, quiet, lambda peer: catch_up(the_rig, peer, rows))
    lines = []
    report.begin("catchup")
    for peer, runs in told.items():
        rates, wrong = ([one[name] for one in runs] for name in ("rate", "wrong"))
        lines.append((peer.title, report.spread([rate / 1e3 for rate in rates]), report.spread(wrong)))
        report.keep(peer.title, "rows/s", rates)
        report.point("catchup", peer.title, rows, rates)
    table(f"one client catches up {rows:,} rows", ["1,000 rows/s", "wrong"], lines)


def peers_here():
    return [peer for peer in PEERS if not peerstack.missing(peer.kind)]


def main():
    """Measures, and prints the circumstances."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--rounds", type=int, help="of each peer; 3, quick 1")
    parser.add_argument("words", nargs="*", help="quick; numbers of streams; catchup")
    arguments = parser.parse_args()
    quick = "quick" in arguments.words
    wanted = [word for word in arguments.words if word != "quick"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends everything on the way out
    repeats = arguments.rounds or (1 if quick else 3)
    files = bench_run.raise_file_limit()
    the_rig = rig.Rig(arguments.build, files)
    quiet = noise.Noise(patience_s=5 if quick else 120)
    began = time.monotonic()

    def keep():
        name = "peers-quick.json" if quick else "peers.json"
        report.save(the_rig.build / "bench" / name, bench_run.machine())

    print(f"{bench_run.machine()}. {files:,} open files a process. Medians of {repeats}, ranges in brackets.")
    for peer in PEERS:
        if package := peerstack.missing(peer.kind):
            print(f"Left out: {peer.title}, which needs {package}: sh tests/deps.sh build bench")
    print()
    with tempfile.TemporaryDirectory(prefix="rowtail-peers.") as directory:
        os.chmod(directory, 0o755)
        the_rig.use_directory(directory)
        try:
            for streams in [20] if quick else [10, 100, 1000, 10000]:
                if not wanted or str(streams) in wanted:
                    show_live(the_rig, quiet, streams, quick, repeats)
                    keep()
            if not wanted or "catchup" in wanted:
                show_catch_up(the_rig, quiet, 1000 if quick else 20000, repeats)
                keep()
        except rig.Failure as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return 1
    print(f"{quiet.sentence()}; {time.monotonic() - began:.0f} s in all.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
