"""When polls become rare: only without --poll, and only while nothing can happen that the file watch does not report."""

import contextlib
import os
import shutil
import subprocess
import sys
import time

import pytest

import database
import faults

QUIET_S = 4.2  # rowtail waits for 3 seconds of quiet
OFTEN, RARELY = 8, 6  # wake-ups in a second: with polls 10 or more, without 2
LOCAL = ("ext2/ext3", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "tmpfs")

# A writer waits for the disk between its last write and the end of its commit, while this file exists.
STUCK_DISK = """
#include <stdlib.h>
#include <unistd.h>
static int wait_for_disk(void) { while (access(getenv("STUCK"), F_OK) == 0) usleep(2000); return 0; }
int fsync(int fd) { return wait_for_disk(); }
int fdatasync(int fd) { return wait_for_disk(); }
"""

# Some file systems send notices only of the directory.
NO_FILE_WATCH = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/inotify.h>
int inotify_add_watch(int fd, const char *path, unsigned mask)
{
    int (*real)(int, const char *, unsigned) = (int (*)(int, const char *, unsigned))dlsym(RTLD_NEXT, "inotify_add_watch");
    if (mask & IN_ONLYDIR)
        return real(fd, path, mask);
    errno = ENOSPC;
    return -1;
}
"""

OTHER_FILE_SYSTEM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/vfs.h>
int statfs(const char *path, struct statfs *fs)
{
    int (*real)(const char *, struct statfs *) = (int (*)(const char *, struct statfs *))dlsym(RTLD_NEXT, "statfs");
    int result = real(path, fs);
    fs->f_type = 0x6969;
    return result;
}
int statfs64(const char *path, struct statfs64 *fs) { return statfs(path, (struct statfs *)fs); }
"""


@pytest.fixture
def local(workdir):
    """The test's files are where polls may become rare."""
    command = ["stat", "-f", "-c", "%T", workdir]
    kind = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    if kind not in LOCAL:
        pytest.skip(f"{workdir} is on {kind}")


class Followed:
    """A log with a stream that follows it. before: SQL that runs before rowtail starts."""

    def __init__(self, name, launch, log, *options, before="", **how):
        path = log.path.with_name(f"{name}.db")
        shutil.copyfile(log.path, path)
        self.log = database.Database(path)
        if before:
            self.log.sql(before)
        self.server = launch("--heartbeat", 3600, *options, db=self.log, **how)
        self.peer = self.server.open()

    def insert(self, count):
        for number in range(count):
            self.log.insert(f"row {number}")
            assert self.peer.next_row().data == f"row {number}"


def wake_ups(all_):
    """How often each of them wakes up in one second."""
    before = [one.server.context_switches() for one in all_]
    time.sleep(1)
    return [one.server.context_switches() - b for one, b in zip(all_, before)]


def wait_rare(one):
    """Waits until its polls are rare."""
    deadline = time.monotonic() + 20
    while wake_ups([one])[0] > RARELY:
        assert time.monotonic() < deadline, "it polls as often as ever"


def preload(workdir, name, source):
    directory = workdir / name
    directory.mkdir()
    return faults.preload(directory, source)


def test_polls_stay_frequent_where_notices_may_be_missing(launch, log, workdir, local):
    stuck = workdir / "stuck"
    env = {**os.environ, **preload(workdir, "disk", STUCK_DISK), "STUCK": str(stuck)}
    insert = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('PRAGMA synchronous=FULL'); "
    insert += "d.execute(\"INSERT INTO events(data) VALUES ('at last')\"); d.commit()"
    usual = Followed("usual", launch, log)
    often = {
        "set": Followed("set", launch, log, "--poll", 100),
        "rollback": Followed("rollback", launch, log, before="PRAGMA journal_mode=DELETE"),
        "other": Followed("other", launch, log, env=preload(workdir, "other", OTHER_FILE_SYSTEM)),
        "unwatched": Followed("unwatched", launch, log, env=preload(workdir, "unwatched", NO_FILE_WATCH)),
        "writing": Followed("writing", launch, log),
        "new": Followed("new", launch, log, before="INSERT INTO events(data) VALUES ('before')"),
        "view": Followed(
            "view",
            launch,
            log,
            "--table",
            "shown",
            before="CREATE VIEW shown AS SELECT id, channel, data FROM events",
        ),
    }
    for one in (usual, *often.values()):
        if one is not often["new"]:
            one.insert(2)
    stuck.touch()
    with contextlib.ExitStack() as ending:
        command = [sys.executable, "-c", insert, often["writing"].log.path]
        writer = ending.enter_context(subprocess.Popen(command, env=env))
        ending.callback(stuck.unlink, missing_ok=True)
        time.sleep(QUIET_S)
        missing = dict(often)
        rare = False
        for _ in range(6):
            counts = wake_ups([usual, *missing.values()])
            rare = rare or counts[0] <= RARELY
            missing = {n: one for (n, one), count in zip(missing.items(), counts[1:]) if count < OFTEN}
            if rare and not missing:
                break
        assert rare
        assert list(missing) == []
        assert often["writing"].peer.drain().rows[2:] == []
        stuck.unlink()
        assert writer.wait(10) == 0
    assert often["writing"].peer.next_row().data == "at last"


def test_rows_after_a_long_quiet_time_are_noticed(launch, log, local):
    followed = Followed("noticed", launch, log)
    followed.insert(2)
    wait_rare(followed)
    before = followed.server.metric("rowtail_commits_seen_by_watch_total")
    followed.insert(3)
    assert followed.server.metric("rowtail_commits_seen_by_watch_total") >= before + 2
    assert max(wake_ups([followed])[0] for _ in range(2)) >= OFTEN


def test_watch_that_misses_commits_is_not_trusted_again(launch, log, workdir, local):
    blind = workdir / "blind"
    env = {**preload(workdir, "read", faults.BLIND_WATCH), "BLIND": str(blind)}
    followed = Followed("missed", launch, log, env=env)
    followed.insert(2)
    wait_rare(followed)
    blind.touch()
    followed.insert(2)
    blind.unlink()
    followed.insert(2)
    time.sleep(QUIET_S)
    assert max(wake_ups([followed])[0] for _ in range(4)) >= OFTEN
