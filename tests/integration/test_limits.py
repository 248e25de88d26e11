"""Limits: how many streams, how many for one client, how long for a client that reads nothing."""

import contextlib
import resource
import subprocess
import time

import pytest

import fcgi
import gateway
import publisher
import rowtail
import stream


def assert_polite_refusal(peer):
    """For an EventSource: a stream that says when to reconnect and why, and ends."""
    peer.wait_complete()
    assert peer.head.status == 200
    assert peer.head.get("Content-Type") == "text/event-stream"
    assert len(peer.parser.retries) == 1
    assert peer.parser.retries[0] >= 1000
    assert peer.events == []
    assert any(len(comment) > 10 for comment in peer.parser.comments)


def assert_plain_refusal(peer):
    """For other clients: 503 with Retry-After and a message."""
    peer.wait_complete()
    assert peer.head.status == 503
    assert int(peer.head.get("Retry-After")) >= 1
    peer.sentence()


def test_max_streams(launch, log):
    server = launch("--max-streams", 2)
    first, second = server.open(), server.open()
    assert_polite_refusal(server.ask())
    assert_polite_refusal(server.ask(accept="text/html, text/event-stream;q=0.5"))
    assert_plain_refusal(server.ask(accept="*/*"))
    assert_plain_refusal(server.ask(accept=None))
    log.insert("row")
    assert first.next_row().data == second.next_row().data == "row"
    assert server.metric("rowtail_streams") == 2
    first.close()
    server.wait_metric(1, "rowtail_streams")
    assert server.open().first.type == "position"


def test_refusals_are_counted_by_reason(launch):
    server = launch("--max-streams", 1)
    server.open()
    server.ask().wait_complete()
    lines = server.page("metrics").body.decode().splitlines()
    counts = [line for line in lines if line.startswith("rowtail_refused_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in counts) == 1


@pytest.mark.parametrize(
    "same, other",
    [
        ({"addr": "192.0.2.1"}, {"addr": "192.0.2.2"}),
        ({"user": "ann"}, {"user": "bob"}),
        ({"user": "ann", "addr": "192.0.2.1"}, {"user": "bob", "addr": "192.0.2.1"}),
    ],
)
def test_max_streams_per_client(launch, same, other):
    server = launch("--max-streams-per-client", 2)
    first = server.open(**same)
    server.open(**same)
    assert_polite_refusal(server.ask(**same))
    assert_plain_refusal(server.ask(**same, accept="*/*"))
    server.open(**other)
    first.close()
    server.wait_metric(2, "rowtail_streams")
    server.open(**same)


def test_user_is_one_client_from_any_address(launch):
    server = launch("--max-streams-per-client", 1)
    server.open(user="ann", addr="192.0.2.1")
    assert_polite_refusal(server.ask(user="ann", addr="192.0.2.2"))
    server.open(addr="192.0.2.1")


def insert_mebibytes(log, count):
    for _ in range(count):
        log.insert("x" * (1 << 20))


def test_stalled_reader_is_ended_and_loses_nothing(launch, log):
    server = launch("--stall-timeout", 1, "--heartbeat", 3600)
    stalled, other = server.open(), server.open()
    insert_mebibytes(log, 2)
    other.wait_rows(2)
    server.wait_metric(1, "rowtail_streams")
    log.insert("for the one that reads")
    assert other.wait_rows(3)[-1].data == "for the one that reads"
    stalled.wait_end()
    position = stalled.parser.last_event_id
    again = server.open(last_event_id=position)
    again.wait_id(3)
    assert stalled.ids + again.ids == [1, 2, 3]


def test_slow_reader_is_not_ended(launch, log):
    server = launch("--stall-timeout", 1, "--heartbeat", 3600)
    slow = server.open()
    insert_mebibytes(log, 4)
    for _ in range(6):
        time.sleep(0.4)
        slow.pump()
    assert server.metric("rowtail_streams") == 1
    assert len(slow.wait_rows(4)) == 4


def test_idle_reader_is_not_stalled(launch, log):
    server = launch("--stall-timeout", 1, "--heartbeat", 3600)
    peer = server.open()
    time.sleep(2.0)
    log.insert("row")
    assert peer.next_row().data == "row"


def test_slow_readers_cost_no_memory(server, log):
    """Twenty readers stop while 16 MiB are inserted: their backlog is the log itself."""
    if server.is_sanitized():
        pytest.skip("a sanitizer keeps freed memory")
    stalled = [server.open() for _ in range(20)]
    quick = server.open()
    log.insert("x" * (1 << 20))
    quick.wait_rows(1)
    before = server.resident_kib()
    insert_mebibytes(log, 16)
    quick.wait_rows(17)
    assert server.resident_kib() - before < 24 << 10
    assert len(stalled[0].wait_rows(17)) == 17


NO_DESCRIPTORS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
static int none(void)
{
	return access(getenv("NO_DESCRIPTORS"), F_OK) == 0 ? (errno = WHY, 1) : 0;
}
int accept4(int fd, struct sockaddr *restrict peer, socklen_t *restrict length, int flags)
{
	int (*real)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");

	return none() ? -1 : real(fd, peer, length, flags);
}
int socketpair(int domain, int type, int protocol, int pair[2])
{
	int (*real)(int, int, int, int *) = dlsym(RTLD_NEXT, "socketpair");

	return none() ? -1 : real(domain, type, protocol, pair);
}
int open(const char *path, int flags, ...)
{
	int (*real)(const char *, int, int) = dlsym(RTLD_NEXT, "open");

	return none() ? -1 : real(path, flags, 0644);
}
int open64(const char *path, int flags, ...)
{
	return open(path, flags);
}
int memfd_create(const char *name, unsigned flags)
{
	int (*real)(const char *, unsigned) = dlsym(RTLD_NEXT, "memfd_create");

	return none() ? -1 : real(name, flags);
}
int inotify_init1(int flags)
{
	int (*real)(int) = dlsym(RTLD_NEXT, "inotify_init1");

	return none() ? -1 : real(flags);
}
"""


@pytest.fixture
def no_descriptors(workdir):
    """no_descriptors(why) returns an environment and a file; while the file exists, nobody gets a descriptor."""

    def build(why):
        library, switch = workdir / "none.so", workdir / "none"
        command = ["cc", "-shared", "-fPIC", f"-DWHY={why}", "-x", "c", "-o", library, "-"]
        subprocess.run(command, input=NO_DESCRIPTORS, text=True, check=True)
        preload = {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "verify_asan_link_order=0"}
        return {**preload, "NO_DESCRIPTORS": str(switch)}, switch

    return build


@pytest.mark.parametrize("why", ["ENFILE", "EMFILE", "ENOBUFS", "ENOMEM"])
def test_system_is_out_of_descriptors_for_a_while(launch, log, no_descriptors, why):
    """Waiting clients are served when descriptors are free again; the others and the log notice nothing."""
    environment, switch = no_descriptors(why)
    server = launch(env=environment)
    stays = server.open()
    switch.touch()
    waiting = [server.ask() for _ in range(20)]
    log.insert("on")
    assert stays.next_row().data == "on"
    before = server.cpu_seconds()
    time.sleep(1)
    assert server.cpu_seconds() - before < 0.5
    switch.unlink()
    for peer in waiting:
        assert peer.next().type == "position"
    assert server.stderr.count("new connections must wait") == 1, server.stderr


@pytest.mark.parametrize("why", ["ENFILE", "EMFILE"])
def test_accepted_clients_need_no_further_descriptor(launch, log, no_descriptors, why):
    """A client accepted before descriptors ran out is answered while there are none."""
    environment, switch = no_descriptors(why)
    server = launch(env=environment)
    stays = server.open()
    whole = fcgi.request(gateway.params("since=0"), padding=5)
    large = gateway.params(method="POST", content_type="text/plain", body=b"x" * 70000)
    inside = [server.connect().send(whole[:cut]) for cut in (1, 100, len(whole) - 1) * 5]
    over = server.connect().send(fcgi.begin())
    server.serves(log)
    switch.touch()
    for number, peer in enumerate(inside):
        peer.send(whole[(1, 100, len(whole) - 1)[number % 3] :])
    over.send(fcgi.request(large, b"x" * 70000)[16:]).wait_head()
    assert over.head.status == 413
    log.insert("on")
    assert [event.data for event in stays.wait_rows(2)] == ["hello", "on"]
    for peer in inside:
        assert [event.data for event in peer.wait_rows(2)] == ["hello", "on"]
    switch.unlink()
    server.serves(log)


@pytest.mark.parametrize("why", ["ENFILE", "EMFILE"])
def test_large_body_waits_for_descriptors(workdir, log, no_descriptors, why):
    """rowtail-publish puts a large body into a file in memory. Without descriptors it waits, and so do others."""
    environment, switch = no_descriptors(why)
    ann = {"path_info": "/orders/1", "user": "ann"}
    log.sql("INSERT INTO publishers(subject, channel) VALUES ('user:ann', 'orders/*')")

    def make(**how):
        return publisher.Publisher(workdir, ["--db", log.path, "--max-request", 300000], **how)

    with rowtail.launching(make) as start:
        server = start(env=environment)
        bodies = [b"x" * 200000, b"small"]
        asked = [
            fcgi.request(gateway.params(method="POST", content_type="text/plain", body=body, **ann), body)
            for body in bodies
        ]
        peers = [server.connect().send(whole[:100]) for whole in asked]
        assert server.post("first", path="/orders/1", user="ann").status == 201
        switch.touch()
        for peer, whole in zip(peers, asked):
            peer.send(whole[100:])
            time.sleep(0.3)
        assert not any(peer.drain().eof or peer.head for peer in peers)
        switch.unlink()
        for peer in peers:
            peer.wait_head()
            assert peer.head.status == 201
        assert server.post("last", path="/orders/1", user="ann").status == 201


def test_partial_requests_take_all_descriptors(server, log):
    """Slowloris: streams continue; new clients are served when the partial requests time out."""
    limit = server.open_files_at_rest(log) + 100
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
    stays = server.open()
    whole = fcgi.request(gateway.params())
    halves = [server.connect().send(whole[: number % len(whole)]) for number in range(110)]
    server.wait_log("new connections must wait")
    late = [server.ask() for _ in range(20)]
    for number in range(20):
        log.insert(f"row {number}")
        assert stays.next_row().data == f"row {number}"
    for peer in late:
        peer.wait(lambda: peer.head, "head", timeout=60)
        assert peer.next().type == "position"
    stream.pump_all(halves, lambda peer: peer.eof, "their end")
    server.serves(log)


def test_fewer_descriptors_than_max_streams(launch, log, workdir):
    """Clients beyond the limit are told to reconnect; later there is room again."""
    address = workdir / "few.sock"
    limited = ["--nofile=150:150", rowtail.BINARY, "--db", log.path, "--listen", address]
    server = launch(*limited, db=None, how=None, program="/usr/bin/prlimit", address=address)
    fit = int(server.wait_log(r"allows (\d+) streams")[1])
    assert fit >= 60
    assert b"data-fact=max_streams data-kind=number>%d\n" % fit in server.page("status").body
    inside = [server.open() for _ in range(fit)]
    for _ in range(5):
        assert_polite_refusal(server.ask())
        assert_plain_refusal(server.ask(accept="*/*"))
    crowd = [server.ask() for _ in range(200)]
    for peer in crowd:
        assert_polite_refusal(peer)
        peer.close()
    log.insert("row")
    stream.pump_all(inside, lambda peer: peer.rows)
    inside.pop().close()
    server.wait_metric(fit - 1, "rowtail_streams")
    server.serves(log)


def test_out_of_descriptors(server, log):
    """Clients without a descriptor wait; the streams continue, and rowtail does not spin."""
    stays = server.open()
    limit = server.open_files_at_rest(log, 1) + 10
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
    waiting = [server.ask() for _ in range(40)]
    before = server.cpu_seconds()
    time.sleep(0.5)
    assert server.cpu_seconds() - before < 0.3
    log.insert("on")
    assert [event.data for event in stays.wait_rows(2)] == ["hello", "on"]
    deadline = time.monotonic() + stream.DEADLINE
    while waiting:
        assert time.monotonic() < deadline, f"{len(waiting)} were never answered"
        peer = next((peer for peer in waiting if peer.drain().head), None)
        if peer:
            assert peer.next().type == "position"
            peer.close()
            waiting.remove(peer)
        time.sleep(0.01)
    server.serves(log)


def test_slow_bodies_do_not_block_new_requests(server):
    """When descriptors are short, unfinished requests make room after a second."""
    stays = server.open()
    limit = 100
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
    params = gateway.params(method="POST", content_type="application/json", body=b"x" * 99)
    half = fcgi.request(params, b"x" * 99)[:-90]
    slow = [server.connect().send(half) for _ in range(300)]
    time.sleep(0.2)
    began = time.monotonic()
    late = server.ask()
    late.wait_head()
    assert time.monotonic() - began < 8
    assert late.next().type == "position"
    assert not stays.drain().eof
    for peer in slow:
        peer.close()


def test_endless_management_records(server, log):
    """Each costs a reply: before a request they end the connection; during a stream they are ignored."""
    peer = server.connect()
    with contextlib.suppress(OSError):
        for _ in range(100):
            peer.send(fcgi.record(fcgi.GET_VALUES, 0, b"") * 2000)
            peer.drain()
    with contextlib.suppress(ConnectionResetError):
        peer.wait_end()
    peer = server.open()
    before = server.cpu_seconds()
    peer.send(fcgi.record(fcgi.GET_VALUES, 0, b"") * 50000)
    log.insert("on")
    peer.wait(lambda: any(row.data == "on" for row in peer.rows), "the row")
    assert server.cpu_seconds() - before < 1
