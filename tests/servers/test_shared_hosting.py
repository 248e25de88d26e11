"""Apache on a shared host: what a user gets from four uploaded files, whatever the host has set."""

import pytest

import httpc
import webserver

SHARED = "apache-cgid"


def get(site, target):
    return httpc.open_request(site.server.address, target)


def test_address_of_the_directory(build):
    """The stream is at /events/, without the program's name."""
    site = build(SHARED).start()
    with get(site, "/events/") as opened:
        assert opened.next().type == "position"
        row = site.log.insert("a row")
        assert opened.next().last_event_id == str(row)


@pytest.mark.parametrize("name", ["rowtail", "events.db", ".htaccess", "README.md"])
def test_nothing_else_is_given_out(build, name):
    """Should the program or the log lie in the web root, they are not to be fetched."""
    site = build(SHARED)
    place = site.server.www / "events" / name
    if not place.exists():
        place.write_text("private")
    site.start()
    with get(site, f"/events/{name}") as answer:
        assert answer.wait_head().head.status == 403


class CompressingApache(webserver.SharedApache):
    """A host that compresses every answer, of whatever type."""

    def site(self):
        return super().site() + "SetOutputFilter DEFLATE\n"


def test_host_that_compresses_everything(build):
    site = build(SHARED, server=CompressingApache).start()
    with site.open(headers={"Accept-Encoding": "gzip"}) as opened:
        assert opened.next().type == "position"
        assert opened.head.get("Content-Encoding") is None
        for number in range(3):
            site.log.insert(f"row {number}")
            assert opened.next().data == f"row {number}"


def test_stream_ends_by_its_age(build):
    """The CONFIG file there bounds a stream's life, so that no process stays for ever."""
    site = build(SHARED, max_stream_age=1).start()
    with site.follow() as opened:
        opened.wait(lambda: opened.complete or opened.eof, "end by age")
        assert opened.parser.reconnection_time is not None
    site.wait_streams(0)
