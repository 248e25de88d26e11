"""rowtail was stopped, its machine suspended, or its clock set: no stream suffers.

Time-outs for peers continue where they were; overdue work (a heartbeat, a check of grants) is done at once.
"""

import json
import signal
import time

import pytest

import cgiprogram
import faults
import fcgi
import gateway
import stream

HOUR, YEAR = 3600, 365 * 86400
FORM = "application/x-www-form-urlencoded"
LARGE = "x" * (4 << 20)  # more than any socket takes at once
SLEEP = 2.0  # how long a process is stopped: longer than the shortest --stall-timeout
PULSE = 0.5  # within this time a running process notices that its clock jumped


@pytest.fixture
def clocks(workdir):
    return faults.Clocks(workdir)


def stop_for(server, seconds):
    server.signal(signal.SIGSTOP)
    time.sleep(seconds)
    server.signal(signal.SIGCONT)


def let_pass(clocks, seconds):
    """Lets this much time pass for a running rowtail, in jumps too short to count as a pause."""
    for _ in range(round(seconds)):
        clocks.jump(0.65)
        time.sleep(0.35)


def wait_full(server):
    """Waits until rowtail can no longer write to any client."""
    last = -1
    while (sent := server.metric("rowtail_bytes_sent_total")) - max(last, 0) > 100_000 or last < 0:
        last = sent
        time.sleep(0.05)


def assert_all_arrives(peers, log):
    """The rest of the large row, and later rows, arrive on the same connection."""
    newest = log.insert("behind")
    stream.pump_all(peers, lambda peer: newest in peer.ids, "all rows")
    for peer in peers:
        assert peer.ids == list(range(1, newest + 1))
        assert len(peer.parser.retries) == 1


# Stalls.


@pytest.mark.parametrize("reads", ["while rowtail is stopped", "when rowtail has woken"])
def test_stopped_longer_than_the_stall_timeout(launch, log, reads):
    server = launch("--stall-timeout", 1, "--heartbeat", 3600)
    peers = [server.open(query) for query in ("", "envelope=json", "channel=*")]
    log.insert(LARGE)
    wait_full(server)
    server.signal(signal.SIGSTOP)
    time.sleep(SLEEP / 2)
    if reads == "while rowtail is stopped":
        for peer in peers:
            peer.drain()
    time.sleep(SLEEP / 2)
    server.signal(signal.SIGCONT)
    assert_all_arrives(peers, log)


def test_stopped_repeatedly(launch, log):
    """Stopped much longer than the time-out in total; awake for less."""
    server = launch("--stall-timeout", 4, "--heartbeat", 3600)
    peer = server.open()
    log.insert(LARGE)
    wait_full(server)
    for _ in range(3):
        stop_for(server, 2)
        time.sleep(0.3)
    assert_all_arrives([peer], log)


@pytest.mark.parametrize("jump", [61, HOUR, YEAR])
def test_clock_jump_is_not_a_stall(launch, log, clocks, jump):
    server = launch(env=clocks.env)
    peers = [server.open(query) for query in ("", "envelope=json", "channel=*")]
    log.insert(LARGE)
    wait_full(server)
    for _ in range(3):
        clocks.jump(jump)
        time.sleep(PULSE)
    assert_all_arrives(peers, log)


def test_stalled_client_is_ended_after_a_pause(launch, log, clocks):
    server = launch("--stall-timeout", 1, "--heartbeat", 3600, env=clocks.env)
    server.open()
    log.insert(LARGE)
    wait_full(server)
    clocks.jump(HOUR)
    server.wait_metric(0, "rowtail_streams")


def test_stopped_cgi_program(log):
    options = ["--db", log.path, "--stall-timeout", 1, "--heartbeat", 3600]
    program = cgiprogram.Program(options, "since=0")
    try:
        program.next()
        log.insert(LARGE)
        time.sleep(0.3)
        stop_for(program, SLEEP)
        assert_all_arrives([program], log)
    finally:
        program.cleanup()


# Requests in progress.


@pytest.mark.parametrize("jump", [11, HOUR])
def test_partial_request_continues_after_a_pause(launch, log, clocks, jump):
    server = launch(env=clocks.env)
    whole = fcgi.request(gateway.params("since=0"))
    body = gateway.params(method="POST", content_type=FORM, body=b"channel=default")
    posted = fcgi.request(body, b"channel=default")
    halves = [(server.connect(), raw, cut) for raw in (whole, posted) for cut in (1, 30, 60, -1)]
    for peer, raw, cut in halves:
        peer.send(raw[:cut])
    for _ in range(2):
        clocks.jump(jump)
        time.sleep(PULSE)
    for peer, raw, cut in halves:
        peer.send(raw[cut:]).wait_head()
        assert peer.head.status == 200
    assert_all_arrives([peer for peer, _, _ in halves[:4]], log)


def test_rest_of_a_request_arrives_while_rowtail_is_stopped(launch, clocks):
    """The rest arrives meanwhile."""
    server = launch(env=clocks.env)
    whole = fcgi.request(gateway.params())
    peer = server.connect().send(whole[:40])
    let_pass(clocks, 8)
    server.signal(signal.SIGSTOP)
    time.sleep(SLEEP)
    peer.send(whole[40:])
    server.signal(signal.SIGCONT)
    assert peer.next().type == "position"


def test_partial_request_times_out_after_a_pause(launch, clocks):
    server = launch(env=clocks.env)
    peer = server.connect().send(fcgi.request(gateway.params())[:-8])
    clocks.jump(HOUR)
    time.sleep(PULSE)
    assert peer.drain().head is None
    let_pass(clocks, 11)
    peer.wait_head()
    assert peer.head.status == 408


@pytest.mark.parametrize("jump", [11, HOUR])
def test_partial_body_continues_after_a_pause(log, clocks, jump):
    """CGI: the remaining time was once computed below zero, which means for ever."""
    program = cgiprogram.Program(
        ["--db", log.path],
        plumbing="open",
        env=clocks.env,
        method="POST",
        content_type=FORM,
        extra={"CONTENT_LENGTH": "17"},
    )
    try:
        program.process.stdin.write(b"channel=o")
        program.process.stdin.flush()
        time.sleep(PULSE)
        clocks.jump(jump)
        time.sleep(PULSE)
        for rest in (b"rders", b"/42"):
            program.process.stdin.write(rest)
            program.process.stdin.flush()
            time.sleep(PULSE / 2)
        program.wait_head()
        assert program.head.status == 200
        log.insert("row", channel="orders/42")
        assert program.wait_rows(1)[0].data == "row"
    finally:
        program.process.stdin.close()
        program.cleanup()


# Ends.


def test_pause_during_shutdown(launch, log, clocks):
    """A client that reads its final record a little later still gets it."""
    server = launch(env=clocks.env)
    peers = [server.open() for _ in range(3)]
    log.insert(LARGE)
    wait_full(server)
    server.signal(signal.SIGTERM)
    for _ in range(3):
        clocks.jump(HOUR)
        time.sleep(PULSE)
    stream.pump_all(peers, lambda peer: peer.eof, "end")
    for peer in peers:
        assert peer.ids == [1]
        assert len(peer.parser.retries) == 2
    assert server.wait_exit(5) == 0


def test_stream_ages_stay_spread_after_a_pause(launch, log, clocks):
    """A stream's age is the time during which it was served."""
    server = launch("--max-stream-age", 600, env=clocks.env)
    peers = [server.open() for _ in range(10)]
    clocks.jump(HOUR)
    time.sleep(2 * PULSE)
    log.insert("on")
    stream.pump_all(peers, lambda peer: peer.rows)
    assert all(len(peer.parser.retries) == 1 for peer in peers)


# What is owed.


def test_heartbeat_at_once_after_a_pause(launch, clocks):
    peer = launch("--heartbeat", 3600, env=clocks.env).open()
    clocks.jump(HOUR)
    began = time.monotonic()
    peer.wait(lambda: peer.parser.comments, "heartbeat")
    assert time.monotonic() - began < 5


def test_revoked_grant_ends_its_streams_after_a_pause(launch, log, clocks):
    log.sql("DELETE FROM grants")
    log.grant("user:ann", "default")
    server = launch("--heartbeat", 1, env=clocks.env)
    peers = [server.open(user="ann") for _ in range(20)]
    time.sleep(PULSE)  # each was checked
    log.sql("DELETE FROM grants")
    clocks.jump(HOUR)
    began = time.monotonic()
    stream.pump_all(peers, lambda peer: peer.eof, "end")
    assert time.monotonic() - began < 4
    assert {json.loads(peer.events[-1].data)["reason"] for peer in peers} == {"revoked"}


def test_failed_tokens_expire_by_elapsed_time(launch, log, clocks):
    log.sql("DELETE FROM grants")
    server = launch(env=clocks.env)

    def guess():
        headers = {"Authorization": f"Bearer {time.monotonic_ns()}"}
        return server.answer(headers=headers, accept="*/*").head.status

    assert {guess() for _ in range(15)} == {401, 429}
    clocks.jump(wall=-YEAR)
    assert guess() == 429
    clocks.jump(HOUR)
    assert guess() == 401


# The wall clock.


@pytest.mark.parametrize("jump", [YEAR, -YEAR, HOUR, -HOUR])
def test_setting_the_wall_clock_ends_no_stream(launch, log, clocks, jump):
    server = launch("--stall-timeout", 5, "--max-stream-age", 600, env=clocks.env)
    peer, half = server.open(), server.connect()
    whole = fcgi.request(gateway.params())
    half.send(whole[:30])
    log.insert(LARGE)
    wait_full(server)
    clocks.jump(wall=jump)
    time.sleep(PULSE)
    half.send(whole[30:])
    assert half.next().type == "position"
    assert_all_arrives([peer], log)


def test_expiry_follows_the_wall_clock(launch, log, clocks):
    log.sql("DELETE FROM grants")
    log.sql("INSERT INTO grants VALUES ('*', 'default', datetime('now', '+1 hour'))")
    server = launch(env=clocks.env)
    peer = server.open()
    clocks.jump(wall=-HOUR)
    time.sleep(PULSE)
    log.insert("on")
    assert peer.next_row().data == "on"
    clocks.jump(wall=3 * HOUR)
    peer.wait_complete()
    assert json.loads(peer.events[-1].data) == {"reason": "expired"}
