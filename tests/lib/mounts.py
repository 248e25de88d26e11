"""Mounts for the duration of a test; skips the test if it may not mount."""

import contextlib
import subprocess

import pytest


@contextlib.contextmanager
def mounted(place, *arguments):
    """mount ARGUMENTS… PLACE."""
    done = subprocess.run(["mount", *map(str, arguments), str(place)], capture_output=True)
    if done.returncode:
        pytest.skip(f"may not mount here: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
