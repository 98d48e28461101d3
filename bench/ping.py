"""How long a small message and its answer take, beside the bare engine on plain asyncio."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from statistics import median, quantiles
from typing import Final

from bench.engines import FORMS, engines
from bench.rtc.pair import Pings, run_pair
from bench.table import Table

__all__ = ["measure"]

Cell = tuple[str, int]
"""Engine, processes."""

_SIZE: Final = 64
"Bytes of a ping, and of its answer."
_BLOCK: Final = 400
"Pings one after the other, before the next has its turn."
_BARE: Final = "bare"
_AWAITING: Final = "bare, a task"

NOTE: Final = """\
From one end's send() to its receive() of what the other end sends back. The bare engine answers
inside its message event, or by an asyncio task that awaits the message, as ours does. Ratios are
between as many processes: of p50 to either, and of the CPU of both ends to the first."""


def measure(rounds: int, *, quick: bool = False) -> Table:
    block = 3 if quick else _BLOCK
    cells = [
        (engine, processes) for engine in engines() for processes in ((1,) if quick else (1, 2))
    ]
    with ExitStack() as stack:
        pings: dict[Cell, dict[str, Callable[[], Pings]]] = {}
        for engine, processes in cells:
            bare = stack.enter_context(run_pair(engine, None, processes))
            ways = pings[engine, processes] = {
                _BARE: partial(bare.ping, _BARE, _SIZE, block),
                _AWAITING: partial(bare.ping, _BARE, _SIZE, block, job="echo_awaiting"),
            }
            for form in FORMS:
                ours = stack.enter_context(run_pair(engine, form, processes, ["raw"]))
                ways[form] = partial(ours.ping, "raw", _SIZE, block)
            for ping in ways.values():
                ping()  # to be warm
        taken: dict[tuple[Cell, str], list[Pings]] = defaultdict(list)
        for _ in range(rounds):
            for cell, ways in pings.items():
                for loop, ping in ways.items():
                    taken[cell, loop].append(ping())
    return Table(
        f"round trips of {_SIZE} bytes, ms, and ms of CPU for each",
        [
            *("engine", "processes", "loop"),
            *("p50", "ratio", "to a task", "p90", "p99", "CPU", "ratio of CPU"),
        ],
        [
            [*cell, loop, *_row(ours, taken[cell, _BARE], taken[cell, _AWAITING])]
            for (cell, loop), ours in taken.items()
        ],
        NOTE,
    )


def _row(ours: list[Pings], bare: list[Pings], awaiting: list[Pings]) -> list[float]:
    every = sorted(seconds for pings in ours for seconds in pings.seconds)
    parts = quantiles(every, n=100, method="inclusive")
    return [
        parts[49] * 1e3,
        _ratio(ours, bare, lambda pings: median(pings.seconds)),
        _ratio(ours, awaiting, lambda pings: median(pings.seconds)),
        parts[89] * 1e3,
        parts[98] * 1e3,
        median(pings.cpu / len(pings.seconds) for pings in ours) * 1e3,
        _ratio(ours, bare, lambda pings: pings.cpu),
    ]


def _ratio(ours: list[Pings], theirs: list[Pings], figure: Callable[[Pings], float]) -> float:
    return median(figure(one) / figure(other) for one, other in zip(ours, theirs, strict=True))
