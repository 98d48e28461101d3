"""What two peers do for each other in these tables; bench/page.js does the same in a page.

Whoever dials names a job in the metadata, and takes the time. ``sink``: after every ``count``
values, one comes back. ``echo``: each comes back. ``idle``: nothing does.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import Any

import trio

from peerjs_trio import DataConnection, Peer

__all__ = ["ping", "serve_peer", "upload"]


async def serve_peer(peer: Peer, count: int = 1) -> None:
    """Do the jobs of the next ``count`` connections, all at once, until their ends."""
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            connection = await anext(peer.incoming_connections())
            job = _JOBS[connection.metadata["job"]]
            nursery.start_soon(job, connection)


async def _sink(connection: DataConnection) -> None:
    every = int(connection.metadata["count"])
    seen = 0
    async for _ in connection:
        seen += 1
        if seen % every == 0:
            await connection.send(b"all" if connection.serialization == "raw" else seen)


async def _echo(connection: DataConnection) -> None:
    async for value in connection:
        await connection.send(value)


async def _idle(connection: DataConnection) -> None:
    async for _ in connection:
        pass


_JOBS: dict[str, Callable[[DataConnection], Awaitable[None]]] = {
    "sink": _sink,
    "echo": _echo,
    "idle": _idle,
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
