"""Clients that are told to reconnect: rowtail delays the end of the answer, so that none reconnects in a loop.

An EventSource waits for its reconnection time. Other clients take a stream that has begun for success, and
reconnect as soon as it ends. (The tests compare order, not time: a later answer without delay ends first.)
"""

import os
import signal
import time

import pytest

import cgiprogram
import fcgi
import rowtail
import stream


def fill(launch, log):
    server = launch("--max-streams", 1)
    server.open()
    return server, {}


def fill_for_client(launch, log):
    server = launch("--max-streams-per-client", 1)
    server.open(addr="192.0.2.1")
    return server, {"addr": "192.0.2.1"}


def take_database_away(launch, log):
    server = launch()
    os.rename(log.path, f"{log.path}.away")
    return server, {}


def try_tokens(launch, log):
    server = launch()
    for number in range(20):
        server.answer("channel=secret", accept="*/*", headers={"Authorization": f"Bearer {number}"})
    return server, {"headers": {"Authorization": "Bearer wrong"}}


@pytest.fixture(params=[fill, fill_for_client, take_database_away, try_tokens])
def refusing(request, launch, log):
    """A server that refuses for a while, and the request that it refuses."""
    return request.param(launch, log)


@pytest.fixture
def full(launch, log):
    """A server all of whose streams are taken."""
    return fill(launch, log)[0]


def is_over(peer):
    return peer.drain().end is not None


def wait_comment(peer):
    """Waits until all of the answer except its end has arrived."""
    peer.wait(lambda: peer.parser.comments and peer.parser.retries, "retry and a comment")
    assert peer.head.status == 200
    assert peer.head.get("Content-Type") == "text/event-stream"
    return peer


def test_only_the_end_of_the_answer_is_delayed(refusing):
    server, how = refusing
    held = wait_comment(server.ask(**how))
    server.ask(**how, accept="*/*").wait_complete()
    server.ask(**how, method="HEAD").wait_complete()
    assert not is_over(held)
    asked = time.monotonic()
    held.wait_complete()
    assert 0.5 < time.monotonic() - asked < 10
    assert held.end == (0, fcgi.REQUEST_COMPLETE)


def test_immediate_reconnects_are_limited_to_one_a_second(full):
    asked, until = 0, time.monotonic() + 2.5
    while time.monotonic() < until:
        full.ask().wait_complete()
        asked += 1
    assert 1 <= asked <= 3


def test_refused_clients_do_not_count_as_streams(launch, log):
    server = launch("--max-streams", 2)
    first = server.open()
    server.open()
    held = [wait_comment(server.ask()) for _ in range(5)]
    first.close()
    server.wait_metric(1, "rowtail_streams")
    assert server.open().first.type == "position"
    assert not is_over(held[-1])


def test_shutdown_ends_refused_clients(launch, log):
    """At once; on a busy machine the first attempts may be late."""
    for _ in range(5):
        server = fill(launch, log)[0]
        held = [server.ask() for _ in range(20)]
        wait_comment(held[-1])
        asked = time.monotonic()
        server.stop()
        for peer in held:
            assert peer.wait_complete().end == (0, fcgi.REQUEST_COMPLETE)
        if time.monotonic() - asked < 0.5:
            return
    pytest.fail("they were held until their time was over")


@pytest.mark.parametrize("leave", ["close", "reset", "abort"])
def test_refused_client_that_disconnects_is_released(full, leave):
    at_rest = full.open_files()
    leaving = [wait_comment(full.ask()) for _ in range(10)]
    stays = wait_comment(full.ask())
    for peer in leaving:
        peer.send(fcgi.abort()).wait_complete() if leave == "abort" else getattr(peer, leave)()
    full.wait_open_files(at_rest + 1)
    assert not is_over(stays)
    stays.wait_complete()


def test_management_records_do_not_end_a_refusal(full):
    held = wait_comment(full.ask())
    held.send(fcgi.record(fcgi.STDIN) + fcgi.record(fcgi.GET_VALUES, 0, b"\1\0x"))
    full.ask(accept="*/*").wait_complete()
    assert not is_over(held)
    held.wait_complete()


def test_garbage_ends_a_refusal(full):
    held = wait_comment(full.ask())
    stays = wait_comment(full.ask())
    held.send(b"GET / HTTP/1.0\r\n\r\n").wait_end()
    assert not is_over(stays)


def test_oldest_refusal_ends_first_when_too_many_wait(launch, log, workdir):
    """As many wait as descriptors allow, beside all the streams."""
    address = workdir / "few.sock"
    limited = ["--nofile=200:200", rowtail.BINARY, "--db", log.path, "--listen", address]
    server = launch(
        *limited, "--max-streams", 1, db=None, how=None, program="/usr/bin/prlimit", address=address
    )
    server.open()
    crowd = [server.ask() for _ in range(400)]
    wait_comment(crowd[-1])
    assert server.open_files() < 200
    # The newest first: the oldest end meanwhile.
    over = [is_over(peer) for peer in reversed(crowd)]
    assert over == sorted(over)
    assert over[-1] and not over[0]
    stream.pump_all(crowd, lambda peer: peer.eof)


@pytest.fixture
def program(workdir):
    """rowtail as a CGI program whose database is missing."""
    running = []

    def start(**how):
        running.append(cgiprogram.Program(["--db", workdir / "nosuch.db"], **how))
        return running[-1]

    yield start
    for each in running:
        each.cleanup()


@pytest.mark.parametrize("plumbing", ["pipes", "null", "socket"])
def test_cgi_program_delays_its_end(program, plumbing):
    began = time.monotonic()
    assert wait_comment(program(plumbing=plumbing)).wait_exit() == 0
    assert time.monotonic() - began > 0.5
    assert program(plumbing=plumbing, accept="*/*").wait_exit() == 0
    assert program(plumbing=plumbing, method="HEAD").wait_exit() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_cgi_program_ends_at_once_when_told(program, number):
    for _ in range(5):
        held = wait_comment(program())
        asked = time.monotonic()
        held.signal(number)
        assert held.wait_exit() == 0
        if time.monotonic() - asked < 0.5:
            return
    pytest.fail("it was held until its time was over")


def test_cgi_program_ends_when_its_client_leaves(program):
    for _ in range(5):
        held = wait_comment(program())
        asked = time.monotonic()
        held.close()
        assert held.wait_exit() == 0
        if time.monotonic() - asked < 0.8:
            return
    pytest.fail("it was held until its time was over")
