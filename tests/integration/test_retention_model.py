"""schema/retention.sql against a model: plain queries say what remains and what is counted after each statement.

Writers with all SQLite versions take turns on one database. SQLite promises no order among a table's
triggers, so they are created in any order. A writer may set recursive_triggers or foreign_keys, or use INSERT
OR REPLACE.
"""

import contextlib
import datetime
import random
import sqlite3

import pytest

import full
from schema import VERSIONS, Shell, counts

CHANNELS = ["a", "b", "c", "r/1", "r/2", "r/2/x"]
RULES = ["", "", "*", "a", "b", "r/*", "r/1", "r/2/*"]
SECONDS = 3600
# How long ago a row was inserted, in seconds, and whether that is too old.
AGES = [(0, False), (0, False), (0, False), (1800, False), (-86400, False), (-(10**9), False)]
AGES += [(3700, True), (7200, True), (10**9, True), (6 * 10**10, True)]


def written(age):
    """The time so many seconds ago, in the format of created_at."""
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)
    return f"{then.year:04d}" + then.strftime("-%m-%dT%H:%M:%S.") + f"{then.microsecond // 1000:03d}Z"


class Model:
    """The expected rows, computed the plain way."""

    def __init__(self):
        self.rows = []  # (id, channel, is old), oldest first
        self.rules = {}  # channel -> (rows, seconds)

    def rule(self, channel):
        covering = [
            (len(rule), rule)
            for rule in self.rules
            if rule and rule[-1] == "*" and channel.startswith(rule[:-1])
        ]
        best = channel if channel in self.rules else max(covering, default=(0, None))[1]
        return self.rules.get(best, (None, None))

    def newer(self, row_id, channel=None):
        return sum(1 for row in self.rows if row[0] > row_id and channel in (None, row[1]))

    def may_leave(self, row):
        """Does the row exceed its channel's rule or the log's?"""
        row_id, channel, is_old = row
        limits = [(self.rule(channel), self.newer(row_id, channel))]
        limits.append((self.rules.get("", (None, None)), self.newer(row_id)))
        return any(
            (rows is not None and newer >= rows) or (seconds is not None and is_old)
            for (rows, seconds), newer in limits
        )


class World:
    """One database, its writers, and its expected contents."""

    class SetBack(Exception):
        """A statement was refused, since its ids seemed to have been used before."""

    def __init__(self, path, seed, versions):
        self.chance = random.Random(seed)
        self.model = Model()
        self.next_id = 1
        self.db = sqlite3.connect(path, timeout=20, isolation_level=None)
        self.db.execute("PRAGMA synchronous = OFF")
        self.shells = [Shell(path, version) for version in versions]
        for shell in self.shells:
            shell.sql("PRAGMA synchronous = OFF")

    def close(self):
        self.db.close()
        for shell in self.shells:
            shell.close()

    def run(self, writer, statement):
        try:
            (writer.execute if writer is self.db else writer.sql)(statement)
        except (sqlite3.IntegrityError, Shell.Refused) as refused:
            raise World.SetBack if "sqlite_sequence was set back" in str(refused) else refused

    def execute(self, statement):
        """Executes a statement by any writer, with any settings."""
        writer = self.chance.choice([self.db, *self.shells])
        for setting in ("recursive_triggers", "foreign_keys", "reverse_unordered_selects"):
            if self.chance.random() < 0.2:
                self.run(writer, f"PRAGMA {setting} = {self.chance.choice(['ON', 'OFF'])}")
        self.run(writer, statement)

    def shuffle_triggers(self):
        made = self.db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        self.chance.shuffle(made)
        self.db.execute("BEGIN IMMEDIATE")
        for name, _ in made:
            self.db.execute(f'DROP TRIGGER "{name}"')
        for _, sql in made:
            self.db.execute(sql)
        self.db.execute("COMMIT")

    # Actions.

    def change_rule(self):
        channel = self.chance.choice(RULES)
        rule = self.chance.choice([None, 1, 2, 5, 9]), self.chance.choice([None, None, SECONDS])
        self.model.rules[channel] = rule
        rows, seconds = ("NULL" if value is None else value for value in rule)
        self.execute(f"INSERT OR REPLACE INTO retention VALUES ('{channel}', {rows}, {seconds})")

    def drop_rule(self):
        if self.model.rules:
            channel = self.chance.choice(list(self.model.rules))
            del self.model.rules[channel]
            self.execute(f"DELETE FROM retention WHERE channel = '{channel}'")

    def delete(self):
        gone = [row[0] for row in self.model.rows if self.chance.random() < 0.2]
        self.model.rows = [row for row in self.model.rows if row[0] not in gone]
        self.execute(f"DELETE FROM events WHERE id IN ({', '.join(map(str, gone))})")

    def take_step(self):
        self.execute(f"INSERT INTO retention_step VALUES ({self.chance.choice([1, 3, 100])})")

    def insert(self):
        values = []
        for _ in range(self.chance.choice([1, 1, 1, 1, 2, 12])):
            channel = self.chance.choice(CHANNELS)
            age, is_old = self.chance.choice(AGES)
            self.model.rows.append((self.next_id, channel, is_old))
            self.next_id += 1
            values.append(f"SELECT '{channel}', '{written(age)}'")
        verb = self.chance.choice(["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE", "INSERT OR ROLLBACK"])
        self.execute(f"{verb} INTO events(channel, created_at) {' UNION ALL '.join(values)}")

    def insert_and_roll_back(self):
        writer = self.chance.choice([self.db, *self.shells])
        self.run(writer, "BEGIN")
        try:
            for channel in self.chance.choices(CHANNELS, k=5):
                self.run(writer, f"INSERT INTO events(channel) VALUES ('{channel}')")
            self.run(writer, "DELETE FROM events WHERE id % 3 = 0")
        finally:
            self.run(writer, "ROLLBACK")

    def do_something(self):
        deeds = [self.insert] * 20 + [self.change_rule, self.drop_rule, self.delete, self.take_step]
        self.chance.choice([*deeds, self.insert_and_roll_back])()

    # Checks.

    def check_counts(self):
        counted, needed = counts(self.db)
        assert counted == needed
        due = {
            channel: max(count - keep, 0)
            for channel, count in counted.items()
            if (keep := (self.model.rule(channel) if channel else self.model.rules.get("", (None, None)))[0])
        }
        found = self.db.execute("SELECT channel, too_many FROM retention_due WHERE too_many > 0")
        assert dict(found) == {channel: over for channel, over in due.items() if over}

    def check_rows(self):
        left = {row[0] for row in self.db.execute("SELECT id FROM events")}
        for row in self.model.rows:
            assert row[0] in left or self.model.may_leave(row), row
        self.model.rows = [row for row in self.model.rows if row[0] in left]
        assert left == {row[0] for row in self.model.rows}

    def check_nothing_is_due_in_the_end(self):
        for _ in range(20):
            self.execute("INSERT INTO retention_step VALUES (100)")
        assert self.db.execute("SELECT * FROM retention_due").fetchall() == []
        self.check_counts()
        self.check_rows()
        assert [row for row in self.model.rows if not row[2] and self.model.may_leave(row)] == []


@pytest.fixture
def world(workdir, fresh):
    worlds = []

    def make(seed, versions=VERSIONS):
        path = str(workdir / f"{seed}.db")
        fresh(path, "rowtail.sql", "retention.sql")
        worlds.append(World(path, seed, versions))
        return worlds[-1]

    yield make
    for one in worlds:
        one.close()


@pytest.mark.parametrize("seed", range(8))
def test_exactly_the_rows_over_a_rule_are_pruned(world, seed):
    """Odd seeds: with the triggers in any order."""
    here = world(seed, VERSIONS if seed < 4 else [])
    for number in range(300 if full.FULL else 120):
        if seed % 2 and number % 50 == 0:
            here.shuffle_triggers()
        here.do_something()
        here.check_counts()
        here.check_rows()
    here.check_nothing_is_due_in_the_end()


# An application's own triggers and indexes on the log.
THEIRS = {
    "keeps two": "AFTER INSERT ON events BEGIN DELETE FROM events WHERE id <= NEW.id - 2; END",
    "keeps none": "AFTER INSERT ON events BEGIN DELETE FROM events; END",
    "deletes what it gets": "AFTER INSERT ON events WHEN NEW.channel = 'a'"
    " BEGIN DELETE FROM events WHERE id = NEW.id; END",
    "tells another channel": "AFTER INSERT ON events WHEN NEW.channel GLOB 'r/*'"
    " BEGIN INSERT INTO events(channel) VALUES ('all'); END",
    "tells the same channel": "AFTER INSERT ON events WHEN NEW.channel = 'a' AND NEW.id % 3 = 0"
    " BEGIN INSERT INTO events(channel, event) VALUES ('a', 'again'); END",
    "tells what left": "AFTER DELETE ON events WHEN OLD.channel <> 'gone'"
    " BEGIN INSERT INTO events(channel) VALUES ('gone'); END",
    "takes more with it": "AFTER DELETE ON events BEGIN DELETE FROM events WHERE id = OLD.id + 1; END",
    "protects rows": "BEFORE DELETE ON events WHEN OLD.channel = 'b' BEGIN SELECT RAISE(IGNORE); END",
    "passes rows over": "BEFORE INSERT ON events WHEN NEW.channel = 'c' BEGIN SELECT RAISE(IGNORE); END",
}


@pytest.mark.parametrize("theirs", THEIRS)
def test_counts_are_right_with_other_triggers(world, theirs):
    here = world(sum(map(ord, theirs)), ["3.7.17"])
    here.db.execute(f"CREATE TRIGGER theirs {THEIRS[theirs]}")
    for number in range(200):
        if number % 25 == 24:
            here.shuffle_triggers()
        # Here a row can be inserted and deleted before events_numbered sees the row that was inserted before it. It
        # then refuses the statement, which changes nothing.
        with contextlib.ExitStack() as refusals:
            if theirs == "tells what left":
                refusals.enter_context(contextlib.suppress(here.SetBack))
            here.do_something()
        here.model.rows = here.db.execute("SELECT id, channel, 0 FROM events ORDER BY id").fetchall()
        here.check_counts()


def test_replaced_row_is_counted_where_delete_triggers_run(world):
    """The application has a UNIQUE index, and a writer with recursive_triggers uses INSERT OR REPLACE."""
    here = world(2, ["3.7.17"])
    ever = set()
    here.db.execute("CREATE UNIQUE INDEX by_data ON events(channel, data)")
    here.db.execute("INSERT INTO retention VALUES ('a', 4, NULL), ('', 1000, NULL)")
    here.model.rules = {"a": (4, None), "": (1000, None)}
    for number in range(40):
        writer = here.chance.choice([here.db.execute, here.shells[0].sql])
        writer("PRAGMA recursive_triggers = ON")
        verb = here.chance.choice(["INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE"])
        writer(f"{verb} INTO events(channel, data) VALUES ('{'ab'[number % 2]}', '{here.chance.randrange(7)}')")
        here.check_counts()
        ever.update(row[0] for row in here.db.execute("SELECT id FROM events"))
    left = {row[0] for row in here.db.execute("SELECT id FROM events")}
    assert here.db.execute("SELECT max(id) FROM events_pruned").fetchone() == (max(ever - left),)


def test_row_too_old_is_pruned_in_any_trigger_order(world):
    here = world(1, [])
    here.execute("INSERT INTO retention VALUES ('', NULL, 3600), ('a', 1, 86400), ('b', 10, NULL)")
    for number in range(60):
        here.shuffle_triggers()
        for channel in "ab":
            here.db.execute("INSERT INTO events(channel, created_at) VALUES (?, ?)", [channel, written(10**8)])
            made = here.db.execute("INSERT INTO events(channel) VALUES (?)", [channel]).lastrowid
            kept = [row[0] for row in here.db.execute("SELECT id FROM events WHERE channel = ?", [channel])]
            assert made in kept, number
            counted, needed = counts(here.db)
            assert counted == needed and "" in needed and "a" in needed
    assert max(kept) == made and len(kept) == 10
