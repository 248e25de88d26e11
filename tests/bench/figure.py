"""What the figures share: their list, interleaved rounds, columns of the table.

A run is one round with fresh processes, of rowtail or of the floor; it returns what it measured.
The rounds of both are interleaved, so that noise affects both alike.
"""

import report

KINDS = ("floor", "rowtail")
QUANTILES = {"p50": "p50", "p99": "p99", "p999": "p99.9", "max": "max"}
SETTLE_S = 0.2
FIGURES = []
WAYS = {None: "direct", "http": "--http"}  # in plots; others are behind a web server


def figure(function):
    """Adds a function to the list of all figures, in the order of the files."""
    FIGURES.append(function)
    return function


def columns(runs, value):
    """The values of the kinds that ran, for report.line()."""
    return tuple([value(run) for run in runs[kind]] for kind in reversed(KINDS) if kind in runs)


def both(bench, run, repeats=None):
    """Interleaved rounds of the floor and rowtail: {kind: [what run(kind) returned, …]}."""
    return bench.rounds({kind: lambda kind=kind: run(kind) for kind in KINDS}, repeats)


def through(front):
    """How the clients reach rowtail, for a title."""
    return {None: "direct", "http": "by HTTP"}.get(front, f"through {front}")


def points(plot, runs, front, x, value):
    """Points of a plot for rowtail and the floor."""
    for kind, told in runs.items():
        name = WAYS.get(front, f"behind {front}")
        report.point(plot, f"{kind} {name}", x, [value(run) for run in told])
