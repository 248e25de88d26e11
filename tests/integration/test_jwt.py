"""JWTs: which are accepted; each published way to forge one is refused."""

import base64
import hashlib
import hmac
import json
import os
import time

import pyjwt
import pytest
import rowtail
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

SECRET = b"0123456789abcdef0123456789abcdefXYZ"


def private(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


KEYS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def claims(**more):
    """The claims of a valid token; None omits a claim."""
    all = {"sub": "ann", "exp": int(time.time()) + 600, "channels": ["orders", "news/*"], **more}
    return {name: value for name, value in all.items() if value is not None}


def part(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def signed(header, payload, secret=SECRET):
    text = part(header) + b"." + part(payload)
    return (text + b"." + part(hmac.new(secret, text, hashlib.sha256).digest())).decode()


HEADER = {"alg": "HS256", "typ": "JWT"}


@pytest.fixture
def jwt_server(launch, log, workdir):
    """jwt_server("HS256", key) starts rowtail with a key; there are no other grants."""
    log.sql("DELETE FROM grants")

    def start(algorithm="HS256", key=SECRET, *options):
        path = workdir / "key"
        path.write_bytes(key)
        return launch("--jwt-key", path, "--jwt-algorithm", algorithm, "--heartbeat", 1, *options)

    return start


def status(server, token, query="channel=orders", address="192.0.2.7", **how):
    headers = {"Authorization": "Bearer " + token}
    peer = server.ask(query, headers=headers, addr=address, **how)
    peer.wait_head()
    code = peer.head.status
    peer.close()
    return code


def test_a_good_token_reads_its_channels(jwt_server):
    server = jwt_server()
    token = signed(HEADER, claims())
    assert status(server, token) == 200
    assert status(server, token, "channel=news/a&channel=orders") == 200
    assert status(server, token, "channel=orders&channel=other") == 403
    assert status(server, token, "channel=*") == 403


def test_its_subject_is_a_user(jwt_server, log):
    log.grant("user:ann", "private/ann")
    server = jwt_server()
    assert status(server, signed(HEADER, claims(channels=None)), "channel=private/ann") == 200
    assert status(server, signed(HEADER, claims(sub="bob")), "channel=private/ann") == 403
    assert status(server, signed(HEADER, claims(channels=[])), "channel=default") == 403


def test_times_with_fractions(jwt_server):
    """As Python's time.time() gives them."""
    now_s = time.time()
    token = signed(HEADER, claims(exp=now_s + 600.5, nbf=now_s - 0.5, iat=now_s))
    assert status(jwt_server(), token) == 200


@pytest.mark.parametrize("algorithm", KEYS)
def test_algorithms_with_public_keys(jwt_server, algorithm):
    key = KEYS[algorithm]
    server = jwt_server(algorithm, public(key))
    token = pyjwt.encode(claims(), private(key), algorithm)
    assert status(server, token) == 200
    head, payload, signature = token.split(".")
    changed = part(claims(channels=["*"])).decode()
    assert status(server, f"{head}.{changed}.{signature}", "channel=*") == 401
    # The public key, which anybody can know, used as an HMAC secret.
    assert status(server, signed({"alg": "HS256"}, claims(), public(key))) == 401
    assert status(server, signed({"alg": algorithm}, claims(), public(key))) == 401


def test_stream_ends_when_its_token_expires(jwt_server, log):
    server = jwt_server()
    token = signed(HEADER, claims(exp=int(time.time()) + 3))
    peer = server.open("channel=orders", headers={"Authorization": "Bearer " + token})
    log.insert("in time", channel="orders")
    assert peer.next_row().data == "in time"
    peer.wait_complete()
    assert json.loads(peer.events[-1].data) == {"reason": "expired"}
    assert status(server, token) == 401


def test_poll_that_waits_ends_when_its_token_expires(jwt_server):
    server = jwt_server()
    token = signed(HEADER, claims(exp=int(time.time()) + 2))
    headers = {"Authorization": "Bearer " + token}
    peer = server.ask("format=json&channel=orders&since=0&wait=60", headers=headers)
    answer = json.loads(peer.wait_complete().body)
    assert (answer["events"], answer["position"], answer["more"]) == ([], 0, False)
    assert server.metric("rowtail_streams_ended_total", reason="expired") == 1
    assert status(server, token, "format=json&channel=orders&since=0&wait=60") == 401


def now(offset):
    return int(time.time()) + offset


FORGED = {
    "no algorithm": lambda: part({"alg": "none"}).decode() + "." + part(claims()).decode() + ".",
    "None": lambda: signed({"alg": "None"}, claims()),
    "no header": lambda: signed({}, claims()),
    "another algorithm": lambda: pyjwt.encode(claims(), SECRET * 2, "HS512"),
    "another secret": lambda: signed(HEADER, claims(), b"x" * 40),
    "empty signature": lambda: signed(HEADER, claims()).rsplit(".", 1)[0] + ".",
    "cut signature": lambda: signed(HEADER, claims())[:-4],
    "two parts": lambda: signed(HEADER, claims()).rsplit(".", 1)[0],
    "four parts": lambda: signed(HEADER, claims()) + ".x",
    "padding": lambda: signed(HEADER, claims()) + "=",
    "crit": lambda: signed({**HEADER, "crit": ["exp"]}, claims()),
    "unencoded payload": lambda: signed({**HEADER, "b64": False}, claims()),
    "algorithm twice": lambda: signed(b'{"alg":"none","alg":"HS256"}', claims()),
    "exp twice": lambda: signed(
        HEADER, b'{"exp":1,"exp":%d,"channels":["orders"]}' % now(600)
    ),
    "no exp": lambda: signed(HEADER, claims(exp=None)),
    "exp is past": lambda: signed(HEADER, claims(exp=now(-1))),
    "exp is text": lambda: signed(HEADER, claims(exp=str(now(600)))),
    "exp is a list": lambda: signed(HEADER, claims(exp=[now(600)])),
    "exp is absurd": lambda: signed(HEADER, claims(exp=10**30)),
    "exp is negative": lambda: signed(HEADER, claims(exp=-5)),
    "nbf to come": lambda: signed(HEADER, claims(nbf=now(5))),
    "iat to come": lambda: signed(HEADER, claims(iat=now(60))),
    "channels is text": lambda: signed(HEADER, claims(channels="orders")),
    "channels of numbers": lambda: signed(HEADER, claims(channels=[1, "orders"])),
    "channels of what are none": lambda: signed(HEADER, claims(channels=["orders", "a*"])),
    "channels in channels": lambda: signed(HEADER, claims(channels=[["orders"], "orders"])),
    "sub is a number": lambda: signed(HEADER, claims(sub=1)),
    "payload is a list": lambda: signed(HEADER, b"[1]"),
    "payload is no JSON": lambda: signed(HEADER, b"{"),
    "NUL in a name": lambda: signed(HEADER, b'{"exp\\u0000":1,"exp":%d}' % now(600)),
    "deep": lambda: signed(HEADER, b'{"a":' + b"[" * 500 + b"]" * 500 + b',"exp":9999999999}'),
    "huge": lambda: signed(HEADER, claims(pad="x" * 20000)),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_tokens_are_refused(jwt_server, name):
    server = jwt_server()
    assert status(server, FORGED[name]()) == 401
    assert status(server, signed(HEADER, claims()), address="192.0.2.8") == 200


def test_expired_jwts_do_not_count_as_guesses(jwt_server):
    """A page with many tabs wakes up with an expired token: each tab must be able to get a new one."""
    server = jwt_server()
    ended = signed(HEADER, claims(exp=now(-1)))
    assert [status(server, ended) for _ in range(15)] == [401] * 15
    assert status(server, "no.jwt.atall") == 401
    # A token that only looks like a JWT is a guess like any other.
    codes = [status(server, f"guess.number.{n}", accept="*/*") for n in range(15)]
    assert codes[-1] == 429
    assert status(server, ended) == 401


def test_forged_jwts_count_as_guesses(jwt_server):
    """Verifying a signature is expensive, so nobody may request it again and again."""
    server = jwt_server()
    forged = [signed(HEADER, claims(sub=f"user {n}"))[:-4] + "AAAA" for n in range(15)]
    codes = [status(server, token, accept="*/*") for token in forged]
    assert codes[0] == 401 and codes[-1] == 429
    # A token that was valid before is checked, and so is the forged one that was counted.
    assert status(server, forged[0], accept="*/*") == 401
    assert status(server, signed(HEADER, claims()), address="192.0.2.8") == 200


def test_audience_issuer_and_leeway(jwt_server):
    server = jwt_server(
        "HS256", SECRET, "--jwt-audience", "rowtail", "--jwt-issuer", "shop", "--jwt-leeway", 30
    )
    assert status(server, signed(HEADER, claims(aud="rowtail", iss="shop"))) == 200
    assert status(server, signed(HEADER, claims(aud=["x", "rowtail"], iss="shop"))) == 200
    assert status(server, signed(HEADER, claims(aud="rowtail", iss="shop", nbf=now(20)))) == 200
    assert status(server, signed(HEADER, claims(aud="rowtail", iss="shop", exp=now(-10)))) == 200
    for wrong in {"aud": "other"}, {"aud": None}, {"iss": "other"}, {"iss": None}, {"nbf": now(90)}:
        good = {"aud": "rowtail", "iss": "shop", **wrong}
        assert status(server, signed(HEADER, claims(**good)), address="192.0.2.9") == 401


@pytest.mark.parametrize(
    "algorithm, key, exit_status, words",
    [
        ("HS256", b"short", os.EX_CONFIG, "32"),
        ("HS256", public(KEYS["RS256"]), os.EX_CONFIG, "PEM"),
        ("RS256", private(KEYS["RS256"]), os.EX_CONFIG, "private"),
        ("RS256", b"x" * 100, os.EX_CONFIG, "BEGIN PUBLIC KEY"),
        ("EdDSA", public(KEYS["RS256"]), os.EX_CONFIG, "EdDSA"),
        ("none", SECRET, os.EX_USAGE, "none"),
        ("HS256", None, os.EX_NOINPUT, "cannot be read"),
    ],
    ids=["short", "PEM", "private", "no PEM", "another kind", "algorithm", "no file"],  # keys are new in each run
)
def test_invalid_keys(log, workdir, algorithm, key, exit_status, words):
    path = workdir / "key"
    if key is not None:
        path.write_bytes(key)
    arguments = ["--db", log.path, "--listen", workdir / "s", "--jwt-key", path]
    done = rowtail.run(*arguments, "--jwt-algorithm", algorithm)
    assert done.returncode == exit_status
    assert words in done.stderr
    assert SECRET.decode() not in done.stderr
