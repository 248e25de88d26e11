"""The table: a line for each figure, rowtail against the floor of the same run."""

import datetime
import json
import statistics

POINTS = {}  # of the plots: (plot, series, x): the values
LINES = []  # of the table: (figure, title, unit, rowtail's values, the floor's or None)

WIDTHS = (76, 8, 24, 24, 20)


def number(value):
    """Three significant digits, or all of a large number's."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def spread(values):
    """The median, and the range where there are several."""
    text = number(statistics.median(values))
    if len(values) > 1:
        text += f" ({number(min(values))}-{number(max(values))})"
    return text


def _row(cells):
    first, unit, *others = (cell.ljust(width) for cell, width in zip(cells, WIDTHS))
    print(" ".join((first, unit, *others)).rstrip(), flush=True)


def heading():
    """The names of the columns."""
    print()
    _row(("figure", "unit", "rowtail", "floor", "rowtail / floor"))
    _row(tuple("-" * width for width in WIDTHS))


_figure = None


def begin(name):
    """The lines that follow are of this figure."""
    global _figure
    _figure = name


def keep(title, unit, rowtail, floor=None):
    """Keeps a figure for save() without printing it."""
    LINES.append((_figure, title, unit, list(rowtail), floor and list(floor)))


def line(title, unit, rowtail, floor=None):
    """One figure: the values of its runs; floor's are of the same rounds, in the same order."""
    keep(title, unit, rowtail, floor)
    if floor is None:
        _row((title, unit, spread(rowtail), "-", "-"))
        return
    ratios = [a / b for a, b in zip(rowtail, floor) if b > 0]
    _row((title, unit, spread(rowtail), spread(floor), spread(ratios) + " x" if ratios else "-"))


def point(plot, series, x, values):
    """A point of a plot: what its runs have measured."""
    POINTS[plot, series, x] = list(values)


def save(path, machine):
    """Adds this run's table and points to those that the file has of earlier runs."""
    told = json.loads(path.read_text()) if path.exists() else {}
    kept = {tuple(key): values for *key, values in told.get("points", [])}
    kept.update(POINTS)
    told = {
        "date": datetime.date.today().isoformat(),
        "machine": machine,
        "lines": [line for line in told.get("lines", []) if line[0] not in {name for name, *_ in LINES}] + LINES,
        "points": [[*key, values] for key, values in sorted(kept.items())],
    }
    path.write_text(json.dumps(told, indent=1))
