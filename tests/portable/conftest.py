"""What the tests of the static program share: an empty root directory to run it in."""

import ctypes
import os
import pathlib
import platform
import shutil
import struct

import pytest

import cgiprogram
import database
import rowtail

_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
# Classic BPF, see linux/filter.h; seccomp_data has the number at 0 and the architecture at 4.
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, ENOSYS = 0x7FFF0000, 0x00050000 | 38
AUDIT_ARCH_X86_64 = 0xC000003E
NEWEST_OF_LINUX_3_2 = 311  # process_vm_writev


@pytest.fixture(scope="session", autouse=True)
def static():
    """These tests are of the static program only."""
    assert rowtail.is_static(), f"{rowtail.BINARY} is not static; run make portable-test"


@pytest.fixture
def old_kernel():
    """A function for a child process, after which it has only the system calls of Linux 3.2."""
    if platform.machine() != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    program = [
        (LOAD, 0, 0, 4),
        (JUMP_EQUAL, 1, 0, AUDIT_ARCH_X86_64),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, 0),
        (JUMP_AT_LEAST, 0, 1, NEWEST_OF_LINUX_3_2 + 1),
        (RETURN, 0, 0, ENOSYS),
        (RETURN, 0, 0, ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    memory = ctypes.create_string_buffer(code, len(code))
    filter = struct.pack("HxxxxxxP", len(program), ctypes.addressof(memory))

    def limit():
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if _libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")

    limit.keep = memory
    return limit


class Jail:
    """A directory with the program and a log, and nothing else; paths are as seen from inside."""

    program, db = "/rowtail", "/data/events.db"

    def __init__(self, root):
        self.root = root
        self.enter_more = lambda: None

    def outside(self, path):
        return pathlib.Path(f"{self.root}{path}")

    def enter(self):
        """In a child, before it becomes rowtail."""
        os.chroot(self.root)
        os.chdir("/")
        self.enter_more()


@pytest.fixture
def jail(workdir, empty_log, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only root may chroot")
    jail = Jail(workdir / "root")
    jail.outside("/data").mkdir(parents=True)
    shutil.copy(rowtail.BINARY, jail.outside(jail.program))
    shutil.copyfile(empty_log, jail.outside(jail.db))
    monkeypatch.setattr(rowtail, "BINARY", pathlib.Path(jail.program))
    return jail


@pytest.fixture
def jailed_log(jail):
    with database.Database(jail.outside(jail.db)) as opened:
        yield opened


@pytest.fixture
def jailed(jail, launch):
    """jailed("--public", …) starts rowtail in the jail, with FastCGI on a unix socket there."""

    def start(*options):
        options = ["--db", jail.db, "--listen", "/data/s", *options]
        how = {"how": None, "address": jail.outside("/data/s"), "prepare": jail.enter}
        return launch(*options, db=None, program=jail.program, **how)

    return start


@pytest.fixture
def jailed_cgi(jail):
    """jailed_cgi(QUERY, …) is one CGI request in the jail."""
    started = []

    def start(query="", *options, **how):
        made = cgiprogram.Program(["--db", jail.db, *options], query, prepare=jail.enter, **how)
        started.append(made)
        return made

    yield start
    for made in started:
        made.cleanup()
