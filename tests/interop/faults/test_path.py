"""The path between two peers breaks, for a moment or for good."""

from __future__ import annotations

from typing import Final

import pytest
import trio

from peerjs_trio import BrokenConnection, open_server
from peerjs_trio.rtc.choice import EngineName
from tests.interop.chromium import Browser
from tests.interop.ends import open_pair
from tests.interop.faults.figures import Stopwatch, together
from tests.interop.faults.path import open_path

pytestmark = [pytest.mark.trio, pytest.mark.browser]

A_MOMENT: Final = 2.0
"Seconds: less than either side's patience."


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
        watch = Stopwatch("the path breaks")

        async def page_sees() -> None:
            assert await line.ice_is("disconnected", within=50)
            watch.saw("peerjs.js", "iceStateChanged 'disconnected'", within=60)
            assert await line.heard("error", within=50) == "negotiation-failed"
            assert await line.heard("close", within=50) is not None
            watch.saw("peerjs.js", "error 'negotiation-failed', close", within=60)

        async def python_sees() -> None:
            with pytest.raises(BrokenConnection):
                await connection.receive()
            watch.saw("ours", f"BrokenConnection, {engine}", within=60)

        await together(page_sees, python_sees)
        path.works = True
