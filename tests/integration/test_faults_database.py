"""The database's files fail while streams are open, and recover: nobody loses a row.

The faults come from a VFS in rowtail's own SQLite, see tests/faults/vfs.c; those without it (the
files themselves, their permissions, the schema) are in test_faults_files.py.
"""

import random
import re
import signal
import time

import pytest

import cgiprogram
import faults
import rowtail
import stream

# What fails while the fault lasts. The first line of a pair only makes rowtail reopen the log.
WAL = [
    [("read", "wal", "ioerr_read")],
    [("read", "wal", "short")],
    [("read", "wal", "rot")],
    [("read", "any", "corrupt")],
    [("read", "any", "nomem")],
    [("any", "any", "nomem")],
    [("any", "any", "cantopen")],
    [("shmlock", "shm", "ioerr_lock")],
    [("read", "wal", "ioerr_read", 1), ("open", "db", "cantopen")],
    [("read", "wal", "ioerr_read", 1), ("open", "wal", "cantopen")],
    [("read", "wal", "ioerr_read", 1), ("shmmap", "shm", "ioerr_shmmap")],
    [("read", "db", "short")],
    [("read", "db", "rot")],
]
ROLLBACK = [
    [("read", "db", "ioerr_read")],
    [("read", "db", "short")],
    [("read", "db", "rot")],
    [("lock", "db", "ioerr_lock")],
    [("size", "db", "ioerr_fstat")],
    [("access", "other", "ioerr_access")],
    [("read", "db", "ioerr_read", 1), ("open", "db", "cantopen")],
    [("any", "any", "nomem")],
]
LOCKED = [("wal", [("shmlock", "shm", "busy")]), ("delete", [("lock", "db", "busy")])]
BROKEN = [("wal", plan) for plan in WAL] + [("delete", plan) for plan in ROLLBACK]


def name(value):
    """A parameter's name in the list of tests."""
    return value if isinstance(value, str) else "+".join("-".join(map(str, one)) for one in value)


@pytest.fixture
def files(workdir):
    return faults.Files(workdir)


@pytest.fixture
def start(launch, log, files):
    """start(journal): rowtail whose files can fail."""

    def start(journal="wal"):
        log.sql(f"PRAGMA journal_mode={journal}")
        return launch("--heartbeat", 1, "--poll", 20, env=files.env)

    return start


def open_streams(server):
    """Streams of all kinds; the last one has rows to catch up with."""
    queries = ["", "envelope=json", "channel=*", "channel=other&channel=default", "positions=0"]
    peers = [server.open(query) for query in queries]
    peers.append(server.open("channel=default", last_event_id=0))
    return peers


def beats(peer):
    """The heartbeats so far."""
    return len(peer.parser.comments) + sum(event.type == "position" for event in peer.events)


def assert_alive(peers, count=1):
    """Each of these streams stays open and sends heartbeats."""
    wanted = {peer: beats(peer) + count for peer in peers}
    stream.pump_all(peers, lambda peer: beats(peer) >= wanted[peer], "sign of life")


def assert_all_rows_once(peers, log, since):
    """Every row after `since` has arrived, once and in order, and no gap was sent."""
    newest = log.insert("the end")
    expected = [
        (id, data) for id, data in log.sql("SELECT id, data FROM events ORDER BY id") if id > since
    ]
    stream.pump_all(peers, lambda peer: newest in peer.ids, "the last row")
    for peer in peers:
        assert [id for id in peer.ids if id > since] == [id for id, _ in expected]
        assert "gap" not in [event.type for event in peer.events]
    plain = peers[0]
    assert [event.data for event in plain.rows if int(event.last_event_id) > since] == [
        data for _, data in expected
    ]


def assert_comes_back_later(server):
    """A new client is told to reconnect later: an EventSource by a stream, others by 503."""
    polite = server.ask().wait_complete()
    assert (polite.head.status, polite.events) == (200, [])
    assert len(polite.parser.retries) == 1
    assert any(len(comment) > 10 for comment in polite.parser.comments)
    plain = server.ask(accept="*/*").wait_complete()
    assert plain.head.status == 503
    assert int(plain.head.get("Retry-After")) >= 1


def said(server, level):
    """The log's lines of this level."""
    return re.findall(rf" {level}: (.*)", server.stderr)


@pytest.mark.parametrize("journal, plan", BROKEN, ids=name)
def test_lasting_fault(start, files, log, journal, plan):
    server = start(journal)
    peers = open_streams(server)
    log.insert_many(3)
    stream.pump_all(peers, lambda peer: len(peer.rows) == 3)
    with files.during(*plan):
        log.insert("in the dark")
        server.wait_log(" error: ")
        server.wait_health(503)
        assert_alive(peers)
        assert_comes_back_later(server)
        assert len(said(server, "error")) == 1
        assert str(log.path) in said(server, "error")[0]
    server.wait_health(200)
    assert_all_rows_once(peers, log, 0)
    server.serves(log)
    assert len(said(server, "error")) == 1
    assert [line for line in said(server, "info") if "can be read" in line] == [
        "the log can be read"
    ]


@pytest.mark.parametrize("journal, plan", LOCKED, ids=name)
def test_lasting_lock(start, files, log, journal, plan):
    server = start(journal)
    peers = open_streams(server)
    with files.during(*plan):
        log.insert("in the dark")
        files.wait_hits(10)
        assert_alive(peers)
        assert_comes_back_later(server)
    server.wait_health(200)
    assert_all_rows_once(peers, log, 0)
    assert len(server.stderr.splitlines()) < 10


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_passing_faults(start, files, log, journal):
    """Short faults of all kinds during a flood of rows, some while streams are opened."""
    server = start(journal)
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    plans = [one for which, plan in BROKEN + LOCKED if which == journal for one in plan]
    peers = open_streams(server)
    late = []
    until = time.monotonic() + 4
    while time.monotonic() < until:
        method, file, error, *_ = dice.choice(plans)
        files.plan((method, file, error, dice.randint(1, 6)))
        for _ in range(dice.randint(1, 4)):
            log.insert_many(dice.randint(1, 5))
        late.append((log.newest(), server.ask(f"since={log.newest()}")))
        time.sleep(dice.random() / 20)
    files.stop()
    server.wait_health(200)
    assert_all_rows_once(peers, log, 0)
    newest = log.newest()
    for since, peer in late:
        peer.wait(lambda: peer.eof or newest in peer.ids, f"id {newest}, seed {seed}")
        if not peer.eof:
            assert peer.ids == list(range(since + 1, newest + 1)), f"seed {seed}"


@pytest.mark.parametrize("fault", [WAL[0][0], LOCKED[0][1][0]], ids=["unreadable", "locked"])
def test_shutdown_while_the_log_is_unreadable(start, files, log, fault):
    """SIGTERM: all streams end cleanly within 5 s, even one in the middle of a row."""
    server = start()
    log.insert_many(30, prefix="x" * 100_000)
    peers = open_streams(server)
    stalled = server.open(last_event_id=0)
    stream.pump_all(peers[:-1], lambda peer: beats(peer))
    with files.during(fault):
        log.insert("in the dark")
        files.wait_hits(5)
        server.signal(signal.SIGTERM)
        stream.pump_all(peers[:-1], lambda peer: peer.eof, "end", timeout=5)
        assert server.wait_exit(10) == 0
    for peer in peers[:-1]:
        peer.wait_complete()
        assert len(peer.parser.retries) == 2
    for peer in (peers[-1], stalled):
        peer.wait_end()
        assert peer.ids == list(range(1, len(peer.ids) + 1))
    server.restart()
    for peer in [one for one in [*peers, stalled] if one.events]:
        with server.open("channel=default", last_event_id=peer.parser.last_event_id) as again:
            again.wait_id(31)
            assert again.ids == list(range(int(peer.parser.last_event_id) + 1, 32))


def test_position_survives_a_fault(start, files, log):
    """A client that reconnects afterwards continues where it was."""
    server = start()
    log.insert_many(5)
    first = server.open(last_event_id=0)
    first.wait_rows(5)
    with files.during(("read", "any", "ioerr_read")):
        log.insert("in the dark")
        server.wait_health(503)
        first.close()
    second = server.open(last_event_id=first.parser.last_event_id)
    assert second.next_row() == ("message", "in the dark", "6")
