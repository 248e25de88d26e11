"""The static program in a root directory that holds nothing but it and the database."""

import base64
import hashlib
import hmac
import json
import os
import stat
import subprocess
import time

import pytest

import ports
import pyjwt
import rowtail
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture(params=["this kernel", "Linux 3.2"])
def kernel(request, jail):
    """Also with the system calls of the oldest kernel that the README names."""
    if request.param == "Linux 3.2":
        jail.enter_more = request.getfixturevalue("old_kernel")
        jail.outside("/dev").mkdir()
        try:
            os.mknod(jail.outside("/dev/urandom"), stat.S_IFCHR | 0o444, os.makedev(1, 9))
            open(jail.outside("/dev/urandom"), "rb").close()
        except PermissionError:
            pytest.skip("may not make a device here")


def run(jail, *arguments):
    return subprocess.run(
        [jail.program, *arguments],
        env=rowtail.environment(),
        stdin=subprocess.DEVNULL,
        preexec_fn=jail.enter,
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_fastcgi(kernel, jailed, jailed_log):
    server = jailed()
    server.serves(jailed_log)
    # Rows inserted later arrive too, and so does a client's position.
    with server.open() as peer:
        row = jailed_log.insert("a row")
        assert peer.next_row().last_event_id == str(row)


def test_no_random_numbers_on_an_old_kernel(jail, old_kernel):
    jail.enter_more = old_kernel
    done = run(jail, "--db", jail.db, "--listen", "/data/s")
    assert done.returncode > 0
    assert "/dev/urandom" in done.stderr


def test_cgi(kernel, jailed_cgi, jailed_log):
    jailed_log.insert("early")
    program = jailed_cgi("last_event_id=0")
    assert program.next_row().data == "early"
    jailed_log.insert("late")
    assert program.next_row().data == "late"


def test_cgi_with_a_json_body(kernel, jailed_cgi, jailed_log):
    jailed_log.insert("one", channel="a")
    body = json.dumps({"channel": ["a", "b"], "last_event_id": 0}).encode()
    program = jailed_cgi(method="POST", content_type="application/json", body=body)
    assert program.next_row().data == "one"


def test_check(kernel, jail, jailed_log):
    done = run(jail, "--check", "--db", jail.db, "--listen", "/data/s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rowtail can serve." in done.stdout


def test_check_names_what_is_missing(kernel, jail):
    done = run(jail, "--check", "--db", "/data/other.db")
    assert done.returncode == 66
    assert "/data/other.db" in done.stdout + done.stderr


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version(kernel, jail, option):
    done = run(jail, option)
    assert done.returncode == 0
    assert "rowtail" in done.stdout


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", ""])
def test_tcp(jail, launch, jailed_log, address):
    port = ports.free_port()
    server = launch(
        *["--db", jail.db, "--listen", f"{address}:{port}"],
        db=None,
        how=None,
        program=jail.program,
        prepare=jail.enter,
        address=("127.0.0.1", port),
    )
    server.serves(jailed_log)


def make_key(algorithm):
    if algorithm == "HS256":
        return SECRET, SECRET
    made = {
        "RS256": lambda: rsa.generate_private_key(65537, 2048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }[algorithm]()
    private = made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = made.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def part(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def forgeries(token, public):
    """A changed signature, no algorithm, and the public key as the secret of an HMAC."""
    head, payload, signature = token.split(".")
    yield f"{head}.{payload}.{signature[:-6]}AAAAAA"
    yield part(b'{"alg":"none"}').decode() + f".{payload}."
    text = part(b'{"alg":"HS256"}') + b"." + payload.encode()
    # Where the algorithm is HS256, another secret.
    secret = public.replace(b"0", b"1") if public == SECRET else public
    yield (text + b"." + part(hmac.new(secret, text, hashlib.sha256).digest())).decode()


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
def test_jwt(kernel, jail, jailed, jailed_log, algorithm):
    private, public = make_key(algorithm)
    jailed_log.sql("DELETE FROM grants")
    jail.outside("/key").write_bytes(public)
    server = jailed("--jwt-key", "/key", "--jwt-algorithm", algorithm)
    claims = {"sub": "ann", "exp": int(time.time()) + 600, "channels": ["orders"]}
    token = pyjwt.encode(claims, private, algorithm)

    def status(token):
        with server.ask("channel=orders", headers={"Authorization": "Bearer " + token}) as peer:
            return peer.wait_head().head.status

    assert status(token) == 200
    assert [status(forged) for forged in forgeries(token, public)] == [401] * 3
