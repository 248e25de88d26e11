"""A stream that a web server may have compressed, read as it arrives."""

import zlib

import httpc
import sse
import stream


class Inflating(sse.Parser):
    """Undoes gzip before parsing, byte by byte: bytes that zlib holds back count as not arrived."""

    def __init__(self):
        super().__init__()
        self._inflate = zlib.decompressobj(wbits=31)

    def feed(self, chunk):
        return super().feed(self._inflate.decompress(bytes(chunk)))


class Encoded(httpc.Response):
    def on_head(self):
        super().on_head()
        coding = self.head.get("Content-Encoding")
        assert coding in (None, "gzip"), f"not offered: {coding}"
        if coding:
            self.parser = Inflating()


def open_encoded(site, query, address=None):
    """Sends a request that offers gzip."""
    return open_request(address or site.server.address, f"{site.deployment.mount}?{query}", "localhost")


def open_request(address, target, host):
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\n"
        "Accept: text/event-stream\r\nAccept-Encoding: gzip\r\n\r\n"
    )
    return Encoded(stream.connect(address)).send(request.encode())
