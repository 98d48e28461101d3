"""Writes docs/speed.md and its plots from docs/speed.json, what ``python -m bench --json`` wrote.

``python docs/make_speed.py`` writes them; ``--check`` fails if the page is stale, and draws
nothing. What a person has to say stands in docs/speed/words.toml: every goal that is missed needs
a text there.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
PAGE = DOCS / "speed.md"
RESULTS = DOCS / "speed.json"
PLOTS = DOCS / "speed"
WORDS = PLOTS / "words.toml"

SECTIONS = {
    "throughput": "Throughput",
    "ping": "Round trips",
    "connecting": "Connecting",
    "many": "Many connections",
    "memory": "Memory of a long stream",
    "browser": "With browsers",
    "lossy": "Delay and loss",
    "binarypack": "BinaryPack",
    "signaling": "Signaling",
    "server-relaying": "A PeerServer, relaying",
    "server-latency": "A PeerServer, 1,000 messages a second",
    "server-requests": "A PeerServer, arrivals",
    "server-idle": "A PeerServer, idle clients",
    "server-nodes": "A PeerServer, in two processes",
    "server-profile": "A PeerServer, where its CPU goes",
}
"""Headings of the tables, in the order of the page."""

PICTURES = {
    "throughput": ("throughput-sizes", "throughput-ratios"),
    "ping": ("ping",),
    "connecting": ("connecting",),
    "many": ("many", "many-cpu"),
    "memory": ("memory",),
    "browser": ("browser",),
    "lossy": ("lossy",),
}
"""Plots of a table, by the names of their files."""

Table = Mapping[str, Any]


def main(arguments: Sequence[str]) -> int:
    """0, or 1 for a page that is stale or says nothing of a missed goal."""
    results = json.loads(RESULTS.read_text("utf-8"))
    words = tomllib.loads(WORDS.read_text("utf-8"))
    if "--check" not in arguments:
        import speed_plots  # beside this script; needs matplotlib

        speed_plots.draw(results["tables"], PICTURES, PLOTS)
        PAGE.write_text(page(results, words), "utf-8")
    faults = [
        f"{WORDS.name} has no text for a missed goal: {goal}"
        for goal in missed(results)
        if goal not in words["missed"]
    ]
    if not PAGE.exists() or PAGE.read_text("utf-8") != page(results, words):
        faults.append(f"{PAGE.name} is stale: run nox -s speed")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def page(results: Mapping[str, Any], words: Mapping[str, Any]) -> str:
    """All of it."""
    tables: Mapping[str, Table] = results["tables"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    parts = [
        "# Speed\n",
        "<!-- Made by docs/make_speed.py from docs/speed.json: `nox -s speed`. -->\n",
        words["introduction"],
        f"{results['python']} on {results['cpus']} processors; {versions}.\n",
    ]
    if "goals" in tables:
        parts += goals(tables["goals"], words["missed"], missed(results))
    for name, heading in SECTIONS.items():
        if name in tables:
            parts += section(name, heading, tables[name], words["tables"].get(name, ""))
    return "\n".join(parts)


def missed(results: Mapping[str, Any]) -> list[str]:
    """The goals that are missed somewhere, in order."""
    rows = results["tables"].get("goals", {"rows": []})["rows"]
    return list(dict.fromkeys(row[0] for row in rows if row[2] == "missed"))


def goals(table: Table, texts: Mapping[str, str], misses: Sequence[str]) -> Iterator[str]:
    """The table of the goals, and what stands in the way of those that are missed."""
    yield "## Goals\n"
    yield f"{capitalized(table['title'])}.\n"
    yield table_text(table)
    for goal in misses:
        yield f"### Missed: {goal}\n"
        yield texts.get(goal, "Nobody has said why yet.\n")


def section(name: str, heading: str, table: Table, text: str) -> Iterator[str]:
    """One table: its plots, what there is to say, and its figures."""
    yield f"## {heading}\n"
    if text:
        yield text
    for picture in PICTURES.get(name, ()):
        yield f"![{heading}: the figures below as a plot](speed/{picture}.svg)\n"
    yield f"{capitalized(table['title'])}.\n"
    yield table_text(table)
    if table["note"]:
        yield f"{table['note']}\n"


def table_text(table: Table) -> str:
    """In Markdown. Numbers stand to the right."""
    columns = list(zip(*table["rows"], strict=True))
    rules = ["---" if is_words(column) else "---:" for column in columns]
    cells = [[cell(value) for value in row] for row in table["rows"]]
    lines = [table["columns"], rules, *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def is_words(column: Sequence[Any]) -> bool:
    """Whether a column has no number."""
    return all(isinstance(value, str) for value in column)


def cell(value: Any) -> str:
    """As ``python -m bench`` prints it."""
    if isinstance(value, float):
        return f"{value:.2f}" if value < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("≥ ", "≥&nbsp;").replace("≤ ", "≤&nbsp;")


def capitalized(title: str) -> str:
    """A title as a sentence; ``connect()`` stays what it is."""
    return title if "(" in title.split()[0] else title[:1].upper() + title[1:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
