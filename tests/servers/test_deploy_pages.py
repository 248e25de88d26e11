"""Runs every command and uses every snippet of the pages in deploy/, read out of the page.

They run as root in a container that systemd has booted (booted.py), with Debian's configuration of each server and
the real systemctl. So the tests replace nothing in a block. Where no container can run, they check only that every
block has a test.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
from typing import NamedTuple

import pytest

import booted
import database
import doctor
import fcgi
import httpserver
import nodejs
import packages
import pages
import rowtail
import webserver
from conftest import directory
from deployment import wait_until
from webserver import DEPLOY

ROOT = DEPLOY.parent
README, SHARED, ACCESS = (DEPLOY / f"{name}README.md" for name in ("", "shared-hosting/", "access/"))
BROWSER, PACKAGING, PUBLISH = (DEPLOY / name / "README.md" for name in ("browser", "packaging", "publish"))
SOCKET = "/run/rowtail/rowtail.sock"
DROP_INS = "/etc/systemd/system/rowtail.socket.d"
INSTALL, DOWN, SERVICE, USERS = "Install rowtail", "While rowtail is down", "As a service", "Users and permissions"
ALONE = "Without a web server"
# Some servers would wait for the end of every stream.
HASTE = "[Service]\nTimeoutStopSec=1\nKillSignal=SIGKILL\nRestart=no\n"
# curl ends a stream that never ends with status 28.
CURLRC = "silent\ninsecure\nmax-time = 1\n"


class Server(NamedTuple):
    """kind: the server's class. unit: its systemd unit. language: that of its snippet on the page.

    place: the file for the snippet, and a pattern for the line above it.
    edit: the file, and an old and a new text, for what the reader writes into a copied file.
    """

    kind: type
    unit: str
    language: str = ""
    place: tuple = ()
    edit: tuple = ()


NGINX = Server(webserver.Nginx, "nginx", "nginx", ("sites-available/default", r"(?m)^server \{$"))
LIGHTTPD = Server(webserver.Lighttpd, "lighttpd")
APACHE = Server(webserver.Apache, "apache2", "apache", ("sites-available/000-default.conf", r"(?m)^<VirtualHost .*>$"))
SERVERS = {
    "nginx": NGINX,
    "nginx with fcgiwrap": NGINX,
    "lighttpd": LIGHTTPD,
    "lighttpd with mod_cgi": LIGHTTPD,
    "Apache": APACHE,
    "Apache with mod_fcgid": APACHE,
    "Caddy": Server(webserver.Caddy, "caddy", edit=("Caddyfile", "app.example.org {", "http://localhost {")),
    "HAProxy": Server(webserver.HAProxy, "haproxy", "haproxy", ("haproxy.cfg", r"(?m)^\tbind :80$")),
}
# Where a section says "as above": the section with the snippet.
ABOVE = {"nginx with fcgiwrap": "nginx"}
# The blocks that the tests below use, by page, heading and language.
COVERED = {
    *((README, heading, "sh") for heading in [INSTALL, ALONE, SERVICE, USERS, *SERVERS]),
    *((README, heading, SERVERS[heading].language) for heading in ("nginx", "Apache", "HAProxy")),
    (README, DOWN, "http"),
    (SHARED, "By hand, with a shell", "sh"),
    *((SHARED, "Publishing by HTTP", language) for language in ("php", "sh")),  # test_hosting_publish.py
    (ACCESS, "Who may read: examples", "sql"),
    (BROWSER, "rowtail.js", "html"),
    (BROWSER, "rowtail.js", "js"),
    (BROWSER, "Options", "js"),
    (DEPLOY / "scale/README.md", "Publishing into PostgreSQL", "text"),  # integration/test_postgresql_publishers.py
    *((PUBLISH, "Publishing by HTTP", language) for language in ("sh", "php", "js", "nginx")),  # also test_publish.py
    (DEPLOY / "scale/README.md", "From SQLite to PostgreSQL, and back", "text"),  # integration/test_scale.py
    (PACKAGING, "rowtail for Linux, in one file", "sh"),  # tests/portable/test_kit.py
}


def blocks(page, heading=None):
    return [block for block in pages.blocks(page) if heading in (None, block.heading)]


@pytest.mark.parametrize("page", sorted(DEPLOY.rglob("*.md")), ids=lambda page: str(page.relative_to(DEPLOY)))
def test_every_block_has_a_test(page):
    found = {(page, block.heading, block.language): block.line for block in blocks(page)}
    without = {line: key for key, line in found.items() if key not in COVERED}
    assert not without, "line: block without a test"
    assert {key for key in COVERED if key[0] == page} == set(found), "a test finds no block"
    assert not pages.indented(page), "code without a fence: no test reads it"


class Host:
    """A booted Debian with the web servers' configurations, rowtail's source in /src, and no rowtail."""

    copied = (
        "adduser.conf alternatives deluser.conf login.defs nsswitch.conf pam.d security mime.types ld.so.cache "
        "apache2 caddy haproxy lighttpd modsecurity nginx php ssl"
    ).split()
    directories = (
        "lib/apache2 lib/caddy lib/haproxy lib/nginx log/apache2 log/caddy log/lighttpd log/nginx cache/apache2 "
        "cache/lighttpd www"
    ).split()

    def __init__(self, place, machine):
        self.machine, self.root, self.place = machine, machine.root, place
        for name in self.copied:
            self.copy(name)
        for name in self.directories:
            if os.path.isdir(f"/var/{name}"):
                copy(f"/var/{name}", self.root / "var" / name)
        self.accounts()
        # The container has no network to wait for.
        for unit in "systemd-networkd", "systemd-networkd-wait-online":
            (self.root / f"etc/systemd/system/{unit}.service").symlink_to("/dev/null")
        for made in "root", "etc/default":
            (self.root / made).mkdir()
        for server in {*SERVERS.values()}:
            drop_in = self.root / f"etc/systemd/system/{server.unit}.service.d/haste.conf"
            drop_in.parent.mkdir()
            drop_in.write_text(HASTE)
        (self.root / "root/.curlrc").write_text(CURLRC)
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost www.example.org\n")
        (place / "local").mkdir()
        machine.bind(place / "local", "/usr/local")
        source(place / "src")
        machine.bind(place / "src", "/src")

    def copy(self, name):
        """Copies a file or directory of /etc from Debian's package."""
        target = self.root / "etc" / name
        if target.is_dir():
            shutil.rmtree(target)
        if os.path.exists(f"/etc/{name}"):
            copy(f"/etc/{name}", target)

    def accounts(self):
        """The users of this machine, without their passwords, and without one for rowtail."""
        for name, fields in {"passwd": None, "group": None, "shadow": "passwd", "gshadow": "group"}.items():
            text = pathlib.Path(f"/etc/{fields or name}").read_text()
            lines = [line for line in text.splitlines() if not line.startswith("rowtail:")]
            if fields:
                rest = ":*:::::::" if name == "shadow" else ":*::"
                lines = [line.partition(":")[0] + rest for line in lines]
            (self.root / "etc" / name).write_text("\n".join(lines) + "\n")

    def run(self, text, user="root", statuses=(0,)):
        """Runs a block in the source directory; returns its output."""
        words = ["env", "-i", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        shell = ["sh", "-ec", f"cd /src\n{text}"]
        if user != "root":
            shell = ["runuser", "-u", user, "--", *shell]
        done = self.machine.run(*words, *shell, check=False)
        said = done.stdout + done.stderr
        assert done.returncode in statuses, f"{text}{said}{self.journal()}"
        return said

    def journal(self):
        return self.machine.run("journalctl", "--no-pager", "--lines=30", check=False).stdout

    def use(self, block):
        return self.run(block.text)

    def systemctl(self, *words):
        done = self.machine.run("systemctl", *words, check=False)
        assert done.returncode == 0, done.stderr + self.journal()

    def connect(self):
        return fcgi.Connection(self.machine.path(SOCKET))


def copy(origin, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", origin, target], check=True)


def source(place):
    """A writable copy of the project after `make`. It keeps the times, so make has nothing to do."""
    left_out = shutil.ignore_patterns(".git", "node_modules", "__pycache__", "build")
    shutil.copytree(ROOT, place, ignore=left_out, symlinks=True)
    shutil.copytree(ROOT / "build/obj", place / "build/obj")
    for program in "rowtail", "rowtail-doctor":
        if (ROOT / "build" / program).exists():
            shutil.copy2(ROOT / "build" / program, place / "build" / program)


@pytest.fixture(scope="module")
def host():
    """A container in which rowtail was installed by the commands of the page."""
    with directory() as place, booted.machine(place) as machine:
        made = Host(place, machine)
        machine.boot()
        machine.run("systemd-tmpfiles", "--create", "--prefix=/run", "--prefix=/var", check=False)
        for block in blocks(README, INSTALL):
            if "curl" not in block.text:
                made.use(block)
        yield made


def test_install(host):
    """rowtail serves the channel that the page lets everyone read."""
    assert host.run("rowtail --version") and (host.place / "local/share/rowtail/rowtail-down.asis").exists()
    with host.connect() as stream:
        assert stream.ask("channel=news/a").next().type == "position"


@contextlib.contextmanager
def running(host, server):
    """Runs the web server as Debian configures it, and rowtail's socket as the page installs it."""
    packages.need(server.kind.program, server.kind.package)
    host.copy(server.kind.etc.name if hasattr(server.kind, "etc") else server.unit)
    if server.unit == "haproxy":
        with (host.root / "etc/haproxy/haproxy.cfg").open("a") as file:
            file.write("\nfrontend site\n\tbind :80\n")
    host.systemctl("restart", "rowtail.socket")
    try:
        host.systemctl("start", server.unit)
        yield
    finally:
        host.systemctl("stop", server.unit)
        host.run(f"rm -rf {DROP_INS}; systemctl daemon-reload")


def place(host, server, block):
    """Puts a snippet into the site, where the page says."""
    file, above = server.place
    path = host.root / "etc" / server.kind.etc.name / file
    text, count = re.subn(above, lambda found: f"{found[0]}\n{block.text}", path.read_text(), count=1)
    assert count == 1, text
    path.write_text(text)


def follow(host, heading):
    """Follows a section from top to bottom."""
    server = SERVERS[heading]
    snippets = [block for block in blocks(README, ABOVE.get(heading)) if block.language == server.language]
    for block in [*(snippets if heading in ABOVE else []), *blocks(README, heading)]:
        if block.language == "sh":
            host.use(block)
        else:
            place(host, server, block)
        if server.edit:
            file, old, new = server.edit
            path = host.root / "etc" / server.unit / file
            path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("heading", SERVERS)
def test_web_server(host, heading):
    """After the section, the command that shows a stream prints its first record."""
    (look,) = [block for block in blocks(README, INSTALL) if "curl" in block.text]
    with running(host, SERVERS[heading]):
        follow(host, heading)
        shows_a_stream(host, look)


def shows_a_stream(host, look):
    """For a moment some servers are not up yet, or still use their old configuration."""
    said = []

    def shows():
        said.append(host.run(look.text, statuses=(0, 7, 28)))
        return "event: position\n" in said[-1]

    wait_until(shows, "stream", lambda: said[-1] + host.journal())


def test_answer_while_rowtail_is_down(host):
    """nginx sends every line that the page shows."""
    (answer,) = blocks(README, DOWN)
    with running(host, NGINX):
        follow(host, "nginx")
        host.systemctl("stop", "rowtail.socket", "rowtail.service")
        shown, _, words = answer.text.partition("\n\n")

        def given():
            said = host.run("curl -m 10 -i -H 'Accept: text/event-stream' http://localhost/events", statuses=(0, 7))
            head, _, body = said.replace("\r\n", "\n").partition("\n\n")
            return set(shown.split("\n")) <= set(head.split("\n")) and words == body

        wait_until(given, "answer as on the page")
    host.systemctl("start", "rowtail.socket")


def test_new_version(host):
    """A client is told when to reconnect, and the new process serves the next one."""
    host.systemctl("restart", "rowtail.socket")
    with host.connect() as stream:
        assert stream.ask("channel=news/a").next().type == "position"
        upgrade, _ = blocks(README, SERVICE)
        host.use(upgrade)
        stream.wait_complete()
        assert stream.parser.reconnection_time is not None
    test_install(host)


@httpserver.needed
def test_without_a_web_server(host):
    """The last command shows a stream, and rowtail serves FastCGI as before."""
    (block,) = blocks(README, ALONE)
    said = host.run(block.text, statuses=(28,))
    assert "event: position\n" in said, said + host.journal()
    test_install(host)


def test_without_systemd(host):
    """spawn-fcgi's command, with the users and the path of the page."""
    _, spawn = blocks(README, SERVICE)
    host.systemctl("stop", "rowtail.socket", "rowtail.service")
    host.run("mkdir -p /run/rowtail")
    host.use(spawn)
    try:
        assert host.run(f"stat -c '%U %G %a' {SOCKET}").split() == ["www-data", "www-data", "660"]
        with host.connect() as stream:
            assert stream.ask("channel=news/a").next().type == "position"
    finally:
        pid = host.run("cat /run/rowtail/rowtail.pid").strip()
        host.run(f"kill {pid}; rm -r /run/rowtail")
        wait_until(lambda: not host.machine.path(f"/proc/{pid}").exists(), "end of rowtail")
        host.systemctl("start", "rowtail.socket")


def test_program_that_publishes(host):
    """A member of the group can insert, as the section says."""
    block, _, _ = blocks(README, USERS)
    host.run("id shop || useradd shop")
    insert = "sqlite3 /var/lib/rowtail/events.db \"INSERT INTO events(channel, data) VALUES ('news/a', 'hello')\""
    host.run(insert, user="shop", statuses=(1, 8, 14))
    host.use(block)
    with host.connect() as stream:
        assert stream.ask("channel=news/a").next().type == "position"
        host.run(insert, user="shop")
        assert stream.next_row().data == "hello"


def test_php_that_publishes(host):
    """PHP inserts by README's lines as soon as the commands have run, and not before."""
    units = sorted(pathlib.Path("/lib/systemd/system").glob("php*-fpm.service"))
    if not units:
        pytest.skip("there is no php-fpm")
    _, block, _ = blocks(README, USERS)
    (lines,) = (block.text for block in pages.blocks(ROOT / "README.md") if block.language == "php")
    script = host.root / "var/www/publish.php"
    script.write_text("<?php\n" + lines.replace("events.db", "/var/lib/rowtail/events.db") + 'echo "published";\n')
    host.run("gpasswd --delete www-data rowtail || true; mkdir -p /run/php")
    host.systemctl("start", units[0].name)

    def ask():
        (socket,) = host.machine.path("/run/php").glob("*.*-fpm.sock")
        with fcgi.Connection(socket) as peer:
            peer.ask(extra={"SCRIPT_FILENAME": "/var/www/publish.php"}).wait_complete()
            return bytes(peer.stderr).decode() + str(peer.body)

    try:
        assert "published" not in ask()
        host.use(block)
        assert "published" in ask()
    finally:
        host.systemctl("stop", units[0].name)


def test_log_in_the_database_of_an_application(host):
    """The service follows it, and its user goes on writing."""
    _, _, block = blocks(README, USERS)
    host.run("id shop || useradd shop; gpasswd --delete shop rowtail || true; install -d -o shop -g shop /srv/shop")
    host.run("sqlite3 /srv/shop/shop.db 'PRAGMA journal_mode = WAL; CREATE TABLE orders(id)'", user="shop")
    try:
        host.use(block)
        host.run("sqlite3 /srv/shop/shop.db \"INSERT INTO grants(subject, channel) VALUES ('*', '*')\"", user="shop")
        with host.connect() as stream:
            assert stream.ask("channel=news/a").next().type == "position"
            insert = "sqlite3 /srv/shop/shop.db \"INSERT INTO events(channel, data) VALUES ('news/a', 'hello')\""
            host.run(insert, user="shop")
            assert stream.next_row().data == "hello"
    finally:
        host.run("rm -r /etc/systemd/system/rowtail.service.d; install -m 644 deploy/rowtail.conf /etc/rowtail.conf")
        host.run("systemctl daemon-reload; systemctl restart rowtail")


def test_log_in_a_home_directory(host):
    """Nobody is told to let rowtail write into it."""
    host.run("useradd --create-home --key HOME_MODE=0700 ann; runuser -u ann -- sqlite3 /home/ann/events.db < schema/rowtail.sql")
    check = "runuser -u rowtail -- rowtail --check --db /home/ann/events.db"
    said = host.run(check, statuses=(66,))
    assert "rowtail may not enter the home directory /home/ann; put the database elsewhere" in said and "2770" not in said


def test_user_who_is_not_in_the_group_of_the_log(host):
    """A program that a web server starts runs as www-data. The message names the command that lets it read."""
    host.run("gpasswd --delete www-data rowtail || true")
    check = "rowtail --check --db /var/lib/rowtail/events.db"
    (command,) = re.findall(r'run "(.*?)" as root', host.run(check, user="www-data", statuses=(66,)))
    host.run(command)
    assert "WRONG" not in host.run(check, user="www-data")


def examine(host):
    """What rowtail-doctor says in the container: {finding: its cures}."""
    said = json.loads(host.run("rowtail-doctor --json --silence 1 'http://localhost/events?channel=news/a'", statuses=(0, 1, 2)))
    return {one["name"]: one["cures"] for one in said["findings"]}


def commands_for(host, finding):
    """The shell commands that the doctor prints for a finding, as soon as there is one: a server may not be up yet."""
    found = {}

    def is_found():
        found.update(examine(host))
        return finding in found

    wait_until(is_found, finding, host.journal)
    return [cure["lines"] for cure in found[finding] if cure["file"] == "a shell"]


@pytest.mark.parametrize("heading", ["nginx", "Apache", "lighttpd", "Caddy"])
def test_doctor_shows_why_the_socket_is_refused(host, heading):
    """The socket has another group than the web server. Of the commands that the doctor prints one shows it, one mends it."""
    doctor.need()
    with running(host, SERVERS[heading]):
        follow(host, heading)
        host.run(f"chgrp root {SOCKET}")
        restart, look = commands_for(host, "down")
        shown = "srw-rw---- 1 root root" if heading == "Caddy" else "Permission denied"
        assert shown in host.run(look)
        host.run(restart)
        wait_until(lambda: "open" in examine(host), "stream", host.journal)


def test_doctor_has_lighttpd_enable_rowtail(host):
    """Its lines are enough if the file was copied, and not enabled."""
    doctor.need()
    look = next(block for block in blocks(README, INSTALL) if "curl" in block.text)
    with running(host, LIGHTTPD):
        host.run("cp deploy/lighttpd/fastcgi.conf /etc/lighttpd/conf-available/98-rowtail.conf")
        (enable,) = commands_for(host, "not-found")
        host.run(enable)
        shows_a_stream(host, look)


def test_doctor_grants(host):
    """The line that it prints lets everyone read the channel."""
    doctor.need()
    with running(host, NGINX):
        follow(host, "nginx")
        host.run("runuser -u rowtail -- sqlite3 /var/lib/rowtail/events.db 'DELETE FROM grants'")
        (grant,) = commands_for(host, "access")
        host.run(grant)
        wait_until(lambda: "open" in examine(host), "stream", host.journal)


def test_publishing_by_http(host):
    """The commands of the page, one after the other in one shell, insert a row."""
    lines, snippet, look, _ = [block for block in blocks(PUBLISH) if block.language in ("sh", "nginx")]
    with running(host, NGINX):
        place(host, NGINX, snippet)
        said = host.run(lines.text + look.text)
        assert re.search(r'\{"ids":\[\d+\]\}', said), said + host.journal()
    assert "hello" in host.run("sqlite3 /var/lib/rowtail/events.db \"SELECT data FROM events WHERE channel = 'orders/42'\"")


SHARED_SITE = """
<VirtualHost *:443>
	ServerName www.example.org
	DocumentRoot /home/USER/public_html
	SSLEngine on
	SSLCertificateFile /etc/cert.pem
	SSLCertificateKeyFile /etc/key.pem
	<Directory /home/USER/public_html>
		Require all granted
		AllowOverride All
	</Directory>
</VirtualHost>
"""


def test_shared_host(host):
    """The way by hand, by the user that CGI programs run as."""
    make, chmod, grant, check, look = blocks(SHARED, "By hand, with a shell")
    webserver.certificate(host.root / "etc")
    with running(host, APACHE):
        (host.root / "etc/apache2/sites-available/shared.conf").write_text(SHARED_SITE)
        host.run("a2enmod cgid asis headers ssl && a2ensite shared && systemctl restart apache2")
        host.use(make)
        host.run(
            "mkdir -p /home/USER/rowtail /home/USER/public_html/events && mv events.db /home/USER/rowtail/\n"
            "cp build/rowtail /home/USER/rowtail/\n"
            "cp deploy/shared-hosting/.htaccess deploy/shared-hosting/events.cgi "
            "deploy/rowtail-down.asis /home/USER/public_html/events/\n"
            "chown -R www-data: /home/USER"
        )
        for block in chmod, grant, check:
            host.run(block.text, user="www-data")
        shows_a_stream(host, look)


ASKED = """
const asked = [];
globalThis.location = { href: 'http://127.0.0.1/' };
globalThis.token = async () => 't';
globalThis.sessionStorage = { getItem: () => null, setItem() {} };
globalThis.fetch = (url) => { asked.push(new URL(url).pathname); return new Promise(() => {}); };
setTimeout(() => { console.log(asked.join()); process.exit(); }, 200);
"""


def test_lines_of_the_browser_page(workdir):
    """They ask for the stream, and name no option that is unknown; in Node.js, which has no page."""
    node = nodejs.find()
    if not node:
        pytest.skip("no Node.js here")
    texts = [block.text for block in blocks(BROWSER) if block.language == "js"]
    (html,) = (block.text for block in blocks(BROWSER) if block.language == "html")
    loads, inline = re.fullmatch(r'<script src="/(\S+)"></script>\n<script>\n(.*)</script>\n', html, re.S).groups()
    modules = [text if "import" in text else f"import {{ Rowtail }} from '/rowtail.js';\n{text}" for text in texts]
    modules.append((DEPLOY / "browser" / loads).read_text() + inline)
    shutil.copy(DEPLOY / "browser" / "rowtail.js", workdir / "rowtail.mjs")
    for number, text in enumerate(modules):
        file = workdir / f"{number}.mjs"
        file.write_text(ASKED + text.replace("'/rowtail.js'", "'./rowtail.mjs'"))
        done = subprocess.run([node, file], capture_output=True, text=True, timeout=60)
        assert done.stdout == "/events\n", text + done.stderr
    options = re.findall(r"(?m)^  (\w+):", texts[1])
    declared = (DEPLOY / "browser" / "rowtail.d.ts").read_text()
    assert options and all(re.search(rf"\b{option}\?:", declared) for option in options)


def test_grant_of_the_access_page(workdir):
    (block,) = blocks(ACCESS)
    with database.Database.create(workdir / "events.db") as log, sqlite3.connect(log.path) as db:
        db.executescript(block.text)
        assert db.execute("SELECT subject, channel FROM grants").fetchall() == [("user:ann", "orders")]


# The commands at the top of each file, which the reader runs in the file's directory, and the lines to add to a site.
WORDS = "adduser a2enconf a2enmod cat chmod cp echo htpasswd install lighty-enable-mod mkdir openssl runuser systemctl ./login.py"
COMMAND = re.compile(rf"^(?:#|//)? {{3,5}}((?:{'|'.join(map(re.escape, WORDS.split()))}) .*?)(?: {{3,}}.*)?$", re.M)
LINE = re.compile(r"^#   (?:include|Include|import) \S+?$", re.M)
CHECKS = {
    "nginx": "nginx -t",
    "apache": "apachectl -t",
    "lighttpd": "lighttpd -tt -f /etc/lighttpd/lighttpd.conf",
    "caddy": "caddy validate --config /etc/caddy/Caddyfile",
    "haproxy": "haproxy -c -f /etc/haproxy/haproxy.cfg",
    "varnish": "varnishd -C -f /etc/varnish/default.vcl",
    "": "true",
}
# The files that those in access/ need.
BESIDE = {
    "nginx": "nginx/fastcgi.conf",
    "apache": "apache/proxy-fcgi.conf",
    "lighttpd": "lighttpd/fastcgi.conf",
    "caddy": "caddy/Caddyfile",
}
SITES = {
    "nginx": NGINX.place,
    "apache": APACHE.place,
    "caddy": ("Caddyfile", r"(?m)^\timport rowtail$"),
    "varnish": ("default.vcl", r'(?m)^# new 4\.0 format\.$|^vcl 4\.\d;$'),
}


def commands(file):
    text = (DEPLOY / file).read_text()
    found = COMMAND.findall(text)
    return [command.replace("\\\\n", "\\n") for command in found] if file.endswith(".py") else found


def kind_of(file):
    kinds = ("nginx", "apache", "lighttpd", "caddy", "haproxy", "varnish")
    return next((kind for kind in kinds if kind in file.lower()), "")


FILES = sorted(
    str(path.relative_to(DEPLOY))
    for path in DEPLOY.rglob("*")
    if path.is_file() and path.suffix in (".conf", ".cfg", ".vcl", ".php", ".py", ".service", ".socket", "")
    and COMMAND.search(path.read_text())
    and path.parent.name != "container"  # packages/test_container.py runs its commands
    and path.stem != "client"  # code that looks like a command; integration/test_client_recipe.py runs it
)


def do(host, file):
    """Runs a file's commands and adds its lines to the site."""
    # The answer to a question for a password.
    lines = "\n".join(commands(file))
    host.run(f"cd {(DEPLOY / file).parent.relative_to(ROOT)}; printf 'a\\na\\n' | {{ set -e; {lines}\n}}")
    wanted = [line.removeprefix("#   ") for line in LINE.findall((DEPLOY / file).read_text())]
    kind = kind_of(file)
    # The line in fcgid.conf is for one site only, and needs more changes.
    if wanted and file != "apache/fcgid.conf":
        name, above = SITES[kind]
        path = host.root / "etc" / kind.replace("apache", "apache2") / name
        wanted = [line for line in wanted if line not in path.read_text()]
        text, count = re.subn(above, lambda found: "\n".join([found[0], *wanted]), path.read_text(), count=1)
        assert count == 1, text
        path.write_text(text)


@pytest.mark.parametrize("file", FILES)
def test_first_lines_of_a_file(host, file):
    """After the commands the server accepts its configuration."""
    kind = kind_of(file)
    program = {"varnish": "varnishd", "apache": "apache2"}.get(kind, kind)
    if kind:
        packages.need(shutil.which(program, path="/usr/sbin:/usr/bin") or f"/usr/sbin/{program}", program)
        host.copy(kind.replace("apache", "apache2"))
    try:
        if kind == "caddy":
            host.systemctl("start", "caddy")
        if file.startswith("access/") and kind:
            do(host, BESIDE[kind])
        do(host, file)
        host.run(CHECKS[kind])
    finally:
        if kind in ("apache", "caddy", "lighttpd"):
            host.systemctl("stop", program)
        if kind == "haproxy":
            host.run(f"rm -rf {DROP_INS}; systemctl daemon-reload; systemctl restart rowtail.socket")
