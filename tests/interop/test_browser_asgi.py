"""npm's peerjs in a page and a Python peer, through a PeerServer mounted in a web server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.asgi.hosts import run_host
from tests.interop.chromium import Browser
from tests.interop.ends import DIALLERS, both_ways, open_pair

pytestmark = [pytest.mark.trio, pytest.mark.browser]


async def test_a_page_and_a_python_peer(browser: Browser, site: str, tmp_path: Path) -> None:
    with run_host("uvicorn", tmp_path / "log", "tests.asgi.apps.in_fastapi", path="/chat/") as host:
        async with open_pair(host, browser, site) as pair:
            for dialler in DIALLERS:
                for here, there in both_ways(await pair.connect(dialler)):
                    await here.send({"text": "hello"})
                    assert await there.receive() == {"text": "hello"}
