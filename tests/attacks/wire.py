"""A client that knows no rules: what it writes is what goes out."""

from __future__ import annotations

import itertools
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from tests.attacks.target import Target

__all__ = ["TEXT", "Wire", "frame", "offer", "open_client", "open_wire", "upgrade"]

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0x0, 0x1, 0x2, 0x8, 0x9

_PATIENCE: Final = 1.5
"Seconds for an answer from a server that has nothing better to do, before it counts as deaf."

_fences = itertools.count()


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """A frame, of whatever sense; ``length`` is what it claims to hold, if not what it does.

    The mask is four zero bytes: a server cannot tell, and what is sent can be read.
    """
    size, mask = len(payload) if length is None else length, 0x80 if masked else 0
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    return head + (bytes(4) if masked else b"") + payload


def offer(dst: str, payload: object = None) -> bytes:
    """An OFFER, in a frame."""
    return frame(TEXT, json.dumps({"type": "OFFER", "dst": dst, "payload": payload}).encode())


def upgrade(id: str, token: str = "token", *lines: str) -> bytes:
    """The request that opens a client's WebSocket, with header lines of one's own."""
    return "\r\n".join(
        (
            f"GET /peerjs?key=peerjs&id={id}&token={token} HTTP/1.1",
            *("Host: x", "Connection: Upgrade", "Upgrade: websocket"),
            *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"),
            *lines,
            "\r\n",
        )
    ).encode()


class Wire:
    """A TCP connection to a server. What is asked of it never raises for the server's doing."""

    def __init__(self, stream: trio.SocketStream, id: str = "") -> None:
        self.id = id
        self.body = b""
        "Of the last HTTP reply."
        self._stream = stream
        self._buffer = bytearray()
        self._ended = False

    async def send(self, *pieces: bytes) -> bool:
        """False if the far side takes no more."""
        try:
            for piece in pieces:
                await self._stream.send_all(piece)
        except trio.BrokenResourceError:
            return False
        return True

    async def push(self, piece: bytes, *, times: int, seconds: float) -> bool:
        """Send the same so many times, or for so long, and read nothing.

        False if the far side has stopped taking anything: half a piece may be out then.
        """
        until = trio.current_time() + seconds
        for _ in range(times):
            with trio.move_on_at(until + 1) as patience:
                if not await self.send(piece):
                    return True  # it is closed, which is no silence
            if patience.cancelled_caught:
                return False
            if trio.current_time() > until:
                break
        return True

    async def drain(self) -> None:
        """Read, and forget it."""
        while await self.message() is not None:
            pass

    async def status(self, patience: float = _PATIENCE) -> str:
        """The next HTTP reply as a verdict: ``"400"``; or ``"closed"``, or ``"waits"``."""
        head = await self.head(patience)
        return head.split()[1] if head.startswith("HTTP/") else head

    async def head(self, patience: float = _PATIENCE) -> str:
        """The next reply's head, its body in :attr:`body`; or ``"closed"``, or ``"waits"``."""
        with trio.move_on_after(patience):
            while b"\r\n\r\n" not in self._buffer:
                if not await self._read():
                    return "closed"
            head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            text = head.decode("latin-1")
            self._buffer[:] = rest
            size = text.lower().partition("content-length:")[2].split("\r\n")[0].strip()
            while size and len(self._buffer) < int(size) and await self._read():
                pass
            self.body = bytes(self._buffer[: int(size or 0)])
            del self._buffer[: int(size or 0)]
            return text
        return "waits"

    async def message(self) -> tuple[int, bytes] | None:
        """The next frame, opcode and payload; None at the end."""
        while True:
            if len(self._buffer) >= 2:
                size, start = self._buffer[1] & 0x7F, 2
                if size >= 126:
                    start = 4 if size == 126 else 10
                    size = int.from_bytes(self._buffer[2:start])
                if len(self._buffer) >= start + size:
                    opcode = self._buffer[0] & 0xF
                    payload = bytes(self._buffer[start : start + size])
                    del self._buffer[: start + size]
                    return opcode, payload
            if not await self._read():
                return None

    async def fate(self, patience: float = _PATIENCE) -> str:
        """What has become of this client.

        ``"goes on"`` if what it sends still arrives, ``"closed 1002"`` or ``"closed"`` if not,
        ``"deaf"`` if nothing happens any more.
        """
        fence = f"fence {next(_fences)}"
        with trio.move_on_after(patience):
            async with trio.open_nursery() as nursery:
                # What waits in the server's backlog has to be read for the fence to get out.
                nursery.start_soon(self.send, offer(self.id, fence))
                verdict = await self._until(fence.encode())
                nursery.cancel_scope.cancel()
                return verdict
        return "deaf"

    async def end(self, patience: float) -> str:
        """How the server ends this connection: as :meth:`fate`, or ``"waits"`` if it does not."""
        with trio.move_on_after(patience):
            return await self._until(None)
        return "waits"

    async def _until(self, fence: bytes | None) -> str:
        while (message := await self.message()) is not None:
            opcode, payload = message
            if opcode == CLOSE:
                return f"closed {int.from_bytes(payload[:2]) or 1005}"
            if fence is not None and fence in payload:
                return "goes on"
        return "closed"

    async def _read(self) -> bool:
        if self._ended:
            return False
        try:
            data = await self._stream.receive_some(1 << 16)
        except trio.BrokenResourceError:
            data = b""
        self._buffer += data
        self._ended = not data
        return not self._ended


@asynccontextmanager
async def open_wire(target: Target, *, receive_buffer: int | None = None) -> AsyncIterator[Wire]:
    """A connection, and nothing said on it yet."""
    sock = trio.socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    async with trio.SocketStream(sock) as stream:
        await sock.connect(("127.0.0.1", target.port))
        yield Wire(stream)


@asynccontextmanager
async def open_client(
    target: Target, id: str, *, token: str = "token", receive_buffer: int | None = None
) -> AsyncIterator[Wire]:
    """A registered client, OPEN read."""
    async with open_wire(target, receive_buffer=receive_buffer) as wire:
        wire.id = id
        await wire.send(upgrade(id, token))
        assert await wire.status(10) == "101"
        assert await wire.message() == (TEXT, b'{"type":"OPEN"}')
        yield wire
