"""rowtail-mirror: the copy is the log in PostgreSQL, and rowtail serves it as any log."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import sqlite3
import subprocess
import time

import checking
import mirror
import pytest
import rowtail

pytestmark = mirror.needed


# The copy.


def test_copy_has_every_row_grant_and_mark(pg, keep):
    pg.insert_many(500, channels=7)
    pg.rows("INSERT INTO events(channel, event, data, retry) VALUES (E'a b\\u00e9', 'x', E'one\\ntwo\\n\\n', 5), ('b', NULL, '', 0)")
    pg.rows("INSERT INTO events(data, created_at) VALUES ('old', '0001-01-01 00:00:00Z'), ('new', '9999-12-31 23:59:59.999Z')")
    pg.grant("user:ann", "orders/*", "2030-01-31 23:59:59.5+02")
    pg.rows("DELETE FROM events WHERE id BETWEEN 100 AND 120")
    kept = keep(pg)
    assert kept.differences(pg) == {}
    theirs = dict(pg.rows("SELECT channel, id FROM events_pruned"))
    assert dict(kept.sql("SELECT channel, max(id) FROM events_pruned GROUP BY channel")) == theirs != {}


def test_changes_follow(pg, keep):
    kept = keep(pg)
    pg.insert_many(300, channels=3)
    pg.grant("user:ann", "a", "2031-01-01")
    pg.rows("UPDATE grants SET expires_at = '2032-01-01' WHERE subject = 'user:ann'")
    pg.rows("DELETE FROM events WHERE id % 7 = 0")
    kept.wait_same(pg)
    pg.rows("DELETE FROM grants; INSERT INTO grants VALUES ('user:bob', 'b')")
    kept.wait_same(pg)
    theirs = dict(pg.rows("SELECT channel, id FROM events_pruned"))
    assert dict(kept.sql("SELECT channel, max(id) FROM events_pruned GROUP BY channel")) == theirs != {}


def test_row_reaches_a_stream_under_the_same_id(pg, keep, serve):
    pg.insert("before")
    server = serve(keep(pg))
    peer = server.open("last_event_id=0")
    number = pg.insert("hello", event="greeting")
    event = peer.next_row()
    assert event.data == "before"
    event = peer.next_row()
    assert (event.type, event.data, event.last_event_id) == ("greeting", "hello", str(number))


def test_channel_that_ends_ends_in_the_copy(pg, keep):
    kept = keep(pg)
    number = pg.insert("over", channel="job/1", event="end")
    kept.wait(lambda: kept.sql("SELECT channel, id FROM events_ended") == [("job/1", number)], "the end")
    pg.rows("DELETE FROM events_ended")
    kept.wait(lambda: kept.sql("SELECT * FROM events_ended") == [], "no end")


def test_streams_of_a_copy_end(pg, keep, serve):
    """Live, for a client that comes late, for one whose end was pruned, and on a copy that never had the row."""
    kept = keep(pg)
    server = serve(kept)
    peer = server.open("channel=job")
    end = pg.insert("over", channel="job", event="end")
    peer.wait_complete()
    assert [event.data for event in peer.rows] == ["over"]
    assert [event.data for event in server.open("channel=job", last_event_id=end - 1).wait_complete().rows] == ["over"]
    at_the_end = {"Last-Event-ID": str(end)}
    assert server.answer("channel=job", headers=at_the_end).head.status == 204
    pg.insert("other", channel="else")
    pg.rows("DELETE FROM events WHERE channel = 'job'")
    short = keep(pg, "--keep-rows", "1")
    for machine in (server, serve(short)):
        assert machine.answer("channel=job", headers=at_the_end).head.status == 204
        peer = machine.open("channel=job", last_event_id=0).wait_complete()
        assert [event.type for event in peer.events if event.type != "position"] == ["gap"]
        assert int(peer.parser.last_event_id) >= end
    pg.rows("DELETE FROM events_ended")
    kept.wait(lambda: kept.sql("SELECT * FROM events_ended") == [], "no end")
    peer = server.open("channel=job", last_event_id=end)
    pg.insert("again", channel="job")
    assert peer.next_row().data == "again"


def test_row_that_nobody_saw_is_a_gap(pg, keep, serve):
    """Inserted and deleted while the mirror is stopped: the copy never has the row, and a reader still hears of it."""
    first = pg.insert("first")
    kept = keep(pg)
    server = serve(kept)
    peer = server.open(last_event_id=first)
    kept.pause()
    lost = pg.insert("lost")
    pg.rows("DELETE FROM events WHERE id = %s", lost)
    last = pg.insert("last")
    kept.resume()
    assert mirror.gap(peer.next())["reason"] == "pruned"
    assert peer.next_row().last_event_id == str(last)


def test_large_row_and_large_transaction(pg, keep):
    kept = keep(pg)
    pg.rows("INSERT INTO events(data) SELECT repeat('x', 20000000)")
    pg.insert_many(30000, channels=10)
    kept.wait_same(pg)
    assert kept.sql("SELECT length(data) FROM events ORDER BY id LIMIT 1") == [(20000000,)]


def test_without_notices_the_poll_finds_rows(pg, keep):
    kept = keep(pg, "--poll", 50)
    pg.rows("SET rowtail.notify = off")
    number = pg.insert("silent")
    kept.wait(lambda: kept.ids() == [number], "the row")


def test_publishing_to_the_copy_fails_and_says_where_to_publish(pg, keep):
    kept = keep(pg)
    for statement in (
        "INSERT INTO events(data) VALUES ('x')",
        "INSERT INTO grants VALUES ('*', 'y', NULL)",
        "DELETE FROM grants",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="copy .* PostgreSQL"):
            kept.sql(statement)


# How much is kept.


def test_keep_rows_bounds_the_copy_and_gaps_are_exact(pg, keep, serve):
    newest = pg.insert_many(50)
    kept = keep(pg, "--keep-rows", 20)
    assert kept.ids() == list(range(newest - 19, newest + 1))
    pg.insert("other", channel="other")
    last = pg.insert_many(40)
    kept.wait(lambda: kept.ids()[-1] == last and len(kept.ids()) == 20, "the newest 20 rows")
    server = serve(kept)
    oldest = kept.ids()[0]
    peer = server.open(last_event_id=oldest - 1)
    assert peer.first.type == "position"
    assert peer.next_row().last_event_id == str(oldest)
    peer = server.open(last_event_id=oldest - 2)
    assert mirror.gap(peer.first)["reason"] == "pruned"
    # This channel has lost nothing after its row.
    number = kept.sql("SELECT id FROM events_pruned WHERE channel = 'other'")[0][0]
    assert server.open("channel=other", last_event_id=number).first.type == "position"
    assert server.open("channel=other", last_event_id=number - 1).first.type == "gap"
    assert len(pg.rows("SELECT 1 FROM events")) == 91


def test_keep_seconds(pg, keep):
    pg.rows("INSERT INTO events(data, created_at) VALUES ('old', clock_timestamp() - interval '1 hour')")
    young = pg.insert("young")
    kept = keep(pg, "--keep-seconds", 600)
    assert kept.ids() == [young]
    pg.rows("INSERT INTO events(data, created_at) VALUES ('old', clock_timestamp() - interval '1 hour')")
    newest = pg.newest()
    kept.wait(lambda: kept.position() >= newest, "the row")
    kept.wait(lambda: kept.ids() == [young], "one row")
    marks = kept.sql("SELECT max(id) FROM events_pruned WHERE channel = 'default'")
    assert marks == [(newest,)]


@pytest.mark.parametrize("once", [False, True], ids=["follows", "once"])
def test_keep_seconds_passes_over_rows_of_the_future(pg, keep, workdir, once):
    """Old rows that come after 1,500 rows whose clock was ahead, and between those."""
    pg.rows("INSERT INTO events(data, created_at) SELECT CASE WHEN i % 2000 < 1500 AND i % 10 > 0 THEN 'future' ELSE 'old' END, "
            "clock_timestamp() + CASE WHEN i % 2000 < 1500 AND i % 10 > 0 THEN 1 ELSE -1 END * interval '1 day' "
            "FROM generate_series(1, 4000) AS i")
    newest = pg.newest()
    pg.rows("INSERT INTO events(data) VALUES ('young')")
    if once:
        done = mirror.run("--from", pg.dsn, "--db", workdir / "x.db", "--once", "--keep-seconds", 600)
        assert done.returncode == 0, done.stderr
        with contextlib.closing(sqlite3.connect(workdir / "x.db")) as copy:
            left = copy.execute("SELECT data, count(*) FROM events GROUP BY 1 ORDER BY 1").fetchall()
        assert left == [("future", 2700), ("young", 1)]
    else:
        kept = keep(pg, "--keep-seconds", 600)
        kept.wait(lambda: not kept.sql("SELECT 1 FROM events WHERE data = 'old'"), "no old row")
        assert len(kept.ids()) == 2701
        assert kept.sql("SELECT max(id) FROM events_pruned WHERE channel = 'default'") == [(newest,)]


# The command line.


def test_once_copies_and_ends(pg, workdir):
    path = workdir / "once.db"
    pg.insert("one")
    assert mirror.run("--from", pg.dsn, "--db", path, "--once").returncode == 0
    pg.insert("two")
    done = mirror.run("--from", pg.dsn, "--db", path, "--once")
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(path) as copy:
        assert copy.execute("SELECT data FROM events ORDER BY id").fetchall() == [("one",), ("two",)]
    copy.close()


def test_once_says_why_it_failed(workdir):
    done = mirror.run("--from", f"host={workdir} dbname=app", "--db", workdir / "x.db", "--once")
    assert done.returncode == 69
    assert str(workdir) in done.stderr
    assert not (workdir / "x.db").exists()


@pytest.mark.parametrize(
    "arguments, status, word",
    [
        (["--db", "x.db"], 64, "--from"),
        (["--from", "dbname=app"], 64, "--db"),
        (["--from", "dbname=app", "--db", "x.db", "--kep-rows", "5"], 64, "--keep-rows"),
        (["--from", "dbname=app", "--db", "x.db", "--keep-rows", "-5"], 64, "whole number"),
        (["--from", "what?", "--db", "x.db"], 78, "connection string"),
        (["--from", "host=a password=geheim", "--db", "x.db"], 78, "PGPASSFILE"),
        (["--from", "postgresql://u:geheim@h/d", "--db", "x.db"], 78, "PGPASSFILE"),
        (["--from", "dbname=app", "--notices", "password='geheim'", "--db", "x.db"], 78, "PGPASSFILE"),
        (["--from", "host=a geheim", "--db", "x.db"], 78, "connection string"),
        (["--from", "dbname=app", "--db", "/nonexistent/x.db"], 78, "/nonexistent/x.db.lock"),
    ],
)
def test_each_fault_is_reported(workdir, arguments, status, word):
    arguments = [str(workdir / word) if word == "x.db" else word for word in arguments]
    done = mirror.run(*arguments)
    assert done.returncode == status, done.stderr
    assert word in done.stderr
    assert "geheim" not in done.stderr + done.stdout


def test_settings_come_from_file_and_environment(pg, workdir):
    """The environment may hold rowtail's own settings, too, and the other way round."""
    config = workdir / "mirror.conf"
    config.write_text(f"# a comment\nfrom = {pg.dsn}\nkeep-rows = 3\nonce = yes\n")
    pg.insert_many(10)
    done = mirror.run(config, env={"ROWTAIL_DB": workdir / "c.db", "ROWTAIL_MAX_STREAMS": "5"})
    assert done.returncode == 0, done.stderr
    copy = sqlite3.connect(workdir / "c.db")
    assert copy.execute("SELECT count(*) FROM events").fetchall() == [(3,)]
    copy.close()
    done = rowtail.run("--db", workdir / "c.db", "--check", env={"ROWTAIL_KEEP_ROWS": "5", "ROWTAIL_FROM": "dbname=x"})
    assert "unknown" not in done.stderr


def test_help_and_version():
    told = mirror.run("--help").stdout
    for option in "from db notices poll keep-rows keep-seconds max-stale pages once log-level check".split():
        assert f"--{option} " in told
    assert re.match(r"rowtail-mirror \S+ \(SQLite .*libpq", mirror.run("--version").stdout)


def test_rowtail_itself_needs_no_libpq():
    needed = subprocess.run(["ldd", rowtail.BINARY], capture_output=True, text=True, check=False).stdout
    assert "libpq" not in needed


def test_a_second_mirror_refuses_the_file(pg, keep, workdir):
    kept = keep(pg)
    (workdir / "link.db").symlink_to(kept.path)
    for name in kept.path, workdir / "link.db":
        done = mirror.run("--from", pg.dsn, "--db", name, "--once")
        assert done.returncode == 78
        assert "another rowtail-mirror" in done.stderr


def test_a_database_of_somebody_else_is_never_touched(pg, log, workdir):
    number = log.insert("mine")
    log.close()
    (workdir / "text.db").write_text("no database at all, but somebody's\n" * 200)
    for path in log.path, workdir / "text.db":
        before = path.read_bytes()
        done = mirror.run("--from", pg.dsn, "--db", path, "--once")
        assert done.returncode == 78
        assert "no copy that rowtail-mirror made" in done.stderr
        assert path.read_bytes() == before
    with sqlite3.connect(log.path) as mine:
        assert mine.execute("SELECT id, data FROM events").fetchall() == [(number, "mine")]
    mine.close()


def test_check_finds_what_is_wrong(pg, cluster, workdir):
    good = mirror.run("--from", pg.dsn, "--db", workdir / "x.db", "--check")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "WRONG" not in good.stdout and "primary" in good.stdout
    assert list(workdir.iterdir()) == []
    bare = mirror.run("--from", cluster.dsn(cluster.database()), "--db", workdir / "x.db", "--check")
    assert bare.returncode == 78
    assert re.search("WRONG .*schema/postgresql.sql", bare.stdout)
    gone = mirror.run("--from", f"host={workdir}", "--db", workdir / "no/x.db", "--check")
    assert gone.returncode != 0
    assert len(re.findall("^WRONG", gone.stdout, re.M)) == 2


def test_check_reads_little_of_a_long_log(pg, workdir):
    pg.rows("INSERT INTO events(channel, data, created_at) SELECT 'c' || i % 3, 'x', now() - interval '1 day' "
            "FROM generate_series(1, 5000) AS i")
    pg.rows("INSERT INTO grants SELECT 'user:' || i, 'c' FROM generate_series(1, 1000) AS i")
    pg.rows("INSERT INTO events(channel, event) SELECT 'e' || i, 'end' FROM generate_series(1, 1000) AS i")
    pg.rows("DELETE FROM events WHERE channel LIKE 'e%'")
    pg.close()

    def read():
        # Of events_pruned, which has 10,000 rows at most, each question reads all.
        return pg.cluster.rows("SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables "
                               "WHERE relname <> 'events_pruned'", pg.name)[0][0]

    before = mirror.wait(lambda: (lambda first: first == read() and first)(read()), "statistics that stay")
    done = mirror.run("--from", pg.dsn, "--db", workdir / "x.db", "--check")
    assert done.returncode == 0 and "the log can be read" in done.stdout
    mirror.wait(lambda: read() > before, "the statistics of its session")
    assert read() - before < 500


@pytest.mark.parametrize("table", ["events", "events_pruned", "events_ended", "events_grants", "events_news", "events_server",
                                   "events_log"])
def test_check_finds_each_right_that_is_missing(pg, cluster, workdir, table):
    name = f"mirror_{pg.name}"
    cluster.rows(f"CREATE ROLE {name} LOGIN")
    pg.rows(f"SELECT events_allow_mirror('{name}')")
    pg.rows(f"REVOKE SELECT ON {table} FROM {name}")
    done = mirror.run("--from", cluster.dsn(pg.name, name), "--db", workdir / "x.db", "--check")
    assert done.returncode == 78 and "events_allow_mirror" in done.stdout


@pytest.mark.parametrize("version, words", [(1, "older postgresql.sql"), (2, "as this rowtail-mirror"), (9, "newer postgresql.sql")])
def test_check_compares_the_schema_s_version(pg, workdir, version, words):
    pg.rows(f"UPDATE events_log SET version = {version}")
    done = mirror.run("--from", pg.dsn, "--db", workdir / "x.db", "--check")
    assert done.returncode == 0
    assert re.search(f"(?m)^{'ok' if version == 2 else 'note'} .*{words}", done.stdout), done.stdout
    if version == 1:
        pg.cluster.psql("-v", "ON_ERROR_STOP=1", "-f", rowtail.ROOT / "schema" / "postgresql.sql", dbname=pg.name)
        done = mirror.run("--from", pg.dsn, "--db", workdir / "x.db", "--check")
        assert "as this rowtail-mirror" in done.stdout


MIRROR_SECTIONS = ["configuration", "copy", "source", "notices"]


@pytest.mark.parametrize("wrong", [None, "copy", "source", "notices"])
def test_check_as_json(pg, workdir, wrong):
    """The same object as rowtail's; a server's answer with control characters and quotes is one JSON string."""
    path = workdir / ("no/x.db" if wrong == "copy" else "x.db")
    nobody = pg.dsn.replace("user='postgres'", "user='a\"b\\t\x1b[31mc'")
    config = workdir / "m.conf"
    config.write_text("keep-rows = 5\n")
    said = mirror.run("--from", nobody if wrong == "source" else pg.dsn, "--notices", nobody if wrong == "notices" else pg.dsn,
                      "--db", path, "--check", "--json", config)
    checked = checking.shape(said, "rowtail-mirror", MIRROR_SECTIONS)
    assert checked.json["database"] == str(path)
    assert {line.section for line in checked.bad()} == ({wrong} if wrong else set())
    assert all(checked.of(name) for name in MIRROR_SECTIONS)
    if wrong in ("source", "notices"):
        assert "a\"b" in checked.find(wrong, "WRONG", f"--{'from' if wrong == 'source' else wrong}").text
        plain = mirror.run("--from", nobody, "--db", workdir / "x.db", "--check")
        assert "\x1b" not in plain.stdout


def test_role_that_may_only_mirror(pg, cluster, keep, workdir):
    name = f"mirror_{pg.name}"
    cluster.rows(f"CREATE ROLE {name} LOGIN")
    pg.insert("one")
    dsn = cluster.dsn(pg.name, name)
    done = mirror.run("--from", dsn, "--db", workdir / "x.db", "--check")
    assert done.returncode == 78
    assert "events_allow_mirror" in done.stdout
    pg.rows(f"SELECT events_allow_mirror('{name}')")
    kept = keep(dsn)
    pg.insert("two")
    kept.wait_same(pg)


def test_log_in_a_schema_of_its_own(cluster, workdir):
    name = cluster.database()
    cluster.rows("CREATE SCHEMA live", name)
    done = cluster.psql("-v", "ON_ERROR_STOP=1", "-f", rowtail.ROOT / "schema/postgresql.sql", dbname=name,
                        environment={"PGOPTIONS": "-c search_path=live"})
    assert done.returncode == 0, done.stderr
    cluster.rows("INSERT INTO live.events(data) VALUES ('one')", name)
    done = mirror.run("--from", cluster.dsn(name) + " options=-csearch_path=live", "--db", workdir / "x.db", "--once")
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(workdir / "x.db") as copy:
        assert copy.execute("SELECT data FROM events").fetchall() == [("one",)]
    copy.close()


def test_secrets_appear_nowhere(pg, cluster, keep, workdir):
    """With the password in a PGPASSFILE or PGPASSWORD, and a server that refuses it, at the finest log level."""
    (workdir / "pgpass").write_text("*:*:*:*:very-secret\n")
    (workdir / "pgpass").chmod(0o600)
    env = {"PGPASSFILE": str(workdir / "pgpass"), "PGPASSWORD": "also-secret", "PGOPTIONS": "-c search_path=nowhere"}
    kept = keep(pg, "--log-level", "debug", env=env, wait_copy=False)
    kept.wait_log("postgresql.sql")
    shown = kept.stderr + "".join(kept.page(name).body.decode() for name in ("metrics", "status", "health"))
    assert "secret" not in shown
    assert "very-secret" not in pathlib.Path(f"/proc/{kept.process.pid}/cmdline").read_text()


# Its pages.


def test_pages_and_health_with_max_stale(cluster, keep, serve):
    log = mirror.Log(cluster)
    log.grant()
    kept = keep(log, "--max-stale", 2)
    server = serve(kept)
    assert kept.metric("connected") == 1 and 0 <= kept.metric("lag_seconds") < 2
    assert "primary" in kept.page("status").body.decode()
    assert server.page("health").head.status == 200
    assert str(cluster.directory) in server.page("status").body.decode()
    assert 0 <= server.metric("rowtail_copy_age_seconds") < 2
    cluster.pause()
    try:
        kept.wait(lambda: kept.page("health").head.status == 503, "stale")
        server.wait_health(503)
        assert "copy" in server.page("health").sentence()
        assert kept.metric("lag_seconds") >= 2 and kept.metric("stale") == 1
    finally:
        cluster.resume()
    kept.wait(lambda: kept.page("health").head.status == 200, "fresh")
    server.wait_health(200)
    kept.kill()
    server.wait_health(503)


def test_idle_copy_stays_fresh(pg, keep, serve):
    kept = keep(pg, "--max-stale", 3)
    server = serve(kept)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        assert server.page("health").head.status == 200
        time.sleep(0.2)


# Access.


def test_revoking_a_grant_ends_streams_on_every_machine(pg, keep, serve):
    servers = [serve(keep(pg)) for _ in range(2)]
    peers = [server.open("channel=news") for server in servers]
    began = time.monotonic()
    pg.rows("DELETE FROM grants")
    for peer in peers:
        peer.wait_end(13)
        assert peer.events[-1].type == "denied"
    assert time.monotonic() - began < 10
    for server in servers:
        assert server.answer("channel=news").head.status in (401, 403)


# A client that comes from another machine.


@pytest.fixture
def two(pg, keep, serve):
    """Two machines: the mirror of the second can be paused."""
    pg.insert_many(5)
    mirrors = [keep(pg) for _ in range(2)]
    return pg, mirrors, [serve(kept) for kept in mirrors]


def test_position_ahead_of_a_copy_waits_for_it(two):
    pg, mirrors, servers = two
    mirrors[1].pause()
    ahead = pg.insert("ahead")
    here = servers[0].open(last_event_id=ahead - 1)
    assert here.next_row().last_event_id == str(ahead)
    peer = servers[1].connect(str(ahead)).ask("", headers={"Last-Event-ID": str(ahead)})
    poll = servers[1].ask(f"format=json&last_event_id={ahead}")
    peer.wait_head()
    peer.rest(1.5)
    assert peer.events == [] and poll.drain().head is None
    mirrors[1].resume()
    assert (peer.next().type, peer.events[0].last_event_id) == ("position", str(ahead))
    answer = poll.wait_complete()
    assert b'"gap":null' in answer.body and f'"position":{ahead}'.encode() in answer.body
    number = pg.insert("next")
    assert peer.next_row().last_event_id == str(number)
    assert peer.ids == [number]


def test_position_above_every_row_is_future_soon_if_the_copy_is_complete(two):
    pg, _, servers = two
    newest = pg.newest()
    began = time.monotonic()
    peer = servers[1].open(last_event_id=newest + 1000)
    assert mirror.gap(peer.first)["reason"] == "future"
    answer = servers[1].answer(f"format=json&last_event_id={newest + 1000}")
    assert b'"reason":"future"' in answer.body
    assert time.monotonic() - began < 9


def test_position_waits_for_ten_seconds_at_most(two):
    pg, mirrors, servers = two
    mirrors[1].kill()
    began = time.monotonic()
    peer = servers[1].connect().ask(f"last_event_id={pg.newest() + 1000}")
    poll = servers[1].ask(f"format=json&last_event_id={pg.newest() + 1000}")
    assert mirror.gap(peer.next())["reason"] == "future"
    assert b'"reason":"future"' in poll.wait_complete().body
    assert 9 < time.monotonic() - began < 13


def test_position_ahead_of_a_log_that_is_no_copy_is_future_at_once(server, log):
    log.insert("x")
    assert mirror.gap(server.open(last_event_id=1000).first)["reason"] == "future"
    assert not server.page("status").body.decode().count("mirror")


# What can happen to the file.


def test_removed_copy_is_made_again(pg, keep, serve):
    number = pg.insert("kept")
    kept = keep(pg)
    server = serve(kept)
    peer = server.open(last_event_id=number)
    kept.path.unlink()
    assert mirror.gap(peer.next())["reason"] == "replaced"
    number = pg.insert("next")
    assert peer.next_row().last_event_id == str(number)
    kept.wait_same(pg)


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_damaged_copy_is_made_again(pg, keep, running):
    pg.insert_many(2000)
    kept = keep(pg)
    if not running:
        kept.stop()
    kept.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    with kept.path.open("r+b") as file:
        for page in range(3, kept.path.stat().st_size // 8192):
            file.seek(page * 4096)
            file.write(os.urandom(4096))
    if not running:
        kept.start()
    kept.wait_log("making a new copy")
    kept.wait_same(pg)


def test_copy_survives_kills_at_any_moment(pg, keep, serve):
    """The copy is always a beginning of the log; a stream gets each row once."""
    kept = keep(pg)
    server = serve(kept)
    peer = server.open(last_event_id=0)
    for round_ in range(12):
        pg.insert_many(200, prefix=f"{round_}:")
        time.sleep(0.01 * (round_ % 5))
        kept.kill().start(wait_copy=False)
    kept.wait_same(pg)
    peer.wait(lambda: len(peer.rows) >= 2400, "2400 rows")
    assert peer.ids == [number for (number,) in pg.rows("SELECT id FROM events ORDER BY id")]
    assert not [event for event in peer.events if event.type == "gap"]


def test_first_copy_survives_a_kill(pg, keep):
    pg.insert_many(20000)
    kept = keep(pg, wait_copy=False)
    time.sleep(0.15)
    kept.kill().start()
    kept.wait_same(pg)
    assert not list(kept.path.parent.glob("*.new*"))
    kept.stop()
    kept.path.with_name(kept.path.name + ".new").write_text("of one that was killed")
    kept.start()
    assert not list(kept.path.parent.glob("*.new*"))


def test_full_disk_delays_the_copy_and_loses_nothing(pg, keep):
    kept = keep(pg)
    size = kept.path.stat().st_size
    hard = resource.prlimit(kept.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(kept.process.pid, resource.RLIMIT_FSIZE, (size, hard))
    pg.rows("INSERT INTO events(data) SELECT repeat('x', 10000) FROM generate_series(1, 100)")
    kept.wait_log("cannot be written")
    resource.prlimit(kept.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    kept.wait_same(pg)
    assert "making a new copy" not in kept.stderr


def test_sigterm_ends_it_at_once(pg, keep):
    kept = keep(pg)
    began = time.monotonic()
    kept.stop()
    assert time.monotonic() - began < 5
    kept = keep(f"host={kept.path.parent}", wait_copy=False)
    kept.wait_log("trying again")
    kept.stop()


def test_progress_is_logged_where_there_is_no_terminal(pg, workdir):
    pg.insert_many(1000)
    done = mirror.run("--from", pg.dsn, "--db", workdir / "x.db", "--once")
    assert re.search(r"copying 1000 rows", done.stderr)
    assert re.search(r"1000 rows in [\d.]+ s", done.stderr)


def test_progress_is_a_bar_on_a_terminal(pg, workdir):
    pg.insert_many(200000)
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [mirror.BINARY, "--from", pg.dsn, "--db", workdir / "x.db", "--once"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        pass
    os.close(ours)
    assert process.wait(30) == 0
    assert re.search(rb"\[#*\.*\] \d+ of 200000 rows, \d+ rows/s, \d+ s left", shown)


def test_sigint_ends_it_politely(pg, keep):
    kept = keep(pg).signal(signal.SIGINT)
    assert kept.process.wait(10) == 0
    assert "SIGINT" in kept.stderr


def test_rowtail_finds_nothing_wrong_with_a_copy(pg, keep):
    pg.insert("one")
    kept = keep(pg)
    done = rowtail.run("--db", kept.path, "--listen", kept.path.parent / "r.sock", "--check")
    assert done.returncode == 0, done.stdout
    assert "older rowtail.sql" not in done.stdout


def aged(kept, **values):
    """The copy, as if rowtail-mirror had left it so; returns what rowtail --check says of it."""
    with contextlib.closing(sqlite3.connect(kept.path, isolation_level=None)) as copy:
        for name, value in values.items():
            copy.execute(f"UPDATE rowtail_mirror SET {name} = ?", [value])
    return checking.check(kept.path)


def test_check_of_rowtail_tells_how_old_a_copy_is(pg, keep):
    pg.insert("one")
    kept = keep(pg)
    kept.wait_same(pg)
    checking.check(kept.path).find("copy", "ok", "keeps this copy of ")
    kept.signal(signal.SIGTERM)
    assert kept.process.wait(10) == 0
    now_ms = int(time.time() * 1000)
    aged(kept, fresh_ms=now_ms - 3_600_000).find("copy", "note", "3600 seconds ago", "does not run")
    stale = aged(kept, max_stale_ms=60_000)
    assert stale.status == os.EX_CONFIG
    assert stale.find("copy", "WRONG", "--max-stale").cure == "systemctl restart rowtail-mirror"
    aged(kept, fresh_ms=now_ms, behind=12, source="db:5432/app").find("copy", "note", "lacks 12 rows")
    aged(kept, fresh_ms=0).find("copy", "WRONG", "never completed")
    aged(kept, max_stale_ms=0).find("copy", "note", "never completed")
