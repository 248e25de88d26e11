"""Writers with all SQLite versions on one log that rowtail follows; a log that is upgraded meanwhile; and the
files of schema/, run by drivers in their own transactions.
"""

import json
import re
import sqlite3
import subprocess
import threading

import pytest

import database
from schema import FORMER, SCHEMA, SHELLS, VERSIONS, Shell, run_script, set_up

TOKEN_HEX = "5e884898da28047151d0e56f8dc6292773603d0d6aabbd62a11ef721d1542d8"  # 63 digits
JOURNALS = ["wal", "delete"]


@pytest.fixture
def shells():
    opened = []

    def make(path, versions=VERSIONS):
        opened.extend(Shell(path, version) for version in versions)
        return opened[-len(versions) :]

    yield make
    for shell in opened:
        shell.close()


def set_journal(log, mode):
    assert log.sql(f"PRAGMA journal_mode = {mode}") == [(mode,)]


@pytest.mark.parametrize("journal", JOURNALS)
def test_versions_take_turns_publishing_and_pruning(launch, log, shells, journal):
    set_journal(log, journal)
    set_up(log.path, "retention.sql")
    server = launch()
    peer = server.open()
    for number, shell in enumerate(shells(log.path) * 3, 1):
        shell.sql(f"INSERT INTO events(data) VALUES ('{shell.version} 😀')")
        assert peer.next_row() == ("message", f"{shell.version} 😀", str(number))
    for number, shell in enumerate(shells(log.path), 1):
        shell.sql(f"DELETE FROM events WHERE id = {number}")
        assert json.loads(server.open(last_event_id=number - 1).first.data)["reason"] == "pruned"
        assert server.open(last_event_id=number).first.type == "position"
    for shell in shells(log.path):
        shell.sql("INSERT OR REPLACE INTO retention VALUES ('', 3, 3600)")
        shell.sql("INSERT INTO events(data) VALUES ('kept')")
        assert peer.next_row().data == "kept"
        assert log.sql("SELECT count(*) FROM events") == [(3,)]
    assert [event for event in peer.events if event.type == "gap"] == []


@pytest.mark.parametrize("journal", JOURNALS)
def test_concurrent_versions_lose_nothing(launch, log, shells, journal):
    each = 60 if journal == "wal" else 12
    set_journal(log, journal)
    peer = launch().open()

    def publish(shell):
        shell.sql("PRAGMA synchronous = OFF")
        for number in range(each):
            shell.sql(f"INSERT INTO events(event, data) VALUES ('{shell.version}', '{number}')")

    writers = [threading.Thread(target=publish, args=[shell]) for shell in shells(log.path)]
    for writer in writers:
        writer.start()
    for number in range(each):
        log.insert(str(number), event="now")
    for writer in writers:
        writer.join(60)
    total = each * (len(writers) + 1)
    rows = peer.wait_rows(total)
    assert [int(row.last_event_id) for row in rows] == list(range(1, total + 1))
    for name in ["now", *VERSIONS]:
        assert [row.data for row in rows if row.type == name] == [str(number) for number in range(each)]


def test_each_version_grants_and_revokes(launch, log, shells):
    server = launch()
    log.sql("DELETE FROM grants")
    for number, shell in enumerate(shells(log.path)):
        user, channel = f"user{number}", f"orders/{number}"
        assert server.answer(f"channel={channel}", user=user).head.status == 403
        shell.sql(f"INSERT INTO grants VALUES ('user:{user}', 'orders/*', datetime('now', '+1 day'))")
        shell.sql(f"INSERT INTO grants(subject, channel) VALUES ('token:{TOKEN_HEX}{number}', 'orders/*')")
        server.open(f"channel={channel}", user=user).close()
        shell.sql(f"DELETE FROM grants WHERE subject = 'user:{user}'")
        assert server.answer(f"channel={channel}", user=user).head.status == 403


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_repairs_a_restored_log(launch, log, version):
    log.insert_many(5)
    server = launch()
    set_up(log.path, "after-restore.sql", sqlite=SHELLS[version])
    peer = server.open(last_event_id=5)
    assert json.loads(peer.first.data)["reason"] == "pruned"
    with Shell(log.path, version) as shell:
        shell.sql("INSERT INTO events(data) VALUES ('new')")
    assert peer.next_row().data == "new"


def test_exhausted_log_is_fixed_while_it_is_followed(launch, workdir):
    path = workdir / "former.db"
    set_up(path, "rowtail.sql", directory=FORMER)
    with database.Database(path) as log:
        log.grant("*", "*")
        log.insert_many(3)
        log.sql("INSERT INTO events(id, data) VALUES (9007199254740991, 'large')")
        server = launch(db=log)
        peer = server.open(last_event_id=3)
        assert peer.next_row() == ("message", "large", "9007199254740991")
        set_up(path, "rowtail.sql", "after-restore.sql")
        number = log.insert("new")
        assert peer.next_row() == ("message", "new", str(number))
        assert [event.type for event in peer.events].count("gap") == 1
        late = server.open(last_event_id=3)
        assert late.first.type == "gap"
        assert [row.data for row in late.wait_rows(2)] == ["large", "new"]


# A log of 0.1.0 is upgraded while it is in use


def upgrade(path, name):
    """Runs a script; again as long as SQLite cannot change the journal mode beside others."""
    for _ in range(50):
        done = run_script(path, name)
        if done.returncode == 0:
            return
        assert re.fullmatch(r"Runtime error near line \d+: database is locked \(5\)\n", done.stderr), done
    raise AssertionError(f"{name}: always locked")


@pytest.mark.parametrize("journal", JOURNALS)
def test_log_is_upgraded_while_it_is_followed(launch, workdir, journal):
    path = workdir / "former.db"
    set_up(path, "rowtail.sql", "retention.sql", directory=FORMER)
    with database.Database(path) as log:
        set_journal(log, journal)
        log.grant("user:ann", "*")
        log.grant("*", "default")
        log.insert_many(20)
        log.prune(5)
        server = launch(db=log)
        peers = [server.open(), server.open("channel=*", user="ann"), server.open(last_event_id=5)]
        behind = peers.pop()
        assert behind.first.type == "position" and len(behind.wait_rows(15)) == 15
        stop, sent = threading.Event(), []

        def publish():
            with database.Database(path) as writer:
                while not stop.is_set():
                    sent.append(str(writer.insert("meanwhile")))
                    stop.wait(0.002)

        writer = threading.Thread(target=publish)
        writer.start()
        try:
            for _ in range(3):
                for name in ("rowtail.sql", "retention.sql"):
                    upgrade(path, name)
        finally:
            stop.set()
            writer.join(60)
        last = log.insert("last")
        for peer in [*peers, behind]:
            peer.wait_id(last)
            assert [event for event in peer.events if event.type in ("gap", "denied")] == []
            assert [row.last_event_id for row in peer.rows][-len(sent) - 1 :] == [*sent, str(last)]
        # The marks are the same.
        assert server.open(last_event_id=5).first.type == "position"
        assert server.open(last_event_id=4).first.type == "gap"
        assert server.answer("channel=other").head.status == 401
        server.serves(log)


# By drivers


def script_for_a_migration():
    """rowtail.sql without the one line, as its first comment says."""
    text = (SCHEMA / "rowtail.sql").read_text(encoding="utf-8")
    assert "leave out the line PRAGMA journal_mode = WAL" in text
    lines = [line for line in text.splitlines() if not line.startswith("PRAGMA journal_mode")]
    assert len(text.splitlines()) - len(lines) == 1
    return "\n".join(lines) + "\n"


def run_inside(db, script):
    """Runs each statement in the open transaction; executescript() would commit it first."""
    so_far = ""
    for line in script.splitlines(keepends=True):
        so_far += line
        if sqlite3.complete_statement(so_far):
            db.execute(so_far)
            so_far = ""


@pytest.mark.parametrize("commits", [True, False])
def test_script_can_be_part_of_a_migration(workdir, commits):
    path = workdir / "app.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("CREATE TABLE users(id INTEGER PRIMARY KEY)")
    before = list(db.iterdump())
    db.execute("BEGIN")
    db.execute("INSERT INTO users VALUES (1)")
    run_inside(db, script_for_a_migration())
    run_inside(db, (SCHEMA / "retention.sql").read_text(encoding="utf-8"))
    db.execute("INSERT INTO events(data) VALUES ('in the same transaction')")
    assert db.in_transaction
    db.execute("COMMIT" if commits else "ROLLBACK")
    if commits:
        assert db.execute("SELECT data FROM events").fetchall() == [("in the same transaction",)]
        assert db.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    else:
        assert list(db.iterdump()) == before
    db.close()


def test_script_runs_unchanged_in_a_migration_in_wal_mode(workdir):
    db = sqlite3.connect(workdir / "app.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN")
    run_inside(db, (SCHEMA / "rowtail.sql").read_text(encoding="utf-8"))
    db.execute("COMMIT")
    db.execute("INSERT INTO events(data) VALUES ('x')")
    db.close()


def test_impossible_migration_says_why(workdir):
    db = sqlite3.connect(workdir / "app.db", isolation_level=None)
    db.execute("CREATE TABLE grants(id INTEGER PRIMARY KEY, amount REAL)")
    before = list(db.iterdump())
    db.execute("BEGIN")
    with pytest.raises(sqlite3.IntegrityError, match="make the log in a database of its own"):
        run_inside(db, script_for_a_migration())
    if db.in_transaction:
        db.execute("ROLLBACK")
    assert list(db.iterdump()) == before
    db.close()


PDO = """<?php
$db = new PDO("sqlite:$argv[1]", null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
if ($argv[2] === 'migration')
    $db->beginTransaction();
foreach (array_slice($argv, 3) as $file) {
    $script = file_get_contents($file);
    if ($argv[2] === 'migration')
        $script = preg_replace('/^PRAGMA journal_mode.*$/m', '', $script);
    $db->exec($script);
}
if ($argv[2] === 'migration')
    $db->commit();
$db->exec("INSERT INTO events(data) VALUES ('by PDO')");
echo $db->query('SELECT data FROM events')->fetchColumn();
"""


@pytest.mark.parametrize("how", ["alone", "migration"])
def test_php_runs_the_files(workdir, how):
    script = workdir / "run.php"
    script.write_text(PDO, encoding="utf-8")
    files = [SCHEMA / "rowtail.sql", SCHEMA / "retention.sql"] * 2
    files += [SCHEMA / "after-restore.sql"]
    command = ["php", script, workdir / "app.db", how, *files]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "by PDO", "")


def test_python_runs_the_files(workdir):
    db = sqlite3.connect(workdir / "app.db")
    for name in ("rowtail.sql", "retention.sql", "after-restore.sql") * 2:
        db.executescript((SCHEMA / name).read_text(encoding="utf-8"))
    with db:
        db.execute("INSERT INTO events(data) VALUES ('x')")
    assert db.execute("SELECT count(*) FROM events").fetchone() == (1,)
    db.close()


def test_driver_gets_the_reason_and_can_continue(workdir):
    db = sqlite3.connect(workdir / "app.db", isolation_level=None)
    db.execute("CREATE TABLE events(id INTEGER PRIMARY KEY, title TEXT)")
    with pytest.raises(sqlite3.IntegrityError, match="make the log in a database of its own"):
        db.executescript((SCHEMA / "rowtail.sql").read_text(encoding="utf-8"))
    assert not db.in_transaction
    db.execute("DROP TABLE events")
    db.executescript((SCHEMA / "rowtail.sql").read_text(encoding="utf-8"))
    db.execute("INSERT INTO events(data) VALUES ('x')")
    db.close()
