"""Python to Python through both servers: the matrix that pages are put through, once more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
import pytest

from peerjs_trio import (
    DataConnection,
    IdTaken,
    MessageTooBig,
    Peer,
    PeerUnavailable,
    UnsupportedValue,
    open_peer,
)
from peerjs_trio.rtc.choice import EngineName
from tests.interop.servers import Server, StartServer
from tests.interop.test_browser_data import VALUES
from tests.interop.values import Made, encode

pytestmark = pytest.mark.trio


@attrs.frozen
class Pair:
    server: Server
    alice: Peer
    bob: Peer

    async def connect(self, **options: Any) -> tuple[DataConnection, DataConnection]:
        ours = await self.alice.connect("bob", **options)
        return ours, await anext(self.bob.incoming_connections())


@pytest.fixture
async def pair(start_server: StartServer, engine: EngineName) -> AsyncIterator[Pair]:
    async with (
        start_server() as server,
        open_peer("alice", server=server.url, engine=engine) as alice,
        open_peer("bob", server=server.url, engine=engine) as bob,
    ):
        yield Pair(server, alice, bob)


@asynccontextmanager
async def sending(connection: DataConnection, value: Any) -> AsyncIterator[None]:
    """Sends while the block reads: a large value does not fit into the buffers."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.send, value)
        yield


@pytest.mark.parametrize("reliable", [False, True])
async def test_values_cross_both_ways(pair: Pair, reliable: bool) -> None:
    for serialization, values in VALUES.items():
        ours, theirs = await pair.connect(serialization=serialization, reliable=reliable)
        for here, there in ((ours, theirs), (theirs, ours)):
            for value in values:
                await here.send(value)
                received = await there.receive()
                assert encode(received) == encode(value), serialization


async def test_sizes(pair: Pair) -> None:
    ours, theirs = await pair.connect(reliable=True)
    for size in (1, 15, 16, *range(16_294, 16_302), 65_535, 65_536, 2**20, 5 * 2**20):
        for made in (Made("bytes", size), Made("text", size)):
            async with sending(ours, made.value()):
                assert await theirs.receive() == made.value()


async def test_where_json_and_raw_end(pair: Pair) -> None:
    for serialization, longest, too_long in (
        ("json", Made("text", 16_297), Made("text", 16_298)),
        ("raw", Made("bytes", 65_536), Made("bytes", 262_145)),
    ):
        ours, theirs = await pair.connect(serialization=serialization)
        with pytest.raises(MessageTooBig) as refused:
            await ours.send(too_long.value())
        assert refused.value.type == "message-too-big"
        with pytest.raises(UnsupportedValue):
            await ours.send(None)
        await ours.send(longest.value())
        assert await theirs.receive() == longest.value()


async def test_terms(pair: Pair) -> None:
    metadata = {"é😀": [1, None, 2.5, {"deep": True}]}
    ours, theirs = await pair.connect(label="é label", metadata=metadata, reliable=True)
    for end in (ours, theirs):
        assert (end.label, end.metadata, end.reliable) == ("é label", metadata, True)
    assert (ours.peer, theirs.peer) == ("bob", "alice")


@pytest.mark.parametrize("reliable", [False, True])
async def test_closing(pair: Pair, reliable: bool) -> None:
    for closes_first in (0, 1):
        ends = await pair.connect(reliable=reliable)
        near, far = ends[closes_first], ends[1 - closes_first]
        for n in range(500):
            await near.send(n)
        await near.aclose(flush=True)
        assert sorted([value async for value in far]) == list(range(500))
        ends = await pair.connect(reliable=reliable)
        await ends[closes_first].aclose()
        with anyio.fail_after(5), pytest.raises(anyio.EndOfStream):
            await ends[1 - closes_first].receive()


async def test_an_id_that_is_taken(pair: Pair) -> None:
    with pytest.raises(IdTaken):
        async with open_peer("alice", server=pair.server.url):
            pass


async def test_a_peer_that_is_not_there(pair: Pair) -> None:
    with pytest.raises(PeerUnavailable), anyio.fail_after(7):
        await pair.alice.connect("nobody")


async def test_an_id_from_the_server(pair: Pair) -> None:
    async with open_peer(server=pair.server.url) as nameless:
        conn = await nameless.connect("bob")
        assert (await anext(pair.bob.incoming_connections())).peer == nameless.id
        assert conn.is_open


async def test_the_same_token_takes_the_id_over(pair: Pair) -> None:
    # npm's server says no OPEN then; ours does. Either way the newcomer is open.
    async with (
        open_peer("carol", server=pair.server.url, token="t"),
        open_peer("carol", server=pair.server.url, token="t") as second,
    ):
        conn = await pair.alice.connect("carol")
        assert (await anext(second.incoming_connections())).peer == "alice"
        assert conn.is_open


async def test_leaving_ends_the_connections_of_others(pair: Pair, engine: EngineName) -> None:
    async with open_peer("leaver", server=pair.server.url, engine=engine) as leaver:
        dialled = await leaver.connect("bob")
        theirs = await anext(pair.bob.incoming_connections())
        called = await pair.bob.connect("leaver")
        assert dialled.is_open
    for connection in (theirs, called):
        with anyio.fail_after(5), pytest.raises(anyio.EndOfStream):
            await connection.receive()
