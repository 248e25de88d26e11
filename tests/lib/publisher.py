"""rowtail-publish, behind a web server that the test plays."""

import json
import os
import pathlib
import subprocess
import time

import cgiprogram
import fcgi
import rowtail
import stream

BINARY = pathlib.Path(os.environ.pop("PUBLISH_BIN", None) or rowtail.ROOT / "build" / "rowtail-publish").resolve()


class Answer:
    """A complete answer."""

    def __init__(self, peer):
        self.status = peer.head.status
        self.get = peer.head.get
        self.text = bytes(peer.body).decode()

    @property
    def json(self):
        assert self.status == 201, f"{self.status}: {self.text}"
        assert self.get("Content-Type") == "application/json"
        return json.loads(self.text)


def _asked(body, *, path="", query="", kind="text/plain", method="POST", **how):
    raw = body.encode() if isinstance(body, str) else body
    return {
        "query": query,
        "method": method,
        "path_info": path,
        "body": raw,
        "content_type": kind if raw or kind != "text/plain" else None,
        "accept": "*/*",
        **how,
    }


def post(address, body, **how):
    """Asks on a socket; see gateway.params for `how`."""
    with fcgi.Connection(address) as peer:
        asked = _asked(body, **how)
        peer.ask(asked.pop("query"), **asked)
        peer.wait(lambda: peer.end is not None, "FCGI_END_REQUEST")
        return Answer(peer)


class Publisher(rowtail.Rowtail):
    """One process in FastCGI mode."""

    def __init__(self, workdir, arguments, **how):
        super().__init__(workdir, arguments, program=BINARY, **how)

    def post(self, body, **how):
        return post(self.address, body, **how)

    @property
    def log(self):
        return self.stderr


def cgi(workdir, log, *options, prepare=None):
    """A function like Publisher.post that runs the program as a CGI program for each request."""

    def ask(body, **how):
        asked = _asked(body, **how)
        query = asked.pop("query")
        with cgiprogram.Program(
            ["--db", log.path, *options], query, binary=BINARY, prepare=prepare, **asked
        ) as peer:
            peer.wait_end()
            assert peer.wait_exit() == 0, peer.stderr
            return Answer(peer)

    return ask


def run(*arguments, prepare=None):
    """Runs the program to its end."""
    return subprocess.run(
        [str(BINARY), *map(str, arguments)],
        env=rowtail.environment(),
        capture_output=True,
        text=True,
        preexec_fn=prepare,
        stdin=subprocess.DEVNULL,
        timeout=stream.DEADLINE,
    )


def start(workdir, address, *arguments):
    """Starts the program on a socket that the last one may have left behind."""
    with (workdir / "publish.err").open("ab") as stderr:
        return subprocess.Popen(
            [str(BINARY), *map(str, arguments), "--listen", str(address)],
            env=rowtail.environment(),
            stdin=subprocess.DEVNULL,
            stderr=stderr,
        )


def wait_for_a_fresh_minute():
    """Rates are by the minute of the clock: not in its last seconds."""
    left = 60 - time.time() % 60
    if left < 8:
        time.sleep(left + 0.1)
