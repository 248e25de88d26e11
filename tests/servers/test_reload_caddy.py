"""Caddy in long operation: it is stopped, restarted, and given a Caddyfile with a mistake."""

import time

import pytest

from follower import Crowd, Publisher, finish
from test_reload import QUICK, page_seconds

UNIT_WAITS_S = 5.0  # TimeoutStopSec of Debian's caddy.service, after which systemd kills it


@pytest.fixture
def at_work(build):
    """A site with streams without an age limit, and rows that keep coming."""
    site = build("caddy", **{**QUICK, "max_stream_age": 0}).start()
    with (
        Crowd(site.server.address, "/events?last_event_id=0", 8) as crowd,
        Publisher(site.log, pause_s=0.02) as publisher,
    ):
        crowd.run(0.5)
        yield site, crowd, publisher


def test_restart(at_work):
    """It ends by itself before Debian's unit would kill it, and clients continue with the next process."""
    site, crowd, publisher = at_work
    for _ in range(2):
        began = time.monotonic()
        site.server.process.terminate()
        while site.server.process.poll() is None:
            crowd.run(0.05)
            assert time.monotonic() - began < UNIT_WAITS_S
        site.server.start()
        crowd.run(0.5)
    finish(crowd, publisher)


def test_invalid_caddyfile(at_work):
    """Caddy refuses it; the site and the streams are not affected."""
    site, crowd, publisher = at_work
    right = site.server.file.read_text()
    site.server.file.write_text(right + "\nimport rowtail\n")
    with pytest.raises(AssertionError):
        site.server.reload()
    crowd.run(2.5)  # longer than grace_period
    page_seconds(site)
    finish(crowd, publisher)
    assert all(follower.connections == 0 for follower in crowd.followers), "a stream was cut"
