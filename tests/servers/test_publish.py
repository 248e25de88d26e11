"""rowtail-publish behind each web server, with the files of deploy/publish, and the examples of their README."""

import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

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
}
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
        socket = directory / "publish.sock"
        text = deployed(f"publish/{file}", {"/run/rowtail/publish.sock": socket})
        command = [publisher.BINARY, "--db", log.path, "--listen", socket]
        server = kind(directory, text)
        program = start(as_user(command), directory / "publish.log", rowtail.environment())
        server.start()
        server.events = log
        yield server
        log.close()
    finally:
        if server:
            server.stop()
        webserver.end(program)
        shutil.rmtree(directory, ignore_errors=True)


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
    status, body = curl(site, "/publish/orders/1", "-H", BEARER, "-d", "x" * 70000)
    assert (status, "65536" in body) == (413, True)
    key = ["-H", BEARER, "-H", "Idempotency-Key: k1"]
    first = curl(site, "/publish/orders/1", *key, "-d", "once")
    assert first == curl(site, "/publish/orders/1", *key, "-d", "once")
    assert curl(site, "/publish/orders/1", *key, "-d", "twice")[0] == 422


def test_a_name_that_nobody_has_checked_does_not_count(site):
    assert curl(site, "/publish/orders/1", "-u", "ann:anything", "-d", "x")[0] == 401


def test_a_page_of_another_site_is_refused(site):
    foreign = ["-H", "Origin: https://evil.example"]
    status, body = curl(site, "/publish/orders/1", *foreign, "-d", "x")
    assert (status, "another site" in body) == (403, True)
    ours = ["-H", "Origin: http://127.0.0.1:%d" % site.port]
    assert curl(site, "/publish/orders/1", *ours, "-d", "x")[0] == 401


def example(language):
    [block] = [block for block in pages.blocks(PAGE) if block.language == language]
    assert AT in block.text
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
