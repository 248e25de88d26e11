"""Draws the plots of make bench and make bench-peers from what they have measured last: SVG, light and dark.

usage: plots.py --build DIRECTORY [--to DIRECTORY] bench|peers|quick|peers-quick…
"""

import argparse
import json
import math
import pathlib
import statistics
import sys

try:
    import matplotlib
    from matplotlib import pyplot, ticker
except ImportError:
    matplotlib = None

WIDTH_IN, HEIGHT_IN, BASE_PT = 5.6, 4.7, 11.5  # at 72 points an inch: shown 420 pixels wide, or as wide as a phone
SCHEMES = {
    "light": {"paper": "#f7f6f2", "ink": "#1d2021", "muted": "#5a5e62", "line": "#dcd9cf", "floor": "#8a8d8f"},
    "dark": {"paper": "#121518", "ink": "#e8e6e1", "muted": "#a5acb1", "line": "#2c343a", "floor": "#7f878d"},
}
# Of rowtail the first colours; told apart by colour-blind readers, and by their markers.
COLOURS = {
    "light": ["#0b7a70", "#2563b8", "#a35300", "#8a3ea8", "#b3261e", "#6b6b00", "#4a4a8a"],
    "dark": ["#4fd1c0", "#7db4ff", "#f2a93b", "#d08bf0", "#ff8a80", "#d6d65c", "#a9a9ff"],
}
MARKERS = "osD^vPX"
PLOTS = {
    "latency": ("INSERT to client, median", "streams", "milliseconds", "less is better"),
    "cpu": ("CPU of the server for a delivery", "streams", "microseconds", "less is better"),
    "memory": ("Memory of the server for a stream", "streams", "kB", "less is better"),
    "catchup": ("Catching up, one client", "rows in the log", "rows a second", "more is better"),
}


def _is_floor(series):
    return series.startswith("floor") or series == "a bare writer"


def _name(series):
    """A series as a reader knows it."""
    return series.replace("floor --http", "a bare writer, HTTP").replace("floor", "a bare writer,").replace(
        "rowtail direct", "rowtail, FastCGI"
    )  # fmt: skip


def _order(series):
    return (_is_floor(series), not series.startswith("rowtail"), series)


def _number(value, _place=None):
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _rounded(value):
    """Three digits."""
    return _number(float(f"{value:.3g}"))


def _series(points, plot):
    """{series: [(x, median)…]} of a plot, rowtail's first and the floor's last. One point makes no line."""
    found = {}
    for which, series, x, values in points:
        if which == plot:
            found.setdefault(series, []).append((x, statistics.median(values)))
    if any(len(places) > 1 for places in found.values()):
        found = {series: places for series, places in found.items() if len(places) > 1}
    return {series: sorted(found[series]) for series in sorted(found, key=_order)}


def _looks(points, scheme):
    """{series: (colour, marker)}, the same in all plots."""
    names = sorted({series for _, series, _, _ in points if not _is_floor(series)}, key=_order)
    return {name: (COLOURS[scheme][i % 7], MARKERS[i % 7]) for i, name in enumerate(names)}


def _lines(axes, series, scheme, looks):
    """Lines over x; the floors are dashed, without markers, in the colour of what stands on them."""
    for name, places in series.items():
        xs, ys = zip(*places)
        if _is_floor(name):
            colour = looks.get(name.replace("floor", "rowtail"), (SCHEMES[scheme]["floor"],))[0]
            axes.plot(xs, ys, "--", color=colour, linewidth=1.6, label=_name(name))
        else:
            colour, marker = looks[name]
            width = 2.4 if name.startswith("rowtail") else 1.6
            axes.plot(xs, ys, marker=marker, markersize=6, color=colour, linewidth=width, label=_name(name))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(x=0.06, y=0.08)
    low, high = axes.get_ylim()
    if high < 30 * low:
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(_number))
        axis.set_minor_formatter(ticker.NullFormatter())


def _bars(axes, series, scheme, looks):
    """One bar for each, where all have the same x; the floor is a line."""
    others = [name for name in reversed(series) if not _is_floor(name)]
    for place, name in enumerate(others):
        axes.barh(place, series[name][0][1], color=looks[name][0], height=0.55)
    for name in filter(_is_floor, series):
        axes.axvline(
            series[name][0][1], ls="--", color=SCHEMES[scheme]["floor"], linewidth=1.8,
            label=f"{_name(name)}: {_rounded(series[name][0][1])}",
        )  # fmt: skip
    axes.set_yticks(range(len(others)), [f"{_name(name)}\n{_rounded(series[name][0][1])}" for name in others])
    axes.set_xscale("log")
    axes.set_xlim(left=10 ** math.floor(math.log10(0.8 * min(series[name][0][1] for name in others))))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(_number))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())


def _draw(series, plot, scheme, looks, foot, path):
    title, x, y, better = PLOTS[plot]
    colours = SCHEMES[scheme]
    figure, axes = pyplot.subplots(figsize=(WIDTH_IN, HEIGHT_IN))
    figure.set_facecolor(colours["paper"])
    axes.set_facecolor(colours["paper"])
    bars = plot == "catchup" and all(len(places) == 1 for places in series.values())
    (_bars if bars else _lines)(axes, series, scheme, looks)
    axes.grid(True, which="major", axis="x" if bars else "both", color=colours["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=colours["muted"], labelsize=BASE_PT, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    rows = next(iter(series.values()))[0][0]
    figure.suptitle(
        f"{title} over {rows:,} rows" if bars else title, x=0.02, y=0.985, ha="left", color=colours["ink"],
        fontsize=BASE_PT + 3, fontweight="bold",
    )  # fmt: skip
    axes.set_title(f"{y}, {better}", loc="left", x=-0.3 if bars else -0.1, pad=11, color=colours["muted"], fontsize=BASE_PT)
    axes.set_xlabel("" if bars else x, color=colours["muted"], fontsize=BASE_PT)
    handles, labels = axes.get_legend_handles_labels()
    lines = (len(labels) + 1) // 2
    figure.legend(
        handles, labels, loc="lower left", bbox_to_anchor=(0.01, 0.09), ncols=2, frameon=False,
        fontsize=BASE_PT - 0.5, labelcolor=colours["ink"], handlelength=1.8, columnspacing=1.2, borderaxespad=0,
    )  # fmt: skip
    figure.text(0.02, 0.02, foot, color=colours["muted"], fontsize=8.5, linespacing=1.35)
    figure.subplots_adjust(left=0.34 if bars else 0.125, right=0.95, top=0.855, bottom=0.215 + 0.048 * lines)
    figure.savefig(path, facecolor=figure.get_facecolor(), metadata={"Date": None, "Title": title, "Creator": None})
    pyplot.close(figure)


def write(name, build, to):
    """Writes the plots of one program; returns the files."""
    told = json.loads((pathlib.Path(build) / "bench" / f"{name}.json").read_text())
    command = "make bench-peers" if name.startswith("peers") else "make bench"
    machine = told["machine"].replace("(R)", "").replace(" Processor", "")
    foot = f"{told['date']}, {command}\n{machine}, which also ran the clients"
    made = []
    for plot in PLOTS:
        series = _series(told["points"], plot)
        for scheme in SCHEMES if series else ():
            made.append(pathlib.Path(to) / f"{name}-{plot}-{scheme}.svg")
            _draw(series, plot, scheme, _looks(told["points"], scheme), foot, made[-1])
    return made


def prepare():
    """Letters become outlines: they look the same on every machine."""
    matplotlib.use("svg")
    matplotlib.rcParams.update(
        {"svg.hashsalt": "rowtail", "svg.fonttype": "path", "font.family": "DejaVu Sans", "savefig.dpi": 72}
    )


def main():
    """Draws what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--to", help="default: the build directory's folder bench")
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    if not matplotlib:
        print("no plots: they need python3-matplotlib (sh tests/deps.sh build bench)")
        return 0
    prepare()
    for name in arguments.names:
        made = write(name, arguments.build, arguments.to or pathlib.Path(arguments.build) / "bench")
        print("plots:", *made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
