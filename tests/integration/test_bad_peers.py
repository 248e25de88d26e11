"""Peers that stall, send no FastCGI, or lie: each loses only its own connection."""

import random
import struct
import subprocess

import pytest

import fcgi
import gateway

WHOLE = fcgi.request(gateway.params("channel=a&tail=5"))


def lying_pair(length):
    """A PARAMS record that claims a name of this length."""
    content = struct.pack(">I", length | 0x80000000) + b"\x01" + b"x" * 20
    return fcgi.begin() + fcgi.record(fcgi.PARAMS, 1, content) + fcgi.record(fcgi.PARAMS, 1)


GARBAGE = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"x" * 200,
    "zeros": bytes(1000),
    "version 2": b"\x02" + WHOLE[1:],
    "no BEGIN": WHOLE[16:],
    "request id 0": fcgi.begin(0) + fcgi.data(fcgi.PARAMS, 0, b"") + fcgi.data(fcgi.STDIN, 0, b""),
    "name beyond the end": lying_pair(300),
    "cut pair": fcgi.begin() + fcgi.data(fcgi.PARAMS, 1, b"\x05") + fcgi.data(fcgi.STDIN, 1, b""),
    "short BEGIN": fcgi.record(fcgi.BEGIN_REQUEST, 1, b"\0\1"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_closes_the_connection_at_once(server, log, name):
    bystander = server.open()
    peer = server.connect().send(GARBAGE[name])
    peer.wait_end()
    assert peer.head is None
    log.insert("row")
    assert bystander.next_row().data == "row"
    server.serves(log)


@pytest.mark.parametrize("length", [0x40000000, 0x7FFFFFFE, 0x7FFFFFFF])
def test_absurd_length_allocates_nothing(server, log, length):
    """libfcgi aborts the process on these."""
    server.serves(log)
    before = server.resident_kib()
    peer = server.connect().send(lying_pair(length)).wait_end()
    assert peer.head is None or peer.head.status == 413
    assert server.resident_kib() - before < 4096
    server.serves(log)


def test_garbage_on_a_stream_ends_only_that_stream(server, log):
    bystander, peer = server.open(), server.open()
    peer.send(b"GET / HTTP/1.1\r\n\r\n").wait_end()
    log.insert("row")
    assert bystander.next_row().data == "row"


FULL_SOCKET = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t (*real)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");

	if (message->msg_iovlen == 1 && message->msg_iov->iov_len == 16)
		return send(fd, message->msg_iov->iov_base, 5, flags);
	return real(fd, message, flags);
}
"""


def test_partly_written_reply_ends_the_stream(launch, log, workdir):
    """TCP writes only a part if the peer never reads; nothing can follow a partial reply."""
    library = workdir / "full.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"]
    subprocess.run(command, input=FULL_SOCKET, text=True, check=True)
    env = {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "verify_asan_link_order=0"}
    server = launch(env=env)
    asks = [fcgi.record(99, 0), fcgi.begin(2)]
    bystander, peers = server.open(), [server.open() for _ in asks]
    for peer, ask in zip(peers, asks):
        peer.send(ask)
    server.wait_metric(1, "rowtail_streams")
    log.insert("row")
    assert bystander.next_row().data == "row"
    for peer in peers:
        assert not peer.wait_end().rows


def test_hundred_partial_requests_delay_nobody(server, log):
    half_post = fcgi.begin() + fcgi.data(fcgi.PARAMS, 1, fcgi.pairs(gateway.params(method="POST")))
    cuts = [0, 1, 7, 8, 16, 17, 30, len(WHOLE) // 2, len(WHOLE) - 1]
    halves = [half_post + fcgi.record(fcgi.STDIN, 1, b"abc"), half_post[:-8]]
    halves += [WHOLE[:cut] for cut in cuts]
    stalled = [server.connect().send(halves[at % len(halves)]) for at in range(100)]
    for _ in range(3):
        server.serves(log)
    assert server.metric("rowtail_streams") == 0
    for peer in stalled[:20]:
        assert not peer.drain().records
    last = stalled[len(cuts) + 1]  # WHOLE without its last byte
    last.send(WHOLE[-1:])
    assert last.next().type == "position"


def test_partial_requests_time_out(server):
    """A request has some seconds to arrive; sending it byte by byte does not extend them."""
    dribble = server.connect()
    stalled = [server.connect().send(WHOLE[:cut]) for cut in (0, 20, len(WHOLE) - 1)]
    sent = 0
    while not dribble.drain().eof and sent < len(WHOLE) - 1:
        try:
            dribble.send(WHOLE[sent : sent + 1])
        except OSError:
            break
        sent += 1
        dribble.rest(0.3)
    for peer in [*stalled, dribble]:
        peer.wait_end(60)


def test_peers_that_connect_and_leave(server, log):
    baseline = server.open_files_at_rest(log)
    for cut in range(0, len(WHOLE), 5):
        server.connect().send(WHOLE[:cut]).close()
    server.serves(log)
    server.wait_open_files(baseline)


def mutations(count):
    """Requests with some bytes changed, removed or doubled."""
    source = random.Random(7)
    for _ in range(count):
        raw = bytearray(WHOLE)
        for _ in range(source.randrange(1, 6)):
            at = source.randrange(len(raw))
            kind = source.randrange(3)
            if kind == 0:
                raw[at] = source.randrange(256)
            elif kind == 1:
                del raw[at : at + source.randrange(1, 9)]
            else:
                raw[at:at] = raw[at : at + source.randrange(1, 9)]
        yield bytes(raw)


def test_mutated_requests_do_not_crash_rowtail(server, log):
    bystander = server.open()
    for number, raw in enumerate(mutations(400)):
        peer = server.connect().send(raw)
        if number % 50 == 0:
            server.serves(log)
        peer.close()
    assert len(bystander.wait_rows(8)) == 8
