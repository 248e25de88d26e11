"""Caddy as people use it: rowtail's two snippets in many kinds of sites, all in one server.

Each site is a separate block; its name is the key here, and the value is its text besides rowtail's lines.
Those come at its beginning, or at <rowtail> if the text has that.
"""

import re

import pytest

import sites
import webserver
from conftest import Builder, directory, make_log
from logins import PASSWORDS, basic, bcrypt
from test_mount import NEIGHBOURS

PLAIN_ERRORS = 'respond "{http.error.status_code} {http.error.status_text}"'
APP = 'respond "the application"'
USERS = "{\n ann <ann>\n bob <bob>\n }"
SITES = {
    "plain.test": "file_server",
    # Front controllers, and blocks that would take /events.
    "php.test": "php_fastcgi <nobody>\n file_server",
    "php-first.test": "php_fastcgi <nobody>\n file_server\n <rowtail>",
    "front.test": "try_files {path} /index.html\n file_server",
    "front-first.test": "try_files {path} {path}/ /index.html?{query}\n file_server\n <rowtail>",
    "page.test": "handle /api/* {\n respond api\n }\n"
    "handle {\n try_files {path} /index.html\n file_server\n }",
    "handles.test": f"handle /* {{\n {APP}\n }}\n handle /ev* {{\n {APP}\n }}\n <rowtail>",
    "paths.test": f"handle_path /* {{\n {APP}\n }}\n route /events/* {{\n {APP}\n }}\n <rowtail>",
    "rewrite.test": f"rewrite * /index.php?{{query}}\n rewrite /* /other.php\n {APP}\n <rowtail>",
    "application.test": "reverse_proxy <app> {\n header_up Host {upstream_hostport}\n }\n <rowtail>",
    "respond.test": f"respond /* index\n {APP}\n <rowtail>",
    "route.test": f"route {{\n <rowtail>\n encode gzip\n try_files {{path}} /index.php\n {APP}\n }}",
    "browse.test": "handle_path /app/* {\n file_server\n }\n uri strip_prefix /app\n file_server browse",
    "directory.test": "root * <directory>/files\n file_server browse\n <rowtail>",
    "roots.test": "root /a* <directory>/none\n root * <directory>/files\n file_server\n <rowtail>",
    # Settings for all answers of a site.
    "encode.test": "encode zstd gzip\n file_server",
    "encode-all.test": "encode gzip {\n minimum_length 1\n match header Content-Type *\n }\n file_server",
    "headers.test": "header X-Content-Type-Options nosniff\n header -Server\n"
    "header ?Cache-Control max-age=3600\n file_server",
    "cached.test": 'header Cache-Control "public, max-age=3600"\n file_server',
    "body.test": "request_body {\n max_size 8KB\n }\n file_server",
    "log.test": "log {\n output file <directory>/logs/access.log\n }\n file_server",
    "templates.test": "@pages not path /events*\n templates @pages\n file_server",
    "vars.test": 'map {host} {x} {\n default y\n }\n request_header X-A "{x}"\n file_server',
    "errors.test": "file_server",
    "errors-first.test": "file_server",
}
ERRORS = {
    "errors.test": "<down>\n rewrite * /index.html\n file_server",
    "errors-first.test": f"try_files /{{err.status_code}}.html /index.html\n {APP}\n <down>",
}
# Sites that require a password or HTTPS, or refuse this address.
CLOSED = {
    "login.test": f"basicauth {USERS}\n file_server",
    "login-front.test": f"basicauth {USERS}\n try_files {{path}} /index.html\n <rowtail>",
    "login-path.test": f"basicauth /events* {USERS}\n try_files {{path}} /index.html\n <rowtail>",
    "login-rewrite.test": f"basicauth /events* {USERS}\n rewrite * /index.html\n <rowtail>",
    "login-route.test": f"route {{\n basicauth {USERS}\n <rowtail>\n {APP}\n }}",
    "login-file.test": "import <directory>/basic.conf\n try_files {path} /index.html\n <rowtail>",
    "ask.test": "forward_auth <app> {\n uri /deny\n header_up Host {upstream_hostport}\n }\n file_server",
    "https.test": "@plain protocol http\n redir @plain https://{host}{uri}\n file_server\n <rowtail>",
    "denied.test": "@all not remote_ip 192.0.2.1\n route {\n error @all 403\n <rowtail>\n }",
    "other.test": "file_server <none>",
}
WITH_PASSWORDS = [name for name in CLOSED if name.startswith("login")]
# Below a prefix that the site strips.
NESTED = {"nested.test": "handle_path /app/* {\n <rowtail>\n }\n file_server"}
# A site that runs templates for every address.
TEMPLATES = {"everywhere.test": "templates\n file_server"}
# The application behind reverse_proxy and forward_auth.
APPLICATION = """
http://127.0.0.1:<port> {
	bind 127.0.0.1
	respond /deny 401
	respond "the application"
}
"""


class ManySites(webserver.Caddy):
    """Caddy with each of SITES for its host name."""

    sites = {**SITES, **CLOSED, **NESTED, **TEMPLATES}
    rowtail = "import rowtail"
    down = "import rowtail_down"

    def configure(self, configuration):
        super().configure(configuration)
        self.write_files()
        blocks = [self.block(name, around) for name, around in self.sites.items()]
        text = self.file.read_text() + APPLICATION + "".join(blocks)
        for word, value in {
            "<rowtail>": self.rowtail,
            "<none>": "",
            "<nobody>": "127.0.0.1:1",
            "<app>": f"127.0.0.1:{self.port}",
            "<port>": self.port,
            "<directory>": self.directory,
            "<ann>": bcrypt("ann"),
            "<bob>": bcrypt("bob"),
        }.items():
            text = text.replace(word, str(value))
        self.file.write_text(text)

    def block(self, name, around):
        root = "" if "root *" in around else f"root * {self.www}"
        first = "" if re.search("<rowtail>|<none>", around) else "<rowtail>"
        errors = ERRORS.get(name, f"<down>\n {PLAIN_ERRORS}")
        down = "" if "<none>" in around else self.down
        return (
            f"http://{name}:{self.port} {{\n bind 127.0.0.1\n {first}\n {root}\n {around}\n"
            f"handle_errors {{\n {errors.replace('<down>', down)}\n }}\n}}\n"
        )

    def write_files(self):
        """A document root with files named like ours, and the login of deploy/access."""
        place = self.directory / "files"
        (place / "events").mkdir(parents=True)
        for name in "events.html", "events/index.html", "events/a.html", "index.php":
            (place / name).write_text("a file of the site\n")
        for name in [*NEIGHBOURS, "index.php", "other.php"]:
            (self.www / name).write_text(f"the file {name}")
        users = self.directory / "users"
        users.write_text("".join(f"{user} {bcrypt(user)}\n" for user in PASSWORDS))
        login = webserver.deployed("access/basic-caddy.conf", {"/etc/caddy/rowtail.users": users})
        (self.directory / "basic.conf").write_text(login)


def build_sites(build, **how):
    log = make_log(build.enter_context(directory()))
    build.callback(log.close)
    for channel in ["silence", *SITES, *CLOSED, *sites.SPELLED.values()]:
        log.grant("*", channel)
    log.grant("user:ann", "secret")
    return build("caddy", log=log, public=None, heartbeat=1, **{"server": ManySites, **how})


@pytest.fixture(scope="module")
def server():
    """All sites, with rowtail behind them."""
    with Builder() as build:
        yield build_sites(build).start()


@pytest.fixture
def visit(server):
    """visit(name): a client of this site."""
    with sites.visiting(server) as visitor:
        yield visitor


every_site = pytest.mark.parametrize("name", SITES)


@every_site
def test_streams(visit, name):
    sites.assert_streams(visit(name))


@every_site
def test_paths_name_channels(visit, name):
    sites.assert_paths_name_channels(visit(name))


@every_site
def test_refusals(visit, name):
    sites.assert_refusals_are_rowtails(visit(name))


def test_silence(server):
    """Nothing ends a stream with only heartbeats, one a second here."""
    sites.silence(server, SITES)


def test_below_a_prefix(visit):
    visitor = visit("nested.test")
    with visitor.follow("/app/events/app.js") as stream:
        sites.assert_row_comes_at_once(visitor.site.log, stream, "app.js", "a row")
    assert visitor.page("/events").head.status == 404


def test_headers_of_the_site_stay(visit):
    with visit("headers.test").follow("/events/silence") as stream:
        assert stream.head.get("X-Content-Type-Options") == "nosniff"


@every_site
def test_pages_for_the_administrator(visit, name):
    for page in "metrics", "status":
        answer = visit(name).page(f"/rowtail/{page}")
        assert answer.head.status == 200 and b"rowtail" in answer.body, answer.describe()
    assert b"rowtail_streams " in visit(name).page("/rowtail/metrics").body


def test_templates_do_not_run_visitor_input(visit):
    """Caddy does not run a visitor's text in rowtail's message as a template."""
    answer = visit("everywhere.test").page("/events?channel=a**%7B%7Benv%20%22HOME%22%7D%7D")
    assert b'a**\\x7b\\x7benv "HOME"}}' in answer.body, answer.describe()


# Access.


@pytest.mark.parametrize("name", CLOSED)
def test_closed_sites(visit, name):
    """What a site asks of its visitors, it asks of those of /events too."""
    targets = ["/events", "/events/", f"/events/{name}", f"//events?channel={name}"]
    logins = [{}, basic("ann", "wrong"), basic("nobody", "")]
    sites.assert_closed(visit(name), targets, logins, (302, 401, 403, 404))


@pytest.mark.parametrize("name", WITH_PASSWORDS)
def test_login_is_passed_on(visit, name):
    """rowtail gets the name of the user whom Caddy has authenticated."""
    sites.assert_login_is_handed_on(visit(name))


def test_unverified_user_name_is_ignored(visit):
    forged = {**basic("ann", "a guess"), "Remote-User": "ann", "Remote_User": "ann"}
    answer = visit("plain.test").get("/events?channel=secret", headers=forged)
    assert answer.head.status == 401


# While rowtail is down, and sites without rowtail.


def test_rowtail_is_down():
    with Builder() as build:
        site = build_sites(build)
        site.server.start()
        targets = ["/events?channel=a", "/events/a.php", "/events/a.js"]
        sites.assert_are_down([sites.Visitor(site, name) for name in SITES], targets, (502, 503, 504))
        for name in CLOSED:
            assert sites.Visitor(site, name).get("/events").head.status in (302, 401, 403, 404)
        ann = basic("ann", PASSWORDS["ann"])
        for name in WITH_PASSWORDS:
            sites.assert_asks_again(sites.Visitor(site, name), headers=ann)


class WithoutRowtail(ManySites):
    sites = SITES
    rowtail = ""
    down = ""


def test_rest_of_the_site_is_unchanged(server):
    """The site itself answers every URL that looks like the mount."""
    targets = [f"/{name}" for name in NEIGHBOURS]
    targets += ["/", "/events.", "/events~", "/events%20", "/x/events", "/event", "/events%3Fx"]
    targets += ["/rowtail/x", "/rowtail/metrics/", "/Rowtail/metrics", "/index.php", "/no.php"]
    targets += ["/EVENTS/x", "/events/../index.html", "/events%2F..", "/a/events/x"]
    with Builder() as build:
        bare = build_sites(build, server=WithoutRowtail)
        bare.server.start()
        times = rb'(?s)<time.*?</time>|datetime="[^"]*"'
        sites.assert_same_as_without(bare, server, SITES, targets, times)
