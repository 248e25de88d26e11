"""The torture run: whatever is killed, broken or moved, nothing is lost, repeated or out of order.

Hundreds of clients (clients.c) read with all kinds of filters, from rowtail itself and through lighttpd,
nginx and Apache, while writers (writer.c) insert. Meanwhile faults follow one another:
rowtail is killed or ended, web servers restart, rows are pruned, the database is vacuumed,
checkpointed, moved away, or replaced by a backup, writers die in a transaction, clocks jump, and clients
stall, read slowly and disconnect. One rowtail, the steady one, is never killed: the run reports its memory
and descriptors at the start and at the end.

Prints what happened, and exits with 1 if anything was lost, repeated, out of order, or wrong.
"""

import argparse
import collections
import contextlib
import itertools
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE.parent / "servers")]

import rowtail  # noqa: E402
from deployment import DEPLOYMENTS, Site  # noqa: E402
from webserver import as_user, give  # noqa: E402

SCHEMA = HERE.parents[1] / "schema"
SERVERS = ("lighttpd", "nginx", "apache")
SETTINGS = {"public": "yes", "heartbeat": "2", "stall-timeout": "5"}
KEYS = 64
WRONG = (
    "lost", "twice", "disorder", "foreign", "corrupt", "garbage", "needless", "untold", "unlike",
)  # fmt: skip
ANY_ID = (1 << 63) - 1
LIMIT_S = 150  # for what can only hang


class Failure(Exception):
    """Something that the run needs has failed."""


class Log:
    """The database, and what its administrator does with it."""

    def __init__(self, directory):
        self.path = directory / "db" / "events.db"
        self.backup = self.path.with_name("backup.db")
        self.path.parent.mkdir()
        give(self.path.parent)
        self.script(SCHEMA / "rowtail.sql")
        self.sql("CREATE TABLE torture_keys(key INTEGER PRIMARY KEY, id INTEGER, number INTEGER)")
        numbers = ", ".join(f"({key}, 0, 0)" for key in range(KEYS))
        self.sql(f"INSERT INTO torture_keys VALUES {numbers}")

    def sql(self, statement):
        """Runs a statement as the web server's user; returns what it prints."""
        command = as_user(["sqlite3", "-cmd", ".timeout 60000", str(self.path), statement])
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        if done.returncode:
            raise Failure(f"{statement}: {done.stderr}")
        return done.stdout

    def script(self, path):
        """sqlite3 events.db < PATH"""
        with path.open("rb") as script:
            command = as_user(["sqlite3", str(self.path)])
            subprocess.run(
                command, stdin=script, check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S
            )

    def newest(self):
        """The largest id ever given."""
        return int(self.sql("SELECT seq FROM sqlite_sequence WHERE name = 'events'") or 0)

    def wal_bytes(self):
        with contextlib.suppress(FileNotFoundError):
            return self.path.with_name("events.db-wal").stat().st_size
        return 0

    def retire(self):
        """Nobody writes: moves everything into the database file alone."""
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        for ending in "-wal", "-shm":
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def write_end(self, path):
        """Writes the end of the log, as clients.c reads it."""
        keys = self.sql("SELECT id || ' ' || number FROM torture_keys ORDER BY key")
        newest = self.sql("SELECT coalesce(max(id), 0) FROM events")
        path.write_text(keys + newest)


class Writer:
    """One process of writer.c."""

    serial = itertools.count(1)

    def __init__(self, tool, log, rate):
        self.arguments = [str(tool), str(log.path), str(next(self.serial)), str(rate)]
        self.process = subprocess.Popen(
            as_user(self.arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def order(self, word, answer):
        print(word, file=self.process.stdin, flush=True)
        if (line := self.process.stdout.readline().strip()) != answer:
            raise Failure(f"a writer said {line!r}, not {answer}")

    def end(self):
        """Lets it finish its transaction."""
        self.process.stdin.close()
        if self.process.wait(LIMIT_S):
            raise Failure(f"a writer ended with {self.process.returncode}")

    def kill(self):
        self.process.kill()
        self.process.wait()


class Clients:
    """The process of clients.c."""

    def __init__(self, tool, count, seed, targets):
        self.count = count
        self.process = subprocess.Popen(
            [str(tool), str(count), str(seed), *targets],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, order="tell"):
        """Gives an order; returns the counts in the answer."""
        print(order, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise Failure("the clients are gone")
        return json.loads(line)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Run:
    """All processes and all faults, by name."""

    def __init__(self, stack, directory, options):
        self.stack = stack
        self.directory = directory
        self.random = random.Random(options.seed)
        self.tools = pathlib.Path(options.build).resolve() / "torture"
        self.happened = collections.Counter()
        self.wal_most = 0
        self.log = Log(directory)
        self.clock = directory / "clock"
        self.clock.write_text("0")
        self.env = {"LD_PRELOAD": str(self.tools / "clock.so"), "TORTURE_CLOCK": str(self.clock)}
        self.sites = [self._site(name) for name in SERVERS]
        self.steady = self._steady()
        self.rate = options.rate / options.writers
        self.writers = [self._writer() for _ in range(options.writers)]
        stack.callback(lambda: [writer.kill() for writer in self.writers])
        targets = [f"unix:{self.steady.address}"]
        for site in self.sites:
            targets += [f"tcp:{site.server.port}", f"unix:{site.socket}"]
        self.clients = Clients(self.tools / "clients", options.clients, options.seed, targets)
        stack.callback(self.clients.kill)

    def _site(self, name):
        place = self.directory / name
        place.mkdir()
        site = Site(DEPLOYMENTS[name], place, self.log, SETTINGS)
        self.stack.callback(site.stop)
        site.start_rowtail(self.env)
        site.server.start()
        return site

    def _steady(self):
        """Uses deploy/rowtail.conf, and nobody kills it; its streams end after a while."""
        site = self.sites[0]
        address = self.directory / "steady" / "rowtail.sock"
        address.parent.mkdir()
        give(address.parent)
        words = as_user([site.binary, "--listen", address, "--max-stream-age", 30, site.config])
        steady = rowtail.Rowtail(
            address.parent, words[1:], how=None, program=words[0], address=address, env=self.env
        )
        self.stack.callback(lambda: steady.assert_clean(steady.cleanup()))
        return steady.start()

    def _writer(self):
        return Writer(self.tools / "writer", self.log, self.rate)

    @contextlib.contextmanager
    def _nobody_writes(self):
        for writer in self.writers:
            writer.order("pause", "paused")
        yield
        for writer in self.writers:
            writer.order("resume", "resumed")

    # Faults.

    def kill_rowtail(self):
        site = self.random.choice(self.sites)
        site.rowtail.kill()
        self._look_at(site)
        time.sleep(self.random.choice((0, 0, 0.1, 1)))
        site.start_rowtail(self.env)

    def end_rowtail(self):
        site = self.random.choice(self.sites)
        site.rowtail.stop()
        self._look_at(site)
        site.start_rowtail(self.env)

    def _look_at(self, site):
        site.rowtail.assert_clean(False)
        site.rowtail.stderr_path.unlink()

    def restart_server(self):
        site = self.random.choice(self.sites)
        site.server.stop()
        site.server.start()

    def kill_writer(self):
        self.writers.remove(victim := self.random.choice(self.writers))
        victim.kill()
        self.writers.append(self._writer())

    def prune(self):
        keep = self.random.choice((500, 5000, 20000))
        self.log.sql(
            "DELETE FROM events WHERE id <= coalesce("
            f"(SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET {keep}), 0)"
        )

    def vacuum(self):
        self.log.sql("VACUUM")

    def checkpoint(self):
        self.log.sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def back_up(self):
        self.log.backup.unlink(missing_ok=True)
        self.log.sql(f"VACUUM INTO '{self.log.backup}'")

    def restore(self):
        """Replaces the log by the backup: later rows are lost, and every client must get a gap."""
        if not self.log.backup.exists():
            self.back_up()
        with self._nobody_writes():
            self.clients.ask(f"restored {ANY_ID}")
            self.log.retire()
            self.log.backup.rename(self.log.path)
            self.log.sql("PRAGMA journal_mode = WAL")
            self.log.script(SCHEMA / "after-restore.sql")
            self.clients.ask(f"restored {self.log.newest()}")

    def move_away(self):
        aside = self.log.path.with_name("aside.db")
        with self._nobody_writes():
            self.log.retire()
            self.log.path.rename(aside)
            time.sleep(self.random.choice((0.05, 0.5, 2)))
            aside.rename(self.log.path)

    def jump_clock(self):
        self.clock.write_text(str(self.random.choice((0, 3600, -3600, 86400 * 365, -86400 * 365))))

    FAULTS = {
        kill_rowtail: 50,
        end_rowtail: 20,
        prune: 12,
        checkpoint: 5,
        restart_server: 5,
        kill_writer: 4,
        jump_clock: 3,
        back_up: 2,
        vacuum: 1,
        restore: 1,
        move_away: 2,
    }

    def break_something(self, name=None):
        faults = {fault.__name__: weight for fault, weight in self.FAULTS.items()}
        name = name or self.random.choices(list(faults), list(faults.values()))[0]
        getattr(self, name)()
        self.happened[name] += 1
        self.wal_most = max(self.wal_most, self.log.wal_bytes())

    # The whole run.

    def size_of_steady(self):
        return self.steady.resident_kib(), self.steady.open_files()

    def go(self, minutes, every):
        began = said = time.monotonic()
        time.sleep(min(5, minutes * 20))
        size = self.size_of_steady()
        # Each once, then at random.
        first = [fault.__name__ for fault in self.FAULTS]
        self.random.shuffle(first)
        while (now := time.monotonic()) < began + minutes * 60:
            self.break_something(first.pop() if first else None)
            if now - said > 30:
                said = now
                self.tell_progress(now - began)
            time.sleep(max(0, every - (time.monotonic() - now)))
        return size

    def tell_progress(self, seconds):
        told = self.clients.ask()
        kills = self.happened["kill_rowtail"] + self.happened["end_rowtail"]
        wrong = ", ".join(f"{name} {told[name]}" for name in WRONG)
        print(
            f"{seconds / 60:.1f} min: {told['deliveries']} deliveries, {kills} kills, "
            f"{told['connects']} connections; {wrong}",
            flush=True,
        )

    def finish(self):
        """Ends the writers; all clients read up to the end of the log; returns the counts."""
        time.sleep(2)
        size = self.size_of_steady()
        for writer in self.writers:
            writer.end()
        end = self.directory / "end"
        self.log.write_end(end)
        return self.clients.ask(f"finish {end}"), size


def report(run, counts, sizes, minutes):
    """Prints the counts; returns whether they are as expected."""
    kills = run.happened["kill_rowtail"], run.happened["end_rowtail"]
    rows = run.log.sql("SELECT sum(number) FROM torture_keys").strip()
    print(f"torture: {minutes} minutes, {', '.join(f'{n} {k}' for k, n in run.happened.items())}")
    print(f"  rows {rows}, deliveries {counts['deliveries']}")
    print(f"  kills {sum(kills)} ({kills[0]} by SIGKILL, {kills[1]} by SIGTERM), reconnects "
          f"{counts['connects'] - run.clients.count}, disconnected {counts['cuts']}, refused {counts['refused']}, "
          f"not connected {counts['unconnected']}")  # fmt: skip
    print(f"  clients that stalled {counts['stalls']}, read slowly {counts['trickles']}, vanished "
          f"{counts['vanished']}, started again {counts['anew']}")  # fmt: skip
    left = counts["gaps_pruned"] - counts["gaps_owed"] - counts["needless"]
    print(f"  gaps for deleted rows {counts['gaps_pruned']}: needed {counts['gaps_owed']}, "
          f"needless {counts['needless']}, undecidable {left} (a filter of types, a restored "
          f"file, no row since); gaps for a replaced file {counts['gaps_replaced']}; others "
          f"{counts['gaps_other']}")  # fmt: skip
    print("  the steady rowtail: memory {} KiB at the start, {} at the end; descriptors {}, {}"
          .format(*(size[i] for i in (0, 1) for size in sizes)))  # fmt: skip
    print(f"  WAL at most {run.wal_most / 1e6:.1f} MB")
    print("  " + ", ".join(f"{name} {counts[name]}" for name in WRONG))
    good = counts["deliveries"] > 0 and counts["gaps_other"] == 0
    return good and not any(counts[name] for name in WRONG)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, help="seconds between two faults")
    parser.add_argument("--clients", type=int, default=300)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1000, help="rows a second")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    options = parser.parse_args()
    options.every = options.every or (1.5 if options.minutes >= 10 else 0.7)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rowtail.raise_file_limit()
    print(f"torture: seed {options.seed}", flush=True)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="rt-"))
    directory.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        run = Run(stack, directory, options)
        size = run.go(options.minutes, options.every)
        counts, at_end = run.finish()
        good = report(run, counts, (size, at_end), options.minutes)
    print("torture: passed" if good else "torture: failed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
