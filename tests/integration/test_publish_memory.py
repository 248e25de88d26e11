"""rowtail-publish out of memory: each allocation fails in turn; it refuses or publishes, and never half."""

import json

import pytest

import cgiprogram
import faults
import publisher

BODY = json.dumps([{"channel": "orders/1", "data": "a"}, {"channel": "orders/2", "data": "b", "event": "paid"}]).encode()
EACH, SPREAD, LAST = 60, 37, 3000

pytestmark = pytest.mark.skipif("-san" in publisher.BINARY.name, reason="a sanitizer has an allocator of its own")


def test_each_allocation_fails_in_turn(log, workdir):
    log.sql("INSERT INTO publishers(subject, channel) VALUES ('user:ann', '*')")
    memory = faults.Memory(workdir)
    published = refused = 0
    for number in [*range(1, EACH), *range(EACH, LAST, SPREAD)]:
        memory.plan(number, number)
        with cgiprogram.Program(
            ["--db", log.path], binary=publisher.BINARY, plumbing="socket", env=memory.env, method="POST", body=BODY,
            content_type="application/json", user="ann", headers={"Idempotency-Key": str(number)},
        ) as peer:
            peer.wait_end()
            status = peer.wait_exit()
            assert status in (0, 66, 71, 78), f"allocation {number}: {status}: {peer.stderr}"
            answered = peer.head.status if peer.head else None
        assert answered in (201, 400, 500, 503, None), f"allocation {number}: {answered} {bytes(peer.body)}"
        assert answered is not None or len(peer.stderr.split()) > 2, f"allocation {number}: no word"
        published += answered == 201
        refused += answered != 201
        count = log.sql("SELECT count(*) FROM events")[0][0]
        assert count == 2 * published, f"allocation {number}: {answered}, {count} rows of {published} requests"
        if not memory.hits:
            break
    assert published and refused
