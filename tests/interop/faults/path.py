"""A path between two peers that can be broken, and healed: a UDP relay that both must take.

The one peer, ours, reaches its server by :attr:`Path.transport`, which puts the relay's addresses
into the descriptions that pass. So the other can be a page, or anything else.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Literal

import attrs
import trio

from bench.relay import own_host
from bench.rtc.via import only_via
from peerjs_trio.websocket import Socket, Transport, WebSocketTransport
from tests.interop.background import open_background

__all__ = ["Path", "open_path"]

_PACKET: Final = 1 << 16

Address = tuple[str, int]


@asynccontextmanager
async def open_path() -> AsyncIterator[Path]:
    """A path that works, for the length of the block."""
    async with open_background() as nursery:
        yield Path(nursery)


@attrs.define(eq=False)
class Path:
    """Set :attr:`works`; packets that come while it does not are lost."""

    _nursery: trio.Nursery
    works: bool = True
    _relays: dict[str, _Relay] = attrs.Factory(dict)
    "The newest of each connection, by its id: an OFFER is the beginning of a new one."

    @property
    def transport(self) -> Transport:
        """For ``open_peer`` of one of the two."""
        return _Via(self)

    def rewrite(self, text: str, *, outgoing: bool) -> str | None:
        """A signaling message as it goes on; None: not at all."""
        message = json.loads(text)
        kind = message["type"]
        if kind == "CANDIDATE":
            return None  # it would be a way around
        if kind not in ("OFFER", "ANSWER"):
            return text
        payload: dict[str, Any] = message["payload"]
        id = payload["connectionId"]
        if kind == "OFFER":
            self._relays[id] = relay = _Relay(self)
            for side in (0, 1):
                self._nursery.start_soon(relay.run, side)
        host = self._relays[id].addresses[outgoing]
        payload["sdp"]["sdp"] = only_via(payload["sdp"]["sdp"], host)
        return json.dumps(message)


class _Relay:
    """Two ports: what one end sends to the first leaves the second for the other end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sockets = [_open_socket(), _open_socket()]
        self.addresses: list[Address] = [s.getsockname() for s in self._sockets]
        "Where the peer with the transport finds the other, and where the other finds it."
        self._ends: list[Address | None] = [None, None]

    async def run(self, side: int) -> None:
        with self._sockets[side] as near:
            while True:
                packet, sender = await near.recvfrom(_PACKET)
                # An engine may try from several addresses: the first counts.
                self._ends[side] = self._ends[side] or sender
                end = self._ends[1 - side]
                if self._path.works and sender == self._ends[side] and end is not None:
                    await self._sockets[1 - side].sendto(packet, end)


def _open_socket() -> trio.socket.SocketType:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((own_host(), 0))
        return trio.socket.from_stdlib_socket(sock.dup())


class _Via:
    """The real network, with descriptions rewritten."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._real = WebSocketTransport()

    async def request(
        self, method: Literal["GET", "POST"], url: str, *, max_bytes: int
    ) -> tuple[int, bytes]:
        return await self._real.request(method, url, max_bytes=max_bytes)

    def open(self, url: str, *, max_bytes: int) -> AbstractAsyncContextManager[Socket]:
        return self._open(url, max_bytes)

    @asynccontextmanager
    async def _open(self, url: str, max_bytes: int) -> AsyncIterator[Socket]:
        async with self._real.open(url, max_bytes=max_bytes) as real:
            yield _ViaSocket(self._path, real)


@attrs.frozen
class _ViaSocket:
    _path: Path
    _real: Socket

    async def send(self, text: str) -> None:
        changed = self._path.rewrite(text, outgoing=True)
        if changed is not None:
            await self._real.send(changed)

    async def receive(self) -> str | bytes:
        while True:
            text = await self._real.receive()
            assert isinstance(text, str)
            changed = self._path.rewrite(text, outgoing=False)
            if changed is not None:
                return changed

    async def aclose(self) -> None:
        await self._real.aclose()
