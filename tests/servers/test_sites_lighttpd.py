"""lighttpd as people use it: rowtail's file beside many kinds of sites, all in one server.

Each site is a $HTTP["host"] block in a file that lighttpd reads before rowtail's; its name is the key here.
"""

import pathlib
import re

import pytest

import httpc
import sites
import webserver
from conftest import Builder, directory, make_log
from logins import PASSWORDS, basic, htpasswd, with_login

MODULES = pathlib.Path("/usr/lib/lighttpd")
WAYS = ["lighttpd", "lighttpd-cgi"]
APPLICATION = "the application\n"
# The application is a CGI program of one line; its address is that of app.test.
AROUND = """
server.modules += (
	"mod_rewrite", "mod_setenv", "mod_expire", "mod_cgi", "mod_auth", "mod_authn_file", "mod_proxy", "mod_scgi",
	"mod_fastcgi", "mod_evhost", "mod_simple_vhost", "mod_userdir", "mod_ssi", "mod_status", "mod_accesslog"<more>
)
# It answers a wrong password after a second, which takes long if many are tried.
server.feature-flags += ( "auth.delay-invalid-creds" => "disable" )
"""
TO_APP = 'proxy.server = ( "" => (( "host" => "127.0.0.1", "port" => <port> )) )\n' \
    'proxy.header = ( "map-host-request" => ( "-" => "app.test" ), "map-urlpath" => ( "/" => "/app/" ) )'
PHP = 'cgi.assign = ( ".php" => "/bin/sh" )\n'
GONE = '(( "host" => "127.0.0.1", "port" => 9, "check-local" => "disable" ))'
SITES = {
    "plain.test": "",
    "app.test": PHP + 'url.rewrite-once = ( "" => "/index.php" )',
    # Front controllers, and other rules that would take /events.
    "once.test": PHP + 'url.rewrite-once = ( "^/(.*)$" => "/index.php/$1" )',
    "repeat.test": PHP + 'url.rewrite-repeat = ( "^/[^i].*$" => "/index.php" )',
    "rewrite.test": PHP + 'url.rewrite = ( "^/(.*)$" => "/index.php?q=$1" )',
    "no-file.test": PHP + r'url.rewrite-if-not-file = ( "^/[^\?]*(\?.*)?$" => "/index.php/$1" )',
    "no-file-repeat.test": PHP + 'url.rewrite-repeat-if-not-file = ( "^/[^i].*$" => "/index.php" )',
    "error-404.test": PHP + 'server.error-handler-404 = "/index.php"',
    "php.test": f'fastcgi.server = ( ".php" => {GONE}, ".html" => {GONE} )\n'
    'fastcgi.map-extensions = ( ".js" => ".php", "events" => ".php" )',
    "fastcgi.test": f'fastcgi.server = ( "/" => {GONE} )',
    "fastcgi-all.test": f'fastcgi.server = ( "" => {GONE} )',
    "scgi.test": f'scgi.server = ( "/" => {GONE} )',
    "proxy.test": TO_APP,
    "proxy-paths.test": TO_APP.replace('""', '"/"'),
    "scripts.test": 'cgi.assign = ( "" => "/bin/sh" )\ncgi.execute-x-only = "enable"',
    "directory.test": 'server.document-root = "<directory>/files"\n'
    'dir-listing.activate = "enable"\nindex-file.names = ( "index.html" )',
    "evhost.test": 'evhost.path-pattern = "<directory>/%0/"',
    "simple-vhost.test": 'simple-vhost.server-root = "<directory>"\n'
    'simple-vhost.default-host = "files"\nsimple-vhost.document-root = "/"',
    "alias.test": 'alias.url = ( "/events" => "<directory>/files", "/e" => "<directory>/files/" )',
    "userdir.test": 'userdir.path = "public_html"\nuserdir.basepath = "<directory>"',
    # Settings for all answers of a site.
    "errors.test": 'server.errorfile-prefix = "<directory>/files/"\nserver.error-intercept = "enable"',
    "deflate.test": 'deflate.mimetypes = ( "" )\ndeflate.allowed-encodings = ( "gzip" )',
    "headers.test": 'setenv.add-response-header = ( "X-Content-Type-Options" => "nosniff",\n'
    '"Cache-Control" => "public, max-age=3600" )',
    "set-headers.test": 'setenv.set-response-header = ( "Cache-Control" => "public", "Expires" => "0",\n'
    '"Content-Type" => "text/plain" )\nsetenv.set-environment = ( "REMOTE_USER" => "ann",\n'
    '"ROWTAIL_PAGE" => "metrics" )',
    "expires.test": 'expire.url = ( "" => "access plus 1 days" )\n'
    'expire.mimetypes = ( "" => "access plus 1 days" )\netag.use-inode = "disable"',
    "ssi.test": 'ssi.extension = ( "" )\nssi.content-type = "text/html"',
    "buffering.test": "server.stream-response-body = 0\nserver.stream-request-body = 2",
    "buffering-1.test": "server.stream-response-body = 1\nserver.stream-request-body = 1",
    "impatient.test": "server.max-read-idle = 1\nserver.max-write-idle = 1\n"
    "server.max-keep-alive-idle = 1\nserver.max-keep-alive-requests = 1",
    "body.test": "server.max-request-size = 1",
    "lower-case.test": 'server.force-lowercase-filenames = "enable"\nserver.follow-symlink = "disable"',
    "rates.test": "connection.kbytes-per-second = 100",
    "webdav.test": 'webdav.activate = "enable"\nwebdav.is-readonly = "disable"',
    "magnet.test": PHP + 'magnet.attract-physical-path-to = ( "<directory>/front.lua" )',
    "magnet-raw.test": PHP + 'magnet.attract-raw-url-to = ( "<directory>/front-raw.lua" )',
}
NEEDS = {"webdav.test": "mod_webdav", "magnet.test": "mod_magnet", "magnet-raw.test": "mod_magnet"}
# Lines that rowtail's file leaves to sites that use a module everywhere.
SWITCHED_OFF = [
    "scgi.server = ()",
    'webdav.activate = "disable"',
    "magnet.attract-raw-url-to = ()",
    "magnet.attract-physical-path-to = ()",
]
FRONT_LUA = """
if (not lighty.stat(lighty.env["physical.path"])) then
	lighty.env["uri.path"] = "/index.php"
	lighty.env["physical.rel-path"] = lighty.env["uri.path"]
	lighty.env["physical.path"] = lighty.env["physical.doc-root"] .. lighty.env["physical.rel-path"]
end
"""
FRONT_RAW_LUA = """
if (lighty.env["request.uri"] ~= "/index.php") then
	lighty.env["request.uri"] = "/index.php"
	return lighty.RESTART_REQUEST
end
"""
LOGIN = """
auth.backend = "htpasswd"
auth.backend.htpasswd.userfile = "<directory>/users"
auth.require = ( "" => ( "method" => "basic", "realm" => "site", "require" => "valid-user" ) )
"""
# Sites that are closed to everybody or to some.
CLOSED = {
    "login.test": LOGIN,
    "login-slash.test": LOGIN.replace('""', '"/"'),
    "login-front.test": LOGIN + SITES["once.test"],
    "denied.test": 'url.access-deny = ( "" )',
    "banned.test": '$HTTP["remoteip"] == "127.0.0.0/8" { url.access-deny = ( "" ) }',
    "https.test": '$HTTP["scheme"] == "http" { url.redirect = ( "" => "https://${url.authority}${url.path}${qsa}" ) }',
    "https-front.test": '$HTTP["scheme"] == "http" { url.redirect = ( "^/(.*)" => "https://%0/$1" ) }\n'
    + SITES["once.test"],
}


def block(name, around):
    return f'$HTTP["host"] == "{name}" {{\n{around}\n}}\n'


class ManySites(webserver.Lighttpd):
    """Debian's lighttpd with each of SITES for its host name."""

    def configure(self, configuration):
        more = {module for module in NEEDS.values() if (MODULES / f"{module}.so").exists()}
        here = {n: s for n, s in {**SITES, **CLOSED}.items() if NEEDS.get(n) in {None, *more}}
        text = AROUND + "".join(block(*one) for one in here.items())
        for word, value in {
            "<more>": "".join(f', "{module}"' for module in sorted(more)),
            "<port>": self.port,
            "<directory>": self.directory,
        }.items():
            text = text.replace(word, str(value))
        self.around = text
        super().configure(configuration)
        self.write_files()

    def write_files(self):
        """A document root with files named like ours, and an application."""
        files = self.directory / "files"
        (files / "events").mkdir(parents=True)
        for name in "events.html", "events/index.html", "events/a.html", "403.html", "401.html":
            (files / name).write_text("a file of the site\n")
        (self.www / "index.php").write_text(
            f"printf 'Content-Type: text/html\\n\\n%s' '{APPLICATION}'\n"
        )
        (self.directory / "users").write_text("".join(htpasswd(*pair) for pair in PASSWORDS.items()))
        (self.directory / "front.lua").write_text(FRONT_LUA)
        (self.directory / "front-raw.lua").write_text(FRONT_RAW_LUA)


def build_sites(build, deployment, **how):
    log = make_log(build.enter_context(directory()))
    build.callback(log.close)
    for channel in ["silence", *SITES, *CLOSED, *sites.SPELLED.values()]:
        log.grant("*", channel)
    log.grant("user:ann", "secret")
    how = {"server": ManySites, "edits": {f"#{line}": line for line in SWITCHED_OFF}, **how}
    return build(deployment, log=log, public=None, heartbeat=1, **how)


@pytest.fixture(scope="module", params=WAYS)
def server(request):
    """All sites, with rowtail behind them."""
    with Builder() as build:
        yield build_sites(build, request.param).start()


@pytest.fixture
def visit(server):
    """visit(name): a client of this site."""

    def available(name):
        if name in NEEDS and not (MODULES / f"{NEEDS[name]}.so").exists():
            pytest.skip(f"{NEEDS[name]} is not installed")

    with sites.visiting(server, available) as visitor:
        yield visitor


every_site = pytest.mark.parametrize("name", SITES)


@pytest.mark.parametrize(
    "name",
    ["once.test", "repeat.test", "rewrite.test", "no-file.test", "no-file-repeat.test", "error-404.test"]
    + ["proxy.test", "proxy-paths.test", "magnet.test", "magnet-raw.test"],
)
def test_application_gets_all_other_urls(visit, name):
    for target in "/no/such/page", "/eventsX", "/rowtail/":
        assert visit(name).page(target).body == APPLICATION.encode()


@every_site
def test_streams(visit, name):
    sites.assert_streams(visit(name))


@every_site
def test_paths_name_channels(visit, name):
    sites.assert_paths_name_channels(visit(name))


@every_site
def test_refusals(visit, name):
    sites.assert_refusals_are_rowtails(visit(name), sites.REFUSALS)


def test_silence(server):
    """No time-out of a site ends a stream with only heartbeats, one a second here."""
    sites.silence(server, [name for name in SITES if name not in NEEDS])


@pytest.mark.deployments(*WAYS)
def test_short_timeout_of_the_site(build, deployment):
    """Works although the heartbeat is longer than the site's limit of a second."""
    around, edits = "server.max-write-idle = 1\nserver.max-read-idle = 1\n", {}
    if deployment == "lighttpd-cgi":
        around += 'server.modules += ( "mod_cgi" )\ncgi.limits = ( "read-timeout" => 1 )'
        edits = {"#cgi.limits": "cgi.limits"}
    server = type("Server", (webserver.Lighttpd,), {"around": around})
    site = build(deployment, server=server, edits=edits, heartbeat=10).start()
    visitor = sites.Visitor(site, "localhost")
    with visitor.follow("/events?channel=a") as stream:
        stream.rest(3)
        sites.assert_row_comes_at_once(site.log, stream, "a", "after a silence")


@pytest.mark.parametrize("name", ["plain.test", "buffering.test", "buffering-1.test", "impatient.test"])
def test_body_of_unknown_length(visit, name):
    """A site that streams uploads to its programs would refuse this one with 411."""
    body = f"channel={name}&positions=1".encode()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    headers = {"Host": name, "Content-Type": sites.FORM, "Transfer-Encoding": "chunked"}
    address = visit(name).site.server.address
    with httpc.open_request(address, "/events", method="POST", headers=headers) as request:
        sites.as_stream(request.send(chunks).wait_head())


def test_body_too_large(visit):
    """rowtail itself says so, even to an EventSource, which must not retry with the same body."""
    for name in "plain.test", "body.test", "errors.test":
        headers = {"Content-Type": sites.FORM}
        answer = visit(name).get("/events", method="POST", headers=headers, body=b"x=" + b"y" * 100_000)
        assert answer.head.status == 413, answer.describe()
        answer.wait(lambda: answer.complete or answer.eof, "end of the answer")
        assert b"65536 bytes" in answer.body


def test_headers_of_the_site_stay(visit):
    with visit("headers.test").follow("/events/silence") as stream:
        assert stream.head.get("X-Content-Type-Options") == "nosniff"


def test_pages_for_the_administrator(server, visit):
    """They are open to this machine, but not to clients of a proxy on it."""
    if server.deployment.runs == "each":
        assert visit("plain.test").page("/rowtail/metrics").head.status == 404
        return
    for name in [name for name in SITES if name not in NEEDS]:
        shown = visit(name).page("/rowtail/metrics?channel=silence").body.decode()
        assert "\nrowtail_streams " in shown
        assert visit(name).page("/rowtail/status").head.status == 200
        for target in "/rowtail/metrics", "/rowtail/status":
            answer = visit(name).page(target, headers={"X-Forwarded-For": "192.0.2.1"})
            # A site whose application answers 404 answers 403 here.
            assert answer.head.status == 403 or answer.body == APPLICATION.encode()


# Access.


@pytest.mark.parametrize("name", CLOSED)
def test_closed_sites(visit, name):
    """What a site asks of its visitors, it asks of those of /events too."""
    targets = ["/events", "/events/", f"/events/{name}", f"/events?channel={name}"]
    logins = [{}, basic("ann", "wrong")]
    accepts = ["text/event-stream", "*/*"]
    sites.assert_closed(visit(name), targets, logins, (301, 401, 403), accepts)


@pytest.mark.parametrize("name", ["login.test", "login-slash.test", "login-front.test"])
def test_login_of_the_site(visit, name):
    """The logged-in user is rowtail's user."""
    sites.assert_login_is_handed_on(visit(name))


@pytest.mark.deployments("lighttpd")
def test_password_only_over_tls(build, deployment):
    """With the line that the login's file gives, plain HTTP requests are not asked for a password."""
    with directory() as place:
        line = '$HTTP["scheme"] == "http"'
        server = with_login(deployment, place, {f"#{line}": line})
        visitor = sites.Visitor(build(deployment, server=server).start(), "app.test")
        answer = visitor.get("/events?channel=a")
        assert answer.head.status == 301
        assert answer.head.get("Location") == "https://app.test/events?channel=a"


# While rowtail is down.


@pytest.mark.deployments(*WAYS)
def test_rowtail_is_down(deployment):
    with Builder() as build:
        site = build_sites(build, deployment)
        site.binary.unlink()
        site.server.start()
        ann = basic("ann", PASSWORDS["ann"])
        for name in [*SITES, "login.test", "login-front.test"]:
            if name in NEEDS:
                continue
            visitor = sites.Visitor(site, name)
            for target in "/events?channel=a", "/events/a.php", "/events/a.js":
                sites.assert_asks_again(visitor, target, headers=ann)
            assert visitor.page("/events", headers=ann).head.status in (500, 503)
            visitor.close()
        for name in CLOSED:
            assert sites.Visitor(site, name).get("/events").head.status in (301, 401, 403)


@pytest.mark.deployments(*WAYS)
def test_unreadable_log(deployment):
    """rowtail's own 503 keeps its message, and says when to reconnect."""
    with Builder() as build:
        site = build_sites(build, deployment).start()
        pathlib.Path(site.log.path).rename(f"{site.log.path}.away")
        for name in "plain.test", "errors.test":
            answer = sites.Visitor(site, name).page("/events?channel=a")
            assert answer.head.status == 503 and answer.head.get("Retry-After"), answer.describe()


# The whole configuration.

# Lines of a site in a separate file, before or after rowtail's.
ELSEWHERE = {
    "server": "server.max-fds = 1000\nserver.max-connections = 500\nserver.max-keep-alive-idle = 0\n"
    "server.kbytes-per-second = 1000\nserver.max-worker = 2\n"
    'server.systemd-socket-activation = "disable"',
    "lists": 'server.modules += ( "mod_alias", "mod_fastcgi", "mod_cgi", "mod_setenv", "mod_rewrite" )\n'
    f'alias.url += ( "/x" => "/tmp" )\nfastcgi.server += ( ".php" => {GONE} )\n'
    'cgi.assign += ( ".sh" => "/bin/sh" )\nsetenv.add-response-header += ( "X-A" => "b" )',
    "values": 'server.modules += ( "mod_fastcgi", "mod_cgi", "mod_setenv", "mod_rewrite", "mod_proxy" )\n'
    f'fastcgi.server = ( ".php" => {GONE} )\ncgi.assign = ( ".sh" => "/bin/sh" )\n'
    f'proxy.server = ( ".jsp" => {GONE} )\nsetenv.set-environment = ( "A" => "b" )\n'
    'url.rewrite-once = ( "^/(.*)$" => "/index.php/$1" )\nserver.error-handler-404 = "/index.php"',
    "flags": 'server.feature-flags += ( "server.graceful-restart-bg" => "disable" )',
}
HOSTS = """
$HTTP["host"] =~ "." {
	url.rewrite-if-not-file = ( "" => "/index.php" )
	alias.url = ( "/x" => "/tmp" )
	fastcgi.server = ( ".php" => (( "host" => "127.0.0.1", "port" => 9 )) )
	server.error-handler = "/index.php"
}
"""


class Elsewhere(webserver.Lighttpd):
    """With one more file of the site."""

    def configure(self, configuration):
        super().configure(configuration)
        (self.root / "conf-enabled" / self.name).write_text(self.more)


@pytest.mark.deployments(*WAYS)
@pytest.mark.parametrize("name", ["30-site.conf", "99-site.conf"])
@pytest.mark.parametrize("what", ELSEWHERE)
def test_other_files_of_the_site(build, deployment, what, name):
    """Wherever a setting is, it neither keeps lighttpd from starting nor takes the stream."""
    server = type("Server", (Elsewhere,), {"name": name, "more": ELSEWHERE[what]})
    site = build(deployment, server=server).start()
    sites.assert_streams(sites.Visitor(site, "localhost"))


# Those of Debian's own files that agree with each other, and may come before rowtail's.
DEBIANS = """
	05-auth 05-setenv 10-cgi 10-dir-listing 10-evhost 10-expire 10-fastcgi 10-proxy 10-rewrite 10-simple-vhost
	10-ssi 10-status 10-userdir 11-extforward 15-fastcgi-php-fpm
""".split()


class AllOfDebian(webserver.Lighttpd):
    """With Debian's own configurations enabled."""

    def configure(self, configuration):
        super().configure(configuration)
        for name in DEBIANS:
            text = (self.etc / f"conf-available/{name}.conf").read_text()
            text = text.replace("/usr/lib/cgi-bin", f"{self.directory}/cgi-bin")
            text = text.replace("/var/www", str(self.directory))
            (self.root / "conf-enabled" / f"{name}.conf").write_text(text)


@pytest.mark.deployments(*WAYS)
def test_debians_own_files(build, deployment):
    """They start together, and Debian's /cgi-bin/ gives no second way to the program."""
    site = build(deployment, server=AllOfDebian).start()
    visitor = sites.Visitor(site, "localhost")
    sites.assert_streams(visitor)
    file = (webserver.DEPLOY / site.deployment.file).read_text()
    assert not re.search(r"^[^#]*/usr/lib/cgi-bin|^#   .*/usr/lib/cgi-bin", file, re.M)
    for target in "/cgi-bin/events.cgi", "/cgi-bin/events.cgi/events", "/cgi-bin/":
        assert visitor.page(target).head.status in (403, 404)


class HostsAtTheEnd(webserver.Lighttpd):
    """lighttpd.conf continues after its include of conf-enabled, so rowtail's file is its last line."""

    def configure(self, configuration):
        super().configure(configuration)
        main = self.root / "lighttpd.conf"
        own = self.root / "conf-enabled" / "98-rowtail.conf"
        own.rename(self.root / "rowtail.conf")
        main.write_text(main.read_text() + HOSTS + 'include "rowtail.conf"\n')


@pytest.mark.deployments(*WAYS)
def test_virtual_hosts_behind_the_include(build, deployment):
    site = build(deployment, server=HostsAtTheEnd).start()
    sites.assert_streams(sites.Visitor(site, "localhost"))


@pytest.mark.deployments("lighttpd-cgi")
def test_program_file_is_never_served(build, deployment):
    """A virtual host without programs does not serve the CONFIG file instead."""
    more = '$HTTP["host"] =~ "." { cgi.assign = ( ".sh" => "/bin/sh" ) }'
    server = type("Server", (Elsewhere,), {"name": "99-site.conf", "more": more})
    visitor = sites.Visitor(build(deployment, server=server).start(), "localhost")
    for target in "/events", "/events/", "/events/a.html":
        answer = visitor.page(target)
        assert answer.head.status in (403, 404), answer.describe()
        assert b"db = " not in answer.body
