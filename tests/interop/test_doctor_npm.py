"""``peerjs doctor`` finds npm's PeerServer in good health."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.npm_peer import open_npm_peer
from tests.trio.test_doctor import examine


@pytest.mark.trio
async def test_npms_server_is_well(node_modules: Path) -> None:
    async with open_npm_peer(node_modules, path="/app", key="secret") as server:
        right = await examine(server.url, "--key", "secret")
        wrong = await examine(server.url)
    assert right.status == 0, right.out
    assert not right.wrong
    assert right.one("websocket")["facts"]["relay_seconds"] > 0
    assert wrong.status == 1
    assert wrong.one("websocket")["text"] == "the server refuses us: Invalid key provided"
