"""peer-room.js in Chromium: a page and Python peers find each other in a room of our server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from peerjs_trio import HttpReply, Joined, Left, open_peer, open_room, open_server
from peerjs_trio.page import page_modules
from peerjs_trio.rooms import Polling
from peerjs_trio.server import PeerServer
from tests.interop.chromium import Browser
from tests.interop.devtools import Page, open_page

pytestmark = [pytest.mark.trio, pytest.mark.browser]

QUICK = Polling(interval=0.05, first=0.05)

PAGE = """
<!doctype html>
<link rel="icon" href="data:,">
<script src="/peerjs.js"></script>
<script type="module">
  import { peerRoom } from "/peer-room.js";
  Object.assign(window, { peerRoom, seen: [] });
</script>
"""
ENTER = """(async () => {
  window.peer = new Peer("page", { host: location.hostname, port: location.port, path: "/app",
    key: "my key", config: { iceServers: [] } });
  await new Promise((resolve) => peer.once("open", resolve));
  window.room = peerRoom(peer, { interval: 0.05 });
  return peer.id;
})()"""
WATCH = """(async () => {
  for await (const { type, peer } of room.watch()) seen.push(`${type} ${peer}`);
})()"""


async def saw(page: Page, expected: str) -> None:
    await until(page, f"seen.includes('{expected}')")


async def until(page: Page, condition: str) -> None:
    with trio.fail_after(20):
        while not await page.run(condition):  # noqa: ASYNC110 - it is in another process
            await trio.sleep(0.02)


@asynccontextmanager
async def visit(browser: Browser, server: PeerServer) -> AsyncIterator[Page]:
    url = urlsplit(server.url)._replace(path="/").geturl()
    async with open_page(browser, url) as page:
        await until(page, "window.seen !== undefined")
        yield page


@pytest.fixture
def routes(node_modules: Path) -> dict[str, HttpReply]:
    peerjs = (node_modules / "peerjs/dist/peerjs.min.js").read_bytes()
    return page_modules() | {
        "/": HttpReply(200, PAGE.encode(), "text/html; charset=utf-8"),
        "/peerjs.js": HttpReply(200, peerjs, "text/javascript; charset=utf-8"),
    }


async def test_a_page_and_python_meet(browser: Browser, routes: Any) -> None:
    rooms: Any = {"rooms": "network", "room_secret": b"sixteen bytes or more"}
    async with (
        open_server(path="/app", key="my key", routes=routes, **rooms) as server,
        open_peer("python", server=server.url, key="my key") as python,
        open_room(python, polling=QUICK) as room,
        visit(browser, server) as page,
    ):
        changes = room.watch()
        assert await page.run(ENTER) == "page"
        assert await page.run("room.members()") == ["python", "page"]
        assert await page.run("room.id") == room.id
        await page.run(f"void (window.watching = {WATCH})")
        assert await anext(changes) == Joined("page")
        await saw(page, "joined python")
        async with (
            open_peer("another", server=server.url, key="my key") as another,
            open_room(another),
        ):
            await saw(page, "joined another")
        await saw(page, "left another")

        # The page comes back to the server, and so into the room.
        await page.run("peer.disconnect()")
        with trio.fail_after(20):
            while await anext(changes) != Left("page"):
                pass
        await page.run("peer.reconnect()")
        with trio.fail_after(20):
            assert await anext(changes) == Joined("page")
        assert await page.run("room.leave().then((was) => watching.then(() => was))") is True
        assert await anext(changes) == Left("page")
        assert await page.run("seen") == ["joined python", "joined another", "left another"]


async def test_a_page_is_told_that_there_are_no_rooms(browser: Browser, routes: Any) -> None:
    async with (
        open_server(path="/app", key="my key", routes=routes) as server,
        visit(browser, server) as page,
    ):
        await page.run(ENTER)
        refused = ["RoomError", "this server has no rooms: peerjs serve --rooms", True]
        for attempt in (WATCH, "room.join()", "room.members()"):
            told = f"{attempt}.catch(({{ name, message, final }}) => [name, message, final])"
            assert await page.run(told) == refused
        await page.run("peer.disconnect()")
        told = "room.join().catch(({ message }) => message)"
        assert await page.run(told) == "the peer has no connection to its server"
