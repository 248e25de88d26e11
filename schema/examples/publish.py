#!/usr/bin/env python3
"""Publishes one record: publish.py events.db orders/42 paid '{"total": 12}'"""

import sqlite3
import sys


def connect(path):
    # Wait up to 10 s for other writers. Without isolation_level=None every INSERT would need a
    # db.commit().
    return sqlite3.connect(path, timeout=10, isolation_level=None)


def publish(db, channel, event, data):
    """event is None for a plain message. Returns the record's id."""
    insert = "INSERT INTO events(channel, event, data) VALUES (?, ?, ?)"
    return db.execute(insert, (channel, event, data)).lastrowid


if __name__ == "__main__":
    path, channel, event, data = sys.argv[1:]
    print(publish(connect(path), channel, event or None, data))
