"""The manual names every metric and every value of its label, and no other."""

import os
import pathlib
import re

MANUAL = pathlib.Path(__file__).parents[2] / "fcgi" / "rowtail.8"


def in_manual():
    """{metric: [reason, …]} of the section METRICS."""
    section = re.search(r"(?ms)^\.Sh METRICS\n(.*?)^\.Sh ", MANUAL.read_text())[1]
    found = {}
    for name, explained in re.findall(r"(?m)^\.It Li (\S+)(?: Ta (.+))?$", section):
        if explained:
            found[list(found)[-1]].append(name)
        else:
            found[name] = []
    return found


def in_page(text):
    """The same of the page `metrics`."""
    found = {name: [] for name in re.findall(r"(?m)^# TYPE (\S+) ", text)}
    for name, reason in re.findall(r'(?m)^(\w+){reason="(\w+)"} ', text):
        found[name].append(reason)
    return found


def test_exit_statuses():
    """Those of the program are in EXIT STATUS; the directories of other programs are left out."""
    text = MANUAL.read_text()
    section = re.search(r"(?ms)^\.Sh EXIT STATUS\n(.*?)^\.Sh ", text)[1]
    told = {int(number) for number in re.findall(r"(?m)^\.It (\d+)$", section)}
    files = [file for file in MANUAL.parent.rglob("*.c") if file.parent.name not in ("doctor", "mirror", "publish")]
    used = {name for file in files for name in re.findall(r"\b(EX_[A-Z]+)\b", file.read_text())}
    assert told == {0} | {getattr(os, name) for name in used if hasattr(os, name)}


def test_metrics_and_their_reasons(server, log):
    log.insert("a row, which has an age")
    page = in_page(server.page("metrics").body.decode())
    assert any(page.values())
    manual = in_manual()
    assert list(sorted(manual)) == list(sorted(page))
    for name, reasons in page.items():
        assert manual[name] == reasons, name
