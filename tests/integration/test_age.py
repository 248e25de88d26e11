"""--max-stream-age: every stream ends in time, whatever its state, and its client misses nothing."""

import contextlib
import time

import faults
import stream

LARGE = "x" * (6 << 20)  # more than any socket takes


def end_times(peers):
    """The time at which each stream ends."""
    ends = {}

    def has_ended(peer):
        if peer.eof:
            ends.setdefault(peer, time.monotonic())
        return peer.eof

    stream.pump_all(peers, has_ended, "end")
    return [ends[peer] for peer in peers]


def assert_polite(peer):
    peer.wait_complete()
    assert len(peer.parser.retries) == 2
    assert not peer.parser.pending


def resume(server, peer, newest):
    """Reconnects until it has all rows; returns the ids from all its connections."""
    ids = list(peer.ids)
    while newest not in ids:
        position = peer.parser.last_event_id
        peer.close()
        peer = server.open(last_event_id=position)
        peer.wait(lambda peer=peer: peer.eof or newest in peer.ids, "rows")
        ids += peer.ids
        assert "gap" not in [event.type for event in peer.events]
    return ids


def test_streams_end_after_the_limit_and_spread_out(launch):
    server = launch("--max-stream-age", 4, "--heartbeat", 1)
    peers, opened = [], []
    began = time.monotonic()
    for _ in range(60):
        peers.append(server.open())
        opened.append(time.monotonic())
    ends = end_times(peers)
    ages = [end - begin for begin, end in zip(opened, ends)]
    assert min(ends) - began >= 4.0
    assert max(ages) - min(ages) > 0.15
    assert max(ages) < 4.4 + 5  # a busy machine
    for peer in peers:
        assert_polite(peer)
    assert len({peer.parser.reconnection_time for peer in peers}) > 20


def test_streams_do_not_end_without_a_limit(launch, workdir):
    clocks = faults.Clocks(workdir)
    server = launch(env=clocks.env)
    peer = server.open()
    for _ in range(4):
        clocks.jump(0.9)
        time.sleep(0.1)
    assert not peer.drain().eof


def test_stream_ends_during_a_replay(launch, log):
    log.insert_many(3000, prefix="x" * 8000)
    server = launch("--max-stream-age", 1, "--heartbeat", 1)
    peer = server.open(last_event_id=0)
    while not peer.eof:
        peer.pump()
        time.sleep(0.03)
    assert_polite(peer)
    assert len(peer.ids) < 3000
    assert resume(server, peer, 3000) == list(range(1, 3001))


def test_peer_that_reads_nothing(launch, log):
    server = launch("--max-stream-age", 1, "--stall-timeout", 2, "--heartbeat", 1)
    peer = server.open()
    log.insert(LARGE)
    server.wait_metric(0, "rowtail_streams", timeout=12)
    peer.close()


def test_peer_that_reads_a_record_slowly(launch, log):
    """It gets one more --stall-timeout for the rest; then it starts the record again."""
    server = launch("--max-stream-age", 1, "--stall-timeout", 1, "--heartbeat", 1)
    peer = server.open()
    log.insert(LARGE)
    began = time.monotonic()
    while server.metric("rowtail_streams") > 0:
        assert time.monotonic() - began < 12
        with contextlib.suppress(BlockingIOError):
            peer.source.recv(60000)
        time.sleep(0.2)
    peer.close()
    again = server.open(last_event_id=0)
    assert again.next_row().data == LARGE
    assert_polite(again)


def test_unreadable_log(launch, log, workdir):
    """Streams in the middle of a record, before the first, and between two."""
    files = faults.Files(workdir)
    server = launch(
        "--max-stream-age", 2, "--stall-timeout", 1, "--heartbeat", 1, env=files.env
    )
    between, inside = server.open(), server.open()
    log.insert("a")
    between.wait_rows(1)
    log.insert(LARGE)
    newest = log.insert(LARGE)  # of which rowtail keeps one at a time in memory
    time.sleep(0.5)
    files.plan(("read", "any", "ioerr_read"), ("open", "any", "cantopen"))
    stream.pump_all([between, inside], lambda peer: peer.eof, "end")
    assert files.hits > 0
    files.stop()
    server.wait_health(200)
    for peer in between, inside:
        assert resume(server, peer, newest) == [1, 2, 3]
