"""A browser's own EventSource reconnects by itself behind every server while rowtail is killed."""

import functools
import http.server
import os
import signal
import threading
import time
import urllib.parse

import pytest

import webserver
from deployment import DEPLOYMENTS, wait_until

SERVICES = [name for name, deployment in DEPLOYMENTS.items() if deployment.runs == "service"]

PAGE = """<!doctype html><title>EventSource</title><script>
for (const [name, url] of new URLSearchParams(location.search)) {
	const tell = (what) => fetch(`/tell?name=${name}&what=${what}`, { method: "POST" });
	const source = new EventSource(url, { withCredentials: true });
	source.onopen = () => tell("open");
	source.onmessage = (event) => tell(event.data);
	source.onerror = () => tell(source.readyState === EventSource.CLOSED ? "gave-up" : "error");
}
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the page, and records its reports."""

    def __init__(self, told, *arguments):
        self.told = told
        super().__init__(*arguments)

    def do_GET(self):
        self._answer(PAGE.encode(), "text/html")

    def do_POST(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(self.path).query))
        self.told[query["name"]].append(query["what"])
        self._answer(b"", "text/plain")

    def _answer(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Does nothing: the test's output is for failures."""


@pytest.fixture
def told():
    """What each EventSource has reported so far, by its name."""
    return {name: [] for name in SERVICES}


@pytest.fixture
def origin(told):
    """The origin of the page; it differs from every stream's."""
    handler = functools.partial(Handler, told)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def browse(tmp_path):
    """browse(url) opens a page in headless Chromium with a new profile."""
    processes = []

    def go(url):
        options = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
            "--disable-background-networking --disable-component-update --disable-sync"
        ).split()
        command = ["/usr/bin/chromium", *options, f"--user-data-dir={tmp_path}/profile", url]
        processes.append(webserver.start(command, tmp_path / "chromium.log"))

    yield go
    for process in processes:
        webserver.end(process)


def test_event_source_reconnects_by_itself(build, shared_log, told, origin, browse):
    sites = {}
    for name in SERVICES:
        named = DEPLOYMENTS[name].server is webserver.Lighttpd
        edits = {"https://app.example.org": origin} if named else {}
        sites[name] = build(name, log=shared_log, edits=edits, allow_origin=origin).start()
    urls = {n: f"http://127.0.0.1:{s.server.port}{s.deployment.mount}" for n, s in sites.items()}
    browse(f"{origin}/?{urllib.parse.urlencode(urls)}")

    def all_told(what):
        wait_until(lambda: all(what in said for said in told.values()), what, lambda: told, 40)

    all_told("open")
    shared_log.insert("before")
    all_told("before")
    for site in sites.values():
        site.rowtail.kill()
    shared_log.insert("while-down")
    for said in told.values():
        said.append("killed")

    def answered_in_its_place(name):
        later = told[name][told[name].index("killed") :]
        # Varnish closes the connection, and the browser tries again.
        return "open" in later or (name == "varnish-http" and later.count("error") > 1)

    wait_until(lambda: all(map(answered_in_its_place, told)), "answer", lambda: told, 40)
    for site in sites.values():
        site.rowtail.start()
    all_told("while-down")
    for name, said in told.items():
        assert "gave-up" not in said, f"{name}: {said}"
        rows = [what for what in said if what in ("before", "while-down")]
        assert rows == ["before", "while-down"], f"{name}: {said}"
