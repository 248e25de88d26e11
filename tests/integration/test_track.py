"""rowtail --track: what happens in an application's table becomes events, with every SQLite that may write it.

The main test runs random statements, then replays the events: they must end in exactly the rows that the table has. Events
of a row that nobody replays correctly (a lost delete, a stale update) show in this way. With TEST_FULL=1 there are more.
"""

import json
import os
import random
import re
import sqlite3

import pytest

import full
import rowtail
from schema import SHELLS, VERSIONS, literal, run_text, set_up

SQLITES = {"now": "sqlite3", **SHELLS}
NAMES = ["now", *VERSIONS]
NOW = tuple(map(int, sqlite3.sqlite_version.split(".")))


def number(name):
    return NOW if name == "now" else tuple(map(int, name.split(".")))


def track(path, *options, table="orders"):
    """The SQL that --track prints."""
    done = rowtail.run("--db", path, "--track", table, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def apply(path, sql, name="now"):
    done = run_text(path, sql, SQLITES[name])
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def make(path, create, *options, name="now", table="orders", encoding="UTF-8"):
    """A database with the log and a tracked table, made by this version of SQLite."""
    apply(path, f"PRAGMA encoding = '{encoding}'; CREATE TABLE first(x);", name)
    set_up(path, "rowtail.sql", sqlite=SQLITES[name])
    apply(path, create, name)
    apply(path, track(path, *options, table=table), name)
    return path


def events(path):
    """(channel, event, data as an object) of each event, in order."""
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT channel, event, data FROM events ORDER BY id").fetchall()
    db.close()
    return [(channel, event, json.loads(data)) for channel, event, data in rows]


def do(path, sql, name="now"):
    """Runs statements as an application would, and returns the events that they made."""
    before = len(events(path))
    apply(path, sql, name)
    return events(path)[before:]


@pytest.fixture
def path(workdir):
    return str(workdir / "app.db")


ORDERS = "CREATE TABLE orders(id INTEGER PRIMARY KEY, note TEXT, total REAL, email TEXT UNIQUE);"


# The three events


@pytest.mark.parametrize("name", NAMES)
def test_insert_update_and_delete_make_one_event_each(path, name):
    make(path, ORDERS, name=name)
    assert do(path, "INSERT INTO orders(note, total) VALUES ('a', 1.5);", name) == [
        ("orders/1", "insert", {"id": 1, "note": "a", "total": 1.5, "email": None})
    ]
    assert do(path, "UPDATE orders SET note = 'b' WHERE id = 1;", name) == [
        ("orders/1", "update", {"id": 1, "note": "b", "total": 1.5, "email": None, "_changed": ["note"]})
    ]
    assert do(path, "DELETE FROM orders;", name) == [
        ("orders/1", "delete", {"id": 1, "note": "b", "total": 1.5, "email": None})
    ]


def test_events_are_part_of_the_writers_transaction(path):
    make(path, ORDERS)
    assert do(path, "BEGIN; INSERT INTO orders(note) VALUES ('a'); ROLLBACK;") == []
    assert len(do(path, "BEGIN; INSERT INTO orders(note) VALUES ('a'), ('b'); COMMIT;")) == 2


def test_the_applications_last_insert_rowid_and_changes_stay(path):
    make(path, ORDERS)
    db = sqlite3.connect(path)
    cursor = db.execute("INSERT INTO orders(id, note) VALUES (7, 'a')")
    assert cursor.lastrowid == 7
    assert db.execute("UPDATE orders SET note = 'b'").rowcount == 1
    assert db.execute("SELECT changes(), last_insert_rowid()").fetchone() == (1, 7)
    db.close()


def test_a_row_that_changes_its_key_leaves_its_old_channel(path):
    make(path, ORDERS)
    do(path, "INSERT INTO orders(note) VALUES ('a');")
    assert [one[:2] for one in do(path, "UPDATE orders SET id = 9;")] == [("orders/1", "delete"), ("orders/9", "update")]


def test_replace_announces_the_rows_that_it_deletes(path):
    make(path, ORDERS)
    do(path, "INSERT INTO orders(email) VALUES ('a'), ('b');")
    made = do(path, "INSERT OR REPLACE INTO orders(note, email) VALUES ('new', 'a');")
    assert [one[:2] for one in made] == [("orders/1", "delete"), ("orders/3", "insert")]
    made = do(path, "PRAGMA recursive_triggers = ON; REPLACE INTO orders(note, email) VALUES ('new', 'b');")
    assert [one[:2] for one in made] == [("orders/2", "delete"), ("orders/4", "insert")]
    made = do(path, "UPDATE OR REPLACE orders SET email = 'b' WHERE id = 3;")
    assert [one[:2] for one in made] == [("orders/4", "delete"), ("orders/3", "update")]


def test_replace_announces_a_deleted_row_with_the_key_minus_one(path):
    make(path, ORDERS)
    do(path, "INSERT INTO orders(id, email) VALUES (-1, 'a');")
    made = do(path, "REPLACE INTO orders(email) VALUES ('a');")
    assert [one[:2] for one in made] == [("orders/-1", "delete"), ("orders/0", "insert")]


def test_insert_or_ignore_of_an_existing_row_makes_no_event(path):
    make(path, ORDERS)
    do(path, "INSERT INTO orders(email) VALUES ('a');")
    assert do(path, "INSERT OR IGNORE INTO orders(email) VALUES ('a');") == []
    assert [one[:2] for one in do(path, "INSERT INTO orders(email) VALUES ('c');")] == [("orders/2", "insert")]


def test_cascades_make_events_of_the_other_table(path):
    make(path, ORDERS + "CREATE TABLE items(id INTEGER PRIMARY KEY, of_order REFERENCES orders ON DELETE CASCADE);")
    apply(path, track(path, table="items"))
    do(path, "INSERT INTO orders(note) VALUES ('a'); INSERT INTO items(of_order) VALUES (1), (1);")
    made = do(path, "PRAGMA foreign_keys = ON; DELETE FROM orders;")
    assert sorted(one[:2] for one in made) == [("items/1", "delete"), ("items/2", "delete"), ("orders/1", "delete")]


def test_a_trigger_of_the_application_that_touches_the_row_ends_with_its_last_state(path):
    make(path, ORDERS + """CREATE TRIGGER touch AFTER INSERT ON orders BEGIN
        UPDATE orders SET note = note || '!' WHERE id = NEW.id; END;""")
    assert do(path, "INSERT INTO orders(note) VALUES ('a');")[-1][2]["note"] == "a!"


# Options


def test_columns_can_be_chosen_or_left_out(path):
    make(path, ORDERS, "--track-columns", "id, Note")
    assert do(path, "INSERT INTO orders(note, email) VALUES ('a', 'e');")[0][2] == {"id": 1, "note": "a"}
    apply(path, track(path, "--track-except=email,total"))
    assert do(path, "INSERT INTO orders(note) VALUES ('b');")[0][2] == {"id": 2, "note": "b"}


def test_changes_alone_can_be_asked_for(path):
    make(path, ORDERS, "--track-changes")
    do(path, "INSERT INTO orders(note, total) VALUES ('a', 1);")
    assert do(path, "UPDATE orders SET total = 2, note = 'a';") == [
        ("orders/1", "update", {"id": 1, "total": 2.0, "_changed": ["total"]})
    ]
    assert do(path, "UPDATE orders SET total = 2;") == []


def test_a_channel_can_be_made_of_columns(path):
    create = "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT, total INT);"
    make(path, create, "--track-channel", "shop/{customer}/orders")
    assert do(path, "INSERT INTO orders(customer) VALUES ('ann');")[0][:2] == ("shop/ann/orders", "insert")
    made = do(path, "UPDATE orders SET customer = 'b/*';")
    assert [one[:2] for one in made] == [("shop/ann/orders", "delete"), ("shop/b%2F%2A/orders", "update")]
    made = do(path, "REPLACE INTO orders VALUES (1, 'cid', 5);")
    assert [one[:2] for one in made] == [("shop/b%2F%2A/orders", "delete"), ("shop/cid/orders", "insert")]


def test_a_channel_that_would_be_too_long_becomes_the_tables(path):
    make(path, "CREATE TABLE orders(name TEXT PRIMARY KEY);")
    assert do(path, f"INSERT INTO orders VALUES ('{'é' * 200}');")[0] == ("orders/", "insert", {"name": "é" * 200})


def test_columns_that_look_secret_are_named_in_a_warning(path):
    set_up(path, "rowtail.sql")
    apply(path, "CREATE TABLE users(id INTEGER PRIMARY KEY, name, password_hash, ApiToken);")
    done = rowtail.run("--db", path, "--track", "users")
    assert "password_hash" in done.stderr and "ApiToken" in done.stderr
    done = rowtail.run("--db", path, "--track", "users", "--track-except", "password_hash,apitoken")
    assert (done.returncode, done.stderr) == (0, "")


# What can't be tracked


REFUSED = {
    "there is no table": ("", "missing"),
    "primary key": ("CREATE TABLE t(x);", "t"),
    "is a view": ("CREATE VIEW v AS SELECT 1 AS x;", "v"),
    "is a virtual table": ("CREATE VIRTUAL TABLE f USING fts5(x);", "f"),
    "rowtail's own table": ("", "grants"),
    "SQLite's own table": ("", "sqlite_sequence"),
    "rename it": (
        "CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE TRIGGER rowtail_track_insert_t AFTER INSERT ON t BEGIN SELECT 1; END;",
        "t",
    ),
}


ROWTAILS = "events events_pruned events_ended grants Publishers rowtail_publish_keys retention retention_counts retention_state"


@pytest.mark.parametrize("table", ROWTAILS.split())
def test_tables_of_rowtail_cannot_be_tracked(path, table):
    """The triggers of retention_counts would fire at each event that they make."""
    set_up(path, "rowtail.sql", "retention.sql")
    done = rowtail.run("--db", path, "--track", table)
    assert (done.returncode, done.stdout) == (os.EX_DATAERR, "")
    assert "rowtail's own table" in done.stderr


@pytest.mark.parametrize("table", "events_archive grants publishers retention retention_plans rowtails".split())
def test_tables_of_the_application_with_such_names_can_be_tracked(path, table):
    apply(path, f"CREATE TABLE {table}(id INTEGER PRIMARY KEY, subject)")
    set_up(path, "log.sql")
    apply(path, track(path, table=table))
    assert do(path, f"INSERT INTO {table} VALUES (1, 'x')") == [(f"{table}/1", "insert", {"id": 1, "subject": "x"})]


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_tracked_is_refused_with_a_sentence(path, words):
    create, table = REFUSED[words]
    set_up(path, "rowtail.sql")
    apply(path, create)
    done = rowtail.run("--db", path, "--track", table)
    assert (done.returncode, done.stdout) == (os.EX_DATAERR, "")
    assert words in done.stderr, done.stderr


@pytest.mark.parametrize(
    "options, words",
    [
        (["--track-columns", "nope"], "no column nope"),
        (["--track-channel", "a/{nope}"], "no such column: {nope}"),
        (["--track-channel", "a/{id"], "a { without a }"),
        (["--track-channel", "a/*"], "without control characters or *"),
        (["--track-json", "yes"], "give plain, or functions"),
    ],
)
def test_a_wrong_option_is_refused_with_what_would_be_right(path, options, words):
    set_up(path, "rowtail.sql")
    apply(path, ORDERS)
    done = rowtail.run("--db", path, "--track", "orders", *options)
    assert (done.returncode, done.stdout) == (os.EX_USAGE, ""), done.stderr
    assert words in done.stderr


def test_a_database_without_the_log_is_refused(path):
    apply(path, ORDERS)
    done = rowtail.run("--db", path, "--track", "orders")
    assert (done.returncode, done.stdout) == (os.EX_DATAERR, "")
    assert "schema/rowtail.sql" in done.stderr


def test_a_missing_database_has_its_own_status(path):
    assert rowtail.run("--db", path, "--track", "orders").returncode == os.EX_NOINPUT


# Applying it


@pytest.mark.parametrize("name", NAMES)
def test_the_sql_changes_nothing_in_a_database_that_it_was_not_made_for(path, workdir, name):
    make(path, ORDERS)
    other = str(workdir / "other.db")
    apply(other, "CREATE TABLE orders(id INTEGER PRIMARY KEY);", name)
    done = run_text(other, track(path), SQLITES[name])
    assert "run rowtail --track again" in done.stderr
    with sqlite3.connect(other) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]
        db.execute("INSERT INTO orders VALUES (1)")
    db.close()


def test_a_writer_without_json_functions_cannot_apply_triggers_that_need_them(path):
    set_up(path, "rowtail.sql", sqlite=SQLITES["3.15.0"])
    apply(path, ORDERS)
    done = run_text(path, track(path, "--track-json", "functions"), SQLITES["3.15.0"])
    assert "run rowtail --track without --track-json" in done.stderr
    assert do(path, "INSERT INTO orders(note) VALUES ('a');", "3.15.0") == []


def test_applications_can_run_the_sql_themselves(path):
    set_up(path, "rowtail.sql")
    apply(path, ORDERS)
    db = sqlite3.connect(path)
    db.executescript(track(path))
    db.execute("INSERT INTO orders(note) VALUES ('a')")
    db.commit()
    db.close()
    assert [one[:2] for one in events(path)] == [("orders/1", "insert")]


def test_tracking_again_after_alter_table_takes_the_new_column(path):
    make(path, ORDERS)
    apply(path, "ALTER TABLE orders ADD COLUMN extra;")
    assert "its columns have changed: run rowtail --track orders again" in rowtail.run("--db", path, "--tracked").stdout
    assert "extra" not in do(path, "INSERT INTO orders(extra) VALUES (5);")[0][2]
    apply(path, track(path))
    assert do(path, "INSERT INTO orders(extra) VALUES (5);")[0][2]["extra"] == 5
    assert rowtail.run("--db", path, "--tracked").stdout == "orders: channel orders/KEY\n"


def test_untrack_leaves_nothing_behind(path):
    set_up(path, "rowtail.sql")
    apply(path, ORDERS + "CREATE TABLE items(id INTEGER PRIMARY KEY, u UNIQUE);")
    with sqlite3.connect(path) as db:
        before = sorted(db.iterdump())
    apply(path, track(path))
    apply(path, track(path, "--track-channel", "i/{u}", table="items"))
    listed = rowtail.run("--db", path, "--tracked").stdout
    assert listed == "items: channel i/{u}\norders: channel orders/KEY\n"
    apply(path, rowtail.run("--db", path, "--untrack", "items").stdout)
    assert do(path, "INSERT INTO items(u) VALUES (1);") == []
    assert len(do(path, "INSERT INTO orders(note) VALUES ('a');")) == 1
    apply(path, rowtail.run("--db", path, "--untrack", "orders").stdout)
    assert do(path, "DELETE FROM orders; DELETE FROM items;") == []
    assert [line for line in sorted(db.iterdump()) if "events" not in line] == [
        line for line in before if "events" not in line
    ]
    db.close()
    done = rowtail.run("--db", path, "--untrack", "orders")
    assert done.returncode == os.EX_DATAERR and "is not tracked" in done.stderr


def test_a_table_of_many_columns_can_be_written_by_every_version(path):
    columns = ", ".join(f"c{n} TEXT" for n in range(500))
    for name in NAMES:
        file = f"{path}-{name}"
        make(file, f"CREATE TABLE orders(id INTEGER PRIMARY KEY, {columns});", name=name)
        made = do(file, "INSERT INTO orders(c499) VALUES ('x'); UPDATE orders SET c0 = 'y';", name)
        assert made[0][2]["c499"] == "x" and made[1][2]["_changed"] == ["c0"]


# Anything that a table may hold


TEXTS = ["", "a", 'q"u\\o', "tab\there", "line\r\nline", "\x01\x1f\x7f", "é☃𝄞", "\u0085\u2028", "a/b", "100%", "*", "x" * 40]
NUMBERS = [0, -1, 2**53 - 1, 2**53, -(2**53), 2**63 - 1, -(2**63) + 1, 0.1, 0.1 + 0.2, -2.5, 1e300, 5e-324, 1e15]
VALUES = [None, b"AB", *TEXTS, *NUMBERS]

SHAPES = {
    "integer key": ((3, 7, 17), "orders", "CREATE TABLE orders(id INTEGER PRIMARY KEY, a, b TEXT, c REAL, d NUMERIC);"),
    "text key": ((3, 7, 17), "orders", "CREATE TABLE orders(a TEXT NOT NULL PRIMARY KEY, b, c UNIQUE);"),
    "composite key": ((3, 7, 17), "orders", "CREATE TABLE orders(a TEXT NOT NULL, b NOT NULL, c, d, PRIMARY KEY (b, a), UNIQUE (c, d));"),
    "odd names": (
        (3, 7, 17),
        "my \"select\" 'tablé'",
        "CREATE TABLE \"my \"\"select\"\" 'tablé'\"(\"group\" INTEGER PRIMARY KEY, \"it's\" UNIQUE, \"q\"\"q\\\" TEXT, \"rowid\");",
    ),
    "without rowid": ((3, 8, 2), "orders", "CREATE TABLE orders(a, b TEXT, c UNIQUE, PRIMARY KEY (b, a)) WITHOUT ROWID;"),
    "nocase": ((3, 7, 17), "orders", "CREATE TABLE orders(id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE UNIQUE, b);"),
    "defaults": (
        (3, 7, 17),
        "orders",
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, a NOT NULL DEFAULT 'a' UNIQUE, b TEXT NOT NULL DEFAULT -1, c REAL, UNIQUE (b, c));",
    ),
    "generated": (
        (3, 31, 0),
        "orders",
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, a, b AS (typeof(a)), c AS (length(a)) STORED);",
    ),
    "strict": ((3, 37, 0), "orders", "CREATE TABLE orders(id INTEGER PRIMARY KEY, a ANY, b TEXT, c REAL) STRICT;"),
}
CASES = [
    (shape, name, encoding)
    for shape, (least, *_) in SHAPES.items()
    for name in NAMES
    if number(name) >= least
    for encoding in (["UTF-8", "UTF-16le"] if name in ("now", "3.7.17") else ["UTF-8"])
]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def encoded(text):
    """A part of a channel, as the manual describes it."""
    return re.sub(
        "[%*/\x01-\x1f\x7f\u0080-\u009f]", lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), text
    )


def channel_of(table, key):
    parts = []
    for value in key:
        if value is None:
            parts.append("null")
        elif isinstance(value, bytes):
            parts.append(value.hex().upper())
        elif isinstance(value, float):
            parts.append(None)  # fifteen digits: any
        else:
            parts.append(encoded(str(value)))
    return None if None in parts else "/".join([encoded(table), *parts])


def as_json(value):
    if isinstance(value, int) and abs(value) > 2**53 - 1:
        return str(value)
    return value


def statements(rng, table, columns, keys, count):
    """Random statements of an application."""
    name = quoted(table)
    for turn in range(count):
        chosen = rng.sample(columns, rng.randint(1, len(columns)))
        if len(keys) > 1 or keys[0] not in ("id", "group"):  # SQLite numbers the others
            chosen = sorted({*chosen, *keys})
        values = [literal(rng.choice(VALUES)) for _ in chosen]
        verb = rng.choice([*["INSERT"] * 9, "INSERT OR REPLACE", "INSERT OR IGNORE", "UPDATE", "UPDATE OR REPLACE", "DELETE"])
        verb = "INSERT" if turn > count - 20 else verb
        some = f"WHERE length(hex({quoted(rng.choice(columns))})) % {rng.randint(2, 7)} = 0"
        if verb.startswith("INSERT"):
            yield f"{verb} INTO {name}({', '.join(map(quoted, chosen))}) VALUES ({', '.join(values)});"
        elif verb.startswith("UPDATE"):
            sets = ", ".join(f"{quoted(column)} = {value}" for column, value in zip(chosen, values))
            yield f"{verb} {name} SET {sets} {some};"
        else:
            yield f"DELETE FROM {name} {some};"


@pytest.mark.parametrize("shape, name, encoding", CASES)
def test_replaying_the_events_gives_the_table(path, shape, name, encoding):
    _, table, create = SHAPES[shape]
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
    print(f"seed {seed}")
    rng = random.Random(seed)
    functions = ["--track-json", "functions"] if name in ("now", "3.52.0") and rng.random() < 0.5 else []
    make(path, create, *functions, name=name, table=table, encoding=encoding)
    with sqlite3.connect(path) as db:
        facts = db.execute("SELECT name, pk, hidden FROM pragma_table_xinfo(?)", (table,)).fetchall()
        key_columns = [column for column, pk, _ in facts if pk]
        count = 1000 if full.FULL else 150
        writable = [column for column, _, hidden in facts if hidden == 0]
        # Statements that the table's own constraints refuse are part of it.
        run_text(path, "\n".join(statements(rng, table, writable, key_columns, count)), SQLITES[name])
        rows = db.execute(f"SELECT * FROM {quoted(table)}").fetchall()
    db.close()
    columns = [column for column, *_ in facts]
    key = [columns.index(column) for column, pk, _ in sorted(facts, key=lambda f: f[1]) if pk]
    expected = {}
    for row in rows:
        members = {c: as_json(v) for c, v in zip(columns, row) if not isinstance(v, bytes)}
        expected[repr([row[at] for at in key])] = (channel_of(table, [row[at] for at in key]), members)
    state = {}
    for channel, event, data in events(path):
        data.pop("_changed", None)
        if event == "delete":
            assert state.pop(channel), (channel, event, data)
        else:
            state[channel] = data
    assert len(state) == len(rows)
    for channel, members in expected.values():
        if channel is not None and len(channel.encode()) <= 255:
            assert state[channel] == members
    assert len(rows) > 1


def test_a_text_ends_at_its_nul_and_functions_keep_what_follows(path):
    make(path, "CREATE TABLE orders(id INTEGER PRIMARY KEY, a);")
    assert do(path, "INSERT INTO orders(a) VALUES ('x' || char(0) || 'y');")[0][2]["a"] == "x\x00"
    apply(path, track(path, "--track-json=functions"))
    assert do(path, "INSERT INTO orders(a) VALUES ('x' || char(0) || 'y');")[0][2]["a"] == "x\x00y"


def test_infinite_numbers_become_strings(path):
    make(path, "CREATE TABLE orders(id INTEGER PRIMARY KEY, a, b);")
    made = do(path, "INSERT INTO orders(a, b) VALUES (1e999, -1e999);")[0][2]
    assert (made["a"], made["b"]) == ("Infinity", "-Infinity")


