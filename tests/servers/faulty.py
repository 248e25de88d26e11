"""Wrong configurations of one web server, each a site at a port of its own, and what rowtail-doctor says of them.

The doctor examines each site, the lines that it prints go where it says, the server starts again with them, and the
doctor examines each site again. A configuration has marks where lines go:

    #LOCATION   where the server handles /events         #SITE     in the site, before everything else
    #BESIDE     behind that                              #END      at the end of the site
    #PARAMS     where nginx's fastcgi_param begin        #BACKEND, #APP, #TRANSPORT
"""

import contextlib
import re
from typing import NamedTuple

import doctor
import httpserver
import ports
import rowtail
from conftest import ORIGIN, directory, make_log
from webserver import as_user, end, give

AT_ONCE = 16  # so many runs side by side: they mostly wait


class Case(NamedTuple):
    """finding: what the doctor must say; wrong: {mark: lines}; without: lines of the right configuration to leave out

    fatal: exit status 2; clean: nothing else is wrong when the finding is cured; use: options of the doctor
    """

    name: str
    finding: str
    wrong: dict
    without: tuple = ()
    use: tuple = ("--db", "--origin")
    level: str = "WRONG"
    fatal: bool = False
    clean: bool = True
    query: str = ""
    silence: int = 2


# Where the doctor says that lines belong: the beginning of its words, and the mark.
PLACES = [
    ("if it is missing", "#INCLUDE"),
    ("as root", "#SHELL"),
    ("in the location", "#LOCATION"),
    ("beside that location", "#BESIDE"),
    ("in the server {", "#SITE"),
    ("before all rewrites", "#SITE"),
    ("before all other RewriteRules", "#REWRITE"),
    ("in the frontend", "#SITE"),
    ("before the first other sub vcl_recv", "#SITE"),
    ("in the backend", "#BACKEND"),
    ("in the fcgi-app", "#APP"),
    ("in the transport", "#TRANSPORT"),
    ("in the reverse_proxy", "#PROXY"),
    ("in the site's block", "#SITE"),
    ("in the matcher", "#MATCHER"),
    ("in the site's <VirtualHost>", "#SITE"),
    ("at the end", "#END"),
]
MANY_TIMES = {"fastcgi_param", "location", "if", "return", "add_header", "}"}


def names_of(lines):
    """Directives that a server allows once: they replace those that are there."""
    words = [line.split()[0] for line in lines.splitlines() if line.strip()]
    return [word for word in words if word not in MANY_TIMES and not word.startswith(("<", "#", "}"))]


def cured(text, cures):
    """The site's configuration with what the doctor printed."""
    for place, lines in cures:
        if place.startswith("delete"):
            for line in lines.splitlines():
                text = re.sub(rf"(?m)^.*{re.escape(line.rstrip(';'))}.*$\n?", "", text)
            continue
        (mark,) = [mark for begins, mark in PLACES if place.startswith(begins)][:1]
        if "with fastcgi_pass" in place:
            mark = "#PARAMS"
        if mark not in text or ("with proxy_pass" in place and "proxy_pass" not in text):
            continue
        replaced = mark in ("#LOCATION", "#TRANSPORT", "#BACKEND") or "in place of" in place or "timeout" in lines
        if replaced and not lines.startswith(("sub ", "use_", "http")):
            for name in names_of(lines):
                text = re.sub(rf"(?m)^\s*{re.escape(name)}\b[^\n{{;]*(?:\{{[^}}]*\}}|;|$)\n?", "", text)
        text = text.replace(mark, f"{lines}\n{mark}", 1)
    return text


class Place(contextlib.ExitStack):
    """rowtail on a socket and on a port, with a log of its own; and the sites of one server."""

    def __init__(self, kind, cases):
        super().__init__()
        self.kind = kind
        self.cases = cases
        self.path = self.enter_context(directory())
        give(self.path)
        self.log = make_log(self.path)
        self.log.grant("*", "open")
        self.callback(self.log.close)
        self.ports = {case.name: ports.free_port() for case in cases}
        self.socket = self.path / "rowtail.sock"
        self.tcp = ("127.0.0.1", ports.free_port())
        self.pages = ("127.0.0.1", ports.free_port())
        self.inner = ports.free_port()  # for a second server behind it
        self.http = ("127.0.0.1", ports.free_port())
        pages = ["--pages", "%s:%d" % self.pages, "--http", "%s:%d" % self.http]
        pages = pages if httpserver.is_built() else []
        self.run(self.socket, ["--listen", self.socket, *pages])
        self.run(self.tcp, ["--listen", "%s:%d" % self.tcp])

    def run(self, address, options):
        settings = ["--db", self.log.path, "--allow-origin", ORIGIN, "--heartbeat", "15"]
        words = as_user([rowtail.BINARY, *options, *settings])
        program = rowtail.Rowtail(self.path, words[1:], how=None, program=words[0], address=address)
        self.callback(program.cleanup)
        program.start()

    def url(self, case):
        return f"http://127.0.0.1:{self.ports[case.name]}/events{case.query}"

    def options(self, case):
        values = {"--db": self.log.path, "--origin": ORIGIN, "--status": "http://%s:%d/metrics" % self.pages}
        return [word for option in case.use for word in (option, values[option])]

    def examine(self, texts):
        """{case: Report} of a server with these sites."""
        known = {"<socket>": self.socket, "<tcp>": "%s:%d" % self.tcp, "<inner>": self.inner}
        for mark, value in known.items():
            texts = {name: text.replace(mark, str(value)) for name, text in texts.items()}
        with directory() as path:
            server = self.kind(path, self, texts)
            server.start()
            try:
                return dict(self.reports())
            finally:
                server.stop()

    def reports(self):
        # Who counts streams runs alone, and first: the count is rowtail's, for all sites, and streams end late.
        counting = [[case] for case in self.cases if "--status" in case.use]
        others = [case for case in self.cases if "--status" not in case.use]
        batches = [others[begin : begin + AT_ONCE] for begin in range(0, len(others), AT_ONCE)]
        for some in [*counting, *batches]:
            running = [(case, doctor.start(self.url(case), *self.options(case), silence=case.silence)) for case in some]
            try:
                yield from ((case.name, doctor.finish(process)) for case, process in running)
            finally:
                for _, process in running:
                    end(process)


def wrong_text(right, case):
    """The right configuration of a site, made wrong."""
    for line in case.without:
        assert line in right, line
        right = right.replace(line, "")
    for mark, lines in case.wrong.items():
        assert mark in right, mark
        right = right.replace(mark, f"{mark}\n{lines}", 1)
    return right


class Outcome(NamedTuple):
    before: object
    after: object
    text: str


def outcomes(kind, server, right, cases):
    """{case: what the doctor says before and after its cure}"""
    doctor.need()
    with Place(kind, cases) as place:
        texts = {case.name: wrong_text(right(place, case), case) for case in cases}
        before = place.examine(texts)
        for case in cases:
            if case.finding in before[case.name].findings:
                cures = before[case.name].cures(case.finding, server)
                texts[case.name] = cured(texts[case.name], cures)
        after = place.examine(texts)
    return {case.name: Outcome(before[case.name], after[case.name], texts[case.name]) for case in cases}


def check(outcome, case):
    assert outcome.before.level(case.finding) == case.level, outcome.before
    expected = 2 if case.fatal else 1 if case.level == "WRONG" else 0
    assert outcome.before.status == expected, outcome.before
    assert outcome.after.level(case.finding) in (None, "ok"), f"{outcome.text}\n{outcome.after}"
    if case.clean:
        assert outcome.after.status == 0, f"{outcome.text}\n{outcome.after}"
