"""A browser's own EventSource behind a second proxy reconnects by itself after everything behind it was down."""

import urllib.parse

import pytest

import proxies
from conftest import Builder
from deployment import wait_until
from test_eventsource import browse, origin  # noqa: F401 (fixtures)


@pytest.fixture
def told():
    """What each EventSource has reported so far, by its name."""
    return {name: [] for name in proxies.PROXIES}


def test_event_source_reconnects_by_itself(told, origin, browse):  # noqa: F811
    with Builder() as build:
        site = build("nginx", allow_origin=origin).start()
        inner = {"nginx": site.server.address}
        urls = {
            name: "http://%s:%d/events" % build.proxy(name, inner).addresses["nginx"] for name in told
        }
        browse(f"{origin}/?{urllib.parse.urlencode(urls)}")

        def all_told(what):
            wait_until(lambda: all(what in said for said in told.values()), what, lambda: told, 40)

        all_told("open")
        site.log.insert("before")
        all_told("before")
        site.server.stop()
        site.log.insert("while-down")
        for said in told.values():
            said.append("stopped")
        # Each has retried in vain at least once: the proxy has answered or closed.
        wait_until(lambda: all(told_since_the_stop(said) for said in told.values()), "try", lambda: told, 40)
        site.server.start()
        all_told("while-down")
    for name, said in told.items():
        assert "gave-up" not in said, f"{name}: {said}"
        rows = [what for what in said if what in ("before", "while-down")]
        assert rows == ["before", "while-down"], f"{name}: {said}"


def told_since_the_stop(said):
    """Whether there is a second error: the first is the disconnect, the second a failed attempt."""
    return said[said.index("stopped") :].count("error") >= 2
