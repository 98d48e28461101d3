"""The device of the HTTP table: a small REST API, and what makes it reachable by WebRTC."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Final

import anyio
import trio
import uvicorn

from bench.engines import EngineName, engine_factory
from peerjs_trio import Peer, open_peer
from peerjs_trio.http import serve

__all__ = ["SMALL", "WORK", "api", "device", "running", "web_server"]

SMALL: Final = b'{"temperature":21.5,"humidity":40,"unit":"C","name":"living room"}'

WORK: Final = 1.0
"Seconds that ``/work`` takes before its first byte, and again before its last."


async def api(scope: Any, receive: Any, send: Any) -> None:
    """``/small``, ``/body?BYTES``, ``/work``: an ASGI application, on any event loop."""

    async def say(body: bytes, more: bool = False) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": more})

    headers = [(b"content-type", b"application/json")]
    if scope["path"] == "/work":
        await anyio.sleep(WORK)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await say(SMALL, more=True)
        await anyio.sleep(WORK)
        await say(SMALL)
        return
    body = SMALL if scope["path"] == "/small" else bytes(int(scope["query_string"]))
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await say(body)


@contextmanager
def running(job: Callable[..., None], *args: Any) -> Iterator[Any]:
    """A process for the length of the block; the value is what it says first, by its pipe."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=job, args=(theirs, *args), daemon=True)
    process.start()
    theirs.close()  # so that its end is heard
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def web_server(pipe: Connection) -> None:
    """uvicorn with the API; says its URL."""
    config = uvicorn.Config(api, log_level="warning", lifespan="off")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # asyncio does that only where it has made the socket; without, an answer takes 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pipe.send(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[listener])


def device(pipe: Connection, server: str, engine: EngineName, base_url: str) -> None:
    """Two peers: ``ENGINE-proxy`` has the web server behind it, ``ENGINE-app`` the API itself."""
    trio.run(_serve, pipe, server, engine, base_url)


async def _serve(pipe: Connection, server: str, engine: EngineName, base_url: str) -> None:
    async with (
        open_peer(f"{engine}-proxy", server=server, engine=engine_factory(engine)) as proxy,
        open_peer(f"{engine}-app", server=server, engine=engine_factory(engine)) as app,
        trio.open_nursery() as nursery,
    ):
        pipe.send("ready")
        targets: list[tuple[Peer, Any]] = [(proxy, base_url), (app, api)]
        for peer, target in targets:
            nursery.start_soon(partial(serve, peer, target, authorize=_any))


def _any(*_: Any) -> bool:
    return True
