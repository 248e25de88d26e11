"""Crowds: endless connections, all clients at once, more clients than allowed, slow readers."""

import time

import pytest

import crowd
import database
import full
import rowtail

MEBIBYTE = 1 << 20
# Where each loses an allocation, which has 32 bytes at least, so many lose more than twice the limit.
MANY = 100_000 if full.FULL else 40_000
# Ten rows in a commit are some 30 KiB of write-ahead log: so many are more than the limit.
LOGGED = 8_000 if full.FULL else 4_000


@pytest.fixture
def sized(launch):
    """launch(), with as many descriptors as possible, and without tools that distort its memory."""

    def start(*arguments):
        rowtail.raise_file_limit()
        server = launch(*arguments)
        if server.is_sanitized():
            pytest.skip("a sanitizer keeps freed memory")
        return server

    return start


def come_and_go(server, connections):
    """Opens so many connections, forty at a time, each until its first record."""
    with crowd.Crowd(server.address, streams=40, rounds=connections // 40) as visitors:
        told = visitors.wait_open().wait_done()
    assert told["closed"] == told["refused"] == told["unconnected"] == 0, told
    server.wait_metric(0, "rowtail_streams")


def test_tens_of_thousands_of_connections_leak_nothing(sized, log):
    server = sized()
    crowd.published(log, 1, 100)
    come_and_go(server, MANY // 5)
    memory, files = server.resident_kib(), server.open_files()
    come_and_go(server, MANY)
    server.wait_open_files(files)
    assert server.resident_kib() - memory < 512
    assert server.metric("rowtail_streams_total") == MANY // 5 + MANY


def test_all_clients_reconnect_at_once(sized, log):
    """Ten thousand clients, each a hundred rows behind, while others are live."""
    count = crowd.most_streams(10_000)
    server = sized("--max-streams", count + 10)
    crowd.published(log, 1, 1000)
    with crowd.Crowd(server.address, streams=5, hold=True) as live:
        live.wait_open()
        publisher = crowd.publish(log, 1001, 200, batch=1, pause_us=20_000)
        with crowd.Crowd(server.address, streams=count, **{"from": 900, "until": 1200}) as storm:
            told = storm.wait_open().wait_done()
        assert publisher.wait(crowd.LIMIT_S) == 0
        assert told["events"] == count * 300
        assert told["closed"] == told["refused"] == 0, told
        with server.open(last_event_id=1199) as peer:
            assert peer.next_row().last_event_id == "1200"
        live.order("stop")
        followed = live.wait_done()
        assert followed["events"] == 5 * 200
        # While the storm lasts, not when it is over.
        assert followed["delivery_us"]["p50"] / 1000 < told["elapsed_ms"] / 20
        assert followed["delivery_us"]["p99"] / 1000 < told["elapsed_ms"] / 3


def busy_seconds(server, streams, until):
    """Processor time while so many clients replay the whole log."""
    before = server.cpu_seconds()
    with crowd.Crowd(server.address, streams=streams, **{"from": 0, "until": until}) as readers:
        told = readers.wait_open().wait_done()
    assert told["events"] == streams * until
    return server.cpu_seconds() - before


def test_cost_of_a_large_row_follows_its_size(launch, log, workdir):
    """Twenty clients replay 30 MiB: three large rows are no more work than thousands of small ones."""
    small = launch()
    if small.is_sanitized():
        pytest.skip("to copy 10 MiB is slow there")
    crowd.published(log, 1, 3 * 2560, length=4096)
    with database.Database.create(workdir / "large.db") as other:
        other.grant("*", "*")
        large = launch(db=other)
        crowd.published(other, 1, 3, length=10 * MEBIBYTE, batch=1)
        usual = busy_seconds(small, 20, 3 * 2560)
        assert busy_seconds(large, 20, 3) < 5 * usual + 0.5


def test_large_rows_do_not_starve_other_streams(launch, log):
    """While dozens of clients read rows of 10 MiB again and again, other streams get small rows as usual."""
    server = launch("--heartbeat", 1)
    crowd.published(log, 1, 2, length=10 * MEBIBYTE, batch=1)
    replay = {"from": 0, "until": 2, "rounds": 0}
    live = server.open("channel=small")
    idle = server.open("channel=silence")
    with crowd.Crowd(server.address, streams=40, **replay) as readers:
        readers.wait_open()
        for number in range(60):
            log.insert(f"small {number}", channel="small")
            assert live.next_row().data == f"small {number}"
            assert server.open("channel=small").first.type == "position"
        idle.wait(lambda: idle.parser.comments or len(idle.events) > 1, "sign of life")
        readers.order("stop")
        assert readers.wait_done()["bytes"] > 10 * MEBIBYTE
    server.serves(log)


def test_thousands_of_streams_with_a_private_and_a_shared_channel(launch, log):
    """Memory used for each stream during a large commit is mostly freed afterwards."""
    count = crowd.most_streams(4000) - 1000
    server = launch()
    peers = [server.open(f"channel=all&channel=own/{number}") for number in range(count)]
    log.insert("first", channel="all")
    for peer in peers:
        assert peer.next_row().data == "first"
    before = server.resident_kib()
    log.insert_many(600, channel="all")
    for number, peer in list(enumerate(peers))[::50]:
        log.insert("own", channel=f"own/{number}")
        rows = [peer.next_row().data for _ in range(601)]
        assert rows == [f"row {row}" for row in range(1, 601)] + ["own"]
    assert server.is_sanitized() or server.resident_kib() - before < 4 * 1024


def test_a_flood_beyond_the_limit_leaves_open_streams_alone(sized, log):
    server = sized("--max-streams", 100)
    with crowd.Crowd(server.address, streams=100, until=50) as inside:
        inside.wait_open()
        files = server.open_files()
        for _ in range(3):
            with crowd.Crowd(server.address, streams=1500, hold=True) as outside:
                outside.wait_open()
                outside.order("stop")
                told = outside.wait_done()
            assert told["closed"] == 1500, told
        crowd.published(log, 1, 50, batch=1)
        assert inside.wait_done()["events"] == 100 * 50
        server.wait_open_files(files)
    server.wait_metric(0, "rowtail_streams")
    server.serves(log)


def test_the_write_ahead_log_stays_small(sized, log):
    """A thousand streams: half stand still, and some read the whole log again and again."""
    count = crowd.most_streams(1000)
    server = sized()
    wal = log.path.with_name(log.path.name + "-wal")
    crowd.published(log, 1, 2000, length=1000)
    with (
        crowd.Crowd(server.address, streams=count // 2, until=2000 + LOGGED) as quick,
        crowd.Crowd(server.address, streams=count // 2, stall=True, until=2000 + LOGGED) as slow,
        crowd.Crowd(server.address, streams=5, rounds=0, until=2000, **{"from": 0}) as replaying,
    ):
        quick.wait_open()
        slow.wait_open()
        replaying.wait_open()
        publisher = crowd.publish(log, 2001, LOGGED, length=1000, batch=10, pause_us=1000)
        most = 0
        while publisher.poll() is None:
            most = max(most, wal.stat().st_size)
            time.sleep(0.02)
        assert publisher.returncode == 0
        assert most < 8 * MEBIBYTE, f"{most / MEBIBYTE:.1f} MiB"
        slow.order(f"resume {count // 2}")
        assert quick.wait_done()["events"] == slow.wait_done()["events"] == count // 2 * LOGGED
        replaying.order("stop")
        replaying.wait_done()
