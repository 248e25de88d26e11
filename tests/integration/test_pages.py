"""The pages that a web server may ask for with ROWTAIL_PAGE."""

import json
import re

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


def facts_of(server, **how):
    page = server.answer(**how)
    assert (page.head.status, page.head.get("Content-Type")) == (200, "application/json"), page.describe()
    return json.loads(page.body)


STATUS_JSON = {"ROWTAIL_PAGE": "status.json"}


def test_status_as_json_says_what_the_page_says(server, log):
    """Each line of the page is a member; counts have the names of the metrics."""
    log.insert("row")
    server.open(last_event_id=7)
    facts = facts_of(server, extra=STATUS_JSON)
    assert facts["db"] == str(log.path) and facts["table"] == "events" and facts["trouble"] is None
    assert (facts["streams"], facts["log_newest_id"], facts["gaps_total"]["future"]) == (1, 1, 1)
    assert facts["pid"] == server.pid
    lines = re.findall(r"<tr><th scope=row>[^<]*<td>([^<\n]*)", server.page("status").body.decode())
    moving = ("bytes_sent_total", "uptime_seconds", "delivery_p50_ms", "delivery_p99_ms")
    for name, value in facts.items():
        if name not in moving and value is not None and not isinstance(value, dict):
            assert str(value) in lines, name
        if isinstance(value, int):
            assert server.metric(f"rowtail_{name}") in (value, None) or name in moving
    for name in "refused_total", "streams_ended_total", "gaps_total":
        for reason, count in facts[name].items():
            assert server.metric(f"rowtail_{name}", reason=reason) == count


def test_status_for_who_accepts_json(server):
    status = {"ROWTAIL_PAGE": "status"}
    assert facts_of(server, extra=status, accept="application/json")["version"]
    assert server.answer(extra=status, accept="text/html,*/*;q=0.8").head.get("Content-Type").startswith("text/html")


def test_status_as_json_while_the_log_cannot_be_read(server, log, workdir):
    log.path.rename(workdir / "away.db")
    facts = facts_of(server, extra=STATUS_JSON)
    assert "gone" in facts["trouble"] and facts["log_newest_id"] is None


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
    assert re.search("state<td>.*is gone", server.page("status").body.decode())
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
