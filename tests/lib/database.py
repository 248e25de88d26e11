"""A database with an event log, as its publishers see it.

Each Database is a separate connection in autocommit mode: every statement is a transaction unless the test
says BEGIN.
"""

import pathlib
import sqlite3
import subprocess

SCHEMA = pathlib.Path(__file__).parents[2] / "schema" / "rowtail.sql"


class Database:
    """One connection to a database file."""

    def __init__(self, path, timeout=10):
        self.path = pathlib.Path(path)
        self.connection = sqlite3.connect(self.path, timeout=timeout, isolation_level=None)

    @classmethod
    def create(cls, path):
        """Creates an event log with the command in the README, and opens it."""
        with SCHEMA.open("rb") as schema:
            subprocess.run(
                ["sqlite3", str(path)], stdin=schema, check=True, stdout=subprocess.DEVNULL
            )
        return cls(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.connection.close()

    def sql(self, statement, *values):
        """Runs one statement and returns its rows."""
        return self.connection.execute(statement, values).fetchall()

    def insert(self, data="", *, channel=None, event=None, retry=None):
        """Publishes one row, in a transaction of its own, and returns its id."""
        given = {"data": data, "channel": channel, "event": event, "retry": retry}
        given = {name: value for name, value in given.items() if value is not None}
        statement = "INSERT INTO events({}) VALUES ({})".format(
            ", ".join(given), ", ".join("?" * len(given))
        )
        return self.connection.execute(statement, list(given.values())).lastrowid

    def insert_many(self, count, prefix="row ", channel="default"):
        """Publishes rows "row 1" … in one transaction; returns the id of the last."""
        rows = [(channel, f"{prefix}{number}") for number in range(1, count + 1)]
        self.sql("BEGIN IMMEDIATE")
        self.connection.executemany("INSERT INTO events(channel, data) VALUES (?, ?)", rows)
        self.sql("COMMIT")
        return self.newest()

    def newest(self):
        """The newest id, 0 when the log is empty."""
        return self.sql("SELECT coalesce(max(id), 0) FROM events")[0][0]

    def prune(self, up_to):
        """Deletes the rows up to this id."""
        self.sql("DELETE FROM events WHERE id <= ?", up_to)

    def grant(self, subject, channel, expires_at=None):
        """Lets a subject read a channel or a pattern."""
        statement = "INSERT INTO grants(subject, channel, expires_at) VALUES (?, ?, ?)"
        self.sql(statement, subject, channel, expires_at)
