"""Somebody who owns the PeerServer, and stands in the middle of all connections made by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import attrs
import trio

from peerjs_trio import DataConnection, Peer, open_peer, open_server

__all__ = ["Middle", "stand_between"]


@attrs.define
class Middle:
    """Each side is connected to it, and takes it for the other."""

    url: str
    "The server that the client is sent to."
    device: Peer
    "Where the device is, under the client's id."
    client: Peer
    "Where the client is, under the device's id."
    heard: list[str | bytes] = attrs.Factory(list)

    async def relay(self, *labels: str) -> None:
        async with trio.open_nursery() as nursery:
            async for hers in self.client.incoming_connections(*labels):
                his = await self.device.connect(
                    self.client.id, label=hers.label, serialization="raw", reliable=True
                )
                nursery.start_soon(self._carry, hers, his)
                nursery.start_soon(self._carry, his, hers)

    async def _carry(self, here: DataConnection, there: DataConnection) -> None:
        try:
            async for message in here:
                self.heard.append(message)
                await there.send(message)
            await there.aclose(flush=True)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass


@asynccontextmanager
async def stand_between(url: str, device: str, client: str, *labels: str) -> AsyncIterator[Middle]:
    """Relay every message as it is, between a device at ``url`` and who is at ``middle.url``."""
    async with (
        open_server() as server,
        open_peer(client, server=url) as there,
        open_peer(device, server=server.url) as here,
        trio.open_nursery() as nursery,
    ):
        middle = Middle(server.url, there, here)
        nursery.start_soon(middle.relay, *labels)
        yield middle
        nursery.cancel_scope.cancel()
