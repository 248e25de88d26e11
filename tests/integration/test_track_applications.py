"""Tracked tables and what applications do to them: REPLACE by loose keys, ended channels, renamed tables, busy writers.

The application's own statements never fail because a table is tracked, and whoever follows the channels ends with the rows
that the table has.
"""

import sqlite3
import subprocess
import threading
import time

import pytest

import rowtail
from schema import SCHEMA, set_up
from test_track import NAMES, ORDERS, SQLITES, apply, do, events, make, track

OLD_SCHEMA = SCHEMA.parent / "tests" / "schema-0.1.0"


@pytest.fixture
def path(workdir):
    return str(workdir / "app.db")


def kinds(made):
    return [(channel, event) for channel, event, _ in made]


def untrack(path, table):
    return rowtail.run("--db", path, "--untrack", table)


def tracked(path):
    return rowtail.run("--db", path, "--tracked").stdout


# Channels that have ended


def end(path, *channels):
    for channel in channels:
        apply(path, f"INSERT INTO events(channel, event, data) VALUES ('{channel}', 'end', '1');")


@pytest.mark.parametrize("name", NAMES)
def test_the_application_can_write_a_row_whose_channel_has_ended(path, name):
    make(path, ORDERS, name=name)
    end(path, "orders/1")
    sql = "INSERT INTO orders(id) VALUES (1); UPDATE orders SET note = 'x'; DELETE FROM orders;"
    assert kinds(do(path, sql, name)) == [
        ("orders/", "insert"),
        ("orders/", "update"),
        ("orders/", "delete"),
    ]


def test_no_event_is_made_if_the_tables_own_channel_has_ended_too(path):
    make(path, ORDERS)
    end(path, "orders/1", "orders/")
    assert do(path, "INSERT INTO orders(id) VALUES (1);") == []
    assert kinds(do(path, "INSERT INTO orders(id) VALUES (2);")) == [("orders/2", "insert")]


def test_a_log_of_0_1_0_can_be_tracked_and_upgraded(path):
    set_up(path, "rowtail.sql", directory=OLD_SCHEMA)
    apply(path, ORDERS)
    apply(path, track(path))
    assert kinds(do(path, "INSERT INTO orders(id) VALUES (1);")) == [("orders/1", "insert")]
    set_up(path, "rowtail.sql")
    end(path, "orders/1")
    assert kinds(do(path, "DELETE FROM orders;")) == [("orders/", "delete")]


# REPLACE


# The table, and two keys that are equal to it.
LOOSE_KEYS = [
    ("(id TEXT PRIMARY KEY COLLATE NOCASE, note)", "'A'", "'a'"),
    ("(id TEXT PRIMARY KEY COLLATE NOCASE, note) WITHOUT ROWID", "'A'", "'a'"),
    ("(id TEXT, note, PRIMARY KEY(id COLLATE RTRIM))", "'A'", "'A  '"),
    ("(id PRIMARY KEY, note)", "1", "1.0"),
    ("(id BLOB, note TEXT COLLATE NOCASE, PRIMARY KEY(note, id))", "1", "1.0"),
]


@pytest.mark.parametrize("name", ["now", "3.15.0"])
@pytest.mark.parametrize("columns, first, second", LOOSE_KEYS)
def test_replace_announces_a_row_whose_key_is_equal_but_written_differently(
    path, columns, first, second, name
):
    make(path, f"CREATE TABLE orders{columns};", name=name)
    (there,) = do(path, f"INSERT INTO orders(id, note) VALUES ({first}, 'b');", name)
    made = do(path, f"REPLACE INTO orders(id, note) VALUES ({second}, 'b');", name)
    assert [event for _, event, _ in made] == ["delete", "insert"]
    assert made[0][0] == there[0] != made[1][0]


SHOPS = "CREATE TABLE orders(id INTEGER PRIMARY KEY, shop, email UNIQUE);"


@pytest.mark.parametrize("name", NAMES)
def test_a_replaced_row_leaves_a_channel_that_the_new_row_is_in_too(path, name):
    make(path, SHOPS, "--track-channel", "shop/{shop}", name=name)
    apply(path, "INSERT INTO orders VALUES (1, 'A', 'x');", name)
    made = do(path, "INSERT OR REPLACE INTO orders(shop, email) VALUES ('A', 'x');", name)
    assert [(event, row["id"]) for _, event, row in made] == [("delete", 1), ("insert", 2)]


@pytest.mark.parametrize("name", NAMES)
def test_a_row_replaced_by_an_update_to_its_key_leaves_its_channel(path, name):
    make(path, SHOPS, "--track-channel", "shop/{shop}", name=name)
    sql = "INSERT INTO orders VALUES (1, 'A', 'x'); INSERT INTO orders VALUES (2, 'B', 'y');"
    apply(path, sql, name)
    assert kinds(do(path, "UPDATE OR REPLACE orders SET id = 1 WHERE id = 2;", name)) == [
        ("shop/A", "delete"),
        ("shop/B", "update"),
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT OR IGNORE INTO orders(id, email) VALUES (9, 'x'); UPDATE orders SET id = 5;",
        "INSERT INTO orders(id, email) VALUES (9, 'x') ON CONFLICT(email) DO UPDATE SET id = 5;",
        "INSERT INTO orders(id, email) VALUES (9, 'x') ON CONFLICT DO NOTHING;"
        "UPDATE orders SET id = 5;",
    ],
)
def test_a_row_that_was_not_replaced_is_deleted_once(path, sql):
    make(path, ORDERS)
    apply(path, "INSERT INTO orders(id, email) VALUES (1, 'x');")
    assert kinds(do(path, sql)) == [("orders/1", "delete"), ("orders/5", "update")]


def test_inserts_that_are_ignored_do_not_make_the_database_grow(path):
    make(path, ORDERS)
    apply(path, "INSERT INTO orders(id, email) VALUES (1, 'x');")
    ignored = "INSERT OR IGNORE INTO orders(email) VALUES ('x');"
    sizes = []
    for _ in range(2):
        apply(path, f"BEGIN; {ignored * 300} COMMIT;")
        with sqlite3.connect(path) as db:
            sizes.append(db.execute("PRAGMA page_count").fetchone())
        db.close()
    assert sizes[0] == sizes[1]


# Names


def test_a_name_with_a_line_break_runs_no_sql_of_its_own(path):
    name = "a\nCREATE TABLE stolen(x); b"
    make(path, f'CREATE TABLE "{name}"(id INTEGER PRIMARY KEY);', table=name)
    assert kinds(do(path, f'INSERT INTO "{name}" VALUES (1);')) == [
        ("a%0ACREATE TABLE stolen(x); b/1", "insert")
    ]
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT 1 FROM sqlite_master WHERE name = 'stolen'").fetchall() == []
    db.close()
    apply(path, untrack(path, name).stdout)


def test_a_name_that_fits_no_channel_is_refused(path):
    name = "*" * 100
    set_up(path, "rowtail.sql")
    apply(path, f'CREATE TABLE "{name}"(id INTEGER PRIMARY KEY);')
    done = rowtail.run("--db", path, "--track", name)
    assert (done.returncode, done.stdout) == (65, "")
    assert "too long for a channel" in done.stderr


RENAME = "ALTER TABLE orders RENAME TO bills;"


def test_a_renamed_table_that_is_tracked_again_makes_each_event_once(path):
    make(path, ORDERS)
    assert kinds(do(path, RENAME + "INSERT INTO bills(id) VALUES (1);")) == [("orders/1", "insert")]
    apply(path, track(path, table="bills"))
    assert kinds(do(path, "INSERT INTO bills(id) VALUES (2);")) == [("bills/2", "insert")]
    assert tracked(path).count("bills") == 2  # once, as in: bills: channel bills/KEY


def test_a_renamed_table_can_be_untracked_by_its_new_name(path):
    make(path, ORDERS)
    apply(path, RENAME)
    apply(path, untrack(path, "bills").stdout)
    assert do(path, "INSERT INTO bills(id) VALUES (1);") == []
    assert tracked(path) == ""


def test_a_new_table_does_not_take_the_triggers_of_a_renamed_one(path):
    make(path, ORDERS)
    apply(path, RENAME + ORDERS)
    done = rowtail.run("--db", path, "--track", "orders")
    assert (done.returncode, done.stdout) == (65, "")
    assert "a tracked table was renamed" in done.stderr
    apply(path, track(path, table="bills"))
    apply(path, track(path, table="orders"))
    sql = "INSERT INTO orders(id) VALUES (1); INSERT INTO bills(id) VALUES (1);"
    assert kinds(do(path, sql)) == [("orders/1", "insert"), ("bills/1", "insert")]


# Other writers


@pytest.mark.parametrize("print_sql", [track, lambda path: untrack(path, "orders").stdout])
@pytest.mark.parametrize("name", NAMES)
def test_the_sql_waits_for_another_writer(path, print_sql, name):
    make(path, ORDERS, name=name)
    sql = print_sql(path)
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO orders(id) VALUES (1)")

    def commit():
        time.sleep(0.4)
        writer.execute("COMMIT")

    thread = threading.Thread(target=commit)
    thread.start()
    done = subprocess.run(
        [SQLITES[name], path], input=sql, capture_output=True, text=True, timeout=60
    )
    thread.join()
    writer.close()
    assert done.stderr == ""
    assert kinds(events(path)) == [("orders/1", "insert")]
