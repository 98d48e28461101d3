"""A peer that may ask, and means harm: what it sends, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import anyio
import attrs

from peerjs_proto import http_frames as frames
from peerjs_proto.http_frames import END, MORE, TEXT, Type
from peerjs_proto.http_io import GoAwayCode, HttpLimits, RequestHead, ResetCode
from peerjs_trio import ConnectionClosed, DataConnection

__all__ = ["PEER_SECTIONS", "Attacker", "PeerAttack"]


@attrs.define
class Attacker:
    """Speaks frames by hand."""

    connection: DataConnection
    seen: list[str] = attrs.Factory(list)
    "What the server has sent, as the attacks' fates say it."
    _news: anyio.Event = attrs.Factory(anyio.Event)

    async def send(self, *messages: bytes | str) -> None:
        with suppress(ConnectionClosed):  # its fate may have come already
            for message in messages:
                await self.connection.send(message)

    async def hello(self) -> None:
        await self.send(frames.hello_frame(HttpLimits(window=2**31 - 1), server=False, agent=""))

    async def ask(self, number: int, path: str = "/never", *, end: bool = True) -> None:
        await self.send(frames.request_frame(number, RequestHead("GET", path), end=end))

    async def websocket(self) -> None:
        head = RequestHead("GET", "/ws", (("sec-websocket-protocol", "x"),), websocket=True)
        await self.send(frames.request_frame(1, head, end=False))
        await self.until("101")

    async def until(self, *fates: str) -> None:
        """Returns when the server has sent one of these, or the connection is over."""
        while not set(self.seen) & {*fates, "closed"}:
            await self._news.wait()

    async def read(self) -> None:
        """Runs meanwhile: what it is answered, it reads."""
        with suppress(ConnectionClosed):
            async for message in self.connection:
                self._see(_said(message))
        self._see("closed")

    def _see(self, fate: str) -> None:
        self.seen.append(fate)
        self._news.set()
        self._news = anyio.Event()


def _said(data: bytes) -> str:
    """A frame of the server's, in the words of the fates."""
    frame = frames.split_frame(data)
    assert frame is not None
    match frame.type:
        case Type.RESPONSE:
            return str(json.loads(frame.payload)["status"])
        case Type.RESET:
            code, _ = frames.decode_code(frame.payload)
            return f"reset, {ResetCode(code).name}"
        case Type.GOAWAY:
            code, _ = frames.decode_code(frame.payload)
            return f"the connection ends, {GoAwayCode(code).name}"
        case other:
            return other.name


@attrs.frozen
class PeerAttack:
    """One thing that is sent, and its fate."""

    name: str
    run: Callable[[Attacker], Awaitable[None]]
    fate: str
    "What the server sends then, in the end."


# --- frames -------------------------------------------------------------------------------------


def _frames(name: str, fate: str, *messages: bytes | str) -> PeerAttack:
    """After the HELLO: these."""

    async def run(attacker: Attacker) -> None:
        await attacker.hello()
        await attacker.send(*messages)

    return PeerAttack(name, run, fate)


def _head(name: str, fate: str, members: Any, **more: Any) -> PeerAttack:
    """One REQUEST with this head."""
    text = members if isinstance(members, str) else json.dumps({**members, **more})
    return _frames(name, fate, frame(Type.REQUEST, 1, bytes((END,)) + text.encode()))


def frame(type: int, stream: int, rest: bytes = b"") -> bytes:
    return bytes((type,)) + stream.to_bytes(4, "big") + rest


async def _early(attacker: Attacker) -> None:
    await attacker.ask(1)


async def _silent(attacker: Attacker) -> None:
    pass


async def _future(attacker: Attacker) -> None:
    await attacker.send(frame(Type.HELLO, 0, b'{"versions":[7]}'))


_GET: Final[Mapping[str, Any]] = {"method": "GET", "path": "/echo"}
_INVALID, _TOO_LARGE, _REFUSED, _TIMEOUT = (
    f"reset, {code.name}"
    for code in (ResetCode.INVALID, ResetCode.TOO_LARGE, ResetCode.REFUSED, ResetCode.TIMEOUT)
)
_PROTOCOL = f"the connection ends, {GoAwayCode.PROTOCOL.name}"
_VERSION = f"the connection ends, {GoAwayCode.VERSION.name}"

FRAMES: Final = (
    PeerAttack("nothing at all", _silent, "closed"),
    PeerAttack("a request before HELLO", _early, _PROTOCOL),
    PeerAttack("a HELLO of version 7", _future, _VERSION),
    _frames("HELLO twice", _PROTOCOL, frame(Type.HELLO, 0, b'{"versions":[1]}')),
    _frames("text", _PROTOCOL, "GET / HTTP/1.1\r\n\r\n"),
    _frames("one byte", _PROTOCOL, b"\x01"),
    _frames("70,000 bytes", _PROTOCOL, bytes(70_000)),
    _frames("a response", _PROTOCOL, frame(Type.RESPONSE, 1, b'\0{"status":200}')),
    _frames("a body of no request", _PROTOCOL, frame(Type.DATA, 7, b"\0x")),
    _frames("a reset of no request", _PROTOCOL, frame(Type.RESET, 7, bytes(2))),
    _frames("unknown flags", _PROTOCOL, frame(Type.REQUEST, 1, b"\x80{}")),
    _frames(
        "a number twice",
        _PROTOCOL,
        *[frame(Type.REQUEST, 1, b'\0{"method":"GET","path":"/never"}')] * 2,
    ),
    _frames(
        "4 GiB of credit, twice",
        _PROTOCOL,
        frame(Type.REQUEST, 1, b'\0{"method":"GET","path":"/never"}'),
        *[frame(Type.CREDIT, 1, b"\xff\xff\xff\xff")] * 2,
    ),
    _frames(
        "a million bytes without credit",
        _PROTOCOL,
        frame(Type.REQUEST, 1, b'\0{"method":"PUT","path":"/never"}'),
        *[frame(Type.DATA, 1, bytes(50_001))] * 20,
    ),
    _frames(
        "empty parts of a body",
        _PROTOCOL,
        frame(Type.REQUEST, 1, b'\0{"method":"PUT","path":"/never"}'),
        frame(Type.DATA, 1, b"\0"),
    ),
    _frames(
        "types of a later version, then a request",
        "201",
        *[frame(200, 1, bytes(1000))] * 1000,
        frame(Type.REQUEST, 1, b'\x01{"method":"GET","path":"/echo"}'),
    ),
)

HEADS: Final = (
    _head("no JSON", _INVALID, "GET /"),
    _head("JSON 10,000 levels deep", _INVALID, "[" * 10_000),
    _head("no path", _INVALID, {"method": "GET"}),
    _head("a method with a line break", _INVALID, _GET, method="GET\r\nX: y"),
    _head("a path without `/`", _INVALID, _GET, path="echo"),
    _head("a whole URL as path", _INVALID, _GET, path="http://169.254.169.254/"),
    _head("a path with a line break", _INVALID, _GET, path="/echo HTTP/1.1\r\nX: y"),
    _head("a header with a line break", _INVALID, _GET, headers=[["x", "y\r\nz: 1"]]),
    _head("a header's name with a colon", _INVALID, _GET, headers=[["x:", "y"]]),
    _head("`transfer-encoding`", _INVALID, _GET, headers=[["transfer-encoding", "chunked"]]),
    _head("a letter beyond U+00FF", _INVALID, _GET, headers=[["x", "€"]]),
    _head("129 headers", _TOO_LARGE, _GET, headers=[["x", "y"]] * 129),
    _head("a header of 33,000 bytes", _TOO_LARGE, _GET, headers=[["x", "y" * 33_000]]),
)


# --- work ---------------------------------------------------------------------------------------


async def _many(attacker: Attacker) -> None:
    await attacker.hello()
    for number in range(1, 301):
        await attacker.ask(number)


async def _rapid_reset(attacker: Attacker) -> None:
    await attacker.hello()
    for number in range(1, 2001):
        await attacker.ask(number)
        await attacker.send(frames.reset_frame(number, ResetCode.CANCELLED, ""))
    await attacker.ask(2001, "/echo")


async def _refused_flood(attacker: Attacker) -> None:
    await attacker.hello()
    bad = b"\x01{}"
    for number in range(1, 3001):
        await attacker.send(frame(Type.REQUEST, number, bad))
    await attacker.ask(3001, "/echo")


async def _slow_reader(attacker: Attacker) -> None:
    window = frames.hello_frame(HttpLimits(window=1024), server=False, agent="")
    await attacker.send(window)
    await attacker.ask(1, "/flood")


async def _slow_writer(attacker: Attacker) -> None:
    await attacker.hello()
    await attacker.ask(1, "/echo", end=False)
    await attacker.send(frames.data_frame(1, b"x", 0))


async def _huge_message(attacker: Attacker) -> None:
    await attacker.hello()
    await attacker.websocket()
    for _ in range(40):
        await attacker.send(frames.data_frame(1, bytes(30_000), MORE))


async def _no_text(attacker: Attacker) -> None:
    await attacker.hello()
    await attacker.websocket()
    await attacker.send(frames.data_frame(1, b"\xff", TEXT))


async def _empty_messages(attacker: Attacker) -> None:
    await attacker.hello()
    head = RequestHead("GET", "/deaf", websocket=True)
    await attacker.send(frames.request_frame(1, head, end=False))
    await attacker.until("101")
    for _ in range(10_000):
        await attacker.send(frames.data_frame(1, b"", 0))


WORK: Final = (
    PeerAttack("300 requests at once that take for ever", _many, _REFUSED),
    PeerAttack("2,000 requests, each reset at once, then another", _rapid_reset, "201"),
    PeerAttack("3,000 requests without a head, then another", _refused_flood, "201"),
    PeerAttack("a response larger than the window that it gives", _slow_reader, _TIMEOUT),
    PeerAttack("a body that stops in the middle", _slow_writer, _TIMEOUT),
    PeerAttack("a WebSocket message of 1,200,000 bytes, in parts", _huge_message, _TOO_LARGE),
    PeerAttack("a WebSocket's text that is no UTF-8", _no_text, _INVALID),
    PeerAttack("10,000 empty messages that nobody takes", _empty_messages, _PROTOCOL),
)

PEER_SECTIONS: Final[Mapping[str, Sequence[PeerAttack]]] = {
    "Frames": FRAMES,
    "Heads": HEADS,
    "Work": WORK,
}
"""As docs/http-attacks.md has them."""
