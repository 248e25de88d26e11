"""Apache as people use it: what visitors of the sites in apache_sites.py notice."""

import re

import pytest

import sites
from apache_sites import (
    CLOSED,
    CLOSED_STATUSES,
    NEEDS,
    NOT_EVERYWHERE,
    SITES,
    WAYS,
    WITH_FCGID,
    ManySites,
    build_sites,
    is_here,
)
from conftest import Builder
from logins import basic
from test_mount import NEIGHBOURS


def every_site(*ways):
    """Runs a test once for each site, in each of these ways."""
    pairs = []
    for way in ways:
        names = WITH_FCGID if way == "fcgid" else SITES
        without = NOT_EVERYWHERE if WAYS[way][1].everywhere else set()
        pairs += [(way, name) for name in names if name not in without]
    return pytest.mark.parametrize("way, name", pairs)


each_way = pytest.mark.parametrize("way", ["everywhere", "in each host", "fcgid"])


@pytest.fixture(scope="module")
def servers():
    """servers(way): all sites, with rowtail behind them, created once."""
    with Builder() as build:
        running = {}

        def get(way):
            if way not in running:
                deployment, kind = WAYS[way]
                running[way] = build_sites(build, deployment, server=kind).start()
            return running[way]

        yield get


@pytest.fixture
def server(servers, way):
    return servers(way)


@pytest.fixture
def visit(server):
    """visit(name): a client of this site."""

    def available(name):
        if not is_here(NEEDS.get(name, "alias")):
            pytest.skip(f"{NEEDS[name]} is not installed")

    with sites.visiting(server, available) as visitor:
        yield visitor


@every_site("everywhere", "in each host", "fcgid")
def test_streams(visit, name):
    sites.assert_streams(visit(name))


@every_site("everywhere")
def test_paths_name_channels(visit, name):
    spelled = {**sites.SPELLED, "a//b": "a//b", "%2Fa": "/a"}
    if name == "directory.test":
        del spelled["what%3F"]  # the name of a file there, which Apache itself refuses
    sites.assert_paths_name_channels(visit(name), spelled)


@pytest.mark.parametrize("way", ["in each host", "fcgid"])
def test_paths_name_channels_each_way(visit):
    spelled = {"orders%2F42": "orders/42", "a//b": "a//b", "%2525": "%25", "what%3F": "what?"}
    sites.assert_paths_name_channels(visit("plain.test"), spelled)
    sites.assert_paths_name_channels(visit("directory.test"), {"orders/x/y": "orders/x/y"})


@every_site("in each host", "fcgid")
def test_refusals(visit, name):
    if name in ("directory.test", "security.test"):
        pytest.skip("such a site refuses some of these by itself")
    sites.assert_refusals_are_rowtails(visit(name))


@each_way
@pytest.mark.parametrize("name", ["plain.test", "security.test"])
def test_patterns(visit, name):
    """The OWASP rules, if installed, take a pattern for SQL."""
    visitor = visit(name)
    query = "channel=orders/*&last_event_id=0"
    form = {"method": "POST", "headers": {"Content-Type": sites.FORM}, "body": query.encode()}
    visitor.follow(f"/events?{query}")
    visitor.follow("/events?positions=1", **form)


@each_way
def test_silence(server):
    """No time-out of a site ends a stream with only heartbeats, one a second here."""
    sites.silence(server, ["plain.test", "impatient.test", "cache.test"])


@each_way
def test_headers_of_the_site_stay(visit):
    with visit("headers.test").follow("/events/silence") as opened:
        assert opened.head.get("X-Content-Type-Options") == "nosniff"
        assert opened.head.get("Cache-Control") == "no-cache, no-transform"
        assert opened.head.get("Strict-Transport-Security")


@every_site("everywhere")
def test_pages_for_the_administrator(visit, name):
    """They show the current state, to this machine but not to clients of a proxy on it."""
    visitor = visit(name)
    for _ in range(2):
        opened = visitor.follow("/events/silence")
        shown = visitor.page("/rowtail/metrics")
        assert re.search(r"\nrowtail_streams [1-9]", shown.body.decode()), shown.describe()
        opened.close()
    assert "<html" in visitor.page("/rowtail/status").body.decode()
    for header in "X-Forwarded-For", "Forwarded":
        answer = visitor.page("/rowtail/metrics", headers={header: "192.0.2.1"})
        assert answer.head.status == 403, answer.describe()


@each_way
def test_answers_are_not_cached(visit):
    for name in "cache.test", "cache-quick.test":
        visitor = visit(name)
        assert visitor.page("/events?channel=secret").head.status == 401
        opened = visitor.follow("/events/app.js")
        sites.assert_row_comes_at_once(visitor.site.log, opened, "app.js", "one")
        assert visitor.page("/events?channel=secret").head.status == 401
        with visitor.follow("/events/silence") as other:
            assert not other.rows


# Access.


@each_way
@pytest.mark.parametrize("name", CLOSED)
def test_closed_sites(visit, name):
    """What a site asks of its visitors, it asks of those of /events too."""
    targets = ["/events", "/events/", f"/events/{name}", f"/events?channel={name}"]
    targets += ["//events", "/events%2f" + name, "/x/..%2Fevents", "/rowtail/x", "/cgi-bin/events.fcgi"]
    logins = [{}, basic("ann", "wrong"), basic("nobody", "")]
    sites.assert_closed(visit(name), targets, logins, CLOSED_STATUSES)


@each_way
@pytest.mark.parametrize("name", [name for name in CLOSED if name.startswith("login")])
def test_logins_of_a_site_name_the_user(visit, name):
    sites.assert_login_is_handed_on(visit(name))


@each_way
def test_site_without_rowtail(visit, server):
    """If some virtual hosts include the file, the others have no /events."""
    visitor = visit("plain.test")
    status = sites.Visitor(server, "localhost").page("/events").head.status
    assert (status == 404) == (not server.server.everywhere)
    assert visitor.page("/events?channel=silence&tail=x").head.status == 400


# While rowtail is down.


def stop_rowtail(site):
    if site.rowtail:
        site.rowtail.kill()
    else:
        site.binary.unlink()
        site.binary.write_text("#!/bin/false\n")
        site.binary.chmod(0o755)


@pytest.mark.parametrize("way", ["everywhere", "in each host", "fcgid in each host"])
def test_rowtail_is_down(way):
    deployment, kind = WAYS[way]
    with Builder() as build:
        site = build_sites(build, deployment, server=kind).start()
        stop_rowtail(site)
        names = set(SITES if site.rowtail else WITH_FCGID[:6])
        names -= NOT_EVERYWHERE if kind.everywhere else set()
        names -= {one for one in NEEDS if not is_here(NEEDS[one])}
        targets = ["/events?channel=a", "/events/a.php"]
        visitors = [sites.Visitor(site, name) for name in sorted(names)]
        sites.assert_are_down(visitors, targets, (500, 502, 503, 504))
        for name in CLOSED:
            visitor = sites.Visitor(site, name)
            assert visitor.page("/events").head.status in (301, 401, 403), name
            visitor.close()


# The rest of the site.


class WithoutRowtail(ManySites):
    def configure(self, configuration):
        modules = "\n".join(re.findall(r"^#\s+a2enmod .*$", configuration, re.M))
        super().configure(modules)


@pytest.mark.parametrize("way", ["everywhere"])
def test_rest_of_the_site_is_unchanged(server):
    """The site itself answers every URL that looks like the mount."""
    targets = [f"/{name}" for name in NEIGHBOURS]
    targets += ["/", "/events.", "/events~", "/events%20", "/x/events", "/event", "/events%3Fx"]
    targets += ["/rowtail/x", "/rowtail/", "/index.php", "/a.php/events", "/cgi-bin/events.fcgi"]
    with Builder() as build:
        bare = build_sites(build, "apache", server=WithoutRowtail)
        bare.server.start()
        # The other sites change the answer, and this page differs every time.
        names = [name for name in list(SITES)[:30] if name != "location.test"]
        sites.assert_same_as_without(bare, server, names, targets)
