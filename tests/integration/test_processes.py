"""Several processes on one socket: --processes, and processes that a spawner starts on a socket of its own."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

import fcgi
import httpc
import httpserver
import ports
import pytest
import rowtail
import stream

PROCESSES = 3
STREAMS = 60


def wait_until(condition, what):
    deadline = time.monotonic() + stream.DEADLINE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def children(pid):
    """The processes that this one has started."""
    with contextlib.suppress(FileNotFoundError):
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def sockets(pid):
    """How many sockets a process has open."""
    folder = pathlib.Path(f"/proc/{pid}/fd")
    count = 0
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(folder / name).startswith("socket:")
    return count


def is_alive(pid):
    with contextlib.suppress(FileNotFoundError):
        return " Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    return False


@pytest.fixture
def crew(launch):
    """crew("--heartbeat", 1, …): one rowtail with three processes, of which all accept."""

    def make(*options, processes=PROCESSES, **how):
        server = launch("--processes", processes, *options, **how)
        wait_until(lambda: len(children(server.pid)) == processes, "all processes run")
        wait_until(lambda: server.stderr.count(" follows ") >= processes, "all processes serve")
        return server

    return make


def at_rest(pids):
    """How many sockets each has once it has started: the one that they share, and a pair from which libfcgi reads."""
    wait_until(lambda: all(sockets(pid) >= 3 for pid in pids), "all started")
    return {pid: sockets(pid) for pid in pids}


def shares(pids, before):
    return [sockets(pid) - before[pid] for pid in pids]


def assert_even(counts, total, least):
    assert abs(sum(counts) - total) <= len(counts)  # beside streams, a process has a socket more or less at times
    assert min(counts) >= least * total / len(counts), counts


def test_streams_are_shared_evenly(crew):
    server = crew()
    pids = children(server.pid)
    before = at_rest(pids)
    for _ in range(STREAMS):
        server.open()
    assert_even(shares(pids, before), STREAMS, least=0.25)
    assert server.metric("rowtail_streams") == STREAMS
    assert sockets(server.pid) == 1  # the parent serves nobody


@httpserver.needed
def test_http_streams_are_shared_evenly(crew):
    port = ports.free_port()
    server = crew("--http", f"127.0.0.1:{port}")
    pids = children(server.pid)
    before = at_rest(pids)
    peers = [httpc.open_request(("127.0.0.1", port), "/events").wait_head() for _ in range(STREAMS)]
    assert_even(shares(pids, before), STREAMS, least=0.25)
    for peer in peers:
        peer.close()


def test_every_stream_gets_every_row_once(crew, log):
    server = crew()
    peers = [server.open() for _ in range(12)]
    for number in range(30):
        log.insert(f"row {number}")
    for peer in peers:
        assert [row.last_event_id for row in peer.wait_rows(30)] == [str(n) for n in range(1, 31)]
    assert server.metric("rowtail_records_sent_total") == 12 * 30


def resumed(peers, data, reopen):
    """The streams on which the peers that were cut off before row 2 get it; reopen(position) opens one."""
    again = []
    for peer in peers:
        with contextlib.suppress(AssertionError, OSError, EOFError):
            peer.wait_rows(2, timeout=1)
        if len(peer.ids) < 2:
            again.append(reopen(peer.parser.last_event_id))
            assert again[-1].wait_rows(1)[0].data == data
            assert again[-1].ids == [2]
    return again


def test_killed_process_starts_again_and_its_clients_lose_nothing(crew, log):
    server = crew()
    peers = [server.open() for _ in range(12)]
    log.insert("before")
    for peer in peers:
        peer.wait_rows(1)
    victim = max(children(server.pid), key=sockets)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: server.stderr.count(" follows ") == PROCESSES + 1, "a new process serves")
    assert victim not in children(server.pid)
    log.insert("after")
    again = resumed(peers, "after", lambda position: server.open(last_event_id=position))
    assert 1 <= len(again) < len(peers)
    assert server.metric("rowtail_streams") <= len(peers)


def test_max_streams_counts_all_processes(crew):
    server = crew("--max-streams", 5)
    peers = [server.open() for _ in range(5)]
    refused = server.ask(accept="*/*").wait_complete()
    assert refused.head.status == 503
    peers[0].close()
    server.wait_metric(4, "rowtail_streams")
    server.open()


def test_max_streams_per_client_counts_all_processes(crew):
    server = crew("--max-streams-per-client", 4)
    peers = [server.open(addr="192.0.2.1") for _ in range(4)]
    for _ in range(PROCESSES):
        assert server.ask(addr="192.0.2.1", accept="*/*").wait_complete().head.status == 503
    server.open(addr="192.0.2.2")
    peers[0].close()
    server.wait_metric(4, "rowtail_streams")
    server.open(addr="192.0.2.1")
    assert server.metric("rowtail_refused_total", reason="max_streams_per_client") == PROCESSES


def test_streams_of_a_dead_process_no_longer_count(crew):
    server = crew("--max-streams-per-client", 4)
    for _ in range(4):
        server.open(addr="192.0.2.1")
    for pid in children(server.pid):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: server.stderr.count(" follows ") == 2 * PROCESSES, "new processes serve")
    for _ in range(4):
        server.open(addr="192.0.2.1")
    assert server.metric("rowtail_streams") == 4


def test_follow_ignores_it(log):
    log.insert("a row")
    command = [rowtail.BINARY, "--db", log.path, "--processes", str(PROCESSES), "--follow", "last_event_id=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=rowtail.environment(), text=True) as process:
        while process.stdout.readline() != "data: a row\n":
            assert process.poll() is None
        assert not children(process.pid)
        process.terminate()


def test_sigterm_ends_all_politely(crew):
    server = crew()
    peers = [server.open() for _ in range(9)]
    pids = children(server.pid)
    server.stop()
    for peer in peers:
        peer.wait_end()
        assert peer.parser.reconnection_time is not None
    assert not any(map(is_alive, pids))
    assert not pathlib.Path(server.address).exists()


def test_no_process_outlives_its_parent(crew):
    server = crew()
    peer = server.open()
    pids = children(server.pid)
    server.kill()
    peer.wait_end()
    wait_until(lambda: not any(map(is_alive, pids)), "the processes end")


def test_process_that_ends_by_itself_leaves_the_socket(crew, log):
    server = crew()
    for count, pid in enumerate(children(server.pid), PROCESSES + 1):
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda count=count: server.stderr.count(" follows ") == count, "a new process serves")
    server.serves(log)


def test_missing_database_ends_all_with_its_status(workdir):
    address = workdir / "s"
    done = rowtail.run("--db", workdir / "none.db", "--listen", address, "--processes", PROCESSES)
    assert done.returncode == 66
    assert "none.db" in done.stderr
    assert not address.exists()


def first(server):
    """The process that has started last: the one that was killed before."""
    return max(children(server.pid))


def test_pause_before_a_restart_grows(crew):
    server = crew(processes=2)
    for count in range(1, 4):
        os.kill(first(server), signal.SIGKILL)
        wait_until(lambda count=count: server.stderr.count("it starts again in") == count, "a line in the log")
        assert f"ended (Killed); it starts again in {100 * 2 ** (count - 1)} ms" in server.stderr
        wait_until(lambda: len(children(server.pid)) == 2, "it runs again")


@pytest.mark.parametrize("number", [0, 65, "two"])
def test_number_of_processes_is_checked(workdir, log, number):
    done = rowtail.run("--db", log.path, "--listen", workdir / "s", "--processes", number)
    assert done.returncode == 64
    assert "processes" in done.stderr


@pytest.fixture
def spawned(workdir, log):
    """The address and the processes that `spawn-fcgi -F 3` starts, as rowtail's own CONFIG file."""
    address, pids = workdir / "spawned.sock", workdir / "pids"
    program = workdir / "events.fcgi"
    program.write_text(f"#!{rowtail.BINARY}\ndb = {log.path}\npublic = yes\nmax-streams-per-client = {STREAMS}\n")
    program.chmod(0o755)
    command = ["spawn-fcgi", "-s", address, "-F", str(PROCESSES), "-P", pids, "--", program]
    subprocess.run(command, env=rowtail.environment(), check=True, stdout=subprocess.DEVNULL)
    processes = [int(pid) for pid in pids.read_text().split()]
    yield address, processes
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not any(map(is_alive, processes)), "all ended")


def test_processes_of_spawn_fcgi_share_a_socket(spawned, log):
    """A client of a process that is killed resumes on another; each process counts its own streams."""
    address, processes = spawned
    before = at_rest(processes)
    peers = []
    for _ in range(STREAMS):
        peers.append(fcgi.Connection(address).ask())
        peers[-1].wait_head()
    counts = shares(processes, before)
    assert sum(counts) == STREAMS
    log.insert("row")
    for peer in peers:
        assert peer.wait_rows(1)[0].data == "row"
    os.kill(processes[counts.index(max(counts))], signal.SIGKILL)
    log.insert("missed by some")
    again = resumed(
        peers, "missed by some", lambda position: fcgi.Connection(address).ask(f"last_event_id={position}")
    )
    assert len(again) == max(counts)
    for peer in peers + again:
        peer.close()


@pytest.fixture
def on_one_socket(workdir, log):
    """A listening socket and two processes on it, as systemd starts them for two services."""
    listener = rowtail.listening_socket(workdir / "held.sock")
    errors = (workdir / "held.err").open("w+")
    command = [rowtail.BINARY, "--db", log.path]
    processes = [
        subprocess.Popen(command, stdin=listener, stderr=errors, env=rowtail.environment()) for _ in range(2)
    ]
    wait_until(lambda: (workdir / "held.err").read_text().count(" follows ") == 2, "both serve")
    yield workdir / "held.sock", listener
    for process in processes:
        process.terminate()
    assert [process.wait(10) for process in processes] == [0, 0]
    errors.close()
    listener.close()


def test_streams_go_on_when_another_service_gets_the_socket(on_one_socket, log):
    """systemd makes the socket blocking whenever it passes it. Then nobody may wait in accept()."""
    address, listener = on_one_socket
    peers = []
    for _ in range(40):
        peers.append(fcgi.Connection(address).ask())
        peers[-1].wait_head()
        os.set_blocking(listener.fileno(), True)  # for all processes
    row = log.insert("row")
    for peer in peers:
        assert peer.wait_rows(1, timeout=5)[0].last_event_id == str(row)
        peer.close()
