"""How much of the machine other programs use: waits for quiet before a run, and reports the rest."""

import os
import pathlib
import resource
import statistics
import time

QUIET = 0.15  # of the machine
SAMPLE_S = 0.15
WAIT_ONCE_S = 10


def _busy_seconds():
    """Busy seconds of all processors since boot, including what the host took from them."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds():
    """Processor seconds of this process and of the children that it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Watch:
    """Measures others' share of the machine while a block runs whose children end in it."""

    def __enter__(self):
        self._began = time.monotonic(), _busy_seconds(), _own_seconds()
        return self

    def __exit__(self, *_):
        began, busy, own = self._began
        elapsed = (time.monotonic() - began) * os.cpu_count()
        others = _busy_seconds() - busy - (_own_seconds() - own)
        self.share = max(0.0, others / elapsed)


class Noise:
    """The gate before the runs, and what others did during them."""

    def __init__(self, patience_s):
        self._patience_s = patience_s
        self._shares = []
        self._impatient = 0

    def wait_quiet(self):
        """Waits, for a limited time, until other programs use little."""
        until = time.monotonic() + min(WAIT_ONCE_S, self._patience_s)
        while True:
            began = time.monotonic()
            with Watch() as watch:
                time.sleep(SAMPLE_S)
            if watch.share < QUIET:
                return
            self._patience_s -= time.monotonic() - began
            if time.monotonic() > until:
                self._impatient += 1
                return

    def add(self, watch):
        """Notes what others used during a run."""
        self._shares.append(watch.share)

    def sentence(self):
        """The sentence for the end of the report."""
        if not self._shares:
            return "no runs"
        return (
            f"{len(self._shares)} runs; others used {statistics.median(self._shares):.0%} of the "
            f"machine during a run (median), {max(self._shares):.0%} at most; {self._impatient} "
            f"began while others used over {QUIET:.0%}"
        )
