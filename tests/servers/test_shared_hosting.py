"""Apache on a shared host: what a user gets from four uploaded files, whatever the host has set."""

import re

import pytest

import apache_sites as kinds
import httpc
import webserver
from conftest import directory
from logins import PASSWORDS, basic, htpasswd

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
def test_other_files_are_not_served(build, name):
    """If the program or the log is in the web root, nobody can fetch it."""
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
    """The CONFIG file limits a stream's age, so that no process stays for ever."""
    site = build(SHARED, max_stream_age=1).start()
    with site.follow() as opened:
        opened.wait(lambda: opened.complete or opened.eof, "end by age")
        assert opened.parser.reconnection_time is not None
    site.wait_streams(0)


# The rest of the account's site, one level up.

FRONT = {
    name: kinds.SITES[f"{name}.test"].htaccess
    for name in ("wordpress", "laravel", "symfony", "drupal", "public", "fallback-here")
}


def with_site(htaccess, lines="", edit=str):
    """A host whose account has its own site around the directory; `edit` changes our .htaccess."""

    class Server(webserver.SharedApache):
        modules = [*webserver.SharedApache.modules, "rewrite"]
        around = lines

        def configure(self, configuration):
            super().configure(edit(configuration))
            (self.www / ".htaccess").write_text(htaccess)
            (self.www / "index.php").write_text("the application\n")

    return Server


@pytest.mark.parametrize("name", FRONT)
def test_front_controller_above(build, name):
    """The application gets every other URL, and the stream none of its pages."""
    site = build(SHARED, server=with_site(FRONT[name])).start()
    for target, channel in {
        "/events/": "default",
        "/events/?channel=a/b": "a/b",
        "/events/events.cgi": "default",
        "/events/events.cgi/a/b": "a/b",
        "/events/events.cgi/a%20b.html": "a b.html",
    }.items():
        with get(site, target) as opened:
            assert opened.next().type == "position", target
            site.log.insert(f"for {target}", channel=channel)
            assert opened.next_row().data == f"for {target}"
    with httpc.open_request(site.server.address, "/shop/42", accept="*/*") as page:
        page.wait_head()
        assert (page.head.get("Content-Type") or "text/html").startswith("text/html")


def test_address_without_a_slash(build):
    """It redirects to the directory, and an EventSource follows."""
    site = build(SHARED, server=with_site(FRONT["wordpress"])).start()
    with get(site, "/events?channel=a") as answer:
        assert answer.wait_head().head.status == 301
        assert answer.head.get("Location").endswith("/events/?channel=a")


def test_login_of_the_site(build):
    """The site's password login applies to the stream, and rowtail gets the name."""
    with directory() as place:
        users = place / "users"
        users.write_text("".join(htpasswd(*pair) for pair in PASSWORDS.items()))
        login = kinds.USERS.replace("<directory>/users", str(users))
        site = build(SHARED, public=None, server=with_site(login + FRONT["wordpress"])).start()
        site.log.grant("user:ann", "default")
        for target in "/events/", "/events/events.cgi", "/events/events.cgi/default":
            for headers in {}, basic("ann", "wrong"):
                refused = httpc.open_request(site.server.address, target, headers=headers)
                assert refused.wait_head().head.status == 401
                refused.close()
        ann, bob = (basic(*pair) for pair in PASSWORDS.items())
        with httpc.open_request(site.server.address, "/events/", headers=ann) as opened:
            assert opened.next().type == "position"
        with httpc.open_request(site.server.address, "/events/", headers=bob) as refused:
            assert refused.wait_head().head.status == 403


def test_redirect_to_https(build):
    """The lines for it, with their # removed."""

    def edit(text):
        lines = re.search(r"^\t#<If .*?^\t#</If>$", text, re.M | re.S)[0]
        return text.replace(lines, lines.replace("\t#", "\t"))

    above = "RewriteEngine On\n" + kinds.HTTPS + FRONT["wordpress"]
    site = build(SHARED, server=with_site(above, edit=edit)).start()
    for target in "/events/?channel=a", "/events/events.cgi/a/b":
        with get(site, target) as answer:
            assert answer.wait_head().head.status == 301
            assert answer.head.get("Location") == f"https://localhost{target}"
    secure = {"X-Forwarded-Proto": "https"}
    with httpc.open_request(site.server.address, "/events/", headers=secure) as opened:
        assert opened.next().type == "position"


@pytest.mark.parametrize(
    "lines", ["SetOutputFilter DEFLATE", "AddOutputFilterByType DEFLATE text/event-stream"]
)
def test_host_that_compresses_in_a_location(build, lines):
    site = build(SHARED, server=with_site("", f'<Location "/">\n{lines}\n</Location>')).start()
    with site.open(headers={"Accept-Encoding": "gzip"}) as opened:
        assert opened.next().type == "position"
        site.log.insert("a row")
        assert opened.next().data == "a row"


class WithoutCgi(webserver.SharedApache):
    modules = [one for one in webserver.SharedApache.modules if one != "cgid"]


def test_host_without_cgi_programs(build):
    """The program's text, which contains the log's path, is not served."""
    site = build(SHARED, server=WithoutCgi).start()
    for target in "/events/", "/events/events.cgi":
        with httpc.open_request(site.server.address, target, accept="*/*") as answer:
            assert answer.wait_head().head.status == 403
            assert b"db = " not in answer.rest(0.1).body
