"""A device's web server, to be reached through a proxy: hypercorn on trio, and bare sockets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from hypercorn.config import Config
from hypercorn.trio import serve

__all__ = ["Device", "open_device", "open_socket_server", "read_head"]

PART: Final = bytes(range(256)) * 256
"64 KiB."


@attrs.define
class Device:
    """An ASGI application, and what it has seen. ``/api/`` is its API; all else is secret."""

    port: int = 0
    seen: list[tuple[str, str]] = attrs.field(factory=list)
    "Method and target of each request."
    left: list[str] = attrs.field(factory=list)
    "Targets whose client has left before the response was there."
    parts: int = 0
    "Of ``/api/stream``, that the connection has taken."
    go_on: trio.Event = attrs.field(factory=trio.Event)
    "What some responses wait for."
    changed: trio.Event = attrs.field(factory=trio.Event)

    async def until(self, holds: Callable[[], bool]) -> None:
        with trio.fail_after(10):
            while not holds():
                await self.changed.wait()

    def note(self, change: Callable[[], None]) -> None:
        change()
        self.changed.set()
        self.changed = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (event := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{event['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        query = scope["query_string"].decode()
        target = scope["raw_path"].decode() + (f"?{query}" if query else "")
        self.note(lambda: self.seen.append((scope.get("method", "WEBSOCKET"), target)))
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        routes: dict[str, Callable[[Any, Any, Any], Awaitable[None]]] = {
            "/api/stream": self._stream,
            "/api/events": self._events,
            "/api/hangs": self._hangs,
            "/api/hash": self._hash,
            "/api/moved": self._moved,
            "/api/status": self._status,
        }
        await routes.get(scope["path"], self._echo)(scope, receive, send)

    async def _echo(self, scope: Any, receive: Any, send: Any) -> None:
        """All that there is of the request."""
        body = b""
        async for part in _body(receive):
            body += part
        headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
        seen = {"method": scope["method"], "headers": headers, "body": body.decode("latin-1")}
        more = [(b"set-cookie", b"id=1; Path=/api/"), (b"set-cookie", b"b=2")]
        await _respond(send, 200, json.dumps(seen).encode(), [*more, (b"connection", b"x-a")])

    async def _stream(self, scope: Any, receive: Any, send: Any) -> None:
        """As many parts as the query says, without a length."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(int(scope["query_string"])):
            await send({"type": "http.response.body", "body": PART, "more_body": True})
            self.parts += 1
        await send({"type": "http.response.body", "body": b""})

    async def _events(self, scope: Any, receive: Any, send: Any) -> None:
        """One event at once, and one later."""
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"data: 2\n\n"})

    async def _hangs(self, scope: Any, receive: Any, send: Any) -> None:
        """No answer, until the client has left."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.note(lambda: self.left.append(scope["path"]))

    async def _hash(self, scope: Any, receive: Any, send: Any) -> None:
        digest, size = hashlib.sha256(), 0
        async for part in _body(receive):
            digest.update(part)
            size += len(part)
        await _respond(send, 200, f"{size} {digest.hexdigest()}".encode(), [])

    async def _moved(self, scope: Any, receive: Any, send: Any) -> None:
        await _respond(send, 302, b"", [(b"location", scope["query_string"])])

    async def _status(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"etag", b'"1"'), (b"content-length", b"5")]
        status = int(scope["query_string"])
        body = b"" if status in (204, 304) or scope["method"] == "HEAD" else b"hello"
        headers = headers[:1] if status == 204 else headers
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _websocket(self, scope: Any, receive: Any, send: Any) -> None:
        """An echo; ``/api/refused`` says no, and some messages are orders."""
        await receive()
        if scope["path"] != "/api/socket":
            kind = "websocket.http.response"
            headers = [(b"location", b"/api/login"), (b"content-type", b"text/plain")]
            await send({"type": f"{kind}.start", "status": 401, "headers": headers})
            await send({"type": f"{kind}.body", "body": b"who are you?"})
            return
        chosen = scope["subprotocols"][-1] if scope["subprotocols"] else None
        headers = [(b"x-socket", b"yes")]
        await send({"type": "websocket.accept", "subprotocol": chosen, "headers": headers})
        while (event := await receive())["type"] == "websocket.receive":
            text = event.get("text")
            if text == "headers":
                text = json.dumps([[n.decode(), v.decode()] for n, v in scope["headers"]])
            if text is not None and text.startswith("close "):
                code, reason = int(text.split()[1]), text.split(maxsplit=2)[2]
                await send({"type": "websocket.close", "code": code, "reason": reason})
                return
            if text is not None and text.startswith("big "):
                text = "x" * int(text.split()[1])
            key = "bytes" if text is None else "text"
            await send({"type": "websocket.send", key: event["bytes"] if text is None else text})


@asynccontextmanager
async def open_device(
    certificate: Path | None = None, key: Path | None = None
) -> AsyncIterator[Device]:
    """A device on 127.0.0.1, with TLS or without."""
    device, config = Device(), Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = config.accesslog = None
    config.certfile = None if certificate is None else str(certificate)
    config.keyfile = None if key is None else str(key)
    config.graceful_timeout = 0
    over = trio.Event()
    async with trio.open_nursery() as nursery:
        binds = await nursery.start(partial(serve, device, config, shutdown_trigger=over.wait))
        device.port = int(binds[0].rpartition(":")[2])
        yield device
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_socket_server(
    answer: Callable[[trio.SocketStream], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server that does what ``answer`` does, and closes; its port."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await answer(stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def read_head(stream: trio.SocketStream) -> bytes:
    """All until the empty line."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some()
        if not data:
            break
        head += data
    return head


async def _body(receive: Any) -> AsyncIterator[bytes]:
    while (event := await receive())["type"] == "http.request":
        yield event["body"]
        if not event.get("more_body"):
            return


async def _respond(send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    headers = [(b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
