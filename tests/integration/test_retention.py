"""schema/retention.sql: it prunes exactly the rows that its rules cover."""

import collections
import datetime
import pathlib
import sqlite3
import subprocess

import pytest

from schema import SCHEMA, counts, run_script, set_up, steps


def run_script_of(db, name):
    [(_, _, path)] = db.execute("PRAGMA database_list")
    set_up(path, name)


@pytest.fixture
def path(workdir):
    return str(workdir / "events.db")


@pytest.fixture
def db(path, fresh):
    fresh(path, "rowtail.sql", "retention.sql")
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    yield connection
    connection.close()


def keep(db, channel="", rows=None, seconds=None):
    db.execute("INSERT OR REPLACE INTO retention VALUES (?, ?, ?)", [channel, rows, seconds])


def ago(seconds):
    """The time so many seconds ago, in the format of created_at."""
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)
    return then.strftime("%Y-%m-%dT%H:%M:%S.") + f"{then.microsecond // 1000:03d}Z"


def insert(db, channel="default", count=1, age=0):
    """Inserts rows of this age, one statement each; returns their ids."""
    statement = "INSERT INTO events(channel, created_at) VALUES (?, ?)"
    return [db.execute(statement, [channel, ago(age)]).lastrowid for _ in range(count)]


def ids(db, channel=None):
    where = "" if channel is None else "WHERE channel = :channel"
    rows = db.execute(f"SELECT id FROM events {where} ORDER BY id", {"channel": channel})
    return [row[0] for row in rows]


def due(db):
    return [row[0] for row in db.execute("SELECT channel FROM retention_due ORDER BY channel")]


def assert_counts_are_right(db):
    counted, needed = counts(db)
    assert counted == needed


# By number


def test_nothing_is_pruned_without_a_rule(db):
    made = insert(db, "a", 50) + insert(db, "b", 50, age=10_000_000)
    assert ids(db) == made and due(db) == []


def test_log_rule_keeps_the_newest_rows(db):
    keep(db, rows=10)
    made = []
    for number in range(40):
        made += insert(db, f"room/{number % 7}")
        assert ids(db) == made[-10:]
    assert_counts_are_right(db)


def test_channel_rule_keeps_the_newest_rows(db):
    keep(db, "room/*", rows=3)
    made = collections.defaultdict(list)
    for number in range(60):
        for channel in (f"room/{number % 5}", "other"):
            made[channel] += insert(db, channel)
    for channel, its_ids in made.items():
        assert ids(db, channel) == (its_ids if channel == "other" else its_ids[-3:])


def test_keep_rows_of_one(db):
    keep(db, rows=1)
    made = insert(db, count=5)
    assert ids(db) == made[-1:]


@pytest.mark.parametrize(
    "channel, stay",
    [("a/b/c", 2), ("a/b/d", 3), ("a/x", 4), ("a", 5), ("z", 5), ("a/bc", 4), ("a/b/c/d", 3)],
)
def test_narrowest_rule_wins(db, channel, stay):
    for rule, rows in [("*", 5), ("a/b/c", 2), ("a/*", 4), ("a/b/*", 3)]:
        keep(db, rule, rows=rows)
    made = insert(db, channel, 9)
    assert ids(db) == made[-stay:]


def test_name_wins_over_pattern_of_equal_length(db):
    keep(db, "a/*", rows=2)
    keep(db, "a/b", rows=6)
    made = insert(db, "a/b", 9)
    assert ids(db) == made[-6:]


def test_rule_without_limits_exempts_its_channel(db):
    keep(db, "*", rows=2)
    keep(db, "audit")
    made = insert(db, "audit", 10)
    insert(db, "a", 10)
    assert ids(db, "audit") == made


def test_log_rule_applies_in_addition_to_channel_rule(db):
    keep(db, rows=5)
    keep(db, "*", rows=3)
    _, b, c = (insert(db, channel, 4) for channel in "abc")
    assert ids(db) == b[-2:] + c[-3:]


def test_gaps_between_ids_do_not_count_as_rows(db):
    keep(db, rows=5)
    made = insert(db, count=4)
    db.execute("INSERT INTO events(id) VALUES (1000000)")
    assert ids(db) == made + [1000000]
    run_script_of(db, "after-restore.sql")
    insert(db)
    assert len(ids(db)) == 5 and ids(db)[:4] == made[1:] + [1000000]


# By age


def test_old_rows_are_pruned_and_new_rows_stay(db):
    keep(db, seconds=60)
    insert(db, "a", 3, age=100)
    young = insert(db, "b", 3, age=20)
    newest = insert(db, "c")
    assert ids(db) == young + newest
    assert_counts_are_right(db)


def test_row_can_be_too_old_at_insert(db):
    keep(db, seconds=60)
    insert(db, "a", 2, age=100)
    assert ids(db) == []
    assert_counts_are_right(db)
    young = insert(db, "a", 2)
    assert ids(db) == young
    assert_counts_are_right(db)


def test_row_too_old_at_insert_does_not_change_the_count(db):
    """The log's rule once deleted it uncounted; then each new row of the channel vanished in its own INSERT."""
    keep(db, seconds=3600)
    keep(db, "a", rows=1, seconds=86400)
    insert(db, "a", age=366 * 86400)
    assert_counts_are_right(db)
    for _ in range(3):
        young = insert(db, "a")
        assert ids(db, "a") == young
        assert_counts_are_right(db)


def test_rows_of_a_quiet_channel_expire(db):
    old = {channel: insert(db, channel, 5, age=100) for channel in ("x/1", "x/2", "y")}
    keep(db, "x/*", seconds=60)
    assert ids(db) == sum(old.values(), [])  # nothing has been inserted since
    busy = insert(db, "busy", 10)
    assert ids(db) == old["y"] + busy


def test_row_and_age_limits_do_not_add_up(db):
    """Ten old rows and two new ones, of which three may stay: only the new ones do."""
    keep(db, "a", rows=3, seconds=60)
    db.execute("DROP TRIGGER retention_inserted")  # so that all exceed the limit at once
    insert(db, "a", 10, age=100)
    young = insert(db, "a", 2)
    run_script_of(db, "retention.sql")
    young += insert(db, "a")
    insert(db, "b", 3)
    young += insert(db, "a")
    assert ids(db, "a") == young[-3:]
    assert_counts_are_right(db)


# Deleted rows are recorded


def test_pruned_rows_are_recorded_for_readers(db):
    keep(db, "a", rows=2)
    made = insert(db, "a", 5)
    insert(db, "b", 5)
    assert dict(db.execute("SELECT channel, max(id) FROM events_pruned GROUP BY channel")) == {"a": made[2]}


def test_last_insert_rowid_is_the_publishers_own(db):
    keep(db, "*", rows=1, seconds=60)
    keep(db, rows=2)
    assert insert(db, "a", 5) == [1, 2, 3, 4, 5]


# Changed rules


def test_changed_rules_apply_from_the_next_insert(db):
    keep(db, rows=5)
    insert(db, count=10)
    db.execute("UPDATE retention SET keep_rows = 7")
    assert len(ids(db)) == 5
    insert(db, count=10)
    assert len(ids(db)) == 7
    db.execute("DELETE FROM retention")
    insert(db, count=10)
    assert len(ids(db)) == 17


def test_manual_deletes_and_rollbacks_keep_the_count_right(db):
    keep(db, "*", rows=4)
    insert(db, "a", 4)
    db.execute("DELETE FROM events WHERE id IN (2, 3)")
    made = insert(db, "a", 2)
    assert ids(db) == [1, 4] + made
    db.execute("BEGIN")
    insert(db, "a", 3)
    db.execute("ROLLBACK")
    assert ids(db) == [1, 4] + made
    db.execute("DELETE FROM events")
    assert_counts_are_right(db)


def test_rerunning_the_script_keeps_rules_and_recounts(db):
    keep(db, rows=5)
    insert(db, "a", 7)
    db.execute("UPDATE retention_counts SET row_count = 100")  # whatever went wrong
    run_script_of(db, "retention.sql")
    assert_counts_are_right(db)
    assert ids(db) == [3, 4, 5, 6, 7]
    insert(db)
    assert ids(db) == [4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "rule",
    ["(channel) VALUES ('a*')", "(channel) VALUES (NULL)", "(keep_rows) VALUES (0)"]
    + ["(keep_rows) VALUES (-1)", "(keep_rows) VALUES ('many')", "(keep_rows) VALUES (1.5)"]
    + ["(keep_seconds) VALUES (0)", "(keep_seconds) VALUES (1e10)"],
)
def test_invalid_rule_is_refused(db, rule):
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO retention" + rule)
    made = insert(db, count=3)
    assert ids(db) == made


def test_rowtail_sql_must_run_first(path):
    done = run_script(path, "retention.sql")
    assert done.returncode != 0 and "run rowtail.sql first" in done.stderr
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT * FROM sqlite_master").fetchall() == []


def test_application_table_of_the_same_name_is_not_touched(path):
    run_script(path, "rowtail.sql")
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE retention(rate REAL)")
        before = list(db.iterdump())
        done = run_script(path, "retention.sql")
        assert done.returncode != 0 and "retention of another kind" in done.stderr
        assert list(db.iterdump()) == before


# A large log


def test_insert_deletes_only_a_few_rows(db):
    insert(db, "a", 100)
    keep(db, rows=10)
    left = 100
    while left > 10:
        insert(db, "a")
        assert left - 10 <= len(ids(db)) < left
        left = len(ids(db))
    assert left == 10


def cron_command():
    """The loop that the first comment of retention.sql gives for cron."""
    lines = (SCHEMA / "retention.sql").read_text(encoding="utf-8").splitlines()
    comment = [line[2:].strip() for line in lines if line.startswith("--")]
    [first] = [number for number, line in enumerate(comment) if line.startswith("until ")]
    [last] = [number for number, line in enumerate(comment) if line.startswith("do ")]
    return "\n".join(comment[first : last + 1])


def test_the_command_for_cron_prunes_a_large_log_in_steps(db, path):
    db.execute("BEGIN")
    old = insert(db, "old", 3_000, age=100)
    for channel in range(30):
        insert(db, f"room/{channel}", 20)
    large = insert(db, "large", 2_500)
    db.execute("COMMIT")
    keep(db, "old", seconds=60)
    keep(db, "room/*", rows=5)
    keep(db, "large", rows=10)
    assert ids(db, "old") == old
    directory = pathlib.Path(path).parent
    done = subprocess.run(
        ["sh", "-euc", cron_command()], cwd=directory, capture_output=True, timeout=120, check=True
    )
    assert done.stderr == b"" and due(db) == []
    assert ids(db, "old") == [] and ids(db, "large") == large[-10:]
    assert len(ids(db)) == 10 + 30 * 5
    assert_counts_are_right(db)


@pytest.mark.parametrize("rule", [("", 10, None), ("a", 10, None), ("", None, 60), ("a", None, 60)])
def test_step_deletes_no_more_than_its_limit(db, rule):
    """90 rows are too many, or too old."""
    made = insert(db, "a", 90, age=100) + insert(db, "a", 10)
    keep(db, *rule)
    db.execute("INSERT INTO retention_step VALUES (25)")
    assert ids(db) == made[25:]
    db.execute("INSERT INTO retention_step VALUES (1)")
    assert ids(db) == made[26:]
    assert due(db) == [rule[0]]
    db.execute("INSERT INTO retention_step VALUES ('1000')")
    assert ids(db) == made[90:] and due(db) == []


@pytest.mark.parametrize("at_most", [0, -1, None, "many"])
def test_empty_step_is_refused(db, at_most):
    made = insert(db, count=5)
    keep(db, rows=1)
    with pytest.raises(sqlite3.IntegrityError, match="how many rows to delete at most"):
        db.execute("INSERT INTO retention_step VALUES (?)", [at_most])
    assert ids(db) == made


# Cost


@pytest.mark.parametrize("rule", [("", 1000, 3600), ("*", 100_000, 3600), ("r/*", 50, 3600)])
def test_cost_of_an_insert_does_not_grow_with_the_log(db, rule):
    keep(db, *rule)

    def cost():
        return max(steps(db, "INSERT INTO events(channel) VALUES ('r/1')") for _ in range(3))

    insert(db, "r/1", 1100)
    few = cost()
    db.execute("BEGIN")
    for channel in range(2_000):
        insert(db, f"r/{channel}", 3)
    db.execute("COMMIT")
    assert cost() < few * 1.3 + 10
