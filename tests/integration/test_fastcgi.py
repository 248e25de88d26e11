"""FastCGI as a web server may use it. The numbers are sections of the specification."""

import pytest

import fcgi
import gateway
import rowtail


@pytest.mark.parametrize("request_id", [1, 2, 256, 65535])
def test_any_request_id(server, log, request_id):
    peer = server.open(request_id=request_id)
    log.insert("x" * 100000)
    assert len(peer.next_row().data) == 100000
    server.stop()
    peer.wait_complete()
    assert {record.id for record in peer.records} == {request_id}


def test_end_of_a_row_stays_in_one_record(server, log):
    """Some web servers pass on whole records only, and some clients keep an id before the empty line.

    So both are in the same record, whatever the length of the row.
    """
    ids = [log.insert("x" * (65528 * n - less)) for n in (1, 3) for less in range(0, 40)]
    peer = server.open("last_event_id=0")
    rows = [peer.next_row() for _ in ids]
    assert [int(row.last_event_id) for row in rows] == ids
    written = [record.content for record in peer.records if record.type == fcgi.STDOUT]
    for row_id in ids:
        assert any(content.endswith(b"\nid: %d\n\n" % row_id) for content in written), row_id
    assert max(map(len, written)) <= 65528


@pytest.mark.parametrize("chunk, padding", [(1, 0), (7, 255), (1000, 8), (65535, 1)])
def test_request_in_any_pieces(server, log, chunk, padding):
    body = b"channel=a&since=0&pad=" + b"x" * 3000
    log.insert("a", channel="a")
    peer = server.open(
        method="POST",
        body=body,
        content_type="application/x-www-form-urlencoded",
        chunk=chunk,
        padding=padding,
    )
    assert peer.next_row().data == "a"


def test_request_byte_by_byte(server):
    peer = server.connect()
    for byte in fcgi.request(gateway.params()):
        peer.send(bytes([byte]))
    assert peer.next().type == "position"


def test_parameter_names_and_values_of_every_length(server):
    extra = {"X" * length: "v" * (300 - length) for length in (1, 127, 128, 129, 300)}
    extra["HTTP_EMPTY"] = ""
    assert server.open(extra=extra).first.type == "position"


@pytest.mark.parametrize("flags", [0, fcgi.KEEP_CONN])
def test_connection_is_closed_after_the_end(server, flags):
    """5.5; also when the web server asked to keep it (3.5)."""
    peer = server.ask("tail=x", flags=flags).wait_complete()
    assert (peer.head.status, peer.end) == (400, (0, fcgi.REQUEST_COMPLETE))


def test_stream_on_a_kept_connection(server, log):
    peer = server.open(flags=fcgi.KEEP_CONN)
    log.insert("row")
    assert peer.next_row().data == "row"
    server.stop()
    peer.wait_complete()


# 4: management records.


def test_get_values(server):
    names = ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS", "FCGI_NO_SUCH"]
    values = dict(fcgi.get_values(server.address, names))
    assert sorted(values) == names[:3]
    assert int(values["FCGI_MAX_CONNS"]) > 0
    assert int(values["FCGI_MAX_REQS"]) > 0
    assert values["FCGI_MPXS_CONNS"] == "0"


def test_get_values_with_repeated_names(server, log):
    """Each name is answered once, however often it is repeated; libfcgi overruns its stack on this."""
    values = fcgi.get_values(server.address, ["FCGI_MAX_CONNS"] * 200)
    assert [name for name, _ in values] == ["FCGI_MAX_CONNS"]
    server.serves(log)


def test_get_values_without_names(server):
    assert fcgi.get_values(server.address, []) == []


def test_management_record_before_a_request(server):
    peer = server.connect()
    peer.send(fcgi.record(fcgi.GET_VALUES, 0, fcgi.pairs({"FCGI_MPXS_CONNS": ""})))
    peer.wait_record(fcgi.GET_VALUES_RESULT)
    peer.ask()
    assert peer.next().type == "position"


@pytest.mark.parametrize("kind", [12, 99, 255])
def test_unknown_management_record(server, kind):
    peer = server.connect().send(fcgi.record(kind, 0, b"channel=*" * 20))
    answer = peer.wait_record(fcgi.UNKNOWN_TYPE)
    assert (answer.id, answer.content[0], len(answer.content)) == (0, kind, 8)


def test_management_record_while_a_stream_runs(server, log):
    peer = server.open()
    peer.send(fcgi.record(fcgi.GET_VALUES, 0, fcgi.pairs({"FCGI_MPXS_CONNS": ""})))
    log.insert("row")
    assert peer.next_row().data == "row"


# 5: requests.


def test_abort_ends_the_stream(server):
    peer = server.open()
    peer.send(fcgi.abort()).wait_complete()
    server.wait_metric(0, "rowtail_streams")


def test_abort_right_after_the_request_ends_the_stream(server):
    """Both in one write: the client has disconnected before rowtail looked at its request."""
    peer = server.connect()
    peer.send(fcgi.request(gateway.params()) + fcgi.abort()).wait_complete()
    server.wait_metric(0, "rowtail_streams")


def test_abort_of_another_request_is_ignored(server, log):
    peer = server.open(request_id=3)
    peer.send(fcgi.abort(4))
    log.insert("row")
    assert peer.next_row().data == "row"


def test_abort_before_the_request_is_complete(server, log):
    peer = server.connect()
    peer.send(fcgi.begin() + fcgi.record(fcgi.PARAMS, 1, b"") + fcgi.abort()).wait_end()
    server.serves(log)


def test_second_request_on_a_connection_is_refused(server, log):
    """4.1: FCGI_MPXS_CONNS is 0; the first stream goes on."""
    peer = server.open()
    peer.send(fcgi.request(gateway.params(), request_id=2))
    peer.wait(lambda: 2 in peer.other_ends, "end of request 2")
    assert peer.other_ends[2].protocol_status == fcgi.CANT_MPX_CONN
    log.insert("row")
    assert peer.next_row().data == "row"


# A web server that keeps the connection (3.5) and does not wait for the end of the first request.

FIRST = fcgi.request(gateway.params(), flags=fcgi.KEEP_CONN)
SECOND = fcgi.request(gateway.params(), request_id=2, flags=fcgi.KEEP_CONN)


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 20, len(SECOND) - 1, len(SECOND)])
def test_next_request_in_the_same_write(server, log, cut):
    """It is refused in any pieces, and the first request continues."""
    peer = server.connect().send(FIRST + SECOND[:cut])
    assert peer.next().type == "position"
    peer.send(SECOND[cut:])
    peer.wait(lambda: 2 in peer.other_ends, "end of request 2")
    assert peer.other_ends[2].protocol_status == fcgi.CANT_MPX_CONN
    log.insert("row")
    assert peer.next_row().data == "row"
    assert peer.end is None


def test_abort_in_the_same_write(server):
    server.connect().send(FIRST + fcgi.abort()).wait_complete()
    server.wait_metric(0, "rowtail_streams")


def test_next_request_after_an_answered_one(server, log):
    """The answer is complete, then the connection closes: the next request needs another connection."""
    refused = fcgi.request(gateway.params("tail=x"), flags=fcgi.KEEP_CONN)
    peer = server.connect().send(refused + FIRST).wait_complete()
    assert (peer.head.status, peer.end) == (400, (0, fcgi.REQUEST_COMPLETE))
    server.serves(log)


@pytest.mark.parametrize("early", [True, False])
def test_next_request_with_the_same_id(server, log, early):
    """Its refusal would end the first request, so rowtail closes the connection."""
    bystander = server.open()
    peer = server.connect().send(FIRST + FIRST if early else FIRST)
    if not early:
        peer.next()
        peer.send(FIRST)
    peer.wait_end()
    assert peer.end is None
    log.insert("row")
    assert bystander.next_row().data == "row"


def test_flood_of_requests_without_reading_answers(server, log):
    """Answers that do not fit are dropped; none is truncated, and the stream continues."""
    peer = server.open()
    begins = b"".join(fcgi.begin(number) for number in range(2, 4000))
    peer.send(begins * 3)
    log.insert("row")
    assert peer.next_row().data == "row"
    assert peer.end is None
    assert peer.other_ends


def test_partial_record_after_the_request(server, log):
    """rowtail expects the rest of the record after the request."""
    peer = server.connect()
    abort = fcgi.abort()
    peer.send(fcgi.request(gateway.params()) + abort[:5]).next()
    log.insert("row")
    assert peer.next_row().data == "row"
    peer.send(abort[5:]).wait_complete()


@pytest.mark.parametrize("role", [fcgi.AUTHORIZER, fcgi.FILTER, 0, 77])
def test_other_roles_are_refused(server, role):
    peer = server.connect().send(fcgi.request(gateway.params(), role=role)).wait_complete()
    assert peer.end.protocol_status == fcgi.UNKNOWN_ROLE
    assert not peer.head


def test_late_records_of_our_request_are_ignored(server, log):
    peer = server.open()
    peer.send(fcgi.record(fcgi.STDIN, 1, b"late" * 1000, 5) + fcgi.record(fcgi.STDIN, 1))
    log.insert("row")
    assert peer.next_row().data == "row"


def test_several_processes_tail_one_log(launch, log):
    servers = [launch() for _ in range(3)]
    peers = [server.open() for server in servers]
    log.insert("row")
    assert [peer.next_row().data for peer in peers] == ["row"] * 3


# Many.


def test_five_hundred_streams(server, log):
    rowtail.raise_file_limit()
    peers = [server.ask(f"channel=c{number % 10}") for number in range(500)]
    for peer in peers:
        peer.next()
    for number in range(10):
        log.insert(f"for c{number}", channel=f"c{number}")
    for number, peer in enumerate(peers):
        assert peer.next().data == f"for c{number % 10}"
    assert server.metric("rowtail_streams") == 500


def test_burst_of_connections(server):
    """All clients connect before one is answered; the backlog holds them."""
    rowtail.raise_file_limit()
    peers = [server.connect() for _ in range(900)]
    for peer in peers:
        peer.ask()
    for peer in peers:
        assert peer.next().type == "position"
