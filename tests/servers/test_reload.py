"""A web server runs for months and is reloaded every night; streams must survive that.

Each reload here is what Debian's unit does for `systemctl reload`. With streams open, the site answers
throughout, no stream loses or repeats a row, and the old processes end after their streams.
"""

import select
import signal
import time

import pytest

import httpc
import stream
import webserver
from deployment import BY_HTTP, FULL, wait_until
from follower import Crowd, Publisher, finish
from test_load import SIZED

# More than have streams at one time: with --max-stream-age 4, an old process of the first reloads has ended before the last.
RELOADS = {"service": 50 if FULL else 30, "spawned": 4, "each": 20}
PAUSE_S = 0.15  # between two reloads
RELOADS_BY_HTTP = 10  # the servers are the same as by FastCGI
# Each reload ends all streams of mod_fcgid. A client that waits for a process at the next reload may wait for ever (see
# deploy/README.md). So all clients have a stream again before that, and no stream ends by itself.
RELOADS_WITH_STREAMS = {"apache-fcgid": 6}
BEARABLE_S = 8.0  # a page; a second is promised, on an idle machine
# A short --max-stream-age, so that the test need not wait for an hour.
QUICK = {"retry": 100, "retry_jitter": 100, "heartbeat": 1, "max_stream_age": 4}
RELOADABLE = pytest.mark.deployments(
    "apache", "apache-fcgid", "apache-cgid", "lighttpd", "lighttpd-spawn", "lighttpd-cgi", "nginx",
    "nginx-fcgiwrap", "caddy", "haproxy", *BY_HTTP,
)


class LighttpdInAHurry(webserver.Lighttpd):
    """With the line that the file gives for programs that lighttpd starts: a reload waits for a second."""

    def configure(self, configuration):
        super().configure(configuration)
        timeout = '"server.graceful-shutdown-timeout" => '
        main = self.root / "lighttpd.conf"
        text = "\n".join(line for line in main.read_text().splitlines() if timeout not in line)
        main.write_text(f"{text}\nserver.feature-flags += ( {timeout}1 )\n")


SERVERS = {**SIZED, "lighttpd-spawn": LighttpdInAHurry}


def page_seconds(site, crowd=None):
    """How long the site takes to serve a static page while the crowd's streams continue."""
    began = time.monotonic()
    with httpc.open_request(site.server.address, "/index.html", accept="text/html") as page:
        while not page.complete:
            assert time.monotonic() - began < stream.DEADLINE, page.describe()
            assert not page.eof, page.describe()
            if crowd:
                crowd.run(0.01)
            select.select([page], [], [], 0.01)
            page.pump()
        assert page.head.status == 200, page.head.raw
    return time.monotonic() - began


def reload_often(site, crowd, publisher):
    """Returns how long a page took after each reload."""
    with_streams = site.deployment.name in RELOADS_WITH_STREAMS
    count = RELOADS_WITH_STREAMS.get(site.deployment.name, RELOADS[site.deployment.runs])
    if site.deployment.http:
        count = RELOADS_BY_HTTP
    took = []
    for _ in range(count):
        ended = {follower: follower.connections for follower in crowd.followers}
        site.server.reload()
        took.append(page_seconds(site, crowd))
        if with_streams:
            crowd.run(until=lambda follower, ended=ended: follower.connections > ended[follower])
            crowd.run_to_news(publisher)
        else:
            crowd.run(PAUSE_S)
    return took


@RELOADABLE
def test_many_reloads_with_streams_open(build, deployment):
    lasting = {"max_stream_age": 0} if deployment in RELOADS_WITH_STREAMS else {}
    site = build(deployment, server=SERVERS.get(deployment), **{**QUICK, **lasting}).start()
    target = site.deployment.mount + "?last_event_id=0"
    size = 4 if site.deployment.runs == "each" else 12
    with Crowd(site.server.address, target, size) as crowd:
        with Publisher(site.log, pause_s=0.02) as publisher:
            crowd.run(until=lambda follower: follower.ids)
            processes = len(site.family())
            took = reload_often(site, crowd, publisher)
            finish(crowd, publisher)
        assert max(took) < BEARABLE_S, sorted(took)[-5:]

        def few():
            crowd.run(0.2)
            return len(site.family()) <= processes + 1

        wait_until(few, f"return to {processes} processes", lambda: len(site.family()))


@pytest.mark.deployments("apache")
def test_every_old_process_keeps_a_stream(build, deployment):
    """A stream without an age limit keeps an old process for ever, and the site has room for many."""
    site = build(deployment, server=SERVERS.get(deployment), **{**QUICK, "max_stream_age": 0}).start()
    streams = []
    for number in range(1, 21):  # Debian has room for ten
        streams.append(site.follow())
        site.server.reload()
        wait_until(lambda: site.server.log().count("resuming normal") > number, f"reload {number}")
        assert page_seconds(site) < BEARABLE_S
    row = site.log.insert("for all of them")
    assert [opened.next_row().last_event_id for opened in streams] == [str(row)] * len(streams)


@pytest.mark.deployments(*[name for name in RELOADABLE.args if name != "lighttpd-spawn"])
def test_sleeping_client_does_not_delay_a_reload(build, deployment):
    """It keeps its connection, and does not notice the end of its stream."""
    site = build(deployment, server=SERVERS.get(deployment), **QUICK).start()
    site.follow()
    site.server.reload()
    with Crowd(site.server.address, site.deployment.mount, 1) as crowd:
        assert page_seconds(site, crowd) < BEARABLE_S


@pytest.mark.deployments("lighttpd", "lighttpd-spawn", "lighttpd-cgi")
def test_log_rotation(build, deployment):
    """Debian's logrotate sends lighttpd a SIGHUP each week. Only lighttpd gets it, and streams continue."""
    site = build(deployment).start()
    opened, running = site.follow(), site.programs()
    for path in site.server.logs.iterdir():
        path.rename(f"{path}.1")
    site.server.process.send_signal(signal.SIGHUP)
    wait_until((site.server.logs / "error.log").exists, "new log")
    row = site.log.insert("after the rotation")
    assert opened.next_row().last_event_id == str(row)
    assert site.programs() == running
