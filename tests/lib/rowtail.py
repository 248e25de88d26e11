"""Starts rowtail, talks to it, and checks that it ended cleanly."""

import contextlib
import ctypes
import functools
import itertools
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time

import pytest

import fcgi
import stream

ROOT = pathlib.Path(__file__).parents[2]
# Removed from the environment: rowtail reads every ROWTAIL_ variable as a setting. TEST_BINARY is for the processes of
# pytest-xdist, which start later.
_wanted = os.environ.pop("ROWTAIL_BIN", None) or os.environ.get("TEST_BINARY") or ROOT / "build" / "rowtail"
BINARY = pathlib.Path(_wanted).resolve()
os.environ["TEST_BINARY"] = str(BINARY)
SANITIZER = re.compile(
    r"ERROR: \w+Sanitizer|runtime error:|WARNING: \w+Sanitizer|^==\d+== \w", re.MULTILINE
)
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_serial = itertools.count()


@functools.cache
def is_static():
    """A static program names no loader in its first page."""
    with BINARY.open("rb") as program:
        page = program.read(4096)
    return page.startswith(b"\x7fELF") and b"/ld-" not in page and b"/ld64" not in page


def _check_preload(env):
    """Skips a test that needs a library in rowtail's process."""
    if "LD_PRELOAD" in (env or {}) and is_static():
        pytest.skip("LD_PRELOAD does not work with a static program")


def environment(**more):
    """An environment without variables that change rowtail's behaviour; None removes a name."""
    _check_preload(more)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ROWTAIL_", "LISTEN_")) and name != "GATEWAY_INTERFACE"
    }
    kept.update(more)
    return {name: value for name, value in kept.items() if value is not None}


def run(*arguments, env=None, stdin=subprocess.DEVNULL, timeout=stream.DEADLINE, cwd=None):
    """Runs rowtail to its end; returns a subprocess.CompletedProcess with text output."""
    done = subprocess.run(
        [str(BINARY), *map(str, arguments)],
        env=environment(**(env or {})),
        stdin=stdin,
        capture_output=True,
        timeout=timeout,
        cwd=cwd,
        text=True,
        errors="replace",
    )
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


def listening_socket(address):
    """A listening socket at a path or (host, port), as a web server or systemd passes one."""
    if isinstance(address, tuple):
        listener = socket.socket(socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(address))
    listener.listen(1024)
    return listener


class Rowtail:
    """One process in FastCGI mode.

    how: where it gets its socket: "listen" (--listen on a fresh unix socket), "fd0" (a listening socket as
    descriptor 0), "systemd" (LISTEN_FDS), or None (the arguments say it).
    address: where clients connect; a test with how=None sets it.
    prepare: is called in the child, before it becomes rowtail.
    """

    def __init__(
        self,
        workdir,
        arguments=(),
        *,
        how="listen",
        env=None,
        program=None,
        address=None,
        prepare=None,
    ):
        self.workdir = pathlib.Path(workdir)
        self.arguments = [str(argument) for argument in arguments]
        self.how = how
        _check_preload(env)
        self.env = env or {}
        self.program = str(program or BINARY)
        self.prepare = prepare
        name = f"rt{next(_serial)}"
        self.address = address or self.workdir / f"{name}.sock"
        self.stderr_path = self.workdir / f"{name}.err"
        self.process = None
        self._open = []

    # Start and end.

    def start(self, wait=True):
        """Starts the process, and waits until it accepts connections."""
        command = [self.program, *self.arguments]
        env = environment(**self.env)
        listener = None
        if self.how == "listen":
            command += ["--listen", str(self.address)]
        elif self.how in ("fd0", "systemd"):
            listener = listening_socket(self.address)
        if self.how == "systemd":
            env["LISTEN_FDS"] = "1"
            command = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$0" "$@"', *command]
        # rowtail ends with the tests. To start setpriv takes a third of the CPU time of a fork of this process; where
        # LD_PRELOAD is set, setpriv would load the library, too.
        forks = self.how == "systemd" or self.prepare or "LD_PRELOAD" in env
        with self.stderr_path.open("ab") as stderr:
            self.process = subprocess.Popen(
                command if forks else ["/usr/bin/setpriv", "--pdeathsig", "KILL", *command],
                env=env,
                stdin=listener if self.how == "fd0" else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=(3,) if self.how == "systemd" else (),
                preexec_fn=(lambda: self._in_child(listener)) if forks else None,
            )
        if listener:
            listener.close()
        return self.wait_up() if wait else self

    def _in_child(self, listener):
        """Between fork and exec: ends with the tests, and keeps descriptor 3 for LISTEN_FDS."""
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if self.how == "systemd":
            os.dup2(listener.fileno(), 3)
        if self.prepare:
            self.prepare()

    def wait_up(self):
        """Waits until rowtail answers on the socket."""
        self.wait_accepts()
        fcgi.get_values(self.address, [])
        return self

    def wait_accepts(self, timeout=stream.DEADLINE):
        """Waits until the socket accepts."""
        deadline = time.monotonic() + timeout
        while True:
            status = self.process.poll()
            assert status is None, f"ended with {status}: {self.stderr}"
            try:
                stream.connect(self.address).close()
                return
            except (FileNotFoundError, ConnectionRefusedError):
                assert time.monotonic() < deadline, f"not up in {timeout} s: {self.stderr}"
                time.sleep(0.005)

    @property
    def pid(self):
        return self.process.pid

    @property
    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def lines_but_ends(self):
        """What it has logged, without the line of each stream that ended."""
        return [line for line in self.stderr.splitlines() if " stream ended " not in line]

    def wait_log(self, pattern, timeout=stream.DEADLINE):
        """Waits until a line on standard error matches, and returns the match."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.stderr)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.stderr}"
            time.sleep(0.01)
        return match

    def signal(self, number):
        self.process.send_signal(number)
        return self

    def wait_exit(self, timeout=stream.DEADLINE):
        """Waits for the end and returns the exit status, negative for a signal."""
        return self.process.wait(timeout)

    def stop(self):
        """Sends SIGTERM; asserts exit status 0 within 5 s, as rowtail(8) says in SIGNALS."""
        self.signal(signal.SIGTERM)
        status = self.wait_exit(5.0)
        assert status == 0, f"SIGTERM ended it with {status}: {self.stderr}"
        return self

    def kill(self):
        """SIGKILL, as a crash."""
        self.signal(signal.SIGKILL)
        self.wait_exit()
        return self

    def restart(self):
        """Restarts it in the same way and on the same socket."""
        assert self.process.poll() is not None
        if self.how != "listen":
            pathlib.Path(self.address).unlink()
        return self.start()

    def close_streams(self):
        """Closes every connection that was opened here."""
        while self._open:
            self._open.pop().close()

    def cleanup(self):
        """Closes the streams and ends the process if it runs; returns whether it did."""
        self.close_streams()
        if self.process is None or self.process.poll() is not None:
            return False
        self.signal(signal.SIGTERM)
        try:
            self.wait_exit(10)
        except subprocess.TimeoutExpired:
            self.kill()
        return True

    def assert_clean(self, ended_by_us):
        """Asserts that no sanitizer complained, and that a final SIGTERM gave exit status 0."""
        assert not SANITIZER.search(self.stderr), self.stderr
        if ended_by_us:
            assert self.process.returncode == 0, f"{self.process.returncode}: {self.stderr}"

    # Talking to it.

    def connect(self, last_event_id=""):
        """A FastCGI connection on which nothing has been sent yet."""
        peer = fcgi.Connection(self.address, last_event_id)
        self._open.append(peer)
        return peer

    def ask(self, query="", **how):
        """Sends a request and returns at once; see fcgi.Connection.ask() and gateway.params()."""
        return self.connect().ask(query, **how)

    def open(self, query="", *, last_event_id=None, **how):
        """Opens a stream, as a client with this last event ID would, and takes its first event."""
        headers = dict(how.pop("headers", None) or {})
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        peer = self.connect(str(last_event_id or "")).ask(query, headers=headers, **how)
        peer.wait_head()
        assert peer.head.status == 200, f"{peer.head.raw!r} {bytes(peer.body)!r}"
        if "positions=0" not in str(query) and how.get("method", "GET") == "GET":
            peer.first = peer.next()
        return peer

    def answer(self, query="", **how):
        """Sends a request that gets no stream; returns the connection when the answer is complete."""
        return self.ask(query, **how).wait_complete()

    def page(self, name):
        """One of the pages that only the web server can ask for."""
        return self.answer(extra={"ROWTAIL_PAGE": name})

    def metric(self, name, **labels):
        """The value of a metric, or None."""
        inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
        wanted = f"{name}{{{inside}}}" if labels else name
        for line in self.page("metrics").body.decode().splitlines():
            key, _, value = line.rpartition(" ")
            if key == wanted:
                return float(value)
        return None

    def wait_metric(self, value, name, timeout=stream.DEADLINE, **labels):
        """Waits until a metric has this value."""
        deadline = time.monotonic() + timeout
        while (last := self.metric(name, **labels)) != value:
            assert time.monotonic() < deadline, f"{name} is {last}, not {value}"
            time.sleep(0.02)

    def wait_health(self, status, timeout=stream.DEADLINE):
        """Waits until the health page has this status."""
        deadline = time.monotonic() + timeout
        while (last := self.page("health").head.status) != status:
            assert time.monotonic() < deadline, f"health is {last}, not {status}"
            time.sleep(0.02)

    def serves(self, log):
        """Asserts that a row inserted now reaches a stream opened now."""
        with self.open() as peer:
            number = log.insert("hello")
            event = peer.next_row()
            assert (event.data, event.last_event_id) == ("hello", str(number))

    # Observing it from outside.

    def cpu_seconds(self):
        """Processor time used so far."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def context_switches(self):
        """How often the process has slept or been put to sleep so far."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return sum(int(number) for number in re.findall(r"ctxt_switches:\s+(\d+)", status))

    def resident_kib(self):
        """Resident memory, in KiB."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def is_sanitized(self):
        """Whether this is AddressSanitizer or valgrind, under which memory figures mean nothing."""
        maps = pathlib.Path(f"/proc/{self.pid}/maps").read_text()
        return "libasan" in maps or "vgpreload" in maps

    def open_files(self):
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def open_files_at_rest(self, log, streams=0):
        """How many descriptors are open after one more stream has opened and closed."""
        self.serves(log)
        self.wait_metric(streams, "rowtail_streams")
        return self.open_files()

    def wait_open_files(self, most, timeout=stream.DEADLINE):
        """Waits until no more descriptors than this are open."""
        deadline = time.monotonic() + timeout
        while (last := self.open_files()) > most:
            assert time.monotonic() < deadline, f"{last} descriptors are open, not {most}"
            time.sleep(0.02)



@contextlib.contextmanager
def launching(make):
    """start(…) starts the Rowtail that make(…) returns; all of them end, and must be clean, with the block."""
    started = []

    def start(*arguments, **how):
        process = make(*arguments, **how)
        started.append(process)
        return process.start()

    yield start
    streams_left = [process.cleanup() for process in started]
    for process, ended_by_us in zip(started, streams_left):
        process.assert_clean(ended_by_us)


def raise_file_limit():
    """Raises the open-files limit as far as this machine allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
