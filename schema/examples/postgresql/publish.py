#!/usr/bin/env python3
"""Publishes one record: publish.py 'host=db.example dbname=app' orders/42 paid '{"total": 12}'

Needs psycopg2 (python3-psycopg2 in Debian). With psycopg 3 only the names in the import and in connect() differ.
"""

import sys

import psycopg2


def connect(dsn):
    # The application's own connection will do, and its own transaction: the row is published with its COMMIT.
    db = psycopg2.connect(dsn)
    db.autocommit = True
    return db


def publish(db, channel, event, data):
    """event is None for a plain message. A text cannot contain U+0000."""
    with db.cursor() as cursor:
        insert = "INSERT INTO events(channel, event, data) VALUES (%s, %s, %s)"
        cursor.execute(insert, (channel, event, data))


def last_id(db):
    """The id of the last row that this connection has published, after the COMMIT."""
    with db.cursor() as cursor:
        cursor.execute("SELECT currval('events_order')")
        return cursor.fetchone()[0]


if __name__ == "__main__":
    dsn, channel, event, data = sys.argv[1:]
    db = connect(dsn)
    publish(db, channel, event or None, data)
    print(last_id(db))
