"""make bench and make bench-peers measure and print every figure, in their quick modes. No figure's value is asserted."""

import json
import math
import os
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree

import pytest

BENCH = pathlib.Path(__file__).parent
BUILD = BENCH.parents[1] / "build"
sys.path.insert(0, str(BENCH))

import figure  # noqa: E402
import figures_live  # noqa: E402, F401 (adds its figures)
import figures_log  # noqa: E402, F401
import figures_mirror  # noqa: E402, F401
import figures_streams  # noqa: E402, F401
import peers  # noqa: E402
import peerstack  # noqa: E402
import plots  # noqa: E402


# make test measures these; make test-all measures all.
QUICKEST = ["storm", "rare", "publisher", "few", "start", "long_names", "tracking"]
FULL = os.environ.get("TEST_FULL") == "1"
NAMES = [function.__name__ for function in figure.FIGURES if FULL or function.__name__ in QUICKEST]


def run(program, name, *words):
    """Runs a program in its quick mode; returns what it printed and what it kept."""
    kept = BUILD / "bench" / name
    kept.unlink(missing_ok=True)
    command = [sys.executable, BENCH / program, "--build", BUILD, "quick", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout, json.loads(kept.read_text())


@pytest.fixture(scope="module")
def bench():
    return run("run.py", "quick.json", *([] if FULL else QUICKEST))


@pytest.fixture(scope="module")
def beside():
    return run("peers.py", "peers-quick.json")


def test_checks_notice_faults(bench):
    assert "The load generator detected 5 of 5 planted faults." in bench[0]


@pytest.mark.parametrize("name", NAMES)
def test_figure_is_printed(bench, name):
    lines = [line for line in bench[1]["lines"] if line[0] == name]
    assert lines
    for _, title, _unit, values, floor in lines:
        assert title in bench[0]
        assert values and all(map(math.isfinite, values)), title
        assert floor is None or len(floor) == len(values), title


def test_every_stack_has_rowtail_and_its_floor_side_by_side(bench):
    lines = [line for line in bench[1]["lines"] if line[0] in ("crowd", "burst", "replay", "storm", "memory")]
    assert all(floor for *_, floor in lines)


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.title)
def test_peer_is_printed_or_named_as_left_out(beside, peer):
    text, kept = beside
    if peerstack.missing(peer.kind):
        assert f"Left out: {peer.title}, which needs" in text
        return
    figures = [line for line in kept["lines"] if line[1] == peer.title]
    units = {unit for _, _, unit, *_ in figures}
    assert units >= {head for _, head in peers.COLUMNS}, text
    assert len(re.findall(rf"(?m)^{re.escape(peer.title)} .*\d", text)) == len({line[0] for line in figures})
    for _, _, unit, values, _ in figures:
        if unit == "wrong" and peer.kind in peers.OURS:
            assert values == [0] * len(values)


@pytest.mark.parametrize("name", ["quick", "peers-quick"])
def test_plots_are_drawn(bench, beside, tmp_path, name):
    if not plots.matplotlib:
        pytest.skip("python3-matplotlib is not installed")
    plots.prepare()
    made = plots.write(name, BUILD, tmp_path)
    kept = json.loads((BUILD / "bench" / f"{name}.json").read_text())
    assert {path.name for path in made} == {
        f"{name}-{plot}-{scheme}.svg" for plot, *_ in kept["points"] for scheme in ("light", "dark")
    }
    for path in made:
        assert xml.etree.ElementTree.parse(path).getroot().tag.endswith("}svg")
