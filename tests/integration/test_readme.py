"""Runs README.md's commands as written, one after another, in a copy of the source tree.

One shell runs all ```sh blocks; background processes of a block keep running. A block in a publisher's
language must insert a row. A ```text block is the output of the commands above it, except for numbers of four
digits or more.
`sh foreground` is a command that runs until Ctrl-C. README.md may contain no other blocks, except the page
that tests/browser/readme.test.mjs shows: every command has a test.

Three things differ from a reader's: the port, `sudo make install` (it installs into the test's directory),
and apt-get, which has nothing to install where tests run.
"""

import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

import httpc
import nodejs
import pages
import ports
import rowtail
import stream

README = rowtail.ROOT / "README.md"
BLOCKS = pages.blocks(README)
PORT = "8080"
PUBLISHERS = {
    "php": ("publisher.php", lambda text: f"<?php\n{text}", ["php"]),
    "python": ("publisher.py", str, ["/usr/bin/python3"]),
    "perl": ("publisher.pl", str, ["perl"]),
    "js": ("publisher.mjs", str, None),
}
# apt-get does nothing; sudo does not change the system; a busy machine gets more time.
STUBS = {
    "apt-get": "exit 0",
    "sudo": 'exec env DESTDIR="$PWD/installed" "$@"',
    "sleep": f'exec {shutil.which("sleep")} "$1" "$1"',
}


@pytest.fixture
def tree(workdir):
    """A copy of the source tree, built."""
    if not (rowtail.ROOT / "build" / "rowtail").exists():
        pytest.skip("make has not built build/rowtail: it is another program that is tested here")
    copy = workdir / "rowtail"
    unneeded = shutil.ignore_patterns(".git", "build", "node_modules", "__pycache__", ".pytest_cache", "events.db*", "shared")
    shutil.copytree(rowtail.ROOT, copy, ignore=unneeded, symlinks=True)
    shutil.copytree(rowtail.ROOT / "build" / "obj", copy / "build" / "obj")
    for file in (rowtail.ROOT / "build").iterdir():
        if file.is_file():
            shutil.copy2(file, copy / "build")
    return copy


@pytest.fixture
def environment(workdir):
    """A reader's environment, with the programs in STUBS."""
    stubs, temporary = workdir / "stubs", workdir / "tmp"
    temporary.mkdir()
    stubs.mkdir()
    for name, line in STUBS.items():
        (stubs / name).write_text(f"#!/bin/sh\n{line}\n")
        (stubs / name).chmod(0o755)
    inherited = {name: value for name, value in rowtail.environment().items() if not name.startswith(("MAKE", "MFLAGS"))}
    return {**inherited, "PATH": f"{stubs}:{os.environ['PATH']}", "TMPDIR": str(temporary)}


class Shell:
    """A shell that runs one block after another, and stops at the first command that fails."""

    def __init__(self, tree, environment, port):
        self.tree, self.environment, self.port = tree, environment, port
        self.out, self.err = tree.parent / "out", tree.parent / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                ["env", "--default-signal=INT,QUIT", "bash", "-e"],
                cwd=tree,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                start_new_session=True,
                text=True,
            )

    def run(self, block):
        """Returns the offset of this block's output."""
        script = self.tree.parent / f"line-{block.line}"
        done = script.with_suffix(".done")
        script.write_text(self.here(block.text))
        begin = len(self.output())
        self.process.stdin.write(f"source {script} </dev/null\n: >{done}\n")
        self.process.stdin.flush()
        self.wait(done.exists, block, 5 * stream.DEADLINE)
        return begin

    def here(self, text):
        return text.replace(PORT, str(self.port))

    def output(self):
        return self.out.read_text(errors="replace")

    def wait(self, condition, block, seconds=stream.DEADLINE):
        deadline = time.monotonic() + seconds
        while not condition():
            alive = self.process.poll() is None
            said = f"{self.output()}\n--- errors:\n{self.err.read_text(errors='replace')[-2000:]}"
            assert alive and time.monotonic() < deadline, f"README.md:{block.line}: {block.text}\n--- said:\n{said}"
            time.sleep(0.02)

    def expect(self, block, begin):
        """Waits until the lines of the block have appeared, in this order."""
        lines = [re.sub(r"\d{4,}", r"\\d+", re.escape(line)) for line in block.text.splitlines() if line.strip()]
        wanted = re.compile(r"(?m)" + r"(?s:.*?)".join(rf"^{line}\s*$" for line in lines))
        self.wait(lambda: wanted.search(self.output(), begin), block)

    def end(self):
        """Ends everything that the shell has started."""
        self.process.stdin.close()
        for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                session = int(status.read_text().rpartition(")")[2].split()[3])
            except (OSError, IndexError):
                continue
            if session == self.process.pid:
                os.kill(int(status.parent.name), signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def shell(tree, environment):
    port = ports.free_port()
    configuration = tree / "deploy" / "demo" / "try.conf"
    configuration.write_text(configuration.read_text().replace(PORT, str(port)))
    started = Shell(tree, environment, port)
    yield started
    started.end()


def rows(tree):
    database = sqlite3.connect(tree / "events.db")
    try:
        return database.execute("SELECT channel, data FROM events ORDER BY id").fetchall()
    finally:
        database.close()


def publish(shell, block):
    """Runs a publisher's lines; they must insert one row in a channel that the page and curl follow."""
    tree, environment = shell.tree, shell.environment
    name, whole, command = PUBLISHERS[block.language]
    command = command or [nodejs.find()]
    if command == [None]:
        return
    before = rows(tree)
    (tree / name).write_text(whole(block.text))
    done = subprocess.run([*command, name], cwd=tree, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"README.md:{block.line}: {done.stderr}"
    [(channel, data)] = rows(tree)[len(before) :]
    assert channel.startswith("orders/") and data in block.text, f"README.md:{block.line}"
    shell.wait(lambda: f"data: {data}\n" in shell.output(), block)


def change_schema(tree, block):
    """Runs SQL with a trigger on orders; then a change of an order inserts a row."""
    database = sqlite3.connect(tree / "events.db")
    database.executescript(block.text)
    database.execute("INSERT INTO orders VALUES (42, 'new')")
    database.execute("UPDATE orders SET state = 'delivered'")
    database.commit()
    database.close()
    assert rows(tree)[-1] == ("orders/42", "delivered")


def run_in_foreground(shell, block, expected):
    """Runs a command until it has printed what README says; then Ctrl-C must end it without leftovers."""
    port = ports.free_port()
    temporary = pathlib.Path(shell.environment["TMPDIR"])
    said = shell.tree.parent / "foreground"
    with said.open("wb") as out:
        process = subprocess.Popen(
            ["env", "--default-signal=INT,QUIT", "bash", "-c", block.text],
            cwd=shell.tree,
            env={**shell.environment, "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        wanted = expected.text.replace(PORT, str(port))
        deadline = time.monotonic() + 5 * stream.DEADLINE
        while wanted not in said.read_text():
            assert process.poll() is None and time.monotonic() < deadline, said.read_text()
            time.sleep(0.05)
        with httpc.open_request(("127.0.0.1", port), "/", accept="*/*") as answer:
            assert answer.wait_head().head.status == 200
        os.killpg(process.pid, signal.SIGINT)
        process.wait(5 * stream.DEADLINE)
        assert list(temporary.iterdir()) == []
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def look_at_the_page(shell):
    """The site serves the quick start's page, but none of the reader's other files."""
    (shell.tree / "deploy" / "demo" / "try" / "events.html").write_text("a page")
    for target, status in {"/": 200, "/events.html": 200, "/events.db": 404, "/eventsX": 404}.items():
        with httpc.open_request(("127.0.0.1", shell.port), target, accept="*/*") as answer:
            assert answer.wait_head().head.status == status, target


def test_every_command_does_what_readme_says(shell):
    begin, foreground, looked = 0, None, False
    for block in BLOCKS:
        if block.words == ["sh", "foreground"]:
            foreground = block
        elif block.language == "text" and foreground:
            run_in_foreground(shell, foreground, block)
            foreground = None
        elif block.language == "sh":
            begin = shell.run(block)
        elif block.language == "text":
            shell.expect(block, begin)
            if not looked:
                look_at_the_page(shell)
                looked = True
        elif block.language in PUBLISHERS:
            publish(shell, block)
        elif block.language == "sql":
            change_schema(shell.tree, block)
        else:
            assert block.language == "html", f"README.md:{block.line}: no test runs {block.language or 'this block'}"
    assert looked and foreground is None
    installed = shell.tree / "installed" / "usr" / "local" / "bin" / "rowtail"
    assert subprocess.run([installed, "--version"], capture_output=True, timeout=20, check=True).stdout


def test_code_is_fenced():
    """No test would run the code in an indented block."""
    assert pages.indented(README) == []
