"""rowtail-mirror and servers that refuse it, hang, or are set up in odd ways: what it says, and that it comes back by itself."""

import contextlib
import re
import socket
import subprocess
import threading
import time

import faults
import mirror
import postgresql
import pytest
import rowtail
import stream

pytestmark = mirror.needed

SCHEMA = rowtail.ROOT / "schema" / "postgresql.sql"


@pytest.fixture
def pg(pg):
    pg.insert("first")
    return pg


@pytest.fixture(scope="module")
def strict():
    """A server whose pg_hba.conf tests change; postgres is always let in."""
    with postgresql.running({"max_connections": "12", "superuser_reserved_connections": "3"}) as cluster:
        yield cluster


@pytest.fixture
def log(strict):
    made = mirror.Log(strict)
    role = f"role_{made.name}"
    made.rows(f"CREATE ROLE {role} LOGIN PASSWORD 'right-secret'")
    made.rows(f"SELECT events_allow_mirror('{role}')")
    made.insert("first")
    made.role, made.role_dsn = role, strict.dsn(made.name, role)
    yield made
    hba(made, "trust")
    made.close()


def hba(log, method):
    """How the mirror's role is let in."""
    (log.cluster.data / "pg_hba.conf").write_text(f"local all postgres trust\nlocal all {log.role} {method}\nlocal all all trust\n")
    log.rows("SELECT pg_reload_conf()")


def drop_connections(log):
    """Ends what is connected to this database, but for this connection."""
    log.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")


def comes_back(kept, log, data="after"):
    """A new row is there, and the pages say so."""
    number = log.insert(data)
    kept.wait(lambda: kept.ids()[-1:] == [number], "the row")
    kept.wait(lambda: kept.metric("connected") == 1, "connected")
    assert kept.page("health").head.status == 200
    assert "new copy" not in kept.stderr


def is_told(kept, pattern):
    """A fault is in the log, once, and on the pages, and tries are not too many."""
    kept.wait_log(pattern)
    kept.wait(lambda: kept.metric("connected") == 0, "away")
    assert re.search(pattern, kept.page("status").body.decode())
    before = kept.stderr.count("\n")
    time.sleep(1.2)
    assert kept.stderr.count("\n") - before <= 2, kept.stderr


# Who is let in.


def test_password_that_changes_while_it_runs(log, keep, workdir):
    hba(log, "scram-sha-256")
    passfile = workdir / "pgpass"
    passfile.write_text("*:*:*:*:right-secret\n")
    passfile.chmod(0o600)
    kept = keep(log.role_dsn, env={"PGPASSFILE": str(passfile)})
    log.rows(f"ALTER ROLE {log.role} PASSWORD 'other-secret'")
    comes_back(kept, log, "the connection lives on")
    drop_connections(log)
    is_told(kept, "password authentication failed")
    passfile.write_text("*:*:*:*:other-secret\n")
    comes_back(kept, log)
    assert "secret" not in kept.stderr + kept.page("status").body.decode()


def test_server_whose_pg_hba_refuses(log, keep):
    kept = keep(log.role_dsn)
    hba(log, "reject")
    drop_connections(log)
    is_told(kept, "pg_hba.conf")
    hba(log, "trust")
    comes_back(kept, log)


def test_role_that_loses_its_rights(log, keep):
    kept = keep(log.role_dsn)
    log.rows(f"REVOKE SELECT ON events_news FROM {log.role}")
    kept.wait_log("permission denied.*events_allow_mirror")
    log.rows(f"SELECT events_allow_mirror('{log.role}')")
    comes_back(kept, log)


def test_role_that_may_not_log_in(log, keep):
    kept = keep(log.role_dsn)
    log.rows(f"ALTER ROLE {log.role} NOLOGIN")
    drop_connections(log)
    is_told(kept, "not permitted to log in")
    log.rows(f"ALTER ROLE {log.role} LOGIN")
    comes_back(kept, log)


def take_the_connection(log, cluster):
    """Connects as the role, once the server has ended the connections that were dropped."""
    import psycopg2

    deadline = time.monotonic() + stream.DEADLINE
    while True:
        try:
            return cluster.connect(log.name, log.role)
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_no_connection_is_left(log, keep, strict):
    kept = keep(log.role_dsn)
    with contextlib.ExitStack() as stack:
        log.rows(f"ALTER ROLE {log.role} CONNECTION LIMIT 1")
        drop_connections(log)
        kept.wait(lambda: kept.metric("connects_total") >= 2, "the next connection")
        stack.callback(log.rows, f"ALTER ROLE {log.role} CONNECTION LIMIT -1")
        kept.pause()
        drop_connections(log)
        with contextlib.closing(take_the_connection(log, strict)):
            kept.resume()
            is_told(kept, "too many connections")
    comes_back(kept, log)


# Databases.


def test_database_that_is_renamed_and_comes_back(log, keep, strict):
    kept = keep(log.role_dsn)
    name = log.name
    log.close()
    strict.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    for _ in range(50):  # the mirror may have come back
        with contextlib.suppress(Exception):
            strict.rows(f"ALTER DATABASE {name} RENAME TO {name}_away")
            break
        strict.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    is_told(kept, f'database "{name}" does not exist')
    strict.rows(f"ALTER DATABASE {name}_away RENAME TO {name}")
    comes_back(kept, log)


def test_database_that_is_dropped_and_made_again(strict, keep):
    """It is another log then: the copy is made anew."""
    log = mirror.Log(strict)
    log.insert_many(20)
    kept = keep(log.dsn)
    log.close()
    strict.rows(f"DROP DATABASE {log.name} WITH (FORCE)")
    kept.wait_log("does not exist")
    assert len(kept.ids()) == 20
    strict.rows(f"CREATE DATABASE {log.name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
    kept.wait_log("schema/postgresql.sql")
    assert strict.psql("-v", "ON_ERROR_STOP=1", "-f", SCHEMA, dbname=log.name).returncode == 0
    log.insert("other")
    kept.wait_same(log)
    assert "not the log that the copy was made from" in kept.stderr
    log.close()


# The schema.


@pytest.mark.parametrize(
    "breaks, words, mends",
    [
        ("DROP VIEW events_server", "schema/postgresql.sql", SCHEMA),
        ("ALTER VIEW events_news RENAME COLUMN subject TO who", "schema/postgresql.sql",
         "ALTER VIEW events_news RENAME COLUMN who TO subject"),
        ("DELETE FROM events_log", "events_log is empty", SCHEMA),
        ("ALTER VIEW events_news RENAME TO news; CREATE VIEW events_news AS SELECT * FROM news UNION ALL "
         "SELECT 99, 'wonder', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL", "newer rowtail-mirror",
         "DROP VIEW events_news; ALTER VIEW news RENAME TO events_news"),
        ("ALTER TABLE events RENAME TO elsewhere; DROP VIEW events_news", "schema/postgresql.sql",
         "ALTER TABLE elsewhere RENAME TO events"),
    ],
    ids=["no view", "no column", "no log", "unknown kind", "half"],
)
def test_schema_that_is_half_made(pg, keep, breaks, words, mends):
    kept = keep(pg)
    pg.insert("second")
    kept.wait_same(pg)
    saved = pg.rows("SELECT token FROM events_log")
    pg.rows(breaks)
    drop_connections(pg)
    kept.wait_log(words)
    assert len(kept.ids()) == 2
    if isinstance(mends, str):
        pg.rows(mends)
    done = pg.cluster.psql("-v", "ON_ERROR_STOP=1", "-f", SCHEMA, dbname=pg.name)
    assert done.returncode == 0, done.stderr
    pg.rows("UPDATE events_log SET token = %s", saved[0][0])
    pg.insert("third")
    kept.wait_same(pg)


def test_schema_that_is_upgraded_while_it_follows(pg, keep):
    """Neither the upgrade nor the mirror is the victim of a deadlock."""
    kept = keep(pg, "--poll", 1)
    for round_ in range(4):
        pg.insert(f"before {round_}")
        done = pg.cluster.psql("-v", "ON_ERROR_STOP=1", "-f", SCHEMA, dbname=pg.name)
        assert done.returncode == 0, done.stderr
    pg.insert("after")
    kept.wait_same(pg)
    assert "new copy" not in kept.stderr and "deadlock" not in kept.stderr


def test_schema_with_an_odd_name(cluster, workdir):
    name, schema = cluster.database(), 'Ünser "Log", x\'y\\z'
    quoted = '"' + schema.replace('"', '""') + '"'
    cluster.rows(f"CREATE SCHEMA {quoted}", name)
    path = quoted.replace("\\", "\\\\").replace(" ", "\\ ")
    done = cluster.psql("-v", "ON_ERROR_STOP=1", "-f", SCHEMA, dbname=name, environment={"PGOPTIONS": f"-c search_path={path}"})
    assert done.returncode == 0, done.stderr
    cluster.rows(f"INSERT INTO {quoted}.events(data) VALUES ('one')", name)
    option = f"-csearch_path={path}".replace("\\", "\\\\").replace("'", "\\'")
    done = mirror.run("--from", f"{cluster.dsn(name)} options='{option}'", "--db", workdir / "x.db", "--once")
    assert done.returncode == 0, done.stderr
    assert "has 1 rows" in done.stderr


# Settings of the role or the database.


@pytest.mark.parametrize("where", ["ROLE", "DATABASE"])
def test_settings_of_the_role_or_the_database_do_not_matter(log, keep, where):
    settings = {
        "statement_timeout": "'1ms'", "lock_timeout": "'1ms'", "idle_in_transaction_session_timeout": "'1ms'",
        "idle_session_timeout": "'10ms'", "client_encoding": "LATIN1", "datestyle": "'German, DMY'", "timezone": "'Asia/Kathmandu'",
        "intervalstyle": "iso_8601", "standard_conforming_strings": "off", "default_transaction_isolation": "serializable",
        "default_transaction_read_only": "on", "default_transaction_deferrable": "on", "bytea_output": "escape",
        "extra_float_digits": "-15", "client_min_messages": "debug5", "enable_indexscan": "off", "lc_messages": "'C'",
        "row_security": "off", "jit_above_cost": "0", "plan_cache_mode": "force_custom_plan", "array_nulls": "off",
        "quote_all_identifiers": "on", "search_path": "nowhere, public, pg_catalog",
    }
    for name, value in settings.items():
        log.rows(f"ALTER {where} {log.role if where == 'ROLE' else log.name} SET {name} = {value}")
    kept = keep(log.role_dsn)
    log.rows("INSERT INTO events(channel, data, created_at) VALUES ('a', E'\\u20ac \\\\ \\u00fc', '2026-02-01 12:00:00.5Z')")
    log.rows("INSERT INTO grants VALUES ('user:x', 'y', '2031-05-04 03:02:01Z')")
    kept.wait_same(log)
    time.sleep(0.4)
    log.insert("later")
    kept.wait_same(log)
    assert kept.metric("connects_total") == 1
    assert kept.stderr.count("\n") <= 6, kept.stderr


def test_standby_with_a_role_that_wants_serializable(keep):
    with postgresql.running() as primary, primary.standby() as standby:
        log = mirror.Log(primary)
        log.rows(f"ALTER DATABASE {log.name} SET default_transaction_isolation = serializable")
        number = log.insert("one")
        standby.wait_for(primary)
        kept = keep(standby.dsn(log.name))
        assert kept.ids() == [number]
        assert "cannot use serializable" not in kept.stderr
        # It never takes over, and has no primary any more: the copy stays, and is not called complete.
        primary.stop("immediate")
        standby.stop()
        fresh = kept.sql("SELECT fresh_ms FROM rowtail_mirror")[0][0]
        (standby.data / "recovery.signal").touch()
        standby.settings.update(hot_standby="off", restore_command="false")
        command = [postgresql.BIN / "postgres", "-D", standby.data, "-p", "5432", "-k", standby.directory,
                   *(f"-c{name}={value}" for name, value in standby.settings.items())]
        with open(standby.log, "ab") as out:
            standby.process = subprocess.Popen(postgresql._as_user(*command), cwd="/", stdin=subprocess.DEVNULL, stdout=out,
                                               stderr=out, start_new_session=True)
        kept.wait_log("not (yet )?accepting connections")
        assert kept.ids() == [number] and kept.metric("connected") == 0
        assert kept.sql("SELECT fresh_ms FROM rowtail_mirror")[0][0] - fresh < 3000


# The network.


class Between:
    """A TCP port that leads to a server's socket. `hold`: bytes of the server's after which nothing comes any more."""

    def __init__(self, cluster):
        self.path = str(cluster.directory / ".s.PGSQL.5432")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.hold = None
        self.sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                server = socket.socket(socket.AF_UNIX)
                self.sockets += [client, server]
                if self.hold == 0:
                    continue
                server.connect(self.path)
                threading.Thread(target=self._copy, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._copy, args=(server, client, True), daemon=True).start()

    def _copy(self, source, target, counts):
        sent = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counts and self.hold is not None and sent + len(data) > self.hold:
                    target.sendall(data[: max(0, self.hold - sent)])
                    return
                sent += len(data)
                target.sendall(data)
            target.close()
            source.close()

    def close(self):
        for one in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def between(cluster):
    made = Between(cluster)
    yield made
    made.close()


def test_tls_that_the_server_does_not_offer(pg, between, workdir):
    dsn = f"host=127.0.0.1 port={between.port} dbname={pg.name} user=postgres sslmode=require"
    for option in "--once", "--check":
        done = mirror.run("--from", dsn, "--db", workdir / "x.db", option)
        assert done.returncode == 69
        assert "server does not support SSL, but SSL was required" in done.stdout + done.stderr


def test_host_that_accepts_and_says_nothing_is_passed_over(pg, between, keep):
    between.hold = 0
    dsn = f"host=127.0.0.1,{pg.cluster.directory} port={between.port},5432 dbname={pg.name} user=postgres"
    kept = keep(dsn, wait_copy=False)
    kept.wait(lambda: kept.page("health").head.status == 200, "a copy", 30)
    assert "no server answered in time" in kept.stderr


def test_server_that_stops_in_the_middle_of_a_row(pg, between, keep):
    """Nothing of the look is in the copy; the next look has all of it, once."""
    dsn = f"host=127.0.0.1 port={between.port} dbname={pg.name} user=postgres"
    kept = keep(dsn)
    pg.rows("SET rowtail.notify = off")
    between.hold = 0  # for new connections; the open one is cut below
    kept.pause()
    pg.rows("INSERT INTO events(data) SELECT repeat('x', 100000) FROM generate_series(1, 40)")
    for one in between.sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
    between.hold = 1_000_000
    kept.resume()
    kept.wait_log("not answered for some seconds", 40)
    assert len(kept.ids()) == 1
    between.hold = None
    kept.wait_same(pg, 30)
    assert "new copy" not in kept.stderr


def test_mirror_that_was_stopped_for_long_does_not_blame_the_server(pg, keep, workdir):
    """As if the machine was suspended, or one row took it more than ten seconds to write."""
    jumps = faults.Faults(workdir, "clock", "clocks.so")
    kept = keep(pg, "--poll", 20, env=jumps.env)
    for round_ in range(1, 6):
        kept.pause()
        pg.insert_many(2000)
        jumps.begin(f" {round_ * 60_000} {(-1) ** round_ * 3_600_000}")
        kept.resume()
        kept.wait_same(pg)
        assert 0 <= kept.metric("lag_seconds") < 5
    assert kept.metric("connects_total") == 1, kept.stderr
    assert "not answered" not in kept.stderr


# Bounds.


@pytest.mark.parametrize("option, value, left", [
    ("--keep-rows", 1, 1), ("--keep-rows", 1_000_000_000_000, 2001), ("--keep-seconds", 36500 * 86400, 2001), ("--keep-rows", 0, 2001),
    ("--keep-seconds", 0, 2001),
])
def test_bounds_of_what_is_kept(pg, keep, option, value, left):
    pg.insert_many(2000)
    kept = keep(pg, option, value)
    assert len(kept.ids()) == left
    newest = pg.insert("newest")
    kept.wait(lambda: kept.ids()[-1] == newest and len(kept.ids()) == (1 if left == 1 else left + 1), "the bound")


def test_keep_rows_keeps_up_with_many_rows(pg, keep):
    kept = keep(pg, "--keep-rows", 100)
    newest = pg.insert_many(60_000)
    kept.wait(lambda: kept.position() >= newest, "the rows")
    began = time.monotonic()
    kept.wait(lambda: kept.metric("rows") <= 100, "100 rows")
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("number", [2**40 - 1, 2**53 - 3])
def test_numbers_near_the_limit(pg, keep, number):
    kept = keep(pg)
    pg.rows("SELECT setval('events_order', %s)", number - 1)
    assert pg.insert("a") == number
    pg.rows("DELETE FROM events WHERE data = 'first'")
    kept.wait_same(pg)


def test_server_s_remarks_stay_out_of_the_log(pg, keep):
    """A hostile server cannot write to the terminal of whoever reads the log."""
    pg.rows("CREATE FUNCTION shout() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING E'\\x1b[31mfoo'; "
            "RAISE EXCEPTION E'\\x1b[2Jbar'; END $$")
    kept = keep(pg)
    pg.rows("CREATE OR REPLACE VIEW events_server AS SELECT token, floor, shout() AS position, 1::bigint AS timeline, "
            "false AS standby, 0::bigint AS system FROM events_log")
    kept.wait_log("bar")
    assert "\x1b" not in kept.stderr and "foo" not in kept.stderr
    assert "\x1b" not in kept.page("status").body.decode() + kept.page("health").body.decode()
