"""schema/postgresql.sql: a reader that asks for "id > last" gets every committed row once, in order, on every server."""

import contextlib
import io
import os
import random
import threading
import time

import pytest

import full
import postgresql

psycopg2 = pytest.importorskip("psycopg2")

FILE = "schema/postgresql.sql"
SECONDS = 1.5
WRITERS = 6
# Numbers at INSERT as a sequence does: the fault that the test must see.
AT_INSERT = """
DROP TRIGGER events_number ON events;
CREATE FUNCTION at_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.id := nextval('events_order'); RETURN NEW; END $$;
CREATE TRIGGER zz_at_insert BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION at_insert();
"""


@pytest.fixture(scope="module")
def cluster():
    """A server of its own: a standby begins with a copy of all its databases."""
    with postgresql.running() as started:
        yield started


class Writer(threading.Thread):
    """Publishes in every way, in transactions that pause and sometimes roll back; notes what it committed, in order."""

    def __init__(self, cluster, dbname, name, end):
        super().__init__(name=name)
        self.random = random.Random(name)
        self.server = cluster
        self.connection = cluster.connect(dbname, autocommit=False)
        self.end = end
        self.serial = 0
        self.committed = []
        self.failures = []

    def texts(self, count):
        self.serial += count
        return [f"{self.name}:{number}" for number in range(self.serial - count + 1, self.serial + 1)]

    def one(self, cursor):
        texts = self.texts(1)
        cursor.execute("INSERT INTO events(data) VALUES (%s) RETURNING id", texts)
        assert cursor.fetchone()[0] != 0
        return texts

    def several(self, cursor):
        texts = self.texts(self.random.randint(2, 5))
        cursor.execute("INSERT INTO events(data) SELECT unnest(%s)", [texts])
        return texts

    def copied(self, cursor):
        texts = self.texts(3)
        cursor.copy_expert("COPY events(data) FROM STDIN", io.StringIO("\n".join(texts) + "\n"))
        return texts

    def undone(self, cursor):
        cursor.execute("SAVEPOINT s")
        self.several(cursor)
        cursor.execute("ROLLBACK TO s")
        return []

    def nested(self, cursor):
        cursor.execute("SAVEPOINT s")
        texts = self.several(cursor)
        cursor.execute("RELEASE s")
        return texts

    def at_once(self, cursor):
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        texts = self.one(cursor) + self.several(cursor)
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        return texts + self.one(cursor)

    def granted(self, cursor):
        cursor.execute("INSERT INTO grants VALUES ('*', %s)", [f"{self.name}/{self.serial}/{time.monotonic()}"])
        return []

    def transaction(self):
        texts = []
        with self.connection.cursor() as cursor:
            how = self.random.random()
            if how < 0.3:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL " + ("SERIALIZABLE" if how < 0.15 else "REPEATABLE READ"))
            # Behind a pooler, those that wait for a prepared transaction can have all connections, so nobody can commit it.
            two_phases = self.random.random() < 0.1 and not isinstance(self.server, postgresql.Pooled)
            if two_phases:
                cursor.execute("SET LOCAL rowtail.notify = off")
            for _ in range(self.random.randint(1, 3)):
                step = self.random.choice([self.one, self.one, self.several, self.copied, self.undone, self.nested,
                                           self.at_once, self.granted])
                texts += step(cursor)
                # An idle publisher, in its transaction.
                time.sleep(self.random.choice([0, 0, 0.002, 0.01]))
            if self.random.random() < 0.15:
                self.connection.rollback()
                return
            if two_phases:
                self.in_two_phases(cursor, texts)
                return
        self.connection.commit()
        self.committed += texts

    def in_two_phases(self, cursor, texts):
        cursor.execute(f"PREPARE TRANSACTION '{self.name}'")
        self.connection.rollback()
        self.connection.autocommit = True
        time.sleep(0.002)
        cursor.execute(f"COMMIT PREPARED '{self.name}'")
        self.connection.autocommit = False
        self.committed += texts

    def run(self):
        while time.monotonic() < self.end:
            try:
                self.transaction()
            except psycopg2.errors.SerializationFailure:
                self.connection.rollback()
            except Exception as error:  # the test shows it
                self.failures.append(repr(error))
                self.connection.rollback()
                return


class Reader(threading.Thread):
    """Reads as a mirror does, and notes each row as it comes."""

    def __init__(self, cluster, dbname):
        super().__init__()
        self.connection = cluster.connect(dbname)
        self.last = 0
        self.got = []
        self.ending = False

    def run(self):
        with self.connection.cursor() as cursor:
            while True:
                ending = self.ending
                cursor.execute("SELECT id, kind, data FROM events_news WHERE id > %s ORDER BY id", [self.last])
                rows = cursor.fetchall()
                self.got += [row for row in rows if row[1] == "row"]
                if rows:
                    self.last = rows[-1][0]
                elif ending:
                    return
                time.sleep(0.001)


def grown(cluster, size):
    """A new log. A grown one has pages enough for events_number's short way, and knows that its timeline has begun."""
    dbname = cluster.database(FILE)
    if size == "grown":
        cluster.rows("BEGIN; INSERT INTO events(data) SELECT repeat('x', 100) FROM generate_series(1, 1500); ROLLBACK", dbname)
        cluster.rows("INSERT INTO events(data) VALUES ('first')", dbname)
        cluster.rows("INSERT INTO events(data) VALUES ('second')", dbname)
    return dbname


def publish_and_read(cluster, dbname, servers, through=None):
    """Returns what was committed, per writer and in order, and what each server's reader got."""
    end = time.monotonic() + SECONDS
    writers = [Writer(through or cluster, dbname, f"{dbname}-w{number}", end) for number in range(WRITERS)]
    readers = [Reader(server, dbname) for server in servers]
    for thread in (*readers, *writers):
        thread.start()
    for writer in writers:
        writer.join()
    for server in servers[1:]:
        server.wait_for(cluster)
    for reader in readers:
        reader.ending = True
        reader.join()
        reader.connection.close()
    for writer in writers:
        writer.connection.close()
        assert writer.failures == []
    return [writer.committed for writer in writers], [reader.got for reader in readers]


@pytest.mark.parametrize("size, pooled", [("new", False), ("grown", False), ("grown", True)], ids=["new", "grown", "PgBouncer"])
def test_no_row_is_lost_or_repeated_or_out_of_order(cluster, size, pooled):
    if pooled and not postgresql.Pooled.PROGRAM:
        pytest.skip("no PgBouncer here")
    dbname = grown(cluster, size)
    with cluster.standby() as standby, postgresql.Pooled(cluster) if pooled else contextlib.nullcontext() as pool:
        committed, seen = publish_and_read(cluster, dbname, [cluster, standby], pool)
    assert sum(map(len, committed)) > 100
    for got in seen:
        assert [row[0] for row in got] == sorted({row[0] for row in got}), "ids grow"
        for number, texts in enumerate(committed):
            own = [row[2] for row in got if row[2].startswith(f"{dbname}-w{number}:")]
            assert own == texts, "each row once, in the order of its transaction and of commits"
    assert seen[0] == seen[1], "primary and standby show the same"
    assert cluster.rows("SELECT count(*) FROM events WHERE id < 0", dbname) == [(0,)]


def test_without_the_numbering_at_commit_rows_are_lost(cluster):
    """Proves that the test above can fail."""
    dbname = cluster.database(FILE)
    cluster.psql("-v", "ON_ERROR_STOP=1", dbname=dbname, text=AT_INSERT)
    committed, [got] = publish_and_read(cluster, dbname, [cluster])
    assert {text for texts in committed for text in texts} - {row[2] for row in got}


@pytest.mark.parametrize("size", ["new", "grown"])
def test_a_publisher_that_pauses_holds_nobody_up(cluster, size):
    dbname = grown(cluster, size)
    first = 3 if size == "grown" else 1
    with contextlib.closing(cluster.connect(dbname, autocommit=False)) as idle, idle.cursor() as cursor:
        cursor.execute("INSERT INTO events(data) VALUES ('first inserted')")
        cluster.rows("SET statement_timeout = '10s'; INSERT INTO events(data) VALUES ('first committed')", dbname)
        idle.commit()
    assert cluster.rows("SELECT id, data FROM events WHERE id >= %s ORDER BY id" % first, dbname) == [
        (first, "first committed"), (first + 1, "first inserted")]


@pytest.mark.parametrize("size", ["new", "grown"])
def test_application_locks_in_either_order_do_not_deadlock(cluster, size):
    dbname = grown(cluster, size)
    cluster.rows("CREATE TABLE app(n int); INSERT INTO app VALUES (0)", dbname)
    with contextlib.closing(cluster.connect(dbname, autocommit=False)) as first, first.cursor() as cursor:
        cursor.execute("INSERT INTO events(data) VALUES ('a')")

        def other():
            cluster.rows("BEGIN; UPDATE app SET n = n + 1; INSERT INTO events(data) VALUES ('b'); COMMIT", dbname)

        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.05)
        cursor.execute("UPDATE app SET n = n + 1")
        first.commit()
        thread.join()
    assert cluster.rows("SELECT n FROM app", dbname) == [(2,)]
    assert cluster.rows("SELECT count(*) FROM events WHERE id > 0 AND data IN ('a', 'b')", dbname) == [(2,)]


PUBLISH = {
    "one": "INSERT INTO events(data) VALUES ('new')",
    "several": "INSERT INTO events(data) VALUES ('new'), ('new')",
    "a grant": "INSERT INTO grants VALUES ('*', '*')",
}


def test_a_promoted_standby_numbers_above_the_former_primary(cluster):
    """For each log of the server, whatever is published first, also if that is rolled back."""
    ways = [(how, back) for how in PUBLISH for back in (False, True)]
    logs = [(grown(cluster, size), how, back) for number, (how, back) in enumerate(ways)
            for size in full.share(["new", "grown"], number + number // 2, 2)]
    for dbname, _, _ in logs:
        cluster.rows("INSERT INTO events(data) SELECT 'a' FROM generate_series((SELECT count(*) FROM events), 1)", dbname)
    with cluster.standby() as standby:
        standby.wait_for(cluster)
        assert standby.rows("SELECT position, timeline, standby FROM events_server", logs[0][0]) == [(2, 1, True)]
        standby.promote()
        for dbname, how, rolled_back_first in logs:
            if rolled_back_first:
                standby.rows(f"BEGIN; {PUBLISH[how]}; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK", dbname)
            standby.rows(PUBLISH[how], dbname)
            standby.rows("INSERT INTO events(data) VALUES ('newer')", dbname)
            [(base,)] = standby.rows("SELECT max(base) FROM events_timelines", dbname)
            assert base >> 40 == 1
            count = 2 if how == "several" else 1
            new = "grant" if how == "a grant" else "row"
            assert standby.rows("SELECT id, kind, first, last FROM events_news WHERE id > 2 ORDER BY id", dbname) == [
                (base, "timeline", 2, base), *((base + 1 + n, new, None, None) for n in range(count)),
                (base + 1 + count, "row", None, None)], (how, rolled_back_first)
            assert standby.rows("SELECT timeline, standby FROM events_server", dbname) == [(2, False)]


def test_after_a_crash_no_id_is_given_to_another_row(cluster):
    """Publishers that ask for no durability; a reader notes what it saw before the crash."""
    with postgresql.Cluster() as own:
        dbname = own.database(FILE)
        seen = {}
        stop = threading.Event()

        def write():
            with contextlib.suppress(psycopg2.Error), contextlib.closing(own.connect(dbname)) as connection:
                with connection.cursor() as cursor:
                    cursor.execute("SET synchronous_commit = off")
                    while True:
                        cursor.execute("INSERT INTO events(data) VALUES (%s)", [os.urandom(8).hex()])

        def read():
            with contextlib.suppress(psycopg2.Error), contextlib.closing(own.connect(dbname)) as connection:
                with connection.cursor() as cursor:
                    while not stop.is_set():
                        cursor.execute("SELECT id, data FROM events WHERE id > %s", [max(seen, default=0)])
                        seen.update(cursor.fetchall())

        threads = [threading.Thread(target=write) for _ in range(3)] + [threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        own.kill()
        stop.set()
        for thread in threads:
            thread.join()
        own.start()
        own.rows("INSERT INTO events(data) SELECT 'later' FROM generate_series(1, 100)", dbname)
        there = dict(own.rows("SELECT id, data FROM events", dbname))
        assert len(seen) > 10
        assert {row_id: data for row_id, data in seen.items() if there.get(row_id) != data} == {}
