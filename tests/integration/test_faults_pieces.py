"""Partial and interrupted reads and writes: no byte is lost.

See tests/faults/pieces.c. With one byte for each write, every record is cut at every byte.
"""

import signal

import pytest

import cgiprogram
import faults
import stream

ROWS = ["one", "", "two\nlines\r\nthree", "é\u2028" * 40, "data: x\n\n", "y" * 700]
LONG = "0123456789" * 7000  # more than one FastCGI record holds
TEXTS = [text.replace("\r\n", "\n") for text in ROWS]


@pytest.fixture
def pieces(workdir):
    return faults.Pieces(workdir)


@pytest.fixture
def start(launch, pieces):
    """Starts rowtail with reads and writes that the test can limit."""
    return lambda *arguments: launch(*arguments, env=pieces.env)


def publish(log, rows):
    """Publishes some rows in one transaction, and the others in one each."""
    log.sql("BEGIN IMMEDIATE")
    for text in rows[:3]:
        log.insert(text)
    log.sql("COMMIT")
    for text in rows[3:]:
        log.insert(text)


def texts(peer):
    return [event.data for event in peer.rows]


def open_all(server):
    """Opens streams that became live in different ways."""
    peers = [server.open(), server.open("channel=*&event=message"), server.open(request_id=7)]
    return [*peers, server.open("positions=0")]


@pytest.mark.parametrize("most, every", [(1, 0), (1, 2), (2, 3), (7, 2), (8, 0), (61, 3)])
def test_each_record_is_cut_at_each_byte(start, log, pieces, most, every):
    server = start()
    live = open_all(server)
    pieces.plan(most, every)
    publish(log, ROWS)
    late = [server.open(last_event_id=0), server.open(last_event_id=0, request_id=300)]
    peers = [*live, *late]
    stream.pump_all(peers, lambda peer: len(peer.rows) == len(ROWS), "all rows")
    for peer in peers:
        assert texts(peer) == TEXTS
        assert peer.ids == list(range(1, len(ROWS) + 1))
    assert pieces.happened() == ("01" if every else "1")
    assert server.metric("rowtail_streams") == len(peers)
    pieces.stop()
    server.serves(log)


def test_a_long_record_in_pieces(start, log, pieces):
    server = start()
    peers = open_all(server)
    pieces.plan(997, 3)
    log.insert(LONG)
    log.insert("end")
    peers.append(server.open(last_event_id=0))
    stream.pump_all(peers, lambda peer: len(peer.rows) == 2, "both rows")
    assert all(texts(peer) == [LONG, "end"] for peer in peers)


@pytest.mark.parametrize("rows", range(1, len(ROWS) + 1))
def test_shutdown_between_pieces(start, log, pieces, rows):
    """SIGTERM while every stream is in the middle of a record: rowtail completes the record first."""
    server = start()
    peers = open_all(server)
    pieces.plan(1, 2)
    publish(log, ROWS[:rows])
    peers[0].wait(lambda: len(peers[0].body) > 200 or peers[0].rows, "the first bytes")
    # The kernel keeps a buffer for each byte, so a client that does not read is soon full.
    server.signal(signal.SIGTERM)
    stream.pump_all(peers, lambda peer: peer.eof, "end")
    assert server.wait_exit() == 0
    for peer in peers:
        peer.wait_complete()
        assert not peer.parser.pending
        assert peer.parser.retries[-1] > 0
        assert texts(peer) == TEXTS[: len(peer.rows)]


def test_answers_in_pieces(start, log, pieces):
    server = start()
    pieces.plan(1, 2)
    refused = server.answer("tail=x")
    assert refused.head.status == 400
    refused.sentence()
    body = b"channel=default&since=0"
    form = "application/x-www-form-urlencoded"
    log.insert("row")
    assert server.open(method="POST", body=body, content_type=form).next_row().data == "row"
    assert "rowtail_streams 1" in server.page("metrics").body.decode()


@pytest.mark.parametrize("plumbing", ["pipes", "socket"])
@pytest.mark.parametrize("most, every", [(1, 2), (7, 3)])
def test_cgi_program(log, pieces, plumbing, most, every):
    pieces.plan(most, every)
    publish(log, ROWS)
    program = cgiprogram.Program(
        ["--db", log.path],
        method="POST",
        body=b"since=0&positions=1",
        content_type="application/x-www-form-urlencoded",
        plumbing=plumbing,
        env=pieces.env,
    )
    program.wait_rows(len(ROWS))
    log.insert("live")
    program.wait_rows(len(ROWS) + 1)
    assert texts(program) == [*TEXTS, "live"]
    program.signal(signal.SIGTERM)
    program.wait_end()
    assert program.wait_exit() == 0
    assert pieces.happened() == "01"
    program.cleanup()
