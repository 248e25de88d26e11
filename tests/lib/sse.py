"""The oracle: a parser of event streams, written from the HTML standard alone.

Source: HTML Living Standard, section 9.2 "Server-sent events", 9.2.5 "Parsing an event stream" and
9.2.6 "Interpreting an event stream". It knows nothing of rowtail's encoder. It is incremental: the
bytes may be cut anywhere, inside a character or between a CR and its LF.
"""

import codecs
from typing import NamedTuple


class Event(NamedTuple):
    """What a page's listener receives."""

    type: str
    data: str
    last_event_id: str


class Parser:
    """Feed it the bytes of one response; after a reconnection, a new parser takes over the position.

    events             every event dispatched so far
    last_event_id      the last event ID string: what the Last-Event-ID header would be
    reconnection_time  in ms, None until a `retry` field sets it
    retries            every valid `retry` field, in order
    comments           the text after the colon of every comment line
    empty_blocks       how many times an empty line dispatched nothing
    """

    def __init__(self, last_event_id=""):
        self.events = []
        self.last_event_id = last_event_id
        self.reconnection_time = None
        self.retries = []
        self.comments = []
        self.empty_blocks = 0
        # "UTF-8 decode" drops one leading BOM and turns each ill-formed part into U+FFFD.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = True
        self._skip_lf = False
        self._line = []
        self._data = []
        self._type = ""
        self._id = last_event_id

    def feed(self, chunk):
        """Parses more bytes and returns the events that they complete."""
        before = len(self.events)
        text = self._decoder.decode(bytes(chunk))
        if self._at_start and text:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        self._split(text)
        return self.events[before:]

    @property
    def pending(self):
        """Whether an event has begun that no empty line has ended. A client discards it at the end."""
        return bool(self._line or self._data or self._type)

    def _split(self, text):
        """Ends lines at CRLF, LF or CR."""
        if self._skip_lf and text:
            text = text.removeprefix("\n")
            self._skip_lf = False
        if text.endswith("\r"):
            self._skip_lf = True
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if lines:
            lines[0] = "".join([*self._line, lines[0]])
            self._line = []
        for line in lines:
            self._interpret(line)
        if rest:
            self._line.append(rest)

    def _interpret(self, line):
        if line == "":
            self._dispatch()
        elif line.startswith(":"):
            self.comments.append(line[1:])
        else:
            field, _, value = line.partition(":")
            self._process(field, value.removeprefix(" "))

    def _process(self, field, value):
        if field == "event":
            self._type = value
        elif field == "data":
            self._data.append(value)
        elif field == "id":
            if "\0" not in value:
                self._id = value
        elif field == "retry":
            if value.isascii() and value.isdigit():
                self.reconnection_time = int(value)
                self.retries.append(self.reconnection_time)

    def _dispatch(self):
        self.last_event_id = self._id
        if self._data:
            # Each data field appends its value and a LF; the last LF is dropped.
            event = Event(self._type or "message", "\n".join(self._data), self.last_event_id)
            self.events.append(event)
        else:
            self.empty_blocks += 1
        self._data = []
        self._type = ""


def parse(stream):
    """All events of a complete stream."""
    return Parser().feed(stream)


def as_received(text):
    """What a page gets for a payload: each line break (CR, LF or CRLF) becomes one LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
