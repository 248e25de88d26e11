"""Random sessions against a model: each client gets the rows it follows, in order, once.

The model is a list of all rows ever inserted. A client may miss only pruned rows, and then it gets a gap
record instead. A client that has the ends of all its channels is told to stop, and no other client is.
"""

import random

import pytest

import stream

CHANNELS = ["a", "b", "c/1", "c/2"]
ASKED = [["a"], ["b", "c/*"], ["*"], ["c/1"], ["a", "c/2"]]


def follows(asked, channel):
    return any(
        name in ("*", channel) or (name == "c/*" and channel.startswith("c/")) for name in asked
    )


class Client:
    """A client that reads when told to, and reconnects as an EventSource does."""

    def __init__(self, server, asked, newest=0):
        self.server = server
        self.asked = asked
        self.began = newest  # without an answer that says so
        self.stopped = False  # it got 204, so it does not come back
        self.got = []  # row ids, with "gap" between them
        self.peer = None
        self.position = None
        self.connect()

    def connect(self):
        query = [("channel", name) for name in self.asked]
        known = self.position or ""
        headers = {"Last-Event-ID": known} if known else {}
        self.peer = self.server.connect(known).ask(query, headers=headers).wait_head()
        self.stopped = self.peer.head.status == 204
        assert self.stopped or self.peer.head.status == 200, self.peer.describe()
        if not known and not self.stopped:
            self.began = int(self.peer.next().last_event_id)
        self.taken = 0
        self.note()

    def note(self):
        """Records what the parser has."""
        for event in self.peer.events[self.taken :]:
            if event.type == "gap":
                self.got.append("gap")
            elif event.type not in stream.CONTROL_TYPES:
                self.got.append(int(event.last_event_id))
        self.taken = len(self.peer.events)
        self.position = self.peer.parser.last_event_id or str(self.began)

    def read(self):
        self.peer.drain()
        self.note()
        if self.peer.eof and not self.stopped:
            self.connect()

    def reconnect(self):
        self.note()
        self.peer.close()
        self.connect()

    def catch_up(self, newest):
        """Reads until the row with this id; a stream may end within a pruned row."""
        while self.got[-1:] != [newest]:
            self.peer.wait(lambda: self.peer.eof or newest in self.peer.ids[-1:], f"row {newest}")
            self.note()
            if self.peer.eof:
                self.reconnect()

    def check(self, rows, pruned):
        """rows: (id, channel) of all that was ever inserted; pruned: the ids that were deleted."""
        wanted = [id for id, channel in rows if id > self.began and follows(self.asked, channel)]
        got = [entry for entry in self.got if entry != "gap"]
        assert got == sorted(set(got))
        assert set(got) <= set(wanted)
        missed = set(wanted) - set(got)
        assert missed <= pruned
        excused, position = False, self.began
        for entry in self.got:
            if entry == "gap":
                excused = True
                continue
            skipped = [id for id in wanted if position < id < entry]
            assert excused or not skipped, f"{skipped} before {entry} were skipped without a gap"
            position, excused = entry, False


class Session:
    """The log, the process and the clients, and what can happen to them."""

    def __init__(self, seed, server, log):
        self.source = random.Random(seed)
        self.server, self.log = server, log
        self.rows, self.pruned, self.ended = [], set(), {}  # ended: the id of each end
        self.clients = [Client(server, asked) for asked in ASKED]

    def insert(self):
        self.log.sql("BEGIN IMMEDIATE")
        for _ in range(self.source.choice([1, 1, 3, 40])):
            channel = self.source.choice(CHANNELS)
            if channel in self.ended:
                continue
            text = "x" * self.source.choice([0, 10, 1000, 100000])
            self.rows.append((self.log.insert(text, channel=channel), channel))
        self.log.sql("COMMIT")

    def end(self):
        channel = self.source.choice(CHANNELS)
        if channel not in self.ended:
            self.ended[channel] = self.log.insert("over", channel=channel, event="end")
            self.rows.append((self.ended[channel], channel))

    def open_again(self):
        """Whoever had been told to stop comes back, as after a reload."""
        if self.ended:
            channel = self.source.choice(sorted(self.ended))
            del self.ended[channel]
            self.log.sql("DELETE FROM events_ended WHERE channel = ?", channel)
            for client in self.clients:
                if client.stopped and channel in client.asked:
                    client.connect()

    def is_over(self, client):
        """Has the client the ends of all its channels?"""
        return all(int(client.position) >= self.ended.get(channel, 1 << 60) for channel in client.asked)

    def prune(self):
        if self.rows:
            limit = self.source.choice(self.rows)[0]
            self.pruned |= {id for id, _ in self.rows if id <= limit}
            self.log.prune(limit)

    def read(self):
        self.source.choice(self.clients).read()

    def reconnect(self):
        self.source.choice(self.clients).reconnect()

    def new_client(self):
        newest = self.rows[-1][0] if self.rows else 0
        self.clients.append(Client(self.server, self.source.choice(ASKED), newest))

    def crash(self):
        self.server.kill().restart()
        for client in self.clients:
            client.peer.wait_end()
            client.reconnect()

    def run(self, steps):
        happenings = [self.insert] * 8 + [self.read] * 8 + [self.reconnect] * 3
        happenings += [self.prune, self.new_client, self.end, self.open_again]
        for step in range(steps):
            self.source.choice(happenings)()
            for client in self.clients:
                assert self.is_over(client) or not client.stopped
            if step == steps // 2:
                self.crash()
        while self.ended:
            self.open_again()
        for channel in CHANNELS:
            self.rows.append((self.log.insert("end", channel=channel), channel))
        for _ in CHANNELS:
            self.end()

    def check(self):
        for client in self.clients:
            last = [id for id, channel in self.rows if follows(client.asked, channel)][-1]
            client.catch_up(last)
            client.check(self.rows, self.pruned)
            if self.is_over(client) and not client.stopped:
                client.peer.wait_end()
                client.reconnect()
            assert client.stopped == self.is_over(client)


@pytest.mark.parametrize("seed", range(6))
def test_random_session(server, log, seed):
    session = Session(seed, server, log)
    session.run(120)
    session.check()
