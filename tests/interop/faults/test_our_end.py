"""A Python program ends, one way or another: what its far sides see, a page and one of ours."""

from __future__ import annotations

from typing import Final

import anyio
import attrs
import pytest
import trio

from peerjs_trio import open_server
from peerjs_trio.rtc.choice import EngineName
from tests.interop.chromium import Browser
from tests.interop.ends import open_pair
from tests.interop.faults.figures import Stopwatch
from tests.interop.faults.program import run_program

pytestmark = [pytest.mark.trio, pytest.mark.browser]

AT_ONCE: Final = 3.0
"Seconds. It is a tenth of one where nothing else runs; without a goodbye it is 5 or more."


@attrs.frozen
class Outcome:
    status: int
    said: str
    complaint: str = ""


ENDS: Final = {
    "leave": Outcome(0, "stopped by None"),
    "exit": Outcome(3, ""),
    "raise": Outcome(1, "", "ZeroDivisionError"),
    "SIGINT": Outcome(0, "stopped by SIGINT"),
    "SIGTERM": Outcome(0, "stopped by SIGTERM"),
    "SIGHUP": Outcome(0, "stopped by SIGHUP"),
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_program_that_goes_says_so(
    browser: Browser, site: str, engine: EngineName, end: str
) -> None:
    expected = ENDS[end]
    async with (
        open_server() as server,
        open_pair(server, browser, site, engine=engine) as pair,
        run_program(server, "goer", engine, ["page", "python"]) as program,
    ):
        line = await pair.page.incoming()
        connection = await anext(pair.python.incoming_connections())
        watch = Stopwatch(f"a Python program ends by {end}, {engine}")
        await program.end(end)

        async def page_sees() -> None:
            await line.closed()
            watch.saw("peerjs.js", "close", within=AT_ONCE)

        async def python_sees() -> None:
            with pytest.raises(anyio.EndOfStream):
                await connection.receive()
            watch.saw("ours", "EndOfStream", within=AT_ONCE)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(page_sees)
            nursery.start_soon(python_sees)
        status, said, complaint = await program.ended()
        assert (status, said.strip()) == (expected.status, expected.said)
        assert expected.complaint in complaint
        assert bool(expected.complaint) == bool(complaint), complaint
