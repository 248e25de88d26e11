"""Each section of rowtail --check finds what it is for, names the cure, and the cure works."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import time

import pytest

import checking
import database
import faults
import rowtail
import writers
from checking import check
from mounts import mounted

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
OWNER, READER, GROUP = 64003, 64002, 64010
FORMER = rowtail.ROOT / "tests" / "schema-0.1.0"


def run_sql(path, *files):
    for file in files:
        with file.open("rb") as sql:
            subprocess.run(["sqlite3", str(path)], stdin=sql, check=True, stdout=subprocess.DEVNULL)


def is_cured(path, line, *options):
    """Runs the cure of a line; then the same text is not reported again."""
    checking.cure(line)
    again = check(path, *options)
    assert line.text not in [other.text for other in again.bad()], again.said
    return again


@pytest.fixture
def path(workdir, empty_log):
    """A log that nobody has open."""
    path = workdir / "events.db"
    shutil.copyfile(empty_log, path)
    return path


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


# schema


def test_a_new_log_has_the_version_of_the_program(path):
    with database.Database(path) as log:
        [(version,)] = log.sql("SELECT version FROM rowtail_schema")
        check(path).find("schema", "ok", f"version {version} ")


def test_an_older_schema_and_its_upgrade(workdir):
    path = workdir / "old.db"
    run_sql(path, FORMER / "rowtail.sql")
    with database.Database(path) as log:
        log.sql("INSERT INTO events(data) VALUES ('kept')")
    line = check(path).find("schema", "note", "older rowtail.sql", "version 1 ")
    assert line.cure == f"sqlite3 {path} < schema/rowtail.sql"
    is_cured(path, line).find("schema", "ok", "version 2 ")
    with database.Database(path) as log:
        assert log.newest() == 1


def test_a_newer_schema(path):
    with database.Database(path) as log:
        log.sql("DROP VIEW rowtail_schema")
        log.sql("CREATE VIEW rowtail_schema AS SELECT 9 AS version")
    check(path).find("schema", "note", "newer rowtail.sql", "version 9", "install the newer rowtail")


def test_user_version_and_application_id_stay_the_application_s(workdir):
    path = workdir / "app.db"
    with database.Database(path) as log:
        log.sql("PRAGMA user_version = 77")
        log.sql("PRAGMA application_id = 99")
    run_sql(path, database.SCHEMA, database.SCHEMA)
    with database.Database(path) as log:
        assert log.sql("PRAGMA user_version") == [(77,)] and log.sql("PRAGMA application_id") == [(99,)]
    check(path).find("schema", "ok", "version")


TRIGGERS = re.findall(r"(?m)^CREATE TRIGGER (events_\w+)", database.SCHEMA.read_text())


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_missing_trigger_and_its_cure(path, trigger):
    with database.Database(path) as log:
        log.sql(f"DROP TRIGGER {trigger}")
    answer = check(path)
    assert answer.status == os.EX_CONFIG
    assert is_cured(path, answer.find("schema", "WRONG", trigger)).status == 0


@pytest.mark.parametrize("table", ["grants", "events_pruned"])
def test_a_missing_table_and_its_cure(path, table):
    with database.Database(path) as log:
        log.sql(f"DROP TABLE {table}")
    answer = check(path)
    assert answer.status == os.EX_CONFIG
    assert is_cured(path, answer.find("schema", "WRONG", f"table {table} is missing")).status == 0


@pytest.mark.parametrize("sql, kind", [
    ("CREATE TABLE events(id INTEGER PRIMARY KEY, data TEXT, title TEXT)", "table"),
    ("CREATE TABLE notes(id INTEGER PRIMARY KEY, data TEXT); CREATE VIEW events AS SELECT * FROM notes", "view"),
])
def test_a_table_events_of_another_kind(workdir, sql, kind):
    path = workdir / "app.db"
    with database.Database(path) as log:
        log.connection.executescript(sql)
    answer = check(path)
    assert answer.status == os.EX_CONFIG
    line = answer.find("schema", "WRONG", f"the {kind} events is not one that schema/rowtail.sql makes", "--table")
    assert "missing" not in line.text and answer.bad("schema") == [line]
    # The way that the line names.
    with database.Database(path) as log:
        log.sql("CREATE VIEW feed AS SELECT id, data FROM events")
    assert check(path, "--table", "feed", "--public").status == 0


# retention


@pytest.fixture
def pruned(path):
    """A log with retention.sql and an open connection."""
    run_sql(path, rowtail.ROOT / "schema" / "retention.sql")
    with database.Database(path) as log:
        log.sql("INSERT INTO retention(keep_rows) VALUES (10)")
        yield log


def test_retention_that_holds(pruned):
    for _ in range(30):
        pruned.insert("x")
    assert check(pruned.path).bad("retention") == []
    check(pruned.path).find("retention", "ok", "hold")


@pytest.mark.parametrize("trigger", ["retention_counted", "retention_whole", "retention_deleted"])
def test_retention_without_a_trigger(pruned, trigger):
    pruned.sql(f"DROP TRIGGER {trigger}")
    is_cured(pruned.path, check(pruned.path).find("retention", "note", "does not run"))


def test_a_limit_of_rows_that_is_passed(pruned):
    pruned.sql("DELETE FROM retention")
    pruned.insert_many(200)
    pruned.sql("INSERT INTO retention(channel, keep_rows) VALUES ('*', 10)")
    is_cured(pruned.path, check(pruned.path).find("retention", "note", "limits", "channel default: 190 rows"))
    assert pruned.sql("SELECT count(*) FROM events") == [(10,)]


def test_a_limit_of_age_that_is_passed(pruned):
    pruned.sql("DELETE FROM retention")
    pruned.sql("INSERT INTO events(created_at, data) VALUES ('2024-01-01T00:00:00.000Z', 'old')")
    pruned.insert("new")
    pruned.sql("INSERT INTO retention(channel, keep_seconds) VALUES ('', 3600)")
    is_cured(pruned.path, check(pruned.path).find("retention", "note", "limits", "the oldest row is of 2024-01-01"))
    assert pruned.sql("SELECT data FROM events") == [("new",)]


def test_rows_that_were_deleted_without_the_triggers(pruned):
    pruned.insert_many(5)
    [(sql,)] = pruned.sql("SELECT sql FROM sqlite_master WHERE name = 'retention_deleted'")
    pruned.sql("DROP TRIGGER retention_deleted")
    pruned.sql("DELETE FROM events WHERE id = 1")
    pruned.sql(sql)
    is_cured(pruned.path, check(pruned.path).find("retention", "note", "counts 5 rows, and there are 4"))


def test_a_log_that_grows_without_end(path):
    with database.Database(path) as log:
        log.insert("first")
        log.sql("INSERT INTO events(id, data) VALUES (200000, 'last')")
        line = check(path).find("retention", "note", "nothing has ever deleted", "INSERT INTO retention")
        assert line.cure.endswith("schema/retention.sql")
        checking.cure(line)
        log.sql("INSERT INTO retention(keep_rows) VALUES (100000)")
        assert check(path).bad("retention") == []


def test_a_log_that_a_program_prunes(path):
    with database.Database(path) as log:
        log.insert("first")
        log.insert("second")
        log.sql("INSERT INTO events(id, data) VALUES (200000, 'last')")
        log.prune(1)
    assert check(path).bad("retention") == []


# grants and publishers

TOKEN = "this-is-a-secret-token"
USELESS = {
    "subject": (("ann", "news"), "the subject is none of"),
    "no name": (("user:", "news"), "the subject is none of"),
    "token": ((f"token:{TOKEN}", "news"), "SHA-256"),
    "upper case": (("token:" + "AB" * 32, "news"), "lower-case"),
    "pattern": (("*", "news*"), "neither a name, nor a pattern"),
    "empty": (("*", ""), "neither a name, nor a pattern"),
    "star in front": (("*", "*/news"), "neither a name, nor a pattern"),
    "expired": (("*", "news", "2020-01-01 00:00:00"), "expired"),
    "not a time": (("*", "news", "tomorrow"), "expires_at is not a time"),
}
TABLES = {"grants": "cover nothing", "publishers": "allow nothing"}


def insert_unchecked(log, table, row):
    """As an older schema, or a program without triggers and constraints, leaves it."""
    made = log.sql("SELECT sql FROM sqlite_master WHERE name = ?", f"{table}_inserted")
    if made:
        log.sql(f"DROP TRIGGER {table}_inserted")
    log.sql("PRAGMA ignore_check_constraints = ON")
    log.sql(f"INSERT INTO {table}(subject, channel, expires_at) VALUES (?, ?, ?)", *row, *[None] * (3 - len(row)))
    for (sql,) in made:
        log.sql(sql)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("useless", USELESS)
def test_a_grant_that_covers_nothing(path, table, useless):
    row, words = USELESS[useless]
    with database.Database(path) as log:
        log.sql(f"INSERT OR IGNORE INTO {table}(subject, channel) VALUES ('user:ann', 'orders/*')")
        assert check(path).bad(table) == []
        insert_unchecked(log, table, row)
        answer = check(path)
        line = answer.find(table, "note", f"1 of {table} {TABLES[table]}", words)
        assert TOKEN not in answer.said
        if line.cure:
            is_cured(path, line)
            assert log.sql(f"SELECT 1 FROM {table} WHERE subject = 'user:ann'") == [(1,)]


def test_many_useless_grants_are_one_line(path):
    with database.Database(path) as log:
        for number in range(30):
            insert_unchecked(log, "grants", ("*", f"news{number}", "2020-01-01 00:00:00"))
    check(path).find("grants", "note", "30 of grants", "and others")


def test_a_crowd_of_grants_takes_no_time(path):
    with database.Database(path) as log:
        log.sql("DROP TRIGGER grants_inserted")
        log.sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000) "
            "INSERT INTO grants SELECT 'token:' || substr(hex(zeroblob(32)) || i, -64), 'c/' || i, NULL FROM n"
        )
    check(path).find("grants", "ok", "100000 grants are valid now, of the first")


def test_grants_of_a_channel_that_has_ended(path):
    """A reader still gets the rows that are there; a publisher gets an error at once."""
    with database.Database(path) as log:
        log.grant("*", "jobs/7")
        log.sql("INSERT INTO publishers(subject, channel) VALUES ('*', 'jobs/7')")
        log.insert("a", channel="jobs/7")
        assert check(path).bad("publishers") == []
        log.insert("", channel="jobs/7", event="end")
        answer = check(path)
        answer.find("publishers", "note", "has ended", "jobs/7")
        assert answer.bad("grants") == []
        log.sql("DELETE FROM events")
        check(path).find("grants", "note", "has ended", "jobs/7")


def test_users_without_a_web_server(path, workdir):
    with database.Database(path) as log:
        log.grant("user:ann", "news/*")
    options = ["--http", f"{workdir}/http.sock"]
    check(path, *options).find("grants", "note", "user", "--http", "news/*")
    assert check(path, *options, "--listen", f"{workdir}/fcgi.sock").bad("grants") == []
    assert check(path).bad("grants") == []


def test_grants_for_a_table_without_channels(path):
    with database.Database(path) as log:
        log.sql("DELETE FROM grants")
        log.grant("*", "news/*")
        log.grant("*", "default")
        log.sql("CREATE TABLE feed(id INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT)")
    answer = check(path, "--table", "feed")
    answer.find("grants", "note", "1 of grants", "no column channel", "news/*")
    answer.find("grants", "ok", "1 grant is valid now")


def test_nobody_may_read_and_the_cure(path):
    with database.Database(path) as log:
        log.sql("DELETE FROM grants")
    is_cured(path, check(path).find("grants", "note", "nobody can read"))


# tracked


def test_a_tracked_table_with_a_new_column(path):
    with database.Database(path) as log:
        log.sql("CREATE TABLE orders(id INTEGER PRIMARY KEY, note TEXT, secret TEXT, customer INTEGER)")
        options = ["--track", "orders", "--track-channel", "shop/{customer}/it's", "--track-except", "secret,note"]
        sql = rowtail.run("--db", path, *options).stdout
        log.connection.executescript(sql)
        check(path).find("tracked", "ok", "orders is tracked")
        log.sql("ALTER TABLE orders ADD COLUMN total INTEGER")
        line = check(path).find("tracked", "WRONG", "orders", "changed")
        assert shlex.split(line.cure)[:4] == ["rowtail", "--db", str(path), "--track"]
        is_cured(path, line)
        log.sql("INSERT INTO orders VALUES (1, 'a', 'b', 5, 12)")
        assert log.sql("SELECT channel, data FROM events") == [("shop/5/it's", '{"id":1,"customer":5,"total":12}')]


# clock


def test_rows_from_the_future(path):
    with database.Database(path) as log:
        log.insert("now")
        check(path).find("clock", "ok", "newest row was created")
        log.sql("INSERT INTO events(data, created_at) VALUES ('x', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+3 hours', '+30 minutes'))")
    line = check(path).find("clock", "note", "1 of the newest rows", "future", "id 2 by")
    assert "id 2 by 3 hours" in line.text


def test_rows_that_go_back_in_time(path):
    with database.Database(path) as log:
        for minutes in "-300", "-299", "-500", "-10":
            log.sql(
                "INSERT INTO events(data, created_at) VALUES ('x', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ? || ' minutes'))",
                minutes,
            )
    check(path).find("clock", "note", "row 3 was created 3 hours before")


def test_a_file_from_the_future(path):
    os.utime(path, (time.time() + 7200,) * 2)
    check(path).find("files", "note", "seconds from now", "timedatectl")


EPOCH = """
#include <time.h>
time_t time(time_t *out)
{
	if (out)
		*out = 1000;
	return 1000;
}
"""


def test_a_clock_that_was_never_set(workdir, path):
    answer = check(path, env=faults.preload(workdir, EPOCH))
    assert answer.find("clock", "WRONG", "never set").cure == "timedatectl set-ntp true"


# place

MOUNTS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
/* Another list of mounts, or none; and another number of the file system. */
FILE *fopen(const char *path, const char *mode)
{
	FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen");
	const char *mounts = getenv("MOUNTS");

	if (strcmp(path, "/proc/self/mountinfo") != 0)
		return real(path, mode);
	errno = ENOENT;
	return mounts ? real(mounts, mode) : NULL;
}
int statfs(const char *path, struct statfs *fs)
{
	int (*real)(const char *, struct statfs *) = dlsym(RTLD_NEXT, "statfs");
	int result = real(path, fs);

	if (getenv("NUMBER"))
		fs->f_type = strtoul(getenv("NUMBER"), NULL, 16);
	return result;
}
"""
SHARED = {
    "nfs": "6969", "cifs": "ff534d42", "smb3": "fe534d42", "9p": "1021997", "fuse.sshfs": "65735546",
    "virtiofs": "65735546", "ceph": "c36400", "nfs4": "6969",
}  # fmt: skip


@pytest.mark.parametrize("source", ["mounts", "number"])
@pytest.mark.parametrize("kind", SHARED)
def test_network_file_systems(workdir, path, kind, source):
    """By the list of mounts; or, where there is no /proc, by the number of the file system."""
    env = faults.preload(workdir, MOUNTS)
    if source == "mounts":
        (workdir / "mounts").write_text(f"30 1 0:40 / {workdir} rw,relatime - {kind} server:/export rw\n")
        env["MOUNTS"] = str(workdir / "mounts")
    else:
        env["NUMBER"] = SHARED[kind]
    name = kind if source == "mounts" else ""
    check(path, env=env).find("place", "note", f"file system of type {name}", "local disk")


def test_a_container_layer_without_a_list_of_mounts(workdir, path):
    check(path, env={**faults.preload(workdir, MOUNTS), "NUMBER": "794c7630"}).find("place", "note", "overlay", "volume")


@ROOT_ONLY
def test_a_database_in_memory(workdir, empty_log):
    disk = workdir / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "tmpfs"):
        shutil.copyfile(empty_log, disk / "events.db")
        check(disk / "events.db").find("place", "note", "in memory (tmpfs)", "deletes all rows")


# watch, jwt, listen, limits


@pytest.mark.parametrize("limit", ["instances", "watches"])
def test_the_cure_for_too_few_file_watches(path, limit):
    script = f'echo 0 > /proc/sys/user/max_inotify_{limit} && exec "$0" "$@"'
    before = ["unshare", "--user", "--map-root-user", "/bin/sh", "-c"]
    if subprocess.run([*before, script, "true"], capture_output=True).returncode:
        pytest.skip("may not limit file watches here")
    line = check(path, before=[*before, script]).find("watch", "note", "cannot watch")
    assert re.fullmatch(rf"sysctl -w fs\.inotify\.max_user_{limit}=\d+", line.cure)


def test_a_secret_that_everybody_can_read(path, workdir):
    key = workdir / "key"
    key.write_text("s" * 40)
    key.chmod(0o644)
    options = ["--jwt-key", key, "--jwt-algorithm", "HS256"]
    answer = check(path, *options)
    answer.find("jwt", "ok", "can verify HS256")
    is_cured(path, answer.find("jwt", "note", "every user", key), *options)
    key.write_text("short")
    assert check(path, *options).find("jwt", "WRONG", "at least 32")


def test_messages_of_the_listen_section_name_it_once(path, workdir):
    (workdir / "s").write_text("a letter")
    done = checking.run(path, "--listen", workdir / "s")
    assert "WRONG listen: " in done.stdout and "listen: listen" not in done.stdout


def test_too_few_descriptors_for_the_streams(path):
    before = ["prlimit", "--nofile=200:200"]
    check(path, before=before).find("limits", "note", "open-files limit is 200", "--max-streams")
    assert check(path, "--max-streams", "50", before=before).bad("limits") == []
    # Each process has a limit of its own.
    assert check(path, "--max-streams", "200", "--processes", "4", before=before).bad("limits") == []


def test_the_configuration_file_is_named(workdir, path):
    file = workdir / "rowtail.conf"
    file.write_text("max-streams = 5\n")
    check(path, file).find("configuration", "ok", file)


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
