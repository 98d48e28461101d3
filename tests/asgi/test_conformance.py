"""The ASGI application does what npm's PeerServer does: the tests of interop, once more.

Here it runs in hypercorn, in the test's own trio run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from peerjs_trio.asgi import PeerServer
from tests.interop.background import open_background
from tests.interop.servers import StartServer
from tests.interop.test_server_conformance import *  # noqa: F403 - all of its tests
from tests.interop.test_server_conformance_http import *  # noqa: F403


@pytest.fixture
def which() -> str:
    return "ours"


@pytest.fixture
def start_server() -> StartServer:
    return open_hypercorn


@attrs.frozen
class Hypercorn:
    url: str
    no_status: int = 1000


@asynccontextmanager
async def open_hypercorn(**options: Any) -> AsyncIterator[Hypercorn]:
    stop = trio.Event()
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 0.1
    app = PeerServer(**options)
    async with open_background() as nursery:

        async def run(task_status: trio.TaskStatus[list[str]]) -> None:
            await serve(app, config, shutdown_trigger=stop.wait, task_status=task_status)
            ended.set()

        ended = trio.Event()
        binds: list[str] = await nursery.start(run)
        try:
            yield Hypercorn(f"{binds[0]}/{options.get('path', '').strip('/')}".rstrip("/") + "/")
        finally:
            stop.set()
            with trio.move_on_after(5, shield=True):
                await ended.wait()
