"""Clients without sockets: the application is called as a web server would, one event at a time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlencode

import anyio
import attrs

from peerjs_trio.asgi import PeerServer

__all__ = ["Client", "fetch", "open_client", "scope_of"]

PATIENCE: Final = 10.0


def scope_of(type: str, path: str, query: str = "", **more: Any) -> dict[str, Any]:
    return {
        "type": type,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [],
        "client": ("192.0.2.1", 4711),
        "extensions": {"websocket.http.response": {}},
        **more,
    }


@attrs.define
class Client:
    """The web server's end of one WebSocket."""

    app: PeerServer
    scope: dict[str, Any]
    ended: anyio.Event = attrs.field(factory=anyio.Event)
    sent: list[dict[str, Any]] = attrs.field(factory=list)
    "What the application has sent, in order; the test takes it out."
    reads: bool = True
    "Whether the far side reads: else the application waits in send()."
    broken: Exception | None = None
    "Raised at whatever the application sends."
    _has_left: bool = False
    _changed: anyio.Event = attrs.field(factory=anyio.Event)
    _events: list[dict[str, Any]] = attrs.field(factory=list)

    def put(self, event: dict[str, Any]) -> None:
        """An event for the application."""
        self._events.append(event)
        self._wake()

    def say(self, message: dict[str, Any] | str | bytes) -> None:
        if isinstance(message, bytes):
            self.put({"type": "websocket.receive", "bytes": message})
        else:
            text = message if isinstance(message, str) else json.dumps(message)
            self.put({"type": "websocket.receive", "text": text, "bytes": None})

    def leave(self) -> None:
        self._has_left = True
        self.put({"type": "websocket.disconnect", "code": 1005})

    async def take(self) -> Any:
        """What the application sent next: a message parsed, or an event of another kind."""
        with anyio.fail_after(PATIENCE):
            while not self.sent:
                await self._changed.wait()
        event = self.sent.pop(0)
        return json.loads(event["text"]) if event["type"] == "websocket.send" else event

    async def run(self) -> None:
        await self.app(self.scope, self._receive, self._send)
        self.ended.set()

    def resume(self) -> None:
        """The far side reads again."""
        self.reads = True
        self._wake()

    async def _receive(self) -> dict[str, Any]:
        while not self._events:
            await self._changed.wait()
        return self._events.pop(0)

    async def _send(self, event: dict[str, Any]) -> None:
        while not (self.reads or self._has_left):
            await self._changed.wait()
        if self.broken is not None:
            raise self.broken
        if self._has_left:
            raise OSError("the client has left")
        self.sent.append(event)
        if event["type"] == "websocket.close":
            self.leave()  # as web servers do, once the far side has answered
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


@asynccontextmanager
async def open_client(
    app: PeerServer, id: str, token: str = "token", **scope: Any
) -> AsyncIterator[Client]:
    """A client whose WebSocket has been asked for; it leaves with the block."""
    query = urlencode({"key": "peerjs", "id": id, "token": token})
    client = Client(app, scope_of("websocket", "/peerjs", query, **scope))
    client.put({"type": "websocket.connect"})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.run)
        yield client
        client.leave()
        with anyio.fail_after(PATIENCE):
            await client.ended.wait()


async def fetch(app: PeerServer, path: str, method: str = "GET", **scope: Any) -> tuple[int, bytes]:
    """Status and body of an HTTP reply."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("nobody reads a body")

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    path, _, query = path.partition("?")
    await app(scope_of("http", path, query, method=method, **scope), receive, send)
    start, body = sent
    return start["status"], body["body"]
