"""What each web server must pass on: rows at once, complete requests, and disconnects."""

import time

import pytest

import httpc
from conftest import ORIGIN, TOKEN
from deployment import wait_until
from encoded import open_encoded

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def test_row_arrives_before_the_next_is_inserted(site, channel, shared_log):
    """Nothing is buffered, not even for a moment, for a client that offers every compression."""
    took_s = []
    with open_encoded(site, f"channel={channel}") as opened:
        assert opened.next().type == "position"
        for number in range(20):
            row = shared_log.insert(f"row {number}\nsecond line", channel=channel)
            began = time.monotonic()
            event = opened.next()
            took_s.append(time.monotonic() - began)
            assert (event.data, event.last_event_id) == (f"row {number}\nsecond line", str(row))
    assert min(took_s) < 0.1, "a server waits for more to send"


def test_large_row(site, channel, shared_log):
    payload = ("ü" * 40 + "\n") * 30_000
    with site.follow(f"channel={channel}") as opened:
        shared_log.insert(payload, channel=channel)
        assert opened.next().data == payload


def test_last_event_id(site, channel, shared_log):
    first = shared_log.insert("before", channel=channel)
    second = shared_log.insert("after", channel=channel)
    with site.follow(f"channel={channel}", last_event_id=str(first)) as opened:
        assert opened.next().last_event_id == str(second)


def test_path_is_a_channel(site, channel, shared_log):
    with site.follow(path=f"/{channel}") as opened:
        row = shared_log.insert("by path", channel=channel)
        assert opened.next().last_event_id == str(row)


def test_authorization(site, request):
    """The web server passes the Authorization header on."""
    query = f"channel=secret/{request.node.name.split('[')[1].rstrip(']')}"
    refused = site.open(query).wait_head()
    assert refused.head.status in (401, 403)
    with site.follow(query, headers={"Authorization": f"Bearer {TOKEN}"}):
        pass
    wrong = site.open(query, headers={"Authorization": "Bearer wrong"}).wait_head()
    assert wrong.head.status in (401, 403)


def test_post_form(site, channel, shared_log):
    body = f"channel={channel}&positions=1".encode()
    with site.follow(method="POST", body=body, headers=FORM) as opened:
        shared_log.insert("for the form", channel=channel)
        assert opened.next().data == "for the form"


def test_post_json_in_chunks(site, channel, shared_log):
    """A body of unknown length, as a stream of fetch() sends it."""
    body = b'{"channel": ["%s"], "positions": 1}' % channel.encode()
    parts = (body[:9], body[9:], b"")
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    headers = {**JSON, "Transfer-Encoding": "chunked"}
    with site.open(method="POST", headers=headers).send(chunks) as opened:
        assert opened.next().type == "position"
        shared_log.insert("for the chunks", channel=channel)
        assert opened.next().data == "for the chunks"


def test_preflight(site):
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = site.open(method="OPTIONS", headers=headers).wait_head()
    assert answer.head.status == 204
    assert answer.head.get("Access-Control-Allow-Origin") == ORIGIN
    assert "authorization" in answer.head.get("Access-Control-Allow-Headers").lower()
    assert "POST" in answer.head.get("Access-Control-Allow-Methods")
    answer.wait_complete()


def test_cors_of_a_stream(site, channel):
    with site.follow(f"channel={channel}", headers={"Origin": ORIGIN}) as opened:
        assert opened.head.get("Access-Control-Allow-Origin") == ORIGIN
        assert opened.head.get("Access-Control-Allow-Credentials") == "true"
    with site.follow(f"channel={channel}", headers={"Origin": "https://evil.example"}) as opened:
        assert opened.head.get("Access-Control-Allow-Origin") is None


def test_head_of_a_stream(site, channel):
    with site.follow(f"channel={channel}") as opened:
        assert opened.head.get("Content-Type") == "text/event-stream"
        assert opened.head.get("Cache-Control") == "no-cache, no-transform"


@pytest.mark.parametrize(
    "method, query, headers, status, says",
    [
        ("GET", "channel=a*b", {}, 400, "a*b"),
        ("GET", "channel=secret/x", {}, 401, "token"),
        ("PUT", "", {}, 405, "PUT"),
        ("POST", "", {"Content-Type": "text/css"}, 415, "text/css"),
    ],
    ids=["400", "401", "405", "415"],
)
def test_errors_end_at_once(site, method, query, headers, status, says):
    """rowtail's own answer, with its message, and no stream left behind."""
    body = b"x{}" if method == "POST" else None
    answer = site.open(query, method=method, headers=headers, body=body).wait_head()
    assert answer.head.status == status, answer.head.raw
    answer.wait(lambda: answer.complete or answer.eof, "end of the answer")
    assert answer.head.get("Content-Type").startswith("text/plain")
    assert says in answer.body.decode(), "not rowtail's sentence"
    site.wait_streams(0)


def test_head_ends_at_once(site, channel):
    answer = site.open(f"channel={channel}", method="HEAD").wait_head()
    assert answer.head.status == 200
    assert answer.head.get("Content-Type") == "text/event-stream"
    site.wait_streams(0)


def test_disconnect_is_noticed(site, channel):
    """Within two heartbeats of 1 s; Caddy needs up to four, mod_fcgid its own intervals."""
    leavers = [site.follow(f"channel={channel}") for _ in range(3)]
    site.wait_streams(3)
    files = site.open_files()
    leavers[0].reset()
    for leaver in leavers[1:]:
        leaver.close()
    gone_at = time.monotonic()
    site.wait_streams(0)
    allowed_s = {"caddy": 4, "apache-fcgid": 5}.get(site.deployment.name, 2)
    assert time.monotonic() - gone_at < allowed_s + 1.5  # 1.5 s for a busy machine
    wait_until(lambda: site.open_files() <= files - 3, "closed descriptors", site.open_files)


WITH_PAGES = pytest.mark.deployments(
    "apache", "apache-tcp", "lighttpd", "lighttpd-spawn", "nginx", "caddy", "haproxy"
)


@WITH_PAGES
@pytest.mark.parametrize("page, says", [("metrics", "rowtail_streams "), ("status", "<html")])
def test_pages_for_the_administrator(site, page, says):
    """At the addresses in the configuration, open to this machine."""
    answer = httpc.open_request(site.server.address, f"/rowtail/{page}", accept="*/*").wait_head()
    assert answer.head.status == 200, answer.head.raw
    answer.wait(lambda: answer.complete or answer.eof, "end of the page")
    assert says in answer.body.decode()


@WITH_PAGES
def test_no_client_can_ask_for_a_page(site):
    """Only the web server sets the parameter; a header of that name has no effect."""
    query = "channel=open/page&ROWTAIL_PAGE=metrics"
    with site.follow(query, headers={"Rowtail-Page": "metrics"}) as opened:
        assert opened.head.get("Content-Type") == "text/event-stream"
    with site.open(query, headers={"ROWTAIL_PAGE": "metrics"}).wait_head() as opened:
        # Some servers refuse a name with an underscore, as lighttpd of 2025 does.
        assert opened.head.status == 400 or opened.next().type == "position"
