"""Crowds of subscribers, and publishers for them: the load generator of tests/bench, as a test needs it.

Its rows say which id they have (tests/bench/payload.h), so that every stream is checked for what is
lost, twice, out of order or broken.
"""

import resource
import subprocess

import load
import rowtail

TOOLS = rowtail.ROOT / "build" / "bench"
LIMIT_S = 120  # for what can only hang
SPARE_FILES = 500


def most_streams(wanted):
    """So many, or what this machine's descriptors allow."""
    rowtail.raise_file_limit()
    return min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)


def publish(log, first, count, *, length=100, batch=100, pause_us=0):
    """Begins to publish rows with these ids; returns the process."""
    command = [TOOLS / "publish", "--db", log.path, "--first", first, "--count", count]
    command += ["--length", length, "--batch", batch, "--pause-us", pause_us]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)


def published(log, first, count, **how):
    """Publishes rows; all are committed when it returns. Returns the last id."""
    process = publish(log, first, count, **how)
    assert process.wait(LIMIT_S) == 0
    return first + count - 1


class Crowd(load.Load):
    """Subscribers of one address, in a process of their own; options as of load.c."""

    def __init__(self, address, **options):
        target = "tcp:%d" % address[1] if isinstance(address, tuple) else f"unix:{address}"
        super().__init__(TOOLS / "load", target, LIMIT_S, **options)

    def wait_open(self):
        """Waits until every stream has had its first record, or was refused."""
        super().wait_open()
        return self
