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


def test_two_standbys_that_take_over_with_the_same_timeline(own, keep, serve):
    """The second one did not follow the first, and there is no archive that would tell it which timelines there were."""
    log = mirror.Log(own)
    log.grant()
    log.insert_many(5)
    with own.standby() as first, own.standby() as second:
        for standby in first, second:
            standby.wait_for(own)
        own.kill()
        first.promote()
        kept = [keep(both(first, second, log)), keep(second.dsn(log.name), "--poll", 20)]
        servers = [serve(one) for one in kept]
        lost = log.on(first).insert_many(20, prefix="lost ")
        peer = servers[0].open(last_event_id=lost - 1)
        assert peer.next_row().last_event_id == str(lost)
        first.kill()
        second.promote()
        new = log.on(second)
        number = new.insert_many(40, prefix="new ")
        for one in kept:
            one.wait_same(new)
        peer.wait(lambda: gaps(peer), "a gap")
        # The other machine never had the lost rows, and now has more than they were.
        assert mirror.gap(servers[1].open(last_event_id=lost).first)["reason"] in ("pruned", "future")
        assert servers[1].open(last_event_id=number).first.type == "position"


def test_copy_of_the_table_alone_gives_no_id_twice(own, keep):
    """As by logical replication, which copies no sequences and runs no triggers."""
    log = mirror.Log(own)
    log.insert("written before the copy")
    kept = keep(log.dsn)
    log.rows("SET session_replication_role = replica")
    log.rows("INSERT INTO events(id, data) SELECT i, 'copied ' || i FROM generate_series(2, 50) AS i")
    log.rows("RESET session_replication_role")
    own.stop()
    own.start()
    assert log.insert("new") > 50 and log.insert_many(2) > 50
    kept.wait_same(log)
    assert log.rows("SELECT count(*) FROM events") == [(53,)] and "new copy" not in kept.stderr
