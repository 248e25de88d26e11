"""rowtail-mirror and a log that moves to another PostgreSQL cluster, where timelines begin at 1 again."""

import contextlib

import mirror
import postgresql
import pytest
from test_mirror_failover import both, lose_rows

pytestmark = mirror.needed


@pytest.fixture
def own():
    """A server of this test alone."""
    with postgresql.running() as cluster:
        yield cluster


def gaps(peer):
    return [mirror.gap(event)["reason"] for event in peer.events if event.type == "gap"]


def test_pg_upgrade_is_unnoticed_and_takeovers_after_it_are_told(own, keep, serve):
    """pg_upgrade makes timeline 1 of another system. Its first takeover makes timeline 2, which the log had before."""
    log = mirror.Log(own)
    log.grant()
    log.insert_many(5)
    with own.standby() as second:
        own.kill()
        second.promote()
        log = log.on(second)
        log.insert_many(5)
        kept = keep(log.dsn)
        server = serve(kept)
        peer = server.open(last_event_id=0)
        second.upgrade()
        number = log.insert("after the upgrade")
        kept.wait_same(log)
        peer.wait(lambda: number in peer.ids, "the row after the upgrade")
        assert len(peer.ids) == 11 and peer.ids == sorted(peer.ids) and not gaps(peer)
        with second.standby() as third:
            third.wait_for(second)
            kept.stop()
            kept.command[2] = both(second, third, log)
            kept.start()
            lost = lose_rows(second, third, log, kept)
            new = log.on(third)
            number = new.insert("after the takeover")
            assert number > lost
            kept.wait_same(new)
            peer.wait(lambda: number in peer.ids, "the row after the takeover")
            assert gaps(peer) and peer.ids.count(number) == 1
            assert mirror.gap(server.open(last_event_id=lost).first)["reason"] == "pruned"
