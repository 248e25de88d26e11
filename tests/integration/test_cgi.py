"""rowtail as a CGI program: it writes one stream to standard output and exits."""

import json
import os
import resource
import signal
import time

import pytest

import cgiprogram
import faults
import sse
import stream

FORM = "application/x-www-form-urlencoded"
PLUMBING = pytest.mark.parametrize("plumbing", ["pipes", "null", "socket"])


@pytest.fixture
def run(log):
    """run(query, option…, **how) starts a CGI program on the log; the fixture ends what still runs."""
    started = []

    def start(query="", *options, **how):
        options = ("--db", log.path, *options) if how.pop("db", True) else options
        program = cgiprogram.Program(options, query, **how)
        started.append(program)
        return program

    yield start
    for program in started:
        program.cleanup()


@PLUMBING
def test_stream(run, log, plumbing):
    log.insert("before")
    program = run("last_event_id=0", plumbing=plumbing)
    assert program.next() == ("position", "0", "0")
    assert sorted(program.head.fields) == [
        ("Cache-Control", "no-cache, no-transform"),
        ("Content-Type", "text/event-stream"),
        ("Status", "200 OK"),
        ("X-Accel-Buffering", "no"),
    ]
    log.insert("live\r\nline", event="kind")
    assert program.next() == ("message", "before", "1")
    assert program.next() == ("kind", "live\nline", "2")


def test_large_rows(run, log):
    program = run()
    program.next()
    text = "é\n" * (1 << 18)
    log.insert(text)
    log.insert("end")
    assert [event.data for event in program.wait_rows(2)] == [sse.as_received(text), "end"]


def test_resume(run, log):
    log.insert_many(3)
    program = run(headers={"Last-Event-ID": "1"})
    assert [event.data for event in program.wait_rows(2)] == ["row 2", "row 3"]


def test_gap(run, log):
    log.insert_many(3)
    program = run(headers={"Last-Event-ID": "9"})
    assert json.loads(program.next().data)["reason"] == "future"


def test_heartbeat(run):
    program = run("", "--heartbeat", 1)
    program.next()
    start = len(program.body)
    program.wait(lambda: len(program.body) > start, "heartbeat")
    assert bytes(program.body[start:]) == b":\n"


@PLUMBING
def test_ends_when_the_client_has_left(run, plumbing):
    """The stream is idle, so no write can fail."""
    program = run("", "--heartbeat", 3600, plumbing=plumbing)
    program.next()
    program.close()
    assert program.wait_exit() >= 0  # not by a signal


def test_ends_when_the_client_leaves_during_a_write(run, log):
    log.insert("x" * (4 << 20))
    program = run("last_event_id=0", "--heartbeat", 3600)
    program.next()
    program.close()
    assert program.wait_exit() >= 0


@PLUMBING
def test_end_of_the_body_is_not_a_disconnect(run, log, plumbing):
    program = run("", "--heartbeat", 3600, plumbing=plumbing)
    program.next()
    time.sleep(0.3)
    log.insert("row")
    assert program.next().data == "row"


@PLUMBING
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_stream_cleanly(run, number, plumbing):
    program = run(plumbing=plumbing, env=faults.STRICT_LIBUV)
    program.next()
    program.signal(number)
    program.wait_end()
    assert len(program.parser.retries) == 2
    assert not program.parser.pending
    assert program.wait_exit(5) == 0


def test_max_stream_age(run, log):
    program = run("", "--max-stream-age", 1)
    program.next()
    program.wait_end()
    assert program.wait_exit() == 0
    log.insert("between")
    again = run(headers={"Last-Event-ID": program.parser.last_event_id})
    assert again.wait_rows(1)[0].data == "between"


@pytest.mark.parametrize("plumbing", ["pipes", "socket"])
@pytest.mark.parametrize("length", ["right", None, ""])
def test_post(run, log, plumbing, length):
    log.insert("a", channel="a")
    program = run(
        method="POST",
        body=b"channel=a&since=0",
        content_type=FORM,
        plumbing=plumbing,
        extra={} if length == "right" else {"CONTENT_LENGTH": length},
    )
    assert program.wait_rows(1)[0].data == "a"


@pytest.mark.parametrize(
    "query, how, status",
    [
        ("tail=x", {}, 400),
        ("", {"method": "PUT"}, 405),
        ("", {"method": "OPTIONS"}, 204),
        ("", {"method": "HEAD"}, 200),
        ("", {"method": "POST", "body": b"x", "content_type": "text/plain"}, 415),
        ("", {"method": "POST", "body": b"pad=" + b"x" * 70000, "content_type": FORM}, 413),
    ],
)
def test_answers_without_a_stream_end(run, query, how, status):
    program = run(query, **how).wait_end()
    assert program.head.status == status
    assert (len(program.body) > 0) == (status >= 400)
    assert program.wait_exit() == 0


@pytest.mark.parametrize("method, status", [("OPTIONS", 204), ("DELETE", 405), ("HEAD", 200)])
def test_missing_body_is_not_awaited(run, method, status):
    start = time.monotonic()
    assert run(method=method, plumbing="open").wait_head().head.status == status
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("plumbing", ["pipes", "socket"])
def test_truncated_body_is_refused(run, plumbing):
    """Half a list of channels is another list, and half a number is another number."""
    program = run(
        method="POST",
        body=b"channel=orders/4",
        content_type=FORM,
        plumbing=plumbing,
        extra={"CONTENT_LENGTH": "17"},
    ).wait_end()
    assert program.head.status == 408
    assert "completely" in program.sentence()
    assert program.wait_exit() == 0


def test_grants_apply(run, log):
    log.sql("DELETE FROM grants")
    assert run().wait_end().head.status == 401
    assert run(user="ann").wait_end().head.status == 403
    log.grant("user:ann", "default")
    assert run(user="ann").next().type == "position"


def test_all_settings_from_the_environment(run, log):
    program = run(db=False, env={"ROWTAIL_DB": str(log.path), "ROWTAIL_RETRY_JITTER": "0"})
    program.next()
    assert program.parser.reconnection_time == 2000


def test_query_words_are_not_options(run, log, workdir):
    """RFC 3875, 4.4: a web server turns a query without "=" into command line arguments."""
    log.insert("row")
    config = workdir / "events.cgi"
    config.write_text(f"db = {log.path}\nmax-stream-age = 1\n")
    for words in (["--version"], ["--table", "grants"], ["--check"], ["/etc/passwd"], ["--"]):
        program = run("+".join(words), config, *words, db=False)
        assert program.next().type == "position", words
        program.cleanup()


@pytest.mark.parametrize("accept, status", [("text/event-stream", 200), ("*/*", 503)])
def test_missing_database(run, workdir, accept, status):
    """An EventSource is told to reconnect; 500 would end it for good."""
    program = run("", "--db", workdir / "nosuch.db", db=False, accept=accept).wait_end()
    assert program.head.status == status
    if status == 200:
        assert program.parser.retries and program.events == []
    assert program.wait_exit() == 0 and program.stderr.count("nosuch.db cannot be opened") == 1


def test_configuration_error_goes_to_standard_error(run):
    program = run("", "--poll", "x")
    assert program.wait_exit() == os.EX_USAGE
    assert "--poll" in program.stderr


def test_stalled_client_is_ended(run, log):
    log.insert("x" * (4 << 20))
    program = run("last_event_id=0", "--stall-timeout", 1, "--heartbeat", 3600)
    assert program.wait_exit() >= 0


def test_clients_come_and_go_while_rows_come(run, log):
    programs = [run() for _ in range(8)]
    for program in programs:
        program.next()
    for number in range(20):
        log.insert(str(number))
    stream.pump_all(programs, lambda program: len(program.rows) == 20)
    for program in programs:
        assert [event.data for event in program.rows] == [str(number) for number in range(20)]


# Where each stream is a process, the processes count each other.

ALLOWED = 3


@pytest.fixture
def crowd(run):
    """As many streams as are allowed, each a process; more(query) starts another."""

    def more(query="", **how):
        return run(query, "--max-streams", ALLOWED, **how)

    more.streams = [more() for _ in range(ALLOWED)]
    for opened in more.streams:
        opened.next()
    return more


def test_max_streams_counts_all_processes(crowd, log):
    """One too many is told to come back, and gets a place as soon as one is free."""
    refused = crowd()
    refused.wait(lambda: refused.eof, "the end of the answer")
    assert refused.head.status == 200 and refused.parser.reconnection_time and not refused.events
    assert crowd(accept="*/*").wait_end().head.status == 503
    crowd.streams[0].process.send_signal(signal.SIGKILL)
    crowd.streams[0].process.wait()
    assert crowd().next().type == "position"
    row = log.insert("for all")
    assert [opened.next_row().last_event_id for opened in crowd.streams[1:]] == [str(row)] * (ALLOWED - 1)


def test_poll_needs_no_stream_to_be_free(crowd, log):
    """Without one it does not wait: the answer comes at once, and says when to ask again."""
    log.insert("a row")
    for query, told in {"wait=0": None, "wait=30": "5"}.items():
        for position, rows in {0: ["a row"], 1: []}.items():
            answer = crowd(f"format=json&last_event_id={position}&{query}").wait_end()
            assert [row["data"] for row in json.loads(answer.body)["events"]] == rows
            assert answer.head.get("Retry-After") == told
    crowd.streams[0].close()
    crowd.streams[0].process.wait(stream.DEADLINE)
    waiting = crowd("format=json&last_event_id=1&wait=30")
    log.insert("another")
    answer = waiting.wait_end()
    assert [row["data"] for row in json.loads(answer.body)["events"]] == ["another"]
    assert answer.head.get("Retry-After") is None


def test_crowd_that_arrives_at_once(run):
    """Exactly as many get a stream as are allowed."""
    programs = [run("", "--max-streams", ALLOWED) for _ in range(3 * ALLOWED)]
    for one in programs:
        one.wait(lambda one=one: one.events or one.eof, "an answer")
    assert sum(bool(one.events) for one in programs) == ALLOWED


def test_process_limit_leaves_room_for_polls(run, log):
    """Of 8 processes that the user may have, streams take 6."""
    if os.geteuid() != 0:
        pytest.skip("needs a user without other processes")
    user = 64021
    os.chown(log.path.parent, user, user)
    for file in log.path.parent.iterdir():
        os.chown(file, user, user)

    def become():
        resource.setrlimit(resource.RLIMIT_NPROC, (8, 8))
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)

    programs = [run("", prepare=become) for _ in range(8)]
    for one in programs:
        one.wait(lambda one=one: one.events or one.eof, "an answer")
    assert sum(bool(one.events) for one in programs) == 6
    answer = run("format=json&tail=1", prepare=become).wait_end()
    assert answer.head.status == 200
