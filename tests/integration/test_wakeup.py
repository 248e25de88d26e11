"""A file watch notices a commit at once, and polling never misses one.

With --poll 60000 a row that arrives within the deadline was noticed by the watch; without a watch it was
noticed by the poll.
"""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import threading
import time

import pytest

import database
import faults

WATCH_ONLY = ("--poll", 60000, "--heartbeat", 3600)
POLL_MS = 3000

NO_INOTIFY = """
#include <errno.h>
int inotify_init1(int flags) { errno = EMFILE; return -1; }
int inotify_add_watch(int fd, const char *path, unsigned mask) { errno = ENOSPC; return -1; }
"""


@pytest.fixture
def no_watch(workdir):
    """An environment in which no file can be watched."""
    library = workdir / "nowatch.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"],
        input=NO_INOTIFY,
        text=True,
        check=True,
    )
    return {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "verify_asan_link_order=0"}


def follow_each(peer, log, count):
    """Inserts rows one by one, each after the last has arrived."""
    for _ in range(count):
        number = log.insert(f"row {count}")
        assert peer.next_row(timeout=10).last_event_id == str(number)


@pytest.mark.parametrize("journal", ["wal", "delete", "truncate", "persist"])
@pytest.mark.parametrize("synchronous", ["normal", "full"])
def test_watch(launch, log, journal, synchronous):
    log.sql(f"PRAGMA journal_mode={journal}")
    log.sql(f"PRAGMA synchronous={synchronous}")
    follow_each(launch(*WATCH_ONLY).open(), log, 10)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_polling_without_file_watches(launch, log, no_watch, journal):
    log.sql(f"PRAGMA journal_mode={journal}")
    server = launch("--poll", 50, "--heartbeat", 3600, env=no_watch)
    follow_each(server.open(), log, 10)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_poll_is_kept_when_the_watch_goes_blind(launch, log, workdir, journal):
    """A watch that has announced commits may miss those of another machine or container."""
    log.sql(f"PRAGMA journal_mode={journal}")
    blind = workdir / "blind"
    env = {**faults.preload(workdir, faults.BLIND_WATCH), "BLIND": str(blind)}
    peer = launch("--heartbeat", 3600, env=env).open()
    follow_each(peer, log, 5)
    blind.touch()
    began = time.monotonic()
    follow_each(peer, log, 5)
    # Each waits for a poll, and the default of --poll is 100.
    assert time.monotonic() - began < 2.5


def test_watch_survives_the_last_writers_disconnect(launch, log):
    """The -wal disappears with the last connection and returns with the next."""
    peer = launch(*WATCH_ONLY).open()
    for _ in range(5):
        with database.Database(log.path) as writer:
            follow_each(peer, writer, 2)


def test_row_inserted_by_the_command_line_tool(launch, log):
    peer = launch(*WATCH_ONLY).open()
    for text in ("one", "two"):
        statement = f"INSERT INTO events(data) VALUES ('{text}');"
        subprocess.run(["sqlite3", log.path, statement], check=True)
        assert peer.next_row().data == text


def test_change_of_journal_mode_while_streams_run(launch, log):
    """Whether SQLite allows the change or not, rows keep arriving."""
    server = launch("--heartbeat", 3600)
    peer = server.open()
    follow_each(peer, log, 2)
    with contextlib.suppress(sqlite3.OperationalError):  # "locked", since rowtail is connected
        log.sql("PRAGMA journal_mode=DELETE")
    follow_each(peer, log, 2)


def test_rows_arrive_at_commit(launch, log):
    peer = launch(*WATCH_ONLY).open()
    log.sql("BEGIN IMMEDIATE")
    log.insert("rolled back")
    log.sql("ROLLBACK")
    log.sql("BEGIN IMMEDIATE")
    log.insert("a")
    log.insert("b")
    log.sql("COMMIT")
    assert [peer.next().data for _ in range(2)] == ["a", "b"]


def test_transaction_larger_than_the_page_cache(launch, log):
    """SQLite writes to the file before COMMIT: rowtail must show nothing until then."""
    log.sql("PRAGMA cache_size=10")
    peer = launch(*WATCH_ONLY).open()
    log.insert_many(5000, prefix="x" * 200)
    peer.wait_rows(5000)
    assert peer.ids == list(range(1, 5001))


def test_many_writers(server, log):
    peer = server.open("channel=*")

    def write(name):
        with database.Database(log.path, timeout=60) as writer:
            for number in range(50):
                writer.insert(f"{name} {number}", channel=name)

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    peer.wait_rows(200)
    assert peer.ids == list(range(1, 201))


def test_symbolic_link_to_the_database(launch, log, workdir):
    """The files that change are beside the link's target."""
    (workdir / "elsewhere").mkdir()
    link = workdir / "elsewhere" / "link.db"
    link.symlink_to(log.path)
    follow_each(launch(*WATCH_ONLY, "--db", link, db=None).open(), log, 3)


def test_relative_path(launch, log, monkeypatch):
    monkeypatch.chdir(log.path.parent)
    follow_each(launch(*WATCH_ONLY, "--db", log.path.name, db=None).open(), log, 3)


# Problems with the file.


def move(source, target):
    """Moves a database with its companion files."""
    for suffix in ("", "-wal", "-shm"):
        path = source.with_name(source.name + suffix)
        if path.exists():
            os.rename(path, target.with_name(target.name + suffix))


def test_moved_away_and_back(server, log, workdir):
    peer = server.open()
    follow_each(peer, log, 1)
    away = workdir / "away.db"
    log.close()
    move(log.path, away)
    server.wait_health(503)
    refused = server.ask().wait_complete()
    assert refused.head.status == 200 and refused.events == [] and refused.parser.retries
    plain = server.ask(accept="*/*").wait_complete()
    assert plain.head.status == 503 and plain.head.get("Retry-After")
    move(away, log.path)
    with database.Database(log.path) as again:
        follow_each(peer, again, 3)
    server.wait_health(200)
    assert server.open().first.type == "position"


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
def test_companion_files_are_recreated(server, log, ending):
    """Nobody should remove them under a reader, but if somebody does, rows still arrive."""
    peer = server.open()
    follow_each(peer, log, 1)
    log.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    log.close()
    os.unlink(f"{log.path}{ending}")
    with database.Database(log.path) as again:
        follow_each(peer, again, 3)
    assert [event for event in peer.events if event.type == "gap"] == []
    server.wait_health(200)


def test_restored_in_place(server, log, workdir):
    """`sqlite3 events.db .restore` resets the log to an earlier state in the same file."""
    log.insert_many(5)
    backup = workdir / "backup.db"
    subprocess.run(["sqlite3", log.path, f".backup {backup}"], check=True)
    log.insert_many(5)
    peer = server.open()
    assert peer.first.last_event_id == "10"
    subprocess.run(["sqlite3", log.path, f".restore {backup}"], check=True)
    assert log.insert("after") == 6
    assert peer.next().type == "gap"
    log.insert("next")
    # "after" was there when rowtail noticed the restore, or arrived as a row after the gap.
    rows = [peer.next_row().data]
    if rows == ["after"]:
        rows.append(peer.next_row().data)
    assert rows in (["next"], ["after", "next"])


def test_locked_for_a_while(launch, log):
    """In rollback mode a writer can lock readers out."""
    log.sql("PRAGMA journal_mode=DELETE")
    server = launch("--heartbeat", 3600)
    peer = server.open()
    log.sql("BEGIN EXCLUSIVE")
    log.insert("held back")
    late = server.ask("last_event_id=0")
    time.sleep(0.5)
    assert peer.drain().rows == []
    assert not peer.eof
    log.sql("COMMIT")
    assert peer.next_row().data == "held back"
    late.wait(lambda: late.rows or late.eof, "row or a polite end")
    if late.eof:
        assert late.head.status == 200 and late.parser.retries


def test_wal_can_be_checkpointed_while_streams_run(server, log):
    slow, quick = server.open(), server.open()
    catching_up = server.open(last_event_id=0)
    for size in (1 << 20, 100, 1 << 20):
        log.insert("x" * size)
    quick.wait_rows(3)
    assert log.sql("PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]
    assert log.path.with_name(log.path.name + "-wal").stat().st_size == 0
    log.insert("after")
    for peer in (quick, slow, catching_up):
        assert len(peer.wait_rows(4)) == 4


def test_log_is_opened_read_only(server, log):
    """The database is opened read-only: a directory without write permission is enough."""
    peer = server.open(last_event_id=0)
    follow_each(peer, log, 2)
    before = log.sql("PRAGMA data_version")
    server.open(last_event_id=0).wait_rows(2)
    assert log.sql("PRAGMA data_version") == before


# Idle time.


def test_no_polling_while_nobody_is_connected(launch, log):
    server = launch("--poll", 5, "--heartbeat", 1)
    peer = server.open()
    follow_each(peer, log, 2)
    peer.close()
    server.wait_metric(0, "rowtail_streams")
    time.sleep(0.2)  # work left by the last request
    before = server.context_switches()
    time.sleep(1.5)
    assert server.context_switches() - before <= 5


def test_other_files_in_the_directory_cost_nothing(launch, log, workdir):
    """The database may be in the application's directory, whose files change all the time."""
    server = launch(*WATCH_ONLY)
    peer = server.open()
    follow_each(peer, log, 2)
    busy = workdir / "application.log"
    busy.write_text("")
    time.sleep(2.5)  # the checks that follow a commit are over
    before = server.context_switches()
    with busy.open("a") as file:
        for _ in range(300):
            file.write("a line\n")
            file.flush()
            time.sleep(0.001)
    assert server.context_switches() - before <= 30
    follow_each(peer, log, 2)


def test_first_stream_after_idleness_is_live(launch, log):
    server = launch(*WATCH_ONLY)
    follow_each(server.open(), log, 1)
    server.close_streams()
    server.wait_metric(0, "rowtail_streams")
    log.insert("while nobody looked")
    peer = server.open()
    assert peer.first.last_event_id == "2"
    follow_each(peer, log, 3)


@pytest.mark.parametrize("how", ["link", "directory"])
def test_path_to_the_database_leads_elsewhere(launch, log, workdir, how):
    """A redirected link, or a recreated directory: rowtail notices commits there too."""
    place, other = workdir / "place", workdir / "other"
    for path in (place, other):
        path.mkdir()
        shutil.copyfile(log.path, path / "events.db")
    link = workdir / "link.db"
    link.symlink_to(place / "events.db")
    server = launch("--db", link, "--poll", POLL_MS, db=None)
    peer = server.open()
    if how == "link":
        (workdir / "new.db").symlink_to(other / "events.db")
        (workdir / "new.db").rename(link)
    else:
        place.rename(workdir / "old")
        other.rename(place)
    assert peer.next().type == "gap"
    with database.Database(link.resolve()) as opened:
        for number in range(1, 4):
            started = time.monotonic()
            opened.insert(f"row {number}")
            peer.wait_rows(number)
            assert time.monotonic() - started < POLL_MS / 1000 / 3
