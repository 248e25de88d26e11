"""The pages that a web server may ask for with ROWTAIL_PAGE."""

import base64
import hashlib
import json
import re
import time

import database
import stream

NAMES = [
    "rowtail_streams",
    "rowtail_streams_total",
    "rowtail_records_sent_total",
    "rowtail_bytes_sent_total",
    "rowtail_log_newest_id",
    "rowtail_gaps_total",
    "rowtail_refused_total",
    "rowtail_delivery_seconds",
]
SAMPLE = re.compile(r'([a-z_]+)(\{[a-z_]+="[^"\\\n]*"(,[a-z_]+="[^"\\\n]*")*\})? (\S+)')


def test_metrics_are_prometheus_text(server):
    page = server.page("metrics")
    assert page.head.status == 200
    assert page.head.get("Content-Type").startswith("text/plain")
    text = page.body.decode()
    assert text.endswith("\n")
    typed = set(re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram)$", text, re.M))
    helped = set(re.findall(r"^# HELP (\S+) .+$", text, re.M))
    assert set(NAMES) <= typed
    assert typed == helped
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, _, value = SAMPLE.fullmatch(line).groups()
            assert name in typed or re.sub("_(bucket|sum|count)$", "", name) in typed
            float(value)


def test_metrics_count_what_happened(server, log):
    peers = [server.open(), server.open(last_event_id=0)]
    log.insert("a")
    log.insert("b")
    for peer in peers:
        peer.wait_rows(2)
    assert server.metric("rowtail_streams") == 2
    assert server.metric("rowtail_log_newest_id") == 2
    assert server.metric("rowtail_records_sent_total") == 4
    assert server.metric("rowtail_bytes_sent_total") >= sum(len(peer.body) for peer in peers)
    assert server.metric("rowtail_delivery_seconds_count") >= 2
    peers[0].close()
    server.wait_metric(1, "rowtail_streams")
    assert server.metric("rowtail_streams_total") == 2


def test_status_is_a_page_for_people(server):
    server.open("channel=secret-name")
    page = server.page("status")
    assert page.head.status == 200
    assert page.head.get("Content-Type").startswith("text/html")
    text = page.body.decode()
    assert text.lower().startswith("<!doctype html>")
    assert "rowtail" in text


def test_status_escapes_what_clients_send(server):
    server.open({"channel": "<script>alert(1)</script>"}, user="<b>ann</b>")
    text = server.page("status").body.decode()
    assert "<script>alert" not in text
    assert "<b>ann" not in text


def wait_facts(server, condition):
    end = time.monotonic() + stream.DEADLINE
    while not condition(facts := facts_of(server, extra=STATUS_JSON)):
        assert time.monotonic() < end, facts
        time.sleep(0.1)
    return facts


def facts_of(server, **how):
    page = server.answer(**how)
    assert (page.head.status, page.head.get("Content-Type")) == (200, "application/json"), page.describe()
    return json.loads(page.body)


def in_units(size):
    """As the page writes it: 1.5 MiB."""
    unit = -1
    while size >= 1024:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {('KiB', 'MiB', 'GiB')[unit]}" if unit >= 0 else f"{size} bytes"


STATUS_JSON = {"ROWTAIL_PAGE": "status.json"}


def test_status_as_json_says_what_the_page_says(server, log):
    """Each line of the page is a member; counts have the names of the metrics."""
    log.insert("row")
    server.open(last_event_id=7)
    facts = facts_of(server, extra=STATUS_JSON)
    assert facts["db"] == str(log.path) and facts["table"] == "events" and facts["trouble"] is None
    assert (facts["streams"], facts["log_newest_id"], facts["gaps_total"]["future"]) == (1, 1, 1)
    assert facts["pid"] == server.pid
    cells = dict(re.findall(r"<td data-fact=(\w+) [^>]*>([^<\n]*)", server.page("status").body.decode()))
    moving = ("bytes_sent_total", "resident_memory_bytes", "uptime_seconds", "open_descriptors", "log_newest_age_seconds",
              "log_oldest_age_seconds", "loop_stalls_total")
    for name, value in facts.items():
        if isinstance(value, (int, str)) and name not in (*moving, "trouble"):
            shown = in_units(value) if "bytes" in name else f"{value} ms" if name.endswith("_ms") else str(value)
            assert cells[name] == shown, name
        if isinstance(value, int) and name not in moving:
            assert server.metric(f"rowtail_{name}") in (value, None)
    for name in "refused_total", "streams_ended_total", "gaps_total":
        for reason, count in facts[name].items():
            assert server.metric(f"rowtail_{name}", reason=reason) == count


def test_status_is_json_for_a_client_that_accepts_it(server):
    status = {"ROWTAIL_PAGE": "status"}
    assert facts_of(server, extra=status, accept="application/json")["version"]
    assert server.answer(extra=status, accept="text/html,*/*;q=0.8").head.get("Content-Type").startswith("text/html")


def test_status_as_json_while_the_log_cannot_be_read(server, log, workdir):
    log.path.rename(workdir / "away.db")
    facts = facts_of(server, extra=STATUS_JSON)
    assert "gone" in facts["trouble"] and facts["log_newest_id"] is None


def test_status_says_how_old_the_log_is(server, log):
    log.insert("old")
    log.sql("INSERT INTO events(data, created_at) VALUES ('new', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-90 seconds'))")
    facts = facts_of(server, extra=STATUS_JSON)
    assert 90 <= facts["log_newest_age_seconds"] < 150
    assert 0 <= facts["log_oldest_age_seconds"] < 60
    assert server.metric("rowtail_log_newest_age_seconds") >= 90


def test_status_of_a_table_without_dates(workdir, launch):
    with database.Database(workdir / "own.db") as own:
        own.sql("CREATE TABLE events(id INTEGER PRIMARY KEY, data TEXT)")
        own.sql("INSERT INTO events(data) VALUES ('row')")
        server = launch("--public", db=own)
        facts = facts_of(server, extra=STATUS_JSON)
        assert facts["log_newest_id"] == 1 and facts["log_newest_age_seconds"] is None
        assert server.metric("rowtail_log_newest_age_seconds") is None


def test_status_names_the_channels_with_most_streams(server):
    for number in range(12):
        for _ in range(1 + number % 3):
            server.open(f"channel=c{number}")
    server.open("channel=<b>&channel=c0")
    channels = facts_of(server, extra=STATUS_JSON)["channels"]
    assert len(channels) == 10
    assert [c["streams"] for c in channels] == sorted((c["streams"] for c in channels), reverse=True)
    assert {c["channel"] for c in channels if c["streams"] == 3} == {"c2", "c5", "c8", "c11"}
    assert {"channel": "c0", "streams": 2} in channels


def test_status_has_the_last_50_lines_of_the_log(server):
    server.open(last_event_id="x" * 100).close()
    facts = facts_of(server, extra=STATUS_JSON)
    assert any("follows events of" in line for line in facts["log"])
    assert len(facts["log"]) <= 50


def test_history_has_points_of_a_second(server, log):
    server.open()
    wait_facts(server, lambda facts: len(facts["history"]["minute"]["streams"]) >= 2)
    log.insert("a")
    facts = wait_facts(server, lambda facts: any(facts["history"]["minute"]["records_per_second"]))
    history = facts["history"]
    assert [history[span]["step_seconds"] for span in ("minute", "hour", "day")] == [1, 30, 600]
    minute = history["minute"]
    assert max(minute["streams"]) == 1 and max(v for v in minute["p99_ms"] if v is not None) > 0
    assert {len(values) for name, values in minute.items() if name != "step_seconds"} == {len(minute["streams"])}


def test_status_tells_the_slowest_reader(server, log):
    """A client that takes nothing is behind, as the page and the metric say."""
    server.open()
    server.open("channel=other")
    for _ in range(60):
        log.insert("x" * 100_000)
    facts = wait_facts(server, lambda facts: facts["lag_rows"] > 10)
    assert facts["lag_rows"] == server.metric("rowtail_lag_rows") <= 60


def test_status_page_allows_only_its_own_script(server):
    page = server.page("status")
    policy = page.head.get("Content-Security-Policy")
    for tag, directive in ("script", "script-src"), ("style", "style-src"):
        text = re.search(f"(?s)<{tag}>(.*?)</{tag}>", page.body.decode())[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"(?:src|href)=|//(?!www\.w3\.org/2000/svg)\S+\.\w+/", page.body.decode())


def test_health(server):
    page = server.page("health")
    assert page.head.status == 200
    assert page.end is not None


def test_pages_say_why_the_log_cannot_be_read(server, log, workdir):
    """If the log is moved while nobody is connected, the pages give the reason."""
    log.path.rename(workdir / "away.db")
    health = server.page("health")
    assert health.head.status == 503
    assert re.search("cannot be read: its file is gone", health.sentence())
    assert re.search("state<td[^>]*>.*is gone", server.page("status").body.decode())
    (workdir / "away.db").rename(log.path)
    assert server.page("health").head.status == 200


def test_no_client_can_ask_for_a_page(server):
    for name in ("metrics", "status", "health"):
        peer = server.open({"ROWTAIL_PAGE": name}, headers={"Rowtail-Page": name})
        assert peer.head.get("Content-Type") == "text/event-stream"


def test_unknown_page_name_is_an_error(server):
    page = server.page("statistics")
    assert page.head.status == 500
    assert "ROWTAIL_PAGE" in page.body.decode()


def test_pages_are_not_cacheable(server):
    for name in ("metrics", "status", "health"):
        assert "no-" in server.page(name).head.get("Cache-Control")
