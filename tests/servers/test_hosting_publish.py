"""Publishing by HTTP on a shared host, as the kit's README says: Apache with suexec and mod_cgid, files only."""

import json
import shutil
import subprocess

import pytest

import database
import pages
import publisher
import stream
from test_deploy_pages import SHARED
from webhost import account

HEADING = "Publishing by HTTP"
TOKEN = "a long random word of your own"


def block(language):
    [found] = [one for one in pages.blocks(SHARED) if (one.heading, one.language) == (HEADING, language)]
    return found.text


def publish(host, path="news/a", token=None, *options):
    """The page's curl command, with a body; returns the status and the answer."""
    command = ["curl", "-s", "-w", "\n%{http_code}", "-d", "hello", *options]
    if token:
        command += ["-H", f"Authorization: Bearer {token}"]
    url = f"http://127.0.0.1:{host.server.port}{host.mount}/publish.cgi/{path}"
    done = subprocess.run([*command, url], capture_output=True, text=True, timeout=stream.DEADLINE, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def upload(host):
    """Steps 1 and 2: the program, and its two paths."""
    shutil.copy(publisher.BINARY, host.db.parent / "rowtail-publish")
    program = host.place / "publish.cgi"
    text = program.read_text()
    assert text.count("/home/USER/rowtail") == 2
    program.write_text(text.replace("/home/USER/rowtail", str(host.db.parent)))
    program.chmod(0o755)
    host.own()


def switch_on(host):
    """Step 3: the three lines."""
    path = host.place / ".htaccess"
    lines = path.read_text().split("\n")
    [at] = [number for number, line in enumerate(lines) if line.startswith("#<If") and "publish[.]cgi" in line]
    for number in range(at, at + 3):
        assert lines[number].startswith("#"), lines[number]
        lines[number] = lines[number][1:]
    path.write_text("\n".join(lines))
    host.own()


@pytest.fixture(scope="module")
def host():
    with account() as made:
        made.start()
        assert made.setup().head.status == 200 and made.db.exists(), made.server.log()
        yield made


def test_it_is_off_until_each_step_is_done(host):
    with database.Database(host.db) as log:
        count = log.sql("SELECT count(*) FROM events")
        assert publish(host, token=TOKEN)[0] == 403  # Apache's
        upload(host)
        status, body = publish(host, token=TOKEN)
        assert (status, "publish" in body.lower() and "token" in body) == (403, False)
        switch_on(host)
        assert publish(host)[0] == 401
        assert publish(host, token=TOKEN)[0] == 401
        assert log.sql("SELECT count(*) FROM events") == count
        script = block("php").replace("/home/USER/rowtail", str(host.db.parent))
        (host.place.parent / "once.php").write_text(script)
        host.own()
        assert host.page("/once.php").text.endswith("done")
        command = block("sh").replace("https://www.example.org", f"http://127.0.0.1:{host.server.port}")
        body = subprocess.run(["sh", "-ec", command], capture_output=True, text=True, timeout=stream.DEADLINE, check=True).stdout
        assert log.sql("SELECT id, channel, data FROM events ORDER BY id DESC LIMIT 1") == [
            (json.loads(body)["ids"][0], "news/a", "hello")
        ]
        assert publish(host, token=TOKEN, path="shop/1")[0] == 403
        assert publish(host, token=TOKEN + "x")[0] == 401
        # Apache may not keep the token back.
        first = publish(host, "news/a", TOKEN, "-H", "Idempotency-Key: k")
        assert first == publish(host, "news/a", TOKEN, "-H", "Idempotency-Key: k")
        log.sql("DELETE FROM publishers")
        assert publish(host, token=TOKEN)[0] == 401
