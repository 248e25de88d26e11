"""What a row costs its publisher: a large transaction into a log, and into a table without constraints."""

import json
import pathlib
import subprocess
import time

import rig
from database import SCHEMA, Database

LOGS = {"plain": "a table without constraints", "log": "the log", "kept": "with retention.sql"}
RETENTION = SCHEMA.with_name("retention.sql")


def _make(path, name):
    if name == "plain":
        with Database(path) as database:
            database.sql("PRAGMA journal_mode = WAL")
            database.sql("CREATE TABLE plain(id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT, event TEXT, data TEXT)")
        return "plain"
    Database.create(path).close()
    if name == "kept":
        with RETENTION.open("rb") as schema:
            subprocess.run(["sqlite3", str(path)], stdin=schema, check=True, stdout=subprocess.DEVNULL)
        with Database(path) as database:
            database.sql("INSERT INTO retention(keep_rows) VALUES (1000000000)")
    return "events"


def run(the_rig, name, rows):
    """(µs for a row inserted, µs for a row deleted)."""
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
