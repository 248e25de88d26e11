"""Free ports on the loopback interface."""

import socket

_given = set()


def free_port():
    """A TCP port on which nobody listens, and which this function has not returned before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port
