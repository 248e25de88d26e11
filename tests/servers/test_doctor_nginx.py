"""What is wrong with an nginx, rowtail-doctor finds, and its lines cure it."""

import pytest

import webserver
from faulty import Case, check, outcomes

CASES = [
    Case(
        "buffered",
        "buffered",
        {"#LOCATION": "fastcgi_buffering on;\nfastcgi_ignore_headers X-Accel-Buffering;"},
        fatal=True,
    ),
    Case("gzip", "compressed", {"#LOCATION": "gzip on;\ngzip_types text/event-stream;\ngzip_min_length 0;"}),
    Case("impatient", "cut", {"#LOCATION": "fastcgi_read_timeout 1s;"}),
    Case("no-position", "last-event-id", {"#PARAMS": 'fastcgi_param HTTP_LAST_EVENT_ID "";'}),
    Case("no-token", "authorization", {"#PARAMS": 'fastcgi_param HTTP_AUTHORIZATION "";'}),
    Case("no-cookie", "cookie", {"#PARAMS": 'fastcgi_param HTTP_COOKIE "";'}),
    Case("no-post", "post", {"#LOCATION": "limit_except GET {\ndeny all;\n}"}),
    Case("front-controller", "front-controller", {"#SITE": "rewrite ^ /index.html last;"}, fatal=True),
    Case("no-include", "not-found", {}, fatal=True),
    Case("login", "login", {"#SITE": 'if ($cookie_session = "") {\nreturn 302 /login;\n}'}, fatal=True),
    Case("expires", "cached", {"#LOCATION": "expires 1h;"}),
    Case(
        "cached",
        "cached",
        {
            "#LOCATION": "fastcgi_cache pages;\nfastcgi_cache_key $uri$args;\nfastcgi_cache_valid any 1h;\n"
            "fastcgi_ignore_headers Cache-Control Vary X-Accel-Buffering;"
        },
        # A stream would be buffered too.
        fatal=True,
        clean=False,
    ),
    Case("error-pages", "error-pages", {"#LOCATION": "fastcgi_intercept_errors on;\nerror_page 400 /index.html;"}),
    Case(
        "ignores-leaving",
        "leaving",
        {"#LOCATION": "fastcgi_ignore_client_abort on;"},
        use=("--status",),
        query="?channel=open",
        level="note",
    ),
    Case("ssi", "rewritten", {"#LOCATION": "ssi on;\nssi_types *;"}, fatal=True),
    Case("type", "type", {"#LOCATION": "fastcgi_hide_header Content-Type;\ndefault_type text/plain;"}, fatal=True),
    Case("cors-twice", "cors-twice", {"#LOCATION": "add_header Access-Control-Allow-Origin *;"}),
    Case("no-options", "preflight", {"#LOCATION": "limit_except GET POST {\ndeny all;\n}"}),
    Case(
        "502",
        "down-answer",
        {"#LOCATION": "fastcgi_pass unix:/nowhere.sock;"},
        without=("fastcgi_pass unix:<socket>;",),
        use=(),
        fatal=True,
        clean=False,
    ),
    Case("no-query", "query", {"#PARAMS": 'fastcgi_param QUERY_STRING "";'}, fatal=True),
    Case("no-path", "path", {"#PARAMS": 'fastcgi_param PATH_INFO "";'}),
    Case("proxy-buffers", "buffered", {"#LOCATION": "proxy_pass http://127.0.0.1:<inner>;"}, fatal=True),
    Case(
        "proxy-impatient",
        "cut",
        {"#LOCATION": "proxy_pass http://127.0.0.1:<inner>;\nproxy_buffering off;\nproxy_read_timeout 1s;"},
    ),
    Case(
        "proxy-no-token",
        "authorization",
        {"#LOCATION": 'proxy_pass http://127.0.0.1:<inner>;\nproxy_buffering off;\nproxy_set_header Authorization "";'},
    ),
]
"""A case with proxy_pass has a second nginx behind it, which does not pass X-Accel-Buffering on."""


class Nginx(webserver.Nginx):
    def __init__(self, path, place, texts):
        self.place, self.texts = place, texts
        file = (webserver.DEPLOY / "nginx/fastcgi.conf").read_text()
        super().__init__(path, file.replace("/run/rowtail/rowtail.sock", str(place.socket)))

    def site(self):
        shared = "fastcgi_cache_path {}/tmp/cached keys_zone=pages:1m;\n".format(self.directory)
        servers = [
            f"server {{\nlisten 127.0.0.1:{self.place.ports[name]};\nroot {self.www};\n{text}\n}}\n"
            for name, text in self.texts.items()
        ]
        inner = (
            f"server {{\nlisten 127.0.0.1:{self.place.inner};\nlocation /events {{\nfastcgi_buffering off;\n"
            f"include fastcgi_params;\nfastcgi_split_path_info ^(/events)(.*)$;\n"
            f"fastcgi_param PATH_INFO $fastcgi_path_info;\nfastcgi_pass unix:{self.place.socket};\n}}\n}}\n"
        )
        return inner + super().site().replace("include snippets/rowtail.conf;", "") + shared + "".join(servers)


def right(place, case):
    if case.name == "no-include":
        return "#SITE\n#INCLUDE\nlocation ~ \\.php$ {\ndeny all;\n}\n"
    handler = "" if "<inner>" in str(case.wrong) else "fastcgi_pass unix:<socket>;"
    return f"""
#SITE
location = /events {{
rewrite ^ /events/ last;
}}
location ^~ /events/ {{
#LOCATION
#PARAMS
fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param QUERY_STRING $query_string;
fastcgi_param CONTENT_TYPE $content_type;
fastcgi_param CONTENT_LENGTH $content_length;
fastcgi_split_path_info "(?s)^(/events)(.*)\\z";
fastcgi_param SCRIPT_NAME /events;
fastcgi_param PATH_INFO $fastcgi_path_info;
{handler}
}}
#BESIDE
"""


@pytest.fixture(scope="module")
def found():
    return outcomes(Nginx, "nginx", right, CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault_is_found_and_cured(found, case):
    check(found[case.name], case)
