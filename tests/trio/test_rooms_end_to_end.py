"""Three peers and rooms over real sockets: with our server, and with ambianic-pnp's answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

import peerjs_trio
from peerjs_trio import Joined, Left, open_peer, open_room, open_server
from peerjs_trio.rooms import PeerRoom, Polling
from peerjs_trio.server import PeerServer
from peerjs_trio.websocket import Transport
from tests.trio.ambianic_rooms import serve_ambianic_rooms

pytestmark = pytest.mark.trio

QUICK = Polling(interval=0.02, first=0.02)


@asynccontextmanager
async def open_rooms() -> AsyncIterator[PeerServer]:
    secret = b"sixteen bytes or more"
    async with open_server(
        rooms="network", room_secret=secret, path="/app", key="k", allow_discovery=True
    ) as server:
        yield server


@asynccontextmanager
async def joining(
    server: PeerServer, id: str, transport: Transport | None = None
) -> AsyncIterator[PeerRoom]:
    async with (
        open_peer(id, server=server.url, key="k", transport=transport) as peer,
        open_room(peer, polling=QUICK) as room,
    ):
        yield room


async def three_come_and_go(server: PeerServer, transport: Transport | None = None) -> None:
    with trio.fail_after(30):
        async with joining(server, "alice", transport) as room:
            changes = room.watch()
            async with joining(server, "bob", transport) as his:
                assert await anext(changes) == Joined("bob")
                assert await his.members() == ("alice", "bob")
                async with joining(server, "carol", transport) as hers:
                    assert await anext(changes) == Joined("carol")
                    there = hers.watch()
                    assert [await anext(there), await anext(there)] == [
                        *(Joined("alice"), Joined("bob")),
                    ]
                assert await anext(changes) == Left("carol")
            assert await anext(changes) == Left("bob")
            assert await room.members() == ("alice",)


async def test_with_our_server() -> None:
    async with open_rooms() as server:
        await three_come_and_go(server)


async def test_with_the_answers_of_ambianic_pnp() -> None:
    async with open_rooms() as server:
        with serve_ambianic_rooms(server.url, "k") as transport:
            await three_come_and_go(server, transport)
            async with joining(server, "alice", transport) as room:
                assert await room.leave()
                assert not await room.leave()


async def test_who_vanishes_is_out() -> None:
    async with open_rooms() as server, joining(server, "alice") as room:
        changes = room.watch()
        with trio.fail_after(30):
            async with open_peer("bob", server=server.url, key="k") as bob:
                await PeerRoom(bob).join()
                assert await anext(changes) == Joined("bob")
            assert await anext(changes) == Left("bob")


async def test_a_server_without_rooms() -> None:
    async with open_server() as server, open_peer("alice", server=server.url) as alice:
        with pytest.raises(peerjs_trio.ServerError, match="no rooms: peerjs serve --rooms"):
            await PeerRoom(alice).join()
