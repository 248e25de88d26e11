"""What else may happen to a tracked table: other languages, dumps, VACUUM, temporary tables of its name, huge rows, migrations.

The application's own statements never fail because a table is tracked, and no event is lost or made up.
"""

import contextlib
import os
import sqlite3
import subprocess

import pytest

import fcgi
import nodejs
import rowtail
from schema import run_text
from test_track import NAMES, ORDERS, SQLITES, apply, do, events, make, track


@pytest.fixture
def path(workdir):
    return str(workdir / "app.db")


def kinds(made):
    return [(channel, event) for channel, event, _ in made]


# Who applies the SQL

PHP = """<?php
$db = new PDO('sqlite:app.db');
$db->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$db->exec(file_get_contents('track.sql'));
$db->exec("INSERT INTO orders(note) VALUES ('a')");
"""
PERL = """use DBI;
my $db = DBI->connect('dbi:SQLite:dbname=app.db', '', '', {RaiseError => 1, sqlite_allow_multiple_statements => 1});
open(my $file, '<', 'track.sql'); local $/; $db->do(<$file>);
$db->do("INSERT INTO orders(note) VALUES ('a')");
"""
NODE = """import { DatabaseSync } from 'node:sqlite';
import { readFileSync } from 'node:fs';
const db = new DatabaseSync('app.db');
db.exec(readFileSync('track.sql', 'utf8'));
db.exec("INSERT INTO orders(note) VALUES ('a')");
"""
PYTHON = """import sqlite3
db = sqlite3.connect('app.db')
db.executescript(open('track.sql').read())
db.execute("INSERT INTO orders(note) VALUES ('a')")
db.commit()
"""
# As migration tools do: statement by statement, in a transaction of their own.
SPLIT = """import sqlite3
db = sqlite3.connect('app.db', isolation_level=None)
db.execute('BEGIN')
statement = ''
for line in open('track.sql'):
    statement += line
    if sqlite3.complete_statement(statement):
        db.execute(statement)
        statement = ''
db.execute("INSERT INTO orders(note) VALUES ('a')")
db.execute('COMMIT')
"""
LANGUAGES = {
    "php": (["php"], PHP),
    "perl": (["perl"], PERL),
    "node": ([None], NODE),
    "python": (["/usr/bin/python3"], PYTHON),
    "statement by statement": (["/usr/bin/python3"], SPLIT),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_can_apply_the_sql(path, workdir, language):
    make(path, ORDERS)
    apply(path, rowtail.run("--db", path, "--untrack", "orders").stdout)
    (workdir / "track.sql").write_text(track(path))
    command, program = LANGUAGES[language]
    file = workdir / ("apply.mjs" if language == "node" else "apply")
    file.write_text(program)
    done = subprocess.run([command[0] or nodejs.find(), file], cwd=workdir, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert events(path) == [("orders/1", "insert", {"id": 1, "note": "a", "total": None, "email": None})]
    assert rowtail.run("--db", path, "--tracked").stdout == "orders: channel orders/KEY\n"


def test_the_printed_sql_says_how_to_run_it(path):
    make(path, ORDERS)
    assert "sqlite_allow_multiple_statements" in track(path)


# Copies


@pytest.mark.parametrize("name", NAMES)
def test_a_dump_read_in_again_goes_on(path, name):
    make(path, ORDERS, name=name)
    do(path, "INSERT INTO orders(note) VALUES ('a'), ('b'); DELETE FROM orders WHERE id = 1;", name)
    dump = run_text(path, ".dump", SQLITES[name]).stdout
    copy = path + ".copy"
    assert run_text(copy, dump, SQLITES[name]).stderr == ""
    assert events(copy) == events(path), "reading in a row made an event"
    made = do(copy, "INSERT INTO orders(note) VALUES ('c'); UPDATE orders SET note = 'd' WHERE id = 2;", name)
    assert kinds(made) == [("orders/3", "insert"), ("orders/2", "update")]
    assert rowtail.run("--db", copy, "--tracked").stdout == "orders: channel orders/KEY\n"
    apply(copy, track(copy), name)


NAMED = "CREATE TABLE orders(name TEXT PRIMARY KEY, note, k1 UNIQUE, channel, data);"


def renumbered(path, name, how):
    """The database after VACUUM, or a copy by a dump."""
    if how == "VACUUM":
        apply(path, "VACUUM;", name)
        return path
    dump = run_text(path, ".dump", SQLITES[name]).stdout
    assert run_text(path + ".copy", dump, SQLITES[name]).stderr == ""
    return path + ".copy"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["VACUUM", "dump"])
def test_no_delete_is_made_up_when_rows_get_other_numbers(path, name, how):
    """INSERT OR IGNORE may leave a note of a row that it did not replace; VACUUM and a dump renumber the rows."""
    make(path, NAMED, name=name)
    do(path, "INSERT INTO orders(name, k1) VALUES ('a', 1), ('b', 2), ('c', 3); DELETE FROM orders WHERE name < 'c';", name)
    assert do(path, "INSERT OR IGNORE INTO orders(name, k1) VALUES ('x', 3);", name) == []
    path = renumbered(path, name, how)
    assert kinds(do(path, "INSERT INTO orders(name, k1) VALUES ('d', 4);", name)) == [("orders/d", "insert")]
    assert kinds(do(path, "DELETE FROM orders WHERE name = 'c';", name)) == [("orders/c", "delete")]
    assert kinds(do(path, "INSERT INTO orders(name, k1) VALUES ('e', 5);", name)) == [("orders/e", "insert")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["VACUUM", "dump"])
def test_a_row_deleted_after_that_is_announced_once(path, name, how):
    make(path, NAMED, name=name)
    do(path, "INSERT INTO orders(name, k1) VALUES ('a', 1), ('b', 2), ('c', 3); DELETE FROM orders WHERE name < 'c';", name)
    apply(path, "INSERT OR IGNORE INTO orders(name, k1) VALUES ('x', 3);", name)
    path = renumbered(path, name, how)
    made = do(path, "DELETE FROM orders; INSERT INTO orders(name, k1) VALUES ('d', 4);", name)
    assert kinds(made) == [("orders/c", "delete"), ("orders/d", "insert")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("table", ["name TEXT PRIMARY KEY, k1 UNIQUE, j1, channel, data", "id INTEGER PRIMARY KEY, k1 UNIQUE, k2, data, channel"])
def test_columns_named_as_those_of_the_notes_do_no_harm(path, name, table):
    make(path, f"CREATE TABLE orders({table});", name=name)
    key = table.split()[0]
    do(path, f"INSERT INTO orders({key}, k1) VALUES (1, 7), (2, 8);", name)
    made = do(path, f"REPLACE INTO orders({key}, k1) VALUES (3, 7);", name)
    assert kinds(made) == [("orders/1", "delete"), ("orders/3", "insert")]
    assert do(path, f"INSERT OR IGNORE INTO orders({key}, k1) VALUES (5, 7);", name) == []
    assert kinds(do(path, f"INSERT INTO orders({key}, k1) VALUES (4, 4);", name)) == [("orders/4", "insert")]
    made = do(path, f"REPLACE INTO orders({key}, k1) VALUES (6, 7);", name)
    assert kinds(made) == [("orders/3", "delete"), ("orders/6", "insert")]


# Other tables of the same names


@pytest.mark.parametrize("name", NAMES)
def test_temporary_tables_of_these_names_do_not_matter(path, name):
    make(path, ORDERS, name=name)
    temporary = "".join(f"CREATE TEMP TABLE {table}(id, channel, event, data);" for table in
                        ("events", "events_ended", "rowtail_track_event", "rowtail_track_notes_orders"))
    made = do(path, temporary + "INSERT INTO orders(email) VALUES ('a'); REPLACE INTO orders(email) VALUES ('a');"
                                "UPDATE orders SET note = 'x'; DELETE FROM main.orders;", name)
    assert kinds(made) == [
        ("orders/1", "insert"), ("orders/1", "delete"), ("orders/2", "insert"), ("orders/2", "update"), ("orders/2", "delete"),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_writer_may_have_attached_the_database(path, workdir, name):
    make(path, ORDERS, name=name)
    other = str(workdir / "other.db")
    make(other, ORDERS, name=name)
    before = events(other)
    apply(other, f"ATTACH '{path}' AS app; INSERT INTO app.orders(email) VALUES ('a'); REPLACE INTO app.orders(email) VALUES ('a');"
                 "UPDATE app.orders SET note = 'x';", name)
    assert kinds(events(path)) == [("orders/1", "insert"), ("orders/1", "delete"), ("orders/2", "insert"), ("orders/2", "update")]
    assert events(other) == before


@pytest.mark.parametrize("name", NAMES)
def test_sql_that_would_track_a_temporary_table_changes_nothing(path, name):
    make(path, ORDERS, name=name)
    sql = track(path)
    apply(path, rowtail.run("--db", path, "--untrack", "orders").stdout, name)
    done = run_text(path, "CREATE TEMP TABLE orders(id INTEGER PRIMARY KEY, note, total, email);" + sql, SQLITES[name])
    assert "changed" in done.stderr
    assert do(path, "INSERT INTO orders(note) VALUES ('a');", name) == []
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master WHERE name GLOB 'rowtail_track*'").fetchall() == []
    db.close()


# REPLACE of a NULL by a column's default


DEFAULTS = ["'x'", "5", "-1.5", "+7", "x'4142'", '"y z"', "open", "'it''s'", "1e3"]


@pytest.mark.parametrize("default", DEFAULTS)
@pytest.mark.parametrize("name", NAMES)
def test_replace_of_null_by_a_default_announces_the_row_that_it_deletes(path, name, default):
    make(path, f"CREATE TABLE orders(id INTEGER PRIMARY KEY, a NOT NULL DEFAULT {default} UNIQUE, b);", name=name)
    do(path, "INSERT INTO orders(b) VALUES (1);", name)
    assert kinds(do(path, "REPLACE INTO orders(a, b) VALUES (NULL, 2);", name)) == [("orders/1", "delete"), ("orders/2", "insert")]
    do(path, "INSERT INTO orders(a) VALUES ('other');", name)
    made = do(path, "UPDATE OR REPLACE orders SET a = NULL WHERE id = 3;", name)
    assert kinds(made) == [("orders/2", "delete"), ("orders/3", "update")]
    assert do(path, "INSERT OR IGNORE INTO orders(a) VALUES (NULL);", name) == []


@pytest.mark.parametrize("name", NAMES)
def test_replace_of_null_in_a_key_and_of_a_clause(path, name):
    make(path, "CREATE TABLE orders(a TEXT NOT NULL ON CONFLICT REPLACE DEFAULT 'k', b INT, u UNIQUE, PRIMARY KEY (a, b));", name=name)
    do(path, "INSERT INTO orders VALUES ('k', 1, 1), ('m', 1, 2);", name)
    assert kinds(do(path, "REPLACE INTO orders VALUES (NULL, 2, 2);", name)) == [("orders/m/1", "delete"), ("orders/k/2", "insert")]
    made = do(path, "REPLACE INTO orders VALUES (NULL, 1, 3);", name)
    assert kinds(made) in ([("orders/k/1", "insert")], [("orders/k/1", "delete"), ("orders/k/1", "insert")])


def test_a_default_that_no_trigger_can_repeat_is_named_in_a_warning(path):
    make(path, ORDERS)
    apply(path, "CREATE TABLE odd(id INTEGER PRIMARY KEY, token TEXT NOT NULL DEFAULT (hex(randomblob(4))) UNIQUE, b DEFAULT (1));")
    done = rowtail.run("--db", path, "--track", "odd", "--track-except", "token")
    assert done.returncode == 0 and "column token is NOT NULL with a default that is no literal" in done.stderr
    apply(path, done.stdout)
    assert kinds(do(path, "INSERT INTO odd(b) VALUES (1);")) == [("odd/1", "insert")]


# Huge rows


def test_a_huge_text_is_left_out_and_the_writers_statement_succeeds(path):
    make(path, "CREATE TABLE orders(id INTEGER PRIMARY KEY, a, b);")
    # 280 MB: more than the log takes.
    made = do(path, "INSERT INTO orders(a, b) VALUES (hex(zeroblob(140000000)), 'b');")
    assert made == [("orders/1", "insert", {"id": 1, "b": "b"})]
    # 45 MB with a control character: escaped, it might be more.
    made = do(path, "UPDATE orders SET a = hex(zeroblob(22500000)) || char(10);")
    assert made == [("orders/1", "update", {"_large": True})]
    assert do(path, "UPDATE orders SET a = 1;")[0][2]["a"] == 1


# Migrations


def test_a_table_that_was_made_anew_is_noticed(path):
    """As Django, Rails and Alembic change a table: a new one, its rows copied, the old one dropped, the new one renamed."""
    make(path, ORDERS)
    apply(path, "CREATE TABLE new_orders(id INTEGER PRIMARY KEY, note TEXT, extra); INSERT INTO new_orders(id, note)"
                " SELECT id, note FROM orders; DROP TABLE orders; ALTER TABLE new_orders RENAME TO orders;")
    assert do(path, "INSERT INTO orders(note) VALUES ('a');") == []
    assert "orders: its triggers are gone" in rowtail.run("--db", path, "--tracked").stdout
    checked = rowtail.run("--db", path, "--check", "--public")
    assert checked.returncode == os.EX_CONFIG
    assert "orders was tracked, but its triggers are gone" in checked.stdout
    apply(path, track(path))
    assert kinds(do(path, "INSERT INTO orders(note) VALUES ('b');")) == [("orders/2", "insert")]
    assert rowtail.run("--db", path, "--check", "--public").returncode == 0
    apply(path, "DROP TABLE orders;")
    apply(path, rowtail.run("--db", path, "--untrack", "orders").stdout)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master WHERE name GLOB 'rowtail_track*'").fetchall() == []
    db.close()


# Serving


def test_streams_of_several_processes_get_the_events_of_a_tracked_table(log, launch):
    path = str(log.path)
    apply(path, ORDERS)
    apply(path, rowtail.run("--db", path, "--track", "orders", "--processes", "2").stdout)
    server = launch("--processes", 2, "--public")
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(fcgi.Connection(server.address)) for _ in range(8)]
        for stream in opened:
            assert stream.ask("channel=orders/*").next().type == "position"
        apply(path, "INSERT INTO orders(note) VALUES ('a');")
        assert {stream.next().type for stream in opened} == {"insert"}
    assert rowtail.run("--db", path, "--tracked", "--processes", "2").stdout == "orders: channel orders/KEY\n"
