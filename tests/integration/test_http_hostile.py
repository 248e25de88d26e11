"""--http against hostile clients: request smuggling, limits, and clients that are too slow.

The cases are those of RFC 9112, section 11, and of the published collections: James Kettle's HTTP desync attacks (CL.TE, TE.CL,
TE.TE), http-garden, and the CVEs of llhttp.
"""

import socket
import time

import pytest

import httpserver
import stream
from test_http import LAST, serve, server, statuses  # noqa: F401

pytestmark = httpserver.needed
SECOND = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def post(*fields, body=b"", line=b"POST /events HTTP/1.1"):
    return b"\r\n".join((line, b"Host: a", *fields)) + b"\r\n\r\n" + body


SMUGGLED = {
    "both lengths": post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nG"),
    "both lengths, the other way": post(b"Transfer-Encoding: chunked", b"Content-Length: 6", body=b"0\r\n\r\nG"),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: 36"),
    "two equal lengths": post(b"Content-Length: 5", b"Content-Length: 5", body=b"a=bcd"),
    "a list of lengths": post(b"Content-Length: 5, 5", body=b"a=bcd"),
    "signed length": post(b"Content-Length: +5", body=b"a=bcd"),
    "negative length": post(b"Content-Length: -1"),
    "hexadecimal length": post(b"Content-Length: 0x5", body=b"a=bcd"),
    "length with a space": post(b"Content-Length: 1 0", body=b"a=bcd"),
    "length with an underscore": post(b"Content-Length: 1_0", body=b"a=bcd"),
    "empty length": post(b"Content-Length: ", body=b"a=bcd"),
    "length above 64 bits": post(b"Content-Length: 18446744073709551621", body=b"a=bcd"),
    "space before the colon": post(b"Content-Length : 5", body=b"a=bcd"),
    "tab before the colon": post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n"),
    "space before the name": post(b" Content-Length: 5", body=b"a=bcd"),
    "folded line": post(b"X: a", b" Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "folded coding": post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"),
    "folded with a tab": post(b"X: a", b"\tb"),
    "first line folded": b"GET /events HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n",
    "two codings": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunked and identity": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "identity and chunked": post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "unknown coding": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "coding with a form feed": post(b"Transfer-Encoding: \x0cchunked", body=b"0\r\n\r\n"),
    "coding with a vertical tab": post(b"Transfer-Encoding: chunked\x0b", body=b"0\r\n\r\n"),
    "coding in quotes": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "gzip": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "coding in HTTP/1.0": post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", line=b"POST /events HTTP/1.0"),
    "bare CR in a value": post(b"X: a\rTransfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "bare CR before the end": post(b"X: a\r\r\nY: b"),
    "bare LF after a value": b"POST /events HTTP/1.1\r\nHost: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF after the request line": b"GET /events HTTP/1.1\nHost: a\r\n\r\n",
    "only LF": b"GET /events HTTP/1.1\nHost: a\n\n",
    "head that ends with LF": b"GET /events HTTP/1.1\r\nHost: a\r\n\n",
    "NUL in a value": post(b"X: a\0b"),
    "NUL in a name": post(b"X\0: a"),
    "NUL in the URL": b"GET /eve\0nts HTTP/1.1\r\nHost: a\r\n\r\n",
    "control character in a value": post(b"X: a\x01b"),
    "DEL in a value": post(b"X: a\x7fb"),
    "no colon": post(b"Foo"),
    "no name": post(b": a"),
    "name with a bracket": post(b"X(: a"),
    "name with a high byte": post(b"X\xe9: a"),
    "no host": b"GET /events HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /events HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "host with a path": b"GET /events HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with a user": b"GET /events HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "tab in the request line": b"GET\t/events HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces in the request line": b"GET  /events HTTP/1.1\r\nHost: a\r\n\r\n",
    "space in the URL": b"GET /events a HTTP/1.1\r\nHost: a\r\n\r\n",
    "space after the version": b"GET /events HTTP/1.1 \r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /events\r\n\r\n",
    "lower-case version": b"GET /events http/1.1\r\nHost: a\r\n\r\n",
    "high byte in the URL": b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/1.10": b"GET /events HTTP/1.10\r\nHost: a\r\n\r\n",
    "HTTP/2": b"GET /events HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "FastCGI": b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\n\n",
    "other expectation": post(b"Expect: 200-ok"),
    "two expectations": post(b"Expect: 100-continue, 100-continue", b"Content-Length: 5", body=b"a=bcd"),
    "two lengths, in other letters": post(b"content-length: 5", b"CONTENT-LENGTH: 6", body=b"a=bcde"),
    "length with a parameter": post(b"Content-Length: 5;q=1", body=b"a=bcd"),
    "length with a fraction": post(b"Content-Length: 5.0", body=b"a=bcd"),
    "length in other digits": post("Content-Length: ５".encode(), body=b"a=bcd"),
    "coding after a comma": post(b"Transfer-Encoding: , chunked", body=b"0\r\n\r\n"),
    "coding before a comma": post(b"Transfer-Encoding: chunked,", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "coding with a parameter": post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"),
    "no coding": post(b"Transfer-Encoding:", body=b"0\r\n\r\n"),
    "coding that begins alike": post(b"Transfer-Encoding: chunkedx", body=b"0\r\n\r\n"),
    "both lengths, one in HTTP/1.0": post(
        b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", line=b"POST /events HTTP/1.0"
    ),
    "line of one space": post(b" "),
    "line of one space before the end": post(b"X: a\r\n "),
    "two hosts, in other letters": b"GET /events HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n",
    "two hosts in a line": b"GET /events HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "host with a space": b"GET /events HTTP/1.1\r\nHost: a b\r\n\r\n",
    "absolute form without a host": b"GET http://a/events HTTP/1.1\r\n\r\n",
    "PROXY protocol": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /events HTTP/1.1\r\nHost: a\r\n\r\n",
    "CR as the only line end": b"GET /events HTTP/1.1\rHost: a\r\r\n\r\n",
    "line separator of Unicode in the URL": "GET /events?\u2028 HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
}
# Every chunk but the valid ones, which must not be taken for what they are not.
CHUNKS = {
    "size with a sign": b"+5\r\na=bcd\r\n0\r\n\r\n",
    "negative size": b"-1\r\n\r\n0\r\n\r\n",
    "hexadecimal prefix": b"0x5\r\na=bcd\r\n0\r\n\r\n",
    "space before the size": b" 5\r\na=bcd\r\n0\r\n\r\n",
    "size above 64 bits": b"fffffffffffffffff\r\na=bcd\r\n0\r\n\r\n",
    "size too small": b"4\r\na=bcd\r\n0\r\n\r\n",
    "size too large": b"6\r\na=bcd\r\n0\r\n\r\n",
    "LF after the size": b"5\na=bcd\r\n0\r\n\r\n",
    "LF after the data": b"5\r\na=bcd\n0\r\n\r\n",
    "LF in an extension": b"5;a\nb\r\na=bcd\r\n0\r\n\r\n",
    "CR in an extension": b"5;a\rb\r\na=bcd\r\n0\r\n\r\n",
    "no size": b"\r\na=bcd\r\n0\r\n\r\n",
    "not a number": b"x\r\na=bcd\r\n0\r\n\r\n",
    "number and other bytes": b"5x\r\na=bcd\r\n0\r\n\r\n",
    "size with an underscore": b"0_5\r\na=bcd\r\n0\r\n\r\n",
    "line end in a quoted extension": b'5;a="\r\nb"\r\na=bcd\r\n0\r\n\r\n',
    "data without its end": b"5\r\na=bcd0\r\n\r\n",
    "CR after the data": b"5\r\na=bcd\r0\r\n\r\n",
    "size of 2^64 + 5": b"10000000000000005\r\na=bcd\r\n0\r\n\r\n",
    "trailer without a colon": b"5\r\na=bcd\r\n0\r\nfoo\r\n\r\n",
    "trailer with NUL": b"5\r\na=bcd\r\n0\r\nX: a\0b\r\n\r\n",
}


def is_refused(got, *others):
    """One answer, which is a refusal; the connection is closed, and nothing behind it is answered."""
    assert len(statuses(got)) == 1, got
    assert statuses(got)[0] in (400, 413, 501, 505, 417, *others), got
    assert b"\r\nConnection: close\r\n" in got
    assert got.endswith(b"\n") and got.partition(b"\r\n\r\n")[2].count(b"\n") == 1
    return statuses(got)[0]


@pytest.mark.parametrize("sent", SMUGGLED.values(), ids=SMUGGLED)
def test_smuggling(server, sent):  # noqa: F811
    is_refused(server.raw(sent + SECOND))
    assert server.page("health").head.status == 200


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_malformed_chunks(server, chunks):  # noqa: F811
    sent = post(b"Transfer-Encoding: chunked", b"Content-Type: application/x-www-form-urlencoded", body=chunks)
    is_refused(server.raw(sent + SECOND))


def test_nothing_is_read_behind_chunks(server):  # noqa: F811
    """Chunks, trailers and extensions are read, and the connection then closes."""
    body = b'11;x=y\r\n{"format":"json"}\r\n0\r\nContent-Length: 5\r\nHost: b\r\n\r\n'
    got = server.raw(post(b"Transfer-Encoding: chunked", b"Content-Type: application/json", body=body) + SECOND)
    # llhttp 9 refuses a Content-Length among the trailers.
    assert statuses(got) in ([200], [400]) and b"Connection: close" in got


@pytest.mark.parametrize("method", (b"GET", b"HEAD", b"OPTIONS", b"POST", b"DELETE"))
@pytest.mark.parametrize("target", (b"/events?channel=", b"/x", b"/events?format=json"))
@pytest.mark.parametrize("fields", (b"", b"Expect: 100-continue\r\n", b"Connection: Content-Length\r\n"))
def test_body_is_no_request(server, method, target, fields):  # noqa: F811
    """What does not read a body skips it (CL.0), whatever the method, and the next request is answered."""
    head = method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n" + fields
    got = server.raw(head + b"Content-Length: %d\r\n\r\n" % len(SECOND) + SECOND + b"GET /last HTTP/1.1\r\n" + LAST)
    found = [status for status in statuses(got) if status != 100]
    assert len(found) == 2 and found[1] == 404, got


@pytest.mark.parametrize("method", (b"GET", b"HEAD", b"OPTIONS", b"DELETE"))
def test_body_in_chunks_is_no_request(server, method):  # noqa: F811
    """As above (TE.0); the connection closes."""
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SECOND), SECOND)
    got = server.raw(method + b" /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + SECOND)
    assert len(statuses(got)) == 1 and b"Connection: close" in got, got


@pytest.mark.parametrize("name", (b"Content_Length: 5", b"Content-Length_: 5", b"X-Content-Length: 5"))
def test_similar_name_is_no_length(server, name):  # noqa: F811
    got = server.raw(b"GET /x HTTP/1.1\r\nHost: a\r\n" + name + b"\r\n\r\nGET /y HTTP/1.1\r\n" + LAST)
    assert statuses(got) == [404, 404]


@pytest.mark.parametrize("coding", (b"chunked", b"Chunked", b" \tchunked"))
def test_coding_with_white_space_around(server, coding):  # noqa: F811
    """RFC 9110, section 5.5: it is no part of the value."""
    body = b'11\r\n{"format":"json"}\r\n0\r\n\r\n'
    got = server.raw(post(b"Transfer-Encoding:" + coding, b"Content-Type: application/json", body=body) + SECOND)
    assert statuses(got) == [200]


def test_an_upgrade_is_ignored(server):  # noqa: F811
    fields = b"Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
    got = server.raw(b"GET /x HTTP/1.1\r\n" + fields + SECOND)
    assert statuses(got) == [404]


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x01\x01\x00\x01\x00\x08\x00\x00", b"\0", b"\r\n\x16\x03\x01"],
    ids=["TLS", "FastCGI", "NUL", "TLS after an empty line"],
)
def test_tls_and_fastcgi_are_refused_without_waiting_for_a_head(server, sent):  # noqa: F811
    """They wait for an answer, which would only come with the time limit (408)."""
    got = server.raw(sent)
    assert statuses(got) == [400]
    assert b"neither TLS (https://) nor FastCGI" in got


# Limits.


@pytest.mark.parametrize(
    "sent, status",
    (
        (b"GET /events?a=" + b"a" * 50_000 + b" HTTP/1.1\r\n" + LAST, 414),
        (b"GET /events HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n" + LAST, 431),
        (b"GET /events HTTP/1.1\r\n" + b"X: a\r\n" * 300 + LAST, 431),
        (b"GET /events HTTP/1.1\r\n" + b"X" * 70_000, 431),
        (b"G" * 70_000, 431),
        (post(b"Content-Length: 65537"), 413),
        (post(b"Content-Length: 9999999999"), 413),
        (post(b"Transfer-Encoding: chunked", body=b"11000\r\n" + b"a" * 0x11000), 413),
        (post(b"Transfer-Encoding: chunked", body=b"1;" + b"a" * 300_000), 413),
        (post(b"Transfer-Encoding: chunked", body=b"1\r\na\r\n" * 66_000), 413),
    ),
    ids=map(str, range(10)),
)
def test_limits(server, sent, status):  # noqa: F811
    assert is_refused(server.raw(sent), 414, 431) == status
    assert server.page("health").head.status == 200


def test_expected_body_that_is_too_large_is_refused_before_it_comes(server):  # noqa: F811
    got = server.raw(post(b"Content-Length: 70000", b"Expect: 100-continue"))
    assert statuses(got) == [413]


# Slow clients.


@pytest.mark.parametrize(
    "sent", (b"GET /events HTTP/1.1\r\nHo", post(b"Content-Length: 100", body=b"a")), ids=("head", "body")
)
def test_slow_request(server, sent):  # noqa: F811
    """One more byte every second does not help: the request as a whole has ten seconds."""
    with stream.connect(server.web) as peer:
        peer.sendall(sent)
        began = time.monotonic()
        peer.settimeout(1)
        got = b""
        while time.monotonic() - began < 20 and not got:
            try:
                got = peer.recv(65536)
            except socket.timeout:
                peer.sendall(b"a")
        assert statuses(got) == [408]
        assert time.monotonic() - began > 5


def test_silent_connections_do_not_disturb_others(server, log):  # noqa: F811
    """A hundred open connections without a request; a stream is still served at once."""
    silent = [stream.connect(server.web) for _ in range(100)]
    opened = server.follow()
    row = log.insert("in time")
    assert opened.next_row().last_event_id == str(row)
    for peer in silent:
        peer.close()


def test_client_that_takes_no_answer(server, log):  # noqa: F811
    """rowtail does not wait in vain for a client that sends requests and reads nothing."""
    with stream.connect(server.web) as peer:
        peer.setblocking(False)
        try:
            for _ in range(2000):
                peer.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        except (BlockingIOError, ConnectionError):
            pass
        opened = server.follow()
        row = log.insert("in time")
        assert opened.next_row().last_event_id == str(row)
