"""The torture run for more than one machine: whatever fails, no client loses a row, or gets one twice.

A primary and a standby that streams from it, two mirrors (one prefers the primary, the other the standby), a rowtail beside
each, and nginx (deploy/scale/nginx.conf) in front of both, which sends each new connection to either. Clients (clients.c)
read with all kinds of filters, each with a ledger over all its connections. Publishers number the rows of each key in the
same transaction. Meanwhile faults follow one another: see FAULTS.

Prints what happened, and exits with 1 if anything was lost, repeated, out of order, or wrong; or if a row of which a
publisher had an acknowledgement is gone after a crash, or a copy is not the log at the end.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

import httpserver  # noqa: E402
import mirror  # noqa: E402
import ports  # noqa: E402
import postgresql  # noqa: E402
import psycopg2  # noqa: E402
import rowtail  # noqa: E402
from torture import ANY_ID, KEYS, WRONG, Clients  # noqa: E402

DEPLOY = HERE.parents[1] / "deploy"
TYPES = (None, "x", "y", "z")
SAME_COMMIT = (1 << 63) - 1  # see row.h
PATIENCE_S = 60
CATCH_UP_S = 180  # a mirror that was cut off for long has a million rows to copy

# The keys, whose triggers note the id that a row gets at its COMMIT.
KEYS_SQL = f"""
CREATE TABLE torture_keys(key int PRIMARY KEY, id bigint NOT NULL, number bigint NOT NULL);
INSERT INTO torture_keys SELECT key, 0, 0 FROM generate_series(0, {KEYS - 1}) AS key;
CREATE FUNCTION torture_numbered() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
	UPDATE torture_keys AS k SET id = greatest(k.id, m.id)
	FROM (SELECT split_part(left(data, 10), ' ', 1)::int AS key, max(id) AS id FROM numbered GROUP BY 1) AS m
	WHERE k.key = m.key;
	RETURN NULL;
END $$;
CREATE TRIGGER torture_numbered AFTER UPDATE ON events REFERENCING NEW TABLE AS numbered
	FOR EACH STATEMENT EXECUTE FUNCTION torture_numbered();
"""
NEXT = "UPDATE torture_keys SET number = number + %s WHERE key = %s RETURNING id, number"
INSERT = "INSERT INTO events(channel, event, data) VALUES (%s, %s, %s)"
BULK = """INSERT INTO events(channel, event, data) SELECT %s, %s,
%s || ' ' || n || ' ' || CASE WHEN n = %s THEN %s ELSE 9223372036854775807 END || ' 0 0 '
FROM generate_series(%s, %s::bigint) AS n"""


# What is printed when the clients find an error.
STATE = (
    ("timelines", "SELECT timeline, after, base FROM events_timelines ORDER BY base"),
    ("pruned", "SELECT channel, id FROM events_pruned ORDER BY id"),
    ("newest deletions", "SELECT id, lower(deleted), upper(deleted), channels, marks FROM events_changes "
     "WHERE channels IS NOT NULL ORDER BY id DESC LIMIT 12"),
)


class Failure(Exception):
    """Something that the run needs has failed."""


def channel(key):
    return f"{'abcd'[key // 16 % 4]}/{key // 4 % 4}"


def text(key, number, before, lines, length):
    """The data of a row; see row.h."""
    fill = chr(ord("A") + (number + key) % 26) * length
    return f"{key} {number} {before} {lines} {length} {fill}" + f"\n{number}" * lines


def wrongs(counts):
    return ", ".join(f"{name} {counts[name]}" for name in WRONG)


class Publisher(threading.Thread):
    """Publishes until it is ended, whatever becomes of its connection. Notes which numbers were acknowledged."""

    def __init__(self, dsn, seed, rate, bulk):
        super().__init__(daemon=True)
        self.dsn, self.random, self.rate, self.bulk = dsn, random.Random(seed), rate, bulk
        self.gate = threading.Lock()  # held during a transaction
        self.ended = threading.Event()
        self.acknowledged = {}
        self.done = collections.Counter()
        self.connection = None
        self.fault = None

    def run(self):
        while not self.ended.is_set():
            try:
                with self.gate:
                    self.publish()
            except psycopg2.Error as error:
                self.done["failed"] += 1
                if error.pgcode and error.pgcode[:2] not in ("40", "57", "25", "55", "3D", "42"):
                    self.fault = error
                self.close()
                time.sleep(0.1)
            time.sleep(self.random.expovariate(self.rate))

    def close(self):
        if self.connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self.connection.close()
            self.connection = None

    def publish(self):
        """One transaction."""
        chance = self.random.random
        if self.connection is None:
            self.connection = psycopg2.connect(self.dsn, connect_timeout=3, options="-c tcp_user_timeout=3000")
        serializable = chance() < 0.1
        self.connection.set_session("SERIALIZABLE" if serializable else "READ COMMITTED")
        with self.connection.cursor() as cursor:
            if chance() < 0.1:
                cursor.execute("SET LOCAL synchronous_commit = off")
            if chance() < 0.002:
                numbers = self.insert_many(cursor, self.bulk)
            elif chance() < 0.1:
                numbers = self.insert_many(cursor, self.random.randrange(2, 200))
            else:
                keys = sorted(self.random.sample(range(KEYS), self.random.randrange(1, 5)))
                numbers = {key: self.insert(cursor, key) for key in keys}
            if chance() < 0.01:
                time.sleep(self.random.choice((0.05, 0.3, 1)))  # idle in a transaction
                self.done["idle"] += 1
        if chance() < 0.05:
            self.connection.rollback()
            self.done["rolled back"] += 1
            return
        self.connection.commit()
        self.done["serializable" if serializable else "committed"] += 1
        self.acknowledged.update({key: max(number, self.acknowledged.get(key, 0)) for key, number in numbers.items()})

    def insert(self, cursor, key):
        """A row of a key, sometimes after one that a savepoint takes back; returns its number."""
        chance = self.random.random
        if chance() < 0.05:
            cursor.execute("SAVEPOINT s")
            cursor.execute(INSERT, (channel(key), TYPES[key % 4], "never published"))
            cursor.execute("ROLLBACK TO s")
            self.done["savepoint"] += 1
        cursor.execute(NEXT, (1, key))
        before, number = cursor.fetchone()
        length = self.random.randrange(600000) if chance() < 0.0005 else self.random.randrange(100)
        lines = self.random.randrange(20) if chance() < 0.1 else 0
        cursor.execute(INSERT, (channel(key), TYPES[key % 4], text(key, number, before, lines, length)))
        return number

    def insert_many(self, cursor, count):
        """Many rows of one key in one statement."""
        key = self.random.randrange(KEYS)
        cursor.execute(NEXT, (count, key))
        before, last = cursor.fetchone()
        first = last - count + 1
        cursor.execute(BULK, (channel(key), TYPES[key % 4], key, first, before, first, last))
        self.done["rows in one statement"] += count
        return {key: last}


class Run:
    """All processes and all faults, by name."""

    def __init__(self, stack, directory, options):
        self.stack, self.directory, self.options = stack, directory, options
        self.random = random.Random(options.seed)
        self.tools = pathlib.Path(options.build).resolve() / "torture"
        self.happened = collections.Counter()
        self.wrong = 0
        self.acknowledged_before = {}  # what a failover or a restore took back is no longer owed
        self.primary = stack.enter_context(postgresql.Cluster())
        self.log = mirror.Log(self.primary)
        self.log.rows(KEYS_SQL)
        self.log.grant()
        self.standby = stack.enter_context(self.primary.standby())
        self.standby.wait_for(self.primary)
        self.dump = directory / "dump"
        self.back_up()
        hosts = [self.primary.directory, self.standby.directory]
        self.writable = self._dsn(hosts, "read-write")
        self.mirrors = [self._mirror(self.writable), self._mirror(self._dsn(hosts[::-1], "prefer-standby"))]
        self.rowtails = [self._rowtail(kept) for kept in self.mirrors]
        self.nginx = self._nginx()
        self.publishers = [
            Publisher(self.writable, options.seed + number, options.rate / options.publishers, options.bulk)
            for number in range(options.publishers)
        ]
        stack.callback(self._end_publishers)
        targets = [f"tcp:{self.nginx_port}"]
        self.clients = Clients(self.tools / "clients", options.clients, options.seed, targets)
        stack.callback(self.clients.kill)
        for publisher in self.publishers:
            publisher.start()

    def _dsn(self, directories, attributes):
        hosts = ",".join(map(str, directories))
        return (
            f"host={hosts} port=5432 dbname={self.log.name} user=postgres connect_timeout=3 "
            f"target_session_attrs={attributes}"
        )

    def _mirror(self, dsn):
        made = mirror.Mirror(self.directory, dsn)
        self.stack.callback(made.cleanup)
        return made.start()

    def _rowtail(self, kept):
        port = ports.free_port()
        words = ["--db", kept.path, "--http", f"127.0.0.1:{port}", "--heartbeat", 2, "--stall-timeout", 5]
        made = httpserver.HttpServer(self.directory, words, address=("127.0.0.1", port))
        self.stack.callback(lambda: made.assert_clean(made.cleanup()))
        return made.start()

    def _nginx(self):
        """deploy/scale/nginx.conf and deploy/proxy/nginx.conf, as their comments say, for this run's ports."""
        self.nginx_port = ports.free_port()
        upstream = (DEPLOY / "scale" / "nginx.conf").read_text()
        for host, server in zip(("192.0.2.21:8090", "192.0.2.22:8090"), self.rowtails):
            assert host in upstream
            upstream = upstream.replace(host, "{}:{}".format(*server.address))
        proxy = (DEPLOY / "proxy" / "nginx.conf").read_text().replace("http://127.0.0.1:8080;", "http://rowtail;")
        assert "proxy_pass http://rowtail;" in proxy
        (self.directory / "upstream.conf").write_text(upstream)
        (self.directory / "proxy.conf").write_text(proxy)
        paths = "".join(
            f"{name}_temp_path {self.directory}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.directory / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {self.directory}/nginx.pid; error_log {self.directory}/nginx.log;\n"
            f"worker_rlimit_nofile 8192; events {{ worker_connections 4096; }}\nhttp {{ access_log off;\n{paths}"
            f"include {self.directory}/upstream.conf;\nserver {{ listen 127.0.0.1:{self.nginx_port};\n"
            f"proxy_connect_timeout 2s;\ninclude {self.directory}/proxy.conf; }} }}\n"
        )
        command = ["setpriv", "--pdeathsig", "KILL", shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin"),
                   "-e", self.directory / "nginx.log", "-c", self.directory / "nginx.conf"]
        started = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL)
        self.stack.callback(lambda: (started.kill(), started.wait()))
        return started

    def _end_publishers(self):
        for publisher in self.publishers:
            publisher.ended.set()
        for publisher in self.publishers:
            if publisher.ident:
                publisher.join(PATIENCE_S)
            publisher.close()

    @contextlib.contextmanager
    def nobody_publishes(self):
        with contextlib.ExitStack() as held:
            for publisher in self.publishers:
                held.enter_context(publisher.gate)
            yield

    def sql(self, statement, *values):
        """At the primary; again if it was killed a moment ago."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.log.rows(statement, *values)
            except psycopg2.DatabaseError as error:
                # Whoever was killed has no SQLSTATE.
                if error.pgcode not in (None, "57P01", "57P02", "57P03") or time.monotonic() > deadline:
                    raise
                self.log.close()
                time.sleep(0.05)

    def pause_s(self):
        return self.random.choice((0.05, 0.3, 1, 3))

    # Faults of processes.

    def kill_mirror(self):
        kept = self.random.choice(self.mirrors).kill()
        time.sleep(self.random.choice((0, 0.1, 1)))
        kept.start(wait_copy=False)

    def pause_mirror(self):
        kept = self.random.choice(self.mirrors).pause()
        time.sleep(self.pause_s())
        kept.resume()

    def delete_copy(self):
        """With the mirror running, or not."""
        kept = self.random.choice(self.mirrors)
        running = self.random.random() < 0.5
        if not running:
            kept.kill()
        for ending in "", "-wal", "-shm":
            kept.path.with_name(kept.path.name + ending).unlink(missing_ok=True)
        if not running:
            kept.start(wait_copy=False)
        kept.wait(kept.path.exists, "a new copy", PATIENCE_S)

    def kill_rowtail(self):
        server = self.random.choice(self.rowtails)
        server.kill()
        time.sleep(self.random.choice((0, 0.1, 1)))
        server.start()

    def end_rowtail(self):
        server = self.random.choice(self.rowtails)
        server.stop()
        server.start()

    def pause_rowtail(self):
        server = self.random.choice(self.rowtails)
        server.signal(signal.SIGSTOP)
        time.sleep(self.pause_s())
        server.signal(signal.SIGCONT)

    def kill_nginx(self):
        self.nginx.kill()
        self.nginx.wait()
        self.nginx = self._nginx_again()

    def _nginx_again(self):
        started = subprocess.Popen(self.nginx.args, stdin=subprocess.DEVNULL)
        self.stack.callback(lambda: (started.kill(), started.wait()))
        return started

    def pause_nginx(self):
        self.nginx.send_signal(signal.SIGSTOP)
        time.sleep(self.pause_s())
        self.nginx.send_signal(signal.SIGCONT)

    # Faults of PostgreSQL.

    def kill_primary(self):
        self.primary.kill()
        time.sleep(self.random.choice((0, 0.5)))
        self.primary.start()

    def kill_standby(self):
        self.standby.kill()
        time.sleep(self.random.choice((0, 0.5)))
        self.standby.start()

    def pause_primary(self):
        self._pause(self.primary)

    def pause_standby(self):
        self._pause(self.standby)

    def _pause(self, cluster):
        cluster.pause()
        time.sleep(self.pause_s())
        cluster.resume()

    def kill_backend(self):
        """SIGKILL for one process of a server, which then restarts all of its own."""
        cluster = self.random.choice((self.primary, self.standby))
        backends = cluster.rows("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.random.choice(backends)[0], signal.SIGKILL)
        self._wait_up(cluster)

    def _wait_up(self, cluster):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(psycopg2.Error):
                cluster.rows("SELECT 1")
                return
            if time.monotonic() > deadline:
                raise Failure(f"a server did not come back: {cluster.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def take_over(self):
        """The standby has everything: nobody may hear of it."""
        self._wait_up(self.standby)
        with self.nobody_publishes():
            self.standby.wait_for(self.primary)
            self.primary.kill()
            self._promote()
        self._come_back()

    def take_over_with_loss(self):
        self._wait_up(self.standby)  # it may have crashed a moment ago
        self.standby.cut()
        time.sleep(self.random.choice((0, 0.3, 1)))
        self.clients.ask(f"restored {ANY_ID}")
        self.primary.kill()
        with self.nobody_publishes():
            self._promote()
            self._forget()
            self.sql("UPDATE torture_keys SET number = number WHERE key = 0")
            self._publish_once()
        self.clients.ask(f"restored {self.sql('SELECT max(base) FROM events_timelines')[0][0]}")
        self._come_back()

    def _publish_once(self):
        """The first commit of a timeline."""
        self.sql(
            "WITH next AS (UPDATE torture_keys SET number = number + 1 WHERE key = 0 RETURNING id, number) "
            "INSERT INTO events(channel, data) SELECT 'a/0', '0 ' || number || ' ' || id || ' 0 0 ' FROM next"
        )

    def _promote(self):
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary
        self.log.close()
        self.log = self.log.on(self.primary)

    def _come_back(self):
        """The old primary is the new standby."""
        try:
            self.standby.rewind(self.primary)
            self.happened["(pg_rewind)"] += 1
        except postgresql.Failed as failed:
            print(f"pg_rewind did not work: {failed}", file=sys.stderr)
            self.standby.follow(self.primary)

    def _forget(self):
        """What was acknowledged may be gone."""
        for publisher in self.publishers:
            publisher.acknowledged.clear()

    # What an administrator does.

    def prune(self):
        newest = self.sql("SELECT max(id) FROM events")[0][0] or 0
        how = self.random.choice(("oldest", "prefix", "channel", "middle"))
        if how == "oldest":
            keep = self.random.choice((500, 5000, 20000))
            self.sql("DELETE FROM events WHERE id > 0 AND id <= coalesce("
                     "(SELECT id FROM events WHERE id > 0 ORDER BY id DESC LIMIT 1 OFFSET %s), 0)", keep)
        elif how == "prefix":
            self.sql("DELETE FROM events WHERE channel LIKE %s AND id <= %s", f"{self.random.choice('abcd')}/%",
                     newest - self.random.randrange(1000))
        elif how == "channel":
            self.sql("DELETE FROM events WHERE channel = %s AND id > 0", channel(self.random.randrange(KEYS)))
        else:
            last = newest - self.random.randrange(500)
            self.sql("DELETE FROM events WHERE id BETWEEN %s AND %s", last - self.random.randrange(300), last)
        self.happened[f"(prune: {how})"] += 1

    def revoke(self):
        """Nobody may read, for a while."""
        self.sql("DELETE FROM grants WHERE subject = '*'")
        time.sleep(self.random.choice((0.3, 2, 11)))
        self.sql("INSERT INTO grants VALUES ('*', '*') ON CONFLICT DO NOTHING")

    def change_grants(self):
        number = self.random.randrange(20)
        self.sql("DELETE FROM grants WHERE subject = %s", f"user:{number}")
        self.sql("INSERT INTO grants VALUES (%s, %s, now() + interval '1 hour') ON CONFLICT DO NOTHING",
                 f"user:{number}", channel(number))

    def vacuum(self):
        self.sql("VACUUM")
        self.sql("CHECKPOINT")

    def back_up(self):
        subprocess.run(
            [postgresql.BIN / "pg_dump", "-Fc", "-f", self.dump, self.log.dsn], check=True, timeout=PATIENCE_S
        )

    def restore(self):
        """A dump takes the place of the database: every client gets a gap."""
        name = self.log.name
        with self.nobody_publishes():
            for publisher in self.publishers:
                publisher.close()
            self._forget()
            self.clients.ask(f"restored {ANY_ID}")
            self.log.close()
            self.primary.rows(f"DROP DATABASE {name} WITH (FORCE)")
            self.primary.rows(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
            done = subprocess.run(
                [postgresql.BIN / "pg_restore", "-1", "--exit-on-error", "-d", self.log.dsn, self.dump],
                capture_output=True, text=True, timeout=PATIENCE_S, check=False,
            )
            if done.returncode:
                raise Failure(f"pg_restore: {done.stderr}")
            start = self.sql("SELECT events_after_restore()")[0][0]
            self.clients.ask(f"restored {start}")

    FAULTS = {
        take_over_with_loss: 4,
        take_over: 4,
        kill_mirror: 15,
        pause_mirror: 10,
        kill_rowtail: 15,
        kill_primary: 6,
        prune: 12,
        restore: 1,
        delete_copy: 5,
        revoke: 2,
        pause_rowtail: 5,
        kill_standby: 4,
        pause_primary: 4,
        pause_standby: 4,
        kill_backend: 4,
        end_rowtail: 5,
        kill_nginx: 2,
        pause_nginx: 2,
        change_grants: 5,
        vacuum: 2,
        back_up: 2,
    }

    def break_something(self, name):
        began = time.monotonic()
        getattr(self, name)()
        self.happened[name] += 1
        if self.options.verbose:
            print(f"{began - self.began:6.1f} s: {name}, {time.monotonic() - began:.1f} s", flush=True)
        self.show_what_is_wrong()
        for process, what in zip([*self.mirrors, *self.rowtails], ("mirror", "mirror", "rowtail", "rowtail")):
            if process.process.poll() is not None:
                raise Failure(f"a {what} ended by itself: {process.stderr[-3000:]}")
        for publisher in self.publishers:
            if publisher.fault:
                raise Failure(f"a publisher was refused: {publisher.fault}")

    def go(self, minutes, every):
        """The faults: each once, those that matter most first; then at random."""
        self.began = said = time.monotonic()
        first = [fault.__name__ for fault in self.FAULTS]
        rest = first[9:]
        self.random.shuffle(rest)
        first = [*first[:9], *rest]
        weights = {fault.__name__: weight for fault, weight in self.FAULTS.items()}
        time.sleep(2)
        while (now := time.monotonic()) < self.began + minutes * 60:
            name = first.pop(0) if first else self.random.choices(list(weights), list(weights.values()))[0]
            self.break_something(name)
            if now - said > 30:
                said = now
                self.tell_progress(now - self.began)
            time.sleep(max(0.1, every - (time.monotonic() - now)))

    def show_what_is_wrong(self):
        """When the clients find another error: what the log knows of deletions and takeovers."""
        told = self.clients.ask()
        wrong = sum(told[name] for name in WRONG)
        if wrong == self.wrong:
            return
        self.wrong = wrong
        print(f"{time.monotonic() - self.began:6.1f} s: {wrongs(told)}")
        for what, statement in STATE:
            print(f"  {what}: {self.sql(statement)}", flush=True)

    def tell_progress(self, seconds):
        told = self.clients.ask()
        print(f"{seconds / 60:.1f} min: {told['deliveries']} deliveries, {sum(self.happened.values())} faults, "
              f"{told['connects']} connections; {wrongs(told)}", flush=True)  # fmt: skip

    # The end.

    def finish(self):
        """All clients read up to the end of the log; returns their counts, and what else is wrong."""
        self._end_publishers()
        for key in range(KEYS):  # the last row of each key, which shows what is missing before it
            with contextlib.closing(Publisher(self.writable, 0, 1, 1)) as last:
                last.connection = psycopg2.connect(self.writable)
                with last.connection.cursor() as cursor:
                    cursor.execute(NEXT, (1, key))
                    before, number = cursor.fetchone()
                    cursor.execute(INSERT, (channel(key), TYPES[key % 4], text(key, number, before, 0, 9)))
                last.connection.commit()
        wrong = list(self._unlike())
        keys = self.sql("SELECT id, number FROM torture_keys ORDER BY key")
        end = self.directory / "end"
        end.write_text("".join(f"{id} {number}\n" for id, number in keys) + f"{self.log.newest()}\n")
        for publisher in self.publishers:
            for key, number in publisher.acknowledged.items():
                if number > keys[key][1]:
                    wrong.append(f"key {key}: number {number} was acknowledged, and the log ends with {keys[key][1]}")
        if rows := self.sql("SELECT count(*) FROM events WHERE id < 0")[0][0]:
            wrong.append(f"{rows} rows have no number")
        return self.clients.ask(f"finish {end}"), wrong

    def _unlike(self):
        """Whether a copy is not the log."""
        for number, kept in enumerate(self.mirrors):
            try:
                kept.wait_same(self.log, CATCH_UP_S)
            except AssertionError:
                yield f"copy {number} is not the log: {kept.differences(self.log)}; {kept.stderr[-2000:]}"


def report(run, counts, wrong, minutes):
    """Prints the counts; returns whether they are as expected."""
    done = sum((publisher.done for publisher in run.publishers), collections.Counter())
    rows = run.sql("SELECT sum(number) FROM torture_keys")[0][0]
    print(f"torture-mirror: {minutes} minutes, {', '.join(f'{k} {n}' for k, n in run.happened.items())}")
    print(f"  rows {rows}, deliveries {counts['deliveries']}; transactions: "
          f"{', '.join(f'{k} {n}' for k, n in done.items())}")  # fmt: skip
    print(f"  reconnects {counts['connects'] - run.clients.count}, disconnected {counts['cuts']}, refused "
          f"{counts['refused']}, denied {counts['denied']}, vanished {counts['vanished']}")  # fmt: skip
    left = counts["gaps_pruned"] - counts["gaps_owed"] - counts["needless"]
    print(f"  gaps for deleted rows {counts['gaps_pruned']}: needed {counts['gaps_owed']}, needless "
          f"{counts['needless']}, undecidable {left}; for a new copy {counts['gaps_replaced']}; others "
          f"{counts['gaps_other']}")  # fmt: skip
    print(f"  {wrongs(counts)}")
    for line in wrong:
        print(f"  {line}")
    if counts["lost"]:  # perhaps no connection came through
        print(f"  nginx: {(run.directory / 'nginx.log').read_text(errors='replace')[-1000:]}")
    good = counts["deliveries"] > 0 and counts["gaps_other"] == 0 and not wrong
    return good and not any(counts[name] for name in WRONG)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=0.7, help="seconds between two faults")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--publishers", type=int, default=6)
    parser.add_argument("--rate", type=float, default=300, help="transactions a second")
    parser.add_argument("--bulk", type=int, default=100000, help="rows in the largest statements")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--verbose", action="store_true", help="print each fault")
    parser.add_argument("--keep", action="store_true", help="keep the directory, with all messages")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rowtail.raise_file_limit()
    if postgresql.BIN is None or not mirror.BINARY.exists():
        print("NOT RUN: torture-mirror needs PostgreSQL 14 or newer, and build/rowtail-mirror")
        return 0
    print(f"torture-mirror: seed {options.seed}", flush=True)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="rt-"))
    directory.chmod(0o755)
    good = False
    with contextlib.ExitStack() as stack:
        if not options.keep:
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
        run = Run(stack, directory, options)
        run.go(options.minutes, options.every)
        counts, wrong = run.finish()
        good = report(run, counts, wrong, options.minutes)
    print(f"torture-mirror: {'passed' if good else 'failed'}{f'; {directory}' if options.keep else ''}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
