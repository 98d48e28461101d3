"""The server is not there, not right, or not heard: what users of either library see.

Each test puts one fault before peerjs.js in Chromium and before our peer, at the same time.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import trio

from peerjs_trio import (
    IdTaken,
    Limits,
    Peer,
    Reconnect,
    ServerUnavailable,
    Session,
    open_peer,
    open_server,
)
from peerjs_trio.websocket import WebSocketTransport
from tests.interop.chromium import Browser
from tests.interop.devtools import JavaScriptError
from tests.interop.ends import open_pair
from tests.interop.faults.figures import Stopwatch, together
from tests.interop.faults.killable import Killable
from tests.interop.faults.network import open_mute_port, open_mute_server, open_relay, open_tls
from tests.interop.lab import open_lab
from tests.interop.servers import Server, StartServer
from tests.trio.ice import closed_port

pytestmark = [pytest.mark.trio, pytest.mark.browser]

SOON: Final = 10.0
"Seconds for what takes a fraction of one, or as long as a resolver likes."

SERVER_TIMEOUT: Final = 2.0
"Ours; 10 s if nothing is said."

PING: Final = 0.5
"Seconds from one ping to the next, and for its answer; 10 and 5 if nothing is said."

QUICK: Final = Reconnect(longest=1.0)
"The wait that is under way when the fault is over can be 30 s long if nothing is said."


# --- at first --------------------------------------------------------------------------------


async def test_nobody_listens(browser: Browser, site: str) -> None:
    port = closed_port(socket.SOCK_STREAM)
    await no_server(browser, site, "nobody listens", f"http://127.0.0.1:{port}/")


async def test_a_name_that_does_not_resolve(browser: Browser, site: str) -> None:
    await no_server(browser, site, "a name that does not resolve", "http://peers.invalid:9000/")


async def test_a_certificate_that_nobody_trusts(
    browser: Browser, site: str, tmp_path: Path
) -> None:
    async with open_server() as server, open_tls(server, tmp_path) as tls:
        await no_server(browser, site, "an untrusted certificate", tls.url)
        transport = WebSocketTransport(tls.trusting)
        async with open_peer("python", server=tls.url, transport=transport) as python:
            assert python.is_open


async def no_server(browser: Browser, site: str, fault: str, url: str) -> None:
    """A page and a Python peer try a server that they cannot reach."""
    async with open_lab(browser, site) as page:
        watch = Stopwatch(fault)

        async def page_sees() -> None:
            await page.start(url, id="page")
            assert await page.heard("error", within=SOON) == "network"
            watch.saw("peerjs.js", "error 'network'", within=SOON)
            assert await page.heard("disconnected", within=SOON) is not None

        async def python_sees() -> None:
            with pytest.raises(ServerUnavailable) as refused:
                async with open_peer("python", server=url):
                    pass
            watch.saw("ours", f"ServerUnavailable: {refused.value}", within=SOON)

        await together(page_sees, python_sees)


OpenMute = Callable[[], AbstractAsyncContextManager[str]]


@pytest.mark.parametrize("open_mute", [open_mute_port, open_mute_server])
async def test_a_server_that_says_nothing(
    browser: Browser, site: str, watching: float, open_mute: OpenMute
) -> None:
    async with open_mute() as url, open_lab(browser, site) as page:
        watch = Stopwatch("a server that says nothing")
        await page.start(url, id="page")
        with pytest.raises(ServerUnavailable, match="did not answer"):
            async with open_peer(
                "python", server=url, limits=Limits(server_timeout=SERVER_TIMEOUT)
            ):
                pass
        watch.saw("ours", "ServerUnavailable", within=SERVER_TIMEOUT + SOON)
        assert await page.heard("error", within=watching) is None
        assert await page.heard("open", within=0) is None
        watch.saw_nothing("peerjs.js", "event")


# --- later -----------------------------------------------------------------------------------


async def test_the_server_is_killed_and_comes_back(
    browser: Browser, site: str, watching: float, killable: Killable
) -> None:
    async with open_pair(killable, browser, site, reconnect=QUICK) as pair:
        line, connection = await pair.connect("page")
        await killable.kill()
        watch = Stopwatch("the server is killed")

        async def page_sees() -> None:
            assert await pair.page.heard("disconnected", within=SOON) is not None
            watch.saw("peerjs.js", "error 'network', disconnected", within=SOON)

        async def python_sees() -> None:
            await reach(pair.python, Session.WAITING)
            watch.saw("ours", "state WAITING", within=SOON)

        await together(page_sees, python_sees)
        await line.send("still here")
        assert await connection.receive() == "still here"

        await killable.start()
        watch = Stopwatch("the server is back")
        await reach(pair.python, Session.OPEN)
        watch.saw("ours", "state OPEN", within=SOON)
        assert pair.python.id == "python"
        assert await pair.page.heard("open", within=0) is not None  # that of the beginning
        assert await pair.page.heard("open", within=watching) is None
        watch.saw_nothing("peerjs.js", "open")
        assert await pair.page.reconnect() == "page"
        await pair.connect("page")


async def test_a_socket_that_is_half_open(
    browser: Browser, site: str, watching: float, start_server: StartServer
) -> None:
    """The path to the server dies, nobody is told, and after a while it works again."""
    async with (
        start_server() as server,
        open_relay(server) as relay,
        open_pair(
            relay,
            browser,
            site,
            reconnect=QUICK,
            transport=WebSocketTransport(ping_interval=PING, ping_timeout=PING),
            limits=Limits(server_timeout=SERVER_TIMEOUT),
        ) as pair,
    ):
        line, connection = await pair.connect("page")
        relay.die()
        watch = Stopwatch("a half-open socket")
        await reach(pair.python, Session.WAITING)
        watch.saw("ours", f"state WAITING (ping_interval=ping_timeout={PING:g})", within=SOON)
        await line.send("still here")
        assert await connection.receive() == "still here"
        assert await pair.page.heard("disconnected", within=watching) is None
        watch.saw_nothing("peerjs.js", "event")

        relay.heal()
        watch = Stopwatch("the path to the server heals")
        await reach(pair.python, Session.OPEN)
        watch.saw("ours", "state OPEN", within=SOON)


async def test_an_id_that_the_server_still_holds(
    browser: Browser, site: str, start_server: StartServer
) -> None:
    """A page and a peer of ours are cut off, and their server does not know yet.

    Ours comes back by itself; the page is loaded anew.
    """
    async with (
        start_server() as server,
        open_relay(server) as relay,
        open_lab(browser, site) as old_page,
        open_lab(browser, site) as page,
        open_peer(
            "python",
            server=[relay.url, server.url],
            token="secret",
            transport=WebSocketTransport(ping_interval=PING, ping_timeout=PING),
            limits=Limits(server_timeout=SERVER_TIMEOUT),
        ) as python,
    ):
        await old_page.open(relay.url, id="page")
        relay.die()
        watch = Stopwatch("an id that the server still holds")

        async def page_sees() -> None:
            await page.start(server.url, id="page")
            assert await page.heard("error", within=SOON) == "unavailable-id"
            watch.saw("peerjs.js", "error 'unavailable-id', close", within=SOON)
            assert await page.heard("close", within=SOON) is not None

        async def python_sees() -> None:
            await reach(python, Session.WAITING)
            await reach(python, Session.OPEN)
            watch.saw("ours", "state OPEN by the second server", within=SOON)

        await together(page_sees, python_sees)
        with pytest.raises(IdTaken):
            async with open_peer("python", server=server.url):
                pass
        async with open_peer("python", server=server.url, token="secret"):
            watch.saw("ours", "a new process with the same token: registered", within=SOON)
        relay.heal()


async def test_an_id_that_somebody_else_has_taken(
    browser: Browser, site: str, start_server: StartServer
) -> None:
    """Meanwhile, and later gives it back."""
    async with (
        start_server() as server,
        open_pair(server, browser, site, reconnect=QUICK) as pair,
    ):
        await pair.page.disconnect()
        await pair.python.disconnect()
        async with taken(server, "page"), taken(server, "python"):
            watch = Stopwatch("somebody else has taken the id")
            with pytest.raises(JavaScriptError) as refused:
                await pair.page.reconnect()
            assert refused.value.type == "unavailable-id"
            watch.saw("peerjs.js", "error 'unavailable-id'", within=SOON)
            with pytest.raises(IdTaken):
                await pair.python.reconnect()
            watch.saw("ours", "IdTaken, state WAITING", within=SOON)
            assert pair.python.state is not Session.LOST
        watch = Stopwatch("somebody else gives the id back")
        await reach(pair.python, Session.OPEN)
        watch.saw("ours", "state OPEN", within=SOON)


async def test_one_of_two_servers_is_killed(
    browser: Browser, site: str, watching: float, killable: Killable
) -> None:
    """peerjs.js knows one."""
    async with (
        open_server() as second,
        open_lab(browser, site) as page,
        open_peer("python", server=[killable.url, second.url]) as python,
    ):
        await page.open(killable.url, id="page")
        await killable.kill()
        watch = Stopwatch("one of two servers is killed")
        await reach(python, Session.WAITING)
        await reach(python, Session.OPEN)
        watch.saw("ours", "state OPEN by the other", within=SOON)
        assert await page.heard("disconnected", within=SOON) is not None
        watch.saw("peerjs.js", "disconnected", within=SOON)


@asynccontextmanager
async def taken(server: Server, id: str) -> AsyncIterator[None]:
    """Somebody has it, as soon as the server knows that nobody else does any more."""
    until = trio.current_time() + SOON
    while trio.current_time() < until:
        try:
            async with open_peer(id, server=server.url):
                yield
                return
        except IdTaken:
            await trio.sleep(0.05)
    raise AssertionError(f"the server does not forget {id!r}")


async def reach(peer: Peer, wanted: Session) -> None:
    with trio.fail_after(SOON):
        async for state in peer.states():
            if state is wanted:
                return
