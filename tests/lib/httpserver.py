"""rowtail as an HTTP server by itself (--http, --pages)."""

import functools
import socket

import pytest

import httpc
import ports
import rowtail
import stream


@functools.cache
def is_built():
    """Whether this rowtail has --http; it needs llhttp, which Debian 11 does not have."""
    done = rowtail.run("--db", "/nonexistent", "--http", f":{ports.free_port()}")
    return "without llhttp" not in done.stderr


needed = pytest.mark.skipif("not __import__('httpserver').is_built()", reason="built without llhttp")


class HttpServer(rowtail.Rowtail):
    """One process with --http, on a free port or a unix socket; --pages beside it.

    address: where it serves, if the arguments already say that and pages_at(workdir)
    """

    def __init__(self, workdir, arguments=(), *, unix=False, address=None, how=None, **more):
        arguments = list(arguments)
        self.pages = self.pages_at(workdir)
        self.web = address
        if not address:
            self.web = workdir / "http.sock" if unix else ("127.0.0.1", ports.free_port())
            arguments += ["--http", self.web if unix else ":%d" % self.web[1]]
            arguments += ["--pages", self.pages]
        super().__init__(workdir, arguments, how=how, address=self.web, **more)

    @staticmethod
    def pages_at(workdir):
        """The socket of --pages."""
        place = workdir / "run"
        return (place if place.is_dir() else workdir) / "pages.sock"

    def wait_up(self):
        self.wait_accepts()
        return self

    def request(self, target="/events", **how):
        """Sends a request and returns at once; see httpc.open_request()."""
        peer = httpc.open_request(self.web, target, **how)
        self._open.append(peer)
        return peer

    def follow(self, query="", **how):
        """Opens a stream, and takes its first event."""
        peer = self.request(f"/events?{query}", **how).wait_head()
        assert peer.head.status == 200, peer.describe()
        peer.first = peer.next()
        return peer

    def page(self, name, method="GET"):
        with httpc.open_request(self.pages, f"/{name}", method=method) as peer:
            return peer.wait_complete()

    def raw(self, sent, *, close=False, timeout=stream.DEADLINE):
        """Sends bytes, and returns everything that comes until the server closes."""
        with stream.connect(self.web) as peer:
            peer.settimeout(timeout)
            peer.sendall(sent)
            if close:
                peer.shutdown(socket.SHUT_WR)
            got = bytearray()
            while chunk := _receive(peer):
                got += chunk
            return bytes(got)


def _receive(peer):
    try:
        return peer.recv(65536)
    except ConnectionResetError:
        return b""
