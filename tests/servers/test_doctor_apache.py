"""What is wrong with an Apache, rowtail-doctor finds, and its lines cure it."""

import pytest

import webserver
from faulty import Case, check, outcomes

SHARE = "/usr/local/share/rowtail"
FLUSH = '<Proxy "fcgi://rowtail">\nProxySet flushpackets=on timeout=300\n</Proxy>'
LOGIN = "RewriteCond %{HTTP_COOKIE} !session=\nRewriteRule ^ /login [R=302,L]"
NO_POST = '<Location "/">\n<LimitExcept GET HEAD OPTIONS>\nRequire all denied\n</LimitExcept>\n</Location>'
SUBSTITUTE = 'AddOutputFilterByType SUBSTITUTE text/event-stream\nSubstitute "s/localhost/example/"'
SECURITY = "SecRuleEngine On\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/event-stream"
MOUNT = 'SetEnv ROWTAIL_MOUNT "/events"'
HANDLER = 'SetHandler "proxy:unix:<socket>|fcgi://rowtail"'
SCRIPT = 'RewriteRule "^/events(/|$)" "unix:<socket>|fcgi://rowtail/srv/app/live.php" [P]'
CASES = [
    Case("buffered", "buffered", {}, without=(FLUSH,), fatal=True),
    Case(
        "impatient",
        "cut",
        {"#SITE": '<Proxy "fcgi://rowtail">\nProxySet flushpackets=on timeout=1\n</Proxy>'},
        without=(FLUSH,),
        # Apache ends the connection five seconds later.
        silence=8,
    ),
    Case("deflate", "compressed", {"#SITE": "AddOutputFilterByType DEFLATE text/event-stream"}),
    Case("no-token", "authorization", {}, without=("CGIPassAuth On",)),
    Case("no-position", "last-event-id", {"#SITE": "RequestHeader unset Last-Event-ID"}),
    Case("no-post", "post", {"#SITE": NO_POST}),
    Case("away", "down-answer", {}, without=("unix:<socket>",), use=(), fatal=True, clean=False),
    Case("front-controller", "front-controller", {"#REWRITE": "RewriteRule ^ /index.html [PT,L]"}, fatal=True),
    Case("no-include", "not-found", {}, fatal=True),
    Case("login", "login", {"#REWRITE": LOGIN}, fatal=True),
    Case("max-age", "cached", {"#SITE": 'Header set Cache-Control "max-age=3600"'}),
    Case("error-pages", "error-pages", {"#SITE": "ProxyErrorOverride On\nErrorDocument 400 /index.html"}),
    Case("type", "type", {"#SITE": 'Header set Content-Type "text/plain"'}, fatal=True),
    Case("cors-twice", "cors-twice", {"#SITE": "Header add Access-Control-Allow-Origin *"}),
    Case("no-options", "preflight", {"#SITE": NO_POST.replace("OPTIONS", "POST")}),
    Case("no-query", "query", {"#REWRITE": "RewriteRule ^(/events.*)$ $1 [PT,QSD]"}, fatal=True),
    Case("other-mount", "path", {}, without=(MOUNT,), query="/live", fatal=True),
    Case("script", "path", {"#REWRITE": SCRIPT}, without=(MOUNT, HANDLER)),
    Case("no-slash", "encoded-slash", {}, without=("AllowEncodedSlashes On",), level="note"),
    Case("substitute", "rewritten", {"#SITE": SUBSTITUTE}, fatal=True),
    Case("modsecurity", "buffered", {"#SITE": SECURITY}, fatal=True),
    Case("http10", "http10", {"#SITE": "SetEnvIf Request_URI . downgrade-1.0 force-response-1.0"}, level="note"),
]


class Apache(webserver.Apache):
    modules = [*webserver.Apache.modules, "proxy_fcgi", "headers", "rewrite", "asis", "substitute", "security2"]

    def __init__(self, path, place, texts):
        self.place, self.texts = place, texts
        super().__init__(path, "")
        file = (webserver.DEPLOY / "apache/proxy-fcgi.conf").read_text()
        (self.root / "conf-available").mkdir()
        (self.root / "conf-available" / "rowtail.conf").write_text(
            file.replace("/run/rowtail/rowtail.sock", str(place.socket)).replace(SHARE, str(webserver.DEPLOY))
        )

    def site(self):
        return super().site().replace("AddOutputFilterByType DEFLATE text/event-stream", "") + "".join(
            f"Listen 127.0.0.1:{self.place.ports[name]}\n<VirtualHost 127.0.0.1:{self.place.ports[name]}>\n"
            # Workers of one name would be one worker; the doctor says to write one's own name.
            + text.replace("fcgi://rowtail", f"fcgi://{name}").replace(SHARE, str(webserver.DEPLOY))
            + "\n</VirtualHost>\n"
            for name, text in self.texts.items()
        )


def right(place, case):
    if case.name == "no-include":
        return "#SITE\nRewriteEngine On\n#REWRITE\n#INCLUDE\n"
    handler = HANDLER.replace("|", "unix:/nowhere.sock|") if case.name == "away" else HANDLER
    return f"""
#SITE
AllowEncodedSlashes On
RewriteEngine On
#REWRITE
<Location "/events{case.query}">
{MOUNT}
{handler}
CGIPassAuth On
</Location>
{FLUSH}
#END
"""


@pytest.fixture(scope="module")
def found():
    return outcomes(Apache, "Apache", right, CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault_is_found_and_cured(found, case):
    check(found[case.name], case)
