"""rowtail --check: its report, what it leaves alone, and the sections files and database. Each cure that it names works."""

import contextlib
import os
import re
import shutil
import subprocess
import time

import pytest

import checking
import database
import faults
import rowtail
import writers
from checking import check, is_cured, path, run_sql

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
OWNER, READER, GROUP = 64003, 64002, 64010
FORMER = rowtail.ROOT / "tests" / "schema-0.1.0"


# The report.


def test_a_new_log_has_nothing_wrong(path):
    answer = check(path)
    assert answer.status == 0
    assert [line for line in answer.bad() if line.section not in ("place", "watch", "limits")] == []


def test_all_sections_have_a_place_in_the_json(path, workdir):
    for checked in check(path), check(workdir / "missing.db"):
        assert [section["name"] for section in checked.json["sections"]] == checking.SECTIONS
        assert checked.json["program"] == "rowtail"
        assert set(checked.json) == {"program", "version", "commit", "database", "sections", "exit_status"}
        for section in checked.json["sections"]:
            assert set(section) == {"name", "checked", "lines"}
            for line in section["lines"]:
                assert set(line) == {"level", "text", "cure"} and line["level"] in ("ok", "note", "WRONG")
    skipped = [section["name"] for section in checked.json["sections"] if not section["checked"]]
    assert skipped == "schema retention grants publishers tracked copy clock".split()


def test_text_and_json_have_the_same_lines(path):
    """Apart from the times in them."""
    with database.Database(path) as log:
        log.sql("DELETE FROM grants")
    said = checking.run(path).stdout.splitlines()
    assert said.pop() == "rowtail can serve."
    cures = [f". To fix it: {line.cure}" if line.cure else "" for line in check(path).lines]
    assert said == [
        f"{line.level:6}{line.section}: {line.text}{cure}" for line, cure in zip(check(path).lines, cures)
    ]


def test_strange_names_break_neither_form(workdir, empty_log):
    path = workdir / "it's \"a\"\n\\ %s {log} é.db"
    shutil.copyfile(empty_log, path)
    with database.Database(path) as log:
        log.sql("DELETE FROM grants")
    answer = check(path)
    assert answer.status == 0
    lines = checking.run(path).stdout.splitlines()
    assert len(lines) == len(answer.lines) + 1 and all(re.match("(ok|note|WRONG) ", line) for line in lines[:-1])


def test_a_cure_quotes_the_path_for_the_shell(workdir, empty_log):
    path = workdir / "it's $HOME; a log.db"
    shutil.copyfile(empty_log, path)
    with database.Database(path) as log:
        log.sql("DELETE FROM grants")
    is_cured(path, check(path).find("grants", "note", "nobody can read"))


def test_a_cure_names_the_installed_schema(workdir, path):
    """Somebody who installed rowtail has no schema/ in the current directory."""
    installed = workdir / "usr"
    (installed / "bin").mkdir(parents=True)
    shutil.copy(rowtail.BINARY, installed / "bin" / "rowtail")
    shutil.copytree(rowtail.ROOT / "schema", installed / "share" / "rowtail" / "schema")
    with database.Database(path) as log:
        log.sql("DROP TABLE grants")
    done = subprocess.run(
        [installed / "bin" / "rowtail", "--check", "--db", path],
        capture_output=True,
        text=True,
        cwd=workdir,
        env=rowtail.environment(),
    )
    assert f"sqlite3 {path} < {installed}/share/rowtail/schema/rowtail.sql" in done.stdout
    assert f"sqlite3 {path} < schema/rowtail.sql" in checking.run(path).stdout


# It changes nothing and leaves nothing behind.


def contents(directory):
    return {
        file.name: (file.stat().st_ino, file.stat().st_mode, file.stat().st_uid, file.read_bytes())
        for file in directory.iterdir()
    }


def rollback_mode(path):
    with database.Database(path) as log:
        log.sql("PRAGMA journal_mode=DELETE")


def random_bytes(path):
    path.write_bytes(os.urandom(40960))


def torn(path):
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)


KINDS = {
    "wal": lambda path: None,
    "rollback": rollback_mode,
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "encrypted": random_bytes,
    "damaged": torn,
    "0.1.0": lambda path: (path.unlink(), run_sql(path, FORMER / "rowtail.sql", FORMER / "retention.sql")),
    "text": lambda path: path.write_text("not a database, but a text\n" * 100),
}


@pytest.fixture
def places(workdir, empty_log):
    """A directory with nothing but a log in it, and a copy of rowtail that every user may run."""
    binary = workdir / "rowtail"
    shutil.copy(rowtail.BINARY, binary)
    directory = workdir / "log"
    directory.mkdir()
    workdir.chmod(0o755)
    shutil.copyfile(empty_log, directory / "events.db")
    return directory, binary


def run_as(user, binary, path, *options):
    who = [f"--reuid={user}", f"--regid={GROUP}", "--clear-groups"] if user else []
    command = [*(["/usr/bin/setpriv", *who] if who else []), binary, "--check", "--json", "--db", path, *options]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=20, env=rowtail.environment()
    )
    return checking.Checked(done)


@pytest.mark.parametrize("directory_mode", [0o2770, 0o755, 0o555], ids=lambda mode: f"{mode:o}")
@pytest.mark.parametrize("who", ["root", "owner", "reader"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_changes_nothing_and_leaves_no_file_behind(places, kind, who, directory_mode):
    """Not even a -wal and -shm, which could lock out the writers."""
    directory, binary = places
    path = directory / "events.db"
    KINDS[kind](path)
    for ending in "-wal", "-shm":
        path.with_name(path.name + ending).unlink(missing_ok=True)
    if os.geteuid() == 0:
        if path.exists():
            os.chown(path, OWNER, GROUP)
            path.chmod(0o640)
        os.chown(directory, OWNER, GROUP)
    elif who != "owner":
        pytest.skip("only root can be several users")
    directory.chmod(directory_mode)
    before = contents(directory)
    user = {"root": 0, "owner": OWNER, "reader": READER}[who] if os.geteuid() == 0 else 0
    answer = run_as(user, binary, path)
    assert contents(directory) == before
    is_good = kind in ("wal", "rollback", "0.1.0")
    can_follow = kind == "rollback" or who == "root" or directory_mode & (0o200 if who == "owner" else 0o020)
    assert (answer.status == 0) == bool(is_good and can_follow), answer.said


@ROOT_ONLY
def test_files_of_a_reader_that_may_not_write_are_not_made(places):
    """Files that belong to the reader would lock out the writer."""
    directory, binary = places
    path = directory / "events.db"
    os.chown(path, OWNER, GROUP)
    path.chmod(0o644)
    directory.chmod(0o777)
    answer = run_as(READER, binary, path)
    assert answer.status == 0
    answer.find("database", "note", "no -wal and -shm behind")
    answer.find("database", "ok", "WAL")
    assert [file.name for file in directory.iterdir()] == ["events.db"]


def test_rows_in_a_wal_without_shm_are_seen_and_kept(workdir, path):
    """As after a crash, or in a copy of both files."""
    with database.Database(path) as log:
        log.insert("one")
        for ending in "", "-wal":
            shutil.copyfile(f"{path}{ending}", f"{workdir / 'copy.db'}{ending}")
    answer = check(workdir / "copy.db")
    answer.find("database", "ok", "newest 1")
    assert not (workdir / "copy.db-shm").exists()
    with database.Database(workdir / "copy.db") as copy:
        assert copy.newest() == 1


def test_files_that_others_use_stay(path):
    with database.Database(path) as log:
        log.insert("one")
        before = sorted(file.name for file in path.parent.iterdir())
        for _ in range(3):
            assert check(path).status == 0
        assert sorted(file.name for file in path.parent.iterdir()) == before
        log.insert("two")
        with database.Database(path) as other:
            assert other.newest() == 2


@ROOT_ONLY
def test_owners_stay_as_they_are(path):
    """As root, SQLite gives the -wal and -shm the owner of the database."""
    os.chown(path, OWNER, GROUP)
    path.chmod(0o660)
    with database.Database(path) as log:
        log.newest()
        for ending in "-wal", "-shm":
            os.chown(path.with_name(path.name + ending), READER, READER)
        before = contents(path.parent)
        check(path)
        assert {name: state[:3] for name, state in contents(path.parent).items()} == {
            name: state[:3] for name, state in before.items()
        }


# Never hangs.


# Waiting takes a fiftieth of the time.
SLOW = faults.DEAF + """
#include <poll.h>
int poll(struct pollfd *fds, nfds_t count, int ms)
{
	int (*real)(struct pollfd *, nfds_t, int) = dlsym(RTLD_NEXT, "poll");

	return real(fds, count, ms > 50 ? ms / 50 : ms);
}
unsigned alarm(unsigned seconds)
{
	unsigned (*real)(unsigned) = dlsym(RTLD_NEXT, "alarm");

	return real(seconds / 50);
}
"""


def test_a_file_system_that_does_not_answer_ends_the_check(workdir, path):
    answer = check(path, env=faults.preload(workdir, SLOW))
    line = answer.find("files", "WRONG", "nothing has answered", path)
    assert answer.status == os.EX_NOINPUT and answer.lines[-1] == line


def test_nothing_goes_on_for_ever_if_the_check_is_killed(workdir, path):
    env = rowtail.environment(**faults.preload(workdir, SLOW))
    command = [str(rowtail.BINARY), "--check", "--db", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=env)
    process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.read()  # until the other process, which has the same standard output, has ended
    process.stdout.close()


# files


def test_owners_groups_and_modes_are_named(path):
    answer = check(path)
    answer.find("files", "ok", f"{path} belongs to ", "mode 0644")
    answer.find("files", "ok", f"the directory {path.parent} belongs to ")


@ROOT_ONLY
def test_users_and_groups_by_name(workdir, path):
    shutil.chown(path, "www-data", "www-data")
    shutil.chown(workdir, "daemon", "www-data")
    workdir.chmod(0o2770)
    answer = check(path)
    answer.find("files", "ok", f"{path} belongs to www-data:www-data, mode 0644; its mode lets the user root read it")
    answer.find("files", "ok", f"{workdir} belongs to daemon:www-data, mode 2770")
    answer.find("files", "note", "as root")


@ROOT_ONLY
@pytest.mark.parametrize("ending", ["-wal", "-shm"])
def test_a_writer_is_locked_out_of_a_companion_file(workdir, path, ending):
    """Somebody else, perhaps a rowtail that ran as root or another user, created it."""
    os.chown(path, OWNER, GROUP)
    path.chmod(0o660)
    os.chown(workdir, OWNER, GROUP)
    workdir.chmod(0o2770)
    before = ["/usr/bin/setpriv", f"--reuid={OWNER}", f"--regid={GROUP}", "--clear-groups"]
    beside = path.with_name(path.name + ending)
    with writers.holding(path, "SELECT * FROM events", before=before):
        assert check(path).bad("files") == [check(path).find("files", "note", "as root")]
        os.chown(beside, READER, READER)
        beside.chmod(0o644)
        answer = check(path)
        line = answer.find("files", "WRONG", beside, f"user {READER}", f"user {OWNER}, who has the database open")
        answer.find("database", "ok", "can be followed")
        assert line.cure == f"chgrp {GROUP} {beside} && chmod 660 {beside}"
        checking.cure(line)
        # The group of a user that /etc/passwd does not have is unknown.
        assert check(path).status == 0
    with database.Database(path) as log:  # as root, who keeps the owner
        log.newest()
        os.chown(beside, READER, READER)
        beside.chmod(0o600)
        check(path).find("files", "note", beside, f"user {OWNER}, who owns the database, cannot write")


@ROOT_ONLY
def test_group_members_are_no_strangers(workdir, path):
    """www-data is in its own group."""
    shutil.chown(path, "www-data", "www-data")
    path.chmod(0o660)
    workdir.chmod(0o2770)
    os.chown(workdir, 0, path.stat().st_gid)
    with database.Database(path) as log:
        log.newest()
        for ending in "-wal", "-shm":
            beside = path.with_name(path.name + ending)
            os.chown(beside, READER, path.stat().st_gid)
            beside.chmod(0o660)
        assert [line.text for line in check(path).bad("files") if "as root" not in line.text] == []
        beside.chmod(0o640)
        check(path).find("files", "note", beside, "www-data, who owns the database, cannot write")


@ROOT_ONLY
def test_a_directory_in_which_the_owner_cannot_write(workdir, path):
    os.chown(path, OWNER, GROUP)
    workdir.chmod(0o755)
    check(path).find("files", "note", f"user {OWNER}", "-wal", "2770", workdir)


@ROOT_ONLY
def test_a_directory_like_tmp(places):
    """fs.protected_regular: while one writer's files are there, no other user can write."""
    directory, binary = places
    path = directory / "events.db"
    path.chmod(0o666)
    os.chown(directory, 0, 0)
    directory.chmod(0o1777)
    with open("/proc/sys/fs/protected_regular") as file:
        level = int(file.read())
    before = ["/usr/bin/setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"]
    insert = ["sqlite3", str(path), "INSERT INTO events(data) VALUES ('x')"]
    for mode in 0o1777, 0o777:
        directory.chmod(mode)
        with writers.holding(path, "SELECT * FROM events", before=before):
            other = ["/usr/bin/setpriv", f"--reuid={READER}", f"--regid={READER}", "--clear-groups", *insert]
            works = subprocess.run(other, capture_output=True).returncode == 0
            noted = "fs.protected_regular" in run_as(READER, binary, path).said
            assert works != noted and noted == (mode == 0o1777 and level > 0)


def test_a_large_write_ahead_log(path):
    with database.Database(path) as log:
        log.insert("x")
        wal = path.with_name(path.name + "-wal")
        os.truncate(wal, 300 << 20)
        line = check(path).find("files", "note", wal, "300 MiB", "read transaction")
        assert line.cure == f'sqlite3 {path} "PRAGMA wal_checkpoint(TRUNCATE)"'
        is_cured(path, line)


# database


def test_sqlite_versions_are_told(path):
    version = re.match(r"\S+", subprocess.run(["sqlite3", "--version"], capture_output=True, text=True).stdout)[0]
    library = re.search(r"SQLite ([\d.]+)", rowtail.run("--version").stdout)[1]
    check(path).find("database", "ok", f"rowtail has SQLite {library}; {version} wrote")


def test_a_writer_with_an_old_sqlite(path):
    content = bytearray(path.read_bytes())
    content[96:100] = (3007009).to_bytes(4, "big")
    path.write_bytes(content)
    check(path).find("database", "note", "SQLite 3.7.9 wrote", "3.7.17")


def test_rollback_mode_and_its_cure(path):
    rollback_mode(path)
    is_cured(path, check(path).find("database", "note", "journal mode is delete"))
    check(path).find("database", "ok", "journal mode is WAL")


def test_damage_in_an_index(path):
    """The rows can be read, but not in the order of a channel."""
    with database.Database(path) as log:
        log.insert_many(500)
        page, = log.sql("SELECT rootpage FROM sqlite_master WHERE name = 'events_channel'")[0]
        size, = log.sql("PRAGMA page_size")[0]
        log.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek((page - 1) * size + 8)
        file.write(b"\xff" * 200)
    answer = check(path)
    assert answer.status == os.EX_CONFIG
    assert ".recover" in answer.find("database", "WRONG", "damaged").cure


def test_values_that_break_a_constraint_are_no_damage(path):
    with database.Database(path) as log:
        log.sql("CREATE TABLE mine(a INTEGER CHECK (a > 0), b TEXT)")
        log.sql("PRAGMA ignore_check_constraints = ON")
        log.sql("INSERT INTO mine VALUES (-1, NULL)")
        log.sql("PRAGMA writable_schema = ON")
        log.sql("UPDATE sqlite_master SET sql = replace(sql, 'b TEXT', 'b TEXT NOT NULL') WHERE name = 'mine'")
    with database.Database(path) as log:
        assert log.sql("PRAGMA quick_check") != [("ok",)]
    assert check(path).bad("database") == []


@pytest.mark.parametrize("kind, words", [
    ("missing", "create it with: sqlite3"),
    ("empty", 'no table "events": create it with: sqlite3'),
    ("encrypted", "encrypted"),
    ("text", "right file"),
    ("damaged", "restore a backup"),
])
def test_a_file_that_is_no_log(path, kind, words):
    KINDS[kind](path)
    answer = check(path)
    assert answer.status in (os.EX_CONFIG, os.EX_NOINPUT)
    answer.find("database", "WRONG", words)
    assert answer.of("listen") == [] and answer.of("limits")


def test_a_busy_writer_is_no_missing_table(path):
    """In rollback mode a read can meet a lock; that is no fault of the schema."""
    rollback_mode(path)
    script = (
        "import sqlite3, sys, time\n"
        "log = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)\n"
        "print('goes', flush=True)\n"
        "while True:\n"
        "    log.execute('BEGIN EXCLUSIVE'); time.sleep(0.02); log.execute('COMMIT'); time.sleep(0.003)\n"
    )
    writer = subprocess.Popen(["/usr/bin/python3", "-c", script, path], stdout=subprocess.PIPE, text=True)
    try:
        writer.stdout.readline()
        for _ in range(3):
            answer = check(path)
            assert answer.status == 0 and answer.bad("schema") == [], answer.said
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()


@contextlib.contextmanager
def interrupted(path):
    """--check that waits for a lock, and gets SIGINT."""
    with writers.holding(path, "BEGIN EXCLUSIVE"):
        command = [str(rowtail.BINARY), "--check", "--db", str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        time.sleep(0.3)
        yield process
        process.communicate(timeout=20)


def test_it_can_be_interrupted(path):
    rollback_mode(path)
    with interrupted(path) as process:
        began = time.monotonic()
        os.killpg(process.pid, 2)
        assert process.wait(5) == -2
        assert time.monotonic() - began < 2
