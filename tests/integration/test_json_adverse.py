"""format=json on tables, rows and clients that make it hard: no row is lost, and no walk stands still."""

import resource
import socket
import threading
import time

import pytest

import cgiprogram
import database
import rowtail
from test_json import ids, parse


def ask(server, query, **how):
    """The object of an answer."""
    return parse(server.ask(f"format=json&{query}", **how).wait_complete())


def later(peer):
    """The sentence of an answer that asks the client to come back."""
    assert peer.head.status == 503, peer.describe()
    assert int(peer.head.get("Retry-After")) >= 1
    return peer.sentence()


BROKEN = "CREATE VIEW v AS SELECT id, CASE WHEN data = 'broken' THEN json('?') ELSE data END AS data FROM events"


@pytest.fixture
def broken(launch, log):
    """broken(7) starts rowtail on a view whose row 7, of 8, cannot be computed."""

    def start(number, *arguments):
        log.sql(BROKEN)
        for row in range(1, 9):
            log.insert("broken" if row == number else "row")
        return launch("--table", "v", *arguments)

    return start


def test_rows_before_an_unreadable_one_come_at_once(broken):
    server = broken(6)
    began = time.monotonic()
    answer = ask(server, "since=0&wait=60")
    assert (ids(answer), answer["position"]) == ([1, 2, 3, 4, 5], 5)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("wait", ["", "&wait=1", "&wait=60"])
def test_unreadable_row_is_no_answer(broken, log, wait):
    server = broken(6, "--heartbeat", 1)
    assert "read" in later(server.ask(f"format=json&since=5{wait}").wait_complete())
    log.sql("DROP VIEW v")
    log.sql("CREATE VIEW v AS SELECT id, data FROM events")
    assert ids(ask(server, "since=5")) == [6, 7, 8]


def test_page_does_not_need_the_rows_behind_it(broken, log):
    server = broken(6)
    log.sql("DELETE FROM events WHERE id = 5")
    answer = ask(server, "before=6")
    assert (ids(answer), answer["position"], answer["gap"]) == ([1, 2, 3, 4], 5, None)


def test_page_with_an_unreadable_row_is_no_answer(broken):
    server = broken(3, "--heartbeat", 1)
    later(server.ask("format=json&before=9").wait_complete())
    assert ids(ask(server, "before=9&limit=5")) == [4, 5, 6, 7, 8]


def test_largest_id(launch, log):
    log.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, data TEXT)")
    largest = 2**63 - 1
    for row in 1, largest - 1, largest:
        log.sql("INSERT INTO t VALUES (?, 'row')", row)
    server = launch("--table", "t", "--public")
    answer = ask(server, f"before={largest}&limit=1")
    assert (ids(answer), answer["more"], answer["position"]) == ([largest - 1], True, largest - 1)
    assert ids(ask(server, f"before={largest - 1}&limit=1")) == [1]
    answer = ask(server, f"since={largest - 1}")
    assert (ids(answer), answer["more"], answer["position"]) == ([largest], False, largest)
    assert ids(ask(server, "tail=2")) == [largest - 1, largest]
    answer = ask(server, f"since={largest}&wait=1")
    assert (ids(answer), answer["more"], answer["gap"]) == ([], False, None)


def test_slow_reader_gets_a_whole_answer(launch, log):
    """The stall time-out is for a peer that takes no bytes."""
    server = launch("--stall-timeout", 1)
    log.insert("x" * 3_000_000)
    peer = server.connect()
    peer.source.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.ask("format=json&since=0")
    began = time.monotonic()
    while time.monotonic() - began < 4:
        peer.pump()
        time.sleep(0.2)
    assert len(parse(peer.wait_complete())["events"][0]["data"]) == 3_000_000


MIB = 1 << 20


def walk(server, query="", limit=3, wait=""):
    """Asks as the interface says, until nothing more is there: the ids, and the reasons of gaps."""
    position, found, reasons, more = 0, [], [], True
    while more:
        answer = ask(server, f"since={position}&limit={limit}{wait}{query}")
        assert answer["position"] > position or answer["events"] or not answer["more"]
        position, more = answer["position"], answer["more"]
        found += ids(answer)
        reasons += [answer["gap"]["reason"]] if answer["gap"] else []
    return found, reasons


def walk_back(server, before, query="", limit=3):
    """The same with `before`: the ids, and the reasons of gaps."""
    found, reasons, more = [], [], True
    while more:
        answer = ask(server, f"before={before}&limit={limit}{query}")
        assert answer["events"] or not answer["more"]
        found = ids(answer) + found
        more, before = answer["more"], (ids(answer) or [before])[0]
        reasons += [answer["gap"]["reason"]] if answer["gap"] else []
    return found, reasons


@pytest.mark.skipif("rowtail-san" in rowtail.BINARY.name, reason="a sanitizer needs more memory")
@pytest.mark.parametrize("large, deleted", [([2, 4], [3]), ([1, 2, 9], [])])
def test_rows_too_large_for_the_memory(launch, log, large, deleted):
    """A gap takes their place; a gap of pruned rows before them does not keep a client where it is."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (130 * MIB, 130 * MIB))

    for row in range(1, 10):
        if row in large:
            log.sql("INSERT INTO events(data) VALUES (CAST(zeroblob(?) AS TEXT))", 16 * MIB)
        else:
            log.insert("row")
    for row in deleted:
        log.sql("DELETE FROM events WHERE id = ?", row)
    server = launch(prepare=limit)
    wanted = [row for row in range(1, 10) if row not in large + deleted]
    for number in 1, 100:
        found, reasons = walk(server, limit=number)
        assert found == wanted
        assert "limit" in reasons or "pruned" in reasons
        found, reasons = walk_back(server, 10, limit=number)
        assert found == wanted
        assert "limit" in reasons


def test_page_of_large_rows_costs_little(launch, log):
    """Most of 300 rows would be read in vain."""
    log.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
        " INSERT INTO events(data) SELECT printf('%.300000c', 'x') FROM n"
    )
    server = launch()
    answer = ask(server, "before=301&limit=300")
    assert answer["more"] is True
    assert ids(answer) == list(range(ids(answer)[0], 301))
    assert server.metric("rowtail_rows_replayed_total") < 100
    assert walk_back(server, 301, limit=300)[0] == list(range(1, 301))


def test_end_of_the_server_loses_no_row_of_a_page(launch, log):
    """A page is whole, or there is none."""
    log.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO events(channel, data) SELECT iif(i % 25, 'other', 'default'), 'row' FROM n"
    )
    wanted = [row for row in range(25, 20001, 25)]
    for pause in 0.005, 0.02, 0.05:
        server = launch()
        peers = [server.ask("format=json&before=20001&limit=1000") for _ in range(20)]
        time.sleep(pause)
        server.stop()
        for peer in peers:
            peer.wait_end()
            if peer.head and peer.head.status == 200:
                assert ids(parse(peer)) == wanted
            elif peer.head:
                later(peer)


@pytest.mark.parametrize("kind", ["stream", "poll", "cgi"])
def test_short_lock_refuses_nobody(launch, log, kind):
    """In rollback mode each commit locks the database for some milliseconds."""
    log.sql("PRAGMA journal_mode = DELETE")
    log.insert_many(3)
    server = launch()
    served = 0
    for _ in range(8):
        log.sql("BEGIN EXCLUSIVE")
        if kind == "cgi":
            peer = cgiprogram.Program(["--db", log.path], "format=json&since=0")
        else:
            peer = server.ask("since=0" + "&format=json" * (kind == "poll"))
        time.sleep(0.1 if kind == "cgi" else 0.004)
        log.sql("COMMIT")
        peer.wait(lambda peer=peer: len(peer.events) > 1 or peer.eof)
        served += len(peer.events) > 1 or b'"position":3' in peer.body
        (peer.cleanup if kind == "cgi" else peer.close)()
        # No request waits again soon after a long wait.
        time.sleep(0.05)
    # On a busy machine, some locks last longer than rowtail waits.
    assert served >= 4
