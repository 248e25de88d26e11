"""The load generator of tests/bench (load.c), as the bench and the tests use it.

Its rows say which id they have (tests/bench/payload.h), so it checks every stream for what is lost, twice, out of order or
broken.
"""

import contextlib
import json
import subprocess


class Failure(AssertionError):
    """A delivery that was wrong, or a process that did not do its part."""


class Load:
    """Subscribers of one target, in a process of their own; the options are those of load.c.

    wrong    the counts of its report that must be 0
    """

    wrong = ("late", "lost", "twice", "corrupt", "garbage", "gaps")

    def __init__(self, program, target, deadline_s, **options):
        command = [program, "--connect", target, "--deadline-ms", deadline_s * 1000]
        for name, value in options.items():
            command += [f"--{name}"] if value is True else [f"--{name}", value]
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def next(self, state):
        """Waits for its next report, which must be of this state."""
        line = self.process.stdout.readline()
        told = json.loads(line) if line else {}
        if told.get("state") != state:
            raise Failure(f"the load generator said {line!r}, not that it is {state}")
        return told

    def wait_open(self):
        """Waits until every stream has had its first record, or was refused; returns the report."""
        return self.next("open")

    def order(self, text):
        """Says "stop" or "resume N"."""
        with contextlib.suppress(BrokenPipeError):  # it has ended: wait_done() says why
            print(text, file=self.process.stdin, flush=True)

    def wait_done(self, check=True):
        """Waits until every stream has what it was to get; raises Failure if anything was wrong."""
        told = self.next("done")
        wrong = {name: told[name] for name in self.wrong if told[name]}
        if wrong and check:
            raise Failure(f"deliveries went wrong: {wrong} of {told}")
        return told
