"""Dials that come to nothing, or have it hard: what users of either library see."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest
import trio

from peerjs_trio import (
    ConnectTimeout,
    Limits,
    PeerError,
    PeerUnavailable,
    open_peer,
    open_server,
)
from peerjs_trio.rtc.choice import EngineName
from tests.interop.chromium import Browser
from tests.interop.ends import DIALLERS, Dialler
from tests.interop.faults.figures import Stopwatch, together
from tests.interop.lab import open_lab
from tests.interop.servers import StartServer
from tests.trio.ice import udp_server

pytestmark = [pytest.mark.trio, pytest.mark.browser]

SOON: Final = 10.0

EXPIRE_TIMEOUT: Final = 1.0
"The server's, in these tests; 5 s if nothing is said."

CONNECT_TIMEOUT: Final = 5.0
"Ours; 20 s if nothing is said."

MANY: Final = 1000


async def test_a_peer_that_is_not_there(
    browser: Browser, site: str, start_server: StartServer
) -> None:
    async with (
        start_server(expire_timeout=EXPIRE_TIMEOUT) as server,
        open_lab(browser, site) as page,
        open_peer("python", server=server.url) as python,
    ):
        await page.open(server.url, id="page")
        watch = Stopwatch("nobody has the id")

        async def page_sees() -> None:
            line = await page.dial("nobody")
            assert await page.heard("error", within=SOON) == "peer-unavailable"
            watch.saw("peerjs.js", "error 'peer-unavailable' of the Peer", within=SOON)
            assert await line.heard("error", within=0) is None  # which dial it was is not said
            assert await line.heard("close", within=0) is None

        async def python_sees() -> None:
            with pytest.raises(PeerUnavailable, match="'nobody'"):
                await python.connect("nobody")
            watch.saw("ours", "PeerUnavailable", within=SOON)

        await together(page_sees, python_sees)


@pytest.mark.parametrize("dialler", DIALLERS)
async def test_stun_and_turn_servers_that_are_dead(
    browser: Browser, site: str, engine: EngineName, dialler: Dialler
) -> None:
    """They take every packet and answer none."""
    async with (
        udp_server() as dead,
        open_server() as server,
        open_lab(browser, site) as page,
        open_peer(
            "python", server=server.url, engine=engine, ice_servers=[dead.stun, dead.turn]
        ) as python,
    ):
        turn = {"username": dead.turn.username, "credential": dead.turn.credential}
        servers = [{"urls": dead.stun.urls}, {"urls": dead.turn.urls, **turn}]
        await page.start(server.url, id="page", config={"iceServers": servers})
        assert await page.heard("open", within=SOON) is not None
        watch = Stopwatch(f"dead STUN and TURN servers, {dialler} dials, {engine}")
        if dialler == "page":
            await page.connect("python")
            watch.saw("peerjs.js", "open", within=SOON)
        else:
            await python.connect("page")
            watch.saw("ours", "connect returns", within=SOON)


async def test_a_thousand_dials_at_once(browser: Browser, site: str, engine: EngineName) -> None:
    """Nobody answers any of them. They take turns, and who has none in time has timed out."""
    limits = Limits(connect_timeout=CONNECT_TIMEOUT)
    async with (
        open_server(expire_timeout=EXPIRE_TIMEOUT) as server,
        open_lab(browser, site) as page,
        open_peer("python", server=server.url, engine=engine, limits=limits) as python,
        open_peer("there", server=server.url, engine=engine),
    ):
        await page.open(server.url, id="page")
        watch = Stopwatch(f"{MANY} dials at once, {engine}")
        ours: Counter[type[PeerError]] = Counter()

        async def dial(number: int) -> None:
            try:
                await python.connect(f"nobody-{number}")
            except (PeerUnavailable, ConnectTimeout) as error:
                ours[type(error)] += 1

        async with trio.open_nursery() as nursery:
            for number in range(MANY):
                nursery.start_soon(dial, number)
        each = ", ".join(f"{error.__name__} {times}" for error, times in ours.items())
        watch.saw("ours", f"{each} (connect_timeout={CONNECT_TIMEOUT:g})", within=60)
        assert ours.total() == MANY
        assert ours[PeerUnavailable] >= limits.dials
        assert python.is_open
        await python.connect("there")

        watch = Stopwatch(f"{MANY} dials at once, {engine}")
        theirs: dict[str, int] = await page.page.call("lab.dialMany", MANY)
        ((thrown, times),) = theirs.items()
        assert "Cannot create so many PeerConnections" in thrown
        watch.saw("peerjs.js", f"{times} times {thrown!r}", within=60)
