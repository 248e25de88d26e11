"""format=json: the same log as finite answers, over FastCGI and CGI."""

import json
import os
import pathlib
import random
import threading
import time

import pytest

import cgiprogram
import database


def parse(peer):
    """The object of an answer, whose head must be right."""
    assert peer.head.status == 200, peer.describe()
    assert peer.head.get("Content-Type") == "application/json"
    assert peer.head.get("Cache-Control") == "no-cache, no-transform"
    answer = json.loads(peer.body)
    assert list(answer) == ["position", "more", "end", "gap", "events"]
    assert answer["end"] is False
    return answer


@pytest.fixture(params=["fastcgi", "cgi"])
def ask(request, log, launch):
    """ask("since=0", …): the object that comes back."""
    if request.param == "fastcgi":
        server = launch()

        def by_fastcgi(query, **how):
            return parse(server.ask(f"format=json&{query}", **how).wait_complete())

        yield by_fastcgi
        return
    programs = []

    def by_cgi(query, **how):
        program = cgiprogram.Program(["--db", log.path], f"format=json&{query}", **how)
        programs.append(program)
        answer = parse(program.wait_end())
        assert program.wait_exit() == 0
        return answer

    yield by_cgi
    for program in programs:
        program.cleanup()


def ids(answer):
    return [event["id"] for event in answer["events"]]


def test_rows(ask, log):
    log.insert("plain")
    log.insert("typed\n\t\"é\0", channel="a/b", event="update", retry=5000)
    log.insert("not ours", channel="c")
    answer = ask("since=0&channel=default&channel=a/*")
    created = [when for (when,) in log.sql("SELECT created_at FROM events ORDER BY id")]
    assert answer == {
        "position": 3,
        "more": False,
        "end": False,
        "gap": None,
        "events": [
            {
                "id": 1,
                "channel": "default",
                "event": None,
                "created_at": created[0],
                "data": "plain",
            },
            {
                "id": 2,
                "channel": "a/b",
                "event": "update",
                "created_at": created[1],
                "data": 'typed\n\t"é\0',
            },
        ],
    }


def test_answer_without_a_position_says_where_to_begin(ask, log):
    assert ask("") == {"position": 0, "more": False, "end": False, "gap": None, "events": []}
    log.insert_many(5)
    # At once, also where the client would wait.
    began = time.monotonic()
    assert ask("wait=30")["position"] == 5
    assert time.monotonic() - began < 15


def test_limit(ask, log):
    log.insert_many(205)
    first = ask("since=0")
    assert (len(first["events"]), first["position"], first["more"]) == (100, 100, True)
    last = ask("since=200&limit=5")
    assert (ids(last), last["position"], last["more"]) == ([201, 202, 203, 204, 205], 205, False)
    assert ask("since=200&limit=4")["more"] is True
    assert len(ask("since=0&limit=1000")["events"]) == 205


def test_tail(ask, log):
    log.insert_many(10)
    assert ids(ask("tail=3")) == [8, 9, 10]
    answer = ask("tail=5&limit=2")
    assert (ids(answer), answer["position"], answer["more"]) == ([6, 7], 7, True)
    assert ids(ask("tail=0")) == []


def test_other_ways_to_ask(ask, log):
    log.insert_many(4)
    assert ids(ask("", headers={"Last-Event-ID": "3"})) == [4]
    assert ids(ask("since=1", headers={"Last-Event-ID": "3"})) == [4]
    assert ids(ask("event=message&since=2")) == [3, 4]
    assert ids(ask("event=other&since=2")) == []
    assert ask("event=other&since=2")["position"] == 4
    body = b'{"format": "json", "since": 2, "limit": 1}'
    answer = ask("", method="POST", body=body, content_type="application/json")
    assert (ids(answer), answer["more"]) == ([3], True)


@pytest.mark.parametrize(
    "query, gap",
    [
        ("since=99", {"requested": "99", "oldest": 1, "newest": 3, "reason": "future"}),
        ("since=x", {"requested": "x", "oldest": 1, "newest": 3, "reason": "malformed"}),
    ],
)
def test_gap_at_an_invalid_position(ask, log, query, gap):
    log.insert_many(3)
    assert ask(f"{query}&wait=30") == {
        "position": 3,
        "more": False,
        "end": False,
        "gap": gap,
        "events": [],
    }


def test_gap_of_pruned_rows(ask, log):
    log.insert_many(6)
    log.prune(4)
    answer = ask("since=2")
    assert answer["gap"] == {"requested": "2", "oldest": 5, "newest": 6, "reason": "pruned"}
    assert (ids(answer), answer["position"]) == ([5, 6], 6)
    assert ask("since=4")["gap"] is None


def test_max_replay(launch, log):
    log.insert_many(50)
    server = launch("--max-replay", 10)
    answer = parse(server.ask("format=json&since=5").wait_complete())
    assert answer["gap"]["reason"] == "limit"
    assert ids(answer) == list(range(41, 51))


def test_before(ask, log):
    log.insert_many(10)
    log.insert_many(5, channel="other")
    answer = ask("before=8&limit=3")
    assert (ids(answer), answer["more"], answer["position"]) == ([5, 6, 7], True, 7)
    answer = ask("before=4&limit=3")
    assert (ids(answer), answer["more"]) == ([1, 2, 3], False)
    answer = ask("before=9999&limit=2")
    assert (ids(answer), answer["more"], answer["position"]) == ([9, 10], True, 15)
    for nothing in "before=1", "before=0", "before=5&channel=none":
        answer = ask(nothing)
        assert (ids(answer), answer["more"], answer["gap"]) == ([], False, None)


def test_large_rows_end_an_answer(ask, log):
    for letter in "abcdef":
        log.insert(letter * 400_000)
    answer = ask("since=0")
    assert (ids(answer), answer["more"]) == ([1, 2, 3], True)
    answer = ask("since=3")
    assert (ids(answer), answer["more"]) == ([4, 5, 6], False)
    # A page of older rows loses its oldest ones, which the next page begins with.
    answer = ask("before=7")
    assert (ids(answer)[-1], answer["more"]) == (6, True)
    older = ask(f"before={ids(answer)[0]}")
    oldest = ask(f"before={ids(older)[0]}") if older["more"] else {"events": []}
    assert ids(oldest) + ids(older) + ids(answer) == [1, 2, 3, 4, 5, 6]


def test_wait_ends_with_the_first_row(launch, log):
    server = launch("--poll", 60000)
    log.insert_many(3)
    waiting = [server.ask("format=json&since=3&wait=60") for _ in range(50)]
    other = server.ask("format=json&since=3&wait=60&channel=other")
    server.wait_metric(51, "rowtail_streams")
    log.insert("not theirs", channel="elsewhere")
    log.insert("now")
    for peer in waiting:
        assert ids(parse(peer.wait_complete())) == [5]
    log.insert("for the other", channel="other")
    answer = parse(other.wait_complete())
    assert (ids(answer), answer["position"]) == ([6], 6)
    server.wait_metric(0, "rowtail_streams")
    assert server.metric("rowtail_records_sent_total") == 51


def test_a_crowd_waits_as_cheaply_as_streams(launch, log):
    """No timer and no reading of its own: at rest it costs nothing, and one row is encoded once."""
    server = launch("--heartbeat", 60, "--poll", 60000)
    waiting = [server.ask("format=json&since=0&wait=60") for _ in range(400)]
    server.wait_metric(400, "rowtail_streams")
    before = server.cpu_seconds()
    time.sleep(1)
    assert server.cpu_seconds() - before < 0.1
    read = server.metric("rowtail_rows_read_total")
    log.insert("x" * 1000)
    for peer in waiting:
        assert ids(parse(peer.wait_complete())) == [1]
    assert server.metric("rowtail_rows_read_total") - read == 1
    assert server.metric("rowtail_rows_replayed_total") == 0


def test_rows_of_one_transaction_come_together(launch, log):
    server = launch()
    peer = server.ask("format=json&since=0&wait=60&limit=30")
    server.wait_metric(1, "rowtail_streams")
    log.insert_many(40)
    answer = parse(peer.wait_complete())
    assert (len(answer["events"]), answer["position"], answer["more"]) == (30, 30, True)


def test_wait_ends_with_its_time(ask, log):
    log.insert_many(2)
    began = time.monotonic()
    answer = ask("since=2&wait=1")
    assert time.monotonic() - began > 0.9
    assert (ids(answer), answer["position"], answer["more"]) == ([], 2, False)


def test_wait_keeps_a_position_fresh(launch, log):
    server = launch()
    peer = server.ask("format=json&since=0&wait=2&channel=quiet")
    server.wait_metric(1, "rowtail_streams")
    log.insert_many(5)
    assert parse(peer.wait_complete())["position"] == 5


def test_waiting_answer_shows_signs_of_life(launch, log):
    """A web server whose time-out is 60 s must not take a long wait for a fault."""
    server = launch("--heartbeat", 1)
    log.insert_many(1)
    peer = server.ask("format=json&since=1&wait=60").wait_head()
    peer.wait(lambda: peer.body.count(b"\n") >= 2, "white space")
    log.insert("now")
    assert ids(parse(peer.wait_complete())) == [2]


def test_row_is_there_when_its_insert_has_returned(launch, log):
    """Also before any notice of the commit."""
    server = launch("--poll", 60000)
    keeper = server.open("channel=other")
    for number in range(1, 200):
        log.insert("row")
        assert ids(parse(server.ask(f"format=json&since={number - 1}").wait_complete())) == [number]
    keeper.close()


def test_replaced_file_while_waiting(launch, log, workdir):
    server = launch("--poll", 50)
    log.insert_many(5)
    peer = server.ask("format=json&since=5&wait=60")
    server.wait_metric(1, "rowtail_streams")
    with database.Database.create(workdir / "new.db") as new:
        new.grant("*", "*")
        new.insert_many(2)
    for end in "-wal", "-shm":
        pathlib.Path(f"{log.path}{end}").unlink(missing_ok=True)
    os.replace(workdir / "new.db", log.path)
    answer = parse(peer.wait_complete())
    assert (answer["gap"]["reason"], answer["position"]) == ("replaced", 2)


def test_shutdown_answers_waiting_polls(launch, log):
    server = launch()
    log.insert_many(2)
    peer = server.ask("format=json&since=2&wait=60")
    server.wait_metric(1, "rowtail_streams")
    server.stop()
    answer = parse(peer.wait_complete())
    assert (ids(answer), answer["position"]) == ([], 2)


def test_revoked_grant_answers_waiting_polls(launch, log):
    server = launch()
    log.insert_many(2)
    peer = server.ask("format=json&since=2&wait=60")
    server.wait_metric(1, "rowtail_streams")
    log.sql("DELETE FROM grants")
    assert ids(parse(peer.wait_complete())) == []
    refused = server.ask("format=json&since=2").wait_complete()
    assert refused.head.status == 401
    assert refused.sentence()


@pytest.mark.parametrize(
    "query, word",
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("wait=61", "wait"),
        ("before=x", "before"),
        ("before=5&since=1", "before"),
        ("before=5&wait=1", "before"),
        ("channel=", "channel"),
        ("tail=x", "tail"),
    ],
)
def test_invalid_parameters_are_refused_with_a_sentence(server, query, word):
    peer = server.ask(f"format=json&{query}").wait_complete()
    assert peer.head.status == 400
    assert word in peer.sentence()


def test_refusals_are_plain_statuses(launch, log):
    """Also for a client that accepts an event stream: it asked for JSON."""
    server = launch("--max-streams", 1)
    keeper = server.open()
    peer = server.ask("format=json&since=0").wait_complete()
    assert peer.head.status == 503
    assert int(peer.head.get("Retry-After")) >= 1
    assert peer.sentence()
    keeper.close()


def test_polls_count_as_their_clients_streams(launch, log):
    server = launch("--max-streams-per-client", 2)
    waiting = [server.ask("format=json&since=0&wait=60") for _ in range(2)]
    server.wait_metric(2, "rowtail_streams")
    assert server.ask("format=json&since=0").wait_complete().head.status == 503
    log.insert("row")
    for peer in waiting:
        assert ids(parse(peer.wait_complete())) == [1]
    assert ids(parse(server.ask("format=json&since=0").wait_complete())) == [1]


def test_cors_and_head(launch, log):
    server = launch("--allow-origin", "https://app.example.org")
    headers = {"Origin": "https://app.example.org"}
    peer = server.ask("format=json", headers=headers).wait_complete()
    assert peer.head.get("Access-Control-Allow-Origin") == "https://app.example.org"
    peer = server.ask("format=json&wait=60&since=0", method="HEAD").wait_complete()
    assert peer.head.get("Content-Type") == "application/json"
    assert peer.body == b""


def test_unknown_format(server):
    peer = server.ask("format=xml").wait_complete()
    assert peer.head.status == 400
    assert "json" in peer.sentence()


def test_streams_ignore_the_parameters_of_polls(server, log):
    peer = server.open("limit=x&wait=y&before=z")
    log.insert("row")
    assert peer.next_row().data == "row"


@pytest.mark.parametrize("seed", range(3))
def test_walks_give_every_row_once(launch, log, seed):
    """Forward by position and backward by before, while rows come and old ones are pruned."""
    choose = random.Random(seed)
    server = launch()
    channels = ["a", "b", "c/1", "c/2"]
    for _ in range(300):
        log.insert("x" * choose.choice([1, 10, 3000]), channel=choose.choice(channels))
    query = choose.choice(["channel=a", "channel=c/*", "channel=a&channel=b", "channel=*"])
    ended = threading.Event()

    def publish():
        with database.Database(log.path) as writer:
            while not ended.is_set():
                writer.insert("later", channel=choose.choice(channels))
                if choose.random() < 0.2:
                    writer.sql("DELETE FROM events WHERE id = (SELECT min(id) FROM events)")
                time.sleep(0.002)

    writer = threading.Thread(target=publish)
    writer.start()
    try:
        walk_forward(server, query, choose)
        walk_backward(server, log, query, choose)
    finally:
        ended.set()
        writer.join()
    forward = walk_forward(server, query, choose)
    assert forward == walk_backward(server, log, query, choose)
    wanted = [row for (row,) in log.sql(f"SELECT id FROM events WHERE {where(query)} ORDER BY id")]
    assert forward == wanted


def where(query):
    if query == "channel=*":
        return "1"
    if query == "channel=c/*":
        return "channel LIKE 'c/%'"
    return "channel IN ({})".format(",".join(f"'{word[8:]}'" for word in query.split("&")))


def walk_forward(server, query, choose):
    seen, position, more = [], 0, True
    while more:
        limit = choose.choice([1, 7, 50])
        answer = parse(
            server.ask(f"format=json&{query}&since={position}&limit={limit}").wait_complete()
        )
        assert len(answer["events"]) <= limit
        assert answer["position"] >= position
        assert all(position < row <= answer["position"] for row in ids(answer))
        seen += ids(answer)
        position, more = answer["position"], answer["more"]
    assert seen == sorted(set(seen))
    return seen


def walk_backward(server, log, query, choose):
    seen, before, more = [], log.newest() + 1, True
    while more:
        limit = choose.choice([1, 7, 50])
        answer = parse(
            server.ask(f"format=json&{query}&before={before}&limit={limit}").wait_complete()
        )
        assert len(answer["events"]) <= limit
        assert all(row < before for row in ids(answer))
        seen = ids(answer) + seen
        more = answer["more"] and ids(answer) != []
        before = ids(answer)[0] if ids(answer) else before
    assert seen == sorted(set(seen))
    return seen
