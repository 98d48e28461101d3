"""One end of a connection, as the benches use it, and the jobs that can be done on it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

import anyio

__all__ = ["Job", "Line", "do_jobs", "line_jobs"]

_PATIENCE: Final = 120.0
"Seconds for one job; the longest sample takes some ten."

Job = Callable[..., Coroutine[Any, Any, Any]]
"""Takes and returns what JSON holds."""


class Line(Protocol):
    """An end that is open, with the flow control its library asks for."""

    async def send(self, size: int, count: int) -> None:
        """So many values of so many bytes; returns when the last is in the channel's buffer."""

    async def receive(self, count: int) -> None:
        """Returns when so many values have come."""

    async def ping(self, size: int, count: int) -> list[float]:
        """Send a value and wait for another, so many times; seconds each took."""
        ...

    async def echo(self, count: int) -> None:
        """Send back what comes, so many times."""


def line_jobs(lines: Mapping[str, Line]) -> dict[str, Job]:
    """What every worker can do, whatever its lines are made of."""

    async def send(name: str, size: int, count: int) -> float:
        began = time.monotonic()  # one clock for all processes of a machine
        await lines[name].send(size, count)
        return began

    async def receive(name: str, count: int) -> float:
        await lines[name].receive(count)
        return time.monotonic()

    async def ping(name: str, size: int, count: int) -> list[float]:
        return await lines[name].ping(size, count)

    async def echo(name: str, count: int) -> None:
        await lines[name].echo(count)

    async def cpu() -> float:
        return time.process_time()

    return {"send": send, "receive": receive, "ping": ping, "echo": echo, "cpu": cpu}


async def do_jobs(jobs: Mapping[str, Job]) -> None:
    """Do what stdin says, all at once: a line ``[number, job, arguments …]`` each.

    Answers ``[number, result]`` on stdout; ends with stdin. anyio is for these pipes alone:
    on asyncio, a bare engine's lines are asyncio's and know nothing of it. A job that takes too
    long ends the worker, and with it the bench: better than to wait for what was lost.
    """

    async def do(number: int, job: str, arguments: list[Any]) -> None:
        with anyio.fail_after(_PATIENCE):
            result = await jobs[job](*arguments)
        print(json.dumps([number, result]), flush=True)

    async with anyio.create_task_group() as tasks:
        async for text in anyio.wrap_file(sys.stdin):
            number, job, *arguments = json.loads(text)
            tasks.start_soon(do, number, job, arguments)
        tasks.cancel_scope.cancel()
