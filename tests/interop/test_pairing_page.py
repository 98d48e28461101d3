"""A page in Chromium pairs with a Python device, and uses its HTTP from then on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from peerjs_proto.pair_keys import DAY
from peerjs_trio import HttpReply, Peer, open_peer, open_server
from peerjs_trio.http import serve
from peerjs_trio.page import page_modules
from peerjs_trio.pairing import Pairings, offer_pairing
from tests.interop.chromium import Browser
from tests.interop.devtools import JavaScriptError, Page, open_page
from tests.trio.between import stand_between

pytest.importorskip("spake2", reason="pairing needs the extra pairing")

pytestmark = [pytest.mark.trio, pytest.mark.browser]

HERE = Path(__file__).with_name("page")
SECRET = "sixteen letters, or more"


@attrs.define
class Device:
    """A device that serves a text to those who may have it."""

    url: str
    peer: Peer
    pairings: Pairings
    codes: trio.MemoryReceiveChannel[str]
    clock: list[float]


@pytest.fixture
def routes(node_modules: Path) -> dict[str, HttpReply]:
    """The page, its modules, and what they import."""

    def script(path: Path) -> HttpReply:
        return HttpReply(200, path.read_bytes(), "text/javascript; charset=utf-8")

    noble = [*node_modules.glob("@noble/*/*.js"), *node_modules.glob("@noble/*/abstract/*.js")]
    page = HttpReply(200, (HERE / "pairing.html").read_bytes(), "text/html; charset=utf-8")
    return {
        "/": page,
        "/pairing.js": script(HERE / "pairing.js"),
        "/npm/peerjs.js": script(node_modules / "peerjs" / "dist" / "peerjs.min.js"),
        **{f"/npm/{path.relative_to(node_modules)}": script(path) for path in noble},
        **page_modules(),
    }


async def hello(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


@asynccontextmanager
async def open_device(url: str, path: Path) -> AsyncIterator[Device]:
    clock = [1e9]
    pairings = Pairings.open(path, name="kitchen", clock=lambda: clock[0])
    show, codes = trio.open_memory_channel[str](8)
    async with (
        open_peer("device", server=url) as peer,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(partial(serve, peer, hello, pairings=pairings, secret=SECRET))
        nursery.start_soon(partial(offer_pairing, peer, pairings, show_code=show.send_nowait))
        yield Device(url, peer, pairings, codes, clock)
        nursery.cancel_scope.cancel()


def names(device: Device) -> list[str]:
    return [pair.name for pair in device.pairings.pairs]


@asynccontextmanager
async def opened(browser: Browser, url: str, id: str, *server: str) -> AsyncIterator[Page]:
    async with open_page(browser, url) as page:
        await page.call("lab.open", id, *server)
        yield page


async def test_a_page_pairs_by_the_code_and_comes_back_without_one(
    browser: Browser, routes: dict[str, HttpReply], tmp_path: Path
) -> None:
    async with open_server("0.0.0.0", routes=routes, expire_timeout=1) as server:
        site = server.url.replace("127.0.0.1", "0.0.0.0")
        async with opened(browser, site, "page") as page:
            # As on a LAN without certificates, where a page has to do without crypto.subtle.
            assert await page.call("lab.isSecure") == [False, False]
            async with open_device(server.url, tmp_path / "device.json") as device:
                code = await device.codes.receive()
                tag = device.pairings.tag
                found = await page.call("lab.discover", ["device", "page-2"])
                assert found == {"device": {"name": "kitchen", "tag": tag}}
                with pytest.raises(JavaScriptError, match="not paired"):
                    await page.call("lab.withPairing", "device")
                wrong = f"{(int(code) + 1) % 1_000_000:06}"
                with pytest.raises(JavaScriptError, match="code is wrong"):
                    await page.call("lab.pair", "device", wrong)
                with pytest.raises(JavaScriptError, match="6 digits"):
                    await page.call("lab.pair", "device", "password")
                assert names(device) == []
                told = await page.call("lab.pair", "device", f"{code[:3]} {code[3:]}")
                assert told == {"name": "kitchen", "tag": tag}
                assert names(device) == ["page"]
                assert await page.call("lab.withPairing", "device") == "hello"
            await page.navigate(site)
            await page.call("lab.open", "page")
            # And under an id that nobody has told it, after both have been away.
            async with restarted(server.url, tmp_path / "device.json", page):
                assert await page.call("lab.reconnect") == "hello"


@asynccontextmanager
async def restarted(url: str, path: Path, page: Page) -> AsyncIterator[None]:
    """The device, under the id of the day by the page's clock, which is the real one."""
    pairings = Pairings.open(path)
    async with (
        open_peer(pairings.own_id(), token=pairings.own_token(), server=url) as peer,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(partial(serve, peer, hello, pairings=pairings))
        yield
        nursery.cancel_scope.cancel()


async def test_keys_rotate_for_two_tabs_that_share_a_store(
    browser: Browser, routes: dict[str, HttpReply], tmp_path: Path
) -> None:
    async with (
        open_server(routes=routes) as server,
        open_device(server.url, tmp_path / "device.json") as device,
        opened(browser, server.url, "page") as page,
    ):
        code = await device.codes.receive()
        assert await page.call("lab.pairAsked", "device", code) == {
            "name": "kitchen",
            "tag": device.pairings.tag,
        }
        for generation in (2, 3):
            device.clock[0] += DAY
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(page.call, "lab.withPairing", "device")
            assert await page.call("lab.generations") == [generation]
            assert await page.call("lab.keys") == [device.pairings.pairs[0].keys.key.hex()]
            assert await page.call("lab.withPairing", "device") == "hello"
        device.pairings.forget(device.pairings.pairs[0].id)
        with pytest.raises(JavaScriptError, match="proof does not hold"):
            await page.call("lab.withPairing", "device")
        await page.call("lab.forget")
        with pytest.raises(JavaScriptError, match="not paired"):
            await page.call("lab.withPairing", "device")
        message, left = await page.call("lab.damage")
        assert "damaged" in message
        assert left == "{"


async def test_a_page_with_the_secret_gets_in_and_others_do_not(
    browser: Browser, routes: dict[str, HttpReply], tmp_path: Path
) -> None:
    async with (
        open_server(routes=routes) as server,
        open_device(server.url, tmp_path / "device.json"),
        opened(browser, server.url, "page") as page,
    ):
        assert await page.call("lab.withSecret", "device", SECRET) == "hello"
        with pytest.raises(JavaScriptError, match="proof does not hold"):
            await page.call("lab.withSecret", "device", f"{SECRET}!")
        with pytest.raises(JavaScriptError, match="16 characters"):
            await page.call("lab.withSecret", "device", "hello")
        with pytest.raises(JavaScriptError, match="authenticate"):
            await page.call("lab.withNothing", "device")


async def test_who_stands_between_a_page_and_its_device_gets_nothing(
    browser: Browser, routes: dict[str, HttpReply], tmp_path: Path
) -> None:
    async with (
        open_server(routes=routes) as server,
        open_device(server.url, tmp_path / "device.json") as device,
        stand_between(server.url, "device", "page", "peerjs-http", "peerjs-pair") as middle,
        opened(browser, server.url, "page", middle.url) as page,
    ):
        code = await device.codes.receive()
        with pytest.raises(JavaScriptError, match="code is wrong"):
            await page.call("lab.pair", "device", code)
        assert device.pairings.pairs == ()
        assert await page.call("lab.generations") == []
        with pytest.raises(JavaScriptError, match="proof does not hold"):
            await page.call("lab.withSecret", "device", SECRET)
        assert not any(isinstance(message, bytes) for message in middle.heard), "no HTTP at all"
