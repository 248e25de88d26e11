"""The units of deploy/systemd, unchanged, under a booted systemd: what stops them for good."""

import os
import re
import shutil
import sqlite3
import subprocess
import time

import pytest

import booted
import database
import fcgi
import httpserver
import publisher
import rowtail
import writers
from conftest import directory
from deployment import wait_until
from webserver import DEPLOY, deployed

SOCKET = "/run/rowtail/rowtail.sock"
PUBLISHING = ("rowtail-publish.socket", "rowtail-publish.service")
ROWTAIL = booted.USERS["rowtail"]
SCHEMA = DEPLOY.parent / "schema" / "rowtail.sql"
# The pauses make this slow; shorter ones would stop the units sooner, if anything does.
HASTE = "[Service]\nRestartSec=20ms\n"


class Units:
    """Both units in a machine; the log's directory does not exist yet."""

    def __init__(self, place, machine):
        self.machine = machine
        self.data = machine.root / "var/lib/rowtail"
        system = machine.root / "etc/systemd/system"
        for name in ("rowtail.socket", "rowtail.service", "rowtail-http.socket", *PUBLISHING):
            shutil.copy(DEPLOY / "systemd" / name, system)
        (system / "rowtail.service.d").mkdir()
        (system / "rowtail.service.d" / "haste.conf").write_text(HASTE)
        (machine.root / "etc/rowtail.conf").write_text(deployed("rowtail.conf", {}) + "public = yes\n")
        local = place / "local" / "bin"
        local.mkdir(parents=True)
        shutil.copy(rowtail.BINARY, local)
        shutil.copy(publisher.BINARY, local)
        (machine.root / "etc/rowtail-publish.conf").write_text(deployed("publish/rowtail-publish.conf", {}))
        machine.bind(place / "local", "/usr/local", read_only=True)

    def start(self):
        self.machine.boot()
        self.machine.run("systemctl", "start", "rowtail.socket")
        return self

    def make_log(self):
        """Creates the log as the comment in rowtail.service says, atomically."""
        made = self.data.with_name("made")
        made.mkdir()
        with database.Database.create(made / "events.db"):
            pass
        for path in (made, *made.iterdir()):
            os.chown(path, ROWTAIL, ROWTAIL)
        made.chmod(0o2770)
        (made / "events.db").chmod(0o660)
        if self.data.exists():
            os.rename(made / "events.db", self.data / "events.db")
        else:
            os.rename(made, self.data)

    def insert(self, data):
        with database.Database(self.data / "events.db") as log:
            return log.insert(data)

    def connect(self):
        return fcgi.Connection(self.machine.path(SOCKET))

    def states(self):
        """The states of the socket and the service."""
        return [
            self.machine.show(unit, "ActiveState", "Result")
            for unit in ("rowtail.socket", "rowtail.service")
        ]

    def wait_restarts(self, count):
        """Waits until the service was restarted so many times; neither unit may have stopped for good."""

        def enough():
            states = self.states()
            assert "failed" not in [state for state, _ in states], (states, self.said())
            return int(self.machine.show("rowtail.service", "NRestarts")[0]) >= count

        wait_until(enough, f"{count} restarts")

    def said(self):
        """The service's output."""
        journal = ["journalctl", "--no-pager", "--output=cat", "--unit=rowtail.service"]
        return self.machine.run(*journal, check=False).stdout[-4000:]


@pytest.fixture
def units():
    with directory() as place, booted.machine(place) as machine:
        yield Units(place, machine)


def assert_serves(units, stream):
    """A waiting client is served, and gets what is published now."""
    assert stream.next().type == "position"
    row = units.insert("hello")
    assert stream.next().last_event_id == str(row)
    assert [state for state, _ in units.states()] == ["active", "active"]


@pytest.mark.parametrize("missing", ["directory", "database"])
def test_database_missing_for_a_long_time(units, missing):
    """More starts fail than systemd's limits allow, while clients keep connecting; then it serves."""
    if missing == "database":
        units.data.mkdir()
        os.chown(units.data, ROWTAIL, ROWTAIL)
    units.start()
    with units.connect() as waiting:
        waiting.ask()
        for count in (8, 20, 40):
            units.wait_restarts(count)
            units.connect().ask().close()
        units.make_log()
        assert_serves(units, waiting)
        waiting.close()
    with units.connect() as later:
        assert_serves(units, later.ask())


def test_process_that_crashes_repeatedly(units):
    units.make_log()
    units.start()
    for _ in range(8):
        with units.connect() as stream:
            assert stream.ask().next().type == "position"
            units.machine.run("systemctl", "kill", "--signal=KILL", "rowtail.service")
            stream.wait(lambda: stream.eof, "end of the connection")
    with units.connect() as stream:
        assert_serves(units, stream.ask())


def test_rowtail_works_in_the_sandbox(units):
    """It starts first and creates the -wal and -shm; writers of its group can use them."""
    units.make_log()
    assert [path.name for path in units.data.iterdir()] == ["events.db"]
    units.start()
    with units.connect() as stream:
        assert_serves(units, stream.ask())
        assert (units.data / "events.db-shm").stat().st_mode & 0o777 == 0o660
        units.machine.run("systemctl", "restart", "rowtail.service")
        stream.wait_complete()
        assert stream.parser.reconnection_time is not None


ASK_OFTEN = """
while [ ! -e /run/enough ]; do
	curl -s -m 20 -o /run/body -w '%{http_code}\n' "http://127.0.0.1:8080/events?format=json" || echo "curl:$?"
done
"""


@httpserver.needed
def test_http_socket_refuses_nobody_at_a_restart(units):
    """systemd's socket for HTTP beside that for FastCGI, in the same sandbox."""
    units.make_log()
    units.start()
    units.machine.run("systemctl", "start", "rowtail-http.socket")
    asking = subprocess.Popen(
        [*units.machine.enter, "sh", "-c", ASK_OFTEN], stdout=subprocess.PIPE, text=True
    )
    for again in ["restart"], ["restart"], ["kill", "--signal=KILL"]:
        time.sleep(0.3)
        units.machine.run("systemctl", *again, "rowtail.service")
    with units.connect() as stream:
        assert_serves(units, stream.ask())
    units.machine.run("touch", "/run/enough")
    statuses = asking.communicate(timeout=60)[0].split()
    failed = [status for status in statuses if status != "200"]
    # Only the request that was in progress at the kill may end without an answer (52, 56: none, or a part).
    assert len(statuses) > 10 and failed in ([], ["000", "curl:52"], ["000", "curl:56"]), statuses


def test_two_services_share_the_socket(units):
    """A second service with the same Sockets=. systemd makes the socket blocking each time that it starts one."""
    system = units.machine.root / "etc/systemd/system"
    service = (system / "rowtail.service").read_text()
    (system / "rowtail2.service").write_text(service.replace("[Service]\n", "[Service]\nSockets=rowtail.socket\n"))
    units.make_log()
    units.start()
    units.machine.run("systemctl", "start", "rowtail.service", "rowtail2.service")
    opened = [units.connect() for _ in range(40)]
    for stream in opened:
        assert stream.ask().next().type == "position"
    for service in "rowtail2.service", "rowtail.service":
        units.machine.run("systemctl", "restart", service)
    row = units.insert("hello")
    for stream in opened:
        stream.wait(lambda stream=stream: stream.rows or stream.eof, "row, or end")
        if stream.rows:
            continue
        assert stream.parser.reconnection_time is not None
        with units.connect() as again:
            again.ask(f"last_event_id={stream.parser.last_event_id}")
            assert again.wait_rows(1)[0].last_event_id == str(row)
    for stream in opened:
        stream.close()


def test_log_outside_the_sandbox_paths(units):
    """The path is missing in ReadWritePaths=: the message names it, and the unit keeps retrying."""
    elsewhere = units.machine.root / "srv"
    elsewhere.mkdir()
    os.chown(elsewhere, ROWTAIL, ROWTAIL)
    config = units.machine.root / "etc/rowtail.conf"
    config.write_text("db = /srv/events.db\npublic = yes\n")
    units.data = elsewhere
    units.make_log()
    units.start()
    with units.connect() as stream:
        stream.ask()
        wait_until(lambda: "ReadWritePaths=" in units.said(), "sentence")
        (units.machine.root / "etc/systemd/system/rowtail.service.d/path.conf").write_text(
            "[Service]\nReadWritePaths=/srv\n"
        )
        units.machine.run("systemctl", "daemon-reload")
        assert_serves(units, stream)
    with sqlite3.connect(elsewhere / "events.db") as log:
        assert log.execute("SELECT count(*) FROM events").fetchone() == (1,)


def test_lasting_lock_is_named_in_the_sandbox(units):
    """The sandbox hides other processes, but not that one of them has the lock."""
    units.make_log()
    exclusive = ["PRAGMA locking_mode=EXCLUSIVE", "INSERT INTO events(data) VALUES ('mine')"]
    units.machine.boot()
    path = "/var/lib/rowtail/events.db"
    with writers.holding(path, *exclusive, before=units.machine.enter) as holder:
        units.machine.run("systemctl", "start", "rowtail.socket")

        def told():
            with units.connect() as stream:
                stream.ask().wait_complete()
            return "locking_mode=EXCLUSIVE" in units.said()

        wait_until(told, "sentence")
        assert re.search(r"is locked by process \d+", units.said()), units.said()
        holder.stdin.close()
    with units.connect() as stream:
        assert_serves(units, stream.ask())


def test_publishing_as_a_service(units):
    """Nobody may publish at first; rows go through the sandbox into the log; a restart or kill refuses nobody."""
    units.make_log()
    units.start()
    units.machine.run("systemctl", "start", PUBLISHING[0])
    address = units.machine.path("/run/rowtail/publish.sock")
    assert publisher.post(address, "x", path="/orders/1", user="ann").status == 403
    with database.Database(units.data / "events.db") as log:
        log.sql("INSERT INTO publishers(subject, channel) VALUES ('user:ann', 'orders/*')")
    for turn, again in enumerate([[], ["restart"], ["kill", "--signal=KILL"]], 1):
        if again:
            units.machine.run("systemctl", *again, PUBLISHING[1])
        answer = publisher.post(address, f"row {turn}", path="/orders/1", user="ann")
        assert answer.json == {"ids": [turn]}, answer.text
    with database.Database(units.data / "events.db") as log:
        assert log.sql("SELECT data FROM events") == [("row 1",), ("row 2",), ("row 3",)]
        for path in units.data.iterdir():
            assert path.stat().st_mode & 0o660 == 0o660, path
