"""The end of a channel: a row of event type `end` is the last one, and clients stop."""

import sqlite3

import pytest

from schema import SHELLS, VERSIONS, run_text, set_up

SQLITES = {"now": "sqlite3", **SHELLS}
REFUSAL = "this channel has ended, so it takes no more rows; DELETE FROM events_ended opens it again"


@pytest.fixture
def path(workdir):
    set_up(str(workdir / "events.db"), "rowtail.sql")
    return str(workdir / "events.db")


# The schema


@pytest.mark.parametrize("name", ["now", *VERSIONS])
def test_a_row_of_type_end_is_the_last_of_its_channel(path, name):
    end = "INSERT INTO events(channel, event) VALUES ('jobs/7', 'end');"
    assert run_text(path, end, SQLITES[name]).stderr == ""
    for insert in ("INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"):
        done = run_text(path, f"{insert} INTO events(channel, data) VALUES ('jobs/7', 'late');", SQLITES[name])
        assert REFUSAL in done.stderr
    done = run_text(path, "INSERT INTO events(channel) VALUES ('jobs/8'); SELECT count(*) FROM events;", SQLITES[name])
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_the_end_outlives_its_row(path):
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO events(channel, event) VALUES ('a', 'end')")
        db.execute("DELETE FROM events")
        assert db.execute("SELECT channel, id FROM events_ended").fetchall() == [("a", 1)]
        with pytest.raises(sqlite3.IntegrityError, match=REFUSAL):
            db.execute("INSERT INTO events(channel) VALUES ('a')")
    db.close()


def test_deleting_the_end_opens_the_channel_again(path):
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO events(channel, event) VALUES ('a', 'end')")
        db.execute("DELETE FROM events_ended WHERE channel = 'a'")
        db.execute("INSERT INTO events(channel) VALUES ('a')")
        db.execute("INSERT INTO events(channel, event) VALUES ('a', 'end')")
        assert db.execute("SELECT channel, id FROM events_ended").fetchall() == [("a", 3)]
    db.close()


def test_a_rolled_back_end_ends_nothing(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN")
    db.execute("INSERT INTO events(channel, event) VALUES ('a', 'end')")
    db.execute("ROLLBACK")
    db.execute("INSERT INTO events(channel) VALUES ('a')")
    db.close()


def test_ends_keep_working_after_a_restore(path):
    run_text(path, "INSERT INTO events(id, channel, event) VALUES (9000000000000000, 'a', 'end');")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE sqlite_sequence SET seq = 9007199254740990")
        db.execute("INSERT INTO events(channel, event) VALUES ('b', 'end')")
    set_up(path, "after-restore.sql")
    with sqlite3.connect(path) as db:
        ends = dict(db.execute("SELECT channel, id FROM events_ended").fetchall())
        rows = dict(db.execute("SELECT channel, id FROM events WHERE event = 'end'").fetchall())
        assert ends == rows and ends["b"] < 9007199254740991
        with pytest.raises(sqlite3.IntegrityError, match=REFUSAL):
            db.execute("INSERT INTO events(channel) VALUES ('b')")
    db.close()
