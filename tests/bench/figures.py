"""The figures: what each run does, and its lines in the table.

A run is one round with fresh processes, of rowtail or of the floor; it returns what it measured.
The rounds of both are interleaved, so that noise affects both alike.
"""

import contextlib
import time

import report
import rig
import sharedhost
import worst
from database import Database  # rig has made its folder known

KINDS = ("floor", "rowtail")
QUANTILES = {"p50": "p50", "p99": "p99", "p999": "p99.9", "max": "max"}
SETTLE_S = 0.2
FIGURES = []


def figure(function):
    """Adds a function to the list of all figures, in the order of this file."""
    FIGURES.append(function)
    return function


def _columns(runs, value):
    """The values of the kinds that ran, for report.line()."""
    return tuple([value(run) for run in runs[kind]] for kind in reversed(KINDS) if kind in runs)


def _both(bench, run):
    """Interleaved rounds of the floor and rowtail: {kind: [what run(kind) returned, …]}."""
    return bench.rounds({kind: lambda kind=kind: run(kind) for kind in KINDS})


def _through(front):
    return f"through {front}" if front else "direct"


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
    for front in (None, "nginx"):

        def run(kind, front=front):
            with bench.stack(kind, front) as stack, stack.load(hold=True) as other:
                other.wait_open()
                with stack.load(rounds=bench.opens) as load:
                    load.wait_open()
                    return load.wait_done()["open_us"]

        runs = _both(bench, run)
        for name in ("p50", "p99"):
            title = f"open a stream, {_through(front)}: {name}"
            report.line(title, "ms", *_columns(runs, lambda told: told[name] / 1e3))


def live_run(bench, kind, front, streams, rate, sync="NORMAL"):
    """Rows at a steady rate to all; returns latencies, CPU and the publisher's commit times."""
    count = max(20, round(rate * bench.live_s))
    with bench.stack(kind, front) as stack, stack.load(streams=streams, until=count) as load:
        load.wait_open()
        time.sleep(SETTLE_S)
        before = stack.cpu_seconds()
        publisher = stack.publish(count, rate=rate, sync=sync)
        told = load.wait_done()
        time.sleep(SETTLE_S)
        told["cpu_us"] = (stack.cpu_seconds() - before) * 1e6 / told["events"]
        told["commit_us"] = rig.published(publisher)["commit_us"]
        return told


def _latency_lines(what, runs, names):
    for name in names:
        values = _columns(runs, lambda told: told["delivery_us"][name] / 1e3)
        report.line(f"{what}: {QUANTILES[name]}", "ms", *values)


def _publisher_line(runs):
    """The publisher's own part of a latency: from its INSERT to the end of its COMMIT."""
    own = _columns(runs, lambda told: told["commit_us"]["p50"] / 1e3)
    report.line("  of which the publisher's own part: p50", "ms", *own)


@figure
def lone(bench):
    """Commit to client with one client."""
    for front in (None, "nginx"):
        runs = _both(bench, lambda kind: live_run(bench, kind, front, 1, bench.lone_rate))
        what = f"INSERT to client, N=1, {_through(front)}"
        _latency_lines(what, runs, ("p50", "p99", "max"))
        _publisher_line(runs)
    full = {"rowtail": lambda: live_run(bench, "rowtail", None, 1, bench.lone_rate, "FULL")}
    runs = bench.rounds(full)
    _latency_lines("INSERT to client, N=1, direct, synchronous=FULL", runs, ("p50",))
    _publisher_line(runs)


@figure
def crowd(bench):
    """Commit to client with a crowd, and what a delivery costs."""
    for front in bench.fronts:
        count = bench.crowd if front is None else min(bench.crowd, bench.fronted)
        runs = _both(bench, lambda kind: live_run(bench, kind, front, count, 20))
        what = f"INSERT to client, N={count:,}, 20 rows/s, {_through(front)}"
        _latency_lines(what, runs, ("p50", "p99", "p999", "max"))
        values = _columns(runs, lambda told: told["cpu_us"])
        report.line(f"  CPU per delivery, {_through(front)}", "us", *values)


@figure
def burst(bench):
    """A crowd gets as many rows as the publisher can insert, one transaction each."""
    rows = 1000
    for front in bench.fronts:
        count = bench.crowd if front is None else min(bench.crowd, bench.fronted)

        def run(kind, front=front, count=count):
            with bench.stack(kind, front) as stack, stack.load(streams=count, until=rows) as load:
                load.wait_open()
                time.sleep(SETTLE_S)
                before = stack.cpu_seconds()
                publisher = stack.publish(rows)
                told = load.wait_done()
                time.sleep(SETTLE_S)
                told["cpu_us"] = (stack.cpu_seconds() - before) * 1e6 / told["events"]
                rig.published(publisher)
                return told

        runs = _both(bench, run)
        values = _columns(runs, lambda told: told["events"] / told["span_ms"] / 1e3)
        what = f"burst of {rows:,} rows, N={count:,}, {_through(front)}"
        report.line(f"{what}: deliveries", "M/s", *values)
        report.line("  CPU per delivery", "us", *_columns(runs, lambda told: told["cpu_us"]))


@figure
def replay(bench):
    """One client that asks for everything."""
    rows = bench.replay_rows
    for front in (None, "nginx"):

        def run(kind, front=front):
            with bench.stack(kind, front, stored=rows) as stack:
                before = stack.cpu_seconds()
                options = {"from": 0, "until": rows}
                with stack.load(**options) as load:
                    load.wait_open()
                    told = load.wait_done()
                told["cpu_us"] = (stack.cpu_seconds() - before) * 1e6 / told["events"]
                return told

        runs = _both(bench, run)
        values = _columns(runs, lambda told: rows / told["reach_us"]["max"])
        report.line(f"replay of {rows:,} rows, N=1, {_through(front)}", "M rows/s", *values)
        report.line("  CPU per row", "us", *_columns(runs, lambda told: told["cpu_us"]))


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

        runs = _both(bench, run)
        what = f"storm, N={count:,}, each 100 rows behind, {_through(front)}"
        values = _columns(runs, lambda told: told["elapsed_ms"])
        report.line(f"{what}: until all have caught up", "ms", *values)
        report.line("  CPU per client", "us", *_columns(runs, lambda told: told["cpu_us"]))


@figure
def idle(bench):
    """The cost of idle streams; the floor has no heartbeat and polls nothing."""
    for count in (0, bench.crowd):

        def run(count=count):
            with contextlib.ExitStack() as opened:
                stack = opened.enter_context(bench.stack("rowtail"))
                if count:
                    load = opened.enter_context(stack.load(streams=count, hold=True))
                    load.wait_open()
                time.sleep(1)
                before = stack.cpu_seconds()
                time.sleep(bench.idle_s)
                used = stack.cpu_seconds() - before
                if count:
                    load.stop()
                return used

        runs = bench.rounds({"idle": run})["idle"]
        what = f"idle for {bench.idle_s} s, N={count:,}"
        if count and bench.idle_s > 15:
            what += ", one heartbeat each"
        values = [100 * used / bench.idle_s for used in runs]
        report.line(what, "% of CPU", values)


@figure
def recheck(bench):
    """The cost of checking open streams' access again and again while others commit."""

    def run(public):
        with bench.stack("rowtail", public=public, options=["--heartbeat", 600]) as stack:
            with stack.load(streams=bench.many, hold=True) as load:
                load.wait_open()
                time.sleep(1)
                before = stack.cpu_seconds()
                with Database(stack.directory / "events.db") as database:
                    for number in range(bench.idle_s):
                        database.insert(str(number), channel="another")
                        time.sleep(1)
                used = stack.cpu_seconds() - before
                load.stop()
                return 100 * used / bench.idle_s

    plans = {kind: lambda kind=kind: run(kind == "public") for kind in ("public", "granted")}
    runs = bench.rounds(plans)
    costs = [granted - public for granted, public in zip(runs["granted"], runs["public"])]
    what = f"one commit a second, N={bench.many:,}"
    report.line(f"{what}, --public", "% of CPU", runs["public"])
    report.line(f"{what}, with grants: in addition", "% of CPU", costs)


@figure
def memory(bench):
    """The responder's own memory for each open stream."""
    count = bench.many

    def run(kind):
        with bench.stack(kind) as stack:
            with stack.load(rounds=20) as load:  # what is made once is made
                load.wait_open()
                load.wait_done()
            before = stack.anonymous_kib()
            with stack.load(streams=count, hold=True) as load:
                load.wait_open()
                time.sleep(SETTLE_S)
                opened = stack.anonymous_kib()
                rig.published(stack.publish(100))
                time.sleep(1)
                delivered = stack.anonymous_kib()
                told = load.stop()
            if told["events"] != 100 * count:
                raise rig.Failure(f"{told['events']} events arrived, not {100 * count}")
            return {"open": (opened - before) / count, "delivered": (delivered - before) / count,
                    "all": delivered / 1024}  # fmt: skip

    runs = _both(bench, run)
    what = f"own memory per stream, N={count:,}"
    report.line(f"{what}: open", "KiB", *_columns(runs, lambda told: told["open"]))
    report.line("  after 100 rows to each", "KiB", *_columns(runs, lambda told: told["delivered"]))
    report.line("  the whole process", "MiB", *_columns(runs, lambda told: told["all"]))


@figure
def beside_replay(bench):
    """The latency of live clients while another client replays the log over and over."""
    stored, rate, streams = bench.replay_rows, 100, 10
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


def _peak_kib(stack, publisher, settle_s):
    """The responder's peak memory until some time after the publisher's end."""
    peak, until = 0, None
    while until is None or time.monotonic() < until:
        peak = max(peak, stack.anonymous_kib())
        if until is None and publisher.poll() is not None:
            until = time.monotonic() + settle_s
        time.sleep(0.01)
    return peak


@figure
def stalled(bench):
    """Clients that read nothing while many rows are inserted, beside others that read."""
    streams, length, rows, woken = bench.stalled, 16384, bench.stalled_mib * 64, 8

    def run():
        with contextlib.ExitStack() as opened:
            stack = opened.enter_context(bench.stack("rowtail"))
            options = {"streams": streams, "until": rows, "stall": True}
            still = opened.enter_context(stack.load(**options))
            still.wait_open()
            live = opened.enter_context(stack.load(streams=10, until=rows))
            live.wait_open()
            before = stack.anonymous_kib()
            publisher = stack.publish(rows, length=length, batch=16)
            peak = _peak_kib(stack, publisher, 0.5)
            rig.published(publisher)
            live.wait_done()
            still.order(f"resume {woken}")
            still.wait_done()
            return (peak - before) / 1024

    runs = bench.rounds({"stalled": run})["stalled"]
    what = f"memory used by {streams} stalled streams, {bench.stalled_mib} MiB inserted"
    report.line(what, "MiB", runs)


@figure
def large(bench):
    """One row of 10 MiB to a hundred clients."""
    streams, length = 100, 10 * 1024 * 1024

    def run(kind):
        with bench.stack(kind) as stack, stack.load(streams=streams, until=1) as load:
            load.wait_open()
            before = stack.anonymous_kib()
            publisher = stack.publish(1, length=length)
            peak = _peak_kib(stack, publisher, 0.2)
            told = load.wait_done()
            told["commit_us"] = rig.published(publisher)["commit_us"]
            told["mib"] = (peak - before) / 1024
            return told

    runs = _both(bench, run)
    what = f"a row of 10 MiB, N={streams}"
    _latency_lines(f"{what}, INSERT to the last client", runs, ("max",))
    _publisher_line(runs)
    values = [told["mib"] for told in runs["rowtail"]]
    report.line("  memory used meanwhile", "MiB", values)


@figure
def stranger(bench):
    """From INSERT to a live stream, during the most expensive requests or rows."""
    for one in worst.CASES.values():

        def run(one=one):
            with bench.stack("rowtail", prepare=one.prepare, public=False) as stack:
                return worst.waits(stack, one, bench.worst_s)

        waited = bench.rounds({"rowtail": run})["rowtail"]
        for name, share in (("p50", 0.5), ("max", 1)):
            values = [one_run[round(share * (len(one_run) - 1))] for one_run in waited]
            report.line(f"live row during {one.title}: {name}", "ms", values)


@figure
def shared_host(bench):
    """What visitors cost on a shared host, with streams, with polling, and with polls that wait."""
    visitors, pause_s = 10, bench.shared_s / 3

    def run(mode):
        with sharedhost.Host(bench.rig, visitors + 2) as host:
            return sharedhost.run(host, mode, visitors, bench.shared_s, pause_s)

    def poll():
        with sharedhost.Host(bench.rig, visitors) as host:
            return 1000 * sharedhost.cost_of_poll(host, 200)[0]

    report.line("CGI: one poll that does not wait", "ms of CPU", bench.rounds({"poll": poll})["poll"])
    runs = bench.rounds({mode: lambda mode=mode: run(mode) for mode in sharedhost.MODES})
    for mode, told in runs.items():
        title = f"CGI, N={visitors}, a row every {pause_s:.0f} s, {mode}: latency, p50"
        report.line(title, "ms", [one["median"] for one in told])
        for name, what, unit in (
            ("longest", "latency, max", "ms"),
            ("processes", "processes, on average", ""),
            ("most", "processes, at most", ""),
            ("rss", "RSS of a process", "MiB"),
            ("pss", "PSS of a process", "MiB"),
            ("cpu", "CPU of all in a minute", "s"),
        ):
            if all(name in one for one in told):
                report.line(f"  {what}", unit, [one[name] for one in told])
