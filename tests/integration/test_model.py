"""Random sessions against a model: each client gets the rows it follows, in order, once.

The model is a list of all rows ever inserted. A client may miss only pruned rows, and then it gets a gap
record instead.
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

    def __init__(self, server, asked):
        self.server = server
        self.asked = asked
        self.got = []  # row ids, with "gap" between them
        self.peer = None
        self.position = None
        self.connect()

    def connect(self):
        query = [("channel", name) for name in self.asked]
        self.peer = self.server.open(query, last_event_id=self.position)
        if self.position is None:
            self.began = int(self.peer.first.last_event_id)
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
        self.position = self.peer.parser.last_event_id

    def read(self):
        self.peer.drain()
        self.note()

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
        self.rows, self.pruned = [], set()
        self.clients = [Client(server, asked) for asked in ASKED]

    def insert(self):
        self.log.sql("BEGIN IMMEDIATE")
        for _ in range(self.source.choice([1, 1, 3, 40])):
            channel = self.source.choice(CHANNELS)
            text = "x" * self.source.choice([0, 10, 1000, 100000])
            self.rows.append((self.log.insert(text, channel=channel), channel))
        self.log.sql("COMMIT")

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
        self.clients.append(Client(self.server, self.source.choice(ASKED)))

    def crash(self):
        self.server.kill().restart()
        for client in self.clients:
            client.peer.wait_end()
            client.reconnect()

    def run(self, steps):
        happenings = [self.insert] * 8 + [self.read] * 8 + [self.reconnect] * 3
        happenings += [self.prune, self.new_client]
        for step in range(steps):
            self.source.choice(happenings)()
            if step == steps // 2:
                self.crash()
        for channel in CHANNELS:
            self.rows.append((self.log.insert("end", channel=channel), channel))

    def check(self):
        for client in self.clients:
            last = [id for id, channel in self.rows if follows(client.asked, channel)][-1]
            client.catch_up(last)
            client.check(self.rows, self.pruned)


@pytest.mark.parametrize("seed", range(6))
def test_random_session(server, log, seed):
    session = Session(seed, server, log)
    session.run(120)
    session.check()
