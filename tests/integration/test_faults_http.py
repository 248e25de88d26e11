"""--http without memory, and with partial reads and writes: whole answers, a reconnect, or a closed connection."""

import json

import pytest

import faults
import httpserver
import stream
from test_faults_memory import assert_most_failed, numbers_of
from test_http import LAST, serve, statuses  # noqa: F401

EACH, SPREAD = 60, 17
STREAM = b"GET /events?since=0 HTTP/1.1\r\nAccept: text/event-stream\r\n"
REQUESTS = {
    "stream": STREAM + b"Host: a\r\n\r\n",
    "long head": STREAM + b"Cookie: " + b"x" * 9000 + b"\r\nHost: a\r\n\r\n",
    "head": b"HEAD /events HTTP/1.1\r\nAccept: text/event-stream\r\n" + LAST,
    "posted": b"POST /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n"
    b'Transfer-Encoding: chunked\r\n\r\nd\r\n{"positions":\r\n140d\r\n1,"since":0' + b" " * 0x1401 + b"}\r\n0\r\n\r\n",
    "json": b"GET /events?format=json&since=0 HTTP/1.1\r\n" + LAST,
    "two": b"GET /events?format=json HTTP/1.1\r\nHost: a\r\n\r\nGET /events?format=json&since=0 HTTP/1.1\r\n" + LAST,
    "page": b"GET /status.json HTTP/1.1\r\n" + LAST,
}

pytestmark = [
    httpserver.needed,
    pytest.mark.skipif("'rowtail-san' in __import__('rowtail').BINARY.name", reason="a sanitizer has an allocator of its own"),
]


def ask(server, name):
    """What comes, until the answer is whole or the connection closes."""
    with stream.connect(server.pages if name == "page" else server.web) as peer:
        peer.settimeout(stream.DEADLINE)
        got = b""
        try:
            peer.sendall(REQUESTS[name])
            # After the first of two answers the connection stays open for the second.
            last_chunk = b"\r\n0\r\n\r\n" if name != "two" else b"no answer ends so"
            while b"id: 3\n\n" not in got and not got.endswith(last_chunk) and (chunk := peer.recv(65536)):
                got += chunk
        except ConnectionError:
            pass
        except TimeoutError:
            raise AssertionError(f"neither the rows nor an end: {got!r}") from None
        return got


def assert_well(got, name):
    """Nothing that would end an EventSource for good, and no answer that looks whole and is not."""
    assert set(statuses(got)) <= ({200} if name in ("stream", "long head", "posted") else {200, 503}), got
    head, _, body = got.rpartition(b"HTTP/1.1 200")[2].partition(b"\r\n\r\n")
    if statuses(got)[-1:] == [200] and name in ("json", "two", "page") and body and b"chunked" not in head:
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(body) == length:
            json.loads(body)


@pytest.mark.parametrize("name", REQUESTS)
def test_each_allocation_fails(serve, log, workdir, name):  # noqa: F811
    """A failed allocation is not reported as a request that is too large, or not found."""
    log.insert_many(3)
    memory = faults.Memory(workdir)
    server = serve("--heartbeat", 1, env=memory.env)
    wanted = ask(server, name)
    assert set(statuses(wanted)) == {200}, wanted

    def attempt(plan):
        server.wait_metric(0, "rowtail_streams")
        plan()
        got = ask(server, name)
        memory.stop()
        assert_well(got, name)
        return memory.hits

    count = [attempt(memory.count) for _ in range(2)][-1]
    assert count > 0
    numbers = numbers_of(count, EACH, SPREAD)
    assert_most_failed([attempt(lambda n=number: memory.plan(n, n)) > 0 for number in numbers])
    assert statuses(ask(server, name)) == statuses(wanted)


@pytest.mark.parametrize("most", (1, 7))
def test_partial_reads_and_writes(serve, log, workdir, most):  # noqa: F811
    """Each system call takes a few bytes, and some are interrupted."""
    log.insert_many(3)
    pieces = faults.Pieces(workdir)
    server = serve(env=pieces.env)
    wanted = {name: statuses(ask(server, name)) for name in REQUESTS}
    pieces.plan(most, 3)
    for name in REQUESTS:
        got = ask(server, name)
        # While an answer waits for the socket, input behind its request is dropped: the client asks again.
        assert statuses(got) == wanted[name][: 1 if name == "two" else None], got
        assert_well(got, name)
    pieces.stop()
