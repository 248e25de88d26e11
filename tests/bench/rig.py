"""What the benchmarks start, measure and end: the floor, rowtail, web servers, load, publishers."""

import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))

import load  # noqa: E402
import ports  # noqa: E402
from database import Database  # noqa: E402
from load import Failure  # noqa: E402

START_DEADLINE = 10
LOAD_DEADLINE = 60
ROW_LENGTH = 200

NGINX = """daemon off;
master_process off;
worker_rlimit_nofile {files};
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{ worker_connections {files}; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location /events {{
            include /etc/nginx/fastcgi_params;
            fastcgi_pass unix:{socket};
            fastcgi_buffering off;
        }}
    }}
}}
"""

LIGHTTPD = """server.modules = ( "mod_fastcgi" )
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{directory}"
server.errorlog = "{directory}/lighttpd.log"
server.max-fds = {files}
server.listen-backlog = 4096
server.stream-response-body = 2
fastcgi.server = ( "/events" => (( "socket" => "{socket}", "check-local" => "disable" )) )
"""


def cpu_seconds(pid):
    """What a process has used so far, of all its threads, to the nanosecond."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def anonymous_kib(pid):
    """The memory that a process has for itself: no file, no shared page."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1])
    raise Failure("no Anonymous in smaps_rollup")


class Server:
    """A process that serves until it is ended; it dies with this one."""

    def __init__(self, command, log):
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
        self.pid = self.process.pid

    def wait_up(self, family, address):
        """Waits until the address takes connections."""
        deadline = time.monotonic() + START_DEADLINE
        while True:
            with socket.socket(family) as probe, contextlib.suppress(OSError):
                probe.connect(address)
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"{self.process.args[3]} is not up: {self.log.read_text()[-2000:]}")
            time.sleep(0.01)

    def stop(self):
        """Ends it: SIGTERM first, then SIGKILL."""
        self.process.terminate()
        try:
            self.process.wait(START_DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Stack:
    """A responder with an event log of its own, and perhaps a web server in front of it.

    target is where a load generator connects to; responder the process of rowtail or the floor.
    """

    def __init__(
        self, rig, kind, front=None, stored=0, options=(), public=True, prepare=None, channels=1
    ):
        self.rig = rig
        self.prepare = prepare  # is called with the log and its directory; returns more options
        self.public = public  # else everyone is granted all by the table, which is looked up
        self.newest = stored
        self.channels = channels  # of the rows that are stored
        self.port = ports.free_port() if front == "http" else None
        self.directory = rig.new_directory()
        self.socket = self.directory / "responder.sock"
        self.servers = []
        self._publishers = []
        try:
            self.responder = getattr(self, "_start_" + kind)(stored, options)
            self.target = f"tcp:{self.port}" if self.port else f"unix:{self.socket}"
            if front and not self.port:
                self._start_front(front)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends everything and removes the files."""
        for publisher in self._publishers:
            publisher.kill()
            publisher.wait()
        for server in reversed(self.servers):
            server.stop()
        shutil.rmtree(self.directory)

    def _start(self, command, family, address):
        server = Server(command, self.directory / "log")
        self.servers.append(server)
        server.wait_up(family, address)
        return server

    def _start_floor(self, stored, options):
        packets = self.directory / "events.sock"
        self._publish_to = ["--to", packets]
        listens = f"tcp:{self.port}" if self.port else self.socket
        fault, *beat_s = options or ["none"]
        command = [self.rig.tool("floor"), listens, packets, fault, stored, ROW_LENGTH, *beat_s]
        return self._start(command, *self._address())

    def _address(self):
        """The family and the address of the responder."""
        if self.port:
            return socket.AF_INET, ("127.0.0.1", self.port)
        return socket.AF_UNIX, str(self.socket)

    def _start_log(self, stored, options):
        """A log that nobody follows."""
        self._publish_to = ["--db", self.rig.copy_log(stored, self.directory)]

    def _start_rowtail(self, stored, options):
        log = self.rig.copy_log(stored, self.directory, self.channels)
        self._publish_to = ["--db", log]
        if not self.public:
            with Database(log) as database:
                database.grant("*", "*")
        if self.prepare:
            with Database(log) as database:
                options = [*options, *self.prepare(database, self.directory)]
        listens = ["--http", f"127.0.0.1:{self.port}"] if self.port else ["--listen", self.socket]
        command = [self.rig.rowtail, "--db", log, *listens]
        command += ["--max-streams", 100000, *(["--public"] if self.public else []), *options]
        return self._start(command, *self._address())

    def _start_front(self, front):
        port = ports.free_port()
        program, template = {
            "nginx": (["/usr/sbin/nginx", "-e", self.directory / "nginx.log", "-c"], NGINX),
            "lighttpd": (["/usr/sbin/lighttpd", "-D", "-f"], LIGHTTPD),
        }[front]
        configuration = self.directory / front
        configuration.write_text(
            template.format(
                directory=self.directory, port=port, socket=self.socket, files=self.rig.files
            )
        )
        self._start([*program, configuration], socket.AF_INET, ("127.0.0.1", port))
        self.target = f"tcp:{port}"

    def _pids(self):
        """The responder, its processes if it has several, and the web server."""
        for server in self.servers:
            yield server.pid
            children = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children")
            yield from map(int, children.read_text().split())

    def cpu_seconds(self):
        """What the responder and the web server have used so far."""
        return sum(map(cpu_seconds, self._pids()))

    def anonymous_kib(self):
        """The own memory of the responder and the web server."""
        return sum(map(anonymous_kib, self._pids()))

    def publish(self, count, *, length=ROW_LENGTH, rate=0, batch=1, sync="NORMAL", channels=1, also=()):
        """Begins to publish rows (rate a second; 0: as fast as it goes); returns the process. also: more options."""
        command = [self.rig.tool("publish"), *self._publish_to, "--first", self.newest + 1]
        command += ["--count", count, "--length", length, "--batch", batch, "--sync", sync]
        command += ["--channels", channels, *also]
        command += ["--pause-us", round(1e6 / rate) if rate else 0]
        self.newest += count
        publisher = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        self._publishers.append(publisher)
        return publisher

    def load(self, **options):
        """Subscribers of this stack; see Load."""
        return Load(self.rig, self.target, **options)


def published(publisher):
    """What a publisher said at its end."""
    text, _ = publisher.communicate(timeout=LOAD_DEADLINE)
    if publisher.returncode != 0:
        raise Failure("the publisher failed")
    return json.loads(text)


class Load(load.Load):
    """A load generator whose streams must all be accepted and stay open."""

    wrong = (*load.Load.wrong, "refused", "closed", "unconnected")

    def __init__(self, rig, target, **options):
        super().__init__(rig.tool("load"), target, LOAD_DEADLINE, **options)

    def stop(self):
        """Ends streams that would continue, and checks what came so far."""
        self.order("stop")
        return self.wait_done()


class Rig:
    """Where the programs and the temporary files are."""

    def __init__(self, build, files):
        self.build = pathlib.Path(build).resolve()
        self.rowtail = self.build / "rowtail"
        self.files = files
        self._temporary = None
        self._count = 0

    def use_directory(self, directory):
        """Everything that the benchmarks write goes below this directory."""
        self._temporary = pathlib.Path(directory)

    def tool(self, name):
        """The path of one of the benchmark's own programs."""
        return self.build / "bench" / name

    def new_directory(self):
        """An empty directory, short enough for the paths of sockets."""
        self._count += 1
        directory = self._temporary / str(self._count)
        directory.mkdir()
        return directory

    def copy_log(self, stored, directory, channels=1):
        """An event log with so many rows, of which all is in the database file."""
        kept = self._temporary / f"stored-{stored}-{channels}.db"
        if not kept.exists():
            self._make_log(stored, kept, channels)
        return shutil.copy(kept, directory / "events.db")

    def _make_log(self, stored, path, channels):
        Database.create(path).close()
        if stored:
            command = [self.tool("publish"), "--db", path, "--count", stored]
            command += ["--length", ROW_LENGTH, "--batch", 10000, "--channels", channels]
            texts = list(map(str, command))
            subprocess.run(texts, check=True, stdout=subprocess.DEVNULL, timeout=LOAD_DEADLINE)
        with Database(path) as database:
            database.sql("PRAGMA wal_checkpoint(TRUNCATE)")
