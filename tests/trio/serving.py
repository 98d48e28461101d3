"""``peerjs serve`` as a process of its own, and what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio

from tests.trio.server_clients import until

__all__ = ["COMMAND", "Serving", "run_peerjs", "serving"]

COMMAND = (sys.executable, "-W", "error", "-m", "peerjs_trio", "serve")


@attrs.define
class Serving:
    """A server that runs, for clients too: they want to know where it is."""

    process: trio.Process
    output: bytearray
    errors: bytearray
    host: str = ""
    port: int = 0

    @property
    def said(self) -> list[dict[str, Any]]:
        """The lines of its log; what is no JSON ends the test."""
        whole = self.errors[: self.errors.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    async def says(self, event: str, times: int = 1) -> dict[str, Any]:
        """The line of an event, once it is there so many times."""
        await until(lambda: sum(line.get("event") == event for line in self.said) >= times)
        return [line for line in self.said if line.get("event") == event][times - 1]

    async def ended(self) -> int:
        with trio.fail_after(30):
            return await self.process.wait()


@asynccontextmanager
async def run_peerjs(
    *arguments: str,
    command: tuple[str, ...] = COMMAND,
    environment: Mapping[str, str] | None = None,
    pass_fds: tuple[int, ...] = (),
) -> AsyncIterator[Serving]:
    """The command, and all that it writes."""
    start = partial(
        trio.run_process,
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        env=None if environment is None else dict(environment),
        pass_fds=pass_fds,
    )

    async def collect(stream: trio.abc.ReceiveStream | None, into: bytearray) -> None:
        assert stream is not None
        async with stream:
            async for data in stream:
                into.extend(data)

    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(start)
        running = Serving(process, bytearray(), bytearray())
        nursery.start_soon(collect, process.stdout, running.output)
        nursery.start_soon(collect, process.stderr, running.errors)
        yield running
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def serving(*arguments: str, **settings: Any) -> AsyncIterator[Serving]:
    """A server on a free port of loopback, with its log in JSON."""
    where = ("--host", "127.0.0.1", "--port", "0", "--log-format", "json")
    async with run_peerjs(*where, *arguments, **settings) as running:
        with trio.fail_after(30):
            url = (await running.says("serving"))["url"]
        host, port = url.split("/")[2].split(":")
        running.host, running.port = host, int(port)
        yield running
