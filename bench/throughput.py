"""How fast values cross, beside the bare engine on plain asyncio."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median
from typing import Final, NamedTuple

from bench.engines import FORMS, engines
from bench.rtc.pair import Pair, Transfer, run_pair
from bench.table import Table

__all__ = ["SIZES", "measure"]

SIZES: Final = {
    "100 B": 100,
    "1 KiB": 1 << 10,
    "16,000 B": 16_000,
    "16 KiB": 1 << 14,
    "256 KiB": 1 << 18,
    "1 MiB": 1 << 20,
    "20 MiB": 20 << 20,
}
"""Bytes by name."""

_VALUES: Final = {
    "bare": ("100 B", "1 KiB"),
    "raw": ("100 B", "1 KiB"),
    "binary": ("100 B", "1 KiB", "16 KiB", "256 KiB", "20 MiB"),
    "json": ("100 B", "1 KiB", "16,000 B"),  # its values fit into 16,299 bytes
    "MsgPack": ("100 B", "1 KiB", "16 KiB", "256 KiB", "1 MiB", "20 MiB"),
}
"""What is tried once, between two processes and in the usual form of the guest loop."""

_LINES: Final = ("raw", "binary", "json", "MsgPack")
_BARE: Final = "bare"

NOTE: Final = """\
Ratios are of the bare engine between as many processes, which sends messages of the value's size
and of 16 KiB at most; a ratio of CPU above 1 is more work than the engine alone. CPU is that of
both ends together."""


class _Cell(NamedTuple):
    """One row: who sends what by which line."""

    engine: str
    processes: int
    loop: str
    "``bare``, or our guest loop's form."
    line: str
    value: str
    seconds: float
    "A sample's, about."

    @property
    def pair(self) -> tuple[str, str, int]:
        return self.engine, self.loop, self.processes

    @property
    def reference(self) -> tuple[str, int, str]:
        """What a row and its bare engine have in common."""
        size = min(SIZES[self.value], SIZES["16 KiB"])
        name = "16 KiB" if size > SIZES["1 KiB"] else self.value
        return self.engine, self.processes, name


def measure(rounds: int, *, quick: bool = False) -> Table:
    cells = list(_cells(quick))
    taken: dict[_Cell, list[Transfer]] = {cell: [] for cell in cells}
    with ExitStack() as stack:
        pairs: dict[tuple[str, str, int], Pair] = {}
        for engine, loop, processes in dict.fromkeys(cell.pair for cell in cells):
            form = None if loop == _BARE else loop
            pair = run_pair(engine, form, processes, _LINES)
            pairs[engine, loop, processes] = stack.enter_context(pair)
        counts = {cell: _warm_up(pairs[cell.pair], cell) for cell in cells}
        for _ in range(rounds):
            for cell in cells:
                sample = pairs[cell.pair].transfer(cell.line, SIZES[cell.value], counts[cell])
                taken[cell].append(sample)
                counts[cell] = _next_count(cell, counts[cell], sample)
    bare = {cell.reference: taken[cell] for cell in cells if cell.loop == _BARE}
    return Table(
        "MiB/s and ms of CPU a MiB, and the ratios of both to the bare engine's",
        [
            *("engine", "processes", "loop", "serialization", "value"),
            *("MiB/s", "ratio", "ms a MiB", "ratio of CPU"),
        ],
        [_row(cell, taken[cell], bare[cell.reference]) for cell in sorted(cells, key=_place)],
        NOTE,
    )


def _place(cell: _Cell) -> tuple[int, ...]:
    """The bare engine first, then its rivals, by size."""
    return (
        *(engines().index(cell.engine), cell.processes, [_BARE, *FORMS].index(cell.loop)),
        *([_BARE, *_LINES].index(cell.line), SIZES[cell.value]),
    )


def _row(cell: _Cell, ours: list[Transfer], theirs: list[Transfer]) -> list[str | float]:
    both = list(zip(ours, theirs, strict=True))
    return [
        *(cell.engine, cell.processes, cell.loop, cell.line, cell.value),
        median(sample.speed for sample in ours),
        median(one.speed / other.speed for one, other in both),
        median(sample.cost for sample in ours) * 1e3,
        median(one.cost / other.cost for one, other in both),
    ]


def _cells(quick: bool) -> Iterator[_Cell]:
    for engine in engines():
        long, short, most = (0.0, 0.0, 1) if quick else (1.0, 0.6, 2)
        # What the goals speak of, in all ways; the bare engine stands between ours.
        for processes in range(1, most + 1):
            for loop, line, value in [
                *((form, "raw", "16 KiB") for form in FORMS),
                (_BARE, _BARE, "16 KiB"),
                *((form, "binary", "1 MiB") for form in FORMS),
            ]:
                yield _Cell(engine, processes, loop, line, value, long)
        for line, values in _VALUES.items():
            for value in values:
                if line == _BARE:
                    yield _Cell(engine, most, _BARE, line, value, short)
                elif not (quick and value == "20 MiB"):
                    yield _Cell(engine, most, FORMS[0], line, value, short)
        if engine == "wrtc":  # aiortc takes 64 KiB
            yield _Cell(engine, most, FORMS[0], "raw", "256 KiB", short)


def _warm_up(pair: Pair, cell: _Cell) -> int:
    """How many values make a sample."""
    size, count = SIZES[cell.value], 1
    while True:
        sample = pair.transfer(cell.line, size, count)
        if sample.seconds >= cell.seconds / 4:
            return _next_count(cell, count, sample)
        count *= 4


def _next_count(cell: _Cell, count: int, sample: Transfer) -> int:
    return max(1, round(count * cell.seconds / sample.seconds))
