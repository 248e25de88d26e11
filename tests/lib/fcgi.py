"""The web server's side of FastCGI: a small client that can also misbehave.

Source: FastCGI Specification 1.0; the numbers in the comments are its sections.
"""

import struct
from typing import NamedTuple

import gateway
import stream

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = 1, 2, 3, 4, 5, 6, 7
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
KEEP_CONN = 1
REQUEST_COMPLETE, CANT_MPX_CONN, OVERLOADED, UNKNOWN_ROLE = 0, 1, 2, 3
CONTENT_MAX = 65535


class Record(NamedTuple):
    type: int
    id: int
    content: bytes


class End(NamedTuple):
    """5.5: how a request ended."""

    app_status: int
    protocol_status: int


def record(kind, request_id=1, content=b"", padding=0):
    """3.3: one record."""
    head = struct.pack(">BBHHBx", 1, kind, request_id, len(content), padding)
    return head + content + bytes(padding)


def begin(request_id=1, role=RESPONDER, flags=0):
    """5.1: FCGI_BEGIN_REQUEST."""
    return record(BEGIN_REQUEST, request_id, struct.pack(">HB5x", role, flags))


def abort(request_id=1):
    """5.4: FCGI_ABORT_REQUEST."""
    return record(ABORT_REQUEST, request_id)


def pairs(items):
    """3.4: name-value pairs, of a dict or a list of (name, value)."""
    out = bytearray()
    for name, value in items.items() if isinstance(items, dict) else items:
        name, value = _bytes(name), _bytes(value)
        out += _length(len(name)) + _length(len(value)) + name + value
    return bytes(out)


def unpairs(content):
    """The name-value pairs of a record, as a list."""
    found, at = [], 0
    while at < len(content):
        name_length, at = _read_length(content, at)
        value_length, at = _read_length(content, at)
        name = content[at : at + name_length]
        at += name_length
        found.append((name.decode(), content[at : at + value_length].decode()))
        at += value_length
    return found


def data(kind, request_id, content, chunk=CONTENT_MAX, padding=0):
    """3.3: a stream of records of at most `chunk` bytes, ended by an empty one.

    The empty one has no padding: no web server pads it, and libfcgi cannot handle that.
    """
    cuts = range(0, len(content), chunk)
    records = [record(kind, request_id, content[at : at + chunk], padding) for at in cuts]
    return b"".join(records) + record(kind, request_id)


def request(
    params, body=b"", *, request_id=1, role=RESPONDER, flags=0, chunk=CONTENT_MAX, padding=0
):
    """A whole request as bytes."""
    return (
        begin(request_id, role, flags)
        + data(PARAMS, request_id, pairs(params), chunk, padding)
        + data(STDIN, request_id, body, chunk, padding)
    )


class Connection(stream.Stream):
    """A connection to a FastCGI program, and the answer on it.

    records     every record that came back
    end         an End, once FCGI_END_REQUEST for our request has come
    other_ends  id: End of requests that are not ours
    stderr      what came as FCGI_STDERR
    """

    def __init__(self, address, last_event_id=""):
        super().__init__(stream.connect(address), last_event_id)
        self.request_id = 1
        self.records = []
        self.end = None
        self.other_ends = {}
        self.stderr = bytearray()
        self._partial = bytearray()

    def send(self, raw):
        """Sends bytes unchanged; they must fit into the socket or be read soon."""
        self.source.settimeout(stream.DEADLINE)
        self.source.sendall(raw)
        self.source.setblocking(False)
        return self

    def ask(self, query="", *, request_id=1, flags=0, chunk=CONTENT_MAX, padding=0, **how):
        """Sends a request; `how` is passed to gateway.params()."""
        self.request_id = request_id
        whole = request(
            gateway.params(query, **how),
            how.get("body", b""),
            request_id=request_id,
            flags=flags,
            chunk=chunk,
            padding=padding,
        )
        return self.send(whole)

    def decode(self, chunk):
        self._partial += chunk
        at = 0
        while len(self._partial) - at >= 8:
            version, kind, request_id, length, padding = struct.unpack_from(
                ">BBHHB", self._partial, at
            )
            assert version == 1, f"a record of version {version}: {bytes(self._partial[at:])!r}"
            if len(self._partial) - at < 8 + length + padding:
                break
            content = bytes(self._partial[at + 8 : at + 8 + length])
            at += 8 + length + padding
            self._on_record(Record(kind, request_id, content))
        del self._partial[:at]

    def _on_record(self, got):
        assert self.end is None, f"a record after END_REQUEST: {got!r}"
        self.records.append(got)
        if got.type == END_REQUEST:
            self._on_end(got.id, End(*struct.unpack(">IB3x", got.content)))
        elif got.type in (STDOUT, STDERR):
            assert got.id == self.request_id, f"output of request {got.id}, not ours"
            if got.type == STDOUT:
                self.content(got.content)
            else:
                self.stderr += got.content

    def _on_end(self, request_id, end):
        if request_id == self.request_id:
            self.end = end
        else:
            self.other_ends[request_id] = end

    def wait_record(self, kind, timeout=stream.DEADLINE):
        """The first record of this type."""

        def found():
            return [got for got in self.records if got.type == kind]

        self.wait(found, f"record of type {kind}", timeout)
        return found()[0]

    def wait_complete(self, timeout=stream.DEADLINE):
        """Reads until END_REQUEST and the end of the connection after it."""
        self.wait_end(timeout)
        assert self.end is not None, f"closed without END_REQUEST; {self.describe()}"
        assert not self._partial, f"closed within a record; {self.describe()}"
        return self


def get_values(address, names):
    """4.1: asks for variables; returns the list of pairs of the answer."""
    with Connection(address) as peer:
        peer.send(record(GET_VALUES, 0, pairs([(name, "") for name in names])))
        return unpairs(peer.wait_record(GET_VALUES_RESULT).content)


def _bytes(text):
    return text.encode() if isinstance(text, str) else bytes(text)


def _length(number):
    return bytes([number]) if number < 128 else struct.pack(">I", number | 0x80000000)


def _read_length(content, at):
    if content[at] < 128:
        return content[at], at + 1
    return struct.unpack_from(">I", content, at)[0] & 0x7FFFFFFF, at + 4
