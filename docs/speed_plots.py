"""The plots of docs/speed.md, for docs/make_speed.py. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

Row = Mapping[str, Any]
Rows = Sequence[Row]
Series = Mapping[str, Sequence[float]]
"""Lengths of bars, one for each label, by what the bars mean."""

COLORS = {
    "bare": "#8a8a8a",
    "bare, a task": "#b0b0b0",
    "raw": "#1f77b4",
    "binary": "#d9660f",
    "json": "#2a8a2a",
    "MsgPack": "#8a4fbf",
    "stepped": "#1f77b4",
    "thread": "#d9660f",
}
OTHERS = ["#1f77b4", "#d9660f", "#2a8a2a", "#8a4fbf", "#8a8a8a", "#b03030", "#17a0a8"]

GAP = "\u00a0"
"""SVG drops a plain space at the beginning."""

UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}


def draw(tables: Mapping[str, Any], pictures: Mapping[str, Sequence[str]], folder: Path) -> None:
    """Write every plot whose table is there, and nothing else is left."""
    for path in folder.glob("*.svg"):
        path.unlink()
    # The same figures make the same file; text stays text.
    with mpl.rc_context({"svg.hashsalt": "peerjs", "svg.fonttype": "none", "font.size": 9}):
        for name, names in pictures.items():
            if name not in tables:
                continue
            table = tables[name]
            rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
            for picture in names:
                figure = DRAWN[picture](rows)
                path = folder / f"{picture}.svg"
                figure.savefig(path, metadata={"Date": None, "Creator": None}, format="svg")


# --- throughput and round trips ------------------------------------------------------------


def sizes(rows: Rows) -> Figure:
    """MiB/s by the size of the values, an engine beside the other."""
    rows = [row for row in rows if row["processes"] == 2 and row["loop"] in ("bare", "stepped")]
    engines = list(dict.fromkeys(row["engine"] for row in rows))
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes: Sequence[Axes] = figure.subplots(1, len(engines), squeeze=False)[0]
    for axis, engine in zip(axes, engines, strict=True):
        of_engine = [row for row in rows if row["engine"] == engine]
        for line in dict.fromkeys(row["serialization"] for row in of_engine):
            points = sorted(
                (in_bytes(row["value"]), row["MiB/s"])
                for row in of_engine
                if row["serialization"] == line
            )
            axis.plot(
                *zip(*points, strict=True),
                marker="o",
                markersize=4,
                color=COLORS[line],
                linestyle="--" if line == "bare" else "-",
                label=f"the bare engine, {engine}" if line == "bare" else line,
            )
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks([in_bytes(text) for text in TICKS], TICKS)
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(FuncFormatter(lambda _value, _: ""))
        axis.set(title=f"{engine}, two processes", xlabel="size of a value", ylabel="MiB/s")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8)
    return figure


TICKS = ["100 B", "1 KiB", "16 KiB", "256 KiB", "20 MiB"]


def in_bytes(text: str) -> float:
    """``16,000 B``, ``1 KiB`` … as a number."""
    number, unit = text.replace(",", "").split()
    return float(number) * UNITS[unit]


def ratios(rows: Rows) -> Figure:
    """Ours as a share of the bare engine's throughput, by all ways there are."""
    of_goals = {"raw": "16 KiB", "binary": "1 MiB"}
    rows = [row for row in rows if of_goals.get(row["serialization"]) == row["value"]]
    labels = list(dict.fromkeys(way(row) for row in rows))
    series = {}
    for serialization, value in of_goals.items():
        found = {way(row): row["ratio"] for row in rows if row["serialization"] == serialization}
        series[f"{serialization}, {value} values"] = [found.get(label, 0) for label in labels]
    colors = [COLORS["raw"], COLORS["binary"]]
    return bars(labels, series, "throughput, as a share of the bare engine's", colors, line=1.0)


def way(row: Row) -> str:
    """What a row of both tables measures, in words."""
    processes = "1 process" if row["processes"] == 1 else f"{row['processes']} processes"
    return f"{row['engine']}, {processes}, {row['loop']}"


def pings(rows: Rows) -> Figure:
    """p50 of every way, and a thin line up to p90."""
    figure = Figure(figsize=(8, 0.6 + 0.28 * len(rows)), layout="constrained")
    axis = figure.subplots()
    places = range(len(rows))
    axis.barh(
        places,
        [row["p50"] for row in rows],
        color=[COLORS[row["loop"]] for row in rows],
        height=0.7,
    )
    axis.hlines(places, [row["p50"] for row in rows], [row["p90"] for row in rows], color="#333333")
    for place, row in zip(places, rows, strict=True):
        axis.text(row["p90"], place, f"{GAP}{row['p50']:.2f} (× {row['ratio']:.2f})", va="center")
    axis.set_yticks(places, [way(row) for row in rows])
    finish(axis, "ms for a round trip: p50, the line to p90; × the bare engine's p50")
    axis.set_xlim(right=1.2 * max(row["p90"] for row in rows))
    return figure


# --- bars of any table ---------------------------------------------------------------------


def bars_of(rows: Rows, *, columns: Sequence[str], title: str, stacked: bool = False) -> Figure:
    """Some columns of a table as bars; the words of a row are its label."""
    labels = [", ".join(text for text in row.values() if isinstance(text, str)) for row in rows]
    labels = [label.rstrip(", ") for label in labels]
    present = [column for column in columns if any(row.get(column) for row in rows)]
    series = {column: [row[column] or 0 for row in rows] for column in present}
    return bars(labels, series, title, OTHERS, stacked=stacked)


def bars(
    labels: Sequence[str],
    series: Series,
    title: str,
    colors: Sequence[str],
    *,
    stacked: bool = False,
    line: float | None = None,
) -> Figure:
    """Horizontal, the first on top: side by side or one after the other."""
    height = 0.28 if stacked or len(series) == 1 else 0.2 * len(series) + 0.08
    figure = Figure(figsize=(8, 0.9 + height * len(labels)), layout="constrained")
    axis = figure.subplots()
    ends = [0.0] * len(labels)
    thick = 0.7 if stacked else 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        shift = 0.0 if stacked else (number - (len(series) - 1) / 2) * thick
        places = [place + shift for place in range(len(labels))]
        axis.barh(
            places,
            values,
            left=ends if stacked else None,
            height=thick,
            color=colors[number],
            label=name,
        )
        if stacked:
            ends = [end + value for end, value in zip(ends, values, strict=True)]
        else:
            for place, value in zip(places, values, strict=True):
                axis.text(
                    value,
                    place,
                    f"{GAP}{number_text(value)}" if value else "",
                    va="center",
                    fontsize=8,
                )
    if line is not None:
        axis.axvline(line, color="#333333", linewidth=1)
    axis.set_yticks(range(len(labels)), labels)
    finish(axis, title)
    if len(series) > 1:
        figure.legend(
            loc="outside upper center", ncols=min(len(series), 7), frameon=False, fontsize=8
        )
    return figure


def number_text(value: float) -> str:
    """Three digits that say something."""
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def finish(axis: Axes, title: str) -> None:
    """The first row on top, and nothing that does not speak."""
    axis.invert_yaxis()
    axis.set_xlabel(title)
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.08)


DRAWN: Mapping[str, Callable[[Rows], Figure]] = {
    "throughput-sizes": sizes,
    "throughput-ratios": ratios,
    "ping": pings,
    "connecting": lambda rows: bars_of(
        # With servers that are dead, aiortc alone takes fifty times as long.
        [row for row in rows if next(iter(row.values())).count(",") == 1],
        columns=["offer", "there", "answer", "back", "up", "told"],
        title="ms, medians of the steps",
        stacked=True,
    ),
    "many": partial(bars_of, columns=["KiB each"], title="KiB of memory for each connection"),
    "many-cpu": partial(
        bars_of,
        columns=["idle, % of a core", "busy, % of a core"],
        title="CPU of all connections, % of a core",
    ),
    "memory": partial(
        bars_of, columns=["sender", "receiver"], title="MiB above what was in use before"
    ),
    "browser": partial(bars_of, columns=["first", "raw", "binary"], title="MiB/s"),
    "lossy": partial(bars_of, columns=["MiB/s"], title="MiB/s"),
}
