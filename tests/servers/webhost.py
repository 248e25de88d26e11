"""A web host with one account, as hosts set it up: Apache with suexec, mod_cgid and a .htaccess, and PHP-FPM.

CGI programs and PHP run as the account's user, who has no shell and a limit of processes. Apache, PHP and suexec see
an /etc of their own, by a mount namespace: suexec runs programs of users in /etc/passwd only, and only below the
directory that Debian's apache2-suexec-custom names in /etc/apache2/suexec.
"""

import contextlib
import glob
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import urllib.parse

import pytest

import database
import httpc
import rowtail
import webserver
from conftest import directory
from deployment import wait_until

KIT = webserver.DEPLOY / "shared-hosting"
USER, USER_ID = "ann", 64031
CODE = "a word of my own"
SUEXEC = pathlib.Path("/etc/apache2/suexec/www-data")
FPM = sorted(glob.glob("/usr/sbin/php-fpm*"))

FRONT = """
RewriteEngine On
RewriteRule ^index\\.php$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /index.php [L]
"""
POOL = """
[global]
error_log = {logs}/fpm.log
pid = {run}/fpm.pid
daemonize = no
[site]
user = {user}
group = {user}
listen = {run}/fpm.sock
listen.mode = 0666
pm = ondemand
pm.max_children = 3
php_admin_value[disable_functions] = {forbidden}
php_admin_value[allow_url_fopen] = {fopen}
"""


def need():
    """Skips the test where no such host can be made."""
    if os.geteuid() != 0:
        pytest.skip("only root can run programs as several users")
    if not SUEXEC.exists() or not FPM:
        pytest.skip("this release of Debian has no apache2-suexec-custom or no php-fpm")
    if subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode:
        pytest.skip("may not mount here")


class Apache(webserver.Apache):
    """The host's own server. processes: RLimitNPROC; web: the web root, in the account's home."""

    modules = [*webserver.Apache.modules, "asis", "headers", "rewrite", "suexec", "proxy", "proxy_fcgi"]
    processes = 60
    web = "public_html"
    allow_override = "All"

    def configure(self, configuration):
        self.home = self.directory / "home" / USER
        self.www = self.home / self.web
        super().configure("")

    def site(self):
        inside = f"""
	SuexecUserGroup {USER} {USER}
	RLimitNPROC {self.processes} {self.processes}
	<FilesMatch "\\.php$">
		SetHandler "proxy:unix:{self.directory}/tmp/fpm.sock|fcgi://localhost"
	</FilesMatch>
</VirtualHost>"""
        return super().site().replace("</VirtualHost>", inside)

    def namespace(self, *command):
        """Runs a command with the host's /etc."""
        mounts = [
            ["mount", "--bind", self.directory / name, target]
            for name, target in {"passwd": "/etc/passwd", "group": "/etc/group", "suexec": SUEXEC}.items()
        ]
        mounts.append(["mount", "-t", "tmpfs", "none", "/var/log/apache2"])
        lines = [shlex.join(map(str, words)) for words in mounts]
        return ["unshare", "--mount", "sh", "-ec", "\n".join([*lines, "exec " + shlex.join(map(str, command))])]

    def command(self):
        return self.namespace(*super().command())


class Account:
    """The account, with the files of the kit uploaded to public_html/events. Not started yet.

    forbidden: PHP's disable_functions; fopen: its allow_url_fopen; curl: whether it has this extension
    php_user: whom PHP runs as; code: the phrase in setup.php; front: the .htaccess of the site
    """

    def __init__(
        self,
        directory,
        server=Apache,
        forbidden="",
        fopen="on",
        curl=False,
        php_user=USER,
        code=CODE,
        folder="events",
        front=FRONT,
    ):
        self.directory = directory
        self.home = directory / "home" / USER
        self.www = self.home / server.web
        self.place = self.www / folder
        self.db = self.home / "rowtail" / "events.db"
        self.mount = f"/{folder}"
        self.www.mkdir(parents=True)
        for name in "passwd", "group":
            line = f"{USER}:x:{USER_ID}:" + (f"{USER_ID}::{self.home}:/usr/sbin/nologin" if name == "passwd" else "")
            (directory / name).write_text(pathlib.Path(f"/etc/{name}").read_text() + line + "\n")
        (directory / "suexec").write_text(f"{directory}/home\npublic_html/cgi-bin\n")
        self.upload(code)
        (self.www / ".htaccess").write_text(front)
        (self.www / "index.php").write_text("<?php echo 'the application';\n")
        self.server = server(directory, "")
        pool = {"logs": self.server.logs, "run": directory / "tmp", "user": php_user, "forbidden": forbidden, "fopen": fopen}
        (directory / "fpm.conf").write_text(POOL.format(**pool))
        self.fpm, self.curl = None, curl
        self.own()

    def upload(self, code):
        """As the README says: the folder, with the program and the schema."""
        shutil.copytree(KIT, self.place)
        shutil.copy(rowtail.BINARY, self.place)
        shutil.copy(database.SCHEMA, self.place)
        with (self.place / "events.cgi").open("a") as program:
            program.write("heartbeat = 1\n")  # the ends of streams are noticed soon
        text = (self.place / "setup.php").read_text()
        assert "$code = '';" in text
        (self.place / "setup.php").write_text(text.replace("$code = '';", f"$code = '{code}';"))

    def own(self):
        """Everything in the home belongs to the account."""
        for path in [self.home, *self.home.rglob("*")]:
            os.chown(path, USER_ID, USER_ID, follow_symlinks=False)

    def start(self):
        command = self.server.namespace(FPM[-1], "-F", "-n", "-y", self.directory / "fpm.conf", *extensions(self.curl))
        self.fpm = webserver.start(command, self.server.logs / "fpm-console.log")
        wait_until((self.directory / "tmp" / "fpm.sock").exists, "PHP-FPM", self.server.log)
        self.server.start()
        return self

    def stop(self):
        self.server.stop()
        webserver.end(self.fpm)
        for pid in self.programs():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 15)

    def programs(self):
        """The rowtail processes of the account."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if path.stat().st_uid == USER_ID and os.readlink(path / "exe").startswith(str(self.directory)):
                    found.append(int(path.name))
        return found

    # What a visitor, or the owner, does.

    def open(self, target, **how):
        return httpc.open_request(self.server.address, target, **how)

    def page(self, target, accept="*/*", **how):
        """A finished answer; .text is its body."""
        with self.open(target, accept=accept, **how) as answer:
            answer.wait_head()
            answer.wait(lambda: answer.complete or answer.eof, "the end of the answer", 60)
            answer.text = answer.body.decode(errors="replace")
            return answer

    def follow(self, query, **how):
        return self.open(f"{self.mount}/events.cgi?{query}", **how)

    def setup(self, **fields):
        """Presses the button of setup.php; returns the answer."""
        fields = {"code": CODE, "folder": str(self.db.parent), "public": "news/*", **fields}
        form = urllib.parse.urlencode(fields).encode()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Host": f"127.0.0.1:{self.server.port}",
        }
        return self.page(f"{self.mount}/setup.php", method="POST", body=form, headers=headers)


def extensions(curl):
    """PDO's SQLite, and JSON before PHP 8; -n leaves out the rest of Debian's configuration."""
    json = ["json"] if glob.glob("/usr/lib/php/*/json.so") else []
    return [word for name in ["pdo", "pdo_sqlite", *json, *["curl"] * curl] for word in ("-d", f"extension={name}.so")]


def lines(answer, kind):
    """The sentences of this kind on setup.php's page."""
    return re.findall(rf'<dt class="{kind}">{kind}</dt><dd>(.*?)</dd>', answer.text, re.S)


@contextlib.contextmanager
def account(**how):
    need()
    with directory() as path:
        made = Account(path, **how)
        try:
            yield made
        finally:
            made.stop()
