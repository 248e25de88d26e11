"""Runs rowtail --check, reads its lines, and runs the cures that they name."""

import collections
import json
import os
import shutil
import subprocess

import pytest

import rowtail
import stream

SECTIONS = (
    "configuration files database schema retention grants publishers tracked copy clock place watch jwt listen limits".split()
)

Line = collections.namedtuple("Line", "section level text cure")


class Checked:
    """What --check --json says: .status, and .lines in order."""

    def __init__(self, done):
        assert done.stderr == "", done.stderr
        self.status, self.said = done.returncode, done.stdout
        self.json = json.loads(done.stdout)
        assert self.json["exit_status"] == done.returncode
        self.lines = [
            Line(section["name"], line["level"], line["text"], line["cure"])
            for section in self.json["sections"]
            for line in section["lines"]
        ]
        assert any(line.level == "WRONG" for line in self.lines) == (done.returncode != 0), self.said

    def find(self, section, level, *words):
        """The one line of a section at this level with these words."""
        found = [
            line
            for line in self.lines
            if (line.section, line.level) == (section, level) and all(str(word) in line.text for word in words)
        ]
        assert len(found) == 1, f"{section}, {level}, {words}: {self.said}"
        return found[0]

    def of(self, section):
        return [line for line in self.lines if line.section == section]

    def bad(self, section=None):
        """The lines that are not ok."""
        return [line for line in self.lines if line.level != "ok" and section in (None, line.section)]


def run(path, *options, before=(), env=None, cwd=None, timeout=stream.DEADLINE):
    """before: a prefix of the command."""
    command = [*before, rowtail.BINARY, "--check", "--db", path, *options]
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=timeout,
        env=rowtail.environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        cwd=cwd or rowtail.ROOT,
    )


def check(path, *options, **how):
    return Checked(run(path, "--json", *options, **how))


def shape(said, program, sections):
    """Asserts that this is what --check --json says of a program; returns it as Checked."""
    checked = Checked(said)
    assert checked.json["program"] == program and "version" in checked.json and "commit" in checked.json
    assert [section["name"] for section in checked.json["sections"]] == sections
    assert {line.level for line in checked.lines} <= {"ok", "note", "WRONG"}
    return checked


def cure(line):
    """Runs the command that a line names, from the source's directory."""
    path = f"{rowtail.BINARY.parent}:{os.environ['PATH']}"
    subprocess.run(
        ["/bin/sh", "-c", line.cure],
        check=True,
        capture_output=True,
        timeout=60,
        cwd=rowtail.ROOT,
        env={**rowtail.environment(), "PATH": path},
    )


def run_sql(path, *files):
    for file in files:
        with file.open("rb") as sql:
            subprocess.run(["sqlite3", str(path)], stdin=sql, check=True, stdout=subprocess.DEVNULL)


def is_cured(path, line, *options):
    """Runs the cure of a line; then the same text is not reported again."""
    cure(line)
    again = check(path, *options)
    assert line.text not in [other.text for other in again.bad()], again.said
    return again


@pytest.fixture
def path(workdir, empty_log):
    """A log that nobody has open."""
    path = workdir / "events.db"
    shutil.copyfile(empty_log, path)
    return path
