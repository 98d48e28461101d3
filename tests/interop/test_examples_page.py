"""The programs in examples/ and a page with the stock npm peerjs, which trickles candidates."""

from __future__ import annotations

import pytest
import trio

from peerjs_trio import open_server
from tests.examples import EXAMPLES, PATIENCE, run
from tests.interop.chromium import Browser
from tests.interop.lab import open_lab
from tests.interop.values import Made

pytestmark = [pytest.mark.trio, pytest.mark.browser]


@pytest.mark.parametrize("example", EXAMPLES)
async def test_a_page_dials_it(example: str, browser: Browser, site: str) -> None:
    large = Made("bytes", 100_000)
    async with (
        open_server() as server,
        run(example, server.url, "--id", "example") as program,
        open_lab(browser, site) as page,
    ):
        await program.says("PeerOpened")
        await page.open(server.url, id="page")
        with trio.fail_after(PATIENCE):
            line = await page.connect("example", reliable=True)
            for value in ({"nested": [1, {"bytes": b"\x00\xff"}]}, "é😀", b""):
                await line.send(value)
                assert await line.receive() == value
            await line.send_made(large)
            assert await line.receive_digest() == large.digest()
            await line.close(flush=True)
        await program.says(r"DataConnectionClosed\(connection=1, error=None\)")


@pytest.mark.parametrize("example", EXAMPLES)
async def test_it_dials_a_page(example: str, browser: Browser, site: str) -> None:
    async with open_server() as server, open_lab(browser, site) as page:
        await page.open(server.url, id="page")
        async with run(example, server.url, "--connect", "page") as program:
            with trio.fail_after(PATIENCE):
                line = await page.incoming()
                await line.send(await line.receive())
                await line.closed()
            assert await program.ends() == (0, "")
            assert "the same came back: True" in program.said
