"""Debian packages that not every release has."""

import os
import re
import subprocess

import pytest

_missing = {}


def missing(program, package):
    """Has this release of Debian no such package, so that its program cannot be here?

    A package that could be installed is no reason to skip a test: without it the test fails.
    """
    if os.path.exists(program):
        return False
    if package not in _missing:
        env = {**os.environ, "LC_ALL": "C"}
        said = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, env=env)
        _missing[package] = not re.search(r"Candidate: [^(]", said.stdout)
    assert _missing[package], f"{program} is not here; make deps installs {package}"
    return True


def need(program, package):
    """Skips the test that is running if this release has no such package."""
    if missing(program, package):
        pytest.skip(f"this release of Debian has no {package}")
