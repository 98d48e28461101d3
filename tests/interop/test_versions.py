"""Other versions than today's, for real: old servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from peerjs_proto.endpoint import Endpoint
from peerjs_trio import open_peer
from tests.interop.chromium import Browser
from tests.interop.ends import open_pair
from tests.interop.npm_peer import open_npm_peer
from tests.interop.servers import Client
from tests.interop.websocket import open_websocket

pytestmark = [pytest.mark.trio, pytest.mark.browser]


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
