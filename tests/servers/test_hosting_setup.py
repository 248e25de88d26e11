"""setup.php of the shared-hosting kit, opened as its owner does, on a host with suexec, mod_cgid and PHP-FPM."""

import contextlib
import os
import re
import shutil
import sqlite3
import struct

import pytest

import database

import webhost
import webserver
from deployment import wait_until
from webhost import account, lines


def dump(path):
    with contextlib.closing(sqlite3.connect(path)) as opened:
        return opened.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def unset(host):
    """Nothing that set-up makes is there."""
    return not host.db.exists() and "/home/USER/rowtail" in (host.place / "events.cgi").read_text()


def test_set_up(workdir):
    """From the uploaded folder to a stream, and then never again."""
    with account() as host:
        host.start()
        asked = host.page(f"{host.mount}/setup.php")
        assert asked.head.status == 200 and "Setup code" in asked.text
        proposed = host.setup(folder="")
        assert f'value="{host.db.parent}"' in proposed.text
        done = host.setup()
        assert lines(done, "WRONG") == [], done.text + host.server.log()
        assert any("Streams work" in line for line in lines(done, "ok")), done.text
        with database.Database.create(workdir / "e.db"):
            assert dump(host.db) == dump(workdir / "e.db")
        program = (host.place / "events.cgi").read_text()
        assert program.startswith(f"#!{host.db.parent}/rowtail\n") and f"\ndb = {host.db}\n" in program
        with database.Database(host.db) as log, host.follow("channel=news/*&last_event_id=0") as opened:
            assert opened.next_row().data == "rowtail is set up"
            log.insert("live", channel="news/a")
            assert opened.next_row().data == "live"
            assert log.sql("SELECT subject, channel FROM grants") == [("*", "news/*")]
        assert host.page(f"{host.mount}/page.html").head.status == 200
        before = host.db.read_bytes(), program
        for again in host.page(f"{host.mount}/setup.php"), host.setup():
            assert again.head.status == 403 and "set up already" in again.text
            assert str(host.home) not in again.text
        assert (host.db.read_bytes(), (host.place / "events.cgi").read_text()) == before


@pytest.mark.parametrize("code", ["", "short"])
def test_without_a_code_nobody_can_set_it_up(code):
    with account(code=code) as host:
        host.start()
        for answer in host.page(f"{host.mount}/setup.php"), host.setup(code=code):
            assert answer.head.status == 403 and str(host.home) not in answer.text
        assert unset(host)


def test_stranger_learns_and_changes_nothing():
    with account() as host:
        host.start()
        for fields in {"code": "another phrase of mine"}, {"code": ""}, {"code": webhost.CODE + "x"}:
            answer = host.setup(**fields)
            assert str(host.home) not in answer.text and not lines(answer, "ok")
        assert unset(host)


def test_other_files_are_not_served():
    names = ["rowtail", "rowtail.sql", "README.md", ".htaccess", "events.db", "setup.php~", "setup.php.bak", "none"]
    with account() as host:
        for name in names[:-1]:
            (host.place / name).touch()
        host.start()
        for name in names:
            assert host.page(f"{host.mount}/{name}").head.status == 403, name


def other_processor(host):
    path = host.place / "rowtail"
    text = bytearray(path.read_bytes())
    text[18:20] = struct.pack("<H", 8)  # MIPS
    path.write_bytes(text)


def truncated(host):
    path = host.place / "rowtail"
    path.write_bytes(path.read_bytes()[:-100])


def sent_as_text(host):
    path = host.place / "rowtail"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def in_the_web_root(host):
    host.fields = {"folder": str(host.www / "rowtail")}


def around_the_web_root(host):
    host.fields = {"folder": str(host.www / "a" / ".." / "rowtail")}


def linked_into_the_web_root(host):
    (host.home / "rowtail").symlink_to(host.www)


def home_not_writable(host):
    os.chmod(host.home, 0o555)


WRONGS = {
    "no program": (lambda host: (host.place / "rowtail").unlink(), "The program is missing"),
    "a page for the program": (lambda host: (host.place / "rowtail").write_text("<html>"), "not a Linux program"),
    "another processor": (other_processor, "another processor"),
    "a cut transfer": (truncated, "damaged"),
    "a transfer as text": (sent_as_text, "damaged"),
    "no schema": (lambda host: (host.place / "rowtail.sql").unlink(), "rowtail.sql is missing"),
    "half a schema": (
        lambda host: (host.place / "rowtail.sql").write_text(database.SCHEMA.read_text()[:9000]),
        "The log cannot be made|rowtail.sql is damaged",
    ),
    "no events.cgi": (lambda host: (host.place / "events.cgi").unlink(), "events.cgi"),
    "a log in the web root": (in_the_web_root, "inside the web root"),
    "a log in the web root by ..": (around_the_web_root, "without . or .."),
    "a log in the web root by a link": (linked_into_the_web_root, "inside the web root"),
    "a folder that cannot be made": (home_not_writable, "cannot make the folder"),
    "a host without CGI": (lambda host: None, "forbids events.cgi"),
    "a redirect": (
        lambda host: (host.place / ".htaccess").write_text("Redirect /events/events.cgi https://www.example.org/e\n"),
        "redirects events.cgi to https://www.example.org/e",
    ),
    "no .htaccess and no handler": (
        lambda host: (host.place / ".htaccess").write_text("RewriteEngine Off\n"),
        "sends the text of events.cgi",
    ),
    "another's file": (lambda host: os.chown(host.place / "events.cgi", 0, 0), "does not belong to the owner"),
}


class WithoutCgi(webhost.Apache):
    modules = [one for one in webhost.Apache.modules if one != "cgid"]


@pytest.mark.parametrize("name", WRONGS)
def test_what_a_host_gets_wrong(name):
    """A sentence says what to change, nothing is left behind, and when it is mended, set-up works."""
    spoil, expected = WRONGS[name]
    server = WithoutCgi if name == "a host without CGI" else webhost.Apache
    with account(server=server) as host:
        host.fields = {}
        saved = host.directory / "saved"
        shutil.copytree(host.place, saved, symlinks=True)
        spoil(host)
        host.start()
        answer = host.setup(**host.fields)
        assert re.search(expected, "\n".join(lines(answer, "WRONG"))), answer.text + host.server.log()
        assert not host.db.exists()
        if server is WithoutCgi:
            assert unset(host)
            return
        os.chmod(host.home, 0o755)
        if (host.home / "rowtail").is_symlink():
            (host.home / "rowtail").unlink()
        shutil.copytree(saved, host.place, dirs_exist_ok=True)
        shutil.rmtree(host.home / "rowtail", ignore_errors=True)
        host.own()
        mended = host.setup()
        assert lines(mended, "WRONG") == [], mended.text + host.server.log()
        assert any("Streams work" in line for line in lines(mended, "ok")), mended.text


def test_modes_that_suexec_refuses():
    """setup.php sets them itself."""
    with account() as host:
        os.chmod(host.place, 0o777)
        os.chmod(host.place / "events.cgi", 0o666)
        text = (host.place / "events.cgi").read_bytes()
        (host.place / "events.cgi").write_bytes(text.replace(b"\n", b"\r\n"))
        host.own()
        host.start()
        done = host.setup()
        assert lines(done, "WRONG") == [] and any("Streams work" in line for line in lines(done, "ok")), done.text


@pytest.mark.parametrize(
    "how",
    [
        {"forbidden": "exec, shell_exec, proc_open"},
        # What hosts often forbid; in PHP 8 a call of such a function is fatal.
        {"forbidden": "exec,set_time_limit,ini_set,php_uname,curl_exec,curl_multi_exec,ignore_user_abort", "curl": True},
        {"forbidden": "curl_init,curl_multi_init,popen", "curl": True},
        {"folder": "live"},
        {"front": ""},
        {"curl": True, "fopen": "off"},
    ],
    ids=["no exec", "much is forbidden", "no curl", "another folder", "no front controller", "curl"],
)
def test_hosts_that_differ(how):
    with account(**how) as host:
        host.start()
        done = host.setup()
        assert lines(done, "WRONG") == [], done.text + host.server.log()
        assert any("Streams work" in line for line in lines(done, "ok")), done.text
        # The answer for when no process is left.
        down = re.findall(r"ErrorDocument 503 (\S+)", (host.place / ".htaccess").read_text())
        assert down == [f"{host.mount}/rowtail-down.asis"]
        assert "retry: 3000" in host.page(down[0]).text


def test_host_that_forbids_chmod():
    """The owner sets the modes by FTP, as the page says."""
    with account(forbidden="chmod, exec") as host:
        os.chmod(host.place / "events.cgi", 0o644)
        host.start()
        for path in host.db.parent / "rowtail", host.place / "events.cgi":
            [told] = lines(host.setup(), "WRONG")
            assert f"{path.name} is not executable. Set its mode to 755" in told
            assert not host.db.exists()
            os.chmod(path, 0o755)
        done = host.setup()
        assert lines(done, "WRONG") == [] and any("Streams work" in line for line in lines(done, "ok")), done.text


def test_php_of_another_user_than_cgi():
    """As with mod_php: the folder is made by FTP, and then rowtail cannot read what PHP makes."""
    with account(php_user="www-data") as host:
        host.start()
        assert any("cannot make the folder" in line for line in lines(host.setup(), "WRONG"))
        host.db.parent.mkdir()
        host.own()
        assert any("may not write" in line for line in lines(host.setup(), "WRONG"))
        os.chmod(host.db.parent, 0o777)
        [told] = lines(host.setup(), "WRONG")
        program, db = re.search(r"#!(\S+) .*: db = (\S+)\. Upload", told).groups()
        text = (host.place / "events.cgi").read_text()
        text = text.replace("/home/USER/rowtail/rowtail", program).replace("/home/USER/rowtail/events.db", db)
        (host.place / "events.cgi").write_text(text)
        assert any("not executable" in line for line in lines(host.setup(), "WRONG"))
        os.chmod(host.place / "events.cgi", 0o755)
        answer = host.setup()
        assert any("another user" in line for line in lines(answer, "WRONG")), answer.text
        assert any("PHP runs as user" in line for line in lines(answer, "note"))
        assert not host.db.exists()


def test_php_that_opens_no_addresses():
    """Set-up ends, and says how to look at the stream."""
    with account(fopen="off") as host:
        host.start()
        done = host.setup()
        assert lines(done, "WRONG") == [] and any("page.html" in line for line in lines(done, "note")), done.text
        with host.follow("channel=news/*&last_event_id=0") as opened:
            assert opened.next_row().data == "rowtail is set up"


class HoldingBack(WithoutCgi):
    """Only mod_fcgid, which collects 64 KiB before it sends."""

    modules = [*WithoutCgi.modules, "fcgid"]


def test_host_that_holds_streams_back():
    with account(server=HoldingBack) as host:
        host.start()
        done = host.setup()
        assert lines(done, "WRONG") == [], done.text + host.server.log()
        assert any("buffers streams" in line for line in lines(done, "note")), done.text
        answer = host.page(f"{host.mount}/events.cgi?format=json&channel=news/*&last_event_id=0")
        assert "rowtail is set up" in answer.text


# What the test adds to the uploaded page: it tells the site what it shows.
TELL = """<script>
  setInterval(() => fetch('/told.php', { method: 'POST', body: document.body.innerText }), 200);
</script>"""


@pytest.mark.skipif(not os.path.exists("/usr/bin/chromium"), reason="no Chromium here")
@pytest.mark.parametrize("server, state", [(webhost.Apache, "Live"), (HoldingBack, "Live, by polling")])
def test_page_in_a_browser(server, state, tmp_path):
    """page.html shows each row once, where streams work and where something holds them back."""
    with account(server=server) as host:
        (host.www / "told.php").write_text(
            "<?php file_put_contents('told.txt', file_get_contents('php://input'), LOCK_EX);\n"
        )
        page = host.place / "page.html"
        page.write_text(page.read_text().replace("</html>", TELL + "</html>"))
        host.own()
        host.start()
        done = host.setup()
        assert lines(done, "WRONG") == [], done.text
        told = host.www / "told.txt"
        options = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking".split()
        url = f"http://127.0.0.1:{host.server.port}{host.mount}/page.html"
        command = ["/usr/bin/chromium", *options, f"--user-data-dir={tmp_path}/profile", url]
        browser = webserver.start(command, tmp_path / "chromium.log")

        def shown():
            return told.read_text().split("\n") if told.exists() else []

        try:
            with database.Database(host.db) as log:
                wait_until(lambda: state in shown() and "rowtail is set up" in shown(), state, shown, 40)
                for number in range(3):
                    log.insert(f"row {number}", channel="news/a")
                wait_until(lambda: "row 2" in shown(), "three rows", shown, 40)
            rows = [line for line in shown() if line.startswith("row")]
            assert rows == ["row 2", "row 1", "row 0", "rowtail is set up"]
        finally:
            webserver.end(browser)


class SecondSite(webhost.Apache):
    """An account with several domains: the web root of one is inside that of another."""

    web = "public_html/second.example"


def test_folder_is_outside_of_every_web_root():
    with account(server=SecondSite) as host:
        host.start()
        assert f'value="{host.db.parent}"' in host.setup(folder="").text
        inside = host.setup(folder=str(host.home / "public_html" / "rowtail"))
        assert any("inside the web root" in line for line in lines(inside, "WRONG"))
        done = host.setup()
        assert lines(done, "WRONG") == [] and any("Streams work" in line for line in lines(done, "ok")), done.text


class WithoutOptions(webhost.Apache):
    """CGI is on, and a .htaccess may not say Options."""

    allow_override = "AuthConfig FileInfo Indexes Limit"

    def site(self):
        text = super().site().replace("AllowOverride ", "Options +ExecCGI\n\tAllowOverride ")
        return text.replace("AddOutputFilterByType DEFLATE text/event-stream\n", "")


def test_host_that_forbids_a_line():
    """As the page says: without the lines Options +ExecCGI and FilterChain."""
    with account(server=WithoutOptions) as host:
        host.start()
        assert host.page(f"{host.mount}/setup.php").head.status == 500
        htaccess = host.place / ".htaccess"
        htaccess.write_text(re.sub(r"(?m)^(Options|\t\tFilterChain) .*\n", "", htaccess.read_text()))
        done = host.setup()
        assert lines(done, "WRONG") == [] and any("Streams work" in line for line in lines(done, "ok")), done.text
