"""Apache as people use it: many kinds of sites in one server, each with rowtail's file.

Each site is a separate virtual host; its name is the key here. rowtail's file applies to all virtual hosts,
or is included at the end of each.
"""

import re
from typing import NamedTuple

import webserver
from conftest import HASTE, directory, make_log
from logins import PASSWORDS, htpasswd
from sites import SPELLED
from test_load import SizedApache
from test_mount import NEIGHBOURS


class Around(NamedTuple):
    """What a site has: lines of its <VirtualHost>, of its .htaccess, files, and modules."""

    lines: str = ""
    htaccess: str = ""
    files: tuple = ()
    modules: str = ""


# Front controllers, as in the applications' own .htaccess files.
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
# The line that the file gives for virtual hosts with their own RewriteRules.
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
    # What else a site can do with every URL.
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
    # What a site can do to every answer.
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
        "SecResponseBodyLimitAction Reject\nSecAuditEngine Off\n"
        # As in Debian's security2.conf.
        "IncludeOptional /etc/modsecurity/*.conf\nIncludeOptional /usr/share/modsecurity-crs/*.load",
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
# Sites that are closed to everybody or to some.
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

    everywhere = True  # whether all virtual hosts share rowtail's file, or each includes it
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

    def enable(self, module, enabled):
        """In other sites than its own, the rules of mod_security do nothing but take time."""
        super().enable(module, enabled)
        if module == "security2":
            (enabled / "security2.conf").unlink()
            (enabled / "security2.conf").write_text("SecDataDir /var/cache/modsecurity\n")

    def wanted(self):
        """The modules of all sites, except those that this machine does not have."""
        words = " ".join(around.modules for around in self.sites.values()).split()
        return [word for word in dict.fromkeys(words) if is_here(word)]

    def move_into_the_hosts(self, configuration):
        """Moves lines as the file's first comment says; lines for the whole server stay."""
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
        # mod_fcgid starts few processes a second by default, and this test needs many.
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
    named = [*SPELLED.values(), "a//b", "/a", "orders/x/y", "orders/*"]
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
# mod_fcgid starts few processes a second, so only some sites are tried with it.
WITH_FCGID = [
    "plain.test", "symfony.test", "fallback.test", "directory.test", "views.test", "application.test",
    "location.test", "php.test", "pathinfo.test", "program.test", "errors.test", "security.test",
]  # fmt: skip
# The file says what such a site must do.
NOT_EVERYWHERE = {"application-location.test"}

# Apache's answer to a client that is not allowed.
CLOSED_STATUSES = (301, 302, 401, 403, 404)
