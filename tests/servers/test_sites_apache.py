"""Apache as people have it: rowtail's file in sites of many kinds, all in one server.

Each site is a virtual host of its own, whose name is the key here. rowtail's file is in force for every
virtual host, or stands in each where <rowtail> says, at its end where nothing says it.
"""

import re
import socket
import ssl
from typing import NamedTuple

import pytest

import sites
import stream
import webserver
from conftest import HASTE, Builder, directory, make_log
from logins import PASSWORDS, basic, htpasswd
from test_load import SizedApache
from test_mount import NEIGHBOURS


class Around(NamedTuple):
    """What a site has: lines of its <VirtualHost>, of its .htaccess, files, and modules."""

    lines: str = ""
    htaccess: str = ""
    files: tuple = ()
    modules: str = ""


# Front controllers, as the applications' own .htaccess files have them.
WORDPRESS = """
RewriteEngine On
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
RewriteBase /
RewriteRule ^index\\.php$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /index.php [L]
"""
LARAVEL = """
<IfModule mod_negotiation.c>
	Options -MultiViews -Indexes
</IfModule>
RewriteEngine On
RewriteCond %{HTTP:Authorization} .
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
RewriteCond %{REQUEST_FILENAME} !-d
RewriteCond %{REQUEST_URI} (.+)/$
RewriteRule ^ %1 [L,R=301]
RewriteCond %{REQUEST_FILENAME} !-d
RewriteCond %{REQUEST_FILENAME} !-f
RewriteRule ^ index.php [L]
"""
SYMFONY = """
DirectoryIndex index.php
RewriteEngine On
RewriteCond %{REQUEST_URI}::$0 ^(/.+)/(.*)::\\2$
RewriteRule .* - [E=BASE:%1]
RewriteCond %{ENV:REDIRECT_STATUS} =""
RewriteRule ^index\\.php(?:/(.*)|$) %{ENV:BASE}/$1 [R=301,L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteRule ^ %{ENV:BASE}/index.php [L]
"""
DRUPAL = """
Options -Indexes
DirectoryIndex index.php index.html
<FilesMatch "\\.(inc|module|sh|sql|test|profile|yml)$">
	Require all denied
</FilesMatch>
RewriteEngine On
RewriteRule "/\\.|^\\.(?!well-known/)" - [F]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteCond %{REQUEST_URI} !=/favicon.ico
RewriteRule ^ index.php [L]
ErrorDocument 404 /index.php
"""
PUBLIC = "RewriteEngine On\nRewriteRule ^(.*)$ public/$1 [L]\n"
OLD_ACCESS = "Order allow,deny\nAllow from all\nSatisfy any\n"
# The line that the file tells those to write whose virtual host rewrites by itself.
(LEAVE,) = re.findall(
    r"^#   (RewriteRule .*)$", (webserver.DEPLOY / "apache/proxy-fcgi.conf").read_text(), re.M
)
EVERYTHING = f"RewriteEngine On\n{LEAVE}\n"
HTTPS = "RewriteCond %{HTTPS} !=on\nRewriteRule ^ https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]\n"
USERS = """
AuthType Basic
AuthName site
AuthBasicProvider file
AuthUserFile <directory>/users
Require valid-user
"""
STREAMS = "text/event-stream text/plain text/html"
SITES = {
    "plain.test": Around(),
    # Front controllers.
    "wordpress.test": Around(htaccess=WORDPRESS, modules="rewrite"),
    "laravel.test": Around(htaccess=LARAVEL, modules="rewrite"),
    "symfony.test": Around(htaccess=SYMFONY, modules="rewrite"),
    "drupal.test": Around(htaccess=DRUPAL, modules="rewrite"),
    "public.test": Around(htaccess=PUBLIC, files=("public/index.php",), modules="rewrite"),
    "fallback.test": Around("<Directory <root>>\nFallbackResource /index.php\n</Directory>"),
    "fallback-here.test": Around(htaccess="FallbackResource /index.php\n"),
    "nothing.test": Around("ErrorDocument 404 /index.php"),
    "rewriting.test": Around(EVERYTHING + "RewriteRule ^ /index.php [L]", modules="rewrite"),
    "rewriting-unless-file.test": Around(
        EVERYTHING + "RewriteCond %{DOCUMENT_ROOT}%{REQUEST_URI} !-f\nRewriteRule ^ /index.php [PT]",
        modules="rewrite",
    ),
    "rewriting-to.test": Around(
        EVERYTHING + "RewriteRule ^/(.*)$ http://127.0.0.1:1/$1 [P]", modules="rewrite proxy_http"
    ),
    # Files and directories of the site that look like the mount.
    "directory.test": Around(
        "<Directory <root>>\nOptions +MultiViews +Indexes\n</Directory>",
        files=("events/orders/x", "events/index.html", "events/a/b.html", "events/index.php/x"),
    ),
    "views.test": Around(
        "<Directory <root>>\nOptions +MultiViews\nMultiviewsMatch Any\n</Directory>",
        files=("events.html", "events.php", "events.fr.html", "rowtail-down.html"),
    ),
    "file.test": Around(files=("events", "rowtail-down", "rowtail/metrics", "rowtail/status")),
    "spelling.test": Around(
        "CheckSpelling On\nCheckCaseOnly Off", files=("Event", "rowtaildown"), modules="speling"
    ),
    # What else a site may do with every URL.
    "application.test": Around('ProxyPass "/" "http://127.0.0.1:1/"', modules="proxy_http"),
    "application-location.test": Around(
        '<Location "/">\nProxyPass "http://127.0.0.1:1/"\n</Location>', modules="proxy_http"
    ),
    "matching.test": Around(
        'ProxyPassMatch "^/(.*\\.php(/.*)?|events.*)$" "fcgi://127.0.0.1:1/x/$1"',
        modules="proxy_fcgi",
    ),
    "location.test": Around(
        '<Location "/">\nSetHandler server-status\nOptions +MultiViews +Indexes\n'
        "RewriteEngine On\nRewriteRule .* /index.php\nSetOutputFilter DEFLATE\n"
        "ErrorDocument 503 /index.php\n</Location>",
        modules="rewrite status",
    ),
    "php.test": Around(
        '<Directory <root>>\nSetHandler "proxy:unix:/none|fcgi://php"\n</Directory>\n'
        '<FilesMatch "\\.php|events">\nSetHandler "proxy:unix:/none|fcgi://php"\n</FilesMatch>',
        modules="proxy_fcgi",
    ),
    "alias.test": Around('Alias "/" "<root>/files/"', files=("files/index.html",)),
    "script.test": Around('ScriptAlias "/" "<root>/cgi-bin/"', modules="cgid"),
    "pathinfo.test": Around("AcceptPathInfo Off\nDirectorySlash On"),
    "nodecode.test": Around("AllowEncodedSlashes NoDecode"),
    "slashes.test": Around("MergeSlashes Off"),
    "by-name.test": Around('VirtualDocumentRoot "<root>/%0"', modules="vhost_alias"),
    "old.test": Around(
        f"<Directory <root>>\n{OLD_ACCESS}</Directory>\nKeepAlive Off\n"
        "SetEnv force-response-1.0 1\nSetEnv downgrade-1.0 1",
    ),
    # What a site does to every answer.
    "deflate.test": Around(
        f"SetOutputFilter DEFLATE\nAddOutputFilterByType DEFLATE {STREAMS}\nDeflateBufferSize 65536"
    ),
    "deflate-location.test": Around(
        f'<Location "/">\nSetOutputFilter DEFLATE\nAddOutputFilterByType DEFLATE {STREAMS}\n</Location>'
    ),
    "brotli.test": Around(
        f"SetOutputFilter BROTLI_COMPRESS\nAddOutputFilterByType BROTLI_COMPRESS {STREAMS}",
        modules="brotli",
    ),
    "substitute.test": Around(
        f"AddOutputFilterByType SUBSTITUTE {STREAMS}\nSubstitute s/position/pos/n\nSubstitute s/row/x/",
        modules="substitute",
    ),
    "program.test": Around(
        'ExtFilterDefine upper mode=output cmd="/usr/bin/tr a-z A-Z"\nSetOutputFilter upper',
        modules="ext_filter",
    ),
    "includes.test": Around(
        f"SetOutputFilter INCLUDES\nAddOutputFilterByType INCLUDES {STREAMS}", modules="include"
    ),
    "rates.test": Around(
        '<Location "/">\nSetOutputFilter RATE_LIMIT\nSetEnv rate-limit 1\n</Location>',
        modules="ratelimit",
    ),
    "buffer.test": Around("SetOutputFilter BUFFER\nSetInputFilter BUFFER", modules="buffer request"),
    "charset.test": Around(
        "AddDefaultCharset iso-8859-1\nAddCharset utf-16 .html .js\nForceType text/html\n"
        '<Location "/">\nForceType text/html\n</Location>'
    ),
    "headers.test": Around(
        "Header always set X-Content-Type-Options nosniff\n"
        "Header always set Content-Security-Policy \"default-src 'self'\"\n"
        'Header always set Strict-Transport-Security "max-age=63072000"\n'
        'Header set Cache-Control "public, max-age=3600"\nHeader append Vary User-Agent\n'
        'Header always set Cache-Control "public"\nHeader set Expires "Thu, 01 Dec 2050 16:00:00 GMT"\n'
        "Header unset ETag\nFileETag None",
        modules="headers",
    ),
    "headers-unset.test": Around(
        '<Location "/">\nHeader unset Cache-Control\nHeader unset Vary\nHeader unset X-Accel-Buffering\n'
        "</Location>",
        modules="headers",
    ),
    "expires.test": Around(
        'ExpiresActive On\nExpiresDefault "access plus 1 year"\n'
        'ExpiresByType text/event-stream "access plus 1 month"',
        modules="expires",
    ),
    "errors.test": Around(
        "".join(f"ErrorDocument {n} /index.html\n" for n in (400, 401, 403, 404, 405, 500, 503))
        + "ProxyErrorOverride On",
        modules="proxy_fcgi",
    ),
    "cache.test": Around(
        'CacheRoot <directory>/tmp/cached\nCacheEnable disk "/"\nCacheQuickHandler Off\n'
        "CacheIgnoreCacheControl On\nCacheIgnoreNoLastMod On\nCacheStorePrivate On\n"
        "CacheStoreNoStore On\nCacheDefaultExpire 3600\nCacheLock On\nCacheIgnoreQueryString On",
        modules="cache cache_disk",
    ),
    "cache-quick.test": Around(
        'CacheRoot <directory>/tmp/cached\nCacheEnable disk "/"\nCacheQuickHandler On\n'
        "CacheIgnoreCacheControl On\nCacheIgnoreNoLastMod On\nCacheStorePrivate On\n"
        "CacheStoreNoStore On\nCacheDefaultExpire 3600\nCacheIgnoreQueryString On",
        modules="cache cache_disk",
    ),
    "security.test": Around(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n"
        f"SecResponseBodyMimeType {STREAMS}\nSecResponseBodyLimit 1000\n"
        "SecResponseBodyLimitAction Reject\nSecAuditEngine Off",
        modules="security2",
    ),
    "impatient.test": Around(
        "ProxyTimeout 1\nRequestReadTimeout header=5 body=5", modules="proxy_fcgi reqtimeout"
    ),
    "body.test": Around("LimitRequestBody 100"),
    "variables.test": Around(
        "SetEnv ROWTAIL_MOUNT /\nSetEnvIf Authorization (.+) HTTP_AUTHORIZATION=$1\n"
        "RequestHeader unset Accept-Encoding",
        modules="headers",
    ),
}
NEEDS = {"security.test": "security2"}
# Sites that let nobody in, or not everybody.
CLOSED = {
    "login.test": Around(f'<Location "/">\n{USERS}</Location>'),
    "login-directory.test": Around(f"<Directory <root>>\n{USERS}</Directory>"),
    "login-here.test": Around(htaccess=USERS),
    "login-front.test": Around(htaccess=USERS + WORDPRESS, modules="rewrite"),
    "office.test": Around('<Location "/">\nRequire ip 10.0.0.0/8\n</Location>'),
    "office-here.test": Around(htaccess="Require ip 10.0.0.0/8\n"),
    "denied.test": Around(htaccess="Order deny,allow\nDeny from all\n"),
    "forbidden.test": Around("RewriteEngine On\nRewriteRule .* - [F]", modules="rewrite"),
    "https.test": Around('Redirect permanent "/" "https://https.test/"'),
    "https-rewriting.test": Around(
        f"RewriteEngine On\n{HTTPS}{LEAVE}\nRewriteRule ^ /index.php [L]", modules="rewrite"
    ),
    "https-front.test": Around(f"RewriteEngine On\n{HTTPS}", WORDPRESS, modules="rewrite"),
    "closing.test": Around('<LocationMatch "^/(events|rowtail)">\nRequire all denied\n</LocationMatch>'),
}


class ManySites(SizedApache):
    """Debian's Apache with each of the sites for its host name."""

    everywhere = True  # is rowtail's file read for every virtual host, or in each?
    sites = {**SITES, **CLOSED}

    def configure(self, configuration):
        self.modules = [*webserver.Apache.modules, *self.wanted()]
        (self.directory / "users").write_text(
            "".join(htpasswd(*pair) for pair in PASSWORDS.items())
        )
        (self.directory / "tmp" / "cached").mkdir()
        webserver.give(self.directory / "tmp" / "cached")
        for name in self.sites:
            self.write_site(name)
        super().configure(configuration)
        if not self.everywhere:
            self.move_into_the_hosts(configuration)

    def wanted(self):
        """The modules of all sites, but for those that this machine does not have."""
        words = " ".join(around.modules for around in self.sites.values()).split()
        return [word for word in dict.fromkeys(words) if is_here(word)]

    def move_into_the_hosts(self, configuration):
        """As the file's first lines say; what is for the whole server stays."""
        place = self.root / "conf-available"
        place.mkdir()
        of_hosts, mark, of_server = configuration.partition("\n# For the whole server.")
        (place / "rowtail.conf").write_text(of_hosts + "\n")
        (self.root / "conf-enabled/rowtail.conf").write_text(mark + of_server)

    def root_of(self, name):
        return self.directory / "sites" / name

    def write_site(self, name):
        around, root = self.sites[name], self.root_of(name)
        root.mkdir(parents=True)
        files = ("index.html", "index.php", *NEIGHBOURS[:3], *around.files)
        for file in files:
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"the file {file}\n")
        if around.htaccess:
            (root / ".htaccess").write_text(self.filled(around.htaccess, name))

    def filled(self, text, name):
        for word, value in {"<root>": self.root_of(name), "<directory>": self.directory}.items():
            text = text.replace(word, str(value))
        return text

    def site(self):
        hosts = [self.host(name) for name in self.sites if is_here(NEEDS.get(name, "alias"))]
        # mod_fcgid starts few processes a second by itself, and this test wants many.
        quick = "<IfModule mod_fcgid.c>\nFcgidSpawnScoreUpLimit 100000\n</IfModule>\n"
        return super().site() + quick + "".join(hosts)

    def host(self, name):
        slashes = "AllowEncodedSlashes On" if self.everywhere else ""  # as the file says
        own = "" if self.everywhere else "Include conf-available/rowtail.conf"
        return f"""
<VirtualHost 127.0.0.1:{self.port}>
	ServerName {name}
	DocumentRoot "{self.root_of(name)}"
	<Directory "{self.root_of(name)}">
		Require all granted
		AllowOverride All
	</Directory>
	{slashes}
	{self.filled(self.sites[name].lines, name)}
	{own}
</VirtualHost>
"""


class InEachHost(ManySites):
    everywhere = False


def is_here(module):
    return (webserver.Apache.etc / "mods-available" / f"{module}.load").exists()


def build_sites(build, deployment, **how):
    log = make_log(build.enter_context(directory()))
    build.callback(log.close)
    named = [*sites.SPELLED.values(), "a//b", "/a", "orders/x/y", "orders/*"]
    for channel in {"silence", *SITES, *CLOSED, *named}:
        log.grant("*", channel)
    log.grant("user:ann", "secret")
    edits = HASTE if deployment == "apache-fcgid" else {}
    how = {"server": ManySites, "public": None, "heartbeat": 1, "edits": edits, **how}
    return build(deployment, log=log, **how)


WAYS = {
    "everywhere": ("apache", ManySites),
    "in each host": ("apache", InEachHost),
    "fcgid": ("apache-fcgid", ManySites),
    "fcgid in each host": ("apache-fcgid", InEachHost),
}
# mod_fcgid starts few processes a second, so not every site is tried with it.
WITH_FCGID = [
    "plain.test", "symfony.test", "fallback.test", "directory.test", "views.test", "application.test",
    "location.test", "php.test", "pathinfo.test", "program.test", "errors.test", "security.test",
]  # fmt: skip
# What such a site must do is said in the file.
NOT_EVERYWHERE = {"application-location.test"}


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
    """servers(way): all sites, with rowtail behind them, made once."""
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
    """visit(name): somebody who asks this site."""
    visitors = []

    def visitor(name):
        if not is_here(NEEDS.get(name, "alias")):
            pytest.skip(f"{NEEDS[name]} is not installed")
        visitors.append(sites.Visitor(server, name))
        return visitors[-1]

    yield visitor
    for one in visitors:
        one.close()


@every_site("everywhere", "in each host", "fcgid")
def test_streams(visit, name):
    sites.assert_streams(visit(name))


@every_site("everywhere")
def test_paths_name_channels(visit, name):
    spelled = {**sites.SPELLED, "a//b": "a//b", "%2Fa": "/a"}
    if name == "directory.test":
        del spelled["what%3F"]  # a name of a file there, which Apache itself refuses
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
    """The rules of OWASP, where they are installed, take one for SQL."""
    visitor = visit(name)
    query = "channel=orders/*&last_event_id=0"
    form = {"method": "POST", "headers": {"Content-Type": sites.FORM}, "body": query.encode()}
    visitor.follow(f"/events?{query}")
    visitor.follow("/events?positions=1", **form)


@each_way
def test_silence(server):
    """No time-out of a site ends a stream that has nothing but heartbeats, one a second here."""
    sites.silence(server, ["plain.test", "impatient.test", "cache.test"])


@each_way
def test_headers_of_the_site_stay(visit):
    with visit("headers.test").follow("/events/silence") as opened:
        assert opened.head.get("X-Content-Type-Options") == "nosniff"
        assert opened.head.get("Cache-Control") == "no-cache, no-transform"
        assert opened.head.get("Strict-Transport-Security")


@every_site("everywhere")
def test_pages_for_the_administrator(visit, name):
    """They show how things are now, to this machine, and not to clients of a proxy on it."""
    visitor = visit(name)
    for streams in 1, 2:
        opened = visitor.follow("/events/silence")
        shown = visitor.page("/rowtail/metrics")
        assert re.search(r"\nrowtail_streams [1-9]", shown.body.decode()), shown.describe()
        opened.close()
    assert "<html" in visitor.page("/rowtail/status").body.decode()
    for header in "X-Forwarded-For", "Forwarded":
        answer = visitor.page("/rowtail/metrics", headers={header: "192.0.2.1"})
        assert answer.head.status == 403, answer.describe()


@each_way
def test_nobody_shares_a_cached_answer(visit):
    for name in "cache.test", "cache-quick.test":
        visitor = visit(name)
        assert visitor.page("/events?channel=secret").head.status == 401
        opened = visitor.follow("/events/app.js")
        sites.assert_row_comes_at_once(visitor.site.log, opened, "app.js", "one")
        assert visitor.page("/events?channel=secret").head.status == 401
        with visitor.follow("/events/silence") as other:
            assert not other.rows


# Who may not come in.


def assert_closed(visitor, targets, logins):
    for target in targets:
        for headers in logins:
            answer = visitor.get(target, headers=headers)
            assert answer.head.status in (301, 302, 401, 403, 404), answer.describe()
            assert not answer.events


@each_way
@pytest.mark.parametrize("name", CLOSED)
def test_closed_sites(visit, name):
    """What a site asks of its visitors, it asks of those of /events too."""
    targets = ["/events", "/events/", f"/events/{name}", f"/events?channel={name}"]
    targets += ["//events", "/events%2f" + name, "/x/..%2Fevents", "/rowtail/x", "/cgi-bin/events.fcgi"]
    assert_closed(visit(name), targets, [{}, basic("ann", "wrong"), basic("nobody", "")])


@each_way
@pytest.mark.parametrize("name", [name for name in CLOSED if name.startswith("login")])
def test_logins_of_a_site_name_the_user(visit, name):
    visitor = visit(name)
    ann, bob = (basic(*pair) for pair in PASSWORDS.items())
    visitor.follow("/events?channel=secret", headers=ann)
    assert visitor.page("/events?channel=secret", headers=bob).head.status == 403


@each_way
def test_a_site_without_rowtail(visit, server):
    """Where the file is included in some virtual hosts, the others have no /events."""
    visitor = visit("plain.test")
    status = sites.Visitor(server, "localhost").page("/events").head.status
    assert (status == 404) == (not server.server.everywhere)
    assert visitor.page("/events?channel=silence&tail=x").head.status == 400


# The login of deploy/access, in sites that let everyone in.

OPEN = {
    "plain.test": Around(),
    "granting.test": Around('<Location "/">\nRequire all granted\n</Location>'),
    "granting-here.test": Around(htaccess="Require all granted\nSatisfy any\n"),
    "old.test": Around(f"<Directory <root>>\n{OLD_ACCESS}</Directory>"),
    "old-location.test": Around(f'<Location "/">\n{OLD_ACCESS}</Location>'),
    "other-login.test": Around(f'<Location "/">\n{USERS.replace("/users", "/others")}</Location>'),
    "merging.test": Around('<Location "/">\nAuthMerging Or\nRequire all granted\n</Location>'),
    "front.test": Around(htaccess=WORDPRESS, modules="rewrite"),
}


class WithLogin(ManySites):
    sites = OPEN
    edits = {}

    def configure(self, configuration):
        (self.directory / "others").write_text(htpasswd("nobody", ""))
        users = {"/etc/apache2/rowtail.htpasswd": self.directory / "users", **self.edits}
        login = webserver.deployed("access/basic-apache.conf", users)
        super().configure(f"{configuration}\n{login}")


class WithLoginInEachHost(WithLogin):
    everywhere = False


@pytest.mark.deployments("apache", "apache-fcgid")
@pytest.mark.parametrize("kind", [WithLogin, WithLoginInEachHost])
def test_login_of_deploy(deployment, kind):
    with Builder() as build:
        site = build_sites(build, deployment, server=kind).start()
        for name in OPEN:
            visitor = sites.Visitor(site, name)
            wrong = [{}, basic("ann", "wrong"), basic("nobody", "")]
            assert_closed(visitor, ["/events", "/events/x", "//events", "/events%2Fx"], wrong)
            ann = basic("ann", PASSWORDS["ann"])
            visitor.follow("/events?channel=secret", headers=ann).close()
            visitor.close()


class OverTls(WithLogin):
    """With the # taken away, as the file says."""

    edits = {"#SSLRequireSSL": "SSLRequireSSL"}


@pytest.mark.deployments("apache")
def test_login_of_deploy_over_tls_only(deployment):
    """By plain HTTP nobody is asked for a password, and who sends one gets nothing for it."""
    with Builder() as build:
        site = build_sites(build, deployment, server=OverTls).start()
        for name in OPEN:
            for headers in {}, basic("ann", PASSWORDS["ann"]):
                answer = sites.Visitor(site, name).page("/events?channel=secret", headers=headers)
                assert answer.head.status == 403 and not answer.head.get("WWW-Authenticate")
        head = over_tls(site, basic("ann", PASSWORDS["ann"]))
        assert head.startswith(b"HTTP/1.1 200 OK")


def over_tls(site, headers):
    """The head of a stream that somebody asks for by https."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    lines = [f"{name}: {value}" for name, value in {"Host": "localhost", **headers}.items()]
    request = "\r\n".join(["GET /events?channel=secret HTTP/1.1", *lines, "", ""])
    with socket.create_connection(site.server.tls_address, stream.DEADLINE) as plain:
        with context.wrap_socket(plain) as secure:
            secure.sendall(request.encode())
            return secure.recv(1000)


# What a site counts, and how it is run.


@pytest.mark.skipif(not is_here("evasive"), reason="mod_evasive is not installed")
@pytest.mark.deployments("apache", "apache-cgid")
def test_who_asks_too_often_is_told_to_come_back(build, deployment):
    """429 would end an EventSource for ever."""
    kind = webserver.SharedApache if deployment == "apache-cgid" else webserver.Apache
    count = "DOSHTTPResponseCode 429\nDOSPageCount 1\n"
    more = {"around": count, "modules": [*kind.modules, "evasive"]}
    site = build(deployment, server=type("Server", (kind,), more)).start()
    visitor = sites.Visitor(site, "localhost")
    mount = site.deployment.mount
    answers = [visitor.get(mount) for _ in range(30)]
    assert {answer.head.status for answer in answers} == {200}
    for answer in answers:
        answer.wait(lambda a=answer: a.complete or a.eof or a.events, "an event, or the end")
    assert any(answer.parser.reconnection_time == 3000 and not answer.events for answer in answers)
    assert 429 in {visitor.get(mount, accept="*/*").head.status for _ in range(30)}


@pytest.mark.parametrize("mpm", ["prefork", "worker"])
@pytest.mark.deployments("apache", "apache-fcgid", "apache-cgid")
def test_other_ways_to_run_apache(build, deployment, mpm):
    """Prefork is what sites with mod_php have."""
    kind = webserver.SharedApache if deployment == "apache-cgid" else webserver.Apache
    modules = [{"mpm_event": f"mpm_{mpm}", "cgid": "cgi"}.get(one, one) for one in kind.modules]
    modules.remove("http2")  # not with prefork
    site = build(deployment, server=type("Server", (kind,), {"modules": modules}), retry=100).start()
    streams = [site.follow() for _ in range(4)]
    row = site.log.insert("for all")
    assert [opened.next_row().last_event_id for opened in streams] == [str(row)] * 4
    site.server.reload()
    sites.Visitor(site, "localhost").page("/index.html")
    site.hang_up()


class SavingTls(ManySites):
    """A redirect to https in a .htaccess does not hold for /events; the file has lines for that."""

    sites = {
        "front.test": Around(htaccess="RewriteEngine On\n" + HTTPS + WORDPRESS, modules="rewrite"),
    }

    def configure(self, configuration):
        lines = re.search(r"^\t\t#<If .*?^\t\t#</If>$", configuration, re.M | re.S)[0]
        super().configure(configuration.replace(lines, lines.replace("\t\t#", "\t\t")))


@pytest.mark.deployments("apache", "apache-fcgid")
def test_over_tls_only(build, deployment):
    site = build_sites(build, deployment, server=SavingTls).start()
    visitor = sites.Visitor(site, "front.test")
    for target in "/events", "/events/a?tail=1":
        answer = visitor.page(target)
        assert answer.head.status == 301
        assert answer.head.get("Location") == f"https://front.test{target}"
    visitor.follow("/events?channel=silence", headers={"X-Forwarded-Proto": "https"})


# While rowtail is down, and where something is missing.


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
        for name in sorted(names - {one for one in NEEDS if not is_here(NEEDS[one])}):
            visitor = sites.Visitor(site, name)
            for target in "/events?channel=a", "/events/a.php":
                sites.assert_asks_again(visitor, target)
            sites.assert_asks_again(visitor, method="POST", body=b"channel=" + b"a" * 2000)
            assert visitor.page("/events").head.status in (500, 502, 503, 504)
            visitor.close()
        for name in CLOSED:
            visitor = sites.Visitor(site, name)
            assert visitor.page("/events").head.status in (301, 401, 403), name
            visitor.close()


class CatchAll(ManySites):
    """A virtual host that sends every URL to one program, and does not heed what the file says."""

    sites = {
        "all.test": Around("RewriteEngine On\nRewriteRule ^ /index.php [L]", modules="rewrite"),
        "other.test": Around("RewriteEngine On\nRewriteRule ^ /index.php [L,PT]", modules="rewrite"),
    }


@pytest.mark.parametrize("kind", [CatchAll, type("Each", (CatchAll,), {"everywhere": False})])
@pytest.mark.deployments("apache", "apache-fcgid")
def test_no_program_is_handed_out(deployment, kind):
    """No URL of rowtail's makes Apache send the text of a program that it would otherwise run."""
    with Builder() as build:
        site = build_sites(build, deployment, server=kind)
        for name in kind.sites:
            (site.server.root_of(name) / ".htaccess").write_text(
                '<Files "index.php">\nRequire all denied\n</Files>\n'
            )
        site.server.start()
        for name in kind.sites:
            for target in "/rowtail-down", "/events", "/rowtail/status", "/x":
                page = sites.Visitor(site, name).page(target)
                assert b"the file index.php" not in page.body, page.describe()


class Lacking(webserver.Apache):
    """A server in which somebody has not enabled a module, or has disabled it."""

    lacks = ()

    def enable(self, module, enabled):
        if module not in self.lacks:
            super().enable(module, enabled)


@pytest.mark.parametrize("lacks", ["asis", "headers", "env", "dir", "negotiation", "alias"])
@pytest.mark.deployments("apache", "apache-fcgid")
def test_a_module_is_missing(build, deployment, lacks):
    """The site is served, and so are the streams."""
    site = build(deployment, server=type("Server", (Lacking,), {"lacks": (lacks,)})).start()
    visitor = sites.Visitor(site, "localhost")
    assert visitor.page("/index.html").head.status == 200
    visitor.follow("/events/orders/42")


@pytest.mark.deployments("apache", "apache-fcgid")
def test_the_module_is_missing(build, deployment):
    """The site is served, /events says what is missing, and an EventSource asks again."""
    lacks = {"apache": "proxy_fcgi", "apache-fcgid": "fcgid"}[deployment]
    site = build(deployment, server=type("Server", (Lacking,), {"lacks": (lacks,)})).start()
    visitor = sites.Visitor(site, "localhost")
    assert visitor.page("/index.html").head.status == 200
    answer = visitor.page("/events")
    assert answer.head.status == 503 and f"a2enmod {lacks}" in answer.body.decode()
    sites.assert_asks_again(visitor)


# The rest of the site.


class WithoutRowtail(ManySites):
    def configure(self, configuration):
        modules = "\n".join(re.findall(r"^#\s+a2enmod .*$", configuration, re.M))
        super().configure(modules)


def described(answer):
    return answer.head.status, answer.head.get("Content-Type"), bytes(answer.body)


@pytest.mark.parametrize("way", ["everywhere"])
def test_the_rest_of_the_site_is_as_without_rowtail(server):
    """Every URL that looks like the mount is answered by the site itself."""
    targets = [f"/{name}" for name in NEIGHBOURS]
    targets += ["/", "/events.", "/events~", "/events%20", "/x/events", "/event", "/events%3Fx"]
    targets += ["/rowtail/x", "/rowtail/", "/index.php", "/a.php/events", "/cgi-bin/events.fcgi"]
    with Builder() as build:
        bare = build_sites(build, "apache", server=WithoutRowtail)
        bare.server.start()
        for name in list(SITES)[:30]:  # the others are about what is in an answer
            if name == "location.test":  # a page that is another every time
                continue
            before, now = sites.Visitor(bare, name), sites.Visitor(server, name)
            for target in targets:
                was, is_now = before.page(target), now.page(target)
                assert described(was) == described(is_now), (name, target)
            before.close()
            now.close()
