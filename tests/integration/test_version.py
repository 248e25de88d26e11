"""--version names the commit, where there is one; a new commit builds one file again."""

import re
import shutil
import subprocess

import pytest

import doctor
import mirror
import publisher
import rowtail

VERSION_OBJECT, OTHER_OBJECT = "build/obj/base/version.o", "build/obj/base/text.o"
OBJECTS = [VERSION_OBJECT, OTHER_OBJECT]

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(tree, *words):
    identity = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *words], cwd=tree, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(tree):
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "--allow-empty", "-m", "a commit")
    return git(tree, "rev-parse", "HEAD")[:12]


def make(tree, *words):
    """Builds two files; returns what make says it has compiled."""
    done = subprocess.run(["make", *OBJECTS, *words], cwd=tree, capture_output=True, text=True, timeout=120, check=True)
    return re.findall(r"(?m)^CC (\S+)$", done.stdout)


def told(tree):
    """The commit in the object file."""
    found = re.search(rb"\b[0-9a-f]{12}(-dirty)?\0", (tree / VERSION_OBJECT).read_bytes())
    return found and found[0].decode().rstrip("\0")


def copied(place):
    """The files that a build needs."""
    place.mkdir()
    parts = re.findall(r"(?m)^include (\S+)", (rowtail.ROOT / "Makefile").read_text())
    for part in ["Makefile", "fcgi", *parts]:
        target = place / part
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (rowtail.ROOT / part).is_dir() else shutil.copy)(rowtail.ROOT / part, target)
    (place / ".gitignore").write_text("build/\n")
    return place


@pytest.fixture
def tree(tmp_path):
    return copied(tmp_path / "rowtail")


@pytest.fixture
def repository(tree):
    git(tree, "init", "-q")
    commit(tree)
    return tree


def test_a_build_names_its_commit(repository):
    first = commit(repository)
    make(repository)
    assert told(repository) == first


def test_a_changed_file_makes_the_build_dirty(repository):
    make(repository)
    first = told(repository)
    with (repository / "fcgi/base/text.c").open("a") as file:
        file.write("/* a comment */\n")
    make(repository)
    assert told(repository) == f"{first}-dirty"


def test_a_new_commit_builds_one_file_again(repository):
    assert sorted(make(repository)) == ["fcgi/base/text.c", "fcgi/base/version.c"]
    assert make(repository) == []
    second = commit(repository)
    assert make(repository) == ["fcgi/base/version.c"]
    assert told(repository) == second


def test_the_same_commit_gives_the_same_bytes(repository, tmp_path):
    make(repository)
    again = tmp_path / "elsewhere"
    git(tmp_path, "clone", "-q", str(repository), str(again))
    make(again)
    for name in OBJECTS:
        assert (again / name).read_bytes() == (repository / name).read_bytes()


@pytest.mark.parametrize("inside", [False, True], ids=["archive", "inside a foreign repository"])
def test_an_archive_has_no_commit(tree, inside):
    if inside:
        git(tree.parent, "init", "-q")
        commit(tree.parent)
    make(tree)
    assert told(tree) is None


def test_a_packager_can_name_the_commit(tree):
    make(tree, "COMMIT=0123456789ab")
    assert told(tree) == "0123456789ab"


@pytest.mark.parametrize("module", ["publish/site", "mirror/progress", "base/text", "doctor/secret"])
def test_a_changed_header_builds_what_includes_it_again(tree, module):
    """Otherwise the files of one program can disagree about a struct."""
    target = f"build/obj/{module}.o"

    def compiled():
        command = ["make", target]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=120, check=True)
        return re.findall(r"(?m)^CC (\S+)$", done.stdout)

    if not shutil.which("pkg-config") or subprocess.run(["pkg-config", "--exists", "libpq", "libcurl"]).returncode:
        pytest.skip("needs libpq and libcurl")
    assert compiled() == [f"fcgi/{module}.c"] and compiled() == []
    header = tree / f"fcgi/{module}.h"
    header.write_text(header.read_text() + "/* changed */\n")
    assert compiled() == [f"fcgi/{module}.c"]


PROGRAMS = {
    "rowtail": rowtail.BINARY,
    "rowtail-mirror": mirror.BINARY,
    "rowtail-publish": publisher.BINARY,
    "rowtail-doctor": doctor.PROGRAM,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_all_programs_tell_their_version_alike(name):
    if not PROGRAMS[name].exists():
        pytest.skip(f"{name} was not built")
    done = subprocess.run([PROGRAMS[name], "--version"], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    line = re.fullmatch(rf"{name} (\d+\.\d+\.\d+) \(\S.*?(, commit [0-9a-f]{{12,}}(-dirty)?)?\)\n", done.stdout)
    assert line, done.stdout
    numbered = re.search(r"(?m)^VERSION := (\S+)", (rowtail.ROOT / "Makefile").read_text())[1]
    assert line[1] == numbered
