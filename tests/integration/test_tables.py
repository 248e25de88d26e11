"""Your own tables and views: rowtail follows what it can, and refuses the rest with a reason."""

import os
import random
import shutil
import subprocess
import time
from urllib.parse import urlencode

import pytest

import database
import rowtail

OPTIONS = ("--table", "v", "--public")


@pytest.fixture
def app(workdir):
    """An application's database without a log."""
    with database.Database(workdir / "app.db") as opened:
        opened.sql("PRAGMA journal_mode=WAL")
        yield opened


@pytest.fixture
def follow(launch, app):
    """follow(option…): rowtail on the table or view v of the application."""
    return lambda *options, **how: launch("--db", app.path, *OPTIONS, *options, db=None, **how)


# Ids.

BAD_IDS = {
    "uuid": ("CREATE TABLE v(id TEXT PRIMARY KEY, data)", "lower(hex(randomblob(16)))", "TEXT"),
    "text numbers": ("CREATE TABLE v(id TEXT PRIMARY KEY, data)", "'12'", "TEXT"),
    "times": ("CREATE TABLE v(id PRIMARY KEY, data)", "'2026-01-01T00:00:00Z'", "TEXT"),
    "unix times": ("CREATE TABLE v(id REAL PRIMARY KEY, data)", "1767225600.25", "REAL"),
    "real without a type": ("CREATE TABLE v(id PRIMARY KEY, data)", "1.5", "REAL"),
    "bytes": ("CREATE TABLE v(id BLOB PRIMARY KEY, data)", "randomblob(16)", "BLOB"),
    "none": ("CREATE TABLE v(id, data)", "NULL", "NULL"),
    "negative": ("CREATE TABLE v(id INTEGER PRIMARY KEY, data)", "-1", "-1"),
}


# Only the column's type says what ids an empty table will have.
@pytest.mark.parametrize(
    "name, rows",
    [(name, 3) for name in BAD_IDS] + [("uuid", 0), ("text numbers", 0), ("unix times", 0)],
)
def test_ids_unusable_as_positions_are_refused(app, workdir, name, rows):
    """Refused at the start and by --check, with the type found."""
    create, value, said = BAD_IDS[name]
    app.sql(create)
    for _ in range(rows and (1 if value[0] in "'-1" else 3)):
        app.sql(f"INSERT INTO v VALUES ({value}, 'x')")
    for options in ["--check"], ["--listen", workdir / "s.sock"]:
        done = rowtail.run("--db", app.path, *OPTIONS, *options)
        assert done.returncode == os.EX_CONFIG, done
        text = done.stdout + done.stderr
        assert said in text and "integer" in text or "above 0" in text, text
        assert str(app.path) in text


@pytest.mark.parametrize("value, said", [("'abc'", "TEXT"), ("2.5", "REAL"), ("x'61'", "BLOB")])
def test_id_of_another_type_appears_later(app, follow, value, said):
    """The log reports it, nothing is sent for it, and rowtail does not spin; once it is gone, streams continue."""
    app.sql("CREATE TABLE v(id PRIMARY KEY, data)")
    app.sql("INSERT INTO v VALUES (1, 'one')")
    server = follow("--heartbeat", 1)
    peer = server.open(last_event_id=0)
    assert peer.next_row().data == "one"
    app.sql(f"INSERT INTO v VALUES ({value}, 'bad')")
    app.sql("INSERT INTO v VALUES (2, 'two')")
    time.sleep(0.5)
    before = server.cpu_seconds()
    peer.rest(1)
    assert server.cpu_seconds() - before < 0.5
    assert [row.data for row in peer.rows] in (["one"], ["one", "two"])
    app.sql("DELETE FROM v WHERE data = 'bad'")
    app.sql("INSERT INTO v VALUES (3, 'three')")
    peer.wait_id(3)
    assert [row.data for row in peer.rows] == ["one", "two", "three"]
    server.stop()
    assert said in server.stderr


def test_duplicate_id_is_reported(app, follow):
    app.sql("CREATE VIEW v(id, data) AS VALUES (1, 'a'), (2, 'b'), (2, 'c'), (3, 'd')")
    server = follow()
    peer = server.ask("last_event_id=0")
    peer.rest(0.5)
    assert len(peer.rows) < 4
    server.stop()
    assert "twice" in server.stderr


LARGEST = (1 << 63) - 1


@pytest.mark.parametrize("index", [False, True])
def test_largest_ids(app, follow, index):
    """Up to SQLite's largest id: live, by tail= and by position, with and without an index on channel."""
    app.sql("CREATE TABLE v(id INTEGER PRIMARY KEY, channel TEXT, data)")
    if index:
        app.sql("CREATE INDEX i ON v(channel)")
    app.sql("INSERT INTO v VALUES (1, 'a', 1), (5, 'b', 1), (?, 'a', 1)", LARGEST - 3)
    server = follow()
    live = server.open("channel=a")
    app.sql("INSERT INTO v VALUES (?, 'a', 1), (?, 'a', 1)", LARGEST - 1, LARGEST)
    assert live.wait_id(LARGEST).ids == [LARGEST - 1, LARGEST]
    for query, wanted in [
        ("tail=1", [LARGEST]),
        ("tail=2", [LARGEST - 1, LARGEST]),
        ("tail=9", [1, LARGEST - 3, LARGEST - 1, LARGEST]),
        (f"last_event_id={LARGEST - 1}", [LARGEST]),
        (f"last_event_id={LARGEST}", []),
    ]:
        assert server.open(f"channel=a&{query}").wait_id(LARGEST).ids == wanted, query


# Channels.

TYPES = ["", "TEXT", "VARCHAR(20)", "INTEGER", "REAL", "NUMERIC", "BLOB", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM"]
INDEXES = [None, "channel", "channel, id", "channel COLLATE NOCASE", "channel COLLATE RTRIM, id", "channel COLLATE BINARY"]
VALUES = ["orders", "ORDERS", "Orders", "orders ", "a/1", "A/1", "a/2", "42", 42, 42.0, "42.0", 1.5, "1.5", None, "default",
          b"orders", b"a/1", "", "01", 1]


def text_of(value):
    """A channel as rowtail sees it: converted to text by SQLite."""
    if value is None:
        return "default"
    return value.decode() if isinstance(value, bytes) else str(value)


@pytest.mark.parametrize("seed", range(12))
def test_random_tables_match_a_plain_scan(app, launch, seed):
    """Random types, collations, indexes and values: the rows equal those of a plain table scan."""
    choose = random.Random(seed)
    app.sql(f"CREATE TABLE v(id INTEGER PRIMARY KEY, channel {choose.choice(TYPES)}, data)")
    index = choose.choice(INDEXES)
    if index:
        app.sql(f"CREATE INDEX i ON v({index})")
    app.sql("BEGIN")
    for _ in range(2500):
        rare = choose.random() < 0.03
        app.sql("INSERT INTO v(channel, data) VALUES (?, 'd')", choose.choice(VALUES) if rare else "noise")
    for _ in range(2):
        app.sql("INSERT INTO v(channel, data) VALUES ('end', 'd')")
    app.sql("COMMIT")
    rows = [(number, text_of(channel)) for number, channel in app.sql("SELECT id, channel FROM v ORDER BY id")]
    server = launch("--db", app.path, *OPTIONS, db=None)
    names = sorted({channel for _, channel in rows if channel} | {"orders", "ORDERS", "a/*", "A/*"})
    for _ in range(15):
        asked = choose.sample(names, choose.choice([1, 2, 3])) + ["end"]
        wanted = [n for n, c in rows if any(c == a or (a[-1] == "*" and c.startswith(a[:-1])) for a in asked)]
        pairs = [("channel", name) for name in asked]
        tail = choose.choice([0, 1, 3, 40])
        more = [("tail", tail)] if tail else [("last_event_id", choose.choice([0, 1000]))]
        peer = server.open(urlencode(pairs + more)).wait_id(wanted[-1])
        after = 0 if tail else more[0][1]
        expected = wanted[-tail:] if tail else [n for n in wanted if n > after]
        assert peer.ids == expected, (seed, index, asked, more)
        peer.close()


# Speed, retry, time.


def test_missing_index_on_id_is_reported(app, follow):
    app.sql("CREATE TABLE v(id INTEGER NOT NULL, data)")
    app.sql("INSERT INTO v VALUES (1, 'a'), (2, 'b')")
    done = rowtail.run("--db", app.path, *OPTIONS, "--check")
    assert done.returncode == 0 and "index" in done.stdout, done
    server = follow()
    assert server.open(last_event_id=0).wait_rows(2)
    server.stop()
    assert "no index" in server.stderr
    app.sql("CREATE UNIQUE INDEX i ON v(id)")
    assert "no index" not in rowtail.run("--db", app.path, *OPTIONS, "--check").stdout


def test_retry_of_an_own_table_is_bounded(app, follow):
    app.sql("CREATE TABLE v(id INTEGER PRIMARY KEY, data, retry)")
    for retry in (-5, 1 << 40, 3600001, "9", 1.5, None, 1234):
        app.sql("INSERT INTO v(data, retry) VALUES ('x', ?)", retry)
    peer = follow().open(last_event_id=0)
    peer.wait_rows(7)
    assert peer.parser.retries[1:] == [1234]


def test_view_that_depends_on_the_time(app, follow):
    """Its rows appear as time passes, without a commit: --poll finds them."""
    app.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, at REAL, data)")
    app.sql("CREATE VIEW v AS SELECT id, data FROM t WHERE at <= julianday('now')")
    app.sql("INSERT INTO t(at, data) SELECT julianday('now', '+1 seconds'), 'later'")
    peer = follow("--poll", 50, "--heartbeat", 60).open()
    assert peer.next_row().data == "later"


# Another log in the same file.


def test_a_longer_log_restored_into_the_same_file(launch, log, workdir):
    server = launch()
    log.insert_many(5)
    peer = server.open()
    log.insert("six")
    assert peer.next_row().data == "six"
    other = workdir / "other.db"
    with database.Database.create(other) as longer:
        longer.grant("*", "*")
        time.sleep(0.01)
        longer.insert_many(50, prefix="other ")
    subprocess.run(["sqlite3", log.path, f".restore {other}"], check=True)
    assert peer.next().type == "gap"
    newest = log.insert("after")
    assert [row.data for row in peer.wait_id(newest).rows][1:] == [
        *(f"other {number}" for number in range(7, 51)),
        "after",
    ]


def test_pruning_and_vacuum_are_not_a_restore(server, log):
    log.insert_many(5)
    peer = server.open()
    for number in range(6, 30):
        log.insert(f"row {number}")
        peer.next_row()
        log.prune(number)
        log.sql("VACUUM")
    assert all(event.type in ("message", "position") for event in peer.events)


# Rows that cannot be read.

FAILING = {
    "json": ("json_extract(d, '$.a')", '{"a":1}', "no json"),
    "overflow": ("abs(d)", 1, -(1 << 63)),
}


@pytest.mark.parametrize("name", FAILING)
def test_row_that_a_view_cannot_compute(app, follow, name):
    """Rows before it are delivered; the log, the pages and --check say where and why; later streams continue."""
    expression, good, bad = FAILING[name]
    app.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, d)")
    app.sql(f"CREATE VIEW v AS SELECT id, {expression} AS data FROM t")
    server = follow()
    live = server.open()
    app.sql("INSERT INTO t(d) VALUES (?), (?), (?), (?)", good, good, bad, good)
    late = server.open(last_event_id=0)
    for peer in live, late:
        assert [row.data for row in peer.wait_rows(2)] == ["1", "1"]
    server.wait_health(503)
    assert 'after id 2' in server.page("health").body.decode()
    done = rowtail.run("--db", app.path, *OPTIONS, "--check")
    assert done.returncode != 0 and 'WRONG' in done.stdout and 'after id 2' in done.stdout, done
    app.sql("UPDATE t SET d = ? WHERE id = 3", good)
    for peer in live, late:
        assert peer.wait_rows(4)[-1].last_event_id == "4"
    server.wait_health(200)
    server.stop()
    assert server.stderr.count("after id 2") == 1, server.stderr


# Another table of the same name.


@pytest.mark.parametrize("rows", [2, 5, 9])
def test_recreated_table(app, follow, rows):
    """Its ids start again: streams get a gap, however many rows exist when rowtail looks."""
    create = "CREATE TABLE v(id INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT)"
    app.sql(create)
    app.sql("INSERT INTO v(data) VALUES ('1'), ('2'), ('3'), ('4')")
    server = follow()
    peer = server.open()
    app.sql("INSERT INTO v(data) VALUES ('5')")
    assert peer.next_row().data == "5"
    app.sql("BEGIN")
    app.sql("DROP TABLE v")
    app.sql(create)
    app.connection.executemany("INSERT INTO v(data) VALUES (?)", [(f"new {n}",) for n in range(rows)])
    app.sql("COMMIT")
    gap = peer.next()
    assert gap.type == "gap" and "replaced" in gap.data
    app.sql("INSERT INTO v(data) VALUES ('last')")
    assert peer.wait_rows(1 + max(rows - 5, 0) + 1)[-1].data == "last"


def test_migrations_and_updates_are_not_a_replacement(app, follow):
    """Rows and columns of your own table may be changed and deleted; streams get no gap."""
    app.sql("CREATE TABLE v(id INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT)")
    app.sql("INSERT INTO v(data) VALUES ('1')")
    server = follow()
    peer = server.open()
    steps = [
        "UPDATE v SET data = 'changed'",
        "ALTER TABLE v ADD COLUMN channel TEXT DEFAULT 'default'",
        "DELETE FROM v WHERE id = (SELECT max(id) FROM v)",
        "CREATE INDEX i ON v(channel)",
        "VACUUM",
        "CREATE TABLE n(id INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT, more TEXT);"
        "INSERT INTO n(id, data) SELECT id, data FROM v; DROP TABLE v; ALTER TABLE n RENAME TO v",
    ]
    for step in steps:
        app.sql("INSERT INTO v(data) VALUES ('row')")
        assert peer.next_row().data == "row"
        app.connection.executescript(f"BEGIN; {step}; COMMIT" if step != "VACUUM" else step)
        time.sleep(0.15)
    app.sql("INSERT INTO v(data) VALUES ('last')")
    assert peer.next_row().data == "last"
    assert not [event for event in peer.events if event.type == "gap"]


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("rows", [6, 50])
def test_log_copied_over_the_file(launch, log, workdir, rows, pruned):
    """cp, with -wal and -shm removed: rowtail reopens the file, and streams get a gap."""
    server = launch()
    log.insert_many(5)
    peer = server.open()
    log.insert("six")
    assert peer.next_row().data == "six"
    if pruned:
        log.prune(6)
        time.sleep(0.2)
    other = workdir / "other.db"
    with database.Database.create(other) as longer:
        longer.grant("*", "*")
        longer.insert_many(rows)
    log.close()
    for ending in "-wal", "-shm":
        (workdir / f"{log.path.name}{ending}").unlink(missing_ok=True)
    shutil.copyfile(other, log.path)
    with database.Database(log.path) as restored:
        newest = restored.insert("after")
        peer.wait_id(newest)
    assert [event.type for event in peer.events].count("gap") == 1
    assert peer.rows[-1].data == "after"
