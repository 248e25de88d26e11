"""Debian packages that are missing in some releases."""

import os
import re
import subprocess

import pytest

_missing = {}


def missing(program, package):
    """Whether this release of Debian lacks the package, so that its program cannot be installed.

    If the package exists but is not installed, the test fails rather than be skipped.
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
