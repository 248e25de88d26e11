"""deploy/container: the image is built and run where a builder is at hand; elsewhere its files are checked.

Without a builder, the test does what the image's instructions say, in an empty root directory.
"""

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


@pytest.fixture
def image(tmp_path):
    """An empty root directory with what COPY puts there."""
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    for what, arguments in instructions():
        if what == "COPY":
            source, target = arguments.split()
            shutil.copy(PORTABLE / source, f"{root}{target}")
    return root


def test_every_instruction_is_one_that_builders_know():
    known = {"FROM", "COPY", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {what for what, _ in instructions()} <= known
    assert instructions()[0] == ("FROM", "scratch")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may chroot")
def test_the_image_serves_the_log_of_the_mounted_directory(image, data):
    found = dict(instructions())
    words = json.loads(found["ENTRYPOINT"]) + json.loads(found["CMD"])
    port = ports.free_port()
    words = [word.replace("0.0.0.0:8080", f"127.0.0.1:{port}") for word in words] + ["--public"]
    user = int(found["USER"].split(":")[0])
    subprocess.run(["mount", "--bind", data, image / "data"], check=True)
    try:
        process = subprocess.Popen(
            ["/usr/sbin/chroot", f"--userspec={user}:{user}", image, *words], env={}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            answer = json.loads(wait_for_health(port))
            assert [row["data"] for row in answer["events"]] == ["from outside"]
        finally:
            process.send_signal(getattr(signal, found["STOPSIGNAL"]))
            assert process.wait(30) == 0, process.stderr.read()
            process.stderr.close()
    finally:
        subprocess.run(["umount", image / "data"], check=True)


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
        pytest.skip("no podman or docker can build here; the other tests check the files")
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
