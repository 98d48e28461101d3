"""Other versions than today's, for real: pages with old and new peerjs, and old servers.

What each of them does differently is told in ``docs/versions.md``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from peerjs_proto.endpoint import Endpoint
from peerjs_trio import open_peer, open_server
from peerjs_trio.rtc.choice import EngineName
from tests.interop.chromium import Browser
from tests.interop.ends import DIALLERS, Pair, both_ways, open_pair
from tests.interop.npm_peer import open_npm_peer
from tests.interop.servers import Client
from tests.interop.values import Digest, Made, encode
from tests.interop.websocket import open_websocket

pytestmark = [pytest.mark.trio, pytest.mark.browser]

OLD: Final = ("peerjs-1.3", "peerjs-1.4", "peerjs-2.0")
"Those with peerjs-js-binarypack 1.0, and json in text frames. Names as in npm.py."

VERSIONS: Final = (*OLD, "peerjs-1.5.0")

EMOJI: Final = ["😀", "a😀b", ["😀", 40000, -30000, "é😀", -1.5], {"😀": {"x": ["😀", None]}}]
VALUES: Final[dict[str, list[Any]]] = {
    "binary": ["text", "é€", {"i": -1, "f": 0.5, "n": None, "raw": b"\x00\xff"}, *EMOJI],
    "binary-utf8": ["é😀", b"\x00\xff"],
    "json": ["text", {"i": -1, "f": 0.5, "n": None}, *EMOJI],
    "raw": ["é😀", b"\x00\xff"],
    "none": ["é😀", b"\x00\xff"],  # what raw was called before 1.5
}
# 600 and 601 UTF-16 units: where the old packer begins to count right. And in one message both.
COUNTED: Final = ["😀" * 300, "a" + "😀" * 300, ["😀" * 400, "😀", 1]]


@asynccontextmanager
async def open_version(
    browser: Browser, site: str, folder: str, engine: EngineName
) -> AsyncIterator[Pair]:
    async with (
        open_server() as server,
        open_pair(server, browser, f"{site}?peerjs={folder}", engine=engine) as pair,
    ):
        yield pair


@pytest.mark.parametrize("folder", VERSIONS)
async def test_values_cross_both_ways(
    browser: Browser, site: str, folder: str, engine: EngineName
) -> None:
    async with open_version(browser, site, folder, engine) as pair:
        for dialler in DIALLERS:
            for serialization, values in VALUES.items():
                if serialization == "none" and folder not in OLD:
                    continue
                ends = await pair.connect(dialler, serialization=serialization)
                # The page first: from the OFFER and ANSWER of 2.0 beta nobody could know it.
                for here, there in both_ways(ends):
                    for sent in values:
                        await here.send(sent)
                        received = await there.receive()
                        assert encode(received) == encode(sent), (dialler, serialization, here)


@pytest.mark.parametrize("folder", VERSIONS)
async def test_long_texts_and_chunks(
    browser: Browser, site: str, folder: str, engine: EngineName
) -> None:
    async with open_version(browser, site, folder, engine) as pair:
        line, connection = await pair.connect("page")
        for sent in COUNTED:
            await line.send(sent)
            assert await connection.receive() == sent
            await connection.send(sent)
            assert await line.receive() == sent
        made = Made("text", 40_000)
        await line.send_made(made)
        assert Digest.of(await connection.receive()) == made.digest()
        await connection.send(made.value())
        assert await line.receive_digest() == made.digest()


@pytest.mark.parametrize("folder", VERSIONS)
async def test_closing(browser: Browser, site: str, folder: str, engine: EngineName) -> None:
    async with open_version(browser, site, folder, engine) as pair:
        line, connection = await pair.connect("page", reliable=True)
        await line.close()
        with pytest.raises(anyio.EndOfStream):
            await connection.receive()

        # The close message means nothing to old pages: the end of the channel tells them.
        line, connection = await pair.connect("python", reliable=True)
        await connection.send(["last", "😀"] if folder != "peerjs-2.0" else ["last"])
        await connection.aclose()
        assert (await line.receive())[0] == "last"
        await line.closed()


async def test_json_to_2_0_beta_is_lost_until_it_has_spoken(
    browser: Browser, site: str, engine: EngineName
) -> None:
    """It says nothing by which it could be known sooner. Its connection lives through it."""
    async with open_version(browser, site, "peerjs-2.0", engine) as pair:
        line, connection = await pair.connect("python", serialization="json")
        await connection.send("lost")
        await line.send("here I am")
        assert await connection.receive() == "here I am"
        await connection.send("read")
        assert await line.receive() == "read"
        assert "is not valid JSON" in pair.page.page.errors.pop()


@pytest.mark.parametrize("package", ["peer", "peer-0.6"])
async def test_servers_take_our_version_and_any_other(
    node_modules: Path, browser: Browser, site: str, package: str
) -> None:
    async with open_npm_peer(node_modules, package=package) as server:
        async with open_pair(server, browser, site) as pair, open_peer(server=server.url) as other:
            assert other.id  # from /peerjs/id
            line, connection = await pair.connect("python")
            await connection.send("hello")
            assert await line.receive() == "hello"
        ours = Endpoint.parse(server.url).websocket_url("alice", "token")
        for version in ("version=0.0.1", "version=", "nothing="):
            assert ours.count("version=1.5.5") == 1
            async with open_websocket(ours.replace("version=1.5.5", version)) as socket:
                alice = Client(socket)
                assert await alice.receive() == {"type": "OPEN"}
                await alice.send({"type": "LEAVE"})
