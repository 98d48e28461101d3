"""How long a small message and its answer take, beside the bare engine on plain asyncio."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median, quantiles
from typing import Final

from bench.rtc.pair import ENGINES, FORMS, Pings, has_bare, has_ours, run_pair
from bench.table import Table

__all__ = ["measure"]

_SIZE: Final = 64
"Bytes of a ping, and of its answer."
_BLOCK: Final = 400
"Pings one after the other, before the next has its turn."
_BARE: Final = "bare"

NOTE: Final = """\
From one end's send() to its receive() of what the other end sends back; the bare engine answers
inside its message event. Ratios are of the bare engine between as many processes: of p50, and of
the CPU of both ends together."""


def measure(rounds: int, *, quick: bool = False) -> Table:
    block = 3 if quick else _BLOCK
    cells = [
        (engine, processes, loop)
        for engine in filter(has_bare, ENGINES)
        for processes in ((1,) if quick else (1, 2))
        for loop in (_BARE, *(FORMS if has_ours(engine) else ()))
    ]
    with ExitStack() as stack:
        pairs = {}
        for engine, processes, loop in cells:
            form = None if loop == _BARE else loop
            pair = stack.enter_context(run_pair(engine, form, processes, ["raw"]))
            pairs[engine, processes, loop] = pair
            pair.ping(_BARE if form is None else "raw", _SIZE, block)  # to be warm
        taken: dict[tuple[str, int, str], list[Pings]] = {cell: [] for cell in cells}
        for _ in range(rounds):
            for cell, pair in pairs.items():
                line = _BARE if cell[2] == _BARE else "raw"
                taken[cell].append(pair.ping(line, _SIZE, block))
    return Table(
        f"round trips of {_SIZE} bytes, ms, and ms of CPU for each",
        ["engine", "processes", "loop", "p50", "ratio", "p90", "p99", "CPU", "ratio of CPU"],
        [
            [engine, processes, loop, *_row(taken[engine, processes, loop], bare)]
            for engine, processes, loop in cells
            for bare in [taken[engine, processes, _BARE]]
        ],
        NOTE,
    )


def _row(ours: list[Pings], theirs: list[Pings]) -> list[float]:
    both = list(zip(ours, theirs, strict=True))
    every = sorted(seconds for pings in ours for seconds in pings.seconds)
    parts = quantiles(every, n=100, method="inclusive")
    return [
        parts[49] * 1e3,
        median(median(one.seconds) / median(other.seconds) for one, other in both),
        parts[89] * 1e3,
        parts[98] * 1e3,
        median(pings.cpu / len(pings.seconds) for pings in ours) * 1e3,
        median(one.cpu / other.cpu for one, other in both),
    ]
