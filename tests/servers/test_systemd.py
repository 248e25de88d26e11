"""The units of deploy/systemd, socket activation, spawn-fcgi, and a new version taking over."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

import fcgi
import rowtail
import webserver
from conftest import directory
from deployment import wait_until
from follower import Crowd, Publisher, finish
from webserver import as_user, deployed, give

UNITS = ("rowtail.socket", "rowtail.service", "rowtail-http.socket")


@pytest.fixture
def place(shared_log):
    """A directory with rowtail's binary and CONFIG file, which the web server's user can read."""
    with directory() as path:
        (path / "run").mkdir()
        give(path / "run")
        shutil.copy(rowtail.BINARY, path / "rowtail")
        defaults = {
            "/usr/local/bin/rowtail": path / "rowtail",
            "/var/lib/rowtail/events.db": shared_log.path,
            "#public = yes": "public = yes",  # as shipped it grants nothing
        }
        (path / "rowtail.conf").write_text(deployed("rowtail.conf", defaults))
        yield path


@pytest.fixture
def units(place):
    """Both units, with rowtail's real path."""
    binary = {"/usr/local/bin/rowtail": str(place / "rowtail")}
    for name in UNITS:
        text = deployed(f"systemd/{name}", binary if name.endswith(".service") else {})
        (place / name).write_text(text)
    return [place / name for name in UNITS]


def analyze(*arguments):
    done = subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def systemd_version():
    return int(re.search(r"systemd (\d+)", analyze("--version")[1])[1])


def test_units_are_valid(units):
    """Older versions of systemd ignore what they do not know."""
    status, said = analyze("verify", "--man=no", *units)
    unknown = "Unknown key name '\\w+' in section|Failed to parse address family, ignoring: none|Couldn't move remaining"
    if systemd_version() < 249:
        said = re.sub(f".*({unknown}).*\n", "", said)
    assert (status, said) == (0, "")


def test_haproxys_socket_is_valid(units):
    """The drop-in of deploy/haproxy puts the socket into the chroot, and nowhere else."""
    drop_in = units[0].with_name(units[0].name + ".d")
    drop_in.mkdir()
    shutil.copy(webserver.DEPLOY / "haproxy" / "rowtail.socket.conf", drop_in / "haproxy.conf")
    status, said = analyze("verify", "--man=no", *units)
    assert status == 0 and "haproxy.conf" not in said, said
    server = (webserver.DEPLOY / "haproxy" / "rowtail.cfg").read_text()
    inside = re.search(r"(?m)^\tserver rowtail unix@(\S+)", server)[1]
    chroot = re.search(r"(?m)^\s*chroot (\S+)", (webserver.HAProxy.etc / "haproxy.cfg").read_text())[1]
    text = (drop_in / "haproxy.conf").read_text()
    assert re.findall(r"(?m)^ListenStream=(.*)$", text) == ["", chroot + inside]


def test_sandbox_is_tight(units):
    if systemd_version() < 250:
        pytest.skip("systemd-analyze security reads no files here")
    _, said = analyze("security", "--offline=yes", "--no-pager", units[1])
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert float(exposure[1]) <= 0.5, said


def test_publishing_has_valid_and_tight_units(place):
    names = "rowtail-publish.socket", "rowtail-publish.service"
    binary = {"/usr/local/bin/rowtail-publish": str(place / "rowtail")}
    for name in names:
        (place / name).write_text(deployed(f"systemd/{name}", binary if name.endswith(".service") else {}))
    status, said = analyze("verify", "--man=no", *[place / name for name in names])
    if systemd_version() >= 249:
        assert (status, said) == (0, "")
    if systemd_version() >= 250:
        _, said = analyze("security", "--offline=yes", "--no-pager", place / names[1])
        exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
        assert float(exposure[1]) <= 0.5, said


def test_mirrors_unit_is_valid_and_tight(place):
    unit = place / "rowtail-mirror.service"
    unit.write_text(deployed("systemd/rowtail-mirror.service", {"/usr/local/bin/rowtail-mirror": str(place / "rowtail")}))
    status, said = analyze("verify", "--man=no", unit)
    if systemd_version() >= 249:
        assert (status, said) == (0, "")
    if systemd_version() >= 250:
        _, said = analyze("security", "--offline=yes", "--no-pager", unit)
        exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
        assert float(exposure[1]) <= 2, said


def allowed_calls():
    """The system calls that the unit's filter lets through."""
    text = (webserver.DEPLOY / "systemd" / "rowtail.service").read_text()
    allowed = set()
    for line in re.findall(r"(?m)^SystemCallFilter=(.*)$", text):
        names = set().union(*map(members, line.lstrip("~").split()))
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


def members(group):
    """The names in one of systemd's groups, including nested groups."""
    _, said = analyze("syscall-filter", "--no-pager", group)
    names = set()
    for line in said.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            names |= members(word)
        elif word and not word.startswith("#"):
            names.add(word)
    return names


def test_filter_allows_rowtails_system_calls(place, shared_log):
    """The unit allows every system call of a whole run, from execve to exit."""
    trace = place / "run" / "trace"
    command = ["strace", "-D", "-f", "-q", "-o", trace, place / "rowtail", place / "rowtail.conf"]
    command = as_user(command)  # SQLite behaves differently as root: it calls fchown
    traced = rowtail.Rowtail(place, command[1:], how="systemd", program=command[0]).start()
    stream = traced.open()
    row = shared_log.insert("seen by strace")
    assert stream.next().last_event_id == str(row)
    traced.ask("channel=a*b").wait_complete()
    traced.stop()
    stream.wait_complete()
    wait_until(lambda: "+++ exited with 0 +++" in trace.read_text(), "end of the trace")
    called = set(re.findall(r"(?m)^\d+ +(\w+)\(", trace.read_text()))
    assert {"execve", "epoll_ctl", "inotify_add_watch"} <= called
    assert called - allowed_calls() == set()


def test_socket_activation(place, shared_log):
    """The first connection starts it, and is served."""
    address = place / "run" / "activated.sock"
    command = ["/usr/bin/systemd-socket-activate", "-l", address, place / "rowtail"]
    activated = webserver.start([*command, place / "rowtail.conf"], place / "activated.log")
    try:
        wait_until(address.exists, "socket")
        with fcgi.Connection(address) as stream:
            assert stream.ask().next().type == "position"
            row = shared_log.insert("activated")
            assert stream.next().last_event_id == str(row)
    finally:
        webserver.end(activated)


def test_spawn_fcgi(place, shared_log):
    """The command of README.md."""
    text = (webserver.DEPLOY / "README.md").read_text()
    command = re.search(r"(?m)^spawn-fcgi .*$", text)[0]
    address = place / "run" / "spawned.sock"
    for default, here in {
        "/run/rowtail/rowtail.sock": address,
        "/run/rowtail/rowtail.pid": place / "rowtail.pid",
        "/usr/local/bin/rowtail": place / "rowtail",
        "/etc/rowtail.conf": place / "rowtail.conf",
        "-u rowtail -g rowtail": f"-u {webserver.USER} -g {webserver.USER}",
    }.items():
        assert default in command, command
        command = command.replace(default, str(here))
    if not webserver.AS_ROOT:
        command = re.sub(r" -[ugUG] \S+", "", command)
    subprocess.run(command.split(), check=True, timeout=20, capture_output=True)
    pid = int((place / "rowtail.pid").read_text())
    try:
        with fcgi.Connection(address) as stream:
            assert stream.ask().next().type == "position"
            os.kill(pid, signal.SIGTERM)
            stream.wait_complete()
            assert stream.parser.reconnection_time is not None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "end of rowtail")


class Holder:
    """Does what systemd does: holds a listening socket that outlives each process started on it."""

    def __init__(self, place, address=None, binary=None, config=None):
        self.address = address or place / "run" / "held.sock"
        self.command = [binary or place / "rowtail", config or place / "rowtail.conf"]
        self.socket = rowtail.listening_socket(self.address)

    def start(self):
        script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@" 3<&0 0</dev/null'
        return subprocess.Popen(
            as_user(["/bin/sh", "-c", script, *self.command]),
            stdin=self.socket,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


class Knocker(threading.Thread):
    """Requests a stream again and again; counts the served and the refused requests.

    A stream that says to reconnect in a moment counts as served, since an EventSource does.
    """

    def __init__(self, address):
        super().__init__()
        self.address = address
        self.served = 0
        self.failures = []
        self.done = threading.Event()

    def run(self):
        while not self.done.is_set():
            try:
                with fcgi.Connection(self.address) as stream:
                    assert stream.ask().wait_head().head.status == 200
                    stream.wait(lambda: stream.parser.retries, "reconnection time")
                self.served += 1
            except (OSError, AssertionError) as failure:
                self.failures.append(failure)

    def wait_served(self, more):
        """Waits until so many more were served; none may have been refused."""
        enough = self.served + more
        wait_until(lambda: self.served >= enough or self.failures, "served clients")
        assert not self.failures, self.failures[0]


def restart_five_times(holder, running, knockers):
    """Restarts as an upgrade does; returns the last process."""
    for _ in range(5):
        for knocker in knockers:
            knocker.wait_served(3)
        running.send_signal(signal.SIGTERM)
        assert running.wait(5) == 0
        time.sleep(0.2)  # the duration of an upgrade
        running = holder.start()
    for knocker in knockers:
        knocker.wait_served(3)
    return running


def test_new_version_takes_over(place):
    """Restarted under its socket: clients that connect meanwhile wait, and are served."""
    holder = Holder(place)
    running = holder.start()
    knockers = [Knocker(holder.address) for _ in range(12)]
    try:
        for knocker in knockers:
            knocker.start()
        running = restart_five_times(holder, running, knockers)
    finally:
        for knocker in knockers:
            knocker.done.set()
        for knocker in knockers:
            knocker.join()
        running.kill()
        running.wait()
        holder.socket.close()
    assert not [failure for knocker in knockers for failure in knocker.failures]


@pytest.mark.deployments("nginx", "lighttpd")
def test_new_version_takes_over_behind_a_server(build, deployment):
    """Open and new clients through a web server: all get streams, and no row is lost."""
    site = build(deployment, retry=100, retry_jitter=100, heartbeat=1)
    holder = Holder(site.directory, site.socket, site.binary, site.config)
    give(site.socket)
    running = holder.start()
    site.server.start()
    try:
        target = site.deployment.mount + "?last_event_id=0"
        with Crowd(site.server.address, target, 40) as crowd, Publisher(site.log) as publisher:
            for _ in range(3):
                crowd.run(0.7)
                running.send_signal(signal.SIGTERM)
                crowd.run(0.2)
                assert running.wait(5) == 0
                crowd.run(0.2)
                running = holder.start()
            finish(crowd, publisher)
        assert all(follower.connections >= 3 for follower in crowd.followers)
    finally:
        running.kill()
        running.wait()
        holder.socket.close()
