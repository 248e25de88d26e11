"""rowtail-mirror and what happens to PostgreSQL: crashes, hangs, standbys that take over, backups that are restored."""

import contextlib
import shutil
import signal
import threading
import time

import mirror
import postgresql
import pytest

pytestmark = mirror.needed


@pytest.fixture
def own():
    """A server that a test may kill."""
    with postgresql.running() as cluster:
        yield cluster


@pytest.fixture
def pair(own):
    """A primary, and a hot standby; a log in both."""
    log = mirror.Log(own)
    log.grant()
    with own.standby() as standby:
        standby.wait_for(own)
        yield own, standby, log


def both(primary, standby, log):
    """A connection string that leads to whichever of two servers is the primary."""
    return (
        f"host={primary.directory},{standby.directory} port=5432 dbname={log.name} user=postgres "
        "target_session_attrs=read-write"
    )


@contextlib.contextmanager
def publishing(log):
    """Publishes rows one after the other, and goes on after errors; yields the list of those acknowledged."""
    done, ended = [], threading.Event()

    def work():
        import psycopg2

        while not ended.is_set():
            try:
                done.append(log.insert(f"row {len(done)}"))
            except psycopg2.Error:
                time.sleep(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        ended.set()
        thread.join()


def test_crash_of_postgresql_loses_nothing(own, keep, serve):
    log = mirror.Log(own)
    log.grant()
    kept = keep(log.dsn)
    peer = serve(kept).open(last_event_id=0)
    with publishing(log) as done:
        for _ in range(2):
            time.sleep(0.3)
            own.kill()
            own.start()
            before = len(done)
            kept.wait(lambda: len(done) > before, "rows after the crash")
    kept.wait_same(log)
    ids = [number for (number,) in log.rows("SELECT id FROM events ORDER BY id")]
    assert set(done) <= set(ids)
    peer.wait(lambda: len(peer.rows) >= len(ids), "all rows")
    assert peer.ids == ids and not [event for event in peer.events if event.type == "gap"]


def test_server_that_hangs_counts_as_away(own, keep):
    log = mirror.Log(own)
    kept = keep(log.dsn)
    own.pause()
    try:
        kept.wait_log("not answered|no server answered", 25)
        assert kept.metric("connected") == 0
    finally:
        own.resume()
    number = log.insert("after")
    kept.wait(lambda: kept.ids() == [number], "the row")


def test_mirror_on_a_standby_follows(pair, keep, serve):
    primary, standby, log = pair
    number = log.insert("one")
    standby.wait_for(primary)
    kept = keep(standby.dsn(log.name), "--poll", 20, "--max-stale", 5)
    assert kept.metric("standby") == 1
    peer = serve(kept).open(last_event_id=number)
    number = log.insert("two")
    assert peer.next_row().last_event_id == str(number)
    log.rows("DELETE FROM events WHERE data = 'one'")
    kept.wait_same(log)
    time.sleep(2)
    assert kept.page("health").head.status == 200


def test_standby_with_notices_from_the_primary(pair, keep, serve):
    """The copy knows when it is complete, so a position above every row is `future` soon."""
    primary, standby, log = pair
    kept = keep(standby.dsn(log.name), "--notices", log.dsn, "--poll", 100)
    kept.wait_log("notices come from")
    number = log.insert("one")
    kept.wait(lambda: kept.ids() == [number], "the row")
    server = serve(kept)
    began = time.monotonic()
    assert mirror.gap(server.open(last_event_id=number + 100).first)["reason"] == "future"
    assert time.monotonic() - began < 8


def test_standby_that_lags_is_not_taken_for_another_log(pair, keep):
    primary, standby, log = pair
    log.insert_many(20)
    kept = keep(both(primary, standby, log))
    standby.rows("SELECT pg_wal_replay_pause()")
    log.insert_many(20)
    kept.wait_same(log)
    kept.stop()
    kept.command[2] = standby.dsn(log.name)
    kept.start(wait_copy=False)
    kept.wait_log("connected to .*standby")
    assert len(kept.ids()) == 40
    standby.rows("SELECT pg_wal_replay_resume()")
    number = log.insert("more")
    kept.wait(lambda: kept.ids()[-1] == number, "the row")
    assert "new copy" not in kept.stderr


def test_takeover_without_loss_goes_unnoticed(pair, keep, serve):
    primary, standby, log = pair
    kept = [keep(both(primary, standby, log)), keep(standby.dsn(log.name), "--poll", 20)]
    peers = [serve(one).open(last_event_id=0) for one in kept]
    log.insert_many(50)
    standby.wait_for(primary)
    for one in kept:
        one.wait_same(log)
    primary.kill()
    standby.promote()
    new = log.on(standby)
    last = new.insert_many(50)
    for one, peer in zip(kept, peers):
        one.wait_same(new)
        peer.wait(lambda peer=peer: len(peer.rows) >= 100, "100 rows")
        assert peer.ids[-1] == last and len(peer.ids) == 100
        assert not [event for event in peer.events if event.type == "gap"]
    assert last > 1 << 40


def lose_rows(primary, standby, log, kept, also=None, pause=False):
    """Publishes rows that the standby does not get, waits until the mirror has them, and lets the standby take over."""
    log.insert_many(30)
    standby.wait_for(primary)
    [(receiver,)] = standby.rows("SELECT pid FROM pg_stat_wal_receiver")
    standby.rows("ALTER SYSTEM SET primary_conninfo = ''")
    standby.rows("SELECT pg_reload_conf()")
    deadline = time.monotonic() + 10
    while standby.rows("SELECT pid FROM pg_stat_wal_receiver") == [(receiver,)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    lost = log.insert_many(20, prefix="lost ")
    if also:
        log.rows(also)
    kept.wait_same(log)
    if pause:
        kept.pause()
    primary.kill()
    standby.promote()
    return lost


@pytest.mark.parametrize("late", [False, True], ids=["soon", "late"])
@pytest.mark.parametrize("also", [None, "DELETE FROM events WHERE data = 'row 5'", "INSERT INTO grants VALUES ('user:x', 'y')"],
                         ids=["rows", "deletion", "grant"])
def test_takeover_with_loss_takes_rows_back_and_tells_everybody(pair, keep, serve, also, late):
    """late: the mirror sees the new primary only after that has published."""
    primary, standby, log = pair
    kept = [keep(both(primary, standby, log)), keep(standby.dsn(log.name), "--poll", 20)]
    servers = [serve(one) for one in kept]
    peer = servers[0].open(last_event_id=0)
    lost = lose_rows(primary, standby, log, kept[0], also, pause=late)
    peer.wait(lambda: lost in peer.ids, "the row that will be lost")
    if late:
        log.on(standby).insert("before the mirror looks")
        kept[0].resume()
    else:
        kept[0].wait(lambda: "new copy" in kept[0].stderr, "the mirror looks")
    new = log.on(standby)
    number = new.insert("first of the new primary")
    for one in kept:
        one.wait_same(new)
        assert lost not in one.ids()
    # Only what cannot be mended is copied anew.
    assert ("new copy" in kept[0].stderr) == (not late or also is not None)
    peer.wait(lambda: number in peer.ids, "the new row")
    gaps = [event for event in peer.events if event.type == "gap"]
    # At first the new primary cannot say where its ids begin; when it can, all are told once more.
    assert len(gaps) in ([1] if late else [1, 2]) and peer.ids.index(lost) < peer.ids.index(number)
    # Whoever comes with a position from before the takeover hears of it, on every machine.
    for server in servers:
        assert mirror.gap(server.open(last_event_id=lost).first)["reason"] == "pruned"
        assert server.open(last_event_id=number).first.type == "position"
    # The other mirror is told as well: a client that had less may have had such a row before it.
    for server, one in zip(servers, kept):
        one.wait(lambda one=one: one.sql("SELECT 1 FROM events_pruned WHERE channel = '*'"), "the mark")
        assert mirror.gap(server.open(last_event_id=1).first)["reason"] == "pruned"


def test_takeover_whose_first_row_comes_before_the_new_copy_is_told_to_all(pair, keep):
    """The new primary looks like a log that was put back, and has published before the copy of it is made."""
    primary, standby, log = pair
    kept = [keep(both(primary, standby, log)), keep(standby.dsn(log.name), "--poll", 20)]
    blocked = kept[0].path.with_name(kept[0].path.name + ".new")
    blocked.mkdir()
    lose_rows(primary, standby, log, kept[0])
    kept[0].wait_log("earlier state")
    new = log.on(standby)
    new.insert("first of the new primary")
    blocked.rmdir()
    for one in kept:
        one.wait(lambda one=one: one.sql("SELECT 1 FROM events_pruned WHERE channel = '*'"), "the mark")
        one.wait_same(new)


def test_position_of_a_lost_row_is_a_gap_before_the_mirrors_told_each_other(pair, keep, serve):
    """The mirror that had the rows is gone; the other one never had them."""
    primary, standby, log = pair
    kept = [keep(both(primary, standby, log)), keep(standby.dsn(log.name), "--poll", 20)]
    server = serve(kept[1])
    lost = lose_rows(primary, standby, log, kept[0])
    kept[0].kill()
    new = log.on(standby)
    number = new.insert("first of the new primary")
    kept[1].wait_same(new)
    peer = server.open(last_event_id=lost)
    assert mirror.gap(peer.first)["reason"] == "pruned"
    assert lost < int(peer.first.last_event_id) < number
    assert peer.next_row().last_event_id == str(number)
    assert b'"reason":"pruned"' in server.answer(f"format=json&last_event_id={lost}").body
    kept_position = new.rows("SELECT max(id) FROM events WHERE id < %s", 1 << 40)[0][0]
    assert server.open(last_event_id=kept_position).first.type == "position"


@pytest.mark.parametrize("late", [False, True], ids=["soon", "late"])
def test_takeover_that_loses_only_what_a_mirror_told_is_no_gap(pair, keep, serve, late):
    """The new primary is killed right after a mirror told it of lost rows. The next one is told again.

    late: the mirror sees that one only after it has published."""
    primary, standby, log = pair
    kept = keep(both(primary, standby, log))
    lost = lose_rows(primary, standby, log, kept, pause=True)
    new = log.on(standby)
    new.insert("the new primary's row")
    with standby.standby() as third:
        third.wait_for(standby)
        third.cut()
        other = keep(third.dsn(log.name), "--poll", 20)
        kept.kill()
        kept.command[2] = kept.command[2].replace(str(primary.directory), str(third.directory))
        kept.start(wait_copy=False)
        kept.wait_same(new)
        [(base, told)] = kept.wait(lambda: new.rows("SELECT p.id, c.id FROM events_pruned AS p, events_changes AS c "
                                                    "WHERE p.channel = '*' AND c.channels = '{*}'"), "it tells")
        kept.wait(lambda: kept.position() >= told, "its own word")
        peer = serve(kept).open(last_event_id=new.newest())
        assert peer.first.type == "position"
        if late:
            kept.pause()
        standby.kill()
        third.promote()
        last = log.on(third)
        if late:
            assert not last.rows("SELECT 1 FROM events_pruned WHERE channel = '*'")
        else:
            kept.wait(lambda: kept.sql("SELECT source LIKE ? FROM rowtail_mirror", f"{third.directory}%")[0][0], "the server")
        number = last.insert("the last primary's row")
        if late:
            kept.resume()
        for one in kept, other:
            one.wait_same(last)
            one.wait(lambda one=one: (base,) in one.sql("SELECT id FROM events_pruned WHERE channel = '*'"), "the mark")
        peer.wait(lambda: number in peer.ids, "the row")
        assert not [event for event in peer.events if event.type == "gap"] and "new copy" not in kept.stderr
        assert mirror.gap(serve(other).open(last_event_id=lost).first)["reason"] == "pruned"


def test_former_primary_that_comes_back_is_passed_over(pair, keep):
    primary, standby, log = pair
    kept = keep(both(primary, standby, log))
    log.insert_many(10)
    kept.wait_same(log)
    standby.wait_for(primary)
    primary.kill()
    standby.promote()
    new = log.on(standby)
    new.insert("new")
    kept.wait_same(new)
    # It is the first host, and takes writes.
    primary.start()
    log.on(primary).insert("on the wrong server")
    kept.kill().start(wait_copy=False)
    number = new.insert("newer")
    kept.wait(lambda: kept.ids()[-1] == number, "the row of the new primary")
    kept.wait_same(new)
    assert "older than" in kept.stderr


def test_restored_dump_makes_a_new_copy(own, keep, serve):
    log = mirror.Log(own)
    log.grant()
    log.insert_many(10)
    dump = own.psql("-c", "SELECT 1", dbname=log.name)
    assert dump.returncode == 0
    kept = keep(log.dsn)
    peer = serve(kept).open(last_event_id=5)
    log.rows("SELECT events_after_restore()")
    log.insert("after")
    kept.wait_same(log)
    kept.wait_log("new copy")
    peer.wait(lambda: [e for e in peer.events if e.type == "gap"], "gap")
    assert mirror.gap([e for e in peer.events if e.type == "gap"][0])["reason"] == "replaced"


@pytest.mark.parametrize("further", [0, 40], ids=["behind", "ahead"])
def test_server_put_back_to_a_backup_makes_a_new_copy(own, keep, serve, further):
    """The same log, token and timeline, with fewer numbers, or with the same numbers for other rows."""
    log = mirror.Log(own)
    log.grant()
    log.insert_many(10)
    log.close()
    own.stop()
    backup = own.directory / "backup"
    shutil.copytree(own.data, backup, symlinks=True)
    own.start()
    kept = keep(log.dsn)
    server = serve(kept)
    last = log.insert_many(20, prefix="gone ")
    kept.wait_same(log)
    peer = server.open(last_event_id=last)
    log.close()
    own.stop()
    shutil.rmtree(own.data)
    shutil.copytree(backup, own.data, symlinks=True)
    for path in [own.data, *own.data.rglob("*")]:
        if postgresql._user():
            shutil.chown(path, postgresql._user().pw_uid, postgresql._user().pw_gid)
    kept.pause()
    own.start()
    if further:
        log.insert_many(further, prefix="other ")
    kept.resume()
    kept.wait_same(log)
    assert mirror.gap(peer.next())["reason"] == "replaced"


def test_mirror_that_was_away_longer_than_changes_are_kept(own, keep):
    log = mirror.Log(own)
    log.insert_many(20)
    kept = keep(log.dsn).stop()
    log.rows("DELETE FROM events WHERE id < 10")
    log.rows("DELETE FROM events_changes")
    kept.start(wait_copy=False)
    kept.wait_same(log)
    assert "older than the list of changes" in kept.stderr


def test_hosts_that_do_not_answer_are_passed_over(own, keep):
    """The first host of the list is a port on which nobody listens, the second a black hole."""
    import socket

    log = mirror.Log(own)
    number = log.insert("one")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as hole:
        port = hole.getsockname()[1]
        with contextlib.ExitStack() as stack:
            for _ in range(3):  # fills the queue, so that the next connection gets no answer
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            dsn = f"host=127.0.0.1,127.0.0.1,{own.directory} port=1,{port},5432 dbname={log.name} user=postgres"
            kept = keep(dsn, wait_copy=False)
            kept.wait(lambda: kept.ids() == [number], "the row", 30)


def test_two_mirrors_are_the_same_after_a_storm(pair, keep, serve):
    """Kills, pauses and a takeover while rows are published and pruned."""
    primary, standby, log = pair
    kept = [keep(both(primary, standby, log)), keep(standby.dsn(log.name), "--poll", 20)]
    other = log.on(primary)
    with publishing(log) as done:
        for round_ in range(6):
            time.sleep(0.15)
            kept[round_ % 2].signal(signal.SIGSTOP)
            other.rows("DELETE FROM events WHERE id %% 3 = %s AND id < %s", round_ % 3, len(done))
            kept[round_ % 2].signal(signal.SIGCONT)
            kept[(round_ + 1) % 2].kill().start(wait_copy=False)
    standby.wait_for(primary)
    for one in kept:
        one.wait_same(log)
    primary.kill()
    standby.promote()
    new = log.on(standby)
    new.insert("last")
    for one in kept:
        one.wait_same(new)
        assert "new copy" not in one.stderr


def test_each_connection_is_told_once(own, keep):
    log = mirror.Log(own)
    kept = keep(log.dsn, "--poll", 5)
    for times in 1, 2:
        own.kill()
        own.start()
        kept.wait(lambda times=times: kept.stderr.count("connected to") >= times, "the server")
        time.sleep(0.3)
        assert kept.stderr.count("connected to") == times, kept.stderr
