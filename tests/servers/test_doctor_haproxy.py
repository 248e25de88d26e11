"""What is wrong with a HAProxy, rowtail-doctor finds, and its lines cure it."""

import pytest

import webserver
from faulty import Case, check, outcomes

DENY = "http-request deny deny_status 405 if METH_POST"
LOGIN = "http-request redirect location /login unless { req.cook(session) -m found }"
SCRIPT = "set-param SCRIPT_NAME /events"
PATH = "set-param PATH_INFO %[var(txn.rowtail_path)]"
# A server behind it that leaves out no-transform, without which HAProxy would not compress.
INNER = """
frontend inner-<name>
bind 127.0.0.1:<inner>
http-response set-header Cache-Control no-cache
default_backend inner-<name>
backend inner-<name>
option http-no-delay
timeout server 60s
server rowtail 127.0.0.1:%d
"""
CASES = [
    Case("buffered", "buffered", {"#BACKEND": "http-response wait-for-body time 50s"}, fatal=True),
    # HAProxy gives up before the doctor does, and answers 504.
    Case("gives-up", "buffered", {"#SITE": "http-response wait-for-body time 5s"}, fatal=True),
    Case("impatient", "cut", {"#BACKEND": "timeout server 1s"}, without=("timeout server 60s",)),
    Case("no-token", "authorization", {}, without=("pass-header Authorization",)),
    Case("no-position", "last-event-id", {"#SITE": "http-request del-header Last-Event-ID"}),
    Case("no-post", "post", {"#SITE": DENY}),
    Case("login", "login", {"#SITE": LOGIN}, fatal=True),
    Case("type", "type", {"#SITE": "http-response set-header Content-Type text/plain"}, fatal=True),
    Case("max-age", "cached", {"#BACKEND": "http-response set-header Cache-Control max-age=3600"}),
    Case("max-age-front", "cached", {"#SITE": "http-response set-header Cache-Control max-age=3600"}),
    Case("cors-twice", "cors-twice", {"#SITE": "http-response add-header Access-Control-Allow-Origin *"}),
    Case("no-options", "preflight", {"#SITE": DENY.replace("POST", "OPTIONS")}),
    Case("front-controller", "not-found", {"#SITE": "use_backend files if { path_beg /events }"}, fatal=True),
    Case("503", "down-answer", {}, without=("<tcp>",), use=(), fatal=True, clean=False),
    Case("no-path", "path", {}, without=(PATH,)),
    Case("no-mount", "path", {}, without=(SCRIPT, PATH)),
    Case("gzip", "compressed", {"#SITE": "compression algo gzip\ncompression type text/event-stream"}, fatal=True),
    Case("exact", "path", {"#SITE": "use_backend rowtail if { path /events }\nuse_backend files if { path_beg / }"}),
    Case("slow", "delayed", {}, without=("option http-no-delay",), level="note"),
]


class HAProxy(webserver.HAProxy):
    def __init__(self, path, place, texts):
        self.place, self.texts = place, texts
        super().__init__(path, "")

    def site(self, configuration):
        parts = []
        for name, text in self.texts.items():
            parts.append(text.replace("<name>", name).replace("<port>", str(self.place.ports[name]))
                .replace("use_backend rowtail ", f"use_backend rowtail-{name} "))
        return super().site("") + "".join(parts)


def right(place, case):
    nowhere = "127.0.0.1:1" if case.name == "503" else ""
    site = """
frontend site-<name>
bind 127.0.0.1:<port>
#SITE
default_backend rowtail-<name>
backend rowtail-<name>
mode http
"""
    if case.name == "gzip":
        return site + "server inner 127.0.0.1:<inner>\noption http-no-delay\n" + INNER % place.http[1]
    return f"""{site}
use-fcgi-app app-<name>
server rowtail <tcp>{nowhere} proto fcgi
#BACKEND
option http-no-delay
timeout server 60s
retries 0
http-request set-var(txn.rowtail_path) path,regsub(^/events,)
fcgi-app app-<name>
docroot /
{SCRIPT}
{PATH}
no option keep-conn
pass-header Authorization
#APP
"""


@pytest.fixture(scope="module")
def found():
    return outcomes(HAProxy, "HAProxy", right, CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault_is_found_and_cured(found, case):
    check(found[case.name], case)
