"""schema/rowtail.sql and schema/after-restore.sql: what the log accepts, what it refuses, and its messages."""

import datetime
import sqlite3
import subprocess

import pytest

import rowtail

from schema import FORMER, SCHEMA, run_script, set_up, steps

LARGEST_ID = 2**53 - 1
LARGEST_GIVEN_ID = 9 * 10**15


@pytest.fixture
def path(workdir):
    return str(workdir / "events.db")


@pytest.fixture
def db(path, fresh):
    fresh(path, "rowtail.sql")
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    yield connection
    connection.close()


def rows(db, columns="id, channel, event, data, retry, created_at", order="id"):
    return db.execute(f"SELECT {columns} FROM events ORDER BY {order}").fetchall()


def ids(db):
    return [row[0] for row in rows(db, "id")]


def pruned(db):
    """The highest deleted id of each channel."""
    return dict(db.execute("SELECT channel, max(id) FROM events_pruned GROUP BY channel"))


def insert(db, **fields):
    """Inserts one row, returns its id."""
    names, marks = ", ".join(fields), ", ".join("?" * len(fields))
    statement = f"INSERT INTO events({names}) VALUES ({marks})"
    return db.execute(statement, list(fields.values())).lastrowid


def insert_many(db, count, channel="default"):
    db.executemany("INSERT INTO events(channel) VALUES (?)", [(channel,)] * count)


def refusal(db, statement, values=()):
    """Runs a statement that must be refused and must change nothing. Returns the message."""
    before = list(db.iterdump())
    with pytest.raises(sqlite3.Error) as refused:
        db.execute(statement, values)
    assert list(db.iterdump()) == before
    return str(refused.value)


# Setting up


def test_database_is_in_wal_mode(db):
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_rerunning_keeps_every_row(db, path):
    insert(db, channel="a", event="made", data="x", retry=5)
    db.execute("INSERT INTO grants(subject, channel) VALUES ('*', 'a')")
    insert_many(db, 3)
    db.execute("DELETE FROM events WHERE id = 2")
    before = list(db.iterdump())
    set_up(path, "rowtail.sql")
    assert sorted(db.iterdump()) == sorted(before)
    assert insert(db, data="next") == 5


def test_a_driver_can_run_the_script(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript((SCHEMA / "rowtail.sql").read_text(encoding="utf-8"))
    assert insert(db, data="x") == 1
    db.close()


@pytest.mark.parametrize(
    "theirs, says",
    [
        ("CREATE TABLE events(id INTEGER PRIMARY KEY, title TEXT)", "events of another kind"),
        (
            "CREATE TABLE Events(id INTEGER PRIMARY KEY, channel, event, data, retry, created_at)",
            "events of another kind",
        ),
        ("CREATE VIEW events AS SELECT 1 AS id, 'x' AS data", "events of another kind"),
        ("CREATE TABLE grants(id INTEGER PRIMARY KEY, amount REAL)", "grants of another kind"),
    ],
)
def test_application_tables_are_not_touched(path, theirs, says):
    """The log may share the application's database, which may have tables with these names."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(theirs)
    before = list(db.iterdump())
    done = run_script(path, "rowtail.sql")
    assert done.returncode != 0
    assert says in done.stderr and "database of its own" in done.stderr
    assert list(db.iterdump()) == before
    db.close()


def test_dump_and_reload_continues_the_ids(db, path):
    insert_many(db, 5)
    db.execute("DELETE FROM events WHERE id > 3")
    dump = subprocess.run(["sqlite3", path, ".dump"], capture_output=True, timeout=60, check=True)
    copy = path + ".copy"
    subprocess.run(["sqlite3", copy], input=dump.stdout, timeout=60, check=True)
    set_up(copy, "rowtail.sql")
    again = sqlite3.connect(copy, isolation_level=None)
    assert rows(again) == rows(db)
    assert pruned(again) == {"default": 5}
    assert insert(again, data="x") == 6
    again.close()


# Ids


def test_shortest_publisher(db):
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(milliseconds=1)
    db.execute("INSERT INTO events(data) VALUES ('hello')")
    after = datetime.datetime.now(datetime.timezone.utc)
    [(row_id, channel, event, data, retry, created_at)] = rows(db)
    assert (row_id, channel, event, data, retry) == (1, "default", None, "hello", None)
    made = datetime.datetime.strptime(created_at, "%Y-%m-%dT%H:%M:%S.%fZ")
    assert len(created_at) == len("2026-01-31T23:59:59.123Z")
    assert before <= made.replace(tzinfo=datetime.timezone.utc) <= after


def test_ids_are_never_reused(db):
    insert_many(db, 3)
    db.execute("DELETE FROM events")
    assert insert(db, data="x") == 4
    db.execute("DELETE FROM events WHERE id = 4")
    assert insert(db, data="x") == 5


def test_rollback_leaves_no_trace(db):
    insert_many(db, 2)
    before = list(db.iterdump())
    db.execute("BEGIN")
    insert_many(db, 2)
    db.execute("DELETE FROM events WHERE id < 4")
    db.execute("ROLLBACK")
    assert list(db.iterdump()) == before


def test_explicit_id_above_all_earlier_ones_is_accepted(db):
    insert_many(db, 2)
    db.execute("INSERT INTO events(id) VALUES (10), (20), (NULL), (22)")
    assert insert(db, data="x") == 23
    assert ids(db) == [1, 2, 10, 20, 21, 22, 23]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO events(id) VALUES (5)",
        "INSERT INTO events(id) VALUES (6)",
        "INSERT INTO events(id) VALUES ('7')",
        "INSERT INTO events(id) VALUES (9)",
        "INSERT INTO events(id) VALUES (10)",
        "INSERT INTO events(id) VALUES (30), (20)",
        "INSERT INTO events(id) VALUES (30), (30)",
        "INSERT INTO events(id) SELECT id + 4 FROM events",
        "INSERT INTO events(id) SELECT 100 - id FROM events",
        "INSERT OR REPLACE INTO events(id) VALUES (5)",
        "INSERT OR REPLACE INTO events(id) VALUES (9)",
        "INSERT OR REPLACE INTO events(id) VALUES (30), (30)",
        "INSERT OR IGNORE INTO events(id) VALUES (5)",
        "INSERT OR IGNORE INTO events(id) VALUES (9)",
        "REPLACE INTO events(id, data) VALUES (5, 'y')",
        "INSERT INTO events(id) VALUES (5) ON CONFLICT(id) DO UPDATE SET data = 'y'",
        "INSERT INTO events(id) VALUES (9) ON CONFLICT DO NOTHING",
    ],
)
def test_lower_explicit_id_is_refused(db, statement):
    insert_many(db, 10)
    db.execute("DELETE FROM events WHERE id > 5")  # 10 was the newest ever used
    assert "ids only grow; leave id out and SQLite numbers the row" in refusal(db, statement)


def test_explicit_id_of_a_row_deleted_in_the_same_statement_is_refused(db):
    db.execute("CREATE TRIGGER keep_none AFTER INSERT ON events BEGIN DELETE FROM events; END")
    assert "ids only grow" in refusal(db, "INSERT INTO events(id) VALUES (10), (10)")


@pytest.mark.parametrize("row_id", [0, -1, -5, LARGEST_ID + 1, 2**63 - 1, -(2**63), "abc", 1.5])
def test_invalid_id_is_refused(db, row_id):
    refusal(db, "INSERT INTO events(id) VALUES (?)", [row_id])


@pytest.mark.parametrize(
    "row_id", [-1, 0, LARGEST_GIVEN_ID + 1, LARGEST_ID - 1, LARGEST_ID, LARGEST_ID + 1]
)
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"])
def test_id_out_of_range_error_says_what_to_do(db, verb, row_id):
    """Also an id so large that it leaves no room for later ids."""
    message = refusal(db, f"{verb} INTO events(id) VALUES (?)", [row_id])
    assert "leave it out and SQLite numbers the row" in message
    assert insert(db, data="x") == 1


def test_largest_explicit_id_leaves_room(db):
    assert insert(db, id=LARGEST_GIVEN_ID) == LARGEST_GIVEN_ID
    assert insert(db, data="x") == LARGEST_GIVEN_ID + 1
    assert LARGEST_ID - LARGEST_GIVEN_ID > 10**12


def use_up_the_ids(db):
    """Rows take the last two ids, so no id is left for another."""
    insert_many(db, 2, "a")
    db.execute("UPDATE sqlite_sequence SET seq = ?", [LARGEST_ID - 2])
    insert(db, channel="b", event="made", data="x\ny", retry=5)
    insert(db, channel="c", created_at="2024-02-29T00:00:00.000Z")
    assert ids(db) == [1, 2, LARGEST_ID - 1, LARGEST_ID]


def test_exhausted_log_error_says_how_to_fix_it(db, path):
    use_up_the_ids(db)
    assert "run after-restore.sql" in refusal(db, "INSERT INTO events(data) VALUES ('x')")
    before = rows(db, "channel, event, data, retry, created_at")
    db.execute("DELETE FROM events WHERE id = 2")
    set_up(path, "after-restore.sql")
    assert rows(db, "channel, event, data, retry, created_at") == before[:1] + before[2:]
    assert insert(db, data="next") == ids(db)[2] + 1 < 10**13
    # The rows that had been sent under their old ids come after the gap.
    assert pruned(db) == {"*": ids(db)[1] - 1}


def test_renumbered_rows_keep_application_columns(db, path):
    db.execute("ALTER TABLE events ADD COLUMN author TEXT")
    use_up_the_ids(db)
    insert_author = "UPDATE events SET author = 'Zoë' WHERE id > 2"
    db.execute("DROP TRIGGER events_row_is_final")
    db.execute(insert_author)
    set_up(path, "rowtail.sql", "after-restore.sql")
    assert [row[0] for row in db.execute("SELECT author FROM events ORDER BY id")] == [
        None,
        None,
        "Zoë",
        "Zoë",
    ]


def test_exhausted_log_of_an_older_version_is_fixed(path):
    set_up(path, "rowtail.sql", directory=FORMER)
    made = sqlite3.connect(path, isolation_level=None)
    insert(made, id=LARGEST_ID, data="x")
    with pytest.raises(sqlite3.IntegrityError):
        insert(made, data="y")
    set_up(path, "rowtail.sql", "after-restore.sql")
    assert rows(made, "data") == [("x",)]
    assert insert(made, data="y") == ids(made)[0] + 1 < 10**13
    made.close()


@pytest.mark.parametrize("channels", ["a", "abababab"])
def test_emptied_sequence_does_not_reuse_ids(db, path, channels):
    for channel in channels:
        insert(db, channel=channel)
    db.execute("DELETE FROM events")
    db.execute("DELETE FROM sqlite_sequence")
    assert "run after-restore.sql" in refusal(db, "INSERT INTO events(data) VALUES ('x')")
    set_up(path, "after-restore.sql")
    assert insert(db, data="x") > len(channels)


# A logged row does not change


@pytest.mark.parametrize(
    "change",
    ["id = id + 100", "channel = 'b'", "event = 'b'", "data = 'b'", "data = data", "retry = 1"]
    + ["created_at = NULL"],
)
@pytest.mark.parametrize("verb", ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"])
def test_update_is_refused(db, verb, change):
    insert(db, channel="a", data="a")
    message = refusal(db, f"{verb} events SET {change} WHERE id = 1")
    assert "a logged row never changes" in message and "insert a new row" in message


# What a record may contain

CHANNELS = ["a", "/", "orders/42", " ", "a b", "'\"%_?[]^-;", "\u00a0", "日本"]
CHANNELS += ["x" * 255, "é" * 127 + "x", "😀" * 63]
NO_CHANNELS = ["", "*", "a*", "orders/*", "a*b", "x" * 256, "é" * 128, "a\nb", "\r", "\t", "\x01"]
NO_CHANNELS += ["a\x1fb", "\x7f", "\x80", "a\x9f", "\x85x", "a\0b", "\0", "a\0*", b"bytes"]


@pytest.mark.parametrize("channel", CHANNELS)
def test_valid_channel_is_accepted(db, channel):
    insert(db, channel=channel)
    assert rows(db, "channel") == [(channel,)]


@pytest.mark.parametrize("channel", NO_CHANNELS)
def test_invalid_channel_is_refused(db, channel):
    assert "channel: " in refusal(db, "INSERT INTO events(channel) VALUES (?)", [channel])


@pytest.mark.parametrize(
    "event", [None, "made", "Open", "a b", "message", "x" * 255, "日本", ":", " x", "gapp"]
)
def test_valid_event_is_accepted(db, event):
    insert(db, event=event)
    assert rows(db, "event") == [(event,)]


@pytest.mark.parametrize(
    "event",
    ["", "a\nb", "a\rb", "\n", "a\0b", "x" * 256, b"bytes"]
    + ["open", "error", "position", "gap", "denied"],
)
def test_invalid_event_is_refused(db, event):
    assert "event: " in refusal(db, "INSERT INTO events(event) VALUES (?)", [event])


def test_refused_events_say_what_to_do(db):
    assert "NULL for a plain message" in refusal(db, "INSERT INTO events(event) VALUES ('')")
    assert "choose another name" in refusal(db, "INSERT INTO events(event) VALUES ('open')")


def test_data_is_stored_unchanged(db):
    texts = ["", "a\r\nb\n\nc\r", "a\0b", "\ufeff", "\u2028😀\x85\x01", "'; DROP", "x" * 1_000_000]
    for text in texts:
        insert(db, data=text)
    assert rows(db, "data") == [(text,) for text in texts]


def test_numbers_become_text(db):
    insert(db, data=12, channel=34, event=5.5)
    assert rows(db, "data, channel, event") == [("12", "34", "5.5")]


def test_blob_is_refused(db):
    assert "bind it as text" in refusal(db, "INSERT INTO events(data) VALUES (x'6869')")


@pytest.mark.parametrize("retry", [None, 0, 1, 3_600_000, "2000", 7.0])
def test_valid_retry_is_accepted(db, retry):
    insert(db, retry=retry)
    assert rows(db, "retry") == [(None if retry is None else int(retry),)]


@pytest.mark.parametrize("retry", [-1, 3_600_001, 1.5, "soon", b"1"])
def test_invalid_retry_is_refused(db, retry):
    assert "from 0 to 3600000" in refusal(db, "INSERT INTO events(retry) VALUES (?)", [retry])


@pytest.mark.parametrize(
    "time", ["2026-01-31T23:59:59.123Z", "2024-02-29T00:00:00.000Z", "0001-01-01T00:00:59.999Z", "9999-12-31T23:59:59.999Z"]
)
def test_valid_created_at_is_accepted(db, time):
    insert(db, created_at=time)
    assert rows(db, "created_at") == [(time,)]


@pytest.mark.parametrize(
    "time",
    [
        "now",
        "",
        "2026-01-31",
        "2026-01-31 23:59:59",
        "2026-01-31T23:59:59Z",
        "2026-01-31T23:59:59.123",
        "2026-01-31T23:59:59.123+00:00",
        "2026-02-30T00:00:00.000Z",
        "2026-13-01T00:00:00.000Z",
        "2026-01-31T24:00:01.000Z",
        "2026-01-31T23:59:60.000Z",
        "2026-01-31T23:59:59.123Z\n",
        "2026-01-31T23:59:59.123Z\0",
        "2026-01-31T23:59:59.123Z\0x",
        "2026-01-31T24:00:00.000Z",
        "2026-01-31T25:00:00.000Z",
        "2026-01-31T23:60:00.000Z",
        "2026-00-31T23:00:00.000Z",
        "2026-01-00T23:00:00.000Z",
        "2026-04-31T23:00:00.000Z",
        "2025-02-29T23:00:00.000Z",
        1769903999,
        b"2026-01-31T23:59:59.123Z",
    ],
)
def test_invalid_created_at_is_refused(db, time):
    message = refusal(db, "INSERT INTO events(created_at) VALUES (?)", [time])
    assert "created_at: UTC such as 2026-01-31T23:59:59.123Z" in message


# Deleting


def test_deleting_keeps_the_highest_id_of_each_channel(db):
    for channel in "abab":
        insert(db, channel=channel)
    db.execute("DELETE FROM events WHERE id = 3")
    assert pruned(db) == {"a": 3}
    db.execute("DELETE FROM events WHERE id = 1")
    assert pruned(db) == {"a": 3}
    db.execute("DELETE FROM events")
    assert pruned(db) == {"a": 3, "b": 4}


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"])
def test_deletes_by_any_trigger_are_recorded(db, verb):
    """A statement's conflict clause also applies in the triggers that it fires."""
    db.execute(
        "CREATE TRIGGER keep_two AFTER INSERT ON events"
        " BEGIN DELETE FROM events WHERE id <= NEW.id - 2; END"
    )
    for _ in range(5):
        db.execute(f"{verb} INTO events(data) VALUES ('x')")
    assert ids(db) == [4, 5]
    assert pruned(db) == {"default": 3}


def test_pruned_marks_are_bounded_and_complete(db):
    count = 25_000
    db.execute("BEGIN")
    channels = [(f"orders/{row_id}",) for row_id in range(1, count + 1)]
    db.executemany("INSERT INTO events(channel) VALUES (?)", channels)
    db.execute("COMMIT")
    db.execute("DELETE FROM events")
    kept = pruned(db)
    assert 5_000 <= len(kept) <= 15_000
    of_any = kept.pop("*")
    for row_id in range(1, count + 1):
        assert kept.get(f"orders/{row_id}") == (row_id if row_id > of_any else None)
    assert of_any <= count - 5_000


def test_pruned_marks_of_backward_deletes_are_bounded(db):
    """Each deletion is a later one of a lower id, so each gets a row, until rows are merged."""
    count = 25_000
    db.execute("BEGIN")
    insert_many(db, count, "a")
    db.executemany("DELETE FROM events WHERE id = ?", [(row_id,) for row_id in range(count, 0, -1)])
    db.execute("COMMIT")
    kept = db.execute("SELECT id FROM events_pruned ORDER BY deletion").fetchall()
    assert 5_000 <= len(kept) <= 15_000
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == (count,)
    # A reader that knows all but the last few deletions is told of the lowest ids, and of no more than was merged.
    (told,) = db.execute("SELECT max(deletion) - 1 FROM events_pruned").fetchone()
    (later,) = db.execute("SELECT max(id) FROM events_pruned WHERE deletion > ?", [told]).fetchone()
    assert 1 <= later < count - 5_000


def test_deletion_numbers_only_grow(db, path):
    insert_many(db, 100, "a")
    newest = 0
    for statement in [
        "DELETE FROM events WHERE id = 50",
        "DELETE FROM events WHERE id = 40",
        "DELETE FROM events WHERE id < 60",
        "DELETE FROM events",
        None,
    ]:
        if statement:
            db.execute(statement)
        else:
            set_up(path, "after-restore.sql")
        (number,) = db.execute("SELECT max(deletion) FROM events_pruned").fetchone()
        assert number > newest
        newest = number


def test_pruned_table_of_another_form_is_not_touched(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("CREATE TABLE events_pruned(channel TEXT PRIMARY KEY, id INTEGER) WITHOUT ROWID")
    before = list(db.iterdump())
    done = run_script(path, "rowtail.sql")
    assert done.returncode != 0
    assert "DROP TABLE events_pruned" in done.stderr and "after-restore.sql" in done.stderr
    assert list(db.iterdump()) == before
    db.execute("DROP TABLE events_pruned")
    set_up(path, "rowtail.sql")
    db.close()


def test_no_row_is_marked_pruned_before_it_is_deleted(db):
    insert_many(db, 3)
    insert(db, channel="b")
    assert pruned(db) == {}


# Grants

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize("subject", ["*", "user:ann", "user:a b/ö*", "token:" + HEX])
@pytest.mark.parametrize(
    "channel", ["*", "a", "orders/42", "orders/*", "a/b/*", "/x/*", "x" * 253 + "/*"]
)
def test_valid_grant_is_accepted(db, subject, channel):
    db.execute("INSERT INTO grants(subject, channel) VALUES (?, ?)", [subject, channel])
    assert db.execute("SELECT * FROM grants").fetchall() == [(subject, channel, None)]


@pytest.mark.parametrize(
    "subject",
    ["", "ann", "user:", "User:ann", "**", None, b"*", "token:", "token:secret"]
    + ["token:" + HEX.upper(), "token:" + HEX[1:], "token:" + HEX + "0", "token:" + HEX[:63] + "g"]
    + ["token:" + HEX[:63] + "é", "token:" + HEX + "\0"],
)
def test_invalid_subject_is_refused(db, subject):
    message = refusal(db, "INSERT INTO grants(subject, channel) VALUES (?, 'a')", [subject])
    assert "subject" in message


def test_plain_token_is_refused_with_the_reason(db):
    message = refusal(db, "INSERT INTO grants(subject, channel) VALUES ('token:secret', 'a')")
    assert "64 lower-case hex digits of the token's SHA-256" in message


@pytest.mark.parametrize(
    "channel",
    ["", "**", "a*", "*a", "*/a", "a/*/b", "a/**", "/*", "a/*/*", "x" * 256, "x" * 254 + "/*"]
    + ["a\nb", "a\0b", "a\0/*", "\x9f", None, b"a"],
)
def test_invalid_pattern_is_refused(db, channel):
    message = refusal(db, "INSERT INTO grants(subject, channel) VALUES ('*', ?)", [channel])
    assert "channel" in message


EXPIRIES = ["2026-01-31 23:59:59", "2026-01-31T23:59:59Z", "2026-01-31 23:59:59.5"]
EXPIRIES += ["2024-02-29T00:00:00.123Z"]
# As Python's isoformat() writes UTC.
EXPIRIES += ["2026-01-31T23:59:59+00:00", "2026-01-31T23:59:59.123456+00:00"]


@pytest.mark.parametrize("time", EXPIRIES)
def test_valid_expiry_is_accepted_and_understood_by_sqlite(db, time):
    db.execute("INSERT INTO grants VALUES ('*', 'a', ?)", [time])
    [(day, text)] = db.execute("SELECT julianday(expires_at), expires_at FROM grants")
    assert text == time and 2_460_000 < day < 2_461_500


def test_expiry_may_be_computed(db):
    db.execute("INSERT INTO grants VALUES ('*', 'a', datetime('now', '+1 day'))")
    [(left,)] = db.execute("SELECT julianday(expires_at) - julianday('now') FROM grants")
    assert 0.99 < left <= 1


@pytest.mark.parametrize(
    "time",
    ["", "now", "tomorrow", "2026-01-31", "23:59:59", "2026-01-31 23:59", "2461072.5", 5, b"x"]
    + ["2026-02-30 00:00:00", "2026-01-31 23:59:59+02:00", "2026-01-31 23:59:59."]
    + ["2026-01-31 23:59:59ZZ", "2026-01-31 23:59:59.12Z4"],
)
def test_invalid_expiry_is_refused(db, time):
    message = refusal(db, "INSERT INTO grants VALUES ('*', 'a', ?)", [time])
    assert "expires_at: NULL, or a time in UTC such as 2026-01-31 23:59:59" in message


def test_duplicate_grant_is_refused(db):
    db.execute("INSERT INTO grants(subject, channel) VALUES ('*', 'a')")
    assert "UNIQUE" in refusal(db, "INSERT INTO grants(subject, channel) VALUES ('*', 'a')")


# After a restore


def test_no_id_is_reused_after_a_restore(db, path):
    insert_many(db, 3, "a")
    db.execute("DELETE FROM events WHERE id = 1")
    db.execute("VACUUM INTO ?", [path + ".backup"])
    insert_many(db, 1000, "b")  # these are lost
    lost = max(ids(db))
    set_up(path + ".backup", "after-restore.sql")
    restored = sqlite3.connect(path + ".backup", isolation_level=None)
    assert ids(restored) == [2, 3]
    first = insert(restored, data="x")
    now = datetime.datetime.now(datetime.timezone.utc).timestamp() * 1000
    assert lost < first and now - 60_000 < first < now + 1000
    assert pruned(restored) == {"*": first - 1}
    assert insert(restored, data="y") == first + 1
    restored.close()


def test_after_restore_can_run_twice(db, path):
    insert_many(db, 3)
    for _ in range(2):
        set_up(path, "after-restore.sql")
    newest = insert(db, data="x")
    assert pruned(db) == {"*": newest - 1}
    assert ids(db) == [1, 2, 3, newest]


def test_after_restore_of_an_empty_log(db, path):
    set_up(path, "after-restore.sql")
    assert insert(db, data="x") > 1_700_000_000_000


def test_after_restore_never_lowers_the_next_id(db, path):
    insert(db, id=LARGEST_GIVEN_ID - 10)
    db.execute("DELETE FROM events")
    set_up(path, "after-restore.sql")
    assert insert(db, data="x") == LARGEST_GIVEN_ID - 9


# Cost


def test_cost_does_not_grow_with_the_log(db):
    def costs():
        oldest = ids(db)[0]
        return (
            steps(db, "INSERT INTO events(channel, data) VALUES ('a', 'x')"),
            steps(db, f"DELETE FROM events WHERE id = {oldest}"),
            steps(db, "SELECT id FROM events WHERE channel = 'b' AND id > 100 ORDER BY id LIMIT 10"),
        )

    insert_many(db, 100, "a")
    few = costs()
    insert_many(db, 20_000, "a")
    for before, after in zip(few, costs()):
        assert after < before * 1.2 + 10


# What --check says about it


def check(path):
    done = rowtail.run("--check", "--db", path, "--public")
    return done.returncode, done.stdout


def test_check_passes_on_a_new_log(db, path):
    set_up(path, "retention.sql")
    insert(db, data="x")
    status, said = check(path)
    assert status == 0 and "schema/" not in said


def test_check_reports_exhausted_ids_and_the_fix(db, path):
    use_up_the_ids(db)
    status, said = check(path)
    assert status == 78 and "WRONG" in said and f"sqlite3 {path} < schema/after-restore.sql" in said
    set_up(path, "after-restore.sql")
    assert check(path)[0] == 0


def test_check_warns_of_nearly_exhausted_ids(db, path):
    db.execute("INSERT INTO events(data) VALUES ('x')")
    db.execute("UPDATE sqlite_sequence SET seq = ?", [LARGEST_ID - 2])
    status, said = check(path)
    assert status == 0 and "ids will soon run out. To fix it: sqlite3" in said


def test_check_reports_a_log_of_an_older_version(path):
    set_up(path, "rowtail.sql", "retention.sql", directory=FORMER)
    status, said = check(path)
    assert status == 0
    assert f"sqlite3 {path} < schema/rowtail.sql" in said and f"sqlite3 {path} < schema/retention.sql" in said
    assert "older than 3.8.2" in said
    set_up(path, "rowtail.sql", "retention.sql")
    assert "schema/" not in check(path)[1]


def test_check_warns_of_deletes_that_bypass_triggers(db, path):
    db.execute("CREATE UNIQUE INDEX by_event ON events(event)")
    status, said = check(path)
    assert status == 0 and "INSERT OR REPLACE would delete rows" in said
