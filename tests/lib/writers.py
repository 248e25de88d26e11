"""Programs that write to a database, and crash or keep locks as real ones do."""

import contextlib
import signal
import subprocess
import sys

HALF = """
import os, signal, sqlite3, sys
log = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
log.execute("PRAGMA journal_mode=" + sys.argv[2])
log.execute("PRAGMA cache_size=1")
log.execute("BEGIN IMMEDIATE")
for _ in range(300):
    log.execute("INSERT INTO events(channel, data) VALUES ('half', ?)", ("x" * 1000,))
os.kill(os.getpid(), signal.SIGKILL)
"""

HOLD = """
import sqlite3, sys
log = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
for statement in sys.argv[2:]:
    log.execute(statement).fetchall()
print("holds", flush=True)
sys.stdin.read()
"""


def die_in_mid_write(path, mode="DELETE"):
    """A program that is killed when part of its transaction is already in the database."""
    done = subprocess.run([sys.executable, "-c", HALF, path, mode], timeout=60)
    assert done.returncode == -signal.SIGKILL


@contextlib.contextmanager
def holding(path, *statements, before=()):
    """Starts a program that runs these statements and keeps its connection open; returns the process.

    before: a prefix of its command.
    """
    command = [*before, sys.executable, "-c", HOLD, str(path), *statements]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "holds\n"
        yield holder
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()
