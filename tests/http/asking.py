"""Who asks an ASGI application directly, as the bridge from a data connection would."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

import attrs
import trio

__all__ = ["Asker", "Socket", "ask", "open_request", "open_websocket", "scope_of"]

PATIENCE: Final = 20.0


def scope_of(
    type: str,
    target: str,
    method: str = "GET",
    headers: Iterable[tuple[bytes, bytes]] = (),
    peer: str | None = "alice",
    **more: Any,
) -> dict[str, Any]:
    """A scope as ASGI 3 has it, of a request that came from a peer."""
    raw_path, _, query = target.encode("utf-8", "surrogateescape").partition(b"?")
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    if peer is not None:
        extensions["peerjs"] = {"peer": peer, "pair": None}
    return {
        "type": type,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "path": raw_path.decode("latin-1"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": list(headers),
        "client": None,
        "extensions": extensions,
        **more,
    }


@attrs.define
class Asker:
    """One request, and what comes of it."""

    scope: dict[str, Any]
    parts: trio.MemorySendChannel[Any]
    "Events for the application."
    _incoming: trio.MemoryReceiveChannel[Any]
    status: int = 0
    headers: list[tuple[bytes, bytes]] = attrs.field(factory=list)
    body: bytes = b""
    is_whole: bool = False
    "Whether the response has ended by itself."
    ended: trio.Event = attrs.field(factory=trio.Event)
    "The application has returned, or raised."
    error: Exception | None = None
    reads: bool = True
    size: int = 0
    _changed: trio.Event = attrs.field(factory=trio.Event)

    async def run(self, app: Any) -> None:
        try:
            await app(self.scope, self._incoming.receive, self._take)
        except Exception as error:
            self.error = error
        self.ended.set()
        self._wake()

    async def send(self, body: bytes, *, more: bool) -> None:
        await self.parts.send({"type": "http.request", "body": body, "more_body": more})

    async def leave(self) -> None:
        await self.parts.send({"type": "http.disconnect"})

    async def until(self, **values: Any) -> None:
        """Until it has these attributes."""
        with trio.fail_after(PATIENCE):
            while not all(getattr(self, name) == value for name, value in values.items()):
                await self._changed.wait()

    def header(self, name: bytes) -> bytes | None:
        return next((value for other, value in self.headers if other == name), None)

    def json(self) -> Any:
        return json.loads(self.body)

    async def _take(self, event: dict[str, Any]) -> None:
        if not self.reads:
            await trio.sleep_forever()
        match event["type"]:
            case "http.response.start":
                assert not self.status, "one head a response"
                self.status, self.headers = event["status"], list(event["headers"])
            case "http.response.body":
                assert self.status
                assert not self.is_whole, "nothing follows the end"
                self.size += len(event["body"])
                if self.size <= 1_000_000:  # large ones are for counting
                    self.body += event["body"]
                self.is_whole = not event.get("more_body", False)
            case other:
                raise AssertionError(other)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_request(
    app: Any, target: str, method: str = "GET", **more: Any
) -> AsyncIterator[Asker]:
    """A request whose body is for the block to send. What is left of it ends with the block."""
    send, receive = trio.open_memory_channel[Any](0)
    asker = Asker(scope_of("http", target, method, **more), send, receive)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asker.run, app)
        yield asker
        nursery.cancel_scope.cancel()


async def ask(
    app: Any,
    target: str,
    method: str = "GET",
    *,
    body: bytes | AsyncGenerator[bytes] = b"",
    **more: Any,
) -> Asker:
    """A request with its body, and its whole response; or an application that has raised."""
    async with open_request(app, target, method, **more) as asker, trio.open_nursery() as nursery:

        async def upload() -> None:
            if not isinstance(body, bytes):
                async with aclosing(body):
                    async for part in body:
                        await asker.send(part, more=True)
            await asker.send(body if isinstance(body, bytes) else b"", more=False)
            await trio.sleep_forever()  # and stays, until the response is there

        nursery.start_soon(upload)
        with trio.fail_after(PATIENCE):
            await asker.ended.wait()
        nursery.cancel_scope.cancel()
    return asker


@attrs.define
class Socket:
    """A client's end of a WebSocket."""

    put: trio.MemorySendChannel[Any]
    _sent: trio.MemoryReceiveChannel[Any]
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def event(self) -> Any:
        with trio.fail_after(PATIENCE):
            return await self._sent.receive()

    async def message(self) -> str | bytes:
        event = await self.event()
        assert event["type"] == "websocket.send", event
        message: str | bytes | None = event.get("text")
        return event["bytes"] if message is None else message

    async def say(self, message: str | bytes) -> None:
        key = "text" if isinstance(message, str) else "bytes"
        await self.put.send({"type": "websocket.receive", key: message})

    async def leave(self, code: int, reason: str = "") -> None:
        await self.put.send({"type": "websocket.disconnect", "code": code, "reason": reason})
        with trio.fail_after(PATIENCE):
            await self.ended.wait()


@asynccontextmanager
async def open_websocket(app: Any, target: str, **more: Any) -> AsyncIterator[Socket]:
    """Ask for a WebSocket; what the application sends is for the block to read."""
    put, receive = trio.open_memory_channel[Any](10)
    sent, taken = trio.open_memory_channel[Any](10)
    socket = Socket(put, taken)
    scope = scope_of("websocket", target, **more)

    async def run() -> None:
        await app(scope, receive.receive, sent.send)
        socket.ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await put.send({"type": "websocket.connect"})
        yield socket
        nursery.cancel_scope.cancel()
