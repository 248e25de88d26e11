"""Event streams over one HTTP/2 connection, as a browser opens them."""

import select
import socket
import ssl
import time

import h2.config
import h2.connection
import h2.events
import h2.settings

import sse
import stream


class Connection:
    """One TLS connection that has negotiated h2.

    limit     SETTINGS_MAX_CONCURRENT_STREAMS of the server
    parsers   for each stream id, what has arrived on it
    """

    def __init__(self, address):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection(address, stream.DEADLINE)
        self._socket = context.wrap_socket(raw, server_hostname="localhost")
        assert self._socket.selected_alpn_protocol() == "h2", "the server speaks no HTTP/2"
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.parsers = {}
        self.statuses = {}
        self._settled = False
        self._h2.initiate_connection()
        self._flush()
        self.wait(lambda: self._settled, "SETTINGS")
        self.limit = self._h2.remote_settings.max_concurrent_streams

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def open(self, target):
        """Requests one more stream."""
        number = self._h2.get_next_available_stream_id()
        head = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", target),
            ("accept", "text/event-stream"),
        ]
        self._h2.send_headers(number, head, end_stream=True)
        self.parsers[number] = sse.Parser()
        self._flush()
        return number

    def cancel(self, number):
        """Sends RST_STREAM, as close() of an EventSource does."""
        self._h2.reset_stream(number)
        self._flush()

    def served(self):
        """The streams on which an event has arrived."""
        return [number for number, parser in self.parsers.items() if parser.events]

    def wait(self, condition, what, timeout=stream.DEADLINE):
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"no {what} within {timeout} s; served {len(self.served())}"
            self.pump(left)
        return self

    def pump(self, timeout):
        """Reads what has arrived, and waits for it at most this long."""
        if self._socket.pending() or select.select([self._socket], [], [], timeout)[0]:
            chunk = self._socket.recv(1 << 16)
            assert chunk, "the server closed the connection"
            for event in self._h2.receive_data(chunk):
                self._take(event)
            self._flush()

    def settle(self, quiet_s):
        """Reads until nothing has arrived for so long."""
        quiet_since = time.monotonic()
        count = len(self.served())
        while time.monotonic() - quiet_since < quiet_s:
            self.pump(0.05)
            if len(self.served()) != count:
                count, quiet_since = len(self.served()), time.monotonic()

    def _take(self, event):
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self._settled = True
        elif isinstance(event, h2.events.ResponseReceived):
            self.statuses[event.stream_id] = dict(event.headers)[b":status"]
        elif isinstance(event, h2.events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id in self.parsers:
                self.parsers[event.stream_id].feed(event.data)

    def _flush(self):
        self._socket.sendall(self._h2.data_to_send())
