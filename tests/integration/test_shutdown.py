"""Ends and restarts: streams end politely, and nothing is lost over any of it."""

import signal
import threading

import pytest

import database
import fcgi
import rowtail
import stream


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_every_stream_politely(server, log, number):
    peers = [server.open() for _ in range(20)]
    log.insert("before")
    stream.pump_all(peers, lambda peer: peer.rows)
    server.signal(number)
    for peer in peers:
        peer.wait_complete()
        assert peer.end == (0, fcgi.REQUEST_COMPLETE)
        assert len(peer.parser.retries) == 2
        assert peer.parser.retries[-1] > 0
        assert not peer.parser.pending
        assert [event.data for event in peer.rows] == ["before"]
    assert len({peer.parser.reconnection_time for peer in peers}) > 5
    assert server.wait_exit(5) == 0


def test_signal_as_soon_as_somebody_can_connect(workdir, log):
    """The first client may come, and the end, before rowtail has looked at its database."""
    for number in range(5):
        address = workdir / f"{number}.sock"
        process = rowtail.Rowtail(workdir, ["--db", log.path], address=address)
        process.start(wait=False)
        process.wait_accepts()
        process.stop()
        process.assert_clean(True)


def test_reader_that_takes_nothing_does_not_hold_up_the_end(server, log):
    stalled, quick = server.open(), server.open()
    log.insert("x" * (4 << 20))
    quick.wait_rows(1)
    server.stop()
    stalled.wait_end()


def test_resume_on_the_next_process(server, log):
    peer = server.open()
    log.insert("before")
    peer.wait_rows(1)
    server.stop()
    peer.wait_end()
    log.insert("between")
    server.restart()
    again = server.open(last_event_id=peer.parser.last_event_id)
    log.insert("after")
    assert [event.data for event in again.wait_rows(2)] == ["between", "after"]


def test_kill_before_the_first_row_loses_nothing(server, log):
    log.insert_many(3)
    peer = server.open()
    server.kill()
    peer.wait_end()
    log.insert("missed")
    server.restart()
    assert server.open(last_event_id=peer.parser.last_event_id).next_row().data == "missed"


def test_kills_under_load_lose_nothing(server, log):
    """A client that reconnects as an EventSource does, while rows come and the process dies."""
    last = 1500
    peer = server.open()
    seen = []

    def write():
        with database.Database(log.path) as writer:
            for number in range(last):
                writer.insert(f"row {number} " + "x" * 500)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(4):
        peer.wait(lambda: len(peer.rows) >= 100, "100 rows")
        server.kill()
        peer.wait_end()
        seen += peer.ids
        server.restart()
        peer = server.open(last_event_id=peer.parser.last_event_id)
    writer.join()
    peer.wait_id(last)
    assert seen + peer.ids == list(range(1, last + 1))


def test_sigpipe_does_not_kill(server, log):
    server.signal(signal.SIGPIPE)
    peer = server.open()
    log.insert("alive")
    assert peer.next_row().data == "alive"


def test_clients_that_leave_in_every_way(server, log):
    baseline = server.open_files_at_rest(log)
    for leave in ("close", "reset", "abort"):
        for query in ("", "last_event_id=0"):
            peer = server.open(query)
            if leave == "abort":
                peer.send(fcgi.abort()).wait_complete()
            getattr(peer, "close" if leave == "abort" else leave)()
    for _ in range(5):
        log.insert("x" * 300000)
    server.wait_metric(0, "rowtail_streams")
    server.wait_open_files(baseline)
