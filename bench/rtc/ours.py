"""Our DataConnections, between peers that meet at a PeerServer of ours."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import anyio
from anyio.abc import TaskStatus

from bench.engines import EngineName, engine_factory
from bench.rtc.line import Job, line_jobs
from bench.rtc.via import engine_via
from peerjs_trio import DataConnection, Peer, open_peer, open_server
from peerjs_trio.guest import Form

__all__ = ["open_ours"]


class OurLine:
    """A DataConnection as a :class:`~bench.rtc.line.Line`."""

    def __init__(self, connection: DataConnection) -> None:
        self._connection = connection

    def _value(self, size: int) -> Any:
        return "x" * size if self._connection.serialization == "json" else bytes(size)

    async def send(self, size: int, count: int) -> None:
        value = self._value(size)
        for _ in range(count):
            await self._connection.send(value)

    async def receive(self, count: int) -> None:
        for _ in range(count):
            await self._connection.receive()

    async def ping(self, size: int, count: int) -> list[float]:
        value = self._value(size)
        taken = []
        for _ in range(count):
            began = time.perf_counter()
            await self._connection.send(value)
            await self._connection.receive()
            taken.append(time.perf_counter() - began)
        return taken

    async def echo(self, count: int) -> None:
        for _ in range(count):
            await self._connection.send(await self._connection.receive())


@asynccontextmanager
async def open_ours(engine: str, form: str) -> AsyncIterator[dict[str, Job]]:
    """The jobs of a worker with our peers, on an engine and a form of the guest loop."""
    factory = engine_factory(cast(EngineName, engine), cast(Form, form))
    peers: dict[str, Peer] = {}
    lines: dict[str, OurLine] = {}

    async with anyio.create_task_group() as tasks:

        async def serve() -> str:
            url: str = (await tasks.start(_hold, open_server())).url
            return url

        async def join(id: str, url: str, *via: Any) -> None:
            """``via``: the host and port where all far sides are found, and nowhere else."""
            engine = engine_via(factory, via) if via else factory
            peers[id] = await tasks.start(_hold, open_peer(id, server=url, engine=engine))

        async def dial(id: str, other: str, serialization: str) -> None:
            # In order, as the bare channels are.
            lines[f"{id} {serialization}"] = OurLine(
                await peers[id].connect(other, serialization=serialization, reliable=True)
            )

        async def accept(id: str) -> None:
            connection = await anext(peers[id].incoming_connections())
            lines[f"{id} {connection.serialization}"] = OurLine(connection)

        jobs: dict[str, Job] = {"serve": serve, "join": join, "dial": dial, "accept": accept}
        yield {**jobs, **line_jobs(lines)}
        tasks.cancel_scope.cancel()


async def _hold(block: AbstractAsyncContextManager[Any], *, task_status: TaskStatus[Any]) -> None:
    """A block in a task of its own: jobs come and go."""
    async with block as value:
        task_status.started(value)
        await anyio.sleep_forever()
