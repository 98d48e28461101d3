"""A web application to be asked by pages: plain ASGI, and it notes what it sees."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

import attrs
import trio

__all__ = ["PIECE", "App"]

Scope = dict[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PIECE: Final = 65_536
"Bytes that a download is handed out in."


@attrs.define
class App:
    """``/name?query`` is the method ``name``; a test reads afterwards what was noted."""

    handed_out: int = 0
    "Bytes of downloads that the server has taken from us."
    taken: int = 0
    "Bytes of uploads that we have read."
    begun: Counter[str] = attrs.field(factory=Counter)
    "Requests by path."
    events: defaultdict[str, trio.Event] = attrs.field(factory=lambda: defaultdict(trio.Event))
    """What a test waits for, ``begun /path`` and ``over /path``, and what it allows, such as
    ``go /path``."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        path = scope["path"]
        query = {
            name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()
        }
        self.begun[path] += 1
        self.events[f"begun {path}"].set()
        answer = getattr(self, path.strip("/").partition("/")[0].replace("-", "_"), None)
        if answer is None:
            await reply(send, 404, b"nothing here")
            return
        try:
            await answer(scope, receive, send, **query)
        finally:
            self.events[f"over {path}"].set()

    # --- bodies ---------------------------------------------------------------------------

    async def echo(self, scope: Scope, receive: Receive, send: Send, **query: str) -> None:
        """What was asked, as JSON."""
        body = await read(receive)
        seen = {
            "method": scope["method"],
            "path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode(),
            "headers": [[n.decode(), v.decode("latin-1")] for n, v in scope["headers"]],
            "body": body.decode("latin-1"),
        }
        await reply(send, 200, json.dumps(seen).encode(), ("content-type", "application/json"))

    async def number(self, scope: Scope, receive: Receive, send: Send, *, n: str) -> None:
        await reply(send, 200, n.encode(), ("x-number", n))

    async def download(self, scope: Scope, receive: Receive, send: Send, *, size: str) -> None:
        left = int(size)
        await start(send, 200, ("content-length", size))
        while left:
            piece = bytes(min(PIECE, left))
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
            self.handed_out += len(piece)

    async def upload(self, scope: Scope, receive: Receive, send: Send, *, wait: str = "") -> None:
        digest, more = hashlib.sha256(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            self.taken += len(message.get("body", b""))
            digest.update(message.get("body", b""))
            more = message.get("more_body", False)
            if wait:
                await self.events["go /upload"].wait()
        headers = dict(scope["headers"])
        told = [self.taken, digest.hexdigest(), headers.get(b"content-length", b"").decode()]
        await reply(send, 200, json.dumps(told).encode())

    async def early(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A response that does not wait for the request's body."""
        await reply(send, 413, b"too much")

    # --- responses that take their time ---------------------------------------------------

    async def hang(self, scope: Scope, receive: Receive, send: Send, *, after: str = "") -> None:
        """No end: it is given up before the head, or ``after`` a part of the body."""
        if after:
            await start(send, 200)
            await send({"type": "http.response.body", "body": after.encode(), "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    async def sse(self, scope: Scope, receive: Receive, send: Send, *, count: str) -> None:
        """Each event is sent when the test has seen the one before."""
        await start(send, 200, ("content-type", "text/event-stream"))
        for n in range(int(count)):
            text = f": a comment\nid: {n}\nevent: tick\ndata: {n}\ndata: é\n\n"
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            await self.events[f"seen {n}"].wait()
        await send({"type": "http.response.body", "body": b"data: last\r\n\r\n"})

    async def breaks(self, scope: Scope, receive: Receive, send: Send) -> None:
        await start(send, 200)
        await send({"type": "http.response.body", "body": b"a part", "more_body": True})

    # --- heads ----------------------------------------------------------------------------

    async def status(self, scope: Scope, receive: Receive, send: Send, *, code: str) -> None:
        body = b"" if int(code) in (204, 205, 304) else f"status {code}".encode()
        await reply(send, int(code), body, ("set-cookie", "a=b"), ("x-latin", "é"))

    async def redirect(
        self, scope: Scope, receive: Receive, send: Send, *, to: str, code: str = "302"
    ) -> None:
        await reply(send, int(code), b"", ("location", to))

    # --- WebSockets -----------------------------------------------------------------------

    async def socket(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        choose: str | None = None,
        refuse: str = "",
    ) -> None:
        """Echoes what is not "quiet"; "close 4001 reason" closes. Notes how it is closed."""
        assert (await receive())["type"] == "websocket.connect"
        if refuse:
            start = {"type": "websocket.http.response.start", "status": int(refuse), "headers": []}
            await send(start)
            await send({"type": "websocket.http.response.body", "body": b"no"})
            return
        await send({"type": "websocket.accept", "subprotocol": choose})
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            if text is not None and text.startswith("close "):
                _, code, reason = text.split(" ", 2)
                await send({"type": "websocket.close", "code": int(code), "reason": reason})
                return
            if text != "quiet":
                await send({"type": "websocket.send", "text": text, "bytes": message.get("bytes")})
        self.events[f"closed {message['code']} {message.get('reason')}"].set()


async def start(send: Send, status: int, *headers: tuple[str, str]) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


async def reply(send: Send, status: int, body: bytes, *headers: tuple[str, str]) -> None:
    await start(send, status, *headers)
    await send({"type": "http.response.body", "body": body})


async def read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
