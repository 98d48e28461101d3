"""A far side that sends faster than the application reads."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import pytest

from peerjs_trio import BrokenConnection, LimitExceeded, Limits, open_server
from peerjs_trio.rtc.choice import EngineName
from tests.interop.chromium import Browser
from tests.interop.devtools import JavaScriptError
from tests.interop.ends import open_pair
from tests.interop.faults.figures import Stopwatch

pytestmark = [pytest.mark.trio, pytest.mark.browser]

SOON: Final = 10.0

INBOX: Final = 100
"Messages; 65,536 if nothing is said."


async def test_a_reader_that_has_stopped(browser: Browser, site: str, engine: EngineName) -> None:
    limits = Limits(inbox_messages=INBOX)
    async with (
        open_server() as server,
        open_pair(server, browser, site, engine=engine, limits=limits) as pair,
    ):
        line, connection = await pair.connect("page", reliable=True)
        watch = Stopwatch(f"a page sends, and nobody reads, {engine}")
        with suppress(JavaScriptError):  # it may be closed before it has sent all
            await line.burst(50 * INBOX, "text")
        assert await line.heard("close", within=SOON) is not None
        watch.saw("peerjs.js", "close", within=SOON)

        for _ in range(INBOX):
            await connection.receive()
        with pytest.raises(BrokenConnection) as broken:
            await connection.receive()
        watch.saw("ours", "what the inbox holds, then BrokenConnection", within=SOON)
        assert isinstance(broken.value.__cause__, LimitExceeded)
