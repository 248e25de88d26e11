"""rowtail-doctor on a machine that stands still at times: it blames no web server for that, but still finds what holds rows back."""

import contextlib
import os
import signal
import socket
import threading
import time

import doctor
import httpserver
from test_doctor_hostile import Server
from test_doctor_program import log, server, url  # noqa: F401

pytestmark = httpserver.needed
HEAD = b"\r\n\r\n"


@contextlib.contextmanager
def pauses(pid, stopped_s, running_s):
    """Stops a process again and again, as a machine does that has no CPU time for it."""
    over = threading.Event()

    def run():
        while not over.is_set():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(stopped_s)
            os.kill(pid, signal.SIGCONT)
            over.wait(running_s)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def assert_fine(report):
    assert report.status == 0 and not report.wrong(), report
    assert report.level("at-once") == "ok", report


def test_a_server_that_pauses_is_not_called_slow(server, log):  # noqa: F811
    """Rows come up to 600 ms late, and so does everything else."""
    with pauses(server.pid, 0.6, 0.05):
        assert_fine(doctor.examine(url(server), "--db", log.path))


def test_a_long_pause_at_the_beginning_is_not_called_buffering(server, log):  # noqa: F811
    """The first request gets nothing for longer than a web server may take."""
    server.signal(signal.SIGSTOP)
    running = doctor.start(url(server), "--db", log.path)
    time.sleep(5)
    server.signal(signal.SIGCONT)
    assert_fine(doctor.finish(running))


def test_a_pause_while_rows_come_is_not_called_buffering(server, log):  # noqa: F811
    """All rows come late and at once."""
    running = doctor.start(url(server), "--db", log.path)
    deadline = time.monotonic() + 20
    while not log.sql("SELECT 1 FROM events WHERE data LIKE 'rowtail-doctor row %'"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    server.signal(signal.SIGSTOP)
    time.sleep(4)
    server.signal(signal.SIGCONT)
    assert_fine(doctor.finish(running))


class Late:
    """A proxy that keeps each piece of an event stream for a while, and lets all else pass."""

    def __init__(self, address, late_s):
        self.address, self.late_s = address, late_s

    def __call__(self, connection, head):
        with socket.create_connection(self.address) as inner:
            inner.sendall(head.replace(HEAD, b"\r\nConnection: close" + HEAD))
            late_s = 0
            while piece := inner.recv(65536):
                if b"text/event-stream" in piece:
                    late_s = self.late_s
                time.sleep(late_s)
                connection.sendall(piece)


def examine_behind(late_s, server, log):  # noqa: F811
    front = Server(Late(server.web, late_s))
    try:
        return doctor.examine(front.url, "--db", log.path)
    finally:
        front.close()


def test_what_delays_streams_alone_is_found(server, log):  # noqa: F811
    report = examine_behind(0.8, server, log)
    assert report.level("delayed") == "note" and report.level("at-once") is None, report


def test_what_holds_streams_back_is_found_on_a_server_that_pauses_too(server, log):  # noqa: F811
    with pauses(server.pid, 0.3, 0.05):
        report = examine_behind(4, server, log)
    assert report.level("buffered") == "WRONG", report
