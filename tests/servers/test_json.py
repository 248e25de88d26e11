"""format=json behind each web server: whole answers, at once, and plain statuses."""

import json
import time


def ask(site, query, **how):
    """The object of an answer, however the web server frames it."""
    peer = site.open(f"format=json&{query}", accept="application/json", **how).wait_complete()
    assert peer.head.status == 200, peer.describe()
    assert peer.head.get("Content-Type") == "application/json"
    return json.loads(peer.body)


def ids(answer):
    return [event["id"] for event in answer["events"]]


def test_walk(site, channel, shared_log):
    start = ask(site, f"channel={channel}")
    rows = [shared_log.insert(text, channel=channel) for text in ("one", "x" * 2_000_000, "ü\n\0")]
    found, position, more = [], start["position"], True
    while more:
        answer = ask(site, f"channel={channel}&last_event_id={position}&limit=2")
        found += answer["events"]
        position, more = answer["position"], answer["more"]
    assert [event["id"] for event in found] == rows
    assert [len(event["data"]) for event in found] == [3, 2_000_000, 3]
    assert ids(ask(site, f"channel={channel}&before={rows[2]}"))[-1] == rows[1]


def test_wait(site, channel, shared_log):
    """The answer comes with the row, not when the web server's buffer is full."""
    position = ask(site, f"channel={channel}")["position"]
    peer = site.open(
        f"format=json&channel={channel}&last_event_id={position}&wait=30", accept="application/json"
    )
    time.sleep(0.3)
    assert not peer.drain().complete
    row = shared_log.insert("now", channel=channel)
    began = time.monotonic()
    peer.wait_complete()
    assert time.monotonic() - began < 5
    assert ids(json.loads(peer.body)) == [row]


def test_refusals(site, channel):
    for query, status in ("limit=0", 400), ("channel=secret/x&last_event_id=0", 401):
        peer = site.open(f"format=json&{query}", accept="text/event-stream").wait_complete()
        assert (peer.head.status, peer.head.get("Content-Type")[:10]) == (status, "text/plain"), query
