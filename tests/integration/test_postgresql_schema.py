"""schema/postgresql.sql and postgresql-retention.sql: what the log accepts, refuses and records, and for whom."""

import contextlib
import sqlite3
import subprocess

import pytest

import postgresql
from schema import set_up

psycopg2 = pytest.importorskip("psycopg2")

FILE = "schema/postgresql.sql"
RETENTION = "schema/postgresql-retention.sql"


@pytest.fixture
def db(cluster, request):
    """A connection to a new log, in autocommit mode. A grown one has pages enough for events_number's short way."""
    with contextlib.closing(cluster.connect(cluster.database(FILE))) as connection:
        if getattr(request, "param", "new") == "grown":
            grow(connection)
        yield connection


new_and_grown = pytest.mark.parametrize("db", ["new", "grown"], indirect=True)


def grow(db):
    """Leaves pages of rows that were rolled back, before the place of the next row, and notes that the timeline has begun."""
    run(db, "BEGIN; INSERT INTO events(data) SELECT repeat('x', 100) FROM generate_series(1, 1500); ROLLBACK")
    run(db, "SELECT setval('events_begun', events_here())")


def run(db, statement, parameters=None):
    with db.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else None


def refusal(db, statement, parameters=None):
    with pytest.raises(psycopg2.Error) as refused:
        run(db, statement, parameters)
    if db.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
        run(db, "ROLLBACK")
    return refused.value.diag.message_primary


def news(db, after=0):
    return run(db, "SELECT id, kind, channel, data, first, last, subject, at IS NOT NULL FROM events_news "
                   "WHERE id > %s ORDER BY id", [after])


def ids(db):
    return [row[0] for row in run(db, "SELECT id FROM events ORDER BY id")]


# What both engines refuse

CASES = [
    ("events(channel)", [""]),
    ("events(channel)", ["x" * 256]),
    ("events(channel)", ["é" * 128]),
    ("events(channel)", ["orders/*"]),
    ("events(channel)", ["a\nb"]),
    ("events(channel)", ["a\x7fb"]),
    ("events(channel)", ["a\x85b"]),
    ("events(channel)", ["é" * 127]),
    ("events(channel)", ["日本語/😀 ~!"]),
    ("events(event)", [""]),
    ("events(event)", ["x" * 256]),
    ("events(event)", ["a\rb"]),
    ("events(event)", ["a\nb"]),
    *(("events(event)", [name]) for name in ("open", "error", "position", "gap", "denied", "Open", "message", "ä\t")),
    ("events(retry)", [-1]),
    ("events(retry)", [3600001]),
    ("events(retry)", [3600000]),
    ("events(created_at)", ["2026-01-31T23:59:59.123Z"]),
    ("grants(subject, channel)", ["nobody", "a"]),
    ("grants(subject, channel)", ["user:", "a"]),
    ("grants(subject, channel)", ["user:ann", "a"]),
    ("grants(subject, channel)", ["user:\n", "a"]),
    ("grants(subject, channel)", ["**", "a"]),
    ("grants(subject, channel)", ["token:secret", "a"]),
    ("grants(subject, channel)", ["token:" + "A" * 64, "a"]),
    ("grants(subject, channel)", ["token:" + "a" * 64, "a"]),
    ("grants(subject, channel)", ["token:" + "a" * 64 + "\n", "a"]),
    ("grants(subject, channel)", ["*", ""]),
    ("grants(subject, channel)", ["*", "x" * 256]),
    ("grants(subject, channel)", ["*", "a\nb"]),
    ("grants(subject, channel)", ["*", "a*"]),
    ("grants(subject, channel)", ["*", "/*"]),
    ("grants(subject, channel)", ["*", "*/b"]),
    ("grants(subject, channel)", ["*", "a/*"]),
    ("grants(subject, channel)", ["*", "a/\u2028/*"]),
    ("grants(subject, channel)", ["*", "*"]),
    ("grants(subject, channel, expires_at)", ["*", "a", "2026-01-31 23:59:59"]),
]


def insert(columns, values, mark):
    return f"INSERT INTO {columns} VALUES ({', '.join([mark] * len(values))})"


def test_both_engines_refuse_the_same_with_the_same_words(db, workdir):
    path = str(workdir / "events.db")
    set_up(path, "rowtail.sql")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        for columns, values in CASES:
            said = {}
            try:
                other.execute(insert(columns, values, "?"), values)
            except sqlite3.Error as error:
                said["SQLite"] = str(error)
            try:
                run(db, insert(columns, values, "%s"), values)
            except psycopg2.Error as error:
                said["PostgreSQL"] = error.diag.message_primary
            assert said.get("SQLite") == said.get("PostgreSQL"), (columns, values)


SETTINGS = [
    "standard_conforming_strings = off", "backslash_quote = off", "DateStyle = 'SQL, DMY'", "DateStyle = 'German'",
    "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kathmandu'", "bytea_output = 'escape'", "search_path = ''",
    "search_path = 'nowhere'", "row_security = off", "default_transaction_isolation = 'serializable'",
    "default_transaction_isolation = 'repeatable read'", "default_transaction_deferrable = on", "client_encoding = 'LATIN1'",
    "client_encoding = 'SQL_ASCII'", "lock_timeout = '10s'", "statement_timeout = '20s'",
    "idle_in_transaction_session_timeout = '20s'", "plan_cache_mode = force_generic_plan", "plan_cache_mode = force_custom_plan",
    "session_replication_role = local", "check_function_bodies = off", "array_nulls = off", "transform_null_equals = on",
    "extra_float_digits = -15", "quote_all_identifiers = on", "enable_indexscan = off", "enable_tidscan = off",
    "plpgsql.variable_conflict = use_column", "plpgsql.extra_errors = 'all'", "synchronous_commit = local",
    "synchronous_commit = remote_apply", "rowtail.notify = off", "rowtail.notify = ''", "jit_above_cost = 0", "work_mem = '64kB'",
]


def what_is_said(connection, ascii_only):
    """How the server answers each of CASES."""
    said = {}
    for columns, values in CASES:
        if ascii_only and not all(str(value).isascii() for value in values):
            continue
        try:
            run(connection, insert(f"public.{columns}", values, "%s"), values)
            said[columns, *values] = None
        except psycopg2.Error as error:
            said[columns, *values] = error.diag.message_primary
    run(connection, "DELETE FROM public.grants")
    return said


@new_and_grown
def test_settings_of_a_publisher_do_not_matter(cluster, db):
    """The same refusals, and ids in the order of commits."""
    expected = what_is_said(db, False)
    assert None in expected.values() and any(expected.values())
    for setting in SETTINGS:
        with contextlib.closing(cluster.connect(db.info.dbname)) as publisher:
            run(publisher, f"SET {setting}")
            said = what_is_said(publisher, "client_encoding" in setting)
            assert said == {case: expected[case] for case in said}, setting
            [(last,)] = run(db, "SELECT position FROM events_server")
            run(publisher, "INSERT INTO public.events(data) VALUES ('a')")
            run(publisher, "INSERT INTO public.events(data) VALUES ('b'), ('c')")
            run(publisher, "DELETE FROM public.events WHERE data = 'b'")
            assert run(db, "SELECT id, data FROM events WHERE id > %s ORDER BY id", [last]) == [
                (last + 1, "a"), (last + 3, "c")], setting


@new_and_grown
def test_row_of_a_replication_s_session_gets_its_number(db):
    """As by an application's trigger that fires while logical replication applies changes: ordinary triggers do not."""
    run(db, "INSERT INTO events(channel, event) VALUES ('ended', 'end')")
    run(db, "SET session_replication_role = replica")
    run(db, "INSERT INTO events(data) VALUES ('a')")
    run(db, "INSERT INTO events(channel, event, data) VALUES ('default', NULL, 'b'), ('job', 'made', 'c'), ('job', 'end', 'd')")
    for statement in ("INSERT INTO events(channel) VALUES ('a*')", "INSERT INTO events(id) VALUES (-5)", "INSERT INTO events(channel) VALUES ('ended')",
                      "INSERT INTO events(channel, event) VALUES ('ended', 'end')", "INSERT INTO events(channel) VALUES ('job')"):
        assert refusal(db, statement)
    # What replication itself copies.
    run(db, "INSERT INTO events(id, data) VALUES (100, 'copied')")
    run(db, "SET session_replication_role = origin")
    assert [row[3] for row in news(db) if row[1] == "row"] == ["", "a", "b", "c", "d", "copied"]
    assert [row[2] for row in news(db) if row[1] == "end"] == ["ended", "job"]
    assert "has ended" in refusal(db, "INSERT INTO events(channel) VALUES ('job')")
    assert run(db, "SELECT count(*) FROM events WHERE id < 0") == [(0,)]


@new_and_grown
def test_update_is_refused_with_the_same_words(db, workdir):
    path = str(workdir / "events.db")
    set_up(path, "rowtail.sql")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("INSERT INTO events(data) VALUES ('x')")
        with pytest.raises(sqlite3.Error) as refused:
            other.execute("UPDATE events SET data = 'y'")
    run(db, "INSERT INTO events(data) VALUES ('x')")
    for change in ("data = 'y'", "id = 7", "id = -9223372036854775800", "created_at = now()"):
        assert refusal(db, f"UPDATE events SET {change}") == str(refused.value), change
    # A draft, too: nobody but the numbering changes a row.
    for change in ("data = 'y'", "id = 7", "id = id + 1"):
        assert "never changes" in refusal(db, f"BEGIN; INSERT INTO events(data) VALUES ('z'); UPDATE events SET {change} WHERE id < 0")
    assert run(db, "SELECT id, data FROM events") == [(1, "x")]


def test_update_by_a_trigger_of_the_application_is_refused(db):
    run(db, """CREATE TABLE app(n int); CREATE FUNCTION app_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN UPDATE events SET id = id + 1000, data = 'y'; RETURN NULL; END $$;
        CREATE TRIGGER app_changed AFTER INSERT ON app FOR EACH ROW EXECUTE FUNCTION app_changed()""")
    run(db, "INSERT INTO events(data) VALUES ('x')")
    assert "never changes" in refusal(db, "INSERT INTO app VALUES (1)")


@pytest.mark.parametrize("given", [1, 0, -1, -5, 9000000000000001, "NULL"])
def test_explicit_id_is_refused(db, given):
    refusal(db, f"INSERT INTO events(id, data) VALUES ({given}, 'x')")
    assert ids(db) == []


@pytest.mark.parametrize("table", ["events", "grants", "events_ended"])
def test_truncate_is_refused(db, table):
    assert "DELETE" in refusal(db, f"TRUNCATE {table}")


@pytest.mark.parametrize("time", ["infinity", "-infinity", "10000-01-02", "0044-03-15 BC"])
def test_times_that_have_no_text_are_refused(db, time):
    assert "created_at: UTC such as" in refusal(db, f"INSERT INTO events(created_at) VALUES ('{time}')")
    assert "expires_at: NULL, or a time" in refusal(db, f"INSERT INTO grants VALUES ('*', '*', '{time}')")


def test_data_of_256_mib_is_the_most(db):
    run(db, "INSERT INTO events(data) VALUES (repeat('x', 268435456))")
    assert "at most 256 MiB" in refusal(db, "INSERT INTO events(data) VALUES (repeat('x', 268435457))")
    run(db, "DELETE FROM events")


# Numbers


@new_and_grown
def test_ids_follow_each_other(db):
    run(db, "INSERT INTO events(data) VALUES ('a')")
    run(db, "INSERT INTO events(data) VALUES ('b'), ('c')")
    run(db, "INSERT INTO events(data) SELECT 'd' || i FROM generate_series(1, 1000) AS i ORDER BY i")
    assert run(db, "SELECT id, data FROM events ORDER BY id") == [
        (1, "a"), (2, "b"), (3, "c"), *((3 + i, f"d{i}") for i in range(1, 1001))]


@new_and_grown
def test_ids_keep_the_order_of_a_transaction(db):
    run(db, """BEGIN; INSERT INTO events(data) VALUES ('1'), ('2'); SAVEPOINT s; INSERT INTO events(data) VALUES ('no');
        ROLLBACK TO s; INSERT INTO events(data) VALUES ('3'), ('4'), ('no'); DELETE FROM events WHERE data = 'no';
        SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO events(data) VALUES ('5'); INSERT INTO events(data) VALUES ('6'), ('7');
        SET CONSTRAINTS ALL DEFERRED; INSERT INTO events(data) VALUES ('8'), ('9'); COMMIT""")
    assert run(db, "SELECT data FROM events ORDER BY id") == [(str(n),) for n in range(1, 10)]
    assert ids(db) == list(range(1, 10))


@new_and_grown
def test_a_row_that_its_transaction_deletes_gets_no_number(db):
    run(db, "INSERT INTO events(data) VALUES ('a')")
    run(db, "BEGIN; INSERT INTO events(data) VALUES ('no'); DELETE FROM events WHERE data = 'no'; COMMIT")
    run(db, "BEGIN; SAVEPOINT s; INSERT INTO events(data) VALUES ('no'); ROLLBACK TO s; INSERT INTO events(data) VALUES ('b'); COMMIT")
    assert run(db, "SELECT id, data FROM events ORDER BY id") == [(1, "a"), (2, "b")] and news(db, 2) == []


@new_and_grown
def test_the_publisher_learns_the_id_after_the_commit(db):
    [(draft,)] = run(db, "INSERT INTO events(data) VALUES ('x') RETURNING id")
    assert draft < 0
    assert run(db, "SELECT currval('events_order')") == [(1,)]
    run(db, "INSERT INTO events(data) VALUES ('y'), ('z')")
    assert run(db, "SELECT currval('events_order')") == [(3,)] and ids(db) == [1, 2, 3]


@new_and_grown
def test_copy_is_numbered(cluster, db):
    done = cluster.psql("-c", "COPY events(channel, data) FROM STDIN", dbname=db.info.dbname, text="a\tx\nb\ty\n")
    assert done.returncode == 0, done.stderr
    assert run(db, "SELECT id, channel, data FROM events ORDER BY id") == [(1, "a", "x"), (2, "b", "y")]


@pytest.mark.parametrize("rows", [1, 2])
@new_and_grown
def test_commit_is_durable_although_the_publisher_asks_for_less(db, rows):
    """Otherwise a crash takes back rows that readers have, and gives their ids to others."""
    run(db, "SET synchronous_commit = off")
    run(db, "BEGIN")
    run(db, "INSERT INTO events(data) SELECT 'x' FROM generate_series(1, %s)", [rows])
    run(db, "SET CONSTRAINTS ALL IMMEDIATE")
    assert run(db, "SHOW synchronous_commit") == [("on",)]
    run(db, "COMMIT")
    assert run(db, "SHOW synchronous_commit") == [("off",)]


def test_the_first_numbers_of_a_timeline_need_no_compiled_query(db):
    """PostgreSQL's JIT takes 200 ms for it, and all other publishers wait."""
    try:
        run(db, "LOAD 'auto_explain'")
    except psycopg2.Error:
        pytest.skip("this PostgreSQL has no auto_explain")
    for name, value in ("log_min_duration", "0"), ("log_analyze", "on"), ("log_nested_statements", "on"), ("log_level", "notice"):
        run(db, f"SET auto_explain.{name} = {value}")
    run(db, "DELETE FROM events_timelines")
    for statement in ("INSERT INTO events(data) VALUES ('a'), ('b')", "DELETE FROM events", "INSERT INTO grants VALUES ('*', '*')"):
        run(db, statement)
    plans = "".join(db.notices)
    assert "pg_advisory_xact_lock" in plans and "JIT:" not in plans


@pytest.mark.parametrize("rows", [1, 2])
@new_and_grown
def test_notify_can_be_switched_off_for_two_phase_commit(db, rows):
    prepare = f"""BEGIN; INSERT INTO events(data) SELECT 'x' FROM generate_series(1, {rows});
        INSERT INTO grants VALUES ('*', '*'); PREPARE TRANSACTION 'two-{db.info.dbname}'"""
    assert "NOTIFY" in refusal(db, prepare)
    run(db, "SET rowtail.notify = off")
    run(db, prepare)
    run(db, f"COMMIT PREPARED 'two-{db.info.dbname}'")
    # The refused transaction had numbers already, which nobody else gets.
    assert len(ids(db)) == rows and min(ids(db)) > rows
    assert run(db, "SELECT kind FROM events_news ORDER BY id DESC LIMIT 1") == [("grant",)]


@new_and_grown
def test_mirrors_are_notified(cluster, db):
    with contextlib.closing(cluster.connect(db.info.dbname)) as listener:
        run(listener, "LISTEN rowtail")
        for statement in ("INSERT INTO events(data) VALUES ('a')", "INSERT INTO events(data) VALUES ('a'), ('b')",
                          "DELETE FROM events", "INSERT INTO grants VALUES ('*', '*')"):
            run(db, statement)
            run(listener, "SELECT 1")
            listener.poll()
            assert [notice.channel for notice in listener.notifies] == ["rowtail"], statement
            listener.notifies.clear()


# Deletions, grants, ends


def test_deletions_are_told(db):
    run(db, "INSERT INTO events(channel, data) SELECT (ARRAY['a', 'b'])[1 + i % 2], i FROM generate_series(1, 10) AS i")
    run(db, "DELETE FROM events WHERE id <= 3 OR id = 7")
    assert news(db, 10) == [
        (11, "deleted", None, None, 1, 3, None, False), (11, "deleted", None, None, 7, 7, None, False),
        (11, "pruned", "a", None, None, 2, None, False), (11, "pruned", "b", None, None, 7, None, False)]
    assert sorted(run(db, "SELECT * FROM events_pruned")) == [("a", 2), ("b", 7)]
    run(db, "DELETE FROM events WHERE id > 100")
    assert news(db, 11) == []


def test_grants_are_told_as_they_are_now(db):
    run(db, "INSERT INTO grants VALUES ('*', 'a', NULL), ('user:ann', 'b', '2030-01-01 00:00:00Z')" )
    run(db, "UPDATE grants SET channel = 'c' WHERE channel = 'a'")
    run(db, "DELETE FROM grants WHERE subject = 'user:ann'")
    told = [row[1:] for row in news(db)]
    assert told == [("revoked", "a", None, None, None, "*", False), ("revoked", "b", None, None, None, "user:ann", False),
                    ("revoked", "a", None, None, None, "*", False), ("grant", "c", None, None, None, "*", False),
                    ("revoked", "b", None, None, None, "user:ann", False)]
    run(db, "UPDATE grants SET expires_at = '2030-01-01 01:00:00+01'")
    assert run(db, "SELECT at FROM events_news WHERE kind = 'grant' ORDER BY id DESC LIMIT 1") == [("2030-01-01T00:00:00.000Z",)]


@new_and_grown
def test_an_ended_channel_takes_no_more_rows(db):
    run(db, "INSERT INTO events(channel, event) VALUES ('job', 'made'), ('job', 'end'), ('other', 'made')")
    assert run(db, "SELECT * FROM events_ended") == [("job", 2)]
    for event in ("'made'", "'end'", "NULL"):
        assert "this channel has ended" in refusal(db, f"INSERT INTO events(channel, event) VALUES ('job', {event})")
    run(db, "DELETE FROM events WHERE id = 2")
    assert "this channel has ended" in refusal(db, "INSERT INTO events(channel) VALUES ('job')")
    assert (2, "end", "job", None, None, None, None, False) in news(db, 1)
    run(db, "DELETE FROM events_ended WHERE channel = 'job'")
    assert [row[1:3] for row in news(db, 4)] == [("opened", "job")]
    run(db, "INSERT INTO events(channel) VALUES ('job')")
    assert run(db, "SELECT max(id) FROM events") == [(6,)]


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("rows", [1, 2])
@new_and_grown
def test_a_row_that_another_transaction_inserted_before_the_end_is_refused_at_commit(cluster, db, isolation, rows):
    run(db, "INSERT INTO events(channel) VALUES ('job')")
    with contextlib.closing(cluster.connect(db.info.dbname)) as slow:
        run(slow, f"BEGIN ISOLATION LEVEL {isolation}")
        run(slow, "INSERT INTO events(channel) SELECT 'job' FROM generate_series(1, %s)", [rows])
        run(db, "INSERT INTO events(channel, event) VALUES ('job', 'end')")
        with pytest.raises(psycopg2.Error) as refused:
            run(slow, "COMMIT")
        assert "has ended" in str(refused.value) or refused.value.pgcode == "40001"
    assert run(db, "SELECT event FROM events ORDER BY id") == [(None,), ("end",)]


@new_and_grown
def test_an_end_counts_within_its_transaction_and_goes_with_a_rollback(db):
    assert "has ended" in refusal(db, "BEGIN; INSERT INTO events(channel, event) VALUES ('job', 'end'); INSERT INTO events(channel) VALUES ('job')")
    run(db, "BEGIN; INSERT INTO events(channel, event) VALUES ('job', 'end'); ROLLBACK")
    run(db, "BEGIN; INSERT INTO events(channel, event) VALUES ('job', 'end'); DELETE FROM events; COMMIT")
    run(db, "INSERT INTO events(channel) VALUES ('job')")
    assert run(db, "SELECT * FROM events_ended") == []


def test_marks_of_deleted_rows_are_bounded(db):
    """Above 10,000 channels those with the lower ids become one mark, of every channel."""
    run(db, "INSERT INTO events(channel) SELECT 'c' || i FROM generate_series(1, 10100) AS i")
    run(db, "DELETE FROM events")
    count = 10_100
    for _ in range(60):
        if count <= 10_000:
            break
        run(db, "DO $$ BEGIN FOR i IN 1..50 LOOP INSERT INTO events(channel) VALUES ('again'); END LOOP; END $$")
        run(db, "DO $$ BEGIN FOR i IN 1..50 LOOP DELETE FROM events WHERE id = (SELECT min(id) FROM events WHERE id > 0); END LOOP; END $$")
        [(count,)] = run(db, "SELECT count(*) FROM events_pruned")
    [(mark,)] = run(db, "SELECT id FROM events_pruned WHERE channel = '*'")
    assert 5_000 < count <= 5_002
    assert run(db, "SELECT min(id) > %s FROM events_pruned WHERE channel <> '*'", [mark]) == [(True,)]


def test_changes_are_kept_for_a_week_and_the_floor_says_so(db):
    run(db, "INSERT INTO grants VALUES ('*', 'a')")
    run(db, "INSERT INTO grants VALUES ('*', 'b')")
    run(db, "UPDATE events_changes SET made_at = now() - interval '8 days' WHERE id = 1")
    run(db, "SELECT events_changes_prune()")
    assert run(db, "SELECT id FROM events_changes") == [(2,)] and run(db, "SELECT floor FROM events_server") == [(1,)]
    run(db, "SELECT events_changes_prune('0 seconds')")
    assert run(db, "SELECT floor, position FROM events_server") == [(2, 2)]


# Roles


@pytest.fixture
def roles(cluster, db):
    """A publisher and a mirror with odd names, allowed as the file says."""
    names = f'pub "{db.info.dbname}', f"mirror '{db.info.dbname}"
    for name in names:
        run(db, 'CREATE ROLE "' + name.replace('"', '""') + '" LOGIN')
    run(db, "SELECT events_allow_publisher(%s), events_allow_mirror(%s)", names)
    users = [name.replace("'", "\\'") for name in names]
    with contextlib.closing(cluster.connect(db.info.dbname, users[0])) as publisher, \
            contextlib.closing(cluster.connect(db.info.dbname, users[1])) as mirror:
        yield publisher, mirror


@new_and_grown
def test_a_publisher_can_only_publish(db, roles):
    publisher, _ = roles
    run(publisher, "INSERT INTO events(data) VALUES ('a')")
    run(publisher, "INSERT INTO events(channel, event) VALUES ('job', 'made'), ('job', 'end')")
    assert run(publisher, "SELECT currval('events_order')") == [(3,)]
    assert "has ended" in refusal(publisher, "INSERT INTO events(channel) VALUES ('job')")
    assert ids(db) == [1, 2, 3]
    for statement in (
        "SELECT * FROM events", "UPDATE events SET data = ''", "DELETE FROM events", "TRUNCATE events",
        "INSERT INTO grants VALUES ('*', '*')", "SELECT * FROM grants", "SELECT * FROM events_news",
        "INSERT INTO events_changes(channels, marks) VALUES ('{*}', '{5}')", "DELETE FROM events_ended",
        "SELECT nextval('events_order')", "SELECT setval('events_order', 5)", "SELECT nextval('events_draft')",
        "SELECT events_lost(0)", "SELECT events_after_restore()", "SELECT events_number_rows(1, 2)",
        "SELECT events_timeline_begins(7)", "SELECT events_changes_prune()", "SELECT events_numbered()",
        "SELECT events_allow_publisher('postgres')", "SELECT events_end_numbered('job', 1, 1)",
        "SELECT setval('events_begun', 7)", "SELECT nextval('events_ends')",
    ):
        assert "permission denied" in refusal(publisher, statement), statement


def test_a_mirror_can_only_read_and_tell_of_losses(db, roles):
    _, mirror = roles
    run(db, "INSERT INTO events(data) VALUES ('a')")
    assert [row[1] for row in news(mirror)] == ["row"]
    assert run(mirror, "SELECT position FROM events_server") == [(1,)]
    for table in ("events_grants", "events_pruned", "events_ended", "events_timelines", "events", "grants"):
        run(mirror, f"SELECT * FROM {table}")
    run(mirror, "SELECT events_lost(12345)")
    run(mirror, "SELECT events_lost(0)")
    assert news(mirror, 1) == [(2, "pruned", "*", None, None, 0, None, False)]
    for statement in ("INSERT INTO events(data) VALUES ('x')", "DELETE FROM events", "DELETE FROM events_changes",
                      "INSERT INTO grants VALUES ('*', '*')", "SELECT events_after_restore()", "SELECT nextval('events_order')"):
        assert "permission denied" in refusal(mirror, statement), statement


def test_a_publisher_cannot_lend_the_owner_its_own_functions(cluster, db, roles):
    """The functions that run with the owner's rights look nowhere but in pg_catalog and the log's schema."""
    publisher, _ = roles
    run(publisher, "CREATE TEMP TABLE events_ended(channel text, id bigint)")
    run(publisher, "INSERT INTO pg_temp.events_ended VALUES ('default', 1)")
    run(publisher, "CREATE TEMP TABLE events_timelines(timeline bigint, after bigint, base bigint)")
    run(publisher, "SET search_path = pg_temp, public")
    run(publisher, "INSERT INTO public.events(data) VALUES ('a')")
    run(publisher, "INSERT INTO public.events(data) VALUES ('b'), ('c')")
    assert ids(db) == [1, 2, 3]


# Takes the place of each operator of these types, and of each function that the triggers call.
SHADOWS = """
CREATE FUNCTION shadow.made(name text, arguments text, result text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE FUNCTION shadow.%I(%s) RETURNS %s LANGUAGE plpgsql AS
		''BEGIN RAISE EXCEPTION ''''lent''''; END''', name, arguments, result);
END $$;
DO $$
DECLARE
	o record;
BEGIN
	FOR o IN SELECT oid, oprname, oprleft::regtype AS l, oprright::regtype AS r, oprresult::regtype AS result FROM pg_operator
		WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprleft = ANY (KINDS) AND oprright = ANY (KINDS)
	LOOP
		PERFORM shadow.made('operator_' || o.oid, format('%s, %s', o.l, o.r), o.result::text);
		EXECUTE format('CREATE OPERATOR shadow.%s (FUNCTION = shadow.operator_%s, LEFTARG = %s, RIGHTARG = %s)',
			o.oprname, o.oid, o.l, o.r);
	END LOOP;
	FOR o IN SELECT DISTINCT proname, oidvectortypes(proargtypes) AS arguments, prorettype::regtype::text AS result FROM pg_proc
		WHERE pronamespace = 'pg_catalog'::regnamespace AND proretset = false AND oidvectortypes(proargtypes) !~ 'any|internal'
		AND proname IN (SELECT m[1] FROM pg_proc, regexp_matches(prosrc, '([a-z_]+)\\(', 'g') AS m
			WHERE proname IN ('events_refused', 'events_number'))
	LOOP
		PERFORM shadow.made(o.proname, o.arguments, o.result);
	END LOOP;
END $$;
""".replace("KINDS", "'{int2,int4,int8,oid,text,name,bool,bit,varbit,tid,timestamptz,pg_lsn,regclass,text[]}'::regtype[]")


@new_and_grown
def test_a_publisher_cannot_lend_the_owner_its_own_operators(db, roles):
    """events_refused and events_number have no search_path of their own."""
    publisher, _ = roles
    run(db, 'CREATE SCHEMA shadow; GRANT ALL ON SCHEMA shadow TO "' + publisher.info.user.replace('"', '""') + '"')
    run(publisher, SHADOWS)
    run(publisher, "SET search_path = shadow, pg_temp, pg_catalog, public")
    assert refusal(publisher, "SELECT 'a' OPERATOR(shadow.=) 'b'::pg_catalog.text") == "lent"
    assert refusal(publisher, "SELECT left('abc', 1)") == "lent"
    for columns, values in (
        ("data", "'a'"), ("data", "'b'), ('c'"), ("channel, event", "'job', 'made'), ('job', 'end'"), ("channel, retry", "'ü', 5"),
        ("data", "'e'"),
    ):
        run(publisher, f"INSERT INTO public.events({columns}) VALUES ({values})")
    for columns, values, message in (
        ("channel", "'job'", "has ended"), ("channel", "'a*'", "no control"), ("id", "5", "leave it out"), ("channel", "''", "1 to 255"),
        ("retry", "-1", "whole milli"), ("event", "'open'", "own"), ("created_at", "'infinity'", "UTC"), ("event", "''", "NULL for"),
        ("event", "E'a\\nb'", "one line"),
    ):
        assert message in refusal(publisher, f"INSERT INTO public.events({columns}) VALUES ({values})"), columns
    run(publisher, "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO public.events(data) VALUES ('f'); COMMIT")
    assert ids(db) == list(range(1, 9))


# Setting up


def test_running_it_again_keeps_everything(cluster, db):
    run(db, "INSERT INTO events(channel, event) VALUES ('a', 'made'), ('b', 'end'), ('a', NULL)")
    run(db, "INSERT INTO grants VALUES ('*', '*')")
    run(db, "DELETE FROM events WHERE id = 1")

    def state():
        return [run(db, f"SELECT * FROM {table}") for table in
                ("events", "grants", "events_changes", "events_pruned", "events_ended", "events_timelines", "events_log")]

    before = state()
    done = cluster.psql("-f", "schema/postgresql.sql", dbname=db.info.dbname)
    assert (done.returncode, done.stderr) == (0, "")
    assert state() == before
    run(db, "INSERT INTO events(data) VALUES ('x')")
    assert ids(db) == [2, 3, 6]


@pytest.mark.parametrize("schema", ["rowtail", 'Odd "name\'', "группа"])
def test_any_schema_will_do(cluster, schema):
    name = cluster.database()
    quoted = '"' + schema.replace('"', '""') + '"'
    cluster.rows(f"CREATE SCHEMA {quoted}", name)
    path = quoted.replace("\\", "\\\\").replace(" ", "\\ ")
    for file in (FILE, RETENTION, FILE, RETENTION):
        done = cluster.psql("-v", "ON_ERROR_STOP=1", "-f", file, dbname=name, environment={"PGOPTIONS": f"-c search_path={path}"})
        assert (done.returncode, done.stderr) == (0, "")
    with contextlib.closing(cluster.connect(name)) as db:
        # From another search_path, and beside another log.
        run(db, f"INSERT INTO {quoted}.events(data) VALUES ('a'), ('b')")
        run(db, f"DELETE FROM {quoted}.events WHERE id = 1")
        run(db, f"INSERT INTO {quoted}.grants VALUES ('*', '*')")
        run(db, f"INSERT INTO {quoted}.retention(keep_rows) VALUES (1)")
        run(db, f"INSERT INTO {quoted}.events(data) VALUES ('c')")
        run(db, f"CALL {quoted}.retention_run()")
        assert run(db, f"SELECT id, kind FROM {quoted}.events_news WHERE id > 0 ORDER BY id, kind") == [
            (3, "deleted"), (3, "pruned"), (4, "grant"), (5, "row"), (6, "deleted"), (6, "pruned")]
        assert run(db, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [(0,)]


def test_two_logs_in_one_transaction(cluster, db):
    run(db, "CREATE SCHEMA second")
    done = cluster.psql("-f", FILE, dbname=db.info.dbname, environment={"PGOPTIONS": "-c search_path=second"})
    assert (done.returncode, done.stderr) == (0, "")
    run(db, """BEGIN; INSERT INTO public.events(data) VALUES ('1'), ('2'), ('3');
        INSERT INTO second.events(data) VALUES ('4'), ('5'); INSERT INTO public.events(data) VALUES ('6'); COMMIT""")
    assert run(db, "SELECT id, data FROM public.events ORDER BY id") == [(1, "1"), (2, "2"), (3, "3"), (4, "6")]
    assert run(db, "SELECT id, data FROM second.events ORDER BY id") == [(1, "4"), (2, "5")]


@pytest.mark.parametrize("theirs, says", [
    ("CREATE TABLE events(id serial, title text)", "events of another kind; make the log in a schema of its own"),
    ("CREATE VIEW grants AS SELECT 1 AS x", "grants of another kind"),
    ("CREATE FUNCTION events_number() RETURNS int LANGUAGE sql AS 'SELECT 1'", "has a function events_number"),
])
def test_what_the_application_has_is_not_touched(cluster, theirs, says):
    name = cluster.database()
    cluster.rows(theirs, name)
    done = cluster.psql("-f", FILE, dbname=name)
    assert says in done.stderr
    assert cluster.rows("SELECT to_regclass('events_log'), to_regprocedure('events_refused()')", name) == [(None, None)]


def test_another_encoding_is_refused(cluster):
    done = cluster.psql("-v", "ON_ERROR_STOP=1", "-f", FILE, dbname=cluster.database(encoding="LATIN1"))
    assert done.returncode != 0 and "ENCODING 'UTF8'" in done.stderr


# Another server


def dump(cluster, dbname):
    return subprocess.run([postgresql.BIN / "pg_dump", "-d", cluster.dsn(dbname)], capture_output=True, text=True, timeout=60,
                          check=True).stdout


def test_ids_go_on_above_after_a_restore(cluster, db):
    run(db, "INSERT INTO events(data) VALUES ('a'), ('b')")
    run(db, "INSERT INTO events(channel, event) VALUES ('job', 'end')")
    text = dump(cluster, db.info.dbname)
    other = cluster.database()
    assert cluster.psql("-v", "ON_ERROR_STOP=1", dbname=other, text=text).returncode == 0
    with contextlib.closing(cluster.connect(other)) as restored:
        [(token,)] = run(restored, "SELECT token FROM events_server")
        [(start,)] = run(restored, "SELECT events_after_restore()")
        assert start > 10**12
        run(restored, "INSERT INTO events(data) VALUES ('c')")
        assert ids(restored) == [1, 2, 3, start + 1]
        assert run(restored, "SELECT * FROM events_pruned") == [("*", start)]
        assert run(restored, "SELECT token = %s, floor = %s, position = %s FROM events_server",
                   [token, start, start + 1]) == [(False, True, True)]
        assert "has ended" in refusal(restored, "INSERT INTO events(channel) VALUES ('job')")


def test_a_dump_that_is_restored_twice_gives_no_id_to_two_rows(cluster, db):
    """Also if standbys took over before and after, and if the dump is of a log that was restored itself."""
    run(db, "INSERT INTO events(data) VALUES ('a')")
    text = dump(cluster, db.info.dbname)
    given = []
    for _ in range(3):
        other = cluster.database()
        assert cluster.psql("-v", "ON_ERROR_STOP=1", dbname=other, text=text).returncode == 0
        with contextlib.closing(cluster.connect(other)) as restored:
            run(restored, "SELECT events_after_restore()")
            text = text if given else dump(cluster, other)
            for timeline in (7, 8):
                run(restored, "INSERT INTO events(data) SELECT 'b' FROM generate_series(1, 1000)")
                run(restored, "SELECT events_timeline_begins(%s)", [timeline])
            run(restored, "INSERT INTO events(data) SELECT 'b' FROM generate_series(1, 1000)")
            given.append(ids(restored)[1:])
    assert [len(numbers) for numbers in given] == [3000] * 3 and len({number for numbers in given for number in numbers}) == 9000
    assert sum(given, []) == sorted(sum(given, [])) and given[2][-1] < 1 << 53


@pytest.mark.parametrize("timelines, after", [([1], 2), ([1, 3], 1 << 40)], ids=["kept", "set back"])
def test_log_of_an_older_file_knows_whether_its_timeline_was_set_back(cluster, db, timelines, after):
    """In its table is PostgreSQL's timeline alone. pg_upgrade had set that back to 1 if there is a higher one."""
    run(db, "INSERT INTO events(data) VALUES ('a')")
    run(db, "ALTER TABLE events_timelines DROP COLUMN system, DROP COLUMN of_system")
    run(db, "DELETE FROM events_timelines")
    run(db, "INSERT INTO events_timelines(timeline, after, base) SELECT unnest(%s), 0, 0", [timelines])
    run(db, "SELECT setval('events_begun', 1)")
    done = cluster.psql("-v", "ON_ERROR_STOP=1", "-f", FILE, dbname=db.info.dbname)
    assert (done.returncode, done.stderr) == (0, "")
    number = timelines[-1] + (timelines[-1] > 1)
    for published in (1, 2, 3):
        assert run(db, "SELECT timeline FROM events_server") == [(number,)], published
        run(db, "INSERT INTO events(data) VALUES ('b')")
    numbers = ids(db)
    assert numbers[1] >= after and (numbers[1] == 2 or after > 2) and numbers[3] == numbers[1] + 2


def test_timeline_far_above_the_last_one_leaves_room_for_ids(db):
    """pg_resetwal can set it to anything."""
    run(db, "INSERT INTO events(data) VALUES ('a')")
    run(db, "SELECT events_timeline_begins(4000000000)")
    assert 1 << 52 < run(db, "SELECT last_value FROM events_order")[0][0] < (1 << 52) + (1 << 51)


def test_log_of_an_owner_who_may_not_read_the_identifier_of_the_cluster(cluster):
    name = cluster.database()
    cluster.rows("CREATE ROLE no_superuser LOGIN", name)
    try:
        cluster.rows("CREATE SCHEMA log AUTHORIZATION no_superuser", name)
        cluster.rows("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", name)
        done = cluster.psql("-v", "ON_ERROR_STOP=1", "-f", FILE, dbname=name, user="no_superuser",
                            environment={"PGOPTIONS": "-c search_path=log"})
        assert (done.returncode, done.stderr) == (0, "")
        with contextlib.closing(cluster.connect(name, "no_superuser")) as owner:
            run(owner, "SET search_path = log")
            run(owner, "INSERT INTO events(data) VALUES ('a'), ('b')")
            assert run(owner, "SELECT position, timeline, system FROM events_server") == [(2, 1, 0)]
    finally:
        cluster.rows(f"DROP DATABASE {name}")
        cluster.rows("DROP ROLE no_superuser")


# Retention


@pytest.fixture
def kept(cluster):
    with contextlib.closing(cluster.connect(cluster.database(FILE, RETENTION))) as connection:
        yield connection


def test_rules_keep_what_they_say(kept):
    run(kept, "INSERT INTO retention VALUES ('rooms/*', 2, NULL), ('rooms/lobby', 4, NULL), ('old', NULL, 60), ('*', 5, NULL)")
    run(kept, """INSERT INTO events(channel) SELECT c FROM generate_series(1, 6) AS i,
        unnest(ARRAY['rooms/a', 'rooms/b', 'rooms/lobby', 'x', 'old']) AS c ORDER BY i""")
    run(kept, "INSERT INTO events(channel, created_at) SELECT 'old', now() - interval '2 minutes' FROM generate_series(1, 3)")
    run(kept, "CALL retention_run(2)")
    # The old rows are above newer ones.
    assert run(kept, "SELECT channel, count(*) FROM events GROUP BY channel ORDER BY channel") == [
        ("old", 9), ("rooms/a", 2), ("rooms/b", 2), ("rooms/lobby", 4), ("x", 5)]
    run(kept, "CALL retention_run()")
    assert run(kept, "SELECT count(*) FROM events WHERE channel = 'old'") == [(6,)]
    newest = ids(kept)[-3:]
    run(kept, "INSERT INTO retention(keep_rows) VALUES (3)")
    run(kept, "CALL retention_run(2)")
    assert ids(kept) == newest


def test_retention_is_not_compiled(kept):
    """That would take seconds, where the queries take milliseconds."""
    run(kept, "INSERT INTO retention VALUES ('a', 2, NULL), ('*', 5, NULL)")
    run(kept, "INSERT INTO events(channel) SELECT 'a' FROM generate_series(1, 6)")
    run(kept, "LOAD 'auto_explain'")
    for setting in ("log_min_duration = 0", "log_nested_statements = on", "log_analyze = on", "log_level = notice"):
        run(kept, f"SET auto_explain.{setting}")
    run(kept, "SET jit = on")
    kept.notices.clear()
    run(kept, "CALL retention_run(2)")
    explained = "".join(kept.notices)
    assert "retention_rules" in explained and "JIT:" not in explained


@pytest.mark.parametrize("values, says", [
    ("'a*', 1, 1", "channel: a name"), ("'a', 0, 1", "keep_rows: NULL"), ("'a', 1, 0", "keep_seconds: NULL"),
])
def test_bad_rules_are_refused(kept, values, says):
    assert says in refusal(kept, f"INSERT INTO retention VALUES ({values})")
