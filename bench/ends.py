"""What two peers do for each other in these tables; bench/page.js does the same in a page.

Whoever dials names a job in the metadata, and takes the time. ``sink``: after every ``count``
values, one comes back. ``echo``: each comes back. ``idle``: nothing does. ``figures``: what the
far process has used, each time it is asked.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

import trio

from bench.engines import EngineName, engine_factory
from bench.processes import memory_now, reset_peak
from peerjs_trio import DataConnection, Peer, open_peer
from peerjs_trio.guest import Form

__all__ = ["Figures", "far_figures", "figures", "ping", "serve_far", "serve_peer", "upload"]


def serve_far(
    url: str, id: str, engine: EngineName, count: int, *, form: Form = "stepped", seconds: float
) -> None:
    """A process of its own for :func:`serve_peer`, which has so many seconds."""

    async def serve() -> None:
        with trio.fail_after(seconds):
            async with open_peer(id, server=url, engine=engine_factory(engine, form)) as peer:
                await serve_peer(peer, count)

    trio.run(serve)


async def serve_peer(peer: Peer, count: int = 1) -> None:
    """Do the jobs of the next ``count`` connections, all at once, until their ends."""
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            connection = await anext(peer.incoming_connections())
            job = _JOBS[connection.metadata["job"]]
            nursery.start_soon(job, connection)


class Figures(NamedTuple):
    """What a process has used."""

    pss: float
    "MiB, proportional: what is shared counts by its share."
    rss: float
    "MiB."
    peak: float
    "MiB, the largest RSS since it was last reset."
    cpu: float
    "Seconds."


def figures(*, reset: bool = False) -> Figures:
    """Of this process; ``reset`` lets the peak begin again."""
    if reset:
        reset_peak()
    return Figures(*memory_now(), time.process_time())


async def far_figures(connection: DataConnection, *, reset: bool = False) -> Figures:
    """Of the process at the far end, which does the job ``figures``."""
    await connection.send(reset)
    return Figures(**await connection.receive())


async def _sink(connection: DataConnection) -> None:
    every = int(connection.metadata["count"])
    seen = 0
    async for _ in connection:
        seen += 1
        if seen % every == 0:
            await connection.send("all")


async def _echo(connection: DataConnection) -> None:
    async for value in connection:
        await connection.send(value)


async def _idle(connection: DataConnection) -> None:
    async for _ in connection:
        pass


async def _figures(connection: DataConnection) -> None:
    async for reset in connection:
        await connection.send(figures(reset=reset)._asdict())


_JOBS: dict[str, Callable[[DataConnection], Awaitable[None]]] = {
    "sink": _sink,
    "echo": _echo,
    "idle": _idle,
    "figures": _figures,
}


async def upload(connection: DataConnection, value: Any) -> float:
    """Send a sink what it counts to, and wait for its answer: seconds."""
    begin = time.perf_counter()
    for _ in range(connection.metadata["count"]):
        await connection.send(value)
    await connection.receive()
    return time.perf_counter() - begin


async def ping(connection: DataConnection, times: int) -> Sequence[float]:
    """Round trips of 64 bytes with an echo, in seconds, sorted."""
    ball = b"p" * 64
    trips = []
    for _ in range(times):
        begin = time.perf_counter()
        await connection.send(ball)
        await connection.receive()
        trips.append(time.perf_counter() - begin)
    assert median(trips) > 0
    return sorted(trips)
