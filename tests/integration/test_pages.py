"""The pages that a web server may ask for with ROWTAIL_PAGE."""

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
