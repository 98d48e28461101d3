"""HTTP over WebRTC between two cores, or between one core and whatever a test makes of it."""

from __future__ import annotations

import json
import struct
from typing import Any, TypeVar

from peerjs_proto.http import HttpProtocol
from peerjs_proto.http_io import (
    DEFAULT_HTTP_LIMITS,
    Headers,
    HttpEvent,
    HttpLimits,
    RequestHead,
    RequestReceived,
    ResponseHead,
)

__all__ = [
    "CLOSE",
    "CREDIT",
    "DATA",
    "END",
    "GOAWAY",
    "HELLO",
    "MORE",
    "REQUEST",
    "RESET",
    "RESPONSE",
    "TEXT",
    "WEBSOCKET",
    "End",
    "HttpPair",
    "coded",
    "credit",
    "data",
    "frame",
    "get",
    "head",
    "hello",
    "types",
]

T = TypeVar("T", bound=HttpEvent)

HELLO, REQUEST, RESPONSE, DATA, CREDIT, RESET, CLOSE, GOAWAY = range(8)
END, TEXT, MORE = 1, 2, 4

WEBSOCKET = RequestHead("GET", "/", websocket=True)


# --- frames, made by the letter of docs/http-over-webrtc.md and by nothing else ------------------


def frame(type: int, stream: int, rest: bytes = b"") -> bytes:
    return struct.pack(">BI", type, stream) + rest


def head(type: int, stream: int, members: Any, flags: int = 0) -> bytes:
    return frame(type, stream, bytes([flags]) + json.dumps(members).encode())


def get(stream: int, *, flags: int = END, **members: Any) -> bytes:
    return head(REQUEST, stream, {"method": "GET", "path": "/", **members}, flags)


def data(stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return frame(DATA, stream, bytes([flags]) + payload)


def credit(stream: int, bytes: int) -> bytes:
    return frame(CREDIT, stream, struct.pack(">I", bytes))


def coded(type: int, stream: int, code: int, reason: bytes = b"") -> bytes:
    return frame(type, stream, struct.pack(">H", code) + reason)


def hello(**members: Any) -> bytes:
    """Of a far side that takes anything, but for ``members``."""
    takes = {"window": 1 << 30, "message": 1 << 30, "streams": 1 << 30}
    return frame(HELLO, 0, json.dumps({"versions": [1], **takes, **members}).encode())


def types(frames: list[bytes]) -> list[int]:
    return [frame[0] for frame in frames]


# --- one core -----------------------------------------------------------------------------------


class End:
    """A core, and all that has come out of it."""

    def __init__(
        self,
        *,
        client: bool,
        limits: HttpLimits = DEFAULT_HTTP_LIMITS,
        hello: bytes | None = None,
        **options: Any,
    ) -> None:
        """:param hello: what the far side begins with; then its answer is taken as read."""
        self.core = HttpProtocol(client=client, limits=limits, **options)
        if hello is not None:
            self.core.receive_frame(hello)
            self.told()
            self.said()

    def hear(self, *frames: str | bytes) -> list[HttpEvent]:
        """What comes of these frames."""
        for frame in frames:
            self.core.receive_frame(frame)
        return self.told()

    def told(self) -> list[HttpEvent]:
        return list(iter(self.core.next_event, None))

    def said(self) -> list[bytes]:
        return list(iter(self.core.next_frame, None))


# --- two ----------------------------------------------------------------------------------------


class HttpPair:
    """A client and a server, and all that either was told."""

    def __init__(
        self,
        *,
        client: HttpLimits = DEFAULT_HTTP_LIMITS,
        server: HttpLimits = DEFAULT_HTTP_LIMITS,
        settle: bool = True,
    ) -> None:
        self.client = HttpProtocol(client=True, limits=client, agent="a client")
        self.server = HttpProtocol(client=False, limits=server, agent="a server")
        self.events: dict[HttpProtocol, list[HttpEvent]] = {self.client: [], self.server: []}
        self.crossed: dict[HttpProtocol, list[bytes]] = {self.client: [], self.server: []}
        "Every frame, by who has sent it."
        if settle:
            self.settle()

    def other(self, core: HttpProtocol) -> HttpProtocol:
        return self.server if core is self.client else self.client

    def drain(self) -> None:
        for core, events in self.events.items():
            events.extend(iter(core.next_event, None))

    def carry(self, core: HttpProtocol) -> bool:
        """Carry one frame of this side's to the other, if there is one."""
        if (frame := core.next_frame()) is None:
            return False
        self.crossed[core].append(frame)
        self.other(core).receive_frame(frame)
        self.drain()
        return True

    def settle(self) -> None:
        """Carry all that there is."""
        while self.carry(self.client) or self.carry(self.server):
            pass
        self.drain()

    def told(self, core: HttpProtocol, kind: type[T]) -> list[T]:
        return [event for event in self.events[core] if isinstance(event, kind)]

    def ask(
        self, method: str = "GET", path: str = "/", headers: Headers = (), *, end: bool = True
    ) -> int:
        """A request that has arrived."""
        number = self.client.request(RequestHead(method, path, headers), end=end)
        self.settle()
        assert self.told(self.server, RequestReceived)[-1].stream == number
        return number

    def open_websocket(self) -> int:
        """A WebSocket that was accepted."""
        number = self.client.request(WEBSOCKET, end=False)
        self.settle()
        self.server.respond(number, ResponseHead(101), end=False)
        self.settle()
        return number
