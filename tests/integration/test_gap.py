"""Positions that are no longer valid: nothing is ever skipped without a `gap` record."""

import json
import os

import pytest

import database
import stream


def gap(event):
    """The JSON of a gap record, which has exactly these members."""
    assert event.type == "gap"
    told = json.loads(event.data)
    assert sorted(told) == ["newest", "oldest", "reason", "requested"]
    return told


def assert_nothing_skipped(events, log_ids, position):
    """Row ids grow, and a gap record precedes every skipped id of the log."""
    excused = False
    for event in events:
        if event.type == "gap":
            excused = True
        if event.type in stream.CONTROL_TYPES:
            continue
        number = int(event.last_event_id)
        skipped = [id for id in log_ids if position < id < number]
        assert number > position, f"{number} came after {position}"
        assert not skipped or excused, f"{skipped[:5]} … were skipped before {number}"
        position, excused = number, False


def follow_to(server, peer, newest, channel="default"):
    """Reads until a row with this id; returns all events.

    A stream may end within a row that is pruned while it is sent: then the client reconnects, as an EventSource does.
    """
    events = []
    while True:
        peer.wait(lambda: peer.eof or peer.ids[-1:] == [newest], f"id {newest}")
        events += peer.events
        if not peer.eof:
            return events
        peer = server.open(f"channel={channel}", last_event_id=peer.parser.last_event_id)


def delete_behind_a_live_reader(server, log):
    """Rows 1 to 12 of channels a and b in turn. A live reader has got them. Those of a after 4 are deleted."""
    live = server.open("channel=a&channel=b")
    for n in range(1, 13):
        log.insert(f"row {n}", channel="b" if n % 2 else "a")
    live.wait_rows(12)
    log.sql("DELETE FROM events WHERE channel = 'a' AND id > 4")
    return live


# When the stream is opened.


def test_pruned(server, log):
    log.insert_many(10)
    log.prune(5)
    peer = server.open(last_event_id=3)
    assert gap(peer.first) == {"requested": "3", "oldest": 6, "newest": 10, "reason": "pruned"}
    assert peer.parser.retries
    assert [event.data for event in peer.wait_rows(5)] == [f"row {n}" for n in range(6, 11)]
    log.insert("new")
    assert peer.wait_rows(6)[-1].data == "new"


def test_rows_behind_a_gap_do_not_come_from_memory(server, log):
    """Rows that the gap reports do not come after it, though rowtail still has them for live readers."""
    delete_behind_a_live_reader(server, log)
    peer = server.open("channel=a&channel=b", last_event_id=4)
    assert gap(peer.first)["reason"] == "pruned"
    log.insert("new", channel="a")
    assert [event.data for event in peer.wait_rows(5)] == ["row 5", "row 7", "row 9", "row 11", "new"]


@pytest.mark.parametrize("options", ((), ("--max-replay", 4)), ids=("tail", "max-replay"))
def test_deleted_rows_are_not_among_the_newest(launch, log, options):
    """A reader that asks for the newest rows gets those that exist, though rowtail still has others for live readers."""
    server = launch(*options)
    delete_behind_a_live_reader(server, log)
    asked = {"last_event_id": 2} if options else {}
    peer = server.open("channel=a&channel=b" + ("" if options else "&tail=4"), **asked)
    log.insert("new", channel="a")
    assert [event.data for event in peer.wait_rows(5)] == ["row 5", "row 7", "row 9", "row 11", "new"]


def test_live_reader_gets_rows_that_were_deleted_since_they_came(server, log):
    live = delete_behind_a_live_reader(server, log)
    log.insert("new", channel="a")
    assert [event.data for event in live.wait_rows(13)] == [*(f"row {n}" for n in range(1, 13)), "new"]
    assert [event.type for event in live.events if event.type == "gap"] == []


def test_position_at_the_pruned_edge_is_valid(server, log):
    log.insert_many(10)
    log.prune(5)
    peer = server.open(last_event_id=5)
    assert peer.first == ("position", "5", "5")
    assert len(peer.wait_rows(5)) == 5


def test_position_at_the_end_of_an_emptied_log_is_valid(server, log):
    log.insert_many(10)
    log.prune(10)
    peer = server.open(last_event_id=10)
    assert peer.first == ("position", "10", "10")
    log.insert("new")
    assert peer.next_row() == ("message", "new", "11")


def test_all_pruned(server, log):
    log.insert_many(10)
    log.prune(10)
    peer = server.open(last_event_id=7)
    told = gap(peer.first)
    assert (told["requested"], told["newest"], told["reason"]) == ("7", 10, "pruned")
    log.insert("new")
    assert peer.next_row() == ("message", "new", "11")


def test_rows_pruned_in_other_channels_cause_no_gap(server, log):
    for number in range(1, 11):
        log.insert(str(number), channel="odd" if number % 2 else "even")
    log.sql("DELETE FROM events WHERE channel = 'even' AND id < 9")
    odd = server.open("channel=odd", last_event_id=2)
    assert odd.first.type == "position"
    assert [event.data for event in odd.wait_rows(4)] == ["3", "5", "7", "9"]
    assert gap(server.open("channel=even", last_event_id=2).first)["reason"] == "pruned"
    assert gap(server.open("channel=*", last_event_id=2).first)["reason"] == "pruned"


def test_gap_is_not_repeated_after_a_resume(server, log):
    log.insert_many(10)
    log.prune(5)
    first = server.open(last_event_id=3)
    position = first.first.last_event_id
    second = server.open(last_event_id=position)
    assert second.first == ("position", position, position)
    assert [event.data for event in second.wait_rows(5)] == [f"row {n}" for n in range(6, 11)]


@pytest.mark.parametrize("position", ["11", "999", str(2**63 - 1), str(2**63), "9" * 40])
def test_future(server, log, position):
    log.insert_many(10)
    peer = server.open(last_event_id=position)
    assert gap(peer.first) == {
        "requested": position,
        "oldest": 1,
        "newest": 10,
        "reason": "future",
    }
    assert peer.parser.last_event_id == "10"
    log.insert("new")
    assert peer.next_row() == ("message", "new", "11")


@pytest.mark.parametrize("position", ["abc", "-1", "1.5", "5x", "0x5", "5 6", '"5"\\', "é"])
def test_malformed(server, log, position):
    log.insert_many(10)
    peer = server.open({"last_event_id": position})
    told = gap(peer.first)
    assert told == {"requested": position, "oldest": 1, "newest": 10, "reason": "malformed"}
    assert peer.parser.last_event_id == "10"
    log.insert("new")
    assert peer.next_row() == ("message", "new", "11")


def test_malformed_and_hostile(server, log):
    position = "a\n\nid: 9\r\rdata: forged\0\xff" + "x" * 5000
    peer = server.open({"last_event_id": position}, headers={"Last-Event-ID": "\r\nevent: x"})
    told = gap(peer.first)
    assert told["reason"] == "malformed"
    assert len(told["requested"]) < 200
    log.insert("new")
    assert peer.next() == ("message", "new", "1")


def test_limit(launch, log):
    server = launch("--max-replay", 5)
    log.insert_many(20)
    peer = server.open(last_event_id=3)
    assert gap(peer.first) == {"requested": "3", "oldest": 1, "newest": 20, "reason": "limit"}
    assert [event.data for event in peer.wait_rows(5)] == [f"row {n}" for n in range(16, 21)]
    near = server.open(last_event_id=15)
    assert near.first.type == "position"
    assert len(near.wait_rows(5)) == 5


def test_limit_counts_only_followed_rows(launch, log):
    server = launch("--max-replay", 5)
    log.insert_many(5, channel="rare")
    log.insert_many(20)
    peer = server.open("channel=rare", last_event_id=0)
    assert peer.first.type == "position"
    assert len(peer.wait_rows(5)) == 5


def test_gap_reaches_a_client_without_positions(server, log):
    log.insert_many(10)
    log.prune(5)
    peer = server.open("positions=0", last_event_id=3)
    assert gap(peer.next())["reason"] == "pruned"
    assert len(peer.wait_rows(5)) == 5


def test_gaps_are_counted(server, log):
    log.insert_many(3)
    server.open(last_event_id=99)
    assert server.metric("rowtail_gaps_total", reason="future") == 1


# While the stream runs.


def test_rows_pruned_before_a_live_reader_receives_them(server, log):
    log.insert_many(10)
    peer = server.open()
    log.sql("BEGIN IMMEDIATE")
    log.sql("INSERT INTO events(data) VALUES ('lost 1'), ('lost 2'), ('kept')")
    log.sql("DELETE FROM events WHERE data LIKE 'lost%'")
    log.sql("COMMIT")
    told = gap(peer.next())
    assert (told["requested"], told["reason"]) == ("10", "pruned")
    assert peer.next() == ("message", "kept", "13")


def test_rows_pruned_before_a_slow_reader_receives_them(server, log):
    """The slow reader reads nothing while 24 MiB are inserted and most of them deleted."""
    slow = server.open()
    quick = server.open()
    for _ in range(24):
        log.insert("x" * (1 << 20))
    quick.wait_rows(24)
    quick.close()
    log.prune(22)
    log.insert("end")
    events = follow_to(server, slow, 25)
    assert_nothing_skipped(events, range(1, 26), 0)
    assert "gap" in [event.type for event in events]


def test_rows_pruned_while_a_reader_catches_up(server, log):
    log.insert_many(200, prefix="x" * 50000)
    slow = server.open(last_event_id=0)
    log.prune(150)
    log.insert("end")
    events = follow_to(server, slow, 201)
    assert_nothing_skipped(events, range(1, 202), 0)


def test_rows_pruned_below_a_reported_gap(server, log):
    """The reader already knows of a deletion above this one."""
    log.insert_many(2000, prefix="x" * 5000, channel="a")
    log.insert_many(10, channel="b")
    log.sql("DELETE FROM events WHERE id = 2005")
    slow = server.open("channel=*", last_event_id=0)
    assert gap(slow.first)["reason"] == "pruned"
    log.sql("DELETE FROM events WHERE id BETWEEN 500 AND 1500")
    log.insert("end", channel="b")
    events = follow_to(server, slow, 2011, "*")
    rows = [event.last_event_id for event in events if event.type == "message"]
    assert rows == [str(id) for id in range(1, 2012) if id != 2005 and not 500 <= id <= 1500]
    told_first, told_then = [gap(event) for event in events if event.type == "gap"]
    assert told_first["requested"] == "0" and 0 < int(told_then["requested"]) < 500


def test_pruning_received_rows_causes_no_gap(server, log):
    """It was told of missing rows ahead; deletions of rows that it has received do not concern it."""
    log.insert_many(2000, prefix="x" * 5000)
    log.sql("DELETE FROM events WHERE id = 1999")
    slow = server.open(last_event_id=0)
    assert gap(slow.first)["reason"] == "pruned"
    had = [int(slow.next_row().last_event_id) for _ in range(20)]
    log.prune(10)
    log.insert("end")
    events = follow_to(server, slow, 2001)
    assert had == list(range(1, 21))
    assert [event.type for event in events].count("gap") == 1


# The database file is replaced.


def replace(log, workdir, rows):
    """Replaces this log by another one with so many rows; returns it, opened."""
    other = database.Database.create(workdir / "other.db")
    other.grant("*", "*")
    other.insert_many(rows, prefix="other ")
    other.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    # SQLite would take the old -wal for one of the new file, in the moment before it is deleted.
    log.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    log.close()
    os.replace(workdir / "other.db", log.path)
    for suffix in ("-wal", "-shm"):
        log.path.with_name(log.path.name + suffix).unlink(missing_ok=True)
    return database.Database(log.path)


def test_replaced_by_a_longer_log(server, log, workdir):
    log.insert_many(5)
    peer = server.open()
    with replace(log, workdir, 8) as other:
        told = gap(peer.next())
        assert told == {"requested": "5", "oldest": 1, "newest": 8, "reason": "replaced"}
        assert [peer.next_row().data for _ in range(3)] == ["other 6", "other 7", "other 8"]
        other.insert("new")
        assert peer.next_row() == ("message", "new", "9")


def test_replaced_by_a_shorter_log(server, log, workdir):
    log.insert_many(5)
    peer = server.open()
    with replace(log, workdir, 2) as other:
        told = gap(peer.next())
        assert told == {"requested": "5", "oldest": 1, "newest": 2, "reason": "replaced"}
        assert peer.parser.last_event_id == "2"
        other.insert("new")
        assert peer.next_row() == ("message", "new", "3")
        assert server.open().first.last_event_id == "3"


def test_replaced_reaches_every_stream_once(server, log, workdir):
    log.insert_many(5)
    peers = [server.open(f"channel={name}&channel=default") for name in "abcdefgh"]
    with replace(log, workdir, 5) as other:
        other.insert("new")
        stream.pump_all(peers, lambda peer: peer.rows)
    for peer in peers:
        assert [event.type for event in peer.events] == ["position", "gap", "message"]
