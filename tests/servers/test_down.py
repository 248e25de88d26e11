"""While rowtail is down, the web server answers in its place, so that no EventSource gives up.

An EventSource ends for good on any status except 200, on any other content type, and, for another origin, on
an answer without CORS headers.
"""

import os
import select
import signal
import socket

import pytest

import h2client
import httpc
import stream
import webserver
from deployment import DEPLOYMENTS

# Varnish closes the connection instead: see test_by_http.py.
NAMES = [name for name, one in DEPLOYMENTS.items() if one.runs == "service" and name != "varnish-http"]
SERVICES = pytest.mark.deployments(*NAMES)
AT_TCP = "apache-tcp", "nginx-http", "haproxy-http"
UNIX_SERVICES = pytest.mark.deployments(*[name for name in NAMES if name not in AT_TCP])
PROGRAMS = pytest.mark.deployments(
    "apache-fcgid", "apache-cgid", "lighttpd-spawn", "lighttpd-cgi", "nginx-fcgiwrap"
)
LARGE = 4 << 20
SLOW = pytest.mark.deployments("lighttpd", "nginx")  # their answer takes a while
# mod_fcgid tries again each second to start a program that ends at once, and answers after up to half a minute.
ANSWER_S = 3 * stream.DEADLINE
ORIGIN = "https://app.example.org"  # the port in lighttpd's files


def assert_asks_again(response):
    """The answer is an event stream that ends at once and says when to reconnect."""
    response.wait_head(ANSWER_S)
    assert response.head.status == 200, response.head.raw
    assert response.head.get("Content-Type").split(";")[0] == "text/event-stream"
    assert "no-cache" in response.head.get("Cache-Control")
    response.wait(lambda: response.complete or response.eof, "end of the answer")
    if response.method != "HEAD":
        assert response.parser.reconnection_time == 3000, bytes(response.body)
        assert response.parser.comments and not response.events
        assert response.parser.empty_blocks == 0, "to some clients an empty line is a message"


def assert_all_clients_ask_again(site):
    """They ask at the same time, as nginx takes a second or two for each answer."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for_page = site.open(headers={"Origin": ORIGIN})
    for answer in (
        site.open("channel=a"),
        site.open(path="/orders/42"),
        site.open(method="HEAD"),
        site.open(method="POST", body=b"channel=a", headers=form),
        for_page,
    ):
        assert_asks_again(answer)
    assert for_page.head.get("Access-Control-Allow-Origin") == ORIGIN
    assert for_page.head.get("Access-Control-Allow-Credentials") == "true"
    assert "Origin" in for_page.head.get("Vary")


def assert_others_get_the_error(site):
    """A monitor or curl, which does not accept an event stream, gets an error status."""
    assert site.open(accept="*/*").wait_head(ANSWER_S).head.status in (500, 502, 503, 504)


def start_without_rowtail(site):
    site.server.start()
    return site


@SERVICES
def test_no_socket(build, deployment):
    site = start_without_rowtail(build(deployment))
    assert_all_clients_ask_again(site)
    assert_others_get_the_error(site)


@SLOW
def test_connection_is_fast_after_the_answer(build, deployment):
    """The answer may be slow. The pages and streams that follow it on the same connection are not."""
    site = start_without_rowtail(build(deployment))
    (site.server.www / "large.bin").write_bytes(bytes(LARGE))
    first = site.open()
    assert_asks_again(first)
    page = httpc.open_request(None, "/large.bin", on=first)
    assert len(page.wait_complete().body) == LARGE
    second = httpc.open_request(None, "/events", on=page)
    assert_asks_again(second)
    start_with_large_row(site)
    answer = second
    while not answer.events:  # lighttpd looks for rowtail once a second
        answer = httpc.open_request(None, "/events?last_event_id=0", on=answer)
        answer.wait(lambda a=answer: a.complete or a.events, "answer")
    assert len(answer.next_row().data) == LARGE


@SLOW
def test_http2_connection_is_fast_after_the_answer(build, deployment):
    site = start_without_rowtail(build(deployment))
    with h2client.Connection(site.server.tls_address) as browser:
        answer = browser.parsers[browser.open("/events")]
        browser.wait(lambda: answer.reconnection_time == 3000, "answer while rowtail is down")
        start_with_large_row(site)
        while not answer.events:
            answer = browser.parsers[browser.open("/events?last_event_id=0")]
            browser.wait(lambda a=answer: a.comments or a.events, "answer")
        browser.wait(lambda: len(answer.events) > 1, "large row")
        assert len(answer.events[-1].data) == LARGE


def start_with_large_row(site):
    site.log.insert("x" * LARGE)
    site.start_rowtail()


@UNIX_SERVICES
def test_socket_left_by_a_killed_rowtail(build, deployment):
    site = build(deployment)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(site.socket))
    left.close()
    start_without_rowtail(site)
    assert_all_clients_ask_again(site)
    assert_others_get_the_error(site)


@UNIX_SERVICES
def test_backlog_full(build, deployment):
    """rowtail hangs: the connection waits, or the client is told to reconnect."""
    site = build(deployment)
    with socket.socket(socket.AF_UNIX) as hung, socket.socket(socket.AF_UNIX) as waiting:
        hung.bind(str(site.socket))
        site.socket.chmod(0o666)
        hung.listen(0)
        waiting.connect(str(site.socket))
        start_without_rowtail(site)
        response = site.open()
        if select.select([response], [], [], 3)[0]:  # Apache waits for room, and so does the client
            assert_asks_again(response)


@PROGRAMS
def test_program_cannot_start(build, deployment):
    """A failed upgrade: the old program is gone, and the new one exits at once."""
    site = build(deployment).start()
    site.follow()
    running = site.programs()
    site.binary.unlink()
    site.binary.write_text("#!/bin/false\n")
    site.binary.chmod(0o755)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    assert_all_clients_ask_again(site)
    assert_others_get_the_error(site)


class SmallNginx(webserver.Nginx):
    """With so few connections that a burst of streams uses them up."""

    edits = {
        "worker_processes auto;": "worker_processes 1;",
        "worker_connections 768;": "worker_connections 40;",
    }


@pytest.mark.deployments("nginx")
def test_nginx_out_of_connections(build, deployment):
    """Instead of 500 nginx says when to reconnect; otherwise it closes the connection."""
    site = build(deployment, server=SmallNginx)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(site.socket))
        site.socket.chmod(0o666)
        silent.listen(100)
        site.server.start()
        answered = burst(site)
        with stream.connect(site.server.address):  # uses one connection: an odd number is left
            answered += burst(site)
        assert answered, "nginx has never run out of connections"
        for response in answered:
            assert_asks_again(response)


def burst(site):
    """Sends more requests than there is room for; returns those that were answered."""
    responses = []
    for _ in range(30):
        responses.append(site.open())
        select.select(responses[-1:], [], [], 0.05)
    waiting = list(responses)
    while readable := select.select(waiting, [], [], 3)[0]:  # nginx takes a second or two to answer
        for response in readable:
            response.drain()
            if response.complete or response.eof:
                waiting.remove(response)
    for response in waiting:
        response.close()
    return [response for response in responses if response.head is not None]
