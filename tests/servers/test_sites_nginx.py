"""nginx as people use it: rowtail's file in many kinds of sites, all in one server.

Each site is a separate server { }; its name is the key here. A site includes rowtail's file at <rowtail>, or
at its end without that. What a site needs outside its server { } is in HTTP.
"""

import pathlib
import re

import pytest

import sites
import webserver
from conftest import Builder, directory, make_log
from logins import PASSWORDS, basic, htpasswd
from packages import need
from test_mount import NEIGHBOURS

MODULES = pathlib.Path("/usr/lib/nginx/modules")
# The line that the file gives for sites that rewrite before all locations.
(BREAK,) = re.findall(
    r"^#   (if .* { break; })$", (webserver.DEPLOY / "nginx/fastcgi.conf").read_text(), re.M
)
REDIRECT = "if ($scheme = http) { return 301 https://$host$request_uri; }"
PHP = """
	location ~ \\.php(/|$) {
		default_type text/html;
		return 200 "the application\\n";
	}
"""
HTTP = """
charset_map koi8-r utf-8 { C0 D18E; }
limit_conn_zone $server_name zone=streams:1m;
limit_req_zone $server_name zone=requests:1m rate=1r/m;
fastcgi_cache_path <directory>/tmp/cached keys_zone=pages:1m;
server {
	listen 127.0.0.1:<port>;
	server_name app.test;
	location / { return 200 "the application\\n"; }
	location = /allow { return 204; }
	location = /deny { return 401; }
}
"""
OLD_WORDPRESS = "if (!-e $request_filename) { rewrite ^(.*)$ /index.php?q=$1 last; }"
SITES = {
    "plain.test": "",
    # Front controllers, and locations that would take /events.
    "front.test": "<rowtail> location / { try_files $uri $uri/ /index.php?$args; }" + PHP,
    "front-first.test": "location / { try_files $uri $uri/ /index.php?$args; }" + PHP,
    "fallback.test": "location / { try_files $uri @app; } location @app { return 200 app; }",
    "regex.test": "location ~ /events { return 200 app; }" + PHP,
    "any-case.test": "location ~* ^/EVENTS { return 200 app; }",
    "prefix.test": "location ^~ / { return 200 app; }",
    "prefixes.test": "location /events { return 200 app; } location ^~ /event { return 200 app; }",
    "endings.test": "location ~* \\.(js|css|php|html)$ { expires max; log_not_found off; }",
    "dots.test": "location ~ /\\. { deny all; } location ~* /(a|app)\\.(js|html)$ { deny all; }",
    "application.test": "location / {"
    "proxy_pass http://127.0.0.1:<port>; proxy_set_header Host app.test; }",
    "nothing.test": "error_page 404 /index.php; location / { return 404; }" + PHP,
    "rewriting.test": f"<rowtail> {BREAK} rewrite ^ /index.php last;" + PHP,
    "wordpress.test": f"<rowtail> {BREAK} {OLD_WORDPRESS}" + PHP,
    "directory.test": "root <directory>/files; autoindex on; index index.html; "
    "server_name_in_redirect on;",
    "slashes.test": "merge_slashes off;",
    # Settings for all answers of a site.
    "errors.test": "error_page 400 401 403 404 405 413 415 /oops.html;"
    "error_page 500 502 503 504 /50x.html; fastcgi_intercept_errors on; recursive_error_pages on;"
    "location = /oops.html { return 200 oops; } location = /50x.html { return 200 oops; }",
    "gzip.test": "gzip on; gzip_min_length 0; gzip_types *; gzip_proxied any; gzip_vary on;",
    "charset.test": "charset koi8-r; source_charset utf-8; charset_types *; override_charset on;",
    "headers.test": "add_header X-Content-Type-Options nosniff always; add_header X-A b;"
    "add_header Cache-Control public;",
    "expires.test": "expires max; etag on; if_modified_since before;",
    "output.test": "postpone_output 64000; output_buffers 2 64k; chunked_transfer_encoding off;",
    "ssi.test": "ssi on; ssi_types *; ssi_last_modified on;",
    "rates.test": "limit_rate 100k; limit_rate_after 1; send_timeout 2s; lingering_close always;",
    # Settings of a site for its PHP.
    "buffers.test": "fastcgi_buffering on; fastcgi_buffers 64 64k; fastcgi_buffer_size 64k;"
    "fastcgi_ignore_headers X-Accel-Buffering; fastcgi_force_ranges on;",
    "cache.test": "fastcgi_cache pages; fastcgi_cache_key $host; fastcgi_cache_valid any 1h;"
    "fastcgi_cache_lock on; fastcgi_cache_lock_timeout 10s;"
    "fastcgi_cache_use_stale error timeout http_503; fastcgi_cache_methods GET HEAD POST;"
    "fastcgi_ignore_headers Cache-Control Expires Set-Cookie X-Accel-Buffering X-Accel-Expires;",
    "impatient.test": "fastcgi_read_timeout 500ms; fastcgi_send_timeout 500ms;",
    "keep.test": "fastcgi_keep_conn on; fastcgi_socket_keepalive on;",
    "abort.test": "fastcgi_ignore_client_abort on;",
    "params.test": "fastcgi_param REMOTE_USER ann; fastcgi_param ROWTAIL_PAGE metrics;"
    "fastcgi_index index.php; include fastcgi_params;",
    "body.test": "client_max_body_size 1k; client_body_buffer_size 1k; client_body_in_file_only on;",
    "unbuffered.test": "fastcgi_request_buffering off; client_body_buffer_size 1k;",
    # Modules that Debian has, if installed.
    "modsecurity.test": "modsecurity on; modsecurity_rules_file <directory>/modsecurity.conf;",
    "brotli.test": "brotli on; brotli_types *; brotli_min_length 0;",
    "replacing.test": "sub_filter nowhere x; sub_filter_types *; sub_filter_once off;"
    "subs_filter_types text/event-stream text/plain; subs_filter nowhere x g;",
}
NEEDS = {  # the module, and Debian's package of it
    "modsecurity.test": ("ngx_http_modsecurity_module", "libnginx-mod-http-modsecurity"),
    "brotli.test": ("ngx_http_brotli_filter_module", "libnginx-mod-http-brotli-filter"),
    "replacing.test": ("ngx_http_subs_filter_module", "libnginx-mod-http-subs-filter"),
}
MODSECURITY = """
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/event-stream
SecResponseBodyLimit 1000
SecResponseBodyLimitAction ProcessPartial
"""
USERS = "auth_basic site; auth_basic_user_file <directory>/users;"
LOGIN = "auth_basic_user_file <directory>/users; auth_basic site; set $rowtail_user $remote_user;"
ASK = "proxy_pass http://127.0.0.1:<port>{path}; proxy_set_header Host app.test; internal;"
# Sites that are closed to everybody or to some.
CLOSED = {
    "login.test": USERS,
    "login-front.test": f"{USERS} location / {{ try_files $uri /index.php; }}" + PHP,
    "login-named.test": f"<rowtail> {LOGIN}",
    "login-rewriting.test": f"<rowtail> {LOGIN} {BREAK} rewrite ^ /index.php last;" + PHP,
    "any.test": f"satisfy any; deny all; {USERS}",
    "request.test": f"auth_request /ask; location = /ask {{ {ASK.format(path='/deny')} }}",
    "denied.test": "deny all;",
    "https.test": f"<rowtail> {REDIRECT}",
    "https-rewriting.test": f"<rowtail> {REDIRECT} {BREAK} rewrite ^ /index.php last;" + PHP,
    "other.test": "<none> location / { return 404; }",
}
# Sites that are open with limits.
COUNTED = {
    "allowed.test": f"auth_request /ask; location = /ask {{ {ASK.format(path='/allow')} }}",
    "office.test": f"satisfy any; allow 127.0.0.1; deny all; {USERS}",
    "few.test": "limit_conn streams 1; limit_conn_status 429;",
    "slow.test": "limit_req zone=requests; limit_req_status 429;",
}


def module(name):
    """The file of the module that this site needs, or None."""
    return MODULES / f"{NEEDS[name][0]}.so" if name in NEEDS else None


def is_here(name):
    return name not in NEEDS or module(name).exists()


class ManySites(webserver.Nginx):
    """Debian's nginx with each of SITES for its host name."""

    sites = {**SITES, **CLOSED, **COUNTED}
    rowtail = "include snippets/rowtail.conf;"

    def configure(self, configuration):
        super().configure(configuration)
        main = self.root / "nginx.conf"
        loaded = "".join(f"load_module {module(name)};\n" for name in NEEDS if is_here(name))
        main.write_text(loaded + main.read_text())
        (self.directory / "users").write_text(
            "".join(htpasswd(*pair) for pair in PASSWORDS.items())
        )
        (self.directory / "modsecurity.conf").write_text(MODSECURITY)
        self.write_files()

    def write_files(self):
        """A document root with files named like ours."""
        place = self.directory / "files"
        (place / "events").mkdir(parents=True)
        for name in "events.html", "events/index.html", "events/a.html":
            (place / name).write_text("a file of the site\n")
        for name in NEIGHBOURS:
            (self.www / name).write_text(f"the file {name}")

    def site(self):
        text = super().site()
        end = text.rindex("\n}\n") + 3  # for the base class's own server { }
        here = [self.server(*site) for site in self.sites.items() if is_here(site[0])]
        text = text[:end] + HTTP + "".join(here) + text[end:]
        for word, value in {
            "<rowtail>": f"\n{self.rowtail}\n",
            "<none>": "",
            "<port>": self.port,
            "<directory>": self.directory,
        }.items():
            text = text.replace(word, str(value))
        return text

    def server(self, name, around):
        root = "" if "root <" in around else f"root {self.www};"
        end = "" if re.search("<rowtail>|<none>", around) else "<rowtail>"
        return f"server {{\nlisten 127.0.0.1:{self.port};\nserver_name {name};\n{root}\n{around}\n{end}}}\n"


def build_sites(build, deployment, **how):
    log = make_log(build.enter_context(directory()))
    build.callback(log.close)
    for channel in ["silence", *SITES, *COUNTED, *CLOSED, *sites.SPELLED.values()]:
        log.grant("*", channel)
    log.grant("user:ann", "secret")
    return build(deployment, log=log, public=None, heartbeat=1, **{"server": ManySites, **how})


@pytest.fixture(scope="module", params=["nginx", "nginx-fcgiwrap"])
def server(request):
    """All sites, with rowtail behind them."""
    with Builder() as build:
        yield build_sites(build, request.param).start()


@pytest.fixture
def visit(server):
    """visit(name): a client of this site."""

    def available(name):
        if name in NEEDS:
            need(module(name), NEEDS[name][1])

    with sites.visiting(server, available) as visitor:
        yield visitor


every_site = pytest.mark.parametrize("name", SITES)
as_a_service = pytest.mark.parametrize("server", ["nginx"], indirect=True)


@every_site
def test_streams(visit, name):
    sites.assert_streams(visit(name))


@as_a_service
@every_site
def test_paths_name_channels(visit, name):
    sites.assert_paths_name_channels(visit(name))


@as_a_service
@every_site
def test_refusals(visit, name):
    sites.assert_refusals_are_rowtails(visit(name))


def test_fcgiwrap_passes_the_same(visit):
    for name in "plain.test", "errors.test":
        sites.assert_paths_name_channels(visit(name))
        sites.assert_refusals_are_rowtails(visit(name))


def test_silence(server):
    """No time-out of a site ends a stream with only heartbeats, one a second here."""
    sites.silence(server, [name for name in SITES if name not in NEEDS])


@as_a_service
def test_brotli_delays_nothing(visit):
    """The bytes of each row arrive at once; only a browser could decode them."""
    visitor = visit("brotli.test")
    answer = visitor.get("/events/brotli.test", headers={"Accept-Encoding": "br"})
    assert answer.head.get("Content-Encoding") == "br"
    answer.on_body = answer.body.__iadd__
    for number in range(3):
        before = len(answer.drain().body)
        visitor.site.log.insert(f"row {number}", channel="brotli.test")
        answer.wait(lambda: len(answer.body) > before, "bytes of a row", sites.SOON_S)


def test_disconnect_is_noticed(visit):
    visitor = visit("abort.test")
    for _ in range(3):
        visitor.follow("/events/silence")
    sites.assert_leaving_is_noticed(visitor)


def test_headers_of_the_site_stay(visit):
    with visit("headers.test").follow("/events/silence") as stream:
        assert stream.head.get("X-Content-Type-Options") == "nosniff"


@as_a_service
@pytest.mark.parametrize("name", [name for name in SITES if name not in NEEDS])
def test_pages_for_the_administrator(visit, name):
    """They show the current state, whatever the site caches and whatever its error pages are."""
    visitor = visit(name)
    visitor.site.wait_streams(0)
    for streams in 1, 2:
        visitor.follow("/events/silence")
        shown = visitor.page("/rowtail/metrics").body.decode()
        assert f"\nrowtail_streams {streams}\n" in shown


# Access.


@pytest.mark.parametrize("name", CLOSED)
def test_closed_sites(visit, name):
    """What a site asks of its visitors, it asks of those of /events too."""
    targets = ["/events", "/events/", f"/events/{name}", f"/events?channel={name}"]
    logins = [{}, basic("ann", "wrong"), basic("nobody", "")]
    sites.assert_closed(visit(name), targets, logins, (301, 401, 403, 404))


@pytest.mark.parametrize("name", ["login.test", "login-front.test", "any.test"])
def test_login_of_the_site_is_not_passed_on(visit, name):
    """A logged-in user reads what everyone may; rowtail gets the name only if the site passes it on."""
    visitor, ann = visit(name), basic("ann", PASSWORDS["ann"])
    visitor.follow(f"/events?channel={name}", headers=ann)
    assert visitor.get("/events?channel=secret", headers=ann).head.status == 401


@pytest.mark.parametrize("name", ["login-named.test", "login-rewriting.test"])
def test_login_is_passed_on(visit, name):
    sites.assert_login_is_handed_on(visit(name))


def test_answers_are_not_cached(visit):
    """A site that caches all of its PHP under one key never serves another client's stream or refusal."""
    visitor = visit("cache.test")
    assert visitor.get("/events?channel=secret").head.status == 401
    sites.assert_row_comes_at_once(
        visitor.site.log, visitor.follow("/events/app.js"), "app.js", "one"
    )
    assert visitor.get("/events?channel=secret").head.status == 401
    with visitor.follow("/events/silence") as other:
        assert not other.rows


# Rate limits.


@pytest.mark.parametrize("name", ["allowed.test", "office.test"])
def test_access_rules_of_the_site(visit, name):
    sites.assert_streams(visit(name))


def test_unverified_user_name_is_ignored(visit):
    """If the address is enough to get in, rowtail ignores a name with any password."""
    forged = basic("ann", "a guess")
    assert visit("office.test").get("/events?channel=secret", headers=forged).head.status == 401


@pytest.mark.parametrize("name", ["few.test", "slow.test"])
def test_rate_limited_client_is_told_to_reconnect(visit, name):
    """429 would end an EventSource for good."""
    visitor = visit(name)
    visitor.follow(f"/events?channel={name}")
    sites.assert_asks_again(visitor)
    assert visitor.page("/events").head.status in (429, 503)
    assert visitor.page("/index.html").head.status == 429, "the site's own status, elsewhere"


# While rowtail is down, and sites without rowtail.


@pytest.mark.deployments("nginx", "nginx-fcgiwrap")
def test_rowtail_is_down(deployment):
    with Builder() as build:
        site = build_sites(build, deployment)
        site.server.start()
        names = [name for name in [*SITES, "allowed.test", "office.test"] if name not in NEEDS]
        targets = ["/events?channel=a", "/events/a.php", "/events/a.js"]
        sites.assert_are_down([sites.Visitor(site, name) for name in names], targets, (502, 503, 504))
        for name in "login.test", "denied.test", "https.test":
            assert sites.Visitor(site, name).get("/events").head.status in (301, 401, 403)


@pytest.mark.deployments("nginx", "nginx-fcgiwrap")
def test_unreadable_log(deployment):
    """rowtail's own 503 keeps its message, and says when to reconnect."""
    with Builder() as build:
        site = build_sites(build, deployment).start()
        pathlib.Path(site.log.path).rename(f"{site.log.path}.away")
        for name in "plain.test", "errors.test":
            answer = sites.Visitor(site, name).page("/events?channel=a")
            assert answer.head.status == 503 and answer.head.get("Retry-After"), answer.describe()
            assert "event log" in answer.sentence()


def test_more_streams_than_fcgiwrap_has_workers():
    """A client that gets no worker within a minute (here two seconds) is told to reconnect."""
    with Builder() as build:
        short = {"fastcgi_read_timeout 60s": "fastcgi_read_timeout 2s", "=-fc50": "=-fc1"}
        site = build("nginx-fcgiwrap", heartbeat=1, edits=short).start()
        visitor = sites.Visitor(site, "localhost")
        first = visitor.follow("/events?channel=a")
        sites.assert_asks_again(visitor)
        sites.assert_row_comes_at_once(site.log, first, "a", "still there")
        visitor.close()
        visitor.follow("/events?channel=a")


class WithoutRowtail(ManySites):
    rowtail = ""


@as_a_service
def test_rest_of_the_site_is_unchanged(server):
    """The site itself answers every URL that looks like the mount."""
    names = [name for name in SITES if name not in NEEDS and BREAK not in SITES[name]]
    targets = [f"/{name}" for name in NEIGHBOURS]
    targets += ["/", "/events.", "/events~", "/events%20", "/x/events", "/event", "/events%3Fx"]
    targets += ["/rowtail/x", "/rowtail/metrics/", "/rowtail/", "/index.php", "/a.php/events"]
    with Builder() as build:
        bare = build_sites(build, "nginx", server=WithoutRowtail)
        bare.server.start()
        times = rb"\d\d-\w+-\d+ \d\d:\d\d"
        sites.assert_same_as_without(bare, server, names, targets, times)
