"""`systemctl reload lighttpd` with Debian's own unit and files, under a systemd that has booted.

lighttpd is no longer root when it is reloaded, and may not write its PID file: what works for a server
started by a test need not work for the service.
"""

import os
import shutil
import subprocess
import time

import pytest

import booted
import database
import rowtail
from conftest import directory
from deployment import wait_until
from webserver import DEPLOY, deployed

WWW_DATA = booted.USERS["www-data"]
PAGE = "http://127.0.0.1/index.html"
STREAM = "http://127.0.0.1/events?last_event_id=0"
SERVICE = """
[Service]
ExecStart=/usr/local/bin/rowtail --listen /run/rowtail/rowtail.sock /etc/rowtail.conf
User=www-data
RuntimeDirectory=rowtail
"""


class Service:
    """lighttpd as Debian installs it, with deploy/lighttpd/fastcgi.conf as its first lines say."""

    def __init__(self, place, machine):
        self.machine = machine
        root = machine.root
        shutil.copytree("/etc/lighttpd", root / "etc/lighttpd", symlinks=True)
        shutil.copy("/etc/mime.types", root / "etc")
        shutil.copytree("/etc/alternatives", root / "etc/alternatives", symlinks=True)  # awk is one
        for link in (root / "etc/lighttpd/conf-enabled").iterdir():
            link.unlink()
        shutil.copy(DEPLOY / "lighttpd/fastcgi.conf", root / "etc/lighttpd/conf-available/98-rowtail.conf")
        for name in "log/lighttpd", "cache/lighttpd/uploads", "www/html", "lib/rowtail":
            (root / "var" / name).mkdir(parents=True)
            os.chown(root / "var" / name, WWW_DATA, WWW_DATA)
        (root / "var/www/html/index.html").write_text("a page\n")
        (root / "etc/rowtail.conf").write_text(deployed("rowtail.conf", {"#public = yes": "public = yes"}))
        (root / "etc/systemd/system/rowtail.service").write_text(SERVICE)
        self.log = database.Database.create(root / "var/lib/rowtail/events.db")
        for path in (root / "var/lib/rowtail").iterdir():
            os.chown(path, WWW_DATA, WWW_DATA)
        local = place / "local"
        (local / "bin").mkdir(parents=True)
        shutil.copy(rowtail.BINARY, local / "bin")
        shutil.copytree(DEPLOY, local / "share/rowtail", dirs_exist_ok=True)
        machine.bind(local, "/usr/local", read_only=True)

    def start(self):
        self.machine.boot()
        self.machine.run("lighty-enable-mod", "rowtail")
        self.machine.run("systemctl", "start", "rowtail", "lighttpd")
        wait_until(self.page, "page of the site")
        return self

    def page(self):
        said = self.machine.run("curl", "-sm", "2", PAGE, check=False).stdout
        return said == "a page\n"

    def listen(self, out):
        """curl with a stream open, its output in a file."""
        with out.open("wb") as file:
            command = [*self.machine.enter, "curl", "-sN", STREAM]
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file)


@pytest.fixture
def service():
    with directory() as place, booted.machine(place) as machine:
        made = Service(place, machine)
        yield made
        made.log.close()


def test_systemctl_reload(service, tmp_path):
    service.start()
    (pid,) = service.machine.show("lighttpd", "MainPID")
    for turn in range(2):
        service.log.insert(f"row {turn}")
        out = tmp_path / f"stream {turn}"
        listening = service.listen(out)
        wait_until(lambda: f"row {turn}" in out.read_text(), f"row {turn}", out.read_text)
        began = time.monotonic()
        service.machine.run("systemctl", "reload", "lighttpd")
        assert service.page()
        assert time.monotonic() - began < 3
        # The stream continues until graceful-shutdown-timeout is over.
        service.log.insert(f"late row {turn}")
        wait_until(lambda: f"late row {turn}" in out.read_text(), "late row", out.read_text)
        time.sleep(0.5)  # lighttpd exits on a second SIGUSR1 while it restarts
        listening.terminate()
        listening.wait()
    main, restarts, state = service.machine.show("lighttpd", "MainPID", "NRestarts", "ActiveState")
    assert (main, restarts, state) == (pid, "0", "active")
    error_log = (service.machine.root / "var/log/lighttpd/error.log").read_text()
    assert error_log.count("server started") == 3, error_log
    wait_until(lambda: one_process(service), "end of the old processes")


def one_process(service):
    return len(service.machine.run("pgrep", "-x", "lighttpd").stdout.split()) == 1
