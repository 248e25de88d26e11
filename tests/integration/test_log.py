"""What rowtail writes to standard error while it serves."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import subprocess
import time

import pytest

import fcgi
import rowtail
import stream

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z rowtail\[\d+\] [a-z]+: .+")


def test_one_line_per_entry(launch, log):
    server = launch("--log-level", "debug")
    server.open({"channel": "a"}, user="ann\nforged").close()
    server.ask("tail=x%0aforged%1b[2J", headers={"Origin": "a\r\nforged"}).wait_complete()
    server.connect().send(b"GET / HTTP/1.1\r\n\r\n").wait_end()
    server.wait_metric(0, "rowtail_streams")
    server.stop()
    lines = server.stderr.splitlines()
    assert lines
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", server.stderr)


SECRET = "5ecre7" * 6


def jwt(key, **claims):
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    mac = base64.urlsafe_b64encode(hmac.digest(key, text.encode(), "sha256")).decode().rstrip("=")
    return f"{text}.{mac}"


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_logged(launch, log, workdir, form):
    """Neither a token in any place, granted or not, nor a JWT, valid or not."""
    key = b"k" * 32
    (workdir / "key").write_bytes(key)
    log.sql("DELETE FROM grants")
    log.grant("token:" + hashlib.sha256(SECRET.encode()).hexdigest(), "*")
    server = launch("--log-level", "debug", "--log-format", form, "--allow-query-token",
                    "--jwt-key", workdir / "key", "--jwt-algorithm", "HS256")
    good = jwt(key, sub="ann", channels=["*"], exp=int(time.time()) + 60, note="5ecre7")
    tokens = [SECRET, "5ecre7-unknown", good, good[:-4] + "AAAA", jwt(key, sub="5ecre7", exp=1)]
    for token in tokens:
        for query, headers in (
            ("", {"Authorization": f"Bearer {token}"}),
            ("", {"Authorization": f"Basic {token}"}),
            ("", {"Cookie": f"a=b; rowtail_token={token}"}),
            (f"access_token={token}", {}),
            (f"access_token={token}&tail=x", {}),
            (f"accessToken={token}", {}),
            (f"access_token[]={token}", {}),
        ):
            server.ask(query, headers=headers).wait_head()
        for body, kind in (
            (f"access_token={token}", "application/x-www-form-urlencoded"),
            (f"access%5Ftoken={token}&tail=x", "application/x-www-form-urlencoded"),
            (json.dumps({"access_token": token}), "application/json"),
            (json.dumps({"access_token": [token], "tail": "x"}), "application/json"),
            (f'{{"access_token":"{token}"', "application/json"),
        ):
            server.ask("", method="POST", body=body.encode(), headers={"Content-Type": kind}).wait_head()
    server.page("status.json")
    server.stop()
    assert "stream ended" in server.stderr
    leaks = ["5ecre7", *(part for token in tokens[2:] for part in token.split(".")[1:])]
    assert [leak for leak in leaks if leak in server.stderr] == []


def ended(server):
    """The fields of each stream that ended."""
    found = []
    for line in server.stderr.splitlines():
        if "info: stream ended " in line:
            pairs = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', line.split("stream ended ", 1)[1])
            found.append(dict(pairs))
    return found


def test_the_end_of_a_stream_is_one_line(launch, log):
    server = launch()
    log.insert("x" * 100, channel="orders/1")
    peer = server.open("channel=orders/*&channel=news&last_event_id=0", user="ann", addr="192.0.2.7")
    peer.wait_rows(1)
    peer.close()
    server.wait_log("stream ended")
    (end,) = ended(server)
    assert 0 <= float(end.pop("seconds")) < stream.DEADLINE
    assert int(end.pop("bytes")) > 100
    assert end == {"client": "192.0.2.7", "user": "ann", "channels": "news,orders/*", "records": "1", "id": "1",
                   "reason": "client"}


def test_values_cannot_forge_others(launch, log):
    server = launch()
    server.open({"channel": 'a" reason=forged \\'}, user='x" user=root\nforged').close()
    server.wait_log("stream ended")
    (end,) = ended(server)
    assert end["reason"] == "client"
    assert end["channels"] == r'"a\" reason=forged \\"'
    assert end["user"] == r'"x\" user=root\x0aforged"'


def test_logs_as_json(launch, log):
    server = launch("--log-format", "json", "--log-level", "debug")
    nasty = 'é\u2028"\\\u0085<'
    channels = [f"{number}{'x' * 200}" for number in range(20)]
    server.open({"channel": ["a b", *channels]}, user=nasty + "y" * 3000).close()
    server.ask("tail=x%0a%ff%22").wait_complete()
    server.wait_metric(0, "rowtail_streams")
    server.stop()
    entries = [json.loads(line) for line in server.stderr.strip().split("\n")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", entry["time"]) and entry["pid"] for entry in entries)
    (end,) = [entry for entry in entries if entry["message"] == "stream ended"]
    assert end["level"] == "info" and end["reason"] == "client" and end["records"] == 0
    assert end["user"].startswith(nasty) and end["user"].endswith("...")
    assert re.search(r",\+\d+ more$", end["channels"])
    assert max(map(len, server.stderr.splitlines())) < 4096


def test_debug_level_logs_each_step_of_a_request(launch, log):
    server = launch("--log-level", "debug")
    server.open("channel=a&tail=3", addr="192.0.2.7").close()
    server.ask("tail=x").wait_complete()
    server.wait_metric(0, "rowtail_streams")
    server.stop()
    assert re.search(r"debug: request client=192.0.2.7 .*method=GET page=stream channels=a .*tail=3", server.stderr)
    assert re.search(r"info: stream ended client=192.0.2.7 ", server.stderr)
    assert re.search(r'debug: refused reason=bad_request status=400 sentence=".*tail', server.stderr)


def test_a_crowd_that_ends_is_counted(launch, log):
    """At most a hundred lines in a second, and the number of the others."""
    server = launch()
    peers = [server.open() for _ in range(260)]
    server.signal(15)
    for peer in peers:
        peer.close()
    server.wait_exit()
    more = sum(map(int, re.findall(r"more streams ended streams=(\d+)", server.stderr)))
    assert len(ended(server)) + more == 260
    assert more > 0


def test_a_line_that_repeats_is_counted(launch, log):
    server = launch()
    for _ in range(30):
        server.signal(1)
        time.sleep(0.01)
    server.serves(log)
    server.stop()
    lines = server.stderr.count("SIGHUP ignored")
    more = sum(map(int, re.findall(r"the previous line was repeated (\d+) more times", server.stderr)))
    assert lines == 5 and 10 < more <= 25


@pytest.mark.parametrize("form", ["text", "json"])
def test_lines_for_the_journal_have_a_priority(launch, log, workdir, form):
    """Standard error is the journal if JOURNAL_STREAM names it: device and inode."""
    script = workdir / "service"
    script.write_text(f'#!/bin/sh\nJOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec {rowtail.BINARY} "$@"\n')
    script.chmod(0o755)
    server = launch("--log-format", form, "--log-level", "debug", program=script)
    server.open().close()
    server.ask("tail=x").wait_complete()
    server.wait_log("stream ended")
    log.path.rename(workdir / "away.db")
    server.ask().wait_head()
    priorities = {"error": "<3>", "warn": "<4>", "info": "<6>", "debug": "<7>"}
    levels = set()
    for line in server.stderr.splitlines():
        level = re.search(r'\] (\w+): ' if form == "text" else r'"level":"(\w+)"', line)[1]
        levels.add(level)
        assert line[:3] == priorities[level] and line[3] in "2{"
    assert {"warn", "info", "debug"} <= levels


def test_no_priority_without_the_journal(launch, log):
    server = launch(env={"JOURNAL_STREAM": "1:1"})
    assert server.stderr == "" or LINE.fullmatch(server.stderr.splitlines()[0])


def test_log_level_hides_lower_levels(launch, log):
    server = launch("--log-level", "error")
    server.serves(log)
    server.ask("tail=x").wait_complete()
    server.stop()
    assert server.stderr == ""


@contextlib.contextmanager
def bad_stderr(kind):
    """A descriptor that a log cannot be written to; what makes it so is called after the start."""
    reads, writes = os.pipe()
    if kind == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), writes)
    try:
        yield writes, lambda: os.close(reads) if kind == "broken" else None
    finally:
        os.close(writes)
        with contextlib.suppress(OSError):
            os.close(reads)


@pytest.mark.parametrize("kind", ["closed", "broken", "full", "stuck"])
def test_a_log_that_cannot_be_written_stops_nothing(log, workdir, kind):
    """No standard error, a pipe that its reader left (the journal is down), a full disk, a pipe that nobody reads."""
    path = workdir / "run.sock"
    with bad_stderr(kind) as (stderr, spoil):
        program = subprocess.Popen(
            [rowtail.BINARY, "--db", log.path, "--listen", path, "--public", "--log-level", "debug"], stdin=subprocess.DEVNULL,
            stderr=stderr, preexec_fn=(lambda: os.close(2)) if kind == "closed" else None,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + stream.DEADLINE
            while not path.exists():
                assert time.monotonic() < deadline and program.poll() is None
                time.sleep(0.02)
            spoil()
            for number in range(400 if kind == "stuck" else 5):
                with fcgi.Connection(path).ask(f"format=json&channel={number}{'x' * 200}") as answer:
                    assert answer.wait_head().head.status == 200
            program.terminate()
            assert program.wait(30) == 0
        finally:
            program.kill()
            program.wait()
