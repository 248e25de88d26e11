"""A web server lives for months: it is reloaded every night, and the streams must bear it.

Each reload here is what Debian's unit does for `systemctl reload`. With streams open, the site answers
throughout, no stream loses or repeats a row, and the old processes go once their streams have ended.
"""

import time

import pytest

import httpc
from deployment import wait_until
from follower import Crowd, Publisher, assert_whole
from test_load import SIZED

RELOADS = {"service": 50, "spawned": 20, "each": 20}
PAUSE_S = 0.15  # between two reloads
BEARABLE_S = 3.0  # a page; a second is promised, on a machine that does nothing else
# Streams end by their age soon, so that the test need not wait for an hour.
QUICK = {"retry": 100, "retry_jitter": 100, "heartbeat": 1, "max_stream_age": 4}
RELOADABLE = pytest.mark.deployments(
    "apache", "apache-fcgid", "apache-cgid", "lighttpd", "lighttpd-spawn", "lighttpd-cgi", "nginx",
    "nginx-fcgiwrap", "caddy", "haproxy",
)


def page_seconds(site):
    """How long the site takes to answer with a static page."""
    began = time.monotonic()
    with httpc.open_request(site.server.address, "/index.html", accept="text/html") as page:
        page.wait_complete()
        assert page.head.status == 200, page.head.raw
    return time.monotonic() - began


def reload_often(site, crowd, count):
    """Returns how long a page took after each reload."""
    took = []
    for _ in range(count):
        site.server.reload()
        crowd.run(PAUSE_S)
        took.append(page_seconds(site))
    return took


@RELOADABLE
def test_many_reloads_with_streams_open(build, deployment):
    site = build(deployment, server=SIZED.get(deployment), **QUICK).start()
    target = site.deployment.mount + "?last_event_id=0"
    size = 4 if site.deployment.runs == "each" else 12
    with Crowd(site.server.address, target, size) as crowd:
        with Publisher(site.log, pause_s=0.02) as publisher:
            crowd.run(0.5)
            processes = len(site.family())
            took = reload_often(site, crowd, RELOADS[site.deployment.runs])
            publisher.stop()
            newest = publisher.ids[-1]
            crowd.run(until=lambda follower: follower.ids[-1:] == [newest])
        assert_whole(crowd, publisher.ids)
        assert max(took) < BEARABLE_S, sorted(took)[-5:]

        def few():
            crowd.run(0.2)
            return len(site.family()) <= processes + 1

        wait_until(few, f"return to {processes} processes", lambda: len(site.family()))
