"""What is wrong with a Caddy, rowtail-doctor finds, and its lines cure it."""

import re

import pytest

import webserver
from faulty import Case, check, outcomes

CASES = [
    Case("impatient", "cut", {"#TRANSPORT": "read_timeout 2s"}),
    Case("no-position", "last-event-id", {"#SITE": "request_header -Last-Event-ID"}),
    Case(
        "type",
        "type",
        {"#SITE": "@all {\n#MATCHER\npath *\n}\nheader @all {\nContent-Type text/plain\ndefer\n}"},
        fatal=True,
    ),
    Case("no-import", "front-controller", {}, fatal=True),
    Case("login", "login", {"#SITE": "@all {\n#MATCHER\npath *\n}\nredir @all /login"}, fatal=True),
    Case(
        "front-controller",
        "front-controller",
        {"#SITE": "@all {\n#MATCHER\npath *\n}\nrewrite @all /index.html"},
        fatal=True,
    ),
    Case(
        "max-age",
        "cached",
        {"#SITE": "@all {\n#MATCHER\npath *\n}\nheader @all {\nCache-Control max-age=3600\ndefer\n}"},
    ),
    Case("encode", "compressed", {"#SITE": "encode {\ngzip\nminimum_length 1\nmatch {\nheader Content-Type text/event-stream*\n}\n}"}, fatal=True),
    Case("buffered", "buffered", {"#PROXY": "buffer_responses"}, fatal=True),
    # Caddy flushes what is text/event-stream.
    Case("other-type", "buffered", {"#PROXY": "header_down Content-Type text/plain"}, fatal=True, clean=False),
    Case("no-post", "post", {"#SITE": "@all {\n#MATCHER\nmethod POST\n}\nhandle @all {\nrespond 405\n}"}),
    Case("no-options", "preflight", {"#SITE": "@all {\n#MATCHER\nmethod OPTIONS\n}\nhandle @all {\nrespond 405\n}"}),
    Case("cors-twice", "cors-twice", {"#SITE": "header Access-Control-Allow-Origin *"}),
    Case("templates", "buffered", {"#SITE": "templates {\nmime text/event-stream\n}"}, fatal=True),
    Case("no-path", "path", {}, without=("split /events",), fatal=True),
    Case("502", "down-answer", {}, without=("reverse_proxy <tcp> {",), use=(), fatal=True, clean=False),
]


class Caddy(webserver.Caddy):
    def __init__(self, path, place, texts):
        self.place, self.texts = place, texts
        super().__init__(path, "")

    def configure(self, configuration):
        self.file = self.directory / "Caddyfile"
        self.admin = self.directory / "tmp" / "admin.sock"
        sites = "".join(
            f"http://:{self.place.ports[name]} {{\nbind 127.0.0.1\nroot * {self.www}\n{text}\n}}\n"
            for name, text in self.texts.items()
        )
        file = (webserver.DEPLOY / "caddy/Caddyfile").read_text()
        (rowtail,) = re.findall(r"(?ms)^\(rowtail\) \{\n.*?^\}\n", file)
        rowtail = rowtail.replace("/run/rowtail/rowtail.sock", str(self.place.socket))
        self.file.write_text(f"{{\nadmin unix/{self.admin}\nauto_https off\n}}\n{rowtail}{sites}")

    def listens(self):
        return [("127.0.0.1", port) for port in self.place.ports.values()]


def right(place, case):
    if case.name == "no-import":
        return "#SITE\n#INCLUDE\ntry_files {path} /index.html\nfile_server\n"
    nobody = "reverse_proxy 127.0.0.1:1 {" if case.name == "502" else ""
    return f"""
#SITE
@rowtail path /events /events/*
handle @rowtail {{
reverse_proxy <tcp> {{
{nobody}
#PROXY
transport fastcgi {{
split /events
#TRANSPORT
}}
}}
}}
handle {{
file_server
}}
"""


@pytest.fixture(scope="module")
def found():
    return outcomes(Caddy, "Caddy", right, CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault_is_found_and_cured(found, case):
    check(found[case.name], case)
