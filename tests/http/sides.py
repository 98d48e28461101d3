"""Two peers of one server: one that serves HTTP, and one that uses it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from peerjs_proto.http_io import RequestHead
from peerjs_trio import Peer, open_peer, open_server
from peerjs_trio.http import serve
from peerjs_trio.http.session import HttpSession, open_session
from peerjs_trio.rtc.choice import EngineName

__all__ = ["PART", "App", "Receive", "Send", "Sides", "open_sides", "respond"]

PART: Final = bytes(range(256)) * 256
"64 KiB."

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def respond(
    send: Send, status: int, body: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """A whole response."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


@attrs.define
class App:
    """An ASGI application of a device; each method with an underscore is a path."""

    scopes: list[Any] = attrs.Factory(list)
    parts: int = 0
    "Of a body, that went in or out."
    bytes: int = 0
    "Of a body that came in."
    go_on: trio.Event = attrs.Factory(trio.Event)
    "What some responses wait for."
    ends: list[str] = attrs.Factory(list)
    "How requests ended that did not end by themselves, and WebSockets."
    _changed: trio.Event = attrs.Factory(trio.Event)

    async def until(self, holds: Callable[[], bool]) -> None:
        with trio.fail_after(20):
            while not holds():
                await self._changed.wait()

    def changed(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise ValueError("there is none")
        self.scopes.append(scope)
        self.changed()
        path = scope["path"].strip("/").split("/")[0] or "hello"
        try:
            await getattr(self, f"_{scope['type']}_{path}")(scope, receive, send)
        except BaseException:  # cancelled, or told by send
            self.ends.append(f"broke off {path}")
            self.changed()
            raise

    async def _http_hello(self, scope: Any, receive: Receive, send: Send) -> None:
        await respond(send, 200, b"hello")

    async def _http_echo(self, scope: Any, receive: Receive, send: Send) -> None:
        """Each part as it comes, and the headers."""
        await send({"type": "http.response.start", "status": 200, "headers": scope["headers"][1:]})
        more = True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            more = event["more_body"]
            await send({"type": "http.response.body", "body": event["body"], "more_body": more})

    async def _http_stream(self, scope: Any, receive: Receive, send: Send) -> None:
        """As many parts as the query says."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(int(scope["query_string"])):
            await send({"type": "http.response.body", "body": PART, "more_body": True})
            self.parts += 1
            self.changed()
        await send({"type": "http.response.body", "body": b""})

    async def _http_count(self, scope: Any, receive: Receive, send: Send) -> None:
        """Bytes of the body; waits before each part if the query says so."""
        size, more = 0, True
        while more:
            if scope["query_string"]:
                await self.go_on.wait()
            event = await receive()
            if event["type"] == "http.disconnect":
                self.ends.append("disconnected count")
                self.changed()
                return
            size += len(event["body"])
            self.bytes = size
            self.parts += 1
            self.changed()
            more = event["more_body"]
        await respond(send, 200, b"%d" % size)

    async def _http_events(self, scope: Any, receive: Receive, send: Send) -> None:
        """One event at once, and one later."""
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"data: 2\n\n"})

    async def _http_early(self, scope: Any, receive: Receive, send: Send) -> None:
        await respond(send, 413, b"too much", ((b"content-length", b"8"),))

    async def _http_never(self, scope: Any, receive: Receive, send: Send) -> None:
        await trio.sleep_forever()

    async def _http_status(self, scope: Any, receive: Receive, send: Send) -> None:
        status = int(scope["query_string"])
        headers = ((b"etag", b'"1"'), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))
        await respond(send, status, b"" if status in (204, 304) else b"hello", headers)

    async def _http_breaks(self, scope: Any, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def _websocket_socket(self, scope: Any, receive: Receive, send: Send) -> None:
        """An echo; ``close CODE REASON`` and ``vanish`` are orders."""
        await receive()
        offered = scope["subprotocols"]
        headers = [(b"x-socket", b"yes")]
        await send(
            {
                "type": "websocket.accept",
                "subprotocol": offered[-1] if offered else None,
                "headers": headers,
            }
        )
        while (event := await receive())["type"] == "websocket.receive":
            text = event.get("text") or ""
            if text.startswith("close "):
                _, code, reason = text.split(maxsplit=2)
                await send({"type": "websocket.close", "code": int(code), "reason": reason})
                return
            if text == "vanish":
                await send({"type": "websocket.close", "code": 1006})
                return
            await send({"type": "websocket.send", "text": event["text"], "bytes": event["bytes"]})
        self.ends.append(f"closed {event['code']} {event['reason']}".strip())
        self.changed()

    async def _websocket_refused(self, scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        kind = "websocket.http.response"
        headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Basic")]
        await send({"type": f"{kind}.start", "status": 401, "headers": headers})
        await send({"type": f"{kind}.body", "body": b"who are you?"})


@attrs.frozen
class Sides:
    """Bob serves, under ``device``; Alice asks."""

    url: str
    alice: Peer
    device: Peer

    async def serve(self, app: Any) -> None:
        await serve(self.device, app, authorize=_anybody)

    @asynccontextmanager
    async def script(self) -> AsyncGenerator[HttpSession]:
        """The device's end of the next connection, to be played by hand."""
        async for connection in self.device.incoming_connections("peerjs-http"):
            async with open_session(connection, client=False) as session:
                yield session
            return


def _anybody(peer: str, metadata: Any, request: RequestHead) -> bool:
    return True


@asynccontextmanager
async def open_sides(engine: EngineName = "aiortc") -> AsyncGenerator[Sides]:
    """The server and the two peers."""
    async with (
        open_server(expire_timeout=0.5) as server,
        open_peer("alice", server=server.url, engine=engine) as alice,
        open_peer("device", server=server.url, engine=engine) as device,
    ):
        yield Sides(server.url, alice, device)
