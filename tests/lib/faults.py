"""Faults that are switched on and off while rowtail runs; see tests/faults."""

import contextlib
import pathlib
import subprocess
import time

import rowtail
import stream

BUILT = rowtail.ROOT / "build" / "faults"

# An environment in which libuv refuses handles that were never started or have ended.
STRICT_LIBUV = {
    "LD_PRELOAD": str(BUILT / "handles.so"),
    "ASAN_OPTIONS": "verify_asan_link_order=0",
}


class Faults:
    """The control file of one of the objects, for one process."""

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

    def begin(self, text):
        """Sets the plan from the next call on, and resets the hits."""
        self.hits_path.write_bytes(b"")
        self.serial += 1
        self._write(f"{self.serial}{text}\n")

    def stop(self):
        self._write("")

    def _write(self, line):
        """Writes atomically, so that nobody reads half a plan."""
        fresh = self.plan_path.with_suffix(".new")
        fresh.write_text(line)
        fresh.rename(self.plan_path)

    @property
    def hits(self):
        """How many calls this plan has made fail."""
        return self.hits_path.stat().st_size

    def wait_hits(self, count, timeout=stream.DEADLINE):
        """Waits until so many calls have failed."""
        deadline = time.monotonic() + timeout
        while self.hits < count:
            assert time.monotonic() < deadline, f"{self.hits} calls have failed, not {count}"
            time.sleep(0.005)


class Files(Faults):
    """SQLite's files. A fault is (METHOD, FILE, ERROR) or (METHOD, FILE, ERROR, TIMES)."""

    def __init__(self, workdir, name="files"):
        super().__init__(workdir, name, "vfs.so")

    def plan(self, *faults):
        lines = [" ".join(map(str, fault if len(fault) == 4 else (*fault, -1))) for fault in faults]
        self.begin("".join("\n" + line for line in lines))

    @contextlib.contextmanager
    def during(self, *faults):
        """These faults are active within the block; each of them must happen."""
        self.plan(*faults)
        try:
            yield self
        finally:
            self.stop()
        happened = set(self.hits_path.read_text())
        missed = [fault for number, fault in enumerate(faults) if str(number) not in happened]
        assert not missed, f"{missed} never happened"


class Memory(Faults):
    """The process's memory."""

    def __init__(self, workdir, name="memory"):
        super().__init__(workdir, name, "memory.so")

    def plan(self, first, last, every=1):
        """Which allocations from now on fail, counted from 1; last -1: no end."""
        self.begin(f" {first} {last} {every}")

    def count(self):
        """No allocation fails from now on; `hits` counts them."""
        self.begin(" 0 0 0")


class Pieces(Faults):
    """Partial and interrupted reads and writes."""

    def __init__(self, workdir, name="pieces"):
        super().__init__(workdir, name, "pieces.so")

    def plan(self, most, every=0):
        """Limits the bytes of a call, and interrupts every Nth call."""
        self.begin(f" {most} {every}")

    def happened(self):
        """Which of the two happened: "01" for both."""
        return "".join(sorted(set(self.hits_path.read_text())))


class Clocks(Faults):
    """The process's clocks."""

    def __init__(self, workdir, name="clocks"):
        super().__init__(workdir, name, "clocks.so")
        self.monotonic_ms = self.wall_ms = 0

    def jump(self, seconds=0, *, wall=0):
        """From now on the monotonic clock and the wall clock are ahead by so many seconds."""
        self.monotonic_ms += int(seconds * 1000)
        self.wall_ms += int(wall * 1000)
        self.begin(f" {self.monotonic_ms} {self.wall_ms}")


# A library with which the file system of the log does not answer.
DEAF = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if __GLIBC_PREREQ(2, 33)
int stat(const char *path, struct stat *st)
{
	int (*real)(const char *, struct stat *) = dlsym(RTLD_NEXT, "stat");

	while (strstr(path, "events.db"))
		pause();
	return real(path, st);
}
#else
int __xstat(int version, const char *path, struct stat *st)
{
	int (*real)(int, const char *, struct stat *) = dlsym(RTLD_NEXT, "__xstat");

	while (strstr(path, "events.db"))
		pause();
	return real(version, path, st);
}
#endif
"""


# While the file $BLIND exists, rowtail reads no notice of a file change.
BLIND_WATCH = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>
static int watch = -1;
int inotify_init1(int flags)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "inotify_init1");
    return watch = real(flags);
}
ssize_t read(int fd, void *buffer, size_t size)
{
    ssize_t (*real)(int, void *, size_t) = (ssize_t (*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
    ssize_t got = real(fd, buffer, size);
    if (fd != watch || got <= 0 || access(getenv("BLIND"), F_OK) < 0)
        return got;
    errno = EAGAIN;
    return -1;
}
"""


def preload(workdir, source):
    """An environment with a library made from a source."""
    library = workdir / "fault.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-", "-ldl"]
    subprocess.run(command, input=source, text=True, check=True)
    return {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "verify_asan_link_order=0"}
