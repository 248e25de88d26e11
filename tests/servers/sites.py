"""Assertions that hold on every site, however its web server is configured; shared by test_sites_*.py.

A Visitor sends requests to one site of a server, by its host name; the functions assert what the visitor notices.
"""

import contextlib
import re
import time
import zlib

import encoded
import httpc
from deployment import FULL, wait_until
from logins import PASSWORDS, basic

SOON_S = 1.5  # a buffered row arrives much later than this, or never
FORM = "application/x-www-form-urlencoded"
# Channels that servers may mistake for something else, spelled as the path and as the parameter.
SPELLED = {
    "orders%2F42": "orders/42",
    "a/b.html": "a/b.html",
    "a//b": "a//b",
    "app.js": "app.js",
    "index.php": "index.php",
    "index.php/x": "index.php/x",
    "a%20b": "a b",
    "gr%C3%BC%C3%9Fe": "grüße",
    "100%25": "100%",
    "%2525": "%25",
    "a+b": "a+b",
    "what%3F": "what?",
    "a%23b": "a#b",
    "a%26b=c": "a&b=c",
    "a;b": "a;b",
    "a:b@c": "a:b@c",
    ".well-known": ".well-known",
    "events": "events",
    "EVENTS/x": "EVENTS/x",
}


class Visitor:
    """A client of one site; close() disconnects."""

    def __init__(self, site, host):
        self.site = site
        self.host = host
        self.opened = []

    def ask(self, target, *, headers=None, **how):
        """Sends a request; returns its answer at once, with nothing read yet."""
        fields = {"Host": self.host, **(headers or {})}
        answer = httpc.open_request(self.site.server.address, target, headers=fields, **how)
        self.opened.append(answer)
        return answer

    def get(self, target, **how):
        """Sends a request; returns its answer once the head has arrived."""
        return self.ask(target, **how).wait_head()

    def page(self, target, **how):
        """A complete answer to a request as a browser sends it for a page."""
        answer = self.get(target, **{"accept": "text/html,*/*", **how})
        return answer.wait(lambda: answer.complete or answer.eof, "end of the answer")

    def gzipped(self, target):
        """Requests a stream as a client that offers compression, as every browser does."""
        answer = encoded.open_request(self.site.server.address, target, self.host)
        self.opened.append(answer)
        return answer.wait_head()

    def follow(self, target, **how):
        """A stream whose first record has arrived."""
        return as_stream(self.get(target, **how))

    def close(self):
        while self.opened:
            self.opened.pop().close()


@contextlib.contextmanager
def visiting(server, need=lambda name: None):
    """visitor(name): a client of this site of a server; all disconnect at the end.

    need: called first with the site's name; skips the test if the site is not possible here.
    """
    visitors = []

    def visitor(name):
        need(name)
        visitors.append(Visitor(server, name))
        return visitors[-1]

    yield visitor
    for one in visitors:
        one.close()


def as_stream(answer):
    """Asserts that this is rowtail's stream, that it began at once, and that nobody may cache it."""
    assert answer.head.status == 200, answer.describe()
    kind = answer.head.get("Content-Type") or ""
    assert kind.partition(";")[0].strip().lower() == "text/event-stream", answer.describe()
    controls = " ".join(value for name, value in answer.head.fields if name == "Cache-Control")
    assert "no-cache" in controls and "no-transform" in controls, answer.head.raw
    assert answer.head.get("Expires") is None, answer.head.raw
    assert answer.next().type == "position"
    return answer


def assert_row_comes_at_once(log, stream, channel, data):
    began = time.monotonic()
    log.insert(data, channel=channel)
    row = stream.next_row()
    assert row.data == data
    assert time.monotonic() - began < SOON_S, "the row was held back"


def assert_streams(visitor):
    """Rows arrive one by one and unchanged, by GET and POST, even for clients that offer compression."""
    log, name = visitor.site.log, visitor.host
    rows = [
        'row <!--#echo var="host" --> <?= 1 ?> {{.Host}} http://example.org/ é Ж',
        "long " + "x" * 3000,
        "x",
    ]
    body = f"channel={name}&pad={'x' * 3000}".encode()
    posted = {"method": "POST", "headers": {"Content-Type": FORM}, "body": body}
    with (
        visitor.follow(f"/events?channel={name}&x=/index.php") as plain,
        as_stream(visitor.gzipped(f"/events/{name}")) as gzipped,
        visitor.follow("/events/?positions=1", **posted) as post,
    ):
        for stream in plain, gzipped, post:
            for row in rows:
                assert_row_comes_at_once(log, stream, name, row)
                for other in {plain, gzipped, post} - {stream}:
                    assert other.next_row().data == row
        last = plain.parser.last_event_id
    log.insert("meanwhile", channel=name)
    with visitor.follow(f"/events?channel={name}", last_event_id=last) as resumed:
        assert resumed.next_row().data == "meanwhile"


def assert_paths_name_channels(visitor, spelled=SPELLED):
    """The path after the mount names the same channel as ?channel=, whatever it looks like.

    Where every stream is a process, each site but plain.test gets a third of the spellings, another one than its neighbour;
    with TEST_FULL=1 each site gets all.
    """
    log = visitor.site.log
    if visitor.site.deployment.runs == "each" and visitor.host != "plain.test" and not FULL:
        spelled = dict(list(spelled.items())[zlib.crc32(visitor.host.encode()) % 3 :: 3])
    streams = {channel: visitor.follow("/events/" + path) for path, channel in spelled.items()}
    log.sql("BEGIN IMMEDIATE")
    for channel in streams:
        log.insert(f"for {channel}", channel=channel)
    log.sql("COMMIT")
    for channel, stream in streams.items():
        assert stream.next_row().data == f"for {channel}"


# What rowtail refuses, with which status, and a word of its message.
REFUSALS = [
    ("GET", "/events?channel=a**b", 400, "a**b"),
    ("GET", "/events?channel=secret", 401, "token"),
    ("PUT", "/events", 405, "PUT"),
]
# lighttpd itself refuses these, as Debian configures it.
REFUSED_PATHS = [
    ("GET", "/events/a%0Ab", 400, "channel"),
    ("GET", "/events/secret%0A", 400, "channel"),
]


def assert_refusals_are_rowtails(visitor, cases=(*REFUSALS, *REFUSED_PATHS)):
    """The site's error pages do not replace rowtail's messages."""
    for method, target, status, says in cases:
        answer = visitor.page(target, method=method)
        assert answer.head.status == status, answer.describe()
        assert says in answer.sentence()


def assert_asks_again(visitor, target="/events?channel=a", **how):
    """While rowtail is down, or the site refuses temporarily, an EventSource is told to reconnect."""
    assert_says_when(visitor.get(target, **how))


def assert_says_when(answer):
    """The answer tells an EventSource when to reconnect."""
    answer.wait_head()
    assert answer.head.status == 200, answer.describe()
    assert answer.head.get("Content-Type").startswith("text/event-stream"), answer.head.raw
    assert "no-cache" in answer.head.get("Cache-Control"), answer.head.raw
    assert answer.head.get("Expires") is None, answer.head.raw
    answer.wait(lambda: answer.complete or answer.eof, "end of the answer")
    assert answer.parser.reconnection_time == 3000, answer.describe()
    assert not answer.events and answer.parser.empty_blocks == 0


def assert_are_down(visitors, targets, statuses):
    """An EventSource is told to reconnect, whatever it requests; a page gets one of the errors.

    nginx takes a second or two for each answer, so some visitors ask at the same time.
    """
    for some in (visitors[i : i + 16] for i in range(0, len(visitors), 16)):
        answers = [visitor.ask(target) for visitor in some for target in targets]
        body = b"channel=" + b"a" * 2000
        answers += [visitor.ask("/events?channel=a", method="POST", body=body) for visitor in some]
        for answer in answers:
            assert_says_when(answer)
        for visitor in some:
            assert visitor.page("/events").head.status in statuses
            visitor.close()


def assert_closed(visitor, targets, logins, statuses, accepts=("text/event-stream",)):
    """The site's access rules also apply to /events."""
    for target in targets:
        for headers in logins:
            for accept in accepts:
                answer = visitor.get(target, headers=headers, accept=accept)
                assert answer.head.status in statuses, answer.describe()
                answer.rest(0.02)
                assert not answer.events


def assert_login_is_handed_on(visitor):
    """The web server's user is rowtail's user: ann may read, bob may not."""
    visitor.follow("/events?channel=secret", headers=basic("ann", PASSWORDS["ann"]))
    bob = visitor.get("/events?channel=secret", headers=basic("bob", PASSWORDS["bob"]))
    assert bob.head.status == 403


def assert_same_as_without(bare, site, names, targets, times=b"(?!)"):
    """The site itself answers every URL that looks like the mount, as `bare` does without rowtail.

    times: matches what differs in each answer, such as file times in a listing.
    """

    def described(answer):
        body = re.sub(times, b"", answer.body)
        return answer.head.status, answer.head.get("Content-Type"), body

    for name in names:
        before, now = Visitor(bare, name), Visitor(site, name)
        for target in targets:
            was, is_now = before.page(target), now.page(target)
            assert described(was) == described(is_now), (name, target)
        before.close()
        now.close()


def assert_leaving_is_noticed(visitor, heartbeats=4):
    """rowtail notices a disconnect after some heartbeats of a second."""
    visitor.close()
    site = visitor.site
    wait_until(lambda: site.streams() == 0, "end of the streams", site.streams, heartbeats + 3)


def silence(site, names):
    """A stream of each site, with only heartbeats for two seconds."""
    visitors = {name: Visitor(site, name) for name in names}
    streams = {name: one.follow("/events/silence") for name, one in visitors.items()}
    for name, stream in streams.items():
        stream.wait(lambda s=stream: len(s.parser.comments) > 1, f"heartbeats of {name}")
    site.log.insert("after a silence", channel="silence")
    for stream in streams.values():
        assert stream.next_row().data == "after a silence"
    for one in visitors.values():
        one.close()
