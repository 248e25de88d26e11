"""Finds a Node.js with built-in SQLite, which 22.13 and newer have.

If the machine's Node.js is older, the test gets one from npm and keeps it in build/node. In a chroot of make test-releases npm has no network, so the test uses the outer tree's, if any.
"""

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
        HOME.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", HOME, f"{package}@24"]
        subprocess.run(install, capture_output=True, timeout=600, check=True)
    assert _has_sqlite(ours)
    return str(ours)
