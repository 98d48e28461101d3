"""The server is lost, and comes back: what an application sees of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
import trio

import peerjs_trio
from peerjs_proto import events
from peerjs_trio import Reconnect, Session
from tests.trio.fakes import FakeNetwork, open_fake_network, virtual_time
from tests.trio.test_peer import dialled, join

pytestmark = pytest.mark.trio(run=virtual_time)

QUICK = Reconnect(first=1.0, longest=4.0, jitter=0.0)


@pytest.fixture
async def network() -> AsyncIterator[FakeNetwork]:
    async with open_fake_network() as network:
        yield network


def cut(network: FakeNetwork) -> None:
    """Every WebSocket ends."""
    for socket in network.sockets.values():
        socket.put(None)


async def reach(peer: peerjs_trio.Peer, wanted: Session) -> list[Session]:
    seen = []
    async for state in peer.states():
        seen.append(state)
        if state is wanted:
            break
    return seen


async def test_the_states_of_a_loss_and_a_return(network: FakeNetwork) -> None:
    async with join(network, "alice", reconnect=QUICK) as alice:
        await anyio.sleep(10)
        states = alice.states()
        assert await anext(states) is alice.state is Session.OPEN
        network.reachable = False
        cut(network)
        assert await anext(states) is Session.WAITING
        assert not alice.is_open
        await anyio.sleep(20)
        network.reachable = True
        await reach(alice, Session.OPEN)
        assert alice.id == "alice"
        assert alice.is_open
    assert [state async for state in states][-2:] == [Session.OPEN, Session.CLOSED]
    assert [state async for state in alice.states()] == [Session.CLOSED]


async def test_a_dial_waits_and_connections_live_on(network: FakeNetwork) -> None:
    async with (
        join(network, "alice", reconnect=QUICK) as alice,
        join(network, "bob", reconnect=QUICK) as bob,
    ):
        ours, theirs = await dialled(alice, bob)
        network.reachable = False
        cut(network)
        await reach(alice, Session.WAITING)
        await ours.send("still here")
        assert await theirs.receive() == "still here"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(dialled, alice, bob)
            await anyio.sleep(5)
            assert len(alice.connections) == 1
            network.reachable = True
        assert len(alice.connections) == 2


async def test_others_dial_who_has_come_back(network: FakeNetwork) -> None:
    async with (
        join(network, "alice", reconnect=QUICK) as alice,
        join(network, "bob", reconnect=QUICK) as bob,
    ):
        await anyio.sleep(10)
        cut(network)
        await reach(alice, Session.WAITING)
        await reach(alice, Session.OPEN)
        await reach(bob, Session.OPEN)
        await dialled(bob, alice)


async def test_whoever_gives_up_says_so_and_can_be_asked_again(network: FakeNetwork) -> None:
    async with join(network, "alice", reconnect=Reconnect(attempts=2, jitter=0.0)) as alice:
        await anyio.sleep(10)
        network.reachable = False
        cut(network)
        with pytest.raises(peerjs_trio.ServerUnavailable, match="refused"):
            await anext(alice.incoming_connections())
        assert alice.state is Session.LOST
        told = [await anext(alice.reports()) for _ in range(3)]
        assert [e.retry_in for e in told if isinstance(e, events.PeerDisconnected)] == [1, 2, None]
        with pytest.raises(peerjs_trio.Disconnected):
            await alice.connect("bob")
        with pytest.raises(peerjs_trio.ServerUnavailable):
            await alice.reconnect()
        network.reachable = True
        await alice.reconnect()
        await alice.reconnect()
        assert alice.is_open
        async with join(network, "bob") as bob:
            await dialled(bob, alice)


async def test_disconnect_frees_the_id_and_keeps_connections(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        ours, theirs = await dialled(alice, bob)
        await alice.disconnect()
        assert alice.state is Session.LOST
        assert len(network.sockets) == 1
        await ours.send("still here")
        assert await theirs.receive() == "still here"
        with trio.move_on_after(100):
            await anext(alice.incoming_connections())
            raise AssertionError("nobody can dial, and nothing has failed")
        await alice.reconnect()
        await dialled(bob, alice)
    with pytest.raises(peerjs_trio.LocalProtocolError):
        await alice.reconnect()


async def test_several_servers(network: FakeNetwork) -> None:
    async with join(network, "alice", server=["http://a.example", "http://b.example"]) as alice:
        assert alice.is_open
    with pytest.raises(peerjs_trio.InvalidId):
        async with join(network, "alice", server=["http://a.example", "nonsense"]):
            pass
    with pytest.raises(peerjs_trio.LocalProtocolError, match="server"):
        async with join(network, "alice", server=[]):
            pass


async def test_a_socket_that_is_given_up_is_not_heard_any_more(network: FakeNetwork) -> None:
    async with join(network, "alice", reconnect=QUICK) as alice:
        (old,) = network.sockets.values()
        old.put('{"type":"ERROR","payload":{"msg":"full"}}')
        old.put('{"type":"ERROR","payload":{"msg":"late"}}')
        await reach(alice, Session.WAITING)
        await reach(alice, Session.OPEN)
        await anyio.sleep(60)
        assert alice.is_open
        reports = alice._reports._items
        assert [type(report) for report in reports] == [events.PeerDisconnected]
