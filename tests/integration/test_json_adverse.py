"""format=json on tables, rows and clients that make it hard: no row is lost, and no walk stands still."""

import random
import resource
import socket
import threading
import time

import pytest

import cgiprogram
import database
import fcgi
import full
import rowtail
import stream
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
    assert server.metric("rowtail_streams_ended_total", reason="unreadable") == 1
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
    """Asks as rowtail(8) says, until nothing more is there: the ids, and the reasons of gaps."""
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


@pytest.mark.parametrize("leave", ["close", "reset", "abort"])
def test_client_that_leaves_costs_nothing(launch, log, leave):
    server = launch("--poll", 60000)
    before = server.open_files_at_rest(log)
    peers = [server.ask(f"format=json&since={log.newest()}&wait=60") for _ in range(50)]
    server.wait_metric(50, "rowtail_streams")
    for peer in peers:
        if leave == "abort":
            peer.send(fcgi.abort())
        elif leave == "close":
            peer.close()
        else:
            peer.reset()
    server.wait_metric(0, "rowtail_streams")
    if leave == "abort":
        for peer in peers:
            assert peer.wait_complete().body == b""
    server.wait_open_files(before)


def test_crowd_and_a_burst_of_commits(launch, log):
    """Each walks on by itself, and misses nothing."""
    server = launch()
    count, burst = 200, 30

    def ask_after(position):
        return server.ask(f"format=json&since={position}&wait=60&limit=7")

    waiting = {ask_after(0): [] for _ in range(count)}
    server.wait_metric(count, "rowtail_streams")
    for _ in range(burst):
        log.insert("row")
    while waiting:
        stream.pump_all(list(waiting), lambda peer: peer.eof, "answer")
        following = {}
        for peer, found in waiting.items():
            found = found + ids(parse(peer))
            assert found == list(range(1, len(found) + 1))
            if len(found) < burst:
                following[ask_after(found[-1])] = found
            peer.close()
        waiting = following
    server.wait_metric(0, "rowtail_streams")


TABLES = {
    "utf-16": ("CREATE TABLE t(id INTEGER PRIMARY KEY, channel TEXT, event TEXT, data TEXT)", "UTF-16le"),
    "bare": ("CREATE TABLE t(id INTEGER PRIMARY KEY, data)", "UTF-8"),
    "without rowid": ("CREATE TABLE t(id INTEGER PRIMARY KEY NOT NULL, data BLOB) WITHOUT ROWID", "UTF-8"),
    "view": ("CREATE TABLE s(i INTEGER PRIMARY KEY, data); CREATE VIEW t AS SELECT i AS id, data FROM s", "UTF-8"),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_ones_own(launch, workdir, name):
    """Ids with holes, texts of all kinds: a walk forward and back gives each row once."""
    script, encoding = TABLES[name]
    values = ["ü€😀", "a\0b", b"\xff\x00bytes", 17, None, 1.5, "", "\r\n\u2028\ud7ff", "x" * 1_200_000, b""]
    with database.Database(workdir / "own.db") as own:
        own.sql(f"PRAGMA encoding = '{encoding}'")
        own.sql("PRAGMA journal_mode = WAL")
        own.connection.executescript(script)
        place = "s(i, data)" if name == "view" else "t(id, data)"
        rows = [3, 4, 10, 11, 12, 100, 2**40, 2**53, 2**53 + 1, 2**63 - 2]
        for row, value in zip(rows, values):
            own.sql(f"INSERT INTO {place} VALUES (?, ?)", row, value)
        server = launch("--table", "t", "--public", db=own)
        for number in 1, 3, 1000:
            assert walk(server, limit=number) == (rows, [])
            assert walk_back(server, 2**63 - 1, limit=number) == (rows, [])
        events = ask(server, "since=0")["events"]
        assert [event["data"] for event in events][:2] == values[:2]
        assert {(event["channel"], event["event"], event["created_at"]) for event in events} == {
            ("default", None, None)
        }
        assert ask(server, "since=1")["gap"]["reason"] == "pruned"
        assert ids(ask(server, "before=4")) == [3]
        for nothing in "since=0&event=other", "since=0&channel=other", f"before={2**63 - 1}&event=other":
            answer = ask(server, nothing)
            assert (answer["events"], answer["more"], answer["position"]) == ([], False, rows[-1])


@pytest.mark.parametrize(
    "text, reason",
    [
        ("9223372036854775808", "future"),
        ("-1", "malformed"),
        ("%01" * 70, "malformed"),
        ("%22%5C" * 40, "malformed"),
        ("%ff%fe", "malformed"),
        ("1e3", "malformed"),
    ],
)
def test_positions_that_mean_nothing(server, log, text, reason):
    log.insert_many(3)
    answer = ask(server, f"since={text}&wait=60")
    assert (answer["gap"]["reason"], answer["position"], answer["more"]) == (reason, 3, False)


def test_refusal_of_before(server, log):
    log.insert_many(3)
    for more in "since=x", "since=99", "tail=0", "wait=1":
        assert server.answer(f"format=json&before=3&{more}").head.status == 400
    assert server.answer("format=json&before=3", headers={"Last-Event-ID": "1"}).head.status == 400
    for value in "", "-1", "9223372036854775808", "1.0":
        assert server.answer(f"format=json&before={value}").head.status == 400
    assert ids(ask(server, "before=3&wait=0")) == [1, 2]
    assert ids(ask(server, "before=3&since=")) == [1, 2]


def test_database_that_goes_away(launch, log, workdir):
    """Waiting polls keep waiting, and new ones are refused; both get the next row."""
    server = launch("--poll", 20)
    log.insert_many(3)
    waiting = server.ask("format=json&since=3&wait=60")
    server.wait_metric(1, "rowtail_streams")
    log.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    log.path.rename(workdir / "away.db")
    later(server.ask("format=json&since=0").wait_complete())
    later(server.ask("format=json").wait_complete())
    (workdir / "away.db").rename(log.path)
    number = log.insert("back")
    assert ids(parse(waiting.wait_complete())) == [number]
    assert ids(ask(server, "since=0")) == [1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(4))
def test_each_answer_is_a_step_forward(launch, log, seed):
    """Rows of all sizes and types; others are deleted anywhere, at any moment, also in large numbers."""
    choose = random.Random(seed)
    server = launch(*choose.choice([[], ["--max-replay", 40]]), "--poll", 20)
    ended = threading.Event()

    def disturb():
        with database.Database(log.path) as writer:
            while not ended.is_set():
                writer.insert(
                    "x" * choose.choice([1, 1, 1, 1, 50_000, 700_000]),
                    channel=choose.choice("ab"),
                    event=choose.choice([None, "e"]),
                )
                if choose.random() < 0.3:
                    low = choose.randrange(1, writer.newest() + 1)
                    writer.sql("DELETE FROM events WHERE id BETWEEN ? AND ?", low, low + 3)
                time.sleep(0.001)

    for row in range(100):
        log.insert("row", channel="ab"[row % 2], event=[None, "e"][row % 3 == 0])
    writer = threading.Thread(target=disturb)
    writer.start()
    try:
        for _ in range(12 if full.FULL else 6):
            query = choose.choice(["&channel=a", "&channel=*", "&channel=a&channel=b&event=e"])
            step_forward(server, query, choose)
            found, _ = walk_back(server, log.newest() + 1, query, choose.choice([2, 40, 1000]))
            assert found == sorted(set(found))
    finally:
        ended.set()
        writer.join()
    for query, where in ("&channel=a", "channel = 'a'"), ("&channel=*&event=e", "event = 'e'"):
        wanted = [row for (row,) in log.sql(f"SELECT id FROM events WHERE {where} ORDER BY id")]
        assert walk_back(server, log.newest() + 1, query, 7)[0] == wanted
        found, reasons = walk(server, query, 7)
        assert found == wanted[len(wanted) - len(found) :]
        # A position that is both pruned and too far back gets one gap.
        assert found == wanted or "limit" in reasons or "pruned" in reasons


def step_forward(server, query, choose):
    position = 0
    for _ in range(40):
        limit, wait = choose.choice([1, 5, 1000]), choose.choice([0, 0, 1])
        answer = ask(server, f"since={position}&limit={limit}&wait={wait}{query}")
        assert answer["position"] > position or not answer["more"]
        assert all(position < row <= answer["position"] for row in ids(answer))
        assert len(answer["events"]) <= limit
        position = answer["position"]
        if not answer["more"]:
            return
