"""Writers as one user, rowtail as another, a log in WAL mode: the permissions that each needs.

Needs root, to run as several users; no account has these ids.
"""

import os
import pwd
import shutil
import subprocess

import pytest

import database
import rowtail
from conftest import directory

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")

WRITER, READER, GROUP, STRANGER = 64001, 64002, 64010, 64003


def as_ids(user, *command, group=GROUP):
    """A command that runs as this user, only in this group."""
    who = [f"--reuid={user}", f"--regid={group}", "--clear-groups", "--pdeathsig=TERM"]
    return ["/usr/bin/setpriv", *who, *map(str, command)]


class Place:
    """A directory with a log that the writer created, and rowtail's binary."""

    def __init__(self, path, directory_mode, umask):
        self.path = path
        self.binary = shutil.copy(rowtail.BINARY, path / "rowtail")
        self.database = path / "log" / "events.db"
        self.database.parent.mkdir()
        os.chown(self.database.parent, WRITER, GROUP)
        self.database.parent.chmod(directory_mode)
        self.run_directory = path / "run"
        self.run_directory.mkdir()
        os.chown(self.run_directory, READER, GROUP)
        self.write(f".read {database.SCHEMA.name}", umask=umask)
        if directory_mode & 0o020:
            self.database.chmod(0o660)  # SQLite leaves it 0644 at the most

    def write(self, statement, umask=0o007, user=WRITER):
        """Runs the sqlite3 tool as the writer, like another program."""
        schema = shutil.copy(database.SCHEMA, self.path)
        os.chmod(schema, 0o644)
        script = f"umask {umask:03o}; cd {self.path}; exec sqlite3 -bail {self.database}"
        subprocess.run(
            as_ids(user, "/bin/sh", "-c", script),
            input=f".timeout 5000\n{statement}\n",
            text=True,
            check=True,
            capture_output=True,
            timeout=20,
        )

    def start(self):
        """Starts rowtail as the reader."""
        words = as_ids(READER, self.binary, "--public", "--db", self.database)
        address = self.run_directory / "rowtail.sock"
        words += ["--listen", address]
        return rowtail.Rowtail(
            self.path, words[1:], how=None, program=words[0], address=address
        ).start()

    def say(self, *options, group=GROUP):
        """Runs rowtail as the reader to its end; returns (exit status, output)."""
        words = as_ids(READER, self.binary, "--public", "--db", self.database, group=group)
        done = subprocess.run([*words, *options], capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def make():
    """make(directory_mode=…, umask=…): a Place."""
    with directory() as path:
        yield lambda directory_mode=0o2770, umask=0o007: Place(path, directory_mode, umask)


@pytest.fixture(params=["check", "start"])
def refusal(request):
    """refusal(place): the message of --check, or of a start, for a user outside the group."""

    def say(place):
        listen = ["--listen", str(place.run_directory / "refused.sock")]
        return place.say(*(["--check"] if request.param == "check" else listen), group=STRANGER)

    return say


INSERT = "INSERT INTO events(data) VALUES ('{}');"


def test_directory_of_the_group(make):
    """The layout in deploy/README.md, whether the writer or the reader comes first."""
    place = make()
    running = place.start()  # nobody has the database open: rowtail creates -wal and -shm
    try:
        stream = running.open()
        place.write(INSERT.format("after rowtail"))
        assert stream.next().data == "after rowtail"
        place.write(INSERT.format("another writer"), user=STRANGER)
        assert stream.next().data == "another writer"
        place.write("PRAGMA wal_checkpoint(TRUNCATE); " + INSERT.format("after the checkpoint"))
        assert stream.next().data == "after the checkpoint"
    finally:
        running.cleanup()
    place.write(INSERT.format("while rowtail is away"))
    assert place.say("--check")[0] == 0


def test_read_permission_alone_is_not_enough(make, refusal):
    """A user who may not write the -shm cannot read a WAL database; the message comes before any stream."""
    place = make(directory_mode=0o755, umask=0o022)
    status, said = refusal(place)
    assert status in (66, 78), said
    assert str(place.database) in said and "write" in said, said


def test_unreadable_database(make, refusal):
    place = make(directory_mode=0o711, umask=0o077)
    status, said = refusal(place)
    assert status in (66, 78), said
    assert str(place.database) in said and ("read" in said or "permission" in said), said


def test_check_names_both_users(make):
    """The message names the log's owner and the user who cannot read it."""
    place = make()
    os.chown(place.database, 0, 0)
    place.database.chmod(0o600)
    words = as_ids(65534, place.binary, "--check", "--db", place.database)
    done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    owner, reader = (pwd.getpwuid(user).pw_name for user in (0, 65534))
    assert f"belongs to {owner}, and {reader} cannot read it" in done.stdout, done.stdout
    os.chown(place.database, WRITER, GROUP)
    assert f"belongs to user {WRITER}, and user {READER} cannot read it" in place.say("--check")[1]


def test_stale_socket_of_another_user(make):
    """Left by a run as root: the message says what is known, not that somebody listens there."""
    place = make()
    left = place.run_directory / "left.sock"
    rowtail.listening_socket(left).close()
    left.chmod(0o600)
    status, said = place.say("--listen", str(left))
    assert status == os.EX_CONFIG
    assert str(left) in said and "remove it" in said and "another process listens" not in said, said


def test_unreachable_directory(make, refusal):
    place = make(directory_mode=0o700)
    status, said = refusal(place)
    assert status in (66, 78), said
    assert f"may not enter {place.database.parent}" in said and "schema" not in said, said


def test_check_warns_of_a_log_that_locks_writers_out(make):
    """If rowtail is first, it creates -wal and -shm with the log's mode and its own user."""
    place = make()
    place.database.chmod(0o640)
    status, said = place.say("--check")
    assert status == 0 and "chmod 660" in said, said
    place.database.chmod(0o660)
    assert "chmod 660" not in place.say("--check")[1]
