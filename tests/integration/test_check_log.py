"""rowtail --check: the sections about the log: schema, retention, grants, publishers, tracked. Each cure that it names works."""

import os
import re
import shlex

import pytest

import checking
import database
import rowtail
from checking import check, is_cured, path, run_sql

FORMER = rowtail.ROOT / "tests" / "schema-0.1.0"


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


@pytest.mark.parametrize("trigger", ["retention_counted", "retention_whole", "retention_channel_deleted"])
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


@pytest.mark.parametrize("rule, trigger", [("", "retention_deleted"), ("*", "retention_channel_deleted")])
def test_rows_that_were_deleted_without_the_triggers(pruned, rule, trigger):
    pruned.sql("DELETE FROM retention")
    pruned.sql(f"INSERT INTO retention VALUES ('{rule}', 10, NULL)")
    pruned.insert_many(5)
    [(sql,)] = pruned.sql(f"SELECT sql FROM sqlite_master WHERE name = '{trigger}'")
    pruned.sql(f"DROP TRIGGER {trigger}")
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
TABLES = {"grants": "covers nothing", "publishers": "allows nothing"}


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
        line = answer.find(table, "note", f"1 row in {table} {TABLES[table]}", words)
        assert TOKEN not in answer.said
        if line.cure:
            is_cured(path, line)
            assert log.sql(f"SELECT 1 FROM {table} WHERE subject = 'user:ann'") == [(1,)]


def test_many_useless_grants_are_one_line(path):
    with database.Database(path) as log:
        for number in range(30):
            insert_unchecked(log, "grants", ("*", f"news{number}", "2020-01-01 00:00:00"))
    check(path).find("grants", "note", "30 rows in grants cover nothing", "and others")


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
    answer.find("grants", "note", "1 row in grants covers nothing", "no column channel", "news/*")
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
