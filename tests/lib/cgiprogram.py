"""rowtail as a CGI program: one process, one answer on its standard output.

Source: RFC 3875. Web servers set up descriptors 0 and 1 in different ways; see `plumbing`.
"""

import contextlib
import os
import signal
import socket
import subprocess

import gateway
import rowtail
import stream


class Program(stream.Stream):
    """One run.

    plumbing: "pipes" (lighttpd, mod_cgi: standard input is a pipe), "null" (standard input is
    /dev/null), "socket" (mod_cgid: both are one connected socket, whose other side is half closed
    as soon as the body is sent), "open" (a pipe that stays open: process.stdin).
    prepare: is called in the child, before it becomes rowtail.
    binary: another program than rowtail.
    """

    def __init__(
        self,
        arguments=(),
        query="",
        *,
        plumbing="pipes",
        env=None,
        last_event_id="",
        prepare=None,
        binary=None,
        **how,
    ):
        body = how.get("body", b"")
        parameters = {**gateway.params(query, **how), **(env or {})}
        command = [str(binary or rowtail.BINARY), *map(str, arguments)]
        if plumbing == "socket":
            source, theirs = socket.socketpair()
            ends = (theirs, theirs)
        else:
            piped = plumbing in ("pipes", "open")
            ends = (subprocess.PIPE if piped else subprocess.DEVNULL, subprocess.PIPE)
        self.process = subprocess.Popen(
            command,
            env=rowtail.environment(**parameters),
            stdin=ends[0],
            stdout=ends[1],
            stderr=subprocess.PIPE,
            preexec_fn=prepare,
        )
        if plumbing == "socket":
            theirs.close()
            # The program may have answered and ended without the body.
            with contextlib.suppress(BrokenPipeError):
                source.sendall(body)
                source.shutdown(socket.SHUT_WR)
        else:
            source = self.process.stdout
        if plumbing == "pipes":
            self.process.stdin.write(body)
            self.process.stdin.close()
        super().__init__(source, last_event_id)

    def signal(self, number):
        self.process.send_signal(number)
        return self

    def wait_exit(self, timeout=stream.DEADLINE):
        """Waits for the end; returns the exit status, and keeps the standard error output."""
        status = self.process.wait(timeout)
        self.stderr = self.process.stderr.read().decode(errors="replace")
        assert not rowtail.SANITIZER.search(self.stderr), self.stderr
        return status

    def close(self):
        """Disconnects: closes our end of standard output."""
        super().close()

    def cleanup(self):
        """Ends the process if it still runs."""
        self.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process.stderr.close()


def runs_with(argument):
    """The ids of the processes that have this argument."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as cmdline:
                if str(argument).encode() in cmdline.read().split(b"\0"):
                    found.append(int(name))
        except OSError:  # it has ended
            continue
    return found
