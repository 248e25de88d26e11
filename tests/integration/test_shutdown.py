"""Shutdowns and restarts: streams end cleanly, and nothing is lost."""

import signal
import threading

import pytest

import database
import fcgi
import gateway
import rowtail
import stream

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_every_stream_cleanly(server, log, number):
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


def test_signal_right_after_listen(workdir, log):
    """The first client may connect, and the signal arrive, before rowtail has read its database."""
    for number in range(5):
        address = workdir / f"{number}.sock"
        process = rowtail.Rowtail(workdir, ["--db", log.path], address=address)
        process.start(wait=False)
        process.wait_accepts()
        process.stop()
        process.assert_clean(True)


def test_stalled_reader_does_not_delay_shutdown(server, log):
    stalled, quick = server.open(), server.open()
    log.insert("x" * (4 << 20))
    quick.wait_rows(1)
    server.stop()
    stalled.wait_end()


def test_request_that_is_still_arriving_is_answered(server):
    """A client that meets a restart with half a request comes back later."""
    peer = fcgi.Connection(server.address)
    whole = fcgi.request(gateway.params(method="POST", body=b"channel=a", content_type=FORM), b"channel=a")
    peer.send(whole[:-12])
    server.signal(signal.SIGTERM)
    peer.wait_complete()
    assert peer.head.status == 200
    assert len(peer.parser.retries) == 1
    assert "restart" in peer.parser.comments[0]
    assert server.wait_exit(5) == 0


def test_client_resumes_on_the_next_process(server, log):
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


def write_rows(log, count):
    """Inserts rows as another program does, one transaction each."""
    with database.Database(log.path) as writer:
        for number in range(count):
            writer.insert(f"row {number} " + "x" * 500)


def test_kills_under_load_lose_nothing(server, log):
    """A client reconnects as an EventSource does, while rows arrive and the process dies."""
    last = 1500
    peer = server.open()
    seen = []
    writer = threading.Thread(target=write_rows, args=(log, last))
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


class Load:
    """Hundreds of streams: in the middle of a long replay, stalled within one, and live."""

    rows = 2000

    def __init__(self, server, log):
        log.insert_many(self.rows, prefix="x" * 1000)
        self.replaying = [server.open(query, last_event_id=0) for query in QUERIES * 50]
        self.stalled = [server.open(query, last_event_id=0) for query in QUERIES * 10]
        self.live = [server.open(query) for query in QUERIES * 15]

    @property
    def all(self):
        return self.replaying + self.stalled + self.live

    def read_some(self):
        """Replaying clients are each at a different place; stalled clients read nothing."""
        for number, peer in enumerate(self.replaying):
            for _ in range(number % 4):
                peer.pump()
        assert all(len(peer.ids) < self.rows for peer in self.replaying)

    def first_id(self, peer):
        return self.rows + 1 if peer in self.live else 1


QUERIES = ["", "envelope=json", "channel=*", "channel=other&channel=default"]


def test_shutdown_under_load_loses_nothing(server, log):
    """Within 5 s, whatever hundreds of streams are doing; each resumes after what it has received."""
    rowtail.raise_file_limit()
    load = Load(server, log)
    load.read_some()
    writer = threading.Thread(target=write_rows, args=(log, 300))
    writer.start()
    stream.pump_all(load.live, lambda peer: peer.rows, "row")
    late = [server.connect() for _ in range(50)]
    server.signal(signal.SIGTERM)
    moving = load.replaying + load.live
    stream.pump_all(moving, lambda peer: peer.eof, "end", timeout=5)
    assert server.wait_exit(5) == 0
    writer.join()
    for peer in moving:
        peer.wait_complete()
        assert not peer.parser.pending
        assert len(peer.parser.retries) == 2
    for peer in load.stalled + late:
        peer.wait_end()
    for peer in load.all:
        first = load.first_id(peer)
        assert peer.ids == list(range(first, first + len(peer.ids)))
        assert "gap" not in [event.type for event in peer.events]
    server.restart()
    newest = log.insert("the end")
    for peer in load.replaying[::10] + load.stalled[::10] + load.live[::10]:
        with server.open(last_event_id=peer.parser.last_event_id) as again:
            again.wait_id(newest)
            first = load.first_id(peer)
            assert peer.ids + again.ids == list(range(first, newest + 1))


def test_sigpipe_does_not_kill(server, log):
    server.signal(signal.SIGPIPE)
    peer = server.open()
    log.insert("alive")
    assert peer.next_row().data == "alive"


def test_clients_disconnect_in_every_way(server, log):
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
