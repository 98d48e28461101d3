"""The real npm PeerServer, started and reaped."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from tests.interop.background import open_background
from tests.interop.programs import find_program

__all__ = ["SCRIPT", "NpmPeer", "open_npm_peer"]

SCRIPT: Final = Path(__file__).with_name("npm_peer.cjs")
"For Node.js: the package and the server's options as arguments, and NODE_PATH."

_START_TIMEOUT: Final = 30.0


@attrs.frozen
class NpmPeer:
    """A PeerServer that answers."""

    url: str
    "Its base, path included, with a slash at the end."


@asynccontextmanager
async def open_npm_peer(
    node_modules: Path,
    *,
    path: str = "/",
    key: str = "peerjs",
    allow_discovery: bool = False,
    alive_timeout: float = 60.0,
    expire_timeout: float = 5.0,
    concurrent_limit: int = 5000,
    cors: Sequence[str] | None = None,
    generate_client_id: Callable[[], str] | None = None,
    package: str = "peer",
) -> AsyncIterator[NpmPeer]:
    """Run npm peer on a port of its own choice. Should it die before its time, that raises.

    The arguments are those of :func:`peerjs_trio.open_server`, times in seconds, and a function
    is asked for three ids in advance; ``package`` is the version, by its name in
    :data:`tests.interop.npm.PINS`.
    """
    node = find_program("node", install="install Node.js 20 or newer")
    options: dict[str, Any] = {
        "path": path,
        "key": key,
        "allow_discovery": allow_discovery,
        "alive_timeout": alive_timeout * 1000,
        "expire_timeout": expire_timeout * 1000,
        "concurrent_limit": concurrent_limit,
    }
    if cors is not None:
        options["corsOptions"] = {"origin": list(cors)}
    if generate_client_id is not None:
        options["ids"] = [generate_client_id() for _ in range(3)]
    start = partial(
        trio.run_process,
        [node, str(SCRIPT), package, json.dumps(options)],
        env=os.environ | {"NODE_PATH": str(node_modules)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    async with open_background() as nursery:
        process: trio.Process = await nursery.start(start)
        port = await _first_line(process)
        yield NpmPeer(f"http://127.0.0.1:{port}{path.rstrip('/')}/")


async def _first_line(process: trio.Process) -> str:
    # The script prints its port once it listens, so there is nothing to poll for.
    assert process.stdout is not None
    line = b""
    with trio.fail_after(_START_TIMEOUT):
        while not line.endswith(b"\n"):
            chunk = await process.stdout.receive_some()
            if not chunk:
                await process.wait()  # run_process raises for its exit code, and cancels us
            line += chunk
    return line.decode().strip()
