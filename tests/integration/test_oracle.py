"""The tests' own event-stream parser against the examples of the HTML standard, section 9.2.6."""

import pytest

import sse

EXAMPLES = {
    "two lines": (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10", "")]),
    "comment, ids, no last empty line": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event",
        [("message", "first event", "1"), ("message", "second event", "")],
    ),
    "empty data": (b"data\n\ndata\ndata\n\ndata:", [("message", "", ""), ("message", "\n", "")]),
    "one space": (b"data:test\n\ndata: test\n\n", [("message", "test", "")] * 2),
    "line breaks": (b"data: a\rdata: b\r\ndata: c\n\r", [("message", "a\nb\nc", "")]),
    "BOM": (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [("message", "a", "")]),
    "types": (
        b"event: a\n\ndata: b\n\nevent: c\ndata: d\n\n",
        [("message", "b", ""), ("c", "d", "")],
    ),
    "NUL in an id": (b"id: 1\nid: 2\0\ndata: a\n\n", [("message", "a", "1")]),
    "id without data": (b"id: 7\n\ndata: a\n\n", [("message", "a", "7")]),
    "unknown fields": (b"Data: a\n data: b\nfoo: c\ndata: d\n\n", [("message", "d", "")]),
    "ill-formed UTF-8": (b"data: \xff\xe2\x82x\n\n", [("message", "\ufffd\ufffdx", "")]),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_in_any_pieces(name):
    stream, expected = EXAMPLES[name]
    assert sse.parse(stream) == expected
    bytewise = sse.Parser()
    for at in range(len(stream)):
        bytewise.feed(stream[at : at + 1])
        parser = sse.Parser()
        assert parser.feed(stream[:at]) + parser.feed(stream[at:]) == expected
    assert bytewise.events == expected


def test_reconnection_time_accepts_only_digits():
    parser = sse.Parser()
    parser.feed(b"retry: 10\nretry: 1a\nretry: -1\nretry:\nretry: \xd9\xa1\n")
    assert parser.retries == [10]


def test_pending_event_is_not_dispatched():
    parser = sse.Parser("5")
    parser.feed(b":\n: a\n\ndata: cut")
    assert (parser.comments, parser.empty_blocks, parser.pending) == (["", " a"], 1, True)
    assert parser.last_event_id == "5"
