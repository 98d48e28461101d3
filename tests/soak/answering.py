"""The end that is dialled, in both soaks: it sends back what comes."""

from __future__ import annotations

from contextlib import suppress

import trio

from peerjs_trio import ConnectionClosed, DataConnection, Peer

__all__ = ["answer_all", "forget_reports"]


async def forget_reports(peer: Peer) -> None:
    async for _ in peer.reports():
        pass  # the last 256 would be kept


async def answer_all(host: Peer, nursery: trio.Nursery) -> None:
    async for connection in host.incoming_connections():
        nursery.start_soon(_answer, connection)


async def _answer(connection: DataConnection) -> None:
    with suppress(ConnectionClosed):
        async for value in connection:
            await connection.send(value)
            if connection.metadata == "be hung up on":
                await connection.aclose(flush=True)
                return
