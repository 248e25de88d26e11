"""Another log is restored into the same file: a client gets a gap before it gets a row of that log.

SQLite's backup API writes the other log in one transaction, as `.restore` does. Here no notice tells rowtail of it, so
whoever reads rows has to see that they are of another log. A client that asks for rare rows of a long log lets rowtail read
for a while: rowtail is stopped meanwhile, and continues in the other log.
"""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess

import pytest

import cgiprogram
import database
import faults
import rowtail
import stream

NO_WATCH = """
#include <errno.h>
int inotify_init1(int flags) { errno = EMFILE; return -1; }
"""
RARELY = ("--poll", 2000, "--heartbeat", 3600)
ROWS, EACH = 300_000, 20_000  # a rare row, then a number of others
# The trigger that ends channels makes an INSERT slow, and no channel ends here.
FILL = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {rows})
    INSERT INTO events(channel, event, data)
    SELECT 'job/' || (i % 3), CASE WHEN i % {each} = 1 OR i = {rows} THEN 'rare' END, '{name}' FROM n
"""


def make(path, empty_log, name, rows, then):
    shutil.copyfile(empty_log, path)
    commands = [".dbconfig enable_trigger off", "PRAGMA synchronous=OFF", FILL.format(rows=rows, each=EACH, name=name)]
    subprocess.run(["sqlite3", path, *commands], check=True, stdout=subprocess.DEVNULL)
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.executescript(then)


@pytest.fixture(scope="module")
def made(tmp_path_factory, empty_log):
    """made(name, rows, then) is the path of such a log, which several tests share."""
    directory, known = tmp_path_factory.mktemp("restored"), {}

    def find(*key):
        if key not in known:
            known[key] = directory / f"{len(known)}.db"
            make(known[key], empty_log, *key)
        return known[key]

    yield find
    shutil.rmtree(directory)


@pytest.fixture
def log(workdir, made):
    """A long log with few rows of type "rare"."""
    shutil.copyfile(made("old", ROWS, ""), workdir / "events.db")
    with database.Database(workdir / "events.db") as opened:
        yield opened


def restore(path, other):
    """The shell's .restore."""
    subprocess.run(["sqlite3", path, f".restore {other}"], check=True)


@pytest.fixture
def blind(workdir):
    """An environment in which no file can be watched."""
    return faults.preload(workdir, NO_WATCH)


class Printed(stream.Stream):
    """What --follow prints: a stream without a head."""

    def decode(self, chunk):
        self.on_body(chunk)


@contextlib.contextmanager
def by_fastcgi(launch, log, query, env):
    server = launch(*RARELY, env=env)
    yield server.pid, server.ask(query)


@contextlib.contextmanager
def by_cgi(launch, log, query, env):
    program = cgiprogram.Program(["--db", log.path, *RARELY], query, env=env)
    yield program.process.pid, program
    program.cleanup()


@contextlib.contextmanager
def by_follow(launch, log, query, env):
    command = [str(rowtail.BINARY), "--db", log.path, *map(str, RARELY), "--follow", query]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=rowtail.environment(**env))
    yield process.pid, Printed(process.stdout)
    process.terminate()
    process.stdout.close()
    process.wait(30)


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


def name_of(event):
    """Which log a row is of, or the type of a record that is no row."""
    if event.type in stream.CONTROL_TYPES:
        return event.type
    return json.loads(event.data)["data"] if event.data.startswith("{") else event.data


def read_over_the_restore(pid, peer, path, other, newest):
    """Stops rowtail in the middle of its search, restores, and reads to the last row of the new log."""
    peer.wait(lambda: peer.events or b"\n:" in peer.body, "the stream's beginning")
    with stopped(pid):
        restore(path, other)
    peer.wait(lambda: peer.rows and peer.ids[-1] == newest and name_of(peer.rows[-1]) == "new", "the last row")
    names = [name for name in map(name_of, peer.events) if name != "position"]
    at = names.index("gap")
    assert set(names[:at]) <= {"old"} and set(names[at + 1:]) == {"new"}, names
    gap = next(json.loads(event.data) for event in peer.events if event.type == "gap")
    assert gap["reason"] == "replaced"


@pytest.mark.parametrize("way, query, rows", [
    (by_fastcgi, "channel=*&last_event_id=0", ROWS + 20),
    (by_cgi, "channel=*&last_event_id=0", ROWS + 20),
    (by_follow, "channel=*&last_event_id=0", ROWS + 20),
    (by_fastcgi, "channel=job/*&envelope=json&last_event_id=0", ROWS),
    (by_fastcgi, "channel=job/0&channel=job/1&channel=job/2&last_event_id=0", ROWS - EACH),
    (by_fastcgi, f"channel=*&tail={EACH}", ROWS + 20),
], ids=["longer", "CGI", "--follow", "as long", "shorter", "tail"])
def test_restored_during_a_replay(launch, log, made, blind, way, query, rows):
    other = made("new", rows, "")
    with way(launch, log, query + "&event=rare", blind) as (pid, peer):
        read_over_the_restore(pid, peer, log.path, other, rows)


def test_an_answer_as_json_has_rows_of_one_log(launch, log, made, blind):
    other = made("new", ROWS, "")
    server = launch(*RARELY, env=blind)
    waiting = server.ask(f"format=json&channel=*&event=rare&wait=20&last_event_id={ROWS}")
    server.open()
    searching = server.ask("format=json&channel=*&event=rare&last_event_id=0")
    with stopped(server.pid):
        restore(log.path, other)
    assert json.loads(waiting.wait_end().body)["gap"]["reason"] == "replaced"
    assert len({row["data"] for row in json.loads(searching.wait_end().body)["events"]}) == 1


# The rest needs no long log.


@pytest.fixture
def short(workdir, empty_log):
    shutil.copyfile(empty_log, workdir / "short.db")
    with database.Database(workdir / "short.db") as opened:
        yield opened


def test_the_newest_old_row_is_large(launch, short, made, blind):
    short.insert("old" + "." * 100_000)
    server = launch(*RARELY, db=short, env=blind)
    peer = server.open()
    restore(short.path, made("new", 30, ""))
    server.open()
    assert json.loads(peer.next().data)["reason"] == "replaced"


def test_an_earlier_state_is_restored_before_the_last_rows_were_noticed(launch, short, workdir, blind):
    """A client has a row that was read for it alone. Then other rows get the ids of that row and the next."""
    short.insert("old")
    subprocess.run(["sqlite3", short.path, f".backup {workdir / 'backup.db'}"], check=True)
    server = launch(*RARELY, db=short, env=blind)
    server.open()
    short.insert("old")
    peer = server.open(last_event_id=0)
    peer.wait_rows(2)
    restore(short.path, workdir / "backup.db")
    short.insert("new")
    short.insert("new")
    server.open(last_event_id=0)
    peer.wait(lambda: name_of(peer.events[-1]) == "new", "a row of the new log")
    assert [name_of(event) for event in peer.events][1:4] == ["old", "old", "gap"]


def test_a_channel_has_ended_in_the_other_log(launch, short, made, blind):
    """A new client finds the end first. The old one gets its gap before its stream ends."""
    for _ in range(4):
        short.insert("old", channel="job/0")
    server = launch(*RARELY, db=short, env=blind)
    peer = server.open("channel=job/0")
    restore(short.path, made("new", 1, "INSERT INTO events(channel, event) VALUES ('job/0', 'end')"))
    server.open("channel=job/0", last_event_id=0).wait_rows(1)
    peer.wait_end()
    assert json.loads(peer.events[1].data)["reason"] == "replaced"
