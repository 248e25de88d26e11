"""nginx in long operation: log rotation, and a new version that replaces the running one.

Debian does the first every night (USR1) and the second at each upgrade of the package (USR2, then QUIT to
the old master). Streams are open meanwhile; nothing is lost or repeated, and the site answers.
"""

import contextlib
import os
import signal
import time

import pytest

import webserver
from deployment import family, wait_until
from follower import Crowd, Publisher, finish
from test_reload import BEARABLE_S, QUICK, page_seconds

STREAMS = 8


class Daemon(webserver.Nginx):
    """nginx as a daemon, as Debian's unit starts it; only a daemon can hand over to a new version."""

    def command(self):
        return ["/usr/sbin/nginx", "-g", "daemon on;", "-c", self.root / "nginx.conf"]

    def start(self):
        webserver.start(self.command(), self.logs / "console.log").wait()
        wait_until(lambda: self.masters() and self.workers(), "nginx", self.log)
        return self

    def masters(self):
        """The new master, and the old one while it runs."""
        found = []
        for name in "nginx.pid", "nginx.pid.oldbin":
            with contextlib.suppress(FileNotFoundError, ValueError):
                found.append(int((self.directory / "tmp" / name).read_text()))
        return found

    def workers(self):
        return family(self.masters()) - set(self.masters())

    def stop(self):
        for master in self.masters():
            os.kill(master, signal.SIGTERM)
        wait_until(lambda: not self.workers(), "end of nginx")


@pytest.fixture
def crowd_of(build):
    """crowd_of(server, settings): (site, crowd, publisher) at work."""
    with contextlib.ExitStack() as stack:

        def start(server, **settings):
            site = build("nginx", server=server, **{**QUICK, **settings}).start()
            target = "/events?last_event_id=0"
            crowd = stack.enter_context(Crowd(site.server.address, target, STREAMS))
            publisher = stack.enter_context(Publisher(site.log, pause_s=0.02))
            crowd.run(0.5)
            return site, crowd, publisher

        yield start


def test_logs_are_rotated(crowd_of):
    """The streams are not affected, and nginx writes to the new file."""
    site, crowd, publisher = crowd_of(webserver.Nginx, max_stream_age=0)
    log = site.server.logs / "access.log"
    for number in range(3):
        log.rename(log.with_suffix(f".{number}"))
        site.server.process.send_signal(signal.SIGUSR1)
        wait_until(log.exists, "new log")
        crowd.run(0.2)
        page_seconds(site)
    assert log.read_text()
    finish(crowd, publisher)
    assert all(follower.connections <= 1 for follower in crowd.followers)


def test_new_version_takes_over(crowd_of):
    """As in Debian's upgrade; the old processes end after their streams."""
    site, crowd, publisher = crowd_of(Daemon)
    workers = len(site.server.workers())
    for _ in range(2):
        (old,) = site.server.masters()
        os.kill(old, signal.SIGUSR2)
        wait_until(lambda: len(site.server.masters()) == 2, "second master", site.server.log)
        crowd.run(0.3)
        os.kill(old, signal.SIGQUIT)
        until = time.monotonic() + 20

        def old_has_gone():
            crowd.run(0.1)
            assert page_seconds(site) < BEARABLE_S
            assert time.monotonic() < until
            return len(site.server.masters()) == 1 and len(site.server.workers()) == workers

        wait_until(old_has_gone, "end of the old version", site.server.log)
    finish(crowd, publisher)


class Bounded(webserver.Nginx):
    """With the line that the file gives for nginx.conf."""

    edits = {"worker_processes auto;": "worker_processes auto; worker_shutdown_timeout 1s;"}


def test_streams_without_an_age_limit(crowd_of):
    """worker_shutdown_timeout ends the old workers even if streams have no age limit."""
    site, crowd, publisher = crowd_of(Bounded, max_stream_age=0)
    processes = len(site.family())
    for _ in range(5):
        site.server.reload()
        crowd.run(0.3)
        assert page_seconds(site) < BEARABLE_S

    def few():
        crowd.run(0.1)
        return len(site.family()) <= processes

    wait_until(few, f"return to {processes} processes", lambda: len(site.family()))
    finish(crowd, publisher)
