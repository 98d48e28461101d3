"""Clients of a real PeerServer: polite ones, by trio-websocket, and raw ones that need not be."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlencode

import attrs
import pytest
import trio
import trio_websocket

__all__ = [
    "Address",
    "Client",
    "RawClient",
    "Reply",
    "fetch",
    "frame",
    "handshake",
    "open_client",
    "open_files",
    "open_raw",
    "open_tcp",
    "until",
]


class Address(Protocol):
    """Of a server, in this process or another: a ``PeerServer`` is one."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...


@asynccontextmanager
async def open_tcp(server: Address) -> AsyncIterator[trio.SocketStream]:
    stream = await trio.open_tcp_stream(server.host, server.port)
    async with stream:
        yield stream


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what only the server knows."""
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - a server has no events for its tests
            await trio.sleep(0.005)


def target(id: str, token: str, key: str = "peerjs") -> str:
    return "/peerjs?" + urlencode({"key": key, "id": id, "token": token})


# --- polite --------------------------------------------------------------------------------------


@attrs.frozen
class Client:
    socket: trio_websocket.WebSocketConnection

    async def send(self, type: str, dst: str, payload: Any = None) -> None:
        await self.socket.send_message(json.dumps({"type": type, "dst": dst, "payload": payload}))

    async def receive(self) -> Any:
        with trio.fail_after(10):
            return json.loads(await self.socket.get_message())

    async def closed(self) -> tuple[int, str | None]:
        """Code and reason, once the server has closed."""
        with pytest.raises(trio_websocket.ConnectionClosed) as closed:
            await self.receive()
        reason = closed.value.reason
        assert reason is not None
        return reason.code, reason.reason


@asynccontextmanager
async def open_client(
    server: Address, id: str, token: str = "secret", *, key: str = "peerjs"
) -> AsyncIterator[Client]:
    """A WebSocket, before it read its OPEN."""
    async with open_tcp(server) as stream, trio.open_nursery() as nursery:
        # trio-websocket 0.12.2 leaves the socket open when the server closes first: ours closes it.
        socket = await trio_websocket.wrap_client_stream(
            nursery, stream, server.host, target(id, token, key)
        )
        yield Client(socket)
        nursery.cancel_scope.cancel()


# --- raw -----------------------------------------------------------------------------------------


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, mask: bool = True) -> bytes:
    """A frame by RFC 6455, or nearly."""
    length = len(data)
    head = bytes([opcode | (0x80 if fin else 0)])
    flag = 0x80 if mask else 0
    if length < 126:
        head += bytes([flag | length])
    elif length < 65536:
        head += bytes([flag | 126]) + length.to_bytes(2, "big")
    else:
        head += bytes([flag | 127]) + length.to_bytes(8, "big")
    # A mask of zeros is as good as any to the receiver.
    return head + (bytes(4) if mask else b"") + data


@attrs.define
class RawClient:
    stream: trio.SocketStream
    _received: bytearray = attrs.field(factory=bytearray)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def receive_frame(self) -> tuple[int, bytes] | None:
        """Opcode and data; None at the end of the stream."""
        head = await self._exactly(2)
        if head is None:
            return None
        length = head[1]
        if length >= 126:
            length = int.from_bytes(await self._exactly(2 if length == 126 else 8) or b"", "big")
        return head[0] & 15, await self._exactly(length) or b""

    async def receive(self) -> Any:
        """The next message, parsed."""
        received = await self.receive_frame()
        assert received is not None
        assert received[0] == 1
        return json.loads(received[1])

    async def closed(self) -> int | None:
        """The code of a close frame, None for an empty one; the stream ends behind it."""
        received = await self.receive_frame()
        assert received is not None, "the stream ended without a close frame"
        opcode, data = received
        assert opcode == 8, received
        await self.send(frame(8, data))
        assert await self.receive_frame() is None
        return int.from_bytes(data[:2], "big") if data else None

    async def _exactly(self, count: int) -> bytes | None:
        with trio.fail_after(10):
            while len(self._received) < count:
                try:
                    data = await self.stream.receive_some()
                except trio.BrokenResourceError:
                    return None
                if not data:
                    return None
                self._received += data
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken


def handshake(id: str, token: str = "secret") -> bytes:
    return (
        f"GET {target(id, token)} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


@asynccontextmanager
async def open_raw(
    server: Address, id: str, *, behind: bytes = b"", token: str = "secret"
) -> AsyncIterator[RawClient]:
    """A registered client; ``behind`` goes in one piece with its handshake."""
    async with open_tcp(server) as stream:
        await stream.send_all(handshake(id, token) + behind)
        client = RawClient(stream)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await client._exactly(1) or b""
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"permessage" not in head
        assert await client.receive() == {"type": "OPEN"}
        yield client


# --- HTTP ----------------------------------------------------------------------------------------


@attrs.frozen
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


async def fetch(
    stream: trio.SocketStream, request: str | bytes = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
) -> Reply:
    """Send a request as it stands, and read one reply; not more, if more came."""
    data = request.encode() if isinstance(request, str) else request
    await stream.send_all(data)
    received = b""
    with trio.fail_after(10):
        while b"\r\n\r\n" not in received:
            more = await stream.receive_some()
            assert more, f"the stream ended with {received!r}"
            received += more
        head, _, body = received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        if not data.startswith(b"HEAD"):
            while len(body) < int(headers.get("content-length", 0)):
                body += await stream.receive_some()
    return Reply(int(status.split()[1]), headers, body)


def open_files() -> int:
    """How many file descriptors this process has open, sockets included."""
    return len(os.listdir("/proc/self/fd"))
