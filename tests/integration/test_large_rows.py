"""Rows too large to send, or for which there is no memory: a gap replaces them, and the stream continues."""

import json
import pathlib
import resource
import shutil
import sqlite3
import tempfile

import pytest

import database
import rowtail

MIB = 1 << 20
LINE = "is too large, or there is no memory for it"

# How to make a row of 300 MiB. It is in channel "large"; all others are in "default".
SOURCES = {
    "a table": [
        "CREATE TABLE v(id INTEGER PRIMARY KEY, channel TEXT, data)",
        f"INSERT INTO v VALUES (1, 'default', 'one'), (2, 'large', zeroblob({300 * MIB})),"
        " (3, 'default', 'three')",
    ],
    "a table with an index": [
        "CREATE TABLE v(id INTEGER PRIMARY KEY, data, channel TEXT)",
        "CREATE INDEX by_channel ON v(channel)",
        f"INSERT INTO v VALUES (1, 'one', 'default'), (2, zeroblob({300 * MIB}), 'large'),"
        " (3, 'three', 'default')",
    ],
    "a view": [
        "CREATE TABLE t(id INTEGER PRIMARY KEY, channel TEXT, data)",
        "INSERT INTO t VALUES (1, 'default', 'one'), (2, 'large', ''), (3, 'default', 'three')",
        "CREATE VIEW v AS SELECT id, channel,"
        f" CASE channel WHEN 'large' THEN zeroblob({300 * MIB}) ELSE data END AS data FROM t",
    ],
    "a long type": [
        "CREATE TABLE t(id INTEGER PRIMARY KEY, channel TEXT, data)",
        "INSERT INTO t VALUES (1, 'default', 'one'), (2, 'large', ''), (3, 'default', 'three')",
        "CREATE VIEW v AS SELECT id, channel, CASE channel WHEN 'large' THEN"
        f" hex(zeroblob({2 * MIB})) END AS event, data FROM t",
    ],
    "rows that SQLite sorts": [
        "CREATE TABLE v(id INTEGER, channel TEXT, data)",
        f"INSERT INTO v VALUES (3, 'default', 'three'), (2, 'large', zeroblob({300 * MIB})),"
        " (1, 'default', 'one')",
    ],
}


@pytest.fixture
def app(workdir, request):
    if "sorts" in request.param and sqlite3.sqlite_version_info < (3, 38):
        pytest.skip("this SQLite computes all rows for one of them: the row before the long one is a gap, too")
    with database.Database(workdir / "app.db") as opened:
        for statement in SOURCES[request.param]:
            opened.sql(statement)
        yield opened


def told(peer):
    """What a stream received, with gaps as their reasons."""
    return [
        (int(event.last_event_id), json.loads(event.data)["reason"] if event.type == "gap" else event.data)
        for event in peer.events
        if event.type != "position"
    ]


@pytest.mark.parametrize("app", SOURCES, indirect=True)
def test_oversized_row_is_a_gap_for_its_followers(app, launch):
    server = launch("--db", app.path, "--table", "v", "--public", db=None)
    both = server.open("channel=default&channel=large", last_event_id=0)
    all_of_them = server.open("channel=*&envelope=json", last_event_id=0)
    other = server.open("channel=default", last_event_id=0)
    for peer in both, all_of_them, other:
        peer.wait_id(3)
    assert told(both) == [(1, "one"), (2, "limit"), (3, "three")]
    assert [id for id, _ in told(all_of_them)] == [1, 2, 3]
    assert told(all_of_them)[1] == (2, "limit")
    assert told(other) == [(1, "one"), (3, "three")]
    [gap] = [json.loads(event.data) for event in both.events if event.type == "gap"]
    assert gap == {"requested": "1", "oldest": 1, "newest": 3, "reason": "limit"}
    # A client that reconnects after it gets no gap; tail= works.
    assert server.ask("channel=*&last_event_id=2").next_row().data == "three"
    tail = server.ask("channel=default&tail=2")
    tail.wait_id(3)
    assert told(tail) == [(1, "one"), (3, "three")]
    server.stop()
    assert server.stderr.count(LINE) == 1, server.stderr


@pytest.mark.parametrize("app", ["a table", "a view"], indirect=True)
def test_oversized_row_arrives_while_streams_are_open(app, launch):
    server = launch("--db", app.path, "--table", "v", "--public", db=None)
    both = server.open("channel=default&channel=large", last_event_id=3)
    other = server.open("channel=default", last_event_id=3)
    table = "t" if app.sql("SELECT 1 FROM sqlite_master WHERE type = 'view'") else "v"
    app.sql(f"INSERT INTO {table} VALUES (4, 'large', zeroblob({300 * MIB if table == 'v' else 1}))")
    app.sql(f"INSERT INTO {table} VALUES (5, 'default', 'five')")
    both.wait_id(5)
    other.wait_id(5)
    assert told(both) == [(4, "limit"), (5, "five")]
    assert told(other) == [(5, "five")]
    # Reading past such a row costs no more than past another.
    before = server.cpu_seconds()
    for _ in range(5):
        server.ask("channel=large&last_event_id=3").wait_id(4)
    assert server.cpu_seconds() - before < 0.5


@pytest.mark.skipif("rowtail-san" in rowtail.BINARY.name, reason="a sanitizer needs its address space")
@pytest.mark.parametrize("query", ["channel=*", "channel=*&envelope=json"])
@pytest.mark.parametrize("length", [12, 60])
def test_row_larger_than_available_memory(log, launch, query, length):
    """Its text fits into memory but its record, which is four times as long, does not, or neither fits: a gap each time."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (110 * MIB, 110 * MIB))

    server = launch(prepare=limit)
    peer = server.open(query, last_event_id=0)
    log.insert("one")
    log.insert("\1\n" * (length * MIB))
    log.insert("three")
    peer.wait_id(3)
    assert [what for _, what in told(peer)][1] == "limit"
    again = [server.ask(query + "&last_event_id=1") for _ in range(5)]
    for peer in again:
        peer.wait_id(3)
        assert [id for id, _ in told(peer)] == [2, 3]
    server.stop()
    assert LINE in server.stderr


@pytest.fixture(scope="module")
def behind_large_rows(empty_log):
    """A log with a row behind 200 large ones of another channel."""
    with tempfile.TemporaryDirectory(prefix="rt-") as directory:
        path = pathlib.Path(directory) / "events.db"
        shutil.copyfile(empty_log, path)
        with database.Database(path) as log:
            log.sql("PRAGMA synchronous = OFF")
            log.sql("BEGIN")
            for _ in range(200):
                log.insert("x" * MIB, channel="a")
            log.insert("found", channel="b")
            log.sql("COMMIT")
            yield log


@pytest.mark.parametrize("query", ["channel=b", "channel=b&event=message", "channel=b&channel=c/*"])
def test_large_rows_in_other_channels_are_not_read(behind_large_rows, launch, query):
    """Finding a start behind hundreds of large rows of another channel does not read those rows."""
    server = launch(db=behind_large_rows)
    before = server.cpu_seconds()
    peer = server.ask(f"{query}&last_event_id=0")
    peer.wait_rows(1)
    assert peer.rows[0].data == "found"
    assert server.cpu_seconds() - before < 0.05


def cpu_of_commits(server, log, count=40):
    """CPU time in which rowtail notices commits that concern no stream."""
    before = server.cpu_seconds()
    for _ in range(count):
        log.sql("INSERT INTO other VALUES (1)")
        server.page("health")
    return server.cpu_seconds() - before


def test_large_newest_row_is_not_read_with_every_commit(log, launch):
    log.sql("CREATE TABLE other(x)")
    server = launch()
    peer = server.open("channel=nobody")
    log.insert("small")
    small = cpu_of_commits(server, log)
    log.sql(f"INSERT INTO events(data) VALUES (hex(zeroblob({20 * MIB})))")
    server.wait_metric(2, "rowtail_log_newest_id")
    assert cpu_of_commits(server, log) < 3 * small + 0.1
    # The same where it is the newest row when the first stream opens.
    peer.close()
    server.wait_metric(0, "rowtail_streams")
    server.open("channel=nobody")
    assert cpu_of_commits(server, log) < 3 * small + 0.1
