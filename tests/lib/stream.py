"""An answer that is being read, through FastCGI, CGI or HTTP.

A Stream reads only when asked to, so that a test can act as a slow reader. Every wait has a generous
deadline, since it only catches hangs, and a failure shows what arrived.
"""

import os
import select
import selectors
import socket
import struct
import time

import sse

# Seconds; multiplied by TEST_PATIENCE if the program is slow, as under valgrind.
DEADLINE = 20.0 * float(os.environ.get("TEST_PATIENCE", 1))
CONTROL_TYPES = ("position", "gap", "denied")


def connect(address, timeout=DEADLINE, client=""):
    """A connected socket: to a unix socket's path, or to a (host, port), from this client's address."""
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout, (client, 0) if client else None)
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(timeout)
    try:
        peer.connect(str(address))
    except OSError:
        peer.close()
        raise
    return peer


class Head:
    """The head of an answer: its status and its fields, unchanged."""

    def __init__(self, raw, status_line):
        lines = raw.decode("latin-1").split("\r\n")
        self.raw = raw
        self.status = 200
        if status_line:
            self.status = int(lines.pop(0).split(" ")[1])
        self.fields = [tuple(line.split(": ", 1)) for line in lines]
        for name, value in self.fields:
            if name == "Status" and not status_line:
                self.status = int(value.split(" ")[0])

    def get(self, name):
        """A field's value, or None; a duplicate field is a failure."""
        values = [value for field, value in self.fields if field.lower() == name.lower()]
        assert len(values) <= 1, f"{name} stands {len(values)} times in {self.raw!r}"
        return values[0] if values else None


class Stream:
    """The common part; a subclass turns the bytes of its carrier into a head and a body.

    head    a Head; None until it is complete
    body    the bytes after the head
    parser  the oracle, which has read the body
    eof     whether the peer has closed
    """

    status_line = False  # does the head begin with "HTTP/1.1 200 OK"?

    def __init__(self, source, last_event_id=""):
        self.source = source
        self.head = None
        self.body = bytearray()
        self.parser = sse.Parser(last_event_id)
        self.eof = False
        self._head_bytes = bytearray()
        self._taken = 0
        os.set_blocking(source.fileno(), False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def fileno(self):
        return self.source.fileno()

    # The interface to subclasses.

    def decode(self, chunk):
        """Bytes have arrived; a subclass calls content() with their payload."""
        self.content(chunk)

    def content(self, chunk):
        """Takes bytes of head or body."""
        if self.head is None:
            self._head_bytes += chunk
            head, end, chunk = bytes(self._head_bytes).partition(b"\r\n\r\n")
            if not end:
                return
            self.head = Head(head, self.status_line)
            self.on_head()
        if chunk:
            self.on_body(chunk)

    def on_head(self):
        """The head is complete."""

    def on_body(self, chunk):
        """Bytes of the body, or of its coding."""
        self.body += chunk
        self.parser.feed(chunk)

    # Reading.

    def pump(self):
        """Reads once. Returns whether there was anything, including the end."""
        try:
            chunk = os.read(self.fileno(), 1 << 18)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            chunk = b""
        if chunk:
            self.decode(chunk)
        else:
            self.eof = True
        return True

    def _readable(self, seconds):
        """Waits until there is something to read. (select() knows no descriptor above 1023.)"""
        poller = select.poll()
        poller.register(self, select.POLLIN)
        return bool(poller.poll(seconds * 1000))

    def wait(self, condition, what="what the test waits for", timeout=DEADLINE):
        """Reads until condition() holds; fails at the deadline, or if the stream ends first."""
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            assert not self.eof, f"the stream ended before {what}; {self.describe()}"
            assert left > 0, f"no {what} within {timeout} s; {self.describe()}"
            if self._readable(left):
                self.pump()
        return self

    def drain(self):
        """Reads what has arrived, without waiting."""
        while not self.eof and self._readable(0):
            self.pump()
        return self

    def rest(self, seconds):
        """Reads what arrives within this time."""
        deadline = time.monotonic() + seconds
        while not self.eof and (left := deadline - time.monotonic()) > 0:
            if self._readable(left):
                self.pump()
        return self

    def wait_head(self, timeout=DEADLINE):
        return self.wait(lambda: self.head is not None, "head", timeout)

    def wait_end(self, timeout=DEADLINE):
        """Reads until the peer has closed."""
        return self.wait(lambda: self.eof, "end of the stream", timeout)

    def describe(self):
        head = self.head.raw if self.head else bytes(self._head_bytes)
        tail = bytes(self.body[-400:])
        return f"head {head!r}, {len(self.parser.events)} events, body ends with {tail!r}"

    def sentence(self):
        """The body of an answer without a stream: one line of plain text."""
        assert self.head.get("Content-Type").startswith("text/plain"), self.describe()
        text = self.body.decode("utf-8")
        assert len(text.strip().splitlines()) == 1, text
        return text

    # Events.

    @property
    def events(self):
        return self.parser.events

    @property
    def rows(self):
        """The events from rows of the log, without rowtail's own."""
        return [event for event in self.events if event.type not in CONTROL_TYPES]

    @property
    def ids(self):
        """The ids of the rows."""
        return [int(event.last_event_id) for event in self.rows]

    def next(self, timeout=DEADLINE):
        """The next event that the test has not taken yet."""
        self.wait(lambda: len(self.events) > self._taken, "next event", timeout)
        self._taken += 1
        return self.events[self._taken - 1]

    def next_row(self, timeout=DEADLINE):
        """The next row, skipping rowtail's own events."""
        while True:
            event = self.next(timeout)
            if event.type not in CONTROL_TYPES:
                return event

    def wait_rows(self, count, timeout=DEADLINE):
        """Reads until so many rows have arrived, and returns them all."""
        self.wait(lambda: len(self.rows) >= count, f"{count} rows", timeout)
        return self.rows

    def wait_id(self, newest, timeout=DEADLINE):
        """Reads until the client's position is at least this one."""
        self.wait(lambda: int(self.parser.last_event_id or 0) >= newest, f"id {newest}", timeout)
        return self

    # Leaving.

    def close(self):
        self.source.close()

    def reset(self):
        """Disconnects as a crashed client does: with a reset, if the transport has one."""
        self.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.source.close()


def pump_all(streams, condition, what="what the test waits for", timeout=DEADLINE):
    """Reads many streams until condition(stream) holds for each of them."""
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        waiting = {stream for stream in streams if not condition(stream)}
        for stream in waiting:
            selector.register(stream, selectors.EVENT_READ)
        while waiting:
            left = deadline - time.monotonic()
            worst = next(iter(waiting))
            assert left > 0, f"{len(waiting)} streams without {what}: {worst.describe()}"
            for key, _ in selector.select(left):
                stream = key.fileobj
                stream.pump()
                if condition(stream):
                    waiting.discard(stream)
                    selector.unregister(stream)
                else:
                    assert not stream.eof, f"ended before {what}: {stream.describe()}"
