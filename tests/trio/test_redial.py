"""DataConnections that outlive their path, and far sides that are gone without a word."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
import trio

import peerjs_trio
from peerjs_proto import events
from peerjs_trio import Redial
from tests.trio.fakes import FakeNetwork, open_fake_network, virtual_time
from tests.trio.test_peer import dialled, join

pytestmark = pytest.mark.trio(run=virtual_time)


@pytest.fixture
async def network() -> AsyncIterator[FakeNetwork]:
    async with open_fake_network() as network:
        yield network


def sever(network: FakeNetwork) -> None:
    """Every path there is now breaks, and nobody is told."""
    for rtc in network.rtcs.values():
        rtc.severed = True


async def test_a_connection_goes_on_over_another_path(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        ours = await alice.connect("bob", redial=True, metadata="hi")
        theirs = await anext(bob.incoming_connections())
        assert ours.redial
        assert theirs.redial
        assert ours.reliable
        await ours.send(1)
        assert await theirs.receive() == 1
        sever(network)
        await ours.send(2)
        await theirs.send("two")
        assert await theirs.receive() == 2
        assert await ours.receive() == "two"
        assert not ours.interrupted
        assert ours.is_open
        assert alice.connections == (ours,)
        kinds = [type(await anext(alice.reports())) for _ in range(2)]
        assert kinds == [events.DataConnectionInterrupted, events.DataConnectionResumed]


async def test_senders_wait_while_there_is_no_path(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        ours = await alice.connect("bob", redial=Redial(timeout=50.0))
        theirs = await anext(bob.incoming_connections())
        await bob.disconnect()
        sever(network)
        await anyio.sleep(6)
        assert ours.interrupted
        assert "interrupted" in repr(ours)
        with trio.move_on_after(10) as scope:
            await ours.send("taken back")
        assert scope.cancelled_caught
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ours.send, "waited")
            await anyio.sleep(1)
            await bob.reconnect()
        assert await theirs.receive() == "waited"


async def test_who_gives_up_tells_everyone_who_waits(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        ours = await alice.connect("bob", redial=Redial(timeout=20.0))
        theirs = await anext(bob.incoming_connections())
        await bob.disconnect()
        sever(network)
        await anyio.sleep(6)
        with pytest.raises(peerjs_trio.BrokenConnection, match="no path to 'bob' for 20 s"):
            await ours.send("never arrives")
        with pytest.raises(peerjs_trio.BrokenConnection, match="no path"):
            await ours.receive()
        with pytest.raises(peerjs_trio.BrokenConnection, match="no path to 'alice' for 60 s"):
            await theirs.receive()


async def test_closing_ends_both_sides_at_once(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        for flush in (False, True):
            ours = await alice.connect("bob", redial=True)
            theirs = await anext(bob.incoming_connections())
            await theirs.send("unread")
            await ours.aclose(flush=flush)
            assert not ours.is_open
            assert alice.connections == ()
            with pytest.raises(peerjs_trio.ClosedConnection):
                await ours.receive()
            with pytest.raises(anyio.EndOfStream):
                await theirs.receive()
            assert bob.connections == ()
        assert alice._reports._items == bob._reports._items


async def test_leaving_the_block_ends_it_on_the_other_side(network: FakeNetwork) -> None:
    async with join(network, "bob") as bob:
        async with join(network, "alice") as alice:
            await alice.connect("bob", redial=True)
            theirs = await anext(bob.incoming_connections())
        with pytest.raises(anyio.EndOfStream):
            await theirs.receive()


async def test_a_far_side_that_is_gone_without_a_word(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        ours, _ = await dialled(alice, bob)
        await anyio.sleep(30)
        began = trio.current_time()
        sever(network)
        with pytest.raises(peerjs_trio.BrokenConnection, match="silent"):
            await ours.receive()
        assert 3 <= trio.current_time() - began <= 5
