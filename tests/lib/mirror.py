"""Starts rowtail-mirror, and compares its copy with the log in PostgreSQL."""

import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

import httpc
import pytest
import rowtail
import stream

_built = pathlib.Path(__file__).resolve().parents[2] / "build" / "rowtail-mirror"
BINARY = pathlib.Path(os.environ.get("MIRROR_BIN") or _built).resolve()
_serial = itertools.count()
_libc = ctypes.CDLL(None)

needed = pytest.mark.skipif(
    "not __import__('mirror').BINARY.exists()", reason="rowtail-mirror was not built, for lack of libpq"
)

SAME = {
    "events": (
        "SELECT id, channel, event, data, retry, to_char(created_at AT TIME ZONE 'UTC', "
        "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM events ORDER BY id",
        "SELECT id, channel, event, data, retry, created_at FROM events ORDER BY id",
    ),
    "grants": (
        "SELECT subject, channel, to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') "
        "FROM grants ORDER BY subject COLLATE \"C\", channel COLLATE \"C\"",
        "SELECT subject, channel, strftime('%Y-%m-%d %H:%M:%S', expires_at) FROM grants ORDER BY subject, channel",
    ),
}


def run(*arguments, env=None, timeout=stream.DEADLINE, prepare=None, cwd=None):
    """Runs rowtail-mirror to its end."""
    return subprocess.run(
        [BINARY, *map(str, arguments)], env=rowtail.environment(**(env or {})), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="replace", timeout=timeout, check=False, preexec_fn=prepare,
        cwd=cwd,
    )


def wait(condition, what, timeout=stream.DEADLINE):
    """Waits until condition() holds; returns what it returned."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(0.02)
    return result


class Mirror:
    """One rowtail-mirror, with --pages on a unix socket. dsn: where it copies from."""

    def __init__(self, workdir, dsn, *arguments, db=None, env=None):
        name = f"mirror{next(_serial)}"
        self.path = pathlib.Path(db or workdir / f"{name}.db")
        self.pages = workdir / f"{name}.sock"
        self.stderr_path = workdir / f"{name}.err"
        self.command = [BINARY, "--from", dsn, "--db", self.path, "--pages", self.pages, *arguments]
        self.env = env or {}
        self.process = None

    def start(self, wait_copy=True):
        with self.stderr_path.open("ab") as stderr:
            self.process = subprocess.Popen(
                [str(word) for word in self.command], env=rowtail.environment(**self.env),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
                preexec_fn=lambda: _libc.prctl(1, signal.SIGKILL),
            )
        if wait_copy:
            self.wait(lambda: self.page("health").head.status == 200, "a copy")
        return self

    @property
    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def wait(self, condition, what, timeout=stream.DEADLINE):
        """Waits for something while the process runs; a page that cannot be had yet is no failure."""
        deadline = time.monotonic() + timeout
        while True:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.stderr}"
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError, sqlite3.DatabaseError):
                if result := condition():
                    return result
            assert time.monotonic() < deadline, f"{what}: not within {timeout} s: {self.stderr}"
            time.sleep(0.02)

    def wait_log(self, pattern, timeout=stream.DEADLINE):
        return self.wait(lambda: re.search(pattern, self.stderr), pattern, timeout)

    def signal(self, number):
        self.process.send_signal(number)
        return self

    def pause(self):
        return self.signal(signal.SIGSTOP)

    def resume(self):
        return self.signal(signal.SIGCONT)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        return self

    def stop(self):
        self.signal(signal.SIGTERM)
        status = self.process.wait(10)
        assert status == 0, f"{status}: {self.stderr}"
        return self

    def cleanup(self):
        if self.process is not None and self.process.poll() is None:
            self.resume()
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        assert not rowtail.SANITIZER.search(self.stderr), self.stderr

    def page(self, name):
        peer = httpc.open_request(self.pages, f"/{name}")
        with peer:
            return peer.wait_complete()

    def metric(self, name):
        text = self.page("metrics").body.decode()
        return float(re.search(rf"^rowtail_mirror_{name} (\S+)$", text, re.M)[1])

    def sql(self, statement, *values):
        """Reads the copy."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as connection:
            return connection.execute(statement, values).fetchall()

    def ids(self):
        return [number for (number,) in self.sql("SELECT id FROM events ORDER BY id")]

    def differences(self, log):
        """What the copy and the log have not in common: {} if they are the same."""
        found = {}
        for table, (there, here) in SAME.items():
            theirs, ours = set(log.rows(there)), set(self.sql(here))
            if theirs != ours:
                found[table] = {"missing": sorted(theirs - ours)[:5], "extra": sorted(ours - theirs)[:5]}
        return found

    def wait_same(self, log, timeout=stream.DEADLINE):
        """Waits until the copy is the log."""
        self.wait(lambda: not self.differences(log), "the copy is the log", timeout)

    def position(self):
        return self.sql("SELECT cursor FROM rowtail_mirror")[0][0]


class Log:
    """A log in PostgreSQL, as its publishers see it."""

    def __init__(self, cluster, *files):
        self.cluster = cluster
        self.name = cluster.database("schema/postgresql.sql", *files)
        self.dsn = cluster.dsn(self.name)
        self.connection = None

    def on(self, cluster):
        """The same log on another server."""
        other = object.__new__(Log)
        other.cluster, other.name, other.dsn, other.connection = cluster, self.name, cluster.dsn(self.name), None
        return other

    def rows(self, statement, *values):
        """Runs a statement in autocommit mode, on a connection that stays open while it works."""
        import psycopg2

        for again in True, False:
            if self.connection is None or self.connection.closed:
                self.connection = self.cluster.connect(self.name)
            try:
                with self.connection.cursor() as cursor:
                    cursor.execute(statement, values or None)
                    return cursor.fetchall() if cursor.description else []
            except psycopg2.Error as error:
                # When the server was killed, it may be any of these, without an SQLSTATE.
                if not again or not (error.pgcode is None or isinstance(error, psycopg2.OperationalError)):
                    raise
                self.close()

    def insert(self, data="", channel="default", event=None):
        """Publishes a row, and returns its id."""
        self.rows("INSERT INTO events(channel, event, data) VALUES (%s, %s, %s)", channel, event, data)
        return self.rows("SELECT currval('events_order')")[0][0]

    def insert_many(self, count, channels=1, prefix="row "):
        """Publishes rows in one transaction; returns the id of the last."""
        self.rows(
            "INSERT INTO events(channel, data) SELECT CASE WHEN %s = 1 THEN 'default' ELSE 'c' || i %% %s END, "
            "%s || i FROM generate_series(1, %s) i", channels, channels, prefix, count,
        )
        return self.newest()

    def newest(self):
        return self.rows("SELECT coalesce(max(id), 0) FROM events")[0][0]

    def grant(self, subject="*", channel="*", expires_at=None):
        self.rows("INSERT INTO grants VALUES (%s, %s, %s)", subject, channel, expires_at)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def gap(event):
    """The data of a gap record."""
    assert event.type == "gap", event
    return json.loads(event.data)


@contextlib.contextmanager
def keeping(workdir):
    """start(log, …) starts a mirror of a log, or of a connection string; all end with the block."""
    started = []

    def start(log, *arguments, wait_copy=True, **how):
        made = Mirror(workdir, log if isinstance(log, str) else log.dsn, *arguments, **how)
        started.append(made)
        return made.start(wait_copy)

    yield start
    for made in started:
        made.cleanup()


def serving(workdir):
    """start(mirror, …) starts rowtail on its copy; all end, and must be clean, with the block."""

    def make(kept, *arguments, **how):
        return rowtail.Rowtail(workdir, ["--db", kept.path, *arguments], **how)

    return rowtail.launching(make)
