"""EventSource, as the HTML standard describes it, in Python: it reconnects, resumes and gives up.

Source: HTML Living Standard, section 9.2.3 "Processing model". After a network error, or the end of an
answer, it reconnects after its reconnection time, with the last event ID. Any status except 200 and any other
content type end it for good; here that fails the test. One simplification: a reconnection time above
`patience_s` is reduced to it, so that tests are short.
"""

import select
import threading
import time

import database
import httpc
import stream


class Follower:
    """One EventSource.

    ids   the ids of all rows received, in order of arrival
    told  rowtail's own records besides `position`: (type, data)
    """

    patience_s = 0.3

    def __init__(self, address, target):
        self.address = address
        self.target = target
        self.ids = []
        self.told = []
        self.connections = 0
        self.last_event_id = ""
        self.retry_s = self.patience_s
        self.response = None
        self.due = 0.0
        self.before = "nothing yet"  # the previous answer, for failure messages
        self._seen = 0

    def connect(self):
        """Requests the stream; if nobody accepts, retries later."""
        self.due = time.monotonic() + self.retry_s
        self._seen = 0
        try:
            self.response = httpc.open_request(
                self.address, self.target, last_event_id=self.last_event_id
            )
        except OSError:
            self.response = None

    def pump(self):
        """Reads what has arrived."""
        response = self.response
        response.pump()
        if response.head is not None:
            assert response.head.status == 200, f"gave up: {response.describe()}"
            kind = response.head.get("Content-Type").split(";")[0]
            assert kind == "text/event-stream", f"gave up: {response.describe()}"
        for event in response.events[self._seen :]:
            if event.type not in stream.CONTROL_TYPES:
                self.ids.append(int(event.last_event_id))
            elif event.type != "position":
                self.told.append((event.type, event.data))
        self._seen = len(response.events)
        if response.eof or response.complete:
            self._ended()

    def _ended(self):
        parser = self.response.parser
        self.connections += self.response.head is not None
        self.before = self.response.describe()
        self.last_event_id = parser.last_event_id
        if parser.reconnection_time is not None:
            self.retry_s = min(parser.reconnection_time / 1000, self.patience_s)
        self.close()
        self.due = time.monotonic() + self.retry_s

    def close(self):
        if self.response:
            self.response.close()
            self.response = None


class Crowd:
    """Many followers, read in turns."""

    def __init__(self, address, target, size):
        self.followers = [Follower(address, target) for _ in range(size)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for follower in self.followers:
            follower.close()

    def run(self, seconds=None, until=None, timeout=stream.DEADLINE):
        """Runs for so long, or until until(follower) holds for each."""
        deadline = time.monotonic() + (timeout if seconds is None else seconds)
        while time.monotonic() < deadline:
            if until and all(map(until, self.followers)):
                return
            self._turn(deadline)
        assert seconds is not None, f"not all in {timeout} s: {self.describe()}"

    def run_to_news(self, publisher):
        """Runs until each follower has a row that is inserted from now on: all are connected."""
        known = publisher.newest()
        self.run(until=lambda follower: follower.ids and follower.ids[-1] > known)

    def _turn(self, deadline):
        now = time.monotonic()
        poller, connected = select.poll(), {}
        for follower in self.followers:
            if follower.response is None and follower.due <= now:
                follower.connect()
            if follower.response:
                poller.register(follower.response, select.POLLIN)
                connected[follower.response.fileno()] = follower
        for number, _ in poller.poll(max(0, min(0.02, deadline - now)) * 1000):
            connected[number].pump()

    def describe(self):
        counts = [(len(one.ids), one.connections) for one in self.followers]
        first = self.followers[0]
        now = first.response.describe() if first.response else "not connected"
        return f"(rows, connections): {counts}; told {first.told}; now {now}; before {first.before}"


class Publisher:
    """Another program that inserts rows, one transaction each, until told to stop."""

    def __init__(self, log, pause_s=0.01):
        self.path = log.path
        self.pause_s = pause_s
        self.ids = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def _publish(self):
        log = database.Database(self.path)
        while not self._stop.is_set():
            self.ids.append(log.insert(f"row {len(self.ids) + 1}"))
            time.sleep(self.pause_s)
        log.close()

    def newest(self):
        """The id of the newest row; 0: there is none yet."""
        return self.ids[-1] if self.ids else 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        self._thread.join()


def assert_whole(crowd, expected):
    """Asserts that each follower received every row once, in order, and no gap."""
    for follower in crowd.followers:
        lost = sorted(set(expected) - set(follower.ids))
        assert not lost, f"lost {lost[:10]} ({len(lost)}) over {follower.connections} connections"
        assert follower.ids == expected, "a row came twice or out of order"
        assert not follower.told


def finish(crowd, publisher):
    """Stops inserting, waits until every follower has the newest row, and asserts that each received all rows."""
    publisher.stop()
    newest = publisher.ids[-1]
    crowd.run(until=lambda follower: follower.ids[-1:] == [newest])
    assert_whole(crowd, publisher.ids)
