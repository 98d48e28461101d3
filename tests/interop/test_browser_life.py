"""How connections between a page and a Python peer begin and end, and what goes wrong."""

from __future__ import annotations

import pytest
import trio

from peerjs_trio import IdTaken, PeerUnavailable, open_peer
from peerjs_trio.rtc.choice import EngineName
from tests.interop.chromium import Browser
from tests.interop.devtools import JavaScriptError
from tests.interop.differences import OPEN_AFTER_TAKEOVER
from tests.interop.ends import DIALLERS, Dialler, Pair
from tests.interop.lab import Collected, open_lab
from tests.interop.servers import StartServer, WhichServer, open_client
from tests.interop.values import UNDEFINED, numbered

pytestmark = [pytest.mark.trio, pytest.mark.browser]

# --- the beginning ---------------------------------------------------------------------------


@pytest.mark.parametrize("dialler", DIALLERS)
async def test_what_a_connection_says_of_itself(pair: Pair, dialler: Dialler) -> None:
    metadata = {"é😀": [1, None, 2.5, {"deep": True}]}
    for serialization in ("binary", "json", "raw"):
        for reliable in (False, True):
            line, connection = await pair.connect(
                dialler,
                label="a label",
                metadata=metadata,
                serialization=serialization,
                reliable=reliable,
            )
            assert (line.peer, connection.peer) == ("python", "page")
            for end in (line, connection):
                assert (end.label, end.metadata) == ("a label", metadata)
                assert (end.serialization, end.reliable) == (serialization, reliable)
            assert line.connection_id == connection.connection_id


@pytest.mark.parametrize("dialler", DIALLERS)
async def test_what_is_left_out_has_peerjs_defaults(pair: Pair, dialler: Dialler) -> None:
    line, connection = await pair.connect(dialler)
    assert line.label == connection.label == connection.connection_id
    assert line.metadata in (None, UNDEFINED)
    assert connection.metadata is None
    for end in (line, connection):
        assert (end.serialization, end.reliable) == ("binary", False)


async def test_several_connections_between_the_same_two(pair: Pair) -> None:
    ends = [await pair.connect(dialler) for dialler in (*DIALLERS, *DIALLERS)]
    for n, (line, connection) in enumerate(ends):
        await line.send(n)
        await connection.send(-n)
    for n, (line, connection) in enumerate(ends):
        assert await connection.receive() == n
        assert await line.receive() == -n


async def test_an_id_that_is_taken(pair: Pair) -> None:
    with pytest.raises(IdTaken):
        async with open_peer("page", server=pair.server.url):
            pass

    with pytest.raises(JavaScriptError) as refused:
        await pair.page.open(pair.server.url, id="python")
    assert refused.value.type == IdTaken.type


async def test_a_peer_that_is_not_there(pair: Pair) -> None:
    async def page_dials() -> None:
        with pytest.raises(JavaScriptError) as refused:
            await pair.page.connect("nobody")
        assert refused.value.type == PeerUnavailable.type

    async def python_dials() -> None:
        with pytest.raises(PeerUnavailable):
            await pair.python.connect("nobody")

    async with trio.open_nursery() as nursery:  # the server takes five seconds for each
        nursery.start_soon(page_dials)
        nursery.start_soon(python_dials)


async def test_connections_outlive_the_pages_registration(pair: Pair) -> None:
    line, connection = await pair.connect("page")
    await pair.page.disconnect()
    await line.send("still here")
    assert await connection.receive() == "still here"

    assert await pair.page.reconnect() == "page"
    _, second = await pair.connect("python")
    assert second.is_open
    assert connection.is_open


async def test_a_page_that_is_back_before_it_was_missed(
    start_server: StartServer, which: WhichServer, browser: Browser, site: str
) -> None:
    # Its older socket looks alive to the server, as where a laptop slept or a network changed.
    async with (
        start_server() as server,
        open_client(server, "page", token="secret") as older,
        open_lab(browser, site) as page,
    ):
        assert await older.receive() == {"type": "OPEN"}
        await page.start(server.url, id="page", token="secret")
        opened = await page.heard("open", within=10 if OPEN_AFTER_TAKEOVER.of(which) else 1)
        assert (opened is not None) is OPEN_AFTER_TAKEOVER.of(which)


# --- the end ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dialler", DIALLERS)
@pytest.mark.parametrize("flush", [False, True])
async def test_the_page_closes(pair: Pair, dialler: Dialler, flush: bool) -> None:
    line, connection = await pair.connect(dialler, reliable=True)
    await line.burst(100, "text")
    await line.close(flush=flush)
    with trio.fail_after(10):
        received = [value async for value in connection]
    expected = [numbered("text", n) for n in range(100)]
    assert received == (expected if flush else expected[: len(received)])
    await line.closed()


@pytest.mark.parametrize("dialler", DIALLERS)
@pytest.mark.parametrize("flush", [False, True])
async def test_python_closes(pair: Pair, dialler: Dialler, flush: bool) -> None:
    line, connection = await pair.connect(dialler, reliable=True)
    for n in range(100):
        await connection.send(numbered("text", n))
    await connection.aclose(flush=flush)
    with trio.fail_after(10):
        await line.closed()
    if flush:
        assert await line.collect(100, "text") == Collected.perfect(100)


async def test_python_leaves(pair: Pair, engine: EngineName) -> None:
    async with open_peer("leaver", server=pair.server.url, engine=engine) as leaver:
        first = await pair.page.connect("leaver")
        await leaver.connect("page")
        second = await pair.page.incoming()
    with trio.fail_after(5):
        await first.closed()
        await second.closed()
