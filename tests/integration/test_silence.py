"""What a stream carries while nothing happens, and how long it stays open."""

import re
import time


def test_heartbeat_is_only_a_comment_line(launch):
    peer = launch("--heartbeat", 1).open()
    start, began = len(peer.body), time.monotonic()
    peer.wait(lambda: len(peer.parser.comments) >= 2, "two heartbeats")
    took = time.monotonic() - began
    assert bytes(peer.body[start:]) == b":\n:\n"
    assert 1.0 < took < 10
    assert peer.parser.empty_blocks == 0


def test_events_replace_heartbeats(launch, log):
    peer = launch("--heartbeat", 1).open()
    for _ in range(8):
        time.sleep(0.25)
        log.insert("busy")
    peer.wait_rows(8)
    assert peer.parser.comments == []


def test_position_advances_with_the_log(launch, log):
    server = launch("--heartbeat", 1)
    peer = server.open("channel=quiet")
    log.insert_many(7, channel="busy")
    assert peer.next() == ("position", "7", "7")
    start = len(peer.body)
    peer.wait(lambda: len(peer.body) > start, "heartbeat")
    assert bytes(peer.body[start:]) == b":\n"  # a position is sent once
    log.insert("now", channel="quiet")
    assert peer.next() == ("message", "now", "8")


def test_position_advances_past_other_types(launch, log):
    peer = launch("--heartbeat", 1).open("event=rare")
    log.insert("a", event="common")
    assert peer.next() == ("position", "1", "1")


def test_bare_position_advances_without_an_empty_line(launch, log):
    peer = launch("--heartbeat", 1).open("channel=quiet&positions=0")
    log.insert_many(7, channel="busy")
    peer.wait(lambda: b"id: 7\n" in peer.body, "bare id")
    assert re.fullmatch(rb"retry: \d+\nid: 0\n(:\n)*(id: 7\n(:\n)?)(:\n)*", bytes(peer.body))
    log.insert("now", channel="quiet")
    assert peer.next() == ("message", "now", "8")
    assert peer.parser.empty_blocks == 0


def test_max_stream_age(launch, log):
    server = launch("--max-stream-age", 1)
    began = time.monotonic()
    peer = server.open()
    log.insert("before")
    peer.wait_complete()
    assert 0.9 < time.monotonic() - began < 10
    assert [event.data for event in peer.rows] == ["before"]
    assert not peer.parser.pending
    log.insert("between")
    again = server.open(last_event_id=peer.parser.last_event_id)
    assert again.next_row().data == "between"
