"""What a client can request: channels, types, positions, tail, envelope; in a URL or in a body."""

import json
import re

import pytest

FORM = "application/x-www-form-urlencoded"


def datas(peer, count):
    return [event.data for event in peer.wait_rows(count)]


@pytest.fixture
def orders(log):
    """Rows in channels of every form; the data of each is its channel."""
    channels = ["default", "orders", "orders/1", "orders/2", "orders/1/a", "ordersx", "news", "ü/1"]
    for channel in channels:
        log.insert(channel, channel=channel)
    return channels


# Channels.


@pytest.mark.parametrize(
    "asked, expected",
    [
        ([], ["default"]),
        (["orders"], ["orders"]),
        (["orders/*"], ["orders/1", "orders/2", "orders/1/a"]),
        (["orders/1/*"], ["orders/1/a"]),
        (["ü/*"], ["ü/1"]),
        (["news", "orders/2"], ["orders/2", "news"]),
        (["news", "news", "orders/1", "orders/*"], ["orders/1", "orders/2", "orders/1/a", "news"]),
        (["nobody"], []),
    ],
)
def test_channels(server, log, orders, asked, expected):
    query = [("channel", channel) for channel in asked]
    live = server.open(query)
    replay = server.open([*query, ("last_event_id", 0)])
    assert datas(replay, len(expected)) == expected
    for channel in orders:
        log.insert(channel, channel=channel)
    assert datas(live, len(expected)) == expected
    assert datas(replay, 2 * len(expected)) == 2 * expected
    assert live.drain().ids == sorted(set(live.ids))


def test_all_channels(server, orders):
    assert datas(server.open("channel=*&last_event_id=0"), len(orders)) == orders


@pytest.mark.parametrize(
    "path, expected", [("/orders/1", "orders/1"), ("/ü/1", "ü/1"), ("/", "default")]
)
def test_path_is_a_channel(server, orders, path, expected):
    assert datas(server.open("last_event_id=0", path_info=path), 1) == [expected]


def test_path_and_parameter_are_both_followed(server, orders):
    peer = server.open("channel=news&last_event_id=0", path_info="/orders/2")
    assert datas(peer, 2) == ["orders/2", "news"]


def test_hundred_channels(server, log):
    query = [("channel", f"c{number}") for number in range(100)]
    live = server.open(query)
    for number in reversed(range(100)):
        log.insert(str(number), channel=f"c{number}")
    assert datas(live, 100) == [str(number) for number in reversed(range(100))]
    assert server.answer([*query, ("channel", "more")]).head.status == 400


# Types.


@pytest.mark.parametrize(
    "asked, expected",
    [
        (["price"], ["2", "4"]),
        (["message"], ["1", "5"]),
        (["price", "message"], ["1", "2", "4", "5"]),
        (["none"], []),
    ],
)
def test_types(server, log, asked, expected):
    query = [("event", kind) for kind in asked]
    live = server.open(query)
    for number, kind in enumerate([None, "price", "stock", "price", "message"], 1):
        log.insert(str(number), event=kind)
    replay = server.open([*query, ("last_event_id", 0)])
    for peer in (live, replay):
        assert datas(peer, len(expected)) == expected


# Positions.


@pytest.mark.parametrize(
    "name",
    "last_event_id lastEventId lastEventID Last-Event-ID evs_last_event_id since".split(),
)
def test_every_spelling_of_the_position(server, log, name):
    log.insert_many(3)
    peer = server.open({name: 1})
    assert peer.first.last_event_id == "1"
    assert datas(peer, 2) == ["row 2", "row 3"]


@pytest.mark.parametrize(
    "query, header, position",
    [
        ("last_event_id=1&since=3", None, 3),
        ("last_event_id=4", "2", 4),
        ("last_event_id=2", "4", 4),
        ("last_event_id=2&last_event_id=3&last_event_id=1", None, 3),
        ("last_event_id=x&since=2", None, 2),
        ("last_event_id=", "2", 2),
        ("last_event_id=2", "junk", 2),
        ("last_event_id=007", None, 7),
    ],
)
def test_largest_position_wins(server, log, query, header, position):
    log.insert_many(9)
    headers = {"Last-Event-ID": header} if header else {}
    assert server.open(query, headers=headers).first == ("position", str(position), str(position))


@pytest.mark.parametrize("query", ["last_event_id=", "", "since=&lastEventId="])
def test_no_position_begins_at_the_newest(server, log, query):
    log.insert_many(9)
    peer = server.open(query, headers={"Last-Event-ID": ""})
    assert peer.first == ("position", "9", "9")
    log.insert("new")
    assert peer.next() == ("message", "new", "10")


def test_tail(server, log):
    for number in range(1, 10):
        log.insert(str(number), channel="odd" if number % 2 else "even")
    peer = server.open("channel=odd&tail=2")
    assert datas(peer, 2) == ["7", "9"]
    assert 5 <= int(peer.first.last_event_id) < 7
    assert peer.first.type == "position"
    log.insert("11", channel="odd")
    assert datas(peer, 3) == ["7", "9", "11"]


@pytest.mark.parametrize(
    "tail, expected", [(0, []), (1, ["row 3"]), (3, ["row 1", "row 2", "row 3"])]
)
def test_tail_of_a_short_log(server, log, tail, expected):
    log.insert_many(3)
    peer = server.open({"tail": tail})
    log.insert("new")
    assert datas(peer, len(expected) + 1) == [*expected, "new"]


def test_tail_longer_than_the_log(server, log):
    log.insert_many(3)
    peer = server.open({"tail": 2**63 - 1})
    assert peer.first.type == "position"
    assert datas(peer, 3) == ["row 1", "row 2", "row 3"]


@pytest.mark.parametrize("channel", ["default", "def/*", "none"])
def test_tail_of_a_pruned_log_causes_no_gap(server, log, channel):
    """Reconnecting with its first position causes no gap either."""
    log.insert("other", channel="other")
    for name in ("default", "def/a", "none"):
        log.insert_many(10, channel=name)
    log.sql("DELETE FROM events WHERE (id - 2) % 10 < 7 OR channel = 'none'")
    left = [] if channel == "none" else ["row 8", "row 9", "row 10"]
    first = server.open({"channel": channel, "tail": 5})
    again = server.open({"channel": channel}, last_event_id=first.first.last_event_id)
    log.insert("new", channel=channel.replace("*", "a"))
    for peer in (first, again):
        assert datas(peer, len(left) + 1) == [*left, "new"]
        assert {event.type for event in peer.events} == {"position", "message"}


def test_tail_over_a_deleted_row_causes_no_gap(server, log):
    log.insert_many(10)
    log.sql("DELETE FROM events WHERE id = 8")
    peer = server.open("tail=4")
    assert datas(peer, 4) == ["row 6", "row 7", "row 9", "row 10"]
    assert [event.type for event in peer.events][1:] == ["message"] * 4
    peer.close()


def test_tail_counts_only_followed_types(server, log):
    for number in range(1, 7):
        log.insert(str(number), event="a" if number < 4 else "b")
    assert datas(server.open("tail=2&event=a"), 2) == ["2", "3"]


def test_position_overrides_tail(server, log):
    log.insert_many(9)
    peer = server.open("tail=5", last_event_id=8)
    assert peer.first.last_event_id == "8"
    assert datas(peer, 1) == ["row 9"]


# Envelope.


def test_envelope(server, log):
    live = server.open("channel=*&envelope=json")
    log.insert("a\r\nb", channel="news", event="story")
    log.insert("plain")
    created = log.sql("SELECT created_at FROM events ORDER BY id")
    for peer in (live, server.open("channel=*&envelope=json&last_event_id=0")):
        first, second = peer.wait_rows(2)
        assert (first.type, first.last_event_id) == ("story", "1")
        assert json.loads(first.data) == {
            "id": 1,
            "channel": "news",
            "event": "story",
            "created_at": created[0][0],
            "data": "a\r\nb",
        }
        assert json.loads(second.data)["event"] is None
        assert "\n" not in first.data


# Without position records.


def test_ids_without_position_records(server, log):
    log.insert_many(41)
    peer = server.open("positions=0")
    peer.wait(lambda: peer.body.count(b"\n") >= 2, "two lines")
    assert re.fullmatch(rb"retry: \d+\nid: 41\n", bytes(peer.body))
    log.insert("new")
    assert peer.next() == ("message", "new", "42")
    assert peer.parser.empty_blocks == 0


@pytest.mark.parametrize(
    "query, first",
    [("", "message"), ("positions=0", "message"), ("positions=1", "position")],
)
def test_post_has_no_position_records(server, log, query, first):
    peer = server.open(query, method="POST")
    log.insert("new")
    assert peer.next().type == first


# Bodies.


@pytest.mark.parametrize(
    "body, content_type",
    [
        (b"channel=a&channel=b%2F*&last_event_id=1", FORM),
        (b"channel=a&channel=b/*&last_event_id=1", FORM + "; charset=UTF-8"),
        (b'{"channel": ["a", "b/*"], "last_event_id": 1}', "application/json"),
        (b'{"channel": ["a", "b/*"], "lastEventId": "1"}', "Application/JSON; charset=utf-8"),
    ],
)
def test_post_carries_the_parameters(server, log, body, content_type):
    for data, channel in [("1", "a"), ("2", "a"), ("3", "b"), ("4", "b/c")]:
        log.insert(data, channel=channel)
    peer = server.open(method="POST", body=body, content_type=content_type)
    assert datas(peer, 2) == ["2", "4"]
    log.insert("5", channel="b")
    log.insert("6", channel="a")
    assert datas(peer, 3) == ["2", "4", "6"]


def test_post_without_content_length(server, log):
    """Chunked bodies: Apache omits CONTENT_LENGTH, Caddy says -1."""
    log.insert("a", channel="a")
    for length in (None, "", "-1"):
        peer = server.open(
            method="POST",
            body=b"channel=a&since=0",
            content_type=FORM,
            extra={"CONTENT_LENGTH": length},
        )
        assert datas(peer, 1) == ["a"]


def test_query_of_a_post_is_read(server, log):
    log.insert("a", channel="a")
    log.insert("b", channel="b")
    peer = server.open("channel=a&since=0", method="POST", body=b"channel=b", content_type=FORM)
    assert datas(peer, 2) == ["a", "b"]


# Refusals.


@pytest.mark.parametrize(
    "query, word",
    [
        ("channel=", "channel"),
        ("channel=" + "x" * 256, "channel"),
        ("channel=a*b", "channel"),
        ("channel=a*", "channel"),
        ("channel=**", "channel"),
        ("channel=a%0ab", "channel"),
        ("channel=a%00b", "channel"),
        ("channel=%ff", "channel"),
        ("channel=%7f", "channel"),
        ("channel=%zz", "channel"),
        ("event=", "event"),
        ("event=a%0db", "event"),
        ("tail=x", "tail"),
        ("tail=-1", "tail"),
        ("tail=99999999999999999999", "tail"),
        ("envelope=xml", "envelope"),
        ("positions=2", "positions"),
    ],
)
def test_malformed_parameter_is_named(server, query, word):
    peer = server.answer(query)
    assert peer.head.status == 400
    assert word in peer.sentence()


def test_malformed_path_is_named(server):
    peer = server.answer(path_info="/a*b")
    assert peer.head.status == 400
    assert "channel" in peer.sentence()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"5",
        b'{"channel": 5}',
        b'{"channel": ["a", 5]}',
        b'{"tail": 1.5}',
        b'{"tail": {}}',
        b'{"channel": "a\\u0000"}',
        b'{"channel": "\xff"}',
        b"[" * 10000,
        b'{"channel": "a"} x',
    ],
)
def test_malformed_json(server, body):
    peer = server.answer(method="POST", body=body, content_type="application/json")
    assert peer.head.status == 400
    peer.sentence()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "get", "TRACE"])
def test_other_methods(server, method):
    peer = server.answer(method=method)
    assert peer.head.status == 405
    assert {"GET", "HEAD", "POST"} <= set(peer.head.get("Allow").replace(",", " ").split())
    assert "GET" in peer.sentence()


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", None])
def test_body_of_another_type(server, content_type):
    peer = server.answer(method="POST", body=b"channel=a", content_type=content_type)
    assert peer.head.status == 415
    assert "application/json" in peer.sentence()


def test_request_of_nearly_64_kib(server, log):
    log.insert("a")
    headers = {"Cookie": "x" * 30000}
    body = b"since=0&pad=" + b"y" * 30000
    peer = server.open(method="POST", headers=headers, body=body, content_type=FORM)
    assert datas(peer, 1) == ["a"]


@pytest.mark.parametrize("where", ["query", "headers", "body"])
def test_request_over_64_kib(server, where):
    large = "x" * 70000
    how = {
        "query": {"query": "pad=" + large},
        "headers": {"headers": {"Cookie": large}},
        "body": {"method": "POST", "body": large.encode(), "content_type": FORM},
    }[where]
    peer = server.answer(**how)
    assert peer.head.status == 413
    assert re.search("65,?536|64 KiB", peer.sentence())


def test_refusal_escapes_quoted_input(server):
    peer = server.answer("tail=%3Cscript%3E%0d%0aSet-Cookie:x%1b%5B2J")
    assert peer.head.status == 400
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", peer.sentence())
    assert peer.head.get("Set-Cookie") is None
