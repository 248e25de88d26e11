"""format=json while memory is short: an answer is right, or it asks the client to come back, or the connection is cut."""

import json

import pytest

import faults
import rowtail
from test_faults_memory import EACH, SPREAD, assert_most_failed, numbers_of

pytestmark = pytest.mark.skipif(
    "rowtail-san" in rowtail.BINARY.name, reason="a sanitizer has an allocator of its own"
)
QUERIES = ["since=0", "since=1&limit=1", "before=9&limit=2", "tail=2", "since=99", "channel=*&since=0"]
WANTED = {
    "since=0": [1, 2, 3],
    "since=1&limit=1": [2],
    "before=9&limit=2": [2, 3],
    "tail=2": [2, 3],
    "since=99": [],
    "channel=*&since=0": [1, 2, 3],
}


def assert_right(peer, query):
    """A whole answer, a refusal, or nothing that could be taken for one."""
    if peer.head is None:
        return
    assert peer.head.get("Content-Type") != "text/event-stream", peer.describe()
    if peer.head.status != 200:
        assert peer.head.status == 503, peer.describe()
        return
    try:
        answer = json.loads(peer.body)
    except ValueError:
        # A client cannot take this for an answer.
        return
    found = [event["id"] for event in answer["events"]]
    assert found == WANTED[query][: len(found)], peer.describe()
    assert found == WANTED[query] or answer["more"], peer.describe()
    assert (answer["gap"] is not None) == (query == "since=99"), peer.describe()


@pytest.mark.parametrize("query", QUERIES)
def test_each_allocation_fails(launch, log, workdir, query):
    log.insert_many(3)
    memory = faults.Memory(workdir)
    server = launch(env=memory.env)

    def ask(plan):
        server.wait_metric(0, "rowtail_streams")
        with server.connect() as peer:
            plan()
            try:
                peer.ask(f"format=json&{query}")
                peer.wait_end()
            except BrokenPipeError:
                pass
            memory.stop()
            assert_right(peer, query)
        return memory.hits

    count = [ask(memory.count) for _ in range(2)][-1]
    numbers = numbers_of(count, EACH, SPREAD)
    assert_most_failed([ask(lambda n=number: memory.plan(n, n)) > 0 for number in numbers])
    for number in range(1, count, 7):
        ask(lambda n=number: memory.plan(n, -1))
    server.serves(log)


def test_each_allocation_fails_when_the_row_comes(launch, log, workdir):
    log.insert_many(3)
    memory = faults.Memory(workdir)
    server = launch(env=memory.env)

    def ask(plan):
        newest = log.newest()
        peers = [server.ask(f"format=json&since={newest}&wait=60") for _ in range(3)]
        server.wait_metric(3, "rowtail_streams")
        plan()
        log.insert("row")
        for peer in peers:
            peer.rest(0.05)
        memory.stop()
        for peer in peers:
            WANTED["now"] = [newest + 1]
            assert_right(peer.wait_end(), "now")
        return memory.hits

    count = [ask(memory.count) for _ in range(2)][-1]
    for number in range(1, count + 3):
        ask(lambda n=number: memory.plan(n, n))
    for number in range(1, count, 3):
        ask(lambda n=number: memory.plan(n, -1))
    server.serves(log)
    server.wait_metric(0, "rowtail_streams")
