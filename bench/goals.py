"""What was aimed at, and whether it is reached, by the tables' own figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from bench.table import Table

__all__ = ["GOALS", "Goal", "judge"]

Row = Mapping[str, Any]
"""One row of a table, by column."""
Rows = Sequence[Row]
Tables = Mapping[str, Rows]


Figures = Callable[[Tables], Iterator[tuple[str, float]]]
"""Where, and how much."""


class Goal(NamedTuple):
    """One sentence of the aims, and how to find its figures."""

    what: str
    sign: str
    "``≥`` or ``≤``."
    bound: float
    table: str
    "Which has to be there."
    figures: Figures


def judge(tables: Mapping[str, Any]) -> Table:
    """``tables`` as :meth:`Table.as_json` has them, by name. Goals without figures are left out."""
    found = {
        name: [_by_column(table["columns"], row) for row in table["rows"]]
        for name, table in tables.items()
    }
    rows: list[list[str | float]] = []
    for goal in GOALS:
        if goal.table in found:
            for where, measured in goal.figures(found):
                met = measured >= goal.bound if goal.sign == "≥" else measured <= goal.bound
                bound = f"{goal.sign} {goal.bound:g}"
                rows.append([goal.what, where, "met" if met else "missed", bound, measured])
    return Table(
        "what was aimed at, between two processes and by the stepped loop unless it says otherwise",
        ["goal", "where", "", "aim", "measured"],
        rows,
    )


def _by_column(columns: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    """Of columns with one name, the first."""
    found: dict[str, Any] = {}
    for column, value in zip(columns, row, strict=True):
        found.setdefault(column, value)
    return found


def _cells(table: str, column: str, **wanted: str) -> Figures:
    """A column of the rows in which ours goes by the form of the guest loop that is the default."""

    def figures(tables: Tables) -> Iterator[tuple[str, float]]:
        for row in tables[table]:
            if row["loop"] == "stepped" and all(row[name] == is_ for name, is_ in wanted.items()):
                one_or_two = "one process" if row["processes"] == 1 else "two processes"
                yield f"{row['engine']}, {one_or_two}", row[column]

    return figures


def _named(table: str, column: str, name: str) -> Figures:
    """A column of the one row of that name."""

    def figures(tables: Tables) -> Iterator[tuple[str, float]]:
        for row in tables[table]:
            if next(iter(row.values())) == name:
                yield name, row[column]

    return figures


def _of_server(table: str, column: str, **wanted: str) -> Figures:
    """A column of the rows of our PeerServer."""

    def figures(tables: Tables) -> Iterator[tuple[str, float]]:
        for row in tables[table]:
            if row["server"] == "ours" and all(row[name] == is_ for name, is_ in wanted.items()):
                yield wanted.get("what", "ours"), row[column]

    return figures


def _memory_of_clients(tables: Tables) -> Iterator[tuple[str, float]]:
    for row in tables["server-idle"]:
        if row["server"] == "ours":
            yield f"{row['clients']:,} clients", row["× npm's"]


def _largest_growth(tables: Tables) -> Iterator[tuple[str, float]]:
    for row in tables["memory"]:
        for end in ("sender", "receiver"):
            yield f"{row['engine']}, {end}", row[f"{end}, at most"]


def _later_by_dead_servers(tables: Tables) -> Iterator[tuple[str, float]]:
    p50s = {next(iter(row.values())): row["p50"] for row in tables["connecting"]}
    for name, p50 in p50s.items():
        engine, _, rest = name.partition(", ours, ")
        if rest and f"{engine}, stepped" in p50s:
            yield f"{engine}, {rest}", p50 - p50s[f"{engine}, stepped"]


def _wrtc_by_aiortc(tables: Tables) -> Iterator[tuple[str, float]]:
    wanted = {"loop": "stepped", "serialization": "raw", "value": "16 KiB"}
    for processes, words in ((1, "one process"), (2, "two processes")):
        speeds = {
            row["engine"]: row["MiB/s"]
            for row in tables["throughput"]
            if row["processes"] == processes
            and all(row[name] == is_ for name, is_ in wanted.items())
        }
        if {"aiortc", "wrtc"} <= speeds.keys():
            yield words, speeds["wrtc"] / speeds["aiortc"]


GOALS: Final = [
    Goal(
        "throughput, raw, 16 KiB values: × the bare engine",
        *("≥", 0.95, "throughput"),
        _cells("throughput", "ratio", serialization="raw", value="16 KiB"),
    ),
    Goal(
        "throughput, binary, 1 MiB values: × the bare engine",
        *("≥", 0.85, "throughput"),
        _cells("throughput", "ratio", serialization="binary", value="1 MiB"),
    ),
    Goal(
        "CPU a MiB, raw, 16 KiB values: × the bare engine",
        *("≤", 1.05, "throughput"),
        _cells("throughput", "ratio of CPU", serialization="raw", value="16 KiB"),
    ),
    Goal(
        "ping, p50: × the bare engine, answered in its callback",
        *("≤", 1.3, "ping"),
        _cells("ping", "ratio"),
    ),
    Goal(
        "ping, p50: × the bare engine, answered by a task",
        *("≤", 1.3, "ping"),
        _cells("ping", "to a task"),
    ),
    Goal(
        "throughput, raw, 16 KiB values: wrtc × aiortc",
        *("≥", 5.0, "throughput"),
        _wrtc_by_aiortc,
    ),
    Goal(
        "throughput, raw, first megabytes: wrtc × a page to a page",
        *("≥", 4.0, "browser"),
        _named("browser", "ratio of first", "Python to Python, wrtc"),
    ),
    Goal(
        "throughput, raw, later: wrtc × a page to a page",
        *("≥", 4.0, "browser"),
        _named("browser", "ratio of raw", "Python to Python, wrtc"),
    ),
    Goal(
        "memory a raw stream takes, MiB: the water mark, and what the engine holds",
        *("≤", 16.0, "memory"),
        _largest_growth,
    ),
    Goal(
        "connect() with aiortc, p50, ms",
        *("≤", 100.0, "connecting"),
        _named("connecting", "p50", "aiortc, stepped"),
    ),
    Goal(
        "connect() with wrtc, p50, ms",
        *("≤", 30.0, "connecting"),
        _named("connecting", "p50", "wrtc, stepped"),
    ),
    Goal(
        "connect() with a dead STUN or TURN server: ms later than without",
        *("≤", 500.0, "connecting"),
        _later_by_dead_servers,
    ),
    Goal(
        "PeerServer, CPU a relayed OFFER, flat out: × npm's",
        *("≤", 1.0, "server-relaying"),
        _of_server("server-relaying", "× npm's"),
    ),
    Goal(
        "PeerServer, CPU a relayed OFFER, 1,000 a second: × npm's",
        *("≤", 1.0, "server-latency"),
        _of_server("server-latency", "× npm's"),
    ),
    Goal(
        "PeerServer, relay at 1,000 a second, p50: × npm's",
        *("≤", 1.0, "server-latency"),
        _of_server("server-latency", "× npm's p50"),
    ),
    Goal(
        "PeerServer, relay at 1,000 a second, p99: × npm's",
        *("≤", 1.0, "server-latency"),
        _of_server("server-latency", "× npm's p99"),
    ),
    Goal(
        "PeerServer, registrations a second: × npm's",
        *("≥", 2.0, "server-requests"),
        _of_server("server-requests", "× npm's", what="registered"),
    ),
    Goal(
        "PeerServer, ids a second: × npm's",
        *("≥", 2.0, "server-requests"),
        _of_server("server-requests", "× npm's", what="GET /peerjs/id, kept alive"),
    ),
    Goal(
        "PeerServer, ids a second: × npm's",
        *("≥", 2.0, "server-requests"),
        _of_server("server-requests", "× npm's", what="GET /peerjs/id, a connection each"),
    ),
    Goal(
        "PeerServer, two on Redis: capacity × one's",
        *("≥", 1.6, "server-nodes"),
        _named("server-nodes", "capacity, × one", "two on Redis"),
    ),
    Goal(
        "PeerServer, memory an idle client: × npm's",
        *("≤", 0.5, "server-idle"),
        _memory_of_clients,
    ),
]
