"""The harness against itself: two pages over npm's server, no line of ours in between.

While these pass, a test that fails with a Python peer is about the Python peer.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio

from tests.interop.chromium import Browser
from tests.interop.devtools import JavaScriptError, Page, PageGone, open_page
from tests.interop.lab import Collected, Lab, Line, open_lab
from tests.interop.npm_peer import open_npm_peer
from tests.interop.values import UNDEFINED, Made, decode, encode

pytestmark = [pytest.mark.trio, pytest.mark.browser]

Labs = tuple[Lab, Lab]


@pytest.fixture
async def labs(node_modules: Path, browser: Browser, site: str) -> AsyncIterator[Labs]:
    """Two registered pages: alice, who dials, and bob."""
    async with (
        open_npm_peer(node_modules) as server,
        open_lab(browser, site) as alice,
        open_lab(browser, site) as bob,
    ):
        await alice.open(server.url, id="alice")
        await bob.open(server.url, id="bob")
        yield alice, bob


def _same(received: object, sent: object) -> bool:
    """Equal, in type too, and where Python's == is too kind or too strict."""
    return encode(received) == encode(sent) and type(received) is type(sent)


# --- values through DevTools alone -----------------------------------------------------------

TAGGED: list[Any] = [
    *(None, UNDEFINED, True, False, 0, -1, 1.5, -0.0, math.inf, -math.inf, math.nan),
    *(2**31, 2**32, 2**53 - 1, 2**53, -(2**53), 2**63, 2**64 - 2**11),
    *("", "é", "😀\x00\u2028", b"", b"\x00\xff", [], {}, {"$": "not a tag", "__proto__": [b"x"]}),
    *(datetime(2020, 2, 29, 12, 30, 15, 123_000, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)),
]


async def test_values_survive_the_way_to_the_page_and_back(browser: Browser, site: str) -> None:
    async with open_page(browser, site) as page:
        script = "async (tagged) => (await import('/values.js')).roundTrip(tagged)"
        back = decode(await page.call(script, encode(TAGGED)))
    for sent, received in zip(TAGGED, back, strict=True):
        assert _same(received, sent), (sent, received)


async def test_made_values_are_the_same_on_both_sides(browser: Browser, site: str) -> None:
    async with open_page(browser, site) as page:
        for made in (Made("bytes", 200_000, 7), Made("text", 65_521, 1), Made("bytes", 0)):
            rule = {"kind": made.kind, "size": made.size, "seed": made.seed}
            script = (
                "async (r) => { const v = await import('/values.js'); return v.digest(v.make(r)) }"
            )
            told = await page.call(script, rule)
            digest = made.digest()
            assert told == {"kind": digest.kind, "size": digest.size, "sha256": digest.sha256}


async def test_errors_in_the_page_become_exceptions(browser: Browser, site: str) -> None:
    async with open_page(browser, site) as page:
        with pytest.raises(JavaScriptError, match="no such thing") as caught:
            await page.call("() => { throw new RangeError('no such thing') }")
        assert caught.value.type == "RangeError"
        with pytest.raises(JavaScriptError, match="SyntaxError"):
            await page.run("][")


async def test_errors_nobody_caught_fail_the_block(browser: Browser, site: str) -> None:
    async def use_page() -> None:
        async with open_page(browser, site) as page:
            await page.run("void Promise.reject(new Error('nobody caught me'))")
            # A rejection is reported a turn later.
            await page.run("new Promise((resolve) => setTimeout(resolve, 50))")

    with pytest.raises(AssertionError, match="nobody caught me"):
        await use_page()


# --- two pages -------------------------------------------------------------------------------

PLAIN = [True, False, 0, -1, 127, 128, 65_536, 2**31, 2**32, 1.5, "", "é😀", [], {}]
NESTED = [{"a": [1, {"b": "é"}], "$": None}]
VALUES: dict[str, list[Any]] = {
    "binary": [*PLAIN, *NESTED, b"", b"\x00\xff", {"raw": b"x"}],
    "json": [*PLAIN, *NESTED, [None]],
    "raw": ["", "é😀", b"\x00\xff"],
}


@pytest.mark.parametrize("serialization", VALUES)
async def test_values_cross_both_ways(labs: Labs, serialization: str) -> None:
    async with _connected(labs, serialization=serialization) as (dialler, dialled):
        for sent in VALUES[serialization]:
            for here, there in ((dialler, dialled), (dialled, dialler)):
                await here.send(sent)
                received = await there.receive()
                assert _same(received, sent), (sent, received)


async def test_what_a_connection_says_of_itself(labs: Labs) -> None:
    metadata = {"é": [1, None, 2.5]}
    async with _connected(labs, label="a label", metadata=metadata, reliable=True) as ends:
        for line, peer in zip(ends, ("bob", "alice"), strict=True):
            assert (line.peer, line.label, line.metadata) == (peer, "a label", metadata)
            assert (line.serialization, line.reliable) == ("binary", True)
        assert ends[0].connection_id == ends[1].connection_id


async def test_big_values_and_bursts(labs: Labs) -> None:
    async with _connected(labs, reliable=True) as (dialler, dialled):
        for here, there in ((dialler, dialled), (dialled, dialler)):
            for made in (Made("bytes", 16_301), Made("text", 100_000), Made("bytes", 2**20)):
                await here.send_made(made)
                assert await there.receive_digest() == made.digest()
            await here.burst(2000, "object")
            assert await there.collect(2000, "object") == Collected.perfect(2000)


async def test_close_and_flush(labs: Labs) -> None:
    for flush in (False, True):
        async with _connected(labs, reliable=True) as (dialler, dialled):
            await dialler.send("last words")
            assert await dialled.receive() == "last words"
            await dialler.burst(100, "text")
            await dialler.close(flush=flush)
            if flush:  # only then is everything sure to be there
                assert await dialled.collect(100, "text") == Collected.perfect(100)
                with pytest.raises(anyio.EndOfStream):
                    await dialled.receive()
            await dialled.closed()
            await dialler.closed()
            assert not await dialled.is_open()


async def test_peer_errors_have_their_types(labs: Labs) -> None:
    alice, _ = labs
    with pytest.raises(JavaScriptError, match="nobody") as caught:
        await alice.connect("nobody")
    assert caught.value.type == "peer-unavailable"
    assert await alice.errors() == ["peer-unavailable"]

    async with _connected(labs, serialization="json") as (dialler, _):
        with pytest.raises(JavaScriptError) as caught:
            await dialler.send_made(Made("text", 16_298))
        assert caught.value.type == "message-too-big"
        await dialler.send_made(Made("text", 16_297))  # 16,299 bytes with its quotes


@pytest.mark.parametrize("how", ["close", "kill", "navigate"])
async def test_a_tab_that_goes(browser: Browser, site: str, how: str) -> None:
    """Whatever waits for a page ends with it."""
    async with open_page(browser, site) as page:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect_gone, page, "new Promise(() => {})")
            await page.run("1")  # so the one before is under way
            await {"close": page.close, "kill": page.kill, "navigate": _leave(page)}[how]()
        if how == "navigate":
            assert await page.run("location.href") == "about:blank"
        else:
            await _expect_gone(page, "1")


# --- helpers ---------------------------------------------------------------------------------


@asynccontextmanager
async def _connected(labs: Labs, **options: Any) -> AsyncIterator[tuple[Line, Line]]:
    alice, bob = labs
    dialler = await alice.connect("bob", **options)
    yield dialler, await bob.incoming()


def _leave(page: Page) -> Callable[[], Awaitable[None]]:
    return partial(page.navigate, "about:blank")


async def _expect_gone(page: Page, script: str) -> None:
    with pytest.raises(PageGone):
        await page.run(script)
