"""The files of schema/ and what they create, with every SQLite version: publishers on old hosts have old libraries.

The shells are built from SQLite's own sources (tests/sqlite). "now" is the machine's own.
"""

import itertools
import re
import shutil
import sqlite3
import subprocess
import time

import pytest

import full
import test_schema as cases
from schema import FORMER, SCHEMA, SHELLS, VERSIONS, Shell, literal, run_script, run_text, set_up

SQLITES = {"now": "sqlite3", **SHELLS}
NAMES = ["now", *VERSIONS]
# The versions that can read a log of 0.1.0, and one with its retention.sql.
READ_FORMER = [name for name in NAMES if name != "3.7.17"]
READ_FORMER_RETENTION = [name for name in READ_FORMER if name != "3.15.0"]
FILES = ["rowtail.sql", "retention.sql", "after-restore.sql"]
# log.sql is rowtail.sql without its parts about grants.
LOGS = ["rowtail.sql", "log.sql"]


@pytest.fixture
def path(workdir):
    return str(workdir / "events.db")


def dump(path):
    """A database's contents and its journal mode."""
    db = sqlite3.connect(path, isolation_level=None)
    lines = sorted(db.iterdump())
    mode = db.execute("PRAGMA journal_mode").fetchone()
    db.close()
    return lines, mode


def timeless(lines):
    """A dump without the parts that depend on the time."""
    return [re.sub(r"\b1[7-9]\d{11}\b", "NOW", line) for line in lines]


def test_all_versions_are_built():
    assert sorted(SHELLS) == sorted(VERSIONS)
    for name in VERSIONS:
        assert run_text(":memory:", "SELECT sqlite_version();", SHELLS[name]).stdout.strip() == name


# Creating the log


@pytest.mark.parametrize("name", NAMES)
def test_each_version_can_rerun_each_file(path, name):
    for file in FILES + FILES:
        set_up(path, file, sqlite=SQLITES[name])
    run_text(path, "INSERT INTO retention(keep_rows) VALUES (1); INSERT INTO events(data) VALUES ('w');", SQLITES[name])
    done = run_text(path, "INSERT INTO events(data) VALUES ('x'); SELECT data FROM events;", SQLITES[name])
    assert (done.stdout, done.stderr) == ("x\n", "")


def test_every_version_makes_the_same_schema(workdir):
    made = []
    for name in NAMES:
        path = str(workdir / name)
        set_up(path, "rowtail.sql", "retention.sql", sqlite=SQLITES[name])
        made.append(dump(path))
    assert all(one == made[0] for one in made)
    assert made[0][1] == ("wal",)


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("maker", NAMES)
def test_every_version_uses_a_log_of_any_other(path, maker, encoding):
    run_text(path, f"PRAGMA encoding = '{encoding}'; CREATE TABLE theirs(x);", SQLITES[maker])
    set_up(path, "rowtail.sql", "retention.sql", sqlite=SQLITES[maker])
    for number, name in enumerate(VERSIONS, 1):
        with Shell(path, name) as shell:
            assert shell.sql("PRAGMA encoding") == [[encoding]]
            shell.sql(f"INSERT INTO events(channel, data) VALUES ('é/{name}', '{name} 😀')")
            shell.sql(f"INSERT INTO events(channel) VALUES ('é/{name}')")
            shell.sql(f"DELETE FROM events WHERE id = {2 * number}")
            token = f"token:{number:064x}"
            shell.sql(f"INSERT INTO grants VALUES ('{token}', 'orders/*', datetime('now', '+1 day'))")
            shell.sql(f"UPDATE grants SET channel = 'é/{name}' WHERE subject = '{token}'")
            assert shell.sql(f"SELECT channel FROM grants WHERE subject = '{token}'") == [[f"é/{name}"]]
            assert "ids only grow" in shell.refusal("INSERT INTO events(id) VALUES (1)")
            shell.sql(f"INSERT INTO retention VALUES ('{name}/*', 2, 3600)")
            assert "a whole number from 1" in shell.refusal("UPDATE retention SET keep_rows = 0")
            assert shell.sql("PRAGMA integrity_check") == [["ok"]]
    db = sqlite3.connect(path)
    assert db.execute("SELECT channel, data FROM events ORDER BY id").fetchall() == [
        (f"é/{name}", f"{name} 😀") for name in VERSIONS
    ]
    assert db.execute("SELECT channel, id FROM events_pruned ORDER BY id").fetchall() == [
        (f"é/{name}", 2 * number) for number, name in enumerate(VERSIONS, 1)
    ]
    db.close()


# What is accepted and refused, and the messages


def params(test):
    """The values with which a test of test_schema.py is parametrised."""
    return {mark.args[0]: mark.args[1] for mark in test.pytestmark if mark.name == "parametrize"}


EVENTS_TAKEN = {
    "channel": cases.CHANNELS,
    "event": params(cases.test_valid_event_is_accepted)["event"],
    "retry": params(cases.test_valid_retry_is_accepted)["retry"],
    "created_at": params(cases.test_valid_created_at_is_accepted)["time"],
}
EVENTS_REFUSED = {
    "channel": (cases.NO_CHANNELS, "channel: "),
    "event": (params(cases.test_invalid_event_is_refused)["event"], "event: "),
    "data": ([b"hi"], "bind it as text"),
    "retry": (params(cases.test_invalid_retry_is_refused)["retry"], "from 0 to 3600000"),
    "created_at": (
        params(cases.test_invalid_created_at_is_refused)["time"],
        "created_at: UTC such as 2026-01-31T23:59:59.123Z",
    ),
    "id": (
        params(cases.test_id_out_of_range_error_says_what_to_do)["row_id"],
        "leave it out and SQLite numbers the row",
    ),
}
SUBJECTS_TAKEN = params(cases.test_valid_grant_is_accepted)["subject"]
PATTERNS_TAKEN = params(cases.test_valid_grant_is_accepted)["channel"]
GRANTS_REFUSED = {
    "subject": (params(cases.test_invalid_subject_is_refused)["subject"], "subject: "),
    "channel": (params(cases.test_invalid_pattern_is_refused)["channel"], "channel: "),
    "expires_at": (
        params(cases.test_invalid_expiry_is_refused)["time"],
        "expires_at: NULL, or a time in UTC such as 2026-01-31 23:59:59",
    ),
}
GRANT = {"subject": "*", "channel": "a", "expires_at": None}


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("name", VERSIONS)
def test_each_version_accepts_and_refuses_the_same(path, name, encoding):
    run_text(path, f"PRAGMA encoding = '{encoding}'; CREATE TABLE theirs(x);")
    set_up(path, "rowtail.sql")
    with Shell(path, name) as shell:
        shell.sql("PRAGMA synchronous = OFF")
        taken = 0
        for column, values in EVENTS_TAKEN.items():
            for value in values:
                shell.sql(f"INSERT INTO events({column}) VALUES ({literal(value)})")
                taken += 1
        for column, (values, says) in EVENTS_REFUSED.items():
            for verb, value in itertools.product(("INSERT", "INSERT OR IGNORE"), values):
                message = shell.refusal(f"{verb} INTO events({column}) VALUES ({literal(value)})")
                assert says in message, (column, value)
        assert shell.sql("SELECT count(*) FROM events") == [[str(taken)]]
        for subject, pattern in itertools.product(SUBJECTS_TAKEN, PATTERNS_TAKEN):
            shell.sql(f"INSERT INTO grants VALUES ({literal(subject)}, {literal(pattern)}, NULL)")
        for time_text in cases.EXPIRIES:
            shell.sql(f"UPDATE grants SET expires_at = {literal(time_text)}")
        for column, (values, says) in GRANTS_REFUSED.items():
            for value in values:
                given = ", ".join(literal(part) for part in {**GRANT, column: value}.values())
                assert says in shell.refusal(f"INSERT INTO grants VALUES ({given})"), value
                assert says in shell.refusal(f"UPDATE grants SET {column} = {literal(value)}"), value


LONG = {
    "1 byte": ("a", 255),
    "2 bytes": ("é", 127),
    "3 bytes": ("日", 85),
    "4 bytes": ("😀", 63),
    "mixed": ("aé日😀" * 25, 1),
}


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_names_can_have_255_bytes_of_utf8_in_every_encoding(path, encoding):
    run_text(path, f"PRAGMA encoding = '{encoding}'; CREATE TABLE theirs(x);")
    set_up(path, "rowtail.sql")
    db = sqlite3.connect(path, isolation_level=None)
    for character, count in LONG.values():
        most = character * count
        most += "x" * (255 - len(most.encode()))
        for statement in (
            "INSERT INTO events(channel) VALUES (?)",
            "INSERT INTO events(event) VALUES (?)",
            "INSERT INTO grants(subject, channel) VALUES ('*', ?)",
        ):
            db.execute(statement, [most])
            for longer in (most + "x", most + "é", most * 2):
                with pytest.raises(sqlite3.IntegrityError, match="255 bytes of UTF-8"):
                    db.execute(statement, [longer])
    db.close()


@pytest.mark.parametrize("name", VERSIONS)
def test_unsendable_row_is_refused(path, name):
    """A line break takes seven bytes of an event stream, and a record is encoded in one piece."""
    set_up(path, "rowtail.sql")
    with Shell(path, name) as shell:
        for size in (2**28 + 1, *full.share([330 * 2**20], VERSIONS.index(name) + 1, len(VERSIONS))):
            message = shell.refusal(f"INSERT INTO events(data) VALUES (CAST(zeroblob({size}) AS TEXT))")
            assert "data: at most 256 MiB" in message
        shell.sql(f"INSERT INTO events(data) VALUES (CAST(zeroblob({2**20}) AS TEXT))")


# All or nothing


def statements(script):
    """The statements of a script, each with the comments before it."""
    parts, so_far = [], ""
    for line in script.splitlines(keepends=True):
        so_far += line
        if sqlite3.complete_statement(so_far):
            parts.append(so_far)
            so_far = ""
    return parts


RULES = [("", 40, 10**6), ("a/*", None, 60), ("room/1", 7, None)]


def fill(path, encoding="UTF-8", retention=True):
    """A log of 0.1.0 with rows, marks, grants and rules."""
    run_text(path, f"PRAGMA encoding = '{encoding}'; CREATE TABLE theirs(x);")
    set_up(path, *["rowtail.sql", "retention.sql"][: 1 + retention], directory=FORMER)
    db = sqlite3.connect(path, isolation_level=None)
    for number in range(30):
        db.execute(
            "INSERT INTO events(channel, event, data, retry) VALUES (?, ?, ?, ?)",
            [f"room/{number % 3}", [None, "made"][number % 2], f"{number} é\r\n😀", number],
        )
    db.execute("DELETE FROM events WHERE id IN (3, 7, 30)")
    db.execute("INSERT INTO grants(subject, channel) VALUES ('*', 'room/*')")
    if encoding == "UTF-8":
        db.execute("INSERT INTO grants VALUES (?, 'é', '2099-01-01 00:00:00')", ["token:" + "0f" * 32])
    if retention:
        db.executemany("INSERT INTO retention VALUES (?, ?, ?)", RULES)
    db.close()


FAILING = ["now", "3.7.17", "3.52.0"]


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("file", [*FILES, "log.sql"])
def test_failing_statement_changes_nothing(workdir, file, name):
    """The shell continues after an error, and must not commit half of the file. Each statement fails in turn."""
    template = str(workdir / "template.db")
    if name in READ_FORMER:
        fill(template, retention=file == "retention.sql")
    if file not in LOGS:
        set_up(template, "rowtail.sql")
    db = sqlite3.connect(template)
    parts = statements((SCHEMA / file).read_text(encoding="utf-8"))
    outcomes = []
    complete = None
    tried = [number for number, part in enumerate(parts) if not part.endswith("SAVEPOINT step;\n")]
    if len(tried) > 30:
        tried = full.share(tried, FAILING.index(name), len(FAILING))
    for broken in [None, *tried]:
        path = str(workdir / f"{broken}.db")
        db.execute("VACUUM INTO ?", [path])
        db.commit()
        before = dump(path)
        script = [
            "SELECT no_such_column;\n" if number == broken else part for number, part in enumerate(parts)
        ]
        done = run_text(path, "".join(script), SQLITES[name])
        after = dump(path)
        if broken is None:
            complete = timeless(after[0])
            continue
        assert done.returncode != 0
        # Queries, and steps whose result already exists, do not matter.
        if timeless(after[0]) != complete:
            assert after[0] == before[0], parts[broken]
            outcomes.append(broken)
    db.close()
    assert len(outcomes) > len(tried) / 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("file", FILES)
def test_briefly_locked_database_gets_all_or_nothing(path, file, name):
    """Some statements find it locked for longer than they wait, and later ones do not."""
    fill(path, retention=file != "rowtail.sql") if name in READ_FORMER_RETENTION else set_up(path, "rowtail.sql")
    if file != "rowtail.sql":
        set_up(path, "rowtail.sql")
    script = (SCHEMA / file).read_text(encoding="utf-8").replace("busy_timeout = 10000", "busy_timeout = 3")
    before = dump(path)
    writer = sqlite3.connect(path, isolation_level=None)
    for seconds in (0.02, 0.05, 0.09):
        writer.execute("BEGIN IMMEDIATE")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([str(SQLITES[name]), path], **pipes)
        process.stdin.write(script.encode())
        process.stdin.flush()
        time.sleep(seconds)
        writer.execute("ROLLBACK")
        output = process.communicate(timeout=60)
        if process.returncode:
            assert b"locked" in output[1]
            assert dump(path) == before
        else:
            before = dump(path)
    writer.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "theirs",
    [
        "CREATE TABLE events(id INTEGER PRIMARY KEY, title TEXT)",
        "CREATE TABLE Grants(id INTEGER PRIMARY KEY, amount REAL)",
        "CREATE TABLE events_pruned(channel TEXT PRIMARY KEY, id INTEGER)",
        "CREATE TABLE a(x); CREATE INDEX events_channel ON a(x)",
        "CREATE TABLE a(x); CREATE TRIGGER events_deleted AFTER DELETE ON a BEGIN SELECT 1; END",
        "CREATE TABLE a(x); CREATE TRIGGER grants_inserted AFTER DELETE ON a BEGIN SELECT 1; END",
        "CREATE TABLE rowtail_grant(x)",
    ],
)
def test_application_tables_are_not_touched(path, theirs, name):
    assert run_text(path, theirs + ";").stderr == ""
    before = dump(path)[0]
    done = run_script(path, "rowtail.sql", SQLITES[name])
    assert done.returncode != 0
    assert "database of its own" in done.stderr or "DROP TABLE events_pruned" in done.stderr
    assert dump(path)[0] == before


@pytest.mark.parametrize(
    "theirs",
    [
        "ALTER TABLE grants ADD COLUMN note TEXT",
        "CREATE INDEX by_channel ON grants(channel)",
        "CREATE TRIGGER noted AFTER INSERT ON grants BEGIN SELECT 1; END",
        "CREATE TABLE notes(s, c, FOREIGN KEY (s, c) REFERENCES grants(subject, channel))",
        "CREATE TABLE notes(s, c, FOREIGN KEY (s, c) REFERENCES\n\"grants\" ON DELETE CASCADE)",
    ],
)
@pytest.mark.parametrize("directory", [FORMER, SCHEMA])
def test_additions_to_grants_are_not_lost(path, theirs, directory):
    """rowtail.sql recreates grants, and could not recreate what it does not know."""
    set_up(path, "rowtail.sql", directory=directory)
    assert run_text(path, theirs + ";").stderr == ""
    before = dump(path)
    done = run_script(path, "rowtail.sql")
    assert done.returncode != 0 and "keep its rows elsewhere, DROP TABLE grants" in done.stderr
    assert dump(path) == before


PUBLISHERS = {
    "another table": "CREATE TABLE publishers(id INTEGER PRIMARY KEY, name TEXT NOT NULL, subject INT);",
    "in capitals": "CREATE TABLE Publishers(name TEXT); CREATE INDEX subject ON Publishers(name);",
    "with triggers": "CREATE TABLE publishers(name); CREATE TRIGGER publishers_inserted BEFORE INSERT ON publishers"
    " BEGIN SELECT 1; END;",
    "view": "CREATE TABLE houses(name); CREATE VIEW publishers AS SELECT name FROM houses;",
    "virtual table": "CREATE VIRTUAL TABLE publishers USING fts4(name);",
}


@pytest.mark.parametrize("file", LOGS)
@pytest.mark.parametrize("theirs", PUBLISHERS)
@pytest.mark.parametrize("name", NAMES)
def test_an_application_can_have_publishers_of_its_own(path, name, theirs, file):
    """Publishing by HTTP is optional, so its table must not be in the way of the log."""
    done = run_text(path, PUBLISHERS[theirs] + " CREATE TABLE publish_keys(x);", SQLITES[name])
    if theirs == "virtual table" and "no such module" in done.stderr:
        pytest.skip("this shell has no fts4")
    assert done.stderr == ""
    before = dump(path)[0]
    for _ in range(2):
        set_up(path, file, sqlite=SQLITES[name])
    assert [line for line in before if line not in dump(path)[0]] == []
    write = "" if theirs == "view" else "INSERT INTO publishers(name) VALUES ('Penguin');"
    done = run_text(path, write + "INSERT INTO events(data) VALUES ('x'); SELECT data FROM events;", SQLITES[name])
    assert (done.stdout, done.stderr) == ("x\n", "")


def test_an_index_named_publishers_is_refused_with_advice(path):
    run_text(path, "CREATE TABLE a(x); CREATE INDEX publishers ON a(x);")
    before = dump(path)
    done = run_script(path, "rowtail.sql")
    assert done.returncode != 0 and "give the index another name" in done.stderr
    assert dump(path)[0] == before[0]


@pytest.mark.parametrize("theirs", ["TABLE grants(id INTEGER PRIMARY KEY, amount)", "VIEW Grants AS SELECT 1 AS amount"])
@pytest.mark.parametrize("name", VERSIONS)
def test_an_application_with_grants_of_its_own_can_run_log_sql(path, name, theirs):
    run_text(path, f"CREATE {theirs};")
    before = dump(path)[0]
    assert "or run log.sql" in run_script(path, "rowtail.sql", SQLITES[name]).stderr
    assert dump(path)[0] == before
    for _ in range(2):
        set_up(path, "log.sql", sqlite=SQLITES[name])
    assert [line for line in before if line not in dump(path)[0]] == []
    with Shell(path, name) as shell:
        shell.sql("INSERT INTO events(channel, event) VALUES ('a', 'end')")
        assert "this channel has ended" in shell.refusal("INSERT INTO events(channel) VALUES ('a')")
        assert "channel:" in shell.refusal("INSERT INTO events(channel) VALUES ('*')")


def test_log_sql_is_rowtail_sql_without_grants(workdir):
    made = subprocess.run(
        ["make", "-s", "-n", "-W", "schema/rowtail.sql", "log-sql"], cwd=SCHEMA.parent, capture_output=True, text=True, check=True
    ).stdout
    script = made.replace(">schema/log.sql", f">'{workdir}/log.sql'")
    assert script != made
    subprocess.run(["sh", "-ec", script], cwd=SCHEMA.parent, check=True)
    assert (workdir / "log.sql").read_text() == (SCHEMA / "log.sql").read_text(), "run `make log-sql`"
    both, alone = str(workdir / "both"), str(workdir / "alone")
    set_up(both, "rowtail.sql")
    set_up(alone, "log.sql")
    lacks = set(dump(both)[0]) - set(dump(alone)[0])
    assert lacks and all("grant" in line for line in lacks), lacks
    assert set(dump(alone)[0]) <= set(dump(both)[0])
    # Running it in a database that has rowtail's own grants changes nothing.
    before = dump(both)
    set_up(both, "log.sql")
    assert dump(both) == before


BAD_PUBLISHERS = [
    ("'ann', 'a', NULL", "subject"),
    ("'user:', 'a', NULL", "subject"),
    ("x'2a', 'a', NULL", "subject"),
    ("'token:AB', 'a', NULL", "never the token"),
    ("NULL, 'a', NULL", ""),
    ("'*', '', NULL", "channel"),
    ("'*', 'a*', NULL", "a pattern such as orders/*"),
    ("'*', 'a' || char(10), NULL", "channel"),
    ("'*', hex(zeroblob(128)), NULL", "255 bytes"),
    ("'*', 'a', 'now'", "expires_at"),
    ("'*', 'a', '2026-02-30 00:00:00'", "expires_at"),
    ("'*', 'a', 5", "expires_at"),
]


@pytest.mark.parametrize("name", VERSIONS)
def test_a_bad_row_of_publishers_is_refused(path, name):
    set_up(path, "rowtail.sql", sqlite=SQLITES[name])
    with Shell(path, name) as shell:
        for row, word in BAD_PUBLISHERS:
            assert word in shell.refusal(f"INSERT INTO publishers VALUES ({row})")
            assert word in shell.refusal(f"REPLACE INTO publishers VALUES ({row})")
        for row in ("'*', '*', NULL", "'user:ü', 'é/*', '2099-01-01T00:00:00.5Z'", f"'token:{'0f' * 32}', 'a', NULL"):
            shell.sql(f"INSERT INTO publishers VALUES ({row})")
        assert "subject" in shell.refusal("UPDATE publishers SET subject = 'ann'")


def test_other_tables_can_reference_grants(path):
    run_text(
        path,
        "CREATE TABLE users(id INTEGER PRIMARY KEY);"
        "CREATE TABLE x(u REFERENCES users(id), grants INTEGER, grants_total INTEGER);"
        "CREATE VIEW v AS SELECT subject FROM grants;"
        "CREATE TRIGGER gone AFTER DELETE ON users BEGIN"
        " DELETE FROM grants WHERE subject = 'user:' || OLD.id; END;",
    )
    set_up(path, "rowtail.sql", "rowtail.sql")


# From 0.1.0 on


TABLES = ["events", "events_pruned", "grants", "sqlite_sequence"]


def contents(path, *tables):
    db = sqlite3.connect(path)
    found = [db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables]
    db.close()
    return found


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
@pytest.mark.parametrize("name", READ_FORMER)
def test_upgrade_of_a_log_keeps_everything(path, name, encoding):
    fill(path, encoding, retention=False)
    before = contents(path, *TABLES)
    set_up(path, "rowtail.sql", sqlite=SQLITES[name])
    assert contents(path, *TABLES) == before
    with Shell(path, "3.7.17") as old:
        old.sql("INSERT INTO events(data) VALUES ('from long ago')")
        assert "choose another name" in old.refusal("INSERT INTO events(event) VALUES ('open')")
        old.sql("DELETE FROM events WHERE id < 10")
        old.sql(f"INSERT INTO grants(subject, channel) VALUES ('token:{'ab' * 32}', 'a')")
        assert old.sql("SELECT max(id) FROM events") == [["31"]]


@pytest.mark.parametrize("name", READ_FORMER_RETENTION)
@pytest.mark.parametrize("files", [["rowtail.sql", "retention.sql"], ["rowtail.sql"] * 2 + ["retention.sql"] * 2])
def test_upgrade_of_retention_keeps_its_rules(path, name, files):
    fill(path)
    before = contents(path, *TABLES, "retention")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("UPDATE retention_counts SET row_count = 100")  # as 0.1.0 may have counted
    db.close()
    set_up(path, *files, sqlite=SQLITES[name])
    assert contents(path, *TABLES, "retention") == before
    with Shell(path, "3.7.17") as old:
        assert old.sql("SELECT channel, row_count FROM retention_counts ORDER BY channel") == [
            ["", "27"],
            ["room/0", "9"],
            ["room/1", "10"],
            ["room/2", "8"],
        ]
        old.sql("INSERT INTO events(channel) VALUES ('room/1')")
        assert old.sql("SELECT count(*) FROM events WHERE channel = 'room/1'") == [["7"]]


def test_rowtail_sql_asks_to_upgrade_old_retention(path):
    """Until then SQLite 3.7.17 cannot read the database."""
    fill(path)
    done = run_script(path, "rowtail.sql")
    assert done.returncode == 0 and "run retention.sql as well" in done.stdout
    set_up(path, "retention.sql")
    assert "retention.sql" not in run_script(path, "rowtail.sql").stdout


@pytest.mark.parametrize("theirs", ["ALTER TABLE retention ADD COLUMN note TEXT", "CREATE INDEX i ON retention(keep_rows)"])
@pytest.mark.parametrize("directory", [FORMER, SCHEMA])
def test_additions_to_the_rules_are_not_lost(path, theirs, directory):
    set_up(path, "rowtail.sql", "retention.sql", directory=directory)
    set_up(path, "rowtail.sql")
    assert run_text(path, theirs + ";").stderr == ""
    before = dump(path)
    done = run_script(path, "retention.sql")
    assert done.returncode != 0 and "keep its rows elsewhere, DROP TABLE retention" in done.stderr
    assert dump(path) == before


def test_old_scripts_on_a_new_log_do_no_harm(path):
    """By mistake: it does no harm, and the new scripts repair the rest."""
    set_up(path, "rowtail.sql")
    before = dump(path)
    set_up(path, "rowtail.sql", directory=FORMER)
    with Shell(path, "3.7.17") as old:
        old.sql("INSERT INTO events(data) VALUES ('x')")
        old.sql("DELETE FROM events")
    set_up(path, "rowtail.sql")
    assert [line for line in dump(path)[0] if "CREATE" in line] == [
        line for line in before[0] if "CREATE" in line
    ]


# What programs do to a database that contains a log


SETTINGS = {
    "case_sensitive_like": "ON",
    "recursive_triggers": "ON",
    "foreign_keys": "ON",
    "reverse_unordered_selects": "ON",
    "legacy_alter_table": "ON",
    "trusted_schema": "OFF",
    "ignore_check_constraints": "ON",
    "automatic_index": "OFF",
    "count_changes": "ON",
    "full_column_names": "ON",
    "secure_delete": "ON",
    "temp_store": "FILE",
    "cell_size_check": "ON",
}


@pytest.mark.parametrize("name", NAMES)
def test_files_do_not_depend_on_connection_settings(workdir, name):
    """Each file runs after these settings, on a new database and on one of 0.1.0."""
    made = []
    template = workdir / "template.db"
    if name in READ_FORMER_RETENTION:
        fill(str(template))
    for settings in ({}, SETTINGS):
        path = str(workdir / f"{len(made)}.db")
        if template.exists():
            shutil.copyfile(template, path)
        before = "".join(f"PRAGMA {key} = {value};\n" for key, value in settings.items())
        for file in FILES[:2] * 2:
            done = run_text(path, before + (SCHEMA / file).read_text(encoding="utf-8"), SQLITES[name])
            assert (done.returncode, done.stderr) == (0, ""), file
        made.append(dump(path))
    assert made[0] == made[1]


@pytest.mark.parametrize("name", NAMES)
def test_application_can_alter_its_tables_beside_the_log(path, name):
    """ALTER TABLE, VACUUM and REINDEX parse the whole schema again, with triggers and views."""
    if name in READ_FORMER_RETENTION:
        fill(path)
    set_up(path, "rowtail.sql", "retention.sql", sqlite=SQLITES[name])
    renames_columns = name not in ("3.7.17", "3.15.0", "3.24.0")
    done = run_text(
        path,
        "CREATE TABLE old(a INTEGER PRIMARY KEY, b); ALTER TABLE old RENAME TO new;"
        "CREATE TABLE rebuilt(a INTEGER PRIMARY KEY, c); DROP TABLE new; ALTER TABLE rebuilt RENAME TO new;"
        + ("ALTER TABLE new RENAME COLUMN c TO d;" if renames_columns else "")
        + "ALTER TABLE events ADD COLUMN author TEXT; VACUUM; REINDEX; ANALYZE;"
        "INSERT INTO retention VALUES ('a', 1, 60);"
        "INSERT INTO events(channel, author) VALUES ('a', 'Zoë'); INSERT INTO events(channel) VALUES ('a');"
        "SELECT count(*) FROM events WHERE channel = 'a'; PRAGMA integrity_check;",
        SQLITES[name],
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\nok\n", "")
    set_up(path, "rowtail.sql", "retention.sql", sqlite=SQLITES[name])


@pytest.mark.parametrize("name", NAMES)
def test_any_version_restores_the_same_log_from_a_dump(path, name):
    set_up(path, "rowtail.sql", "retention.sql")
    run_text(
        path,
        "INSERT INTO retention VALUES ('a', 2, NULL);"
        + "INSERT INTO events(channel, data) VALUES ('a', 'é');" * 5
        + "INSERT INTO events(channel) VALUES ('b'); DELETE FROM events WHERE channel = 'b';"
        "INSERT INTO grants(subject, channel) VALUES ('*', 'a');",
    )
    set_up(path, "retention.sql")
    before = dump(path)[0]
    dumped = run_text(path, ".dump\n", SQLITES[name]).stdout
    for reader in NAMES:
        copy = f"{path}.{reader}"
        assert run_text(copy, dumped, SQLITES[reader]).stderr == ""
        set_up(copy, "rowtail.sql", "retention.sql", sqlite=SQLITES[reader])
        assert dump(copy)[0] == before
        # The newest id was deleted, and is not reused.
        done = run_text(copy, "INSERT INTO events(channel) VALUES ('a'); SELECT max(id), count(*) FROM events;")
        assert (done.stdout, done.stderr) == ("7|2\n", "")


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("file", FILES)
def test_full_disk_at_any_moment_changes_nothing(workdir, file, name):
    """SQLite may then roll the transaction back by itself, and the shell continues."""
    template = workdir / "template.db"
    if name in READ_FORMER_RETENTION:
        fill(str(template))
    else:
        set_up(template, "rowtail.sql", "retention.sql")
    if file != "rowtail.sql":
        set_up(template, "rowtail.sql")
    db = sqlite3.connect(template)
    for table, columns in (("grants", "'user:' || n, 'a', NULL"), ("retention", "'a/' || n, n, NULL")):
        db.execute(f"WITH u(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM u LIMIT 600) INSERT INTO {table} SELECT {columns} FROM u")
    db.commit()
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    script = (SCHEMA / file).read_text(encoding="utf-8")
    path = workdir / "try.db"
    outcomes = set()
    for more in [0, *full.share(range(3, 57, 3), FAILING.index(name), len(FAILING)), 57]:
        shutil.copyfile(template, path)
        before = dump(path)[0]
        done = run_text(path, f"PRAGMA max_page_count = {pages + more};\n" + script, SQLITES[name])
        after = dump(path)[0]
        outcomes.add(done.returncode == 0)
        if done.returncode:
            assert "full" in done.stderr
            assert after == before, more
        else:
            assert [line for line in after if "INSERT INTO \"grants\"" in line] == [
                line for line in before if "INSERT INTO \"grants\"" in line
            ]
    assert True in outcomes and (False in outcomes or file == "after-restore.sql")
