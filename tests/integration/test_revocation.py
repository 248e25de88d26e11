"""Access ends while a stream is open: within ten seconds, with a final record, and for nobody else.

rowtail checks open streams every five seconds; a test that waits for a check takes as long.
"""

import json
import os
import sqlite3
import time

import database
import pytest
import stream

PROMISED = 10.0  # seconds; rowtail(8), ACCESS
SLACK = 3.0  # for a busy machine


@pytest.fixture
def grants(log):
    """Removes all grants."""
    log.sql("DELETE FROM grants")
    return log


def ends_denied(peers, reason):
    """Waits until each stream has ended with its denied record; returns how long that took."""
    began = time.monotonic()
    stream.pump_all(peers, lambda peer: peer.eof, "end", PROMISED + SLACK)
    for peer in peers:
        assert peer.events[-1].type == "denied", peer.describe()
        assert json.loads(peer.events[-1].data) == {"reason": reason}
    return time.monotonic() - began


def lives(log, peer, channel):
    number = log.insert("still here", channel=channel)
    event = peer.next_row()
    assert (event.data, event.last_event_id) == ("still here", str(number))


def test_one_delete_ends_exactly_the_streams_of_one_user(launch, grants):
    for subject in "user:ann", "user:bob", "*":
        grants.grant(subject, "orders" if subject != "*" else "news")
    server = launch()
    anns = [server.open("channel=orders", user="ann") for _ in range(20)]
    bob = server.open("channel=orders", user="bob")
    anybody = server.open("channel=news")
    grants.sql("DELETE FROM grants WHERE subject = 'user:ann'")
    assert ends_denied(anns, "revoked") < PROMISED
    lives(grants, bob, "orders")
    lives(grants, anybody, "news")
    assert server.answer("channel=orders", user="ann").head.status == 403
    assert server.metric("rowtail_streams") == 2


def test_stream_ends_when_one_channel_is_revoked(launch, grants):
    for channel in "a", "b":
        grants.grant("user:ann", channel)
    server = launch()
    both, one = (server.open(f"channel={c}", user="ann") for c in ("a&channel=b", "a"))
    grants.sql("DELETE FROM grants WHERE channel = 'b'")
    ends_denied([both], "revoked")
    lives(grants, one, "a")


def test_stream_stays_while_another_grant_covers_it(launch, grants):
    """The grant is narrowed, widened, or given to everyone: the stream stays while it is still granted."""
    grants.grant("user:ann", "orders/*")
    server = launch()
    peer = server.open("channel=orders/1", user="ann")
    lost = server.open("channel=orders/2", user="ann")
    grants.sql("UPDATE grants SET subject = '*', channel = 'orders/1'")
    ends_denied([lost], "revoked")
    lives(grants, peer, "orders/1")


def test_pattern_stream_ends_when_its_grant_narrows(launch, grants):
    grants.grant("user:ann", "orders/*")
    server = launch()
    wide, narrow = (server.open(f"channel=orders/{c}", user="ann") for c in ("*", "a/*"))
    grants.sql("UPDATE grants SET channel = 'orders/a/*'")
    ends_denied([wide], "revoked")
    lives(grants, narrow, "orders/a/1")


def test_changed_expiry_applies_to_open_streams(launch, grants):
    """The current expires_at counts, not the one from when the stream began."""
    for user in "ann", "bob":
        grants.grant(f"user:{user}", "a", "2999-01-01 00:00:00")
    grants.grant("user:cem", "a", sooner := _in_seconds(grants, 3))
    server = launch()
    ann, bob, cem = (server.open("channel=a", user=user) for user in ("ann", "bob", "cem"))
    grants.sql("UPDATE grants SET expires_at = ? WHERE subject = 'user:ann'", sooner)
    grants.sql("UPDATE grants SET expires_at = NULL WHERE subject = 'user:cem'")
    ends_denied([ann], "expired")
    lives(grants, bob, "a")
    assert cem.next_row().data == "still here"


def _in_seconds(log, seconds):
    return log.sql("SELECT datetime('now', ?)", f"+{seconds} seconds")[0][0]


def test_no_row_follows_the_denied_record(launch, grants):
    """The denied record is the last: no row of the channel follows it."""
    grants.grant("user:ann", "a")
    server = launch()
    peer = server.open("channel=a", user="ann")
    grants.insert("before", channel="a")
    assert peer.next_row().data == "before"
    grants.sql("DELETE FROM grants")
    ends_denied([peer], "revoked")
    grants.insert("after", channel="a")
    assert [event.data for event in peer.rows] == ["before"]


def test_stalled_reader_gets_no_row_after_revocation(launch, grants):
    """rowtail completes the row in progress, so that the client can read the denied record."""
    grants.grant("user:ann", "a")
    server = launch()
    peer = server.open("channel=a", user="ann")
    grants.insert("x" * 8_000_000, channel="a")
    grants.insert("not sent yet", channel="a")
    grants.sql("DELETE FROM grants")
    time.sleep(PROMISED)
    grants.insert("after", channel="a")
    ends_denied([peer], "revoked")
    assert [len(event.data) for event in peer.rows] == [8_000_000]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_grants_of_a_replacement_database_apply(launch, grants, workdir, journal):
    """The database is restored from a backup with other grants."""
    grants.grant("user:ann", "a")
    grants.grant("user:bob", "a")
    backup = workdir / "backup.db"
    with database.Database.create(backup) as other:
        other.sql(f"PRAGMA journal_mode = {journal}")
        other.grant("user:bob", "a")
    server = launch()
    ann, bob = (server.open("channel=a", user=user) for user in ("ann", "bob"))
    # Checked before the change, so that a check that compares too little has something to compare.
    time.sleep(6)
    grants.close()
    for ending in "", "-wal", "-shm":
        (workdir / f"events.db{ending}").unlink(missing_ok=True)
    os.rename(backup, grants.path)
    ends_denied([ann], "revoked")
    with database.Database(grants.path) as opened:
        opened.insert("still here", channel="a")
    assert bob.next_row().data == "still here"


def test_missing_grants_table_grants_nothing(launch, grants):
    grants.grant("user:ann", "a")
    server = launch()
    peer = server.open("channel=a", user="ann")
    grants.sql("DROP TABLE grants")
    ends_denied([peer], "revoked")
    assert server.answer("channel=a", user="ann").head.status == 403


def test_locked_database_ends_no_stream(launch, grants):
    """While the grants cannot be read, no stream ends because of it."""
    grants.sql("PRAGMA journal_mode = delete")
    grants.grant("user:ann", "a")
    server = launch()
    peer = server.open("channel=a", user="ann")
    other = sqlite3.connect(grants.path, isolation_level=None)
    grants.insert("so that there is something to look at", channel="b")
    other.execute("BEGIN EXCLUSIVE")
    peer.rest(7)
    assert not peer.eof, peer.describe()
    other.execute("COMMIT")
    other.close()
    lives(grants, peer, "a")
