"""A shared host for the benchmark: Apache with mod_cgid and the files of deploy/shared-hosting, and its visitors.

mod_cgid ignores the end of its children, so the kernel adds their processor time to nobody's. That of streams and of
polls that wait is read in /proc while they run. For the others, cost_of_poll() starts processes as mod_cgid does.
"""

import contextlib
import http.client
import json
import os
import pathlib
import random
import shutil
import socket
import statistics
import subprocess
import threading
import time

import gateway
import ports
import rig
from database import Database

KIT = pathlib.Path(__file__).parents[2] / "deploy" / "shared-hosting"
USER = "www-data"
POLL_S, WAIT_S, PAUSE_S = 5, 20, 0.5  # as rowtail.js does it
MODULES = "mpm_event cgid authz_core authz_host dir env filter mime setenvif asis headers".split()
APACHE = """ServerRoot {directory}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile apache.pid
ErrorLog apache.log
ScriptSock cgid.sock
User {user}
Group {user}
{modules}
TypesConfig /etc/mime.types
DocumentRoot {directory}/www
<Directory {directory}/www>
	AllowOverride All
	Require all granted
</Directory>
"""


class Host:
    """Apache and an uploaded kit, whose streams are as many as `most`."""

    def __init__(self, the_rig, most):
        self.directory = the_rig.new_directory()
        self.port = ports.free_port()
        self.program = pathlib.Path(shutil.copy(the_rig.build / "portable" / "rowtail", self.directory))
        place = self.directory / "www" / "events"
        shutil.copytree(KIT, place)
        log = self.directory / "log"
        log.mkdir()
        self.db = log / "events.db"
        with Database.create(self.db) as made:
            made.grant("*", "*")
        self._write_program(place / "events.cgi", most)
        modules = "".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n" for m in MODULES)
        configuration = APACHE.format(directory=self.directory, port=self.port, user=USER, modules=modules)
        (self.directory / "apache.conf").write_text(configuration)
        if os.geteuid() == 0:
            for path in (self.directory, log, *log.iterdir()):
                shutil.chown(path, USER, USER)
        command = ["/usr/sbin/apache2", "-DFOREGROUND", "-f", self.directory / "apache.conf"]
        self.server = rig.Server(command, self.directory / "console.log")
        self.server.wait_up(socket.AF_INET, ("127.0.0.1", self.port))

    def _write_program(self, path, most):
        text = path.read_text()
        for sample, own in {
            "/home/USER/rowtail/rowtail": self.program,
            "/home/USER/rowtail/events.db": self.db,
            "max-streams = 12": f"max-streams = {most}",
        }.items():
            if sample not in text:
                raise rig.Failure(f"events.cgi does not say {sample}")
            text = text.replace(sample, str(own))
        path.write_text(text)
        path.chmod(0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def processes(self):
        """The rowtail processes of this host."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(path / "exe") == str(self.program):
                    found.append(int(path.name))
        return found

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)


def cpu_of(pids):
    """What those of these processes have used that still run, by their ids."""
    used = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            used[pid] = rig.cpu_seconds(pid)
    return used


def memory_kib(pid):
    """RSS and PSS of a process; None when it has ended."""
    with contextlib.suppress(OSError, IndexError):
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        return tuple(int(text.partition(f"\n{name}:")[2].split()[0]) for name in ("Rss", "Pss"))
    return None


class Visitor(threading.Thread):
    """One visitor. arrived: {id: when}; asked: how many polls."""

    def __init__(self, host, stop):
        super().__init__(daemon=True)
        self.host, self.stop, self.arrived, self.asked, self.failure = host, stop, {}, 0, None

    def run(self):
        try:
            self.visit()
        except Exception as error:  # said by the bench, which else would wait in vain
            if not self.stop.is_set():
                self.failure = error


class Streaming(Visitor):
    """Reads a stream."""

    def visit(self):
        connection = self.host.connect()
        connection.request("GET", "/events/events.cgi", headers={"Accept": "text/event-stream"})
        answer = connection.getresponse()
        while not self.stop.is_set():
            line = answer.readline().decode()
            if not line:
                raise rig.Failure("a stream has ended")
            if line.startswith("id: "):
                self.arrived[int(line[4:])] = time.monotonic()


class Polling(Visitor):
    """Polls every five seconds, or waits for rows."""

    wait_s = 0

    def visit(self):
        position = ""
        self.stop.wait(random.uniform(0, POLL_S))
        while not self.stop.is_set():
            connection = self.host.connect()
            query = f"format=json&wait={self.wait_s}{position}"
            connection.request("GET", f"/events/events.cgi?{query}")
            answer = connection.getresponse()
            told = json.loads(answer.read())
            connection.close()
            self.asked += 1
            position = f"&last_event_id={told['position']}"
            for event in told["events"]:
                self.arrived[event["id"]] = time.monotonic()
            if not self.wait_s or told["events"]:
                self.stop.wait(PAUSE_S if self.wait_s else POLL_S)


class Waiting(Polling):
    wait_s = WAIT_S


MODES = {
    "streams": Streaming,
    f"polling every {POLL_S} s": Polling,
    f"polling with wait={WAIT_S}": Waiting,
}


def cost_of_poll(host, count):
    """Processor seconds and peak RSS (MiB) of one poll that does not wait."""
    used, largest = 0, 0
    for _ in range(count):
        poll = subprocess.Popen(
            [host.program, host.directory / "www" / "events" / "events.cgi"],
            env=gateway.params("format=json&last_event_id=0"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        said = poll.stdout.read()
        _, status, usage = os.wait4(poll.pid, 0)
        poll.returncode = status
        if status or b'"position"' not in said:
            raise rig.Failure(f"a poll failed: {said[-200:]}")
        used += usage.ru_utime + usage.ru_stime
        largest = max(largest, usage.ru_maxrss / 1024)
    return used / count, largest


def run(host, mode, visitors, seconds, pause_s):
    """Visitors of one kind for so long, while rows come; what it cost, as numbers by name."""
    stop = threading.Event()
    crowd = [MODES[mode](host, stop) for _ in range(visitors)]
    polls = MODES[mode] is not Streaming
    for one in crowd:
        one.start()
    time.sleep(POLL_S + 1 if polls else 1)
    asked, began = -sum(one.asked for one in crowd), time.monotonic()
    before = cpu_of(host.processes())
    sizes, counts, inserted, seen = [], [], {}, {}
    with Database(host.db) as log:
        while (now := time.monotonic()) < began + seconds:
            if now >= began + pause_s * len(inserted):
                inserted[log.insert("x" * rig.ROW_LENGTH)] = time.monotonic()
            running = host.processes()
            counts.append(len(running))
            sizes += filter(None, map(memory_kib, running))
            seen.update(cpu_of(running))
            time.sleep(0.05)
    asked, elapsed = asked + sum(one.asked for one in crowd), time.monotonic() - began
    time.sleep(POLL_S + 1 if polls else 1)  # the last row has arrived everywhere
    stop.set()
    for one in crowd:
        if one.failure:
            raise rig.Failure(f"a visitor ({mode}) failed: {one.failure!r}")
        if set(inserted) - set(one.arrived):
            raise rig.Failure(f"a visitor ({mode}) did not get every row")
    late = sorted(one.arrived[row] - when for one in crowd for row, when in inserted.items())
    told = {
        "processes": statistics.mean(counts),
        "most": max(counts),
        "median": 1000 * statistics.median(late),
        "longest": 1000 * late[-1],
    }
    if sizes:
        told["rss"], told["pss"] = (statistics.median(column) / 1024 for column in zip(*sizes))
    used = sum(seconds - before.get(pid, 0) for pid, seconds in seen.items())
    if MODES[mode] is Polling:  # too short to be seen
        cost, largest = cost_of_poll(host, 50)
        used = cost * asked
        told.setdefault("rss", largest)
    told["cpu"] = 60 * used / elapsed
    return told
