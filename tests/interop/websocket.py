"""trio-websocket's client on a TCP stream of ours.

The library's own ``open_websocket_url`` (0.12.2) never closes its TCP socket where the server
was first to close the WebSocket, and Python warns of it when it collects the garbage.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from tests.interop.background import open_background

__all__ = ["hang_up", "open_websocket"]

_MAX_MESSAGE: Final = 256 * 1024 * 1024
_CLOSE_TIMEOUT: Final = 1.0


@asynccontextmanager
async def open_websocket(url: str) -> AsyncIterator[WebSocketConnection]:
    """A WebSocket for the length of the block. Made for servers on this machine."""
    parts = urlsplit(url)
    async with (
        await trio.open_tcp_stream(parts.hostname or "", parts.port or 80) as stream,
        open_background() as nursery,
    ):
        socket = await wrap_client_stream(
            nursery,
            stream,
            parts.netloc,
            f"{parts.path}?{parts.query}",
            max_message_size=_MAX_MESSAGE,
        )
        try:
            yield socket
        finally:
            await hang_up(socket)


async def hang_up(socket: WebSocketConnection) -> bool:
    """Close; whether the server answered that as it should."""
    with trio.move_on_after(_CLOSE_TIMEOUT) as patience:
        await socket.aclose()
    return not patience.cancelled_caught
