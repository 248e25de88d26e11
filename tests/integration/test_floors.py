"""make lint finds each wrong #include of fcgi/ and names both files; CONTRIBUTING.md's table names every module."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2]
LINT = SOURCE / "tests/lint/floors.py"


def floors(tree):
    return subprocess.run([sys.executable, LINT, tree], capture_output=True, text=True, timeout=60)


@pytest.fixture
def tree(tmp_path):
    """A copy of fcgi/ that a test may spoil."""
    copy = tmp_path / "fcgi"
    shutil.copytree(SOURCE / "fcgi", copy)
    return copy


def include(tree, name, other):
    path = tree / name
    path.write_text(f'#include "{other}"\n{path.read_text() if path.exists() else ""}')


def test_the_source_tree_keeps_the_order():
    result = floors(SOURCE / "fcgi")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "name, other",
    [
        # From a folder that is above.
        ("base/buffer.c", "log/row.h"),
        ("base/metrics.h", "protocol/sse.h"),
        ("log/eventlog.h", "protocol/sse.h"),
        ("stream/opening.h", "request/request.h"),
        ("access/access.h", "server/responder.h"),
        # From one that the folder knows nothing of.
        ("access/access.h", "stream/leave.h"),
        ("request/request.c", "stream/opening.h"),
        ("mirror/keeper.c", "access/access.h"),
        # A circle of two modules, and one of several.
        ("stream/run.h", "stream/subscriber.h"),
        ("stream/window.c", "stream/fanout.h"),
        ("request/asked.h", "request/request.h"),
        # Of another family.
        ("stream/tail.c", "stream/fanout_impl.h"),
        ("server/page.c", "server/connection_impl.h"),
        # Without the folder, or a file that is not there.
        ("base/text.c", "buffer.h"),
        ("base/text.c", "base/nothing.h"),
    ],
)
def test_a_wrong_include_fails(tree, name, other):
    include(tree, name, other)
    result = floors(tree)
    assert result.returncode == 1
    assert any(f"fcgi/{name}" in line and other in line for line in result.stdout.splitlines())


def test_a_family_names_its_files(tree):
    include(tree, "stream/fanout_new.c", "stream/fanout_impl.h")
    result = floors(tree)
    assert result.returncode == 1
    assert "fcgi/stream/fanout_new.c" in result.stdout
    assert "stream/fanout_impl.h" in result.stdout


def test_the_map_names_each_module_and_no_other(tree):
    include(tree, "base/barometer.h", "base/text.h")
    (tree / "base/version.c").unlink()
    (tree / "base/version.h").unlink()
    lines = floors(tree).stdout.splitlines()
    assert "CONTRIBUTING.md does not name barometer (fcgi/base/barometer.h) in the row of base" in lines
    assert "CONTRIBUTING.md names version in the row of base, which has no such file" in lines


def test_a_new_folder_has_no_floor(tree):
    (tree / "attic").mkdir()
    include(tree, "attic/box.c", "base/buffer.h")
    result = floors(tree)
    assert result.returncode == 1
    assert "fcgi/attic/box.c" in result.stdout


def test_a_comment_is_no_include(tree):
    path = tree / "base/buffer.c"
    path.write_text("/* See log/row.h. */\n" + path.read_text())
    assert floors(tree).returncode == 0


def test_no_sources_is_a_failure(tmp_path):
    assert floors(tmp_path).returncode == 1
