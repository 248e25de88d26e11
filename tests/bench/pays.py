"""What a row costs its publisher: a large transaction into a log, into a table without constraints, and into a table of an
application whose changes `rowtail --track` makes events."""

import json
import pathlib
import subprocess
import time

import rig
from database import SCHEMA, Database

LOGS = {
    "plain": "a table without constraints",
    "log": "the log",
    "kept": "with retention.sql",
    "pruned": "with retention.sql, where each INSERT deletes a row",
}
KEPT_ROWS = {"kept": 10**9, "pruned": 1000}
RETENTION = SCHEMA.with_name("retention.sql")


def _make(path, name):
    if name == "plain":
        with Database(path) as database:
            database.sql("PRAGMA journal_mode = WAL")
            database.sql("CREATE TABLE plain(id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT, event TEXT, data TEXT)")
        return "plain"
    Database.create(path).close()
    if name in KEPT_ROWS:
        with RETENTION.open("rb") as schema:
            subprocess.run(["sqlite3", str(path)], stdin=schema, check=True, stdout=subprocess.DEVNULL)
        with Database(path) as database:
            database.sql(f"INSERT INTO retention(keep_rows) VALUES ({KEPT_ROWS[name]})")
    return "events"


def run(the_rig, name, rows):
    """(µs for a row inserted, µs for a row deleted); of a log that prunes itself, few are left to delete."""
    path = pathlib.Path(the_rig.new_directory()) / "events.db"
    table = _make(path, name)
    command = [the_rig.tool("publish"), "--db", path, "--table", table, "--count", rows]
    command += ["--length", rig.ROW_LENGTH, "--batch", rows]
    told = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, timeout=rig.LOAD_DEADLINE)
    with Database(path) as database:
        database.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        began = time.monotonic()
        database.sql(f"DELETE FROM {table} WHERE id > 0")
        deleted = time.monotonic() - began
    for file in path.parent.iterdir():
        file.unlink()
    return json.loads(told.stdout)["elapsed_ms"] * 1e3 / rows, deleted * 1e6 / rows


# How --track writes the JSON: with its functions, or as SQLite 3.7.17 can.
TRACKED = {"untracked": None, "functions": "--track-json=functions", "plain": "--track-json=plain"}
ORDERS = """CREATE TABLE orders(
    id INTEGER PRIMARY KEY, customer TEXT, item TEXT, amount INTEGER, state TEXT, updated_at TEXT);"""
CHANGES = {
    "inserted": """WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {rows})
        INSERT INTO orders SELECT id, 'customer ' || id % 1000, 'a "teapot"', id % 10, 'new', '2026-01-01 00:00:00' FROM n""",
    "updated": "UPDATE orders SET state = 'sent', updated_at = '2026-01-02 00:00:00'",
    "deleted": "DELETE FROM orders WHERE id > 0",
}


def run_tracked(the_rig, name, rows):
    """What it costs to change all rows of a table in one statement: {change: µs for a row}."""
    path = pathlib.Path(the_rig.new_directory()) / "app.db"
    Database.create(path).close()
    sqlite3 = ["sqlite3", "-bail", str(path)]
    subprocess.run(sqlite3, input=ORDERS, text=True, check=True)
    if TRACKED[name]:
        track = [the_rig.rowtail, "--db", path, "--track", "orders", TRACKED[name]]
        triggers = subprocess.run(list(map(str, track)), check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(sqlite3, input=triggers, check=True, stdout=subprocess.DEVNULL)
    taken = {}
    with Database(path) as database:
        for change, statement in CHANGES.items():
            database.sql("PRAGMA wal_checkpoint(TRUNCATE)")
            began = time.monotonic()
            database.sql(statement.format(rows=rows))
            taken[change] = (time.monotonic() - began) * 1e6 / rows
        (events,) = database.sql("SELECT count(*) FROM events")[0]
        assert int(events) == (3 * rows if TRACKED[name] else 0), events
    for file in path.parent.iterdir():
        file.unlink()
    return taken
