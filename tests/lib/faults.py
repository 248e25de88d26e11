"""Faults that are switched on and off while rowtail runs; see tests/faults/vfs.c and memory.c."""

import contextlib
import pathlib
import time

import rowtail
import stream

BUILT = rowtail.ROOT / "build" / "faults"


class Faults:
    """The control file of one of the two objects, for one process."""

    def __init__(self, workdir, name, library):
        self.plan_path = pathlib.Path(workdir) / f"{name}.plan"
        self.hits_path = pathlib.Path(workdir) / f"{name}.hits"
        self.serial = 0
        self.env = {
            "LD_PRELOAD": str(BUILT / library),
            "FAULT_PLAN": str(self.plan_path),
            "FAULT_HITS": str(self.hits_path),
            "ASAN_OPTIONS": "verify_asan_link_order=0",
        }
        self.stop()

    def plan(self, *words):
        """From the next call on this is the plan; nothing was hit yet."""
        self.hits_path.write_bytes(b"")
        self.serial += 1
        self._write(" ".join(map(str, (self.serial, *words))) + "\n")

    def stop(self):
        self._write("")

    def _write(self, line):
        """At one stroke: nobody reads half a plan."""
        fresh = self.plan_path.with_suffix(".new")
        fresh.write_text(line)
        fresh.rename(self.plan_path)

    @property
    def hits(self):
        """How many calls were made to fail by this plan."""
        return self.hits_path.stat().st_size

    def wait_hits(self, count, timeout=stream.DEADLINE):
        """Waits until so many calls have failed."""
        deadline = time.monotonic() + timeout
        while self.hits < count:
            assert time.monotonic() < deadline, f"{self.hits} calls have failed, not {count}"
            time.sleep(0.005)

    @contextlib.contextmanager
    def during(self, *words):
        """The plan holds within the block, and must have hit something."""
        self.plan(*words)
        try:
            yield self
        finally:
            self.stop()
        assert self.hits > 0, f"{words} never happened"


class Files(Faults):
    """plan(METHOD, FILE, ERROR, TIMES)."""

    def __init__(self, workdir, name="files"):
        super().__init__(workdir, name, "vfs.so")


class Memory(Faults):
    """plan(FIRST, LAST, EVERY): of the allocations from now on."""

    def __init__(self, workdir, name="memory"):
        super().__init__(workdir, name, "memory.so")
