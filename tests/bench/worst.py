"""What one client's request, or one row, costs everyone: how late rows reach a live stream meanwhile.

A case is a prepared log, and a client that keeps sending requests from a separate process.
"""

import base64
import json
import multiprocessing
import os
import pathlib
import socket
import time

import fcgi
import gateway
import rig
from database import Database

MIB = 1 << 20
FORM = "application/x-www-form-urlencoded"
DEEP = "&".join(f"channel=news/{i:03}/" + "/".join("a" * 120) for i in range(100))
NESTED = "&".join("channel=" + "a/" * depth + "*" for depth in range(1, 11))
CASES = {}


class Case:
    """prepare(log, directory) returns options for rowtail; the client calls ask(address) over and over."""

    def __init__(self, title, ask, prepare=lambda log, directory: []):
        self.title, self.ask, self.prepare = title, ask, prepare


def case(title, prepare=lambda log, directory: []):
    """Adds a function, the client's action, as a case."""

    def enter(ask):
        CASES[ask.__name__] = Case(title, ask, prepare)
        return ask

    return enter


def at_once(address, count, query="", **how):
    """Sends so many requests at once, and reads each answer's first bytes."""
    peers = [fcgi.Connection(address).ask(query, **how) for _ in range(count)]
    for peer in peers:
        peer.wait_head()
    for peer in peers:
        peer.close()


def follow(address, query, rows):
    """Follows one stream until it has so many rows."""
    peer = fcgi.Connection(address).ask(query)
    peer.wait_rows(rows)
    peer.close()


@case("no other request")
def nothing(_address):
    time.sleep(0.1)


@case("100 channels of 122 levels")
def deep(address):
    at_once(address, 1, method="POST", body=DEEP.encode(), content_type=FORM)


@case("160 of these requests at once")
def deep_crowd(address):
    at_once(address, 160, method="POST", body=DEEP.encode(), content_type=FORM)


def many_rows(log, _directory):
    numbers = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000)"
    log.sql(f"{numbers} INSERT INTO events(channel, data) SELECT 'often/' || (i % 7), i FROM n")
    log.sql("INSERT INTO events(channel) VALUES ('rare/1')")
    return []


@case("200 new streams on a rare pattern", many_rows)
def rare_pattern(address):
    at_once(address, 200, "channel=rare/*&channel=often/x/*&tail=10")


def row_of(text):
    """A log with a row of 10 MiB of this text, in the channel "large"."""

    def prepare(log, _directory):
        log.sql("INSERT INTO events(channel, data) VALUES ('large', ?)", text * (10 * MIB))
        return []

    return prepare


@case("10 MiB of quotes in an envelope", row_of('"'))
def quotes(address):
    follow(address, "channel=large&envelope=json&last_event_id=0", 1)


@case("10 MiB of line breaks", row_of("\n"))
def line_breaks(address):
    follow(address, "channel=large&last_event_id=0", 1)


def ill_formed_row(log, _directory):
    log.sql(
        f"INSERT INTO events(channel, data) SELECT 'large',"
        f" CAST(replace(hex(zeroblob({5 * MIB})), '0', CAST(x'ff' AS TEXT)) AS TEXT)"
    )
    return []


@case("10 MiB of ill-formed UTF-8", ill_formed_row)
def ill_formed(address):
    follow(address, "channel=large&last_event_id=0", 1)


def with_a_key(_log, directory):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = pathlib.Path(directory) / "key.pem"
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    key.write_bytes(public.public_bytes(serialization.Encoding.PEM, form))
    return ["--jwt-key", key, "--jwt-algorithm", "ES256"]


def forged():
    """A JWT whose signature is wrong."""
    parts = json.dumps({"alg": "ES256"}), json.dumps({"sub": "a", "exp": 9999999999}), os.urandom(64)
    texts = [part.encode() if isinstance(part, str) else part for part in parts]
    return ".".join(base64.urlsafe_b64encode(text).decode().rstrip("=") for text in texts)


@case("forged JWTs from many addresses", with_a_key)
def jwts(address):
    for _ in range(50):
        addr = "10." + ".".join(str(byte) for byte in os.urandom(3))
        at_once(address, 1, addr=addr, headers={"Authorization": f"Bearer {forged()}"})


def many_marks(log, _directory):
    numbers = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9900)"
    for channel in "'x'", "'a/a/a/a/a/a/a/a/a/a/' || i":
        log.sql(f"{numbers} INSERT INTO events(channel) SELECT {channel} FROM n")
    log.sql("DELETE FROM events WHERE channel <> 'x'")
    return []


@case("ten patterns over 9,900 pruned channels", many_marks)
def pruned(address):
    follow(address, f"{NESTED}&channel=x&last_event_id=0", 1000)


def large_rows(log, _directory):
    for number in range(5):
        log.sql("INSERT INTO events(channel, data) VALUES (?, ?)", f"large/{number}", "x" * (10 * MIB))
    return []


@case("five slow readers in 10 MiB each", large_rows)
def slow_readers(address):
    sockets = []
    for number in range(5):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(str(address))
        params = gateway.params(f"channel=large/{number}&last_event_id=0")
        peer.sendall(fcgi.request(params, b"", request_id=1, flags=0, chunk=65535, padding=0))
        sockets.append(peer)
    for _ in range(100):
        for peer in sockets:
            peer.recv(65536)
        time.sleep(0.001)
    for peer in sockets:
        peer.close()


def _ask_on(ask, address):
    while True:
        ask(address)


def waits(stack, one, seconds):
    """While the client asks: the ms from each INSERT to the row's arrival on a live stream, sorted."""
    client = multiprocessing.get_context("fork").Process(
        target=_ask_on, args=(one.ask, stack.socket), daemon=True
    )
    waited = []
    with Database(stack.directory / "events.db") as log:
        live = fcgi.Connection(stack.socket).ask("channel=live")
        live.wait_head()
        client.start()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.monotonic()
            log.insert("row", channel="live")
            live.wait_rows(len(waited) + 1)
            waited.append((time.monotonic() - began) * 1e3)
        failed = client.exitcode
        client.kill()
        client.join()
        live.close()
    if failed is not None:
        raise rig.Failure(f"the client of the case {one.title!r} has ended")
    return sorted(waited)
