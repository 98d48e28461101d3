"""Fifty megabytes each way, and how much of them is ahead of whoever reads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import httpx
import pytest
import trio

from peerjs_trio.http.transport import open_transport
from tests.http.sides import PART, App, open_sides

pytestmark = pytest.mark.trio

MEGABYTES = 50

AHEAD = 600_000
"A window of 256 KiB, a part that waits for credit, and what either end has in hand."


@pytest.fixture
async def app() -> App:
    return App()


@pytest.fixture
async def client(app: App, nursery: trio.Nursery) -> AsyncIterator[httpx.AsyncClient]:
    async with open_sides("wrtc") as sides:  # aiortc takes four times as long
        nursery.start_soon(sides.serve, app)
        async with open_transport(sides.alice, "device") as transport:
            yield httpx.AsyncClient(transport=transport, base_url="http://device/")
        nursery.cancel_scope.cancel()


async def test_a_large_download_waits_for_its_reader(client: httpx.AsyncClient, app: App) -> None:
    size, ahead = 0, 0
    async with client.stream("GET", f"/stream?{MEGABYTES * 16}") as response:
        async for part in response.aiter_raw():
            size += len(part)
            ahead = max(ahead, app.parts * len(PART) - size)
    assert size == MEGABYTES << 20
    assert ahead <= AHEAD


async def test_a_large_upload_waits_for_its_reader(client: httpx.AsyncClient, app: App) -> None:
    made, ahead = 0, 0

    async def body() -> AsyncGenerator[bytes]:
        nonlocal made, ahead
        for _ in range(MEGABYTES * 16):
            yield PART
            made += len(PART)
            ahead = max(ahead, made - app.bytes)

    response = await client.post("/count", content=body())
    assert response.text == str(MEGABYTES << 20)
    assert made == MEGABYTES << 20
    assert ahead <= AHEAD
