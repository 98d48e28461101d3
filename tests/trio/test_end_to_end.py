"""Peers over the real thing: our own server, real sockets, every engine in both of its forms."""

from __future__ import annotations

import gc
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aioice.ice
import anyio
import attrs
import pytest
import trio

import peerjs_trio
from peerjs_trio import (
    BrokenConnection,
    DataConnection,
    Limits,
    NegotiationFailed,
    Peer,
    open_peer,
    open_server,
)
from peerjs_trio.rtc.engine import EngineFactory
from tests.trio.test_peer import CancelAt, dialled

pytestmark = pytest.mark.trio


@attrs.frozen
class Pair:
    url: str
    alice: Peer
    bob: Peer

    async def dial(self, **options: Any) -> tuple[DataConnection, DataConnection]:
        return await dialled(self.alice, self.bob, **options)


@pytest.fixture
async def pair(engine: EngineFactory) -> AsyncIterator[Pair]:
    # Both ends on one machine, perhaps a slow one, and bursts that keep it busy for seconds.
    limits = Limits(keep_alive=30.0)
    async with (
        open_server() as server,
        open_peer("alice", server=server.url, engine=engine, limits=limits) as alice,
        open_peer("bob", server=server.url, engine=engine, limits=limits) as bob,
    ):
        yield Pair(server.url, alice, bob)


async def burst(sender: DataConnection, count: int) -> None:
    for n in range(count):
        await sender.send(n)


async def collect(receiver: DataConnection, count: int) -> list[Any]:
    return [await receiver.receive() for _ in range(count)]


async def test_both_sides_know_both_fingerprints(pair: Pair) -> None:
    ours, theirs = await pair.dial()
    mine, yours = ours.fingerprints, theirs.fingerprints
    assert (mine.local, mine.remote) == (yours.remote, yours.local)
    assert mine.local != mine.remote
    assert any(re.fullmatch("sha-256 (..:){31}..", text) for text in mine.local)
    ours, _ = await pair.dial(redial=True)
    with pytest.raises(peerjs_trio.LocalProtocolError, match="no fingerprints"):
        _ = ours.fingerprints


@pytest.mark.parametrize("serialization", ["binary", "json"])
async def test_ten_thousand_messages_each_way_arrive_in_order(
    pair: Pair, serialization: str
) -> None:
    ours, theirs = await pair.dial(serialization=serialization, reliable=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(burst, ours, 10_000)
        tasks.start_soon(burst, theirs, 10_000)
        assert await collect(theirs, 10_000) == list(range(10_000))
        assert await collect(ours, 10_000) == list(range(10_000))


async def test_a_burst_waits_for_a_reader_that_comes_late(pair: Pair) -> None:
    ours, theirs = await pair.dial(reliable=True)
    await burst(ours, 10_000)
    await ours.aclose(flush=True)
    assert [value async for value in theirs] == list(range(10_000))


async def test_sixty_four_mebibytes_cross_whole(pair: Pair) -> None:
    ours, theirs = await pair.dial()
    value = os.urandom(1024) * (64 * 1024)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ours.send, value)
        with anyio.fail_after(120):
            assert await theirs.receive() == value


async def test_msgpack_is_reliable_at_both_ends(pair: Pair) -> None:
    ours, theirs = await pair.dial(serialization="MsgPack", reliable=False)
    assert ours.reliable
    assert theirs.reliable


async def test_a_peer_dials_others_many_times_and_itself_never(pair: Pair) -> None:
    with pytest.raises(peerjs_trio.InvalidId, match="itself"):
        await pair.alice.connect("alice")
    first, _ = await pair.dial()
    second, _ = await pair.dial()
    assert first.connection_id != second.connection_id


async def test_leave_by_exit_reaches_the_other_side(engine: EngineFactory) -> None:
    async with (
        open_server() as server,
        open_peer("bob", server=server.url, engine=engine) as bob,
    ):
        async with open_peer("alice", server=server.url, engine=engine) as alice:
            _, theirs = await dialled(alice, bob)
        with anyio.fail_after(5), pytest.raises(anyio.EndOfStream):
            await theirs.receive()


VANISHER = """
import sys, trio
from peerjs_trio import open_peer

async def main():
    async with open_peer("vanisher", server=sys.argv[1]) as peer:
        async for connection in peer.incoming_connections():
            await connection.send("here")

trio.run(main)
"""


async def test_a_far_side_that_is_killed_is_a_failure_and_no_end(
    monkeypatch: pytest.MonkeyPatch, engine: EngineFactory
) -> None:
    # aioice asks every 5 s and gives up after 6 times without an answer.
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.2)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)
    unhurried = Limits(keep_alive=None)  # or it would notice first
    async with (
        open_server() as server,
        open_peer("alice", server=server.url, engine=engine, limits=unhurried) as alice,
    ):
        command = [sys.executable, "-c", VANISHER, server.url]
        process = await trio.lowlevel.open_process(command)
        try:
            with anyio.fail_after(30):
                connection = await alice.connect("vanisher")
                assert await connection.receive() == "here"
        finally:
            process.kill()
            await process.wait()
        # wrtc asks a few times a second and gives up after some 20 s.
        with anyio.fail_after(60), pytest.raises(BrokenConnection, match="without a goodbye"):
            await connection.receive()


async def test_a_machine_without_a_network_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    async with open_server() as server, open_peer("alice", server=server.url) as alice:
        with anyio.fail_after(5), pytest.raises(NegotiationFailed, match="no network interface"):
            await alice.connect("bob")


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


async def eventually(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - nothing announces these
            await anyio.sleep(0.01)


def threads() -> int:
    """Those that somebody started; trio keeps workers of its own for a while, then ends them."""
    return sum(not thread.name.startswith("Trio thread") for thread in threading.enumerate())


async def everything(url: str, engine: EngineFactory) -> None:
    async with (
        open_peer("alice", server=url, engine=engine) as alice,
        open_peer(server=url, engine=engine) as bob,
    ):
        ours, theirs = await dialled(bob, alice)
        await ours.send(b"x" * 100_000)
        assert await theirs.receive() == b"x" * 100_000
        await theirs.aclose(flush=True)


async def test_nothing_is_left_behind_wherever_it_is_cancelled(engine: EngineFactory) -> None:
    async with open_server() as server:
        await everything(server.url, engine)  # what is loaded once, is loaded
        before_files, before_threads = open_files(), threads()
        tasks = trio.lowlevel.current_statistics().tasks_living
        steps = 1
        while True:
            with trio.CancelScope() as scope:
                instrument = CancelAt(scope, steps)
                trio.lowlevel.add_instrument(instrument)
                try:
                    await everything(server.url, engine)
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            # The server's side of a socket is closed when it has heard of the end.
            await eventually(lambda: trio.lowlevel.current_statistics().tasks_living == tasks)
            assert server.statistics().clients == 0
            assert threads() == before_threads
            # libwebrtc's threads close some of theirs a moment later.
            await eventually(lambda: open_files() <= before_files)
            if not scope.cancelled_caught:
                break
            steps += 1


async def test_an_exception_of_the_application_leaves_nothing_behind(engine: EngineFactory) -> None:
    async with open_server() as server:
        await everything(server.url, engine)
        before_files, before_threads = open_files(), threads()
        tasks = trio.lowlevel.current_statistics().tasks_living

        async def application() -> None:
            async with (
                open_peer("alice", server=server.url, engine=engine) as alice,
                open_peer("bob", server=server.url, engine=engine) as bob,
            ):
                await dialled(alice, bob)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await application()
        await eventually(lambda: trio.lowlevel.current_statistics().tasks_living == tasks)
        assert threads() == before_threads
        await eventually(lambda: open_files() <= before_files)
