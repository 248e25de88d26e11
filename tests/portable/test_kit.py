"""make kit: the archive for a web host."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tarfile
import time

import pytest

import cgiprogram
import fcgi
import pages
import ports
import rowtail
import stream

# Any time is fine, if it is the same for both.
EPOCH = "1700000000"


def make_kit(tree, *words, **more):
    """Runs make kit; returns the archive's path."""
    env = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, **more}
    done = subprocess.run(
        ["make", "-s", "--no-print-directory", "kit", *words], cwd=tree, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return tree / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def archive():
    return make_kit(rowtail.ROOT)


@pytest.fixture(scope="module")
def unpacked(archive, tmp_path_factory):
    place = tmp_path_factory.mktemp("kit")
    with tarfile.open(archive) as tar:
        tar.extractall(place)
    (top,) = place.iterdir()
    return top


def test_name(archive, unpacked):
    machine = os.uname().machine
    assert re.fullmatch(rf"rowtail-\d+\.\d+\.\d+\S*-linux-{machine}", unpacked.name)
    assert archive.name == unpacked.name + ".tar.gz"


def test_what_is_in_it(archive, unpacked):
    top = unpacked.name
    with tarfile.open(archive) as tar:
        members = {member.name: member for member in tar}
    for name in "rowtail rowtail-publish rowtail-publish.8 LICENSE README.md schema/rowtail.sql schema/log.sql".split() + [
        f"shared-hosting/{name}" for name in ".htaccess events.cgi publish.cgi page.html rowtail.js rowtail-down.asis setup.php".split()
    ]:
        assert members[f"{top}/{name}"].isfile()
    for name, member in members.items():
        assert name.split("/")[0] == top
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
        assert member.mtime == int(EPOCH)
        runs = member.isdir() or name.endswith((".cgi", "/rowtail", "/rowtail-publish")) or member.mode & 0o100
        assert member.mode == (0o755 if runs else 0o644)
    programs = {name for name, member in members.items() if member.isfile() and member.mode & 0o100}
    assert {f"{top}/{name}" for name in "rowtail rowtail-publish shared-hosting/events.cgi shared-hosting/publish.cgi".split()} <= programs
    assert not [name for name in members if "__pycache__" in name]


def test_commands_of_its_page(unpacked, workdir):
    """As in README.md, in a copy, with a free port."""
    place = shutil.copytree(unpacked, workdir / "kit")
    (block,) = pages.blocks(place / "README.md")
    port = ports.free_port()
    script = block.text.replace("9000", str(port))
    process = subprocess.Popen(["bash", "-ec", script], cwd=place, env=rowtail.environment(), start_new_session=True)
    try:
        deadline = time.monotonic() + stream.DEADLINE
        while True:
            assert process.poll() is None and time.monotonic() < deadline
            with contextlib.suppress(ConnectionRefusedError):
                peer = fcgi.Connection(("127.0.0.1", port)).ask("")
                break
            time.sleep(0.02)
        assert peer.wait_head().head.status == 401  # nobody has a grant yet
        peer.close()
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(stream.DEADLINE) is not None


def test_links_in_its_pages(unpacked):
    """The pages were written for the repository; their links must work here too."""
    for page in unpacked.rglob("*.md"):
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_licences(unpacked):
    """The licence of each package whose archive the linker used, and the texts to which it refers."""
    text = (unpacked / "LICENSE").read_text()
    assert text.count((rowtail.ROOT / "LICENSE").read_text().strip()) == 1
    linked = (rowtail.BINARY.parent / "rowtail.map").read_text()
    archives = set(re.findall(r"(?m)^LOAD (/\S+\.a)$", linked))
    assert len(archives) > 5
    for path in [*archives, "/usr/include/uthash.h"]:
        owner = subprocess.run(
            ["dpkg", "-S", pathlib.Path(path).resolve()], capture_output=True, text=True, check=True
        ).stdout.split(":")[0]
        assert f"\n  {owner} " in text, path
        copyright = pathlib.Path(f"/usr/share/doc/{owner}/copyright").read_text(errors="replace")
        assert copyright.strip() in text, path
    for title in "GNU LESSER GENERAL PUBLIC LICENSE", "GNU GENERAL PUBLIC LICENSE":
        assert title in text


def test_same_bytes_from_another_directory(archive, workdir):
    """With another path, umask, time zone and language."""
    tree = workdir / "a rather longer name of a directory" / "rowtail"
    leave = shutil.ignore_patterns(".git", "build", "node_modules", "__pycache__", ".pytest_cache")
    shutil.copytree(rowtail.ROOT, tree, ignore=leave)
    # The programs name the commit, and a copy without .git does not know it. Other tests run these programs now.
    commit = (rowtail.ROOT / "build" / "commit").read_text().strip()
    before = os.umask(0o077)
    try:
        other = make_kit(tree, f"COMMIT={commit}", TZ="Asia/Tokyo", LC_ALL="C.UTF-8")
    finally:
        os.umask(before)
    assert other.read_bytes() == archive.read_bytes()


def test_its_rowtail_publish_is_static_and_publishes(unpacked, workdir, log):
    program = unpacked / "rowtail-publish"
    headers = subprocess.run(["readelf", "-dl", program], capture_output=True, text=True, check=True).stdout
    assert "NEEDED" not in headers and "INTERP" not in headers
    log.sql("INSERT INTO publishers(subject, channel) VALUES ('user:ann', '*')")
    with cgiprogram.Program(
        ["--db", log.path], binary=program, method="POST", body=b"hello", path_info="/a", user="ann"
    ) as peer:
        peer.wait_end()
        assert peer.head.status == 201, bytes(peer.body)
    assert log.sql("SELECT channel, data FROM events") == [("a", "hello")]
