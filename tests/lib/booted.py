"""A machine booted by systemd in a container, for testing units as they are installed.

systemd-nspawn gives it its own root directory, /tmp, processes, mounts, network and control groups. Of the
host it sees /usr, read-only, and the bound directories. It starts only the test's units, and leaves nothing
behind.
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

NSPAWN = "/usr/bin/systemd-nspawn"
CONTROL_GROUPS = pathlib.Path("/sys/fs/cgroup")
BOOT_S = 30
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

TARGET = """
[Unit]
Description=nothing but what a test starts
DefaultDependencies=no
"""
USERS = {"root": 0, "www-data": 33, "rowtail": 990, "nobody": 65534}


def make_root(root):
    """Makes the root directory of a Debian with merged /usr, in which nothing starts by itself."""
    for name in ("usr", "etc/systemd/system", "var/lib", "var/tmp", "tmp", "run", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    shutil.copy("/etc/os-release", root / "etc/os-release")
    (root / "etc/machine-id").write_text("uninitialized\n")
    users = [f"{name}:x:{number}:{number}::/:/bin/sh" for name, number in USERS.items()]
    (root / "etc/passwd").write_text("\n".join(users) + "\n")
    groups = [f"{name}:x:{number}:" for name, number in USERS.items()]
    (root / "etc/group").write_text("\n".join(groups) + "\n")
    (root / "etc/systemd/system/test.target").write_text(TARGET)
    # A machine that lives for seconds needs no cleaning, mounting or settings.
    for unit in ("systemd-tmpfiles-setup.service", "systemd-tmpfiles-clean.timer"):
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")


class Machine:
    """root: its root directory, to which units and files are added before boot()."""

    def __init__(self, place):
        self.root = place / "root"
        self.name = f"rt-{os.getpid()}-{place.name[-8:]}".replace("_", "-").strip("-")
        self.log = place / "machine.log"
        self.binds = []
        self.nspawn = None
        self.leader = None
        make_root(self.root)

    def bind(self, source, target, read_only=False):
        """Makes a directory or file of this machine visible at a path of the container."""
        self.binds.append(f"--bind{'-ro' if read_only else ''}={source}:{target}")

    def _groups(self):
        """The control groups where systemd counts processes: one directory for each hierarchy."""
        places = [CONTROL_GROUPS, CONTROL_GROUPS / "systemd", CONTROL_GROUPS / "unified"]
        return [place / self.name for place in places if (place / "cgroup.procs").exists()]

    def _enter_groups(self):
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for group in self._groups():
            group.mkdir(exist_ok=True)
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def boot(self):
        command = [NSPAWN, "--quiet", "--register=no", "--keep-unit", "--private-network"]
        command += [f"--machine={self.name}", f"--directory={self.root}", "--console=pipe"]
        command += ["--bind-ro=/usr", *self.binds]
        command += ["/usr/lib/systemd/systemd", "--unit=test.target", "--log-target=console"]
        with self.log.open("wb") as log:
            self.nspawn = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=self._enter_groups,
            )
        deadline = time.monotonic() + BOOT_S
        while not self._is_up():
            if self.nspawn.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"no container with systemd here: {self.log.read_text()[-300:]}")
            time.sleep(0.2)
        return self

    def _is_up(self):
        self.leader = self.leader or self._find_leader()
        done = self.leader and self.run("systemctl", "is-active", "test.target", check=False)
        return bool(done) and done.stdout.strip() == "active"

    def _find_leader(self):
        """The process with the id 1 in the container."""
        seen = [self.nspawn.pid]
        for pid in seen:
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                if [line.split()[-1] for line in status.splitlines() if "NSpid" in line] == ["1"]:
                    return pid
                for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                    seen += map(int, children.read_text().split())
        return None

    @property
    def enter(self):
        """The prefix of a command that runs in the container."""
        return ["nsenter", f"--target={self.leader}", "-m", "-u", "-i", "-n", "-p", "-r", "-w"]

    def run(self, *command, check=True):
        """Runs a command in the container."""
        done = subprocess.run(
            [*self.enter, *map(str, command)], capture_output=True, text=True, timeout=60
        )
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done

    def show(self, unit, *properties):
        """Returns properties of a unit, in this order."""
        wanted = [f"--property={name}" for name in properties]
        lines = self.run("systemctl", "show", unit, *wanted).stdout.splitlines()
        found = dict(line.split("=", 1) for line in lines)
        return tuple(found[name] for name in properties)

    def path(self, path):
        """A path in the container, as this machine reaches it while the container runs."""
        return pathlib.Path(f"/proc/{self.leader}/root{path}")

    def stop(self):
        """Ends the first process, and with it all others."""
        if self.nspawn:
            if self.leader and self.nspawn.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.leader, signal.SIGKILL)
            self.nspawn.kill() if not self.leader else None
            self.nspawn.wait(30)
        for group in self._groups():
            self._remove(group)
        shutil.rmtree(f"/run/systemd/nspawn/propagate/{self.name}", ignore_errors=True)

    def _remove(self, group):
        """Removes control groups from the innermost outwards; those of a just-ended process may be busy."""
        for _ in range(100):
            with contextlib.suppress(OSError):
                for place, _, _ in os.walk(group, topdown=False):
                    os.rmdir(place)
            if not group.exists():
                return
            time.sleep(0.05)


@contextlib.contextmanager
def machine(place):
    """A machine that is not booted yet; skips the test if the host cannot run one."""
    if os.geteuid():
        pytest.skip("only root can boot a container")
    if not os.path.exists(NSPAWN):
        pytest.skip("there is no systemd-nspawn")
    made = Machine(place)
    try:
        yield made
    finally:
        made.stop()
