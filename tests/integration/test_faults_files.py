"""Administrators and disks break a log that is followed: streams wait, and nothing is lost."""

import os
import shutil
import signal
import subprocess

import pytest

import cgiprogram
import database
import faults
import rowtail
import stream
from test_faults_database import (
    assert_alive,
    assert_all_rows_once,
    assert_comes_back_later,
    open_streams,
    said,
)

READER = "www-data"
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def server(launch):
    return launch("--heartbeat", 1, "--poll", 20)


@pytest.fixture
def peers(server, log):
    """Streams of all kinds; each has received three rows."""
    opened = open_streams(server)
    log.insert_many(3)
    stream.pump_all(opened, lambda peer: len(peer.rows) == 3)
    return opened


# The schema.


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE events ADD COLUMN note TEXT",
        "DROP INDEX",
        "BEGIN; ALTER TABLE events RENAME TO store; "
        "CREATE VIEW events AS SELECT * FROM store; COMMIT",
        "CREATE TABLE more(x); DROP TABLE grants; CREATE TABLE grants(subject TEXT, channel TEXT, "
        "expires_at TEXT); INSERT INTO grants VALUES ('*', '*', NULL)",
        "PRAGMA journal_mode=WAL; REINDEX; ANALYZE",
        "BEGIN; ALTER TABLE events RENAME TO away; ALTER TABLE away RENAME TO events; COMMIT",
    ],
)
def test_schema_change(server, peers, log, change):
    if change == "DROP INDEX":
        names = log.sql("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        change = "; ".join(f"DROP INDEX {name}" for (name,) in names)
    log.connection.executescript(change)
    if "VIEW" in change:
        log.sql(
            "CREATE TRIGGER through INSTEAD OF INSERT ON events BEGIN "
            "INSERT INTO store(channel, data) VALUES (coalesce(new.channel, 'default'), new.data); "
            "END"
        )
    newest = log.insert_many(3)
    stream.pump_all(peers, lambda peer: newest in peer.ids)
    for peer in peers:
        assert peer.ids == [1, 2, 3, 4, 5, 6]
    server.wait_health(200)
    assert len(server.open(last_event_id=0).wait_rows(6)) == 6
    assert said(server, "error") == []


def test_table_dropped_and_restored(server, peers, log):
    log.sql("ALTER TABLE events RENAME TO away")
    log.sql("INSERT INTO away(data) VALUES ('in the dark')")
    server.wait_health(503)
    server.wait_log(" error: .*no .*events")
    assert_alive(peers)
    assert_comes_back_later(server)
    log.sql("ALTER TABLE away RENAME TO events")
    server.wait_health(200)
    assert_all_rows_once(peers, log, 0)
    assert len(said(server, "error")) == 1


def test_view_recreated_with_channels(launch, workdir):
    """A client of one channel does not get rows that now belong to another."""
    with database.Database(workdir / "app.db") as app:
        app.sql("CREATE TABLE notes(number INTEGER PRIMARY KEY, room TEXT, text TEXT)")
        app.sql("CREATE VIEW v AS SELECT number AS id, text AS data FROM notes")
        server = launch("--db", app.path, "--table", "v", "--public", db=None)
        peer = server.open()
        app.sql("INSERT INTO notes VALUES (1, 'default', 'a')")
        assert peer.next_row() == ("message", "a", "1")
        app.connection.executescript(
            "BEGIN; DROP VIEW v; CREATE VIEW v AS SELECT number AS id, room AS channel, "
            "'note' AS event, text AS data FROM notes; COMMIT"
        )
        app.sql("INSERT INTO notes VALUES (2, 'secret', 'b'), (3, 'default', 'c')")
        assert peer.next_row() == ("note", "c", "3")
        assert server.open("channel=secret&last_event_id=0").next() == ("note", "b", "2")


def test_added_column(launch, workdir):
    with database.Database(workdir / "app.db") as app:
        app.sql("CREATE TABLE v(id INTEGER PRIMARY KEY, data TEXT)")
        server = launch("--db", app.path, "--table", "v", "--public", db=None)
        peer = server.open()
        app.sql("ALTER TABLE v ADD COLUMN event TEXT")
        app.sql("INSERT INTO v(event, data) VALUES ('paid', 'a')")
        assert peer.next_row() == ("paid", "a", "1")


# The file.


def rubbish(path):
    path.write_bytes(b"Dear database, " * 4000)


def test_file_replaced_by_garbage_and_put_back(server, peers, log, workdir):
    """The same file comes back, and its writers still have it open, so it is not a replacement."""
    kept, wrong = workdir / "kept.db", workdir / "wrong.db"
    rubbish(wrong)
    os.link(log.path, kept)
    os.replace(wrong, log.path)
    server.wait_health(503)
    server.wait_log(" error: ")
    assert_alive(peers)
    assert_comes_back_later(server)
    log.insert("in the dark")
    os.replace(kept, log.path)
    server.wait_health(200)
    assert_all_rows_once(peers, log, 0)
    assert len(said(server, "error")) == 1


def test_file_replaced_by_garbage_and_then_by_a_log(server, peers, log, workdir):
    """Every stream gets a gap, whoever sees the new log first, even the health page."""
    other = database.Database.create(workdir / "other.db")
    other.grant("*", "*")
    other.insert_many(8, prefix="other ")
    other.close()
    wrong = workdir / "wrong.db"
    rubbish(wrong)
    log.close()
    for ending in ("-wal", "-shm"):
        log.path.with_name(log.path.name + ending).unlink(missing_ok=True)
    os.replace(wrong, log.path)
    server.wait_health(503)
    assert_alive(peers)
    os.replace(workdir / "other.db", log.path)
    server.wait_health(200)
    stream.pump_all(peers, lambda peer: "gap" in [event.type for event in peer.events])
    for peer in peers:
        assert '"replaced"' in next(event.data for event in peer.events if event.type == "gap")


def test_one_damaged_page(launch, log):
    """Streams that need the page wait; the others continue; the log says it, but not at every retry."""
    log.sql("PRAGMA journal_mode=DELETE")
    server = launch("--heartbeat", 1, "--poll", 20)
    log.insert_many(500, prefix="x" * 500)
    with log.path.open("r+b") as file:
        file.seek(log.path.stat().st_size // 4096 // 2 * 4096)
        file.write(b"\xff" * 4096)
    live, behind = server.open(), server.open(last_event_id=0)
    server.wait_log(" error: .*malformed")
    assert_alive([live, behind], 2)
    newest = log.insert("new")
    assert live.next_row() == ("message", "new", str(newest))
    assert behind.ids == list(range(1, len(behind.ids) + 1))
    assert len(behind.ids) < 500
    assert len(server.stderr.splitlines()) < 10


# Permissions.


@pytest.mark.skipif(not AS_ROOT, reason="only root can be several users")
def test_reader_without_write_permission(launch, log, workdir):
    """Read-only directory, another user's -wal and -shm: rowtail follows, and waits while it may not read."""
    place, run = workdir / "log", workdir / "run"
    place.mkdir(mode=0o755)
    run.mkdir()
    workdir.chmod(0o755)
    shutil.chown(run, READER)
    binary = shutil.copy(rowtail.BINARY, workdir / "rowtail")
    with database.Database.create(place / "events.db") as kept:
        kept.grant("*", "*")
        who = [f"--reuid={READER}", f"--regid={READER}", "--init-groups", "--pdeathsig=KILL"]
        address = run / "rowtail.sock"
        options = [binary, "--db", kept.path, "--heartbeat", 1, "--poll", 20, "--listen", address]
        server = launch(
            *who, *options, db=None, program="/usr/bin/setpriv", how=None, address=address
        )
        peers = open_streams(server)
        kept.insert_many(3)
        stream.pump_all(peers, lambda peer: len(peer.rows) == 3)
        kept.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    for ending in ("-wal", "-shm"):
        place.joinpath("events.db" + ending).unlink(missing_ok=True)
    with database.Database(kept.path) as again:
        server.signal(signal.SIGSTOP)
        again.insert("in the dark")
        beside = [place / f"events.db{ending}" for ending in ("-wal", "-shm")]
        for path in beside:
            path.chmod(0o600)
        server.signal(signal.SIGCONT)
        server.wait_health(503)
        server.wait_log(" error: .*cannot be read")
        assert_alive(peers)
        for path in beside:
            path.chmod(0o644)
        assert_all_rows_once(peers, again, 0)
        server.wait_health(200)
    assert len(server.stderr.splitlines()) < 10


# Full disks.


def test_disk_full_for_the_writers(server, peers, log, workdir):
    """The writer gets an error, and the readers notice nothing."""
    files = faults.Files(workdir)

    # Not the sqlite3 program: in some releases it contains SQLite itself, which the faults cannot reach.
    insert = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as log:
    log.execute("INSERT INTO events(data) VALUES ('published')")
"""

    def publish():
        command = ["/usr/bin/python3", "-c", insert, log.path]
        return subprocess.run(
            command, env=rowtail.environment(**files.env), capture_output=True, text=True
        )

    with files.during(("write", "any", "full")):
        done = publish()
        assert done.returncode != 0
        assert "full" in done.stderr
        assert_alive(peers)
        server.wait_health(200)
    assert publish().returncode == 0
    assert_all_rows_once(peers, log, 0)
    assert said(server, "error") == []


@pytest.fixture
def small_disk(workdir):
    """A file system of half a MiB, if we may mount one."""
    place = workdir / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a file system here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_disk_full(launch, small_disk):
    with database.Database.create(small_disk / "events.db") as log:
        log.grant("*", "*")
        server = launch("--heartbeat", 1, "--poll", 20, db=log)
        peers = open_streams(server)
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", 0) as file:
            while True:
                file.write(bytes(4096))
        with pytest.raises(database.sqlite3.OperationalError, match="full|disk I/O"):
            for _ in range(1000):
                log.insert("x" * 1000)
        assert_alive(peers)
        filler.unlink()
        log.insert_many(5)
        assert_all_rows_once(peers, log, 0)
        server.wait_health(200)


# At the start, and as a CGI program.


@pytest.mark.parametrize(
    "fault",
    [
        ("open", "db", "cantopen"),
        ("read", "db", "ioerr_read"),
        ("read", "db", "rot"),
        ("read", "db", "short"),
        ("shmmap", "shm", "ioerr_shmmap"),
        ("any", "any", "nomem"),
    ],
    ids=lambda fault: "-".join(fault),
)
def test_start_on_an_unreadable_log(log, workdir, fault):
    files = faults.Files(workdir)
    socket_path = workdir / "s"
    with files.during(fault):
        for how in (["--listen", socket_path], ["--check"]):
            done = rowtail.run("--db", log.path, *how, env=files.env)
            assert done.returncode in (os.EX_NOINPUT, os.EX_CONFIG)
            assert str(log.path) in done.stdout + done.stderr
    assert not socket_path.exists()


def test_cgi_program(log, workdir):
    files = faults.Files(workdir)
    files.plan(("read", "any", "ioerr_read"))
    refused = cgiprogram.Program(["--db", log.path], env=files.env)
    refused.wait_end()
    assert refused.wait_exit() == 0
    assert (refused.head.status, refused.events) == (200, [])
    assert len(refused.parser.retries) == 1
    refused.cleanup()
    files.stop()
    log.insert_many(2)
    options = ["--db", log.path, "--heartbeat", 1, "--poll", 20]
    program = cgiprogram.Program(options, "since=0", env=files.env)
    program.wait_rows(2)
    with files.during(("read", "any", "ioerr_read")):
        log.insert("in the dark")
        files.wait_hits(3)
        assert_alive([program])
    assert_all_rows_once([program], log, 0)
    program.cleanup()


def test_pages_see_a_replaced_file_while_nobody_is_connected(server, log, workdir):
    log.insert_many(3)
    assert server.metric("rowtail_log_newest_id") == 3
    with database.Database.create(workdir / "other.db") as other:
        other.insert_many(8)
    log.close()
    for ending in ("-wal", "-shm"):
        log.path.with_name(log.path.name + ending).unlink(missing_ok=True)
    os.replace(workdir / "other.db", log.path)
    assert server.metric("rowtail_log_newest_id") == 8


def test_schema_in_utf_16(workdir):
    with database.Database(workdir / "wide.db") as wide:
        wide.sql("PRAGMA encoding = 'UTF-16le'")
        wide.connection.executescript(database.SCHEMA.read_text())
        assert wide.insert("hello") == 1
