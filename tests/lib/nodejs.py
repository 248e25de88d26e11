"""Finds a Node.js with built-in SQLite, which 22.13 and newer have.

If the machine's Node.js is older, the tests get one from npm and keep it in build/node; `make test` runs this file
before the tests. In a chroot of make test-releases npm has no network, so they use the outer tree's, if any.
"""

import contextlib
import fcntl
import os
import pathlib
import platform
import shutil
import subprocess

HOME = pathlib.Path(__file__).parents[2] / "build" / "node"


def _has_sqlite(node):
    if node is None:
        return False
    return subprocess.run([node, "-e", "require('node:sqlite')"], capture_output=True, check=False).returncode == 0


def find():
    """Its path; None in a chroot without one."""
    if _has_sqlite(shutil.which("node")):
        return shutil.which("node")
    machine = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
    package = f"node-linux-{machine}"
    ours = HOME / "node_modules" / package / "bin" / "node"
    if not ours.exists() and os.environ.get("TEST_RELEASE"):
        return None
    if not ours.exists():
        _install(f"{package}@24", HOME, lambda: ours.exists() and _has_sqlite(ours))
    assert _has_sqlite(ours), (HOME / "npm.log").read_text()
    return str(ours)


def package(name, version):
    """The node_modules that has this package of npm; None in a chroot without network."""
    modules = HOME / "packages" / "node_modules"
    if not (modules / name / "package.json").exists():
        if os.environ.get("TEST_RELEASE") or shutil.which("npm") is None:
            return None
        _install(f"{name}@{version}", HOME / "packages", lambda: (modules / name / "package.json").exists())
    return modules


def _install(wanted, prefix, is_there):
    """One process at a time; npm writes to a file, for it can leave a child behind that holds a pipe open."""
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for _ in range(3):
            if is_there():
                return
            install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", prefix, wanted]
            with open(HOME / "npm.log", "w") as said, contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(install, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=120, check=False)


if __name__ == "__main__":
    find()
    package("pg", 8)
