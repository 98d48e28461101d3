"""Either PeerServer in a process that can be killed, and started again on the same port."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from tests.interop.npm_peer import SCRIPT
from tests.interop.programs import find_program
from tests.interop.servers import WhichServer
from tests.readme import ROOT
from tests.trio.ice import closed_port

__all__ = ["Killable", "open_killable"]

_PATIENCE: Final = 30.0


@attrs.define(eq=False)
class Killable:
    """Not running until it is started."""

    url: str
    _command: Sequence[str]
    _environment: dict[str, str]
    _process: trio.Process | None = None

    async def start(self) -> None:
        """Returns when it listens."""
        self._process = await trio.lowlevel.open_process(
            self._command,
            cwd=ROOT,
            env=os.environ | self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        with trio.fail_after(_PATIENCE):
            assert await self._process.stdout.receive_some(), f"{self._command[0]} said nothing"

    async def kill(self) -> None:
        """As ``kill -9`` does: the kernel closes its sockets, and it says nothing itself."""
        if (process := self._process) is not None:
            self._process = None
            process.kill()
            await process.wait()
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.aclose()
            await process.stdout.aclose()


@asynccontextmanager
async def open_killable(
    which: WhichServer, node_modules: Path | None = None
) -> AsyncIterator[Killable]:
    """A server that runs when the block begins, and is killed at its end if it still does."""
    port = closed_port(socket.SOCK_STREAM)
    if which == "ours":
        module = [sys.executable, "-u", "-m", "peerjs_trio"]
        command = [*module, "serve", "--host", "127.0.0.1", "--port", str(port)]
        environment = {}
    else:
        node = find_program("node", install="install Node.js 20 or newer")
        command = [node, str(SCRIPT), "peer", json.dumps({"port": port})]
        environment = {"NODE_PATH": str(node_modules)}
    server = Killable(f"http://127.0.0.1:{port}/", command, environment)
    await server.start()
    try:
        yield server
    finally:
        with trio.CancelScope(shield=True):
            await server.kill()
