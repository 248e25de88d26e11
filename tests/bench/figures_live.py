"""The figures of new rows on their way to streams: latency, CPU a delivery, bursts, channels, writers."""

import contextlib
import time

import report
import rig
from figure import KINDS, QUANTILES, SETTLE_S, both, columns, figure, points, through


def checks(bench):
    """The checks detect errors: this floor breaks events on purpose."""
    expected = {
        "lose": ("lost",),
        "repeat": ("twice",),
        "swap": ("lost", "twice"),
        "corrupt": ("corrupt",),
        "cut": ("closed",),
    }
    for fault, counters in expected.items():
        with bench.stack("floor", options=[fault]) as stack:
            with stack.load(streams=5, hold=True) as load:
                load.wait_open()
                rig.published(stack.publish(201))
                time.sleep(SETTLE_S)
                load.order("stop")
                told = load.wait_done(check=False)
        if not all(told[counter] for counter in counters):
            raise rig.Failure(f"the load generator does not detect the fault {fault}: {told}")
    print(f"The load generator detected {len(expected)} of {len(expected)} planted faults.")


@figure
def opening(bench):
    """From connect to the first record, one after another, beside one stream that stays open."""
    for front in (None, "http", "nginx"):

        def run(kind, front=front):
            with bench.stack(kind, front) as stack, stack.load(hold=True) as other:
                other.wait_open()
                with stack.load(rounds=bench.opens) as load:
                    load.wait_open()
                    return load.wait_done()["open_us"]

        runs = both(bench, run)
        for name in ("p50", "p99"):
            title = f"open a stream, {through(front)}: {name}"
            report.line(title, "ms", *columns(runs, lambda told: told[name] / 1e3))


def live_run(bench, kind, front, streams, rate, sync="NORMAL", channels=1, **options):
    """Rows at a steady rate to all; returns latencies, CPU and the publisher's commit times."""
    count = max(10, round(rate * bench.live_s))
    if channels > 1:
        options = {"channels": channels, "hold": True, **options}
    else:
        options = {"until": count, **options}
    with bench.stack(kind, front) as stack, stack.load(streams=streams, **options) as load:
        load.wait_open()
        time.sleep(SETTLE_S)
        before = stack.cpu_seconds()
        publisher = stack.publish(count, rate=rate, sync=sync, channels=channels)
        if channels > 1:
            commits = rig.published(publisher)
            time.sleep(SETTLE_S)
            told = load.stop()
            if told["events"] != count:
                raise rig.Failure(f"{told['events']} events arrived, not {count}")
        else:
            told = load.wait_done()
            commits = rig.published(publisher)
        time.sleep(SETTLE_S)
        told["cpu_us"] = (stack.cpu_seconds() - before) * 1e6 / max(1, told["events"])
        told["commit_us"] = commits["commit_us"]
        return told


def latency_lines(what, runs, names):
    for name in names:
        values = columns(runs, lambda told: told["delivery_us"][name] / 1e3)
        report.line(f"{what}: {QUANTILES[name]}", "ms", *values)


def publisher_line(runs):
    """The publisher's own part of a latency: from its INSERT to the end of its COMMIT."""
    own = columns(runs, lambda told: told["commit_us"]["p50"] / 1e3)
    report.line("  of which the publisher's own part: p50", "ms", *own)


def live_points(runs, front, count):
    points("latency", runs, front, count, lambda told: told["delivery_us"]["p50"] / 1e3)
    points("cpu", runs, front, count, lambda told: told["cpu_us"])


@figure
def lone(bench):
    """Commit to client with one client."""
    for front in (None, "http", "nginx"):
        runs = both(bench, lambda kind: live_run(bench, kind, front, 1, bench.lone_rate))
        what = f"INSERT to client, N=1, {through(front)}"
        latency_lines(what, runs, ("p50", "p99", "max"))
        publisher_line(runs)
        report.line("  CPU for a row", "us", *columns(runs, lambda told: told["cpu_us"]))
        live_points(runs, front, 1)
    full = {"rowtail": lambda: live_run(bench, "rowtail", None, 1, bench.lone_rate, "FULL")}
    runs = bench.rounds(full)
    latency_lines("INSERT to client, N=1, direct, synchronous=FULL", runs, ("p50",))
    publisher_line(runs)


@figure
def crowd(bench):
    """Commit to client with a crowd, and what a delivery costs."""
    for front, count in bench.crowds:
        rate = 20 if count < 5000 else 2
        repeats = bench.repeats if count < 5000 else bench.slow_repeats
        runs = both(bench, lambda kind: live_run(bench, kind, front, count, rate), repeats)
        what = f"INSERT to client, N={count:,}, {rate} rows/s, {through(front)}"
        latency_lines(what, runs, ("p50", "p99", "p999", "max"))
        values = columns(runs, lambda told: told["cpu_us"])
        report.line(f"  CPU per delivery, {through(front)}", "us", *values)
        live_points(runs, front, count)


@figure
def few(bench):
    """The same with few clients, for the plots."""
    for count in bench.fews:
        for front in ("http", "nginx"):
            runs = both(bench, lambda kind: live_run(bench, kind, front, count, 20), 1)
            what = f"INSERT to client, N={count:,}, 20 rows/s, {through(front)}"
            latency_lines(what, runs, ("p50",))
            report.line("  CPU per delivery", "us", *columns(runs, lambda told: told["cpu_us"]))
            live_points(runs, front, count)


@figure
def burst(bench):
    """A crowd gets as many rows as the publisher can insert, one transaction each.

    The commits are the writer's, and take CPU from the crowd on few cores: the time begins with the first INSERT. So there
    are two floors: for both the publisher sends each row to the bare writer, and for one of them it also commits the row.
    """
    rows = 1000
    for front in bench.fronts:
        count = bench.crowd if front in (None, "http") else bench.fronted

        def run(kind, front=front, count=count):
            responder = "rowtail" if kind == "rowtail" else "floor"
            with bench.stack(responder, front) as stack, stack.load(streams=count, until=rows) as load:
                load.wait_open()
                time.sleep(SETTLE_S)
                also = ["--db", bench.rig.copy_log(0, stack.directory)] if kind == "floor" else []
                before = stack.cpu_seconds()
                publisher = stack.publish(rows, also=also)
                told = load.wait_done()
                time.sleep(SETTLE_S)
                told["cpu_us"] = (stack.cpu_seconds() - before) * 1e6 / told["events"]
                rig.published(publisher)
                return told

        kinds = (*KINDS, "floor without a log")
        runs = bench.rounds({kind: lambda kind=kind: run(kind) for kind in kinds})
        rates = {kind: [one["events"] / one["span_ms"] / 1e3 for one in told] for kind, told in runs.items()}
        what = f"burst of {rows:,} rows, N={count:,}, {through(front)}"
        report.line(f"{what}: deliveries", "M/s", rates["rowtail"], rates["floor"])
        report.line("  beside it: nobody commits the rows", "M/s", rates["rowtail"], rates["floor without a log"])
        report.line("  CPU per delivery", "us", *columns(runs, lambda told: told["cpu_us"]))


@figure
def channels(bench):
    """1,000 rows a second, each for one stream: what a row costs must not depend on how many streams there are."""
    many = bench.many - bench.many % 10
    for what, count, options in (
        ("channels", many, {}),
        ("prefix patterns", min(1000, many), {"patterns": True}),
    ):

        def run(number, options=options):
            return live_run(bench, "rowtail", None, number, 1000, channels=number, **options)

        plans = {number: lambda number=number: run(number) for number in (10, count)}
        runs = bench.rounds(plans)
        for number, told in runs.items():
            title = f"1,000 rows/s, {number:,} streams, each another of {number:,} {what}"
            report.line(f"{title}: CPU per row", "us", [one["cpu_us"] for one in told])
            report.line("  latency: p50", "ms", [one["delivery_us"]["p50"] / 1e3 for one in told])
        ratios = [a["cpu_us"] / b["cpu_us"] for a, b in zip(runs[count], runs[10])]
        report.line(f"  CPU per row, as a multiple of that with 10 {what}", "x", ratios)


@figure
def largest(bench):
    """100,000 streams, in several processes if the open-files limit allows one of them fewer."""
    count, sharing = bench.most - bench.most % bench.sharing, bench.sharing
    rows, rate = 10, 1 if sharing > 1 else 4

    def run():
        options = ["--processes", sharing] if sharing > 1 else []
        with contextlib.ExitStack() as opened:
            stack = opened.enter_context(bench.stack("rowtail", options=options))
            before = stack.anonymous_kib()
            loads = [
                opened.enter_context(stack.load(streams=count // sharing, until=rows)) for _ in range(sharing)
            ]
            for load in loads:
                load.wait_open()
            time.sleep(SETTLE_S)
            taken, used = stack.anonymous_kib(), stack.cpu_seconds()
            publisher = stack.publish(rows, rate=rate)
            told = [load.wait_done() for load in loads]
            rig.published(publisher)
            return {
                "cpu_us": (stack.cpu_seconds() - used) * 1e6 / sum(one["events"] for one in told),
                "bytes": (taken - before) * 1024 / count,
                "p50_ms": sorted(one["delivery_us"]["p50"] for one in told)[sharing // 2] / 1e3,
            }

    runs = bench.rounds({"rowtail": run}, 1)["rowtail"]
    shared = f", {sharing} processes" if sharing > 1 else ""
    report.line(f"N={count:,} direct{shared}, {rate} rows/s: CPU per delivery", "us", [r["cpu_us"] for r in runs])
    report.line("  latency: p50", "ms", [r["p50_ms"] for r in runs])
    report.line("  memory a stream", "bytes", [r["bytes"] for r in runs])


@figure
def writers(bench):
    """How fast one writer inserts, one transaction for each row, while a crowd follows.

    On few cores the crowd and whatever serves it take CPU from the writer. So there are two floors: nobody follows, and
    the writer also sends each row to the bare writer, which delivers the same bytes to the same crowd and reads nothing.
    """
    rows = bench.written

    def run(kind):
        with bench.stack(kind) as stack:
            if kind == "log":
                return rows / rig.published(stack.publish(rows))["elapsed_ms"]
            also = ["--db", bench.rig.copy_log(0, stack.directory)] if kind == "floor" else []
            with stack.load(streams=bench.crowd, hold=True) as load:
                load.wait_open()
                time.sleep(SETTLE_S)
                rate = rows / rig.published(stack.publish(rows, also=also))["elapsed_ms"]
                time.sleep(SETTLE_S)
                load.stop()
                return rate

    runs = bench.rounds({kind: lambda kind=kind: run(kind) for kind in ("log", "floor", "rowtail")})
    title = f"a writer, {rows:,} rows as fast as it goes, N={bench.crowd:,}"
    report.line(f"{title}; beside it: nobody follows", "rows/ms", runs["rowtail"], runs["log"])
    report.line("  beside it: the same, delivered by the bare writer", "rows/ms", runs["rowtail"], runs["floor"])
