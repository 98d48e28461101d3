"""What 200 open data connections cost one process."""

from __future__ import annotations

import resource
import time
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median
from typing import Final

import trio

from bench.ends import Figures, far_figures, figures, serve_far
from bench.engines import EngineName, engine_factory, engines
from bench.processes import serving, together
from bench.table import Table
from peerjs_trio import DataConnection, open_peer

__all__ = ["measure"]

_AT_ONCE: Final = 10
"Dials under way."

_SETTLE: Final = 2.0
"Seconds until what connecting has stirred up is quiet."

_PATIENCE: Final = 300.0

Cost = list[float]
"""KiB, % of a core idle, % of a core busy, seconds for opening: all of them for one side."""


def measure(rounds: int, *, quick: bool = False, count: int = 200) -> Table:
    """``rounds`` is the number of samples of CPU, two seconds each."""
    count = 5 if quick else count
    rows: list[list[str | float]] = []
    with serving() as url:
        for name in engines():
            sides: tuple[Cost, Cost] = together(
                partial(_dial, url, name, count, rounds, 0.2 if quick else 2.0),
                partial(_answer, url, name, count),
            )[0]
            for side, cost in zip(("dialled", "answered"), sides, strict=True):
                rows.append([f"{name}, {side}", *cost])
    return Table(
        f"{count} open DataConnections in one process; the other ends are in another",
        [
            "engine, side",
            *("KiB each", "MiB in all", "idle, % of a core", "busy, % of a core"),
            *("busy, µs a message", "opening, ms each"),
        ],
        rows,
        f"Memory is PSS, above that of the same process with one connection. Busy: each one sends\n"
        f"64 bytes a second, one way. CPU: medians of {rounds} samples. {_AT_ONCE} dials at once.",
    )


def _answer(url: str, name: EngineName, count: int) -> None:
    _raise_limit()
    serve_far(url, f"far-{name}", name, count + 1, seconds=_PATIENCE)


def _dial(url: str, name: EngineName, count: int, samples: int, seconds: float) -> list[Cost]:
    _raise_limit()
    return trio.run(_measure_sides, url, name, count, samples, seconds)


def _raise_limit() -> None:
    """A connection has several sockets, one for each address of this machine."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _measure_sides(
    url: str, name: EngineName, count: int, samples: int, seconds: float
) -> list[Cost]:
    far = f"far-{name}"
    connections: list[DataConnection] = []
    with trio.fail_after(_PATIENCE):
        async with (
            open_peer(server=url, engine=engine_factory(name)) as peer,
            trio.open_nursery() as nursery,
        ):
            asked = await peer.connect(far, metadata={"job": "figures"}, reliable=True)

            async def used() -> tuple[Figures, Figures]:
                return figures(), await far_figures(asked)

            async def dial(limit: trio.CapacityLimiter) -> None:
                async with limit:
                    idle = await peer.connect(far, metadata={"job": "idle"}, serialization="raw")
                    connections.append(idle)

            before = await used()
            begin = time.perf_counter()
            async with trio.open_nursery() as dials:
                limit = trio.CapacityLimiter(_AT_ONCE)
                for _ in range(count):
                    dials.start_soon(dial, limit)
            opening = (time.perf_counter() - begin) / count * 1e3
            await trio.sleep(_SETTLE)
            after = await used()
            idle = await _load(used, samples, seconds)
            for number, connection in enumerate(connections):
                nursery.start_soon(_chatter, connection, number / count)
            await trio.sleep(1.0)
            busy = await _load(used, samples, seconds)
            nursery.cancel_scope.cancel()
    costs = []
    for side in (0, 1):
        grown = after[side].pss - before[side].pss
        more = (busy[side] - idle[side]) / count
        each = [grown * 1024 / count, grown, idle[side] * 100, busy[side] * 100, more * 1e6]
        costs.append([*each, opening])
    return costs


async def _chatter(connection: DataConnection, wait: float) -> None:
    await trio.sleep(wait)
    while True:
        await connection.send(b"m" * 64)
        await trio.sleep(1.0)


async def _load(
    used: Callable[[], Awaitable[tuple[Figures, Figures]]], samples: int, seconds: float
) -> list[float]:
    """Seconds of CPU a second, of each side: medians."""
    taken: list[tuple[float, float]] = []
    before, begin = await used(), time.perf_counter()
    for _ in range(samples):
        await trio.sleep(seconds)
        after, end = await used(), time.perf_counter()
        here, there = ((b.cpu - a.cpu) / (end - begin) for a, b in zip(before, after, strict=True))
        taken.append((here, there))
        before, begin = after, end
    return [median(side) for side in zip(*taken, strict=True)]
