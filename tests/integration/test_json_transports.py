"""format=json by FastCGI, CGI and --http: one question has one answer, whatever carries it."""

import json
import time

import pytest

import cgiprogram
import httpserver
from test_json import ids

ORIGIN = "https://app.example.org"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
CARRIERS = ["fastcgi", "cgi", pytest.param("http", marks=httpserver.needed)]


@pytest.fixture(params=CARRIERS)
def ask(request, workdir, log, launch):
    """ask(query, *options, …): the finished answer of a rowtail with these options."""
    running, left = {}, []

    def server(options, make):
        if options not in running:
            running[options] = make()
        return running[options]

    def by_fastcgi(query, *options, **how):
        return server(options, lambda: launch(*options)).answer(query, **how)

    def by_cgi(query, *options, **how):
        program = cgiprogram.Program(["--db", log.path, *options], query, **how)
        left.append(program)
        program.wait_end()
        assert program.wait_exit() == 0
        return program

    def by_http(query, *options, content_type=None, headers=None, **how):
        def make():
            left.append(httpserver.HttpServer(workdir, ["--db", log.path, *options]).start())
            return left[-1]

        headers = {**(headers or {}), **({"Content-Type": content_type} if content_type else {})}
        return server(options, make).request(f"/events?{query}", headers=headers, **how).wait_complete()

    yield {"fastcgi": by_fastcgi, "cgi": by_cgi, "http": by_http}[request.param]
    for one in left:
        one.cleanup()


def parse(answer, status=200):
    assert answer.head.status == status, answer.describe()
    assert answer.head.get("Content-Type") == "application/json"
    assert answer.head.get("Cache-Control") == "no-cache, no-transform"
    told = json.loads(answer.body)
    assert list(told) == ["position", "more", "end", "gap", "events"] and told["end"] is False
    return told


def refused(answer, status, *words):
    """The sentence of a refusal, which is never a stream."""
    assert answer.head.status == status, answer.describe()
    assert answer.head.get("Content-Type").startswith("text/plain")
    sentence = answer.body.decode()
    assert sentence.count("\n") == 1 and all(word in sentence for word in words), sentence
    return sentence


# Question: position, ids and `more` of the answer, on a log of 12 rows; every third is of the channel "other".
ROWS = {
    "since=0&channel=*&limit=5": (5, [1, 2, 3, 4, 5], True),
    "limit=007&since=0&channel=*": (7, [1, 2, 3, 4, 5, 6, 7], True),
    "since=0&limit=8": (12, [1, 2, 4, 5, 7, 8, 10, 11], False),
    "since=0&limit=7": (10, [1, 2, 4, 5, 7, 8, 10], True),
    "since=8&channel=other": (12, [9, 12], False),
    "since=12&channel=*": (12, [], False),
    "since=3,%209&channel=*": (12, [10, 11, 12], False),
    "since=4&lastEventId=10&Last-Event-ID=7&channel=*": (12, [11, 12], False),
    "tail=3&channel=other": (12, [6, 9, 12], False),
    "tail=0&channel=*": (12, [], False),
    "tail=0&wait=1": (12, [], False),
    "tail=9223372036854775807&channel=other": (12, [3, 6, 9, 12], False),
    "tail=2&since=9&channel=*": (12, [10, 11, 12], False),
    "wait=60&channel=none": (12, [], False),
    "since=&wait=60": (12, [], False),
    "before=9223372036854775807&limit=3": (12, [8, 10, 11], True),
    "before=12&limit=4": (11, [7, 8, 10, 11], True),
    "before=5&limit=4": (4, [1, 2, 4], False),
    "before=5&limit=3": (4, [1, 2, 4], False),
    "before=5&limit=2": (4, [2, 4], True),
    "before=9&channel=other&limit=1": (8, [6], True),
    "before=9&wait=0&last_event_id=": (8, [1, 2, 4, 5, 7, 8], False),
    "before=2&channel=other": (1, [], False),
    "since=0&event=message&channel%5B%5D=other&channel%5B1%5D=none": (12, [3, 6, 9, 12], False),
    "since=10&envelope=json&positions=0&_=17&utm_source=x": (12, [11], False),
}


def test_rows(ask, log):
    for row in range(1, 13):
        log.insert("row", channel="other" if row % 3 == 0 else "default")
    for query, wanted in ROWS.items():
        told = parse(ask(f"{query}&format=json"))
        assert (told["position"], ids(told), told["more"], told["gap"]) == (*wanted, None), query


WRONG = {
    "Limit=5": ("Limit", '"limit"'),
    "limits=5": ("limits", '"limit"'),
    "LIMIT[]=5": ("LIMIT", '"limit"'),
    "Wait=5": ("Wait", '"wait"'),
    "waits=5": ("waits", '"wait"'),
    "Before=5": ("Before", '"before"'),
    "befores=5": ("befores", '"before"'),
    "Tail=5": ("Tail", '"tail"'),
    "channels=a": ("channels", '"channel"'),
    "limit=": ("limit", "1 to 1000"),
    "limit=-1": ("limit", "1 to 1000"),
    "limit=1e2": ("limit", "1 to 1000"),
    "limit=5&limit=x": ("limit", "1 to 1000"),
    "limit=%zz": ("limit", "%25"),
    "wait=": ("wait", "0 to 60"),
    "wait=1.5": ("wait", "0 to 60"),
    "wait=%2B5": ("wait", "0 to 60"),
    "before=": ("before",),
    "before=5&tail=1": ("before", "tail"),
    "before=0&since=0": ("before", "position"),
    "format=JSON": ("format", '"json"'),
    "format=": ("format", '"json"'),
    "format=json&format=sse": ("format", '"json"'),
}


def test_wrong_parameters(ask):
    """In the query string and in a form: the sentence names the parameter, and what is right."""
    for wrong, words in WRONG.items():
        refused(ask(f"{wrong}&format=json"), 400, *words)
        refused(ask("format=json", method="POST", body=wrong.encode(), content_type=FORM), 400, *words)


WRONG_BODIES = [
    ('{"format":"json","limit":5.0}', ("limit", "integer")),
    ('{"format":"json","limit":[5]}', ("limit", "integer")),
    ('{"limit":true,"format":"json"}', ("limit", "integer")),
    ('{"limit":0,"format":"json"}', ("limit", "1 to 1000")),
    ('{"Limit":5,"format":"json"}', ("Limit", '"limit"')),
    ('{"format":["json"]}', ("format", "string")),
    ('{"format":"json","wait":-1}', ("wait", "0 to 60")),
    ('{"format":"json","before":18446744073709551616}', ()),
    ('{"format":"json","before":5,"last_event_id":0}', ("before", "position")),
    ('{"format":"json"', ("JSON",)),
    ('[{"format":"json"}]', ("JSON",)),
]


def test_wrong_json_bodies(ask):
    for body, words in WRONG_BODIES:
        refused(ask("", method="POST", body=body.encode(), content_type=JSON), 400, *words)


BODIES = [
    ('{"format":"json","since":"3","limit":"2"}', [4, 5]),
    ('{"format":"json","last_event_id":3,"limit":2,"wait":null,"before":null}', [4, 5]),
    ('{"format":"json","before":4,"limit":2,"channel":["default","b"],"more":{"x":[1]}}', [2, 3]),
    ('{"tail":1,"format":"json","limits of mine":1}', [6]),
]


def test_json_bodies(ask, log):
    log.insert_many(6)
    for body, found in BODIES:
        for kind in JSON, JSON + "; charset=utf-8":
            assert ids(parse(ask("", method="POST", body=body.encode(), content_type=kind))) == found


def test_head_has_no_body(ask, log):
    log.insert_many(3)
    for query in "since=0", "since=0&wait=60&channel=none", "before=3", "since=x", "":
        answer = ask(f"format=json&{query}", "--allow-origin", ORIGIN, method="HEAD", headers={"Origin": ORIGIN})
        assert (answer.head.status, bytes(answer.body)) == (200, b"")
        assert answer.head.get("Content-Type") == "application/json"
        assert answer.head.get("Access-Control-Allow-Origin") == ORIGIN
    answer = ask("format=json&limit=0", "--allow-origin", ORIGIN, method="HEAD")
    assert (answer.head.status, bytes(answer.body)) == (400, b"")


# Whatever it accepts, and wherever it asks for JSON.
ASKING = [
    {"query": "format=json", "accept": "text/event-stream"},
    {"query": "format=json", "accept": None},
    {"query": "", "method": "POST", "body": b'{"format":"json"}', "content_type": JSON},
    {"query": "", "method": "POST", "body": b"x=1&format=json", "content_type": FORM},
]


@pytest.mark.parametrize("how", ASKING, ids=["query", "no Accept", "JSON", "form"])
def test_refusal_is_never_a_stream(ask, log, how):
    """A page of an allowed origin can read it, and when to come back."""
    query, origin = how["query"], {"Origin": ORIGIN}
    how = {name: value for name, value in how.items() if name != "query"}
    parse(ask("format=json", "--allow-origin", ORIGIN))
    log.sql("ALTER TABLE events RENAME COLUMN data TO other")
    answer = ask(query, "--allow-origin", ORIGIN, headers=origin, **how)
    refused(answer, 503, "try again later")
    assert int(answer.head.get("Retry-After")) >= 1
    assert answer.head.get("Access-Control-Allow-Origin") == ORIGIN
    assert answer.head.get("Access-Control-Expose-Headers") == "Retry-After"


def test_poll_does_not_wait_longer_than_a_stream_may_last(ask, log):
    log.insert_many(2)
    began = time.monotonic()
    told = parse(ask("format=json&since=2&wait=60", "--max-stream-age", 1))
    assert 0.9 < time.monotonic() - began < 30
    assert (told["position"], ids(told), told["more"]) == (2, [], False)
