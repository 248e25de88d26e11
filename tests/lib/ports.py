"""Free ports on the loopback interface.

Test processes run side by side. Each takes its ports from a range of its own, below those from which the kernel takes
the ports of outgoing connections; so nobody else gets a port between free_port() and the start of the server.
"""

import errno
import random
import socket

FIRST, COUNT, RANGES = 10000, 500, 44
_held = None  # the lock: an abstract socket, which goes when the process ends
_range = None
_given = set()


def _take_range():
    global _held, _range
    for number in random.sample(range(RANGES), RANGES):
        _held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            _held.bind(f"\0rowtail-test-ports-{number}")
        except OSError as error:
            _held.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        _range = range(FIRST + number * COUNT, FIRST + (number + 1) * COUNT)
        return
    raise RuntimeError(f"{RANGES} test processes run here already")


def _is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port():
    """A TCP port that nobody listens on at the moment, and that was not given to anybody here before."""
    if _range is None:
        _take_range()
    fresh = [port for port in _range if port not in _given]
    if not fresh:  # after so long, the first are free again
        _given.clear()
        fresh = list(_range)
    port = next(filter(_is_free, random.sample(fresh, len(fresh))))
    _given.add(port)
    return port
