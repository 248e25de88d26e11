"""Streams with an end: what a client gets of channels that have ended (table events_ended).

Each client here comes back as an EventSource does, with its last position, until it gets 204.
"""

import json
import subprocess
import threading

import pytest

import cgiprogram
import database
import httpserver
import rowtail
import stream

ORIGIN = "https://app.example.org"
CARRIERS = ["fastcgi", "cgi", pytest.param("http", marks=httpserver.needed)]


@pytest.fixture(params=CARRIERS)
def ask(request, workdir, log, launch):
    """ask(query, …): a request that is under way."""
    options = ["--public", "--allow-origin", ORIGIN, "--heartbeat", "1", "--retry-jitter", "0"]
    left, running = [], []

    def server(make):
        if not running:
            running.append(make())
        return running[0]

    def by_fastcgi(query, **how):
        return server(lambda: launch(*options)).ask(query, **how)

    def by_cgi(query, **how):
        left.append(cgiprogram.Program(["--db", log.path, *options], query, **how))
        return left[-1]

    def by_http(query, *, headers=None, **how):
        def make():
            left.append(httpserver.HttpServer(workdir, ["--db", log.path, *options]).start())
            return left[-1]

        return server(make).request(f"/events?{query}", headers=headers or {}, **how)

    yield {"fastcgi": by_fastcgi, "cgi": by_cgi, "http": by_http}[request.param]
    for one in left:
        one.cleanup()


def whole(peer):
    """The stream or answer, read to its proper end."""
    return peer.wait_complete() if hasattr(peer, "wait_complete") else peer.wait_end()


def begun(peer, rows=0):
    """A stream that has its first record, and so many rows."""
    return peer.wait(lambda: peer.events and len(peer.rows) >= rows, "first record")


def finished(peer):
    """An answer that makes an EventSource stop."""
    whole(peer)
    assert (peer.head.status, bytes(peer.body)) == (204, b""), peer.describe()
    return peer


def follow(ask, query, position=None, most=5):
    """Comes back until 204; the types of all events but `position`, with their ids."""
    got = []
    for _ in range(most):
        headers = {"Accept": "text/event-stream"}
        if position is not None:
            headers["Last-Event-ID"] = str(position)
        peer = whole(ask(query, headers=headers))
        if peer.head.status == 204:
            return got
        assert peer.head.status == 200, peer.describe()
        got += [(event.type, int(event.last_event_id)) for event in peer.events if event.type != "position"]
        position = peer.parser.last_event_id or position
    raise AssertionError(f"no 204 after {most} streams: {got}")


def job(log, channel="job", rows=2):
    """Publishes some rows and the end; returns its id."""
    for number in range(rows):
        log.insert(f"{number}", channel=channel)
    return log.insert("", channel=channel, event="end")


def test_stream_is_closed_by_its_end(ask, log):
    log.insert("before", channel="job")
    peer = begun(ask("channel=job"))
    log.insert("one", channel="job")
    log.insert("other", channel="else")
    end = log.insert("done", channel="job", event="end")
    whole(peer)
    assert [(event.type, event.data) for event in peer.rows] == [("message", "one"), ("end", "done")]
    assert peer.parser.last_event_id == str(end)
    finished(ask("channel=job", headers={"Last-Event-ID": str(end)}))


@pytest.mark.parametrize("lag", [0, 1, 2, 3])
def test_client_that_comes_late(ask, log, lag):
    end = job(log, rows=3)
    log.insert("later", channel="else")
    wanted = [("message", 1), ("message", 2), ("message", 3), ("end", 4)]
    assert follow(ask, "channel=job", end - lag) == wanted[4 - lag :]


def test_the_end_is_the_last_record(ask, log):
    """Also when other channels have newer rows: the client has no use for a newer position."""
    job(log, rows=1)
    log.insert("later", channel="else")
    for query in ("", "&positions=0", "&tail=9"):
        peer = whole(ask("channel=job&since=0" + query))
        assert [event.type for event in peer.events if event.type != "position"] == ["message", "end"]
        assert bytes(peer.body).endswith(b"event: end\ndata: \nid: 2\n\n"), peer.describe()


def test_client_without_a_position(ask, log):
    job(log, rows=3)
    finished(ask("channel=job"))
    assert follow(ask, "channel=job&tail=2") == [("message", 3), ("end", 4)]
    assert len(follow(ask, "channel=job&tail=100")) == 4
    finished(ask("channel=job&tail=0"))


def test_head_and_cors(ask, log):
    end = job(log)
    for method in ("GET", "HEAD"):
        peer = finished(
            ask(f"channel=job&last_event_id={end}", method=method, headers={"Origin": ORIGIN})
        )
        assert peer.head.get("Access-Control-Allow-Origin") == ORIGIN
        assert peer.head.get("Access-Control-Allow-Credentials") == "true"
    peer = whole(ask("channel=job&last_event_id=0", method="HEAD"))
    assert (peer.head.status, bytes(peer.body)) == (200, b"")


def test_several_channels(ask, log):
    job(log, "a", 1)
    peer = begun(ask("channel=a&channel=b&since=0"), 2)
    end = job(log, "b", 1)
    whole(peer)
    assert [event.type for event in peer.rows] == ["message", "end", "message", "end"]
    assert follow(ask, "channel=a&channel=b", end) == []
    assert follow(ask, "channel=a&channel=b", 2) == [("message", 3), ("end", 4)]


def test_hundred_channels_end_in_one_commit(ask, log):
    query = "&".join(f"channel=job/{number}" for number in range(100))
    peer = begun(ask(query))
    log.sql("BEGIN")
    for number in range(100):
        job(log, f"job/{number}", 1)
    log.sql("COMMIT")
    whole(peer)
    assert len(peer.rows) == 200
    finished(ask(query, headers={"Last-Event-ID": "200"}))


@pytest.mark.parametrize("query", ["channel=*", "channel=job/*", "channel=job/1&channel=job/*"])
def test_a_pattern_never_ends(ask, log, query):
    job(log, "job/1")
    peer = begun(ask(query))
    job(log, "job/2")
    peer.wait(lambda: b"\n:" in bytes(peer.body) or len(peer.events) > 4, "sign of life")
    assert peer.head.status == 200 and not peer.eof


def test_end_passes_the_filter_of_types(ask, log):
    job(log, rows=2)
    assert follow(ask, "channel=job&event=paid", 0) == [("end", 3)]
    finished(ask("channel=job&event=paid", headers={"Last-Event-ID": "3"}))
    peer = begun(ask("channel=live&event=paid"))
    job(log, "live")
    whole(peer)
    assert [event.type for event in peer.rows] == ["end"]


@pytest.mark.parametrize("query", ["", "&envelope=json", "&positions=0"])
def test_other_forms_of_a_stream(ask, log, query):
    job(log, rows=1)
    assert follow(ask, "channel=job" + query, 0) == [("message", 1), ("end", 2)]
    finished(ask("channel=job" + query))


def test_the_end_outlives_its_row(ask, log):
    """A client behind the end that was pruned gets a gap, once; one at the end gets none."""
    end = job(log, rows=3)
    log.insert("later", channel="else")
    log.prune(end)
    assert follow(ask, "channel=job", end) == []
    assert [kind for kind, _ in follow(ask, "channel=job", 1)] == ["gap"]
    assert follow(ask, "channel=job&tail=10") == []


def test_rows_of_others_among_pruned_ones(ask, log):
    """The gap ends before the oldest row that is left, so its client has no position at the end yet."""
    log.insert("", channel="job")
    log.insert("kept", channel="else")
    end = log.insert("", channel="job", event="end")
    log.sql("DELETE FROM events WHERE channel = 'job'")
    for query in ("channel=job", "channel=job&positions=0"):
        assert [kind for kind, _ in follow(ask, query, 0)] == ["gap"]
    assert follow(ask, "channel=job", end) == []


@pytest.mark.parametrize("position", ["99999", "x"])
def test_position_that_means_nothing(ask, log, position):
    job(log)
    assert [kind for kind, _ in follow(ask, "channel=job", position)] == ["gap"]


def test_channel_that_was_opened_again(ask, log):
    end = job(log)
    finished(ask("channel=job", headers={"Last-Event-ID": str(end)}))
    log.sql("DELETE FROM events_ended")
    peer = begun(ask("channel=job", headers={"Last-Event-ID": str(end)}))
    more = log.insert("more", channel="job")
    assert peer.next_row().data == "more"
    last = log.insert("", channel="job", event="end")
    whole(peer)
    assert peer.ids == [more, last]
    finished(ask("channel=job", headers={"Last-Event-ID": str(last)}))


def test_json(ask, log):
    def answer(query):
        return json.loads(whole(ask("format=json&channel=job&" + query)).body)

    log.insert("1", channel="job")
    assert answer("since=0")["end"] is False
    end = log.insert("", channel="job", event="end")
    log.insert("other", channel="else")
    told = answer("since=0&wait=50")
    assert (told["end"], told["more"], len(told["events"])) == (True, False, 2)
    told = answer("since=0&limit=1")
    assert (told["end"], told["more"], told["position"]) == (False, True, 1)
    told = answer("since=1&limit=1")
    assert (told["end"], told["more"], len(told["events"])) == (True, False, 1)
    for query in (f"since={end}&wait=50", "wait=50", ""):
        told = answer(query)
        assert (told["end"], told["events"]) == (True, [])
    told = answer("before=1000")
    assert (told["end"], len(told["events"])) == (False, 2)
    assert json.loads(whole(ask("format=json&channel=else&channel=job&since=0")).body)["end"] is False


def test_json_that_waits_for_the_end(ask, log):
    log.insert("1", channel="job")
    peer = ask("format=json&channel=job&since=1&wait=50")
    peer.rest(0.3)
    log.insert("", channel="job", event="end")
    told = json.loads(whole(peer).body)
    assert (told["end"], [event["event"] for event in told["events"]]) == (True, ["end"])


def test_no_more_than_max_replay(launch, log):
    job(log, rows=20)
    server = launch("--max-replay", 5)

    def by_fastcgi(query, **how):
        return server.ask(query, **how)

    got = follow(by_fastcgi, "channel=job", 0)
    assert [kind for kind, _ in got] == ["gap"] + ["message"] * 4 + ["end"]
    log.insert_many(50, channel="else")
    assert follow(by_fastcgi, "channel=job", 21) == []


def test_an_older_log_has_no_ends(launch, log):
    log.sql("DROP TRIGGER events_numbered")
    log.sql("DROP TRIGGER events_refused")
    log.sql("DROP TABLE events_ended")
    peer = launch().open("channel=job&event=paid", last_event_id=0)
    log.insert("", channel="job", event="end")
    log.insert("", channel="job", event="paid")
    assert peer.next_row().type == "paid"
    subprocess.run(["sqlite3", str(log.path)], stdin=database.SCHEMA.open("rb"), check=True)
    log.insert("", channel="job", event="end")
    peer.wait_complete()


def test_a_table_of_ones_own_has_no_ends(launch, log):
    log.sql("CREATE TABLE mine(id INTEGER PRIMARY KEY, channel TEXT, event TEXT, data TEXT)")
    server = launch("--table", "mine", "--public")
    log.sql("INSERT INTO events_ended VALUES ('job', 1)")
    log.sql("INSERT INTO mine VALUES (1, 'job', 'end', '')")
    peer = server.open("channel=job&event=paid", last_event_id=0)
    log.sql("INSERT INTO mine VALUES (2, 'job', 'end', ''), (3, 'job', 'paid', 'more')")
    event = peer.next_row()
    assert (event.type, event.data) == ("paid", "more")


def test_refusals_come_before_204(launch, log):
    end = job(log)
    log.sql("DELETE FROM grants")
    server = launch()
    query = f"channel=job&last_event_id={end}"
    assert server.answer(query).head.status == 401
    assert server.answer(query, extra={"REMOTE_USER": "ann"}).head.status == 403
    log.grant("*", "job")
    finished(server.ask(query))


def test_restart_in_between(server, log):
    peer = server.open("channel=job", last_event_id=0)
    log.insert("1", channel="job")
    peer.wait_rows(1)
    server.kill()
    end = log.insert("", channel="job", event="end")
    server.restart()
    assert follow(server.ask, "channel=job", peer.parser.last_event_id) == [("end", end)]


def test_end_while_the_database_is_replaced(launch, log, workdir):
    """A restored log may have ended channels that were open, and the other way round."""
    server = launch()
    with database.Database.create(workdir / "other.db") as other:
        other.grant("*", "*")
        other.insert_many(3, channel="else")
        job(other, "job")
    peer = server.open("channel=job")
    (workdir / "other.db").rename(log.path)
    peer.wait_complete()
    assert [event.type for event in peer.events if event.type != "position"][:1] == ["gap"]
    follow(server.ask, "channel=job", peer.parser.last_event_id)


def test_end_while_a_client_is_slow(launch, log):
    server = launch()
    peer = server.open("channel=job")
    for number in range(40):
        log.insert(f"{number}" * 100000, channel="job")
    end = log.insert("", channel="job", event="end")
    server.open("channel=job", last_event_id=0).wait_complete()
    peer.wait_complete()
    assert len(peer.rows) == 41 and peer.ids[-1] == end
    assert server.metric("rowtail_streams_ended_total", reason="ended") == 2


def test_channel_opened_again_while_a_client_is_slow(launch, log):
    """The slow one is still to be closed for the old end; a new one is not."""
    server = launch()
    server.open("channel=job")
    for number in range(40):
        log.insert(f"{number}" * 100000, channel="job")
    end = log.insert("", channel="job", event="end")
    server.open("channel=job", last_event_id=end - 1).wait_complete()
    log.sql("DELETE FROM events_ended")
    peer = server.open("channel=job", last_event_id=end).rest(0.5)
    log.insert("more", channel="job")
    assert peer.next_row().data == "more"


def test_json_does_not_wait_on_an_ended_channel(server, log):
    end = job(log)
    for query in (f"since={end}", "tail=0"):
        assert json.loads(server.answer(f"format=json&channel=job&wait=50&{query}").body)["end"] is True
    assert server.metric("rowtail_streams_ended_total", reason="answered") == 2


def test_the_example_of_the_recipe(launch, log):
    """Five events, and an end with a reconnection time: as deploy/demo/recipes/five.sh publishes them."""
    server = launch()
    peer = server.open("channel=five")
    script = rowtail.ROOT / "deploy" / "demo" / "recipes" / "five.sh"
    done = subprocess.run(["sh", script, log.path, "five", "0"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    peer.wait_complete()
    assert [event.data for event in peer.rows] == [f"event {number}" for number in range(1, 6)] + [""]
    assert peer.rows[-1].type == "end" and peer.parser.reconnection_time == 10000
    again = subprocess.run(["sh", script, log.path, "five", "0"], check=False, capture_output=True, text=True)
    assert again.returncode != 0 and "has ended" in again.stderr
    finished(server.ask("channel=five", headers={"Last-Event-ID": peer.parser.last_event_id}))


def test_end_that_was_pruned_at_once(launch, log):
    """The row was never seen, but its channel has ended."""
    server = launch()
    peer = server.open("channel=job")
    log.sql("BEGIN")
    job(log)
    log.sql("DELETE FROM events")
    log.sql("COMMIT")
    peer.wait_complete()
    assert [event.type for event in peer.events if event.type != "position"] == ["gap"]
    assert follow(server.ask, "channel=job", peer.parser.last_event_id) == []


def test_clients_that_come_while_the_channel_ends(server, log):
    """Whenever a client comes, it gets all rows, once, and stops."""
    got = []

    def come():
        got.append(follow(server.ask, f"channel=job&tail=0&n={len(got)}", 0))

    threads = [threading.Thread(target=come) for _ in range(30)]
    for number, thread in enumerate(threads):
        thread.start()
        if number % 5 == 4:
            log.insert("", channel="job", event="end" if number == 29 else None)
    for thread in threads:
        thread.join()
    wanted = [("message", number) for number in range(1, 6)] + [("end", 6)]
    assert got == [wanted] * 30


def test_a_crowd_ends_with_one_commit(server, log):
    count = 500
    peers = [server.open("channel=job") for _ in range(count)]
    log.insert("", channel="job", event="end")
    stream.pump_all(peers, lambda peer: peer.end is not None)
    assert all([event.type for event in peer.rows] == ["end"] for peer in peers)
    assert server.metric("rowtail_streams_ended_total", reason="ended") == count


def test_count_of_answers(server, log):
    end = job(log)
    finished(server.ask("channel=job", headers={"Last-Event-ID": str(end)}))
    assert server.metric("rowtail_refused_total", reason="ended") == 1


def test_follow_on_the_command_line(log):
    job(log)
    done = rowtail.run("--db", log.path, "--follow", "channel=job&since=0")
    assert done.returncode == 0 and done.stdout.count("event: end\n") == 1
    done = rowtail.run("--db", log.path, "--follow", "channel=job")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
