"""The figures of open streams: idle, memory, requests that cost much, a shared host."""

import contextlib
import socket
import subprocess
import time

import fcgi
import report
import rig
import sharedhost
import worst
from database import Database  # rig has made its folder known
from figure import KINDS, SETTLE_S, both, columns, figure, points, through
from figures_live import latency_lines, publisher_line


@figure
def idle(bench):
    """The cost of idle streams after a row. The floor wakes up ten times a second, and sends as many heartbeats."""
    for count in (0, bench.crowd):

        def run(kind, count=count):
            with contextlib.ExitStack() as opened:
                stack = opened.enter_context(bench.stack(kind, options=["none", 15] if kind == "floor" else ()))
                if count:
                    load = opened.enter_context(stack.load(streams=count, hold=True))
                    load.wait_open()
                    # rowtail polls rarely when a notice has led it to a commit, and then nothing happens.
                    rig.published(stack.publish(1))
                time.sleep(bench.settled_s)
                before = stack.cpu_seconds()
                time.sleep(bench.idle_s)
                used = stack.cpu_seconds() - before
                if count:
                    load.stop()
                return 100 * used / bench.idle_s

        # Without a stream rowtail looks for nothing, and sleeps.
        plans = {kind: lambda kind=kind: run(kind) for kind in (KINDS if count else ("rowtail",))}
        runs = bench.rounds(plans, bench.slow_repeats)
        what = f"idle for {bench.idle_s} s, N={count:,}"
        if count and bench.idle_s > 15:
            what += ", one heartbeat each"
        report.line(what, "% of CPU", *columns(runs, lambda used: used))


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
                    for number in range(bench.recheck_s):
                        database.insert(str(number), channel="another")
                        time.sleep(1)
                used = stack.cpu_seconds() - before
                load.stop()
                return 100 * used / bench.recheck_s

    plans = {kind: lambda kind=kind: run(kind == "public") for kind in ("public", "granted")}
    runs = bench.rounds(plans, bench.slow_repeats)
    costs = [granted - public for granted, public in zip(runs["granted"], runs["public"])]
    what = f"one commit a second, N={bench.many:,}"
    report.line(f"{what}, --public", "% of CPU", runs["public"])
    report.line(f"{what}, with grants: in addition", "% of CPU", costs)


@figure
def memory(bench):
    """What each open stream takes of rowtail's own memory, and of a web server's in front."""
    for front, count, repeats in bench.memories:

        def run(kind, front=front, count=count):
            with bench.stack(kind, front) as stack:
                with stack.load(rounds=20) as load:  # what is made once is made
                    load.wait_open()
                    load.wait_done()
                before = stack.anonymous_kib()
                with stack.load(streams=count, hold=True) as load:
                    load.wait_open()
                    time.sleep(SETTLE_S)
                    opened = stack.anonymous_kib()
                    rig.published(stack.publish(100))
                    time.sleep(0.3 + count / 10000)
                    delivered = stack.anonymous_kib()
                    told = load.stop()
                if told["events"] != 100 * count:
                    raise rig.Failure(f"{told['events']} events arrived, not {100 * count}")
                return {"open": (opened - before) / count, "delivered": (delivered - before) / count,
                        "all": delivered / 1024}  # fmt: skip

        runs = both(bench, run, repeats)
        what = f"memory per stream, N={count:,}, {through(front)}"
        report.line(f"{what}: open", "KiB", *columns(runs, lambda told: told["open"]))
        report.line("  after 100 rows to each", "KiB", *columns(runs, lambda told: told["delivered"]))
        report.line("  all of it", "MiB", *columns(runs, lambda told: told["all"]))
        points("memory", runs, front, count, lambda told: max(1.024 * told["delivered"], 0.01))  # kB


@figure
def long_names(bench):
    """The memory of streams that follow 100 channels with names of 240 bytes."""
    count = bench.long_named

    def body(number):
        names = (f"{number:05}/{i:03}/".ljust(240, "n") for i in range(100))
        return "&".join(f"channel={name}" for name in names).encode()

    def run():
        with bench.stack("rowtail") as stack:
            worst.at_once(stack.socket, 1, method="POST", body=body(count), content_type=worst.FORM)
            before = stack.anonymous_kib()
            peers = [
                fcgi.Connection(stack.socket).ask(method="POST", body=body(number), content_type=worst.FORM)
                for number in range(count)
            ]
            for peer in peers:
                peer.wait_head()
            used = (stack.anonymous_kib() - before) / count
            for peer in peers:
                peer.close()
            return used

    runs = bench.rounds({"rowtail": run})["rowtail"]
    report.line("memory of a stream of 100 channels, names of 240 bytes", "KiB", runs)


@figure
def start(bench):
    """From fork() to the first bytes of an answer to a client that waits on the inherited socket."""
    for rows in (0, bench.beside_rows):

        def run(rows=rows):
            directory = bench.rig.new_directory()
            log = bench.rig.copy_log(rows, directory)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(directory / "s"))
                listener.listen()
                peer = fcgi.Connection(directory / "s").ask("channel=default")
                began = time.monotonic()
                command = [bench.rig.rowtail, "--db", log, "--public", "--log-level", "warn"]
                process = subprocess.Popen(command, stdin=listener.fileno())
                try:
                    peer.wait_head()
                    return 1e3 * (time.monotonic() - began)
                finally:
                    process.kill()
                    process.wait()
                    peer.close()

        runs = bench.rounds({"rowtail": run})["rowtail"]
        report.line(f"start to first answer, a log of {rows:,} rows", "ms", runs)


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

    runs = both(bench, run)
    what = f"a row of 10 MiB, N={streams}"
    latency_lines(f"{what}, INSERT to the last client", runs, ("max",))
    publisher_line(runs)
    values = [told["mib"] for told in runs["rowtail"]]
    report.line("  memory used meanwhile", "MiB", values)


@figure
def stranger(bench):
    """From INSERT to a live stream, during the most expensive requests or rows."""
    for one in worst.CASES.values():

        def run(one=one):
            with bench.stack("rowtail", prepare=one.prepare, public=False) as stack:
                return worst.waits(stack, one, bench.worst_s)

        waited = bench.rounds({"rowtail": run}, bench.slow_repeats)["rowtail"]
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

    report.line("CGI: one poll that does not wait", "ms of CPU", bench.rounds({"poll": poll}, bench.shared_repeats)["poll"])
    runs = bench.rounds({mode: lambda mode=mode: run(mode) for mode in sharedhost.MODES}, bench.shared_repeats)
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
