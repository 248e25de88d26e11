"""rowtail gets exactly /events and the URLs below /events/, and nothing else of the site.

A neighbour is another URL of the site that looks like the mount. It stays what it is without rowtail: a file,
or a 404. It never reaches rowtail, and with a login for /events no spelling of the URL gets a row without the
password.
"""

import pytest

import httpc
from conftest import HASTE, Builder, directory, make_log
from deployment import BY_FASTCGI, DEPLOYMENTS
from logins import PASSWORDS, basic, with_login

# On a shared host the mount is a directory of the site: see test_shared_hosting.py.
MOUNTED = [name for name, one in DEPLOYMENTS.items() if one.mount == "/events"]
mounted = pytest.mark.deployments(*MOUNTED)
with_programs = pytest.mark.deployments(*[name for name in MOUNTED if name in BY_FASTCGI])

# Files of the site whose names begin like the mount.
NEIGHBOURS = [
    "eventsX",
    "events.html",
    "events-archive.txt",
    "eventsource.min.js",
    "events_old",
    "Events",
    "EVENTS",
    "rowtail",
    "rowtail-downX",
]
# Spellings that servers may take for the mount, a file, or nothing.
SPELLINGS = [
    "/events.",
    "/events~",
    "/events%20",
    "/events%00",
    "/events;x=1",
    "/events%3Fx",
    "/events.cgi",
    "/events.fcgi",
    "/events.cgi~",
    "/events%2F",
    "/events%2f..",
    "/events/..",
    "/events/../events",
    "/events/%2e%2e/events",
    "//events",
    "///events//",
    "/./events",
    "/x/../events",
    "/x/..%2fevents",
    "/%65vents",
    "/events\\",
    "/Events/",
    "/rowtail/",
    "/rowtail/x",
    "/rowtail/events",
    "/rowtail/metrics/x",
    "/rowtail/status/x",
    "/rowtail/health",
    "/cgi-bin/",
    "/cgi-bin/events.cgi",
    "/cgi-bin/events.fcgi",
]
EVERYTHING = "?channel=*&last_event_id=0"
SECRET = "a row that needs a password"


@pytest.fixture(scope="module")
def sites():
    """sites(name, login): a running site, created once, with one row in its log."""
    with Builder() as builder:
        running = {}

        def get(name, login=False):
            if (name, login) not in running:
                place = builder.enter_context(directory())
                log = make_log(place)
                builder.callback(log.close)
                log.insert(SECRET, channel="private")
                log.grant("user:ann", "*")
                server = with_login(name, place) if login else None
                edits = HASTE if name == "apache-fcgid" else {}
                # With public=yes only the login protects the rows.
                settings = {"heartbeat": 1, "public": "yes"}
                site = builder(name, log=log, server=server, edits=edits, **settings)
                for neighbour in NEIGHBOURS:
                    (site.server.www / neighbour).write_text(f"the file {neighbour}")
                running[name, login] = site.start()
            return running[name, login]

        yield get


def get(site, target, **how):
    """A complete answer, or what arrived of a stream in a moment."""
    with httpc.open_request(site.server.address, target, **how) as answer:
        answer.wait_head()
        if is_stream(answer):
            return answer.rest(0.3)
        return answer.wait(lambda: answer.complete or answer.eof, "end of the answer")


def is_stream(answer):
    return (answer.head.get("Content-Type") or "").startswith("text/event-stream")


@mounted
def test_similar_urls_belong_to_the_site(sites, deployment):
    site = sites(deployment)
    for neighbour in NEIGHBOURS:
        for query in "", EVERYTHING:
            answer = get(site, f"/{neighbour}{query}")
            assert answer.head.status == 200, (neighbour, answer.head.raw)
            assert bytes(answer.body) == f"the file {neighbour}".encode(), neighbour


@mounted
def test_other_spellings_get_a_full_stream_or_none(sites, deployment):
    """What reaches rowtail is streamed like /events: its first record arrives at once."""
    site = sites(deployment)
    for spelling in SPELLINGS:
        answer = get(site, spelling + EVERYTHING)
        if is_stream(answer):
            assert answer.events and answer.events[0].type == "position", spelling
        else:
            assert SECRET.encode() not in answer.body, spelling


@with_programs
def test_program_file_is_not_served(sites, deployment):
    """The CONFIG file names the database and the key; nobody gets it or an editor's copy of it."""
    site = sites(deployment)
    for name in "events.cgi", "events.fcgi":
        program = site.directory / "cgi" / name
        program.with_name(name + "~").write_bytes(program.read_bytes())
        program.with_name(f".{name}.swp").write_bytes(program.read_bytes())
    for spelling in [*SPELLINGS, "/events.fcgi~", "/.events.cgi.swp", "/cgi-bin/events.cgi~"]:
        assert b"db = " not in get(site, spelling).body, spelling


@with_programs
@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
def test_no_spelling_bypasses_the_login(sites, deployment, accept):
    """Without the password no URL gives a row, or says that there is one."""
    site = sites(deployment, login=True)
    neighbours = [f"/{name}" for name in NEIGHBOURS]
    for spelling in ["/events", "/events/", "/events/private", *SPELLINGS, *neighbours]:
        for headers in {}, {"Host": "other.example"}, basic("ann", "wrong"), basic("nobody", ""):
            answer = get(site, spelling + EVERYTHING, accept=accept, headers=headers)
            assert SECRET.encode() not in answer.body, (spelling, headers)
            assert not answer.events, (spelling, headers, answer.describe())
    ann = basic("ann", PASSWORDS["ann"])
    allowed = get(site, "/events" + EVERYTHING, headers=ann)
    assert SECRET.encode() in allowed.body


@mounted
def test_disconnected_clients_leave_nothing_behind(sites, deployment):
    """rowtail also forgets clients that requested a neighbour and disconnected."""
    site = sites(deployment)
    for _ in range(5):
        for spelling in "/eventsX", "/events.", "/rowtail/x":
            httpc.open_request(site.server.address, spelling + EVERYTHING).close()
    site.wait_streams(0)
