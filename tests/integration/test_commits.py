"""Every commit is noticed at once, however slow the disk is and whatever came before.

With --poll 60000 a row that comes soon was noticed by the watch. The writers' fsync is made slow: the
notice of a commit comes before its fsync, and the commit is visible only behind it.
"""

import json
import os
import subprocess
import sys
import time

import pytest

import database

# It takes milliseconds; the tests tolerate a busy machine, but not a row that waits for a poll.
BEARABLE_S = 0.5
WATCH_ONLY = ("--poll", 60000, "--heartbeat", 3600)

SLOW_DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static void wait_for_disk(void) { usleep(1000 * (useconds_t)atoi(getenv("FSYNC_MS"))); }
int fsync(int fd) { wait_for_disk(); return 0; }
int fdatasync(int fd) { wait_for_disk(); return 0; }
"""

# Inserts bursts of rows, one transaction each; prints when each COMMIT returned.
WRITER = """
import json, sqlite3, sys, time
path, name, bursts, size, pause_ms, synchronous = sys.argv[1:]
log = sqlite3.connect(path, timeout=60, isolation_level=None)
log.execute(f"PRAGMA synchronous={synchronous}")
done = []
for burst in range(int(bursts)):
    for number in range(int(size)):
        row = log.execute("INSERT INTO events(data) VALUES (?)", (f"{name} {burst} {number}",))
        done.append((row.lastrowid, time.clock_gettime(time.CLOCK_MONOTONIC)))
    time.sleep(int(pause_ms) / 1000)
json.dump(done, sys.stdout)
"""


@pytest.fixture(scope="module")
def slow_disk(tmp_path_factory):
    """slow_disk(ms): an environment in which fsync takes this long."""
    library = tmp_path_factory.mktemp("slow") / "slow.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"]
    subprocess.run(command, input=SLOW_DISK, text=True, check=True)
    return lambda ms: {**os.environ, "LD_PRELOAD": str(library), "FSYNC_MS": str(ms)}


def write(log, env, name, bursts, size, pause_ms=40, synchronous="FULL"):
    """Starts a writer."""
    words = [str(word) for word in (log.path, name, bursts, size, pause_ms, synchronous)]
    command = [sys.executable, "-c", WRITER, *words]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def lateness(peer, writers, rows):
    """The delay from COMMIT to arrival of each row, longest first."""
    arrived = {}
    for _ in range(rows):
        row = int(peer.next_row(timeout=30).last_event_id)
        arrived[row] = time.clock_gettime(time.CLOCK_MONOTONIC)
    committed = {}
    for writer in writers:
        committed.update(json.loads(writer.communicate()[0]))
    assert committed.keys() == arrived.keys()
    return sorted((arrived[row] - when for row, when in committed.items()), reverse=True)


# In rollback mode a writer locks readers out while it waits for the disk, so nobody reads in a slow burst.
@pytest.mark.parametrize(
    "journal, fsync_ms",
    [(journal, ms) for journal in ("wal", "delete", "truncate", "persist") for ms in (0, 8)]
    + [("wal", 100)],
)
def test_bursts_of_commits(launch, log, slow_disk, journal, fsync_ms):
    log.sql(f"PRAGMA journal_mode={journal}")
    peer = launch(*WATCH_ONLY).open()
    bursts = 2 if fsync_ms > 50 else 5
    writer = write(log, slow_disk(fsync_ms), "w", bursts, 3)
    assert lateness(peer, [writer], 3 * bursts)[0] < BEARABLE_S


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
def test_many_bursts_on_a_fast_disk(launch, log, slow_disk, synchronous):
    """A notification can arrive when only the previous commit is visible."""
    peer = launch(*WATCH_ONLY).open()
    writers = [write(log, slow_disk(0), "w", 25, 3, 10, synchronous)]
    assert lateness(peer, writers, 75)[0] < BEARABLE_S


def test_a_long_burst(launch, log, slow_disk):
    peer = launch(*WATCH_ONLY).open()
    assert lateness(peer, [write(log, slow_disk(2), "w", 1, 50)], 50)[0] < BEARABLE_S


def test_writers_side_by_side(launch, log, slow_disk):
    peer = launch(*WATCH_ONLY).open()
    writers = [write(log, slow_disk(ms), f"w{ms}", 4, 2) for ms in (0, 4, 20)]
    assert lateness(peer, writers, 24)[0] < BEARABLE_S


def test_two_inserts_by_the_command_line_tool(launch, log, slow_disk):
    peer = launch(*WATCH_ONLY).open()
    for _ in range(3):
        inserts = "INSERT INTO events(data) VALUES ('a'); INSERT INTO events(data) VALUES ('b');"
        subprocess.run(["sqlite3", log.path, inserts], env=slow_disk(8), check=True)
        began = time.monotonic()
        assert [peer.next_row().data for _ in range(2)] == ["a", "b"]
        assert time.monotonic() - began < BEARABLE_S


def test_commits_to_other_tables(launch, log, slow_disk):
    """Other tables of the application change all the time, and sometimes events too."""
    log.sql("CREATE TABLE other(x)")
    peer = launch(*WATCH_ONLY).open()
    with database.Database(log.path) as writer:
        for number in range(20):
            for _ in range(3):
                writer.sql("INSERT INTO other VALUES (1)")
            began = time.monotonic()
            writer.insert(f"row {number}")
            writer.sql("INSERT INTO other VALUES (2)")
            assert peer.next_row().data == f"row {number}"
            assert time.monotonic() - began < BEARABLE_S
