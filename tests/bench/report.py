"""The table: a line for each figure, rowtail against the floor of the same run."""

import statistics

WIDTHS = (66, 8, 24, 24, 20)


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


def line(title, unit, rowtail, floor=None):
    """One figure: the values of its runs; floor's are of the same rounds, in the same order."""
    if floor is None:
        _row((title, unit, spread(rowtail), "-", "-"))
        return
    ratios = [a / b for a, b in zip(rowtail, floor) if b > 0]
    _row((title, unit, spread(rowtail), spread(floor), spread(ratios) + " x" if ratios else "-"))
