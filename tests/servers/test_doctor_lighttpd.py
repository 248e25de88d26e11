"""What is wrong with a lighttpd, rowtail-doctor finds, and its lines cure it."""

import pytest

import webserver
from faulty import Case, check, outcomes

STREAM = "server.stream-response-body = 2"
CASES = [
    Case("buffered", "buffered", {}, without=(STREAM,), fatal=True),
    Case("impatient", "cut", {"#SITE": "server.max-write-idle = 1"}),
    Case("no-post", "post", {"#SITE": '$HTTP["request-method"] == "POST" { url.access-deny = ( "" ) }'}),
    Case("front-controller", "front-controller", {"#SITE": 'url.rewrite-once = ( "" => "/index.html" )'}, fatal=True),
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
        return (
            super().site()
            + 'server.modules += ( "mod_rewrite", "mod_redirect", "mod_access", "mod_setenv", "mod_fastcgi" )\n'
            + "".join(
                f'$SERVER["socket"] == "127.0.0.1:{self.place.ports[name]}" {{\n{text}\n}}\n'.replace(
                    "<www>", str(self.www)
                )
                for name, text in self.texts.items()
            )
        )


def right(place, case):
    return f"""
#SITE
$HTTP["url"] =~ "^/events(/|$)" {{
fastcgi.server = ( "/events" => (( "socket" => "<socket>", "check-local" => "disable" )) )
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
