"""Rooms for peers: who is there, over fakes and virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
import trio

import peerjs_trio
from peerjs_trio import Joined, Left, Reconnect, Session, open_room
from peerjs_trio.rooms import PeerRoom, Polling
from tests.trio.fakes import FakeNetwork, open_fake_network, virtual_time
from tests.trio.test_peer import join
from tests.trio.test_reconnect import cut, reach

pytestmark = pytest.mark.trio(run=virtual_time)

SECRET = b"sixteen bytes or more"
QUICK = Reconnect(first=1.0, longest=4.0, jitter=0.0)


@pytest.fixture
async def network() -> AsyncIterator[FakeNetwork]:
    async with open_fake_network(rooms="named", room_secret=SECRET) as network:
        yield network


async def test_who_is_there_who_comes_and_who_goes(network: FakeNetwork) -> None:
    async with (
        join(network, "alice") as alice,
        open_room(alice) as room,
        join(network, "bob") as bob,
        open_room(bob) as his,
    ):
        assert room.id is not None
        assert len(room.id) == 40
        assert his.id == room.id
        assert await room.members() == await his.members() == ("alice", "bob")
        changes = room.watch()
        assert await anext(changes) == Joined("bob")
        async with join(network, "carol") as carol, open_room(carol):
            assert await anext(changes) == Joined("carol")
        assert await anext(changes) == Left("carol")
        assert await his.leave()
        assert await anext(changes) == Left("bob")
        assert not await his.leave()
        assert repr(room) == f"<PeerRoom {room.id!r} of 'alice'>"


async def test_the_way_of_the_original(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        room = PeerRoom(alice)
        assert room.id is None
        assert not await room.leave()
        assert await room.members() == ("alice",)
        assert await PeerRoom(bob).join() == ("alice", "bob")
        assert await room.members() == ("alice", "bob")


async def test_only_those_of_the_same_network_meet(network: FakeNetwork) -> None:
    async with (
        join(network, "alice") as alice,
        join(network, "bob") as bob,
        open_room(alice) as hers,
        open_room(alice, "kitchen"),
    ):
        network.came_from = "198.51.100.7"
        async with open_room(bob) as his, open_room(bob, "kitchen") as kitchen:
            assert hers.id != his.id
            assert await his.members() == ("bob",)
            assert kitchen.id == "kitchen"
            assert await kitchen.members() == ("alice", "bob")


async def test_it_asks_every_three_seconds_while_somebody_waits(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, open_room(alice) as room:
        before = len(network.requests)
        await anyio.sleep(100)
        assert len(network.requests) == before
        with anyio.move_on_after(100):
            await anext(room.watch())
        assert len(network.requests) == before + 34


async def test_leaving_ends_who_watches(network: FakeNetwork) -> None:
    async with (
        join(network, "alice") as alice,
        open_room(alice) as room,
        anyio.create_task_group() as tasks,
    ):

        async def watch() -> None:
            assert [change async for change in room.watch()] == []

        tasks.start_soon(watch)
        await anyio.sleep(1)
        network.answer_http = False
        await anyio.sleep(3)  # and it waits for an answer
        network.answer_http = True
        started = trio.current_time()
        assert await room.leave()
        assert trio.current_time() == started
        assert await anext(room.watch(), None) is None


async def test_closing_the_peer_ends_who_watches(network: FakeNetwork) -> None:
    async with anyio.create_task_group() as tasks:

        async def watch(changes: AsyncIterator[object]) -> None:
            assert [change async for change in changes] == []

        async with join(network, "alice") as alice:
            room = PeerRoom(alice)
            tasks.start_soon(watch, room.watch())
            await anyio.sleep(10)
        with pytest.raises(peerjs_trio.Disconnected, match="no connection to it"):
            await room.members()


# --- the server goes away ------------------------------------------------------------------------


async def test_whoever_comes_back_is_in_the_room_again(network: FakeNetwork) -> None:
    async with (
        join(network, "alice", reconnect=QUICK) as alice,
        open_room(alice),
        join(network, "bob", reconnect=QUICK) as bob,
        open_room(bob) as room,
    ):
        changes = room.watch()
        assert await anext(changes) == Joined("alice")
        network.reachable = False
        cut(network)
        await reach(alice, Session.WAITING)
        with anyio.move_on_after(30):
            pytest.fail(f"{await anext(changes)}")
        network.reachable = True
        await reach(alice, Session.OPEN)
        await reach(bob, Session.OPEN)
        async with join(network, "carol") as carol, open_room(carol) as hers:
            # Alice, who does not watch, is in it too.
            assert set(await hers.members()) == {"alice", "bob", "carol"}
            assert await anext(changes) == Joined("carol")


async def test_to_another_network_it_comes_in_that_ones_room(network: FakeNetwork) -> None:
    async with (
        join(network, "alice", reconnect=QUICK) as alice,
        open_room(alice) as room,
        join(network, "bob") as bob,
        open_room(bob) as his,
    ):
        before = room.id
        network.came_from = "198.51.100.7"
        (first, _) = network.sockets.values()
        # The server holds on to the old registration, as it does to a half-open socket.
        async with join(network, "carol") as carol, open_room(carol):
            changes = room.watch()
            assert await anext(changes) == Joined("bob")
            first.put(None)
            assert await anext(changes) == Left("bob")
            assert await anext(changes) == Joined("carol")
        assert room.id != before
        network.came_from = "192.0.2.1"
        assert await his.members() == ("bob",)


async def test_a_server_that_is_lost_for_good(network: FakeNetwork) -> None:
    async with (
        join(network, "alice", reconnect=None) as alice,
        open_room(alice) as room,
    ):
        cut(network)
        with pytest.raises(peerjs_trio.ServerUnavailable, match="lost the connection"):
            await anext(room.watch())
        with pytest.raises(peerjs_trio.Disconnected):
            await room.join()
        await alice.reconnect()
        await anyio.sleep(1)
        assert await room.members() == ("alice",)


async def test_a_disconnection_as_asked_for_is_waited_out(network: FakeNetwork) -> None:
    async with (
        join(network, "alice") as alice,
        open_room(alice) as room,
        join(network, "bob") as bob,
        open_room(bob),
    ):
        await alice.disconnect()
        with anyio.move_on_after(100):
            await anext(room.watch())
            pytest.fail("what can there be to see?")
        await alice.reconnect()
        assert await anext(room.watch()) == Joined("bob")


# --- what servers may answer ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((502, b"Bad gateway"), "answered 502"),
        ((200, b"<html>a captive portal"), "not JSON"),
        ((200, b"x" * 300_000), "more than 262144 bytes"),
        ((401, b"Unauthorized"), "does not know us"),
    ],
)
async def test_what_may_pass_is_tried_again(
    network: FakeNetwork,
    reply: tuple[int, bytes],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    polling = Polling(jitter=0.0)
    async with (
        join(network, "bob") as bob,
        open_room(bob),
        join(network, "alice") as alice,
        open_room(alice, polling=polling) as room,
    ):
        network.replies += [reply, reply]
        started = trio.current_time()
        assert await anext(room.watch()) == Joined("bob")
        assert trio.current_time() - started == 6 + 9
    assert words in caplog.text
    assert caplog.text.count("cannot see who is in a room") == 2


async def test_a_room_that_was_forgotten_is_joined_again(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, open_room(alice) as room:
        network.replies.append((200, b"[]"))
        assert await room.members() == ("alice",)
        assert [request.split("/")[-1] for request in network.requests] == [
            *("id", "join", "members"),
            *("id", "join"),
        ]


async def test_a_server_that_says_nothing(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice:
        network.answer_http = False
        with pytest.raises(peerjs_trio.ServerUnavailable, match="not answer within 10 s"):
            await PeerRoom(alice).join()
        network.answer_http, network.reachable = True, False
        with pytest.raises(peerjs_trio.ServerUnavailable, match=r"room: .*connection refused"):
            await PeerRoom(alice).join()


async def test_a_server_without_rooms() -> None:
    async with open_fake_network() as network, join(network, "alice") as alice:
        with pytest.raises(peerjs_trio.ServerError, match="no rooms: peerjs serve --rooms"):
            async with open_room(alice):
                pytest.fail("into what?")
        with pytest.raises(peerjs_trio.ServerError, match="no rooms"):
            await anext(PeerRoom(alice).watch())


async def test_a_server_that_comes_back_without_rooms(
    network: FakeNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    async with join(network, "alice", reconnect=QUICK) as alice, open_room(alice) as room:
        network.replies += [(404, b"")] * 3
        cut(network)
        await reach(alice, Session.WAITING)
        with pytest.raises(peerjs_trio.ServerError, match="no rooms"):
            await anext(room.watch())
        await anyio.sleep(10)
    assert "could not join the room again: this server has no rooms" in caplog.text


async def test_a_server_that_is_slow_to_have_rooms_again(
    network: FakeNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    async with join(network, "alice", reconnect=QUICK) as alice, open_room(alice):
        network.replies += [(503, b"")] * 3
        cut(network)
        await anyio.sleep(200)
        assert [request.split("/")[-1] for request in network.requests[-2:]] == ["id", "join"]
    assert caplog.text.count("could not join the room again") == 3


async def test_a_room_that_is_full() -> None:
    limits = peerjs_trio.ServerLimits(room_members=1)
    async with (
        open_fake_network(rooms="network", room_secret=SECRET, limits=limits) as network,
        join(network, "alice") as alice,
        open_room(alice),
        join(network, "bob") as bob,
    ):
        with pytest.raises(peerjs_trio.ServerError, match="The room is full"):
            await PeerRoom(bob).join()
        with pytest.raises(peerjs_trio.ServerError, match="not a room of your network"):
            await PeerRoom(bob, "kitchen").join()
        with pytest.raises(peerjs_trio.LocalProtocolError):
            PeerRoom(bob, "")


async def test_no_token_gets_into_the_log(
    network: FakeNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with join(network, "alice", token="hush") as alice, open_room(alice) as room:
        echo = (404, b"Cannot GET /peerjs/alice/hush/room")
        network.replies += [(503, b"hush"), (401, b"hush"), echo]
        with pytest.raises(peerjs_trio.ServerError) as caught:
            await anext(room.watch())
        assert "hush" not in f"{caught.value!r}{alice!r}{room!r}"
    assert "hush" not in caplog.text
