"""deploy/container: the image is built by buildah, podman or docker, and its program runs in it.

Without buildah (Debian has it), the test does what the Containerfile's instructions say, in an empty root directory.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import time
import urllib.request

import pytest

import ports

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTAINER = ROOT / "deploy" / "container"
PORTABLE = ROOT / "build" / "portable"


def instructions():
    """(instruction, arguments) of each line of the Containerfile."""
    text = (CONTAINER / "Containerfile").read_text()
    return [tuple(line.split(" ", 1)) for line in text.splitlines() if line and not line.startswith("#")]


def builder():
    """A command that can build images here; None if there is none."""
    for name in ("podman", "docker"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True).returncode == 0:
            return name
    return None


def wait_for_health(port):
    deadline = time.monotonic() + 30
    while True:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/events?format=json&since=0", timeout=5).read()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def data(tmp_path):
    place = tmp_path / "data"
    place.mkdir()
    schema = (ROOT / "schema" / "rowtail.sql").read_text()
    subprocess.run(["sqlite3", place / "events.db"], input=schema, text=True, check=True, capture_output=True)
    with sqlite3.connect(place / "events.db") as db:
        db.execute("INSERT INTO events(data) VALUES ('from outside')")
    db.close()
    for path in (place, *place.iterdir()):
        os.chown(path, 65532, 65532)
    return place


class Image:
    """An image's root directory, and how its program is started."""

    def __init__(self, root, words, user, stop_signal):
        self.root, self.words, self.user, self.stop_signal = root, words, user, stop_signal


def by_hand(place):
    """The image that the instructions describe, made without a builder."""
    root = place / "root"
    root.mkdir()
    found = dict(instructions())
    source, target = found["COPY"].split()
    shutil.copy(PORTABLE / source, f"{root}{target}")
    words = json.loads(found["ENTRYPOINT"]) + json.loads(found["CMD"])
    return Image(root, words, found["USER"], found["STOPSIGNAL"])


@contextlib.contextmanager
def by_buildah(place):
    def buildah(*arguments):
        stores = ["--storage-driver", "vfs", "--root", place / "store", "--runroot", place / "run"]
        done = subprocess.run(["buildah", *stores, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    buildah("bud", "--isolation", "chroot", "-f", CONTAINER / "Containerfile", "-t", "rowtail-test", PORTABLE)
    config = json.loads(buildah("inspect", "--type", "image", "rowtail-test"))["OCIv1"]["config"]
    assert list(config["Volumes"]) == ["/data"] and list(config["ExposedPorts"]) == ["8080/tcp"]
    made = buildah("from", "rowtail-test")
    try:
        root = pathlib.Path(buildah("mount", made))
        yield Image(root, config["Entrypoint"] + config["Cmd"], config["User"], config["StopSignal"])
    finally:
        buildah("rm", made)


@pytest.fixture
def image(tmp_path):
    if shutil.which("buildah"):
        with by_buildah(tmp_path) as made:
            yield made
    else:
        yield by_hand(tmp_path)


def test_every_instruction_is_one_that_builders_know():
    known = {"FROM", "COPY", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {what for what, _ in instructions()} <= known
    assert instructions()[0] == ("FROM", "scratch")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may chroot")
def test_the_image_serves_the_log_of_the_mounted_directory(image, data):
    port = ports.free_port()
    words = [word.replace("0.0.0.0:8080", f"127.0.0.1:{port}") for word in image.words] + ["--public"]
    (image.root / "data").mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", data, image.root / "data"], check=True)
    try:
        process = subprocess.Popen(
            ["/usr/sbin/chroot", f"--userspec={image.user}", image.root, *words],
            env={}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        try:
            answer = json.loads(wait_for_health(port))
            assert [row["data"] for row in answer["events"]] == ["from outside"]
        finally:
            process.send_signal(getattr(signal, image.stop_signal))
            assert process.wait(30) == 0, process.stderr.read()
            process.stderr.close()
    finally:
        subprocess.run(["umount", image.root / "data"], check=True)


@pytest.mark.parametrize("file", ["Containerfile", "compose.yaml"])
def test_first_lines_make_the_log_where_it_is_mounted(file, tmp_path):
    text = (CONTAINER / file).read_text()
    # podman resolves a path of the command line from the directory of the shell, and compose one from that of its file.
    below = "" if file == "Containerfile" else "deploy/container"
    assert re.search(r"\./data:/data", text)
    (tmp_path / "deploy/container").mkdir(parents=True)
    (tmp_path / "schema").symlink_to(CONTAINER.parents[1] / "schema")
    for command in re.findall(r"(?m)^#   ((?:mkdir|sqlite3) .*)$", text):
        subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    with contextlib.closing(sqlite3.connect(tmp_path / below / "data/events.db")) as db:
        assert db.execute("SELECT channel FROM grants").fetchall() == [("news/*",)]
    assert "channel=news/a" in text


def test_compose_names_files_that_exist():
    text = (CONTAINER / "compose.yaml").read_text()
    for source in re.findall(r"- (\.\.?/[^:]*):", text):
        assert source == "./data" or (CONTAINER / source).exists(), source
    dockerfile = re.search(r"dockerfile: (.*)", text)[1]
    assert (PORTABLE / dockerfile).resolve() == CONTAINER / "Containerfile"
    words = json.loads("[" + re.search(r"command: \[(.*?)\]", text, re.DOTALL)[1] + "]")
    done = subprocess.run([PORTABLE / "rowtail", "--help"], capture_output=True, text=True, check=True)
    for word in words:
        assert not word.startswith("--") or f"  {word} " in done.stdout, word


def test_the_image_can_be_built_and_run(data):
    name = builder()
    if not name:
        pytest.skip("no podman or docker runs here")
    subprocess.run([name, "build", "-q", "-f", CONTAINER / "Containerfile", "-t", "rowtail-test", PORTABLE], check=True)
    port = ports.free_port()
    run = [name, "run", "--rm", "-d", "-v", f"{data}:/data", "-p", f"127.0.0.1:{port}:8080", "rowtail-test"]
    command = json.loads(dict(instructions())["CMD"]) + ["--public"]
    made = subprocess.run([*run, *command], check=True, capture_output=True, text=True).stdout.strip()
    try:
        assert b"from outside" in wait_for_health(port)
    finally:
        subprocess.run([name, "stop", made], check=True, capture_output=True)
        subprocess.run([name, "rmi", "rowtail-test"], check=False, capture_output=True)
