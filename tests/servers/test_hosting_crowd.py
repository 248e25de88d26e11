"""More visitors on a shared host than its account may have processes."""

import json
import re
import time

import pytest

import database
import webhost
from webhost import account, lines

PROCESSES = 20
VISITORS = 30


class Host(webhost.Apache):
    processes = PROCESSES


@pytest.fixture(params=[None, PROCESSES], ids=["as shipped", "by the limit of processes alone"])
def host(request):
    """Set up, with max-streams as the kit has it, or so high that only Linux's limit is left."""
    with account(server=Host) as made:
        made.start()
        done = made.setup()
        assert lines(done, "WRONG") == [], done.text + made.server.log()
        if request.param:
            program = made.place / "events.cgi"
            program.write_text(re.sub(r"(?m)^max-streams = .*$", "max-streams = 1000", program.read_text()))
        webhost.wait_until(lambda: not made.programs(), "end of the set-up's stream", made.programs, 40)
        yield made


def poll(host, position, wait):
    answer = host.page(f"{host.mount}/events.cgi?format=json&channel=news/*&last_event_id={position}&wait={wait}")
    assert answer.head.status == 200, answer.describe() + host.server.log()
    return answer, json.loads(answer.text)


def test_visitor_without_a_process_is_served_by_polling(host):
    visitors = [host.follow("channel=news/*") for _ in range(VISITORS)]
    for one in visitors:
        one.wait(lambda one=one: one.complete or one.eof or one.events, "an answer")
    streaming = [one for one in visitors if one.events]
    refused = [one for one in visitors if not one.events]
    assert 10 <= len(streaming) < PROCESSES and refused
    # Each is told when to come back, so that an EventSource does not give up.
    assert all(one.head.status == 200 and one.parser.reconnection_time for one in refused)
    with database.Database(host.db) as log:
        position = log.newest()
        for number in range(3):
            asked = time.monotonic()
            answer, told = poll(host, position, 20)
            assert told["events"] == [] and answer.head.get("Retry-After") and time.monotonic() - asked < 10
            row = log.insert(f"row {number}", channel="news/a")
            answer, told = poll(host, position, 20)
            assert [event["id"] for event in told["events"]] == [row]
            assert [one.next_row().data for one in streaming] == [f"row {number}"] * len(streaming)
            position = told["position"]
    # The rest of the site goes on.
    assert host.page("/index.php").text == "the application"
    assert host.page(f"{host.mount}/page.html").head.status == 200
    # Whoever leaves makes room.
    for one in streaming:
        one.close()
    webhost.wait_until(lambda: len(host.programs()) < 5, "end of the streams", host.programs, 60)
    with host.follow("channel=news/*") as opened:
        assert opened.next().type == "position"


class WithFcgid(webhost.Apache):
    modules = [*webhost.Apache.modules, "fcgid"]


def test_polls_share_a_process_where_the_host_has_mod_fcgid():
    """Polls that do not wait are FastCGI; streams and waiting polls are not held back."""
    with account(server=WithFcgid) as host:
        host.start()
        done = host.setup()
        assert lines(done, "WRONG") == [] and any("Streams work" in line for line in lines(done, "ok")), done.text
        webhost.wait_until(lambda: len(host.programs()) == 1, "end of the set-up's stream", host.programs, 40)
        [kept] = host.programs()
        with database.Database(host.db) as log:
            for number in range(5):
                row = log.insert(f"row {number}", channel="news/a")
                _, told = poll(host, row - 1, 0)
                assert [event["id"] for event in told["events"]] == [row]
                assert host.programs() == [kept]
            with host.follow("channel=news/*") as opened:
                assert opened.next().type == "position"
                log.insert("live", channel="news/a")
                assert opened.next_row().data == "live"
            waiting = host.follow(f"format=json&channel=news/*&last_event_id={log.newest()}&wait=20", accept="*/*")
            webhost.wait_until(lambda: len(host.programs()) >= 2, "waiting poll", host.programs)
            log.insert("for the one who waits", channel="news/a")
            waiting.wait(lambda: waiting.complete or waiting.eof, "the end of the answer")
            assert b"for the one who waits" in waiting.body
            waiting.close()
