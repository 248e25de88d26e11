"""Many streams, and one that stops reading, behind each web server."""

import fcntl
import re
import socket
import time
import zlib

import pytest

import httpc
import rowtail
import webserver
from deployment import BY_HTTP, FULL, ApacheProxy, wait_until
from stream import pump_all

MIB = 1 << 20
# Rows behind a client that does not read: these fill the buffers that exist anyway, and these come then.
# (In one transaction: rowtail keeps up to 16 MiB of memory for the rows that it reads at once.)
FILL_MIB, WAITING_MIB = 12, 64 if FULL else 32
GROWTH_MIB = 16  # by which memory may grow meanwhile


class Sized:
    """Apache with deploy/apache/mpm-event.conf instead of Debian's file."""

    def enable(self, module, enabled):
        super().enable(module, enabled)
        if module == "mpm_event":
            (enabled / "mpm_event.conf").unlink()
            text = (webserver.DEPLOY / "apache" / "mpm-event.conf").read_text()
            (enabled / "mpm_event.conf").write_text(text)


class SizedApache(Sized, webserver.Apache):
    pass


class SizedApacheProxy(Sized, ApacheProxy):
    pass


class SizedNginx(webserver.Nginx):
    """With what the first lines of deploy/nginx/fastcgi.conf say about nginx.conf."""

    def configure(self, configuration):
        text = (webserver.DEPLOY / "nginx" / "fastcgi.conf").read_text()
        limit = re.search(r"worker_rlimit_nofile \d+;", text)[0]
        connections = re.search(r"worker_connections \d+;", text)[0]
        self.edits = {
            "worker_processes auto;": f"worker_processes auto;\n{limit}",
            "worker_connections 768;": connections,
        }
        super().configure(configuration)


SIZED = {
    "apache": SizedApache,
    "apache-http": SizedApacheProxy,
    "nginx": SizedNginx,
    "nginx-http": SizedNginx,
}


def out_of_the_way(opened):
    """Moves a stream's descriptor up: select() needs those below 1,024."""
    high = fcntl.fcntl(opened.source, fcntl.F_DUPFD_CLOEXEC, 1024)
    opened.source.close()
    opened.source = socket.socket(fileno=high)
    return opened


@pytest.mark.deployments(
    "apache", "lighttpd", "lighttpd-spawn", "nginx", "caddy", "haproxy", *BY_HTTP
)
def test_thousand_streams(build, deployment):
    """All streams are served at once, each gets the row, and the rest of the site still answers."""
    rowtail.raise_file_limit()
    site = build(deployment, server=SIZED.get(deployment)).start()
    streams = [out_of_the_way(site.open()) for _ in range(1000)]
    pump_all(streams, lambda opened: opened.events, "position")
    assert site.streams() == 1000
    row = site.log.insert("to a thousand")
    pump_all(streams, lambda opened: opened.rows, "row")
    assert all(opened.ids == [row] for opened in streams)
    static = httpc.open_request(site.server.address, "/index.html", accept="*/*").wait_head()
    assert static.head.status == 200
    for opened in streams:
        opened.close()


def insert_mebibytes(log, count, transaction=("", "")):
    """Inserts rows of 256 KiB that compress badly; returns {id: checksum}."""
    begin, commit = transaction
    log.sql("PRAGMA synchronous = OFF")  # nobody pulls the plug here
    checksums = {}
    log.sql(begin)
    for number in range(count * 4):
        data = f"{number:08x}" * (MIB // 32)
        checksums[log.insert(data)] = zlib.crc32(data.encode())
    log.sql(commit)
    return checksums


def fill_buffers(log):
    """As many rows as there is memory for anyway. rowtail finds them all at once, as it may on a busy machine."""
    return insert_mebibytes(log, FILL_MIB, ("BEGIN IMMEDIATE", "COMMIT"))


def read_all(opened, expected):
    """Reads these rows. Each has a deadline of its own: a busy machine may need long for all of them."""
    while len(opened.events) < len(expected) + 1:  # the first event is the position
        arrived = len(opened.events)
        opened.wait(lambda: len(opened.events) > arrived, f"event {arrived + 1} of {len(expected) + 1}")


def received(opened):
    return {int(row.last_event_id): zlib.crc32(row.data.encode()) for row in opened.rows}


def quiet(site, opened):
    """Waits until the web server reads no more bytes from rowtail."""
    taken = [None]

    def no_more():
        before, taken[0] = taken[0], _bytes_sent(site)
        time.sleep(0.2)
        return before == taken[0]

    wait_until(no_more, "stalled stream")


def _bytes_sent(site):
    """What rowtail has written so far, to pipes and sockets, as the kernel counts it."""
    total = 0
    for pid in site.programs():
        with open(f"/proc/{pid}/io", encoding="ascii") as counters:
            total += int(re.search(r"wchar: (\d+)", counters.read())[1])
    return total


def test_client_that_stops_reading(build, deployment):
    """32 MiB (64 with TEST_FULL=1) wait for it in the log, not in memory; it gets them when it reads again."""
    site = build(deployment).start()
    opened = site.follow()
    expected = fill_buffers(site.log)
    read_all(opened, expected)
    before = site.memory_kib()
    expected.update(insert_mebibytes(site.log, WAITING_MIB))
    quiet(site, opened)
    assert site.memory_kib() - before < GROWTH_MIB * 1024
    read_all(opened, expected)
    assert received(opened) == expected
    assert opened.ids == sorted(expected)
