"""What a stream of patterns and names gets, compared with a plain query, over logs of many shapes."""

import random
from urllib.parse import urlencode

import pytest

from database import SCHEMA, Database

CHANNELS = ["default", "a", "a/", "a/1", "a/2", "a/b/1", "a/b/2", "a/b/c/d", "a0", "b", "b/1", "ä/1", "a-b/1", "A/1"]
PATTERNS = ["*", "a/*", "a/b/*", "a/b/c/*", "b/*", "ä/*", "none/*", "none", "A/*", *CHANNELS]


def follows(pattern, channel):
    return channel == pattern or (pattern.endswith("*") and channel.startswith(pattern[:-1]))


def question(choose):
    """Some patterns and types, or none; they always include the last rows of fill()."""
    patterns = ["end", *choose.sample(PATTERNS, choose.choice([1, 1, 2, 3, 6]))]
    return patterns, choose.choice([[], [], ["x"], ["message"]])


def expected(rows, patterns, types):
    return [
        number
        for number, channel, event in rows
        if any(follows(pattern, channel) for pattern in patterns)
        and (not types or (event or "message") in types)
    ]


def query(patterns, types, **more):
    pairs = [("channel", p) for p in patterns] + [("event", t) for t in types] + list(more.items())
    return urlencode(pairs)


def fill(log, choose, count):
    """Inserts rows whose channels come in runs, so that some are rare and some old. Returns them."""
    rows = []
    log.sql("BEGIN")
    while len(rows) < count:
        channel = choose.choice(CHANNELS)
        for _ in range(choose.choice([1, 3, 700])):
            event = choose.choice([None, "x"])
            number = log.insert("d", channel=channel, event=event)
            rows.append((number, channel, event))
    for event in None, "x":
        rows.append((log.insert("d", channel="end", event=event), "end", event))
    log.sql("COMMIT")
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_random_subscriptions(server, log, seed):
    choose = random.Random(seed)
    rows = fill(log, choose, 4000)
    newest = rows[-1][0]
    for _ in range(25):
        patterns, types = question(choose)
        wanted = expected(rows, patterns, types)
        tail = choose.choice([1, 2, 10, 300])
        peer = server.open(query(patterns, types, tail=tail)).wait_id(wanted[-1])
        assert peer.ids == wanted[-tail:], (patterns, types, tail)
        peer.close()
        after = choose.choice([0, newest // 2, newest - 5])
        peer = server.open(query(patterns, types), last_event_id=after).wait_id(wanted[-1])
        assert peer.ids == [n for n in wanted if n > after], (patterns, types, after)
        peer.close()


def test_many_channels_below_a_pattern(server, log):
    """More channels than rowtail looks up one by one."""
    numbers = []
    log.sql("BEGIN")
    for n in range(6000):
        number = log.insert("d", channel=f"many/{n % 700}" if n % 15 == 0 else "other")
        if n % 15 == 0:
            numbers.append(number)
    log.sql("COMMIT")
    assert server.open("channel=many/*&tail=300").wait_id(numbers[-1]).ids == numbers[-300:]
    assert server.open("channel=many/*", last_event_id=0).wait_id(numbers[-1]).ids == numbers


def test_opening_stream_sends_heartbeats(launch, log):
    """Many streams that scan the whole log at first: each gets its head at once, and finds its start."""
    log.insert_many(60000)
    server = launch("--heartbeat", 1)
    scanning = [server.ask("channel=*&event=none&tail=5") for _ in range(40)]
    late = server.ask("channel=*&event=none&tail=5").wait_head()
    assert late.head.status == 200
    for peer in [*scanning, late]:
        assert peer.next().type == "position"
        assert peer.parser.reconnection_time
        # The head and a heartbeat came before the place was found.
        assert peer.parser.comments


def test_tail_is_bounded_by_max_replay(launch, log):
    log.insert_many(500)
    server = launch("--max-replay", 100)
    for query_text in "tail=300", "channel=*&tail=300":
        peer = server.open(query_text).wait_id(500)
        assert len(peer.ids) <= 100


# In UTF-16le the text "aį" lies between "a/" and "a0", as "a/1" does.
LOGS = {
    "ours": ("UTF-8", None),
    "ours in UTF-16": ("UTF-16le", None),
    "an index on channel alone": ("UTF-8", "CREATE INDEX other_channel ON other(channel)"),
    "no index": ("UTF-8", "SELECT 1"),
    "NOCASE": ("UTF-8", "CREATE INDEX other_channel ON other(channel COLLATE NOCASE, id)"),
}


@pytest.mark.parametrize("kind", LOGS)
def test_channels_with_few_and_with_many_rows(workdir, launch, kind):
    """A pattern over channels of one row and of a hundred, far below the newest rows of the log."""
    encoding, index = LOGS[kind]
    with Database(workdir / "other.db") as log:
        log.sql(f"PRAGMA encoding = '{encoding}'")
        log.connection.executescript(SCHEMA.read_text())
        table = "other" if index else "events"
        if index:
            log.sql("CREATE TABLE other(id INTEGER PRIMARY KEY, channel TEXT, event TEXT, data TEXT)")
            log.sql(index)
        channels = [f"a/{n % 100}" for n in range(300)] + ["a/many", "a/ž", "aį", "A/1", "a"] * 100
        events = ["x" if n % 90 == 0 else None for n in range(len(channels))]
        insert = f"INSERT INTO {table}(channel, event, data) VALUES (?, ?, 'd')"
        log.sql("BEGIN")
        log.connection.executemany(insert, zip(channels, events, strict=True))
        log.connection.executemany(insert, [("often", None)] * 3000 + [("end", "x")])
        log.sql("COMMIT")
        rows = [(n + 1, *row) for n, row in enumerate(zip(channels, events, strict=True))]
        rows.append((len(channels) + 3001, "end", "x"))
        server = launch("--public", "--table", table, db=log)
        for types in [], ["x"]:
            wanted = expected(rows, ["a/*", "end"], types)
            for more in {"tail": 7}, {"tail": 250}, {"tail": 9000}, {"last_event_id": 0}:
                peer = server.open(query(["a/*", "end"], types, **more)).wait_id(wanted[-1])
                assert peer.ids == wanted[-more.get("tail", 9000) :], (types, more)
                peer.close()
