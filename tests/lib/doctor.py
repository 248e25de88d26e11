"""Runs rowtail-doctor, and reads what it says."""

import json
import os
import pathlib
import subprocess

import pytest

import rowtail

PROGRAM = pathlib.Path(os.environ.get("DOCTOR_BIN") or rowtail.ROOT / "build" / "rowtail-doctor").resolve()


def need():
    """Skips the test where libcurl's headers are missing, so that the doctor was not built."""
    if not PROGRAM.exists():
        pytest.skip("rowtail-doctor is not built: no libcurl")


class Report:
    """What one run says: names of findings, and the lines that cure them."""

    def __init__(self, status, text):
        self.status = status
        self.text = text
        self.json = json.loads(text)
        self.findings = {one["name"]: one for one in self.json["findings"]}

    def level(self, name):
        return self.findings[name]["level"] if name in self.findings else None

    def wrong(self):
        return {name for name, one in self.findings.items() if one["level"] == "WRONG"}

    def cures(self, name, server=None):
        """[(place, lines)] of a finding, for this server."""
        return [
            (cure["place"], cure["lines"])
            for cure in self.findings[name]["cures"]
            if server in (None, cure["server"])
        ]

    def __repr__(self):
        return f"exit {self.status}: {json.dumps(self.json, indent=1, ensure_ascii=False)}"


def command(url, *options, silence=1):
    return [str(PROGRAM), "--silence", str(silence), "--insecure", *map(str, options), url]


def start(url, *options, silence=1):
    """Starts a run; finish() waits for its end."""
    need()
    words = command(url, "--json", *options, silence=silence)
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, timeout=90):
    out, err = process.communicate(timeout=timeout)
    assert process.returncode in (0, 1, 2), (process.returncode, out, err)
    assert not err, err
    return Report(process.returncode, out)


def examine(url, *options, silence=1):
    return finish(start(url, *options, silence=silence))
