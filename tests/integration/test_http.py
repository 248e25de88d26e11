"""--http: rowtail without a web server."""

import hashlib
import json
import re
import signal
import socket
import time

import pytest

import fcgi
import httpc
import httpserver
import ports
import rowtail
import stream

pytestmark = httpserver.needed
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LAST = b"Host: a\r\nConnection: close\r\n\r\n"
JSON = b"GET /events?format=json HTTP/1.1\r\n"


@pytest.fixture
def serve(workdir, log):
    """serve("--heartbeat", 1): starts rowtail with --http; everything ends with the test."""

    def make(*arguments, unix=False, **how):
        return httpserver.HttpServer(workdir, ["--db", log.path, *arguments], unix=unix, **how)

    with rowtail.launching(make) as start:
        yield start


@pytest.fixture
def server(serve):
    return serve()


def statuses(answer):
    return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d+)", answer, re.MULTILINE)]


# Streams.


@pytest.mark.parametrize("unix", (False, True))
def test_stream(serve, log, unix):
    server = serve(unix=unix)
    opened = server.follow()
    assert (opened.first.type, opened.first.data) == ("position", "0")
    assert opened.head.get("Content-Type") == "text/event-stream"
    assert opened.head.get("X-Accel-Buffering") == "no"
    assert opened.head.get("Transfer-Encoding") == "chunked"
    assert opened.head.get("Date").endswith(" GMT")
    for number in range(1, 4):
        log.insert(f"row {number}")
        event = opened.next_row()
        assert (event.data, event.last_event_id) == (f"row {number}", str(number))


@pytest.mark.parametrize("unix", (False, True))
def test_socket_passed_by_systemd(serve, log, unix):
    """Its name says that it is for HTTP; clients that connect while nobody serves it wait."""
    server = serve(unix=unix, how="systemd", env={"LISTEN_FDNAMES": "http"})
    opened = server.follow()
    row = log.insert("by the passed socket")
    assert opened.next_row().last_event_id == str(row)
    server.stop()


def test_passed_socket_takes_the_place_of_the_option(serve, workdir):
    """The name may have capitals; --http is not opened a second time, and --listen is."""
    fastcgi = workdir / "fcgi.sock"
    server = serve("--listen", fastcgi, how="systemd", env={"LISTEN_FDNAMES": "HTTP:rowtail.socket"})
    server.follow()
    with fcgi.Connection(fastcgi).ask("") as behind:
        assert behind.next().type == "position"


def test_exposed_fastcgi_socket_of_systemd_is_named(workdir, log):
    """Without the name a passed socket is for FastCGI, which must not be open to other machines."""
    address = ("0.0.0.0", ports.free_port())
    process = rowtail.Rowtail(workdir, ["--db", log.path], how="systemd", address=address, env={"LISTEN_FDNAMES": "htpt"})
    process.start()
    assert "other machines can reach" in process.wait_log("htpt.*FileDescriptorName=http").string
    process.stop()


def test_resume(server, log):
    log.insert_many(1000)
    opened = server.follow(last_event_id="400")
    opened.wait_rows(600)
    assert opened.ids == list(range(401, 1001))


def test_many_streams_share_rows(server, log):
    opened = [server.follow("channel=a") for _ in range(20)]
    opened += [server.follow("channel=a&envelope=json") for _ in range(20)]
    row = log.insert("for all", channel="a")
    for peer in opened:
        assert peer.next_row().last_event_id == str(row)


def test_http_1_0_has_no_chunks(server, log):
    log.insert("there")
    with stream.connect(server.web) as peer:
        peer.sendall(b"GET /events?last_event_id=0 HTTP/1.0\r\n\r\n")
        got = b""
        while b"id: 1\n\n" not in got:
            got += peer.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"chunked" not in head and b"Connection: close" in head
    assert body.startswith(b"retry: ") and b"data: there\nid: 1\n\n" in body


@pytest.mark.parametrize("size", (60_000, 65_528, 65_600, 300_000, 3_000_000))
def test_large_rows(server, log, size):
    """A slow reader gets them whole, and the end of each record in one chunk."""
    first = server.follow("channel=large")
    time.sleep(0.05)
    log.insert("x" * size, channel="large")
    log.insert("y" * size, channel="large")
    assert [event.data for event in first.wait_rows(2)] == ["x" * size, "y" * size]


def test_disconnect_is_noticed(server):
    peers = [server.follow() for _ in range(3)]
    assert b"rowtail_streams 3\n" in server.page("metrics").body
    peers[0].close()
    peers[1].reset()
    peers[2].source.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + stream.DEADLINE
    while b"rowtail_streams 0\n" not in server.page("metrics").body:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_shutdown(server, log):
    """A stream gets a reconnection time and the last chunk; an idle connection just closes."""
    opened = server.follow()
    idle = stream.connect(server.web)
    idle.sendall(JSON + b"Host: a\r\n\r\n")
    assert idle.recv(65536).startswith(b"HTTP/1.1 200")
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    opened.wait_complete()
    assert opened.parser.reconnection_time is not None
    assert server.wait_exit() == 0
    assert time.monotonic() - began < 4
    idle.close()


def test_shutdown_answers_a_request_that_is_still_arriving(server):
    """A client that meets a restart with half a request comes back later."""
    peer = stream.connect(server.web)
    head = b"POST /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: 9\r\n\r\n"
    peer.sendall(head + b"chan")
    server.signal(signal.SIGTERM)
    answer = peer.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert b"\nretry: " in answer
    assert server.wait_exit(5) == 0


def test_shutdown_answers_a_request_for_rows(server, log):
    """A request for JSON whose last bytes come after the signal is answered, and at once."""
    log.insert("row")
    opened = server.follow()
    peer = stream.connect(server.web)
    peer.sendall(b"GET /events?format=json&last_event_id=1&wait=30 HTTP/1.1\r\nHost: a\r\n")
    server.signal(signal.SIGTERM)
    opened.wait_complete()
    peer.sendall(b"\r\n")
    answer = peer.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200") and b'"position":1' in answer, answer
    assert server.wait_exit(5) == 0


def test_beside_fastcgi(serve, log, workdir):
    """Both kinds of streams get the same rows."""
    fastcgi = workdir / "fcgi.sock"
    server = serve("--listen", fastcgi)
    web = server.follow()
    with fcgi.Connection(fastcgi).ask("") as behind:
        behind.next()
        row = log.insert("to both")
        assert web.next_row().last_event_id == behind.next_row().last_event_id == str(row)


def test_all_addresses(serve, log):
    """--http can be given several times."""
    port = ports.free_port()
    server = serve("--http", f"127.0.0.1:{port}")
    other = httpc.open_request(("127.0.0.1", port), "/events").wait_head()
    assert other.head.status == 200
    other.close()
    server.follow()


# What a request is.


@pytest.mark.parametrize(
    "target", ("/events/orders/42", "/events/orders%2F42", "/%65vents/orders/42", "http://x.example/events/orders/42")
)
def test_channel_in_the_path(server, log, target):
    row = log.insert("by path", channel="orders/42")
    opened = server.request(target, last_event_id="0")
    assert opened.next().type == "position"
    assert opened.next_row().last_event_id == str(row)


def assert_channel_b_is_at(server, log, target):
    row = log.insert("here", channel="b")
    opened = server.request(target, last_event_id="0")
    opened.next()
    assert opened.next_row().last_event_id == str(row)


def test_http_path(serve, log):
    server = serve("--http-path", "/a/live")
    assert_channel_b_is_at(server, log, "/a/live/b")
    for target in "/events", "/a", "/a/livelier", "/":
        assert server.request(target).wait_complete().head.status == 404
    assert "/a/live" in server.request("/x").wait_complete().sentence()


def test_root_as_the_path(serve, log):
    assert_channel_b_is_at(serve("--http-path", "/"), log, "/b")


@pytest.mark.parametrize("body", (b"channel=a&positions=1&last_event_id=0", b'{"channel":["a"],"last_event_id":0,"positions":1}'))
@pytest.mark.parametrize("chunked", (False, True))
def test_post(server, log, body, chunked):
    row = log.insert("posted", channel="a")
    kind = {"Content-Type": "application/json"} if body.startswith(b"{") else FORM
    if chunked:
        kind["Transfer-Encoding"] = "chunked"
        parts = [body[:5], body[5:]]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        kind["Content-Length"] = None
    opened = server.request(method="POST", body=body, headers=kind)
    opened.next()
    assert opened.next_row().last_event_id == str(row)


def test_body_after_100_continue(server):
    with stream.connect(server.web) as peer:
        head = b"POST /events HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n"
        peer.sendall(head + b"Content-Type: application/json\r\nContent-Length: 17\r\n\r\n")
        assert peer.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(b'{"format":"json"}')
        assert peer.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def test_head(server):
    """The same head without a body, and the connection stays usable."""
    asked = b"HEAD /events HTTP/1.1\r\nHost: a\r\n\r\nHEAD /events?channel= HTTP/1.1\r\nHost: a\r\n\r\n"
    got = server.raw(asked + b"HEAD /x HTTP/1.1\r\n" + LAST)
    assert statuses(got) == [200, 400, 404]
    assert got.count(b"\r\n\r\n") == 3 and got.endswith(b"\r\n\r\n")


def test_cors(serve, log):
    server = serve("--allow-origin", "https://app.example")
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    preflight = server.request(method="OPTIONS", headers=asked).wait_complete()
    assert preflight.head.status == 204
    assert preflight.head.get("Content-Length") is None
    for target in "/events", "/nowhere", "/events?channel=":
        answer = server.request(target, headers=asked).wait_head()
        assert answer.head.get("Access-Control-Allow-Origin") == "https://app.example"


def test_other_methods(serve):
    origin = "https://app.example"
    server = serve("--allow-origin", origin)
    for method in "PUT", "DELETE", "TRACE", "PATCH", "BREW", "get", "PRI", "SETUP", "QUERY", "X-!#$%&'*+.^_`|~":
        answer = server.request(method=method, headers={"Origin": origin}).wait_complete()
        assert answer.head.status == 405
        assert answer.head.get("Allow") == "GET, HEAD, POST, OPTIONS"
        assert answer.head.get("Access-Control-Allow-Origin") == origin
    assert statuses(server.raw(b"OPTIONS * HTTP/1.1\r\n" + LAST)) == [204]
    assert statuses(server.raw(b"CONNECT a:1 HTTP/1.1\r\n" + LAST)) == [405]
    two = b"BREW /events HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /" + b"GET /no HTTP/1.1\r\n" + LAST
    assert statuses(server.raw(two)) == [405, 404]


def test_url_of_nearly_48_kib(server, log):
    """A web server's REQUEST_URI repeats the query, but a request counts once."""
    log.insert("row", channel="c" * 255)
    channels = "&".join(f"channel={n:03}{'%F0%9F%98%80' * 38}" for n in range(99))
    target = f"/events/{'c' * 255}?{channels}&tail=1"
    assert 45_000 < len(target) < 48 * 1024
    with server.request(target) as peer:
        assert peer.next_row().data == "row"


# One connection, several requests.


def test_keep_alive(server, log):
    """Finite answers keep the connection; a stream ends it."""
    log.insert("row")
    with stream.connect(server.web) as peer:
        peer.settimeout(stream.DEADLINE)
        for _ in range(3):
            for target, status in ("/events?format=json&since=0", 200), ("/events?channel=", 400), ("/no", 404):
                peer.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                got = b""
                while not got.endswith((b"0\r\n\r\n", b"\n")) or b"\r\n\r\n" not in got:
                    got += peer.recv(65536)
                assert statuses(got) == [status]
                assert b"Connection: close" not in got


def test_long_poll_keeps_the_connection(server, log):
    with stream.connect(server.web) as peer:
        peer.settimeout(stream.DEADLINE)
        for number in range(1, 4):
            asked = f"GET /events?format=json&wait=20&since={number - 1} HTTP/1.1\r\nHost: a\r\n\r\n"
            peer.sendall(asked.encode())
            time.sleep(0.05)
            log.insert(f"row {number}")
            got = b""
            while not got.endswith(b"0\r\n\r\n"):
                got += peer.recv(65536)
            assert b'"id":%d' % number in got


def test_pipelined_requests_are_answered_in_order(server):
    asked = [b"GET /events?channel= HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"]
    body = b"channel="
    asked.append(b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n" + body)
    got = server.raw(b"".join(asked) + JSON + LAST)
    assert statuses(got) == [400, 404, 415, 200]


def test_a_flood_of_pipelined_requests_is_closed(server):
    got = server.raw(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n" * 300)
    assert 1 <= len(statuses(got)) < 100
    assert set(statuses(got)) == {404}


def test_request_behind_a_stream_is_not_answered(server, log):
    """The stream goes on, and the connection closes after it."""
    with stream.connect(server.web) as peer:
        peer.sendall(b"GET /events?format=json&since=0&wait=1 HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        peer.settimeout(stream.DEADLINE)
        got = b""
        while chunk := peer.recv(65536):
            got += chunk
    assert statuses(got) == [200]
    assert got.endswith(b"0\r\n\r\n")


def test_bytes_one_by_one(server):
    with stream.connect(server.web) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"\r\nPOST /events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n":
            peer.sendall(bytes([byte]))
        for byte in b'{"format":"json"}':
            peer.sendall(bytes([byte]))
        peer.settimeout(stream.DEADLINE)
        assert peer.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


# Refusals that ask to come back.


def test_full(serve, log):
    """An EventSource gets a stream that asks it to reconnect, and ends after a second."""
    server = serve("--max-streams", 1)
    server.follow()
    began = time.monotonic()
    answer = server.request().wait_complete()
    assert time.monotonic() - began > 0.5
    assert answer.head.status == 200 and answer.parser.reconnection_time is not None
    plain = server.request(accept="*/*").wait_complete()
    assert plain.head.status == 503 and plain.head.get("Retry-After")


def test_full_for_http_1_0(serve, log):
    server = serve("--max-streams", 1)
    server.follow()
    got = server.raw(b"GET /events HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n")
    assert statuses(got) == [200] and b"chunked" not in got and b"retry: " in got


# The client and the pages.


def clients(server, *sent):
    """Opens a stream for each X-Forwarded-For; the number of streams that --max-streams-per-client 1 lets in."""
    opened = [server.request(headers={"X-Forwarded-For": value}, accept="*/*").wait_head() for value in sent]
    return [peer.head.status for peer in opened]


@pytest.mark.parametrize("unix", (False, True))
def test_trusted_proxy(serve, log, unix):
    trusted = ["--trusted-proxy", "unix"] if unix else ["--trusted-proxy", "127.0.0.1"]
    server = serve("--max-streams-per-client", 1, *trusted, "--trusted-proxy", "10.0.0.0/8", unix=unix)
    assert clients(server, "192.0.2.1", "192.0.2.2", "192.0.2.1") == [200, 200, 503]
    # The client wrote the first addresses itself.
    assert clients(server, "192.0.2.3", "192.0.2.4, 192.0.2.3", "198.51.100.1, 192.0.2.3") == [200, 503, 503]
    assert clients(server, "192.0.2.5, 10.1.2.3", "192.0.2.5:4711, 10.9.9.9,10.1.1.1") == [200, 503]
    assert clients(server, "2001:db8:1::1", "[2001:db8:1::2]:80", "2001:db8:2::1") == [200, 503, 200]


def test_forwarded_addresses_count_only_from_trusted_proxies(serve, log):
    server = serve("--max-streams-per-client", 1)
    assert clients(server, "192.0.2.1", "192.0.2.2") == [200, 503]


@pytest.mark.parametrize("value", ("10.0.0.1/8", "300.1.1.1", "localhost", "10.0.0.0/33", "::/129", "10.0.0.0/", ""))
def test_bad_trusted_proxy(log, value):
    done = rowtail.run("--db", log.path, "--http", ":1", "--trusted-proxy", value)
    assert done.returncode == 64 and "trusted-proxy" in done.stderr


def test_user_names_cannot_be_forged(serve, log):
    """Only a web server can set REMOTE_USER, ROWTAIL_PAGE and the like."""
    log.sql("DELETE FROM grants")
    log.grant("user:ann", "*")
    server = serve()
    forged = {name: "ann" for name in ("REMOTE_USER", "Remote-User", "REMOTE-USER", "X-Remote-User", "HTTP_REMOTE_USER")}
    answer = server.request(headers=forged).wait_complete()
    assert answer.head.status == 401
    pages = {name: "metrics" for name in ("ROWTAIL_PAGE", "Rowtail-Page", "ROWTAIL-PAGE")}
    assert server.request(headers=pages).wait_complete().head.status == 401


def test_token(serve, log):
    log.sql("DELETE FROM grants")
    log.grant("token:" + hashlib.sha256(b"secret").hexdigest(), "*")
    server = serve()
    assert server.request().wait_complete().head.status == 401
    server.follow(headers={"Authorization": "Bearer secret"})
    server.follow(headers={"Cookie": "a=b; rowtail_token=secret"})
    # A name with an underscore is not the name with a dash.
    assert server.request(headers={"AUTHORIZATION_": "Bearer secret"}).wait_complete().head.status == 401


def test_pages(server, log):
    log.insert("row")
    health = server.page("health")
    assert (health.head.status, health.body) == (200, b"ok\n")
    assert b"rowtail_log_newest_id 1\n" in server.page("metrics").body
    assert b"<h1>rowtail</h1>" in server.page("status").body
    facts = server.page("status.json")
    assert facts.head.get("Content-Type") == "application/json"
    assert json.loads(facts.body)["log_newest_id"] == 1
    assert server.page("health", method="HEAD").body == b""
    for other in "", "events", "metrics/x", "status.jso":
        assert server.page(other).head.status == 404
    for name in "metrics", "status", "status.json", "health":
        assert server.request(f"/{name}").wait_complete().head.status == 404


def test_json_is_the_same_as_over_fastcgi(server, log):
    log.insert("é\n")
    answer = json.loads(server.request("/events?format=json&since=0").wait_complete().body)
    assert answer["events"][0]["data"] == "é\n"
