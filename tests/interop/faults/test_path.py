"""The path between two peers breaks, for a moment or for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import pytest
import trio
import trio.testing

from peerjs_proto.events import DataConnectionInterrupted
from peerjs_proto.limits import DEFAULT_LIMITS
from peerjs_trio import (
    BrokenConnection,
    DataConnection,
    NegotiationFailed,
    Peer,
    open_peer,
    open_server,
)
from peerjs_trio.rtc.choice import EngineName
from tests.interop.chromium import Browser
from tests.interop.ends import open_pair
from tests.interop.faults.figures import Stopwatch, together
from tests.interop.faults.path import Path, open_path

pytestmark = [pytest.mark.trio, pytest.mark.browser]

A_MOMENT: Final = 2.0
"Seconds: less than either side's patience."

GONE: Final = 58.0
"Seconds. ICE takes 31 at most, where it takes notice at all."

KEEP_ALIVE: Final = DEFAULT_LIMITS.keep_alive or 0.0

SLACK: Final = 5.0
"Seconds for a machine with other things to do."

RESUMED: Final = 30.0
"Seconds: an attempt that is under way may have to end first."


async def test_a_break_that_heals_in_time(browser: Browser, site: str, engine: EngineName) -> None:
    async with (
        open_server() as server,
        open_path() as path,
        open_pair(server, browser, site, engine=engine, transport=path.transport) as pair,
    ):
        line, connection = await pair.connect("page", reliable=True)
        path.works = False
        await line.send("from the page")
        await connection.send("from Python")
        await trio.sleep(A_MOMENT)
        path.works = True
        with trio.fail_after(30):
            assert await connection.receive() == "from the page"
            assert await line.receive() == "from Python"


@pytest.mark.by_hand
async def test_a_break_for_good(browser: Browser, site: str, engine: EngineName) -> None:
    async with (
        open_server() as server,
        open_path() as path,
        open_pair(server, browser, site, engine=engine, transport=path.transport) as pair,
    ):
        line, connection = await pair.connect("page", reliable=True)
        path.works = False
        watch = Stopwatch(f"the path breaks, {engine}")

        async def page_sees() -> None:
            assert await line.ice_is("disconnected", within=GONE)
            watch.saw("peerjs.js", "iceStateChanged 'disconnected'", within=GONE)
            assert await line.heard("close", within=GONE - 10) is None
            watch.saw_nothing("peerjs.js", "close")

        async def python_sees() -> None:
            with pytest.raises(BrokenConnection):
                await connection.receive()
            watch.saw("ours", "BrokenConnection, as ICE has it", within=GONE)

        await together(page_sees, python_sees)


async def test_a_break_between_our_own(engine: EngineName) -> None:
    async with ours(engine) as (path, alice, bob):
        lasting = await alice.connect("bob", redial=True)
        bobs_lasting = await anext(bob.incoming_connections())
        plain = await alice.connect("bob", reliable=True)
        bobs_plain = await anext(bob.incoming_connections())
        for number in range(10):
            await lasting.send(number)
            await bobs_lasting.send(number)
        path.works = False
        watch = Stopwatch(f"the path breaks, {engine}")

        async def is_broken(connection: DataConnection) -> None:
            with pytest.raises(BrokenConnection, match="the far side is gone"):
                await connection.receive()
            watch.saw("ours", "BrokenConnection", within=KEEP_ALIVE + SLACK)

        async def is_interrupted(peer: Peer) -> None:
            async for report in peer.reports():
                if isinstance(report, DataConnectionInterrupted):
                    break
            watch.saw("ours, redial=True", "interrupted", within=KEEP_ALIVE + SLACK)

        await together(
            partial(is_broken, plain),
            partial(is_broken, bobs_plain),
            partial(is_interrupted, alice),
            partial(is_interrupted, bob),
        )
        async with trio.open_nursery() as nursery:
            for end in (lasting, bobs_lasting):  # while there is no path
                nursery.start_soon(send, end, range(10, 20))
            await trio.testing.wait_all_tasks_blocked()
            path.works = True
            watch = Stopwatch(f"the path heals, {engine}")
            with trio.fail_after(RESUMED):
                for end in (lasting, bobs_lasting):
                    assert [await end.receive() for _ in range(20)] == list(range(20))
        watch.saw("ours, redial=True", "all messages, each one once", within=RESUMED)
        assert lasting.is_open
        assert not lasting.interrupted


async def send(connection: DataConnection, numbers: range) -> None:
    for number in numbers:
        await connection.send(number)


async def test_a_page_cannot_redial(browser: Browser, site: str) -> None:
    async with open_server() as server, open_pair(server, browser, site) as pair:
        with pytest.raises(NegotiationFailed, match="no page has it"):
            await pair.python.connect("page", redial=True)


@asynccontextmanager
async def ours(engine: EngineName) -> AsyncIterator[tuple[Path, Peer, Peer]]:
    """Two of our peers, and the path between them."""
    async with (
        open_server() as server,
        open_path() as path,
        open_peer("alice", server=server.url, engine=engine, transport=path.transport) as alice,
        open_peer("bob", server=server.url, engine=engine) as bob,
    ):
        yield path, alice, bob
