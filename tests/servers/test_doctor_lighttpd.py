"""What is wrong with a lighttpd, rowtail-doctor finds, and its lines cure it."""

import re

import pytest

import webserver
from faulty import Case, check, outcomes

STREAM = "server.stream-response-body = 2"
MODULES = 'server.modules += ( "mod_rewrite", "mod_redirect", "mod_access", "mod_setenv", "mod_fastcgi" )\n'
CASES = [
    Case("buffered", "buffered", {}, without=(STREAM,), fatal=True),
    # It notices nothing of clients to whom it has not answered.
    Case("unnoticed", "leaving", {}, without=(STREAM,), use=("--db", "--status"), fatal=True),
    Case("impatient", "cut", {"#SITE": "server.max-write-idle = 1"}),
    Case("no-post", "post", {"#SITE": '$HTTP["request-method"] == "POST" { url.access-deny = ( "" ) }'}),
    Case("front-controller", "front-controller", {"#SITE": 'url.rewrite-once = ( "" => "/index.html" )'}, fatal=True),
    Case("cors-twice", "cors-twice", {"#SITE": 'setenv.add-response-header = ( "Access-Control-Allow-Origin" => "*" )'}),
    Case("no-options", "preflight", {"#SITE": '$HTTP["request-method"] == "OPTIONS" { url.access-deny = ( "" ) }'}),
    Case("http10", "http10", {"#SITE": 'server.protocol-http11 = "disable"'}, level="note"),
    Case("503", "down-answer", {}, without=("<socket>",), use=(), fatal=True, clean=False),
    Case("login", "login", {"#SITE": 'url.redirect = ( "^/events" => "/login" )'}, fatal=True),
    Case(
        "max-age",
        "cached",
        {"#SITE": 'setenv.set-response-header = ( "Cache-Control" => "max-age=3600" )'},
    ),
    Case("type", "type", {"#SITE": 'setenv.set-response-header = ( "Content-Type" => "text/plain" )'}, fatal=True),
    Case(
        "error-pages",
        "error-pages",
        {"#SITE": 'server.error-intercept = "enable"\nserver.errorfile-prefix = "<www>/error-"'},
    ),
]


class Lighttpd(webserver.Lighttpd):
    def __init__(self, path, place, texts):
        self.place, self.texts = place, texts
        super().__init__(path, "")

    def site(self):
        (self.www / "error-400.html").write_text("<html>oops</html>")
        modules, sites = MODULES, ""
        for name, text in self.texts.items():
            text = text.replace("<www>", str(self.www)).replace("/usr/local/share/rowtail", str(webserver.DEPLOY))
            # Only the whole server has modules.
            modules += "".join(re.findall(r"(?m)^server\.modules .*\n", text))
            text = re.sub(r"(?m)^server\.modules .*\n", "", text)
            sites += f'$SERVER["socket"] == "127.0.0.1:{self.place.ports[name]}" {{\n{text}\n}}\n'
        return super().site() + modules + sites


def right(place, case):
    nowhere = "/nowhere.sock" if case.name == "503" else ""
    return f"""
#SITE
$HTTP["url"] =~ "^/events(/|$)" {{
fastcgi.server = ( "/events" => (( "socket" => "<socket>{nowhere}", "check-local" => "disable" )) )
{STREAM}
}}
#END
"""


@pytest.fixture(scope="module")
def found():
    return outcomes(Lighttpd, "lighttpd", right, CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault_is_found_and_cured(found, case):
    check(found[case.name], case)
