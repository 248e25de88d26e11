"""rowtail-publish behind each web server, with the files of deploy/publish, and the examples of their README."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest

import database
import nodejs
import pages
import publisher
import rowtail
import stream
import webserver
from webserver import as_user, deployed, give, start

SERVERS = {
    "nginx": (webserver.Nginx, "nginx.conf"),
    "apache": (webserver.Apache, "apache.conf"),
    "lighttpd": (webserver.Lighttpd, "lighttpd.conf"),
    "caddy": (webserver.Caddy, "Caddyfile"),
    "haproxy": (webserver.HAProxy, "haproxy.cfg"),
    # As a CGI program:
    "apache-cgid": (webserver.Apache, "apache-cgi.conf"),
    "lighttpd-cgi": (webserver.Lighttpd, "lighttpd-cgi.conf"),
    "nginx-fcgiwrap": (webserver.Nginx, "nginx-fcgiwrap.conf"),
}
CGI = [name for name, (_, file) in SERVERS.items() if "cgi.conf" in file or "fcgiwrap" in file]
TOKEN = "a-token"
BEARER = f"Authorization: Bearer {TOKEN}"
PAGE = webserver.DEPLOY / "publish/README.md"
AT = "https://app.example.org"


@pytest.fixture(scope="module", params=SERVERS)
def site(request):
    """A web server, with rowtail-publish behind it; a token may publish to orders/*, user ann everywhere."""
    kind, file = SERVERS[request.param]
    directory = pathlib.Path(tempfile.mkdtemp(prefix="rt-"))
    directory.chmod(0o755)
    server = program = None
    try:
        log = database.Database.create(directory / "events.db")
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        log.sql("INSERT INTO publishers(subject, channel) VALUES (?, 'orders/*')", f"token:{digest}")
        log.sql("INSERT INTO publishers(subject, channel) VALUES ('user:ann', '*')")
        give(directory, *directory.glob("events.db*"))
        server = kind(directory, deployed(f"publish/{file}", replacements(directory, request.param)))
        server.cgi = request.param in CGI
        server.socket = directory / "publish.sock"
        server.command_line = [publisher.BINARY, "--db", log.path, "--wait", "1", "--listen", server.socket]
        place_program(directory, log)
        if request.param == "nginx-fcgiwrap":
            program = start(as_user(["/usr/sbin/fcgiwrap", "-c3", "-s", f"unix:{directory}/fcgiwrap.sock"]), directory / "publish.log")
        elif not server.cgi:
            program = start(as_user(server.command_line), directory / "publish.log", rowtail.environment())
        server.start()
        server.events = log
        server.publisher = program
        yield server
        program = server.publisher
        log.close()
    finally:
        if server:
            server.stop()
        webserver.end(program)
        shutil.rmtree(directory, ignore_errors=True)


def replacements(directory, name):
    if name not in CGI:
        return {"/run/rowtail/publish.sock": directory / "publish.sock"}
    made = {"/usr/local/lib/rowtail": directory / "cgi"}
    return {**made, "/run/fcgiwrap.socket": directory / "fcgiwrap.sock"} if "fcgiwrap" in name else made


def place_program(directory, log):
    """rowtail-publish.conf as an executable: both the CGI program and its CONFIG file."""
    (directory / "cgi").mkdir()
    text = deployed("publish/rowtail-publish.conf", {
        "/usr/local/bin/rowtail-publish": publisher.BINARY, "/var/lib/rowtail/events.db": log.path})
    program = directory / "cgi/publish.cgi"
    program.write_text(text + "wait = 1\n")
    program.chmod(0o755)


def curl(site, path, *options):
    """Runs curl; returns the status and the body."""
    url = "http://127.0.0.1:%d%s" % (site.port, path)
    command = ["curl", "-s", "-w", "\n%{http_code}", *options, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=stream.DEADLINE, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def newest(site):
    return site.events.sql("SELECT channel, event, data FROM events ORDER BY id DESC LIMIT 1")[0]


def test_curl_publishes(site):
    status, body = curl(site, "/publish/orders/42", "-H", BEARER, "-d", "hello")
    assert status == 201, body
    assert list(json.loads(body)) == ["ids"]
    assert newest(site) == ("orders/42", None, "hello")
    # By default Apache answers 404 for %2F.
    slash = "/" if isinstance(site, webserver.Apache) else "%2F"
    assert curl(site, f"/publish/orders/a{slash}b%20c?event=paid", "-H", BEARER, "-d", "a=b&c")[0] == 201
    assert newest(site) == ("orders/a/b c", "paid", "a=b&c")
    assert curl(site, "/publish/orders/x.php", "-H", BEARER, "-d", "data=one%0Atwo&retry=5")[0] == 201
    assert newest(site) == ("orders/x.php", None, "one\ntwo")


def test_statuses_and_sentences_arrive(site):
    assert curl(site, "/publish/orders/1", "-d", "x")[0] == 401
    assert curl(site, "/publish/news", "-H", BEARER, "-d", "x")[0] == 403
    assert curl(site, "/publish/orders/1", "-H", BEARER, "-d", "data=x&event=open")[1].startswith("event: ")
    status, body = curl(site, "/publish/orders/1", "-H", BEARER)
    assert (status, "POST" in body) == (405, True)
    for size in 70000, 100000:
        status, body = curl(site, "/publish/orders/1", "-H", BEARER, "-d", "x" * size)
        assert (status, "65536" in body) == (413, True)
    key = ["-H", BEARER, "-H", "Idempotency-Key: k1"]
    first = curl(site, "/publish/orders/1", *key, "-d", "once")
    assert first == curl(site, "/publish/orders/1", *key, "-d", "once")
    assert curl(site, "/publish/orders/1", *key, "-d", "twice")[0] == 422


def test_a_body_of_some_megabytes_is_answered_with_413(site):
    (site.directory / "large").write_bytes(b"x" * 3_000_000)
    status, _ = curl(site, "/publish/orders/1", "-H", BEARER, "-H", "Content-Type: text/plain", "-H", "Expect:",
        "--data-binary", f"@{site.directory}/large")
    assert status == 413


def test_a_name_that_nobody_has_checked_does_not_count(site):
    assert curl(site, "/publish/orders/1", "-u", "ann:anything", "-d", "x")[0] == 401


def test_a_page_of_another_site_is_refused(site):
    foreign = ["-H", "Origin: https://evil.example"]
    status, body = curl(site, "/publish/orders/1", *foreign, "-d", "x")
    assert (status, "another site" in body) == (403, True)
    ours = ["-H", "Origin: http://127.0.0.1:%d" % site.port]
    assert curl(site, "/publish/orders/1", *ours, "-d", "x")[0] == 401


@pytest.mark.parametrize("size", [0, 5, 60000])
def test_a_chunked_body_is_published_whole_or_refused(site, size):
    """No server may hand on a part of it, or an empty one, for the whole."""
    data = "x" * size
    before = len(site.events.sql("SELECT id FROM events"))
    status, body = curl(site, "/publish/orders/1?event=e", "-H", BEARER, "-H", "Transfer-Encoding: chunked",
        "-H", "Content-Type: text/plain", "--data-binary", data)
    print(status, body)
    rows = site.events.sql("SELECT data FROM events ORDER BY id DESC")
    if status == 201:
        assert (len(rows) - before, rows[0][0]) == (1, data)
    else:
        assert (len(rows) - before, status) == (0, 411)


def test_a_locked_database_is_answered_with_503(site):
    site.events.sql("BEGIN IMMEDIATE")
    try:
        command = ["curl", "-si", "-H", BEARER, "-d", "x", "http://127.0.0.1:%d/publish/orders/1" % site.port]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=stream.DEADLINE, check=True).stdout
    finally:
        site.events.sql("COMMIT")
    assert " 503 " in answer.splitlines()[0]
    assert re.search(r"(?mi)^Retry-After: 1\r?$", answer)
    assert "locked by another writer" in answer
    assert curl(site, "/publish/orders/1", "-H", BEARER, "-d", "x")[0] == 201


def test_a_list_goes_to_the_mount_itself(site):
    body = json.dumps([{"channel": f"orders/{n}", "data": "é\n" * n} for n in range(30)])
    status, answer = curl(site, "/publish", "-H", BEARER, "-H", "Content-Type: application/json", "--data-binary", body)
    assert (status, len(json.loads(answer)["ids"])) == (201, 30), answer
    assert newest(site) == ("orders/29", None, "é\n" * 29)


def processes(site):
    """The PIDs that write this log."""
    if not site.cgi:
        return [site.publisher.pid]
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"{site.directory}/cgi/publish.cgi".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def test_kills_lose_no_row_that_was_answered_and_keys_repeat_none(site):
    """kill -9, also between the commit and the answer: the client asks again with the same key."""
    site.events.sql("DELETE FROM events")
    sent, answered, killed, done = set(), {}, [], threading.Event()

    def client(number):
        """Six rows, and more until something was killed: on a busy machine a CGI program may end before it is found."""
        for turn in range(200):
            if turn >= 6 and killed:
                break
            sent.add(f"{number} {turn}")
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with contextlib.suppress(subprocess.CalledProcessError):
                    status, body = curl(site, "/publish/orders/1", "-H", BEARER, "-H", f"Idempotency-Key: {number}-{turn}",
                        "-d", f"{number} {turn}")
                    if status == 201:
                        answered[f"{number} {turn}"] = json.loads(body)["ids"][0]
                        break
                time.sleep(0.01)

    def kill():
        # A web server may leave a program alone for a second after each fault: at some time it has to live.
        while not done.is_set() and len(killed) < (100 if site.cgi else 12):
            time.sleep(0.005 if site.cgi else 0.05)
            for pid in processes(site):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
            if not site.cgi:
                site.publisher.wait()
                site.publisher = start(as_user(site.command_line), site.directory / "publish.log", rowtail.environment())
                time.sleep(0.15)

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        killing = pool.submit(kill)
        clients = [pool.submit(client, number) for number in range(4)]
        for one in clients:
            one.result()
        done.set()
        killing.result()
    assert killed
    assert len(sent) >= 24 and set(answered) == sent
    assert dict(site.events.sql("SELECT data, id FROM events")) == answered
    assert site.events.sql("SELECT count(*) FROM events") == [(len(sent),)], "a row was written twice"


def example(language):
    [block] = [block for block in pages.blocks(PAGE) if block.language == language and AT in block.text]
    return block.text


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
@pytest.mark.parametrize("language", ["sh", "php", "js"])
def test_the_examples(site, workdir, language):
    text = example(language).replace(AT, "http://127.0.0.1:%d" % site.port)
    site.events.sql("DELETE FROM events")
    (workdir / "order.txt").write_text("two\nlines\n")
    if language == "sh":
        # The first command needs a login, which this site does not ask for.
        first, second = re.split(r"\n(?=curl)", text)
        command = ["sh", "-ec", second]
    elif language == "php":
        (workdir / "example.php").write_text(f"<?php\n{text}")
        command = ["php", "example.php"]
    else:
        (workdir / "example.mjs").write_text(text)
        command = [nodejs.find(), "example.mjs"]
    done = subprocess.run(command, cwd=workdir, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    expected = {"sh": [("paid", "two\nlines\n")], "php": [("paid", '{"total":12}'), (None, "two")], "js": [(None, "hello")]}
    assert site.events.sql("SELECT event, data FROM events ORDER BY id") == expected[language]
