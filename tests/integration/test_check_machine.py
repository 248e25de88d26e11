"""rowtail --check: the sections about the machine and the set-up: clock, place, watch, jwt, listen, limits, configuration."""

import os
import re
import shutil
import subprocess
import time

import pytest

import checking
import database
import faults
from checking import check, is_cured, path
from mounts import mounted

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")


# clock


def test_rows_from_the_future(path):
    with database.Database(path) as log:
        log.insert("now")
        check(path).find("clock", "ok", "newest row was created")
        log.sql("INSERT INTO events(data, created_at) VALUES ('x', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+3 hours', '+30 minutes'))")
    line = check(path).find("clock", "note", "1 of the newest rows", "future", "id 2 by")
    assert "id 2 by 3 hours" in line.text


def test_rows_that_go_back_in_time(path):
    with database.Database(path) as log:
        for minutes in "-300", "-299", "-500", "-10":
            log.sql(
                "INSERT INTO events(data, created_at) VALUES ('x', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ? || ' minutes'))",
                minutes,
            )
    check(path).find("clock", "note", "row 3 was created 3 hours before")


def test_a_file_from_the_future(path):
    os.utime(path, (time.time() + 7200,) * 2)
    check(path).find("files", "note", "seconds from now", "timedatectl")


EPOCH = """
#include <time.h>
time_t time(time_t *out)
{
	if (out)
		*out = 1000;
	return 1000;
}
"""


def test_a_clock_that_was_never_set(workdir, path):
    answer = check(path, env=faults.preload(workdir, EPOCH))
    assert answer.find("clock", "WRONG", "never set").cure == "timedatectl set-ntp true"


# place

MOUNTS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
/* Another list of mounts, or none; and another number of the file system. */
FILE *fopen(const char *path, const char *mode)
{
	FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen");
	const char *mounts = getenv("MOUNTS");

	if (strcmp(path, "/proc/self/mountinfo") != 0)
		return real(path, mode);
	errno = ENOENT;
	return mounts ? real(mounts, mode) : NULL;
}
int statfs(const char *path, struct statfs *fs)
{
	int (*real)(const char *, struct statfs *) = dlsym(RTLD_NEXT, "statfs");
	int result = real(path, fs);

	if (getenv("NUMBER"))
		fs->f_type = strtoul(getenv("NUMBER"), NULL, 16);
	return result;
}
"""
SHARED = {
    "nfs": "6969", "cifs": "ff534d42", "smb3": "fe534d42", "9p": "1021997", "fuse.sshfs": "65735546",
    "virtiofs": "65735546", "ceph": "c36400", "nfs4": "6969",
}  # fmt: skip


@pytest.mark.parametrize("source", ["mounts", "number"])
@pytest.mark.parametrize("kind", SHARED)
def test_network_file_systems(workdir, path, kind, source):
    """By the list of mounts; or, where there is no /proc, by the number of the file system."""
    env = faults.preload(workdir, MOUNTS)
    if source == "mounts":
        (workdir / "mounts").write_text(f"30 1 0:40 / {workdir} rw,relatime - {kind} server:/export rw\n")
        env["MOUNTS"] = str(workdir / "mounts")
    else:
        env["NUMBER"] = SHARED[kind]
    name = kind if source == "mounts" else ""
    check(path, env=env).find("place", "note", f"file system of type {name}", "local disk")


def test_a_container_layer_without_a_list_of_mounts(workdir, path):
    check(path, env={**faults.preload(workdir, MOUNTS), "NUMBER": "794c7630"}).find("place", "note", "overlay", "volume")


@ROOT_ONLY
def test_a_database_in_memory(workdir, empty_log):
    disk = workdir / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "tmpfs"):
        shutil.copyfile(empty_log, disk / "events.db")
        check(disk / "events.db").find("place", "note", "in memory (tmpfs)", "deletes all rows")


# watch, jwt, listen, limits


@pytest.mark.parametrize("limit", ["instances", "watches"])
def test_the_cure_for_too_few_file_watches(path, limit):
    script = f'echo 0 > /proc/sys/user/max_inotify_{limit} && exec "$0" "$@"'
    before = ["unshare", "--user", "--map-root-user", "/bin/sh", "-c"]
    if subprocess.run([*before, script, "true"], capture_output=True).returncode:
        pytest.skip("may not limit file watches here")
    line = check(path, before=[*before, script]).find("watch", "note", "cannot watch")
    assert re.fullmatch(rf"sysctl -w fs\.inotify\.max_user_{limit}=\d+", line.cure)


def test_a_secret_that_everybody_can_read(path, workdir):
    key = workdir / "key"
    key.write_text("s" * 40)
    key.chmod(0o644)
    options = ["--jwt-key", key, "--jwt-algorithm", "HS256"]
    answer = check(path, *options)
    answer.find("jwt", "ok", "can verify HS256")
    is_cured(path, answer.find("jwt", "note", "every user", key), *options)
    key.write_text("short")
    assert check(path, *options).find("jwt", "WRONG", "at least 32")


def test_messages_of_the_listen_section_name_it_once(path, workdir):
    (workdir / "s").write_text("a letter")
    done = checking.run(path, "--listen", workdir / "s")
    assert "WRONG listen: " in done.stdout and "listen: listen" not in done.stdout


def test_too_few_descriptors_for_the_streams(path):
    before = ["prlimit", "--nofile=200:200"]
    check(path, before=before).find("limits", "note", "open-files limit is 200", "--max-streams")
    assert check(path, "--max-streams", "50", before=before).bad("limits") == []
    # Each process has a limit of its own.
    assert check(path, "--max-streams", "200", "--processes", "4", before=before).bad("limits") == []


def test_the_configuration_file_is_named(workdir, path):
    file = workdir / "rowtail.conf"
    file.write_text("max-streams = 5\n")
    check(path, file).find("configuration", "ok", file)
