"""rowtail-doctor: its command line, its test rows, and what it never prints."""

import signal
import subprocess
import time

import pytest

import doctor
import httpserver
from database import Database

pytestmark = httpserver.needed
TOKEN = "s3cr3t-t0ken-of-ann"
EVERYTHING = "SELECT 'row', channel FROM events UNION ALL SELECT subject, channel FROM grants"


@pytest.fixture
def log(tmp_path):
    with Database.create(tmp_path / "events.db") as log:
        yield log


@pytest.fixture
def server(tmp_path, log):
    running = httpserver.HttpServer(tmp_path, ["--db", log.path, "--heartbeat", "1"]).start()
    yield running
    running.assert_clean(running.cleanup())


def url(server, query=""):
    return "http://127.0.0.1:%d/events%s" % (server.web[1], query)


def run(*words):
    doctor.need()
    return subprocess.run([doctor.PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "URL"),
        (["ftp://a/"], "http://"),
        (["http://a/", "http://b/"], "one URL"),
        (["--nonsense", "http://a/"], "nonsense"),
        (["--header", "no colon", "http://a/"], "Name: value"),
        (["--header", f"a: b\r\nX: {TOKEN}", "http://a/"], "one line"),
        (["--origin", "app.example.org", "http://a/"], "--origin"),
        (["--silence", "0", "http://a/"], "1 to 600"),
        (["--db", "/nonexistent/events.db", "http://a/"], "/nonexistent/events.db"),
        ([f"http://ann:{TOKEN}@a/"], "--header"),
    ],
)
def test_wrong_usage(words, says):
    done = run(*words)
    assert done.returncode == 64
    assert says in done.stderr and TOKEN not in done.stderr
    assert not done.stdout


def test_help_and_version():
    for option in "--help", "--version":
        done = run(option)
        assert done.returncode == 0 and "rowtail-doctor" in done.stdout and not done.stderr


def test_nobody_listens():
    done = run("http://127.0.0.1:1/events")
    assert done.returncode == 2
    assert "WRONG  unreachable" in done.stdout


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_secrets_are_never_printed(server, log, options):
    """A token in a header or the URL, also if an answer repeats it."""
    words = ["--silence", "1", "--header", f"Authorization: Bearer {TOKEN}", *options]
    done = run(*words, url(server, f"?access_token={TOKEN}"))
    assert done.returncode == 2  # refused: a token in the URL is not accepted
    assert TOKEN not in done.stdout + done.stderr
    done = run("--silence", "1", "--header", f"X-Channel: {TOKEN}", *options, url(server, f"?channel={TOKEN}*"))
    assert TOKEN not in done.stdout.replace(url(server, f"?channel={TOKEN}*"), "")


def test_rows_are_inserted_and_removed(server, log):
    log.insert("mine")
    log.grant("*", "default")
    before = log.sql(EVERYTHING)
    report = doctor.examine(url(server), "--db", log.path)
    assert report.status == 0, report
    assert report.level("at-once") == report.level("unchanged") == "ok"
    assert log.sql(EVERYTHING) == before
    # Nobody who resumes from before misses anything.
    assert log.sql("SELECT max(id) FROM events_pruned") == [(0,)]
    stream = server.follow("last_event_id=0")
    assert stream.first.data == "mine" or stream.next_row().data == "mine"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_removes_rows(server, log, number):
    before = log.sql(EVERYTHING)
    running = doctor.start(url(server), "--db", log.path, silence=60)
    deadline = time.monotonic() + 20
    while not log.sql("SELECT 1 FROM events"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(number)
    out, err = running.communicate(timeout=20)
    assert (running.returncode, out, err) == (128 + number, "", "")
    assert log.sql(EVERYTHING) == before


def test_next_doctor_removes_the_rows_of_a_killed_one(server, log):
    log.sql(
        "INSERT INTO events(channel, data, created_at) VALUES ('rowtail-doctor/1/rows', 'x', '2020-01-01T00:00:00.000Z')"
    )
    log.sql("INSERT INTO grants VALUES ('*', 'rowtail-doctor/1/*', '2020-01-01 00:00:00')")
    doctor.examine(url(server), "--db", log.path)
    assert log.sql(EVERYTHING) == []


def test_missing_grant_is_named(server, log):
    report = doctor.examine(url(server))
    assert report.status == 2 and report.level("access") == "WRONG"



def test_cures_of_rowtails_own_configuration(tmp_path):
    """Both runs at once, since the silence that shows that heartbeats are missing is long. Exactly what the first is told to
    write is in the configuration of the second."""
    origin = "https://app.example.org"
    lines = {"wrong": ["heartbeat = 60"], "right": ["heartbeat = 15", f"allow-origin = {origin}"]}
    servers, runs = [], {}
    for name in lines:
        directory = tmp_path / name
        directory.mkdir()
        config = directory / "rowtail.conf"
        config.write_text("\n".join(lines[name]) + "\n")
        with Database.create(directory / "events.db") as log:
            servers.append(httpserver.HttpServer(directory, ["--db", log.path, config]).start())
            runs[name] = doctor.start(url(servers[-1]), "--db", log.path, "--origin", origin, silence=31)
    wrong, right = (doctor.finish(runs[name]) for name in ("wrong", "right"))
    assert wrong.wrong() == {"heartbeat", "cors"}, wrong
    cures = [*wrong.cures("heartbeat", "rowtail"), *wrong.cures("cors", "rowtail")]
    assert [cure for _, cure in cures] == lines["right"]
    assert all("restart rowtail" in place for place, _ in cures)
    assert right.status <= 1 and right.level("heartbeat") == right.level("cors") == "ok", right
    for server in servers:
        server.assert_clean(server.cleanup())
