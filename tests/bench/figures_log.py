"""The figures of the log: catching up, coming back, tails of rare rows, and what publishers pay."""

import contextlib
import time

import pays
import report
import rig
from figure import KINDS, both, columns, figure, points, through


@figure
def replay(bench):
    """One client that asks for everything."""
    for rows, front, repeats in bench.replays:

        def run(kind, rows=rows, front=front):
            with bench.stack(kind, front, stored=rows) as stack:
                before = stack.cpu_seconds()
                options = {"from": 0, "until": rows}
                with stack.load(**options) as load:
                    load.wait_open()
                    told = load.wait_done()
                told["cpu_us"] = (stack.cpu_seconds() - before) * 1e6 / told["events"]
                return told

        runs = both(bench, run, repeats)
        values = columns(runs, lambda told: rows / told["reach_us"]["max"])
        report.line(f"catching up {rows:,} rows, N=1, {through(front)}", "M rows/s", *values)
        report.line("  CPU per row", "us", *columns(runs, lambda told: told["cpu_us"]))
        points("catchup", runs, front, rows, lambda told: 1e6 * rows / told["reach_us"]["max"])


@figure
def storm(bench):
    """All connect at once, each 100 rows behind."""
    stored = 1000
    for count, front in bench.storms:

        def run(kind, count=count, front=front):
            with bench.stack(kind, front, stored=stored) as stack:
                options = {"streams": count, "from": stored - 100, "until": stored}
                before = stack.cpu_seconds()
                with stack.load(**options) as load:
                    load.wait_open()
                    told = load.wait_done()
                told["cpu_us"] = (stack.cpu_seconds() - before) * 1e6 / count
                return told

        runs = both(bench, run, bench.repeats if count < 5000 else bench.slow_repeats)
        what = f"{count:,} come back at once, each 100 rows behind, {through(front)}"
        values = columns(runs, lambda told: told["elapsed_ms"])
        report.line(f"{what}: until all caught up", "ms", *values)
        report.line("  CPU per client", "us", *columns(runs, lambda told: told["cpu_us"]))


@figure
def beside_replay(bench):
    """The latency of live clients while another client replays the log over and over."""
    stored, rate, streams = bench.beside_rows, 100, 10
    count = round(rate * bench.live_s)

    def run(kind, replaying):
        with contextlib.ExitStack() as opened:
            stack = opened.enter_context(bench.stack(kind, stored=stored))
            live = opened.enter_context(stack.load(streams=streams, until=stored + count))
            live.wait_open()
            if replaying:
                options = {"from": 0, "until": stored, "rounds": 0}
                behind = opened.enter_context(stack.load(**options))
                behind.wait_open()
            publisher = stack.publish(count, rate=rate)
            told = live.wait_done()
            rig.published(publisher)
            if replaying:
                replayed = behind.stop()
                told["replayed"] = replayed["events"] / replayed["elapsed_ms"] / 1e3
            return told

    plans = {
        (kind, replaying): lambda kind=kind, replaying=replaying: run(kind, replaying)
        for kind in KINDS
        for replaying in (False, True)
    }
    runs = bench.rounds(plans)
    for name in ("p50", "p99"):
        columns = [[told["delivery_us"][name] / 1e3 for told in runs[kind, True]]
                   for kind in reversed(KINDS)]  # fmt: skip
        report.line(f"live, N={streams}, during an endless replay: {name}", "ms", *columns)
        alone = [[told["delivery_us"][name] / 1e3 for told in runs[kind, False]]
                 for kind in reversed(KINDS)]  # fmt: skip
        ratios = [[a / b for a, b in zip(*pair)] for pair in zip(columns, alone)]
        report.line(f"  {name} as a multiple of the value without the replay", "x", *ratios)
    replayed = [[told["replayed"] for told in runs[kind, True]] for kind in reversed(KINDS)]
    report.line("  throughput of the replaying client", "M rows/s", *replayed)




@figure
def rare(bench):
    """tail=10 of patterns with few or no rows, in a long log of 1,000 channels."""
    rows, crowd = bench.rare_rows, bench.rare_crowd
    for what, options in (
        ("no rows", {"query": "channel=a/*&tail=10"}),
        ("one row of 1,000", {"channels": 1000, "patterns": True, "tail": 10}),
    ):

        def run(options=options):
            with bench.stack("rowtail", stored=rows, channels=1000) as stack:
                before = stack.cpu_seconds()
                with stack.load(rounds=5, **options) as load:
                    load.wait_open()
                    one = load.wait_done()["open_us"]["p50"]
                used = (stack.cpu_seconds() - before) / 5
                with stack.load(streams=crowd, **options) as load:
                    load.wait_open()
                    return one / 1e3, load.wait_done()["open_us"]["max"] / 1e3, 1e3 * used

        runs = bench.rounds({"rowtail": run}, 1)["rowtail"]
        title = f"tail=10 of a pattern with {what}, over {rows:,} rows"
        for name, unit, place in (
            (f"{title}: first byte", "ms", 0),
            (f"  the last of {crowd} at once", "ms", 1),
            ("  CPU for a request", "ms", 2),
        ):
            report.line(name, unit, [told[place] for told in runs])


@figure
def publisher(bench):
    """What one row costs its publisher in one large transaction, and what it costs to delete it."""
    rows = bench.paid_rows
    plans = {name: lambda name=name: pays.run(bench.rig, name, rows) for name in pays.LOGS}
    runs = bench.rounds(plans)
    for name in list(pays.LOGS)[1:]:
        for what, place in (("inserted", 0), ("deleted", 1)):
            if what == "deleted" and name == "pruned":
                continue
            columns_of = [[told[place] for told in runs[kind]] for kind in (name, "plain")]
            report.line(f"a row {what}, {rows:,} in one transaction, {pays.LOGS[name]}", "us", *columns_of)


@figure
def tracking(bench):
    """What `rowtail --track` costs the application: each change of a row also writes an event, in the same transaction."""
    rows = bench.paid_rows
    plans = {name: lambda name=name: pays.run_tracked(bench.rig, name, rows) for name in pays.TRACKED}
    runs = bench.rounds(plans, bench.slow_repeats)
    for name in list(pays.TRACKED)[1:]:
        for change in pays.CHANGES:
            columns_of = [[told[change] for told in runs[kind]] for kind in (name, "untracked")]
            report.line(f"a row {change}, {rows:,} in one statement, {pays.TRACKED[name]}", "us", *columns_of)
