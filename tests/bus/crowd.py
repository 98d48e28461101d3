"""Peers that offer to each other through servers that are killed, and come back as ours do."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import attrs
import trio
import trio_websocket

from tests.trio.server_clients import Client, open_client

__all__ = ["Crowd", "Node", "open_node"]


@attrs.define(eq=False)
class Node:
    """A server's process."""

    process: trio.Process
    port: int
    host: str = "127.0.0.1"


@asynccontextmanager
async def open_node(url: str, name: str, lease: float) -> AsyncIterator[Node]:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tests.bus.node", url, name, str(lease)], stdout=-1
    )
    assert process.stdout is not None
    try:
        line = b""
        with trio.fail_after(60):
            while not line.endswith(b"\n"):
                line += await process.stdout.receive_some(100) or b"0\n"
        yield Node(process, int(line))
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
            await process.stdout.aclose()


@attrs.define(eq=False)
class Offer:
    number: int
    src: str
    dst: str


class Crowd:
    """All peers of a test, and what became of their offers."""

    def __init__(self, nodes: list[Node], seed: int) -> None:
        self.nodes = nodes
        self.pending: dict[int, Offer] = {}
        "Neither delivered nor answered, of senders whose sockets live."
        self.delivered = self.expired = self.lost_sockets = 0
        self.refused: list[str] = []
        "Ids that somebody did not get back."
        self.is_calling = True
        self._numbers = count()
        self._random = random.Random(seed)

    async def live(self, id: str, others: list[str]) -> None:
        """Be a peer, on one node after the other."""
        while True:
            node = self._random.choice(self.nodes)
            try:
                async with open_client(node, id, token=f"of {id}") as client:
                    opened = await client.receive()
                    if opened["type"] != "OPEN":
                        self.refused.append(id)
                        return
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._hear, id, client)
                        nursery.start_soon(self._call, id, others, client)
            except* (
                OSError,
                trio.BrokenResourceError,
                trio_websocket.ConnectionClosed,
                trio_websocket.HandshakeError,
                trio_websocket.DisconnectionTimeout,
            ):
                pass
            self.lost_sockets += 1
            # What it had asked for on this socket it asks for anew, as our client does.
            for offer in [offer for offer in self.pending.values() if offer.src == id]:
                del self.pending[offer.number]
            await trio.sleep(self._random.uniform(0.0, 0.2))

    async def _call(self, id: str, others: list[str], client: Client) -> None:
        while True:
            await trio.sleep(self._random.uniform(0.0, 0.1))
            if self.is_calling:
                offer = Offer(next(self._numbers), id, self._random.choice(others))
                self.pending[offer.number] = offer
                await client.send("OFFER", offer.dst, offer.number)

    async def _hear(self, id: str, client: Client) -> None:
        while True:
            message = await client.socket.get_message()
            match json.loads(message):
                case {"type": "OFFER", "payload": int(number)}:
                    self.delivered += 1
                    self.pending.pop(number, None)
                case {"type": "EXPIRE", "src": dst}:
                    self.expired += 1
                    for offer in list(self.pending.values()):
                        if (offer.src, offer.dst) == (id, dst):
                            del self.pending[offer.number]
                case {"type": "ID-TAKEN"}:
                    self.refused.append(id)
