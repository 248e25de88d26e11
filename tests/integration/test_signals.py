"""Signals: every stream ends cleanly, and the socket is removed."""

import fcntl
import os
import pathlib
import pty
import signal
import subprocess
import termios
import time

import pytest

import cgiprogram
import faults
import rowtail
import stream

FORM = "application/x-www-form-urlencoded"

# A process cannot handle these, or they mean that it is broken.
DEADLY = {"SIGKILL", "SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGTRAP", "SIGSYS"}
STOPPING = {"SIGSTOP", "SIGTSTP", "SIGTTIN"}
# Sent by the system: a child ended, a write failed, a window was resized.
PASSED_OVER = {"SIGPIPE", "SIGIO", "SIGXFSZ", "SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH", "SIGTTOU"}
NUMBERS = {one.name: int(one) for one in signal.Signals if "RT" not in one.name}
NUMBERS |= {"SIGRTMIN+1": signal.SIGRTMIN + 1, "SIGRTMIN+3": signal.SIGRTMIN + 3}
NUMBERS |= {f"SIGRTMIN+{signal.SIGRTMAX - 1 - signal.SIGRTMIN}": signal.SIGRTMAX - 1}
ENDING = sorted(set(NUMBERS) - DEADLY - STOPPING - PASSED_OVER - {"SIGHUP"})
GOING_ON = sorted(PASSED_OVER)


def wait_signal_taken(server):
    """A process has handled the signal once it answers a later request."""
    server.metric("rowtail_streams")
    server.metric("rowtail_streams")


def assert_ends_politely(server, peers):
    for peer in peers:
        peer.wait_complete()
        assert len(peer.parser.retries) == 2
        assert not peer.parser.pending
    assert server.wait_exit(5) == 0
    if server.how == "listen":
        assert not os.path.exists(server.address)


def assert_goes_on(server, peers, log):
    wait_signal_taken(server)
    newest = log.insert("on")
    for peer in peers:
        peer.wait_id(newest)
        assert len(peer.parser.retries) == 1
    server.serves(log)


@pytest.mark.parametrize("name", ENDING)
def test_signal_shuts_down_cleanly(launch, log, name):
    server = launch(env=faults.STRICT_LIBUV)
    peers = [server.open(), server.open("channel=a&channel=default"), server.open()]
    server.signal(NUMBERS[name])
    assert_ends_politely(server, peers)
    assert f"{name}: ending 3 streams" in server.stderr


@pytest.mark.parametrize("name", GOING_ON)
def test_signal_is_ignored(launch, log, name):
    server = launch()
    peers = [server.open()]
    server.signal(NUMBERS[name])
    assert_goes_on(server, peers, log)


@pytest.mark.parametrize("how", ["fd0", "systemd"])
def test_socket_of_another_process_stays(launch, how):
    server = launch(how=how)
    peers = [server.open()]
    server.signal(signal.SIGQUIT)
    assert_ends_politely(server, peers)
    assert pathlib.Path(server.address).is_socket()


# HUP: a service manager's reload, a log rotation, or a terminal that closes.


def test_hup_without_a_terminal_is_ignored(launch, log):
    server = launch(prepare=os.setsid)
    peers = [server.open()]
    for _ in range(3):
        server.signal(signal.SIGHUP)
        assert_goes_on(server, peers, log)
    assert "SIGHUP ignored: rowtail has nothing to reload" in server.stderr
    server.stop()


@pytest.fixture
def terminal():
    """A pseudo-terminal; terminal.take() makes it a child's controlling terminal."""

    class Terminal:
        def __init__(self):
            self.ours, self.theirs = pty.openpty()

        def take(self):
            os.setsid()
            fcntl.ioctl(self.theirs, termios.TIOCSCTTY, 0)
            os.dup2(self.theirs, 1)

        def hang_up(self):
            for fd in (self.theirs, self.ours):
                if fd is not None:
                    os.close(fd)
            self.ours = self.theirs = None

    made = Terminal()
    yield made
    made.hang_up()


@pytest.mark.parametrize("by", ["the terminal", "its user"])
def test_hup_with_a_terminal_shuts_down_cleanly(launch, terminal, by):
    server = launch(prepare=terminal.take)
    peers = [server.open(), server.open()]
    if by == "the terminal":
        terminal.hang_up()
    else:
        server.signal(signal.SIGHUP)
    assert_ends_politely(server, peers)


@pytest.mark.parametrize("stty", ["-tostop", "tostop"])
def test_background_job_of_a_shell_whose_terminal_closes(workdir, log, terminal, stty):
    """`rowtail … &`, and then the window is closed.

    Under `stty tostop` a background job that writes to the terminal is stopped unless it ignores the signal.
    """
    address = workdir / "job.sock"
    options = f"--db {log.path} --listen {address} --log-level debug"
    command = f"stty {stty}; {rowtail.BINARY} {options} 2>/dev/tty & wait"
    shell = subprocess.Popen(
        ["bash", "-i", "-c", command],
        stdin=terminal.theirs,
        stderr=subprocess.DEVNULL,
        preexec_fn=terminal.take,
        env=rowtail.environment(HISTFILE=None),
    )
    server = rowtail.Rowtail(workdir, address=address)
    server.process = shell
    try:
        server.wait_accepts()
        server.serves(log)
        peer = server.open()
        terminal.hang_up()
        peer.wait_complete()
        assert len(peer.parser.retries) == 2
    finally:
        server.close_streams()
        shell.kill()
        shell.wait()
    deadline = time.monotonic() + stream.DEADLINE
    while address.exists():
        assert time.monotonic() < deadline, "the socket is still there"
        time.sleep(0.01)


def test_nohup_survives_a_closed_terminal(launch, log, terminal):
    def prepare():
        terminal.take()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    server = launch(prepare=prepare)
    peers = [server.open()]
    server.signal(signal.SIGHUP)
    terminal.hang_up()
    assert_goes_on(server, peers, log)
    assert "SIGHUP" not in server.stderr
    server.stop()


# Signal settings inherited from the parent.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_ignored_by_the_parent_shut_down(launch, number):
    """A shell starts its background jobs with INT and QUIT ignored."""
    server = launch(prepare=lambda: signal.signal(number, signal.SIG_IGN))
    peers = [server.open()]
    server.signal(number)
    assert_ends_politely(server, peers)


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGUSR2", "SIGALRM", "SIGRTMIN+3"])
def test_signals_ignored_by_the_parent_stay_ignored(launch, log, name):
    server = launch(prepare=lambda: signal.signal(NUMBERS[name], signal.SIG_IGN))
    peers = [server.open()]
    server.signal(NUMBERS[name])
    assert_goes_on(server, peers, log)


def test_signals_blocked_by_the_parent_are_unblocked(launch):
    """Programs with threads start others with signals blocked."""

    def prepare():
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    server = launch(prepare=prepare)
    peers = [server.open()]
    server.signal(signal.SIGTERM)
    assert_ends_politely(server, peers)


def test_alarm_set_by_a_wrapper(launch):
    """alarm() continues across exec; Perl scripts use it for time-outs."""
    server = launch(prepare=lambda: signal.setitimer(signal.ITIMER_REAL, 1.0))
    assert_ends_politely(server, [server.open()])


# When signals arrive.


@pytest.mark.parametrize("name", ["SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGRTMIN+3"])
def test_signal_right_after_listen(workdir, log, name):
    """The first client may connect, and a signal arrive, before rowtail has read its database."""
    for number in range(3):
        address = workdir / f"{number}.sock"
        process = rowtail.Rowtail(
            workdir, ["--db", log.path], address=address, prepare=os.setsid
        )
        process.start(wait=False)
        process.wait_accepts()
        process.signal(NUMBERS[name])
        if name == "SIGHUP":
            process.serves(log)
            process.close_streams()
            process.stop()
        assert process.wait_exit(5) == 0
        assert not address.exists()


def test_many_signals_cause_one_shutdown(launch):
    server = launch()
    peers = [server.open() for _ in range(10)]
    for name in ENDING * 3:
        if server.process.poll() is None:
            server.signal(NUMBERS[name])
    assert_ends_politely(server, peers)
    assert server.stderr.count("ending") == 1


def test_hup_during_shutdown(launch, log):
    server = launch(prepare=os.setsid)
    slow = server.open()
    log.insert("x" * (4 << 20))
    quick = server.open()
    server.signal(signal.SIGTERM)
    server.signal(signal.SIGHUP)
    quick.wait_complete()
    assert len(quick.parser.retries) == 2
    assert server.wait_exit(5) == 0
    slow.close()


# CGI.


@pytest.fixture
def run(log):
    """run(query, **how) starts a CGI program that has no terminal."""
    started = []

    def start(query="", **how):
        how = {"prepare": os.setsid, "env": faults.STRICT_LIBUV, **how}
        program = cgiprogram.Program(["--db", log.path], query, **how)
        started.append(program)
        return program

    yield start
    for program in started:
        program.cleanup()


@pytest.mark.parametrize("name", ENDING)
def test_cgi_shuts_down_cleanly(run, name):
    program = run()
    program.next()
    program.signal(NUMBERS[name])
    program.wait_end()
    assert len(program.parser.retries) == 2
    assert not program.parser.pending
    assert program.wait_exit(5) == 0


@pytest.mark.parametrize("name", [*GOING_ON, "SIGHUP"])
def test_cgi_ignores_signal(run, log, name):
    program = run()
    program.next()
    program.signal(NUMBERS[name])
    time.sleep(0.05)
    log.insert("on")
    assert program.next().data == "on"


def send_slowly(program, body):
    for byte in body:
        program.process.stdin.write(bytes([byte]))
        program.process.stdin.flush()
        time.sleep(0.01)


def post(run, accept="text/event-stream"):
    """A POST whose body has not arrived yet."""
    program = run(
        plumbing="open",
        method="POST",
        content_type=FORM,
        accept=accept,
        extra={"CONTENT_LENGTH": "17"},
    )
    send_slowly(program, b"channel=o")
    return program


@pytest.mark.parametrize("accept, status", [("text/event-stream", 200), ("*/*", 503)])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_cgi_shuts_down_while_reading_the_body(run, name, accept, status):
    program = post(run, accept)
    program.signal(NUMBERS[name])
    program.wait_end(timeout=5)
    assert program.head.status == status
    assert len(program.parser.retries) == (1 if status == 200 else 0)
    assert program.wait_exit(5) == 0


@pytest.mark.parametrize("name", [*GOING_ON, "SIGHUP"])
def test_cgi_reads_the_body_despite_an_ignored_signal(run, log, name):
    log.insert("row", channel="orders/42")
    program = post(run)
    program.signal(NUMBERS[name])
    send_slowly(program, b"rders/42")
    program.wait_head()
    log.insert("live", channel="orders/42")
    assert program.wait_rows(1)[0].data == "live"
