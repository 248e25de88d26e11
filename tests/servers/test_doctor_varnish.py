"""What is wrong with a Varnish in front of rowtail, rowtail-doctor finds, and its lines cure it."""

import time

import pytest

import httpserver
import packages
import proxies
import stream
import webserver
from faulty import Case, check, outcomes

pytestmark = httpserver.needed
RESPONSE = "sub vcl_backend_response {{ {} }}"
CASES = [
    Case("buffered", "buffered", {"#SITE": RESPONSE.format("set beresp.do_stream = false;")}, fatal=True),
    Case("impatient", "cut", {"#SITE": "sub vcl_backend_fetch { set bereq.between_bytes_timeout = 1s; }"}),
    Case("no-position", "last-event-id", {"#SITE": "sub vcl_recv { unset req.http.Last-Event-ID; }"}),
    Case("no-cookie", "cookie", {"#SITE": "sub vcl_recv { unset req.http.Cookie; }"}),
    Case("no-post", "post", {"#SITE": 'sub vcl_recv { if (req.method == "POST") { return (synth(405)); } }'}),
    Case(
        "login",
        "login",
        {"#SITE": 'sub vcl_recv { return (synth(302)); } sub vcl_synth { set resp.http.Location = "/login"; }'},
        fatal=True,
    ),
    Case("no-token", "authorization", {"#SITE": "sub vcl_recv { unset req.http.Authorization; }"}),
    Case("no-query", "query", {"#SITE": r'sub vcl_recv { set req.url = regsub(req.url, "\?.*", ""); }'}, fatal=True),
    Case("rewrite", "not-found", {"#SITE": 'sub vcl_recv { set req.url = "/index.html"; }'}, fatal=True),
    Case("type", "type", {"#SITE": RESPONSE.format('set beresp.http.Content-Type = "text/plain";')}, fatal=True),
    Case("error-pages", "error-pages", {"#SITE": "sub vcl_deliver { if (resp.status >= 400) { return (synth(400)); } }"}),
    Case("gzip", "buffered", {"#SITE": RESPONSE.format("set beresp.do_gzip = true;")}, fatal=True),
    Case("away", "down-answer", {}, use=(), fatal=True, clean=False),
    # One answer for all, which Varnish goes on reading when its clients have left.
    Case(
        "unnoticed",
        "leaving",
        {"#SITE": "sub vcl_recv { return (hash); } " + RESPONSE.format("set beresp.ttl = 1h; return (deliver);")},
        use=("--db", "--status"),
    ),
    Case(
        "cached",
        "cached",
        {
            "#SITE": 'sub vcl_recv { if (req.url ~ "json") { return (hash); } } '
            + RESPONSE.format('if (bereq.url ~ "json") { set beresp.ttl = 1h; return (deliver); }')
        },
    ),
]


class Varnish(webserver.WebServer):
    """A varnishd for each site: a VCL is for a whole server."""

    program, package = proxies.Varnish.program, proxies.Varnish.package

    def __init__(self, path, place, texts):
        self.place, self.texts = place, texts
        self.processes = []
        super().__init__(path, "")

    def configure(self, configuration):
        for name, text in self.texts.items():
            port = 1 if name == "away" else self.place.http[1]
            backend = 'vcl 4.1;\nbackend default { .host = "127.0.0.1"; .port = "%d"; }\n' % port
            (self.directory / f"{name}.vcl").write_text(backend + text)

    def start(self):
        for name, port in self.place.ports.items():
            jail = "-junix,user=vcache" if webserver.AS_ROOT else "-jnone"
            words = [self.program, jail, "-F", f"-a127.0.0.1:{port}", "-f", self.directory / f"{name}.vcl"]
            words += ["-n", self.directory / "tmp" / name, "-smalloc,16m", "-Tnone"]
            words += ["-pthread_pools=1", "-pthread_pool_min=20", f"-p{webserver.Varnish.quick_compiler}"]
            self.process = webserver.start(words, self.logs / f"{name}.log")
            self.processes.append(self.process)
        self.tls_address = self.address = ("127.0.0.1", port)
        for port in self.place.ports.values():
            self.wait(port)
        return self

    def wait(self, port):
        deadline = time.monotonic() + stream.DEADLINE
        while True:
            try:
                return stream.connect(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.05)

    def stop(self):
        for process in self.processes:
            webserver.end(process, timeout=3)


def right(place, case):
    return "#SITE\n"


@pytest.fixture(scope="module")
def found():
    packages.need(Varnish.program, Varnish.package)
    return outcomes(Varnish, "Varnish", right, CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault_is_found_and_cured(found, case):
    check(found[case.name], case)
