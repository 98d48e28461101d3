"""The far side vanishes without a word: pages and programs, seen by a page and by ours."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

import pytest
import trio

from peerjs_proto.limits import DEFAULT_LIMITS
from peerjs_trio import BrokenConnection, DataConnection, Limits, open_peer, open_server
from peerjs_trio.rtc.choice import EngineName
from tests.interop.chromium import Browser
from tests.interop.ends import open_pair
from tests.interop.faults.figures import Stopwatch
from tests.interop.faults.program import run_program
from tests.interop.lab import Lab, Line, open_lab

pytestmark = [pytest.mark.trio, pytest.mark.browser]

ENGINES: Final[tuple[EngineName, ...]] = ("aiortc", "wrtc")

WATCHERS: Final = ("page", *ENGINES)
"Their ids."

GONE: Final = 58.0
"Seconds. ICE takes 35, and more on a machine with other things to do."

KEEP_ALIVE: Final = DEFAULT_LIMITS.keep_alive or 0.0
"Seconds, between peers of ours."

IDLE_TIMEOUT: Final = 2.0
"Ours; none if nothing is said."

SLACK: Final = 5.0
"Seconds for a machine with other things to do."


async def test_pages_and_programs_that_vanish(browser: Browser, site: str) -> None:
    """All at once, to save the time: each is connected to a page, and to ours on both engines."""
    async with open_server() as server, AsyncExitStack() as stack:
        page = await stack.enter_async_context(open_lab(browser, site))
        await page.open(server.url, id="page")
        ours = {
            name: await stack.enter_async_context(open_peer(name, server=server.url, engine=name))
            for name in ENGINES
        }
        seen: dict[str, tuple[Line, list[DataConnection]]] = {}
        pages: dict[str, Lab] = {}

        async def connected(who: str) -> None:
            """The watchers' ends of its connections."""
            ends = [await anext(peer.incoming_connections()) for peer in ours.values()]
            seen[who] = await page.incoming(), ends

        for way in ("closed", "left", "killed"):
            pages[way] = await stack.enter_async_context(open_lab(browser, site))
            await pages[way].open(server.url)
            for watcher in WATCHERS:
                await pages[way].connect(watcher)
            await connected(f"a page is {way}")
        programs = []
        for engine in ENGINES:
            run = run_program(server, f"program-{engine}", engine, WATCHERS)
            programs.append(await stack.enter_async_context(run))
            await connected(f"a program is killed, {engine}")

        watches = {who: Stopwatch(who) for who in seen}
        await pages["closed"].page.close()
        await pages["left"].page.navigate("about:blank")
        await pages["killed"].page.kill()
        for program in programs:
            await program.end("SIGKILL")

        async with trio.open_nursery() as nursery:
            for who, (line, connections) in seen.items():
                nursery.start_soon(page_sees, watches[who], line)
                for engine, connection in zip(ENGINES, connections, strict=True):
                    nursery.start_soon(python_sees, watches[who], connection, engine)
        for who, (line, _) in seen.items():
            if await line.heard("close", within=0) is None:
                watches[who].saw_nothing("peerjs.js", "close")


async def page_sees(watch: Stopwatch, line: Line) -> None:
    assert await line.ice_is("disconnected", within=GONE)
    watch.saw("peerjs.js", "iceStateChanged 'disconnected'", within=GONE)


async def python_sees(watch: Stopwatch, connection: DataConnection, engine: EngineName) -> None:
    ours = connection.peer.startswith("program")
    with trio.fail_after(GONE), pytest.raises(BrokenConnection, match="gone"):
        await connection.receive()
    watch.saw("ours", f"BrokenConnection, {engine}", within=KEEP_ALIVE + SLACK if ours else GONE)


async def test_a_page_that_must_not_be_silent_for_long(
    browser: Browser, site: str, engine: EngineName
) -> None:
    limits = Limits(idle_timeout=IDLE_TIMEOUT)
    async with (
        open_server() as server,
        open_pair(server, browser, site, engine=engine, limits=limits) as pair,
    ):
        line, connection = await pair.connect("page")
        await line.send("the last word")
        assert await connection.receive() == "the last word"
        await pair.page.page.kill()
        watch = Stopwatch(f"a page is killed, idle_timeout={IDLE_TIMEOUT:g}, {engine}")
        with trio.fail_after(GONE), pytest.raises(BrokenConnection, match="fallen silent"):
            await connection.receive()
        watch.saw("ours", "BrokenConnection", within=IDLE_TIMEOUT + SLACK)
