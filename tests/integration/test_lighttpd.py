"""Behind a real web server: lighttpd with mod_fastcgi and with mod_cgi."""

import contextlib
import os
import signal
import time

import pytest

import cgiprogram
import lighttpd
import rowtail
import stream


@pytest.fixture
def program(workdir, log):
    """program("events.cgi", line…) writes a CONFIG file that is itself the program."""

    def write(name, *lines):
        directory = workdir / "www"
        directory.mkdir(exist_ok=True)
        path = directory / name
        path.write_text("\n".join([f"#!{rowtail.BINARY}", f"db = {log.path}", *lines, ""]))
        path.chmod(0o755)
        return path

    return write


def fastcgi(workdir, backend):
    """A server with a FastCGI program at /events; backend says how to reach or start it."""
    settings = f'fastcgi.server = ( "/events" => (( {backend}, "check-local" => "disable" )) )\n'
    return lighttpd.Lighttpd(workdir, ["mod_fastcgi"], settings)


def cgi(workdir):
    """A server that runs files whose names end in .cgi."""
    return lighttpd.Lighttpd(workdir, ["mod_cgi"], 'cgi.assign = ( ".cgi" => "" )\n')


def wait_no_process(argument):
    """Waits until no process with this argument is left."""
    deadline = time.monotonic() + stream.DEADLINE
    while left := cgiprogram.runs_with(argument):
        assert time.monotonic() < deadline, f"processes {left} are still there"
        time.sleep(0.02)


def follows(server, target, log):
    """Head, position, live rows and a resume, by HTTP."""
    peer = server.open(target)
    peer.wait_head()
    assert peer.head.status == 200
    assert peer.head.get("Content-Type") == "text/event-stream"
    assert peer.head.get("Cache-Control") == "no-cache, no-transform"
    assert peer.next().type == "position"
    log.insert("one\r\ntwo", event="kind")
    assert peer.next()[:2] == ("kind", "one\ntwo")
    position = peer.parser.last_event_id
    peer.close()
    log.insert("missed")
    again = server.open(target, last_event_id=position)
    assert again.next_row().data == "missed"
    again.close()


def test_fastcgi_socket(workdir, server, log):
    with fastcgi(workdir, f'"socket" => "{server.address}"') as web:
        follows(web, "/events", log)
        log.insert("in a channel", channel="orders/ü")
        peer = web.open("/events/orders/%C3%BC?tail=1")
        assert peer.next_row().data == "in a channel"
        refused = web.open("/events?tail=x").wait_complete()
        assert refused.head.status == 400
        preflight = web.open("/events", method="OPTIONS").wait_complete()
        assert preflight.head.status == 204
        body = b'{"channel": "orders/*", "since": 0}'
        posted = web.open(
            "/events", method="POST", body=body, headers={"Content-Type": "application/json"}
        )
        assert posted.next().data == "in a channel"


def test_config_file_is_the_fastcgi_program(workdir, program, log):
    path = program("events.fcgi", "retry = 1234", "retry-jitter = 0")
    spawned = f'"socket" => "{workdir}/spawned.sock", "bin-path" => "{path}", "max-procs" => 1'
    with fastcgi(workdir, spawned) as web:
        follows(web, "/events", log)
        peer = web.open("/events")
        peer.next()
        assert peer.parser.reconnection_time == 1234
    wait_no_process(path)


def test_several_processes_that_lighttpd_starts(workdir, program, log):
    """Streams spread over them, and a client of one that is killed resumes on another."""
    path = program("events.fcgi")
    spawned = f'"socket" => "{workdir}/spawned.sock", "bin-path" => "{path}", "max-procs" => 3'
    with fastcgi(workdir, spawned) as web:
        peers = [web.open("/events").wait_head() for _ in range(12)]
        log.insert("row")
        for peer in peers:
            assert peer.wait_rows(1)[0].data == "row"
        processes = cgiprogram.runs_with(path)
        assert len(processes) == 3
        os.kill(processes[0], signal.SIGKILL)
        log.insert("after the kill")
        cut = [peer for peer in peers if not has_two(peer)]
        assert 0 < len(cut) < len(peers)
        for peer in cut:
            again = web.open("/events", last_event_id=peer.parser.last_event_id)
            assert again.wait_rows(1)[0].data == "after the kill"
        deadline = time.monotonic() + stream.DEADLINE
        while len(cgiprogram.runs_with(path)) < 3:
            assert time.monotonic() < deadline, "lighttpd starts the process again"
            time.sleep(0.05)
    wait_no_process(path)


def has_two(peer):
    """Has it received both rows, and not been cut off?"""
    with contextlib.suppress(AssertionError, OSError, EOFError):
        return len(peer.wait_rows(2)) == 2
    return False


def test_config_file_is_the_cgi_program(workdir, program, log):
    path = program("events.cgi", "heartbeat = 1")
    with cgi(workdir) as web:
        follows(web, "/events.cgi", log)
        peer = web.open("/events.cgi/orders/1")
        peer.next()
        log.insert("row", channel="orders/1")
        assert peer.next_row().data == "row"
        head = web.open("/events.cgi", method="HEAD").wait_complete()
        assert head.head.status == 200
        body = b"channel=orders/1&since=0"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        posted = web.open("/events.cgi", method="POST", body=body, headers=headers)
        assert posted.next().data == "row"
        posted.close()
        peer.close()
        wait_no_process(path)


def test_short_cgi_streams_lose_nothing(workdir, program, log):
    """Short streams, one process each: the client reconnects with its position."""
    program("events.cgi", "max-stream-age = 1")
    with cgi(workdir) as web:
        position, seen = "0", []
        for turn in range(3):
            log.insert_many(10, prefix=f"turn {turn} ")
            peer = web.open("/events.cgi", last_event_id=position).wait_head()
            peer.wait_complete()
            seen += peer.ids
            position = peer.parser.last_event_id
        assert seen == list(range(1, 31))


def test_stream_continues_while_another_client_does_not_read(workdir, server, log):
    with fastcgi(workdir, f'"socket" => "{server.address}"') as web:
        slow, quick = web.open("/events"), web.open("/events")
        for peer in (slow, quick):
            peer.next()
        for _ in range(16):
            log.insert("x" * (1 << 20))
        assert len(quick.wait_rows(16)) == 16
        assert len(slow.wait_rows(16)) == 16
