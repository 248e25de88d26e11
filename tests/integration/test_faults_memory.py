"""Out of memory: rowtail never crashes or hangs; it refuses, ends streams, or serves.

At the start each allocation fails in turn, in a run of its own; see tests/faults/memory.c.
"""

import base64
import concurrent.futures
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import random
import re
import resource
import subprocess
import time

import pyjwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import cgiprogram
import database
import faults
import full
import rowtail
import stream

STATUSES = (0, os.EX_USAGE, os.EX_NOINPUT, os.EX_OSERR, os.EX_CONFIG)
# Of the first EACH allocations, one in FIRST fails, and of the others, one in SPREAD; others each time.
EACH = 200
FIRST = 1 if full.FULL else 3
SPREAD = 29 if full.FULL else 87
KEY = "thirty-two or more bytes, which nobody would guess"
AT_ONCE = 4
PATIENCE = 15  # seconds

pytestmark = pytest.mark.skipif(
    "rowtail-san" in rowtail.BINARY.name, reason="a sanitizer has an allocator of its own"
)


@pytest.fixture
def filled(log):
    """A log with three rows, and a CONFIG file with every setting that takes memory."""
    log.insert_many(3)
    key, conf = log.path.with_name("key"), log.path.with_name("rowtail.conf")
    key.write_text(KEY)
    lines = {
        "db": log.path,
        "jwt-key": key,
        "jwt-algorithm": "HS256",
        "jwt-audience": "rowtail",
        "allow-origin": "https://a.example https://b.example",
        "max-streams-per-client": 5,
    }
    conf.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
    return log


def options(log):
    """Options: half from the command line, half from the CONFIG file."""
    return ["--allow-query-token", "--retry", 100, log.path.with_name("rowtail.conf")]


def end(process):
    """Ends the process if it runs; returns its exit status."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def assert_ended_well(status, said):
    """Asserts a documented exit status, and a message if it is not 0."""
    assert status in STATUSES, f"{status}: {said}"
    assert status == 0 or len(said.split()) >= 3, f"{status}: {said!r}"


def check(memory, log):
    """Runs rowtail --check, which says whether it can serve."""
    done = rowtail.run("--check", *options(log), env=memory.env, timeout=PATIENCE)
    assert_ended_well(done.returncode, done.stdout + done.stderr)
    if done.returncode == 0:
        assert "rowtail can serve" in done.stdout


def ask(memory, log):
    """A CGI request: it gets the rows, a complete answer, or a message and a status."""
    program = cgiprogram.Program(options(log), "since=0", env=memory.env)
    try:
        program.wait(lambda: program.eof or len(program.rows) == 3, timeout=PATIENCE)
        assert [event.data for event in program.rows] == ["row 1", "row 2", "row 3"][
            : len(program.rows)
        ]
        status = end(program.process)
        said = program.process.stderr.read().decode()
        assert_ended_well(status, said)
        if status == 0:
            assert program.head.get("Content-Type") == "text/event-stream", program.describe()
            assert len(program.parser.retries) == 1, program.describe()
            assert program.events or program.parser.comments, program.describe()
    finally:
        program.cleanup()


def start(memory, log):
    """A FastCGI start: it serves, or exits with a status and a message."""
    server = rowtail.Rowtail(log.path.parent, options(log), env=memory.env)
    server.start(wait=False)
    deadline = time.monotonic() + PATIENCE
    while server.process.poll() is None and "follows" not in server.stderr:
        assert time.monotonic() < deadline, "neither up nor ended"
        time.sleep(0.005)
    if server.process.poll() is None:
        memory.stop()
        rows = server.open(last_event_id=0).wait_rows(3)
        assert [event.data for event in rows] == ["row 1", "row 2", "row 3"]
        server.close_streams()
    assert_ended_well(end(server.process), server.stderr)


def numbers_of(count, each, spread):
    """Which of so many allocations fail; a few more, since runs differ slightly."""
    first = [*range(1 + random.randrange(FIRST), min(count, each) + 1, FIRST)]
    return [*first, *range(each + 1 + random.randrange(spread), count + count // 10, spread)]


def assert_most_failed(hits):
    """Asserts that the planned failures happened, except perhaps a few at the end."""
    assert sum(hits) * 2 >= len(hits), f"{sum(hits)} of {len(hits)}"


def count_allocations(how, log):
    """Counts the allocations of a run without failures, on this machine."""
    memory = faults.Memory(log.path.parent, f"{how.__name__}-count")
    memory.count()
    how(memory, log)
    assert memory.hits > 0
    return memory.hits


def attempt(how, log, number, last):
    """One run; returns whether an allocation failed."""
    memory = faults.Memory(log.path.parent, f"{how.__name__}-{number}")
    memory.plan(number, last)
    try:
        how(memory, log)
    except Exception as failure:
        raise AssertionError(f"allocation {number} to {last}: {failure}") from failure
    return memory.hits > 0


def run_all(how, log, numbers, forever):
    """Runs one attempt for each number."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        tries = [
            pool.submit(attempt, how, log, number, -1 if forever else number) for number in numbers
        ]
        assert_most_failed([one.result() for one in tries])


@pytest.mark.parametrize("how", [check, ask, start], ids=lambda how: how.__name__)
def test_each_allocation_fails(filled, how):
    count = count_allocations(how, filled)
    run_all(how, filled, numbers_of(count, EACH, SPREAD), forever=False)


@pytest.mark.parametrize("how", [check, ask, start], ids=lambda how: how.__name__)
def test_all_allocations_fail_from_one_on(filled, how):
    count = count_allocations(how, filled)
    run_all(how, filled, numbers_of(count, 20, 3 * SPREAD), forever=True)


# A server that runs.

QUERIES = ["", "envelope=json", "channel=*", "channel=a&channel=default", "event=message"]


class Reader:
    """A client that reconnects at its position whenever its stream ends."""

    def __init__(self, server, query):
        self.server, self.query = server, query
        self.ids = []
        self.position = "0"
        self.peer = None

    def keep(self):
        """Reads what has arrived; reconnects after a refusal or an end."""
        if self.peer is None:
            self.peer = self.server.connect(self.position)
            try:
                self.peer.ask(self.query, headers={"Last-Event-ID": self.position})
            except BrokenPipeError:
                return self.leave()
        self.peer.drain()
        if self.peer.eof:
            self.leave()

    def leave(self):
        assert "gap" not in [event.type for event in self.peer.events]
        if self.peer.head:
            assert self.peer.head.status == 200, self.peer.describe()
        self.ids += self.peer.ids
        self.position = self.peer.parser.last_event_id
        self.peer.close()
        self.peer = None

    def has(self, newest):
        self.keep()
        return newest in (self.peer.ids if self.peer else self.ids)


def keep_all(readers, log, seconds):
    """Publishes and reads rows for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        log.insert("x" * 300, channel=log.newest() % 7 == 3 and "a" or None)
        for reader in readers:
            reader.keep()
        time.sleep(0.01)


@pytest.fixture
def wide(workdir):
    """A log in UTF-16: SQLite converts every text, which takes memory."""
    path = workdir / "wide.db"
    with database.Database(path) as made:
        made.sql("PRAGMA encoding = 'UTF-16le'")
        made.sql("PRAGMA journal_mode = WAL")
        made.sql(
            "CREATE TABLE events(id INTEGER PRIMARY KEY AUTOINCREMENT, "
            "channel TEXT NOT NULL DEFAULT 'default', event TEXT, data TEXT, retry INTEGER)"
        )
        made.sql("CREATE TABLE grants(subject TEXT, channel TEXT, expires_at TEXT)")
        made.grant("*", "*")
        yield made


@pytest.mark.parametrize("every", [1, 2, 3, 7, 31, 211])
@pytest.mark.parametrize("which", ["log", "wide"])
def test_memory_is_short_for_a_while(launch, request, workdir, which, every):
    log = request.getfixturevalue(which)
    memory = faults.Memory(workdir)
    server = launch("--heartbeat", 1, "--retry", 1, db=log, env=memory.env)
    readers = [Reader(server, query) for query in QUERIES * 4]
    keep_all(readers, log, 0.5)
    memory.plan(1, -1, every)
    keep_all(readers, log, 1.5)
    for query in QUERIES:
        late = Reader(server, query)
        readers.append(late)
        keep_all([late], log, 0.05)
    crowd = [Reader(server, "") for _ in range(150)]
    keep_all(crowd, log, 0.05)
    memory.stop()
    assert memory.hits > 0
    for reader in crowd:
        if reader.peer:
            reader.leave()
    newest = log.insert("the end")
    deadline = time.monotonic() + stream.DEADLINE
    while not all([reader.has(newest) for reader in readers]):
        assert time.monotonic() < deadline, server.stderr
        time.sleep(0.01)
    server.serves(log)
    for reader in readers:
        reader.leave()
        wanted = "IN ('a', 'default')" if "channel=a" in reader.query else "= 'default'"
        rows = log.sql(f"SELECT id FROM events WHERE id <= ? AND channel {wanted}", newest)
        if "*" in reader.query:
            rows = log.sql("SELECT id FROM events WHERE id <= ?", newest)
        expected = [id for (id,) in rows]
        assert [id for id in reader.ids if id <= newest] == sorted(expected), reader.query
    assert len(server.lines_but_ends()) < 100


def test_out_of_memory_is_not_reported_as_too_large(launch, log, workdir):
    """413 would be wrong, and would end an EventSource for good."""
    memory = faults.Memory(workdir)
    server = launch(env=memory.env)

    def ask(plan):
        with server.connect() as peer:
            server.wait_metric(0, "rowtail_streams")
            plan()
            peer.ask(headers={"Cookie": "x" * 9000})
            peer.wait(lambda: peer.eof or peer.head)
            assert peer.head is None or peer.head.status == 200, plan
            memory.stop()
        return memory.hits

    count = [ask(memory.count) for _ in range(2)][-1]
    numbers = numbers_of(count, EACH, SPREAD)
    assert_most_failed([ask(lambda n=number: memory.plan(n, n)) > 0 for number in numbers])
    server.serves(log)


def address_space(server):
    """The address space in use, in bytes, which RLIMIT_AS limits."""
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(r"VmSize:\s+(\d+)", status)[1]) << 10


def test_the_address_space_is_full(launch, log):
    """Thousands connect while the process cannot grow by a page: open streams stay."""
    server = launch("--heartbeat", 1)
    readers = [Reader(server, query) for query in QUERIES * 4]
    keep_all(readers, log, 0.3)
    size = address_space(server)
    resource.prlimit(server.pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
    crowd = [Reader(server, f"channel={'n' * 200}{number}") for number in range(3000)]
    keep_all(crowd, log, 0.1)
    keep_all(readers, log, 0.3)
    refused = sum(reader.peer is None for reader in crowd)
    resource.prlimit(server.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    assert refused > 0
    for reader in crowd:
        if reader.peer:
            reader.peer.close()
    newest = log.insert("the end")
    deadline = time.monotonic() + stream.DEADLINE
    while not all([reader.has(newest) for reader in readers]):
        assert time.monotonic() < deadline, server.stderr
        time.sleep(0.01)
    server.serves(log)


def signed(claims):
    """A JWT that KEY has signed."""

    def part(content):
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    text = b".".join(part(json.dumps(one).encode()) for one in ({"alg": "HS256"}, claims))
    mac = hmac.new(KEY.encode(), text, hashlib.sha256).digest()
    return (text + b"." + part(mac)).decode()


CLAIMS = {"exp": 4102444800, "aud": "rowtail", "sub": "eve", "channels": ["secret/*", "other"]}
REQUESTS = {
    "jwt": {"headers": {"Authorization": "Bearer " + signed(CLAIMS)}},
    "jwt in a cookie": {"headers": {"Cookie": "a=b; rowtail_token=" + signed(CLAIMS)}},
    "token": {"headers": {"Authorization": "Bearer good"}},
    "user": {"user": "ann"},
    "json": {
        "user": "ann",
        "method": "POST",
        "content_type": "application/json",
        "body": b'{"channel":["secret/1","secret/2"],"since":0}',
    },
}


def assert_served_or_told_to_come_back(peer, what):
    """Not refused, which would end an EventSource for good. If there is no answer, the web server sends one."""
    # A refusal is there before its end, which rowtail holds back for a second.
    peer.wait(lambda: peer.eof or peer.rows or (peer.head and peer.parser.retries and peer.parser.comments))
    if peer.head is None:
        return
    assert peer.head.status == 200, f"{what}: {peer.describe()}"
    if not peer.rows and peer.end:
        assert len(peer.parser.retries) == 1, f"{what}: {peer.describe()}"


def ask_while_each_allocation_fails(memory, server, how):
    """Sends the same request again and again, with another allocation failing each time."""

    def ask(plan, what):
        plan()
        with server.connect() as peer, contextlib.suppress(BrokenPipeError):
            peer.ask(**how)
            assert_served_or_told_to_come_back(peer, what)
        memory.stop()
        return memory.hits

    count = [ask(memory.count, "none fails") for _ in range(2)][-1]
    assert count > 0
    hits = [
        ask(lambda n=number: memory.plan(n, n), f"allocation {number}") > 0
        for number in numbers_of(count, EACH, SPREAD)
    ]
    assert_most_failed(hits)
    assert server.ask(**how).next_row().data == "for few"


@pytest.mark.parametrize("name", REQUESTS)
def test_each_allocation_fails_for_an_authorized_client(launch, filled, workdir, name):
    """Low memory never leads to "token not valid" or "channel not granted"."""
    filled.sql("DELETE FROM grants")
    filled.grant("user:ann", "secret/*")
    filled.grant("token:" + hashlib.sha256(b"good").hexdigest(), "*")
    filled.insert("for few", channel="secret/1")
    memory = faults.Memory(workdir)
    server = launch(*options(filled), db=None, env=memory.env)
    how = {"query": "channel=secret/1&channel=secret/2&since=0", **REQUESTS[name]}
    if "body" in how:
        how["query"] = ""
    ask_while_each_allocation_fails(memory, server, how)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_each_allocation_fails_during_signature_verification(launch, filled, workdir, algorithm):
    keys = {
        "RS256": lambda: rsa.generate_private_key(65537, 2048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }
    key, pem = keys[algorithm](), workdir / "key.pem"
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    pem.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, kind))
    filled.insert("for few", channel="secret/1")
    filled.sql("DELETE FROM grants")
    memory = faults.Memory(workdir)
    server = launch("--jwt-key", pem, "--jwt-algorithm", algorithm, env=memory.env)
    token = pyjwt.encode(CLAIMS, key, algorithm)
    headers = {"Authorization": f"Bearer {token}"}
    how = {"query": "channel=secret/1&since=0", "headers": headers}
    ask_while_each_allocation_fails(memory, server, how)


def insert_under_open_streams(launch, log, memory, plan, what):
    """Inserts rows of other channels under a fault plan, then one for all. Returns how many allocations failed."""
    server = launch("--poll", 20, "--heartbeat", 3600, db=log, env=memory.env)
    since = log.newest()
    readers = [Reader(server, query) for query in ("event=message", "channel=*")]
    for reader in readers:
        reader.position = str(since)
        reader.keep()
        reader.peer.wait_head()
    plan()
    log.insert("private", channel="a-channel-with-a-rather-long-name")
    newest = log.insert("other", event="a-type-with-a-rather-long-name-as-well")
    # With enough memory they arrive soon; without it, there is time enough for the failures.
    until = time.monotonic() + 0.3
    while time.monotonic() < until and not readers[1].has(newest):
        time.sleep(0.005)
    memory.stop()
    newest = log.insert("for all")
    deadline = time.monotonic() + PATIENCE
    while not all([reader.has(newest) for reader in readers]):
        assert time.monotonic() < deadline, f"{what}: {server.stderr}"
        time.sleep(0.005)
    for reader in readers:
        reader.leave()
    assert readers[0].ids == [newest], what
    assert readers[1].ids == [newest - 2, newest - 1, newest], what
    server.stop()
    return memory.hits


@pytest.mark.parametrize("which", ["log", "wide"])
def test_each_allocation_fails_while_streams_are_open(launch, request, workdir, which):
    """No row is skipped, and none is taken for another channel or type because its name found no memory."""
    log = request.getfixturevalue(which)
    memory = faults.Memory(workdir)

    def insert(plan, what):
        return insert_under_open_streams(launch, log, memory, plan, what)

    count = insert(memory.count, "none fails")
    assert count > 0
    hits = [
        insert(lambda n=number: memory.plan(n, n), f"allocation {number}") > 0
        for number in range(1, count + 1)
    ]
    assert_most_failed(hits)
