"""A Python peer in a process of its own, which ends as it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from peerjs_trio.rtc.choice import EngineName
from tests.interop.servers import Server
from tests.readme import ROOT

__all__ = ["Program", "run_program"]

_PATIENCE: Final = 60.0

_PROGRAM: Final = """
import sys, trio
from peerjs_trio import open_peer, stop_on_signal

async def main(server, id, engine, *others):
    async with stop_on_signal() as stop, open_peer(id, server=server, engine=engine) as peer:
        for other in others:
            await peer.connect(other, reliable=True)
        print("ready", flush=True)
        await trio.lowlevel.wait_readable(sys.stdin)
        match sys.stdin.readline().strip():
            case "exit":
                sys.exit(3)
            case "raise":
                raise ZeroDivisionError
    print("stopped by", stop.signal and stop.signal.name)

trio.run(main, *sys.argv[1:])
"""


@attrs.frozen
class Program:
    """It is registered, and connected to all it was to dial."""

    process: trio.Process

    async def end(self, how: str) -> None:
        """The name of a signal, or ``leave`` (the block), ``exit`` or ``raise``."""
        if how.startswith("SIG"):
            self.process.send_signal(signal.Signals[how])
        else:
            assert self.process.stdin is not None
            await self.process.stdin.send_all(f"{how}\n".encode())

    async def ended(self) -> tuple[int, str, str]:
        """Its exit status, what it said since it was ready, and its complaints."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        said = [b"", b""]

        async def read(n: int, stream: trio.abc.ReceiveStream) -> None:
            async for data in stream:
                said[n] += data

        with trio.fail_after(_PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, 0, self.process.stdout)
                nursery.start_soon(read, 1, self.process.stderr)
            return await self.process.wait(), said[0].decode(), said[1].decode()


@asynccontextmanager
async def run_program(
    server: Server, id: str, engine: EngineName, dials: Sequence[str]
) -> AsyncIterator[Program]:
    """Killed at the end of the block, if it is still there."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-W", "error", "-c", _PROGRAM, server.url, id, engine, *dials],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with process.stdin, process.stdout, process.stderr:
            said = b""
            with trio.fail_after(_PATIENCE):
                while not said.endswith(b"\n") and (more := await process.stdout.receive_some()):
                    said += more
            assert said == b"ready\n", (await process.stderr.receive_some()).decode()
            yield Program(process)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
