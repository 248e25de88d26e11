"""The head of a stream and its first record; HEAD, OPTIONS, CORS."""

import pytest

import fcgi
import gateway

HEAD_FIELDS = [
    ("Cache-Control", "no-cache, no-transform"),
    ("Content-Type", "text/event-stream"),
    ("Status", "200 OK"),
    ("X-Accel-Buffering", "no"),
]
ALLOWED = "https://app.example"


@pytest.fixture
def cors_server(launch):
    return launch("--allow-origin", ALLOWED)


def cors_fields(peer):
    return {name.lower(): value for name, value in peer.head.fields if "access-" in name.lower()}


def test_head_is_exactly_this(server):
    assert sorted(server.open().head.fields) == HEAD_FIELDS


@pytest.mark.parametrize("rows, position", [(0, "0"), (41, "41")])
def test_first_record_is_the_position(server, log, rows, position):
    log.insert_many(rows)
    peer = server.open()
    assert peer.first == ("position", position, position)
    time = peer.parser.reconnection_time
    expected = f"retry: {time}\nevent: position\ndata: {rows}\nid: {rows}\n\n"
    assert bytes(peer.body) == expected.encode()


def test_head_and_first_record_arrive_in_one_small_piece(cors_server, log):
    log.insert_many(3)
    peer = cors_server.open(headers={"Origin": ALLOWED})
    first = peer.records[0]
    assert first.type == fcgi.STDOUT
    assert first.content.endswith(b"\r\n\r\n" + bytes(peer.body))
    assert len(first.content) < 512


def test_valid_position_is_kept(server, log):
    log.insert_many(5)
    peer = server.open(last_event_id=3)
    assert peer.first == ("position", "3", "3")
    assert [event.data for event in peer.wait_rows(2)] == ["row 4", "row 5"]


def test_reconnection_times_are_spread(server):
    times = {server.open().parser.reconnection_time for _ in range(30)}
    assert min(times) >= 2000
    assert max(times) <= 3000
    assert len(times) > 5


def test_reconnection_time_without_jitter(launch):
    server = launch("--retry", 777, "--retry-jitter", 0)
    assert {server.open().parser.reconnection_time for _ in range(5)} == {777}


def test_head_request_ends_at_once_without_a_body(server):
    peer = server.answer(method="HEAD")
    assert sorted(peer.head.fields) == HEAD_FIELDS
    assert bytes(peer.body) == b""
    assert peer.end == (0, fcgi.REQUEST_COMPLETE)


def test_head_request_of_a_bad_request(server):
    peer = server.answer("tail=x", method="HEAD")
    assert peer.head.status == 400
    assert bytes(peer.body) == b""


# CORS.


def test_preflight(cors_server):
    peer = cors_server.answer(
        method="OPTIONS",
        headers={
            "Origin": ALLOWED,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,last-event-id,token",
        },
    )
    assert peer.head.status == 204
    assert bytes(peer.body) == b""
    cors = cors_fields(peer)
    methods = cors.pop("access-control-allow-methods")
    assert {"GET", "HEAD", "POST"} <= set(methods.replace(",", " ").split())
    assert int(cors.pop("access-control-max-age")) > 0
    assert cors == {
        "access-control-allow-origin": ALLOWED,
        "access-control-allow-credentials": "true",
        "access-control-allow-headers": "content-type,last-event-id,token",
    }
    assert peer.head.get("Vary") == "Origin"


def test_requested_headers_cannot_inject_a_field(cors_server):
    peer = cors_server.answer(
        method="OPTIONS",
        headers={"Origin": ALLOWED, "Access-Control-Request-Headers": "a\r\nSet-Cookie: x=1"},
    )
    assert peer.head.get("Set-Cookie") is None
    assert peer.head.status in (204, 400)


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", ALLOWED + ".evil"])
@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
def test_other_origins_get_no_cors_fields(cors_server, method, origin):
    peer = cors_server.ask(method=method, headers={"Origin": origin} if origin else {}).wait_head()
    assert peer.head.status == (204 if method == "OPTIONS" else 200)
    assert cors_fields(peer) == {}


@pytest.mark.parametrize(
    "how, status",
    [
        ({}, 200),
        ({"method": "HEAD"}, 200),
        ({"query": "tail=x"}, 400),
        ({"method": "PUT"}, 405),
        ({"method": "POST", "body": b"x" * 70000, "content_type": "application/json"}, 413),
        ({"method": "POST", "body": b"x", "content_type": "text/plain"}, 415),
    ],
)
def test_every_answer_to_the_allowed_origin_has_cors_fields(cors_server, how, status):
    peer = cors_server.ask(**how, headers={"Origin": ALLOWED}).wait_head()
    assert peer.head.status == status
    assert cors_fields(peer) == {
        "access-control-allow-origin": ALLOWED,
        "access-control-allow-credentials": "true",
    }
    assert peer.head.get("Vary") == "Origin"


def test_slow_body_refusal_has_cors_fields(cors_server):
    """As with a slow POST through Apache and Caddy: the page can read the reason only with these fields."""
    parameters = gateway.params(method="POST", headers={"Origin": ALLOWED}, content_type="text/x")
    peer = cors_server.connect()
    peer.send(fcgi.begin() + fcgi.data(fcgi.PARAMS, 1, fcgi.pairs(parameters)))
    peer.send(fcgi.record(fcgi.STDIN, 1, b"half a bo")).wait_complete()
    assert peer.head.status == 408
    assert "10 seconds" in peer.sentence()
    assert cors_fields(peer) == {
        "access-control-allow-origin": ALLOWED,
        "access-control-allow-credentials": "true",
    }


def test_any_origin_gets_no_credentials(launch):
    peer = launch("--allow-origin", "*").open(headers={"Origin": "https://anyone.example"})
    assert cors_fields(peer) == {"access-control-allow-origin": "*"}


@pytest.mark.parametrize("how", [{}, {"method": "HEAD"}, {"method": "OPTIONS"}, {"query": "tail=x"}])
def test_null_origin_gets_no_credentials(launch, how):
    """Any site can make a page whose origin is null."""
    server = launch("--allow-origin", "null", "--allow-origin", ALLOWED)
    peer = server.ask(**how, headers={"Origin": "null"}).wait_head()
    fields = cors_fields(peer)
    assert fields["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in fields
    for origin, credentials in ((ALLOWED, "true"), ("https://evil.example", None)):
        peer = server.ask(**how, headers={"Origin": origin}).wait_head()
        assert peer.head.get("Access-Control-Allow-Credentials") == credentials


@pytest.mark.parametrize(
    "spelled",
    [
        "HTTPS://App.Example",
        "https://app.example/",
        "https://app.example:443",
        "https://b.example, https://app.example",
        "https://b.example https://app.example",
    ],
)
def test_origin_in_another_spelling(launch, spelled):
    peer = launch("--allow-origin", spelled).open(headers={"Origin": ALLOWED})
    assert cors_fields(peer)["access-control-allow-origin"] == ALLOWED


def test_request_without_a_method_is_a_get(server):
    parameters = gateway.params(extra={"REQUEST_METHOD": None})
    peer = server.connect().send(fcgi.request(parameters))
    assert peer.next().type == "position"
