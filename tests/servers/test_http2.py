"""How many streams of one browser each server serves at once over one HTTP/2 connection."""

import pytest

import h2client

# (streams requested, streams served). deploy/README.md gives the same numbers.
SERVED = {
    "apache": (12, 6),
    "lighttpd": (12, 8),
    "nginx": (140, 128),
    "caddy": (260, 250),
    "haproxy": (110, 100),
}
SERVED |= {f"{name}-http": SERVED[name] for name in ("apache", "nginx", "caddy", "haproxy")}


@pytest.mark.deployments(*SERVED)
def test_streams_of_one_connection(build, deployment):
    site = build(deployment).start()
    asked, served = SERVED[deployment]
    with h2client.Connection(site.server.tls_address) as browser:
        for _ in range(min(asked, browser.limit)):
            browser.open(site.deployment.mount)
        browser.wait(lambda: len(browser.served()) >= served, f"{served} streams")
        browser.settle(0.5)
        assert len(browser.served()) == served
        assert set(browser.statuses.values()) == {b"200"}

        site.log.insert("to all of them")
        with_row = [browser.parsers[number] for number in browser.served()]
        browser.wait(lambda: all(len(got.events) > 1 for got in with_row), "row on each stream")


@pytest.mark.deployments(*SERVED)
def test_closed_stream_makes_room(build, deployment):
    """A page that closes its EventSource makes room for another; rowtail notices."""
    site = build(deployment, heartbeat=1).start()
    with h2client.Connection(site.server.tls_address) as browser:
        opened = [browser.open(site.deployment.mount) for _ in range(4)]
        browser.wait(lambda: len(browser.served()) == 4, "4 streams")
        site.wait_streams(4)
        for number in opened[:2]:
            browser.cancel(number)
        site.wait_streams(2)
        browser.open(site.deployment.mount)
        browser.wait(lambda: len(browser.served()) == 5, "the next stream")
