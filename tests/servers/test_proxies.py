"""A second proxy in front of each web server: nginx, Apache, HAProxy and Varnish, as Debian ships them.

Once with the files of deploy/proxy, and once as somebody writes it who wants the whole site forwarded.
"""

import time

import pytest

import httpc
import ports
import proxies
from conftest import ORIGIN, TOKEN, Builder, directory, is_here
from deployment import DEPLOYMENTS, wait_until
from encoded import open_encoded

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SERVICES = [name for name, one in DEPLOYMENTS.items() if one.runs == "service"]
behind_each = pytest.mark.parametrize("outer", proxies.PROXIES)
each_inner = pytest.mark.parametrize("inner", DEPLOYMENTS)


@pytest.fixture(scope="module")
def sites(fleet):
    """Every web server that this release of Debian has, running: {name: site}."""
    return {name: fleet(name) for name in DEPLOYMENTS if is_here(name)}


class Proxies(Builder):
    """Starts proxies, and stops them all at the end."""

    def __call__(self, name, inner, server=None, **how):
        kind = server or proxies.PROXIES[name]
        proxy = kind(self.enter_context(directory()), inner, **how)
        self.callback(proxy.stop)
        return proxy.start()


@pytest.fixture(scope="module")
def proxy(sites):
    """proxy("nginx"): in front of every site; plain=True: without our file."""
    with Proxies() as start:
        running = {}

        def get(name, plain=False):
            if (name, plain) not in running:
                inner = {one: site.server.address for one, site in sites.items()}
                running[name, plain] = start(name, inner, plain=plain)
            return running[name, plain]

        yield get


@pytest.fixture
def start():
    """start("nginx", {name: address}): a proxy of the test's own."""
    with Proxies() as running:
        yield running


@pytest.fixture
def way(proxy, sites, outer, inner):
    """(site, where the proxy serves it); no request is left open."""
    yield sites[inner], proxy(outer).addresses[inner]
    sites[inner].hang_up()


def rows_come_one_by_one(opened, log, channel, count=5):
    """Each is there before the next is inserted. Returns how long the quickest took, in seconds."""
    assert opened.next().type == "position"
    took_s = []
    for number in range(count):
        row = log.insert(f"row {number}", channel=channel)
        began = time.monotonic()
        assert opened.next().last_event_id == str(row)
        took_s.append(time.monotonic() - began)
    return min(took_s)


@behind_each
@each_inner
def test_plain_proxy(proxy, sites, outer, inner, channel, shared_log):
    """Whoever forwards the whole site and has read nothing of rowtail gets the rows as they come."""
    address = proxy(outer, plain=True).addresses[inner]
    with open_encoded(sites[inner], f"channel={channel}", address) as opened:
        rows_come_one_by_one(opened, shared_log, channel)
