"""rowtail --follow QUERY prints a stream on standard output, without a web server."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess

import pytest

import rowtail


@contextlib.contextmanager
def following(log, query, *options, stdout=subprocess.PIPE, **env):
    process = subprocess.Popen(
        [str(rowtail.BINARY), "--db", log.path, "--log-level", "warn", "--follow", query, *options],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=rowtail.environment(**env),
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def records(process, count):
    """So many records, as lists of lines."""
    found, lines = [], []
    while len(found) < count:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        if line == "\n":
            found.append(lines)
            lines = []
        else:
            lines.append(line.rstrip("\n"))
    return found


def test_the_stream_is_printed_as_a_client_sees_it(log):
    log.insert("first\nline", channel="orders/1", event="paid")
    log.insert("other", channel="news")
    with following(log, "channel=orders/*&tail=5") as process:
        position, row = records(process, 2)
        assert position[1] == "event: position" and position[0].startswith("retry: ")
        assert row == ["event: paid", "data: first", "data: line", "id: 1"]
        log.insert("next", channel="orders/2")
        assert records(process, 1) == [["data: next", "id: 3"]]


def test_an_empty_query_asks_for_the_channel_default(log):
    with following(log, "") as process:
        records(process, 1)
        log.insert("other", channel="news")
        log.insert("mine")
        assert records(process, 1) == [["data: mine", "id: 2"]]


def test_json_prints_a_row_a_line(log):
    log.insert("a\nb", event="x")
    with following(log, "since=0&format=json") as process:
        assert json.loads(process.stdout.readline())["data"] == "a\nb"
        log.insert("z" * 100000)
        assert json.loads(process.stdout.readline())["data"] == "z" * 100000


@pytest.mark.parametrize("query", ["?format=json&tail=1", "tail=1&format=j%73on", "format%5B%5D=json&&tail=1"])
def test_json_is_recognized_however_the_query_is_written(log, query):
    log.insert("row")
    with following(log, query) as process:
        assert json.loads(process.stdout.readline())["data"] == "row"


def test_question_mark_in_front_is_no_part_of_the_query(log):
    log.insert("row", channel="a")
    log.insert("other")
    with following(log, "?channel=a&tail=1") as process:
        assert records(process, 2)[1] == ["data: row", "id: 1"]


def test_json_reports_a_gap_on_standard_error(log):
    log.insert("a")
    with following(log, "since=99&format=json") as process:
        assert '"reason":"future"' in process.stderr.readline()


def test_no_grant_is_needed(log):
    log.insert("secret", channel="staff")
    with following(log, "channel=staff&tail=1") as process:
        assert records(process, 2)[1] == ["data: secret", "id: 1"]


@pytest.mark.parametrize("query, words", [("channel=a*b", "is not a channel"), ("tail=x", "tail")])
def test_a_wrong_query_is_refused_with_the_sentence_of_the_server(log, query, words):
    done = rowtail.run("--db", log.path, "--follow", query)
    assert (done.returncode, done.stdout) == (os.EX_USAGE, "")
    assert words in done.stderr


def test_it_ends_when_nobody_reads(log):
    with following(log, "channel=*") as process:
        records(process, 1)
        process.stdout.close()
        process.stdout = None
        assert process.wait(30) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_on_a_signal(log, number):
    with following(log, "channel=*") as process:
        records(process, 1)
        process.send_signal(number)
        assert process.wait(30) == 0


@pytest.mark.parametrize("query", ["tail=5", "tail=5&format=json"])
def test_an_output_that_cannot_be_written_is_reported(log, query):
    log.insert("a")
    with open("/dev/full", "wb") as full, following(log, query, stdout=full) as process:
        assert process.wait(30) == os.EX_IOERR
        assert "standard output: No space left on device" in process.stderr.read()


def test_a_closed_output_ends_it(log):
    log.insert("a")
    command = f"exec {rowtail.BINARY} --db {log.path} --follow tail=5 >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, env=rowtail.environment())
    assert done.returncode == os.EX_IOERR, done.stderr


@pytest.mark.parametrize("word", ["limit=1", "before=3", "wait=5"])
def test_parameters_of_json_pages_are_refused(log, word):
    done = rowtail.run("--db", log.path, "--follow", f"format=json&{word}")
    assert (done.returncode, done.stdout) == (os.EX_USAGE, "")
    assert "leave out limit, before and wait" in done.stderr


def on_terminal(log, query="since=0", end=b"id: 1", **env):
    log.insert("a", event="x")
    mine, its = pty.openpty()
    with following(log, query, stdout=its, **{"TERM": "xterm", **env}):
        os.close(its)
        seen = b""
        while end not in re.sub(rb"\x1b\[[0-9]*m", b"", seen):
            seen += os.read(mine, 4096)
    os.close(mine)
    return seen


def test_a_terminal_gets_colours_unless_no_color_is_set(log):
    assert b"\x1b[" in on_terminal(log)
    assert b"\x1b[" not in on_terminal(log, NO_COLOR="1")


@pytest.mark.parametrize("query", ["since=0", "since=0&format=json"])
@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["colours", "none", "dumb"])
def test_a_terminal_gets_no_control_characters_of_rows(log, query, env):
    """Publishers are not to set an administrator's title, clear the screen, or type into the shell."""
    log.insert("\x1b]0;title\x07\x1b[2J\x7f\x9b31m\x08 é\tend")
    seen = re.sub(rb"\x1b\[[0-9]?m", b"", on_terminal(log, query, end=b"end", **env))
    assert not [byte for byte in seen if byte < 32 and byte not in b"\r\n\t"] and b"\x7f" not in seen
    assert b"\xc2\x9b" not in seen and b"\xc3\xa9" in seen


def test_a_pipe_gets_rows_unchanged(log):
    data = "\x1b]0;title\x07\x9b31m"
    log.insert(data)
    with following(log, "since=0") as running:
        while not (line := running.stdout.readline()).startswith("data: \x1b"):
            assert line
        assert line == f"data: {data}\n"
