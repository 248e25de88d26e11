"""A small HTTP/1.1 client for streams: it shows everything, can stop reading, and can reset.

It sends one request per connection. It understands bodies that are chunked, have a Content-Length, or end
with the connection.
"""

import stream


class Chunked:
    """The chunked transfer coding, incremental. Source: RFC 9112, section 7.1."""

    def __init__(self):
        self.done = False
        self._buffer = bytearray()
        self._left = 0  # bytes of chunk data still missing
        self._data_ended = False  # the CRLF after a chunk's data comes next
        self._last = False  # the chunk of size 0 has come; trailers follow

    def feed(self, coded):
        """Returns the bytes that were inside."""
        self._buffer += coded
        out, at = bytearray(), 0
        while at < len(self._buffer) and not self.done:
            if self._left:
                part = self._buffer[at : at + self._left]
                at += len(part)
                self._left -= len(part)
                out += part
                continue
            end = self._buffer.find(b"\r\n", at)
            if end < 0:
                break
            line = bytes(self._buffer[at:end])
            at = end + 2
            self._on_line(line)
        del self._buffer[:at]
        return bytes(out)

    def _on_line(self, line):
        if self._data_ended:
            assert line == b"", f"{line!r} where a chunk's data should end"
            self._data_ended = False
        elif self._last:
            self.done = line == b""
        else:
            self._left = int(line.split(b";")[0], 16)
            self._data_ended = self._left > 0
            self._last = self._left == 0


class Response(stream.Stream):
    """The answer to one request.

    complete  whether the body has ended as its framing says. (A body without framing ends with the
              connection: then look at eof.)
    """

    status_line = True

    def __init__(self, source, method="GET", last_event_id=""):
        super().__init__(source, last_event_id)
        self.method = method
        self.complete = False
        self._chunked = None
        self._left = None

    def send(self, raw):
        """Sends bytes of a request unchanged."""
        self.source.settimeout(stream.DEADLINE)
        self.source.sendall(raw)
        self.source.setblocking(False)
        return self

    def on_head(self):
        length = self.head.get("Content-Length")
        if self.method == "HEAD" or self.head.status in (204, 304):
            self.complete = True
        elif (self.head.get("Transfer-Encoding") or "").lower() == "chunked":
            self._chunked = Chunked()
        elif length is not None:
            self._left = int(length)
            self.complete = self._left == 0

    def on_body(self, chunk):
        assert not self.complete, f"bytes behind the end of the answer: {bytes(chunk[:80])!r}"
        if self._chunked:
            chunk = self._chunked.feed(chunk)
            self.complete = self._chunked.done
        elif self._left is not None:
            self._left -= len(chunk)
            self.complete = self._left <= 0
        super().on_body(chunk)

    def wait_complete(self, timeout=stream.DEADLINE):
        """Reads until the body has ended."""
        return self.wait(lambda: self.complete, "end of the body", timeout)


def open_request(
    address,
    target,
    *,
    method="GET",
    headers=None,
    accept="text/event-stream",
    body=None,
    last_event_id="",
    client="",
    on=None,
):
    """Connects, sends a request, and returns its Response at once, with nothing read yet.

    on: an earlier Response. The request goes over its connection, instead of a new one to the address.
    """
    fields = {"Host": "localhost", "Accept": accept}
    if last_event_id:
        fields["Last-Event-ID"] = last_event_id
    if body is not None:
        fields["Content-Length"] = str(len(body))
    fields.update(headers or {})
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    raw = "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + (body or b"")
    source = on.source if on else stream.connect(address, client=client)
    return Response(source, method, last_event_id).send(raw)
