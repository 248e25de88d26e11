"""A second proxy in front of each web server: nginx, Apache, HAProxy and Varnish, as Debian ships them.

Once with the files of deploy/proxy, and once as somebody configures it to forward the whole site.
"""

import itertools
import re
import subprocess
import time

import pytest

import h2client
import httpc
import ports
import proxies
import webserver
from conftest import ORIGIN, TOKEN, Builder, is_here
from deployment import BY_FASTCGI, DEPLOYMENTS, family, memory_kib
from encoded import open_encoded
from follower import Crowd, Publisher, finish
from test_down import assert_asks_again
from test_load import GROWTH_MIB, WAITING_MIB, fill_buffers, insert_mebibytes, quiet, read_all, received

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SERVICES = [name for name in BY_FASTCGI if DEPLOYMENTS[name].runs == "service"]
behind_each = pytest.mark.parametrize("outer", proxies.PROXIES)
each_inner = pytest.mark.parametrize("inner", BY_FASTCGI)


@pytest.fixture(scope="module")
def sites(fleet):
    """Every web server that this release of Debian has, running: {name: site}."""
    return {name: fleet(name) for name in BY_FASTCGI if is_here(name)}


@pytest.fixture(scope="module")
def proxy(sites):
    """proxy("nginx"): in front of every site; plain=True: without our file."""
    with Builder() as builder:
        running = {}

        def get(name, plain=False):
            if (name, plain) not in running:
                inner = {one: site.server.address for one, site in sites.items()}
                running[name, plain] = builder.proxy(name, inner, plain=plain)
            return running[name, plain]

        yield get


@pytest.fixture
def start():
    """start("nginx", {name: address}): a proxy of the test's own."""
    with Builder() as builder:
        yield builder.proxy


@pytest.fixture
def way(proxy, sites, outer, inner):
    """(site, the proxy's address for it); the fixture closes all requests."""
    yield sites[inner], proxy(outer).addresses[inner]
    sites[inner].hang_up()


def rows_come_one_by_one(opened, log, channel, count=5):
    """Each row arrives before the next is inserted. Returns the shortest delay in seconds."""
    assert opened.next().type == "position"
    took_s = []
    for number in range(count):
        row = log.insert(f"row {number}", channel=channel)
        began = time.monotonic()
        assert opened.next().last_event_id == str(row)
        took_s.append(time.monotonic() - began)
    return min(took_s)


@behind_each
def test_disconnect_is_noticed(proxy, sites, outer):
    """Noticed by the proxy, then the web server, then rowtail, some heartbeats (1 s here) later."""
    opened = [
        site.follow("channel=open/leaving", address=proxy(outer).addresses[name])
        for name, site in sites.items()
    ]
    for number, leaver in enumerate(opened):
        leaver.reset() if number % 2 else leaver.close()
    for site in sites.values():
        site.wait_streams(0)


@behind_each
@each_inner
def test_plain_proxy(proxy, sites, outer, inner, channel, shared_log):
    """A proxy that forwards the whole site without rowtail's files passes rows on at once."""
    address = proxy(outer, plain=True).addresses[inner]
    with open_encoded(sites[inner], f"channel={channel}", address) as opened:
        rows_come_one_by_one(opened, shared_log, channel, count=2)


@behind_each
@each_inner
def test_rows_one_by_one(way, channel, shared_log):
    """Rows arrive at once, not only at the end, for a client that offers every compression."""
    site, address = way
    with open_encoded(site, f"channel={channel}", address) as opened:
        assert rows_come_one_by_one(opened, shared_log, channel) < 0.1, "a proxy waits for more"


@behind_each
@each_inner
def test_requests_come_through(way, channel, shared_log, request):
    """Position, credentials, the channel in the path, a form, and what answers without a stream."""
    site, address = way
    first = shared_log.insert("before", channel=channel)
    second = shared_log.insert("after", channel=channel)
    resumed = site.follow(f"channel={channel}", last_event_id=str(first), address=address)
    assert resumed.next().last_event_id == str(second)
    by_path = site.follow(path=f"/{channel}", last_event_id=str(first), address=address)
    assert by_path.next().last_event_id == str(second)
    body = f"channel={channel}&positions=1&last_event_id={first}".encode()
    posted = site.follow(method="POST", body=body, headers=FORM, address=address)
    assert posted.next().last_event_id == str(second)
    secret = "channel=secret/" + request.node.name
    site.follow(secret, headers={"Authorization": f"Bearer {TOKEN}"}, address=address)
    refused = site.open(secret, address=address).wait_head()
    assert refused.head.status == 401
    refused.wait(lambda: refused.complete or refused.eof, "end of the answer")
    assert "token" in refused.sentence()
    head = site.open(f"channel={channel}", method="HEAD", address=address).wait_head()
    assert (head.head.status, head.head.get("Content-Type")) == (200, "text/event-stream")
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    preflight = site.open(method="OPTIONS", headers=asked, address=address).wait_head()
    assert preflight.head.status == 204
    assert preflight.head.get("Access-Control-Allow-Origin") == ORIGIN


@behind_each
def test_plain_nginx_in_front_of_the_proxy(start, proxy, sites, outer, channel, shared_log):
    """A third server in the chain still learns that it must not buffer."""
    inner = {outer: proxy(outer).addresses["nginx"]}
    address = start("nginx", inner, plain=True).addresses[outer]
    with sites["nginx"].follow(f"channel={channel}", address=address) as opened:
        row = shared_log.insert("through three", channel=channel)
        assert opened.next().last_event_id == str(row)


@behind_each
def test_escaped_channel_in_the_path(proxy, sites, outer, channel, shared_log):
    address = proxy(outer).addresses["nginx"]
    row = shared_log.insert("there", channel=channel)
    path = "/" + channel.replace("/", "%2F")
    with sites["nginx"].follow(path=path, last_event_id="0", address=address) as opened:
        assert opened.next().last_event_id == str(row)


@pytest.mark.parametrize("outer", [name for name in proxies.PROXIES if name != "varnish"])
def test_rows_over_http2(proxy, outer, channel, shared_log):
    with h2client.Connection(proxy(outer).secure["nginx"]) as browser:
        for _ in range(3):
            browser.open(f"/events?channel={channel}")
        browser.wait(lambda: len(browser.served()) == 3, "positions")
        for count in range(2, 5):
            shared_log.insert("a row", channel=channel)
            browser.wait(lambda: all(len(p.events) == count for p in browser.parsers.values()), "row")


# A server is down.


@pytest.mark.parametrize("inner", SERVICES)
def test_rowtail_is_down(proxy, sites, inner):
    """The web server's replacement answer passes every proxy, including CORS headers."""
    site = sites[inner]
    site.rowtail.kill()
    try:
        for outer, plain in itertools.product(proxies.PROXIES, (False, True)):
            address = proxy(outer, plain).addresses[inner]
            answer = site.open(address=address, headers={"Origin": ORIGIN})
            assert_asks_again(answer)
            assert answer.head.get("Access-Control-Allow-Origin") == ORIGIN
    finally:
        site.rowtail.start()


@behind_each
def test_inner_server_is_down(start, outer):
    """The proxy answers as the web servers do; Varnish closes, which does not harm an EventSource."""
    address = start(outer, {"nobody": ("127.0.0.1", ports.free_port())}).addresses["nobody"]
    for how in {}, {"method": "POST", "body": b"channel=a", "headers": FORM}, {"method": "HEAD"}:
        with httpc.open_request(address, "/events/orders/42", **how) as answer:
            if outer == "varnish":
                answer.wait_end()
                assert answer.head is None
            else:
                assert_asks_again(answer)
    if outer != "varnish":
        with httpc.open_request(address, "/events", headers={"Origin": ORIGIN}) as answer:
            assert_asks_again(answer)
            assert answer.head.get("Access-Control-Allow-Origin") == ORIGIN
            assert answer.head.get("Access-Control-Allow-Credentials") == "true"
            assert "Origin" in answer.head.get("Vary")
        with httpc.open_request(address, "/events", accept="*/*") as answer:
            assert answer.wait_head().head.status in (500, 502, 503, 504)


class VarnishHttp2(proxies.Varnish):
    def command(self):
        return [*super().command(), "-pfeature=+http2"]


def test_varnish_over_http2(start, build):
    """Off by default. Varnish has no pipe mode there: it streams, and answers while the server is down."""
    site = build("nginx")
    address = start("varnish", {"nginx": site.server.address}, VarnishHttp2).addresses["nginx"]
    command = ["curl", "-sS", "--http2-prior-knowledge", "-H", "Accept: text/event-stream"]
    command += ["-i", "--no-buffer", "-m", "20", "http://%s:%d/events" % address]
    down = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert down.startswith("HTTP/2 200") and "retry: 3000\n:" in down, down
    site.start()
    time.sleep(0.5)  # for a quarter of a second Varnish does not retry a server that has refused it
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        assert any(line.startswith("event: position") for line in curl.stdout)
        site.log.insert("a row over HTTP/2")
        assert any(line == "data: a row over HTTP/2\n" for line in curl.stdout)
        curl.kill()


@behind_each
def test_recovery_is_immediate(start, build, outer):
    """A proxy stops reporting the inner server as down once it is up again."""
    site = build("nginx")
    address = start(outer, {"nginx": site.server.address}).addresses["nginx"]
    for _ in range(3):
        with httpc.open_request(address, "/events") as answer:
            answer.wait(lambda: answer.complete or answer.eof, "end of the answer")
    site.start()
    began = time.monotonic()
    while site.open(address=address).rest(0.2).head is None or not site.follow(address=address):
        assert time.monotonic() - began < 3


@behind_each
def test_nothing_lost_nothing_twice(start, build, outer):
    """The proxy, the web server and rowtail restart one after the other under load."""
    site = build("nginx", retry=100, retry_jitter=100, heartbeat=1).start()
    proxy = start(outer, {"nginx": site.server.address})
    target = "/events?last_event_id=0"
    with Crowd(proxy.addresses["nginx"], target, 12) as crowd:
        with Publisher(site.log) as publisher:
            crowd.run(0.4)
            for stop, again in [
                (proxy.stop, proxy.start),
                (site.server.stop, site.server.start),
                (site.rowtail.stop, site.rowtail.start),
            ]:
                stop()
                crowd.run(0.3)
                again()
                crowd.run(0.5)
            finish(crowd, publisher)
        assert all(follower.connections >= 2 for follower in crowd.followers)


# Memory, crowds, and proxies that process what they forward.


@behind_each
def test_client_that_stops_reading(start, build, outer):
    """32 MiB (64 with TEST_FULL=1) wait for it in the log; neither the proxy nor the web server buffers them."""
    site = build("nginx").start()
    proxy = start(outer, {"nginx": site.server.address})
    opened = site.follow(address=proxy.addresses["nginx"])
    expected = fill_buffers(site.log)
    read_all(opened, expected)

    def memory():
        return memory_kib(family({proxy.process.pid}) | site.family())

    before = memory()
    expected.update(insert_mebibytes(site.log, WAITING_MIB))
    quiet(site, opened)
    assert memory() - before < GROWTH_MIB * 1024
    read_all(opened, expected)
    assert received(opened) == expected


class BusyNginx(proxies.Nginx):
    """nginx that caches and compresses everything, merges equal requests, and forwards WebSockets."""

    @property
    def everywhere(self):
        return f"proxy_cache_path {self.directory}/tmp/cache keys_zone=all:1m;\n"

    around = """
	proxy_cache all; proxy_cache_valid any 10m; proxy_cache_lock on; proxy_buffering on;
	proxy_ignore_headers X-Accel-Buffering Cache-Control Expires Set-Cookie Vary;
	proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
	proxy_read_timeout 10s; proxy_intercept_errors on; error_page 401 404 503 /index.html;
	gzip on; gzip_types *; gzip_proxied any; gzip_min_length 1;
	add_header X-Content-Type-Options nosniff always;
"""


class BusyApache(proxies.Apache):
    modules = [*proxies.Apache.modules, "cache", "cache_disk", "buffer"]

    @property
    def around(self):
        return f"""
	CacheRoot "{self.directory}/tmp"
	CacheEnable disk "/"
	CacheIgnoreCacheControl On
	CacheStoreNoStore On
	CacheStorePrivate On
	CacheIgnoreNoLastMod On
	CacheDefaultExpire 3600
	CacheLock On
	SetOutputFilter BUFFER;DEFLATE
	ProxyErrorOverride On
	ProxyTimeout 10
	SetEnv proxy-sendchunked 1
	SetEnv force-proxy-request-1.0 1
	ErrorDocument 401 /index.html
"""

    below = proxies.Apache.plain.replace(proxies.INNER, "127.0.0.1:1")


class BusyHAProxy(proxies.HAProxy):
    edits = {
        "timeout server  50000": "timeout server  10s",
        "timeout client  50000": "timeout client  20s\n\thttp-reuse always",
    }
    around = """
	compression algo gzip
	option http-buffer-request
	option httpclose
	timeout http-request 5s
	timeout tunnel 10s
"""


class BusyVarnish(proxies.Varnish):
    around = """
sub vcl_recv { unset req.http.Authorization; unset req.http.Cookie; return (hash); }
sub vcl_backend_response {
	unset beresp.http.Cache-Control;
	set beresp.ttl = 1h;
	set beresp.grace = 1h;
	set beresp.do_gzip = true;
	return (deliver);
}
"""


BUSY = {"nginx": BusyNginx, "apache": BusyApache, "haproxy": BusyHAProxy, "varnish": BusyVarnish}


@behind_each
def test_site_that_caches_and_compresses_everything(start, sites, outer, channel, shared_log):
    """Clients that request the same URL each get their own stream, never a cached one."""
    site = sites["nginx"]
    address = start(outer, {"nginx": site.server.address}, BUSY[outer]).addresses["nginx"]
    opened = [open_encoded(site, f"channel={channel}", address) for _ in range(20)]
    opened += [site.open(f"channel={channel}", address=address) for _ in range(20)]
    for one in opened:
        assert one.next().type == "position"
    for number in range(3):
        row = shared_log.insert(f"row {number}", channel=channel)
        assert {one.next().last_event_id for one in opened} == {str(row)}
    late = site.follow(f"channel={channel}", address=address)
    assert late.events[0].last_event_id == str(row), "an old answer was kept"
    for _ in range(2):
        refused = site.open(f"channel=secret/{channel}", address=address).wait_head()
        refused.wait(lambda: refused.complete or refused.eof, "end of the answer")
        assert refused.head.status == 401 and "token" in refused.sentence()
    granted = {"Authorization": f"Bearer {TOKEN}"}
    site.follow(f"channel=secret/{channel}", headers=granted, address=address)
    site.hang_up()
    for one in opened:
        one.close()


# The client's address.


def behind_a_proxy(name):
    """build()'s arguments for a server that has what deploy says for one behind a proxy."""
    if name == "caddy":
        lines = ["map {remote_host}", "\t127.0.0.1 {header", "\tdefault {rem", "}\n", "env REMOTE_ADDR"]
        return {"edits": {f"#{line}": line for line in lines}}
    if name == "haproxy":
        return {"edits": {"#http-request set-src": "http-request set-src"}}
    text = (webserver.DEPLOY / "proxy" / f"inner-{name}.conf").read_text()
    place = {"nginx": "conf.d", "apache": "conf-enabled", "lighttpd": "conf-enabled"}[name]

    class Inner(DEPLOYMENTS[name].server):
        def configure(self, configuration):
            modules = re.findall(r"(?m)^#\s+a2enmod .*$", text)
            super().configure("\n".join([configuration, *modules]))
            (self.root / place / "50-rowtail-proxy.conf").write_text(text)

    return {"server": Inner}


@pytest.mark.parametrize(
    "inner, outer",
    [(name, "nginx") for name in ("nginx", "apache", "lighttpd", "caddy", "haproxy")]
    + [("nginx", outer) for outer in ("apache", "haproxy", "varnish")],
)
def test_address_of_the_client(start, build, inner, outer):
    """rowtail sees the client's address, not the proxy's, and no forged one."""
    site = build(inner, max_streams_per_client=1, **behind_a_proxy(inner)).start()
    address = start(outer, {inner: site.server.address}).addresses[inner]
    ann, bob, eve = "127.0.0.2", "127.0.0.3", "127.0.0.4"
    made_up = {"X-Forwarded-For": "192.0.2.7"}

    def refused(client, headers=None, address=address):
        answer = site.open(address=address, client=client, headers=headers, accept="*/*").wait_head()
        return answer.head.status == 503

    site.follow(address=address, client=ann)
    assert refused(ann) and refused(ann, made_up)
    site.follow(address=address, client=bob)
    assert refused(bob)
    site.follow(client=eve, headers=made_up)  # directly, to a server that trusts only the proxy
    assert refused(eve, address=None)

    def page(headers=None):
        with httpc.open_request(
            site.server.address, "/rowtail/metrics", headers=headers, accept="*/*"
        ) as answer:
            return answer.wait_head().head.status

    assert page() == 200
    assert page(made_up) in (403, 404), "a stranger behind the proxy counts as one on this machine"
