"""open_peer, connect and incoming_connections, over fakes and virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
import trio

import peerjs_trio
from peerjs_proto import events
from peerjs_trio.peer import Peer, open_peer
from peerjs_trio.rtc.engine import IceServer
from tests.trio.fakes import FakeEngine, FakeNetwork, open_fake_network, virtual_time

pytestmark = pytest.mark.trio(run=virtual_time)


@pytest.fixture
async def network() -> AsyncIterator[FakeNetwork]:
    async with open_fake_network() as network:
        yield network


def join(
    network: FakeNetwork, id: str | None = None, **options: Any
) -> AbstractAsyncContextManager[Peer]:
    usual: dict[str, Any] = {
        "server": "http://127.0.0.1:9000/",
        "transport": network,
        "engine": network.engine,
    }
    return open_peer(id, **usual | options)


# --- registering ---------------------------------------------------------------------------------


async def test_with_an_id_and_without(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network) as other:
        assert alice.id == "alice"
        assert other.id == "fresh1"
        assert alice.is_open
        assert repr(alice) == "<Peer 'alice', open>"
    assert not alice.is_open
    assert not network.sockets


async def test_the_engine_hears_of_the_servers_before_the_first_connection(
    network: FakeNetwork,
) -> None:
    engines = []

    @asynccontextmanager
    async def engine() -> AsyncIterator[FakeEngine]:
        async with network.engine() as made:
            engines.append(made)
            yield made

    ice_servers = [{"urls": "stun:127.0.0.1"}]
    async with open_peer(
        server="http://127.0.0.1:9000/", transport=network, engine=engine, ice_servers=ice_servers
    ):
        (made,) = engines
        assert made.prepared == [IceServer("stun:127.0.0.1")]


@pytest.mark.parametrize(
    ("server", "given"),
    [
        ("http://127.0.0.1:9000/", 0),
        ("http://192.168.1.2:9000/", 0),
        (["http://[fd00::1]/", "http://camera.local/"], 0),
        ("https://192.0.2.1/", 2),
        (["http://192.168.1.2/", "https://peers.example/"], 2),
    ],
)
async def test_who_needs_no_internet_is_told_of_no_servers_there(
    network: FakeNetwork, server: Any, given: int
) -> None:
    async with join(network, "alice", server=server) as alice:
        assert isinstance(alice._engine, FakeEngine)
        assert len(alice._engine.prepared) == given


async def test_leaving_says_leave(network: FakeNetwork) -> None:
    async with join(network, "alice"):
        (socket,) = network.sockets.values()
    assert socket.sent[-1] == '{"type":"LEAVE"}'


async def test_an_id_that_is_taken(network: FakeNetwork) -> None:
    async with join(network, "alice"):
        with pytest.raises(peerjs_trio.IdTaken) as caught:
            async with join(network, "alice"):
                pytest.fail("registered twice")
        assert caught.value.type == "unavailable-id"


async def test_the_same_token_takes_over(network: FakeNetwork) -> None:
    async with join(network, "alice", token="t") as old, join(network, "alice", token="t") as new:
        assert new.is_open
        with pytest.raises(peerjs_trio.IdTaken):
            async for _ in old.incoming_connections():
                pass
        assert not old.is_open
        await anyio.sleep(1000)
        assert new.is_open


async def test_a_bad_key(network: FakeNetwork) -> None:
    with pytest.raises(peerjs_trio.InvalidKey):
        async with join(network, "alice", key="other"):
            pass


@pytest.mark.parametrize("id", ["alice", None])
async def test_a_server_that_cannot_be_reached(network: FakeNetwork, id: str | None) -> None:
    network.reachable = False
    with pytest.raises(peerjs_trio.ServerUnavailable, match="connection refused"):
        async with join(network, id):
            pass


async def test_a_server_that_does_not_answer(network: FakeNetwork) -> None:
    network.answer_http = False
    started = trio.current_time()
    with pytest.raises(peerjs_trio.ServerUnavailable, match="10 s"):
        async with join(network):
            pass
    assert 10.0 <= trio.current_time() - started < 10.1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"id": "no!"}, peerjs_trio.InvalidId),
        ({"id": "a", "server": "127.0.0.1:9000"}, peerjs_trio.InvalidId),
        ({"id": "a", "ice_servers": [{"url": "stun:x"}]}, TypeError),
    ],
)
async def test_misuse_is_told_before_anything_starts(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        async with open_peer(**options):
            pass


async def test_the_applications_exception_leaves_as_it_is(network: FakeNetwork) -> None:
    with pytest.raises(ZeroDivisionError):
        async with join(network, "alice"):
            raise ZeroDivisionError
    assert not network.sockets


# --- dialling ------------------------------------------------------------------------------------


async def dialled(
    alice: Peer, bob: Peer, **options: Any
) -> tuple[peerjs_trio.DataConnection, peerjs_trio.DataConnection]:
    ours = await alice.connect(bob.id, **options)
    theirs = await anext(bob.incoming_connections())
    return ours, theirs


async def test_both_ends_know_the_terms(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        ours, theirs = await dialled(
            alice, bob, label="chat", metadata={"n": 1}, serialization="json", reliable=True
        )
        assert (ours.peer, theirs.peer) == ("bob", "alice")
        for end in (ours, theirs):
            assert end.label == "chat"
            assert end.metadata == {"n": 1}
            assert end.serialization == "json"
            assert end.reliable
            assert end.is_open
        assert ours.connection_id == theirs.connection_id
        assert ours.connection_id.startswith("dc_")
        assert alice.connections == (ours,)
        await ours.send([1, 2])
        assert await theirs.receive() == [1, 2]


async def test_a_peer_that_is_not_there(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice:
        started = trio.current_time()
        with pytest.raises(peerjs_trio.PeerUnavailable) as caught:
            await alice.connect("bob")
        assert 5 <= trio.current_time() - started <= 6.1
        assert caught.value.type == "peer-unavailable"
        assert alice.connections == ()


async def test_a_peer_that_does_not_answer(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob"):
        network.engine_delay = 1000.0
        with pytest.raises(peerjs_trio.ConnectTimeout, match="20 s"):
            await alice.connect("bob")


async def test_dialling_without_a_server(network: FakeNetwork) -> None:
    async with join(network, "alice", reconnect=None) as alice, join(network, "bob") as bob:
        ours, theirs = await dialled(alice, bob)
        for socket in network.sockets.values():
            socket.put(None)
        with pytest.raises(peerjs_trio.ServerUnavailable, match="1005"):
            await anext(alice.incoming_connections())
        with pytest.raises(peerjs_trio.Disconnected):
            await alice.connect("bob")
        report = await anext(alice.reports())
        assert isinstance(report, events.PeerDisconnected)
        await ours.send("connections live on")
        assert await theirs.receive() == "connections live on"


async def test_a_failure_in_the_far_engine_is_a_report_there(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        payload = '{"sdp":{"sdp":"junk"},"type":"data","connectionId":"x","serialization":"raw"}'
        alice._link.send(f'{{"type":"OFFER","dst":"bob","payload":{payload}}}')
        report = await anext(bob.reports())
        assert isinstance(report, events.DataConnectionClosed)
        assert isinstance(report.error, peerjs_trio.NegotiationFailed)


async def test_first_messages_wait_for_whoever_comes_late(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        ours = await alice.connect("bob")
        for n in range(10):
            await ours.send(n)
        await ours.aclose(flush=True)
        await anyio.sleep(60)
        theirs = await anext(bob.incoming_connections())
        assert [value async for value in theirs] == list(range(10))


async def test_connections_that_nobody_takes_are_bounded(network: FakeNetwork) -> None:
    limits = peerjs_trio.Limits(connections=3)
    async with join(network, "alice") as alice, join(network, "bob", limits=limits) as bob:
        for n in range(6):
            ours = await alice.connect("bob")
            await ours.send(n)
            await ours.aclose(flush=True)
        kept = [await anext(bob.incoming_connections()) for _ in range(3)]
        assert [await theirs.receive() for theirs in kept] == [3, 4, 5]
        with trio.move_on_after(1):
            await anext(bob.incoming_connections())
            raise AssertionError("there were three")


async def test_iterating_can_be_left_and_taken_up_again(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        for _ in range(3):
            await alice.connect("bob")
        seen = []
        async for connection in bob.incoming_connections():
            seen.append(connection)
            break
        async for connection in bob.incoming_connections():
            seen.append(connection)
            if len(seen) == 3:
                break
        assert len({c.connection_id for c in seen}) == 3


async def test_connections_by_label(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        for label in ("chat", "a", "b", "chat"):
            await alice.connect("bob", label=label)
        apart = bob.incoming_connections("a", "b")
        await alice.connect("bob", label="a")
        assert [(await anext(apart)).label for _ in range(3)] == ["a", "b", "a"]
        others = bob.incoming_connections()
        assert [(await anext(others)).label for _ in range(2)] == ["chat", "chat"]
        assert bob.incoming_connections("b", "a") is apart
        for labels in (["a", "c"], ["c", "b"]):
            with pytest.raises(peerjs_trio.LocalProtocolError, match="taken already"):
                bob.incoming_connections(*labels)
    for ended in (apart, others):
        with pytest.raises(StopAsyncIteration):
            await anext(ended)


async def test_leaving_the_block_ends_iterations(network: FakeNetwork) -> None:
    async with anyio.create_task_group() as tasks:

        async def iterate(peer: Peer) -> None:
            async for _ in peer.incoming_connections():
                pass
            async for _ in peer.reports():
                pass

        async with join(network, "alice") as alice:
            tasks.start_soon(iterate, alice)
            await anyio.sleep(1)


async def test_leaving_the_block_closes_connections_on_both_sides(network: FakeNetwork) -> None:
    async with join(network, "bob") as bob:
        async with join(network, "alice") as alice:
            ours, theirs = await dialled(alice, bob)
        with pytest.raises(anyio.EndOfStream):
            await theirs.receive()
        with pytest.raises(peerjs_trio.ConnectionClosed):
            await ours.send(1)
        assert bob.connections == ()


# --- cancellation --------------------------------------------------------------------------------


class CancelAt(trio.abc.Instrument):
    """Cancels a scope before the n-th step of a task."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self.scope = scope
        self.task = trio.lowlevel.current_task()
        self.steps = steps

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.steps -= 1
            if self.steps == 0:
                self.scope.cancel()


async def scenario(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network) as bob:
        ours, theirs = await dialled(bob, alice)
        await ours.send(b"x" * 100_000)
        assert await theirs.receive() == b"x" * 100_000
        await theirs.send("back")
        assert await ours.receive() == "back"
        await ours.aclose(flush=True)


async def test_cancelling_at_every_step_leaves_nothing_behind(network: FakeNetwork) -> None:
    idle = trio.lowlevel.current_statistics().tasks_living
    for steps in range(1, 1000):
        with trio.CancelScope() as scope:
            instrument = CancelAt(scope, steps)
            trio.lowlevel.add_instrument(instrument)
            try:
                await scenario(network)
            finally:
                trio.lowlevel.remove_instrument(instrument)
        assert trio.lowlevel.current_statistics().tasks_living == idle
        assert not network.sockets
        if not scope.cancelled_caught:
            break
    else:
        pytest.fail("the scenario never came to its end")
    assert steps > 10  # how many there are depends on how long the machine takes for each


async def test_cancelling_a_dial_gives_it_up(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        network.engine_delay = 1.0
        with anyio.move_on_after(0.5):
            await alice.connect("bob")
        assert alice._connections == {}
        network.engine_delay = 0.0
        await dialled(alice, bob)


async def test_leaving_the_block_fails_a_dial_in_another_task(network: FakeNetwork) -> None:
    async with anyio.create_task_group() as tasks:

        async def dial(peer: Peer) -> None:
            with pytest.raises(peerjs_trio.ConnectionClosed):
                await peer.connect("bob")

        async with join(network, "alice") as alice:
            tasks.start_soon(dial, alice)
            await anyio.sleep(1)
        with pytest.raises(peerjs_trio.Disconnected):
            await alice.connect("bob")


async def test_it_runs_under_anyio() -> None:
    # A run of its own, as an anyio application would start it.
    async def main() -> str:
        async with open_fake_network() as network, join(network, "alice") as alice:
            return alice.id

    def run() -> str:
        return anyio.run(main, backend="trio")

    assert await trio.to_thread.run_sync(run) == "alice"
